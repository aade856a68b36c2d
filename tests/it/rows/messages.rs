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

pub fn message(words: &str, input: &mut Fields, expect: &mut Fields) -> Result<(), String> {
    let text: String = expect.need("text")?;
    let release: String = input.need("release")?;
    let (chart, version) = fields::chart(&input.need::<String>("chart")?)?;
    let (namespace, name) = release.split_once('/').ok_or_else(|| format!("release '{release}'"))?;
    let hooks = json!({ "a": { "phase": "Succeeded" }, "b": { "phase": "Succeeded" } });
    let current = snapshot(&json!({
        "namespace": namespace, "name": name, "version": revision(&text, &release), "chartName": chart,
        "chartVersion": version, "testHooks": if words == "test ok" { hooks } else { Value::Null },
    }))?;
    let is_awaiting = words == "test awaited";
    let spec = json!({ "test": { "enable": is_awaiting }, "driftDetection": { "mode": "enabled" } });
    let object = object(namespace, name, &spec)?;
    let mut status = HelmReleaseStatus { history: vec![current.clone()], ..HelmReleaseStatus::default() };
    let desired = Desired { chart_name: chart, chart_version: version, ..Desired::default() };
    let mut report = Report { object: &object, status: &mut status, now: Timestamp::UNIX_EPOCH };
    let error = Some("<error>");
    let notice = match words {
        "install ok" => report.released(&ReleaseAction::Install),
        "upgrade ok" => report.released(&ReleaseAction::Upgrade),
        "install failed" => Some(report.release_failed(&ReleaseAction::Install, &desired, "", true, "<error>")),
        "upgrade failed" => Some(report.release_failed(&ReleaseAction::Upgrade, &desired, "", true, "<error>")),
        "rollback ok" => Some(report.rolled_back(&current, None)),
        "rollback failed" => Some(report.rolled_back(&current, error)),
        "uninstall ok" => Some(report.uninstalled(&current, None)),
        "uninstall failed" => Some(report.uninstalled(&current, error)),
        "uninstall remediation ok" => Some(report.uninstalled_as_remediation(&current, None)),
        "uninstall remediation failed" => Some(report.uninstalled_as_remediation(&current, error)),
        "test ok" | "test ok without hooks" => report.tested(None),
        "test failed" => report.tested(error),
        "unlock ok" => Some(report.unlocked(&current, "pending-upgrade", None)),
        "unlock failed" => Some(report.unlocked(&current, "pending-upgrade", error)),
        "release already gone" | "release already uninstalled" => {
            report.was_gone(&current, if words.ends_with("gone") { Gone::NotFound } else { Gone::Already });
            return of_condition(&status, conditions::RELEASED, &text);
        }
        "test awaited" => {
            report.released(&ReleaseAction::Install);
            return of_condition(&status, conditions::TEST_SUCCESS, &text);
        }
        "drift correction running" => {
            report.running(Action::CorrectDrift);
            return of_condition(&status, conditions::READY, &text);
        }
        "no drift" => {
            report.no_drift(&[]);
            return of_condition(&status, conditions::DRIFTED, &text);
        }
        "retries used up" | "no rollback target" => return stalled(words, &text),
        other => return Err(format!("message '{other}' is not known")),
    };
    same("text", &notice.ok_or("no event")?.message, &text)
}

fn of_condition(status: &HelmReleaseStatus, kind: &str, text: &str) -> Result<(), String> {
    let condition = conditions::get(&status.conditions, kind).ok_or_else(|| format!("condition {kind} is missing"))?;
    same("text", condition.message.as_str(), text)
}

/// What a failed upgrade leads to that nothing more is tried after.
fn stalled(words: &str, text: &str) -> Result<(), String> {
    let retries = i64::from(words == "no rollback target");
    let object = object("ns", "app", &json!({ "upgrade": { "remediation": { "retries": retries } } }))?;
    let status = status(&json!({ "lastAttemptedReleaseAction": "upgrade", "upgradeFailures": 1 }))?;
    let view = View {
        object: &object,
        status: &status,
        last: None,
        desired: &Desired::default(),
        target: RollbackTarget::Missing,
        drift: Drift::NotChecked,
        now: Timestamp::UNIX_EPOCH,
    };
    if words == "retries used up"
        && let Outcome::Stall { message, .. } = decide::after(&view, Action::Rollback)
    {
        same("text", message.as_str(), text)?;
    }
    match decide::next(&view, &State::Failed("")).step {
        Step::Stall { message, .. } => same("text", message.as_str(), text),
        step => Err(format!("text: is {step:?}")),
    }
}
