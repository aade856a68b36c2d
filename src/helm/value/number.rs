//! Go's `strconv.FormatFloat`.

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
        (FloatFormat::Fixed, None) => write_to(out, format_args!("{value}")),
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
        let text = match fraction {
            Some(fraction) => format!("{value:.fraction$e}"),
            None => format!("{value:e}"),
        };
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
