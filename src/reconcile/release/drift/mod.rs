//! Drift of releases: who watches their objects, which objects are compared with the cluster when, and what was found.
//!
//! At rest nothing is asked: a watch of metadata, one a kind for all releases, tells which object someone touched, and
//! that object alone is compared. All of a release is compared when its spec or revision has changed without a write of
//! ours, when someone asks for it, and once after a start of the process, one release after the other.

mod look;
pub mod plan;
pub mod summary;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use jiff::Timestamp;
use kube::{ResourceExt, runtime::reflector::ObjectRef};
use serde_json::Value;
use tokio::sync::mpsc;

pub use self::look::{Correction, Look};
use self::summary::Finding;
use super::{act::objects, target};
use crate::{
    api::{
        HelmRelease,
        helm_release::DriftDetectionMode,
        meta::{DISABLED, DRIFT_DETECTION, HELM_EVENT_PREFIX, HELM_FIELD_MANAGER, HELM_RELEASE_NAME},
    },
    cluster::{
        apply::Change,
        diff::{Difference, IgnoreRules},
        managed_fields::FoldedManager,
        object::{ObjectId, has_switch},
        request::ServedKind,
        wait::WaitTarget,
        watch::{Lookup, OwnedObjects, Owner, Ownership, Writing},
    },
    reconcile::{
        corrections::Corrections,
        watched::{Watched, lock},
    },
};

/// Requests a second of the check that follows on a start.
const PACE: u32 = 20;
/// How long a look waits for the first list of a kind that is watched from now on.
const WATCH_PATIENCE: Duration = Duration::from_secs(10);

/// How objects of releases are told. `overridden` are the managers of `--override-manager`.
pub fn ownership(overridden: &[String]) -> Ownership {
    let both = |name: &String| {
        ["Apply", "Update"].map(|operation| FoldedManager { prefix: name.clone(), operation, exact: false })
    };
    Ownership {
        label: HELM_RELEASE_NAME,
        manager: HELM_FIELD_MANAGER.to_owned(),
        folded: overridden.iter().flat_map(both).collect(),
        switches: HELM_EVENT_PREFIX,
    }
}

/// Tells whether drift is looked for.
pub fn is_on(object: &HelmRelease) -> bool {
    matches!(target::drift_mode(object), DriftDetectionMode::Enabled | DriftDetectionMode::Warn)
}

/// Tells whether the objects are on the daemon's own cluster, whose watches tell of them.
fn is_near(object: &HelmRelease) -> bool {
    object.spec.kube_config.is_none()
}

/// Returns a release as the owner of its objects.
pub fn owner(object: &HelmRelease) -> Owner {
    Owner { namespace: object.namespace().unwrap_or_default(), name: object.name_any() }
}

/// Returns an object of a manifest as its release has it on the cluster, with Helm's marks of ownership.
pub fn as_released(tree: &Value, release: &str, namespace: &str) -> Value {
    objects::marked(tree, &objects::Owner { release: release.to_owned(), namespace: namespace.to_owned() })
}

/// What a correction makes of an object; nothing where it leaves it alone.
pub fn change(difference: &Difference) -> Option<Change> {
    match difference {
        Difference::Missing => Some(Change::Created),
        Difference::Changed(_) => Some(Change::Configured),
        Difference::Equal | Difference::Excluded => None,
    }
}

/// Tells how an object compares that is left out by its own wish or by a rule, and otherwise which of its fields are left
/// alone.
pub fn ignored<'r>(rules: &'r IgnoreRules, desired: &Value) -> Option<Vec<&'r str>> {
    let paths = rules.paths(desired);
    let is_out = has_switch(desired, DRIFT_DETECTION, DISABLED) || paths.contains(&"");
    (!is_out).then_some(paths)
}

/// Drift that was found and is not put right.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Found {
    finding: Finding,
    /// The managers of the fields that differ.
    managers: Vec<String>,
}

/// What is known of one release.
#[derive(Debug, Default)]
struct Known {
    /// The generation and the revision that all objects were compared for, or written by us.
    verified: Option<(i64, i64)>,
    /// The generation and the revision whose kinds are watched.
    watched: Option<(i64, i64)>,
    is_queued: bool,
    has_turn: bool,
    pending: BTreeSet<ObjectId>,
    held: BTreeSet<ObjectId>,
    found: BTreeMap<ObjectId, Found>,
    corrections: Corrections,
    unwatched_kinds: BTreeMap<String, String>,
    unwatched: BTreeSet<ObjectId>,
    /// The inventory did not say what there is to watch.
    watched_none: bool,
    /// When the interval's look was.
    at: Option<Timestamp>,
}

/// What is known of the drift of all releases. All of it can be lost: everything is compared once then.
pub struct Drifts {
    owned: OwnedObjects,
    folded: Vec<FoldedManager>,
    known: Mutex<HashMap<Owner, Known>>,
    turns: mpsc::UnboundedSender<(Owner, u32)>,
    queue: Mutex<Option<mpsc::UnboundedReceiver<(Owner, u32)>>>,
}

impl Drifts {
    /// `owned` is made with [`ownership`].
    pub fn new(owned: OwnedObjects, overridden: &[String]) -> Self {
        let (turns, queue) = mpsc::unbounded_channel();
        Self {
            owned,
            folded: ownership(overridden).folded,
            known: Mutex::default(),
            turns,
            queue: Mutex::new(Some(queue)),
        }
    }

    fn with<T>(&self, owner: &Owner, change: impl FnOnce(&mut Known) -> T) -> T {
        change(lock(&self.known).entry(owner.clone()).or_default())
    }

    /// Begins an action of ours on a release's objects.
    pub fn writing(&self, object: &HelmRelease) -> Writing {
        self.owned.writing(&owner(object))
    }

    /// Takes note of what an action wrote.
    pub fn wrote(&self, object: &HelmRelease, written: &[WaitTarget]) {
        if !is_on(object) || !is_near(object) {
            return;
        }
        let owner = owner(object);
        for WaitTarget { target, known } in written {
            if let Some(tree) = known {
                self.owned.expect(&owner, &target.id, tree);
            }
        }
    }

    /// Takes note of a revision whose objects were all written by us just now.
    pub fn released(&self, object: &HelmRelease, revision: i64) {
        if !is_on(object) {
            return;
        }
        let about = (object.metadata.generation.unwrap_or(0), revision);
        self.with(&owner(object), |known| {
            known.verified = Some(about);
            known.pending.clear();
            known.held.clear();
            known.found.clear();
        });
    }

    /// Forgets a release.
    pub fn forget(&self, owner: &Owner) {
        lock(&self.known).remove(owner);
        self.owned.forget(owner);
    }

    /// Takes note of a correction that was written.
    pub fn corrected(&self, object: &HelmRelease, id: &ObjectId, written: &Value) {
        let owner = owner(object);
        if is_near(object) {
            self.owned.expect(&owner, id, written);
        }
        self.with(&owner, |known| {
            known.pending.remove(id);
            known.found.remove(id);
        });
    }

    /// Lets a release wait for its turn; `requests` are what its comparison costs.
    fn postpone(&self, owner: &Owner, requests: usize) {
        let is_news = self.with(owner, |known| !std::mem::replace(&mut known.is_queued, true));
        if is_news {
            // The receiver goes only when the process ends.
            let _ = self.turns.send((owner.clone(), u32::try_from(requests).unwrap_or(u32::MAX)));
        }
    }

    /// Gives the releases that wait for their first comparison after a start their turns, at the pace that the API
    /// server is asked at for it.
    pub async fn take_turns(&self, releases: Arc<Watched<HelmRelease>>) {
        let Some(mut queue) = lock(&self.queue).take() else { return };
        while let Some((owner, requests)) = queue.recv().await {
            if lock(&self.known).get_mut(&owner).is_none_or(|known| {
                known.has_turn = known.is_queued;
                !known.has_turn
            }) {
                continue;
            }
            releases.trigger(ObjectRef::new(&owner.name).within(&owner.namespace));
            tokio::time::sleep(pause() * requests).await;
        }
    }

    /// Takes note of objects on another cluster, which no watch looks after.
    fn far(&self, owner: &Owner, about: (i64, i64), objects: &[(ObjectId, Arc<ServedKind>)]) {
        let reason = "it is on another cluster";
        self.with(owner, |known| {
            known.watched = Some(about);
            known.unwatched_kinds = objects.iter().map(|(id, _)| (id.kind.clone(), reason.to_owned())).collect();
            known.unwatched = objects.iter().map(|(id, _)| id.clone()).collect();
            known.watched_none = objects.is_empty();
        });
    }

    /// Watches the kinds of a release's objects, and takes the objects as they are for what was left, where nothing
    /// else is known of them. Those that are not there are looked for.
    async fn watch(&self, owner: &Owner, about: (i64, i64), objects: &[(ObjectId, Arc<ServedKind>)]) {
        let kinds = objects.iter().map(|(_, kind)| kind.clone());
        let refused = self.owned.watch_kinds(owner, kinds, WATCH_PATIENCE).await;
        let ids: HashSet<ObjectId> = objects.iter().map(|(id, _)| id.clone()).collect();
        self.owned.keep_only(owner, &ids);
        let (mut missing, mut unwatched) = (Vec::new(), BTreeSet::new());
        for (id, kind) in objects {
            match self.owned.look(kind, id) {
                Lookup::There(_) => drop(self.owned.adopt(owner, id)),
                Lookup::NotOurs => missing.extend(self.owned.adopt(owner, id).then(|| id.clone())),
                Lookup::Unknown => drop(unwatched.insert(id.clone())),
            }
        }
        self.with(owner, |known| {
            known.watched = Some(about);
            known.pending.extend(missing);
            known.unwatched_kinds = refused;
            known.unwatched = unwatched;
            known.watched_none = objects.is_empty();
        });
    }
}

fn pause() -> Duration {
    Duration::from_secs(1) / PACE
}
