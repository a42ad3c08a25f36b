//! The tables, one struct a row: places and columns are a contract with everyone's notebooks.
//! Adding a column is a new [`Row::FORMAT`]; in a table from before it, a column that may be empty is.

use std::sync::Arc;

use anyhow::{Context, Result};
use arrow::array::{ArrayRef, RecordBatch};
use serde_json::Value;

use super::cells::{Cell, column};
use super::{ImageId, Origin, Precision, Reason, Time};
use crate::config::Kind;
use crate::photo::Format;
use crate::store::{Digest, Key};

/// A row of one of the tables.
pub trait Row: Sized {
    /// The stage whose table it is; also its folder in the cache.
    const STAGE: &'static str;
    /// Raised when columns change their names, types or meaning, and whenever the stage would give
    /// other rows for the same key.
    const FORMAT: u32;

    /// The key of a table of these parameters and inputs.
    fn key<const N: usize>(params: Value, inputs: [(&str, Digest); N]) -> Key {
        let inputs = inputs.map(|(name, digest)| (name.to_owned(), digest)).into();
        Key { stage: Self::STAGE.into(), version: Self::FORMAT, params, inputs }
    }

    /// The rows as columns.
    fn to_batch(rows: &[Self]) -> RecordBatch;

    /// The columns as rows.
    ///
    /// # Errors
    /// When a column that is never empty is missing, or one is of another type or holds a word that its type does not
    /// have.
    fn from_batch(batch: &RecordBatch) -> Result<Vec<Self>>;
}

/// Defines a row struct and its two conversions from one list of columns.
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
                    (stringify!($field), <$type as Cell>::column(values), <$type as Cell>::NULLABLE)
                }, )* ];
                RecordBatch::try_from_iter_with_nullable(columns).expect("columns of one length")
            }

            fn from_batch(batch: &RecordBatch) -> Result<Vec<Self>> {
                let schema = batch.schema();
                $( let $field = &column::<$type>(batch, &schema, stringify!($field))?; )*
                (0..batch.num_rows())
                    .map(|row| Ok(Self { $( $field: <$type as Cell>::get($field, row)
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
        /// blake3 of the file's bytes, lower-case hexadecimal: the picture's name everywhere.
        image: ImageId,
        /// Path inside its source, with `/`; in a zip the entry's name.
        path: String,
        /// Name of the source it was first met in.
        source: String,
        /// post, story, reel, archived, profile, other or file.
        kind: Kind,
        /// Size of the file.
        bytes: u64,
        /// Width in pixels, upright.
        width: u32,
        /// Height in pixels, upright.
        height: u32,
        /// jpeg, png, webp, gif, bmp or tiff, by content.
        format: Format,
        /// When it was taken or posted, microseconds since 1970 (UTC).
        taken_at: Option<Time>,
        /// Who says so; ends in `-utc` where it is a moment, not what some clock showed.
        taken_from: Option<Origin>,
        /// How exactly that is known: second, minute, day, month, year, decade or century, of which it is the beginning.
        taken_precision: Option<Precision>,
        /// What its owner wrote.
        caption: Option<String>,
        /// The post it belongs to (the address of the post's first picture).
        post: Option<String>,
        /// Its place in the post, from 0.
        carousel_index: Option<u32>,
        /// The address by which an export's index lists it.
        uri: Option<String>,
        /// The path of the first file with the same bytes, if this is not it.
        duplicate_of: Option<String>,
        /// What is wrong with a picture that could still be read.
        damage: Option<String>,
    }
}

row! {
    /// Something that a table of someone's own says of a picture, beyond the columns of [`ImageRow`]; in the order of
    /// the pictures there, and of the table's columns.
    FieldRow, "fields", 1 {
        /// The picture.
        image: ImageId,
        /// Name of the table's column.
        field: String,
        /// What stands there; of several values there is a row each.
        value: String,
    }
}

row! {
    /// A word for what a picture shows, by the model's classes; in the order of `image` and `rank`.
    WordRow, "words", 1 {
        /// The picture.
        image: ImageId,
        /// The class, or a broader word that covers several.
        word: String,
        /// Probability, 0 to 1; of a broader word the sum of its classes'.
        score: f64,
        /// From 1: the most likely classes, then the broader words, the most likely first.
        rank: u32,
        /// Whether it is such a broader word.
        broader: bool,
    }
}

row! {
    /// A picture's group at one level; in the order of `level`, `group` and `image`.
    GroupRow, "groups", 1 {
        /// The picture.
        image: ImageId,
        /// 0 has the fewest and largest groups; those of a higher level lie within them.
        level: u32,
        /// Number of the group at its level. It keeps its number from run to run as long as most of its pictures stay.
        group: u32,
        /// What the pictures show, if there is a word that is true of most of them and tells them from the others.
        name: Option<String>,
        /// A further word for some of them.
        second: Option<String>,
        /// A further word for some of them.
        third: Option<String>,
        /// Pictures in the group.
        size: u32,
        /// The picture that stands for the group: the one in its middle.
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
    /// A picture of which there is another that is the same shot, or of one burst; in the order of `set` and `rank`.
    ShotRow, "shots", 1 {
        /// The picture.
        image: ImageId,
        /// Number of the set, from 0; those of most pictures come first.
        set: u32,
        /// 1 is the best of the set: the largest, and of these the sharpest.
        rank: u32,
        /// How alike it is to the best one where one lies over the other, at most 1; none if that cannot be said.
        likeness: Option<f64>,
        /// How much detail it has for its contrast, where that had to decide.
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
        /// Why not.
        reason: Reason,
        /// A sentence for a person.
        detail: String,
    }
}

row! {
    /// Where a picture's vector is; one row per picture, in the order of `image`.
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
    /// A picture's place in the plane.
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
    /// A picture's cell.
    AssignRow, "assign", 1 {
        /// The picture.
        image: ImageId,
        /// Row of the grid, from 0 at the top.
        row: u32,
        /// Column of the grid, from 0 at the left.
        col: u32,
        /// Its place in the plane, as it came in.
        x: f64,
        /// Its place in the plane, as it came in.
        y: f64,
        /// Squared distance from its place to its cell, both axes scaled to [0, 1].
        cost: f64,
    }
}

row! {
    /// One of the nearest pictures of a picture, by their vectors.
    NeighbourRow, "neighbours", 1 {
        /// The picture.
        image: ImageId,
        /// 1 is the nearest.
        rank: u32,
        /// The other picture.
        neighbour: ImageId,
        /// How far apart their vectors are.
        distance: f64,
    }
}

row! {
    /// How far apart the vectors of pictures are that are side by side on the grid.
    SeamRow, "seams", 1 {
        /// Row of the cell.
        row: u32,
        /// Its column.
        col: u32,
        /// To the picture at its right, if there is one.
        right: Option<f64>,
        /// To the picture below it, if there is one.
        below: Option<f64>,
    }
}

row! {
    /// With which run a picture came.
    ArrivalRow, "arrivals", 1 {
        /// The picture.
        image: ImageId,
        /// Runs that brought no picture do not count; the first one is 0.
        run: u32,
    }
}

row! {
    /// What is in a cell of a picture: the table that lies beside it.
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
        source: Option<String>,
        /// Its place in the plane.
        x: f64,
        /// Its place in the plane.
        y: f64,
    }
}

row! {
    /// What was drawn.
    RenderRow, "render", 2 {
        /// Name of the file (without its folder) that it was first written to.
        output: String,
        /// jpeg, png, webp or dzi.
        format: String,
        /// Pixels.
        width: u32,
        /// Pixels.
        height: u32,
        /// blake3 of the picture's bytes (of a dzi: of the description, which names its tiles' digest).
        digest: String,
        /// The picture itself, unless it is very large.
        picture: Option<Blob>,
    }
}

row! {
    /// What reading one input taught (see `source::Seen`); not for others to rely on.
    SeenRow, "seen", 3 {
        /// blake3 of where the input is.
        place: String,
        /// blake3 of its bytes.
        image: ImageId,
        /// Its size.
        bytes: u64,
        /// Size of the file it is in.
        size: u64,
        /// Number of that file.
        inode: u64,
        /// Its times; none if they were too recent to prove anything.
        modified_ns: Option<i64>,
        /// Its times; none if they were too recent to prove anything.
        changed_ns: Option<i64>,
        /// As in [`ImageRow`].
        format: String,
        /// As in [`ImageRow`].
        width: u32,
        /// As in [`ImageRow`].
        height: u32,
        /// As in [`ImageRow`].
        damage: Option<String>,
        /// What the picture itself says; as in [`ImageRow`].
        taken_at: Option<Time>,
        /// What the picture itself says; as in [`ImageRow`].
        taken_from: Option<Origin>,
        /// As in [`SkippedRow`], for a picture that does not decode.
        reason: Option<Reason>,
        /// As in [`SkippedRow`].
        detail: Option<String>,
    }
}

/// Bytes that are not text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blob(pub Vec<u8>);

#[cfg(test)]
impl ImageRow {
    /// A picture of which nothing is known but what it is called.
    pub(crate) fn called(name: &str) -> Self {
        Self {
            image: name.into(),
            path: name.into(),
            source: "in".into(),
            kind: crate::config::Kind::File,
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
    use crate::artifact::Witness;

    #[test]
    fn rows_survive_their_columns() {
        let rows = [ImageRow {
            image: ImageId::of(b"00"),
            path: "a/b.jpg".into(),
            source: "a".into(),
            kind: Kind::Post,
            bytes: 7,
            width: 3,
            height: 2,
            format: Format::Jpeg,
            taken_at: Some(Time { micros: 1_700_000_000_000_000 }),
            taken_from: Some(Origin { witness: Witness::Exif, utc: true }),
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
        assert_eq!(ImageRow::from_batch(&earlier).unwrap(), [without], "what an earlier version wrote");
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
