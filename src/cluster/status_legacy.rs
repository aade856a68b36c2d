//! Helm's own readiness, from before it used kstatus: `spec.waitStrategy: legacy`. Kinds that it does not know are ready at
//! once.
//!
//! Where Helm counts pods, what the controllers say of them in the object's status is taken.

use serde_json::Value;

use super::{
    object,
    status::{Health, JobRule, Status},
};

/// Computes whether an object is ready.
pub fn compute(tree: &Value, jobs: JobRule) -> Health {
    let api_version = object::api_version(tree).unwrap_or_default();
    let problem = match (api_version, object::kind(tree).unwrap_or_default()) {
        ("v1", "Pod") => (!has_condition(tree, "Ready", "True")).then(|| "Pod is not ready".to_owned()),
        ("batch/v1", "Job") if jobs == JobRule::Completed => return job(tree),
        ("apps/v1", "Deployment") => deployment(tree),
        ("v1", "PersistentVolumeClaim") => {
            (text(tree, "/status/phase") != "Bound").then(|| "PersistentVolumeClaim is not bound".to_owned())
        }
        ("v1", "Service") => service(tree),
        ("apps/v1", "DaemonSet") => daemon_set(tree),
        ("apps/v1", "StatefulSet") => stateful_set(tree),
        ("apps/v1", "ReplicaSet") | ("v1", "ReplicationController") => pods(tree),
        ("apiextensions.k8s.io/v1" | "apiextensions.k8s.io/v1beta1", "CustomResourceDefinition") => {
            let is_ready = has_condition(tree, "Established", "True") || has_condition(tree, "NamesAccepted", "False");
            (!is_ready).then(|| "CustomResourceDefinition is not established".to_owned())
        }
        _ => None,
    };
    match problem {
        None => health(Status::Current, "", "Resource is ready"),
        Some(problem) => health(Status::InProgress, "NotReady", &problem),
    }
}

fn health(status: Status, reason: &str, message: &str) -> Health {
    Health { status, reason: reason.to_owned(), message: message.to_owned() }
}

fn text<'a>(tree: &'a Value, pointer: &str) -> &'a str {
    tree.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn number(tree: &Value, pointer: &str) -> i64 {
    tree.pointer(pointer).and_then(Value::as_i64).unwrap_or(0)
}

fn has_condition(tree: &Value, kind: &str, status: &str) -> bool {
    let conditions = tree.pointer("/status/conditions").and_then(Value::as_array);
    conditions.into_iter().flatten().any(|condition| condition["type"] == kind && condition["status"] == status)
}

fn unobserved(tree: &Value) -> Option<String> {
    let is_observed = number(tree, "/status/observedGeneration") == object::generation(tree).unwrap_or(0);
    (!is_observed).then(|| "the newest generation is not observed yet".to_owned())
}

fn too_few(what: &str, found: i64, wanted: i64) -> Option<String> {
    (found < wanted).then(|| format!("{found} out of {wanted} {what}"))
}

/// Reads a count or a percentage of a whole.
fn scaled(value: Option<&Value>, whole: i64, up: bool) -> Option<i64> {
    let value = value?;
    if let Some(count) = value.as_i64() {
        return Some(count);
    }
    let percent: i64 = value.as_str()?.strip_suffix('%')?.parse().ok()?;
    let parts = whole.checked_mul(percent)?;
    Some(if up { parts.saturating_add(99) / 100 } else { parts / 100 })
}

fn job(tree: &Value) -> Health {
    let limit = tree.pointer("/spec/backoffLimit").and_then(Value::as_i64).unwrap_or(6);
    if number(tree, "/status/failed") > limit {
        let (namespace, name) = (object::namespace(tree).unwrap_or_default(), object::name(tree).unwrap_or_default());
        return health(Status::Failed, "JobFailed", &format!("job is failed: {namespace}/{name}"));
    }
    match tree.pointer("/spec/completions").and_then(Value::as_i64) {
        Some(completions) if number(tree, "/status/succeeded") < completions => {
            health(Status::InProgress, "NotReady", "Job is not completed")
        }
        _ => health(Status::Current, "", "Job is completed"),
    }
}

fn deployment(tree: &Value) -> Option<String> {
    let replicas = tree.pointer("/spec/replicas").and_then(Value::as_i64).unwrap_or(1);
    let unavailable = if text(tree, "/spec/strategy/type") == "Recreate" || replicas == 0 {
        0
    } else {
        let given = tree.pointer("/spec/strategy/rollingUpdate/maxUnavailable");
        scaled(given, replicas, false).unwrap_or(replicas / 4).min(replicas)
    };
    // Pods of older replica sets are not counted.
    let old = number(tree, "/status/replicas") - number(tree, "/status/updatedReplicas");
    let ready = number(tree, "/status/readyReplicas") - old.max(0);
    unobserved(tree).or_else(|| too_few("expected pods are ready", ready.max(0), replicas - unavailable))
}

fn service(tree: &Value) -> Option<String> {
    let kind = text(tree, "/spec/type");
    if kind == "ExternalName" {
        return None;
    }
    if text(tree, "/spec/clusterIP").is_empty() {
        return Some("Service does not have cluster IP address".to_owned());
    }
    let is_filled =
        |pointer: &str| tree.pointer(pointer).and_then(Value::as_array).is_some_and(|list| !list.is_empty());
    let lacks = kind == "LoadBalancer" && !is_filled("/spec/externalIPs") && !is_filled("/status/loadBalancer/ingress");
    lacks.then(|| "Service does not have load balancer ingress IP address".to_owned())
}

fn daemon_set(tree: &Value) -> Option<String> {
    if let Some(problem) = unobserved(tree) {
        return Some(problem);
    }
    if !matches!(text(tree, "/spec/updateStrategy/type"), "RollingUpdate") {
        return None;
    }
    let desired = number(tree, "/status/desiredNumberScheduled");
    let updated = number(tree, "/status/updatedNumberScheduled");
    if updated != desired {
        return Some(format!("{updated} out of {desired} expected pods have been scheduled"));
    }
    let given = tree.pointer("/spec/updateStrategy/rollingUpdate/maxUnavailable");
    let unavailable = given.map_or(1, |_| scaled(given, desired, true).unwrap_or(desired));
    too_few("expected pods are ready", number(tree, "/status/numberReady"), desired - unavailable)
}

fn stateful_set(tree: &Value) -> Option<String> {
    if let Some(problem) = unobserved(tree) {
        return Some(problem);
    }
    if text(tree, "/spec/updateStrategy/type") != "RollingUpdate" {
        return None;
    }
    let replicas = tree.pointer("/spec/replicas").and_then(Value::as_i64).unwrap_or(1);
    let partition = number(tree, "/spec/updateStrategy/rollingUpdate/partition");
    too_few("expected pods have been scheduled", number(tree, "/status/updatedReplicas"), replicas - partition)
        .or_else(|| {
            let ready = number(tree, "/status/readyReplicas");
            (ready != replicas).then(|| format!("{ready} out of {replicas} expected pods are ready"))
        })
        .or_else(|| {
            let is_old =
                partition == 0 && text(tree, "/status/currentRevision") != text(tree, "/status/updateRevision");
            is_old.then(|| "the update revision is not the current one yet".to_owned())
        })
}

fn pods(tree: &Value) -> Option<String> {
    let replicas = number(tree, "/status/replicas");
    unobserved(tree).or_else(|| too_few("pods are ready", number(tree, "/status/readyReplicas"), replicas))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn status(tree: Value) -> Status {
        compute(&tree, JobRule::Completed).status
    }

    #[test]
    fn a_deployment_is_ready_when_enough_of_its_new_pods_are() {
        let deployment = |replicas: i64, ready: i64, updated: i64, unavailable: Value| {
            json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "generation": 2 },
                "spec": { "replicas": replicas, "strategy": { "type": "RollingUpdate", "rollingUpdate": { "maxUnavailable": unavailable } } },
                "status": { "observedGeneration": 2, "replicas": replicas, "readyReplicas": ready, "updatedReplicas": updated } })
        };
        for (tree, expected) in [
            (deployment(4, 3, 4, json!("25%")), Status::Current),
            (deployment(4, 2, 4, json!("25%")), Status::InProgress),
            (deployment(4, 4, 1, json!(1)), Status::InProgress),
            (deployment(1, 0, 1, json!("25%")), Status::InProgress),
            (deployment(1, 0, 1, json!(1)), Status::Current),
            (deployment(0, 0, 0, json!("25%")), Status::Current),
        ] {
            assert_eq!(status(tree.clone()), expected, "{tree}");
        }
        let mut unseen = deployment(1, 1, 1, json!(0));
        unseen["status"]["observedGeneration"] = json!(1);
        assert_eq!(status(unseen), Status::InProgress);
    }

    #[test]
    fn other_kinds_are_ready_as_helm_says() {
        for (tree, expected) in [
            (json!({ "apiVersion": "v1", "kind": "ConfigMap" }), Status::Current),
            (
                json!({ "apiVersion": "example.com/v1", "kind": "Any", "status": { "conditions": [{ "type": "Ready", "status": "False" }] } }),
                Status::Current,
            ),
            (
                json!({ "apiVersion": "v1", "kind": "Pod", "status": { "conditions": [{ "type": "Ready", "status": "True" }] } }),
                Status::Current,
            ),
            (json!({ "apiVersion": "v1", "kind": "Pod" }), Status::InProgress),
            (
                json!({ "apiVersion": "v1", "kind": "PersistentVolumeClaim", "status": { "phase": "Pending" } }),
                Status::InProgress,
            ),
            (
                json!({ "apiVersion": "v1", "kind": "Service", "spec": { "type": "LoadBalancer", "clusterIP": "10.0.0.1" } }),
                Status::InProgress,
            ),
            (json!({ "apiVersion": "v1", "kind": "Service", "spec": { "clusterIP": "10.0.0.1" } }), Status::Current),
            (
                json!({ "apiVersion": "batch/v1", "kind": "Job", "spec": { "backoffLimit": 1, "completions": 1 }, "status": { "failed": 2 } }),
                Status::Failed,
            ),
            (
                json!({ "apiVersion": "batch/v1", "kind": "Job", "spec": { "backoffLimit": 1, "completions": 1 }, "status": {} }),
                Status::InProgress,
            ),
            (
                json!({ "apiVersion": "batch/v1", "kind": "Job", "spec": { "backoffLimit": 1, "completions": 1 }, "status": { "succeeded": 1 } }),
                Status::Current,
            ),
            (
                json!({ "apiVersion": "apps/v1", "kind": "StatefulSet", "spec": { "replicas": 2, "updateStrategy": { "type": "RollingUpdate" } }, "status": { "updatedReplicas": 2, "readyReplicas": 1 } }),
                Status::InProgress,
            ),
            (
                json!({ "apiVersion": "apps/v1", "kind": "DaemonSet", "spec": { "updateStrategy": { "type": "OnDelete" } }, "status": {} }),
                Status::Current,
            ),
        ] {
            assert_eq!(status(tree.clone()), expected, "{tree}");
        }
    }
}
