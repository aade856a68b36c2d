//! One watch for all who wait at one time for objects of a kind in a namespace.
//!
//! A watch of its own for each of a thousand releases would cost a thousand connections, and the API server a look at each
//! change for each of them.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex},
    time::Duration,
};

use kube::Client;
use serde_json::Value;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};

use super::{
    follow::{Collection, Happening, follow, is_refusal},
    lock, object,
};

/// Happenings that may pile up before the watch has to wait.
const BACKLOG: usize = 64;
/// A watch ends when nobody has needed it for as long as this, or twice as long.
const LINGER: Duration = Duration::from_secs(5);
/// Who waits begins a little after the write that it waits for: what happened in between is kept, up to so many bytes.
const KEPT_BYTES: usize = 1 << 20;

/// Path of a collection, and a label that an object has.
type Key = (String, &'static str);

/// The watches that one identity shares on a cluster.
pub struct SharedWatches {
    client: Client,
    watches: Mutex<HashMap<Key, Arc<Mutex<Shared>>>>,
}

impl SharedWatches {
    /// Makes it for an identity, with no watch yet.
    pub fn new(client: Client) -> Self {
        Self { client, watches: Mutex::default() }
    }

    /// Tells what happens to an object after the version that a write of it returned, until the receiver is dropped. `path`
    /// is that of its collection, `label` one that all have who are waited for. The sender ends when the watch does:
    /// refused, or no longer able to go on from where it was.
    ///
    /// Returns none where the watch does not know what happened that long ago.
    pub fn follow(
        &self,
        path: String,
        label: &'static str,
        name: &str,
        version: u64,
    ) -> Option<UnboundedReceiver<Happening>> {
        let mut watches = lock(&self.watches);
        let key = (path, label);
        let known = watches.get(&key).filter(|shared| !lock(shared).is_over).cloned();
        let shared = known.unwrap_or_else(|| {
            watches.retain(|_, shared| !lock(shared).is_over);
            let shared = Arc::new(Mutex::new(Shared::since(version)));
            tokio::spawn(serve(self.client.clone(), key.clone(), version, shared.clone()));
            watches.insert(key, shared.clone());
            shared
        });
        lock(&shared).join(name, version)
    }
}

/// What one watch brought, and who waits for more.
struct Shared {
    /// By name of the object: the version from which it is of interest, and to whom.
    waiting: HashMap<String, Vec<(u64, UnboundedSender<Happening>)>>,
    kept: VecDeque<Kept>,
    kept_bytes: usize,
    /// All that came after this version is in `kept`.
    since: u64,
    is_idle: bool,
    is_over: bool,
}

struct Kept {
    version: u64,
    name: String,
    is_deleted: bool,
    /// As JSON, which takes a tenth of what its tree does.
    object: String,
}

impl Shared {
    fn since(version: u64) -> Self {
        let (waiting, kept) = (HashMap::new(), VecDeque::new());
        Self { waiting, kept, kept_bytes: 0, since: version, is_idle: false, is_over: false }
    }

    fn join(&mut self, name: &str, version: u64) -> Option<UnboundedReceiver<Happening>> {
        if self.is_over || version < self.since {
            return None;
        }
        let (sender, receiver) = mpsc::unbounded_channel();
        for kept in self.kept.iter().filter(|kept| kept.name == name && kept.version > version) {
            // It was written from a tree.
            let Ok(object) = serde_json::from_str(&kept.object) else { continue };
            // The receiver is here.
            let _ = sender.send(happening(object, kept.is_deleted));
        }
        self.waiting.entry(name.to_owned()).or_default().push((version, sender));
        self.is_idle = false;
        Some(receiver)
    }

    fn tell(&mut self, mut object: Value, is_deleted: bool) {
        let version = object::resource_version(&object).and_then(|version| version.parse().ok());
        let (Some(name), Some(version)) = (object::name(&object).map(str::to_owned), version) else { return };
        if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.remove("managedFields");
        }
        if let Some(waiting) = self.waiting.get_mut(&name) {
            waiting.retain(|(from, sender)| {
                version <= *from || sender.send(happening(object.clone(), is_deleted)).is_ok()
            });
            if waiting.is_empty() {
                self.waiting.remove(&name);
            }
        }
        self.keep(Kept { version, name, is_deleted, object: object.to_string() });
    }

    fn keep(&mut self, kept: Kept) {
        self.kept_bytes += kept.object.len();
        self.kept.push_back(kept);
        while self.kept_bytes > KEPT_BYTES
            && let Some(oldest) = self.kept.pop_front()
        {
            self.kept_bytes -= oldest.object.len();
            self.since = oldest.version;
        }
    }

    /// Tells whether the watch has to go on. It ends when this was asked twice while nobody waited.
    fn goes_on(&mut self) -> bool {
        self.waiting.retain(|_, waiting| {
            waiting.retain(|(_, sender)| !sender.is_closed());
            !waiting.is_empty()
        });
        let was_idle = std::mem::replace(&mut self.is_idle, self.waiting.is_empty());
        if was_idle && self.is_idle {
            self.end();
        }
        !self.is_over
    }

    fn end(&mut self) {
        *self = Self { is_over: true, ..Self::since(u64::MAX) };
    }
}

fn happening(object: Value, is_deleted: bool) -> Happening {
    if is_deleted { Happening::Deleted(object) } else { Happening::Applied(object) }
}

async fn serve(client: Client, (path, label): Key, version: u64, shared: Arc<Mutex<Shared>>) {
    let collection = Collection { path, labels: label.to_owned(), ..Collection::default() };
    let (sender, mut happenings) = mpsc::channel(BACKLOG);
    let telling = async move {
        let mut idle = tokio::time::interval(LINGER);
        loop {
            tokio::select! {
                happening = happenings.recv() => match happening {
                    Some(Happening::Applied(object)) => lock(&shared).tell(object, false),
                    Some(Happening::Deleted(object)) => lock(&shared).tell(object, true),
                    Some(Happening::Watching) => {}
                    Some(Happening::Broken(error)) if !is_refusal(&error) => {}
                    // What happened before a list is not known.
                    Some(Happening::Broken(_) | Happening::Listed(_)) | None => break,
                },
                _ = idle.tick() => if !lock(&shared).goes_on() { break },
            }
        }
        lock(&shared).end();
    };
    tokio::join!(follow(client, collection, Some(version.to_string()), sender), telling);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(name: &str, version: u64) -> Value {
        json!({ "metadata": { "name": name, "resourceVersion": version.to_string(), "managedFields": [{}] } })
    }

    fn versions(receiver: &mut UnboundedReceiver<Happening>) -> Vec<(bool, String)> {
        let mut found = Vec::new();
        while let Ok(happening) = receiver.try_recv() {
            let (is_deleted, object) = match happening {
                Happening::Applied(object) => (false, object),
                Happening::Deleted(object) => (true, object),
                other => panic!("{other:?}"),
            };
            assert!(object["metadata"].get("managedFields").is_none());
            found.push((is_deleted, object::resource_version(&object).unwrap_or_default().to_owned()));
        }
        found
    }

    #[test]
    fn who_joins_late_is_told_what_happened_since_its_write_and_of_its_own_object_alone() {
        let mut shared = Shared::since(10);
        for (name, version) in [("a", 11), ("b", 12), ("a", 13)] {
            shared.tell(object(name, version), false);
        }
        let mut late = shared.join("a", 11).expect("what happened since is kept");
        shared.tell(object("b", 14), false);
        shared.tell(object("a", 15), true);
        assert_eq!(versions(&mut late), [(false, "13".to_owned()), (true, "15".to_owned())]);
        assert!(shared.join("a", 9).is_none(), "nobody knows what happened before the watch began");
    }

    #[test]
    fn a_watch_that_is_behind_a_write_does_not_bring_back_what_was_before_it() {
        let mut shared = Shared::since(10);
        let mut ahead = shared.join("a", 20).expect("newer than the watch");
        shared.tell(object("a", 15), false);
        shared.tell(object("a", 21), false);
        assert_eq!(versions(&mut ahead), [(false, "21".to_owned())]);
    }

    #[test]
    fn what_is_kept_has_a_limit_and_what_is_older_is_no_longer_told() {
        let mut shared = Shared::since(0);
        let large = "x".repeat(KEPT_BYTES / 4);
        for version in 1..=6 {
            let mut tree = object("a", version);
            tree["data"] = json!(large);
            shared.tell(tree, false);
        }
        assert!(shared.kept_bytes <= KEPT_BYTES && shared.kept.len() == 3, "{}", shared.kept.len());
        assert!(shared.join("a", 2).is_none());
        assert_eq!(versions(&mut shared.join("a", 3).expect("kept")).len(), 3);
    }

    #[test]
    fn a_watch_ends_a_while_after_the_last_who_waited() {
        let mut shared = Shared::since(0);
        let waits = shared.join("a", 1);
        assert!(shared.goes_on() && shared.goes_on() && shared.goes_on());
        drop(waits);
        assert!(shared.goes_on());
        let waits = shared.join("b", 1);
        assert!(shared.goes_on() && shared.goes_on());
        drop(waits);
        assert!(shared.goes_on() && !shared.goes_on());
        assert!(shared.join("a", 5).is_none());
    }
}
