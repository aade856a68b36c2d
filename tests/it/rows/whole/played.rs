//! A row set up and let loose, and what came of it.

use std::collections::BTreeMap;

use bowline::{
    api::meta::HELM_FIELD_MANAGER,
    cluster::storage::{Record, ReleaseStorage},
    reconcile::release::record,
};
use helm::release::Release;
use kube::api::{DeleteParams, DynamicObject, ListParams};
use serde_json::{Value, json};

use super::{
    setup::{Setup, Source},
    stage::{GO, OBJECT, Stage},
};
use crate::harness::{
    daemon::Daemon,
    objects::{CONFIG_MAP, HELM_CHART, HELM_RELEASE, HELM_REPOSITORY, Kind, SECRET, field},
};

const DEFINITION: Kind = Kind("apiextensions.k8s.io", "v1", "CustomResourceDefinition");
const NAMESPACE: Kind = Kind("", "v1", "Namespace");

/// What came of a row.
#[derive(Debug)]
pub struct Played {
    pub setup: Setup,
    /// Why the API server did not take the object at all.
    pub refused: Option<String>,
    /// The log of the first run.
    pub lines: Vec<Value>,
    /// The object before the daemon saw it.
    pub before: Option<DynamicObject>,
    /// Its versions since, the last as it is now.
    pub versions: Vec<DynamicObject>,
    /// Revision and status of the records that are there now.
    pub records: BTreeMap<i64, String>,
    pub is_installed: bool,
}

impl Played {
    pub async fn play(stage: &Stage, setup: Setup) -> Result<Self, String> {
        let mut played = Self {
            setup,
            refused: None,
            lines: Vec::new(),
            before: None,
            versions: Vec::new(),
            records: BTreeMap::new(),
            is_installed: false,
        };
        let namespace = played.setup.namespace.clone();
        arrange(stage, &played.setup).await;
        let mut object = played.setup.object();
        if played.setup.generation > 1 {
            // Each generation is one change of the interval; the last is the row's.
            object["spec"]["interval"] = json!("91h");
        }
        if let Err(error) = stage.make(HELM_RELEASE, &object).await {
            played.refused = Some(error.to_string());
            return Ok(played);
        }
        let before = prepare_object(stage, &played.setup).await;
        let known = stage.versions(&namespace).await?.len();
        played.before = Some(before);
        played.lines = if played.setup.flags.is_empty() {
            stage.play(&namespace, played.setup.is_changed_in_wait).await?
        } else {
            let own = Daemon::on(&stage.cluster).args(&["--log-level=debug", "--watch-all-namespaces=false"]);
            let own = own.args(&[&format!("--namespace={namespace}")]);
            let flags: Vec<&str> = played.setup.flags.iter().map(String::as_str).collect();
            stage.play_alone(&namespace, own.args(&flags)).await?
        };
        played.versions = stage.versions(&namespace).await?.split_off(known);
        let secrets = SECRET.api(&stage.client, &namespace).list(&ListParams::default().labels("owner=helm")).await;
        for secret in secrets.map_err(|error| error.to_string())?.items {
            let labels = secret.metadata.labels.unwrap_or_default();
            // Where another target is asked for, its release may be there by now.
            if !played.setup.records.is_empty()
                && !played.setup.records.iter().any(|r| labels.get("name") == Some(&r.name))
            {
                continue;
            }
            let version = labels.get("version").and_then(|v| v.parse().ok()).unwrap_or(0);
            played.records.insert(version, labels.get("status").cloned().unwrap_or_default());
        }
        played.is_installed = CONFIG_MAP.get(&stage.client, &namespace, "cm").await.is_some();
        Ok(played)
    }

    /// The actions of the first run, by the names that rows have for them.
    pub fn actions(&self) -> Vec<String> {
        self.lines
            .iter()
            .filter_map(|line| match line["message"].as_str()? {
                "running action" => Some(match line["action"].as_str()? {
                    "uninstall" => "uninstall-remediation".to_owned(),
                    "correct cluster drift" => "correct-cluster-drift".to_owned(),
                    other => other.to_owned(),
                }),
                text if text.starts_with("release target changed") => Some("uninstall".to_owned()),
                _ => None,
            })
            .collect()
    }

    /// What the first run asked for next, such as `Retry` or `After(60s)`.
    pub fn next(&self) -> &str {
        self.lines.last().and_then(|line| line["next"].as_str()).unwrap_or_default()
    }

    /// The last state that the first run found.
    pub fn state(&self) -> Option<&str> {
        self.lines.iter().rev().find(|line| line["message"] == "decided").and_then(|line| line["state"].as_str())
    }

    /// The status as an action left it, before the run went on.
    pub fn status_after(&self, action: &str) -> Option<Value> {
        self.logged_status(|line| line["message"] == "action reported" && line["action"] == action)
    }

    /// The status of an object that was let go: it is not written any more.
    pub fn status_let_go(&self) -> Option<Value> {
        self.logged_status(|line| line["message"] == "object is let go")
    }

    fn logged_status(&self, is_it: impl Fn(&Value) -> bool) -> Option<Value> {
        serde_json::from_str(self.lines.iter().find(|line| is_it(line))?["status"].as_str()?).ok()
    }

    /// What happened, for a row that does not hold.
    pub fn story(&self) -> String {
        let lines: Vec<String> = self.lines.iter().map(ToString::to_string).collect();
        format!("  log: {}\n  status: {}", lines.join("\n    "), self.status())
    }

    /// The status as it was written last.
    pub fn status(&self) -> &Value {
        self.versions.last().or(self.before.as_ref()).map_or(&Value::Null, |object| field(object, "/status"))
    }

    pub fn status_before(&self) -> &Value {
        self.before.as_ref().map_or(&Value::Null, |object| field(object, "/status"))
    }
}

/// Puts everything in place that the object needs.
async fn arrange(stage: &Stage, setup: &Setup) {
    let namespace = setup.namespace.as_str();
    for object in &setup.objects {
        let kind = match object["kind"].as_str().unwrap_or_default() {
            "Namespace" => NAMESPACE,
            "CustomResourceDefinition" => DEFINITION,
            "Secret" => SECRET,
            "HelmRelease" => {
                let mut object = object.clone();
                object["apiVersion"] = json!("helm.toolkit.fluxcd.io/v2");
                object["metadata"]["labels"] = json!({ GO: "go" });
                stage.make(HELM_RELEASE, &object).await.unwrap();
                let name = object["metadata"]["name"].as_str().unwrap_or_default();
                stage.patch_status(HELM_RELEASE, (namespace, name), &object["status"]).await;
                continue;
            }
            other => panic!("kind {other} is not understood"),
        };
        stage.make(kind, object).await.unwrap();
    }
    let url = stage.serve(namespace, &setup.chart);
    let repository = json!({
        "apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "HelmRepository", "spec": { "url": url, "interval": "1h" },
        "metadata": { "name": "repository", "namespace": namespace, "labels": { GO: "go" } },
    });
    stage.make(HELM_REPOSITORY, &repository).await.unwrap();
    let helm_chart = |name: &str, suspend: bool| {
        json!({
            "apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "HelmChart",
            "metadata": { "name": name, "namespace": namespace },
            "spec": { "chart": setup.chart.name, "version": "*", "interval": "1h", "suspend": suspend,
                      "sourceRef": { "kind": "HelmRepository", "name": "repository" } },
        })
    };
    for name in &setup.helm_charts {
        stage.make(HELM_CHART, &helm_chart(name, false)).await.unwrap();
    }
    match &setup.source {
        Source::Reference => {
            stage.make(HELM_CHART, &helm_chart("chart", false)).await.unwrap();
            let within = super::stage::WITHIN;
            let is_packed = |chart: &DynamicObject| field(chart, "/status/artifact").is_object();
            HELM_CHART.until(&stage.client, (namespace, "chart"), within, "have an artifact", is_packed).await;
        }
        Source::Given { status, generation } if !status.is_null() => {
            stage.make(HELM_CHART, &helm_chart("chart", true)).await.unwrap();
            for at in 2..=*generation {
                let patch = json!({ "spec": { "interval": format!("{at}h") } });
                stage.patch(HELM_CHART, (namespace, "chart"), &patch).await;
            }
            stage.chart_is_known(namespace).await;
            stage.patch_status(HELM_CHART, (namespace, "chart"), status).await;
        }
        Source::Given { .. } | Source::Template | Source::None => {}
    }
    if let Some((path, content)) = &setup.artifact {
        stage.store(path, content);
    }
    store_records(stage, setup).await;
}

/// Says who wrote a record: where the history does not know it, it was somebody else, but for one that is pending.
fn writer(setup: &Setup, record: &Release) -> &'static str {
    let history = setup.status.get("history").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let version = |snapshot: &Value| snapshot["version"].as_i64().unwrap_or(0);
    let newest = history.iter().max_by_key(|snapshot| version(snapshot));
    let is_known = newest.is_none_or(|newest| {
        record.version < version(newest)
            || (record.version == version(newest) && newest["digest"] == record::digest(record))
    });
    if is_known || record.info.status.is_pending() { HELM_FIELD_MANAGER } else { "helm" }
}

async fn store_records(stage: &Stage, setup: &Setup) {
    for record in &setup.records {
        let storage = ReleaseStorage::new(stage.client.clone(), setup.namespace.clone(), writer(setup, record));
        let payload = record.encode().unwrap();
        let stored = Record {
            name: &record.name,
            revision: u32::try_from(record.version).unwrap(),
            status: record.info.status.as_str(),
            labels: &record.labels,
            payload: payload.as_bytes(),
        };
        storage.create(&stored, 1_704_164_645).await.unwrap();
        if setup.is_damaged {
            let name = bowline::cluster::storage::secret_name(&record.name, stored.revision);
            let is_target = setup.records.len() == 1 || record.version < setup.records.len() as i64;
            if is_target {
                stage.patch(SECRET, (&setup.namespace, &name), &json!({ "data": null })).await;
            }
        }
    }
    if !setup.records.is_empty() {
        let mut object = super::charts::config_map("cm");
        let (name, namespace) = (&setup.records[0].name, &setup.namespace);
        json_patch::merge(
            &mut object,
            &json!({ "metadata": {
                "namespace": namespace, "labels": { "app.kubernetes.io/managed-by": "Helm" },
                "annotations": { "meta.helm.sh/release-name": name, "meta.helm.sh/release-namespace": namespace },
            } }),
        );
        stage.make(CONFIG_MAP, &object).await.unwrap();
    }
}

/// Brings the object to the generation, the status and the deletion that the row has.
async fn prepare_object(stage: &Stage, setup: &Setup) -> DynamicObject {
    let key = (setup.namespace.as_str(), OBJECT);
    for at in 2..=setup.generation {
        let is_last = at == setup.generation;
        let interval =
            if is_last { Setup::whole_spec(&setup.spec)["interval"].clone() } else { json!(format!("9{at}h")) };
        stage.patch(HELM_RELEASE, key, &json!({ "spec": { "interval": interval } })).await;
    }
    let mut status = Value::Object(setup.status.clone());
    for condition in status["conditions"].as_array_mut().into_iter().flatten() {
        let mut whole = json!({ "message": "", "lastTransitionTime": "2024-01-02T03:04:05Z" });
        json_patch::merge(&mut whole, condition);
        *condition = whole;
    }
    if setup.is_deleted {
        let api = HELM_RELEASE.api(&stage.client, key.0);
        api.delete(OBJECT, &DeleteParams::default()).await.unwrap();
    }
    stage.patch_status(HELM_RELEASE, key, &status).await
}
