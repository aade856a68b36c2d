//! What is fetched for a chart: by HTTP and from registries, as the flags say, with Helm's and Go's words for failures.

use std::cell::OnceCell;
use std::net::ToSocketAddrs;
use std::path::Path;
use std::time::Duration;

use helm::chart::folder::system_text;
use helm::quote::quote;
use reqwest::Url;
use tokio::runtime::Runtime;

use super::args::SourceArgs;
use super::homes::Homes;
use crate::source::http::{Access, Conditions, Credentials, HttpError, SendFailure, Tls};
use crate::source::oci::refusal::Refusal;
use crate::source::oci::{DockerConfig, Login, Name, OciError, Repository, Transport};
use crate::source::secret::Redacted;
use crate::telemetry::chain;

/// The time for one request, as in Helm.
const TIMEOUT: Duration = Duration::from_mins(2);
/// The largest chart or file that is fetched.
pub(super) const MAX_FILE: u64 = 128 << 20;

/// How to fetch.
pub(super) struct Remote {
    runtime: OnceCell<Runtime>,
    tls: Tls,
    pub(super) credentials: Option<Credentials>,
    pub(super) pass_credentials: bool,
    transport: Transport,
    logins: DockerConfig,
}

impl Remote {
    /// Reads certificates and logins; nothing is fetched yet.
    pub(super) fn new(args: &SourceArgs, homes: &Homes) -> Result<Self, String> {
        let mut tls = certificates(args)?;
        let switches = &args.switches;
        tls.unverified = switches.insecure_skip_tls_verify;
        let is_special = tls != Tls::default();
        let transport = if switches.plain_http && !is_special { Transport::Plain } else { Transport::Tls };
        let credentials = (!args.username.is_empty() && !args.password.is_empty()).then(|| Credentials::Basic {
            username: args.username.clone(),
            password: Redacted::new(args.password.clone()),
        });
        Ok(Self {
            runtime: OnceCell::new(),
            tls,
            credentials,
            pass_credentials: switches.pass_credentials,
            transport,
            logins: logins(homes),
        })
    }

    /// Waits for something that is fetched.
    pub(super) fn wait<T>(&self, work: impl Future<Output = Result<T, String>>) -> Result<T, String> {
        let runtime = if let Some(runtime) = self.runtime.get() {
            runtime
        } else {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.map_err(|error| system_text(&error))?;
            self.runtime.get_or_init(|| runtime)
        };
        runtime.block_on(work)
    }

    /// Fetches a file with the flags' certificates; credentials go to its origin, and wherever redirects lead if `everywhere`.
    pub(super) fn get(
        &self,
        href: &str,
        credentials: Option<&Credentials>,
        everywhere: bool,
        limit: u64,
    ) -> Result<Vec<u8>, String> {
        self.get_with(href, credentials, &self.tls, everywhere, limit)
    }

    /// Fetches a file with other certificates.
    pub(super) fn get_with(
        &self,
        href: &str,
        credentials: Option<&Credentials>,
        tls: &Tls,
        everywhere: bool,
        limit: u64,
    ) -> Result<Vec<u8>, String> {
        let url = Url::parse(href).map_err(|error| format!("parse {}: {error}", quote(href)))?;
        let access = Access::new(&url, credentials, tls, everywhere).map_err(|error| chain(&error))?;
        self.wait(async {
            match access.get(&url, &Conditions::default(), limit, TIMEOUT).await {
                Ok(fetched) => Ok(fetched.map(|fetched| fetched.body).unwrap_or_default()),
                Err(HttpError::Status { status, .. }) => Err(format!("failed to fetch {href} : {status}")),
                Err(error) => Err(send_text("Get", &url, &error)),
            }
        })
    }

    /// Prepares access to a repository of a registry.
    pub(super) fn repository(&self, name: Name) -> Result<Repository, String> {
        let login = if let Some(Credentials::Basic { username, password }) = &self.credentials {
            Some(Login::Basic { username: username.clone(), password: password.clone() })
        } else {
            let host = name.api_host();
            let is_hub = matches!(host, "registry-1.docker.io" | "index.docker.io");
            self.logins.for_host(if is_hub { "index.docker.io" } else { host }).cloned()
        };
        Repository::new(name, self.transport, login, &self.tls, TIMEOUT).map_err(|error| chain(&error))
    }

    /// Words a registry's failure at `path` as Helm does.
    pub(super) fn registry_text(&self, name: &Name, path: &str, error: &OciError) -> String {
        match error {
            OciError::Refused(refusal) => refusal_text(refusal),
            OciError::Http(error) => {
                let scheme = if self.transport == Transport::Plain { "http" } else { "https" };
                let text = format!("{scheme}://{}/v2/{}/{path}", name.api_host(), name.repository);
                Url::parse(&text).map_or_else(|_| chain(error), |url| send_text("Get", &url, error))
            }
            other => chain(other),
        }
    }
}

/// Words a registry's refusal as Helm does.
fn refusal_text(refusal: &Refusal) -> String {
    let Refusal { method, url, status, errors, lacks_login } = refusal;
    if *lacks_login {
        return format!("{method} {}: basic credential not found", quote(url));
    }
    let words: Vec<String> = errors
        .iter()
        .map(|error| {
            let code = error.code.to_lowercase().replace('_', " ");
            match (&error.message, &error.detail) {
                (message, _) if message.is_empty() => code,
                (message, None) => format!("{code}: {message}"),
                (message, Some(detail)) => format!("{code}: {message}: {detail}"),
            }
        })
        .collect();
    let words =
        if words.is_empty() { status.canonical_reason().unwrap_or_default().to_owned() } else { words.join("; ") };
    format!("{method} {}: response status code {}: {words}", quote(url), status.as_u16())
}

/// Words a request that was not answered as Go does.
fn send_text(verb: &str, url: &Url, error: &HttpError) -> String {
    let HttpError::Send { reason, failure, .. } = error else {
        return format!("{verb} {}: {error}", quote(url.as_str()));
    };
    let host = url.host_str().unwrap_or_default();
    let why = match failure {
        SendFailure::Refused => {
            let port = url.port_or_known_default().unwrap_or_default();
            let bare = host.trim_matches(['[', ']']);
            let address = (bare, port).to_socket_addrs().ok().and_then(|mut addresses| addresses.next());
            let address = address.map_or_else(|| format!("{host}:{port}"), |address| address.to_string());
            format!("dial tcp {address}: connect: connection refused")
        }
        SendFailure::NoHost => format!("dial tcp: lookup {host}: no such host"),
        SendFailure::NoTls => "http: server gave HTTP response to HTTPS client".to_owned(),
        SendFailure::UnknownAuthority => {
            "tls: failed to verify certificate: x509: certificate signed by unknown authority".to_owned()
        }
        SendFailure::Other => reason.clone(),
    };
    format!("{verb} {}: {why}", quote(url.as_str()))
}

/// Reads the certificates that the flags name; the errors are Helm's.
fn certificates(args: &SourceArgs) -> Result<Tls, String> {
    let failed = |text: String| format!("missing registry client: can't create TLS config for client: {text}");
    let read = |what: &str, path: &str| {
        std::fs::read(path)
            .map_err(|error| failed(format!("{what}: {}: open {path}: {}", quote(path), system_text(&error))))
    };
    let mut tls = Tls::default();
    if !args.cert_file.is_empty() && !args.key_file.is_empty() {
        tls.certificate = Some(Redacted::new(read("unable to read cert file", &args.cert_file)?));
        tls.key = Some(Redacted::new(read("unable to read key file", &args.key_file)?));
    }
    if !args.ca_file.is_empty() {
        tls.ca = Some(Redacted::new(read("can't read CA file", &args.ca_file)?));
    }
    check(&tls).map_err(failed)?;
    Ok(tls)
}

/// Tries the certificates out, so that they fail before anything is asked.
fn check(tls: &Tls) -> Result<(), String> {
    let Ok(nowhere) = Url::parse("https://localhost") else { return Ok(()) };
    let of = |tls: Tls| Access::new(&nowhere, None, &tls, false).map(drop);
    if tls.certificate.is_some() {
        let pair = Tls { certificate: tls.certificate.clone(), key: tls.key.clone(), ..Tls::default() };
        let is_pem = tls.certificate.as_ref().is_some_and(|pem| pem.expose().windows(5).any(|w| w == b"-----"));
        let why = if is_pem {
            "tls: failed to parse private key"
        } else {
            "tls: failed to find any PEM data in certificate input"
        };
        of(pair).map_err(|_| format!("unable to load cert from key pair: {why}"))?;
    }
    if tls.ca.is_some() {
        let authority = Tls { ca: tls.ca.clone(), ..Tls::default() };
        of(authority).map_err(|_| "failed to append certificates from pem block".to_owned())?;
    }
    Ok(())
}

/// Reads Helm's logins, and Docker's after them. What cannot be read is as if it were not there; a login that is needed
/// then is missed by the registry.
fn logins(homes: &Homes) -> DockerConfig {
    let read = |path: &Path| std::fs::read(path).ok().and_then(|text| DockerConfig::parse(&text).ok());
    let mut logins = read(&homes.registry_config).unwrap_or_default();
    if let Some(others) = homes.docker_config.as_deref().and_then(read) {
        logins.extend(others);
    }
    logins
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::oci::refusal::Diagnostic;
    use ::http::{Method, StatusCode};

    #[test]
    fn a_refusal_is_worded_as_helm_does() {
        let error = |code: &str, message: &str, detail: Option<&str>| Diagnostic {
            code: code.into(),
            message: message.into(),
            detail: detail.map(Into::into),
        };
        let refusal = |errors| Refusal {
            method: Method::GET,
            url: "http://r/v2/a/tags/list".into(),
            status: StatusCode::NOT_FOUND,
            errors,
            lacks_login: false,
        };
        let start = "GET \"http://r/v2/a/tags/list\": response status code 404: ";
        for (errors, expected) in [
            (vec![], "Not Found"),
            (vec![error("NAME_UNKNOWN", "", None)], "name unknown"),
            (vec![error("NAME_UNKNOWN", "not known", Some("map[name:a]"))], "name unknown: not known: map[name:a]"),
            (vec![error("A", "b", None), error("C", "d", None)], "a: b; c: d"),
        ] {
            assert_eq!(refusal_text(&refusal(errors)), format!("{start}{expected}"));
        }
    }
}
