//! Uninstall: the objects of the newest revision deleted in Helm's order, then its records.

use helm::{
    hook::Event,
    manifest,
    release::{Release, Status as RecordStatus},
};

use super::{
    Acted, Error, Recording, Work,
    objects::{self, Resource},
};
use crate::{
    api::{
        Snapshot,
        helm_release::{DeletionPropagation, ReleaseAction, Uninstall},
    },
    cluster::{
        apply::{self, Propagation},
        wait::WaitError,
    },
    reconcile::release::{
        report::Gone,
        target::{self, ActionKind},
    },
};

impl Work<'_> {
    /// Uninstalls a release; one that is not in the storage counts as uninstalled.
    pub async fn uninstall(&self, current: &Snapshot, action: ReleaseAction) -> Acted {
        let mut acted = Acted::new(Recording::All, Some(action));
        let result = self.try_uninstall(current, &mut acted).await;
        acted.ended(result)
    }

    async fn try_uninstall(&self, current: &Snapshot, acted: &mut Acted) -> Result<(), Error> {
        let settings = self.object.spec.uninstall.clone().unwrap_or_default();
        let timeout = target::timeout(&self.object, ActionKind::Uninstall);
        let mut newest = self.read(&current.name, None).await?;
        if newest.as_ref().is_none_or(|(record, _)| record.version < current.version) {
            // What is known of the records may be out of date; the revision's own name is not.
            newest = self.read(&current.name, Some(current.version)).await?.or(newest);
        }
        let Some((mut record, _)) = newest else {
            acted.gone = Some(Gone::NotFound);
            return Ok(());
        };
        if record.info.status == RecordStatus::Uninstalled {
            if !settings.keep_history {
                return self.purge(&current.name).await;
            }
            acted.gone = Some(Gone::Already);
            return Ok(());
        }
        if record.version != current.version {
            let found = format!("{}/{}.v{}", record.namespace, record.name, record.version);
            return Err(Error::Mismatch(found, target::versioned_release(current)));
        }
        let was_deployed = record.info.status == RecordStatus::Deployed;
        // One that a crash cut short was begun then.
        if record.info.status != RecordStatus::Uninstalling || record.info.deleted.is_none() {
            record.info.deleted = Some(super::now());
        }
        record.info.status = RecordStatus::Uninstalling;
        "Deletion in progress (or silently failed)".clone_into(&mut record.info.description);
        if !settings.disable_hooks {
            let ran = self.run_hooks(&mut record, &Event::PreDelete, timeout, acted, |_| true).await;
            ran.map_err(super::hooks_failed)?;
        }
        self.update(&record, acted).await?;
        self.delete_objects(&record, was_deployed, &settings, timeout).await?;
        if !settings.disable_hooks {
            let ran = self.run_hooks(&mut record, &Event::PostDelete, timeout, acted, |_| true).await;
            ran.map_err(super::hooks_failed)?;
        }
        record.info.status = RecordStatus::Uninstalled;
        "Uninstallation complete".clone_into(&mut record.info.description);
        if settings.keep_history {
            return self.update(&record, acted).await;
        }
        self.purge(&record.name).await?;
        acted.snapshots.insert(record.version, crate::reconcile::release::record::snapshot(&record));
        Ok(())
    }

    /// Returns the objects of the deployed revision that are still there though the newest does not have them, as when
    /// that failed or was cut short before it had deleted them.
    async fn left_over(&self, record: &Release, resources: &[Resource]) -> Result<Vec<Resource>, Error> {
        let Some(deployed) = self.read_all(&record.name, &[RecordStatus::Deployed]).await?.pop() else {
            return Ok(Vec::new());
        };
        let owner = objects::Owner::of(record);
        let mut left = Vec::new();
        for resource in self.resolve_current(&deployed).await? {
            if resources.iter().any(|known| known.target.id == resource.target.id) {
                continue;
            }
            let existing = apply::get_metadata(&self.connection.client, &resource.target).await;
            let existing = existing.map_err(Error::Existing)?;
            if existing.is_some_and(|existing| objects::foreign(&existing, &resource.target.id, &owner).is_none()) {
                left.push(resource);
            }
        }
        Ok(left)
    }

    async fn delete_objects(
        &self,
        record: &Release,
        was_deployed: bool,
        settings: &Uninstall,
        timeout: std::time::Duration,
    ) -> Result<(), Error> {
        let mut resources = self.resolve_current(record).await?;
        if !was_deployed {
            resources.extend(self.left_over(record, &resources).await?);
        }
        resources.retain(|resource| !objects::is_kept(&resource.tree));
        manifest::sort_by_kind(&mut resources, |resource| &resource.target.id.kind, manifest::UNINSTALL);
        let propagation = match &settings.deletion_propagation {
            DeletionPropagation::Foreground => Propagation::Foreground,
            DeletionPropagation::Orphan => Propagation::Orphan,
            DeletionPropagation::Background | DeletionPropagation::Unknown(_) => Propagation::Background,
        };
        let targets: Vec<_> = resources.into_iter().map(|resource| resource.target).collect();
        let (pending, errors) = objects::delete_all(&self.connection.client, &targets, propagation).await;
        if !errors.is_empty() {
            let texts: Vec<_> = errors.iter().map(|error| crate::telemetry::chain(error)).collect();
            return Err(Error::Delete(errors.len(), texts.join("; ")));
        }
        if settings.disable_wait {
            return Ok(());
        }
        self.wait_gone(pending, timeout).await.map_err(|error| match error {
            WaitError::TimedOut(left) => Error::NotGone(left),
            other => super::interrupted(other),
        })
    }

    async fn purge(&self, release: &str) -> Result<(), Error> {
        let place = self.place(release);
        for revision in self.storage().delete_all(release).await.map_err(Error::Purge)? {
            self.releases.memory.deleted_record(&place, i64::from(revision));
        }
        Ok(())
    }
}
