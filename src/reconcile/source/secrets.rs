//! What Secrets hold, read once for each of their versions.
//!
//! Remotes are asked every minute or so, and their credentials are needed each time. The watch of Secrets carries metadata
//! alone; as long as it shows the version that was read, nothing is read again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use kube::{Api, Client};

use crate::reconcile::watched::lock;
use crate::source::secret::SecretData;

/// Says which version of a Secret (namespace, name) the watch has; none when it has none, or is not in sync.
pub type SeenVersion = Box<dyn Fn(&str, &str) -> Option<String> + Send + Sync>;

/// Why a Secret was not read. The text is the API server's.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct SecretError(String);

type Kept = HashMap<(String, String), (String, Arc<SecretData>)>;

/// Reads Secrets.
pub struct Secrets {
    client: Client,
    seen: SeenVersion,
    kept: Mutex<Kept>,
}

impl Secrets {
    pub fn new(client: Client, seen: SeenVersion) -> Self {
        Self { client, seen, kept: Mutex::default() }
    }

    /// Names the Secrets with which a `ServiceAccount` pulls images.
    pub async fn pull_secrets(&self, namespace: &str, account: &str) -> Result<Vec<String>, SecretError> {
        let api: Api<ServiceAccount> = Api::namespaced(self.client.clone(), namespace);
        match api.get_opt(account).await {
            Ok(Some(found)) => {
                let references = found.image_pull_secrets.unwrap_or_default();
                Ok(references.into_iter().map(|reference| reference.name).collect())
            }
            Ok(None) => Err(SecretError(format!("serviceaccount '{namespace}/{account}' not found"))),
            Err(error) => {
                let text = crate::telemetry::chain(&error);
                Err(SecretError(format!("failed to get serviceaccount '{namespace}/{account}': {text}")))
            }
        }
    }

    /// Returns the data of a Secret.
    pub async fn read(&self, namespace: &str, name: &str) -> Result<Arc<SecretData>, SecretError> {
        let key = (namespace.to_owned(), name.to_owned());
        let seen = (self.seen)(namespace, name);
        if let (Some(seen), Some((version, data))) = (&seen, lock(&self.kept).get(&key))
            && seen == version
        {
            return Ok(data.clone());
        }
        let api: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
        match api.get(name).await {
            Ok(secret) => {
                let version = secret.metadata.resource_version.unwrap_or_default();
                let entries = secret.data.unwrap_or_default().into_iter().map(|(key, value)| (key, value.0));
                let data = Arc::new(entries.collect::<SecretData>());
                lock(&self.kept).insert(key, (version, data.clone()));
                Ok(data)
            }
            Err(error) => {
                lock(&self.kept).remove(&key);
                Err(SecretError(match error {
                    kube::Error::Api(status) => status.message,
                    other => crate::telemetry::chain(&other),
                }))
            }
        }
    }
}
