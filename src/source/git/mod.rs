//! A Git reference to an archive: list the remote, fetch what moved, write the commit's files.
//!
//! All of libgit2 runs in a child process, this program started again as `bowline git-fetch`. libgit2 cannot be
//! cancelled while a server is silent and its timeouts are global, and what it parses comes from outside: a child can be
//! ended at any moment, has limits of its own, and takes nothing with it. Request and credentials go through its standard
//! input, so that neither arguments nor environment show them.
//!
//! | file | subject |
//! |---|---|
//! | [`url`] | which addresses are taken |
//! | [`reference`] | `spec.ref` against what the remote has |
//! | [`fetch`](mod@fetch) | the child's work: connect, list, fetch, archive |
//! | [`transport`] | smart HTTP over our own policy |
//! | [`ssh`] | identity and host keys |
//! | [`tree`] | a commit's files without a work tree |
//! | [`child`] | the child's entry and limits |

pub mod child;
pub mod fetch;
pub mod reference;
pub mod ssh;
#[cfg(test)]
mod test_server;
pub mod transport;
pub mod tree;
pub mod url;

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};

use self::reference::Reference;
use self::ssh::SshCredentials;
use self::url::{GitUrl, Transport};
use super::archive::{ARTIFACT_LIMITS, Limits};
use super::http::{self, Tls};
use super::secret::{Redacted, SecretData};

/// The subcommand that the child is started with.
pub const SUBCOMMAND: &str = "git-fetch";
/// What of the daemon's environment the child gets: proxies, and where the system keeps its authorities.
pub const PASSED_ENVIRONMENT: &[&str] = &[
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
];
/// The most bytes that one fetch may bring.
const MAX_TRANSFER: u64 = 1 << 30;
/// The most objects that one fetch may bring.
const MAX_OBJECTS: usize = 2_000_000;
/// The longest answer of the child.
const MAX_ANSWER: u64 = 1 << 20;
/// What the child may take longer than the timeout for, before it is ended from outside.
const GRACE: Duration = Duration::from_secs(2);

/// Why a fetch gave nothing. The texts name the remote without user and password.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// The child was not started, or the pipe to it broke.
    #[error("failed to run git process")]
    Process(#[source] io::Error),
    /// It ended without an answer, as when a limit ended it.
    #[error("git process ended early: {0}")]
    Ended(String),
    /// The time was up.
    #[error("unable to clone '{url}': timed out after {} s", timeout.as_secs())]
    TimedOut {
        /// The remote.
        url: String,
        /// The time that was given.
        timeout: Duration,
    },
    /// The remote, or what it holds, cannot be used.
    #[error("{}", .0.message)]
    Failed(Failure),
}

/// What the child says when it fails.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Which step.
    pub step: Step,
    /// What happened.
    pub message: String,
}

/// The steps of a fetch that fail for different reasons.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    /// Everything up to the commit.
    Fetch,
    /// Reading the ignore files.
    Ignore,
    /// Writing the archive.
    Archive,
}

/// What a fetch came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// The remote has no references at all.
    Empty,
    /// The remote is where it was; nothing was fetched.
    Unchanged {
        /// The revision, the same as before.
        revision: String,
    },
    /// An archive was written.
    Fetched(Fetched),
}

/// An archive of a commit's files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fetched {
    /// The revision in Flux's form.
    pub revision: String,
    /// The commit.
    pub commit: String,
    /// The first line of its message, at most 50 characters.
    pub subject: String,
    /// `sha256:<hex>` of the archive.
    pub digest: String,
    /// The archive's bytes.
    pub size: u64,
}

/// Who we are to a remote.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GitCredentials {
    /// User and password, or a token.
    pub http: Option<http::Credentials>,
    /// Authorities, and our certificate.
    pub tls: Tls,
    /// Key and host keys.
    pub ssh: Option<SshCredentials>,
}

/// Why a Secret is not enough for a remote.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum CredentialsError {
    /// A key of the Secret is missing.
    #[error("invalid '{transport}' auth option: '{key}' is required")]
    Missing {
        /// The scheme.
        transport: String,
        /// The key.
        key: &'static str,
    },
    /// A password without a user.
    #[error("invalid '{transport}' auth option: 'password' requires 'username' to be set")]
    NoUser {
        /// The scheme.
        transport: String,
    },
    /// A key of the Secret is not text.
    #[error("invalid '{transport}' auth option: '{key}' is not UTF-8")]
    NotText {
        /// The scheme.
        transport: String,
        /// The key.
        key: &'static str,
    },
    /// The ssh key needs a passphrase.
    #[error("SSH identity key is encrypted but no 'password' field was provided in the secret")]
    NoPassphrase,
}

impl GitCredentials {
    /// Takes from a Secret what the remote's transport needs; without a Secret nothing, which is an error for ssh.
    pub fn new(url: &GitUrl, secret: Option<&SecretData>) -> Result<Self, CredentialsError> {
        let none = SecretData::default();
        let data = secret.unwrap_or(&none);
        let transport = url.url.scheme().to_owned();
        let text = |key: &'static str| match data.get(key) {
            None => Ok(None),
            Some(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => Ok(Some(text.to_owned())),
                Err(_) => Err(CredentialsError::NotText { transport: transport.clone(), key }),
            },
        };
        let missing = |key| CredentialsError::Missing { transport: transport.clone(), key };
        if url.transport == Transport::Ssh {
            let identity = text("identity")?.ok_or_else(|| missing("identity"))?;
            let known_hosts = text("known_hosts")?.ok_or_else(|| missing("known_hosts"))?;
            let passphrase = text("password")?.map(Redacted::new);
            if passphrase.is_none() && ssh::is_encrypted(&identity) {
                return Err(CredentialsError::NoPassphrase);
            }
            let ssh = SshCredentials { identity: Redacted::new(identity), passphrase, known_hosts };
            return Ok(Self { ssh: Some(ssh), ..Self::default() });
        }
        let tls = Tls::from_secret(data);
        if data.has("bearerToken") {
            let token = text("bearerToken")?.unwrap_or_default();
            return Ok(Self { http: Some(http::Credentials::Bearer(Redacted::new(token))), tls, ssh: None });
        }
        let http = match (text("username")?, text("password")?) {
            (Some(username), password) => {
                Some(http::Credentials::Basic { username, password: Redacted::new(password.unwrap_or_default()) })
            }
            (None, None) => None,
            // Without a user of its own, the Secret's password completes the user within the address.
            (None, Some(password)) => match http::credentials_of(&url.url) {
                Some(http::Credentials::Basic { username, .. }) => {
                    Some(http::Credentials::Basic { username, password: Redacted::new(password) })
                }
                _ => return Err(CredentialsError::NoUser { transport }),
            },
        };
        Ok(Self { http, tls, ssh: None })
    }
}

/// What the child is told.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Request {
    /// The remote, as [`GitUrl`] has it.
    pub url: String,
    /// What of it.
    pub reference: Reference,
    /// Who we are.
    pub credentials: GitCredentials,
    /// `spec.ignore`.
    pub ignore: Option<String>,
    /// The revision that is there already, for which nothing is fetched.
    pub previous: Option<String>,
    /// A bare repository that is kept between fetches, made when it is not there.
    pub repository: PathBuf,
    /// Where the archive is written; must not be there yet.
    pub output: PathBuf,
    /// The time for all of it.
    pub timeout: Duration,
    /// Bytes that may come.
    pub max_transfer: u64,
    /// Objects that may come.
    pub max_objects: usize,
    /// What the archive may hold: bytes, expanded bytes, entries.
    pub limits: (u64, u64, usize),
}

impl Request {
    /// Makes a request with the limits of a GitRepository.
    pub fn new(
        url: &GitUrl,
        reference: Reference,
        credentials: GitCredentials,
        repository: PathBuf,
        output: PathBuf,
    ) -> Self {
        let Limits { packed, expanded, entries } = ARTIFACT_LIMITS;
        Self {
            url: url.url.to_string(),
            reference,
            credentials,
            ignore: None,
            previous: None,
            repository,
            output,
            timeout: Duration::from_mins(1),
            max_transfer: MAX_TRANSFER,
            max_objects: MAX_OBJECTS,
            limits: (packed, expanded, entries),
        }
    }
}

/// Starts the children.
#[derive(Debug, Clone)]
pub struct Git {
    program: PathBuf,
    environment: Vec<(OsString, OsString)>,
}

impl Git {
    /// `program` is this program's own path; `environment` is what [`PASSED_ENVIRONMENT`] names of the daemon's own.
    pub fn new(program: PathBuf, environment: Vec<(OsString, OsString)>) -> Self {
        Self { program, environment }
    }

    /// Fetches in a child, which is ended when the time is up or this future is dropped.
    pub async fn fetch(&self, request: Request) -> Result<Outcome, GitError> {
        let timeout = request.timeout;
        let timed_out = GitError::TimedOut {
            url: GitUrl::parse(&request.url).map_or_else(|_| "invalid".to_owned(), |url| url.shown()),
            timeout,
        };
        let repository = request.repository.clone();
        let killer = Arc::new(Killer::default());
        let (git, shared) = (self.clone(), killer.clone());
        let work = tokio::task::spawn_blocking(move || git.run(&request, &shared));
        let guard = KillOnDrop(killer);
        match tokio::time::timeout(timeout + GRACE, work).await {
            Ok(Ok(outcome)) => {
                std::mem::forget(guard);
                outcome
            }
            Ok(Err(panicked)) => Err(GitError::Process(io::Error::other(panicked))),
            Err(_) => {
                drop(guard);
                // What was being written is not to be trusted.
                let _ = tokio::fs::remove_dir_all(repository).await;
                Err(timed_out)
            }
        }
    }

    fn run(&self, request: &Request, killer: &Killer) -> Result<Outcome, GitError> {
        let home = request.output.with_extension("home");
        let answer = self.ask(request, &home, killer);
        // Only known hosts were in there, and an empty folder more or less does no harm.
        let _ = std::fs::remove_dir_all(&home);
        let answer = answer?;
        let outcome: Result<Outcome, Failure> = serde_json::from_slice(&answer)
            .map_err(|error| GitError::Process(io::Error::new(io::ErrorKind::InvalidData, error)))?;
        outcome.map_err(GitError::Failed)
    }

    fn ask(&self, request: &Request, home: &Path, killer: &Killer) -> Result<Vec<u8>, GitError> {
        let question = serde_json::to_vec(request).map_err(|error| GitError::Process(error.into()))?;
        std::fs::create_dir_all(home).map_err(GitError::Process)?;
        let mut child = Command::new(&self.program)
            .arg0("bowline")
            .arg(SUBCOMMAND)
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .env("HOME", home)
            // The allocator's arenas would be committed as a whole, which the child's limit of memory does not allow.
            .env("MIMALLOC_ARENA_EAGER_COMMIT", "0")
            .current_dir(home)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(GitError::Process)?;
        killer.arm(&child).map_err(GitError::Process)?;
        let mut answer = Vec::new();
        let mut talked = Ok(());
        if let (Some(mut stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) {
            talked = stdin.write_all(&question).and_then(|()| {
                drop(stdin);
                stdout.take(MAX_ANSWER).read_to_end(&mut answer).map(|_| ())
            });
        }
        let status = child.wait().map_err(GitError::Process)?;
        match (status.code(), status.signal()) {
            (Some(0), _) => talked.map(|()| answer).map_err(GitError::Process),
            (_, Some(signal)) => Err(GitError::Ended(format!("signal {signal}, as for a limit of memory or time"))),
            (code, None) => Err(GitError::Ended(format!("exit code {}", code.unwrap_or_default()))),
        }
    }
}

/// Ends a child from another thread.
#[derive(Debug, Default)]
struct Killer(Mutex<Aim>);

#[derive(Debug, Default)]
enum Aim {
    #[default]
    NotStarted,
    /// A handle of the kernel's, which cannot come to mean another process.
    Running(OwnedFd),
    Killed,
}

impl Killer {
    fn arm(&self, child: &std::process::Child) -> io::Result<()> {
        let handle = pidfd_open(Pid::from_child(child), PidfdFlags::empty())?;
        let mut aim = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*aim, Aim::Killed) {
            pidfd_send_signal(&handle, Signal::KILL)?;
        } else {
            *aim = Aim::Running(handle);
        }
        Ok(())
    }

    fn kill(&self) {
        let mut aim = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Aim::Running(handle) = &*aim {
            // Fails only when it has ended already.
            let _ = pidfd_send_signal(handle, Signal::KILL);
        }
        *aim = Aim::Killed;
    }
}

struct KillOnDrop(Arc<Killer>);

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        self.0.kill();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials(url: &str, pairs: &[(&str, &str)]) -> Result<GitCredentials, CredentialsError> {
        let data: SecretData = pairs.iter().map(|(key, value)| (*key, *value)).collect();
        GitCredentials::new(&GitUrl::parse(url).unwrap(), Some(&data))
    }

    fn basic(username: &str, password: &str) -> Option<http::Credentials> {
        Some(http::Credentials::Basic { username: username.into(), password: Redacted::new(password.into()) })
    }

    #[test]
    fn http_takes_a_user_or_a_token() {
        let url = "https://example.com/x";
        assert_eq!(credentials(url, &[]).unwrap(), GitCredentials::default());
        assert_eq!(credentials(url, &[("username", "u"), ("password", "p")]).unwrap().http, basic("u", "p"));
        let token = credentials(url, &[("bearerToken", "t"), ("username", "u")]).unwrap().http;
        assert_eq!(token, Some(http::Credentials::Bearer(Redacted::new("t".into()))));
        assert!(credentials(url, &[("caFile", "pem")]).unwrap().tls.ca.is_some());
        assert_eq!(credentials("https://me@example.com/x", &[("password", "p")]).unwrap().http, basic("me", "p"));
        let error = credentials(url, &[("password", "p")]).unwrap_err();
        assert_eq!(error.to_string(), "invalid 'https' auth option: 'password' requires 'username' to be set");
    }

    #[test]
    fn ssh_asks_for_an_identity_and_known_hosts() {
        let url = "ssh://example.com/x";
        let error = |pairs: &[(&str, &str)]| credentials(url, pairs).unwrap_err().to_string();
        assert_eq!(error(&[]), "invalid 'ssh' auth option: 'identity' is required");
        assert_eq!(error(&[("identity", "k")]), "invalid 'ssh' auth option: 'known_hosts' is required");
        assert!(credentials(url, &[("identity", "k"), ("known_hosts", "h")]).unwrap().ssh.is_some());
        let encrypted = ("identity", "-----BEGIN ENCRYPTED PRIVATE KEY-----\n");
        assert_eq!(credentials(url, &[encrypted, ("known_hosts", "h")]), Err(CredentialsError::NoPassphrase));
    }
}
