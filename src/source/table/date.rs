//! Dates as people and programs write them in tables: exact, or a month, a year, "ca. 1890", the "1890s".

use chrono::{DateTime, NaiveDate, NaiveTime};

use crate::artifact::{Precision, Time};

/// Which of two numbers before a year is the day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DateOrder {
    /// `14/07/2024`
    DayFirst,
    /// `07/14/2024`
    MonthFirst,
}

/// The first moment that `text` can mean, and its precision; `None` if the text is not understood. If day and month
/// cannot be distinguished and no `order` is known, only the year is used.
pub(super) fn read(text: &str, order: Option<DateOrder>) -> Option<(Time, Precision)> {
    let text = text.trim();
    if text.bytes().all(|b| b.is_ascii_digit() || b == b'.') && text.matches('.').count() < 2 {
        return number(text);
    }
    // ISO 8601, which may have an offset.
    if text.contains(':')
        && let Ok(time) = text.parse::<Time>()
    {
        let clock = text.get(10..).and_then(|clock| clock.split(['+', '-']).next()).unwrap_or_default();
        return Some((time, if clock.matches(':').count() > 1 { Precision::Second } else { Precision::Minute }));
    }
    let (date, clock) = split_time_of_day(&tokens(text));
    let (day, precision) = full_date(&date, order)
        .or_else(|| year_and_month(&date))
        .or_else(|| month_name(&date))
        .or_else(|| approximate(&date))?;
    let start = Time::start_of(day);
    let Some((hour, minute, second)) = clock.filter(|_| precision == Precision::Day) else {
        return Some((start, precision));
    };
    let clock = NaiveTime::from_hms_opt(hour, minute, second.unwrap_or(0))?;
    let time = format!("{day}T{clock}").parse().ok()?;
    Some((time, if second.is_some() { Precision::Second } else { Precision::Minute }))
}

/// The order of day and month that a date shows, if it does. The other dates of its column have the same order.
pub(super) fn order(text: &str) -> Option<DateOrder> {
    let (date, _) = split_time_of_day(&tokens(text));
    let [Token::Number(a), Token::Mark('/' | '-'), Token::Number(b), Token::Mark(_), Token::Number(year)] = date[..]
    else {
        return None;
    };
    match (two_digits(a)?, two_digits(b)?) {
        (13..=31, 1..=12) if year.len() == 4 => Some(DateOrder::DayFirst),
        (1..=12, 13..=31) if year.len() == 4 => Some(DateOrder::MonthFirst),
        _ => None,
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token<'a> {
    Number(&'a str),
    Word(&'a str),
    Mark(char),
}

/// The numbers, words and marks of a text. White space is ignored.
fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = |is_kind: fn(char) -> bool| rest.find(|c| !is_kind(c)).unwrap_or(rest.len());
        let end = if first.is_ascii_digit() {
            let end = length(|c| c.is_ascii_digit());
            found.push(Token::Number(&rest[..end]));
            end
        } else if first.is_alphabetic() {
            let end = length(char::is_alphabetic);
            found.push(Token::Word(&rest[..end]));
            end
        } else {
            found.push(Token::Mark(if matches!(first, '–' | '—' | '−') { '-' } else { first }));
            first.len_utf8()
        };
        rest = rest[end..].trim_start();
    }
    found
}

/// Hour, minute and, if present, second.
type TimeOfDay = (u32, u32, Option<u32>);

/// The tokens of the date, and the time of day after it. A time of day with an offset is ignored, because its meaning
/// is clear only in ISO 8601.
fn split_time_of_day<'a>(tokens: &[Token<'a>]) -> (Vec<Token<'a>>, Option<TimeOfDay>) {
    use Token::{Mark, Number, Word};
    let is_clock = |w: &[Token<'_>]| matches!(w, [Number(h), Mark(':'), Number(m)] if h.len() <= 2 && m.len() == 2);
    let Some(clock_start) = tokens.windows(3).position(is_clock) else { return (tokens.to_vec(), None) };
    let (Number(hour), Number(minute)) = (tokens[clock_start], tokens[clock_start + 2]) else {
        return (tokens.to_vec(), None);
    };
    let mut rest = &tokens[clock_start + 3..];
    let mut second = None;
    if let [Mark(':'), Number(second_digits), ..] = rest {
        (second, rest) = (two_digits(second_digits), &rest[2..]);
        if let [Mark('.' | ','), Number(_), ..] = rest {
            rest = &rest[2..];
        }
    }
    let words: String =
        rest.iter().filter_map(|token| if let Word(word) = token { Some(*word) } else { None }).collect();
    let afternoon_hours = match &*words.to_lowercase() {
        "" | "z" | "utc" | "gmt" | "uhr" => None,
        "am" => Some(0),
        "pm" => Some(12),
        _ => return (tokens[..clock_start].to_vec(), None),
    };
    let has_offset = rest.iter().any(|token| matches!(token, Number(_) | Mark('+' | '-')));
    let clock = two_digits(hour).zip(two_digits(minute)).map(|(hour, minute)| {
        (afternoon_hours.map_or(hour, |afternoon_hours| hour % 12 + afternoon_hours), minute, second)
    });
    // Skips `T` or a comma between date and time.
    let end = clock_start - usize::from(clock_start > 0 && matches!(tokens[clock_start - 1], Word("T") | Mark(',')));
    (tokens[..end].to_vec(), clock.filter(|_| !has_offset))
}

fn two_digits(number: &str) -> Option<u32> {
    if number.len() <= 2 { number.parse().ok() } else { None }
}

fn year(number: &str) -> Option<i32> {
    if number.len() == 4 { number.parse().ok().filter(|year| *year > 0) } else { None }
}

fn exact_day(year: i32, month: u32, day: u32) -> Option<(NaiveDate, Precision)> {
    Some((NaiveDate::from_ymd_opt(year, month, day)?, Precision::Day))
}

fn first_of_year(year: i32, precision: Precision) -> Option<(NaiveDate, Precision)> {
    Some((NaiveDate::from_ymd_opt(year.max(1), 1, 1)?, precision))
}

/// Three numbers: a full date.
fn full_date(date: &[Token<'_>], order: Option<DateOrder>) -> Option<(NaiveDate, Precision)> {
    let [
        Token::Number(a),
        Token::Mark(mark @ ('-' | '/' | '.' | ':')),
        Token::Number(b),
        Token::Mark(second),
        Token::Number(c),
    ] = *date
    else {
        return None;
    };
    if mark != second {
        return None;
    }
    if let Some(year) = year(a) {
        return exact_day(year, two_digits(b)?, two_digits(c)?);
    }
    let (a, b, year) = (two_digits(a)?, two_digits(b)?, year(c)?);
    // A number above 12 can only be the day. With dots the day comes first. Otherwise the column's order decides.
    let order = match (mark, order) {
        _ if a > 12 || a == b => DateOrder::DayFirst,
        _ if b > 12 => DateOrder::MonthFirst,
        ('.', _) => DateOrder::DayFirst,
        (_, Some(order)) => order,
        (_, None) => return first_of_year(year, Precision::Year),
    };
    match order {
        DateOrder::DayFirst => exact_day(year, b, a),
        DateOrder::MonthFirst => exact_day(year, a, b),
    }
}

/// A year and the number of a month, in either order.
fn year_and_month(date: &[Token<'_>]) -> Option<(NaiveDate, Precision)> {
    let [Token::Number(a), Token::Mark('-' | '/' | '.' | ':'), Token::Number(b)] = *date else { return None };
    let (year, month) = year(a).zip(two_digits(b)).or_else(|| year(b).zip(two_digits(a)))?;
    Some((NaiveDate::from_ymd_opt(year, month, 1)?, Precision::Month))
}

/// The names of the months in English, German, French, Spanish and Italian.
const MONTHS: [&str; 12] = [
    "january januar jänner janvier enero gennaio",
    "february februar février febrero febbraio",
    "march märz maerz mrz mars marzo",
    "april avril abril aprile",
    "may mai mayo maggio",
    "june juni juin junio giugno",
    "july juli juillet julio luglio",
    "august août aout agosto",
    "september septembre septiembre settembre",
    "october oktober octobre octubre ottobre",
    "november novembre noviembre",
    "december dezember décembre diciembre dicembre",
];

/// The month whose name begins with `word`, which has at least three letters.
fn month(word: &str) -> Option<u32> {
    let word = word.to_lowercase();
    let matches_word = |names: &str| word.chars().count() >= 3 && names.split(' ').any(|name| name.starts_with(&word));
    (1..).zip(MONTHS).find(|(_, names)| matches_word(names)).map(|(number, _)| number)
}

/// A month by its name, with a year and possibly a day.
fn month_name(date: &[Token<'_>]) -> Option<(NaiveDate, Precision)> {
    let month = date.iter().find_map(|token| if let Token::Word(word) = token { month(word) } else { None })?;
    let numbers =
        || date.iter().filter_map(|token| if let Token::Number(number) = token { Some(*number) } else { None });
    let year = numbers().find_map(year)?;
    let mut days = numbers().filter_map(two_digits);
    match (days.next(), days.next()) {
        (Some(number), None) => exact_day(year, month, number),
        _ => Some((NaiveDate::from_ymd_opt(year, month, 1)?, Precision::Month)),
    }
}

/// A year, decade or century among other words.
fn approximate(date: &[Token<'_>]) -> Option<(NaiveDate, Precision)> {
    use Token::{Mark, Number, Word};
    // A day that no calendar has is a mistake, and must not be read as a year.
    if let [Number(_), Mark(a), Number(_), Mark(b), Number(_)] = date
        && a == b
    {
        return None;
    }
    let lower = |word: &str| word.to_lowercase();
    for (i, token) in date.iter().enumerate() {
        let Number(number) = token else { continue };
        let rest = &date[i + 1..];
        let decade = match rest {
            [Word(word), ..] => matches!(&*lower(word), "s" | "er" | "ers"),
            [Mark('\'' | '’'), Word("s"), ..] => true,
            _ => false,
        };
        let is_placeholder = |mark: &Token<'_>| match mark {
            Mark(mark) => matches!(mark, '-' | '?' | '_'),
            Word(word) => lower(word).chars().all(|c| c == 'x'),
            Number(_) => false,
        };
        let value: i32 = number.parse().ok()?;
        let century = |word: &str| ["cent", "jh", "jahrh"].iter().any(|name| lower(word).starts_with(name));
        match (number.len(), rest) {
            (4, _) if value > 0 && decade && value % 10 == 0 => return first_of_year(value, Precision::Decade),
            (4, _) if value > 0 => return first_of_year(value, Precision::Year),
            (3, [mark, ..]) if is_placeholder(mark) => return first_of_year(value * 10, Precision::Decade),
            (2, [Mark('-' | '?' | '_'), mark, ..]) if is_placeholder(mark) => {
                return first_of_year(value * 100, Precision::Century);
            }
            (2, [Word(word), ..]) if lower(word) == "xx" => return first_of_year(value * 100, Precision::Century),
            (1 | 2, [Word(_) | Mark('.'), Word(word), ..] | [Word(word), ..]) if century(word) => {
                return first_of_year((value - 1) * 100, Precision::Century);
            }
            _ => {}
        }
    }
    None
}

/// The meaning of a plain number by its length: a year, a month, a day, or the time since 1970. Numbers that would be
/// times close to 1970 are something else.
fn number(text: &str) -> Option<(Time, Precision)> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !fraction.bytes().all(|b| b == b'0') && !(9..=11).contains(&whole.len()) {
        // `07.2024`
        return year_and_month(&tokens(text)).map(|(day, precision)| (Time::start_of(day), precision));
    }
    let digits = |from: usize, to: usize| whole[from..to].parse::<u32>().ok();
    let at_start = |(day, precision)| (Time::start_of(day), precision);
    let count = || whole.parse::<i64>().ok();
    let micros = match whole.len() {
        4 => return first_of_year(year(whole)?, Precision::Year).map(at_start),
        6 => return Some(at_start((NaiveDate::from_ymd_opt(year(&whole[..4])?, digits(4, 6)?, 1)?, Precision::Month))),
        8 => return exact_day(year(&whole[..4])?, digits(4, 6)?, digits(6, 8)?).map(at_start),
        9..=11 => count()?.checked_mul(1_000_000)?,
        12..=13 => count()?.checked_mul(1_000)?,
        15..=16 => count()?,
        18..=19 => count()? / 1_000,
        _ => return None,
    };
    let time = DateTime::from_timestamp_micros(micros)?.to_rfc3339().parse().ok()?;
    Some((time, Precision::Second))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(text: &str) -> String {
        read(text, None).map_or_else(String::new, |(time, precision)| {
            let time = DateTime::from_timestamp(time.seconds(), 0).unwrap();
            format!("{} {precision}", time.format("%Y-%m-%d %H:%M:%S"))
        })
    }

    #[test]
    fn dates_are_read_as_exactly_as_they_are_written() {
        for (text, expected) in [
            ("2024-07-14T18:30:05.123Z", "2024-07-14 18:30:05 second"),
            ("2024-07-14T18:30:05+02:00", "2024-07-14 16:30:05 second"),
            ("2024-07-14 18:30", "2024-07-14 18:30:00 minute"),
            ("2024:07:14 18:30:05", "2024-07-14 18:30:05 second"),
            ("2024-07-14", "2024-07-14 00:00:00 day"),
            ("2024/07/14", "2024-07-14 00:00:00 day"),
            ("20240714", "2024-07-14 00:00:00 day"),
            ("07/14/2024", "2024-07-14 00:00:00 day"),
            ("7/14/2024 6:30 PM", "2024-07-14 18:30:00 minute"),
            ("14/07/2024 12:05:00 a.m.", "2024-07-14 00:05:00 second"),
            ("05/05/2024", "2024-05-05 00:00:00 day"),
            ("05/06/2024", "2024-01-01 00:00:00 year"),
            ("01.07.2024", "2024-07-01 00:00:00 day"),
            ("01.07.2024 18:30", "2024-07-01 18:30:00 minute"),
            ("14 July 2024", "2024-07-14 00:00:00 day"),
            ("July 14, 2024, 18:30", "2024-07-14 18:30:00 minute"),
            ("14. Juli 2024", "2024-07-14 00:00:00 day"),
            ("mars 1890", "1890-03-01 00:00:00 month"),
            ("2024-07", "2024-07-01 00:00:00 month"),
            ("07/2024", "2024-07-01 00:00:00 month"),
            ("07.2024", "2024-07-01 00:00:00 month"),
            ("2024", "2024-01-01 00:00:00 year"),
            ("1890.0", "1890-01-01 00:00:00 year"),
            ("ca. 1890", "1890-01-01 00:00:00 year"),
            ("[1890?]", "1890-01-01 00:00:00 year"),
            ("1890-1895", "1890-01-01 00:00:00 year"),
            ("1890/91", "1890-01-01 00:00:00 year"),
            ("1890s", "1890-01-01 00:00:00 decade"),
            ("um die 1890er", "1890-01-01 00:00:00 decade"),
            ("189-", "1890-01-01 00:00:00 decade"),
            ("18xx", "1800-01-01 00:00:00 century"),
            ("19th century", "1800-01-01 00:00:00 century"),
            ("1720981800", "2024-07-14 18:30:00 second"),
            ("1720981800000", "2024-07-14 18:30:00 second"),
            ("1720981800000000", "2024-07-14 18:30:00 second"),
            ("1720981800000000000", "2024-07-14 18:30:00 second"),
            ("1720981800.5", "2024-07-14 18:30:00 second"),
        ] {
            assert_eq!(described(text), expected, "{text}");
        }
        for text in [
            "",
            "soon",
            "n.d.",
            "Maria",
            "5",
            "123",
            "31.02.2024",
            "14.07.24",
            "0000",
            "0000:00:00 00:00:00",
            "2024-13-01",
        ] {
            assert_eq!(described(text), "", "{text}");
        }
    }

    #[test]
    fn one_date_of_a_column_tells_the_order_of_the_others() {
        assert_eq!(order("07/14/2024"), Some(DateOrder::MonthFirst));
        assert_eq!(order("14-07-2024 18:30"), Some(DateOrder::DayFirst));
        assert_eq!((order("07/08/2024"), order("14.07.2024"), order("2024-07-14")), (None, None, None));
        let read = |order| read("07/08/2024", Some(order)).unwrap().0;
        assert!(read(DateOrder::MonthFirst) < read(DateOrder::DayFirst));
    }
}
