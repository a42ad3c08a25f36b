//! Repulsion by a convolution on a grid: O(n) for the points, O(m log m) for the m nodes.
//!
//! As in FIt-SNE (Linderman et al. 2019) the kernel is evaluated on a grid that moves to where the
//! points are; unlike there, points are spread with B-splines and the kernel is corrected for that
//! in Fourier space, as in the smooth particle mesh method (Essmann et al. 1995). The spectrum of
//! the Cauchy kernel falls like exp(−k), so nodes further apart do; one charge per point and one
//! transform each way give the potential Σⱼ 1/(1 + |y − yⱼ|²), whose sum is Z and whose slope,
//! taken from the splines, is the force: −½ ∇.

use rayon::prelude::*;

use super::convolution::{Convolution, Own, good_size};
use super::spline::weights;
use crate::linalg::{CHUNK, bounds, in_order};

/// Order of the splines: each point touches ORDER × ORDER nodes.
const ORDER: usize = 6;
/// Distance of the nodes; the kernel has width 1. Wider nodes are faster, but the error of the
/// forces turns signs, which the gains punish: at 1/2 layouts end 1 to 3 % higher in KL.
const SPACING: f32 = 1.0 / 3.0;
/// Rows of the grid per task when points are spread.
const STRIP: usize = 16;
/// The largest side of a grid, in nodes. Layouts of up to about 10⁶ points stay below; beyond it
/// the nodes move apart.
const LARGEST: usize = 2560;

/// The grid of the last call, reused as long as its size fits.
#[derive(Default)]
pub(super) struct Grid {
    convolution: Option<(f32, Convolution)>,
    nodes: Vec<f32>,
    by_row: ByRow,
}

/// Points in the order of the grid row they start on.
#[derive(Default)]
struct ByRow {
    order: Vec<u32>,
    /// Where each row begins in the order.
    starts: Vec<usize>,
}

/// Where the grid lies.
#[derive(Clone, Copy)]
struct Frame {
    origin: [f32; 2],
    per_unit: f32,
}

impl Frame {
    /// The cell of a coordinate and the place in it, 0..1.
    fn cell(&self, value: f32, axis: usize) -> (usize, f32) {
        let at = (value - self.origin[axis]) * self.per_unit;
        let cell = at as usize;
        (cell, at - cell as f32)
    }
}

impl Grid {
    /// Writes the force on each point and gives Z.
    pub(super) fn compute(&mut self, xy: &[[f32; 2]], force: &mut [[f32; 2]]) -> f64 {
        let frame = self.place(xy);
        let Some((_, convolution)) = &mut self.convolution else {
            return 0.0;
        };
        let (width, own) = (convolution.width, convolution.own);
        self.by_row.sort(xy, &frame, convolution.height);
        spread(xy, &frame, width, &self.by_row, &mut self.nodes);
        convolution.apply(&mut self.nodes);
        let nodes = &self.nodes;
        let [z] = in_order(xy.par_chunks(CHUNK).zip(force.par_chunks_mut(CHUNK)).map(|(xy, force)| {
            let mut z = 0.0;
            for (point, force) in xy.iter().zip(force) {
                let [potential, dx, dy] = read(point, &frame, width, nodes, &own);
                z += f64::from(potential) - own.mean;
                *force = [-0.5 * frame.per_unit * dx, -0.5 * frame.per_unit * dy];
            }
            [z]
        }));
        z
    }

    /// Puts a grid over the points, a new one if the last does not fit.
    fn place(&mut self, xy: &[[f32; 2]]) -> Frame {
        let [low, high] = bounds(xy.iter().map(|p| p.map(f64::from))).map(|p| p.map(|x| x as f32));
        let longest = (high[0] - low[0]).max(high[1] - low[1]);
        let spacing = SPACING.max(longest / (LARGEST - ORDER - 1) as f32);
        // One node of slack each side for the rounding of the cells.
        let side = |axis: usize| {
            let nodes = ((high[axis] - low[axis]) / spacing) as usize + ORDER + 2;
            good_size(2 * nodes) / 2
        };
        let (width, height) = (side(0), side(1));
        let fits =
            self.convolution.as_ref().is_some_and(|(s, c)| *s == spacing && c.width == width && c.height == height);
        if !fits {
            let made = Convolution::new(height, width, f64::from(spacing), ORDER);
            self.convolution = Some((spacing, made));
            self.nodes = vec![0.0; height * width];
        }
        Frame { origin: low.map(|x| x - spacing / 2.0), per_unit: 1.0 / spacing }
    }
}

impl ByRow {
    /// Counting sort; stable.
    fn sort(&mut self, xy: &[[f32; 2]], frame: &Frame, height: usize) {
        let Self { order, starts } = self;
        starts.clear();
        starts.resize(height + 1, 0);
        for p in xy {
            starts[frame.cell(p[1], 1).0 + 1] += 1;
        }
        for r in 0..height {
            starts[r + 1] += starts[r];
        }
        let mut next = starts.clone();
        order.resize(xy.len(), 0);
        for (i, p) in xy.iter().enumerate() {
            let row = frame.cell(p[1], 1).0;
            order[next[row]] = i as u32;
            next[row] += 1;
        }
    }
}

/// Charges of 1 at the points, spread over the nodes. A strip of rows is written by one task, in
/// the order of the points, so that the sums do not depend on the threads.
fn spread(xy: &[[f32; 2]], frame: &Frame, width: usize, by_row: &ByRow, nodes: &mut [f32]) {
    let ByRow { order, starts } = by_row;
    nodes.par_chunks_mut(STRIP * width).enumerate().for_each(|(strip, nodes)| {
        nodes.fill(0.0);
        let first = strip * STRIP;
        let height = nodes.len() / width;
        let from = starts[(first + 1).saturating_sub(ORDER)];
        for &i in &order[from..starts[first + height]] {
            let p = xy[i as usize];
            let (column, t) = frame.cell(p[0], 0);
            let (across, _) = weights::<ORDER>(t);
            let (row, t) = frame.cell(p[1], 1);
            let (down, _) = weights::<ORDER>(t);
            let skipped = first.saturating_sub(row);
            for (k, weight) in down.iter().enumerate().skip(skipped) {
                let Some(at) = (row + k).checked_sub(first).filter(|&r| r < height) else {
                    break;
                };
                let nodes = &mut nodes[at * width + column..][..ORDER];
                nodes.iter_mut().zip(&across).for_each(|(n, w)| *n += weight * w);
            }
        }
    });
}

/// Potential at a point, and its slopes per node without what the point does to itself.
fn read(p: &[f32; 2], frame: &Frame, width: usize, nodes: &[f32], own: &Own) -> [f32; 3] {
    let (column, x) = frame.cell(p[0], 0);
    let (across, slope_x) = weights::<ORDER>(x);
    let (row, y) = frame.cell(p[1], 1);
    let (down, slope_y) = weights::<ORDER>(y);
    // Lanes over the columns: down the rows first, then across.
    let (mut value, mut slope) = ([0.0f32; ORDER], [0.0f32; ORDER]);
    for k in 0..ORDER {
        let nodes = &nodes[(row + k) * width + column..][..ORDER];
        for c in 0..ORDER {
            value[c] += down[k] * nodes[c];
            slope[c] += slope_y[k] * nodes[c];
        }
    }
    // Half of the slope of its own potential: the other half is that of its charge.
    let mut sums = [0.0, own.slope(0, x), own.slope(1, y)];
    for c in 0..ORDER {
        sums[0] += across[c] * value[c];
        sums[1] += slope_x[c] * value[c];
        sums[2] += across[c] * slope[c];
    }
    sums
}

#[cfg(test)]
#[path = "grid_tests.rs"]
mod tests;
