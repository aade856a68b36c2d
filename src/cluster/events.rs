//! Events: what happened to an object, for `kubectl describe` and `kubectl get events`.
//!
//! They are sent behind, in order, by one task; a reconcile never waits for one. The same event again raises a count.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use http::{Method, header};
use jiff::Timestamp;
use kube::{Client, Resource};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{
    notification::Poster,
    request::{encode, is_not_found, message_of, send},
};
use crate::api::meta::EVENT_PREFIX;

/// Events that may wait to be sent; more are dropped and counted.
const QUEUE: usize = 4096;
/// Events whose count can be raised.
const REMEMBERED: usize = 4096;
/// Longest message, in bytes.
const MAX_MESSAGE: usize = 8 * 1024;

/// How serious an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Severity {
    /// As it should be.
    Normal,
    /// Someone should look.
    Warning,
    /// A step on the way: recorded as normal, and for the cluster alone.
    Trace,
}

impl Severity {
    fn as_str(self) -> &'static str {
        match self {
            Severity::Normal | Severity::Trace => "Normal",
            Severity::Warning => "Warning",
        }
    }
}

/// The object that an event is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Involved {
    /// Its apiVersion.
    pub api_version: String,
    /// Its kind.
    pub kind: String,
    /// Its namespace, empty for objects of the cluster.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// Its resourceVersion, empty if unknown.
    pub resource_version: String,
}

impl Involved {
    /// Refers to a typed object.
    pub fn of<K: Resource<DynamicType = ()>>(object: &K) -> Self {
        let meta = object.meta();
        Self {
            api_version: K::api_version(&()).into_owned(),
            kind: K::kind(&()).into_owned(),
            namespace: meta.namespace.clone().unwrap_or_default(),
            name: meta.name.clone().unwrap_or_default(),
            uid: meta.uid.clone().unwrap_or_default(),
            resource_version: meta.resource_version.clone().unwrap_or_default(),
        }
    }
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// To which object.
    pub involved: Involved,
    /// How serious it is.
    pub severity: Severity,
    /// One word, such as `ReconciliationSucceeded`.
    pub reason: String,
    /// A sentence or a list of changes.
    pub message: String,
    /// Annotations of the event, such as the revision.
    pub annotations: BTreeMap<String, String>,
}

/// Takes events to be sent. Clones share the queue.
#[derive(Clone)]
pub struct EventRecorder {
    queue: mpsc::Sender<(Note, &'static str)>,
    /// To a notification-controller.
    posts: Option<mpsc::Sender<(Note, &'static str)>>,
    component: &'static str,
    dropped: Arc<AtomicU64>,
}

impl EventRecorder {
    /// Starts the task that sends events until it is cancelled and the queue is empty, or all recorders are gone.
    /// `component` is the reporting controller; `instance` the host.
    pub fn start(client: Client, component: &'static str, instance: String, cancel: CancellationToken) -> Self {
        let (queue, receiver) = mpsc::channel(QUEUE);
        tokio::spawn(Sender { client, instance, sent: Memory::default() }.run(receiver, cancel));
        Self { queue, posts: None, component, dropped: Arc::new(AtomicU64::new(0)) }
    }

    /// Posts events to a notification-controller, too. Its recorder is to be the first, of which the others are made.
    #[must_use]
    pub fn posting(self, poster: Poster, cancel: CancellationToken) -> Self {
        let (posts, receiver) = mpsc::channel(QUEUE);
        tokio::spawn(poster.run(receiver, cancel));
        Self { posts: Some(posts), ..self }
    }

    /// Returns a recorder that reports as another controller.
    #[must_use]
    pub fn reporting_as(&self, component: &'static str) -> Self {
        Self { component, ..self.clone() }
    }

    /// Records that something happened to a typed object. Its own annotations for events are copied, as Flux does.
    pub fn record<K: Resource<DynamicType = ()>>(
        &self,
        object: &K,
        severity: Severity,
        reason: &str,
        message: &str,
        mut annotations: BTreeMap<String, String>,
    ) {
        let own = object.meta().annotations.iter().flatten().filter(|(key, _)| key.starts_with(EVENT_PREFIX));
        annotations.extend(own.map(|(key, value)| (key.clone(), value.clone())));
        self.publish(Note {
            involved: Involved::of(object),
            severity,
            reason: reason.to_owned(),
            message: message.to_owned(),
            annotations,
        });
    }

    /// Hands an event over. Never waits: when too many are waiting already, this one is dropped and counted.
    pub fn publish(&self, mut note: Note) {
        shorten(&mut note.message);
        if let Some(posts) = self.posts.as_ref().filter(|_| note.severity != Severity::Trace)
            && posts.try_send((note.clone(), self.component)).is_err()
        {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        if self.queue.try_send((note, self.component)).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts the events that were dropped.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

fn shorten(message: &mut String) {
    if message.len() > MAX_MESSAGE {
        let end = (0..=MAX_MESSAGE - 3).rev().find(|end| message.is_char_boundary(*end)).unwrap_or(0);
        message.truncate(end);
        message.push_str("...");
    }
}

struct Sender {
    client: Client,
    instance: String,
    sent: Memory,
}

impl Sender {
    async fn run(mut self, mut queue: mpsc::Receiver<(Note, &'static str)>, cancel: CancellationToken) {
        loop {
            let next = tokio::select! {
                biased;
                next = queue.recv() => next,
                () = cancel.cancelled() => {
                    queue.close();
                    queue.recv().await
                }
            };
            let Some((note, component)) = next else { return };
            if let Err(error) = self.send(&note, component).await {
                tracing::debug!(reason = note.reason, error = %message_of(&error), "event not recorded");
            }
        }
    }

    async fn send(&mut self, note: &Note, component: &'static str) -> Result<(), kube::Error> {
        let now = Timestamp::now();
        let key = (note.digest(), component);
        if let Some((path, count)) = self.sent.raise(&key) {
            let patch = json!({"count": count, "lastTimestamp": seconds(now)});
            let headers = [(header::CONTENT_TYPE, "application/merge-patch+json")];
            match send(&self.client, Method::PATCH, &path, &headers, patch.to_string().into_bytes()).await {
                // Events are kept for an hour or so.
                Err(error) if is_not_found(&error) => {}
                other => return other.map(|_| ()),
            }
        }
        let event = self.event(note, component, now);
        let namespace = event["metadata"]["namespace"].as_str().unwrap_or("default").to_owned();
        let collection = format!("/api/v1/namespaces/{}/events", encode(&namespace));
        let headers = [(header::CONTENT_TYPE, "application/json")];
        let reply = send(&self.client, Method::POST, &collection, &headers, event.to_string().into_bytes()).await?;
        if let Some(name) = super::object::name(&reply.body) {
            self.sent.remember(key, format!("{collection}/{}", encode(name)));
        }
        Ok(())
    }

    fn event(&self, note: &Note, component: &str, now: Timestamp) -> Value {
        let involved = &note.involved;
        let namespace = if involved.namespace.is_empty() { "default" } else { &involved.namespace };
        let mut event = json!({
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {
                "name": format!("{}.{:x}", involved.name, now.as_nanosecond()),
                "namespace": namespace,
            },
            "involvedObject": {
                "apiVersion": involved.api_version,
                "kind": involved.kind,
                "namespace": involved.namespace,
                "name": involved.name,
                "uid": involved.uid,
                "resourceVersion": involved.resource_version,
            },
            "type": note.severity.as_str(),
            "reason": note.reason,
            "message": note.message,
            "count": 1,
            "firstTimestamp": seconds(now),
            "lastTimestamp": seconds(now),
            "source": {"component": component},
            "reportingComponent": component,
            "reportingInstance": self.instance,
        });
        if !note.annotations.is_empty() {
            event["metadata"]["annotations"] = json!(note.annotations);
        }
        event
    }
}

/// Writes a time as the API server does, to the second.
pub(super) fn seconds(now: Timestamp) -> String {
    now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

impl Note {
    /// Digests what makes an event: two notes are the same one when they differ in nothing but the object's
    /// resourceVersion.
    fn digest(&self) -> [u8; 32] {
        let involved = Involved { resource_version: String::new(), ..self.involved.clone() };
        let said = (&self.severity, &self.reason, &self.message, &self.annotations);
        Sha256::digest(format!("{involved:?}\n{said:?}")).into()
    }
}

type Key = ([u8; 32], &'static str);

/// The events that were sent last, and how often.
#[derive(Default)]
struct Memory {
    counts: HashMap<Key, (String, u32)>,
    order: VecDeque<Key>,
}

impl Memory {
    fn raise(&mut self, key: &Key) -> Option<(String, u32)> {
        let (path, count) = self.counts.get_mut(key)?;
        *count += 1;
        Some((path.clone(), *count))
    }

    fn remember(&mut self, key: Key, path: String) {
        if self.counts.insert(key, (path, 1)).is_none() {
            self.order.push_back(key);
        }
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.counts.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(message: &str) -> Note {
        Note {
            involved: Involved {
                api_version: "kustomize.toolkit.fluxcd.io/v1".into(),
                kind: "Kustomization".into(),
                namespace: "flux-system".into(),
                name: "staging".into(),
                uid: "u".into(),
                resource_version: "1".into(),
            },
            severity: Severity::Normal,
            reason: "ReconciliationSucceeded".into(),
            message: message.into(),
            annotations: BTreeMap::new(),
        }
    }

    #[test]
    fn the_same_event_is_counted_whatever_version_its_object_has() {
        let mut memory = Memory::default();
        let first = (note("x").digest(), "c");
        memory.remember(first, "/path".to_owned());
        let mut later = note("x");
        later.involved.resource_version = "2".into();
        assert_eq!(memory.raise(&(later.digest(), "c")), Some(("/path".to_owned(), 2)));
        assert_eq!(memory.raise(&(note("y").digest(), "c")), None);
        assert_eq!(memory.raise(&(note("x").digest(), "other")), None);
    }

    #[test]
    fn memory_is_bounded() {
        let mut memory = Memory::default();
        for number in 0..=REMEMBERED {
            memory.remember((note(&number.to_string()).digest(), "c"), String::new());
        }
        assert_eq!((memory.counts.len(), memory.order.len()), (REMEMBERED, REMEMBERED));
        assert_eq!(memory.raise(&(note("0").digest(), "c")), None, "the oldest went");
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let mut message = "é".repeat(MAX_MESSAGE);
        shorten(&mut message);
        assert!(message.len() <= MAX_MESSAGE && message.ends_with("é..."));
    }

    #[tokio::test]
    async fn publishing_never_waits() {
        let (queue, receiver) = mpsc::channel(1);
        let recorder = EventRecorder { queue, posts: None, component: "c", dropped: Arc::default() };
        recorder.publish(note("a"));
        recorder.publish(note("b"));
        assert_eq!(recorder.dropped(), 1);
        drop(receiver);
    }
}
