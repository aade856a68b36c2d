//! Tokens of a `ServiceAccount` for servers that are not the daemon's own: asked for when they are needed, and anew before
//! they end. They are kept in memory alone.

use std::time::{Duration, Instant};

use http::{HeaderValue, Method};
use jiff::Timestamp;
use kube::Client;
use serde_json::json;
use thiserror::Error;
use tokio::sync::Mutex;

use super::{
    connection::{InvalidServiceAccount, ServiceAccount},
    request::{encode, send},
};

/// The part of a token's life after which the next one is asked for.
const RENEWED_AFTER: f64 = 0.8;

/// Why there is no token.
#[derive(Debug, Error)]
pub enum Error {
    #[error("failed to create kubernetes token for service account '{account}'")]
    Request {
        account: ServiceAccount,
        #[source]
        source: kube::Error,
    },
    #[error("the API server's answer has no token for service account '{0}'")]
    NoToken(ServiceAccount),
    #[error(transparent)]
    Account(InvalidServiceAccount),
}

/// The tokens of one account for one audience.
pub struct AccountTokens {
    client: Client,
    account: ServiceAccount,
    audiences: Vec<String>,
    current: Mutex<Option<Issued>>,
}

struct Issued {
    header: HeaderValue,
    until: Instant,
}

impl AccountTokens {
    /// Makes it for an account of the cluster that `client` speaks to. Nothing is asked yet.
    pub fn new(client: Client, account: ServiceAccount, audiences: Vec<String>) -> Result<Self, Error> {
        account.user().map_err(Error::Account)?;
        Ok(Self { client, account, audiences, current: Mutex::new(None) })
    }

    /// Returns the header `Authorization` with a token that is good for a while.
    pub async fn header(&self) -> Result<HeaderValue, Error> {
        let mut current = self.current.lock().await;
        if let Some(issued) = current.as_ref().filter(|issued| Instant::now() < issued.until) {
            return Ok(issued.header.clone());
        }
        let issued = self.issue().await?;
        Ok(current.insert(issued).header.clone())
    }

    async fn issue(&self) -> Result<Issued, Error> {
        let (namespace, name) = (encode(&self.account.namespace), encode(&self.account.name));
        let uri = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token");
        let body = json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
                           "spec": { "audiences": self.audiences } });
        let json = [(http::header::CONTENT_TYPE, "application/json")];
        let failed = |source| Error::Request { account: self.account.clone(), source };
        let asked = Instant::now();
        let reply = send(&self.client, Method::POST, &uri, &json, body.to_string().into_bytes());
        let status = reply.await.map_err(failed)?.body["status"].take();
        let none = || Error::NoToken(self.account.clone());
        let token = status["token"].as_str().filter(|token| !token.is_empty()).ok_or_else(none)?;
        let ends = status["expirationTimestamp"].as_str().and_then(|at| at.parse().ok()).ok_or_else(none)?;
        let mut header = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| none())?;
        header.set_sensitive(true);
        Ok(Issued { header, until: asked + kept_for(Timestamp::now(), ends) })
    }
}

/// How long a token is shown that ends at a time.
fn kept_for(now: Timestamp, ends: Timestamp) -> Duration {
    Duration::try_from(ends.duration_since(now)).unwrap_or_default().mul_f64(RENEWED_AFTER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_renewed_before_it_ends_and_one_that_ended_is_not_kept() {
        let now: Timestamp = "2024-01-02T03:04:05Z".parse().unwrap();
        assert_eq!(kept_for(now, "2024-01-02T04:04:05Z".parse().unwrap()), Duration::from_mins(48));
        assert_eq!(kept_for(now, "2024-01-02T03:00:00Z".parse().unwrap()), Duration::ZERO);
    }

    #[tokio::test]
    async fn an_account_that_could_be_another_path_is_refused() {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let client = Client::try_from(kube::Config::new("http://127.0.0.1:1".parse().unwrap())).unwrap();
        let account = ServiceAccount { namespace: "apps".to_owned(), name: "a/../b".to_owned() };
        assert!(matches!(AccountTokens::new(client, account, Vec::new()), Err(Error::Account(_))));
    }
}
