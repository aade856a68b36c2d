use super::*;

fn deployment(last: &Value, wanted: &Value, live: &Value) -> Value {
    let full = |spec: &Value| json!({ "spec": { "template": { "spec": spec } } });
    let of = Type::of_kind("apps", "Deployment").expect("Deployment");
    let patch = patch(of, &full(last), &full(wanted), &full(live)).expect("patch");
    patch.pointer("/spec/template/spec").cloned().unwrap_or(Value::Null)
}

fn container(name: &str, image: &str) -> Value {
    json!({ "name": name, "image": image })
}

#[test]
fn nothing_is_sent_when_nothing_differs() {
    let wanted = json!({ "containers": [container("a", "1")], "volumes": [{ "name": "v", "emptyDir": {} }] });
    let live = json!({ "containers": [{ "name": "a", "image": "1", "imagePullPolicy": "Always" }],
        "volumes": [{ "name": "v", "emptyDir": {} }], "dnsPolicy": "ClusterFirst" });
    assert_eq!(deployment(&wanted, &wanted, &live), Value::Null);
}

#[test]
fn what_others_added_stays_and_what_the_manifest_dropped_goes() {
    let last = json!({ "hostNetwork": true, "nodeSelector": { "a": "1", "b": "2" } });
    let wanted = json!({ "nodeSelector": { "a": "1" } });
    let live =
        json!({ "hostNetwork": true, "nodeSelector": { "a": "1", "b": "2", "theirs": "3" }, "dnsPolicy": "Default" });
    assert_eq!(deployment(&last, &wanted, &live), json!({ "hostNetwork": null, "nodeSelector": { "b": null } }));
}

#[test]
fn what_others_changed_is_put_back() {
    let wanted = json!({ "containers": [container("a", "1"), container("b", "1")] });
    let live = json!({ "containers": [container("a", "1"), container("b", "2")] });
    assert_eq!(
        deployment(&wanted, &wanted, &live),
        json!({ "containers": [container("b", "1")], "$setElementOrder/containers": [{ "name": "a" }, { "name": "b" }] })
    );
}

#[test]
fn an_item_that_is_gone_is_deleted_by_its_key() {
    let last = json!({ "containers": [container("a", "1"), container("b", "1")] });
    let wanted = json!({ "containers": [container("a", "2")] });
    let live = json!({ "containers": [container("a", "1"), container("b", "1"), container("injected", "9")] });
    assert_eq!(
        deployment(&last, &wanted, &live),
        json!({ "containers": [{ "name": "b", "$patch": "delete" }, container("a", "2")],
            "$setElementOrder/containers": [{ "name": "a" }] })
    );
}

#[test]
fn a_removal_and_a_change_within_one_item_are_one_patch() {
    let last =
        json!({ "containers": [{ "name": "a", "image": "1", "tty": true, "env": [{ "name": "X", "value": "1" }] }] });
    let wanted = json!({ "containers": [container("a", "2")] });
    let patch = deployment(&last, &wanted, &last);
    assert_eq!(patch["containers"], json!([{ "name": "a", "image": "2", "tty": null, "env": null }]));
}

#[test]
fn a_new_list_is_set_as_it_is() {
    let wanted = json!({ "initContainers": [container("z", "1"), container("a", "1")] });
    assert_eq!(deployment(&json!({}), &wanted, &json!({})), wanted);
}

#[test]
fn the_source_of_a_volume_is_replaced_and_not_merged() {
    let last = json!({ "volumes": [{ "name": "v", "emptyDir": {} }] });
    let wanted = json!({ "volumes": [{ "name": "v", "configMap": { "name": "c" } }] });
    assert_eq!(
        deployment(&last, &wanted, &last)["volumes"],
        json!([{ "name": "v", "emptyDir": null, "configMap": { "name": "c" }, "$retainKeys": ["configMap", "name"] }])
    );
}

#[test]
fn lists_without_a_rule_are_replaced() {
    let last = json!({ "tolerations": [{ "key": "a" }, { "key": "b" }] });
    let wanted = json!({ "tolerations": [{ "key": "b" }] });
    assert_eq!(deployment(&last, &wanted, &last), wanted);
}

#[test]
fn ports_of_one_number_are_told_apart_by_their_place() {
    let of = Type::of_kind("", "Service").expect("Service");
    let ports = |udp: &str| json!({ "spec": { "ports": [{ "port": 53, "protocol": "TCP", "name": "t" }, { "port": 53, "protocol": "UDP", "name": udp }] } });
    assert_eq!(patch(of, &ports("u"), &ports("u"), &ports("u")), Ok(json!({})));
    let changed = patch(of, &ports("u"), &ports("v"), &ports("u")).expect("patch");
    assert_eq!(changed["spec"]["ports"], json!([{ "port": 53, "name": "v" }]));
}

#[test]
fn scalars_of_a_merged_list_are_added_and_taken_away() {
    let of = Type::of_kind("", "ConfigMap").expect("ConfigMap");
    let with = |finalizers: &[&str]| json!({ "metadata": { "finalizers": finalizers } });
    let patch = patch(of, &with(&["x/a", "x/b"]), &with(&["x/a", "x/c"]), &with(&["x/a", "x/b", "their/s"]));
    assert_eq!(
        patch.expect("patch")["metadata"],
        json!({ "finalizers": ["x/c"], "$deleteFromPrimitiveList/finalizers": ["x/b"], "$setElementOrder/finalizers": ["x/a", "x/c"] })
    );
}

#[test]
fn an_item_without_its_key_is_named() {
    let of = Type::of_kind("", "Pod").expect("Pod");
    let pod = |containers: Value| json!({ "spec": { "containers": containers } });
    let error = patch(of, &pod(json!([])), &pod(json!([{ "image": "x" }])), &pod(json!([container("a", "1")])));
    let text = error.expect_err("no name").to_string();
    assert_eq!(text, "map: {\"image\":\"x\"} does not contain declared merge key: name");
    let error = patch(of, &pod(json!([])), &pod(json!(["x"])), &pod(json!([container("a", "1")])));
    assert_eq!(error, Err(Error::Mixed("containers".to_owned())));
}

#[test]
fn of_items_with_one_key_the_last_belong_together() {
    let of = Type::of_kind("", "Service").expect("Service");
    let ports = |ports: Value| json!({ "spec": { "ports": ports } });
    let last = ports(json!([{ "port": 53, "name": "u" }]));
    let wanted = ports(json!([{ "port": 53, "protocol": "TCP" }, { "port": 53, "protocol": "UDP", "name": "u" }]));
    assert_eq!(patch(of, &last, &wanted, &wanted), Ok(json!({})));
}
