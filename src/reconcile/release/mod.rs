//! The HelmRelease controller: a chart with values, kept installed.
//!
//! A run is `observe` (dependencies, chart, values, Helm's newest record), then a loop of `decide` (pure), `act` and
//! `report` (pure) that ends when nothing is left to do, a remediation ran, or an action would run twice.

mod act;
mod attempt;
pub mod chart_object;
mod charts;
pub mod connect;
pub mod decide;
pub mod drift;
pub mod history;
pub mod memory;
pub mod method;
mod newer;
pub mod observe;
pub mod obstacle;
pub mod post_render;
mod recall;
pub mod record;
mod redaction;
mod relation;
pub mod remote_records;
pub mod report;
mod supported;
pub mod target;
pub mod triggers;
pub mod values;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::Timestamp;
use kube::{Client, ResourceExt};
use tokio_util::sync::CancellationToken;

pub use self::charts::{Charts, Error as ChartError, version_with_digest};
use self::{
    act::Work,
    attempt::Attempt,
    decide::{Desired, HistoryChange},
    drift::Drifts,
    memory::{Memory, Newest, Place},
    obstacle::{Class, Obstacle},
    remote_records::RemoteRecords,
    report::{Notice, Report},
};
use super::{
    shell::{Next, Reconciled, Reconciler, Run},
    watched::Watched,
};
use crate::{
    api::{
        Condition, HelmChart, HelmRelease, HelmReleaseStatus, OCIRepository,
        conditions::{self, Status},
        helm_release::ReleaseAction,
        meta, reasons,
    },
    cluster::{
        accounts::ServiceAccounts,
        connection::{Connection, Connections},
        events::{EventRecorder, Severity},
        expressions::HealthChecks,
        storage::ReleaseStorage,
    },
    telemetry::chain,
};

/// How long a HelmChart that was just written has for its artifact before the release says that it waits for it.
const CHART_WITHIN: Duration = Duration::from_secs(1);

/// The HelmRelease controller.
pub struct Releases {
    /// The daemon's own client: for its own kinds, and what a spec names in the object's own namespace. What a release
    /// does is done through its connection.
    pub daemon: Client,
    pub connections: Arc<Connections>,
    pub accounts: Arc<ServiceAccounts>,
    /// `--default-service-account`.
    pub default_service_account: Option<String>,
    /// `--default-kubeconfig-service-account`.
    pub default_kubeconfig_service_account: Option<String>,
    pub watched: Arc<Watched<HelmRelease>>,
    pub charts_watched: Arc<Watched<HelmChart>>,
    pub oci_repositories: Arc<Watched<OCIRepository>>,
    pub charts: Charts,
    pub memory: Arc<Memory>,
    pub remote_records: RemoteRecords,
    pub drifts: Arc<Drifts>,
    pub events: EventRecorder,
    pub no_cross_namespace_refs: bool,
}

impl Reconciled for HelmRelease {
    fn conditions(status: &mut HelmReleaseStatus) -> &mut Vec<Condition> {
        &mut status.conditions
    }

    fn handled_at(status: &mut HelmReleaseStatus) -> &mut Option<String> {
        &mut status.last_handled_reconcile_at
    }
}

impl Reconciler for Releases {
    type Kind = HelmRelease;
    const CONTROLLER: &'static str = "helmrelease";

    async fn reconcile(&self, run: &mut Run<HelmRelease>) -> Next {
        if run.object.metadata.deletion_timestamp.is_some() {
            return self.delete(run).await;
        }
        if let Err(error) = run.hold().await {
            tracing::error!(error = %chain(&error), "finalizer not added");
            return Next::Retry;
        }
        if run.object.spec.suspend {
            tracing::info!("reconciliation is suspended for this object");
            run.status.observed_generation = run.generation();
            return Next::Change;
        }
        match Box::pin(self.attempt(run)).await {
            Ok(next) => {
                self.outage_is_over(run, Obstacle::OUTAGES);
                if matches!(next, Next::Interval(_) | Next::Change) {
                    run.status.observed_generation = run.generation();
                }
                next
            }
            Err(obstacle) => self.blocked(run, obstacle),
        }
    }
}

/// Writes a status for the log: it is the one that the API server gets at the end of a run, or a part of the way there.
fn status_text(status: &HelmReleaseStatus) -> String {
    serde_json::to_string(status).unwrap_or_default()
}

/// Starts a report on the present moment.
fn report_on<'a>(object: &'a HelmRelease, status: &'a mut HelmReleaseStatus) -> Report<'a> {
    Report { object, status, now: Timestamp::now() }
}

/// Notes what this attempt is about, and starts the counts anew where that is not what the last one was about.
pub fn begin(object: &HelmRelease, status: &mut HelmReleaseStatus, desired: &Desired) {
    status.storage_namespace = Some(target::storage_namespace(object));
    if let Some(reason) = decide::reset_reason(object, status, desired) {
        tracing::debug!(reason, "failure counts start anew");
        report_on(object, status).clear_failures();
    }
    if decide::is_reset_requested(object, status) {
        status.last_handled_reset_at = object.annotations().get(meta::RESET_REQUESTED_AT).cloned();
    }
    status.last_attempted_generation = object.metadata.generation.unwrap_or(0);
    status.last_attempted_revision = Some(desired.chart_version.clone());
    status.last_attempted_revision_digest = None;
    status.last_attempted_config_digest = Some(desired.config_digest.clone());
    status.last_attempted_values_checksum = None;
    status.last_release_revision = 0;
}

/// Notes that an install or upgrade begins, which is what a force request asks for: it acts once, whatever comes of it.
pub fn handle_force(object: &HelmRelease, status: &mut HelmReleaseStatus) {
    if decide::is_forced(object, status) {
        status.last_handled_force_at = object.annotations().get(meta::FORCE_REQUESTED_AT).cloned();
    }
}

/// Tells whether a release is as its spec asked for when that was looked at last.
fn is_healthy(run: &Run<HelmRelease>) -> bool {
    run.status.observed_generation == run.generation() && conditions::is_true(&run.status.conditions, conditions::READY)
}

/// Changes the history before a step as was decided.
pub fn change_history(status: &mut HelmReleaseStatus, change: HistoryChange) {
    match change {
        HistoryChange::Keep => {}
        HistoryChange::Clear => status.history.clear(),
        HistoryChange::Truncate { ignore_tests } => history::truncate(&mut status.history, ignore_tests),
        HistoryChange::TruncateForRetry => history::truncate_for_retry(&mut status.history),
    }
}

impl Releases {
    fn tell(&self, object: &HelmRelease, notice: Notice) {
        let severity = if notice.is_warning { Severity::Warning } else { Severity::Normal };
        self.events.record(object, severity, notice.reason, &notice.message, notice.annotations);
    }

    /// Tells of a step on the way, which is for the cluster alone.
    fn trace(&self, object: &HelmRelease, reason: &str, message: &str) {
        self.events.record(object, Severity::Trace, reason, message, BTreeMap::new());
    }

    /// Tells of something that has no release yet.
    fn warn(&self, object: &HelmRelease, is_warning: bool, reason: &'static str, message: String) {
        self.tell(object, Notice { is_warning, reason, message, annotations: BTreeMap::new() });
    }

    fn blocked(&self, run: &mut Run<HelmRelease>, obstacle: Obstacle) -> Next {
        let object = run.object.clone();
        if obstacle.is_outage() && is_healthy(run) {
            return self.outage(run, &obstacle);
        }
        let before = conditions::get(&run.status.conditions, conditions::READY).cloned();
        let is_news = before.is_none_or(|c| c.reason != obstacle.reason || c.message != obstacle.message);
        let mut report = report_on(&object, &mut run.status);
        report.blocked(&obstacle);
        if is_news {
            tracing::info!(reason = obstacle.reason, detail = obstacle.message, "not acted on");
            if obstacle.is_told {
                let is_warning = obstacle.class != Class::Wait;
                let said = obstacle.told_as.as_ref().unwrap_or(&obstacle.message);
                self.warn(&object, is_warning, obstacle.reason, said.clone());
            }
        }
        match obstacle.class {
            Class::Retry => Next::Retry,
            Class::Wait => Next::Change,
            Class::Terminal => {
                run.status.observed_generation = run.generation();
                Next::Change
            }
        }
    }

    /// Something cannot be read that a release needs only to change: what is installed is as healthy as it was, so that
    /// Ready stays, and another condition tells of it if it does not pass at once (as after a restart with an empty disk).
    fn outage(&self, run: &mut Run<HelmRelease>, obstacle: &Obstacle) -> Next {
        /// What passes within this time is not told.
        const PASSING: Duration = Duration::from_secs(15);
        let mut lasts = false;
        self.memory
            .remember(&run.key(), |known| lasts = known.outage.replace(obstacle.reason) == Some(obstacle.reason));
        if lasts {
            let object = run.object.clone();
            let mut report = report_on(&object, &mut run.status);
            report.mark(conditions::FETCH_FAILED, Status::True, obstacle.reason, obstacle.message.clone());
            tracing::warn!(reason = obstacle.reason, detail = obstacle.message, "release is left as it is");
        }
        match obstacle.class {
            Class::Retry => Next::Retry,
            // The end of the outage is seen by a watch.
            Class::Wait | Class::Terminal if lasts => Next::Change,
            Class::Wait | Class::Terminal => Next::After(PASSING),
        }
    }

    /// Takes back what was told of an outage for one of some reasons.
    fn outage_is_over(&self, run: &mut Run<HelmRelease>, reasons: &[&str]) {
        self.memory.remember(&run.key(), |known| {
            known.outage = known.outage.filter(|reason| !reasons.contains(reason));
        });
        let told = conditions::get(&run.status.conditions, conditions::FETCH_FAILED);
        if told.is_some_and(|told| reasons.contains(&told.reason.as_str())) {
            let object = run.object.clone();
            report_on(&object, &mut run.status).unmark(conditions::FETCH_FAILED);
        }
    }

    /// Observes, then acts until nothing is left to do.
    async fn attempt(&self, run: &mut Run<HelmRelease>) -> Result<Next, Obstacle> {
        let object = run.object.clone();
        supported::check(&object)?;
        HealthChecks::of(&object.spec.health_check_exprs).map_err(|error| Obstacle::invalid_expression(&error))?;
        let mut reads = observe::config_keys(&object);
        reads.extend(connect::kubeconfig_source(&object).map(|(source, _)| source));
        self.memory.reads(&run.key(), reads);
        let dependencies = object.spec.depends_on.iter().map(|on| triggers::dependency_key(&object, on));
        self.memory.depends(&run.key(), dependencies.collect());
        if let Some(next) = self.chart_object(run).await? {
            return Ok(next);
        }
        self.dependencies(&object)?;
        report_on(&object, &mut run.status).cleared(&[reasons::DEPENDENCY_NOT_READY]);
        let source = self.source(&object).await?;
        let obstacles = [
            reasons::ACCESS_DENIED,
            reasons::ARTIFACT_FAILED,
            reasons::CHART_MUTATE_ERROR,
            reasons::SOURCE_NOT_READY,
            reasons::UNSUPPORTED_FIELD,
        ];
        report_on(&object, &mut run.status).cleared(&obstacles);
        let composed = self.values(&object).await?;
        report_on(&object, &mut run.status).cleared(&[reasons::VALUES_ERROR]);
        let desired = Desired {
            chart_name: source.chart_name.clone(),
            chart_version: source.chart_version.clone(),
            config_digest: composed.digest.clone(),
            post_renderers_digest: post_render::post_renderers_digest(&object.spec.post_renderers),
            common_metadata_digest: post_render::common_metadata_digest(object.spec.common_metadata.as_ref()),
        };
        self.outage_is_over(run, Obstacle::PREREQUISITES);
        let connection = self.connect(&object).await.map_err(|error| error.obstacle())?;
        report_on(&object, &mut run.status).cleared(&[reasons::REST_CLIENT_ERROR]);
        run.permit().work_on(connection.permits()).await;
        if self.moved(run, &connection, &desired).await? {
            return Ok(Next::Now);
        }
        begin(&object, &mut run.status, &desired);
        run.status.last_attempted_revision_digest.clone_from(&source.revision_digest);
        let place = Place {
            cluster: connection.remote(),
            namespace: target::storage_namespace(&object),
            release: target::release_name(&object),
        };
        self.memory.recorded_at(&run.key(), place.clone());
        let records = self.remote_records.hold(&connection, &place, &self.memory, &self.watched);
        self.memory.remember(&run.key(), |known| known.records = records);
        let attempt = Attempt {
            storage: ReleaseStorage::new(connection.client.clone(), &place.namespace, meta::HELM_FIELD_MANAGER),
            connection,
            place,
            object,
            source,
            composed,
            desired,
            releases: self,
            permit: run.permit().clone(),
        };
        Box::pin(attempt.steps(run)).await
    }

    /// Writes the HelmChart of `spec.chart`, and deletes one that is not asked for any more. Where it has written it, the
    /// run ends: its artifact comes then, which starts the release again.
    async fn chart_object(&self, run: &mut Run<HelmRelease>) -> Result<Option<Next>, Obstacle> {
        let object = run.object.clone();
        let failed = |error: chart_object::Error| {
            self.trace(&object, reasons::HELM_CHART_SYNC_ERR, &chain(&error));
            Obstacle { is_told: false, ..Obstacle::retry(reasons::HELM_CHART_SYNC_ERR, chain(&error)) }
        };
        let wanted = chart_object::reference(&object).map(|(namespace, name)| format!("{namespace}/{name}"));
        let before = run.status.helm_chart.clone().filter(|chart| !chart.is_empty());
        if let Some(before) = before.filter(|before| Some(before) != wanted.as_ref()) {
            self.check_chart_access(&object, &before)?;
            if !attempt::is_current(run).await? {
                return Ok(Some(attempt::ANEW));
            }
            chart_object::delete(&self.daemon, &before).await.map_err(failed)?;
            let message = format!("deleted HelmChart '{before}'");
            self.trace(&object, reasons::HELM_CHART_DELETED, &message);
            run.status.helm_chart = None;
        }
        let Some(chart) = chart_object::desired(&object) else { return Ok(None) };
        if self.no_cross_namespace_refs {
            chart_object::check_namespace(&object, &chart)?;
        }
        if !chart_object::is_written(&self.charts_watched, &chart) && !attempt::is_current(run).await? {
            return Ok(Some(attempt::ANEW));
        }
        let written = chart_object::write(&self.daemon, &self.charts_watched, &chart).await.map_err(failed)?;
        if let Some(reason) = written.reason() {
            let verb = reason.trim_start_matches("HelmChart");
            let source = &chart.spec.source_ref;
            let namespace = chart.metadata.namespace.as_deref().unwrap_or_default();
            let message = format!(
                "{verb} HelmChart/{} with SourceRef '{}/{namespace}/{}'",
                wanted.as_deref().unwrap_or_default(),
                source.kind.as_str(),
                source.name
            );
            tracing::info!(detail = message, "HelmChart written");
            self.trace(&object, reason, &message);
        }
        run.status.helm_chart = wanted;
        Ok((written != chart_object::Written::Unchanged).then_some(Next::Unsaid(CHART_WITHIN)))
    }

    /// Refuses a HelmChart, named as in `status.helmChart`, that the flag keeps an object from.
    fn check_chart_access(&self, object: &HelmRelease, chart: &str) -> Result<(), Obstacle> {
        let (namespace, name) = chart.split_once('/').unwrap_or_default();
        if self.no_cross_namespace_refs && object.metadata.namespace.as_deref() != Some(namespace) {
            return Err(chart_object::cross_namespace("HelmChart", namespace, name));
        }
        Ok(())
    }

    /// Uninstalls what is installed where the spec does not ask for it any more; tells whether it did.
    async fn moved(
        &self,
        run: &mut Run<HelmRelease>,
        connection: &Arc<Connection>,
        desired: &Desired,
    ) -> Result<bool, Obstacle> {
        let object = run.object.clone();
        let Some(change) = target::target_change(&object, &run.status, &desired.chart_name) else { return Ok(false) };
        if change == target::TargetChange::ChartName && target::keeps_release_on_chart_change(&object) {
            return Ok(false);
        }
        tracing::info!(changed = change.as_str(), "release target changed: uninstalling the current release");
        report_on(&object, &mut run.status).fulfilling();
        self.uninstall(run, connection).await?;
        run.status.history.clear();
        run.status.storage_namespace = None;
        report_on(&object, &mut run.status).clear_failures();
        Ok(true)
    }

    /// Uninstalls the release of a deleted object, deletes its HelmChart and lets the object go. A suspended one leaves
    /// the release installed.
    async fn delete(&self, run: &mut Run<HelmRelease>) -> Next {
        let object = run.object.clone();
        if !object.finalizers().iter().any(|finalizer| finalizer == meta::FINALIZER) {
            return Next::Change;
        }
        if !object.spec.suspend {
            match attempt::is_current(run).await {
                Ok(true) => {}
                Ok(false) => return attempt::ANEW,
                Err(obstacle) => return self.blocked(run, obstacle),
            }
            let gone = async {
                if self.may_be_installed(run) {
                    match self.connect(&object).await {
                        Ok(connection) => {
                            run.permit().work_on(connection.permits()).await;
                            self.uninstall(run, &connection).await?;
                            run.status.history.clear();
                            run.status.storage_namespace = None;
                        }
                        Err(error) if error.is_gone() => {
                            tracing::warn!(error = %chain(&error), "skipping Helm release uninstallation");
                        }
                        Err(error) => return Err(error.uninstall_obstacle()),
                    }
                }
                // One that was deleted right after it was made has no status that names its HelmChart.
                let made = || chart_object::reference(&object).map(|(namespace, name)| format!("{namespace}/{name}"));
                let chart = run.status.helm_chart.clone().filter(|chart| !chart.is_empty()).or_else(made);
                if let Some(chart) = chart.filter(|chart| self.check_chart_access(&object, chart).is_ok()) {
                    let failed = |error| Obstacle::retry(reasons::HELM_CHART_SYNC_ERR, chain(&error));
                    chart_object::delete(&self.daemon, &chart).await.map_err(failed)?;
                    run.status.helm_chart = None;
                }
                Ok::<_, Obstacle>(())
            };
            if let Err(obstacle) = gone.await {
                return self.blocked(run, obstacle);
            }
        }
        tracing::debug!(status = %status_text(&run.status), "object is let go");
        if let Err(error) = run.release().await {
            tracing::error!(error = %chain(&error), "finalizer not removed");
            return Next::Retry;
        }
        self.memory.forget(&run.key());
        self.drifts.forget(&drift::owner(&object));
        Next::Change
    }

    /// Tells whether there may be something to uninstall: what the status tells of, or a record that a process that is
    /// gone had no time to tell of.
    fn may_be_installed(&self, run: &Run<HelmRelease>) -> bool {
        if run.status.storage_namespace.as_deref().is_some_and(|namespace| !namespace.is_empty()) {
            return true;
        }
        let place = Place {
            cluster: None,
            namespace: target::storage_namespace(&run.object),
            release: target::release_name(&run.object),
        };
        // Another cluster, which may never have been reached, does not hold up what the status tells nothing of.
        let is_near = run.object.spec.kube_config.is_none();
        run.status.history.is_empty() && is_near && self.memory.newest(&place) != Newest::None
    }

    async fn uninstall(&self, run: &mut Run<HelmRelease>, connection: &Arc<Connection>) -> Result<(), Obstacle> {
        let object = run.object.clone();
        let namespace = run.status.storage_namespace.clone().filter(|namespace| !namespace.is_empty());
        let namespace = namespace.unwrap_or_else(|| target::storage_namespace(&object));
        let work = Work {
            releases: self,
            connection: connection.clone(),
            object: object.clone(),
            namespace,
            permit: run.permit().clone(),
            shutdown: run.shutdown().clone(),
            superseded: CancellationToken::new(),
        };
        let recalled = work.recall_for_uninstall(&mut run.status).await;
        let Some(current) = history::latest(&run.status.history).cloned() else {
            return recalled.map_err(|error| Obstacle::retry(reasons::UNINSTALL_FAILED, chain(&error)));
        };
        self.drifts.forget(&drift::owner(&object));
        let acted = work.uninstall(&current, ReleaseAction::Uninstall).await;
        acted.record(&mut run.status);
        let error = acted.error.as_ref().map(|error| chain(error));
        let mut report = report_on(&object, &mut run.status);
        let notice = match acted.gone {
            Some(gone) => {
                report.was_gone(&current, gone);
                None
            }
            None => Some(report.uninstalled(&current, error.as_deref())),
        };
        report.summarize(None);
        tracing::debug!(action = "uninstall", status = %status_text(&run.status), "action reported");
        let Some(notice) = notice else { return Ok(()) };
        let message = notice.message.clone();
        self.tell(&object, notice);
        match error {
            None => Ok(()),
            Some(_) => Err(Obstacle { is_told: false, ..Obstacle::retry(reasons::UNINSTALL_FAILED, message) }),
        }
    }
}
