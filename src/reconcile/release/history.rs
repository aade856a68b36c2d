//! The snapshots in `status.history`: which is the latest, which is the one to roll back to, which are kept.

use crate::api::Snapshot;

/// How many snapshots are kept where none of them is a rollback target.
const MAX_SNAPSHOTS: usize = 5;
/// Helm's phase of a hook that failed.
const FAILED: &str = "Failed";
/// Helm's phase of a hook that succeeded.
const SUCCEEDED: &str = "Succeeded";

/// Returns the snapshot of the newest revision.
pub fn latest(history: &[Snapshot]) -> Option<&Snapshot> {
    history.iter().max_by_key(|s| s.version)
}

/// Returns the newest snapshot before the latest that a rollback can go to: deployed or superseded, and its tests did
/// not fail, unless failed tests are ignored.
pub fn previous(history: &[Snapshot], ignore_tests: bool) -> Option<&Snapshot> {
    let newest = latest(history)?.version;
    history.iter().filter(|s| s.version < newest && is_good(s, ignore_tests)).max_by_key(|s| s.version)
}

fn is_good(snapshot: &Snapshot, ignore_tests: bool) -> bool {
    matches!(snapshot.status.as_str(), "deployed" | "superseded") && (ignore_tests || !has_failed_test(snapshot))
}

/// Sorts newest first and drops what is older than the rollback target, or than five where there is none.
pub fn truncate(history: &mut Vec<Snapshot>, ignore_tests: bool) {
    sort(history);
    let keep = history.iter().skip(1).position(|s| is_good(s, ignore_tests)).map_or(MAX_SNAPSHOTS, |i| i + 2);
    history.truncate(keep);
}

/// Sorts newest first and drops what is older than five: under `RetryOnFailure` nothing is rolled back to.
pub fn truncate_for_retry(history: &mut Vec<Snapshot>) {
    sort(history);
    history.truncate(MAX_SNAPSHOTS);
}

fn sort(history: &mut [Snapshot]) {
    history.sort_by_key(|s| std::cmp::Reverse(s.version));
}

/// Puts a snapshot in the place of the one of its revision, or first.
pub fn record(history: &mut Vec<Snapshot>, snapshot: Snapshot) {
    match history.iter_mut().find(|s| targets(s, &snapshot.name, &snapshot.namespace, snapshot.version)) {
        Some(existing) => *existing = snapshot,
        None => history.insert(0, snapshot),
    }
}

/// Tells whether a snapshot is of a revision.
pub fn targets(snapshot: &Snapshot, name: &str, namespace: &str, version: i64) -> bool {
    snapshot.name == name && snapshot.namespace == namespace && snapshot.version == version
}

/// Tells whether the chart's tests ran: no map says that they did not, an empty one that there are none; one that
/// failed is enough, otherwise all must have succeeded.
pub fn is_tested(snapshot: &Snapshot) -> bool {
    let Some(hooks) = &snapshot.test_hooks else { return false };
    has_failed_test(snapshot) || hooks.values().all(|h| h.phase.as_deref() == Some(SUCCEEDED))
}

/// Tells whether a test of the snapshot failed.
pub fn has_failed_test(snapshot: &Snapshot) -> bool {
    snapshot.test_hooks.iter().flat_map(|hooks| hooks.values()).any(|h| h.phase.as_deref() == Some(FAILED))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::api::helm_release::TestHookStatus;

    fn snapshot(text: &str) -> Snapshot {
        let words: Vec<_> = text.split(' ').collect();
        let test_hooks = (words.len() > 2).then(|| {
            let hook = TestHookStatus { phase: Some(words[2].to_owned()), ..TestHookStatus::default() };
            BTreeMap::from([("t".to_owned(), hook)])
        });
        Snapshot {
            version: words[0][1..].parse().unwrap(),
            status: words[1].to_owned(),
            test_hooks,
            ..Snapshot::default()
        }
    }

    fn kept(history: &[&str], ignore: bool) -> Vec<i64> {
        let mut history: Vec<_> = history.iter().map(|t| snapshot(t)).collect();
        truncate(&mut history, ignore);
        history.iter().map(|s| s.version).collect()
    }

    #[test]
    fn the_history_reaches_to_the_rollback_target() {
        assert_eq!(kept(&["v4 deployed", "v3 failed", "v2 superseded", "v1 superseded"], false), [4, 3, 2]);
        assert_eq!(kept(&["v4 deployed", "v3 superseded Failed", "v2 superseded Succeeded"], false), [4, 3, 2]);
        assert_eq!(kept(&["v4 deployed", "v3 superseded Failed", "v2 superseded"], true), [4, 3]);
        let failed = ["v6 deployed", "v5 failed", "v4 failed", "v3 failed", "v2 failed", "v1 failed"];
        assert_eq!(kept(&failed, false), [6, 5, 4, 3, 2]);
        assert_eq!(kept(&["v1 deployed"], false), [1]);
        assert_eq!(kept(&[], false), [0i64; 0]);
    }

    #[test]
    fn a_rollback_goes_to_the_newest_good_revision_before_the_latest() {
        let history: Vec<_> =
            ["v4 failed", "v3 superseded Failed", "v2 superseded"].iter().map(|t| snapshot(t)).collect();
        assert_eq!(previous(&history, false).map(|s| s.version), Some(2));
        assert_eq!(previous(&history, true).map(|s| s.version), Some(3));
        assert_eq!(previous(&history[..1], true), None);
        assert_eq!(latest(&history).map(|s| s.version), Some(4));
        assert_eq!(latest(&[]), None);
    }

    #[test]
    fn tests_have_run_when_one_failed_or_all_succeeded() {
        assert!(!is_tested(&snapshot("v1 deployed")));
        assert!(is_tested(&Snapshot { test_hooks: Some(BTreeMap::new()), ..Snapshot::default() }));
        assert!(is_tested(&snapshot("v1 deployed Succeeded")) && is_tested(&snapshot("v1 deployed Failed")));
        assert!(!is_tested(&snapshot("v1 deployed Running")));
    }
}
