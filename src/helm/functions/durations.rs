//! Go's `time.Duration`: nanoseconds in an int64, read and printed in Go's way.

use crate::quote::quote_for_time;

const MICROSECOND: u64 = 1000;
const MILLISECOND: u64 = 1000 * MICROSECOND;
const SECOND: u64 = 1000 * MILLISECOND;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
/// The size of int64's negative side: the largest amount a negative duration can have.
const LIMIT: u64 = 1 << 63;

/// A text is no duration; the text of the error is that of `time.ParseDuration`.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("time: {0}")]
pub struct DurationError(String);

/// Reads a duration such as `1h2m3.5s`, in nanoseconds.
pub fn parse(text: &[u8]) -> Result<i64, DurationError> {
    let invalid = || DurationError(format!("invalid duration {}", quote_for_time(text)));
    let (negative, mut rest) = match text.first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    if rest == b"0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total: u64 = 0;
    while let Some(first) = rest.first() {
        if *first != b'.' && !first.is_ascii_digit() {
            return Err(invalid());
        }
        let before = rest.len();
        let (whole, next) = leading_int(rest).ok_or_else(invalid)?;
        let mut any_digit = next.len() != before;
        rest = next;
        let (mut fraction, mut scale) = (0, 1.0);
        if rest.first() == Some(&b'.') {
            rest = &rest[1..];
            let before = rest.len();
            (fraction, scale, rest) = leading_fraction(rest);
            any_digit |= rest.len() != before;
        }
        if !any_digit {
            return Err(invalid());
        }
        let len = rest.iter().take_while(|c| **c != b'.' && !c.is_ascii_digit()).count();
        if len == 0 {
            return Err(DurationError(format!("missing unit in duration {}", quote_for_time(text))));
        }
        let Some(unit) = unit(&rest[..len]) else {
            let named = quote_for_time(&rest[..len]);
            return Err(DurationError(format!("unknown unit {named} in duration {}", quote_for_time(text))));
        };
        rest = &rest[len..];
        let mut amount = whole.checked_mul(unit).filter(|a| *a <= LIMIT).ok_or_else(invalid)?;
        if fraction > 0 {
            // The order of these float operations decides the last nanosecond.
            amount += (fraction as f64 * (unit as f64 / scale)) as u64;
        }
        total = total.checked_add(amount).filter(|t| *t <= LIMIT).ok_or_else(invalid)?;
    }
    if negative {
        return Ok((total as i64).wrapping_neg());
    }
    i64::try_from(total).map_err(|_| invalid())
}

fn unit(name: &[u8]) -> Option<u64> {
    Some(match name {
        b"ns" => 1,
        b"us" => MICROSECOND,
        // The micro sign and the Greek letter.
        [0xc2, 0xb5, b's'] | [0xce, 0xbc, b's'] => MICROSECOND,
        b"ms" => MILLISECOND,
        b"s" => SECOND,
        b"m" => MINUTE,
        b"h" => HOUR,
        _ => return None,
    })
}

/// Reads leading digits up to 2^63; `None` beyond.
pub(super) fn leading_int(text: &[u8]) -> Option<(u64, &[u8])> {
    let digits = text.iter().take_while(|c| c.is_ascii_digit()).count();
    let mut number: u64 = 0;
    for digit in &text[..digits] {
        if number > LIMIT / 10 {
            return None;
        }
        number = number * 10 + u64::from(digit - b'0');
        if number > LIMIT {
            return None;
        }
    }
    Some((number, &text[digits..]))
}

/// Reads digits after a point: their number, the power of ten they are of, the rest. Digits too many are dropped.
fn leading_fraction(text: &[u8]) -> (u64, f64, &[u8]) {
    let digits = text.iter().take_while(|c| c.is_ascii_digit()).count();
    let (mut number, mut scale): (u64, f64) = (0, 1.0);
    for digit in &text[..digits] {
        if number > (LIMIT - 1) / 10 {
            break;
        }
        let next = number * 10 + u64::from(digit - b'0');
        if next > LIMIT {
            break;
        }
        number = next;
        scale *= 10.0;
    }
    (number, scale, &text[digits..])
}

/// Prints a duration as `Duration.String`: `1h30m0s`, `1.5ms`, `0s`.
pub fn display(nanos: i64) -> String {
    let amount = nanos.unsigned_abs();
    let sign = if nanos < 0 { "-" } else { "" };
    if amount == 0 {
        return "0s".into();
    }
    if amount < SECOND {
        let (unit, name) = match amount {
            0..MICROSECOND => (1, "ns"),
            MICROSECOND..MILLISECOND => (MICROSECOND, "µs"),
            _ => (MILLISECOND, "ms"),
        };
        return format!("{sign}{}{name}", with_fraction(amount, unit));
    }
    let seconds = with_fraction(amount % MINUTE, SECOND);
    match (amount / HOUR, amount / MINUTE % 60) {
        (0, 0) => format!("{sign}{seconds}s"),
        (0, minutes) => format!("{sign}{minutes}m{seconds}s"),
        (hours, minutes) => format!("{sign}{hours}h{minutes}m{seconds}s"),
    }
}

/// Prints an amount in units, with no trailing zeros after the point.
fn with_fraction(amount: u64, unit: u64) -> String {
    let (whole, part) = (amount / unit, amount % unit);
    if part == 0 {
        return whole.to_string();
    }
    let width = unit.ilog10() as usize;
    let digits = format!("{part:0width$}");
    format!("{whole}.{}", digits.trim_end_matches('0'))
}

/// Cuts to a multiple of `unit` towards zero; a unit of zero or less changes nothing.
pub fn truncate(nanos: i64, unit: i64) -> i64 {
    if unit <= 0 { nanos } else { nanos - nanos % unit }
}

/// Rounds to the nearest multiple of `unit`, halves away from zero, held at int64's ends.
pub fn round(nanos: i64, unit: i64) -> i64 {
    if unit <= 0 {
        return nanos;
    }
    let rest = nanos % unit;
    let (distance, unit) = (u128::from(rest.unsigned_abs()), i128::from(unit));
    let down = i128::from(nanos) - i128::from(rest);
    let rounded = match (nanos < 0, distance * 2 < unit as u128) {
        (_, true) => down,
        (true, false) => down - unit,
        (false, false) => down + unit,
    };
    rounded.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64
}

/// Returns seconds with their fraction, as `Duration.Seconds` computes them.
pub fn seconds(nanos: i64) -> f64 {
    in_units(nanos, SECOND as i64)
}

/// Returns minutes with their fraction.
pub fn minutes(nanos: i64) -> f64 {
    in_units(nanos, MINUTE as i64)
}

/// Returns hours with their fraction.
pub fn hours(nanos: i64) -> f64 {
    in_units(nanos, HOUR as i64)
}

// Whole and part are divided apart, as Go does: one division would round otherwise.
fn in_units(nanos: i64, unit: i64) -> f64 {
    (nanos / unit) as f64 + (nanos % unit) as f64 / unit as f64
}

/// Prints a duration in its largest whole unit, as sprig's `durationRound`: `2h`, `3d`, `1mo`.
pub fn coarse(nanos: i64) -> String {
    const DAY: u64 = 24 * HOUR;
    let amount = nanos.unsigned_abs();
    for (unit, name) in [(365 * DAY, "y"), (30 * DAY, "mo"), (DAY, "d"), (HOUR, "h"), (MINUTE, "m"), (SECOND, "s")] {
        // An amount of exactly one unit is told in the next smaller one.
        if amount > unit {
            return format!("{}{name}", amount / unit);
        }
    }
    "0s".into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_printed() {
        for (text, want) in [
            ("1h30m", "1h30m0s"),
            ("1.5h", "1h30m0s"),
            ("-1.5s", "-1.5s"),
            ("1us", "1µs"),
            ("1µs", "1µs"),
            (".5ms", "500µs"),
            ("1h1m1.5s", "1h1m1.5s"),
            ("0", "0s"),
            ("+5s", "5s"),
            ("-9223372036854775808ns", "-2562047h47m16.854775808s"),
        ] {
            assert_eq!(parse(text.as_bytes()).map(display).as_deref(), Ok(want));
        }
    }

    #[test]
    fn what_is_no_duration_is_told_as_go_tells_it() {
        for (text, want) in [
            ("", r#"time: invalid duration """#),
            ("bad", r#"time: invalid duration "bad""#),
            ("1d", r#"time: unknown unit "d" in duration "1d""#),
            ("5", r#"time: missing unit in duration "5""#),
            ("9223372036854775808ns", r#"time: invalid duration "9223372036854775808ns""#),
            (".s", r#"time: invalid duration ".s""#),
            ("1é", r#"time: unknown unit "\xc3\xa9" in duration "1\xc3\xa9""#),
        ] {
            assert_eq!(parse(text.as_bytes()).map_err(|e| e.to_string()), Err(want.to_owned()));
        }
    }

    #[test]
    fn rounding_goes_away_from_zero_at_halves() {
        for (nanos, unit, want) in
            [(15, 10, 20), (-15, 10, -20), (14, 10, 10), (7, 0, 7), (i64::MAX, i64::MAX - 1, i64::MAX - 1)]
        {
            assert_eq!(round(nanos, unit), want);
        }
        assert_eq!(truncate(-90, 60), -60);
    }

    #[test]
    fn one_whole_unit_is_told_in_the_smaller() {
        assert_eq!(coarse(HOUR as i64), "60m");
        assert_eq!(coarse(HOUR as i64 + 1), "1h");
        assert_eq!(coarse(SECOND as i64), "0s");
    }
}
