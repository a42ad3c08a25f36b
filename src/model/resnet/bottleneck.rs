//! A bottleneck block: 1×1, 3×3 and 1×1 convolutions with ReLU between them; the result is added to a shortcut, and
//! ReLU follows.

use super::super::conv::{BlockOrder, MapLayout, Winograd};
use super::super::kernels::dense::LayerParams;
use super::super::kernels::scratch::Scratch;
use super::super::kernels::simd::{Block, SimdLevel};
use super::pointwise::{EpilogueKind, Pointwise};
use super::strided::{Strided, subsample, subsampled};

/// Up to this many channels in the 3×3 convolution, maps are in row order and each picture is processed alone.
const NARROW_CHANNELS: usize = 128;

/// The layers of a block as stored in a weights file.
pub(in super::super) struct BottleneckWeights<'a> {
    /// (middle, from).
    pub(in super::super) reduce: LayerParams<'a>,
    /// (middle, middle, 3, 3).
    pub(in super::super) middle: LayerParams<'a>,
    /// (to, middle).
    pub(in super::super) expand: LayerParams<'a>,
    /// (to, from), if the block changes the number of channels or the size. Otherwise the shortcut is the input itself.
    pub(in super::super) shortcut: Option<LayerParams<'a>>,
    /// Whether the block halves height and width.
    pub(in super::super) downsamples: bool,
}

/// A block, with the weights in the layout of the kernels.
#[derive(Debug)]
pub(super) struct Bottleneck {
    reduce: Pointwise,
    middle: Middle,
    expand: Pointwise,
    shortcut: Option<Pointwise>,
    /// Order of the output.
    pub(super) order: BlockOrder,
}

#[derive(Debug)]
enum Middle {
    Unstrided(Winograd),
    Strided(Strided),
}

impl Bottleneck {
    pub(super) fn new(level: SimdLevel, weights: &BottleneckWeights<'_>) -> Self {
        let BottleneckWeights { reduce, middle, expand, shortcut, downsamples } = weights;
        let order = if middle.bias.len() <= NARROW_CHANNELS { BlockOrder::Rows } else { BlockOrder::Planes };
        let middle = if *downsamples {
            Middle::Strided(Strided::new(level, middle, order))
        } else {
            Middle::Unstrided(Winograd::new(level, middle.weight, middle.bias, false))
        };
        Self {
            reduce: Pointwise::new(level, reduce),
            middle,
            expand: Pointwise::new(level, expand),
            shortcut: shortcut.as_ref().map(|layer| Pointwise::new(level, layer)),
            order,
        }
    }

    /// Layout of the output for an input of this layout.
    pub(super) fn output(&self, input: &MapLayout) -> MapLayout {
        self.expand.output(&self.middle.output(&self.reduce.output(input)))
    }

    /// Computes the block on the first buffer, which holds `maps`. The output is in the first buffer again.
    pub(super) fn forward(&self, maps: &MapLayout, buffers: &mut [&mut [Block]; 2], scratch: &Scratch) -> MapLayout {
        let reduced = self.reduce.output(maps);
        let middle = self.middle.output(&reduced);
        let out = self.expand.output(&middle);
        assert!(out.order == self.order, "the order of the last convolution is the order of the block");
        scratch.with([reduced.len(), middle.len()], |[before, after]| {
            let [input, next] = buffers;
            self.reduce.forward(maps, &input[..maps.len()], EpilogueKind::Relu, before);
            match &self.middle {
                Middle::Unstrided(winograd) => winograd.forward(&reduced, before, after, scratch),
                Middle::Strided(strided) => strided.forward(&reduced, before, after, scratch),
            }
            // The last convolution adds to its output buffer, so the shortcut has to be there first.
            if let Some(shortcut) = &self.shortcut {
                self.run_shortcut(shortcut, maps, &input[..maps.len()], &mut next[..out.len()], scratch);
                std::mem::swap(input, next);
            }
            self.expand.forward(&middle, after, EpilogueKind::Add, &mut input[..out.len()]);
        });
        out
    }

    /// Computes the shortcut of the input.
    fn run_shortcut(
        &self,
        shortcut: &Pointwise,
        maps: &MapLayout,
        input: &[Block],
        output: &mut [Block],
        scratch: &Scratch,
    ) {
        match self.middle {
            Middle::Unstrided(_) => shortcut.forward(maps, input, EpilogueKind::Store, output),
            Middle::Strided(_) => {
                let subsampled_maps = subsampled(maps, self.order);
                scratch.with([subsampled_maps.len()], |[subsampled_input]| {
                    subsample(maps, input, self.order, subsampled_input);
                    shortcut.forward(&subsampled_maps, subsampled_input, EpilogueKind::Store, output);
                });
            }
        }
    }
}

impl Middle {
    fn output(&self, input: &MapLayout) -> MapLayout {
        match self {
            Self::Unstrided(winograd) => winograd.output(input),
            Self::Strided(strided) => strided.output(input),
        }
    }
}
