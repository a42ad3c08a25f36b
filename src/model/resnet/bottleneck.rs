//! A bottleneck: 1×1, 3×3 and 1×1 convolutions with ReLU between them, added to a shortcut, and ReLU.

use super::super::conv::{Maps, Order, Winograd};
use super::super::kernels::dense::Layer;
use super::super::kernels::scratch::Scratch;
use super::super::kernels::simd::{Block, Level};
use super::pointwise::{Pointwise, Then};
use super::strided::{Strided, halved, take_halved};

/// Up to so many channels in the middle, maps lie by rows and a picture goes through alone.
const NARROW_CHANNELS: usize = 128;

/// A block as it is stored.
pub(in super::super) struct Weights<'a> {
    /// (middle, from).
    pub(in super::super) reduce: Layer<'a>,
    /// (middle, middle, 3, 3).
    pub(in super::super) middle: Layer<'a>,
    /// (to, middle).
    pub(in super::super) expand: Layer<'a>,
    /// (to, from), where the block changes the channels; else the input itself is added.
    pub(in super::super) shortcut: Option<Layer<'a>>,
    /// Whether it takes every second place.
    pub(in super::super) halves: bool,
}

/// A block with its weights in the layout of the kernels.
#[derive(Debug)]
pub(super) struct Bottleneck {
    reduce: Pointwise,
    middle: Middle,
    expand: Pointwise,
    shortcut: Option<Pointwise>,
    /// Of what comes out.
    pub(super) order: Order,
}

#[derive(Debug)]
enum Middle {
    Same(Winograd),
    Halving(Strided),
}

impl Bottleneck {
    pub(super) fn new(level: Level, weights: &Weights<'_>) -> Self {
        let Weights { reduce, middle, expand, shortcut, halves } = weights;
        let order = if middle.bias.len() <= NARROW_CHANNELS { Order::Rows } else { Order::Planes };
        let middle = if *halves {
            Middle::Halving(Strided::new(level, middle, order))
        } else {
            Middle::Same(Winograd::new(level, middle.weight, middle.bias, false))
        };
        Self {
            reduce: Pointwise::new(level, reduce),
            middle,
            expand: Pointwise::new(level, expand),
            shortcut: shortcut.as_ref().map(|layer| Pointwise::new(level, layer)),
            order,
        }
    }

    /// What comes out for what goes in.
    pub(super) fn output(&self, input: &Maps) -> Maps {
        self.expand.output(&self.middle.output(&self.reduce.output(input)))
    }

    /// Sends `maps`, which lie in the first buffer, through the block; what comes out is in the first again.
    pub(super) fn forward(&self, maps: &Maps, buffers: &mut [&mut [Block]; 2], scratch: &Scratch) -> Maps {
        let reduced = self.reduce.output(maps);
        let middle = self.middle.output(&reduced);
        let out = self.expand.output(&middle);
        assert!(out.order == self.order, "narrow for the convolution is narrow for the block");
        scratch.with([reduced.len(), middle.len()], |[before, after]| {
            let [input, next] = buffers;
            self.reduce.forward(maps, &input[..maps.len()], Then::Rectify, before);
            match &self.middle {
                Middle::Same(winograd) => winograd.forward(&reduced, before, after, scratch),
                Middle::Halving(strided) => strided.forward(&reduced, before, after, scratch),
            }
            if let Some(shortcut) = &self.shortcut {
                self.bring(shortcut, maps, &input[..maps.len()], &mut next[..out.len()], scratch);
                std::mem::swap(input, next);
            }
            self.expand.forward(&middle, after, Then::Add, &mut input[..out.len()]);
        });
        out
    }

    /// What the shortcut makes of the input.
    fn bring(&self, shortcut: &Pointwise, maps: &Maps, input: &[Block], output: &mut [Block], scratch: &Scratch) {
        match self.middle {
            Middle::Same(_) => shortcut.forward(maps, input, Then::Keep, output),
            Middle::Halving(_) => {
                let half = halved(maps, self.order);
                scratch.with([half.len()], |[places]| {
                    take_halved(maps, input, self.order, places);
                    shortcut.forward(&half, places, Then::Keep, output);
                });
            }
        }
    }
}

impl Middle {
    fn output(&self, input: &Maps) -> Maps {
        match self {
            Self::Same(winograd) => winograd.output(input),
            Self::Halving(strided) => strided.output(input),
        }
    }
}
