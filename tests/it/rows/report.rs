//! Conditions and counters of a status.

use bowline::{
    api::{HelmReleaseStatus, conditions as api},
    reconcile::release::{begin, decide, decide::Desired, handle_force, report::Report},
};
use k8s_openapi::jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{
    conditions,
    decisions::annotate,
    fields::{Fields, check, desired, object, same, snapshot, status},
};

pub fn summarize(_: &str, input: &mut Fields, expect: &mut Fields) -> Result<(), String> {
    let test: Option<Value> = input.get("test")?;
    let mut object = object("ns", "app", &json!({ "test": test }))?;
    // The number that Go writes for none.
    object.metadata.generation = input.get("generation")?.filter(|generation| *generation != 0);
    let mut status = HelmReleaseStatus { conditions: conditions::given(input)?, ..HelmReleaseStatus::default() };
    Report { object: &object, status: &mut status, now: Timestamp::UNIX_EPOCH }.summarize(None);
    if let Some(ready) = expect.get("ready")? {
        conditions::hold_one(ready, &status.conditions)?;
    }
    conditions::hold(expect, &status.conditions)
}

/// The one replacement there is: Remediated by Released.
pub fn replace_condition(_: &str, input: &mut Fields, expect: &mut Fields) -> Result<(), String> {
    let given = conditions::given(input)?;
    same("target", &input.need::<String>("target")?, &api::REMEDIATED.to_owned())?;
    let with: Value = input.need("with")?;
    let object = object("ns", "app", &json!({}))?;
    let since = api::get(&given, api::REMEDIATED).map(|c| c.last_transition_time.clone());
    let mut status = HelmReleaseStatus { conditions: given.clone(), ..HelmReleaseStatus::default() };
    let current = snapshot(&json!({ "version": 1, "status": "deployed" }))?;
    Report { object: &object, status: &mut status, now: Timestamp::UNIX_EPOCH }.replace_remediated(&current);
    if since.is_some() {
        conditions::hold_one(with, &status.conditions)?;
    } else {
        same("conditions", &status.conditions, &given)?;
    }
    if let Some(of) = expect.get::<String>("lastTransitionTime")? {
        same("lastTransitionTime", &of, &"of the target".to_owned())?;
        let released = api::get(&status.conditions, api::RELEASED).map(|c| c.last_transition_time.clone());
        same("lastTransitionTime", &released, &since)?;
    }
    let expected: Vec<Value> = expect.need("conditions")?;
    same("number of conditions", &status.conditions.len(), &expected.len())?;
    expected.into_iter().try_for_each(|expected| conditions::hold_one(expected, &status.conditions))
}

fn hold_status(expect: &mut Fields, is: &HelmReleaseStatus) -> Result<(), String> {
    let Some(expected) = expect.get::<Map<String, Value>>("status")? else { return Ok(()) };
    let is = serde_json::to_value(is).unwrap();
    expected.iter().try_for_each(|(key, expected)| same(key, &is[key], expected))
}

pub fn reset_failures(_: &str, input: &mut Fields, expect: &mut Fields) -> Result<(), String> {
    let mut object = object("ns", "app", &json!({}))?;
    annotate(&mut object, input)?;
    let mut status = status(&input.need("status")?)?;
    let version: String = input.get("chart_version")?.unwrap_or_default();
    let desired = desired("hello", &version, &input.get("values")?.unwrap_or_default());
    let reason = decide::reset_reason(&object, &status, &desired);
    same("reset", &reason.is_some(), &expect.need("reset")?)?;
    expect.holds("reason", &reason.unwrap_or_default().to_owned())?;
    (status.failures, status.install_failures, status.upgrade_failures) = (3, 2, 1);
    begin(&object, &mut status, &desired);
    let counts = (status.failures, status.install_failures, status.upgrade_failures);
    same("counters", &counts, &if reason.is_some() { (0, 0, 0) } else { (3, 2, 1) })?;
    hold_status(expect, &status)
}

pub fn annotations(_: &str, input: &mut Fields, expect: &mut Fields) -> Result<(), String> {
    let mut object = object("ns", "app", &json!({}))?;
    annotate(&mut object, input)?;
    let mut status = status(&input.need("status")?)?;
    let is_force = object.metadata.annotations.iter().flatten().any(|(key, _)| key.ends_with("/forceAt"));
    let is_reset = object.metadata.annotations.iter().flatten().any(|(key, _)| key.ends_with("/resetAt"));
    check(is_force != is_reset, || "one of forceAt and resetAt is needed".to_owned())?;
    let handle =
        if is_force { decide::is_forced(&object, &status) } else { decide::is_reset_requested(&object, &status) };
    same("handle", &handle, &expect.need("handle")?)?;
    begin(&object, &mut status, &Desired::default());
    handle_force(&object, &mut status);
    hold_status(expect, &status)
}
