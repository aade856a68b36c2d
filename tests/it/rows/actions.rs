//! What conditions and counters say of an action, given how it went; what it did to the cluster is not looked at here.

use bowline::{
    api::{HelmRelease, HelmReleaseStatus, Snapshot, conditions as api, helm_release::ReleaseAction},
    reconcile::release::{decide::Desired, history, report::Report},
};
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    conditions,
    fields::{Fields, check, object, same, snapshot, status},
};

/// Why only a cluster can tell.
const DONE: &str = "what an action writes is seen on a cluster";

/// How an action went, as a row says it.
struct Went {
    object: HelmRelease,
    status: HelmReleaseStatus,
    error: Option<String>,
    /// Whether a revision was written.
    is_stored: bool,
}

impl Went {
    fn read(input: &mut Fields, last: &str, version: i64) -> Result<Self, String> {
        for key in ["releases", "history"] {
            input.elsewhere(key, DONE);
        }
        let chart: String = input.get("chart")?.unwrap_or_default();
        let storage: Option<String> = input.get("storage_error")?;
        let failed = chart.starts_with("failing") || input.get::<String>("result")?.as_deref() == Some("failed");
        let error = match &storage {
            Some(error) => {
                let verb = error.split(' ').next().unwrap_or_default();
                Some(format!("storage {verb} error: {error}"))
            }
            None => failed.then(|| "failed post-install: context deadline exceeded".to_owned()),
        };
        let mut part: Value = input.given("status")?.unwrap_or_else(|| json!({}));
        if part.get("lastAttemptedReleaseAction").is_none() {
            part["lastAttemptedReleaseAction"] = json!(last);
        }
        let mut status = status(&part)?;
        status.conditions = conditions::given(input)?;
        status.history = vec![snapshot(&json!({ "version": version, "status": "deployed" }))?];
        let object = object("ns", "app", &input.given("spec")?.unwrap_or_else(|| json!({})))?;
        Ok(Self { object, status, error, is_stored: storage.is_none_or(|error| error != "create fails") })
    }

    fn report(&mut self) -> Report<'_> {
        Report { object: &self.object, status: &mut self.status, now: Timestamp::UNIX_EPOCH }
    }

    fn current(&self) -> Snapshot {
        history::latest(&self.status.history).cloned().unwrap_or_default()
    }

    fn hold(&mut self, before: &HelmReleaseStatus, expect: &mut Fields) -> Result<(), String> {
        for key in ["history", "inventory", "error"] {
            expect.elsewhere(key, DONE);
        }
        conditions::hold(expect, &self.status.conditions)?;
        for (key, before, after) in [
            ("failures", before.failures, self.status.failures),
            ("installFailures", before.install_failures, self.status.install_failures),
            ("upgradeFailures", before.upgrade_failures, self.status.upgrade_failures),
        ] {
            match expect.get::<Value>(key)? {
                None => {}
                Some(Value::String(text)) if text == "unchanged" => same(key, &after, &before)?,
                Some(Value::String(text)) if text == "+1" => same(key, &after, &(before + 1))?,
                Some(expected) => same(key, &json!(after), &expected)?,
            }
        }
        Ok(())
    }
}

fn release(action: &ReleaseAction, input: &mut Fields, expect: &mut Fields) -> Result<(), String> {
    let mut went = Went::read(input, action.as_str(), 1)?;
    let (before, error, is_stored) = (went.status.clone(), went.error.clone(), went.is_stored);
    let history = went.status.history.clone();
    let mut report = went.report();
    report.starts(action.clone());
    report.status.history = history;
    match error {
        None => drop(report.released(action)),
        Some(error) => drop(report.release_failed(action, &Desired::default(), "", is_stored, &error)),
    }
    report.summarize(None);
    went.hold(&before, expect)
}

pub fn install(_: &str, input: &mut Fields, expect: &mut Fields) -> Result<(), String> {
    release(&ReleaseAction::Install, input, expect)
}

pub fn upgrade(_: &str, input: &mut Fields, expect: &mut Fields) -> Result<(), String> {
    release(&ReleaseAction::Upgrade, input, expect)
}

pub fn rollback(_: &str, input: &mut Fields, expect: &mut Fields) -> Result<(), String> {
    let mut went = Went::read(input, "upgrade", 2)?;
    let (before, error, current) = (went.status.clone(), went.error.clone(), went.current());
    went.report().rolled_back(&current, error.as_deref());
    went.report().summarize(None);
    went.hold(&before, expect)
}

/// Ready is not made anew here: it keeps the failure that is remediated.
pub fn uninstall_remediation(_: &str, input: &mut Fields, expect: &mut Fields) -> Result<(), String> {
    let mut went = Went::read(input, "upgrade", 1)?;
    let (before, error, current) = (went.status.clone(), went.error.clone(), went.current());
    went.report().uninstalled_as_remediation(&current, error.as_deref());
    let ready = |status: &HelmReleaseStatus| api::get(&status.conditions, api::READY).cloned();
    let is_untouched = ready(&before) == ready(&went.status);
    check(expect.get::<bool>("ready_untouched")?.is_none_or(|expected| expected == is_untouched), || {
        "Ready was touched".to_owned()
    })?;
    went.hold(&before, expect)
}

/// The chart's tests, of which one failed where the chart says so.
pub fn test(_: &str, input: &mut Fields, expect: &mut Fields) -> Result<(), String> {
    let mut went = Went::read(input, "upgrade", 1)?;
    went.object.spec.test.get_or_insert_default().enable = true;
    let phase = if went.error.is_some() { "Failed" } else { "Succeeded" };
    let part = json!({ "version": 1, "status": "deployed", "testHooks": { "t": { "phase": phase } } });
    went.status.history = vec![snapshot(&part)?];
    let (before, error) = (went.status.clone(), went.error.clone());
    went.report().tested(error.as_deref());
    went.report().summarize(None);
    went.hold(&before, expect)
}
