//! Hooks: run one after another by weight, each recorded before it starts, deleted as their policies say.

use std::time::Duration;

use helm::{
    hook::{self, DeletePolicy, Event, Execution, Hook, Phase},
    release::Release,
};
use jiff::Zoned;
use serde_json::Value;

use super::{
    Acted, Work,
    objects::{self, Resource},
    write::{Before, NotApplied, Outcome},
};
use crate::{
    cluster::{
        apply::{self, ApplyError, ApplyMethod, Propagation},
        wait::{Ready, WaitError, WaitTarget},
    },
    reconcile::release::method,
};

/// Why the hooks of an event did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("unable to build kubernetes object for {event} hook {path}")]
    Build {
        event: String,
        path: String,
        #[source]
        source: ApplyError,
    },
    #[error("the manifest of hook {path} is not valid YAML")]
    Manifest {
        path: String,
        #[source]
        source: helm::yaml::Error,
    },
    #[error("unable to delete hook {path}")]
    Delete {
        path: String,
        #[source]
        source: ApplyError,
    },
    #[error("warning: Hook {event} {path} failed")]
    Apply {
        event: String,
        path: String,
        #[source]
        source: NotApplied,
    },
    #[error("{0}")]
    Wait(#[source] WaitError),
    #[error("cannot record the hook's start")]
    Record(#[source] Box<super::Error>),
}

impl Error {
    /// Tells whether the program's end called the hooks off.
    pub fn is_interruption(&self) -> bool {
        matches!(self, Self::Wait(WaitError::Canceled))
    }

    /// Tells whether a hook was waited for in vain.
    pub fn is_wait(&self) -> bool {
        matches!(self, Self::Wait(_))
    }
}

impl Work<'_> {
    /// Runs the hooks of an event; `select` leaves some out.
    pub(super) async fn run_hooks(
        &self,
        record: &mut Release,
        event: &Event,
        timeout: Duration,
        acted: &mut Acted,
        select: impl Fn(&Hook) -> bool,
    ) -> Result<(), Error> {
        let order = order_of(record, event, select);
        let mut ran = Vec::new();
        for index in order {
            if has_run(record, index, event) {
                ran.push(index);
                continue;
            }
            match self.run_hook(record, index, event, timeout, acted).await {
                Ok(()) => ran.push(index),
                Err(error) => {
                    let hook = record.hooks[index].clone();
                    if let Err(error) = self.delete_hook(&hook, &DeletePolicy::HookFailed, record, timeout).await {
                        tracing::warn!(hook = hook.path, error = %crate::telemetry::chain(&error), "hook not deleted");
                    }
                    for before in ran {
                        let hook = record.hooks[before].clone();
                        self.delete_hook(&hook, &DeletePolicy::HookSucceeded, record, timeout).await?;
                    }
                    return Err(error);
                }
            }
        }
        let goes = |index: &usize| record.hooks[*index].delete_policies.contains(&DeletePolicy::HookSucceeded);
        if begun(record, event).is_some() && ran.iter().any(goes) {
            // Once its object is gone, only the record tells that a hook has run.
            self.update(record, acted).await.map_err(|error| Error::Record(Box::new(error)))?;
        }
        for index in ran.into_iter().rev() {
            let hook = record.hooks[index].clone();
            self.delete_hook(&hook, &DeletePolicy::HookSucceeded, record, timeout).await?;
        }
        Ok(())
    }

    async fn run_hook(
        &self,
        record: &mut Release,
        index: usize,
        event: &Event,
        timeout: Duration,
        acted: &mut Acted,
    ) -> Result<(), Error> {
        if record.hooks[index].delete_policies.is_empty() {
            record.hooks[index].delete_policies.push(DeletePolicy::BeforeHookCreation);
        }
        let hook = record.hooks[index].clone();
        let under_way = self.under_way(record, &hook, event).await?;
        let result = if under_way.is_empty() {
            self.begin_hook(record, index, event, timeout, acted).await?
        } else {
            tracing::info!(hook = hook.path, "a hook that was begun before a crash is waited for");
            Ok(under_way)
        };
        let result = match result {
            Err(error) => Err(error),
            Ok(written) => self.wait(written, Ready::Hooks, timeout).await.map_err(Error::Wait),
        };
        let last_run = &mut record.hooks[index].last_run;
        last_run.completed_at = Some(super::now());
        last_run.phase = Some(if result.is_ok() { Phase::Succeeded } else { Phase::Failed });
        result
    }

    /// Records a hook's start and makes its object. What keeps it from being recorded is the outer error.
    async fn begin_hook(
        &self,
        record: &mut Release,
        index: usize,
        event: &Event,
        timeout: Duration,
        acted: &mut Acted,
    ) -> Result<Result<Vec<WaitTarget>, Error>, Error> {
        let hook = record.hooks[index].clone();
        self.delete_hook(&hook, &DeletePolicy::BeforeHookCreation, record, timeout).await?;
        let writing = self.writing(method_of(record, event), Before::Nothing);
        let (event, path) = (event.as_str().to_owned(), hook.path.clone());
        let resources = objects::resolve(&self.connection.discovery, [tree_of(&hook)?], &record.namespace)
            .await
            .map_err(|source| Error::Build { event: event.clone(), path: path.clone(), source })?;
        record.hooks[index].last_run =
            Execution { started_at: Some(super::now()), completed_at: None, phase: Some(Phase::Running) };
        // Recorded before it starts: a crash then leaves a record that says that it did.
        self.update(record, acted).await.map_err(|error| Error::Record(Box::new(error)))?;
        let mut outcome = Outcome::default();
        let applied = writing.all(&resources, &mut outcome).await;
        Ok(applied.map(|()| outcome.written).map_err(|source| Error::Apply { event, path, source }))
    }

    /// Returns the object of a hook that the record says was begun and that is still there: since the one before it was
    /// deleted before it was recorded, it is that hook's, however far it has come.
    async fn under_way(&self, record: &Release, hook: &Hook, event: &Event) -> Result<Vec<WaitTarget>, Error> {
        if !ran_since(record, hook, event, Phase::Running) {
            return Ok(Vec::new());
        }
        let build = |source| Error::Build { event: event.as_str().to_owned(), path: hook.path.clone(), source };
        let resources =
            objects::resolve(&self.connection.discovery, [tree_of(hook)?], &record.namespace).await.map_err(build)?;
        let mut there = Vec::new();
        for Resource { target, .. } in resources {
            let object = apply::get(&self.connection.client, &target).await.map_err(build)?;
            let lasts = |object: &Value| object["metadata"]["deletionTimestamp"].is_null();
            there.extend(object.filter(lasts).map(|known| WaitTarget { target, known: Some(known) }));
        }
        Ok(there)
    }

    async fn delete_hook(
        &self,
        hook: &Hook,
        policy: &DeletePolicy,
        record: &Release,
        timeout: Duration,
    ) -> Result<(), Error> {
        if hook.kind == "CustomResourceDefinition" || !hook.delete_policies.contains(policy) {
            return Ok(());
        }
        let path = || hook.path.clone();
        let failed = |source| Error::Delete { path: path(), source };
        let resources =
            objects::resolve(&self.connection.discovery, [tree_of(hook)?], &record.namespace).await.map_err(failed)?;
        let targets: Vec<_> = resources.into_iter().map(|resource| resource.target).collect();
        let (pending, errors) = objects::delete_all(&self.connection.client, &targets, Propagation::Background).await;
        if let Some(source) = errors.into_iter().next() {
            return Err(failed(source));
        }
        self.wait_gone(pending, timeout).await.map_err(Error::Wait)
    }
}

/// Returns when what an event's hooks are part of was begun, where it is gone on with after a crash and not begun anew
/// with another revision: an uninstall, and the tests of a revision.
fn begun<'r>(record: &'r Release, event: &Event) -> Option<&'r Zoned> {
    match event {
        Event::PreDelete | Event::PostDelete => record.info.deleted.as_ref(),
        Event::Test => record.info.last_deployed.as_ref(),
        _ => None,
    }
}

/// Tells whether a hook's last run came to a phase and was one for this event since that was begun. Of a hook that runs
/// at other events too, it may have been one of those.
fn ran_since(record: &Release, hook: &Hook, event: &Event, phase: Phase) -> bool {
    let is_of_event = hook.events.iter().all(|other| other == event);
    let started = hook.last_run.started_at.as_ref();
    is_of_event
        && hook.last_run.phase == Some(phase)
        && begun(record, event).zip(started).is_some_and(|(begun, started)| started >= begun)
}

/// Tells whether a hook has succeeded before a crash, so that it is not run again.
fn has_run(record: &Release, index: usize, event: &Event) -> bool {
    ran_since(record, &record.hooks[index], event, Phase::Succeeded)
}

/// Returns the way in which an event's hooks are applied: that of their release, but for an uninstall's.
fn method_of(record: &Release, event: &Event) -> ApplyMethod {
    match event {
        Event::PreDelete | Event::PostDelete => ApplyMethod::ServerSide,
        _ => method::of_record(record.apply_method),
    }
}

/// Returns the indexes of an event's hooks in the order in which they run.
fn order_of(record: &Release, event: &Event, select: impl Fn(&Hook) -> bool) -> Vec<usize> {
    let mut hooks: Vec<&Hook> = record.hooks.iter().filter(|hook| hook.runs_at(event) && select(hook)).collect();
    hook::sort_for_run(&mut hooks);
    hooks.iter().filter_map(|hook| record.hooks.iter().position(|other| std::ptr::eq(*hook, other))).collect()
}

/// Returns a hook's object; one that was read from a record has only its text.
fn tree_of(hook: &Hook) -> Result<Value, Error> {
    if !hook.object.is_null() {
        return Ok(hook.object.clone());
    }
    helm::yaml::parse(hook.manifest.as_bytes()).map_err(|source| Error::Manifest { path: hook.path.clone(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(events: &str, phase: &str, started: &str) -> Release {
        let text = format!(
            r#"{{"name": "app", "info": {{"status": "deployed", "last_deployed": "2026-01-01T10:00:00Z",
                "deleted": "2026-01-01T12:00:00Z"}},
                "hooks": [{{"name": "h", "events": {events}, "last_run": {{"phase": "{phase}", "started_at": "{started}"}}}}]}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn a_hook_that_succeeded_since_its_action_was_begun_does_not_run_again() {
        for (events, phase, started, event, ran) in [
            (r#"["test"]"#, "Succeeded", "2026-01-01T11:00:00Z", Event::Test, true),
            // Of the revision that a rollback took it from.
            (r#"["test"]"#, "Succeeded", "2026-01-01T09:00:00Z", Event::Test, false),
            (r#"["test"]"#, "Running", "2026-01-01T11:00:00Z", Event::Test, false),
            (r#"["test"]"#, "Failed", "2026-01-01T11:00:00Z", Event::Test, false),
            (r#"["test", "post-install"]"#, "Succeeded", "2026-01-01T11:00:00Z", Event::Test, false),
            (r#"["pre-delete"]"#, "Succeeded", "2026-01-01T13:00:00Z", Event::PreDelete, true),
            (r#"["pre-delete"]"#, "Succeeded", "2026-01-01T11:00:00Z", Event::PreDelete, false),
            // A new revision runs its hooks.
            (r#"["pre-upgrade"]"#, "Succeeded", "2026-01-01T13:00:00Z", Event::PreUpgrade, false),
        ] {
            assert_eq!(has_run(&record(events, phase, started), 0, &event), ran, "{events} {phase} {started}");
        }
    }
}
