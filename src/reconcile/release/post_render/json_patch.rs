//! RFC 6902 patches as the library that kustomize uses applies them: `replace` makes a key that is not there, indexes may
//! count from the end, and the errors are its own.

use serde_json::{Map, Value};

/// How many bytes all `copy` operations of a patch may add, as JSON.
const MAX_COPIED: usize = 16 << 20;

/// Why a patch does not apply.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("Unexpected kind: {0}")]
    Operation(String),
    #[error("{operation} operation failed to decode {field}: missing value")]
    NoField { operation: String, field: &'static str },
    #[error("{operation} operation does not apply: {what}: {path}: missing value")]
    NoPath { operation: String, what: &'static str, path: String },
    #[error("error in {operation} for path: '{path}': {source}")]
    Step { operation: &'static str, path: String, source: StepError },
    #[error("testing value {0} failed: test failed")]
    Test(String),
    #[error("replace operation value must be object or array")]
    Root,
    #[error("copy operations add more than {MAX_COPIED} bytes")]
    TooMuch,
    #[error("the patch does not leave an object")]
    NoObject,
}

/// Why a step within a patch failed.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    #[error("Unable to remove nonexistent key: {0}: missing value")]
    NoKey(String),
    #[error("value was not a proper array index: '{0}': strconv.Atoi: parsing {1}: invalid syntax")]
    NoAddIndex(String, String),
    #[error("strconv.Atoi: parsing {0}: invalid syntax")]
    NoIndex(String),
    #[error("Unable to access invalid index: {0}: invalid index referenced")]
    Index(i64),
}

/// The operations of a patch.
#[derive(Clone, Debug)]
pub struct JsonPatch(Vec<Map<String, Value>>);

impl JsonPatch {
    /// Takes a list of maps for a patch.
    pub fn of(value: Value) -> Option<Self> {
        let Value::Array(items) = value else { return None };
        let maps = items.into_iter().map(|item| if let Value::Object(map) = item { Some(map) } else { None });
        maps.collect::<Option<_>>().map(Self)
    }

    /// Tells whether it has no operation.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Applies the operations in their order.
    pub fn apply(&self, mut tree: Value) -> Result<Value, Error> {
        let mut copied = 0;
        for operation in &self.0 {
            apply_one(&mut tree, operation, &mut copied)?;
        }
        if tree.is_object() { Ok(tree) } else { Err(Error::NoObject) }
    }
}

fn apply_one(tree: &mut Value, operation: &Map<String, Value>, copied: &mut usize) -> Result<(), Error> {
    let name = operation.get("op").and_then(Value::as_str).unwrap_or("unknown");
    let text = |field: &'static str| {
        let missing = || Error::NoField { operation: name.to_owned(), field };
        operation.get(field).and_then(Value::as_str).ok_or_else(missing)
    };
    let value = || operation.get("value").cloned().unwrap_or(Value::Null);
    let gone =
        |what: &'static str, path: &str| Error::NoPath { operation: name.to_owned(), what, path: path.to_owned() };
    match name {
        "add" => {
            let path = text("path")?;
            let (parent, key) = find(tree, path).ok_or_else(|| gone("doc is missing path", &format!("\"{path}\"")))?;
            add(parent, &key, value()).map_err(step("add", path))
        }
        "remove" => {
            let path = text("path")?;
            let (parent, key) = find(tree, path).ok_or_else(|| gone("doc is missing path", &format!("\"{path}\"")))?;
            remove(parent, &key).map(drop).map_err(step("remove", path))
        }
        "replace" => replace(tree, text("path")?, value(), &gone),
        "move" => {
            let from = text("from")?;
            let (parent, key) = find(tree, from).ok_or_else(|| gone("doc is missing from path", from))?;
            let moved = remove(parent, &key).map_err(step("move", &key))?;
            let path = text("path")?;
            let (parent, key) = find(tree, path).ok_or_else(|| gone("doc is missing destination path", path))?;
            add(parent, &key, moved).map_err(step("move", path))
        }
        "copy" => {
            let from = text("from")?;
            let (parent, key) = find(tree, from).ok_or_else(|| gone("doc is missing from path", from))?;
            let copy = get(parent, &key).map_err(step("copy", from))?.cloned().unwrap_or(Value::Null);
            *copied += copy.to_string().len();
            if *copied > MAX_COPIED {
                return Err(Error::TooMuch);
            }
            let path = text("path")?;
            let (parent, key) = find(tree, path).ok_or_else(|| gone("doc is missing destination path", path))?;
            add(parent, &key, copy).map_err(step("copy", path))
        }
        "test" => {
            let path = text("path")?;
            let wanted = value();
            let is_equal = if path.is_empty() {
                *tree == wanted
            } else {
                let (parent, key) = find(tree, path).ok_or_else(|| gone("is missing path", path))?;
                *get(parent, &key).map_err(step("test", path))?.unwrap_or(&Value::Null) == wanted
            };
            if is_equal { Ok(()) } else { Err(Error::Test(path.to_owned())) }
        }
        other => Err(Error::Operation(other.to_owned())),
    }
}

fn step(operation: &'static str, path: &str) -> impl FnOnce(StepError) -> Error {
    let path = path.to_owned();
    move |source| Error::Step { operation, path, source }
}

fn replace(
    tree: &mut Value,
    path: &str,
    value: Value,
    gone: &impl Fn(&'static str, &str) -> Error,
) -> Result<(), Error> {
    if path.is_empty() {
        if !(value.is_object() || value.is_array()) {
            return Err(Error::Root);
        }
        *tree = value;
        return Ok(());
    }
    let (parent, key) = find(tree, path).ok_or_else(|| gone("doc is missing path", path))?;
    get(parent, &key).map_err(|_| gone("doc is missing key", path))?;
    match parent {
        Value::Object(map) => {
            map.insert(key, value);
        }
        Value::Array(items) => {
            let at = index(&key, items.len(), false).map_err(step("remove", path))?;
            items[at] = value;
        }
        _ => {}
    }
    Ok(())
}

/// Finds what holds the last step of a path; none where a step leads nowhere.
fn find<'t>(tree: &'t mut Value, path: &str) -> Option<(&'t mut Value, String)> {
    let mut steps: Vec<String> =
        path.split('/').skip(1).map(|step| step.replace("~1", "/").replace("~0", "~")).collect();
    let last = steps.pop()?;
    let mut at = tree;
    for step in steps {
        at = match at {
            Value::Object(map) => map.get_mut(&step)?,
            Value::Array(items) => {
                let at = index(&step, items.len(), false).ok()?;
                items.get_mut(at)?
            }
            _ => return None,
        };
    }
    matches!(at, Value::Object(_) | Value::Array(_)).then_some((at, last))
}

/// Reads an index; `one_more` allows that behind the last.
fn index(key: &str, length: usize, one_more: bool) -> Result<usize, StepError> {
    let quoted = || helm::quote::quote(key);
    let wrong =
        || if one_more { StepError::NoAddIndex(key.to_owned(), quoted()) } else { StepError::NoIndex(quoted()) };
    let number: i64 = key.parse().map_err(|_| wrong())?;
    let length = i64::try_from(length).unwrap_or(i64::MAX) + i64::from(one_more);
    let at = if number < 0 { number + length } else { number };
    if at < 0 || at >= length {
        return Err(StepError::Index(number));
    }
    usize::try_from(at).map_err(|_| StepError::Index(number))
}

fn get<'v>(parent: &'v Value, key: &str) -> Result<Option<&'v Value>, StepError> {
    match parent {
        Value::Array(items) => Ok(items.get(index(key, items.len(), false)?)),
        other => Ok(other.get(key)),
    }
}

fn add(parent: &mut Value, key: &str, value: Value) -> Result<(), StepError> {
    match parent {
        Value::Object(map) => {
            map.insert(key.to_owned(), value);
        }
        Value::Array(items) if key == "-" => items.push(value),
        Value::Array(items) => {
            let at = index(key, items.len(), true)?;
            items.insert(at, value);
        }
        _ => {}
    }
    Ok(())
}

fn remove(parent: &mut Value, key: &str) -> Result<Value, StepError> {
    match parent {
        Value::Array(items) => {
            let at = index(key, items.len(), false)?;
            Ok(items.remove(at))
        }
        other => other.as_object_mut().and_then(|map| map.remove(key)).ok_or_else(|| StepError::NoKey(key.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn apply(tree: Value, operations: Value) -> Result<Value, String> {
        JsonPatch::of(operations).unwrap().apply(tree).map_err(|error| error.to_string())
    }

    #[test]
    fn operations_are_applied_in_their_order() {
        let tree = json!({ "a": { "b": [1, 2, 3] }, "x/y": 1 });
        for (operations, expected) in [
            (json!([{ "op": "add", "path": "/a/b/1", "value": 9 }]), json!({ "a": { "b": [1, 9, 2, 3] }, "x/y": 1 })),
            (json!([{ "op": "add", "path": "/a/b/-", "value": 9 }]), json!({ "a": { "b": [1, 2, 3, 9] }, "x/y": 1 })),
            (json!([{ "op": "remove", "path": "/a/b/-1" }]), json!({ "a": { "b": [1, 2] }, "x/y": 1 })),
            (json!([{ "op": "replace", "path": "/x~1y", "value": 2 }]), json!({ "a": { "b": [1, 2, 3] }, "x/y": 2 })),
            (
                json!([{ "op": "replace", "path": "/new", "value": 2 }, { "op": "remove", "path": "/a" }]),
                json!({ "new": 2, "x/y": 1 }),
            ),
            (json!([{ "op": "move", "from": "/a/b", "path": "/b" }]), json!({ "a": {}, "b": [1, 2, 3], "x/y": 1 })),
            (
                json!([{ "op": "copy", "from": "/x~1y", "path": "/a/c" }, { "op": "test", "path": "/a/c", "value": 1 }]),
                json!({ "a": { "b": [1, 2, 3], "c": 1 }, "x/y": 1 }),
            ),
        ] {
            assert_eq!(apply(tree.clone(), operations.clone()), Ok(expected), "{operations}");
        }
    }

    #[test]
    fn what_does_not_apply_is_said_as_kustomize_says_it() {
        let tree = json!({ "a": { "b": [1] } });
        for (operation, expected) in [
            (
                json!({ "op": "add", "path": "/no/x", "value": 1 }),
                "add operation does not apply: doc is missing path: \"/no/x\": missing value",
            ),
            (
                json!({ "op": "remove", "path": "/no" }),
                "error in remove for path: '/no': Unable to remove nonexistent key: no: missing value",
            ),
            (
                json!({ "op": "replace", "path": "/a/b/4", "value": 1 }),
                "replace operation does not apply: doc is missing key: /a/b/4: missing value",
            ),
            (
                json!({ "op": "add", "path": "/a/b/4", "value": 1 }),
                "error in add for path: '/a/b/4': Unable to access invalid index: 4: invalid index referenced",
            ),
            (
                json!({ "op": "add", "path": "/a/b/x", "value": 1 }),
                "error in add for path: '/a/b/x': value was not a proper array index: 'x': strconv.Atoi: parsing \"x\": invalid syntax",
            ),
            (json!({ "op": "test", "path": "/a/b/0", "value": 2 }), "testing value /a/b/0 failed: test failed"),
            (json!({ "op": "swap", "path": "/a" }), "Unexpected kind: swap"),
        ] {
            assert_eq!(apply(tree.clone(), json!([operation])), Err(expected.to_owned()));
        }
    }

    #[test]
    fn copies_that_grow_without_end_are_refused() {
        let doubling = json!({ "op": "copy", "from": "/a", "path": "/a/-" });
        let operations: Vec<Value> = std::iter::repeat_n(doubling, 60).collect();
        let error = apply(json!({ "a": ["0123456789"] }), Value::Array(operations)).unwrap_err();
        assert!(error.starts_with("copy operations add more than"), "{error}");
    }
}
