//! The board of a wait, without a cluster.

use std::sync::Arc;

use kube::core::ApiResource;
use serde_json::json;

use super::*;
use crate::cluster::request::ServedKind;

fn target(kind: &str, name: &str, known: Option<Value>) -> WaitTarget {
    let api = ApiResource {
        group: String::new(),
        version: "v1".into(),
        api_version: "v1".into(),
        kind: kind.into(),
        plural: format!("{}s", kind.to_lowercase()),
    };
    let id = ObjectId { group: String::new(), kind: kind.into(), namespace: "n".into(), name: name.into() };
    WaitTarget { target: Target { kind: Arc::new(ServedKind { api, namespaced: true, verbs: Vec::new() }), id }, known }
}

fn pod(name: &str, phase: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "resourceVersion": "9"}, "status": {"phase": phase}})
}

fn job(ttl: Value, conditions: Value) -> Value {
    json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j"},
           "spec": {"ttlSecondsAfterFinished": ttl}, "status": {"conditions": conditions}})
}

#[test]
fn what_is_ready_as_written_needs_no_watch() {
    let config = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}});
    let board =
        Board::new(vec![target("ConfigMap", "c", Some(config))], Ready::Objects(JobRule::Completed), Arc::default());
    assert!(board.is_done(false));
    assert!(board.pending().is_empty());
}

#[test]
fn what_is_not_ready_is_watched_from_its_write_and_by_its_name_where_it_is_watched_alone() {
    let targets = vec![target("Pod", "a", Some(pod("a", "Pending"))), target("Pod", "b", None)];
    let board = Board::new(targets, Ready::Objects(JobRule::Completed), Arc::default());
    let pending = board.pending();
    let from: Vec<_> = pending.iter().map(|one| (one.id.name.as_str(), one.from.as_deref())).collect();
    assert_eq!(from, [("a", Some("9")), ("b", None)]);
    assert_eq!(pending[0].alone().fields, "metadata.name=a");
}

#[test]
fn a_failure_ends_the_wait_at_once_only_with_fail_fast() {
    let crash = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "status": {"phase": "Running",
        "containerStatuses": [{"name": "c", "state": {"waiting": {"reason": "CrashLoopBackOff"}}}]}});
    let targets = vec![target("Pod", "a", Some(crash)), target("Pod", "b", Some(pod("b", "Pending")))];
    let board = Board::new(targets, Ready::Objects(JobRule::Completed), Arc::default());
    assert!(board.is_done(true));
    assert!(!board.is_done(false));
}

#[test]
fn a_job_that_vanishes_is_done_only_if_it_has_a_time_to_live() {
    for (ttl, expected) in [(json!(0), Status::Current), (json!(null), Status::NotFound)] {
        let mut board = Board::new(
            vec![target("Job", "j", Some(job(ttl, json!([]))))],
            Ready::Objects(JobRule::Completed),
            Arc::default(),
        );
        let id = board.targets[0].0.id.clone();
        board.take(&id, Happening::Listed(Vec::new()));
        assert_eq!(board.count(expected), 1);
    }
}

#[test]
fn a_paused_deployment_is_not_waited_for() {
    let paused =
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": {"paused": true}});
    let board =
        Board::new(vec![target("Deployment", "d", Some(paused))], Ready::Objects(JobRule::Completed), Arc::default());
    assert!(board.is_done(false));
}

#[test]
fn the_error_begins_with_fluxs_text_and_goes_on_with_the_reason() {
    let unready = vec![Unready {
        id: ObjectId { group: "apps".into(), kind: "Deployment".into(), namespace: "n".into(), name: "d".into() },
        health: Health { status: Status::InProgress, reason: "LessAvailable".into(), message: "Available: 0/1".into() },
        details: vec!["pod p: container c is waiting (ErrImagePull)".into()],
    }];
    assert_eq!(
        WaitError::TimedOut(unready).to_string(),
        "timeout waiting for: [Deployment/n/d status: 'InProgress']
Deployment/n/d: Available: 0/1
  \
         pod p: container c is waiting (ErrImagePull)
context deadline exceeded"
    );
}

#[test]
fn what_may_be_gone_already_is_listed_before_it_is_watched() {
    let terminating = |grace: u64, finalizers: Value| {
        json!({"kind": "Pod", "metadata": {"name": "a", "resourceVersion": "9", "deletionTimestamp": "2026-01-01T00:00:00Z",
            "deletionGracePeriodSeconds": grace, "finalizers": finalizers}})
    };
    let from = |tree: Value| Watched::until_gone(&target("Pod", "a", Some(tree))).from;
    assert_eq!(from(terminating(0, json!(null))), None);
    assert_eq!(from(terminating(30, json!([]))).as_deref(), Some("9"));
    assert_eq!(from(terminating(0, json!(["foregroundDeletion"]))).as_deref(), Some("9"));
}
