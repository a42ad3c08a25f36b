//! The scene: the rows to draw, the metadata of their pictures, and the source of their thumbnails.

use std::collections::{BTreeSet, HashMap};

use anyhow::Result;

use super::size::size_of;
use super::{RenderInput, draw};
use crate::artifact::rows::{FieldRow, ImageRow, Row, SeamRow, ShotRow};
use crate::artifact::{Artifact, FoldedShots, ImageId};
use crate::config::{RenderSettings, Style};
use crate::render::seams::Seams;
use crate::render::thumbnails::{ThumbnailKind, ThumbnailSource};
use crate::source::Entry;
use crate::stage::neighbours::Similarity;
use crate::stage::{Cached, Session};
use crate::store::{Digest, Key};

/// What is known of the pictures in addition to their cells. Every part may be missing.
#[derive(Default)]
pub struct PictureInfo<'a> {
    /// The inputs from which the pictures can be read.
    pub sources: HashMap<&'a ImageId, &'a Entry>,
    /// Captions, times, paths.
    pub images: &'a [ImageRow],
    /// Further columns of tables. The rows of a picture are consecutive.
    pub fields: &'a [FieldRow],
    /// The groups of the grid.
    pub groups: Option<&'a Artifact>,
    /// The words that the model has for the pictures.
    pub words: Option<&'a Artifact>,
    /// Which pictures share a cell with a better one.
    pub folds: Option<FoldedShots>,
    /// The embeddings' similarity, from which neighbours and seams are computed.
    pub similarity: Option<Similarity<'a>>,
    /// The pictures of the last run that added any.
    pub new: BTreeSet<ImageId>,
    /// Content digest of the assignment from which this one has grown.
    pub parent: Option<Digest>,
    /// Keys of the stages before the assignment.
    pub upstream: Vec<Key>,
}

impl PictureInfo<'_> {
    /// The first row of each picture; a picture that several inputs have has several rows.
    pub(super) fn by_image(&self) -> HashMap<&ImageId, &ImageRow> {
        let mut first = HashMap::new();
        for row in self.images {
            first.entry(&row.image).or_insert(row);
        }
        first
    }

    /// The further columns of each picture.
    pub(super) fn fields_by_image(&self) -> HashMap<&ImageId, &[FieldRow]> {
        self.fields.chunk_by(|a, b| a.image == b.image).map(|rows| (&rows[0].image, rows)).collect()
    }
}

/// Everything that the outputs are made from.
pub(super) struct RenderScene<'a> {
    pub(super) session: &'a Session,
    pub(super) settings: &'a RenderSettings,
    pub(super) input: &'a RenderInput,
    pub(super) info: &'a PictureInfo<'a>,
    pub(super) thumbnails: ThumbnailSource<'a>,
    /// The record of the drawn grid, if it is cached.
    pub(super) record: Option<Cached>,
    /// The tables of neighbours and seams, once they are up to date; `None` if they are not shown.
    pub(super) similarity_tables: Option<[Cached; 2]>,
}

impl<'a> RenderScene<'a> {
    /// The pictures that have a thumbnail of this kind, cached or from their source, in the order of the rows.
    pub(super) fn with_thumbnail(&self, kind: ThumbnailKind) -> impl Iterator<Item = &ImageId> {
        self.input.rows.iter().map(|row| &row.image).filter(move |image| self.thumbnails.has(image, kind))
    }

    /// Makes the missing thumbnails and returns a message for each failure. `label` names the progress bar. Fails when
    /// the user interrupts.
    pub(super) fn prepare(&self, label: &str, kind: ThumbnailKind) -> Result<Vec<String>> {
        let wanted: Vec<&ImageId> = self.with_thumbnail(kind).collect();
        let bar = self.session.reporter.progress(label, wanted.len() as u64, false);
        let failures = self.thumbnails.prepare(&wanted, || {
            bar.advance(1);
            !self.session.reporter.interrupted()
        });
        self.session.check_interrupted()?;
        Ok(failures)
    }

    /// Whether no row has a picture.
    pub(super) fn has_no_pictures(&self) -> bool {
        self.with_thumbnail(draw::tile(self.settings)).next().is_none()
    }

    /// Width and height of the drawn grid in pixels, without the legend below it. Fails as [`super::size()`] does.
    pub(super) fn size(&self) -> Result<(u32, u32)> {
        size_of(self.settings, self.input.rows.len(), self.input.grid(), self.has_no_pictures())
    }

    /// The pictures that share the cell of this one, the best first.
    pub(super) fn behind(&self, image: &ImageId) -> &[ImageId] {
        self.info.folds.as_ref().map(|folds| folds.behind(image)).unwrap_or_default()
    }

    /// The similarity of the pictures, if the explorer or the drawn grid shows it.
    pub(super) fn similarity(&self) -> Option<Similarity<'a>> {
        self.info.similarity.filter(|_| self.settings.page || self.shows_seams())
    }

    /// Whether the drawn grid has seams. A scatter has none, because it has no cells with borders.
    pub(super) fn shows_seams(&self) -> bool {
        self.settings.seams && self.settings.style == Style::Grid
    }

    /// The shades of the borders between cells, if the table of seams was computed.
    pub(super) fn seams(&self) -> Result<Option<Seams>> {
        let Some([_, seams]) = &self.similarity_tables else { return Ok(None) };
        Ok(Some(Seams::new(&SeamRow::from_batch(&seams.artifact.batch)?)))
    }

    /// The key input for the pictures that share a cell; `None` if there are none.
    pub(super) fn folds_input(&self) -> Option<(String, Digest)> {
        let folds = self.info.folds.as_ref().filter(|folds| folds.count() > 0);
        folds.map(|folds| (ShotRow::STAGE.to_owned(), folds.digest))
    }

    /// The digest that a key has for the new pictures.
    pub(super) fn new_digest(&self) -> Digest {
        digest_of(self.info.new.iter().map(|image| &**image))
    }
}

/// The digest of these names in this order. Each is hashed with its length, so that no two lists give the same bytes.
pub(super) fn digest_of<'a>(names: impl Iterator<Item = &'a str>) -> Digest {
    let mut hasher = blake3::Hasher::new();
    for name in names {
        hasher.update(&(name.len() as u64).to_le_bytes()).update(name.as_bytes());
    }
    Digest::from_hasher(&hasher)
}
