//! How those who wait hear of their objects: by a watch that others share, or by one of their own.

use std::{sync::Arc, time::Duration};

use kube::Client;
use serde_json::Value;
use tokio::{
    sync::mpsc::{self, UnboundedReceiver},
    task::JoinSet,
};

use super::WaitTarget;
use crate::cluster::{
    apply::Target,
    follow::{Collection, Due, Happening, Relist, follow, list_once},
    object::{self, ObjectId},
    shared_watch::SharedWatches,
};

/// When what is waited for is listed anew, should its watch have lost what it waits for.
const RELIST: Relist = Relist { first: Duration::from_secs(20), longest: Duration::from_mins(2) };
/// The watches of objects that carry a label, shared by all who wait for some of them.
pub struct Sharing {
    /// Those of the identity that waits.
    pub watches: Arc<SharedWatches>,
    /// The label's key.
    pub label: &'static str,
}

/// An object that is watched.
pub(super) struct Watched {
    pub(super) id: Arc<ObjectId>,
    /// Path of its collection.
    path: String,
    /// What happened before this version is known.
    pub(super) from: Option<String>,
    /// As it was written, where that is known.
    labels: Option<Value>,
}

impl Watched {
    pub(super) fn new(target: &Target, from: Option<String>, labels: Option<Value>) -> Self {
        let id = &target.id;
        Self { id: Arc::new(id.clone()), path: target.kind.collection(&id.namespace), from, labels }
    }

    /// A finished pod goes at once, though what its deletion returns says that it is on its way: its version is then that
    /// of the deletion itself, of which a watch from there on tells nothing.
    pub(super) fn until_gone(wait: &WaitTarget) -> Self {
        let may_be_gone = wait.known.as_ref().is_none_or(|tree| {
            let metadata = &tree["metadata"];
            metadata["deletionGracePeriodSeconds"] == 0 && metadata["finalizers"].as_array().is_none_or(Vec::is_empty)
        });
        let version = wait.known.as_ref().and_then(object::resource_version).filter(|_| !may_be_gone);
        Self::new(&wait.target, version.map(str::to_owned), None)
    }

    /// Follows it by a watch that others share, if that one would tell of it.
    fn join(&self, sharing: &Sharing) -> Option<UnboundedReceiver<Happening>> {
        self.labels.as_ref()?.get(sharing.label)?;
        let version = self.from.as_ref()?.parse().ok()?;
        sharing.watches.follow(self.path.clone(), sharing.label, &self.id.name, version)
    }

    pub(super) fn alone(&self) -> Collection {
        let fields = format!("metadata.name={}", self.id.name);
        Collection { path: self.path.clone(), fields, relist: Some(RELIST), ..Collection::default() }
    }

    /// Follows it by a watch of its own.
    async fn follow_alone(self, client: Client, sender: Reports) {
        let (inner, mut happenings) = mpsc::channel(1);
        let following = follow(client, self.alone(), self.from, inner);
        let telling = async {
            while let Some(happening) = happenings.recv().await {
                if sender.send((self.id.clone(), happening)).await.is_err() {
                    // Closes the other channel too, which ends the following.
                    return happenings.close();
                }
            }
        };
        tokio::join!(following, telling);
    }

    /// Follows it by a watch that others share, while that one can tell.
    async fn follow_shared(&self, client: &Client, mut told: UnboundedReceiver<Happening>, sender: &Reports) {
        let mut due = Due::new(Some(RELIST));
        loop {
            let happening = tokio::select! {
                happening = told.recv() => happening,
                () = due.come() => {
                    due.put_off();
                    list_once(client, &self.alone()).await
                }
            };
            let Some(happening) = happening else { return };
            if sender.send((self.id.clone(), happening)).await.is_err() {
                return;
            }
        }
    }
}

/// Where it is told what happened to which object.
pub(super) type Reports = mpsc::Sender<(Arc<ObjectId>, Happening)>;

/// Watches objects until the set is dropped.
pub(super) fn watch_all(
    client: &Client,
    all: Vec<Watched>,
    sharing: Option<&Sharing>,
    sender: &Reports,
) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for one in all {
        let told = sharing.and_then(|sharing| one.join(sharing));
        let (client, sender) = (client.clone(), sender.clone());
        tasks.spawn(async move {
            if let Some(told) = told {
                one.follow_shared(&client, told, &sender).await;
            }
            one.follow_alone(client, sender).await;
        });
    }
    tasks
}
