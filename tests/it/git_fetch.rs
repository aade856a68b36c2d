//! Git references fetched through the child process, from real servers and from those that misbehave.

use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use bowline::source::{
    git::{Git, GitCredentials, GitError, Outcome, Request, reference::Reference, url::GitUrl},
    secret::SecretData,
};
use tempfile::TempDir;

use crate::harness::{
    git::{GitRemote, GitServer, Manner},
    ssh::SshServer,
};

struct Fetcher {
    folder: TempDir,
    git: Git,
}

impl Fetcher {
    fn new() -> Self {
        let program = PathBuf::from(env!("CARGO_BIN_EXE_bowline"));
        Self { folder: tempfile::tempdir().unwrap(), git: Git::new(program, Vec::new()) }
    }

    fn request(&self, url: &str, secret: &[(&str, &str)]) -> Request {
        let url = GitUrl::parse(url).unwrap();
        let data: SecretData = secret.iter().map(|(key, value)| (*key, *value)).collect();
        let credentials = GitCredentials::new(&url, Some(&data)).unwrap();
        let reference = Reference { branch: Some("main".to_owned()), ..Reference::default() };
        let (repository, output) = (self.folder.path().join("repository"), self.folder.path().join("archive"));
        let mut request = Request::new(&url, reference, credentials, repository, output);
        request.timeout = Duration::from_secs(20);
        request
    }

    async fn fetch(&self, request: Request) -> Result<Outcome, GitError> {
        let _ = fs::remove_file(&request.output);
        self.git.fetch(request).await
    }

    async fn error(&self, request: Request) -> String {
        self.fetch(request).await.unwrap_err().to_string()
    }
}

fn remote() -> (GitRemote, String) {
    let remote = GitRemote::new();
    remote.write("staging/a.yaml", "a: 1\n");
    remote.push("first");
    let commit = remote.git(&["rev-parse", "HEAD"]).trim().to_owned();
    (remote, commit)
}

/// Waits until this process has no fetching child any more.
async fn children_are_gone() {
    let is_ours = |pid: &str| {
        let read = |file: &str| fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
        let parent = format!("PPid:\t{}\n", std::process::id());
        read("status").contains(&parent) && read("cmdline").contains("git-fetch")
    };
    let gone = async {
        loop {
            let pids = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.file_name());
            if !pids.into_iter().filter_map(|pid| pid.into_string().ok()).any(|pid| is_ours(&pid)) {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), gone).await.expect("the child is ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_branch_is_fetched_over_http_with_a_password_and_then_only_listed() {
    let (remote, commit) = remote();
    let server = GitServer::serve_to(&remote, Some(("deploy", "secret")));
    let fetcher = Fetcher::new();
    let mut request = fetcher.request(&server.url(), &[("username", "deploy"), ("password", "secret")]);
    let Outcome::Fetched(fetched) = fetcher.fetch(request.clone()).await.unwrap() else { panic!("nothing came") };
    assert_eq!(fetched.revision, format!("main@sha1:{commit}"));
    let fetches = server.fetches();
    request.previous = Some(fetched.revision.clone());
    let unchanged = Outcome::Unchanged { revision: fetched.revision };
    assert_eq!(fetcher.fetch(request).await.unwrap(), unchanged);
    assert_eq!(server.fetches(), fetches, "nothing was fetched");

    let wrong = fetcher.request(&server.url(), &[("username", "deploy"), ("password", "wrong-password")]);
    let error = fetcher.error(wrong).await;
    assert!(error.contains("authentication required") && !error.contains("wrong-password"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_hangs_is_given_up_and_stalls_nobody_else() {
    let (remote, _) = remote();
    for manner in [Manner::Hang, Manner::HangMidway] {
        let (silent, honest) = (GitServer::serve(&remote), GitServer::serve(&remote));
        silent.behave(manner);
        let (stuck, other) = (Fetcher::new(), Fetcher::new());
        let mut request = stuck.request(&silent.url(), &[]);
        request.timeout = Duration::from_secs(3);
        let started = Instant::now();
        let stuck_fetch = stuck.fetch(request);
        let other_fetch = async {
            let outcome = other.fetch(other.request(&honest.url(), &[])).await;
            (outcome, started.elapsed())
        };
        let (gave_up, (outcome, elapsed)) = tokio::join!(stuck_fetch, other_fetch);
        assert!(matches!(gave_up, Err(GitError::TimedOut { .. })), "{gave_up:?}");
        assert!(matches!(outcome, Ok(Outcome::Fetched(_))), "{outcome:?}");
        assert!(elapsed < Duration::from_secs(3), "the other one took {elapsed:?}");
        children_are_gone().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fetch_that_nobody_waits_for_is_ended() {
    let (remote, _) = remote();
    let server = GitServer::serve(&remote);
    server.behave(Manner::Hang);
    let fetcher = Fetcher::new();
    let fetch = fetcher.fetch(fetcher.request(&server.url(), &[]));
    assert!(tokio::time::timeout(Duration::from_secs(1), fetch).await.is_err());
    children_are_gone().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_send_too_much_or_too_little_are_told_apart() {
    let (remote, _) = remote();
    let server = GitServer::serve(&remote);
    let fetcher = Fetcher::new();
    server.behave(Manner::Endless);
    let mut request = fetcher.request(&server.url(), &[]);
    request.max_transfer = 1 << 20;
    let error = fetcher.error(request).await;
    assert!(error.starts_with("unable to clone"), "{error}");
    server.behave(Manner::Short);
    let error = fetcher.error(fetcher.request(&server.url(), &[])).await;
    assert!(error.starts_with("unable to clone"), "{error}");
    server.behave(Manner::Fail(503));
    let error = fetcher.error(fetcher.request(&server.url(), &[])).await;
    assert!(error.contains("503"), "{error}");
    server.behave(Manner::Honest);
    assert!(matches!(fetcher.fetch(fetcher.request(&server.url(), &[])).await, Ok(Outcome::Fetched(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn ssh_takes_the_deploy_key_and_only_a_known_host() {
    let (remote, commit) = remote();
    let server = SshServer::start().await;
    let fetcher = Fetcher::new();
    let (identity, known_hosts) = (server.identity(), server.known_hosts());
    let request = |identity: &str, known_hosts: &str| {
        fetcher.request(&server.url(&remote), &[("identity", identity), ("known_hosts", known_hosts)])
    };
    let Outcome::Fetched(fetched) = fetcher.fetch(request(&identity, &known_hosts)).await.unwrap() else {
        panic!("nothing came")
    };
    assert_eq!(fetched.commit, commit);

    let stranger = SshServer::start().await;
    let other_key = known_hosts.split_whitespace().next().unwrap().to_owned()
        + " "
        + &stranger.known_hosts().split_whitespace().skip(1).collect::<Vec<_>>().join(" ");
    for hosts in [other_key.as_str(), "example.com ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA==", "nonsense"] {
        let error = fetcher.error(request(&identity, hosts)).await;
        assert!(error.contains("host key"), "{hosts}: {error}");
    }
    let error = fetcher.error(request(&stranger.identity(), &known_hosts)).await;
    assert!(error.contains("unable to authenticate"), "{error}");
}
