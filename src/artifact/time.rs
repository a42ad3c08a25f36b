//! Points in time, and all that is computed with them.

use std::ops::RangeInclusive;
use std::str::FromStr;

use chrono::{DateTime, Datelike as _, NaiveDate, NaiveDateTime, NaiveTime};

/// The years 1 to 9999: what DuckDB, pandas and a calendar can show.
const SECONDS: RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;

/// A point in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time {
    /// Microseconds since 1970, UTC.
    pub(super) micros: i64,
}

/// Why something is no point in time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoTime {
    /// So many seconds since 1970 lead out of the calendar.
    #[error("{0} seconds is no time between the years 1 and 9999")]
    Seconds(i64),
    /// The text, or its beginning, is none.
    #[error("`{0}` is no time like 2024-12-31T18:00:00Z")]
    Text(String),
}

impl Time {
    /// So many seconds after the beginning of 1970 (UTC).
    ///
    /// # Errors
    /// Outside of the years 1 to 9999.
    pub fn of_seconds(seconds: i64) -> Result<Self, NoTime> {
        match SECONDS.contains(&seconds) {
            true => Ok(Self { micros: seconds * 1_000_000 }),
            false => Err(NoTime::Seconds(seconds)),
        }
    }

    /// What a clock that goes by UTC shows.
    fn of_clock(clock: NaiveDateTime) -> Self {
        Self { micros: clock.and_utc().timestamp_micros() }
    }

    /// Midnight (UTC) at the beginning of a day.
    pub fn start_of(day: NaiveDate) -> Self {
        Self { micros: day.and_time(NaiveTime::MIN).and_utc().timestamp_micros() }
    }

    /// Whole seconds since 1970 (UTC).
    pub fn seconds(self) -> i64 {
        self.micros.div_euclid(1_000_000)
    }

    /// Months since the year 0, for times that a calendar has.
    pub fn month(self) -> Option<i32> {
        let date = DateTime::from_timestamp_micros(self.micros)?;
        Some(12 * date.year() + date.month0() as i32)
    }
}

impl Time {
    /// Reads what people and programs write: ISO 8601 with or without an offset (UTC, if it has none), a day, or
    /// seconds since 1970; and tells whether the text says how far from UTC it is.
    ///
    /// # Errors
    /// When the text is none of these.
    pub fn with_zone(text: &str) -> Result<(Self, bool), NoTime> {
        let iso = text.trim().replacen(' ', "T", 1);
        let naive = |format: &&str| NaiveDateTime::parse_from_str(&iso, format).ok();
        let time = DateTime::parse_from_rfc3339(&iso)
            .or_else(|_| DateTime::parse_from_str(&iso, "%Y-%m-%dT%H:%M:%S%.f%z"))
            .map(|time| (Self { micros: time.timestamp_micros() }, true))
            .ok()
            .or_else(|| {
                let formats = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y:%m:%dT%H:%M:%S"];
                formats.iter().find_map(naive).map(|time| (Self::of_clock(time), false))
            })
            .or_else(|| iso.parse().ok().map(|day| (Self::start_of(day), false)));
        match (time, iso.parse()) {
            (Some(time), _) if SECONDS.contains(&time.0.seconds()) => Ok(time),
            (None, Ok(number)) => Ok((Self::of_seconds(number)?, true)),
            _ => Err(NoTime::Text(text.chars().take(40).collect())),
        }
    }
}

impl FromStr for Time {
    type Err = NoTime;

    /// As [`Time::with_zone`].
    fn from_str(text: &str) -> Result<Self, NoTime> {
        Self::with_zone(text).map(|(time, _)| time)
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
