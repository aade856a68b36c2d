//! mergo 1.0.1's merging of maps, as sprig's `merge` and `mergeOverwrite` use it.
//!
//! Nested maps of the destination change in place; what is taken over from the source is shared with it, not copied.

use super::Failure;
use crate::value::{Kind, MAX_DEPTH, Map, Value};

/// Which side wins.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// The destination, unless its value is empty (false, 0, "", an empty list or map, nil).
    KeepDestination,
    /// The source, even when its value is empty or nil.
    Overwrite,
}

/// Merges `source` into `target`.
pub fn merge(target: &Map, source: &Map, rule: Rule) -> Result<(), Failure> {
    merge_at(target, source, rule, 0)
}

fn merge_at(target: &Map, source: &Map, rule: Rule, depth: usize) -> Result<(), Failure> {
    if depth > MAX_DEPTH {
        return Err(Failure::limit(format!("dicts nested deeper than {MAX_DEPTH} cannot be merged")));
    }
    let overwrite = rule == Rule::Overwrite;
    for (key, value) in source.entries() {
        if value.is_nil() {
            if overwrite {
                put(target, &key, &value);
            }
            continue;
        }
        let old = target.get(&key);
        if let (Value::Map(from), Some(Value::Map(into))) = (&value, &old)
            && !into.is_nil()
        {
            merge_at(into, from, rule, depth + 1)?;
        }
        // mergo asks whether the whole destination is empty here, not the value under the key.
        let is_list = value.kind() == Kind::Slice;
        if is_list && old.is_some() && (overwrite || target.is_empty()) {
            put(target, &key, &value);
        }
        let kept = old.as_ref().is_some_and(Value::truth);
        let both_maps = || value.kind() == Kind::Map && old.as_ref().is_some_and(|old| old.kind() == Kind::Map);
        if kept && (is_list || both_maps()) {
            continue;
        }
        if overwrite || !kept {
            put(target, &key, &value);
        }
    }
    Ok(())
}

fn put(target: &Map, key: &crate::value::Str, value: &Value) {
    // A nil destination has been replaced before, or is not merged into.
    let _ = target.insert(key.clone(), value.clone());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::MapType;

    fn dict(pairs: &[(&str, Value)]) -> Map {
        Map::from_pairs(MapType::Any, pairs.iter().map(|(key, value)| ((*key).into(), value.clone())))
    }

    #[test]
    fn what_is_taken_over_is_shared() {
        let inner = dict(&[("x", Value::Int(1))]);
        let target = dict(&[]);
        merge(&target, &dict(&[("n", inner.clone().into())]), Rule::KeepDestination).expect("shallow");
        assert!(target.get(b"n").is_some_and(|n| n.as_map().is_some_and(|n| n.same(&inner))));
    }

    #[test]
    fn a_dict_that_holds_itself_is_refused() {
        let ring = dict(&[]);
        assert!(ring.insert("me".into(), ring.clone().into()));
        let other = dict(&[]);
        assert!(other.insert("me".into(), other.clone().into()));
        assert!(matches!(merge(&ring, &other, Rule::Overwrite), Err(Failure::Limit(_))));
        ring.remove(b"me");
        other.remove(b"me");
    }
}
