//! ResNets with bottleneck blocks on the CPU, up to the mean over the last positions. Batch normalisation is folded
//! into the weights.
//!
//! In reading order, after the [`kernels`](super::kernels) that all networks share and the 3×3 convolutions of
//! [`conv`](super::conv): `pointwise` (1×1 convolutions), `strided` (3×3 convolutions with stride 2), `stem` (the first
//! layers), `bottleneck` (a block), and this file (the network). In early layers maps are large, so each picture is
//! processed alone. In later layers weights are large, so all pictures are processed together. Every number is computed
//! by one thread in one fixed order, so the bytes are the same for any number of threads and any batch, on one kind of
//! processor.

mod bottleneck;
mod pointwise;
mod stem;
mod strided;

use rayon::prelude::*;

use super::conv::{BlockOrder, MapLayout};
use super::kernels::dense::LayerParams;
use super::kernels::scratch::Scratch;
use super::kernels::simd::{Block, SimdLevel};
use bottleneck::Bottleneck;
use stem::Stem;

pub(super) use bottleneck::BottleneckWeights;

/// Red, green and blue.
const COLOURS: usize = 3;

/// The network, with the weights in the layout of the kernels.
#[derive(Debug)]
pub(super) struct ResNet {
    stem: Stem,
    /// Blocks that process one picture at a time, and those that process all pictures together.
    per_image: Vec<Bottleneck>,
    batched: Vec<Bottleneck>,
    channels: usize,
    scratch: Scratch,
}

impl ResNet {
    /// `stem` is (to, 3, 7, 7).
    pub(super) fn new(level: SimdLevel, stem: &LayerParams<'_>, blocks: &[BottleneckWeights<'_>]) -> Self {
        let mut per_image: Vec<Bottleneck> = blocks.iter().map(|block| Bottleneck::new(level, block)).collect();
        let batched = per_image.split_off(per_image.iter().take_while(|block| block.order == BlockOrder::Rows).count());
        let channels = blocks.last().unwrap_or_else(|| unreachable!("a network has blocks")).expand.bias.len();
        Self { stem: Stem::new(level, stem), per_image, batched, channels, scratch: Scratch::default() }
    }

    /// The means of the last channels over all positions, for `planes`, (images, 3, height, width). No dimension may be
    /// 0.
    pub(super) fn forward(&self, planes: &[f32], [images, height, width]: [usize; 3]) -> Vec<f32> {
        assert!(images > 0 && planes.len() == images * COLOURS * height * width, "the shape of the planes");
        // One job for all layers: entering the thread pool for every layer costs more than the smallest layers.
        rayon::scope(|_| self.forward_in_pool(planes, [images, height, width]))
    }

    fn forward_in_pool(&self, planes: &[f32], [images, height, width]: [usize; 3]) -> Vec<f32> {
        let (size, scratch) = ([height, width], &self.scratch);
        let first = self.stem.output(size);
        let image_maps = self.per_image.iter().fold(first, |maps, block| block.output(&maps));
        let gathered = MapLayout { images, ..image_maps };
        let length = largest(&self.batched, gathered);
        scratch.with([length, length], |[all, all_next]| {
            let pictures = planes.par_chunks_exact(planes.len() / images);
            pictures.zip(all.par_chunks_exact_mut(image_maps.len())).for_each(|(planes, gathered)| {
                let length = largest(&self.per_image, first);
                scratch.with([length, length], |[map, next]| {
                    self.stem.forward(planes, size, &mut map[..first.len()], scratch);
                    let mut buffers = [map, next];
                    run_layers(&self.per_image, first, &mut buffers, scratch);
                    gathered.copy_from_slice(&buffers[0][..image_maps.len()]);
                });
            });
            let mut buffers = [all, all_next];
            let maps = run_layers(&self.batched, gathered, &mut buffers, scratch);
            self.means(&maps, buffers[0])
        })
    }

    fn means(&self, maps: &MapLayout, input: &[Block]) -> Vec<f32> {
        let positions = maps.height * maps.width;
        let mut means = Vec::with_capacity(maps.images * self.channels);
        for image in 0..maps.images {
            let blocks = (0..maps.blocks).flat_map(|block| {
                let mut sums = Block::default();
                for y in 0..maps.height {
                    for pixel in &input[maps.at(image, y, block, 0)..][..maps.width] {
                        sums.0.iter_mut().zip(pixel.0).for_each(|(sum, number)| *sum += number);
                    }
                }
                sums.0.map(|sum| sum / positions as f32)
            });
            means.extend(blocks.take(self.channels));
        }
        means
    }
}

/// Length in blocks of the largest map that enters these layers or leaves one of them.
fn largest(layers: &[Bottleneck], mut maps: MapLayout) -> usize {
    let input = maps.len();
    let outputs = layers.iter().map(|layer| {
        maps = layer.output(&maps);
        maps.len()
    });
    outputs.fold(input, usize::max)
}

/// Runs the layers on the first buffer, which holds `maps`. The result is in the first buffer again.
fn run_layers(layers: &[Bottleneck], maps: MapLayout, buffers: &mut [&mut [Block]; 2], scratch: &Scratch) -> MapLayout {
    layers.iter().fold(maps, |maps, layer| layer.forward(&maps, buffers, scratch))
}
