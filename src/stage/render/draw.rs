//! The canvas of the drawn grid, composed of its tiles.

use std::cell::Cell;
use std::collections::BTreeSet;

use anyhow::Result;
use image::{Rgb, RgbImage};

use super::scene::RenderScene;
use crate::artifact::ImageId;
use crate::config::{RenderSettings, Style};
use crate::render::mosaic::Mosaic;
use crate::render::scatter::{Scatter, scale_points};
use crate::render::seams::{Seams, outline};
use crate::render::thumbnails::ThumbnailKind;
use crate::render::{Canvas, colours, lettering};

/// The kind of tile that the drawn grid consists of.
pub(super) fn tile(settings: &RenderSettings) -> ThumbnailKind {
    ThumbnailKind::Tile { cell: settings.cell, fit: settings.fit }
}

/// A grid or scatter about to be drawn.
pub(super) struct Drawing<'a> {
    scene: &'a RenderScene<'a>,
    /// Width and height in pixels.
    size: (u32, u32),
    seams: Option<&'a Seams>,
    new: Option<&'a BTreeSet<ImageId>>,
    /// How many of the requested tiles could not be read.
    pub(super) missing: Cell<usize>,
}

impl<'a> Drawing<'a> {
    /// A drawing with these borders, and with an outline around the pictures in `new`.
    pub(super) fn new(
        scene: &'a RenderScene<'a>,
        size: (u32, u32),
        seams: Option<&'a Seams>,
        new: Option<&'a BTreeSet<ImageId>>,
    ) -> Self {
        Self { scene, size, seams, new, missing: Cell::new(0) }
    }

    /// Makes the missing thumbnails, and warns of those that fail. Fails when the user interrupts.
    pub(super) fn prepare(&self) -> Result<()> {
        let failures = self.scene.prepare("thumbnails", tile(self.scene.settings))?;
        failures.into_iter().for_each(|line| self.scene.session.warn(line));
        Ok(())
    }

    /// The tile of row `i`. `None` for a picture that can no longer be read, and in a scatter for a point without a
    /// picture, which is drawn as a dot. Fails when the user interrupts.
    pub(super) fn tile(&self, i: usize) -> Result<Option<RgbImage>> {
        let RenderScene { session, settings, input, thumbnails, .. } = self.scene;
        session.check_interrupted()?;
        let image = &input.rows[i].image;
        let mut drawn = match (thumbnails.has(image, tile(settings)), settings.style) {
            (true, _) => thumbnails.tile(image, tile(settings)).or_else(|| {
                self.missing.set(self.missing.get() + 1);
                None
            }),
            (false, Style::Grid) => {
                Some(RgbImage::from_pixel(settings.cell, settings.cell, Rgb(input.colours.of_row[i])))
            }
            (false, Style::Scatter) => None,
        };
        if let (Some(drawn), true) = (&mut drawn, self.new.is_some_and(|new| new.contains(image))) {
            outline(drawn, colours::NEW_PICTURE);
        }
        if let (Some(drawn), others @ 1..) = (&mut drawn, self.scene.behind(image).len()) {
            lettering::draw_count(drawn, others + 1);
        }
        Ok(drawn)
    }

    /// The canvas, with tiles from `tiles`.
    pub(super) fn canvas<'c>(
        &'c self,
        tiles: impl FnMut(usize) -> Result<Option<RgbImage>> + 'c,
    ) -> Box<dyn Canvas + 'c> {
        let RenderScene { settings, input, .. } = self.scene;
        let (cell, gap, background) = (settings.cell, settings.gap, settings.background.0);
        match settings.style {
            Style::Grid => {
                let (columns, rows) = (input.grid().0, input.cells());
                Box::new(Mosaic { cell, gap, background, columns, rows, tiles: Box::new(tiles), seams: self.seams })
            }
            Style::Scatter => {
                let points: Vec<[f64; 2]> = input.rows.iter().map(|row| [row.x, row.y]).collect();
                let (places, colours) = (scale_points(&points, self.size.0, cell), input.colours.of_row.clone());
                Box::new(Scatter { side: self.size.0, cell, background, places, colours, tiles: Box::new(tiles) })
            }
        }
    }
}
