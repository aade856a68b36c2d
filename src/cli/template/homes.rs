//! Where Helm keeps its configuration and what it has fetched.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use helm::chart::folder::system_text;

use super::args::HomeArgs;

/// How a chart is called in the cache of contents.
const CHART_SUFFIX: &str = ".chart";

/// Helm's folders and files.
#[derive(Debug)]
pub(super) struct Homes {
    /// Charts by digest.
    content: PathBuf,
    /// Indexes of repositories by their name.
    pub(super) repository_cache: PathBuf,
    /// The repositories that are known by name.
    pub(super) repository_config: PathBuf,
    /// The logins of `helm registry login`.
    pub(super) registry_config: PathBuf,
    /// Docker's own logins.
    pub(super) docker_config: Option<PathBuf>,
}

impl Homes {
    /// Finds them as Helm does: by flag, by variable, in the user's folders.
    pub(super) fn of(args: &HomeArgs) -> Self {
        let home = std::env::home_dir().unwrap_or_default();
        let base = |own: &str, shared: &str, default: &str| {
            let shared = || variable(shared).map(|folder| folder.join("helm"));
            variable(own).or_else(shared).unwrap_or_else(|| home.join(default).join("helm"))
        };
        let cache = base("HELM_CACHE_HOME", "XDG_CACHE_HOME", ".cache");
        let config = base("HELM_CONFIG_HOME", "XDG_CONFIG_HOME", ".config");
        let or = |given: &Option<PathBuf>, default: PathBuf| given.clone().unwrap_or(default);
        Self {
            content: or(&args.content_cache, cache.join("content")),
            repository_cache: or(&args.repository_cache, cache.join("repository")),
            repository_config: or(&args.repository_config, config.join("repositories.yaml")),
            registry_config: or(&args.registry_config, config.join("registry/config.json")),
            docker_config: Some(variable("DOCKER_CONFIG").unwrap_or_else(|| home.join(".docker")).join("config.json")),
        }
    }

    /// Finds a chart that was fetched before.
    pub(super) fn cached(&self, digest: &str) -> Option<PathBuf> {
        let path = self.place(digest)?;
        let state = std::fs::metadata(&path).ok()?;
        (state.is_file() && state.len() > 0).then_some(path)
    }

    /// Keeps a chart and returns its path; the error has Go's words.
    pub(super) fn keep(&self, digest: &str, bytes: &[u8]) -> Result<PathBuf, String> {
        let path = self.place(digest).ok_or_else(|| format!("invalid digest {digest}"))?;
        let folder = path.parent().unwrap_or(&self.content);
        let failed =
            |at: &Path, what: &str, error: &io::Error| format!("{what} {}: {}", at.display(), system_text(error));
        std::fs::create_dir_all(folder).map_err(|error| failed(folder, "mkdir", &error))?;
        let mut file = tempfile::NamedTempFile::new_in(folder).map_err(|error| failed(folder, "open", &error))?;
        file.write_all(bytes).map_err(|error| failed(&path, "write", &error))?;
        file.persist(&path).map_err(|error| failed(&path, "rename", &error.error))?;
        Ok(path)
    }

    fn place(&self, digest: &str) -> Option<PathBuf> {
        let hex = digest.strip_prefix("sha256:").unwrap_or(digest);
        let is_digest = hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_hexdigit());
        let hex = hex.to_ascii_lowercase();
        is_digest.then(|| self.content.join(&hex[..2]).join(format!("{hex}{CHART_SUFFIX}")))
    }

    /// Returns where the index of a repository is kept.
    pub(super) fn index(&self, repository: &str) -> PathBuf {
        self.repository_cache.join(format!("{repository}-index.yaml"))
    }
}

fn variable(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_is_kept_by_its_digest() {
        let folder = tempfile::tempdir().unwrap();
        let args = HomeArgs { content_cache: Some(folder.path().to_owned()), ..HomeArgs::default() };
        let homes = Homes::of(&args);
        let digest = format!("sha256:{}", "ab".repeat(32));
        assert_eq!(homes.cached(&digest), None);
        let path = homes.keep(&digest, b"chart").unwrap();
        assert_eq!(path, folder.path().join("ab").join(format!("{}.chart", "ab".repeat(32))));
        assert_eq!(homes.cached(&digest), Some(path));
        assert_eq!(homes.cached("sha256:../../x"), None);
    }
}
