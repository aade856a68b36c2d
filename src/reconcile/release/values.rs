//! A release's values: references in order, then the inline ones, as Flux composes them. Pure: the references' contents
//! are handed in.

use std::{borrow::Cow, collections::HashMap};

use helm::{strvals, yaml};
use serde_json::{Map, Value};

use crate::{
    api::helm_release::{ValuesReference, ValuesReferenceKind},
    source::archive,
};

/// The key that is read where a reference names none.
const DEFAULT_KEY: &str = "values.yaml";

/// The `ConfigMaps` and Secrets that values are read from: kind and name to data by key; none for one that does not exist.
pub type Contents = HashMap<(ValuesReferenceKind, String), Option<HashMap<String, Vec<u8>>>>;

/// Why values cannot be composed. No text of these holds a value.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("could not resolve {kind} chart values reference '{namespace}/{name}' with key '{key}': {problem}")]
    Unresolved { kind: &'static str, namespace: String, name: String, key: String, problem: Problem },
    #[error("spec.values is not a map")]
    Inline,
}

/// What is wrong with a reference, in Flux's words where they hold no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    #[error("{resource} \"{name}\" not found")]
    NotFound { resource: &'static str, name: String },
    #[error("key not found")]
    MissingKey,
    /// What YAML says where it quotes nothing of the text, else the line.
    #[error("error converting YAML to JSON: {0}")]
    NotYaml(String),
    #[error(
        "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal {0} into Go value of type common.Values"
    )]
    NotMap(&'static str),
    /// What Flux says here quotes the value.
    #[error("the value cannot be merged into target path '{0}'")]
    TargetPath(String),
}

/// Composes values. `namespace` is the release object's, where all references are.
pub fn compose(
    namespace: &str,
    inline: Option<&Value>,
    references: &[ValuesReference],
    contents: &Contents,
) -> Result<Map<String, Value>, Error> {
    let mut inline = match inline {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(map)) => map.clone(),
        Some(_) => return Err(Error::Inline),
    };
    let mut result = Map::new();
    for reference in references {
        let Some(data) = resolve(namespace, reference, contents)? else { continue };
        match reference.target_path.as_deref().filter(|path| !path.is_empty()) {
            None => {
                let values = parse(data).map_err(|problem| unresolved(namespace, reference, problem))?;
                merge(&mut result, &values);
            }
            Some(path) => {
                merge(&mut result, &inline);
                set(&mut result, path, data, reference.literal)
                    .ok_or_else(|| unresolved(namespace, reference, Problem::TargetPath(path.to_owned())))?;
                share_lists(&mut inline, &result);
            }
        }
    }
    merge(&mut result, &inline);
    Ok(result)
}

fn kind(reference: &ValuesReference) -> &'static str {
    match reference.kind {
        ValuesReferenceKind::ConfigMap => "ConfigMap",
        ValuesReferenceKind::Secret | ValuesReferenceKind::Unknown(_) => "Secret",
    }
}

/// Returns the key that a reference reads.
pub fn key(reference: &ValuesReference) -> &str {
    reference.values_key.as_deref().filter(|key| !key.is_empty()).unwrap_or(DEFAULT_KEY)
}

fn unresolved(namespace: &str, reference: &ValuesReference, problem: Problem) -> Error {
    Error::Unresolved {
        kind: kind(reference),
        namespace: namespace.to_owned(),
        name: reference.name.clone(),
        key: key(reference).to_owned(),
        problem,
    }
}

fn resolve<'c>(
    namespace: &str,
    reference: &ValuesReference,
    contents: &'c Contents,
) -> Result<Option<&'c [u8]>, Error> {
    let object = contents.get(&(reference.kind.clone(), reference.name.clone())).and_then(Option::as_ref);
    let problem = match object {
        None => {
            let resource = if reference.kind == ValuesReferenceKind::ConfigMap { "configmaps" } else { "secrets" };
            Problem::NotFound { resource, name: reference.name.clone() }
        }
        Some(data) => match data.get(key(reference)) {
            Some(bytes) => return Ok(Some(bytes)),
            None => Problem::MissingKey,
        },
    };
    if reference.optional { Ok(None) } else { Err(unresolved(namespace, reference, problem)) }
}

fn parse(data: &[u8]) -> Result<Map<String, Value>, Problem> {
    match yaml::parse(data) {
        Ok(Value::Object(map)) => Ok(map),
        Ok(Value::Null) => Ok(Map::new()),
        Ok(Value::Array(_)) => Err(Problem::NotMap("array")),
        Ok(Value::Bool(_)) => Err(Problem::NotMap("bool")),
        Ok(Value::Number(_)) => Err(Problem::NotMap("number")),
        Ok(Value::String(_)) => Err(Problem::NotMap("string")),
        // A problem that is a constant text holds nothing of what was read.
        Err(error @ yaml::Error::Syntax { problem: Cow::Borrowed(_), .. }) => Err(Problem::NotYaml(error.to_string())),
        Err(yaml::Error::Syntax { line, .. }) => Err(Problem::NotYaml(format!("yaml: line {line}: not valid YAML"))),
        Err(_) => Err(Problem::NotYaml("not valid YAML".to_owned())),
    }
}

/// Merges maps deeply; anything else of `over` replaces what is there (Helm's `mergeMaps`).
pub fn merge(base: &mut Map<String, Value>, over: &Map<String, Value>) {
    for (key, value) in over {
        match (base.get_mut(key), value) {
            (Some(Value::Object(base)), Value::Object(over)) => merge(base, over),
            _ => {
                base.insert(key.clone(), value.clone());
            }
        }
    }
}

/// Sets one value in the syntax of `helm --set`; a value wholly in quotes is a string, and so is a literal one.
fn set(values: &mut Map<String, Value>, path: &str, data: &[u8], literal: bool) -> Option<()> {
    let text = std::str::from_utf8(data).ok()?;
    if literal {
        return strvals::parse_into_string(&format!("{path}={}", escaped(text)), values).ok();
    }
    let quoted = |quote: char| text.len() >= 2 && text.starts_with(quote) && text.ends_with(quote);
    if quoted('"') || quoted('\'') {
        return strvals::parse_into_string(&format!("{path}={}", &text[1..text.len() - 1]), values).ok();
    }
    strvals::parse_into(&format!("{path}={text}"), values).ok()
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '\\' | ',' | '[' | ']' | '{' | '}') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

/// Carries over what a set path changed inside of lists. In Go the merged values share the lists of the inline ones, so
/// that an element set by its index is set in both; a list that had to grow is a new one and is not.
fn share_lists(inline: &mut Map<String, Value>, result: &Map<String, Value>) {
    for (key, value) in inline {
        match (value, result.get(key)) {
            (Value::Object(inline), Some(Value::Object(result))) => share_lists(inline, result),
            (Value::Array(inline), Some(Value::Array(result))) if inline.len() == result.len() => {
                inline.clone_from(result);
            }
            _ => {}
        }
    }
}

/// Returns the digest of values as Flux takes it: of go-yaml's text with sorted keys, and of nothing for no values.
pub fn digest(values: &Map<String, Value>) -> String {
    let text = if values.is_empty() { Ok(Vec::new()) } else { yaml::digest_text(&Value::Object(values.clone())) };
    // Values come from JSON, so that there is nothing in them that YAML cannot write.
    archive::digest(&text.unwrap_or_default())
}
