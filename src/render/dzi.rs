//! Deep zoom: a canvas as a folder of JPEG tiles at every scale, in the format that OpenSeadragon reads. `wall.dzi` is
//! the description, and `wall_files/<level>/<column>_<row>.jpg` are the tiles. Level 0 is one pixel, and each level has
//! twice the size of the one before it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use anyhow::{Context as _, Result};

use super::Canvas;
use super::pyramid::pyramid;
use crate::store::{Digest, FolderWriter, ManagedFolder, replace_file};

/// Pixels of a tile's side.
const TILE: u32 = 512;

/// The folder of the tiles of `output`: `wall_files` for `wall.dzi`.
pub fn tiles_folder(output: &Path) -> ManagedFolder {
    let stem = output.file_stem().unwrap_or_default().to_string_lossy();
    ManagedFolder::new(output.with_file_name(format!("{stem}_files")))
}

/// Draws `canvas` into tiles in one pass, replaces the old tiles by them, and then writes the description `output`. It
/// contains a digest of all tiles, so that its bytes change if any tile does.
///
/// # Errors
/// When the folder of the tiles was not written by this program, or drawing or writing fails.
pub fn write(canvas: &mut dyn Canvas, quality: u8, remark: &str, output: &Path) -> Result<()> {
    let (width, height) = (canvas.width(), canvas.height());
    // The number of the level at full size, which is also the number of halvings that lead to one pixel.
    let full_level = width.max(height).next_power_of_two().trailing_zeros();
    let tiles = tiles_folder(output);
    tiles.check()?;
    // The new tiles go to another folder first, so that the old ones stay until the new ones are complete.
    let new_tiles = ManagedFolder::new(partial_path(tiles.root())).claim()?;
    clear(&new_tiles)?;
    let digests = Mutex::new(BTreeMap::new());
    pyramid(canvas, TILE, full_level, &|piece| {
        let bytes = piece.jpeg(quality)?;
        let name = format!("{}/{}_{}.jpg", full_level - piece.halvings, piece.column, piece.row);
        new_tiles.put(&name, &bytes)?;
        digests.lock().expect("no panic").insert(name, Digest::of(&bytes));
        Ok(())
    })?;
    let tiles = tiles.claim()?;
    clear(&tiles)?;
    tiles.take(&new_tiles, &levels(new_tiles.folder()))?;
    fs_err::remove_dir_all(new_tiles.folder().root())?;
    let mut hasher = blake3::Hasher::new();
    for (name, digest) in digests.into_inner().expect("no panic") {
        hasher.update(name.as_bytes()).update(digest.as_bytes());
    }
    let digest = Digest::from_hasher(&hasher);
    tiles.seal(&digest.to_string())?;
    // XML does not allow two hyphens inside a comment, so the second one is written as its JSON escape.
    let remark = remark.replace("--", "-\\u002d");
    let written = replace_file(output, |file| {
        writeln!(
            file,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!-- {remark} tiles {digest} -->\n\
             <Image xmlns=\"http://schemas.microsoft.com/deepzoom/2008\" Format=\"jpg\" Overlap=\"0\" \
             TileSize=\"{TILE}\">\n  <Size Width=\"{width}\" Height=\"{height}\"/>\n</Image>"
        )
    });
    written.with_context(|| format!("cannot write {}", output.display()))
}

/// Whether the tiles that the `description` in `output` belongs to are all present.
pub fn is_complete(output: &Path, description: &[u8]) -> bool {
    let key = tiles_folder(output).key();
    key.is_some_and(|key| String::from_utf8_lossy(description).contains(&format!("tiles {key} ")))
}

fn partial_path(tiles: &Path) -> PathBuf {
    let name = tiles.file_name().unwrap_or_default().to_string_lossy();
    tiles.with_file_name(format!("{name}.part"))
}

/// The names of the folders of levels, which are numbers.
fn levels(folder: &ManagedFolder) -> Vec<String> {
    folder.names("").into_iter().filter(|name| name.bytes().all(|b| b.is_ascii_digit())).collect()
}

fn clear(folder: &FolderWriter) -> std::io::Result<()> {
    levels(folder.folder()).iter().try_for_each(|level| folder.remove(level))
}

#[cfg(test)]
mod tests {
    use super::super::tests::ImageCanvas;
    use super::*;
    use image::{Rgb, RgbImage};

    fn flat(width: u32, height: u32) -> ImageCanvas {
        ImageCanvas { picture: RgbImage::from_pixel(width, height, Rgb([200, 100, 50])), band: 100 }
    }

    #[test]
    fn levels_run_from_one_pixel_to_the_whole_and_strangers_stay() {
        let dir = tempfile::tempdir().unwrap();
        let output = dir.path().join("wall.dzi");
        write(&mut flat(1300, 600), 80, "a--b", &output).unwrap();
        let tiles = tiles_folder(&output);
        assert_eq!(levels(&tiles).len(), 12, "2^11 is the first power of two above 1300");
        assert_eq!(tiles.names("11"), ["0_0.jpg", "0_1.jpg", "1_0.jpg", "1_1.jpg", "2_0.jpg", "2_1.jpg"]);
        assert_eq!(image::image_dimensions(tiles.root().join("11/2_1.jpg")).unwrap(), (1300 - 1024, 600 - 512));
        assert_eq!(image::image_dimensions(tiles.root().join("0/0_0.jpg")).unwrap(), (1, 1));
        let text = std::fs::read(&output).unwrap();
        assert!(is_complete(&output, &text));
        let text = String::from_utf8(text).unwrap();
        assert!(text.contains("Width=\"1300\" Height=\"600\"") && !text.contains("a--b"), "{text}");
        replace_file(&tiles.root().join("note.txt"), |file| file.write_all(b"kept")).unwrap();
        write(&mut flat(10, 10), 80, "", &output).unwrap();
        assert_eq!(tiles.names(""), ["0", "1", "2", "3", "4", "note.txt", "tsne-grid.json"]);
        assert!(!partial_path(tiles.root()).exists());
    }
}
