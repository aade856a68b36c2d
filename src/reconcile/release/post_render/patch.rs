//! A patch of kustomize's: a strategic merge or RFC 6902 operations, and the objects that it goes to.

use serde_json::Value;

use super::{
    json_patch::{self, JsonPatch},
    merge,
    resources::{self, Id, Resource},
};
use crate::{
    api::kustomize::{Patch, Selector},
    cluster::selector::{Selection, SelectorError},
};

/// Why a patch cannot be applied. The texts are kustomize's.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("must specify one of patch and path in a patch")]
    Empty,
    #[error("unable to parse SM or JSON patch from {0}")]
    Unreadable(String),
    #[error(
        "Multiple Strategic-Merge Patches in one `patches` entry is not allowed to set `patches.target` field: {0}"
    )]
    Several(String),
    #[error("must specify a target for JSON patch {0}")]
    NoTarget(String),
    #[error(
        "no resource matches strategic merge patch \"{0}\": {1} for Id {0}; failed to find unique target for patch {0}"
    )]
    NoMatch(Id, &'static str),
    #[error("unable to find patch target \"{0}\" in `resources`")]
    Target(String, #[source] SelectorError),
    #[error("{0}")]
    Merge(#[source] merge::Error),
    #[error("{0}")]
    Operation(#[source] json_patch::Error),
    #[error("{0}")]
    Double(#[source] resources::Error),
}

/// What a patch does.
enum Change {
    Merge(Vec<Value>),
    Operations(JsonPatch),
}

/// Applies a patch.
pub fn apply(resources: &mut Vec<Resource>, patch: &Patch) -> Result<(), Error> {
    let text = patch.patch.trim();
    if text.is_empty() {
        return Err(Error::Empty);
    }
    let source = || format!("[patch: {}]", helm::quote::quote(text));
    let selection = |target| Selection::of(target).map_err(|source| Error::Target(described(target), source));
    let target = patch.target.as_ref().map(selection).transpose()?;
    match (read(text).ok_or_else(|| Error::Unreadable(source()))?, target) {
        (Change::Operations(operations), _) if operations.is_empty() => Ok(()),
        (Change::Operations(operations), Some(target)) => operate(resources, &operations, &target),
        (Change::Operations(_), None) => Err(Error::NoTarget(source())),
        (Change::Merge(patches), None) => patches.into_iter().try_for_each(|patch| merge_into_own(resources, patch)),
        (Change::Merge(mut patches), Some(target)) => match (patches.pop(), patches.is_empty()) {
            (Some(_), false) => Err(Error::Several(source())),
            (Some(patch), true) => merge_into(resources, &patch, &target),
            (None, _) => Ok(()),
        },
    }
}

/// Names a selector as kustomize does.
fn described(target: &Selector) -> String {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let Selector { annotation_selector, group, kind, label_selector, name, namespace, version } = target;
    let id = Id {
        group: text(group),
        version: text(version),
        kind: text(kind),
        name: text(name),
        namespace: text(namespace),
    };
    format!("{id}:a={}:l={}", text(annotation_selector), text(label_selector))
}

/// Reads a patch: objects are a strategic merge, a list is a list of operations.
fn read(text: &str) -> Option<Change> {
    let documents: Option<Vec<Value>> =
        helm::yaml::manifests(text.as_bytes()).into_iter().map(|document| document.value.ok()).collect();
    if let Some(patches) = documents.and_then(|documents| resources::validated(documents).ok()) {
        return Some(Change::Merge(patches));
    }
    let value = if text.starts_with('[') {
        serde_json::from_str(text).ok()?
    } else {
        helm::yaml::parse(text.as_bytes()).ok()?
    };
    JsonPatch::of(value).map(Change::Operations)
}

/// Tells whether a resource is selected, as it is or as it was first.
fn is_selected(resource: &Resource, target: &Selection) -> bool {
    let is = |id: &Id| {
        let mut head = resource.tree.clone();
        head["metadata"]["name"] = id.name.as_str().into();
        head["metadata"]["namespace"] = id.effective_namespace().into();
        target.selects(&head)
    };
    is(&resource.first_id()) || is(&resource.id())
}

fn operate(resources: &mut [Resource], operations: &JsonPatch, target: &Selection) -> Result<(), Error> {
    for resource in resources.iter_mut().filter(|resource| is_selected(resource, target)) {
        let id = resource.id();
        let tree = std::mem::take(&mut resource.tree);
        resource.tree = operations.apply(tree).map_err(Error::Operation)?;
        if !resource.tree.get("metadata").is_none_or(Value::is_object) {
            return Err(Error::Operation(json_patch::Error::NoObject));
        }
        resource.before.push(id);
    }
    Ok(())
}

/// Merges a patch into the object that it names.
fn merge_into_own(resources: &mut Vec<Resource>, patch: Value) -> Result<(), Error> {
    let id = Id::of(&patch);
    let mut matching = resources.iter().enumerate().filter(|(_, resource)| resource.was(&id)).map(|(at, _)| at);
    let at = match (matching.next(), matching.next()) {
        (Some(at), None) => at,
        (Some(_), Some(_)) => return Err(Error::NoMatch(id, "multiple matches")),
        (None, _) => return Err(Error::NoMatch(id, "no matches")),
    };
    if !merge_one(&mut resources[at], patch)? {
        resources.remove(at);
    }
    Ok(())
}

/// Merges a patch into all objects that are selected.
fn merge_into(resources: &mut Vec<Resource>, patch: &Value, target: &Selection) -> Result<(), Error> {
    let mut kept = Vec::new();
    for mut resource in std::mem::take(resources) {
        let patch = is_selected(&resource, target).then(|| for_target(patch, &resource.tree));
        let is_left = patch.map_or(Ok(true), |patch| merge_one(&mut resource, patch))?;
        kept.extend(is_left.then_some(resource));
    }
    *resources = resources::unique(kept).map_err(Error::Double)?;
    Ok(())
}

/// Makes a patch one for the object: of its version, with labels and annotations that are texts.
fn for_target(patch: &Value, tree: &Value) -> Value {
    let mut patch = patch.clone();
    patch["apiVersion"] = tree["apiVersion"].clone();
    for field in ["labels", "annotations"] {
        let entries =
            patch.get_mut("metadata").and_then(|metadata| metadata.get_mut(field)).and_then(Value::as_object_mut);
        for value in entries.into_iter().flat_map(|entries| entries.values_mut()) {
            let text = match &*value {
                Value::String(_) => continue,
                Value::Object(_) | Value::Array(_) => String::new(),
                other => other.to_string(),
            };
            *value = text.into();
        }
    }
    patch
}

/// Merges a patch into a resource, which keeps its kind, name and namespace; tells whether there is something left.
fn merge_one(resource: &mut Resource, patch: Value) -> Result<bool, Error> {
    let id = resource.id();
    let shown = |error: merge::Error| if id.kind == "Secret" { error.without_contents() } else { error };
    let merged = merge::merge(std::mem::take(&mut resource.tree), patch);
    let Some(mut merged) = merged.map_err(|error| Error::Merge(shown(error)))? else { return Ok(false) };
    if merged.as_object().is_none_or(serde_json::Map::is_empty) {
        return Ok(false);
    }
    merged["kind"] = id.kind.into();
    merged["metadata"]["name"] = id.name.into();
    if id.namespace.is_empty() {
        merged["metadata"].as_object_mut().map(|metadata| metadata.remove("namespace"));
    } else {
        merged["metadata"]["namespace"] = id.namespace.into();
    }
    resource.tree = merged;
    Ok(true)
}
