//! Releases of the real helm are taken over, and ours are handed back to it: no pod is restarted on the way.

use std::{fs, path::PathBuf, process::Command, time::Duration};

use kube::api::ListParams;
use serde_json::{Value, json};

use crate::{
    harness::{
        objects::{CONFIG_MAP, DEPLOYMENT, HELM_RELEASE, POD, SECRET, field},
        programs::{program, run},
    },
    site::{APPS, DAEMON, Site},
};

const LONG: Duration = Duration::from_mins(2);
const NAME: &str = "web";

const CHART: &str = r#"
apiVersion: v1
kind: ConfigMap
metadata: {name: {{ .Release.Name }}}
data: {text: {{ .Values.text | quote }}, revision: "{{ .Release.Revision }}"}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: {{ .Release.Name }}}
spec:
  replicas: 1
  selector:
    matchLabels: {app: {{ .Release.Name }}}
  template:
    metadata:
      labels: {app: {{ .Release.Name }}}
    spec:
      containers:
      - name: main
        image: example/main:{{ .Values.image }}
        {{- with .Values.env }}
        env: {{- toYaml . | nindent 8 }}
        {{- end }}
"#;

fn values(text: &str, image: u32, env: Value) -> Value {
    json!({ "text": text, "image": image, "env": env })
}

/// A daemon, a chart, and a helm program of one version.
struct Handover {
    site: Site,
    helm: PathBuf,
}

impl Handover {
    async fn new(helm: &str) -> Self {
        let site = Site::new("1h").await;
        site.remote.write("charts/web/Chart.yaml", "apiVersion: v2\nname: web\nversion: 0.1.0\n");
        site.remote.write("charts/web/values.yaml", "env: []\n");
        site.remote.write("charts/web/templates/all.yaml", CHART);
        site.remote.push("The chart");
        site.cluster.apply(&format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {APPS}}}\n"));
        Self { site, helm: program(helm) }
    }

    async fn start(&mut self) {
        self.site.daemon.start();
        self.site.environment_is_ready().await;
    }

    fn helm(&self, args: &[&str]) -> String {
        let mut command = Command::new(&self.helm);
        command.arg("--kubeconfig").arg(self.site.cluster.kubeconfig()).args(args).args(["-n", APPS]);
        run(&mut command).unwrap_or_else(|said| panic!("helm {args:?}: {said}"))
    }

    fn helm_with(&self, verb: &str, values: &Value, flags: &[&str]) {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), values.to_string()).unwrap();
        let chart = self.site.remote.work().join("charts/web");
        let paths = [&*chart, file.path()].map(|path| path.to_str().unwrap());
        self.helm(&[&[verb, NAME, paths[0], "-f", paths[1]], flags].concat());
    }

    async fn ours(&self, spec: &Value, reason: &str) {
        let mut full = json!({ "interval": "1h", "timeout": "1m", "chart": { "spec": { "chart": "./charts/web",
            "sourceRef": { "kind": "GitRepository", "name": "staging", "namespace": DAEMON } } } });
        json_patch::merge(&mut full, spec);
        let object = json!({ "apiVersion": "helm.toolkit.fluxcd.io/v2", "kind": "HelmRelease",
            "metadata": { "name": NAME, "namespace": APPS }, "spec": full });
        self.site.cluster.apply(&object.to_string());
        let ready = HELM_RELEASE.ready(&self.site.client, (APPS, NAME), LONG, ("True", "")).await;
        let conditions = field(&ready, "/status/conditions").as_array().unwrap();
        let released = conditions.iter().find(|condition| condition["type"] == "Released").unwrap();
        assert_eq!(released["reason"], reason, "{released}");
    }

    /// What a restart would change: the Deployment's uid, generation and template, and its pods.
    async fn workload(&self) -> Value {
        let available = |deployment: &_| field(deployment, "/status/availableReplicas") == 1;
        let deployment = DEPLOYMENT.until(&self.site.client, (APPS, NAME), LONG, "be available", available).await;
        let pods = POD.api(&self.site.client, APPS).list(&ListParams::default()).await.unwrap().items;
        let pods: Vec<_> = pods.into_iter().map(|pod| pod.metadata.uid).collect();
        json!({ "uid": deployment.metadata.uid, "generation": deployment.metadata.generation,
            "template": field(&deployment, "/spec/template"), "pods": pods })
    }

    async fn env(&self) -> Vec<String> {
        let deployment = DEPLOYMENT.get(&self.site.client, APPS, NAME).await.expect("a Deployment");
        let env = field(&deployment, "/spec/template/spec/containers/0/env").as_array().cloned().unwrap_or_default();
        env.iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect()
    }
}

/// A release of helm is upgraded by a HelmRelease, without a restart while nothing of its pods changes, and what the
/// chart dropped is gone afterwards.
async fn taken_over(helm: &str, spec: &Value) {
    let mut handover = Handover::new(helm).await;
    let env = json!([{ "name": "A", "value": "1" }, { "name": "B", "value": "1" }]);
    handover.helm_with("install", &values("theirs", 1, env.clone()), &[]);
    let before = handover.workload().await;
    handover.start().await;
    let with = |values: Value| {
        let mut spec = spec.clone();
        spec["values"] = values;
        spec
    };
    handover.ours(&with(values("ours", 1, env)), "UpgradeSucceeded").await;
    assert_eq!(handover.workload().await, before, "nothing of the pods was to change");
    assert_eq!(handover.site.history(NAME), [(1, "superseded".to_owned()), (2, "deployed".to_owned())]);
    handover.ours(&with(values("ours", 1, json!([{ "name": "B", "value": "1" }]))), "UpgradeSucceeded").await;
    assert_eq!(handover.env().await, ["B"], "a field that helm wrote and the chart dropped is gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_of_helm_3_is_taken_over() {
    taken_over("helm-3", &json!({})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_of_helm_3_is_taken_over_and_migrated() {
    taken_over("helm-3", &json!({ "upgrade": { "serverSideApply": "enabled" } })).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_of_helm_4_is_taken_over() {
    taken_over("helm", &json!({})).await;
}

/// The real helm reads, rolls back, upgrades and uninstalls a release of ours.
async fn handed_back(helm: &str, server_side: bool, flags: &[&str]) {
    let mut handover = Handover::new(helm).await;
    handover.start().await;
    let first = values("first", 1, json!([{ "name": "A", "value": "1" }]));
    let spec = json!({ "install": { "serverSideApply": server_side }, "values": first });
    handover.ours(&spec, "InstallSucceeded").await;
    let before = handover.workload().await;
    handover
        .ours(&json!({ "values": values("second", 1, json!([{ "name": "A", "value": "1" }])) }), "UpgradeSucceeded")
        .await;
    assert_eq!(handover.workload().await, before, "only the ConfigMap was to change");
    handover.site.daemon.terminate().await;

    handover.helm(&[&["rollback", NAME, "1"], flags].concat());
    let text = async |expected: &str| {
        let config = CONFIG_MAP.get(&handover.site.client, APPS, NAME).await.expect("a ConfigMap");
        assert_eq!(field(&config, "/data/text"), expected);
    };
    text("first").await;
    assert_eq!(handover.workload().await, before, "a rollback of the ConfigMap restarts no pod");
    handover.helm_with("upgrade", &values("helms", 2, json!([{ "name": "A", "value": "1" }])), flags);
    text("helms").await;
    let statuses: Vec<_> = handover.site.history(NAME).into_iter().map(|(_, status)| status).collect();
    assert_eq!(statuses, ["superseded", "superseded", "superseded", "deployed"]);
    handover.helm(&["uninstall", NAME, "--wait"]);
    for kind in [CONFIG_MAP, DEPLOYMENT] {
        kind.gone(&handover.site.client, (APPS, NAME), LONG).await;
    }
    let records = SECRET.api(&handover.site.client, APPS).list(&ListParams::default()).await.unwrap().items;
    assert!(records.is_empty(), "{records:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn helm_3_works_on_a_release_of_ours() {
    handed_back("helm-3", false, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn helm_4_works_on_a_release_of_ours() {
    handed_back("helm", true, &["--force-conflicts"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn helm_4_works_on_a_release_that_was_applied_client_side() {
    handed_back("helm", false, &[]).await;
}
