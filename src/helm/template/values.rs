//! The methods of Helm's `common.Values`, which a template reaches as `.Values.Table "a.b"`.

use crate::functions::{Failure, Type};
use crate::value::{Map, MapType, Method, Str, Value};

const METHODS: &[Method] = &[
    Method { name: "AsMap", params: &[], variadic: None },
    Method { name: "PathValue", params: &[Type::String], variadic: None },
    Method { name: "Table", params: &[Type::String], variadic: None },
    Method { name: "YAML", params: &[], variadic: None },
];

/// Finds a method by name.
pub(super) fn method(name: &[u8]) -> Option<&'static Method> {
    METHODS.iter().find(|method| method.name.as_bytes() == name)
}

/// Calls a method with arguments that fit it.
pub(super) fn invoke(map: &Map, method: &str, args: &[Value]) -> Result<Value, Failure> {
    let path = args.first().and_then(Value::as_str).cloned().unwrap_or_default();
    match method {
        "AsMap" => Ok(Value::Map(if map.is_empty() { Map::new(MapType::Any) } else { map.with_type(MapType::Any) })),
        "Table" => table(map, &path).map(Value::Map),
        "YAML" => yaml(map),
        _ => path_value(map, &path),
    }
}

fn yaml(map: &Map) -> Result<Value, Failure> {
    let mut out = Vec::new();
    let tree = Value::Map(map.clone()).to_json()?;
    crate::yaml::emit(&tree, 0, &mut out).map_err(|error| Failure::message(error.to_string()))?;
    out.push(b'\n');
    Ok(out.into())
}

fn table(map: &Map, path: &[u8]) -> Result<Map, Failure> {
    let mut table = map.with_type(MapType::Values);
    for name in path.split(|b| *b == b'.') {
        table = sub_table(&table, name)?;
    }
    Ok(table)
}

fn sub_table(table: &Map, name: &[u8]) -> Result<Map, Failure> {
    match table.get(name) {
        Some(Value::Map(map)) if map.map_type() != MapType::Str => Ok(map.with_type(MapType::Values)),
        _ => Err(Failure::message(format!("{} is not a table", crate::value::quote::quoted(name)))),
    }
}

fn path_value(map: &Map, path: &Str) -> Result<Value, Failure> {
    if path.is_empty() {
        return Err(Failure::message("YAML path cannot be empty"));
    }
    let (parent, key) = match memchr::memrchr(b'.', path) {
        Some(at) => (Some(&path[..at]), &path[at + 1..]),
        None => (None, path.as_bytes()),
    };
    let found = match parent {
        Some(parent) => table(map, parent).ok().and_then(|table| table.get(key)),
        None => map.get(key),
    };
    match found {
        Some(Value::Map(map)) if map.map_type() == MapType::Any => None,
        found => found,
    }
    .ok_or_else(|| Failure::message(format!("{} is not a value", crate::value::quote::quoted(key))))
}
