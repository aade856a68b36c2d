//! What is kept for HelmCharts that are gone.
//!
//! Thousands of HelmCharts come and go with their releases, so that they are not held by a finalizer, which would cost two
//! requests each: their files are removed when the watch tells that they are gone, and when the first list does not name
//! them. A finalizer that Flux has set is taken away as Flux does it.

use std::sync::Arc;

use kube::ResourceExt;
use tokio::sync::mpsc;

use super::helm_chart::KIND;
use crate::{api::HelmChart, reconcile::watched::Watched, source::store::ArtifactStore, telemetry::chain};

/// Removes the files of HelmCharts that are gone, until the watch ends. The watch must not have begun.
pub fn follow(charts: &Arc<Watched<HelmChart>>, store: ArtifactStore) -> impl Future<Output = ()> + Send + use<> {
    let (gone, mut those_gone) = mpsc::unbounded_channel();
    charts.listen(move |change| {
        if let (Some(before), None) = (&change.before, &change.after) {
            // The receiver ends with the program.
            let _ = gone.send((before.namespace().unwrap_or_default(), before.name_any()));
        }
    });
    let charts = charts.clone();
    async move {
        charts.ready().await;
        for place in store.sources(KIND).await {
            remove(&charts, &store, &place).await;
        }
        while let Some(place) = those_gone.recv().await {
            remove(&charts, &store, &place).await;
        }
    }
}

async fn remove(charts: &Watched<HelmChart>, store: &ArtifactStore, (namespace, name): &(String, String)) {
    // It may be there again.
    if charts.find(namespace, name).is_some() {
        return;
    }
    if let Err(error) = store.remove_all(KIND, namespace, name).await {
        tracing::error!(namespace, name, error = chain(&error), "artifacts not removed");
    }
}
