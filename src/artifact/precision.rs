//! The precision of a date.

use std::fmt;
use std::str::FromStr;

/// The precision of a date. A date with a lower precision than seconds is stored as the first moment of its period.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Precision {
    /// To the second or better.
    Second,
    /// To the minute.
    Minute,
    /// The day.
    Day,
    /// The month.
    Month,
    /// The year.
    Year,
    /// Ten years.
    Decade,
    /// A hundred years.
    Century,
}

/// The words in the tables.
const NAMES: [(Precision, &str); 7] = [
    (Precision::Second, "second"),
    (Precision::Minute, "minute"),
    (Precision::Day, "day"),
    (Precision::Month, "month"),
    (Precision::Year, "year"),
    (Precision::Decade, "decade"),
    (Precision::Century, "century"),
];

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = NAMES.iter().find(|(precision, _)| precision == self);
        f.write_str(name.map_or("", |(_, name)| name))
    }
}

impl FromStr for Precision {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        NAMES.iter().find(|(_, name)| *name == text).map(|(precision, _)| *precision).ok_or(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for (precision, name) in NAMES {
            assert_eq!((precision.to_string().as_str(), name.parse()), (name, Ok(precision)));
        }
        assert!("week".parse::<Precision>().is_err());
    }
}
