//! The output of the command `duplicates`: sets of pictures that are the same shot, the best one first.

use serde::Serialize;

use crate::artifact::rows::{ImageRow, ShotRow};
use crate::report::pluralise;

/// One file of a set.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Duplicate {
    /// Path of the file in its source.
    pub path: String,
    /// The source: the folder, archive, table or file that was given.
    pub source: String,
    /// blake3 of the file's bytes, in hexadecimal.
    pub image: String,
    /// Width in pixels, upright.
    pub width: u32,
    /// Height in pixels, upright.
    pub height: u32,
    /// Size of the file in bytes.
    pub bytes: u64,
    /// Similarity to the best picture of the set, at most 1.
    pub likeness: Option<f64>,
    /// Detail relative to contrast, if it was needed to rank the pictures.
    pub sharpness: Option<f64>,
    /// Whether this file is a copy, byte by byte, of one that comes earlier.
    pub same_bytes: bool,
}

/// Converts the rows of pictures and shots to the sets of the output, in the same order.
pub fn duplicate_sets(sets: Vec<Vec<(ImageRow, ShotRow)>>) -> Vec<Vec<Duplicate>> {
    let duplicate = |(row, shot): (ImageRow, ShotRow)| Duplicate {
        same_bytes: row.duplicate_of.is_some(),
        path: row.path,
        source: row.source.to_string(),
        image: row.image.to_string(),
        width: row.width,
        height: row.height,
        bytes: row.bytes,
        likeness: shot.likeness,
        sharpness: shot.sharpness,
    };
    sets.into_iter().map(|set| set.into_iter().map(duplicate).collect()).collect()
}

/// Formats the sets as text: a paragraph per set, a line per file, and a line with the totals.
pub fn text(sets: &[Vec<Duplicate>]) -> String {
    let line = |(number, duplicate): (usize, &Duplicate)| {
        let label = match (number, duplicate.same_bytes, duplicate.likeness) {
            (0, ..) => "best ".to_owned(),
            (_, true, _) => "same ".to_owned(),
            (.., Some(likeness)) => format!("{likeness:.3}"),
            (.., None) => "     ".to_owned(),
        };
        // A line break in a path is escaped, so that every line is one file.
        let path = duplicate.path.replace('\n', "\\n");
        let size = format!("{}x{}", duplicate.width, duplicate.height);
        format!("{label}  {size:>11}  {:>8.1} kB  {path}", duplicate.bytes as f64 / 1000.0)
    };
    let paragraph = |set: &Vec<Duplicate>| set.iter().enumerate().map(line).collect::<Vec<_>>().join("\n");
    let files: usize = sets.iter().map(Vec::len).sum();
    let totals = match sets.len() {
        0 => "no duplicates found".to_owned(),
        count => format!("{} of {}", pluralise(files, "file"), pluralise(count, "shot")),
    };
    sets.iter().map(paragraph).chain([totals]).collect::<Vec<_>>().join("\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_a_line_whatever_its_name() {
        let duplicate = |path: &str, likeness, same_bytes| Duplicate {
            path: path.into(),
            source: "in".into(),
            image: "0".into(),
            width: 640,
            height: 480,
            bytes: 12_345,
            likeness,
            sharpness: None,
            same_bytes,
        };
        let set = vec![
            duplicate("a.jpg", Some(1.0), false),
            duplicate("b\n.jpg", Some(1.0), true),
            duplicate("c.jpg", Some(0.9876), false),
        ];
        let expected = "best       640x480      12.3 kB  a.jpg\nsame       640x480      12.3 kB  b\\n.jpg\n\
                        0.988      640x480      12.3 kB  c.jpg\n\n3 files of 1 shot";
        assert_eq!(text(&[set]), expected);
        assert_eq!(text(&[]), "no duplicates found");
    }
}
