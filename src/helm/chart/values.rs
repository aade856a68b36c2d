//! The values of charts: how defaults, a user's files and globals come together.

use serde_json::Value;

/// Turns every number into a float, which is what Go's JSON decoder makes of it.
pub fn floats(value: Value) -> Value {
    match value {
        Value::Number(n) if !n.is_f64() => n.as_f64().map_or(Value::Null, Value::from),
        Value::Array(list) => Value::Array(list.into_iter().map(floats).collect()),
        Value::Object(map) => Value::Object(map.into_iter().map(|(k, v)| (k, floats(v))).collect()),
        other => other,
    }
}
