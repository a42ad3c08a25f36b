//! Dates as people and programs write them into tables: exact, or a month, a year, "ca. 1890", the "1890s".

use chrono::{DateTime, NaiveDate, NaiveTime};

use crate::artifact::{Precision, Time};

/// Which of two numbers before a year is the day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// `14/07/2024`
    DayFirst,
    /// `07/14/2024`
    MonthFirst,
}

/// The first moment that `text` may mean, and how exactly it says so; none if it says nothing that is understood.
/// Where day and month cannot be told apart, and no `order` is known, only the year is.
pub(super) fn read(text: &str, order: Option<Order>) -> Option<(Time, Precision)> {
    let text = text.trim();
    if text.bytes().all(|b| b.is_ascii_digit() || b == b'.') && text.matches('.').count() < 2 {
        return number(text);
    }
    // ISO, which may have an offset.
    if text.contains(':')
        && let Ok(time) = text.parse::<Time>()
    {
        let clock = text.get(10..).and_then(|clock| clock.split(['+', '-']).next()).unwrap_or_default();
        return Some((time, if clock.matches(':').count() > 1 { Precision::Second } else { Precision::Minute }));
    }
    let (date, clock) = with_clock(&tokens(text));
    let (day, precision) =
        triple(&date, order).or_else(|| pair(&date)).or_else(|| named(&date)).or_else(|| loose(&date))?;
    let start = Time::start_of(day);
    let Some((hour, minute, second)) = clock.filter(|_| precision == Precision::Day) else {
        return Some((start, precision));
    };
    let clock = NaiveTime::from_hms_opt(hour, minute, second.unwrap_or(0))?;
    let time = format!("{day}T{clock}").parse().ok()?;
    Some((time, if second.is_some() { Precision::Second } else { Precision::Minute }))
}

/// What a date says of the order in which its column has day and month.
pub(super) fn order(text: &str) -> Option<Order> {
    let (date, _) = with_clock(&tokens(text));
    let [Token::Number(a), Token::Mark('/' | '-'), Token::Number(b), Token::Mark(_), Token::Number(year)] = date[..]
    else {
        return None;
    };
    match (small(a)?, small(b)?) {
        (13..=31, 1..=12) if year.len() == 4 => Some(Order::DayFirst),
        (1..=12, 13..=31) if year.len() == 4 => Some(Order::MonthFirst),
        _ => None,
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token<'a> {
    Number(&'a str),
    Word(&'a str),
    Mark(char),
}

/// A text's numbers, words and marks; space does not count.
fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = |of: fn(char) -> bool| rest.find(|c| !of(c)).unwrap_or(rest.len());
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

/// Hour, minute and, if it is there, second.
type Clock = (u32, u32, Option<u32>);

/// The tokens of a date, and the time of day that stands behind it. A time of day with an offset is left out: only ISO
/// says what is meant.
fn with_clock<'a>(all: &[Token<'a>]) -> (Vec<Token<'a>>, Option<Clock>) {
    use Token::{Mark, Number, Word};
    let begins = |w: &[Token<'_>]| matches!(w, [Number(h), Mark(':'), Number(m)] if h.len() <= 2 && m.len() == 2);
    let Some(at) = all.windows(3).position(begins) else { return (all.to_vec(), None) };
    let (Number(hour), Number(minute)) = (all[at], all[at + 2]) else { return (all.to_vec(), None) };
    let mut rest = &all[at + 3..];
    let mut second = None;
    if let [Mark(':'), Number(found), ..] = rest {
        (second, rest) = (small(found), &rest[2..]);
        if let [Mark('.' | ','), Number(_), ..] = rest {
            rest = &rest[2..];
        }
    }
    let words: String =
        rest.iter().filter_map(|token| if let Word(word) = token { Some(*word) } else { None }).collect();
    let half = match &*words.to_lowercase() {
        "" | "z" | "utc" | "gmt" | "uhr" => None,
        "am" => Some(0),
        "pm" => Some(12),
        _ => return (all[..at].to_vec(), None),
    };
    let offset = rest.iter().any(|token| matches!(token, Number(_) | Mark('+' | '-')));
    let clock = small(hour)
        .zip(small(minute))
        .map(|(hour, minute)| (half.map_or(hour, |half| hour % 12 + half), minute, second));
    // `T` between date and time.
    let end = at - usize::from(at > 0 && matches!(all[at - 1], Word("T") | Mark(',')));
    (all[..end].to_vec(), clock.filter(|_| !offset))
}

fn small(number: &str) -> Option<u32> {
    if number.len() <= 2 { number.parse().ok() } else { None }
}

fn year(number: &str) -> Option<i32> {
    if number.len() == 4 { number.parse().ok().filter(|year| *year > 0) } else { None }
}

fn day(year: i32, month: u32, day: u32) -> Option<(NaiveDate, Precision)> {
    Some((NaiveDate::from_ymd_opt(year, month, day)?, Precision::Day))
}

fn start(year: i32, precision: Precision) -> Option<(NaiveDate, Precision)> {
    Some((NaiveDate::from_ymd_opt(year.max(1), 1, 1)?, precision))
}

/// Three numbers: a day.
fn triple(date: &[Token<'_>], order: Option<Order>) -> Option<(NaiveDate, Precision)> {
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
        return day(year, small(b)?, small(c)?);
    }
    let (a, b, year) = (small(a)?, small(b)?, year(c)?);
    let order = match (mark, order) {
        _ if a > 12 || a == b => Order::DayFirst,
        _ if b > 12 => Order::MonthFirst,
        ('.', _) => Order::DayFirst,
        (_, Some(order)) => order,
        (_, None) => return start(year, Precision::Year),
    };
    match order {
        Order::DayFirst => day(year, b, a),
        Order::MonthFirst => day(year, a, b),
    }
}

/// A year and the number of a month.
fn pair(date: &[Token<'_>]) -> Option<(NaiveDate, Precision)> {
    let [Token::Number(a), Token::Mark('-' | '/' | '.' | ':'), Token::Number(b)] = *date else { return None };
    let (year, month) = year(a).zip(small(b)).or_else(|| year(b).zip(small(a)))?;
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

/// The month whose name begins so.
fn month(word: &str) -> Option<u32> {
    let word = word.to_lowercase();
    let is = |names: &str| word.chars().count() >= 3 && names.split(' ').any(|name| name.starts_with(&word));
    (1..).zip(MONTHS).find(|(_, names)| is(names)).map(|(number, _)| number)
}

/// A month by its name, with a year and perhaps a day.
fn named(date: &[Token<'_>]) -> Option<(NaiveDate, Precision)> {
    let month = date.iter().find_map(|token| if let Token::Word(word) = token { month(word) } else { None })?;
    let numbers =
        || date.iter().filter_map(|token| if let Token::Number(number) = token { Some(*number) } else { None });
    let year = numbers().find_map(year)?;
    let mut days = numbers().filter_map(small);
    match (days.next(), days.next()) {
        (Some(number), None) => day(year, month, number),
        _ => Some((NaiveDate::from_ymd_opt(year, month, 1)?, Precision::Month)),
    }
}

/// A year, decade or century among whatever else.
fn loose(date: &[Token<'_>]) -> Option<(NaiveDate, Precision)> {
    use Token::{Mark, Number, Word};
    // A day that no calendar has is a mistake, not a year.
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
        let open = |mark: &Token<'_>| match mark {
            Mark(mark) => matches!(mark, '-' | '?' | '_'),
            Word(word) => lower(word).chars().all(|c| c == 'x'),
            Number(_) => false,
        };
        let value: i32 = number.parse().ok()?;
        let century = |word: &str| ["cent", "jh", "jahrh"].iter().any(|name| lower(word).starts_with(name));
        match (number.len(), rest) {
            (4, _) if value > 0 && decade && value % 10 == 0 => return start(value, Precision::Decade),
            (4, _) if value > 0 => return start(value, Precision::Year),
            (3, [mark, ..]) if open(mark) => return start(value * 10, Precision::Decade),
            (2, [Mark('-' | '?' | '_'), mark, ..]) if open(mark) => return start(value * 100, Precision::Century),
            (2, [Word(word), ..]) if lower(word) == "xx" => return start(value * 100, Precision::Century),
            (1 | 2, [Word(_) | Mark('.'), Word(word), ..] | [Word(word), ..]) if century(word) => {
                return start((value - 1) * 100, Precision::Century);
            }
            _ => {}
        }
    }
    None
}

/// What a mere number means by its length: a year, a month, a day, or the time since 1970. What would lie near 1970 is
/// something else.
fn number(text: &str) -> Option<(Time, Precision)> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !fraction.bytes().all(|b| b == b'0') && !(9..=11).contains(&whole.len()) {
        // `07.2024`
        return pair(&tokens(text)).map(|(day, precision)| (Time::start_of(day), precision));
    }
    let part = |from: usize, to: usize| whole[from..to].parse::<u32>().ok();
    let at_day = |(day, precision)| (Time::start_of(day), precision);
    let count = || whole.parse::<i64>().ok();
    let micros = match whole.len() {
        4 => return start(year(whole)?, Precision::Year).map(at_day),
        6 => return Some(at_day((NaiveDate::from_ymd_opt(year(&whole[..4])?, part(4, 6)?, 1)?, Precision::Month))),
        8 => return day(year(&whole[..4])?, part(4, 6)?, part(6, 8)?).map(at_day),
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

    fn said(text: &str) -> String {
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
            assert_eq!(said(text), expected, "{text}");
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
            assert_eq!(said(text), "", "{text}");
        }
    }

    #[test]
    fn one_date_of_a_column_tells_the_order_of_the_others() {
        assert_eq!(order("07/14/2024"), Some(Order::MonthFirst));
        assert_eq!(order("14-07-2024 18:30"), Some(Order::DayFirst));
        assert_eq!((order("07/08/2024"), order("14.07.2024"), order("2024-07-14")), (None, None, None));
        let read = |order| read("07/08/2024", Some(order)).unwrap().0;
        assert!(read(Order::MonthFirst) < read(Order::DayFirst));
    }
}
