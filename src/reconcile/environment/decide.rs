//! What a run does with what was observed. Pure: no client, no clock.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use jiff::Timestamp;

use crate::{
    api::{Kustomization, inventory::ResourceRef, kustomization::DeletionPolicy},
    cluster::{
        inventory::{format_id, parse_id},
        object::ObjectId,
    },
};

/// What an apply is made of: the same inputs give the same objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inputs {
    /// Digest of the artifact.
    pub artifact: String,
    /// Generation of the Kustomization.
    pub generation: i64,
}

/// What the last run of this process left behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastRun {
    /// What it applied.
    pub inputs: Inputs,
    /// A hash of each object as its manifest had it.
    pub hashes: Arc<HashMap<ObjectId, u64>>,
    /// Objects that could not be applied, or not be judged.
    pub unsettled: BTreeSet<ObjectId>,
    /// Objects that no watch looks after.
    pub unwatched: BTreeSet<ObjectId>,
    /// Whether it ended as it should, with nothing unread, refused, unpruned or unhealthy.
    pub succeeded: bool,
    /// When it began.
    pub at: Timestamp,
}

/// What a run knows before it begins.
#[derive(Clone, Debug)]
pub struct View<'a> {
    /// What is to be applied now.
    pub inputs: &'a Inputs,
    /// What the last run left behind; nothing after a start of the process.
    pub last: Option<&'a LastRun>,
    /// Objects that someone edited or deleted and that may be corrected now.
    pub drifted: &'a BTreeSet<ObjectId>,
    /// Someone asked for a reconcile.
    pub is_requested: bool,
    /// The interval since the last run is over.
    pub is_due: bool,
}

/// What is applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Every object.
    All,
    /// These, and those whose manifests are not as the last run had them: all others are known to be as they should.
    Changed(BTreeSet<ObjectId>),
    /// These alone: all others are known to be as they should.
    Only(BTreeSet<ObjectId>),
    /// Nothing: the cluster is as it should be.
    Nothing,
}

/// Chooses what is applied.
pub fn plan(view: &View<'_>) -> Plan {
    let Some(last) = view.last.filter(|last| last.inputs.generation == view.inputs.generation) else {
        return Plan::All;
    };
    if view.is_requested {
        return Plan::All;
    }
    if last.inputs.artifact != view.inputs.artifact {
        if !last.succeeded {
            return Plan::All;
        }
        let others = [&last.unsettled, &last.unwatched, view.drifted];
        return Plan::Changed(others.into_iter().flatten().cloned().collect());
    }
    let mut only = view.drifted.clone();
    if view.is_due || !last.succeeded {
        only.extend(last.unsettled.iter().cloned());
    }
    if view.is_due {
        only.extend(last.unwatched.iter().cloned());
    }
    match (only.is_empty(), last.succeeded) {
        (false, _) => Plan::Only(only),
        (true, true) => Plan::Nothing,
        // What failed was no object: a file, a prune, a health check. It is looked at again.
        (true, false) => Plan::Only(only),
    }
}

/// The objects of an inventory that are not wanted any more, with the version they were applied in. With `keep` nothing
/// is: a part of the folder could not be read, and what it holds is not known.
pub fn stale(before: &[ResourceRef], wanted: &HashSet<ObjectId>, keep: bool) -> Vec<(ObjectId, String)> {
    if keep {
        return Vec::new();
    }
    let parsed = before.iter().filter_map(|entry| Some((parse_id(&entry.id).ok()?, entry.v.clone())));
    parsed.filter(|(id, _)| !wanted.contains(id)).collect()
}

/// Makes the new inventory: what is wanted and known to be there, then what was there and is to stay tracked.
pub fn inventory(applied: &BTreeMap<ObjectId, String>, kept: &[ResourceRef]) -> Vec<ResourceRef> {
    let mut ids: Vec<_> = applied.keys().collect();
    ids.sort_by(|a, b| super::order::compare(a, b));
    let mut entries: Vec<_> =
        ids.into_iter().map(|id| ResourceRef { id: format_id(id), v: applied[id].clone() }).collect();
    let known: HashSet<String> = entries.iter().map(|entry| entry.id.clone()).collect();
    entries.extend(kept.iter().filter(|entry| !known.contains(&entry.id)).cloned());
    entries
}

/// What becomes of the objects when their Kustomization is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Farewell {
    /// They stay.
    Leave,
    /// They are deleted.
    Delete,
    /// They are deleted, and their end is awaited.
    DeleteAndWait,
}

/// Chooses what becomes of the objects when their Kustomization is deleted.
pub fn farewell(object: &Kustomization) -> Farewell {
    let spec = &object.spec;
    if spec.suspend {
        return Farewell::Leave;
    }
    match spec.deletion_policy.clone().unwrap_or_default() {
        DeletionPolicy::MirrorPrune if spec.prune => Farewell::Delete,
        DeletionPolicy::Delete => Farewell::Delete,
        DeletionPolicy::WaitForTermination => Farewell::DeleteAndWait,
        _ => Farewell::Leave,
    }
}

#[cfg(test)]
#[path = "decide_tests.rs"]
mod tests;
