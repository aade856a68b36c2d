//! The state of a release, the next action, and the loop around them.

use std::collections::BTreeMap;

use bowline::{
    api::{Duration, HelmRelease, HelmReleaseStatus, Snapshot, helm_release::DriftDetectionMode},
    reconcile::release::{
        change_history,
        decide::{self, Action, ActionType, Desired, Drift, LastRelease, Outcome, RollbackTarget, State, Step, View},
        drift, history,
        obstacle::{Class, Obstacle},
        record,
        report::Report,
        target,
    },
};
use helm::release::{Release, Status};
use k8s_openapi::jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    conditions,
    fields::{self, Fields, check, object, same, snapshot_text, status},
};

/// Why a decision does not tell what has drifted.
const DRIFT: &str = "which objects differ: the tests of drift on a control plane";

/// A stored release as rows write it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    status: String,
    version: i64,
    #[serde(default)]
    chart: Option<String>,
    #[serde(default)]
    values: Map<String, Value>,
    #[serde(default)]
    hooks: BTreeMap<String, String>,
}

/// Makes a record of Helm's storage.
pub fn stored_record(row: Value) -> Result<Release, String> {
    let stored: Stored = serde_json::from_value(row).map_err(|error| format!("release: {error}"))?;
    let (name, version) = fields::chart(stored.chart.as_deref().unwrap_or("hello@0.1.0"))?;
    let hook =
        |(name, phase): (&String, &String)| json!({ "name": name, "events": ["test"], "last_run": { "phase": phase } });
    let record = json!({
        "name": "app", "namespace": "ns", "version": stored.version, "info": { "status": stored.status },
        "chart": { "metadata": { "name": name, "version": version, "apiVersion": "v2" } }, "config": stored.values,
        "hooks": stored.hooks.iter().map(hook).collect::<Vec<_>>(),
    });
    // A record is read from its text, since it keeps the chart's own.
    let record: Release = serde_json::from_str(&record.to_string()).map_err(|error| format!("release: {error}"))?;
    check(record.info.status.as_str() == stored.status, || format!("status '{}' is not known", stored.status))?;
    Ok(record)
}

/// Everything that a view borrows.
struct Seen {
    object: HelmRelease,
    status: HelmReleaseStatus,
    last: Option<LastRelease>,
    desired: Desired,
    target: RollbackTarget,
    drift: Drift,
}

impl Seen {
    fn new(object: HelmRelease, status: HelmReleaseStatus) -> Self {
        let (target, drift) = (RollbackTarget::Missing, Drift::NotChecked);
        Self { object, status, last: None, desired: Desired::default(), target, drift }
    }

    fn view(&self) -> View<'_> {
        View {
            object: &self.object,
            status: &self.status,
            last: self.last.as_ref(),
            desired: &self.desired,
            target: self.target,
            drift: self.drift,
            now: Timestamp::UNIX_EPOCH,
        }
    }

    fn report(&mut self) -> Report<'_> {
        Report { object: &self.object, status: &mut self.status, now: Timestamp::UNIX_EPOCH }
    }

    fn blocked(&mut self, obstacle: &Obstacle, expect: &mut Fields) -> Result<(), String> {
        self.report().blocked(obstacle);
        conditions::hold(expect, &self.status.conditions)?;
        let requeue = match obstacle.class {
            Class::Retry => "backoff",
            Class::Wait => "on change",
            Class::Terminal => "never (terminal)",
        };
        expect.holds("requeue", &requeue.to_owned())
    }
}

fn spec(input: &mut Fields) -> Result<Value, String> {
    Ok(input.given("spec")?.unwrap_or_else(|| json!({})))
}

fn given_status(input: &mut Fields) -> Result<HelmReleaseStatus, String> {
    status(&input.given("status")?.unwrap_or_else(|| json!({})))
}

/// The annotations and the generation of a row.
pub fn annotate(object: &mut HelmRelease, input: &mut Fields) -> Result<(), String> {
    object.metadata.annotations = input.given("annotations")?;
    object.metadata.generation = Some(input.get("generation")?.unwrap_or(1));
    Ok(())
}

/// A snapshot, of the newest release or by its fields.
fn observed(part: Option<Map<String, Value>>, last: Option<&Release>) -> Result<Option<Snapshot>, String> {
    let Some(mut part) = part else { return Ok(None) };
    if part.remove("of_release").is_none() {
        return fields::snapshot(&Value::Object(part)).map(Some);
    }
    let mut snapshot = record::snapshot(last.ok_or("snapshot of no release")?);
    match part.remove("digest").as_ref().and_then(Value::as_str) {
        Some("matches") | None => {}
        Some(digest) => digest.clone_into(&mut snapshot.digest),
    }
    if let Some(hooks) = part.remove("testHooks") {
        let phases: BTreeMap<String, String> = serde_json::from_value(hooks).map_err(|error| error.to_string())?;
        let hooks: Value = phases.into_iter().map(|(name, phase)| (name, json!({ "phase": phase }))).collect();
        snapshot.test_hooks = fields::snapshot(&json!({ "testHooks": hooks }))?.test_hooks;
    }
    check(part.is_empty(), || format!("keys of the snapshot that are not known: {part:?}"))?;
    Ok(Some(snapshot))
}

fn name(state: &State) -> (&'static str, &'static str) {
    match state {
        State::Absent(reason) => ("Absent", reason),
        State::Locked(_) => ("Locked", ""),
        State::Uninstalling => ("Uninstalling", ""),
        State::Unmanaged(reason) => ("Unmanaged", reason),
        State::OutOfSync(reason) => ("OutOfSync", reason),
        State::Drifted => ("Drifted", ""),
        State::Untested => ("Untested", ""),
        State::Failed(reason) => ("Failed", reason),
        State::InSync => ("InSync", ""),
    }
}

pub fn determine_state(_: &str, input: &mut Fields, expect: &mut Fields) -> Result<(), String> {
    let last = input.given("last_release")?.map(stored_record).transpose()?;
    for older in input.get::<Vec<Value>>("older_releases")?.unwrap_or_default() {
        stored_record(older)?;
    }
    let mut spec = spec(input)?;
    let post_renderers = spec.as_object_mut().and_then(|spec| spec.remove("postRenderers"));
    let mut object = object("ns", "app", &spec)?;
    annotate(&mut object, input)?;
    let mut seen = Seen::new(object, given_status(input)?);
    seen.desired = match input.get::<Map<String, Value>>("desired")? {
        Some(desired) => {
            let mut desired = Fields::new(desired);
            let (name, version) = fields::chart(&desired.need::<String>("chart")?)?;
            fields::desired(&name, &version, &desired.need("values")?)
        }
        None => fields::desired("hello", "0.1.0", &Map::new()),
    };
    seen.desired.post_renderers_digest = match post_renderers {
        Some(Value::String(text)) => Some(format!("of {text} list")),
        None | Some(Value::Null) => None,
        Some(other) => return Err(format!("postRenderers: {other} is not understood")),
    };
    seen.status.history = observed(input.given("snapshot")?, last.as_ref())?.into_iter().collect();
    seen.last = last.as_ref().map(|last| record::last_release(last, &[]));
    let is_checked = target::drift_mode(&seen.object) != DriftDetectionMode::Disabled;
    seen.drift = match input.get::<String>("cluster")?.as_deref() {
        _ if !is_checked => Drift::NotChecked,
        None => Drift::NotChecked,
        Some("equal") => Drift::None,
        Some("one manifest object missing") => Drift::Found,
        Some(other) => return Err(format!("cluster '{other}' is not understood")),
    };
    expect.elsewhere("diff", DRIFT);
    match decide::state(&seen.view()) {
        Ok(state) => {
            let (name, mut reason) = name(&state);
            let locked;
            if let State::Locked(status) = state {
                locked = format!("release with status '{}'", status.as_str());
                reason = &locked;
            }
            same("state", name, &expect.need::<String>("state")?)?;
            expect.holds("reason", &reason.to_owned())?;
            expect.holds("reason_error", &reason.to_owned())
        }
        Err(error) => {
            same("error", &error.to_string(), &expect.need("error")?)?;
            seen.blocked(&error.into(), expect)
        }
    }
}

fn state(name: &str, last: Option<&LastRelease>) -> Result<State, String> {
    Ok(match name {
        "Absent" => State::Absent(""),
        "Locked" => State::Locked(last.map_or(Status::PendingUpgrade, |last| last.status)),
        "Unmanaged" => State::Unmanaged(""),
        "OutOfSync" => State::OutOfSync(""),
        "Drifted" => State::Drifted,
        "Untested" => State::Untested,
        "Failed" => State::Failed(""),
        "InSync" => State::InSync,
        _ => return Err("ErrUnknownReleaseStatus".to_owned()),
    })
}

fn action_name(action: Action) -> &'static str {
    match action {
        Action::UninstallRemediation => "uninstall-remediation",
        Action::CorrectDrift => "correct-cluster-drift",
        other => other.name(),
    }
}

/// The history of a row: snapshots, or `of releases 2,1`.
fn given_history(value: Option<Value>, releases: &BTreeMap<i64, Release>) -> Result<Vec<Snapshot>, String> {
    match value {
        None => Ok(Vec::new()),
        Some(Value::Array(parts)) => parts
            .iter()
            .map(|part| match part {
                Value::String(text) => snapshot_text(text),
                part => fields::snapshot(part),
            })
            .collect(),
        Some(Value::String(text)) => {
            let (_, numbers) = text.rsplit_once(' ').ok_or_else(|| format!("history '{text}'"))?;
            let release = |number: &str| {
                let release = number.parse().ok().and_then(|number: i64| releases.get(&number));
                release.map(record::snapshot).ok_or_else(|| format!("history '{text}'"))
            };
            numbers.split(',').map(release).collect()
        }
        Some(other) => Err(format!("history {other} is not understood")),
    }
}

pub fn next_action(_: &str, input: &mut Fields, expect: &mut Fields) -> Result<(), String> {
    let mut object = object("ns", "app", &spec(input)?)?;
    annotate(&mut object, input)?;
    let mut seen = Seen::new(object, given_status(input)?);
    seen.status.conditions = conditions::given(input)?;
    let mut releases = BTreeMap::new();
    for release in input.get::<Vec<Value>>("releases")?.unwrap_or_default() {
        let release = stored_record(release)?;
        releases.insert(release.version, release);
    }
    seen.last = releases.values().next_back().map(|last| record::last_release(last, &[]));
    seen.status.history = given_history(input.get("history")?, &releases)?;
    let remediation = target::upgrade_remediation(&seen.object, &seen.status);
    let previous = history::previous(&seen.status.history, remediation.ignore_test_failures).map(|s| s.version);
    seen.target = match previous {
        None => RollbackTarget::Missing,
        Some(version) if releases.contains_key(&version) => RollbackTarget::Intact,
        Some(_) => RollbackTarget::Corrupt,
    };
    let state = match state(&input.need::<String>("state")?, seen.last.as_ref()) {
        Ok(state) => state,
        Err(error) => return same("error", &error, &expect.need("error")?),
    };
    if state == State::Drifted {
        let differences: Vec<Value> = input.need("diff")?;
        let lines = super::drift::lines(&differences)?;
        let notice = seen.report().drifted(&lines, &[]);
        expect.holds("events", &notice.iter().map(super::drift::event).collect::<Vec<_>>())?;
    }
    let decision = decide::next(&seen.view(), &state);
    if !matches!(decision.step, Step::Stall { .. }) {
        seen.report().found(&state);
    }
    change_history(&mut seen.status, decision.history);
    let desired = seen.desired.clone();
    match decision.step {
        Step::Act(action) => {
            same("action", &Some(action_name(action).to_owned()), &expect.need("action")?)?;
            if action == Action::Rollback {
                expect.holds("target_version", &previous)?;
            }
        }
        Step::Done => {
            same("action", &None, &expect.need::<Option<String>>("action")?)?;
            seen.report().in_sync(&desired);
            if state == State::InSync && drift::is_on(&seen.object) {
                seen.report().no_drift(&[]);
            }
        }
        Step::Stall { reason, message } => {
            let error = match reason {
                "RetriesExceeded" => "ErrExceededMaxRetries",
                "MissingRollbackTarget" => "ErrMissingRollbackTarget",
                other => other,
            };
            same("error", error, &expect.need::<String>("error")?)?;
            expect.holds("requeue", &"never (terminal)".to_owned())?;
            seen.report().stalled(reason, message);
        }
        Step::WaitUntil(until) => return same("requeue", &until.to_string(), &expect.need("requeue")?),
    }
    let versions: Vec<i64> = seen.status.history.iter().map(|s| s.version).collect();
    expect.holds("history", &versions)?;
    conditions::hold(expect, &seen.status.conditions)
}

/// An action by its own name or by its type's.
fn action(text: &str) -> Result<Action, String> {
    Ok(match text {
        "install" => Action::Install,
        "upgrade" | "release" => Action::Upgrade,
        "unlock" => Action::Unlock,
        "test" => Action::Test,
        "rollback" | "remediate" => Action::Rollback,
        "uninstall-remediation" => Action::UninstallRemediation,
        "correct cluster drift" | "correct-cluster-drift" | "drift-correction" => Action::CorrectDrift,
        other => return Err(format!("action '{other}' is not known")),
    })
}

fn type_name(kind: ActionType) -> &'static str {
    match kind {
        ActionType::Release => "release",
        ActionType::Unlock => "unlock",
        ActionType::Test => "test",
        ActionType::Remediate => "remediate",
        ActionType::Drift => "drift-correction",
    }
}

/// The failures and the spec that a row's words mean.
fn loop_view(input: &mut Fields) -> Result<Seen, String> {
    let last: String = input.get("lastAttemptedReleaseAction")?.unwrap_or_else(|| "upgrade".to_owned());
    let retry_interval: Option<String> = input.given("retryInterval")?;
    let mut of_action = json!({});
    let mut failures = 0;
    for words in input.get::<String>("remediation")?.unwrap_or_default().split(", ").filter(|words| !words.is_empty()) {
        match words {
            "retries left" => (failures, of_action["remediation"]["retries"]) = (1, json!(1)),
            "retries used up" => (failures, of_action["remediation"]["retries"]) = (1, json!(0)),
            "strategy uninstall" => of_action["remediation"]["strategy"] = json!("uninstall"),
            other => return Err(format!("remediation '{other}' is not understood")),
        }
    }
    match input.get::<String>("strategy")?.as_deref() {
        None | Some("remediate") => {}
        Some("RetryOnFailure") => {
            of_action["strategy"] = json!({ "name": "RetryOnFailure", "retryInterval": retry_interval });
        }
        Some(other) => return Err(format!("strategy '{other}' is not known")),
    }
    let timeout: Option<String> = input.get("timeout")?;
    let object = object("ns", "app", &json!({ last.clone(): of_action, "timeout": timeout }))?;
    let status = status(&json!({ "lastAttemptedReleaseAction": last, format!("{last}Failures"): failures }))?;
    Ok(Seen::new(object, status))
}

fn result(outcome: &Outcome, expected: &str) -> Result<(), String> {
    let holds = match outcome {
        Outcome::Again => false,
        Outcome::Done => expected == "done until the interval",
        Outcome::Requeue => expected.starts_with("requeue now"),
        Outcome::RetryAfter(interval) => {
            let given = expected.strip_prefix("requeue after ").and_then(|rest| rest.split(' ').next());
            given
                .and_then(|given| given.parse::<Duration>().ok())
                .is_some_and(|given| given.get_or(interval.mul_f64(2.0)) == *interval)
        }
        Outcome::Stall { .. } => expected == "terminal",
    };
    check(holds, || format!("result: is {outcome:?}, expected {expected:?}"))
}

pub fn steps(_: &str, input: &mut Fields, expect: &mut Fields) -> Result<(), String> {
    expect.get::<String>("note")?;
    let mut seen = loop_view(input)?;
    if let Some(text) = input.get::<String>("action")? {
        let known = action(&text).ok();
        same("type", &known.map(|a| type_name(a.kind()).to_owned()), &expect.need("type")?)?;
        return expect.holds("reported_name", &known.map(|a| a.name().to_owned()));
    }
    if let Some(error) = input.get::<String>("action_error")? {
        input.get::<String>("ready")?;
        return seen.blocked(&Obstacle::retry(bowline::api::reasons::RECONCILE_ERROR, error), expect);
    }
    let retry = target::active_retry(&seen.object, &seen.status).map(|after| Duration::from(after).to_string());
    expect.holds("retry_after", &retry.unwrap_or_default())?;
    let done: Option<Vec<String>> = input.get("done")?;
    let outcome = if let Some(next) = input.get::<String>("next")? {
        let next = action(&next)?;
        let kinds: Result<Vec<_>, _> = done.iter().flatten().map(|done| action(done).map(Action::kind)).collect();
        let refused = decide::before(&seen.view(), next, &kinds?);
        if refused.is_none() {
            seen.report().running(next);
            // A status that a short action's result would overwrite at once is written when it has taken a while.
            expect.holds("patch_status", &"when it has run for a second".to_owned())?;
        }
        expect.holds("may_run", &refused.is_none())?;
        refused
    } else if let Some(ran) = input.get::<String>("ran")? {
        let outcome = decide::after(&seen.view(), action(&ran)?);
        expect.holds("stop", &(outcome != Outcome::Again))?;
        Some(outcome)
    } else {
        None
    };
    if let Some(outcome) = outcome {
        if let Some(expected) = expect.get::<String>("result")? {
            result(&outcome, &expected)?;
        }
        seen.report().ended(&outcome);
    }
    conditions::hold(expect, &seen.status.conditions)
}

/// A release that is not pending is not unlocked, whatever its snapshot says.
pub fn unlock(_: &str, input: &mut Fields, expect: &mut Fields) -> Result<(), String> {
    let read = |text: &String| snapshot_text(text);
    let history: Result<Vec<_>, _> =
        input.get::<Vec<String>>("history")?.unwrap_or_default().iter().map(read).collect();
    let releases: Vec<String> = input.need("releases")?;
    let stored = |text: &String| {
        let of = snapshot_text(text)?;
        stored_record(json!({ "version": of.version, "status": of.status }))
    };
    let record = releases.last().map(stored).transpose()?;
    let mut seen = Seen::new(object("ns", "app", &json!({}))?, HelmReleaseStatus::default());
    seen.status.history = history?;
    seen.last = record.as_ref().map(|record| record::last_release(record, &[]));
    let found = decide::state(&seen.view()).map_err(|error| error.to_string())?;
    check(!matches!(found, State::Locked(_)), || format!("state: is {found:?}"))?;
    let step = decide::next(&seen.view(), &found).step;
    check(step != Step::Act(Action::Unlock), || "it is unlocked".to_owned())?;
    expect.holds("history", &"unchanged".to_owned())?;
    expect.holds("error", &Value::Null)?;
    conditions::hold(expect, &seen.status.conditions)
}

/// What verifies a snapshot against the storage, and the storage against the spec, is the state.
pub fn verify(_: &str, input: &mut Fields, expect: &mut Fields) -> Result<(), String> {
    let stored = |text: &str| {
        let (version, status) = text.split_once(' ').unwrap_or((text, "deployed"));
        let version = version.trim_start_matches('v').parse::<i64>().map_err(|_| format!("release '{text}'"))?;
        stored_record(json!({ "version": version, "status": status, "values": { "some": "values" } }))
    };
    let text: Option<String> = input.get::<Option<String>>("stored")?.unwrap_or_else(|| Some("v1 deployed".to_owned()));
    let record = text.as_deref().map(stored).transpose()?;
    let mut seen = Seen::new(object("ns", "app", &json!({}))?, HelmReleaseStatus::default());
    seen.last = record.as_ref().map(|record| record::last_release(record, &[]));
    let snapshot = match (input.get::<Value>("snapshot")?, &record) {
        (Some(Value::Null), _) => None,
        (Some(Value::String(text)), _) => Some(record::snapshot(&stored(&text)?)),
        (None, Some(record)) => Some(record::snapshot(record)),
        (Some(part @ Value::Object(_)), Some(record)) => {
            let mut whole = serde_json::to_value(record::snapshot(record)).unwrap();
            json_patch::merge(&mut whole, &part);
            let mut snapshot = fields::snapshot(&whole)?;
            snapshot.api_version = snapshot.api_version.filter(|version| !version.is_empty());
            Some(snapshot)
        }
        (other, _) => return Err(format!("snapshot {other:?} is not understood")),
    };
    seen.status.history = snapshot.into_iter().collect();
    let (name, version) = match input.get::<String>("chart")?.as_deref() {
        None | Some("equal") => ("hello".to_owned(), "0.1.0".to_owned()),
        Some(chart) => fields::chart(chart)?,
    };
    let values = match input.get::<Value>("values")? {
        Some(Value::Object(values)) => values,
        _ => Map::from_iter([("some".to_owned(), json!("values"))]),
    };
    seen.desired = fields::desired(&name, &version, &values);
    let error = match decide::state(&seen.view()) {
        // A release that was known, or another revision of it.
        Ok(State::Absent(_)) if !seen.status.history.is_empty() => Some("ErrReleaseDisappeared".to_owned()),
        Ok(State::Absent(_)) => Some("ErrReleaseNotFound".to_owned()),
        Ok(State::Unmanaged("release does not match observed snapshot")) => {
            let is_other =
                seen.status.history.first().zip(seen.last.as_ref()).is_some_and(|(s, l)| s.version != l.version);
            Some(if is_other { "ErrReleaseDisappeared" } else { "ErrReleaseNotObserved" }.to_owned())
        }
        Ok(State::Unmanaged("release digest cannot be parsed")) => Some("ErrReleaseDigest".to_owned()),
        Ok(State::OutOfSync("release chart changed")) => Some("ErrChartChanged".to_owned()),
        Ok(State::OutOfSync("release config values changed")) => Some("ErrConfigDigest".to_owned()),
        Ok(State::Unmanaged(other)) => Some(other.to_owned()),
        // Of a record that nothing can start from the snapshot was still compared.
        Ok(_) | Err(_) => None,
    };
    if expect.get::<bool>("ok")? == Some(true) {
        return same("error", &error, &None);
    }
    same("error", &error, &expect.need("error")?)
}
