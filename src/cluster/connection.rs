//! One cluster as one identity: what every call of a release or environment is made through.
//!
//! An impersonating connection is the one of the cluster with a header put on each request: it shares the sockets and
//! costs next to nothing. It has a discovery of its own, since what a cluster says it serves is answered to an identity.

use std::{
    collections::HashMap,
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError, Weak},
    task::{Context, Poll},
};

use http::{HeaderName, HeaderValue, Request, Response};
use kube::{Client, Error, client::Body};
use thiserror::Error;
use tower::Service;

use super::discovery::Discovery;

const IMPERSONATE_USER: HeaderName = HeaderName::from_static("impersonate-user");
/// Longest name of an object.
const MAX_NAME: usize = 253;

/// A cluster as one identity.
pub struct Connection {
    /// Sends requests as the identity.
    pub client: Client,
    /// What the cluster serves, as the identity sees it.
    pub discovery: Arc<Discovery>,
    user: Option<String>,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("user", &self.user).finish_non_exhaustive()
    }
}

/// A ServiceAccount that is acted as.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ServiceAccount {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl fmt::Display for ServiceAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// An identity that cannot be taken on. Nothing is done as anybody else then.
#[derive(Debug, Error)]
#[error("'{0}' is not the name of a ServiceAccount that could be impersonated")]
pub struct InvalidServiceAccount(String);

impl ServiceAccount {
    /// Returns the account's user name. A name that no ServiceAccount can have could stand for another kind of user.
    pub fn user(&self) -> Result<String, InvalidServiceAccount> {
        let is_name = |text: &str| {
            !text.is_empty()
                && text.len() <= MAX_NAME
                && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.')
        };
        if is_name(&self.namespace) && is_name(&self.name) {
            Ok(format!("system:serviceaccount:{}:{}", self.namespace, self.name))
        } else {
            Err(InvalidServiceAccount(self.to_string()))
        }
    }
}

impl Connection {
    /// Makes the connection that a client is, with nobody impersonated.
    pub fn new(client: Client) -> Arc<Self> {
        let discovery = Arc::new(Discovery::new(client.clone()));
        Arc::new(Self { client, discovery, user: None })
    }

    /// Returns the user that is impersonated.
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    fn acting_as(&self, user: String) -> Result<Arc<Self>, InvalidServiceAccount> {
        let value = HeaderValue::from_str(&user).map_err(|_| InvalidServiceAccount(user.clone()))?;
        let client = Client::new(Impersonation { client: self.client.clone(), user: value }, "default");
        let discovery = Arc::new(self.discovery.seen_by(client.clone()));
        Ok(Arc::new(Self { client, discovery, user: Some(user) }))
    }
}

/// Puts the impersonated user on each request. It is the last to touch the headers before they are sent, so that no
/// request can choose another.
struct Impersonation {
    client: Client,
    user: HeaderValue,
}

impl Service<Request<Body>> for Impersonation {
    type Response = Response<Body>;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        request.headers_mut().insert(IMPERSONATE_USER, self.user.clone());
        let client = self.client.clone();
        Box::pin(async move { client.send(request).await })
    }
}

/// The connections of the daemon: its own, and those of the identities that are in use. One that nobody holds any more
/// is gone.
pub struct Connections {
    own: Arc<Connection>,
    impersonating: Mutex<HashMap<String, Weak<Connection>>>,
}

impl Connections {
    /// Makes the pool with the daemon's own connection.
    pub fn new(own: Arc<Connection>) -> Self {
        Self { own, impersonating: Mutex::default() }
    }

    /// Returns the daemon's own connection.
    pub fn own(&self) -> &Arc<Connection> {
        &self.own
    }

    /// Returns the daemon's own cluster as a ServiceAccount.
    pub fn impersonating(&self, account: &ServiceAccount) -> Result<Arc<Connection>, InvalidServiceAccount> {
        let user = account.user()?;
        let mut known = self.impersonating.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(connection) = known.get(&user).and_then(Weak::upgrade) {
            return Ok(connection);
        }
        known.retain(|_, connection| connection.strong_count() > 0);
        let connection = self.own.acting_as(user.clone())?;
        known.insert(user, Arc::downgrade(&connection));
        Ok(connection)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(namespace: &str, name: &str) -> ServiceAccount {
        ServiceAccount { namespace: namespace.to_owned(), name: name.to_owned() }
    }

    #[test]
    fn a_service_accounts_user_is_the_one_that_its_tokens_stand_for() {
        assert_eq!(account("apps", "deployer").user().unwrap(), "system:serviceaccount:apps:deployer");
    }

    #[test]
    fn a_name_that_no_service_account_has_is_refused_and_nobody_else_is_impersonated() {
        for (namespace, name) in
            [("", "a"), ("a", ""), ("a", "b:c"), ("a", "B"), ("a", "b\r\nx"), ("a", "b c"), ("a", "ä")]
        {
            assert!(account(namespace, name).user().is_err(), "{namespace} {name}");
        }
        assert!(account("a", &"b".repeat(254)).user().is_err());
    }
}
