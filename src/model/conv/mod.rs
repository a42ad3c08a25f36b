//! The convolutions of a VGG network on the CPU: a trunk of 3×3 convolutions with padding 1, each with
//! bias and ReLU, some with 2×2 maximum pooling. ResNet takes single layers of it.
//!
//! In reading order, after the kernels that all networks share: `transform`, `tiles` and `winograd` (a
//! layer), `direct` (the first layer), and here the layers in a row. Every number is computed by one thread
//! in one order: the bytes are the same for any number of threads and any batch, on one kind of processor.

mod direct;
mod maps;
mod tiles;
mod transform;
mod winograd;

use std::sync::{Mutex, PoisonError};

use super::kernels::scratch::Scratch;
use super::kernels::simd::{BLOCK, Block};
use direct::Direct;

pub(super) use maps::{Maps, Order};
pub(super) use winograd::Winograd;

pub use super::kernels::simd::{Level, NoLevel};

/// A convolution as it is stored.
#[derive(Clone, Copy, Debug)]
pub struct Convolution<'a> {
    /// (outputs, inputs, 3, 3).
    pub weight: &'a [f32],
    /// (outputs).
    pub bias: &'a [f32],
    /// Whether 2×2 maximum pooling follows.
    pub pool: bool,
}

/// Convolutions in a row, with their weights in the layout of the kernels.
#[derive(Debug)]
pub struct Trunk {
    first: Direct,
    /// Layers that a picture goes through alone, while its maps are in the cache.
    narrow: Vec<Winograd>,
    /// Layers that all pictures go through together, once past their weights.
    wide: Vec<Winograd>,
    channels: usize,
    /// Memory that no batch goes through at the moment.
    free: Mutex<Vec<Memory>>,
}

/// What a batch needs beside the weights; it grows to the largest batch and is used again.
#[derive(Debug, Default)]
struct Memory {
    /// Input and output of a layer, taking turns: of one picture, of all.
    one: [Vec<Block>; 2],
    all: [Vec<Block>; 2],
    scratch: Scratch,
}

impl Trunk {
    /// Brings the weights into their layout: 4 times their size. The first convolution must not pool.
    pub fn new(level: Level, convolutions: &[Convolution<'_>]) -> Self {
        let (first, others) = convolutions.split_first().expect("a trunk has a layer");
        assert!(!first.pool, "the first layer does not pool");
        let winograd = |c: &Convolution<'_>| Winograd::new(level, c.weight, c.bias, c.pool);
        let mut narrow: Vec<Winograd> = others.iter().map(winograd).collect();
        let wide = narrow.split_off(narrow.iter().take_while(|layer| layer.narrow).count());
        let channels = convolutions.last().map_or(0, |last| last.bias.len());
        Self { first: Direct::new(level, first.weight, first.bias), narrow, wide, channels, free: Mutex::default() }
    }

    /// (images, channels, height, width) of what comes out for pictures of this size.
    pub fn output(&self, [images, height, width]: [usize; 3]) -> [usize; 4] {
        let maps = self.first.output(images, height, width);
        let maps = self.narrow.iter().chain(&self.wide).fold(maps, |maps, layer| layer.output(&maps));
        [images, self.channels, maps.height, maps.width]
    }

    /// What comes out for `planes`, (images, inputs, height, width), none of them 0.
    pub fn forward(&self, planes: &[f32], [images, height, width]: [usize; 3]) -> Vec<f32> {
        assert!(images > 0 && planes.len() == images * self.first.inputs() * height * width, "the shape of the planes");
        // No lock is held meanwhile: a thread that waits for others may take up another caller's batch.
        let free = || self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let mut memory = free().pop().unwrap_or_default();
        // In one job of the pool: entering it for every layer costs more than the smallest layers.
        let out = rayon::scope(|_| self.through(planes, [images, height, width], &mut memory));
        free().push(memory);
        out
    }

    fn through(&self, planes: &[f32], [images, height, width]: [usize; 3], memory: &mut Memory) -> Vec<f32> {
        let Memory { one, all, scratch } = memory;
        let first = self.first.output(1, height, width);
        let narrowed = self.narrow.iter().fold(first, |maps, layer| layer.output(&maps));
        let maps = Maps { images, ..narrowed };
        all[0].resize(maps.len(), Block::default());
        for (image, planes) in planes.chunks_exact(planes.len() / images).enumerate() {
            one[0].resize(first.len(), Block::default());
            self.first.forward(planes, &first, &mut one[0], scratch);
            let maps = in_turns(&self.narrow, first, one, scratch);
            all[0][image * maps.len()..][..maps.len()].copy_from_slice(&one[0]);
        }
        let maps = in_turns(&self.wide, maps, all, scratch);
        unblocked(&maps, &all[0], self.channels)
    }
}

/// Sends the first buffer, which holds `maps`, through some layers; what comes out is in the first again.
fn in_turns(layers: &[Winograd], mut maps: Maps, buffers: &mut [Vec<Block>; 2], scratch: &Scratch) -> Maps {
    for layer in layers {
        let out = layer.output(&maps);
        let [from, to] = buffers.each_mut();
        to.resize(out.len(), Block::default());
        layer.forward(&maps, from, to, scratch);
        std::mem::swap(from, to);
        maps = out;
    }
    maps
}

/// (images, channels, height, width).
fn unblocked(maps: &Maps, blocks: &[Block], channels: usize) -> Vec<f32> {
    let mut planes = Vec::with_capacity(maps.images * channels * maps.height * maps.width);
    for image in 0..maps.images {
        for channel in 0..channels {
            for y in 0..maps.height {
                let at = maps.at(image, y, channel / BLOCK, 0);
                planes.extend(blocks[at..at + maps.width].iter().map(|block| block.0[channel % BLOCK]));
            }
        }
    }
    planes
}

#[cfg(test)]
mod tests;
