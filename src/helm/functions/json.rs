//! JSON, written and read as Go's `encoding/json` does.

use super::arguments::text;
use super::json_writing::{Layout, write};
use super::{Call, Failure, Function, Type};
use crate::json::{self, Error, Escape};
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
    Ok(match json::parse_object(text(a, 0)) {
        Ok(serde_json::Value::Null) => Value::Map(Map::nil(MapType::Any)),
        Ok(object) => Value::from_json(&object),
        Err(Error::Range { read, number, place }) => {
            let dict = Value::from_json(&read);
            error_entry(Some(dict), &Error::Range { read, number, place }.to_string())
        }
        Err(error) => error_entry(None, &error.to_string()),
    })
}

/// Reads an array; null is an empty one.
fn from_json_array(_: &mut Call<'_>, a: &[Value]) -> Result {
    Ok(match json::parse_array(text(a, 0)) {
        Ok(serde_json::Value::Null) => nil_list(),
        Ok(array) => Value::from_json(&array),
        Err(error) => Value::list([Value::from(error.to_string())]),
    })
}

fn nil_list() -> Value {
    Value::List(crate::value::List::nil(crate::value::ListType::Any))
}

/// Says that a value is of another kind than the wanted type of Go.
pub(super) fn wrong_type(value: &Value, wanted: &'static str) -> String {
    let found = match value {
        Value::Nil => "null",
        Value::Bool(_) => "bool",
        Value::Str(_) => "string",
        Value::List(_) => "array",
        Value::Map(_) => "object",
        _ => "number",
    };
    Error::Kind { found, wanted }.to_string()
}

fn must_from_json(_: &mut Call<'_>, a: &[Value]) -> Result {
    let tree = json::parse(text(a, 0)).map_err(|error| Failure::message(error.to_string()))?;
    Ok(Value::from_json(&tree))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_beyond_floats_is_zero_and_told_with_its_place() {
        for (text, place) in [
            ("{\"a\":[0,{\"b\":1e400}]}", "Go struct field .a.1.b"),
            ("{\"a\":{\"b\":[1,1e400]}}", ".a.b.1"),
            ("{\"0\":1e400}", ".0"),
        ] {
            let error = json::parse_object(text.as_bytes()).unwrap_err();
            let Error::Range { read, .. } = &error else { panic!("{error}") };
            assert_eq!(error.to_string(), format!("json: cannot unmarshal number 1e400 into {place} of type float64"));
            assert_eq!(read.to_string(), text.replace("1e400", "0"));
        }
    }
}
