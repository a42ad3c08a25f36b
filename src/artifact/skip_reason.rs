//! The reasons in the table `skipped`.

use std::fmt;
use std::str::FromStr;

use serde::de::IntoDeserializer as _;
use serde::{Deserialize, Serialize};

use crate::photo;

/// Why an input is not in the grid. The tables have the names in kebab case; the order here is alphabetical.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SkipReason {
    /// An index or table lists it by an address that cannot be the path of a file.
    BadAddress,
    /// The entry of an index or table is malformed.
    BadEntry,
    /// It is damaged but readable, and the settings exclude damaged pictures.
    Damaged,
    /// In a zip, encrypted with a password.
    Encrypted,
    /// An index or table lists it, but the file does not exist.
    Missing,
    /// A pipe, a device, a link in a zip, or a link to a folder that is already listed elsewhere.
    NotAFile,
    /// A file that is not a picture.
    NotAnImage,
    /// The settings exclude it.
    NotSelected,
    /// Written by this program.
    Own,
    /// Larger than a limit.
    TooLarge,
    /// A picture that does not decode.
    Undecodable,
    /// Its bytes cannot be read.
    Unreadable,
    /// A picture format that this program does not decode.
    Unsupported,
    /// A video.
    Video,
}

impl SkipReason {
    /// Whether the input is defective. The other reasons are that it is not selected, does not exist, or is not a
    /// picture.
    pub fn is_defect(self) -> bool {
        use SkipReason::{Missing, NotAFile, NotAnImage, NotSelected, Own, Video};
        !matches!(self, NotSelected | NotAnImage | Video | NotAFile | Own | Missing)
    }
}

impl From<photo::Reason> for SkipReason {
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

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

impl FromStr for SkipReason {
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
        let reasons: Vec<SkipReason> = words.split(' ').map(|word| word.parse().unwrap()).collect();
        assert!(reasons.is_sorted() && reasons.iter().map(SkipReason::to_string).eq(words.split(' ')), "{reasons:?}");
        assert!("defect".parse::<SkipReason>().is_err());
        let pictures = [photo::Reason::NotAnImage, photo::Reason::Unsupported, photo::Reason::TooLarge];
        assert!(pictures.iter().all(|&reason| SkipReason::from(reason).to_string() == reason.to_string()));
    }
}
