//! The complete method, from rows to positions in the plane.

use std::ops::ControlFlow;

use super::affinities::{Affinities, affinities, allowed_perplexity, neighbours_needed};
use super::error::Error;
use super::initial::initial_positions;
use super::optimiser::optimise;
use super::options::{Init, NeighbourSearch, Options, Progress};
use crate::linalg::{self, ApproximateNeighbours, Matrix, Neighbours, Rows, approximate_neighbours, neighbours};

/// The largest number of rows for which all pairs are compared by default. For more rows, the exact search would take a
/// growing part of the total time.
pub const MAX_EXACT_ROWS: usize = 32_768;

/// Positions in the plane, with figures of the run.
#[derive(Clone, Debug, PartialEq)]
pub struct Layout {
    /// The position of each row; always finite. The unit is the width of the Cauchy kernel 1/(1 + d²).
    pub xy: Vec<[f32; 2]>,
    /// KL(P‖Q) of these positions, in nats; 0 for fewer than two points.
    pub kl: f64,
    /// The requested perplexity, limited by the number of points.
    pub perplexity_used: f64,
    /// Iterations done; fewer than requested after a stop by the caller or an early stop.
    pub iterations_done: usize,
    /// The recall of the approximate neighbours, measured on a sample; `None` if the search was exact.
    pub neighbour_recall: Option<f64>,
}

/// Computes the layout of the rows of `points`.
///
/// `progress` is called after each iteration; [`ControlFlow::Break`] ends the descent there. It is no error if there
/// are no points or one, if rows are identical, or if the perplexity is too large for the number of points.
///
/// # Errors
/// [`Error::Setting`] for a setting outside its range; [`Error::Input`] for a value that is not finite, a start of the
/// wrong length, or too many rows.
pub fn layout(
    points: &Matrix,
    options: &Options,
    progress: &mut (dyn FnMut(Progress<'_>) -> ControlFlow<()> + Send),
) -> Result<Layout, Error> {
    options.check(points.len())?;
    let perplexity = allowed_perplexity(options.perplexity, points.len());
    let k = neighbours_needed(perplexity, points.len());
    let (near, recall) = nearest_neighbours(points, k, options)?;
    let p = affinities(near, perplexity)?;
    let layout = layout_from_affinities(p, points, options, progress)?;
    Ok(Layout { neighbour_recall: recall, ..layout })
}

/// The `k` nearest neighbours of each row, and the recall if the search was approximate.
pub(super) fn nearest_neighbours(
    points: &Matrix,
    k: usize,
    options: &Options,
) -> Result<(Neighbours, Option<f64>), Error> {
    let exact = match options.neighbours {
        NeighbourSearch::Auto => points.len() <= MAX_EXACT_ROWS,
        NeighbourSearch::Exact => true,
        NeighbourSearch::Approximate => false,
    };
    if exact {
        return Ok((neighbours(points, k)?, None));
    }
    let ApproximateNeighbours { neighbours, recall } = approximate_neighbours(points, k, options.seed)?;
    Ok((neighbours, Some(recall)))
}

/// Computes a layout from affinities. `points` are used only for the start by [`Init::Pca`].
pub(super) fn layout_from_affinities(
    p: Affinities,
    points: &Matrix,
    options: &Options,
    progress: &mut (dyn FnMut(Progress<'_>) -> ControlFlow<()> + Send),
) -> Result<Layout, Error> {
    options.check(points.len())?;
    if p.len != points.len() {
        return Err(linalg::Error::Shape { what: "affinities", expected: points.len(), found: p.len }.into());
    }
    let mut xy = initial_positions(points, options)?;
    let anchored = match options.init.original() {
        Init::Given(start) if start.anchors.iter().any(Option::is_some) => Some(start),
        _ => None,
    };
    if p.len < 2 {
        let xy = if anchored.is_some() { xy } else { vec![[0.0; 2]; p.len] };
        return Ok(Layout { xy, kl: 0.0, perplexity_used: p.perplexity, iterations_done: 0, neighbour_recall: None });
    }
    // The whole descent runs inside the thread pool. Entering the pool for every sum would take longer than a small
    // layout.
    let perplexity_used = p.perplexity;
    let run = || optimise(p, &mut xy, anchored, options, progress);
    let ((kl, iterations_done), ()) = rayon::join(run, || ());
    Ok(Layout { xy, kl: kl.max(0.0), perplexity_used, iterations_done, neighbour_recall: None })
}

#[cfg(test)]
#[path = "layout_tests.rs"]
mod tests;
