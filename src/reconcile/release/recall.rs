//! What a process that is gone wrote to Helm's storage and had no time to report: it is taken into the history and
//! reported now, so that the release goes on from there, its failures counted and its rollback target kept.

use helm::release::{Release, Status as RecordStatus};

use super::{
    act::{Error, Work},
    attempt::{Attempt, is_current},
    decide::{Desired, LastRelease},
    history,
    memory::Newest,
    obstacle::Obstacle,
    record,
    report::{Notice, Report},
};
use crate::{
    api::{
        HelmRelease, HelmReleaseStatus, Snapshot,
        helm_release::ReleaseAction,
        meta::{HELM_FIELD_MANAGER, HELM_RELEASE_NAME, HELM_RELEASE_NAMESPACE},
        reasons,
    },
    cluster::{object, storage::StoredRecord},
    reconcile::shell::Run,
    telemetry::chain,
};

/// How an unlocked record is described, up to the status that it had.
pub const UNLOCKED: &str = "Release unlocked from stale '";

/// Tells whether the history does not know the newest record as it is, though this program wrote it.
fn is_unreported(current: &Snapshot, last: &LastRelease) -> bool {
    let is_changed = current.version == last.version && current.api_version.is_none() && current.digest != last.digest;
    last.is_ours && (current.version < last.version || is_changed)
}

/// Tells whether nobody else has written a record.
fn is_ours_alone(stored: &StoredRecord) -> bool {
    let managers = &stored.revision.managers;
    !managers.is_empty() && managers.iter().all(|manager| manager == HELM_FIELD_MANAGER)
}

/// Says what made a record.
fn action_of(record: &Release) -> ReleaseAction {
    if record.info.rollback_revision > 0 {
        ReleaseAction::Rollback
    } else if record.info.first_deployed == record.info.last_deployed {
        ReleaseAction::Install
    } else {
        ReleaseAction::Upgrade
    }
}

/// Returns the error in the description of a revision that failed.
fn error_of(record: &Release) -> &str {
    let description = &record.info.description;
    description.split_once("\" failed: ").map_or(description.as_str(), |(_, error)| error)
}

/// Puts a record's state in the place of what a snapshot knew of it.
fn refreshed(known: &Snapshot, record: &Release) -> Snapshot {
    Snapshot {
        action: known.action.clone(),
        oci_digest: known.oci_digest.clone(),
        test_hooks: known.test_hooks.clone(),
        ..record::snapshot(record)
    }
}

/// Reports what came of the newest revision, as the run that made it would have.
fn report_newest(report: &mut Report<'_>, desired: &Desired, record: &Release) -> Option<Notice> {
    let snapshot = history::latest(&report.status.history)?.clone();
    let action = action_of(record);
    let target = report.status.history.iter().find(|s| s.version == record.info.rollback_revision).cloned();
    let unlocked = record.info.description.strip_prefix(UNLOCKED);
    let notice = match (record.info.status, unlocked, &action) {
        (RecordStatus::Deployed, _, ReleaseAction::Rollback) => report.rolled_back(&target?, None),
        (RecordStatus::Deployed, _, _) => {
            report.started(action.clone());
            return report.released(&action);
        }
        (RecordStatus::Failed, Some(rest), _) => {
            report.unlocked(&snapshot, rest.split('\'').next().unwrap_or_default(), None)
        }
        (RecordStatus::Failed, None, ReleaseAction::Rollback) => report.rolled_back(&target?, Some(error_of(record))),
        (RecordStatus::Failed, None, _) => {
            let is_desired =
                snapshot.config_digest == desired.config_digest && snapshot.chart_version == desired.chart_version;
            // What failed is not what is asked for now, so that it does not count.
            if !is_desired {
                return None;
            }
            report.started(action.clone());
            let app_version = snapshot.app_version.unwrap_or_default();
            report.release_failed(&action, desired, &app_version, true, error_of(record))
        }
        _ => return None,
    };
    Some(notice)
}

impl Attempt<'_> {
    /// Takes what was not reported into the history, reports it, and writes the status, so that a failure is counted
    /// before the next action. False where the run is to begin anew, on a newer state of the object.
    pub(super) async fn recall(
        &self,
        run: &mut Run<HelmRelease>,
        last: Option<&LastRelease>,
        desired: &Desired,
    ) -> Result<bool, Obstacle> {
        let current = history::latest(&run.status.history).cloned();
        let (Some(last), Some(current)) = (last, current) else { return Ok(true) };
        if !is_unreported(&current, last) || current.name != self.place.release {
            return Ok(true);
        }
        if !is_current(run).await? {
            return Ok(false);
        }
        let Some(records) = self.unreported(&run.status, last).await? else { return Ok(true) };
        let mut newest = None;
        for record in records {
            let known = run.status.history.iter().find(|s| s.version == record.version).cloned();
            let is_pending = record.info.status.is_pending();
            match known {
                Some(known) => history::record(&mut run.status.history, refreshed(&known, &record)),
                // Its unlock takes it in.
                None if is_pending => {}
                None => {
                    let snapshot = Snapshot { action: Some(action_of(&record)), ..record::snapshot(&record) };
                    history::record(&mut run.status.history, snapshot);
                    newest = Some(record);
                }
            }
        }
        let mut report = self.report(&mut run.status);
        let notice = newest.and_then(|record| report_newest(&mut report, desired, &record));
        if notice.is_some() {
            // What says nothing of the newest revision says nothing of what is asked for now.
            report.summarize(None);
        }
        tracing::info!(revision = last.version, status = last.status.as_str(), "what was not reported is taken over");
        run.report().await.map_err(|error| Obstacle::retry(reasons::RECONCILE_ERROR, chain(&error)))?;
        if let Some(notice) = notice {
            self.releases.tell(&self.object, notice);
        }
        Ok(true)
    }

    /// Reads the revisions that the history has, and those after them, oldest first; none where another program has
    /// written one of the newer ones.
    async fn unreported(
        &self,
        status: &HelmReleaseStatus,
        last: &LastRelease,
    ) -> Result<Option<Vec<Release>>, Obstacle> {
        let newest = history::latest(&status.history).map_or(0, |current| current.version);
        let mut versions: Vec<i64> =
            status.history.iter().filter(|s| s.api_version.is_none()).map(|s| s.version).collect();
        versions.extend(newest + 1..=last.version);
        versions.sort_unstable();
        let mut records = Vec::new();
        for version in versions {
            let number = u32::try_from(version).unwrap_or(0);
            let stored =
                self.storage.get(&self.place.release, number).await.map_err(|error| Obstacle::unread(&error))?;
            match stored.filter(is_ours_alone) {
                Some(stored) => {
                    records
                        .push(record::decode(&self.place.release, &stored).map_err(|error| Obstacle::unread(&error))?);
                }
                None if version >= newest => return Ok(None),
                None => {}
            }
        }
        Ok(Some(records))
    }
}

impl Work<'_> {
    /// Finds the newest revision of a release that is to go, where this program made it and did not report it; without a
    /// history only one whose objects say that they are this object's.
    pub(super) async fn recall_for_uninstall(&self, status: &mut HelmReleaseStatus) -> Result<(), Error> {
        let current = history::latest(&status.history);
        let (since, name) = current.map_or((0, self.release_name()), |current| (current.version, current.name.clone()));
        match self.releases.memory.newest(&self.place(&name)) {
            Newest::None => return Ok(()),
            Newest::Record { version, .. } if version <= since => return Ok(()),
            Newest::Record { .. } | Newest::Unknown => {}
        }
        let Some((record, stored)) = self.read(&name, None).await? else { return Ok(()) };
        if record.version > since && is_ours_alone(&stored) && (since > 0 || is_of(&record, &self.object)) {
            let snapshot = Snapshot { action: Some(action_of(&record)), ..record::snapshot(&record) };
            history::record(&mut status.history, snapshot);
        }
        Ok(())
    }
}

/// Tells whether a record's objects carry the labels of a HelmRelease, as all do that are made of one.
fn is_of(record: &Release, object: &HelmRelease) -> bool {
    let label = |tree: &serde_json::Value, key: &str, value: Option<&str>| object::label(tree, key) == value;
    let (name, namespace) = (object.metadata.name.as_deref(), object.metadata.namespace.as_deref());
    record::objects(&record.manifest).is_ok_and(|trees| {
        trees.iter().all(|tree| label(tree, HELM_RELEASE_NAME, name) && label(tree, HELM_RELEASE_NAMESPACE, namespace))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn last(version: i64, digest: &str, is_ours: bool) -> LastRelease {
        LastRelease {
            version,
            status: RecordStatus::Deployed,
            chart_name: "app".to_owned(),
            chart_version: "0.1.0".to_owned(),
            digest: digest.to_owned(),
            last_deployed: None,
            is_ours,
            is_rollback: false,
        }
    }

    #[test]
    fn a_record_of_ours_that_the_history_does_not_know_was_not_reported() {
        let current = Snapshot { version: 2, digest: "a".to_owned(), ..Snapshot::default() };
        let of_flux = Snapshot { api_version: Some("v2".to_owned()), ..current.clone() };
        for (snapshot, version, digest, is_ours, unreported) in [
            (&current, 2, "a", true, false),
            (&current, 2, "b", true, true),
            (&current, 3, "b", true, true),
            (&current, 3, "b", false, false),
            (&current, 1, "b", true, false),
            // Another program's digest cannot be compared; a newer revision is one all the same.
            (&of_flux, 2, "b", true, false),
            (&of_flux, 3, "b", true, true),
        ] {
            assert_eq!(is_unreported(snapshot, &last(version, digest, is_ours)), unreported, "{version} {digest}");
        }
    }

    fn record(info: &str) -> Release {
        serde_json::from_str(&format!(r#"{{"name": "app", "version": 2, "info": {{{info}}}}}"#)).unwrap()
    }

    #[test]
    fn a_record_says_what_made_it_and_why_it_failed() {
        let times = r#""first_deployed": "2026-01-01T10:00:00Z", "last_deployed": "2026-01-01T11:00:00Z""#;
        let upgrade = record(&format!(r#"{times}, "description": "Upgrade \"app\" failed: no such namespace""#));
        assert_eq!(action_of(&upgrade), ReleaseAction::Upgrade);
        assert_eq!(error_of(&upgrade), "no such namespace");
        let rollback = record(&format!(r#"{times}, "rollback_revision": 1, "description": "Rollback to 1""#));
        assert_eq!(action_of(&rollback), ReleaseAction::Rollback);
        assert_eq!(error_of(&rollback), "Rollback to 1");
        let time = r#""first_deployed": "2026-01-01T10:00:00Z", "last_deployed": "2026-01-01T10:00:00Z""#;
        assert_eq!(action_of(&record(time)), ReleaseAction::Install);
    }

    #[test]
    fn a_record_without_a_history_is_an_objects_where_all_its_objects_say_so() {
        let object = |name: &str, namespace: &str| {
            format!(
                "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n  labels:\n    {HELM_RELEASE_NAME}: {name}\n    \
                 {HELM_RELEASE_NAMESPACE}: {namespace}\n---\n"
            )
        };
        let mut release = HelmRelease::new("app", crate::api::HelmReleaseSpec::default());
        release.metadata.namespace = Some("apps".to_owned());
        for (manifest, is_its) in [
            (object("app", "apps"), true),
            (object("app", "apps") + &object("other", "apps"), false),
            (object("app", "others"), false),
        ] {
            assert_eq!(is_of(&Release { manifest: manifest.clone(), ..record("") }, &release), is_its, "{manifest}");
        }
    }
}
