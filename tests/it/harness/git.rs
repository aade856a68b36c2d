//! A Git repository to push to, and `git http-backend` to read it from, which can be made to misbehave.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    body::{Body, Bytes},
    http::{HeaderName, HeaderValue, Response, StatusCode, header},
};
use futures::stream;
use tempfile::TempDir;

use super::{
    http::{Call, HttpServer, answer, unauthorized},
    programs::{must_run, program},
};

/// A bare repository, and a work tree that pushes to it.
pub struct GitRemote {
    dir: TempDir,
}

impl GitRemote {
    /// A remote with a branch `main` that has no commit yet.
    pub fn new() -> Self {
        let remote = Self { dir: tempfile::tempdir().expect("a folder can be made") };
        let path = |path: PathBuf| path.to_str().expect("the path is text").to_owned();
        let (bare, work) = (path(remote.bare()), path(remote.work()));
        Self::git_in(remote.dir.path(), &["init", "--quiet", "--bare", "--initial-branch=main", &bare]);
        // As the hosts of repositories do, so that a commit can be fetched by its name.
        Self::git_in(&remote.bare(), &["config", "uploadpack.allowReachableSHA1InWant", "true"]);
        Self::git_in(remote.dir.path(), &["clone", "--quiet", &bare, &work]);
        remote.git(&["checkout", "--quiet", "-B", "main"]);
        remote.git(&["config", "user.name", "Test"]);
        remote.git(&["config", "user.email", "test@case.test"]);
        remote
    }

    /// The bare repository.
    pub fn bare(&self) -> PathBuf {
        self.dir.path().join("repository.git")
    }

    /// The work tree.
    pub fn work(&self) -> PathBuf {
        self.dir.path().join("work")
    }

    /// Runs git in the work tree.
    pub fn git(&self, args: &[&str]) -> String {
        Self::git_in(&self.work(), args)
    }

    fn git_in(dir: &Path, args: &[&str]) -> String {
        let mut command = Command::new(program("git"));
        command.arg("-C").arg(dir).args(args);
        command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_SYSTEM", "/dev/null");
        must_run(&mut command)
    }

    /// Writes a file of the work tree.
    pub fn write(&self, path: &str, content: &str) {
        let path = self.work().join(path);
        fs::create_dir_all(path.parent().expect("a file is in a folder")).expect("a folder can be made");
        fs::write(path, content).expect("a file can be written");
    }

    pub fn remove(&self, path: &str) {
        fs::remove_file(self.work().join(path)).expect("the file is there");
    }

    /// Copies a folder of this repository into the work tree, as `to`.
    pub fn copy(&self, from: &Path, to: &str) {
        let to = self.work().join(to);
        fs::create_dir_all(to.parent().expect("a folder is in a folder")).expect("a folder can be made");
        must_run(Command::new("cp").arg("-rT").arg(from).arg(to));
    }

    /// Commits all that was changed and pushes it; returns the commit's name.
    pub fn push(&self, message: &str) -> String {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "-m", message]);
        self.git(&["push", "--quiet", "--force", "origin", "HEAD"]);
        self.git(&["rev-parse", "HEAD"]).trim().to_owned()
    }
}

/// How a [`GitServer`] treats who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Manner {
    Honest,
    /// It takes the request and never answers.
    Hang,
    /// It answers half of what it has to say and then no more.
    HangMidway,
    /// It announces a byte more than it sends for each that it sends, and closes the connection.
    Short,
    /// Its answer to a fetch never ends.
    Endless,
    /// Its answer to a fetch is this pack.
    Pack(Bytes),
    /// It answers with this status.
    Fail(u16),
}

/// `git http-backend` behind an HTTP server.
pub struct GitServer {
    http: HttpServer,
    manner: Arc<Mutex<Manner>>,
    fetches: Arc<AtomicUsize>,
}

impl GitServer {
    /// Serves a remote's repository at [`Self::url`] to everyone.
    pub fn serve(remote: &GitRemote) -> Self {
        Self::serve_to(remote, None)
    }

    /// Serves it to those who know the user's name and the password.
    pub fn serve_to(remote: &GitRemote, credentials: Option<(&str, &str)>) -> Self {
        let root = remote.dir.path().to_owned();
        let credentials = credentials.map(|(user, password)| (user.to_owned(), password.to_owned()));
        let manner = Arc::new(Mutex::new(Manner::Honest));
        let current = manner.clone();
        let fetches = Arc::new(AtomicUsize::new(0));
        let count = fetches.clone();
        let http = HttpServer::start(move |call| {
            let (root, credentials) = (root.clone(), credentials.clone());
            let counted = count.clone();
            let manner = current.lock().unwrap_or_else(PoisonError::into_inner).clone();
            async move {
                if credentials.as_ref().is_some_and(|(user, password)| !call.is_authorized((user, password))) {
                    return unauthorized();
                }
                if is_fetch(&call) {
                    counted.fetch_add(1, Ordering::Relaxed);
                }
                match manner {
                    Manner::Fail(status) => answer(StatusCode::from_u16(status).expect("a status"), "as told\n"),
                    Manner::Hang => std::future::pending().await,
                    Manner::Endless if is_fetch(&call) => endless(),
                    Manner::Pack(pack) if is_fetch(&call) => packed(&pack),
                    Manner::Honest | Manner::Endless | Manner::Pack(_) => backend(&root, &call),
                    Manner::HangMidway => halfway(backend(&root, &call)).await,
                    Manner::Short => short(backend(&root, &call)).await,
                }
            }
        });
        Self { http, manner, fetches }
    }

    pub fn url(&self) -> String {
        format!("{}/repository.git", self.http.url())
    }

    pub fn behave(&self, manner: Manner) {
        *self.manner.lock().unwrap_or_else(PoisonError::into_inner) = manner;
    }

    pub fn stop(&mut self) {
        self.http.stop();
    }

    pub fn start_again(&mut self) {
        self.http.start_again();
    }

    /// How many fetches were asked for; looking whether there is something new is none.
    pub fn fetches(&self) -> usize {
        self.fetches.load(Ordering::Relaxed)
    }

    /// How many times it was asked for its references.
    pub fn looks(&self) -> usize {
        self.http.calls().iter().filter(|call| call.starts_with("GET ")).count()
    }
}

/// In version 2 of the protocol the references are asked for at the same address.
fn is_fetch(call: &Call) -> bool {
    const LOOK: &[u8] = b"command=ls-refs";
    call.uri.path().ends_with("/git-upload-pack") && !call.body.windows(LOOK.len()).any(|window| window == LOOK)
}

/// Answers a request through the CGI program.
fn backend(root: &Path, call: &Call) -> Response<Body> {
    let mut command = Command::new(program("git"));
    command
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("PATH_INFO", call.uri.path())
        .env("QUERY_STRING", call.uri.query().unwrap_or_default())
        .env("REQUEST_METHOD", call.method.as_str())
        .env("CONTENT_TYPE", call.header(header::CONTENT_TYPE))
        .env("CONTENT_LENGTH", call.body.len().to_string())
        .env("HTTP_CONTENT_ENCODING", call.header(header::CONTENT_ENCODING))
        .env("GIT_PROTOCOL", call.header("git-protocol"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut child = command.spawn().expect("git http-backend can be run");
    let mut input = child.stdin.take().expect("it is piped");
    let body = call.body.clone();
    let feeding = std::thread::spawn(move || input.write_all(&body));
    let output = child.wait_with_output().expect("git http-backend ends").stdout;
    let _ = feeding.join();
    cgi_response(&output).unwrap_or_else(|| answer(StatusCode::BAD_GATEWAY, "not a CGI response\n"))
}

/// Reads `Name: value` lines, an empty line, and the body.
fn cgi_response(output: &[u8]) -> Option<Response<Body>> {
    let end = output.windows(4).position(|window| window == b"\r\n\r\n")?;
    let mut response = Response::new(Body::from(output[end + 4..].to_vec()));
    for line in std::str::from_utf8(&output[..end]).ok()?.lines() {
        let (name, value) = line.split_once(": ")?;
        if name.eq_ignore_ascii_case("status") {
            *response.status_mut() = StatusCode::from_bytes(value.get(..3)?.as_bytes()).ok()?;
        } else {
            response.headers_mut().insert(name.parse::<HeaderName>().ok()?, HeaderValue::from_str(value).ok()?);
        }
    }
    Some(response)
}

async fn halves(response: Response<Body>) -> (axum::http::response::Parts, Bytes, Bytes) {
    let (parts, body) = response.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.expect("the body is in memory");
    let half = body.len() / 2;
    (parts, body.slice(..half), body.slice(half..))
}

async fn halfway(response: Response<Body>) -> Response<Body> {
    let (parts, first, _) = halves(response).await;
    let stream = stream::unfold(Some(first), |left| async {
        match left {
            Some(chunk) => Some((Ok::<_, std::io::Error>(chunk), None)),
            None => std::future::pending().await,
        }
    });
    Response::from_parts(parts, Body::from_stream(stream))
}

async fn short(response: Response<Body>) -> Response<Body> {
    let (mut parts, first, second) = halves(response).await;
    let announced = HeaderValue::from(2 * (first.len() + second.len()));
    parts.headers.insert(header::CONTENT_LENGTH, announced);
    let cut = std::io::Error::other("cut as told");
    let whole = Bytes::from([first, second].concat());
    Response::from_parts(parts, Body::from_stream(stream::iter([Ok(whole), Err(cut)])))
}

/// The longest line of the protocol, its length included.
const LINE: usize = 65_520;

/// A line on side band 1, where packs are sent.
fn on_side_band(data: &[u8]) -> Vec<u8> {
    let mut line = format!("{:04x}\u{1}", data.len() + 5).into_bytes();
    line.extend_from_slice(data);
    line
}

/// This pack, as the answer to a fetch.
fn packed(pack: &[u8]) -> Response<Body> {
    let mut body = b"0008NAK\n".to_vec();
    body.extend(pack.chunks(LINE - 5).flat_map(on_side_band));
    body.extend_from_slice(b"0000");
    fetch_result(Body::from(body))
}

fn fetch_result(body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-git-upload-pack-result"));
    response
}

/// A pack without an end, a mebibyte at a time.
fn endless() -> Response<Body> {
    let chunk = Bytes::from(on_side_band(&vec![0; LINE - 5]).repeat(16));
    let opening = Bytes::from_static(b"0008NAK\n");
    let stream = stream::unfold((true, chunk), move |(is_first, chunk)| {
        let opening = opening.clone();
        async move {
            if !is_first {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            let next = if is_first { opening } else { chunk.clone() };
            Some((Ok::<_, std::io::Error>(next), (false, chunk)))
        }
    });
    fetch_result(Body::from_stream(stream))
}
