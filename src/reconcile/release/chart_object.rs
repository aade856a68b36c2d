//! The HelmChart object that stands for `spec.chart`: made, kept equal to the spec, and deleted with it.

use kube::{
    Api, Client,
    api::{DeleteParams, Patch, PatchParams},
    core::ObjectMeta,
};

use super::{obstacle::Obstacle, target::helm_chart_name};
use crate::{
    api::{
        HelmChart, HelmChartSpec, HelmRelease,
        helm_chart::{ChartVerification, HelmChartSourceReference, any_version},
        meta::{HELM_FIELD_MANAGER, HELM_RELEASE_NAME, HELM_RELEASE_NAMESPACE},
        reasons,
    },
    reconcile::watched::Watched,
};

/// The HelmChart could not be written or deleted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("failed to run server-side apply: HelmChart/{namespace}/{name} dry-run failed{}", reason_of(.source))]
    Apply {
        namespace: String,
        name: String,
        #[source]
        source: kube::Error,
    },
    #[error("failed to delete HelmChart '{chart}'")]
    Delete {
        chart: String,
        #[source]
        source: kube::Error,
    },
}

/// Writes the reason of a refusal as Flux's apply does.
fn reason_of(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if !status.reason.is_empty() => format!(" ({})", status.reason),
        _ => String::new(),
    }
}

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    Created,
    Configured,
    Unchanged,
}

impl Written {
    /// The reason of the event that tells of it.
    pub fn reason(self) -> Option<&'static str> {
        match self {
            Self::Created => Some(reasons::HELM_CHART_CREATED),
            Self::Configured => Some(reasons::HELM_CHART_CONFIGURED),
            Self::Unchanged => None,
        }
    }
}

/// Returns namespace and name of the HelmChart that a HelmRelease with `spec.chart` has.
pub fn reference(object: &HelmRelease) -> Option<(String, String)> {
    let chart = object.spec.chart.as_ref()?;
    let own = object.metadata.namespace.clone().unwrap_or_default();
    let namespace = chart.spec.source_ref.namespace.clone().unwrap_or(own);
    Some((namespace, helm_chart_name(object)))
}

/// Makes the HelmChart that `spec.chart` describes; none where the chart comes from a `chartRef`.
pub fn desired(object: &HelmRelease) -> Option<HelmChart> {
    let template = object.spec.chart.as_ref()?;
    let (namespace, name) = reference(object)?;
    let metadata = template.metadata.clone().unwrap_or_default();
    let mut labels = metadata.labels;
    labels.insert(HELM_RELEASE_NAME.to_owned(), object.metadata.name.clone().unwrap_or_default());
    labels.insert(HELM_RELEASE_NAMESPACE.to_owned(), object.metadata.namespace.clone().unwrap_or_default());
    let spec = &template.spec;
    let chart_spec = HelmChartSpec {
        chart: spec.chart.clone(),
        version: if spec.version.is_empty() { any_version() } else { spec.version.clone() },
        source_ref: HelmChartSourceReference {
            api_version: None,
            kind: spec.source_ref.kind.clone(),
            name: spec.source_ref.name.clone(),
        },
        interval: spec.interval.clone().unwrap_or_else(|| object.spec.interval.clone()),
        reconcile_strategy: spec.reconcile_strategy.clone(),
        values_files: spec.values_files.clone(),
        ignore_missing_values_files: spec.ignore_missing_values_files,
        suspend: false,
        verify: spec.verify.as_ref().map(|verify| ChartVerification {
            provider: verify.provider.clone(),
            secret_ref: verify.secret_ref.clone(),
            ..ChartVerification::default()
        }),
    };
    Some(HelmChart {
        metadata: ObjectMeta {
            name: Some(name),
            namespace: Some(namespace),
            labels: Some(labels),
            annotations: Some(metadata.annotations).filter(|annotations| !annotations.is_empty()),
            ..ObjectMeta::default()
        },
        spec: chart_spec,
        status: None,
    })
}

/// Refuses a HelmChart outside of the object's namespace.
pub fn check_namespace(object: &HelmRelease, chart: &HelmChart) -> Result<(), Obstacle> {
    if chart.metadata.namespace == object.metadata.namespace {
        return Ok(());
    }
    let namespace = chart.metadata.namespace.as_deref().unwrap_or_default();
    let name = chart.metadata.name.as_deref().unwrap_or_default();
    Err(cross_namespace("HelmChart", namespace, name))
}

/// Refuses the source of a chart in another namespace than the object's, in Flux's words.
pub fn cross_namespace(kind: &str, namespace: &str, name: &str) -> Obstacle {
    let message = format!("cross-namespace references are not allowed: cannot access {kind} {namespace}/{name}");
    Obstacle::terminal(reasons::ACCESS_DENIED, message)
}

/// Says what is to be written, given what is there.
pub fn plan(existing: Option<&HelmChart>, chart: &HelmChart) -> Written {
    match existing {
        None => Written::Created,
        Some(existing) if is_as(existing, chart) => Written::Unchanged,
        Some(_) => Written::Configured,
    }
}

/// Tells whether the watched HelmChart needs no write.
pub fn is_written(charts: &Watched<HelmChart>, chart: &HelmChart) -> bool {
    let (namespace, name) = (&chart.metadata.namespace, &chart.metadata.name);
    let existing = charts.find(namespace.as_deref().unwrap_or_default(), name.as_deref().unwrap_or_default());
    plan(existing.as_deref(), chart) == Written::Unchanged
}

/// Writes the HelmChart where the watched one differs from it.
pub async fn write(client: &Client, charts: &Watched<HelmChart>, chart: &HelmChart) -> Result<Written, Error> {
    let namespace = chart.metadata.namespace.clone().unwrap_or_default();
    let name = chart.metadata.name.clone().unwrap_or_default();
    let planned = plan(charts.find(&namespace, &name).as_deref(), chart);
    if planned == Written::Unchanged {
        return Ok(planned);
    }
    let api: Api<HelmChart> = Api::namespaced(client.clone(), &namespace);
    let params = PatchParams::apply(HELM_FIELD_MANAGER).force();
    let written = api.patch(&name, &params, &Patch::Apply(chart)).await;
    charts.wrote(written.map_err(|source| Error::Apply { namespace, name, source })?);
    Ok(planned)
}

/// Deletes a HelmChart, named `namespace/name` as in `status.helmChart`; one that is gone is no error.
pub async fn delete(client: &Client, chart: &str) -> Result<(), Error> {
    let (namespace, name) = chart.split_once('/').unwrap_or_default();
    let api: Api<HelmChart> = Api::namespaced(client.clone(), namespace);
    match api.delete(name, &DeleteParams::default()).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
        Err(source) => Err(Error::Delete { chart: chart.to_owned(), source }),
    }
}

/// Tells whether an object has the spec, and at least the labels and annotations, of another.
fn is_as(existing: &HelmChart, wanted: &HelmChart) -> bool {
    let has = |existing: &Option<std::collections::BTreeMap<String, String>>,
               wanted: &Option<std::collections::BTreeMap<String, String>>| {
        wanted.iter().flatten().all(|(k, v)| existing.as_ref().is_some_and(|e| e.get(k) == Some(v)))
    };
    existing.metadata.deletion_timestamp.is_none()
        && existing.spec == wanted.spec
        && has(&existing.metadata.labels, &wanted.metadata.labels)
        && has(&existing.metadata.annotations, &wanted.metadata.annotations)
}
