//! The repulsive part of the gradient: each point is pushed away from all others.
//!
//! For each point it is Σⱼ (yᵢ − yⱼ) / (1 + |yᵢ − yⱼ|²)², divided by the normalisation Z = Σᵢ Σⱼ≠ᵢ 1 / (1 + |yᵢ −
//! yⱼ|²), which is the same for all points. For few points, both are computed over all pairs. For many points, they are
//! computed by a convolution on a grid.

mod convolution;
mod exact;
mod grid;
mod spline;

use exact::AllPairs;
use grid::ChargeGrid;

/// About the number of points from which on the grid is faster than all pairs (3,000 with AVX2, 1,200 without).
pub(super) const MIN_GRID_POINTS: usize = 2500;

/// The method for a number of points, with its working memory.
pub(super) struct Repulsion(Method);

enum Method {
    AllPairs(AllPairs),
    ChargeGrid(Box<ChargeGrid>),
}

impl Repulsion {
    pub(super) fn new(len: usize) -> Self {
        Self(if len < MIN_GRID_POINTS {
            Method::AllPairs(AllPairs::default())
        } else {
            Method::ChargeGrid(Box::default())
        })
    }

    /// Writes the force on each point, not yet divided by Z, and returns Z.
    pub(super) fn compute(&mut self, xy: &[[f32; 2]], force: &mut [[f32; 2]]) -> f64 {
        match &mut self.0 {
            Method::AllPairs(exact) => exact.compute(xy, force),
            Method::ChargeGrid(grid) => grid.compute(xy, force),
        }
    }
}
