//! Parses dates and times in the notations of cameras and programs.

use chrono::{Datelike, FixedOffset, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Timelike};

/// A local date and time, with its offset from UTC if that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    local_time: NaiveDateTime,
    offset: Option<FixedOffset>,
}

impl Clock {
    /// A time at `offset` from UTC, if the offset is known. `None` if the clock was evidently not set: it shows the
    /// first day of an epoch, or a year outside 1826 to 2098. (The oldest surviving photograph is from 1826.)
    pub fn new(local_time: NaiveDateTime, offset: Option<FixedOffset>) -> Option<Self> {
        // The epochs of Apple (1904) and Unix (1970).
        let epochs = [1904, 1970].map(|year| NaiveDate::from_ymd_opt(year, 1, 1));
        let is_plausible = (1826..2099).contains(&local_time.year()) && !epochs.contains(&Some(local_time.date()));
        is_plausible.then_some(Self { local_time, offset })
    }

    /// Microseconds since 1970. The time is converted to UTC if its offset is known, and else read as if it were UTC.
    pub fn micros(self) -> i64 {
        let offset_seconds = self.offset.map_or(0, |offset| i64::from(offset.local_minus_utc()));
        self.local_time.and_utc().timestamp_micros() - 1_000_000 * offset_seconds
    }

    /// Whether the offset from UTC is known.
    pub fn is_utc(self) -> bool {
        self.offset.is_some()
    }

    /// Adds a fraction of a second (in microseconds) and an offset from tags of their own, where the time has none
    /// itself.
    pub(super) fn with(self, fraction: u32, offset: Option<FixedOffset>) -> Self {
        let fraction = if self.local_time.nanosecond() == 0 { fraction } else { 0 };
        Self { local_time: self.local_time + TimeDelta::microseconds(fraction.into()), offset: self.offset.or(offset) }
    }
}

/// Parses a text from left to right. [`number`](Self::number) and [`one_of`](Self::one_of) consume nothing if they do
/// not match.
#[derive(Clone, Copy, Debug)]
pub struct TextScanner<'a>(
    /// The rest of the text.
    pub &'a [u8],
);

impl TextScanner<'_> {
    /// Reads a number of exactly `digits` digits. More digits may follow.
    pub fn number(&mut self, digits: usize) -> Option<u32> {
        let (number, rest) = self.0.split_at_checked(digits)?;
        let value =
            number.iter().try_fold(0, |value, &b| b.is_ascii_digit().then(|| value * 10 + u32::from(b - b'0')))?;
        self.0 = rest;
        Some(value)
    }

    /// Reads one character of `set`.
    pub fn one_of(&mut self, set: &[u8]) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        set.contains(first).then(|| {
            self.0 = rest;
            *first
        })
    }

    /// Skips all characters for which `matches` returns true, and returns how many there were.
    pub fn skip(&mut self, matches: impl Fn(u8) -> bool) -> usize {
        let length = self.0.iter().take_while(|&&b| matches(b)).count();
        self.0 = &self.0[length..];
        length
    }

    /// Reads two digits. Some cameras write a leading zero as a space.
    fn two_digits(&mut self) -> Option<u32> {
        match self.0 {
            [b' ', digit @ b'0'..=b'9', rest @ ..] => {
                self.0 = rest;
                Some(u32::from(digit - b'0'))
            }
            _ => self.number(2),
        }
    }

    /// Reads the digits of a fraction of a second, in microseconds. Digits beyond the sixth are ignored.
    fn fraction(&mut self) -> u32 {
        let mut micros = 0;
        for place in 0.. {
            let Some(digit) = self.number(1) else { break };
            micros += digit * [100_000, 10_000, 1000, 100, 10, 1].get(place).unwrap_or(&0);
        }
        micros
    }

    /// Reads hours and minutes, with seconds and a fraction if there are any.
    fn time(&mut self) -> Option<NaiveTime> {
        let hour = self.two_digits()?;
        self.one_of(b":")?;
        let minute = self.two_digits()?;
        let has_seconds = TextScanner(self.0).one_of(b":").is_some();
        let second = if has_seconds { self.skip_one().two_digits()? } else { 0 };
        let micros = if has_seconds && self.one_of(b".,").is_some() { self.fraction() } else { 0 };
        // Some phones count the hours from 1 to 24; their 24 is the first hour of the day.
        NaiveTime::from_hms_micro_opt(hour % 24, minute, second, micros).filter(|_| hour <= 24)
    }

    fn skip_one(&mut self) -> &mut Self {
        self.0 = &self.0[1..];
        self
    }
}

/// Parses a time such as `2024:05:06 07:08:09`. The parts of the date may also be separated by `-`, `/` or `.`, the
/// time may follow a `T`, and it may have a fraction and an offset. If only the date is known (the time is missing or
/// blank), the time is midnight.
pub(super) fn read(text: &[u8]) -> Option<Clock> {
    let text = text.split(|&b| b == 0).next()?.trim_ascii();
    let mut reader = TextScanner(text);
    let year = reader.number(4)?;
    reader.one_of(b":-/.")?;
    let month = reader.two_digits()?;
    reader.one_of(b":-/.")?;
    let day = NaiveDate::from_ymd_opt(year as i32, month, reader.two_digits()?)?;
    if !reader.0.iter().any(u8::is_ascii_digit) {
        let blank = reader.0.iter().all(|b| b" :T".contains(b));
        return if blank { Clock::new(day.and_time(NaiveTime::MIN), None) } else { None };
    }
    reader.one_of(b" T")?;
    let time = reader.time()?;
    Clock::new(day.and_time(time), offset(reader.0))
}

/// Parses an offset from UTC such as `+02:00` or `Z`. `None` if it is blank, or beyond 15 hours and 59 minutes.
pub(super) fn offset(text: &[u8]) -> Option<FixedOffset> {
    let mut reader = TextScanner(text.split(|&b| b == 0).next()?.trim_ascii());
    let sign = reader.one_of(b"+-Zz")?;
    if matches!(sign, b'Z' | b'z') {
        return FixedOffset::east_opt(0);
    }
    let hours = reader.number(2)?;
    reader.one_of(b":");
    let minutes = if reader.0.is_empty() { 0 } else { reader.number(2)? };
    let seconds = (hours * 3600 + minutes * 60) as i32;
    let is_valid = hours <= 15 && minutes < 60 && reader.0.is_empty();
    FixedOffset::east_opt(if sign == b'-' { -seconds } else { seconds }).filter(|_| is_valid)
}

/// Parses the digits of a fraction of a second, which EXIF stores in a tag of its own (SubSecTime), to microseconds.
pub(super) fn fraction(text: &[u8]) -> u32 {
    TextScanner(text.trim_ascii()).fraction()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_are_read_as_they_are_written() {
        let shown = |text: &str| {
            let Clock { local_time, offset } = read(text.as_bytes())?;
            Some(format!("{local_time:?}{}", offset.map_or(String::new(), |offset| offset.to_string())))
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
