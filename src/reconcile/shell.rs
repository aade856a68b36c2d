//! One run of a reconcile, the same for every controller: a permit, a span, a backoff, one status write, and a
//! panic that ends only its own run.

use std::{
    convert::Infallible,
    future::Future,
    hash::Hash,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use futures::{FutureExt, StreamExt};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{Patch, PatchParams},
    core::object::HasStatus,
    runtime::{Config, Controller, controller::Action, reflector::ObjectRef},
};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::{
    backoff::{Backoff, RetryDelay},
    merge,
    watched::{Watchable, Watched, lock},
};
use crate::{
    api::{
        conditions::{self, Status},
        meta::{FINALIZER, RECONCILE_REQUESTED_AT},
        reasons,
    },
    metrics::Metrics,
    telemetry,
};

/// A kind with a status that a controller writes: Flux's conditions and the annotation it has handled.
pub trait Reconciled: Watchable + HasStatus<Status: Serialize + Clone + Default + PartialEq + Send + Sync> {
    fn conditions(status: &mut Self::Status) -> &mut Vec<Condition>;
    /// `status.lastHandledReconcileAt`.
    fn handled_at(status: &mut Self::Status) -> &mut Option<String>;
}

/// What a run asks for next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing until the object, or something it depends on, changes.
    Change,
    /// Another run after this time, varied by the jitter of the flag `--interval-jitter-percentage`.
    Interval(Duration),
    /// Another run after exactly this time.
    After(Duration),
    /// Another run after the object's backoff.
    Retry,
    /// Another run at once.
    Now,
    /// Another run after this time at the latest; until then nothing is worth saying, so that no status is written.
    Unsaid(Duration),
}

/// A controller of one kind: what a run does. It reports through `run.status`, which the shell writes at the end.
pub trait Reconciler: Send + Sync + 'static {
    type Kind: Reconciled;
    /// The controller's name as Flux has it, also the field manager of what it writes about its own objects.
    const CONTROLLER: &'static str;
    fn reconcile(&self, run: &mut Run<Self::Kind>) -> impl Future<Output = Next> + Send;
}

/// The limits and the ends that all runs of a controller share.
#[derive(Clone)]
pub struct Shell {
    pub client: Client,
    pub metrics: Arc<Metrics>,
    /// How many runs of a controller do work at one time; a run that only waits does not count.
    pub concurrent: usize,
    pub retry: RetryDelay,
    /// `--interval-jitter-percentage`.
    pub jitter_percentage: u8,
    pub shutdown: CancellationToken,
}

/// A status could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the status of {kind} {namespace}/{name}")]
pub struct ReportError {
    kind: String,
    namespace: String,
    name: String,
    #[source]
    source: kube::Error,
}

/// One run: the object as it was at the start, and the status as it will be.
pub struct Run<K: Reconciled> {
    pub object: Arc<K>,
    pub status: K::Status,
    written: Value,
    api: Api<K>,
    watched: Arc<Watched<K>>,
    permit: Permit,
    shutdown: CancellationToken,
    is_released: bool,
}

/// The right of one run to work. Clones are the same right.
#[derive(Clone)]
pub struct Permit {
    all: Arc<Mutex<Arc<Semaphore>>>,
    held: Arc<Mutex<Option<OwnedSemaphorePermit>>>,
}

/// The permits of one controller, and the line of the runs that have not begun.
struct Permits {
    all: Arc<Semaphore>,
    /// Only the first of the line asks for a permit, so that a run that has waited for its workloads does not stand
    /// behind all that have not begun: what is begun holds memory, and is nearly done.
    line: Semaphore,
}

impl Permits {
    fn new(count: usize) -> Self {
        Self { all: Arc::new(Semaphore::new(count.max(1))), line: Semaphore::new(1) }
    }

    async fn take(&self) -> Permit {
        // Neither semaphore is ever closed.
        let _first = self.line.acquire().await;
        Permit::take(self.all.clone()).await
    }
}

impl Permit {
    async fn take(all: Arc<Semaphore>) -> Self {
        // The semaphore is never closed.
        let held = all.clone().acquire_owned().await.ok();
        Self { all: Arc::new(Mutex::new(all)), held: Arc::new(Mutex::new(held)) }
    }

    /// Gives the right back for one among others, where there are such: what works on another cluster, which may not
    /// answer, holds up only what works on it too.
    pub async fn work_on(&self, others: Option<Arc<Semaphore>>) {
        let Some(others) = others else { return };
        *lock(&self.all) = others;
        self.waiting(std::future::ready(())).await;
    }

    /// Waits for `future` without holding the right, so that others can work, and takes it again.
    pub async fn waiting<F: Future>(&self, future: F) -> F::Output {
        drop(lock(&self.held).take());
        let output = future.await;
        let all = lock(&self.all).clone();
        let held = all.acquire_owned().await.ok();
        *lock(&self.held) = held;
        output
    }
}

impl<K: Reconciled> Run<K>
where
    ObjectRef<K>: Eq + Hash,
{
    /// Returns the object's namespace; every kind here is namespaced.
    pub fn namespace(&self) -> &str {
        self.object.meta().namespace.as_deref().unwrap_or_default()
    }

    pub fn name(&self) -> &str {
        self.object.meta().name.as_deref().unwrap_or_default()
    }

    pub fn generation(&self) -> i64 {
        self.object.meta().generation.unwrap_or(0)
    }

    pub fn key(&self) -> ObjectRef<K> {
        ObjectRef::from_obj(self.object.as_ref())
    }

    /// Returns the token that is cancelled when the process is asked to end.
    pub fn shutdown(&self) -> &CancellationToken {
        &self.shutdown
    }

    /// Returns the run's right to work.
    pub fn permit(&self) -> &Permit {
        &self.permit
    }

    /// Waits until the object has another generation, is being deleted, or is gone.
    pub fn superseded(&self) -> impl Future<Output = ()> + Send + use<K> {
        let (watched, key, generation) = (self.watched.clone(), self.key(), self.object.meta().generation);
        async move { watched.superseded(&key, generation).await }
    }

    /// Tells whether the object is as the API server has it, which is asked where it was listed a moment ago: the list may
    /// have been served from a cache that is behind. Where it is not, the next run has the newest state.
    pub async fn is_current(&self) -> Result<bool, kube::Error> {
        if !self.watched.may_be_old(&self.key()) {
            return Ok(true);
        }
        let Some(newest) = self.api.get_opt(self.name()).await? else { return Ok(false) };
        let is_current = newest.resource_version() == self.object.resource_version();
        self.watched.wrote(newest);
        Ok(is_current)
    }

    /// Writes the status now, if it differs from what the API server has.
    pub async fn report(&mut self) -> Result<(), ReportError> {
        let status = to_value(&self.status);
        let patch = merge::diff(&self.written, &status);
        if patch.as_object().is_some_and(serde_json::Map::is_empty) {
            return Ok(());
        }
        let patch = json!({ "apiVersion": K::api_version(&()), "kind": K::kind(&()), "status": patch });
        match self.api.patch_status(self.name(), &PatchParams::default(), &Patch::Merge(&patch)).await {
            Ok(object) => {
                self.written = object.status().map(to_value).unwrap_or_default();
                self.watched.wrote(object);
                Ok(())
            }
            // Gone meanwhile: there is nobody to tell.
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
            Err(source) => Err(ReportError {
                kind: K::kind(&()).into_owned(),
                namespace: self.namespace().to_owned(),
                name: self.name().to_owned(),
                source,
            }),
        }
    }

    /// Adds Flux's finalizer where it is missing.
    pub async fn hold(&mut self) -> Result<(), kube::Error> {
        if self.object.finalizers().iter().any(|f| f == FINALIZER) {
            return Ok(());
        }
        let mut finalizers = self.object.finalizers().to_vec();
        finalizers.push(FINALIZER.to_owned());
        self.set_finalizers(&finalizers).await
    }

    /// Removes Flux's finalizer, so that a deletion can go on.
    pub async fn release(&mut self) -> Result<(), kube::Error> {
        let finalizers: Vec<_> = self.object.finalizers().iter().filter(|f| *f != FINALIZER).cloned().collect();
        match self.set_finalizers(&finalizers).await {
            Err(kube::Error::Api(status)) if status.is_not_found() => {}
            other => other?,
        }
        // Others' finalizers may hold it still, but we have nothing more to say of it.
        self.is_released = true;
        Ok(())
    }

    async fn set_finalizers(&mut self, finalizers: &[String]) -> Result<(), kube::Error> {
        // The resource version makes the API server refuse a list made from an object that others have changed since.
        let patch = json!({ "metadata": {
            "finalizers": finalizers,
            "resourceVersion": self.object.resource_version(),
            "uid": self.object.uid(),
        }});
        let object = self.api.patch(self.name(), &PatchParams::default(), &Patch::Merge(&patch)).await?;
        self.watched.wrote(object.clone());
        self.object = Arc::new(object);
        Ok(())
    }
}

fn to_value(status: &impl Serialize) -> Value {
    // API types have string keys only and no failing serializer.
    serde_json::to_value(status).unwrap_or_default()
}

/// What all runs of one controller share.
struct Runs<R: Reconciler> {
    reconciler: Arc<R>,
    watched: Arc<Watched<R::Kind>>,
    shell: Shell,
    permits: Permits,
    backoff: Mutex<Backoff<ObjectRef<R::Kind>>>,
}

/// Runs a controller until the shell's shutdown: no new run is started then, and running ones finish.
pub async fn run<R: Reconciler>(reconciler: Arc<R>, watched: Arc<Watched<R::Kind>>, shell: Shell)
where
    ObjectRef<R::Kind>: Eq + Hash,
{
    let Some(requests) = watched.requests() else { return };
    let store = watched.store();
    let shutdown = shell.shutdown.clone();
    let runs = Arc::new(Runs {
        permits: Permits::new(shell.concurrent),
        backoff: Mutex::new(Backoff::new(shell.retry)),
        reconciler,
        watched,
        shell,
    });
    // Runs are started by our own queue alone, which has every change that asks for one, so the main stream is empty.
    // Concurrency is bounded by permits, which a waiting run gives back, and not by kube's limit, which it would hold.
    Controller::for_stream(futures::stream::pending(), store)
        .with_config(Config::default().concurrency(0))
        .reconcile_on(tokio_stream(requests))
        .graceful_shutdown_on(async move { shutdown.cancelled().await })
        .run(
            |object, runs: Arc<Runs<R>>| async move { Ok::<_, Infallible>(runs.one(&object).await) },
            |_, never: &Infallible, _| match *never {},
            runs,
        )
        .for_each(|_| std::future::ready(()))
        .await;
}

fn tokio_stream<T: Send + 'static>(
    receiver: tokio::sync::mpsc::UnboundedReceiver<T>,
) -> impl futures::Stream<Item = T> + Send + 'static {
    futures::stream::unfold(receiver, |mut receiver| async move { receiver.recv().await.map(|item| (item, receiver)) })
}

impl<R: Reconciler> Runs<R>
where
    ObjectRef<R::Kind>: Eq + Hash,
{
    async fn one(&self, object: &R::Kind) -> Action {
        let key = ObjectRef::from_obj(object);
        // Thousands may stand in line: a run takes its room, and its object, when it is its turn.
        let permit = self.permits.take().await;
        let Some(object) = self.watched.get(&key) else {
            lock(&self.backoff).forget(&key);
            return Action::await_change();
        };
        let (kind, namespace, name) = (R::Kind::kind(&()), object.namespace().unwrap_or_default(), object.name_any());
        // `name` is the span's own in JSON lines.
        let span = tracing::info_span!("reconcile", controller = R::CONTROLLER, %kind, %namespace, object = %name);
        let started = Instant::now();
        let next = Box::pin(self.run(object, permit)).instrument(span.clone()).await;
        self.shell.metrics.reconciled(&kind, &namespace, &name, started.elapsed(), next == Next::Retry);
        span.in_scope(|| tracing::debug!(?next, "run ended"));
        self.action(&key, next)
    }

    async fn run(&self, object: Arc<R::Kind>, permit: Permit) -> Next {
        let status = object.status().cloned().unwrap_or_default();
        let mut run = Run {
            api: Api::namespaced(self.shell.client.clone(), &object.namespace().unwrap_or_default()),
            written: object.status().map(to_value).unwrap_or_default(),
            status,
            object,
            watched: self.watched.clone(),
            permit,
            shutdown: self.shell.shutdown.clone(),
            is_released: false,
        };
        let next = AssertUnwindSafe(self.reconciler.reconcile(&mut run)).catch_unwind().await;
        let next = next.unwrap_or_else(|panic| panicked(&mut run, panic.as_ref(), &self.shell.metrics));
        if run.is_released || matches!(next, Next::Unsaid(_)) {
            return next;
        }
        if let Some(at) = run.object.annotations().get(RECONCILE_REQUESTED_AT) {
            *R::Kind::handled_at(&mut run.status) = Some(at.clone());
        }
        match run.report().await {
            Ok(()) => next,
            Err(error) => {
                tracing::error!(error = %telemetry::chain(&error), "status not written");
                Next::Retry
            }
        }
    }

    fn action(&self, key: &ObjectRef<R::Kind>, next: Next) -> Action {
        let mut backoff = lock(&self.backoff);
        if next == Next::Retry {
            return Action::requeue(backoff.failed(key.clone()));
        }
        backoff.forget(key);
        match next {
            Next::Change | Next::Retry => Action::await_change(),
            Next::Interval(interval) => Action::requeue(jittered(interval, self.shell.jitter_percentage, key)),
            Next::After(delay) | Next::Unsaid(delay) => Action::requeue(delay),
            Next::Now => Action::requeue(Duration::ZERO),
        }
    }
}

fn panicked<K: Reconciled>(run: &mut Run<K>, panic: &(dyn std::any::Any + Send), metrics: &Metrics) -> Next {
    let text = panic
        .downcast_ref::<&str>()
        .map(|s| (*s).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_default();
    tracing::error!(panic = text, "reconcile panicked");
    metrics.panicked(&K::kind(&()));
    let generation = run.object.meta().generation;
    let message = "the reconcile ended by an internal error; it is in the log";
    let now = jiff::Timestamp::now();
    let ready = conditions::new(conditions::READY, Status::False, reasons::RECONCILE_ERROR, message, generation, now);
    conditions::set(K::conditions(&mut run.status), ready);
    Next::Change
}

/// Varies an interval by up to `percentage` up or down, so that objects of one interval spread. The same object gets
/// another value each time.
fn jittered<K: Hash>(interval: Duration, percentage: u8, key: &K) -> Duration {
    use std::hash::{BuildHasher, RandomState};
    let share = f64::from(percentage.min(100)) / 100.0;
    let random = RandomState::new().hash_one(key) as f64 / u64::MAX as f64;
    interval.mul_f64(1.0 - share + 2.0 * share * random)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_permit_that_is_taken_elsewhere_is_given_back_here() {
        let (here, there) = (Arc::new(Semaphore::new(1)), Arc::new(Semaphore::new(1)));
        let permit = Permit::take(here.clone()).await;
        assert_eq!(here.available_permits(), 0);
        permit.work_on(None).await;
        assert_eq!(here.available_permits(), 0);
        permit.work_on(Some(there.clone())).await;
        assert_eq!((here.available_permits(), there.available_permits()), (1, 0));
        permit.waiting(async { assert_eq!(there.available_permits(), 1) }).await;
        assert_eq!((here.available_permits(), there.available_permits()), (1, 0));
        drop(permit);
        assert_eq!(there.available_permits(), 1);
    }

    #[tokio::test]
    async fn a_run_that_has_waited_goes_before_those_that_have_not_begun() {
        let permits = Arc::new(Permits::new(1));
        let begun = permits.take().await;
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut others = tokio::task::JoinSet::new();
        for new in 0..6 {
            let (permits, order) = (permits.clone(), order.clone());
            others.spawn(async move {
                let _permit = permits.take().await;
                lock(&order).push(format!("new {new}"));
                tokio::task::yield_now().await;
            });
        }
        tokio::task::yield_now().await;
        begun.waiting(tokio::task::yield_now()).await;
        lock(&order).push("begun".to_owned());
        drop(begun);
        while others.join_next().await.is_some() {}
        // One that has its permit meanwhile, and the first of the line.
        assert!(lock(&order).iter().position(|run| run == "begun").is_some_and(|at| at <= 2), "{order:?}");
    }

    #[test]
    fn jitter_stays_within_its_percentage() {
        let interval = Duration::from_secs(100);
        for i in 0..1000 {
            let d = jittered(interval, 5, &i);
            assert!(d >= Duration::from_secs(95) && d <= Duration::from_secs(105), "{d:?}");
        }
        assert_eq!(jittered(interval, 0, &1), interval);
    }
}
