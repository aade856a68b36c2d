//! What rows are played on: a control plane with the daemon, a server of charts, and a look at all that happens.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::http::StatusCode;
use futures::StreamExt as _;
use kube::{
    Api, Client,
    api::{DynamicObject, ObjectMeta, Patch, PatchParams, PostParams},
    runtime::{WatchStreamExt as _, watcher},
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{sync::watch, time::timeout};

use super::charts::Chart;
use crate::harness::{
    Cluster,
    daemon::Daemon,
    http::{HttpServer, answer},
    objects::{HELM_RELEASE, Kind},
};

const NAMESPACE: Kind = Kind("", "v1", "Namespace");
const POLICY: Kind = Kind("admissionregistration.k8s.io", "v1", "ValidatingAdmissionPolicy");
const BINDING: Kind = Kind("admissionregistration.k8s.io", "v1", "ValidatingAdmissionPolicyBinding");
/// The label of a namespace in which the API server refuses a verb on the daemon's release records.
pub const REFUSED: &str = "row/refused";
/// The label of the objects that the daemon sees.
pub const GO: &str = "row";
/// The object of a row.
pub const OBJECT: &str = "mock";
/// How long a row may take. What a row does takes seconds; the machine may be busy.
pub const WITHIN: Duration = Duration::from_mins(2);

pub struct Stage {
    pub cluster: Cluster,
    pub client: Client,
    _daemon: Daemon,
    artifacts: TempDir,
    files: Arc<Mutex<HashMap<String, Vec<u8>>>>,
    server: HttpServer,
    seen: Arc<Seen>,
}

/// What has been seen of each row's object, by its namespace.
#[derive(Default)]
struct Seen {
    lines: Mutex<HashMap<String, Vec<Value>>>,
    /// Namespaces with a HelmChart that the daemon knows.
    charts: Mutex<HashSet<String>>,
    versions: Mutex<HashMap<String, Vec<DynamicObject>>>,
    changed: watch::Sender<()>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Seen {
    /// Takes the lines of a log as it grows.
    async fn follow_log(self: Arc<Self>, mut log: watch::Receiver<String>) {
        let mut read = 0;
        loop {
            let lines: Vec<Value> = {
                let text = log.borrow_and_update();
                let new = &text[read..];
                let end = new.rfind('\n').map_or(0, |end| end + 1);
                read += end;
                new[..end].lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
            };
            for line in lines {
                if line["span"]["kind"] == "HelmRelease" && line["span"]["object"] == OBJECT {
                    let namespace = line["span"]["namespace"].as_str().unwrap_or_default().to_owned();
                    lock(&self.lines).entry(namespace).or_default().push(line);
                } else if line["span"]["kind"] == "HelmChart" {
                    lock(&self.charts).insert(line["span"]["namespace"].as_str().unwrap_or_default().to_owned());
                }
            }
            self.changed.send_replace(());
            if log.changed().await.is_err() {
                return;
            }
        }
    }

    /// Takes every version of every object.
    async fn follow_objects(self: Arc<Self>, client: Client) {
        let mut changes =
            std::pin::pin!(watcher(HELM_RELEASE.everywhere(&client), watcher::Config::default()).default_backoff());
        while let Some(change) = changes.next().await {
            let Ok(watcher::Event::Apply(object) | watcher::Event::InitApply(object)) = change else { continue };
            if object.metadata.name.as_deref() == Some(OBJECT) {
                let namespace = object.metadata.namespace.clone().unwrap_or_default();
                lock(&self.versions).entry(namespace).or_default().push(object);
                self.changed.send_replace(());
            }
        }
    }

    async fn until(&self, what: &str, holds: impl Fn() -> bool) -> Result<(), String> {
        let mut changed = self.changed.subscribe();
        let waited = timeout(WITHIN, async {
            while !holds() {
                changed.mark_unchanged();
                if !holds() {
                    let _ = changed.changed().await;
                }
            }
        });
        waited.await.map_err(|_| format!("{what} did not happen"))
    }
}

impl Stage {
    pub async fn set() -> Self {
        let cluster = Cluster::own().await;
        let client = cluster.client().await;
        let definitions =
            bowline::api::crds().iter().map(|crd| serde_yaml::to_string(crd).unwrap()).collect::<Vec<_>>();
        cluster.apply(&definitions.join("---\n"));
        cluster.kubectl(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"]);
        refuse_verbs(&client).await;
        let files: Arc<Mutex<HashMap<String, Vec<u8>>>> = Arc::default();
        let served = files.clone();
        let server = HttpServer::start(move |call| {
            let file = lock(&served).get(call.uri.path()).cloned();
            async move { file.map_or_else(|| answer(StatusCode::NOT_FOUND, ""), |file| answer(StatusCode::OK, file)) }
        });
        // A row is one run: what failed is not tried again while the row is looked at.
        let artifacts = tempfile::tempdir().unwrap();
        let daemon = Daemon::on(&cluster).args(&[
            &format!("--storage-path={}", artifacts.path().display()),
            "--log-level=debug",
            "--concurrent=8",
            "--min-retry-delay=1h",
            "--max-retry-delay=1h",
            &format!("--watch-label-selector={GO}=go"),
        ]);
        let mut daemon = daemon.started();
        let seen = Arc::new(Seen::default());
        tokio::spawn(seen.clone().follow_log(daemon.process().follow()));
        tokio::spawn(seen.clone().follow_objects(client.clone()));
        Self { cluster, client, _daemon: daemon, artifacts, files, server, seen }
    }

    /// A namespace of its own.
    pub async fn namespace(&self, refused: Option<&str>) -> String {
        let labels = json!({ REFUSED: refused.unwrap_or("none") });
        let object = json!({ "apiVersion": "v1", "kind": "Namespace",
                             "metadata": { "generateName": "row-", "labels": labels } });
        let object = serde_json::from_value(object).unwrap();
        let made = NAMESPACE.everywhere(&self.client).create(&PostParams::default(), &object).await.unwrap();
        made.metadata.name.unwrap()
    }

    /// Makes an object, in a namespace or in the cluster.
    pub async fn make(&self, kind: Kind, object: &Value) -> Result<DynamicObject, kube::Error> {
        let whole: DynamicObject = serde_json::from_value(object.clone()).unwrap();
        let api = api(kind, &self.client, &whole.metadata);
        api.create(&PostParams { field_manager: Some("row".to_owned()), ..PostParams::default() }, &whole).await
    }

    pub async fn patch(&self, kind: Kind, (namespace, name): (&str, &str), patch: &Value) -> DynamicObject {
        let api = kind.api(&self.client, namespace);
        api.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap()
    }

    pub async fn patch_status(&self, kind: Kind, (namespace, name): (&str, &str), status: &Value) -> DynamicObject {
        let api = kind.api(&self.client, namespace);
        let patch = Patch::Merge(json!({ "status": status }));
        api.patch_status(name, &PatchParams::default(), &patch).await.unwrap()
    }

    /// Serves a chart in a repository of its own, whose address is returned.
    pub fn serve(&self, repository: &str, chart: &Chart) -> String {
        let url = format!("{}/{repository}", self.server.url());
        let package = format!("/{repository}/{}-{}.tgz", chart.name, chart.version);
        let index = chart.index(&format!("{}{package}", self.server.url()));
        let mut files = lock(&self.files);
        files.insert(format!("/{repository}/index.yaml"), index.into_bytes());
        files.insert(package, chart.package());
        url
    }

    /// Puts a file where the daemon keeps artifacts.
    pub fn store(&self, path: &str, content: &[u8]) {
        let path = self.artifacts.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    /// Lets the daemon see a row's object, and waits for the end of its first run. Returns the lines of that run. The
    /// object is changed when the run says that it works, where that is asked for.
    pub async fn play(&self, namespace: &str, is_changed: bool) -> Result<Vec<Value>, String> {
        self.patch(HELM_RELEASE, (namespace, OBJECT), &json!({ "metadata": { "labels": { GO: "go" } } })).await;
        if is_changed {
            let works = |object: &DynamicObject| {
                object.data["status"]["conditions"].as_array().is_some_and(|conditions| {
                    conditions.iter().any(|c| c["message"].as_str().is_some_and(|text| text.starts_with("Running '")))
                })
            };
            let does = || lock(&self.seen.versions).get(namespace).is_some_and(|versions| versions.iter().any(works));
            self.seen.until("a long action", does).await?;
            self.patch(HELM_RELEASE, (namespace, OBJECT), &json!({ "spec": { "interval": "7m" } })).await;
        }
        self.first_run(namespace).await
    }

    /// Waits until the daemon knows the HelmChart of a row.
    pub async fn chart_is_known(&self, namespace: &str) {
        let known = || lock(&self.seen.charts).contains(namespace);
        self.seen.until("a run of the HelmChart", known).await.unwrap();
    }

    /// As [`Self::play`], by a daemon of the row's own.
    pub async fn play_alone(&self, namespace: &str, daemon: Daemon) -> Result<Vec<Value>, String> {
        let mut daemon = daemon.started();
        let following = tokio::spawn(self.seen.clone().follow_log(daemon.process().follow()));
        let lines = self.first_run(namespace).await;
        following.abort();
        lines
    }

    async fn first_run(&self, namespace: &str) -> Result<Vec<Value>, String> {
        // A run that was begun on an older state of the object, on a busy machine, only leads to the next.
        let ended = |line: &Value| line["message"] == "run ended" && line["next"] != "Unsaid(100ms)";
        let lines = || lock(&self.seen.lines).get(namespace).cloned().unwrap_or_default();
        self.seen
            .until("the end of a run", || lock(&self.seen.lines).get(namespace).is_some_and(|l| l.iter().any(ended)))
            .await?;
        let lines = lines();
        let end = lines.iter().position(ended).map_or(lines.len(), |end| end + 1);
        Ok(lines[..end].to_vec())
    }

    /// The versions of a row's object so far, up to the one that the API server has now.
    pub async fn versions(&self, namespace: &str) -> Result<Vec<DynamicObject>, String> {
        let version = |object: &DynamicObject| -> u64 {
            object.metadata.resource_version.as_ref().and_then(|v| v.parse().ok()).unwrap_or(0)
        };
        let now = HELM_RELEASE.get(&self.client, namespace, OBJECT).await;
        let least = now.as_ref().map_or(0, version);
        let versions = || lock(&self.seen.versions).get(namespace).cloned().unwrap_or_default();
        self.seen
            .until("the newest version of the object", || {
                lock(&self.seen.versions).get(namespace).is_some_and(|v| v.iter().any(|o| version(o) >= least))
            })
            .await?;
        Ok(versions())
    }
}

fn api(kind: Kind, client: &Client, metadata: &ObjectMeta) -> Api<DynamicObject> {
    match &metadata.namespace {
        Some(namespace) => kind.api(client, namespace),
        None => kind.everywhere(client),
    }
}

/// Makes the API server refuse what a row's storage is to refuse, in Flux's own test's words.
async fn refuse_verbs(client: &Client) {
    for verb in ["create", "update", "delete"] {
        let name = format!("refuse-{verb}");
        let policy = json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
            "metadata": { "name": name },
            "spec": {
                "failurePolicy": "Fail",
                "matchConditions": [{ "name": "daemon", "expression": "request.userInfo.username == 'bowline'" }],
                "matchConstraints": { "resourceRules": [{ "apiGroups": [""], "apiVersions": ["v1"],
                    "resources": ["secrets"], "operations": [verb.to_uppercase()] }] },
                "validations": [{ "expression": "false", "message": format!("storage {verb} error") }],
            },
        });
        let binding = json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": { "name": name },
            "spec": { "policyName": name, "validationActions": ["Deny"],
                      "matchResources": { "namespaceSelector": { "matchLabels": { REFUSED: verb } } } },
        });
        for (kind, object) in [(POLICY, policy), (BINDING, binding)] {
            let object = serde_json::from_value(object).unwrap();
            kind.everywhere(client).create(&PostParams::default(), &object).await.unwrap();
        }
    }
}
