//! Which object a JSON tree is, and how it is named to people.

use std::fmt;

use serde_json::Value;

/// Identifies an object within a cluster, whatever version it is written in.
///
/// Ordered by group, kind, namespace and name. `Display` is Flux's form: `Kind/namespace/name`, or `Kind/name` where
/// there is no namespace.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectId {
    /// API group, empty for the core group.
    pub group: String,
    /// Kind, as `Deployment`.
    pub kind: String,
    /// Namespace, empty for objects of the cluster.
    pub namespace: String,
    /// `metadata.name`.
    pub name: String,
}

impl ObjectId {
    /// Reads the identity of an object's tree; `None` when apiVersion, kind or name is missing or not a string.
    pub fn of(object: &Value) -> Option<Self> {
        let (group, _) = split_api_version(api_version(object)?);
        Some(Self {
            group: group.to_owned(),
            kind: kind(object)?.to_owned(),
            namespace: namespace(object).unwrap_or_default().to_owned(),
            name: name(object)?.to_owned(),
        })
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            write!(f, "{}/{}", self.kind, self.name)
        } else {
            write!(f, "{}/{}/{}", self.kind, self.namespace, self.name)
        }
    }
}

/// Splits an apiVersion in group (empty for the core group) and version.
pub fn split_api_version(api_version: &str) -> (&str, &str) {
    api_version.split_once('/').unwrap_or(("", api_version))
}

/// Joins a group (empty for the core group) and a version to an apiVersion.
pub fn join_api_version(group: &str, version: &str) -> String {
    if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") }
}

fn filled<'a>(object: &'a Value, pointer: &str) -> Option<&'a str> {
    object.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty())
}

/// Returns the object's apiVersion, if it has one.
pub fn api_version(object: &Value) -> Option<&str> {
    filled(object, "/apiVersion")
}

/// Returns the object's kind, if it has one.
pub fn kind(object: &Value) -> Option<&str> {
    filled(object, "/kind")
}

/// Returns the object's name, if it has one.
pub fn name(object: &Value) -> Option<&str> {
    filled(object, "/metadata/name")
}

/// Returns the object's namespace, if it has one.
pub fn namespace(object: &Value) -> Option<&str> {
    filled(object, "/metadata/namespace")
}

/// Returns the object's resourceVersion, if it has one.
pub fn resource_version(object: &Value) -> Option<&str> {
    filled(object, "/metadata/resourceVersion")
}

/// Returns the object's generation; kinds without a spec have none.
pub fn generation(object: &Value) -> Option<i64> {
    object.pointer("/metadata/generation").and_then(Value::as_i64)
}

/// Returns the object's uid, if it has one.
pub fn uid(object: &Value) -> Option<&str> {
    filled(object, "/metadata/uid")
}

/// Tells whether the object is being deleted.
pub fn is_terminating(object: &Value) -> bool {
    filled(object, "/metadata/deletionTimestamp").is_some()
}

/// Returns the value of a label.
pub fn label<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object.get("metadata")?.get("labels")?.get(key)?.as_str()
}

/// Returns the value of an annotation.
pub fn annotation<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object.get("metadata")?.get("annotations")?.get(key)?.as_str()
}

/// Tells whether a label or an annotation has the value, letter case aside, as Flux reads its switches.
pub fn has_switch(object: &Value, key: &str, value: &str) -> bool {
    [label(object, key), annotation(object, key)].into_iter().flatten().any(|found| found.eq_ignore_ascii_case(value))
}

/// Sets `metadata.<field>.<key>`, where field is `labels` or `annotations`; what is there and no map is replaced.
pub fn set_metadata_entry(object: &mut Value, field: &str, key: &str, value: &str) {
    let metadata = map_entry(object, "metadata");
    let entries = map_entry(metadata, field);
    entries[key] = Value::from(value);
}

fn map_entry<'a>(parent: &'a mut Value, key: &str) -> &'a mut Value {
    if !parent.is_object() {
        *parent = Value::Object(serde_json::Map::new());
    }
    let child = &mut parent[key];
    if !child.is_object() {
        *child = Value::Object(serde_json::Map::new());
    }
    child
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_object_is_named_as_flux_names_it() {
        let deployment =
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a", "namespace": "n"}});
        let id = ObjectId::of(&deployment).expect("complete");
        assert_eq!((id.group.as_str(), id.to_string().as_str()), ("apps", "Deployment/n/a"));
        let role =
            json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "r"}});
        assert_eq!(ObjectId::of(&role).expect("complete").to_string(), "ClusterRole/r");
    }

    #[test]
    fn an_incomplete_object_has_no_identity() {
        for tree in
            [json!({}), json!(null), json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": ""}}), json!([1])]
        {
            assert_eq!(ObjectId::of(&tree), None, "{tree}");
        }
    }

    #[test]
    fn a_switch_is_read_from_labels_and_annotations_without_regard_to_case() {
        let object = json!({"metadata": {"labels": {"x/ssa": "ignore"}, "annotations": {"x/prune": "Disabled"}}});
        assert!(has_switch(&object, "x/ssa", "Ignore"));
        assert!(has_switch(&object, "x/prune", "disabled"));
        assert!(!has_switch(&object, "x/prune", "enabled"));
    }

    #[test]
    fn setting_a_label_makes_what_is_missing() {
        let mut object = json!({"metadata": {"labels": null}});
        set_metadata_entry(&mut object, "labels", "a/b", "c");
        assert_eq!(object, json!({"metadata": {"labels": {"a/b": "c"}}}));
    }
}
