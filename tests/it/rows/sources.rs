//! What a release waits for: its chart, and other releases.

use bowline::{
    api::{HelmChart, HelmRelease, OCIRepository, helm_release::HelmReleaseStatus},
    reconcile::release::{chart_object, chart_object::Written, observe, triggers},
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::fields::{Fields, check, object, same};

fn condition(kind: &str, status: bool, message: &str) -> Value {
    let status = if status { "True" } else { "False" };
    json!({ "type": kind, "status": status, "reason": "Any", "message": message,
            "lastTransitionTime": "2024-01-02T03:04:05Z" })
}

fn helm_chart(status: &Value, generation: i64) -> HelmChart {
    let spec = json!({ "chart": "hello", "interval": "1m", "sourceRef": { "kind": "HelmRepository", "name": "r" } });
    let mut chart = HelmChart::new("mock", serde_json::from_value(spec).unwrap());
    chart.metadata.namespace = Some("default".to_owned());
    chart.metadata.generation = Some(generation);
    chart.status = serde_json::from_value(status.clone()).unwrap();
    chart
}

fn oci_repository(status: &Value, generation: i64) -> OCIRepository {
    let spec = json!({ "url": "oci://registry.test/hello", "interval": "1m" });
    let mut repository = OCIRepository::new("mock", serde_json::from_value(spec).unwrap());
    repository.metadata.namespace = Some("default".to_owned());
    repository.metadata.generation = Some(generation);
    repository.status = serde_json::from_value(status.clone()).unwrap();
    repository
}

fn artifact(revision: &str) -> Value {
    json!({ "path": "a.tgz", "url": "http://a", "revision": revision, "digest": format!("sha256:{revision}"),
            "lastUpdateTime": "2024-01-02T03:04:05Z" })
}

pub fn source_ready(_: &str, input: &mut Fields, expect: &mut Fields) -> Result<(), String> {
    let kind: String = input.need("kind")?;
    let generation = input.need("generation")?;
    let mut conditions = Vec::new();
    if let Some(ready) = input.get::<bool>("ready")? {
        conditions.push(condition("Ready", ready, &input.get::<String>("ready_message")?.unwrap_or_default()));
    }
    if let Some(message) = input.get::<String>("stalled_message")? {
        conditions.push(condition("Stalled", true, &message));
    }
    let has_artifact = input.get("artifact")?.unwrap_or(true);
    let status = json!({ "observedGeneration": input.need::<i64>("observedGeneration")?, "conditions": conditions,
                         "artifact": has_artifact.then(|| artifact("1.0.0")) });
    let found = match kind.as_str() {
        "HelmChart" => observe::artifact_of(&helm_chart(&status, generation)),
        "OCIRepository" => observe::artifact_of(&oci_repository(&status, generation)),
        _ => return Err(format!("kind '{kind}' is not known")),
    };
    same("ready", &found.is_ok(), &expect.need("ready")?)?;
    expect.holds("message", &found.err().map(|obstacle| obstacle.message).unwrap_or_default())
}

pub fn source_event(_: &str, input: &mut Fields, expect: &mut Fields) -> Result<(), String> {
    if let Some(revision) = input.get::<String>("revision")? {
        same("revision", &revision, &"same".to_owned())?;
    }
    let mut side = |key: &str| -> Result<HelmChart, String> {
        let text: Option<String> = input.need(key)?;
        let (artifact, ready) = match text.as_deref() {
            None => (Value::Null, false),
            Some("ready") => (artifact("a"), true),
            Some("not ready") => (artifact("a"), false),
            Some(text) => {
                let revision = text.strip_prefix("rev ").ok_or_else(|| format!("{key} '{text}'"))?;
                (artifact(revision), true)
            }
        };
        let conditions = [condition("Ready", ready, "")];
        Ok(helm_chart(&json!({ "observedGeneration": 1, "conditions": conditions, "artifact": artifact }), 1))
    };
    let (old, new) = (side("old")?, side("new")?);
    same("reconcile", &triggers::is_chart_news(Some(&old), Some(&new)), &expect.need("reconcile")?)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Dependency {
    #[serde(default)]
    ns: Option<String>,
    #[serde(default)]
    ready: Option<bool>,
    #[serde(default)]
    observed: Option<bool>,
    #[serde(default)]
    generation: Option<i64>,
    #[serde(default, rename = "observedGeneration")]
    observed_generation: Option<i64>,
    #[serde(default)]
    conditions: Vec<Value>,
    #[serde(default)]
    missing: bool,
    #[serde(default, rename = "readyExpr")]
    ready_expr: Option<String>,
}

impl Dependency {
    fn object(&self, namespace: &str) -> Result<Option<HelmRelease>, String> {
        if self.missing {
            return Ok(None);
        }
        let mut object = object(namespace, "dependency", &json!({}))?;
        let generation = self.generation.unwrap_or(1);
        let observed = if self.observed == Some(false) { generation - 1 } else { generation };
        object.metadata.generation = Some(generation);
        let mut conditions: Vec<Value> = self.ready.into_iter().map(|ready| condition("Ready", ready, "")).collect();
        for given in &self.conditions {
            let kind = given["type"].as_str().ok_or("a condition without a type")?;
            let mut whole = condition(kind, false, "");
            json_patch::merge(&mut whole, given);
            conditions.push(whole);
        }
        object.status = Some(HelmReleaseStatus {
            observed_generation: self.observed_generation.unwrap_or(observed),
            conditions: serde_json::from_value(json!(conditions)).map_err(|error| error.to_string())?,
            ..HelmReleaseStatus::default()
        });
        Ok(Some(object))
    }
}

pub fn dependencies(_: &str, input: &mut Fields, expect: &mut Fields) -> Result<(), String> {
    let mut error = None;
    let own = object("ns", "own", &json!({}))?;
    if let Some(gate) = input.get::<String>("feature_gate")? {
        same("feature_gate", gate.as_str(), "AdditiveCELDependencyCheck")?;
    }
    for dependency in input.need::<Vec<Dependency>>("deps")? {
        let namespace = dependency.ns.clone().unwrap_or_else(|| "ns".to_owned());
        let found = dependency.object(&namespace)?;
        if let Err(obstacle) =
            observe::check_dependency(&namespace, "dependency", dependency.ready_expr.as_deref(), &own, found.as_ref())
        {
            let message = obstacle.message.replace(&format!("'{namespace}/dependency'"), "'<ns>/<name>'");
            error.get_or_insert(message);
        }
    }
    if expect.get::<bool>("ok")? == Some(true) {
        return same("error", &error, &None);
    }
    let expected: String = expect.need("error")?;
    check(error.as_deref().is_some_and(|e| e.starts_with(&expected)), || {
        format!("error: is {error:?}, expected {expected:?}")
    })
}

/// The HelmChart that stands for `spec.chart`, and what is done about the one that is there.
pub fn chart_template(_: &str, input: &mut Fields, expect: &mut Fields) -> Result<(), String> {
    let source = input.get::<String>("sourceRef.namespace")?;
    let verify: Option<Value> = input.get("chart.verify")?;
    let verify = verify.map(|mut verify| {
        if let Some(name) = verify["secretRef"].as_str().map(str::to_owned) {
            verify["secretRef"] = json!({ "name": name });
        }
        verify
    });
    let metadata: Option<Value> = input.get("chart.metadata")?;
    let release = |chart: &str| {
        let source = json!({ "kind": "HelmRepository", "name": "r", "namespace": source });
        let spec = json!({ "chart": chart, "sourceRef": source, "verify": verify });
        object("ns", "app", &json!({ "chart": { "metadata": metadata, "spec": spec } }))
    };
    let object = release("hello")?;
    let wanted = chart_object::desired(&object).ok_or("no HelmChart")?;
    let existing = match (input.get::<String>("spec.chart")?.as_deref(), input.get::<String>("cluster")?.as_deref()) {
        (Some("set") | None, Some("no HelmChart") | None) => None,
        (Some("equal"), None) => Some(wanted.clone()),
        (Some("changed"), None) => chart_object::desired(&release("other")?),
        other => return Err(format!("{other:?} is not understood")),
    };
    if let Some(flag) = input.get::<String>("flag")? {
        same("flag", &flag, &"--no-cross-namespace-refs".to_owned())?;
        let refused = chart_object::check_namespace(&object, &wanted).err();
        same("created", &refused.is_none(), &expect.need("created")?)?;
        return same("error", &refused.map(|o| o.reason.to_owned()), &expect.need("error")?);
    }
    let planned = chart_object::plan(existing.as_ref(), &wanted);
    let (namespace, name) = chart_object::reference(&object).ok_or("no HelmChart")?;
    if let Some(creates) = expect.get::<String>("creates")? {
        let text = if namespace == "ns" { "sourceRef namespace" } else { &namespace };
        same("creates", &creates, &format!("{} in {text}", name.replace("ns-app", "<hr-namespace>-<hr-name>")))?;
        same("planned", &planned, &Written::Created)?;
    }
    expect.holds("created", &format!("in namespace {namespace}"))?;
    expect.holds("updates", &(planned == Written::Configured))?;
    if let Some(event) = expect.get::<Value>("event")? {
        same("event", &event, &json!({ "type": "Normal", "reason": planned.reason() }))?;
    }
    if let Some(version) = expect.get::<String>("resourceVersion")? {
        same("resourceVersion", &version, &"unchanged".to_owned())?;
        same("planned", &planned, &Written::Unchanged)?;
    }
    if let Some(status) = expect.get::<Map<String, Value>>("status")? {
        let is = format!("{namespace}/{name}").replace("ns/ns-app", "<ns>/<name>");
        same("status", &json!(status), &json!({ "helmChart": is }))?;
    }
    let written = serde_json::to_value(&wanted).unwrap();
    if let Some(mut expected) = expect.get::<Value>("HelmChart.spec.verify")? {
        if let Some(name) = expected["secretRef"].as_str().map(str::to_owned) {
            expected["secretRef"] = json!({ "name": name });
        }
        same("verify", &written["spec"]["verify"], &expected)?;
    }
    if let Some(expected) = expect.get::<Map<String, Value>>("HelmChart.metadata")? {
        for (field, entries) in &expected {
            let mut whole = written["metadata"][field].clone();
            json_patch::merge(&mut whole, entries);
            same(field, &written["metadata"][field], &whole)?;
        }
    }
    Ok(())
}
