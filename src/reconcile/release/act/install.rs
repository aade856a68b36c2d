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
    write::{Before, Outcome, Writing},
};
use crate::{
    api::helm_release::{Install, ReleaseAction},
    cluster::apply::ApplyMethod,
    reconcile::release::{
        decide::LastRelease,
        method,
        redaction::Redaction,
        target::{self, ActionKind},
    },
};

impl Work<'_> {
    /// Installs a chart.
    pub async fn install(
        &self,
        chart: &Arc<Chart>,
        values: Map<String, Value>,
        secrets: Redaction,
        last: Option<&LastRelease>,
    ) -> Acted {
        let mut acted = Acted::new(Recording::Release, Some(ReleaseAction::Install));
        acted.app_version = chart.app_version().to_owned();
        acted.secrets = secrets;
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
        let method = method::of_install(&self.object);
        check_name(last, settings.replace)?;
        let definitions = self.apply_crds(chart, &values, settings.crds.as_ref(), method).await.map_err(Error::Crds)?;
        let revision = Revision {
            release: self.release_name(),
            namespace: target::release_namespace(&self.object),
            number: 1,
            method,
            is_upgrade: false,
            skip_schema_validation: settings.disable_schema_validation,
        };
        let Prepared { mut record, resources } = self.prepare(chart, &values, revision).await?;
        let owner = objects::Owner::of(&record);
        if !settings.disable_openapi_validation {
            self.validate(&resources, &owner, method).await?;
        }
        if settings.disable_take_ownership {
            self.check_ownership(&resources, &owner, "install").await?;
        }
        if settings.create_namespace && self.object.spec.target_namespace.is_some() {
            self.make_namespace(&record.namespace, method).await?;
        }
        if let Some(last) = last {
            record.version = last.version + 1;
            self.supersede(last).await?;
        }
        self.create(&record, acted, false).await?;
        acted.inventory = Some(inventory_of(&resources, &definitions));
        match self.perform_install(&mut record, resources, &settings, acted).await {
            Ok(()) => {
                record.info.status = RecordStatus::Deployed;
                "Install complete".clone_into(&mut record.info.description);
                self.update(&record, acted).await
            }
            Err(error) => {
                let description = format!("Release \"{}\" failed: {}", record.name, error.recorded());
                self.fail(&mut record, description, acted).await;
                Err(error)
            }
        }
    }

    /// Marks the revision that an install replaces; one that failed stays as it is.
    async fn supersede(&self, last: &LastRelease) -> Result<(), Error> {
        if last.status == RecordStatus::Failed {
            return Ok(());
        }
        let Some((mut record, _)) = self.read(&self.release_name(), Some(last.version)).await? else { return Ok(()) };
        record.info.status = RecordStatus::Superseded;
        "superseded by new release".clone_into(&mut record.info.description);
        self.update(&record, &mut Acted::new(Recording::Kept, None)).await
    }

    async fn make_namespace(&self, name: &str, method: ApplyMethod) -> Result<(), Error> {
        let tree = json!({
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": { "name": name, "labels": { "name": name } },
        });
        let resources = objects::resolve(&self.connection.discovery, [tree], "").await.map_err(Error::NamespaceKind)?;
        match self.writing(method, Before::Nothing).all(&resources, &mut Outcome::default()).await {
            Err(error) if !error.refused.iter().all(|refused| refused.error.is_already_there()) => {
                Err(Error::Namespace(error))
            }
            _ => Ok(()),
        }
    }

    async fn perform_install(
        &self,
        record: &mut Release,
        resources: Vec<objects::Resource>,
        settings: &Install,
        acted: &mut Acted,
    ) -> Result<(), Error> {
        let timeout = target::timeout(&self.object, ActionKind::Install);
        if !settings.disable_hooks {
            let ran = self.run_hooks(record, &Event::PreInstall, timeout, acted, |_| true).await;
            ran.map_err(super::hook_failed("failed pre-install"))?;
        }
        let owner = objects::Owner::of(record);
        let mut outcome = Outcome::default();
        let before = Before::New { takes: !settings.disable_take_ownership };
        let writing = Writing { owner: Some(&owner), ..self.writing(method::of_record(record.apply_method), before) };
        writing.all(&resources, &mut outcome).await.map_err(Error::Apply)?;
        // A wait may be long, and nothing is read of them in it.
        drop(resources);
        self.wait_released(outcome.written, settings.disable_wait, settings.disable_wait_for_jobs, timeout).await?;
        if !settings.disable_hooks {
            let ran = self.run_hooks(record, &Event::PostInstall, timeout, acted, |_| true).await;
            ran.map_err(super::hook_failed("failed post-install"))?;
        }
        Ok(())
    }
}

/// Refuses a name that is in use, unless what used it is gone and may be replaced.
fn check_name(last: Option<&LastRelease>, replace: bool) -> Result<(), Error> {
    match last.map(|last| last.status) {
        None => Ok(()),
        Some(RecordStatus::Uninstalled | RecordStatus::Failed) if replace => Ok(()),
        Some(_) => Err(Error::NameInUse),
    }
}
