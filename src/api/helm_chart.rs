//! HelmChart: one chart of a source.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    artifact::Artifact, duration::Duration, meta::LocalObjectReference, oci_repository::OIDCIdentityMatch, schema,
};

/// Which chart, which version, and from where.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "source.toolkit.fluxcd.io",
    version = "v1",
    kind = "HelmChart",
    namespaced,
    status = "HelmChartStatus",
    derive = "Default",
    derive = "PartialEq",
    doc = "Makes an artifact of a chart in a Helm repository, a Git repository or a bucket.",
    annotation("kustomize.toolkit.fluxcd.io/substitute", "disabled"),
    shortname = "hc",
    category = "all",
    category = "fluxcd",
    category = "fluxcd-sources",
    printcolumn(name = "Chart", type_ = "string", json_path = ".spec.chart"),
    printcolumn(name = "Version", type_ = "string", json_path = ".spec.version"),
    printcolumn(name = "Source Kind", type_ = "string", json_path = ".spec.sourceRef.kind"),
    printcolumn(name = "Source Name", type_ = "string", json_path = ".spec.sourceRef.name"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Ready", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#),
    printcolumn(name = "Status", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].message"#)
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = (
        "!has(self.verify) || self.sourceRef.kind == 'HelmRepository'",
        "spec.verify is only supported when spec.sourceRef.kind is 'HelmRepository'"
    )
)]
pub struct HelmChartSpec {
    /// The chart's name in a Helm repository, or its path in another source.
    pub chart: String,
    /// Goes on when a values file is missing.
    #[serde(default, skip_serializing_if = "schema::is_false")]
    pub ignore_missing_values_files: bool,
    /// The time between two looks for a new version.
    pub interval: Duration,
    /// What counts as a new chart.
    #[serde(default)]
    pub reconcile_strategy: ReconcileStrategy,
    /// The source that has the chart.
    pub source_ref: HelmChartSourceReference,
    /// Leaves the chart alone.
    #[serde(default, skip_serializing_if = "schema::is_false")]
    pub suspend: bool,
    /// Files of the chart or source with values, in place of `values.yaml`; later ones win.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values_files: Vec<String>,
    /// How the chart's signature is verified; for OCI Helm repositories.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verify: Option<ChartVerification>,
    /// The version, or a range of versions; it does not count for charts of Git repositories and buckets.
    #[serde(default = "any_version")]
    pub version: String,
}

closed_set! {
    /// What counts as a new chart.
    ReconcileStrategy {
        /// A new version in the chart's own metadata.
        #[default]
        ChartVersion = "ChartVersion",
        /// A new revision of the source.
        Revision = "Revision",
    }
}

closed_set! {
    /// The kinds that can hold a chart.
    HelmChartSourceKind {
        /// A HelmRepository.
        #[default]
        HelmRepository = "HelmRepository",
        /// A GitRepository.
        GitRepository = "GitRepository",
        /// A Bucket.
        Bucket = "Bucket",
    }
}

closed_set! {
    /// The technology of a signature.
    ChartVerificationProvider {
        /// Sigstore's cosign.
        #[default]
        Cosign = "cosign",
        /// Notary Project's notation.
        Notation = "notation",
    }
}

/// Names the source of a chart, in the chart's namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HelmChartSourceReference {
    /// The source's group and version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// The source's kind.
    pub kind: HelmChartSourceKind,
    /// The source's name.
    pub name: String,
}

/// How a signature is verified.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("required" = ["provider"]))]
pub struct ChartVerification {
    /// Who may have signed, when no keys are given; any one is enough.
    #[serde(default, rename = "matchOIDCIdentity", skip_serializing_if = "Vec::is_empty")]
    pub match_oidc_identity: Vec<OIDCIdentityMatch>,
    /// The technology of the signature.
    #[serde(default)]
    pub provider: ChartVerificationProvider,
    /// The Secret with the public keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<LocalObjectReference>,
}

/// What was read, and how it went.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HelmChartStatus {
    /// The last chart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact: Option<Artifact>,
    /// How the chart stands.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
    /// The last value of the reconcile annotation that was acted on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<String>,
    /// The name in the chart's own metadata.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_chart_name: Option<String>,
    /// The generation that was reconciled last; -1 before the first time.
    #[serde(default, skip_serializing_if = "schema::is_zero")]
    pub observed_generation: i64,
    /// The revision of the source that the chart was made of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_source_artifact_revision: Option<String>,
    /// The values files that went into the chart.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub observed_values_files: Vec<String>,
    /// Where the latest chart is served.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// Returns the range of versions that takes any.
pub fn any_version() -> String {
    "*".to_owned()
}
