//! What goes through the API types comes out as it went in.

use bowline::api::{
    self, Bucket, GitRepository, HelmChart, HelmRelease, HelmRepository, ImagePolicy, ImageRepository,
    ImageUpdateAutomation, Kustomization, OCIRepository,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

/// An object's part with every field that its schema has.
fn full(schema: &Value) -> Value {
    if let Some(words) = schema["enum"].as_array() {
        return words.last().unwrap().clone();
    }
    match schema["type"].as_str() {
        Some("object") => match schema["properties"].as_object() {
            Some(fields) => fields.iter().map(|(name, field)| (name.clone(), full(field))).collect(),
            None => json!({ "key": full(&schema["additionalProperties"]) }),
        },
        Some("array") => json!([full(&schema["items"])]),
        Some("integer") => json!(7),
        Some("boolean") => json!(true),
        Some("string") if schema["format"] == "date-time" => json!("2026-11-24T08:00:00Z"),
        Some("string") if schema["pattern"].as_str().is_some_and(|pattern| pattern.contains("ms|s|m")) => {
            json!("1m30s")
        }
        Some("string") => json!("word"),
        None if schema["x-kubernetes-preserve-unknown-fields"] == true => json!({ "a": [1, 2.5, null, { "b": "c" }] }),
        other => panic!("no sample of {other:?}"),
    }
}

fn through<K: DeserializeOwned + Serialize>(object: &Value) -> Value {
    serde_json::to_value(serde_json::from_value::<K>(object.clone()).unwrap()).unwrap()
}

#[test]
fn every_field_of_a_schema_is_a_field_of_its_type() {
    for crd in api::crds() {
        let version = serde_json::to_value(&crd.spec.versions[0]).unwrap();
        let schema = &version["schema"]["openAPIV3Schema"]["properties"];
        let kind = crd.spec.names.kind.as_str();
        let object = json!({
            "apiVersion": format!("{}/{}", crd.spec.group, crd.spec.versions[0].name),
            "kind": kind,
            "metadata": { "name": "a", "namespace": "b" },
            "spec": full(&schema["spec"]),
            "status": full(&schema["status"]),
        });
        let out = match kind {
            "Bucket" => through::<Bucket>(&object),
            "GitRepository" => through::<GitRepository>(&object),
            "HelmChart" => through::<HelmChart>(&object),
            "HelmRelease" => through::<HelmRelease>(&object),
            "HelmRepository" => through::<HelmRepository>(&object),
            "ImagePolicy" => through::<ImagePolicy>(&object),
            "ImageRepository" => through::<ImageRepository>(&object),
            "ImageUpdateAutomation" => through::<ImageUpdateAutomation>(&object),
            "Kustomization" => through::<Kustomization>(&object),
            "OCIRepository" => through::<OCIRepository>(&object),
            other => panic!("no type for {other}"),
        };
        assert_eq!(out, object, "{kind}");
    }
}

#[test]
fn what_another_version_wrote_is_read_with_the_rest_of_its_list() {
    let strange: Vec<HelmRelease> = serde_json::from_value(json!([
        {
            "apiVersion": "helm.toolkit.fluxcd.io/v2", "kind": "HelmRelease", "metadata": { "name": "strange" },
            "spec": {
                "interval": "soon",
                "chartRef": { "kind": "FutureSource", "name": "x" },
                "waitStrategy": { "name": "oracle" },
                "aFieldOfTheFuture": { "a": 1 },
            },
            "status": { "history": [{
                "action": "teleport", "chartName": "c", "chartVersion": "1", "configDigest": "d", "deleted": null, "digest": "e",
                "firstDeployed": "2026-11-24T08:00:00Z", "lastDeployed": "2026-11-24T08:00:00Z",
                "name": "n", "namespace": "m", "status": "deployed", "testHooks": {}, "version": 3,
            }] },
        },
        {
            "apiVersion": "helm.toolkit.fluxcd.io/v2", "kind": "HelmRelease", "metadata": { "name": "plain" },
            "spec": { "interval": "5m" },
        },
    ]))
    .unwrap();
    let spec = &strange[0].spec;
    assert_eq!(spec.interval, api::Duration::Malformed("soon".into()));
    assert_eq!(spec.chart_ref.as_ref().unwrap().kind.as_str(), "FutureSource");
    let snapshot = &strange[0].status.as_ref().unwrap().history[0];
    assert_eq!(snapshot.action.as_ref().unwrap().as_str(), "teleport");
    assert_eq!(snapshot.test_hooks, Some([].into()), "no tests is not the same as not tested");
    assert_eq!(strange[1].spec.interval, api::Duration::from_secs(300));
}

#[test]
fn what_the_server_fills_in_is_what_the_types_fill_in() {
    let chart: HelmChart = serde_json::from_value(json!({
        "apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "HelmChart", "metadata": { "name": "a" },
        "spec": { "chart": "c", "interval": "1m", "sourceRef": { "kind": "HelmRepository", "name": "r" } },
    }))
    .unwrap();
    assert_eq!(chart.spec.version, "*");
    assert_eq!(chart.spec.reconcile_strategy.as_str(), "ChartVersion");
    let git: GitRepository = serde_json::from_value(json!({
        "apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "GitRepository", "metadata": { "name": "a" },
        "spec": { "url": "https://example.com/r", "interval": "1m", "verify": { "secretRef": { "name": "keys" } } },
    }))
    .unwrap();
    assert_eq!(git.spec.timeout, api::Duration::from_secs(60));
    assert_eq!(git.spec.verify.unwrap().mode.as_str(), "HEAD");
    let image: ImageRepository = serde_json::from_value(json!({
        "apiVersion": "image.toolkit.fluxcd.io/v1", "kind": "ImageRepository", "metadata": { "name": "a" },
        "spec": { "image": "example.com/i", "interval": "1m" },
    }))
    .unwrap();
    assert_eq!(image.spec.exclusion_list, [r"^.*\.sig$"]);
}
