//! The capture date in a file name, as cameras and programs write it: `IMG_20190721_230630`,
//! `Screenshot_2024-05-06-07-08-09`.
//!
//! Eight digits alone are not taken as a date. A day counts only if a time follows it, if it is written as WhatsApp
//! writes it, or if the name begins with it in the form `2024-05-06`.

use chrono::{FixedOffset, NaiveDate, NaiveDateTime, NaiveTime};

use crate::artifact::{CaptureDate, DateProvider};
use crate::photo::{Clock, TextScanner};

/// Cameras write at most this many bytes before a date. If a name has more, it has no date.
const MAX_PREFIX_BYTES: usize = 40;
/// At most this many bytes may be between a day and its time, as in `2024-05-06 at 07.08.09`.
const MAX_GAP_BYTES: usize = 12;

/// When the picture with this name was taken, according to the name.
pub fn filename_date(name: &str) -> Option<CaptureDate> {
    let digits = name.find(|c: char| c.is_ascii_digit())?;
    let (before, rest) = name.split_at(digits);
    let burst_time = name.split_once("_BURST").and_then(|(_, rest)| compact(rest));
    let clock = if burst_time.is_some() {
        burst_time
    } else if let Some((_, rest)) = name.split_once('@').filter(|_| before == "photo_") {
        telegram(rest)
    } else if before.len() > MAX_PREFIX_BYTES || !before.chars().all(|c| c.is_alphabetic() || " _-'’".contains(c)) {
        None
    } else {
        compact(rest).or_else(|| spelled(rest, before.is_empty()))
    };
    // Google's camera writes UTC, all others write local time.
    let offset = FixedOffset::east_opt(0).filter(|_| before == "PXL_");
    Clock::new(clock?, offset).map(|clock| CaptureDate::from_clock(DateProvider::Name, clock))
}

/// `20190721_230630`, optionally with milliseconds; or WhatsApp's `20240214-WA0007`, which has no time of day.
fn compact(text: &str) -> Option<NaiveDateTime> {
    let mut reader = TextScanner(text.as_bytes());
    let day = day(reader.number(4)?, reader.number(2)?, reader.number(2)?)?;
    if reader.0.strip_prefix(b"-WA").is_some_and(|rest| rest.first().is_some_and(u8::is_ascii_digit)) {
        return Some(day.and_time(NaiveTime::MIN));
    }
    reader.one_of(b"_- ");
    let time = NaiveTime::from_hms_opt(reader.number(2)?, reader.number(2)?, reader.number(2)?)?;
    let mut after_seconds = reader;
    match after_seconds.skip(|b| b.is_ascii_digit()) {
        0 => Some(day.and_time(time)),
        3 => day.and_time(time).checked_add_signed(chrono::TimeDelta::milliseconds(reader.number(3)?.into())),
        _ => None,
    }
}

/// `2024-05-06 at 07.08.09`, also with a time without separators. If `begins_name`, the text is at the beginning
/// of the name, and then the day alone is enough.
fn spelled(text: &str, begins_name: bool) -> Option<NaiveDateTime> {
    let mut reader = TextScanner(text.as_bytes());
    let year = reader.number(4)?;
    let separator = reader.one_of(b"-._")?;
    let month = reader.number(2)?;
    reader.one_of(&[separator])?;
    let day = day(year, month, reader.number(2)?)?;
    let day_suffices = begins_name && separator == b'-' && reader.0.first().is_none_or(|b| b" _.,(".contains(b));
    time(reader).or(day_suffices.then_some(NaiveTime::MIN)).map(|time| day.and_time(time))
}

fn time(mut reader: TextScanner<'_>) -> Option<NaiveTime> {
    let gap = reader.one_of(b" _-T")?;
    let has_word = gap == b' ' && !reader.0.first()?.is_ascii_digit();
    if has_word && (reader.skip(|b| !b.is_ascii_digit()) > MAX_GAP_BYTES) {
        return None;
    }
    // The hour may have one digit if a separator follows it.
    let single_digit = reader.0.get(1).is_some_and(|b| !b.is_ascii_digit());
    let hour = reader.number(if single_digit { 1 } else { 2 })?;
    let separator = reader.one_of(b"-._:");
    let minute = reader.number(2)?;
    match separator {
        Some(separator) => _ = reader.one_of(&[separator])?,
        None if single_digit => return None,
        None => {}
    }
    let second = reader.number(2)?;
    if reader.0.first().is_some_and(u8::is_ascii_digit) {
        return None;
    }
    let am_or_pm = std::str::from_utf8(reader.0).unwrap_or_default().trim_start().get(..2).unwrap_or_default();
    let hour = match (am_or_pm.to_ascii_uppercase().as_str(), hour) {
        ("AM", 1..=12) => hour % 12,
        ("PM", 1..=12) => hour % 12 + 12,
        _ => hour,
    };
    NaiveTime::from_hms_opt(hour, minute, second)
}

/// Telegram's exports: `06-05-2024_07-08-09`.
fn telegram(text: &str) -> Option<NaiveDateTime> {
    let mut reader = TextScanner(text.as_bytes());
    let day_of_month = reader.number(2)?;
    reader.one_of(b"-")?;
    let month = reader.number(2)?;
    reader.one_of(b"-")?;
    let day = day(reader.number(4)?, month, day_of_month)?;
    time(reader).map(|time| day.and_time(time))
}

/// A day from 1990 on. Earlier years are more likely to be other numbers.
fn day(year: u32, month: u32, day: u32) -> Option<NaiveDate> {
    NaiveDate::from_ymd_opt(year as i32, month, day).filter(|_| year >= 1990)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cameras_and_programs_put_the_time_into_names() {
        let day = |day: &str| format!("{day}T00:00:00Z");
        for (name, time) in [
            ("IMG_20190721_230630.jpg", "2019-07-21T23:06:30Z".to_owned()),
            ("IMG20190721230630.jpg", "2019-07-21T23:06:30Z".into()),
            ("VID_20190721_230630_HDR.mp4", "2019-07-21T23:06:30Z".into()),
            ("DSC_20190721_230630.JPG", "2019-07-21T23:06:30Z".into()),
            ("20190721_230630(0).jpg", "2019-07-21T23:06:30Z".into()),
            ("20190721_230630~2.jpg", "2019-07-21T23:06:30Z".into()),
            ("00000IMG_00000_BURST20190721230630123_COVER.jpg", "2019-07-21T23:06:30.123Z".into()),
            ("PXL_20210101_123456789.MP.jpg", "2021-01-01T12:34:56.789Z".into()),
            ("IMG-20240214-WA0007.jpg", day("2024-02-14")),
            ("Screenshot_2024-05-06-07-08-09.png", "2024-05-06T07:08:09Z".into()),
            ("Screenshot_2024-05-06-07-08-09-123_com.app.jpg", "2024-05-06T07:08:09Z".into()),
            ("Screenshot_20240506-070809.png", "2024-05-06T07:08:09Z".into()),
            ("Screenshot_20240506_070809_Chrome.jpg", "2024-05-06T07:08:09Z".into()),
            ("Screenshot 2024-05-06 at 07.08.09.png", "2024-05-06T07:08:09Z".into()),
            ("Screen Shot 2024-05-06 at 7.08.09\u{202f}PM (2).png", "2024-05-06T19:08:09Z".into()),
            ("Bildschirmfoto 2024-05-06 um 07.08.09.png", "2024-05-06T07:08:09Z".into()),
            ("Capture d’écran 2024-05-06 à 07.08.09.png", "2024-05-06T07:08:09Z".into()),
            ("IMG_20190721_230630_BURST001.jpg", "2019-07-21T23:06:30Z".into()),
            ("Screenshot 2024-05-06 070809.png", "2024-05-06T07:08:09Z".into()),
            ("Screenshot from 2024-05-06 07-08-09.png", "2024-05-06T07:08:09Z".into()),
            ("WhatsApp Image 2024-02-14 at 12.30.05 AM.jpeg", "2024-02-14T00:30:05Z".into()),
            ("2019-07-21 23.06.30.jpg", "2019-07-21T23:06:30Z".into()),
            ("2019-07-21T23:06:30.jpg", "2019-07-21T23:06:30Z".into()),
            ("2019_07_21_23_06_30.jpg", "2019-07-21T23:06:30Z".into()),
            ("signal-2024-05-06-070809.jpg", "2024-05-06T07:08:09Z".into()),
            ("signal-2024-05-06-07-08-09-123.jpg", "2024-05-06T07:08:09Z".into()),
            ("photo_2024-05-06_07-08-09 (2).jpg", "2024-05-06T07:08:09Z".into()),
            ("photo_17@06-05-2024_07-08-09.jpg", "2024-05-06T07:08:09Z".into()),
            ("2024-05-06.jpg", day("2024-05-06")),
            ("2024-05-06 Beach 003.jpg", day("2024-05-06")),
        ] {
            let taken = filename_date(name).map(|taken| taken.at);
            assert_eq!(taken, time.parse().ok(), "{name}");
        }
        let from = |name| filename_date(name).unwrap().from.to_string();
        assert_eq!(
            (from("PXL_20210101_123456789.jpg"), from("IMG_20210101_123456.jpg")),
            ("name-utc".into(), "name".into())
        );
    }

    #[test]
    fn other_digits_are_no_dates() {
        for name in [
            "",
            "IMG_0001.JPG",
            "DSC_0001.JPG",
            "20240506.jpg",
            "IMG_20240506.jpg",
            "scan 20240506 3.jpg",
            "P1000123.JPG",
            "12345678_123456.jpg",
            "IMG_20241306_070809.jpg",
            "IMG_20240506_250809.jpg",
            "20240506_0708091234_n.jpg",
            "26805123_10155938471234567_n.jpg",
            "IMG_20240506_0708.jpg",
            "IMG_19010101_070809.jpg",
            "IMG-20240214-WAX.jpg",
            "20240214-W.jpg",
            "part 2024-05-06.jpg",
            "2024-05-06-1.jpg",
            "2024-13-06.jpg",
            "1234-56-78.jpg",
            "photo_1@2024-05-06_07-08-09.jpg",
            "FB_IMG_1520000000000.jpg",
            "2099-05-06.jpg",
            "IMG_20240506_070809123456.jpg",
        ] {
            assert_eq!(filename_date(name), None, "{name}");
        }
    }
}
