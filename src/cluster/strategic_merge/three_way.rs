//! The patch that brings an object to what is wanted: it sets what differs from the live object, and takes away what the
//! last manifest had and the new one has not. What others added stays.
//!
//! It is the patch that `CreateThreeWayMergePatch` of Kubernetes makes, with its directives: `$patch: delete`,
//! `$deleteFromPrimitiveList`, `$setElementOrder` and `$retainKeys`.

use std::cmp::Ordering;

use serde_json::{Map, Value, json};
use thiserror::Error;

use super::rules::{Field, Type};

const PATCH: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const SET_ORDER: &str = "$setElementOrder/";
const DELETE_FROM_LIST: &str = "$deleteFromPrimitiveList/";

/// Why no patch can be made.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum Error {
    /// An item of a list lacks the field by which items are told apart.
    #[error("map: {item} does not contain declared merge key: {key}")]
    NoMergeKey {
        /// The item, as JSON.
        item: String,
        /// The field.
        key: &'static str,
    },
    /// A list of objects holds something else too.
    #[error("expected a map in the list '{0}', but received another kind of value")]
    Mixed(String),
}

/// Makes the patch; an empty map when there is nothing to do. All three are maps.
pub fn patch(of: Type, last: &Value, wanted: &Value, live: &Value) -> Result<Value, Error> {
    let empty = Map::new();
    let map = |value| Value::as_object(value).unwrap_or(&empty);
    let mut patch = diff_maps(of, map(last), map(wanted), Part::Removals, false)?;
    let changes = diff_maps(of, map(live), map(wanted), Part::Changes, false)?;
    join_maps(of, &mut patch, changes);
    Ok(Value::Object(patch))
}

/// Which part of a difference is looked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    /// What is new or different.
    Changes,
    /// What is gone.
    Removals,
}

fn diff_maps(
    of: Type,
    from: &Map<String, Value>,
    to: &Map<String, Value>,
    part: Part,
    retains_keys: bool,
) -> Result<Map<String, Value>, Error> {
    let mut patch = Map::new();
    for (key, value) in to {
        let rule = of.field(key);
        match (from.get(key), value) {
            (Some(Value::Object(from)), Value::Object(to)) if !rule.replace => {
                let inner = diff_maps(rule.inner(), from, to, part, rule.retain_keys)?;
                if !inner.is_empty() {
                    patch.insert(key.clone(), Value::Object(inner));
                }
            }
            (Some(Value::Array(from)), Value::Array(to)) if rule.merge => {
                diff_lists(&mut patch, key, rule, from, to, part)?;
            }
            (Some(from), to) if from == to => {}
            _ if part == Part::Removals => {}
            _ => {
                patch.insert(key.clone(), value.clone());
            }
        }
    }
    if part == Part::Removals {
        patch.extend(from.keys().filter(|key| !to.contains_key(*key)).map(|key| (key.clone(), Value::Null)));
    }
    let has_more = from.iter().any(|(key, value)| !value.is_null() && !to.contains_key(key));
    if retains_keys && (!patch.is_empty() || has_more) {
        let mut kept: Vec<_> = to.iter().filter(|(_, value)| !value.is_null()).map(|(key, _)| key).collect();
        kept.sort();
        if !kept.is_empty() {
            patch.insert(RETAIN_KEYS.to_owned(), json!(kept));
        }
    }
    Ok(patch)
}

fn diff_lists(
    patch: &mut Map<String, Value>,
    key: &str,
    rule: &Field,
    from: &[Value],
    to: &[Value],
    part: Part,
) -> Result<(), Error> {
    if from.is_empty() {
        if part == Part::Changes && !to.is_empty() {
            patch.insert(key.to_owned(), Value::Array(to.to_vec()));
        }
        return Ok(());
    }
    let maps = from.iter().chain(to).filter(|item| item.is_object()).count();
    if maps != 0 && maps != from.len() + to.len() {
        return Err(Error::Mixed(key.to_owned()));
    }
    let (prefix, items, order) = match rule.merge_key {
        Some(merge_key) if maps != 0 => {
            let (items, order) = diff_items(rule, merge_key, from, to, part)?;
            ("", items, order)
        }
        _ if part == Part::Changes => {
            let added: Vec<_> = to.iter().filter(|item| !from.contains(item)).cloned().collect();
            ("", added, if from == to { Vec::new() } else { to.to_vec() })
        }
        _ => {
            let mut gone = Vec::new();
            for item in from.iter().filter(|item| !to.contains(item)) {
                if !gone.contains(item) {
                    gone.push(item.clone());
                }
            }
            let order = if gone.is_empty() { Vec::new() } else { to.to_vec() };
            (DELETE_FROM_LIST, gone, order)
        }
    };
    for (prefix, items) in [(prefix, items), (SET_ORDER, order)] {
        if !items.is_empty() {
            patch.insert(format!("{prefix}{key}"), Value::Array(items));
        }
    }
    Ok(())
}

/// Returns the items of the patch, and the order that the list is to have where that has to be said.
fn diff_items(
    rule: &Field,
    key: &'static str,
    from: &[Value],
    to: &[Value],
    part: Part,
) -> Result<(Vec<Value>, Vec<Value>), Error> {
    let (before, after) = (sorted(from, key)?, sorted(to, key)?);
    let pairs = pairs(&after, &before);
    let mut items = Vec::new();
    for (item, before_at) in after.iter().zip(pairs.matched) {
        let patch = match before_at {
            Some(at) => diff_maps(rule.inner(), before[at].map, item.map, part, rule.retain_keys)?,
            None if part == Part::Changes => item.map.clone(),
            None => Map::new(),
        };
        if !patch.is_empty() {
            items.push((item.at, with_key(patch, key, &item.map[key])));
        }
    }
    items.sort_by_key(|(at, _)| *at);
    let mut items: Vec<Value> = items.into_iter().map(|(_, item)| item).collect();
    if part == Part::Removals {
        let gone = pairs.unmatched.iter().map(|at| json!({ key: before[*at].map[key], PATCH: "delete" }));
        items.extend(gone);
    }
    let keys = |list: &[Value]| list.iter().map(|item| item[key].clone()).collect::<Vec<_>>();
    let moved = part == Part::Changes && keys(from) != keys(to);
    let order =
        if moved || !items.is_empty() { to.iter().map(|item| json!({ key: item[key] })).collect() } else { Vec::new() };
    Ok((items, order))
}

fn with_key(mut patch: Map<String, Value>, key: &str, value: &Value) -> Value {
    patch.insert(key.to_owned(), value.clone());
    Value::Object(patch)
}

/// Adds a patch to another of the same object.
fn join_maps(of: Type, patch: &mut Map<String, Value>, more: Map<String, Value>) {
    for (key, value) in more {
        let rule = of.field(&key);
        match (patch.get_mut(&key), value) {
            (Some(Value::Object(patch)), Value::Object(more)) => join_maps(rule.inner(), patch, more),
            (Some(Value::Array(patch)), Value::Array(more)) if rule.merge => join_lists(rule, patch, more),
            (_, value) => {
                patch.insert(key, value);
            }
        }
    }
}

/// Adds the items of a patch to those of another, which come to stand in the order of the wanted list anyhow.
fn join_lists(rule: &Field, patch: &mut Vec<Value>, more: Vec<Value>) {
    for item in more {
        let same = rule
            .merge_key
            .and_then(|key| patch.iter_mut().find(|known| known[key] == item[key] && known.get(PATCH).is_none()));
        match (same, item) {
            (Some(Value::Object(known)), Value::Object(item)) => join_maps(rule.inner(), known, item),
            (_, item) => patch.push(item),
        }
    }
}

/// An item with the text of its merge key, and where it was in its list.
struct Item<'a> {
    key: String,
    at: usize,
    map: &'a Map<String, Value>,
}

fn sorted<'a>(list: &'a [Value], key: &'static str) -> Result<Vec<Item<'a>>, Error> {
    let item = |(at, value): (usize, &'a Value)| {
        let map = value.as_object().filter(|map| map.contains_key(key));
        let map = map.ok_or_else(|| Error::NoMergeKey { item: value.to_string(), key })?;
        let key = map[key].as_str().map_or_else(|| map[key].to_string(), str::to_owned);
        Ok(Item { key, at, map })
    };
    let mut items = list.iter().enumerate().map(item).collect::<Result<Vec<_>, _>>()?;
    // Of items with one key, the last comes first: so they come out of the sort that Kubernetes' Go code uses.
    items.reverse();
    items.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(items)
}

/// Which items of two sorted lists belong together; of several with one key, the last to the last.
struct Pairs {
    /// For each item of the first list, the one of the second.
    matched: Vec<Option<usize>>,
    /// Items of the second list without one in the first.
    unmatched: Vec<usize>,
}

fn pairs(first: &[Item<'_>], second: &[Item<'_>]) -> Pairs {
    let mut pairs = Pairs { matched: vec![None; first.len()], unmatched: Vec::new() };
    let (mut a, mut b) = (0, 0);
    while a < first.len() || b < second.len() {
        let order = match (first.get(a), second.get(b)) {
            (Some(a), Some(b)) => a.key.cmp(&b.key),
            (Some(_), None) => Ordering::Less,
            _ => Ordering::Greater,
        };
        match order {
            Ordering::Equal => {
                pairs.matched[a] = Some(b);
                (a, b) = (a + 1, b + 1);
            }
            Ordering::Less => a += 1,
            Ordering::Greater => {
                pairs.unmatched.push(b);
                b += 1;
            }
        }
    }
    pairs
}

#[cfg(test)]
#[path = "three_way_tests.rs"]
mod tests;
