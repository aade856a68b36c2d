//! What a Kustomization does to the objects of its folder before they are applied. Pure.

use std::collections::HashMap;

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Map, Value, json};

use super::manifests::{Fault, Folder, Manifest};
use crate::{
    api::{
        Kustomization,
        meta::{self, CommonMetadata},
    },
    cluster::object::{self, ObjectId, set_metadata_entry},
};

/// Kinds of the cluster that kustomize knows; others get a namespace, which the API server ignores for those that have
/// none.
const CLUSTER_KINDS: [(&str, &str); 36] = [
    ("", "ComponentStatus"),
    ("", "Namespace"),
    ("", "Node"),
    ("", "PersistentVolume"),
    ("admissionregistration.k8s.io", "MutatingAdmissionPolicy"),
    ("admissionregistration.k8s.io", "MutatingAdmissionPolicyBinding"),
    ("admissionregistration.k8s.io", "MutatingWebhookConfiguration"),
    ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy"),
    ("admissionregistration.k8s.io", "ValidatingAdmissionPolicyBinding"),
    ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration"),
    ("apiextensions.k8s.io", "CustomResourceDefinition"),
    ("apiregistration.k8s.io", "APIService"),
    ("authentication.k8s.io", "SelfSubjectReview"),
    ("authentication.k8s.io", "TokenReview"),
    ("authorization.k8s.io", "SelfSubjectAccessReview"),
    ("authorization.k8s.io", "SelfSubjectRulesReview"),
    ("authorization.k8s.io", "SubjectAccessReview"),
    ("certificates.k8s.io", "CertificateSigningRequest"),
    ("certificates.k8s.io", "ClusterTrustBundle"),
    ("flowcontrol.apiserver.k8s.io", "FlowSchema"),
    ("flowcontrol.apiserver.k8s.io", "PriorityLevelConfiguration"),
    ("internal.apiserver.k8s.io", "StorageVersion"),
    ("networking.k8s.io", "IPAddress"),
    ("networking.k8s.io", "IngressClass"),
    ("networking.k8s.io", "ServiceCIDR"),
    ("node.k8s.io", "RuntimeClass"),
    ("policy", "PodSecurityPolicy"),
    ("rbac.authorization.k8s.io", "ClusterRole"),
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"),
    ("resource.k8s.io", "DeviceClass"),
    ("resource.k8s.io", "ResourceSlice"),
    ("scheduling.k8s.io", "PriorityClass"),
    ("storage.k8s.io", "CSIDriver"),
    ("storage.k8s.io", "CSINode"),
    ("storage.k8s.io", "StorageClass"),
    ("storage.k8s.io", "VolumeAttachment"),
];

/// Makes the objects of a folder those that are applied. What must not be applied becomes a fault.
pub fn prepare(folder: Folder, owner: &Kustomization) -> Folder {
    let Folder { manifests, mut faults } = folder;
    let spec = &owner.spec;
    let mut prepared: Vec<Manifest> = Vec::with_capacity(manifests.len());
    let mut seen: HashMap<ObjectId, usize> = HashMap::with_capacity(manifests.len());
    for Manifest { place, mut object, .. } in manifests {
        if is_encrypted(&object) {
            let id = ObjectId::of(&object).map(|id| id.to_string()).unwrap_or_default();
            let message =
                format!("{id} is SOPS encrypted, configuring decryption is required for this secret to be reconciled");
            faults.push(Fault { place, message });
            continue;
        }
        if let Some(namespace) = spec.target_namespace.as_deref().filter(|namespace| !namespace.is_empty()) {
            set_namespace(&mut object, namespace);
        }
        normalize(&mut object);
        own(&mut object, owner);
        if let Some(common) = &spec.common_metadata {
            set_common(&mut object, common);
        }
        let Some(id) = ObjectId::of(&object) else { continue };
        // One target namespace can make two objects of different namespaces the same.
        if let Some(first) = seen.get(&id) {
            let message = format!("{id} is already defined in {}", prepared[*first].place);
            faults.push(Fault { place, message });
            continue;
        }
        seen.insert(id.clone(), prepared.len());
        prepared.push(Manifest { place, id, object });
    }
    Folder { manifests: prepared, faults }
}

/// Tells whether a Secret was encrypted by SOPS, unless it says that it is none of our business.
fn is_encrypted(tree: &Value) -> bool {
    object::kind(tree) == Some("Secret")
        && object::api_version(tree) == Some("v1")
        && tree.pointer("/sops/mac").is_some()
        && object::annotation(tree, meta::KUSTOMIZE_DECRYPT) != Some(meta::DISABLED)
}

fn own(object: &mut Value, owner: &Kustomization) {
    let name = owner.metadata.name.as_deref().unwrap_or_default();
    let namespace = owner.metadata.namespace.as_deref().unwrap_or_default();
    set_metadata_entry(object, "labels", meta::KUSTOMIZATION_NAME, name);
    set_metadata_entry(object, "labels", meta::KUSTOMIZATION_NAMESPACE, namespace);
}

fn set_common(object: &mut Value, common: &CommonMetadata) {
    for (field, entries) in [("labels", &common.labels), ("annotations", &common.annotations)] {
        for (key, value) in entries {
            set_metadata_entry(object, field, key, value);
        }
    }
}

/// Sets the namespace as kustomize's transformer does: for all but the kinds of the cluster, for the name of a
/// Namespace, the default service account of bindings, and the services that definitions and API services call.
fn set_namespace(tree: &mut Value, namespace: &str) {
    let (group, _) = object::split_api_version(object::api_version(tree).unwrap_or_default());
    let kind = object::kind(tree).unwrap_or_default();
    let (group, kind) = (group.to_owned(), kind.to_owned());
    if !CLUSTER_KINDS.contains(&(group.as_str(), kind.as_str())) {
        tree["metadata"]["namespace"] = Value::from(namespace);
    }
    match (group.as_str(), kind.as_str()) {
        ("", "Namespace") => tree["metadata"]["name"] = Value::from(namespace),
        ("apiregistration.k8s.io", "APIService") => replace(tree, "/spec/service/namespace", namespace),
        ("apiextensions.k8s.io", "CustomResourceDefinition") => {
            replace(tree, "/spec/conversion/webhook/clientConfig/service/namespace", namespace);
        }
        ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding") => set_subjects(tree, namespace),
        _ => {}
    }
}

fn replace(tree: &mut Value, pointer: &str, text: &str) {
    if let Some(found) = tree.pointer_mut(pointer) {
        *found = Value::from(text);
    }
}

fn set_subjects(binding: &mut Value, namespace: &str) {
    let Some(subjects) = binding.get_mut("subjects").and_then(Value::as_array_mut) else { return };
    for subject in subjects {
        if subject["kind"] == "ServiceAccount" && subject["name"] == "default" {
            subject["namespace"] = Value::from(namespace);
        }
    }
}

/// Brings an object in the form in which the API server compares it, as Flux does: no status, a Secret's `stringData`
/// as `data`, ports with their protocol, no CA bundle that would be refused.
fn normalize(tree: &mut Value) {
    let kind = object::kind(tree).unwrap_or_default().to_owned();
    if let Some(fields) = tree.as_object_mut()
        && kind != "CustomResourceDefinition"
    {
        fields.remove("status");
    }
    if let Some(metadata) = tree.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("creationTimestamp");
        // Empty maps would be owned, and taken from others, without need.
        for field in ["labels", "annotations"] {
            if metadata.get(field).is_some_and(Value::is_null) {
                metadata.remove(field);
            }
        }
    }
    match (object::api_version(tree), kind.as_str()) {
        (Some("v1"), "Secret") => encode_strings(tree),
        (Some("v1"), "Service") => default_protocols(tree.pointer_mut("/spec/ports")),
        (Some("v1"), "Pod") => default_containers(tree.pointer_mut("/spec/containers")),
        (Some("apps/v1"), _) | (Some("batch/v1"), "Job") => {
            default_containers(tree.pointer_mut("/spec/template/spec/containers"));
        }
        (Some("batch/v1"), "CronJob") => {
            default_containers(tree.pointer_mut("/spec/jobTemplate/spec/template/spec/containers"));
        }
        (Some(version), "CustomResourceDefinition") if version.starts_with("apiextensions.k8s.io/") => {
            drop_bad_bundle(tree);
        }
        _ => {}
    }
}

fn encode_strings(secret: &mut Value) {
    let Some(Value::Object(strings)) = secret.get("stringData").cloned() else { return };
    if strings.values().any(|value| !value.is_string()) {
        // Left for the API server, which says what is wrong.
        return;
    }
    let Some(fields) = secret.as_object_mut() else { return };
    fields.remove("stringData");
    let data = fields.entry("data").or_insert_with(|| json!({}));
    if data.is_null() {
        *data = Value::Object(Map::new());
    }
    for (key, value) in strings {
        data[key.as_str()] = Value::from(BASE64_STANDARD.encode(value.as_str().unwrap_or_default()));
    }
}

fn default_containers(containers: Option<&mut Value>) {
    for container in containers.and_then(Value::as_array_mut).into_iter().flatten() {
        default_protocols(container.get_mut("ports"));
    }
}

fn default_protocols(ports: Option<&mut Value>) {
    for port in ports.and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(fields) = port.as_object_mut()
            && fields.get("protocol").is_none_or(|protocol| protocol.is_null() || protocol == "")
        {
            fields.insert("protocol".to_owned(), Value::from("TCP"));
        }
    }
}

/// Takes away a CA bundle that holds no certificate, which the API server refuses since 1.31: cert-manager and others
/// fill it in later.
fn drop_bad_bundle(definition: &mut Value) {
    let Some(client) = definition.pointer_mut("/spec/conversion/webhook/clientConfig").and_then(Value::as_object_mut)
    else {
        return;
    };
    let good = match client.get("caBundle").and_then(Value::as_str) {
        None | Some("") => true,
        Some(text) => BASE64_STANDARD.decode(text).is_ok_and(|pem| is_bundle(&pem)),
    };
    if !good {
        client.remove("caBundle");
    }
}

fn is_bundle(pem: &[u8]) -> bool {
    use rustls::pki_types::{CertificateDer, pem::PemObject};
    let mut certificates = 0;
    for certificate in CertificateDer::pem_slice_iter(pem) {
        match certificate {
            Ok(_) => certificates += 1,
            Err(_) => return false,
        }
    }
    certificates > 0
}

#[cfg(test)]
#[path = "prepare_tests.rs"]
mod tests;
