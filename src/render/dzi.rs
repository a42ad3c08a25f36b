//! Deep zoom: a canvas as a folder of small JPEGs at every scale, in the layout that OpenSeadragon
//! and its like read. `wall.dzi` describes it, `wall_files/<level>/<column>_<row>.jpg` are the tiles;
//! level 0 is one pixel, each level twice the one before it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use anyhow::{Context as _, Result};

use super::Canvas;
use super::pyramid::pyramid;
use crate::store::{Digest, Filling, OwnFolder, replace_file};

/// Pixels of a tile's side.
const TILE: u32 = 512;

/// The folder that the tiles of `output` are in.
pub fn folder(output: &Path) -> OwnFolder {
    let stem = output.file_stem().unwrap_or_default().to_string_lossy();
    OwnFolder::new(output.with_file_name(format!("{stem}_files")))
}

/// Draws `canvas` in one pass into tiles, which replace those that were there, and then writes
/// `output`, whose bytes depend on those of all tiles.
///
/// # Errors
/// When the tiles' folder is someone else's, or drawing or writing fails.
pub fn write(canvas: &mut dyn Canvas, quality: u8, remark: &str, output: &Path) -> Result<()> {
    let (width, height) = (canvas.width(), canvas.height());
    let last = width.max(height).next_power_of_two().trailing_zeros();
    let tiles = folder(output);
    tiles.check()?;
    // Beside the old tiles, which stay until the new ones are whole.
    let part = OwnFolder::new(part_of(tiles.root())).claim()?;
    clear(&part)?;
    let digests = Mutex::new(BTreeMap::new());
    pyramid(canvas, TILE, last, &|piece| {
        let bytes = piece.jpeg(quality)?;
        let name = format!("{}/{}_{}.jpg", last - piece.halvings, piece.column, piece.row);
        part.put(&name, &bytes)?;
        digests.lock().expect("no panic").insert(name, Digest::of(&bytes));
        Ok(())
    })?;
    let tiles = tiles.claim()?;
    clear(&tiles)?;
    tiles.take(&part, &levels(part.folder()))?;
    fs_err::remove_dir_all(part.folder().root())?;
    let mut hasher = blake3::Hasher::new();
    for (name, digest) in digests.into_inner().expect("no panic") {
        hasher.update(name.as_bytes()).update(digest.as_bytes());
    }
    let digest = Digest::from_hasher(&hasher);
    tiles.seal(&digest.to_string())?;
    // Two hyphens would end the comment.
    let remark = remark.replace("--", "-\\u002d");
    let described = replace_file(output, |file| {
        writeln!(
            file,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!-- {remark} tiles {digest} -->\n\
             <Image xmlns=\"http://schemas.microsoft.com/deepzoom/2008\" Format=\"jpg\" Overlap=\"0\" \
             TileSize=\"{TILE}\">\n  <Size Width=\"{width}\" Height=\"{height}\"/>\n</Image>"
        )
    });
    described.with_context(|| format!("cannot write {}", output.display()))
}

/// Whether the tiles that `output` describes are there.
pub fn is_whole(output: &Path, description: &[u8]) -> bool {
    let key = folder(output).key();
    key.is_some_and(|key| String::from_utf8_lossy(description).contains(&format!("tiles {key} ")))
}

fn part_of(tiles: &Path) -> PathBuf {
    let name = tiles.file_name().unwrap_or_default().to_string_lossy();
    tiles.with_file_name(format!("{name}.part"))
}

/// The folders of levels: their names are numbers.
fn levels(folder: &OwnFolder) -> Vec<String> {
    folder.names("").into_iter().filter(|name| name.bytes().all(|b| b.is_ascii_digit())).collect()
}

fn clear(folder: &Filling) -> std::io::Result<()> {
    levels(folder.folder()).iter().try_for_each(|level| folder.remove(level))
}

#[cfg(test)]
mod tests {
    use super::super::tests::Painted;
    use super::*;
    use image::{Rgb, RgbImage};

    fn flat(width: u32, height: u32) -> Painted {
        Painted { picture: RgbImage::from_pixel(width, height, Rgb([200, 100, 50])), band: 100 }
    }

    #[test]
    fn levels_run_from_one_pixel_to_the_whole_and_strangers_stay() {
        let dir = tempfile::tempdir().unwrap();
        let output = dir.path().join("wall.dzi");
        write(&mut flat(1300, 600), 80, "a--b", &output).unwrap();
        let tiles = folder(&output);
        assert_eq!(levels(&tiles).len(), 12, "2^11 is the first power of two above 1300");
        assert_eq!(tiles.names("11"), ["0_0.jpg", "0_1.jpg", "1_0.jpg", "1_1.jpg", "2_0.jpg", "2_1.jpg"]);
        assert_eq!(image::image_dimensions(tiles.root().join("11/2_1.jpg")).unwrap(), (1300 - 1024, 600 - 512));
        assert_eq!(image::image_dimensions(tiles.root().join("0/0_0.jpg")).unwrap(), (1, 1));
        let text = std::fs::read(&output).unwrap();
        assert!(is_whole(&output, &text));
        let text = String::from_utf8(text).unwrap();
        assert!(text.contains("Width=\"1300\" Height=\"600\"") && !text.contains("a--b"), "{text}");
        replace_file(&tiles.root().join("note.txt"), |file| file.write_all(b"kept")).unwrap();
        write(&mut flat(10, 10), 80, "", &output).unwrap();
        assert_eq!(tiles.names(""), ["0", "1", "2", "3", "4", "note.txt", "tsne-grid.json"]);
        assert!(!part_of(tiles.root()).exists());
    }
}
