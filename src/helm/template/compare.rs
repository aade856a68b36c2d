//! Go templates' comparisons: basic kinds only, ints and uints by value, nil equal to nil.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::operand::Operand;
use super::printf::sprintf;
use crate::functions::Failure;
use crate::value::{Kind, Str, Value};

/// A value reduced to what comparisons look at.
enum Basic {
    Bool(bool),
    Complex(f64, f64),
    Int(i64),
    Float(f64),
    String(Str),
    Uint(u64),
}

fn basic(value: &Value) -> Option<Basic> {
    Some(match value {
        Value::Bool(b) => Basic::Bool(*b),
        Value::Int(i) | Value::Int64(i) => Basic::Int(*i),
        Value::Uint8(u) => Basic::Uint(u64::from(*u)),
        Value::Uint64(u) => Basic::Uint(*u),
        Value::Float(f) => Basic::Float(*f),
        Value::Complex(re, im) => Basic::Complex(*re, *im),
        Value::Str(s) => Basic::String(s.clone()),
        Value::Obj(object) => return basic(&object.underlying()?),
        Value::Nil | Value::Bytes(_) | Value::List(_) | Value::Map(_) => return None,
    })
}

const BAD_TYPE: &str = "invalid type for comparison";

fn incompatible(a: &Value, b: &Value) -> Failure {
    Failure::message(format!("incompatible types for comparison: {} and {}", a.type_name(), b.type_name()))
}

/// `eq`: whether the first equals any of the others.
pub(super) fn eq(args: &[Operand]) -> Result<bool, Failure> {
    let (first, others) = args.split_first().ok_or_else(|| Failure::message("missing argument for comparison"))?;
    if others.is_empty() {
        return Err(Failure::message("missing argument for comparison"));
    }
    for other in others {
        if equal(&first.value, &other.value)? {
            return Ok(true);
        }
    }
    Ok(false)
}

#[allow(clippy::float_cmp, reason = "Go compares floats with ==")]
fn equal(a: &Value, b: &Value) -> Result<bool, Failure> {
    Ok(match (basic(a), basic(b)) {
        (Some(Basic::Bool(a)), Some(Basic::Bool(b))) => a == b,
        (Some(Basic::Complex(a, b)), Some(Basic::Complex(c, d))) => a == c && b == d,
        (Some(Basic::Float(a)), Some(Basic::Float(b))) => a == b,
        (Some(Basic::Int(a)), Some(Basic::Int(b))) => a == b,
        (Some(Basic::String(a)), Some(Basic::String(b))) => a == b,
        (Some(Basic::Uint(a)), Some(Basic::Uint(b))) => a == b,
        (Some(Basic::Int(i)), Some(Basic::Uint(u))) | (Some(Basic::Uint(u)), Some(Basic::Int(i))) => {
            u64::try_from(i) == Ok(u)
        }
        (None, None) => return equal_other(a, b),
        _ if a.is_nil() || b.is_nil() => false,
        _ => return Err(incompatible(a, b)),
    })
}

/// Compares values of which neither is of a basic kind.
fn equal_other(a: &Value, b: &Value) -> Result<bool, Failure> {
    let (kind_a, kind_b) = (a.kind(), b.kind());
    if kind_a != kind_b && kind_a != Kind::Invalid && kind_b != Kind::Invalid {
        let (type_a, type_b) = (Value::str(a.type_name()), Value::str(b.type_name()));
        let text = sprintf(b"non-comparable types %s: %v, %s: %v", &[a.clone(), type_a, type_b, b.clone()])?;
        return Err(Failure::message(text.to_text()));
    }
    if nil(a) || nil(b) {
        return Ok(nil(a) == nil(b));
    }
    if let (Value::Obj(a), Value::Obj(b)) = (a, b) {
        return Ok(a.type_name() == b.type_name() && a.equal(b.as_ref()));
    }
    let text = sprintf(b"non-comparable type %s: %v", &[b.clone(), Value::str(b.type_name())])?;
    Err(Failure::message(text.to_text()))
}

/// Tells whether a value is nil, of any type.
fn nil(value: &Value) -> bool {
    match value {
        Value::Nil => true,
        Value::List(list) => list.is_nil(),
        Value::Map(map) => map.is_nil(),
        Value::Obj(object) => object.is_nil(),
        _ => false,
    }
}

/// `lt`
pub(super) fn lt(a: &Value, b: &Value) -> Result<bool, Failure> {
    let bad = || Failure::message(BAD_TYPE);
    let (basic_a, basic_b) = (basic(a).ok_or_else(bad)?, basic(b).ok_or_else(bad)?);
    Ok(match (basic_a, basic_b) {
        (Basic::Bool(_), Basic::Bool(_)) | (Basic::Complex(..), Basic::Complex(..)) => return Err(bad()),
        (Basic::Float(a), Basic::Float(b)) => a < b,
        (Basic::Int(a), Basic::Int(b)) => a < b,
        (Basic::String(a), Basic::String(b)) => a < b,
        (Basic::Uint(a), Basic::Uint(b)) => a < b,
        (Basic::Int(i), Basic::Uint(u)) => compare_signs(i, u) == Ordering::Less,
        (Basic::Uint(u), Basic::Int(i)) => compare_signs(i, u) == Ordering::Greater,
        _ => return Err(incompatible(a, b)),
    })
}

fn compare_signs(int: i64, uint: u64) -> Ordering {
    u64::try_from(int).map_or(Ordering::Less, |int| int.cmp(&uint))
}

/// `le`
pub(super) fn le(a: &Value, b: &Value) -> Result<bool, Failure> {
    Ok(lt(a, b)? || equal(a, b)?)
}

/// Words a type for an error about an index or a length: Go looks through pointers there.
pub(super) fn pointee_name(value: &Value) -> Cow<'_, str> {
    let name = value.type_name();
    match (value, name.strip_prefix('*')) {
        (Value::Obj(_), Some(pointee)) => Cow::Owned(pointee.to_owned()),
        _ => name,
    }
}
