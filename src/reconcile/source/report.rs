//! The conditions of a source as Flux writes them at the end of a pass. Pure: time is handed in.

use jiff::Timestamp;

use super::obstacle::{Class, Obstacle};
use crate::api::conditions::{
    self, ARTIFACT_IN_STORAGE, ARTIFACT_OUTDATED, BUILD_FAILED, FETCH_FAILED, READY, RECONCILING, STALLED,
    STORAGE_OPERATION_FAILED, Status,
};
use crate::api::{Condition, reasons};

/// The conditions that a failure sets, and a success takes away.
pub const FAILURES: [&str; 3] = [STORAGE_OPERATION_FAILED, FETCH_FAILED, BUILD_FAILED];

/// Changes the conditions of one status.
pub struct Report<'a> {
    pub conditions: &'a mut Vec<Condition>,
    pub generation: i64,
    /// `status.observedGeneration` before the pass.
    pub observed: i64,
    pub has_artifact: bool,
    pub now: Timestamp,
}

impl Report<'_> {
    /// Work that takes its time is under way.
    pub fn progressing(&mut self) {
        let message = self.progress();
        self.set(RECONCILING, Status::True, reasons::PROGRESSING, message.clone());
        self.set(READY, Status::Unknown, reasons::PROGRESSING, message);
    }

    /// The artifact is that of the source: Ready repeats its condition.
    pub fn stored(&mut self) {
        for kind in FAILURES.into_iter().chain([RECONCILING, STALLED, ARTIFACT_OUTDATED]) {
            conditions::remove(self.conditions, kind);
        }
        if let Some(stored) = conditions::get(self.conditions, ARTIFACT_IN_STORAGE).cloned() {
            self.set(READY, Status::True, &stored.reason, stored.message);
        }
    }

    /// Says that the artifact is there.
    pub fn in_storage(&mut self, reason: &str, message: impl Into<String>) {
        self.set(ARTIFACT_IN_STORAGE, Status::True, reason, message.into());
    }

    /// Something stood in the way.
    pub fn blocked(&mut self, obstacle: &Obstacle) {
        let (reason, message) = (obstacle.reason, &obstacle.message);
        match obstacle.class {
            Class::Retry | Class::Wait => {
                conditions::remove(self.conditions, STALLED);
                let progress = self.progress();
                self.set(RECONCILING, Status::True, reasons::PROGRESSING_WITH_RETRY, progress);
            }
            Class::Stalled => {
                conditions::remove(self.conditions, RECONCILING);
                self.set(STALLED, Status::True, reason, message.clone());
            }
            // The next process starts with what is there.
            Class::Interrupted => return,
        }
        for kind in FAILURES {
            if Some(kind) == obstacle.condition {
                self.set(kind, Status::True, reason, message.clone());
            } else {
                conditions::remove(self.conditions, kind);
            }
        }
        self.set(READY, Status::False, reason, message.clone());
    }

    fn progress(&self) -> String {
        if self.observed != self.generation {
            return format!("processing object: new generation {} -> {}", self.observed, self.generation);
        }
        if self.has_artifact { "reconciliation in progress".to_owned() } else { "building artifact".to_owned() }
    }

    fn set(&mut self, kind: &str, status: Status, reason: &str, message: String) {
        let condition = conditions::new(kind, status, reason, message, Some(self.generation), self.now);
        conditions::set(self.conditions, condition);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(conditions: &[Condition]) -> Vec<String> {
        conditions.iter().map(|c| format!("{}={} {}: {}", c.type_, c.status, c.reason, c.message)).collect()
    }

    fn report(conditions: &mut Vec<Condition>) -> Report<'_> {
        Report { conditions, generation: 2, observed: 2, has_artifact: true, now: Timestamp::UNIX_EPOCH }
    }

    #[test]
    fn a_stored_artifact_makes_it_ready_with_the_same_words() {
        let mut conditions = Vec::new();
        report(&mut conditions).blocked(&Obstacle::fetch("GitOperationFailed", "gone"));
        report(&mut conditions).in_storage("Succeeded", "stored artifact for revision 'x'");
        report(&mut conditions).stored();
        assert_eq!(
            shown(&conditions),
            [
                "Ready=True Succeeded: stored artifact for revision 'x'",
                "ArtifactInStorage=True Succeeded: stored artifact for revision 'x'"
            ]
        );
    }

    #[test]
    fn a_failure_is_retried_and_keeps_the_artifact() {
        let mut conditions = Vec::new();
        report(&mut conditions).in_storage("Succeeded", "stored");
        report(&mut conditions).blocked(&Obstacle::storage("ArchiveOperationFailed", "disk"));
        report(&mut conditions).blocked(&Obstacle::fetch("AuthenticationFailed", "no secret"));
        assert_eq!(
            shown(&conditions),
            [
                "Reconciling=True ProgressingWithRetry: reconciliation in progress",
                "Ready=False AuthenticationFailed: no secret",
                "ArtifactInStorage=True Succeeded: stored",
                "FetchFailed=True AuthenticationFailed: no secret"
            ]
        );
    }

    #[test]
    fn what_only_a_change_can_mend_stalls() {
        let mut conditions = Vec::new();
        report(&mut conditions).progressing();
        report(&mut conditions).blocked(&Obstacle::fetch("URLInvalid", "::").stalled());
        assert_eq!(
            shown(&conditions),
            ["Stalled=True URLInvalid: ::", "Ready=False URLInvalid: ::", "FetchFailed=True URLInvalid: ::"]
        );
        report(&mut conditions).blocked(&Obstacle::unsupported("spec.verify"));
        assert!(conditions.iter().all(|condition| condition.type_ != FETCH_FAILED));
        assert!(conditions::has_reason(&conditions, READY, "UnsupportedField"));
    }

    #[test]
    fn progress_says_what_is_new() {
        let mut conditions = Vec::new();
        Report { observed: -1, ..report(&mut conditions) }.progressing();
        assert_eq!(conditions[0].message, "processing object: new generation -1 -> 2");
        Report { has_artifact: false, ..report(&mut conditions) }.progressing();
        assert_eq!(
            shown(&conditions),
            ["Reconciling=True Progressing: building artifact", "Ready=Unknown Progressing: building artifact"]
        );
    }
}
