//! The history of snapshots, and the tests in it.

use std::collections::BTreeMap;

use bowline::{
    api::{Snapshot, helm_release::TestHookStatus},
    reconcile::release::{history as module, record},
};
use serde_json::{Value, json};

use super::{
    decisions::stored_record,
    fields::{Fields, object, same, snapshot_text},
};

fn versions(history: &[Snapshot]) -> Vec<i64> {
    history.iter().map(|snapshot| snapshot.version).collect()
}

pub fn history(_: &str, input: &mut Fields, expect: &mut Fields) -> Result<(), String> {
    let numbers: Option<Vec<i64>> = input.get("versions")?;
    let numbers = numbers.unwrap_or_default().into_iter().map(|v| format!("v{v} deployed"));
    let texts: Vec<String> = input.get("history")?.unwrap_or_default();
    let history: Result<Vec<_>, _> = numbers.chain(texts).map(|text| snapshot_text(&text)).collect();
    let mut history = history?;
    let ignore = input.get("ignoreTests")?.unwrap_or(false);
    expect.holds("latest", &module::latest(&history).map(|s| s.version))?;
    expect.holds("previous", &module::previous(&history, ignore).map(|s| s.version))?;
    match input.get::<String>("mode")?.as_deref() {
        None => module::truncate(&mut history, ignore),
        Some("RetryOnFailure") => module::truncate_for_retry(&mut history),
        Some(other) => return Err(format!("mode '{other}' is not known")),
    }
    expect.holds("history", &versions(&history))
}

pub fn tested(_: &str, input: &mut Fields, expect: &mut Fields) -> Result<(), String> {
    let hooks: Option<BTreeMap<String, Option<String>>> = input.need("testHooks")?;
    let status = |phase: Option<String>| TestHookStatus { phase, ..TestHookStatus::default() };
    let test_hooks = hooks.map(|hooks| hooks.into_iter().map(|(name, phase)| (name, status(phase))).collect());
    let snapshot = Snapshot { test_hooks, ..Snapshot::default() };
    same("tested", &module::is_tested(&snapshot), &expect.need("tested")?)
}

/// Which test hooks the filters select.
pub fn test(_: &str, input: &mut Fields, expect: &mut Fields) -> Result<(), String> {
    let hooks: Vec<String> = input.need("hooks")?;
    let object = object("ns", "app", &input.need("spec")?)?;
    let hooks: BTreeMap<String, String> = hooks.into_iter().map(|name| (name, "Succeeded".to_owned())).collect();
    let record = stored_record(json!({ "status": "deployed", "version": 1, "chart": "hello@0.1.0", "hooks": hooks }))?;
    let filters = object.spec.test.map(|test| test.filters).unwrap_or_default();
    let recorded: Vec<Value> = record::test_hooks(&record, &filters).into_keys().map(Value::String).collect();
    same("recorded", &recorded, &expect.need("recorded")?)
}
