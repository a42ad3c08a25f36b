//! The whole way from rows to places.

use std::ops::ControlFlow;

use super::affinities::{Affinities, affinities, allowed_perplexity, neighbours_needed};
use super::error::Error;
use super::initial::places;
use super::optimiser::optimise;
use super::options::{Init, Options, Progress};
use crate::linalg::{self, Matrix, Rows, neighbours};

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
    progress: &mut (dyn FnMut(Progress) -> ControlFlow<()> + Send),
) -> Result<Layout, Error> {
    options.check(points.len())?;
    let perplexity = allowed_perplexity(options.perplexity, points.len());
    let k = neighbours_needed(perplexity, points.len());
    let near = neighbours(points, k)?;
    let p = affinities(&near, perplexity)?;
    drop(near);
    layout_of(&p, points, options, progress)
}

/// Lays out points whose affinities are known; `points` serve only as the start of
/// [`Init::Pca`].
pub(super) fn layout_of(
    p: &Affinities,
    points: &Matrix,
    options: &Options,
    progress: &mut (dyn FnMut(Progress) -> ControlFlow<()> + Send),
) -> Result<Layout, Error> {
    options.check(points.len())?;
    if p.len != points.len() {
        return Err(linalg::Error::Shape { what: "affinities", expected: points.len(), found: p.len }.into());
    }
    let mut xy = places(points, options)?;
    let pull = match &options.init {
        Init::Given(start) if start.anchors.iter().any(Option::is_some) => Some(start),
        _ => None,
    };
    if p.len < 2 {
        let xy = if pull.is_some() { xy } else { vec![[0.0; 2]; p.len] };
        return Ok(Layout { xy, kl: 0.0, perplexity_used: p.perplexity, iterations_done: 0 });
    }
    // Inside the pool: entering it from outside for every sum costs more than a small layout.
    let run = || optimise(p, &mut xy, pull, options, progress);
    let ((kl, iterations_done), ()) = rayon::join(run, || ());
    Ok(Layout { xy, kl: kl.max(0.0), perplexity_used: p.perplexity, iterations_done })
}

#[cfg(test)]
#[path = "layout_tests.rs"]
mod tests;
