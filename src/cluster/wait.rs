//! Waits until objects are as their specs ask for, or gone, by watching exactly them.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use kube::Client;
use serde_json::Value;
use thiserror::Error;
use tokio::{sync::mpsc, task::JoinSet};
use tokio_util::sync::CancellationToken;

use super::{
    apply::Target,
    explain,
    expressions::HealthChecks,
    follow::{Collection, Happening, Relist, follow, is_refusal},
    object::{self, ObjectId},
    request::message_of,
    status::{self, Health, JobRule, Status},
    status_legacy,
};

/// Happenings that may pile up before the watches have to wait.
const BACKLOG: usize = 256;
/// When what is waited for is listed anew, should its watch have lost what it waits for.
const RELIST: Relist = Relist { first: Duration::from_secs(10), longest: Duration::from_mins(2) };
/// Objects that are explained in an error; the others are named.
const EXPLAINED: usize = 5;

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
#[derive(Clone, Debug)]
pub struct WaitOptions {
    /// What readiness means.
    pub ready: Ready,
    /// How long.
    pub timeout: Duration,
    /// Checks of custom resources, which come before all other rules.
    pub checks: Arc<HealthChecks>,
    /// Give up at the first object that failed, while others are still on their way.
    pub fail_fast: bool,
    /// A label selector that all the objects carry, so that one watch serves all objects of a kind and namespace.
    pub labels: String,
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
            WaitError::TimedOut(unready) | WaitError::Failed(unready) => unready,
            WaitError::Canceled | WaitError::Watch { .. } => &[],
        }
    }
}

fn list(unready: &[Unready]) -> String {
    let short: Vec<_> = unready.iter().map(|one| format!("{} status: '{}'", one.id, one.health.status)).collect();
    let mut text = format!("[{}]", short.join(", "));
    for one in unready.iter().filter(|one| !one.health.message.is_empty()).take(EXPLAINED) {
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
    let _watches = watch_groups(client, board.groups(&options.labels), &sender);
    drop(sender);
    loop {
        tokio::select! {
            () = cancel.cancelled() => return Err(WaitError::Canceled),
            () = tokio::time::sleep_until(deadline) => return board.outcome(client, true).await,
            () = tokio::time::sleep(board.next_look()) => board.look_again(),
            happening = receiver.recv() => match happening {
                Some((group, Happening::Broken(source))) if is_refusal(&source) => {
                    return Err(WaitError::Watch { id: group.ids[0].clone(), source });
                }
                Some((group, happening)) => board.take(&group, happening),
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
    let groups = targets.into_iter().map(|wait| Group::until_gone(&wait)).collect();
    let _watches = watch_groups(client, groups, &sender);
    drop(sender);
    while !left.is_empty() {
        let happening = tokio::select! {
            () = cancel.cancelled() => return Err(WaitError::Canceled),
            () = tokio::time::sleep_until(deadline) => return Err(WaitError::TimedOut(still_there(left.into_keys()))),
            happening = receiver.recv() => happening,
        };
        let Some((group, happening)) = happening else {
            return Err(WaitError::TimedOut(still_there(left.into_keys())));
        };
        let id = &group.ids[0];
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

/// Objects that one watch serves.
#[derive(Clone, Debug)]
struct Group {
    ids: Arc<[ObjectId]>,
    collection: Collection,
    from: Option<String>,
}

impl Group {
    fn of_one(target: &Target, from: Option<String>) -> Self {
        let id = &target.id;
        Self {
            ids: [id.clone()].into(),
            collection: Collection {
                path: target.kind.collection(&id.namespace),
                fields: format!("metadata.name={}", id.name),
                relist: Some(RELIST),
                ..Collection::default()
            },
            from,
        }
    }

    /// A finished pod goes at once, though what its deletion returns says that it is on its way: its version is then that
    /// of the deletion itself, of which a watch from there on tells nothing.
    fn until_gone(wait: &WaitTarget) -> Self {
        let may_be_gone = wait.known.as_ref().is_none_or(|tree| {
            let metadata = &tree["metadata"];
            metadata["deletionGracePeriodSeconds"] == 0 && metadata["finalizers"].as_array().is_none_or(Vec::is_empty)
        });
        let version = wait.known.as_ref().and_then(object::resource_version).filter(|_| !may_be_gone);
        Self::of_one(&wait.target, version.map(str::to_owned))
    }
}

type Reports = mpsc::Sender<(Group, Happening)>;

fn watch_groups(client: &Client, groups: Vec<Group>, sender: &Reports) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for group in groups {
        let (inner, mut happenings) = mpsc::channel(1);
        tasks.spawn(follow(client.clone(), group.collection.clone(), group.from.clone(), inner));
        let sender = sender.clone();
        tasks.spawn(async move {
            while let Some(happening) = happenings.recv().await {
                if sender.send((group.clone(), happening)).await.is_err() {
                    return;
                }
            }
        });
    }
    tasks
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
        if let Some(metadata) = tree.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.remove("managedFields");
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

    /// Groups those that are not ready yet, so that what is ready costs no request.
    fn groups(&self, labels: &str) -> Vec<Group> {
        let is_pending = |target: &Target| self.states[&target.id].1.status != Status::Current;
        let pending = self.targets.iter().filter(|(target, _)| is_pending(target));
        if labels.is_empty() {
            return pending.map(|(target, version)| Group::of_one(target, version.clone())).collect();
        }
        let mut by_path: BTreeMap<String, Vec<&(Target, Option<String>)>> = BTreeMap::new();
        for one in pending {
            by_path.entry(one.0.kind.collection(&one.0.id.namespace)).or_default().push(one);
        }
        by_path
            .into_iter()
            .map(|(path, targets)| match targets.as_slice() {
                [(target, version)] => Group::of_one(target, version.clone()),
                many => Group {
                    ids: many.iter().map(|(target, _)| target.id.clone()).collect(),
                    collection: Collection {
                        path,
                        labels: labels.to_owned(),
                        relist: Some(RELIST),
                        ..Collection::default()
                    },
                    from: oldest_version(many),
                },
            })
            .collect()
    }

    fn take(&mut self, group: &Group, happening: Happening) {
        match happening {
            Happening::Listed(items) => {
                let mut missing: Vec<_> = group.ids.to_vec();
                for item in items {
                    missing.retain(|id| object::name(&item) != Some(&id.name));
                    self.see(group, item);
                }
                for id in missing {
                    self.lose(&id);
                }
            }
            Happening::Applied(item) => self.see(group, item),
            Happening::Deleted(item) => {
                if let Some(id) = group.ids.iter().find(|id| object::name(&item) == Some(&id.name)) {
                    self.lose(&id.clone());
                }
            }
            Happening::Broken(_) | Happening::Watching => {}
        }
    }

    fn see(&mut self, group: &Group, item: Value) {
        let Some(id) = group.ids.iter().find(|id| object::name(&item) == Some(&id.name)) else { return };
        self.note(id.clone(), item);
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
            (false, true) => Err(WaitError::TimedOut(unready)),
            (false, false) => Err(WaitError::Failed(unready)),
        }
    }
}

/// Returns the oldest of the versions that writes returned, `None` when one is unknown. They are compared as
/// numbers, which is what they are for all objects of one kind.
fn oldest_version(targets: &[&(Target, Option<String>)]) -> Option<String> {
    let versions: Option<Vec<u64>> = targets.iter().map(|(_, version)| version.as_ref()?.parse().ok()).collect();
    versions?.into_iter().min().map(|version| version.to_string())
}

#[cfg(test)]
#[path = "wait_tests.rs"]
mod tests;
