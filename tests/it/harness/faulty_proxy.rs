//! A way to the API server on which things go wrong as a test asks for it: the daemon is killed at a write, events of
//! watches are lost, lists are answered as they were some time ago.
//!
//! It ends the daemon's TLS and sends each request on as the kubeconfig's user, so that it knows what it passes on.

use std::{
    collections::HashMap,
    convert::Infallible,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    http::{HeaderMap, Method, Request, Response, StatusCode, Uri, header},
    serve::Listener,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use futures::StreamExt as _;
use kube::Client;
use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::{cluster, tls::certified};

const BODY_LIMIT: usize = 1 << 28;

/// When the daemon is killed: before the API server gets the write, or when it has answered and the daemon has not heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    Before,
    After,
}

/// A write that the API server has answered.
#[derive(Debug, Clone)]
pub struct Write {
    pub method: Method,
    pub path: String,
    pub code: u16,
    /// Of the object in the answer.
    pub name: String,
}

/// The proxy.
pub struct FaultyProxy {
    dir: TempDir,
    state: Arc<State>,
}

struct State {
    client: Client,
    faults: Mutex<Faults>,
    /// What was about to be written, or was, when the daemon was killed.
    killed: watch::Sender<Option<String>>,
}

#[derive(Default)]
struct Faults {
    pid: Option<u32>,
    writes: Vec<Write>,
    kill: Option<Kill>,
    /// Nothing is passed on: the daemon is dead, though its last requests may still be in a socket.
    is_dead: bool,
    /// Of the events of watches, each of this number is lost.
    lose_every: Option<usize>,
    events: usize,
    lost: usize,
    /// Lists are answered as they were first since this was asked for.
    is_stale: bool,
    lists: HashMap<String, (HeaderMap, Bytes)>,
    stale_answers: usize,
}

/// The daemon is killed at one of the writes whose path has a part.
struct Kill {
    part: String,
    left: usize,
    moment: Moment,
}

impl State {
    fn faults(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Kills the daemon and never returns: it is not there to hear anything.
    async fn kill(&self, what: String) -> Response<Body> {
        {
            let mut faults = self.faults();
            faults.is_dead = true;
            let pid = faults.pid.and_then(|pid| rustix::process::Pid::from_raw(pid.cast_signed()));
            rustix::process::kill_process(pid.expect("the daemon's process is known"), rustix::process::Signal::KILL)
                .expect("the daemon can be killed");
        }
        self.killed.send_replace(Some(what));
        std::future::pending().await
    }

    /// Counts a write that is about to be passed on; tells whether the daemon is to be killed at it.
    fn counted(&self, path: &str) -> Option<Moment> {
        let mut faults = self.faults();
        let kill = faults.kill.as_mut().filter(|kill| path.contains(&kill.part))?;
        if kill.left > 0 {
            kill.left -= 1;
            return None;
        }
        let moment = kill.moment;
        faults.kill = None;
        Some(moment)
    }

    async fn answer(self: Arc<Self>, request: Request<Body>) -> Response<Body> {
        if self.faults().is_dead {
            return std::future::pending().await;
        }
        let (parts, body) = request.into_parts();
        let Ok(body) = to_bytes(body, BODY_LIMIT).await else { return std::future::pending().await };
        let (method, uri) = (parts.method, parts.uri);
        let what = format!("{method} {}", uri.path());
        let moment = if is_write(&method, &uri) { self.counted(uri.path()) } else { None };
        if moment == Some(Moment::Before) {
            return self.kill(what).await;
        }
        let is_watch = uri.query().unwrap_or_default().contains("watch=true");
        let is_list = method == Method::GET && !is_watch && is_list(uri.path());
        let key = format!("{uri} {:?}", parts.headers.get(header::ACCEPT));
        if is_list && let Some(stale) = self.stale(&key) {
            return stale;
        }
        let answered = match self.pass_on(&method, &uri, parts.headers, body).await {
            Ok(answered) => answered,
            Err(error) => {
                let mut answer = Response::new(Body::from(error.to_string()));
                *answer.status_mut() = StatusCode::BAD_GATEWAY;
                return answer;
            }
        };
        if is_watch {
            return self.watching(answered);
        }
        let (mut head, body) = answered.into_parts();
        // How long it is, and in how many parts, is known anew.
        for name in [header::TRANSFER_ENCODING, header::CONTENT_LENGTH, header::CONNECTION] {
            head.headers.remove(name);
        }
        let body = to_bytes(Body::new(body), BODY_LIMIT).await.unwrap_or_default();
        if is_list && head.status.is_success() {
            let mut faults = self.faults();
            if !faults.is_stale {
                faults.lists.entry(key).or_insert_with(|| (head.headers.clone(), body.clone()));
            }
        }
        if is_write(&method, &uri) {
            let name = serde_json::from_slice::<Value>(&body).ok();
            let name = name.and_then(|it| Some(it.pointer("/metadata/name")?.as_str()?.to_owned()));
            let (path, code) = (uri.path().to_owned(), head.status.as_u16());
            let write = Write { method, path, code, name: name.unwrap_or_default() };
            self.faults().writes.push(write);
        }
        if moment == Some(Moment::After) {
            return self.kill(what).await;
        }
        Response::from_parts(head, Body::from(body))
    }

    async fn pass_on(
        &self,
        method: &Method,
        uri: &Uri,
        mut headers: HeaderMap,
        body: Bytes,
    ) -> Result<Response<kube::client::Body>, kube::Error> {
        // The way to the API server has its own; and what passes is to be read.
        for name in [header::HOST, header::AUTHORIZATION, header::ACCEPT_ENCODING, header::CONTENT_LENGTH] {
            headers.remove(name);
        }
        let mut request = Request::builder().method(method).uri(uri.path_and_query().expect("a path").as_str());
        *request.headers_mut().expect("the parts are valid") = headers;
        let request = request.body(kube::client::Body::from(body.to_vec())).map_err(kube::Error::HttpError)?;
        self.client.send(request).await
    }

    fn stale(&self, key: &str) -> Option<Response<Body>> {
        let mut faults = self.faults();
        if !faults.is_stale {
            return None;
        }
        // Once: whoever asks again because it cannot go on from there gets the present.
        let (headers, body) = faults.lists.remove(key)?;
        let mut answer = Response::new(Body::from(body));
        *answer.headers_mut() = headers;
        faults.stale_answers += 1;
        Some(answer)
    }

    /// Passes the events of a watch on, but those that are to be lost.
    fn watching(self: Arc<Self>, answered: Response<kube::client::Body>) -> Response<Body> {
        let (head, body) = answered.into_parts();
        let mut rest = Vec::new();
        let lines = Body::new(body).into_data_stream().map(move |chunk| {
            let Ok(chunk) = chunk else { return Ok::<_, Infallible>(Bytes::new()) };
            rest.extend_from_slice(&chunk);
            let Some(end) = rest.iter().rposition(|&byte| byte == b'\n') else { return Ok(Bytes::new()) };
            let whole: Vec<u8> = rest.drain(..=end).collect();
            let kept = whole.split_inclusive(|&byte| byte == b'\n').filter(|line| !self.is_lost(line));
            Ok(Bytes::from(kept.collect::<Vec<_>>().concat()))
        });
        Response::from_parts(head, Body::from_stream(lines))
    }

    fn is_lost(&self, line: &[u8]) -> bool {
        let mut faults = self.faults();
        let Some(every) = faults.lose_every else { return false };
        if line.starts_with(b"{\"type\":\"BOOKMARK\"") || line.starts_with(b"{\"type\":\"ERROR\"") {
            return false;
        }
        faults.events += 1;
        let is_lost = faults.events.is_multiple_of(every);
        faults.lost += usize::from(is_lost);
        is_lost
    }
}

/// Tells whether a request changes anything that a release's state is made of. Events and leases are no part of it.
fn is_write(method: &Method, uri: &Uri) -> bool {
    let is_writing = [Method::POST, Method::PUT, Method::PATCH, Method::DELETE].contains(method);
    let is_dry = uri.query().unwrap_or_default().contains("dryRun");
    let passes = ["/events", "/leases", "/selfsubject"].iter().any(|part| uri.path().contains(part));
    is_writing && !is_dry && !passes
}

/// Tells whether a path is that of a collection.
fn is_list(path: &str) -> bool {
    let parts: Vec<_> = path.trim_start_matches('/').split('/').collect();
    match parts.as_slice() {
        ["api", _, rest @ ..] | ["apis", _, _, rest @ ..] => {
            matches!(rest, [_] | ["namespaces", _, _])
        }
        _ => false,
    }
}

impl FaultyProxy {
    /// Stands between the server and those who use [`Self::kubeconfig`].
    pub async fn to(kubeconfig: &Path) -> Self {
        let text = fs::read_to_string(kubeconfig).expect("the kubeconfig can be read");
        let mut tree: Value = serde_yaml::from_str(&text).expect("the kubeconfig is YAML");
        let (authority, config) = certified();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("there is a free port");
        let address = listener.local_addr().expect("it has an address");
        let cluster = tree["clusters"][0]["cluster"].as_object_mut().expect("the kubeconfig has a cluster");
        cluster.remove("certificate-authority");
        cluster.insert("server".to_owned(), format!("https://{address}").into());
        cluster.insert("certificate-authority-data".to_owned(), STANDARD.encode(authority).into());
        let dir = tempfile::tempdir().expect("a folder can be made");
        fs::write(dir.path().join("kubeconfig"), tree.to_string()).expect("a file can be written");

        let client = cluster::client(kubeconfig).await;
        let state = Arc::new(State { client, faults: Mutex::default(), killed: watch::Sender::new(None) });
        let answering = state.clone();
        let app = Router::new().fallback(move |request| answering.clone().answer(request));
        let listener = TlsListener { listener, acceptor: TlsAcceptor::from(Arc::new(config)) };
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { dir, state }
    }

    pub fn kubeconfig(&self) -> PathBuf {
        self.dir.path().join("kubeconfig")
    }

    /// Says which process is the daemon, and passes on what it asks.
    pub fn serve(&self, pid: u32) {
        let mut faults = self.state.faults();
        faults.pid = Some(pid);
        faults.is_dead = false;
        self.state.killed.send_replace(None);
    }

    /// Kills the daemon at the write with that number, from 0, of those whose path has a part.
    pub fn kill_at(&self, part: &str, number: usize, moment: Moment) {
        self.state.faults().kill = Some(Kill { part: part.to_owned(), left: number, moment });
    }

    /// Waits until the daemon has been killed, and says at which write.
    pub async fn killed(&self) -> String {
        let mut killed = self.state.killed.subscribe();
        let killed = killed.wait_for(Option::is_some).await.expect("the sender is our own");
        killed.clone().unwrap_or_default()
    }

    /// Kills nobody any more.
    pub fn disarm(&self) {
        self.state.faults().kill = None;
    }

    /// The writes, in order, whose path has a part.
    pub fn writes(&self, part: &str) -> Vec<Write> {
        self.state.faults().writes.iter().filter(|write| write.path.contains(part)).cloned().collect()
    }

    /// Loses each event of this number of all watches; none where there is no number. Says how many were lost.
    pub fn lose_events(&self, every: Option<usize>) -> usize {
        let mut faults = self.state.faults();
        faults.lose_every = every;
        std::mem::take(&mut faults.lost)
    }

    /// From now on, lists are remembered as they are answered first.
    pub fn remember_lists(&self) {
        self.state.faults().lists.clear();
    }

    /// Answers lists as they were remembered, or as they are. Says how many were answered so.
    pub fn serve_old_lists(&self, old: bool) -> usize {
        let mut faults = self.state.faults();
        faults.is_stale = old;
        std::mem::take(&mut faults.stale_answers)
    }
}

/// Takes TLS connections; one that does not shake hands is let go.
struct TlsListener {
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let Ok((stream, address)) = self.listener.accept().await else { continue };
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}
