//! Drift: what differs, in which order it is put right, and what is said of it. What an apply would make of an object is
//! told by a stand-in for the API server that knows maps alone.

use bowline::{
    api::{HelmReleaseStatus, kustomize::IgnoreRule, meta::HELM_FIELD_MANAGER},
    cluster::{
        apply::Change,
        diff::{self, Counts, Difference, IgnoreRules},
        json_diff::Operation,
        managed_fields,
        object::{self, ObjectId},
    },
    reconcile::release::{
        drift::{
            self, plan,
            summary::{self, Corrected, Finding},
        },
        record,
        report::{Notice, Report},
    },
};
use k8s_openapi::jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::fields::{self, Fields, same};

/// The release that objects are of, as rows write what does not matter.
const RELEASE: (&str, &str) = ("<name>", "<ns>");
const ELSEWHERE: &str = "that no revision is made and nothing waited for: the tests of drift on a control plane";

/// Reads `Kind/namespace/name` or `Kind/name`, with slashes or blanks.
fn id(text: &str) -> Result<ObjectId, String> {
    let words: Vec<&str> = text.split(['/', ' ']).collect();
    let (kind, namespace, name) = match words[..] {
        [kind, namespace, name] => (kind, namespace, name),
        [kind, name] => (kind, "", name),
        _ => return Err(format!("object '{text}' is not understood")),
    };
    let group = String::new();
    Ok(ObjectId { group, kind: kind.to_owned(), namespace: namespace.to_owned(), name: name.to_owned() })
}

/// Reads `create`, `update +1 ~3 -2`, `exclude` or `none`.
fn finding(text: &str) -> Result<Finding, String> {
    let mut words = text.split(' ');
    Ok(match words.next() {
        Some("create") => Finding::Removed,
        Some("exclude") => Finding::Excluded,
        Some("none") => Finding::Unchanged,
        Some("update") => {
            let mut counts = Counts::default();
            for word in words {
                let number = |rest: &str| rest.parse().map_err(|_| format!("count '{word}'"));
                match word.split_at(1) {
                    ("+", rest) => counts.additions = number(rest)?,
                    ("~", rest) => counts.changes = number(rest)?,
                    ("-", rest) => counts.removals = number(rest)?,
                    _ => return Err(format!("count '{word}'")),
                }
            }
            Finding::Changed(counts)
        }
        _ => return Err(format!("difference '{text}' is not known")),
    })
}

fn text<'v>(of: &'v Value, key: &str) -> Result<&'v str, String> {
    of.get(key).and_then(Value::as_str).ok_or_else(|| format!("{key} of {of} is missing"))
}

/// Writes the lines about differences of the form `{type, object}`.
pub fn lines(differences: &[Value]) -> Result<String, String> {
    let read = |one: &Value| Ok::<_, String>((id(text(one, "object")?)?, finding(text(one, "type")?)?));
    let found: Vec<_> = differences.iter().map(read).collect::<Result<_, _>>()?;
    Ok(summary::lines(found.iter().map(|(id, finding)| (id, *finding))))
}

/// Writes an event as rows have it.
pub fn event(notice: &Notice) -> Value {
    let kind = if notice.is_warning { "Warning" } else { "Normal" };
    json!({ "type": kind, "reason": notice.reason, "message": notice.message })
}

pub fn report(_: &str, input: &mut Fields, expect: &mut Fields) -> Result<(), String> {
    if input.has("release") {
        return corrected(input, expect);
    }
    if let Some(objects) = input.get::<Vec<String>>("objects")? {
        let names: Vec<_> = objects.iter().map(|text| Ok(id(text)?.to_string())).collect::<Result<_, String>>()?;
        return same("text", &names, &expect.need("text")?);
    }
    let differences: Vec<Value> = input.need("diff")?;
    let told = if differences.iter().all(Value::is_string) {
        let findings: Vec<_> = differences.iter().filter_map(Value::as_str).map(finding).collect::<Result<_, _>>()?;
        summary::brief(findings)
    } else {
        let mut found = Vec::new();
        for (name, kind) in differences.iter().filter_map(Value::as_object).flatten() {
            found.push((id(name)?, finding(kind.as_str().unwrap_or_default())?));
        }
        summary::lines(found.iter().map(|(id, finding)| (id, *finding)))
    };
    same("text", told.as_str(), &expect.need::<String>("text")?)
}

fn corrected(input: &mut Fields, expect: &mut Fields) -> Result<(), String> {
    let release: String = input.need("release")?;
    let parts = release.split_once('/').and_then(|(ns, rest)| Some((ns, rest.rsplit_once(".v")?)));
    let (namespace, (name, version)) = parts.ok_or_else(|| format!("release '{release}'"))?;
    let version: i64 = version.parse().map_err(|_| format!("release '{release}'"))?;
    let mut done = Corrected { errors: input.get("errors")?.unwrap_or_default(), ..Corrected::default() };
    for change in input.get::<Vec<String>>("changes")?.unwrap_or_default() {
        let (name, word) = change.rsplit_once(' ').ok_or_else(|| format!("change '{change}'"))?;
        let known = [Change::Created, Change::Configured].into_iter().find(|one| one.to_string() == word);
        done.changes.push((id(name)?, known.ok_or_else(|| format!("change '{change}'"))?));
    }
    let object = fields::object(namespace, name, &json!({}))?;
    let current = fields::snapshot(&json!({ "namespace": namespace, "name": name, "version": version }))?;
    let mut status = HelmReleaseStatus { history: vec![current], ..HelmReleaseStatus::default() };
    let mut report = Report { object: &object, status: &mut status, now: Timestamp::UNIX_EPOCH };
    let notice = report.drift_corrected(&done);
    same("event", &notice.as_ref().map(event), &expect.given("event")?)
}

pub fn diff(_: &str, input: &mut Fields, expect: &mut Fields) -> Result<(), String> {
    if let Some(differences) = input.get::<Vec<String>>("diff")? {
        return correction(&differences, expect);
    }
    let rules: Vec<IgnoreRule> = input.get("ignore")?.unwrap_or_default();
    let rules_read = IgnoreRules::of(&rules).map_err(|error| error.to_string())?;
    let mut found = Vec::new();
    for (name, desired, live) in cases(input, &rules)? {
        found.push((name, compare(&desired, live.as_ref(), &rules_read)));
    }
    let expected: Vec<Value> = expect.need("diff")?;
    same("number of differences", &found.len(), &expected.len())?;
    for ((name, difference), expected) in found.iter().zip(&expected) {
        hold(name, difference, expected)?;
    }
    Ok(())
}

/// What is put right, and in which order.
fn correction(differences: &[String], expect: &mut Fields) -> Result<(), String> {
    let mut items: Vec<(bool, ObjectId)> = Vec::new();
    let mut applied = Vec::new();
    for text in differences {
        if let Ok(finding) = finding(text) {
            let difference = match finding {
                Finding::Removed => Difference::Missing,
                Finding::Changed(_) => Difference::Changed(Vec::new()),
                Finding::Excluded => Difference::Excluded,
                Finding::Unchanged => Difference::Equal,
            };
            applied.extend(drift::change(&difference).map(|change| change.to_string()));
        } else {
            let kind = text.split(' ').next().unwrap_or_default().to_owned();
            let (group, namespace, name) = (String::new(), "n".to_owned(), "a".to_owned());
            items.push((true, ObjectId { group, kind, namespace, name }));
        }
    }
    plan::in_order(&mut items, |(is_missing, id)| (*is_missing, id));
    let order: Vec<String> = items.into_iter().map(|(_, id)| id.kind).collect();
    if !order.is_empty() || expect.has("order") {
        same("order", &order, &expect.need("order")?)?;
    }
    if !applied.is_empty() || expect.has("applied") {
        same("applied", &applied, &expect.need("applied")?)?;
    }
    expect.elsewhere("helm_revisions", ELSEWHERE);
    expect.elsewhere("waits", ELSEWHERE);
    Ok(())
}

/// An object's name, how its release has it, and how the cluster does.
type Case = (String, Value, Option<Value>);

fn cases(input: &mut Fields, rules: &[IgnoreRule]) -> Result<Vec<Case>, String> {
    if let Some(manifest) = input.get::<String>("manifest")? {
        let trees = record::objects(&manifest).map_err(|error| error.to_string())?;
        return Ok(trees.iter().map(|tree| equal(desired(tree))).collect());
    }
    if let Some(objects) = input.get::<Vec<String>>("objects")? {
        return objects.iter().map(|text| object_case(text)).collect();
    }
    if let Some(edit) = input.get::<String>("edit")? {
        return Ok(vec![edited(&edit, &input.get::<Vec<String>>("override_managers")?.unwrap_or_default())?]);
    }
    if let Some(entries) = input.get::<Map<String, Value>>("metadata")? {
        let places: String = input.need("where")?;
        let place = |place: &str| {
            let field = if place == "label" { "labels" } else { "annotations" };
            let mut tree = config("ConfigMap", "app", &json!({ "key": "value" }));
            tree["metadata"][field] = Value::Object(entries.clone());
            let (desired, mut live) = (desired(&tree), desired(&tree));
            live["data"]["key"] = json!("changed");
            ("app".to_owned(), desired, Some(live))
        };
        let places: Vec<Case> = places.split(" or ").map(place).collect();
        // Each of the places gives the same; a row has it once.
        let differences =
            places.iter().map(|(_, desired, live)| compare(desired, live.as_ref(), &IgnoreRules::default()));
        let differences: Vec<_> = differences.collect();
        if differences.windows(2).any(|pair| pair[0] != pair[1]) {
            return Err(format!("the places differ: {differences:?}"));
        }
        return Ok(places.into_iter().take(1).collect());
    }
    if let Some(cluster) = input.get::<String>("cluster")? {
        same("cluster", cluster.as_str(), "no labels and annotations")?;
        let (name, desired, _) = equal(desired(&config("ConfigMap", "app", &json!({ "key": "value" }))));
        let mut live = desired.clone();
        let metadata = live["metadata"].as_object_mut().ok_or("metadata")?;
        metadata.retain(|key, _| key == "name" || key == "namespace");
        return Ok(vec![(name, desired, Some(live))]);
    }
    Ok(vec![ruled(rules, &input.get::<Vec<String>>("changed")?.unwrap_or_default())?])
}

fn config(kind: &str, name: &str, data: &Value) -> Value {
    let api_version = "v1";
    json!({ "apiVersion": api_version, "kind": kind, "metadata": { "name": name, "namespace": RELEASE.1 }, "data": data })
}

fn desired(tree: &Value) -> Value {
    drift::as_released(tree, RELEASE.0, RELEASE.1)
}

fn equal(desired: Value) -> Case {
    (object::name(&desired).unwrap_or_default().to_owned(), desired.clone(), Some(desired))
}

/// `Kind name`, where the name says what became of the object.
fn object_case(text: &str) -> Result<Case, String> {
    let (kind, state) = text.split_once(' ').ok_or_else(|| format!("object '{text}'"))?;
    let (name, desired, live) = equal(desired(&config(kind, state, &json!({ "key": "value" }))));
    let live = match state {
        "changed" => live.map(|mut live| {
            live["data"]["key"] = json!("changed");
            live
        }),
        "deleted" => None,
        "unchanged" => live,
        other => return Err(format!("state '{other}' is not known")),
    };
    Ok((name, desired, live))
}

/// `<manager> adds|changes|removes data.<key>`.
fn edited(edit: &str, overridden: &[String]) -> Result<Case, String> {
    let words: Vec<&str> = edit.split(' ').collect();
    let [manager, verb, path] = words[..] else { return Err(format!("edit '{edit}'")) };
    let key = path.strip_prefix("data.").ok_or_else(|| format!("edit '{edit}'"))?;
    let mut data = json!({ "key": "value" });
    if verb != "adds" {
        data[key] = json!("value");
    }
    let (name, desired, live) = equal(desired(&config("ConfigMap", "app", &data)));
    let mut live = live.ok_or("live")?;
    let mut own = json!({ "f:key": {} });
    let mut theirs = json!({});
    match verb {
        "adds" | "changes" => {
            live["data"][key] = json!("changed");
            theirs[format!("f:{key}")] = json!({});
        }
        "removes" => drop(live["data"].as_object_mut().and_then(|data| data.remove(key))),
        other => return Err(format!("verb '{other}' is not known")),
    }
    if verb != "adds" {
        own.as_object_mut().and_then(|own| own.remove(&format!("f:{key}")));
    }
    let entry = |manager: &str, operation: &str, fields: Value| json!({ "manager": manager, "operation": operation, "fieldsV1": { "f:data": fields } });
    live["metadata"]["resourceVersion"] = json!("1");
    live["metadata"]["managedFields"] =
        json!([entry(HELM_FIELD_MANAGER, "Apply", own), entry(manager, "Update", theirs)]);
    if let Some(patch) = managed_fields::give(&live, &drift::ownership(overridden).folded, HELM_FIELD_MANAGER) {
        let patch: json_patch::Patch = serde_json::from_value(patch).map_err(|error| error.to_string())?;
        json_patch::patch(&mut live, &patch).map_err(|error| error.to_string())?;
    }
    Ok((name, desired, Some(live)))
}

/// An object that the first rule means, with what was changed.
fn ruled(rules: &[IgnoreRule], changed: &[String]) -> Result<Case, String> {
    let target = rules.iter().find_map(|rule| rule.target.clone()).unwrap_or_default();
    let name = target.name.unwrap_or_else(|| "app".to_owned());
    let kind = target.kind.unwrap_or_else(|| "ConfigMap".to_owned());
    let mut tree = config(&kind, &name, &json!({}));
    for (field, selector) in [("labels", target.label_selector), ("annotations", target.annotation_selector)] {
        for (key, value) in selector.iter().flat_map(|one| one.split(',')).filter_map(|part| part.split_once('=')) {
            object::set_metadata_entry(&mut tree, field, key, value);
        }
    }
    let mut live = tree.clone();
    for pointer in changed.iter().chain([&"/data/kept".to_owned()]) {
        let value = if pointer == "/data/kept" { "kept" } else { "changed" };
        set(&mut tree, pointer, if value == "kept" { "kept" } else { "value" })?;
        set(&mut live, pointer, value)?;
    }
    Ok((name, desired(&tree), Some(desired(&live))))
}

fn set(tree: &mut Value, pointer: &str, value: &str) -> Result<(), String> {
    let mut place = tree;
    for key in pointer.split('/').skip(1) {
        if !place.is_object() {
            *place = json!({});
        }
        place = &mut place[key.replace("~1", "/").replace("~0", "~")];
    }
    *place = json!(value);
    Ok(())
}

/// What an apply makes of an object: what our entry has and the new state has not goes, all else is laid over.
fn apply(live: &Value, desired: &Value) -> Value {
    let mut applied = live.clone();
    let entries = live.pointer("/metadata/managedFields").and_then(Value::as_array);
    let own = entries.into_iter().flatten().find(|entry| entry["manager"] == HELM_FIELD_MANAGER);
    let fields = own.and_then(|own| own.pointer("/fieldsV1/f:data")).and_then(Value::as_object);
    for key in fields.into_iter().flat_map(|fields| fields.keys()).filter_map(|key| key.strip_prefix("f:")) {
        if desired["data"].get(key).is_none() {
            applied["data"].as_object_mut().and_then(|data| data.remove(key));
        }
    }
    json_patch::merge(&mut applied, desired);
    applied
}

fn compare(desired: &Value, live: Option<&Value>, rules: &IgnoreRules) -> Difference {
    match (drift::ignored(rules, desired), live) {
        (None, _) => Difference::Excluded,
        (Some(_), None) => Difference::Missing,
        (Some(ignored), Some(live)) => diff::compare(live, &apply(live, desired), &ignored),
    }
}

fn hold(name: &str, difference: &Difference, expected: &Value) -> Result<(), String> {
    let (kind, operations) = match difference {
        Difference::Missing => ("create", &[][..]),
        Difference::Changed(operations) => ("update", operations.as_slice()),
        Difference::Excluded => ("exclude", &[][..]),
        Difference::Equal => ("none", &[][..]),
    };
    for (key, value) in expected.as_object().ok_or("diff: no map")? {
        match (key.as_str(), value) {
            ("type", value) => same("type", &json!(kind), value)?,
            ("object", value) => same("object", &json!(name), value)?,
            ("patch", Value::Array(expected)) => {
                same("number of operations", &operations.len(), &expected.len())?;
                operations.iter().zip(expected).try_for_each(|(is, expected)| hold_operation(is, expected))?;
            }
            (other, _) => return Err(format!("key '{other}' is not known")),
        }
    }
    Ok(())
}

fn hold_operation(is: &Operation, expected: &Value) -> Result<(), String> {
    for (key, value) in expected.as_object().ok_or("patch: no map")? {
        match key.as_str() {
            "op" => same("op", &json!(is.op.as_str()), value)?,
            "path" => same("path", &json!(is.path), value)?,
            "old" => same("old", &json!(is.old), value)?,
            "value" | "new" => same("value", &json!(is.value), value)?,
            other => return Err(format!("key '{other}' is not known")),
        }
    }
    Ok(())
}
