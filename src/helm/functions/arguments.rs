//! Reading checked arguments. The executor has held them against the parameter types before a function is called.

use std::borrow::Cow;

use super::Failure;
use crate::value::{Kind, List, ListType, MAX_TEXT, Map, MapType, Str, Value};

/// What Go's runtime says when a function looks into a nil interface.
pub const NIL_DEREFERENCE: &str = "runtime error: invalid memory address or nil pointer dereference";
/// What Go's reflection says of a nil interface.
pub const ZERO_VALUE: &str = "reflect: call of reflect.Value.Type on zero Value";

/// Returns the bytes of a string argument.
pub fn text(args: &[Value], at: usize) -> &[u8] {
    match args.get(at) {
        Some(Value::Str(s) | Value::Bytes(s)) => s,
        _ => b"",
    }
}

/// Returns a string argument with a cheap clone.
pub fn string(args: &[Value], at: usize) -> Str {
    match args.get(at) {
        Some(Value::Str(s)) => s.clone(),
        _ => Str::default(),
    }
}

/// Returns an `int` argument.
pub fn int(args: &[Value], at: usize) -> i64 {
    match args.get(at) {
        Some(Value::Int(i) | Value::Int64(i)) => *i,
        _ => 0,
    }
}

/// Returns a map argument; it may be a nil map.
pub fn map(args: &[Value], at: usize) -> Map {
    match args.get(at) {
        Some(Value::Map(map)) => map.clone(),
        _ => Map::nil(MapType::Any),
    }
}

/// Views a value as the elements of a slice, of any slice type; `None` for another kind.
pub fn elements(value: &Value) -> Option<Cow<'_, [Value]>> {
    match value {
        Value::List(list) => Some(Cow::Borrowed(list.items())),
        Value::Bytes(bytes) => Some(Cow::Owned(bytes.iter().map(|b| Value::Uint8(*b)).collect())),
        Value::Obj(object) if object.kind() == Kind::Slice => match object.underlying() {
            Some(Value::List(list)) => Some(Cow::Owned(list.items().to_vec())),
            _ => None,
        },
        _ => None,
    }
}

/// Views an argument as a slice, or fails as sprig does: `fault` and the kind's name.
pub fn slice<'v>(value: &'v Value, fault: &str) -> Result<Cow<'v, [Value]>, Failure> {
    if value.is_nil() {
        return Err(Failure::message(NIL_DEREFERENCE));
    }
    elements(value).ok_or_else(|| Failure::message(format!("{fault} {}", value.kind().name())))
}

/// Makes an `[]interface {}`.
pub fn list(items: Vec<Value>) -> Value {
    Value::List(List::new(ListType::Any, items))
}

/// Returns what sprig's `strval` makes of a value: its own text for strings, bytes, errors and Stringers, else `%v`.
pub fn display(value: &Value) -> Result<Str, Failure> {
    match value {
        Value::Str(s) | Value::Bytes(s) => Ok(s.clone()),
        other => other.to_text(),
    }
}

/// Holds the length of a text that is about to be made against [`MAX_TEXT`].
pub fn check_len(len: usize) -> Result<(), Failure> {
    if len > MAX_TEXT {
        return Err(Failure::limit(format!("a result of {len} bytes is longer than {MAX_TEXT}")));
    }
    Ok(())
}
