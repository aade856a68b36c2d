//! Values: composed, merged, set by path, digested.

use std::collections::HashMap;

use bowline::{
    api::helm_release::{ValuesReference, ValuesReferenceKind},
    reconcile::release::values::{self as module, Contents},
};
use helm::{chart::values::floats, yaml};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::fields::{Fields, check, object, same};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    kind: ValuesReferenceKind,
    name: String,
    data: HashMap<String, String>,
}

/// Compares values as numbers count in Go: all of them are floats.
fn same_values(what: &str, is: Map<String, Value>, expected: Map<String, Value>) -> Result<(), String> {
    same(what, &floats(Value::Object(is)), &floats(Value::Object(expected)))
}

fn references(value: &Value) -> Result<Vec<ValuesReference>, String> {
    // Through a HelmRelease, whose schema knows the keys.
    Ok(object("ns", "app", &json!({ "valuesFrom": value }))?.spec.values_from)
}

pub fn compose(_: &str, input: &mut Fields, expect: &mut Fields) -> Result<(), String> {
    let bytes = |data: HashMap<String, String>| data.into_iter().map(|(key, text)| (key, text.into_bytes())).collect();
    let contents: Contents = input
        .get::<Vec<Config>>("objects")?
        .unwrap_or_default()
        .into_iter()
        .map(|config| ((config.kind, config.name), Some(bytes(config.data))))
        .collect();
    let references = references(&input.get("valuesFrom")?.unwrap_or_else(|| json!([])))?;
    let inline: Option<Value> = input.get("values")?;
    let namespace: String = input.get("namespace")?.unwrap_or_else(|| "ns".to_owned());
    match module::compose(&namespace, inline.as_ref(), &references, &contents) {
        Ok(values) => same_values("values", values, expect.need("values")?),
        Err(error) => {
            let error = error.to_string();
            if let Some(part) = expect.get::<String>("error_contains")? {
                return check(error.contains(&part), || format!("error: is {error:?}, without {part:?}"));
            }
            check(expect.get::<bool>("error")? == Some(true), || format!("error: {error}"))
        }
    }
}

pub fn merge(_: &str, input: &mut Fields, expect: &mut Fields) -> Result<(), String> {
    let (mut base, over): (Map<String, Value>, Map<String, Value>) = (input.need("base")?, input.need("over")?);
    module::merge(&mut base, &over);
    same_values("values", base, expect.need("values")?)
}

fn set(input: &mut Fields, expect: &mut Fields, literal: bool) -> Result<(), String> {
    let (path, value): (String, String) = (input.need("path")?, input.need("value")?);
    let reference = json!([{ "kind": "ConfigMap", "name": "c", "targetPath": path, "literal": literal }]);
    let data = HashMap::from([("values.yaml".to_owned(), value.into_bytes())]);
    let contents = Contents::from([((ValuesReferenceKind::ConfigMap, "c".to_owned()), Some(data))]);
    let base: Option<Value> = input.get("base")?;
    match module::compose("ns", base.as_ref(), &references(&reference)?, &contents) {
        Ok(values) => same_values("values", values, expect.need("values")?),
        Err(error) => check(expect.get::<bool>("error")? == Some(true), || format!("error: {error}")),
    }
}

pub fn set_path(_: &str, input: &mut Fields, expect: &mut Fields) -> Result<(), String> {
    set(input, expect, false)
}

pub fn set_literal(_: &str, input: &mut Fields, expect: &mut Fields) -> Result<(), String> {
    set(input, expect, true)
}

pub fn digest(_: &str, input: &mut Fields, expect: &mut Fields) -> Result<(), String> {
    let mut values: Map<String, Value> = input.need("values")?;
    if let Some(text) = input.get::<String>("yaml")? {
        let read: Map<String, Value> = match yaml::parse(text.as_bytes()) {
            Ok(Value::Object(read)) => read,
            other => return Err(format!("yaml: is {other:?}")),
        };
        same_values("values", read.clone(), values)?;
        values = read;
    }
    expect.holds("digest", &module::digest(&values))?;
    let mut text = Vec::new();
    let tree = Value::Object(values);
    if tree == json!({}) {
        text = b"{}\n".to_vec();
    } else {
        text.extend(yaml::digest_text(&tree).map_err(|error| format!("{error:?}"))?);
    }
    expect.holds("encoded", &String::from_utf8(text).unwrap())
}

pub fn digest_verify(_: &str, input: &mut Fields, expect: &mut Fields) -> Result<(), String> {
    let digest: String = input.need("digest")?;
    let values = input.given("values")?.unwrap_or_default();
    same("ok", &(module::digest(&values) == digest), &expect.need("ok")?)
}
