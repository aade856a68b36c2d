//! What a HelmRelease says of readiness and of what is rendered, on a control plane: expressions over a dependency and over
//! custom resources, post-renderers and metadata for all objects.

use std::time::Duration;

use kube::{ResourceExt as _, api::DynamicObject};
use serde_json::{Value, json};

use crate::{
    harness::objects::{HELM_RELEASE, Kind, condition, field},
    site::{APPS, DAEMON, SOON, Site},
};

const WIDGET: Kind = Kind("example.com", "v1", "Widget");
/// Far below the interval, and below any poll that would find it by chance.
const AT_ONCE: Duration = Duration::from_secs(10);

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
    subresources: {status: {}}
    schema:
      openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}
";
const TEMPLATE: &str = "
apiVersion: example.com/v1
kind: Widget
metadata: {name: widget}
spec: {size: 1}
";

struct Place {
    site: Site,
}

impl Place {
    async fn new() -> Self {
        let mut site = Site::new("1h").await;
        site.cluster.apply(DEFINITION);
        site.remote.write("charts/widget/Chart.yaml", "apiVersion: v2\nname: widget\nversion: 0.1.0\n");
        site.remote.write("charts/widget/templates/widget.yaml", TEMPLATE);
        site.remote.push("The chart");
        site.daemon.start();
        site.environment_is_ready().await;
        Self { site }
    }

    fn apply(&self, name: &str, chart: &str, spec: &Value) {
        let mut full = json!({ "interval": "1h", "timeout": "1m", "chart": { "spec": { "chart": chart,
            "sourceRef": { "kind": "GitRepository", "name": "staging", "namespace": DAEMON } } } });
        json_patch::merge(&mut full, spec);
        let object = json!({ "apiVersion": "helm.toolkit.fluxcd.io/v2", "kind": "HelmRelease",
            "metadata": { "name": name, "namespace": APPS }, "spec": full });
        self.site.cluster.apply(&object.to_string());
    }

    async fn ready(&self, name: &str, status: (&str, &str), within: Duration) {
        HELM_RELEASE.ready(&self.site.client, (APPS, name), within, status).await;
    }

    async fn widget_says(&self, phase: &str) {
        let there = |_: &DynamicObject| true;
        WIDGET.until(&self.site.client, (APPS, "widget"), SOON, "be there", there).await;
        let patch = json!({ "status": { "phase": phase } }).to_string();
        let args = ["patch", "widgets.example.com", "widget", "-n", APPS, "--subresource=status", "--type=merge", "-p"];
        self.site.cluster.kubectl(&[&args[..], &[&patch]].concat());
    }
}

fn checks() -> Value {
    json!([{ "apiVersion": "example.com/v1", "kind": "Widget",
        "inProgress": "!has(status.phase)", "failed": "status.phase == 'Bad'", "current": "status.phase == 'Done'" }])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_waits_for_a_custom_resource_as_its_expressions_say() {
    let place = Place::new().await;
    place.apply("good", "./charts/widget", &json!({ "healthCheckExprs": checks() }));
    place.widget_says("Going").await;
    let waits = |release: &DynamicObject| condition(release, "Ready").is_some_and(|ready| ready.status == "Unknown");
    HELM_RELEASE.until(&place.site.client, (APPS, "good"), SOON, "wait", waits).await;
    place.widget_says("Done").await;
    place.ready("good", ("True", ""), AT_ONCE).await;

    place.widget_says("Bad").await;
    let labels = json!({ "labels": { "a": "b" } });
    place.apply("good", "./charts/widget", &json!({ "healthCheckExprs": checks(), "commonMetadata": labels }));
    place
        .ready("good", ("False", "failed early due to stalled resources: [Widget/apps/widget status: 'Failed']"), SOON)
        .await;
    let bad = json!([{ "apiVersion": "example.com/v1", "kind": "Widget", "current": "(" }]);
    place.apply("good", "./charts/widget", &json!({ "healthCheckExprs": bad }));
    place.ready("good", ("False", "failed to parse the expression Current"), SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dependency_is_ready_when_the_expression_says_so() {
    let place = Place::new().await;
    place.apply("first", "./charts/widget", &json!({}));
    place.ready("first", ("True", ""), SOON).await;
    let ready = "dep.metadata.?annotations[?'example.com/go'].orValue('') == self.spec.values.text";
    let spec = json!({ "values": { "text": "yes" }, "dependsOn": [{ "name": "first", "readyExpr": ready }] });
    place.apply("second", "./charts/note", &spec);
    place.ready("second", ("False", "is not ready according to readyExpr eval"), SOON).await;
    place.site.cluster.kubectl(&["annotate", "helmrelease", "first", "-n", APPS, "example.com/go=yes"]);
    place.ready("second", ("True", ""), AT_ONCE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_rendered_goes_through_the_post_renderers_and_a_change_of_them_upgrades() {
    let place = Place::new().await;
    let patch = |size: i64| {
        let operations = json!([{ "op": "replace", "path": "/spec/size", "value": size }]).to_string();
        json!({ "postRenderers": [{ "kustomize": { "patches": [
            { "patch": operations, "target": { "kind": "Widget" } },
            { "patch": "apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: widget, labels: {patched: 'yes'}}\n" },
        ] } }], "commonMetadata": { "annotations": { "team": "web" } } })
    };
    for (at, size) in [(1, 7), (2, 8)] {
        place.apply("good", "./charts/widget", &patch(size));
        place.ready("good", ("True", &format!(".v{at} ")), SOON).await;
        let widget = WIDGET.get(&place.site.client, APPS, "widget").await.unwrap();
        assert_eq!(field(&widget, "/spec/size"), size);
        assert_eq!(widget.labels()["patched"], "yes");
        assert_eq!(widget.annotations()["team"], "web");
    }
    let manifest = place.site.cluster.helm(&["get", "manifest", "good", "-n", APPS]);
    let expected = "---
# Source: widget/templates/widget.yaml
apiVersion: example.com/v1
kind: Widget
metadata:
  annotations:
    team: web
  labels:
    helm.toolkit.fluxcd.io/name: good
    helm.toolkit.fluxcd.io/namespace: apps
    patched: \"yes\"
  name: widget
spec:
  size: 8
";
    assert_eq!(manifest.trim_end(), expected.trim_end());
}
