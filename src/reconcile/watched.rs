//! One kind's objects as the API server has them, and who wants to hear of their changes.

use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    fmt::Debug,
    hash::Hash,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use futures::{StreamExt, TryStreamExt};
use kube::{
    Api, Client, Resource, ResourceExt,
    core::{DeserializeGuard, NamespaceResourceScope, error_boundary::InvalidObject},
    runtime::{
        WatchStreamExt,
        reflector::{self, ObjectRef, Store},
        watcher,
    },
};
use serde::{Serialize, de::DeserializeOwned};
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;

/// Within this time after a list, a watch has told what has happened since then, should the list have been old.
const CATCHES_UP: Duration = Duration::from_secs(5);

/// A namespaced kind that a controller can watch.
pub trait Watchable:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + Clone
    + Debug
    + DeserializeOwned
    + Serialize
    + Send
    + Sync
    + 'static
{
}

impl<K> Watchable for K where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Debug
        + DeserializeOwned
        + Serialize
        + Send
        + Sync
        + 'static
{
}

/// Which objects are watched.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// One namespace; all where there is none.
    pub namespace: Option<String>,
    /// A label selector.
    pub labels: Option<String>,
    /// After how long a watch is begun anew with a list, should it have lost something; never where there is none.
    pub relist: Option<Duration>,
}

/// Waits for the end of a pause, which may have none.
pub(super) async fn pause(length: Option<Duration>) {
    match length {
        Some(length) => tokio::time::sleep(length).await,
        None => std::future::pending().await,
    }
}

/// What happened to an object: its state before, where it was known, and after, where it still is.
#[derive(Debug)]
pub struct Change<K> {
    pub before: Option<Arc<K>>,
    pub after: Option<Arc<K>>,
}

type Listener<K> = Arc<dyn Fn(&Change<K>) + Send + Sync>;

/// The objects of one kind: a store that a watch fills, our own newest writes laid over it, a queue of
/// asked-for reconciles, and listeners.
///
/// A status that we wrote is known from the write's response on, so that a run never starts from a state older than
/// what the run before it left.
pub struct Watched<K: Watchable> {
    store: Store<K>,
    writer: Mutex<Option<reflector::store::Writer<K>>>,
    written: Mutex<HashMap<ObjectRef<K>, Arc<K>>>,
    /// Objects that are known from a list, which may be served from a cache that is behind, or from what a watch told
    /// right after it, which may be history.
    unconfirmed: Mutex<HashSet<ObjectRef<K>>>,
    queue: mpsc::UnboundedSender<ObjectRef<K>>,
    requests: Mutex<Option<mpsc::UnboundedReceiver<ObjectRef<K>>>>,
    listeners: Mutex<Vec<Listener<K>>>,
    waiters: Mutex<HashMap<ObjectRef<K>, Arc<Notify>>>,
    /// Whether the first list is in. kube's own `Store::wait_until_ready` wakes one of several that wait.
    listed: watch::Sender<bool>,
}

/// Says that a source is not there. Flux reads sources from a cache, which calls what is missing by its kind.
pub(super) fn missing_source(kind: &str, name: &str) -> String {
    format!("{kind}.source.toolkit.fluxcd.io \"{name}\" not found")
}

/// Locks a mutex; a panic of another holder leaves data that is still whole here, since no update spans two steps.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn version<K: Resource>(object: &K) -> u64 {
    object.meta().resource_version.as_deref().and_then(|v| v.parse().ok()).unwrap_or(0)
}

/// Takes away what no controller reads of an object of its own kind, and what would be most of its room.
fn without_managers<K: Resource>(mut object: K) -> K {
    object.meta_mut().managed_fields = None;
    object
}

/// Tells whether an object that is being deleted is held by nobody.
fn is_ended<K: Resource>(object: &K) -> bool {
    object.meta().deletion_timestamp.is_some() && object.finalizers().is_empty()
}

impl<K: Watchable> Default for Watched<K> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: Watchable> Watched<K>
where
    ObjectRef<K>: Eq + Hash,
{
    pub fn new() -> Self {
        let (store, writer) = reflector::store();
        let (queue, requests) = mpsc::unbounded_channel();
        Self {
            store,
            writer: Mutex::new(Some(writer)),
            written: Mutex::default(),
            unconfirmed: Mutex::default(),
            queue,
            requests: Mutex::new(Some(requests)),
            listeners: Mutex::default(),
            waiters: Mutex::default(),
            listed: watch::Sender::new(false),
        }
    }

    /// Adds a listener that is called for each change, in order, before the next one is taken from the watch.
    /// It must be quick: it may trigger reconciles, nothing more.
    pub fn listen(&self, listener: impl Fn(&Change<K>) + Send + Sync + 'static) {
        lock(&self.listeners).push(Arc::new(listener));
    }

    /// Returns the reader that kube's Controller takes objects from.
    pub fn store(&self) -> Store<K> {
        self.store.clone()
    }

    /// Hands out the queue of asked-for reconciles, once.
    pub(super) fn requests(&self) -> Option<mpsc::UnboundedReceiver<ObjectRef<K>>> {
        lock(&self.requests).take()
    }

    /// Returns the newest known state of an object.
    pub fn get(&self, key: &ObjectRef<K>) -> Option<Arc<K>> {
        let stored = self.store.get(key)?;
        let mut written = lock(&self.written);
        match written.get(key) {
            // We took the last finalizer away, so that it is gone, though the watch has not told yet.
            Some(ours) if is_ended(ours.as_ref()) && ours.uid() == stored.uid() => None,
            Some(ours) if version(ours.as_ref()) > version(stored.as_ref()) => Some(ours.clone()),
            Some(_) => {
                written.remove(key);
                Some(stored)
            }
            None => Some(stored),
        }
    }

    /// Returns the newest known state of an object by its name.
    pub fn find(&self, namespace: &str, name: &str) -> Option<Arc<K>> {
        self.get(&ObjectRef::new(name).within(namespace))
    }

    /// Returns all objects in their newest known state, in no order.
    pub fn all(&self) -> Vec<Arc<K>> {
        self.store.state().iter().filter_map(|o| self.get(&ObjectRef::from_obj(o.as_ref()))).collect()
    }

    /// Asks for a reconcile of an object; several requests before it starts are one.
    pub fn trigger(&self, key: ObjectRef<K>) {
        let waiter = lock(&self.waiters).get(&key).cloned();
        // The receiver goes only when the process ends.
        let _ = self.queue.send(key);
        if let Some(waiter) = waiter {
            waiter.notify_waiters();
        }
    }

    /// Remembers the state that a write of ours returned.
    pub fn wrote(&self, object: K) {
        let object = without_managers(object);
        lock(&self.unconfirmed).remove(&ObjectRef::from_obj(&object));
        lock(&self.written).insert(ObjectRef::from_obj(&object), Arc::new(object));
    }

    /// Tells whether there may well be a newer state of an object than the one that is known.
    pub fn may_be_old(&self, key: &ObjectRef<K>) -> bool {
        lock(&self.unconfirmed).contains(key)
    }

    /// Waits until an object's generation is not `generation`, it is being deleted, or it is gone.
    pub async fn superseded(&self, key: &ObjectRef<K>, generation: Option<i64>) {
        self.until(key, || match self.store.get(key) {
            Some(o) if o.meta().generation == generation && o.meta().deletion_timestamp.is_none() => None,
            _ => Some(()),
        })
        .await;
    }

    /// Waits until `look` finds something. It looks at once, and whenever the object changed or a reconcile of it was
    /// asked for.
    pub async fn until<T>(&self, key: &ObjectRef<K>, look: impl Fn() -> Option<T>) -> T {
        let waiter = lock(&self.waiters).entry(key.clone()).or_default().clone();
        loop {
            // Armed before the look, so that a change between the two is not missed.
            let mut notified = std::pin::pin!(waiter.notified());
            notified.as_mut().enable();
            if let Some(found) = look() {
                return found;
            }
            notified.await;
        }
    }

    /// Waits until the first list is in.
    pub async fn ready(&self) {
        // The sender is our own, so that the channel does not close.
        let _ = self.listed.subscribe().wait_for(|listed| *listed).await;
    }

    /// Watches the kind until cancelled, in one namespace or in all, those objects that a label selector names. An object
    /// that cannot be decoded is named in the log and left out; the others go on.
    pub async fn watch(&self, client: Client, scope: &Scope, cancel: CancellationToken) {
        let Some(mut writer) = lock(&self.writer).take() else { return };
        let api: Api<DeserializeGuard<K>> = match &scope.namespace {
            Some(namespace) => Api::namespaced(client, namespace),
            None => Api::all(client),
        };
        let config = watcher::Config::default().any_semantic();
        let config = match &scope.labels {
            Some(labels) => config.labels(labels),
            None => config,
        };
        let begin = || Box::pin(watcher(api.clone(), config.clone()).default_backoff().into_stream());
        let (mut events, mut relist) = (begin(), Box::pin(pause(scope.relist)));
        let (mut listed, mut listed_at) = (Vec::new(), Instant::now());
        loop {
            let event = tokio::select! {
                () = cancel.cancelled() => return,
                () = &mut relist => {
                    (events, relist) = (begin(), Box::pin(pause(scope.relist)));
                    continue;
                }
                event = events.next() => event,
            };
            match event {
                None => return,
                Some(Err(error)) => {
                    tracing::warn!(kind = %K::kind(&()), error = %crate::telemetry::chain(&error), "watch interrupted");
                }
                Some(Ok(event)) => {
                    let Some(event) = decoded(event) else { continue };
                    match &event {
                        watcher::Event::InitDone => listed_at = Instant::now(),
                        watcher::Event::Apply(object) => self.told(object, listed_at.elapsed() > CATCHES_UP),
                        _ => {}
                    }
                    self.take(&mut writer, &mut listed, self.newest(event));
                }
            }
        }
    }

    /// Takes note of whether what a watch tells of an object is the newest that there is.
    fn told(&self, object: &K, is_newest: bool) {
        let (key, mut unconfirmed) = (ObjectRef::from_obj(object), lock(&self.unconfirmed));
        if is_newest {
            unconfirmed.remove(&key);
        } else {
            unconfirmed.insert(key);
        }
    }

    /// Keeps what is known of a listed object where the list is behind.
    fn newest(&self, event: watcher::Event<K>) -> watcher::Event<K> {
        let watcher::Event::InitApply(listed) = event else { return event };
        match self.store.get(&ObjectRef::from_obj(&listed)) {
            Some(known) if version(known.as_ref()) > version(&listed) => {
                watcher::Event::InitApply(Arc::unwrap_or_clone(known))
            }
            _ => watcher::Event::InitApply(listed),
        }
    }

    fn take(&self, writer: &mut reflector::store::Writer<K>, listed: &mut Vec<ObjectRef<K>>, event: watcher::Event<K>) {
        let before: HashMap<ObjectRef<K>, Arc<K>> = match &event {
            watcher::Event::Apply(o) | watcher::Event::Delete(o) => {
                let key = ObjectRef::from_obj(o);
                self.store.get(&key).into_iter().map(|o| (key.clone(), o)).collect()
            }
            watcher::Event::InitDone => {
                self.store.state().into_iter().map(|o| (ObjectRef::from_obj(o.as_ref()), o)).collect()
            }
            watcher::Event::Init | watcher::Event::InitApply(_) => HashMap::new(),
        };
        let touched: Vec<ObjectRef<K>> = match &event {
            watcher::Event::Init => {
                listed.clear();
                Vec::new()
            }
            watcher::Event::InitApply(o) => {
                listed.push(ObjectRef::from_obj(o));
                Vec::new()
            }
            watcher::Event::InitDone => {
                lock(&self.unconfirmed).extend(listed.iter().filter(|key| !before.contains_key(key)).cloned());
                let mut keys: HashSet<ObjectRef<K>> = std::mem::take(listed).into_iter().collect();
                keys.extend(before.keys().cloned());
                keys.into_iter().collect()
            }
            watcher::Event::Apply(o) | watcher::Event::Delete(o) => vec![ObjectRef::from_obj(o)],
        };
        writer.apply_watcher_event(&event);
        if matches!(event, watcher::Event::InitDone) {
            self.listed.send_replace(true);
        }
        for key in touched {
            let change = Change { before: before.get(&key).cloned(), after: self.store.get(&key) };
            self.changed(&key, &change);
        }
    }

    fn changed(&self, key: &ObjectRef<K>, change: &Change<K>) {
        if let Entry::Occupied(written) = lock(&self.written).entry(key.clone())
            && change.after.as_ref().is_none_or(|after| version(after.as_ref()) >= version(written.get().as_ref()))
        {
            written.remove();
        }
        if change.after.is_none() {
            lock(&self.unconfirmed).remove(key);
        }
        if asks_for_reconcile(change) {
            self.trigger(key.clone());
        }
        let waiter = match change.after {
            Some(_) => lock(&self.waiters).get(key).cloned(),
            None => lock(&self.waiters).remove(key),
        };
        if let Some(waiter) = waiter {
            waiter.notify_waiters();
        }
        let listeners = lock(&self.listeners).clone();
        for listener in listeners {
            listener(change);
        }
    }
}

fn decoded<K: Watchable>(event: watcher::Event<DeserializeGuard<K>>) -> Option<watcher::Event<K>> {
    let object = |guard: DeserializeGuard<K>| match guard.0 {
        Ok(object) => Some(without_managers(object)),
        Err(InvalidObject { error, metadata }) => {
            tracing::error!(
                kind = %K::kind(&()),
                namespace = metadata.namespace.as_deref().unwrap_or_default(),
                name = metadata.name.as_deref().unwrap_or_default(),
                error = %error,
                "object cannot be read and is left alone"
            );
            None
        }
    };
    Some(match event {
        watcher::Event::Apply(o) => watcher::Event::Apply(object(o)?),
        watcher::Event::Delete(o) => watcher::Event::Delete(object(o)?),
        watcher::Event::Init => watcher::Event::Init,
        watcher::Event::InitApply(o) => watcher::Event::InitApply(object(o)?),
        watcher::Event::InitDone => watcher::Event::InitDone,
    })
}

/// Tells whether a change is one that its own controller acts on: a new object, a new generation, a deletion that was
/// asked for, or a reconcile that was asked for by annotation (`reconcile.fluxcd.io/*`). A status write is not.
fn asks_for_reconcile<K: Resource>(change: &Change<K>) -> bool {
    let requests = |o: &K| -> Vec<(String, String)> {
        o.annotations()
            .iter()
            .filter(|(k, _)| k.starts_with("reconcile.fluxcd.io/"))
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect()
    };
    match (&change.before, &change.after) {
        (_, None) => false,
        (None, Some(_)) => true,
        (Some(before), Some(after)) => {
            let (b, a) = (before.meta(), after.meta());
            b.uid != a.uid
                || b.generation != a.generation
                || b.deletion_timestamp.is_some() != a.deletion_timestamp.is_some()
                || requests(before) != requests(after)
        }
    }
}
