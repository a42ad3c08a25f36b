//! EfficientNet-Lite on the CPU: a first convolution, inverted residual blocks, a last 1×1 convolution, and the mean
//! over all positions. Batch normalisation is folded into the weights, and every activation is ReLU6.
//!
//! In reading order, after the [`kernels`](super::kernels) that all networks share: `depthwise`, `inverted` (a block),
//! `stem` (the first convolution), and this file (the network). A group of a few pictures is processed by one thread;
//! groups run in parallel. In early layers, where maps are large, each picture is processed alone.

mod depthwise;
mod inverted;
mod stem;

use super::kernels::dense::{Dense, Epilogue, LayerParams, Rows};
use super::kernels::scratch::Scratch;
use super::kernels::simd::{Block, Simd, SimdLevel};
use inverted::Inverted;
use stem::Stem;

pub(super) use inverted::BlockWeights;

/// Maps of at most this many positions are processed for all pictures of a group together, because then the weights of
/// a block are larger than the maps.
const TOGETHER_PLACES: usize = 64;

/// The activation, min(max(x, 0), 6).
#[inline(always)]
fn relu6<S: Simd>(simd: S, number: S::Vector) -> S::Vector {
    simd.min(simd.max(simd.splat(0.0), number), simd.splat(6.0))
}

/// Height and width of a map.
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

/// The maps of some pictures. Laid out by block of sixteen channels, picture, position.
#[derive(Clone, Copy)]
struct FeatureMaps<'a> {
    blocks: &'a [Block],
    images: usize,
    size: Size,
}

/// The network, with the weights in the layout of the kernels.
#[derive(Debug)]
pub(super) struct EfficientNet {
    stem: Stem,
    blocks: Vec<Inverted>,
    head: Dense,
    channels: usize,
    scratch: Scratch,
}

impl EfficientNet {
    /// `pixel` is [shift, scale]: a byte enters the network as (byte - shift) * scale.
    pub(super) fn new(
        level: SimdLevel,
        stem: &LayerParams<'_>,
        blocks: &[BlockWeights<'_>],
        head: &LayerParams<'_>,
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

    /// The means of the last channels over all positions, for RGB pictures of one size, `height` x `width`.
    pub(super) fn forward(&self, pictures: &[&[u8]], [height, width]: [usize; 2]) -> Vec<f32> {
        let (picture, scratch) = (Size { height, width }, &self.scratch);
        let (first, first_blocks) = self.stem.output(picture);
        // Layers with large inputs run picture by picture; from the first small input on, all pictures run together.
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
                let mut single =
                    PingPong { map: &mut *map, next: &mut *next, images: 1, size: first, blocks: first_blocks };
                self.stem.forward(pixels, picture, &mut single.map[..first.places() * first_blocks], scratch);
                single.run_layers(alone, scratch);
                let gathered = all_map.chunks_mut(images * size.places());
                for (gathered, map) in gathered.zip(single.maps().blocks.chunks_exact(size.places())) {
                    gathered[image * size.places()..][..size.places()].copy_from_slice(map);
                }
            }
            let mut all = PingPong { map: all_map, next: all_next, images, size, blocks };
            all.run_layers(together, scratch);
            self.means(&all.maps())
        })
    }

    /// The last convolution, with ReLU6 and the mean over the positions of each picture.
    fn means(&self, maps: &FeatureMaps<'_>) -> Vec<f32> {
        let (places, to) = (maps.size.places(), self.head.to());
        let rows = maps.images * places;
        let mut sums = vec![Block::default(); maps.images * to];
        let image: Vec<usize> = (0..rows).map(|row| row / places).collect();
        let input = Rows { blocks: maps.blocks, block_stride: rows };
        let mut epilogue = Sum { image: &image, to, sums: &mut sums };
        self.head.run(input, rows, 0..self.head.panels(), &mut epilogue);
        let numbers = |sums: &[Block]| sums.iter().flat_map(|block| block.0).take(self.channels).collect::<Vec<f32>>();
        let sums = sums.chunks_exact(to).flat_map(numbers);
        sums.map(|sum| sum / places as f32).collect()
    }
}

/// Length in blocks of the largest map that enters these layers or leaves one of them.
fn largest(layers: &[Inverted], (mut size, blocks): (Size, usize)) -> usize {
    let input = size.places() * blocks;
    let outputs = layers.iter().map(|layer| {
        let (out, blocks) = layer.output(size);
        size = out;
        out.places() * blocks
    });
    outputs.fold(input, usize::max)
}

/// The current maps and a buffer for the output of the next layer, which swap roles after each layer.
struct PingPong<'a> {
    map: &'a mut [Block],
    next: &'a mut [Block],
    images: usize,
    size: Size,
    /// Number of blocks of channels.
    blocks: usize,
}

impl PingPong<'_> {
    fn maps(&self) -> FeatureMaps<'_> {
        let Self { images, size, .. } = *self;
        FeatureMaps { blocks: &self.map[..images * size.places() * self.blocks], images, size }
    }

    fn run_layers(&mut self, layers: &[Inverted], scratch: &Scratch) {
        for layer in layers {
            let (out, to) = layer.output(self.size);
            let Self { images, size, blocks, .. } = *self;
            let input = FeatureMaps { blocks: &self.map[..images * size.places() * blocks], images, size };
            layer.forward(&input, &mut self.next[..images * out.places() * to], scratch);
            (self.size, self.blocks) = (out, to);
            std::mem::swap(&mut self.map, &mut self.next);
        }
    }
}

/// Sums of ReLU6 over the positions of each picture.
struct Sum<'a> {
    /// The picture of each row. It is a table, because a division for every vector would take too long.
    image: &'a [usize],
    /// Number of blocks of channels.
    to: usize,
    sums: &'a mut [Block],
}

impl Epilogue for Sum<'_> {
    #[inline(always)]
    fn store<S: Simd>(&mut self, simd: S, row: usize, block: usize, part: usize, sum: S::Vector) {
        let sum = relu6(simd, sum);
        let sums = &mut self.sums[self.image[row] * self.to + block];
        simd.store(simd.add(simd.load(sums, part), sum), sums, part);
    }
}
