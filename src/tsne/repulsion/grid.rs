//! Repulsion by a convolution on a grid: O(n) for the points, O(m log m) for the m nodes.
//!
//! As in FIt-SNE (Linderman et al. 2019), the kernel is evaluated on a grid that covers the points. Unlike there,
//! charges are spread over the nodes with B-splines, and the kernel is corrected for that in Fourier space, as in the
//! smooth particle mesh Ewald method (Essmann et al. 1995). The spectrum of the Cauchy kernel falls like exp(−k), so a
//! coarse grid is enough.
//!
//! Each point is a charge of 1. One forward and one inverse transform give the potential φ(y) = Σⱼ 1/(1 + |y − yⱼ|²).
//! The sum of φ over the points, without the potential of each point at its own position, is Z. The force is −½ ∇φ,
//! because the gradient of 1/(1 + d²) is −2 (y − yⱼ)/(1 + d²)²; the splines are differentiated for it.

use rayon::prelude::*;

use super::convolution::{Convolution, SelfPotential, fft_size};
use super::spline::weights;
use crate::linalg::{CHUNK, bounds, ordered_sum};

/// Order of the splines. Each point has weights on ORDER × ORDER nodes.
const ORDER: usize = 6;
/// Distance between nodes, in the unit of the layout, in which the kernel has width 1. A wider spacing is faster, but
/// its force errors flip signs of the gradient, which lowers the gains: with 1/2, the final KL is 1 to 3 % higher.
const SPACING: f32 = 1.0 / 3.0;
/// Rows of the grid per parallel task when charges are spread.
const STRIP_ROWS: usize = 16;
/// The largest side of a grid, in nodes. Layouts of up to about 10⁶ points need less. For larger ones the spacing
/// grows.
const MAX_SIDE: usize = 2560;

/// The working memory. The convolution is reused while size and spacing of the grid stay the same.
#[derive(Default)]
pub(super) struct ChargeGrid {
    /// The spacing, and the convolution for it.
    convolution: Option<(f32, Convolution)>,
    /// Charges, then potentials, in row-major order.
    nodes: Vec<f32>,
    row_order: RowOrder,
}

/// The points sorted by the first grid row that they have weights on.
#[derive(Default)]
struct RowOrder {
    order: Vec<u32>,
    /// The position of the first point of each row in `order`, and the number of points at the end.
    starts: Vec<usize>,
}

/// The position and scale of the grid in the plane.
#[derive(Clone, Copy)]
struct GridFrame {
    origin: [f32; 2],
    /// Nodes per unit of the layout.
    per_unit: f32,
}

impl GridFrame {
    /// The cell of a coordinate, and the offset in the cell, 0..1. The cell is the index of the first node with a
    /// weight.
    fn cell(&self, value: f32, axis: usize) -> (usize, f32) {
        let nodes = (value - self.origin[axis]) * self.per_unit;
        let cell = nodes as usize;
        (cell, nodes - cell as f32)
    }
}

impl ChargeGrid {
    /// Writes the force on each point, and returns Z.
    pub(super) fn compute(&mut self, xy: &[[f32; 2]], force: &mut [[f32; 2]]) -> f64 {
        let frame = self.fit_to(xy);
        let Some((_, convolution)) = &mut self.convolution else {
            return 0.0;
        };
        let (width, self_potential) = (convolution.width, convolution.self_potential);
        self.row_order.sort(xy, &frame, convolution.height);
        spread_charges(xy, &frame, width, &self.row_order, &mut self.nodes);
        convolution.apply(&mut self.nodes);
        let nodes = &self.nodes;
        // The mean of the self-potential is subtracted from Z; its waves average out over many points. `dx` and `dy`
        // are per node spacing, so `per_unit` converts them to the unit of the layout.
        let [z] = ordered_sum(xy.par_chunks(CHUNK).zip(force.par_chunks_mut(CHUNK)).map(|(xy, force)| {
            let mut z = 0.0;
            for (point, force) in xy.iter().zip(force) {
                let [potential, dx, dy] = interpolate(point, &frame, width, nodes, &self_potential);
                z += f64::from(potential) - self_potential.mean;
                *force = [-0.5 * frame.per_unit * dx, -0.5 * frame.per_unit * dy];
            }
            [z]
        }));
        z
    }

    /// Positions the grid over the points. A new convolution is computed only if size or spacing have changed.
    fn fit_to(&mut self, xy: &[[f32; 2]]) -> GridFrame {
        let [low, high] = bounds(xy.iter().map(|p| p.map(f64::from))).map(|p| p.map(|x| x as f32));
        let longest = (high[0] - low[0]).max(high[1] - low[1]);
        let spacing = SPACING.max(longest / (MAX_SIDE - ORDER - 1) as f32);
        // The nodes of the last cell, and one spare node per side for rounding. A size with small factors makes the FFT
        // fast.
        let side = |axis: usize| {
            let nodes = ((high[axis] - low[axis]) / spacing) as usize + ORDER + 2;
            fft_size(2 * nodes) / 2
        };
        let (width, height) = (side(0), side(1));
        let up_to_date =
            self.convolution.as_ref().is_some_and(|(s, c)| *s == spacing && c.width == width && c.height == height);
        if !up_to_date {
            let convolution = Convolution::new(height, width, f64::from(spacing), ORDER);
            self.convolution = Some((spacing, convolution));
            self.nodes = vec![0.0; height * width];
        }
        GridFrame { origin: low.map(|x| x - spacing / 2.0), per_unit: 1.0 / spacing }
    }
}

impl RowOrder {
    /// Sorts the points by a stable counting sort.
    fn sort(&mut self, xy: &[[f32; 2]], frame: &GridFrame, height: usize) {
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

/// Spreads charges of 1 at the points over the nodes. Each strip of rows is written by one task, in the order of the
/// points, so that the sums do not depend on the number of threads.
fn spread_charges(xy: &[[f32; 2]], frame: &GridFrame, width: usize, row_order: &RowOrder, nodes: &mut [f32]) {
    let RowOrder { order, starts } = row_order;
    nodes.par_chunks_mut(STRIP_ROWS * width).enumerate().for_each(|(strip, nodes)| {
        nodes.fill(0.0);
        let first = strip * STRIP_ROWS;
        let height = nodes.len() / width;
        // Points that start up to ORDER − 1 rows above the strip have weights in it too.
        let from = starts[(first + 1).saturating_sub(ORDER)];
        for &i in &order[from..starts[first + height]] {
            let p = xy[i as usize];
            let (column, t) = frame.cell(p[0], 0);
            let (weights_x, _) = weights::<ORDER>(t);
            let (row, t) = frame.cell(p[1], 1);
            let (weights_y, _) = weights::<ORDER>(t);
            // Rows above the strip belong to another task.
            let skipped = first.saturating_sub(row);
            for (k, weight) in weights_y.iter().enumerate().skip(skipped) {
                let Some(strip_row) = (row + k).checked_sub(first).filter(|&r| r < height) else {
                    break;
                };
                let nodes = &mut nodes[strip_row * width + column..][..ORDER];
                nodes.iter_mut().zip(&weights_x).for_each(|(n, w)| *n += weight * w);
            }
        }
    });
}

/// The potential at a point, and its derivatives along x and y, per node spacing. The derivatives do not include the
/// effect of the point's own charge; the potential does.
fn interpolate(
    p: &[f32; 2],
    frame: &GridFrame,
    width: usize,
    nodes: &[f32],
    self_potential: &SelfPotential,
) -> [f32; 3] {
    let (column, x) = frame.cell(p[0], 0);
    let (weights_x, slope_x) = weights::<ORDER>(x);
    let (row, y) = frame.cell(p[1], 1);
    let (weights_y, slope_y) = weights::<ORDER>(y);
    // Tensor product of the splines: first down the rows, with a lane per column, then across the columns.
    let (mut value, mut slope) = ([0.0f32; ORDER], [0.0f32; ORDER]);
    for k in 0..ORDER {
        let nodes = &nodes[(row + k) * width + column..][..ORDER];
        for c in 0..ORDER {
            value[c] += weights_y[k] * nodes[c];
            slope[c] += slope_y[k] * nodes[c];
        }
    }
    // Correct for the derivative of the point's own potential. That potential depends on the position twice, as the
    // position of the charge and of the reading; only the second half is part of the sums below.
    let mut sums = [0.0, self_potential.slope(0, x), self_potential.slope(1, y)];
    for c in 0..ORDER {
        sums[0] += weights_x[c] * value[c];
        sums[1] += slope_x[c] * value[c];
        sums[2] += weights_x[c] * slope[c];
    }
    sums
}

#[cfg(test)]
#[path = "grid_tests.rs"]
mod tests;
