//! The controllers, the watches that feed them, and who hears of whose changes.

use std::{ffi::OsString, future::Future, path::PathBuf, sync::Arc};

use kube::{Client, ResourceExt};
use tokio::{net::TcpListener, sync::watch, task::JoinSet};
use tokio_util::sync::CancellationToken;

use super::Config;
use crate::{
    api::{
        Bucket, GitRepository, HelmChart, HelmRelease, HelmRepository, Kustomization, OCIRepository,
        helm_release::ValuesReferenceKind,
    },
    cluster::{
        accounts::ServiceAccounts,
        connection::{Connection, Connections},
        events::EventRecorder,
        kubeconfig::Allowed,
        notification::{self, Poster},
        watch::OwnedObjects,
    },
    metrics::Metrics,
    reconcile::{
        environment::{self, Environments, triggers as environment_triggers},
        release::{
            Charts, Releases,
            drift::{self as release_drift, Drifts},
            memory::{Memory, Seen},
            remote_records::RemoteRecords,
            triggers as release_triggers,
        },
        shell::{self, Reconciler, Shell},
        source::{
            Sources,
            bucket::Buckets,
            git_repository::GitRepositories,
            gone,
            helm_chart::{self, HelmCharts},
            helm_repository::{HelmRepositories, Indexes},
            oci_repository::OciRepositories,
            secrets::Secrets,
        },
        watched::{Scope, Watchable, Watched},
    },
    source::{git::Git, server, store::ArtifactStore},
};

/// Why the controllers cannot run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot make a folder for artifacts")]
    Folder(#[source] std::io::Error),
    #[error("cannot open the artifact store {path}")]
    Store {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("cannot serve artifacts at {address}")]
    Serve {
        address: std::net::SocketAddr,
        #[source]
        source: std::io::Error,
    },
    #[error("cannot find this program's own path")]
    Program(#[source] std::io::Error),
    #[error("cannot post events")]
    Notification(#[source] notification::Error),
}

/// Other kinds than the daemon's own, of which there may be many objects, are listed anew this much less often.
const OTHERS: u32 = 6;

/// The kinds that are watched.
#[derive(Clone, Default)]
struct Kinds {
    git_repositories: Arc<Watched<GitRepository>>,
    helm_repositories: Arc<Watched<HelmRepository>>,
    helm_charts: Arc<Watched<HelmChart>>,
    oci_repositories: Arc<Watched<OCIRepository>>,
    buckets: Arc<Watched<Bucket>>,
    helm_releases: Arc<Watched<HelmRelease>>,
    kustomizations: Arc<Watched<Kustomization>>,
}

/// Runs all controllers until shutdown; running actions finish first, within the graceful shutdown timeout.
pub async fn run(
    config: &Config,
    client: Client,
    metrics: Arc<Metrics>,
    ready: watch::Sender<bool>,
    shutdown: CancellationToken,
) -> Result<(), Error> {
    let (store, _folder) = open_store(config)?;
    let listener = TcpListener::bind(config.storage_addr)
        .await
        .map_err(|source| Error::Serve { address: config.storage_addr, source })?;
    // Watches and servers go on while actions finish.
    let end = CancellationToken::new();
    let scope = Scope {
        namespace: (!config.watch_all_namespaces).then(|| config.namespace.clone()),
        labels: config.watch_label_selector.clone(),
        relist: Some(config.relist),
    };
    let kinds = Kinds::default();
    let shell = Shell {
        client: client.clone(),
        metrics: metrics.clone(),
        concurrent: config.concurrent,
        retry: config.retry,
        jitter_percentage: config.jitter_percentage,
        shutdown: shutdown.clone(),
    };
    let mut background = JoinSet::new();
    background.spawn(discard(server::serve(listener, store.clone(), end.clone())));
    let mut controllers = JoinSet::new();
    start(config, &kinds, &shell, store, &scope, &end, &mut background, &mut controllers)?;
    watch_kinds(&kinds, &client, &scope, &end, &mut background);
    forget_metrics(&kinds, &metrics);
    let in_sync = kinds.clone();
    background.spawn(async move {
        in_sync.ready().await;
        ready.send_replace(true);
        tracing::info!("watches are in sync");
    });

    shutdown.cancelled().await;
    let finish = async { while controllers.join_next().await.is_some() {} };
    if tokio::time::timeout(config.graceful_shutdown_timeout, finish).await.is_err() {
        tracing::warn!("running actions were cut off by the graceful shutdown timeout");
    }
    end.cancel();
    Ok(())
}

async fn discard<T>(future: impl Future<Output = T>) {
    future.await;
}

/// Opens the artifact store; without `--storage-path` in a folder of its own, which goes with the returned guard.
fn open_store(config: &Config) -> Result<(ArtifactStore, Option<tempfile::TempDir>), Error> {
    let (path, guard) = if let Some(path) = &config.storage_path {
        (path.clone(), None)
    } else {
        let folder = tempfile::Builder::new().prefix("bowline-").tempdir().map_err(Error::Folder)?;
        (folder.path().to_owned(), Some(folder))
    };
    let advertised = config.storage_adv_addr.clone().unwrap_or_else(|| {
        let address = config.storage_addr;
        if address.ip().is_unspecified() { format!("localhost:{}", address.port()) } else { address.to_string() }
    });
    let store = ArtifactStore::open(&path, &advertised).map_err(|source| Error::Store { path, source })?;
    Ok((store, guard))
}

#[expect(clippy::too_many_arguments, reason = "the composition root hands everything over in one place")]
fn start(
    config: &Config,
    kinds: &Kinds,
    shell: &Shell,
    store: ArtifactStore,
    scope: &Scope,
    end: &CancellationToken,
    background: &mut JoinSet<()>,
    controllers: &mut JoinSet<()>,
) -> Result<(), Error> {
    let client = shell.client.clone();
    let mut events = EventRecorder::start(client.clone(), "helm-controller", config.instance.clone(), end.clone());
    if let Some(address) = &config.events_addr {
        let poster = Poster::new(address.clone(), config.instance.clone()).map_err(Error::Notification)?;
        events = events.posting(poster, end.clone());
    }
    let own = Connection::new(client.clone());
    let discovery = own.discovery.clone();
    let allowed = Allowed { insecure_tls: config.insecure_kubeconfig_tls };
    let connections = Arc::new(Connections::new(own, allowed, config.concurrent));
    let accounts = Arc::new(accounts(&client, scope, kinds, config.default_service_account.clone()));
    let memory = Arc::new(Memory::default());
    let seen = memory.clone();
    let secrets = Arc::new(Secrets::new(
        client.clone(),
        Box::new(move |namespace, name| {
            match seen.config(&(ValuesReferenceKind::Secret, namespace.to_owned(), name.to_owned())) {
                Seen::Version(version) => Some(version),
                Seen::Absent | Seen::Unknown => None,
            }
        }),
    ));
    let kept = store.clone();
    let sources = Sources { store: store.clone(), secrets, events: events.reporting_as("source-controller") };
    let git = Git::new(running_program().map_err(Error::Program)?, git_environment());
    let git_repositories = GitRepositories { sources: sources.clone(), git };
    let indexes = Arc::new(Indexes::default());
    let helm_repositories = HelmRepositories { sources: sources.clone(), indexes: indexes.clone() };
    let oci_repositories = OciRepositories { sources: sources.clone() };
    let buckets = Buckets { sources: sources.clone() };
    let helm_charts = HelmCharts {
        sources,
        indexes,
        git_repositories: kinds.git_repositories.clone(),
        helm_repositories: kinds.helm_repositories.clone(),
    };
    let ownership = environment::ownership(&config.override_managers);
    let folded = ownership.folded.clone();
    let (owned, drifts) = OwnedObjects::new(client.clone(), ownership, config.relist * OTHERS);
    let source_changes = Arc::new(environment_triggers::SourceChanges::default());
    let environments = Environments {
        connections: connections.clone(),
        accounts: accounts.clone(),
        default_service_account: config.default_service_account.clone(),
        folded,
        watched: kinds.kustomizations.clone(),
        git_repositories: kinds.git_repositories.clone(),
        store: store.clone(),
        owned: Arc::new(owned),
        sources: source_changes.clone(),
        events: events.reporting_as("kustomize-controller"),
        no_cross_namespace_refs: config.no_cross_namespace_refs,
        memory: environment::memory::Memory::default(),
    };
    let (owned_by_releases, release_drifts) =
        OwnedObjects::new(client.clone(), release_drift::ownership(&config.override_managers), config.relist * OTHERS);
    let release_drift = Arc::new(Drifts::new(owned_by_releases, &config.override_managers));
    let releases = Releases {
        daemon: client.clone(),
        connections,
        accounts,
        default_service_account: config.default_service_account.clone(),
        default_kubeconfig_service_account: config.default_kubeconfig_service_account.clone(),
        watched: kinds.helm_releases.clone(),
        charts_watched: kinds.helm_charts.clone(),
        oci_repositories: kinds.oci_repositories.clone(),
        charts: Charts::new(store, kinds.helm_charts.clone(), kinds.oci_repositories.clone()),
        memory: memory.clone(),
        remote_records: RemoteRecords::default(),
        drifts: release_drift.clone(),
        events,
        no_cross_namespace_refs: config.no_cross_namespace_refs,
    };
    connect(kinds, &source_changes, &memory);
    let (definitions, until) = (discovery, end.clone());
    background.spawn(async move { definitions.follow_definitions(until).await });
    background.spawn(environment_triggers::on_drift(kinds.kustomizations.clone(), drifts));
    background.spawn(release_triggers::on_drift(kinds.helm_releases.clone(), release_drifts));
    let of_turns = kinds.helm_releases.clone();
    background.spawn(async move { release_drift.take_turns(of_turns).await });
    let (watched, namespace, end) = (kinds.helm_releases.clone(), scope.namespace.clone(), end.clone());
    let relist = scope.relist.map(|own| own * OTHERS);
    background.spawn(async move {
        memory.watch(&client, (namespace.as_deref(), relist), |key| watched.trigger(key), end).await;
    });
    background.spawn(gone::follow(&kinds.helm_charts, kept));
    spawn(controllers, git_repositories, &kinds.git_repositories, shell);
    spawn(controllers, helm_repositories, &kinds.helm_repositories, shell);
    spawn(controllers, helm_charts, &kinds.helm_charts, shell);
    spawn(controllers, oci_repositories, &kinds.oci_repositories, shell);
    spawn(controllers, buckets, &kinds.buckets, shell);
    spawn(controllers, environments, &kinds.kustomizations, shell);
    spawn(controllers, releases, &kinds.helm_releases, shell);
    Ok(())
}

/// Which `ServiceAccounts` there are; one that is made starts what is applied as it.
fn accounts(client: &Client, scope: &Scope, kinds: &Kinds, default: Option<String>) -> ServiceAccounts {
    let (releases, kustomizations) = (kinds.helm_releases.clone(), kinds.kustomizations.clone());
    ServiceAccounts::new(client.clone(), scope.namespace.clone(), move |account| {
        release_triggers::on_account(&releases, account, default.as_deref());
        environment_triggers::on_account(&kustomizations, account, default.as_deref());
    })
}

fn spawn<R: Reconciler>(controllers: &mut JoinSet<()>, reconciler: R, watched: &Arc<Watched<R::Kind>>, shell: &Shell) {
    controllers.spawn(shell::run(Arc::new(reconciler), watched.clone(), shell.clone()));
}

/// The path of the program that runs: where the system tells, the very file, though another has taken its place since.
fn running_program() -> std::io::Result<PathBuf> {
    let running = PathBuf::from("/proc/self/exe");
    if running.exists() { Ok(running) } else { std::env::current_exe() }
}

/// The variables of the environment that a Git child process is given: proxies and certificates.
#[allow(clippy::disallowed_methods, reason = "they are handed on, not read")]
fn git_environment() -> Vec<(OsString, OsString)> {
    crate::source::git::PASSED_ENVIRONMENT
        .iter()
        .filter_map(|name| Some((OsString::from(name), std::env::var_os(name)?)))
        .collect()
}

/// Says who hears of whose changes.
fn connect(kinds: &Kinds, source_changes: &Arc<environment_triggers::SourceChanges>, memory: &Arc<Memory>) {
    let (kustomizations, changes) = (kinds.kustomizations.clone(), source_changes.clone());
    kinds.git_repositories.listen(move |change| {
        environment_triggers::on_source_change(&kustomizations, &changes, change);
    });
    helm_chart::follow_sources(&kinds.git_repositories, &kinds.helm_repositories, &kinds.helm_charts);
    let releases = kinds.helm_releases.clone();
    kinds.helm_charts.listen(move |change| release_triggers::on_chart_change(&releases, change));
    let releases = kinds.helm_releases.clone();
    kinds.oci_repositories.listen(move |change| release_triggers::on_chart_change(&releases, change));
    let (releases, memory) = (Arc::downgrade(&kinds.helm_releases), memory.clone());
    kinds.helm_releases.listen(move |change| {
        if let Some(releases) = releases.upgrade() {
            release_triggers::on_dependency_change(&releases, &memory, change);
        }
    });
    let kustomizations = Arc::downgrade(&kinds.kustomizations);
    kinds.kustomizations.listen(move |change| {
        if let Some(kustomizations) = kustomizations.upgrade() {
            environment_triggers::on_dependency_change(&kustomizations, change);
        }
    });
}

fn watch_kinds(kinds: &Kinds, client: &Client, scope: &Scope, end: &CancellationToken, background: &mut JoinSet<()>) {
    fn one<K: Watchable>(
        watched: &Arc<Watched<K>>,
        client: &Client,
        scope: Scope,
        end: &CancellationToken,
        background: &mut JoinSet<()>,
    ) where
        kube::runtime::reflector::ObjectRef<K>: Eq + std::hash::Hash,
    {
        let (watched, client, end) = (watched.clone(), client.clone(), end.clone());
        background.spawn(async move { watched.watch(client, &scope, end).await });
    }
    one(&kinds.git_repositories, client, scope.clone(), end, background);
    one(&kinds.helm_repositories, client, scope.clone(), end, background);
    one(&kinds.oci_repositories, client, scope.clone(), end, background);
    one(&kinds.buckets, client, scope.clone(), end, background);
    one(&kinds.kustomizations, client, scope.clone(), end, background);
    one(&kinds.helm_releases, client, scope.clone(), end, background);
    // A HelmChart that is made for a release does not carry the labels of a selector.
    one(&kinds.helm_charts, client, Scope { labels: None, ..scope.clone() }, end, background);
}

/// Takes the series of objects that are gone away.
fn forget_metrics(kinds: &Kinds, metrics: &Arc<Metrics>) {
    fn one<K: Watchable>(watched: &Watched<K>, metrics: &Arc<Metrics>)
    where
        kube::runtime::reflector::ObjectRef<K>: Eq + std::hash::Hash,
    {
        let metrics = metrics.clone();
        watched.listen(move |change| {
            if let (Some(gone), None) = (&change.before, &change.after) {
                metrics.forget(&K::kind(&()), &gone.namespace().unwrap_or_default(), &gone.name_any());
            }
        });
    }
    one(&kinds.git_repositories, metrics);
    one(&kinds.helm_repositories, metrics);
    one(&kinds.helm_charts, metrics);
    one(&kinds.oci_repositories, metrics);
    one(&kinds.buckets, metrics);
    one(&kinds.helm_releases, metrics);
    one(&kinds.kustomizations, metrics);
}

impl Kinds {
    async fn ready(&self) {
        self.git_repositories.ready().await;
        self.helm_repositories.ready().await;
        self.helm_charts.ready().await;
        self.oci_repositories.ready().await;
        self.buckets.ready().await;
        self.helm_releases.ready().await;
        self.kustomizations.ready().await;
    }
}
