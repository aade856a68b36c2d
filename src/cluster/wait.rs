//! Waits until objects are as their specs ask for, or gone, by watching exactly them.

mod watching;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use kube::Client;
use serde_json::Value;
use thiserror::Error;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{
    apply::Target,
    explain,
    expressions::HealthChecks,
    follow::{Happening, is_refusal},
    object::{self, ObjectId},
    request::message_of,
    status::{self, Health, JobRule, Status},
    status_legacy,
};

pub use watching::Sharing;
use watching::{Watched, watch_all};

/// Happenings that may pile up before the watches have to wait.
const BACKLOG: usize = 256;
/// Objects that are explained in an error; the others are named.
pub const EXPLAINED: usize = 5;

/// An object that is waited for.
#[derive(Clone, Debug)]
pub struct WaitTarget {
    /// Which object.
    pub target: Target,
    /// Its tree as a write returned it. Saves a list, and the watch too where it is ready as it is.
    pub known: Option<Value>,
}

/// What readiness means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ready {
    /// Every object is Current; Jobs as the rule says; paused Deployments are left out.
    Objects(JobRule),
    /// Every object is ready as Helm once told it; Jobs as the rule says.
    Legacy(JobRule),
    /// Jobs and Pods have ended well; nothing else counts.
    Hooks,
}

/// How to wait.
pub struct WaitOptions {
    /// What readiness means.
    pub ready: Ready,
    /// How long.
    pub timeout: Duration,
    /// Checks of custom resources, which come before all other rules.
    pub checks: Arc<HealthChecks>,
    /// Give up at the first object that failed, while others are still on their way.
    pub fail_fast: bool,
    /// What is watched together with others who wait; none where each object has a watch of its own.
    pub sharing: Option<Sharing>,
}

/// An object that is not what was waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unready {
    /// Which object.
    pub id: ObjectId,
    /// Its state.
    pub health: Health,
    /// What else is known: its pods, their containers and logs, warnings.
    pub details: Vec<String>,
}

/// Why a wait ended without success. `Display` begins with Flux's text; the explanation follows on lines of its own.
#[derive(Debug, Error)]
pub enum WaitError {
    /// The wait was called off.
    #[error("wait canceled")]
    Canceled,
    /// The time was up. The last line is Helm's word for it.
    #[error("timeout waiting for: {}\ncontext deadline exceeded", list(.0))]
    TimedOut(Vec<Unready>),
    /// The time of a wait by Helm's own rules was up.
    #[error("context deadline exceeded{}", explained(.0))]
    LegacyTimedOut(Vec<Unready>),
    /// Objects failed for good.
    #[error("failed early due to stalled resources: {}", list(.0))]
    Failed(Vec<Unready>),
    /// Objects could not be watched.
    #[error("can't determine status for {id}: {}", message_of(.source))]
    Watch {
        /// The first of them.
        id: ObjectId,
        /// The answer.
        source: kube::Error,
    },
}

impl WaitError {
    /// Returns the objects that are not ready.
    pub fn unready(&self) -> &[Unready] {
        match self {
            WaitError::TimedOut(unready) | WaitError::LegacyTimedOut(unready) | WaitError::Failed(unready) => unready,
            WaitError::Canceled | WaitError::Watch { .. } => &[],
        }
    }
}

fn list(unready: &[Unready]) -> String {
    let short = |one: &Unready| {
        let problem = if is_unknown(one) { format!(": {}", one.health.message) } else { String::new() };
        format!("{} status: '{}'{problem}", one.id, one.health.status)
    };
    let short: Vec<_> = unready.iter().map(short).collect();
    format!("[{}]{}", short.join(", "), explained(unready))
}

/// Tells whether an object's status could not be told, so that its message is an error's.
fn is_unknown(one: &Unready) -> bool {
    one.health.status == Status::Unknown && !one.health.message.is_empty()
}

/// Says of each object why it is not ready, in lines of their own.
fn explained(unready: &[Unready]) -> String {
    let mut text = String::new();
    for one in unready.iter().filter(|one| !one.health.message.is_empty() && !is_unknown(one)).take(EXPLAINED) {
        text.extend(["\n", &one.id.to_string(), ": ", &one.health.message]);
        for detail in &one.details {
            text.extend(["\n  ", &detail.replace('\n', "\n  ")]);
        }
    }
    text
}

/// Waits until all objects are ready. Ends early when all that are not ready have failed, or with `fail_fast` when
/// one has.
pub async fn ready(
    client: &Client,
    targets: Vec<WaitTarget>,
    options: &WaitOptions,
    cancel: &CancellationToken,
) -> Result<(), WaitError> {
    let mut board = Board::new(targets, options.ready, options.checks.clone());
    let deadline = tokio::time::Instant::now() + options.timeout;
    if board.is_done(options.fail_fast) {
        return board.outcome(client, false).await;
    }
    let (sender, mut receiver) = mpsc::channel(BACKLOG);
    // Dropped on the way out, which ends the watches.
    let _watches = watch_all(client, board.pending(), options.sharing.as_ref(), &sender);
    drop(sender);
    loop {
        tokio::select! {
            () = cancel.cancelled() => return Err(WaitError::Canceled),
            () = tokio::time::sleep_until(deadline) => return board.outcome(client, true).await,
            () = tokio::time::sleep(board.next_look()) => board.look_again(),
            happening = receiver.recv() => match happening {
                Some((id, Happening::Broken(source))) if is_refusal(&source) => {
                    return Err(WaitError::Watch { id: id.as_ref().clone(), source });
                }
                Some((id, happening)) => board.take(&id, happening),
                None => return board.outcome(client, true).await,
            },
        }
        if board.is_done(options.fail_fast) {
            return board.outcome(client, false).await;
        }
    }
}

/// Waits until objects are gone. `known` of a target is what the delete returned; an object with another uid than
/// that counts as gone.
pub async fn gone(
    client: &Client,
    targets: Vec<WaitTarget>,
    timeout: Duration,
    cancel: &CancellationToken,
) -> Result<(), WaitError> {
    let deadline = tokio::time::Instant::now() + timeout;
    let mut left: BTreeMap<ObjectId, Option<String>> = BTreeMap::new();
    for wait in &targets {
        let uid = wait.known.as_ref().and_then(object::uid).map(str::to_owned);
        left.insert(wait.target.id.clone(), uid);
    }
    let (sender, mut receiver) = mpsc::channel(BACKLOG);
    let watched = targets.iter().map(Watched::until_gone).collect();
    let _watches = watch_all(client, watched, None, &sender);
    drop(sender);
    while !left.is_empty() {
        let happening = tokio::select! {
            () = cancel.cancelled() => return Err(WaitError::Canceled),
            () = tokio::time::sleep_until(deadline) => return Err(WaitError::TimedOut(still_there(left.into_keys()))),
            happening = receiver.recv() => happening,
        };
        let Some((id, happening)) = happening else {
            return Err(WaitError::TimedOut(still_there(left.into_keys())));
        };
        let id = id.as_ref();
        let there = match happening {
            Happening::Listed(items) => items.into_iter().find(|item| object::name(item) == Some(&id.name)),
            Happening::Applied(item) => Some(item),
            Happening::Deleted(_) => None,
            Happening::Broken(source) if is_refusal(&source) => {
                if super::request::is_not_found(&source) {
                    // The kind itself is gone, and all its objects with it.
                    left.remove(id);
                    continue;
                }
                return Err(WaitError::Watch { id: id.clone(), source });
            }
            Happening::Broken(_) | Happening::Watching => continue,
        };
        let same = |item: &Value, uid: &Option<String>| uid.is_none() || object::uid(item) == uid.as_deref();
        if let Some(uid) = left.get(id)
            && there.as_ref().is_none_or(|item| !same(item, uid))
        {
            left.remove(id);
        }
    }
    Ok(())
}

fn still_there(ids: impl Iterator<Item = ObjectId>) -> Vec<Unready> {
    ids.map(|id| Unready {
        id,
        health: Health {
            status: Status::Terminating,
            reason: "Terminating".to_owned(),
            message: "Resource scheduled for deletion".to_owned(),
        },
        details: Vec::new(),
    })
    .collect()
}

/// What is known of the objects while they are waited for. Thousands of releases may wait at one time: a tree is kept
/// where something may still be said of it.
struct Board {
    rule: Ready,
    checks: Arc<HealthChecks>,
    /// In their order, with the versions that their writes returned.
    targets: Vec<(Target, Option<String>)>,
    states: HashMap<ObjectId, (Option<Value>, Health)>,
}

impl Board {
    fn new(targets: Vec<WaitTarget>, rule: Ready, checks: Arc<HealthChecks>) -> Self {
        let mut board = Self { rule, checks, targets: Vec::with_capacity(targets.len()), states: HashMap::new() };
        for WaitTarget { target, known } in targets {
            let version = known.as_ref().and_then(object::resource_version).map(str::to_owned);
            if let Some(tree) = known {
                board.note(target.id.clone(), tree);
            } else {
                let message = "not seen yet".to_owned();
                let unknown = Health { status: Status::Unknown, reason: "Unknown".to_owned(), message };
                board.states.insert(target.id.clone(), (None, unknown));
            }
            board.targets.push((target, version));
        }
        board
    }

    fn note(&mut self, id: ObjectId, mut tree: Value) {
        let health = self.judge(&tree);
        // What went well is told of a Job alone, when it goes away.
        let is_told = health.status != Status::Current || id.kind == "Job";
        for (part, large) in [("metadata", "managedFields"), ("spec", "template")] {
            if let Some(fields) = tree.get_mut(part).and_then(Value::as_object_mut) {
                fields.remove(large);
            }
        }
        self.states.insert(id, (is_told.then_some(tree), health));
    }

    fn judge(&self, tree: &Value) -> Health {
        if let Some(health) = self.checks.health(tree) {
            return health;
        }
        let now = Timestamp::now();
        match self.rule {
            Ready::Hooks => status::compute_hook(tree, now),
            Ready::Objects(_) | Ready::Legacy(_) if status::is_paused_deployment(tree) => {
                Health { status: Status::Current, reason: String::new(), message: "Deployment is paused".to_owned() }
            }
            Ready::Objects(jobs) => status::compute(tree, jobs, now),
            Ready::Legacy(jobs) => status_legacy::compute(tree, jobs),
        }
    }

    /// Returns those that are not ready yet: what is ready costs no request.
    fn pending(&self) -> Vec<Watched> {
        let is_pending = |target: &Target| self.states[&target.id].1.status != Status::Current;
        let pending = self.targets.iter().filter(|(target, _)| is_pending(target));
        pending
            .map(|(target, version)| {
                let tree = self.states[&target.id].0.as_ref();
                let labels = tree.and_then(|tree| tree.pointer("/metadata/labels")).cloned();
                Watched::new(target, version.clone(), labels)
            })
            .collect()
    }

    fn take(&mut self, id: &ObjectId, happening: Happening) {
        let is_it = |item: &Value| object::name(item) == Some(&id.name);
        match happening {
            Happening::Listed(items) => match items.into_iter().find(is_it) {
                Some(item) => self.note(id.clone(), item),
                None => self.lose(id),
            },
            Happening::Applied(item) if is_it(&item) => self.note(id.clone(), item),
            Happening::Deleted(item) if is_it(&item) => self.lose(id),
            _ => {}
        }
    }

    /// A Job that goes away by its time to live has done its work; anything else that goes away is missing.
    fn lose(&mut self, id: &ObjectId) {
        let Some((tree, health)) = self.states.get_mut(id) else { return };
        let short_lived =
            id.kind == "Job" && tree.as_ref().is_some_and(|tree| !tree["spec"]["ttlSecondsAfterFinished"].is_null());
        *health = if short_lived {
            Health {
                status: Status::Current,
                reason: String::new(),
                message: "Job was deleted after it finished".to_owned(),
            }
        } else {
            Health::not_found()
        };
    }

    /// Pods that cannot be scheduled fail by the clock, with no event that says so.
    fn next_look(&self) -> Duration {
        let by_clock = self.states.values().any(|(_, health)| health.reason == "PodNotScheduled");
        if by_clock { Duration::from_secs(1) } else { Duration::from_hours(1) }
    }

    fn look_again(&mut self) {
        let again: Vec<_> = self
            .states
            .iter()
            .filter(|(_, (_, health))| health.reason == "PodNotScheduled")
            .filter_map(|(id, (tree, _))| Some((id.clone(), self.judge(tree.as_ref()?))))
            .collect();
        for (id, health) in again {
            if let Some(state) = self.states.get_mut(&id) {
                state.1 = health;
            }
        }
    }

    fn count(&self, wanted: Status) -> usize {
        self.states.values().filter(|(_, health)| health.status == wanted).count()
    }

    fn is_done(&self, fail_fast: bool) -> bool {
        let failed = self.count(Status::Failed);
        failed + self.count(Status::Current) == self.states.len() || (fail_fast && failed > 0)
    }

    async fn outcome(self, client: &Client, timed_out: bool) -> Result<(), WaitError> {
        let mut unready = Vec::new();
        for (target, _) in &self.targets {
            let (tree, health) = &self.states[&target.id];
            let counts = health.status == Status::Failed || (timed_out && health.status != Status::Current);
            if !counts {
                continue;
            }
            let details = match tree {
                Some(tree) if unready.len() < EXPLAINED => explain::explain(client, tree).await,
                _ => Vec::new(),
            };
            unready.push(Unready { id: target.id.clone(), health: health.clone(), details });
        }
        match (unready.is_empty(), timed_out) {
            (true, _) => Ok(()),
            (false, true) if matches!(self.rule, Ready::Legacy(_)) => Err(WaitError::LegacyTimedOut(unready)),
            (false, true) => Err(WaitError::TimedOut(unready)),
            (false, false) => Err(WaitError::Failed(unready)),
        }
    }
}

#[cfg(test)]
#[path = "wait_tests.rs"]
mod tests;
