//! What ends an attempt's wait early: something newer than what the attempt is about is asked for.

use std::sync::Arc;

use kube::{ResourceExt, runtime::reflector::ObjectRef};

use super::{Releases, chart_object, memory::Seen, observe};
use crate::api::{HelmRelease, helm_release::ChartReferenceKind};

/// What an attempt is about, as far as a change of it makes waiting for the rest pointless.
#[derive(Debug)]
pub(super) struct Aim {
    pub(super) object: Arc<HelmRelease>,
    /// The digest of the chart's artifact.
    pub(super) chart: String,
    /// The digest of the values.
    pub(super) values: String,
}

/// What is newer than an attempt.
#[derive(Debug)]
enum Newer {
    Object,
    Chart,
    Values(String),
}

impl Releases {
    /// Waits until another generation, chart or values than those of an attempt are asked for, or the object is to go.
    /// Returns what asks, as `kind/namespace/name`.
    pub(super) async fn newer(&self, aim: &Aim) -> String {
        let key = ObjectRef::from_obj(aim.object.as_ref());
        let mut seen = self.seen(&aim.object);
        loop {
            let changed = match self.watched.until(&key, || self.news(aim, &seen)).await {
                Newer::Object => return name_of(&aim.object),
                Newer::Chart => return chart_of(&aim.object),
                Newer::Values(changed) => changed,
            };
            seen = self.seen(&aim.object);
            // What changed need not be a part of the values; what cannot be read just now is looked at when it changes.
            if self.values(&aim.object).await.is_ok_and(|composed| composed.digest != aim.values) {
                return changed;
            }
        }
    }

    fn seen(&self, object: &HelmRelease) -> Vec<Seen> {
        observe::config_keys(object).iter().map(|config| self.memory.config(config)).collect()
    }

    /// Returns the digest of the artifact that a release's chart is in now, where there is one that can be used.
    fn chart_digest(&self, object: &HelmRelease) -> Option<String> {
        let artifact = match (&object.spec.chart_ref, chart_object::reference(object)) {
            (Some(reference), _) => {
                let namespace = reference.namespace.clone().or_else(|| object.namespace()).unwrap_or_default();
                if reference.kind == ChartReferenceKind::OCIRepository {
                    let repository = self.oci_repositories.find(&namespace, &reference.name)?;
                    observe::artifact_of(&*repository)
                } else {
                    observe::artifact_of(&*self.charts_watched.find(&namespace, &reference.name)?)
                }
            }
            (None, reference) => {
                let (namespace, name) = reference?;
                observe::artifact_of(&*self.charts_watched.find(&namespace, &name)?)
            }
        };
        artifact.ok().map(|artifact| artifact.digest)
    }

    fn news(&self, aim: &Aim, seen: &[Seen]) -> Option<Newer> {
        let now = self.watched.get(&ObjectRef::from_obj(aim.object.as_ref()));
        // One that is suspended asks for nothing: what was begun is brought to its end.
        let is_same = |now: &HelmRelease| {
            let asks_for_the_same = now.metadata.generation == aim.object.metadata.generation || now.spec.suspend;
            asks_for_the_same && now.metadata.deletion_timestamp.is_none()
        };
        if !now.is_some_and(|now| is_same(&now)) {
            return Some(Newer::Object);
        }
        if self.chart_digest(&aim.object).is_some_and(|digest| digest != aim.chart) {
            return Some(Newer::Chart);
        }
        let configs = observe::config_keys(&aim.object);
        let changed = configs.iter().zip(seen).find(|(config, seen)| self.memory.config(config) != **seen);
        changed.map(|((kind, namespace, name), _)| Newer::Values(format!("{}/{namespace}/{name}", kind.as_str())))
    }
}

fn name_of(object: &HelmRelease) -> String {
    format!("HelmRelease/{}/{}", object.namespace().unwrap_or_default(), object.name_any())
}

fn chart_of(object: &HelmRelease) -> String {
    let own = object.namespace().unwrap_or_default();
    match (&object.spec.chart_ref, chart_object::reference(object)) {
        (Some(reference), _) => {
            let namespace = reference.namespace.as_deref().unwrap_or(&own);
            format!("{}/{namespace}/{}", reference.kind.as_str(), reference.name)
        }
        (None, Some((namespace, name))) => format!("HelmChart/{namespace}/{name}"),
        (None, None) => name_of(object),
    }
}
