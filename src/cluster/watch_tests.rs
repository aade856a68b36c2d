//! What is drift and what is not, on the state alone.

use serde_json::json;

use super::*;

const MANAGER: &str = "kustomize-controller";

fn ownership() -> Ownership {
    Ownership {
        label: "kustomize.toolkit.fluxcd.io/name",
        manager: MANAGER.to_owned(),
        folded: managed_fields::folded_managers(MANAGER, &[]),
        switches: "kustomize.toolkit.fluxcd.io/",
    }
}

fn tree(version: &str, entries: Value) -> Value {
    json!({"metadata": {"name": "a", "namespace": "n", "uid": "u", "resourceVersion": version, "managedFields": entries,
        "annotations": {"kustomize.toolkit.fluxcd.io/reconcile": "disabled", "other": "x"}}})
}

fn own(fields: Value) -> Value {
    json!({"manager": MANAGER, "operation": "Apply", "time": "t", "fieldsV1": fields})
}

fn kind() -> ServedKind {
    ServedKind {
        api: kube::core::ApiResource {
            group: String::new(),
            version: "v1".into(),
            api_version: "v1".into(),
            kind: "ConfigMap".into(),
            plural: "configmaps".into(),
        },
        namespaced: true,
        verbs: vec!["list".into(), "watch".into()],
    }
}

fn id() -> ObjectId {
    ObjectId { group: String::new(), kind: "ConfigMap".into(), namespace: "n".into(), name: "a".into() }
}

fn owner() -> Owner {
    Owner { namespace: "flux-system".into(), name: "staging".into() }
}

/// An owner that has just applied one object.
fn applied() -> (OwnedObjects, mpsc::UnboundedReceiver<Owner>) {
    let config = kube::Config::new("http://127.0.0.1:1".parse().expect("uri"));
    let client = Client::try_from(config).expect("client");
    let (owned, receiver) = OwnedObjects::new(client, ownership(), std::time::Duration::from_hours(1));
    owned.expect(&owner(), &id(), &tree("5", json!([own(json!({"f:data": {"f:x": {}}}))])));
    (owned, receiver)
}

fn bring(owned: &OwnedObjects, item: &Value, gone: bool) {
    let seen = (!gone).then(|| see("ConfigMap", item, &ownership()));
    take(&kind(), item, seen, &owned.state, &owned.drifts);
}

#[tokio::test]
async fn our_own_write_and_others_fields_are_no_drift() {
    let (owned, mut drifts) = applied();
    let ours = own(json!({"f:data": {"f:x": {}}}));
    bring(&owned, &tree("5", json!([ours])), false);
    bring(
        &owned,
        &tree("6", json!([ours, {"manager": "kubelet", "operation": "Update", "subresource": "status"}])),
        false,
    );
    assert!(drifts.try_recv().is_err());
}

#[tokio::test]
async fn a_field_that_changed_hands_is_drift_and_told_once() {
    let (owned, mut drifts) = applied();
    bring(&owned, &tree("6", json!([own(json!({"f:data": {}}))])), false);
    bring(&owned, &tree("7", json!([own(json!({"f:data": {}}))])), false);
    assert_eq!(drifts.try_recv().expect("told"), owner());
    assert!(drifts.try_recv().is_err(), "once");
    assert_eq!(owned.take_drift(&owner()), BTreeMap::from([(id(), Drift::Edited)]));
    assert!(owned.take_drift(&owner()).is_empty());
}

#[tokio::test]
async fn fields_that_kubectl_adds_are_drift() {
    let (owned, mut drifts) = applied();
    let ours = own(json!({"f:data": {"f:x": {}}}));
    bring(&owned, &tree("6", json!([ours, {"manager": "kubectl-edit", "operation": "Update"}])), false);
    assert!(drifts.try_recv().is_ok());
}

#[tokio::test]
async fn a_deletion_is_drift_and_an_older_event_is_not() {
    let (owned, mut drifts) = applied();
    bring(&owned, &tree("4", json!([])), true);
    assert!(drifts.try_recv().is_err(), "older than the write");
    bring(&owned, &tree("6", json!([])), true);
    assert!(drifts.try_recv().is_ok());
    assert_eq!(owned.take_drift(&owner()), BTreeMap::from([(id(), Drift::Deleted)]));
}

#[tokio::test]
async fn nothing_is_drift_while_the_owner_writes_and_all_is_compared_afterwards() {
    let (owned, mut drifts) = applied();
    let writing = owned.writing(&owner());
    bring(&owned, &tree("6", json!([own(json!({"f:data": {}}))])), false);
    assert!(drifts.try_recv().is_err());
    drop(writing);
    assert!(drifts.try_recv().is_ok());
    let writing = owned.writing(&owner());
    bring(&owned, &tree("7", json!([own(json!({"f:data": {"f:y": {}}}))])), false);
    owned.expect(&owner(), &id(), &tree("7", json!([own(json!({"f:data": {"f:y": {}}}))])));
    drop(writing);
    assert!(drifts.try_recv().is_err(), "the write explains it");
}

#[tokio::test]
async fn what_a_list_does_not_hold_any_more_is_drift() {
    let (owned, mut drifts) = applied();
    lock(&owned.state).replace_kind(&kind(), Vec::new(), &owned.drifts);
    assert!(drifts.try_recv().is_ok());
}

#[tokio::test]
async fn an_owner_that_is_forgotten_expects_nothing() {
    let (owned, mut drifts) = applied();
    owned.forget(&owner());
    bring(&owned, &tree("6", json!([])), true);
    assert!(drifts.try_recv().is_err());
    assert!(lock(&owned.state).owners.is_empty());
}

#[test]
fn switches_alone_are_remembered() {
    let seen = see("ConfigMap", &tree("1", json!([])), &ownership());
    assert!(object::has_switch(&seen.switches, "kustomize.toolkit.fluxcd.io/reconcile", "disabled"));
    assert_eq!(seen.switches.pointer("/metadata/annotations/other"), None);
}

#[tokio::test]
async fn what_was_taken_is_drift_again_when_it_changes_again() {
    let (owned, mut drifts) = applied();
    let edited = |version, fields| tree(version, json!([own(json!({ "f:data": fields }))]));
    bring(&owned, &edited("6", json!({})), false);
    assert!(drifts.try_recv().is_ok());
    owned.take_drift(&owner());
    bring(&owned, &edited("7", json!({})), false);
    assert!(drifts.try_recv().is_err(), "as it was taken");
    bring(&owned, &edited("8", json!({ "f:y": {} })), false);
    assert!(drifts.try_recv().is_ok());
    owned.take_drift(&owner());
    bring(&owned, &tree("9", json!([])), true);
    assert_eq!(owned.take_drift(&owner()), BTreeMap::from([(id(), Drift::Deleted)]));
    bring(&owned, &edited("10", json!({})), false);
    assert_eq!(owned.take_drift(&owner()), BTreeMap::from([(id(), Drift::Edited)]), "it is back");
}

#[tokio::test]
async fn an_object_that_is_attended_closely_is_told_of_at_every_write() {
    let (owned, mut drifts) = applied();
    let with = |version, other: &str| {
        let own = own(json!({ "f:data": { "f:x": {} } }));
        tree(version, json!([own, { "manager": other, "operation": "Update" }]))
    };
    owned.attend_closely(&owner(), &id(), true);
    bring(&owned, &with("6", "a"), false);
    assert!(drifts.try_recv().is_ok());
    owned.take_drift(&owner());
    bring(&owned, &with("7", "b"), false);
    assert!(drifts.try_recv().is_ok());
    owned.take_drift(&owner());
    owned.attend_closely(&owner(), &id(), false);
    bring(&owned, &with("8", "c"), false);
    assert!(drifts.try_recv().is_err());
}

#[test]
fn any_write_of_a_secret_whose_data_nobody_owns_is_told() {
    let of = |version, fields: Value| see("Secret", &tree(version, json!([own(fields)])), &ownership()).mark;
    assert_ne!(of("1", json!({ "f:type": {} })), of("2", json!({ "f:type": {} })));
    assert_eq!(of("1", json!({ "f:data": {} })), of("2", json!({ "f:data": {} })));
}

#[tokio::test]
async fn what_is_adopted_is_drift_from_its_next_change_on() {
    let (owned, mut drifts) = applied();
    owned.forget(&owner());
    let found = |version, fields| tree(version, json!([own(json!({ "f:data": fields }))]));
    bring(&owned, &found("6", json!({})), false);
    owned.adopt(&owner(), &id());
    bring(&owned, &found("7", json!({})), false);
    assert!(drifts.try_recv().is_err());
    bring(&owned, &found("8", json!({ "f:x": {} })), false);
    assert!(drifts.try_recv().is_ok());
}

#[tokio::test]
async fn a_switch_that_is_turned_is_drift() {
    let (owned, mut drifts) = applied();
    let mut tree = tree("6", json!([own(json!({ "f:data": { "f:x": {} } }))]));
    tree["metadata"]["annotations"] = json!({});
    bring(&owned, &tree, false);
    assert!(drifts.try_recv().is_ok());
}

#[tokio::test]
async fn only_the_objects_that_are_kept_are_expected() {
    let (owned, mut drifts) = applied();
    owned.keep_only(&owner(), &HashSet::from([id()]));
    assert_eq!(lock(&owned.state).owners[&owner()].objects.len(), 1);
    owned.keep_only(&owner(), &HashSet::new());
    bring(&owned, &tree("6", json!([])), true);
    assert!(drifts.try_recv().is_err());
    assert!(lock(&owned.state).objects.is_empty());
}
