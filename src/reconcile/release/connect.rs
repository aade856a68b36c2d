//! Where, and as whom, a release is applied.

use std::sync::Arc;

use super::{Releases, obstacle::Obstacle};
use crate::{
    api::{HelmRelease, reasons},
    cluster::connection::{Connection, ServiceAccount},
};

/// Returns the ServiceAccount that everything of a release is done as; none where it is the daemon itself.
pub fn service_account(object: &HelmRelease, default: Option<&str>) -> Option<ServiceAccount> {
    let given = object.spec.service_account_name.as_deref().filter(|name| !name.is_empty());
    let name = given.or(default)?.to_owned();
    Some(ServiceAccount { namespace: object.metadata.namespace.clone().unwrap_or_default(), name })
}

impl Releases {
    /// Returns the connection that everything of a release is done through.
    pub(super) fn connect(&self, object: &HelmRelease) -> Result<Arc<Connection>, Obstacle> {
        match service_account(object, self.default_service_account.as_deref()) {
            None => Ok(self.connections.own().clone()),
            Some(account) => {
                let connection = self.connections.impersonating(&account);
                connection.map_err(|error| Obstacle::terminal(reasons::REST_CLIENT_ERROR, error.to_string()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::HelmReleaseSpec;

    fn object(account: Option<&str>) -> HelmRelease {
        let spec = HelmReleaseSpec { service_account_name: account.map(str::to_owned), ..HelmReleaseSpec::default() };
        let mut object = HelmRelease::new("ui", spec);
        object.metadata.namespace = Some("apps".to_owned());
        object
    }

    #[test]
    fn the_specs_account_wins_over_the_flags_and_both_are_of_the_objects_namespace() {
        let rows = [
            (Some("deployer"), None, Some("apps/deployer")),
            (Some("deployer"), Some("default"), Some("apps/deployer")),
            (None, Some("default"), Some("apps/default")),
            (Some(""), Some("default"), Some("apps/default")),
            (Some(""), None, None),
            (None, None, None),
        ];
        for (given, default, expected) in rows {
            let found = service_account(&object(given), default).map(|account| account.to_string());
            assert_eq!(found.as_deref(), expected, "{given:?} {default:?}");
        }
    }
}
