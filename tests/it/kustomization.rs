//! The Kustomization controller on a control plane: its sources are artifacts that the test stores, so that the folder
//! is what the test says.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
    time::Duration,
};

use bowline::{
    api::{self, GitRepository, Kustomization},
    cluster::{
        accounts::ServiceAccounts,
        connection::{Connection, Connections},
        events::EventRecorder,
        kubeconfig::Allowed,
        watch::OwnedObjects,
    },
    metrics::Metrics,
    reconcile::{
        backoff::RetryDelay,
        environment::{self, Environments, triggers},
        shell::{self, Shell},
        watched::{Scope, Watched},
    },
    source::{archive::ArchiveWriter, store::ArtifactStore},
};
use jiff::Timestamp;
use kube::{
    Api, Client,
    api::{DeleteParams, Patch, PatchParams},
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::harness::{
    Cluster,
    cluster::client,
    objects::{CONFIG_MAP, DEPLOYMENT, KUSTOMIZATION, Kind, SECRET, condition, field},
};

const SOON: Duration = Duration::from_secs(30);
const THING: Kind = Kind("environment.test", "v1", "Thing");

/// A control plane with the controller at work, for all tests here.
struct Bench {
    cluster: Cluster,
    store: ArtifactStore,
    _folder: tempfile::TempDir,
}

impl Bench {
    async fn get() -> &'static Self {
        static BENCH: tokio::sync::OnceCell<Bench> = tokio::sync::OnceCell::const_new();
        BENCH.get_or_init(Self::start).await
    }

    async fn start() -> Self {
        let cluster = Cluster::own().await;
        let folder = tempfile::tempdir().expect("a folder can be made");
        let store = ArtifactStore::open(folder.path(), "localhost").expect("a store can be opened");
        let admin = cluster.client().await;
        let params = PatchParams::apply("test").force();
        for definition in api::crds() {
            let name = definition.metadata.name.clone().expect("definitions have names");
            let definitions: Api<
                k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
            > = Api::all(admin.clone());
            definitions.patch(&name, &params, &Patch::Apply(&definition)).await.expect("a definition can be applied");
            let established = kube::runtime::conditions::is_crd_established();
            kube::runtime::wait::await_condition(definitions, &name, established).await.expect("it is established");
        }
        let (kubeconfig, of_controller) = (cluster.bowline_kubeconfig().to_owned(), store.clone());
        // The tests have a runtime each, and end it: the controller needs one of its own.
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Runtime::new().expect("a runtime can be made");
            runtime.block_on(async move { control(client(&kubeconfig).await, of_controller).await });
        });
        Self { cluster, store, _folder: folder }
    }
}

async fn control(client: Client, store: ArtifactStore) {
    let shutdown = CancellationToken::new();
    let (owned, drifts) = OwnedObjects::new(client.clone(), environment::ownership(&[]), Duration::from_hours(1));
    let sources = Arc::new(triggers::SourceChanges::default());
    let cell: Arc<OnceLock<Arc<Watched<Kustomization>>>> = Arc::default();
    let watched = Watched::<Kustomization>::new();
    let dependents = cell.clone();
    watched.listen(move |change| {
        if let Some(watched) = dependents.get() {
            triggers::on_dependency_change(watched, change);
        }
    });
    let watched = Arc::new(watched);
    cell.set(watched.clone()).ok().expect("set once");
    let git_repositories = Watched::<GitRepository>::new();
    let (of_sources, changes) = (watched.clone(), sources.clone());
    git_repositories.listen(move |change| triggers::on_source_change(&of_sources, &changes, change));
    let git_repositories = Arc::new(git_repositories);
    let environments = Arc::new(Environments {
        connections: Arc::new(Connections::new(Connection::new(client.clone()), Allowed::default(), 4)),
        accounts: Arc::new(ServiceAccounts::new(client.clone(), None, |_| {})),
        default_service_account: None,
        folded: environment::ownership(&[]).folded,
        watched: watched.clone(),
        git_repositories: git_repositories.clone(),
        store,
        owned: Arc::new(owned),
        sources,
        events: EventRecorder::start(client.clone(), "kustomize-controller", "test".to_owned(), shutdown.clone()),
        no_cross_namespace_refs: false,
        memory: bowline::reconcile::environment::memory::Memory::default(),
    });
    let shell = Shell {
        client: client.clone(),
        metrics: Arc::new(Metrics::default()),
        concurrent: 4,
        retry: RetryDelay { min: Duration::from_millis(200), max: Duration::from_secs(5) },
        jitter_percentage: 0,
        shutdown: shutdown.clone(),
    };
    let everywhere = Scope::default();
    tokio::join!(
        git_repositories.watch(client.clone(), &everywhere, shutdown.clone()),
        watched.watch(client.clone(), &everywhere, shutdown.clone()),
        triggers::on_drift(watched.clone(), drifts),
        async {
            git_repositories.ready().await;
            shell::run(environments, watched.clone(), shell).await;
        },
    );
}

/// One test's namespace with a source and a Kustomization.
struct Environment {
    bench: &'static Bench,
    client: Client,
    namespace: String,
    files: BTreeMap<String, String>,
    commits: u32,
}

impl Environment {
    async fn new(prefix: &str) -> Self {
        let bench = Bench::get().await;
        let client = bench.cluster.client().await;
        let namespace = bench.cluster.namespace(prefix).await;
        let source = json!({"apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "GitRepository",
            "metadata": {"name": "source", "namespace": namespace}, "spec": {"interval": "1h", "url": "https://example.com/x"}});
        bench.cluster.apply(&source.to_string());
        Self { bench, client, namespace, files: BTreeMap::new(), commits: 0 }
    }

    fn key<'a>(&'a self, name: &'a str) -> (&'a str, &'a str) {
        (&self.namespace, name)
    }

    fn kubectl(&self, args: &[&str]) -> String {
        self.bench.cluster.kubectl(&[&["-n", &self.namespace], args].concat())
    }

    /// Writes a file of the folder.
    fn write(&mut self, path: &str, content: &str) -> &mut Self {
        self.files.insert(path.to_owned(), content.replace("NAMESPACE", &self.namespace));
        self
    }

    fn config(&mut self, name: &str, value: &str) -> &mut Self {
        let text = format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, namespace: NAMESPACE}}\ndata: {{key: '{value}'}}\n"
        );
        self.write(&format!("staging/{name}.yaml"), &text)
    }

    fn remove(&mut self, path: &str) -> &mut Self {
        self.files.remove(path).expect("the file is there");
        self
    }

    /// Makes an artifact of the files and gives it to the source; returns its revision.
    async fn commit(&mut self) -> String {
        self.commits += 1;
        let revision = format!("main@sha1:{:040}", self.commits);
        let mut writer = ArchiveWriter::new(Vec::new()).expect("an archive can be begun");
        let mut folders = std::collections::BTreeSet::from(["staging".to_owned()]);
        if self.files.keys().all(|path| !path.starts_with("staging/")) && self.files.contains_key("no-staging") {
            folders.clear();
        }
        for path in self.files.keys() {
            let mut at = path.as_str();
            while let Some((parent, _)) = at.rsplit_once('/') {
                folders.insert(parent.to_owned());
                at = parent;
            }
        }
        for folder in folders {
            writer.folder(&folder).expect("a folder can be added");
        }
        for (path, content) in &self.files {
            writer.file(path, false, content.as_bytes()).expect("a file can be added");
        }
        let (bytes, _) = writer.finish().expect("an archive can be finished");
        let path = ArtifactStore::path("gitrepository", &self.namespace, "source", &format!("{}.tar.gz", self.commits));
        let artifact =
            self.bench.store.put(&path, &revision, bytes, Timestamp::now()).await.expect("an artifact can be stored");
        let sources: Api<GitRepository> = Api::namespaced(self.client.clone(), &self.namespace);
        let status = json!({"status": {"artifact": artifact}});
        sources.patch_status("source", &PatchParams::default(), &Patch::Merge(&status)).await.expect("status");
        revision
    }

    fn kustomization(&self, name: &str, spec: &Value) {
        let mut full = json!({"interval": "1h", "prune": true, "path": "./staging",
            "sourceRef": {"kind": "GitRepository", "name": "source"}});
        json_patch::merge(&mut full, spec);
        let object = json!({"apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization",
            "metadata": {"name": name, "namespace": self.namespace}, "spec": full});
        self.bench.cluster.apply(&object.to_string());
    }

    async fn ready(&self, name: &str, status: &str, message: &str) -> Value {
        let object = KUSTOMIZATION.ready(&self.client, self.key(name), SOON, (status, message)).await;
        object.data["status"].clone()
    }

    async fn has(&self, name: &str, value: &str) {
        let what = format!("hold {value}");
        let holds = |object: &kube::api::DynamicObject| object.data["data"]["key"] == value;
        CONFIG_MAP.until(&self.client, self.key(name), SOON, &what, holds).await;
    }
}

fn ids(status: &Value) -> Vec<&str> {
    let entries = status["inventory"]["entries"].as_array().map_or(&[][..], Vec::as_slice);
    entries.iter().filter_map(|entry| entry["id"].as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_is_applied_changed_and_pruned() {
    let mut environment = Environment::new("folder").await;
    environment.config("a", "1").config("b", "1");
    let first = environment.commit().await;
    environment.kustomization("apps", &json!({}));
    let status = environment.ready("apps", "True", &first).await;
    let ns = environment.namespace.clone();
    assert_eq!(ids(&status), [format!("{ns}_a__ConfigMap"), format!("{ns}_b__ConfigMap")]);
    assert_eq!(
        (&status["lastAppliedRevision"], &status["history"][0]["lastReconciledStatus"]),
        (&json!(first), &json!("ReconciliationSucceeded"))
    );
    let labels =
        CONFIG_MAP.get(&environment.client, &ns, "a").await.expect("there").metadata.labels.unwrap_or_default();
    assert_eq!(labels["kustomize.toolkit.fluxcd.io/name"], "apps");

    let log = environment.bench.cluster.audit_log();
    let mark = log.now();
    environment.config("b", "2").config("c", "1");
    let second = environment.commit().await;
    environment.ready("apps", "True", &second).await;
    environment.has("b", "2").await;
    // The log is written behind.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let written: Vec<_> = log
        .requests_since(mark, "bowline")
        .into_iter()
        .filter(|request| request.is_write() && request.uri.contains(&format!("/{ns}/configmaps/")))
        .map(|request| request.uri)
        .collect();
    assert_eq!(written.len(), 2, "what did not change is not asked for: {written:?}");
    assert!(written.iter().all(|uri| !uri.contains("/configmaps/a")), "{written:?}");

    environment.remove("staging/a.yaml").remove("staging/b.yaml").remove("staging/c.yaml");
    let third = environment.commit().await;
    environment.ready("apps", "True", &third).await;
    for name in ["a", "b", "c"] {
        CONFIG_MAP.gone(&environment.client, environment.key(name), SOON).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_cannot_be_read_is_named_and_nothing_is_pruned_meanwhile() {
    let mut environment = Environment::new("broken").await;
    environment.config("a", "1").config("b", "1");
    let first = environment.commit().await;
    environment.kustomization("apps", &json!({}));
    environment.ready("apps", "True", &first).await;

    environment.remove("staging/b.yaml").config("c", "1");
    environment.write("staging/bad.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x\n");
    environment.commit().await;
    let status = environment.ready("apps", "False", "staging/bad.yaml").await;
    environment.has("c", "1").await;
    environment.has("b", "1").await;
    let ns = &environment.namespace;
    assert!(ids(&status).contains(&format!("{ns}_b__ConfigMap").as_str()), "{status}");
    let ready = status["conditions"].as_array().and_then(|all| all.iter().find(|one| one["type"] == "Ready")).cloned();
    assert_eq!(ready.expect("Ready")["reason"], "BuildFailed");
    assert_eq!(status["lastAppliedRevision"], json!(first));

    environment.remove("staging/bad.yaml");
    let fixed = environment.commit().await;
    environment.ready("apps", "True", &fixed).await;
    CONFIG_MAP.gone(&environment.client, environment.key("b"), SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_is_refused_is_named_and_the_others_are_applied() {
    let mut environment = Environment::new("refused").await;
    environment.config("a", "1");
    environment.write(
        "staging/kinds.yaml",
        "apiVersion: example.com/v1\nkind: Nothing\nmetadata: {name: x, namespace: NAMESPACE}\n",
    );
    environment.write("staging/wrong.yaml", "\n---\napiVersion: v1\nkind: Service\nmetadata: {name: s, namespace: NAMESPACE}\nspec: {ports: [{port: 999999}]}\n");
    environment
        .write("staging/nowhere.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x, namespace: not-there}\n");
    environment.commit().await;
    environment.kustomization("apps", &json!({}));
    let status = environment.ready("apps", "False", "staging/wrong.yaml").await;
    environment.has("a", "1").await;
    let conditions = status["conditions"].to_string();
    for part in [
        "ReconciliationFailed",
        "staging/kinds.yaml",
        "no matches for kind",
        "staging/nowhere.yaml",
        "not-there",
        "999999",
    ] {
        assert!(conditions.contains(part), "{part}: {conditions}");
    }
    let events = environment.kubectl(&["events", "--for", "Kustomization/apps", "--types", "Warning"]);
    assert!(events.contains("staging/wrong.yaml"), "{events}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_someone_changes_by_hand_is_put_right_at_once() {
    let mut environment = Environment::new("drift").await;
    environment.config("a", "1").config("b", "1");
    let revision = environment.commit().await;
    environment.kustomization("apps", &json!({}));
    environment.ready("apps", "True", &revision).await;

    environment.kubectl(&["patch", "configmap", "a", "--type=merge", "-p", r#"{"data":{"key":"2"}}"#]);
    environment.has("a", "1").await;
    environment.kubectl(&["delete", "configmap", "b"]);
    environment.has("b", "1").await;
    environment.kubectl(&["label", "configmap", "a", "kustomize.toolkit.fluxcd.io/name-"]);
    let labelled = |object: &kube::api::DynamicObject| {
        object.metadata.labels.as_ref().is_some_and(|all| all.contains_key("kustomize.toolkit.fluxcd.io/name"))
    };
    CONFIG_MAP.until(&environment.client, environment.key("a"), SOON, "have its label back", labelled).await;
    environment.ready("apps", "True", &revision).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_asks_to_be_left_alone_is_left_alone() {
    let mut environment = Environment::new("alone").await;
    environment.config("a", "1").config("b", "1");
    let with = |name: &str, key: &str, value: &str| {
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, namespace: NAMESPACE, annotations: {{kustomize.toolkit.fluxcd.io/{key}: {value}}}}}\ndata: {{key: source}}\n"
        )
    };
    environment.write("staging/kept.yaml", &with("kept", "prune", "disabled"));
    environment.write("staging/ignored.yaml", &with("ignored", "ssa", "Ignore"));
    environment.write("staging/once.yaml", &with("once", "ssa", "IfNotPresent"));
    environment.kubectl(&["create", "configmap", "once", "--from-literal=key=cluster"]);
    environment.kubectl(&["annotate", "configmap", "once", "other=x"]);
    let first = environment.commit().await;
    environment.kustomization("apps", &json!({}));
    environment.ready("apps", "True", &first).await;
    environment.has("once", "cluster").await;
    assert!(CONFIG_MAP.get(&environment.client, &environment.namespace, "ignored").await.is_none());

    environment.kubectl(&["annotate", "configmap", "a", "kustomize.toolkit.fluxcd.io/reconcile=disabled"]);
    environment.kubectl(&["patch", "configmap", "a", "--type=merge", "-p", r#"{"data":{"key":"mine"}}"#]);
    environment.config("a", "2").config("b", "2").remove("staging/kept.yaml");
    let second = environment.commit().await;
    environment.ready("apps", "True", &second).await;
    environment.has("b", "2").await;
    environment.has("a", "mine").await;
    environment.has("kept", "source").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_kubectl_applied_before_is_taken_over() {
    let mut environment = Environment::new("takeover").await;
    let file = tempfile::NamedTempFile::new().expect("file");
    let text = format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a, namespace: {}}}\ndata: {{key: '0', extra: x}}\n",
        environment.namespace
    );
    std::fs::write(file.path(), text).expect("written");
    environment.kubectl(&["apply", "-f", file.path().to_str().expect("text")]);
    environment.config("a", "1");
    let revision = environment.commit().await;
    environment.kustomization("apps", &json!({}));
    environment.ready("apps", "True", &revision).await;
    let object = CONFIG_MAP.get(&environment.client, &environment.namespace, "a").await.expect("there");
    assert_eq!(object.data["data"], json!({"key": "1"}));
    let managers: Vec<_> = object
        .metadata
        .managed_fields
        .unwrap_or_default()
        .into_iter()
        .map(|one| (one.manager, one.operation))
        .collect();
    assert_eq!(managers, [(Some("kustomize-controller".to_owned()), Some("Apply".to_owned()))]);
    assert!(object.metadata.annotations.unwrap_or_default().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn definitions_are_there_before_their_objects() {
    let mut environment = Environment::new("stages").await;
    environment.write(
        "staging/a-thing.yaml",
        "apiVersion: environment.test/v1\nkind: Thing\nmetadata: {name: t, namespace: NAMESPACE-sub}\nspec: {x: 1}\n",
    );
    environment.write("staging/b-namespace.yaml", "apiVersion: v1\nkind: Namespace\nmetadata: {name: NAMESPACE-sub}\n");
    environment.write(
        "staging/c-definition.yaml",
        "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: things.environment.test}\n\
         spec: {group: environment.test, scope: Namespaced, names: {kind: Thing, plural: things}, versions: [{name: v1, served: true, storage: true, \
         schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]}\n",
    );
    let revision = environment.commit().await;
    environment.kustomization("apps", &json!({}));
    let status = environment.ready("apps", "True", &revision).await;
    assert_eq!(ids(&status).len(), 3);
    let sub = format!("{}-sub", environment.namespace);
    assert!(THING.get(&environment.client, &sub, "t").await.is_some());

    let kustomizations: Api<Kustomization> = Api::namespaced(environment.client.clone(), &environment.namespace);
    kustomizations.delete("apps", &DeleteParams::default()).await.expect("deleted");
    KUSTOMIZATION.gone(&environment.client, environment.key("apps"), SOON).await;
    environment.kubectl(&["wait", "--for=delete", "crd/things.environment.test", "--timeout=30s"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_immutable_field_is_named_and_force_makes_the_object_anew() {
    let mut environment = Environment::new("immutable").await;
    let secret = |value: &str| {
        format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: s, namespace: NAMESPACE}}\nimmutable: true\nstringData: {{key: {value}}}\n"
        )
    };
    environment.write("staging/s.yaml", &secret("a"));
    let first = environment.commit().await;
    environment.kustomization("apps", &json!({}));
    environment.ready("apps", "True", &first).await;
    let before = SECRET.get(&environment.client, &environment.namespace, "s").await.expect("there").metadata.uid;

    environment.write("staging/s.yaml", &secret("b"));
    let second = environment.commit().await;
    environment.ready("apps", "False", "field is immutable").await;
    environment.kustomization("apps", &json!({"force": true}));
    environment.ready("apps", "True", &second).await;
    let after = SECRET.get(&environment.client, &environment.namespace, "s").await.expect("there");
    assert_ne!(after.metadata.uid, before);
    assert_eq!(field(&after, "/data/key"), "Yg==");
}

#[tokio::test(flavor = "multi_thread")]
async fn health_is_waited_for_and_said() {
    let mut environment = Environment::new("health").await;
    let deployment = |annotation: &str| {
        format!(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: d, namespace: NAMESPACE}}\nspec: {{replicas: 1, selector: {{matchLabels: {{app: d}}}}, template: {{metadata: {{labels: {{app: d}}, annotations: {{{annotation}}}}}, spec: {{containers: [{{name: c, image: example/x}}]}}}}}}\n"
        )
    };
    environment.write("staging/d.yaml", &deployment("case.test/unready: 'true'"));
    environment.commit().await;
    environment.kustomization("apps", &json!({"wait": true, "timeout": "1m"}));
    let checking = |object: &kube::api::DynamicObject| {
        condition(object, "Reconciling")
            .is_some_and(|one| one.message.starts_with("Running health checks for revision "))
            && condition(object, "Healthy").is_some_and(|one| one.status == "Unknown")
    };
    KUSTOMIZATION.until(&environment.client, environment.key("apps"), SOON, "check health", checking).await;
    environment.write("staging/d.yaml", &deployment(""));
    let second = environment.commit().await;
    let status = environment.ready("apps", "True", &second).await;
    assert!(status["conditions"].to_string().contains("Health check passed in "), "{status}");
    let available = |object: &kube::api::DynamicObject| field(object, "/status/availableReplicas") == 1;
    DEPLOYMENT.until(&environment.client, environment.key("d"), SOON, "be available", available).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_is_gone_prunes_nothing_and_one_that_is_empty_prunes_all() {
    let mut environment = Environment::new("vanished").await;
    environment.config("a", "1");
    let first = environment.commit().await;
    environment.kustomization("apps", &json!({}));
    environment.ready("apps", "True", &first).await;
    environment.remove("staging/a.yaml").write("no-staging", "x");
    environment.commit().await;
    environment.ready("apps", "False", "kustomization path not found").await;
    environment.has("a", "1").await;
    environment.remove("no-staging");
    let third = environment.commit().await;
    let status = environment.ready("apps", "True", &third).await;
    assert_eq!(ids(&status), Vec::<&str>::new());
    CONFIG_MAP.gone(&environment.client, environment.key("a"), SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_supported_stops_the_object_and_keeps_what_is_there() {
    let mut environment = Environment::new("unsupported").await;
    environment.config("a", "1");
    let first = environment.commit().await;
    environment.kustomization("apps", &json!({}));
    environment.ready("apps", "True", &first).await;
    environment.write("staging/kustomization.yaml", "resources: []\n");
    environment.commit().await;
    let status = environment.ready("apps", "False", "staging/kustomization.yaml").await;
    assert!(status["conditions"].to_string().contains("UnsupportedField"), "{status}");
    environment.has("a", "1").await;
    environment.kustomization("apps", &json!({"postBuild": {"substitute": {"a": "b"}}}));
    environment.ready("apps", "False", "spec.postBuild").await;
    environment.has("a", "1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dependency_that_becomes_ready_starts_what_waits_for_it() {
    let mut environment = Environment::new("depends").await;
    environment.config("a", "1");
    environment.write(
        "base/b.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: b, namespace: NAMESPACE}\ndata: {key: '1'}\n",
    );
    let revision = environment.commit().await;
    environment.kustomization("apps", &json!({"dependsOn": [{"name": "base"}]}));
    environment.ready("apps", "False", "dependency").await;
    environment.kustomization("base", &json!({"path": "base"}));
    environment.ready("apps", "True", &revision).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_object_is_left_alone_and_its_deletion_leaves_all() {
    let mut environment = Environment::new("suspended").await;
    environment.config("a", "1");
    let first = environment.commit().await;
    environment.kustomization("apps", &json!({}));
    environment.ready("apps", "True", &first).await;
    environment.kustomization("apps", &json!({"suspend": true}));
    environment.kubectl(&["delete", "kustomization", "apps", "--wait=true", "--timeout=30s"]);
    environment.has("a", "1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interval_in_which_nothing_changed_costs_no_request() {
    const BOWLINE: &str = "bowline";
    let mut environment = Environment::new("idle").await;
    environment.config("a", "1").config("b", "1");
    let revision = environment.commit().await;
    environment.kustomization("apps", &json!({"interval": "1s", "timeout": "1m"}));
    environment.ready("apps", "True", &revision).await;
    // The watch brings the controller's last write back, and events are sent behind.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let log = environment.bench.cluster.audit_log();
    let mark = log.now();
    tokio::time::sleep(Duration::from_secs(4)).await;
    let requests: Vec<_> = log
        .requests_since(mark, BOWLINE)
        .into_iter()
        .filter(|request| request.uri.contains(&environment.namespace) && request.verb != "watch")
        .map(|request| request.summary())
        .collect();
    assert_eq!(requests, Vec::<String>::new());
    environment.kubectl(&["patch", "configmap", "a", "--type=merge", "-p", r#"{"data":{"key":"2"}}"#]);
    environment.has("a", "1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_others_change_again_and_again_is_left_until_the_interval() {
    let mut environment = Environment::new("fight").await;
    environment.config("a", "1");
    let revision = environment.commit().await;
    environment.kustomization("apps", &json!({}));
    environment.ready("apps", "True", &revision).await;
    let change = |value: &str| {
        let patch = format!(r#"{{"data":{{"key":"{value}"}}}}"#);
        environment.kubectl(&["patch", "configmap", "a", "--type=merge", "-p", &patch]);
    };
    for round in 0..3 {
        change(&format!("theirs-{round}"));
        environment.has("a", "1").await;
    }
    change("theirs-at-last");
    let told = |list: &str| list.contains("was changed by others again after 3 corrections");
    let mut events = String::new();
    for _ in 0..50 {
        events = environment.kubectl(&["events", "--for", "Kustomization/apps", "--types", "Warning"]);
        if told(&events) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!(told(&events), "{events}");
    environment.has("a", "theirs-at-last").await;
    let at = json!({"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": "now"}}}).to_string();
    environment.kubectl(&["patch", "kustomization", "apps", "--type=merge", "-p", &at]);
    environment.has("a", "1").await;
}
