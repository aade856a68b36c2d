//! The rules of strategic merge against those that the API server publishes.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    fs,
    path::Path,
};

use serde_json::{Map, Value};

use crate::harness::Cluster;

const FILE: &str = "src/cluster/strategic_merge/rules.txt";
/// The schema within a definition is patched as JSON by Helm, and kustomize knows no keys in it.
const LEFT_OUT: &str = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps";

/// `core.v1.PodSpec` for the name with its package's path.
fn short(name: &str) -> &str {
    name.rmatch_indices('.').nth(2).map_or(name, |(at, _)| &name[at + 1..])
}

/// The definition that a field's value, or its items, has.
fn of(schema: &Value) -> Option<&str> {
    match schema["$ref"].as_str() {
        Some(reference) => reference.rsplit('/').next(),
        None => schema.get("items").and_then(of),
    }
}

fn rule(schema: &Value) -> Option<String> {
    let strategy = schema["x-kubernetes-patch-strategy"].as_str();
    let key = schema["x-kubernetes-patch-merge-key"].as_str();
    let keys: Vec<&str> =
        schema["x-kubernetes-list-map-keys"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let mut text = format!("@{}", strategy?.replace(',', "+"));
    if let Some(key) = key {
        write!(text, "/{key}").unwrap();
        if !keys.is_empty() && keys != [key] {
            write!(text, "/{}", keys.join("+")).unwrap();
        }
    }
    Some(text)
}

struct Definitions(Map<String, Value>);

impl Definitions {
    fn fields(&self, name: &str) -> impl Iterator<Item = (&String, &Value)> {
        self.0[name]["properties"].as_object().into_iter().flatten()
    }

    /// The definitions that have a rule or lead to one.
    fn ruled(&self) -> BTreeSet<&str> {
        let mut ruled = BTreeSet::new();
        loop {
            let before = ruled.len();
            for name in self.0.keys().filter(|name| *name != LEFT_OUT) {
                if self
                    .fields(name)
                    .any(|(_, field)| rule(field).is_some() || of(field).is_some_and(|of| ruled.contains(of)))
                {
                    ruled.insert(name.as_str());
                }
            }
            if ruled.len() == before {
                return ruled;
            }
        }
    }

    /// The newest version's definition of each kind, by group and kind; lists of objects are no kinds of objects.
    fn kinds(&self) -> BTreeMap<(&str, &str), (&str, &str)> {
        let mut kinds = BTreeMap::new();
        for (name, schema) in &self.0 {
            for kind in schema["x-kubernetes-group-version-kind"].as_array().into_iter().flatten() {
                let [group, version, kind] = ["group", "version", "kind"].map(|key| kind[key].as_str().unwrap());
                let is_list = kind.ends_with("List") && schema["properties"].get("items").is_some();
                let known = kinds.get(&(group, kind)).is_some_and(|(known, _)| *known > version);
                if !is_list && !known {
                    kinds.insert((group, kind), (version, name.as_str()));
                }
            }
        }
        kinds
    }

    fn rules(&self) -> String {
        let ruled = self.ruled();
        let mut text = String::new();
        let mut reached = BTreeMap::new();
        for ((group, kind), (_, name)) in self.kinds().into_iter().filter(|(_, (_, name))| ruled.contains(name)) {
            let dot = if group.is_empty() { "" } else { "." };
            writeln!(text, "{kind}{dot}{group} = {}", short(name)).unwrap();
            let mut ahead = vec![name];
            while let Some(name) = ahead.pop() {
                if reached.insert(short(name), name).is_none() {
                    ahead.extend(self.fields(name).filter_map(|(_, field)| of(field)).filter(|of| ruled.contains(of)));
                }
            }
        }
        for (short_name, name) in reached {
            write!(text, "\n{short_name}:").unwrap();
            for (field, schema) in self.fields(name) {
                let of = of(schema).filter(|of| ruled.contains(of));
                if of.is_some() || rule(schema).is_some() {
                    let of = of.map(|of| format!("={}", short(of))).unwrap_or_default();
                    write!(text, " {field}{of}{}", rule(schema).unwrap_or_default()).unwrap();
                }
            }
        }
        text + "\n"
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rules_are_those_of_the_api_server() {
    let client = Cluster::shared().client().await;
    let request = http::Request::get("/openapi/v2").header("Accept", "application/json").body(Vec::new()).unwrap();
    let document: Value = serde_json::from_str(&client.request_text(request).await.unwrap()).unwrap();
    let Value::Object(definitions) = document["definitions"].clone() else { panic!("no definitions") };
    let expected = Definitions(definitions).rules();
    let written = std::env::temp_dir().join("merge-rules.txt");
    let ours = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(FILE)).unwrap();
    if ours != expected {
        fs::write(&written, expected).unwrap();
        panic!("{FILE} is not what the API server publishes; that is in {}", written.display());
    }
}
