//! The custom resource definitions in a chart's `crds/` folders: applied before anything is rendered, never deleted.

use std::{sync::Arc, time::Duration};

use helm::{chart::Chart, render::Crd};
use serde_json::{Map, Value};

use super::{
    Work, objects,
    write::{Before, NotApplied, Outcome},
};
use crate::{
    api::{
        helm_release::CrdsPolicy,
        meta::{HELM_RELEASE_NAME, HELM_RELEASE_NAMESPACE},
    },
    cluster::{
        apply::{ApplyError, ApplyMethod},
        object,
        status::JobRule,
        wait::{Ready, WaitError},
    },
};

/// How long definitions may take to be served.
const TIMEOUT: Duration = Duration::from_mins(1);

/// Why a chart's definitions are not there.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("failed to process chart dependencies")]
    Dependencies(#[source] helm::chart::values::TypeMismatch),
    #[error("failed to parse CustomResourceDefinitions from {path}")]
    Parse {
        path: String,
        #[source]
        source: helm::yaml::Error,
    },
    #[error("failed to parse CustomResourceDefinitions")]
    Resolve(#[source] ApplyError),
    #[error("failed to create CustomResourceDefinition")]
    Apply(#[source] NotApplied),
    #[error("failed to wait for CustomResourceDefinition(s)")]
    Wait(#[source] WaitError),
}

impl Work<'_> {
    /// Applies a chart's definitions as the policy says; returns them for the inventory.
    ///
    /// With server-side apply `Create` and `CreateReplace` are the same forced apply, as under Flux; client-side, `Create`
    /// leaves those alone that are there.
    pub(super) async fn apply_crds(
        &self,
        chart: &Arc<Chart>,
        values: &Map<String, Value>,
        policy: Option<&CrdsPolicy>,
        method: ApplyMethod,
    ) -> Result<Vec<Value>, Error> {
        let files = helm::render::crds(chart, values).map_err(Error::Dependencies)?;
        if files.is_empty() || policy == Some(&CrdsPolicy::Skip) {
            return Ok(Vec::new());
        }
        let mut definitions = Vec::new();
        for file in &files {
            definitions.extend(self.read_crds(file)?);
        }
        let resources = objects::resolve(&self.connection.discovery, definitions.clone(), "").await;
        let resources = resources.map_err(Error::Resolve)?;
        let mut outcome = Outcome::default();
        let mut writing = self.writing(method, Before::Nothing);
        writing.replaces = policy == Some(&CrdsPolicy::CreateReplace);
        let created = writing.all(&resources, &mut outcome).await;
        if let Err(mut error) = created {
            // Client-side, one that is there is left alone.
            error.refused.retain(|refused| !refused.error.is_already_there());
            if !error.refused.is_empty() {
                return Err(Error::Apply(error));
            }
        }
        self.wait(outcome.written, Ready::Objects(JobRule::Started), TIMEOUT).await.map_err(Error::Wait)?;
        self.connection.discovery.invalidate();
        Ok(definitions)
    }

    fn read_crds(&self, file: &Crd) -> Result<Vec<Value>, Error> {
        let name = self.object.metadata.name.as_deref().unwrap_or_default();
        let namespace = self.object.metadata.namespace.as_deref().unwrap_or_default();
        let mut definitions = Vec::new();
        for document in helm::yaml::documents(&file.data) {
            let document = document.map_err(|source| Error::Parse { path: file.path.clone(), source })?;
            let mut tree = document.value;
            if tree.is_null() {
                continue;
            }
            if object::kind(&tree) != Some("CustomResourceDefinition") {
                tracing::warn!(
                    file = file.path,
                    kind = object::kind(&tree),
                    name = object::name(&tree),
                    "not a CustomResourceDefinition: ignored in crds/"
                );
                continue;
            }
            object::set_metadata_entry(&mut tree, "labels", HELM_RELEASE_NAME, name);
            object::set_metadata_entry(&mut tree, "labels", HELM_RELEASE_NAMESPACE, namespace);
            definitions.push(tree);
        }
        Ok(definitions)
    }
}
