//! The values of charts: how defaults, a user's files and globals come together.
//!
//! Files become JSON trees. What a render sees is made of Go's shared maps ([`Map`]), and the merging here changes them in
//! place, since Helm's merging lets nested maps be shared between a chart and its parents, and templates can see that.

use serde_json::Value as Json;

use super::decode;
use super::dependencies::Node;
use crate::notice::{Level, Notice};
use crate::quote::quote;
use crate::template::sprintf;
use crate::value::{Map, MapType, Str, Value};
use crate::yaml;

/// The key under which values are seen by all charts.
pub const GLOBAL: &str = "global";

/// Why a YAML document was refused.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    #[error("error converting YAML to JSON: {0}")]
    Yaml(#[source] yaml::Error),
    #[error("{0}")]
    Type(#[source] decode::Error),
    #[error("error reading yaml document: invalid Yaml document separator: {0}")]
    Separator(String),
    #[error("cannot unmarshal yaml document: {0}")]
    Values(#[source] Box<DocumentError>),
}

/// Reads a values file: one or more YAML documents, merged, with every number a float.
pub fn load(data: &[u8]) -> Result<serde_json::Map<String, Json>, DocumentError> {
    let mut values = serde_json::Map::new();
    for document in documents(data)? {
        let tree = yaml::parse(&document).map_err(|error| values_error(DocumentError::Yaml(error)))?;
        match floats(tree) {
            Json::Null => {}
            Json::Object(map) if values.is_empty() => values = map,
            Json::Object(map) => merge(&mut values, map),
            other => {
                let mismatch = decode::At::Root.mismatch(&other, "map[string]interface {}");
                return Err(values_error(DocumentError::Type(mismatch)));
            }
        }
    }
    Ok(values)
}

fn values_error(error: DocumentError) -> DocumentError {
    DocumentError::Values(Box::new(error))
}

/// Splits a file as Kubernetes' YAML reader does: at lines that start with `---`, which only a comment may follow. Ends
/// of lines become plain line feeds.
fn documents(data: &[u8]) -> Result<Vec<Vec<u8>>, DocumentError> {
    let (mut documents, mut current) = (Vec::new(), Vec::new());
    for line in data.split_inclusive(|b| *b == b'\n') {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if let Some(rest) = line.strip_prefix(b"---") {
            let rest = String::from_utf8_lossy(rest);
            let rest = rest.trim();
            if !rest.is_empty() && !rest.starts_with('#') {
                return Err(DocumentError::Separator(rest.to_string()));
            }
            if !current.is_empty() {
                documents.push(std::mem::take(&mut current));
                continue;
            }
        }
        current.extend_from_slice(line);
        current.push(b'\n');
    }
    if !current.is_empty() {
        documents.push(current);
    }
    Ok(documents)
}

/// Turns every number into a float, which is what Go's JSON decoder makes of it.
pub fn floats(value: Json) -> Json {
    match value {
        Json::Number(n) if !n.is_f64() => n.as_f64().map_or(Json::Null, Json::from),
        Json::Array(list) => Json::Array(list.into_iter().map(floats).collect()),
        Json::Object(map) => Json::Object(map.into_iter().map(|(k, v)| (k, floats(v))).collect()),
        other => other,
    }
}

/// Merges one file's values over another's: maps are merged, all else is replaced, null stays.
pub fn merge(into: &mut serde_json::Map<String, Json>, from: serde_json::Map<String, Json>) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(Json::Object(into)), Json::Object(from)) => merge(into, from),
            (_, value) => {
                into.insert(key, value);
            }
        }
    }
}

/// Fills in what values say nothing about: Helm's `CoalesceTables`. What is null takes the default away.
pub fn fill(values: &mut serde_json::Map<String, Json>, defaults: serde_json::Map<String, Json>) {
    for (key, default) in defaults {
        match (values.get_mut(&key), default) {
            (None, default) => {
                values.insert(key, default);
            }
            (Some(Json::Null), default) if !default.is_null() => {
                values.remove(&key);
            }
            (Some(Json::Object(values)), Json::Object(defaults)) => fill(values, defaults),
            (Some(_), _) => {}
        }
    }
}

/// Makes Go's shared map of a JSON object.
pub fn shared(values: &serde_json::Map<String, Json>) -> Map {
    Map::from_pairs(MapType::Any, values.iter().map(|(k, v)| (Str::from(k.as_str()), Value::from_values(v))))
}

/// Copies a map so deep that nothing is shared.
pub fn deep_copy(map: &Map) -> Map {
    Map::from_pairs(map.map_type(), map.entries().into_iter().map(|(key, value)| (key, copy_value(value))))
}

fn copy_value(value: Value) -> Value {
    match value {
        Value::Map(map) => Value::Map(deep_copy(&map)),
        Value::List(list) if list.iter().any(|item| matches!(item, Value::Map(_) | Value::List(_))) => {
            Value::list(list.iter().cloned().map(copy_value).collect::<Vec<_>>())
        }
        value => value,
    }
}

/// Sets a key of a map that is known not to be nil.
pub(super) fn put(map: &Map, key: &Str, value: Value) {
    let inserted = map.insert(key.clone(), value);
    debug_assert!(inserted, "values are never nil maps");
}

/// Finds a table by its path with dots; the error is the part that is no table.
pub fn table(values: &Map, path: &str) -> Result<Map, String> {
    let mut table = values.clone();
    for part in path.split('.') {
        match table.get(part.as_bytes()) {
            Some(Value::Map(inner)) => table = inner,
            _ => return Err(part.to_string()),
        }
    }
    Ok(table)
}

/// Finds a value that is no table by its path with dots.
pub fn path_value(values: &Map, path: &str) -> Option<Value> {
    let (tables, key) = path.rsplit_once('.').map_or((None, path), |(tables, key)| (Some(tables), key));
    let holder = match tables {
        Some(tables) => table(values, tables).ok()?,
        None => values.clone(),
    };
    holder.get(key.as_bytes()).filter(|value| !matches!(value, Value::Map(_)))
}

/// A value that is neither a table nor absent where a chart's values must be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("type mismatch on {chart}: {shown}")]
pub struct TypeMismatch {
    chart: String,
    shown: String,
}

/// How values come together, and where remarks about it go.
pub struct Coalescer<'a> {
    pub notices: &'a mut Vec<Notice>,
    /// Nulls stay, for values that are coalesced again later.
    pub keep_nulls: bool,
}

impl Coalescer<'_> {
    /// Puts the defaults of a chart and of all that it depends on under `values`, which are changed.
    pub fn coalesce(&mut self, node: &Node, values: &Map) -> Result<(), TypeMismatch> {
        self.chart(node, values, "")
    }

    fn remark(&mut self, text: String) {
        self.notices.push(Notice::new(Level::Info, text));
    }

    fn chart(&mut self, node: &Node, values: &Map, prefix: &str) -> Result<(), TypeMismatch> {
        let inner_prefix = join(prefix, node.name());
        self.defaults(node, values, &inner_prefix);
        for child in node.children() {
            let key = Str::from(child.name());
            let child_values = match values.get(&key) {
                Some(Value::Map(map)) => map,
                None => {
                    let map = Map::new(MapType::Any);
                    put(values, &key, Value::Map(map.clone()));
                    map
                }
                Some(other) => {
                    return Err(TypeMismatch { chart: child.name().to_string(), shown: show_mismatch(&other) });
                }
            };
            self.globals(&child_values, values, &inner_prefix);
            self.chart(child, &child_values, &inner_prefix)?;
        }
        Ok(())
    }

    /// Lets a chart's globals flow into the values of a chart that it depends on.
    fn globals(&mut self, child: &Map, parent: &Map, prefix: &str) {
        let key = Str::from(GLOBAL);
        let into = match child.get(&key) {
            None => Map::new(MapType::Any),
            Some(Value::Map(map)) => map,
            Some(_) => {
                return self.remark("warning: skipping globals because destination global is not a table.".to_string());
            }
        };
        let from = match parent.get(&key) {
            None => Map::new(MapType::Any),
            Some(Value::Map(map)) => map,
            Some(_) => {
                return self.remark("warning: skipping globals because source global is not a table.".to_string());
            }
        };
        for (name, value) in from.entries() {
            match (value, into.get(&name)) {
                (Value::Map(table), None) => put(&into, &name, Value::Map(shallow_copy(&table))),
                (Value::Map(table), Some(Value::Map(existing))) => {
                    // The parent's copy is the authority. Its nested maps are the parent's own, so what the child adds
                    // to them shows there, too.
                    let copy = shallow_copy(&table);
                    let prefix = join(prefix, &name.to_text());
                    self.tables_keeping_nulls(&copy, &existing, &prefix);
                    put(&into, &name, Value::Map(copy));
                }
                (Value::Map(_), Some(_)) => {
                    let name = quote(&name.to_text());
                    self.remark(format!("Conflict: cannot merge map onto non-map for {name}. Skipping."));
                }
                (_, Some(Value::Map(_))) => self.remark(format!("key {} is table. Skipping", name.to_text())),
                (value, _) => put(&into, &name, value),
            }
        }
        put(child, &key, Value::Map(into));
    }

    /// Puts a chart's own defaults under its values.
    fn defaults(&mut self, node: &Node, values: &Map, prefix: &str) {
        for (key, default) in node.values().entries() {
            let Some(value) = values.get(&key) else {
                if !self.keep_nulls {
                    match &default {
                        Value::Nil => continue,
                        Value::Map(map) => drop_nulls(map),
                        _ => {}
                    }
                }
                put(values, &key, default);
                continue;
            };
            match (value, default) {
                (Value::Nil, _) if !self.keep_nulls => {
                    values.remove(&key);
                }
                (Value::Map(into), Value::Map(from)) => {
                    // What is for another chart is coalesced there.
                    let keep_nulls = self.keep_nulls || node.children().iter().any(|c| c.name().as_bytes() == &*key);
                    if !keep_nulls {
                        drop_nulls(&from);
                    }
                    let path = join(prefix, &key.to_text());
                    self.tables(&into, &from, &path, keep_nulls);
                }
                (Value::Map(_), Value::Nil) => {}
                (Value::Map(_), _) => {
                    self.remark(format!("warning: skipped value for {prefix}.{}: Not a table.", key.to_text()));
                }
                _ => {}
            }
        }
    }

    fn tables_keeping_nulls(&mut self, into: &Map, from: &Map, prefix: &str) {
        self.tables(into, from, prefix, true);
    }

    /// Merges a table into another one, which wins; both are changed.
    pub fn tables(&mut self, into: &Map, from: &Map, prefix: &str, keep_nulls: bool) {
        let entries = from.entries();
        for (key, value) in into.entries() {
            if value.is_nil() {
                put(from, &key, Value::Nil);
            }
        }
        for (key, default) in entries {
            let had_default = !default.is_nil();
            // A null of the authority was written into the defaults above.
            let default = from.get(&key).unwrap_or(default);
            let Some(value) = into.get(&key) else {
                put(into, &key, default);
                continue;
            };
            match (value, default) {
                (Value::Nil, _) if !keep_nulls && had_default => {
                    into.remove(&key);
                }
                (Value::Map(inner), Value::Map(default)) => {
                    self.tables(&inner, &default, &join(prefix, &key.to_text()), keep_nulls);
                }
                (_, default @ Value::Map(_)) => {
                    let path = join(prefix, &key.to_text());
                    let shown = show(&default);
                    self.remark(format!("warning: cannot overwrite table with non table for {path} ({shown})"));
                }
                (Value::Map(_), default) if !default.is_nil() => {
                    let path = join(prefix, &key.to_text());
                    let shown = show(&default);
                    self.remark(format!(
                        "warning: destination for {path} is a table. Ignoring non-table value ({shown})"
                    ));
                }
                _ => {}
            }
        }
    }
}

fn shallow_copy(map: &Map) -> Map {
    Map::from_pairs(MapType::Any, map.entries())
}

/// Takes nulls out of a map and of the maps in it.
pub(super) fn drop_nulls(map: &Map) {
    for (key, value) in map.entries() {
        match value {
            Value::Nil => {
                map.remove(&key);
            }
            Value::Map(inner) => drop_nulls(&inner),
            _ => {}
        }
    }
}

fn join(prefix: &str, name: &str) -> String {
    if prefix.is_empty() { name.to_string() } else { format!("{prefix}.{name}") }
}

/// Writes a value as Go's `%v`.
pub(super) fn show(value: &Value) -> String {
    value.to_text().map_or_else(|error| error.to_string(), |text| text.to_text().into_owned())
}

/// Writes a value as Go's `%t` does when it is no boolean.
fn show_mismatch(value: &Value) -> String {
    let shown = sprintf(b"%t", std::slice::from_ref(value));
    shown.map_or_else(|error| error.to_string(), |text| text.to_text().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loaded(text: &str) -> Result<Json, String> {
        load(text.as_bytes()).map(Json::Object).map_err(|error| error.to_string())
    }

    #[test]
    fn documents_are_merged_and_numbers_are_floats() {
        assert_eq!(
            loaded("a: {x: 1}\n---\n# c\n--- # d\na: {z: 2}\nb: null\n").unwrap(),
            serde_json::json!({"a": {"x": 1.0, "z": 2.0}, "b": null})
        );
        assert_eq!(loaded("").unwrap(), serde_json::json!({}));
        assert_eq!(loaded("---\n---\na: b").unwrap(), serde_json::json!({"a": "b"}));
    }

    #[test]
    fn a_separator_with_text_behind_it_is_refused() {
        assert_eq!(
            loaded("a: 1\n---x\n").unwrap_err(),
            "error reading yaml document: invalid Yaml document separator: x"
        );
        assert_eq!(
            loaded("- a").unwrap_err(),
            "cannot unmarshal yaml document: error unmarshaling JSON: while decoding JSON: json: cannot unmarshal array into Go value of type map[string]interface {}"
        );
    }
}
