//! Smart HTTP for libgit2, over our own HTTP policy.
//!
//! libgit2's own client knows neither client certificates nor a way to keep credentials from another host, and its
//! timeouts are global. It hands over each request through a subtransport instead.

// `git2::transport::register` asks that no transport is made at the same time; `Once` sees to the registration itself,
// and every fetch passes it before it makes a transport.
#![allow(unsafe_code)]

use std::cell::RefCell;
use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex, Once, PoisonError};

use ::http::{HeaderMap, HeaderValue, Method, header};
use git2::transport::{Service, SmartSubtransport, SmartSubtransportStream, Transport};
use reqwest::{Response, Url};

use crate::source::http::{self, Access};

/// What one fetch needs to reach its remote over HTTP.
pub struct HttpRemote {
    runtime: tokio::runtime::Runtime,
    access: Access,
    /// Bytes that may still come.
    allowance: Mutex<u64>,
    /// Where the reference listing was found after redirects, without the service's part.
    base: Mutex<Option<Url>>,
    /// The first thing that went wrong; libgit2 keeps only its text.
    failure: Mutex<Option<String>>,
}

impl HttpRemote {
    /// Prepares the remote; `max_bytes` bounds all responses together.
    pub fn new(access: Access, max_bytes: u64) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self {
            runtime,
            access,
            allowance: Mutex::new(max_bytes),
            base: Mutex::default(),
            failure: Mutex::default(),
        })
    }

    /// Returns what went wrong first.
    pub fn failure(&self) -> Option<String> {
        lock(&self.failure).clone()
    }

    fn failed(&self, text: String) -> String {
        lock(&self.failure).get_or_insert_with(|| text.clone());
        text
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

thread_local! {
    /// The remote of the fetch that runs on this thread: libgit2 asks for a transport with nothing but an address.
    static CURRENT: RefCell<Option<Arc<HttpRemote>>> = const { RefCell::new(None) };
}

/// Runs something that fetches on this thread, with `remote` as what every http(s) address leads to.
pub fn with_remote<T>(remote: Option<Arc<HttpRemote>>, run: impl FnOnce() -> T) -> Result<T, git2::Error> {
    static REGISTERED: Once = Once::new();
    let mut outcome = Ok(());
    REGISTERED.call_once(|| {
        for scheme in ["http", "https"] {
            // SAFETY: `Once` runs this alone, and no transport is made before it has run.
            let registered = unsafe {
                git2::transport::register(scheme, |remote| {
                    let current = CURRENT.with_borrow(Clone::clone);
                    let current = current.ok_or_else(|| git2::Error::from_str("no HTTP remote is configured"))?;
                    Transport::smart(remote, true, Subtransport(current))
                })
            };
            outcome = outcome.as_ref().map_err(|e: &git2::Error| git2::Error::from_str(e.message())).and(registered);
        }
    });
    outcome?;
    CURRENT.set(remote);
    let result = run();
    CURRENT.set(None);
    Ok(result)
}

struct Subtransport(Arc<HttpRemote>);

impl SmartSubtransport for Subtransport {
    fn action(&self, url: &str, action: Service) -> Result<Box<dyn SmartSubtransportStream>, git2::Error> {
        let stream = self.open(url, action).map_err(|text| git2::Error::from_str(&self.0.failed(text)))?;
        Ok(Box::new(stream))
    }

    fn close(&self) -> Result<(), git2::Error> {
        Ok(())
    }
}

impl Subtransport {
    fn open(&self, url: &str, action: Service) -> Result<Stream, String> {
        let base = lock(&self.0.base).clone();
        let base = match base {
            Some(base) => base,
            None => Url::parse(url).map_err(|error| error.to_string())?,
        };
        let state = match action {
            Service::UploadPackLs => State::Reading(self.list(&base)?),
            Service::UploadPack => State::Writing { url: below(&base, "git-upload-pack"), body: Vec::new() },
            Service::ReceivePackLs | Service::ReceivePack => return Err("pushing is not supported".to_owned()),
        };
        Ok(Stream { remote: self.0.clone(), state, chunk: Vec::new(), at: 0 })
    }

    fn list(&self, base: &Url) -> Result<Response, String> {
        let mut url = below(base, "info/refs");
        url.set_query(Some("service=git-upload-pack"));
        let response = ask(&self.0, Method::GET, &url, "application/x-git-upload-pack-advertisement", &[])?;
        let mut found = response.url().clone();
        if let Some(path) = found.path().strip_suffix("/info/refs").map(ToOwned::to_owned) {
            found.set_path(&path);
            found.set_query(None);
            // The address that answered carries no user and password; the origin's credentials are in `access`.
            *lock(&self.0.base) = Some(found);
        }
        Ok(response)
    }
}

fn below(base: &Url, name: &str) -> Url {
    let mut url = base.clone();
    url.set_path(&format!("{}/{name}", base.path().trim_end_matches('/')));
    url
}

fn ask(
    remote: &HttpRemote,
    method: Method,
    url: &Url,
    expected: &'static str,
    body: &[u8],
) -> Result<Response, String> {
    let mut headers = HeaderMap::new();
    headers.insert(header::ACCEPT, HeaderValue::from_static(expected));
    if method == Method::POST {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-git-upload-pack-request"));
    }
    let response =
        remote.runtime.block_on(remote.access.send(method, url, &headers, body)).map_err(|error| error.to_string())?;
    match response.status().as_u16() {
        200 => {}
        401 => return Err("authentication required".to_owned()),
        403 => return Err("authorization failed".to_owned()),
        404 | 410 => return Err("repository not found".to_owned()),
        _ => return Err(format!("unexpected status {} of {}", response.status(), http::shown(url))),
    }
    let kind = response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if kind.and_then(|kind| kind.split(';').next()).map(str::trim) != Some(expected) {
        return Err(format!("{} does not serve Git's smart protocol", http::shown(url)));
    }
    Ok(response)
}

enum State {
    /// Collects a request until the first read.
    Writing {
        url: Url,
        body: Vec<u8>,
    },
    Reading(Response),
    Done,
}

struct Stream {
    remote: Arc<HttpRemote>,
    state: State,
    chunk: Vec<u8>,
    at: usize,
}

impl Stream {
    fn next_chunk(&mut self) -> Result<bool, String> {
        let state = std::mem::replace(&mut self.state, State::Done);
        let mut response = match state {
            State::Writing { url, body } => {
                ask(&self.remote, Method::POST, &url, "application/x-git-upload-pack-result", &body)?
            }
            State::Reading(response) => response,
            State::Done => return Ok(false),
        };
        let chunk = self.remote.runtime.block_on(http::next_chunk(&mut response)).map_err(|error| error.to_string())?;
        let Some(chunk) = chunk else { return Ok(false) };
        let mut allowance = lock(&self.remote.allowance);
        *allowance = allowance
            .checked_sub(chunk.len() as u64)
            .ok_or_else(|| "the remote sends more than is allowed".to_owned())?;
        self.chunk.clear();
        self.chunk.extend_from_slice(&chunk);
        self.at = 0;
        self.state = State::Reading(response);
        Ok(true)
    }
}

impl Read for Stream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while self.at == self.chunk.len() {
            match self.next_chunk() {
                Ok(true) => {}
                Ok(false) => return Ok(0),
                Err(text) => return Err(io::Error::other(self.remote.failed(text))),
            }
        }
        let count = buf.len().min(self.chunk.len() - self.at);
        buf[..count].copy_from_slice(&self.chunk[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

impl Write for Stream {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match &mut self.state {
            State::Writing { body, .. } => {
                body.extend_from_slice(buf);
                Ok(buf.len())
            }
            State::Reading(_) | State::Done => Err(io::Error::other("the request was sent already")),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
