//! What can be wrong with a text beside pictures: an index, a table, a caption.

use std::io;

use crate::artifact::NoTime;

/// What is wrong with a text beside pictures, or with one entry of it.
#[derive(Debug, thiserror::Error)]
pub enum Odd {
    /// It is not read to its end.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It has more bytes than these.
    #[error("larger than {} MB", .0 >> 20)]
    TooLarge(u64),
    /// A file that is no JSON, breaks off, or is not read to its end.
    #[error("not the JSON it should be: {0}")]
    NotJson(serde_json::Error),
    /// An entry of another type. (The parser's line and column are the entry's own, and say nothing of the file.)
    #[error("{}", without_place(.0))]
    Entry(serde_json::Error),
    /// A medium of an entry, by its number.
    #[error("picture {0}: {1}")]
    Medium(usize, Box<Odd>),
    /// No CSV, or not read to its end.
    #[error(transparent)]
    Csv(csv::Error),
    /// Bytes of a table that are no text.
    #[error("not in UTF-8; save the table as CSV UTF-8")]
    Encoding,
    /// Bytes of a caption that are no text.
    #[error("not a text in UTF-8")]
    NoText,
    /// The field is an object, a list or a truth.
    #[error("{0} is neither text nor number")]
    NoCell(String),
    /// No time is written there.
    #[error(transparent)]
    NoTime(#[from] NoTime),
    /// No kind of picture is called that.
    #[error("there is no kind `{0}`")]
    NoKind(String),
    /// That is no place in a post.
    #[error("carousel_index is `{0}`, not a number from 0")]
    NoIndex(String),
    /// It does not say whose facts they are.
    #[error("it names no {0}")]
    Nameless(&'static str),
}

fn without_place(error: &serde_json::Error) -> String {
    let why = error.to_string();
    why.rsplit_once(" at line ").map_or(why.as_str(), |(why, _)| why).to_owned()
}
