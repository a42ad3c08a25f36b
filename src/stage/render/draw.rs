//! The canvas of a picture, out of its tiles.

use std::cell::Cell;
use std::collections::BTreeSet;

use anyhow::Result;
use image::{Rgb, RgbImage};

use super::wall::Wall;
use crate::artifact::ImageId;
use crate::config::{RenderSettings, Style};
use crate::render::mosaic::Mosaic;
use crate::render::scatter::{Scatter, places};
use crate::render::seams::{Seams, outline};
use crate::render::tiles::Kept;
use crate::render::{Canvas, colours, lettering};

/// The tile that the picture is made of.
pub(super) fn tile(settings: &RenderSettings) -> Kept {
    Kept::Tile { cell: settings.cell, fit: settings.fit }
}

/// A picture about to be drawn.
pub(super) struct Drawing<'a> {
    wall: &'a Wall<'a>,
    /// Pixels.
    size: (u32, u32),
    seams: Option<&'a Seams>,
    new: Option<&'a BTreeSet<ImageId>>,
    /// Pictures that could not be had, of those that were asked for.
    pub(super) missing: Cell<usize>,
}

impl<'a> Drawing<'a> {
    /// With these borders, and an outline around the pictures in `new`.
    pub(super) fn new(
        wall: &'a Wall<'a>,
        size: (u32, u32),
        seams: Option<&'a Seams>,
        new: Option<&'a BTreeSet<ImageId>>,
    ) -> Self {
        Self { wall, size, seams, new, missing: Cell::new(0) }
    }

    /// Makes the thumbnails that are missing. Fails when the user interrupts.
    pub(super) fn prepare(&self) -> Result<()> {
        let failures = self.wall.prepare("thumbnails", tile(self.wall.settings))?;
        failures.into_iter().for_each(|line| self.wall.ctx.warn(line));
        Ok(())
    }

    /// The tile of row `i`; none for a picture that cannot be had any more, and for a point of a
    /// scatter that never had one. Fails when the user interrupts.
    pub(super) fn tile(&self, i: usize) -> Result<Option<RgbImage>> {
        let Wall { ctx, settings, input, tiles, .. } = self.wall;
        ctx.go_on()?;
        let image = &input.rows[i].image;
        let mut drawn = match (tiles.has(image, tile(settings)), settings.style) {
            (true, _) => tiles.tile(image, tile(settings)).or_else(|| {
                self.missing.set(self.missing.get() + 1);
                None
            }),
            (false, Style::Grid) => {
                Some(RgbImage::from_pixel(settings.cell, settings.cell, Rgb(input.colours.of_row[i])))
            }
            (false, Style::Scatter) => None,
        };
        if let (Some(drawn), true) = (&mut drawn, self.new.is_some_and(|new| new.contains(image))) {
            outline(drawn, colours::NEW);
        }
        if let (Some(drawn), others @ 1..) = (&mut drawn, self.wall.behind(image).len()) {
            lettering::count(drawn, others + 1);
        }
        Ok(drawn)
    }

    /// The picture, with tiles from `tiles`.
    pub(super) fn canvas<'c>(
        &'c self,
        tiles: impl FnMut(usize) -> Result<Option<RgbImage>> + 'c,
    ) -> Box<dyn Canvas + 'c> {
        let Wall { settings, input, .. } = self.wall;
        let (cell, gap, background) = (settings.cell, settings.gap, settings.background.0);
        match settings.style {
            Style::Grid => {
                let (columns, rows) = (input.grid().0, input.cells());
                Box::new(Mosaic { cell, gap, background, columns, rows, tiles: Box::new(tiles), seams: self.seams })
            }
            Style::Scatter => {
                let points: Vec<[f64; 2]> = input.rows.iter().map(|row| [row.x, row.y]).collect();
                let (places, colours) = (places(&points, self.size.0, cell), input.colours.of_row.clone());
                Box::new(Scatter { side: self.size.0, cell, background, places, colours, tiles: Box::new(tiles) })
            }
        }
    }
}
