//! Rows of kstatus' rules.

use serde_json::json;

use super::*;

fn now() -> Timestamp {
    "2026-01-01T00:01:00Z".parse().expect("time")
}

fn check(object: Value, status: Status, reason: &str) {
    let health = compute(&object, JobRule::Started, now());
    assert_eq!((health.status, health.reason.as_str()), (status, reason), "{object}");
}

fn deployment_with(spec: Value, status: Value) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"generation": 1}, "spec": spec, "status": status})
}

#[test]
fn generic_rules_come_before_those_of_the_kind() {
    let config = |metadata: Value, status: Value| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "status": status});
    check(config(json!({"deletionTimestamp": "2026-01-01T00:00:00Z"}), json!({})), Status::Terminating, "Terminating");
    check(
        config(json!({"generation": 2}), json!({"observedGeneration": 1})),
        Status::InProgress,
        "LatestGenerationNotObserved",
    );
    check(
        config(json!({}), json!({"conditions": [{"type": "Stalled", "status": "True", "reason": "R"}]})),
        Status::Failed,
        "R",
    );
    check(
        config(json!({}), json!({"conditions": [{"type": "Reconciling", "status": "True", "reason": "R"}]})),
        Status::InProgress,
        "R",
    );
    check(
        config(json!({}), json!({"conditions": [{"type": "Ready", "status": "False", "reason": "R"}]})),
        Status::Current,
        "",
    );
}

#[test]
fn unknown_kinds_are_judged_by_their_ready_condition() {
    let thing = |conditions: Value| json!({"apiVersion": "example.com/v1", "kind": "Thing", "status": {"conditions": conditions}});
    check(thing(json!([])), Status::Current, "");
    check(thing(json!([{"type": "Ready", "status": "True"}])), Status::Current, "");
    check(thing(json!([{"type": "Ready", "status": "False", "reason": "Broken"}])), Status::InProgress, "Broken");
    check(thing(json!([{"type": "Ready", "status": "Unknown", "reason": "Busy"}])), Status::InProgress, "Busy");
    check(json!({"apiVersion": "example.com/v1", "kind": "Thing"}), Status::Current, "");
}

#[test]
fn deployments_wait_for_replicas_then_for_conditions() {
    let ready = json!([{"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"}, {"type": "Available", "status": "True"}]);
    let full = |conditions: &Value| json!({"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "readyReplicas": 2, "availableReplicas": 2, "conditions": conditions});
    let spec = json!({"replicas": 2, "progressDeadlineSeconds": 600});
    let rows = [
        (json!({}), Status::InProgress, "LessReplicas"),
        (json!({"replicas": 2}), Status::InProgress, "LessUpdated"),
        (json!({"replicas": 3, "updatedReplicas": 2}), Status::InProgress, "ExtraPods"),
        (json!({"replicas": 2, "updatedReplicas": 2}), Status::InProgress, "LessAvailable"),
        (
            json!({"replicas": 2, "updatedReplicas": 2, "availableReplicas": 2, "readyReplicas": 1}),
            Status::InProgress,
            "LessReady",
        ),
        (full(&json!([])), Status::InProgress, "ReplicaSetNotAvailable"),
        (
            full(&json!([{"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"}])),
            Status::InProgress,
            "DeploymentNotAvailable",
        ),
        (
            full(&json!([{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}])),
            Status::Failed,
            "ProgressDeadlineExceeded",
        ),
        (full(&ready), Status::Current, ""),
    ];
    for (status, expected, reason) in rows {
        check(deployment_with(spec.clone(), status), expected, reason);
    }
    let available = json!([{"type": "Available", "status": "True"}]);
    check(deployment_with(json!({"replicas": 2}), full(&available)), Status::Current, "");
}

#[test]
fn stateful_sets_follow_replicas_partition_and_revision() {
    let set = |spec: Value, status: Value| json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "spec": spec, "status": status});
    let full = json!({"replicas": 2, "readyReplicas": 2, "currentReplicas": 2, "updatedReplicas": 2, "currentRevision": "a", "updateRevision": "a"});
    check(set(json!({"updateStrategy": {"type": "OnDelete"}}), json!({})), Status::Current, "");
    check(set(json!({}), json!({})), Status::InProgress, "LessReplicas");
    check(set(json!({}), json!({"replicas": 1})), Status::InProgress, "LessReady");
    check(set(json!({"replicas": 2}), full.clone()), Status::Current, "");
    let mut moving = full.clone();
    moving["updateRevision"] = json!("b");
    check(set(json!({"replicas": 2}), moving), Status::InProgress, "RevisionMismatch");
    let partition = json!({"replicas": 2, "updateStrategy": {"rollingUpdate": {"partition": 1}}});
    check(set(partition.clone(), full), Status::Current, "");
    check(set(partition, json!({"replicas": 2, "readyReplicas": 2})), Status::InProgress, "PartitionRollout");
}

#[test]
fn daemon_sets_need_an_observed_generation() {
    let set = |metadata: Value, status: Value| json!({"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": metadata, "status": status});
    check(set(json!({}), json!({})), Status::InProgress, "NoGeneration");
    check(set(json!({"generation": 1}), json!({})), Status::InProgress, "NoObservedGeneration");
    check(set(json!({"generation": 1}), json!({"observedGeneration": 1})), Status::InProgress, "NoDesiredNumber");
    check(
        set(json!({"generation": 1}), json!({"observedGeneration": 1, "desiredNumberScheduled": 1})),
        Status::InProgress,
        "LessCurrent",
    );
    check(
        set(json!({"generation": 1}), json!({"observedGeneration": 1, "desiredNumberScheduled": 0})),
        Status::Current,
        "",
    );
}

#[test]
fn pods_fail_when_they_crash_or_cannot_be_scheduled() {
    let pod = |created: &str, status: Value| json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"creationTimestamp": created}, "status": status});
    let old = "2026-01-01T00:00:00Z";
    let unschedulable = json!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}]});
    check(pod(old, json!({})), Status::InProgress, "PodNotObserved");
    check(pod(old, json!({"phase": "Pending"})), Status::InProgress, "PodPending");
    check(pod(old, unschedulable.clone()), Status::Failed, "PodUnschedulable");
    check(pod("2026-01-01T00:00:50Z", unschedulable), Status::InProgress, "PodNotScheduled");
    check(pod(old, json!({"phase": "Running"})), Status::InProgress, "PodRunningNotReady");
    check(
        pod(old, json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]})),
        Status::Current,
        "",
    );
    let crash = json!({"phase": "Running", "containerStatuses": [{"name": "c", "state": {"waiting": {"reason": "CrashLoopBackOff"}}}]});
    check(pod(old, crash), Status::Failed, "ContainerCrashLooping");
    check(pod(old, json!({"phase": "Failed"})), Status::Current, "");
    check(pod(old, json!({"phase": "Odd"})), Status::Unknown, "UnknownPhase");
}

#[test]
fn a_running_job_is_current_for_kstatus_and_in_progress_for_a_wait() {
    let job = |status: Value| json!({"apiVersion": "batch/v1", "kind": "Job", "spec": {}, "status": status});
    let running = job(json!({"startTime": "2026-01-01T00:00:00Z", "active": 1}));
    check(job(json!({})), Status::InProgress, "JobNotStarted");
    check(running.clone(), Status::Current, "");
    assert_eq!(compute(&running, JobRule::Completed, now()).reason, "JobInProgress");
    check(job(json!({"conditions": [{"type": "Failed", "status": "True"}]})), Status::Failed, "JobFailed");
    let suspended = json!({"apiVersion": "batch/v1", "kind": "Job", "spec": {"suspend": true}});
    assert_eq!(compute(&suspended, JobRule::Completed, now()).status, Status::Current);
}

#[test]
fn hooks_wait_for_jobs_and_pods_alone() {
    let pod = |phase: &str| json!({"apiVersion": "v1", "kind": "Pod", "status": {"phase": phase, "containerStatuses": [{"name": "c", "state": {"terminated": {"exitCode": 3, "reason": "Error"}}}]}});
    assert_eq!(compute_hook(&pod("Running"), now()).status, Status::InProgress);
    assert_eq!(compute_hook(&pod("Succeeded"), now()).status, Status::Current);
    let failed = compute_hook(&pod("Failed"), now());
    assert_eq!(
        (failed.status, failed.message.as_str()),
        (Status::Failed, "Pod failed: container c exited with code 3 (Error)")
    );
    assert_eq!(compute_hook(&json!({"apiVersion": "apps/v1", "kind": "Deployment"}), now()).status, Status::Current);
}

#[test]
fn other_kinds_follow_their_fields() {
    check(
        json!({"apiVersion": "v1", "kind": "Service", "spec": {"type": "LoadBalancer"}}),
        Status::InProgress,
        "NoIPAssigned",
    );
    check(
        json!({"apiVersion": "v1", "kind": "Service", "spec": {"type": "LoadBalancer", "clusterIP": "1.2.3.4"}}),
        Status::Current,
        "",
    );
    check(
        json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "status": {"phase": "Pending"}}),
        Status::InProgress,
        "NotBound",
    );
    let crd = |conditions: Value| json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "status": {"conditions": conditions}});
    check(crd(json!([])), Status::InProgress, "Installing");
    check(crd(json!([{"type": "NamesAccepted", "status": "False", "reason": "Taken"}])), Status::Failed, "Taken");
    check(
        crd(json!([{"type": "Established", "status": "False", "reason": "Installing"}])),
        Status::InProgress,
        "Installing",
    );
    check(crd(json!([{"type": "Established", "status": "True"}])), Status::Current, "");
    check(
        json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "status": {"conditions": [{"type": "ReplicaFailure", "status": "True"}]}}),
        Status::InProgress,
        "ReplicaFailure",
    );
    check(json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget"}), Status::Current, "");
}
