//! kstatus: how far an object is on its way to what its spec asks for.
//!
//! The rules are those of kubernetes-sigs/cli-utils `kstatus/status`, as Flux uses them. Pure functions on trees.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::object;

/// How long a pod may be unscheduled before it counts as failed.
const SCHEDULE_WINDOW: SignedDuration = SignedDuration::from_secs(15);
/// What the Deployment controller takes for "no deadline".
const NO_DEADLINE: i64 = i32::MAX as i64;

/// The state of an object. `Display` gives kstatus' words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// The cluster has done what the spec asks for.
    Current,
    /// Not yet.
    InProgress,
    /// It will not get there by itself.
    Failed,
    /// It is being deleted.
    Terminating,
    /// It is not there.
    NotFound,
    /// It could not be told.
    Unknown,
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Status::Current => "Current",
            Status::InProgress => "InProgress",
            Status::Failed => "Failed",
            Status::Terminating => "Terminating",
            Status::NotFound => "NotFound",
            Status::Unknown => "Unknown",
        })
    }
}

/// A state with the words that explain it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// The state.
    pub status: Status,
    /// One word, such as `LessReady`; empty when the state is Current.
    pub reason: String,
    /// One sentence.
    pub message: String,
}

impl Health {
    fn current(message: impl Into<String>) -> Self {
        Self { status: Status::Current, reason: String::new(), message: message.into() }
    }

    fn in_progress(reason: &str, message: impl Into<String>) -> Self {
        Self { status: Status::InProgress, reason: reason.to_owned(), message: message.into() }
    }

    fn failed(reason: &str, message: impl Into<String>) -> Self {
        Self { status: Status::Failed, reason: reason.to_owned(), message: message.into() }
    }

    /// Returns the state of an object that is not there.
    pub fn not_found() -> Self {
        Self { status: Status::NotFound, reason: "NotFound".to_owned(), message: "Resource not found".to_owned() }
    }
}

/// How Jobs are judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobRule {
    /// kstatus' own: a job that runs is Current.
    Started,
    /// Flux's, for waits: a job is Current when it has completed, or is suspended.
    Completed,
}

/// Computes the state of an object from its complete tree.
pub fn compute(object: &Value, jobs: JobRule, now: Timestamp) -> Health {
    if let Some(health) = generic(object) {
        return health;
    }
    let (group, _) = object::split_api_version(object::api_version(object).unwrap_or_default());
    match (group, object::kind(object).unwrap_or_default()) {
        ("", "Service") => service(object),
        ("", "Pod") => pod(object, now),
        ("", "Secret" | "ConfigMap") | ("batch", "CronJob") => Health::current("Resource is always ready"),
        ("", "PersistentVolumeClaim") => claim(object),
        ("apps", "StatefulSet") => stateful_set(object),
        ("apps" | "extensions", "DaemonSet") => daemon_set(object),
        ("apps" | "extensions", "Deployment") => deployment(object),
        ("apps" | "extensions", "ReplicaSet") => replica_set(object),
        ("policy", "PodDisruptionBudget") => Health::current("AllowedDisruptions has been computed."),
        ("batch", "Job") if jobs == JobRule::Completed => completed_job(object),
        ("batch", "Job") => job(object),
        ("apiextensions.k8s.io", "CustomResourceDefinition") => definition(object),
        _ => ready_condition(object).unwrap_or_else(|| Health::current("Resource is current")),
    }
}

/// Computes the state of an object that an action of Helm waits for only as a hook: Jobs and Pods must end well, all
/// else is ready at once.
pub fn compute_hook(object: &Value, now: Timestamp) -> Health {
    match (object::api_version(object), object::kind(object)) {
        (Some("batch/v1"), Some("Job")) => completed_job(object),
        (Some("v1"), Some("Pod")) => completed_pod(object, now),
        _ => Health::current("Resource is current"),
    }
}

/// Tells whether an object is a Deployment that is paused, which Helm does not wait for.
pub fn is_paused_deployment(object: &Value) -> bool {
    object::kind(object) == Some("Deployment") && object.pointer("/spec/paused") == Some(&Value::Bool(true))
}

struct Condition<'a> {
    kind: &'a str,
    status: &'a str,
    reason: &'a str,
    message: &'a str,
}

fn conditions(object: &Value) -> impl Iterator<Item = Condition<'_>> {
    let list = object.pointer("/status/conditions").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    list.iter().map(|entry| {
        let text = |key: &str| entry.get(key).and_then(Value::as_str).unwrap_or_default();
        Condition { kind: text("type"), status: text("status"), reason: text("reason"), message: text("message") }
    })
}

fn has_condition(object: &Value, kind: &str, status: &str) -> bool {
    conditions(object).any(|condition| condition.kind == kind && condition.status == status)
}

fn int(object: &Value, pointer: &str, default: i64) -> i64 {
    object.pointer(pointer).and_then(Value::as_i64).unwrap_or(default)
}

fn string<'a>(object: &'a Value, pointer: &str, default: &'a str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or(default)
}

fn generic(object: &Value) -> Option<Health> {
    if !string(object, "/metadata/deletionTimestamp", "").is_empty() {
        return Some(Health {
            status: Status::Terminating,
            reason: "Terminating".to_owned(),
            message: "Resource scheduled for deletion".to_owned(),
        });
    }
    let observed = object.pointer("/status/observedGeneration").and_then(Value::as_i64);
    if let (Some(generation), Some(observed)) = (object::generation(object), observed)
        && generation != observed
    {
        let kind = object::kind(object).unwrap_or_default();
        let message = format!("{kind} generation is {generation}, but latest observed generation is {observed}");
        return Some(Health::in_progress("LatestGenerationNotObserved", message));
    }
    conditions(object).find_map(|condition| match (condition.kind, condition.status) {
        ("Reconciling", "True") => Some(Health::in_progress(condition.reason, condition.message)),
        ("Stalled", "True") => Some(Health::failed(condition.reason, condition.message)),
        _ => None,
    })
}

fn ready_condition(object: &Value) -> Option<Health> {
    conditions(object).filter(|condition| condition.kind == "Ready").find_map(|ready| match ready.status {
        "True" => Some(Health::current("Resource is Ready")),
        "False" | "Unknown" => Some(Health::in_progress(ready.reason, ready.message)),
        _ => None,
    })
}

fn stateful_set(object: &Value) -> Health {
    if string(object, "/spec/updateStrategy/type", "") == "OnDelete" {
        return Health::current("StatefulSet is using the ondelete update strategy");
    }
    let wanted = int(object, "/spec/replicas", 1);
    let ready = int(object, "/status/readyReplicas", 0);
    let current = int(object, "/status/currentReplicas", 0);
    let updated = int(object, "/status/updatedReplicas", 0);
    let replicas = int(object, "/status/replicas", 0);
    let partition = int(object, "/spec/updateStrategy/rollingUpdate/partition", -1);
    if wanted > replicas {
        return Health::in_progress("LessReplicas", format!("Replicas: {replicas}/{wanted}"));
    }
    if wanted > ready {
        return Health::in_progress("LessReady", format!("Ready: {ready}/{wanted}"));
    }
    if replicas > wanted {
        return Health::in_progress("ExtraPods", format!("Pending termination: {}", replicas - wanted));
    }
    if partition != -1 {
        if updated < wanted - partition {
            return Health::in_progress("PartitionRollout", format!("updated: {updated}/{}", wanted - partition));
        }
        return Health::current(format!("Partition rollout complete. updated: {updated}"));
    }
    if wanted > current {
        return Health::in_progress("LessCurrent", format!("current: {current}/{wanted}"));
    }
    if string(object, "/status/currentRevision", "") != string(object, "/status/updateRevision", "") {
        return Health::in_progress("RevisionMismatch", "Waiting for updated revision to match current");
    }
    Health::current(format!("All replicas scheduled as expected. Replicas: {replicas}"))
}

fn deployment(object: &Value) -> Health {
    // Without a deadline the controller never sets the Progressing condition.
    let mut progressing = int(object, "/spec/progressDeadlineSeconds", NO_DEADLINE) == NO_DEADLINE;
    let mut available = false;
    for condition in conditions(object) {
        match condition.kind {
            "Progressing" if condition.reason == "ProgressDeadlineExceeded" => {
                return Health::failed(condition.reason, "Progress deadline exceeded");
            }
            "Progressing" => {
                progressing |= condition.status == "True" && condition.reason == "NewReplicaSetAvailable";
            }
            "Available" => available |= condition.status == "True",
            _ => {}
        }
    }
    let wanted = int(object, "/spec/replicas", 1);
    let replicas = int(object, "/status/replicas", 0);
    let updated = int(object, "/status/updatedReplicas", 0);
    let ready = int(object, "/status/readyReplicas", 0);
    let usable = int(object, "/status/availableReplicas", 0);
    if wanted > replicas {
        return Health::in_progress("LessReplicas", format!("Replicas: {replicas}/{wanted}"));
    }
    if wanted > updated {
        return Health::in_progress("LessUpdated", format!("Updated: {updated}/{wanted}"));
    }
    if replicas > wanted {
        return Health::in_progress("ExtraPods", format!("Pending termination: {}", replicas - wanted));
    }
    if updated > usable {
        return Health::in_progress("LessAvailable", format!("Available: {usable}/{updated}"));
    }
    if wanted > ready {
        return Health::in_progress("LessReady", format!("Ready: {ready}/{wanted}"));
    }
    if !progressing {
        return Health::in_progress("ReplicaSetNotAvailable", "ReplicaSet not Available");
    }
    if !available {
        return Health::in_progress("DeploymentNotAvailable", "Deployment not Available");
    }
    Health::current(format!("Deployment is available. Replicas: {replicas}"))
}

fn replica_set(object: &Value) -> Health {
    if has_condition(object, "ReplicaFailure", "True") {
        return Health::in_progress("ReplicaFailure", "Replica Failure condition. Check Pods");
    }
    let wanted = int(object, "/spec/replicas", 1);
    let replicas = int(object, "/status/replicas", 0);
    let ready = int(object, "/status/readyReplicas", 0);
    let usable = int(object, "/status/availableReplicas", 0);
    let labelled = int(object, "/status/fullyLabeledReplicas", 0);
    if wanted > labelled {
        return Health::in_progress("LessLabelled", format!("Labelled: {labelled}/{wanted}"));
    }
    if wanted > usable {
        return Health::in_progress("LessAvailable", format!("Available: {usable}/{wanted}"));
    }
    if wanted > ready {
        return Health::in_progress("LessReady", format!("Ready: {ready}/{wanted}"));
    }
    if replicas > wanted {
        return Health::in_progress("ExtraPods", format!("Pending termination: {}", replicas - wanted));
    }
    Health::current(format!("ReplicaSet is available. Replicas: {replicas}"))
}

fn daemon_set(object: &Value) -> Health {
    if object::generation(object).is_none() {
        return Health::in_progress("NoGeneration", "DaemonSet metadata.generation not found");
    }
    if object.pointer("/status/observedGeneration").and_then(Value::as_i64).is_none() {
        return Health::in_progress("NoObservedGeneration", "DaemonSet status.observedGeneration not found");
    }
    let wanted = int(object, "/status/desiredNumberScheduled", -1);
    let current = int(object, "/status/currentNumberScheduled", 0);
    let updated = int(object, "/status/updatedNumberScheduled", 0);
    let usable = int(object, "/status/numberAvailable", 0);
    let ready = int(object, "/status/numberReady", 0);
    if wanted == -1 {
        return Health::in_progress("NoDesiredNumber", "Missing .status.desiredNumberScheduled");
    }
    if wanted > current {
        return Health::in_progress("LessCurrent", format!("Current: {current}/{wanted}"));
    }
    if wanted > updated {
        return Health::in_progress("LessUpdated", format!("Updated: {updated}/{wanted}"));
    }
    if wanted > usable {
        return Health::in_progress("LessAvailable", format!("Available: {usable}/{wanted}"));
    }
    if wanted > ready {
        return Health::in_progress("LessReady", format!("Ready: {ready}/{wanted}"));
    }
    Health::current(format!("All replicas scheduled as expected. Replicas: {wanted}"))
}

fn claim(object: &Value) -> Health {
    let phase = string(object, "/status/phase", "unknown");
    if phase == "Bound" {
        Health::current("PVC is Bound")
    } else {
        Health::in_progress("NotBound", format!("PVC is not Bound. phase: {phase}"))
    }
}

fn pod(object: &Value, now: Timestamp) -> Health {
    match string(object, "/status/phase", "") {
        "Succeeded" => Health::current("Pod has completed successfully"),
        "Failed" => Health::current("Pod has completed, but not successfully"),
        "Running" => running_pod(object),
        "Pending" => pending_pod(object, now),
        "" => Health::in_progress("PodNotObserved", "Pod phase not available"),
        phase => Health {
            status: Status::Unknown,
            reason: "UnknownPhase".to_owned(),
            message: format!("unknown phase {phase}"),
        },
    }
}

fn running_pod(object: &Value) -> Health {
    if has_condition(object, "Ready", "True") {
        return Health::current("Pod is Ready");
    }
    let containers = object.pointer("/status/containerStatuses").and_then(Value::as_array);
    let crashing: Vec<_> = containers
        .map_or(&[][..], Vec::as_slice)
        .iter()
        .filter(|container| string(container, "/state/waiting/reason", "") == "CrashLoopBackOff")
        .filter_map(|container| container.get("name").and_then(Value::as_str))
        .collect();
    if crashing.is_empty() {
        Health::in_progress("PodRunningNotReady", "Pod is running but is not Ready")
    } else {
        let message = format!("Containers in CrashLoop state: {}", crashing.join(","));
        Health::failed("ContainerCrashLooping", message)
    }
}

fn pending_pod(object: &Value, now: Timestamp) -> Health {
    let unschedulable = conditions(object).any(|condition| {
        condition.kind == "PodScheduled" && condition.status == "False" && condition.reason == "Unschedulable"
    });
    if !unschedulable {
        return Health::in_progress("PodPending", "Pod is in the Pending phase");
    }
    let created = string(object, "/metadata/creationTimestamp", "").parse::<Timestamp>().ok();
    if created.is_some_and(|created| now.duration_since(created) < SCHEDULE_WINDOW) {
        return Health::in_progress("PodNotScheduled", "Pod has not been scheduled");
    }
    Health::failed("PodUnschedulable", "Pod could not be scheduled")
}

/// A pod that is a hook must end, and well (Helm 4's pod reader for hooks).
fn completed_pod(object: &Value, now: Timestamp) -> Health {
    match string(object, "/status/phase", "") {
        "Succeeded" => Health::current("Pod has completed successfully"),
        "Failed" => Health::failed("PodFailed", format!("Pod failed{}", exits(object))),
        "Pending" => pending_pod(object, now),
        "Running" => Health::in_progress("PodRunning", "Pod is running"),
        _ => Health::in_progress("PodNotObserved", "Pod phase not available"),
    }
}

fn exits(pod: &Value) -> String {
    let containers = pod.pointer("/status/containerStatuses").and_then(Value::as_array);
    let ended: Vec<_> = containers
        .map_or(&[][..], Vec::as_slice)
        .iter()
        .filter_map(|container| {
            let code =
                container.pointer("/state/terminated/exitCode").and_then(Value::as_i64).filter(|code| *code != 0)?;
            let reason = string(container, "/state/terminated/reason", "Error");
            Some(format!("container {} exited with code {code} ({reason})", string(container, "/name", "")))
        })
        .collect();
    if ended.is_empty() { String::new() } else { format!(": {}", ended.join(", ")) }
}

fn job(object: &Value) -> Health {
    let completions = int(object, "/spec/completions", int(object, "/spec/parallelism", 1));
    if let Some(ended) = ended_job(object, completions) {
        return ended;
    }
    if string(object, "/status/startTime", "").is_empty() {
        return Health::in_progress("JobNotStarted", "Job not started");
    }
    Health::current(job_progress(object))
}

fn completed_job(object: &Value) -> Health {
    if object.pointer("/spec/suspend") == Some(&Value::Bool(true)) {
        return Health::current("Job is suspended");
    }
    let parallelism = int(object, "/spec/parallelism", 1);
    if let Some(ended) = ended_job(object, int(object, "/spec/completions", parallelism)) {
        return ended;
    }
    if string(object, "/status/startTime", "").is_empty() {
        return Health::in_progress("JobNotStarted", format!("Job not started. active: 0/{parallelism}"));
    }
    Health::in_progress("JobInProgress", job_progress(object))
}

fn ended_job(object: &Value, completions: i64) -> Option<Health> {
    conditions(object).filter(|condition| condition.status == "True").find_map(|condition| match condition.kind {
        "Complete" => {
            let succeeded = int(object, "/status/succeeded", 0);
            Some(Health::current(format!("Job Completed. succeeded: {succeeded}/{completions}")))
        }
        "Failed" => {
            let failed = int(object, "/status/failed", 0);
            Some(Health::failed("JobFailed", format!("Job Failed. failed: {failed}/{completions}")))
        }
        _ => None,
    })
}

fn job_progress(object: &Value) -> String {
    let count = |field: &str| int(object, &format!("/status/{field}"), 0);
    format!("Job in progress. success:{}, active: {}, failed: {}", count("succeeded"), count("active"), count("failed"))
}

fn service(object: &Value) -> Health {
    let balanced = string(object, "/spec/type", "ClusterIP") == "LoadBalancer";
    if balanced && string(object, "/spec/clusterIP", "").is_empty() {
        return Health::in_progress("NoIPAssigned", "ClusterIP not set. Service type: LoadBalancer");
    }
    Health::current("Service is ready")
}

fn definition(object: &Value) -> Health {
    for condition in conditions(object) {
        match (condition.kind, condition.status) {
            ("NamesAccepted", "False") => return Health::failed(condition.reason, condition.message),
            ("Established", "False") if condition.reason != "Installing" => {
                return Health::failed(condition.reason, condition.message);
            }
            ("Established", "True") => return Health::current("CRD is established"),
            _ => {}
        }
    }
    Health::in_progress("Installing", "Install in progress")
}

#[cfg(test)]
#[path = "status_tests.rs"]
mod tests;
