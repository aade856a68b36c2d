//! Validation before the first write: what the cluster's schemas refuse leaves no release behind.

use super::{
    Error, Work,
    objects::{Owner, Resource},
    write::{Before, Writing},
};
use crate::cluster::{apply::ApplyMethod, object};

impl Work<'_> {
    /// Checks the objects of a revision against the schemas that the cluster serves.
    ///
    /// An object that looks wrong is shown to the API server in a dry-run, which has the last word and the words for the
    /// error; one that does not is sent when its turn comes, and costs nothing here.
    pub(super) async fn validate(
        &self,
        resources: &[Resource],
        owner: &Owner,
        method: ApplyMethod,
    ) -> Result<(), Error> {
        let (client, schemas) = (&self.connection.client, self.connection.discovery.schemas());
        let writing = Writing { owner: Some(owner), ..self.writing(method, Before::Nothing) };
        let mut refused = Vec::new();
        for resource in resources {
            let Some(suspicion) = schemas.suspicion(client, &resource.tree).await else { continue };
            if let Some(refusal) = writing.probe(resource).await {
                refused.push(refusal);
            } else {
                tracing::debug!(object = %resource.target.id, suspicion, "the API server takes it all the same");
                schemas.forget(object::api_version(&resource.tree).unwrap_or_default());
            }
        }
        writing.not_applied(refused).map_err(Error::Invalid)
    }
}
