//! Sees at once when someone edits or deletes an object that we applied: one metadata watch a kind, over all objects
//! that carry our owner labels.
//!
//! A write returns the object with our entry in `managedFields`; as long as that entry stays as it is, nobody has
//! touched a field that we applied. What others write beside it (status, their own fields) is not drift.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use kube::Client;
use serde_json::Value;
use tokio::{
    sync::{mpsc, watch},
    task::AbortHandle,
};

use super::{
    follow::{Collection, Happening, follow, is_refusal},
    managed_fields::{self, FoldedManager},
    object::{self, ObjectId},
    request::{ServedKind, message_of},
};

/// Happenings that may pile up before a watch has to wait.
const BACKLOG: usize = 256;

/// The object that applied another one: namespace and name of a Kustomization or HelmRelease.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Owner {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// How owned objects are told.
#[derive(Clone, Debug)]
pub struct Ownership {
    /// Label that every owned object has, and that holds its owner's name.
    pub label: &'static str,
    /// Field manager that they are applied as.
    pub manager: String,
    /// Managers whose fields are taken over; one that appears on an object is a change of it.
    pub folded: Vec<FoldedManager>,
    /// Start of the labels and annotations that are remembered (switches such as `reconcile: disabled`).
    pub switches: &'static str,
}

/// What is remembered of an owned object.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Its resourceVersion.
    pub version: String,
    /// Its uid.
    pub uid: String,
    /// A tree of `metadata` with the labels and annotations that are switches.
    pub switches: Value,
    /// Another manager's fields are to be taken over.
    pub needs_fold: bool,
    /// Hash of what our manager applied, see [`managed_fields::fingerprint`].
    pub fingerprint: Option<u64>,
}

/// What the watches know of an object.
#[derive(Clone, Debug)]
pub enum Lookup {
    /// It is there and carries our label.
    There(Seen),
    /// It is not there, or does not carry our label.
    NotOurs,
    /// Its kind is not watched, or not yet.
    Unknown,
}

/// What happened to an object since it was applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Drift {
    /// A field that was applied has another value or another owner.
    Edited,
    /// It is gone, or its owner label is.
    Deleted,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Mark {
    uid: String,
    fingerprint: Option<u64>,
}

#[derive(Clone, Debug)]
struct Expected {
    owner: Owner,
    mark: Mark,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Sync {
    Listing,
    Synced,
    Refused(String),
}

struct KindWatch {
    sync: watch::Receiver<Sync>,
    task: AbortHandle,
}

#[derive(Default)]
struct State {
    kinds: HashMap<String, KindWatch>,
    wanted: HashMap<Owner, BTreeSet<String>>,
    seen: HashMap<ObjectId, Seen>,
    expected: HashMap<ObjectId, Expected>,
    drifted: HashMap<Owner, BTreeMap<ObjectId, Drift>>,
    writing: HashMap<Owner, usize>,
}

/// The shared watches over owned objects of one cluster, as the daemon's own identity.
pub struct OwnedObjects {
    client: Client,
    ownership: Arc<Ownership>,
    state: Arc<Mutex<State>>,
    drifts: mpsc::UnboundedSender<Owner>,
}

/// While it lives, what happens to an owner's objects is taken for the owner's own writing; when it goes, what has
/// happened is compared with what was expected.
pub struct Writing {
    owner: Owner,
    state: Arc<Mutex<State>>,
    drifts: mpsc::UnboundedSender<Owner>,
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    // A panic elsewhere leaves maps that are still maps.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl OwnedObjects {
    /// Makes it without a single watch. The receiver gets an owner each time one of its objects begins to drift;
    /// [`OwnedObjects::take_drift`] tells which.
    pub fn new(client: Client, ownership: Ownership) -> (Self, mpsc::UnboundedReceiver<Owner>) {
        let (drifts, receiver) = mpsc::unbounded_channel();
        let state = Arc::new(Mutex::new(State::default()));
        (Self { client, ownership: Arc::new(ownership), state, drifts }, receiver)
    }

    /// Watches the kinds that an owner's objects have, and no longer those that no owner needs. Returns when all have
    /// been listed or the time is up; gives the kinds that cannot be watched, with the reason.
    pub async fn watch_kinds(
        &self,
        owner: &Owner,
        kinds: impl IntoIterator<Item = Arc<ServedKind>>,
        patience: Duration,
    ) -> BTreeMap<String, String> {
        let kinds: BTreeMap<String, Arc<ServedKind>> =
            kinds.into_iter().map(|kind| (kind.collection(""), kind)).collect();
        let mut waits = Vec::new();
        {
            let mut state = lock(&self.state);
            state.wanted.insert(owner.clone(), kinds.keys().cloned().collect());
            for (path, kind) in &kinds {
                waits.push((kind.api.kind.clone(), self.start(&mut state, path, kind)));
            }
            state.stop_unwanted();
        }
        let mut refused = BTreeMap::new();
        let deadline = tokio::time::Instant::now() + patience;
        for (kind, mut sync) in waits {
            let listed = sync.wait_for(|sync| *sync != Sync::Listing);
            match tokio::time::timeout_at(deadline, listed).await {
                Ok(Ok(sync)) => {
                    if let Sync::Refused(reason) = &*sync {
                        refused.insert(kind, reason.clone());
                    }
                }
                Ok(Err(_)) => {
                    refused.insert(kind, "the watch ended".to_owned());
                }
                Err(_) => {
                    refused.insert(kind, "not listed in time".to_owned());
                }
            }
        }
        refused
    }

    fn start(&self, state: &mut State, path: &str, kind: &Arc<ServedKind>) -> watch::Receiver<Sync> {
        if let Some(running) = state.kinds.get(path).filter(|running| !running.task.is_finished()) {
            return running.sync.clone();
        }
        let (sender, sync) = watch::channel(Sync::Listing);
        if !kind.watchable() {
            sender.send_replace(Sync::Refused("the kind cannot be watched".to_owned()));
            return sync;
        }
        let task = tokio::spawn(attend(
            self.client.clone(),
            kind.clone(),
            self.ownership.clone(),
            self.state.clone(),
            self.drifts.clone(),
            sender,
        ));
        state.kinds.insert(path.to_owned(), KindWatch { sync: sync.clone(), task: task.abort_handle() });
        sync
    }

    /// Tells what the watches know of an object.
    pub fn look(&self, kind: &ServedKind, id: &ObjectId) -> Lookup {
        let state = lock(&self.state);
        let synced = state.kinds.get(&kind.collection("")).is_some_and(|watch| *watch.sync.borrow() == Sync::Synced);
        match (state.seen.get(id), synced) {
            (Some(seen), true) => Lookup::There(seen.clone()),
            (None, true) => Lookup::NotOurs,
            (_, false) => Lookup::Unknown,
        }
    }

    /// Begins an owner's own writing.
    pub fn writing(&self, owner: &Owner) -> Writing {
        *lock(&self.state).writing.entry(owner.clone()).or_default() += 1;
        Writing { owner: owner.clone(), state: self.state.clone(), drifts: self.drifts.clone() }
    }

    /// Remembers what a write returned; another state of the object is drift from now on.
    pub fn expect(&self, owner: &Owner, id: &ObjectId, written: &Value) {
        let seen = see(written, &self.ownership);
        let mark = Mark { uid: seen.uid.clone(), fingerprint: seen.fingerprint };
        let mut state = lock(&self.state);
        state.expected.insert(id.clone(), Expected { owner: owner.clone(), mark });
        if let Some(drifted) = state.drifted.get_mut(owner) {
            drifted.remove(id);
        }
        // The watch may be behind; its older state would look like drift.
        let newer = |known: &Seen| version(&known.version) >= version(&seen.version);
        if !state.seen.get(id).is_some_and(newer) {
            state.seen.insert(id.clone(), seen);
        }
    }

    /// Stops expecting one object.
    pub fn forget_object(&self, owner: &Owner, id: &ObjectId) {
        let mut state = lock(&self.state);
        if state.expected.get(id).is_some_and(|expected| expected.owner == *owner) {
            state.expected.remove(id);
        }
        if let Some(drifted) = state.drifted.get_mut(owner) {
            drifted.remove(id);
        }
    }

    /// Forgets an owner and all that was expected of its objects.
    pub fn forget(&self, owner: &Owner) {
        let mut state = lock(&self.state);
        state.expected.retain(|_, expected| expected.owner != *owner);
        state.drifted.remove(owner);
        state.wanted.remove(owner);
        state.stop_unwanted();
    }

    /// Lists the objects that an owner's last writes are remembered of.
    pub fn expected(&self, owner: &Owner) -> HashSet<ObjectId> {
        let state = lock(&self.state);
        state.expected.iter().filter(|(_, one)| one.owner == *owner).map(|(id, _)| id.clone()).collect()
    }

    /// Takes the objects of an owner that drifted.
    pub fn take_drift(&self, owner: &Owner) -> BTreeMap<ObjectId, Drift> {
        lock(&self.state).drifted.remove(owner).unwrap_or_default()
    }
}

impl Drop for OwnedObjects {
    fn drop(&mut self) {
        for watch in lock(&self.state).kinds.values() {
            watch.task.abort();
        }
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        let mut state = lock(&self.state);
        if let Some(count) = state.writing.get_mut(&self.owner) {
            *count -= 1;
            if *count > 0 {
                return;
            }
        }
        state.writing.remove(&self.owner);
        let own: Vec<_> =
            state.expected.iter().filter(|(_, one)| one.owner == self.owner).map(|(id, _)| id.clone()).collect();
        for id in own {
            state.compare(&id, &self.drifts);
        }
    }
}

impl State {
    fn stop_unwanted(&mut self) {
        let wanted: HashSet<&String> = self.wanted.values().flatten().collect();
        let stopped: Vec<String> = self.kinds.keys().filter(|path| !wanted.contains(path)).cloned().collect();
        for path in stopped {
            if let Some(watch) = self.kinds.remove(&path) {
                watch.task.abort();
            }
        }
    }

    fn compare(&mut self, id: &ObjectId, drifts: &mpsc::UnboundedSender<Owner>) {
        let Some(expected) = self.expected.get(id) else { return };
        if self.writing.contains_key(&expected.owner) {
            return;
        }
        let drift = match self.seen.get(id) {
            None => Drift::Deleted,
            Some(seen) if seen.needs_fold => Drift::Edited,
            Some(seen) if seen.uid != expected.mark.uid || seen.fingerprint != expected.mark.fingerprint => {
                Drift::Edited
            }
            Some(_) => return,
        };
        let owner = expected.owner.clone();
        let drifted = self.drifted.entry(owner.clone()).or_default();
        if drifted.insert(id.clone(), drift).is_none() {
            // The receiver goes only when the process ends.
            let _ = drifts.send(owner);
        }
    }

    fn replace_kind(
        &mut self,
        kind: &ServedKind,
        listed: Vec<(ObjectId, Seen)>,
        drifts: &mpsc::UnboundedSender<Owner>,
    ) {
        let of_kind = |id: &ObjectId| id.kind == kind.api.kind && id.group == kind.api.group;
        let listed: HashMap<ObjectId, Seen> = listed.into_iter().collect();
        let mut touched: HashSet<ObjectId> = self.seen.keys().filter(|id| of_kind(id)).cloned().collect();
        touched.extend(self.expected.keys().filter(|id| of_kind(id)).cloned());
        touched.extend(listed.keys().cloned());
        self.seen.retain(|id, _| !of_kind(id));
        self.seen.extend(listed);
        for id in touched {
            self.compare(&id, drifts);
        }
    }
}

fn version(text: &str) -> u64 {
    text.parse().unwrap_or(0)
}

fn see(tree: &Value, ownership: &Ownership) -> Seen {
    let mut switches = serde_json::json!({"metadata": {"labels": {}, "annotations": {}}});
    for field in ["labels", "annotations"] {
        let entries = tree.pointer(&format!("/metadata/{field}")).and_then(Value::as_object);
        for (key, value) in entries.into_iter().flatten().filter(|(key, _)| key.starts_with(ownership.switches)) {
            switches["metadata"][field][key.as_str()] = value.clone();
        }
    }
    Seen {
        version: object::resource_version(tree).unwrap_or_default().to_owned(),
        uid: object::uid(tree).unwrap_or_default().to_owned(),
        switches,
        needs_fold: managed_fields::needs_fold(tree, &ownership.folded),
        fingerprint: managed_fields::fingerprint(tree, &ownership.manager),
    }
}

/// Names an object of a metadata watch, whose own kind is `PartialObjectMetadata`.
fn id_in(kind: &ServedKind, tree: &Value) -> Option<ObjectId> {
    Some(ObjectId {
        group: kind.api.group.clone(),
        kind: kind.api.kind.clone(),
        namespace: object::namespace(tree).unwrap_or_default().to_owned(),
        name: object::name(tree)?.to_owned(),
    })
}

async fn attend(
    client: Client,
    kind: Arc<ServedKind>,
    ownership: Arc<Ownership>,
    state: Arc<Mutex<State>>,
    drifts: mpsc::UnboundedSender<Owner>,
    sync: watch::Sender<Sync>,
) {
    let collection = Collection {
        path: kind.collection(""),
        labels: ownership.label.to_owned(),
        metadata_only: true,
        cached: true,
        ..Collection::default()
    };
    let (sender, mut happenings) = mpsc::channel(BACKLOG);
    let following = follow(client, collection, None, sender);
    let taking = async {
        while let Some(happening) = happenings.recv().await {
            match happening {
                Happening::Broken(error) if is_refusal(&error) => {
                    tracing::warn!(kind = %kind.api.kind, error = %message_of(&error), "kind cannot be watched");
                    sync.send_replace(Sync::Refused(message_of(&error)));
                    // All that was known of the kind is out of date from here on.
                    let of_kind = |id: &ObjectId| id.kind == kind.api.kind && id.group == kind.api.group;
                    lock(&state).seen.retain(|id, _| !of_kind(id));
                }
                Happening::Broken(error) => {
                    tracing::debug!(kind = %kind.api.kind, error = %message_of(&error), "watch interrupted");
                }
                Happening::Listed(items) => {
                    let listed =
                        items.iter().filter_map(|item| Some((id_in(&kind, item)?, see(item, &ownership)))).collect();
                    lock(&state).replace_kind(&kind, listed, &drifts);
                    sync.send_replace(Sync::Synced);
                }
                Happening::Applied(item) => take(&kind, &item, Some(see(&item, &ownership)), &state, &drifts),
                Happening::Deleted(item) => take(&kind, &item, None, &state, &drifts),
            }
        }
    };
    tokio::join!(following, taking);
}

fn take(
    kind: &ServedKind,
    item: &Value,
    seen: Option<Seen>,
    state: &Mutex<State>,
    drifts: &mpsc::UnboundedSender<Owner>,
) {
    let Some(id) = id_in(kind, item) else { return };
    let mut state = lock(state);
    // What a write of ours returned may be newer than what the watch brings.
    let brought = version(object::resource_version(item).unwrap_or_default());
    if state.seen.get(&id).is_some_and(|known| version(&known.version) > brought) {
        return;
    }
    match seen {
        Some(seen) => state.seen.insert(id.clone(), seen),
        None => state.seen.remove(&id),
    };
    state.compare(&id, drifts);
}

#[cfg(test)]
#[path = "watch_tests.rs"]
mod tests;
