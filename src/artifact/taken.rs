//! When a picture was taken, and who says so.

use std::fmt;
use std::str::FromStr;

use super::Precision;
use super::time::{NoTime, Time};
use crate::photo::{self, Block, Budget, Clock};

/// Who says when a picture was taken, the most trusted first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Witness {
    /// The index of an export, or what a downloader wrote of a post.
    Index,
    /// A table of the user's.
    Table,
    /// EXIF, inside the picture.
    Exif,
    /// XMP, inside the picture.
    Xmp,
    /// A file beside the picture.
    Sidecar,
    /// The picture's name.
    Name,
    /// The file's modification time.
    Mtime,
}

const WORDS: [(Witness, &str); 7] = [
    (Witness::Index, "index"),
    (Witness::Table, "table"),
    (Witness::Exif, "exif"),
    (Witness::Xmp, "xmp"),
    (Witness::Sidecar, "sidecar"),
    (Witness::Name, "name"),
    (Witness::Mtime, "mtime"),
];

/// Where a date comes from. Written as one word: `exif` is what the camera's clock showed, whatever the zone it was
/// in; `exif-utc` is a moment, because the camera said how far its clock is from UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin {
    /// Who says it.
    pub witness: Witness,
    /// Whether the distance to UTC is known; if not, the time is that of a clock, kept as if it went by UTC.
    pub utc: bool,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = WORDS.iter().find(|(witness, _)| *witness == self.witness).map_or("", |(_, word)| word);
        write!(f, "{word}{}", if self.utc { "-utc" } else { "" })
    }
}

impl FromStr for Origin {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (word, utc) = text.strip_suffix("-utc").map_or((text, false), |word| (word, true));
        let witness = WORDS.iter().find(|(_, known)| *known == word).map(|(witness, _)| *witness).ok_or(())?;
        Ok(Self { witness, utc })
    }
}

/// When a picture was taken, and where that comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// When.
    pub at: Time,
    /// Who says so.
    pub from: Origin,
    /// How exactly that is known.
    pub precision: Precision,
}

impl Taken {
    /// A moment that somebody knows.
    pub fn utc(witness: Witness, at: Time) -> Self {
        Self { at, from: Origin { witness, utc: true }, precision: Precision::Second }
    }

    /// What is remembered of a picture that says so itself.
    pub fn remembered(at: Time, from: Origin) -> Self {
        Self { at, from, precision: Precision::Second }
    }

    /// What a clock showed.
    pub fn of_clock(witness: Witness, clock: Clock) -> Self {
        let from = Origin { witness, utc: clock.is_utc() };
        Self { at: Time { micros: clock.micros() }, from, precision: Precision::Second }
    }

    /// When a picture with these bytes was taken, as it says itself.
    pub fn inside(bytes: &[u8], budget: &Budget) -> Option<Self> {
        photo::taken(bytes, budget).map(|(block, clock)| match block {
            Block::Exif => Self::of_clock(Witness::Exif, clock),
            Block::Xmp => Self::of_clock(Witness::Xmp, clock),
        })
    }

    /// What [`Time`] reads in a text; without an offset it is what a clock showed.
    ///
    /// # Errors
    /// When the text is no time.
    pub fn read(witness: Witness, text: &str) -> Result<Self, NoTime> {
        let (at, utc) = Time::with_zone(text)?;
        Ok(Self { at, from: Origin { witness, utc }, precision: Precision::Second })
    }

    /// The more trusted of two words, of equals the first.
    pub fn best(first: Option<Self>, second: Option<Self>) -> Option<Self> {
        [first, second].into_iter().flatten().min_by_key(|taken| taken.from.witness)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_words() {
        for (number, (witness, word)) in WORDS.into_iter().enumerate() {
            assert_eq!(number, witness as usize, "in the order of trust");
            for (utc, word) in [(false, word.to_owned()), (true, format!("{word}-utc"))] {
                assert_eq!((Origin { witness, utc }.to_string(), word.parse()), (word, Ok(Origin { witness, utc })));
            }
        }
        assert!("gps".parse::<Origin>().is_err() && "-utc".parse::<Origin>().is_err());
    }

    #[test]
    fn the_more_trusted_word_counts_and_of_equals_the_first() {
        let word = |witness, seconds| Some(Taken::utc(witness, Time::of_seconds(seconds).unwrap()));
        let (index, exif, again) = (word(Witness::Index, 1), word(Witness::Exif, 2), word(Witness::Exif, 3));
        assert_eq!((Taken::best(exif, index), Taken::best(exif, again), Taken::best(None, exif)), (index, exif, exif));
    }
}
