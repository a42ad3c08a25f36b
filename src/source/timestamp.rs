//! Times as exports write them: numbers or texts, in seconds or in smaller units. An invalid time counts as missing.

use serde_json::Value;
use serde_json::value::RawValue;

use crate::artifact::Time;

/// The time in a JSON value; `None` if there is none. 0 and -1 count as none, because programs write them if they know
/// no time.
pub(super) fn of_json(value: Option<&RawValue>) -> Option<Time> {
    of_value(&serde_json::from_str(value?.get()).ok()?)
}

/// Like [`of_json`], for a value that has been parsed.
pub(super) fn of_value(value: &Value) -> Option<Time> {
    match value {
        Value::Number(number) => of_number(number.as_f64()?),
        Value::String(text) => of_text(text),
        // `{"timestamp": "1689352200", "formatted": "14 Jul 2023"}`
        Value::Object(fields) => fields.get("timestamp").filter(|value| !value.is_object()).and_then(of_value),
        _ => None,
    }
}

/// The time in a text: a number, or a time in ISO 8601.
pub(super) fn of_text(text: &str) -> Option<Time> {
    let text = text.trim();
    match text.parse() {
        Ok(number) => of_number(number),
        Err(_) => text.parse().ok().filter(|time| is_plausible(*time)),
    }
}

/// The time this many seconds, milliseconds, microseconds or nanoseconds after the beginning of 1970. The unit follows
/// from the magnitude, which is unambiguous up to the year 5138.
fn of_number(number: f64) -> Option<Time> {
    if number == 0.0 || number == -1.0 || !number.is_finite() {
        return None;
    }
    let units = [1.0, 1e3, 1e6, 1e9];
    let seconds = units.into_iter().map(|unit| number / unit).find(|seconds| seconds.abs() < 1e11)?;
    Time::from_seconds(seconds.floor() as i64).ok().filter(|time| is_plausible(*time))
}

/// The oldest photograph is of 1826. Some programs write the year 1 if they know no time.
fn is_plausible(time: Time) -> bool {
    time.seconds() > -4_544_208_000
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(json: &str) -> Option<i64> {
        let raw: Box<RawValue> = serde_json::from_str(json).unwrap();
        of_json(Some(&raw)).map(Time::seconds)
    }

    #[test]
    fn the_magnitude_tells_the_unit() {
        for json in [
            "1750000000",
            "1750000000.0",
            "1.75e9",
            "1750000000000",
            "1750000000000000",
            "1750000000000000000",
            "\"1750000000\"",
            "\" 1750000000.9 \"",
            "\"1750000000000\"",
            "\"2025-06-15T15:06:40Z\"",
            "\"2025-06-15T17:06:40+0200\"",
            "{\"timestamp\": \"1750000000\", \"formatted\": \"15 Jun 2025\"}",
        ] {
            assert_eq!(seconds(json), Some(1_750_000_000), "{json}");
        }
        assert_eq!(seconds("-86400"), Some(-86_400));
        assert_eq!(seconds("-1000000000"), Some(-1_000_000_000));
    }

    #[test]
    fn what_is_no_time_is_none() {
        for json in [
            "0",
            "0.0",
            "-1",
            "\"0\"",
            "\"-1\"",
            "null",
            "\"\"",
            "\"soon\"",
            "[]",
            "{}",
            "true",
            "1e300",
            "\"inf\"",
            "\"nan\"",
            "-62135596800",
            "\"0001-01-01T00:00:00Z\"",
            "{\"timestamp\": []}",
            "1e25",
        ] {
            assert_eq!(seconds(json), None, "{json}");
        }
    }
}
