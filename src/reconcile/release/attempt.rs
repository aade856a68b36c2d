//! One attempt: the loop that looks at a release, picks the next action, does it, and looks again.

use std::{sync::Arc, time::Duration};

use helm::release::Status as RecordStatus;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::{
    Releases,
    act::{Acted, Work, reuse},
    change_history,
    decide::{self, Action, ActionType, Decision, Desired, Drift, LastRelease, Outcome, RollbackTarget, Step, View},
    drift::Look,
    handle_force, history,
    memory::Place,
    newer::Aim,
    observe::{self, ChartSource, Read},
    obstacle::Obstacle,
    record,
    report::Report,
    report_on, status_text, target, values,
};
use crate::{
    api::{
        HelmRelease, HelmReleaseStatus, Snapshot,
        conditions::{self, Status},
        helm_release::ReleaseAction,
        reasons,
    },
    cluster::{connection::Connection, storage::ReleaseStorage},
    reconcile::shell::{Next, Permit, Run},
    telemetry::chain,
};

/// How long an action runs before the status says that it does: what a shorter one did is said at once by its result.
const PROGRESS_AFTER: Duration = Duration::from_secs(2);

/// Another run soon, on a newer state of the object: what this one would say is out of date.
pub(super) const ANEW: Next = Next::Unsaid(Duration::from_millis(100));

/// How an action ended that can be reported.
enum Concluded {
    Acted,
    /// Something newer is asked for: the next run is to begin at once.
    Superseded,
}

/// Everything that the actions of one run share.
pub(super) struct Attempt<'r> {
    pub(super) object: Arc<HelmRelease>,
    pub(super) source: ChartSource,
    pub(super) composed: observe::Composed,
    pub(super) desired: Desired,
    pub(super) connection: Arc<Connection>,
    pub(super) storage: ReleaseStorage,
    pub(super) place: Place,
    pub(super) releases: &'r Releases,
    pub(super) permit: Permit,
}

/// A release is not rolled back to another one's revision.
fn check_place(current: Option<&Snapshot>, previous: &Snapshot) -> Result<(), Obstacle> {
    match current.filter(|c| (&c.namespace, &c.name) != (&previous.namespace, &previous.name)) {
        None => Ok(()),
        Some(current) => {
            let (current, previous) = (target::versioned_release(current), target::versioned_release(previous));
            let message = format!(
                "release mismatch: previous release name or namespace {previous} does not match current {current}"
            );
            Err(Obstacle::retry(reasons::RECONCILE_ERROR, message))
        }
    }
}

/// Tells whether a run works on the newest state of its object, as it must before it writes anything.
pub(super) async fn is_current(run: &Run<HelmRelease>) -> Result<bool, Obstacle> {
    let current = run.is_current().await;
    let current = current.map_err(|error| Obstacle::retry(reasons::RECONCILE_ERROR, chain(&error)))?;
    if !current {
        tracing::info!("the object was listed as it was; it is looked at anew");
    }
    Ok(current)
}

impl Attempt<'_> {
    pub(super) fn report<'a>(&'a self, status: &'a mut HelmReleaseStatus) -> Report<'a> {
        report_on(&self.object, status)
    }

    fn view<'a>(&'a self, status: &'a HelmReleaseStatus, last: Option<&'a LastRelease>) -> View<'a> {
        View {
            object: &self.object,
            status,
            last,
            desired: &self.desired,
            target: RollbackTarget::Missing,
            drift: Drift::NotChecked,
            now: Timestamp::now(),
        }
    }

    /// Looks, picks the next action, does it, looks again.
    pub(super) async fn steps(self, run: &mut Run<HelmRelease>) -> Result<Next, Obstacle> {
        let mut done = Vec::new();
        loop {
            let last = self.releases.last_release(&self.storage, &self.place, run).await?;
            let desired = self.desired_over(last.as_ref()).await?;
            if !self.recall(run, last.as_ref(), &desired).await? {
                return Ok(ANEW);
            }
            let mut view = View { desired: &desired, ..self.view(&run.status, last.as_ref()) };
            let mut state = decide::state(&view)?;
            let mut look = Look::none();
            if state == decide::State::InSync
                && let Some(last) = &last
            {
                let may_correct = !done.contains(&ActionType::Drift);
                look = self.look_for_drift(&run.status, last, (done.is_empty(), may_correct)).await?;
                view.drift = look.drift;
                state = decide::state(&view)?;
            }
            if let decide::State::Failed(_) = state {
                view.target = self.rollback_target(&run.status).await?;
            }
            let Decision { step, history } = decide::next(&view, &state);
            tracing::debug!(?state, ?step, "decided");
            if !matches!(step, Step::Stall { .. }) {
                self.report(&mut run.status).found(&state);
            }
            if state == decide::State::Drifted
                && let Some(notice) = self.report(&mut run.status).drifted(&look.lines, &look.notes)
            {
                tracing::info!(detail = notice.message, "cluster state has drifted");
                self.releases.tell(&self.object, notice);
            }
            change_history(&mut run.status, history);
            let action = match step {
                Step::Act(action) => action,
                Step::Done => return Ok(self.finished(run, &look)),
                Step::Stall { reason, message } => return Ok(self.stalled(run, reason, &message)),
                Step::WaitUntil(until) => return Ok(self.locked_by_others(run, until)),
            };
            if let Some(outcome) = decide::before(&self.view(&run.status, last.as_ref()), action, &done) {
                return Ok(self.ended(run, outcome));
            }
            if done.is_empty() && !is_current(run).await? {
                return Ok(ANEW);
            }
            tracing::info!(action = action.name(), state = ?state, "running action");
            if matches!(action, Action::Install | Action::Upgrade) {
                handle_force(&self.object, &mut run.status);
            }
            match Box::pin(self.run_action(run, action, last.as_ref(), &look)).await {
                Ok(Concluded::Acted) => {}
                Ok(Concluded::Superseded) => return Ok(Next::Now),
                Err(obstacle) => {
                    let Some(interval) = target::active_retry(&self.object, &run.status) else { return Err(obstacle) };
                    return Ok(self.ended(run, Outcome::RetryAfter(interval)));
                }
            }
            match decide::after(&self.view(&run.status, last.as_ref()), action) {
                Outcome::Again => done.push(action.kind()),
                outcome => return Ok(self.ended(run, outcome)),
            }
        }
    }

    /// Returns what is desired, given what is installed: where values are preserved, those of the last release fill in
    /// what the spec says nothing about.
    async fn desired_over(&self, last: Option<&LastRelease>) -> Result<Desired, Obstacle> {
        let mut desired = self.desired.clone();
        let is_preserved = self.object.spec.upgrade.as_ref().is_some_and(|upgrade| upgrade.preserve_values);
        let Some(last) = last.filter(|last| is_preserved && last.status == RecordStatus::Deployed) else {
            return Ok(desired);
        };
        let key = kube::runtime::reflector::ObjectRef::from_obj(self.object.as_ref());
        if let Some((version, over, digest)) = self.releases.memory.remembered(&key).reused
            && (version, &over) == (last.version, &desired.config_digest)
        {
            desired.config_digest = digest;
            return Ok(desired);
        }
        let name = target::release_name(&self.object);
        let version = u32::try_from(last.version).unwrap_or(0);
        let stored = self.storage.get(&name, version).await.map_err(|error| Obstacle::unread(&error))?;
        let Some(stored) = stored else { return Ok(desired) };
        let record = record::decode(&name, &stored).map_err(|error| Obstacle::unread(&error))?;
        let digest = values::digest(&reuse::values_over(&record, self.values().await?.values));
        let reused = (last.version, desired.config_digest, digest.clone());
        self.releases.memory.remember(&key, |known| known.reused = Some(reused));
        desired.config_digest = digest;
        Ok(desired)
    }

    fn interval(&self) -> Next {
        // The API server refuses what is no duration; an object that got past it is looked at now and then all the same.
        const FALLBACK: Duration = Duration::from_mins(10);
        Next::Interval(self.object.spec.interval.get_or(FALLBACK))
    }

    fn finished(&self, run: &mut Run<HelmRelease>, look: &Look) -> Next {
        let mut report = self.report(&mut run.status);
        report.in_sync(&self.desired);
        if look.is_complete && look.drift == Drift::None {
            report.no_drift(&look.notes);
        }
        self.interval()
    }

    fn stalled(&self, run: &mut Run<HelmRelease>, reason: &'static str, message: &str) -> Next {
        self.report(&mut run.status).given_up(reason, message);
        Next::Change
    }

    fn locked_by_others(&self, run: &mut Run<HelmRelease>, until: Timestamp) -> Next {
        let message = format!(
            "another program's operation on the Helm release is in progress; it is taken over at {until}, \
             or at once by the annotation reconcile.fluxcd.io/forceAt"
        );
        let mut report = self.report(&mut run.status);
        report.reconciling(reasons::PROGRESSING, message.clone());
        report.not_ready(reasons::PENDING_RELEASE, message);
        let wait = until.duration_since(Timestamp::now());
        Next::After(Duration::try_from(wait).unwrap_or_default())
    }

    fn ended(&self, run: &mut Run<HelmRelease>, outcome: Outcome) -> Next {
        self.report(&mut run.status).ended(&outcome);
        match outcome {
            Outcome::Again => Next::Now,
            Outcome::Done => self.interval(),
            Outcome::Requeue => Next::Retry,
            Outcome::RetryAfter(interval) => {
                // As under Flux: this generation has been tried, and what follows is more of the same.
                run.status.observed_generation = run.generation();
                Next::After(interval)
            }
            Outcome::Stall { .. } => Next::Change,
        }
    }

    async fn rollback_target(&self, status: &HelmReleaseStatus) -> Result<RollbackTarget, Obstacle> {
        let remediation = target::upgrade_remediation(&self.object, status);
        let Some(previous) = history::previous(&status.history, remediation.ignore_test_failures) else {
            return Ok(RollbackTarget::Missing);
        };
        let version = u32::try_from(previous.version).unwrap_or(0);
        let stored = self.storage.get(&previous.name, version).await.map_err(|error| {
            let message = format!("cannot verify previous release to roll back to: {}", chain(&error));
            Obstacle::retry(reasons::RECONCILE_ERROR, message)
        })?;
        let is_intact = stored.is_some_and(|stored| match record::decode(&previous.name, &stored) {
            Ok(record) => previous.api_version.is_some() || record::digest(&record) == previous.digest,
            Err(_) => false,
        });
        Ok(if is_intact { RollbackTarget::Intact } else { RollbackTarget::Corrupt })
    }

    /// Runs one action and reports what it did. An error that no count of failures covers is an obstacle.
    async fn run_action(
        &self,
        run: &mut Run<HelmRelease>,
        action: Action,
        last: Option<&LastRelease>,
        look: &Look,
    ) -> Result<Concluded, Obstacle> {
        let _writing = self.releases.drifts.writing(&self.object);
        let ready = conditions::get(&run.status.conditions, conditions::READY).cloned();
        self.report(&mut run.status).running(action);
        if let Action::Install = action {
            self.report(&mut run.status).starts(ReleaseAction::Install);
        } else if let Action::Upgrade = action {
            self.report(&mut run.status).starts(ReleaseAction::Upgrade);
        }
        let started = Timestamp::now();
        let work = Work {
            releases: self.releases,
            connection: self.connection.clone(),
            object: self.object.clone(),
            namespace: self.place.namespace.clone(),
            permit: self.permit.clone(),
            shutdown: run.shutdown().clone(),
            superseded: CancellationToken::new(),
        };
        let (acted, by) = Box::pin(self.acted(run, &work, action, (last, look))).await;
        if matches!(action, Action::Install | Action::Upgrade) {
            let took = Timestamp::now().duration_since(started);
            let took = crate::api::Duration::from(Duration::try_from(took).unwrap_or_default());
            run.status.last_attempted_release_action_duration = Some(took.to_string());
        }
        let acted = acted?;
        if acted.is_superseded() {
            acted.record(&mut run.status);
            self.superseded(run, &by);
            return Ok(Concluded::Superseded);
        }
        let concluded = self.conclude(run, action, acted).await;
        if action == Action::CorrectDrift {
            self.report(&mut run.status).still_ready(ready.as_ref());
        }
        concluded.map(|()| Concluded::Acted)
    }

    /// Acts; meanwhile says so in the status when it takes long, and ends its wait when something newer is asked for.
    /// Returns what asked, too.
    async fn acted(
        &self,
        run: &mut Run<HelmRelease>,
        work: &Work<'_>,
        action: Action,
        (last, look): (Option<&LastRelease>, &Look),
    ) -> (Result<Acted, Obstacle>, String) {
        let status = run.status.clone();
        let aim = Aim {
            object: self.object.clone(),
            chart: self.source.artifact.digest.clone(),
            values: self.desired.config_digest.clone(),
        };
        let mut by = String::new();
        let mut acting = std::pin::pin!(self.act(work, action, &status, (last, look)));
        let mut newer = std::pin::pin!(self.releases.newer(&aim));
        let mut progress = std::pin::pin!(tokio::time::sleep(PROGRESS_AFTER));
        let mut is_told = false;
        loop {
            tokio::select! {
                acted = &mut acting => return (acted, by),
                asked = &mut newer, if !work.superseded.is_cancelled() => {
                    by = asked;
                    work.superseded.cancel();
                }
                () = &mut progress, if !is_told => {
                    is_told = true;
                    if let Err(error) = run.report().await {
                        tracing::warn!(error = %chain(&error), "progress not written");
                    }
                }
            }
        }
    }

    /// Says that something newer ended the wait for the health of what was applied. No failure is counted.
    fn superseded(&self, run: &mut Run<HelmRelease>, by: &str) {
        tracing::info!(trigger = by, "new reconciliation triggered, canceling health checks");
        let message = format!("New reconciliation triggered by {by}");
        self.report(&mut run.status).not_ready(reasons::HEALTH_CHECK_CANCELED, message);
        let message = format!("Health checks canceled due to new reconciliation triggered by {by}");
        self.releases.warn(&self.object, false, reasons::HEALTH_CHECK_CANCELED, message);
    }

    async fn act(
        &self,
        work: &Work<'_>,
        action: Action,
        status: &HelmReleaseStatus,
        (last, look): (Option<&LastRelease>, &Look),
    ) -> Result<Acted, Obstacle> {
        match action {
            Action::Install => {
                let chart = self.releases.chart(&self.source).await?;
                let Read { values, secrets } = self.values().await?;
                Ok(work.install(&chart, values, secrets, last).await)
            }
            Action::Upgrade => {
                let chart = self.releases.chart(&self.source).await?;
                let Read { values, secrets } = self.values().await?;
                Ok(work.upgrade(&chart, values, secrets).await)
            }
            Action::Unlock => Ok(work.unlock().await),
            Action::Test => Ok(work.test(status).await),
            Action::Rollback => {
                let remediation = target::upgrade_remediation(&self.object, status);
                match history::previous(&status.history, remediation.ignore_test_failures) {
                    Some(previous) => {
                        check_place(history::latest(&status.history), previous)?;
                        Ok(work.rollback(previous).await)
                    }
                    None => Err(Obstacle::retry(reasons::RECONCILE_ERROR, "missing target release for rollback")),
                }
            }
            Action::UninstallRemediation => match history::latest(&status.history) {
                Some(current) => Ok(work.uninstall(current, ReleaseAction::UninstallRemediation).await),
                None => Err(Obstacle::retry(reasons::RECONCILE_ERROR, "no latest release: required to uninstall")),
            },
            Action::CorrectDrift => Ok(work.correct(&look.corrections).await),
        }
    }

    async fn values(&self) -> Result<Read, Obstacle> {
        self.releases.values_of(&self.object, self.composed.clone()).await
    }

    /// Makes conditions, counts and events of what an action did, and writes a failure's count before the next action.
    async fn conclude(&self, run: &mut Run<HelmRelease>, action: Action, acted: Acted) -> Result<(), Obstacle> {
        let before = run.status.history.clone();
        acted.record(&mut run.status);
        if acted.is_interrupted() {
            return Err(self.interrupted(run, action));
        }
        let error = acted.error.as_ref().map(|error| acted.secrets.apply(&chain(error)));
        let error = error.as_deref();
        let mut report = self.report(&mut run.status);
        let notice = match action {
            Action::Install | Action::Upgrade => {
                let of = if action == Action::Install { ReleaseAction::Install } else { ReleaseAction::Upgrade };
                match error {
                    None => report.released(&of),
                    Some(error) => {
                        let app_version = acted.app_version.as_str();
                        let counted = !acted.snapshots.is_empty();
                        Some(report.release_failed(&of, &self.desired, app_version, counted, error))
                    }
                }
            }
            Action::Unlock => acted.pending.as_ref().map(|(pending, state)| report.unlocked(pending, state, error)),
            Action::Test => report.tested(error),
            Action::Rollback => {
                let remediation = target::upgrade_remediation(&self.object, report.status);
                let previous = history::previous(&before, remediation.ignore_test_failures).cloned();
                previous.map(|previous| report.rolled_back(&previous, error))
            }
            Action::UninstallRemediation => history::latest(&report.status.history)
                .cloned()
                .map(|current| report.uninstalled_as_remediation(&current, error)),
            Action::CorrectDrift => report.drift_corrected(&acted.corrected),
        };
        if action != Action::UninstallRemediation {
            report.summarize(Some(&self.desired));
        }
        tracing::debug!(action = action.name(), status = %status_text(&run.status), "action reported");
        let failed = notice.as_ref().filter(|n| n.is_warning).map(|n| (n.reason, n.message.clone()));
        if let Some(notice) = notice {
            tracing::info!(reason = notice.reason, detail = notice.message, "action ended");
            self.releases.tell(&self.object, notice);
        }
        if acted.error.is_none()
            && matches!(action, Action::Install | Action::Upgrade | Action::Rollback)
            && let Some(revision) = acted.snapshots.keys().next_back()
        {
            self.releases.drifts.released(&self.object, *revision);
        }
        let Some((reason, message)) = failed else { return Ok(()) };
        run.report().await.map_err(|error| Obstacle::retry(reasons::RECONCILE_ERROR, chain(&error)))?;
        // What wrote to the storage is a state that the next look starts from; what did not is tried again.
        if acted.snapshots.is_empty() && !matches!(action, Action::Test | Action::CorrectDrift) {
            return Err(Obstacle { is_told: false, ..Obstacle::retry(reason, message) });
        }
        Ok(())
    }

    /// Says that the program's end cut an action short. The next start sees a release that it was about to change, and
    /// goes on without counting a failure.
    fn interrupted(&self, run: &mut Run<HelmRelease>, action: Action) -> Obstacle {
        let message = format!("Helm {} was interrupted: the program was asked to end", action.name());
        if action.kind() != ActionType::Release {
            return Obstacle { is_told: false, ..Obstacle::retry(reasons::RECONCILE_ERROR, message) };
        }
        let mut report = self.report(&mut run.status);
        report.mark(conditions::RELEASED, Status::False, reasons::PENDING_RELEASE, message.clone());
        Obstacle { is_told: false, ..Obstacle::retry(reasons::PENDING_RELEASE, message) }
    }
}
