//! Charts by the digest of their artifact: read, parsed and compiled once for all releases that use them.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex},
};

use helm::{chart::Chart, semver::Version};
use tokio::sync::OnceCell;

use crate::{
    api::{Artifact, HelmChart, OCIRepository},
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
    /// The artifact's revision is not one of the chart's version.
    #[error("{0}")]
    Version(String),
}

/// Which version a chart has for its release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChartVersion {
    /// That of `Chart.yaml`.
    AsItIs,
    /// That of `Chart.yaml` with the first digits of the revision's digest, so that a tag that moves is seen.
    WithDigest,
}

/// How much of a digest goes into a version.
const SHORT_DIGEST: usize = 12;

impl Error {
    /// Tells whether the artifact's file is not in the store, as after a restart with an empty disk.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Artifact { source, .. } if source.is_missing())
    }
}

/// Which chart: the artifact's digest, and its revision where the version tells of it.
type Key = (String, Option<String>);

/// The charts of the releases, kept while a HelmChart or an OCIRepository has their artifact.
pub struct Charts {
    store: ArtifactStore,
    objects: Arc<Watched<HelmChart>>,
    repositories: Arc<Watched<OCIRepository>>,
    by_key: Mutex<HashMap<Key, Arc<OnceCell<Arc<Chart>>>>>,
}

impl Charts {
    pub fn new(
        store: ArtifactStore,
        objects: Arc<Watched<HelmChart>>,
        repositories: Arc<Watched<OCIRepository>>,
    ) -> Self {
        Self { store, objects, repositories, by_key: Mutex::default() }
    }

    /// Returns the chart of an artifact.
    pub async fn load(&self, artifact: &Artifact, version: ChartVersion) -> Result<Arc<Chart>, Error> {
        let revision = (version == ChartVersion::WithDigest).then(|| artifact.revision.clone());
        let cell = self.cell((artifact.digest.clone(), revision));
        cell.get_or_try_init(|| self.read(artifact, version)).await.cloned()
    }

    fn cell(&self, key: Key) -> Arc<OnceCell<Arc<Chart>>> {
        if let Some(cell) = lock(&self.by_key).get(&key) {
            return cell.clone();
        }
        // A new chart is the moment to let go of those that no object has any more.
        let (objects, repositories) = (self.objects.all(), self.repositories.all());
        let charts = objects.iter().filter_map(|chart| chart.status.as_ref()?.artifact.as_ref());
        let others = repositories.iter().filter_map(|repository| repository.status.as_ref()?.artifact.as_ref());
        let in_use: HashSet<(&str, Option<&str>)> = charts
            .map(|artifact| (artifact.digest.as_str(), None))
            .chain(others.map(|artifact| (artifact.digest.as_str(), Some(artifact.revision.as_str()))))
            .collect();
        let mut by_key = lock(&self.by_key);
        by_key.retain(|(digest, revision), _| in_use.contains(&(digest.as_str(), revision.as_deref())));
        by_key.entry(key).or_default().clone()
    }

    async fn read(&self, artifact: &Artifact, version: ChartVersion) -> Result<Arc<Chart>, Error> {
        let path = || artifact.path.clone();
        let bytes = self.store.bytes(artifact).await.map_err(|source| Error::Artifact { path: path(), source })?;
        let loaded = tokio::task::spawn_blocking(move || Chart::from_archive(&bytes)).await;
        match loaded {
            Ok(Ok(chart)) if version == ChartVersion::WithDigest => {
                let version = version_with_digest(chart.version(), &artifact.revision).map_err(Error::Version)?;
                Ok(Arc::new(chart.with_version(version)))
            }
            Ok(Ok(chart)) => Ok(Arc::new(chart)),
            Ok(Err(source)) => Err(Error::Load { path: path(), source }),
            Err(_) => Err(Error::Ended { path: path() }),
        }
    }
}

/// Makes a chart's version one that tells of the revision `tag@sha256:...` or `sha256:...`; a tag that is a version must be
/// the chart's. The errors are Flux's.
pub fn version_with_digest(chart: &str, revision: &str) -> Result<String, String> {
    let version = Version::parse(chart).map_err(|_| format!("invalid chart version {chart}"))?;
    let digest = match revision.split_once('@') {
        None => revision,
        Some((tag, digest)) => {
            // Helm pushes a version's plus as an underscore.
            if let Ok(of_tag) = Version::parse(&tag.replace('_', "+"))
                && of_tag != version
            {
                return Err(format!("artifact revision {tag} does not match chart version {chart}"));
            }
            digest
        }
    };
    let invalid = || format!("invalid artifact revision {digest}");
    let hex = digest.split_once(':').map(|(_, hex)| hex).filter(|hex| !hex.contains(':')).ok_or_else(invalid)?;
    let short = hex.get(..SHORT_DIGEST).ok_or_else(invalid)?;
    version.set_metadata(short).map(|version| version.to_string()).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_tells_of_the_digest() {
        const DIGEST: &str = "sha256:adebc5e3cbcd6a0918bd470f3a6c9855bfe95d506c74726bc0f2edb0aecb1f4e";
        let table = [
            ("0.1.0", format!("0.1.0@{DIGEST}"), "0.1.0+adebc5e3cbcd"),
            ("0.1.0", format!("latest@{DIGEST}"), "0.1.0+adebc5e3cbcd"),
            ("0.1.0", DIGEST.to_owned(), "0.1.0+adebc5e3cbcd"),
            ("1.0.0+build", format!("1.0.0_build@{DIGEST}"), "1.0.0+adebc5e3cbcd"),
            ("1.0.0", format!("v1.0.0@{DIGEST}"), "1.0.0+adebc5e3cbcd"),
            ("v1.0.0", format!("1.0.0@{DIGEST}"), "1.0.0+adebc5e3cbcd"),
        ];
        for (chart, revision, expected) in table {
            assert_eq!(version_with_digest(chart, &revision).as_deref(), Ok(expected), "{chart} {revision}");
        }
        let error = |chart: &str, revision: &str| version_with_digest(chart, revision).unwrap_err();
        let other = error("0.1.0", &format!("0.2.0@{DIGEST}"));
        assert_eq!(other, "artifact revision 0.2.0 does not match chart version 0.1.0");
        assert_eq!(error("x", DIGEST), "invalid chart version x");
        assert_eq!(error("0.1.0", "sha256:short"), "invalid artifact revision sha256:short");
    }
}
