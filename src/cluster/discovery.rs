//! Which kinds the cluster serves: aggregated discovery in two requests, kept and shared.
//!
//! A known kind is answered from memory for ever, since kinds rarely change their path. An unknown one asks the API
//! server again, though not more often than [`UNKNOWN_INTERVAL`]; a change of any custom resource definition marks what
//! is kept as stale.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{
        Arc, Mutex as SyncMutex, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use kube::{
    Client,
    core::{ApiResource, discovery::v2::APIGroupDiscoveryList},
};
use thiserror::Error;
use tokio::{
    sync::{Mutex, mpsc},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::{
    follow::{Collection, Happening, follow, is_refusal},
    lock,
    object::{join_api_version, split_api_version},
    request::{ServedKind, message_of},
    schemas::Schemas,
};

/// Shortest time between two rounds of discovery that unknown kinds cause.
const UNKNOWN_INTERVAL: Duration = Duration::from_secs(2);
/// Longest wait for a definition that was just established to show up in discovery.
const APPEAR_TIMEOUT: Duration = Duration::from_secs(15);
/// First pause between two looks for it, doubled up to a second.
const APPEAR_PAUSE: Duration = Duration::from_millis(25);
/// How long capabilities are good for where the definitions cannot be watched.
const UNWATCHED_AGE: Duration = Duration::from_mins(1);

/// Why a kind could not be told.
#[derive(Debug, Error)]
pub enum DiscoveryError {
    /// The API server did not say what it serves.
    #[error("discovery failed")]
    Fetch(#[source] kube::Error),
    /// The API server does not serve the kind.
    #[error("no matches for kind \"{kind}\" in version \"{api_version}\"")]
    UnknownKind {
        /// `apiVersion` of the object.
        api_version: String,
        /// `kind` of the object.
        kind: String,
    },
}

/// What Helm's `.Capabilities` needs of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterCapabilities {
    /// `group/version` and `group/version/Kind` of all that is served, sorted.
    pub api_versions: Arc<[String]>,
    /// `v1.33.1` as the server reports it.
    pub git_version: String,
    /// `1` of `v1.33.1`.
    pub major: String,
    /// `33` of `v1.33.1`; some providers write `33+`.
    pub minor: String,
}

#[derive(Default, PartialEq)]
struct Table {
    kinds: HashMap<(String, String), Arc<ServedKind>>,
    preferred: HashMap<(String, String), Arc<ServedKind>>,
    incomplete: BTreeSet<String>,
    api_versions: Arc<[String]>,
}

#[derive(Default)]
struct State {
    table: Option<Arc<Table>>,
    fetched: Option<Instant>,
    /// The cluster's epoch that the table is of.
    epoch: u64,
    version: Option<(String, String, String)>,
}

/// What all identities know together of one cluster: whether its definitions changed, and the tables, of which those
/// that are alike are kept once.
#[derive(Default)]
struct Cluster {
    epoch: AtomicU64,
    watched: AtomicBool,
    tables: SyncMutex<Vec<Weak<Table>>>,
    schemas: Schemas,
}

impl Cluster {
    fn shared(&self, table: Table) -> Arc<Table> {
        let mut tables = lock(&self.tables);
        if let Some(known) = tables.iter().filter_map(Weak::upgrade).find(|known| **known == table) {
            return known;
        }
        tables.retain(|known| known.strong_count() > 0);
        let table = Arc::new(table);
        tables.push(Arc::downgrade(&table));
        table
    }
}

/// Kinds of one cluster as one identity is told them, shared by all who work on it as that identity.
pub struct Discovery {
    client: Client,
    state: Mutex<State>,
    cluster: Arc<Cluster>,
}

impl Discovery {
    /// Makes an empty cache; the first question fills it.
    pub fn new(client: Client) -> Self {
        Self { client, state: Mutex::new(State::default()), cluster: Arc::default() }
    }

    /// Makes an empty cache of the same cluster for another identity. A change of definitions that one hears of is known
    /// to all.
    #[must_use]
    pub fn seen_by(&self, client: Client) -> Self {
        Self { client, state: Mutex::new(State::default()), cluster: self.cluster.clone() }
    }

    /// Returns the schemas of what the cluster serves.
    pub fn schemas(&self) -> &Schemas {
        &self.cluster.schemas
    }

    /// Marks what is kept as out of date: the next unknown kind, or the next question for capabilities, asks anew.
    pub fn invalidate(&self) {
        self.cluster.epoch.fetch_add(1, Ordering::AcqRel);
    }

    fn is_stale(&self, state: &State) -> bool {
        state.epoch != self.cluster.epoch.load(Ordering::Acquire)
    }

    /// Watches the custom resource definitions and marks what is kept as stale with each change, until cancelled.
    pub async fn follow_definitions(&self, cancel: CancellationToken) {
        let collection = Collection {
            path: "/apis/apiextensions.k8s.io/v1/customresourcedefinitions".to_owned(),
            metadata_only: true,
            cached: true,
            ..Collection::default()
        };
        let (sender, mut happenings) = mpsc::channel(1);
        let following = follow(self.client.clone(), collection, None, sender);
        let taking = async {
            while let Some(happening) = happenings.recv().await {
                match happening {
                    Happening::Broken(error) if is_refusal(&error) => {
                        self.cluster.watched.store(false, Ordering::Release);
                        tracing::warn!(error = %message_of(&error), "custom resource definitions cannot be watched");
                    }
                    Happening::Broken(_) | Happening::Watching => {}
                    Happening::Listed(_) => {
                        self.invalidate();
                        self.cluster.watched.store(true, Ordering::Release);
                    }
                    Happening::Applied(_) | Happening::Deleted(_) => self.invalidate(),
                }
            }
        };
        tokio::select! {
            () = cancel.cancelled() => {}
            ((), ()) = async { tokio::join!(following, taking) } => {}
        }
    }

    /// Resolves an object's apiVersion and kind.
    pub async fn resolve(&self, api_version: &str, kind: &str) -> Result<Arc<ServedKind>, DiscoveryError> {
        let key = (api_version.to_owned(), kind.to_owned());
        self.find(|table| table.kinds.get(&key).cloned()).await?.ok_or_else(|| unknown(api_version, kind))
    }

    /// Resolves a group and kind in the version that is given if it is served, else in the one the server prefers.
    pub async fn resolve_any_version(
        &self,
        group: &str,
        version: &str,
        kind: &str,
    ) -> Result<Arc<ServedKind>, DiscoveryError> {
        let api_version = join_api_version(group, version);
        let exact = (api_version.clone(), kind.to_owned());
        let any = (group.to_owned(), kind.to_owned());
        self.find(|table| table.kinds.get(&exact).or_else(|| table.preferred.get(&any)).cloned())
            .await?
            .ok_or_else(|| unknown(&api_version, kind))
    }

    /// Waits until a kind is served whose definition was established a moment ago: the API server publishes it a
    /// little later, and there is nothing to watch for that.
    pub async fn appear(&self, api_version: &str, kind: &str) -> Result<Arc<ServedKind>, DiscoveryError> {
        let deadline = Instant::now() + APPEAR_TIMEOUT;
        let mut pause = APPEAR_PAUSE;
        loop {
            match self.resolve(api_version, kind).await {
                Err(DiscoveryError::UnknownKind { .. }) if Instant::now() < deadline => {
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_secs(1));
                    self.invalidate();
                }
                other => return other,
            }
        }
    }

    /// Tells whether the API server knew all kinds of a group when it was last asked, so that one that is missing is
    /// really not served. An aggregated API server that does not answer makes its group incomplete.
    pub async fn is_complete(&self, group: &str) -> bool {
        let state = self.state.lock().await;
        state.table.as_ref().is_some_and(|table| !table.incomplete.contains(group))
    }

    /// Returns the API versions and the server's version for Helm's `.Capabilities`.
    pub async fn capabilities(&self) -> Result<ClusterCapabilities, DiscoveryError> {
        let mut state = self.state.lock().await;
        let old = !self.cluster.watched.load(Ordering::Acquire)
            && state.fetched.is_some_and(|at| at.elapsed() >= UNWATCHED_AGE);
        let stale = old || self.is_stale(&state);
        if stale || state.table.is_none() {
            self.fetch(&mut state).await?;
        }
        if stale || state.version.is_none() {
            let info = self.client.apiserver_version().await.map_err(DiscoveryError::Fetch)?;
            state.version = Some((info.git_version, info.major, info.minor));
        }
        let api_versions = state.table.as_ref().map(|table| table.api_versions.clone()).unwrap_or_default();
        let (git_version, major, minor) = state.version.clone().unwrap_or_default();
        Ok(ClusterCapabilities { api_versions, git_version, major, minor })
    }

    async fn find(
        &self,
        pick: impl Fn(&Table) -> Option<Arc<ServedKind>>,
    ) -> Result<Option<Arc<ServedKind>>, DiscoveryError> {
        let mut state = self.state.lock().await;
        if let Some(found) = state.table.as_deref().and_then(&pick) {
            return Ok(Some(found));
        }
        let recent = state.fetched.is_some_and(|at| at.elapsed() < UNKNOWN_INTERVAL);
        if recent && !self.is_stale(&state) {
            return Ok(None);
        }
        self.fetch(&mut state).await?;
        Ok(state.table.as_deref().and_then(pick))
    }

    async fn fetch(&self, state: &mut State) -> Result<(), DiscoveryError> {
        // Read before asking, so that a definition that changes meanwhile is not missed.
        let epoch = self.cluster.epoch.load(Ordering::Acquire);
        let (core, groups) =
            tokio::try_join!(self.client.list_core_api_versions_aggregated(), self.client.list_api_groups_aggregated())
                .map_err(DiscoveryError::Fetch)?;
        state.table = Some(self.cluster.shared(Table::read(core, groups)));
        state.fetched = Some(Instant::now());
        state.epoch = epoch;
        Ok(())
    }
}

fn unknown(api_version: &str, kind: &str) -> DiscoveryError {
    DiscoveryError::UnknownKind { api_version: api_version.to_owned(), kind: kind.to_owned() }
}

impl Table {
    fn read(core: APIGroupDiscoveryList, groups: APIGroupDiscoveryList) -> Self {
        let mut table = Self::default();
        let mut api_versions = BTreeSet::new();
        for group in core.items.into_iter().chain(groups.items) {
            let name = group.metadata.and_then(|metadata| metadata.name).unwrap_or_default();
            for version in group.versions {
                if version.freshness.as_deref() == Some("Stale") {
                    table.incomplete.insert(name.clone());
                }
                let api_version = join_api_version(&name, version.version.as_deref().unwrap_or_default());
                api_versions.insert(api_version.clone());
                for resource in version.resources {
                    let kinds = resource.subresources.iter().map(|sub| &sub.response_kind);
                    for kind in kinds.chain([&resource.response_kind]).flatten().filter_map(|gvk| gvk.kind.as_deref()) {
                        api_versions.insert(format!("{api_version}/{kind}"));
                    }
                    let namespaced = resource.scope.as_deref() == Some("Namespaced");
                    let kind = resource.response_kind.and_then(|gvk| gvk.kind).unwrap_or_default();
                    let plural = resource.resource.unwrap_or_default();
                    table.add(&api_version, kind, plural, namespaced, resource.verbs);
                }
            }
        }
        table.api_versions = api_versions.into_iter().collect();
        table
    }

    fn add(&mut self, api_version: &str, kind: String, plural: String, namespaced: bool, verbs: Vec<String>) {
        let (group, version) = split_api_version(api_version);
        let served = Arc::new(ServedKind {
            api: ApiResource {
                group: group.to_owned(),
                version: version.to_owned(),
                api_version: api_version.to_owned(),
                kind: kind.clone(),
                plural,
            },
            namespaced,
            verbs,
        });
        // Versions come in the server's order of preference, so the first one stays.
        self.preferred.entry((group.to_owned(), kind.clone())).or_insert_with(|| served.clone());
        self.kinds.entry((api_version.to_owned(), kind)).or_insert(served);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn table() -> Table {
        let core = json!({"items": [{"versions": [{"version": "v1", "resources": [
            {"resource": "pods", "scope": "Namespaced", "responseKind": {"group": "", "version": "v1", "kind": "Pod"},
             "verbs": ["get", "list", "watch"],
             "subresources": [{"subresource": "eviction", "responseKind": {"group": "policy", "version": "v1", "kind": "Eviction"}}]},
            {"resource": "namespaces", "scope": "Cluster", "responseKind": {"kind": "Namespace"}, "verbs": ["get"]}]}]}]});
        let groups = json!({"items": [{"metadata": {"name": "example.com"}, "versions": [
            {"version": "v2", "resources": [{"resource": "things", "scope": "Namespaced", "responseKind": {"kind": "Thing"}, "verbs": []}]},
            {"version": "v1", "resources": [{"resource": "things", "scope": "Namespaced", "responseKind": {"kind": "Thing"}, "verbs": []}]}]}]});
        Table::read(serde_json::from_value(core).expect("core"), serde_json::from_value(groups).expect("groups"))
    }

    #[test]
    fn kinds_are_found_by_version_and_by_the_servers_preference() {
        let table = table();
        let pod = &table.kinds[&("v1".to_owned(), "Pod".to_owned())];
        assert_eq!((pod.api.plural.as_str(), pod.namespaced, pod.watchable()), ("pods", true, true));
        let namespace = &table.kinds[&("v1".to_owned(), "Namespace".to_owned())];
        assert!(!namespace.namespaced && !namespace.watchable());
        assert_eq!(table.preferred[&("example.com".to_owned(), "Thing".to_owned())].api.version, "v2");
        assert_eq!(table.kinds[&("example.com/v1".to_owned(), "Thing".to_owned())].api.api_version, "example.com/v1");
    }

    #[test]
    fn api_versions_hold_versions_and_kinds_as_helm_lists_them() {
        let expected = [
            "example.com/v1",
            "example.com/v1/Thing",
            "example.com/v2",
            "example.com/v2/Thing",
            "v1",
            "v1/Eviction",
            "v1/Namespace",
            "v1/Pod",
        ];
        assert_eq!(table().api_versions.iter().map(String::as_str).collect::<Vec<_>>(), expected);
    }
}
