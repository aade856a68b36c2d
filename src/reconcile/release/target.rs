//! What a HelmRelease's spec says with its defaults filled in: names, namespaces, time limits, remediation.

use std::time::Duration;

use kube::ResourceExt;

use crate::{
    api::{
        HelmRelease, HelmReleaseStatus, Snapshot,
        helm_release::{
            ActionStrategyName, ChartNameChangeStrategy, DriftDetectionMode, ReleaseAction, RemediationStrategy,
            WaitStrategyName,
        },
    },
    source::archive,
};

/// Helm's limit of a release name, in bytes.
const MAX_RELEASE_NAME: usize = 53;
/// How many hex digits of a longer name's hash stand for its end.
const HASH: usize = 12;
/// How long an action may take where nothing says so.
const DEFAULT_TIMEOUT: Duration = Duration::from_mins(5);
/// After how long `RetryOnFailure` tries again where nothing says so.
const DEFAULT_RETRY_INTERVAL: Duration = Duration::from_mins(5);

/// Returns the release's name as the spec has it, before it is shortened: it stands in messages.
pub fn full_release_name(object: &HelmRelease) -> String {
    match (&object.spec.release_name, &object.spec.target_namespace) {
        (Some(name), _) => name.clone(),
        (None, Some(target)) => format!("{target}-{}", object.name_any()),
        (None, None) => object.name_any(),
    }
}

/// Returns the name of the Helm release: a longer one than Helm allows is cut and gets a hash of the whole name.
pub fn release_name(object: &HelmRelease) -> String {
    let name = full_release_name(object);
    if name.len() <= MAX_RELEASE_NAME {
        return name;
    }
    let digest = archive::digest(name.as_bytes());
    let hash = digest.trim_start_matches("sha256:");
    // Names of objects are ASCII, so that the cut is at a character.
    format!("{}-{}", &name[..MAX_RELEASE_NAME - HASH - 1], &hash[..HASH])
}

/// Returns the namespace that the release's objects go to.
pub fn release_namespace(object: &HelmRelease) -> String {
    object.spec.target_namespace.clone().or_else(|| object.namespace()).unwrap_or_default()
}

/// Returns the namespace of Helm's records: the object's own where nothing else is said, not the target namespace.
pub fn storage_namespace(object: &HelmRelease) -> String {
    object.spec.storage_namespace.clone().or_else(|| object.namespace()).unwrap_or_default()
}

/// Returns the name of the HelmChart that is made from `spec.chart`.
pub fn helm_chart_name(object: &HelmRelease) -> String {
    format!("{}-{}", object.namespace().unwrap_or_default(), object.name_any())
}

/// Returns how long an action may take, from its own setting, the spec's, or Flux's default.
pub fn timeout(object: &HelmRelease, of: ActionKind) -> Duration {
    let spec = &object.spec;
    let own = match of {
        ActionKind::Install => spec.install.as_ref().and_then(|i| i.timeout.clone()),
        ActionKind::Upgrade => spec.upgrade.as_ref().and_then(|u| u.timeout.clone()),
        ActionKind::Test => spec.test.as_ref().and_then(|t| t.timeout.clone()),
        ActionKind::Rollback => spec.rollback.as_ref().and_then(|r| r.timeout.clone()),
        ActionKind::Uninstall => spec.uninstall.as_ref().and_then(|u| u.timeout.clone()),
        ActionKind::Other => None,
    };
    own.or_else(|| spec.timeout.clone()).map_or(DEFAULT_TIMEOUT, |timeout| timeout.get_or(DEFAULT_TIMEOUT))
}

/// How an action waits for what it applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitStrategy {
    /// Hooks alone are waited for.
    HooksOnly,
    /// By kstatus.
    Poller,
    /// By Helm's own rules of old.
    Legacy,
}

/// Returns how an action waits.
pub fn wait_strategy(object: &HelmRelease, disable_wait: bool) -> WaitStrategy {
    match object.spec.wait_strategy.as_ref().map(|strategy| &strategy.name) {
        _ if disable_wait => WaitStrategy::HooksOnly,
        Some(WaitStrategyName::Legacy) => WaitStrategy::Legacy,
        Some(WaitStrategyName::Poller | WaitStrategyName::Unknown(_)) | None => WaitStrategy::Poller,
    }
}

/// The actions that have a time limit of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActionKind {
    Install,
    Upgrade,
    Test,
    Rollback,
    Uninstall,
    Other,
}

/// What a failure of the last release action leads to.
#[derive(Clone, Debug, PartialEq)]
pub struct Remediation {
    /// How many failures are remediated; negative without end.
    pub retries: i64,
    pub failures: i64,
    pub strategy: RemediationStrategy,
    pub remediate_last_failure: bool,
    pub ignore_test_failures: bool,
    after_upgrade: bool,
}

impl Remediation {
    /// Tells whether there are no retries left.
    pub fn is_exhausted(&self) -> bool {
        self.retries >= 0 && self.failures > self.retries
    }

    /// Tells whether an install follows on this remediation, exhausted or not: the upgrade's retries do not count for it.
    pub fn is_uninstall_after_upgrade(&self) -> bool {
        self.after_upgrade && self.strategy == RemediationStrategy::Uninstall
    }
}

fn ignores_test_failures(object: &HelmRelease) -> bool {
    object.spec.test.as_ref().is_some_and(|t| t.ignore_failures)
}

/// Returns what failed installs lead to.
pub fn install_remediation(object: &HelmRelease, status: &HelmReleaseStatus) -> Remediation {
    let given = object.spec.install.as_ref().and_then(|i| i.remediation.as_ref());
    Remediation {
        retries: given.map_or(0, |r| r.retries),
        failures: status.install_failures,
        strategy: RemediationStrategy::Uninstall,
        remediate_last_failure: given.and_then(|r| r.remediate_last_failure).unwrap_or(false),
        ignore_test_failures: given
            .and_then(|r| r.ignore_test_failures)
            .unwrap_or_else(|| ignores_test_failures(object)),
        after_upgrade: false,
    }
}

/// Returns what failed upgrades lead to.
pub fn upgrade_remediation(object: &HelmRelease, status: &HelmReleaseStatus) -> Remediation {
    let given = object.spec.upgrade.as_ref().and_then(|u| u.remediation.as_ref());
    let retries = given.map_or(0, |r| r.retries);
    Remediation {
        retries,
        failures: status.upgrade_failures,
        strategy: given.and_then(|r| r.strategy.clone()).unwrap_or(RemediationStrategy::Rollback),
        remediate_last_failure: given.and_then(|r| r.remediate_last_failure).unwrap_or(retries > 0),
        ignore_test_failures: given
            .and_then(|r| r.ignore_test_failures)
            .unwrap_or_else(|| ignores_test_failures(object)),
        after_upgrade: true,
    }
}

/// Returns the remediation of the action that was tried last; none before the first.
pub fn active_remediation(object: &HelmRelease, status: &HelmReleaseStatus) -> Option<Remediation> {
    match status.last_attempted_release_action {
        Some(ReleaseAction::Install) => Some(install_remediation(object, status)),
        Some(ReleaseAction::Upgrade) => Some(upgrade_remediation(object, status)),
        _ => None,
    }
}

/// Returns the retry interval of the action that was tried last, where its strategy is `RetryOnFailure`.
pub fn active_retry(object: &HelmRelease, status: &HelmReleaseStatus) -> Option<Duration> {
    retry_of(object, status.last_attempted_release_action.as_ref()?)
}

/// Returns the retry interval of an action whose strategy is `RetryOnFailure`.
pub fn retry_of(object: &HelmRelease, action: &ReleaseAction) -> Option<Duration> {
    let (name, interval) = match action {
        ReleaseAction::Install => {
            let strategy = object.spec.install.as_ref()?.strategy.as_ref()?;
            (&strategy.name, &strategy.retry_interval)
        }
        ReleaseAction::Upgrade => {
            let strategy = object.spec.upgrade.as_ref()?.strategy.as_ref()?;
            (&strategy.name, &strategy.retry_interval)
        }
        _ => return None,
    };
    (*name == ActionStrategyName::RetryOnFailure)
        .then(|| interval.as_ref().map_or(DEFAULT_RETRY_INTERVAL, |given| given.get_or(DEFAULT_RETRY_INTERVAL)))
}

/// Tells whether the chart's tests are part of the release.
pub fn tests_enabled(object: &HelmRelease) -> bool {
    object.spec.test.as_ref().is_some_and(|t| t.enable)
}

/// Tells whether a failed test leaves the release ready.
pub fn test_failures_ignored(object: &HelmRelease) -> bool {
    ignores_test_failures(object)
}

/// Returns what is done about drift.
pub fn drift_mode(object: &HelmRelease) -> DriftDetectionMode {
    object.spec.drift_detection.as_ref().and_then(|d| d.mode.clone()).unwrap_or(DriftDetectionMode::Disabled)
}

/// Where a release is found: when this changes, the old one is uninstalled first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetChange {
    StorageNamespace,
    ReleaseNamespace,
    ReleaseName,
    ChartName,
}

impl TargetChange {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::StorageNamespace => "storage namespace",
            Self::ReleaseNamespace => "release namespace",
            Self::ReleaseName => "release name",
            Self::ChartName => "chart name",
        }
    }
}

/// Tells what of the place of the installed release differs from what the spec asks for.
pub fn target_change(object: &HelmRelease, status: &HelmReleaseStatus, chart_name: &str) -> Option<TargetChange> {
    let storage = status.storage_namespace.as_deref().filter(|ns| !ns.is_empty())?;
    let current = super::history::latest(&status.history)?;
    if storage_namespace(object) != storage {
        Some(TargetChange::StorageNamespace)
    } else if release_namespace(object) != current.namespace {
        Some(TargetChange::ReleaseNamespace)
    } else if release_name(object) != current.name {
        Some(TargetChange::ReleaseName)
    } else if chart_name != current.chart_name {
        Some(TargetChange::ChartName)
    } else {
        None
    }
}

/// Tells whether a change of the chart's name is an upgrade in place.
pub fn keeps_release_on_chart_change(object: &HelmRelease) -> bool {
    let strategy = object.spec.upgrade.as_ref().and_then(|u| u.chart_name_change_strategy.clone());
    strategy == Some(ChartNameChangeStrategy::InPlaceUpdate)
}

/// Writes a snapshot's release as Flux does: `namespace/name.vN`.
pub fn versioned_release(snapshot: &Snapshot) -> String {
    format!("{}/{}.v{}", snapshot.namespace, snapshot.name, snapshot.version)
}

/// Writes a snapshot's chart as Flux does: `name@version`.
pub fn versioned_chart(snapshot: &Snapshot) -> String {
    format!("{}@{}", snapshot.chart_name, snapshot.chart_version)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::HelmReleaseSpec;

    fn object(name: &str, target: Option<&str>, release: Option<&str>) -> HelmRelease {
        let spec = HelmReleaseSpec {
            target_namespace: target.map(str::to_owned),
            release_name: release.map(str::to_owned),
            ..HelmReleaseSpec::default()
        };
        let mut object = HelmRelease::new(name, spec);
        object.metadata.namespace = Some("apps".to_owned());
        object
    }

    #[test]
    fn a_release_is_named_after_its_target_and_object() {
        assert_eq!(release_name(&object("ui", None, None)), "ui");
        assert_eq!(release_name(&object("ui", Some("web"), None)), "web-ui");
        assert_eq!(release_name(&object("ui", Some("web"), Some("front"))), "front");
        assert_eq!(release_namespace(&object("ui", Some("web"), None)), "web");
        assert_eq!(storage_namespace(&object("ui", Some("web"), None)), "apps");
        assert_eq!(helm_chart_name(&object("ui", None, None)), "apps-ui");
    }

    #[test]
    fn a_name_that_is_too_long_is_cut_and_hashed() {
        let long = object("default-name", Some("target-namespace-exceeding-max-characters"), None);
        assert_eq!(release_name(&long), "target-namespace-exceeding-max-character-eceb26601388");
        let edge = object(&"a".repeat(53), None, None);
        assert_eq!(release_name(&edge), "a".repeat(53));
    }

    #[test]
    fn an_actions_own_time_limit_wins() {
        let mut object = object("ui", None, None);
        assert_eq!(timeout(&object, ActionKind::Install).as_secs(), 300);
        object.spec.timeout = "2m".parse().ok();
        assert_eq!(timeout(&object, ActionKind::Upgrade).as_secs(), 120);
        object.spec.upgrade =
            Some(crate::api::helm_release::Upgrade { timeout: "7s".parse().ok(), ..Default::default() });
        assert_eq!(timeout(&object, ActionKind::Upgrade).as_secs(), 7);
        assert_eq!(timeout(&object, ActionKind::Install).as_secs(), 120);
    }
}
