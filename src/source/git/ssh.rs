//! ssh: who we are, and whom we take the other side for.
//!
//! libgit2 checks host keys against `.ssh/known_hosts` in the home folder, and asks the server for the kind of key that
//! is known there. The child process has a home folder of its own that holds nothing but the Secret's `known_hosts`.

use std::cell::Cell;
use std::fs;
use std::io;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use git2::{CertificateCheckStatus, Cred, CredentialType, RemoteCallbacks};
use serde::{Deserialize, Serialize};

use crate::source::secret::Redacted;

/// The smallest RSA key that is taken, in bits.
pub const MIN_RSA_BITS: usize = 2048;

/// What ssh needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SshCredentials {
    /// The private key in OpenSSH's or PEM form.
    pub identity: Redacted<String>,
    /// The key's passphrase.
    pub passphrase: Option<Redacted<String>>,
    /// Host keys in OpenSSH's form, plain or hashed.
    pub known_hosts: String,
}

/// Writes the known hosts where libgit2 looks for them.
///
/// Left out are lines with markers: libgit2 does not know certificate authorities, so that such hosts stay unknown and
/// are refused; revoked keys are refused by [`callbacks`]. So are lines without a key, at which libssh2 would stop.
pub fn write_known_hosts(home: &Path, known_hosts: &str) -> io::Result<()> {
    let folder = home.join(".ssh");
    fs::create_dir_all(&folder)?;
    let usable: Vec<&str> = lines(known_hosts).filter(|line| !line.starts_with('@') && has_key(line)).collect();
    fs::write(folder.join("known_hosts"), usable.join("\n") + "\n")
}

fn lines(known_hosts: &str) -> impl Iterator<Item = &str> {
    known_hosts.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
}

fn has_key(line: &str) -> bool {
    let mut fields = line.split_whitespace().skip(1);
    let is_kind = fields.next().is_some_and(|kind| kind.starts_with("ssh-") || kind.starts_with("ecdsa-sha2-"));
    is_kind && fields.next().is_some_and(|key| STANDARD.decode(key).is_ok())
}

fn revoked_keys(known_hosts: &str) -> Vec<Vec<u8>> {
    lines(known_hosts)
        .filter_map(|line| line.strip_prefix("@revoked"))
        .filter_map(|line| line.split_whitespace().nth(2))
        .filter_map(|key| STANDARD.decode(key).ok())
        .collect()
}

/// Makes the callbacks of an ssh connection: our key, once, and what a known host's key must be beside known.
pub fn callbacks<'a>(
    user: &'a str,
    credentials: &'a SshCredentials,
    reason: &'a Cell<Option<&'static str>>,
) -> RemoteCallbacks<'a> {
    let mut callbacks = RemoteCallbacks::new();
    let mut offered = false;
    callbacks.credentials(move |_, _, allowed| {
        // Whoever is asked for credentials has taken the host key.
        reason.set(None);
        if allowed.contains(CredentialType::USERNAME) {
            return Cred::username(user);
        }
        if offered || !allowed.contains(CredentialType::SSH_MEMORY) {
            reason.set(Some("ssh: unable to authenticate: the server does not take the identity"));
            return Err(git2::Error::from_str("unable to authenticate"));
        }
        offered = true;
        let passphrase = credentials.passphrase.as_ref().map(|text| text.expose().as_str());
        Cred::ssh_key_from_memory(user, None, credentials.identity.expose(), passphrase)
    });
    let revoked = revoked_keys(&credentials.known_hosts);
    callbacks.certificate_check(move |certificate, _| {
        let key = certificate.as_hostkey().and_then(|key| key.hostkey());
        let Some(key) = key else {
            reason.set(Some("ssh: the server shows no host key"));
            return Err(git2::Error::from_str("no host key"));
        };
        if rsa_bits(key).is_some_and(|bits| bits < MIN_RSA_BITS) {
            reason.set(Some("ssh: the server's RSA host key is shorter than 2048 bits"));
            return Err(git2::Error::from_str("short host key"));
        }
        if revoked.iter().any(|revoked| revoked == key) {
            reason.set(Some("ssh: the server's host key is revoked"));
            return Err(git2::Error::from_str("revoked host key"));
        }
        reason.set(Some("ssh: handshake failed: the server's host key is not in known_hosts"));
        Ok(CertificateCheckStatus::CertificatePassthrough)
    });
    callbacks
}

/// Returns the bits of an RSA key in ssh's wire form; none for other kinds.
fn rsa_bits(key: &[u8]) -> Option<usize> {
    let (kind, rest) = field(key)?;
    if kind != b"ssh-rsa" {
        return None;
    }
    let (_exponent, rest) = field(rest)?;
    let (modulus, _) = field(rest)?;
    let first = modulus.iter().position(|byte| *byte != 0)?;
    Some((modulus.len() - first) * 8 - modulus[first].leading_zeros() as usize)
}

fn field(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    rest.split_at_checked(u32::from_be_bytes(*length) as usize)
}

/// True for a private key that needs a passphrase.
pub fn is_encrypted(identity: &str) -> bool {
    if identity.contains("Proc-Type: 4,ENCRYPTED") || identity.contains("BEGIN ENCRYPTED PRIVATE KEY") {
        return true;
    }
    let body: String = identity.lines().filter(|line| !line.starts_with("-----")).collect();
    let Ok(bytes) = STANDARD.decode(body.trim()) else { return false };
    let cipher = bytes.strip_prefix(b"openssh-key-v1\0").and_then(field);
    cipher.is_some_and(|(cipher, _)| cipher != b"none")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(parts: &[&[u8]]) -> Vec<u8> {
        parts.iter().flat_map(|part| [&(part.len() as u32).to_be_bytes()[..], part].concat()).collect()
    }

    #[test]
    fn rsa_keys_are_measured() {
        let key = |bytes: usize| {
            let mut modulus = vec![0xff; bytes];
            modulus.insert(0, 0);
            wire(&[b"ssh-rsa", &[1, 0, 1], &modulus])
        };
        assert_eq!(rsa_bits(&key(128)), Some(1024));
        assert_eq!(rsa_bits(&key(256)), Some(2048));
        assert_eq!(rsa_bits(&wire(&[b"ssh-ed25519", &[1; 32]])), None);
        assert_eq!(rsa_bits(&key(256)[..40]), None);
    }

    #[test]
    fn marked_lines_are_left_out_and_revoked_keys_known() {
        let home = tempfile::tempdir().unwrap();
        let text = "# comment\n\nhost ssh-ed25519 AAAA\nnonsense\nhost odd AAAA\nhost ssh-rsa !\n@cert-authority *.x ssh-rsa BBBB\n@revoked host ssh-rsa aGVsbG8=\n";
        write_known_hosts(home.path(), text).unwrap();
        let written = fs::read_to_string(home.path().join(".ssh/known_hosts")).unwrap();
        assert_eq!(written, "host ssh-ed25519 AAAA\n");
        assert_eq!(revoked_keys(text), [b"hello".to_vec()]);
    }

    #[test]
    fn encrypted_keys_are_told_apart() {
        let openssh = |cipher: &[u8]| {
            let bytes = [b"openssh-key-v1\0".to_vec(), wire(&[cipher, b"none"])].concat();
            format!(
                "-----BEGIN OPENSSH PRIVATE KEY-----\n{}\n-----END OPENSSH PRIVATE KEY-----\n",
                STANDARD.encode(bytes)
            )
        };
        assert!(is_encrypted(&openssh(b"aes256-ctr")));
        assert!(!is_encrypted(&openssh(b"none")));
        assert!(is_encrypted("-----BEGIN ENCRYPTED PRIVATE KEY-----\nx\n"));
        assert!(!is_encrypted("nonsense"));
    }
}
