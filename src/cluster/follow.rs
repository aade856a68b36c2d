//! Follows a collection: list it, watch it from there, and begin again where the watch breaks.
//!
//! Unlike kube's watcher it can start at a resourceVersion that is known from a write, so that waiting for what was
//! just applied costs one request.

use std::time::Duration;

use futures::StreamExt;
use http::{Method, header};
use kube::{
    Client, Error,
    core::{Request, WatchEvent, params::WatchParams, request},
};
use serde_json::Value;
use tokio::{sync::mpsc, time::Instant};

use super::request::{encode, is_forbidden, is_not_found, send, status_of};

/// Objects a page of a list holds.
const PAGE: usize = 500;
/// The API server closes a watch after this; below its own limit of 5 to 10 minutes.
const WATCH_SECONDS: u32 = 290;
/// First pause after a broken connection.
const PAUSE: Duration = Duration::from_millis(100);
/// Longest pause.
const MAX_PAUSE: Duration = Duration::from_secs(10);
const METADATA_LIST: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
const METADATA_WATCH: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";

/// What is followed.
#[derive(Clone, Debug, Default)]
pub struct Collection {
    /// Path of the collection, as [`super::request::ServedKind::collection`] gives it.
    pub path: String,
    /// Label selector, empty for none.
    pub labels: String,
    /// Field selector, empty for none.
    pub fields: String,
    /// Ask for metadata alone.
    pub metadata_only: bool,
    /// A list may be served from the API server's cache, a little out of date.
    pub cached: bool,
    /// It is listed anew after a while, should the watch have lost something.
    pub relist: Option<Relist>,
}

/// When a collection is listed anew: the pause doubles from the first to the longest.
#[derive(Clone, Copy, Debug)]
pub struct Relist {
    /// Time to the first list after the beginning.
    pub first: Duration,
    /// Longest time between two lists.
    pub longest: Duration,
}

/// The time of the next list.
pub(super) struct Due {
    relist: Option<Relist>,
    at: Option<Instant>,
}

impl Due {
    pub(super) fn new(relist: Option<Relist>) -> Self {
        Self { relist, at: relist.map(|relist| Instant::now() + relist.first) }
    }

    /// Begins the next pause.
    pub(super) fn put_off(&mut self) {
        if let Some(relist) = &mut self.relist {
            relist.first = (relist.first * 2).min(relist.longest);
            self.at = Some(Instant::now() + relist.first);
        }
    }

    /// Returns at that time.
    pub(super) async fn come(&self) {
        match self.at {
            Some(at) => tokio::time::sleep_until(at).await,
            None => std::future::pending().await,
        }
    }
}

/// What happened in it.
#[derive(Debug)]
pub enum Happening {
    /// All that is there now; what was known before and is not in here is gone.
    Listed(Vec<Value>),
    /// The watch is open: what happens from now on is told. It may be opened again and again.
    Watching,
    /// An object was added or changed.
    Applied(Value),
    /// An object went away, or no longer matches the selector.
    Deleted(Value),
    /// It cannot be followed for now. It is tried again, unless the error is a refusal.
    Broken(Error),
}

/// Tells whether following ends with this error: this identity may not, or the kind is not there.
pub fn is_refusal(error: &Error) -> bool {
    is_forbidden(error) || is_not_found(error) || status_of(error).is_some_and(|status| status.code == 405)
}

/// Follows a collection until the receiver is dropped or the API server refuses. With `from` the list is left out
/// and the watch begins there.
pub async fn follow(client: Client, collection: Collection, from: Option<String>, sender: mpsc::Sender<Happening>) {
    let mut version = from;
    let mut pause = PAUSE;
    let mut due = Due::new(collection.relist);
    loop {
        let step = match version.take() {
            None => {
                due.put_off();
                list(&client, &collection, &sender).await
            }
            Some(from) => tokio::select! {
                step = watch(&client, &collection, from, &sender) => step,
                () = due.come() => Step::Continue(None),
            },
        };
        match step {
            Step::Continue(next) => {
                version = next;
                pause = PAUSE;
            }
            Step::Closed => return,
            Step::Broken { error, resume } => {
                let refusal = is_refusal(&error);
                if sender.send(Happening::Broken(error)).await.is_err() || refusal {
                    return;
                }
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = sender.closed() => return,
                }
                pause = (pause * 2).min(MAX_PAUSE);
                version = resume;
            }
        }
    }
}

enum Step {
    /// Go on with a watch from this version, or with a list.
    Continue(Option<String>),
    /// Nobody listens any more.
    Closed,
    /// Try again after a pause, from this version if it is still good.
    Broken { error: Error, resume: Option<String> },
}

/// Lists a collection; none where there is nothing to tell of it.
pub(super) async fn list_once(client: &Client, collection: &Collection) -> Option<Happening> {
    let (sender, mut happenings) = mpsc::channel(1);
    match list(client, collection, &sender).await {
        Step::Broken { error, .. } => Some(Happening::Broken(error)),
        Step::Continue(_) | Step::Closed => happenings.recv().await,
    }
}

async fn list(client: &Client, collection: &Collection, sender: &mpsc::Sender<Happening>) -> Step {
    let mut items = Vec::new();
    let mut token = String::new();
    loop {
        let page = tokio::select! {
            page = list_page(client, collection, &token) => page,
            () = sender.closed() => return Step::Closed,
        };
        let mut page = match page {
            Ok(page) => page,
            Err(error) => return Step::Broken { error, resume: None },
        };
        let version = page.pointer("/metadata/resourceVersion").and_then(Value::as_str).map(str::to_owned);
        token = page.pointer("/metadata/continue").and_then(Value::as_str).unwrap_or_default().to_owned();
        items.extend(take_items(&mut page));
        if token.is_empty() {
            return match sender.send(Happening::Listed(items)).await {
                Ok(()) => Step::Continue(version.or_else(|| Some("0".to_owned()))),
                Err(_) => Step::Closed,
            };
        }
    }
}

/// Takes the items of a list and gives each the apiVersion and kind, which lists of built-in kinds leave out.
pub(super) fn take_items(page: &mut Value) -> Vec<Value> {
    let api_version = page.get("apiVersion").cloned();
    let kind = page.get("kind").and_then(Value::as_str).and_then(|kind| kind.strip_suffix("List")).map(Value::from);
    let Some(Value::Array(items)) = page.get_mut("items").map(Value::take) else { return Vec::new() };
    items
        .into_iter()
        .map(|mut item| {
            if let Value::Object(fields) = &mut item {
                for (key, value) in [("apiVersion", &api_version), ("kind", &kind)] {
                    if let Some(value) = value {
                        fields.entry(key).or_insert_with(|| value.clone());
                    }
                }
            }
            item
        })
        .collect()
}

async fn list_page(client: &Client, collection: &Collection, token: &str) -> Result<Value, Error> {
    let mut uri = format!("{}?limit={PAGE}", collection.path);
    for (key, value) in [("labelSelector", &collection.labels), ("fieldSelector", &collection.fields)] {
        if !value.is_empty() {
            uri.extend(["&", key, "=", &encode(value)]);
        }
    }
    if !token.is_empty() {
        uri.extend(["&continue=", &encode(token)]);
    } else if collection.cached {
        uri.push_str("&resourceVersion=0");
    }
    let accept = if collection.metadata_only { METADATA_LIST } else { "application/json" };
    send(client, Method::GET, &uri, &[(header::ACCEPT, accept)], Vec::new()).await.map(|reply| reply.body)
}

fn watch_request(collection: &Collection, from: &str) -> Result<http::Request<Vec<u8>>, request::Error> {
    let some = |text: &String| (!text.is_empty()).then(|| text.clone());
    let params = WatchParams {
        label_selector: some(&collection.labels),
        field_selector: some(&collection.fields),
        timeout: Some(WATCH_SECONDS),
        bookmarks: true,
        send_initial_events: false,
    };
    let mut request = Request::new(collection.path.clone()).watch(&params, from)?;
    if collection.metadata_only {
        request.headers_mut().insert(header::ACCEPT, header::HeaderValue::from_static(METADATA_WATCH));
    }
    Ok(request)
}

async fn watch(client: &Client, collection: &Collection, from: String, sender: &mpsc::Sender<Happening>) -> Step {
    let mut version = from;
    let opened = async {
        let request = watch_request(collection, &version).map_err(Error::BuildRequest)?;
        client.request_events::<Value>(request).await
    };
    let stream = tokio::select! {
        stream = opened => stream,
        () = sender.closed() => return Step::Closed,
    };
    let mut stream = match stream {
        Ok(stream) => stream.boxed(),
        Err(error) => return broken(error, version),
    };
    if sender.send(Happening::Watching).await.is_err() {
        return Step::Closed;
    }
    // A connection that died without a word would be waited for without end.
    let silent = tokio::time::sleep(Duration::from_secs(u64::from(WATCH_SECONDS) + 10));
    tokio::pin!(silent);
    loop {
        let event = tokio::select! {
            event = stream.next() => event,
            () = sender.closed() => return Step::Closed,
            () = &mut silent => return Step::Continue(Some(version)),
        };
        let happening = match event {
            // The API server closes watches from time to time.
            None => return Step::Continue(Some(version)),
            Some(Ok(WatchEvent::Added(object) | WatchEvent::Modified(object))) => Happening::Applied(object),
            Some(Ok(WatchEvent::Deleted(object))) => Happening::Deleted(object),
            Some(Ok(WatchEvent::Bookmark(bookmark))) => {
                version = bookmark.metadata.resource_version;
                continue;
            }
            Some(Ok(WatchEvent::Error(status))) => return broken(Error::Api(status), version),
            Some(Err(error)) => return broken(error, version),
        };
        if let Happening::Applied(object) | Happening::Deleted(object) = &happening
            && let Some(seen) = super::object::resource_version(object)
        {
            seen.clone_into(&mut version);
        }
        if sender.send(happening).await.is_err() {
            return Step::Closed;
        }
    }
}

fn broken(error: Error, version: String) -> Step {
    // 410: the version is older than what the API server keeps; only a list helps.
    if status_of(&error).is_some_and(|status| status.code == 410) {
        return Step::Continue(None);
    }
    Step::Broken { error, resume: Some(version) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn items_of_a_list_get_its_kind() {
        let mut page = json!({"apiVersion": "apps/v1", "kind": "DeploymentList", "items": [{"metadata": {"name": "a"}}, {"kind": "Own"}]});
        let expected = [
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"}}),
            json!({"apiVersion": "apps/v1", "kind": "Own"}),
        ];
        assert_eq!(take_items(&mut page), expected);
        assert_eq!(take_items(&mut json!({"items": null})), Vec::<Value>::new());
    }

    #[test]
    fn a_watch_asks_for_what_is_selected_and_for_metadata_alone() {
        let collection = Collection {
            path: "/api/v1/pods".into(),
            labels: "a=b".into(),
            metadata_only: true,
            ..Collection::default()
        };
        let request = watch_request(&collection, "12").expect("valid");
        let query = request.uri().query().unwrap_or_default();
        for part in ["watch=true", "labelSelector=a%3Db", "resourceVersion=12", "allowWatchBookmarks=true"] {
            assert!(query.contains(part), "{query}");
        }
        assert_eq!(request.headers()[header::ACCEPT], METADATA_WATCH);
    }

    #[test]
    fn a_version_that_is_too_old_leads_to_a_list() {
        let gone = Error::Api(kube::core::Status::failure("too old", "Expired").with_code(410).boxed());
        assert!(matches!(broken(gone, "1".into()), Step::Continue(None)));
        let cut = Error::ReadEvents(std::io::Error::other("cut"));
        assert!(matches!(broken(cut, "1".into()), Step::Broken { resume: Some(version), .. } if version == "1"));
    }
}
