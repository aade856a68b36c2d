//! Where, and as whom, a release is applied.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{Api, runtime::reflector::ObjectRef};

use super::{
    Releases,
    memory::{ConfigKey, Remote, Seen},
    obstacle::Obstacle,
};
use crate::{
    api::{HelmRelease, helm_release::ValuesReferenceKind, reasons},
    cluster::{
        accounts::Unusable,
        connection::{AccountError, Connection, InvalidServiceAccount, ServiceAccount},
        kubeconfig,
        parameters::{self, Parameters},
    },
    telemetry::chain,
};

/// Why there is no connection. Nothing is done as anybody else, or anywhere else, then.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("could not get KubeConfig secret '{namespace}/{name}': secrets \"{name}\" not found")]
    NoSecret { namespace: String, name: String },
    #[error("could not get KubeConfig secret '{namespace}/{name}'")]
    Secret {
        namespace: String,
        name: String,
        #[source]
        source: kube::Error,
    },
    #[error(transparent)]
    KubeConfig(kubeconfig::Error),
    #[error("failed to get configmap {namespace}/{name}: configmaps \"{name}\" not found")]
    NoConfigMap { namespace: String, name: String },
    #[error("failed to get configmap {namespace}/{name}")]
    ConfigMap {
        namespace: String,
        name: String,
        #[source]
        source: kube::Error,
    },
    #[error("ConfigMap '{config_map}' of spec.kubeConfig.configMapRef cannot be used")]
    Parameters {
        config_map: String,
        #[source]
        source: AccountError,
    },
    #[error("failed to get service account '{0}': ServiceAccount \"{name}\" not found", name = .0.name)]
    NoTokenAccount(ServiceAccount),
    #[error(transparent)]
    Account(Unusable),
    #[error(transparent)]
    InvalidServiceAccount(InvalidServiceAccount),
}

impl Error {
    /// Tells whether what the connection needs is not there, so that nothing can be uninstalled through it.
    pub fn is_gone(&self) -> bool {
        matches!(
            self,
            Self::NoSecret { .. }
                | Self::NoConfigMap { .. }
                | Self::Account(Unusable::NotFound(_))
                | Self::NoTokenAccount(_)
        )
    }

    /// Returns what a run ends with.
    pub fn obstacle(&self) -> Obstacle {
        let message = chain(self);
        match self {
            Self::InvalidServiceAccount(_) => Obstacle::terminal(reasons::REST_CLIENT_ERROR, message),
            Self::Parameters { source: AccountError::Parameters(parameters::Problem::Cloud(_)), .. } => {
                Obstacle::terminal(reasons::UNSUPPORTED_FIELD, message)
            }
            _ => Obstacle::retry(reasons::REST_CLIENT_ERROR, message),
        }
    }

    /// Returns what an uninstall that cannot begin ends with.
    pub fn uninstall_obstacle(&self) -> Obstacle {
        let message = match self {
            Self::Account(Unusable::Unconfirmed { .. }) => chain(self),
            _ => format!("failed to build REST client getter to uninstall release: {}", chain(self)),
        };
        Obstacle::retry(reasons::UNINSTALL_FAILED, message)
    }
}

/// Returns the `ServiceAccount` that everything of a release is done as; none where it is the daemon itself.
pub fn service_account(object: &HelmRelease, default: Option<&str>) -> Option<ServiceAccount> {
    let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
    ServiceAccount::of(namespace, object.spec.service_account_name.as_deref(), default)
}

/// Returns the Secret of the object's namespace that holds the kubeconfig, and its key, or the ConfigMap that says how
/// another cluster is reached.
pub fn kubeconfig_source(object: &HelmRelease) -> Option<(ConfigKey, Option<&str>)> {
    let reference = object.spec.kube_config.as_ref()?;
    let namespace = object.metadata.namespace.clone().unwrap_or_default();
    if let Some(secret) = &reference.secret_ref {
        return Some(((ValuesReferenceKind::Secret, namespace, secret.name.clone()), secret.key.as_deref()));
    }
    let config_map = reference.config_map_ref.as_ref()?;
    Some(((ValuesReferenceKind::ConfigMap, namespace, config_map.name.clone()), None))
}

impl Releases {
    /// Returns the connection that everything of a release is done through.
    ///
    /// An account of another cluster is not looked up: its API server decides alone, as under Flux.
    pub(super) async fn connect(&self, object: &HelmRelease) -> Result<Arc<Connection>, Error> {
        let key = ObjectRef::from_obj(object);
        let account = service_account(object, self.default_service_account.as_deref());
        let remote = match kubeconfig_source(object) {
            Some((source, of)) => Some(self.remote(&key, source, of).await?),
            None => None,
        };
        let connection = match (&remote, &account) {
            (None, None) => self.connections.own().clone(),
            (Some(remote), None) => remote.clone(),
            (remote, Some(account)) => {
                if remote.is_none() {
                    let last_work = object.metadata.deletion_timestamp.as_ref().map(|_| "uninstall release");
                    self.accounts.confirm(account, last_work).await.map_err(Error::Account)?;
                }
                let base = remote.as_ref().unwrap_or_else(|| self.connections.own());
                self.connections.impersonating(base, account).map_err(Error::InvalidServiceAccount)?
            }
        };
        self.memory.connected(&key, &connection);
        Ok(connection)
    }

    /// Returns the connection to another cluster; what describes it is read when it has changed.
    async fn remote(
        &self,
        key: &ObjectRef<HelmRelease>,
        source: ConfigKey,
        of: Option<&str>,
    ) -> Result<Arc<Connection>, Error> {
        let from = (source.clone(), of.map(str::to_owned));
        let seen = self.memory.config(&source);
        if let Some(known) = self.memory.remembered(key).remote
            && matches!(seen, Seen::Version(_))
            && known.seen == seen
            && known.from == from
        {
            return Ok(known.connection);
        }
        let (kind, namespace, name) = source;
        let (version, connection) = match kind {
            ValuesReferenceKind::ConfigMap => self.by_parameters(namespace, name).await?,
            _ => self.by_kubeconfig(namespace, name, of).await?,
        };
        let seen = version.map_or(Seen::Unknown, Seen::Version);
        let remote = Remote { from, seen, connection: connection.clone() };
        self.memory.remember(key, |known| known.remote = Some(remote));
        Ok(connection)
    }

    async fn by_kubeconfig(
        &self,
        namespace: String,
        name: String,
        of: Option<&str>,
    ) -> Result<(Option<String>, Arc<Connection>), Error> {
        let found = match Api::<Secret>::namespaced(self.daemon.clone(), &namespace).get_opt(&name).await {
            Ok(Some(found)) => found,
            Ok(None) => return Err(Error::NoSecret { namespace, name }),
            Err(source) => return Err(Error::Secret { namespace, name, source }),
        };
        let data = found.data.into_iter().flatten().map(|(key, value)| (key, value.0)).collect();
        let secret = format!("{namespace}/{name}");
        let text = kubeconfig::pick(&secret, &data, of).map_err(Error::KubeConfig)?;
        let connection = self.connections.remote(text).await;
        let connection = connection.map_err(|source| Error::KubeConfig(kubeconfig::Error::Load { secret, source }))?;
        Ok((found.metadata.resource_version, connection))
    }

    async fn by_parameters(&self, namespace: String, name: String) -> Result<(Option<String>, Arc<Connection>), Error> {
        let found = match Api::<ConfigMap>::namespaced(self.daemon.clone(), &namespace).get_opt(&name).await {
            Ok(Some(found)) => found,
            Ok(None) => return Err(Error::NoConfigMap { namespace, name }),
            Err(source) => return Err(Error::ConfigMap { namespace, name, source }),
        };
        let config_map = format!("{namespace}/{name}");
        let default = self.default_kubeconfig_service_account.as_deref();
        let parameters = match Parameters::read(&namespace, &found.data.unwrap_or_default(), default) {
            Ok(parameters) => parameters,
            Err(problem) => return Err(Error::Parameters { config_map, source: AccountError::Parameters(problem) }),
        };
        if self.accounts.exists(&parameters.account).await.is_ok_and(|exists| !exists) {
            return Err(Error::NoTokenAccount(parameters.account));
        }
        let connection = self.connections.remote_by_account(&parameters).await;
        let connection = connection.map_err(|source| Error::Parameters { config_map, source })?;
        Ok((found.metadata.resource_version, connection))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{api::HelmReleaseSpec, reconcile::release::obstacle::Class};

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

    #[test]
    fn what_is_missing_is_told_and_skips_an_uninstall_and_what_is_broken_stops_it() {
        let (namespace, name) = ("apps".to_owned(), "k".to_owned());
        let missing = Error::NoSecret { namespace: namespace.clone(), name: name.clone() };
        assert_eq!(missing.to_string(), "could not get KubeConfig secret 'apps/k': secrets \"k\" not found");
        let account = ServiceAccount { namespace, name };
        let no_account = Error::Account(Unusable::NotFound(account.clone()));
        assert!(no_account.to_string().contains("system:serviceaccount:apps:k"));
        assert!(missing.is_gone() && no_account.is_gone());

        let source = kubeconfig::Problem::NoContext;
        let broken = Error::KubeConfig(kubeconfig::Error::Load { secret: "apps/k".to_owned(), source });
        let obstacle = broken.uninstall_obstacle();
        assert_eq!((obstacle.reason, obstacle.class), (reasons::UNINSTALL_FAILED, Class::Retry));
        assert_eq!(
            obstacle.message,
            "failed to build REST client getter to uninstall release: failed to load KubeConfig from secret 'apps/k': \
             its current-context is not set"
        );
        let (purpose, source) = ("uninstall release", kube::Error::LinesCodecMaxLineLengthExceeded);
        let unknown = Error::Account(Unusable::Unconfirmed { account, purpose, source });
        assert!(unknown.uninstall_obstacle().message.starts_with("failed to confirm ServiceAccount 'k' can be used"));
        assert!(!broken.is_gone() && !unknown.is_gone());
    }
}
