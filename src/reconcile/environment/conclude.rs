//! How a run ends: what it came to, what is remembered of it, and what is said.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::{
    Environments, Times, Work,
    act::{Applied, Gone},
    decide::{self, LastRun, Plan},
    manifests::Fault,
    report,
};
use crate::{
    api::{self, Artifact, Kustomization, conditions, inventory::ResourceRef, reasons},
    cluster::{
        apply::Change,
        events::Severity,
        inventory::{format_id, parse_id},
        object::ObjectId,
        watch::Owner,
    },
    reconcile::shell::{Next, Run},
};

/// How a run ended.
pub(super) struct Ending {
    pub reason: &'static str,
    pub message: String,
    /// What ended it may pass by itself: it is tried again after the backoff and not after the retry interval.
    pub may_pass: bool,
}

/// What the writing part of a run came to.
pub(super) struct Done {
    pub applied: Applied,
    pub gone: Gone,
    pub inventory: Vec<ResourceRef>,
    /// Kinds that no watch looks after.
    pub unwatched: BTreeSet<String>,
}

impl Environments {
    pub(super) fn tell_changes(&self, object: &Kustomization, work: &Work, done: &Done) {
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

    pub(super) fn conclude(
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
        let last = LastRun {
            inputs: work.inputs.clone(),
            hashes: work.hashes.clone(),
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

    pub(super) fn failed(
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

pub(super) fn new_inventory(
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
pub(super) fn ending_of(work: &Work, done: &Done) -> Option<Ending> {
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
pub(super) fn is_change(change: Change) -> bool {
    matches!(change, Change::Created | Change::Configured | Change::Deleted)
}
