//! Reads typed fields out of a YAML tree as `sigs.k8s.io/yaml` and Go's JSON decoder do, with Go's error texts.
//!
//! A number or a boolean becomes a text where a text is wanted, null leaves a field as it is, a field's name is found
//! whatever its case, and the first value of a wrong type, in byte order of the keys, is the error.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::{Map, Value};

use crate::value::format_g;

/// A value of a wrong type; the text is that of Go 1.27's decoder.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("error unmarshaling JSON: while decoding JSON: {0}")]
pub struct Error(pub(super) String);

/// Where in the document a value is.
pub enum At<'a> {
    Root,
    Field(&'a At<'a>, &'a str),
    Item(&'a At<'a>, usize),
}

impl At<'_> {
    fn write(&self, out: &mut String) {
        match self {
            At::Root => {}
            At::Field(parent, name) => {
                parent.write(out);
                out.push('.');
                out.push_str(name);
            }
            At::Item(parent, index) => {
                parent.write(out);
                write!(out, ".{index}").expect("writing to a String cannot fail");
            }
        }
    }

    /// Makes the error for a value that is not of the Go type `wanted`.
    pub fn mismatch(&self, value: &Value, wanted: &str) -> Error {
        let found = match value {
            Value::Null => "null",
            Value::Bool(_) => "bool",
            Value::Number(_) => "number",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        };
        let mut place = String::new();
        self.write(&mut place);
        Error(match self {
            At::Root => format!("json: cannot unmarshal {found} into Go value of type {wanted}"),
            At::Field(..) => format!("json: cannot unmarshal {found} into Go struct field {place} of type {wanted}"),
            At::Item(..) => format!("json: cannot unmarshal {found} into {place} of type {wanted}"),
        })
    }
}

/// Reads a string; a number or a boolean is written as Go writes it.
pub fn text(value: &Value, at: &At<'_>) -> Result<String, Error> {
    Ok(match value {
        Value::Null => String::new(),
        Value::String(s) => s.clone(),
        Value::Bool(b) => b.to_string(),
        Value::Number(n) => number_text(n),
        _ => return Err(at.mismatch(value, "string")),
    })
}

fn number_text(number: &serde_json::Number) -> String {
    match number.as_f64() {
        Some(float) if number.is_f64() => {
            let mut out = Vec::new();
            format_g(&mut out, float);
            String::from_utf8_lossy(&out).into_owned()
        }
        _ => number.to_string(),
    }
}

/// Reads a boolean.
pub fn flag(value: &Value, at: &At<'_>) -> Result<bool, Error> {
    match value {
        Value::Null => Ok(false),
        Value::Bool(b) => Ok(*b),
        _ => Err(at.mismatch(value, "bool")),
    }
}

/// Reads a list of the Go type `wanted`, item by item.
pub fn list<T>(
    value: &Value,
    at: &At<'_>,
    wanted: &str,
    item: impl Fn(&Value, &At<'_>) -> Result<T, Error>,
) -> Result<Vec<T>, Error> {
    match value {
        Value::Null => Ok(Vec::new()),
        Value::Array(items) => items.iter().enumerate().map(|(i, v)| item(v, &At::Item(at, i))).collect(),
        _ => Err(at.mismatch(value, wanted)),
    }
}

/// Reads a `map[string]string`.
pub fn text_map(value: &Value, at: &At<'_>) -> Result<BTreeMap<String, String>, Error> {
    match value {
        Value::Null => Ok(BTreeMap::new()),
        Value::Object(map) => map.iter().map(|(k, v)| Ok((k.clone(), text(v, &At::Field(at, k))?))).collect(),
        _ => Err(at.mismatch(value, "map[string]string")),
    }
}

/// Views a struct of the Go type `wanted`; null is a struct without fields.
pub fn object<'v>(value: &'v Value, at: &At<'_>, wanted: &str) -> Result<Option<&'v Map<String, Value>>, Error> {
    match value {
        Value::Null => Ok(None),
        Value::Object(map) => Ok(Some(map)),
        _ => Err(at.mismatch(value, wanted)),
    }
}

/// Finds the struct field that a key names: an exact match first, then one that differs in case.
pub fn field<'f>(key: &str, fields: &[&'f str]) -> Option<&'f str> {
    let exact = fields.iter().find(|f| **f == key);
    exact.or_else(|| fields.iter().find(|f| f.eq_ignore_ascii_case(key))).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn scalars_become_texts() {
        for (value, expected) in [
            (json!("a"), "a"),
            (json!(1), "1"),
            (json!(1.5), "1.5"),
            (json!(1e10), "1e+10"),
            (json!(true), "true"),
            (json!(null), ""),
            (json!(12_345_678_901_234_567_890_u64), "12345678901234567890"),
        ] {
            assert_eq!(text(&value, &At::Root).unwrap(), expected);
        }
    }

    #[test]
    fn a_wrong_type_is_reported_with_its_path() {
        let root = At::Root;
        let items = At::Field(&root, "maintainers");
        let item = At::Item(&items, 0);
        let name = At::Field(&item, "name");
        for (at, expected) in [
            (&root, "json: cannot unmarshal array into Go value of type T"),
            (&item, "json: cannot unmarshal array into .maintainers.0 of type T"),
            (&name, "json: cannot unmarshal array into Go struct field .maintainers.0.name of type T"),
        ] {
            assert_eq!(at.mismatch(&json!([]), "T").0, expected);
        }
    }
}
