//! One cluster as one identity: what every call of a release or environment is made through.
//!
//! An impersonating connection is the one of the cluster with a header put on each request: it shares the sockets and
//! costs next to nothing. It has a discovery of its own, since what a cluster says it serves is answered to an identity.

use std::{
    collections::HashMap,
    fmt::{self, Write as _},
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, Weak},
    task::{Context, Poll},
};

use http::{HeaderName, HeaderValue, Request, Response};
use kube::{Client, Error, client::Body};
use sha2::{Digest, Sha256};
use thiserror::Error;
use tokio::sync::Semaphore;
use tokio_util::sync::{CancellationToken, DropGuard};
use tower::Service;

use super::{
    discovery::Discovery,
    kubeconfig::{self, Allowed, Problem},
    lock,
    parameters::{self, Parameters},
    remote,
    shared_watch::SharedWatches,
    tokens::{self, AccountTokens},
};

const IMPERSONATE_USER: HeaderName = HeaderName::from_static("impersonate-user");
/// Longest name of an object.
const MAX_NAME: usize = 253;

/// A cluster as one identity.
pub struct Connection {
    /// Sends requests as the identity.
    pub client: Client,
    /// What the cluster serves, as the identity sees it.
    pub discovery: Arc<Discovery>,
    /// The watches that those share who wait for objects.
    pub watches: Arc<SharedWatches>,
    user: Option<String>,
    remote: Option<Arc<Remote>>,
    /// The connection that an impersonating one goes through, which is kept as long.
    _base: Option<Arc<Connection>>,
}

/// A cluster that is not the daemon's own.
struct Remote {
    /// Digest of the kubeconfig that it is known by.
    digest: Arc<str>,
    /// The right to work on it, apart from other clusters': one that does not answer holds up nobody else.
    permits: Arc<Semaphore>,
    /// Ends the watch of its definitions.
    _end: DropGuard,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("user", &self.user).field("remote", &self.remote()).finish_non_exhaustive()
    }
}

/// A `ServiceAccount` that is acted as.
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
    /// Returns the account's user name. A name that no `ServiceAccount` can have could stand for another kind of user.
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

    /// Returns the account that an object's work is done as: the one that it names, else the flag's, of its namespace; none
    /// where it is the daemon itself.
    pub fn of(namespace: &str, given: Option<&str>, default: Option<&str>) -> Option<Self> {
        let name = given.filter(|name| !name.is_empty()).or(default)?;
        Some(Self { namespace: namespace.to_owned(), name: name.to_owned() })
    }
}

impl Connection {
    /// Makes the connection to the daemon's own cluster that a client is, with nobody impersonated.
    pub fn new(client: Client) -> Arc<Self> {
        let discovery = Arc::new(Discovery::new(client.clone()));
        Arc::new(Self::of(client, discovery))
    }

    fn of(client: Client, discovery: Arc<Discovery>) -> Self {
        let watches = Arc::new(SharedWatches::new(client.clone()));
        Self { client, discovery, watches, user: None, remote: None, _base: None }
    }

    fn to_remote(client: Client, digest: Arc<str>, concurrent: usize) -> Arc<Self> {
        let discovery = Arc::new(Discovery::new(client.clone()));
        let (end, definitions) = (CancellationToken::new(), discovery.clone());
        let until = end.clone();
        tokio::spawn(async move { definitions.follow_definitions(until).await });
        let permits = Arc::new(Semaphore::new(concurrent.max(1)));
        let remote = Some(Arc::new(Remote { digest, permits, _end: end.drop_guard() }));
        Arc::new(Self { remote, ..Self::of(client, discovery) })
    }

    /// Returns the user that is impersonated.
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// Returns the digest of the kubeconfig that the cluster is known by; none for the daemon's own cluster.
    pub fn remote(&self) -> Option<Arc<str>> {
        self.remote.as_ref().map(|remote| remote.digest.clone())
    }

    /// Returns the permits to work on a cluster that is not the daemon's own.
    pub fn permits(&self) -> Option<Arc<Semaphore>> {
        self.remote.as_ref().map(|remote| remote.permits.clone())
    }

    fn acting_as(self: &Arc<Self>, user: String) -> Result<Arc<Self>, InvalidServiceAccount> {
        let value = HeaderValue::from_str(&user).map_err(|_| InvalidServiceAccount(user.clone()))?;
        let client = Client::new(Impersonation { client: self.client.clone(), user: value }, "default");
        let discovery = Arc::new(self.discovery.seen_by(client.clone()));
        let (remote, base) = (self.remote.clone(), Some(self.clone()));
        Ok(Arc::new(Self { user: Some(user), remote, _base: base, ..Self::of(client, discovery) }))
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

/// Why there is no connection by an account's tokens.
#[derive(Debug, Error)]
pub enum AccountError {
    #[error(transparent)]
    Parameters(parameters::Problem),
    #[error(transparent)]
    Token(tokens::Error),
}

/// Which connection: the digest of a kubeconfig, and an impersonated user.
type Key = (Option<Arc<str>>, Option<String>);

/// The connections of the daemon: its own, and those to other clusters and as other identities that are in use. One that
/// nobody holds any more is gone.
pub struct Connections {
    own: Arc<Connection>,
    allowed: Allowed,
    concurrent: usize,
    others: Mutex<HashMap<Key, Weak<Connection>>>,
}

impl Connections {
    /// Makes the pool with the daemon's own connection. `concurrent` is how many may work on each other cluster at once.
    pub fn new(own: Arc<Connection>, allowed: Allowed, concurrent: usize) -> Self {
        Self { own, allowed, concurrent, others: Mutex::default() }
    }

    /// Returns the daemon's own connection.
    pub fn own(&self) -> &Arc<Connection> {
        &self.own
    }

    /// Returns the connection to the cluster that a kubeconfig names. Nothing is sent yet.
    pub async fn remote(&self, kubeconfig: &[u8]) -> Result<Arc<Connection>, Problem> {
        let digest: Arc<str> = digest(kubeconfig).into();
        let key = (Some(digest.clone()), None);
        if let Some(known) = self.known(&key) {
            return Ok(known);
        }
        let client = remote::client(kubeconfig::read(kubeconfig, self.allowed).await?, None)?;
        Ok(self.keep(key, || Connection::to_remote(client, digest, self.concurrent)))
    }

    /// Returns the connection to the cluster that parameters name, by the tokens of their account, of which there is one
    /// then. Nothing is sent to that cluster yet.
    pub async fn remote_by_account(&self, parameters: &Parameters) -> Result<Arc<Connection>, AccountError> {
        let digest: Arc<str> = parameters.digest().into();
        let key = (Some(digest.clone()), None);
        if let Some(known) = self.known(&key) {
            return Ok(known);
        }
        let config = parameters.config().await.map_err(AccountError::Parameters)?;
        let tokens =
            AccountTokens::new(self.own.client.clone(), parameters.account.clone(), parameters.audiences.clone());
        let tokens = Arc::new(tokens.map_err(AccountError::Token)?);
        tokens.header().await.map_err(AccountError::Token)?;
        let client = remote::client(config, Some(tokens))
            .map_err(|_| AccountError::Parameters(parameters::Problem::Authority))?;
        Ok(self.keep(key, || Connection::to_remote(client, digest, self.concurrent)))
    }

    /// Returns a connection as a `ServiceAccount` of its cluster.
    pub fn impersonating(
        &self,
        base: &Arc<Connection>,
        account: &ServiceAccount,
    ) -> Result<Arc<Connection>, InvalidServiceAccount> {
        let user = account.user()?;
        let key = (base.remote(), Some(user.clone()));
        if let Some(known) = self.known(&key) {
            return Ok(known);
        }
        let connection = base.acting_as(user)?;
        Ok(self.keep(key, || connection))
    }

    fn known(&self, key: &Key) -> Option<Arc<Connection>> {
        lock(&self.others).get(key).and_then(Weak::upgrade)
    }

    /// Keeps a new connection, unless another run was faster.
    fn keep(&self, key: Key, make: impl FnOnce() -> Arc<Connection>) -> Arc<Connection> {
        let mut others = lock(&self.others);
        if let Some(known) = others.get(&key).and_then(Weak::upgrade) {
            return known;
        }
        others.retain(|_, connection| connection.strong_count() > 0);
        let connection = make();
        others.insert(key, Arc::downgrade(&connection));
        connection
    }
}

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut text, byte| {
        // Writing to a String does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
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

    fn pool() -> Connections {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let config = kube::Config::new("http://127.0.0.1:1".parse().unwrap());
        Connections::new(Connection::new(Client::try_from(config).unwrap()), Allowed::default(), 4)
    }

    fn kubeconfig(token: &str) -> Vec<u8> {
        format!(
            "current-context: x\ncontexts: [{{name: x, context: {{cluster: c, user: u}}}}]\n\
             clusters: [{{name: c, cluster: {{server: 'http://127.0.0.1:1'}}}}]\n\
             users: [{{name: u, user: {{token: {token}}}}}]\n"
        )
        .into_bytes()
    }

    #[tokio::test]
    async fn connections_are_shared_while_someone_holds_them_and_told_apart_by_cluster_and_user() {
        let pool = pool();
        let deployer = account("apps", "deployer");
        let one = pool.impersonating(pool.own(), &deployer).unwrap();
        assert!(Arc::ptr_eq(&one, &pool.impersonating(pool.own(), &deployer).unwrap()));
        assert!(!Arc::ptr_eq(&one, &pool.impersonating(pool.own(), &account("web", "deployer")).unwrap()));
        let there = pool.remote(&kubeconfig("a")).await.unwrap();
        assert!(Arc::ptr_eq(&there, &pool.remote(&kubeconfig("a")).await.unwrap()));
        assert!(!Arc::ptr_eq(&there, &pool.remote(&kubeconfig("b")).await.unwrap()));
        let as_deployer = pool.impersonating(&there, &deployer).unwrap();
        assert!(!Arc::ptr_eq(&one, &as_deployer));
        assert_eq!(as_deployer.remote(), there.remote());
        assert!(one.remote().is_none() && one.permits().is_none());

        let base = Arc::downgrade(&there);
        drop(there);
        assert!(base.upgrade().is_some(), "the impersonating connection keeps it");
        drop(as_deployer);
        assert!(base.upgrade().is_none(), "nobody holds it");
        drop(one);
        let _other = pool.impersonating(pool.own(), &account("apps", "other")).unwrap();
        assert_eq!(lock(&pool.others).len(), 1, "those that are gone are forgotten");
    }
}
