//! The composition root: client, stores, controllers, lease, admin servers, shutdown.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use kube::{Client, config::KubeConfigOptions};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

mod controllers;
mod setup;

use crate::{admin, cluster::lease, metrics::Metrics, reconcile::backoff::RetryDelay, telemetry::LogLevel};

/// Threads that take turns with all that waits for the network; renders have threads of their own.
const MAX_WORKERS: usize = 4;

/// What the daemon is told by its flags.
#[derive(Clone, Debug)]
pub struct Config {
    pub environment: Option<Environment>,
    /// The daemon's own namespace.
    pub namespace: String,
    /// The host's or pod's name, which events carry.
    pub instance: String,
    pub kubeconfig: Option<PathBuf>,
    pub concurrent: usize,
    pub watch_all_namespaces: bool,
    pub watch_label_selector: Option<String>,
    pub install_crds: bool,
    pub no_cross_namespace_refs: bool,
    pub default_service_account: Option<String>,
    pub default_kubeconfig_service_account: Option<String>,
    pub override_managers: Vec<String>,
    pub insecure_kubeconfig_tls: bool,
    pub storage_path: Option<PathBuf>,
    pub storage_addr: SocketAddr,
    pub storage_adv_addr: Option<String>,
    pub metrics_addr: SocketAddr,
    pub health_addr: SocketAddr,
    /// Where events are posted, beside the cluster: a notification-controller.
    pub events_addr: Option<url::Url>,
    pub leader_election: Option<LeaderElection>,
    pub retry: RetryDelay,
    pub jitter_percentage: u8,
    /// After how long the daemon's own kinds are listed anew, should a watch have lost something.
    pub relist: Duration,
    pub graceful_shutdown_timeout: Duration,
}

/// A folder of a Git repository that the daemon writes a GitRepository and a Kustomization for.
#[derive(Clone, Debug)]
pub struct Environment {
    pub url: String,
    pub branch: String,
    pub name: String,
    /// Name of the Secret with the repository's credentials.
    pub secret: Option<String>,
    pub interval: Duration,
}

/// Work only while holding a Lease.
#[derive(Clone, Copy, Debug)]
pub struct LeaderElection {
    pub duration: Duration,
}

/// Why the daemon cannot start or go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot start the runtime")]
    Runtime(#[source] std::io::Error),
    #[error("cannot listen for signals")]
    Signals(#[source] std::io::Error),
    #[error("cannot read the kubeconfig {path}")]
    Kubeconfig {
        path: PathBuf,
        #[source]
        source: kube::config::KubeconfigError,
    },
    #[error("no cluster to talk to: give --kubeconfig, or run in a pod with a service account")]
    NoCluster(#[source] kube::config::InferConfigError),
    #[error("cannot make a client for the cluster")]
    Client(#[source] kube::Error),
    #[error(transparent)]
    Serve(#[from] admin::ServeError),
    #[error(transparent)]
    Lease(#[from] lease::Error),
    #[error("the lease was lost to another process; a restart joins the election anew")]
    LeaseLost,
    #[error(transparent)]
    Setup(#[from] setup::Error),
    #[error(transparent)]
    Controllers(#[from] controllers::Error),
    #[error("a part of the daemon ended by an internal error; it is in the log")]
    Part(#[source] tokio::task::JoinError),
}

/// Runs the daemon until SIGTERM or SIGINT; running actions are given the graceful shutdown timeout to finish.
pub fn run(config: Config, level: LogLevel) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        // Each thread has a heap of its own, and a large node many cores.
        .worker_threads(std::thread::available_parallelism().map_or(1, |cores| cores.get().min(MAX_WORKERS)))
        .enable_all()
        .build()
        .map_err(Error::Runtime)?;
    let result = runtime.block_on(serve(config, level));
    // A blocked read of a dead server must not keep the process.
    runtime.shutdown_timeout(Duration::from_secs(1));
    result
}

async fn serve(config: Config, level: LogLevel) -> Result<(), Error> {
    let shutdown = CancellationToken::new();
    on_signals(shutdown.clone())?;
    let metrics = Arc::new(Metrics::default());
    let (ready, is_ready) = watch::channel(false);
    // The admin servers outlive the work, so that a probe is answered while actions finish.
    let admin_end = CancellationToken::new();
    let mut admin_servers = JoinSet::new();
    admin_servers.spawn(admin::health(config.health_addr, is_ready, admin_end.clone()));
    admin_servers.spawn(admin::metrics(config.metrics_addr, metrics.clone(), level, admin_end.clone()));

    let client = client(&config).await?;
    let work = work(&config, client, metrics, ready, shutdown.clone());
    let mut work = std::pin::pin!(work);
    let result = tokio::select! {
        result = &mut work => result,
        Some(ended) = admin_servers.join_next() => match ended.map_err(Error::Part)? {
            Ok(()) => (&mut work).await,
            Err(error) => Err(error.into()),
        },
    };
    admin_end.cancel();
    tracing::info!("ended");
    result
}

/// Everything that needs the cluster, in order: namespace and CRDs, leadership, the environment's objects, controllers.
async fn work(
    config: &Config,
    client: Client,
    metrics: Arc<Metrics>,
    ready: watch::Sender<bool>,
    shutdown: CancellationToken,
) -> Result<(), Error> {
    let cancelled = shutdown.clone();
    let prepared = async {
        setup::namespace(&client, &config.namespace).await?;
        if config.install_crds {
            setup::crds(&client).await?;
        }
        let election = match config.leader_election {
            None => None,
            Some(LeaderElection { duration }) => {
                let mut election = lease::elect(client.clone(), &config.namespace, duration).await?;
                tracing::info!(lease = lease::LEASE, "waiting for leadership");
                // The task that keeps the lease ends only with this receiver.
                let _ = election.leads.wait_for(|leads| *leads).await;
                metrics.leads(true);
                tracing::info!(lease = lease::LEASE, "leading");
                Some(election)
            }
        };
        setup::flux_has_ended(&client, &config.namespace).await?;
        if let Some(environment) = &config.environment {
            setup::environment(&client, &config.namespace, environment).await?;
        }
        Ok::<_, Error>(election)
    };
    let election = tokio::select! {
        () = cancelled.cancelled() => return Ok(()),
        election = prepared => election?,
    };
    let controllers = controllers::run(config, client, metrics, ready, shutdown.clone());
    let Some(lease::Election { mut leads, task }) = election else {
        return Ok(controllers.await?);
    };
    let result = tokio::select! {
        result = controllers => result.map_err(Error::from),
        _ = leads.wait_for(|leads| !*leads) => Err(Error::LeaseLost),
    };
    // Given back, so that the next process need not wait for its end.
    drop(leads);
    let _ = tokio::time::timeout(Duration::from_secs(5), task).await;
    result
}

fn on_signals(shutdown: CancellationToken) -> Result<(), Error> {
    let mut terminate = signal(SignalKind::terminate()).map_err(Error::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Error::Signals)?;
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("asked to end: no new work is started");
        shutdown.cancel();
    });
    Ok(())
}

async fn client(config: &Config) -> Result<Client, Error> {
    let mut kube_config = match &config.kubeconfig {
        None => kube::Config::infer().await.map_err(Error::NoCluster)?,
        Some(path) => {
            let failed = |source| Error::Kubeconfig { path: path.clone(), source };
            let file = kube::config::Kubeconfig::read_from(path).map_err(failed)?;
            kube::Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.map_err(failed)?
        }
    };
    let agent = concat!("bowline/", env!("CARGO_PKG_VERSION"));
    kube_config.headers.push((http::header::USER_AGENT, http::HeaderValue::from_static(agent)));
    Client::try_from(kube_config).map_err(Error::Client)
}
