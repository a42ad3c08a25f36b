//! Thumbnails, kept by picture and size, so that a second picture decodes nothing.

use std::collections::HashMap;
use std::io::Cursor;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use image::{ImageFormat, RgbImage};
use rayon::prelude::*;

use crate::photo::{self, Budget, TileFit};
use crate::source::Entry;
use crate::store::{Digest, Durability, Store};

/// Raised when the same picture and size give another thumbnail.
pub const VERSION: u32 = 1;

/// Where thumbnails come from: the cache, or the pictures themselves.
pub struct Tiles<'a> {
    store: &'a Store,
    budget: &'a Budget,
    cell: u32,
    fit: TileFit,
    folder: String,
    sources: HashMap<&'a str, &'a Entry>,
}

fn folder(cell: u32, fit: TileFit) -> String {
    let fit = format!("{fit:?}").to_lowercase();
    format!("thumbs/{cell}-{fit}-{VERSION}")
}

/// The kept thumbnails that a picture with these parameters uses.
pub fn kept(store: &Store, params: &serde_json::Value) -> Vec<PathBuf> {
    let cell = params["cell"].as_u64().and_then(|cell| u32::try_from(cell).ok());
    let fit = serde_json::from_value(params["fit"].clone()).ok();
    let Some(folder) = cell.zip(fit).map(|(cell, fit)| folder(cell, fit)) else { return Vec::new() };
    let folders = (0..=255).map(|byte| format!("{folder}/{byte:02x}"));
    folders.flat_map(|f| store.names(&f).into_iter().map(move |name| store.root().join(&f).join(name))).collect()
}

impl<'a> Tiles<'a> {
    /// Thumbnails of `cell` pixels; `sources` says where each picture can be read.
    pub fn new(
        store: &'a Store,
        budget: &'a Budget,
        cell: u32,
        fit: TileFit,
        sources: HashMap<&'a str, &'a Entry>,
    ) -> Self {
        Self { store, budget, cell, fit, folder: folder(cell, fit), sources }
    }

    /// Whether the picture can be had.
    pub fn has(&self, image: &str) -> bool {
        self.sources.contains_key(image)
            || self.place(image).is_some_and(|(folder, key)| self.store.find(&folder, &key).is_some())
    }

    /// Makes the thumbnails that are missing, on all cores; `done` is called after each picture
    /// and returns whether to go on. Returns one line for each thumbnail that was damaged and
    /// for each picture that could not be had.
    pub fn prepare(&self, images: &[&str], done: impl Fn() -> bool + Sync) -> Vec<String> {
        let make = |image: &&str| {
            if !done() {
                return Vec::new();
            }
            let damage = match self.cached(image) {
                Ok(Some(_)) => return Vec::new(),
                Ok(None) => None,
                Err(error) => Some(format!("{error:#}; drawing it again")),
            };
            // Whatever fails here is tried again when the tile is drawn, without the cache.
            let failure = self.make(image).err().map(|error| format!("{error:#}"));
            damage.into_iter().chain(failure).collect()
        };
        images.par_iter().flat_map_iter(make).collect()
    }

    /// The thumbnail, or `None` if the picture cannot be had any more.
    pub fn tile(&self, image: &str) -> Option<RgbImage> {
        self.cached(image).ok().flatten().or_else(|| self.make(image).ok())
    }

    fn place(&self, image: &str) -> Option<(String, Digest)> {
        let key = Digest::from_hex(image)?;
        Some((format!("{}/{}", self.folder, key.short(2)), key))
    }

    /// The kept thumbnail, if there is one; a damaged one is an error, once: it is put aside.
    fn cached(&self, image: &str) -> Result<Option<RgbImage>> {
        let Some((folder, key)) = self.place(image) else { return Ok(None) };
        let Some(path) = self.store.find(&folder, &key) else { return Ok(None) };
        let bytes = self.store.read(&path)?;
        Ok(Some(image::load_from_memory_with_format(&bytes, ImageFormat::Png)?.into_rgb8()))
    }

    fn make(&self, image: &str) -> Result<RgbImage> {
        let entry = self.sources.get(image).with_context(|| format!("no source has the picture {image}"))?;
        let bytes = entry.read().map_err(|no| anyhow::anyhow!("{}: {}", entry.path, no.detail))?;
        anyhow::ensure!(Digest::of(&bytes).to_string() == image, "{} changed during the run", entry.path);
        let photo = photo::decode(&bytes, self.budget).map_err(|no| anyhow::anyhow!("{}: {no}", entry.path))?;
        let tile = photo::tile(&photo.pixels, self.cell, self.fit);
        if let Some((folder, key)) = self.place(image) {
            let mut png = Cursor::new(Vec::new());
            tile.write_to(&mut png, ImageFormat::Png)?;
            // A cache that cannot be written costs time, not the picture.
            let _ = self.store.publish(&folder, &key, "png", Durability::Relaxed, png.get_ref());
        }
        Ok(tile)
    }
}
