//! EfficientNet-Lite on the CPU: a first convolution, inverted residual blocks, a last 1×1 convolution and
//! the mean over the places. Batch normalisation is already in the weights, and every activation is ReLU6.
//!
//! In reading order, after the [`kernels`](super::kernels) that all networks share: `depthwise`,
//! `inverted` (a block), `stem` (from pixels), and here the network. A few pictures go through in one
//! thread, each alone while it is large; others go side by side.

mod depthwise;
mod inverted;
mod stem;

use super::kernels::dense::{Dense, Finish, Layer, Rows};
use super::kernels::scratch::Scratch;
use super::kernels::simd::{Block, Level, Simd};
use inverted::Inverted;
use stem::Stem;

pub(super) use inverted::Weights;

/// Pictures of at most so many places go through a block together, because its weights are more than they are.
const TOGETHER_PLACES: usize = 64;

/// The activation: nothing below 0 and nothing above 6.
#[inline(always)]
fn relu6<S: Simd>(simd: S, number: S::Vector) -> S::Vector {
    simd.min(simd.max(simd.splat(0.0), number), simd.splat(6.0))
}

/// Rows and columns of a map.
#[derive(Clone, Copy, Debug)]
struct Size {
    height: usize,
    width: usize,
}

impl Size {
    fn places(self) -> usize {
        self.height * self.width
    }
}

/// Maps of some pictures: sixteen channels of all places of the first picture, of the second and so on, then the next
/// sixteen.
#[derive(Clone, Copy)]
struct Maps<'a> {
    blocks: &'a [Block],
    images: usize,
    size: Size,
}

/// The network with its weights in the layout of the kernels.
#[derive(Debug)]
pub(super) struct Network {
    stem: Stem,
    blocks: Vec<Inverted>,
    head: Dense,
    channels: usize,
    scratch: Scratch,
}

impl Network {
    /// `pixel` is what is subtracted from a byte, and what that is multiplied by.
    pub(super) fn new(
        level: Level,
        stem: &Layer<'_>,
        blocks: &[Weights<'_>],
        head: &Layer<'_>,
        pixel: [f32; 2],
    ) -> Self {
        Self {
            stem: Stem::new(level, stem, pixel),
            blocks: blocks.iter().map(|block| Inverted::new(level, block)).collect(),
            head: Dense::new(level, head.weight, head.bias),
            channels: head.bias.len(),
            scratch: Scratch::default(),
        }
    }

    /// The means of the last channels over the places of pictures of one size: RGB, `height` x `width`.
    pub(super) fn forward(&self, pictures: &[&[u8]], [height, width]: [usize; 2]) -> Vec<f32> {
        let (picture, scratch) = (Size { height, width }, &self.scratch);
        let (first, first_blocks) = self.stem.output(picture);
        let large = |(size, _): &&(Size, &Inverted)| size.places() > TOGETHER_PLACES;
        let sizes = self.blocks.iter().scan(first, |size, block| {
            let input = *size;
            *size = block.output(input).0;
            Some((input, block))
        });
        let sizes: Vec<(Size, &Inverted)> = sizes.collect();
        let (alone, together) = self.blocks.split_at(sizes.iter().take_while(large).count());
        let alone_length = largest(alone, (first, first_blocks));
        let (size, blocks) = alone.iter().fold((first, first_blocks), |(size, _), block| block.output(size));
        let images = pictures.len();
        let together_length = images * largest(together, (size, blocks));
        let lengths = [alone_length, alone_length, together_length, together_length];
        scratch.with(lengths, |[map, next, all_map, all_next]| {
            for (image, pixels) in pictures.iter().enumerate() {
                let mut one = Turns { map: &mut *map, next: &mut *next, images: 1, size: first, blocks: first_blocks };
                self.stem.forward(pixels, picture, &mut one.map[..first.places() * first_blocks], scratch);
                one.through(alone, scratch);
                let gathered = all_map.chunks_mut(images * size.places());
                for (gathered, map) in gathered.zip(one.maps().blocks.chunks_exact(size.places())) {
                    gathered[image * size.places()..][..size.places()].copy_from_slice(map);
                }
            }
            let mut all = Turns { map: all_map, next: all_next, images, size, blocks };
            all.through(together, scratch);
            self.means(&all.maps())
        })
    }

    fn means(&self, maps: &Maps<'_>) -> Vec<f32> {
        let (places, to) = (maps.size.places(), self.head.to());
        let rows = maps.images * places;
        let mut sums = vec![Block::default(); maps.images * to];
        let image: Vec<usize> = (0..rows).map(|row| row / places).collect();
        let input = Rows { blocks: maps.blocks, apart: rows };
        let mut finish = Sum { image: &image, to, sums: &mut sums };
        self.head.run(input, rows, 0..self.head.panels(), &mut finish);
        let numbers = |sums: &[Block]| sums.iter().flat_map(|block| block.0).take(self.channels).collect::<Vec<f32>>();
        let sums = sums.chunks_exact(to).flat_map(numbers);
        sums.map(|sum| sum / places as f32).collect()
    }
}

/// Blocks that the largest map holds which goes into these layers or comes out of one.
fn largest(layers: &[Inverted], (mut size, blocks): (Size, usize)) -> usize {
    let input = size.places() * blocks;
    let outputs = layers.iter().map(|layer| {
        let (out, blocks) = layer.output(size);
        size = out;
        out.places() * blocks
    });
    outputs.fold(input, usize::max)
}

/// Maps, and the buffer for what comes out of the next layer, taking turns.
struct Turns<'a> {
    map: &'a mut [Block],
    next: &'a mut [Block],
    images: usize,
    size: Size,
    /// Of channels.
    blocks: usize,
}

impl Turns<'_> {
    fn maps(&self) -> Maps<'_> {
        let Self { images, size, .. } = *self;
        Maps { blocks: &self.map[..images * size.places() * self.blocks], images, size }
    }

    fn through(&mut self, layers: &[Inverted], scratch: &Scratch) {
        for layer in layers {
            let (out, to) = layer.output(self.size);
            let Self { images, size, blocks, .. } = *self;
            let input = Maps { blocks: &self.map[..images * size.places() * blocks], images, size };
            layer.forward(&input, &mut self.next[..images * out.places() * to], scratch);
            (self.size, self.blocks) = (out, to);
            std::mem::swap(&mut self.map, &mut self.next);
        }
    }
}

/// ReLU6, summed over the places of each picture.
struct Sum<'a> {
    /// The picture of each row. A table, because a division for every vector would take too long.
    image: &'a [usize],
    /// Blocks of channels.
    to: usize,
    sums: &'a mut [Block],
}

impl Finish for Sum<'_> {
    #[inline(always)]
    fn take<S: Simd>(&mut self, simd: S, row: usize, block: usize, part: usize, sum: S::Vector) {
        let sum = relu6(simd, sum);
        let sums = &mut self.sums[self.image[row] * self.to + block];
        simd.store(simd.add(simd.load(sums, part), sum), sums, part);
    }
}
