//! The one policy for outbound HTTP: who gets credentials, how far redirects go, how long and how much.
//!
//! Redirects are followed by hand. Credentials and client certificates go to the origin (scheme, host, port) that they
//! were configured for and to nobody else; a redirect from https to http is refused. Every body has a limit in bytes and
//! every request one in time. Proxies are taken from the environment, as everywhere (`HTTPS_PROXY`, `NO_PROXY`).

use std::error::Error as _;
use std::ops::Deref;
use std::time::Duration;

use ::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::{Certificate, Client, Identity, Response, Url};
use serde::{Deserialize, Serialize};

use super::secret::{Redacted, SecretData};

/// The most redirects that one request follows, as Go's client.
const MAX_REDIRECTS: usize = 10;
/// The time to open a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// The longest silence of a server within a response.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// The pauses before a request is sent again, for failures that tend to pass.
const RETRIES: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(1)];
/// What we call ourselves.
const USER_AGENT: &str = concat!("bowline/", env!("CARGO_PKG_VERSION"));

/// Why a request gave no response.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The certificates cannot be used.
    #[error("failed to configure TLS: {reason}")]
    Tls {
        /// What is wrong with which of them.
        reason: String,
    },
    /// User, password or token hold what a header cannot carry.
    #[error("credentials hold control characters")]
    Credentials,
    /// The address is not one that can be asked.
    #[error("invalid URL '{url}'")]
    Url {
        /// The address, without user and password.
        url: String,
    },
    /// Nothing came back.
    #[error("failed to send request to {origin}: {reason}")]
    Send {
        /// Scheme, host and port.
        origin: String,
        /// The chain of causes.
        reason: String,
        /// What of it can be told apart.
        failure: SendFailure,
    },
    /// The server answered, and not with success.
    #[error("{url} : {status}")]
    Status {
        /// The address, without user, password and query.
        url: String,
        /// The status.
        status: StatusCode,
    },
    /// A redirect that is not followed.
    #[error("redirect from {origin} refused: {reason}")]
    Redirect {
        /// Scheme, host and port that sent it.
        origin: String,
        /// Why.
        reason: &'static str,
    },
    /// The body is longer than allowed.
    #[error("response of {url} exceeds the limit of {limit} bytes")]
    TooLarge {
        /// The address, without user, password and query.
        url: String,
        /// The limit.
        limit: u64,
    },
    /// The body ended early.
    #[error("failed to read response of {origin}: {reason}")]
    Body {
        /// Scheme, host and port.
        origin: String,
        /// The chain of causes.
        reason: String,
    },
    /// The time was up.
    #[error("{origin} did not answer within {} s", timeout.as_secs())]
    TimedOut {
        /// Scheme, host and port.
        origin: String,
        /// The time that was given.
        timeout: Duration,
    },
}

/// Why nothing came back, where that can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SendFailure {
    /// Nobody listens there.
    Refused,
    /// The name has no address.
    NoHost,
    /// The server does not speak TLS.
    NoTls,
    /// Nobody whom we trust vouches for the server.
    UnknownAuthority,
    /// Anything else.
    Other,
}

impl SendFailure {
    fn of(error: &reqwest::Error) -> Self {
        let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
        while let Some(cause) = next {
            let io = cause.downcast_ref::<std::io::Error>();
            if io.is_some_and(|io| io.kind() == std::io::ErrorKind::ConnectionRefused) {
                return Self::Refused;
            }
            // An I/O error holds the one of TLS within, and does not name it as its source.
            let inner = io.and_then(|io| io.get_ref()).map(|inner| inner as &(dyn std::error::Error + 'static));
            match inner.or(Some(cause)).and_then(|cause| cause.downcast_ref::<rustls::Error>()) {
                Some(rustls::Error::InvalidMessage(_)) => return Self::NoTls,
                Some(rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer)) => {
                    return Self::UnknownAuthority;
                }
                _ => {}
            }
            if cause.to_string() == "dns error" {
                return Self::NoHost;
            }
            next = inner.or_else(|| cause.source());
        }
        Self::Other
    }
}

impl HttpError {
    /// True for what may be gone in a moment: connections that break, and servers that are overloaded.
    fn is_transient(&self) -> bool {
        match self {
            Self::Send { .. } | Self::Body { .. } => true,
            Self::Status { status, .. } => {
                matches!(status.as_u16(), 429 | 502 | 503 | 504)
            }
            Self::Tls { .. }
            | Self::Credentials
            | Self::Url { .. }
            | Self::Redirect { .. }
            | Self::TooLarge { .. }
            | Self::TimedOut { .. } => false,
        }
    }
}

/// Who we are to one server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Credentials {
    /// User and password.
    Basic {
        /// The user.
        username: String,
        /// The password.
        password: Redacted<String>,
    },
    /// A token.
    Bearer(Redacted<String>),
}

impl Credentials {
    /// Makes the header's value; none when it cannot be one.
    pub(super) fn header(&self) -> Option<HeaderValue> {
        let text = match self {
            Self::Basic { username, password } => {
                format!("Basic {}", STANDARD.encode(format!("{username}:{}", password.expose())))
            }
            Self::Bearer(token) => format!("Bearer {}", token.expose()),
        };
        let mut value = HeaderValue::from_str(&text).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

/// Certificates in PEM: authorities to trust beside the system's, and our own for mutual TLS.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tls {
    /// Authorities.
    pub ca: Option<Redacted<Vec<u8>>>,
    /// Our certificate chain.
    pub certificate: Option<Redacted<Vec<u8>>>,
    /// Its key.
    pub key: Option<Redacted<Vec<u8>>>,
    /// Takes whatever certificate the server shows, as somebody asked for.
    #[serde(default)]
    pub unverified: bool,
}

impl Tls {
    /// Takes `ca.crt` (or `caFile`), `tls.crt` and `tls.key` (or the old `certFile` and `keyFile`).
    pub fn from_secret(data: &SecretData) -> Self {
        let take =
            |names: [&str; 2]| names.iter().find_map(|name| data.get(name)).map(|value| Redacted::new(value.to_vec()));
        Self {
            ca: take(["ca.crt", "caFile"]),
            certificate: take(["tls.crt", "certFile"]),
            key: take(["tls.key", "keyFile"]),
            unverified: false,
        }
    }

    /// True when there is nothing to configure.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// One server as it is configured: whom we trust, who we are, and where that may be said.
#[derive(Debug)]
pub struct Access {
    /// With our certificate, for the origin alone.
    own: Client,
    /// Without it, for wherever redirects lead.
    others: Client,
    origin: Url,
    authorization: Option<HeaderValue>,
    /// `passCredentials`: credentials go wherever the server's documents point, as the user asked for.
    everywhere: bool,
}

/// What one request asks for.
#[derive(Debug, Default)]
pub struct Conditions {
    /// The `ETag` of what we have.
    pub etag: Option<String>,
    /// The `Last-Modified` of what we have.
    pub last_modified: Option<String>,
}

/// A response that was read to its end.
#[derive(Debug)]
pub struct Fetched {
    /// The body.
    pub body: Vec<u8>,
    /// Its `ETag`.
    pub etag: Option<String>,
    /// Its `Last-Modified`.
    pub last_modified: Option<String>,
}

impl Access {
    /// Prepares access to the origin of `url`. User and password within the URL are used when there are no credentials.
    pub fn new(url: &Url, credentials: Option<&Credentials>, tls: &Tls, everywhere: bool) -> Result<Self, HttpError> {
        let in_url = credentials_of(url);
        let authorization = match credentials.or(in_url.as_ref()) {
            Some(credentials) => Some(credentials.header().ok_or(HttpError::Credentials)?),
            None => None,
        };
        let own = client(tls, true)?;
        let others = if tls.certificate.is_some() { client(tls, false)? } else { own.clone() };
        Ok(Self { own, others, origin: url.clone(), authorization, everywhere })
    }

    /// Reads one document. None when it has not changed since `conditions`.
    ///
    /// `timeout` is for all of it, retries included.
    pub async fn get(
        &self,
        url: &Url,
        conditions: &Conditions,
        limit: u64,
        timeout: Duration,
    ) -> Result<Option<Fetched>, HttpError> {
        within(timeout, url, retried(|| self.get_once(url, conditions, limit))).await
    }

    async fn get_once(&self, url: &Url, conditions: &Conditions, limit: u64) -> Result<Option<Fetched>, HttpError> {
        let mut headers = HeaderMap::new();
        let wanted =
            [(header::IF_NONE_MATCH, &conditions.etag), (header::IF_MODIFIED_SINCE, &conditions.last_modified)];
        for (name, value) in wanted {
            if let Some(value) = value.as_ref().and_then(|value| HeaderValue::from_str(value).ok()) {
                headers.insert(name, value);
            }
        }
        let mut response = self.send(Method::GET, url, &headers, &[]).await?;
        if response.status() == StatusCode::NOT_MODIFIED && !headers.is_empty() {
            return Ok(None);
        }
        if !response.status().is_success() {
            return Err(HttpError::Status { url: shown(url), status: response.status() });
        }
        let text = |name: HeaderName| {
            response.headers().get(name).and_then(|value| value.to_str().ok()).map(ToOwned::to_owned)
        };
        let (etag, last_modified) = (text(header::ETAG), text(header::LAST_MODIFIED));
        let body = read(&mut response, url, limit).await?;
        Ok(Some(Fetched { body, etag, last_modified }))
    }

    /// Sends a request and follows redirects; the response's body is still to be read.
    ///
    /// A request with a body is sent on only by 307 and 308, which keep method and body.
    pub async fn send(
        &self,
        method: Method,
        url: &Url,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<Response, HttpError> {
        self.send_as(self.authorization.as_ref(), method, url, headers, body).await
    }

    /// Sends a request with another authorization than the configured one, to the same places.
    pub async fn send_as(
        &self,
        authorization: Option<&HeaderValue>,
        method: Method,
        url: &Url,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<Response, HttpError> {
        let mut url = url.clone();
        for _ in 0..=MAX_REDIRECTS {
            let response = self.send_once(authorization, &method, &url, headers, body).await?;
            if !response.status().is_redirection() || response.status() == StatusCode::NOT_MODIFIED {
                return Ok(response);
            }
            url = redirect(&method, &url, &response)?;
        }
        Err(HttpError::Redirect { origin: origin(&url), reason: "too many redirects" })
    }

    async fn send_once(
        &self,
        authorization: Option<&HeaderValue>,
        method: &Method,
        url: &Url,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<Response, HttpError> {
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(HttpError::Url { url: shown(url) });
        }
        let at_origin = same_origin(url, &self.origin);
        let client = if at_origin { &self.own } else { &self.others };
        let mut bare = url.clone();
        // Both calls fail only for URLs without a host.
        let _ = bare.set_username("");
        let _ = bare.set_password(None);
        let mut request = client.request(method.clone(), bare).headers(headers.clone());
        if let Some(value) = authorization.filter(|_| at_origin || self.everywhere) {
            request = request.header(header::AUTHORIZATION, value.clone());
        }
        if *method == Method::POST {
            request = request.body(body.to_vec());
        }
        request.send().await.map_err(|error| {
            let failure = SendFailure::of(&error);
            HttpError::Send { origin: origin(url), reason: causes(error), failure }
        })
    }
}

/// Says where a redirect leads, if it is followed.
fn redirect(method: &Method, from: &Url, response: &Response) -> Result<Url, HttpError> {
    let refused = |reason| HttpError::Redirect { origin: origin(from), reason };
    let keeps_method = matches!(response.status().as_u16(), 307 | 308);
    if *method == Method::POST && !keeps_method {
        return Err(refused("it would drop the request's body"));
    }
    let location = response.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
    let target = location.and_then(|location| from.join(location).ok()).ok_or_else(|| refused("no usable Location"))?;
    if !matches!(target.scheme(), "http" | "https") {
        return Err(refused("neither http nor https"));
    }
    if from.scheme() == "https" && target.scheme() == "http" {
        return Err(refused("it leads from https to http"));
    }
    Ok(target)
}

/// Does something again while it fails in a way that tends to pass.
pub async fn retried<T, F: Future<Output = Result<T, HttpError>>>(mut work: impl FnMut() -> F) -> Result<T, HttpError> {
    let mut pauses = RETRIES.iter();
    loop {
        match work().await {
            Err(error) if error.is_transient() => {
                let Some(pause) = pauses.next() else { return Err(error) };
                tokio::time::sleep(*pause).await;
            }
            outcome => return outcome,
        }
    }
}

/// Bounds the time of something that asks the server of `url`.
pub async fn within<T, E: From<HttpError>>(
    timeout: Duration,
    url: &Url,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    match tokio::time::timeout(timeout, work).await {
        Ok(outcome) => outcome,
        Err(_) => Err(HttpError::TimedOut { origin: origin(url), timeout }.into()),
    }
}

/// Reads a body to its end, and no further than `limit`.
pub async fn read(response: &mut Response, url: &Url, limit: u64) -> Result<Vec<u8>, HttpError> {
    let too_large = || HttpError::TooLarge { url: shown(url), limit };
    let announced = response.content_length();
    if announced.is_some_and(|length| length > limit) {
        return Err(too_large());
    }
    let mut body = Vec::with_capacity(announced.unwrap_or_default() as usize);
    while let Some(chunk) = next_chunk(response).await? {
        if (body.len() + chunk.len()) as u64 > limit {
            return Err(too_large());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Reads the next piece of a body.
pub async fn next_chunk(response: &mut Response) -> Result<Option<impl Deref<Target = [u8]> + use<>>, HttpError> {
    let origin = origin(response.url());
    response.chunk().await.map_err(|error| HttpError::Body { origin, reason: causes(error) })
}

/// True when scheme, host and port are the same.
pub fn same_origin(a: &Url, b: &Url) -> bool {
    a.scheme() == b.scheme() && a.host() == b.host() && a.port_or_known_default() == b.port_or_known_default()
}

/// Returns scheme, host and port for messages.
pub fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}

/// Returns an address for messages: without user, password, query (which may hold signatures) and fragment.
pub fn shown(url: &Url) -> String {
    let mut url = url.clone();
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.set_fragment(None);
    url.into()
}

/// Takes user and password out of an address.
pub fn credentials_of(url: &Url) -> Option<Credentials> {
    let decoded = |text: &str| percent_decode(text);
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    Some(Credentials::Basic {
        username: decoded(url.username()),
        password: Redacted::new(url.password().map(decoded).unwrap_or_default()),
    })
}

fn percent_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = bytes.get(at + 1..at + 3).and_then(|pair| std::str::from_utf8(pair).ok());
        if let Some(byte) = hex.filter(|_| bytes[at] == b'%').and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            decoded.push(byte);
            at += 3;
        } else {
            decoded.push(bytes[at]);
            at += 1;
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

fn client(tls: &Tls, with_identity: bool) -> Result<Client, HttpError> {
    let unusable = |reason: &str| HttpError::Tls { reason: reason.to_owned() };
    let mut builder = Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .gzip(false)
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(READ_TIMEOUT)
        .user_agent(USER_AGENT)
        .tls_danger_accept_invalid_certs(tls.unverified);
    if let Some(ca) = &tls.ca {
        let certificates = Certificate::from_pem_bundle(ca.expose())
            .map_err(|_| unusable("failed to parse CA certificate: ca.crt is not PEM"))?;
        if certificates.is_empty() {
            return Err(unusable("failed to parse CA certificate: ca.crt holds none"));
        }
        builder = builder.tls_certs_merge(certificates);
    }
    match (&tls.certificate, &tls.key) {
        (Some(certificate), Some(key)) => {
            let pem = [certificate.expose().as_slice(), b"\n", key.expose().as_slice()].concat();
            let identity = Identity::from_pem(&pem)
                .map_err(|_| unusable("tls.crt and tls.key are not a PEM certificate with its key"))?;
            if with_identity {
                builder = builder.identity(identity);
            }
        }
        (None, None) => {}
        _ => return Err(unusable("tls.crt and tls.key must both be there")),
    }
    builder.build().map_err(|error| HttpError::Tls { reason: causes(error) })
}

/// Joins an error's causes; the address, which may hold credentials, is left out.
fn causes(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let next = cause.to_string();
        if !text.ends_with(&next) {
            text = format!("{text}: {next}");
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// A server that answers each request by a function of its head, and remembers the heads.
    async fn serve(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> (Url, Arc<Mutex<Vec<String>>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let seen = heads.clone();
        let answer = Arc::new(answer);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (seen, answer) = (seen.clone(), answer.clone());
                tokio::spawn(async move {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        let mut byte = [0];
                        if stream.read_exact(&mut byte).await.is_err() {
                            return;
                        }
                        head.push(byte[0]);
                    }
                    let head = String::from_utf8(head).unwrap();
                    let reply = answer(&head);
                    seen.lock().unwrap().push(head);
                    let _ = stream.write_all(reply.as_bytes()).await;
                });
            }
        });
        (url, heads)
    }

    fn reply(status: &str, headers: &str, body: &str) -> String {
        format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n{headers}\r\n{body}", body.len())
    }

    fn basic() -> Credentials {
        Credentials::Basic { username: "user".into(), password: Redacted::new("hunter2".into()) }
    }

    async fn get(access: &Access, url: &Url) -> Result<Option<Fetched>, HttpError> {
        access.get(url, &Conditions::default(), 1000, Duration::from_secs(5)).await
    }

    #[tokio::test]
    async fn credentials_go_to_their_origin() {
        let (url, heads) = serve(|_| reply("200 OK", "", "hello")).await;
        let access = Access::new(&url, Some(&basic()), &Tls::default(), false).unwrap();
        assert_eq!(get(&access, &url).await.unwrap().unwrap().body, b"hello");
        assert!(heads.lock().unwrap()[0].contains("authorization: Basic dXNlcjpodW50ZXIy\r\n"));
    }

    #[tokio::test]
    async fn a_redirect_carries_no_credentials_to_another_port() {
        let (other, other_heads) = serve(|_| reply("200 OK", "", "other")).await;
        let location = format!("location: {other}\r\n");
        let (url, heads) = serve(move |_| reply("302 Found", &location, "")).await;
        let access = Access::new(&url, Some(&basic()), &Tls::default(), false).unwrap();
        assert_eq!(get(&access, &url).await.unwrap().unwrap().body, b"other");
        assert!(heads.lock().unwrap()[0].contains("authorization"));
        assert!(!other_heads.lock().unwrap()[0].contains("authorization"));

        let access = Access::new(&url, Some(&basic()), &Tls::default(), true).unwrap();
        get(&access, &url).await.unwrap();
        assert!(other_heads.lock().unwrap()[1].contains("authorization"), "passCredentials");
    }

    #[tokio::test]
    async fn a_loop_of_redirects_ends() {
        let (url, heads) = serve(|_| reply("302 Found", "location: /again\r\n", "")).await;
        let access = Access::new(&url, None, &Tls::default(), false).unwrap();
        assert!(matches!(get(&access, &url).await, Err(HttpError::Redirect { .. })));
        assert_eq!(heads.lock().unwrap().len(), MAX_REDIRECTS + 1);
    }

    #[tokio::test]
    async fn a_body_beyond_the_limit_is_refused_with_and_without_a_length() {
        for chunked in [false, true] {
            let (url, _) = serve(move |_| {
                let body = "x".repeat(1001);
                if chunked {
                    format!("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{body}")
                } else {
                    reply("200 OK", "", &body)
                }
            })
            .await;
            let access = Access::new(&url, None, &Tls::default(), false).unwrap();
            assert!(matches!(get(&access, &url).await, Err(HttpError::TooLarge { .. })));
        }
    }

    #[tokio::test]
    async fn what_has_not_changed_is_not_read_again() {
        let (url, _) = serve(|head| {
            if head.contains("if-none-match: \"a\"") {
                reply("304 Not Modified", "", "")
            } else {
                reply("200 OK", "etag: \"a\"\r\n", "body")
            }
        })
        .await;
        let access = Access::new(&url, None, &Tls::default(), false).unwrap();
        let first = get(&access, &url).await.unwrap().unwrap();
        let conditions = Conditions { etag: first.etag, last_modified: None };
        assert!(access.get(&url, &conditions, 1000, Duration::from_secs(5)).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn an_overloaded_server_is_asked_again() {
        let count = Mutex::new(0);
        let (url, _) = serve(move |_| {
            let mut count = count.lock().unwrap();
            *count += 1;
            if *count == 1 { reply("503 Service Unavailable", "", "") } else { reply("200 OK", "", "ok") }
        })
        .await;
        let access = Access::new(&url, None, &Tls::default(), false).unwrap();
        assert_eq!(get(&access, &url).await.unwrap().unwrap().body, b"ok");
    }

    #[tokio::test]
    async fn a_silent_server_is_given_up() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
        let access = Access::new(&url, None, &Tls::default(), false).unwrap();
        let outcome = access.get(&url, &Conditions::default(), 10, Duration::from_millis(200)).await;
        assert!(matches!(outcome, Err(HttpError::TimedOut { .. })));
    }

    #[tokio::test]
    async fn errors_show_neither_password_nor_query() {
        let (url, _) = serve(|_| reply("403 Forbidden", "", "")).await;
        let mut url = url.join("index.yaml?signature=hunter2").unwrap();
        url.set_username("user").unwrap();
        url.set_password(Some("hunter2")).unwrap();
        let access = Access::new(&url, None, &Tls::default(), false).unwrap();
        let error = get(&access, &url).await.unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(text.contains("403") && !text.contains("hunter2"), "{text}");
    }

    #[test]
    fn broken_certificates_are_named() {
        let url = Url::parse("https://example.com").unwrap();
        let tls = |pairs: &[(&str, &str)]| {
            let data = pairs.iter().map(|(key, value)| (*key, *value)).collect();
            Access::new(&url, None, &Tls::from_secret(&data), false).unwrap_err().to_string()
        };
        assert!(tls(&[("ca.crt", "nonsense")]).contains("ca.crt"));
        assert!(tls(&[("tls.crt", "x")]).contains("both"));
        assert!(tls(&[("tls.crt", "x"), ("tls.key", "y")]).contains("tls.key"));
    }
}
