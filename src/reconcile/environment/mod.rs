//! The Kustomization controller: a folder of a source, kept applied.
//!
//! A run observes (source, dependencies, what drifted), decides what is applied (everything, some objects, nothing),
//! acts (apply by stages, prune, wait for health) and reports.

mod act;
mod conclude;
mod decide;
mod finalize;
mod folder;
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
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;

use self::{
    act::{Gone, Pass},
    conclude::{Done, Ending, ending_of, new_inventory},
    decide::{Inputs, Plan, View},
    folder::{FolderFailure, Read},
    manifests::{Folder, Manifest},
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
        connection::Connections,
        events::{EventRecorder, Severity},
        inventory::{format_id, parse_id},
        managed_fields::{FoldedManager, folded_managers},
        object::{self, ObjectId},
        request::ServedKind,
        watch::{OwnedObjects, Owner, Ownership},
    },
    source::store::ArtifactStore,
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
    /// Hashes of the objects of the last run, and of this one.
    known: Arc<HashMap<ObjectId, u64>>,
    hashes: Arc<HashMap<ObjectId, u64>>,
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
        let read = match self.folder(&object, artifact).await {
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
        let known = self.memory.with(owner, |known| known.last.as_ref().map(|last| last.hashes.clone()));
        let (known, Read { folder, digest, hashes }) = (known.unwrap_or_default(), read);
        let work = Work { artifact, inputs, plan, known, hashes, folder, digest, times, started, at };
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
            connection: &connection,
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
                    let is_as_it_was = work.known.get(&manifest.id) == work.hashes.get(&manifest.id);
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
}

/// The ids under which an object may be known: an object of the cluster may carry a namespace in its manifest.
fn places(id: &ObjectId) -> [ObjectId; 2] {
    [id.clone(), ObjectId { namespace: String::new(), ..id.clone() }]
}

fn wanted(manifests: &[Manifest]) -> HashSet<ObjectId> {
    manifests.iter().flat_map(|manifest| places(&manifest.id)).collect()
}
