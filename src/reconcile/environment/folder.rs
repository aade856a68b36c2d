//! What a source's artifact holds for a Kustomization: the manifests of its folder.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use sha2::{Digest, Sha256};

use super::{
    Environments,
    conclude::Ending,
    manifests::{self, Folder, FolderError},
    observe::Blocked,
    prepare,
};
use crate::{
    api::{Artifact, Kustomization, reasons},
    cluster::object::ObjectId,
    source::archive::{clean_path, hex},
    telemetry::chain,
};

/// A folder as it was read.
pub(super) struct Read {
    pub folder: Folder,
    /// `sha256:<hex>` of all its objects.
    pub digest: String,
    /// A hash of each object, to tell whether that of another revision is the same.
    pub hashes: Arc<HashMap<ObjectId, u64>>,
}

/// Why a folder was not read.
pub(super) enum FolderFailure {
    /// The artifact is not in the store.
    Missing,
    Blocked(Blocked),
    Failed(Ending),
}

impl Environments {
    /// Reads the folder of a Kustomization.
    pub(super) async fn folder(&self, object: &Arc<Kustomization>, artifact: &Artifact) -> Result<Read, FolderFailure> {
        let artifact_failed = |message: String, may_pass| {
            FolderFailure::Failed(Ending { reason: reasons::ARTIFACT_FAILED, message, may_pass })
        };
        let path = object.spec.path.clone().unwrap_or_default();
        let relative = path.trim_start_matches('/');
        let Some(clean) = clean_path(relative) else {
            return Err(artifact_failed(format!("kustomization path not found: {path} leaves the source"), false));
        };
        let files = self.store.files(artifact).await.map_err(|error| {
            if error.is_missing() { FolderFailure::Missing } else { artifact_failed(chain(&error), true) }
        })?;
        if !files.has_folder(&clean) {
            let message = format!("kustomization path not found: {path} is no folder of {}", artifact.revision);
            return Err(artifact_failed(message, false));
        }
        let owner = object.clone();
        let read = tokio::task::spawn_blocking(move || {
            let folder = manifests::read(files.below(&clean).map(|file| (file.path, file.bytes)), documents)?;
            let folder = prepare::prepare(folder, &owner);
            Ok::<_, FolderError>(digested(folder))
        });
        match read.await {
            Ok(Ok(read)) => Ok(read),
            Ok(Err(FolderError::Kustomization(file))) => {
                Err(FolderFailure::Blocked(Blocked::unsupported(&format!("the kustomization file {file}"))))
            }
            Err(panic) => Err(FolderFailure::Failed(Ending {
                reason: reasons::BUILD_FAILED,
                message: format!("the manifests could not be read: {panic}"),
                may_pass: false,
            })),
        }
    }
}

/// Reads the documents of a file in the dialect that kustomize reads.
fn documents(bytes: &[u8]) -> Vec<manifests::Document> {
    helm::yaml::manifests(bytes)
        .into_iter()
        .map(|helm::yaml::Manifest { number, line, value }| {
            let tree = value.map_err(|error| error.to_string());
            manifests::Document { number, line, tree }
        })
        .collect()
}

/// Digests a folder's objects, all together and each.
fn digested(folder: Folder) -> Read {
    let mut all = Sha256::new();
    let mut hashes = HashMap::with_capacity(folder.manifests.len());
    for manifest in &folder.manifests {
        let text = manifest.object.to_string();
        all.update(&text);
        all.update(b"\n");
        let mut one = DefaultHasher::new();
        text.hash(&mut one);
        hashes.insert(manifest.id.clone(), one.finish());
    }
    Read { digest: format!("sha256:{}", hex(&all.finalize())), hashes: Arc::new(hashes), folder }
}
