//! What is known in this process of each release between two runs, so that a run in which nothing has changed asks the
//! API server nothing. It can be lost at any time: everything in it is read anew then.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{
    Api, Client, Resource, ResourceExt,
    core::{NamespaceResourceScope, PartialObjectMeta},
    runtime::{WatchStreamExt, reflector::ObjectRef, watcher},
};
use tokio_util::sync::CancellationToken;

use super::{decide::LastRelease, relation::Relation, remote_records::Held};
use crate::{
    api::{HelmRelease, helm_release::ValuesReferenceKind},
    cluster::connection::Connection,
    reconcile::watched::{lock, pause},
    telemetry,
};

/// The prefix of the names of Helm's release records.
const RECORD_PREFIX: &str = "sh.helm.release.v1.";

/// Where a release is recorded.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// Digest of the kubeconfig of another cluster, whose records no watch tells of; none for the daemon's own.
    pub cluster: Option<Arc<str>>,
    /// The storage namespace.
    pub namespace: String,
    /// The release's name.
    pub release: String,
}

/// Where values come from: kind, namespace, name.
pub type ConfigKey = (ValuesReferenceKind, String, String);

/// A HelmRelease: namespace, name.
pub type ReleaseKey = (String, String);

/// The resource version of an object, as the watch has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    Version(String),
    Absent,
    /// The watch is not in sync, or not allowed: the object must be read.
    Unknown,
}

/// The newest record of a release in Helm's storage, as its watch has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Newest {
    Record {
        version: i64,
        resource_version: String,
    },
    None,
    /// The watch is not in sync, or not allowed: the records must be listed.
    Unknown,
}

/// The memory of all releases.
#[derive(Default)]
pub struct Memory {
    configs: Mutex<Index<ConfigKey, String>>,
    records: Mutex<Index<Place, BTreeMap<i64, String>>>,
    /// Places at which a record is being written by us.
    writing: Mutex<HashSet<Place>>,
    releases: Mutex<HashMap<ObjectRef<HelmRelease>, Remembered>>,
    places: Mutex<Relation<Place>>,
    readers: Mutex<Relation<ConfigKey>>,
    dependents: Mutex<Relation<ReleaseKey>>,
}

/// What a watch has seen, and which of the watches that fill it are in sync.
struct Index<K, V> {
    seen: HashMap<K, V>,
    synced: Vec<ValuesReferenceKind>,
}

impl Index<Place, BTreeMap<i64, String>> {
    fn tells_of(&self, place: &Place) -> bool {
        place.cluster.is_none() && self.synced.contains(&ValuesReferenceKind::Secret)
    }

    /// Notes a revision's resource version; tells whether a newer one is known.
    fn note(&mut self, place: &Place, version: i64, at: String) -> bool {
        let versions = self.seen.entry(place.clone()).or_default();
        let is_old = versions.get(&version).is_some_and(|known| is_newer(known, &at));
        if !is_old {
            versions.insert(version, at);
        }
        is_old
    }
}

impl<K, V> Default for Index<K, V> {
    fn default() -> Self {
        Self { seen: HashMap::new(), synced: Vec::new() }
    }
}

/// What is known of one release.
#[derive(Clone, Debug, Default)]
pub struct Remembered {
    /// The newest record, and the resource version that it was read at.
    pub last: Option<(String, LastRelease)>,
    /// The digest of the composed values, and the resource versions of what they were composed of.
    pub values: Option<(Vec<Seen>, i64, String)>,
    /// The connection that the last run worked through. It lives as long as it is remembered here.
    pub connection: Option<Arc<Connection>>,
    /// The connection to another cluster, and the kubeconfig that it was made of.
    pub remote: Option<Remote>,
    /// The watch of its records on another cluster.
    pub records: Option<Held>,
    /// The digest of values that those of the last release fill in: of which revision, and over which values.
    pub reused: Option<(i64, String, String)>,
    /// Why the last run could not read what the release needs only to change.
    pub outage: Option<&'static str>,
}

/// A connection to the cluster of a kubeconfig.
#[derive(Clone, Debug)]
pub struct Remote {
    /// The Secret, and the key that was asked for.
    pub from: (ConfigKey, Option<String>),
    /// The Secret's version.
    pub seen: Seen,
    pub connection: Arc<Connection>,
}

impl Memory {
    /// Returns the newest record of a place.
    pub fn newest(&self, place: &Place) -> Newest {
        let records = lock(&self.records);
        if !records.tells_of(place) {
            return Newest::Unknown;
        }
        match records.seen.get(place).and_then(|versions| versions.last_key_value()) {
            Some((version, at)) => Newest::Record { version: *version, resource_version: at.clone() },
            None => Newest::None,
        }
    }

    /// Returns the revisions that are recorded at a place, oldest first; none where the watch cannot tell.
    pub fn revisions(&self, place: &Place) -> Option<Vec<i64>> {
        let records = lock(&self.records);
        records
            .tells_of(place)
            .then(|| records.seen.get(place).map(|v| v.keys().copied().collect()).unwrap_or_default())
    }

    /// Returns what the watch knows of a ConfigMap or Secret.
    pub fn config(&self, key: &ConfigKey) -> Seen {
        let configs = lock(&self.configs);
        match configs.seen.get(key) {
            Some(version) => Seen::Version(version.clone()),
            None if configs.synced.contains(&key.0) => Seen::Absent,
            None => Seen::Unknown,
        }
    }

    /// Says that a record of a place is about to be written by us: what the watch tells of the place until that is
    /// noted is no news.
    pub fn writes_record(&self, place: &Place) -> Writing<'_> {
        lock(&self.writing).insert(place.clone());
        Writing { memory: self, place: place.clone() }
    }

    /// Takes note of a write of ours, which the watch tells of before or after. Tells whether it has told of a newer one
    /// already, which is somebody else's.
    pub fn wrote_record(&self, place: &Place, version: i64, resource_version: String) -> bool {
        if place.cluster.is_some() {
            return false;
        }
        let mut records = lock(&self.records);
        // Under the lock of the records: what the watch tells from here on is compared with what is noted here.
        lock(&self.writing).remove(place);
        records.note(place, version, resource_version)
    }

    /// Takes note of a record that was read.
    pub fn read_record(&self, place: &Place, version: i64, resource_version: String) {
        if place.cluster.is_none() {
            lock(&self.records).note(place, version, resource_version);
        }
    }

    /// Takes note of a record that we deleted.
    pub fn deleted_record(&self, place: &Place, version: i64) {
        if let Some(versions) = lock(&self.records).seen.get_mut(place) {
            versions.remove(&version);
        }
    }

    pub fn remembered(&self, key: &ObjectRef<HelmRelease>) -> Remembered {
        lock(&self.releases).get(key).cloned().unwrap_or_default()
    }

    pub fn remember(&self, key: &ObjectRef<HelmRelease>, change: impl FnOnce(&mut Remembered)) {
        change(lock(&self.releases).entry(key.clone()).or_default());
    }

    /// Remembers the connection of a run. What was read through another one is forgotten.
    pub fn connected(&self, key: &ObjectRef<HelmRelease>, connection: &Arc<Connection>) {
        self.remember(key, |known| {
            if known.connection.as_ref().is_some_and(|before| !Arc::ptr_eq(before, connection)) {
                known.last = None;
            }
            if connection.remote().is_none() {
                known.remote = None;
            }
            known.connection = Some(connection.clone());
        });
    }

    /// Says where a release is recorded, so that changes of its records find it.
    pub fn recorded_at(&self, key: &ObjectRef<HelmRelease>, place: Place) {
        lock(&self.places).set(key, vec![place]);
    }

    /// Returns the release that is recorded at a place.
    pub fn recorded_by(&self, place: &Place) -> Option<ObjectRef<HelmRelease>> {
        lock(&self.places).of(place).pop()
    }

    /// Says which configs a release reads, so that their changes find it.
    pub fn reads(&self, key: &ObjectRef<HelmRelease>, configs: Vec<ConfigKey>) {
        lock(&self.readers).set(key, configs);
    }

    /// Says which releases a release depends on, so that their changes find it.
    pub fn depends(&self, key: &ObjectRef<HelmRelease>, dependencies: Vec<ReleaseKey>) {
        lock(&self.dependents).set(key, dependencies);
    }

    /// Returns the releases that depend on one.
    pub fn dependents(&self, of: &ReleaseKey) -> Vec<ObjectRef<HelmRelease>> {
        lock(&self.dependents).of(of)
    }

    /// Forgets a release that is gone.
    pub fn forget(&self, key: &ObjectRef<HelmRelease>) {
        lock(&self.releases).remove(key);
        lock(&self.places).set(key, Vec::new());
        lock(&self.readers).set(key, Vec::new());
        lock(&self.dependents).set(key, Vec::new());
    }

    /// Watches the metadata of `ConfigMaps` and Secrets until cancelled, begins the watches anew after `relist`, and calls `trigger` for each release that reads
    /// one that changed, or whose newest record is not the one that a run saw.
    pub async fn watch(
        &self,
        client: &Client,
        (namespace, relist): (Option<&str>, Option<Duration>),
        trigger: impl Fn(ObjectRef<HelmRelease>),
        cancel: CancellationToken,
    ) {
        let scope = (namespace, relist);
        let configs = self.follow::<ConfigMap>(ValuesReferenceKind::ConfigMap, client, scope, &trigger);
        let secrets = self.follow::<Secret>(ValuesReferenceKind::Secret, client, scope, &trigger);
        tokio::select! {
            () = cancel.cancelled() => {}
            _ = futures::future::join(configs, secrets) => {}
        }
    }

    async fn follow<K>(
        &self,
        kind: ValuesReferenceKind,
        client: &Client,
        (namespace, relist): (Option<&str>, Option<Duration>),
        trigger: &impl Fn(ObjectRef<HelmRelease>),
    ) where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + std::fmt::Debug + Send + Sync + 'static,
    {
        let api: Api<PartialObjectMeta<K>> = match namespace {
            Some(namespace) => Api::namespaced(client.clone(), namespace),
            None => Api::all(client.clone()),
        };
        let config = watcher::Config::default().any_semantic();
        let begin = || Box::pin(watcher(api.clone(), config.clone()).default_backoff().into_stream());
        let (mut events, mut again) = (begin(), Box::pin(pause(relist)));
        let mut listed: Option<Vec<Entry>> = None;
        loop {
            let event = tokio::select! {
                () = &mut again => {
                    (events, again) = (begin(), Box::pin(pause(relist)));
                    continue;
                }
                event = events.next() => event,
            };
            let Some(event) = event else { return };
            let changed = match event {
                Ok(watcher::Event::Init) => {
                    listed = Some(Vec::new());
                    Vec::new()
                }
                Ok(watcher::Event::InitApply(o)) => {
                    listed.get_or_insert_default().push(Entry::of(kind.clone(), &o));
                    Vec::new()
                }
                Ok(watcher::Event::InitDone) => self.relisted(&kind, listed.take().unwrap_or_default()),
                Ok(watcher::Event::Apply(o)) => self.seen(Entry::of(kind.clone(), &o)).into_iter().collect(),
                Ok(watcher::Event::Delete(o)) => self.gone(&Entry::of(kind.clone(), &o)),
                Err(error) => {
                    tracing::warn!(kind = kind.as_str(), error = %telemetry::chain(&error), "watch interrupted");
                    Vec::new()
                }
            };
            for key in changed.iter().flat_map(|entry| self.affected(entry)) {
                trigger(key);
            }
        }
    }

    fn relisted(&self, kind: &ValuesReferenceKind, entries: Vec<Entry>) -> Vec<Entry> {
        let (old_configs, old_records) = {
            let (mut configs, mut records) = (lock(&self.configs), lock(&self.records));
            let gone: HashMap<_, _> = configs.seen.extract_if(|key, _| key.0 == *kind).collect();
            let old =
                if *kind == ValuesReferenceKind::Secret { std::mem::take(&mut records.seen) } else { HashMap::new() };
            (gone, old)
        };
        let mut changed: Vec<Entry> = Vec::new();
        let mut here = std::collections::HashSet::new();
        for entry in entries {
            here.insert(entry.config.clone());
            let known = match &entry.record {
                Some((place, version)) => old_records.get(place).and_then(|v| v.get(version)),
                None => old_configs.get(&entry.config),
            };
            let is_known = known == Some(&entry.resource_version);
            if let Some(entry) = self.seen(entry)
                && !is_known
            {
                changed.push(entry);
            }
        }
        for (config, version) in old_configs.into_iter().filter(|(config, _)| !here.contains(config)) {
            changed.push(Entry { config, record: None, resource_version: version });
        }
        let (mut configs, mut records) = (lock(&self.configs), lock(&self.records));
        for (place, versions) in old_records {
            for (version, at) in versions {
                if records.seen.get(&place).is_none_or(|now| !now.contains_key(&version)) {
                    let name = format!("{RECORD_PREFIX}{}.v{version}", place.release);
                    let config = (ValuesReferenceKind::Secret, place.namespace.clone(), name);
                    changed.push(Entry { config, record: Some((place.clone(), version)), resource_version: at });
                }
            }
        }
        for synced in [&mut configs.synced, &mut records.synced] {
            if !synced.contains(kind) {
                synced.push(kind.clone());
            }
        }
        changed
    }

    /// Notes an object; gives it back where that is news.
    fn seen(&self, entry: Entry) -> Option<Entry> {
        let old = match &entry.record {
            Some((place, version)) => {
                let mut records = lock(&self.records);
                let is_writing = lock(&self.writing).contains(place);
                let versions = records.seen.entry(place.clone()).or_default();
                // A revision is written several times, and the watch tells of the first when the last is known.
                if versions.get(version).is_some_and(|known| !is_newer(&entry.resource_version, known)) {
                    return None;
                }
                let old = versions.insert(*version, entry.resource_version.clone());
                if is_writing {
                    return None;
                }
                old
            }
            None => lock(&self.configs).seen.insert(entry.config.clone(), entry.resource_version.clone()),
        };
        (old.as_ref() != Some(&entry.resource_version)).then_some(entry)
    }

    fn gone(&self, entry: &Entry) -> Vec<Entry> {
        let was_there = match &entry.record {
            Some((place, version)) => {
                let mut records = lock(&self.records);
                let Some(versions) = records.seen.get_mut(place) else { return Vec::new() };
                let removed = versions.remove(version).is_some();
                if versions.is_empty() {
                    records.seen.remove(place);
                }
                removed
            }
            None => lock(&self.configs).seen.remove(&entry.config).is_some(),
        };
        if was_there { vec![entry.clone()] } else { Vec::new() }
    }

    fn affected(&self, entry: &Entry) -> Vec<ObjectRef<HelmRelease>> {
        match &entry.record {
            Some((place, _)) => lock(&self.places).of(place),
            None => lock(&self.readers).of(&entry.config),
        }
    }
}

/// A write of a record under way.
pub struct Writing<'m> {
    memory: &'m Memory,
    place: Place,
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        lock(&self.memory.writing).remove(&self.place);
    }
}

/// Tells whether a resource version is newer than another of the same object, or at least another where they are no
/// numbers.
fn is_newer(version: &str, than: &str) -> bool {
    match (version.parse::<u64>(), than.parse::<u64>()) {
        (Ok(version), Ok(than)) => version > than,
        _ => version != than,
    }
}

/// One object of a watch: a config, or a record of a release's revision.
#[derive(Clone, Debug)]
struct Entry {
    config: ConfigKey,
    record: Option<(Place, i64)>,
    resource_version: String,
}

impl Entry {
    fn of<K>(kind: ValuesReferenceKind, object: &PartialObjectMeta<K>) -> Self
    where
        PartialObjectMeta<K>: ResourceExt,
    {
        let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
        let record = (kind == ValuesReferenceKind::Secret)
            .then(|| record_of(&name))
            .flatten()
            .map(|(release, version)| (Place { cluster: None, namespace: namespace.clone(), release }, version));
        Self {
            config: (kind, namespace, name),
            record,
            resource_version: object.resource_version().unwrap_or_default(),
        }
    }
}

/// Reads release and revision from a record's name, `sh.helm.release.v1.NAME.vN`.
pub fn record_of(name: &str) -> Option<(String, i64)> {
    let (release, version) = name.strip_prefix(RECORD_PREFIX)?.rsplit_once(".v")?;
    Some((release.to_owned(), version.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(release: &str, version: i64, at: &str) -> Entry {
        let name = format!("{RECORD_PREFIX}{release}.v{version}");
        Entry {
            config: (ValuesReferenceKind::Secret, "ns".to_owned(), name),
            record: Some((place(release), version)),
            resource_version: at.to_owned(),
        }
    }

    fn place(release: &str) -> Place {
        Place { cluster: None, namespace: "ns".to_owned(), release: release.to_owned() }
    }

    #[test]
    fn the_watch_tells_nothing_of_another_clusters_records() {
        let memory = Memory::default();
        memory.relisted(&ValuesReferenceKind::Secret, vec![record("ui", 9, "1")]);
        let there = Place { cluster: Some("digest".into()), ..place("ui") };
        assert_eq!((memory.newest(&there), memory.revisions(&there)), (Newest::Unknown, None));
        memory.wrote_record(&there, 10, "2".to_owned());
        assert_eq!(memory.newest(&place("ui")), Newest::Record { version: 9, resource_version: "1".to_owned() });
        assert_eq!(memory.newest(&there), Newest::Unknown);
    }

    #[test]
    fn a_records_name_gives_release_and_revision() {
        assert_eq!(record_of("sh.helm.release.v1.web.ui.v12"), Some(("web.ui".to_owned(), 12)));
        assert_eq!(record_of("sh.helm.release.v1.ui"), None);
        assert_eq!(record_of("sh.helm.release.v1.ui.vx"), None);
        assert_eq!(record_of("ui"), None);
    }

    #[test]
    fn the_newest_record_is_unknown_until_the_watch_is_in_sync() {
        let memory = Memory::default();
        assert_eq!(memory.newest(&place("ui")), Newest::Unknown);
        memory.relisted(&ValuesReferenceKind::Secret, vec![record("ui", 9, "1"), record("ui", 10, "2")]);
        assert_eq!(memory.newest(&place("ui")), Newest::Record { version: 10, resource_version: "2".to_owned() });
        assert_eq!(memory.newest(&place("api")), Newest::None);
        assert_eq!(memory.revisions(&place("ui")), Some(vec![9, 10]));
    }

    #[test]
    fn only_what_a_run_did_not_write_is_news() {
        let memory = Memory::default();
        memory.relisted(&ValuesReferenceKind::Secret, vec![]);
        memory.wrote_record(&place("ui"), 1, "5".to_owned());
        assert!(memory.seen(record("ui", 1, "5")).is_none(), "our own write");
        assert!(memory.seen(record("ui", 1, "4")).is_none(), "the one before");
        assert!(memory.seen(record("ui", 1, "6")).is_some(), "someone else's");
        assert_eq!(memory.gone(&record("ui", 1, "6")).len(), 1);
        assert!(memory.gone(&record("ui", 1, "6")).is_empty(), "told once");
    }

    #[test]
    fn what_the_watch_tells_during_a_write_is_that_write_unless_it_is_newer() {
        let memory = Memory::default();
        memory.relisted(&ValuesReferenceKind::Secret, vec![]);
        let writing = memory.writes_record(&place("ui"));
        assert!(memory.seen(record("ui", 1, "5")).is_none(), "told before the answer");
        assert!(!memory.wrote_record(&place("ui"), 1, "5".to_owned()));
        drop(writing);
        let writing = memory.writes_record(&place("ui"));
        assert!(memory.seen(record("ui", 1, "7")).is_none(), "not known yet whose");
        assert!(memory.wrote_record(&place("ui"), 1, "6".to_owned()), "someone else's");
        assert_eq!(memory.newest(&place("ui")), Newest::Record { version: 1, resource_version: "7".to_owned() });
        drop(writing);
        drop(memory.writes_record(&place("ui")));
        assert!(memory.seen(record("ui", 1, "8")).is_some(), "a write that failed is over");
    }

    #[test]
    fn a_new_list_tells_what_came_changed_and_went() {
        let memory = Memory::default();
        let kind = ValuesReferenceKind::Secret;
        memory.relisted(&kind, vec![record("a", 1, "1"), record("b", 1, "1"), record("c", 1, "1")]);
        let changed = memory.relisted(&kind, vec![record("a", 1, "1"), record("b", 1, "2"), record("d", 1, "1")]);
        let mut names: Vec<_> = changed.iter().map(|e| e.record.as_ref().unwrap().0.release.clone()).collect();
        names.sort();
        assert_eq!(names, ["b", "c", "d"]);
    }
}
