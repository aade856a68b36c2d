//! Whose changes start a run: the source's new artifact, a dependency that becomes ready, an object that someone edits.

use std::sync::Arc;

use kube::runtime::reflector::ObjectRef;
use tokio::sync::{mpsc, watch};

use super::{
    identity::service_account,
    observe::{is_ready, source_namespace},
};
use crate::{
    api::{GitRepository, Kustomization, conditions, kustomization::KustomizationSourceKind, reasons},
    cluster::{connection::ServiceAccount, watch::Owner},
    reconcile::watched::{Change, Watched},
};

/// Tells those who wait that some source has another artifact.
#[derive(Debug)]
pub struct SourceChanges(watch::Sender<()>);

impl Default for SourceChanges {
    fn default() -> Self {
        Self(watch::Sender::new(()))
    }
}

impl SourceChanges {
    /// Returns a receiver that sees all changes from now on.
    pub fn subscribe(&self) -> watch::Receiver<()> {
        self.0.subscribe()
    }
}

/// Starts the Kustomizations of a source whose artifact has changed, and ends waits for the old one.
pub fn on_source_change(watched: &Watched<Kustomization>, changes: &SourceChanges, change: &Change<GitRepository>) {
    let digest = |source: &Option<Arc<GitRepository>>| {
        let status = source.as_ref()?.status.as_ref()?;
        status.artifact.as_ref().map(|artifact| (artifact.revision.clone(), artifact.digest.clone()))
    };
    if digest(&change.before) == digest(&change.after) {
        return;
    }
    changes.0.send_replace(());
    let Some(source) = change.after.as_ref().or(change.before.as_ref()) else { return };
    let (namespace, name) = (source.metadata.namespace.as_deref(), source.metadata.name.as_deref());
    for object in watched.all() {
        let reference = &object.spec.source_ref;
        if reference.kind == KustomizationSourceKind::GitRepository
            && Some(reference.name.as_str()) == name
            && Some(source_namespace(&object)) == namespace
        {
            watched.trigger(ObjectRef::from_obj(object.as_ref()));
        }
    }
}

/// Starts the Kustomizations that wait for one that has become ready, or has applied another revision, and those that wait
/// and tell from its fields whether it is ready.
pub fn on_dependency_change(watched: &Watched<Kustomization>, change: &Change<Kustomization>) {
    let standing = |one: &Option<Arc<Kustomization>>| {
        let one = one.as_ref()?;
        let revision = one.status.as_ref().and_then(|status| status.last_applied_revision.clone());
        Some((is_ready(one), revision))
    };
    let Some(dependency) = change.after.as_ref() else { return };
    let becomes_ready = is_ready(dependency) && standing(&change.before) != standing(&change.after);
    let (namespace, name) = (dependency.metadata.namespace.as_deref(), dependency.metadata.name.as_deref());
    for object in watched.all() {
        let own = object.metadata.namespace.as_deref();
        let waits = object.spec.depends_on.iter().any(|reference| {
            let of = reference.namespace.as_deref().filter(|namespace| !namespace.is_empty()).or(own);
            let asks = becomes_ready || (reference.ready_expr.is_some() && waits_for_dependency(&object));
            asks && Some(reference.name.as_str()) == name && of == namespace
        });
        if waits {
            watched.trigger(ObjectRef::from_obj(object.as_ref()));
        }
    }
}

fn waits_for_dependency(object: &Kustomization) -> bool {
    let conditions = object.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    conditions::has_reason(conditions, conditions::READY, reasons::DEPENDENCY_NOT_READY)
}

/// Starts the Kustomizations that are applied as an account that was made.
pub fn on_account(watched: &Watched<Kustomization>, account: &ServiceAccount, default: Option<&str>) {
    for object in watched.all() {
        if service_account(&object, default).as_ref() == Some(account) {
            watched.trigger(ObjectRef::from_obj(object.as_ref()));
        }
    }
}

/// Starts the Kustomizations whose objects drift, until the process ends.
pub async fn on_drift(watched: Arc<Watched<Kustomization>>, mut drifts: mpsc::UnboundedReceiver<Owner>) {
    while let Some(owner) = drifts.recv().await {
        watched.trigger(ObjectRef::new(&owner.name).within(&owner.namespace));
    }
}
