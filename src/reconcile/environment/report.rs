//! What a Kustomization's status and events say: Flux's conditions, reasons, messages and history. Pure: time is handed
//! in.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;

use super::manifests::Fault;
use crate::{
    api::{
        self, Kustomization, KustomizationStatus,
        conditions::{self, Status},
        kustomization::ReconciliationSnapshot,
        meta, reasons,
    },
    cluster::{apply::Change, object::ObjectId},
};

/// Snapshots that a history keeps.
const MAX_HISTORY: usize = 5;
/// Faults that a message names; the others are counted.
const MAX_NAMED: usize = 10;

/// The status of one object while a run works on it.
pub struct Report<'a> {
    /// The object as it was at the start.
    pub object: &'a Kustomization,
    /// Its status as it will be.
    pub status: &'a mut KustomizationStatus,
    /// When this is said.
    pub now: Timestamp,
}

/// How a run went, for the history.
pub struct Attempt<'a> {
    /// Digest of the objects.
    pub digest: &'a str,
    /// Revision of the artifact.
    pub revision: &'a str,
    /// Revision of what the artifact was made of, where it is known.
    pub origin_revision: Option<&'a str>,
    /// How long it took.
    pub took: Duration,
}

impl Report<'_> {
    fn mark(&mut self, kind: &str, status: Status, reason: &str, message: impl Into<String>) {
        let generation = self.object.metadata.generation;
        let condition = conditions::new(kind, status, reason, message, generation, self.now);
        conditions::set(&mut self.status.conditions, condition);
    }

    fn unmark(&mut self, kind: &str) {
        conditions::remove(&mut self.status.conditions, kind);
    }

    /// Says what is under way.
    pub fn progressing(&mut self, message: impl Into<String>) {
        self.unmark(conditions::STALLED);
        self.mark(conditions::RECONCILING, Status::True, reasons::PROGRESSING, message);
        self.mark(conditions::READY, Status::Unknown, reasons::PROGRESSING, "Reconciliation in progress");
    }

    /// Says that health checks are under way.
    pub fn checking_health(&mut self, message: &str) {
        self.unmark(conditions::STALLED);
        self.mark(conditions::RECONCILING, Status::True, reasons::PROGRESSING, message);
        self.mark(conditions::HEALTHY, Status::Unknown, reasons::PROGRESSING, message);
    }

    /// Says that all objects are healthy.
    pub fn healthy(&mut self, message: &str) {
        self.mark(conditions::HEALTHY, Status::True, reasons::SUCCEEDED, message);
    }

    /// Says that objects are not healthy.
    pub fn unhealthy(&mut self, message: &str) {
        self.mark(conditions::HEALTHY, Status::False, reasons::HEALTH_CHECK_FAILED, message);
    }

    /// Says nothing about health, because nobody asked.
    pub fn health_unchecked(&mut self) {
        self.unmark(conditions::HEALTHY);
    }

    /// Says that the run ended as it should.
    pub fn succeeded(&mut self, revision: &str, origin_revision: Option<&str>) {
        self.unmark(conditions::STALLED);
        self.unmark(conditions::RECONCILING);
        let message = format!("Applied revision: {revision}");
        self.mark(conditions::READY, Status::True, reasons::RECONCILIATION_SUCCEEDED, message);
        self.status.last_applied_revision = Some(revision.to_owned());
        self.status.last_applied_origin_revision = origin_revision.map(str::to_owned);
        self.status.observed_generation = self.object.metadata.generation.unwrap_or(0);
    }

    /// Says that the run failed and is tried again. `progress` is what was under way.
    pub fn failed(&mut self, reason: &str, message: &str, progress: &str) {
        self.unmark(conditions::STALLED);
        self.mark(conditions::READY, Status::False, reason, message);
        self.mark(conditions::RECONCILING, Status::True, reasons::PROGRESSING_WITH_RETRY, progress);
    }

    /// Says what keeps the run from beginning, and that it begins when that changes.
    pub fn blocked(&mut self, reason: &str, message: &str) {
        self.unmark(conditions::STALLED);
        self.unmark(conditions::RECONCILING);
        self.mark(conditions::READY, Status::False, reason, message);
    }

    /// Says that nothing more is tried until the object changes.
    pub fn stalled(&mut self, reason: &str, message: &str) {
        self.unmark(conditions::RECONCILING);
        self.mark(conditions::STALLED, Status::True, reason, message);
        self.mark(conditions::READY, Status::False, reason, message);
        self.status.observed_generation = self.object.metadata.generation.unwrap_or(0);
    }

    /// Adds the run to the history, in the snapshot of the same objects and the same outcome where there is one.
    pub fn remember(&mut self, attempt: &Attempt<'_>, outcome: &str) {
        let history = &mut self.status.history;
        let same =
            |known: &ReconciliationSnapshot| known.digest == attempt.digest && known.last_reconciled_status == outcome;
        let mut snapshot = match history.iter().position(same) {
            Some(at) => history.remove(at),
            None => ReconciliationSnapshot {
                digest: attempt.digest.to_owned(),
                first_reconciled: meta::time(self.now),
                last_reconciled_status: outcome.to_owned(),
                ..ReconciliationSnapshot::default()
            },
        };
        snapshot.last_reconciled = meta::time(self.now);
        snapshot.last_reconciled_duration = api::Duration::from(attempt.took).to_string();
        snapshot.total_reconciliations += 1;
        snapshot.metadata = BTreeMap::from([("revision".to_owned(), attempt.revision.to_owned())]);
        if let Some(origin) = attempt.origin_revision {
            snapshot.metadata.insert("originRevision".to_owned(), origin.to_owned());
        }
        history.insert(0, snapshot);
        history.truncate(MAX_HISTORY);
    }
}

/// Writes the changes that an apply made, a line each, without what did not change.
pub fn changes(changes: &[(ObjectId, Change)]) -> String {
    let lines: Vec<_> = changes
        .iter()
        .filter(|(_, change)| matches!(change, Change::Created | Change::Configured | Change::Deleted))
        .map(|(id, change)| format!("{id} {change}"))
        .collect();
    lines.join("\n")
}

/// Writes what could not be read or applied, a line each, the first ones in full. `what` says it for all together.
pub fn faults(faults: &[Fault], total: usize, what: &str) -> String {
    let mut lines: Vec<_> = faults.iter().take(MAX_NAMED).map(|fault| fault.to_string()).collect();
    if faults.len() > MAX_NAMED {
        lines.push(format!("and {} more", faults.len() - MAX_NAMED));
    }
    if let [only] = lines.as_slice() {
        return only.clone();
    }
    format!("{} of {total} {what}:\n{}", faults.len(), lines.join("\n"))
}

/// Makes the annotations that Flux puts on a Kustomization's events.
pub fn annotations(revision: Option<&str>, origin_revision: Option<&str>) -> BTreeMap<String, String> {
    let prefix = meta::KUSTOMIZE_EVENT_PREFIX;
    let pairs = [("revision", revision), ("originRevision", origin_revision)];
    pairs.into_iter().filter_map(|(key, value)| Some((format!("{prefix}{key}"), value?.to_owned()))).collect()
}

#[cfg(test)]
#[path = "report_tests.rs"]
mod tests;
