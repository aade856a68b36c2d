//! What a HelmRelease's status and events say: Flux's conditions, reasons and messages. Pure: time is handed in.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{
    decide::{Action, Desired, Outcome, State},
    drift::{self, summary::Corrected},
    history,
    obstacle::{Class, Obstacle},
    target::{self, active_remediation, full_release_name, release_namespace, versioned_chart, versioned_release},
};
use crate::api::{
    Condition, HelmRelease, HelmReleaseStatus, Snapshot,
    conditions::{self, Status},
    helm_release::ReleaseAction,
    meta::HELM_EVENT_PREFIX,
    reasons,
};

/// What is between a failure and why no more is tried about it, in Ready.
const STALLED_LINE: &str = "\nStalled: ";

/// An event to send: type, reason, message and annotations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    pub is_warning: bool,
    pub reason: &'static str,
    pub message: String,
    pub annotations: BTreeMap<String, String>,
}

/// Why there was nothing to uninstall.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gone {
    /// The storage has no record of the release.
    NotFound,
    /// The newest record says that it is uninstalled, and history is kept.
    Already,
}

/// The status of one object while a run works on it.
pub struct Report<'a> {
    pub object: &'a HelmRelease,
    pub status: &'a mut HelmReleaseStatus,
    pub now: Timestamp,
}

impl Report<'_> {
    /// Sets a condition of the current generation.
    pub fn mark(&mut self, kind: &str, status: Status, reason: &str, message: impl Into<String>) {
        let generation = self.object.metadata.generation;
        let condition = conditions::new(kind, status, reason, message, generation, self.now);
        conditions::set(&mut self.status.conditions, condition);
    }

    /// Takes a condition away.
    pub fn unmark(&mut self, kind: &str) {
        conditions::remove(&mut self.status.conditions, kind);
    }

    /// Says that work is under way; a stalled object is not stalled any more.
    pub fn reconciling(&mut self, reason: &str, message: impl Into<String>) {
        self.unmark(conditions::STALLED);
        self.mark(conditions::RECONCILING, Status::True, reason, message);
    }

    /// Says that nothing more is tried until something changes.
    pub fn stalled(&mut self, reason: &str, message: impl Into<String>) {
        self.unmark(conditions::RECONCILING);
        self.mark(conditions::STALLED, Status::True, reason, message);
    }

    /// Says that no more is tried about a failure, and what would bring the release back to life: in Ready too, where
    /// people look first.
    pub fn given_up(&mut self, reason: &str, message: &str) {
        // An obstacle that is gone may have taken the failure's place in Ready.
        let is_unknown = |ready: &Condition| ready.status == "Unknown";
        if conditions::get(&self.status.conditions, conditions::READY).is_some_and(is_unknown) {
            self.summarize(None);
        }
        let message = format!("{message}; {}", self.way_out(reason));
        let ready = conditions::get(&self.status.conditions, conditions::READY).filter(|ready| ready.status == "False");
        if let Some(ready) = ready.cloned() {
            let failure = ready.message.split(STALLED_LINE).next().unwrap_or_default();
            let told = format!("{failure}{STALLED_LINE}{message}");
            self.mark(conditions::READY, Status::False, &ready.reason, told);
        }
        self.stalled(reason, message);
    }

    fn way_out(&self, reason: &str) -> String {
        let name = self.object.metadata.name.as_deref().unwrap_or_default();
        let namespace = self.object.metadata.namespace.as_deref().unwrap_or_default();
        let again = format!(
            "a change of the spec, the chart or the values is tried at once, and so is the same again on the annotations \
             reconcile.fluxcd.io/requestedAt and resetAt (flux reconcile helmrelease {name} -n {namespace} --reset)"
        );
        match reason {
            reasons::MISSING_ROLLBACK_TARGET => format!(
                "status.history has no earlier revision that was deployed and whose tests did not fail, as after a first \
                 install or a change of the release from outside; {again}, and upgrade.remediation.strategy: uninstall \
                 needs no such revision"
            ),
            _ => again,
        }
    }

    /// Ready=False for something that comes before an action; what is installed stays.
    pub fn not_ready(&mut self, reason: &str, message: impl Into<String>) {
        self.mark(conditions::READY, Status::False, reason, message);
    }

    /// Says what keeps the release from being acted on.
    pub fn blocked(&mut self, obstacle: &Obstacle) {
        match obstacle.class {
            Class::Wait => self.fulfilling(),
            Class::Retry if obstacle.is_prerequisite() => self.fulfilling(),
            Class::Retry => self.reconciling(reasons::PROGRESSING_WITH_RETRY, obstacle.message.clone()),
            Class::Terminal => self.stalled(obstacle.reason, obstacle.message.clone()),
        }
        self.not_ready(obstacle.reason, obstacle.message.clone());
    }

    /// Says that what comes before an action is under way.
    pub fn fulfilling(&mut self) {
        self.reconciling(reasons::PROGRESSING, "Fulfilling prerequisites");
    }

    /// Says how a run's steps ended.
    pub fn ended(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Again => {}
            Outcome::Done => self.unmark(conditions::RECONCILING),
            Outcome::Requeue => {
                let ready = conditions::get(&self.status.conditions, conditions::READY).map(|c| c.message.clone());
                self.reconciling(reasons::PROGRESSING_WITH_RETRY, ready.unwrap_or_default());
            }
            Outcome::RetryAfter(interval) => {
                let message = format!("retrying after {}", crate::api::Duration::from(*interval));
                self.reconciling(reasons::PROGRESSING_WITH_RETRY, message);
            }
            Outcome::Stall { reason, message } => self.given_up(reason, message),
        }
    }

    /// Takes back a Ready that an obstacle before the action had set, now that it is gone.
    pub fn cleared(&mut self, reasons: &[&str]) {
        let set = conditions::get(&self.status.conditions, conditions::READY)
            .is_some_and(|c| reasons.contains(&c.reason.as_str()));
        if set {
            self.mark(conditions::READY, Status::Unknown, reasons::PROGRESSING, "reconciliation in progress");
        }
    }

    /// Says which action runs and how long it may take.
    pub fn running(&mut self, action: Action) {
        let timeout = crate::api::Duration::from(target::timeout(self.object, action.timeout_of()));
        let message = format!("Running '{}' action with timeout of {timeout}", action.name());
        self.reconciling(reasons::PROGRESSING, message.clone());
        if action.kind() == super::decide::ActionType::Release {
            self.mark(conditions::READY, Status::Unknown, reasons::PROGRESSING, message);
        }
        if action == Action::CorrectDrift {
            self.mark(conditions::READY, Status::Unknown, reasons::PROGRESSING, "correcting cluster drift");
        }
    }

    /// Makes Ready of the conditions about actions: the newest generation first, then Remediated, `TestSuccess` (where
    /// tests count), Released. A remediated release is not ready.
    pub fn summarize(&mut self, desired: Option<&Desired>) {
        let tests_count = target::tests_enabled(self.object) && !target::test_failures_ignored(self.object);
        if !target::tests_enabled(self.object) {
            self.unmark(conditions::TEST_SUCCESS);
        }
        let priority = |c: &Condition| match c.type_.as_str() {
            conditions::REMEDIATED => Some(0),
            conditions::TEST_SUCCESS if tests_count => Some(1),
            conditions::RELEASED => Some(2),
            _ => None,
        };
        let chosen = self
            .status
            .conditions
            .iter()
            .filter_map(|c| Some((std::cmp::Reverse(c.observed_generation.unwrap_or(0)), priority(c)?, c)))
            .min_by_key(|(generation, priority, _)| (*generation, *priority))
            .map(|(_, _, c)| c.clone());
        if let Some(chosen) = chosen {
            let status = match (chosen.type_.as_str(), chosen.status.as_str()) {
                (conditions::REMEDIATED, _) | (_, "False") => Status::False,
                (_, "True") => Status::True,
                _ => Status::Unknown,
            };
            if status == Status::True {
                self.unmark(conditions::STALLED);
            }
            self.mark(conditions::READY, status, &chosen.reason, chosen.message);
        }
        // What failed has changed nothing that could be told from these later.
        let has_failed =
            conditions::get(&self.status.conditions, conditions::READY).is_some_and(|c| c.status == "False");
        if let Some(desired) = desired.filter(|_| !has_failed) {
            self.status.observed_post_renderers_digest.clone_from(&desired.post_renderers_digest);
            self.status.observed_common_metadata_digest.clone_from(&desired.common_metadata_digest);
        }
    }

    /// Puts right what an earlier remediation says about a release that is what is asked for.
    pub fn found(&mut self, state: &State) {
        if let (State::InSync | State::Untested, Some(current)) = (state, history::latest(&self.status.history)) {
            let current = current.clone();
            self.replace_remediated(&current);
        }
    }

    /// Puts right what conditions of an earlier attempt say about a release that is in sync.
    pub fn in_sync(&mut self, desired: &Desired) {
        let Some(current) = history::latest(&self.status.history).cloned() else { return };
        let released = conditions::get(&self.status.conditions, conditions::RELEASED);
        let is_ready = conditions::is_true(&self.status.conditions, conditions::READY);
        if !is_ready || released.is_none_or(|c| c.status != "True") {
            let heal = match released.map(|c| c.reason.as_str()) {
                Some(reasons::INSTALL_FAILED) => Some((reasons::INSTALL_SUCCEEDED, "install")),
                Some(reasons::UPGRADE_FAILED) => Some((reasons::UPGRADE_SUCCEEDED, "upgrade")),
                _ => None,
            };
            if let Some((reason, verb)) = heal {
                self.mark(conditions::RELEASED, Status::True, reason, succeeded(verb, &current));
            }
        }
        self.unmark(conditions::RECONCILING);
        self.summarize(Some(desired));
        if !drift::is_on(self.object) {
            self.unmark(conditions::DRIFTED);
        }
    }

    /// Says that no object has drifted; `notes` is what else there is to say of the looking.
    pub fn no_drift(&mut self, notes: &[String]) {
        let mut lines = vec!["No drift detected against the cluster state".to_owned()];
        lines.extend_from_slice(notes);
        self.mark(conditions::DRIFTED, Status::False, reasons::NO_DRIFT_DETECTED, lines.join("\n"));
    }

    /// Says which objects have drifted, one in a line, and `notes` what is to be said beside that; an event where it is
    /// news.
    pub fn drifted(&mut self, lines: &str, notes: &[String]) -> Option<Notice> {
        let release = versioned_release(history::latest(&self.status.history)?);
        let mut text = vec![drift::summary::drifted(&release, lines)];
        text.extend_from_slice(notes);
        let message = text.join("\n");
        let before = conditions::get(&self.status.conditions, conditions::DRIFTED);
        let is_news = before.is_none_or(|before| before.status != "True" || before.message != message);
        self.mark(conditions::DRIFTED, Status::True, reasons::DRIFT_DETECTED, message.clone());
        let reason = reasons::DRIFT_DETECTED;
        is_news.then(|| Notice { is_warning: true, reason, message, annotations: BTreeMap::new() })
    }

    /// Says what a correction of drift came to.
    pub fn drift_corrected(&mut self, corrected: &Corrected) -> Option<Notice> {
        let current = history::latest(&self.status.history)?.clone();
        let message = drift::summary::corrected(&versioned_release(&current), corrected)?;
        let is_warning = !corrected.errors.is_empty();
        let reason = if is_warning { reasons::DRIFT_CORRECTION_FAILED } else { reasons::DRIFT_CORRECTED };
        Some(notice(is_warning, reason, message, &current))
    }

    /// Gives Ready the time back that it has had this status since, where a short action only touched it.
    pub fn still_ready(&mut self, before: Option<&Condition>) {
        let ready = self.status.conditions.iter_mut().find(|c| c.type_ == conditions::READY);
        if let (Some(ready), Some(before)) = (ready, before)
            && ready.status == before.status
        {
            ready.last_transition_time = before.last_transition_time.clone();
        }
    }

    /// Turns Remediated into Released where what was rolled back to is what is asked for now.
    pub fn replace_remediated(&mut self, current: &Snapshot) {
        if !conditions::is_true(&self.status.conditions, conditions::REMEDIATED) {
            return;
        }
        let removed = conditions::remove(&mut self.status.conditions, conditions::REMEDIATED);
        self.unmark(conditions::RELEASED);
        let message = succeeded("upgrade", current);
        self.mark(conditions::RELEASED, Status::True, reasons::UPGRADE_SUCCEEDED, message);
        let since = removed.map(|c| c.last_transition_time);
        let released = self.status.conditions.iter_mut().find(|c| c.type_ == conditions::RELEASED);
        if let (Some(released), Some(since)) = (released, since) {
            released.last_transition_time = since;
        }
    }

    /// Forgets what earlier releases left, before an install or upgrade.
    pub fn starts(&mut self, action: ReleaseAction) {
        if action == ReleaseAction::Install {
            self.status.history.clear();
        }
        self.started(action);
    }

    /// Says that an install or upgrade was begun.
    pub fn started(&mut self, action: ReleaseAction) {
        self.status.last_attempted_release_action = Some(action);
        self.unmark(conditions::TEST_SUCCESS);
        self.unmark(conditions::REMEDIATED);
    }

    /// An install or upgrade that succeeded.
    pub fn released(&mut self, action: &ReleaseAction) -> Option<Notice> {
        let current = history::latest(&self.status.history)?.clone();
        let (reason, verb) = match action {
            ReleaseAction::Install => (reasons::INSTALL_SUCCEEDED, "install"),
            _ => (reasons::UPGRADE_SUCCEEDED, "upgrade"),
        };
        let message = succeeded(verb, &current);
        self.mark(conditions::RELEASED, Status::True, reason, message.clone());
        if target::tests_enabled(self.object) && !history::is_tested(&current) {
            let (release, chart) = (versioned_release(&current), versioned_chart(&current));
            let message = format!("Helm release {release} with chart {chart} is awaiting tests");
            self.mark(conditions::TEST_SUCCESS, Status::Unknown, reasons::AWAITING_TESTS, message);
        }
        if target::retry_of(self.object, action).is_some() {
            self.clear_failures();
        }
        Some(notice(false, reason, message, &current))
    }

    /// An install or upgrade that failed; `counted` where it had written to Helm's storage.
    pub fn release_failed(
        &mut self,
        action: &ReleaseAction,
        desired: &Desired,
        app_version: &str,
        counted: bool,
        error: &str,
    ) -> Notice {
        let (reason, verb) = match action {
            ReleaseAction::Install => (reasons::INSTALL_FAILED, "install"),
            _ => (reasons::UPGRADE_FAILED, "upgrade"),
        };
        let message = format!(
            "Helm {verb} failed for release {}/{} with chart {}@{}: {}",
            release_namespace(self.object),
            full_release_name(self.object),
            desired.chart_name,
            desired.chart_version,
            error.trim()
        );
        self.status.failures += 1;
        if counted {
            match action {
                ReleaseAction::Install => self.status.install_failures += 1,
                _ => self.status.upgrade_failures += 1,
            }
        }
        self.mark(conditions::RELEASED, Status::False, reason, message.clone());
        let annotations = annotations(
            &desired.chart_version,
            &desired.config_digest,
            app_version,
            self.status.last_attempted_revision_digest.as_deref(),
        );
        Notice { is_warning: true, reason, message, annotations }
    }

    /// A pending revision that was marked failed; `error` where that failed.
    pub fn unlocked(&mut self, pending: &Snapshot, state: &str, error: Option<&str>) -> Notice {
        let (release, chart) = (versioned_release(pending), versioned_chart(pending));
        let message = match error {
            None => format!("Unlocked Helm release {release} with chart {chart} in {state} state"),
            Some(error) => {
                self.status.failures += 1;
                format!("Unlock of Helm release {release} with chart {chart} in {state} state failed: {error}")
            }
        };
        self.mark(conditions::RELEASED, Status::False, reasons::PENDING_RELEASE, message.clone());
        notice(error.is_some(), reasons::PENDING_RELEASE, message, pending)
    }

    /// A rollback to `previous`; `error` where it failed.
    pub fn rolled_back(&mut self, previous: &Snapshot, error: Option<&str>) -> Notice {
        let (release, chart) = (versioned_release(previous), versioned_chart(previous));
        let to = format!("Helm rollback to previous release {release} with chart {chart}");
        let mut notice = self.remediated(reasons::ROLLBACK_SUCCEEDED, reasons::ROLLBACK_FAILED, &to, error, previous);
        // Flux tells of the values that were asked for, and not of those that are rolled back to.
        if let Some(asked) = &self.status.last_attempted_config_digest {
            notice.annotations.insert(format!("{HELM_EVENT_PREFIX}token"), asked.clone());
        }
        notice
    }

    /// An uninstall that a failure caused; `error` where it failed.
    pub fn uninstalled_as_remediation(&mut self, current: &Snapshot, error: Option<&str>) -> Notice {
        let (release, chart) = (versioned_release(current), versioned_chart(current));
        let of = format!("Helm uninstall remediation for release {release} with chart {chart}");
        self.remediated(reasons::UNINSTALL_SUCCEEDED, reasons::UNINSTALL_FAILED, &of, error, current)
    }

    fn remediated(
        &mut self,
        good: &'static str,
        bad: &'static str,
        what: &str,
        error: Option<&str>,
        snapshot: &Snapshot,
    ) -> Notice {
        let (status, reason, message) = match error {
            None => (Status::True, good, format!("{what} succeeded")),
            Some(error) => {
                self.status.failures += 1;
                (Status::False, bad, format!("{what} failed: {}", error.trim()))
            }
        };
        self.mark(conditions::REMEDIATED, status, reason, message.clone());
        notice(error.is_some(), reason, message, snapshot)
    }

    /// An uninstall that was asked for; `error` where it failed.
    pub fn uninstalled(&mut self, current: &Snapshot, error: Option<&str>) -> Notice {
        let (release, chart) = (versioned_release(current), versioned_chart(current));
        let (reason, message) = match error {
            None => {
                self.status.inventory = None;
                let message = format!("Helm uninstall succeeded for release {release} with chart {chart}");
                (reasons::UNINSTALL_SUCCEEDED, message)
            }
            Some(error) => {
                self.status.failures += 1;
                let error = error.trim();
                let message = format!("Helm uninstall failed for release {release} with chart {chart}: {error}");
                (reasons::UNINSTALL_FAILED, message)
            }
        };
        self.mark(conditions::RELEASED, Status::False, reason, message.clone());
        notice(error.is_some(), reason, message, current)
    }

    /// An uninstall that was asked for, of what was gone before.
    pub fn was_gone(&mut self, current: &Snapshot, gone: Gone) {
        let release = versioned_release(current);
        let message = match gone {
            Gone::NotFound => format!("Release {release} was not found, assuming it is uninstalled"),
            Gone::Already => format!("Release {release} was already uninstalled"),
        };
        self.mark(conditions::RELEASED, Status::False, reasons::UNINSTALL_SUCCEEDED, message);
    }

    /// The chart's tests ran; `error` where one failed.
    pub fn tested(&mut self, error: Option<&str>) -> Option<Notice> {
        let current = history::latest(&self.status.history)?.clone();
        let (release, chart) = (versioned_release(&current), versioned_chart(&current));
        let Some(error) = error else {
            let hooks = match current.test_hooks.as_ref().map_or(0, BTreeMap::len) {
                0 => "no test hooks".to_owned(),
                1 => "1 test hook completed successfully".to_owned(),
                n => format!("{n} test hooks completed successfully"),
            };
            let message = format!("Helm test succeeded for release {release} with chart {chart}: {hooks}");
            self.mark(conditions::TEST_SUCCESS, Status::True, reasons::TEST_SUCCEEDED, message.clone());
            return Some(notice(false, reasons::TEST_SUCCEEDED, message, &current));
        };
        let message = format!("Helm test failed for release {release} with chart {chart}: {}", error.trim());
        self.status.failures += 1;
        self.mark(conditions::TEST_SUCCESS, Status::False, reasons::TEST_FAILED, message.clone());
        let counts = active_remediation(self.object, self.status).is_some_and(|r| !r.ignore_test_failures);
        if history::is_tested(&current) && counts {
            match self.status.last_attempted_release_action {
                Some(ReleaseAction::Install) => self.status.install_failures += 1,
                _ => self.status.upgrade_failures += 1,
            }
        }
        Some(notice(true, reasons::TEST_FAILED, message, &current))
    }

    /// Starts the counts of failures anew.
    pub fn clear_failures(&mut self) {
        self.status.failures = 0;
        self.status.install_failures = 0;
        self.status.upgrade_failures = 0;
    }
}

/// Writes the message of an install or upgrade that succeeded.
fn succeeded(verb: &str, current: &Snapshot) -> String {
    format!("Helm {verb} succeeded for release {} with chart {}", versioned_release(current), versioned_chart(current))
}

/// Makes an event about a snapshot.
pub fn notice(is_warning: bool, reason: &'static str, message: String, snapshot: &Snapshot) -> Notice {
    let annotations = annotations(
        &snapshot.chart_version,
        &snapshot.config_digest,
        snapshot.app_version.as_deref().unwrap_or_default(),
        snapshot.oci_digest.as_deref(),
    );
    Notice { is_warning, reason, message, annotations }
}

fn annotations(revision: &str, token: &str, app_version: &str, oci_digest: Option<&str>) -> BTreeMap<String, String> {
    [("revision", revision), ("token", token), ("app-version", app_version), ("oci-digest", oci_digest.unwrap_or(""))]
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(key, value)| (format!("{HELM_EVENT_PREFIX}{key}"), value.to_owned()))
        .collect()
}
