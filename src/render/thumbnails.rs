//! Thumbnails, cached by picture, size and fit, so that drawing again does not decode the pictures again.

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

/// To be raised when the same picture and size would give another thumbnail.
pub const VERSION: u32 = 4;

/// Side of a tile of the explorer, in pixels.
pub const PAGE_TILE: u32 = 128;
/// Thumbnails of up to this side are computed from a picture that was shrunk first, which is faster.
const MAX_SHRUNK_SIDE: u32 = 512;
/// JPEG quality of a tile of the explorer. It is high, because the tile is encoded again as part of a sheet.
const PAGE_QUALITY: u8 = 92;
/// JPEG quality of the explorer's larger pictures.
const LARGE_QUALITY: u8 = 82;

/// A kind of thumbnail. None of them contains metadata of the original.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ThumbnailKind {
    /// A tile of the drawn grid, lossless.
    Tile {
        /// Side of the tile in pixels.
        cell: u32,
        /// How the picture fills the tile.
        fit: TileFit,
    },
    /// A tile of the explorer, [`PAGE_TILE`] pixels per side, filled with this fit.
    Page(TileFit),
    /// The whole picture with sides of at most this many pixels, never enlarged.
    Large(u32),
    /// The whole picture stretched to a square of [`SIDE`] pixels, lossless, for the comparison of shots.
    Comparison,
}

impl ThumbnailKind {
    fn folder(self) -> String {
        let name = |fit: TileFit| format!("{fit:?}").to_lowercase();
        match self {
            Self::Tile { cell, fit } => format!("thumbs/{cell}-{}-{VERSION}", name(fit)),
            Self::Page(fit) => format!("thumbs/page-{}-{VERSION}", name(fit)),
            Self::Large(side) => format!("thumbs/large-{side}-{VERSION}"),
            Self::Comparison => format!("thumbs/look-{VERSION}"),
        }
    }

    fn format(self) -> ImageFormat {
        if matches!(self, Self::Tile { .. } | Self::Comparison) { ImageFormat::Png } else { ImageFormat::Jpeg }
    }

    fn suffix(self) -> &'static str {
        if self.format() == ImageFormat::Png { "png" } else { "jpg" }
    }

    /// Its longest possible side in pixels.
    fn side(self) -> u32 {
        match self {
            Self::Tile { cell: side, .. } | Self::Large(side) => side,
            Self::Page(_) => PAGE_TILE,
            Self::Comparison => SIDE as u32,
        }
    }

    /// Whether it is computed from the small size of a picture. It always is or never is, so that a thumbnail does not
    /// depend on which size happened to be decoded.
    fn uses_small(self) -> bool {
        self.side() <= MAX_SHRUNK_SIDE
    }

    /// Whether it can be computed from these pixels.
    fn can_use(self, photo: &Photo<'_>) -> bool {
        if self.uses_small() { photo.sizes.small } else { photo.sizes.whole }
    }

    fn render(self, picture: &Decoded<'_>) -> RgbImage {
        let pixels = picture.shrunk.as_ref().filter(|_| self.uses_small()).unwrap_or(picture.whole);
        match self {
            Self::Tile { cell, fit } => photo::tile(pixels, cell, fit),
            Self::Page(fit) => photo::tile(pixels, PAGE_TILE, fit),
            Self::Large(side) if pixels.width().max(pixels.height()) > side => {
                photo::tile(pixels, side, TileFit::Contain)
            }
            Self::Large(_) => pixels.clone(),
            Self::Comparison => photo::stretch(pixels, SIDE as u32, SIDE as u32),
        }
    }

    fn encode(self, picture: &RgbImage) -> Result<Vec<u8>> {
        let mut bytes = Cursor::new(Vec::new());
        match self {
            Self::Tile { .. } | Self::Comparison => picture.write_to(&mut bytes, ImageFormat::Png)?,
            Self::Page(_) => JpegEncoder::new_with_quality(&mut bytes, PAGE_QUALITY).encode_image(picture)?,
            Self::Large(_) => JpegEncoder::new_with_quality(&mut bytes, LARGE_QUALITY).encode_image(picture)?,
        }
        Ok(bytes.into_inner())
    }
}

/// A decoded picture.
struct Decoded<'a> {
    whole: &'a RgbImage,
    /// The picture at reduced size, computed once for all small thumbnails.
    shrunk: Option<RgbImage>,
}

impl<'a> Decoded<'a> {
    fn new(whole: &'a RgbImage) -> Self {
        Self { whole, shrunk: photo::shrunk(whole) }
    }
}

/// An encoded thumbnail.
pub enum ThumbnailFile {
    /// An intact file of the cache.
    File(PathBuf),
    /// The encoded bytes, if the cache could not be written.
    Bytes(Vec<u8>),
}

/// The cache of thumbnails, restricted to the kinds that a run needs.
pub struct ThumbnailCache<'a> {
    store: &'a Store,
    /// The kinds to write whenever a picture is decoded.
    kinds: Vec<ThumbnailKind>,
}

impl<'a> ThumbnailCache<'a> {
    /// A cache for thumbnails of these kinds.
    pub fn new(store: &'a Store, kinds: Vec<ThumbnailKind>) -> Self {
        Self { store, kinds }
    }

    /// Writes the thumbnails of a picture that are missing and can be computed from these pixels.
    ///
    /// # Errors
    /// When a thumbnail cannot be encoded. A cache that cannot be written is no error: it only costs time later.
    pub fn store_missing(&self, image: &ImageId, photo: &Photo<'_>) -> Result<()> {
        let kinds = self.kinds.iter().filter(|kind| kind.can_use(photo));
        let files = kinds.filter_map(|&kind| Some((kind, folder_and_key(image, kind)?)));
        let missing: Vec<_> = files.filter(|(_, (folder, key))| self.store.find(folder, key).is_none()).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let picture = Decoded::new(&photo.pixels);
        for (kind, (folder, key)) in missing {
            let encoded = kind.encode(&kind.render(&picture))?;
            let _ = self.store.publish(&folder, &key, kind.suffix(), Durability::Relaxed, &encoded);
        }
        Ok(())
    }
}

impl ThumbnailCache<'_> {
    /// The folder of each kind, relative to the store.
    pub fn folders(&self) -> Vec<String> {
        self.kinds.iter().map(|kind| kind.folder()).collect()
    }

    /// The folder and the encoded file of each thumbnail that can be computed from these pixels.
    ///
    /// # Errors
    /// When a thumbnail cannot be encoded.
    pub fn encode_all(&self, photo: &Photo<'_>) -> Result<Vec<(String, Vec<u8>)>> {
        let picture = Decoded::new(&photo.pixels);
        let kinds = self.kinds.iter().filter(|kind| kind.can_use(photo));
        kinds.map(|kind| Ok((kind.folder(), kind.encode(&kind.render(&picture))?))).collect()
    }

    /// Stores a thumbnail that another machine computed, if it is of one of these kinds and not cached yet.
    ///
    /// # Errors
    /// When the cache cannot be written.
    pub fn import(&self, image: &ImageId, folder_name: &str, file: &[u8]) -> std::io::Result<()> {
        let kind = self.kinds.iter().find(|kind| kind.folder() == folder_name);
        let Some((kind, (folder, key))) = kind.and_then(|&kind| Some((kind, folder_and_key(image, kind)?))) else {
            return Ok(());
        };
        self.store.publish(&folder, &key, kind.suffix(), Durability::Relaxed, file).map(drop)
    }
}

/// Provides thumbnails, from the cache or from the pictures themselves.
pub struct ThumbnailSource<'a> {
    cache: ThumbnailCache<'a>,
    budget: &'a Budget,
    sources: &'a HashMap<&'a ImageId, &'a Entry>,
    /// Names of the cached files by folder, listed once at the beginning so that lookups need no folder listing.
    initial_files: HashMap<String, Vec<String>>,
}

/// The cached files of these kinds. For [`ThumbnailKind::Large`] those of every size, because the record of a drawn
/// grid does not contain the size that its explorer uses.
pub fn files(store: &Store, kinds: &[ThumbnailKind]) -> Vec<PathBuf> {
    let thumbs = std::fs::read_dir(store.root().join("thumbs")).into_iter().flatten();
    let names: Vec<String> = thumbs.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    let folders_of = |kind: &ThumbnailKind| match kind {
        ThumbnailKind::Large(_) => {
            names.iter().filter(|name| name.starts_with("large-")).map(|name| format!("thumbs/{name}")).collect()
        }
        other => vec![other.folder()],
    };
    let prefix_folders =
        kinds.iter().flat_map(folders_of).flat_map(|folder| prefix_folders(&folder).collect::<Vec<_>>());
    prefix_folders
        .flat_map(|folder| store.names(&folder).into_iter().map(move |name| store.root().join(&folder).join(name)))
        .collect()
}

/// Removes the thumbnails of all kinds except these. Those of kind [`ThumbnailKind::Large`] stay unless `used` contains
/// this kind with another size, because the records of drawn grids do not contain the size.
///
/// # Errors
/// When a file cannot be removed.
pub fn remove_other_kinds(store: &Store, used: &[ThumbnailKind]) -> std::io::Result<()> {
    let used: Vec<String> = used.iter().map(|kind| kind.folder()).collect();
    let shows_large = used.iter().any(|folder| folder.starts_with("thumbs/large-"));
    let folders = std::fs::read_dir(store.root().join("thumbs")).into_iter().flatten();
    let names = folders.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    for folder in names.map(|name| format!("thumbs/{name}")) {
        let is_used = used.contains(&folder) || (folder.starts_with("thumbs/large-") && !shows_large);
        for part in prefix_folders(&folder).filter(|_| !is_used) {
            remove_matching(store, &part, |_| true)?;
        }
        if !is_used {
            // This fails if the folder has other files, which stay.
            let _ = std::fs::remove_dir(store.root().join(&folder));
        }
    }
    Ok(())
}

/// Removes the thumbnails of these kinds whose pictures are not in `live`.
///
/// # Errors
/// When a file cannot be removed.
pub fn remove_unused(store: &Store, kinds: &[ThumbnailKind], live: &BTreeSet<ImageId>) -> std::io::Result<()> {
    let folders: BTreeSet<String> = kinds.iter().map(|kind| kind.folder()).collect();
    for prefix_folder in folders.iter().flat_map(|folder| prefix_folders(folder)) {
        let names = store.names(&prefix_folder);
        let live_file = |image: &ImageId| Store::find_among(&names, &image.digest()?).cloned();
        let byte = prefix_folder.rsplit('/').next().unwrap_or_default();
        // The name of a prefix folder is the first byte of its pictures' digests.
        let live_names: BTreeSet<String> =
            live.iter().filter(|image| image.starts_with(byte)).filter_map(live_file).collect();
        remove_matching(store, &prefix_folder, |name| !live_names.contains(name))?;
    }
    Ok(())
}

fn remove_matching(store: &Store, prefix_folder: &str, matches: impl Fn(&str) -> bool) -> std::io::Result<()> {
    let path = store.root().join(prefix_folder);
    for name in store.names(prefix_folder).into_iter().filter(|name| matches(name)) {
        remove(&path.join(name))?;
    }
    // This removes the folder only if it is empty.
    let _ = std::fs::remove_dir(path);
    Ok(())
}

/// The 256 folders over which the thumbnails of a kind are spread, by the first byte of the picture's digest.
fn prefix_folders(folder: &str) -> impl Iterator<Item = String> {
    (0..=255).map(move |byte| format!("{folder}/{byte:02x}"))
}

impl<'a> ThumbnailSource<'a> {
    /// A source of thumbnails of these kinds. `sources` has the input from which each picture can be read.
    pub fn new(
        store: &'a Store,
        budget: &'a Budget,
        kinds: Vec<ThumbnailKind>,
        sources: &'a HashMap<&'a ImageId, &'a Entry>,
    ) -> Self {
        let folders = kinds.iter().flat_map(|kind| prefix_folders(&kind.folder()).collect::<Vec<_>>());
        let initial_files = folders.map(|folder| (folder.clone(), store.names(&folder))).collect();
        Self { cache: ThumbnailCache::new(store, kinds), budget, sources, initial_files }
    }

    /// Whether this thumbnail is cached, or its picture is among the sources.
    pub fn has(&self, image: &ImageId, kind: ThumbnailKind) -> bool {
        self.sources.contains_key(image) || self.find(image, kind).is_some()
    }

    /// Computes the missing thumbnails on all cores. `may_continue` is called before each picture and
    /// returns whether to go on.
    /// Returns a message for each thumbnail that was damaged and for each picture that could not be read.
    pub fn prepare(&self, images: &[&ImageId], may_continue: impl Fn() -> bool + Sync) -> Vec<String> {
        let make_all = |image: &&ImageId| {
            if !may_continue() {
                return Vec::new();
            }
            let found: Vec<_> = self.cache.kinds.iter().map(|&kind| self.cached(image, kind)).collect();
            if found.iter().all(|found| matches!(found, Ok(Some(_)))) {
                return Vec::new();
            }
            let damage = found.into_iter().filter_map(|found| Some(format!("{:#}; drawing it again", found.err()?)));
            // A failure is only a message here, because `tile` tries again when the tile is drawn.
            let failure = self.make_missing(image).err().map(|error| format!("{error:#}"));
            damage.chain(failure).collect()
        };
        images.par_iter().flat_map_iter(make_all).collect()
    }

    /// The pixels of a thumbnail, or `None` if the picture can no longer be read.
    pub fn tile(&self, image: &ImageId, kind: ThumbnailKind) -> Option<RgbImage> {
        if let Ok(Some(bytes)) = self.cached(image, kind) {
            return Some(image::load_from_memory_with_format(&bytes, kind.format()).ok()?.into_rgb8());
        }
        Some(kind.render(&Decoded::new(&self.make(image, kind).ok()?.pixels)))
    }

    /// A thumbnail as an encoded file, or `None` if the picture can no longer be read.
    pub fn file(&self, image: &ImageId, kind: ThumbnailKind) -> Option<ThumbnailFile> {
        let photo = match self.cached(image, kind) {
            Ok(Some(_)) => None,
            _ => Some(self.make(image, kind).ok()?),
        };
        match (self.find(image, kind), photo) {
            (Some(path), _) => Some(ThumbnailFile::File(path)),
            (None, photo) => Some(ThumbnailFile::Bytes(kind.encode(&kind.render(&Decoded::new(&photo?.pixels))).ok()?)),
        }
    }

    /// The pixels of a picture's small size, as decoded.
    ///
    /// # Errors
    /// When the picture can no longer be read.
    pub fn small(&self, image: &ImageId) -> Result<RgbImage> {
        Ok(self.make(image, ThumbnailKind::Comparison)?.pixels)
    }

    fn find(&self, image: &ImageId, kind: ThumbnailKind) -> Option<PathBuf> {
        let (folder, key) = folder_and_key(image, kind)?;
        let listed = self.initial_files.get(&folder).and_then(|names| Store::find_among(names, &key));
        let listed = listed.map(|name| self.cache.store.root().join(&folder).join(name)).filter(|path| path.is_file());
        listed.or_else(|| self.cache.store.find(&folder, &key))
    }

    /// The bytes of the cached thumbnail, if there is one. A damaged one is an error the first time, because the store
    /// then moves it away.
    fn cached(&self, image: &ImageId, kind: ThumbnailKind) -> Result<Option<Vec<u8>>> {
        let Some(path) = self.find(image, kind) else { return Ok(None) };
        Ok(Some(self.cache.store.read(&path)?))
    }

    fn make_missing(&self, image: &ImageId) -> Result<()> {
        for &kind in &self.cache.kinds {
            if self.find(image, kind).is_none() {
                self.make(image, kind)?;
            }
        }
        Ok(())
    }

    /// Decodes a picture at the size that this kind needs, and stores its missing thumbnails.
    fn make(&self, image: &ImageId, kind: ThumbnailKind) -> Result<Photo<'_>> {
        let entry = self.sources.get(image).with_context(|| format!("no source has the picture {image}"))?;
        let bytes = entry.read(self.budget).map_err(|error| anyhow::anyhow!("{}: {}", entry.path, error.detail))?;
        anyhow::ensure!(bytes.image() == *image, "{} changed during the run", entry.path);
        let decode = if kind.uses_small() { photo::decode_small } else { photo::decode };
        let photo = decode(&bytes, self.budget).map_err(|error| anyhow::anyhow!("{}: {error}", entry.path))?;
        drop(bytes);
        self.cache.store_missing(image, &photo)?;
        Ok(photo)
    }
}

/// The prefix folder of a thumbnail, relative to the store, and its key; `None` if the id is not a digest.
fn folder_and_key(image: &ImageId, kind: ThumbnailKind) -> Option<(String, Digest)> {
    let key = image.digest()?;
    Some((format!("{}/{}", kind.folder(), key.short(2)), key))
}
