//! Rollback: an older revision's manifest as a new revision; nothing is rendered.

use helm::{
    hook::Event,
    release::{Info, Release, Status as RecordStatus},
};

use super::{Acted, Error, Recording, Work, objects, prepare::inventory_of, upgrade::Change, write::Outcome};
use crate::{
    api::{
        Snapshot,
        helm_release::{ReleaseAction, Rollback},
    },
    cluster::apply::{ApplyMethod, Propagation},
    reconcile::release::{
        method,
        target::{self, ActionKind},
    },
};

impl Work<'_> {
    /// Rolls a release back to a revision.
    pub async fn rollback(&self, to: &Snapshot) -> Acted {
        let mut acted = Acted::new(Recording::All, Some(ReleaseAction::Rollback));
        let result = self.try_rollback(to, &mut acted).await;
        acted.ended(result)
    }

    async fn try_rollback(&self, to: &Snapshot, acted: &mut Acted) -> Result<(), Error> {
        let settings = self.object.spec.rollback.clone().unwrap_or_default();
        let Some((current, _)) = self.read(&to.name, None).await? else {
            return Err(Error::NoDeployedRelease(to.name.clone()));
        };
        let Some((previous, _)) = self.read(&to.name, Some(to.version)).await? else {
            return Err(Error::NoRevision(to.version));
        };
        let method = method::of_rollback(&self.object, previous.apply_method);
        let mut record = Release {
            info: Info {
                first_deployed: current.info.first_deployed.clone(),
                last_deployed: Some(super::now()),
                deleted: None,
                description: format!("Rollback to {}", previous.version),
                status: RecordStatus::PendingRollback,
                rollback_revision: previous.version,
                notes: previous.info.notes.clone(),
            },
            version: current.version + 1,
            apply_method: Some(method::recorded(method)),
            ..previous
        };
        self.create(&record, acted, true).await?;
        match self.perform_rollback(&mut record, current, &settings, acted).await {
            Ok(()) => {
                for mut deployed in self.read_all(&record.name, &[RecordStatus::Deployed]).await? {
                    deployed.info.status = RecordStatus::Superseded;
                    self.update(&deployed, acted).await?;
                }
                record.info.status = RecordStatus::Deployed;
                self.update(&record, acted).await
            }
            Err(error) => {
                let text = error.recorded();
                let description = match &error {
                    Error::RolledBack(..) => format!("Release \"{}\" failed: {text}", record.name),
                    _ => format!("Rollback \"{}\" failed: {text}", record.name),
                };
                self.fail(&mut record, description, acted).await;
                Err(error)
            }
        }
    }

    async fn perform_rollback(
        &self,
        record: &mut Release,
        current: Release,
        settings: &Rollback,
        acted: &mut Acted,
    ) -> Result<(), Error> {
        let timeout = target::timeout(&self.object, ActionKind::Rollback);
        let resources = self.resolve_current(record).await?;
        let old = self.resolve_current(&current).await?;
        if !settings.disable_hooks {
            let ran = self.run_hooks(record, &Event::PreRollback, timeout, acted, |_| true).await;
            ran.map_err(super::hooks_failed)?;
        }
        let mut outcome = Outcome::default();
        let migrates = method::of_record(current.apply_method) == ApplyMethod::ClientSide;
        let change = Change { resources, old, migrates, force: settings.force };
        let replaced = self.replace(record, &change, timeout, &mut outcome).await;
        if replaced.is_err() && settings.cleanup_on_fail {
            objects::delete_all(&self.connection.client, &outcome.created, Propagation::Background).await;
        }
        replaced?;
        acted.inventory = Some(inventory_of(&change.resources, &[]));
        // A wait may be long, and nothing is read of these in it.
        drop((change, current));
        let waited =
            self.wait_released(outcome.written, settings.disable_wait, settings.disable_wait_for_jobs, timeout);
        waited.await.map_err(|error| match error {
            Error::Wait(error) => Error::RolledBack(record.name.clone(), error),
            other => other,
        })?;
        if !settings.disable_hooks {
            let ran = self.run_hooks(record, &Event::PostRollback, timeout, acted, |_| true).await;
            ran.map_err(super::hooks_failed)?;
        }
        Ok(())
    }
}
