//! Hooks: manifests that run at events of a release instead of being part of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The annotation that makes a manifest a hook.
pub const HOOK_ANNOTATION: &str = "helm.sh/hook";
/// The annotation with a hook's place among those of its event.
pub const WEIGHT_ANNOTATION: &str = "helm.sh/hook-weight";
/// The annotation that says when a hook's object is deleted.
pub const DELETE_ANNOTATION: &str = "helm.sh/hook-delete-policy";
/// The annotation that says whose logs are shown.
pub const OUTPUT_LOG_ANNOTATION: &str = "helm.sh/hook-output-log-policy";

/// When a hook runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    PreInstall,
    PostInstall,
    PreDelete,
    PostDelete,
    PreUpgrade,
    PostUpgrade,
    PreRollback,
    PostRollback,
    Test,
    /// An event of a record that another version of Helm wrote.
    #[serde(untagged)]
    Other(String),
}

impl Event {
    /// Reads an event of the annotation; Helm 2's `test-success` is a test.
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "pre-install" => Self::PreInstall,
            "post-install" => Self::PostInstall,
            "pre-delete" => Self::PreDelete,
            "post-delete" => Self::PostDelete,
            "pre-upgrade" => Self::PreUpgrade,
            "post-upgrade" => Self::PostUpgrade,
            "pre-rollback" => Self::PreRollback,
            "post-rollback" => Self::PostRollback,
            "test" | "test-success" => Self::Test,
            _ => return None,
        })
    }

    /// Returns Helm's name of the event.
    pub fn as_str(&self) -> &str {
        match self {
            Self::PreInstall => "pre-install",
            Self::PostInstall => "post-install",
            Self::PreDelete => "pre-delete",
            Self::PostDelete => "post-delete",
            Self::PreUpgrade => "pre-upgrade",
            Self::PostUpgrade => "post-upgrade",
            Self::PreRollback => "pre-rollback",
            Self::PostRollback => "post-rollback",
            Self::Test => "test",
            Self::Other(name) => name,
        }
    }
}

/// When a hook's object is deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeletePolicy {
    HookSucceeded,
    HookFailed,
    BeforeHookCreation,
    /// Whatever else the annotation said; it has no effect.
    #[serde(untagged)]
    Other(String),
}

/// After what outcome a hook's logs are shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OutputLogPolicy {
    HookSucceeded,
    HookFailed,
    /// Whatever else the annotation said; it has no effect.
    #[serde(untagged)]
    Other(String),
}

/// How the last run of a hook ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    Unknown,
    Running,
    Succeeded,
    Failed,
}

/// The last run of a hook; a hook that never ran has neither times nor phase.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Execution {
    #[serde(default, with = "crate::release::time", skip_serializing_if = "Option::is_none")]
    pub started_at: Option<jiff::Zoned>,
    #[serde(default, with = "crate::release::time", skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<jiff::Zoned>,
    #[serde(default, with = "phase")]
    pub phase: Option<Phase>,
}

/// A phase in JSON: an empty text for none, or for one that is not known.
mod phase {
    use super::Phase;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[expect(clippy::ref_option, clippy::trivially_copy_pass_by_ref, reason = "serde gives the field by reference")]
    pub fn serialize<S: Serializer>(phase: &Option<Phase>, serializer: S) -> Result<S::Ok, S::Error> {
        match phase {
            Some(phase) => phase.serialize(serializer),
            None => serializer.serialize_str(""),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Phase>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        Ok(match text.as_deref() {
            Some("Unknown") => Some(Phase::Unknown),
            Some("Running") => Some(Phase::Running),
            Some("Succeeded") => Some(Phase::Succeeded),
            Some("Failed") => Some(Phase::Failed),
            _ => None,
        })
    }
}

/// A hook of a release, as it is rendered and as it is recorded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hook {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// The template that it comes from.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// The YAML text.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub manifest: String,
    #[serde(default, deserialize_with = "crate::release::null_default", skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<Event>,
    #[serde(default)]
    pub last_run: Execution,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub weight: i64,
    #[serde(default, deserialize_with = "crate::release::null_default", skip_serializing_if = "Vec::is_empty")]
    pub delete_policies: Vec<DeletePolicy>,
    #[serde(default, deserialize_with = "crate::release::null_default", skip_serializing_if = "Vec::is_empty")]
    pub output_log_policies: Vec<OutputLogPolicy>,
    /// The parsed manifest; null for a hook that was read from a record.
    #[serde(skip)]
    pub object: Value,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives the field by reference")]
fn is_zero(number: &i64) -> bool {
    *number == 0
}

impl Hook {
    /// Takes weight and policies from the annotations of a manifest.
    pub(crate) fn annotate(&mut self, annotations: &BTreeMap<String, String>) {
        self.weight = annotations.get(WEIGHT_ANNOTATION).and_then(|weight| weight.parse().ok()).unwrap_or(0);
        self.delete_policies = words(annotations.get(DELETE_ANNOTATION))
            .map(|word| match word.as_str() {
                "hook-succeeded" => DeletePolicy::HookSucceeded,
                "hook-failed" => DeletePolicy::HookFailed,
                "before-hook-creation" => DeletePolicy::BeforeHookCreation,
                _ => DeletePolicy::Other(word),
            })
            .collect();
        self.output_log_policies = words(annotations.get(OUTPUT_LOG_ANNOTATION))
            .map(|word| match word.as_str() {
                "hook-succeeded" => OutputLogPolicy::HookSucceeded,
                "hook-failed" => OutputLogPolicy::HookFailed,
                _ => OutputLogPolicy::Other(word),
            })
            .collect();
    }

    /// Says whether the hook runs at an event.
    pub fn runs_at(&self, event: &Event) -> bool {
        self.events.contains(event)
    }
}

/// Reads the events of the hook annotation; None when one of them is not known.
pub(crate) fn events(annotation: &str) -> Option<Vec<Event>> {
    words(Some(&annotation.to_string())).map(|word| Event::parse(&word)).collect()
}

fn words(annotation: Option<&String>) -> impl Iterator<Item = String> + '_ {
    annotation.into_iter().flat_map(|text| text.split(',')).map(|word| word.trim().to_lowercase())
}

/// Puts the hooks of an event in the order in which they run: by weight, then by name, then by kind.
pub fn sort_for_run(hooks: &mut [&Hook]) {
    hooks.sort_by(|a, b| a.weight.cmp(&b.weight).then_with(|| a.name.cmp(&b.name)));
}
