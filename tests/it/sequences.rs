//! Random sequences of changes of the spec, faults and edits from outside: each ends in the state that a fresh install of
//! the last spec gives.
//!
//! `$BOWLINE_SEQUENCES` says how many are run, `$BOWLINE_SEQUENCE_SEED` which one is first; a failure names its seed.

use std::{collections::BTreeMap, time::Duration};

use kube::{
    Client,
    api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams},
};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::{
    harness::{
        objects::{CONFIG_MAP, DEPLOYMENT, HELM_RELEASE, Kind, SECRET, condition, field},
        programs::environment,
    },
    site::{DAEMON, Site},
};

/// How many sequences are run where nothing else is said.
const SEQUENCES: u64 = 3;
/// Releases of a sequence.
const RELEASES: u64 = 3;
const STEPS: u64 = 8;
const KINDS: [Kind; 3] = [CONFIG_MAP, SECRET, DEPLOYMENT];
/// How long a release may take to be as its spec says.
const SETTLED: Duration = Duration::from_mins(1);

const TEMPLATE: &str = r#"
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .Release.Name }}
data:
  text: {{ .Values.text | quote }}
{{- range $key, $value := .Values.more }}
  {{ $key }}: {{ $value | quote }}
{{- end }}
{{- if .Values.secret }}
---
apiVersion: v1
kind: Secret
metadata:
  name: {{ .Release.Name }}
stringData:
  password: {{ .Values.secret | quote }}
{{- end }}
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .Release.Name }}
  labels: {version: {{ .Chart.Version | quote }}}
spec:
  replicas: 0
  selector: {matchLabels: {app: {{ .Release.Name }}}}
  template:
    metadata: {labels: {app: {{ .Release.Name }}}}
    spec:
      containers:
        - {name: main, image: "example.org/main:{{ .Values.text }}"}
"#;

/// A source of numbers that a seed decides (splitmix64).
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % limit
    }

    pub fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        of[usize::try_from(self.below(of.len() as u64)).unwrap()].clone()
    }
}

/// One of the releases of a sequence, and what its spec says.
#[derive(Clone)]
struct Release {
    namespace: String,
    name: String,
    chart: &'static str,
    values: Value,
    mode: &'static str,
}

impl Release {
    fn spec(&self) -> Value {
        json!({
            "interval": "1h",
            "timeout": "30s",
            "chart": { "spec": { "chart": format!("./charts/{}", self.chart), "interval": "1h",
                "sourceRef": { "kind": "GitRepository", "name": "staging", "namespace": DAEMON } } },
            "install": { "disableWait": true, "remediation": { "retries": 3 } },
            "upgrade": { "disableWait": true, "remediation": { "retries": 3 } },
            "driftDetection": { "mode": self.mode },
            "values": self.values,
        })
    }

    async fn write(&self, client: &Client) {
        let object = json!({ "apiVersion": "helm.toolkit.fluxcd.io/v2", "kind": "HelmRelease",
            "metadata": { "name": self.name, "namespace": self.namespace }, "spec": self.spec() });
        let params = PatchParams::apply("a-person").force();
        let deadline = Instant::now() + SETTLED;
        let releases = HELM_RELEASE.api(client, &self.namespace);
        // The API server may be away for a moment.
        while let Err(error) = releases.patch(&self.name, &params, &Patch::Apply(&object)).await {
            assert!(Instant::now() < deadline, "{}: {error}", self.name);
            sleep(Duration::from_millis(200)).await;
        }
    }
}

fn values(random: &mut Random) -> Value {
    let text = random.pick(&["one", "two", "three"]);
    let mut more = serde_json::Map::new();
    for key in ["a", "b", "c"] {
        if random.below(2) == 0 {
            more.insert(key.to_owned(), json!(random.pick(&["x", "y"])));
        }
    }
    let secret = random.pick(&[json!(null), json!("swordfish"), json!("marlin")]);
    json!({ "text": text, "more": more, "secret": secret })
}

/// What happens in one step; a word for the log.
async fn step(site: &mut Site, random: &mut Random, release: &mut Release) -> String {
    match random.below(10) {
        0..=2 => {
            release.values = values(random);
            release.write(&site.client).await;
            format!("values {}", release.values)
        }
        3 => {
            release.chart = random.pick(&["small", "large"]);
            release.write(&site.client).await;
            format!("chart {}", release.chart)
        }
        4 => {
            release.mode = random.pick(&["enabled", "warn", "disabled"]);
            release.write(&site.client).await;
            format!("drift detection {}", release.mode)
        }
        5 | 6 => {
            let kind = random.pick(&KINDS);
            let api = kind.api(&site.client, &release.namespace);
            let _ = api.delete(&release.name, &DeleteParams::background()).await;
            format!("delete {}", kind.2)
        }
        7 => {
            let kind = random.pick(&KINDS);
            let patch = match kind.2 {
                "ConfigMap" => json!({ "data": { "text": "edited" } }),
                "Secret" => json!({ "stringData": { "password": "edited" } }),
                _ => json!({ "metadata": { "labels": { "version": "edited" } }, "spec": { "replicas": 2 } }),
            };
            let params = PatchParams { field_manager: Some("outside".to_owned()), ..PatchParams::default() };
            let api = kind.api(&site.client, &release.namespace);
            let _ = api.patch(&release.name, &params, &Patch::Merge(&patch)).await;
            format!("edit {}", kind.2)
        }
        8 => {
            site.daemon.kill();
            sleep(Duration::from_millis(random.below(300))).await;
            site.daemon.start();
            "kill".to_owned()
        }
        _ => {
            // A person goes back by hand, where there is something to go back to.
            let _ = site.cluster.try_helm(&["rollback", &release.name, "-n", &release.namespace]);
            "rollback".to_owned()
        }
    }
}

/// What counts of an object: all but what differs from install to install.
fn essence(object: &DynamicObject, release: &Release) -> Value {
    let mut tree = serde_json::to_value(object).unwrap();
    let metadata = json!({ "labels": object.metadata.labels, "annotations": object.metadata.annotations });
    tree["metadata"] = metadata;
    let fields = tree.as_object_mut().unwrap();
    fields.remove("status");
    if let Some(Value::Object(annotations)) = tree["metadata"].get_mut("annotations") {
        annotations.remove("deployment.kubernetes.io/revision");
    }
    let text = tree.to_string().replace(&release.namespace, "NAMESPACE").replace(&release.name, "NAME");
    serde_json::from_str(&text).unwrap()
}

async fn state(client: &Client, release: &Release) -> BTreeMap<&'static str, Value> {
    let mut state = BTreeMap::new();
    for kind in KINDS {
        if let Some(object) = kind.get(client, &release.namespace, &release.name).await {
            state.insert(kind.2, essence(&object, release));
        }
    }
    state
}

async fn settled(client: &Client, release: &Release, history: &str) {
    let holds = |object: &DynamicObject| {
        let is = |kind: &str, status: &str| condition(object, kind).is_some_and(|one| one.status == status);
        let observed = field(object, "/status/observedGeneration").as_i64();
        observed == object.metadata.generation && is("Ready", "True") && is("Drifted", "False")
    };
    let key = (release.namespace.as_str(), release.name.as_str());
    let what = format!("be as its spec says after {history}");
    HELM_RELEASE.until(client, key, SETTLED, &what, holds).await;
}

async fn sequence(site: &mut Site, seed: u64) {
    let mut random = Random(seed);
    let namespace = site.cluster.namespace("sequence").await;
    let mut releases: Vec<Release> = (0..RELEASES)
        .map(|number| Release {
            namespace: namespace.clone(),
            name: format!("app-{number}"),
            chart: "small",
            values: values(&mut random),
            mode: "enabled",
        })
        .collect();
    for release in &releases {
        release.write(&site.client).await;
    }
    let mut history = vec![format!("seed {seed}")];
    for _ in 0..STEPS {
        let at = usize::try_from(random.below(RELEASES)).unwrap();
        let done = step(site, &mut random, &mut releases[at]).await;
        history.push(format!("{}: {done}", releases[at].name));
        sleep(Duration::from_millis(random.below(400))).await;
    }
    let history = history.join(", ");
    let fresh = site.cluster.namespace("fresh").await;
    for release in &mut releases {
        release.mode = "enabled";
        release.write(&site.client).await;
        // Whatever was done to it is looked at now.
        site.ask(HELM_RELEASE, &release.namespace, &release.name).await;
        Release { namespace: fresh.clone(), ..release.clone() }.write(&site.client).await;
    }
    for release in &releases {
        let fresh = Release { namespace: fresh.clone(), ..release.clone() };
        settled(&site.client, &fresh, &history).await;
        let expected = state(&site.client, &fresh).await;
        let deadline = Instant::now() + SETTLED;
        loop {
            settled(&site.client, release, &history).await;
            let found = state(&site.client, release).await;
            if found == expected {
                break;
            }
            assert!(Instant::now() < deadline, "{}: {found:?}\nis not\n{expected:?}\nafter {history}", release.name);
            sleep(Duration::from_millis(100)).await;
        }
        let statuses: Vec<_> = history_of(site, release);
        let (last, before) = statuses.split_last().expect("a revision");
        assert_eq!(last, "deployed", "{}: {statuses:?} after {history}", release.name);
        assert!(
            before.iter().all(|status| status != "deployed" && !status.starts_with("pending")),
            "{statuses:?} after {history}"
        );
    }
    for namespace in [namespace, fresh] {
        let api = HELM_RELEASE.api(&site.client, &namespace);
        api.delete_collection(&DeleteParams::default(), &ListParams::default()).await.unwrap();
    }
}

fn history_of(site: &Site, release: &Release) -> Vec<String> {
    let text = site.cluster.helm(&["history", &release.name, "-n", &release.namespace, "-o", "json"]);
    let rows: Vec<Value> = serde_json::from_str(&text).unwrap();
    rows.iter().map(|row| row["status"].as_str().unwrap_or_default().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn random_sequences_end_in_the_state_of_a_fresh_install() {
    let number = |name: &str| environment(name).map(|text| text.parse::<u64>().expect("a number"));
    let count = number("BOWLINE_SEQUENCES").unwrap_or(SEQUENCES);
    let first = number("BOWLINE_SEQUENCE_SEED").unwrap_or(1);
    let mut site = Site::new("1h").await;
    for (chart, version) in [("small", "0.1.0"), ("large", "0.2.0")] {
        site.remote
            .write(&format!("charts/{chart}/Chart.yaml"), &format!("apiVersion: v2\nname: app\nversion: {version}\n"));
        site.remote.write(&format!("charts/{chart}/templates/all.yaml"), TEMPLATE);
    }
    site.remote.push("Add the charts");
    site.daemon.start();
    site.environment_is_ready().await;
    for seed in first..first + count {
        println!("sequence {seed}");
        sequence(&mut site, seed).await;
    }
}
