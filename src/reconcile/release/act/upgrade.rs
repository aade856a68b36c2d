//! Upgrade: the next revision in place of the one that is deployed.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
    time::Duration,
};

use helm::{
    chart::Chart,
    hook::Event,
    release::{Release, Status as RecordStatus},
};
use serde_json::{Map, Value};

use super::{
    Acted, Error, Recording, Work,
    objects::{self, Resource},
    prepare::{Prepared, Revision, inventory_of},
    records::pack,
    reuse,
    write::{Before, Force, Outcome, Writing},
};
use crate::{
    api::helm_release::{ReleaseAction, Upgrade},
    cluster::{
        apply::{self, ApplyMethod, Propagation, Target},
        object::ObjectId,
    },
    reconcile::release::{
        method, record,
        redaction::Redaction,
        target::{self, ActionKind},
    },
};

/// What a revision takes from the newest before it.
struct Last {
    version: i64,
    apply_method: Option<helm::release::ApplyMethod>,
    labels: BTreeMap<String, String>,
}

/// From the objects of one revision to those of the next.
pub(super) struct Change {
    pub resources: Vec<Resource>,
    pub old: Vec<Resource>,
    /// The old ones were written client-side.
    pub migrates: bool,
    /// Objects whose fields cannot be changed are made anew.
    pub force: bool,
}

impl Work<'_> {
    /// Upgrades a release to a chart.
    pub async fn upgrade(&self, chart: &Arc<Chart>, values: Map<String, Value>, secrets: Redaction) -> Acted {
        let mut acted = Acted::new(Recording::Release, Some(ReleaseAction::Upgrade));
        acted.app_version = chart.app_version().to_owned();
        acted.secrets = secrets;
        let result = self.try_upgrade(chart, values, &mut acted).await;
        acted.ended(result)
    }

    async fn try_upgrade(
        &self,
        chart: &Arc<Chart>,
        values: Map<String, Value>,
        acted: &mut Acted,
    ) -> Result<(), Error> {
        let settings = self.object.spec.upgrade.clone().unwrap_or_default();
        let (last, mut current) = self.last_and_current().await?;
        let method = method::of_upgrade(&self.object, last.apply_method);
        let definitions = self.apply_crds(chart, &values, settings.crds.as_ref(), method).await.map_err(Error::Crds)?;
        let (mut chart, mut values) = (chart.clone(), values);
        if settings.preserve_values {
            chart = reuse::chart_over(&current, &chart).map_err(Error::OldValues)?;
            values = reuse::values_over(&current, values);
        }
        let revision = Revision {
            release: current.name.clone(),
            namespace: current.namespace.clone(),
            number: last.version + 1,
            method,
            is_upgrade: true,
            skip_schema_validation: settings.disable_schema_validation,
        };
        let Prepared { mut record, resources } = self.prepare(&chart, &values, revision).await?;
        record.info.first_deployed.clone_from(&current.info.first_deployed);
        record.labels = last.labels;
        let owner = objects::Owner::of(&record);
        if !settings.disable_openapi_validation {
            self.validate(&resources, &owner, method).await?;
        }
        let old = self.resolve_current(&current).await?;
        if settings.disable_take_ownership {
            self.check_new(&resources, &old, &owner).await?;
        }
        let migrates = method::of_record(current.apply_method) == ApplyMethod::ClientSide;
        // A wait may be long: what is needed after it is little of what was until here.
        drop((chart, values));
        let current_version = current.version;
        let superseded = match std::mem::replace(&mut current.info.status, RecordStatus::Superseded) {
            RecordStatus::Superseded => None,
            _ => Some(pack(current).await?),
        };
        self.create(&record, acted, true).await?;
        acted.inventory = Some(inventory_of(&resources, &definitions));
        let mut created = Vec::new();
        let change = Change { resources, old, migrates, force: settings.force };
        match self.perform_upgrade(&mut record, change, &settings, &mut created, acted).await {
            Ok(()) => {
                if let Some(superseded) = superseded {
                    self.update_packed(superseded, acted).await?;
                }
                record.info.status = RecordStatus::Deployed;
                "Upgrade complete".clone_into(&mut record.info.description);
                self.update(&record, acted).await
            }
            Err(error) => {
                // Helm writes the current revision again, as it was, unless a hook failed; what there is to see of that is
                // that its snapshot has no action any more.
                if !matches!(error, Error::Hook { .. }) && !error.is_called_off() {
                    acted.rewritten = Some(current_version);
                }
                let description = format!("Upgrade \"{}\" failed: {}", record.name, error.recorded());
                self.fail(&mut record, description, acted).await;
                if settings.cleanup_on_fail && !error.is_called_off() {
                    objects::delete_all(&self.connection.client, &created, Propagation::Background).await;
                }
                Err(error)
            }
        }
    }

    /// Checks that no object that the old revision does not have is somebody else's.
    async fn check_new(&self, resources: &[Resource], old: &[Resource], owner: &objects::Owner) -> Result<(), Error> {
        let known: HashSet<&ObjectId> = old.iter().map(|resource| &resource.target.id).collect();
        let new: Vec<_> = resources.iter().filter(|resource| !known.contains(&resource.target.id)).cloned().collect();
        self.check_ownership(&new, owner, "update").await
    }

    /// Returns what the next revision goes on from in the newest, and the one that is deployed; where none is, the newest,
    /// if it can be upgraded.
    async fn last_and_current(&self) -> Result<(Last, Release), Error> {
        let name = self.release_name();
        let Some((last, _)) = self.read(&name, None).await? else { return Err(Error::NoDeployedRelease(name)) };
        if last.info.status.is_pending() {
            return Err(Error::InProgress);
        }
        let next = Last { version: last.version, apply_method: last.apply_method, labels: last.labels.clone() };
        if last.info.status == RecordStatus::Deployed {
            return Ok((next, last));
        }
        match self.read_all(&name, &[RecordStatus::Deployed]).await?.pop() {
            Some(deployed) => Ok((next, deployed)),
            None if matches!(last.info.status, RecordStatus::Failed | RecordStatus::Superseded) => Ok((next, last)),
            None => Err(Error::NoDeployedRelease(name)),
        }
    }

    /// Resolves the objects of a recorded revision. One whose kind is not served any more is left out: there is
    /// nothing of it that could be deleted.
    pub(super) async fn resolve_current(&self, current: &Release) -> Result<Vec<Resource>, Error> {
        let trees = record::objects(&current.manifest).map_err(|error| Error::Manifest(current.version, error))?;
        let mut resources = Vec::new();
        for tree in trees {
            match objects::resolve(&self.connection.discovery, [tree], &current.namespace).await {
                Ok(resolved) => resources.extend(resolved),
                Err(error) if error.is_outage() => return Err(Error::BuildCurrent(error)),
                Err(error) => {
                    let error = crate::telemetry::chain(&error);
                    tracing::warn!(revision = current.version, error, "object of the current revision left out");
                }
            }
        }
        Ok(resources)
    }

    async fn perform_upgrade(
        &self,
        record: &mut Release,
        change: Change,
        settings: &Upgrade,
        created: &mut Vec<Target>,
        acted: &mut Acted,
    ) -> Result<(), Error> {
        let timeout = target::timeout(&self.object, ActionKind::Upgrade);
        if !settings.disable_hooks {
            let ran = self.run_hooks(record, &Event::PreUpgrade, timeout, acted, |_| true).await;
            ran.map_err(super::hook_failed("pre-upgrade hooks failed"))?;
        }
        let mut outcome = Outcome::default();
        let replaced = self.replace(record, &change, timeout, &mut outcome).await;
        // A wait may be long, and nothing is read of the objects in it.
        drop(change);
        *created = std::mem::take(&mut outcome.created);
        replaced?;
        self.wait_released(outcome.written, settings.disable_wait, settings.disable_wait_for_jobs, timeout).await?;
        if !settings.disable_hooks {
            let ran = self.run_hooks(record, &Event::PostUpgrade, timeout, acted, |_| true).await;
            ran.map_err(super::hook_failed("post-upgrade hooks failed"))?;
        }
        Ok(())
    }

    /// Applies the objects of a revision, then deletes those of the old one that it does not have.
    pub(super) async fn replace(
        &self,
        record: &Release,
        change: &Change,
        timeout: Duration,
        outcome: &mut Outcome,
    ) -> Result<(), Error> {
        let &Change { ref resources, ref old, migrates, force } = change;
        let owner = objects::Owner::of(record);
        let replaces = force;
        let force = force.then_some(Force { timeout, shutdown: &self.shutdown });
        let writing = self.writing(method::of_record(record.apply_method), Before::last(old));
        let writing = Writing { owner: Some(&owner), migrates, replaces, force, ..writing };
        writing.all(resources, outcome).await.map_err(Error::Apply)?;
        let kept: HashSet<&ObjectId> = resources.iter().map(|resource| &resource.target.id).collect();
        let mut gone = Vec::new();
        for resource in old.iter().filter(|resource| !kept.contains(&resource.target.id)) {
            // The policy of what is there counts, not that of what was applied once.
            let existing = apply::get_metadata(&self.connection.client, &resource.target).await;
            match existing.map_err(Error::Existing)? {
                None => {}
                Some(existing) if objects::is_kept(&existing) => {
                    tracing::info!(object = %resource.target.id, "kept by its resource policy");
                }
                Some(_) => gone.push(resource.target.clone()),
            }
        }
        let (_, errors) = objects::delete_all(&self.connection.client, &gone, Propagation::Background).await;
        for error in errors {
            tracing::warn!(error = %crate::telemetry::chain(&error), "object of the old revision not deleted");
        }
        Ok(())
    }
}
