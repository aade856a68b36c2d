//! Git references fetched through the child process, from real servers and from those that misbehave.

use std::{
    fs,
    io::Write as _,
    path::PathBuf,
    time::{Duration, Instant},
};

use bowline::source::{
    git::{Git, GitCredentials, GitError, Outcome, Request, reference::Reference, url::GitUrl},
    secret::SecretData,
};
use flate2::{Compression, write::ZlibEncoder};
use sha1::{Digest as _, Sha1};
use tempfile::TempDir;

use crate::harness::{
    git::{GitRemote, GitServer, Manner},
    ssh::SshServer,
    tls::TlsFront,
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

#[tokio::test(flavor = "multi_thread")]
async fn https_is_trusted_by_the_authority_of_the_secret_alone() {
    let (remote, commit) = remote();
    let server = GitServer::serve_to(&remote, Some(("deploy", "secret")));
    let front = TlsFront::to(server.url().trim_end_matches("/repository.git")).await;
    let url = format!("{}/repository.git", front.url());
    let fetcher = Fetcher::new();
    let secret = |authority| [("username", "deploy"), ("password", "secret"), ("ca.crt", authority)];
    let Outcome::Fetched(fetched) = fetcher.fetch(fetcher.request(&url, &secret(front.authority()))).await.unwrap()
    else {
        panic!("nothing came")
    };
    assert_eq!(fetched.commit, commit);

    let other = TlsFront::to(&server.url().replace("/repository.git", "")).await;
    for secret in [&secret(front.authority())[..2], &secret(other.authority())] {
        let error = fetcher.error(fetcher.request(&url, secret)).await;
        assert!(error.contains("certificate"), "{error}");
    }
}

/// A pack of one blob whose header says that it has `size` bytes; `data` is what it has.
fn pack_of_a_blob(size: u64, data: &[u8]) -> Vec<u8> {
    const BLOB: u8 = 3 << 4;
    let mut pack = b"PACK\0\0\0\x02\0\0\0\x01".to_vec();
    let (mut byte, mut left) = (BLOB | (size & 15) as u8, size >> 4);
    while left > 0 {
        pack.push(byte | 0x80);
        (byte, left) = ((left & 0x7f) as u8, left >> 7);
    }
    pack.push(byte);
    let mut deflated = ZlibEncoder::new(Vec::new(), Compression::best());
    deflated.write_all(data).unwrap();
    pack.extend(deflated.finish().unwrap());
    let digest = Sha1::digest(&pack);
    pack.extend_from_slice(&digest);
    pack
}

/// Whether an object is larger or smaller than its pack says, or says that it has more than there is memory: it is refused,
/// soon, and by the process that fetches alone.
#[tokio::test(flavor = "multi_thread")]
async fn packs_that_lie_about_sizes_are_refused() {
    let (remote, _) = remote();
    let server = GitServer::serve(&remote);
    let fetcher = Fetcher::new();
    let bomb = vec![0; 64 << 20];
    for (case, pack) in [
        ("larger than it says", pack_of_a_blob(10, &bomb)),
        ("smaller than it says", pack_of_a_blob(1 << 20, b"ten bytes.")),
        ("a tebibyte, it says", pack_of_a_blob(1 << 40, b"ten bytes.")),
        ("more than a number holds", pack_of_a_blob(u64::MAX, b"ten bytes.")),
    ] {
        server.behave(Manner::Pack(pack.into()));
        let started = Instant::now();
        let error = fetcher.error(fetcher.request(&server.url(), &[])).await;
        assert!(error.starts_with("unable to clone"), "{case}: {error}");
        assert!(started.elapsed() < Duration::from_secs(10), "{case} took {:?}", started.elapsed());
        children_are_gone().await;
    }
    // An honest pack that does not hold what was asked for is no answer either.
    server.behave(Manner::Pack(pack_of_a_blob(10, b"ten bytes.").into()));
    let error = fetcher.error(fetcher.request(&server.url(), &[])).await;
    assert!(error.starts_with("unable to clone"), "{error}");
    server.behave(Manner::Honest);
    assert!(matches!(fetcher.fetch(fetcher.request(&server.url(), &[])).await, Ok(Outcome::Fetched(_))));
}
