//! Charts as rows name them: packed for a repository, and as Helm's records have them.

use std::io::Write as _;

use flate2::{Compression, write::GzEncoder};
use helm::release::Release;
use serde_json::{Map, Value, json};

/// The name of every chart that a row does not name.
const NAME: &str = "hello";

/// A chart of plain objects.
#[derive(Clone, Debug)]
pub struct Chart {
    pub name: String,
    pub version: String,
    pub objects: Vec<Value>,
    pub hooks: Vec<Value>,
    pub crds: Vec<Value>,
    /// A chart that it depends on, enabled by the value `subchart.enabled`.
    pub subchart: Option<Box<Chart>>,
    /// Whether its package is no chart.
    pub is_broken: bool,
}

pub fn config_map(name: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name }, "data": { "key": "value" } })
}

/// A definition of kind `Thing` in a group of its own.
pub fn definition(name: &str) -> Value {
    let (plural, group) = name.split_once('.').unwrap_or_default();
    let singular = plural.trim_end_matches('s');
    let kind = format!("{}{}", singular[..1].to_uppercase(), &singular[1..]);
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": { "name": name },
        "spec": {
            "group": group, "scope": "Namespaced",
            "names": { "plural": plural, "singular": singular, "kind": kind, "listKind": format!("{kind}List") },
            "versions": [{ "name": "v1", "served": true, "storage": true, "schema": { "openAPIV3Schema": {
                "type": "object", "x-kubernetes-preserve-unknown-fields": true } } }],
        },
    })
}

/// A hook of some events: a pod that succeeds, one that fails, or a job that never ends.
fn hook(name: &str, events: &str, fate: Fate) -> Value {
    let metadata = |annotations: Value| json!({ "name": name, "annotations": annotations });
    let pod = json!({ "restartPolicy": "Never", "containers": [{ "name": "c", "image": "example/x" }] });
    if fate == Fate::Never {
        let template = json!({ "metadata": { "annotations": { "case.test/unready": "true" } }, "spec": pod });
        return json!({ "apiVersion": "batch/v1", "kind": "Job", "metadata": metadata(json!({ "helm.sh/hook": events })),
                       "spec": { "backoffLimit": 0, "template": template } });
    }
    let fails = if fate == Fate::Fails { "true" } else { "false" };
    json!({ "apiVersion": "v1", "kind": "Pod", "spec": pod,
            "metadata": metadata(json!({ "helm.sh/hook": events, "case.test/fail": fails })) })
}

#[derive(Clone, Copy, PartialEq)]
enum Fate {
    Succeeds,
    Fails,
    Never,
}

impl Chart {
    /// One ConfigMap, nothing else.
    pub fn plain(version: &str) -> Self {
        Self::of(NAME, version, vec![config_map("cm")])
    }

    pub fn of(name: &str, version: &str, objects: Vec<Value>) -> Self {
        Self {
            name: name.to_owned(),
            version: version.to_owned(),
            objects,
            hooks: Vec::new(),
            crds: Vec::new(),
            subchart: None,
            is_broken: false,
        }
    }

    /// Reads a row's words; `namespace` makes the names of definitions the row's own.
    pub fn read(words: &str, version: &str, namespace: &str) -> Result<Self, String> {
        let mut chart = Self::plain(version);
        let parts: Vec<&str> = words.split(' ').collect();
        match parts[..] {
            ["hello", "with", "one", "ConfigMap", name] => chart.objects = vec![config_map(name)],
            ["one", "passing", "test", "hook"] => chart.hooks.push(hook("t", "test", Fate::Succeeds)),
            ["failing", "test", "hook"] => chart.hooks.push(hook("t", "test", Fate::Fails)),
            ["failing", "hook"] => chart.hooks.push(hook("h", "post-install,post-upgrade", Fate::Never)),
            ["failing", event, "hook"] => {
                let event = if event.contains('-') { event.to_owned() } else { format!("post-{event}") };
                chart.hooks.push(hook("h", &event, Fate::Never));
            }
            ["parent", "with", "subchart"] => {
                let mut sub = Self::of("subchart", "0.1.0", vec![config_map("sub")]);
                sub.crds.push(definition(&format!("things.{namespace}.example.com")));
                chart.subchart = Some(Box::new(sub));
            }
            ["crds/", "has", "a", "CRD", "and", "a", "ValidatingAdmissionPolicy"] => {
                chart.crds.push(definition(&format!("things.{namespace}.example.com")));
                chart.crds.push(json!({
                    "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
                    "metadata": { "name": format!("policy-of-{namespace}") },
                    "spec": { "validations": [{ "expression": "true" }], "matchConstraints": { "resourceRules": [] } },
                }));
            }
            _ => return Err(format!("chart '{words}' is not understood")),
        }
        Ok(chart)
    }

    fn files(&self, folder: &str, files: &mut Vec<(String, String)>) {
        let mut metadata = json!({ "apiVersion": "v2", "name": self.name, "version": self.version });
        if let Some(sub) = &self.subchart {
            metadata["dependencies"] =
                json!([{ "name": sub.name, "version": sub.version, "condition": "subchart.enabled" }]);
            sub.files(&format!("{folder}/charts/{}", sub.name), files);
        }
        files.push((format!("{folder}/Chart.yaml"), metadata.to_string()));
        for (kind, trees) in [("templates/o", &self.objects), ("templates/h", &self.hooks), ("crds/c", &self.crds)] {
            for (at, tree) in trees.iter().enumerate() {
                files.push((format!("{folder}/{kind}{at}.yaml"), format!("{tree}\n")));
            }
        }
    }

    /// Packs it as `helm package` does.
    pub fn package(&self) -> Vec<u8> {
        if self.is_broken {
            return b"this is no chart".to_vec();
        }
        let mut files = Vec::new();
        self.files(&self.name, &mut files);
        // Chart.yaml of the chart itself comes first.
        files.sort_by_key(|(path, _)| path.matches('/').count());
        let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        for (path, content) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            archive.append_data(&mut header, path, content.as_bytes()).unwrap();
        }
        let mut packed = archive.into_inner().unwrap();
        packed.flush().unwrap();
        packed.finish().unwrap()
    }

    /// The index of a repository that has it alone.
    pub fn index(&self, url: &str) -> String {
        let version = json!({ "apiVersion": "v2", "name": self.name, "version": self.version, "urls": [url],
                              "created": "2024-01-02T03:04:05Z" });
        json!({ "apiVersion": "v1", "generated": "2024-01-02T03:04:05Z", "entries": { self.name.clone(): [version] } })
            .to_string()
    }

    /// Makes a record of Helm's storage.
    pub fn record(&self, place: (&str, &str), version: i64, status: &str, values: &Map<String, Value>) -> Release {
        let (namespace, name) = place;
        let source = |kind: &str, at: usize| format!("{}/templates/{kind}{at}.yaml", self.name);
        let manifests: Vec<String> = self
            .objects
            .iter()
            .enumerate()
            .map(|(at, tree)| format!("---\n# Source: {}\n{tree}\n", source("o", at)))
            .collect();
        let hook = |(at, tree): (usize, &Value)| {
            let events = tree["metadata"]["annotations"]["helm.sh/hook"].as_str().unwrap_or_default();
            json!({ "name": tree["metadata"]["name"], "kind": tree["kind"], "path": source("h", at),
                    "manifest": tree.to_string(), "events": events.split(',').collect::<Vec<_>>() })
        };
        let deployed = "2024-01-02T03:04:05Z";
        let record = json!({
            "name": name, "namespace": namespace, "version": version, "config": values, "apply_method": "ssa",
            "info": { "status": status, "first_deployed": deployed, "last_deployed": deployed, "description": "" },
            "chart": { "metadata": { "name": self.name, "version": self.version, "apiVersion": "v2" } },
            "manifest": manifests.concat(), "hooks": self.hooks.iter().enumerate().map(hook).collect::<Vec<_>>(),
        });
        // A record is read from its text, since it keeps the chart's own.
        serde_json::from_str(&record.to_string()).unwrap()
    }
}
