//! Sees at once when someone edits or deletes an object that we applied: one metadata watch a kind, over all objects
//! that carry our owner labels.
//!
//! A write returns the object with our entries in `managedFields`; as long as those stay as they are, nobody has
//! touched a field that we applied. What others write beside them (status, their own fields) is not drift.
//!
//! Of each object little more is kept than its name and two hashes, so that ten thousand releases fit.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Arc, Mutex},
    time::Duration,
};

use kube::Client;
use serde_json::Value;
use tokio::{
    sync::{mpsc, watch},
    task::AbortHandle,
};

use super::{
    follow::{Collection, Happening, Relist, follow, is_refusal},
    lock,
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
    /// Start of the labels and annotations that are remembered (switches such as `reconcile: disabled`). Those that say
    /// whose the object is, `name` and `namespace`, are not.
    pub switches: &'static str,
}

/// What is remembered of an owned object.
#[derive(Clone, Debug)]
pub struct Seen {
    /// A tree of `metadata` with the labels and annotations that are switches; null where there are none.
    pub switches: Value,
    /// Another manager's fields are to be taken over.
    pub needs_fold: bool,
    /// Hash of what our manager applied, see [`managed_fields::fingerprint`].
    pub fingerprint: Option<u64>,
    version: u64,
    /// Hash of all that is drift when it changes.
    mark: u64,
    /// Hash that changes with every write but one of the status.
    writes: u64,
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
    /// A field that was applied has another value or another owner, or a switch was turned.
    Edited,
    /// It is gone, or its owner label is.
    Deleted,
}

#[derive(Clone, Debug)]
struct Expected {
    owner: Arc<Owner>,
    /// The mark that the object was left with; none where it was seen to be gone.
    mark: Option<u64>,
    /// The writes that have been seen, where every other one is to be told: fields that have drifted are not ours any
    /// more, so that our mark does not tell when they are put right.
    writes: Option<u64>,
}

/// An object that a watch has seen, that someone expects, or both.
#[derive(Debug, Default)]
struct Tracked {
    seen: Option<Seen>,
    expected: Option<Expected>,
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
    /// How many owners need it.
    users: usize,
}

#[derive(Default)]
struct OwnerState {
    kinds: BTreeSet<String>,
    objects: HashSet<Arc<ObjectId>>,
    drifted: BTreeMap<ObjectId, Drift>,
    writing: usize,
}

#[derive(Default)]
struct State {
    kinds: HashMap<String, KindWatch>,
    owners: HashMap<Arc<Owner>, OwnerState>,
    objects: HashMap<Arc<ObjectId>, Tracked>,
}

/// The shared watches over owned objects of one cluster, as the daemon's own identity.
pub struct OwnedObjects {
    client: Client,
    ownership: Arc<Ownership>,
    relist: Duration,
    state: Arc<Mutex<State>>,
    drifts: mpsc::UnboundedSender<Owner>,
}

/// While it lives, what happens to an owner's objects is taken for the owner's own writing; when it goes, what has
/// happened is compared with what was expected.
pub struct Writing {
    owner: Arc<Owner>,
    state: Arc<Mutex<State>>,
    drifts: mpsc::UnboundedSender<Owner>,
}

impl OwnedObjects {
    /// Makes it without a single watch. Each is begun anew with a list after `relist`, should it have lost something. The
    /// receiver gets an owner each time one of its objects begins to drift;
    /// [`OwnedObjects::take_drift`] tells which.
    pub fn new(client: Client, ownership: Ownership, relist: Duration) -> (Self, mpsc::UnboundedReceiver<Owner>) {
        let (drifts, receiver) = mpsc::unbounded_channel();
        let state = Arc::new(Mutex::new(State::default()));
        (Self { client, ownership: Arc::new(ownership), relist, state, drifts }, receiver)
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
            for (path, kind) in &kinds {
                waits.push((kind.api.kind.clone(), self.start(&mut state, path, kind)));
            }
            state.want(owner, kinds.into_keys().collect());
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
            (self.ownership.clone(), self.relist),
            self.state.clone(),
            self.drifts.clone(),
            sender,
            !state.kinds.contains_key(path),
        ));
        let users = state.kinds.get(path).map_or(0, |ended| ended.users);
        state.kinds.insert(path.to_owned(), KindWatch { sync: sync.clone(), task: task.abort_handle(), users });
        sync
    }

    /// Tells what the watches know of an object.
    pub fn look(&self, kind: &ServedKind, id: &ObjectId) -> Lookup {
        let state = lock(&self.state);
        let synced = state.kinds.get(&kind.collection("")).is_some_and(|watch| *watch.sync.borrow() == Sync::Synced);
        match (state.objects.get(id).and_then(|tracked| tracked.seen.as_ref()), synced) {
            (Some(seen), true) => Lookup::There(seen.clone()),
            (None, true) => Lookup::NotOurs,
            (_, false) => Lookup::Unknown,
        }
    }

    /// Begins an owner's own writing.
    pub fn writing(&self, owner: &Owner) -> Writing {
        let mut state = lock(&self.state);
        let (owner, known) = state.owner(owner);
        known.writing += 1;
        Writing { owner, state: self.state.clone(), drifts: self.drifts.clone() }
    }

    /// Remembers what a write returned; another state of the object is drift from now on.
    pub fn expect(&self, owner: &Owner, id: &ObjectId, written: &Value) {
        let seen = see(&id.kind, written, &self.ownership);
        let mut state = lock(&self.state);
        state.expect(owner, id, Some(seen.mark));
        // The watch may be behind; its older state would look like drift.
        if let Some(tracked) = state.objects.get_mut(id)
            && tracked.seen.as_ref().is_none_or(|known| known.version < seen.version)
        {
            tracked.seen = Some(seen);
        }
    }

    /// Takes an object as it is now, or its absence, for what its owner left, where nothing else is known; tells whether
    /// it did. Another state of it is drift from now on.
    pub fn adopt(&self, owner: &Owner, id: &ObjectId) -> bool {
        let mut state = lock(&self.state);
        let tracked = state.objects.get(id);
        let expected = tracked.and_then(|tracked| tracked.expected.as_ref());
        if expected.is_some_and(|expected| expected.owner.as_ref() == owner) {
            return false;
        }
        let mark = tracked.and_then(|tracked| tracked.seen.as_ref()).map(|seen| seen.mark);
        state.expect(owner, id, mark);
        true
    }

    /// Stops expecting one object.
    pub fn forget_object(&self, owner: &Owner, id: &ObjectId) {
        lock(&self.state).forget_object(owner, id);
    }

    /// Stops expecting all objects of an owner but these.
    pub fn keep_only(&self, owner: &Owner, kept: &HashSet<ObjectId>) {
        let mut state = lock(&self.state);
        let Some(known) = state.owners.get(owner) else { return };
        let gone: Vec<_> = known.objects.iter().filter(|id| !kept.contains(id.as_ref())).cloned().collect();
        for id in gone {
            state.forget_object(owner, &id);
        }
    }

    /// Forgets an owner and all that was expected of its objects.
    pub fn forget(&self, owner: &Owner) {
        let mut state = lock(&self.state);
        state.want(owner, BTreeSet::new());
        let Some(known) = state.owners.get_mut(owner) else { return };
        known.drifted.clear();
        let (gone, is_writing) = (std::mem::take(&mut known.objects), known.writing > 0);
        for id in gone {
            state.unexpect(&id);
        }
        if !is_writing {
            state.owners.remove(owner);
        }
    }

    /// Takes the objects of an owner that drifted. What they are now is drift no more: only the next change is.
    pub fn take_drift(&self, owner: &Owner) -> BTreeMap<ObjectId, Drift> {
        let mut state = lock(&self.state);
        let Some(known) = state.owners.get_mut(owner) else { return BTreeMap::new() };
        let drifted = std::mem::take(&mut known.drifted);
        for id in drifted.keys() {
            if let Some(Tracked { seen, expected: Some(expected) }) = state.objects.get_mut(id) {
                expected.mark = seen.as_ref().map(|seen| seen.mark);
                // Only of what is attended closely is every write of interest.
                if expected.writes.is_some() {
                    expected.writes = seen.as_ref().map(|seen| seen.writes);
                }
            }
        }
        drifted
    }

    /// Tells of every write of an object from now on, or of those alone that touch what was applied.
    pub fn attend_closely(&self, owner: &Owner, id: &ObjectId, closely: bool) {
        let mut state = lock(&self.state);
        let Some(Tracked { seen, expected: Some(expected) }) = state.objects.get_mut(id) else { return };
        if expected.owner.as_ref() != owner {
            return;
        }
        expected.writes = match (closely, expected.writes) {
            (true, None) => seen.as_ref().map(|seen| seen.writes),
            (true, known) => known,
            (false, _) => None,
        };
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
        let Some(known) = state.owners.get_mut(&self.owner) else { return };
        known.writing = known.writing.saturating_sub(1);
        if known.writing > 0 {
            return;
        }
        if known.objects.is_empty() && known.kinds.is_empty() {
            state.owners.remove(&self.owner);
            return;
        }
        let own: Vec<_> = known.objects.iter().cloned().collect();
        for id in own {
            state.compare(&id, &self.drifts);
        }
    }
}

impl State {
    fn owner(&mut self, owner: &Owner) -> (Arc<Owner>, &mut OwnerState) {
        let shared = match self.owners.get_key_value(owner) {
            Some((shared, _)) => shared.clone(),
            None => Arc::new(owner.clone()),
        };
        let known = self.owners.entry(shared.clone()).or_default();
        (shared, known)
    }

    /// Sets which kinds an owner needs, and ends the watches that nobody does.
    fn want(&mut self, owner: &Owner, paths: BTreeSet<String>) {
        let before = match self.owners.get_mut(owner) {
            Some(known) => std::mem::replace(&mut known.kinds, paths.clone()),
            None if paths.is_empty() => return,
            None => std::mem::replace(&mut self.owner(owner).1.kinds, paths.clone()),
        };
        for path in paths.difference(&before) {
            if let Some(watch) = self.kinds.get_mut(path) {
                watch.users += 1;
            }
        }
        for path in before.difference(&paths) {
            let Some(watch) = self.kinds.get_mut(path) else { continue };
            watch.users = watch.users.saturating_sub(1);
            if watch.users == 0 {
                watch.task.abort();
                self.kinds.remove(path);
            }
        }
    }

    fn expect(&mut self, owner: &Owner, id: &ObjectId, mark: Option<u64>) {
        let shared = match self.objects.get_key_value(id) {
            Some((shared, _)) => shared.clone(),
            None => Arc::new(id.clone()),
        };
        let (owner, known) = self.owner(owner);
        known.objects.insert(shared.clone());
        known.drifted.remove(id);
        let tracked = self.objects.entry(shared).or_default();
        let before = tracked.expected.replace(Expected { owner: owner.clone(), mark, writes: None });
        if let Some(before) = before.filter(|before| before.owner != owner)
            && let Some(other) = self.owners.get_mut(&before.owner)
        {
            other.objects.remove(id);
            other.drifted.remove(id);
        }
    }

    fn unexpect(&mut self, id: &ObjectId) {
        if let Some(tracked) = self.objects.get_mut(id) {
            tracked.expected = None;
            if tracked.seen.is_none() {
                self.objects.remove(id);
            }
        }
    }

    fn forget_object(&mut self, owner: &Owner, id: &ObjectId) {
        let Some(known) = self.owners.get_mut(owner) else { return };
        known.drifted.remove(id);
        if known.objects.remove(id) {
            self.unexpect(id);
        }
    }

    /// Notes what a watch brought of an object.
    fn see(&mut self, id: ObjectId, seen: Option<Seen>) {
        match (self.objects.get_mut(&id), seen) {
            (Some(tracked), None) if tracked.expected.is_none() => drop(self.objects.remove(&id)),
            (Some(tracked), seen) => tracked.seen = seen,
            (None, None) => {}
            (None, seen) => drop(self.objects.insert(Arc::new(id), Tracked { seen, expected: None })),
        }
    }

    fn compare(&mut self, id: &ObjectId, drifts: &mpsc::UnboundedSender<Owner>) {
        let Some(Tracked { seen, expected: Some(expected) }) = self.objects.get(id) else { return };
        let Some(known) = self.owners.get_mut(&expected.owner) else { return };
        let mark = seen.as_ref().map(|seen| seen.mark);
        let is_written = expected.writes.is_some() && expected.writes != seen.as_ref().map(|seen| seen.writes);
        if known.writing > 0 || (mark == expected.mark && !is_written) {
            return;
        }
        let drift = if seen.is_some() { Drift::Edited } else { Drift::Deleted };
        if known.drifted.insert(id.clone(), drift).is_none() {
            // The receiver goes only when the process ends.
            let _ = drifts.send(expected.owner.as_ref().clone());
        }
    }

    fn of_kind(&self, kind: &ServedKind) -> Vec<Arc<ObjectId>> {
        let is_of = |id: &&Arc<ObjectId>| id.kind == kind.api.kind && id.group == kind.api.group;
        self.objects.keys().filter(is_of).cloned().collect()
    }

    fn replace_kind(
        &mut self,
        kind: &ServedKind,
        listed: Vec<(ObjectId, Seen)>,
        drifts: &mpsc::UnboundedSender<Owner>,
    ) {
        let mut listed: HashMap<ObjectId, Seen> = listed.into_iter().collect();
        for id in self.of_kind(kind) {
            let seen = listed.remove(id.as_ref());
            // A list may be served from a cache that is behind.
            let known = self.objects.get(&id).and_then(|tracked| tracked.seen.as_ref());
            if known.zip(seen.as_ref()).is_some_and(|(known, seen)| known.version > seen.version) {
                continue;
            }
            self.see(id.as_ref().clone(), seen);
            self.compare(&id, drifts);
        }
        for (id, seen) in listed {
            self.see(id, Some(seen));
        }
    }

    /// Forgets what was seen of a kind that cannot be watched any more; what is expected of its objects cannot be told.
    fn lose_kind(&mut self, kind: &ServedKind) {
        for id in self.of_kind(kind) {
            self.see(id.as_ref().clone(), None);
        }
    }
}

fn version(text: &str) -> u64 {
    text.parse().unwrap_or(0)
}

fn see(kind: &str, tree: &Value, ownership: &Ownership) -> Seen {
    let mut switches = Value::Null;
    for field in ["labels", "annotations"] {
        let entries = tree.pointer(&format!("/metadata/{field}")).and_then(Value::as_object);
        let is_switch = |key: &str| {
            key.strip_prefix(ownership.switches).is_some_and(|word| !matches!(word, "name" | "namespace" | "checksum"))
        };
        for (key, value) in entries.into_iter().flatten().filter(|(key, _)| is_switch(key)) {
            switches["metadata"][field][key.as_str()] = value.clone();
        }
    }
    let needs_fold = managed_fields::needs_fold(tree, &ownership.folded);
    let fingerprint = managed_fields::fingerprint(tree, &ownership.manager);
    let mut mark = DefaultHasher::new();
    (object::uid(tree), fingerprint, needs_fold, switches.to_string()).hash(&mut mark);
    let mut writes = DefaultHasher::new();
    let version = version(object::resource_version(tree).unwrap_or_default());
    // What was applied as `stringData` is no field of anyone's: any write may be one of it.
    if kind == "Secret" && !managed_fields::owns(tree, &ownership.manager, "data") {
        version.hash(&mut mark);
    }
    match object::generation(tree) {
        Some(generation) => (generation, managed_fields::writes(tree)).hash(&mut writes),
        None => version.hash(&mut writes),
    }
    Seen { switches, needs_fold, fingerprint, version, mark: mark.finish(), writes: writes.finish() }
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
    (ownership, relist): (Arc<Ownership>, Duration),
    state: Arc<Mutex<State>>,
    drifts: mpsc::UnboundedSender<Owner>,
    sync: watch::Sender<Sync>,
    is_first: bool,
) {
    let collection = Collection {
        path: kind.collection(""),
        labels: ownership.label.to_owned(),
        metadata_only: true,
        cached: true,
        relist: Some(Relist { first: relist, longest: relist }),
        ..Collection::default()
    };
    let (sender, mut happenings) = mpsc::channel(BACKLOG);
    let following = follow(client, collection, None, sender);
    let taking = async {
        while let Some(happening) = happenings.recv().await {
            match happening {
                Happening::Broken(error) if is_refusal(&error) => {
                    if is_first {
                        tracing::warn!(kind = %kind.api.kind, error = %message_of(&error), "kind cannot be watched");
                    }
                    sync.send_replace(Sync::Refused(message_of(&error)));
                    // All that was known of the kind is out of date from here on.
                    lock(&state).lose_kind(&kind);
                }
                Happening::Broken(error) => {
                    tracing::debug!(kind = %kind.api.kind, error = %message_of(&error), "watch interrupted");
                }
                Happening::Listed(items) => {
                    let listed = items
                        .iter()
                        .filter_map(|item| Some((id_in(&kind, item)?, see(&kind.api.kind, item, &ownership))))
                        .collect();
                    lock(&state).replace_kind(&kind, listed, &drifts);
                }
                // A kind that may be listed may not be watched for all that.
                Happening::Watching => drop(sync.send_replace(Sync::Synced)),
                Happening::Applied(item) => {
                    take(&kind, &item, Some(see(&kind.api.kind, &item, &ownership)), &state, &drifts);
                }
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
    let known = state.objects.get(&id).and_then(|tracked| tracked.seen.as_ref());
    if known.is_some_and(|known| known.version > brought) {
        return;
    }
    state.see(id.clone(), seen);
    state.compare(&id, drifts);
}

#[cfg(test)]
#[path = "watch_tests.rs"]
mod tests;
