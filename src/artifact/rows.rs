//! The rows of all tables, one struct for each table. Columns and their meaning are an interface that other programs
//! use. When a column is added, [`Row::FORMAT`] is raised. A column that may be empty is empty in tables without it.

use std::sync::Arc;

use anyhow::{Context, Result};
use arrow::array::{ArrayRef, RecordBatch};
use serde_json::Value;

use super::columns::{ColumnValue, column};
use super::{DateOrigin, ImageId, Precision, SkipReason, Time};
use crate::config::PictureKind;
use crate::photo::Format;
use crate::store::{Digest, Key};

/// A row of a table.
pub trait Row: Sized {
    /// The name of the table, which is also its folder in the cache.
    const STAGE: &'static str;
    /// Raised when columns change their names, types or meaning, and whenever the stage would compute other rows for
    /// the same key.
    const FORMAT: u32;

    /// The key of a table with these parameters and inputs.
    fn key<const N: usize>(params: Value, inputs: [(&str, Digest); N]) -> Key {
        let inputs = inputs.map(|(name, digest)| (name.to_owned(), digest)).into();
        Key { stage: Self::STAGE.into(), version: Self::FORMAT, params, inputs }
    }

    /// Converts rows to columns.
    fn to_batch(rows: &[Self]) -> RecordBatch;

    /// Converts columns to rows.
    ///
    /// # Errors
    /// When a column that cannot be empty is missing, or a column has another type or an unknown word.
    fn from_batch(batch: &RecordBatch) -> Result<Vec<Self>>;
}

/// Defines a row struct with both conversions. The fields are the columns.
macro_rules! row {
    ($(#[$meta:meta])* $name:ident, $stage:literal, $format:literal {
        $( $(#[$doc:meta])* $field:ident: $type:ty, )*
    }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name { $( $(#[$doc])* pub $field: $type, )* }

        impl Row for $name {
            const STAGE: &'static str = $stage;
            const FORMAT: u32 = $format;

            fn to_batch(rows: &[Self]) -> RecordBatch {
                let columns: Vec<(&str, ArrayRef, bool)> = vec![ $( {
                    let values = rows.iter().map(|row| row.$field.clone());
                    (stringify!($field), <$type as ColumnValue>::column(values), <$type as ColumnValue>::NULLABLE)
                }, )* ];
                RecordBatch::try_from_iter_with_nullable(columns).expect("columns of one length")
            }

            fn from_batch(batch: &RecordBatch) -> Result<Vec<Self>> {
                let schema = batch.schema();
                $( let $field = &column::<$type>(batch, &schema, stringify!($field))?; )*
                (0..batch.num_rows())
                    .map(|row| Ok(Self { $( $field: <$type as ColumnValue>::get($field, row)
                        .with_context(|| format!("column {} is of another type", stringify!($field)))?, )* }))
                    .collect()
            }
        }
    };
}

pub(super) use row;

row! {
    /// One input picture that is in the grid, or a duplicate of one that is.
    ImageRow, "images", 3 {
        /// blake3 of the file's bytes in lower-case hexadecimal: the id of the picture in all tables.
        image: ImageId,
        /// Path inside its source, with `/`; in a zip the name of the entry.
        path: String,
        /// Name of the source.
        source: Arc<str>,
        /// post, story, reel, archived, profile, other or file.
        kind: PictureKind,
        /// Size of the file in bytes.
        bytes: u64,
        /// Width in pixels, after rotation by EXIF.
        width: u32,
        /// Height in pixels, after rotation by EXIF.
        height: u32,
        /// The format, recognised by the content: jpeg, png, webp and others.
        format: Format,
        /// When it was taken or posted, microseconds since 1970 (UTC).
        taken_at: Option<Time>,
        /// The origin of the date; ends in `-utc` if it is a moment rather than a local time.
        taken_from: Option<DateOrigin>,
        /// The precision of the date: second, minute, day, month, year, decade or century. The date is the beginning of
        /// that period.
        taken_precision: Option<Precision>,
        /// The caption that the owner wrote.
        caption: Option<Arc<str>>,
        /// The post that it belongs to (the address of the post's first picture).
        post: Option<Arc<str>>,
        /// Its position in the post, from 0.
        carousel_index: Option<u32>,
        /// The address by which an export's index lists it.
        uri: Option<Arc<str>>,
        /// The path of the first input with the same bytes, if this is not it.
        duplicate_of: Option<String>,
        /// The defect of a picture that is damaged but readable.
        damage: Option<String>,
    }
}

row! {
    /// What a table of the user says about a picture, beyond the columns of [`ImageRow`]. In the order of the pictures
    /// there, and of the table's columns.
    FieldRow, "fields", 1 {
        /// The picture.
        image: ImageId,
        /// Name of the table's column.
        field: String,
        /// The value. Several values have one row each.
        value: String,
    }
}

row! {
    /// A word for what a picture shows, from the model's classes or vocabulary. In the order of `image` and `rank`.
    WordRow, "words", 1 {
        /// The picture.
        image: ImageId,
        /// The class, or a broader word that covers several.
        word: String,
        /// Probability, 0 to 1. That of a broader word is the sum over its classes.
        score: f64,
        /// From 1: first the classes, then the broader words, each in the order of probability.
        rank: u32,
        /// Whether the word is a broader word.
        broader: bool,
    }
}

row! {
    /// A picture's group at one level; in the order of `level`, `group` and `image`.
    GroupRow, "groups", 1 {
        /// The picture.
        image: ImageId,
        /// The level: 0 has the fewest and largest groups, and the groups of a higher level lie within them.
        level: u32,
        /// Number of the group in its level. It is the same in the next run if most of the group's pictures stay
        /// together.
        group: u32,
        /// A word that applies to most pictures of the group and distinguishes it from the others.
        name: Option<String>,
        /// A further word that applies to some of them.
        second: Option<String>,
        /// A further word that applies to some of them.
        third: Option<String>,
        /// The number of pictures in the group.
        size: u32,
        /// The most typical picture, which represents the group.
        portrait: ImageId,
        /// First row of the grid with a picture of the group.
        top: u32,
        /// First column.
        left: u32,
        /// Last row.
        bottom: u32,
        /// Last column.
        right: u32,
    }
}

row! {
    /// A picture that shows the same shot as another one, or belongs to the same burst. In the order of `set` and
    /// `rank`.
    ShotRow, "shots", 1 {
        /// The picture.
        image: ImageId,
        /// Number of the set, from 0, the largest set first.
        set: u32,
        /// 1 is the best picture of the set: the largest, and among equally large ones the sharpest.
        rank: u32,
        /// Similarity to the best picture after registration, at most 1; null if it cannot be determined.
        likeness: Option<f64>,
        /// The amount of detail relative to the contrast, if it was needed to find the best picture.
        sharpness: Option<f64>,
    }
}

row! {
    /// One input that is not in the grid.
    SkippedRow, "skipped", 1 {
        /// Path inside its source.
        path: String,
        /// Name of the source.
        source: String,
        /// The reason, as a fixed word.
        reason: SkipReason,
        /// The reason, as a sentence.
        detail: String,
    }
}

row! {
    /// The location of a picture's vector; one row per picture, in the order of `image`.
    EmbedRow, "embed", 1 {
        /// The picture.
        image: ImageId,
        /// File name of the shard, in the model's folder.
        shard: Arc<str>,
        /// Row in the shard, from 0.
        row: u32,
    }
}

row! {
    /// The position of a picture in the plane.
    ProjectRow, "project", 1 {
        /// The picture (or, of an `--input` table, its identifier).
        image: ImageId,
        /// t-SNE's first coordinate.
        x: f64,
        /// t-SNE's second coordinate.
        y: f64,
    }
}

row! {
    /// The cell of a picture.
    AssignRow, "assign", 1 {
        /// The picture.
        image: ImageId,
        /// Row of the grid, from 0 at the top.
        row: u32,
        /// Column of the grid, from 0 at the left.
        col: u32,
        /// First coordinate of its position in the plane, unscaled.
        x: f64,
        /// Second coordinate of its position in the plane, unscaled.
        y: f64,
        /// Squared distance from its position to its cell, both axes scaled to [0, 1].
        cost: f64,
    }
}

row! {
    /// One of the most similar pictures of a picture.
    NeighbourRow, "neighbours", 1 {
        /// The picture.
        image: ImageId,
        /// The rank, 1 for the most similar picture.
        rank: u32,
        /// The other picture.
        neighbour: ImageId,
        /// Distance between the vectors.
        distance: f64,
    }
}

row! {
    /// Distances between the vectors of pictures in adjacent cells.
    SeamRow, "seams", 1 {
        /// Row of the cell.
        row: u32,
        /// Its column.
        col: u32,
        /// Distance to the picture to the right, if there is one.
        right: Option<f64>,
        /// Distance to the picture below, if there is one.
        below: Option<f64>,
    }
}

row! {
    /// The run that added a picture.
    ArrivalRow, "arrivals", 1 {
        /// The picture.
        image: ImageId,
        /// Number of the run, from 0. Runs that add no picture are not counted.
        run: u32,
    }
}

row! {
    /// The content of a cell of a drawn grid: the table next to the drawn grid.
    CellRow, "cells", 1 {
        /// Row of the grid, from 0 at the top.
        row: u32,
        /// Column of the grid, from 0 at the left.
        col: u32,
        /// The picture (or, of an `--input` table, its identifier).
        image: ImageId,
        /// Its path inside its source, if it is known.
        path: Option<String>,
        /// Name of the source.
        source: Option<Arc<str>>,
        /// First coordinate of its position in the plane.
        x: f64,
        /// Second coordinate of its position in the plane.
        y: f64,
    }
}

row! {
    /// A drawn grid.
    RenderRow, "render", 2 {
        /// Name of the file (without its folder) that it was first written to.
        output: String,
        /// jpeg, png, webp or dzi.
        format: String,
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// blake3 of the file's bytes; for dzi of the description, which contains the digest of the tiles.
        digest: String,
        /// The bytes of the file, unless it is very large.
        picture: Option<Blob>,
    }
}

row! {
    /// What was found when an input was read (see `source::InspectionCache`). Not an interface for other programs.
    SeenRow, "seen", 3 {
        /// blake3 of the location of the input.
        place: String,
        /// blake3 of its bytes.
        image: ImageId,
        /// Size of the input in bytes.
        bytes: u64,
        /// Size in bytes of the file that contains the input.
        size: u64,
        /// Inode number of that file.
        inode: u64,
        /// Modification time of that file in nanoseconds since 1970; null if it was too recent to detect later changes.
        modified_ns: Option<i64>,
        /// Change time (ctime) of that file, likewise.
        changed_ns: Option<i64>,
        /// As in [`ImageRow`].
        format: String,
        /// As in [`ImageRow`].
        width: u32,
        /// As in [`ImageRow`].
        height: u32,
        /// As in [`ImageRow`].
        damage: Option<String>,
        /// The capture date in the picture itself.
        taken_at: Option<Time>,
        /// The origin of that date, as in [`ImageRow`].
        taken_from: Option<DateOrigin>,
        /// As in [`SkippedRow`], for a picture that does not decode.
        reason: Option<SkipReason>,
        /// As in [`SkippedRow`].
        detail: Option<String>,
    }
}

/// Binary data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blob(pub Vec<u8>);

#[cfg(test)]
impl ImageRow {
    /// A picture of which only the id is known.
    pub(crate) fn with_name(name: &str) -> Self {
        Self {
            image: name.into(),
            path: name.into(),
            source: "in".into(),
            kind: crate::config::PictureKind::File,
            bytes: 1,
            width: 1,
            height: 1,
            format: crate::photo::Format::Png,
            taken_at: None,
            taken_from: None,
            taken_precision: None,
            caption: None,
            post: None,
            carousel_index: None,
            uri: None,
            duplicate_of: None,
            damage: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::artifact::DateProvider;

    #[test]
    fn rows_survive_their_columns() {
        let rows = [ImageRow {
            image: ImageId::of(b"00"),
            path: "a/b.jpg".into(),
            source: "a".into(),
            kind: PictureKind::Post,
            bytes: 7,
            width: 3,
            height: 2,
            format: Format::Jpeg,
            taken_at: Some(Time { micros: 1_700_000_000_000_000 }),
            taken_from: Some(DateOrigin { provider: DateProvider::Exif, utc: true }),
            taken_precision: Some(Precision::Day),
            caption: Some("schöner 🌅".into()),
            post: None,
            carousel_index: Some(1),
            uri: None,
            duplicate_of: None,
            damage: None,
        }];
        assert_eq!(ImageRow::from_batch(&ImageRow::to_batch(&rows)).unwrap(), rows);
        let mut earlier = ImageRow::to_batch(&rows);
        earlier.remove_column(earlier.schema().index_of("taken_precision").unwrap());
        let without = ImageRow { taken_precision: None, ..rows[0].clone() };
        assert_eq!(ImageRow::from_batch(&earlier).unwrap(), [without], "a table without the column");
        let empty: [ImageRow; 0] = [];
        assert_eq!(ImageRow::to_batch(&empty).num_columns(), 17);
        let drawn = [RenderRow {
            output: "grid.jpg".into(),
            format: "jpeg".into(),
            width: 1,
            height: 1,
            digest: "d".into(),
            picture: Some(Blob(vec![1, 2])),
        }];
        assert_eq!(RenderRow::from_batch(&RenderRow::to_batch(&drawn)).unwrap(), drawn);
    }

    #[test]
    fn a_table_from_before_a_column_has_it_empty() {
        let row = NeighbourRow { image: "a".into(), rank: 1, neighbour: "b".into(), distance: 0.5 };
        let batch = NeighbourRow::to_batch(&[row]);
        let seams = RecordBatch::try_from_iter([
            ("row", batch.column_by_name("rank").unwrap().clone()),
            ("col", batch.column_by_name("rank").unwrap().clone()),
            ("below", batch.column_by_name("distance").unwrap().clone()),
        ]);
        let rows = SeamRow::from_batch(&seams.unwrap()).unwrap();
        assert_eq!(rows, [SeamRow { row: 1, col: 1, right: None, below: Some(0.5) }]);
    }

    #[test]
    fn a_missing_column_is_named() {
        let error = AssignRow::from_batch(&ProjectRow::to_batch(&[])).unwrap_err().to_string();
        assert_eq!(error, "no column `row`; there are: image, x, y");
    }
}
