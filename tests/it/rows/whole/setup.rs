//! From a row's input to what is on the cluster before the daemon sees the object.

use bowline::{api::meta, reconcile::release::record, reconcile::release::values};
use helm::release::Release;
use serde_json::{Map, Value, json};

use super::{
    charts::{Chart, config_map, definition},
    stage::OBJECT,
    texts::Revision,
};
use crate::rows::{fields::Fields, identity};

/// What a row's chart comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// A HelmChart that is ready, referred to by `chartRef`.
    Reference,
    /// `spec.chart`; the HelmChart is the daemon's to write.
    Template,
    /// A HelmChart that is left alone, with this status and generation; none is there where it is null.
    Given { status: Value, generation: i64 },
    /// As the spec of the row says.
    None,
}

/// The state that a row is played from.
#[derive(Clone, Debug)]
pub struct Setup {
    pub namespace: String,
    pub chart: Chart,
    pub source: Source,
    /// Merged over the spec that every row has.
    pub spec: Value,
    pub annotations: Map<String, Value>,
    pub generation: i64,
    pub status: Map<String, Value>,
    pub records: Vec<Release>,
    /// Whether the records cannot be read.
    pub is_damaged: bool,
    pub is_deleted: bool,
    /// Namespaces and other objects that are there before.
    pub objects: Vec<Value>,
    /// HelmCharts of the namespace that are there before.
    pub helm_charts: Vec<String>,
    /// A file of the artifact store: path and content.
    pub artifact: Option<(String, Vec<u8>)>,
    /// Whether the spec of the row says that the chart is referred to.
    is_reference: bool,
    /// Flags of a daemon of the row's own.
    pub flags: Vec<String>,
    /// The state that the row says the release is in.
    pub state: Option<String>,
    /// Whether an uninstall for another target stands for the action, which no run of the daemon gets to.
    pub stands_for_action: bool,
    /// Whether the object is changed while its release waits for the health of what it applied.
    pub is_changed_in_wait: bool,
}

/// Merges over what is there.
fn merge(base: &mut Value, over: &Value) {
    json_patch::merge(base, over);
}

/// Says which verb the storage of a row refuses; `read` is none that the API server could refuse.
pub fn refused(input: &Map<String, Value>) -> Option<&str> {
    let verb = input.get("storage_error")?.as_str()?.split(' ').next()?;
    ["create", "update", "delete"].into_iter().find(|refused| *refused == verb)
}

impl Setup {
    pub fn read(group: &str, input: &mut Fields, namespace: &str) -> Result<Self, String> {
        let mut setup = Self {
            namespace: namespace.to_owned(),
            chart: Chart::plain("0.1.0"),
            source: Source::Reference,
            spec: json!({}),
            annotations: input.given("annotations")?.unwrap_or_default(),
            generation: input.get("generation")?.unwrap_or(1),
            status: Map::new(),
            records: Vec::new(),
            is_damaged: false,
            is_deleted: input.get::<Value>("deletionTimestamp")?.map_or(group == "delete", |at| !at.is_null()),
            objects: Vec::new(),
            helm_charts: Vec::new(),
            artifact: None,
            is_reference: false,
            flags: Vec::new(),
            state: if group == "next-action" { input.get("state")? } else { None },
            stands_for_action: false,
            is_changed_in_wait: false,
        };
        setup.defaults(group);
        setup.gate(group, input)?;
        setup.spec(group, input)?;
        setup.chart(group, input)?;
        setup.controller(input)?;
        setup.crds(group, input)?;
        setup.inventory(input)?;
        setup.storage(group, input)?;
        setup.place(group, input)?;
        setup.identity(input)?;
        setup.finish(group, input)?;
        Ok(setup)
    }

    /// What a feature gate of Flux is always like here.
    fn gate(&mut self, group: &str, input: &mut Fields) -> Result<(), String> {
        match input.get::<String>("feature_gate")?.as_deref() {
            None => Ok(()),
            Some("CancelHealthCheckOnNewRevision") if group == "controller" => {
                // Something to wait for that does not come.
                self.is_changed_in_wait = true;
                self.chart.objects.push(workload("never", json!({ "case.test/unready": "true" })));
                Ok(())
            }
            Some(other) => Err(format!("feature gate '{other}' is not understood")),
        }
    }

    /// Where the release is asked for: what is installed elsewhere is uninstalled.
    fn place(&mut self, group: &str, input: &mut Fields) -> Result<(), String> {
        let newest = |versions: Vec<i64>| versions.into_iter().max();
        let snapshots = self.status.get("history").and_then(Value::as_array).cloned().unwrap_or_default();
        let known = newest(snapshots.iter().filter_map(|snapshot| snapshot["version"].as_i64()).collect());
        self.stands_for_action = matches!(group, "uninstall-remediation" | "test")
            && known.is_some()
            && known != newest(self.records.iter().map(|record| record.version).collect());
        if group == "uninstall" || self.stands_for_action {
            // What is not there can only be asked for by a deletion.
            if known.is_none() { self.is_deleted = true } else { self.spec["releaseName"] = json!("another") }
        }
        match input.get::<String>("changed")?.as_deref() {
            None => {}
            Some("storage namespace") => {
                self.status.insert("storageNamespace".into(), json!("another"));
            }
            Some("release namespace") => self.spec["targetNamespace"] = json!("another"),
            Some("release name") => self.spec["releaseName"] = json!("another"),
            Some(other) => return Err(format!("changed '{other}' is not understood")),
        }
        Ok(())
    }

    /// Another cluster, by a kubeconfig, or another identity.
    fn identity(&mut self, input: &mut Fields) -> Result<(), String> {
        let mut kubeconfig = match input.get::<String>("kubeConfig")?.as_deref() {
            None => None,
            Some("secret not found") => Some(None),
            Some("unreadable") => Some(Some("junk")),
            Some(other) => return Err(format!("kubeConfig '{other}' is not understood")),
        };
        match input.get_if::<String>("cluster").as_deref() {
            None => {}
            Some("unreachable") => kubeconfig = Some(Some(identity::GOOD)),
            Some(other) => return Err(format!("cluster '{other}' is not understood")),
        }
        if let Some(content) = kubeconfig {
            self.spec["kubeConfig"] = json!({ "secretRef": { "name": "kubeconfig" } });
            self.objects.extend(content.map(|text| {
                json!({ "apiVersion": "v1", "kind": "Secret", "stringData": { "value": text },
                        "metadata": { "name": "kubeconfig", "namespace": self.namespace } })
            }));
        }
        match input.get::<String>("serviceAccountName")?.as_deref() {
            None => {}
            Some("not found" | "gone" | "missing") => self.spec["serviceAccountName"] = json!("gone"),
            Some(other) => return Err(format!("serviceAccountName '{other}' is not understood")),
        }
        Ok(())
    }

    /// What a group takes for granted: the state in which its action is the one to run.
    fn defaults(&mut self, group: &str) {
        let (spec, status) = match group {
            "test" => (json!({ "test": { "enable": true } }), json!({})),
            "rollback" => (
                json!({ "upgrade": { "remediation": { "retries": 1 } } }),
                json!({ "lastAttemptedReleaseAction": "upgrade", "upgradeFailures": 1 }),
            ),
            "uninstall-remediation" => (
                json!({ "install": { "remediation": { "remediateLastFailure": true } }, "test": { "enable": true } }),
                json!({ "lastAttemptedReleaseAction": "install", "installFailures": 1,
                        "conditions": [{ "type": "Ready", "status": "False", "reason": "InstallFailed" }] }),
            ),
            _ => (json!({}), json!({})),
        };
        self.spec = spec;
        self.status.extend(status.as_object().cloned().unwrap_or_default());
    }

    fn spec(&mut self, group: &str, input: &mut Fields) -> Result<(), String> {
        match input.given::<Value>("spec")? {
            None => {}
            Some(Value::Object(given)) => {
                if group == "controller" && given.is_empty() {
                    self.source = Source::None;
                }
                for (key, value) in given {
                    self.spec_field(&key, value)?;
                }
            }
            Some(Value::String(words)) => match words.rsplit_once(' ') {
                Some(("post renderers" | "common metadata", "removed" | "unset" | "empty")) => {}
                Some(("post renderers", which)) => {
                    let patch = format!("[{{\"op\": \"add\", \"path\": \"/data/new\", \"value\": \"{which}\"}}]");
                    let patches = json!([{ "target": { "kind": "ConfigMap" }, "patch": patch }]);
                    self.spec["postRenderers"] = json!([{ "kustomize": { "patches": patches } }]);
                }
                Some(("common metadata", which)) => self.spec["commonMetadata"] = json!({ "labels": { "set": which } }),
                _ => return Err(format!("spec '{words}' is not understood")),
            },
            Some(other) => return Err(format!("spec {other} is not understood")),
        }
        if let Some(jitter) = input.get::<String>("jitter")? {
            // The default of the daemon's flag.
            crate::rows::fields::same("jitter", jitter.as_str(), "5%")?;
        }
        if let Some(interval) = input.get::<String>("interval")? {
            self.spec["interval"] = json!(interval);
        }
        if input.get("suspend")?.unwrap_or(false) {
            self.spec["suspend"] = json!(true);
        }
        if let Some(from) = input.get::<Value>("valuesFrom")? {
            self.spec["valuesFrom"] = from;
        }
        match input.get::<Value>("values")? {
            None => {}
            Some(values @ Value::Object(_)) => self.spec["values"] = values,
            Some(Value::String(words)) if words == "changed" => {
                self.spec["values"] = json!({ "foo": "changed" });
                self.status.insert("lastAttemptedConfigDigest".into(), json!(values::digest(&Map::new())));
            }
            Some(other) => return Err(format!("values {other} are not understood")),
        }
        Ok(())
    }

    fn spec_field(&mut self, key: &str, value: Value) -> Result<(), String> {
        match (key, value.as_str()) {
            ("chart", Some("set")) => self.source = Source::Template,
            ("chartRef", Some("set")) => self.spec["chartRef"] = json!({ "kind": "HelmChart", "name": "chart" }),
            ("chartRef", Some("HelmChart")) => {
                // Of another version than the one that is installed.
                self.is_reference = true;
                self.chart.version = "0.2.0".into();
            }
            ("chartRef", Some(kind)) => {
                self.source = Source::None;
                self.spec["chartRef"] = json!({ "kind": kind, "name": "source" });
            }
            ("healthCheckExprs", Some("not compilable")) => {
                self.spec[key] = json!([{ "apiVersion": "v1", "kind": "ConfigMap", "current": "foo." }]);
            }
            _ => merge(&mut self.spec, &json!({ key: value })),
        }
        Ok(())
    }

    fn chart(&mut self, group: &str, input: &mut Fields) -> Result<(), String> {
        let of_record = is_of_record(group);
        let words: Option<String> = input.get("chart")?;
        match words.as_deref() {
            None if matches!(group, "upgrade" | "rollback") => self.chart.version = "0.2.0".into(),
            None => {}
            Some("HelmChart not found") => self.source = Source::Given { status: Value::Null, generation: 1 },
            Some("stalled") => {
                let stalled = json!({ "type": "Stalled", "status": "True", "reason": "Any", "message": "stalled",
                                      "lastTransitionTime": "2024-01-02T03:04:05Z" });
                let status = json!({ "observedGeneration": 1, "conditions": [stalled] });
                self.source = Source::Given { status, generation: 1 };
            }
            Some("no artifact") => {
                self.source = Source::Given { status: json!({ "observedGeneration": 1 }), generation: 1 };
            }
            Some(words) if words.starts_with("generation ") => {
                let numbers = words.strip_prefix("generation ").and_then(|w| w.split_once(", observedGeneration "));
                let (generation, observed) = numbers.ok_or_else(|| format!("chart '{words}' is not understood"))?;
                let number = |text: &str| text.parse::<i64>().map_err(|error| format!("chart '{words}': {error}"));
                let status = json!({ "observedGeneration": number(observed)? });
                self.source = Source::Given { status, generation: number(generation)? };
            }
            Some(words) => {
                let version = if of_record { "0.1.0" } else { "0.3.0" };
                self.chart = Chart::read(words, version, &self.namespace)?;
                if words.contains("failing") && !words.contains("test") {
                    self.spec["timeout"] = json!("2s");
                }
            }
        }
        match input.get::<String>("desired")?.as_deref().map(|words| words.split_once(' ').unwrap_or((words, ""))) {
            None => {}
            Some(("differs", _)) => self.chart.version = "0.2.0".into(),
            Some(("chart", version)) => version.clone_into(&mut self.chart.version),
            Some(("values", pair)) => {
                let (key, value) = pair.split_once('=').ok_or_else(|| format!("values '{pair}'"))?;
                self.spec["values"] = json!({ key: value });
            }
            Some(other) => return Err(format!("desired {other:?} is not understood")),
        }
        if let Some(version) = input.get::<String>("chart_version")? {
            self.chart.version = version;
        }
        match input.get::<String>("result")?.as_deref() {
            None => {}
            Some("failed" | "install failed" | "upgrade failed") => {
                self.chart = Chart::read(&format!("failing {} hook", failing(group)), "0.3.0", &self.namespace)?;
                self.spec["timeout"] = json!("2s");
            }
            Some(other) => return Err(format!("result '{other}' is not understood")),
        }
        if let Some("changed") = input.get::<String>("chart_name")?.as_deref() {
            self.chart.name = "renamed".into();
        }
        Ok(())
    }

    fn controller(&mut self, input: &mut Fields) -> Result<(), String> {
        if let Some(on) = input.get::<Vec<Map<String, Value>>>("dependsOn")? {
            let on = on.into_iter().map(|mut on| {
                on.entry("name").or_insert_with(|| json!("dependency"));
                if on.get("readyExpr") == Some(&json!("not compilable")) {
                    on.insert("readyExpr".into(), json!("foo."));
                }
                Value::Object(on)
            });
            self.spec["dependsOn"] = on.collect();
        }
        if let Some(dependency) = input.get::<Map<String, Value>>("dependency")? {
            let mut dependency = Fields::new(dependency);
            // It has one generation; what counts is whether that was observed.
            let generation = dependency.get::<i64>("generation")?.unwrap_or(1);
            let observed = dependency.get::<i64>("observedGeneration")?.unwrap_or(generation) - generation + 1;
            let status = json!({ "observedGeneration": observed, "conditions": [{
                "type": "Ready", "reason": "Any", "message": "", "lastTransitionTime": "2024-01-02T03:04:05Z",
                "status": if dependency.need("ready")? { "True" } else { "False" } }] });
            super::fields_done("dependency", &dependency)?;
            self.objects.push(json!({
                "kind": "HelmRelease", "metadata": { "name": "dependency", "namespace": self.namespace },
                "spec": Self::whole_spec(&json!({ "suspend": true, "chartRef": chart_ref() })), "status": status,
            }));
        }
        match input.get::<String>("artifact")?.as_deref() {
            None => {}
            Some(words) => {
                let path = format!("helmchart/{}/chart/chart-0.1.0.tgz", self.namespace);
                if words != "404" {
                    self.artifact = Some((path.clone(), b"this is no chart".to_vec()));
                }
                let artifact = json!({ "path": path, "url": format!("http://localhost/{path}"), "revision": "0.1.0",
                    "digest": format!("sha256:{:0>64}", self.namespace.len()), "lastUpdateTime": "2024-01-02T03:04:05Z" });
                let status =
                    json!({ "observedGeneration": 1, "artifact": artifact, "observedChartName": self.chart.name });
                self.source = Source::Given { status, generation: 1 };
            }
        }
        if let Some(flag) = input.get::<String>("flag")? {
            self.flags.push(flag);
        }
        match input.get::<String>("source")?.as_deref() {
            None => {}
            Some("other namespace") => {
                self.source = Source::None;
                self.spec["chartRef"] = json!({ "kind": "HelmChart", "name": "chart", "namespace": "another" });
            }
            Some(other) => return Err(format!("source '{other}' is not understood")),
        }
        Ok(())
    }

    fn crds(&mut self, group: &str, input: &mut Fields) -> Result<(), String> {
        if group != "crds" {
            return Ok(());
        }
        if input.get::<String>("action")?.as_deref() == Some("upgrade") {
            self.chart.version = "0.2.0".into();
        }
        if let Some(policy) = input.get::<String>("crds")?.filter(|policy| !policy.is_empty()) {
            self.spec = json!({ "install": { "crds": policy }, "upgrade": { "crds": policy } });
        }
        let name = format!("things.{}.example.com", self.namespace);
        if self.chart.crds.is_empty() {
            self.chart.crds.push(definition(&name));
        }
        match input.get::<String>("cluster")?.as_deref() {
            None => {}
            Some("CRD exists") => {
                self.objects.push(definition(&name));
                self.chart.crds[0]["metadata"]["annotations"] = json!({ "row/changed": "true" });
            }
            Some(other) => return Err(format!("cluster '{other}' is not understood")),
        }
        Ok(())
    }

    fn inventory(&mut self, input: &mut Fields) -> Result<(), String> {
        let manifest = match input.get::<Value>("manifest")? {
            None => None,
            Some(Value::String(one)) => Some(vec![one]),
            Some(several) => Some(serde_json::from_value(several).map_err(|error| format!("manifest: {error}"))?),
        };
        if let Some(names) = input.get::<Vec<String>>("crds")? {
            self.chart.crds = names.iter().map(|name| definition(name)).collect();
            self.chart.objects.clear();
        }
        if let Some(release) = input.get::<String>("release_ns")? {
            let target = self.side_namespace(&release);
            merge(&mut self.spec, &json!({ "targetNamespace": target, "releaseName": OBJECT }));
        }
        let Some(manifest) = manifest else { return Ok(()) };
        self.spec["install"] = json!({ "disableWait": true });
        self.chart.objects.clear();
        for text in manifest {
            let tree = self.manifest_object(&text)?;
            let is_hook = tree["metadata"]["annotations"]["helm.sh/hook"].is_string();
            if is_hook { self.chart.hooks.push(tree) } else { self.chart.objects.push(tree) }
        }
        Ok(())
    }

    /// A namespace that a row names, of the row's own.
    fn side_namespace(&mut self, name: &str) -> String {
        let name = format!("{}-{name}", self.namespace);
        let object = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } });
        if !self.objects.contains(&object) {
            self.objects.push(object);
        }
        name
    }

    fn manifest_object(&mut self, text: &str) -> Result<Value, String> {
        let (text, hook) = match text.split_once(" hook with helm.sh/hook ") {
            Some((kind, event)) => (format!("{kind} hook"), Some(event)),
            None => (text.to_owned(), None),
        };
        let words: Vec<&str> = text.split(' ').collect();
        let (api, kind, name) = match words[..] {
            [api, kind, name] => (Some(api), kind, name),
            [kind, name] => (None, kind, name),
            _ => return Err(format!("manifest '{text}' is not understood")),
        };
        let mut tree = match kind {
            "ConfigMap" => config_map(name),
            "Deployment" => workload(name, json!({})),
            "ClusterRole" => json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "rules": [] }),
            _ => json!({}),
        };
        tree["kind"] = json!(kind);
        if let Some(api) = api {
            tree["apiVersion"] = json!(api);
        }
        tree["metadata"]["name"] = json!(name);
        if let Some((namespace, name)) = name.split_once('/') {
            tree["metadata"] = json!({ "name": name, "namespace": self.side_namespace(namespace) });
        }
        if let Some(event) = hook {
            tree["metadata"]["annotations"] = json!({ "helm.sh/hook": event });
        }
        Ok(tree)
    }

    /// Helm's records, and the snapshots of them.
    fn storage(&mut self, group: &str, input: &mut Fields) -> Result<(), String> {
        let releases: Option<Vec<String>> = input.get("releases")?;
        let mut history: Option<Vec<String>> = input.given("history")?;
        if let Some(one) = input.get::<String>("snapshot")? {
            // With its place: the release that is gone is that of no record.
            history = Some(vec![one.rsplit_once('.').map_or(one.as_str(), |(_, version)| version).to_owned()]);
        }
        let read = |texts: &[String]| texts.iter().map(|text| Revision::read(text)).collect::<Result<Vec<_>, _>>();
        let mut snapshots = history.as_deref().map(read).transpose()?;
        // What is looked for in another namespace is not there.
        let is_gone = input.has("changed");
        if history.as_ref().is_some_and(Vec::is_empty) && group == "test" {
            // There is nothing to test, and nothing else is to be done.
            self.status.extend([
                ("lastAttemptedReleaseAction".into(), json!("install")),
                ("installFailures".into(), json!(1)),
            ]);
        }
        let revisions = match (&releases, &snapshots) {
            (Some(releases), _) => read(releases)?,
            (None, Some(_)) if is_gone => Vec::new(),
            (None, Some(none)) if none.is_empty() => Vec::new(),
            (None, Some(snapshots)) => snapshots.iter().filter(|s| !s.is_elsewhere).cloned().collect(),
            (None, None) => {
                read(&default_releases(group, self).iter().map(|&text| text.to_owned()).collect::<Vec<_>>())?
            }
        };
        let installed = if is_of_record(group) { self.chart.clone() } else { Chart::plain("0.1.0") };
        let newest = revisions.iter().map(|revision| revision.version).max();
        for revision in &revisions {
            let name = revision.name.as_deref().unwrap_or(OBJECT);
            let status = revision.status.as_deref().unwrap_or(match group {
                "unlock" => "pending-upgrade",
                "rollback" if Some(revision.version) == newest => "failed",
                "rollback" => "superseded",
                _ => "deployed",
            });
            self.records.push(installed.record((&self.namespace, name), revision.version, status, &Map::new()));
        }
        let reads = ["get", "query", "boom"];
        match input.get::<String>("storage_error")?.as_deref().map(|error| error.split(' ').next().unwrap_or_default())
        {
            None | Some("create" | "update" | "delete") => {}
            Some(verb) if reads.contains(&verb) => self.is_damaged = true,
            Some(verb) => return Err(format!("storage_error '{verb}' is not understood")),
        }
        if snapshots.is_none() {
            let all = self.records.iter().rev().map(|record| Revision {
                version: record.version,
                name: Some(record.name.clone()),
                ..Revision::default()
            });
            snapshots = Some(all.collect());
        }
        let snapshots: Vec<Value> =
            snapshots.into_iter().flatten().map(|revision| self.snapshot(group, &installed, &revision)).collect();
        if let Some(name) = snapshots.first().and_then(|s| s["name"].as_str()).filter(|name| *name != OBJECT) {
            self.spec["releaseName"] = json!(name);
        }
        self.status.insert("history".into(), Value::Array(snapshots));
        Ok(())
    }

    fn snapshot(&self, group: &str, installed: &Chart, revision: &Revision) -> Value {
        let name = revision.name.as_deref().unwrap_or(OBJECT);
        let known = self.records.iter().find(|r| r.version == revision.version && r.name == name);
        let status = revision.status.as_deref();
        let place = (self.namespace.as_str(), name);
        let record = match known {
            Some(record) if status.is_none_or(|status| status == record.info.status.as_str()) => record.clone(),
            _ => installed.record(place, revision.version, status.unwrap_or("deployed"), &Map::new()),
        };
        let mut snapshot = serde_json::to_value(record::snapshot(&record)).unwrap();
        if let Some(action) = revision.action.as_deref().filter(|action| !action.is_empty()) {
            merge(&mut snapshot, &json!({ "action": action, "ociDigest": format!("sha256:{:0>64}", 7) }));
        }
        if revision.is_elsewhere {
            snapshot["namespace"] = json!("another");
        }
        if revision.has_tests || group == "uninstall-remediation" {
            snapshot["testHooks"] = json!({ "t": { "phase": "Failed" } });
        }
        snapshot
    }

    /// The status that the row gives, and what goes with it.
    fn finish(&mut self, group: &str, input: &mut Fields) -> Result<(), String> {
        let given: Option<Map<String, Value>> = input.given("status")?;
        if let Some(chart) = given.as_ref().and_then(|s| s.get("helmChart")?.as_str()?.split_once('/')) {
            let name = chart.1.to_owned();
            self.status.insert("helmChart".into(), json!(format!("{}/{name}", self.namespace)));
            // What is only to be forgotten, is so for a reference.
            if name == "gone" { self.is_reference = true } else { self.helm_charts.push(name) }
        }
        for (key, value) in given.into_iter().flatten().filter(|(key, _)| key != "helmChart") {
            let value = match value.as_str() {
                // The API server takes no empty text.
                Some("") => Value::Null,
                Some("digest of the old value") => json!(format!("sha256:{:0>64}", 1)),
                _ => value,
            };
            self.status.insert(key, value);
        }
        let is_counted = |key: &str| self.status.get(key).and_then(Value::as_i64).is_some_and(|count| count > 0);
        if matches!(group, "install" | "upgrade") && ["installFailures", "upgradeFailures"].into_iter().any(is_counted)
        {
            // The row's action runs whatever the counts are.
            for annotation in [meta::RECONCILE_REQUESTED_AT, meta::FORCE_REQUESTED_AT] {
                self.annotations.insert(annotation.to_owned(), json!("now"));
            }
        }
        if let Some(conditions) = input.given::<Value>("conditions")? {
            self.status.insert("conditions".into(), conditions);
        }
        let history = self.status.get("history").and_then(Value::as_array).cloned().unwrap_or_default();
        let is_here = history.iter().all(|snapshot| snapshot["namespace"] == self.namespace.as_str());
        if (group == "delete" || !history.is_empty() && is_here) && !self.status.contains_key("storageNamespace") {
            self.status.insert("storageNamespace".into(), json!(self.namespace));
        }
        if matches!(group, "delete" | "chart-template") && self.source == Source::Reference && !self.is_reference {
            self.source = Source::Template;
        }
        if self.is_deleted && self.source == Source::Template {
            let name = format!("{}-{OBJECT}", self.namespace);
            self.status.insert("helmChart".into(), json!(format!("{}/{name}", self.namespace)));
            self.helm_charts.push(name);
        }
        self.attempted();
        Ok(())
    }

    /// Counts are of an attempt at what is asked for now, unless the row says otherwise.
    fn attempted(&mut self) {
        let counts = ["failures", "installFailures", "upgradeFailures", "lastAttemptedReleaseAction"];
        if !counts.iter().any(|count| self.status.contains_key(*count)) {
            return;
        }
        let digest = values::digest(&self.spec["values"].as_object().cloned().unwrap_or_default());
        for (key, value) in [
            ("lastAttemptedGeneration", json!(self.generation)),
            ("lastAttemptedRevision", json!(self.chart.version)),
            ("lastAttemptedConfigDigest", json!(digest)),
        ] {
            self.status.entry(key).or_insert(value);
        }
    }

    /// The spec of the row's object.
    pub fn whole_spec(over: &Value) -> Value {
        let mut spec = json!({ "interval": "5m", "timeout": "1m" });
        merge(&mut spec, over);
        spec
    }

    /// The row's object.
    pub fn object(&self) -> Value {
        let mut spec = Self::whole_spec(&self.spec);
        match self.source {
            Source::Reference | Source::Given { .. } => spec["chartRef"] = chart_ref(),
            Source::Template => {
                let source = json!({ "kind": "HelmRepository", "name": "repository" });
                spec["chart"] = json!({ "spec": { "chart": self.chart.name, "sourceRef": source } });
            }
            Source::None => {}
        }
        let finalizers = if self.is_deleted { json!([meta::FINALIZER, "row/held"]) } else { json!([]) };
        json!({ "apiVersion": "helm.toolkit.fluxcd.io/v2", "kind": "HelmRelease", "spec": spec,
                "metadata": { "name": OBJECT, "namespace": self.namespace, "annotations": self.annotations,
                              "finalizers": finalizers } })
    }
}

/// A Deployment; the annotations are its pods'.
fn workload(name: &str, annotations: Value) -> Value {
    json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": name }, "spec": {
        "selector": { "matchLabels": { "a": "b" } }, "template": {
            "metadata": { "labels": { "a": "b" }, "annotations": annotations },
            "spec": { "containers": [{ "name": "c", "image": "x" }] } } } })
}

fn chart_ref() -> Value {
    json!({ "kind": "HelmChart", "name": "chart" })
}

/// Whether a group's chart is the one that is installed, and not the one that is asked for.
fn is_of_record(group: &str) -> bool {
    matches!(group, "test" | "rollback" | "uninstall" | "uninstall-remediation" | "delete" | "unlock")
}

/// The event whose hook fails where a group's action is to fail.
fn failing(group: &str) -> &'static str {
    match group {
        "rollback" => "rollback",
        "uninstall" | "uninstall-remediation" | "delete" => "delete",
        "upgrade" => "upgrade",
        _ => "install",
    }
}

/// What is installed where a row does not say.
fn default_releases(group: &str, setup: &Setup) -> &'static [&'static str] {
    match group {
        "upgrade" | "test" | "uninstall-remediation" | "uninstall" | "delete" => &["v1 deployed"],
        "rollback" | "next-action" => &["v1 superseded", "v2 failed"],
        "unlock" => &["v1 pending-upgrade"],
        "crds" | "controller" if setup.chart.name == "renamed" || setup.chart.version == "0.2.0" => &["v1 deployed"],
        _ => &[],
    }
}
