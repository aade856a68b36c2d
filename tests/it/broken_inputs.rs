//! What people get wrong in a releases repository: each mistake is named where it is, and stops only itself.

use std::time::Duration;

use kube::api::ListParams;
use tokio::time::{sleep, timeout};

use crate::{
    harness::objects::{EVENT, HELM_RELEASE, KUSTOMIZATION, condition, field},
    site::{APPS, DAEMON, SOON, Site, release},
};

/// Mistakes in a file, and what the Kustomization's message says of them beside the file's name.
fn broken_files() -> Vec<(&'static str, String, &'static str)> {
    let config_map = |metadata: &str| format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {metadata}\n");
    vec![
        ("not-closed", "kind: [\n".into(), "document 1"),
        ("tabs", "kind:\n\tConfigMap\n".into(), "document 1"),
        (
            "second-document",
            format!("{}---\nkind: {{\n", config_map("{name: a, namespace: apps}")),
            "document 2, line 5",
        ),
        ("no-kind", "apiVersion: v1\nmetadata: {name: a}\n".into(), "kind"),
        ("no-name", config_map("{namespace: apps}"), "name"),
        ("no-object", "just a sentence\n".into(), "no object"),
        (
            "unknown-kind",
            "apiVersion: example.test/v1\nkind: Nothing\nmetadata: {name: a}\n".into(),
            "no matches for kind",
        ),
        ("no-namespace", config_map("{name: a, namespace: nowhere}"), "namespaces \"nowhere\" not found"),
        ("bad-name", config_map("{name: Not_A_Name, namespace: apps}"), "Not_A_Name"),
        ("wrong-type", release("wrong-type", "./charts/note", "text: a").replace("30m", "[1]"), "spec.interval"),
        (
            "no-interval",
            release("no-interval", "./charts/note", "text: a").replace("interval: 30m", "suspend: false"),
            "spec.interval: Required value",
        ),
        ("twice", [release("healthy", "./charts/note", "text: twice"), "---\n".into()].concat(), "already defined"),
        ("many-documents", "---\na: 1\n".repeat(10_000), "10000 documents"),
        ("refused", config_map("{name: refused, namespace: apps, labels: {refuse: me}}"), "because we say so"),
    ]
}

/// Releases that cannot be made, and what their own message says.
fn broken_releases() -> Vec<(&'static str, String, &'static str)> {
    vec![
        ("unknown-chart", release("unknown-chart", "./charts/none", "text: a"), "no chart found at 'charts/none'"),
        ("no-values", release("no-values", "./charts/note", "other: a"), "a text is needed"),
        ("bad-template", release("bad-template", "./charts/bad-template", "text: a"), "bad-template/templates/a.yaml"),
        ("bad-manifest", release("bad-manifest", "./charts/bad-manifest", "text: a"), "templates/a.yaml"),
        ("bad-values", release("bad-values", "./charts/strict", "text: 5"), "text"),
        (
            "missing-values",
            release("missing-values", "./charts/note", "text: a")
                .replace("  values:", "  valuesFrom: [{kind: ConfigMap, name: not-there}]\n  values:"),
            "not-there",
        ),
        (
            "missing-dependency",
            release("missing-dependency", "./charts/note", "text: a")
                .replace("  values:", "  dependsOn: [{name: not-there}]\n  values:"),
            "not-there",
        ),
        (
            "no-account",
            release("no-account", "./charts/note", "text: a")
                .replace("  values:", "  serviceAccountName: someone\n  values:"),
            "ServiceAccount \"someone\" not found",
        ),
        (
            "no-cluster",
            release("no-cluster", "./charts/note", "text: a")
                .replace("  values:", "  kubeConfig: {configMapRef: {name: elsewhere}}\n  values:"),
            "failed to get configmap apps/elsewhere: configmaps \"elsewhere\" not found",
        ),
        ("refused-object", release("refused-object", "./charts/refused", "text: a"), "because we say so"),
        (
            "no-target",
            release("no-target", "./charts/note", "text: a")
                .replace("  values:", "  targetNamespace: nowhere\n  values:"),
            "nowhere",
        ),
    ]
}

/// Refuses `ConfigMap`s with the label `refuse`.
const POLICY: &str = "
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: refuse}
spec:
  failurePolicy: Fail
  matchConstraints:
    resourceRules: [{apiGroups: [''], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [configmaps]}]
  validations:
  - {expression: '!has(object.metadata.labels) || !(\"refuse\" in object.metadata.labels)', message: because we say so}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: refuse}
spec: {policyName: refuse, validationActions: [Deny]}
";

async fn site() -> Site {
    let site = Site::started("1h").await;
    site.cluster.apply(POLICY);
    site.write_note("healthy", "0");
    site.push_and_ask("Add a healthy release").await;
    site.note_says("healthy", "0", SOON).await;
    // A policy takes a moment until it is enforced.
    site.cluster.kubectl(&["create", "configmap", "probe", "-n", APPS]);
    let label = "{\"metadata\":{\"labels\":{\"refuse\":\"me\"}}}";
    let patch = ["patch", "configmap", "probe", "-n", APPS, "--dry-run=server", "--type=merge", "-p", label];
    let enforced = timeout(SOON, async {
        while site.cluster.try_kubectl(&patch).is_ok() {
            sleep(Duration::from_millis(100)).await;
        }
    });
    enforced.await.expect("the policy is enforced in time");
    site
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_file_is_named_and_all_else_is_applied() {
    let site = site().await;
    for (number, (name, content, says)) in broken_files().into_iter().enumerate() {
        let file = format!("staging/{name}.yaml");
        site.remote.write(&file, &content);
        // The healthy release beside it changes in the same commit.
        let text = format!("beside {name}");
        site.write_note("healthy", &text);
        site.push_and_ask("Break something").await;
        let environment = KUSTOMIZATION
            .until(&site.client, (DAEMON, "staging"), SOON, &format!("name {file} and {says:?}"), |object| {
                condition(object, "Ready").is_some_and(|ready| {
                    ready.status == "False" && ready.message.contains(&file) && ready.message.contains(says)
                })
            })
            .await;
        site.note_says("healthy", &text, SOON).await;
        let prunes = field(&environment, "/status/inventory/entries").as_array().map_or(0, Vec::len);
        assert!(prunes >= 2, "{name}: what was applied before is still in the inventory");
        assert!(site.daemon.log().contains(&file), "{name}: the log names the file");

        site.remote.remove(&file);
        site.push_and_ask("Mend it").await;
        KUSTOMIZATION.ready(&site.client, (DAEMON, "staging"), SOON, ("True", "")).await;
        eprintln!("{number}: {}", condition(&environment, "Ready").expect("it is there").message.replace('\n', " | "));
    }
    let events = EVENT.api(&site.client, DAEMON).list(&ListParams::default()).await.expect("events can be listed");
    let messages: Vec<_> = events.items.iter().filter_map(|event| field(event, "/message").as_str()).collect();
    for (name, ..) in broken_files() {
        let file = format!("staging/{name}.yaml");
        assert!(messages.iter().any(|message| message.contains(&file)), "no event names {file}: {messages:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_that_cannot_be_made_says_why_and_the_others_stay_ready() {
    let site = site().await;
    site.remote.write("charts/bad-template/Chart.yaml", "apiVersion: v2\nname: bad-template\nversion: 0.1.0\n");
    site.remote.write("charts/bad-template/templates/a.yaml", "a: {{ .Values.text | nothing }}\n");
    site.remote.write("charts/bad-manifest/Chart.yaml", "apiVersion: v2\nname: bad-manifest\nversion: 0.1.0\n");
    site.remote.write("charts/bad-manifest/templates/a.yaml", "kind: ConfigMap\n  bad: [\n");
    site.remote.write("charts/strict/Chart.yaml", "apiVersion: v2\nname: strict\nversion: 0.1.0\n");
    site.remote.write("charts/strict/values.schema.json", r#"{"properties": {"text": {"type": "string"}}}"#);
    site.remote.write("charts/refused/Chart.yaml", "apiVersion: v2\nname: refused\nversion: 0.1.0\n");
    let refused = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: refused, labels: {refuse: me}}\n";
    site.remote.write("charts/refused/templates/a.yaml", refused);
    for (name, content, _) in broken_releases() {
        site.remote.write(&format!("staging/{name}.yaml"), &content);
    }
    site.push_and_ask("Add releases that cannot be made").await;
    for (name, _, says) in broken_releases() {
        let failed = HELM_RELEASE.ready(&site.client, (APPS, name), SOON, ("False", says)).await;
        eprintln!("{name}: {}", condition(&failed, "Ready").expect("it is there").message.replace('\n', " | "));
    }
    site.write_note("healthy", "still");
    site.push_and_ask("Change the healthy one").await;
    site.note_says("healthy", "still", SOON).await;
}
