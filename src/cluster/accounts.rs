//! Which `ServiceAccounts` there are, by one metadata watch that begins with the first question.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use http::{Method, header};
use kube::Client;
use serde_json::Value;
use tokio::sync::{mpsc, watch};
use tokio_util::task::AbortOnDropHandle;

use super::{
    connection::ServiceAccount,
    follow::{Collection, Happening, follow, is_refusal},
    lock, object,
    request::{encode, is_not_found, message_of, send},
};
use crate::telemetry::chain;

/// How long the first question waits for the list.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why nothing is done as an account. Nobody else steps in.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// It is not there.
    #[error("could not impersonate 'system:serviceaccount:{}:{}': ServiceAccount \"{}\" not found", .0.namespace, .0.name, .0.name)]
    NotFound(ServiceAccount),
    /// It cannot be told whether it is there.
    #[error("failed to confirm ServiceAccount '{}' can be used to {purpose}", .account.name)]
    Unconfirmed {
        /// Which account.
        account: ServiceAccount,
        /// What is to be done as it.
        purpose: &'static str,
        /// The answer.
        #[source]
        source: kube::Error,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sync {
    Listing,
    Synced,
    Refused,
}

type Known = Arc<Mutex<HashSet<ServiceAccount>>>;
type OnAppearance = Arc<dyn Fn(&ServiceAccount) + Send + std::marker::Sync>;

/// The `ServiceAccounts` of the daemon's own cluster, as the daemon sees them.
pub struct ServiceAccounts {
    client: Client,
    /// One namespace; all where there is none.
    namespace: Option<String>,
    known: Known,
    on_appearance: OnAppearance,
    watch: Mutex<Option<(watch::Receiver<Sync>, AbortOnDropHandle<()>)>>,
}

impl ServiceAccounts {
    /// Makes it without a watch. `on_appearance` is called for each account that is made later.
    pub fn new(
        client: Client,
        namespace: Option<String>,
        on_appearance: impl Fn(&ServiceAccount) + Send + std::marker::Sync + 'static,
    ) -> Self {
        let on_appearance = Arc::new(on_appearance);
        Self { client, namespace, known: Known::default(), on_appearance, watch: Mutex::new(None) }
    }

    /// Tells whether an account exists: by the watch, or by a request where the kind may not be watched.
    pub async fn exists(&self, account: &ServiceAccount) -> Result<bool, kube::Error> {
        let mut sync = self.start();
        let listed =
            async { sync.wait_for(|sync| *sync != Sync::Listing).await.is_ok_and(|sync| *sync == Sync::Synced) };
        let is_synced = tokio::time::timeout(PATIENCE, listed).await.unwrap_or(false);
        if is_synced && lock(&self.known).contains(account) {
            return Ok(true);
        }
        // What the watch does not know may have been made a moment ago; the answer that stops a release is asked for.
        self.ask(account).await
    }

    /// Checks that an account exists. Where that cannot be told the API server decides about what is done as it, but for
    /// `last_work`, which is named: what nobody may do at the end of an object would keep it for ever.
    pub async fn confirm(&self, account: &ServiceAccount, last_work: Option<&'static str>) -> Result<(), Unusable> {
        match (self.exists(account).await, last_work) {
            (Ok(true), _) => Ok(()),
            (Ok(false), _) => Err(Unusable::NotFound(account.clone())),
            (Err(source), Some(purpose)) => Err(Unusable::Unconfirmed { account: account.clone(), purpose, source }),
            (Err(error), None) => {
                tracing::debug!(%account, error = %chain(&error), "not known whether the account exists");
                Ok(())
            }
        }
    }

    async fn ask(&self, account: &ServiceAccount) -> Result<bool, kube::Error> {
        let (namespace, name) = (encode(&account.namespace), encode(&account.name));
        let uri = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{name}");
        let accept = [(header::ACCEPT, "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1")];
        match send(&self.client, Method::GET, &uri, &accept, Vec::new()).await {
            Ok(_) => Ok(true),
            Err(error) if is_not_found(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn start(&self) -> watch::Receiver<Sync> {
        let mut running = lock(&self.watch);
        if let Some((sync, _)) = running.as_ref() {
            return sync.clone();
        }
        let path = match &self.namespace {
            Some(namespace) => format!("/api/v1/namespaces/{}/serviceaccounts", encode(namespace)),
            None => "/api/v1/serviceaccounts".to_owned(),
        };
        let collection = Collection { path, metadata_only: true, cached: true, ..Collection::default() };
        let (state, sync) = watch::channel(Sync::Listing);
        let attending = attend(self.client.clone(), collection, self.known.clone(), self.on_appearance.clone(), state);
        *running = Some((sync.clone(), AbortOnDropHandle::new(tokio::spawn(attending))));
        sync
    }
}

fn account_of(tree: &Value) -> Option<ServiceAccount> {
    Some(ServiceAccount { namespace: object::namespace(tree)?.to_owned(), name: object::name(tree)?.to_owned() })
}

async fn attend(
    client: Client,
    collection: Collection,
    known: Known,
    on_appearance: OnAppearance,
    state: watch::Sender<Sync>,
) {
    let (sender, mut happenings) = mpsc::channel(16);
    let taking = async {
        while let Some(happening) = happenings.recv().await {
            match happening {
                Happening::Listed(items) => {
                    let listed: HashSet<_> = items.iter().filter_map(account_of).collect();
                    let before = std::mem::replace(&mut *lock(&known), listed.clone());
                    if state.send_replace(Sync::Synced) == Sync::Synced {
                        listed.difference(&before).for_each(|account| on_appearance(account));
                    }
                }
                Happening::Applied(item) => {
                    if let Some(account) = account_of(&item)
                        && lock(&known).insert(account.clone())
                    {
                        on_appearance(&account);
                    }
                }
                Happening::Deleted(item) => {
                    if let Some(account) = account_of(&item) {
                        lock(&known).remove(&account);
                    }
                }
                Happening::Watching => {}
                Happening::Broken(error) => {
                    if is_refusal(&error) {
                        state.send_replace(Sync::Refused);
                        tracing::warn!(error = %message_of(&error), "ServiceAccounts cannot be watched");
                    }
                }
            }
        }
    };
    tokio::join!(follow(client, collection, None, sender), taking);
}
