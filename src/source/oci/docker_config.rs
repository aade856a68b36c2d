//! The logins of a Docker configuration, as Secrets for image pulls and `helm registry login` keep them.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use serde::Deserialize;
use std::collections::BTreeMap;

use super::name::Name;
use crate::source::secret::{Redacted, SecretData};

/// The key of a Secret of type `kubernetes.io/dockerconfigjson`.
pub const DOCKER_CONFIG_JSON: &str = ".dockerconfigjson";
/// The key of a Secret of the old type `kubernetes.io/dockercfg`.
const DOCKER_CFG: &str = ".dockercfg";

/// Why a configuration cannot be read. Nothing of it is shown.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum DockerConfigError {
    /// It is not JSON of the expected shape.
    #[error("the Docker configuration is not valid JSON")]
    Syntax,
    /// The `auth` of a registry is not base64 of user and password.
    #[error("the Docker configuration's auth of '{0}' is not base64 of user:password")]
    Auth(String),
}

/// Who we are to a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Login {
    /// User and password.
    Basic {
        /// The user.
        username: String,
        /// The password.
        password: Redacted<String>,
    },
    /// A refresh token, for which the token server gives a bearer token.
    Identity(Redacted<String>),
    /// A bearer token for the registry itself.
    Bearer(Redacted<String>),
}

/// The logins by registry.
#[derive(Debug, Clone, Default)]
pub struct DockerConfig {
    /// Server address as it is written, and the login; the most specific address first.
    logins: Vec<(String, Login)>,
}

#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "lowercase", default)]
struct Entry {
    auth: String,
    username: String,
    password: String,
    identitytoken: String,
    registrytoken: String,
}

impl DockerConfig {
    /// Reads `config.json`.
    pub fn parse(text: &[u8]) -> Result<Self, DockerConfigError> {
        let document: Document = serde_json::from_slice(text).map_err(|_| DockerConfigError::Syntax)?;
        Self::of(document.auths)
    }

    /// Reads the configuration of a Secret; none when the Secret has no such key.
    pub fn from_secret(data: &SecretData) -> Result<Option<Self>, DockerConfigError> {
        if let Some(text) = data.get(DOCKER_CONFIG_JSON) {
            return Self::parse(text).map(Some);
        }
        let Some(text) = data.get(DOCKER_CFG) else { return Ok(None) };
        Self::of(serde_json::from_slice(text).map_err(|_| DockerConfigError::Syntax)?).map(Some)
    }

    fn of(entries: BTreeMap<String, Entry>) -> Result<Self, DockerConfigError> {
        let mut logins = Vec::new();
        // As in Kubernetes: a longer address counts before a shorter one with the same beginning.
        for (address, entry) in entries.into_iter().rev() {
            if let Some(login) = login(&address, entry)? {
                logins.push((address, login));
            }
        }
        Ok(Self { logins })
    }

    /// Takes over the logins of another configuration, after those that are there.
    pub fn extend(&mut self, other: Self) {
        self.logins.extend(other.logins);
    }

    /// Finds the login for a repository as Kubernetes does: addresses may have a path, and `*` in parts of the host.
    pub fn for_repository(&self, name: &Name) -> Option<&Login> {
        let target = format!("{}/{}", name.registry, name.repository);
        self.logins.iter().find(|(address, _)| covers(&place(address), &target)).map(|(_, login)| login)
    }

    /// Finds the login for a host as Docker's client does: the address itself, or one whose host is the same.
    pub fn for_host(&self, host: &str) -> Option<&Login> {
        let exact = self.logins.iter().find(|(address, _)| address == host);
        let by_host = || self.logins.iter().find(|(address, _)| place(address).split('/').next() == Some(host));
        exact.or_else(by_host).map(|(_, login)| login)
    }

    /// True when there is no login.
    pub fn is_empty(&self) -> bool {
        self.logins.is_empty()
    }
}

fn login(address: &str, entry: Entry) -> Result<Option<Login>, DockerConfigError> {
    if !entry.registrytoken.is_empty() {
        return Ok(Some(Login::Bearer(Redacted::new(entry.registrytoken))));
    }
    if !entry.identitytoken.is_empty() {
        return Ok(Some(Login::Identity(Redacted::new(entry.identitytoken))));
    }
    let (username, password) = if entry.auth.is_empty() {
        (entry.username, entry.password)
    } else {
        let wrong = || DockerConfigError::Auth(place(address));
        let bytes = STANDARD.decode(&entry.auth).or_else(|_| STANDARD_NO_PAD.decode(&entry.auth));
        let text = String::from_utf8(bytes.map_err(|_| wrong())?).map_err(|_| wrong())?;
        let (username, password) = text.split_once(':').ok_or_else(wrong)?;
        (username.to_owned(), password.trim_end_matches('\0').to_owned())
    };
    if username.is_empty() && password.is_empty() {
        return Ok(None);
    }
    Ok(Some(Login::Basic { username, password: Redacted::new(password) }))
}

/// Makes an address as it is written the host and path that it means.
fn place(address: &str) -> String {
    let bare = address.strip_prefix("https://").or_else(|| address.strip_prefix("http://")).unwrap_or(address);
    let (host, path) = bare.split_once('/').unwrap_or((bare, ""));
    let host = if host == "docker.io" { "index.docker.io" } else { host };
    let path = path.strip_prefix("v1/").or_else(|| path.strip_prefix("v2/")).unwrap_or(path);
    let path = if matches!(path, "v1" | "v2") { "" } else { path };
    format!("{host}/{path}").trim_end_matches('/').to_owned()
}

/// True when a place with `*` in its host covers a repository.
fn covers(place: &str, target: &str) -> bool {
    let (host, path) = place.split_once('/').unwrap_or((place, ""));
    let (target_host, target_path) = target.split_once('/').unwrap_or((target, ""));
    let (parts, targets): (Vec<&str>, Vec<&str>) = (host.split('.').collect(), target_host.split('.').collect());
    parts.len() == targets.len()
        && parts.iter().zip(&targets).all(|(pattern, part)| is_glob_match(pattern, part))
        && target_path.starts_with(path)
}

/// Matches a part of a host against a pattern in which `*` stands for any characters.
fn is_glob_match(pattern: &str, text: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(text) = text.strip_prefix(start) else { return false };
    if rest.is_empty() {
        return true;
    }
    (0..=text.len()).filter(|at| text.is_char_boundary(*at)).any(|at| is_glob_match(rest, &text[at..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(addresses: &[&str]) -> DockerConfig {
        let auths: serde_json::Map<_, _> = addresses
            .iter()
            .map(|address| ((*address).to_owned(), serde_json::json!({ "username": address, "password": "p" })))
            .collect();
        DockerConfig::parse(&serde_json::to_vec(&serde_json::json!({ "auths": auths })).unwrap()).unwrap()
    }

    fn user(login: Option<&Login>) -> Option<&str> {
        match login? {
            Login::Basic { username, .. } => Some(username),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_most_specific_address_counts() {
        let config = config(&["ghcr.io", "ghcr.io/org", "*.example.com", "https://index.docker.io/v1/"]);
        let table = [
            ("ghcr.io/org/app", Some("ghcr.io/org")),
            ("ghcr.io/other/app", Some("ghcr.io")),
            ("eu.example.com/app", Some("*.example.com")),
            ("example.com/app", None),
            ("a.b.example.com/app", None),
            ("app", Some("https://index.docker.io/v1/")),
            ("ghcr.io:444/app", None),
        ];
        for (name, expected) in table {
            assert_eq!(user(config.for_repository(&Name::parse(name).unwrap())), expected, "{name}");
        }
        assert_eq!(user(config.for_host("ghcr.io")), Some("ghcr.io"));
        assert_eq!(user(config.for_host("index.docker.io")), Some("https://index.docker.io/v1/"));
        assert_eq!(user(config.for_host("eu.example.com")), None);
    }

    #[test]
    fn every_way_to_write_a_login_is_read() {
        let text = format!(
            r#"{{ "auths": {{ "a": {{ "auth": "{}" }}, "b": {{ "identitytoken": "t" }}, "c": {{ "registrytoken": "t" }}, "d": {{}} }},
                "credsStore": "desktop" }}"#,
            STANDARD.encode("user:pa:ss")
        );
        let config = DockerConfig::parse(text.as_bytes()).unwrap();
        let password = Redacted::new("pa:ss".to_owned());
        assert_eq!(config.for_host("a"), Some(&Login::Basic { username: "user".into(), password }));
        assert_eq!(config.for_host("b"), Some(&Login::Identity(Redacted::new("t".into()))));
        assert_eq!(config.for_host("c"), Some(&Login::Bearer(Redacted::new("t".into()))));
        assert_eq!(config.for_host("d"), None);
    }

    #[test]
    fn errors_show_nothing_of_the_configuration() {
        let error = |text: &str| DockerConfig::parse(text.as_bytes()).unwrap_err().to_string();
        assert!(!error(r#"{"auths": {"a": {"auth": "hunter2"}}}"#).contains("hunter2"));
        assert!(!error(r#"{"auths": {"a": {"auth": ["hunter2"]}}}"#).contains("hunter2"));
    }

    #[test]
    fn stars_are_tried_everywhere() {
        for (pattern, text, expected) in
            [("*", "x", true), ("a*c", "abbc", true), ("a*c", "abbd", false), ("*b*", "abc", true), ("a", "ab", false)]
        {
            assert_eq!(is_glob_match(pattern, text), expected, "{pattern} {text}");
        }
    }
}
