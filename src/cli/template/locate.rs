//! Where the chart is: a folder, an archive, or what is fetched into Helm's cache.

use std::path::{Path, PathBuf};

use helm::chart::folder::system_text;
use helm::notice::{Level, Notice};
use helm::quote::quote;
use helm::semver::{Constraints, Version};
use reqwest::Url;

use super::Error;
use super::args::Args;
use super::homes::Homes;
use super::reference::ChartReference;
use super::remote::{MAX_FILE, Remote};
use super::repositories;
use crate::source::archive;
use crate::source::http::same_origin;
use crate::source::index::{ChartVersion, Index, MAX_INDEX};
use crate::source::oci::chart::{self, ChartError, LEGACY_LAYER_MEDIA_TYPE};
use crate::source::oci::{OciError, Reference};

const UNDERSCORE: &str = "OCI artifact references (e.g. tags) do not support the plus sign (+). To support
storing semantic versions, Helm adopts the convention of changing plus (+) to
an underscore (_) in chart version tags when pushing to a registry and back to
a plus (+) when pulling from a registry.";

/// What finds and fetches charts.
pub(super) struct Locator<'a> {
    pub(super) homes: &'a Homes,
    pub(super) remote: &'a Remote,
    pub(super) log: &'a mut dyn FnMut(&Notice),
}

impl Locator<'_> {
    /// Finds the chart that the arguments name.
    pub(super) fn locate(&mut self, args: &Args, reference: &str) -> Result<PathBuf, Error> {
        if args.source.switches.verify {
            return Err(Error::Verify);
        }
        let reference = reference.trim();
        let mut version = args.source.version.trim();
        if version.is_empty() && args.unused.switches.devel {
            version = ">0.0.0-0";
        }
        let repo = args.source.repo.as_str();
        if repo.is_empty() {
            if Path::new(reference).exists() {
                return std::path::absolute(reference).map_err(|error| Error::Reference(system_text(&error)));
            }
            if reference.starts_with(['/', '.']) {
                return Err(Error::PathNotFound(reference.to_string()));
            }
            return self.fetch(reference, version).map_err(Error::Reference);
        }
        self.fetch_from(repo, reference, version).map_err(Error::Reference)
    }

    /// Fetches a chart from the repository at a URL.
    fn fetch_from(&mut self, repo: &str, name: &str, version: &str) -> Result<PathBuf, String> {
        let url = self.find_in(repo, name, version)?;
        if url.starts_with("oci://") {
            return self.fetch_oci(&url, version);
        }
        let remote = self.remote;
        let is_same = matches!((Url::parse(repo), Url::parse(&url)), (Ok(a), Ok(b)) if same_origin(&a, &b));
        let credentials = remote.credentials.as_ref().filter(|_| is_same || remote.pass_credentials);
        self.fetch_http(&url, None, |url| remote.get(url, credentials, remote.pass_credentials, MAX_FILE))
    }

    /// Finds the address of a chart in the index of the repository at a URL.
    pub(super) fn find_in(&mut self, repo: &str, name: &str, version: &str) -> Result<String, String> {
        let base = Url::parse(repo).map_err(|_| format!("invalid chart URL format: {repo}"))?;
        if !matches!(base.scheme(), "http" | "https") {
            return Err(format!("could not find protocol handler for: {}", base.scheme()));
        }
        let unusable = |text: String| {
            format!("looks like {} is not a valid chart repository or cannot be reached: {text}", quote(repo))
        };
        let remote = self.remote;
        let href = resolve(repo, "index.yaml")?;
        let index = remote.get(&href, remote.credentials.as_ref(), remote.pass_credentials, MAX_INDEX);
        let index = index.and_then(|text| Index::read(&text).map_err(|error| error.to_string())).map_err(unusable)?;
        let wanted = match version {
            "" => format!("chart {}", quote(name)),
            version => format!("chart {} version {}", quote(name), quote(version)),
        };
        let missing = |_| format!("{wanted} not found in {repo} repository");
        let found = self.choose(&index, name, version).map_err(missing)?;
        let url = found.urls.first().ok_or_else(|| format!("{wanted} has no downloadable URLs"))?;
        resolve(repo, url).map_err(|text| format!("failed to make chart URL absolute: {text}"))
    }

    /// Chooses a version as Helm does: the very one, else the first in the range.
    pub(super) fn choose(&mut self, index: &Index, name: &str, wanted: &str) -> Result<ChartVersion, String> {
        let versions = index.versions(name).ok_or("no chart name found")?;
        if versions.is_empty() {
            return Err("no chart version found".to_owned());
        }
        let range = if wanted.is_empty() { "*" } else { wanted };
        let range = Constraints::parse(range).map_err(|error| error.to_string())?;
        if let Some(exact) = versions.iter().find(|candidate| candidate.version == wanted) {
            return Ok(exact.clone());
        }
        let found = versions.iter().find(|v| Version::parse(&v.version).is_ok_and(|version| range.check(&version)));
        let found = found.ok_or_else(|| format!("no chart version found for {name}-{wanted}"))?;
        if !wanted.is_empty() && !is_range(wanted) {
            let text = "unable to find exact version requested; falling back to closest available version";
            let notice = Notice::new(Level::Warn, text).with("chart", name).with("requested", wanted);
            (self.log)(&notice.with("selected", found.version.as_str()));
        }
        Ok(found.clone())
    }

    /// Fetches what a reference without `--repo` names.
    fn fetch(&mut self, reference: &str, version: &str) -> Result<PathBuf, String> {
        if reference.starts_with("oci://") {
            return self.fetch_oci(reference, version);
        }
        let remote = self.remote;
        if let Some((scheme, rest)) = reference.split_once("://") {
            let has_path = rest.split_once('/').is_some_and(|(host, _)| !host.is_empty());
            if !matches!(scheme, "http" | "https") {
                return Err(format!("scheme {} not supported", quote(scheme)));
            }
            if has_path {
                let credentials = remote.credentials.as_ref();
                let everywhere = remote.pass_credentials;
                return self.fetch_http(reference, None, |url| remote.get(url, credentials, everywhere, MAX_FILE));
            }
        }
        let Some((repository, chart)) = reference.split_once('/') else {
            let text = "non-absolute URLs should be in form of repo_name/path_to_chart, got";
            return Err(format!("{text}: {reference}"));
        };
        let entry = repositories::find(self.homes, repository)?;
        let index = repositories::cached_index(self.homes, &entry.name)
            .map_err(|text| format!("no cached repo found. (try 'helm repo update'): {text}"))?;
        let found = self.choose(&index, chart, version).map_err(|text| {
            let (chart, name) = (quote(chart), &entry.name);
            format!("chart {chart} matching {version} not found in {name} index. (try 'helm repo update'): {text}")
        })?;
        let url = found.urls.first().ok_or_else(|| format!("chart {} has no downloadable URLs", quote(reference)))?;
        let url = resolve(&entry.url, url).map_err(|_| format!("invalid chart URL format: {reference}"))?;
        if url.starts_with("oci://") {
            return self.fetch_oci(&url, "");
        }
        self.fetch_http(&url, found.digest.as_deref(), |url| entry.get(remote, url, MAX_FILE))
    }

    /// Fetches an archive, unless one with its digest is in the cache.
    fn fetch_http(
        &mut self,
        url: &str,
        digest: Option<&str>,
        get: impl FnOnce(&str) -> Result<Vec<u8>, String>,
    ) -> Result<PathBuf, String> {
        if let Some(path) = digest.and_then(|digest| self.homes.cached(digest)) {
            return Ok(path);
        }
        let bytes = get(url)?;
        let digest = digest.map_or_else(|| archive::digest(&bytes), ToOwned::to_owned);
        self.homes.keep(&digest, &bytes)
    }

    /// Pulls a chart from a registry, unless the one with its digest is in the cache.
    fn fetch_oci(&mut self, text: &str, version: &str) -> Result<PathBuf, String> {
        let (reference, known) = self.resolve_oci(text, version)?;
        if let Some(path) = known.as_deref().and_then(|digest| self.homes.cached(digest)) {
            return Ok(path);
        }
        let bytes = self.pull(&reference)?;
        let digest = known.unwrap_or_else(|| archive::digest(&bytes));
        self.homes.keep(&digest, &bytes)
    }

    /// Says which tag or digest is pulled, and the digest that is known beforehand.
    pub(super) fn resolve_oci(&self, text: &str, version: &str) -> Result<(ChartReference, Option<String>), String> {
        let mut reference = ChartReference::parse(text)?;
        let mut version = version.to_owned();
        if version.is_empty() {
            version.clone_from(&reference.tag);
        } else if !reference.tag.is_empty() && reference.tag != version {
            let tag = &reference.tag;
            return Err(format!("chart reference and version mismatch: {version} is not {tag}"));
        }
        let name = reference.name()?;
        let repository = self.remote.repository(name.clone())?;
        if !reference.digest.is_empty() {
            reference.tag.clear();
            // A tag that cannot be found need not be there.
            let resolved = Reference::tag(&version.replace('+', "_")).ok().and_then(|tag| {
                let work = async { repository.resolve(&tag).await.map_err(|error| error.to_string()) };
                self.remote.wait(work).ok()
            });
            let Some(resolved) = resolved else { return Ok((reference, None)) };
            if resolved.as_str() != reference.digest {
                let digest = &reference.digest;
                return Err(format!("chart reference digest mismatch: {resolved} is not {digest}"));
            }
            let digest = reference.digest.clone();
            return Ok((reference, Some(digest)));
        }
        if Version::parse(&version).is_err() {
            let work = async {
                let failed = |error: OciError| self.remote.registry_text(&name, "tags/list", &error);
                chart::versions(&repository).await.map_err(failed)
            };
            let versions = self.remote.wait(work)?;
            if versions.is_empty() {
                return Err(format!("unable to locate any tags in provided repository: {text}"));
            }
            version = chart::choose(&versions, &version)?;
        }
        reference.tag = version.replace('+', "_");
        Ok((reference, None))
    }

    /// Pulls a chart and says so on standard error.
    pub(super) fn pull(&self, reference: &ChartReference) -> Result<Vec<u8>, String> {
        let name = reference.name()?;
        let repository = self.remote.repository(name.clone())?;
        let wanted = reference.reference()?;
        let on_source = |text: String| format!("failed to perform \"FetchReference\" on source: {text}");
        let work = async {
            chart::pull(&repository, &wanted).await.map_err(|error| match error {
                ChartError::Registry(error) => {
                    let is_missing = error.status().is_some_and(|status| status.as_u16() == 404);
                    let path = format!("manifests/{}", wanted.as_str());
                    on_source(if is_missing {
                        format!("{reference}: not found")
                    } else {
                        self.remote.registry_text(&name, &path, &error)
                    })
                }
                other => other.to_string(),
            })
        };
        let pulled = self.remote.wait(work)?;
        if pulled.is_legacy {
            eprintln!("Warning: chart media type {LEGACY_LAYER_MEDIA_TYPE} is deprecated");
        }
        eprintln!("Pulled: {reference}\nDigest: {}", pulled.digest);
        if reference.to_string().contains('_') {
            eprintln!("{reference} contains an underscore.\n\n{UNDERSCORE}");
        }
        Ok(pulled.bytes)
    }
}

/// Makes an address of an index absolute; one that is relative keeps the repository's query.
pub(super) fn resolve(base: &str, reference: &str) -> Result<String, String> {
    if Url::parse(reference).is_ok() {
        return Ok(reference.to_owned());
    }
    let failed = |text: &str| format!("failed to parse {text} as URL");
    let mut url = Url::parse(base).map_err(|_| failed(base))?;
    let query = url.query().map(ToOwned::to_owned);
    let path = format!("{}/", url.path().strip_suffix('/').unwrap_or(url.path()));
    url.set_path(&path);
    let mut resolved = url.join(reference).map_err(|_| failed(reference))?;
    resolved.set_query(query.as_deref());
    Ok(resolved.into())
}

/// True for a version that is a range, for which another version is no surprise.
fn is_range(version: &str) -> bool {
    let core = version.split(['-', '+']).next().unwrap_or_default();
    version.contains(['^', '~', '<', '>', '=', '!', '*'])
        || version.contains("||")
        || version.contains(" - ")
        || core.contains(['x', 'X'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_an_index_are_relative_to_the_repository() {
        for (base, reference, expected) in [
            ("http://h/charts", "app.tgz", "http://h/charts/app.tgz"),
            ("http://h/charts/", "../app.tgz", "http://h/app.tgz"),
            ("http://h/charts?a=b", "app.tgz", "http://h/charts/app.tgz?a=b"),
            ("http://h/charts", "https://other/app.tgz", "https://other/app.tgz"),
        ] {
            assert_eq!(resolve(base, reference).as_deref(), Ok(expected), "{base} {reference}");
        }
        assert_eq!(resolve("::", "a").unwrap_err(), "failed to parse :: as URL");
    }

    #[test]
    fn ranges_are_known() {
        for (version, expected) in [("1.2.3", false), ("1.2", false), ("1.x", true), (">1", true), ("1.0.0-x", false)] {
            assert_eq!(is_range(version), expected, "{version}");
        }
    }
}
