//! JSON, written and read as Go's `encoding/json` does.

use super::arguments::text;
use super::json_reading::{JsonError, Read, read, type_name};
use super::json_writing::{Layout, write};
use super::{Call, Failure, Function, Type};
use crate::json::Escape;
use crate::value::{Map, MapType, Value};

type Result<T = Value> = std::result::Result<T, Failure>;

const ANY: Type = Type::Any;
const STR: Type = Type::String;
const LINE: Layout = Layout { escape: Escape::Html, pretty: false };
const PRETTY: Layout = Layout { escape: Escape::Html, pretty: true };
const RAW: Layout = Layout { escape: Escape::Plain, pretty: false };

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("toJson", &[ANY], |_, a| or_nothing(write(&a[0], LINE))),
    Function::new("mustToJson", &[ANY], |_, a| Ok(write(&a[0], LINE)?.into())),
    Function::new("toPrettyJson", &[ANY], |_, a| or_nothing(write(&a[0], PRETTY))),
    Function::new("mustToPrettyJson", &[ANY], |_, a| Ok(write(&a[0], PRETTY)?.into())),
    Function::new("toRawJson", &[ANY], |_, a| Ok(write(&a[0], RAW)?.into())),
    Function::new("mustToRawJson", &[ANY], |_, a| Ok(write(&a[0], RAW)?.into())),
    Function::new("fromJson", &[STR], from_json),
    Function::new("fromJsonArray", &[STR], from_json_array),
    Function::new("mustFromJson", &[STR], must_from_json),
];

/// Gives an empty text for what cannot be written. A limit of this engine is no such thing.
pub(super) fn or_nothing<T: Into<Value>>(written: Result<T>) -> Result {
    match written {
        Ok(text) => Ok(text.into()),
        Err(Failure::Message(_)) => Ok("".into()),
        Err(failure) => Err(failure),
    }
}

/// Makes the dict that has an error's text under `Error`, beside what was read.
pub(super) fn error_entry(dict: Option<Value>, error: &str) -> Value {
    let dict = match dict {
        Some(Value::Map(map)) => map,
        _ => Map::new(MapType::Any),
    };
    // A dict that was just made is not nil.
    let _ = dict.insert("Error".into(), error.into());
    Value::Map(dict)
}

/// Reads an object; null is an empty one.
fn from_json(_: &mut Call<'_>, a: &[Value]) -> Result {
    Ok(match read(text(a, 0)) {
        Err(error) => error_entry(None, &error.to_string()),
        Ok(Read { value: Value::Nil, .. }) => Value::Map(Map::nil(MapType::Any)),
        Ok(Read { value: value @ Value::Map(_), fault }) => match fault {
            Some(fault) => error_entry(Some(value), &fault.to_string()),
            None => value,
        },
        Ok(Read { value, .. }) => error_entry(None, &wrong_type(&value, MapType::Any.name())),
    })
}

/// Reads an array; null is an empty one.
fn from_json_array(_: &mut Call<'_>, a: &[Value]) -> Result {
    let error = match read(text(a, 0)) {
        Err(error) => error.to_string(),
        Ok(Read { fault: Some(fault), value: Value::List(_) }) => fault.to_string(),
        Ok(Read { value: value @ Value::List(_), .. }) => return Ok(value),
        Ok(Read { value: Value::Nil, .. }) => return Ok(nil_list()),
        Ok(Read { value, .. }) => wrong_type(&value, "[]interface {}"),
    };
    Ok(Value::list([Value::from(error)]))
}

pub(super) fn nil_list() -> Value {
    Value::List(crate::value::List::nil(crate::value::ListType::Any))
}

pub(super) fn wrong_type(value: &Value, wanted: &'static str) -> String {
    JsonError::Type(type_name(value), wanted).to_string()
}

fn must_from_json(_: &mut Call<'_>, a: &[Value]) -> Result {
    let failed = |error: JsonError| Failure::message(error.to_string());
    let Read { value, fault } = read(text(a, 0)).map_err(failed)?;
    match fault {
        Some(fault) => Err(failed(fault)),
        None => Ok(value),
    }
}
