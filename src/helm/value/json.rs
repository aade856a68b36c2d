//! Between values and the JSON tree that the rest of the engine works on.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value as Json;

use super::{List, ListType, MAX_DEPTH, Map, MapType, Str, Value};
use crate::functions::Failure;

/// How many nodes one encoded value may have; maps that hold one another repeatedly grow exponentially.
pub const MAX_JSON_NODES: usize = 4 << 20;

impl Value {
    /// Makes a value as `json.Unmarshal` into an `interface{}` does: every number is a float64.
    pub fn from_json(json: &Json) -> Self {
        convert(json, false)
    }

    /// Makes a value as [`Value::from_json`] does, but integers become int64, as those that `--set` parses.
    pub fn from_values(json: &Json) -> Self {
        convert(json, true)
    }

    /// Makes the tree that `json.Marshal` would write: `[]byte` as base64, invalid UTF-8 replaced. Integers stay
    /// integers, floats floats. Fails for what Go cannot encode, and beyond [`MAX_DEPTH`] or [`MAX_JSON_NODES`].
    pub fn to_json(&self) -> Result<Json, Failure> {
        let mut nodes = 0;
        to_json(self, 0, &mut nodes)
    }
}

fn convert(json: &Json, integers: bool) -> Value {
    match json {
        Json::Null => Value::Nil,
        Json::Bool(b) => Value::Bool(*b),
        Json::Number(number) => match number.as_i64().filter(|_| integers) {
            Some(int) => Value::Int64(int),
            None => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(s) => Value::str(s.as_str()),
        Json::Array(items) => {
            let items: Vec<Value> = items.iter().map(|item| convert(item, integers)).collect();
            Value::List(List::new(ListType::Any, items))
        }
        Json::Object(entries) => {
            let pairs = entries.iter().map(|(key, value)| (Str::from(key.as_str()), convert(value, integers)));
            Value::Map(Map::from_pairs(MapType::Any, pairs))
        }
    }
}

fn to_json(value: &Value, depth: usize, nodes: &mut usize) -> Result<Json, Failure> {
    *nodes += 1;
    if depth > MAX_DEPTH {
        // Only a map that holds itself nests so deep.
        return Err(Failure::message(format!(
            "json: unsupported value: encountered a cycle via {}",
            value.type_name()
        )));
    }
    if *nodes > MAX_JSON_NODES {
        return Err(Failure::limit(format!("a value of more than {MAX_JSON_NODES} nodes cannot be encoded")));
    }
    Ok(match value {
        Value::Nil => Json::Null,
        Value::Bool(b) => Json::Bool(*b),
        Value::Int(i) | Value::Int64(i) => Json::from(*i),
        Value::Uint8(u) => Json::from(*u),
        Value::Uint64(u) => Json::from(*u),
        Value::Float(f) => match serde_json::Number::from_f64(*f) {
            Some(number) => Json::Number(number),
            None => {
                return Err(Failure::message(format!("json: unsupported value: {}", Value::Float(*f).to_text()?)));
            }
        },
        Value::Complex(..) => return Err(Failure::message("json: unsupported type: complex128")),
        Value::Str(s) => Json::String(s.to_text().into_owned()),
        Value::Bytes(bytes) => Json::String(STANDARD.encode(bytes)),
        Value::List(list) if list.is_nil() => Json::Null,
        Value::List(list) => {
            Json::Array(list.iter().map(|item| to_json(item, depth + 1, nodes)).collect::<Result<_, _>>()?)
        }
        Value::Map(map) if map.is_nil() => Json::Null,
        Value::Map(map) => {
            let mut entries = serde_json::Map::new();
            map.try_each(|key, value| {
                entries.insert(key.to_text().into_owned(), to_json(value, depth + 1, nodes)?);
                Ok(())
            })?;
            Json::Object(entries)
        }
        Value::Obj(object) => {
            if let Some(json) = object.json() {
                return json.map_err(Failure::message);
            }
            if object.is_nil() {
                return Ok(Json::Null);
            }
            if let Some(plain) = object.underlying() {
                return to_json(&plain, depth + 1, nodes);
            }
            let mut entries = serde_json::Map::new();
            for (name, field) in object.json_fields() {
                entries.insert(name.to_owned(), to_json(&field, depth + 1, nodes)?);
            }
            Json::Object(entries)
        }
    })
}
