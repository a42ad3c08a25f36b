//! ResNets of bottlenecks on the CPU, up to the mean over the last places. Batch normalisation is already in the weights.
//!
//! In reading order, after the [`kernels`](super::kernels) that all networks share and the 3×3 convolutions of
//! [`conv`](super::conv): `pointwise` (1×1 convolutions), `strided` (those of every second place), `stem` (from pixels),
//! `bottleneck` (a block), and here the network. While maps are large each picture goes through alone; where weights are
//! many, all pictures go through together. Every number is computed by one thread in one order: the bytes are the same for
//! any number of threads and any batch, on one kind of processor.

mod bottleneck;
mod pointwise;
mod stem;
mod strided;

use rayon::prelude::*;

use super::conv::{Maps, Order};
use super::kernels::dense::Layer;
use super::kernels::scratch::Scratch;
use super::kernels::simd::{Block, Level};
use bottleneck::Bottleneck;
use stem::Stem;

pub(super) use bottleneck::Weights;

/// Red, green and blue.
const COLOURS: usize = 3;

/// The network with its weights in the layout of the kernels.
#[derive(Debug)]
pub(super) struct Network {
    stem: Stem,
    /// Blocks that a picture goes through alone, and those that all go through together.
    alone: Vec<Bottleneck>,
    together: Vec<Bottleneck>,
    channels: usize,
    scratch: Scratch,
}

impl Network {
    /// `stem` is (to, 3, 7, 7).
    pub(super) fn new(level: Level, stem: &Layer<'_>, blocks: &[Weights<'_>]) -> Self {
        let mut alone: Vec<Bottleneck> = blocks.iter().map(|block| Bottleneck::new(level, block)).collect();
        let together = alone.split_off(alone.iter().take_while(|block| block.order == Order::Rows).count());
        let channels = blocks.last().unwrap_or_else(|| unreachable!("a network has blocks")).expand.bias.len();
        Self { stem: Stem::new(level, stem), alone, together, channels, scratch: Scratch::default() }
    }

    /// The means of the last channels over the places, for `planes`, (images, 3, height, width), none of them 0.
    pub(super) fn forward(&self, planes: &[f32], [images, height, width]: [usize; 3]) -> Vec<f32> {
        assert!(images > 0 && planes.len() == images * COLOURS * height * width, "the shape of the planes");
        // In one job of the pool: entering it for every layer costs more than the smallest layers.
        rayon::scope(|_| self.through(planes, [images, height, width]))
    }

    fn through(&self, planes: &[f32], [images, height, width]: [usize; 3]) -> Vec<f32> {
        let (size, scratch) = ([height, width], &self.scratch);
        let first = self.stem.output(size);
        let one = self.alone.iter().fold(first, |maps, block| block.output(&maps));
        let gathered = Maps { images, ..one };
        let length = largest(&self.together, gathered);
        scratch.with([length, length], |[all, all_next]| {
            let pictures = planes.par_chunks_exact(planes.len() / images);
            pictures.zip(all.par_chunks_exact_mut(one.len())).for_each(|(planes, gathered)| {
                let length = largest(&self.alone, first);
                scratch.with([length, length], |[map, next]| {
                    self.stem.forward(planes, size, &mut map[..first.len()], scratch);
                    let mut buffers = [map, next];
                    in_turns(&self.alone, first, &mut buffers, scratch);
                    gathered.copy_from_slice(&buffers[0][..one.len()]);
                });
            });
            let mut buffers = [all, all_next];
            let maps = in_turns(&self.together, gathered, &mut buffers, scratch);
            self.means(&maps, buffers[0])
        })
    }

    fn means(&self, maps: &Maps, input: &[Block]) -> Vec<f32> {
        let places = maps.height * maps.width;
        let mut means = Vec::with_capacity(maps.images * self.channels);
        for image in 0..maps.images {
            let blocks = (0..maps.blocks).flat_map(|block| {
                let mut sums = Block::default();
                for y in 0..maps.height {
                    for place in &input[maps.at(image, y, block, 0)..][..maps.width] {
                        sums.0.iter_mut().zip(place.0).for_each(|(sum, number)| *sum += number);
                    }
                }
                sums.0.map(|sum| sum / places as f32)
            });
            means.extend(blocks.take(self.channels));
        }
        means
    }
}

/// Blocks that the largest map holds which goes into these layers or comes out of one.
fn largest(layers: &[Bottleneck], mut maps: Maps) -> usize {
    let input = maps.len();
    let outputs = layers.iter().map(|layer| {
        maps = layer.output(&maps);
        maps.len()
    });
    outputs.fold(input, usize::max)
}

/// Sends the first buffer, which holds `maps`, through some layers; what comes out is in the first again.
fn in_turns(layers: &[Bottleneck], maps: Maps, buffers: &mut [&mut [Block]; 2], scratch: &Scratch) -> Maps {
    layers.iter().fold(maps, |maps, layer| layer.forward(&maps, buffers, scratch))
}
