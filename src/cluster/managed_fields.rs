//! Who owns which fields of an object: the entries of `metadata.managedFields`.

use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::{Map, Value, json};

use super::object;

/// A manager whose entries are folded into ours, so that what it wrote and the source does not hold goes away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoldedManager {
    /// Start of the manager's name, or all of it.
    pub prefix: String,
    /// Whether it is all of the name.
    pub exact: bool,
    /// `Apply` or `Update`.
    pub operation: &'static str,
}

/// Annotations that tools before us left and that Flux takes away from what it applies.
const STALE_ANNOTATIONS: [&str; 3] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    "kustomize.toolkit.fluxcd.io/checksum",
    "fluxcd.io/sync-checksum",
];
/// Labels of the same kind.
const STALE_LABELS: [&str; 1] = ["fluxcd.io/sync-gc-mark"];

/// Lists the managers that Flux's kustomize-controller folds into its own: kubectl in both ways, what was there
/// before the first apply, its own updates, and those that `--override-manager` names.
pub fn folded_managers(own: &str, overridden: &[String]) -> Vec<FoldedManager> {
    let fixed = [("kubectl", "Apply"), ("kubectl", "Update"), ("before-first-apply", "Update"), (own, "Update")];
    let named = overridden.iter().flat_map(|name| [(name.as_str(), "Apply"), (name.as_str(), "Update")]);
    fixed
        .into_iter()
        .chain(named)
        .map(|(prefix, operation)| FoldedManager { prefix: prefix.to_owned(), exact: false, operation })
        .collect()
}

/// Lists the managers that a release's objects are taken over from when they are applied server-side: our own updates,
/// as Helm's migration from client-side apply does, and what the `helm` program wrote in either way.
pub fn helm_managers(own: &str) -> Vec<FoldedManager> {
    [(own, "Update"), ("helm", "Update"), ("helm", "Apply")]
        .into_iter()
        .map(|(name, operation)| FoldedManager { prefix: name.to_owned(), exact: true, operation })
        .collect()
}

fn entries(object: &Value) -> &[Value] {
    object.pointer("/metadata/managedFields").and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn text<'a>(entry: &'a Value, key: &str) -> &'a str {
    entry.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn is_own(entry: &Value, manager: &str) -> bool {
    text(entry, "manager") == manager && text(entry, "operation") == "Apply" && text(entry, "subresource").is_empty()
}

fn is_folded(entry: &Value, folded: &[FoldedManager]) -> bool {
    text(entry, "subresource").is_empty()
        && folded.iter().any(|known| {
            let manager = text(entry, "manager");
            let is_it = if known.exact { manager == known.prefix } else { manager.starts_with(&known.prefix) };
            is_it && text(entry, "operation") == known.operation
        })
}

/// Hashes what a manager wrote, in either way of applying: the fields it owns and when it last changed one. Any edit of a
/// field that it owns, by anyone, changes this; an edit of the status or of others' fields does not. `None` when it owns
/// nothing.
pub fn fingerprint(object: &Value, manager: &str) -> Option<u64> {
    let is_own = |entry: &&Value| text(entry, "manager") == manager && text(entry, "subresource").is_empty();
    let mut own = entries(object).iter().filter(is_own).peekable();
    own.peek()?;
    let mut hasher = DefaultHasher::new();
    for entry in own {
        for key in ["operation", "time", "apiVersion"] {
            text(entry, key).hash(&mut hasher);
        }
        entry.get("fieldsV1").map(Value::to_string).hash(&mut hasher);
    }
    Some(hasher.finish())
}

/// Tells whether a manager owns a field at the first level of an object, or a part of it.
pub fn owns(object: &Value, manager: &str, field: &str) -> bool {
    let fields = entries(object).iter().filter(|entry| text(entry, "manager") == manager);
    fields.filter_map(|entry| entry.get("fieldsV1")).any(|fields| fields.get(format!("f:{field}")).is_some())
}

/// Hashes what all managers wrote but for subresources.
pub fn writes(object: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    for entry in entries(object).iter().filter(|entry| text(entry, "subresource").is_empty()) {
        entry.to_string().hash(&mut hasher);
    }
    hasher.finish()
}

/// Lists the managers that have written an object.
pub fn managers(object: &Value) -> Vec<String> {
    entries(object).iter().map(|entry| text(entry, "manager").to_owned()).collect()
}

/// Returns when a manager last changed something, as the API server wrote it.
pub fn last_change<'a>(object: &'a Value, manager: &str) -> Option<&'a str> {
    entries(object).iter().find(|entry| is_own(entry, manager))?.get("time")?.as_str()
}

/// Tells whether the object holds entries or metadata that [`fold`] would take away.
pub fn needs_fold(object: &Value, folded: &[FoldedManager]) -> bool {
    entries(object).iter().any(|entry| is_folded(entry, folded))
        || STALE_ANNOTATIONS.iter().any(|key| object::annotation(object, key).is_some())
        || STALE_LABELS.iter().any(|key| object::label(object, key).is_some())
}

/// Makes the JSON patch that gives others' fields to `manager`, as [`fold`] does, and takes nothing away.
pub fn give(object: &Value, folded: &[FoldedManager], manager: &str) -> Option<Value> {
    let entries = folded_entries(entries(object), folded, manager)?;
    let version = object::resource_version(object)?;
    Some(json!([
        {"op": "replace", "path": "/metadata/managedFields", "value": entries},
        {"op": "replace", "path": "/metadata/resourceVersion", "value": version},
    ]))
}

/// Makes the JSON patch that gives others' fields to `manager` and takes away what older tools left; `None` when
/// there is nothing to do. It holds the resourceVersion, so that it never lands on another state of the object.
pub fn fold(object: &Value, folded: &[FoldedManager], manager: &str) -> Option<Value> {
    let mut patch = Vec::new();
    for key in STALE_ANNOTATIONS.iter().filter(|key| object::annotation(object, key).is_some()) {
        patch.push(json!({"op": "remove", "path": format!("/metadata/annotations/{}", escape(key))}));
    }
    for key in STALE_LABELS.iter().filter(|key| object::label(object, key).is_some()) {
        patch.push(json!({"op": "remove", "path": format!("/metadata/labels/{}", escape(key))}));
    }
    patch.extend(taken_over(object, folded, manager));
    at_this_version(object, patch)
}

/// Makes the JSON patch that gives others' fields to `manager` and changes nothing else; `None` when there is nothing
/// to do.
pub fn take_over(object: &Value, folded: &[FoldedManager], manager: &str) -> Option<Value> {
    at_this_version(object, taken_over(object, folded, manager).into_iter().collect())
}

fn taken_over(object: &Value, folded: &[FoldedManager], manager: &str) -> Option<Value> {
    let entries = folded_entries(entries(object), folded, manager)?;
    Some(json!({"op": "replace", "path": "/metadata/managedFields", "value": entries}))
}

fn at_this_version(object: &Value, mut patch: Vec<Value>) -> Option<Value> {
    if patch.is_empty() {
        return None;
    }
    let version = object::resource_version(object)?;
    patch.push(json!({"op": "replace", "path": "/metadata/resourceVersion", "value": version}));
    Some(Value::Array(patch))
}

fn folded_entries(entries: &[Value], folded: &[FoldedManager], manager: &str) -> Option<Vec<Value>> {
    let mut own = entries.iter().find(|entry| is_own(entry, manager)).cloned();
    let mut kept = Vec::new();
    let mut edited = false;
    for entry in entries.iter().filter(|entry| !is_own(entry, manager)) {
        if !is_folded(entry, folded) {
            kept.push(entry.clone());
            continue;
        }
        edited = true;
        match &mut own {
            None => {
                let mut renamed = entry.clone();
                renamed["manager"] = Value::from(manager);
                renamed["operation"] = Value::from("Apply");
                own = Some(renamed);
            }
            Some(own) => union(own, entry),
        }
    }
    kept.extend(own);
    edited.then_some(kept)
}

/// Adds the fields of one entry to another; both are tries of paths, so that their union is a merge of maps.
fn union(own: &mut Value, other: &Value) {
    let Some(Value::Object(fields)) = other.get("fieldsV1") else { return };
    if !own["fieldsV1"].is_object() {
        own["fieldsV1"] = Value::Object(Map::new());
    }
    merge(&mut own["fieldsV1"], fields);
}

fn merge(target: &mut Value, source: &Map<String, Value>) {
    for (key, child) in source {
        let slot = &mut target[key.as_str()];
        if !slot.is_object() {
            *slot = Value::Object(Map::new());
        }
        if let Value::Object(child) = child {
            merge(slot, child);
        }
    }
}

fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str = "kustomize-controller";

    fn entry(manager: &str, operation: &str, fields: Value) -> Value {
        json!({"manager": manager, "operation": operation, "apiVersion": "v1", "time": "2026-01-01T00:00:00Z", "fieldsV1": fields})
    }

    fn object(entries: Vec<Value>) -> Value {
        json!({"metadata": {"resourceVersion": "7", "managedFields": entries}})
    }

    #[test]
    fn the_fields_of_helms_managers_are_taken_over_and_nothing_else() {
        let folded = helm_managers("helm-controller");
        let theirs = entry("helm-operator", "Update", json!({"f:x": {}}));
        let tree = object(vec![
            entry("helm", "Update", json!({"f:data": {"f:a": {}}})),
            entry("helm-controller", "Update", json!({"f:data": {"f:b": {}}})),
            theirs.clone(),
        ]);
        let patch = take_over(&tree, &folded, "helm-controller").expect("patch");
        let own = entry("helm-controller", "Apply", json!({"f:data": {"f:a": {}, "f:b": {}}}));
        assert_eq!(patch[0]["value"], json!([theirs, own]));
        assert_eq!(patch.as_array().map(Vec::len), Some(2));
        assert_eq!(take_over(&object(vec![theirs]), &folded, "helm-controller"), None);
    }

    #[test]
    fn kubectls_entry_becomes_ours_when_we_have_none() {
        let live = object(vec![entry("kubectl-client-side-apply", "Update", json!({"f:data": {"f:a": {}}}))]);
        let patch = fold(&live, &folded_managers(OWN, &[]), OWN).expect("needed");
        assert_eq!(patch[0]["value"], json!([entry(OWN, "Apply", json!({"f:data": {"f:a": {}}}))]));
        assert_eq!(patch[1], json!({"op": "replace", "path": "/metadata/resourceVersion", "value": "7"}));
    }

    #[test]
    fn kubectls_fields_are_added_to_ours_and_other_managers_stay() {
        let other = entry("autoscaler", "Update", json!({"f:spec": {"f:replicas": {}}}));
        let live = object(vec![
            entry("kubectl", "Apply", json!({"f:data": {"f:b": {}, ".": {}}})),
            entry(OWN, "Apply", json!({"f:data": {"f:a": {}}})),
            other.clone(),
        ]);
        let patch = fold(&live, &folded_managers(OWN, &[]), OWN).expect("needed");
        assert_eq!(
            patch[0]["value"],
            json!([other, entry(OWN, "Apply", json!({"f:data": {"f:a": {}, "f:b": {}, ".": {}}}))])
        );
    }

    #[test]
    fn only_the_managers_of_the_list_are_folded() {
        let rows = [
            ("kubectl-edit", "Update", "", true),
            ("kubectl", "Apply", "", true),
            ("before-first-apply", "Update", "", true),
            ("before-first-apply", "Apply", "", false),
            (OWN, "Update", "", true),
            (OWN, "Apply", "", false),
            ("kubectl", "Update", "status", false),
            ("rancher", "Update", "", true),
            ("helm", "Apply", "", false),
        ];
        let folded = folded_managers(OWN, &["rancher".to_owned()]);
        for (manager, operation, subresource, expected) in rows {
            let mut entry = entry(manager, operation, json!({}));
            entry["subresource"] = Value::from(subresource);
            assert_eq!(needs_fold(&object(vec![entry]), &folded), expected, "{manager} {operation} {subresource}");
        }
    }

    #[test]
    fn annotations_and_labels_of_older_tools_go() {
        let live = json!({"metadata": {"resourceVersion": "1",
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}", "keep": "x"},
            "labels": {"fluxcd.io/sync-gc-mark": "y"}}});
        let patch = fold(&live, &[], OWN).expect("needed");
        let paths: Vec<_> =
            patch.as_array().expect("list").iter().map(|op| op["path"].as_str().unwrap_or_default()).collect();
        assert_eq!(
            paths,
            [
                "/metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration",
                "/metadata/labels/fluxcd.io~1sync-gc-mark",
                "/metadata/resourceVersion"
            ]
        );
        assert_eq!(fold(&json!({"metadata": {"resourceVersion": "1"}}), &[], OWN), None);
    }

    #[test]
    fn the_fingerprint_changes_with_our_fields_only() {
        let ours = entry(OWN, "Apply", json!({"f:data": {"f:a": {}}}));
        let before = fingerprint(&object(vec![ours.clone()]), OWN);
        let status = entry("kubelet", "Update", json!({"f:status": {}}));
        assert_eq!(fingerprint(&object(vec![ours, status]), OWN), before);
        assert_ne!(fingerprint(&object(vec![entry(OWN, "Apply", json!({"f:data": {}}))]), OWN), before);
        assert_eq!(fingerprint(&object(vec![]), OWN), None);
    }
}
