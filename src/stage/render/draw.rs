//! The canvas of a picture, out of its tiles.

use std::cell::Cell;
use std::collections::BTreeSet;

use anyhow::Result;
use image::{Rgb, RgbImage};

use super::Input;
use crate::config::{RenderSettings, Style};
use crate::render::mosaic::Mosaic;
use crate::render::scatter::{Scatter, places};
use crate::render::seams::{Seams, outline};
use crate::render::tiles::{Kept, Tiles};
use crate::render::{Canvas, colours};
use crate::stage::Context;

/// The tile that the picture is made of.
pub(super) fn tile(settings: &RenderSettings) -> Kept {
    Kept::Tile { cell: settings.cell, fit: settings.fit }
}

/// A picture about to be drawn.
pub(super) struct Drawing<'a> {
    ctx: &'a Context,
    settings: &'a RenderSettings,
    input: &'a Input,
    tiles: &'a Tiles<'a>,
    /// Pixels.
    size: (u32, u32),
    seams: Option<&'a Seams>,
    new: Option<&'a BTreeSet<String>>,
    missing: Cell<usize>,
}

impl<'a> Drawing<'a> {
    pub(super) fn new(
        ctx: &'a Context,
        settings: &'a RenderSettings,
        input: &'a Input,
        tiles: &'a Tiles<'a>,
        size: (u32, u32),
        seams: Option<&'a Seams>,
    ) -> Self {
        Self { ctx, settings, input, tiles, size, seams, new: None, missing: Cell::new(0) }
    }

    /// With a frame around these pictures.
    pub(super) fn outlining(self, new: &'a BTreeSet<String>) -> Self {
        Self { new: Some(new), ..self }
    }

    /// Makes the thumbnails that are missing.
    ///
    /// # Errors
    /// When the user interrupts.
    pub(super) fn prepare(&self) -> Result<()> {
        let wanted: Vec<&str> = self.input.having(self.tiles, tile(self.settings)).collect();
        let bar = self.ctx.reporter.bar("thumbnails", wanted.len() as u64, false);
        let failures = self.tiles.prepare(&wanted, || {
            bar.advance(1);
            !self.ctx.reporter.interrupted()
        });
        drop(bar);
        self.ctx.go_on()?;
        failures.iter().for_each(|line| self.ctx.warn(line.clone()));
        Ok(())
    }

    /// The tile of row `i`; none for a picture that cannot be had any more, and for a point of a
    /// scatter that never had one.
    ///
    /// # Errors
    /// When the user interrupts.
    pub(super) fn tile(&self, i: usize) -> Result<Option<RgbImage>> {
        self.ctx.go_on()?;
        let image = &self.input.rows[i].image;
        let mut drawn = match (self.has(image), self.settings.style) {
            (true, _) => self.tiles.tile(image, tile(self.settings)).or_else(|| {
                self.missing.set(self.missing.get() + 1);
                None
            }),
            (false, Style::Grid) => {
                let cell = self.settings.cell;
                Some(RgbImage::from_pixel(cell, cell, Rgb(self.input.colours.of_row[i])))
            }
            (false, Style::Scatter) => None,
        };
        if let (Some(drawn), true) = (&mut drawn, self.new.is_some_and(|new| new.contains(image))) {
            outline(drawn, colours::NEW);
        }
        Ok(drawn)
    }

    fn has(&self, image: &str) -> bool {
        self.tiles.has(image, tile(self.settings))
    }

    /// Pictures that could not be had, of those that were asked for.
    pub(super) fn missing(&self) -> usize {
        self.missing.get()
    }

    /// The picture, with tiles from `tiles`.
    pub(super) fn canvas<'c>(
        &'c self,
        tiles: impl FnMut(usize) -> Result<Option<RgbImage>> + 'c,
    ) -> Box<dyn Canvas + 'c> {
        let (cell, gap, background) = (self.settings.cell, self.settings.gap, self.settings.background.0);
        match self.settings.style {
            Style::Grid => {
                let (columns, rows) = (self.input.grid().0, self.input.cells());
                Box::new(Mosaic { cell, gap, background, columns, rows, tiles: Box::new(tiles), seams: self.seams })
            }
            Style::Scatter => {
                let points: Vec<[f64; 2]> = self.input.rows.iter().map(|row| [row.x, row.y]).collect();
                let (places, colours) = (places(&points, self.size.0, cell), self.input.colours.of_row.clone());
                Box::new(Scatter { side: self.size.0, cell, background, places, colours, tiles: Box::new(tiles) })
            }
        }
    }
}
