//! The controllers of sources: GitRepository, HelmRepository, HelmChart, OCIRepository and Bucket.
//!
//! All run alike: the stored artifact is looked for, what is wanted is compared with it, fetched or built if it
//! differs, and the status says what came of it. A failure keeps the last artifact.
//!
//! | file | subject |
//! |---|---|
//! | [`git_repository`] | a Git reference |
//! | [`helm_repository`] | an index of charts |
//! | [`helm_chart`] | one chart of a repository or of a folder |
//! | [`gone`] | what is kept for charts that are gone |
//! | [`oci_repository`] | an artifact of a registry |
//! | [`bucket`] | accepted, and said to be not acted on |
//! | [`obstacle`] | what keeps a source from being stored |
//! | [`report`] | the conditions that Flux writes |
//! | [`secrets`] | what Secrets hold, read once for each of their versions |

pub mod bucket;
pub mod git_repository;
pub mod gone;
pub mod helm_chart;
pub mod helm_repository;
mod obstacle;
pub mod oci_repository;
mod report;
pub mod secrets;

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use jiff::Timestamp;
use kube::ResourceExt;

use self::obstacle::{Class, Obstacle};
use self::report::Report;
use super::shell::{Next, Reconciled, Run};
use crate::api::{Artifact, conditions, meta, reasons};
use crate::cluster::events::{EventRecorder, Involved, Note, Severity};
use crate::source::store::{ArtifactStore, Presence};
use crate::telemetry::chain;

/// How long a fetch or a build runs before the status says that it does: what a shorter one did is said at once by its
/// result.
const PROGRESS_AFTER: Duration = Duration::from_secs(1);
/// The shortest time between two looks at a remote.
const MIN_INTERVAL: Duration = Duration::from_secs(1);
/// The interval of an object whose interval cannot be read.
const DEFAULT_INTERVAL: Duration = Duration::from_mins(1);

/// A kind whose artifact is kept in the store.
trait Stored: Reconciled {
    fn artifact(status: &mut Self::Status) -> &mut Option<Artifact>;
    fn observed_generation(status: &mut Self::Status) -> &mut i64;
    /// Takes away what is only true together with the artifact.
    fn forget_artifact(status: &mut Self::Status) {
        *Self::artifact(status) = None;
    }
}

/// Takes note of a suspended object's generation: what it says stays, and is said of the newest.
fn suspended<K: Stored>(run: &mut Run<K>) -> Next {
    tracing::info!("reconciliation is suspended for this object");
    let generation = run.generation();
    let ready = K::conditions(&mut run.status).iter_mut().find(|condition| condition.type_ == conditions::READY);
    if let Some(ready) = ready {
        ready.observed_generation = Some(generation);
        *K::observed_generation(&mut run.status) = generation;
    }
    Next::Change
}

/// What all the controllers use.
#[derive(Clone)]
pub struct Sources {
    pub store: ArtifactStore,
    pub secrets: std::sync::Arc<secrets::Secrets>,
    pub events: EventRecorder,
}

/// What a pass has stored or found, for its event.
struct Done {
    reason: &'static str,
    message: String,
}

impl Sources {
    /// Ends a run: what was reached, or what stood in the way, as status and events.
    fn finish<K: Stored>(
        &self,
        run: &mut Run<K>,
        before: &K::Status,
        outcome: Result<Done, Obstacle>,
        interval: Duration,
    ) -> Next {
        let mut before = before.clone();
        match outcome {
            Ok(done) => {
                let failed_before =
                    report::FAILURES.iter().any(|kind| conditions::is_true(K::conditions(&mut before), kind));
                report(run, |report| report.stored());
                *K::observed_generation(&mut run.status) = run.generation();
                let old = K::artifact(&mut before).as_ref().map(|artifact| artifact.digest.clone());
                let new = K::artifact(&mut run.status).clone();
                if let Some(artifact) = new {
                    let is_new = old.as_deref() != Some(artifact.digest.as_str());
                    if is_new || failed_before {
                        let reason = if is_new { done.reason } else { recovery(done.reason) };
                        tracing::info!(reason, revision = artifact.revision, detail = done.message, "artifact stored");
                        self.tell(run, Severity::Normal, reason, &done.message, Some(&artifact));
                    }
                }
                Next::Interval(interval.max(MIN_INTERVAL))
            }
            Err(obstacle) => self.blocked(run, &mut before, &obstacle),
        }
    }

    fn blocked<K: Stored>(&self, run: &mut Run<K>, before: &mut K::Status, obstacle: &Obstacle) -> Next {
        report(run, |report| report.blocked(obstacle));
        if obstacle.class == Class::Interrupted {
            return Next::Change;
        }
        if obstacle.class == Class::Stalled {
            *K::observed_generation(&mut run.status) = run.generation();
        }
        let was = conditions::get(K::conditions(before), conditions::READY);
        if was.is_none_or(|ready| ready.reason != obstacle.reason || ready.message != obstacle.message) {
            tracing::warn!(reason = obstacle.reason, detail = obstacle.message, "no artifact stored");
            if obstacle.is_told {
                self.tell(run, Severity::Warning, obstacle.reason, &obstacle.message, None);
            }
        }
        match obstacle.class {
            Class::Retry => Next::Retry,
            Class::Wait | Class::Stalled | Class::Interrupted => Next::Change,
        }
    }

    /// Looks whether the artifact of the status is still there, and takes it out of the status when it is not.
    async fn check_storage<K: Stored>(&self, run: &mut Run<K>) -> Result<(), Obstacle> {
        let Some(artifact) = K::artifact(&mut run.status).clone() else { return Ok(()) };
        let presence = match self.store.holds(&artifact).await {
            Ok(presence) => presence,
            // A path that another controller wrote otherwise is nothing of ours.
            Err(crate::source::store::StoreError::Path(_)) => Presence::Missing,
            Err(error) => return Err(Obstacle::storage(reasons::STAT_OPERATION_FAILED, chain(&error))),
        };
        if presence == Presence::Present {
            if let Err(error) = self.store.collect(&artifact).await {
                tracing::warn!(error = chain(&error), "old artifacts not removed");
            }
            if let Some(artifact) = K::artifact(&mut run.status) {
                artifact.url = self.store.url(&artifact.path);
            }
            return Ok(());
        }
        if presence == Presence::Corrupt {
            let message =
                format!("failed to verify integrity of artifact: the file at '{}' has changed", artifact.path);
            self.tell(run, Severity::Warning, "ArtifactVerificationFailed", &message, None);
        }
        K::forget_artifact(&mut run.status);
        conditions::remove(K::conditions(&mut run.status), conditions::ARTIFACT_IN_STORAGE);
        Ok(())
    }

    /// Runs something that may take long; if it does, and somebody waits for it, the status says so meanwhile. Ends early
    /// when the process is asked to end.
    async fn showing_progress<K: Stored, T>(
        &self,
        run: &mut Run<K>,
        work: impl Future<Output = T>,
    ) -> Result<T, Obstacle> {
        let mut work = pin!(work);
        let shutdown = run.shutdown().clone();
        let requested = run.object.annotations().get(meta::RECONCILE_REQUESTED_AT).cloned();
        let is_awaited = K::artifact(&mut run.status).is_none()
            || *K::observed_generation(&mut run.status) != run.generation()
            || requested != *K::handled_at(&mut run.status);
        tokio::select! {
            output = &mut work => return Ok(output),
            () = shutdown.cancelled() => return Err(Obstacle::interrupted()),
            () = tokio::time::sleep(PROGRESS_AFTER), if is_awaited => {}
        }
        report(run, |report| report.progressing());
        if let Err(error) = run.report().await {
            tracing::warn!(error = chain(&error), "progress not written");
        }
        tokio::select! {
            output = &mut work => Ok(output),
            () = shutdown.cancelled() => Err(Obstacle::interrupted()),
        }
    }

    fn tell<K: Stored>(
        &self,
        run: &Run<K>,
        severity: Severity,
        reason: &str,
        message: &str,
        artifact: Option<&Artifact>,
    ) {
        let mut annotations = std::collections::BTreeMap::new();
        if let Some(artifact) = artifact {
            annotations.insert(format!("{}revision", meta::SOURCE_EVENT_PREFIX), artifact.revision.clone());
            annotations.insert(format!("{}digest", meta::SOURCE_EVENT_PREFIX), artifact.digest.clone());
        }
        self.events.publish(Note {
            involved: Involved::of(run.object.as_ref()),
            severity,
            reason: reason.to_owned(),
            message: message.to_owned(),
            annotations,
        });
    }

    /// Ends a source that is being deleted: its files go, and then the finalizer.
    async fn delete<K: Stored>(&self, run: &mut Run<K>) -> Next {
        let (namespace, name) = (run.namespace().to_owned(), run.name().to_owned());
        if let Err(error) = self.store.remove_all(&K::kind(&()), &namespace, &name).await {
            tracing::error!(error = chain(&error), "artifacts not removed");
            return Next::Retry;
        }
        match run.release().await {
            Ok(()) => Next::Change,
            Err(error) => {
                tracing::error!(error = chain(&error), "finalizer not removed");
                Next::Retry
            }
        }
    }
}

/// Changes the conditions of a run's status.
fn report<K: Stored>(run: &mut Run<K>, change: impl FnOnce(&mut Report<'_>)) {
    let generation = run.generation();
    let observed = *K::observed_generation(&mut run.status);
    let has_artifact = K::artifact(&mut run.status).is_some();
    let conditions = K::conditions(&mut run.status);
    change(&mut Report { conditions, generation, observed, has_artifact, now: Timestamp::now() });
}

/// What Flux calls the event of a recovery without a new artifact.
fn recovery(reason: &'static str) -> &'static str {
    if reason == reasons::NEW_ARTIFACT { reasons::SUCCEEDED } else { reason }
}
