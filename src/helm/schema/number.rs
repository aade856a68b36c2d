//! Numbers of schemas and values: exact decimals where it matters, and how Go's English printer writes them.

use serde_json::Number;

use crate::value::format_g;

/// A decimal: digits and a power of ten.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Decimal {
    digits: i128,
    exponent: i32,
}

/// The largest power of ten by which digits are widened; beyond it floats decide.
const MAX_SHIFT: u32 = 30;

impl Decimal {
    /// Reads the shortest text of a number.
    fn of(number: &Number) -> Option<Self> {
        let text = number.to_string();
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((&text, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let fraction = fraction.trim_end_matches('0');
        let digits = format!("{whole}{fraction}").parse().ok()?;
        let exponent = exponent.parse::<i32>().ok()?.checked_sub(i32::try_from(fraction.len()).ok()?)?;
        Some(Self { digits, exponent })
    }

    /// Widens both to one exponent.
    fn align(a: Self, b: Self) -> Option<(i128, i128)> {
        let exponent = a.exponent.min(b.exponent);
        let widen = |d: Self| {
            let shift = u32::try_from(d.exponent - exponent).ok().filter(|shift| *shift <= MAX_SHIFT)?;
            d.digits.checked_mul(10_i128.checked_pow(shift)?)
        };
        Some((widen(a)?, widen(b)?))
    }
}

fn float(number: &Number) -> f64 {
    number.as_f64().unwrap_or(f64::NAN)
}

/// Compares two numbers by value.
pub fn compare(a: &Number, b: &Number) -> std::cmp::Ordering {
    let aligned = Decimal::of(a).zip(Decimal::of(b)).and_then(|(a, b)| Decimal::align(a, b));
    match aligned {
        Some((a, b)) => a.cmp(&b),
        None => float(a).total_cmp(&float(b)),
    }
}

/// Says whether a number is a multiple of another one.
pub fn is_multiple(number: &Number, of: &Number) -> bool {
    let aligned = Decimal::of(number).zip(Decimal::of(of)).and_then(|(a, b)| Decimal::align(a, b));
    match aligned {
        Some((a, b)) => b != 0 && a % b == 0,
        None => (float(number) / float(of)).fract() == 0.0,
    }
}

/// Says whether a number has no fraction.
pub fn is_integer(number: &Number) -> bool {
    !number.is_f64() || float(number).fract() == 0.0
}

/// Returns a number without a fraction as a count.
pub fn as_count(number: &Number) -> Option<i64> {
    if !is_integer(number) {
        return None;
    }
    number.as_i64().or_else(|| Some(float(number) as i64))
}

/// Writes a float as the printer does: `70,000`, `1.5`, `1×10²¹`.
pub fn localized(number: &Number) -> String {
    let mut text = Vec::new();
    format_g(&mut text, float(number));
    let text = String::from_utf8_lossy(&text).into_owned();
    if let Some((mantissa, exponent)) = text.split_once('e') {
        return format!("{mantissa}×10{}", superscript(exponent));
    }
    match text.split_once('.') {
        Some((whole, fraction)) => format!("{}.{fraction}", group(whole)),
        None => group(&text),
    }
}

/// Writes a count with commas between thousands.
pub fn localized_count(count: i64) -> String {
    group(&count.to_string())
}

fn group(whole: &str) -> String {
    let (sign, digits) = whole.strip_prefix('-').map_or(("", whole), |digits| ("-", digits));
    let mut out = String::from(sign);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

fn superscript(exponent: &str) -> String {
    let digits = ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'];
    let one = |c: char| match c {
        '-' => Some('⁻'),
        c => c.to_digit(10).map(|digit| digits[digit as usize]),
    };
    exponent.chars().filter_map(one).collect()
}
