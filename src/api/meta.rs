//! References between objects, and the names of annotations, labels, finalizers and field managers.

use std::collections::BTreeMap;

use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The finalizer of every kind here.
pub const FINALIZER: &str = "finalizers.fluxcd.io";

/// Asks for a reconcile when its value changes; the value is copied to `status.lastHandledReconcileAt`.
pub const RECONCILE_REQUESTED_AT: &str = "reconcile.fluxcd.io/requestedAt";
/// Asks for one forced install or upgrade, if its value equals that of [`RECONCILE_REQUESTED_AT`].
pub const FORCE_REQUESTED_AT: &str = "reconcile.fluxcd.io/forceAt";
/// Asks for the failure counts to be reset, if its value equals that of [`RECONCILE_REQUESTED_AT`].
pub const RESET_REQUESTED_AT: &str = "reconcile.fluxcd.io/resetAt";
/// The label of ConfigMaps and Secrets whose change triggers those that refer to them, with value [`ENABLED`].
pub const RECONCILE_WATCH: &str = "reconcile.fluxcd.io/watch";
/// The value of [`RECONCILE_WATCH`].
pub const WATCH_ENABLED: &str = "Enabled";

/// The label of objects that a HelmRelease made: its name.
pub const HELM_RELEASE_NAME: &str = "helm.toolkit.fluxcd.io/name";
/// The label of objects that a HelmRelease made: its namespace.
pub const HELM_RELEASE_NAMESPACE: &str = "helm.toolkit.fluxcd.io/namespace";
/// The label or annotation that keeps an object out of drift detection, with value [`DISABLED`].
pub const DRIFT_DETECTION: &str = "helm.toolkit.fluxcd.io/driftDetection";
/// The label of objects that a Kustomization applied: its name.
pub const KUSTOMIZATION_NAME: &str = "kustomize.toolkit.fluxcd.io/name";
/// The label of objects that a Kustomization applied: its namespace.
pub const KUSTOMIZATION_NAMESPACE: &str = "kustomize.toolkit.fluxcd.io/namespace";
/// The label or annotation that keeps an object from being applied, with value [`DISABLED`].
pub const KUSTOMIZE_RECONCILE: &str = "kustomize.toolkit.fluxcd.io/reconcile";
/// The label or annotation that keeps an object from being pruned, with value [`DISABLED`].
pub const KUSTOMIZE_PRUNE: &str = "kustomize.toolkit.fluxcd.io/prune";
/// The label or annotation that says how an object is applied: Override, Merge, IfNotPresent or Ignore.
pub const KUSTOMIZE_SSA: &str = "kustomize.toolkit.fluxcd.io/ssa";
/// The label or annotation that lets an object be made anew when an immutable field changes, with value [`ENABLED`].
pub const KUSTOMIZE_FORCE: &str = "kustomize.toolkit.fluxcd.io/force";
/// The label or annotation that keeps an object out of variable substitution, with value [`DISABLED`].
pub const KUSTOMIZE_SUBSTITUTE: &str = "kustomize.toolkit.fluxcd.io/substitute";
/// The annotation that keeps an object from being decrypted, with value [`DISABLED`].
pub const KUSTOMIZE_DECRYPT: &str = "kustomize.toolkit.fluxcd.io/decrypt";
/// Switches an annotation of ours on.
pub const ENABLED: &str = "enabled";
/// Switches an annotation of ours off.
pub const DISABLED: &str = "disabled";

/// Object annotations with this prefix are copied to the object's events.
pub const EVENT_PREFIX: &str = "event.toolkit.fluxcd.io/";
/// The prefix of event annotations about a HelmRelease: revision, token, app-version, oci-digest.
pub const HELM_EVENT_PREFIX: &str = "helm.toolkit.fluxcd.io/";
/// The prefix of event annotations about a source: revision, digest.
pub const SOURCE_EVENT_PREFIX: &str = "source.toolkit.fluxcd.io/";
/// The prefix of event annotations about a Kustomization: revision, originRevision.
pub const KUSTOMIZE_EVENT_PREFIX: &str = "kustomize.toolkit.fluxcd.io/";

/// The field manager of HelmReleases' objects and statuses, Flux's own, so that fields pass from one to the other.
pub const HELM_FIELD_MANAGER: &str = "helm-controller";
/// The field manager of Kustomizations' objects and statuses.
pub const KUSTOMIZE_FIELD_MANAGER: &str = "kustomize-controller";
/// The field manager of sources' statuses.
pub const SOURCE_FIELD_MANAGER: &str = "source-controller";

/// Makes a time as the API keeps it: whole seconds.
pub fn time(now: Timestamp) -> Time {
    Time(Timestamp::new(now.as_second(), 0).unwrap_or(now))
}

/// Names an object in the namespace of the one that refers to it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LocalObjectReference {
    /// The object's name.
    pub name: String,
}

/// Names a Secret and one of its keys.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretKeyReference {
    /// The key; which one stands for none depends on the use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The Secret's name.
    pub name: String,
}

/// Names an object, perhaps in another namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NamespacedObjectReference {
    /// The object's name.
    pub name: String,
    /// The object's namespace; that of the referring object, if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// Names an object of some kind, perhaps in another namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NamespacedObjectKindReference {
    /// The object's group and version; the preferred one, if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// The object's kind.
    pub kind: String,
    /// The object's name.
    pub name: String,
    /// The object's namespace; that of the referring object, if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// Names an object of the same kind that must be ready first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DependencyReference {
    /// The object's name.
    pub name: String,
    /// The object's namespace; that of the referring object, if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// A CEL expression over `self` and `dep` that says when the dependency is ready, in place of the built-in check.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_expr: Option<String>,
}

/// Says how to reach another cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = (
        "has(self.configMapRef) || has(self.secretRef)",
        "exactly one of spec.kubeConfig.configMapRef or spec.kubeConfig.secretRef must be specified"
    ),
    validation = (
        "!has(self.configMapRef) || !has(self.secretRef)",
        "exactly one of spec.kubeConfig.configMapRef or spec.kubeConfig.secretRef must be specified"
    )
)]
pub struct KubeConfigReference {
    /// A ConfigMap that describes a cloud provider's cluster: provider, cluster, address, ca.crt, audiences, serviceAccountName.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map_ref: Option<LocalObjectReference>,
    /// A Secret with a kubeconfig; the key is `value`, then `value.yaml`, if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretKeyReference>,
}

/// Labels and annotations for all objects.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CommonMetadata {
    /// Annotations to set; they win over those of the manifests.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Labels to set; they win over those of the manifests.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// CEL expressions that tell the health of a custom resource from its fields.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CustomHealthCheck {
    /// The group and version of the resources judged.
    pub api_version: String,
    /// Is true when the resource is as it should be. It is asked last.
    pub current: String,
    /// Is true when the resource has failed. It is asked second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
    /// Is true while the resource is on its way. It is asked first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_progress: Option<String>,
    /// The kind of the resources judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
}

/// Says which namespaces may refer to an object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AccessFrom {
    /// Selectors of namespaces by label; any one is enough, and an empty one selects all.
    pub namespace_selectors: Vec<NamespaceSelector>,
}

/// Selects namespaces.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NamespaceSelector {
    /// Labels that a namespace must carry, all of them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub match_labels: BTreeMap<String, String>,
}
