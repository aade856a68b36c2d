//! HelmChart: one chart of a Helm repository, or of a folder in a Git repository.
//!
//! A chart is built anew at once when its source's artifact changes, see [`follow_sources`].

use std::sync::Arc;

use jiff::Timestamp;
use kube::runtime::reflector::ObjectRef;
use kube::{Resource, ResourceExt};

use super::helm_repository::{Indexes, is_oci, oci_repository, repository};
use super::{DEFAULT_INTERVAL, Done, Obstacle, Sources, Stored, report, suspended};
use crate::api::conditions::{BUILD_FAILED, FETCH_FAILED};
use crate::api::helm_chart::{HelmChartSourceKind, ReconcileStrategy};
use crate::api::{
    Artifact, Condition, GitRepository, HelmChart, HelmChartSpec, HelmChartStatus, HelmRepository, reasons,
};
use crate::reconcile::shell::{Next, Reconciled, Reconciler, Run};
use crate::reconcile::watched::{Change, Watched, missing_source};
use crate::source::chart::{self, Build, BuildError, Options};
use crate::source::helm_repository::DownloadError;
use crate::source::http::HttpError;
use crate::source::oci::chart::ChartError;
use crate::source::store::{ArtifactStore, Presence};
use crate::telemetry::chain;

pub(super) const KIND: &str = "HelmChart";
/// The link to the newest package, which Flux gives this name.
const LINK: &str = "latest.tar.gz";
/// How much of a source's revision goes into a version.
const SHORT_REVISION: usize = 12;

/// The HelmChart controller.
pub struct HelmCharts {
    pub sources: Sources,
    pub indexes: Arc<Indexes>,
    pub git_repositories: Arc<Watched<GitRepository>>,
    pub helm_repositories: Arc<Watched<HelmRepository>>,
}

impl Reconciled for HelmChart {
    fn conditions(status: &mut HelmChartStatus) -> &mut Vec<Condition> {
        &mut status.conditions
    }

    fn handled_at(status: &mut HelmChartStatus) -> &mut Option<String> {
        &mut status.last_handled_reconcile_at
    }
}

impl Stored for HelmChart {
    fn artifact(status: &mut HelmChartStatus) -> &mut Option<Artifact> {
        &mut status.artifact
    }

    fn observed_generation(status: &mut HelmChartStatus) -> &mut i64 {
        &mut status.observed_generation
    }

    fn forget_artifact(status: &mut HelmChartStatus) {
        status.artifact = None;
        status.url = None;
    }
}

impl Reconciler for HelmCharts {
    type Kind = HelmChart;
    const CONTROLLER: &'static str = "helmchart";

    async fn reconcile(&self, run: &mut Run<HelmChart>) -> Next {
        if run.object.metadata.deletion_timestamp.is_some() {
            return self.sources.delete(run).await;
        }
        if run.object.spec.suspend {
            return suspended(run);
        }
        let before = run.status.clone();
        let outcome = self.attempt(run).await;
        self.sources.finish(run, &before, outcome, run.object.spec.interval.get_or(DEFAULT_INTERVAL))
    }
}

/// Where a chart comes from, with the artifact of its source.
enum Source {
    Git(Artifact),
    Helm(Arc<HelmRepository>, Artifact),
    /// A registry, which has no index.
    Oci(Arc<HelmRepository>),
}

impl HelmCharts {
    async fn attempt(&self, run: &mut Run<HelmChart>) -> Result<Done, Obstacle> {
        let object = run.object.clone();
        let spec = &object.spec;
        if spec.verify.is_some() {
            return Err(Obstacle::unsupported("spec.verify"));
        }
        self.sources.check_storage(run).await?;
        let source = self.source(run.namespace(), spec).await?;
        if let Source::Git(artifact) | Source::Helm(_, artifact) = &source {
            run.status.observed_source_artifact_revision = Some(artifact.revision.clone());
        }
        let options = options(spec, run.generation(), &run.status, &source);
        let store = self.sources.store.clone();
        let outcome = match &source {
            Source::Git(artifact) => {
                let (artifact, path) = (artifact.clone(), spec.chart.clone());
                let work = async move {
                    let files = store.files(&artifact).await.map_err(|error| {
                        let message = format!("failed to open source artifact: {}", chain(&error));
                        Obstacle::fetch(reasons::READ_OPERATION_FAILED, message)
                    })?;
                    let build = move || chart::package(&files, &path, &options);
                    match tokio::task::spawn_blocking(build).await {
                        Ok(built) => built.map_err(obstacle),
                        Err(error) => Err(obstacle(BuildError::Package(error.to_string()))),
                    }
                };
                self.sources.showing_progress(run, work).await?
            }
            Source::Helm(owner, artifact) => {
                let namespace = run.namespace().to_owned();
                let work = async {
                    let repository = repository(&self.sources, &namespace, &owner.spec).await?;
                    let index = self.indexes.load(&store, &namespace, &owner.name_any(), artifact).await;
                    let index =
                        index.map_err(|text| obstacle(BuildError::Pull(format!("failed to load index: {text}"))))?;
                    chart::pull(&repository, &index, &spec.chart, &spec.version, &options).await.map_err(obstacle)
                };
                self.sources.showing_progress(run, work).await?
            }
            Source::Oci(owner) => {
                let namespace = run.namespace().to_owned();
                let work = async {
                    chart::check_name(&spec.chart).map_err(obstacle)?;
                    let repository = oci_repository(&self.sources, &namespace, &owner.spec, &spec.chart).await?;
                    chart::pull_oci(&repository, &spec.chart, &spec.version, &options).await.map_err(obstacle)
                };
                self.sources.showing_progress(run, work).await?
            }
        };
        self.keep(run, outcome?).await
    }

    /// Finds the source and its artifact, whose appearance is waited for by watch.
    async fn source(&self, namespace: &str, spec: &HelmChartSpec) -> Result<Source, Obstacle> {
        let name = &spec.source_ref.name;
        let missing = || {
            let message = format!("failed to get source: {}", missing_source(spec.source_ref.kind.as_str(), name));
            Obstacle { is_told: true, ..Obstacle::wait(FETCH_FAILED, reasons::SOURCE_UNAVAILABLE, message) }
        };
        let none = || {
            let kind = spec.source_ref.kind.as_str();
            let message = format!("no artifact available for {kind} source '{name}'");
            Obstacle::wait(FETCH_FAILED, reasons::NO_SOURCE_ARTIFACT, message)
        };
        let (artifact, repository) = match &spec.source_ref.kind {
            HelmChartSourceKind::GitRepository => {
                let source = self.git_repositories.find(namespace, name).ok_or_else(&missing)?;
                (source.status.as_ref().and_then(|status| status.artifact.clone()), None)
            }
            HelmChartSourceKind::HelmRepository => {
                let source = self.helm_repositories.find(namespace, name).ok_or_else(missing)?;
                if is_oci(&source.spec) {
                    return Ok(Source::Oci(source));
                }
                (source.status.as_ref().and_then(|status| status.artifact.clone()), Some(source))
            }
            HelmChartSourceKind::Bucket => return Err(Obstacle::unsupported("spec.sourceRef.kind Bucket")),
            HelmChartSourceKind::Unknown(kind) => {
                let message = format!(
                    "failed to get source: unsupported source kind '{kind}', must be one of: [HelmRepository GitRepository Bucket]"
                );
                return Err(Obstacle::fetch(reasons::SOURCE_UNAVAILABLE, message).stalled());
            }
        };
        let artifact = artifact.ok_or_else(none)?;
        match self.sources.store.holds(&artifact).await {
            Ok(Presence::Present) => {}
            // The source makes it anew, perhaps to the very same status, of which no watch tells.
            Ok(Presence::Missing | Presence::Corrupt) | Err(_) => {
                let again = Obstacle::retry(FETCH_FAILED, reasons::NO_SOURCE_ARTIFACT, none().message);
                return Err(Obstacle { is_told: false, ..again });
            }
        }
        Ok(match repository {
            Some(repository) => Source::Helm(repository, artifact),
            None => Source::Git(artifact),
        })
    }

    async fn keep(&self, run: &mut Run<HelmChart>, build: Build) -> Result<Done, Obstacle> {
        let reason = if build.is_packaged { reasons::CHART_PACKAGE_SUCCEEDED } else { reasons::CHART_PULL_SUCCEEDED };
        let ignores_missing = run.object.spec.ignore_missing_values_files;
        let mut build = build;
        match build.bytes.take() {
            None => {
                if !run.status.observed_values_files.is_empty() {
                    build.values_files.clone_from(&run.status.observed_values_files);
                }
            }
            Some(bytes) => {
                let file = format!("{}-{}.tgz", build.name, build.version);
                let path = ArtifactStore::path(KIND, run.namespace(), run.name(), &file);
                let failed = |error: crate::source::store::StoreError| {
                    let message = format!("unable to copy Helm chart to storage: {}", chain(&error));
                    Obstacle::storage(reasons::ARCHIVE_OPERATION_FAILED, message)
                };
                let store = &self.sources.store;
                let artifact = store.put(&path, &build.version, bytes, Timestamp::now()).await.map_err(failed)?;
                run.status.url = Some(store.link(&artifact, LINK).await.map_err(failed)?);
                run.status.artifact = Some(artifact);
                run.status.observed_chart_name = Some(build.name.clone());
                run.status.observed_values_files =
                    if ignores_missing { build.values_files.clone() } else { Vec::new() };
            }
        }
        let summary = build.summary();
        report(run, |report| report.in_storage(reason, summary.clone()));
        Ok(Done { reason, message: summary })
    }
}

/// Says how a chart is built: its version tells of the source's revision (strategy Revision) and of the generation, when
/// values files change it.
fn options(spec: &HelmChartSpec, generation: i64, status: &HelmChartStatus, source: &Source) -> Options {
    let mut metadata = Vec::new();
    if let (Source::Git(artifact), ReconcileStrategy::Revision) = (source, &spec.reconcile_strategy) {
        let hash = artifact.revision.rsplit(':').next().unwrap_or_default();
        metadata.push(hash.chars().take(SHORT_REVISION).collect::<String>());
    }
    if chart::merges_values(&spec.values_files) {
        metadata.push(generation.to_string());
    }
    let is_observed = status.observed_generation == generation;
    let stored = match (&status.artifact, &status.observed_chart_name) {
        (Some(artifact), Some(name)) if is_observed => Some((name.clone(), artifact.revision.clone())),
        _ => None,
    };
    Options {
        values_files: spec.values_files.clone(),
        ignore_missing: spec.ignore_missing_values_files,
        version_metadata: (!metadata.is_empty()).then(|| metadata.join(".")),
        stored,
    }
}

fn obstacle(error: BuildError) -> Obstacle {
    let message = chain(&error);
    match error {
        BuildError::Reference(_) => Obstacle::fetch("InvalidChartReference", message).stalled(),
        BuildError::Download(DownloadError::Http(HttpError::Status { status, .. })) if status.as_u16() == 401 => {
            let message = format!("failed to authenticate with the Helm repository: {message}");
            Obstacle::fetch(reasons::AUTHENTICATION_FAILED, message)
        }
        BuildError::Tags { source: error, .. } | BuildError::PullOci { source: ChartError::Registry(error), .. }
            if error.status().is_some_and(|status| status.as_u16() == 401) =>
        {
            let message = format!("failed to authenticate with the Helm repository: {message}");
            Obstacle::fetch(reasons::AUTHENTICATION_FAILED, message)
        }
        BuildError::Download(_) | BuildError::Pull(_) | BuildError::Tags { .. } | BuildError::PullOci { .. } => {
            Obstacle::fetch("ChartPullError", message)
        }
        BuildError::Metadata(_) => Obstacle::retry(BUILD_FAILED, "MetadataPatchError", message).stalled(),
        BuildError::Values(_) => Obstacle::retry(BUILD_FAILED, reasons::VALUES_FILES_ERROR, message).stalled(),
        BuildError::Dependency(_) => Obstacle::retry(BUILD_FAILED, "DependencyBuildError", message),
        BuildError::Package(_) => Obstacle::retry(BUILD_FAILED, reasons::CHART_PACKAGE_ERROR, message),
    }
}

/// Has the charts of a source reconciled whenever the source's artifact changes or the source appears.
pub fn follow_sources(
    git_repositories: &Watched<GitRepository>,
    helm_repositories: &Watched<HelmRepository>,
    charts: &Arc<Watched<HelmChart>>,
) {
    let followers = charts.clone();
    git_repositories.listen(move |change| {
        let artifact = |object: &GitRepository| object.status.as_ref().and_then(|status| status.artifact.clone());
        if let Some(source) = moved(change, artifact) {
            trigger(&followers, &HelmChartSourceKind::GitRepository, source);
        }
    });
    let followers = charts.clone();
    helm_repositories.listen(move |change| {
        let artifact = |object: &HelmRepository| object.status.as_ref().and_then(|status| status.artifact.clone());
        if let Some(source) = moved(change, artifact).or_else(|| changed_registry(change)) {
            trigger(&followers, &HelmChartSourceKind::HelmRepository, source);
        }
    });
}

/// Returns the object when it is new or has another artifact than before.
fn moved<K>(change: &Change<K>, artifact: impl Fn(&K) -> Option<Artifact>) -> Option<&K> {
    let after = change.after.as_deref()?;
    match change.before.as_deref() {
        Some(before) if artifact(before) == artifact(after) => None,
        _ => Some(after),
    }
}

/// Returns a registry whose spec has changed: it has no artifact that would tell of it.
fn changed_registry(change: &Change<HelmRepository>) -> Option<&HelmRepository> {
    let (before, after) = (change.before.as_deref()?, change.after.as_deref()?);
    (is_oci(&after.spec) && before.metadata.generation != after.metadata.generation).then_some(after)
}

fn trigger<K: Resource>(charts: &Watched<HelmChart>, kind: &HelmChartSourceKind, source: &K) {
    for chart in charts.all() {
        let reference = &chart.spec.source_ref;
        let is_same = &reference.kind == kind
            && Some(&reference.name) == source.meta().name.as_ref()
            && chart.metadata.namespace == source.meta().namespace;
        if is_same {
            charts.trigger(ObjectRef::from_obj(chart.as_ref()));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn spec(extra: serde_json::Value) -> HelmChartSpec {
        let mut spec =
            json!({ "chart": "app", "interval": "1m", "sourceRef": { "kind": "GitRepository", "name": "s" } });
        json_patch::merge(&mut spec, &extra);
        serde_json::from_value(spec).unwrap()
    }

    fn git(revision: &str) -> Source {
        Source::Git(Artifact { revision: revision.into(), ..Artifact::default() })
    }

    #[test]
    fn the_version_tells_of_revision_and_generation() {
        let revision = git("main@sha1:0123456789abcdef0123456789abcdef01234567");
        let metadata = |extra| options(&spec(extra), 3, &HelmChartStatus::default(), &revision).version_metadata;
        assert_eq!(metadata(json!({})), None);
        assert_eq!(metadata(json!({ "reconcileStrategy": "Revision" })).as_deref(), Some("0123456789ab"));
        let both = json!({ "reconcileStrategy": "Revision", "valuesFiles": ["a"] });
        assert_eq!(metadata(both).as_deref(), Some("0123456789ab.3"));
        assert_eq!(metadata(json!({ "valuesFiles": ["a"] })).as_deref(), Some("3"));
        assert_eq!(metadata(json!({ "valuesFiles": ["./values.yaml"] })), None);
    }

    #[test]
    fn a_stored_chart_counts_for_the_generation_that_it_was_built_for() {
        let status = HelmChartStatus {
            artifact: Some(Artifact { revision: "1.0.0".into(), ..Artifact::default() }),
            observed_chart_name: Some("app".into()),
            observed_generation: 3,
            ..HelmChartStatus::default()
        };
        let stored = |generation| options(&spec(json!({})), generation, &status, &git("x")).stored;
        assert_eq!(stored(3), Some(("app".into(), "1.0.0".into())));
        assert_eq!(stored(4), None);
    }

    #[test]
    fn build_errors_are_conditions_as_in_flux() {
        use super::super::obstacle::Class;
        let table = [
            (BuildError::Reference("x".into()), FETCH_FAILED, "InvalidChartReference", Class::Stalled),
            (BuildError::Pull("x".into()), FETCH_FAILED, "ChartPullError", Class::Retry),
            (BuildError::Metadata("x".into()), BUILD_FAILED, "MetadataPatchError", Class::Stalled),
            (BuildError::Values("x".into()), BUILD_FAILED, "ValuesFilesError", Class::Stalled),
            (BuildError::Dependency("x".into()), BUILD_FAILED, "DependencyBuildError", Class::Retry),
            (BuildError::Package("x".into()), BUILD_FAILED, "ChartPackageError", Class::Retry),
        ];
        for (error, condition, reason, class) in table {
            let obstacle = obstacle(error);
            assert_eq!((obstacle.condition, obstacle.reason, obstacle.class), (Some(condition), reason, class));
        }
    }
}
