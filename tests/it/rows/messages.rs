//! Flux's messages, as conditions and events have them.

use bowline::{
    api::{HelmReleaseStatus, conditions, helm_release::ReleaseAction},
    reconcile::release::{
        decide::{self, Action, Desired, Drift, Outcome, RollbackTarget, State, Step, View},
        report::{Gone, Report},
    },
};
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use super::fields::{self, Fields, object, same, snapshot, status};

/// The revision that an expected text names, 1 where it names none.
fn revision(text: &str, release: &str) -> i64 {
    let rest = text.split_once(&format!("{release}.v")).map_or("", |(_, rest)| rest);
    rest.split(|c: char| !c.is_ascii_digit()).next().and_then(|number| number.parse().ok()).unwrap_or(1)
}

/// What a text that is expected says between two others.
fn between<'t>(text: &'t str, from: &str, to: &str) -> Option<&'t str> {
    let (_, rest) = text.split_once(from)?;
    Some(rest.split_once(to)?.0)
}

/// The number of test hooks that an expected text tells of.
fn hooks(text: &str) -> usize {
    text.rsplit_once(": ").and_then(|(_, rest)| rest.split(' ').next()?.parse().ok()).unwrap_or(0)
}

fn action_of(name: &str) -> Option<Action> {
    [Action::Install, Action::Upgrade, Action::Unlock, Action::Test, Action::Rollback, Action::CorrectDrift]
        .into_iter()
        .chain([Action::UninstallRemediation])
        .find(|action| action.name() == name)
}

/// The beginning of the text that is expected says which it is; all of it must be ours.
pub fn message(_: &str, input: &mut Fields, expect: &mut Fields) -> Result<(), String> {
    let text: String = expect.need("text")?;
    let release: String = input.need("release")?;
    let (chart, version) = fields::chart(&input.need::<String>("chart")?)?;
    let (namespace, name) = release.split_once('/').ok_or_else(|| format!("release '{release}'"))?;
    let ran: serde_json::Map<_, _> =
        (0..hooks(&text)).map(|at| (format!("t{at}"), json!({ "phase": "Succeeded" }))).collect();
    let is_awaiting = text.ends_with("is awaiting tests");
    let current = snapshot(&json!({
        "namespace": namespace, "name": name, "version": revision(&text, &release), "chartName": chart,
        "chartVersion": version, "testHooks": if is_awaiting { Value::Null } else { json!(ran) },
    }))?;
    let mut spec = json!({ "test": { "enable": is_awaiting }, "driftDetection": { "mode": "enabled" } });
    if let Some(timeout) = text.split_once(" action with timeout of ").map(|(_, timeout)| timeout) {
        spec["timeout"] = json!(timeout);
    }
    let object = object(namespace, name, &spec)?;
    let mut status = HelmReleaseStatus { history: vec![current.clone()], ..HelmReleaseStatus::default() };
    let desired = Desired { chart_name: chart, chart_version: version, ..Desired::default() };
    let mut report = Report { object: &object, status: &mut status, now: Timestamp::UNIX_EPOCH };
    let error = ["failed: ", &format!("@{}: ", desired.chart_version)]
        .iter()
        .find_map(|before| text.split_once(before).map(|(_, error)| error));
    let said = |verb: &str| text.starts_with(&format!("Helm {verb} "));
    let notice = if said("install succeeded") {
        report.released(&ReleaseAction::Install)
    } else if said("upgrade succeeded") {
        report.released(&ReleaseAction::Upgrade)
    } else if said("install failed") {
        Some(report.release_failed(&ReleaseAction::Install, &desired, "", true, error.unwrap_or_default()))
    } else if said("upgrade failed") {
        Some(report.release_failed(&ReleaseAction::Upgrade, &desired, "", true, error.unwrap_or_default()))
    } else if said("rollback to previous release") {
        Some(report.rolled_back(&current, error))
    } else if said("uninstall remediation for release") {
        Some(report.uninstalled_as_remediation(&current, error))
    } else if said("uninstall succeeded") || said("uninstall failed") {
        Some(report.uninstalled(&current, error))
    } else if said("test succeeded") {
        report.tested(None)
    } else if said("test failed") {
        report.tested(error)
    } else if text.starts_with("Unlock") {
        let state = between(&text, " in ", " state").unwrap_or_default();
        Some(report.unlocked(&current, state, error))
    } else if text.ends_with("was not found, assuming it is uninstalled") {
        report.was_gone(&current, Gone::NotFound);
        return of_condition(&status, conditions::RELEASED, &text);
    } else if text.ends_with("was already uninstalled") {
        report.was_gone(&current, Gone::Already);
        return of_condition(&status, conditions::RELEASED, &text);
    } else if is_awaiting {
        report.released(&ReleaseAction::Install);
        return of_condition(&status, conditions::TEST_SUCCESS, &text);
    } else if let Some(action) = between(&text, "Running '", "' action").and_then(action_of) {
        report.running(action);
        return of_condition(&status, conditions::RECONCILING, &text);
    } else if text == "correcting cluster drift" {
        report.running(Action::CorrectDrift);
        return of_condition(&status, conditions::READY, &text);
    } else if text.starts_with("No drift detected") {
        report.no_drift(&[]);
        return of_condition(&status, conditions::DRIFTED, &text);
    } else if let Some((_, lines)) = text.split_once(" has drifted from the desired state:\n") {
        report.drifted(lines, &[])
    } else if text.starts_with("Failed to ") {
        return stalled(&text);
    } else {
        return Err(format!("message '{text}' is not known"));
    };
    same("text", &notice.ok_or("no event")?.message, &text)
}

fn of_condition(status: &HelmReleaseStatus, kind: &str, text: &str) -> Result<(), String> {
    let condition = conditions::get(&status.conditions, kind).ok_or_else(|| format!("condition {kind} is missing"))?;
    same("text", condition.message.as_str(), text)
}

/// What a failed action leads to that nothing more is tried after.
fn stalled(text: &str) -> Result<(), String> {
    let action = between(text, "Failed to ", " after ").unwrap_or("upgrade");
    let failures: i64 = between(text, " after ", " attempt").and_then(|n| n.parse().ok()).unwrap_or(1);
    let has_retries_left = text.contains("missing target release");
    let retries = if has_retries_left { failures } else { failures - 1 };
    let object = object("ns", "app", &json!({ action: { "remediation": { "retries": retries } } }))?;
    let status = status(&json!({ "lastAttemptedReleaseAction": action, format!("{action}Failures"): failures }))?;
    let view = View {
        object: &object,
        status: &status,
        last: None,
        desired: &Desired::default(),
        target: RollbackTarget::Missing,
        drift: Drift::NotChecked,
        now: Timestamp::UNIX_EPOCH,
    };
    if !has_retries_left && let Outcome::Stall { message, .. } = decide::after(&view, Action::Rollback) {
        same("text", message.as_str(), text)?;
    }
    let state = if action == "install" { State::Absent("") } else { State::Failed("") };
    match decide::next(&view, &state).step {
        Step::Stall { message, .. } => same("text", message.as_str(), text),
        step => Err(format!("text: is {step:?}")),
    }
}
