//! Install: the first revision.

use std::sync::Arc;

use helm::{
    chart::Chart,
    hook::Event,
    release::{Release, Status as RecordStatus},
};
use serde_json::{Map, Value, json};

use super::{
    Acted, Error, Recording, Work, objects,
    prepare::{Prepared, Revision, inventory_of},
};
use crate::{
    api::helm_release::{Install, ReleaseAction},
    reconcile::release::{
        decide::LastRelease,
        target::{self, ActionKind},
    },
};

impl Work<'_> {
    /// Installs a chart.
    pub async fn install(&self, chart: &Arc<Chart>, values: Map<String, Value>, last: Option<&LastRelease>) -> Acted {
        let mut acted = Acted::new(Recording::Release, Some(ReleaseAction::Install));
        acted.app_version = chart.app_version().to_owned();
        let result = self.try_install(chart, values, last, &mut acted).await;
        acted.ended(result)
    }

    async fn try_install(
        &self,
        chart: &Arc<Chart>,
        values: Map<String, Value>,
        last: Option<&LastRelease>,
        acted: &mut Acted,
    ) -> Result<(), Error> {
        let settings = self.object.spec.install.clone().unwrap_or_default();
        let definitions = self.apply_crds(chart, &values, settings.crds.as_ref()).await.map_err(Error::Crds)?;
        let number = self.take_name(last, settings.replace).await?;
        let revision = Revision {
            release: self.release_name(),
            namespace: target::release_namespace(&self.object),
            number,
            is_upgrade: false,
            skip_schema_validation: settings.disable_schema_validation,
        };
        let Prepared { mut record, resources } = self.prepare(chart, &values, revision).await?;
        let owner = objects::Owner::of(&record);
        if settings.disable_take_ownership {
            self.check_ownership(&resources, &owner, "install").await?;
        }
        if settings.create_namespace && self.object.spec.target_namespace.is_some() {
            self.make_namespace(&record.namespace).await?;
        }
        self.create(&record, acted, false).await?;
        acted.inventory = Some(inventory_of(&resources, &definitions));
        match self.perform_install(&mut record, &resources, &settings, acted).await {
            Ok(()) => {
                record.info.status = RecordStatus::Deployed;
                "Install complete".clone_into(&mut record.info.description);
                self.update(&record, acted).await
            }
            Err(error) => {
                let description = format!("Release \"{}\" failed: {}", record.name, crate::telemetry::chain(&error));
                self.fail(&mut record, description, acted).await;
                Err(error)
            }
        }
    }

    /// Returns the number of the revision; a name in use is refused, unless what used it is gone and may be replaced.
    async fn take_name(&self, last: Option<&LastRelease>, replace: bool) -> Result<i64, Error> {
        let Some(last) = last else { return Ok(1) };
        if !(replace && matches!(last.status, RecordStatus::Uninstalled | RecordStatus::Failed)) {
            return Err(Error::NameInUse);
        }
        if let Some((mut record, _)) = self.read(&self.release_name(), Some(last.version)).await? {
            record.info.status = RecordStatus::Superseded;
            let mut unseen = Acted::new(Recording::Kept, None);
            self.update(&record, &mut unseen).await?;
        }
        Ok(last.version + 1)
    }

    async fn make_namespace(&self, name: &str) -> Result<(), Error> {
        let tree = json!({
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": { "name": name, "labels": { "name": name } },
        });
        let resources = objects::resolve(&self.connection.discovery, [tree], "").await.map_err(Error::Namespace)?;
        let mut outcome = objects::Outcome::default();
        objects::apply_all(&self.connection.client, &resources, None, &mut outcome).await.map_err(Error::Namespace)
    }

    async fn perform_install(
        &self,
        record: &mut Release,
        resources: &[objects::Resource],
        settings: &Install,
        acted: &mut Acted,
    ) -> Result<(), Error> {
        let timeout = target::timeout(&self.object, ActionKind::Install);
        if !settings.disable_hooks {
            let ran = self.run_hooks(record, &Event::PreInstall, timeout, acted, |_| true).await;
            ran.map_err(super::hook_failed("failed pre-install"))?;
        }
        let owner = objects::Owner::of(record);
        let mut outcome = objects::Outcome::default();
        objects::apply_all(&self.connection.client, resources, Some(&owner), &mut outcome)
            .await
            .map_err(Error::Apply)?;
        self.wait_released(outcome.written, settings.disable_wait, settings.disable_wait_for_jobs, timeout).await?;
        if !settings.disable_hooks {
            let ran = self.run_hooks(record, &Event::PostInstall, timeout, acted, |_| true).await;
            ran.map_err(super::hook_failed("failed post-install"))?;
        }
        Ok(())
    }
}
