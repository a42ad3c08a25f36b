//! The options of a layout, and the progress that it reports.

use super::checkpoint::Checkpoint;
use super::error::Error;
use crate::linalg;

/// The settings of a layout. The defaults are those of openTSNE, whose layouts are the reference.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Effective number of neighbours of a point, at least 1; limited to (n − 1)/3.
    pub perplexity: f64,
    /// Total number of iterations, both phases.
    pub iterations: usize,
    /// Factor of the attraction in the first phase (early exaggeration), at least 1.
    pub early_exaggeration: f64,
    /// Iterations of the first phase (at most `iterations`).
    pub exaggeration_iterations: usize,
    /// Factor of the attraction in the second phase, at least 1. About 4 gives compact clusters as UMAP does (Böhm,
    /// Berens & Kobak 2022). The reported divergence does not include it.
    pub exaggeration: f64,
    /// The search for nearest neighbours.
    pub neighbours: NeighbourSearch,
    /// Length of a step for a given gradient.
    pub learning_rate: LearningRate,
    /// Seed of all random numbers. The same seed gives the same layout.
    pub seed: u64,
    /// Starting positions of the points.
    pub init: Init,
    /// Stops when 50 iterations of the second phase lower the divergence by less than this share of it. `None` always
    /// runs all iterations.
    pub early_stop: Option<f64>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            perplexity: 30.0,
            iterations: 750,
            early_exaggeration: 12.0,
            exaggeration_iterations: 250,
            exaggeration: 1.0,
            neighbours: NeighbourSearch::Auto,
            learning_rate: LearningRate::Auto,
            seed: 0,
            init: Init::Pca,
            early_stop: Some(1e-4),
        }
    }
}

/// The search for nearest neighbours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NeighbourSearch {
    /// Exactly up to [`MAX_EXACT_ROWS`](super::MAX_EXACT_ROWS) rows, approximately above.
    #[default]
    Auto,
    /// Compares all pairs of rows.
    Exact,
    /// Compares only rows of nearby lists; see [`linalg::approximate_neighbours`].
    Approximate,
}

/// Length of a step for a given gradient (of the divergence, without its factor 4).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LearningRate {
    /// n / exaggeration, in each phase (Belkina et al. 2019).
    Auto,
    /// The same rate in both phases; positive.
    Fixed(f64),
}

/// Starting positions of the points.
#[derive(Clone, Debug, PartialEq)]
pub enum Init {
    /// The first two principal components, scaled to a standard deviation of 1e-4.
    Pca,
    /// Normally distributed, with a standard deviation of 1e-4.
    Random,
    /// Given positions.
    Given(AnchoredStart),
    /// The checkpoint of an earlier run of the same points with the same options. The first value is the start of that
    /// run.
    Resumed(Box<Init>, Checkpoint),
}

/// Given starting positions, and the anchors that points are pulled to.
#[derive(Clone, Debug, PartialEq)]
pub struct AnchoredStart {
    /// One position per point, in the unit of a layout (see [`Layout`](super::Layout)); they are not scaled.
    /// Coordinates are clamped to ±10⁶.
    pub xy: Vec<[f32; 2]>,
    /// Empty, or one entry per point: the position that the point is pulled to. If there is any anchor, the layout is
    /// not centred, because the anchors fix its position.
    pub anchors: Vec<Option<[f32; 2]>>,
    /// Strength of the pull, from 0 to below 1: at learning rate n and gain 1, each iteration moves a point by this
    /// share of its distance to the anchor.
    pub pull: f64,
}

/// The progress of a running layout.
#[derive(Clone, Copy)]
pub struct Progress<'a> {
    /// Iterations done, from 1.
    pub iteration: usize,
    /// The divergence before this iteration, every 50 iterations and at the last one. It does not include the
    /// exaggeration, so that values of both phases can be compared.
    pub kl: Option<f64>,
    /// Returns a checkpoint that a later run can resume from; `None` after the last iteration.
    pub checkpoint: Option<&'a dyn Fn() -> Checkpoint>,
}

impl Init {
    /// The start of the first run, even if it was resumed several times.
    pub(super) fn original(&self) -> &Self {
        match self {
            Self::Resumed(first, _) => first.original(),
            first => first,
        }
    }
}

impl Options {
    /// Checks the settings for `len` points.
    pub(super) fn check(&self, len: usize) -> Result<(), Error> {
        let rate = match self.learning_rate {
            LearningRate::Auto => 1.0,
            LearningRate::Fixed(rate) => rate,
        };
        let pull = match self.init.original() {
            Init::Given(start) => start.pull,
            _ => 0.0,
        };
        let at_least_1 = |x: f64| x.is_finite() && x >= 1.0;
        let positive = |x: f64| x.is_finite() && x > 0.0;
        let checks = [
            ("perplexity", self.perplexity, at_least_1(self.perplexity), "finite and at least 1"),
            (
                "early exaggeration",
                self.early_exaggeration,
                at_least_1(self.early_exaggeration),
                "finite and at least 1",
            ),
            ("exaggeration", self.exaggeration, at_least_1(self.exaggeration), "finite and at least 1"),
            ("learning rate", rate, positive(rate), "finite and positive"),
            ("pull", pull, (0.0..1.0).contains(&pull), "from 0 to below 1"),
            ("early stop", self.early_stop.unwrap_or(0.0), self.early_stop.is_none_or(f64::is_finite), "finite"),
        ];
        for (name, found, valid, must) in checks {
            if !valid {
                return Err(Error::Setting { name, must, found });
            }
        }
        match &self.init {
            Init::Resumed(_, checkpoint) if checkpoint.order.len() != len => {
                Err(linalg::Error::Shape { what: "checkpoint", expected: len, found: checkpoint.order.len() }.into())
            }
            init => match init.original() {
                Init::Given(start) => start.check(len),
                _ => Ok(()),
            },
        }
    }
}

impl AnchoredStart {
    fn check(&self, len: usize) -> Result<(), Error> {
        if self.xy.len() != len {
            return Err(linalg::Error::Shape { what: "start", expected: len, found: self.xy.len() }.into());
        }
        if !self.anchors.is_empty() && self.anchors.len() != len {
            return Err(linalg::Error::Shape { what: "anchors", expected: len, found: self.anchors.len() }.into());
        }
        let finite = |p: &[f32; 2]| p.iter().all(|x| x.is_finite());
        let positions = self.xy.iter().enumerate();
        let anchors = self.anchors.iter().enumerate().filter_map(|(i, a)| Some((i, a.as_ref()?)));
        match positions.chain(anchors).find(|(_, p)| !finite(p)) {
            Some((row, _)) => Err(linalg::Error::NotFinite(row).into()),
            None => Ok(()),
        }
    }
}
