//! The errors in text files next to pictures: an index, a table, a caption.

use std::io;

use crate::artifact::TimeError;

/// What is wrong with a text file next to pictures, or with one of its entries.
#[derive(Debug, thiserror::Error)]
pub enum MetadataError {
    /// The file cannot be read to its end.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The file has more bytes than this limit.
    #[error("larger than {} MB", .0 >> 20)]
    TooLarge(u64),
    /// The file is not JSON of the expected form, is truncated, or cannot be read to its end.
    #[error("not JSON of the expected form: {0}")]
    NotJson(serde_json::Error),
    /// An entry has another type. The parser's line and column are relative to the entry, so they are omitted.
    #[error("{}", without_position(.0))]
    Entry(serde_json::Error),
    /// A medium of an entry is invalid; the number is its index.
    #[error("picture {0}: {1}")]
    Medium(usize, Box<MetadataError>),
    /// The file is not CSV, or cannot be read to its end.
    #[error(transparent)]
    Csv(csv::Error),
    /// A table is not in UTF-8.
    #[error("not in UTF-8; save the table as CSV UTF-8")]
    Encoding,
    /// A caption is not in UTF-8.
    #[error("not UTF-8 text")]
    NotUtf8,
    /// A field that needs a text is an object or a list.
    #[error("{0} is neither text nor number")]
    NotScalar(String),
    /// A text is not a time.
    #[error(transparent)]
    TimeError(#[from] TimeError),
    /// A text is not the name of a kind of picture.
    #[error("unknown kind `{0}`")]
    UnknownKind(String),
    /// A text is not a position in a post.
    #[error("carousel_index is `{0}`; it must be a number from 0")]
    BadCarouselIndex(String),
    /// An entry does not say which picture it describes.
    #[error("it does not name a {0}")]
    MissingName(&'static str),
}

fn without_position(error: &serde_json::Error) -> String {
    let why = error.to_string();
    why.rsplit_once(" at line ").map_or(why.as_str(), |(why, _)| why).to_owned()
}
