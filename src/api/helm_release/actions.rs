//! How a HelmRelease is installed, upgraded, tested, rolled back and uninstalled.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::{duration::Duration, schema};

closed_set! {
    /// What happens to the CRDs in a chart's `crds` folder.
    CrdsPolicy {
        /// They are left out.
        Skip = "Skip",
        /// Those that are missing are made.
        #[default]
        Create = "Create",
        /// They are made or replaced, and never deleted.
        CreateReplace = "CreateReplace",
    }
}

closed_set! {
    /// Who merges what is applied with what is there.
    ServerSideApplyMode {
        /// The API server.
        Enabled = "enabled",
        /// The client, by a three-way merge.
        Disabled = "disabled",
        /// Whoever did it for the last release.
        #[default]
        Auto = "auto",
    }
}

closed_set! {
    /// What a failed action leads to.
    ActionStrategyName {
        /// A remediation, if there are retries for one.
        #[default]
        RemediateOnFailure = "RemediateOnFailure",
        /// Another try after an interval, without remediation.
        RetryOnFailure = "RetryOnFailure",
    }
}

closed_set! {
    /// How a failed upgrade is remediated.
    RemediationStrategy {
        /// By going back to the last good revision.
        #[default]
        Rollback = "rollback",
        /// By taking the release away.
        Uninstall = "uninstall",
    }
}

closed_set! {
    /// What happens when the chart's name changes.
    ChartNameChangeStrategy {
        /// The release is upgraded in place.
        InPlaceUpdate = "InPlaceUpdate",
        /// The release is uninstalled and installed anew.
        #[default]
        Reinstall = "Reinstall",
    }
}

closed_set! {
    /// What happens to the dependents of a deleted object.
    DeletionPropagation {
        /// They go after it.
        #[default]
        Background = "background",
        /// They go before it.
        Foreground = "foreground",
        /// They stay.
        Orphan = "orphan",
    }
}

/// How the release is installed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Install {
    /// What happens to the CRDs in the chart's `crds` folder; `Create`, if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crds: Option<CrdsPolicy>,
    /// Makes the target namespace if it is missing; it is not deleted with the release.
    #[serde(default, skip_serializing_if = "schema::is_false")]
    pub create_namespace: bool,
    /// Leaves the chart's hooks out.
    #[serde(default, skip_serializing_if = "schema::is_false")]
    pub disable_hooks: bool,
    /// Does not check the manifests against the cluster's schemas.
    #[serde(default, rename = "disableOpenAPIValidation", skip_serializing_if = "schema::is_false")]
    pub disable_openapi_validation: bool,
    /// Does not check the values against the chart's schema.
    #[serde(default, skip_serializing_if = "schema::is_false")]
    pub disable_schema_validation: bool,
    /// Fails on objects that exist and do not belong to this release, in place of taking them over.
    #[serde(default, skip_serializing_if = "schema::is_false")]
    pub disable_take_ownership: bool,
    /// Does not wait for the objects to become ready.
    #[serde(default, skip_serializing_if = "schema::is_false")]
    pub disable_wait: bool,
    /// Does not wait for Jobs to complete.
    #[serde(default, skip_serializing_if = "schema::is_false")]
    pub disable_wait_for_jobs: bool,
    /// What is done when the install fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remediation: Option<InstallRemediation>,
    /// Takes the name of an uninstalled release that is still in the history.
    #[serde(default, skip_serializing_if = "schema::is_false")]
    pub replace: bool,
    /// Lets the API server merge; it does, if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_side_apply: Option<bool>,
    /// Has no effect; `crds: Skip` is its successor.
    #[serde(default, rename = "skipCRDs", skip_serializing_if = "schema::is_false")]
    pub skip_crds: bool,
    /// What a failed install leads to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<InstallStrategy>,
    /// How long the install may take; `spec.timeout`, if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
}

/// What is done when an install fails: an uninstall, and another try.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InstallRemediation {
    /// Does not count failed tests; `spec.test.ignoreFailures`, if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ignore_test_failures: Option<bool>,
    /// Remediates after the last failure too; it does not, if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remediate_last_failure: Option<bool>,
    /// How often it is tried again; a negative number means without end.
    #[serde(default, skip_serializing_if = "schema::is_zero")]
    #[schemars(schema_with = "schema::integer")]
    pub retries: i64,
}

/// What a failed install leads to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = (
        "!has(self.retryInterval) || self.name != 'RemediateOnFailure'",
        ".retryInterval cannot be set when .name is 'RemediateOnFailure'"
    )
)]
pub struct InstallStrategy {
    /// The way.
    pub name: ActionStrategyName,
    /// The time before another try; 5 minutes, if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_interval: Option<Duration>,
}

/// How the release is upgraded.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Upgrade {
    /// What happens when the chart's name changes; `Reinstall`, if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chart_name_change_strategy: Option<ChartNameChangeStrategy>,
    /// Deletes new objects when the upgrade fails.
    #[serde(default, skip_serializing_if = "schema::is_false")]
    pub cleanup_on_fail: bool,
    /// What happens to the CRDs in the chart's `crds` folder; `Create`, if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crds: Option<CrdsPolicy>,
    /// Leaves the chart's hooks out.
    #[serde(default, skip_serializing_if = "schema::is_false")]
    pub disable_hooks: bool,
    /// Does not check the manifests against the cluster's schemas.
    #[serde(default, rename = "disableOpenAPIValidation", skip_serializing_if = "schema::is_false")]
    pub disable_openapi_validation: bool,
    /// Does not check the values against the chart's schema.
    #[serde(default, skip_serializing_if = "schema::is_false")]
    pub disable_schema_validation: bool,
    /// Fails on objects that exist and do not belong to this release, in place of taking them over.
    #[serde(default, skip_serializing_if = "schema::is_false")]
    pub disable_take_ownership: bool,
    /// Does not wait for the objects to become ready.
    #[serde(default, skip_serializing_if = "schema::is_false")]
    pub disable_wait: bool,
    /// Does not wait for Jobs to complete.
    #[serde(default, skip_serializing_if = "schema::is_false")]
    pub disable_wait_for_jobs: bool,
    /// Replaces objects that cannot be patched; it has no effect with server-side apply.
    #[serde(default, skip_serializing_if = "schema::is_false")]
    pub force: bool,
    /// Merges the new values over those of the last release.
    #[serde(default, skip_serializing_if = "schema::is_false")]
    pub preserve_values: bool,
    /// What is done when the upgrade fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remediation: Option<UpgradeRemediation>,
    /// Who merges; `auto`, if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_side_apply: Option<ServerSideApplyMode>,
    /// What a failed upgrade leads to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<UpgradeStrategy>,
    /// How long the upgrade may take; `spec.timeout`, if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
}

/// What is done when an upgrade fails: a rollback or uninstall, and another try.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpgradeRemediation {
    /// Does not count failed tests; `spec.test.ignoreFailures`, if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ignore_test_failures: Option<bool>,
    /// Remediates after the last failure too; if not given, it does when there are retries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remediate_last_failure: Option<bool>,
    /// How often it is tried again; a negative number means without end.
    #[serde(default, skip_serializing_if = "schema::is_zero")]
    #[schemars(schema_with = "schema::integer")]
    pub retries: i64,
    /// The way; `rollback`, if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<RemediationStrategy>,
}

/// What a failed upgrade leads to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = (
        "!has(self.retryInterval) || self.name == 'RetryOnFailure'",
        ".retryInterval can only be set when .name is 'RetryOnFailure'"
    )
)]
pub struct UpgradeStrategy {
    /// The way.
    pub name: ActionStrategyName,
    /// The time before another try; 5 minutes, if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_interval: Option<Duration>,
}

/// Whether and how the chart's tests are run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Test {
    /// Runs the tests after an install or upgrade.
    #[serde(default, skip_serializing_if = "schema::is_false")]
    pub enable: bool,
    /// Which tests are run; all, if there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub filters: Vec<Filter>,
    /// Does not fail the release when a test fails.
    #[serde(default, skip_serializing_if = "schema::is_false")]
    pub ignore_failures: bool,
    /// How long the tests may take; `spec.timeout`, if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
}

/// Picks a test, or leaves it out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Filter {
    /// Leaves the test out.
    #[serde(default, skip_serializing_if = "schema::is_false")]
    pub exclude: bool,
    /// The test's name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// How the release is rolled back.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rollback {
    /// Deletes new objects when the rollback fails.
    #[serde(default, skip_serializing_if = "schema::is_false")]
    pub cleanup_on_fail: bool,
    /// Leaves the chart's hooks out.
    #[serde(default, skip_serializing_if = "schema::is_false")]
    pub disable_hooks: bool,
    /// Does not wait for the objects to become ready.
    #[serde(default, skip_serializing_if = "schema::is_false")]
    pub disable_wait: bool,
    /// Does not wait for Jobs to complete.
    #[serde(default, skip_serializing_if = "schema::is_false")]
    pub disable_wait_for_jobs: bool,
    /// Replaces objects that cannot be patched; it has no effect with server-side apply.
    #[serde(default, skip_serializing_if = "schema::is_false")]
    pub force: bool,
    /// Has no effect any more.
    #[serde(default, skip_serializing_if = "schema::is_false")]
    pub recreate: bool,
    /// Who merges; `auto`, if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_side_apply: Option<ServerSideApplyMode>,
    /// How long the rollback may take; `spec.timeout`, if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
}

/// How the release is uninstalled.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Uninstall {
    /// What happens to the dependents of the objects.
    #[serde(default)]
    pub deletion_propagation: DeletionPropagation,
    /// Leaves the chart's hooks out.
    #[serde(default, skip_serializing_if = "schema::is_false")]
    pub disable_hooks: bool,
    /// Does not wait for the objects to be gone.
    #[serde(default, skip_serializing_if = "schema::is_false")]
    pub disable_wait: bool,
    /// Keeps Helm's records of the release.
    #[serde(default, skip_serializing_if = "schema::is_false")]
    pub keep_history: bool,
    /// How long the uninstall may take; `spec.timeout`, if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
}
