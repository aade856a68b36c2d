//! `bowline run`: the daemon's flags, and how they become its configuration.

use std::{net::SocketAddr, path::PathBuf, process::ExitCode, time::Duration};

use clap::{ArgAction, builder::NonEmptyStringValueParser};

use crate::{
    api,
    daemon::{self, Config, Environment, LeaderElection},
    reconcile::backoff::RetryDelay,
    telemetry::{self, LogEncoding},
};

/// The flags of `bowline run`. Each can also be given as `BOWLINE_<FLAG>`, dashes as underscores.
#[derive(clap::Args)]
pub struct Args {
    /// URL of the Git repository that holds the environments: https://, http://, ssh:// or user@host:path.
    /// Without it only what is in the cluster is reconciled.
    #[arg(long, env = "BOWLINE_GIT_URL", value_parser = NonEmptyStringValueParser::new())]
    git_url: Option<String>,
    /// Branch to follow.
    #[arg(long, env = "BOWLINE_GIT_BRANCH", default_value = "main")]
    git_branch: String,
    /// Folder of the repository to apply, such as staging or production; it names the GitRepository and the
    /// Kustomization that are written for it. Also taken from ENVIRONMENT.
    #[arg(long, env = "BOWLINE_ENVIRONMENT")]
    environment: Option<String>,
    /// Secret in the daemon's namespace with the repository's credentials, as a GitRepository's secretRef has it.
    #[arg(long, env = "BOWLINE_GIT_SECRET")]
    git_secret: Option<String>,
    /// How often the Git repository is asked for a new commit.
    #[arg(long, env = "BOWLINE_INTERVAL", default_value = "1m", value_parser = duration)]
    interval: Duration,
    /// The daemon's own namespace; made if it is missing. Also taken from `RUNTIME_NAMESPACE`.  [default: flux-system]
    #[arg(long, env = "BOWLINE_NAMESPACE")]
    namespace: Option<String>,
    /// How many objects of a kind are worked on at one time. A release that waits for its workloads does not count.
    #[arg(long, env = "BOWLINE_CONCURRENT", default_value_t = 4)]
    concurrent: u16,
    /// Watch objects in all namespaces; with false only those in the daemon's own.
    #[arg(long, env = "BOWLINE_WATCH_ALL_NAMESPACES", action = ArgAction::Set, num_args = 0..=1, require_equals = true,
        default_value_t = true, default_missing_value = "true")]
    watch_all_namespaces: bool,
    /// Watch only objects whose labels match this selector.
    #[arg(long, env = "BOWLINE_WATCH_LABEL_SELECTOR")]
    watch_label_selector: Option<String>,
    /// Kubeconfig file. Also taken from KUBECONFIG; without either, the pod's service account.
    #[arg(long, env = "BOWLINE_KUBECONFIG")]
    kubeconfig: Option<PathBuf>,
    /// Apply the custom resource definitions at start.
    #[arg(long, env = "BOWLINE_INSTALL_CRDS", action = ArgAction::Set, num_args = 0..=1, require_equals = true,
        default_value_t = false, default_missing_value = "true")]
    install_crds: bool,
    /// Refuse references to objects in other namespaces.
    #[arg(long, env = "BOWLINE_NO_CROSS_NAMESPACE_REFS", action = ArgAction::Set, num_args = 0..=1,
        require_equals = true, default_value_t = false, default_missing_value = "true")]
    no_cross_namespace_refs: bool,
    /// `ServiceAccount` that is impersonated for a release or Kustomization whose spec.serviceAccountName names none, in its
    /// own namespace.
    #[arg(long, env = "BOWLINE_DEFAULT_SERVICE_ACCOUNT")]
    default_service_account: Option<String>,
    /// `ServiceAccount` whose tokens are shown to the cluster that a ConfigMap of `spec.kubeConfig.configMapRef` describes
    /// and that names none, in the object's namespace
    #[arg(long, env = "BOWLINE_DEFAULT_KUBECONFIG_SERVICE_ACCOUNT")]
    default_kubeconfig_service_account: Option<String>,
    /// Field managers that may not change managed objects, such as "kubectl-edit": what they set goes when drift is
    /// looked for. Several are separated by commas, or the flag is given again
    #[arg(long = "override-manager", env = "BOWLINE_OVERRIDE_MANAGER", value_delimiter = ',')]
    override_managers: Vec<String>,
    /// Allow that a kubeconfig of a Secret leaves out the check of its server's certificate.
    #[arg(long, env = "BOWLINE_INSECURE_KUBECONFIG_TLS", action = ArgAction::Set, num_args = 0..=1,
        require_equals = true, default_value_t = false, default_missing_value = "true")]
    insecure_kubeconfig_tls: bool,
    /// Folder for artifacts: a cache that can be lost.  [default: a folder of its own, removed at the end]
    #[arg(long, env = "BOWLINE_STORAGE_PATH")]
    storage_path: Option<PathBuf>,
    /// Address that artifacts are served at.
    #[arg(long, env = "BOWLINE_STORAGE_ADDR", default_value = ":9090", value_parser = address)]
    storage_addr: SocketAddr,
    /// Host and port that artifact URLs name.  [default: the address of --storage-addr]
    #[arg(long, env = "BOWLINE_STORAGE_ADV_ADDR")]
    storage_adv_addr: Option<String>,
    /// Address of /metrics.
    #[arg(long, env = "BOWLINE_METRICS_ADDR", default_value = ":8080", value_parser = address)]
    metrics_addr: SocketAddr,
    /// Address of /healthz and /readyz.
    #[arg(long, env = "BOWLINE_HEALTH_ADDR", default_value = ":9440", value_parser = address)]
    health_addr: SocketAddr,
    /// URL of a notification-controller that events are posted to, such as
    /// `http://notification-controller.flux-system.svc.cluster.local./`. Without it they are recorded in the cluster alone
    #[arg(long, env = "BOWLINE_EVENTS_ADDR", value_parser = events_address)]
    events_addr: Option<url::Url>,
    /// Log level: trace, debug, info, error, or a filter such as "info,kube=debug". `PUT /debug/log-level` at the
    /// metrics address changes it while the daemon runs.
    #[arg(long, env = "BOWLINE_LOG_LEVEL", default_value = "info")]
    log_level: String,
    /// Encoding of log lines.
    #[arg(long, env = "BOWLINE_LOG_ENCODING", value_enum, default_value_t = LogEncoding::Json)]
    log_encoding: LogEncoding,
    /// Work only while holding the Lease of the daemon's namespace, so that one of several replicas is active.
    #[arg(long, env = "BOWLINE_ENABLE_LEADER_ELECTION", action = ArgAction::Set, num_args = 0..=1,
        require_equals = true, default_value_t = false, default_missing_value = "true")]
    enable_leader_election: bool,
    /// How long a Lease is held without being renewed.
    #[arg(long, env = "BOWLINE_LEADER_ELECTION_LEASE_DURATION", default_value = "15s", value_parser = duration)]
    leader_election_lease_duration: Duration,
    /// Shortest delay before a failed run is repeated; it doubles with each failure.
    #[arg(long, env = "BOWLINE_MIN_RETRY_DELAY", default_value = "750ms", value_parser = duration)]
    min_retry_delay: Duration,
    /// Longest delay before a failed run is repeated.
    #[arg(long, env = "BOWLINE_MAX_RETRY_DELAY", default_value = "15m", value_parser = duration)]
    max_retry_delay: Duration,
    /// By how much intervals vary, in percent.
    #[arg(long, env = "BOWLINE_INTERVAL_JITTER_PERCENTAGE", default_value_t = 5,
        value_parser = clap::value_parser!(u8).range(0..=99))]
    interval_jitter_percentage: u8,
    /// After how long Bowline's own kinds are listed anew, should a watch have lost a change; other kinds after six times
    /// as long.
    #[arg(long, env = "BOWLINE_RELIST_INTERVAL", default_value = "10m", value_parser = duration)]
    relist_interval: Duration,
    /// How long running actions may go on after the daemon was asked to end.
    #[arg(long, env = "BOWLINE_GRACEFUL_SHUTDOWN_TIMEOUT", default_value = "10m", value_parser = duration)]
    graceful_shutdown_timeout: Duration,
}

fn duration(text: &str) -> Result<Duration, String> {
    text.parse::<api::Duration>().and_then(|duration| duration.get()).map_err(|error| error.to_string())
}

/// Reads an address as Go's `net.Listen` takes it: `:8080` is port 8080 of every interface.
fn address(text: &str) -> Result<SocketAddr, String> {
    let full = if text.starts_with(':') { format!("[::]{text}") } else { text.to_owned() };
    full.parse().map_err(|_| format!("{text:?} is not an address such as :8080 or 127.0.0.1:8080"))
}

fn events_address(text: &str) -> Result<url::Url, String> {
    let url: url::Url = text.parse().map_err(|error| format!("{text:?} is not a URL: {error}"))?;
    match url.scheme() {
        "http" | "https" => Ok(url),
        _ => Err(format!("{text:?} is not a URL that begins with http:// or https://")),
    }
}

/// Returns a variable of the environment that is set and not empty.
#[allow(clippy::disallowed_methods, reason = "the one place where names that are not ours are read")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|v| !v.is_empty())
}

/// Runs the daemon until it is asked to end.
pub fn run(args: Args) -> ExitCode {
    let level = match telemetry::install(&args.log_level, args.log_encoding) {
        Ok(level) => level,
        Err(error) => return usage(&error),
    };
    let config = match config(args) {
        Ok(config) => config,
        Err(error) => return usage(&error),
    };
    match daemon::run(config, level) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = %telemetry::chain(&error), "cannot go on");
            ExitCode::FAILURE
        }
    }
}

fn usage(error: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("error: {error}");
    ExitCode::from(2)
}

#[derive(Debug, thiserror::Error)]
enum UsageError {
    #[error("--git-url needs --environment (or ENVIRONMENT): the folder of the repository to apply")]
    NoEnvironment,
    #[error("--environment {0:?} is not one folder's name of lower case letters, digits and dashes")]
    Environment(String),
    #[error("--git-url {0:?} is not understood: https://, http://, ssh:// or user@host:path")]
    GitUrl(String),
}

fn config(args: Args) -> Result<Config, UsageError> {
    let environment = args.environment.or_else(|| variable("ENVIRONMENT"));
    let environment = match args.git_url {
        None => None,
        Some(url) => {
            let name = environment.ok_or(UsageError::NoEnvironment)?;
            if !is_label(&name) {
                return Err(UsageError::Environment(name));
            }
            Some(Environment {
                url: git_url(&url).ok_or(UsageError::GitUrl(url))?,
                branch: args.git_branch,
                name,
                secret: args.git_secret,
                interval: args.interval,
            })
        }
    };
    Ok(Config {
        environment,
        namespace: args.namespace.or_else(|| variable("RUNTIME_NAMESPACE")).unwrap_or_else(|| "flux-system".to_owned()),
        instance: variable("HOSTNAME").unwrap_or_else(|| "bowline".to_owned()),
        kubeconfig: args.kubeconfig.or_else(|| variable("KUBECONFIG").map(PathBuf::from)),
        concurrent: args.concurrent.into(),
        watch_all_namespaces: args.watch_all_namespaces,
        watch_label_selector: args.watch_label_selector,
        install_crds: args.install_crds,
        no_cross_namespace_refs: args.no_cross_namespace_refs,
        insecure_kubeconfig_tls: args.insecure_kubeconfig_tls,
        default_service_account: args.default_service_account.filter(|name| !name.is_empty()),
        default_kubeconfig_service_account: args.default_kubeconfig_service_account.filter(|name| !name.is_empty()),
        override_managers: args.override_managers.into_iter().filter(|name| !name.is_empty()).collect(),
        storage_path: args.storage_path,
        storage_addr: args.storage_addr,
        storage_adv_addr: args.storage_adv_addr,
        metrics_addr: args.metrics_addr,
        health_addr: args.health_addr,
        events_addr: args.events_addr,
        leader_election: args
            .enable_leader_election
            .then_some(LeaderElection { duration: args.leader_election_lease_duration }),
        retry: RetryDelay { min: args.min_retry_delay, max: args.max_retry_delay },
        jitter_percentage: args.interval_jitter_percentage,
        relist: args.relist_interval,
        graceful_shutdown_timeout: args.graceful_shutdown_timeout,
    })
}

/// Tells whether a name is a DNS label: it becomes an object's name and a folder's.
fn is_label(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 63
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !name.starts_with('-')
        && !name.ends_with('-')
}

/// Writes the scp form `user@host:path` as `ssh://user@host/path`, which is what a GitRepository takes; URLs stay.
fn git_url(url: &str) -> Option<String> {
    if ["https://", "http://", "ssh://"].iter().any(|scheme| url.starts_with(scheme)) {
        return Some(url.to_owned());
    }
    let (host, path) = url.split_once(':')?;
    let (user, name) = host.split_once('@')?;
    if user.is_empty() || name.is_empty() || host.contains('/') || path.is_empty() || path.starts_with("//") {
        return None;
    }
    Some(format!("ssh://{host}/{}", path.trim_start_matches('/')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scp_form_becomes_an_ssh_url() {
        let cases = [
            ("git@host.example:team/releases.git", Some("ssh://git@host.example/team/releases.git")),
            ("git@host.example:/srv/releases.git", Some("ssh://git@host.example/srv/releases.git")),
            ("ssh://git@host.example:2222/releases", Some("ssh://git@host.example:2222/releases")),
            ("https://host.example/releases.git", Some("https://host.example/releases.git")),
            ("host.example:releases", None),
            ("/srv/releases.git", None),
            ("file:///srv/releases.git", None),
            ("ftp://host.example/x", None),
        ];
        for (given, want) in cases {
            assert_eq!(git_url(given).as_deref(), want, "{given}");
        }
    }

    #[test]
    fn an_environment_is_one_folder_and_an_objects_name() {
        for good in ["staging", "production", "eu-west-1"] {
            assert!(is_label(good), "{good}");
        }
        for bad in ["", "..", "a/b", "Staging", "-a", "a-", "a.b", &"a".repeat(64)] {
            assert!(!is_label(bad), "{bad}");
        }
    }

    #[test]
    fn events_are_posted_by_http_alone() {
        assert!(events_address("http://notification-controller.flux-system/").is_ok());
        assert!(events_address("notification-controller").is_err() && events_address("ftp://host/").is_err());
    }

    #[test]
    fn an_address_without_a_host_is_every_interface() {
        assert_eq!(address(":8080").map(|a| a.port()), Ok(8080));
        assert_eq!(address("127.0.0.1:0").map(|a| a.to_string()), Ok("127.0.0.1:0".to_owned()));
        assert!(address("8080").is_err());
    }
}
