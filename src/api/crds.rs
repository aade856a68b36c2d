//! The custom resource definitions, made from the types.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSON, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kube::CustomResourceExt;
use serde_json::json;

use super::{
    Bucket, GitRepository, HelmChart, HelmRelease, HelmRepository, ImagePolicy, ImageRepository, ImageUpdateAutomation,
    Kustomization, OCIRepository,
};

/// The version that releases repositories in use still write for the image kinds; its schema is that of v1.
const IMAGE_LEGACY_VERSION: &str = "v1beta2";

/// Makes the definitions of all kinds, in the order of their names.
pub fn crds() -> Vec<CustomResourceDefinition> {
    let mut crds = vec![
        Bucket::crd(),
        GitRepository::crd(),
        HelmChart::crd(),
        HelmRelease::crd(),
        HelmRepository::crd(),
        with_legacy_version(ImagePolicy::crd()),
        with_legacy_version(ImageRepository::crd()),
        with_legacy_version(ImageUpdateAutomation::crd()),
        Kustomization::crd(),
        OCIRepository::crd(),
    ];
    for crd in &mut crds {
        crd.spec.names.list_kind = Some(format!("{}List", crd.spec.names.kind));
        for version in &mut crd.spec.versions {
            if let Some(schema) = version.schema.as_mut().and_then(|schema| schema.open_api_v3_schema.as_mut()) {
                finish_root(schema);
                finish(schema);
            }
        }
    }
    crds.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
    crds
}

/// Serves the schema under the legacy version too, after the version that is stored.
fn with_legacy_version(mut crd: CustomResourceDefinition) -> CustomResourceDefinition {
    let legacy: Vec<_> = crd
        .spec
        .versions
        .iter()
        .cloned()
        .map(|mut version| {
            IMAGE_LEGACY_VERSION.clone_into(&mut version.name);
            version.storage = false;
            version
        })
        .collect();
    crd.spec.versions.extend(legacy);
    crd
}

/// Gives the root what the derive leaves out: the type's own fields, optional spec as Flux has it, the first status.
fn finish_root(root: &mut JSONSchemaProps) {
    root.required = None;
    root.title = None;
    let properties = root.properties.get_or_insert_default();
    properties.insert("apiVersion".into(), described("string", "The group and version of the object's schema."));
    properties.insert("kind".into(), described("string", "The kind of the object."));
    properties.insert("metadata".into(), JSONSchemaProps { type_: Some("object".into()), ..Default::default() });
    if let Some(status) = properties.get_mut("status") {
        status.default = Some(JSON(json!({ "observedGeneration": -1 })));
    }
}

fn described(kind: &str, description: &str) -> JSONSchemaProps {
    JSONSchemaProps { type_: Some(kind.into()), description: Some(description.into()), ..Default::default() }
}

/// Takes away what Rust's optional types add: an absent field is left out, and null is no value.
fn finish(schema: &mut JSONSchemaProps) {
    schema.nullable = None;
    if let Some(values) = &mut schema.enum_ {
        values.retain(|value| !value.0.is_null());
    }
    for property in schema.properties.iter_mut().flat_map(|properties| properties.values_mut()) {
        finish(property);
    }
    match &mut schema.items {
        Some(JSONSchemaPropsOrArray::Schema(item)) => finish(item),
        Some(JSONSchemaPropsOrArray::Schemas(items)) => items.iter_mut().for_each(finish),
        None => {}
    }
    if let Some(JSONSchemaPropsOrBool::Schema(value)) = &mut schema.additional_properties {
        finish(value);
    }
}
