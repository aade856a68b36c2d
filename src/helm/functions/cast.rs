//! spf13/cast's conversions to numbers, which sprig's arithmetic stands on: what cannot be converted is 0.

use super::strconv::{parse_float, parse_int};
use crate::value::{Kind, Value};

/// Converts to an int64: a text may have Go's base prefixes, a float loses its fraction.
pub fn to_int64(value: &Value) -> i64 {
    match value {
        Value::Int(i) | Value::Int64(i) => *i,
        Value::Uint8(u) => i64::from(*u),
        Value::Uint64(u) => *u as i64,
        Value::Float(f) => truncated(*f),
        Value::Str(s) => parse_int(without_zero_decimals(s), 0).unwrap_or(0),
        Value::Bool(b) => i64::from(*b),
        _ => enumerated(value).unwrap_or(0),
    }
}

/// Converts to a float64.
#[allow(clippy::cast_lossless, reason = "one shape for all numbers")]
pub fn to_float64(value: &Value) -> f64 {
    match value {
        Value::Int(i) | Value::Int64(i) => *i as f64,
        Value::Uint8(u) => *u as f64,
        Value::Uint64(u) => *u as f64,
        Value::Float(f) => *f,
        Value::Str(s) => parse_float(s).unwrap_or(0.0),
        Value::Bool(b) => f64::from(*b),
        _ => enumerated(value).unwrap_or(0) as f64,
    }
}

/// Of the named integer types, cast knows `time.Month` and `time.Weekday`.
fn enumerated(value: &Value) -> Option<i64> {
    let Value::Obj(object) = value else { return None };
    match object.underlying() {
        Some(Value::Int(i)) if object.kind() == Kind::Int => Some(i),
        _ => None,
    }
}

/// Converts as amd64 does: what does not fit, and NaN, is the smallest int64.
pub fn truncated(f: f64) -> i64 {
    if (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&f) { f as i64 } else { i64::MIN }
}

/// Cuts `.0`, `.00`, ... off the end; other decimals stay, and make the text no integer.
fn without_zero_decimals(text: &[u8]) -> &[u8] {
    let zeros = text.iter().rev().take_while(|c| **c == b'0').count();
    match text.len().checked_sub(zeros + 1) {
        Some(point) if zeros > 0 && text[point] == b'.' => &text[..point],
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_convert_by_gos_integer_syntax() {
        for (text, want) in [
            ("010", 8),
            ("1.9", 0),
            ("12abc", 0),
            ("7.00", 7),
            ("7.0.0", 0),
            (".0", 0),
            ("0x1F", 31),
            ("1_000", 1000),
            (" 1", 0),
            ("99999999999999999999", 0),
        ] {
            assert_eq!(to_int64(&Value::from(text)), want, "{text}");
        }
    }

    #[test]
    fn floats_beyond_int64_become_its_smallest() {
        for f in [1e19, -1e19, f64::NAN, f64::INFINITY] {
            assert_eq!(to_int64(&Value::Float(f)), i64::MIN);
        }
        assert_eq!(to_int64(&Value::Float(-1.9)), -1);
    }
}
