//! What a clock showed, as cameras and programs write it down.

use chrono::{Datelike, FixedOffset, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Timelike};

/// What the clock of a camera or a program showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    shows: NaiveDateTime,
    offset: Option<FixedOffset>,
}

impl Clock {
    /// A clock that was `offset` ahead of UTC, if that is known. None of one that does not know the time: it shows the
    /// day on which its count of seconds begins, a year before photography or far ahead.
    pub fn new(shows: NaiveDateTime, offset: Option<FixedOffset>) -> Option<Self> {
        // Apple's count begins with 1904, Unix' with 1970.
        let beginnings = [1904, 1970].map(|year| NaiveDate::from_ymd_opt(year, 1, 1));
        let knows = (1826..2099).contains(&shows.year()) && !beginnings.contains(&Some(shows.date()));
        knows.then_some(Self { shows, offset })
    }

    /// Microseconds since 1970: UTC, where it is known how far the clock was from that; else as if it went by UTC.
    pub fn micros(self) -> i64 {
        let ahead = self.offset.map_or(0, |offset| i64::from(offset.local_minus_utc()));
        self.shows.and_utc().timestamp_micros() - 1_000_000 * ahead
    }

    /// Whether it is known how far it was from UTC.
    pub fn is_utc(self) -> bool {
        self.offset.is_some()
    }

    /// With a fraction of a second and an offset that were written beside it, unless it has them itself.
    pub(super) fn with(self, fraction: u32, offset: Option<FixedOffset>) -> Self {
        let fraction = if self.shows.nanosecond() == 0 { fraction } else { 0 };
        Self { shows: self.shows + TimeDelta::microseconds(fraction.into()), offset: self.offset.or(offset) }
    }
}

/// Text that is taken from its beginning.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a>(
    /// What is left of it.
    pub &'a [u8],
);

impl Reader<'_> {
    /// A number of exactly so many digits; what follows may be another one.
    pub fn number(&mut self, digits: usize) -> Option<u32> {
        let (number, rest) = self.0.split_at_checked(digits)?;
        let value =
            number.iter().try_fold(0, |value, &b| b.is_ascii_digit().then(|| value * 10 + u32::from(b - b'0')))?;
        self.0 = rest;
        Some(value)
    }

    /// One of these characters.
    pub fn one_of(&mut self, set: &[u8]) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        set.contains(first).then(|| {
            self.0 = rest;
            *first
        })
    }

    /// All characters from here on that are so.
    pub fn skip(&mut self, is: impl Fn(u8) -> bool) -> usize {
        let length = self.0.iter().take_while(|&&b| is(b)).count();
        self.0 = &self.0[length..];
        length
    }

    /// Two digits, of which some cameras write the first as a space where it is a zero.
    fn two(&mut self) -> Option<u32> {
        match self.0 {
            [b' ', digit @ b'0'..=b'9', rest @ ..] => {
                self.0 = rest;
                Some(u32::from(digit - b'0'))
            }
            _ => self.number(2),
        }
    }

    /// Micros of a fraction's digits.
    fn fraction(&mut self) -> u32 {
        let mut micros = 0;
        for place in 0.. {
            let Some(digit) = self.number(1) else { break };
            micros += digit * [100_000, 10_000, 1000, 100, 10, 1].get(place).unwrap_or(&0);
        }
        micros
    }

    /// Hours, minutes and mostly seconds.
    fn time(&mut self) -> Option<NaiveTime> {
        let hour = self.two()?;
        self.one_of(b":")?;
        let minute = self.two()?;
        let seconds = Reader(self.0).one_of(b":").is_some();
        let second = if seconds { self.skip_one().two()? } else { 0 };
        let micros = if seconds && self.one_of(b".,").is_some() { self.fraction() } else { 0 };
        // Some telephones count the hours from 1 to 24; their 24 is the first hour of the day.
        NaiveTime::from_hms_micro_opt(hour % 24, minute, second, micros).filter(|_| hour <= 24)
    }

    fn skip_one(&mut self) -> &mut Self {
        self.0 = &self.0[1..];
        self
    }
}

/// A time like `2024:05:06 07:08:09`, also with `-`, `/` or `.` between the parts of the day, `T` before the time,
/// fractions and an offset behind it. A time that is not known (blanks) is midnight.
pub(super) fn read(text: &[u8]) -> Option<Clock> {
    let text = text.split(|&b| b == 0).next()?.trim_ascii();
    let mut reader = Reader(text);
    let year = reader.number(4)?;
    reader.one_of(b":-/.")?;
    let month = reader.two()?;
    reader.one_of(b":-/.")?;
    let day = NaiveDate::from_ymd_opt(year as i32, month, reader.two()?)?;
    if !reader.0.iter().any(u8::is_ascii_digit) {
        let blank = reader.0.iter().all(|b| b" :T".contains(b));
        return if blank { Clock::new(day.and_time(NaiveTime::MIN), None) } else { None };
    }
    reader.one_of(b" T")?;
    let time = reader.time()?;
    Clock::new(day.and_time(time), offset(reader.0))
}

/// An offset like `+02:00` or `Z`; none of blanks and of what no place on Earth has.
pub(super) fn offset(text: &[u8]) -> Option<FixedOffset> {
    let mut reader = Reader(text.split(|&b| b == 0).next()?.trim_ascii());
    let sign = reader.one_of(b"+-Zz")?;
    if matches!(sign, b'Z' | b'z') {
        return FixedOffset::east_opt(0);
    }
    let hours = reader.number(2)?;
    reader.one_of(b":");
    let minutes = if reader.0.is_empty() { 0 } else { reader.number(2)? };
    let seconds = (hours * 3600 + minutes * 60) as i32;
    let is_one = hours <= 15 && minutes < 60 && reader.0.is_empty();
    FixedOffset::east_opt(if sign == b'-' { -seconds } else { seconds }).filter(|_| is_one)
}

/// The microseconds of digits behind a second's point, as EXIF keeps them in a place of their own.
pub(super) fn fraction(text: &[u8]) -> u32 {
    Reader(text.trim_ascii()).fraction()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_are_read_as_they_are_written() {
        let shown = |text: &str| {
            let Clock { shows, offset } = read(text.as_bytes())?;
            Some(format!("{shows:?}{}", offset.map_or(String::new(), |offset| offset.to_string())))
        };
        for (text, clock) in [
            ("2024:05:06 07:08:09\0", "2024-05-06T07:08:09"),
            ("2024:05:06 07:08:09\0 rest", "2024-05-06T07:08:09"),
            ("2024-05-06T07:08:09.25+02:00", "2024-05-06T07:08:09.250+02:00"),
            ("2024/05/06 07:08:09 -0330", "2024-05-06T07:08:09-03:30"),
            ("2024-05-06T07:08Z", "2024-05-06T07:08:00+00:00"),
            ("2024:05:06 07:08", "2024-05-06T07:08:00"),
            ("2024: 5: 6  7: 8: 9", "2024-05-06T07:08:09"),
            ("2024:05:06 24:08:09", "2024-05-06T00:08:09"),
            ("2024:05:06", "2024-05-06T00:00:00"),
            ("2024:05:06   :  :  ", "2024-05-06T00:00:00"),
            ("2024:05:06 07:08:09+99:00", "2024-05-06T07:08:09"),
        ] {
            assert_eq!(shown(text).as_deref(), Some(clock), "{text}");
        }
        for text in [
            "",
            "    :  :     :  :  ",
            "0000:00:00 00:00:00",
            "2024:13:01 00:00:00",
            "2024:02:30 00:00:00",
            "2024:05:06 25:00:00",
            "2024:05:06 07:61:00",
            "2024",
            "2024-05",
            "soon",
            "2024:05:06 at seven",
            "2024:05:06 07",
        ] {
            assert_eq!(shown(text), None, "{text}");
        }
        assert_eq!(
            ["5", "123", "123456789", "", "x"].map(|text| fraction(text.as_bytes())),
            [500_000, 123_000, 123_456, 0, 0]
        );
    }

    #[test]
    fn a_clock_that_does_not_know_the_time_is_none() {
        let micros = |text: &str| read(text.as_bytes()).map(Clock::micros);
        assert_eq!(micros("2019-03-01T12:00:00"), Some(1_551_441_600_000_000));
        assert_eq!(micros("2019-03-01T12:00:00+02:00"), Some(1_551_434_400_000_000));
        assert_eq!(micros("1970-01-02T00:00:00"), Some(86_400_000_000));
        for nonsense in ["1970-01-01T13:00:00", "1904-01-01T00:00:00", "2099-01-01T00:00:00", "1601-01-01T00:00:00"] {
            assert_eq!(micros(nonsense), None, "{nonsense}");
        }
    }
}
