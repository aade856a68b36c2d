//! The operator's chart: what it says of itself against its values and the daemon, what it renders to against the real helm,
//! and the daemon at work with the rights that it gives.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::Duration,
};

use helm::{
    chart::{Chart, folder::Links, values as chart_values},
    functions::Env,
    random::SystemRandom,
    render::{Options, render},
    yaml,
};
use serde_json::{Value, json};

use crate::harness::{
    Cluster,
    cluster::helm_offline,
    daemon::Daemon,
    git::{GitRemote, GitServer},
    objects::{DEPLOYMENT, HELM_RELEASE, KUSTOMIZATION, Kind, field},
    programs::repository,
};

fn read(path: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("charts/bowline").join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Values that are documented as a whole, since others set them as a whole.
const WHOLE: [&str; 4] = ["nodeSelector", "podSecurityContext", "resources", "securityContext"];

fn defaults(value: &Value, path: &str, found: &mut BTreeMap<String, String>) {
    match value.as_object().filter(|fields| !fields.is_empty() && !WHOLE.contains(&path)) {
        None => {
            found.insert(path.to_owned(), value.to_string());
        }
        Some(fields) => {
            for (name, field) in fields {
                let here = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                defaults(field, &here, found);
            }
        }
    }
}

fn values() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    defaults(&yaml::parse_strict(read("values.yaml").as_bytes()).unwrap(), "", &mut found);
    found
}

#[test]
fn the_readme_names_every_value_with_its_default() {
    let documented: BTreeMap<String, String> = read("README.md")
        .lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .map(|row| {
            let (path, rest) = row.split_once('`').unwrap();
            let (_, default) = rest.strip_suffix("` |").unwrap().rsplit_once("| `").unwrap();
            (path.to_owned(), default.to_owned())
        })
        .collect();
    assert_eq!(documented, values());
}

#[test]
fn the_schema_knows_every_value_and_no_other() {
    fn properties(schema: &Value, path: &str, found: &mut BTreeSet<String>) {
        match schema["properties"].as_object() {
            None => {
                found.insert(path.to_owned());
            }
            Some(fields) => {
                assert_eq!(schema["additionalProperties"], false, "{path}");
                for (name, field) in fields {
                    properties(field, &if path.is_empty() { name.clone() } else { format!("{path}.{name}") }, found);
                }
            }
        }
    }
    let mut found = BTreeSet::new();
    properties(&serde_json::from_str(&read("values.schema.json")).unwrap(), "", &mut found);
    // Helm passes it to every chart.
    assert!(found.remove("global"));
    assert_eq!(found, values().into_keys().collect());
}

#[test]
fn every_argument_of_the_deployment_is_a_flag_of_the_daemon() {
    let deployment = read("templates/deployment.yaml");
    let given: BTreeSet<String> = deployment
        .split(|c: char| !(c.is_ascii_lowercase() || c == '-'))
        .filter(|word| word.starts_with("--") && word.len() > 2)
        .map(str::to_owned)
        .collect();
    let help = Command::new(env!("CARGO_BIN_EXE_bowline")).args(["run", "--help"]).output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let known: BTreeSet<String> = help
        .split_whitespace()
        .map(|word| word.split(['=', '[', ',']).next().unwrap_or_default().to_owned())
        .filter(|word| word.starts_with("--"))
        .collect();
    assert!(given.len() > 15, "{given:?}");
    let unknown: Vec<_> = given.difference(&known).collect();
    assert!(unknown.is_empty(), "{unknown:?} are not among {known:?}");
}

/// Value sets, each with what it turns from its default.
const VALUE_SETS: [(&str, &str); 4] = [
    ("the defaults", ""),
    (
        "an environment, and names of one's own",
        "git:\n  url: git@git.example.com:team/releases.git\n  branch: release/1.x\n  environment: staging\n  \
         secretName: deploy-key\n  interval: 30s\nfullnameOverride: gitops\ncommonLabels:\n  team: \"007\"\n\
         image:\n  repository: registry.example.com/bowline\n  \
         digest: sha256:00000000000000000000000000000000000000000000000000000000000000aa\n\
         imagePullSecrets:\n  - name: registry\n",
    ),
    (
        "few rights, and all that is off",
        "rbac:\n  clusterAdmin: false\n  additionalRules:\n    - apiGroups: [example.com]\n      \
         resources: [\"*\"]\n      verbs: [get, list, watch]\nserviceAccount:\n  name: gitops\n  annotations:\n    \
         example.com/role: \"arn:aws:iam::1:role/x\"\ncrds:\n  install: false\nleaderElection:\n  enabled: false\n\
         watchAllNamespaces: false\nwatchLabelSelector: team in (a, b)\nnoCrossNamespaceRefs: true\ndefaultServiceAccount: deployer\n\
         networkPolicy:\n  enabled: false\npodDisruptionBudget:\n  enabled: false\n",
    ),
    (
        "everything that is off turned on, and lists and maps filled",
        "replicas: 2\nserviceMonitor:\n  enabled: true\n  labels:\n    release: prometheus\nservice:\n  port: 8081\n  \
         annotations:\n    example.com/a: b\nlog:\n  level: info,kube=debug\n  encoding: console\n\
         terminationGracePeriodSeconds: 90\nnodeSelector: null\ntolerations:\n  - operator: Exists\naffinity:\n  \
         nodeAffinity: {}\npriorityClassName: high\nextraArgs: [--git-branch=x]\nextraEnv:\n  - name: HTTPS_PROXY\n    \
         value: http://proxy:3128\nextraVolumes:\n  - name: ca\n    secret:\n      secretName: ca\n\
         extraVolumeMounts:\n  - name: ca\n    mountPath: /etc/ssl/certs\npodAnnotations:\n  multi: |\n    a\n    b\n\
         resources:\n  limits:\n    cpu: 2\n",
    ),
];

pub fn chart() -> PathBuf {
    repository().join("charts/bowline")
}

/// The manifest and the notes, as our engine renders them.
fn ours(values: &str) -> (String, String) {
    let chart = Arc::new(Chart::load(&chart(), &Links::Follow).unwrap());
    let options = Options::install("bowline", "flux-system", Env::at(jiff::Timestamp::now(), &SystemRandom));
    let values = chart_values::load(values.as_bytes()).unwrap();
    let rendered = render(&chart, &values, &options).unwrap_or_else(|failure| panic!("{}", failure.error));
    assert!(rendered.hooks.is_empty(), "hooks are rendered apart and would have to be compared too");
    (rendered.manifest(), rendered.notes)
}

/// The same, by the real helm.
fn helms(values: &str) -> (String, String) {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), values).unwrap();
    let (chart, values) = (chart(), file.path().to_str().unwrap());
    let release = helm_offline(&[
        "install",
        "bowline",
        chart.to_str().unwrap(),
        "--namespace=flux-system",
        "--dry-run=client",
        "--output=json",
        "--values",
        values,
    ]);
    let release: Value = serde_json::from_str(&release).unwrap();
    let text = |pointer: &str| release.pointer(pointer).and_then(Value::as_str).unwrap().to_owned();
    (text("/manifest"), text("/info/notes"))
}

#[test]
fn the_chart_renders_to_the_same_bytes_as_by_helm() {
    let mut seen = BTreeSet::new();
    for (what, values) in VALUE_SETS {
        let ours = ours(values);
        assert_eq!(ours, helms(values), "{what}");
        assert!(seen.insert(ours), "{what} turns nothing");
    }
}

/// A kubeconfig for the token of a `ServiceAccount`.
pub fn kubeconfig_of(cluster: &Cluster, namespace: &str, account: &str, folder: &Path) -> PathBuf {
    let token = cluster.kubectl(&["create", "token", account, "-n", namespace, "--duration=1h"]);
    let admin = cluster.kubectl(&["config", "view", "--raw", "--minify", "--flatten", "--output=json"]);
    let mut config: Value = serde_json::from_str(&admin).unwrap();
    config["users"][0]["user"] = json!({ "token": token.trim() });
    let path = folder.join("kubeconfig");
    fs::write(&path, config.to_string()).unwrap();
    path
}

/// A repository whose `staging/` makes a namespace and a release in it, and one that needs no new namespace.
fn releases() -> GitRemote {
    let release = |name: &str, namespace: &str| {
        format!(
            "apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\n\
             metadata: {{name: {name}, namespace: {namespace}}}\n\
             spec:\n  interval: 1h\n  install: {{remediation: {{retries: -1}}}}\n  chart:\n    spec:\n      \
             chart: ./charts/ui\n      \
             sourceRef: {{kind: GitRepository, name: staging, namespace: flux-system}}\n"
        )
    };
    let remote = GitRemote::new();
    remote.copy(&repository().join("charts/ui"), "charts/ui");
    remote.write("staging/namespace.yaml", "apiVersion: v1\nkind: Namespace\nmetadata: {name: apps}\n");
    remote.write("staging/far.yaml", &release("far", "apps"));
    remote.write("staging/near.yaml", &release("near", "flux-system"));
    remote.push("two releases");
    remote
}

#[tokio::test(flavor = "multi_thread")]
async fn the_daemon_works_with_the_rights_that_the_chart_gives_and_says_which_it_lacks() {
    const NAMESPACE: &str = "flux-system";
    const SOON: Duration = Duration::from_mins(1);
    const LEASE: Kind = Kind("coordination.k8s.io", "v1", "Lease");
    let cluster = Cluster::own().await;
    let client = cluster.client().await;
    let chart = chart();
    let install = |cluster_admin: bool| {
        let rights = format!("rbac.clusterAdmin={cluster_admin}");
        let chart = chart.to_str().unwrap();
        cluster.helm(&[
            "upgrade",
            "--install",
            "bowline",
            chart,
            "-n",
            NAMESPACE,
            "--create-namespace",
            "--set",
            &rights,
        ]);
    };

    // Few rights: the lease, the definitions and our own kinds, but nothing that is installed.
    install(false);
    DEPLOYMENT.get(&client, NAMESPACE, "bowline").await.expect("the chart has a Deployment of that name");
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = kubeconfig_of(&cluster, NAMESPACE, "bowline", folder.path());
    let remote = releases();
    let git = GitServer::serve(&remote);
    let _daemon = Daemon::with_kubeconfig(&kubeconfig)
        .environment(&git, "staging")
        .args(&["--enable-leader-election", "--max-retry-delay=2s"])
        .started();
    let held = |lease: &kube::api::DynamicObject| field(lease, "/spec/holderIdentity").is_string();
    LEASE.until(&client, (NAMESPACE, "bowline-leader-election"), SOON, "be held", held).await;
    let refused = KUSTOMIZATION.ready(&client, (NAMESPACE, "staging"), SOON, ("False", "forbidden")).await;
    let message = field(&refused, "/status/conditions").to_string();
    assert!(message.contains("namespaces") && message.contains("apps"), "what is refused is named: {message}");
    HELM_RELEASE.ready(&client, (NAMESPACE, "near"), SOON, ("False", "forbidden")).await;
    let near = cluster.kubectl(&[
        "get",
        "deployments,secrets",
        "-n",
        NAMESPACE,
        "-l",
        "app.kubernetes.io/instance=near",
        "-o",
        "name",
    ]);
    assert_eq!(near, "", "nothing of the release was written");

    // All rights, given to the daemon that is running.
    install(true);
    for (kind, namespace, name) in
        [(KUSTOMIZATION, NAMESPACE, "staging"), (HELM_RELEASE, "apps", "far"), (HELM_RELEASE, NAMESPACE, "near")]
    {
        kind.ready(&client, (namespace, name), SOON, ("True", "")).await;
    }
    let listed: Value = serde_json::from_str(&cluster.helm(&["list", "-A", "-o", "json"])).unwrap();
    let listed: BTreeSet<_> =
        listed.as_array().unwrap().iter().map(|release| release["name"].as_str().unwrap()).collect();
    assert_eq!(listed, ["bowline", "far", "near"].into());

    // The definitions are the daemon's, and stay with all objects when the chart goes.
    cluster.helm(&["uninstall", "bowline", "-n", NAMESPACE, "--wait"]);
    assert!(HELM_RELEASE.get(&client, "apps", "far").await.is_some());
}
