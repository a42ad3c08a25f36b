//! The four stages, and what they share. Each stage reads and writes tables of [`crate::artifact`];
//! none imports another.
//!
//! A stage is asked how it stands ([`State`]): its artifact is there, or there is a [`Job`] that makes it.
//! Whoever only wants to know stops at the job.

pub mod arrivals;
pub mod assign;
pub mod components;
mod context;
pub mod embed;
pub mod groups;
pub(crate) mod growth;
pub mod lineage;
pub mod neighbours;
pub mod project;
pub mod render;
pub mod shots;
pub mod vectors;
pub mod words;

pub use context::{Context, Made, copy_if_changed, write_if_changed};

use anyhow::Result;
use arrow::array::RecordBatch;
use serde_json::json;

use crate::artifact::rows::{AssignRow, EmbedRow, ProjectRow, RenderRow, Row};
use crate::artifact::{Artifact, Facts, content_digest};
use crate::store::Key;

/// The stages, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Stage {
    /// Pictures to vectors.
    Embed,
    /// Vectors to places.
    Project,
    /// Places to cells.
    Assign,
    /// Cells to a picture.
    Render,
}

impl Stage {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Embed, Self::Project, Self::Assign, Self::Render];

    /// Its name, which is also that of its table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Embed => EmbedRow::STAGE,
            Self::Project => ProjectRow::STAGE,
            Self::Assign => AssignRow::STAGE,
            Self::Render => RenderRow::STAGE,
        }
    }
}

/// How an artifact stands.
#[allow(clippy::large_enum_variant, reason = "a run has a handful of these, and takes each apart at once")]
pub enum State<J> {
    /// It is there, and intact.
    Fresh(Made),
    /// It is not; this would make it.
    Stale(J),
}

/// An artifact to be made.
pub struct Job<'a> {
    /// What determines it, with the artifact that it grows from among the inputs if there is one.
    pub key: Key,
    work: Work<'a>,
}

type Work<'a> = Box<dyn FnOnce() -> Result<(RecordBatch, Facts)> + 'a>;

impl<J> State<J> {
    /// Whether the artifact is there.
    pub fn is_fresh(&self) -> bool {
        matches!(self, Self::Fresh(_))
    }
}

impl<'a> State<Job<'a>> {
    /// How the artifact with this key stands, which `work` would make.
    pub fn of(ctx: &Context, key: Key, work: impl FnOnce() -> Result<(RecordBatch, Facts)> + 'a) -> Self {
        match ctx.look_up(&key) {
            Some(made) => Self::Fresh(made),
            None => Self::Stale(Job { key, work: Box::new(work) }),
        }
    }

    /// How a table stands that is determined by its own rows.
    pub fn of_rows<R: Row>(ctx: &Context, rows: &[R]) -> Self {
        let batch = R::to_batch(rows);
        let key = R::key(json!({}), [("rows", content_digest(&batch))]);
        Self::of(ctx, key, || Ok((batch, Facts::new())))
    }

    /// The artifact: the one that is there, or one made now.
    ///
    /// # Errors
    /// What the work returns, or when the cache cannot be written.
    pub fn made(self, ctx: &Context) -> Result<Made> {
        let made = match self {
            Self::Fresh(made) => made,
            Self::Stale(Job { key, work }) => {
                let (batch, facts) = work()?;
                ctx.publish(Artifact::new(key, batch, facts))?
            }
        };
        ctx.latest(&made)?;
        Ok(made)
    }
}
