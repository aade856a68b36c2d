//! HelmRelease: a chart with values, kept installed.

mod actions;
mod chart;
mod status;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use self::{
    actions::{
        ActionStrategyName, ChartNameChangeStrategy, CrdsPolicy, DeletionPropagation, Filter, Install,
        InstallRemediation, InstallStrategy, RemediationStrategy, Rollback, ServerSideApplyMode, Test, Uninstall,
        Upgrade, UpgradeRemediation, UpgradeStrategy,
    },
    chart::{
        ChartReference, ChartReferenceKind, ChartSourceReference, HelmChartTemplate, HelmChartTemplateMetadata,
        HelmChartTemplateSpec, HelmChartTemplateVerification,
    },
    status::{HelmReleaseStatus, ReleaseAction, Snapshot, TestHookStatus},
};
use super::{
    duration::Duration,
    kustomize::{IgnoreRule, Image, Patch},
    meta::{CommonMetadata, CustomHealthCheck, DependencyReference, KubeConfigReference},
    schema,
};

/// What to install, with which values, and how.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "helm.toolkit.fluxcd.io",
    version = "v2",
    kind = "HelmRelease",
    namespaced,
    status = "HelmReleaseStatus",
    derive = "Default",
    derive = "PartialEq",
    doc = "Keeps a chart with its values installed as a Helm release.",
    annotation("kustomize.toolkit.fluxcd.io/substitute", "disabled"),
    shortname = "hr",
    category = "all",
    category = "fluxcd",
    category = "fluxcd-appliers",
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Ready", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#),
    printcolumn(name = "Status", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].message"#)
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = (
        "(has(self.chart) && !has(self.chartRef)) || (!has(self.chart) && has(self.chartRef))",
        "either chart or chartRef must be set"
    )
)]
pub struct HelmReleaseSpec {
    /// The chart, as the template of a HelmChart object; this or `chartRef`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chart: Option<HelmChartTemplate>,
    /// The source object that has the chart; this or `chart`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chart_ref: Option<ChartReference>,
    /// Labels and annotations for all objects of the release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub common_metadata: Option<CommonMetadata>,
    /// HelmReleases that must be ready before this one is installed or upgraded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<DependencyReference>,
    /// What to do when objects of the release are changed by others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift_detection: Option<DriftDetection>,
    /// CEL expressions that tell the health of custom resources; for the poller wait strategy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub health_check_exprs: Vec<CustomHealthCheck>,
    /// How the release is installed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub install: Option<Install>,
    /// The time between two reconciles.
    pub interval: Duration,
    /// The cluster to install to, if it is not this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kube_config: Option<KubeConfigReference>,
    /// How many revisions Helm keeps; 0 keeps all, and 5 are kept if it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::integer")]
    pub max_history: Option<i64>,
    /// Whether one client is used for all steps of a reconcile; it is, if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persistent_client: Option<bool>,
    /// What of the chart goes through the post-renderers; `combined`, if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub post_render_strategy: Option<PostRenderStrategy>,
    /// Changes to the rendered manifests, in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub post_renderers: Vec<PostRenderer>,
    /// The name of the Helm release; the target namespace and this object's name, if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 53))]
    pub release_name: Option<String>,
    /// How the release is rolled back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback: Option<Rollback>,
    /// The ServiceAccount of this namespace whose rights the release has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub service_account_name: Option<String>,
    /// The namespace of Helm's own records; this object's, if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub storage_namespace: Option<String>,
    /// Leaves the release alone. A deletion of this object then leaves it installed.
    #[serde(default, skip_serializing_if = "schema::is_false")]
    pub suspend: bool,
    /// The namespace of the release; this object's, if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub target_namespace: Option<String>,
    /// Whether and how the chart's tests are run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<Test>,
    /// How long an action may take; 5 minutes, if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
    /// How the release is uninstalled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uninstall: Option<Uninstall>,
    /// How the release is upgraded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upgrade: Option<Upgrade>,
    /// Values for the chart; they win over `valuesFrom`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::free_form")]
    pub values: Option<Value>,
    /// ConfigMaps and Secrets with values for the chart; later ones win.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values_from: Vec<ValuesReference>,
    /// How readiness is told after an action.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_strategy: Option<WaitStrategy>,
}

closed_set! {
    /// What is done about drift.
    DriftDetectionMode {
        /// It is reported and put right.
        Enabled = "enabled",
        /// It is reported.
        Warn = "warn",
        /// It is not looked for.
        #[default]
        Disabled = "disabled",
    }
}

closed_set! {
    /// What goes through the post-renderers.
    PostRenderStrategy {
        /// Manifests, but no hooks.
        NoHooks = "nohooks",
        /// Manifests and hooks, in one go.
        #[default]
        Combined = "combined",
        /// Manifests and hooks, each for themselves.
        Separate = "separate",
    }
}

closed_set! {
    /// How readiness is told.
    WaitStrategyName {
        /// By kstatus, and health check expressions.
        #[default]
        Poller = "poller",
        /// As Helm 3 did.
        Legacy = "legacy",
    }
}

closed_set! {
    /// What values are read from.
    ValuesReferenceKind {
        /// A Secret.
        #[default]
        Secret = "Secret",
        /// A ConfigMap.
        ConfigMap = "ConfigMap",
    }
}

/// What to do when objects of the release are changed by others.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DriftDetection {
    /// Fields whose drift is left alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ignore: Vec<IgnoreRule>,
    /// What is done about drift; `disabled`, if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<DriftDetectionMode>,
}

/// A change to the rendered manifests.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PostRenderer {
    /// A change by kustomize.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kustomize: Option<Kustomize>,
}

/// A change by kustomize.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Kustomize {
    /// Images whose name, tag or digest is replaced.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<Image>,
    /// Patches, in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub patches: Vec<Patch>,
}

/// A ConfigMap or Secret with values.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ValuesReference {
    /// What holds the values.
    pub kind: ValuesReferenceKind,
    /// With `targetPath`: the value is taken as it is, and not read in the syntax of `helm --set`.
    #[serde(default, skip_serializing_if = "schema::is_false")]
    pub literal: bool,
    /// The name, in this object's namespace.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Goes on when the object or the key is missing.
    #[serde(default, skip_serializing_if = "schema::is_false")]
    pub optional: bool,
    /// The dotted path that a single value is put at; without it the key holds a YAML document of values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 250), regex(pattern = r"^([a-zA-Z0-9_\-.\\\/]|\[[0-9]{1,5}\])+$"))]
    pub target_path: Option<String>,
    /// The key; `values.yaml`, if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253), regex(pattern = r"^[\-._a-zA-Z0-9]+$"))]
    pub values_key: Option<String>,
}

/// How readiness is told after an action.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WaitStrategy {
    /// The way.
    pub name: WaitStrategyName,
}
