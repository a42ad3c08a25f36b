//! The wall: what is to be drawn, with all that is known of it and where its thumbnails come from.

use std::collections::{BTreeSet, HashMap};

use anyhow::Result;

use super::size::size_of;
use super::{Input, draw};
use crate::artifact::rows::{FieldRow, ImageRow, Row, SeamRow, ShotRow};
use crate::artifact::{Artifact, Folds, ImageId};
use crate::config::{RenderSettings, Style};
use crate::render::seams::Seams;
use crate::render::tiles::{Kept, Tiles};
use crate::source::Entry;
use crate::stage::neighbours::Likeness;
use crate::stage::{Context, Made};
use crate::store::{Digest, Key};

/// What is known of the pictures beyond their cells. All of it may be missing.
#[derive(Default)]
pub struct Known<'a> {
    /// Where they can be read.
    pub sources: HashMap<&'a ImageId, &'a Entry>,
    /// Captions, times, paths.
    pub images: &'a [ImageRow],
    /// What else tables say, picture by picture.
    pub fields: &'a [FieldRow],
    /// The groups of the wall.
    pub groups: Option<&'a Artifact>,
    /// What the model says that pictures show.
    pub words: Option<&'a Artifact>,
    /// Which pictures are behind others.
    pub folds: Option<Folds>,
    /// How alike they are.
    pub likeness: Option<Likeness<'a>>,
    /// Those that came with the last run that brought any.
    pub new: BTreeSet<ImageId>,
    /// The content of the assignment that this one was grown from.
    pub before: Option<Digest>,
    /// Keys of the stages before the assignment.
    pub earlier: Vec<Key>,
}

impl Known<'_> {
    /// The first row of each picture.
    pub(super) fn by_image(&self) -> HashMap<&ImageId, &ImageRow> {
        let mut first = HashMap::new();
        for row in self.images {
            first.entry(&row.image).or_insert(row);
        }
        first
    }

    /// What else tables say of each picture.
    pub(super) fn fields_by_image(&self) -> HashMap<&ImageId, &[FieldRow]> {
        self.fields.chunk_by(|a, b| a.image == b.image).map(|rows| (&rows[0].image, rows)).collect()
    }
}

/// All that an output is made from.
pub(super) struct Wall<'a> {
    pub(super) ctx: &'a Context,
    pub(super) settings: &'a RenderSettings,
    pub(super) input: &'a Input,
    pub(super) known: &'a Known<'a>,
    pub(super) tiles: Tiles<'a>,
    /// The record of the picture, if it was drawn before.
    pub(super) drawn: Option<Made>,
    /// The tables of neighbours and seams, once they are up to date; none where they are not shown.
    pub(super) alike: Option<[Made; 2]>,
}

impl<'a> Wall<'a> {
    /// The pictures of which this thumbnail can be had.
    pub(super) fn having(&self, kept: Kept) -> impl Iterator<Item = &ImageId> {
        self.input.rows.iter().map(|row| &row.image).filter(move |image| self.tiles.has(image, kept))
    }

    /// Makes the thumbnails of this kind that are missing; gives what is wrong with any. Fails when the user interrupts.
    pub(super) fn prepare(&self, what: &str, kept: Kept) -> Result<Vec<String>> {
        let wanted: Vec<&ImageId> = self.having(kept).collect();
        let bar = self.ctx.reporter.bar(what, wanted.len() as u64, false);
        let failures = self.tiles.prepare(&wanted, || {
            bar.advance(1);
            !self.ctx.reporter.interrupted()
        });
        self.ctx.go_on()?;
        Ok(failures)
    }

    /// Whether none of it has a picture.
    pub(super) fn is_dots(&self) -> bool {
        self.having(draw::tile(self.settings)).next().is_none()
    }

    /// Pixels of the picture, without what stands below it. Fails when its format cannot hold it.
    pub(super) fn size(&self) -> Result<(u32, u32)> {
        size_of(self.settings, self.input.rows.len(), self.input.grid(), self.is_dots())
    }

    /// The pictures behind one that is on the wall, the best first.
    pub(super) fn behind(&self, image: &ImageId) -> &[ImageId] {
        self.known.folds.as_ref().map(|folds| folds.behind(image)).unwrap_or_default()
    }

    /// The likeness of the pictures, if it is shown on the page or in the picture.
    pub(super) fn likeness(&self) -> Option<Likeness<'a>> {
        self.known.likeness.filter(|_| self.settings.page || self.shows_seams())
    }

    /// A scatter has no cells with borders.
    pub(super) fn shows_seams(&self) -> bool {
        self.settings.seams && self.settings.style == Style::Grid
    }

    /// The borders' colours, if there are vectors to tell how far apart pictures are.
    pub(super) fn seams(&self) -> Result<Option<Seams>> {
        let Some([_, seams]) = &self.alike else { return Ok(None) };
        Ok(Some(Seams::new(&SeamRow::from_batch(&seams.artifact.batch)?)))
    }

    /// What stands in a key for the pictures that are behind others.
    pub(super) fn folded(&self) -> Option<(String, Digest)> {
        let folds = self.known.folds.as_ref().filter(|folds| folds.count() > 0);
        folds.map(|folds| (ShotRow::STAGE.to_owned(), folds.digest))
    }

    /// What stands for the pictures that are new in a key.
    pub(super) fn new_ones(&self) -> Digest {
        digest_of(self.known.new.iter().map(|image| &**image))
    }
}

/// The digest of these names, in this order.
pub(super) fn digest_of<'a>(names: impl Iterator<Item = &'a str>) -> Digest {
    let mut hasher = blake3::Hasher::new();
    for name in names {
        hasher.update(&(name.len() as u64).to_le_bytes()).update(name.as_bytes());
    }
    Digest::from_hasher(&hasher)
}
