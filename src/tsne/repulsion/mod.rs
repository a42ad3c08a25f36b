//! The repulsive half of the gradient: every point pushes every other.
//!
//! For each point the sum Σⱼ (yᵢ − yⱼ) / (1 + |yᵢ − yⱼ|²)², and for all of them the normalisation
//! Z = Σᵢ Σⱼ≠ᵢ 1 / (1 + |yᵢ − yⱼ|²). Few points: all pairs. Many: a convolution on a grid.

mod convolution;
mod exact;
mod grid;
mod spline;

use exact::Exact;
use grid::Grid;

/// From about this many points on the grid is faster than all pairs (3,000 with AVX2, 1,200 without).
pub(super) const GRID: usize = 2500;

/// A way to compute the repulsion, with its working memory.
pub(super) struct Repulsion(Way);

enum Way {
    AllPairs(Exact),
    Grid(Box<Grid>),
}

impl Repulsion {
    pub(super) fn new(len: usize) -> Self {
        Self(if len < GRID { Way::AllPairs(Exact::default()) } else { Way::Grid(Box::default()) })
    }

    /// Writes the force on each point and gives Z.
    pub(super) fn compute(&mut self, xy: &[[f32; 2]], force: &mut [[f32; 2]]) -> f64 {
        match &mut self.0 {
            Way::AllPairs(exact) => exact.compute(xy, force),
            Way::Grid(grid) => grid.compute(xy, force),
        }
    }
}
