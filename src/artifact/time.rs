//! Points in time: parsing and calendar arithmetic.

use std::ops::RangeInclusive;
use std::str::FromStr;

use chrono::{DateTime, Datelike as _, NaiveDate, NaiveDateTime, NaiveTime};

/// Seconds since 1970 of the years 1 to 9999, the range that DuckDB, pandas and calendars can show.
const SECONDS: RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;

/// A point in time with a resolution of one microsecond.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time {
    /// Microseconds since 1970, UTC.
    pub(super) micros: i64,
}

/// Why a value is not a point in time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    /// These seconds since 1970 are outside of the years 1 to 9999.
    #[error("{0} seconds since 1970 is not a time in the years 1 to 9999")]
    Seconds(i64),
    /// The beginning of a text that is not a time.
    #[error("`{0}` is not a time such as 2024-12-31T18:00:00Z")]
    Text(String),
}

impl Time {
    /// The time this many seconds after the beginning of 1970 (UTC).
    ///
    /// # Errors
    /// Outside of the years 1 to 9999.
    pub fn from_seconds(seconds: i64) -> Result<Self, TimeError> {
        match SECONDS.contains(&seconds) {
            true => Ok(Self { micros: seconds * 1_000_000 }),
            false => Err(TimeError::Seconds(seconds)),
        }
    }

    /// The time that a clock in UTC shows.
    fn from_clock(clock: NaiveDateTime) -> Self {
        Self { micros: clock.and_utc().timestamp_micros() }
    }

    /// Midnight (UTC) at the beginning of this day.
    pub fn start_of(day: NaiveDate) -> Self {
        Self { micros: day.and_time(NaiveTime::MIN).and_utc().timestamp_micros() }
    }

    /// Whole seconds since 1970 (UTC), rounded down.
    pub fn seconds(self) -> i64 {
        self.micros.div_euclid(1_000_000)
    }

    /// Months since the year 0; `None` outside of the calendar.
    pub fn month(self) -> Option<i32> {
        let date = DateTime::from_timestamp_micros(self.micros)?;
        Some(12 * date.year() + date.month0() as i32)
    }
}

impl Time {
    /// Parses a time as people and programs write it: ISO 8601 with or without an offset (UTC if it has none), a day,
    /// or seconds since 1970. Also returns whether the offset from UTC is known: it is if the text has one, and for
    /// seconds.
    ///
    /// # Errors
    /// When the text is none of these.
    pub fn parse_with_offset(text: &str) -> Result<(Self, bool), TimeError> {
        let iso = text.trim().replacen(' ', "T", 1);
        let naive = |format: &&str| NaiveDateTime::parse_from_str(&iso, format).ok();
        let time = DateTime::parse_from_rfc3339(&iso)
            .or_else(|_| DateTime::parse_from_str(&iso, "%Y-%m-%dT%H:%M:%S%.f%z"))
            .map(|time| (Self { micros: time.timestamp_micros() }, true))
            .ok()
            .or_else(|| {
                let formats = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y:%m:%dT%H:%M:%S"];
                formats.iter().find_map(naive).map(|time| (Self::from_clock(time), false))
            })
            .or_else(|| iso.parse().ok().map(|day| (Self::start_of(day), false)));
        match (time, iso.parse()) {
            (Some(time), _) if SECONDS.contains(&time.0.seconds()) => Ok(time),
            (None, Ok(number)) => Ok((Self::from_seconds(number)?, true)),
            _ => Err(TimeError::Text(text.chars().take(40).collect())),
        }
    }
}

impl FromStr for Time {
    type Err = TimeError;

    /// Like [`Time::parse_with_offset`].
    fn from_str(text: &str) -> Result<Self, TimeError> {
        Self::parse_with_offset(text).map(|(time, _)| time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_they_are_written() {
        let noon = Time { micros: 1_551_441_600_000_000 };
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
            assert_eq!(text.parse(), Ok(noon), "{text}");
        }
        assert_eq!("1970-01-02".parse(), Ok(Time { micros: 86_400_000_000 }));
        for text in ["", "yesterday", "2019-13-01", "99999999999999", "+99999-01-01"] {
            assert!(text.parse::<Time>().is_err(), "{text}");
        }
    }

    #[test]
    fn months_follow_each_other_over_new_year() {
        let month = |text: &str| text.parse::<Time>().unwrap().month().unwrap();
        assert_eq!(month("2024-01-01T00:00:00Z") - month("2023-12-31T23:59:59Z"), 1);
        assert_eq!(month("2024-01-31T00:00:00Z"), month("2024-01-01T12:00:00Z"));
    }
}
