//! Both ways of applying, held against the real helm's: the same operations on the same chart leave the same objects, the
//! same owners of their fields, and the same word in the release record.

use std::{fs, path::Path, time::Duration};

use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams};
use serde_json::{Map, Value, json};

use crate::{
    harness::objects::{HELM_RELEASE, Kind, condition, field},
    site::{APPS, DAEMON, Site},
};

const LONG: Duration = Duration::from_mins(2);
/// Where the real helm installs what the daemon installs in [`APPS`].
const THEIRS: &str = "theirs";
const NAME: &str = "web";
/// As whom the daemon works.
const USER: &str = "bowline";
/// Ours and helm's name for the same role.
const MANAGERS: [&str; 2] = ["helm-controller", "helm"];

const DEPLOYMENT: Kind = Kind("apps", "v1", "Deployment");
const SERVICE: Kind = Kind("", "v1", "Service");
const CONFIG_MAP: Kind = Kind("", "v1", "ConfigMap");
const SERVICE_ACCOUNT: Kind = Kind("", "v1", "ServiceAccount");
const BUDGET: Kind = Kind("policy", "v1", "PodDisruptionBudget");
const WIDGET: Kind = Kind("example.com", "v1", "Widget");
const KINDS: [Kind; 6] = [DEPLOYMENT, SERVICE, CONFIG_MAP, SERVICE_ACCOUNT, BUDGET, WIDGET];

const DEFINITION: &str = "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {kind: Widget, plural: widgets, singular: widget}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            properties:
              size: {type: integer}
              color: {type: string}
              parts: {type: array, items: {type: object, properties: {name: {type: string}}}}
";

const TEMPLATES: &str = r"
apiVersion: v1
kind: ServiceAccount
metadata: {name: {{ .Release.Name }}}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .Release.Name }}
  {{- with .Values.note }}
  annotations: {note: {{ . | quote }}}
  {{- end }}
data:
  {{- toYaml .Values.data | nindent 2 }}
---
apiVersion: v1
kind: Service
metadata: {name: {{ .Release.Name }}}
spec:
  selector: {app: {{ .Release.Name }}}
  ports: {{- toYaml .Values.ports | nindent 4 }}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: {{ .Release.Name }}}
spec:
  minAvailable: 0
  selector:
    matchLabels: {app: {{ .Release.Name }}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: {{ .Release.Name }}}
spec:
  replicas: 0
  {{- with .Values.strategy }}
  strategy: {{- toYaml . | nindent 4 }}
  {{- end }}
  selector:
    matchLabels: {app: {{ .Values.app | default .Release.Name }}}
  template:
    metadata:
      labels: {app: {{ .Values.app | default .Release.Name }}}
      {{- with .Values.podAnnotations }}
      annotations: {{- toYaml . | nindent 8 }}
      {{- end }}
    spec:
      serviceAccountName: {{ .Release.Name }}
      containers: {{- toYaml .Values.containers | nindent 8 }}
      {{- with .Values.volumes }}
      volumes: {{- toYaml . | nindent 8 }}
      {{- end }}
---
apiVersion: example.com/v1
kind: Widget
metadata: {name: {{ .Release.Name }}}
spec: {{- toYaml .Values.widget | nindent 2 }}
";

/// The values of each revision; what a revision drops, adds and changes is of every kind that merging treats apart.
fn revisions() -> [Value; 3] {
    let container = |image: &str, env: Value| {
        json!({ "name": "main", "image": image, "env": env,
        "ports": [{ "containerPort": 80, "name": "http" }, { "containerPort": 80, "name": "udp", "protocol": "UDP" }] })
    };
    let side = json!({ "name": "side", "image": "example/side:1" });
    [
        json!({ "note": "first", "data": { "a": "1", "b": "2" }, "podAnnotations": { "kept": "1", "dropped": "1" },
            "ports": [{ "name": "http", "port": 80 }, { "name": "dns", "port": 53, "protocol": "TCP" }],
            "containers": [container("example/main:1", json!([{ "name": "A", "value": "1" }, { "name": "B", "value": "2" }])), side],
            "volumes": [{ "name": "data", "emptyDir": {} }, { "name": "more", "emptyDir": {} }],
            "strategy": { "type": "RollingUpdate", "rollingUpdate": { "maxSurge": 2 } },
            "widget": { "size": 1, "color": "red", "parts": [{ "name": "x" }] } }),
        json!({ "note": null, "data": { "a": "1", "c": "3" }, "podAnnotations": { "kept": "2" },
            "ports": [{ "name": "http", "port": 80, "targetPort": 8080 }],
            "containers": [container("example/main:2", json!([{ "name": "B", "value": "3" }, { "name": "C", "value": "4" }]))],
            "volumes": [{ "name": "data", "configMap": { "name": "web" } }],
            "strategy": { "type": "Recreate" },
            "widget": { "size": 2, "parts": [{ "name": "y" }] } }),
        json!({ "note": "third", "data": { "c": "3" }, "podAnnotations": null,
            "ports": [{ "name": "http", "port": 80, "targetPort": 8080 }, { "name": "more", "port": 81 }],
            "containers": [container("example/main:2", json!([])), { "name": "late", "image": "example/late:1" }],
            "volumes": null, "strategy": null,
            "widget": { "size": 2, "color": "blue" } }),
    ]
}

/// What others do between the revisions.
const EDITS: [(&str, &str, &str); 4] = [
    (
        "deployment",
        "strategic",
        r#"{"spec":{"template":{"spec":{"containers":[{"name":"injected","image":"example/injected:1"}]}}}}"#,
    ),
    ("configmap", "merge", r#"{"data":{"a":"edited","theirs":"1"},"metadata":{"annotations":{"theirs":"1"}}}"#),
    ("service", "merge", r#"{"spec":{"sessionAffinity":"ClientIP"}}"#),
    ("widgets.example.com", "merge", r#"{"spec":{"size":9}}"#),
];

struct Both {
    site: Site,
}

impl Both {
    async fn new() -> Self {
        let mut site = Site::new("1h").await;
        site.cluster.apply(DEFINITION);
        site.cluster.kubectl(&["create", "namespace", THEIRS]);
        site.remote.write("charts/web/Chart.yaml", "apiVersion: v2\nname: web\nversion: 0.1.0\n");
        site.remote.write("charts/web/values.yaml", "app: \"\"\n");
        site.remote.write("charts/web/templates/all.yaml", TEMPLATES);
        site.remote.push("The chart");
        site.daemon.start();
        site.environment_is_ready().await;
        Self { site }
    }

    /// Runs helm on its own namespace.
    fn helm(&self, verb: &[&str], values: &Value, flags: &[&str]) -> Result<String, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), values.to_string()).unwrap();
        let chart = self.site.remote.work().join("charts/web");
        let args = [verb, &[NAME, path(&chart), "-n", THEIRS, "-f", path(file.path())], flags].concat();
        self.site.cluster.try_helm(&args)
    }

    /// Writes the HelmRelease and waits until it is Ready, or not, with the message.
    async fn ours(&self, spec: &Value, (status, message): (&str, &str)) -> DynamicObject {
        let mut full = json!({ "interval": "1h", "timeout": "1m", "chart": { "spec": { "chart": "./charts/web",
            "sourceRef": { "kind": "GitRepository", "name": "staging", "namespace": DAEMON } } } });
        json_patch::merge(&mut full, spec);
        let object = json!({ "apiVersion": "helm.toolkit.fluxcd.io/v2", "kind": "HelmRelease",
            "metadata": { "name": NAME, "namespace": APPS }, "spec": full });
        self.site.cluster.apply(&object.to_string());
        HELM_RELEASE.ready(&self.site.client, (APPS, NAME), LONG, (status, message)).await
    }

    fn edit(&self) {
        for namespace in [APPS, THEIRS] {
            for (kind, how, patch) in EDITS {
                self.site.cluster.kubectl(&["patch", kind, NAME, "-n", namespace, "--type", how, "-p", patch]);
            }
        }
    }

    async fn object(&self, kind: Kind, namespace: &str) -> Value {
        let object = kind.get(&self.site.client, namespace, NAME).await;
        serde_json::to_value(object.unwrap_or_else(|| panic!("{kind:?} in {namespace} is not there"))).unwrap()
    }

    async fn same(&self, when: &str) {
        for kind in KINDS {
            let (ours, theirs) = (self.object(kind, APPS).await, self.object(kind, THEIRS).await);
            let (ours, theirs) = (comparable(ours), comparable(theirs));
            let difference = json_patch::diff(&ours, &theirs);
            assert!(difference.is_empty(), "{kind:?} {when}: {difference:#}\nmakes helm's of ours, which is\n{ours:#}");
        }
        let (ours, theirs) = (self.recorded(APPS), self.recorded(THEIRS));
        assert_eq!(ours, theirs, "the record {when}");
    }

    fn recorded(&self, namespace: &str) -> String {
        let json = self.site.cluster.helm(&["get", "metadata", NAME, "-n", namespace, "-o", "json"]);
        let metadata: Value = serde_json::from_str(&json).unwrap();
        metadata["applyMethod"].as_str().unwrap_or_default().to_owned()
    }
}

fn path(path: &Path) -> &str {
    path.to_str().expect("the path is text")
}

/// What of an object has to be the same: all but what each object has of its own, what other controllers write, and the
/// labels that say which HelmRelease it is of.
fn comparable(mut object: Value) -> Value {
    fn without_origin(value: &mut Value) {
        let Some(map) = value.as_object_mut() else { return };
        map.retain(|key, _| !key.contains("helm.toolkit.fluxcd.io/"));
        map.values_mut().for_each(without_origin);
    }
    object.as_object_mut().unwrap().remove("status");
    for field in ["clusterIP", "clusterIPs"] {
        if let Some(spec) = object["spec"].as_object_mut() {
            spec.remove(field);
        }
    }
    let metadata = object["metadata"].as_object_mut().unwrap();
    for field in ["uid", "resourceVersion", "creationTimestamp", "namespace"] {
        metadata.remove(field);
    }
    if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
        annotations.remove("deployment.kubernetes.io/revision");
        annotations.remove("meta.helm.sh/release-namespace");
    }
    let entries = metadata.remove("managedFields").unwrap_or_default();
    let mut owned = Map::new();
    for entry in entries.as_array().unwrap() {
        let text = |key: &str| entry[key].as_str().unwrap_or_default();
        if MANAGERS.contains(&text("manager")) {
            owned.insert(format!("{} {}", text("operation"), text("subresource")), entry["fieldsV1"].clone());
        }
    }
    metadata.insert("managedFields".to_owned(), Value::Object(owned));
    without_origin(&mut object);
    object
}

/// Installs, lets others edit, upgrades twice, each in one of two ways, and compares with helm after each.
async fn life(install: bool, upgrades: [bool; 2]) {
    let both = Both::new().await;
    let [first, second, third] = revisions();
    let flags = |server_side: bool| {
        let (way, force) = if server_side { ("true", "true") } else { ("false", "false") };
        [format!("--server-side={way}"), format!("--force-conflicts={force}"), "--take-ownership".to_owned()]
    };
    let as_text = |flags: &[String]| flags.iter().map(String::as_str).collect::<Vec<_>>().join(" ");
    let run = |verb: &[&str], values: &Value, way: bool| {
        let flags = flags(way);
        let flags: Vec<_> = flags.iter().map(String::as_str).collect();
        both.helm(verb, values, &flags).unwrap_or_else(|said| panic!("helm {verb:?} {}: {said}", flags.join(" ")))
    };
    run(&["install"], &first, install);
    both.ours(&json!({ "install": { "serverSideApply": install }, "values": first }), ("True", "")).await;
    both.same(&format!("after an install with {}", as_text(&flags(install)))).await;
    for (values, way) in [second, third].into_iter().zip(upgrades) {
        both.edit();
        run(&["upgrade"], &values, way);
        let mode = if way { "enabled" } else { "disabled" };
        let mut spec = json!({ "upgrade": { "serverSideApply": mode } });
        spec["values"] = values;
        both.ours(&spec, ("True", "")).await;
        both.same(&format!("after an upgrade with {}", as_text(&flags(way)))).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn client_side_is_as_helms() {
    life(false, [false, false]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn server_side_is_as_helms() {
    life(true, [true, true]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn going_from_one_way_to_the_other_and_back_is_as_helms() {
    life(false, [true, false]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_is_sent_for_what_is_new_or_differs_and_schemas_are_read_once() {
    let both = Both::new().await;
    let [mut values, ..] = revisions();
    values["strategy"] = Value::Null;
    let audit = both.site.cluster.audit_log();
    let since = |mark| {
        let requests = audit.requests_since(mark, USER).into_iter();
        let kinds = ["deployments", "services", "configmaps", "serviceaccounts", "poddisruptionbudgets", "widgets"];
        let of_objects = requests.clone().filter(|request| {
            kinds.contains(&&*request.object_ref.resource)
                && request.object_ref.namespace == APPS
                && request.verb != "watch"
        });
        let (writes, reads): (Vec<_>, Vec<_>) =
            of_objects.map(|request| request.summary()).partition(|summary| !summary.starts_with("get "));
        let schemas: Vec<_> =
            requests.map(|request| request.summary()).filter(|summary| summary.contains("/openapi/")).collect();
        (writes, reads, schemas)
    };
    let mark = audit.now();
    both.ours(&json!({ "install": { "serverSideApply": false }, "values": values }), ("True", "")).await;
    let (writes, reads, schemas) = since(mark);
    assert!(writes.len() == 6 && writes.iter().all(|write| write.starts_with("create ")), "{writes:?}");
    assert_eq!(reads, [""; 0]);
    assert_eq!(schemas.len(), 4, "one for each group version: {schemas:?}");
    let mark = audit.now();
    values["data"]["a"] = json!("2");
    both.ours(&json!({ "values": values }), ("True", "")).await;
    let (writes, reads, schemas) = since(mark);
    assert_eq!(writes, ["patch configmaps"]);
    assert_eq!((reads.len(), schemas.len()), (6, 0), "{reads:?} {schemas:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_that_are_there_are_taken_over_as_helm_takes_them() {
    let both = Both::new().await;
    let [first, ..] = revisions();
    for namespace in [APPS, THEIRS] {
        let there = format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {NAME}, namespace: {namespace}}}\ndata: {{a: x, own: z}}\n---\n\
             apiVersion: example.com/v1\nkind: Widget\nmetadata: {{name: {NAME}, namespace: {namespace}}}\nspec: {{size: 7}}\n"
        );
        both.site.cluster.apply(&there);
    }
    both.helm(&["install"], &first, &["--server-side=false", "--take-ownership"]).unwrap();
    both.ours(&json!({ "install": { "serverSideApply": false }, "values": first }), ("True", "")).await;
    both.same("after an install over what was there").await;
    assert_eq!(both.object(WIDGET, APPS).await["spec"]["size"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_schema_refuses_leaves_nothing_behind() {
    let both = Both::new().await;
    let [first, ..] = revisions();
    let mut wrong = first.clone();
    wrong["containers"][0]["unknownField"] = json!(1);
    let object = both.ours(&json!({ "values": wrong }), ("False", ".unknownField: field not declared in schema")).await;
    let message = condition(&object, "Ready").unwrap().message;
    let helms =
        "server-side apply failed for object apps/web apps/v1, Kind=Deployment: failed to create typed patch object";
    assert!(message.contains(helms), "{message}");
    assert!(field(&object, "/status/installFailures").is_null(), "{object:?}");
    assert_eq!(
        both.site.cluster.try_helm(&["history", NAME, "-n", APPS]).map_err(|said| said.contains("not found")),
        Err(true)
    );
    assert!(CONFIG_MAP.get(&both.site.client, APPS, NAME).await.is_none());
    both.ours(&json!({ "values": first }), ("True", "")).await;
    let object = both.ours(&json!({ "values": wrong }), ("False", "field not declared in schema")).await;
    assert!(field(&object, "/status/upgradeFailures").is_null(), "{object:?}");
    assert_eq!(both.site.history(NAME).len(), 1);
    let open =
        json!({ "upgrade": { "disableOpenAPIValidation": true, "remediation": { "retries": 0 } }, "values": wrong });
    let object = both.ours(&open, ("False", "field not declared in schema")).await;
    assert_eq!(field(&object, "/status/upgradeFailures"), 1, "what was written counts");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_immutable_field_is_named_and_force_makes_only_that_object_anew() {
    let both = Both::new().await;
    let [first, ..] = revisions();
    let uid = |object: &Value| object["metadata"]["uid"].clone();
    for mode in ["enabled", "disabled"] {
        let app = |name: &str| {
            let mut values = first.clone();
            values["app"] = json!(name);
            values
        };
        let way = json!({ "serverSideApply": mode });
        both.ours(&json!({ "upgrade": way, "values": app(&format!("{mode}-a")) , "install": { "serverSideApply": mode == "enabled" } }), ("True", "")).await;
        let (deployment, service) = (both.object(DEPLOYMENT, APPS).await, both.object(SERVICE, APPS).await);
        let object = both
            .ours(&json!({ "upgrade": way, "values": app(&format!("{mode}-b")) }), ("False", "field is immutable"))
            .await;
        let message = condition(&object, "Ready").unwrap().message;
        assert!(message.contains("spec.selector of Deployment/apps/web cannot be changed: with force"), "{message}");
        let forced =
            json!({ "upgrade": { "serverSideApply": mode, "force": true }, "values": app(&format!("{mode}-b")) });
        both.ours(&forced, ("True", "")).await;
        let (anew, same) = (both.object(DEPLOYMENT, APPS).await, both.object(SERVICE, APPS).await);
        assert_ne!(uid(&anew), uid(&deployment), "{mode}");
        assert_eq!(uid(&same), uid(&service), "{mode}");
        assert_eq!(anew["spec"]["selector"]["matchLabels"]["app"], format!("{mode}-b"));
        // The next round begins with another selector.
        HELM_RELEASE.api(&both.site.client, APPS).delete(NAME, &DeleteParams::default()).await.unwrap();
        HELM_RELEASE.gone(&both.site.client, (APPS, NAME), LONG).await;
    }
    let patch = Patch::Merge(json!({}));
    let there = CONFIG_MAP.api(&both.site.client, APPS).patch(NAME, &PatchParams::default(), &patch).await;
    assert!(there.is_err(), "uninstalled with its release");
}
