//! Conditions as rows write them.

#![allow(clippy::option_option, reason = "a row tells a field that is null from one that is not there")]

use bowline::api::{Condition, conditions};
use serde::Deserialize;
use serde_json::{Value, json};

use super::fields::{Fields, check, same};

/// The conditions of a HelmRelease.
const KINDS: [&str; 7] = [
    conditions::READY,
    conditions::RECONCILING,
    conditions::STALLED,
    conditions::RELEASED,
    conditions::TEST_SUCCESS,
    conditions::REMEDIATED,
    conditions::DRIFTED,
];

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    #[serde(rename = "type")]
    kind: String,
    status: String,
    #[serde(default)]
    reason: Option<String>,
    #[serde(default)]
    message_contains: Option<String>,
    /// Null where there is to be none, nothing where it does not matter.
    #[serde(default, rename = "observedGeneration", deserialize_with = "some")]
    observed_generation: Option<Value>,
}

/// Reads a key that is there, be it null.
fn some<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Deserialize::deserialize(deserializer).map(Some)
}

/// Makes conditions of parts of them.
pub fn given(input: &mut Fields) -> Result<Vec<Condition>, String> {
    let parts: Vec<Value> = input.given("conditions")?.unwrap_or_default();
    parts
        .iter()
        .map(|part| {
            let mut whole = json!({ "lastTransitionTime": "2024-01-02T03:04:05Z", "message": "", "reason": "" });
            json_patch::merge(&mut whole, part);
            let expected: Result<Expected, _> = serde_json::from_value(part.clone());
            expected.map_err(|error| format!("conditions: {error}"))?;
            serde_json::from_value(whole).map_err(|error| format!("conditions: {error}"))
        })
        .collect()
}

/// Holds `conditions`, `conditions_absent` and `conditions_present` against what is; an empty list says that there are none.
pub fn hold(expect: &mut Fields, is: &[Condition]) -> Result<(), String> {
    if let Some(expected) = expect.get::<Vec<Value>>("conditions")? {
        check(!expected.is_empty() || is.is_empty(), || format!("conditions: is {is:?}, expected none"))?;
        for expected in expected {
            hold_one(expected, is)?;
        }
    }
    for kind in expect.get::<Vec<String>>("conditions_absent")?.unwrap_or_default() {
        check(KINDS.contains(&kind.as_str()), || format!("condition {kind} is not known"))?;
        check(conditions::get(is, &kind).is_none(), || format!("condition {kind} is there"))?;
    }
    for kind in expect.get::<Vec<String>>("conditions_present")?.unwrap_or_default() {
        check(conditions::get(is, &kind).is_some(), || format!("condition {kind} is not there"))?;
    }
    Ok(())
}

/// Holds one condition against what is.
pub fn hold_one(expected: Value, is: &[Condition]) -> Result<(), String> {
    let expected: Expected = serde_json::from_value(expected).map_err(|error| format!("conditions: {error}"))?;
    let found = conditions::get(is, &expected.kind).ok_or_else(|| format!("condition {} is missing", expected.kind))?;
    let what = |field: &str| format!("condition {} {field}", expected.kind);
    same(&what("status"), &found.status, &expected.status)?;
    if let Some(reason) = &expected.reason {
        same(&what("reason"), &found.reason, reason)?;
    }
    if let Some(part) = &expected.message_contains {
        check(found.message.contains(part), || {
            format!("{}: is {:?}, without {part:?}", what("message"), found.message)
        })?;
    }
    match expected.observed_generation {
        Some(generation) => same(&what("generation"), &json!(found.observed_generation), &generation),
        None => Ok(()),
    }
}
