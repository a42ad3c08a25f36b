//! What `duplicates` says: sets of pictures that are the same shot, the best one first.

use serde::Serialize;

use crate::artifact::rows::{ImageRow, ShotRow};
use crate::report::counted;

/// One file of a set.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Duplicate {
    /// Where it lies in its source.
    pub path: String,
    /// The source.
    pub source: String,
    /// blake3 of its bytes.
    pub image: String,
    /// Pixels, upright.
    pub width: u32,
    /// Pixels, upright.
    pub height: u32,
    /// Size of the file.
    pub bytes: u64,
    /// How alike it is to the best one, at most 1.
    pub likeness: Option<f64>,
    /// How much detail it has for its contrast, where that had to decide.
    pub sharpness: Option<f64>,
    /// Whether the file before it has the same bytes.
    pub same_bytes: bool,
}

/// The sets as they are shown.
pub fn copies(sets: Vec<Vec<(ImageRow, ShotRow)>>) -> Vec<Vec<Duplicate>> {
    let copy = |(row, shot): (ImageRow, ShotRow)| Duplicate {
        same_bytes: row.duplicate_of.is_some(),
        path: row.path,
        source: row.source,
        image: row.image.to_string(),
        width: row.width,
        height: row.height,
        bytes: row.bytes,
        likeness: shot.likeness,
        sharpness: shot.sharpness,
    };
    sets.into_iter().map(|set| set.into_iter().map(copy).collect()).collect()
}

/// A paragraph for each set, a line for each file, and a line for all.
pub fn text(sets: &[Vec<Duplicate>]) -> String {
    let line = |(number, copy): (usize, &Duplicate)| {
        let what = match (number, copy.same_bytes, copy.likeness) {
            (0, ..) => "best ".to_owned(),
            (_, true, _) => "same ".to_owned(),
            (.., Some(likeness)) => format!("{likeness:.3}"),
            (.., None) => "     ".to_owned(),
        };
        // A line break in a name would make a line that is no file's.
        let path = copy.path.replace('\n', "\\n");
        let size = format!("{}x{}", copy.width, copy.height);
        format!("{what}  {size:>11}  {:>8.1} kB  {path}", copy.bytes as f64 / 1000.0)
    };
    let paragraph = |set: &Vec<Duplicate>| set.iter().enumerate().map(line).collect::<Vec<_>>().join("\n");
    let files: usize = sets.iter().map(Vec::len).sum();
    let all = match sets.len() {
        0 => "no picture is there twice".to_owned(),
        count => format!("{} of {}", counted(files, "file"), counted(count, "shot")),
    };
    sets.iter().map(paragraph).chain([all]).collect::<Vec<_>>().join("\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_a_line_whatever_its_name() {
        let copy = |path: &str, likeness, same_bytes| Duplicate {
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
        let set =
            vec![copy("a.jpg", Some(1.0), false), copy("b\n.jpg", Some(1.0), true), copy("c.jpg", Some(0.9876), false)];
        let expected = "best       640x480      12.3 kB  a.jpg\nsame       640x480      12.3 kB  b\\n.jpg\n\
                        0.988      640x480      12.3 kB  c.jpg\n\n3 files of 1 shot";
        assert_eq!(text(&[set]), expected);
        assert_eq!(text(&[]), "no picture is there twice");
    }
}
