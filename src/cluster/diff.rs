//! What differs between an object as it is and as an apply would leave it, as Flux's drift detection sees it: labels and
//! annotations that an apply would add or change, and all else but metadata and status.

use serde_json::Value;

use super::{
    json_diff::{self, Op, Operation},
    object::ObjectId,
    selector::{Selection, SelectorError},
};
use crate::api::kustomize::IgnoreRule;

/// What an apply of an object would do.
#[derive(Clone, Debug, PartialEq)]
pub enum Difference {
    /// It would make the object.
    Missing,
    /// It would change the object.
    Changed(Vec<Operation>),
    /// It would do nothing.
    Equal,
    /// The object is left out of the comparison, by its own wish or by a rule.
    Excluded,
}

/// Rules for fields whose drift is left alone.
#[derive(Debug, Default)]
pub struct IgnoreRules {
    rules: Vec<(Option<Selection>, Vec<String>)>,
}

impl IgnoreRules {
    /// Reads the rules of a spec.
    pub fn of(rules: &[IgnoreRule]) -> Result<Self, SelectorError> {
        let read = |rule: &IgnoreRule| Ok((rule.target.as_ref().map(Selection::of).transpose()?, rule.paths.clone()));
        Ok(Self { rules: rules.iter().map(read).collect::<Result<_, _>>()? })
    }

    /// Returns the pointers to the fields of an object that are left alone; an empty one means all of it.
    pub fn paths(&self, desired: &Value) -> Vec<&str> {
        let selects = |selection: &Option<Selection>| selection.as_ref().is_none_or(|one| one.selects(desired));
        let rules = self.rules.iter().filter(|(selection, _)| selects(selection));
        rules.flat_map(|(_, paths)| paths.iter().map(String::as_str)).collect()
    }
}

/// Compares an object as it is with what a dry-run made of it, without the fields that `ignored` points to.
pub fn compare(live: &Value, dry_run: &Value, ignored: &[&str]) -> Difference {
    let (mut live, mut dry_run) = (live.clone(), dry_run.clone());
    for pointer in ignored {
        json_diff::remove(&mut live, pointer);
        json_diff::remove(&mut dry_run, pointer);
    }
    let mut operations = Vec::new();
    for field in ["annotations", "labels"] {
        let pointer = format!("/metadata/{field}");
        match (live.pointer(&pointer), dry_run.pointer(&pointer)) {
            (Some(old), Some(new)) => json_diff::diff(pointer, old, new, &mut operations),
            (None, Some(new)) => {
                operations.push(Operation { op: Op::Add, path: pointer, old: None, value: Some(new.clone()) });
            }
            (_, None) => {}
        }
    }
    // Others may put labels and annotations on any object.
    operations.retain(|operation| operation.op != Op::Remove);
    for tree in [&mut live, &mut dry_run] {
        if let Value::Object(fields) = tree {
            fields.remove("metadata");
            fields.remove("status");
        }
    }
    operations.extend(json_diff::compare(&live, &dry_run));
    if operations.is_empty() { Difference::Equal } else { Difference::Changed(operations) }
}

/// Gives the lists back to a release that fields are in which the API server found wrong, as `spec.ports[1].name`, where
/// the object has others than the release. Lists with fields that are left alone stay.
pub fn lists(live: &Value, desired: &Value, fields: &[&str], ignored: &[&str]) -> Vec<Operation> {
    let mut operations: Vec<Operation> = Vec::new();
    for (list, _) in fields.iter().filter_map(|field| field.split_once('[')) {
        let path = format!("/{}", list.replace('.', "/"));
        let (Some(old @ Value::Array(_)), Some(new @ Value::Array(_))) = (live.pointer(&path), desired.pointer(&path))
        else {
            continue;
        };
        let is_left_alone = ignored.iter().any(|pointer| pointer.starts_with(&path) || path.starts_with(pointer));
        if old != new && !is_left_alone && operations.iter().all(|one| one.path != path) {
            operations.push(Operation { op: Op::Replace, path, old: Some(old.clone()), value: Some(new.clone()) });
        }
    }
    operations
}

/// How many operations a change has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub additions: usize,
    pub changes: usize,
    pub removals: usize,
}

impl Counts {
    /// Counts the operations of a change.
    pub fn of(operations: &[Operation]) -> Self {
        let count = |op| operations.iter().filter(|operation| operation.op == op).count();
        Self { additions: count(Op::Add), changes: count(Op::Replace), removals: count(Op::Remove) }
    }
}

/// Writes what a change does to which fields, without a value: a value may be a secret wherever it stands.
pub fn fields(operations: &[Operation]) -> String {
    let told: Vec<_> = operations.iter().map(|one| format!("{} {}", one.op.as_str(), one.path)).collect();
    told.join(", ")
}

/// Names the managers of the fields that a change would put back, the one that wrote last first. `own` is not named.
pub fn managers_of(live: &Value, operations: &[Operation], own: &str) -> Vec<String> {
    let entries = live.pointer("/metadata/managedFields").and_then(Value::as_array);
    let text = |entry: &Value, key: &str| entry.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut found: Vec<(String, String)> = entries
        .into_iter()
        .flatten()
        .filter(|entry| text(entry, "manager") != own)
        .filter(|entry| operations.iter().any(|operation| owns(entry, live, &operation.path)))
        .map(|entry| (text(entry, "time"), text(entry, "manager")))
        .collect();
    found.sort_by(|a, b| b.cmp(a));
    let mut names: Vec<String> = found.into_iter().map(|(_, name)| name).collect();
    names.dedup();
    names
}

/// Tells whether an entry of `managedFields` holds a field, a part of it, or what it is a part of.
fn owns(entry: &Value, live: &Value, pointer: &str) -> bool {
    let Some(mut fields) = entry.get("fieldsV1") else { return false };
    let mut place = Some(live);
    for key in pointer.split('/').skip(1) {
        let key = key.replace("~1", "/").replace("~0", "~");
        // A list's item is named by its keys; which of them is meant is told by what the item holds.
        let next = if let Some(Value::Array(items)) = place {
            let item = key.parse::<usize>().ok().and_then(|at| items.get(at));
            place = item;
            item_of(fields, item)
        } else {
            place = place.and_then(|place| place.get(&key));
            fields.get(format!("f:{key}"))
        };
        match next {
            Some(next) if next.as_object().is_some_and(|next| !next.is_empty()) => fields = next,
            // A leaf of the set: the field, or an atomic one that it is a part of.
            Some(_) => return true,
            None => return false,
        }
    }
    true
}

fn item_of<'a>(fields: &'a Value, item: Option<&Value>) -> Option<&'a Value> {
    let entries = fields.as_object()?;
    let found = entries.iter().find(|(name, _)| {
        let keys = name.strip_prefix("k:").and_then(|keys| serde_json::from_str::<Value>(keys).ok());
        keys.as_ref()
            .and_then(Value::as_object)
            .is_some_and(|keys| item.is_some_and(|item| keys.iter().all(|(key, value)| item.get(key) == Some(value))))
    });
    found.map(|(_, fields)| fields)
}

/// Tells whether an object of this kind may hold secrets in any of its values.
pub fn is_secret(id: &ObjectId) -> bool {
    id.group.is_empty() && id.kind == "Secret"
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::kustomize::Selector;

    fn config_map(data: Value) -> Value {
        json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "a", "resourceVersion": "1" }, "data": data })
    }

    fn paths(difference: Difference) -> Vec<(&'static str, String)> {
        match difference {
            Difference::Changed(operations) => operations.into_iter().map(|one| (one.op.as_str(), one.path)).collect(),
            _ => Vec::new(),
        }
    }

    #[test]
    fn lists_that_cannot_be_merged_are_given_back_but_for_those_with_fields_that_are_left_alone() {
        let live = json!({ "spec": { "ports": [{ "name": "http", "port": 1 }], "args": ["a"] } });
        let desired = json!({ "spec": { "ports": [{ "name": "http", "port": 80 }], "args": ["a"] } });
        let fields = ["spec.ports[1].name", "spec.ports[0].nodePort", "spec.args[0]", "spec.type", "spec.none[0]"];
        let operations = lists(&live, &desired, &fields, &["/spec/replicas"]);
        let expected = Operation {
            op: Op::Replace,
            path: "/spec/ports".to_owned(),
            old: Some(live["spec"]["ports"].clone()),
            value: Some(desired["spec"]["ports"].clone()),
        };
        assert_eq!(operations, [expected]);
        for ignored in ["/spec", "/spec/ports", "/spec/ports/0/port"] {
            assert_eq!(lists(&live, &desired, &fields, &[ignored]), [], "{ignored}");
        }
    }

    #[test]
    fn status_and_most_of_metadata_are_no_difference() {
        let mut live = config_map(json!({ "k": "v" }));
        let dry_run = live.clone();
        live["status"] = json!({ "x": 1 });
        live["metadata"]["resourceVersion"] = json!("2");
        live["metadata"]["labels"] = json!({ "of": "others" });
        assert_eq!(compare(&live, &dry_run, &[]), Difference::Equal);
    }

    #[test]
    fn labels_and_annotations_are_put_back_and_never_taken_away() {
        let live = config_map(json!({}));
        let mut dry_run = live.clone();
        dry_run["metadata"]["labels"] = json!({ "a": "b" });
        dry_run["metadata"]["annotations"] = json!({ "c": "d" });
        let expected = [("add", "/metadata/annotations".to_owned()), ("add", "/metadata/labels".to_owned())];
        assert_eq!(paths(compare(&live, &dry_run, &[])), expected);
        let mut more = dry_run.clone();
        more["metadata"]["labels"] = json!({ "a": "x", "e": "f" });
        dry_run["metadata"]["labels"]["long"] = json!("x".repeat(80));
        more["metadata"]["labels"]["long"] = json!("x".repeat(80));
        assert_eq!(paths(compare(&more, &dry_run, &[])), [("replace", "/metadata/labels/a".to_owned())]);
    }

    #[test]
    fn what_a_rule_points_to_is_no_difference() {
        let rules = [
            IgnoreRule { paths: vec!["/data/k".to_owned()], target: None },
            IgnoreRule {
                paths: vec![String::new()],
                target: Some(Selector { name: Some("b".to_owned()), ..Selector::default() }),
            },
        ];
        let rules = IgnoreRules::of(&rules).unwrap();
        let (live, dry_run) = (config_map(json!({ "k": "x", "l": "x" })), config_map(json!({ "k": "v", "l": "v" })));
        assert_eq!(rules.paths(&dry_run), ["/data/k"]);
        assert_eq!(paths(compare(&live, &dry_run, &rules.paths(&dry_run))), [("replace", "/data/l".to_owned())]);
        let other = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "b" } });
        assert_eq!(rules.paths(&other), ["/data/k", ""]);
    }

    #[test]
    fn the_manager_of_a_changed_field_is_named() {
        let live = json!({
            "metadata": { "managedFields": [
                { "manager": "hpa", "operation": "Update", "time": "2026-01-02T00:00:00Z",
                  "fieldsV1": { "f:spec": { "f:replicas": {} } } },
                { "manager": "injector", "operation": "Update", "time": "2026-01-03T00:00:00Z",
                  "fieldsV1": { "f:spec": { "f:containers": { "k:{\"name\":\"app\"}": { "f:image": {} } } } } },
                { "manager": "helm-controller", "operation": "Apply", "time": "2026-01-04T00:00:00Z",
                  "fieldsV1": { "f:spec": { "f:replicas": {} } } },
            ] },
            "spec": { "replicas": 3, "containers": [{ "name": "x" }, { "name": "app", "image": "i" }] },
        });
        let change =
            |path: &str| [Operation { op: Op::Replace, path: path.to_owned(), old: None, value: Some(json!(1)) }];
        let rows = [
            ("/spec/replicas", vec!["hpa"]),
            ("/spec/containers/1/image", vec!["injector"]),
            ("/spec/containers/0/image", vec![]),
            ("/spec", vec!["injector", "hpa"]),
            ("/data", vec![]),
        ];
        for (path, expected) in rows {
            assert_eq!(managers_of(&live, &change(path), "helm-controller"), expected, "{path}");
        }
    }

    #[test]
    fn the_fields_of_a_change_are_told_without_their_values() {
        let kept = "x".repeat(80);
        let live = config_map(json!({ "k": "secret", "kept": kept }));
        let dry_run = config_map(json!({ "k": "v", "l": "w", "kept": kept }));
        let Difference::Changed(operations) = compare(&live, &dry_run, &[]) else { panic!("changed") };
        assert_eq!(Counts::of(&operations), Counts { additions: 1, changes: 1, removals: 0 });
        assert_eq!(fields(&operations), "replace /data/k, add /data/l");
    }
}
