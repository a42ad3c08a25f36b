//! Why an input is not in the grid: the words of `skipped`.

use std::fmt;
use std::str::FromStr;

use serde::de::IntoDeserializer as _;
use serde::{Deserialize, Serialize};

use crate::photo;

/// Why an input is not in the grid. The names are the words in the tables, and in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// An index or table lists it by an address that cannot be that of one file.
    BadAddress,
    /// An entry of an index or table that does not fit.
    BadEntry,
    /// It could be read, but something is wrong with it, and the settings are strict.
    Damaged,
    /// Inside a zip, with a password.
    Encrypted,
    /// An index or table lists it, and it is not here.
    Missing,
    /// A pipe, a device, a link in a zip, a link to a folder that is entered elsewhere.
    NotAFile,
    /// Some other kind of file.
    NotAnImage,
    /// The settings leave it out.
    NotSelected,
    /// Made by this program.
    Own,
    /// Beyond a size limit.
    TooLarge,
    /// A broken picture.
    Undecodable,
    /// Its bytes cannot be had.
    Unreadable,
    /// A kind of picture that this program does not decode.
    Unsupported,
    /// A film.
    Video,
}

impl Reason {
    /// Whether something is wrong with the input, rather than that it was not asked for, is not here or is no picture.
    pub fn is_defect(self) -> bool {
        use Reason::{Missing, NotAFile, NotAnImage, NotSelected, Own, Video};
        !matches!(self, NotSelected | NotAnImage | Video | NotAFile | Own | Missing)
    }
}

impl From<photo::Reason> for Reason {
    fn from(reason: photo::Reason) -> Self {
        match reason {
            photo::Reason::NotAnImage => Self::NotAnImage,
            photo::Reason::Video => Self::Video,
            photo::Reason::Unsupported => Self::Unsupported,
            photo::Reason::Undecodable => Self::Undecodable,
            photo::Reason::TooLarge => Self::TooLarge,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

impl FromStr for Reason {
    type Err = serde::de::value::Error;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        Self::deserialize(word.into_deserializer())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_those_of_the_docs_and_sorted() {
        let words = "bad-address bad-entry damaged encrypted missing not-a-file not-an-image not-selected own \
                     too-large undecodable unreadable unsupported video";
        let reasons: Vec<Reason> = words.split(' ').map(|word| word.parse().unwrap()).collect();
        assert!(reasons.is_sorted() && reasons.iter().map(Reason::to_string).eq(words.split(' ')), "{reasons:?}");
        assert!("defect".parse::<Reason>().is_err());
        let pictures = [photo::Reason::NotAnImage, photo::Reason::Unsupported, photo::Reason::TooLarge];
        assert!(pictures.iter().all(|&reason| Reason::from(reason).to_string() == reason.to_string()));
    }
}
