//! One repository of one registry: manifests, blobs and tags, by the OCI distribution specification.
//!
//! What a descriptor names is checked against its digest and size. Redirects, limits and times are those of
//! [`http`](crate::source::http): a blob may come from elsewhere, and no login goes there.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use ::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use reqwest::{Response, Url};
use serde::Deserialize;

use super::challenge::{self, Challenge, TokenError};
use super::docker_config::Login;
use super::manifest::{ACCEPTED, Descriptor, Manifest};
use super::name::{Digest, Name, NameError, Reference};
use super::refusal::{MAX_ERROR, Refusal, diagnostics};
use crate::source::http::{self, Access, HttpError, SendFailure, Tls};

/// The largest manifest, as the specification suggests.
pub const MAX_MANIFEST: u64 = 4 << 20;
/// The largest page of tags.
const MAX_TAGS_PAGE: u64 = 4 << 20;
/// The most tags of one repository.
pub const MAX_TAGS: usize = 200_000;
/// How many tags a page should have.
const PAGE: usize = 1000;
const CONTENT_DIGEST: &str = "docker-content-digest";

/// Why a registry gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum OciError {
    /// The reference is none.
    #[error(transparent)]
    Name(#[from] NameError),
    /// Nothing came back.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// There is no token for the registry.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The registry refused.
    #[error("{0}")]
    Refused(Refusal),
    /// What came is not what was named.
    #[error("the content of {wanted} has the digest {actual}")]
    Digest {
        /// The digest that was asked for.
        wanted: String,
        /// That of what came.
        actual: String,
    },
    /// What came is longer or shorter than its descriptor says, or would be longer than is taken.
    #[error("the content of {digest} has {size} bytes, expected {expected}")]
    Size {
        /// The digest.
        digest: String,
        /// The bytes that came, or that are announced.
        size: u64,
        /// How many should have come, or the most that is taken.
        expected: String,
    },
    /// It is no manifest.
    #[error("failed to read manifest {reference}: {reason}")]
    Manifest {
        /// What names it.
        reference: String,
        /// What is wrong.
        reason: String,
    },
    /// The answer is no list of tags.
    #[error("failed to read tags of {0}")]
    Tags(String),
    /// More tags than are read.
    #[error("{name} has more than {MAX_TAGS} tags")]
    TooManyTags {
        /// The repository.
        name: String,
    },
}

impl OciError {
    /// The status that the registry answered, if it answered.
    pub fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Refused(refusal) => Some(refusal.status),
            Self::Http(HttpError::Status { status, .. }) | Self::Token(TokenError::Refused { status, .. }) => {
                Some(*status)
            }
            _ => None,
        }
    }
}

/// How a registry is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// TLS; this machine may speak plain HTTP.
    Secure,
    /// TLS and nothing else.
    Tls,
    /// Plain HTTP and nothing else.
    Plain,
    /// TLS with whatever certificate, else plain HTTP.
    Insecure,
}

/// One repository of one registry, as it is configured.
#[derive(Debug)]
pub struct Repository {
    name: Name,
    /// The ways to speak to the registry, the better one first.
    ways: Vec<(Url, Access)>,
    /// The way that worked.
    way: AtomicUsize,
    login: Option<Login>,
    tls: Tls,
    timeout: Duration,
    authorization: Mutex<Option<HeaderValue>>,
}

impl Repository {
    /// Prepares access; `timeout` is for each operation.
    pub fn new(
        name: Name,
        transport: Transport,
        login: Option<Login>,
        tls: &Tls,
        timeout: Duration,
    ) -> Result<Self, OciError> {
        let mut tls = tls.clone();
        tls.unverified |= transport == Transport::Insecure && tls.ca.is_none() && tls.certificate.is_none();
        let schemes: &[&str] = match transport {
            Transport::Tls => &["https"],
            Transport::Plain => &["http"],
            Transport::Insecure => &["https", "http"],
            Transport::Secure if name.is_local() => &["https", "http"],
            Transport::Secure => &["https"],
        };
        let mut ways = Vec::new();
        for scheme in schemes {
            let text = format!("{scheme}://{}/v2/{}/", name.api_host(), name.repository);
            let url = Url::parse(&text).map_err(|_| NameError::Registry(name.registry.clone()))?;
            let access = Access::new(&url, None, &tls, false)?;
            ways.push((url, access));
        }
        let (way, authorization) = (AtomicUsize::new(0), Mutex::new(None));
        Ok(Self { name, ways, way, login, tls, timeout, authorization })
    }

    /// The repository's name.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// Asks for the digest of a manifest; a registry that does not tell it without the manifest is asked for that.
    pub async fn resolve(&self, reference: &Reference) -> Result<Digest, OciError> {
        if let Reference::Digest(digest) = reference {
            return Ok(digest.clone());
        }
        let path = format!("manifests/{}", reference.as_str());
        if let Ok(response) = self.request(Method::HEAD, &path, Some(ACCEPTED)).await {
            let header = response.headers().get(CONTENT_DIGEST).and_then(|value| value.to_str().ok());
            if let Some(Ok(digest)) = header.map(Digest::parse) {
                return Ok(digest);
            }
        }
        Ok(self.manifest(reference).await?.1)
    }

    /// Reads a manifest or an index, and returns it with its digest and size.
    pub async fn manifest(&self, reference: &Reference) -> Result<(Manifest, Digest, u64), OciError> {
        let path = format!("manifests/{}", reference.as_str());
        let bytes = self.read(&path, Some(ACCEPTED), MAX_MANIFEST).await?;
        let actual = Digest::of(&bytes);
        if let Reference::Digest(wanted) = reference
            && *wanted != actual
        {
            return Err(OciError::Digest { wanted: wanted.to_string(), actual: actual.to_string() });
        }
        let manifest = serde_json::from_slice(&bytes).map_err(|error| OciError::Manifest {
            reference: reference.as_str().to_owned(),
            reason: error.to_string(),
        })?;
        Ok((manifest, actual, bytes.len() as u64))
    }

    /// Reads a manifest; of an index that for the usual platform.
    pub async fn image(&self, reference: &Reference) -> Result<Manifest, OciError> {
        let (manifest, ..) = self.manifest(reference).await?;
        if !manifest.is_index() {
            return Ok(manifest);
        }
        let failed =
            |reason: &str| OciError::Manifest { reference: reference.as_str().to_owned(), reason: reason.to_owned() };
        let entry = manifest.for_platform().ok_or_else(|| failed("no child with platform linux/amd64 in index"))?;
        let (manifest, ..) = self.manifest(&Reference::Digest(Digest::parse(&entry.digest)?)).await?;
        if manifest.is_index() { Err(failed("an index within an index")) } else { Ok(manifest) }
    }

    /// Reads a blob of at most `limit` bytes.
    pub async fn blob(&self, descriptor: &Descriptor, limit: u64) -> Result<Vec<u8>, OciError> {
        let wanted = Digest::parse(&descriptor.digest)?;
        let wrong = |size, expected| OciError::Size { digest: wanted.to_string(), size, expected };
        if descriptor.size > limit {
            return Err(wrong(descriptor.size, format!("at most {limit}")));
        }
        let bytes =
            self.read(&format!("blobs/{wanted}"), None, descriptor.size).await.map_err(|error| match error {
                OciError::Http(HttpError::TooLarge { .. }) => wrong(descriptor.size + 1, descriptor.size.to_string()),
                other => other,
            })?;
        if bytes.len() as u64 != descriptor.size {
            return Err(wrong(bytes.len() as u64, descriptor.size.to_string()));
        }
        let actual = Digest::of(&bytes);
        if actual != wanted {
            return Err(OciError::Digest { wanted: wanted.to_string(), actual: actual.to_string() });
        }
        Ok(bytes)
    }

    /// Lists all tags, page by page.
    pub async fn tags(&self) -> Result<Vec<String>, OciError> {
        #[derive(Deserialize)]
        struct List {
            #[serde(default)]
            tags: Option<Vec<String>>,
        }
        let mut tags = Vec::new();
        let mut seen = HashSet::new();
        let mut next = Some(format!("tags/list?n={PAGE}"));
        while let Some(path) = next.take().filter(|path| seen.insert(path.clone())) {
            let mut response = self.request(Method::GET, &path, None).await?;
            next = next_page(&response);
            let body = self.body(&mut response, MAX_TAGS_PAGE).await?;
            let list: List = serde_json::from_slice(&body).map_err(|_| OciError::Tags(self.name.to_string()))?;
            tags.extend(list.tags.unwrap_or_default());
            if tags.len() > MAX_TAGS || seen.len() > MAX_TAGS / PAGE * 10 {
                return Err(OciError::TooManyTags { name: self.name.to_string() });
            }
        }
        Ok(tags)
    }

    async fn read(&self, path: &str, accept: Option<&'static str>, limit: u64) -> Result<Vec<u8>, OciError> {
        let mut response = self.request(Method::GET, path, accept).await?;
        self.body(&mut response, limit).await
    }

    async fn body(&self, response: &mut Response, limit: u64) -> Result<Vec<u8>, OciError> {
        let url = response.url().clone();
        http::within(self.timeout, &url, async { Ok(http::read(response, &url, limit).await?) }).await
    }

    /// Sends a request, as somebody once the registry wants to know who we are.
    async fn request(&self, method: Method, path: &str, accept: Option<&'static str>) -> Result<Response, OciError> {
        let known = self.authorization.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut response = self.send(&method, path, accept, known.as_ref()).await?;
        let mut lacks_login = false;
        // A redirect's target may want something too, and is not the one to get it.
        let (base, _) = &self.ways[self.way.load(Ordering::Relaxed)];
        if response.status() == StatusCode::UNAUTHORIZED && http::same_origin(response.url(), base) {
            let challenge = Challenge::of(response.headers());
            let login = self.login.as_ref();
            let answer = match &challenge {
                None => None,
                Some(challenge) => {
                    challenge::answer(challenge, base, &self.name.repository, login, &self.tls, self.timeout).await?
                }
            };
            lacks_login = answer.is_none() && challenge == Some(Challenge::Basic);
            if let Some(authorization) = answer.filter(|answer| Some(answer) != known.as_ref()) {
                *self.authorization.lock().unwrap_or_else(PoisonError::into_inner) = Some(authorization.clone());
                response = self.send(&method, path, accept, Some(&authorization)).await?;
            }
        }
        if response.status().is_success() {
            return Ok(response);
        }
        let (url, status) = (http::shown(response.url()), response.status());
        let body = self.body(&mut response, MAX_ERROR).await.unwrap_or_default();
        Err(OciError::Refused(Refusal { method, url, status, errors: diagnostics(&body), lacks_login }))
    }

    /// Sends a request in the first way in which the registry answers.
    async fn send(
        &self,
        method: &Method,
        path: &str,
        accept: Option<&'static str>,
        authorization: Option<&HeaderValue>,
    ) -> Result<Response, OciError> {
        let mut headers = HeaderMap::new();
        if let Some(accept) = accept {
            headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
        }
        let mut at = self.way.load(Ordering::Relaxed);
        loop {
            let (base, access) = &self.ways[at];
            let url = base.join(path).map_err(|_| NameError::Tag(path.to_owned()))?;
            let is_last = at + 1 == self.ways.len();
            let once = || async {
                let response = access.send_as(authorization, method.clone(), &url, &headers, &[]).await?;
                match response.status() {
                    status @ (StatusCode::TOO_MANY_REQUESTS
                    | StatusCode::BAD_GATEWAY
                    | StatusCode::SERVICE_UNAVAILABLE
                    | StatusCode::GATEWAY_TIMEOUT) => Err(HttpError::Status { url: http::shown(&url), status }),
                    _ => Ok(response),
                }
            };
            let outcome = if is_last {
                http::within(self.timeout, &url, http::retried(once)).await
            } else {
                http::within(self.timeout, &url, once()).await
            };
            match outcome {
                // Who is vouched for by nobody is not asked without TLS instead.
                Err(HttpError::Send { failure, .. }) if !is_last && failure != SendFailure::UnknownAuthority => at += 1,
                outcome => {
                    self.way.store(at, Ordering::Relaxed);
                    return Ok(outcome?);
                }
            }
        }
    }
}

/// Finds the path of the next page; one that leads to another server is not followed.
fn next_page(response: &Response) -> Option<String> {
    let link = response.headers().get(header::LINK)?.to_str().ok()?;
    let (target, parameters) = link.trim().strip_prefix('<')?.split_once('>')?;
    let is_next = parameters.split(';').any(|parameter| matches!(parameter.trim(), "rel=\"next\"" | "rel=next"));
    let url = response.url().join(target).ok().filter(|url| is_next && http::same_origin(url, response.url()))?;
    Some(url.into())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use axum::Router;
    use axum::body::Body;
    use axum::extract::Request;
    use axum::response::Response as Answer;

    use super::*;
    use crate::source::secret::Redacted;

    type Seen = Arc<Mutex<Vec<String>>>;

    /// A registry that answers by a function of method and path with query, and notes whom it was asked by.
    async fn registry(answer: impl Fn(&str, Option<&str>) -> Answer + Clone + Send + Sync + 'static) -> (Name, Seen) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let name = Name::parse(&format!("{}/app", listener.local_addr().unwrap())).unwrap();
        let seen = Seen::default();
        let notes = seen.clone();
        let router = Router::new().fallback(move |request: Request| {
            let (answer, notes) = (answer.clone(), notes.clone());
            async move {
                let authorization = request.headers().get("authorization").and_then(|value| value.to_str().ok());
                let line = format!("{} {}", request.method(), request.uri());
                notes.lock().unwrap().push(format!("{line} {}", authorization.unwrap_or("-")));
                answer(&line, authorization)
            }
        });
        tokio::spawn(async move { axum::serve(listener, router).await });
        (name, seen)
    }

    fn reply(status: u16, headers: &[(&'static str, &str)], body: impl Into<Body>) -> Answer {
        let mut builder = Answer::builder().status(status);
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        builder.body(body.into()).unwrap()
    }

    fn repository(name: &Name, login: Option<Login>) -> Repository {
        Repository::new(name.clone(), Transport::Plain, login, &Tls::default(), Duration::from_secs(5)).unwrap()
    }

    fn user() -> Login {
        Login::Basic { username: "user".into(), password: Redacted::new("hunter2".into()) }
    }

    fn descriptor(bytes: &[u8]) -> Descriptor {
        let digest = Digest::of(bytes).to_string();
        Descriptor { media_type: String::new(), digest, size: bytes.len() as u64, platform: None }
    }

    #[tokio::test]
    async fn a_password_is_sent_when_it_is_asked_for() {
        let (name, seen) = registry(|_, authorization| match authorization {
            None => reply(401, &[("www-authenticate", "Basic realm=\"x\"")], ""),
            Some(_) => reply(200, &[], r#"{"tags": ["1.0.0"]}"#),
        })
        .await;
        let repository = repository(&name, Some(user()));
        assert_eq!(repository.tags().await.unwrap(), ["1.0.0"]);
        assert_eq!(repository.tags().await.unwrap(), ["1.0.0"]);
        let seen = seen.lock().unwrap().clone();
        assert_eq!(seen.iter().filter(|line| line.ends_with(" -")).count(), 1, "{seen:?}");
        assert_eq!(seen.len(), 3);
    }

    #[tokio::test]
    async fn a_token_is_fetched_for_the_repository() {
        let (token_server, asked) = registry(|_, _| reply(200, &[], r#"{"access_token": "t0ken"}"#)).await;
        let realm = format!("Bearer realm=\"http://{}/token\",service=\"s\"", token_server.registry);
        let (name, _) = registry(move |_, authorization| match authorization {
            Some("Bearer t0ken") => reply(200, &[], r#"{"tags": []}"#),
            _ => reply(401, &[("www-authenticate", &realm)], ""),
        })
        .await;
        assert!(repository(&name, Some(user())).tags().await.unwrap().is_empty());
        let asked = asked.lock().unwrap().clone();
        let (url, authorization) = asked[0].rsplit_once(" Basic ").unwrap();
        assert_eq!(url, "GET /token?service=s&scope=repository%3Aapp%3Apull");
        assert!(!authorization.is_empty());
    }

    #[tokio::test]
    async fn a_refusal_has_the_registrys_words_and_no_password() {
        let (name, _) = registry(|_, _| {
            let body =
                r#"{"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown", "detail": {"Tag": "2"}}]}"#;
            reply(404, &[], body)
        })
        .await;
        let error = repository(&name, Some(user())).resolve(&Reference::tag("2").unwrap()).await.unwrap_err();
        let expected =
            format!("GET http://{}/v2/app/manifests/2: MANIFEST_UNKNOWN: manifest unknown; map[Tag:2]", name.registry);
        assert_eq!(error.to_string(), expected);
        let (name, _) = registry(|_, _| reply(401, &[("www-authenticate", "Basic realm=\"x\"")], "")).await;
        let error = repository(&name, Some(user())).tags().await.unwrap_err();
        assert_eq!(error.status(), Some(StatusCode::UNAUTHORIZED));
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }

    #[tokio::test]
    async fn a_digest_comes_from_the_header_or_the_manifest() {
        let manifest = r#"{"layers": []}"#;
        let digest = Digest::of(manifest.as_bytes());
        let header = format!("sha256:{}", "a".repeat(64));
        let told = header.clone();
        let (name, seen) = registry(move |line, _| match line {
            "HEAD /v2/app/manifests/told" => reply(200, &[(CONTENT_DIGEST, &told)], ""),
            "HEAD /v2/app/manifests/untold" => reply(405, &[], ""),
            _ => reply(200, &[], manifest),
        })
        .await;
        let repository = repository(&name, None);
        assert_eq!(repository.resolve(&Reference::tag("told").unwrap()).await.unwrap().as_str(), header);
        assert_eq!(repository.resolve(&Reference::tag("untold").unwrap()).await.unwrap(), digest);
        assert_eq!(seen.lock().unwrap().len(), 3);
    }

    #[tokio::test]
    async fn what_is_not_what_was_named_is_refused() {
        let (name, _) = registry(|_, _| reply(200, &[], "other")).await;
        let repository = repository(&name, None);
        let wanted = Reference::Digest(Digest::of(b"wanted"));
        assert!(matches!(repository.manifest(&wanted).await, Err(OciError::Digest { .. })));
        assert!(matches!(repository.blob(&descriptor(b"wants"), 10).await, Err(OciError::Digest { .. })));
        for bytes in [b"longer".as_slice(), b"shor"] {
            assert!(matches!(repository.blob(&descriptor(bytes), 10).await, Err(OciError::Size { .. })));
        }
        assert_eq!(repository.blob(&descriptor(b"other"), 10).await.unwrap(), b"other");
        let error = repository.blob(&descriptor(b"other"), 4).await.unwrap_err();
        assert!(error.to_string().ends_with("has 5 bytes, expected at most 4"), "{error}");
    }

    #[tokio::test]
    async fn a_blob_may_come_from_elsewhere_and_no_login_goes_there() {
        let (elsewhere, seen) = registry(|_, _| reply(200, &[], "blob")).await;
        let target = format!("http://{}/storage?signature=x", elsewhere.registry);
        let (name, _) = registry(move |_, authorization| match authorization {
            None => reply(401, &[("www-authenticate", "Basic realm=\"x\"")], ""),
            Some(_) => reply(307, &[("location", &target)], ""),
        })
        .await;
        assert_eq!(repository(&name, Some(user())).blob(&descriptor(b"blob"), 10).await.unwrap(), b"blob");
        assert_eq!(*seen.lock().unwrap(), ["GET /storage?signature=x -"]);
    }

    #[tokio::test]
    async fn tags_are_read_page_by_page_from_the_same_server() {
        let (name, _) = registry(|line, _| match line {
            "GET /v2/app/tags/list?n=1000" => {
                reply(200, &[("link", "</v2/app/tags/list?n=1000&last=b>; rel=\"next\"")], r#"{"tags": ["a", "b"]}"#)
            }
            "GET /v2/app/tags/list?n=1000&last=b" => {
                let link = "<http://192.0.2.1/v2/app/tags/list>; rel=\"next\"";
                reply(200, &[("link", link)], r#"{"tags": ["c"]}"#)
            }
            other => panic!("{other}"),
        })
        .await;
        assert_eq!(repository(&name, None).tags().await.unwrap(), ["a", "b", "c"]);
    }

    #[tokio::test]
    async fn what_has_no_end_is_cut_off() {
        let (name, _) = registry(|line, _| {
            let page = line.len();
            let tags = vec!["1.0.0-0123456789"; 60_000];
            let link = format!("</v2/app/tags/list?n=1000&last={}>; rel=\"next\"", "x".repeat(page));
            reply(200, &[("link", link.as_str())], serde_json::to_string(&serde_json::json!({ "tags": tags })).unwrap())
        })
        .await;
        assert!(matches!(repository(&name, None).tags().await, Err(OciError::TooManyTags { .. })));
        let (name, _) = registry(|_, _| reply(200, &[], vec![b' '; MAX_MANIFEST as usize + 1])).await;
        let tag = Reference::tag("1").unwrap();
        let outcome = repository(&name, None).manifest(&tag).await;
        assert!(matches!(outcome, Err(OciError::Http(HttpError::TooLarge { .. }))));
        let (token_server, _) = registry(|_, _| reply(200, &[], vec![b' '; 1 << 21])).await;
        let realm = format!("Bearer realm=\"http://{}/token\"", token_server.registry);
        let (name, _) = registry(move |_, _| reply(401, &[("www-authenticate", &realm)], "")).await;
        let outcome = repository(&name, None).tags().await;
        assert!(matches!(outcome, Err(OciError::Token(TokenError::Http(HttpError::TooLarge { .. })))));
    }

    #[tokio::test]
    async fn pages_that_lead_in_a_circle_end() {
        let (name, _) =
            registry(|_, _| reply(200, &[("link", "</v2/app/tags/list?n=1000>; rel=\"next\"")], r#"{"tags": null}"#))
                .await;
        assert!(repository(&name, None).tags().await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn plain_http_is_spoken_to_this_machine_and_where_it_is_asked_for() {
        let (name, _) = registry(|_, _| reply(200, &[], r#"{"tags": []}"#)).await;
        let tags = |transport| {
            let repository =
                Repository::new(name.clone(), transport, None, &Tls::default(), Duration::from_secs(5)).unwrap();
            async move { repository.tags().await }
        };
        for (transport, expected) in
            [(Transport::Secure, true), (Transport::Insecure, true), (Transport::Plain, true), (Transport::Tls, false)]
        {
            assert_eq!(tags(transport).await.is_ok(), expected, "{transport:?}");
        }
    }
}
