//! What is said, on a status alone.

use serde_json::json;

use super::*;
use crate::reconcile::environment::manifests::Place;

fn object() -> Kustomization {
    let spec = json!({"interval": "1m", "prune": true, "sourceRef": {"kind": "GitRepository", "name": "s"}});
    let mut object = Kustomization::new("a", serde_json::from_value(spec).expect("spec"));
    object.metadata.generation = Some(3);
    object
}

fn said(status: &KustomizationStatus) -> Vec<(String, String, String)> {
    status.conditions.iter().map(|c| (c.type_.clone(), c.status.clone(), c.reason.clone())).collect()
}

fn row(kind: &str, status: &str, reason: &str) -> (String, String, String) {
    (kind.to_owned(), status.to_owned(), reason.to_owned())
}

fn with(status: &mut KustomizationStatus, say: impl FnOnce(&mut Report<'_>)) {
    let object = object();
    say(&mut Report { object: &object, status, now: Timestamp::from_second(1_800_000_000).expect("in range") });
}

#[test]
fn a_failure_is_retried_and_a_success_ends_it() {
    let mut status = KustomizationStatus::default();
    with(&mut status, |report| report.failed("BuildFailed", "a.yaml: bad", "Building manifests"));
    assert_eq!(
        said(&status),
        [row("Reconciling", "True", "ProgressingWithRetry"), row("Ready", "False", "BuildFailed")]
    );
    assert_eq!(status.observed_generation, 0);
    with(&mut status, |report| report.succeeded("main@sha1:x", None));
    assert_eq!(said(&status), [row("Ready", "True", "ReconciliationSucceeded")]);
    assert_eq!(status.conditions[0].message, "Applied revision: main@sha1:x");
    assert_eq!((status.observed_generation, status.last_applied_revision.as_deref()), (3, Some("main@sha1:x")));
}

#[test]
fn a_stalled_object_says_so_and_progress_takes_it_back() {
    let mut status = KustomizationStatus::default();
    with(&mut status, |report| report.stalled("UnsupportedField", "spec.patches"));
    assert_eq!(said(&status), [row("Stalled", "True", "UnsupportedField"), row("Ready", "False", "UnsupportedField")]);
    with(&mut status, |report| report.progressing("Fetching manifests"));
    assert_eq!(said(&status), [row("Reconciling", "True", "Progressing"), row("Ready", "Unknown", "Progressing")]);
}

#[test]
fn the_history_counts_the_same_outcome_and_keeps_five() {
    let mut status = KustomizationStatus::default();
    for digest in ["a", "a", "b", "c", "d", "e", "f", "a"] {
        let attempt = Attempt { digest, revision: "r", origin_revision: None, took: Duration::from_millis(1500) };
        with(&mut status, |report| report.remember(&attempt, "ReconciliationSucceeded"));
    }
    let digests: Vec<_> = status.history.iter().map(|one| (one.digest.as_str(), one.total_reconciliations)).collect();
    assert_eq!(digests, [("a", 1), ("f", 1), ("e", 1), ("d", 1), ("c", 1)]);
    assert_eq!(status.history[0].last_reconciled_duration, "1.5s");
    let again = Attempt { digest: "e", revision: "s", origin_revision: Some("o"), took: Duration::ZERO };
    with(&mut status, |report| report.remember(&again, "ReconciliationSucceeded"));
    assert_eq!((status.history[0].digest.as_str(), status.history[0].total_reconciliations), ("e", 2));
    assert_eq!(status.history[0].metadata["originRevision"], "o");
}

#[test]
fn faults_are_named_up_to_a_number_and_one_alone_needs_no_heading() {
    let fault = |number: usize| Fault {
        place: Place { file: format!("{number}.yaml"), document: 1, line: 1 },
        message: "bad".into(),
    };
    assert_eq!(faults(&[fault(1)], 9, "objects could not be applied"), "1.yaml, document 1, line 1: bad");
    let many: Vec<_> = (0..12).map(fault).collect();
    let text = faults(&many, 20, "objects could not be applied");
    assert!(text.starts_with("12 of 20 objects could not be applied:\n0.yaml"), "{text}");
    assert!(text.ends_with("\nand 2 more"), "{text}");
}

#[test]
fn changes_are_listed_without_what_did_not_change() {
    let id = |name: &str| ObjectId {
        group: String::new(),
        kind: "ConfigMap".into(),
        namespace: "n".into(),
        name: name.into(),
    };
    let list = [
        (id("a"), Change::Created),
        (id("b"), Change::Unchanged),
        (id("c"), Change::Configured),
        (id("d"), Change::Skipped),
    ];
    assert_eq!(changes(&list), "ConfigMap/n/a created\nConfigMap/n/c configured");
}
