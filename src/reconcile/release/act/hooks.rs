//! Hooks: run one after another by weight, each recorded before it starts, deleted as their policies say.

use std::time::Duration;

use helm::{
    hook::{self, DeletePolicy, Event, Execution, Hook, Phase},
    release::Release,
};
use serde_json::Value;

use super::{
    Acted, Work, objects,
    write::{Before, NotApplied, Outcome},
};
use crate::{
    cluster::{
        apply::{ApplyError, ApplyMethod, Propagation},
        wait::{Ready, WaitError},
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
        self.delete_hook(&hook, &DeletePolicy::BeforeHookCreation, record, timeout).await?;
        let tree = tree_of(&hook)?;
        let writing = self.writing(method_of(record, event), Before::Nothing);
        let (event, path) = (event.as_str().to_owned(), hook.path.clone());
        let resources = objects::resolve(&self.connection.discovery, [tree], &record.namespace)
            .await
            .map_err(|source| Error::Build { event: event.clone(), path: path.clone(), source })?;
        record.hooks[index].last_run =
            Execution { started_at: Some(super::now()), completed_at: None, phase: Some(Phase::Running) };
        // Recorded before it starts: a crash then leaves a record that says that it did.
        self.update(record, acted).await.map_err(|error| Error::Record(Box::new(error)))?;
        let mut outcome = Outcome::default();
        let applied = writing.all(&resources, &mut outcome).await;
        let result = match applied {
            Err(source) => Err(Error::Apply { event, path, source }),
            Ok(()) => self.wait(outcome.written, Ready::Hooks, timeout).await.map_err(Error::Wait),
        };
        let last_run = &mut record.hooks[index].last_run;
        last_run.completed_at = Some(super::now());
        last_run.phase = Some(if result.is_ok() { Phase::Succeeded } else { Phase::Failed });
        result
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
