//! The Kustomization controller: a folder of a source, kept applied.
//!
//! A run observes (source, dependencies, what drifted), decides what is applied (everything, some objects, nothing),
//! acts (apply by stages, prune, wait for health) and reports.

mod act;
mod decide;
mod finalize;
mod health;
mod identity;
mod manifests;
pub mod memory;
mod observe;
pub(super) mod order;
mod prepare;
mod report;
mod supported;
pub mod triggers;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use self::{
    act::{Applied, Gone, Pass},
    decide::{Inputs, LastRun, Plan, View},
    manifests::{Fault, Folder, FolderError, Manifest},
    memory::Memory,
    observe::Blocked,
    report::{Attempt, Report},
    triggers::SourceChanges,
};
use super::{
    corrections::{CORRECTION_WINDOW, MAX_CORRECTIONS},
    shell::{Next, Reconciled, Reconciler, Run},
    watched::Watched,
};
use crate::{
    api::{
        self, Artifact, Condition, GitRepository, Kustomization, KustomizationStatus, conditions,
        inventory::{ResourceInventory, ResourceRef},
        meta, reasons,
    },
    cluster::{
        accounts::ServiceAccounts,
        apply::Change,
        connection::Connections,
        events::{EventRecorder, Severity},
        inventory::{format_id, parse_id},
        managed_fields::{FoldedManager, folded_managers},
        object::{self, ObjectId},
        request::ServedKind,
        watch::{OwnedObjects, Owner, Ownership},
    },
    source::{
        archive::{clean_path, hex},
        store::ArtifactStore,
    },
    telemetry::chain,
};

/// How long a run works before the status says that it does: what a shorter one did is said at once by its result.
const PROGRESS_AFTER: Duration = Duration::from_secs(1);
/// How long a run waits for the first list of a kind that it watches from now on.
const WATCH_PATIENCE: Duration = Duration::from_secs(10);
/// Shortest timeout of a run (Flux).
const MIN_TIMEOUT: Duration = Duration::from_secs(30);
/// What stands in for an interval that is no duration.
const DEFAULT_INTERVAL: Duration = Duration::from_mins(10);

/// The Kustomization controller.
pub struct Environments {
    /// The daemon's own connection, and those as the accounts that Kustomizations name.
    pub connections: Arc<Connections>,
    /// Which accounts there are.
    pub accounts: Arc<ServiceAccounts>,
    /// `--default-service-account`.
    pub default_service_account: Option<String>,
    /// Managers whose fields are taken over, made with [`ownership`].
    pub folded: Vec<FoldedManager>,
    /// The Kustomizations.
    pub watched: Arc<Watched<Kustomization>>,
    /// Their sources.
    pub git_repositories: Arc<Watched<GitRepository>>,
    /// Where artifacts are.
    pub store: ArtifactStore,
    /// The watches over what was applied; made with [`ownership`].
    pub owned: Arc<OwnedObjects>,
    /// Tells of new artifacts.
    pub sources: Arc<SourceChanges>,
    /// Where events go.
    pub events: EventRecorder,
    /// `--no-cross-namespace-refs`.
    pub no_cross_namespace_refs: bool,
    /// What earlier runs left behind.
    pub memory: Memory,
}

/// How objects of Kustomizations are told. `overridden` are the managers of `--override-manager`.
pub fn ownership(overridden: &[String]) -> Ownership {
    Ownership {
        label: meta::KUSTOMIZATION_NAME,
        manager: meta::KUSTOMIZE_FIELD_MANAGER.to_owned(),
        folded: folded_managers(meta::KUSTOMIZE_FIELD_MANAGER, overridden),
        switches: meta::KUSTOMIZE_EVENT_PREFIX,
    }
}

impl Reconciled for Kustomization {
    fn conditions(status: &mut KustomizationStatus) -> &mut Vec<Condition> {
        &mut status.conditions
    }

    fn handled_at(status: &mut KustomizationStatus) -> &mut Option<String> {
        &mut status.last_handled_reconcile_at
    }
}

impl Reconciler for Environments {
    type Kind = Kustomization;
    const CONTROLLER: &'static str = "kustomization";

    async fn reconcile(&self, run: &mut Run<Kustomization>) -> Next {
        let owner = Owner { namespace: run.namespace().to_owned(), name: run.name().to_owned() };
        if run.object.metadata.deletion_timestamp.is_some() {
            return self.finalize(run, &owner).await;
        }
        if let Err(error) = run.hold().await {
            tracing::error!(error = %chain(&error), "finalizer not added");
            return Next::Retry;
        }
        if run.object.spec.suspend {
            tracing::info!("reconciliation is suspended for this object");
            return Next::Change;
        }
        match self.prerequisites(&run.object) {
            Ok(artifact) => Box::pin(self.attempt(run, &owner, &artifact)).await,
            Err(blocked) => self.blocked(run, &owner, &blocked),
        }
    }
}

/// The times of one Kustomization, malformed ones replaced by their defaults.
struct Times {
    interval: Duration,
    retry: Duration,
    timeout: Duration,
}

impl Times {
    fn of(object: &Kustomization) -> Self {
        let spec = &object.spec;
        let interval = spec.interval.get_or(DEFAULT_INTERVAL);
        let timeout = spec.timeout.as_ref().map_or(interval.saturating_sub(MIN_TIMEOUT), |t| t.get_or(MIN_TIMEOUT));
        Self {
            interval,
            retry: spec.retry_interval.as_ref().map_or(interval, |retry| retry.get_or(interval)),
            timeout: timeout.max(MIN_TIMEOUT),
        }
    }
}

/// What one run is about.
struct Work {
    artifact: Artifact,
    inputs: Inputs,
    plan: Plan,
    /// Hashes of the manifests of the last run, see [`LastRun::manifests`].
    known: HashMap<ObjectId, u64>,
    folder: Folder,
    digest: String,
    times: Times,
    started: std::time::Instant,
    at: Timestamp,
}

impl Work {
    fn origin(&self) -> Option<&str> {
        origin_revision(&self.artifact)
    }

    fn attempt(&self) -> Attempt<'_> {
        Attempt {
            digest: &self.digest,
            revision: &self.artifact.revision,
            origin_revision: self.origin(),
            took: self.started.elapsed(),
        }
    }
}

fn origin_revision(artifact: &Artifact) -> Option<&str> {
    artifact.metadata.get("org.opencontainers.image.revision").map(String::as_str)
}

/// How a run ended.
struct Ending {
    reason: &'static str,
    message: String,
    /// What ended it may pass by itself: it is tried again after the backoff and not after the retry interval.
    may_pass: bool,
}

impl Environments {
    fn report<'a>(object: &'a Kustomization, status: &'a mut KustomizationStatus) -> Report<'a> {
        Report { object, status, now: Timestamp::now() }
    }

    fn tell(&self, object: &Kustomization, artifact: Option<&Artifact>, severity: Severity, reason: &str, text: &str) {
        let origin = artifact.and_then(origin_revision);
        let annotations = report::annotations(artifact.map(|artifact| artifact.revision.as_str()), origin);
        self.events.record(object, severity, reason, text, annotations);
    }

    fn blocked(&self, run: &mut Run<Kustomization>, owner: &Owner, blocked: &Blocked) -> Next {
        let object = run.object.clone();
        let mut report = Self::report(&object, &mut run.status);
        let (reason, message, severity) = match blocked {
            Blocked::Until { reason, message } => {
                report.blocked(reason, message);
                (*reason, message, Severity::Normal)
            }
            Blocked::Stalled { reason, message } => {
                report.stalled(reason, message);
                (*reason, message, Severity::Warning)
            }
        };
        let text = format!("{reason}: {message}");
        let is_news = self.memory.with(owner, |known| known.told.replace(text.clone()) != Some(text));
        if is_news {
            tracing::info!(reason, detail = message, "not applied");
            self.tell(&object, None, severity, reason, message);
        }
        Next::Change
    }

    async fn attempt(&self, run: &mut Run<Kustomization>, owner: &Owner, artifact: &Artifact) -> Next {
        let (started, at) = (std::time::Instant::now(), Timestamp::now());
        let object = run.object.clone();
        let times = Times::of(&object);
        let inputs = Inputs { artifact: artifact.digest.clone(), generation: run.generation() };
        let (plan, is_due) = self.plan(run, owner, &inputs, &times, at);
        let checks_health = object.spec.wait || !object.spec.health_checks.is_empty();
        if plan == Plan::Nothing && !(is_due && checks_health) {
            return self.quiet(run, owner, artifact, &times, is_due, at);
        }
        let (folder, digest) = match self.folder(&object, artifact).await {
            Ok(read) => read,
            Err(FolderFailure::Missing) => {
                // After a restart with an empty disk the source makes it anew, and its change starts a run. What is
                // applied is as healthy as it was, so that the status stays.
                tracing::debug!(revision = artifact.revision, "artifact not stored yet");
                return Next::Retry;
            }
            Err(FolderFailure::Blocked(blocked)) => return self.blocked(run, owner, &blocked),
            Err(FolderFailure::Failed(ending)) => {
                run.status.last_attempted_revision = Some(artifact.revision.clone());
                return self.failed(run, owner, artifact, &times, ending, "Fetching manifests");
            }
        };
        run.status.last_attempted_revision = Some(artifact.revision.clone());
        let artifact = artifact.clone();
        let known = self.memory.with(owner, |known| known.last.as_ref().map(|last| last.manifests.clone()));
        let known = known.unwrap_or_default();
        let work = Work { artifact, inputs, plan, known, folder, digest, times, started, at };
        Box::pin(self.carry_out(run, owner, work)).await
    }

    fn plan(
        &self,
        run: &Run<Kustomization>,
        owner: &Owner,
        inputs: &Inputs,
        times: &Times,
        now: Timestamp,
    ) -> (Plan, bool) {
        let requested = run.object.metadata.annotations.as_ref().and_then(|all| all.get(meta::RECONCILE_REQUESTED_AT));
        let is_requested = requested.is_some() && requested != run.status.last_handled_reconcile_at.as_ref();
        let drifted = self.owned.take_drift(owner);
        self.memory.with(owner, |known| {
            let is_due = known.last.as_ref().is_some_and(|last| {
                let interval = if last.succeeded { times.interval } else { times.retry };
                // The jitter of the shell may begin a run a little earlier.
                let past = Duration::try_from(now.duration_since(last.at)).unwrap_or_default();
                past >= interval.mul_f64(0.85)
            });
            let divided = known.corrections.divide(drifted.into_keys(), is_due, now);
            if !divided.corrected.is_empty() {
                let objects: Vec<_> = divided.corrected.iter().map(ToString::to_string).collect();
                tracing::info!(objects = objects.join(", "), "objects were changed by others");
            }
            for id in &divided.held {
                let text = format!(
                    "{id} was changed by others again after {} corrections within {} minutes; it is left as it is until the next interval",
                    MAX_CORRECTIONS,
                    CORRECTION_WINDOW.as_mins()
                );
                tracing::warn!(object = %id, "object is changed by others again and again");
                self.tell(&run.object, None, Severity::Warning, reasons::DRIFT_DETECTED, &text);
            }
            let view = View {
                inputs,
                last: known.last.as_ref(),
                drifted: &divided.corrected,
                is_requested,
                is_due,
            };
            (decide::plan(&view), is_due)
        })
    }

    /// Ends a run that has nothing to do.
    fn quiet(
        &self,
        run: &mut Run<Kustomization>,
        owner: &Owner,
        artifact: &Artifact,
        times: &Times,
        is_due: bool,
        now: Timestamp,
    ) -> Next {
        let object = run.object.clone();
        if !conditions::is_true(&run.status.conditions, conditions::READY) {
            Self::report(&object, &mut run.status).succeeded(&artifact.revision, origin_revision(artifact));
        }
        let at = self.memory.with(owner, |known| {
            let last = known.last.as_mut()?;
            if is_due {
                last.at = now;
            }
            Some(last.at)
        });
        let past = at.map(|at| Duration::try_from(now.duration_since(at)).unwrap_or_default()).unwrap_or_default();
        Next::Interval(times.interval.saturating_sub(past).max(Duration::from_secs(1)))
    }

    async fn folder(
        &self,
        object: &Arc<Kustomization>,
        artifact: &Artifact,
    ) -> Result<(Folder, String), FolderFailure> {
        let artifact_failed = |message: String, may_pass| {
            FolderFailure::Failed(Ending { reason: reasons::ARTIFACT_FAILED, message, may_pass })
        };
        let path = object.spec.path.clone().unwrap_or_default();
        let relative = path.trim_start_matches('/');
        let Some(clean) = clean_path(relative) else {
            return Err(artifact_failed(format!("kustomization path not found: {path} leaves the source"), false));
        };
        let files = self.store.files(artifact).await.map_err(|error| {
            if error.is_missing() { FolderFailure::Missing } else { artifact_failed(chain(&error), true) }
        })?;
        if !files.has_folder(&clean) {
            let message = format!("kustomization path not found: {path} is no folder of {}", artifact.revision);
            return Err(artifact_failed(message, false));
        }
        let owner = object.clone();
        let read = tokio::task::spawn_blocking(move || {
            let folder = manifests::read(files.below(&clean).map(|file| (file.path, file.bytes)), documents)?;
            let folder = prepare::prepare(folder, &owner);
            let digest = digest(&folder);
            Ok::<_, FolderError>((folder, digest))
        });
        match read.await {
            Ok(Ok(read)) => Ok(read),
            Ok(Err(FolderError::Kustomization(file))) => {
                Err(FolderFailure::Blocked(Blocked::unsupported(&format!("the kustomization file {file}"))))
            }
            Err(panic) => Err(FolderFailure::Failed(Ending {
                reason: reasons::BUILD_FAILED,
                message: format!("the manifests could not be read: {panic}"),
                may_pass: false,
            })),
        }
    }

    /// Applies, prunes, checks health and reports.
    async fn carry_out(&self, run: &mut Run<Kustomization>, owner: &Owner, work: Work) -> Next {
        let object = run.object.clone();
        let progress = format!(
            "Detecting drift for revision {} with a timeout of {}",
            work.artifact.revision,
            api::Duration::from(work.times.timeout)
        );
        let connection = match self.connect(&object, owner).await {
            Ok(connection) => connection,
            Err(error) => {
                let message = chain(&error);
                let ending = Ending { reason: reasons::RECONCILIATION_FAILED, message, may_pass: true };
                return self.failed(run, owner, &work.artifact, &work.times, ending, &progress);
            }
        };
        let pass = Pass {
            client: &connection.client,
            discovery: &connection.discovery,
            owned: &self.owned,
            folded: &self.folded,
            object: &object,
            owner,
            permit: run.permit().clone(),
            shutdown: run.shutdown().clone(),
        };
        let before = run.status.inventory.clone().map(|inventory| inventory.entries).unwrap_or_default();
        if object.spec.prune
            && let Some(entries) = self.begun(&work.folder.manifests, &before).await
        {
            // Written before the objects are, so that a process that dies in between leaves none that nobody tracks.
            run.status.inventory = Some(ResourceInventory { entries });
            if let Err(error) = run.report().await {
                tracing::error!(error = %chain(&error), "inventory not written");
                return Next::Retry;
            }
        }
        let done = {
            let mut working = std::pin::pin!(self.work(&pass, &work, &before));
            tokio::select! {
                done = &mut working => done,
                () = tokio::time::sleep(PROGRESS_AFTER) => {
                    Self::report(&object, &mut run.status).progressing(progress.clone());
                    if let Err(error) = run.report().await {
                        tracing::warn!(error = %chain(&error), "progress not written");
                    }
                    working.await
                }
            }
        };
        if run.shutdown().is_cancelled() {
            return Next::Change;
        }
        if !done.inventory.is_empty() || run.status.inventory.is_some() {
            run.status.inventory = Some(ResourceInventory { entries: done.inventory.clone() });
        }
        self.tell_changes(&object, &work, &done);
        let ending = match ending_of(&work, &done) {
            Some(ending) => Err(ending),
            None => self.health(run, &pass, &work, &done).await,
        };
        self.conclude(run, owner, work, done, ending, &progress)
    }

    async fn work(&self, pass: &Pass<'_>, work: &Work, before: &[ResourceRef]) -> Done {
        let _writing = self.owned.writing(pass.owner);
        let wanted = wanted(&work.folder.manifests);
        let kinds = self.kinds(&work.folder.manifests, before).await;
        self.owned.watch_kinds(pass.owner, kinds, WATCH_PATIENCE).await;
        let chosen: Vec<&Manifest> = work
            .folder
            .manifests
            .iter()
            .filter(|manifest| match &work.plan {
                Plan::All => true,
                Plan::Changed(ids) => {
                    let is_as_it_was = work.known.get(&manifest.id) == Some(&decide::hash(&manifest.object));
                    !is_as_it_was || places(&manifest.id).iter().any(|id| ids.contains(id))
                }
                Plan::Only(ids) => places(&manifest.id).iter().any(|id| ids.contains(id)),
                Plan::Nothing => false,
            })
            .collect();
        let applied = pass.apply(&chosen).await;
        let is_incomplete = !work.folder.faults.is_empty() || applied.outage.is_some();
        let stale = decide::stale(before, &wanted, is_incomplete);
        let gone = if pass.object.spec.prune && !pass.shutdown.is_cancelled() {
            pass.prune(stale).await
        } else {
            for (id, _) in &stale {
                pass.owned.forget_object(pass.owner, id);
            }
            Gone::default()
        };
        let inventory = new_inventory(&applied, &gone, before, &wanted, is_incomplete);
        // Kinds whose definitions came with this run are known only now.
        let kinds = self.kinds(&work.folder.manifests, &inventory).await;
        let unwatched = self.owned.watch_kinds(pass.owner, kinds, WATCH_PATIENCE).await.into_keys().collect();
        Done { applied, gone, inventory, unwatched }
    }

    /// Returns the inventory with the objects that are about to be made; nothing when all are in it.
    async fn begun(&self, manifests: &[Manifest], before: &[ResourceRef]) -> Option<Vec<ResourceRef>> {
        let known: HashSet<&str> = before.iter().map(|entry| entry.id.as_str()).collect();
        let mut entries = before.to_vec();
        for manifest in manifests {
            let api_version = object::api_version(&manifest.object).unwrap_or_default();
            let served = self.connections.own().discovery.resolve(api_version, &manifest.id.kind).await;
            let mut id = manifest.id.clone();
            if served.is_ok_and(|kind| !kind.namespaced) {
                id.namespace.clear();
            }
            let (id, (_, version)) = (format_id(&id), object::split_api_version(api_version));
            if !known.contains(id.as_str()) {
                entries.push(ResourceRef { id, v: version.to_owned() });
            }
        }
        (entries.len() > before.len()).then_some(entries)
    }

    async fn kinds(&self, manifests: &[Manifest], inventory: &[ResourceRef]) -> Vec<Arc<ServedKind>> {
        let mut wanted: BTreeSet<(String, String, String)> = manifests
            .iter()
            .filter_map(|manifest| {
                let (group, version) = object::split_api_version(object::api_version(&manifest.object)?);
                Some((group.to_owned(), version.to_owned(), manifest.id.kind.clone()))
            })
            .collect();
        for entry in inventory {
            if let Ok(id) = parse_id(&entry.id) {
                wanted.insert((id.group, entry.v.clone(), id.kind));
            }
        }
        let mut kinds = Vec::new();
        for (group, version, kind) in wanted {
            // What is not served is named when it is applied.
            if let Ok(kind) = self.connections.own().discovery.resolve_any_version(&group, &version, &kind).await {
                kinds.push(kind);
            }
        }
        kinds
    }

    fn tell_changes(&self, object: &Kustomization, work: &Work, done: &Done) {
        let changes = report::changes(&done.applied.changes());
        if !changes.is_empty() {
            tracing::info!(revision = work.artifact.revision, changes, "server-side apply completed");
            self.tell(object, Some(&work.artifact), Severity::Normal, reasons::PROGRESSING, &changes);
        }
        let pruned: Vec<_> = done.gone.changes.iter().map(|(id, change)| format!("{id} {change}")).collect();
        if !pruned.is_empty() {
            let pruned = pruned.join("\n");
            tracing::info!(revision = work.artifact.revision, pruned, "garbage collection completed");
            self.tell(object, Some(&work.artifact), Severity::Normal, reasons::PROGRESSING, &pruned);
        }
    }

    fn conclude(
        &self,
        run: &mut Run<Kustomization>,
        owner: &Owner,
        work: Work,
        done: Done,
        ending: Result<(), Ending>,
        progress: &str,
    ) -> Next {
        let object = run.object.clone();
        let unwatched = done.inventory.iter().filter_map(|entry| parse_id(&entry.id).ok());
        let manifests = work.folder.manifests.iter();
        let last = LastRun {
            inputs: work.inputs.clone(),
            manifests: manifests.map(|manifest| (manifest.id.clone(), decide::hash(&manifest.object))).collect(),
            unsettled: done.applied.refused.iter().map(|one| one.id.clone()).collect(),
            unwatched: unwatched.filter(|id| done.unwatched.contains(&id.kind)).collect(),
            succeeded: ending.is_ok(),
            at: work.at,
        };
        let was_ready = conditions::is_true(&run.status.conditions, conditions::READY);
        let interrupted = done.applied.outage.is_some();
        self.memory.with(owner, |known| known.last = (!interrupted).then_some(last));
        let mut report = Self::report(&object, &mut run.status);
        match ending {
            Ok(()) if work.plan == Plan::Nothing && was_ready => Next::Interval(work.times.interval),
            Ok(()) => {
                report.succeeded(&work.artifact.revision, work.origin());
                report.remember(&work.attempt(), reasons::RECONCILIATION_SUCCEEDED);
                self.memory.with(owner, |known| known.told = None);
                let took = api::Duration::from(work.started.elapsed());
                let next = api::Duration::from(work.times.interval);
                let text = format!("Reconciliation finished in {took}, next run in {next}");
                tracing::info!(revision = work.artifact.revision, "{text}");
                let reason = reasons::RECONCILIATION_SUCCEEDED;
                self.tell(&object, Some(&work.artifact), Severity::Normal, reason, &text);
                Next::Interval(work.times.interval)
            }
            Err(ending) => {
                // A retry after the backoff that ends alike is no news, and not worth a write.
                let text = format!("{}: {}", ending.reason, ending.message);
                let told = self.memory.with(owner, |known| known.told.as_ref() == Some(&text));
                if !told || !ending.may_pass {
                    report.remember(&work.attempt(), ending.reason);
                }
                let (artifact, times) = (work.artifact.clone(), work.times);
                self.failed(run, owner, &artifact, &times, ending, progress)
            }
        }
    }

    fn failed(
        &self,
        run: &mut Run<Kustomization>,
        owner: &Owner,
        artifact: &Artifact,
        times: &Times,
        ending: Ending,
        progress: &str,
    ) -> Next {
        let object = run.object.clone();
        let Ending { reason, message, may_pass } = ending;
        Self::report(&object, &mut run.status).failed(reason, &message, progress);
        let text = format!("{reason}: {message}");
        let is_news = self.memory.with(owner, |known| known.told.replace(text.clone()) != Some(text));
        if is_news {
            let revision = &artifact.revision;
            tracing::error!(reason, error = message, revision, "reconciliation failed");
            self.tell(&object, Some(artifact), Severity::Warning, reason, &message);
        }
        if may_pass { Next::Retry } else { Next::After(times.retry) }
    }
}

enum FolderFailure {
    /// The artifact is not in the store.
    Missing,
    Blocked(Blocked),
    Failed(Ending),
}

/// What the writing part of a run came to.
struct Done {
    applied: Applied,
    gone: Gone,
    inventory: Vec<ResourceRef>,
    /// Kinds that no watch looks after.
    unwatched: BTreeSet<String>,
}

/// Reads the documents of a file in the dialect that kustomize reads.
fn documents(bytes: &[u8]) -> Vec<manifests::Document> {
    helm::yaml::manifests(bytes)
        .into_iter()
        .map(|helm::yaml::Manifest { number, line, value }| {
            let tree = value.map_err(|error| error.to_string());
            manifests::Document { number, line, tree }
        })
        .collect()
}

fn digest(folder: &Folder) -> String {
    let mut hash = Sha256::new();
    for manifest in &folder.manifests {
        hash.update(manifest.object.to_string());
        hash.update(b"\n");
    }
    format!("sha256:{}", hex(&hash.finalize()))
}

/// The ids under which an object may be known: an object of the cluster may carry a namespace in its manifest.
fn places(id: &ObjectId) -> [ObjectId; 2] {
    [id.clone(), ObjectId { namespace: String::new(), ..id.clone() }]
}

fn wanted(manifests: &[Manifest]) -> HashSet<ObjectId> {
    manifests.iter().flat_map(|manifest| places(&manifest.id)).collect()
}

fn new_inventory(
    applied: &Applied,
    gone: &Gone,
    before: &[ResourceRef],
    wanted: &HashSet<ObjectId>,
    keep_all: bool,
) -> Vec<ResourceRef> {
    let there: BTreeMap<ObjectId, String> =
        applied.settled.iter().map(|(id, one)| (id.clone(), one.kind.api.version.clone())).collect();
    let mut kept: Vec<_> = before
        .iter()
        .filter(|entry| keep_all || parse_id(&entry.id).is_ok_and(|id| wanted.contains(&id)))
        .cloned()
        .collect();
    kept.extend(gone.failed.iter().map(|(id, (version, _))| ResourceRef { id: format_id(id), v: version.clone() }));
    decide::inventory(&there, &kept)
}

/// Tells how the writing ended: what could not be read, applied or deleted. Nothing when all went well.
fn ending_of(work: &Work, done: &Done) -> Option<Ending> {
    if let Some(outage) = &done.applied.outage {
        return Some(Ending { reason: reasons::RECONCILIATION_FAILED, message: outage.clone(), may_pass: true });
    }
    let (unread, refused) = (&work.folder.faults, &done.applied.refused);
    let total = work.folder.manifests.len() + unread.len();
    if !unread.is_empty() || !refused.is_empty() {
        let mut faults: Vec<Fault> = unread.clone();
        faults.extend(refused.iter().map(|one| one.fault.clone()));
        let reason = if unread.is_empty() { reasons::RECONCILIATION_FAILED } else { reasons::BUILD_FAILED };
        let mut message = report::faults(&faults, total, "objects could not be applied");
        if !unread.is_empty() {
            message.push_str("\nnothing is pruned while a part of the folder cannot be read");
        }
        let may_pass = refused.iter().any(|one| one.may_pass);
        return Some(Ending { reason, message, may_pass });
    }
    let errors: Vec<_> = done.gone.failed.values().map(|(_, error)| error.as_str()).collect();
    (!errors.is_empty()).then(|| Ending {
        reason: reasons::PRUNE_FAILED,
        message: format!("delete failed, errors: {}", errors.join(";")),
        may_pass: false,
    })
}

/// Tells whether a change is one that others may have to react to.
fn is_change(change: Change) -> bool {
    matches!(change, Change::Created | Change::Configured | Change::Deleted)
}
