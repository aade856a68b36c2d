//! What is done to a release while something goes wrong, and how it should end.

use kube::{
    ResourceExt as _,
    api::{DeleteParams, DynamicObject, Patch, PatchParams},
};
use serde_json::{Value, json};

use super::{Faulty, NAME, SETTLED};
use crate::{
    harness::objects::{CONFIG_MAP, DEPLOYMENT, HELM_RELEASE, condition},
    site::DAEMON,
};

/// A chart with objects that come and go, a hook for each event, and a value that makes an install or upgrade fail.
pub const CHART: [(&str, &str); 3] = [
    ("Chart.yaml", "apiVersion: v2\nname: app\nversion: 0.1.0\n"),
    ("templates/objects.yaml", OBJECTS),
    ("templates/hooks.yaml", HOOKS),
];

const OBJECTS: &str = r#"
apiVersion: v1
kind: ConfigMap
metadata: {name: one}
data: {text: {{ .Values.text | quote }}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: {{ .Values.text }}}
data: {text: {{ .Values.text | quote }}}
---
apiVersion: v1
kind: Secret
metadata: {name: one}
stringData: {password: swordfish}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: one}
spec:
  replicas: 0
  selector: {matchLabels: {app: one}}
  template:
    metadata: {labels: {app: one}}
    spec: {containers: [{name: main, image: "example.org/main:{{ .Values.text }}"}]}
{{- if .Values.fails }}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: nowhere, namespace: a-namespace-that-is-not-there}
{{- end }}
"#;

const HOOKS: &str = r#"
{{- range $event := list "pre-install" "post-install" "post-upgrade" "pre-rollback" "post-rollback" "post-delete" }}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: hook-{{ $event }}
  annotations: {helm.sh/hook: {{ $event }}}
{{- end }}
{{- range $event := list "pre-upgrade" "pre-delete" }}
---
apiVersion: batch/v1
kind: Job
metadata:
  name: hook-{{ $event }}
  annotations: {helm.sh/hook: {{ $event }}}
spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: i}]}}}
{{- end }}
{{- range $index, $test := list "first" "second" }}
---
apiVersion: v1
kind: Pod
metadata:
  name: hook-test-{{ $test }}
  annotations: {helm.sh/hook: test, helm.sh/hook-weight: {{ $index | quote }}}
spec: {restartPolicy: Never, containers: [{name: c, image: i}]}
{{- end }}
"#;

/// An action on a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scenario {
    Install,
    Upgrade,
    Test,
    Rollback,
    Uninstall,
    UninstallRemediation,
    Reinstall,
    Drift,
}

impl Scenario {
    pub const ALL: [Self; 8] = [
        Self::Install,
        Self::Upgrade,
        Self::Test,
        Self::Rollback,
        Self::Uninstall,
        Self::UninstallRemediation,
        Self::Reinstall,
        Self::Drift,
    ];

    /// The beginning of the names of its namespaces.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Install => "install",
            Self::Upgrade => "upgrade",
            Self::Test => "test",
            Self::Rollback => "rollback",
            Self::Uninstall => "uninstall",
            Self::UninstallRemediation => "remedy",
            Self::Reinstall => "reinstall",
            Self::Drift => "drift",
        }
    }

    /// What is installed before, if anything.
    fn before(self) -> Option<Value> {
        match self {
            Self::Install | Self::UninstallRemediation => None,
            Self::Drift => Some(json!({ "driftDetection": { "mode": "enabled" } })),
            Self::Upgrade | Self::Test | Self::Rollback | Self::Uninstall | Self::Reinstall => Some(json!({})),
        }
    }

    /// What the spec says then; none where it stays.
    fn after(self) -> Option<Value> {
        let fails = json!({ "text": "three", "fails": true });
        match self {
            Self::Install => Some(json!({})),
            Self::Upgrade => Some(json!({ "values": { "text": "three" } })),
            Self::Test => Some(json!({ "test": { "enable": true } })),
            Self::Rollback => Some(json!({ "values": fails,
                "upgrade": { "disableWait": true, "remediation": { "retries": 0, "remediateLastFailure": true } } })),
            // What follows an install that a crash cut short is an upgrade.
            Self::UninstallRemediation => Some(json!({ "values": fails,
                "install": { "disableWait": true, "remediation": { "retries": 0, "remediateLastFailure": true } },
                "upgrade": { "disableWait": true,
                    "remediation": { "retries": 0, "remediateLastFailure": true, "strategy": "uninstall" } } })),
            Self::Reinstall => Some(json!({ "values": fails, "upgrade": { "disableWait": true,
                "remediation": { "retries": 0, "remediateLastFailure": true, "strategy": "uninstall" } } })),
            Self::Uninstall | Self::Drift => None,
        }
    }

    /// Tells whether the release is there in the end.
    pub fn leaves_a_release(self) -> bool {
        !matches!(self, Self::Uninstall | Self::UninstallRemediation)
    }

    /// Tells whether an earlier revision stays that can be rolled back to.
    pub fn keeps_a_target(self) -> bool {
        matches!(self, Self::Upgrade | Self::Rollback)
    }

    /// Brings a release to where the scenario begins, without waiting for it.
    pub async fn prepare(self, faulty: &Faulty, namespace: &str) {
        faulty.namespace(namespace).await;
        if let Some(spec) = self.before() {
            write(faulty, namespace, spec).await;
        }
    }

    /// Waits until a release is where the scenario begins.
    pub async fn prepared(self, faulty: &Faulty, namespace: &str) {
        if self.before().is_some() {
            HELM_RELEASE.ready(faulty.client(), (namespace, NAME), SETTLED * 2, ("True", "")).await;
        }
    }

    pub async fn act(self, faulty: &Faulty, namespace: &str) {
        if let Some(spec) = self.after() {
            write(faulty, namespace, spec).await;
        }
        let client = faulty.client();
        if self == Self::Uninstall {
            HELM_RELEASE.api(client, namespace).delete(NAME, &DeleteParams::default()).await.unwrap();
        }
        if self == Self::Drift {
            let maps = CONFIG_MAP.api(client, namespace);
            let edit = Patch::Merge(json!({ "data": { "text": "edited" } }));
            let params = PatchParams { field_manager: Some("outside".to_owned()), ..PatchParams::default() };
            maps.patch("one", &params, &edit).await.unwrap();
            let image = json!({ "metadata": { "labels": { "helm.toolkit.fluxcd.io/name": "edited" } } });
            DEPLOYMENT.api(client, namespace).patch("one", &params, &Patch::Merge(image)).await.unwrap();
            maps.delete("two", &DeleteParams::default()).await.unwrap();
        }
    }

    /// Waits until the objects are as they should be, where the status does not tell that they are not yet.
    pub async fn is_put_right(self, faulty: &Faulty, namespace: &str) {
        if self != Self::Drift {
            return;
        }
        let (client, owner) = (faulty.client(), "helm.toolkit.fluxcd.io/name");
        let says = |name| {
            let holds = move |object: &DynamicObject| object.data["data"]["text"] == "two";
            CONFIG_MAP.until(client, (namespace, name), SETTLED, "be put right", holds)
        };
        says("one").await;
        says("two").await;
        let holds = |object: &DynamicObject| object.labels().get(owner).is_some_and(|name| name == NAME);
        DEPLOYMENT.until(client, (namespace, "one"), SETTLED, "be put right", holds).await;
    }

    /// Tells whether a release is where the scenario ends, as far as its status says; none is a release that is gone.
    pub fn is_over(self, release: Option<&DynamicObject>) -> bool {
        let Some(release) = release else { return self == Self::Uninstall };
        let is = |kind: &str, status: &str| condition(release, kind).is_some_and(|one| one.status == status);
        let is_observed = release.data["status"]["observedGeneration"].as_i64() == release.metadata.generation;
        match self {
            Self::Install | Self::Upgrade => is_observed && is("Ready", "True"),
            Self::Test => is_observed && is("Ready", "True") && is("TestSuccess", "True"),
            Self::Rollback => is_observed && is("Stalled", "True") && is("Remediated", "True"),
            Self::UninstallRemediation | Self::Reinstall => {
                is_observed && is("Ready", "False") && is("Stalled", "True")
            }
            Self::Uninstall => false,
            Self::Drift => is_observed && is("Ready", "True") && is("Drifted", "False"),
        }
    }
}

/// Writes the HelmRelease; `spec` is laid over what all have.
async fn write(faulty: &Faulty, namespace: &str, spec: Value) {
    let mut whole = json!({
        "interval": "1h",
        "timeout": "30s",
        "chart": { "spec": { "chart": "./charts/app", "interval": "1h",
            "sourceRef": { "kind": "GitRepository", "name": "staging", "namespace": DAEMON } } },
        "install": { "disableWait": true },
        "upgrade": { "disableWait": true },
        "values": { "text": "two" },
    });
    json_patch::merge(&mut whole, &spec);
    let object = json!({ "apiVersion": "helm.toolkit.fluxcd.io/v2", "kind": "HelmRelease",
        "metadata": { "name": NAME, "namespace": namespace }, "spec": whole });
    let params = PatchParams::apply("a-person").force();
    HELM_RELEASE.api(faulty.client(), namespace).patch(NAME, &params, &Patch::Apply(&object)).await.unwrap();
}
