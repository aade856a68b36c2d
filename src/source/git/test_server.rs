//! A Git repository served by `git http-backend`, for tests; and servers that misbehave.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use git2::{Oid, Repository, Signature, Time};

/// One request as the server saw it.
#[derive(Debug, Clone)]
pub struct Seen {
    pub line: String,
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

pub struct TestServer {
    _folder: tempfile::TempDir,
    pub repository: Repository,
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    clock: std::cell::Cell<i64>,
}

type Answer = Box<dyn Fn(&Seen, &Path) -> Vec<u8> + Send + Sync>;

impl TestServer {
    /// Serves an empty repository as `/repo.git`.
    pub fn start() -> Self {
        Self::answering(Box::new(backend))
    }

    /// Serves it to the one who shows the header `authorization` alone.
    pub fn with_authorization(expected: &'static str) -> Self {
        Self::answering(Box::new(move |seen, folder| {
            if seen.headers.get("authorization").map(String::as_str) == Some(expected) {
                backend(seen, folder)
            } else {
                b"HTTP/1.1 401 Unauthorized\r\nwww-authenticate: Basic\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_vec()
            }
        }))
    }

    pub fn answering(answer: Answer) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let repository = Repository::init_bare(folder.path().join("repo.git")).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let (heard, root, answer) = (seen.clone(), folder.path().to_owned(), Arc::new(answer));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (heard, root, answer) = (heard.clone(), root.clone(), answer.clone());
                thread::spawn(move || {
                    if let Some(request) = read_request(&stream) {
                        heard.lock().unwrap().push(request.clone());
                        let _ = (&stream).write_all(&answer(&request, &root));
                    }
                });
            }
        });
        Self { _folder: folder, repository, address, seen, clock: std::cell::Cell::new(1_700_000_000) }
    }

    pub fn url(&self) -> String {
        format!("http://{}/repo.git", self.address)
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// Forgets the requests so far.
    pub fn forget(&self) {
        self.seen.lock().unwrap().clear();
    }

    /// Commits files on top of a branch.
    pub fn commit(&self, branch: &str, files: &[(&str, &str)]) -> Oid {
        let name = format!("refs/heads/{branch}");
        let parent = self.repository.find_reference(&name).ok().map(|found| found.peel_to_commit().unwrap());
        let oid = self.commit_object(files, parent.as_ref().map(git2::Commit::id));
        self.repository.reference(&name, oid, true, "test").unwrap();
        oid
    }

    /// Writes a commit that no reference names.
    pub fn commit_object(&self, files: &[(&str, &str)], parent: Option<Oid>) -> Oid {
        let mut index = git2::Index::new().unwrap();
        for (path, text) in files {
            let id = self.repository.blob(text.as_bytes()).unwrap();
            let time = git2::IndexTime::new(0, 0);
            index
                .add(&git2::IndexEntry {
                    ctime: time,
                    mtime: time,
                    dev: 0,
                    ino: 0,
                    mode: 0o100_644,
                    uid: 0,
                    gid: 0,
                    file_size: 0,
                    id,
                    flags: 0,
                    flags_extended: 0,
                    path: path.as_bytes().to_vec(),
                })
                .unwrap();
        }
        let tree = self.repository.find_tree(index.write_tree_to(&self.repository).unwrap()).unwrap();
        self.clock.set(self.clock.get() + 1);
        let author = Signature::new("t", "t@example.com", &Time::new(self.clock.get(), 0)).unwrap();
        let parent = parent.map(|oid| self.repository.find_commit(oid).unwrap());
        let parents: Vec<&git2::Commit<'_>> = parent.iter().collect();
        self.repository.commit(None, &author, &author, "a subject\n\nbody", &tree, &parents).unwrap()
    }

    pub fn point(&self, name: &str, oid: Oid) {
        self.repository.reference(name, oid, true, "test").unwrap();
    }

    pub fn annotated_tag(&self, name: &str, oid: Oid) {
        let tagger = Signature::new("t", "t@example.com", &Time::new(self.clock.get(), 0)).unwrap();
        let object = self.repository.find_object(oid, None).unwrap();
        self.repository.tag(name, &object, &tagger, "tag", true).unwrap();
    }
}

fn read_request(stream: &TcpStream) -> Option<Seen> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut headers = BTreeMap::new();
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        match header.trim_end().split_once(':') {
            Some((name, value)) => headers.insert(name.to_ascii_lowercase(), value.trim().to_owned()),
            None => break,
        };
    }
    let length = headers.get("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Seen { line: line.trim_end().to_owned(), headers, body })
}

/// Answers as Git's own CGI program does.
pub fn backend(seen: &Seen, folder: &Path) -> Vec<u8> {
    let mut parts = seen.line.split(' ');
    let (method, target) = (parts.next().unwrap(), parts.next().unwrap());
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut child = Command::new("git")
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", folder)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("GIT_CONFIG_COUNT", "1")
        .env("GIT_CONFIG_KEY_0", "safe.directory")
        .env("GIT_CONFIG_VALUE_0", "*")
        .env("REQUEST_METHOD", method)
        .env("PATH_INFO", path)
        .env("QUERY_STRING", query)
        .env("CONTENT_TYPE", seen.headers.get("content-type").map_or("", String::as_str))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&seen.body).unwrap();
    let output = child.wait_with_output().unwrap().stdout;
    let at = output.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let head = String::from_utf8_lossy(&output[..at]).into_owned();
    let status = head.lines().find_map(|line| line.strip_prefix("Status: ")).unwrap_or("200 OK");
    let body = &output[at + 4..];
    let mut reply = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n", body.len());
    for line in head.lines().filter(|line| line.starts_with("Content-Type")) {
        reply.push_str(line);
        reply.push_str("\r\n");
    }
    [reply.as_bytes(), b"\r\n", body].concat()
}
