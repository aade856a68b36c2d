//! What state a release is in, and what to do next. Pure: everything it needs is handed in.
//!
//! The order of the checks and the words of the reasons are helm-controller's (1.6), but for one: a pending release is
//! taken over only if it is ours, or its own time limit is over, since a person's `helm upgrade` may be at work on it.

use std::time::Duration;

use helm::release::Status as RecordStatus;
use jiff::Timestamp;

use super::{
    history,
    target::{self, active_remediation, active_retry},
};
use crate::api::{
    HelmRelease, HelmReleaseStatus, Snapshot, conditions,
    helm_release::{DriftDetectionMode, ReleaseAction, RemediationStrategy},
    reasons,
};

/// The newest revision in Helm's storage, as far as a decision needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastRelease {
    pub version: i64,
    pub status: RecordStatus,
    pub chart_name: String,
    pub chart_version: String,
    /// The digest of the record, as [`super::snapshot::digest`] takes it.
    pub digest: String,
    pub last_deployed: Option<Timestamp>,
    /// Whether this program (or Flux's helm-controller) made the record.
    pub is_ours: bool,
    /// Whether a rollback made it.
    pub is_rollback: bool,
}

/// What the spec asks for, composed and digested.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Desired {
    pub chart_name: String,
    pub chart_version: String,
    /// `sha256:<hex>` of the values, as Flux takes it.
    pub config_digest: String,
    pub post_renderers_digest: Option<String>,
    pub common_metadata_digest: Option<String>,
}

/// Whether the objects on the cluster are as the release's manifest has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drift {
    /// Drift detection is off, or the check was not needed.
    NotChecked,
    None,
    Found,
    /// Found, and left as it is until the interval: it was put right too often.
    Left,
}

/// Everything that a decision is made of.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    pub object: &'a HelmRelease,
    pub status: &'a HelmReleaseStatus,
    pub last: Option<&'a LastRelease>,
    pub desired: &'a Desired,
    /// What is known of a rollback target's record.
    pub target: RollbackTarget,
    pub drift: Drift,
    pub now: Timestamp,
}

/// What Helm's storage has of the revision that a rollback would go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RollbackTarget {
    /// It is there, as its snapshot says.
    Intact,
    /// The history names none.
    Missing,
    /// Its record is gone or is not what was seen.
    Corrupt,
}

/// The state of a release, with the reason that the log gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Not installed.
    Absent(&'static str),
    /// A pending status; nobody may write but who set it.
    Locked(RecordStatus),
    /// An uninstall of ours that a crash cut short.
    Uninstalling,
    /// Installed, but not by what the history knows.
    Unmanaged(&'static str),
    /// Chart, values or post-renderers differ.
    OutOfSync(&'static str),
    /// Objects were changed by others.
    Drifted,
    /// The chart's tests have not run.
    Untested,
    /// The last action failed, or a test did.
    Failed(&'static str),
    InSync,
}

/// A status of the newest record that no action can start from.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unable to determine state for release with status '{}'", .0.as_str())]
pub struct StateError(pub RecordStatus);

/// Determines the state that a release is in.
pub fn state(view: &View) -> Result<State, StateError> {
    let Some(last) = view.last else { return Ok(State::Absent("no release in storage for object")) };
    if last.status.is_pending() {
        return Ok(State::Locked(last.status));
    }
    let Some(current) = history::latest(&view.status.history) else {
        return Ok(match last.status {
            RecordStatus::Uninstalled => State::Absent("found uninstalled release in storage"),
            _ => State::Unmanaged("found existing release in storage"),
        });
    };
    if let Some(reason) = unobserved(current, last) {
        return Ok(State::Unmanaged(reason));
    }
    match last.status {
        RecordStatus::Failed => Ok(State::Failed("")),
        RecordStatus::Uninstalled => Ok(State::Absent("found uninstalled release in storage")),
        RecordStatus::Uninstalling if last.is_ours => Ok(State::Uninstalling),
        RecordStatus::Deployed => Ok(deployed(view, current, last)),
        RecordStatus::Unknown
        | RecordStatus::Superseded
        | RecordStatus::Uninstalling
        | RecordStatus::PendingInstall
        | RecordStatus::PendingUpgrade
        | RecordStatus::PendingRollback => Err(StateError(last.status)),
    }
}

/// Says why a record is not the one that the snapshot was taken of.
///
/// A digest that another program took (Flux marks its own with an apiVersion) cannot be compared: such a snapshot is
/// held against the revision's number.
fn unobserved(snapshot: &Snapshot, last: &LastRelease) -> Option<&'static str> {
    const NOT_OBSERVED: &str = "release does not match observed snapshot";
    if snapshot.version != last.version {
        return Some(NOT_OBSERVED);
    }
    if snapshot.api_version.is_some() {
        return None;
    }
    let hex = snapshot.digest.strip_prefix("sha256:").unwrap_or_default();
    if hex.len() != 64 || !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Some("release digest cannot be parsed");
    }
    (snapshot.digest != last.digest).then_some(NOT_OBSERVED)
}

fn deployed(view: &View, current: &Snapshot, last: &LastRelease) -> State {
    let desired = view.desired;
    if last.chart_name != desired.chart_name || last.chart_version != desired.chart_version {
        return State::OutOfSync("release chart changed");
    }
    if current.config_digest != desired.config_digest {
        return State::OutOfSync("release config values changed");
    }
    // A change of these is seen once, in the generation that brings it, unless what it brought was taken back.
    if Some(view.status.observed_generation) != view.object.metadata.generation || is_rolled_back(view) {
        if filled(desired.post_renderers_digest.as_ref()) != filled(view.status.observed_post_renderers_digest.as_ref())
        {
            return State::OutOfSync("postrenderers digest has changed");
        }
        let observed = filled(view.status.observed_common_metadata_digest.as_ref());
        if filled(desired.common_metadata_digest.as_ref()) != observed {
            return State::OutOfSync("common metadata digest has changed");
        }
    }
    if target::tests_enabled(view.object) {
        if !history::is_tested(current) {
            return State::Untested;
        }
        let remediation = active_remediation(view.object, view.status);
        if remediation.is_some_and(|r| !r.ignore_test_failures) && history::has_failed_test(current) {
            return State::Failed("release has test in failed phase");
        }
    }
    match view.drift {
        Drift::Found | Drift::Left => State::Drifted,
        Drift::None | Drift::NotChecked => State::InSync,
    }
}

/// Tells whether what this generation asks for was tried and rolled back.
fn is_rolled_back(view: &View) -> bool {
    let remediated = conditions::get(&view.status.conditions, conditions::REMEDIATED);
    remediated.is_some_and(|c| {
        c.status == "True"
            && c.reason == reasons::ROLLBACK_SUCCEEDED
            && c.observed_generation.is_some()
            && c.observed_generation == view.object.metadata.generation
    })
}

/// Tells whether the failures that led there used the retries up, and nothing has changed since that would clear them.
fn is_given_up(view: &View) -> bool {
    active_retry(view.object, view.status).is_none()
        && active_remediation(view.object, view.status).is_some_and(|r| r.failures > 0 && r.is_exhausted())
}

fn filled(text: Option<&String>) -> Option<&str> {
    text.map(String::as_str).filter(|t| !t.is_empty())
}

/// What is done to a release in one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Install,
    Upgrade,
    Unlock,
    Test,
    Rollback,
    UninstallRemediation,
    CorrectDrift,
}

/// The groups of actions of which each runs at most once in a reconcile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActionType {
    Release,
    Unlock,
    Test,
    Remediate,
    Drift,
}

impl Action {
    /// Returns the name that conditions and logs give.
    pub fn name(self) -> &'static str {
        match self {
            Self::Install => "install",
            Self::Upgrade => "upgrade",
            Self::Unlock => "unlock",
            Self::Test => "test",
            Self::Rollback => "rollback",
            Self::UninstallRemediation => "uninstall",
            Self::CorrectDrift => "correct cluster drift",
        }
    }

    /// Returns which time limit of the spec the action has.
    pub fn timeout_of(self) -> target::ActionKind {
        match self {
            Self::Install => target::ActionKind::Install,
            Self::Upgrade => target::ActionKind::Upgrade,
            Self::Test => target::ActionKind::Test,
            Self::Rollback => target::ActionKind::Rollback,
            Self::UninstallRemediation => target::ActionKind::Uninstall,
            Self::Unlock | Self::CorrectDrift => target::ActionKind::Other,
        }
    }

    pub fn kind(self) -> ActionType {
        match self {
            Self::Install | Self::Upgrade => ActionType::Release,
            Self::Unlock => ActionType::Unlock,
            Self::Test => ActionType::Test,
            Self::Rollback | Self::UninstallRemediation => ActionType::Remediate,
            Self::CorrectDrift => ActionType::Drift,
        }
    }
}

/// How the history changes before the next step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HistoryChange {
    Keep,
    /// It says nothing about what is installed any more.
    Clear,
    /// What is older than the rollback target goes.
    Truncate {
        ignore_tests: bool,
    },
    /// What is older than five goes.
    TruncateForRetry,
}

/// The next step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    Act(Action),
    /// Nothing is left to do.
    Done,
    /// Nothing more is tried until something changes: the reason and message of the condition Stalled.
    Stall {
        reason: &'static str,
        message: String,
    },
    /// Somebody's `helm` is at work: look again at this time, or when the record changes.
    WaitUntil(Timestamp),
}

/// A step, and what it does to the history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    pub step: Step,
    pub history: HistoryChange,
}

impl Decision {
    fn keep(step: Step) -> Self {
        Self { step, history: HistoryChange::Keep }
    }
}

/// Tells whether the force annotation asks for an action that was not done yet.
pub fn is_forced(object: &HelmRelease, status: &HelmReleaseStatus) -> bool {
    is_requested(object, crate::api::meta::FORCE_REQUESTED_AT, status.last_handled_force_at.as_deref())
}

/// Tells whether the reset annotation asks for counters to be cleared that were not yet.
pub fn is_reset_requested(object: &HelmRelease, status: &HelmReleaseStatus) -> bool {
    is_requested(object, crate::api::meta::RESET_REQUESTED_AT, status.last_handled_reset_at.as_deref())
}

/// An annotation acts once, and only while it equals `requestedAt` that was not handled.
fn is_requested(object: &HelmRelease, annotation: &str, handled: Option<&str>) -> bool {
    let annotations = object.metadata.annotations.as_ref();
    let value = annotations.and_then(|a| a.get(annotation));
    let requested = annotations.and_then(|a| a.get(crate::api::meta::RECONCILE_REQUESTED_AT));
    value.is_some() && value == requested && value.map(String::as_str) != handled
}

/// Decides what to do about a state.
pub fn next(view: &View, state: &State) -> Decision {
    let forced = is_forced(view.object, view.status);
    match state {
        State::InSync | State::Untested if is_rolled_back(view) && !forced && is_given_up(view) => {
            Decision::keep(retries_exceeded(view, ReleaseAction::Upgrade, 0))
        }
        State::InSync => {
            let step = if forced { Step::Act(Action::Upgrade) } else { Step::Done };
            Decision { step, history: kept_in_sync(view) }
        }
        State::Locked(_) => Decision::keep(locked(view, forced)),
        State::Uninstalling => Decision::keep(Step::Act(Action::UninstallRemediation)),
        State::Absent(_) => {
            let remediation = target::install_remediation(view.object, view.status);
            Decision::keep(if remediation.is_exhausted() && !forced {
                retries_exceeded(view, ReleaseAction::Install, remediation.failures)
            } else {
                Step::Act(Action::Install)
            })
        }
        State::Unmanaged(_) => Decision { step: Step::Act(Action::Upgrade), history: HistoryChange::Clear },
        State::OutOfSync(_) => {
            let remediation = target::upgrade_remediation(view.object, view.status);
            Decision::keep(if remediation.is_exhausted() && !forced {
                retries_exceeded(view, ReleaseAction::Upgrade, remediation.failures)
            } else {
                Step::Act(Action::Upgrade)
            })
        }
        State::Drifted => Decision::keep(match target::drift_mode(view.object) {
            DriftDetectionMode::Enabled if view.drift != Drift::Left => Step::Act(Action::CorrectDrift),
            DriftDetectionMode::Enabled
            | DriftDetectionMode::Warn
            | DriftDetectionMode::Disabled
            | DriftDetectionMode::Unknown(_) => Step::Done,
        }),
        State::Untested => Decision::keep(Step::Act(Action::Test)),
        State::Failed(_) => failed(view, forced),
    }
}

fn kept_in_sync(view: &View) -> HistoryChange {
    if active_retry(view.object, view.status).is_some() {
        return HistoryChange::TruncateForRetry;
    }
    let ignore_tests = active_remediation(view.object, view.status)
        .map_or_else(|| target::test_failures_ignored(view.object), |r| r.ignore_test_failures);
    HistoryChange::Truncate { ignore_tests }
}

fn locked(view: &View, forced: bool) -> Step {
    let Some(last) = view.last else { return Step::Act(Action::Unlock) };
    let known = view.status.history.iter().any(|s| s.version == last.version);
    let limit = last.last_deployed.and_then(|since| {
        let timeout = target::timeout(view.object, target::ActionKind::Other);
        since.checked_add(jiff::SignedDuration::try_from(timeout).ok()?).ok()
    });
    match limit {
        Some(limit) if !last.is_ours && !known && !forced && view.now < limit => Step::WaitUntil(limit),
        _ => Step::Act(Action::Unlock),
    }
}

fn failed(view: &View, forced: bool) -> Decision {
    let upgrade = Step::Act(Action::Upgrade);
    if active_retry(view.object, view.status).is_some() {
        return Decision { step: upgrade, history: HistoryChange::TruncateForRetry };
    }
    // A release that a crash left pending was marked failed by its unlock; what it was about is tried again: the upgrade
    // here, a rollback below.
    let is_unlocked = conditions::has_reason(&view.status.conditions, conditions::RELEASED, reasons::PENDING_RELEASE);
    if is_unlocked && !view.last.is_some_and(|last| last.is_rollback) {
        return Decision::keep(upgrade);
    }
    let Some(remediation) = active_remediation(view.object, view.status) else { return Decision::keep(upgrade) };
    // No counted failure: what it failed under has changed since.
    if remediation.failures <= 0 || forced {
        return Decision::keep(upgrade);
    }
    if remediation.is_exhausted() && !remediation.remediate_last_failure {
        return Decision::keep(retries_exceeded(view, ReleaseAction::Upgrade, remediation.failures));
    }
    let history = HistoryChange::Truncate { ignore_tests: remediation.ignore_test_failures };
    let step = match remediation.strategy {
        RemediationStrategy::Uninstall => Step::Act(Action::UninstallRemediation),
        RemediationStrategy::Rollback | RemediationStrategy::Unknown(_) => match view.target {
            RollbackTarget::Intact => Step::Act(Action::Rollback),
            RollbackTarget::Corrupt => upgrade,
            RollbackTarget::Missing => Step::Stall {
                reason: reasons::MISSING_ROLLBACK_TARGET,
                message: "Failed to perform remediation: missing target release for rollback: \
                          cannot remediate failed release"
                    .to_owned(),
            },
        },
    };
    Decision { step, history }
}

fn retries_exceeded(view: &View, refused: ReleaseAction, failures: i64) -> Step {
    let last = view.status.last_attempted_release_action.clone().filter(|last| !last.as_str().is_empty());
    let action = last.unwrap_or(refused);
    // Flux counts by the action that was tried last, not by the one that is refused.
    let failures = active_remediation(view.object, view.status).map_or(failures, |r| r.failures);
    Step::Stall {
        reason: reasons::RETRIES_EXCEEDED,
        message: format!("Failed to {action} after {failures} attempt(s)"),
    }
}

/// Where a reconcile goes on after an action, or before one that may not run again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Look at the state again.
    Again,
    /// Done until the interval.
    Done,
    /// Another run at once, under the rate limit; more of it is to come.
    Requeue,
    RetryAfter(Duration),
    Stall {
        reason: &'static str,
        message: String,
    },
}

/// Decides whether an action may run after those that ran in this reconcile; none is a yes.
pub fn before(view: &View, action: Action, done: &[ActionType]) -> Option<Outcome> {
    if !done.contains(&action.kind()) {
        return None;
    }
    Some(if let Some(interval) = active_retry(view.object, view.status) {
        Outcome::RetryAfter(interval)
    } else if active_remediation(view.object, view.status).is_some_and(|r| r.is_exhausted()) {
        Outcome::Done
    } else {
        Outcome::Requeue
    })
}

/// Decides where to go after an action that did what it could: a remediation ends the reconcile.
pub fn after(view: &View, action: Action) -> Outcome {
    if action.kind() != ActionType::Remediate {
        return Outcome::Again;
    }
    if let Some(interval) = active_retry(view.object, view.status) {
        return Outcome::RetryAfter(interval);
    }
    match active_remediation(view.object, view.status) {
        Some(r) if r.is_exhausted() && !r.is_uninstall_after_upgrade() => {
            match retries_exceeded(view, ReleaseAction::Upgrade, r.failures) {
                Step::Stall { reason, message } => Outcome::Stall { reason, message },
                Step::Act(_) | Step::Done | Step::WaitUntil(_) => Outcome::Done,
            }
        }
        _ => Outcome::Requeue,
    }
}

/// Why the failure counts start anew; none where nothing that an attempt depends on has changed.
pub fn reset_reason(object: &HelmRelease, status: &HelmReleaseStatus, desired: &Desired) -> Option<&'static str> {
    if Some(status.last_attempted_generation) != object.metadata.generation {
        return Some("generation differs from last attempt");
    }
    if status.last_attempted_revision.as_deref().unwrap_or_default() != desired.chart_version {
        return Some("chart version differs from last attempt");
    }
    match (&status.last_attempted_config_digest, &status.last_attempted_values_checksum) {
        (Some(digest), _) if !digest.is_empty() && *digest != desired.config_digest => {
            return Some("values differ from last attempt");
        }
        // The SHA-1 of a former version cannot equal a SHA-256.
        (None, Some(checksum)) if !checksum.is_empty() => return Some("values differ from last attempt"),
        _ => {}
    }
    is_reset_requested(object, status).then_some("reset requested through annotation")
}
