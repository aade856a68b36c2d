//! Durations in Go's text form.

use std::{borrow::Cow, fmt, str::FromStr, time::Duration as StdDuration};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The text that the CRDs admit.
pub const PATTERN: &str = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$";

/// The text that the CRDs admit where an hour is too long.
pub const PATTERN_WITHOUT_HOURS: &str = r"^([0-9]+(\.[0-9]+)?(ms|s|m))+$";

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// A duration as Go reads and writes it: `90s` is read, `1m30s` is written.
///
/// A text that is none is kept, so that one malformed field does not keep a list from being decoded.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Duration {
    /// A duration, at most Go's 292 years.
    Valid(StdDuration),
    /// A text that is not a duration.
    Malformed(String),
}

/// A text that is not a duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid duration {0:?}")]
pub struct MalformedDuration(pub String);

impl Duration {
    /// Makes a duration of whole seconds.
    pub const fn from_secs(seconds: u64) -> Self {
        Self::Valid(StdDuration::from_secs(seconds))
    }

    /// Gives the length, or the text that is none.
    pub fn get(&self) -> Result<StdDuration, MalformedDuration> {
        match self {
            Self::Valid(duration) => Ok(*duration),
            Self::Malformed(text) => Err(MalformedDuration(text.clone())),
        }
    }

    /// Gives the length, or `default` where the text is none.
    pub fn get_or(&self, default: StdDuration) -> StdDuration {
        match self {
            Self::Valid(duration) => *duration,
            Self::Malformed(_) => default,
        }
    }
}

impl Default for Duration {
    fn default() -> Self {
        Self::Valid(StdDuration::ZERO)
    }
}

impl From<StdDuration> for Duration {
    fn from(duration: StdDuration) -> Self {
        Self::Valid(duration)
    }
}

impl FromStr for Duration {
    type Err = MalformedDuration;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text).map(Self::Valid).ok_or_else(|| MalformedDuration(text.to_owned()))
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Valid(duration) => f.write_str(&print(*duration)),
            Self::Malformed(text) => f.write_str(text),
        }
    }
}

impl Serialize for Duration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Ok(parse(&text).map_or(Self::Malformed(text), Self::Valid))
    }
}

impl JsonSchema for Duration {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": PATTERN })
    }
}

/// Reads Go's text form without a sign, exactly, up to Go's largest duration.
fn parse(text: &str) -> Option<StdDuration> {
    if text == "0" {
        return Some(StdDuration::ZERO);
    }
    let mut rest = text;
    let mut total: u64 = 0;
    while !rest.is_empty() || text.is_empty() {
        let (whole, after) = split_digits(rest);
        let (fraction, after) = match after.strip_prefix('.') {
            Some(after) => split_digits(after),
            None => ("", after),
        };
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let unit_end = after.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_end);
        let unit = nanoseconds_of(unit)?;
        let whole = if whole.is_empty() { 0 } else { whole.parse::<u64>().ok()? };
        total = total.checked_add(whole.checked_mul(unit)?)?.checked_add(fraction_of(fraction, unit))?;
        if total > i64::MAX as u64 {
            return None;
        }
        rest = after;
    }
    Some(StdDuration::from_nanos(total))
}

fn split_digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

fn nanoseconds_of(unit: &str) -> Option<u64> {
    Some(match unit {
        "ns" => 1,
        "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
        "ms" => 1_000_000,
        "s" => NANOS_PER_SECOND,
        "m" => 60 * NANOS_PER_SECOND,
        "h" => 3600 * NANOS_PER_SECOND,
        _ => return None,
    })
}

/// The nanoseconds of a decimal fraction of a unit. Digits beyond the eighteenth do not count, as in Go.
fn fraction_of(digits: &str, unit: u64) -> u64 {
    let mut value: u128 = 0;
    let mut scale: u128 = 1;
    for digit in digits.bytes().take(18) {
        value = value * 10 + u128::from(digit - b'0');
        scale *= 10;
    }
    u64::try_from(value * u128::from(unit) / scale).unwrap_or(u64::MAX)
}

/// Prints as Go's `Duration.String`: `1h30m0s`, `1.5s`, `15ms`, `0s`.
fn print(duration: StdDuration) -> String {
    let nanos = duration.as_nanos();
    if nanos == 0 {
        return "0s".to_owned();
    }
    if nanos < u128::from(NANOS_PER_SECOND) {
        let (unit, name) = match nanos {
            0..1_000 => (1, "ns"),
            1_000..1_000_000 => (1_000, "\u{b5}s"),
            _ => (1_000_000, "ms"),
        };
        return format!("{}{name}", decimal(nanos, unit));
    }
    let seconds = duration.as_secs();
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    let within_minute = nanos % (60 * u128::from(NANOS_PER_SECOND));
    let seconds = decimal(within_minute, u128::from(NANOS_PER_SECOND));
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, _) => format!("{minutes}m{seconds}s"),
        _ => format!("{hours}h{minutes}m{seconds}s"),
    }
}

/// A quotient as a decimal number without trailing zeros; `unit` is a power of ten.
fn decimal(nanos: u128, unit: u128) -> String {
    let (whole, fraction) = (nanos / unit, nanos % unit);
    if fraction == 0 {
        return whole.to_string();
    }
    let width = unit.ilog10() as usize;
    let digits = format!("{fraction:0width$}");
    format!("{whole}.{}", digits.trim_end_matches('0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_written_as_go_does() {
        let cases = [
            ("0", "0s"),
            ("0s", "0s"),
            ("5m", "5m0s"),
            ("60s", "1m0s"),
            ("90s", "1m30s"),
            ("1.5h", "1h30m0s"),
            ("1h0.5s", "1h0m0.5s"),
            ("100h", "100h0m0s"),
            ("1m1ms", "1m0.001s"),
            ("15.123ms", "15.123ms"),
            (".5s", "500ms"),
            ("1.s", "1s"),
            ("123.4us", "123.4\u{b5}s"),
            ("7ns", "7ns"),
            ("1.234567891s", "1.234567891s"),
            ("1.2345678919s", "1.234567891s"),
            ("10m10m", "20m0s"),
            ("2562047h47m16.854775807s", "2562047h47m16.854775807s"),
        ];
        for (text, printed) in cases {
            let duration: Duration = text.parse().unwrap();
            assert_eq!(duration.to_string(), printed, "{text}");
            assert_eq!(printed.parse::<Duration>().unwrap(), duration, "{printed}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in [
            "",
            "5",
            "s",
            ".",
            ".s",
            "-1s",
            "+1s",
            "5 m",
            "1d",
            "1s1",
            "2562047h47m16.854775808s",
            "99999999999999999999s",
        ] {
            assert_eq!(text.parse::<Duration>(), Err(MalformedDuration(text.to_owned())), "{text}");
        }
    }

    #[test]
    fn a_malformed_duration_is_decoded_and_written_back() {
        let durations: Vec<Duration> = serde_json::from_str(r#"["5m", "soon"]"#).unwrap();
        assert_eq!(durations, [Duration::from_secs(300), Duration::Malformed("soon".into())]);
        assert_eq!(serde_json::to_string(&durations).unwrap(), r#"["5m0s","soon"]"#);
        assert_eq!(durations[1].get().unwrap_err().to_string(), "invalid duration \"soon\"");
        assert_eq!(durations[1].get_or(StdDuration::from_secs(1)), StdDuration::from_secs(1));
    }
}
