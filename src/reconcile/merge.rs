//! The difference of two documents as a JSON merge patch (RFC 7386).

use serde_json::{Map, Value};

/// Returns the merge patch that turns `before` into `after`; an empty object where they are equal.
///
/// A field that `after` lacks is named with null. Lists are replaced as a whole.
pub fn diff(before: &Value, after: &Value) -> Value {
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => Value::Object(diff_maps(before, after)),
        _ => after.clone(),
    }
}

fn diff_maps(before: &Map<String, Value>, after: &Map<String, Value>) -> Map<String, Value> {
    let mut patch = Map::new();
    for (key, new) in after {
        match before.get(key) {
            Some(old) if old == new => {}
            Some(old @ Value::Object(_)) if new.is_object() => {
                patch.insert(key.clone(), diff(old, new));
            }
            _ => {
                patch.insert(key.clone(), new.clone());
            }
        }
    }
    for key in before.keys().filter(|k| !after.contains_key(*k)) {
        patch.insert(key.clone(), Value::Null);
    }
    patch
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_patch_applied_to_the_old_gives_the_new() {
        let cases = [
            (json!({}), json!({})),
            (json!({"a": 1}), json!({"a": 1})),
            (json!({"a": 1, "b": {"c": 2, "d": [1]}}), json!({"a": 2, "b": {"d": [2]}})),
            (json!({"a": {"b": 1}}), json!({"a": [1]})),
            (json!({"a": [1]}), json!({"a": {"b": 1}})),
            (json!({"a": {"b": {"c": 1}}}), json!({"a": {"b": {}}})),
        ];
        for (before, after) in cases {
            let mut patched = before.clone();
            json_patch::merge(&mut patched, &diff(&before, &after));
            assert_eq!(patched, after, "{before} to {after}");
        }
    }

    #[test]
    fn equal_documents_give_an_empty_patch() {
        let doc = json!({"a": {"b": [1, {"c": null}]}, "d": "e"});
        assert_eq!(diff(&doc, &doc), json!({}));
    }
}
