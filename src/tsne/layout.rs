//! The whole way from rows to places.

use std::ops::ControlFlow;

use super::affinities::{Affinities, affinities, allowed_perplexity, neighbours_needed};
use super::error::Error;
use super::initial::places;
use super::optimiser::optimise;
use super::options::{Init, Options, Progress, Search};
use crate::linalg::{self, Approximate, Matrix, Neighbours, Rows, approximate, neighbours};

/// Up to so many rows all are compared with all: beyond, that takes a growing part of the time.
pub const EXACT: usize = 32_768;

/// Points in the plane.
#[derive(Clone, Debug, PartialEq)]
pub struct Layout {
    /// The place of each row; always finite. The unit is that of the Cauchy kernel: points nearer
    /// than 1 are neighbours.
    pub xy: Vec<[f32; 2]>,
    /// KL(P‖Q) of these places, in nats; 0 for fewer than two points.
    pub kl: f64,
    /// The asked perplexity, or what the number of points allows of it.
    pub perplexity_used: f64,
    /// Iterations done: fewer than asked when stopped, by the caller or early.
    pub iterations_done: usize,
    /// The share of the true neighbours that the layout was made from, on a sample; none where all were looked for exactly.
    pub neighbours_found: Option<f64>,
}

/// Lays out the rows of `points`.
///
/// `progress` is called after each iteration; [`ControlFlow::Break`] ends the layout there. Zero
/// and one points, identical rows and too large a perplexity are no errors.
///
/// # Errors
/// [`Error::Setting`], and [`Error::Input`]: a value that is not finite, a start of another length, too many rows.
pub fn layout(
    points: &Matrix,
    options: &Options,
    progress: &mut (dyn FnMut(Progress<'_>) -> ControlFlow<()> + Send),
) -> Result<Layout, Error> {
    options.check(points.len())?;
    let perplexity = allowed_perplexity(options.perplexity, points.len());
    let k = neighbours_needed(perplexity, points.len());
    let (near, found) = nearest(points, k, options)?;
    let p = affinities(near, perplexity)?;
    let layout = layout_of(p, points, options, progress)?;
    Ok(Layout { neighbours_found: found, ..layout })
}

/// The `k` nearest neighbours of each row and, where they are not exact, the share that was found.
pub(super) fn nearest(points: &Matrix, k: usize, options: &Options) -> Result<(Neighbours, Option<f64>), Error> {
    let exact = match options.neighbours {
        Search::Auto => points.len() <= EXACT,
        Search::Exact => true,
        Search::Approximate => false,
    };
    if exact {
        return Ok((neighbours(points, k)?, None));
    }
    let Approximate { neighbours, recall } = approximate(points, k, options.seed)?;
    Ok((neighbours, Some(recall)))
}

/// Lays out points whose affinities are known; `points` serve only as the start of
/// [`Init::Pca`].
pub(super) fn layout_of(
    p: Affinities,
    points: &Matrix,
    options: &Options,
    progress: &mut (dyn FnMut(Progress<'_>) -> ControlFlow<()> + Send),
) -> Result<Layout, Error> {
    options.check(points.len())?;
    if p.len != points.len() {
        return Err(linalg::Error::Shape { what: "affinities", expected: points.len(), found: p.len }.into());
    }
    let mut xy = places(points, options)?;
    let pull = match options.init.first() {
        Init::Given(start) if start.anchors.iter().any(Option::is_some) => Some(start),
        _ => None,
    };
    if p.len < 2 {
        let xy = if pull.is_some() { xy } else { vec![[0.0; 2]; p.len] };
        return Ok(Layout { xy, kl: 0.0, perplexity_used: p.perplexity, iterations_done: 0, neighbours_found: None });
    }
    // Inside the pool: entering it from outside for every sum costs more than a small layout.
    let perplexity_used = p.perplexity;
    let run = || optimise(p, &mut xy, pull, options, progress);
    let ((kl, iterations_done), ()) = rayon::join(run, || ());
    Ok(Layout { xy, kl: kl.max(0.0), perplexity_used, iterations_done, neighbours_found: None })
}

#[cfg(test)]
#[path = "layout_tests.rs"]
mod tests;
