//! What is done to a cluster, on a control plane: applies, waits, Helm's records, events.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bowline::cluster::{
    apply::{self, ApplyOptions, Change, Deletion, Propagation, Target},
    discovery::{Discovery, DiscoveryError},
    events::{EventRecorder, Involved, Note, Severity},
    shared_watch::SharedWatches,
    status::JobRule,
    storage::{Record, ReleaseStorage, StorageError, to_prune},
    wait::{self, Ready, Sharing, WaitError, WaitOptions, WaitTarget},
};
use kube::Client;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::harness::{
    Cluster,
    objects::{EVENT, SECRET},
};

const SOON: Duration = Duration::from_secs(30);
const HELM: ApplyOptions<'_> = ApplyOptions { manager: "helm-controller", force: true, strict: true, dry_run: false };

struct Room {
    client: Client,
    discovery: Discovery,
    namespace: String,
}

impl Room {
    async fn new(prefix: &str) -> Self {
        let cluster = Cluster::shared();
        let client = cluster.client().await;
        let namespace = cluster.namespace(prefix).await;
        Self { discovery: Discovery::new(client.clone()), client, namespace }
    }

    fn object(&self, api_version: &str, kind: &str, name: &str, rest: &Value) -> Value {
        let mut object =
            json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": name, "namespace": self.namespace}});
        json_patch::merge(&mut object, rest);
        object
    }

    async fn apply(&self, object: &Value) -> Result<(Target, apply::Applied), apply::ApplyError> {
        let target = Target::of(&self.discovery, object).await?;
        let applied = apply::apply(&self.client, &target, object, HELM, None).await?;
        Ok((target, applied))
    }

    fn deployment(&self, name: &str, annotations: &Value) -> Value {
        let template = json!({"metadata": {"labels": {"app": name}, "annotations": annotations},
            "spec": {"containers": [{"name": "c", "image": "example/x"}]}});
        let labels = json!({"metadata": {"labels": {"room": "x"}}, "spec": {"replicas": 1,
            "selector": {"matchLabels": {"app": name}}, "template": template}});
        self.object("apps/v1", "Deployment", name, &labels)
    }

    async fn wait(&self, objects: &[Value], ready: Ready, timeout: Duration) -> Result<(), WaitError> {
        let mut targets = Vec::new();
        for object in objects {
            let (target, applied) = self.apply(object).await.expect("applied");
            targets.push(WaitTarget { target, known: Some(applied.object) });
        }
        let sharing = Some(Sharing { watches: Arc::new(SharedWatches::new(self.client.clone())), label: "room" });
        let options = WaitOptions { ready, timeout, checks: Arc::default(), fail_fast: true, sharing };
        wait::ready(&self.client, targets, &options, &CancellationToken::new()).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_apply_tells_what_it_did_and_names_what_is_wrong() {
    let room = Room::new("apply").await;
    let config = |value: &str| room.object("v1", "ConfigMap", "c", &json!({"data": {"a": value}}));
    assert_eq!(room.apply(&config("1")).await.expect("applied").1.change, Change::Created);
    // A change is told from none by the second.
    tokio::time::sleep(Duration::from_millis(2100)).await;
    assert_eq!(room.apply(&config("1")).await.expect("applied").1.change, Change::Unchanged);
    assert_eq!(room.apply(&config("2")).await.expect("applied").1.change, Change::Configured);

    let unknown = room.object("v1", "Service", "s", &json!({"spec": {"ports": [{"port": 80}], "colour": "red"}}));
    let error = room.apply(&unknown).await.expect_err("an unknown field").to_string();
    assert!(error.starts_with(&format!("Service/{}/s apply failed", room.namespace)), "{error}");
    assert!(error.contains("colour"), "{error}");
    let nowhere = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}});
    assert_eq!(
        room.apply(&nowhere).await.expect_err("no namespace").to_string(),
        "ConfigMap/c namespace not specified"
    );
    let nothing = room.object("example.com/v1", "Nothing", "n", &json!({}));
    assert!(room.apply(&nothing).await.expect_err("no kind").to_string().contains("no matches for kind \"Nothing\""));

    let secret = |value: &str| room.object("v1", "Secret", "s", &json!({"immutable": true, "data": {"a": value}}));
    room.apply(&secret("eA==")).await.expect("applied");
    let error = room.apply(&secret("eQ==")).await.expect_err("immutable");
    assert!(error.is_immutable());
    assert_eq!(error.fields(), ["data"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn kinds_and_capabilities_are_those_of_the_server() {
    let room = Room::new("kinds").await;
    let deployment = room.discovery.resolve("apps/v1", "Deployment").await.expect("served");
    assert_eq!((deployment.api.plural.as_str(), deployment.namespaced), ("deployments", true));
    let any = room.discovery.resolve_any_version("apps", "v1beta1", "Deployment").await.expect("served");
    assert_eq!(any.api.version, "v1");
    let missing = room.discovery.resolve("apps/v2", "Deployment").await;
    assert!(matches!(missing, Err(DiscoveryError::UnknownKind { .. })));
    let capabilities = room.discovery.capabilities().await.expect("known");
    for version in ["v1", "apps/v1", "apps/v1/Deployment", "policy/v1/PodDisruptionBudget"] {
        assert!(capabilities.api_versions.iter().any(|known| known == version), "{version}");
    }
    assert!(capabilities.git_version.starts_with("v1."), "{}", capabilities.git_version);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_ends_when_workloads_are_ready_and_names_those_that_are_not() {
    let room = Room::new("wait").await;
    let completed = Ready::Objects(JobRule::Completed);
    let objects = [
        room.deployment("a", &json!({})),
        room.deployment("b", &json!({})),
        room.object("v1", "ConfigMap", "c", &json!({})),
    ];
    room.wait(&objects, completed, SOON).await.expect("ready");
    let unready = [room.deployment("u", &json!({"case.test/unready": "true"})), room.deployment("a", &json!({}))];
    let error = room.wait(&unready, completed, Duration::from_secs(3)).await.expect_err("unready");
    let expected = format!("timeout waiting for: [Deployment/{}/u status: 'InProgress']", room.namespace);
    assert!(error.to_string().starts_with(&expected), "{error}");
    assert!(error.to_string().contains("Available: 0/1"), "{error}");

    let job = |name: &str, annotations: &Value| {
        let template = json!({"metadata": {"annotations": annotations},
            "spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "example/x"}]}});
        room.object(
            "batch/v1",
            "Job",
            name,
            &json!({"metadata": {"labels": {"room": "x"}}, "spec": {"backoffLimit": 0, "template": template}}),
        )
    };
    room.wait(&[job("good", &json!({}))], Ready::Hooks, SOON).await.expect("completed");
    let error =
        room.wait(&[job("bad", &json!({"case.test/fail": "true"}))], Ready::Hooks, SOON).await.expect_err("failed");
    assert!(matches!(error, WaitError::Failed(_)), "{error}");
    assert!(error.to_string().contains("Job Failed"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_deleted_is_waited_for_until_it_is_gone() {
    let room = Room::new("gone").await;
    let held = room.object("v1", "ConfigMap", "c", &json!({"metadata": {"finalizers": ["example.com/hold"]}}));
    let (target, _) = room.apply(&held).await.expect("applied");
    let Deletion::Pending(tree) =
        apply::delete(&room.client, &target, Propagation::Background, None).await.expect("deleted")
    else {
        panic!("the finalizer holds it");
    };
    let waited = vec![WaitTarget { target: target.clone(), known: Some(tree) }];
    let cancel = CancellationToken::new();
    let early = wait::gone(&room.client, waited.clone(), Duration::from_millis(500), &cancel).await;
    assert!(matches!(early, Err(WaitError::TimedOut(_))));
    let release = json!([{"op": "remove", "path": "/metadata/finalizers"}]);
    apply::json_patch(&room.client, &target, &release, "test").await.expect("released");
    wait::gone(&room.client, waited, SOON, &cancel).await.expect("gone");
    assert!(matches!(apply::delete(&room.client, &target, Propagation::Background, None).await, Ok(Deletion::Absent)));
}

#[tokio::test(flavor = "multi_thread")]
async fn records_are_written_once_found_by_name_and_listed() {
    let room = Room::new("records").await;
    let storage = ReleaseStorage::new(room.client.clone(), room.namespace.clone(), "helm-controller");
    let labels = BTreeMap::from([("team".to_owned(), "a".to_owned())]);
    let record = |revision: u32, status: &'static str| Record {
        name: "app",
        revision,
        status,
        labels: &labels,
        payload: b"SDRz",
    };
    for (revision, status) in [(1, "superseded"), (2, "deployed"), (10, "pending-upgrade")] {
        storage.create(&record(revision, status), 1_700_000_000).await.expect("created");
    }
    assert!(matches!(storage.create(&record(2, "deployed"), 0).await, Err(StorageError::Exists(_))));
    storage.update(&record(10, "failed"), 1_700_000_001).await.expect("updated");
    let history = storage.list("app").await.expect("listed");
    let seen: Vec<_> = history.iter().map(|one| (one.revision, one.status.as_str())).collect();
    assert_eq!(seen, [(1, "superseded"), (2, "deployed"), (10, "failed")]);
    assert_eq!(to_prune(&history, 2), [1, 10]);
    let newest = storage.newest("app").await.expect("read").expect("there");
    assert_eq!(
        (newest.revision.revision, newest.revision.managers.as_slice()),
        (10, &["helm-controller".to_owned()][..])
    );
    assert_eq!(newest.payload, b"SDRz");
    storage.delete("app", 1).await.expect("deleted");
    storage.delete("app", 1).await.expect("deleted before");
    assert!(storage.get("app", 1).await.expect("read").is_none());
    assert!(storage.newest("other").await.expect("read").is_none());
    let secret = SECRET.get(&room.client, &room.namespace, "sh.helm.release.v1.app.v10").await.expect("there");
    assert_eq!(secret.data["type"], "helm.sh/release.v1");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_event_again_raises_its_count() {
    let room = Room::new("events").await;
    let cancel = CancellationToken::new();
    let events = EventRecorder::start(room.client.clone(), "kustomize-controller", "here".to_owned(), cancel);
    let note = |message: &str| Note {
        involved: Involved {
            api_version: "v1".to_owned(),
            kind: "ConfigMap".to_owned(),
            namespace: room.namespace.clone(),
            name: "c".to_owned(),
            uid: "u".to_owned(),
            resource_version: String::new(),
        },
        severity: Severity::Warning,
        reason: "BuildFailed".to_owned(),
        message: message.to_owned(),
        annotations: BTreeMap::from([("kustomize.toolkit.fluxcd.io/revision".to_owned(), "r".to_owned())]),
    };
    for message in ["a", "a", "b", "a"] {
        events.publish(note(message));
    }
    let api = EVENT.api(&room.client, &room.namespace);
    let mut found = Vec::new();
    for _ in 0..100 {
        let list = api.list(&kube::api::ListParams::default()).await.expect("listed");
        found = list.items.iter().map(|one| (one.data["message"].clone(), one.data["count"].clone())).collect();
        found.sort_by_key(|(message, _)| message.to_string());
        if found == [(json!("a"), json!(3)), (json!("b"), json!(1))] {
            let annotations = list.items[0].metadata.annotations.clone().unwrap_or_default();
            assert_eq!(annotations["kustomize.toolkit.fluxcd.io/revision"], "r");
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{found:?}");
}
