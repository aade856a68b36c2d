//! JSON merge patches (RFC 7396): for kinds of which no merge rules are known, custom resources above all.

use serde_json::{Map, Value};

/// Makes the patch that turns one object into another; an empty map when they are the same. Both are maps.
pub fn two_way(from: &Value, to: &Value) -> Value {
    Value::Object(diff(map(from), map(to)))
}

/// Makes the patch that sets what differs from the live object, and takes away what the last manifest had and the new
/// one has not. All three are maps.
pub fn three_way(last: &Value, wanted: &Value, live: &Value) -> Value {
    let mut patch = parted(diff(map(last), map(wanted)), true);
    join(&mut patch, parted(diff(map(live), map(wanted)), false));
    Value::Object(patch)
}

/// Adds a patch to another that touches other fields.
fn join(patch: &mut Map<String, Value>, more: Map<String, Value>) {
    for (key, value) in more {
        match (patch.get_mut(&key), value) {
            (Some(Value::Object(patch)), Value::Object(more)) => join(patch, more),
            (_, value) => {
                patch.insert(key, value);
            }
        }
    }
}

fn map(value: &Value) -> &Map<String, Value> {
    static EMPTY: std::sync::LazyLock<Map<String, Value>> = std::sync::LazyLock::new(Map::new);
    value.as_object().unwrap_or(&EMPTY)
}

fn diff(from: &Map<String, Value>, to: &Map<String, Value>) -> Map<String, Value> {
    let mut patch = Map::new();
    for (key, to) in to {
        match (from.get(key), to) {
            (Some(from), to) if from == to => {}
            (Some(Value::Object(from)), Value::Object(to)) => {
                patch.insert(key.clone(), Value::Object(diff(from, to)));
            }
            _ => {
                patch.insert(key.clone(), to.clone());
            }
        }
    }
    patch.extend(from.keys().filter(|key| !to.contains_key(*key)).map(|key| (key.clone(), Value::Null)));
    patch
}

/// Keeps of a patch what it takes away, or what it sets. An empty map is set, where it is not one because of what it
/// takes away.
fn parted(patch: Map<String, Value>, removals: bool) -> Map<String, Value> {
    let mut part = Map::new();
    for (key, value) in patch {
        match value {
            Value::Null if removals => {
                part.insert(key, Value::Null);
            }
            Value::Null => {}
            Value::Object(inner) if !inner.is_empty() => {
                let inner = parted(inner, removals);
                if !inner.is_empty() {
                    part.insert(key, Value::Object(inner));
                }
            }
            value if !removals => {
                part.insert(key, value);
            }
            _ => {}
        }
    }
    part
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn two_objects_make_a_patch() {
        let from = json!({ "a": 1, "b": { "c": 1, "d": 2 }, "l": [1, 2], "same": { "x": [] } });
        let to = json!({ "a": "1", "b": { "c": 1 }, "l": [2], "same": { "x": [] }, "new": {} });
        assert_eq!(two_way(&from, &to), json!({ "a": "1", "b": { "d": null }, "l": [2], "new": {} }));
        assert_eq!(two_way(&to, &to), json!({}));
    }

    #[test]
    fn what_others_did_is_seen_by_three_and_not_by_two() {
        let last = json!({ "spec": { "size": 1, "old": true } });
        let wanted = json!({ "spec": { "size": 1 } });
        let live = json!({ "spec": { "size": 9, "old": true, "theirs": { "x": 1 } }, "status": {} });
        assert_eq!(two_way(&last, &wanted), json!({ "spec": { "old": null } }));
        assert_eq!(three_way(&last, &wanted, &live), json!({ "spec": { "size": 1, "old": null } }));
        assert_eq!(three_way(&wanted, &wanted, &wanted), json!({}));
    }
}
