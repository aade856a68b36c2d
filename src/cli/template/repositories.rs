//! The repositories that Helm knows by name (`helm repo add`), and their indexes as they were fetched last.

use std::io;
use std::path::Path;

use helm::chart::folder::system_text;
use helm::yaml;
use serde::Deserialize;

use super::homes::Homes;
use super::remote::Remote;
use crate::source::http::{Credentials, Tls};
use crate::source::index::Index;
use crate::source::secret::Redacted;

/// One repository.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) url: String,
    username: String,
    password: Redacted<String>,
    #[serde(rename = "certFile")]
    cert_file: String,
    #[serde(rename = "keyFile")]
    key_file: String,
    #[serde(rename = "caFile")]
    ca_file: String,
    insecure_skip_tls_verify: bool,
    pass_credentials_all: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Document {
    repositories: Vec<Entry>,
}

impl Entry {
    /// Fetches a file as the repository is configured.
    pub(super) fn get(&self, remote: &Remote, url: &str, limit: u64) -> Result<Vec<u8>, String> {
        let read = |path: &str| {
            let content = std::fs::read(path).map_err(|error| format!("open {path}: {}", system_text(&error)))?;
            Ok::<_, String>(Some(Redacted::new(content)))
        };
        let mut tls = Tls { unverified: self.insecure_skip_tls_verify, ..Tls::default() };
        if !self.cert_file.is_empty() && !self.key_file.is_empty() {
            (tls.certificate, tls.key) = (read(&self.cert_file)?, read(&self.key_file)?);
        }
        if !self.ca_file.is_empty() {
            tls.ca = read(&self.ca_file)?;
        }
        let has_login = !self.username.is_empty() && !self.password.expose().is_empty();
        let is_own = match (reqwest::Url::parse(&self.url), reqwest::Url::parse(url)) {
            (Ok(own), Ok(url)) => crate::source::http::same_origin(&own, &url),
            _ => false,
        };
        let login = Credentials::Basic { username: self.username.clone(), password: self.password.clone() };
        let login = Some(&login).filter(|_| has_login && (is_own || self.pass_credentials_all));
        remote.get_with(url, login, &tls, self.pass_credentials_all, limit)
    }
}

/// Reads the repositories; a file that is not there has none.
pub(super) fn all(homes: &Homes) -> Result<Vec<Entry>, String> {
    let path = &homes.repository_config;
    let failed = |text: String| format!("couldn't load repositories file ({}): {text}", path.display());
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(format!("open {}: {}", path.display(), system_text(&error)))),
    };
    let document = yaml::parse(&text).map_err(|error| failed(error.to_string()))?;
    let document: Option<Document> = serde_json::from_value(document).map_err(|error| failed(error.to_string()))?;
    Ok(document.unwrap_or_default().repositories)
}

/// Finds a repository by its name.
pub(super) fn find(homes: &Homes, name: &str) -> Result<Entry, String> {
    let entry = all(homes)?.into_iter().find(|entry| entry.name == name);
    let entry = entry.ok_or_else(|| format!("repo {name} not found"))?;
    if entry.url.is_empty() { Err(format!("no URL found for repository {name}")) } else { Ok(entry) }
}

/// Reads the index of a repository as it was fetched last.
pub(super) fn cached_index(homes: &Homes, name: &str) -> Result<Index, String> {
    let path = homes.index(name);
    let text = std::fs::read(&path).map_err(|error| format!("open {}: {}", path.display(), system_text(&error)))?;
    Index::read(&text).map_err(|error| format!("error loading {}: {error}", path.display()))
}

/// Keeps an index for the next time.
pub(super) fn keep_index(homes: &Homes, name: &str, text: &[u8]) -> Result<(), String> {
    let path = homes.index(name);
    let failed = |path: &Path, error: &io::Error| format!("open {}: {}", path.display(), system_text(error));
    std::fs::create_dir_all(&homes.repository_cache).map_err(|error| failed(&homes.repository_cache, &error))?;
    std::fs::write(&path, text).map_err(|error| failed(&path, &error))
}
