//! The names of repositories and of what is in them.

use std::fmt;

/// The registry of names that have none.
const DEFAULT_REGISTRY: &str = "index.docker.io";
/// The folder of Docker Hub's own repositories.
const DEFAULT_NAMESPACE: &str = "library";
/// The tag where none is named.
pub const DEFAULT_TAG: &str = "latest";
/// The longest repository.
const MAX_REPOSITORY: usize = 255;
/// The longest tag.
const MAX_TAG: usize = 128;
const REPOSITORY_CHARACTERS: &str = "abcdefghijklmnopqrstuvwxyz0123456789_-./";

/// Why a text is not a name. The texts are those that Flux shows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// There is nothing.
    #[error("a repository name must be specified")]
    Empty,
    /// The registry is no host.
    #[error("registries must be valid RFC 3986 URI authorities: {0}")]
    Registry(String),
    /// The repository is too short or too long.
    #[error("repository must be between 2 and {MAX_REPOSITORY} characters in length: {0}")]
    Length(String),
    /// The repository has a character that none can have.
    #[error("repository can only contain the characters `{REPOSITORY_CHARACTERS}`: {0}")]
    Characters(String),
    /// A tag where only a repository is named.
    #[error("URL must not contain a tag; remove ':{0}'")]
    Tagged(String),
    /// The tag has a character that none can have, or is too long.
    #[error("invalid tag '{0}'")]
    Tag(String),
    /// The digest is none, or of another algorithm than sha256.
    #[error("cannot parse hash: \"{0}\"")]
    Digest(String),
}

/// A repository of a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// Host, and port where it has one.
    pub registry: String,
    /// The path in the registry.
    pub repository: String,
}

impl Name {
    /// Reads `host/path`. A first part without `.` and `:` is not a host, and the registry is Docker Hub then.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        let (registry, repository) = match text.split_once('/') {
            Some((host, path)) if host.contains(['.', ':']) => (host, path),
            _ => ("", text),
        };
        if let Some((_, tag)) = repository.split_once(':') {
            return Err(NameError::Tagged(tag.to_owned()));
        }
        let registry = if matches!(registry, "" | "docker.io") { DEFAULT_REGISTRY } else { registry };
        Self::new(registry, repository)
    }

    /// Takes registry and path as they are.
    pub fn new(registry: &str, repository: &str) -> Result<Self, NameError> {
        if !(2..=MAX_REPOSITORY).contains(&repository.len()) {
            return Err(NameError::Length(repository.to_owned()));
        }
        if !repository.chars().all(|c| REPOSITORY_CHARACTERS.contains(c)) || repository.split('/').any(is_bad_part) {
            return Err(NameError::Characters(repository.to_owned()));
        }
        let url = url::Url::parse(&format!("https://{registry}/"));
        let is_host = url.is_ok_and(|url| url.host().is_some() && url.username().is_empty() && url.path() == "/")
            && !registry.contains(['/', '?', '#', '@', '\\'])
            && !registry.chars().any(char::is_whitespace);
        if !is_host {
            return Err(NameError::Registry(registry.to_owned()));
        }
        let is_short = registry == DEFAULT_REGISTRY && !repository.contains('/');
        let repository = if is_short { format!("{DEFAULT_NAMESPACE}/{repository}") } else { repository.to_owned() };
        Ok(Self { registry: registry.to_owned(), repository })
    }

    /// The host whose API is asked.
    pub fn api_host(&self) -> &str {
        if self.registry == "docker.io" { "registry-1.docker.io" } else { &self.registry }
    }

    /// True for this machine, which is asked over plain HTTP when it does not speak TLS.
    pub fn is_local(&self) -> bool {
        let host = self.registry.rsplit_once(':').map_or(self.registry.as_str(), |(host, _)| host);
        let host = host.trim_start_matches('[').trim_end_matches(']');
        host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}

/// A part of a path that a server may take for a step up.
fn is_bad_part(part: &str) -> bool {
    part.is_empty() || part == "." || part == ".."
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)
    }
}

/// A digest, `sha256:` and 64 digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digest(String);

impl Digest {
    /// Reads a digest.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let hex = text.strip_prefix("sha256:").filter(|hex| hex.len() == 64);
        let is_hex = hex.is_some_and(|hex| hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')));
        if is_hex { Ok(Self(text.to_owned())) } else { Err(NameError::Digest(text.to_owned())) }
    }

    /// Computes the digest of some bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(crate::source::archive::digest(bytes))
    }

    /// The digest with its algorithm.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What names a manifest of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reference {
    /// A tag, which may move.
    Tag(String),
    /// A digest.
    Digest(Digest),
}

impl Reference {
    /// Takes a tag.
    pub fn tag(text: &str) -> Result<Self, NameError> {
        let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        let is_good = !text.is_empty() && text.len() <= MAX_TAG && text.chars().all(good) && !is_bad_part(text);
        if is_good { Ok(Self::Tag(text.to_owned())) } else { Err(NameError::Tag(text.to_owned())) }
    }

    /// What stands for it in a request's path.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Tag(tag) => tag,
            Self::Digest(digest) => digest.as_str(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_a_registry_and_a_path() {
        let table = [
            ("ghcr.io/stefanprodan/charts/podinfo", "ghcr.io", "stefanprodan/charts/podinfo"),
            ("localhost:5000/app", "localhost:5000", "app"),
            ("app", "index.docker.io", "library/app"),
            ("org/app", "index.docker.io", "org/app"),
            ("docker.io/org/app", "index.docker.io", "org/app"),
            ("[::1]:5000/app", "[::1]:5000", "app"),
        ];
        for (text, registry, repository) in table {
            let name = Name::parse(text).unwrap();
            assert_eq!((name.registry.as_str(), name.repository.as_str()), (registry, repository), "{text}");
        }
    }

    #[test]
    fn what_is_no_name_is_refused() {
        let error = |text: &str| Name::parse(text).unwrap_err().to_string();
        assert_eq!(error(""), "a repository name must be specified");
        assert_eq!(error("ghcr.io/org/app:1.0"), "URL must not contain a tag; remove ':1.0'");
        assert!(error("ghcr.io/Org/app").starts_with("repository can only contain the characters"));
        assert!(error("ghcr.io/org/../../app").starts_with("repository can only contain"));
        assert!(error("ghcr.io/").starts_with("repository must be between"));
        assert!(error("user@ghcr.io/org/app").starts_with("registries must be valid"));
        assert!(error(&format!("ghcr.io/{}", "a".repeat(256))).starts_with("repository must be between"));
    }

    #[test]
    fn digests_and_tags_are_checked() {
        assert!(Digest::parse(&format!("sha256:{}", "a".repeat(64))).is_ok());
        for text in ["sha256:invalid", "sha512:aa", "", &format!("sha256:{}", "A".repeat(64))] {
            assert!(Digest::parse(text).is_err(), "{text}");
        }
        for text in ["", "..", "a/b", "a+b", "a?b", &"a".repeat(129)] {
            assert!(Reference::tag(text).is_err(), "{text}");
        }
        assert!(Reference::tag("6.2.1_ref.1234567").is_ok());
    }

    #[test]
    fn this_machine_is_known() {
        for (host, expected) in
            [("localhost:5000", true), ("127.0.0.1:80", true), ("[::1]:5000", true), ("10.0.0.1:5000", false)]
        {
            assert_eq!(Name::parse(&format!("{host}/app")).unwrap().is_local(), expected, "{host}");
        }
    }
}
