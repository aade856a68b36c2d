//! What becomes of single objects.

use super::*;
use crate::{api::KustomizationSpec, reconcile::environment::manifests::Place};

fn owner(spec: Value) -> Kustomization {
    let mut full = json!({"interval": "1m", "prune": true, "sourceRef": {"kind": "GitRepository", "name": "s"}});
    json_patch::merge(&mut full, &spec);
    let spec: KustomizationSpec = serde_json::from_value(full).expect("spec");
    let mut owner = Kustomization::new("staging", spec);
    owner.metadata.namespace = Some("flux-system".to_owned());
    owner
}

fn prepared(object: Value, spec: Value) -> Folder {
    let place = Place { file: "a.yaml".into(), document: 1, line: 1 };
    let id = ObjectId::of(&object).expect("complete");
    prepare(Folder { manifests: vec![Manifest { place, id, object }], faults: Vec::new() }, &owner(spec))
}

fn one(object: Value, spec: Value) -> Value {
    prepared(object, spec).manifests.remove(0).object
}

fn object(api_version: &str, kind: &str, rest: Value) -> Value {
    let mut object = json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": "a", "namespace": "n"}});
    json_patch::merge(&mut object, &rest);
    object
}

#[test]
fn owner_labels_are_set_and_common_metadata_wins_over_what_is_there() {
    let config = object("v1", "ConfigMap", json!({"metadata": {"labels": {"a": "0", "b": "2"}}}));
    let spec = json!({"commonMetadata": {"labels": {"a": "1"}, "annotations": {"c": "3"}}});
    let metadata = one(config.clone(), spec)["metadata"].clone();
    let expected = json!({"a": "1", "b": "2", "kustomize.toolkit.fluxcd.io/name": "staging",
        "kustomize.toolkit.fluxcd.io/namespace": "flux-system"});
    assert_eq!((&metadata["labels"], &metadata["annotations"]), (&expected, &json!({"c": "3"})));
    assert_eq!(one(config, json!({}))["metadata"]["labels"]["a"], "0");
}

#[test]
fn a_secrets_strings_become_data() {
    let secret = object("v1", "Secret", json!({"data": {"a": "eA=="}, "stringData": {"a": "y", "b": "z"}}));
    let prepared = one(secret, json!({}));
    assert_eq!((&prepared["data"], prepared.get("stringData")), (&json!({"a": "eQ==", "b": "eg=="}), None));
}

#[test]
fn an_encrypted_secret_is_a_fault_that_says_what_is_missing() {
    let secret = object("v1", "Secret", json!({"sops": {"mac": "x"}}));
    let folder = prepared(secret.clone(), json!({}));
    assert!(folder.manifests.is_empty());
    assert!(folder.faults[0].message.starts_with("Secret/n/a is SOPS encrypted, configuring decryption is required"));
    let mut opted_out = secret;
    opted_out["metadata"]["annotations"] = json!({"kustomize.toolkit.fluxcd.io/decrypt": "disabled"});
    assert_eq!(prepared(opted_out, json!({})).faults, []);
}

#[test]
fn status_and_creation_time_go_but_a_definitions_status_stays() {
    let rest = json!({"status": {"x": 1}, "metadata": {"creationTimestamp": null}});
    let config = one(object("v1", "ConfigMap", rest.clone()), json!({}));
    assert!(config.get("status").is_none() && config["metadata"].get("creationTimestamp").is_none());
    let definition = one(object("apiextensions.k8s.io/v1", "CustomResourceDefinition", rest), json!({}));
    assert_eq!(definition["status"], json!({"x": 1}));
}

#[test]
fn ports_get_the_protocol_that_the_api_server_gives_them() {
    let service = one(
        object("v1", "Service", json!({"spec": {"ports": [{"port": 80}, {"port": 53, "protocol": "UDP"}]}})),
        json!({}),
    );
    assert_eq!(service["spec"]["ports"], json!([{"port": 80, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}]));
    let pods = json!({"spec": {"template": {"spec": {"containers": [{"ports": [{"containerPort": 1}]}]}}}});
    let deployment = one(object("apps/v1", "Deployment", pods), json!({}));
    assert_eq!(deployment.pointer("/spec/template/spec/containers/0/ports/0/protocol"), Some(&json!("TCP")));
}

#[test]
fn the_target_namespace_goes_where_kustomize_puts_it() {
    let spec = json!({"targetNamespace": "t"});
    assert_eq!(one(object("v1", "ConfigMap", json!({})), spec.clone())["metadata"]["namespace"], "t");
    assert_eq!(one(object("example.com/v1", "Thing", json!({})), spec.clone())["metadata"]["namespace"], "t");
    let role = one(
        object("rbac.authorization.k8s.io/v1", "ClusterRole", json!({"metadata": {"namespace": null}})),
        spec.clone(),
    );
    assert!(role["metadata"].get("namespace").is_none());
    assert_eq!(one(object("v1", "Namespace", json!({})), spec.clone())["metadata"]["name"], "t");
    let subjects = json!({"subjects": [{"kind": "ServiceAccount", "name": "default"}, {"kind": "ServiceAccount", "name": "x", "namespace": "y"}]});
    let binding = one(object("rbac.authorization.k8s.io/v1", "RoleBinding", subjects), spec);
    assert_eq!(
        (&binding["subjects"][0]["namespace"], &binding["subjects"][1]["namespace"]),
        (&json!("t"), &json!("y"))
    );
}

#[test]
fn a_ca_bundle_that_is_no_certificate_is_left_out() {
    let definition = |bundle: &str| {
        let spec = json!({"spec": {"conversion": {"webhook": {"clientConfig": {"caBundle": bundle}}}}});
        one(object("apiextensions.k8s.io/v1", "CustomResourceDefinition", spec), json!({}))
    };
    let bundle = |tree: &Value| tree.pointer("/spec/conversion/webhook/clientConfig/caBundle").cloned();
    for bad in ["Cg==", "bm90IGEgY2VydA==", "%%%"] {
        assert_eq!(bundle(&definition(bad)), None, "{bad}");
    }
    let pem = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
    let good = BASE64_STANDARD.encode(pem);
    assert_eq!(bundle(&definition(&good)), Some(json!(good)));
}

#[test]
fn objects_that_the_target_namespace_makes_the_same_are_named() {
    let config = |namespace: &str, line: usize| {
        let object = object("v1", "ConfigMap", json!({"metadata": {"namespace": namespace}}));
        let place = Place { file: "a.yaml".into(), document: line, line };
        Manifest { place, id: ObjectId::of(&object).expect("complete"), object }
    };
    let folder = Folder { manifests: vec![config("m", 1), config("n", 2)], faults: Vec::new() };
    let prepared = prepare(folder, &owner(json!({"targetNamespace": "t"})));
    assert_eq!(prepared.manifests.len(), 1);
    assert_eq!(
        prepared.faults[0].to_string(),
        "a.yaml, document 2, line 2: ConfigMap/t/a is already defined in a.yaml, document 1, line 1"
    );
}
