//! Dicts. Those that change one do so in place: every handle on it sees the change.

use super::arguments::{ZERO_VALUE, display, list, map, string, text};
use super::merge::{Rule, merge};
use super::{Call, Failure, Function, Type};
use crate::value::{List, MAX_DEPTH, Map, MapType, Str, Value};

type Result<T = Value> = std::result::Result<T, Failure>;

const ANY: Type = Type::Any;
const STR: Type = Type::String;
const MAP: Type = Type::Map(MapType::Any);

pub(super) const FUNCTIONS: &[Function] = &[
    Function::variadic("dict", &[], ANY, dict),
    Function::new("get", &[MAP, STR], |_, a| Ok(map(a, 0).get(text(a, 1)).unwrap_or_else(|| "".into()))),
    Function::new("set", &[MAP, STR, ANY], set),
    Function::new("unset", &[MAP, STR], unset),
    Function::new("hasKey", &[MAP, STR], |_, a| Ok(map(a, 0).contains_key(text(a, 1)).into())),
    Function::variadic("pluck", &[STR], MAP, pluck),
    Function::variadic("keys", &[], MAP, keys),
    Function::new("values", &[MAP], |_, a| Ok(list(map(a, 0).values()))),
    Function::variadic("pick", &[MAP], STR, pick),
    Function::variadic("omit", &[MAP], STR, omit),
    Function::variadic("merge", &[MAP], MAP, |_, a| merged(a, Rule::KeepDestination)),
    Function::variadic("mustMerge", &[MAP], MAP, |_, a| merged(a, Rule::KeepDestination)),
    Function::variadic("mergeOverwrite", &[MAP], MAP, |_, a| merged(a, Rule::Overwrite)),
    Function::variadic("mustMergeOverwrite", &[MAP], MAP, |_, a| merged(a, Rule::Overwrite)),
    Function::new("deepCopy", &[ANY], deep_copy),
    Function::new("mustDeepCopy", &[ANY], deep_copy),
    Function::variadic("dig", &[], ANY, dig),
];

fn dict(_: &mut Call<'_>, a: &[Value]) -> Result {
    let mut pairs = Vec::with_capacity(a.len() / 2 + 1);
    for pair in a.chunks(2) {
        pairs.push((display(&pair[0])?, pair.get(1).cloned().unwrap_or_else(|| "".into())));
    }
    Ok(Value::Map(Map::from_pairs(MapType::Any, pairs)))
}

/// Returns a map argument as the parameter's type has it.
fn plain(map: &Map) -> Value {
    Value::Map(map.with_type(MapType::Any))
}

fn set(_: &mut Call<'_>, a: &[Value]) -> Result {
    let dict = map(a, 0);
    if !dict.insert(string(a, 1), a[2].clone()) {
        return Err(Failure::message("assignment to entry in nil map"));
    }
    Ok(plain(&dict))
}

fn unset(_: &mut Call<'_>, a: &[Value]) -> Result {
    let dict = map(a, 0);
    dict.remove(text(a, 1));
    Ok(plain(&dict))
}

fn pluck(_: &mut Call<'_>, a: &[Value]) -> Result {
    Ok(list((1..a.len()).filter_map(|at| map(a, at).get(text(a, 0))).collect()))
}

/// Lists the keys, sorted: Go's order is random.
fn keys(_: &mut Call<'_>, a: &[Value]) -> Result {
    Ok(Value::strings((0..a.len()).flat_map(|at| map(a, at).keys())))
}

fn pick(_: &mut Call<'_>, a: &[Value]) -> Result {
    let dict = map(a, 0);
    let picked = (1..a.len()).filter_map(|at| Some((string(a, at), dict.get(text(a, at))?)));
    Ok(Value::Map(Map::from_pairs(MapType::Any, picked)))
}

fn omit(_: &mut Call<'_>, a: &[Value]) -> Result {
    let omitted: Vec<&[u8]> = (1..a.len()).map(|at| text(a, at)).collect();
    let entries = map(a, 0).entries().into_iter();
    let kept = entries.filter(|(key, _)| !omitted.contains(&key.as_bytes()));
    Ok(Value::Map(Map::from_pairs(MapType::Any, kept)))
}

/// Merges the other dicts into the first. Into a nil dict it makes a new one, which no one else sees.
fn merged(a: &[Value], rule: Rule) -> Result {
    let mut target = map(a, 0);
    for at in 1..a.len() {
        let source = map(a, at);
        if target.is_nil() && !source.is_nil() {
            target = Map::new(MapType::Any);
        }
        merge(&target, &source, rule)?;
    }
    Ok(plain(&target))
}

fn deep_copy(_: &mut Call<'_>, a: &[Value]) -> Result {
    if a[0].is_nil() {
        return Err(Failure::message(ZERO_VALUE));
    }
    copy(&a[0], 0)
}

fn copy(value: &Value, depth: usize) -> Result {
    if depth > MAX_DEPTH {
        return Err(Failure::limit(format!("a value nested deeper than {MAX_DEPTH} cannot be copied")));
    }
    Ok(match value {
        Value::Map(map) if !map.is_nil() => {
            let entries = map.entries().into_iter();
            let copies: Vec<(Str, Value)> =
                entries.map(|(key, value)| Ok((key, copy(&value, depth + 1)?))).collect::<Result<_>>()?;
            Value::Map(Map::from_pairs(map.map_type(), copies))
        }
        Value::List(list) if !list.is_nil() => {
            let items: Vec<Value> = list.iter().map(|item| copy(item, depth + 1)).collect::<Result<_>>()?;
            Value::List(List::new(list.list_type(), items))
        }
        Value::Obj(object) => object.deep_copy().unwrap_or_else(|| value.clone()),
        other => other.clone(),
    })
}

fn dig(_: &mut Call<'_>, a: &[Value]) -> Result {
    let [keys @ .., default, dict] = a else {
        return Err(Failure::message("dig needs at least three arguments"));
    };
    if keys.is_empty() {
        return Err(Failure::message("dig needs at least three arguments"));
    }
    let mut dict = asserted_map(dict)?;
    let mut names = Vec::with_capacity(keys.len());
    for key in keys {
        names.push(key.as_str().ok_or_else(|| wrong_type(key, "string"))?);
    }
    for (at, name) in names.iter().enumerate() {
        let Some(step) = dict.get(name) else { return Ok(default.clone()) };
        if at + 1 == names.len() {
            return Ok(step);
        }
        dict = asserted_map(&step)?;
    }
    Ok(default.clone())
}

/// Go's type assertion: other map types, Helm's values among them, are refused.
fn asserted_map(value: &Value) -> Result<Map> {
    let map = value.as_map().filter(|map| map.map_type() == MapType::Any);
    map.cloned().ok_or_else(|| wrong_type(value, MapType::Any.name()))
}

fn wrong_type(value: &Value, wanted: &str) -> Failure {
    let found = if value.is_nil() { "nil".into() } else { value.type_name() };
    Failure::message(format!("interface conversion: interface {{}} is {found}, not {wanted}"))
}
