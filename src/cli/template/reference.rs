//! References to charts in registries, as Helm reads them.

use helm::quote::quote;

use crate::source::oci::{Digest, Name, Reference};

/// The longest tag.
const MAX_TAG: usize = 128;

/// `oci://registry/repository[:tag][@digest]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ChartReference {
    pub(super) registry: String,
    pub(super) repository: String,
    /// Empty for none. A plus is an underscore here.
    pub(super) tag: String,
    /// Empty for none.
    pub(super) digest: String,
}

impl ChartReference {
    /// Reads a reference; the errors are Helm's.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let invalid = |what: &str| format!("invalid reference: {what}");
        let text = text.strip_prefix("oci://").unwrap_or(text);
        let (text, digest) = text.rsplit_once('@').unwrap_or((text, ""));
        let (registry, path) = text.split_once('/').ok_or_else(|| invalid("missing registry or repository"))?;
        let (repository, tag) = path.split_once(':').unwrap_or((path, ""));
        let is_registry = !registry.is_empty()
            && !registry.contains(['@', '?', '#', '\\'])
            && url::Url::parse(&format!("http://{registry}/")).is_ok_and(|url| url.host().is_some());
        if !is_registry {
            return Err(invalid(&format!("invalid registry {}", quote(registry))));
        }
        if !is_repository(repository) {
            return Err(invalid(&format!("invalid repository {}", quote(repository))));
        }
        let tag = tag.replace('+', "_");
        if path.contains(':') && !tag.is_empty() && !is_tag(&tag) {
            return Err(invalid(&format!("invalid tag {}", quote(&tag))));
        }
        Ok(Self { registry: registry.to_owned(), repository: repository.to_owned(), tag, digest: digest.to_owned() })
    }

    /// The repository to ask.
    pub(super) fn name(&self) -> Result<Name, String> {
        Name::new(&self.registry, &self.repository).map_err(|error| error.to_string())
    }

    /// What is pulled: the tag, or the digest where there is no tag.
    pub(super) fn reference(&self) -> Result<Reference, String> {
        if self.tag.is_empty() {
            let why = match self.digest.split_once(':') {
                None => "invalid checksum digest format",
                Some(("sha256", hex)) if hex.len() != 64 => "invalid checksum digest length",
                Some(("sha256", _)) => "invalid checksum digest format",
                Some(_) => "unsupported digest algorithm",
            };
            let invalid = |_| format!("invalid reference: invalid digest {}: {why}", quote(&self.digest));
            return Digest::parse(&self.digest).map(Reference::Digest).map_err(invalid);
        }
        Reference::tag(&self.tag).map_err(|_| format!("invalid reference: invalid tag {}", quote(&self.tag)))
    }
}

impl std::fmt::Display for ChartReference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if self.tag.is_empty() { write!(f, "@{}", self.digest) } else { write!(f, ":{}", self.tag) }
    }
}

fn is_tag(tag: &str) -> bool {
    let is_good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    tag.len() <= MAX_TAG && tag.chars().all(is_good) && !tag.starts_with(['.', '-'])
}

/// Parts of lower-case letters and digits, with single separators between.
fn is_repository(path: &str) -> bool {
    let is_part = |part: &str| {
        let is_good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '.' | '-');
        let is_end = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        let separators = part.split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
        part.chars().all(is_good)
            && is_end(part.chars().next())
            && is_end(part.chars().last())
            && separators.into_iter().all(|s| matches!(s, "" | "." | "_" | "__") || s.chars().all(|c| c == '-'))
    };
    path.split('/').all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_that_is_none_is_said() {
        for (digest, why) in [
            ("sha256:abc", "invalid checksum digest length"),
            ("abc", "invalid checksum digest format"),
            ("md5:abc", "unsupported digest algorithm"),
        ] {
            let text = ChartReference::parse(&format!("oci://ghcr.io/app@{digest}")).unwrap().reference().unwrap_err();
            assert_eq!(text, format!("invalid reference: invalid digest \"{digest}\": {why}"));
        }
    }

    #[test]
    fn references_are_read_as_helm_does() {
        let parse = |text: &str| ChartReference::parse(text).map(|reference| reference.to_string());
        let digest = format!("sha256:{}", "a".repeat(64));
        for (text, expected) in [
            (
                "oci://localhost:5000/charts/app:1.0.0+build".to_owned(),
                "localhost:5000/charts/app:1.0.0_build".to_owned(),
            ),
            (format!("oci://ghcr.io/app@{digest}"), format!("ghcr.io/app@{digest}")),
            (format!("oci://ghcr.io/app:1@{digest}"), "ghcr.io/app:1".to_owned()),
            ("ghcr.io/a-b/c__d/e.f".to_owned(), "ghcr.io/a-b/c__d/e.f@".to_owned()),
        ] {
            assert_eq!(parse(&text), Ok(expected), "{text}");
        }
        for (text, expected) in [
            ("oci://ghcr.io", "invalid reference: missing registry or repository"),
            ("oci://ghcr.io/Charts/app", "invalid reference: invalid repository \"Charts/app\""),
            ("oci://ghcr.io/a..b", "invalid reference: invalid repository \"a..b\""),
            ("oci://ghcr.io/a:-x", "invalid reference: invalid tag \"-x\""),
            ("oci:///a", "invalid reference: invalid registry \"\""),
        ] {
            assert_eq!(parse(text).unwrap_err(), expected, "{text}");
        }
    }
}
