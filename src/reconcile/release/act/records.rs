//! Helm's records of a release: read, packed, written.

use std::collections::BTreeMap;

use helm::release::{Release, Status as RecordStatus};
use jiff::Timestamp;

use super::{Acted, Error, Work};
use crate::{
    api::Snapshot,
    cluster::storage::{self, ReleaseStorage, StorageError, StoredRecord},
    reconcile::release::{decide::LastRelease, memory::Newest, record},
};

/// A revision as it is written. It takes a fifth of what the revision does, where it has to be kept for a while.
pub(super) struct Packed {
    name: String,
    labels: BTreeMap<String, String>,
    payload: String,
    snapshot: Snapshot,
    last: LastRelease,
}

/// Packs a revision.
pub(super) async fn pack(record: Release) -> Result<Packed, Error> {
    let packing = tokio::task::spawn_blocking(move || {
        let payload = record.encode()?;
        // Whose it is the write tells.
        let (snapshot, last) = (record::snapshot(&record), record::last_release(&record, &[]));
        Ok(Packed { name: record.name, labels: record.labels, payload, snapshot, last })
    });
    packing.await.map_err(|_| Error::StorageEnded)?.map_err(Error::Pack)
}

impl Work<'_> {
    pub(super) fn storage(&self) -> ReleaseStorage {
        let manager = crate::api::meta::HELM_FIELD_MANAGER;
        ReleaseStorage::new(self.connection.client.clone(), self.namespace.clone(), manager)
    }

    /// Writes a new revision, and removes what the history has too many of first.
    pub(super) async fn create(&self, record: &Release, acted: &mut Acted, prune: bool) -> Result<(), Error> {
        if prune {
            self.prune(&record.name).await?;
        }
        self.write(pack(record.clone()).await?, acted, true).await
    }

    /// Writes a revision again.
    pub(super) async fn update(&self, record: &Release, acted: &mut Acted) -> Result<(), Error> {
        self.update_packed(pack(record.clone()).await?, acted).await
    }

    /// Writes a revision again as it was packed.
    pub(super) async fn update_packed(&self, packed: Packed, acted: &mut Acted) -> Result<(), Error> {
        self.write(packed, acted, false).await
    }

    async fn write(&self, packed: Packed, acted: &mut Acted, is_new: bool) -> Result<(), Error> {
        let Packed { name, labels, payload, snapshot, mut last } = packed;
        let version = last.version;
        let stored = storage::Record {
            name: &name,
            revision: u32::try_from(version).unwrap_or(u32::MAX),
            status: last.status.as_str(),
            labels: &labels,
            payload: payload.as_bytes(),
        };
        let now = Timestamp::now().as_second();
        let storage = self.storage();
        let place = self.place(&name);
        let writing = self.releases.memory.writes_record(&place);
        let written = if is_new { storage.create(&stored, now).await } else { storage.update(&stored, now).await };
        let written = written.map_err(Error::Storage)?;
        let at = written.resource_version.clone();
        let is_changed_since = self.releases.memory.wrote_record(&place, version, at);
        drop(writing);
        last.is_ours = record::is_ours(&written.managers);
        let key = kube::runtime::reflector::ObjectRef::from_obj(self.object.as_ref());
        if is_changed_since {
            self.releases.watched.trigger(key.clone());
        }
        self.releases.memory.remember(&key, |known| {
            if known.last.as_ref().is_none_or(|(_, known)| known.version <= version) {
                known.last = Some((written.resource_version, last));
            }
        });
        acted.snapshots.insert(version, snapshot);
        acted.fresh = if is_new { Some(version) } else { acted.fresh.filter(|fresh| *fresh != version) };
        Ok(())
    }

    /// Removes the oldest revisions that `spec.maxHistory` has no room for beside a new one.
    async fn prune(&self, release: &str) -> Result<(), Error> {
        const DEFAULT_MAX_HISTORY: i64 = 5;
        let max = u32::try_from(self.object.spec.max_history.unwrap_or(DEFAULT_MAX_HISTORY)).unwrap_or(0);
        let known = self.releases.memory.revisions(&self.place(release));
        if max == 0 || known.is_some_and(|known| known.len() < max as usize) {
            return Ok(());
        }
        let storage = self.storage();
        let revisions = storage.list(release).await.map_err(Error::Storage)?;
        for revision in storage::to_prune(&revisions, max) {
            storage.delete(release, revision).await.map_err(Error::Storage)?;
            self.releases.memory.deleted_record(&self.place(release), i64::from(revision));
        }
        Ok(())
    }

    /// Reads a revision, or the newest.
    pub(in crate::reconcile::release) async fn read(
        &self,
        release: &str,
        version: Option<i64>,
    ) -> Result<Option<(Release, StoredRecord)>, Error> {
        let storage = self.storage();
        let version = version.or_else(|| match self.releases.memory.newest(&self.place(release)) {
            Newest::Record { version, .. } => Some(version),
            Newest::None | Newest::Unknown => None,
        });
        let stored = match version.and_then(|version| u32::try_from(version).ok()) {
            Some(version) => storage.get(release, version).await,
            None => storage.newest(release).await,
        };
        match stored.map_err(unread)? {
            Some(stored) => {
                let record = record::decode(release, &stored).map_err(Error::Unreadable)?;
                Ok(Some((record, stored)))
            }
            None => Ok(None),
        }
    }

    /// Reads all revisions of a release with one of some statuses, oldest first.
    pub(super) async fn read_all(&self, release: &str, statuses: &[RecordStatus]) -> Result<Vec<Release>, Error> {
        let listed = self.storage().list(release).await.map_err(Error::Storage)?;
        let is_listed = |version: &i64| listed.iter().any(|one| i64::from(one.revision) == *version);
        let is_wanted = |status: &str| statuses.iter().any(|wanted| wanted.as_str() == status);
        let wanted = listed.iter().filter(|one| is_wanted(&one.status)).map(|one| i64::from(one.revision));
        let known = self.releases.memory.revisions(&self.place(release)).unwrap_or_default();
        // A list may be out of date, in what it has and in what it says of it.
        let mut versions: Vec<i64> = wanted.chain(known.into_iter().filter(|version| !is_listed(version))).collect();
        versions.sort_unstable();
        let mut records = Vec::new();
        for version in versions {
            let record = self.read(release, Some(version)).await?.map(|(record, _)| record);
            records.extend(record.filter(|record| statuses.contains(&record.info.status)));
        }
        Ok(records)
    }

    /// Marks a revision as failed for an error, as far as that can still be written.
    pub(super) async fn fail(&self, record: &mut Release, description: String, acted: &mut Acted) {
        acted.secrets.learn_record(record);
        record.info.status = RecordStatus::Failed;
        record.info.description = acted.secrets.apply(&description);
        if let Err(error) = self.update(record, acted).await {
            tracing::error!(error = %crate::telemetry::chain(&error), "failed revision not recorded");
        }
    }
}

/// A record could not be read: where nobody answered, in Helm's words.
fn unread(error: StorageError) -> Error {
    if error.is_outage() { Error::Unreachable(error) } else { Error::Storage(error) }
}
