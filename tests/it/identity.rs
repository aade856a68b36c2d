//! As whom, and where, a release is applied: `ServiceAccounts` that are impersonated, and clusters of kubeconfigs.

use std::{fmt::Write as _, time::Duration};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use kube::{
    Client,
    api::{DeleteParams, DynamicObject, Patch, PatchParams},
};
use serde_json::json;

use crate::{
    harness::{
        Cluster,
        audit::Request,
        daemon::Daemon,
        git::{GitRemote, GitServer},
        objects::{CONFIG_MAP, HELM_CHART, HELM_RELEASE, KUSTOMIZATION, Kind, SECRET, condition, field},
    },
    site::{DAEMON, SOON},
};

/// The namespace of the tenant, and its `ServiceAccount`.
const TENANT: &str = "tenant";
const ACCOUNT: &str = "deployer";
const USER: &str = "system:serviceaccount:tenant:deployer";
const SERVICE_ACCOUNT: Kind = Kind("", "v1", "ServiceAccount");

/// What a tenant needs for the chart, each taken away in turn.
const STORAGE: &str = r#"{apiGroups: [""], resources: [secrets], verbs: ["*"]}"#;
const APPLY: &str = r#"{apiGroups: [""], resources: [configmaps], verbs: [get, list, watch, create, patch, delete]}"#;
const LOOKUP: &str = r#"{apiGroups: [""], resources: [services], verbs: [get, list]}"#;
const HOOKS: &str = r#"{apiGroups: [""], resources: [pods], verbs: [get, list, watch, create, patch, delete]}"#;
const UNWATCHED: &str = r#"{apiGroups: [apps], resources: ["*"], verbs: [get, list, create, patch, delete]}"#;
const WORKLOADS: &str = r#"{apiGroups: [apps], resources: ["*"], verbs: ["*"]}"#;

/// A chart with all that a release asks of a cluster: an object, a lookup, a hook.
const CHART: [(&str, &str); 4] = [
    ("Chart.yaml", "apiVersion: v2\nname: all\nversion: 0.1.0\n"),
    (
        "templates/note.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: \"{{ .Release.Name }}\"}\ndata:\n  \
         text: {{ .Values.text | default \"one\" | quote }}\n  \
         services: {{ len (lookup \"v1\" \"Service\" .Release.Namespace \"\").items | quote }}\n",
    ),
    (
        "templates/deployment.yaml",
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: \"{{ .Release.Name }}\"}\nspec:\n  \
         selector: {matchLabels: {app: \"{{ .Release.Name }}\"}}\n  template:\n    \
         metadata: {labels: {app: \"{{ .Release.Name }}\"}}\n    spec: {containers: [{name: c, image: i}]}\n",
    ),
    (
        "templates/hook.yaml",
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: \"{{ .Release.Name }}-hook\"\n  annotations:\n    \
         helm.sh/hook: pre-install\n    helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded\n\
         spec: {restartPolicy: Never, containers: [{name: c, image: i}]}\n",
    ),
];

fn remote() -> GitRemote {
    let remote = GitRemote::new();
    for (path, text) in CHART {
        remote.write(&format!("charts/all/{path}"), text);
    }
    // The chart without a hook that would have to run to its end.
    for (path, text) in CHART.iter().filter(|(path, _)| !path.contains("hook")) {
        remote.write(&format!("charts/plain/{path}"), text);
    }
    for folder in ["named", "by-flag"] {
        let note = format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {folder}, namespace: {TENANT}}}\n");
        remote.write(&format!("{folder}/note.yaml"), &note);
    }
    remote.push("Charts");
    remote
}

fn source(git: &GitServer) -> String {
    format!(
        "apiVersion: source.toolkit.fluxcd.io/v1\nkind: GitRepository\nmetadata: {{name: charts, namespace: {TENANT}}}\n\
         spec: {{url: \"{}\", interval: 1h, ref: {{branch: main}}}}\n",
        git.url()
    )
}

fn release(name: &str, chart: &str, more: &str) -> String {
    format!(
        "apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {{name: {name}, namespace: {TENANT}}}\n\
         spec:\n  interval: 1h\n  timeout: 1m\n  releaseName: {name}\n  {more}\n  chart:\n    spec:\n      \
         chart: ./charts/{chart}\n      sourceRef: {{kind: GitRepository, name: charts}}\n"
    )
}

/// A Role with some rules, bound to the tenant's account.
fn role(rules: &[&str]) -> String {
    let mut text = format!(
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {{name: {ACCOUNT}, namespace: {TENANT}}}\nrules:\n"
    );
    for rule in rules {
        writeln!(text, "- {rule}").unwrap();
    }
    if rules.is_empty() {
        text = text.replace("rules:\n", "rules: []\n");
    }
    text + &format!(
        "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\n\
         metadata: {{name: {ACCOUNT}, namespace: {TENANT}}}\n\
         roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: {ACCOUNT}}}\n\
         subjects: [{{kind: ServiceAccount, name: {ACCOUNT}, namespace: {TENANT}}}]\n"
    )
}

fn account() -> String {
    format!("apiVersion: v1\nkind: ServiceAccount\nmetadata: {{name: {ACCOUNT}, namespace: {TENANT}}}\n")
}

/// Waits until a release says that it failed, for this reason, with all these words, and has nothing installed.
async fn fails(client: &Client, name: &str, words: &[&str]) {
    let what = format!("have Ready=False with {words:?}");
    HELM_RELEASE
        .until(client, (TENANT, name), SOON, &what, |object| {
            condition(object, "Ready")
                .is_some_and(|ready| ready.status == "False" && words.iter().all(|word| ready.message.contains(word)))
        })
        .await;
    assert!(CONFIG_MAP.get(client, TENANT, name).await.is_none(), "{name}: nothing was applied");
}

/// The daemon with no more rights than the chart gives with `rbac.clusterAdmin=false`.
struct Few {
    cluster: Cluster,
    client: Client,
    _folder: tempfile::TempDir,
    _git: GitServer,
    _remote: GitRemote,
    _daemon: Daemon,
}

impl Few {
    async fn start(flags: &[&str]) -> Self {
        let cluster = Cluster::own().await;
        let client = cluster.client().await;
        let chart = crate::charts::chart();
        cluster.helm(&[
            "install",
            "bowline",
            chart.to_str().unwrap(),
            "-n",
            DAEMON,
            "--create-namespace",
            "--set",
            "rbac.clusterAdmin=false",
            "--set",
            "replicas=0",
        ]);
        let folder = tempfile::tempdir().unwrap();
        let kubeconfig = crate::charts::kubeconfig_of(&cluster, DAEMON, "bowline", folder.path());
        let remote = remote();
        let git = GitServer::serve(&remote);
        let mut daemon =
            Daemon::with_kubeconfig(&kubeconfig).args(&["--install-crds", "--max-retry-delay=2s"]).args(flags);
        daemon.start();
        cluster.kubectl(&["create", "namespace", TENANT]);
        crds_are_served(&cluster).await;
        cluster.apply(&source(&git));
        Self { cluster, client, _folder: folder, _git: git, _remote: remote, _daemon: daemon }
    }
}

async fn crds_are_served(cluster: &Cluster) {
    let until = tokio::time::Instant::now() + SOON;
    while cluster.try_kubectl(&["get", "helmreleases,gitrepositories", "-A"]).is_err() {
        assert!(tokio::time::Instant::now() < until, "the definitions are not served");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_is_done_as_its_service_account_alone_and_fails_where_that_has_no_right() {
    let few = Few::start(&[]).await;
    let (cluster, client) = (&few.cluster, &few.client);
    let named = format!("serviceAccountName: {ACCOUNT}");

    // No account: nobody else steps in. It is made: the release goes on by itself.
    cluster.apply(&release("early", "plain", &named));
    fails(client, "early", &[USER, "not found"]).await;
    // It may not watch what it waits for. This comes first: a watch that is open ends by itself, not with the right to it.
    cluster.apply(&(role(&[STORAGE, APPLY, LOOKUP, HOOKS, UNWATCHED]) + "---\n" + &account()));
    let waits = HELM_RELEASE.ready(client, (TENANT, "early"), SOON, ("False", "forbidden")).await;
    let said = condition(&waits, "Ready").unwrap().message;
    assert!(said.contains("can't determine status") && said.contains(USER), "{said}");

    // Each kind of call, with the one right that it needs taken away: the API server's own words.
    for (name, chart, rules, words) in [
        ("storage", "all", [APPLY, LOOKUP, HOOKS, WORKLOADS], "secrets is forbidden"),
        ("apply", "plain", [STORAGE, LOOKUP, HOOKS, WORKLOADS], "configmaps"),
        ("lookup", "all", [STORAGE, APPLY, HOOKS, WORKLOADS], "services is forbidden"),
        ("hooks", "all", [STORAGE, APPLY, LOOKUP, WORKLOADS], "pods"),
    ] {
        cluster.apply(&role(&rules));
        cluster.apply(&release(name, chart, &named));
        fails(client, name, &[words, "forbidden", USER]).await;
        cluster.kubectl(&["delete", "helmrelease", name, "-n", TENANT, "--wait=false"]);
    }

    // All rights but those of another namespace.
    cluster.apply(&role(&[STORAGE, APPLY, LOOKUP, HOOKS, WORKLOADS]));
    cluster.kubectl(&["create", "namespace", "other"]);
    cluster.apply(&release("over", "plain", &format!("{named}\n  targetNamespace: other")));
    let there = HELM_RELEASE.ready(client, (TENANT, "over"), SOON, ("False", "forbidden")).await;
    assert!(condition(&there, "Ready").unwrap().message.contains("\"other\""));
    assert!(CONFIG_MAP.get(client, "other", "over").await.is_none());
    cluster.apply(&release("stored", "plain", &format!("{named}\n  storageNamespace: other")));
    HELM_RELEASE.ready(client, (TENANT, "stored"), SOON, ("False", "forbidden")).await;

    // And with all that it needs.
    cluster.apply(&release("whole", "plain", &named));
    HELM_RELEASE.ready(client, (TENANT, "whole"), SOON, ("True", "")).await;
    let mark = cluster.audit_log().now();
    HELM_RELEASE.api(client, TENANT).delete("whole", &DeleteParams::default()).await.unwrap();
    HELM_RELEASE.gone(client, (TENANT, "whole"), SOON).await;
    assert!(CONFIG_MAP.get(client, TENANT, "whole").await.is_none());
    assert!(cluster.try_helm(&["history", "whole", "-n", TENANT]).is_err());

    let daemon = format!("system:serviceaccount:{DAEMON}:bowline");
    let requests = cluster.audit_log().requests_since(mark, &daemon);
    assert!(
        requests.iter().any(|request| as_whom(request) == USER && request.is_write()),
        "uninstalled as the account"
    );
    for request in requests.iter().filter(|request| request.is_write() && as_whom(request) == daemon) {
        let own = ["helmreleases", "helmcharts", "gitrepositories", "events", "leases"];
        assert!(own.contains(&request.object_ref.resource.as_str()), "as the daemon itself: {}", request.summary());
    }
}

#[test]
fn the_actions_of_a_release_never_take_the_daemons_own_client() {
    let folder = crate::harness::programs::repository().join("src/reconcile/release/act");
    let files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(files.len() > 8);
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        for own in [".daemon", ".connections", "Client::try_"] {
            assert!(!text.contains(own), "{} uses {own}", file.display());
        }
    }
}

fn as_whom(request: &Request) -> &str {
    request.impersonated_user.as_ref().map_or(request.user.username.as_str(), |user| user.username.as_str())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_default_service_account_is_taken_where_a_release_names_none_and_rest_costs_nothing() {
    let few = Few::start(&["--default-service-account", ACCOUNT]).await;
    let (cluster, client) = (&few.cluster, &few.client);
    cluster.apply(&(account() + "---\n" + &role(&[STORAGE, APPLY, WORKLOADS])));
    cluster.apply(&release("ui", "plain", "suspend: false"));
    let refused = HELM_RELEASE.ready(client, (TENANT, "ui"), SOON, ("False", "forbidden")).await;
    assert!(condition(&refused, "Ready").unwrap().message.contains(USER));
    cluster.apply(&role(&[STORAGE, APPLY, LOOKUP, WORKLOADS]));
    HELM_RELEASE.api(client, TENANT).patch("ui", &PatchParams::default(), &Patch::Merge(ask())).await.unwrap();
    HELM_RELEASE.ready(client, (TENANT, "ui"), SOON, ("True", "")).await;

    // Settled: nothing is asked but watches, as whomever. A run that finds nothing to do asks nothing either.
    tokio::time::sleep(Duration::from_secs(10)).await;
    let audit = cluster.audit_log();
    let mark = audit.now();
    tokio::time::sleep(Duration::from_secs(15)).await;
    HELM_RELEASE.api(client, TENANT).patch("ui", &PatchParams::default(), &Patch::Merge(ask())).await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    let requests = audit.requests_since(mark, &format!("system:serviceaccount:{DAEMON}:bowline"));
    let said: Vec<_> = requests
        .iter()
        .filter(|request| request.verb != "watch" && request.object_ref.resource != "leases")
        .map(|request| format!("{} as {}", request.summary(), as_whom(request)))
        .collect();
    assert!(
        said.iter().all(|request| request.starts_with("patch helmreleases/status")) && said.len() <= 2,
        "one status write tells that the run was asked for: {said:?}"
    );

    // The account is gone, as when the namespace goes: the object is let go, and what is installed stays.
    SERVICE_ACCOUNT.api(client, TENANT).delete(ACCOUNT, &DeleteParams::default()).await.unwrap();
    SERVICE_ACCOUNT.gone(client, (TENANT, ACCOUNT), SOON).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    HELM_RELEASE.api(client, TENANT).delete("ui", &DeleteParams::default()).await.unwrap();
    HELM_RELEASE.gone(client, (TENANT, "ui"), SOON).await;
    assert!(CONFIG_MAP.get(client, TENANT, "ui").await.is_some());
}

/// A Kustomization of the folder that has its name.
fn folder(name: &str, more: &str) -> String {
    format!(
        "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\n\
         metadata: {{name: {name}, namespace: {TENANT}}}\nspec:\n  interval: 1h\n  prune: true\n  path: ./{name}\n  \
         retryInterval: 2s\n  {more}\n  sourceRef: {{kind: GitRepository, name: charts}}\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_is_applied_and_pruned_as_its_service_account_alone() {
    let few = Few::start(&["--default-service-account", ACCOUNT]).await;
    let (cluster, client) = (&few.cluster, &few.client);
    let folders = ["named", "by-flag"];
    cluster.apply(&(folder("named", &format!("serviceAccountName: {ACCOUNT}")) + "---\n" + &folder("by-flag", "")));
    let missing = format!("could not impersonate '{USER}': ServiceAccount \"{ACCOUNT}\" not found");
    for name in folders {
        KUSTOMIZATION.ready(client, (TENANT, name), SOON, ("False", &missing)).await;
    }
    // The account is made, and may do nothing; then it may.
    cluster.apply(&account());
    for name in folders {
        let refused = KUSTOMIZATION.ready(client, (TENANT, name), SOON, ("False", "forbidden")).await;
        assert!(condition(&refused, "Ready").unwrap().message.contains(USER));
        assert!(CONFIG_MAP.get(client, TENANT, name).await.is_none(), "nobody else steps in");
    }
    cluster.apply(&role(&[APPLY]));
    for name in folders {
        KUSTOMIZATION.ready(client, (TENANT, name), SOON, ("True", "")).await;
        CONFIG_MAP.get(client, TENANT, name).await.expect("it is applied");
    }
    let mark = cluster.audit_log().now();
    KUSTOMIZATION.api(client, TENANT).delete("named", &DeleteParams::default()).await.unwrap();
    KUSTOMIZATION.gone(client, (TENANT, "named"), SOON).await;
    CONFIG_MAP.gone(client, (TENANT, "named"), SOON).await;
    let daemon = format!("system:serviceaccount:{DAEMON}:bowline");
    let requests = cluster.audit_log().requests_since(mark, &daemon);
    let deleted = |request: &&Request| request.verb == "delete" && request.object_ref.resource == "configmaps";
    let by: Vec<_> = requests.iter().filter(deleted).map(as_whom).collect();
    assert_eq!(by, [USER]);

    // The account is gone: the object is let go, and what is applied stays.
    SERVICE_ACCOUNT.api(client, TENANT).delete(ACCOUNT, &DeleteParams::default()).await.unwrap();
    SERVICE_ACCOUNT.gone(client, (TENANT, ACCOUNT), SOON).await;
    KUSTOMIZATION.api(client, TENANT).delete("by-flag", &DeleteParams::default()).await.unwrap();
    KUSTOMIZATION.gone(client, (TENANT, "by-flag"), SOON).await;
    assert!(CONFIG_MAP.get(client, TENANT, "by-flag").await.is_some());
}

/// A ConfigMap that describes the cluster itself as another one.
fn parameters(cluster: &Cluster, more: &str) -> String {
    let of = |path: &str| {
        let path = format!("jsonpath={{.clusters[0].cluster.{path}}}");
        cluster.kubectl(&["config", "view", "--raw", "--minify", "--flatten", "-o", &path])
    };
    let authority = BASE64_STANDARD.decode(of("certificate-authority-data").trim()).unwrap();
    let data = json!({ "address": of("server").trim(), "ca.crt": String::from_utf8(authority).unwrap() });
    let mut map = json!({ "apiVersion": "v1", "kind": "ConfigMap", "data": data,
                          "metadata": { "name": "there", "namespace": TENANT } });
    for (key, value) in more.split(", ").filter_map(|pair| pair.split_once('=')) {
        map["data"][key] = json!(value);
    }
    map.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_a_config_map_describes_is_shown_an_accounts_tokens() {
    let few = Few::start(&[]).await;
    let (cluster, client) = (&few.cluster, &few.client);
    cluster.apply(&release("ui", "plain", "kubeConfig: {configMapRef: {name: there}}"));
    let says = async |text: &str| HELM_RELEASE.ready(client, (TENANT, "ui"), SOON, ("False", text)).await;
    says("failed to get configmap tenant/there: configmaps \"there\" not found").await;
    cluster.apply(&parameters(cluster, "provider=aws"));
    let cloud = says("provider 'aws' is not supported by this version, only 'generic' is").await;
    assert_eq!(condition(&cloud, "Ready").unwrap().reason, "UnsupportedField");
    assert_eq!(condition(&cloud, "Stalled").unwrap().status, "True");
    cluster.apply(&parameters(cluster, "provider=generic"));
    says("an account is needed").await;
    let named = format!("provider=generic, serviceAccountName={ACCOUNT}");
    cluster.apply(&parameters(cluster, &named));
    says("failed to get service account 'tenant/deployer'").await;
    cluster.apply(&(account() + "---\n" + &role(&[STORAGE, APPLY, LOOKUP, WORKLOADS])));
    // Tokens for the server's address, which this server does not take, then for itself.
    says("Unauthorized").await;
    let mark = cluster.audit_log().now();
    cluster.apply(&parameters(cluster, &format!("{named}, audiences=https://kubernetes.default.svc")));
    HELM_RELEASE.ready(client, (TENANT, "ui"), SOON, ("True", "")).await;
    CONFIG_MAP.get(client, TENANT, "ui").await.expect("it is there");
    let requests = cluster.audit_log().requests_since(mark, USER);
    let is_own = |request: &Request| request.impersonated_user.is_none();
    assert!(requests.iter().any(Request::is_write) && requests.iter().all(is_own), "by its own tokens");
    HELM_RELEASE.api(client, TENANT).delete("ui", &DeleteParams::default()).await.unwrap();
    HELM_RELEASE.gone(client, (TENANT, "ui"), SOON).await;
    assert!(CONFIG_MAP.get(client, TENANT, "ui").await.is_none());
}

fn ask() -> serde_json::Value {
    json!({"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": jiff::Timestamp::now().to_string()}}})
}

#[tokio::test(flavor = "multi_thread")]
async fn references_to_other_namespaces_are_refused_where_the_flag_says_so() {
    let few = Few::start(&["--no-cross-namespace-refs"]).await;
    let (cluster, client) = (&few.cluster, &few.client);
    cluster.kubectl(&["create", "namespace", "other"]);
    let by_chart =
        release("by-chart", "plain", "suspend: false").replace("name: charts}", "name: charts, namespace: other}");
    let by_reference = format!(
        "apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {{name: by-ref, namespace: {TENANT}}}\n\
         spec:\n  interval: 1h\n  chartRef: {{kind: HelmChart, name: c, namespace: other}}\n"
    );
    cluster.apply(&(by_chart + "---\n" + &by_reference));
    for (name, chart) in [("by-chart", "other/tenant-by-chart"), ("by-ref", "other/c")] {
        let text = format!("cross-namespace references are not allowed: cannot access HelmChart {chart}");
        let found = HELM_RELEASE.ready(client, (TENANT, name), SOON, ("False", &text)).await;
        assert_eq!(condition(&found, "Ready").unwrap().reason, "AccessDenied");
        assert_eq!(condition(&found, "Stalled").unwrap().status, "True");
    }
    assert!(HELM_CHART.get(client, "other", "tenant-by-chart").await.is_none());
}

/// A Secret that holds a kubeconfig under a key.
fn kubeconfig_secret(key: &str, kubeconfig: &str) -> String {
    let data = BASE64_STANDARD.encode(kubeconfig);
    format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: there, namespace: {TENANT}}}\ndata: {{\"{key}\": {data}}}\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_is_applied_to_the_cluster_of_its_kubeconfig_and_uninstalled_from_it() {
    let here = Cluster::own().await;
    let there = Cluster::own().await;
    let (client, far) = (here.client().await, there.client().await);
    let remote = remote();
    let git = GitServer::serve(&remote);
    let mut daemon = Daemon::on(&here).args(&["--install-crds", "--max-retry-delay=2s", "--concurrent=1"]);
    daemon.start();
    here.kubectl(&["create", "namespace", TENANT]);
    there.kubectl(&["create", "namespace", TENANT]);
    crds_are_served(&here).await;
    here.apply(&source(&git));
    let elsewhere = "kubeConfig: {secretRef: {name: there}}";

    // No Secret yet, then one that would run a program, then one that is good: each change is taken up at once.
    here.apply(&release("ui", "plain", elsewhere));
    let text = "could not get KubeConfig secret 'tenant/there': secrets \"there\" not found";
    HELM_RELEASE.ready(&client, (TENANT, "ui"), SOON, ("False", text)).await;
    let good = there.kubectl(&["config", "view", "--raw", "--minify", "--flatten"]);
    let evil = "apiVersion: v1\nkind: Config\ncurrent-context: x\ncontexts: [{name: x, context: {cluster: c, user: u}}]\n\
                clusters: [{name: c, cluster: {server: 'https://127.0.0.1:1'}}]\n\
                users: [{name: u, user: {exec: {command: /bin/sh, args: [-c, 'touch /tmp/bowline-was-here'], \
                apiVersion: client.authentication.k8s.io/v1}}}]\n";
    here.apply(&kubeconfig_secret("value", evil));
    HELM_RELEASE.ready(&client, (TENANT, "ui"), SOON, ("False", "users[].user.exec is not supported")).await;
    here.apply(&kubeconfig_secret("value", &good));
    HELM_RELEASE.ready(&client, (TENANT, "ui"), SOON, ("True", "")).await;
    CONFIG_MAP.get(&far, TENANT, "ui").await.expect("it is there");
    assert!(CONFIG_MAP.get(&client, TENANT, "ui").await.is_none(), "and not here");
    assert!(there.helm(&["history", "ui", "-n", TENANT]).contains("deployed"));
    assert!(here.try_helm(&["history", "ui", "-n", TENANT]).is_err());

    // Impersonated there: the account's rights are those of that cluster.
    let both = format!("{elsewhere}\n  serviceAccountName: {ACCOUNT}");
    here.apply(&release("as-account", "plain", &both));
    let refused = HELM_RELEASE.ready(&client, (TENANT, "as-account"), SOON, ("False", "forbidden")).await;
    assert!(condition(&refused, "Ready").unwrap().message.contains(USER));
    there.apply(&(account() + "---\n" + &role(&[STORAGE, APPLY, LOOKUP, WORKLOADS])));
    HELM_RELEASE.ready(&client, (TENANT, "as-account"), SOON, ("True", "")).await;
    CONFIG_MAP.get(&far, TENANT, "as-account").await.expect("it is there");

    // An upgrade, and an unreachable cluster that holds up nobody else, with one permit in all.
    here.apply(&release("ui", "plain", &format!("{elsewhere}\n  values: {{text: two}}")));
    CONFIG_MAP.until(&far, (TENANT, "ui"), SOON, "say two", |note| field(note, "/data/text") == "two").await;

    // A person's helm there is answered at once.
    there.helm(&["rollback", "ui", "1", "-n", TENANT, "--force-conflicts"]);
    let until = tokio::time::Instant::now() + SOON;
    while !there.helm(&["history", "ui", "-n", TENANT]).lines().last().is_some_and(|last| last.starts_with('4')) {
        assert!(tokio::time::Instant::now() < until, "the rollback is answered by a revision");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    CONFIG_MAP.until(&far, (TENANT, "ui"), SOON, "say two after all", |note| field(note, "/data/text") == "two").await;

    // Drift there is seen at the interval, which the status says.
    let watched = format!("{elsewhere}\n  values: {{text: two}}\n  driftDetection: {{mode: enabled}}");
    here.apply(&release("ui", "plain", &watched).replace("interval: 1h", "interval: 3s"));
    let is_looked_at = |object: &DynamicObject| {
        condition(object, "Drifted")
            .is_some_and(|c| c.status == "False" && c.message.contains("it is on another cluster"))
    };
    HELM_RELEASE.until(&client, (TENANT, "ui"), SOON, "look for drift", is_looked_at).await;
    let edit = json!({ "data": { "text": "edited" } });
    CONFIG_MAP.api(&far, TENANT).patch("ui", &PatchParams::default(), &Patch::Merge(edit)).await.unwrap();
    CONFIG_MAP.until(&far, (TENANT, "ui"), SOON, "say two again", |note| field(note, "/data/text") == "two").await;
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nowhere = evil.replace("127.0.0.1:1", &silent.local_addr().unwrap().to_string());
    let nowhere = nowhere.replace("{exec: ", "{token: a, extensions: ").replace("extensions: {", "x: {");
    here.apply(&kubeconfig_secret("nowhere", &nowhere).replace("name: there", "name: nowhere"));
    for name in ["lost-a", "lost-b"] {
        here.apply(&release(name, "plain", "kubeConfig: {secretRef: {name: nowhere, key: nowhere}}"));
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    here.apply(&release("here", "plain", "suspend: false"));
    HELM_RELEASE.ready(&client, (TENANT, "here"), Duration::from_secs(15), ("True", "")).await;

    // A broken kubeconfig keeps the object, one that is gone lets it go, and a good one uninstalls.
    HELM_RELEASE.api(&client, TENANT).delete("ui", &DeleteParams::default()).await.unwrap();
    HELM_RELEASE.gone(&client, (TENANT, "ui"), SOON).await;
    CONFIG_MAP.gone(&far, (TENANT, "ui"), SOON).await;
    assert!(there.try_helm(&["history", "ui", "-n", TENANT]).is_err());
    here.apply(&kubeconfig_secret("value", "junk"));
    HELM_RELEASE.api(&client, TENANT).delete("as-account", &DeleteParams::default()).await.unwrap();
    let broken = "failed to build REST client getter to uninstall release: failed to load KubeConfig from secret";
    let what = "say that it cannot be uninstalled";
    HELM_RELEASE
        .until(&client, (TENANT, "as-account"), SOON, what, |object| {
            condition(object, "Ready").is_some_and(|c| c.reason == "UninstallFailed" && c.message.contains(broken))
        })
        .await;
    SECRET.api(&client, TENANT).delete("there", &DeleteParams::default()).await.unwrap();
    HELM_RELEASE.gone(&client, (TENANT, "as-account"), SOON).await;
    assert!(CONFIG_MAP.get(&far, TENANT, "as-account").await.is_some(), "nobody could uninstall it");
    assert!(!std::path::Path::new("/tmp/bowline-was-here").exists() && daemon.process().is_running());
}
