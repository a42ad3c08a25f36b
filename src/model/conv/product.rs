//! The matrix product that everything comes down to: rows of inputs times a panel of weights.
//!
//! A register tile of [`Simd::ROWS`] rows by two vectors of outputs stays in registers over the whole
//! sum. A step of it loads two vectors of weights, spreads one input of each row over a vector, and
//! does two fused multiply-adds per row: on AVX2 with six rows 12 of them for 8 loads, which keeps both
//! multipliers busy. Rows are read where the transform wrote them, so that nothing is packed.
//!
//! Each sum is taken by one accumulator in the order of the input channels. It has the same bytes
//! whatever the rows beside it are, and so whatever the batch and the threads.

use super::simd::{BLOCK, Block, Simd};

/// `sums` = `inputs` · `weights`.
///
/// * `inputs`: rows of `from` blocks.
/// * `weights`: panels; of each, `16 · from` steps of [`Simd::PANEL`] blocks.
/// * `sums`: for each row as many blocks as all panels have.
#[inline(always)]
pub(super) fn multiply<S: Simd>(simd: S, inputs: &[Block], from: usize, weights: &[Block], sums: &mut [Block]) {
    let panel = BLOCK * from * S::PANEL;
    let stride = weights.len() / panel * S::PANEL;
    let rows = inputs.len() / from;
    let tiles = rows.div_ceil(S::ROWS);
    let mut first = 0;
    for left in (1..=tiles).rev() {
        // Tiles of nearly the same height: five rows keep the multipliers as busy as six, one row does not.
        let height = (rows - first).div_ceil(left);
        let inputs = &inputs[first * from..][..height * from];
        for (at, weights) in weights.chunks_exact(panel).enumerate() {
            let sums = &mut sums[first * stride + at * S::PANEL..];
            tile(simd, height, inputs, from, weights, sums, stride);
        }
        first += height;
    }
}

/// One register tile of `height` rows.
#[inline(always)]
fn tile<S: Simd>(
    simd: S,
    height: usize,
    inputs: &[Block],
    from: usize,
    weights: &[Block],
    sums: &mut [Block],
    stride: usize,
) {
    assert!(height <= S::ROWS);
    match height {
        1 => fixed::<S, 1>(simd, inputs, from, weights, sums, stride),
        2 => fixed::<S, 2>(simd, inputs, from, weights, sums, stride),
        3 => fixed::<S, 3>(simd, inputs, from, weights, sums, stride),
        4 => fixed::<S, 4>(simd, inputs, from, weights, sums, stride),
        5 => fixed::<S, 5>(simd, inputs, from, weights, sums, stride),
        6 => fixed::<S, 6>(simd, inputs, from, weights, sums, stride),
        7 => fixed::<S, 7>(simd, inputs, from, weights, sums, stride),
        8 => fixed::<S, 8>(simd, inputs, from, weights, sums, stride),
        9 => fixed::<S, 9>(simd, inputs, from, weights, sums, stride),
        10 => fixed::<S, 10>(simd, inputs, from, weights, sums, stride),
        11 => fixed::<S, 11>(simd, inputs, from, weights, sums, stride),
        12 => fixed::<S, 12>(simd, inputs, from, weights, sums, stride),
        _ => unreachable!("no level has higher tiles"),
    }
}

/// The same with the height known to the compiler.
#[inline(always)]
fn fixed<S: Simd, const HEIGHT: usize>(
    simd: S,
    inputs: &[Block],
    from: usize,
    weights: &[Block],
    sums: &mut [Block],
    stride: usize,
) {
    let rows: [&[Block]; HEIGHT] = std::array::from_fn(|row| &inputs[row * from..][..from]);
    let mut accumulators = [[simd.splat(0.0); 2]; HEIGHT];
    // Sixteen steps at a time: one check of bounds for each row.
    for (at, weights) in weights.chunks_exact(BLOCK * S::PANEL).enumerate().take(from) {
        let inputs: [&Block; HEIGHT] = std::array::from_fn(|row| &rows[row][at]);
        for step in 0..BLOCK {
            let weights = [part(simd, weights, 2 * step), part(simd, weights, 2 * step + 1)];
            for (accumulators, input) in accumulators.iter_mut().zip(inputs) {
                let input = simd.splat(input.0[step]);
                for (accumulator, weight) in accumulators.iter_mut().zip(weights) {
                    *accumulator = simd.mul_add(input, weight, *accumulator);
                }
            }
        }
    }
    for (row, accumulators) in accumulators.into_iter().enumerate() {
        let sums = &mut sums[row * stride..][..S::PANEL];
        for (half, accumulator) in accumulators.into_iter().enumerate() {
            simd.store(accumulator, &mut sums[half / S::PARTS], half % S::PARTS);
        }
    }
}

/// The `at`-th vector in a slice of blocks.
#[inline(always)]
fn part<S: Simd>(simd: S, blocks: &[Block], at: usize) -> S::Vector {
    simd.load(&blocks[at / S::PARTS], at % S::PARTS)
}
