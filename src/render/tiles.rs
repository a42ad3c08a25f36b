//! Thumbnails, kept by picture and size, so that a second picture decodes nothing.

use std::collections::{BTreeSet, HashMap};
use std::io::Cursor;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use image::codecs::jpeg::JpegEncoder;
use image::{ImageFormat, RgbImage};
use rayon::prelude::*;

use crate::artifact::ImageId;
use crate::photo::{self, Budget, Photo, TileFit};
use crate::registration::SIDE;
use crate::source::Entry;
use crate::store::{Digest, Durability, Store, remove};

/// Raised when the same picture and size give another thumbnail.
pub const VERSION: u32 = 4;

/// Pixels of a tile of the page.
pub const PAGE_TILE: u32 = 128;
/// Thumbnails up to this size are made of a picture that was shrunk first.
const SMALL: u32 = 512;
/// JPEG quality of a tile of the page, which is encoded once more as a part of a sheet.
const PAGE_QUALITY: u8 = 92;
/// JPEG quality of a picture that is shown large.
const LARGE_QUALITY: u8 = 82;

/// What is kept of a picture. None of it has the original's metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// A tile of the picture, lossless.
    Tile {
        /// Pixels of its side.
        cell: u32,
        /// How the picture fills it.
        fit: TileFit,
    },
    /// A tile of the page, [`PAGE_TILE`] pixels, and how the picture fills it.
    Page(TileFit),
    /// The whole picture, no side longer than so many pixels, never enlarged.
    Large(u32),
    /// The whole picture in a square of [`SIDE`] pixels, lossless: what it is compared by.
    Look,
}

impl Kept {
    fn folder(self) -> String {
        let name = |fit: TileFit| format!("{fit:?}").to_lowercase();
        match self {
            Self::Tile { cell, fit } => format!("thumbs/{cell}-{}-{VERSION}", name(fit)),
            Self::Page(fit) => format!("thumbs/page-{}-{VERSION}", name(fit)),
            Self::Large(side) => format!("thumbs/large-{side}-{VERSION}"),
            Self::Look => format!("thumbs/look-{VERSION}"),
        }
    }

    fn format(self) -> ImageFormat {
        if matches!(self, Self::Tile { .. } | Self::Look) { ImageFormat::Png } else { ImageFormat::Jpeg }
    }

    fn suffix(self) -> &'static str {
        if self.format() == ImageFormat::Png { "png" } else { "jpg" }
    }

    /// The longest side that it can have, in pixels.
    fn side(self) -> u32 {
        match self {
            Self::Tile { cell: side, .. } | Self::Large(side) => side,
            Self::Page(_) => PAGE_TILE,
            Self::Look => SIDE as u32,
        }
    }

    /// Whether it is made of the small size of a picture, never of the whole.
    fn is_small(self) -> bool {
        self.side() <= SMALL
    }

    /// Whether it can be made of these pixels.
    fn is_of(self, photo: &Photo<'_>) -> bool {
        if self.is_small() { photo.sizes.small } else { photo.sizes.whole }
    }

    fn of(self, picture: &Decoded<'_>) -> RgbImage {
        let pixels = picture.shrunk.as_ref().filter(|_| self.is_small()).unwrap_or(picture.whole);
        match self {
            Self::Tile { cell, fit } => photo::tile(pixels, cell, fit),
            Self::Page(fit) => photo::tile(pixels, PAGE_TILE, fit),
            Self::Large(side) if pixels.width().max(pixels.height()) > side => {
                photo::tile(pixels, side, TileFit::Contain)
            }
            Self::Large(_) => pixels.clone(),
            Self::Look => photo::stretch(pixels, SIDE as u32, SIDE as u32),
        }
    }

    fn encode(self, picture: &RgbImage) -> Result<Vec<u8>> {
        let mut bytes = Cursor::new(Vec::new());
        match self {
            Self::Tile { .. } | Self::Look => picture.write_to(&mut bytes, ImageFormat::Png)?,
            Self::Page(_) => JpegEncoder::new_with_quality(&mut bytes, PAGE_QUALITY).encode_image(picture)?,
            Self::Large(_) => JpegEncoder::new_with_quality(&mut bytes, LARGE_QUALITY).encode_image(picture)?,
        }
        Ok(bytes.into_inner())
    }
}

/// A decoded picture.
struct Decoded<'a> {
    whole: &'a RgbImage,
    /// Made once for all its small thumbnails.
    shrunk: Option<RgbImage>,
}

impl<'a> Decoded<'a> {
    fn new(whole: &'a RgbImage) -> Self {
        Self { whole, shrunk: photo::shrunk(whole) }
    }
}

/// A thumbnail as a file has it.
pub enum Encoded {
    /// A file of the cache, intact.
    File(PathBuf),
    /// The bytes, where the cache could not take them.
    Bytes(Vec<u8>),
}

/// Thumbnails of some kinds, in the cache.
pub struct Thumbs<'a> {
    store: &'a Store,
    /// What is made of a picture once it is decoded.
    kept: Vec<Kept>,
}

impl<'a> Thumbs<'a> {
    /// Thumbnails of these kinds.
    pub fn new(store: &'a Store, kept: Vec<Kept>) -> Self {
        Self { store, kept }
    }

    /// Keeps everything that is wanted of a picture, can be made of these pixels and is not there yet.
    ///
    /// # Errors
    /// When a thumbnail cannot be encoded; a cache that cannot be written costs time, not the picture.
    pub fn keep(&self, image: &ImageId, photo: &Photo<'_>) -> Result<()> {
        let kept = self.kept.iter().filter(|kept| kept.is_of(photo));
        let places = kept.filter_map(|&kept| Some((kept, place(image, kept)?)));
        let missing: Vec<_> = places.filter(|(_, (folder, key))| self.store.find(folder, key).is_none()).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let picture = Decoded::new(&photo.pixels);
        for (kept, (folder, key)) in missing {
            let encoded = kept.encode(&kept.of(&picture))?;
            let _ = self.store.publish(&folder, &key, kept.suffix(), Durability::Relaxed, &encoded);
        }
        Ok(())
    }
}

impl Thumbs<'_> {
    /// The folders of its kinds.
    pub fn kinds(&self) -> Vec<String> {
        self.kept.iter().map(|kept| kept.folder()).collect()
    }

    /// Everything that is wanted of a picture and can be made of these pixels: the folder of its kind, and the file.
    ///
    /// # Errors
    /// When a thumbnail cannot be encoded.
    pub fn files_of(&self, photo: &Photo<'_>) -> Result<Vec<(String, Vec<u8>)>> {
        let picture = Decoded::new(&photo.pixels);
        let kept = self.kept.iter().filter(|kept| kept.is_of(photo));
        kept.map(|kept| Ok((kept.folder(), kept.encode(&kept.of(&picture))?))).collect()
    }

    /// Keeps a file that was made elsewhere, if it is of one of its kinds and not there yet.
    ///
    /// # Errors
    /// When the cache cannot be written.
    pub fn adopt(&self, image: &ImageId, kind: &str, file: &[u8]) -> std::io::Result<()> {
        let kept = self.kept.iter().find(|kept| kept.folder() == kind);
        let Some((kept, (folder, key))) = kept.and_then(|&kept| Some((kept, place(image, kept)?))) else {
            return Ok(());
        };
        self.store.publish(&folder, &key, kept.suffix(), Durability::Relaxed, file).map(drop)
    }
}

/// Where thumbnails come from: the cache, or the pictures themselves.
pub struct Tiles<'a> {
    thumbs: Thumbs<'a>,
    budget: &'a Budget,
    sources: &'a HashMap<&'a ImageId, &'a Entry>,
    /// Names of the kept files by folder, as they were at the beginning.
    listed: HashMap<String, Vec<String>>,
}

/// The files of these kinds; of what is shown large those of every size, since the record of a picture does not say
/// which one its page uses.
pub fn files(store: &Store, kept: &[Kept]) -> Vec<PathBuf> {
    let thumbs = std::fs::read_dir(store.root().join("thumbs")).into_iter().flatten();
    let names: Vec<String> = thumbs.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    let of = |kept: &Kept| match kept {
        Kept::Large(_) => {
            names.iter().filter(|name| name.starts_with("large-")).map(|name| format!("thumbs/{name}")).collect()
        }
        other => vec![other.folder()],
    };
    let parts = kept.iter().flat_map(of).flat_map(|folder| parts(&folder).collect::<Vec<_>>());
    parts.flat_map(|f| store.names(&f).into_iter().map(move |name| store.root().join(&f).join(name))).collect()
}

/// Drops the thumbnails of all kinds but these. Of what is shown large the records of pictures name no size: those of
/// others go once one is in use.
///
/// # Errors
/// When a file cannot be removed.
pub fn drop_others(store: &Store, used: &[Kept]) -> std::io::Result<()> {
    let used: Vec<String> = used.iter().map(|kept| kept.folder()).collect();
    let shows_large = used.iter().any(|folder| folder.starts_with("thumbs/large-"));
    let folders = std::fs::read_dir(store.root().join("thumbs")).into_iter().flatten();
    let names = folders.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    for folder in names.map(|name| format!("thumbs/{name}")) {
        let stays = used.contains(&folder) || (folder.starts_with("thumbs/large-") && !shows_large);
        for part in parts(&folder).filter(|_| !stays) {
            drop_of(store, &part, |_| true)?;
        }
        if !stays {
            // Whatever else is in it is not ours.
            let _ = std::fs::remove_dir(store.root().join(&folder));
        }
    }
    Ok(())
}

/// Drops the thumbnails of these kinds whose pictures are not among the living.
///
/// # Errors
/// When a file cannot be removed.
pub fn drop_gone(store: &Store, kinds: &[Kept], living: &BTreeSet<ImageId>) -> std::io::Result<()> {
    let folders: BTreeSet<String> = kinds.iter().map(|kept| kept.folder()).collect();
    for part in folders.iter().flat_map(|folder| parts(folder)) {
        let names = store.names(&part);
        let of_living = |image: &ImageId| Store::find_among(&names, &image.digest()?).cloned();
        let byte = part.rsplit('/').next().unwrap_or_default();
        // A picture's digest begins with the name of its part.
        let stay: BTreeSet<String> =
            living.iter().filter(|image| image.starts_with(byte)).filter_map(of_living).collect();
        drop_of(store, &part, |name| !stay.contains(name))?;
    }
    Ok(())
}

fn drop_of(store: &Store, part: &str, which: impl Fn(&str) -> bool) -> std::io::Result<()> {
    let place = store.root().join(part);
    for name in store.names(part).into_iter().filter(|name| which(name)) {
        remove(&place.join(name))?;
    }
    // Only an empty folder goes.
    let _ = std::fs::remove_dir(place);
    Ok(())
}

/// Thumbnails are spread over 256 folders.
fn parts(folder: &str) -> impl Iterator<Item = String> {
    (0..=255).map(move |byte| format!("{folder}/{byte:02x}"))
}

impl<'a> Tiles<'a> {
    /// Thumbnails of these kinds; `sources` says where each picture can be read.
    pub fn new(
        store: &'a Store,
        budget: &'a Budget,
        kept: Vec<Kept>,
        sources: &'a HashMap<&'a ImageId, &'a Entry>,
    ) -> Self {
        let folders = kept.iter().flat_map(|kept| parts(&kept.folder()).collect::<Vec<_>>());
        let listed = folders.map(|folder| (folder.clone(), store.names(&folder))).collect();
        Self { thumbs: Thumbs::new(store, kept), budget, sources, listed }
    }

    /// Whether this of the picture can be had.
    pub fn has(&self, image: &ImageId, kept: Kept) -> bool {
        self.sources.contains_key(image) || self.find(image, kept).is_some()
    }

    /// Makes the thumbnails that are missing, on all cores; `done` is called after each picture
    /// and returns whether to go on. Returns one line for each thumbnail that was damaged and
    /// for each picture that could not be had.
    pub fn prepare(&self, images: &[&ImageId], done: impl Fn() -> bool + Sync) -> Vec<String> {
        let make = |image: &&ImageId| {
            if !done() {
                return Vec::new();
            }
            let found: Vec<_> = self.thumbs.kept.iter().map(|&kept| self.cached(image, kept)).collect();
            if found.iter().all(|found| matches!(found, Ok(Some(_)))) {
                return Vec::new();
            }
            let damage = found.into_iter().filter_map(|found| Some(format!("{:#}; drawing it again", found.err()?)));
            // Whatever fails here is tried again when the tile is drawn, without the cache.
            let failure = self.make_missing(image).err().map(|error| format!("{error:#}"));
            damage.chain(failure).collect()
        };
        images.par_iter().flat_map_iter(make).collect()
    }

    /// The thumbnail, or `None` if the picture cannot be had any more.
    pub fn tile(&self, image: &ImageId, kept: Kept) -> Option<RgbImage> {
        if let Ok(Some(bytes)) = self.cached(image, kept) {
            return Some(image::load_from_memory_with_format(&bytes, kept.format()).ok()?.into_rgb8());
        }
        Some(kept.of(&Decoded::new(&self.make(image, kept).ok()?.pixels)))
    }

    /// The thumbnail as a file, or `None` if the picture cannot be had any more.
    pub fn file(&self, image: &ImageId, kept: Kept) -> Option<Encoded> {
        let photo = match self.cached(image, kept) {
            Ok(Some(_)) => None,
            _ => Some(self.make(image, kept).ok()?),
        };
        match (self.find(image, kept), photo) {
            (Some(path), _) => Some(Encoded::File(path)),
            (None, photo) => Some(Encoded::Bytes(kept.encode(&kept.of(&Decoded::new(&photo?.pixels))).ok()?)),
        }
    }

    /// The pixels of a picture's small size, as they are decoded.
    ///
    /// # Errors
    /// When the picture cannot be had any more.
    pub fn small(&self, image: &ImageId) -> Result<RgbImage> {
        Ok(self.make(image, Kept::Look)?.pixels)
    }

    fn find(&self, image: &ImageId, kept: Kept) -> Option<PathBuf> {
        let (folder, key) = place(image, kept)?;
        let listed = self.listed.get(&folder).and_then(|names| Store::find_among(names, &key));
        let listed = listed.map(|name| self.thumbs.store.root().join(&folder).join(name)).filter(|path| path.is_file());
        listed.or_else(|| self.thumbs.store.find(&folder, &key))
    }

    /// The kept thumbnail, if there is one; a damaged one is an error, once: it is put aside.
    fn cached(&self, image: &ImageId, kept: Kept) -> Result<Option<Vec<u8>>> {
        let Some(path) = self.find(image, kept) else { return Ok(None) };
        Ok(Some(self.thumbs.store.read(&path)?))
    }

    fn make_missing(&self, image: &ImageId) -> Result<()> {
        for &kept in &self.thumbs.kept {
            if self.find(image, kept).is_none() {
                self.make(image, kept)?;
            }
        }
        Ok(())
    }

    /// Decodes a picture for this, and keeps everything that is wanted of it.
    fn make(&self, image: &ImageId, kept: Kept) -> Result<Photo<'_>> {
        let entry = self.sources.get(image).with_context(|| format!("no source has the picture {image}"))?;
        let bytes = entry.read(self.budget).map_err(|no| anyhow::anyhow!("{}: {}", entry.path, no.detail))?;
        anyhow::ensure!(bytes.image() == *image, "{} changed during the run", entry.path);
        let decode = if kept.is_small() { photo::decode_small } else { photo::decode };
        let photo = decode(&bytes, self.budget).map_err(|no| anyhow::anyhow!("{}: {no}", entry.path))?;
        drop(bytes);
        self.thumbs.keep(image, &photo)?;
        Ok(photo)
    }
}

fn place(image: &ImageId, kept: Kept) -> Option<(String, Digest)> {
    let key = image.digest()?;
    Some((format!("{}/{}", kept.folder(), key.short(2)), key))
}
