//! What a row expects, held against what came of it.

use std::time::Duration;

use bowline::{
    api::{Condition, HelmReleaseStatus, conditions as api},
    reconcile::release::{history, report::Report, target},
};
use k8s_openapi::jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{played::Played, stage::Stage, texts::Revision};
use crate::{
    harness::objects::{CONFIG_MAP, EVENT, HELM_CHART, HELM_RELEASE, Kind, field},
    rows::{
        conditions,
        fields::{Fields, check, same},
    },
};

const DEFINITION: Kind = Kind("apiextensions.k8s.io", "v1", "CustomResourceDefinition");
const POLICY: Kind = Kind("admissionregistration.k8s.io", "v1", "ValidatingAdmissionPolicy");
/// How long an event may take, which is sent behind.
const EVENT_WITHIN: Duration = Duration::from_secs(10);
/// Which groups are about one action, after which the daemon goes on as it should.
const OF_ACTIONS: [&str; 6] = ["install", "upgrade", "rollback", "uninstall-remediation", "test", "unlock"];
/// The conditions that actions set.
const BY_ACTIONS: [&str; 3] = [api::RELEASED, api::REMEDIATED, api::TEST_SUCCESS];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Event {
    #[serde(default, rename = "type")]
    kind: Option<String>,
    reason: String,
    #[serde(default)]
    message: Option<String>,
}

fn conditions_of(status: &Value) -> Vec<Condition> {
    serde_json::from_value(status["conditions"].clone()).unwrap_or_default()
}

impl Played {
    /// Holds all that a row expects.
    pub async fn hold(&self, stage: &Stage, group: &str, expect: &Map<String, Value>) -> Result<(), String> {
        // The object's namespace is `mock` in rows.
        let namespace = self.setup.namespace.as_str();
        let text = serde_json::to_string(expect).unwrap();
        let text = text.replace("mock/", &format!("{namespace}/")).replace("<ns>", namespace);
        let expect: Map<String, Value> = serde_json::from_str(&text).unwrap();
        if let Some(refused) = &self.refused {
            return hold_refused(refused, expect);
        }
        let mut left = Fields::new(expect.clone());
        let of_action = if self.setup.stands_for_action { Some(self.as_action(group)) } else { self.status_of(group) };
        let last = of_action.as_ref().unwrap_or(self.status());
        if let Some(state) = &self.setup.state {
            check(self.state().is_none_or(|is| is.starts_with(state)), || format!("state: is {:?}", self.state()))?;
        }
        let mut held = self.hold_status(group, last, &mut left);
        if of_action.is_none() {
            // A run that followed at once may have said something else since.
            for object in self.versions.iter().rev() {
                if held.is_ok() {
                    break;
                }
                let mut again = Fields::new(expect.clone());
                if self.hold_status(group, field(object, "/status"), &mut again).is_ok() {
                    (held, left) = (Ok(()), again);
                }
            }
        }
        held?;
        self.hold_run(group, &mut left)?;
        self.hold_cluster(stage, &mut left).await?;
        super::fields_done("expect", &left)
    }

    fn hold_status(&self, group: &str, status: &Value, expect: &mut Fields) -> Result<(), String> {
        let is = conditions_of(status);
        if OF_ACTIONS.contains(&group) && expect.has_empty("conditions") {
            expect.get::<Value>("conditions")?;
            let said = is.iter().find(|c| BY_ACTIONS.contains(&c.type_.as_str()));
            same("condition of an action", &said.map(|c| c.type_.clone()), &None)?;
        }
        if expect.get_if::<String>("conditions").as_deref() == Some("none written") {
            same("conditions", &is, &Vec::new())?;
        }
        conditions::hold(expect, &Self::inject(is))?;
        self.hold_history(status, expect)?;
        self.hold_counts(status, expect)?;
        if expect.get_if::<String>("status").is_some_and(|text| text == "untouched") {
            same("status", status, self.status_before())?;
        }
        for (key, expected) in expect.get::<Map<String, Value>>("status")?.unwrap_or_default() {
            self.hold_status_field(&key, &status[&key], &expected)?;
        }
        if let Some(keys) = expect.get::<Vec<String>>("history_v1_keeps")? {
            let (before, after) = (first_revision(self.status_before()), first_revision(status));
            same("status of v1", &after["status"], &json!("failed"))?;
            for key in keys {
                check(!before[&key].is_null(), || format!("{key} of v1 was not there"))?;
                same(&key, &after[&key], &before[&key])?;
            }
        }
        if expect.get::<bool>("ready_untouched")? == Some(true) {
            let ready = |status: &Value| {
                api::get(&conditions_of(status), api::READY).map(|c| (c.status.clone(), c.reason.clone()))
            };
            same("Ready", &ready(status), &ready(self.status_before()))?;
        }
        Ok(())
    }

    /// The status that the action of a group left, for rows that are about one action.
    fn status_of(&self, group: &str) -> Option<Value> {
        let mut status = self.status_after(match group {
            "uninstall-remediation" => "uninstall",
            "install" | "upgrade" | "rollback" | "test" | "unlock" | "uninstall" => group,
            _ => return self.status_let_go(),
        })?;
        // An action by itself keeps the snapshots that the decision before it has dropped.
        if group == "upgrade" && self.state_before().is_some_and(|state| state.starts_with("Unmanaged")) {
            let dropped = self.status_before()["history"].as_array().cloned().unwrap_or_default();
            status["history"].as_array_mut()?.extend(dropped);
        }
        Some(status)
    }

    fn state_before(&self) -> Option<&str> {
        self.lines.iter().find(|line| line["message"] == "decided").and_then(|line| line["state"].as_str())
    }

    /// What the status says where the very error that an uninstall met is met by another action.
    fn as_action(&self, group: &str) -> Value {
        let mut status: HelmReleaseStatus = serde_json::from_value(self.status_before().clone()).unwrap();
        let object = serde_json::from_value(self.setup.object()).unwrap();
        let current = history::latest(&status.history).cloned().unwrap_or_default();
        let prefix = format!(
            "Helm uninstall failed for release {} with chart {}: ",
            target::versioned_release(&current),
            target::versioned_chart(&current)
        );
        let error = self.messages().find_map(|message| message.strip_prefix(&prefix));
        let mut report = Report { object: &object, status: &mut status, now: Timestamp::UNIX_EPOCH };
        if group == "test" {
            report.tested(error);
            report.summarize(None);
        } else {
            report.uninstalled_as_remediation(&current, error);
        }
        serde_json::to_value(status).unwrap()
    }

    /// Our storage's errors say more before what it refuses than the row's do.
    fn inject(mut conditions: Vec<Condition>) -> Vec<Condition> {
        for condition in &mut conditions {
            for verb in ["create", "update", "delete"] {
                let error = format!("storage {verb} error");
                let driver = format!("{verb}: failed to {verb}: ");
                let deletion = format!("failed to {verb} release record");
                if let (Some(from), Some(to)) = (
                    condition.message.find(&driver).or_else(|| condition.message.find(&deletion)),
                    condition.message.find(&error),
                ) {
                    condition.message.replace_range(from..to, "");
                }
            }
        }
        conditions
    }

    fn hold_history(&self, status: &Value, expect: &mut Fields) -> Result<(), String> {
        let is = status["history"].as_array().cloned().unwrap_or_default();
        expect.holds("history_len", &is.len())?;
        match expect.get::<Value>("history")? {
            // Said to be none, or not looked at.
            None | Some(Value::Null) => Ok(()),
            Some(Value::String(text)) if text == "unchanged" => {
                same("history", &status["history"], &self.status_before()["history"])
            }
            Some(Value::Array(expected)) => {
                same("length of the history", &is.len(), &expected.len())
                    .map_err(|error| format!("{error}: {is:?}"))?;
                is.iter()
                    .zip(&expected)
                    .try_for_each(|(is, expected)| hold_snapshot(is, expected.as_str().unwrap_or_default()))
            }
            Some(other) => Err(format!("history {other} is not understood")),
        }
    }

    fn hold_counts(&self, status: &Value, expect: &mut Fields) -> Result<(), String> {
        for key in ["failures", "installFailures", "upgradeFailures"] {
            let count = |status: &Value| status[key].as_i64().unwrap_or(0);
            let (before, after) = (count(self.status_before()), count(status));
            match expect.get::<Value>(key)? {
                None => {}
                Some(Value::String(text)) if text == "unchanged" => same(key, &after, &before)?,
                Some(Value::String(text)) if text == "+1" => same(key, &after, &(before + 1))?,
                Some(expected) => same(key, &json!(after), &expected)?,
            }
        }
        Ok(())
    }

    fn hold_status_field(&self, key: &str, is: &Value, expected: &Value) -> Result<(), String> {
        let is_empty = is.is_null() || is == "" || is == 0 || is == &json!([]);
        match expected {
            Value::String(text) if text == "set" => check(!is_empty, || format!("{key} is not set")),
            Value::String(text) if text == "digest of the new value" => {
                let before = &self.status_before()[key];
                let is_digest = is.as_str().is_some_and(|is| is.starts_with("sha256:"));
                check(is_digest && is != before, || format!("{key}: is {is}, was {before}"))
            }
            Value::String(text) if text.is_empty() => check(is_empty, || format!("{key}: is {is}, expected none")),
            Value::Array(none) if none.is_empty() => check(is_empty, || format!("{key}: is {is}, expected none")),
            Value::Number(number) if number.as_i64() == Some(0) => {
                check(is_empty, || format!("{key}: is {is}, expected none"))
            }
            _ => same(key, is, expected),
        }
    }

    fn hold_run(&self, group: &str, expect: &mut Fields) -> Result<(), String> {
        let actions = self.actions();
        if let Some(expected) = expect.get::<Vec<String>>("actions")? {
            same("actions", &actions, &expected)?;
        }
        if let Some(state) = expect.get::<String>("state_after")? {
            check(self.state().is_some_and(|is| is.starts_with(&state)), || format!("state: is {:?}", self.state()))?;
        }
        if let Some(result) = expect.get::<String>("result")? {
            self.hold_result(&result)?;
        }
        if let Some(requeue) = expect.get::<String>("requeue")? {
            self.hold_requeue(&requeue)?;
        }
        if let Some(advanced) = expect.get::<String>("observedGeneration")? {
            let observed = |status: &Value| status["observedGeneration"].as_i64().unwrap_or(0);
            let has = observed(self.status()) != observed(self.status_before());
            same("observedGeneration", &advanced.as_str(), &if has { "advanced" } else { "not advanced" })?;
        }
        if let Some(strategy) = expect.get::<String>("policy")? {
            same("policy", strategy.as_str(), "Create")?;
            check(self.messages().any(|text| text.contains("succeeded")), || "nothing was done".to_owned())?;
        }
        match expect.get::<Value>("error")? {
            None => Ok(()),
            // A failure that the storage has is a state to go on from, and a remediation is followed by another run.
            Some(Value::Null) => {
                let goes_on = actions.len() > 1 || matches!(group, "rollback" | "uninstall-remediation");
                check(self.next() != "Retry" || goes_on, || format!("error: {:?}", self.messages().last()))
            }
            Some(Value::String(text)) => self.hold_error(group, &text),
            Some(other) => Err(format!("error {other} is not understood")),
        }
    }

    fn messages(&self) -> impl Iterator<Item = &str> {
        let conditions = self.status()["conditions"].as_array().into_iter().flatten();
        let of_conditions = conditions.filter_map(|condition| condition["message"].as_str());
        of_conditions.chain(self.lines.iter().filter_map(|line| line["detail"].as_str()))
    }

    /// Tells whether the object was stalled; a run that followed may have found it in sync since.
    fn is_stalled(&self, reason: &str) -> bool {
        let later = self.versions.iter().map(|object| field(object, "/status"));
        let holds = |status| api::get(&conditions_of(status), api::STALLED).is_some_and(|c| c.reason == reason);
        holds(self.status()) || later.into_iter().any(holds)
    }

    fn hold_error(&self, group: &str, text: &str) -> Result<(), String> {
        let says = |part: &str| self.messages().any(|message| message.contains(part));
        let holds = match text {
            "ErrExceededMaxRetries" => self.is_stalled("RetriesExceeded"),
            "ErrMissingRollbackTarget" => self.is_stalled("MissingRollbackTarget"),
            "ErrNoLatest" => !self.actions().iter().any(|action| action == group),
            "ErrReleaseMismatch" => says("release mismatch"),
            _ if self.setup.is_damaged => says("is damaged"),
            _ => says(text) || text.strip_suffix(" fails").is_some_and(|verb| says(&format!("storage {verb} error"))),
        };
        check(holds, || format!("error: {text:?} is not in {:?}", self.messages().collect::<Vec<_>>()))
    }

    fn hold_result(&self, expected: &str) -> Result<(), String> {
        let holds = match expected {
            "ErrExceededMaxRetries" => self.is_stalled("RetriesExceeded"),
            "ErrMissingRollbackTarget" => self.is_stalled("MissingRollbackTarget"),
            "requeue now" => matches!(self.next(), "Retry" | "Now"),
            _ => match expected.strip_prefix("retry after ") {
                Some(delay) => self.is_after(delay),
                None => return Err(format!("result '{expected}' is not understood")),
            },
        };
        check(holds, || format!("result: is {}, expected {expected:?}", self.next()))
    }

    fn is_after(&self, delay: &str) -> bool {
        let delay = delay.parse::<bowline::api::Duration>().and_then(|delay| delay.get());
        delay.is_ok_and(|delay| self.next() == format!("After({delay:?})"))
    }

    /// What Flux looks at again after a time, a watch tells of here: an object that is waited for.
    fn waits(&self) -> bool {
        const WAITED_FOR: [&str; 3] = ["ArtifactFailed", "SourceNotReady", "DependencyNotReady"];
        self.next() == "Change"
            && api::get(&conditions_of(self.status()), api::READY)
                .is_some_and(|c| WAITED_FOR.contains(&c.reason.as_str()))
            && api::get(&conditions_of(self.status()), api::STALLED).is_none()
    }

    fn hold_requeue(&self, expected: &str) -> Result<(), String> {
        let holds = match expected {
            "backoff" => self.next() == "Retry" || self.waits(),
            "never (terminal)" | "none" => self.next() == "Change",
            _ if expected == "now" || expected.starts_with("now,") => matches!(self.next(), "Now" | "Retry"),
            _ if expected.contains("30s") && self.waits() => true,
            _ => match expected.strip_prefix("between ").and_then(|bounds| bounds.split_once(" and ")) {
                Some((least, most)) => self.is_interval_within(least, most)?,
                None => self.is_after(expected) || self.is_interval(expected),
            },
        };
        check(holds, || format!("requeue: is {}, expected {expected:?}", self.next()))
    }

    fn is_interval(&self, interval: &str) -> bool {
        let interval = interval.parse::<bowline::api::Duration>().and_then(|interval| interval.get());
        interval.is_ok_and(|interval| self.next() == format!("Interval({interval:?})"))
    }

    fn is_interval_within(&self, least: &str, most: &str) -> Result<bool, String> {
        let seconds = |text: &str| {
            text.parse::<bowline::api::Duration>()
                .and_then(|d| d.get())
                .map(|d| d.as_secs_f64())
                .map_err(|error| error.to_string())
        };
        let interval = self.next().strip_prefix("Interval(").and_then(|rest| rest.strip_suffix("s)"));
        let interval: f64 = interval.and_then(|text| text.parse().ok()).ok_or_else(|| self.next().to_owned())?;
        // The flag's default is 5 percent.
        let (least, most) = (seconds(least)?, seconds(most)?);
        Ok((interval * 0.95 - least).abs() < 1e-6 && (interval * 1.05 - most).abs() < 1e-6)
    }

    async fn hold_cluster(&self, stage: &Stage, expect: &mut Fields) -> Result<(), String> {
        let namespace = self.setup.namespace.as_str();
        let client = &stage.client;
        let mut events: Vec<Event> = expect.get("events")?.unwrap_or_default();
        events.extend(expect.get::<Event>("event")?);
        self.hold_events(stage, events).await?;
        if let Some(ids) = expect.get::<Vec<String>>("ids")? {
            self.hold_inventory(ids.into_iter().map(|id| (id, None)).collect(), true)?;
        }
        if let Some(entries) = expect.get::<Vec<Map<String, Value>>>("inventory")? {
            let text =
                |entry: &Map<String, Value>, key: &str| entry.get(key).and_then(Value::as_str).map(str::to_owned);
            let entries = entries.iter().map(|entry| (text(entry, "id").unwrap_or_default(), text(entry, "v")));
            self.hold_inventory(entries.collect(), false)?;
        }
        if expect.get::<String>("stored")?.is_some_and(|text| text == "removed") {
            same("stored records", &self.records.len(), &0)?;
        }
        let object = HELM_RELEASE.get(client, namespace, super::stage::OBJECT).await;
        let finalizers = object.and_then(|object| object.metadata.finalizers).unwrap_or_default();
        let has_finalizer = finalizers.iter().any(|finalizer| finalizer == bowline::api::meta::FINALIZER);
        expect.holds("finalizer", &if has_finalizer { "kept" } else { "removed" }.to_owned())?;
        if let Some(helm) = expect.get::<String>("helm")? {
            let is_gone = self.records.is_empty() && !self.is_installed;
            same("helm", &is_gone, &(helm == "uninstalled"))?;
            check(["uninstalled", "kept", "skipped", "nothing to do"].contains(&helm.as_str()), || helm.clone())?;
        }
        self.hold_charts(stage, expect).await?;
        for (key, name) in [("subchart_objects", "sub")] {
            expect.holds(key, &CONFIG_MAP.get(client, namespace, name).await.is_some())?;
        }
        self.hold_definitions(stage, expect).await
    }

    async fn hold_events(&self, stage: &Stage, events: Vec<Event>) -> Result<(), String> {
        for expected in events {
            let api = EVENT.api(&stage.client, &self.setup.namespace);
            let found = async {
                loop {
                    let list =
                        api.list(&kube::api::ListParams::default()).await.unwrap_or_else(|error| panic!("{error}"));
                    let is_it = list.items.iter().any(|event| {
                        event.data["reason"] == expected.reason.as_str()
                            && expected.kind.as_ref().is_none_or(|kind| event.data["type"] == kind.as_str())
                            && expected.message.as_ref().is_none_or(|m| event.data["message"] == m.as_str())
                    });
                    if is_it {
                        return;
                    }
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            };
            let waited = tokio::time::timeout(EVENT_WITHIN, found).await;
            waited.map_err(|_| format!("event {} {:?} is missing", expected.reason, expected.kind))?;
        }
        Ok(())
    }

    /// Holds the ids of the inventory, in any order; `are_sides` where their namespaces are the row's own.
    fn hold_inventory(&self, expected: Vec<(String, Option<String>)>, are_sides: bool) -> Result<(), String> {
        let side = |id: String| {
            if are_sides && !id.starts_with('_') { format!("{}-{id}", self.setup.namespace) } else { id }
        };
        let mut expected: Vec<_> = expected.into_iter().map(|(id, version)| (side(id), version)).collect();
        expected.sort();
        let entries = self.status()["inventory"]["entries"].as_array().cloned().unwrap_or_default();
        let text = |entry: &Value, key: &str| entry[key].as_str().unwrap_or_default().to_owned();
        let mut is: Vec<_> = entries.iter().map(|entry| (text(entry, "id"), Some(text(entry, "v")))).collect();
        if are_sides {
            for (_, version) in &mut is {
                *version = None;
            }
        }
        is.sort();
        same("inventory", &is, &expected)
    }

    async fn hold_charts(&self, stage: &Stage, expect: &mut Fields) -> Result<(), String> {
        let namespace = self.setup.namespace.as_str();
        let own = format!("{namespace}-{}", super::stage::OBJECT);
        let is_there = async |name: &str| {
            let found = HELM_CHART.get(&stage.client, namespace, name).await;
            found.is_some_and(|chart| chart.metadata.deletion_timestamp.is_none())
        };
        if let Some(chart) = expect.get::<String>("chart")? {
            same("chart", chart.as_str(), if is_there(&own).await { "kept" } else { "deleted" })?;
        }
        match expect.get::<Value>("deleted")? {
            None => {}
            Some(Value::Bool(deleted)) => same("deleted", &!is_there(&own).await, &deleted)?,
            Some(Value::String(chart)) => {
                let name = chart.rsplit('/').next().unwrap_or_default();
                check(self.setup.helm_charts.iter().any(|chart| chart == name), || format!("{name} was not there"))?;
                check(!is_there(name).await, || format!("{name} is still there"))?;
            }
            Some(other) => return Err(format!("deleted {other} is not understood")),
        }
        if let Some(deleted) = expect.get::<bool>("helmChart_deleted")? {
            for name in &self.setup.helm_charts {
                same("helmChart_deleted", &!is_there(name).await, &deleted)?;
            }
            check(!self.setup.helm_charts.is_empty(), || "no HelmChart was there".to_owned())?;
        }
        match expect.get::<String>("created")?.as_deref() {
            None => Ok(()),
            Some("<computed>") => check(is_there(&own).await, || format!("{own} is not there")),
            Some(other) => Err(format!("created '{other}' is not understood")),
        }
    }

    /// The definitions of a chart and of its subchart.
    async fn hold_definitions(&self, stage: &Stage, expect: &mut Fields) -> Result<(), String> {
        let name = format!("things.{}.example.com", self.setup.namespace);
        let found = DEFINITION.everywhere(&stage.client).get_opt(&name).await.map_err(|error| error.to_string())?;
        expect.holds("subchart_crds", &found.is_some())?;
        let changed = found.as_ref().is_some_and(|found| found.metadata.annotations.iter().flatten().count() > 0);
        let was_there = self.setup.objects.iter().any(|object| object["metadata"]["name"] == name.as_str());
        expect.holds("changed", &if was_there { changed } else { found.is_some() })?;
        if let Some(kinds) = expect.get::<Vec<String>>("applied")? {
            let policy = POLICY.everywhere(&stage.client).get_opt(&format!("policy-of-{}", self.setup.namespace)).await;
            let is = [(found.is_some(), "CustomResourceDefinition"), (policy.is_ok_and(|p| p.is_some()), POLICY.2)];
            let is: Vec<&str> = is.iter().filter(|(is_there, _)| *is_there).map(|(_, kind)| *kind).collect();
            same("applied", &json!(is), &json!(kinds))?;
        }
        let warned = self.lines.iter().any(|line| line["level"] == "WARN" && !line["file"].is_null());
        expect.holds("warning", &warned)?;
        for label in expect.get::<Vec<String>>("labels")?.unwrap_or_default() {
            let labels = found.as_ref().and_then(|found| found.metadata.labels.clone()).unwrap_or_default();
            check(labels.contains_key(&label), || format!("{label} is not among {labels:?}"))?;
        }
        Ok(())
    }
}

/// What the API server refuses, no controller sees: a mistake that Flux's controller finds is found before.
fn hold_refused(refused: &str, expect: Map<String, Value>) -> Result<(), String> {
    let mut expect = Fields::new(expect);
    let error: String = expect.need("error")?;
    // The value that is wrong is named in both.
    let value = error.split_once('\'').and_then(|(_, rest)| Some(rest.split_once('\'')?.0));
    let part = match (error.as_str(), value) {
        ("invalid Chart reference", _) => "either chart or chartRef must be set",
        (_, Some(value)) => value,
        _ => return Err(format!("refused: {refused}")),
    };
    check(refused.contains(part), || format!("refused: is {refused:?}, without {part:?}"))?;
    expect.holds("requeue", &"never (terminal)".to_owned())?;
    expect.holds("conditions", &"none written".to_owned())?;
    super::fields_done("expect", &expect)
}

fn first_revision(status: &Value) -> Value {
    let history = status["history"].as_array().into_iter().flatten();
    history.clone().find(|snapshot| snapshot["version"] == 1).cloned().unwrap_or_default()
}

fn hold_snapshot(is: &Value, expected: &str) -> Result<(), String> {
    let revision = Revision::read(expected)?;
    let what = |field: &str| format!("{field} of {expected}");
    same(&what("version"), &is["version"], &json!(revision.version))?;
    if let Some(status) = &revision.status {
        same(&what("status"), &is["status"], &json!(status))?;
    }
    if let Some(action) = &revision.action {
        same(&what("action"), is["action"].as_str().unwrap_or_default(), action.as_str())?;
    }
    let has_tests = is["testHooks"].as_object().is_some_and(|hooks| !hooks.is_empty());
    check(!revision.has_tests || has_tests, || what("tests"))
}
