//! Git addresses: which ones are taken, and in which form they go to libgit2.

use reqwest::Url;
use serde::{Deserialize, Serialize};

/// The user of ssh addresses that name none, as with Git hosts everywhere.
const DEFAULT_SSH_USER: &str = "git";
/// The longest address.
const MAX_URL: usize = 2048;

/// Why an address is not taken.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum UrlError {
    /// It is no address.
    #[error("failed to parse url '{shown}': {reason}")]
    Invalid {
        /// The address without user and password.
        shown: String,
        /// What is wrong.
        reason: String,
    },
}

/// How the remote is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Transport {
    /// Smart HTTP, encrypted or not.
    Http,
    /// ssh.
    Ssh,
}

/// An address that is safe to hand on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitUrl {
    /// How it is reached.
    pub transport: Transport,
    /// The address. For ssh it always names a user, for HTTP it may hold user and password.
    pub url: Url,
}

impl GitUrl {
    /// Reads `http://`, `https://` and `ssh://` addresses.
    ///
    /// Refused are other schemes, user and host names that a program could take for an option (CVE-2017-1000117 and its
    /// kin), and characters that no Git address needs.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        let parsed = Url::parse(text);
        let shown = match &parsed {
            Ok(url) if url.has_host() => super::super::http::shown(url),
            _ => without_user(text),
        };
        let invalid = |reason: &str| UrlError::Invalid { shown: shown.clone(), reason: reason.to_owned() };
        if text.len() > MAX_URL {
            return Err(invalid("it is too long"));
        }
        if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(invalid("it holds blanks or control characters"));
        }
        let mut url = parsed.map_err(|error| invalid(&error.to_string()))?;
        let transport = match url.scheme() {
            "http" | "https" => Transport::Http,
            "ssh" => Transport::Ssh,
            _ => return Err(invalid("the scheme is none of http, https and ssh")),
        };
        let host = url.host_str().unwrap_or_default();
        if host.is_empty() {
            return Err(invalid("it names no host"));
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || ".-_:[]".contains(c);
        if host.starts_with('-') || !host.chars().all(plain) {
            return Err(invalid("the host name holds characters that host names do not have"));
        }
        if url.username().starts_with('-') || url.username().to_ascii_lowercase().starts_with("%2d") {
            return Err(invalid("the user starts with a hyphen"));
        }
        let path = url.path().to_ascii_lowercase();
        if ["%00", "%0a", "%0d"]
            .iter()
            .any(|bad| path.contains(bad) || url.username().to_ascii_lowercase().contains(bad))
        {
            return Err(invalid("it holds encoded control characters"));
        }
        if transport == Transport::Ssh {
            if url.password().is_some() {
                return Err(invalid("a password within an ssh address is not supported"));
            }
            if url.username().is_empty() && url.set_username(DEFAULT_SSH_USER).is_err() {
                return Err(invalid("it names no host"));
            }
        }
        url.set_fragment(None);
        Ok(Self { transport, url })
    }

    /// Returns the address for messages: without user and password.
    pub fn shown(&self) -> String {
        super::super::http::shown(&self.url)
    }
}

/// Writes the scp form (`git@host:path`) as `ssh://`; every other address stays as it is.
pub fn from_scp_form(text: &str) -> String {
    if text.contains("://") {
        return text.to_owned();
    }
    match text.split_once(':') {
        Some((host, path)) if !host.is_empty() && !host.contains('/') && !path.is_empty() => {
            format!("ssh://{host}/{}", path.trim_start_matches('/'))
        }
        _ => text.to_owned(),
    }
}

/// Cuts what could be user and password out of something that does not parse.
fn without_user(text: &str) -> String {
    match text.rsplit_once('@') {
        Some((_, rest)) => format!("<...>@{rest}"),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_schemes_are_taken() {
        let table = [
            ("https://example.com/org/repo.git", "https://example.com/org/repo.git"),
            ("http://127.0.0.1:8080/repo", "http://127.0.0.1:8080/repo"),
            ("ssh://git@example.com/org/repo", "ssh://git@example.com/org/repo"),
            ("ssh://example.com:2222/org/repo", "ssh://git@example.com:2222/org/repo"),
            ("ssh://deploy@[::1]:22/~user/repo", "ssh://deploy@[::1]:22/~user/repo"),
        ];
        for (text, expected) in table {
            assert_eq!(GitUrl::parse(text).unwrap().url.as_str(), expected);
        }
    }

    #[test]
    fn what_could_be_an_option_or_is_no_address_is_refused() {
        for text in [
            "::",
            "",
            "file:///etc",
            "git://example.com/x",
            "ext::sh -c id",
            "ssh://-oProxyCommand=id/x",
            "ssh://-oProxyCommand=id@example.com/x",
            "ssh://%2doProxyCommand=id@example.com/x",
            "ssh://user:pass@example.com/x",
            "https://exam ple.com/x",
            "https://example.com/x\n",
            "ssh://example.com/x%00y",
            "ssh://example.com/x%0ay",
        ] {
            assert!(GitUrl::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn errors_do_not_show_passwords() {
        for text in ["git://user:hunter2@example.com/x", "user:hunter2@ex ample"] {
            let error = GitUrl::parse(text).unwrap_err();
            assert!(!format!("{error:?} {error}").contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn the_scp_form_becomes_ssh() {
        assert_eq!(from_scp_form("git@example.com:org/repo.git"), "ssh://git@example.com/org/repo.git");
        assert_eq!(from_scp_form("example.com:/srv/repo"), "ssh://example.com/srv/repo");
        assert_eq!(from_scp_form("https://example.com/x"), "https://example.com/x");
        assert_eq!(from_scp_form("./local"), "./local");
    }
}
