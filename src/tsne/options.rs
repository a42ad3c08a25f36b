//! What can be asked of a layout, and what is told while it grows.

use super::checkpoint::Checkpoint;
use super::error::Error;
use crate::linalg;

/// The settings of a layout. The defaults are those of openTSNE, whose layouts are the reference.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Effective number of neighbours of a point, at least 1; lowered to (n − 1)/3.
    pub perplexity: f64,
    /// Iterations in all, the exaggerated ones included.
    pub iterations: usize,
    /// Factor on the attraction in the first phase, at least 1.
    pub early_exaggeration: f64,
    /// Iterations of the first phase (at most `iterations`).
    pub exaggeration_iterations: usize,
    /// Factor on the attraction from then on, at least 1. About 4 draws clusters together as UMAP does (Böhm, Berens & Kobak
    /// 2022); the divergence that is reported is without it.
    pub exaggeration: f64,
    /// How the nearest neighbours are found.
    pub neighbours: Search,
    /// Length of a step for a given gradient.
    pub learning_rate: LearningRate,
    /// Seed of everything random: the same seed, the same layout.
    pub seed: u64,
    /// Where the points start.
    pub init: Init,
    /// Stop when 50 iterations of the last phase lower the divergence by less than this share of
    /// it; `None` always runs all iterations.
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
            neighbours: Search::Auto,
            learning_rate: LearningRate::Auto,
            seed: 0,
            init: Init::Pca,
            early_stop: Some(1e-4),
        }
    }
}

/// How the nearest neighbours are found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Search {
    /// Exactly up to [`EXACT`](super::EXACT) rows, approximately above.
    #[default]
    Auto,
    /// By comparing all rows with all.
    Exact,
    /// By comparing those that are likely; see [`linalg::approximate`].
    Approximate,
}

/// Length of a step for a given gradient (of the divergence, without its factor 4).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LearningRate {
    /// n / exaggeration, in each phase (Belkina et al. 2019).
    Auto,
    /// The same in both phases; positive.
    Fixed(f64),
}

/// Where the points start.
#[derive(Clone, Debug, PartialEq)]
pub enum Init {
    /// On the first two principal components, scaled to a standard deviation of 1e-4.
    Pca,
    /// Normally distributed, standard deviation 1e-4.
    Random,
    /// On given places.
    Given(Start),
    /// Where an earlier run of the same points with the same options, which started as said first, was left.
    Resumed(Box<Init>, Checkpoint),
}

/// Given places, and where points are pulled to.
#[derive(Clone, Debug, PartialEq)]
pub struct Start {
    /// One place per point, in the unit of a layout (see [`Layout`](super::Layout)): not scaled.
    /// Coordinates beyond ±10⁶ are taken as that.
    pub xy: Vec<[f32; 2]>,
    /// Empty, or one entry per point: the place it is pulled to. With any anchor the layout is not
    /// centred: the anchors are its frame.
    pub anchors: Vec<Option<[f32; 2]>>,
    /// Strength of the pull: each iteration takes a point this share of the way back at learning
    /// rate n. From 0 to below 1.
    pub pull: f64,
}

/// Where a running layout stands.
#[derive(Clone, Copy)]
pub struct Progress<'a> {
    /// Iterations done, from 1.
    pub iteration: usize,
    /// The divergence before this iteration, each 50 iterations and at the last; without the
    /// exaggeration, so that it can be compared between the phases.
    pub kl: Option<f64>,
    /// What a later run can go on from; none before the last iteration.
    pub checkpoint: Option<&'a dyn Fn() -> Checkpoint>,
}

impl Init {
    /// How it was at first.
    pub(super) fn first(&self) -> &Self {
        match self {
            Self::Resumed(first, _) => first.first(),
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
        let pull = match self.init.first() {
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
        for (name, found, good, must) in checks {
            if !good {
                return Err(Error::Setting { name, must, found });
            }
        }
        match &self.init {
            Init::Resumed(_, from) if from.order.len() != len => {
                Err(linalg::Error::Shape { what: "checkpoint", expected: len, found: from.order.len() }.into())
            }
            init => match init.first() {
                Init::Given(start) => start.check(len),
                _ => Ok(()),
            },
        }
    }
}

impl Start {
    fn check(&self, len: usize) -> Result<(), Error> {
        if self.xy.len() != len {
            return Err(linalg::Error::Shape { what: "start", expected: len, found: self.xy.len() }.into());
        }
        if !self.anchors.is_empty() && self.anchors.len() != len {
            return Err(linalg::Error::Shape { what: "anchors", expected: len, found: self.anchors.len() }.into());
        }
        let finite = |p: &[f32; 2]| p.iter().all(|x| x.is_finite());
        let places = self.xy.iter().enumerate();
        let anchors = self.anchors.iter().enumerate().filter_map(|(i, a)| Some((i, a.as_ref()?)));
        match places.chain(anchors).find(|(_, p)| !finite(p)) {
            Some((row, _)) => Err(linalg::Error::NotFinite(row).into()),
            None => Ok(()),
        }
    }
}
