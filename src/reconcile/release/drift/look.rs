//! One look at a release's objects: which are compared, what a dry-run says of each, and what is to be put right.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures::{StreamExt, stream};
use helm::release::ApplyMethod;
use jiff::Timestamp;
use serde_json::Value;

use super::{
    super::{
        act::{
            correct::told,
            objects::{self, Resource},
        },
        attempt::Attempt,
        decide::{Drift, LastRelease},
        obstacle::Obstacle,
        record, target,
    },
    Found, Known, ignored, is_near, is_on, owner, pause,
    plan::{self, Plan, Scope, Sight},
    summary::{self, Finding},
};
use crate::{
    api::{
        HelmRelease, HelmReleaseStatus,
        helm_release::DriftDetectionMode,
        meta::{self, DISABLED, DRIFT_DETECTION, HELM_FIELD_MANAGER},
    },
    cluster::{
        apply::{self, ApplyError, ApplyOptions, Change},
        diff::{self, Counts, Difference, IgnoreRules},
        inventory::parse_id,
        managed_fields,
        object::{ObjectId, has_switch},
        request::ServedKind,
        watch::{Lookup, Owner},
    },
    telemetry::chain,
};

/// How many objects are compared at one time.
const COMPARED_AT_ONCE: usize = 4;

/// An object that is to be put right.
#[derive(Clone, Debug)]
pub struct Correction {
    /// The object as its release has it.
    pub resource: Resource,
    pub difference: Difference,
    /// The object as it is.
    pub live: Option<Value>,
    /// It is put right by these operations alone and not by an apply of the whole: fields of it are left alone, or it was
    /// applied by the client.
    pub is_partial: bool,
}

/// What a look found.
#[derive(Clone, Debug)]
pub struct Look {
    pub drift: Drift,
    /// All objects have been compared at some time.
    pub is_complete: bool,
    /// The lines about what has drifted.
    pub lines: String,
    /// What is to be told beside them.
    pub notes: Vec<String>,
    pub corrections: Vec<Correction>,
}

impl Look {
    /// Nothing was looked at.
    pub fn none() -> Self {
        let (lines, notes, corrections) = (String::new(), Vec::new(), Vec::new());
        Self { drift: Drift::NotChecked, is_complete: false, lines, notes, corrections }
    }
}

/// The objects of a release as its record has them.
struct Manifest {
    resources: Vec<Resource>,
    is_client_side: bool,
    rules: IgnoreRules,
}

/// What was compared, in the manifest's order.
#[derive(Default)]
struct Compared {
    order: Vec<ObjectId>,
    excluded: BTreeSet<ObjectId>,
    corrections: Vec<Correction>,
    errors: Vec<(ObjectId, String)>,
    /// Whether one of the errors is a refusal of the object, and not only of the request.
    is_refused: bool,
}

/// How an object compares.
struct Comparison {
    difference: Difference,
    live: Option<Value>,
    /// Whether only the difference's operations can put it right, and no apply.
    by_operations: bool,
}

impl Comparison {
    fn of(difference: Difference, live: Option<Value>) -> Self {
        Self { difference, live, by_operations: false }
    }
}

fn undetermined(problem: &str) -> Obstacle {
    Obstacle::undetermined(format_args!("unable to determine cluster state: {problem}"))
}

impl Known {
    /// Tells whether the interval is over, and begins the next one then.
    fn is_due(&mut self, object: &HelmRelease, now: Timestamp) -> bool {
        let interval = object.spec.interval.get_or(Duration::from_mins(10));
        let past = |at: Timestamp| Duration::try_from(now.duration_since(at)).unwrap_or_default();
        // The jitter of the shell may begin a run a little earlier.
        let is_due = self.at.is_some_and(|at| past(at) >= interval.mul_f64(0.85));
        if is_due || self.at.is_none() {
            self.at = Some(now);
        }
        is_due
    }
}

impl Attempt<'_> {
    /// Looks for drift of a release that is otherwise in sync. `is_first` says that nothing was done in this run yet,
    /// `may_correct` that what is found may be put right next.
    pub(in super::super) async fn look_for_drift(
        &self,
        status: &HelmReleaseStatus,
        last: &LastRelease,
        (is_first, may_correct): (bool, bool),
    ) -> Result<Look, Obstacle> {
        let (drifts, owner) = (&self.releases.drifts, owner(&self.object));
        if !is_on(&self.object) {
            drifts.forget(&owner);
            return Ok(Look::none());
        }
        let about = (self.object.metadata.generation.unwrap_or(0), last.version);
        let now = Timestamp::now();
        let is_due = drifts.with(&owner, |known| known.is_due(&self.object, now));
        if is_due || drifts.with(&owner, |known| known.watched != Some(about)) {
            let objects = self.inventory(status).await;
            self.attend(&owner, about, &objects).await;
        }
        let touched = drifts.owned.take_drift(&owner);
        let is_requested = is_first && is_requested(&self.object, status);
        let (Plan { scope, is_postponed }, is_turn) = drifts.with(&owner, |known| {
            known.pending.extend(touched.into_keys());
            let sight = Sight {
                is_verified: known.verified == Some(about),
                may_wait: known.verified.is_none() && status.observed_generation == about.0,
                is_turn: known.has_turn,
                is_requested,
                is_due,
                pending: &known.pending,
                held: &known.held,
                unwatched: &known.unwatched,
            };
            (plan::plan(&sight), std::mem::take(&mut known.has_turn))
        });
        if is_postponed {
            // The record is read once, and each object needs a dry-run.
            drifts.postpone(&owner, status.inventory.as_ref().map_or(0, |inventory| inventory.entries.len()) + 1);
        }
        let mut compared = Compared::default();
        if !scope.is_empty() {
            compared = self.compare_all(&owner, about, last, &scope, is_turn.then(pause)).await?;
            if scope == Scope::All {
                drifts.with(&owner, |known| known.verified = Some(about));
            }
        }
        let is_freed = is_due || is_requested;
        self.conclude_look(&owner, about, compared, (may_correct, is_freed), now)
    }

    async fn attend(&self, owner: &Owner, about: (i64, i64), objects: &[(ObjectId, Arc<ServedKind>)]) {
        let drifts = &self.releases.drifts;
        if is_near(&self.object) {
            self.permit.waiting(drifts.watch(owner, about, objects)).await;
        } else {
            drifts.far(owner, about, objects);
        }
    }

    /// Returns the objects of an inventory whose kinds are served.
    async fn inventory(&self, status: &HelmReleaseStatus) -> Vec<(ObjectId, Arc<ServedKind>)> {
        // The watches are the daemon's own.
        let own = self.releases.connections.own();
        let discovery = if is_near(&self.object) { &own.discovery } else { &self.connection.discovery };
        let mut objects = Vec::new();
        for entry in status.inventory.iter().flat_map(|inventory| &inventory.entries) {
            let Ok(id) = parse_id(&entry.id) else { continue };
            if let Ok(kind) = discovery.resolve_any_version(&id.group, &entry.v, &id.kind).await {
                objects.push((id, kind));
            }
        }
        objects
    }

    /// Reads the objects that a release's newest record has.
    async fn manifest(&self, last: &LastRelease) -> Result<Manifest, Obstacle> {
        let name = target::release_name(&self.object);
        let version = u32::try_from(last.version).unwrap_or(u32::MAX);
        let stored = self.storage.get(&name, version).await.map_err(|error| undetermined(&chain(&error)))?;
        let stored = stored.ok_or_else(|| undetermined(&format!("revision {version} is gone")))?;
        let release = record::decode(&name, &stored).map_err(|error| undetermined(&chain(&error)))?;
        let trees = record::objects(&release.manifest).map_err(|error| undetermined(&chain(&error)))?;
        let of = objects::Owner::of(&release);
        let mut resources = Vec::new();
        for tree in trees {
            match objects::resolve(&self.connection.discovery, [tree], &release.namespace).await {
                Ok(resolved) => resources.extend(resolved.into_iter().map(|resource| Resource {
                    tree: Arc::new(objects::marked(&resource.tree, &of)),
                    target: resource.target,
                })),
                Err(error) if error.is_outage() => return Err(undetermined(&chain(&error))),
                Err(error) => tracing::warn!(error = %chain(&error), "object is not compared"),
            }
        }
        let rules = self.object.spec.drift_detection.as_ref().map(|drift| drift.ignore.as_slice()).unwrap_or_default();
        let rules = IgnoreRules::of(rules)
            .map_err(|error| undetermined(&format!("failed to create ignore rule selector: {}", chain(&error))))?;
        let is_client_side = release.apply_method != Some(ApplyMethod::ServerSide);
        Ok(Manifest { resources, is_client_side, rules })
    }

    async fn compare_all(
        &self,
        owner: &Owner,
        about: (i64, i64),
        last: &LastRelease,
        scope: &Scope,
        pace: Option<Duration>,
    ) -> Result<Compared, Obstacle> {
        let drifts = &self.releases.drifts;
        let manifest = self.manifest(last).await?;
        let objects: Vec<_> =
            manifest.resources.iter().map(|one| (one.target.id.clone(), one.target.kind.clone())).collect();
        if drifts.with(owner, |known| known.watched_none) {
            // A release that another program made, whose inventory is not known.
            self.attend(owner, about, &objects).await;
        }
        let order: Vec<ObjectId> = objects.into_iter().map(|(id, _)| id).collect();
        drifts.with(owner, |known| known.keep_only(&order));
        let mut compared = Compared { order, ..Compared::default() };
        let (mut chosen, manifest) = (Vec::new(), &manifest);
        for resource in &manifest.resources {
            match ignored(&manifest.rules, &resource.tree) {
                None => drop(compared.excluded.insert(resource.target.id.clone())),
                Some(ignored) if scope.holds(&resource.target.id) => chosen.push((resource, ignored)),
                Some(_) => {}
            }
        }
        let at_once = if pace.is_some() { 1 } else { COMPARED_AT_ONCE };
        let comparisons: Vec<_> = chosen
            .into_iter()
            .map(|(resource, ignored)| async move {
                if let Some(pace) = pace {
                    self.permit.waiting(tokio::time::sleep(pace)).await;
                }
                let is_partial = manifest.is_client_side || !ignored.is_empty();
                let Comparison { difference, live, by_operations } = self.compare(owner, resource, &ignored).await?;
                let is_partial = is_partial || by_operations;
                Ok::<_, (ObjectId, ApplyError)>(Correction { resource: resource.clone(), difference, live, is_partial })
            })
            .collect();
        let results: Vec<_> = stream::iter(comparisons).buffered(at_once).collect().await;
        for result in results {
            match result {
                Ok(one) if one.difference == Difference::Excluded => {
                    compared.excluded.insert(one.resource.target.id.clone());
                }
                Ok(one) => compared.corrections.push(one),
                Err((id, error)) => {
                    compared.is_refused |= error.is_invalid();
                    let text = told(&id, &error);
                    compared.errors.push((id, format!("dry-run failed: {text}")));
                }
            }
        }
        Ok(compared)
    }

    /// Compares one object: one request where it is as its release has it.
    async fn compare(
        &self,
        owner: &Owner,
        resource: &Resource,
        ignored: &[&str],
    ) -> Result<Comparison, (ObjectId, ApplyError)> {
        let (client, target) = (&self.connection.client, &resource.target);
        let failed = |error| (target.id.clone(), error);
        if is_near(&self.object)
            && let Lookup::There(seen) = self.releases.drifts.owned.look(&target.kind, &target.id)
            && has_switch(&seen.switches, DRIFT_DETECTION, DISABLED)
        {
            return Ok(Comparison::of(Difference::Excluded, None));
        }
        self.take_over(owner, resource).await.map_err(failed)?;
        let options = ApplyOptions { manager: HELM_FIELD_MANAGER, force: true, strict: false, dry_run: true };
        let dry_run = match apply::apply(client, target, &resource.tree, options, None).await {
            // With its namespace the object is gone.
            Err(error) if error.status().is_some_and(|status| status.code == 404) => {
                return Ok(Comparison::of(Difference::Missing, None));
            }
            Err(error) if error.is_invalid() => {
                return self.compare_lists(resource, ignored, error).await.map_err(failed);
            }
            other => other.map_err(failed)?,
        };
        match dry_run.change {
            Change::Created => return Ok(Comparison::of(Difference::Missing, None)),
            Change::Unchanged => return Ok(Comparison::of(Difference::Equal, None)),
            Change::Configured | Change::Skipped | Change::Deleted => {}
        }
        let Some(live) = apply::get(client, target).await.map_err(failed)? else {
            return Ok(Comparison::of(Difference::Missing, None));
        };
        if has_switch(&live, DRIFT_DETECTION, DISABLED) {
            return Ok(Comparison::of(Difference::Excluded, None));
        }
        Ok(Comparison::of(diff::compare(&live, &dry_run.object, ignored), Some(live)))
    }

    /// Compares an object of which an apply would make one that cannot be: what others put into its lists does not go with
    /// what the release has there, such as a port of the same name. These lists are to be as the release has them.
    async fn compare_lists(
        &self,
        resource: &Resource,
        ignored: &[&str],
        error: ApplyError,
    ) -> Result<Comparison, ApplyError> {
        let Some(live) = apply::get(&self.connection.client, &resource.target).await? else {
            return Ok(Comparison::of(Difference::Missing, None));
        };
        if has_switch(&live, DRIFT_DETECTION, DISABLED) {
            return Ok(Comparison::of(Difference::Excluded, None));
        }
        let operations = diff::lists(&live, &resource.tree, &error.fields(), ignored);
        if operations.is_empty() {
            return Err(error);
        }
        Ok(Comparison { difference: Difference::Changed(operations), live: Some(live), by_operations: true })
    }

    /// Takes over the fields of the managers of `--override-manager`.
    async fn take_over(&self, owner: &Owner, resource: &Resource) -> Result<(), ApplyError> {
        let drifts = &self.releases.drifts;
        let (client, target) = (&self.connection.client, &resource.target);
        if drifts.folded.is_empty() {
            return Ok(());
        }
        let Some(live) = apply::get_metadata(client, target).await? else { return Ok(()) };
        if let Some(patch) = managed_fields::give(&live, &drifts.folded, HELM_FIELD_MANAGER) {
            let taken = apply::json_patch(client, target, &patch, HELM_FIELD_MANAGER).await?;
            if is_near(&self.object) {
                drifts.owned.expect(owner, &target.id, &taken);
            }
        }
        Ok(())
    }

    /// Makes of what was compared what is known of the release's drift, and what is to be done about it.
    fn conclude_look(
        &self,
        owner: &Owner,
        about: (i64, i64),
        compared: Compared,
        (may_correct, is_freed): (bool, bool),
        now: Timestamp,
    ) -> Result<Look, Obstacle> {
        let corrects = target::drift_mode(&self.object) == DriftDetectionMode::Enabled;
        let Compared { order, excluded, corrections, errors, is_refused } = compared;
        let compared: Vec<ObjectId> = corrections.iter().map(|one| one.resource.target.id.clone()).collect();
        let (look, news, found) = self.releases.drifts.with(owner, |known| {
            for id in &excluded {
                known.settle(id);
            }
            known.pending.extend(errors.iter().map(|(id, _)| id.clone()));
            let mut drifted = Vec::new();
            for correction in corrections {
                if known.note(&correction, corrects) {
                    drifted.push(correction);
                }
            }
            let news: Vec<Finding> = drifted.iter().map(|one| finding(&one.difference)).collect();
            if corrects && may_correct {
                let ids = drifted.iter().map(|one| one.resource.target.id.clone());
                let divided = known.corrections.divide(ids, is_freed, now);
                drifted.retain(|one| {
                    let id = &one.resource.target.id;
                    let is_held = !divided.corrected.contains(id);
                    if is_held {
                        known.held.insert(id.clone())
                    } else {
                        known.held.remove(id)
                    };
                    !is_held
                });
            }
            let drift = match (known.found.is_empty(), drifted.is_empty()) {
                (true, _) => Drift::None,
                (false, true) if corrects => Drift::Left,
                (false, _) => Drift::Found,
            };
            let look = Look {
                drift,
                is_complete: known.verified == Some(about),
                lines: known.lines(&order, &excluded),
                notes: known.notes(),
                corrections: drifted,
            };
            (look, news, known.found.keys().cloned().collect::<BTreeSet<_>>())
        });
        for id in compared.iter().chain(&excluded) {
            self.releases.drifts.owned.attend_closely(owner, id, found.contains(id));
        }
        if !news.is_empty() {
            tracing::info!(summary = summary::brief(news), "detected changes in cluster state");
        }
        let told: Vec<_> = errors.into_iter().map(|(_, text)| text).collect();
        if !told.is_empty() && look.drift == Drift::None {
            return Err(Obstacle { is_refusal: is_refused, ..undetermined(&told.join("; ")) });
        }
        if !told.is_empty() {
            tracing::error!(error = told.join("; "), "diff of release against cluster state completed with error");
        }
        Ok(look)
    }
}

fn is_requested(object: &HelmRelease, status: &HelmReleaseStatus) -> bool {
    let requested = object.metadata.annotations.as_ref().and_then(|all| all.get(meta::RECONCILE_REQUESTED_AT));
    requested.is_some() && requested != status.last_handled_reconcile_at.as_ref()
}

fn finding(difference: &Difference) -> Finding {
    match difference {
        Difference::Missing => Finding::Removed,
        Difference::Changed(operations) => Finding::Changed(Counts::of(operations)),
        Difference::Equal => Finding::Unchanged,
        Difference::Excluded => Finding::Excluded,
    }
}

impl Known {
    /// Forgets what is known of objects that the release does not have any more.
    fn keep_only(&mut self, order: &[ObjectId]) {
        let ids: BTreeSet<&ObjectId> = order.iter().collect();
        self.pending.retain(|id| ids.contains(id));
        self.held.retain(|id| ids.contains(id));
        self.found.retain(|id, _| ids.contains(id));
    }

    /// Takes note of an object that is as it should be, or left out.
    fn settle(&mut self, id: &ObjectId) {
        self.pending.remove(id);
        self.held.remove(id);
        self.found.remove(id);
    }

    /// Takes note of how an object compares; tells whether it has drifted.
    fn note(&mut self, one: &Correction, corrects: bool) -> bool {
        let id = &one.resource.target.id;
        let managers = match (&one.difference, &one.live) {
            (Difference::Missing, _) => Vec::new(),
            (Difference::Changed(operations), Some(live)) => {
                tracing::debug!(object = %id, fields = diff::fields(operations), "object was changed");
                diff::managers_of(live, operations, HELM_FIELD_MANAGER)
            }
            _ => {
                self.settle(id);
                return false;
            }
        };
        self.found.insert(id.clone(), Found { finding: finding(&one.difference), managers });
        if corrects {
            self.pending.insert(id.clone());
        } else {
            self.pending.remove(id);
        }
        true
    }

    fn lines(&self, order: &[ObjectId], excluded: &BTreeSet<ObjectId>) -> String {
        if self.found.is_empty() {
            return String::new();
        }
        if order.is_empty() {
            return summary::lines(self.found.iter().map(|(id, found)| (id, found.finding)));
        }
        summary::lines(order.iter().filter_map(|id| match self.found.get(id) {
            Some(found) => Some((id, found.finding)),
            None => excluded.contains(id).then_some((id, Finding::Excluded)),
        }))
    }

    fn notes(&self) -> Vec<String> {
        let fights = self.held.iter().filter_map(|id| {
            let found = self.found.get(id)?;
            Some(summary::fight(id, found.finding, &found.managers))
        });
        fights.chain(summary::unwatched(&self.unwatched_kinds)).collect()
    }
}
