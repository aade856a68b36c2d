//! As whom the objects of a Kustomization are applied and deleted.

use std::sync::Arc;

use super::Environments;
use crate::{
    api::Kustomization,
    cluster::{
        accounts::Unusable,
        connection::{Connection, InvalidServiceAccount, ServiceAccount},
        watch::Owner,
    },
};

/// Why nothing is applied. Nobody else steps in.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Account(Unusable),
    #[error(transparent)]
    Invalid(InvalidServiceAccount),
}

impl Error {
    /// Tells whether the account is not there, so that nothing can be deleted as it.
    pub fn is_gone(&self) -> bool {
        matches!(self, Self::Account(Unusable::NotFound(_)))
    }
}

/// Returns the `ServiceAccount` that the objects of a Kustomization are applied as; none where it is the daemon itself.
pub fn service_account(object: &Kustomization, default: Option<&str>) -> Option<ServiceAccount> {
    let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
    ServiceAccount::of(namespace, object.spec.service_account_name.as_deref(), default)
}

impl Environments {
    /// Returns the connection that everything of a Kustomization is done through.
    pub(super) async fn connect(&self, object: &Kustomization, owner: &Owner) -> Result<Arc<Connection>, Error> {
        let own = self.connections.own();
        let connection = match service_account(object, self.default_service_account.as_deref()) {
            None => own.clone(),
            Some(account) => {
                let last_work = object.metadata.deletion_timestamp.as_ref().map(|_| "prune objects");
                self.accounts.confirm(&account, last_work).await.map_err(Error::Account)?;
                self.connections.impersonating(own, &account).map_err(Error::Invalid)?
            }
        };
        self.memory.with(owner, |known| known.connection = Some(connection.clone()));
        Ok(connection)
    }
}
