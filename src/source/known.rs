//! What a source says of a picture beside its pixels, and how two sources' words are put together.

use std::sync::Arc;

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime};

use crate::artifact::rows::Micros;
use crate::config::Kind;

/// Longer captions are cut here.
const MAX_CAPTION_BYTES: usize = 64 << 10;
/// The years 1 to 9999: what DuckDB, pandas and a calendar can show.
const SECONDS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;

/// What is known of a picture; any of it may be missing. Texts are shared: an address may fit many files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// What it was to the site it comes from.
    pub kind: Option<Kind>,
    /// When it was taken or posted.
    pub taken_at: Option<Micros>,
    /// What its owner wrote; never empty.
    pub caption: Option<Arc<str>>,
    /// The post it belongs to.
    pub post: Option<Membership>,
    /// The address that an index gives it.
    pub uri: Option<Arc<str>>,
}

/// A picture's place in a post.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// The post's name: the address of its first picture.
    pub post: Arc<str>,
    /// The picture's number in it, from 0; none if it is the only one.
    pub index: Option<u32>,
}

impl Known {
    /// Takes over what `other` knows and this does not.
    pub fn fill(&mut self, other: &Self) {
        self.kind = self.kind.or(other.kind);
        self.taken_at = self.taken_at.or(other.taken_at);
        self.caption = self.caption.take().or_else(|| other.caption.clone());
        self.post = self.post.take().or_else(|| other.post.clone());
        self.uri = self.uri.take().or_else(|| other.uri.clone());
    }
}

/// A caption as it is kept: none if empty, cut at 64 KiB.
pub(super) fn caption(text: &str) -> Option<Arc<str>> {
    (!text.is_empty()).then(|| text[..text.floor_char_boundary(MAX_CAPTION_BYTES)].into())
}

/// Seconds since 1970 (UTC) as a point in time.
pub(super) fn seconds(seconds: i64) -> Result<Micros, String> {
    match SECONDS.contains(&seconds) {
        true => Ok(Micros(seconds * 1_000_000)),
        false => Err(format!("{seconds} seconds is no time between the years 1 and 9999")),
    }
}

/// A point in time as people and programs write it: ISO 8601 with or without an offset (UTC, if it
/// has none), a day, or seconds since 1970.
pub(super) fn time(text: &str) -> Result<Micros, String> {
    let iso = text.trim().replacen(' ', "T", 1);
    let utc = |naive: NaiveDateTime| naive.and_utc().timestamp_micros();
    let naive = |format: &&str| NaiveDateTime::parse_from_str(&iso, format).ok();
    let micros = DateTime::parse_from_rfc3339(&iso)
        .or_else(|_| DateTime::parse_from_str(&iso, "%Y-%m-%dT%H:%M:%S%.f%z"))
        .map(|time| time.timestamp_micros())
        .ok()
        .or_else(|| ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y:%m:%dT%H:%M:%S"].iter().find_map(naive).map(utc))
        .or_else(|| Some(utc(iso.parse::<NaiveDate>().ok()?.and_time(NaiveTime::MIN))));
    match (micros, iso.parse()) {
        (Some(micros), _) if SECONDS.contains(&micros.div_euclid(1_000_000)) => Ok(Micros(micros)),
        (None, Ok(number)) => seconds(number),
        _ => Err(format!("`{}` is no time like 2024-12-31T18:00:00Z", text.chars().take(40).collect::<String>())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_they_are_written() {
        let noon = Micros(1_551_441_600_000_000);
        for text in [
            "2019-03-01T12:00:00",
            "2019-03-01T12:00:00Z",
            "2019-03-01 12:00",
            "2019-03-01T13:00:00+01:00",
            "2019-03-01T12:00:00+0000",
            "2019-03-01 12:00:00.000000+00:00",
            "2019:03:01 12:00:00",
            "1551441600",
        ] {
            assert_eq!(time(text), Ok(noon), "{text}");
        }
        assert_eq!(time("1970-01-02"), Ok(Micros(86_400_000_000)));
        for text in ["", "yesterday", "2019-13-01", "99999999999999", "+99999-01-01"] {
            assert!(time(text).is_err(), "{text}");
        }
    }

    #[test]
    fn captions_are_cut_between_characters() {
        assert_eq!(caption(""), None);
        let long = caption(&("ü".repeat(40_000) + "x")).unwrap();
        assert_eq!(long.len(), MAX_CAPTION_BYTES);
        let odd = caption(&("x".to_owned() + &"ü".repeat(40_000))).unwrap();
        assert_eq!(odd.len(), MAX_CAPTION_BYTES - 1);
    }

    #[test]
    fn a_union_keeps_what_either_knows() {
        let mut one = Known { caption: Some("one".into()), ..Default::default() };
        one.fill(&Known { caption: Some("two".into()), taken_at: Some(Micros(1)), ..Default::default() });
        assert_eq!((one.caption.as_deref(), one.taken_at), (Some("one"), Some(Micros(1))));
    }
}
