//! A depthwise convolution (one kernel per channel), its bias, and ReLU6.
//!
//! The input has a border of zeros, so no output needs a special case at the edge. A register tile is several outputs
//! of a row; each input is loaded once and used for all outputs of the tile that it contributes to.

use super::super::kernels::product::strips;
use super::super::kernels::simd::{BLOCK, Block, Simd, SimdLevel, Task};
use super::{Size, relu6};

/// Outputs per register tile.
const TILE: usize = 8;

/// The layer: the kernels of all channels, by blocks of sixteen.
#[derive(Debug)]
pub(super) struct Depthwise {
    level: SimdLevel,
    /// Laid out by block of channels, tap.
    weights: Vec<Block>,
    bias: Vec<Block>,
    /// Side of the kernel, 3 or 5; and stride, 1 or 2.
    pub(super) side: usize,
    pub(super) stride: usize,
}

impl Depthwise {
    /// `weight` is (channels, 1, side, side), `bias` is (channels).
    pub(super) fn new(level: SimdLevel, weight: &[f32], bias: &[f32], stride: usize) -> Self {
        let taps = weight.len() / bias.len();
        let side = taps.isqrt();
        assert!(matches!((side, stride), (3 | 5, 1 | 2)), "the kernels that EfficientNet-Lite has");
        let blocks = bias.len().div_ceil(BLOCK);
        let (mut weights, mut biases) = (vec![Block::default(); blocks * taps], vec![Block::default(); blocks]);
        for (channel, kernel) in weight.chunks_exact(taps).enumerate() {
            let (block, lane) = (channel / BLOCK, channel % BLOCK);
            biases[block].0[lane] = bias[channel];
            for (tap, &number) in kernel.iter().enumerate() {
                weights[block * taps + tap].0[lane] = number;
            }
        }
        Self { level, weights, bias: biases, side, stride }
    }

    /// Number of blocks of channels.
    pub(super) fn blocks(&self) -> usize {
        self.bias.len()
    }

    /// Size of the output for a map of this size.
    pub(super) fn output(&self, input: Size) -> Size {
        Size { height: input.height.div_ceil(self.stride), width: input.width.div_ceil(self.stride) }
    }

    /// Padding that TensorFlow's "same" mode puts before a line of `input` positions. If the total padding is odd, the
    /// larger part goes after the line.
    pub(super) fn padding_before(&self, input: usize) -> usize {
        self.reach(input.div_ceil(self.stride)).saturating_sub(input) / 2
    }

    /// Number of consecutive inputs that `outputs` consecutive outputs read.
    pub(super) fn reach(&self, outputs: usize) -> usize {
        (outputs - 1) * self.stride + self.side
    }

    /// Number of outputs that `inputs` consecutive inputs are sufficient for.
    pub(super) fn outputs(&self, inputs: usize) -> usize {
        inputs.saturating_sub(self.side - self.stride) / self.stride
    }

    /// Number of inputs that two neighbouring outputs share.
    pub(super) fn overlap(&self) -> usize {
        self.side - self.stride
    }

    /// Computes rows of outputs, each `width` wide, of one block of channels. `input` has [`Self::reach`] rows and
    /// columns.
    pub(super) fn forward(&self, block: usize, input: &[Block], width: usize, output: &mut [Block]) {
        self.level.run(DepthwiseRows { layer: self, block, input, width, output });
    }
}

struct DepthwiseRows<'a> {
    layer: &'a Depthwise,
    block: usize,
    input: &'a [Block],
    width: usize,
    output: &'a mut [Block],
}

impl Task for DepthwiseRows<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        match (self.layer.side, self.layer.stride) {
            (3, 1) => self.run_kernel::<S, 3, 1>(simd),
            (3, _) => self.run_kernel::<S, 3, 2>(simd),
            (_, 1) => self.run_kernel::<S, 5, 1>(simd),
            _ => self.run_kernel::<S, 5, 2>(simd),
        }
    }
}

impl DepthwiseRows<'_> {
    #[inline(always)]
    fn run_kernel<S: Simd, const SIDE: usize, const STRIDE: usize>(self, simd: S) {
        let Self { layer, block, input, width, output } = self;
        let row_length = layer.reach(width);
        let weights = &layer.weights[block * SIDE * SIDE..][..SIDE * SIDE];
        let bias = &layer.bias[block];
        for (y, output) in output.chunks_exact_mut(width).enumerate() {
            let input = &input[y * STRIDE * row_length..][..SIDE * row_length];
            for strip in strips(width, TILE) {
                let output = &mut output[strip.first..][..strip.height];
                let tile = Tile { input: &input[strip.first * STRIDE..], row_length, weights, bias };
                match strip.height {
                    1 => tile.run::<S, SIDE, STRIDE, 1>(simd, output),
                    2 => tile.run::<S, SIDE, STRIDE, 2>(simd, output),
                    3 => tile.run::<S, SIDE, STRIDE, 3>(simd, output),
                    4 => tile.run::<S, SIDE, STRIDE, 4>(simd, output),
                    5 => tile.run::<S, SIDE, STRIDE, 5>(simd, output),
                    6 => tile.run::<S, SIDE, STRIDE, 6>(simd, output),
                    7 => tile.run::<S, SIDE, STRIDE, 7>(simd, output),
                    _ => tile.run::<S, SIDE, STRIDE, 8>(simd, output),
                }
            }
        }
    }
}

struct Tile<'a> {
    input: &'a [Block],
    row_length: usize,
    weights: &'a [Block],
    bias: &'a Block,
}

impl Tile<'_> {
    #[inline(always)]
    fn run<S: Simd, const SIDE: usize, const STRIDE: usize, const WIDTH: usize>(&self, simd: S, output: &mut [Block]) {
        for part in 0..S::PARTS {
            let mut sums = [simd.load(self.bias, part); WIDTH];
            for (weights, input) in self.weights.chunks_exact(SIDE).zip(self.input.chunks(self.row_length)) {
                let mut kernel = [simd.splat(0.0); SIDE];
                for (tap, weight) in kernel.iter_mut().zip(weights) {
                    *tap = simd.load(weight, part);
                }
                let reach = (WIDTH - 1) * STRIDE + SIDE;
                for (x, block) in input[..reach].iter().enumerate() {
                    let number = simd.load(block, part);
                    for (index, sum) in sums.iter_mut().enumerate() {
                        // All bounds are constants, so the compiler unrolls the loops and removes this condition.
                        if (index * STRIDE..index * STRIDE + SIDE).contains(&x) {
                            *sum = simd.mul_add(number, kernel[x - index * STRIDE], *sum);
                        }
                    }
                }
            }
            for (output, sum) in output.iter_mut().zip(sums) {
                simd.store(relu6(simd, sum), output, part);
            }
        }
    }
}
