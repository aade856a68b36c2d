//! Charts by the digest of their artifact: read, parsed and compiled once for all releases that use them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use helm::chart::Chart;
use tokio::sync::OnceCell;

use crate::{
    api::{Artifact, HelmChart},
    reconcile::watched::{Watched, lock},
    source::store::{ArtifactStore, StoreError},
};

/// A chart could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("artifact {path} cannot be read")]
    Artifact {
        path: String,
        #[source]
        source: StoreError,
    },
    #[error("artifact {path} is no chart")]
    Load {
        path: String,
        #[source]
        source: helm::chart::load::Error,
    },
    #[error("artifact {path} was not read: the work ended early")]
    Ended { path: String },
}

impl Error {
    /// Tells whether the artifact's file is not in the store, as after a restart with an empty disk.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Artifact { source, .. } if source.is_missing())
    }
}

/// The charts of the releases, kept while a HelmChart has their artifact.
pub struct Charts {
    store: ArtifactStore,
    objects: Arc<Watched<HelmChart>>,
    by_digest: Mutex<HashMap<String, Arc<OnceCell<Arc<Chart>>>>>,
}

impl Charts {
    pub fn new(store: ArtifactStore, objects: Arc<Watched<HelmChart>>) -> Self {
        Self { store, objects, by_digest: Mutex::default() }
    }

    /// Returns the chart of an artifact.
    pub async fn load(&self, artifact: &Artifact) -> Result<Arc<Chart>, Error> {
        let cell = self.cell(&artifact.digest);
        cell.get_or_try_init(|| self.read(artifact)).await.cloned()
    }

    fn cell(&self, digest: &str) -> Arc<OnceCell<Arc<Chart>>> {
        if let Some(cell) = lock(&self.by_digest).get(digest) {
            return cell.clone();
        }
        // A new chart is the moment to let go of those that no object has any more.
        let objects = self.objects.all();
        let in_use: std::collections::HashSet<&str> = objects
            .iter()
            .filter_map(|chart| Some(chart.status.as_ref()?.artifact.as_ref()?.digest.as_str()))
            .collect();
        let mut by_digest = lock(&self.by_digest);
        by_digest.retain(|digest, _| in_use.contains(digest.as_str()));
        by_digest.entry(digest.to_owned()).or_default().clone()
    }

    async fn read(&self, artifact: &Artifact) -> Result<Arc<Chart>, Error> {
        let path = || artifact.path.clone();
        let bytes = self.store.bytes(artifact).await.map_err(|source| Error::Artifact { path: path(), source })?;
        let loaded = tokio::task::spawn_blocking(move || Chart::from_archive(&bytes)).await;
        match loaded {
            Ok(Ok(chart)) => Ok(Arc::new(chart)),
            Ok(Err(source)) => Err(Error::Load { path: path(), source }),
            Err(_) => Err(Error::Ended { path: path() }),
        }
    }
}
