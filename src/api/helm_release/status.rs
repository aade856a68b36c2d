//! What was done for a HelmRelease, and how it went.

use std::collections::BTreeMap;

use k8s_openapi::{
    apimachinery::pkg::apis::meta::v1::{Condition, Time},
    jiff::Timestamp,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::{inventory::ResourceInventory, schema};

/// What was done for the release, and how it went.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HelmReleaseStatus {
    /// How the release stands.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
    /// How many actions failed since the last success or change.
    #[serde(default, skip_serializing_if = "schema::is_zero")]
    pub failures: i64,
    /// The HelmChart made from `spec.chart`, as `namespace/name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub helm_chart: Option<String>,
    /// The revisions that were made, newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<Snapshot>,
    /// How many installs failed since the last success or change.
    #[serde(default, skip_serializing_if = "schema::is_zero")]
    pub install_failures: i64,
    /// The objects of the release, hooks left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inventory: Option<ResourceInventory>,
    /// The digest of the values that were tried last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_attempted_config_digest: Option<String>,
    /// The generation that was tried last.
    #[serde(default, skip_serializing_if = "schema::is_zero")]
    pub last_attempted_generation: i64,
    /// The action that was tried last; it decides which remediation applies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["install", "upgrade"]))]
    pub last_attempted_release_action: Option<ReleaseAction>,
    /// How long the last action took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_attempted_release_action_duration: Option<String>,
    /// The chart version that was tried last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_attempted_revision: Option<String>,
    /// The digest of the OCI artifact that was tried last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_attempted_revision_digest: Option<String>,
    /// A digest of former versions; `lastAttemptedConfigDigest` is its successor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_attempted_values_checksum: Option<String>,
    /// The last value of the force annotation that was acted on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_force_at: Option<String>,
    /// The last value of the reconcile annotation that was acted on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<String>,
    /// The last value of the reset annotation that was acted on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_reset_at: Option<String>,
    /// A revision number of former versions; `history` is its successor.
    #[serde(default, skip_serializing_if = "schema::is_zero")]
    #[schemars(schema_with = "schema::integer")]
    pub last_release_revision: i64,
    /// The digest of the common metadata that was applied last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_common_metadata_digest: Option<String>,
    /// The generation that was reconciled last; -1 before the first time.
    #[serde(default, skip_serializing_if = "schema::is_zero")]
    pub observed_generation: i64,
    /// The digest of the post-renderers that were applied last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_post_renderers_digest: Option<String>,
    /// The namespace of Helm's records of the release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub storage_namespace: Option<String>,
    /// How many upgrades failed since the last success or change.
    #[serde(default, skip_serializing_if = "schema::is_zero")]
    pub upgrade_failures: i64,
}

closed_set! {
    /// What was done to a release.
    ReleaseAction {
        /// It was installed.
        #[default]
        Install = "install",
        /// It was upgraded.
        Upgrade = "upgrade",
        /// It was rolled back.
        Rollback = "rollback",
        /// It was uninstalled.
        Uninstall = "uninstall",
        /// It was uninstalled after a failure.
        UninstallRemediation = "uninstall-remediation",
    }
}

/// One revision of a release, as it was seen last.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Snapshot {
    /// What made or changed the revision last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub action: Option<ReleaseAction>,
    /// The form that the digest was taken of; the digest does not count if it is not the present one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// The version of the application in the chart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app_version: Option<String>,
    /// The chart's name.
    pub chart_name: String,
    /// The chart's version.
    pub chart_version: String,
    /// The digest of the values.
    pub config_digest: String,
    /// When the release was uninstalled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::time")]
    pub deleted: Option<Time>,
    /// The digest of Helm's record.
    pub digest: String,
    /// When the release was installed first.
    #[schemars(schema_with = "schema::time")]
    pub first_deployed: Time,
    /// When the revision was made.
    #[schemars(schema_with = "schema::time")]
    pub last_deployed: Time,
    /// The release's name.
    pub name: String,
    /// The release's namespace.
    pub namespace: String,
    /// The digest of the OCI artifact that the chart came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oci_digest: Option<String>,
    /// Helm's status of the revision.
    pub status: String,
    /// The test hooks by name, as they ran last; an empty map says that there are none, no map that none was run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_hooks: Option<BTreeMap<String, TestHookStatus>>,
    /// The number of the revision.
    #[schemars(schema_with = "schema::integer")]
    pub version: i64,
}

impl Default for Snapshot {
    fn default() -> Self {
        Self {
            action: None,
            api_version: None,
            app_version: None,
            chart_name: String::new(),
            chart_version: String::new(),
            config_digest: String::new(),
            deleted: None,
            digest: String::new(),
            first_deployed: Time(Timestamp::UNIX_EPOCH),
            last_deployed: Time(Timestamp::UNIX_EPOCH),
            name: String::new(),
            namespace: String::new(),
            oci_digest: None,
            status: String::new(),
            test_hooks: None,
            version: 0,
        }
    }
}

/// How a test hook ran.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TestHookStatus {
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::time")]
    pub last_completed: Option<Time>,
    /// When it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::time")]
    pub last_started: Option<Time>,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
}
