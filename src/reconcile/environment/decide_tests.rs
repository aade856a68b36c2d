//! Decisions as tables.

use serde_json::json;

use super::*;

fn id(name: &str) -> ObjectId {
    ObjectId { group: String::new(), kind: "ConfigMap".into(), namespace: "n".into(), name: name.into() }
}

fn ids(names: &[&str]) -> BTreeSet<ObjectId> {
    names.iter().map(|name| id(name)).collect()
}

fn inputs(artifact: &str, generation: i64) -> Inputs {
    Inputs { artifact: artifact.into(), generation }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).expect("in range")
}

fn last(unsettled: &[&str], unwatched: &[&str], succeeded: bool) -> LastRun {
    LastRun {
        inputs: inputs("a", 1),
        hashes: Arc::default(),
        unsettled: ids(unsettled),
        unwatched: ids(unwatched),
        succeeded,
        at: at(0),
    }
}

#[test]
fn new_inputs_and_requests_apply_all_and_no_change_applies_nothing() {
    let good = last(&[], &[], true);
    let failed = last(&["x"], &[], false);
    let unwatched = last(&[], &["w"], true);
    let broken_file = last(&[], &[], false);
    let (same, revision, generation) = (inputs("a", 1), inputs("b", 1), inputs("a", 2));
    let none = ids(&[]);
    let drift = ids(&["d"]);
    let rows = [
        ("first run", &same, None, &none, false, false, Plan::All),
        ("new revision", &revision, Some(&good), &none, false, false, Plan::Changed(ids(&[]))),
        ("new revision after a failure", &revision, Some(&failed), &none, false, false, Plan::All),
        ("new revision, asked for", &revision, Some(&good), &none, true, false, Plan::All),
        ("new revision and more", &revision, Some(&unwatched), &drift, false, false, Plan::Changed(ids(&["d", "w"]))),
        ("new generation", &generation, Some(&good), &none, false, false, Plan::All),
        ("asked for", &same, Some(&good), &none, true, false, Plan::All),
        ("nothing changed", &same, Some(&good), &none, false, false, Plan::Nothing),
        ("nothing changed, interval over", &same, Some(&good), &none, false, true, Plan::Nothing),
        ("drift", &same, Some(&good), &drift, false, false, Plan::Only(ids(&["d"]))),
        ("retry", &same, Some(&failed), &none, false, false, Plan::Only(ids(&["x"]))),
        ("retry and drift", &same, Some(&failed), &drift, false, false, Plan::Only(ids(&["d", "x"]))),
        ("unwatched before the interval", &same, Some(&unwatched), &none, false, false, Plan::Nothing),
        ("unwatched at the interval", &same, Some(&unwatched), &none, false, true, Plan::Only(ids(&["w"]))),
        ("broken file", &same, Some(&broken_file), &none, false, true, Plan::Only(ids(&[]))),
    ];
    for (name, inputs, last, drifted, is_requested, is_due, expected) in rows {
        let view = View { inputs, last, drifted, is_requested, is_due };
        assert_eq!(plan(&view), expected, "{name}");
    }
}

#[test]
fn what_is_not_wanted_any_more_is_stale_unless_something_could_not_be_read() {
    let entry = |name: &str| ResourceRef { id: format!("n_{name}__ConfigMap"), v: "v1".into() };
    let before = [entry("a"), entry("b"), ResourceRef { id: "damaged".into(), v: "v1".into() }];
    let wanted = HashSet::from([id("a")]);
    assert_eq!(stale(&before, &wanted, false), [(id("b"), "v1".to_owned())]);
    assert_eq!(stale(&before, &wanted, true), []);
    assert_eq!(stale(&before, &HashSet::new(), false).len(), 2);
}

#[test]
fn the_inventory_is_in_order_and_keeps_what_is_still_tracked() {
    let secret = ObjectId { kind: "Secret".into(), ..id("s") };
    let applied = BTreeMap::from([(secret, "v1".to_owned()), (id("b"), "v1".to_owned()), (id("a"), "v1".to_owned())]);
    let kept = [
        ResourceRef { id: "n_a__ConfigMap".into(), v: "v1".into() },
        ResourceRef { id: "n_z__ConfigMap".into(), v: "v1".into() },
    ];
    let ids: Vec<_> = inventory(&applied, &kept).into_iter().map(|entry| entry.id).collect();
    assert_eq!(ids, ["n_a__ConfigMap", "n_b__ConfigMap", "n_s__Secret", "n_z__ConfigMap"]);
}

#[test]
fn deletion_follows_the_policy_and_suspension_leaves_all() {
    let rows = [
        (json!({"deletionPolicy": "Delete", "prune": false}), Farewell::Delete),
        (json!({"deletionPolicy": "WaitForTermination", "prune": false}), Farewell::DeleteAndWait),
        (json!({"deletionPolicy": "MirrorPrune", "prune": true}), Farewell::Delete),
        (json!({"deletionPolicy": "MirrorPrune", "prune": false}), Farewell::Leave),
        (json!({"deletionPolicy": "Orphan", "prune": true}), Farewell::Leave),
        (json!({"prune": true}), Farewell::Delete),
        (json!({"prune": false}), Farewell::Leave),
        (json!({"suspend": true, "prune": true}), Farewell::Leave),
    ];
    for (spec, expected) in rows {
        let mut full = json!({"interval": "1m", "sourceRef": {"kind": "GitRepository", "name": "s"}});
        json_patch::merge(&mut full, &spec);
        let object = Kustomization::new("a", serde_json::from_value(full).expect("spec"));
        assert_eq!(farewell(&object), expected, "{spec}");
    }
}
