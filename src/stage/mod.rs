//! The four stages, and the further tables that a run computes. Each stage reads and writes tables of
//! [`crate::artifact`]; no stage imports another.
//!
//! A stage reports a [`State`]: either the artifact is in the cache, or there is a [`Job`] that computes it. Callers
//! that only want to know whether an artifact is up to date, such as `status`, drop the job.

pub mod arrivals;
pub mod assign;
pub mod components;
pub mod embed;
pub mod groups;
pub(crate) mod growth;
pub mod lineage;
pub mod neighbours;
pub mod project;
pub mod render;
mod session;
pub mod shots;
pub mod vectors;
pub mod words;

pub use session::{Cached, Session, copy_if_changed, write_if_changed};

use anyhow::Result;
use arrow::array::RecordBatch;
use serde_json::json;

use crate::artifact::rows::{AssignRow, EmbedRow, ProjectRow, RenderRow, Row};
use crate::artifact::{Artifact, Findings, content_digest};
use crate::store::Key;

/// The stages, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Stage {
    /// Turns pictures into vectors.
    Embed,
    /// Turns vectors into positions on the plane.
    Project,
    /// Turns positions into cells of the grid.
    Assign,
    /// Draws the grid.
    Render,
}

impl Stage {
    /// The stages in the order in which they run.
    pub const ALL: [Self; 4] = [Self::Embed, Self::Project, Self::Assign, Self::Render];

    /// The name of the stage, which is also the name of its table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Embed => EmbedRow::STAGE,
            Self::Project => ProjectRow::STAGE,
            Self::Assign => AssignRow::STAGE,
            Self::Render => RenderRow::STAGE,
        }
    }
}

/// Whether an artifact is in the cache.
#[allow(clippy::large_enum_variant, reason = "a run has a handful of these, and takes each apart at once")]
pub enum State<J> {
    /// The artifact is in the cache, and intact.
    Fresh(Cached),
    /// The artifact is missing or stale, and this job computes it.
    Stale(J),
}

/// The work that computes an artifact.
pub struct Job<'a> {
    /// The key of the artifact. If it continues from an earlier artifact, that one is among the inputs.
    pub key: Key,
    work: Work<'a>,
}

type Work<'a> = Box<dyn FnOnce() -> Result<(RecordBatch, Findings)> + 'a>;

impl<J> State<J> {
    /// Whether the artifact is in the cache.
    pub fn is_fresh(&self) -> bool {
        matches!(self, Self::Fresh(_))
    }
}

impl<'a> State<Job<'a>> {
    /// The state of the artifact with this key; `work` computes its rows and findings.
    pub fn for_key(session: &Session, key: Key, work: impl FnOnce() -> Result<(RecordBatch, Findings)> + 'a) -> Self {
        match session.find_cached(&key) {
            Some(cached) => Self::Fresh(cached),
            None => Self::Stale(Job { key, work: Box::new(work) }),
        }
    }

    /// The state of a table whose key is the digest of its own rows.
    pub fn for_rows<R: Row>(session: &Session, rows: &[R]) -> Self {
        let batch = R::to_batch(rows);
        let key = R::key(json!({}), [("rows", content_digest(&batch))]);
        Self::for_key(session, key, || Ok((batch, Findings::new())))
    }

    /// The artifact, from the cache or computed by the job. `latest/` is linked to it.
    ///
    /// # Errors
    /// The errors of the work, or when the cache cannot be written.
    pub fn get_or_make(self, session: &Session) -> Result<Cached> {
        let cached = match self {
            Self::Fresh(cached) => cached,
            Self::Stale(Job { key, work }) => {
                let (batch, findings) = work()?;
                session.publish(Artifact::new(key, batch, findings))?
            }
        };
        session.link_latest(&cached)?;
        Ok(cached)
    }
}
