//! Go's `strconv` for numbers.

use std::io::Write;

/// The form of a formatted float.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FloatFormat {
    /// `-d.dddde±dd`
    Exponent,
    /// `-ddd.dddd`
    Fixed,
    /// The shorter of both by the size of the exponent.
    General,
}

/// Appends a float as `%v` prints it: `%g` with the fewest digits that read back as the same number.
pub fn format_g(out: &mut Vec<u8>, value: f64) {
    format_float(out, value, FloatFormat::General, None);
}

/// Appends a float as `strconv.AppendFloat(.., 64)` does; `precision` of `None` is Go's -1.
pub fn format_float(out: &mut Vec<u8>, value: f64, format: FloatFormat, precision: Option<usize>) {
    if value.is_nan() {
        return out.extend_from_slice(b"NaN");
    }
    if value.is_infinite() {
        return out.extend_from_slice(if value > 0.0 { b"+Inf" } else { b"-Inf" });
    }
    if value.is_sign_negative() {
        out.push(b'-');
    }
    let value = value.abs();
    match (format, precision) {
        (FloatFormat::Fixed, Some(precision)) => write_to(out, format_args!("{value:.precision$}")),
        (FloatFormat::Fixed, None) => {
            let decimal = Decimal::of(value, None);
            fixed(out, &decimal.digits, decimal.exponent + 1);
        }
        (FloatFormat::Exponent, precision) => exponent(out, &Decimal::of(value, precision)),
        (FloatFormat::General, precision) => {
            let decimal = Decimal::of(value, precision.map(|p| p.max(1) - 1));
            general(out, &decimal, precision);
        }
    }
}

fn write_to(out: &mut Vec<u8>, args: std::fmt::Arguments<'_>) {
    // Writing into a Vec cannot fail.
    let _ = out.write_fmt(args);
}

/// A number in scientific form: the digits without the point, and the exponent of the first.
struct Decimal {
    digits: Vec<u8>,
    exponent: i32,
}

impl Decimal {
    /// Takes the digits of a positive number, the fewest that identify it or `fraction` after the first.
    fn of(value: f64, fraction: Option<usize>) -> Self {
        let Some(fraction) = fraction else {
            let (digits, exponent) = crate::json::shortest_digits(value);
            return Self { digits: digits.into_bytes(), exponent };
        };
        let text = format!("{value:.fraction$e}");
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        Self {
            digits: mantissa.bytes().filter(u8::is_ascii_digit).collect(),
            exponent: exponent.parse().unwrap_or_default(),
        }
    }
}

fn exponent(out: &mut Vec<u8>, decimal: &Decimal) {
    let (first, rest) = decimal.digits.split_at(1);
    out.extend_from_slice(first);
    if !rest.is_empty() {
        out.push(b'.');
        out.extend_from_slice(rest);
    }
    let sign = if decimal.exponent < 0 { '-' } else { '+' };
    write_to(out, format_args!("e{sign}{:02}", decimal.exponent.abs()));
}

fn general(out: &mut Vec<u8>, decimal: &Decimal, precision: Option<usize>) {
    let digits = decimal.digits.as_slice();
    let used = digits.len() - digits.iter().rev().take_while(|d| **d == b'0').count();
    let point = decimal.exponent + 1;
    // strconv: with a precision larger than the digits, the digits count; the shortest form uses 6.
    let threshold = match precision {
        None => 6_i32,
        Some(precision) => {
            let (precision, used) = (precision.max(1) as i32, used as i32);
            if precision > used && used >= point { used } else { precision }
        }
    };
    if decimal.exponent < -4 || decimal.exponent >= threshold {
        let digits = digits[..used.max(1)].to_vec();
        return exponent(out, &Decimal { digits, exponent: decimal.exponent });
    }
    fixed(out, &digits[..used], point);
}

/// Appends the digits with the decimal point after `point` of them.
fn fixed(out: &mut Vec<u8>, digits: &[u8], point: i32) {
    let whole = usize::try_from(point).unwrap_or(0);
    if whole == 0 {
        out.push(b'0');
    }
    for at in 0..whole {
        out.push(digits.get(at).copied().unwrap_or(b'0'));
    }
    if digits.len() > whole {
        out.push(b'.');
        out.extend(std::iter::repeat_n(b'0', usize::try_from(-point).unwrap_or(0)));
        out.extend_from_slice(&digits[whole..]);
    }
}

/// `strconv.ParseUint(text, 0, 64)`: base by prefix, underscores between digits. `None` for any error.
pub fn parse_uint(text: &[u8]) -> Option<u64> {
    let (radix, digits) = match text {
        [b'0', b'x' | b'X', rest @ ..] if !rest.is_empty() => (16, rest),
        [b'0', b'o' | b'O', rest @ ..] if !rest.is_empty() => (8, rest),
        [b'0', b'b' | b'B', rest @ ..] if !rest.is_empty() => (2, rest),
        [b'0', rest @ ..] if !rest.is_empty() => (8, rest),
        _ => (10, text),
    };
    if digits.is_empty() || !underscores_fit(text) {
        return None;
    }
    let mut n: u64 = 0;
    for byte in digits.iter().filter(|b| **b != b'_') {
        let digit = char::from(*byte).to_digit(radix)?;
        n = n.checked_mul(u64::from(radix))?.checked_add(u64::from(digit))?;
    }
    Some(n)
}

/// `strconv.ParseInt(text, 0, 64)`. `None` for any error.
pub fn parse_int(text: &[u8]) -> Option<i64> {
    match text {
        [b'-', rest @ ..] => 0_i64.checked_sub_unsigned(parse_uint(rest)?),
        [b'+', rest @ ..] | rest => i64::try_from(parse_uint(rest)?).ok(),
    }
}

/// `strconv.ParseFloat(text, 64)`: decimal and hexadecimal, names of infinities, underscores. `None` for any error, an
/// overflow included.
pub fn parse_float(text: &[u8]) -> Option<f64> {
    let (negative, body) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] | rest => (false, rest),
    };
    let sign = if negative { -1.0 } else { 1.0 };
    match body.to_ascii_lowercase().as_slice() {
        b"inf" | b"infinity" => return Some(sign * f64::INFINITY),
        // Go takes a sign before Inf only.
        b"nan" => return (body.len() == text.len()).then_some(f64::NAN),
        _ => {}
    }
    let value = if let [b'0', b'x' | b'X', digits @ ..] = body {
        parse_hex_float(digits, underscores_fit(body))?
    } else {
        let plain = body.iter().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-' | b'_'));
        let digits = body.iter().take_while(|b| !matches!(b, b'e' | b'E')).any(u8::is_ascii_digit);
        if !plain || !digits || matches!(body[0], b'+' | b'-') || !underscores_fit(body) {
            return None;
        }
        std::str::from_utf8(body).ok()?.replace('_', "").parse::<f64>().ok()?
    };
    value.is_finite().then_some(sign * value)
}

/// Reads the digits after `0x`, with the binary exponent that Go requires.
fn parse_hex_float(text: &[u8], underscores: bool) -> Option<f64> {
    let at = text.iter().position(|b| matches!(b, b'p' | b'P'))?;
    let (mantissa, exponent) = (&text[..at], std::str::from_utf8(&text[at + 1..]).ok()?);
    let mut exponent: i32 = exponent.replace('_', "").parse().ok()?;
    let (mut value, mut seen, mut point) = (0_u128, false, false);
    for byte in mantissa {
        match byte {
            b'_' if underscores => {}
            b'.' if !point => point = true,
            _ => {
                let digit = char::from(*byte).to_digit(16)?;
                seen = true;
                if value >> 120 == 0 {
                    value = value << 4 | u128::from(digit);
                    exponent -= if point { 4 } else { 0 };
                } else {
                    // Beyond the precision; a digit here only decides a tie.
                    value |= u128::from(digit != 0);
                    exponent += if point { 0 } else { 4 };
                }
            }
        }
    }
    seen.then(|| scale(value as f64, exponent))
}

/// Multiplies by a power of two without an intermediate overflow.
fn scale(mut value: f64, mut exponent: i32) -> f64 {
    while exponent > 1000 && value != 0.0 && value.is_finite() {
        value *= 2_f64.powi(1000);
        exponent -= 1000;
    }
    while exponent < -1000 && value != 0.0 {
        value *= 2_f64.powi(-1000);
        exponent += 1000;
    }
    value * 2_f64.powi(exponent)
}

/// Go's rule for `_`: only between digits, or between a base prefix and a digit.
fn underscores_fit(text: &[u8]) -> bool {
    let prefixed = matches!(text, [b'0', b'x' | b'X' | b'o' | b'O' | b'b' | b'B', ..]);
    let hex = matches!(text, [b'0', b'x' | b'X', ..]);
    let mut last = if prefixed { b'0' } else { b'^' };
    for byte in &text[if prefixed { 2 } else { 0 }..] {
        let digit = byte.is_ascii_digit() || hex && byte.is_ascii_hexdigit();
        match byte {
            _ if digit => last = b'0',
            b'_' if last != b'0' => return false,
            b'_' => last = b'_',
            _ if last == b'_' => return false,
            _ => last = b'!',
        }
    }
    last != b'_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_print_with_the_fewest_digits() {
        for (value, want) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.5, "1.5"),
            (999_999.0, "999999"),
            (1_000_000.0, "1e+06"),
            (123_456_789.0, "1.23456789e+08"),
            (100_000.0, "100000"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (1e21, "1e+21"),
            (1_234_567.5, "1.2345675e+06"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
            (f64::NAN, "NaN"),
        ] {
            let mut out = Vec::new();
            format_g(&mut out, value);
            assert_eq!(String::from_utf8_lossy(&out), want);
        }
    }

    #[test]
    fn a_precision_rounds_and_general_drops_trailing_zeros() {
        for (format, precision, want) in [
            (FloatFormat::Fixed, Some(2), "1234.57"),
            (FloatFormat::Fixed, None, "1234.5678"),
            (FloatFormat::Exponent, Some(2), "1.23e+03"),
            (FloatFormat::Exponent, None, "1.2345678e+03"),
            (FloatFormat::General, Some(3), "1.23e+03"),
            (FloatFormat::General, Some(6), "1234.57"),
            (FloatFormat::General, Some(20), "1234.5678000000000338"),
        ] {
            let mut out = Vec::new();
            format_float(&mut out, 1234.5678, format, precision);
            assert_eq!(String::from_utf8_lossy(&out), want, "{format:?} {precision:?}");
        }
    }

    #[test]
    fn integers_are_read_by_their_prefix() {
        for (text, want) in [
            ("0", Some(0)),
            ("-0", Some(0)),
            ("0x1F", Some(31)),
            ("010", Some(8)),
            ("0b11", Some(3)),
            ("1_000", Some(1000)),
            ("1__0", None),
            ("0x", None),
            ("089", None),
            ("9223372036854775808", None),
            ("-9223372036854775808", Some(i64::MIN)),
            ("", None),
        ] {
            assert_eq!(parse_int(text.as_bytes()), want, "{text}");
        }
    }

    #[test]
    fn floats_are_read_in_decimal_and_hexadecimal() {
        for (text, want) in [
            ("1.5", Some(1.5)),
            (".5", Some(0.5)),
            ("1.", Some(1.0)),
            ("0x1p-2", Some(0.25)),
            ("0x1.8p1", Some(3.0)),
            ("0x1", None),
            ("1e1000", None),
            (".", None),
            ("1_0.5_0", Some(10.5)),
            ("1__0.5", None),
            ("1e", None),
        ] {
            assert_eq!(parse_float(text.as_bytes()), want, "{text}");
        }
    }
}
