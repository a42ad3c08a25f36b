//! Writes the sample as zip files, as Instagram delivers large exports: the names share a prefix, the first part has
//! the indexes, and all parts have pictures.

use std::io;
use std::path::Path;

use anyhow::{Context as _, Result};
use rayon::prelude::*;
use zip::write::{SimpleFileOptions, StreamWriter};
use zip::{CompressionMethod, ZipWriter};

use super::{ExportFile, FileContent, Options};
use crate::linalg::SplitMix64;
use crate::store::replace_file;

/// Number of pictures that are drawn in parallel before they are written, which limits the memory.
const CHUNK: usize = 64;

/// The names of the zip files, which depend on the seed only.
pub(super) fn names(options: &Options, parts: u32) -> Vec<String> {
    let mut random = SplitMix64::new(options.seed ^ 0x7A69_7073);
    let letters = b"ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789";
    let mut random_suffix = || -> String { (0..8).map(|_| char::from(letters[random.below(57) as usize])).collect() };
    (0..parts).map(|_| format!("instagram-sample-2026-01-01-{}.zip", random_suffix())).collect()
}

/// Writes the zip files: the texts into the first one, and the pictures in order, in equal shares, into all.
pub(super) fn write(dir: &Path, names: &[String], files: &[ExportFile]) -> Result<()> {
    let pictures = files.iter().filter(|file| matches!(file.content, FileContent::Picture(_))).count();
    let (texts, pictures) = files.split_at(files.len() - pictures);
    let per_part = pictures.len().div_ceil(names.len()).max(1);
    let mut shares = pictures.chunks(per_part);
    for (i, name) in names.iter().enumerate() {
        let texts = if i == 0 { texts } else { &[] };
        let pictures = shares.next().unwrap_or_default();
        let path = dir.join(name);
        replace_file(&path, |out| -> io::Result<()> {
            let mut zip = ZipWriter::new_stream(out);
            for chunk in texts.chunks(CHUNK).chain(pictures.chunks(CHUNK)) {
                add_files(&mut zip, chunk).map_err(io::Error::other)?;
            }
            zip.finish()?;
            Ok(())
        })
        .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

fn add_files<W: io::Write>(zip: &mut ZipWriter<StreamWriter<W>>, files: &[ExportFile]) -> Result<()> {
    let contents: Vec<Vec<u8>> = files.par_iter().map(|file| file.content.bytes()).collect::<Result<_>>()?;
    for (file, bytes) in files.iter().zip(contents) {
        let method = match file.content {
            FileContent::Text(_) => CompressionMethod::Deflated,
            // JPEGs do not become smaller.
            FileContent::Picture(_) => CompressionMethod::Stored,
        };
        zip.start_file(&*file.name, SimpleFileOptions::default().compression_method(method))?;
        io::Write::write_all(zip, &bytes)?;
    }
    Ok(())
}
