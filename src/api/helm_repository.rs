//! HelmRepository: a source of charts.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    artifact::Artifact,
    duration,
    duration::Duration,
    meta::{AccessFrom, LocalObjectReference},
    oci_repository::OCIProvider,
    schema,
};

/// Where the repository is, and how to authenticate there.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "source.toolkit.fluxcd.io",
    version = "v1",
    kind = "HelmRepository",
    plural = "helmrepositories",
    namespaced,
    status = "HelmRepositoryStatus",
    derive = "Default",
    derive = "PartialEq",
    doc = "Reads the index of a Helm repository, or names a registry of charts.",
    annotation("kustomize.toolkit.fluxcd.io/substitute", "disabled"),
    shortname = "helmrepo",
    category = "all",
    category = "fluxcd",
    category = "fluxcd-sources",
    printcolumn(name = "URL", type_ = "string", json_path = ".spec.url"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Ready", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#),
    printcolumn(name = "Status", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].message"#)
)]
#[serde(rename_all = "camelCase")]
pub struct HelmRepositorySpec {
    /// Is accepted and has no effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_from: Option<AccessFrom>,
    /// The Secret with the client certificate and the CA: tls.crt, tls.key, ca.crt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cert_secret_ref: Option<LocalObjectReference>,
    /// Takes plain HTTP from a registry.
    #[serde(default, skip_serializing_if = "schema::is_false")]
    pub insecure: bool,
    /// The time between two looks at the index; 1 minute, if not given. It does not count for registries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<Duration>,
    /// Sends the credentials to other hosts that the index names, too.
    #[serde(default, skip_serializing_if = "schema::is_false")]
    pub pass_credentials: bool,
    /// Whose way of authentication is used for a registry.
    #[serde(default)]
    pub provider: OCIProvider,
    /// The Secret with the credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<LocalObjectReference>,
    /// Leaves the source alone.
    #[serde(default, skip_serializing_if = "schema::is_false")]
    pub suspend: bool,
    /// How long an operation on the remote may take; 1 minute, if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = duration::PATTERN_WITHOUT_HOURS))]
    pub timeout: Option<Duration>,
    /// Whether it is an index or a registry; an index, if not given.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<HelmRepositoryType>,
    /// Where the repository is; for a registry with the scheme `oci`.
    #[schemars(regex(pattern = "^(http|https|oci)://.*$"))]
    pub url: String,
}

closed_set! {
    /// What holds the charts.
    HelmRepositoryType {
        /// A web server with an index.
        #[default]
        Default = "default",
        /// A registry.
        Oci = "oci",
    }
}

/// What was read, and how it went.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HelmRepositoryStatus {
    /// The last index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact: Option<Artifact>,
    /// How the source stands.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
    /// The last value of the reconcile annotation that was acted on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<String>,
    /// The generation that was reconciled last; -1 before the first time.
    #[serde(default, skip_serializing_if = "schema::is_zero")]
    pub observed_generation: i64,
    /// Where the latest index is served.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}
