//! Health of what was applied: `spec.wait` and `spec.healthChecks`.

use std::{sync::Arc, time::Instant};

use super::{
    Environments, Pass, Work,
    conclude::{Done, Ending, is_change},
    observe::{is_self, source_namespace},
};
use crate::{
    api::{self, Artifact, Kustomization, conditions, meta, reasons},
    cluster::{
        apply::{Change, Target},
        discovery::Discovery,
        events::Severity,
        expressions::HealthChecks,
        inventory::parse_id,
        object::{ObjectId, split_api_version},
        status::JobRule,
        wait::{self, Ready, Sharing, WaitError, WaitOptions, WaitTarget},
    },
    reconcile::shell::Run,
    telemetry::chain,
};

/// `apiVersion` of a health check that names none (Flux).
const DEFAULT_API_VERSION: &str = "apps/v1";

impl Environments {
    /// Waits until what was applied is healthy, where the spec asks for that.
    pub(super) async fn health(
        &self,
        run: &mut Run<Kustomization>,
        pass: &Pass<'_>,
        work: &Work,
        done: &Done,
    ) -> Result<(), Ending> {
        let object = run.object.clone();
        let targets = self.health_targets(pass, done).await.map_err(|message| Ending {
            reason: reasons::HEALTH_CHECK_FAILED,
            message,
            may_pass: true,
        })?;
        if targets.is_empty() {
            Self::report(&object, &mut run.status).health_unchecked();
            return Ok(());
        }
        let was_healthy = conditions::is_true(&run.status.conditions, conditions::HEALTHY);
        let started = Instant::now();
        let progress = format!(
            "Running health checks for revision {} with a timeout of {}",
            work.artifact.revision,
            api::Duration::from(work.times.timeout)
        );
        let checked = self.wait_for(run, pass, work, targets, &progress).await;
        let took = api::Duration::from(started.elapsed());
        match checked {
            Ok(()) => {
                let message = format!("Health check passed in {took}");
                let changed = done.applied.settled.iter().any(|(_, one)| is_change(one.change));
                let is_new = run.status.last_applied_revision.as_deref() != Some(&work.artifact.revision);
                if !was_healthy || (is_new && changed) {
                    self.tell(&object, Some(&work.artifact), Severity::Normal, reasons::PROGRESSING, &message);
                }
                if !was_healthy || is_new || changed {
                    Self::report(&object, &mut run.status).healthy(&message);
                }
                Ok(())
            }
            Err(WaitError::Canceled) => Err(Ending {
                reason: reasons::HEALTH_CHECK_CANCELED,
                message: "New reconciliation triggered".to_owned(),
                may_pass: true,
            }),
            Err(error) => {
                let text = error.to_string();
                Self::report(&object, &mut run.status).unhealthy(&text);
                let message = format!("health check failed after {took}: {text}");
                Err(Ending { reason: reasons::HEALTH_CHECK_FAILED, message, may_pass: false })
            }
        }
    }

    async fn wait_for(
        &self,
        run: &mut Run<Kustomization>,
        pass: &Pass<'_>,
        work: &Work,
        targets: Vec<WaitTarget>,
        progress: &str,
    ) -> Result<(), WaitError> {
        let object = run.object.clone();
        let options = WaitOptions {
            ready: Ready::Objects(JobRule::Completed),
            timeout: work.times.timeout,
            // The spec was checked when the run began.
            checks: HealthChecks::of(&object.spec.health_check_exprs).map(Arc::new).unwrap_or_default(),
            fail_fast: true,
            sharing: Some(Sharing { watches: pass.connection.watches.clone(), label: meta::KUSTOMIZATION_NAME }),
        };
        let cancel = pass.shutdown.child_token();
        let superseded = run.superseded();
        let waiting = pass.permit.waiting(wait::ready(&pass.connection.client, targets, &options, &cancel));
        let mut waiting = std::pin::pin!(waiting);
        let mut superseded = std::pin::pin!(superseded);
        tokio::select! {
            done = &mut waiting => return done,
            () = tokio::time::sleep(super::PROGRESS_AFTER) => {}
        }
        Self::report(&object, &mut run.status).checking_health(progress);
        if let Err(error) = run.report().await {
            tracing::warn!(error = %chain(&error), "progress not written");
        }
        loop {
            tokio::select! {
                done = &mut waiting => return done,
                () = &mut superseded, if !cancel.is_cancelled() => cancel.cancel(),
                () = self.artifact_replaced(&object, &work.artifact), if !cancel.is_cancelled() => cancel.cancel(),
            }
        }
    }

    /// Waits until the source has another artifact than the one that is being checked.
    async fn artifact_replaced(&self, object: &Kustomization, artifact: &Artifact) {
        let mut changes = self.sources.subscribe();
        loop {
            let source = self.git_repositories.find(source_namespace(object), &object.spec.source_ref.name);
            let now = source.and_then(|source| source.status.as_ref()?.artifact.clone());
            if now.is_some_and(|now| now.digest != artifact.digest) {
                return;
            }
            if changes.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    async fn health_targets(&self, pass: &Pass<'_>, done: &Done) -> Result<Vec<WaitTarget>, String> {
        let object = pass.object;
        let mut targets = Vec::new();
        if object.spec.wait {
            for entry in &done.inventory {
                let Ok(id) = parse_id(&entry.id) else { continue };
                let settled = done.applied.settled.iter().find(|(known, _)| *known == id).map(|(_, one)| one);
                if is_self(object, &id) || settled.is_some_and(|one| one.change == Change::Skipped) {
                    continue;
                }
                targets.push(match settled {
                    Some(one) => WaitTarget { target: Target { kind: one.kind.clone(), id }, known: one.live.clone() },
                    None => target(&pass.connection.discovery, &id, &entry.v).await?,
                });
            }
            return Ok(targets);
        }
        for check in &object.spec.health_checks {
            let (group, version) = split_api_version(check.api_version.as_deref().unwrap_or(DEFAULT_API_VERSION));
            let own = object.metadata.namespace.as_deref().unwrap_or_default();
            let id = ObjectId {
                group: group.to_owned(),
                kind: check.kind.clone(),
                namespace: check.namespace.as_deref().unwrap_or(own).to_owned(),
                name: check.name.clone(),
            };
            if !is_self(object, &id) {
                targets.push(target(&pass.connection.discovery, &id, version).await?);
            }
        }
        Ok(targets)
    }
}

async fn target(discovery: &Discovery, id: &ObjectId, version: &str) -> Result<WaitTarget, String> {
    match Target::of_id(discovery, id, version).await {
        Ok(target) => Ok(WaitTarget { target, known: None }),
        Err(error) => Err(error.to_string()),
    }
}
