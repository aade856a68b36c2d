//! Kustomize's strategic merge. It is not the API server's: of the directives it knows `$patch` alone, what a patch adds
//! to a list comes first, and kinds that are not Kubernetes' own have their lists replaced.
//!
//! The odd corners (elements without their key, `$patch: replace` within a list) are kustomize's; the recorded cases hold
//! them.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::schema::{Field, Schema};

/// Why a patch does not apply.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("wrong node kind: expected {expected} but got {found}: node contents:\n{contents}")]
    Kind { expected: &'static str, found: &'static str, contents: String },
    #[error("unknown patch strategy '{0}'")]
    Directive(String),
}

impl Error {
    /// Keeps what it is about to itself: the contents may be secret.
    pub fn without_contents(self) -> Self {
        match self {
            Self::Kind { expected, found, .. } => Self::Kind { expected, found, contents: "(not shown)".to_owned() },
            Self::Directive(word) => Self::Directive(word),
        }
    }
}

/// Merges a patch into an object; none is left where the patch deletes it.
pub fn merge(object: Value, patch: Value) -> Result<Option<Value>, Error> {
    walk(Dest::Old(object), Some(patch), None)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Directive {
    Merge,
    Replace,
    Delete,
}

fn directive(word: &str) -> Result<Directive, Error> {
    match word {
        "merge" => Ok(Directive::Merge),
        "replace" => Ok(Directive::Replace),
        "delete" => Ok(Directive::Delete),
        other => Err(Error::Directive(other.to_owned())),
    }
}

/// What a patch is merged into.
enum Dest {
    /// Nothing: the patch is taken as it is, but for its directives.
    Missing,
    /// The patch itself, of which something larger was taken.
    Same,
    Old(Value),
}

impl Dest {
    fn of(old: Option<Value>) -> Self {
        old.map_or(Self::Missing, Self::Old)
    }

    fn old(&self) -> Option<&Value> {
        if let Self::Old(value) = self { Some(value) } else { None }
    }

    fn into_old(self) -> Option<Value> {
        if let Self::Old(value) = self { Some(value) } else { None }
    }
}

/// Merges two values of one field; none means that the field goes, null that it was null and stays.
fn walk(dest: Dest, patch: Option<Value>, schema: Option<&'static Field>) -> Result<Option<Value>, Error> {
    let both = [dest.old(), patch.as_ref()];
    let schema = schema.or_else(|| both.into_iter().flatten().find_map(own_schema));
    let Some(kind) = both.into_iter().flatten().find(|value| !value.is_null()).map(kind_of) else {
        return Ok(if patch.is_none() { dest.into_old() } else { None });
    };
    both.into_iter().flatten().try_for_each(|value| check(value, kind))?;
    match (kind, schema) {
        (MAPPING, schema) => maps(dest, patch, schema),
        (SEQUENCE, Some(Field::Merged { keys, element })) => lists(dest, patch, keys, element.as_deref()),
        _ => Ok(patch.or(dest.into_old()).filter(|value| !value.is_null())),
    }
}

/// Finds the schema of what says its own kind.
fn own_schema(value: &Value) -> Option<&'static Field> {
    let text = |key| value.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    Schema::get().kind(text("apiVersion")?, text("kind")?)
}

/// kustomize's names of kinds of values.
const MAPPING: &str = "MappingNode";
const SEQUENCE: &str = "SequenceNode";
const SCALAR: &str = "ScalarNode";

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Object(_) => MAPPING,
        Value::Array(_) => SEQUENCE,
        _ => SCALAR,
    }
}

fn check(value: &Value, expected: &'static str) -> Result<(), Error> {
    if value.is_null() || kind_of(value) == expected {
        return Ok(());
    }
    let mut contents = Vec::new();
    // What cannot be written is left out of the error.
    let _ = helm::yaml::emit(value, 0, &mut contents);
    contents.push(b'\n');
    Err(Error::Kind { expected, found: kind_of(value), contents: String::from_utf8_lossy(&contents).into_owned() })
}

/// Takes the directive off a map.
fn take_directive(patch: &mut Value) -> Result<Directive, Error> {
    let Some(map) = patch.as_object_mut() else { return Ok(Directive::Merge) };
    let Some(word) = map.get("$patch") else { return Ok(Directive::Merge) };
    let found = directive(&text_of(word))?;
    map.remove("$patch");
    Ok(found)
}

fn maps(dest: Dest, patch: Option<Value>, schema: Option<&'static Field>) -> Result<Option<Value>, Error> {
    let (old, mut patch) = match (dest, patch) {
        (Dest::Old(old), None) => (Some(old), Value::Null),
        (Dest::Old(old), Some(mut patch)) if !old.is_null() => {
            if patch.is_null() {
                return Ok(None);
            }
            match take_directive(&mut patch)? {
                Directive::Delete => return Ok(None),
                Directive::Replace => (None, patch),
                Directive::Merge => (Some(old), patch),
            }
        }
        (Dest::Same, Some(mut patch)) => match take_directive(&mut patch)? {
            Directive::Delete => return Ok(None),
            Directive::Replace | Directive::Merge => (None, patch),
        },
        (_, Some(mut patch)) => {
            if matches!(take_directive(&mut patch), Ok(Directive::Delete)) {
                return Ok(None);
            }
            (None, patch)
        }
        (_, None) => return Ok(None),
    };
    let Some(old) = old else {
        let mut merged = Map::new();
        for (name, value) in into_map(patch).into_iter().flatten() {
            let field = schema.and_then(|schema| schema.field(&name));
            merged.extend(walk(Dest::Same, Some(value), field)?.map(|value| (name, value)));
        }
        return Ok(Some(Value::Object(merged)));
    };
    let (mut old, mut none) = (into_map(old).unwrap_or_default(), Map::new());
    let patch = patch.as_object_mut().unwrap_or(&mut none);
    let names: BTreeSet<String> = old.keys().chain(patch.keys()).cloned().collect();
    for name in names {
        let field = schema.and_then(|schema| schema.field(&name));
        if let Some(value) = walk(Dest::of(old.remove(&name)), patch.remove(&name), field)? {
            old.insert(name, value);
        }
    }
    Ok(Some(Value::Object(old)))
}

fn into_map(value: Value) -> Option<Map<String, Value>> {
    if let Value::Object(map) = value { Some(map) } else { None }
}

fn into_list(value: Value) -> Vec<Value> {
    if let Value::Array(items) = value { items } else { Vec::new() }
}

fn lists(
    dest: Dest,
    patch: Option<Value>,
    keys: &'static [&'static str],
    element: Option<&'static Field>,
) -> Result<Option<Value>, Error> {
    let (old, patch) = match (dest, patch) {
        (Dest::Old(old), None) => (Some(into_list(old)), Vec::new()),
        (Dest::Old(old), Some(patch)) if !old.is_null() => {
            if patch.is_null() {
                return Ok(None);
            }
            let mut patch = into_list(patch);
            match take_list_directive(&mut patch)? {
                Directive::Delete => return Ok(None),
                Directive::Replace => (None, patch),
                Directive::Merge => (Some(into_list(old)), patch),
            }
        }
        (Dest::Same, Some(patch)) => {
            let mut patch = into_list(patch);
            match take_list_directive(&mut patch)? {
                Directive::Delete => return Ok(None),
                Directive::Replace | Directive::Merge => (None, patch),
            }
        }
        (_, Some(patch)) => (None, into_list(patch)),
        (_, None) => return Ok(None),
    };
    let keys = if keys.is_empty() { &[""][..] } else { keys };
    elements(old, patch, keys, element).map(|merged| Some(Value::Array(merged)))
}

/// Takes the directive off a list: an element with nothing but it.
fn take_list_directive(patch: &mut Vec<Value>) -> Result<Directive, Error> {
    let Some(found) = patch.iter().find_map(|element| Some((element.get("$patch")?, element.as_object()?.len())))
    else {
        return Ok(Directive::Merge);
    };
    let (word, 1) = (text_of(found.0), found.1) else { return Ok(Directive::Merge) };
    let found = directive(&word)?;
    set_element(patch, None, &["$patch"], &[word])?;
    Ok(found)
}

/// The text of a scalar as kustomize compares it; collections have none.
fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Object(_) | Value::Array(_) => String::new(),
        other => other.to_string(),
    }
}

fn is_empty_map(value: &Value) -> bool {
    value.as_object().is_some_and(Map::is_empty)
}

/// The values of the keys in all elements, those of the patch first, each once.
fn element_values(sources: [&[Value]; 2], keys: &[&str]) -> Vec<Vec<String>> {
    let mut values: Vec<Vec<String>> = Vec::new();
    for element in sources.into_iter().flatten() {
        let of = |key: &&str| {
            if key.is_empty() {
                return text_of(element);
            }
            let is_empty = |value: &&Value| match value {
                Value::Null => true,
                Value::Array(items) => items.is_empty(),
                value => is_empty_map(value),
            };
            element.get(*key).filter(|value| !is_empty(value)).map(text_of).unwrap_or_default()
        };
        let found: Vec<String> = keys.iter().map(of).collect();
        if !values.contains(&found) {
            values.push(found);
        }
    }
    values
}

/// Takes two elements for one where they differ only in keys that one of them lacks.
fn merge_values(values: &mut [Vec<String>]) {
    for i in 0..values.len() {
        for j in 0..values.len() {
            if let Some(both) = match_values(&values[i], &values[j]) {
                values[i].clone_from(&both);
                values[j] = both;
            }
        }
    }
}

fn match_values(a: &[String], b: &[String]) -> Option<Vec<String>> {
    let mut has_common = false;
    let mut both = Vec::new();
    for (a, b) in a.iter().zip(b) {
        if a == b {
            has_common = true;
        } else if !a.is_empty() && !b.is_empty() {
            return None;
        }
        both.push(if a.is_empty() { b.clone() } else { a.clone() });
    }
    has_common.then_some(both)
}

/// Leaves out the keys that no element has; the first falls back on all.
fn valid_keys<'k>(all: &[Vec<String>], values: &[String], keys: &[&'k str]) -> (Vec<&'k str>, Vec<String>) {
    let used = |at: usize| all.iter().any(|values| values.get(at).is_some_and(|value| !value.is_empty()));
    if !(0..keys.len()).any(used) {
        return (keys.to_vec(), values.to_vec());
    }
    let kept: Vec<usize> = (0..keys.len()).filter(|at| used(*at)).collect();
    let values = values.iter().enumerate().filter(|(at, value)| !value.is_empty() || used(*at));
    (kept.iter().map(|at| keys[*at]).collect(), values.map(|(_, value)| value.clone()).collect())
}

/// Finds the first element that has all the values.
fn position(list: &[Value], keys: &[&str], values: &[String]) -> Option<usize> {
    let alone = [values.to_vec()];
    let (keys, values) = valid_keys(&alone, values, keys);
    if keys.first().is_none_or(|key| key.is_empty()) {
        let wanted = values.first().map(String::as_str).unwrap_or_default();
        return list.iter().position(|element| text_of(element) == wanted);
    }
    list.iter().position(|element| {
        element.is_object()
            && keys
                .iter()
                .zip(&values)
                .all(|(key, value)| element.get(*key).is_some_and(|found| !found.is_null() && text_of(found) == *value))
    })
}

/// Merges the elements of two lists; without an old one, those of the patch with themselves.
fn elements(
    old: Option<Vec<Value>>,
    patch: Vec<Value>,
    keys: &[&str],
    schema: Option<&'static Field>,
) -> Result<Vec<Value>, Error> {
    let is_same = old.is_none();
    let mut dest = old.unwrap_or_else(|| patch.clone());
    let mut all = element_values([&patch, &dest], keys);
    if keys.len() > 1 {
        merge_values(&mut all);
    }
    let mut added = Vec::new();
    let mut last_keys = Vec::new();
    for values in &all {
        let (keys, values) = valid_keys(&all, values, keys);
        last_keys.clone_from(&keys);
        let at = position(&dest, &keys, &values);
        let new = position(&patch, &keys, &values).map(|at| patch[at].clone());
        let replaces = new.as_ref().and_then(|new| new.get("$patch")).is_some_and(|word| word == "replace");
        let old = match at {
            Some(_) if is_same => Dest::Same,
            at => Dest::of(at.map(|at| dest[at].clone())),
        };
        let merged = walk(old, new, schema)?.filter(|merged| !merged.is_null() && !is_empty_map(merged));
        let Some(mut merged) = merged else {
            // An element of the patch itself has lost its directive by now, and stays where it lacks one of the keys.
            if let Some(element) = at.filter(|_| is_same).and_then(|at| dest[at].as_object_mut()) {
                element.remove("$patch");
            }
            for _ in &keys {
                set_element(&mut dest, None, &keys, &values)?;
            }
            continue;
        };
        if let Some(map) = merged.as_object_mut() {
            for (key, value) in keys.iter().zip(&values).filter(|(key, value)| !key.is_empty() && !value.is_empty()) {
                map.entry(*key).or_insert_with(|| Value::from(value.as_str()));
            }
        }
        // Kustomize merges in place, but for an element that takes another's place.
        if let Some(at) = at.filter(|_| is_same || !replaces) {
            dest[at] = merged.clone();
        }
        set_element(&mut added, Some(&merged), &keys, &values)?;
    }
    if all.is_empty() { Ok(dest) } else { append(added, dest, &last_keys) }
}

/// Puts the elements of a list behind those that were merged, in the place of their own.
fn append(mut list: Vec<Value>, more: Vec<Value>, keys: &[&str]) -> Result<Vec<Value>, Error> {
    for element in more {
        if keys.first().is_none_or(|key| key.is_empty()) {
            let text = text_of(&element);
            set_element(&mut list, Some(&element), &[""], &[text])?;
            continue;
        }
        let mut values = Vec::new();
        for key in keys {
            match element.get(*key).filter(|value| !value.is_null()) {
                Some(value) => values.push(text_of(value)),
                None => list.push(element.clone()),
            }
        }
        if keys.len() > 1 {
            set_element(&mut list, None, keys, &values)?;
        }
        set_element(&mut list, Some(&element), keys, &values)?;
    }
    Ok(list)
}

/// Puts an element in the place of those with the same values, or at the end; without one they are taken away.
fn set_element(list: &mut Vec<Value>, element: Option<&Value>, keys: &[&str], values: &[String]) -> Result<(), Error> {
    let wants_map = keys.first().is_some_and(|key| !key.is_empty()) && values.first().is_some_and(|v| !v.is_empty());
    let mut kept = Vec::new();
    let mut is_found = false;
    for candidate in std::mem::take(list) {
        if candidate.is_null() || is_empty_map(&candidate) {
            continue;
        }
        if wants_map && !candidate.is_object() {
            kept.push(candidate);
            continue;
        }
        if !has_values(&candidate, keys, values)? {
            if !values.is_empty() {
                kept.push(candidate);
            }
            continue;
        }
        is_found = true;
        kept.extend(element.cloned());
    }
    *list = kept;
    if !is_found {
        list.extend(element.filter(|element| !element.is_null()).cloned());
    }
    Ok(())
}

fn has_values(candidate: &Value, keys: &[&str], values: &[String]) -> Result<bool, Error> {
    let mut was_found = false;
    for (at, key) in keys.iter().enumerate() {
        if let Some(value) = values.get(at) {
            if key.is_empty() {
                check(candidate, SCALAR)?;
                was_found = text_of(candidate) == *value;
            } else {
                check(candidate, MAPPING)?;
                was_found = candidate.get(*key).is_some_and(|found| value.is_empty() || text_of(found) == *value);
            }
        }
        if !was_found {
            return Ok(false);
        }
    }
    Ok(true)
}
