//! The exponential and the activation functions, for vectors.

use super::super::kernels::simd::{BLOCK, Block, Simd};

/// The activation between the two products of an MLP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Activation {
    /// x · Φ(x), the Gaussian error linear unit.
    Gelu,
    /// The approximation by a hyperbolic tangent, as in PyTorch's `gelu(approximate="tanh")`.
    GeluTanh,
    /// The approximation x · σ(1.702 x).
    QuickGelu,
}

impl Activation {
    /// Applies the function to every number.
    #[inline(always)]
    pub(super) fn apply<S: Simd>(self, simd: S, blocks: &mut [Block]) {
        match self {
            Self::Gelu => each(simd, blocks, |x| gelu(simd, x)),
            Self::GeluTanh => each(simd, blocks, |x| gelu_tanh(simd, x)),
            Self::QuickGelu => each(simd, blocks, |x| sigmoid_times(simd, x, simd.mul(x, simd.splat(1.702)))),
        }
    }
}

#[inline(always)]
fn each<S: Simd>(simd: S, blocks: &mut [Block], function: impl Fn(S::Vector) -> S::Vector) {
    for block in blocks {
        for part in 0..S::PARTS {
            let value = function(simd.load(block, part));
            simd.store(value, block, part);
        }
    }
}

/// e^x, accurate to one or two units in the last place. The argument is clamped to -87..88, so the result is positive
/// and finite. NaN stays NaN.
///
/// Method: x = n ln 2 + r with |r| <= ln 2 / 2, then e^x = 2^n e^r, with the polynomial of Cephes' `expf` for e^r.
#[inline(always)]
pub(super) fn exp<S: Simd>(simd: S, x: S::Vector) -> S::Vector {
    // 1.5 · 2^23. Adding it rounds a number of moderate size to an integer, which is then in the last bits of the sum.
    const ROUND: f32 = 12_582_912.0;
    let x = simd.min(simd.splat(88.0), simd.max(simd.splat(-87.0), x));
    let shifted = simd.mul_add(x, simd.splat(std::f32::consts::LOG2_E), simd.splat(ROUND));
    let n = simd.sub(shifted, simd.splat(ROUND));
    // ln 2 in two parts (Cody and Waite). The first has few bits, so its product with n is exact.
    let r = simd.mul_add(n, simd.splat(-0.693_359_4), x);
    let r = simd.mul_add(n, simd.splat(2.121_944_4e-4), r);
    let mut sum = simd.splat(1.987_569_1e-4);
    for coefficient in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5] {
        sum = simd.mul_add(sum, r, simd.splat(coefficient));
    }
    let sum = simd.add(simd.mul_add(simd.mul(r, r), sum, r), simd.splat(1.0));
    // The last bits of the sum are n + 127, the biased exponent of 2^n.
    simd.mul(sum, simd.exponent(simd.add(shifted, simd.splat(127.0))))
}

/// x / (1 + e^-y), that is x · σ(y).
#[inline(always)]
fn sigmoid_times<S: Simd>(simd: S, x: S::Vector, y: S::Vector) -> S::Vector {
    let e = exp(simd, simd.sub(simd.splat(0.0), y));
    simd.div(x, simd.add(e, simd.splat(1.0)))
}

/// x/2 (1 + tanh(√(2/π) (x + 0.044715 x³))), by 1/2 (1 + tanh y) = σ(2y).
#[inline(always)]
fn gelu_tanh<S: Simd>(simd: S, x: S::Vector) -> S::Vector {
    // 2 √(2/π) = 2/√π · √2
    const SLOPE: f32 = std::f32::consts::FRAC_2_SQRT_PI * std::f32::consts::SQRT_2;
    let inner = simd.mul_add(simd.mul(x, x), simd.splat(0.044_715 * SLOPE), simd.splat(SLOPE));
    sigmoid_times(simd, x, simd.mul(x, inner))
}

/// x/2 (1 + erf(x/√2)), by formula 7.1.26 of Abramowitz and Stegun, whose error is at most 1.5e-7. The formula is for
/// positive arguments; the function x erf(x/√2) is even, so |x| is used.
#[inline(always)]
fn gelu<S: Simd>(simd: S, x: S::Vector) -> S::Vector {
    let zero = simd.splat(0.0);
    let size = simd.max(simd.sub(zero, x), x);
    let y = simd.mul(size, simd.splat(std::f32::consts::FRAC_1_SQRT_2));
    let t = simd.div(simd.splat(1.0), simd.mul_add(y, simd.splat(0.327_591_1), simd.splat(1.0)));
    let mut sum = simd.splat(1.061_405_4);
    for coefficient in [-1.453_152, 1.421_413_7, -0.284_496_74, 0.254_829_6] {
        sum = simd.mul_add(sum, t, simd.splat(coefficient));
    }
    let tail = simd.mul(simd.mul(sum, t), exp(simd, simd.sub(zero, simd.mul(y, y))));
    let half = simd.splat(0.5);
    // x/2 + |x|/2 (1 - tail)
    let even = simd.mul(size, simd.sub(simd.splat(1.0), tail));
    simd.mul(half, simd.add(x, even))
}

/// The sum of the numbers of a block, in the same order at every SIMD level.
#[inline(always)]
pub(super) fn total(block: &Block) -> f32 {
    let mut sum = 0.0;
    for i in 0..BLOCK {
        sum += block.0[i];
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::super::super::kernels::simd::{SimdLevel, Task};
    use super::*;

    struct Exp<'a>(&'a mut Block);

    impl Task for Exp<'_> {
        #[inline(always)]
        fn run<S: Simd>(self, simd: S) {
            for part in 0..S::PARTS {
                simd.store(exp(simd, simd.load(self.0, part)), self.0, part);
            }
        }
    }

    struct Apply<'a>(Activation, &'a mut [Block]);

    impl Task for Apply<'_> {
        #[inline(always)]
        fn run<S: Simd>(self, simd: S) {
            self.0.apply(simd, self.1);
        }
    }

    /// Φ(x), the normal distribution function, by Simpson's rule with steps that are fine enough for f32.
    fn gaussian(x: f64) -> f64 {
        let density = |t: f64| (-t * t / 2.0).exp() / std::f64::consts::TAU.sqrt();
        let (steps, h) = (2000, x / 2000.0);
        let inner = |i: u32| if i.is_multiple_of(2) { 2.0 } else { 4.0 } * density(f64::from(i) * h);
        0.5 + h / 3.0 * (density(0.0) + (1..steps).map(inner).sum::<f64>() + density(x))
    }

    #[test]
    fn the_exponential_is_right_to_the_last_places() {
        for level in SimdLevel::all() {
            for step in -870..880 {
                let x = step as f32 / 10.0;
                let mut block = Block([x; BLOCK]);
                level.run(Exp(&mut block));
                let expected = f64::from(x).exp();
                let error = (f64::from(block.0[3]) - expected).abs() / expected;
                assert!(error < 3e-7, "{}: e^{x} is {}", level.name(), block.0[3]);
            }
            let mut block = Block([f32::NAN; BLOCK]);
            (block.0[0], block.0[1], block.0[2]) = (f32::NEG_INFINITY, -1e30, 1e30);
            level.run(Exp(&mut block));
            assert!(block.0[0] < 1e-37 && block.0[1] < 1e-37 && block.0[2] > 1e38 && block.0[3].is_nan());
        }
    }

    #[test]
    fn activations_agree_with_their_definitions() {
        let tanh = |x: f64| 0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3))).tanh());
        let quick = |x: f64| x / (1.0 + (-1.702 * x).exp());
        let exact = |x: f64| x * gaussian(x);
        let cases: [(Activation, &dyn Fn(f64) -> f64); 3] =
            [(Activation::Gelu, &exact), (Activation::GeluTanh, &tanh), (Activation::QuickGelu, &quick)];
        for level in SimdLevel::all() {
            for (activation, definition) in cases {
                let numbers: Vec<f32> = (-160..=160).map(|step| step as f32 / 16.0).collect();
                let mut blocks = super::super::to_blocks(&numbers);
                level.run(Apply(activation, &mut blocks));
                for (x, found) in numbers.iter().zip(blocks.iter().flat_map(|block| block.0)) {
                    let expected = definition(f64::from(*x));
                    let error = (f64::from(found) - expected).abs();
                    assert!(error < 1e-6 * expected.abs().max(0.5), "{activation:?}({x}) is {found}, not {expected}");
                }
                let mut blocks = [Block([f32::NAN; BLOCK])];
                level.run(Apply(activation, &mut blocks));
                assert!(blocks[0].0.iter().all(|x| x.is_nan()));
            }
        }
    }
}
