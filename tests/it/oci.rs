//! Registries on a control plane: what an OCIRepository, a HelmRepository of type oci and a release of them become.

use std::{fs, path::Path, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use kube::{
    Client,
    api::{DynamicObject, Patch, PatchParams},
};
use serde_json::{Value, json};

use crate::harness::{
    Cluster,
    cluster::helm_offline,
    daemon::Daemon,
    objects::{
        BUCKET, CONFIG_MAP, HELM_CHART, HELM_RELEASE, HELM_REPOSITORY, Kind, OCI_REPOSITORY, SECRET, condition, field,
    },
    programs::repository,
    registry::{READER, Registry},
    tls::TlsFront,
};

const SOON: Duration = Duration::from_secs(30);

/// A control plane with the daemon on it, a registry with the chart `note`, and a namespace.
struct Lab {
    dir: tempfile::TempDir,
    registry: Registry,
    client: Client,
    namespace: String,
    _daemon: Daemon,
    _cluster: Cluster,
}

impl Lab {
    async fn new() -> Self {
        let (dir, cluster, registry) = (tempfile::tempdir().unwrap(), Cluster::own().await, Registry::start().await);
        let definitions = repository().join("crds");
        cluster.kubectl(&["apply", "--server-side", "--filename", text_of(&definitions)]);
        cluster.kubectl(&["wait", "--for=condition=established", "--timeout=30s", "crd", "--all"]);
        let daemon = Daemon::on(&cluster).started();
        let namespace = cluster.namespace("oci").await;
        let lab = Self { client: cluster.client().await, dir, registry, namespace, _daemon: daemon, _cluster: cluster };
        lab.push("1.0.0", "first");
        lab
    }

    /// Pushes a version of the chart `note`, of one ConfigMap with a text.
    fn push(&self, version: &str, text: &str) {
        let chart = self.dir.path().join("note");
        fs::create_dir_all(chart.join("templates")).unwrap();
        fs::write(chart.join("Chart.yaml"), format!("apiVersion: v2\nname: note\nversion: {version}\n")).unwrap();
        let manifest = format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {{{{ .Release.Name }}}}}}\ndata: {{text: {text}, chart: {{{{ \
             .Chart.Version }}}}}}\n"
        );
        fs::write(chart.join("templates/note.yaml"), manifest).unwrap();
        helm_offline(&["package", text_of(&chart), "--destination", text_of(self.dir.path())]);
        self.registry.push(&self.dir.path().join(format!("note-{version}.tgz")));
    }

    async fn apply(&self, kind: Kind, name: &str, spec: Value) {
        let Kind(group, version, word) = kind;
        let api_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
        let mut object = json!({ "apiVersion": api_version, "kind": word, "metadata": { "name": name } });
        json_patch::merge(&mut object, &spec);
        let params = PatchParams::apply("test").force();
        let api = kind.api(&self.client, &self.namespace);
        api.patch(name, &params, &Patch::Apply(&object)).await.unwrap_or_else(|error| panic!("{name}: {error}"));
    }

    async fn repository(&self, name: &str, registry: &Registry, extra: Value) {
        let mut spec = json!({ "url": format!("{}/charts/note", registry.url()), "interval": "1m", "insecure": true });
        json_patch::merge(&mut spec, &extra);
        self.apply(OCI_REPOSITORY, name, json!({ "spec": spec })).await;
    }

    async fn ready(&self, kind: Kind, name: &str, status: &str, message: &str) -> DynamicObject {
        kind.ready(&self.client, (&self.namespace, name), SOON, (status, message)).await
    }

    async fn ask(&self, kind: Kind, name: &str) {
        let now = jiff::Timestamp::now().to_string();
        let patch = json!({"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": now}}});
        let api = kind.api(&self.client, &self.namespace);
        api.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    }

    async fn login(&self, name: &str, password: &str) {
        let login = json!({ "auths": { "127.0.0.1": {}, "HOST": { "username": READER.0, "password": password } } });
        let text = login.to_string().replace("HOST", &self.login_host());
        let data = json!({ ".dockerconfigjson": STANDARD.encode(text) });
        let secret = json!({ "type": "kubernetes.io/dockerconfigjson", "data": data });
        self.apply(SECRET, name, secret).await;
    }

    fn login_host(&self) -> String {
        fs::read_to_string(self.dir.path().join("closed")).unwrap()
    }

    async fn note_says(&self, name: &str, text: &str) -> DynamicObject {
        let key = (self.namespace.as_str(), name);
        CONFIG_MAP.until(&self.client, key, SOON, &format!("say {text}"), |map| field(map, "/data/text") == text).await
    }
}

fn text_of(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_artifact_is_stored_by_tag_range_and_digest_and_a_tag_that_moves_is_seen() {
    let lab = Lab::new().await;
    lab.repository("tag", &lab.registry, json!({ "ref": { "tag": "1.0.0" } })).await;
    let stored = lab.ready(OCI_REPOSITORY, "tag", "True", "stored artifact for digest '1.0.0@sha256:").await;
    let artifact = field(&stored, "/status/artifact").clone();
    let revision = artifact["revision"].as_str().unwrap().to_owned();
    let digest = revision.split('@').nth(1).unwrap().to_owned();
    assert!(artifact["path"].as_str().unwrap().ends_with(&format!("/tag/{digest}.tar.gz")), "{artifact}");
    assert_eq!(artifact["metadata"]["org.opencontainers.image.title"], "note");
    assert_eq!(condition(&stored, "ArtifactInStorage").unwrap().reason, "Succeeded");
    assert!(field(&stored, "/status/url").as_str().unwrap().ends_with("/latest.tar.gz"));

    lab.repository("digest", &lab.registry, json!({ "ref": { "digest": digest, "tag": "other" } })).await;
    lab.ready(OCI_REPOSITORY, "digest", "True", &format!("stored artifact for digest '{digest}'")).await;
    lab.push("1.1.0", "second");
    lab.repository("range", &lab.registry, json!({ "ref": { "semver": "1.x" } })).await;
    lab.ready(OCI_REPOSITORY, "range", "True", "'1.1.0@sha256:").await;

    lab.push("1.0.0", "moved");
    lab.ask(OCI_REPOSITORY, "tag").await;
    let key = (lab.namespace.as_str(), "tag");
    let moved = |object: &DynamicObject| field(object, "/status/artifact/revision") != revision.as_str();
    let moved = OCI_REPOSITORY.until(&lab.client, key, SOON, "have another revision", moved).await;
    assert!(field(&moved, "/status/artifact/revision").as_str().unwrap().starts_with("1.0.0@sha256:"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stands_in_the_way_of_an_artifact_is_said_as_flux_does() {
    let lab = Lab::new().await;
    let closed = lab.registry.closed().await;
    fs::write(lab.dir.path().join("closed"), closed.host()).unwrap();
    lab.login("login", READER.1).await;
    lab.login("wrong", "wrong").await;
    let table = [
        ("unknown", json!({ "ref": { "tag": "6.1.0" } }), "OCIArtifactPullFailed", " MANIFEST_UNKNOWN", false),
        (
            "broken",
            json!({ "ref": { "digest": "sha256:invalid" } }),
            "OCIArtifactPullFailed",
            "failed to determine artifact digest",
            false,
        ),
        ("none", json!({ "ref": { "semver": ">5" } }), "ReadOperationFailed", "no match found for semver: >5", false),
        (
            "layer",
            json!({ "layerSelector": { "mediaType": "a/b" }, "ref": { "tag": "1.0.0" } }),
            "OCIArtifactLayerOperationFailed",
            "failed to find layer with media type 'a/b' in artifact",
            false,
        ),
        ("verify", json!({ "verify": { "provider": "cosign" } }), "UnsupportedField", "spec.verify", false),
        ("cloud", json!({ "provider": "aws" }), "UnsupportedField", "spec.provider", false),
        (
            "nobody",
            json!({ "ref": { "tag": "1.0.0" } }),
            "OCIArtifactPullFailed",
            "failed to determine artifact digest",
            true,
        ),
        (
            "liar",
            json!({ "secretRef": { "name": "wrong" }, "ref": { "tag": "1.0.0" } }),
            "OCIArtifactPullFailed",
            "UNAUTHORIZED",
            true,
        ),
        ("secret", json!({ "secretRef": { "name": "absent" } }), "AuthenticationFailed", "/absent'", true),
        ("account", json!({ "serviceAccountName": "absent" }), "AuthenticationFailed", "/absent' not found", true),
    ];
    for (name, extra, reason, message, is_closed) in table {
        lab.repository(name, if is_closed { &closed } else { &lab.registry }, extra).await;
        let object = lab.ready(OCI_REPOSITORY, name, "False", message).await;
        assert_eq!(condition(&object, "Ready").unwrap().reason, reason, "{name}");
        if reason != "UnsupportedField" {
            assert_eq!(condition(&object, "FetchFailed").unwrap().reason, reason, "{name}");
        }
    }
    lab.repository("tagged", &lab.registry, json!({ "url": format!("{}/charts/note:1", lab.registry.url()) })).await;
    let object = lab.ready(OCI_REPOSITORY, "tagged", "False", "URL validation failed for").await;
    assert_eq!(condition(&object, "Stalled").unwrap().reason, "URLInvalid");

    let account = json!({ "imagePullSecrets": [{ "name": "login" }] });
    lab.apply(Kind("", "v1", "ServiceAccount"), "puller", account).await;
    for (name, extra) in [
        ("known", json!({ "secretRef": { "name": "login" } })),
        ("pulled", json!({ "serviceAccountName": "puller" })),
        ("either", json!({ "secretRef": { "name": "login" }, "provider": "azure" })),
    ] {
        let mut spec = json!({ "ref": { "tag": "1.0.0" } });
        json_patch::merge(&mut spec, &extra);
        lab.repository(name, &closed, spec).await;
        lab.ready(OCI_REPOSITORY, name, "True", "stored artifact").await;
    }
    // A change of the spec revives what had stalled.
    lab.repository("verify", &lab.registry, json!({ "ref": { "tag": "1.0.0" } })).await;
    lab.ready(OCI_REPOSITORY, "verify", "True", "stored artifact").await;

    let front = TlsFront::to(&format!("http://{}", lab.registry.host())).await;
    let url = format!("{}/charts/note", front.url().replace("https://", "oci://"));
    for (name, authority) in [("authority", front.authority()), ("broken-authority", "invalid")] {
        lab.apply(SECRET, name, json!({ "data": { "ca.crt": STANDARD.encode(authority) } })).await;
    }
    for (name, extra, status, message) in [
        ("unvouched", json!({}), "False", "failed to determine artifact digest"),
        ("unverified", json!({ "insecure": true }), "True", "stored artifact"),
        ("vouched", json!({ "certSecretRef": { "name": "authority" } }), "True", "stored artifact"),
        (
            "broken-ca",
            json!({ "certSecretRef": { "name": "broken-authority" } }),
            "False",
            "failed to parse CA certificate",
        ),
    ] {
        let mut spec = json!({ "url": url, "insecure": false, "ref": { "tag": "1.0.0" } });
        json_patch::merge(&mut spec, &extra);
        lab.repository(name, &lab.registry, spec).await;
        lab.ready(OCI_REPOSITORY, name, status, message).await;
    }

    let bucket = json!({ "spec": { "bucketName": "b", "endpoint": "minio.test", "interval": "1m" } });
    lab.apply(BUCKET, "bucket", bucket).await;
    let bucket = lab.ready(BUCKET, "bucket", "False", "kind Bucket is not supported by this version").await;
    assert_eq!(condition(&bucket, "Stalled").unwrap().reason, "UnsupportedField");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_follows_an_oci_repository_whose_digest_its_version_tells_of() {
    let lab = Lab::new().await;
    lab.repository("note", &lab.registry, json!({ "ref": { "tag": "1.0.0" } })).await;
    let chart = json!({ "chartRef": { "kind": "OCIRepository", "name": "note" }, "interval": "10m" });
    lab.apply(HELM_RELEASE, "app", json!({ "spec": chart })).await;
    let release = lab.ready(HELM_RELEASE, "app", "True", "").await;
    lab.note_says("app", "first").await;
    let repository = OCI_REPOSITORY.get(&lab.client, &lab.namespace, "note").await.unwrap();
    let digest = |object: &DynamicObject| {
        let revision = field(object, "/status/artifact/revision").as_str().unwrap().to_owned();
        revision.split('@').nth(1).unwrap().to_owned()
    };
    let first = digest(&repository);
    let version = format!("1.0.0+{}", &first["sha256:".len()..][..12]);
    assert_eq!(field(&release, "/status/lastAttemptedRevision"), version.as_str());
    assert_eq!(field(&release, "/status/lastAttemptedRevisionDigest"), first.as_str());
    assert_eq!(field(&release, "/status/history/0/ociDigest"), first.as_str());
    assert_eq!(field(&release, "/status/history/0/chartVersion"), version.as_str());

    // The tag moves: the version is the same, and the release is upgraded.
    lab.push("1.0.0", "moved");
    lab.ask(OCI_REPOSITORY, "note").await;
    let note = lab.note_says("app", "moved").await;
    assert!(field(&note, "/data/chart").as_str().unwrap().starts_with("1.0.0+"));
    let key = (lab.namespace.as_str(), "app");
    let second = |object: &DynamicObject| field(object, "/status/history/0/version") == 2;
    let release = HELM_RELEASE.until(&lab.client, key, SOON, "have two revisions", second).await;
    assert_ne!(field(&release, "/status/history/0/ociDigest"), first.as_str());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chart_is_pulled_from_a_registry_that_a_helm_repository_names() {
    let lab = Lab::new().await;
    let closed = lab.registry.closed().await;
    fs::write(lab.dir.path().join("closed"), closed.host()).unwrap();
    lab.login("login", READER.1).await;
    lab.push("1.1.0+build.7", "second");
    let spec = json!({ "type": "oci", "url": format!("{}/charts/", closed.url()), "insecure": true });
    lab.apply(HELM_REPOSITORY, "registry", json!({ "spec": spec })).await;
    let chart = |chart: &str, version: &str| {
        let source = json!({ "kind": "HelmRepository", "name": "registry" });
        json!({ "spec": { "chart": chart, "version": version, "interval": "10m", "sourceRef": source } })
    };
    lab.apply(HELM_CHART, "range", chart("note", "1.x")).await;
    let object = lab.ready(HELM_CHART, "range", "False", "failed to authenticate with the Helm repository").await;
    assert_eq!(condition(&object, "Ready").unwrap().reason, "AuthenticationFailed");

    // The registry's login is found in its Secret, and its charts try again at once.
    let spec = json!({ "type": "oci", "url": format!("{}/charts/", closed.url()), "insecure": true, "secretRef": { "name": "login" } });
    lab.apply(HELM_REPOSITORY, "registry", json!({ "spec": spec })).await;
    let object = lab.ready(HELM_CHART, "range", "True", "pulled 'note' chart with version '1.1.0+build.7'").await;
    assert_eq!(condition(&object, "Ready").unwrap().reason, "ChartPullSucceeded");
    assert_eq!(field(&object, "/status/artifact/revision"), "1.1.0+build.7");
    assert_eq!(field(&object, "/status/observedSourceArtifactRevision"), &Value::Null);
    let repository = HELM_REPOSITORY.get(&lab.client, &lab.namespace, "registry").await.unwrap();
    assert_eq!(field(&repository, "/status/conditions"), &Value::Null, "a registry has no status");

    lab.apply(HELM_CHART, "exact", chart("note", "1.0.0")).await;
    lab.ready(HELM_CHART, "exact", "True", "pulled 'note' chart with version '1.0.0'").await;
    lab.apply(HELM_CHART, "absent", chart("note", "7.0.0")).await;
    let object = lab.ready(HELM_CHART, "absent", "False", "chart pull error: failed to download chart").await;
    assert_eq!(condition(&object, "Ready").unwrap().reason, "ChartPullError");
    let reference = json!({ "chartRef": { "kind": "HelmChart", "name": "exact" }, "interval": "10m" });
    lab.apply(HELM_RELEASE, "app", json!({ "spec": reference })).await;
    lab.ready(HELM_RELEASE, "app", "True", "").await;
    lab.note_says("app", "first").await;
}
