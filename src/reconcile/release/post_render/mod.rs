//! What Flux puts between the rendered chart and its release: kustomize's changes from the spec in their order, labels and
//! annotations for all objects, and last the labels that say which HelmRelease an object is of.

mod digest;
mod images;
mod json_patch;
mod merge;
mod patch;
mod references;
mod resources;
mod schema;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, error::Error as StdError};

use helm::post_render::{PostRenderer, Strategy};
use serde_json::Value;

pub use self::digest::{common_metadata_digest, post_renderers_digest};
use self::resources::Resource;
use crate::{
    api::{
        HelmRelease,
        helm_release::{Kustomize, PostRenderStrategy},
        meta::{CommonMetadata, HELM_RELEASE_NAME, HELM_RELEASE_NAMESPACE},
    },
    cluster::object,
};

/// Why documents were not post-rendered. The texts are kustomize's.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0}")]
    Resources(#[source] resources::Error),
    #[error(
        "accumulating resources: accumulation err='accumulating resources from 'helm-output.yaml': {0}': \
         must build at directory: '/helm-output.yaml': file is not directory"
    )]
    Accumulating(#[source] resources::Error),
    #[error("{0}")]
    Patch(#[source] patch::Error),
    #[error("{0}")]
    Image(#[source] images::Error),
}

/// All post-renderers of a HelmRelease.
#[derive(Clone, Debug)]
pub struct Chain {
    kustomize: Vec<Kustomize>,
    common: Option<CommonMetadata>,
    origin: BTreeMap<String, String>,
}

impl Chain {
    /// Returns the post-renderers of a HelmRelease.
    pub fn of(object: &HelmRelease) -> Self {
        let metadata = &object.metadata;
        let origin = [
            (HELM_RELEASE_NAME.to_owned(), metadata.name.clone().unwrap_or_default()),
            (HELM_RELEASE_NAMESPACE.to_owned(), metadata.namespace.clone().unwrap_or_default()),
        ];
        Self {
            kustomize: object.spec.post_renderers.iter().filter_map(|given| given.kustomize.clone()).collect(),
            common: object.spec.common_metadata.clone(),
            origin: origin.into(),
        }
    }

    fn rendered(&self, documents: Vec<Value>) -> Result<Vec<Value>, Error> {
        let mut documents = documents;
        for kustomize in &self.kustomize {
            documents = kustomized(documents, kustomize)?;
        }
        let none = BTreeMap::new();
        let common = self.common.as_ref().map(|common| (&common.labels, &common.annotations));
        for (labels, annotations) in common.into_iter().chain([(&self.origin, &none)]) {
            let mut resources = resources::resources(documents).map_err(Error::Resources)?;
            for Resource { tree, .. } in &mut resources {
                for (field, entries) in [("labels", labels), ("annotations", annotations)] {
                    for (key, value) in entries {
                        object::set_metadata_entry(tree, field, key, value);
                    }
                }
            }
            documents = resources.into_iter().map(|resource| resource.tree).collect();
        }
        Ok(documents)
    }
}

impl PostRenderer for Chain {
    fn run(&self, documents: Vec<Value>) -> Result<Vec<Value>, Box<dyn StdError + Send + Sync>> {
        Ok(self.rendered(documents)?)
    }
}

/// Makes the changes of one kustomization.
fn kustomized(documents: Vec<Value>, kustomize: &Kustomize) -> Result<Vec<Value>, Error> {
    let mut resources = resources::resources(documents).map_err(Error::Accumulating)?;
    for patch in &kustomize.patches {
        patch::apply(&mut resources, patch).map_err(Error::Patch)?;
    }
    for image in &kustomize.images {
        let change = images::Change::of(image).map_err(Error::Image)?;
        resources.iter_mut().try_for_each(|resource| change.apply(&mut resource.tree)).map_err(Error::Image)?;
    }
    resources::finished(resources).map_err(Error::Resources)
}

/// Returns which documents the post-renderers see.
pub fn strategy(object: &HelmRelease) -> Strategy {
    match object.spec.post_render_strategy {
        Some(PostRenderStrategy::NoHooks) => Strategy::NoHooks,
        Some(PostRenderStrategy::Separate) => Strategy::Separate,
        Some(PostRenderStrategy::Combined | PostRenderStrategy::Unknown(_)) | None => Strategy::Combined,
    }
}
