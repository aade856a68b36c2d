//! Helm's records on other clusters: a watch of their metadata, one a cluster, identity and namespace, starts the release
//! whose newest record is not the one that its last run saw. What is recorded is listed by the run itself.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, Weak},
};

use kube::runtime::reflector::ObjectRef;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::memory::{Memory, Place, record_of};
use crate::{
    api::HelmRelease,
    cluster::{
        connection::Connection,
        follow::{Collection, Happening, follow},
        object,
        request::{encode, message_of},
    },
    reconcile::watched::{Watched, lock},
};

/// The kind of a record's Secret, with the label that Helm gives it.
const LABELS: &str = "owner=helm";

/// Which records: a cluster's, as an identity sees them, in a namespace.
type Key = (Arc<str>, Option<String>, String);

/// A watch, which ends with the last release that holds it.
pub type Held = Arc<AbortOnDropHandle<()>>;

/// The watches that are held.
#[derive(Default)]
pub struct RemoteRecords(Mutex<HashMap<Key, Weak<AbortOnDropHandle<()>>>>);

impl RemoteRecords {
    /// Returns the watch of the records of a place on another cluster; none for the daemon's own.
    pub fn hold(
        &self,
        connection: &Connection,
        place: &Place,
        memory: &Arc<Memory>,
        releases: &Arc<Watched<HelmRelease>>,
    ) -> Option<Held> {
        let cluster = connection.remote()?;
        let key = (cluster.clone(), connection.user().map(str::to_owned), place.namespace.clone());
        let mut held = lock(&self.0);
        if let Some(known) = held.get(&key).and_then(Weak::upgrade) {
            return Some(known);
        }
        held.retain(|_, watch| watch.strong_count() > 0);
        let path = format!("/api/v1/namespaces/{}/secrets", encode(&place.namespace));
        let collection =
            Collection { path, labels: LABELS.to_owned(), metadata_only: true, cached: true, ..Collection::default() };
        let of = (cluster, place.namespace.clone());
        let attending = attend(connection.client.clone(), collection, of, memory.clone(), releases.clone());
        let watch = Arc::new(AbortOnDropHandle::new(tokio::spawn(attending)));
        held.insert(key, Arc::downgrade(&watch));
        Some(watch)
    }
}

async fn attend(
    client: kube::Client,
    collection: Collection,
    (cluster, namespace): (Arc<str>, String),
    memory: Arc<Memory>,
    releases: Arc<Watched<HelmRelease>>,
) {
    let (sender, mut happenings) = mpsc::channel(16);
    let tell = |record: &Value| {
        if let Some(key) = concerned(record, &cluster, &namespace, &memory) {
            releases.trigger(key);
        }
    };
    let taking = async {
        while let Some(happening) = happenings.recv().await {
            match happening {
                // Also after a watch that was broken: what was missed is in it.
                Happening::Listed(records) => records.iter().for_each(tell),
                Happening::Applied(record) | Happening::Deleted(record) => tell(&record),
                Happening::Watching => {}
                // They are listed at the interval then.
                Happening::Broken(error) => tracing::debug!(error = %message_of(&error), "records cannot be watched"),
            }
        }
    };
    tokio::join!(follow(client, collection, None, sender), taking);
}

/// Returns the release that a record is news for: one that is newer than what its last run saw, or the same in another
/// version.
fn concerned(record: &Value, cluster: &Arc<str>, namespace: &str, memory: &Memory) -> Option<ObjectRef<HelmRelease>> {
    let (release, version) = record_of(object::name(record)?)?;
    let place = Place { cluster: Some(cluster.clone()), namespace: namespace.to_owned(), release };
    let key = memory.recorded_by(&place)?;
    let at = object::resource_version(record)?;
    let is_seen = memory
        .remembered(&key)
        .last
        .is_some_and(|(seen, last)| version < last.version || (version == last.version && seen == at));
    (!is_seen).then_some(key)
}

#[cfg(test)]
mod tests {
    use helm::release::Status;
    use serde_json::json;

    use super::*;
    use crate::reconcile::release::decide::LastRelease;

    #[test]
    fn a_record_is_news_that_is_newer_than_what_the_last_run_saw_or_the_same_written_again() {
        let (memory, cluster): (Memory, Arc<str>) = (Memory::default(), "there".into());
        let key = ObjectRef::new("ui").within("apps");
        let place = Place { cluster: Some(cluster.clone()), namespace: "apps".to_owned(), release: "ui".to_owned() };
        let news = |cluster: &Arc<str>, name: &str, at: &str| {
            let record = json!({ "metadata": { "name": name, "resourceVersion": at } });
            concerned(&record, cluster, "apps", &memory).is_some()
        };
        assert!(!news(&cluster, "sh.helm.release.v1.ui.v2", "7"), "nobody is recorded there");
        memory.recorded_at(&key, place);
        assert!(news(&cluster, "sh.helm.release.v1.ui.v2", "7"), "no run has seen any");
        let last = LastRelease {
            version: 2,
            status: Status::Deployed,
            chart_name: String::new(),
            chart_version: String::new(),
            digest: String::new(),
            last_deployed: None,
            is_ours: true,
            is_rollback: false,
        };
        memory.remember(&key, |known| known.last = Some(("7".to_owned(), last)));
        for (name, at, expected) in [
            ("sh.helm.release.v1.ui.v2", "7", false),
            ("sh.helm.release.v1.ui.v2", "8", true),
            ("sh.helm.release.v1.ui.v3", "9", true),
            ("sh.helm.release.v1.ui.v1", "9", false),
            ("sh.helm.release.v1.api.v3", "9", false),
            ("a-secret", "9", false),
        ] {
            assert_eq!(news(&cluster, name, at), expected, "{name} at {at}");
        }
        assert!(!news(&"elsewhere".into(), "sh.helm.release.v1.ui.v3", "9"));
    }
}
