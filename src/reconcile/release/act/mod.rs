//! One action on a release, as Helm 4 does it under Flux: the same order of writes, the same words in records and errors.

pub(super) mod correct;
mod crds;
mod hooks;
mod install;
pub(super) mod objects;
mod prepare;
mod records;
pub(super) mod reuse;
mod rollback;
mod test;
mod uninstall;
mod unlock;
mod upgrade;
mod validate;
mod write;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::{
    Releases, drift::summary::Corrected, history, memory::Place, record, redaction::Redaction, report::Gone, target,
};
use crate::{
    api::{
        HelmRelease, HelmReleaseStatus, Snapshot, helm_release::ReleaseAction, inventory::ResourceInventory,
        meta::HELM_RELEASE_NAME,
    },
    cluster::{
        apply::{ApplyError, ApplyMethod},
        connection::Connection,
        discovery::DiscoveryError,
        expressions::HealthChecks,
        status::JobRule,
        storage::StorageError,
        wait::{self, Ready, Sharing, Unready, WaitError, WaitOptions, WaitTarget},
    },
    reconcile::shell::Permit,
};

/// Why an action failed. The texts are Helm's.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("release name check failed: cannot reuse a name that is still in use")]
    NameInUse,
    #[error("\"{0}\" has no deployed releases")]
    NoDeployedRelease(String),
    #[error("another operation (install/upgrade/rollback) is in progress")]
    InProgress,
    #[error("failed to apply CustomResourceDefinitions")]
    Crds(#[source] crds::Error),
    #[error("cannot ask the cluster what it serves")]
    Capabilities(#[source] DiscoveryError),
    #[error("{0}")]
    Render(#[source] helm::render::Error),
    #[error("the render ended by an internal error; it is in the log")]
    RenderEnded,
    #[error("failed to rebuild old values")]
    OldValues(#[source] helm::release::Error),
    #[error("the chart cannot be written into the release record")]
    RecordChart(#[source] helm::release::Error),
    #[error("unable to build kubernetes objects from release manifest: {}", unbuilt(.0))]
    Build(ApplyError),
    #[error("unable to build kubernetes objects from release manifest")]
    Invalid(#[source] write::NotApplied),
    #[error("unable to build kubernetes objects from current release manifest")]
    BuildCurrent(#[source] ApplyError),
    #[error("the manifest of revision {0} is not valid YAML")]
    Manifest(i64, #[source] helm::yaml::Error),
    #[error("unable to continue with {0}")]
    Foreign(&'static str, #[source] objects::ForeignObject),
    #[error("cannot look at what exists")]
    Existing(#[source] ApplyError),
    #[error("cannot resolve the namespace")]
    NamespaceKind(#[source] ApplyError),
    #[error("cannot make the namespace")]
    Namespace(#[source] write::NotApplied),
    #[error(transparent)]
    Apply(write::NotApplied),
    #[error("{0} objects were not deleted: {1}")]
    Delete(usize, String),
    #[error(transparent)]
    Wait(WaitError),
    /// What was rolled back to is not ready.
    #[error("release {0} failed: {1}")]
    RolledBack(String, WaitError),
    #[error("{stage}")]
    Hook {
        stage: &'static str,
        #[source]
        source: hooks::Error,
    },
    /// A hook of an action whose errors Helm hands on as they are.
    #[error("{0}")]
    Hooks(#[source] hooks::Error),
    #[error("uninstallation completed with 1 error(s): {}", not_gone(.0))]
    NotGone(Vec<Unready>),
    #[error("cannot read the release record")]
    Unreadable(#[source] record::Unreadable),
    #[error(transparent)]
    Storage(StorageError),
    #[error("uninstall: Failed to purge the release")]
    Purge(#[source] StorageError),
    #[error("Kubernetes cluster unreachable")]
    Unreachable(#[source] StorageError),
    #[error("release record was not written: the work ended early")]
    StorageEnded,
    #[error("release record cannot be packed")]
    Pack(#[source] helm::release::Error),
    #[error("release has no {0} version")]
    NoRevision(i64),
    #[error("no latest release: required for test")]
    NothingToTest,
    #[error("release mismatch: {0} != current release {1}")]
    Mismatch(String, String),
    #[error("interrupted: the program was asked to end")]
    Interrupted,
    #[error("health checks canceled: a newer revision is asked for")]
    Superseded,
}

impl Error {
    /// Tells whether the action was called off, which says nothing about the release.
    pub(super) fn is_called_off(&self) -> bool {
        matches!(self, Self::Interrupted | Self::Superseded)
    }

    /// Returns what a release record says of it: of a wait what was not ready, and not what explains that.
    fn recorded(&self) -> String {
        let text = match self {
            Self::Wait(error) | Self::RolledBack(_, error) => error.to_string(),
            Self::Hook { source, .. } | Self::Hooks(source) if source.is_wait() => crate::telemetry::chain(self),
            Self::Apply(not_applied) => return not_applied.without_hints(),
            _ => return crate::telemetry::chain(self),
        };
        text.lines().next().unwrap_or_default().to_owned()
    }
}

/// Everything that an action works with.
pub struct Work<'r> {
    pub releases: &'r Releases,
    /// Where, and as whom, everything is done.
    pub connection: Arc<Connection>,
    pub object: Arc<HelmRelease>,
    pub namespace: String,
    pub permit: Permit,
    pub shutdown: CancellationToken,
    /// Cancelled when something newer is asked for: then nothing waits for the health of what was applied.
    pub superseded: CancellationToken,
}

/// How what an action wrote to the storage changes the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Recording {
    /// The newest revision is new; older ones that were written again are put right.
    Release,
    /// All that was written again carries the action.
    All,
    /// Each keeps its action.
    Kept,
}

/// What an action did.
#[derive(Debug)]
pub struct Acted {
    /// The snapshots of the records that were written, by revision.
    pub snapshots: BTreeMap<i64, Snapshot>,
    /// The revision that was created and not written again since.
    fresh: Option<i64>,
    /// The revision that Helm would have written again as it was, whose snapshot has no action any more then.
    rewritten: Option<i64>,
    pub inventory: Option<ResourceInventory>,
    pub error: Option<Error>,
    /// The pending revision that was unlocked, and the status that it had.
    pub pending: Option<(Snapshot, &'static str)>,
    /// What a correction of drift came to.
    pub corrected: Corrected,
    /// The application's version in the chart that was installed or upgraded to.
    pub app_version: String,
    /// Why there was nothing to uninstall.
    pub gone: Option<Gone>,
    /// What must not be told of the error.
    pub secrets: Redaction,
    recording: Recording,
    action: Option<ReleaseAction>,
}

impl Acted {
    fn new(recording: Recording, action: Option<ReleaseAction>) -> Self {
        Self {
            snapshots: BTreeMap::new(),
            fresh: None,
            rewritten: None,
            inventory: None,
            error: None,
            pending: None,
            corrected: Corrected::default(),
            app_version: String::new(),
            gone: None,
            secrets: Redaction::default(),
            recording,
            action,
        }
    }

    fn ended(mut self, result: Result<(), Error>) -> Self {
        self.error = result.err();
        self
    }

    /// Tells whether the program's end cut the action short, so that it says nothing about the release.
    pub fn is_interrupted(&self) -> bool {
        matches!(self.error, Some(Error::Interrupted))
    }

    /// Tells whether the action ended early since something newer is asked for.
    pub fn is_superseded(&self) -> bool {
        matches!(self.error, Some(Error::Superseded))
    }

    /// Carries what was written over into the status.
    pub fn record(&self, status: &mut HelmReleaseStatus) {
        let newest = self.snapshots.keys().next_back().copied();
        for (version, snapshot) in &self.snapshots {
            let mut snapshot = snapshot.clone();
            let known = status
                .history
                .iter()
                .find(|s| history::targets(s, &snapshot.name, &snapshot.namespace, *version))
                .cloned();
            if let Some(known) = &known {
                snapshot.oci_digest.clone_from(&known.oci_digest);
                if snapshot.test_hooks.is_none() {
                    snapshot.test_hooks.clone_from(&known.test_hooks);
                }
            }
            match self.recording {
                Recording::Release if Some(*version) == newest => {
                    snapshot.action.clone_from(&self.action);
                    snapshot.oci_digest.clone_from(&status.last_attempted_revision_digest);
                    snapshot.test_hooks = None;
                }
                Recording::Release => {}
                // As under Flux, a rollback that gets no further than its record has no action yet.
                Recording::All if self.fresh == Some(*version) => {}
                Recording::All => snapshot.action.clone_from(&self.action),
                Recording::Kept => snapshot.action = known.as_ref().and_then(|known| known.action.clone()),
            }
            // Of what was there before, a history learns only what it knows; of an uninstall nothing else.
            let is_new = Some(*version) == newest
                && (self.recording != Recording::All || self.action == Some(ReleaseAction::Rollback));
            if known.is_some() || is_new {
                history::record(&mut status.history, snapshot);
            }
        }
        for snapshot in status.history.iter_mut().filter(|snapshot| Some(snapshot.version) == self.rewritten) {
            snapshot.action = None;
        }
        if let Some(inventory) = &self.inventory {
            status.inventory = Some(inventory.clone());
        }
    }
}

impl Work<'_> {
    pub(super) fn release_name(&self) -> String {
        target::release_name(&self.object)
    }

    pub(super) fn place(&self, release: &str) -> Place {
        Place { cluster: self.connection.remote(), namespace: self.namespace.clone(), release: release.to_owned() }
    }

    /// Returns how objects are written that are no release's: as they are.
    fn writing<'w>(&'w self, method: ApplyMethod, before: write::Before<'w>) -> write::Writing<'w> {
        let client = &self.connection.client;
        write::Writing { client, method, owner: None, before, migrates: false, replaces: false, force: None }
    }

    /// Waits until objects are ready, without holding the permit to work.
    async fn wait(&self, targets: Vec<WaitTarget>, ready: Ready, timeout: Duration) -> Result<(), WaitError> {
        let options = WaitOptions {
            ready,
            timeout,
            // The spec was checked when the run began.
            checks: HealthChecks::of(&self.object.spec.health_check_exprs).map(Arc::new).unwrap_or_default(),
            fail_fast: matches!(ready, Ready::Objects(_)),
            sharing: Some(Sharing { watches: self.connection.watches.clone(), label: HELM_RELEASE_NAME }),
        };
        let waiting = wait::ready(&self.connection.client, targets, &options, &self.shutdown);
        self.permit.waiting(waiting).await
    }

    async fn wait_gone(&self, targets: Vec<WaitTarget>, timeout: Duration) -> Result<(), WaitError> {
        if targets.is_empty() {
            return Ok(());
        }
        self.permit.waiting(wait::gone(&self.connection.client, targets, timeout, &self.shutdown)).await
    }

    /// Waits for the objects of a release where the action's settings ask for it.
    async fn wait_released(
        &self,
        targets: Vec<WaitTarget>,
        disable_wait: bool,
        disable_wait_for_jobs: bool,
        timeout: Duration,
    ) -> Result<(), Error> {
        self.releases.drifts.wrote(&self.object, &targets);
        let jobs = if disable_wait_for_jobs { JobRule::Started } else { JobRule::Completed };
        let ready = match target::wait_strategy(&self.object, disable_wait) {
            target::WaitStrategy::HooksOnly => return Ok(()),
            target::WaitStrategy::Poller => Ready::Objects(jobs),
            target::WaitStrategy::Legacy => Ready::Legacy(jobs),
        };
        tokio::select! {
            waited = self.wait(targets, ready, timeout) => waited.map_err(interrupted),
            () = self.superseded.cancelled() => Err(Error::Superseded),
        }
    }
}

/// Says why an object could not be built: of a kind that is not served, in Helm's words.
fn unbuilt(error: &ApplyError) -> String {
    match error {
        ApplyError::Kind { id, source: source @ DiscoveryError::UnknownKind { .. } } => format!(
            "resource mapping not found for name: {:?} namespace: \"\" from \"\": {source}\nensure CRDs are installed first",
            id.name
        ),
        other => crate::telemetry::chain(other),
    }
}

/// A wait that was called off was called off by the program's end.
fn interrupted(error: WaitError) -> Error {
    match error {
        WaitError::Canceled => Error::Interrupted,
        other => Error::Wait(other),
    }
}

/// The current time as records have it.
fn now() -> jiff::Zoned {
    Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC)
}

/// Makes an action's error of a hook's; hooks that the program's end called off say nothing about the release.
fn hook_failed(stage: &'static str) -> impl FnOnce(hooks::Error) -> Error {
    move |source| if source.is_interruption() { Error::Interrupted } else { Error::Hook { stage, source } }
}

/// The same where Helm says nothing of the stage.
fn hooks_failed(source: hooks::Error) -> Error {
    if source.is_interruption() { Error::Interrupted } else { Error::Hooks(source) }
}

/// Names the first of the objects that are still there as Flux does, then says of each why.
fn not_gone(left: &[Unready]) -> String {
    let mut text = String::new();
    if let Some(first) = left.first() {
        text = format!("{} termination timeout: context deadline exceeded", first.id);
    }
    for one in left.iter().take(wait::EXPLAINED) {
        text.extend(["\n", &one.id.to_string(), ": ", &one.health.message]);
    }
    text
}
