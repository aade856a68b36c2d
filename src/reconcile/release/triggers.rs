//! Whose changes start a HelmRelease's run: its chart's, its dependencies', its objects'.

use std::sync::Arc;

use kube::{ResourceExt, runtime::reflector::ObjectRef};
use tokio::sync::mpsc;

use super::{
    chart_object,
    connect::service_account,
    memory::{Memory, ReleaseKey},
    observe::{ChartObject, is_ready},
};
use crate::{
    api::{
        HelmRelease, conditions,
        meta::{DependencyReference, HELM_RELEASE_NAME, HELM_RELEASE_NAMESPACE},
        reasons,
    },
    cluster::{connection::ServiceAccount, watch::Owner},
    reconcile::watched::{Change, Watched},
};

/// Starts the releases of a HelmChart or OCIRepository that has another artifact, or says something else about why it has
/// none.
pub fn on_chart_change<K: ChartObject>(releases: &Watched<HelmRelease>, change: &Change<K>) {
    let (before, after) = (change.before.as_deref(), change.after.as_deref());
    if !is_chart_news(before, after) && !is_lost(before, after) {
        return;
    }
    let Some(chart) = change.after.as_ref().or(change.before.as_ref()) else { return };
    let (namespace, name) = (chart.namespace().unwrap_or_default(), chart.name_any());
    // A chart made for a release says for which; others are found by their references.
    if let (Some(owner), Some(owners)) =
        (chart.labels().get(HELM_RELEASE_NAME), chart.labels().get(HELM_RELEASE_NAMESPACE))
        && let Some(owner) = releases.find(owners, owner)
        && chart_object::reference(&owner).is_some_and(|of| of == (namespace.clone(), name.clone()))
    {
        releases.trigger(ObjectRef::from_obj(owner.as_ref()));
        return;
    }
    for release in releases.all() {
        let refers = release.spec.chart_ref.as_ref().is_some_and(|reference| {
            reference.kind == K::REFERENCE
                && reference.name == name
                && reference.namespace.clone().or_else(|| release.namespace()).as_deref() == Some(&namespace)
        });
        if refers {
            releases.trigger(ObjectRef::from_obj(release.as_ref()));
        }
    }
}

/// Starts the releases whose objects drift, until the process ends.
pub async fn on_drift(releases: Arc<Watched<HelmRelease>>, mut drifts: mpsc::UnboundedReceiver<Owner>) {
    while let Some(owner) = drifts.recv().await {
        releases.trigger(ObjectRef::new(&owner.name).within(&owner.namespace));
    }
}

/// Tells whether a change of a chart's object is one for the releases that use it: another artifact, one that is ready
/// again, or another word on why there is none. One that is lost is not: what is installed needs none.
pub fn is_chart_news<K: ChartObject>(before: Option<&K>, after: Option<&K>) -> bool {
    let (before, after) = match (standing(before), standing(after)) {
        (Some(before), Some(after)) => (before, after),
        (before, after) => return before.is_some() || after.is_some(),
    };
    let has_other = after.artifact.is_some() && before.artifact != after.artifact;
    has_other || (!before.is_ready && after.is_ready) || before.said != after.said
}

/// Tells whether a chart's object has lost its artifact: nothing is done for that, but the outage is told if it lasts.
fn is_lost<K: ChartObject>(before: Option<&K>, after: Option<&K>) -> bool {
    let has = |object| standing(object).is_some_and(|standing| standing.artifact.is_some());
    has(before) && !has(after)
}

struct Standing {
    artifact: Option<(String, String)>,
    is_ready: bool,
    /// The generation, whether it was observed, and what is said while it was not.
    said: (Option<i64>, bool, Option<(String, String)>),
}

/// What a chart's object says; nothing before its controller has said the first word.
fn standing<K: ChartObject>(chart: Option<&K>) -> Option<Standing> {
    let chart = chart?;
    let (observed, conditions, artifact) = chart.standing()?;
    let told = conditions::get(conditions, conditions::READY);
    let generation = chart.meta().generation;
    let is_current = Some(observed) == generation;
    let while_not = told.filter(|_| !is_current).map(|c| (c.status.clone(), c.message.clone()));
    Some(Standing {
        artifact: artifact.map(|artifact| (artifact.revision.clone(), artifact.digest.clone())),
        is_ready: told.is_some_and(|ready| ready.status == "True"),
        said: (generation, is_current, while_not),
    })
}

/// Starts the releases that are applied as a `ServiceAccount` which was made just now.
pub fn on_account(releases: &Watched<HelmRelease>, account: &ServiceAccount, default: Option<&str>) {
    for release in releases.all() {
        if service_account(&release, default).as_ref() == Some(account) {
            releases.trigger(ObjectRef::from_obj(release.as_ref()));
        }
    }
}

/// Starts the releases that depend on one that has become ready, those that tell from its fields whether it is, and
/// those that say that it is not there, or not ready, when it comes or goes.
pub fn on_dependency_change(releases: &Watched<HelmRelease>, memory: &Memory, change: &Change<HelmRelease>) {
    let Some(dependency) = change.after.as_ref().or(change.before.as_ref()) else { return };
    let comes_or_goes = change.before.is_some() != change.after.is_some();
    let stands_ready = |object: Option<&Arc<HelmRelease>>| object.is_some_and(|object| is_ready(object));
    let becomes_ready = stands_ready(change.after.as_ref()) && !stands_ready(change.before.as_ref());
    let of = (dependency.namespace().unwrap_or_default(), dependency.name_any());
    for key in memory.dependents(&of) {
        let Some(release) = releases.get(&key) else { continue };
        let looks = |on: &DependencyReference| {
            (becomes_ready || comes_or_goes || on.ready_expr.is_some()) && dependency_key(&release, on) == of
        };
        // One whose dependencies are met has nothing to look at again.
        let waits = becomes_ready || waits_for_dependency(&release);
        if waits && release.spec.depends_on.iter().any(looks) {
            releases.trigger(key);
        }
    }
}

/// Returns which release a reference is to.
pub fn dependency_key(release: &HelmRelease, on: &DependencyReference) -> ReleaseKey {
    let own = || release.namespace().unwrap_or_default();
    (on.namespace.clone().unwrap_or_else(own), on.name.clone())
}

fn waits_for_dependency(release: &HelmRelease) -> bool {
    let conditions = release.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    conditions::has_reason(conditions, conditions::READY, reasons::DEPENDENCY_NOT_READY)
}
