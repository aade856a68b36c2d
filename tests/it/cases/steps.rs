//! The steps of a case, and how each is carried out; `tests/cases/README.md` says what they mean.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    io::{Read as _, Write as _},
    path::Path,
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use kube::{Client, api::DynamicObject};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::path::{text, values};
use crate::harness::{
    Cluster,
    objects::{self, EVENT, Kind, SECRET, condition},
};

/// How long a deletion may take.
const DELETION: Duration = Duration::from_mins(2);
/// How long an event may take to be written.
const EVENTS: Duration = Duration::from_secs(10);
/// How often it is looked at what no watch tells of.
const LOOK: Duration = Duration::from_millis(250);
/// The kinds that a case may name, and whether they are in namespaces.
const KINDS: [(&str, Kind, bool); 15] = [
    ("helmrelease", objects::HELM_RELEASE, true),
    ("helmchart", objects::HELM_CHART, true),
    ("helmrepository", objects::HELM_REPOSITORY, true),
    ("gitrepository", objects::GIT_REPOSITORY, true),
    ("ocirepository", Kind("source.toolkit.fluxcd.io", "v1", "OCIRepository"), true),
    ("deployment", objects::DEPLOYMENT, true),
    ("job", objects::JOB, true),
    ("pod", objects::POD, true),
    ("configmap", objects::CONFIG_MAP, true),
    ("secret", objects::SECRET, true),
    ("service", Kind("", "v1", "Service"), true),
    ("serviceaccount", Kind("", "v1", "ServiceAccount"), true),
    ("horizontalpodautoscaler", Kind("autoscaling", "v2", "HorizontalPodAutoscaler"), true),
    ("namespace", Kind("", "v1", "Namespace"), false),
    ("crd", Kind("apiextensions.k8s.io", "v1", "CustomResourceDefinition"), false),
];

type Held = Result<(), String>;

struct Case<'c> {
    cluster: &'c Cluster,
    client: &'c Client,
    folder: &'c Path,
    placeholders: BTreeMap<String, String>,
    namespace: String,
    remembered: BTreeMap<String, usize>,
}

/// Carries out a case in a namespace of its own; the error says which step does not hold, and what was seen.
pub async fn carry_out(
    cluster: &Cluster,
    client: &Client,
    folder: &Path,
    placeholders: &BTreeMap<String, String>,
) -> Held {
    let name = folder.file_name().and_then(|name| name.to_str()).expect("a folder has a name");
    let expect = fs::read_to_string(folder.join("expect.yaml")).expect("a case has its steps");
    let given = parsed(&expect)["namespace"].as_str().unwrap_or("${NS}").to_owned();
    let namespace = given.replace("${NS}", &format!("{name}-{}", placeholders["RUN_ID"]));
    let mut placeholders = placeholders.clone();
    placeholders.insert("NS".to_owned(), namespace.clone());
    let mut case = Case { cluster, client, folder, placeholders, namespace, remembered: BTreeMap::new() };
    let document = parsed(&case.filled(&expect));
    cluster.kubectl(&["create", "namespace", &case.namespace]);
    let mut outcome = Ok(());
    for part in ["setup", "steps"] {
        for (number, step) in document[part].as_array().into_iter().flatten().enumerate() {
            let (action, arguments) = action(step);
            let held = case.perform(&action, &arguments).await;
            if let Err(failure) = held {
                outcome = Err(format!("{part} {}, {action} {}: {failure}", number + 1, arguments["object"]));
                break;
            }
        }
        if outcome.is_err() {
            break;
        }
    }
    if outcome.is_err() {
        let _ = cluster.try_kubectl(&["delete", "helmreleases", "--all", "-n", &case.namespace, "--timeout=20s"]);
    }
    let _ = cluster.try_kubectl(&["delete", "namespace", &case.namespace, "--wait=false"]);
    outcome
}

fn parsed(text: &str) -> Value {
    helm::yaml::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// Splits a step into its action and arguments: `{action: {argument: value}}`, or `{action: main argument, ...}`.
fn action(step: &Value) -> (String, Value) {
    const MAIN: [(&str, &str); 11] = [
        ("apply", "files"),
        ("apply-shared", "files"),
        ("delete", "files"),
        ("delete-objects", "objects"),
        ("delete-namespace", "name"),
        ("sleep", "seconds"),
        ("helm-purge", "release"),
        ("wait", ""),
        ("patch", ""),
        ("annotate", ""),
        ("remember", ""),
    ];
    let fields = step.as_object().expect("a step is a map");
    let main = MAIN.iter().find(|(action, _)| fields.contains_key(*action));
    let is_action = |key: &&String| main.map_or(key.contains('-'), |(action, _)| key == action);
    let key = fields.keys().find(is_action).expect("a step has an action");
    let mut arguments = match &fields[key] {
        Value::Object(_) => fields[key].clone(),
        value => json!({ main.map_or("", |(_, argument)| argument): value }),
    };
    for (name, value) in fields.iter().filter(|(name, _)| *name != key) {
        arguments[name] = value.clone();
    }
    (key.clone(), arguments)
}

fn strings(value: &Value) -> Vec<&str> {
    match value {
        Value::String(one) => vec![one],
        many => many.as_array().into_iter().flatten().filter_map(Value::as_str).collect(),
    }
}

fn seconds(value: &Value) -> Duration {
    Duration::from_secs_f64(value.as_f64().unwrap_or_default())
}

impl Case<'_> {
    fn filled(&self, text: &str) -> String {
        self.placeholders
            .iter()
            .fold(text.to_owned(), |text, (name, value)| text.replace(&format!("${{{name}}}"), value))
    }

    fn space<'a>(&'a self, arguments: &'a Value) -> &'a str {
        arguments["namespace"].as_str().unwrap_or(&self.namespace)
    }

    async fn perform(&mut self, action: &str, arguments: &Value) -> Held {
        let object = arguments["object"].as_str().unwrap_or_default();
        let release = arguments["release"].as_str().unwrap_or_default();
        let space = self.space(arguments).to_owned();
        match action {
            "apply" => self.files(self.folder, arguments, "apply", &[]),
            "apply-shared" => self.files(&self.folder.with_file_name("_shared"), arguments, "apply", &[]),
            "delete" => self.files(self.folder, arguments, "delete", &["--ignore-not-found"]),
            "delete-objects" => self.delete(&strings(&arguments["objects"]), &space),
            "delete-namespace" => {
                let within = format!("--timeout={}s", seconds(&arguments["within"]).as_secs());
                let name = arguments["name"].as_str().unwrap_or_default();
                self.kubectl(&["delete", "namespace", name, "--ignore-not-found", &within])
            }
            "patch" => {
                let manager = arguments["field-manager"].as_str().map(|name| format!("--field-manager={name}"));
                let patch = arguments["merge"].to_string();
                let mut args = vec!["patch", object, "-n", &space, "--type=merge", "--patch", &patch];
                args.extend(manager.as_deref());
                self.kubectl(&args)
            }
            "annotate" => {
                let pairs = arguments["annotations"].as_object().expect("annotations are a map");
                let pairs: Vec<_> = pairs.iter().map(|(key, value)| format!("{key}={}", text(&[value]))).collect();
                let mut args = vec!["annotate", object, "-n", &space, "--overwrite"];
                args.extend(pairs.iter().map(String::as_str));
                self.kubectl(&args)
            }
            "sleep" => {
                sleep(seconds(&arguments["seconds"])).await;
                Ok(())
            }
            "helm-purge" => {
                let selector = format!("--selector=owner=helm,name={release}");
                self.kubectl(&["delete", "secret", "-n", &space, &selector])
            }
            "wait" => self.wait(object, arguments, &space).await,
            "assert-condition" => mismatch(&self.present(object, &space).await?, arguments["type"].as_str(), arguments),
            "assert-condition-absent" => {
                match condition(&self.present(object, &space).await?, arguments["type"].as_str().unwrap_or_default()) {
                    Some(found) => Err(format!("it is there: {found:?}")),
                    None => Ok(()),
                }
            }
            "assert-field" => is_as(&tree(&self.present(object, &space).await?), arguments),
            "assert-exists" => self.within(arguments, async || Ok(self.get(object, &space).await.is_some())).await,
            "assert-absent" => self.within(arguments, async || Ok(self.get(object, &space).await.is_none())).await,
            "assert-event" => self.event(object, arguments, &space).await,
            "assert-order" => self.order(arguments, &space).await,
            "assert-history" => self.history(release, arguments),
            "eventually-history" => {
                let until = Instant::now() + seconds(&arguments["seconds"]);
                loop {
                    match self.history(release, arguments) {
                        Err(_) if Instant::now() < until => sleep(LOOK).await,
                        held => return held,
                    }
                }
            }
            "assert-release-field" => {
                let record = self.record(release, &arguments["revision"]).await?;
                is_as(&record, arguments)
            }
            "assert-release-values" => self.release_values(release, arguments),
            "edit-release" => self.edit(release, arguments).await,
            "assert-managers" => managers(&self.present(object, &space).await?, arguments),
            "remember" => {
                let count = owned(&self.present(object, &space).await?, arguments);
                self.remembered.insert(arguments["name"].to_string(), count);
                Ok(())
            }
            "assert-less-than-remembered" => {
                let count = owned(&self.present(object, &space).await?, arguments);
                let before = self.remembered[&arguments["name"].to_string()];
                if count < before { Ok(()) } else { Err(format!("{count} fields, before it were {before}")) }
            }
            _ => panic!("{}: unknown action {action}", self.folder.display()),
        }
    }

    fn kubectl(&self, args: &[&str]) -> Held {
        self.cluster.try_kubectl(args).map(|_| ())
    }

    fn files(&self, folder: &Path, arguments: &Value, verb: &str, more: &[&str]) -> Held {
        let mut manifests = String::new();
        for file in strings(&arguments["files"]) {
            let content = fs::read_to_string(folder.join(file)).map_err(|error| format!("{file}: {error}"))?;
            let _ = write!(manifests, "---\n{}\n", self.filled(&content));
        }
        let file = tempfile::NamedTempFile::new().map_err(|error| error.to_string())?;
        fs::write(file.path(), manifests).map_err(|error| error.to_string())?;
        let path = file.path().to_str().unwrap_or_default();
        let mut args = vec![verb, "-n", &self.namespace, "-f", path];
        args.extend(more);
        self.kubectl(&args)
    }

    fn delete(&self, objects: &[&str], space: &str) -> Held {
        let within = format!("--timeout={}s", DELETION.as_secs());
        let mut args = vec!["delete", "-n", space, "--ignore-not-found", &within];
        args.extend(objects);
        self.kubectl(&args)
    }

    async fn get(&self, reference: &str, space: &str) -> Option<DynamicObject> {
        let (kind, is_namespaced, name) = kind_of(reference);
        let api = if is_namespaced { kind.api(self.client, space) } else { kind.everywhere(self.client) };
        api.get_opt(name).await.expect("an object can be read")
    }

    async fn present(&self, reference: &str, space: &str) -> Result<DynamicObject, String> {
        self.get(reference, space).await.ok_or_else(|| format!("there is no {reference}"))
    }

    async fn within(&self, arguments: &Value, look: impl AsyncFn() -> Result<bool, String>) -> Held {
        let until = Instant::now() + seconds(&arguments["within"]);
        while !look().await? {
            if Instant::now() >= until {
                return Err("it is not so".to_owned());
            }
            sleep(LOOK).await;
        }
        Ok(())
    }

    async fn wait(&self, object: &str, arguments: &Value, space: &str) -> Held {
        let (kind, _, name) = kind_of(object);
        let holds = |found: &DynamicObject| {
            let document = tree(found);
            let observed = &document["status"]["observedGeneration"];
            let conditions = arguments["conditions"].as_object();
            let fields = arguments["fields"].as_object();
            let mut problems = Vec::new();
            if arguments["observed-generation"] == true && *observed != document["metadata"]["generation"] {
                problems.push(format!("observedGeneration is {observed}"));
            }
            for (kind, wanted) in conditions.into_iter().flatten() {
                problems.extend(mismatch(found, Some(kind), wanted).err());
            }
            for (path, wanted) in fields.into_iter().flatten() {
                problems.extend(equals(&document, path, wanted).err());
            }
            problems
        };
        let seen = std::cell::RefCell::new(vec!["there is no such object".to_owned()]);
        let waiting = async {
            let mut changes = Box::pin(kube::runtime::watcher::watch_object(kind.api(self.client, space), name));
            while let Some(change) = futures::StreamExt::next(&mut changes).await {
                let problems = match change {
                    Ok(Some(found)) => holds(&found),
                    Ok(None) => vec!["there is no such object".to_owned()],
                    Err(error) => vec![error.to_string()],
                };
                let is_done = problems.is_empty();
                *seen.borrow_mut() = problems;
                if is_done {
                    return;
                }
            }
        };
        let limit = seconds(&arguments["seconds"]);
        let waited = tokio::time::timeout(limit, waiting).await;
        waited.map_err(|_| format!("not within {limit:?}: {}", seen.borrow().join("; ")))
    }

    async fn event(&self, object: &str, arguments: &Value, space: &str) -> Held {
        let (kind, _, name) = kind_of(object);
        let looked = async || {
            let list = EVENT.api(self.client, space).list(&kube::api::ListParams::default()).await;
            let list = list.map_err(|error| error.to_string())?;
            Ok(list.items.iter().any(|event| {
                let involved = &event.data["involvedObject"];
                let is_of = involved["kind"] == kind.2 && involved["name"] == name;
                is_of && event.data["type"] == arguments["type"] && event.data["reason"] == arguments["reason"]
            }))
        };
        let patience = json!({ "within": EVENTS.as_secs() });
        self.within(&patience, looked)
            .await
            .map_err(|_| format!("no event {} {}", arguments["type"], arguments["reason"]))
    }

    async fn order(&self, arguments: &Value, space: &str) -> Held {
        let path = arguments["path"].as_str().unwrap_or_default();
        let mut found = Vec::new();
        for object in strings(&arguments["objects"]) {
            found.push(text(&values(&tree(&self.present(object, space).await?), path)));
        }
        if found.iter().all(|value| !value.is_empty()) && found.is_sorted() {
            Ok(())
        } else {
            Err(found.join(" then "))
        }
    }

    fn history(&self, release: &str, wanted: &Value) -> Held {
        let said = self.cluster.try_helm(&["history", release, "-n", &self.namespace, "-o", "json"]);
        let history: Vec<Value> = match said {
            Ok(said) => serde_json::from_str(&said).map_err(|error| error.to_string())?,
            Err(said) if said.contains("release: not found") => Vec::new(),
            Err(said) => return Err(said),
        };
        let last = history.last().cloned().unwrap_or_default();
        let is_count = wanted.get("count").is_none_or(|count| *count == json!(history.len()));
        let is_least = wanted["count-min"].as_u64().is_none_or(|least| history.len() as u64 >= least);
        let is_last = |name: &str, of: &str| wanted.get(name).is_none_or(|wanted| *wanted == last[of]);
        if is_count && is_least && is_last("last-status", "status") && is_last("last-description", "description") {
            return Ok(());
        }
        let revision = |one: &Value| format!("{} {} {}", one["revision"], one["status"], one["description"]);
        Err(format!("history: {}", history.iter().map(revision).collect::<Vec<_>>().join("; ")))
    }

    async fn record_secret(&self, release: &str, revision: &Value) -> Result<DynamicObject, String> {
        let name = format!("sh.helm.release.v1.{release}.v{revision}");
        let found = SECRET.get(self.client, &self.namespace, &name).await;
        found.ok_or_else(|| format!("there is no Secret {name}"))
    }

    async fn record(&self, release: &str, revision: &Value) -> Result<Value, String> {
        let secret = self.record_secret(release, revision).await?;
        let encoded = secret.data["data"]["release"].as_str().unwrap_or_default();
        let packed = STANDARD.decode(STANDARD.decode(encoded).expect("base64")).expect("base64 in base64");
        let mut unpacked = String::new();
        GzDecoder::new(packed.as_slice()).read_to_string(&mut unpacked).expect("gzip");
        Ok(serde_json::from_str(&unpacked).expect("JSON"))
    }

    async fn edit(&self, release: &str, arguments: &Value) -> Held {
        let revision = &arguments["revision"];
        let mut record = self.record(release, revision).await?;
        for (path, value) in arguments["set"].as_object().expect("what is set is a map") {
            *record.pointer_mut(&format!("/{}", path.replace('.', "/"))).expect("the field is there") = value.clone();
        }
        let mut packer = GzEncoder::new(Vec::new(), Compression::default());
        packer.write_all(record.to_string().as_bytes()).expect("memory can be written");
        let packed = STANDARD.encode(STANDARD.encode(packer.finish().expect("memory can be written")));
        let mut patch = json!({ "data": { "release": packed } });
        if let Some(status) = arguments.get("label-status") {
            patch["metadata"] = json!({ "labels": { "status": status } });
        }
        let name = format!("secret/sh.helm.release.v1.{release}.v{revision}");
        self.kubectl(&["patch", &name, "-n", &self.namespace, "--type=merge", "--patch", &patch.to_string()])
    }

    fn release_values(&self, release: &str, arguments: &Value) -> Held {
        let file = self.folder.join(arguments["equals-file"].as_str().unwrap_or_default());
        let wanted = parsed(&self.filled(&fs::read_to_string(file).map_err(|error| error.to_string())?));
        let said = self.cluster.try_helm(&["get", "values", release, "-n", &self.namespace, "-o", "json"])?;
        let found: Value = serde_json::from_str(&said).map_err(|error| error.to_string())?;
        if found == wanted { Ok(()) } else { Err(format!("values are {found}, not {wanted}")) }
    }
}

fn kind_of(reference: &str) -> (Kind, bool, &str) {
    let (kind, name) = reference.split_once('/').unwrap_or_else(|| panic!("{reference} is not kind/name"));
    let known = KINDS.iter().find(|(known, ..)| *known == kind);
    let (_, kind, is_namespaced) = known.unwrap_or_else(|| panic!("the kind of {reference} is not in the table"));
    (*kind, *is_namespaced, name)
}

fn tree(object: &DynamicObject) -> Value {
    serde_json::to_value(object).expect("an object is JSON")
}

/// Holds a condition against what is wanted of it.
fn mismatch(object: &DynamicObject, kind: Option<&str>, wanted: &Value) -> Held {
    let kind = kind.unwrap_or_default();
    let Some(found) = condition(object, kind) else { return Err(format!("{kind} is not there")) };
    let is = |name: &str, found: &str| wanted[name].as_str().is_none_or(|wanted| wanted == found);
    let says = wanted["message-contains"].as_str().is_none_or(|part| found.message.contains(part));
    if is("status", &found.status) && is("reason", &found.reason) && says {
        return Ok(());
    }
    Err(format!("{kind} is {} {}: {}", found.status, found.reason, found.message))
}

/// A text is compared with what kubectl prints, null with absence, anything else with the one value as it is.
fn equals(document: &Value, path: &str, wanted: &Value) -> Held {
    let found = values(document, path);
    let is_equal = match wanted {
        Value::Null => found.is_empty(),
        Value::String(wanted) => text(&found) == *wanted,
        other => found.len() == 1 && number(found[0]) == number(other),
    };
    if is_equal { Ok(()) } else { Err(format!("{path} is {:?}, not {wanted}", text(&found))) }
}

/// One text for a number, whether it was read as an integer or as a float.
fn number(value: &Value) -> String {
    value.as_f64().map_or_else(|| value.to_string(), |number| number.to_string())
}

fn is_as(document: &Value, arguments: &Value) -> Held {
    let path = arguments["path"].as_str().unwrap_or_default();
    let found = values(document, path);
    if let Some(wanted) = arguments.get("equals") {
        return equals(document, path, wanted);
    }
    let items = match found.as_slice() {
        [Value::Array(items)] => items.iter().collect(),
        many => many.to_vec(),
    };
    let holds = if let Some(pattern) = arguments["matches"].as_str() {
        !found.is_empty() && matches(pattern, &text(&found))
    } else if let Some(least) = arguments["count-min"].as_u64() {
        items.len() as u64 >= least
    } else if let Some(part) = arguments["any-contains"].as_str() {
        items.iter().any(|item| text(&[item]).contains(part))
    } else {
        found.is_empty() == (arguments["absent"] == true)
    };
    if holds { Ok(()) } else { Err(format!("{path} is {:?}", text(&found))) }
}

fn managers(object: &DynamicObject, arguments: &Value) -> Held {
    let pattern = arguments["manager-matches"].as_str().unwrap_or_default();
    let entries = object.metadata.managed_fields.iter().flatten();
    let names: Vec<_> = entries
        .map(|entry| (entry.manager.clone().unwrap_or_default(), entry.operation.clone().unwrap_or_default()))
        .collect();
    let operation = arguments["operation"].as_str();
    let is_meant = |(manager, of): &&(String, String)| {
        matches(pattern, manager) && operation.is_none_or(|operation| operation == of)
    };
    let count = names.iter().filter(is_meant).count() as u64;
    let is_within = arguments["min"].as_u64().is_none_or(|min| count >= min)
        && arguments["max"].as_u64().is_none_or(|max| count <= max);
    if is_within { Ok(()) } else { Err(format!("{count} of {names:?}")) }
}

fn matches(pattern: &str, text: &str) -> bool {
    regex::Regex::new(pattern).expect("a case has a regular expression").is_match(text)
}

/// Counts the leaf fields that managers own.
fn owned(object: &DynamicObject, arguments: &Value) -> usize {
    fn leaves(fields: &Value) -> usize {
        let fields = fields.as_object().into_iter().flatten();
        fields
            .map(|(_, child)| if child.as_object().is_some_and(serde_json::Map::is_empty) { 1 } else { leaves(child) })
            .sum()
    }
    let pattern = arguments["count-managed-fields-of"].as_str().unwrap_or_default();
    let entries = object.metadata.managed_fields.iter().flatten();
    let meant = entries.filter(|entry| matches(pattern, entry.manager.as_deref().unwrap_or_default()));
    meant.map(|entry| entry.fields_v1.as_ref().map_or(0, |fields| leaves(&fields.0))).sum()
}
