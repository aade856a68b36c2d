//! In which order objects are applied and deleted (fluxcd/pkg `ssa/sort.go`), and in which stages.

use std::cmp::Ordering;

use serde_json::Value;

use crate::cluster::object::{self, ObjectId};

const FIRST: [&str; 23] = [
    "CustomResourceDefinition",
    "Namespace",
    "ClusterRole",
    "ClusterClass",
    "RuntimeClass",
    "PriorityClass",
    "StorageClass",
    "VolumeSnapshotClass",
    "IngressClass",
    "GatewayClass",
    "ClusterRoleBinding",
    "ResourceQuota",
    "ServiceAccount",
    "Role",
    "RoleBinding",
    "ConfigMap",
    "Secret",
    "Service",
    "LimitRange",
    "Deployment",
    "StatefulSet",
    "CronJob",
    "PodDisruptionBudget",
];
const LAST: [&str; 2] = ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"];

/// Returns a kind's place: kinds of one place may be applied side by side.
pub fn rank(kind: &str) -> i32 {
    let place = |list: &[&str]| list.iter().position(|known| *known == kind).and_then(|at| i32::try_from(at).ok());
    match (place(&FIRST), place(&LAST)) {
        (Some(at), _) => at - FIRST.len() as i32,
        (None, Some(at)) => at + 1,
        (None, None) => 0,
    }
}

/// Compares by rank, group, kind, namespace and name; deletion goes the other way.
pub fn compare(a: &ObjectId, b: &ObjectId) -> Ordering {
    rank(&a.kind).cmp(&rank(&b.kind)).then_with(|| a.cmp(b))
}

/// A part of an apply. Definitions and classes are waited for before the next one begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Definitions, namespaces and cluster roles.
    Definitions,
    /// Kinds whose name ends in `Class`.
    Classes,
    /// All else.
    Rest,
}

/// Tells in which stage an object is applied.
pub fn stage(tree: &Value) -> Stage {
    let kind = object::kind(tree).unwrap_or_default();
    let (group, _) = object::split_api_version(object::api_version(tree).unwrap_or_default());
    match (group, kind) {
        ("apiextensions.k8s.io", "CustomResourceDefinition")
        | ("", "Namespace")
        | ("rbac.authorization.k8s.io", "ClusterRole") => Stage::Definitions,
        _ if kind.ends_with("Class") => Stage::Classes,
        _ => Stage::Rest,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn id(text: &str) -> ObjectId {
        let (kind, name) = text.split_once(' ').unwrap_or((text, "x"));
        let (group, kind) = kind.split_once('/').unwrap_or(("", kind));
        ObjectId { group: group.into(), kind: kind.into(), namespace: "n".into(), name: name.into() }
    }

    fn sorted(texts: &[&str]) -> Vec<String> {
        let mut ids: Vec<_> = texts.iter().map(|text| id(text)).collect();
        ids.sort_by(compare);
        ids.iter()
            .map(|id| format!("{}{}{} {}", id.group, if id.group.is_empty() { "" } else { "/" }, id.kind, id.name))
            .collect()
    }

    #[test]
    fn known_kinds_come_first_or_last_and_others_by_group_kind_namespace_and_name() {
        assert_eq!(
            sorted(&["batch/Job b", "apps/DaemonSet a", "Deployment z", "batch/Job a"]),
            ["Deployment z", "apps/DaemonSet a", "batch/Job a", "batch/Job b"]
        );
        assert_eq!(sorted(&["example.com/Thing x", "Pod p"]), ["Pod p", "example.com/Thing x"]);
        assert_eq!(
            sorted(&["ValidatingWebhookConfiguration w", "Pod p", "Secret s", "Namespace n", "ConfigMap c"]),
            ["Namespace n", "ConfigMap c", "Secret s", "Pod p", "ValidatingWebhookConfiguration w"]
        );
    }

    #[test]
    fn stages_are_told_by_kind_and_group() {
        let rows = [
            ("apiextensions.k8s.io/v1", "CustomResourceDefinition", Stage::Definitions),
            ("v1", "Namespace", Stage::Definitions),
            ("rbac.authorization.k8s.io/v1", "ClusterRole", Stage::Definitions),
            ("example.com/v1", "Namespace", Stage::Rest),
            ("storage.k8s.io/v1", "StorageClass", Stage::Classes),
            ("gateway.networking.k8s.io/v1", "GatewayClass", Stage::Classes),
            ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", Stage::Rest),
            ("apps/v1", "Deployment", Stage::Rest),
        ];
        for (api_version, kind, expected) in rows {
            assert_eq!(stage(&json!({"apiVersion": api_version, "kind": kind})), expected, "{kind}");
        }
    }
}
