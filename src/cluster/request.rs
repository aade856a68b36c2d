//! One request to the API server: path, query and answer, where kube's typed `Api` hides what is needed here (whether
//! an object was created, watches from a known resourceVersion).

use std::time::Duration;

use http::{Method, StatusCode, header};
use kube::{
    Client, Error,
    client::Body,
    core::{ApiResource, Status},
};
use serde_json::Value;

/// Marks a failure that is not one of the API server's own answers.
const NO_STATUS: &str = "Failed to parse error data";

/// A kind that the API server serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServedKind {
    /// Group, version, kind and plural name.
    pub api: ApiResource,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
    /// What may be asked of it in principle: `get`, `watch`, ...
    pub verbs: Vec<String>,
}

impl ServedKind {
    /// Tells whether the kind can be listed and watched.
    pub fn watchable(&self) -> bool {
        ["list", "watch"].iter().all(|verb| self.verbs.iter().any(|found| found == verb))
    }

    /// Returns the path of the collection, in a namespace or over all of them.
    pub fn collection(&self, namespace: &str) -> String {
        let root = if self.api.group.is_empty() { "/api" } else { "/apis" };
        let plural = &self.api.plural;
        let version = &self.api.api_version;
        if self.namespaced && !namespace.is_empty() {
            format!("{root}/{version}/namespaces/{}/{plural}", encode(namespace))
        } else {
            format!("{root}/{version}/{plural}")
        }
    }

    /// Returns the path of one object. Namespace and name are encoded, so that they stay one segment each.
    pub fn object(&self, namespace: &str, name: &str) -> String {
        format!("{}/{}", self.collection(namespace), encode(name))
    }
}

/// Percent-encodes one segment or query value; what a manifest calls a name must never become another path.
pub fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~:".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let digit = |value: u8| char::from_digit(u32::from(value), 16).unwrap_or('0').to_ascii_uppercase();
            out.extend(['%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
    // A segment of dots alone would be taken as a relative path by proxies.
    if out == "." || out == ".." { out.replace('.', "%2E") } else { out }
}

/// The API server's answer to a request that it accepted.
pub struct Reply {
    /// The object was not there before (201).
    pub created: bool,
    /// The answer's body.
    pub body: Value,
    /// What the API server warned of.
    pub warnings: Vec<String>,
    date: Option<String>,
}

impl Reply {
    /// Tells whether a time that the API server wrote is that of this answer, by its own clock and to the second.
    pub fn written_now(&self, time: Option<&str>) -> bool {
        let answered = self.date.as_deref().and_then(|date| jiff::fmt::rfc2822::parse(date).ok());
        let written = time.and_then(|time| time.parse::<jiff::Timestamp>().ok());
        match (answered, written) {
            (Some(answered), Some(written)) => answered.timestamp().as_second() - written.as_second() <= 1,
            // Unknown is told as a change: too many words do less harm than too few.
            _ => true,
        }
    }
}

/// Sends a request and reads the JSON answer; a refusal becomes [`kube::Error::Api`].
pub async fn send(
    client: &Client,
    method: Method,
    uri: &str,
    headers: &[(header::HeaderName, &'static str)],
    body: Vec<u8>,
) -> Result<Reply, Error> {
    let mut request = http::Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        request = request.header(name, *value);
    }
    let request = request.body(Body::from(body)).map_err(Error::HttpError)?;
    let response = client.send(request).await?;
    let code = response.status();
    let text = |value: &http::HeaderValue| value.to_str().ok().map(str::to_owned);
    let date = response.headers().get(header::DATE).and_then(text);
    let warnings =
        response.headers().get_all(header::WARNING).iter().filter_map(text).map(|raw| warning(&raw)).collect();
    let bytes = response.into_body().collect_bytes().await?;
    if code.is_client_error() || code.is_server_error() {
        return Err(Error::Api(refusal(code, &bytes).boxed()));
    }
    let body = serde_json::from_slice(&bytes).map_err(Error::SerdeError)?;
    Ok(Reply { created: code == StatusCode::CREATED, body, warnings, date })
}

/// Reads a document as it is; a refusal becomes [`kube::Error::Api`].
pub async fn read(client: &Client, uri: &str) -> Result<Vec<u8>, Error> {
    let request = http::Request::get(uri).header(header::ACCEPT, "application/json");
    let response = client.send(request.body(Body::empty()).map_err(Error::HttpError)?).await?;
    let code = response.status();
    let bytes = response.into_body().collect_bytes().await?;
    if code.is_client_error() || code.is_server_error() {
        return Err(Error::Api(refusal(code, &bytes).boxed()));
    }
    Ok(bytes.to_vec())
}

/// Reads the text of a `Warning` header: `299 - "text"`.
fn warning(raw: &str) -> String {
    let quoted = raw.split_once('"').map_or(raw, |(_, rest)| rest);
    quoted.strip_suffix('"').unwrap_or(quoted).replace("\\\"", "\"")
}

fn refusal(code: StatusCode, bytes: &[u8]) -> Status {
    serde_json::from_slice(bytes).unwrap_or_else(|_| {
        let text = String::from_utf8_lossy(bytes);
        Status::failure(text.trim(), NO_STATUS).with_code(code.as_u16())
    })
}

/// Returns the API server's answer that an error carries.
pub fn status_of(error: &Error) -> Option<&Status> {
    match error {
        Error::Api(status) => Some(status),
        _ => None,
    }
}

/// Tells whether the object or its kind is not there.
pub fn is_not_found(error: &Error) -> bool {
    status_of(error).is_some_and(|status| status.code == StatusCode::NOT_FOUND.as_u16())
}

/// Tells whether a write met another one of the same object, or of the quota that both count for.
pub fn is_conflict(error: &Error) -> bool {
    status_of(error).is_some_and(|status| status.code == StatusCode::CONFLICT.as_u16() && status.reason == "Conflict")
}

/// How often a write is tried that meets others, as client-go does it by default.
#[derive(Debug)]
pub struct Tries {
    left: u32,
}

impl Tries {
    const MOST: u32 = 5;
    const PAUSE: Duration = Duration::from_millis(10);

    /// Allows the first try and four more.
    pub fn new() -> Self {
        Self { left: Self::MOST - 1 }
    }

    /// Tells whether it may be tried again, after a short pause.
    pub async fn another(&mut self) -> bool {
        if self.left == 0 {
            return false;
        }
        self.left -= 1;
        tokio::time::sleep(Self::PAUSE).await;
        true
    }
}

impl Default for Tries {
    fn default() -> Self {
        Self::new()
    }
}

/// Tells whether this identity may not do what it asked.
pub fn is_forbidden(error: &Error) -> bool {
    status_of(error).is_some_and(|status| status.code == StatusCode::FORBIDDEN.as_u16())
}

/// Returns what a person should read: the API server's message, or the error's chain without kube's repetition.
pub fn message_of(error: &Error) -> String {
    match error {
        Error::Api(status) if !status.message.is_empty() => status.message.clone(),
        Error::Api(status) => format!("the API server answered {} {}", status.code, status.reason),
        other => {
            let mut text = other.to_string();
            let mut source = std::error::Error::source(other);
            while let Some(cause) = source {
                let cause_text = cause.to_string();
                if !text.contains(&cause_text) {
                    text = format!("{text}: {cause_text}");
                }
                source = cause.source();
            }
            text
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(api_version: &str, plural: &str, namespaced: bool) -> ServedKind {
        let (group, version) = crate::cluster::object::split_api_version(api_version);
        ServedKind {
            api: ApiResource {
                group: group.into(),
                version: version.into(),
                api_version: api_version.into(),
                kind: String::new(),
                plural: plural.into(),
            },
            namespaced,
            verbs: vec!["get".into(), "list".into(), "watch".into()],
        }
    }

    #[test]
    fn paths_follow_group_scope_and_namespace() {
        let rows = [
            (kind("v1", "configmaps", true).object("n", "a"), "/api/v1/namespaces/n/configmaps/a"),
            (kind("apps/v1", "deployments", true).collection(""), "/apis/apps/v1/deployments"),
            (kind("v1", "namespaces", false).object("ignored", "n"), "/api/v1/namespaces/n"),
        ];
        for (path, expected) in rows {
            assert_eq!(path, expected);
        }
    }

    #[test]
    fn a_name_never_leaves_its_segment() {
        let secrets = kind("v1", "secrets", true);
        for (name, encoded) in
            [("a/../b", "a%2F..%2Fb"), ("a?dryRun=All", "a%3FdryRun%3DAll"), ("..", "%2E%2E"), ("a:b", "a:b")]
        {
            assert_eq!(secrets.object("n", name), format!("/api/v1/namespaces/n/secrets/{encoded}"));
        }
    }

    #[test]
    fn an_answer_that_is_no_status_keeps_its_text_and_code() {
        let status = refusal(StatusCode::BAD_GATEWAY, b"  upstream gone\n");
        assert_eq!((status.code, status.message.as_str()), (502, "upstream gone"));
    }
}
