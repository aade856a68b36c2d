//! The life of a release while things go wrong between the daemon and the API server: the daemon is killed at each write,
//! events of watches are lost, lists are answered as they were. Each time the release ends as it does undisturbed.
//!
//! `$BOWLINE_FAULTS=all` runs every fault; otherwise some of them, chosen by `$BOWLINE_FAULTS_SEED`.

mod kill;
mod lists;
mod scenario;
mod verify;
mod watches;

use std::time::Duration;

use kube::{Client, api::PostParams};
use serde_json::json;

use self::scenario::Scenario;
use crate::{
    harness::{
        daemon::Daemon,
        faulty_proxy::FaultyProxy,
        objects::{HELM_RELEASE, Kind},
        programs::environment,
    },
    sequences::Random,
    site::{SOON, Site},
};

const NAMESPACE: Kind = Kind("", "v1", "Namespace");
/// The name of each release; each is in a namespace of its own.
const NAME: &str = "app";
/// How long a release may take to be as it should after a fault.
const SETTLED: Duration = Duration::from_secs(45);

/// A site whose daemon has the proxy before it.
struct Faulty {
    site: Site,
    proxy: FaultyProxy,
}

impl Faulty {
    async fn started(args: &[&str]) -> Self {
        let mut site = Site::new("1h").await;
        for (path, text) in scenario::CHART {
            site.remote.write(&format!("charts/app/{path}"), text);
        }
        site.remote.push("Add the chart");
        site.daemon.start();
        site.environment_is_ready().await;
        site.daemon.kill();
        let proxy = FaultyProxy::to(site.cluster.bowline_kubeconfig()).await;
        // Without the definitions, which are there: it is started many times.
        site.daemon = Daemon::with_kubeconfig(&proxy.kubeconfig())
            .args(&["--git-url", &site.git.url(), "--environment=staging", "--interval=1h", "--log-level=debug"])
            .args(args);
        let mut faulty = Self { site, proxy };
        faulty.start();
        faulty.is_in_sync().await;
        faulty
    }

    fn client(&self) -> &Client {
        &self.site.client
    }

    fn start(&mut self) {
        // What it asks first is passed on: it cannot be told who it is before it is there.
        self.proxy.serve(0);
        self.site.daemon.start();
        self.proxy.serve(self.site.daemon.process().pid());
    }

    /// Waits until the daemon has listed what it watches.
    async fn is_in_sync(&mut self) {
        let of_log = |log: &str| log.contains("watches are in sync");
        self.site.daemon.process().output_until(0, SOON, "that its watches are in sync", of_log).await;
    }

    /// SIGKILL, and starts it again.
    fn restart(&mut self) {
        self.site.daemon.kill();
        self.start();
    }

    async fn namespace(&self, name: &str) {
        let object = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } });
        let object = serde_json::from_value(object).unwrap();
        NAMESPACE.everywhere(self.client()).create(&PostParams::default(), &object).await.unwrap();
    }

    /// Writes what the daemon has logged since its start to a file in `$BOWLINE_FAULTS_LOGS`.
    fn keep_log(&self, name: &str) {
        if let Some(dir) = environment("BOWLINE_FAULTS_LOGS") {
            std::fs::write(format!("{dir}/{name}.log"), self.site.daemon.log()).expect("a file can be written");
        }
    }

    /// Asks for one more reconcile and waits until it is over: what is as it should stays so.
    async fn reconciled_once_more(&self, namespace: &str) {
        let now = jiff::Timestamp::now().to_string();
        let patch = json!({"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": now}}});
        let api = HELM_RELEASE.api(self.client(), namespace);
        api.patch(NAME, &kube::api::PatchParams::default(), &kube::api::Patch::Merge(patch)).await.unwrap();
        HELM_RELEASE
            .until(self.client(), (namespace, NAME), SOON, "be reconciled once more", |release| {
                release.data["status"]["lastHandledReconcileAt"] == now
            })
            .await;
    }
}

/// What chooses among faults.
fn seed() -> Random {
    Random(environment("BOWLINE_FAULTS_SEED").map_or(1, |seed| seed.parse().expect("a number")))
}

/// Leaves three of the scenarios, where not every fault is to be run.
fn sample(mut scenarios: Vec<Scenario>, random: &mut Random) -> Vec<Scenario> {
    while !is_complete() && scenarios.len() > 3 {
        scenarios.swap_remove(usize::try_from(random.below(scenarios.len() as u64)).unwrap());
    }
    scenarios
}

/// Tells whether every fault is to be run.
fn is_complete() -> bool {
    environment("BOWLINE_FAULTS").as_deref() == Some("all")
}
