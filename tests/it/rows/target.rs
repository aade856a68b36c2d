//! Names, places and remediation of a release.

use bowline::{
    api::helm_release::ReleaseAction,
    cluster::storage,
    reconcile::release::target::{self as module, Remediation},
};
use serde_json::{Value, json};

use super::fields::{Fields, object, same, snapshot, status};

fn metadata(input: &mut Fields) -> Result<(String, String), String> {
    let text: String = input.given("metadata")?.unwrap_or_else(|| "ns/app".to_owned());
    let (namespace, name) = text.split_once('/').ok_or_else(|| format!("metadata '{text}'"))?;
    Ok((namespace.to_owned(), name.to_owned()))
}

pub fn release_name(_: &str, input: &mut Fields, expect: &mut Fields) -> Result<(), String> {
    let (namespace, name) = metadata(input)?;
    let name = input.get("name")?.unwrap_or(name);
    let object = object(&namespace, &name, &input.get("spec")?.unwrap_or_else(|| json!({})))?;
    same("name", &module::release_name(&object), &expect.need("name")?)
}

pub fn naming(_: &str, input: &mut Fields, expect: &mut Fields) -> Result<(), String> {
    if let Some(release) = input.get::<String>("release")? {
        same("secret", &storage::secret_name(&release, input.need("version")?), &expect.need("secret")?)?;
        same("type", helm::release::SECRET_TYPE, &expect.need::<String>("type")?)?;
        let labels: Vec<String> = expect.need("labels")?;
        let ours = |label: &String| {
            let (name, value) = label.split_once('=').unwrap_or((label, "helm"));
            helm::release::SYSTEM_LABELS.contains(&name) && value == "helm"
        };
        return same("labels that are not ours", &labels.into_iter().find(|label| !ours(label)), &None);
    }
    if let Some(part) = input.get::<Value>("snapshot")? {
        let of_release = part.get("version").is_some();
        let snapshot = snapshot(&part)?;
        let text = if of_release { module::versioned_release(&snapshot) } else { module::versioned_chart(&snapshot) };
        return same("text", &text, &expect.need("text")?);
    }
    let (namespace, name) = metadata(input)?;
    same("HelmChart", &module::helm_chart_name(&object(&namespace, &name, &json!({}))?), &expect.need("HelmChart")?)
}

pub fn release_target_changed(_: &str, input: &mut Fields, expect: &mut Fields) -> Result<(), String> {
    let (namespace, name) = metadata(input)?;
    let object = object(&namespace, &name, &input.need("spec")?)?;
    let storage: Option<String> = input.given("status.storageNamespace")?;
    let history: Vec<Value> = input.given("snapshot")?.into_iter().collect();
    let history: Result<Vec<_>, _> = history.iter().map(snapshot).collect();
    let mut status = status(&json!({ "storageNamespace": storage }))?;
    status.history = history?;
    let change = module::target_change(&object, &status, &input.need::<String>("chart_name")?);
    same("changed", &change.is_some(), &expect.need("changed")?)?;
    expect.holds("reason", &change.map(|change| change.as_str().to_owned()))
}

pub fn failure_policy(_: &str, input: &mut Fields, expect: &mut Fields) -> Result<(), String> {
    let action: String = input.get("action")?.unwrap_or_else(|| "upgrade".to_owned());
    let retries: Option<i64> = input.get("retries")?;
    let failures: i64 = input.get("failures")?.unwrap_or(0);
    let mut remediation = json!({ "retries": retries });
    for key in ["remediateLastFailure", "ignoreTestFailures", "strategy"] {
        if let Some(value) = input.get::<Value>(key)? {
            remediation[key] = value;
        }
    }
    let object = object("ns", "app", &json!({ action.clone(): { "remediation": remediation } }))?;
    let status = status(&json!({ format!("{action}Failures"): failures }))?;
    let remediation: Remediation = match ReleaseAction::from(action.as_str()) {
        ReleaseAction::Install => module::install_remediation(&object, &status),
        ReleaseAction::Upgrade => module::upgrade_remediation(&object, &status),
        other => return Err(format!("action '{other}' has no remediation")),
    };
    expect.holds("exhausted", &remediation.is_exhausted())?;
    expect.holds("remediate_last_failure", &remediation.remediate_last_failure)?;
    expect.holds("ignore_test_failures", &remediation.ignore_test_failures)?;
    expect.holds("strategy", &remediation.strategy.as_str().to_owned())
}
