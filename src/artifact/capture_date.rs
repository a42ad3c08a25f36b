//! When a picture was taken, and the origin of that date.

use std::fmt;
use std::str::FromStr;

use super::Precision;
use super::time::{Time, TimeError};
use crate::photo::{self, Budget, Clock, DateSource};

/// Where a capture date comes from, the most trusted first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DateProvider {
    /// The index of an export, or the metadata that a downloader wrote for a post.
    Index,
    /// A table of the user.
    Table,
    /// EXIF in the picture.
    Exif,
    /// XMP in the picture.
    Xmp,
    /// A file next to the picture.
    Sidecar,
    /// The name of the file.
    Name,
    /// The modification time of the file.
    Mtime,
}

/// The words in the tables, in the order of trust.
const WORDS: [(DateProvider, &str); 7] = [
    (DateProvider::Index, "index"),
    (DateProvider::Table, "table"),
    (DateProvider::Exif, "exif"),
    (DateProvider::Xmp, "xmp"),
    (DateProvider::Sidecar, "sidecar"),
    (DateProvider::Name, "name"),
    (DateProvider::Mtime, "mtime"),
];

/// The origin of a capture date. In tables it is one word: `exif` is a local time as the camera's clock showed it, in
/// an unknown time zone; `exif-utc` is a moment, because the offset from UTC is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DateOrigin {
    /// The provider of the date.
    pub provider: DateProvider,
    /// Whether the offset from UTC is known. If not, the time is a local time that is stored as if it were UTC.
    pub utc: bool,
}

impl fmt::Display for DateOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = WORDS.iter().find(|(provider, _)| *provider == self.provider).map_or("", |(_, word)| word);
        write!(f, "{word}{}", if self.utc { "-utc" } else { "" })
    }
}

impl FromStr for DateOrigin {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (word, utc) = text.strip_suffix("-utc").map_or((text, false), |word| (word, true));
        let provider = WORDS.iter().find(|(_, known)| *known == word).map(|(provider, _)| *provider).ok_or(())?;
        Ok(Self { provider, utc })
    }
}

/// When a picture was taken, and the origin of that date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CaptureDate {
    /// The time.
    pub at: Time,
    /// Its origin.
    pub from: DateOrigin,
    /// Its precision.
    pub precision: Precision,
}

impl CaptureDate {
    /// A moment in UTC.
    pub fn utc(provider: DateProvider, at: Time) -> Self {
        Self { at, from: DateOrigin { provider, utc: true }, precision: Precision::Second }
    }

    /// A date from the inspection cache, which has only dates that are precise to the second.
    pub fn from_record(at: Time, from: DateOrigin) -> Self {
        Self { at, from, precision: Precision::Second }
    }

    /// The local time of a clock, or a moment if the clock's offset from UTC is known.
    pub fn from_clock(provider: DateProvider, clock: Clock) -> Self {
        let from = DateOrigin { provider, utc: clock.is_utc() };
        Self { at: Time { micros: clock.micros() }, from, precision: Precision::Second }
    }

    /// The capture date in the metadata of a picture's bytes.
    pub fn of_image(bytes: &[u8], budget: &Budget) -> Option<Self> {
        photo::capture_date(bytes, budget).map(|(block, clock)| match block {
            DateSource::Exif => Self::from_clock(DateProvider::Exif, clock),
            DateSource::Xmp => Self::from_clock(DateProvider::Xmp, clock),
        })
    }

    /// Parses a text as [`Time`] does. Without an offset the result is a local time.
    ///
    /// # Errors
    /// When the text is not a time.
    pub fn parse(provider: DateProvider, text: &str) -> Result<Self, TimeError> {
        let (at, utc) = Time::parse_with_offset(text)?;
        Ok(Self { at, from: DateOrigin { provider, utc }, precision: Precision::Second })
    }

    /// The date with the more trusted provider; `first` if both are equal.
    pub fn most_trusted(first: Option<Self>, second: Option<Self>) -> Option<Self> {
        [first, second].into_iter().flatten().min_by_key(|taken| taken.from.provider)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_words() {
        for (number, (provider, word)) in WORDS.into_iter().enumerate() {
            assert_eq!(number, provider as usize, "in the order of trust");
            for (utc, word) in [(false, word.to_owned()), (true, format!("{word}-utc"))] {
                assert_eq!(
                    (DateOrigin { provider, utc }.to_string(), word.parse()),
                    (word, Ok(DateOrigin { provider, utc }))
                );
            }
        }
        assert!("gps".parse::<DateOrigin>().is_err() && "-utc".parse::<DateOrigin>().is_err());
    }

    #[test]
    fn the_more_trusted_word_counts_and_of_equals_the_first() {
        let word = |provider, seconds| Some(CaptureDate::utc(provider, Time::from_seconds(seconds).unwrap()));
        let (index, exif, again) =
            (word(DateProvider::Index, 1), word(DateProvider::Exif, 2), word(DateProvider::Exif, 3));
        assert_eq!(
            (
                CaptureDate::most_trusted(exif, index),
                CaptureDate::most_trusted(exif, again),
                CaptureDate::most_trusted(None, exif)
            ),
            (index, exif, exif)
        );
    }
}
