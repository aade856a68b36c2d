//! What there is of a release, and what must hold of it whatever went wrong.

use std::collections::{BTreeMap, BTreeSet};

use bowline::{cluster::storage::ReleaseStorage, reconcile::release::record};
use kube::api::{DynamicObject, ListParams};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::{Faulty, NAME, SETTLED, scenario::Scenario};
use crate::{
    harness::{
        faulty_proxy::Write,
        objects::{CONFIG_MAP, DEPLOYMENT, HELM_CHART, HELM_RELEASE, JOB, Kind, POD, SECRET},
    },
    site::DAEMON,
};

const KINDS: [Kind; 5] = [CONFIG_MAP, SECRET, DEPLOYMENT, JOB, POD];
const RECORD: &str = "sh.helm.release.v1.";
const HOOK: &str = "hook-";

/// What there is of a release in the end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct End {
    /// The objects of the manifest.
    pub objects: BTreeMap<String, Value>,
    /// The objects that hooks have left.
    pub hooks: BTreeSet<String>,
    /// The status of each recorded revision.
    pub records: BTreeMap<u32, String>,
    /// How often each hook was begun in each revision, counted in the order in which they were made.
    pub runs: BTreeMap<(String, u32), usize>,
    /// Whether its HelmChart is there.
    pub has_chart: bool,
}

/// What counts of an object: all but what differs from install to install.
fn essence(object: &DynamicObject) -> Value {
    let mut data = object.data.clone();
    if let Some(data) = data.as_object_mut() {
        data.remove("status");
    }
    let labels = object.metadata.labels.clone().unwrap_or_default();
    let labels: BTreeMap<_, _> = labels.into_iter().filter(|(key, _)| !key.ends_with("/namespace")).collect();
    json!({ "labels": labels, "data": data })
}

/// Reads what there is of a release.
pub async fn end(faulty: &Faulty, namespace: &str, from: usize) -> End {
    let client = faulty.client();
    let (mut objects, mut hooks) = (BTreeMap::new(), BTreeSet::new());
    for kind in KINDS {
        for object in kind.api(client, namespace).list(&ListParams::default()).await.unwrap() {
            let name = object.metadata.name.clone().unwrap_or_default();
            let is_passing = kind.2 == "Pod" && object.metadata.owner_references.is_some();
            if name.starts_with(RECORD) || name == "kube-root-ca.crt" || is_passing {
                continue;
            }
            let key = format!("{} {name}", kind.2);
            if name.starts_with(HOOK) {
                hooks.insert(key);
            } else {
                objects.insert(key, essence(&object));
            }
        }
    }
    let storage = ReleaseStorage::new(client.clone(), namespace, "a-test");
    let records = storage.list(NAME).await.unwrap().into_iter().map(|one| (one.revision, one.status)).collect();
    let chart = HELM_CHART.get(client, DAEMON, &format!("{namespace}-{NAME}")).await;
    let runs = runs(&faulty.proxy.writes(namespace)[from..]);
    End { objects, hooks, records, runs, has_chart: chart.is_some() }
}

/// Counts how often each hook was begun in each revision: each creation of its object after that of a record.
fn runs(writes: &[Write]) -> BTreeMap<(String, u32), usize> {
    let (mut runs, mut revision) = (BTreeMap::new(), 0);
    for write in writes {
        revision += u32::from(write.name.starts_with(RECORD) && write.code == 201);
        if write.name.starts_with(HOOK) && write.code == 201 {
            *runs.entry((write.name.clone(), revision)).or_default() += 1;
        }
    }
    runs
}

/// Runs a scenario undisturbed, and says how it ends and what it writes.
pub async fn undisturbed(faulty: &Faulty, scenario: Scenario) -> (End, Vec<String>) {
    let namespace = format!("{}-undisturbed", scenario.prefix());
    scenario.prepare(faulty, &namespace).await;
    scenario.prepared(faulty, &namespace).await;
    let from = faulty.proxy.writes(&namespace).len();
    scenario.act(faulty, &namespace).await;
    is_over(faulty, scenario, &namespace).await.unwrap();
    let writes = faulty.proxy.writes(&namespace).split_off(from);
    let writes = writes.iter().map(|write| format!("{} {} {}", write.method, write.path, write.code)).collect();
    (end(faulty, &namespace, from).await, writes)
}

/// Waits until a release is where the scenario ends.
pub async fn is_over(faulty: &Faulty, scenario: Scenario, namespace: &str) -> Result<(), String> {
    use futures::TryStreamExt as _;
    let mut last = None;
    let waited = timeout(SETTLED, async {
        scenario.is_put_right(faulty, namespace).await;
        let mut changes =
            Box::pin(kube::runtime::watcher::watch_object(HELM_RELEASE.api(faulty.client(), namespace), NAME));
        while let Ok(object) = changes.try_next().await {
            last = object.flatten();
            if scenario.is_over(last.as_ref()) {
                return;
            }
        }
    })
    .await;
    match waited {
        Ok(()) if scenario.is_over(last.as_ref()) => Ok(()),
        _ => {
            let status = last.map(|object| object.data["status"].to_string()).unwrap_or_default();
            Err(format!("it did not come to its end; its status is {status}"))
        }
    }
}

/// Holds an end against the undisturbed one. The writes of the scenario begin at `from`; `more` revisions than undisturbed
/// are in order.
pub async fn verify(
    faulty: &Faulty,
    (scenario, namespace): (Scenario, &str),
    expected: &End,
    (from, more): (usize, usize),
) -> Vec<String> {
    let mut wrong = Vec::new();
    let found = end(faulty, namespace, from).await;
    if found.objects != expected.objects {
        wrong.push(format!("objects {:?} instead of {:?}", found.objects, expected.objects));
    }
    let late: Vec<_> = found.hooks.iter().filter(|hook| !is_of_chart(hook)).collect();
    if !late.is_empty() {
        wrong.push(format!("objects are left: {late:?}"));
    }
    if found.has_chart != expected.has_chart {
        wrong.push(format!("its HelmChart: {} instead of {}", found.has_chart, expected.has_chart));
    }
    for ((hook, revision), count) in &found.runs {
        if *count > 1 {
            wrong.push(format!("{hook} ran {count} times in revision {revision}"));
        }
    }
    records(more, &found, expected, &mut wrong);
    if scenario.leaves_a_release() && scenario != Scenario::Reinstall {
        history(faulty, scenario, namespace, &found, &mut wrong).await;
    }
    wrong
}

fn is_of_chart(hook: &str) -> bool {
    hook.contains("hook-pre-") || hook.contains("hook-post-") || hook.contains("hook-test-")
}

/// The revisions follow one another, the newest is what it is undisturbed, and no more of them than may be.
fn records(may_be: usize, found: &End, expected: &End, wrong: &mut Vec<String>) {
    let statuses: Vec<_> = found.records.values().map(String::as_str).collect();
    let Some((last, before)) = statuses.split_last() else {
        if !expected.records.is_empty() {
            wrong.push(format!("no records instead of {:?}", expected.records));
        }
        return;
    };
    let numbers: Vec<u32> = found.records.keys().copied().collect();
    let contiguous: Vec<u32> = (1..).take(numbers.len()).collect();
    if numbers != contiguous {
        wrong.push(format!("revisions {numbers:?} are not one after another"));
    }
    if Some(*last) != expected.records.values().next_back().map(String::as_str)
        || before.iter().any(|status| !["superseded", "failed"].contains(status))
    {
        wrong.push(format!("records {:?}, undisturbed {:?}", found.records, expected.records));
    }
    let more = found.records.len().saturating_sub(expected.records.len());
    if more > may_be {
        wrong.push(format!("{more} more revisions than undisturbed: {:?}", found.records));
    }
}

/// What the status knows of revisions is what is recorded of them, and one is there to roll back to.
async fn history(faulty: &Faulty, scenario: Scenario, namespace: &str, found: &End, wrong: &mut Vec<String>) {
    let release = HELM_RELEASE.get(faulty.client(), namespace, NAME).await.expect("the release is there");
    let history = release.data["status"]["history"].as_array().cloned().unwrap_or_default();
    let storage = ReleaseStorage::new(faulty.client().clone(), namespace, "a-test");
    let newest = found.records.keys().next_back().copied();
    let version = |snapshot: &Value| snapshot["version"].as_u64().and_then(|version| u32::try_from(version).ok());
    if history.iter().filter_map(version).max() != newest {
        wrong.push(format!("the history does not begin with revision {newest:?}: {history:?}"));
    }
    let mut targets = 0;
    for snapshot in &history {
        let number = version(snapshot).unwrap_or_default();
        let Some(stored) = storage.get(NAME, number).await.unwrap() else {
            wrong.push(format!("revision {number} of the history is not recorded"));
            continue;
        };
        let recorded = record::decode(NAME, &stored).expect("a record can be read");
        let is_exact = record::digest(&recorded) == snapshot["digest"] && snapshot["status"] == stored.revision.status;
        if !is_exact {
            let of = (&snapshot["status"], &stored.revision.status);
            wrong.push(format!("the snapshot of revision {number} is not of its record: {of:?}"));
        }
        let is_good = ["deployed", "superseded"].contains(&stored.revision.status.as_str());
        targets += usize::from(is_exact && is_good && Some(number) != newest);
    }
    if scenario.keeps_a_target() && targets == 0 {
        wrong.push(format!("no revision is left to roll back to: {history:?}"));
    }
}
