//! Kustomization: a folder of a source, kept applied.

use std::collections::BTreeMap;

use k8s_openapi::{
    apimachinery::pkg::apis::meta::v1::{Condition, Time},
    jiff::Timestamp,
};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    duration::Duration,
    inventory::ResourceInventory,
    kustomize::{IgnoreRule, Image, Patch},
    meta::{
        CommonMetadata, CustomHealthCheck, DependencyReference, KubeConfigReference, LocalObjectReference,
        NamespacedObjectKindReference,
    },
    schema,
};

/// Which folder of which source, and how it is applied.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "kustomize.toolkit.fluxcd.io",
    version = "v1",
    kind = "Kustomization",
    namespaced,
    status = "KustomizationStatus",
    derive = "Default",
    derive = "PartialEq",
    doc = "Keeps the manifests in a folder of a source applied.",
    annotation("kustomize.toolkit.fluxcd.io/substitute", "disabled"),
    shortname = "ks",
    category = "all",
    category = "fluxcd",
    category = "fluxcd-appliers",
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Ready", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#),
    printcolumn(name = "Status", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].message"#)
)]
#[serde(rename_all = "camelCase")]
pub struct KustomizationSpec {
    /// What kustomize notes about where an object comes from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub build_metadata: Vec<BuildMetadataOption>,
    /// Labels and annotations for all objects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub common_metadata: Option<CommonMetadata>,
    /// Kustomize components, as paths relative to `path`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub components: Vec<String>,
    /// How Secrets in the folder are decrypted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decryption: Option<Decryption>,
    /// What happens to the objects when this one is deleted; `MirrorPrune`, if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_policy: Option<DeletionPolicy>,
    /// Kustomizations that must be ready before this one is applied.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<DependencyReference>,
    /// Makes objects anew when an immutable field changes.
    #[serde(default)]
    pub force: bool,
    /// CEL expressions that tell the health of custom resources.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub health_check_exprs: Vec<CustomHealthCheck>,
    /// Objects whose health is awaited; they do not count when `wait` is on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub health_checks: Vec<NamespacedObjectKindReference>,
    /// Fields whose drift is left alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ignore: Vec<IgnoreRule>,
    /// Goes on when a component is missing.
    #[serde(default, skip_serializing_if = "schema::is_false")]
    pub ignore_missing_components: bool,
    /// Images whose name, tag or digest is replaced.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<Image>,
    /// The time between two reconciles.
    pub interval: Duration,
    /// The cluster to apply to, if it is not this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kube_config: Option<KubeConfigReference>,
    /// What the names of all objects begin with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 200))]
    pub name_prefix: Option<String>,
    /// What the names of all objects end with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 200))]
    pub name_suffix: Option<String>,
    /// Patches, in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub patches: Vec<Patch>,
    /// The folder in the source; its root, if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Changes to the manifests after they were built.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub post_build: Option<PostBuild>,
    /// Deletes objects that are not in the folder any more.
    pub prune: bool,
    /// The time before another try after a failure; the interval, if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_interval: Option<Duration>,
    /// The ServiceAccount of this namespace whose rights the apply has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account_name: Option<String>,
    /// The source that has the folder.
    pub source_ref: KustomizationSourceReference,
    /// Leaves the objects alone.
    #[serde(default, skip_serializing_if = "schema::is_false")]
    pub suspend: bool,
    /// The namespace of all objects, in place of that in the manifests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub target_namespace: Option<String>,
    /// How long an apply and its health checks may take; the interval less 30 seconds, if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
    /// Waits for all objects to become ready.
    #[serde(default, skip_serializing_if = "schema::is_false")]
    pub wait: bool,
}

closed_set! {
    /// What kustomize notes about an object.
    BuildMetadataOption {
        /// The file that it comes from.
        #[default]
        OriginAnnotations = "originAnnotations",
        /// The files that changed it.
        TransformerAnnotations = "transformerAnnotations",
    }
}

closed_set! {
    /// What happens to the objects when their Kustomization is deleted.
    DeletionPolicy {
        /// They go if `prune` is on.
        #[default]
        MirrorPrune = "MirrorPrune",
        /// They go.
        Delete = "Delete",
        /// They go, and their end is awaited.
        WaitForTermination = "WaitForTermination",
        /// They stay.
        Orphan = "Orphan",
    }
}

closed_set! {
    /// The technology of encrypted Secrets.
    DecryptionProvider {
        /// Mozilla's SOPS.
        #[default]
        Sops = "sops",
    }
}

closed_set! {
    /// When variables are substituted.
    SubstituteStrategy {
        /// When there are variables.
        #[default]
        WithVariables = "WithVariables",
        /// Always.
        Always = "Always",
    }
}

closed_set! {
    /// What variables are read from.
    SubstituteReferenceKind {
        /// A Secret.
        #[default]
        Secret = "Secret",
        /// A ConfigMap.
        ConfigMap = "ConfigMap",
    }
}

closed_set! {
    /// The kinds that can hold a folder.
    KustomizationSourceKind {
        /// An OCIRepository.
        OCIRepository = "OCIRepository",
        /// A GitRepository.
        #[default]
        GitRepository = "GitRepository",
        /// A Bucket.
        Bucket = "Bucket",
        /// An ExternalArtifact.
        ExternalArtifact = "ExternalArtifact",
    }
}

/// How Secrets are decrypted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Decryption {
    /// The technology.
    pub provider: DecryptionProvider,
    /// The Secret with the private keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<LocalObjectReference>,
    /// The ServiceAccount that authenticates at a cloud's key service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account_name: Option<String>,
}

/// Changes to the manifests after they were built.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PostBuild {
    /// Variables; they win over those of `substituteFrom`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub substitute: BTreeMap<String, String>,
    /// ConfigMaps and Secrets with variables; later ones win.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub substitute_from: Vec<SubstituteReference>,
    /// When variables are substituted; `WithVariables`, if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub substitute_strategy: Option<SubstituteStrategy>,
}

/// A ConfigMap or Secret with variables.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SubstituteReference {
    /// What holds the variables.
    pub kind: SubstituteReferenceKind,
    /// The name, in this object's namespace.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Goes on when it is missing.
    #[serde(default)]
    pub optional: bool,
}

/// Names the source of a folder.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KustomizationSourceReference {
    /// The source's group and version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// The source's kind.
    pub kind: KustomizationSourceKind,
    /// The source's name.
    pub name: String,
    /// The source's namespace; the Kustomization's, if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// What was applied, and how it went.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KustomizationStatus {
    /// How the apply stands.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
    /// The manifests that were reconciled, newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<ReconciliationSnapshot>,
    /// The objects that were applied and are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inventory: Option<ResourceInventory>,
    /// The revision of what the last applied artifact was made of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_applied_origin_revision: Option<String>,
    /// The revision that was applied last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_applied_revision: Option<String>,
    /// The revision that was tried last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_attempted_revision: Option<String>,
    /// The last value of the reconcile annotation that was acted on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<String>,
    /// The generation that was reconciled last; -1 before the first time.
    #[serde(default, skip_serializing_if = "schema::is_zero")]
    pub observed_generation: i64,
}

/// How the reconciles of the same manifests went.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReconciliationSnapshot {
    /// The digest of the manifests.
    pub digest: String,
    /// When they were reconciled first.
    #[schemars(schema_with = "schema::time")]
    pub first_reconciled: Time,
    /// When they were reconciled last.
    #[schemars(schema_with = "schema::time")]
    pub last_reconciled: Time,
    /// How long the last reconcile took.
    pub last_reconciled_duration: String,
    /// The reason of Ready after the last reconcile.
    pub last_reconciled_status: String,
    /// Further facts, such as the revision.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    /// How often they were reconciled.
    pub total_reconciliations: i64,
}

impl Default for ReconciliationSnapshot {
    fn default() -> Self {
        Self {
            digest: String::new(),
            first_reconciled: Time(Timestamp::UNIX_EPOCH),
            last_reconciled: Time(Timestamp::UNIX_EPOCH),
            last_reconciled_duration: String::new(),
            last_reconciled_status: String::new(),
            metadata: BTreeMap::new(),
            total_reconciliations: 0,
        }
    }
}
