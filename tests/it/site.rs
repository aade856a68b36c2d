//! A releases repository, served by Git, with the daemon on it: what the tests of the whole begin with.

use std::time::Duration;

use kube::{
    Client,
    api::{DynamicObject, Patch, PatchParams},
};
use serde_json::json;

use crate::harness::{
    Cluster,
    daemon::Daemon,
    git::{GitRemote, GitServer},
    objects::{CONFIG_MAP, GIT_REPOSITORY, HELM_RELEASE, KUSTOMIZATION, Kind, field},
};

/// The daemon's namespace, where the pair of objects for the environment lies.
pub const DAEMON: &str = "flux-system";
/// Where the releases and what they install are.
pub const APPS: &str = "apps";
pub const SOON: Duration = Duration::from_secs(30);

/// A control plane of its own, a repository with the environment `staging`, and the daemon.
pub struct Site {
    pub daemon: Daemon,
    pub client: Client,
    pub remote: GitRemote,
    pub git: GitServer,
    pub cluster: Cluster,
}

impl Site {
    /// With the chart `note`, of one ConfigMap that holds the value `text`, and no release yet. The daemon is not started.
    pub async fn new(interval: &str) -> Self {
        let cluster = Cluster::own().await;
        let remote = GitRemote::new();
        remote
            .write("staging/namespace.yaml", &format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {APPS}}}\n"));
        remote.write("charts/note/Chart.yaml", "apiVersion: v2\nname: note\nversion: 0.1.0\n");
        remote.write("charts/note/templates/note.yaml", NOTE);
        remote.push("Begin");
        let git = GitServer::serve(&remote);
        let daemon = Daemon::on(&cluster).environment(&git, "staging").args(&[&format!("--interval={interval}")]);
        Self { daemon, client: cluster.client().await, remote, git, cluster }
    }

    /// As [`Self::new`], the daemon started and the empty environment applied.
    pub async fn started(interval: &str) -> Self {
        let mut site = Self::new(interval).await;
        site.daemon.start();
        site.environment_is_ready().await;
        site
    }

    pub async fn environment_is_ready(&self) -> DynamicObject {
        KUSTOMIZATION.ready(&self.client, (DAEMON, "staging"), SOON, ("True", "")).await
    }

    /// Writes a release of the chart `note` to the work tree.
    pub fn write_note(&self, name: &str, text: &str) {
        self.remote.write(&format!("staging/{name}.yaml"), &release(name, "./charts/note", &format!("text: {text}")));
    }

    /// Pushes, and asks for the source to be looked at now.
    pub async fn push_and_ask(&self, message: &str) -> String {
        let commit = self.remote.push(message);
        self.ask(GIT_REPOSITORY, DAEMON, "staging").await;
        commit
    }

    /// Asks for a reconcile of an object, as `flux reconcile` does.
    pub async fn ask(&self, kind: Kind, namespace: &str, name: &str) {
        let now = jiff::Timestamp::now().to_string();
        let patch = json!({"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": now}}});
        kind.api(&self.client, namespace)
            .patch(name, &PatchParams::default(), &Patch::Merge(patch))
            .await
            .unwrap_or_else(|error| panic!("{name} cannot be asked to reconcile: {error}"));
    }

    /// Waits until a release is Ready and its ConfigMap says `text`.
    pub async fn note_says(&self, name: &str, text: &str, within: Duration) -> DynamicObject {
        CONFIG_MAP
            .until(&self.client, (APPS, name), within, &format!("say {text}"), |note| field(note, "/data/text") == text)
            .await;
        HELM_RELEASE.ready(&self.client, (APPS, name), within, ("True", "")).await
    }

    /// Revision and status of each revision of a release, oldest first, as the real helm reads them.
    pub fn history(&self, name: &str) -> Vec<(u64, String)> {
        let text = self.cluster.helm(&["history", name, "-n", APPS, "-o", "json"]);
        let rows: Vec<serde_json::Value> = serde_json::from_str(&text).expect("helm prints JSON");
        rows.iter()
            .map(|row| {
                let revision = row["revision"].as_u64().expect("a number");
                (revision, row["status"].as_str().expect("a word").to_owned())
            })
            .collect()
    }
}

const NOTE: &str = "\
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .Release.Name }}
data:
  text: {{ required \"a text is needed\" .Values.text | quote }}
";

/// A HelmRelease in [`APPS`] of a chart in the repository; `values` are lines at the first level.
pub fn release(name: &str, chart: &str, values: &str) -> String {
    let values = values.replace('\n', "\n    ");
    format!(
        "apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata: {{name: {name}, namespace: {APPS}}}
spec:
  interval: 30m
  timeout: 1m
  chart:
    spec:
      chart: {chart}
      sourceRef: {{kind: GitRepository, name: staging, namespace: {DAEMON}}}
  values:
    {values}
"
    )
}
