//! Integer and float arithmetic on whatever cast makes a number of.

use super::arguments::{int, text};
use super::cast::{to_float64, to_int64};
use super::strconv::{NumberError, parse_int};
use super::{Call, Failure, Function, Type};
use crate::value::{List, ListType, Value};

type Result<T = Value> = std::result::Result<T, Failure>;

/// How many numbers `until`, `untilStep` and `seq` make at most.
pub const MAX_NUMBERS: usize = 1 << 20;

const ANY: Type = Type::Any;
const INT: Type = Type::Int;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("atoi", &[Type::String], atoi),
    Function::new("int", &[ANY], |_, a| Ok(Value::Int(to_int64(&a[0])))),
    Function::new("int64", &[ANY], |_, a| Ok(Value::Int64(to_int64(&a[0])))),
    Function::new("float64", &[ANY], |_, a| Ok(Value::Float(to_float64(&a[0])))),
    Function::new("toDecimal", &[ANY], from_octal),
    Function::variadic("seq", &[], INT, seq),
    Function::new("until", &[INT], until),
    Function::new("untilStep", &[INT, INT, INT], |_, a| Ok(ints(&steps(int(a, 0), int(a, 1), int(a, 2))?))),
    Function::new("add1", &[ANY], |_, a| Ok(Value::Int64(to_int64(&a[0]).wrapping_add(1)))),
    Function::variadic("add", &[], ANY, |_, a| Ok(Value::Int64(a.iter().map(to_int64).fold(0, i64::wrapping_add)))),
    Function::new("sub", &[ANY, ANY], |_, a| Ok(Value::Int64(to_int64(&a[0]).wrapping_sub(to_int64(&a[1]))))),
    Function::new("div", &[ANY, ANY], |_, a| Ok(Value::Int64(to_int64(&a[0]).wrapping_div(divisor(&a[1])?)))),
    Function::new("mod", &[ANY, ANY], |_, a| Ok(Value::Int64(to_int64(&a[0]).wrapping_rem(divisor(&a[1])?)))),
    Function::variadic("mul", &[ANY], ANY, |_, a| Ok(Value::Int64(a.iter().map(to_int64).fold(1, i64::wrapping_mul)))),
    Function::variadic("max", &[ANY], ANY, |_, a| Ok(largest(a))),
    Function::variadic("biggest", &[ANY], ANY, |_, a| Ok(largest(a))),
    Function::variadic("min", &[ANY], ANY, |_, a| Ok(Value::Int64(a.iter().map(to_int64).min().unwrap_or(0)))),
    Function::variadic("maxf", &[ANY], ANY, |_, a| Ok(Value::Float(folded(a, max_float)))),
    Function::variadic("minf", &[ANY], ANY, |_, a| Ok(Value::Float(folded(a, min_float)))),
    Function::new("ceil", &[ANY], |_, a| Ok(Value::Float(to_float64(&a[0]).ceil()))),
    Function::new("floor", &[ANY], |_, a| Ok(Value::Float(to_float64(&a[0]).floor()))),
    Function::variadic("round", &[ANY, INT], Type::Float64, round),
];

/// Reads a decimal integer, or as much of the range as it reaches to; no number is 0.
pub(super) fn decimal(text: &[u8]) -> i64 {
    match parse_int(text, 10) {
        Ok(number) | Err(NumberError::Range(number)) => number,
        Err(NumberError::Syntax) => 0,
    }
}

fn atoi(_: &mut Call<'_>, a: &[Value]) -> Result {
    Ok(Value::Int(decimal(text(a, 0))))
}

/// Reads the value's digits as octal, as file modes are written.
fn from_octal(_: &mut Call<'_>, a: &[Value]) -> Result {
    Ok(Value::Int64(parse_int(&a[0].to_text()?, 8).unwrap_or(0)))
}

fn divisor(value: &Value) -> Result<i64> {
    match to_int64(value) {
        0 => Err(Failure::message("runtime error: integer divide by zero")),
        number => Ok(number),
    }
}

fn largest(a: &[Value]) -> Value {
    Value::Int64(a.iter().map(to_int64).max().unwrap_or(0))
}

fn folded(a: &[Value], choose: fn(f64, f64) -> f64) -> f64 {
    a.iter().map(to_float64).reduce(choose).unwrap_or(0.0)
}

/// Go's `math.Max`: an infinity wins over NaN, which wins over numbers; 0 is larger than -0.
#[allow(clippy::float_cmp, reason = "the rules are about exact values")]
fn max_float(a: f64, b: f64) -> f64 {
    if a == f64::INFINITY || b == f64::INFINITY {
        f64::INFINITY
    } else if a.is_nan() || b.is_nan() {
        f64::NAN
    } else if a == 0.0 && b == 0.0 {
        if a.is_sign_negative() { b } else { a }
    } else if a > b {
        a
    } else {
        b
    }
}

fn min_float(a: f64, b: f64) -> f64 {
    -max_float(-a, -b)
}

/// Counts from `start` towards `stop`, which is left out. A step the wrong way, or of zero, gives nothing.
fn steps(start: i64, stop: i64, step: i64) -> Result<Vec<i64>> {
    let (distance, stride) = if stop < start {
        (start.abs_diff(stop), step.checked_neg().unwrap_or(i64::MAX))
    } else {
        (stop.abs_diff(start), step)
    };
    if stride <= 0 {
        return Ok(Vec::new());
    }
    let count = distance.div_ceil(stride as u64);
    if count > MAX_NUMBERS as u64 {
        return Err(Failure::limit(format!("{count} numbers are more than {MAX_NUMBERS}")));
    }
    Ok((0..count as i64).map(|at| start.wrapping_add(at.wrapping_mul(step))).collect())
}

fn ints(numbers: &[i64]) -> Value {
    let items: Vec<Value> = numbers.iter().map(|number| Value::Int(*number)).collect();
    Value::List(List::new(ListType::Int, items))
}

fn until(_: &mut Call<'_>, a: &[Value]) -> Result {
    let count = int(a, 0);
    Ok(ints(&steps(0, count, if count < 0 { -1 } else { 1 })?))
}

/// Lists numbers as the program `seq` does: the end is part of it.
fn seq(_: &mut Call<'_>, a: &[Value]) -> Result {
    let (start, step, end) = match a.len() {
        1 => (1, None, int(a, 0)),
        2 => (int(a, 0), None, int(a, 1)),
        3 => (int(a, 0), Some(int(a, 1)), int(a, 2)),
        _ => return Ok("".into()),
    };
    let direction = if end < start { -1 } else { 1 };
    if direction < 0 && step.is_some_and(|step| step > 0) {
        return Ok("".into());
    }
    let numbers = steps(start, end.wrapping_add(direction), step.unwrap_or(direction))?;
    let words: Vec<String> = numbers.iter().map(ToString::to_string).collect();
    Ok(words.join(" ").into())
}

fn round(_: &mut Call<'_>, a: &[Value]) -> Result {
    let up_from = a.get(2).map_or(0.5, to_float64);
    let scale = power_of_ten(int(a, 1));
    let scaled = scale * to_float64(&a[0]);
    // The fraction of a negative number is negative: it is always rounded down.
    let rounded = if scaled.fract() >= up_from { scaled.ceil() } else { scaled.floor() };
    Ok(Value::Float(rounded / scale))
}

/// Go's `math.Pow(10, n)`, with its roundings on the way.
fn power_of_ten(n: i64) -> f64 {
    // 10 is 0.625 * 2^4.
    let (mut result, mut result_exponent) = (1.0f64, 0i64);
    let (mut base, mut exponent) = (0.625f64, 4i64);
    let mut bits = n.unsigned_abs();
    while bits != 0 {
        if exponent > 1 << 12 {
            // Out of a float's range, whatever follows.
            return if n > 0 { f64::INFINITY } else { 0.0 };
        }
        if bits & 1 == 1 {
            result *= base;
            result_exponent += exponent;
        }
        base *= base;
        exponent <<= 1;
        if base < 0.5 {
            base += base;
            exponent -= 1;
        }
        bits >>= 1;
    }
    if n < 0 {
        (result, result_exponent) = (1.0 / result, -result_exponent);
    }
    // In two steps, so that neither leaves the range before the end.
    let half = (result_exponent / 2).clamp(-2000, 2000) as i32;
    let rest = (result_exponent - i64::from(half)).clamp(-2000, 2000) as i32;
    result * 2f64.powi(half) * 2f64.powi(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counting_stops_before_the_end_and_within_the_limit() {
        assert_eq!(steps(0, 5, 2).expect("few"), [0, 2, 4]);
        assert_eq!(steps(3, 0, -1).expect("few"), [3, 2, 1]);
        assert_eq!(steps(0, 5, 0).expect("none"), Vec::<i64>::new());
        assert_eq!(steps(5, 0, 1).expect("none"), Vec::<i64>::new());
        assert_eq!(steps(0, MAX_NUMBERS as i64, 1).map(|n| n.len()).ok(), Some(MAX_NUMBERS));
        assert!(matches!(steps(0, MAX_NUMBERS as i64 + 1, 1), Err(Failure::Limit(_))));
        assert!(matches!(steps(i64::MIN, i64::MAX, 1), Err(Failure::Limit(_))));
    }

    #[test]
    fn powers_of_ten_are_gos() {
        for (n, want) in [(0, 1.0), (2, 100.0), (-2, 0.01), (308, 1e308), (400, f64::INFINITY), (-400, 0.0)] {
            assert!((power_of_ten(n) - want).abs() <= want * 1e-14 || power_of_ten(n) == want, "{n}");
        }
    }
}
