//! The difference of two documents as JSON patch operations (RFC 6902), as Flux counts it: what many small operations
//! would say at greater length is one replacement.
//!
//! The order of the operations and the choice between many small ones and a large one are those of `wI2L/jsondiff`
//! with `Rationalize`, since the counts stand in conditions and events.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

/// What an operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    Add,
    Replace,
    Remove,
}

/// One operation, with the value that it takes away and the one that it brings.
#[derive(Clone, Debug, PartialEq)]
pub struct Operation {
    /// What it does.
    pub op: Op,
    /// JSON pointer.
    pub path: String,
    /// What was there.
    pub old: Option<Value>,
    /// What comes there.
    pub value: Option<Value>,
}

impl Op {
    /// Returns the word of RFC 6902.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Replace => "replace",
            Self::Remove => "remove",
        }
    }
}

impl Operation {
    /// Length of the operation as JSON. Added values do not count, as in jsondiff.
    fn length(&self) -> usize {
        const FRAME: usize = r#"{"op":"","path":""}"#.len();
        const VALUE: usize = r#","value":"#.len();
        let value = match self.op {
            Op::Add => VALUE,
            Op::Replace => VALUE + self.value.as_ref().map_or(0, |value| value.to_string().len()),
            Op::Remove => 0,
        };
        FRAME + self.op.as_str().len() + self.path.len() + value
    }

    /// Returns the operation as RFC 6902 writes it.
    pub fn to_json(&self) -> Value {
        match &self.value {
            Some(value) => json!({ "op": self.op.as_str(), "path": self.path, "value": value }),
            None => json!({ "op": self.op.as_str(), "path": self.path }),
        }
    }
}

/// Returns the operations that make `target` of `source`.
pub fn compare(source: &Value, target: &Value) -> Vec<Operation> {
    let mut operations = Vec::new();
    diff(String::new(), source, target, &mut operations);
    operations
}

/// Appends the operations for a part of a document.
pub fn diff(path: String, source: &Value, target: &Value, operations: &mut Vec<Operation>) {
    if is_equal(source, target) {
        return;
    }
    let before = operations.len();
    match (source, target) {
        (Value::Array(source), Value::Array(target)) => arrays(&path, source, target, operations),
        (Value::Object(source), Value::Object(target)) => objects(&path, source, target, operations),
        _ => {
            operations.push(replacement(path, source, target));
            return;
        }
    }
    // The whole document is never replaced: what is compared is a part of an object.
    if path.is_empty() {
        return;
    }
    let many: usize = operations[before..].iter().map(Operation::length).sum();
    let commas = (operations.len() - before).saturating_sub(1);
    let one = replacement(path, source, target);
    if many + commas > one.length() {
        operations.truncate(before);
        operations.push(one);
    }
}

fn replacement(path: String, source: &Value, target: &Value) -> Operation {
    Operation { op: Op::Replace, path, old: Some(source.clone()), value: Some(target.clone()) }
}

fn objects(path: &str, source: &Map<String, Value>, target: &Map<String, Value>, operations: &mut Vec<Operation>) {
    let keys: BTreeSet<&String> = source.keys().chain(target.keys()).collect();
    for key in keys {
        let path = format!("{path}/{}", escape(key));
        match (source.get(key), target.get(key)) {
            (Some(old), Some(new)) => diff(path, old, new, operations),
            (Some(old), None) => {
                operations.push(Operation { op: Op::Remove, path, old: Some(old.clone()), value: None });
            }
            (None, new) => operations.push(Operation { op: Op::Add, path, old: None, value: new.cloned() }),
        }
    }
}

fn arrays(path: &str, source: &[Value], target: &[Value], operations: &mut Vec<Operation>) {
    let shared = source.len().min(target.len());
    for old in &source[shared..] {
        // Each removal moves the rest up, so that all are at one place.
        let path = format!("{path}/{shared}");
        operations.push(Operation { op: Op::Remove, path, old: Some(old.clone()), value: None });
    }
    for (at, (old, new)) in source.iter().zip(target).enumerate() {
        diff(format!("{path}/{at}"), old, new, operations);
    }
    for new in &target[shared..] {
        operations.push(Operation { op: Op::Add, path: format!("{path}/-"), old: None, value: Some(new.clone()) });
    }
}

/// Compares as Go does that reads every number as a float.
fn is_equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| is_equal(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| is_equal(a, b)))
        }
        _ => a == b,
    }
}

/// Writes a key as a part of a JSON pointer.
pub fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// Takes away what a JSON pointer names; what is not there is no error. A negative index counts from a list's end.
pub fn remove(document: &mut Value, pointer: &str) {
    let Some((parent, last)) = pointer.rsplit_once('/') else { return };
    let mut place = document;
    for key in parent.split('/').skip(1) {
        let next = match place {
            Value::Object(fields) => fields.get_mut(&unescape(key)),
            Value::Array(items) => index(key, items.len()).and_then(|at| items.get_mut(at)),
            _ => None,
        };
        let Some(next) = next else { return };
        place = next;
    }
    match place {
        Value::Object(fields) => drop(fields.remove(&unescape(last))),
        Value::Array(items) => {
            if let Some(at) = index(last, items.len()) {
                items.remove(at);
            }
        }
        _ => {}
    }
}

fn unescape(key: &str) -> String {
    key.replace("~1", "/").replace("~0", "~")
}

fn index(key: &str, length: usize) -> Option<usize> {
    let at: i64 = key.parse().ok()?;
    let length = i64::try_from(length).ok()?;
    let at = if at < 0 { at + length } else { at };
    usize::try_from(at).ok().filter(|_| at < length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patch(source: Value, target: Value) -> Vec<(&'static str, String)> {
        compare(&source, &target).into_iter().map(|one| (one.op.as_str(), one.path)).collect()
    }

    fn row(op: &'static str, path: &str) -> (&'static str, String) {
        (op, path.to_owned())
    }

    #[test]
    fn fields_are_compared_one_by_one_in_their_order() {
        let long = "x".repeat(200);
        let before = json!({ "a": { "x": 1, "long": long, "z/~": true } });
        let after = json!({ "a": { "x": 2, "long": long, "y": null } });
        assert_eq!(patch(before, after), [row("replace", "/a/x"), row("add", "/a/y"), row("remove", "/a/z~1~0")]);
        assert_eq!(patch(json!({ "a": 1 }), json!({ "a": 1.0 })), []);
        assert_eq!(patch(json!({ "a": 1 }), json!({ "a": "1" })), [row("replace", "/a")]);
    }

    #[test]
    fn one_replacement_takes_the_place_of_what_is_longer() {
        let before = json!({ "m": { "a": 1, "b": 2, "c": 3 } });
        assert_eq!(patch(before, json!({ "m": { "a": 4, "b": 5, "c": 6 } })), [row("replace", "/m")]);
        assert_eq!(
            patch(json!({ "a": 1, "b": 2 }), json!({ "a": 2, "b": 1 })),
            [row("replace", "/a"), row("replace", "/b")]
        );
    }

    #[test]
    fn lists_are_compared_by_place() {
        let long = |name: &str| json!({ "name": name, "text": "x".repeat(80) });
        assert_eq!(patch(json!([long("a"), long("b")]), json!([long("a")])), [row("remove", "/1")]);
        assert_eq!(patch(json!([long("a")]), json!([long("a"), 1])), [row("add", "/-")]);
        assert_eq!(patch(json!([long("a")]), json!([long("b")])), [row("replace", "/0/name")]);
        let removed = patch(json!([long("a"), 1, 2]), json!([long("a")]));
        assert_eq!(removed, [row("remove", "/1"), row("remove", "/1")]);
    }

    #[test]
    fn a_patch_makes_the_target() {
        let rows = [
            (json!({ "a": [1, 2, 3], "b": {} }), json!({ "a": [3, 2], "c": [{}] })),
            (json!({ "a": { "b": { "c": [1] } } }), json!({ "a": { "b": { "c": [1, 2, { "d": 1 }] } } })),
            (json!({ "a": null }), json!({ "a": false })),
        ];
        for (source, target) in rows {
            let operations: Vec<Value> = compare(&source, &target).iter().map(Operation::to_json).collect();
            let patch: json_patch::Patch = serde_json::from_value(json!(operations)).unwrap();
            let mut patched = source.clone();
            json_patch::patch(&mut patched, &patch).unwrap();
            assert_eq!(patched, target, "{source}");
        }
    }

    #[test]
    fn what_a_pointer_names_is_removed_and_what_is_not_there_is_not_missed() {
        let document = json!({ "a": [{ "b": 1 }, { "c/d": 2 }], "e": "f" });
        let rows = [
            ("/a/0/b", json!({ "a": [{}, { "c/d": 2 }], "e": "f" })),
            ("/a/-1/c~1d", json!({ "a": [{ "b": 1 }, {}], "e": "f" })),
            ("/a/-1", json!({ "a": [{ "b": 1 }], "e": "f" })),
            ("/e/x", document.clone()),
            ("/x/y/z", document.clone()),
            ("/a/7", document.clone()),
            ("/a/-3", document.clone()),
            ("e", document.clone()),
        ];
        for (pointer, expected) in rows {
            let mut removed = document.clone();
            remove(&mut removed, pointer);
            assert_eq!(removed, expected, "{pointer}");
        }
    }
}
