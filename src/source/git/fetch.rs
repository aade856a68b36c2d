//! What the child does: connect, list, choose, fetch, archive.

use std::cell::Cell;
use std::env;
use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use git2::{AutotagOption, Commit, Direction, FetchOptions, Oid, RemoteCallbacks, RemoteConnection, Repository};

use super::reference::{Advertised, Found, ReferenceError, Wanted, is_commit};
use super::ssh;
use super::transport::{HttpRemote, with_remote};
use super::tree::{self, TreeError};
use super::url::{GitUrl, Transport};
use super::{Failure, Fetched, Outcome, Request, Step};
use crate::source::archive::Limits;
use crate::source::http::Access;

/// Packs beyond which a kept repository is made anew: every fetch adds one, and nothing is ever repacked.
const MAX_PACKS: usize = 32;
/// The longest subject of a commit in messages.
const MAX_SUBJECT: usize = 50;
/// Where fetched references are kept.
const KEPT: &str = "refs/bowline/";

/// Fetches in the child process, whose home folder is the request's alone.
pub fn fetch_in_child(request: &Request) -> io::Result<Result<Outcome, Failure>> {
    if let (Some(ssh), Some(home)) = (&request.credentials.ssh, env::home_dir()) {
        ssh::write_known_hosts(&home, &ssh.known_hosts)?;
    }
    Ok(fetch(request))
}

/// Fetches what is asked for and writes the archive, all on this thread.
pub fn fetch(request: &Request) -> Result<Outcome, Failure> {
    let url = GitUrl::parse(&request.url).map_err(|error| failed(error.to_string()))?;
    let remote = match url.transport {
        Transport::Http => {
            let credentials = &request.credentials;
            let access = Access::new(&url.url, credentials.http.as_ref(), &credentials.tls, false)
                .map_err(|error| failed(error.to_string()))?;
            let remote = HttpRemote::new(access, request.max_transfer).map_err(|error| failed(error.to_string()))?;
            Some(Arc::new(remote))
        }
        Transport::Ssh => None,
    };
    let session = Session { request, url, why: Cell::new(None), suspect: Cell::new(false), http: remote.clone() };
    with_remote(remote, || session.run()).map_err(|error| failed(error.message().to_owned()))?
}

fn failed(message: String) -> Failure {
    Failure { step: Step::Fetch, message }
}

struct Session<'a> {
    request: &'a Request,
    url: GitUrl,
    /// Why a callback of ours ended the connection, which libgit2 does not hand on.
    why: Cell<Option<&'static str>>,
    /// The kept repository may be what is wrong.
    suspect: Cell<bool>,
    http: Option<Arc<HttpRemote>>,
}

impl Session<'_> {
    fn run(&self) -> Result<Outcome, Failure> {
        let (repository, kept) = self.open(false)?;
        match self.run_in(&repository) {
            // What was kept may be what is wrong: cut off by a crash, or shallow where all is needed.
            Err(_) if kept && self.suspect.get() && !self.was_refused() => {
                let (repository, _) = self.open(true)?;
                self.run_in(&repository)
            }
            outcome => outcome,
        }
    }

    /// True when the remote refused, so that asking again would give the same.
    fn was_refused(&self) -> bool {
        self.http.as_ref().is_some_and(|http| http.failure().is_some())
    }

    fn suspicious(&self, error: &git2::Error) -> Failure {
        self.suspect.set(!is_ours(error));
        self.failed(error)
    }

    fn open(&self, anew: bool) -> Result<(Repository, bool), Failure> {
        let path = &self.request.repository;
        if !anew
            && pack_count(path) <= MAX_PACKS
            && let Ok(repository) = Repository::open_bare(path)
        {
            return Ok((repository, true));
        }
        let made = match fs::remove_dir_all(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.to_string()),
            _ => fs::create_dir_all(path).map_err(|error| error.to_string()),
        };
        made.and_then(|()| Repository::init_bare(path).map_err(|error| error.message().to_owned()))
            .map(|repository| (repository, false))
            .map_err(|reason| failed(format!("failed to prepare the local repository: {reason}")))
    }

    fn run_in(&self, repository: &Repository) -> Result<Outcome, Failure> {
        let mut remote = repository.remote_anonymous(self.url.url.as_str()).map_err(|error| self.failed(&error))?;
        let mut connection =
            remote.connect_auth(Direction::Fetch, Some(self.callbacks()), None).map_err(|error| self.failed(&error))?;
        let advertised = list(&connection).map_err(|error| self.failed(&error))?;
        if advertised.is_empty() {
            return Ok(Outcome::Empty);
        }
        let reference = &self.request.reference;
        let wanted = reference.wanted();
        let found = match wanted {
            Wanted::Commit { commit, branch } => {
                return self.commit(repository, &mut connection, commit, branch, &advertised);
            }
            _ => wanted.find(&advertised).map_err(|error| self.unfound(&error))?,
        };
        if let [only] = found.as_slice() {
            let revision = reference.revision(Some(&only.name), &only.commit);
            if self.request.previous.as_deref() == Some(revision.as_str()) {
                return Ok(Outcome::Unchanged { revision });
            }
        }
        let newest = self.newest(repository, &mut connection, &found)?;
        let (name, commit) = newest;
        let revision = reference.revision(Some(&name), &commit.id().to_string());
        if self.request.previous.as_deref() == Some(revision.as_str()) {
            return Ok(Outcome::Unchanged { revision });
        }
        self.archive(repository, &commit, revision)
    }

    /// Fetches all candidates and returns the one whose commit is newest; among equals the last by name.
    fn newest<'r>(
        &self,
        repository: &'r Repository,
        connection: &mut RemoteConnection<'_, '_, '_>,
        found: &[Found],
    ) -> Result<(String, Commit<'r>), Failure> {
        let specs: Vec<String> =
            found.iter().enumerate().map(|(number, found)| format!("+{}:{KEPT}{number}", found.name)).collect();
        self.download(repository, connection, &specs, 1)?;
        let mut best: Option<(String, Commit<'r>)> = None;
        for candidate in found {
            let commit = Oid::from_str(&candidate.commit)
                .and_then(|oid| repository.find_object(oid, None)?.peel_to_commit())
                .map_err(|error| self.suspicious(&error))?;
            let newer = best.as_ref().is_none_or(|(_, top)| commit.time().seconds() >= top.time().seconds());
            if newer {
                best = Some((candidate.name.clone(), commit));
            }
        }
        best.ok_or_else(|| self.unusable("no candidate"))
    }

    /// Finds a commit: at the tip of a reference with one commit's worth of data, else in the whole history of the branch
    /// or of all branches and tags. It must be reachable: a server may hold commits of others' forks.
    fn commit(
        &self,
        repository: &Repository,
        connection: &mut RemoteConnection<'_, '_, '_>,
        commit: &str,
        branch: Option<&str>,
        advertised: &[Advertised],
    ) -> Result<Outcome, Failure> {
        let absent = || failed(format!("unable to resolve commit object for '{commit}': object not found"));
        if !is_commit(commit) {
            return Err(absent());
        }
        let branch = branch.map(|branch| format!("refs/heads/{branch}"));
        let revision = self.request.reference.revision(branch.as_deref(), commit);
        if self.request.previous.as_deref() == Some(revision.as_str()) {
            return Ok(Outcome::Unchanged { revision });
        }
        let within = |name: &str| match &branch {
            Some(branch) => name == branch,
            None => name.starts_with("refs/heads/") || name.starts_with("refs/tags/"),
        };
        if let Some(branch) = &branch {
            Wanted::Name(branch).find(advertised).map_err(|error| self.unusable(&error.to_string()))?;
        }
        let tip = advertised.iter().find(|reference| reference.oid == commit && within(&reference.name));
        match (tip, &branch) {
            (Some(tip), _) => {
                let name = tip.name.trim_end_matches("^{}");
                self.download(repository, connection, &[format!("+{name}:{KEPT}tip")], 1)?;
            }
            (None, Some(branch)) => self.download(repository, connection, &[format!("+{branch}:{KEPT}branch")], 0)?,
            (None, None) => {
                let specs = [format!("+refs/heads/*:{KEPT}heads/*"), format!("+refs/tags/*:{KEPT}tags/*")];
                self.download(repository, connection, &specs, 0)?;
            }
        }
        let oid = Oid::from_str(commit).map_err(|error| self.failed(&error))?;
        let found = repository.find_commit(oid).map_err(|_| absent())?;
        if tip.is_none() && !is_reachable(repository, oid).map_err(|error| self.failed(&error))? {
            return Err(absent());
        }
        self.archive(repository, &found, revision)
    }

    fn download(
        &self,
        repository: &Repository,
        connection: &mut RemoteConnection<'_, '_, '_>,
        specs: &[String],
        depth: i32,
    ) -> Result<(), Failure> {
        if depth == 0 && repository.is_shallow() {
            // libgit2 does not deepen well; the caller starts over with an empty repository.
            self.suspect.set(true);
            return Err(failed("the kept repository is shallow".to_owned()));
        }
        for mut kept in repository.references_glob(&format!("{KEPT}*")).into_iter().flatten().flatten() {
            kept.delete().map_err(|error| self.suspicious(&error))?;
        }
        let mut options = FetchOptions::new();
        options
            .remote_callbacks(self.callbacks())
            .download_tags(AutotagOption::None)
            .update_fetchhead(false)
            .depth(depth);
        connection.remote().fetch(specs, Some(&mut options), None).map_err(|error| self.suspicious(&error))
    }

    fn callbacks(&self) -> RemoteCallbacks<'_> {
        let mut callbacks = match &self.request.credentials.ssh {
            Some(credentials) => ssh::callbacks(self.url.url.username(), credentials, &self.why),
            None => RemoteCallbacks::new(),
        };
        let (max_bytes, max_objects) = (self.request.max_transfer, self.request.max_objects);
        callbacks.transfer_progress(move |progress| {
            if progress.received_bytes() as u64 > max_bytes {
                self.why.set(Some("the remote sends more bytes than are allowed"));
                return false;
            }
            if progress.total_objects() > max_objects {
                self.why.set(Some("the remote sends more objects than are allowed"));
                return false;
            }
            true
        });
        callbacks
    }

    fn archive(&self, repository: &Repository, commit: &Commit<'_>, revision: String) -> Result<Outcome, Failure> {
        let (packed, expanded, entries) = self.request.limits;
        let limits = Limits { packed, expanded, entries };
        let not_written = |message: String| Failure { step: Step::Archive, message };
        let out = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&self.request.output)
            .map_err(|error| not_written(error.to_string()))?;
        let buffered = io::BufWriter::new(out);
        let written = tree::archive(repository, commit.tree_id(), self.request.ignore.as_deref(), limits, buffered)
            .map_err(|error| {
                let step = match &error {
                    TreeError::Object { .. } | TreeError::Name { .. } | TreeError::TooLarge { .. } => Step::Fetch,
                    TreeError::Ignore(_) => Step::Ignore,
                    TreeError::Archive(_) => Step::Archive,
                };
                self.suspect.set(matches!(error, TreeError::Object { .. }));
                let _ = fs::remove_file(&self.request.output);
                Failure { step, message: error.to_string() }
            })?;
        let message = String::from_utf8_lossy(commit.message_bytes());
        Ok(Outcome::Fetched(Fetched {
            revision,
            commit: commit.id().to_string(),
            subject: subject(&message),
            digest: written.digest,
            size: written.size,
        }))
    }

    fn failed(&self, error: &git2::Error) -> Failure {
        let from_http = self.http.as_ref().and_then(|http| http.failure());
        let reason = match (from_http, self.why.get()) {
            (Some(text), _) => text,
            (None, Some(why)) if is_ours(error) => why.to_owned(),
            (None, _) => error.message().to_owned(),
        };
        self.unusable(&reason)
    }

    /// What a reference asks for is not there. Only of a missing branch or tag Flux says that it could not be cloned.
    fn unfound(&self, error: &ReferenceError) -> Failure {
        match error {
            ReferenceError::NotFound { .. } => self.unusable(&error.to_string()),
            _ => failed(error.to_string()),
        }
    }

    fn unusable(&self, reason: &str) -> Failure {
        failed(format!("unable to clone '{}': {reason}", self.url.shown()))
    }
}

fn is_reachable(repository: &Repository, commit: Oid) -> Result<bool, git2::Error> {
    let mut walk = repository.revwalk()?;
    for reference in repository.references_glob(&format!("{KEPT}*"))? {
        if let Ok(tip) = reference?.peel_to_commit() {
            walk.push(tip.id())?;
        }
    }
    for oid in walk {
        if oid? == commit {
            return Ok(true);
        }
    }
    Ok(false)
}

/// True when a callback of ours ended the operation, or the host key was not accepted.
fn is_ours(error: &git2::Error) -> bool {
    use git2::{ErrorClass, ErrorCode};
    matches!(error.code(), ErrorCode::User | ErrorCode::Certificate | ErrorCode::Auth)
        || matches!(error.class(), ErrorClass::Callback)
}

fn list(connection: &RemoteConnection<'_, '_, '_>) -> Result<Vec<Advertised>, git2::Error> {
    let heads = connection.list()?;
    Ok(heads.iter().map(|head| Advertised { name: head.name().to_owned(), oid: head.oid().to_string() }).collect())
}

fn pack_count(repository: &Path) -> usize {
    let packs = fs::read_dir(repository.join("objects/pack"));
    packs.map_or(0, |packs| {
        packs.flatten().filter(|entry| entry.path().extension().is_some_and(|e| e == "pack")).count()
    })
}

/// Cuts the first line of a message to 50 characters, as Flux does in its events.
fn subject(message: &str) -> String {
    let line = message.lines().next().unwrap_or_default();
    match line.char_indices().nth(MAX_SUBJECT) {
        Some((at, _)) => format!("{}...", &line[..at]),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::reference::Reference;
    use super::super::test_server::{TestServer, backend};
    use super::super::{Fetched, GitCredentials};
    use super::*;
    use crate::source::archive::{ARTIFACT_LIMITS, Files, digest};
    use crate::source::http::Credentials;
    use crate::source::secret::Redacted;

    struct Client {
        folder: tempfile::TempDir,
        request: Request,
    }

    impl Client {
        fn new(server: &TestServer) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let url = GitUrl::parse(&server.url()).unwrap();
            let reference = Reference { branch: Some("main".into()), ..Reference::default() };
            let (repository, output) = (folder.path().join("repository"), folder.path().join("archive"));
            let mut request = Request::new(&url, reference, GitCredentials::default(), repository, output);
            request.timeout = Duration::from_secs(10);
            Self { folder, request }
        }

        fn with(mut self, set: impl FnOnce(&mut Request)) -> Self {
            set(&mut self.request);
            self
        }

        fn refer(self, set: impl FnOnce(&mut Reference)) -> Self {
            self.with(|request| {
                request.reference = Reference::default();
                set(&mut request.reference);
            })
        }

        fn fetch(&self) -> Result<Outcome, Failure> {
            let _ = fs::remove_file(&self.request.output);
            fetch(&self.request)
        }

        fn fetched(&self) -> (Fetched, Vec<String>) {
            let Outcome::Fetched(fetched) = self.fetch().unwrap() else { panic!("nothing was fetched") };
            let bytes = fs::read(&self.request.output).unwrap();
            assert_eq!((digest(&bytes), bytes.len() as u64), (fetched.digest.clone(), fetched.size));
            let files = Files::from_tar_gz(&bytes, ARTIFACT_LIMITS).unwrap();
            (fetched, files.iter().map(|file| file.path.to_owned()).collect())
        }

        fn error(&self) -> String {
            self.fetch().unwrap_err().message
        }
    }

    #[test]
    fn a_branch_is_fetched_and_then_left_alone_until_it_moves() {
        let server = TestServer::start();
        let first = server.commit("main", &[("a.yaml", "a: 1"), ("sub/b.yaml", "b: 2")]);
        let mut client = Client::new(&server);
        let (fetched, files) = client.fetched();
        assert_eq!(fetched.revision, format!("main@sha1:{first}"));
        assert_eq!(fetched.subject, "a subject");
        assert_eq!(files, ["a.yaml", "sub/b.yaml"]);

        client.request.previous = Some(fetched.revision.clone());
        server.forget();
        assert_eq!(client.fetch().unwrap(), Outcome::Unchanged { revision: fetched.revision });
        assert_eq!(server.seen().len(), 1, "the listing alone");

        let second = server.commit("main", &[("a.yaml", "a: 2")]);
        let (fetched, files) = client.fetched();
        assert_eq!((fetched.commit, files), (second.to_string(), vec!["a.yaml".to_owned()]));
    }

    #[test]
    fn the_first_fetch_is_shallow() {
        let server = TestServer::start();
        let mut last = server.commit("main", &[("a", "0")]);
        for number in 1..20 {
            last = server.commit("main", &[("a", &number.to_string())]);
        }
        let client = Client::new(&server);
        client.fetched();
        let repository = Repository::open_bare(&client.request.repository).unwrap();
        assert!(repository.is_shallow());
        let parent = repository.find_commit(last).unwrap().parent_id(0).unwrap();
        assert!(repository.find_commit(parent).is_err());
        let next = server.commit("main", &[("a", "next")]);
        assert_eq!(client.fetched().0.commit, next.to_string());
    }

    #[test]
    fn a_force_push_and_a_deleted_branch_are_seen() {
        let server = TestServer::start();
        server.commit("main", &[("a", "1")]);
        server.commit("main", &[("a", "2")]);
        let client = Client::new(&server);
        client.fetched();
        let other = server.commit_object(&[("b", "1")], None);
        server.point("refs/heads/main", other);
        assert_eq!(client.fetched().1, ["b"]);
        server.point("refs/heads/other", other);
        server.repository.find_reference("refs/heads/main").unwrap().delete().unwrap();
        let error = client.error();
        assert!(error.contains("couldn't find remote ref \"refs/heads/main\""), "{error}");
    }

    #[test]
    fn tags_ranges_and_names_lead_to_their_commits() {
        let server = TestServer::start();
        let old = server.commit("main", &[("old", "")]);
        server.annotated_tag("v0.1.0", old);
        let new = server.commit("main", &[("new", "")]);
        server.point("refs/tags/v0.2.0+b", new);
        let newest = server.commit("main", &[("newest", "")]);
        server.point("refs/tags/v0.2.0+a", newest);
        server.point("refs/pull/420/head", old);
        let of = |set: &dyn Fn(&mut Reference)| {
            let (fetched, files) = Client::new(&server).refer(set).fetched();
            (fetched.revision, files[0].clone())
        };
        assert_eq!(of(&|r| r.tag = Some("v0.1.0".into())), (format!("v0.1.0@sha1:{old}"), "old".into()));
        assert_eq!(
            of(&|r| r.semver = Some("0.x".into())),
            (format!("v0.2.0+a@sha1:{newest}"), "newest".into()),
            "among equal versions the newest commit"
        );
        assert_eq!(
            of(&|r| r.name = Some("refs/pull/420/head".into())),
            (format!("refs/pull/420/head@sha1:{old}"), "old".into())
        );
        assert_eq!(of(&|r| r.name = Some("refs/tags/v0.1.0".into())).0, format!("refs/tags/v0.1.0@sha1:{old}"));
    }

    #[test]
    fn a_commit_is_found_in_history_and_only_there() {
        let server = TestServer::start();
        let old = server.commit("main", &[("old", "")]);
        server.commit("main", &[("new", "")]);
        server.commit("side", &[("side", "")]);
        let nowhere = server.commit_object(&[("fork", "")], None);
        server.point("refs/pull/1/head", nowhere);
        let commit = |oid: Oid, branch: Option<&str>| {
            Client::new(&server).refer(|r| {
                r.commit = Some(oid.to_string());
                r.branch = branch.map(ToOwned::to_owned);
            })
        };
        assert_eq!(commit(old, None).fetched().0.revision, format!("sha1:{old}"));
        assert_eq!(commit(old, Some("main")).fetched().0.revision, format!("main@sha1:{old}"));
        assert!(commit(old, Some("side")).error().contains("object not found"));
        assert!(commit(nowhere, None).error().contains("object not found"));

        // A repository that was kept shallow is made anew.
        let mut client = Client::new(&server);
        client.fetched();
        client.request.reference.commit = Some(old.to_string());
        assert_eq!(client.fetched().0.commit, old.to_string());
    }

    #[test]
    fn a_kept_repository_that_is_broken_is_made_anew() {
        let server = TestServer::start();
        server.commit("main", &[("a", "1")]);
        let client = Client::new(&server);
        client.fetched();
        for entry in fs::read_dir(client.request.repository.join("objects/pack")).unwrap() {
            fs::remove_file(entry.unwrap().path()).unwrap();
        }
        assert_eq!(client.fetched().1, ["a"]);
    }

    #[test]
    fn an_empty_repository_is_told_apart() {
        let server = TestServer::start();
        assert_eq!(Client::new(&server).fetch().unwrap(), Outcome::Empty);
    }

    #[test]
    fn credentials_are_shown_to_the_remote_and_in_no_error() {
        let server = TestServer::with_authorization("Basic dXNlcjpodW50ZXIy");
        server.commit("main", &[("a", "")]);
        let basic = |password: &str| {
            Some(Credentials::Basic { username: "user".into(), password: Redacted::new(password.into()) })
        };
        let error = Client::new(&server).with(|r| r.credentials.http = basic("wrong-secret")).error();
        assert!(error.contains("authentication required") && !error.contains("wrong-secret"), "{error}");
        Client::new(&server).with(|r| r.credentials.http = basic("hunter2")).fetched();
        let in_url = server.url().replace("http://", "http://user:hunter2@");
        Client::new(&server).with(|r| r.url = in_url).fetched();

        let server = TestServer::with_authorization("Bearer token");
        server.commit("main", &[("a", "")]);
        Client::new(&server)
            .with(|r| r.credentials.http = Some(Credentials::Bearer(Redacted::new("token".into()))))
            .fetched();
    }

    #[test]
    fn a_moved_repository_is_followed_without_credentials() {
        let target = TestServer::start();
        let commit = target.commit("main", &[("a", "")]);
        let base = target.url();
        let server = TestServer::answering(Box::new(move |seen, _| {
            let query =
                seen.line.split(' ').nth(1).and_then(|path| path.split_once("/repo.git")).map_or("", |(_, rest)| rest);
            format!("HTTP/1.1 301 Moved\r\nlocation: {base}{query}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
                .into_bytes()
        }));
        let basic = Credentials::Basic { username: "user".into(), password: Redacted::new("hunter2".into()) };
        let client = Client::new(&server).with(|r| r.credentials.http = Some(basic));
        assert_eq!(client.fetched().0.commit, commit.to_string());
        assert!(server.seen()[0].headers.contains_key("authorization"));
        assert!(target.seen().iter().all(|seen| !seen.headers.contains_key("authorization")));
    }

    #[test]
    fn what_is_no_git_server_is_named() {
        let page = TestServer::answering(Box::new(|_, _| {
            b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello"
                .to_vec()
        }));
        let error = Client::new(&page).error();
        assert!(error.contains("does not serve Git's smart protocol"), "{error}");
        let missing = TestServer::start();
        let error = Client::new(&missing).with(|r| r.url = missing.url().replace("repo", "gone")).error();
        assert!(error.contains("repository not found"), "{error}");
    }

    #[test]
    fn more_than_allowed_is_not_taken() {
        let server = TestServer::start();
        let noise: String = (0..50_000_u64).map(|n| char::from(b'a' + (n * n * 7919 % 26) as u8)).collect();
        server.commit("main", &[("noise", &noise)]);
        let error = Client::new(&server).with(|r| r.max_transfer = 500).error();
        assert!(error.contains("more than is allowed") || error.contains("more bytes"), "{error}");
        let error = Client::new(&server).with(|r| r.max_objects = 1).error();
        assert!(error.contains("more objects"), "{error}");
        let error = Client::new(&server).with(|r| r.limits.1 = 1000).error();
        assert!(error.contains("exceeds the limit of 1000 bytes"), "{error}");
    }

    #[test]
    fn a_pack_that_lies_about_its_content_is_an_error() {
        let server = TestServer::answering(Box::new(|seen, folder| {
            if !seen.line.starts_with("POST") {
                return backend(seen, folder);
            }
            // A pack of four billion objects, of which none comes.
            let pack = [b"PACK".as_slice(), &2_u32.to_be_bytes(), &u32::MAX.to_be_bytes()].concat();
            let lines =
                [b"0008NAK\n".as_slice(), format!("{:04x}\x01", pack.len() + 5).as_bytes(), &pack, b"0000"].concat();
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/x-git-upload-pack-result\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                lines.len()
            );
            [head.as_bytes(), &lines].concat()
        }));
        server.commit("main", &[("a", "")]);
        let error = Client::new(&server).error();
        assert!(error.starts_with("unable to clone"), "{error}");
    }

    #[test]
    fn ignored_files_stay_out() {
        let server = TestServer::start();
        server.commit("main", &[("a.yaml", ""), ("b.png", ""), (".gitignore", ""), ("docs/x.md", "")]);
        assert_eq!(Client::new(&server).fetched().1, ["a.yaml", "docs/x.md"]);
        let client = Client::new(&server).with(|r| r.ignore = Some("/docs/\n".into()));
        assert_eq!(client.fetched().1, ["a.yaml", "b.png"]);
        assert!(client.folder.path().exists());
    }

    #[test]
    fn a_subject_is_the_first_line_cut_at_fifty_characters() {
        assert_eq!(subject("short\n\nbody"), "short");
        assert_eq!(subject(&"ä".repeat(51)), format!("{}...", "ä".repeat(50)));
        assert_eq!(subject(""), "");
    }
}
