//! What a registry asks of those it does not know (`WWW-Authenticate`), and the token that answers it.

use std::net::IpAddr;
use std::time::Duration;

use ::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use reqwest::Url;
use serde::Deserialize;

use super::docker_config::Login;
use crate::source::http::{self, Access, Credentials, HttpError, Tls};
use crate::source::secret::Redacted;

/// The largest answer of a token server.
const MAX_TOKEN: u64 = 1 << 20;
/// What a token server is told that we are.
const CLIENT_ID: &str = "bowline";

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The challenge names no usable token server.
    #[error("bearer realm of {origin} refused: {reason}")]
    Realm {
        /// The registry.
        origin: String,
        /// Why.
        reason: &'static str,
    },
    /// The token server did not answer.
    #[error("failed to fetch token")]
    Http(#[source] HttpError),
    /// The token server refused.
    #[error("failed to fetch token: {url}: {status}")]
    Refused {
        /// The token server.
        url: String,
        /// What it answered.
        status: StatusCode,
    },
    /// The answer has no token.
    #[error("failed to fetch token: {url}: the answer has no token")]
    Empty {
        /// The token server.
        url: String,
    },
}

/// How a registry wants to know us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Challenge {
    /// By user and password.
    Basic,
    /// By a token of a token server.
    Bearer {
        /// The token server.
        realm: String,
        /// What the token server calls the registry.
        service: String,
        /// What the token is for.
        scope: String,
    },
}

impl Challenge {
    /// Reads the challenge of a response's headers; none when there is none that we can answer.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let values = headers.get_all(header::WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
        let mut basic = None;
        for value in values {
            let (scheme, parameters) = value.trim().split_once(' ').unwrap_or((value.trim(), ""));
            if scheme.eq_ignore_ascii_case("bearer") {
                let find = |name: &str| parameter(parameters, name).unwrap_or_default();
                return Some(Self::Bearer { realm: find("realm"), service: find("service"), scope: find("scope") });
            }
            if scheme.eq_ignore_ascii_case("basic") {
                basic = Some(Self::Basic);
            }
        }
        basic
    }
}

/// Finds one `name=value` or `name="value"` of a challenge.
fn parameter(text: &str, wanted: &str) -> Option<String> {
    let mut rest = text;
    while let Some((name, after)) = rest.split_once('=') {
        let (value, next) = if let Some(quoted) = after.strip_prefix('"') {
            unquote(quoted)
        } else {
            let (value, next) = after.split_once(',').unwrap_or((after, ""));
            (value.trim().to_owned(), next)
        };
        if name.trim_matches([' ', ',']).eq_ignore_ascii_case(wanted) {
            return Some(value);
        }
        rest = next;
    }
    None
}

/// Reads up to the closing quote; a backslash takes the meaning of what follows it.
fn unquote(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => return (value, &text[at + 1..]),
            '\\' => value.extend(characters.next().map(|(_, c)| c)),
            c => value.push(c),
        }
    }
    (value, "")
}

/// Answers a challenge: returns the value of `Authorization`; none when the registry wants a user, and we have none.
pub async fn answer(
    challenge: &Challenge,
    registry: &Url,
    repository: &str,
    login: Option<&Login>,
    tls: &Tls,
    timeout: Duration,
) -> Result<Option<HeaderValue>, TokenError> {
    if let Some(Login::Bearer(token)) = login {
        return Ok(Credentials::Bearer(token.clone()).header());
    }
    match challenge {
        Challenge::Basic => Ok(basic(login).and_then(|credentials| credentials.header())),
        Challenge::Bearer { realm, service, scope } => {
            let realm = check_realm(realm, registry)?;
            let scope = if scope.is_empty() { format!("repository:{repository}:pull") } else { scope.clone() };
            let token = fetch(&realm, service, &scope, registry, login, tls, timeout).await?;
            Ok(Credentials::Bearer(token).header())
        }
    }
}

fn basic(login: Option<&Login>) -> Option<Credentials> {
    match login? {
        Login::Basic { username, password } => {
            Some(Credentials::Basic { username: username.clone(), password: password.clone() })
        }
        Login::Identity(_) | Login::Bearer(_) => None,
    }
}

/// Refuses token servers that credentials must not go to: a step down from https, and addresses within a private network
/// that are not the registry's own.
fn check_realm(realm: &str, registry: &Url) -> Result<Url, TokenError> {
    let refused = |reason| TokenError::Realm { origin: http::origin(registry), reason };
    let url = Url::parse(realm).map_err(|_| refused("it is no URL"))?;
    match url.scheme() {
        "https" => {}
        "http" if registry.scheme() == "http" => {}
        "http" => return Err(refused("it leads from https to http")),
        _ => return Err(refused("neither http nor https")),
    }
    let address = url.host_str().map(|host| host.trim_matches(['[', ']'])).and_then(|host| host.parse::<IpAddr>().ok());
    let is_private = address.is_some_and(|address| match address {
        IpAddr::V4(address) => {
            address.is_loopback() || address.is_private() || address.is_link_local() || address.is_unspecified()
        }
        IpAddr::V6(address) => {
            address.is_loopback()
                || address.is_unique_local()
                || address.is_unicast_link_local()
                || address.is_unspecified()
        }
    });
    if is_private && url.host() != registry.host() {
        return Err(refused("it is an address in a private network"));
    }
    Ok(url)
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    token: String,
    #[serde(default)]
    access_token: String,
}

async fn fetch(
    realm: &Url,
    service: &str,
    scope: &str,
    registry: &Url,
    login: Option<&Login>,
    tls: &Tls,
    timeout: Duration,
) -> Result<Redacted<String>, TokenError> {
    // Our certificate is for the registry, not for whom it points to.
    let mut tls = tls.clone();
    if !http::same_origin(realm, registry) {
        (tls.certificate, tls.key) = (None, None);
    }
    let access = Access::new(realm, basic(login).as_ref(), &tls, false).map_err(TokenError::Http)?;
    let mut url = realm.clone();
    let mut headers = HeaderMap::new();
    let (method, body) = if let Some(Login::Identity(token)) = login {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        let form = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "refresh_token")
            .append_pair("service", service)
            .append_pair("scope", scope)
            .append_pair("client_id", CLIENT_ID)
            .append_pair("refresh_token", token.expose())
            .finish();
        (Method::POST, form)
    } else {
        if !service.is_empty() {
            url.query_pairs_mut().append_pair("service", service);
        }
        for scope in scope.split(' ') {
            url.query_pairs_mut().append_pair("scope", scope);
        }
        (Method::GET, String::new())
    };
    let work = http::retried(|| access.send(method.clone(), &url, &headers, body.as_bytes()));
    let mut response = http::within(timeout, &url, work).await.map_err(TokenError::Http)?;
    if !response.status().is_success() {
        return Err(TokenError::Refused { url: http::shown(&url), status: response.status() });
    }
    let body =
        http::within(timeout, &url, http::read(&mut response, &url, MAX_TOKEN)).await.map_err(TokenError::Http)?;
    let empty = || TokenError::Empty { url: http::shown(&url) };
    let answer: Answer = serde_json::from_slice(&body).map_err(|_| empty())?;
    let token = if answer.token.is_empty() { answer.access_token } else { answer.token };
    if token.is_empty() { Err(empty()) } else { Ok(Redacted::new(token)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn challenge(values: &[&'static str]) -> Option<Challenge> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::WWW_AUTHENTICATE, HeaderValue::from_static(value));
        }
        Challenge::of(&headers)
    }

    #[test]
    fn challenges_are_read() {
        let expected = Challenge::Bearer {
            realm: "https://auth.example.com/token?a=b".into(),
            service: "registry, the".into(),
            scope: "repository:a/b:pull".into(),
        };
        let text =
            r#"Bearer realm="https://auth.example.com/token?a=b",service="registry, the", scope="repository:a/b:pull""#;
        assert_eq!(challenge(&[text]), Some(expected));
        assert_eq!(challenge(&["Basic realm=\"x\""]), Some(Challenge::Basic));
        let both = challenge(&["Basic realm=\"x\"", "bearer realm=https://a,service=b"]);
        let expected = Challenge::Bearer { realm: "https://a".into(), service: "b".into(), scope: String::new() };
        assert_eq!(both, Some(expected));
        assert_eq!(challenge(&["Negotiate"]), None);
        assert_eq!(challenge(&[]), None);
    }

    #[test]
    fn token_servers_that_credentials_must_not_go_to_are_refused() {
        let table = [
            ("https://ghcr.io", "https://auth.docker.io/token", true),
            ("https://ghcr.io", "http://auth.docker.io/token", false),
            ("http://localhost:5000", "http://localhost:5001/token", true),
            ("http://127.0.0.1:5000", "http://127.0.0.1:5001/token", true),
            ("https://ghcr.io", "https://169.254.169.254/token", false),
            ("https://ghcr.io", "https://[::1]/token", false),
            ("https://ghcr.io", "https://10.0.0.1/token", false),
            ("https://10.0.0.1", "https://10.0.0.1:8443/token", true),
            ("https://ghcr.io", "file:///etc/passwd", false),
            ("https://ghcr.io", "", false),
        ];
        for (registry, realm, expected) in table {
            let registry = Url::parse(registry).unwrap();
            assert_eq!(check_realm(realm, &registry).is_ok(), expected, "{registry} {realm}");
        }
    }
}
