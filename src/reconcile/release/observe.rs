//! What a run reads before it decides: dependencies, the chart, the values, Helm's newest record. What watches and
//! earlier runs have already answered is not asked again.

use std::{collections::HashMap, sync::Arc};

use helm::chart::Chart;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{Api, Client, Resource, ResourceExt, runtime::reflector::ObjectRef};
use serde_json::{Map, Value};

use super::{
    Releases, chart_object,
    charts::{ChartVersion, Error as ChartError},
    decide::LastRelease,
    history,
    memory::{ConfigKey, Newest, Place, Seen},
    obstacle::Obstacle,
    record,
    redaction::Redaction,
    triggers::dependency_key,
    values::{self, Contents},
};
use crate::{
    api::{
        Artifact, Condition, HelmChart, HelmRelease, OCIRepository, conditions,
        helm_release::{ChartReferenceKind, ValuesReferenceKind},
        reasons,
    },
    cluster::storage::{ReleaseStorage, StoredRecord},
    reconcile::{expressions::ReadyExpr, shell::Run, watched::missing_source},
    telemetry::chain,
};

/// The source of a release's chart: what a decision needs of it, and where the chart itself is.
#[derive(Clone, Debug)]
pub struct ChartSource {
    pub artifact: Artifact,
    pub chart_name: String,
    pub chart_version: String,
    /// The digest in the artifact's revision, where the chart's version tells of it.
    pub revision_digest: Option<String>,
}

/// An object that has a release's chart as its artifact.
pub trait ChartObject: Resource<DynamicType = ()> {
    /// How a `chartRef` names the kind.
    const REFERENCE: ChartReferenceKind;

    /// Returns the generation that was reconciled last, the conditions and the artifact; none before the first status.
    fn standing(&self) -> Option<(i64, &[Condition], Option<&Artifact>)>;
}

impl ChartObject for HelmChart {
    const REFERENCE: ChartReferenceKind = ChartReferenceKind::HelmChart;

    fn standing(&self) -> Option<(i64, &[Condition], Option<&Artifact>)> {
        let status = self.status.as_ref()?;
        Some((status.observed_generation, &status.conditions, status.artifact.as_ref()))
    }
}

impl ChartObject for OCIRepository {
    const REFERENCE: ChartReferenceKind = ChartReferenceKind::OCIRepository;

    fn standing(&self) -> Option<(i64, &[Condition], Option<&Artifact>)> {
        let status = self.status.as_ref()?;
        Some((status.observed_generation, &status.conditions, status.artifact.as_ref()))
    }
}

/// The values of a release: their digest, and themselves where they had to be read.
#[derive(Clone, Debug)]
pub struct Composed {
    pub digest: String,
    values: Option<Read>,
}

/// Values that were read, and what of them must not be told.
#[derive(Clone, Debug, Default)]
pub struct Read {
    pub values: Map<String, Value>,
    pub secrets: Redaction,
}

impl Releases {
    /// Checks that all dependencies are ready.
    pub(super) fn dependencies(&self, object: &HelmRelease) -> Result<(), Obstacle> {
        for dependency in &object.spec.depends_on {
            let (namespace, name) = dependency_key(object, dependency);
            let expression = dependency.ready_expr.as_deref();
            check_dependency(&namespace, &name, expression, object, self.watched.find(&namespace, &name).as_deref())?;
        }
        Ok(())
    }

    /// Finds the object that a release's chart comes from, and its artifact.
    pub(super) async fn source(&self, object: &HelmRelease) -> Result<ChartSource, Obstacle> {
        let own = object.metadata.namespace.clone().unwrap_or_default();
        let (kind, namespace, name) = match (&object.spec.chart_ref, chart_object::reference(object)) {
            (Some(reference), _) => {
                let namespace = reference.namespace.clone().unwrap_or_else(|| own.clone());
                (reference.kind.clone(), namespace, reference.name.clone())
            }
            (None, Some((namespace, name))) => (ChartReferenceKind::HelmChart, namespace, name),
            (None, None) => return Err(Obstacle::terminal(reasons::ARTIFACT_FAILED, "invalid Chart reference")),
        };
        if self.no_cross_namespace_refs && namespace != own {
            return Err(chart_object::cross_namespace(kind.as_str(), &namespace, &name));
        }
        let missing = || {
            let problem = missing_source(kind.as_str(), &name);
            Obstacle::wait(reasons::ARTIFACT_FAILED, format!("could not get Source object: {problem}"))
        };
        match kind {
            ChartReferenceKind::HelmChart => {}
            ChartReferenceKind::OCIRepository => {
                let repository = self.oci_repositories.find(&namespace, &name);
                return self.oci_source(artifact_of(&*repository.ok_or_else(&missing)?)?).await;
            }
            // As with Flux, where the gate that lets them in is shut by default.
            ChartReferenceKind::ExternalArtifact => {
                let message = format!(
                    "can't access 'ExternalArtifact/{namespace}/{name}', ExternalArtifact feature gate is disabled"
                );
                return Err(Obstacle::terminal(reasons::ACCESS_DENIED, message));
            }
            ChartReferenceKind::Unknown(_) => {
                return Err(Obstacle::unsupported("spec.chartRef to anything but a HelmChart or an OCIRepository"));
            }
        }
        let chart = self.charts_watched.find(&namespace, &name).ok_or_else(missing)?;
        let artifact = artifact_of(&*chart)?;
        let chart_name = chart.status.as_ref().and_then(|status| status.observed_chart_name.clone());
        Ok(ChartSource {
            chart_name: chart_name.unwrap_or_else(|| chart.spec.chart.clone()),
            // The revision of a HelmChart's artifact is the version in its Chart.yaml.
            chart_version: artifact.revision.clone(),
            artifact,
            revision_digest: None,
        })
    }

    /// Reads the chart of an OCIRepository, since only it says its name and version.
    async fn oci_source(&self, artifact: Artifact) -> Result<ChartSource, Obstacle> {
        let revision_digest = artifact.revision.rsplit('@').next().map(ToOwned::to_owned);
        let mut source =
            ChartSource { artifact, chart_name: String::new(), chart_version: String::new(), revision_digest };
        let chart = self.chart(&source).await?;
        chart.name().clone_into(&mut source.chart_name);
        chart.version().clone_into(&mut source.chart_version);
        Ok(source)
    }

    /// Loads the chart of a source, once for all releases that use it.
    ///
    /// An artifact whose file is gone is being made anew by its source, which starts the release again.
    pub(super) async fn chart(&self, source: &ChartSource) -> Result<Arc<Chart>, Obstacle> {
        let version = if source.revision_digest.is_some() { ChartVersion::WithDigest } else { ChartVersion::AsItIs };
        self.charts.load(&source.artifact, version).await.map_err(|error| unusable(&error))
    }

    /// Composes the values, or takes their digest from memory where nothing they are made of has changed.
    ///
    /// They are read as the daemon, as under Flux: they are of the object's own namespace, and it is the object's
    /// maker who chose them.
    pub(super) async fn values(&self, object: &HelmRelease) -> Result<Composed, Obstacle> {
        let key = ObjectRef::from_obj(object);
        let seen: Vec<Seen> = config_keys(object).iter().map(|config| self.memory.config(config)).collect();
        let generation = object.metadata.generation.unwrap_or(0);
        if !seen.contains(&Seen::Unknown)
            && let Some((at, of, digest)) = self.memory.remembered(&key).values
            && at == seen
            && of == generation
        {
            return Ok(Composed { digest, values: None });
        }
        let read = self.read_values(object).await?;
        let digest = values::digest(&read.values);
        self.memory.remember(&key, |known| known.values = Some((seen, generation, digest.clone())));
        Ok(Composed { digest, values: Some(read) })
    }

    /// Returns the composed values themselves.
    pub(super) async fn values_of(&self, object: &HelmRelease, composed: Composed) -> Result<Read, Obstacle> {
        match composed.values {
            Some(values) => Ok(values),
            None => self.read_values(object).await,
        }
    }

    async fn read_values(&self, object: &HelmRelease) -> Result<Read, Obstacle> {
        let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
        let (mut contents, mut secrets) = (Contents::new(), Redaction::default());
        for (kind, _, name) in config_keys(object) {
            if contents.contains_key(&(kind.clone(), name.clone())) {
                continue;
            }
            let data = read_config(&self.daemon, &kind, namespace, &name).await.map_err(|error| {
                let message = format!("could not read {} '{namespace}/{name}': {}", kind.as_str(), chain(&error));
                Obstacle::retry(reasons::VALUES_ERROR, message)
            })?;
            if kind == ValuesReferenceKind::Secret {
                data.iter().flat_map(|data| data.values()).for_each(|content| secrets.learn_content(content));
            }
            contents.insert((kind, name), data);
        }
        let values = values::compose(namespace, object.spec.values.as_ref(), &object.spec.values_from, &contents)
            .map_err(|error| Obstacle::retry(reasons::VALUES_ERROR, error.to_string()))?;
        Ok(Read { values, secrets })
    }

    /// Returns the newest record of the release, read only where memory does not have it.
    ///
    /// A revision that the history has and memory has not is asked for by its name: what memory knows may be from a list
    /// that was out of date, and the revision there all the same.
    pub(super) async fn last_release(
        &self,
        storage: &ReleaseStorage,
        place: &Place,
        run: &Run<HelmRelease>,
    ) -> Result<Option<LastRelease>, Obstacle> {
        let key = run.key();
        let release = &place.release;
        let newest = match self.memory.newest(place) {
            Newest::None => None,
            Newest::Record { version, resource_version } => Some((version, resource_version)),
            Newest::Unknown => {
                let revisions = storage.list(release).await.map_err(|error| Obstacle::unread(&error))?;
                revisions.last().map(|newest| (i64::from(newest.revision), newest.resource_version.clone()))
            }
        };
        let reported = history::latest(&run.status.history).filter(|current| &current.name == release);
        let reported = reported.map_or(0, |current| current.version);
        let known = newest.as_ref().map_or(0, |(version, _)| *version);
        if reported > known {
            let stored = storage.get(release, u32::try_from(reported).unwrap_or(0)).await;
            if let Some(stored) = stored.map_err(|error| Obstacle::unread(&error))? {
                let at = stored.revision.resource_version.clone();
                self.memory.read_record(place, reported, at);
                return self.decoded(&key, release, &stored).map_err(|error| Obstacle::unread(&error));
            }
        }
        let Some((version, resource_version)) = newest else { return Ok(None) };
        if let Some((at, last)) = self.memory.remembered(&key).last
            && at == resource_version
            && last.version == version
        {
            return Ok(Some(last));
        }
        let stored = storage.get(release, u32::try_from(version).unwrap_or(0)).await;
        let Some(stored) = stored.map_err(|error| Obstacle::unread(&error))? else { return Ok(None) };
        self.decoded(&key, release, &stored).map_err(|error| Obstacle::unread(&error))
    }

    /// Reads a record, and remembers it as the newest.
    fn decoded(
        &self,
        key: &ObjectRef<HelmRelease>,
        release: &str,
        stored: &StoredRecord,
    ) -> Result<Option<LastRelease>, record::Unreadable> {
        let record = record::decode(release, stored)?;
        let last = record::last_release(&record, &stored.revision.managers);
        let at = stored.revision.resource_version.clone();
        self.memory.remember(key, |known| known.last = Some((at, last.clone())));
        Ok(Some(last))
    }
}

/// Says why a chart that could not be read keeps its release from going on.
pub fn unusable(error: &ChartError) -> Obstacle {
    if let ChartError::Version(text) = error {
        return Obstacle { is_told: false, ..Obstacle::retry(reasons::CHART_MUTATE_ERROR, text.clone()) };
    }
    if error.is_missing() {
        // Perhaps to the very same status, of which no watch tells: so it is looked at again.
        let again = Obstacle::retry(reasons::ARTIFACT_FAILED, "Source not ready: artifact not found");
        return Obstacle { is_told: false, ..again };
    }
    let problem = chain(error);
    let obstacle = Obstacle::retry(reasons::ARTIFACT_FAILED, format!("Could not load chart: {problem}"));
    Obstacle { told_as: Some(problem), ..obstacle }
}

/// Returns the `ConfigMaps` and Secrets that a release's values come from, in order.
pub fn config_keys(object: &HelmRelease) -> Vec<ConfigKey> {
    let namespace = object.metadata.namespace.clone().unwrap_or_default();
    object.spec.values_from.iter().map(|r| (r.kind.clone(), namespace.clone(), r.name.clone())).collect()
}

async fn read_config(
    client: &Client,
    kind: &ValuesReferenceKind,
    namespace: &str,
    name: &str,
) -> Result<Option<HashMap<String, Vec<u8>>>, kube::Error> {
    match kind {
        ValuesReferenceKind::ConfigMap => {
            let map = Api::<ConfigMap>::namespaced(client.clone(), namespace).get_opt(name).await?;
            Ok(map.map(|m| {
                let text = m.data.into_iter().flatten().map(|(k, v)| (k, v.into_bytes()));
                text.chain(m.binary_data.into_iter().flatten().map(|(k, v)| (k, v.0))).collect()
            }))
        }
        ValuesReferenceKind::Secret | ValuesReferenceKind::Unknown(_) => {
            let secret = Api::<Secret>::namespaced(client.clone(), namespace).get_opt(name).await?;
            Ok(secret.map(|s| s.data.into_iter().flatten().map(|(k, v)| (k, v.0)).collect()))
        }
    }
}

/// Tells whether a release is ready as others depend on it: its newest generation was reconciled and Ready is True.
pub fn is_ready(object: &HelmRelease) -> bool {
    object.status.as_ref().is_some_and(|status| {
        Some(status.observed_generation) == object.metadata.generation
            && conditions::is_true(&status.conditions, conditions::READY)
    })
}

/// Checks that what a release depends on is there and ready; an expression takes the place of the built-in check.
pub fn check_dependency(
    namespace: &str,
    name: &str,
    expression: Option<&str>,
    own: &HelmRelease,
    found: Option<&HelmRelease>,
) -> Result<(), Obstacle> {
    let expression = ReadyExpr::of(expression, name).map_err(|error| Obstacle::invalid_ready_expression(&error))?;
    let not_ready =
        |message: String| Err(Obstacle { is_told: true, ..Obstacle::wait(reasons::DEPENDENCY_NOT_READY, message) });
    let Some(found) = found else {
        return not_ready(format!(
            "unable to get '{namespace}/{name}' dependency: helmreleases.helm.toolkit.fluxcd.io \"{name}\" not found"
        ));
    };
    match expression.map(|expression| expression.holds(own, found)) {
        Some(Ok(true)) => Ok(()),
        Some(Ok(false)) => {
            not_ready(format!("dependency '{namespace}/{name}' is not ready according to readyExpr eval"))
        }
        Some(Err(error)) => not_ready(chain(&error)),
        None if !is_ready(found) => not_ready(format!("dependency '{namespace}/{name}' is not ready")),
        None => Ok(()),
    }
}

/// Returns the artifact of a chart's object, or why it cannot be used.
pub fn artifact_of<K: ChartObject>(chart: &K) -> Result<Artifact, Obstacle> {
    usable_artifact(chart).map_err(|problem| {
        let (kind, namespace, name) = (K::kind(&()), chart.namespace().unwrap_or_default(), chart.name_any());
        let message = format!("{kind} '{namespace}/{name}' is not ready: {problem}");
        Obstacle::wait(reasons::SOURCE_NOT_READY, message)
    })
}

fn usable_artifact<K: ChartObject>(chart: &K) -> Result<Artifact, String> {
    let (observed, conditions, artifact) = chart.standing().unwrap_or((0, &[], None));
    let message = |kind: &str| conditions::get(conditions, kind).map(|c| c.message.clone());
    if Some(observed) != chart.meta().generation {
        let is_false = conditions::is_false(conditions, conditions::READY);
        let told = message(conditions::READY).filter(|_| is_false);
        return Err(told.unwrap_or_else(|| "latest generation of object has not been reconciled".to_owned()));
    }
    if conditions::is_true(conditions, conditions::STALLED) {
        return Err(message(conditions::STALLED).unwrap_or_default());
    }
    artifact.cloned().ok_or_else(|| "does not have an artifact".to_owned())
}
