//! Between Helm's release records and what the controller keeps of them: snapshots and digests.

use helm::{
    hook::{Event, Hook, Phase},
    json::{self, Escape},
    release::Release,
};
use jiff::Zoned;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value, json};

use super::{decide::LastRelease, values};
use crate::{
    api::{
        Snapshot,
        helm_release::{Filter, TestHookStatus},
        meta::{self, HELM_FIELD_MANAGER},
    },
    cluster::storage::StoredRecord,
    source::archive,
};

/// A record of Helm's storage that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read revision {revision} of release {release}")]
pub struct Unreadable {
    release: String,
    revision: u32,
    #[source]
    source: helm::release::Error,
}

/// Reads a stored record.
pub fn decode(release: &str, stored: &StoredRecord) -> Result<Release, Unreadable> {
    let revision = stored.revision.revision;
    let failed = |source| Unreadable { release: release.to_owned(), revision, source };
    let mut record = Release::decode(&stored.payload).map_err(failed)?;
    record.labels.clone_from(&stored.revision.labels);
    Ok(record)
}

/// Tells by the managers of a record's fields whether this program, or Flux's helm-controller, wrote it.
pub fn is_ours(managers: &[String]) -> bool {
    managers.iter().any(|manager| manager == HELM_FIELD_MANAGER)
}

/// Says what a decision needs of a record.
pub fn last_release(record: &Release, managers: &[String]) -> LastRelease {
    let chart = record.chart_metadata().unwrap_or_default();
    LastRelease {
        version: record.version,
        status: record.info.status,
        chart_name: chart.name,
        chart_version: chart.version,
        digest: digest(record),
        last_deployed: record.info.last_deployed.as_ref().map(Zoned::timestamp),
        is_ours: is_ours(managers),
        is_rollback: record.info.rollback_revision > 0,
    }
}

/// Returns the digest of a record without its test hooks, which run again without a new revision.
pub fn digest(record: &Release) -> String {
    let hooks: Vec<&Hook> = record.hooks.iter().filter(|hook| !hook.runs_at(&Event::Test)).collect();
    let observed = json!({
        "name": record.name,
        "version": record.version,
        "info": record.info,
        "chartMetadata": record.chart_metadata().unwrap_or_default(),
        "config": record.config,
        "manifest": record.manifest,
        "hooks": hooks,
        "namespace": record.namespace,
    });
    archive::digest(json::to_text(&observed, Escape::Html).as_bytes())
}

/// Takes a snapshot of a record; what did it and where its chart came from is for the caller to say.
pub fn snapshot(record: &Release) -> Snapshot {
    let chart = record.chart_metadata().unwrap_or_default();
    let time = |time: &Option<Zoned>| time.as_ref().map(|time| meta::time(time.timestamp()));
    let epoch = || Time(jiff::Timestamp::UNIX_EPOCH);
    Snapshot {
        action: None,
        // Left out on purpose: the digest is ours, and a Flux that takes the release over then does not hold it
        // against its own.
        api_version: None,
        app_version: Some(chart.app_version).filter(|version| !version.is_empty()),
        chart_name: chart.name,
        chart_version: chart.version,
        config_digest: values::digest(&record.config.clone().unwrap_or_default()),
        deleted: time(&record.info.deleted),
        digest: digest(record),
        first_deployed: time(&record.info.first_deployed).unwrap_or_else(epoch),
        last_deployed: time(&record.info.last_deployed).unwrap_or_else(epoch),
        name: record.name.clone(),
        namespace: record.namespace.clone(),
        oci_digest: None,
        status: record.info.status.as_str().to_owned(),
        test_hooks: None,
        version: record.version,
    }
}

/// Says how the chart's test hooks ran that the filters select.
pub fn test_hooks(record: &Release, filters: &[Filter]) -> std::collections::BTreeMap<String, TestHookStatus> {
    let time = |time: &Option<Zoned>| time.as_ref().map(|time| meta::time(time.timestamp()));
    record
        .hooks
        .iter()
        .filter(|hook| hook.runs_at(&Event::Test) && is_selected(&hook.name, filters))
        .map(|hook| {
            let status = TestHookStatus {
                last_completed: time(&hook.last_run.completed_at),
                last_started: time(&hook.last_run.started_at),
                phase: hook.last_run.phase.map(|phase| phase_text(phase).to_owned()),
            };
            (hook.name.clone(), status)
        })
        .collect()
}

fn phase_text(phase: Phase) -> &'static str {
    match phase {
        Phase::Unknown => "Unknown",
        Phase::Running => "Running",
        Phase::Succeeded => "Succeeded",
        Phase::Failed => "Failed",
    }
}

/// Tells whether a test hook runs: it is not excluded, and named where any are named.
pub fn is_selected(name: &str, filters: &[Filter]) -> bool {
    let excluded = filters.iter().any(|filter| filter.exclude && filter.name == name);
    let mut included = filters.iter().filter(|filter| !filter.exclude).peekable();
    !excluded && (included.peek().is_none() || included.any(|filter| filter.name == name))
}

/// Reads the objects of a recorded manifest.
pub fn objects(manifest: &str) -> Result<Vec<Value>, helm::yaml::Error> {
    helm::yaml::documents(manifest.as_bytes())
        .into_iter()
        .map(|document| document.map(|document| document.value))
        .filter(|value| !matches!(value, Ok(Value::Null)))
        .collect()
}
