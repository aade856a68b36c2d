//! `--dependency-update`: what `Chart.yaml` asks for is fetched into `charts/`, and `Chart.lock` says what that was.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use helm::chart::folder::{Links, system_text};
use helm::chart::metadata::API_VERSION_V1;
use helm::chart::{Chart, Dependency};
use helm::quote::quote;
use helm::semver::{Constraints, Version};
use helm::yaml;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::homes::Homes;
use super::locate::{Locator, resolve};
use super::reference::ChartReference;
use super::remote::MAX_FILE;
use super::repositories::{self, Entry};
use crate::source::archive;
use crate::source::chart::pack_folder;
use crate::source::index::{Index, MAX_INDEX};
use crate::source::oci::chart;

/// How the index of a repository that is not known by name is called.
const UNMANAGED: &str = "helm-manager-";

/// Fetches a chart's dependencies; the texts and errors are Helm's.
pub(super) fn update(locator: &mut Locator<'_>, path: &Path) -> Result<(), String> {
    if !path.is_dir() {
        return Err("only unpacked charts can be updated".to_owned());
    }
    let chart = Chart::load(path, &Links::Follow).map_err(|error| error.to_string())?;
    let mut wanted = chart.metadata().dependencies.clone().unwrap_or_default();
    if wanted.is_empty() {
        return Ok(());
    }
    let known = repositories::all(locator.homes)?;
    let names = repository_names(path, &mut wanted, &known)?;
    let names = fetch_unmanaged(locator, names, &wanted)?;
    fetch_managed(locator, &known)?;
    let mut locked = lock(locator, path, &wanted, &names)?;
    Download { locator, path, known: &known }.all(&mut locked)?;
    let digest = digest(&wanted, &locked);
    if chart.lock().is_some_and(|lock| lock.digest == digest) {
        return Ok(());
    }
    let is_old = chart.metadata().api_version == API_VERSION_V1;
    write_lock(path, if is_old { "requirements.lock" } else { "Chart.lock" }, &digest, &locked)
}

/// Finds for each dependency under which name its repository's index is kept; an alias becomes the repository's address.
fn repository_names(
    path: &Path,
    wanted: &mut [Dependency],
    known: &[Entry],
) -> Result<BTreeMap<String, String>, String> {
    let mut names = BTreeMap::new();
    let mut missing = Vec::new();
    for dependency in wanted {
        let repository = dependency.repository.clone();
        if repository.is_empty() {
            continue;
        }
        if repository.starts_with("file://") {
            local_path(path, &repository)?;
            names.insert(dependency.name.clone(), repository);
            continue;
        }
        if repository.starts_with("oci://") {
            names.insert(dependency.name.clone(), repository);
            continue;
        }
        let alias = repository.strip_prefix('@').or_else(|| repository.strip_prefix("alias:"));
        let found = known.iter().find(|entry| alias == Some(&entry.name) || is_same_url(&entry.url, &repository));
        match found {
            Some(entry) => {
                if alias.is_some() {
                    dependency.repository.clone_from(&entry.url);
                }
                names.insert(dependency.name.clone(), entry.name.clone());
            }
            None if reqwest::Url::parse(&repository).is_ok() || repository.starts_with('/') => {}
            None => missing.push(repository),
        }
    }
    if missing.is_empty() {
        return Ok(names);
    }
    let list = missing.join(", ");
    let mut text = format!("no repository definition for {list}. Please add them via 'helm repo add'");
    let is_word = |text: &String| !text.contains("//") && !text.starts_with('@') && !text.starts_with("alias:");
    if missing.iter().any(is_word) {
        text += "\nNote that repositories must be URLs or aliases. For example, to refer to the \"example\"\n\
                 repository, use \"https://charts.example.com/\" or \"@example\" instead of\n\
                 \"example\". Don't forget to add the repo, too ('helm repo add').";
    }
    Err(text)
}

/// Fetches the indexes of repositories that are not known by name.
fn fetch_unmanaged(
    locator: &mut Locator<'_>,
    mut names: BTreeMap<String, String>,
    wanted: &[Dependency],
) -> Result<BTreeMap<String, String>, String> {
    let mut urls: Vec<String> = Vec::new();
    for dependency in wanted.iter().filter(|dependency| !dependency.repository.is_empty()) {
        if names.contains_key(&dependency.name) {
            continue;
        }
        let url = &dependency.repository;
        names.insert(dependency.name.clone(), unmanaged_name(url));
        if !urls.iter().any(|known| known.trim_end_matches('/') == url.trim_end_matches('/')) {
            urls.push(url.clone());
        }
    }
    if !urls.is_empty() {
        println!("Getting updates for unmanaged Helm repositories...");
    }
    for url in urls {
        let remote = locator.remote;
        let get = |href: &str| remote.get(href, None, false, MAX_INDEX);
        fetch_index(locator.homes, &unmanaged_name(&url), &url, get).map_or_else(
            |text| println!("...Unable to get an update from the {} chart repository:\n\t{text}", quote(&url)),
            |()| println!("...Successfully got an update from the {} chart repository", quote(&url)),
        );
    }
    Ok(names)
}

/// Fetches the indexes of the repositories that are known by name.
fn fetch_managed(locator: &mut Locator<'_>, known: &[Entry]) -> Result<(), String> {
    if known.is_empty() {
        return Ok(());
    }
    println!("Hang tight while we grab the latest from your chart repositories...");
    for entry in known {
        let (name, url) = (quote(&entry.name), &entry.url);
        let get = |href: &str| entry.get(locator.remote, href, MAX_INDEX);
        fetch_index(locator.homes, &entry.name, url, get).map_or_else(
            |text| println!("...Unable to get an update from the {name} chart repository ({url}):\n\t{text}"),
            |()| println!("...Successfully got an update from the {name} chart repository"),
        );
    }
    println!("Update Complete. ⎈Happy Helming!⎈");
    Ok(())
}

fn fetch_index(
    homes: &Homes,
    name: &str,
    url: &str,
    get: impl FnOnce(&str) -> Result<Vec<u8>, String>,
) -> Result<(), String> {
    let text = get(&resolve(url, "index.yaml")?)?;
    Index::read(&text).map_err(|error| error.to_string())?;
    repositories::keep_index(homes, name, &text)
}

/// Chooses the exact version of each dependency.
fn lock(
    locator: &Locator<'_>,
    path: &Path,
    wanted: &[Dependency],
    names: &BTreeMap<String, String>,
) -> Result<Vec<Dependency>, String> {
    let (mut locked, mut missing) = (Vec::new(), Vec::new());
    for dependency in wanted {
        let Dependency { name, version, repository, .. } = dependency;
        let range = Constraints::parse(version)
            .map_err(|error| format!("dependency {} has an invalid version/constraint format: {error}", quote(name)))?;
        let found = if repository.is_empty() {
            local_path(path, &format!("charts/{name}"))?;
            Some(version.clone())
        } else if repository.starts_with("file://") {
            let chart = load(&local_path(path, repository)?)?;
            let is_good = Version::parse(chart.version()).is_ok_and(|version| range.check(&version));
            is_good.then(|| chart.version().to_owned())
        } else if repository.starts_with("oci://") {
            // What no tag satisfies is left as it is, and fails when it is fetched.
            Some(newest_tag(locator, repository, name, version, &range)?.unwrap_or_else(|| version.clone()))
        } else {
            let known = names.get(name).map(String::as_str).unwrap_or_default();
            let index = repositories::cached_index(locator.homes, known)
                .map_err(|text| format!("no cached repository for {known} found. (try 'helm repo update'): {text}"))?;
            let versions =
                index.versions(name).ok_or_else(|| format!("{name} chart not found in repo {repository}"))?;
            let is_good = |candidate: &str| Version::parse(candidate).is_ok_and(|version| range.check(&version));
            let found = versions.iter().find(|candidate| !candidate.urls.is_empty() && is_good(&candidate.version));
            found.map(|found| found.version.clone())
        };
        match found {
            Some(version) => locked.push(Dependency {
                name: name.clone(),
                version,
                repository: repository.clone(),
                ..Dependency::default()
            }),
            None => {
                missing.push(format!("{} (repository {}, version {})", quote(name), quote(repository), quote(version)));
            }
        }
    }
    if missing.is_empty() {
        return Ok(locked);
    }
    Err(format!(
        "can't get a valid version for {} subchart(s): {}. Make sure a matching chart version exists in the repo, or change \
         the version constraint in Chart.yaml",
        missing.len(),
        missing.join(", ")
    ))
}

fn newest_tag(
    locator: &Locator<'_>,
    repository: &str,
    name: &str,
    version: &str,
    range: &Constraints,
) -> Result<Option<String>, String> {
    if Version::parse(version).is_ok() {
        return Ok(Some(version.to_owned()));
    }
    let failed = |text: String| format!("could not retrieve list of tags for repository {repository}: {text}");
    let place = ChartReference::parse(&format!("{repository}/{name}")).and_then(|r| r.name()).map_err(failed)?;
    let registry = locator.remote.repository(place.clone()).map_err(failed)?;
    let work = async {
        let versions = chart::versions(&registry).await;
        versions.map_err(|error| locator.remote.registry_text(&place, "tags/list", &error))
    };
    let versions = locator.remote.wait(work).map_err(failed)?;
    Ok(versions.iter().find(|version| range.check(version)).map(ToString::to_string))
}

/// Fetches the dependencies of one chart.
struct Download<'a, 'l> {
    locator: &'a mut Locator<'l>,
    path: &'a Path,
    known: &'a [Entry],
}

impl Download<'_, '_> {
    /// Fetches all into a folder aside, and then into `charts/`, out of which older versions go.
    fn all(&mut self, locked: &mut [Dependency]) -> Result<(), String> {
        let target = self.path.join("charts");
        match std::fs::metadata(&target) {
            Ok(state) if !state.is_dir() => return Err(format!("{} is not a directory", shown(&target))),
            Ok(_) => {}
            Err(_) => std::fs::create_dir_all(&target).map_err(|error| io_text("mkdir", &target, &error))?,
        }
        let aside = tempfile::Builder::new().prefix("tmpcharts-").tempdir_in(self.path);
        let aside = aside.map_err(|error| io_text("mkdir", self.path, &error))?;
        println!("Saving {} charts", locked.len());
        let mut fetched = HashSet::new();
        for dependency in locked.iter_mut() {
            let outcome = self.one(dependency, &target, aside.path(), &mut fetched);
            outcome.map_err(|failure| {
                if let Failure::Save(text) = &failure {
                    println!("Save error occurred:  {text}");
                }
                failure.text()
            })?;
        }
        Self::put_in_place(locked, aside.path(), &target)
    }

    fn one(
        &mut self,
        dependency: &mut Dependency,
        target: &Path,
        aside: &Path,
        fetched: &mut HashSet<String>,
    ) -> Result<(), Failure> {
        let Dependency { name, version, repository, .. } = dependency.clone();
        if repository.is_empty() {
            println!("Dependency {name} did not declare a repository. Assuming it exists in the charts directory");
            return check_local(target, &name, &version);
        }
        if repository.starts_with("file://") {
            dependency.version = self.pack_local(&name, &version, &repository, aside).map_err(Failure::Save)?;
            return Ok(());
        }
        let found = self.find(&name, &version, &repository);
        let url = found.map_err(|text| Failure::Save(format!("could not find : {text}")))?;
        if !fetched.insert(url.clone()) {
            println!("Already downloaded {name} from repo {repository}");
            return Ok(());
        }
        println!("Downloading {name} from repo {repository}");
        let (place, file, bytes) = if url.starts_with("oci://") {
            let place = format!("{repository}/{name}");
            let bytes = self.locator.resolve_oci(&place, &version).and_then(|(found, _)| self.locator.pull(&found));
            (place, format!("{name}-{version}.tgz"), bytes)
        } else {
            let file = url.split(['?', '#']).next().unwrap_or_default().rsplit('/').next().unwrap_or_default();
            let entry = self.known.iter().find(|entry| is_same_url(&entry.url, &repository));
            let bytes = match entry {
                Some(entry) => entry.get(self.locator.remote, &url, MAX_FILE),
                None => self.locator.remote.get(&url, None, false, MAX_FILE),
            };
            (url.clone(), file.to_owned(), bytes)
        };
        let bytes = bytes.map_err(|text| Failure::Save(format!("could not download {place}: {text}")))?;
        save(aside, &file, &bytes).map_err(Failure::Save)
    }

    /// Finds the address of a dependency's archive.
    fn find(&mut self, name: &str, version: &str, repository: &str) -> Result<String, String> {
        if repository.starts_with("oci://") {
            return Ok(format!("{repository}/{name}:{version}"));
        }
        let Some(entry) = self.known.iter().find(|entry| is_same_url(&entry.url, repository)) else {
            let found = self.locator.find_in(repository, name, version);
            return found.map_err(|text| format!("chart {name} not found in {repository}: {text}"));
        };
        let index = repositories::cached_index(self.locator.homes, &entry.name)?;
        let versions = index.versions(name).ok_or("entry not found")?;
        let is_same = |candidate: &str| match (Version::parse(candidate), Version::parse(version)) {
            (Ok(a), Ok(b)) => a == b,
            _ => candidate == version,
        };
        let found = versions.iter().find(|candidate| !candidate.urls.is_empty() && is_same(&candidate.version));
        let found = found.and_then(|found| found.urls.first()).ok_or("no matching version")?;
        resolve(repository, found)
    }

    /// Packs a chart of another folder.
    fn pack_local(&self, name: &str, version: &str, repository: &str, aside: &Path) -> Result<String, String> {
        let path = local_path(self.path, repository)?;
        let chart = load(&path)?;
        let range = Constraints::parse(version)
            .map_err(|error| format!("dependency {name} has an invalid version/constraint format: {error}"))?;
        let found = Version::parse(chart.version()).map_err(|error| error.to_string())?;
        if !range.check(&found) {
            return Err(format!("can't get a valid version for dependency {name}"));
        }
        let bytes = pack_folder(&path)?;
        save(aside, &format!("{}-{}.tgz", chart.name(), chart.version()), &bytes)?;
        Ok(chart.version().to_owned())
    }

    /// Moves what was fetched into `charts/`, and deletes archives there that nothing asks for.
    fn put_in_place(locked: &[Dependency], aside: &Path, target: &Path) -> Result<(), String> {
        let names = |folder: &Path| -> Result<Vec<std::ffi::OsString>, String> {
            let entries = std::fs::read_dir(folder).map_err(|error| io_text("open", folder, &error))?;
            let mut names: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.file_name())).collect();
            names.sort();
            Ok(names)
        };
        let (new, old) = (names(aside)?, names(target)?);
        for name in &new {
            let (from, to) = (aside.join(name), target.join(name));
            if let Err(text) = load(&from) {
                print!("Could not verify {} for moving: {text} (Skipping)", from.display());
                continue;
            }
            std::fs::rename(&from, &to).map_err(|error| io_text("rename", &from, &error))?;
        }
        println!("Deleting outdated charts");
        let is_local = |name: &str| locked.iter().any(|d| d.repository.is_empty() && d.name == name);
        for name in old.iter().filter(|name| !new.contains(name)) {
            let path = target.join(name);
            if path.is_dir() {
                continue;
            }
            match load(&path) {
                Err(text) => println!("Could not verify {} for deletion: {text} (Skipping)", path.display()),
                Ok(chart) if is_local(chart.name()) => {}
                Ok(_) => std::fs::remove_file(&path).map_err(|error| io_text("remove", &path, &error))?,
            }
        }
        Ok(())
    }
}

/// Why one dependency is not there.
enum Failure {
    /// It was not fetched, which is said on standard output too.
    Save(String),
    /// What is in `charts/` is not usable.
    Local(String),
}

impl Failure {
    fn text(self) -> String {
        match self {
            Self::Save(text) | Self::Local(text) => text,
        }
    }
}

/// Checks a dependency that is in `charts/` already.
fn check_local(target: &Path, name: &str, version: &str) -> Result<(), Failure> {
    let path = target.join(name);
    let chart =
        load(&path).map_err(|text| Failure::Local(format!("unable to load chart '{}': {text}", path.display())))?;
    let range = Constraints::parse(version).map_err(|error| {
        Failure::Local(format!("dependency {name} has an invalid version/constraint format: {error}"))
    })?;
    let found = Version::parse(chart.version())
        .map_err(|error| Failure::Local(format!("invalid version {version} for dependency {name}: {error}")))?;
    if range.check(&found) {
        return Ok(());
    }
    let found = chart.version();
    Err(Failure::Save(format!("dependency {name} at version {found} does not satisfy the constraint {version}")))
}

fn save(folder: &Path, file: &str, bytes: &[u8]) -> Result<(), String> {
    if file.is_empty() || file.starts_with('.') || file.contains(['/', '\\']) {
        return Err(format!("{} is no name of a file", quote(file)));
    }
    let path = folder.join(file);
    std::fs::write(&path, bytes).map_err(|error| io_text("open", &path, &error))
}

fn load(path: &Path) -> Result<Chart, String> {
    Chart::load(path, &Links::Follow).map_err(|error| error.to_string())
}

/// Finds the folder of a `file://` repository.
fn local_path(chart: &Path, repository: &str) -> Result<PathBuf, String> {
    let bare = repository.strip_prefix("file://").unwrap_or(repository);
    let path = clean(&if bare.starts_with('/') { PathBuf::from(bare) } else { chart.join(bare) });
    match std::fs::metadata(&path) {
        Ok(_) => Ok(path),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(format!("directory {} not found", path.display()))
        }
        Err(error) => Err(io_text("stat", &path, &error)),
    }
}

/// Takes `.` and `..` out of a path, as Go joins paths.
fn clean(path: &Path) -> PathBuf {
    use std::path::Component;
    let mut cleaned = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                cleaned.pop();
            }
            part => cleaned.push(part),
        }
    }
    cleaned
}

fn is_same_url(a: &str, b: &str) -> bool {
    match (reqwest::Url::parse(a), reqwest::Url::parse(b)) {
        (Ok(mut a), Ok(mut b)) => {
            for url in [&mut a, &mut b] {
                let path = url.path().trim_end_matches('/').to_owned();
                url.set_path(&path);
            }
            a == b
        }
        _ => a.trim_end_matches('/') == b.trim_end_matches('/'),
    }
}

fn unmanaged_name(url: &str) -> String {
    format!("{UNMANAGED}{}", archive::digest(url.as_bytes()).trim_start_matches("sha256:"))
}

/// Computes the digest of what was asked for and what it resolved to.
fn digest(wanted: &[Dependency], locked: &[Dependency]) -> String {
    // Plain data always serialises. Go escapes what has a meaning in HTML.
    let text = serde_json::to_string(&(wanted, locked)).unwrap_or_default();
    let text = text.replace('&', "\\u0026").replace('<', "\\u003c").replace('>', "\\u003e");
    archive::digest(text.as_bytes())
}

fn write_lock(path: &Path, file: &str, digest: &str, locked: &[Dependency]) -> Result<(), String> {
    let target = path.join(file);
    if let Ok(state) = std::fs::symlink_metadata(&target)
        && state.is_symlink()
    {
        let link = std::fs::read_link(&target).map_err(|error| io_text("readlink", &target, &error))?;
        return Err(format!("the {file} file is a symlink to {}", shown(&link)));
    }
    let dependencies: Vec<Value> = locked.iter().map(|dependency| json!(dependency)).collect();
    let document = json!({ "dependencies": dependencies, "digest": digest, "generated": Timestamp::now().to_string() });
    let mut text = Vec::new();
    yaml::emit(&document, 0, &mut text).map_err(|error| error.to_string())?;
    text.push(b'\n');
    std::fs::write(&target, text).map_err(|error| io_text("open", &target, &error))
}

fn io_text(verb: &str, path: &Path, error: &std::io::Error) -> String {
    format!("{verb} {}: {}", path.display(), system_text(error))
}

fn shown(path: &Path) -> String {
    quote(&path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_helms() {
        let dependency = |version: &str, repository: &str| Dependency {
            name: "app".into(),
            version: version.into(),
            repository: repository.into(),
            ..Dependency::default()
        };
        let url = "http://127.0.0.1:8899";
        let of = digest(&[dependency("1.x", url)], &[dependency("1.2.0+build.5", url)]);
        assert_eq!(of, "sha256:233e2c20efcd53cb54d7c59499b303679abb87a5c936c234b7c896b176597443");
    }

    #[test]
    fn repositories_that_nobody_knows_are_named() {
        let mut wanted = [Dependency { name: "a".into(), repository: "stable".into(), ..Dependency::default() }];
        let text = repository_names(Path::new("/nowhere"), &mut wanted, &[]).unwrap_err();
        assert!(
            text.starts_with("no repository definition for stable. Please add them via 'helm repo add'\nNote that")
        );
        wanted[0].repository = "@stable".into();
        let text = repository_names(Path::new("/nowhere"), &mut wanted, &[]).unwrap_err();
        assert_eq!(text, "no repository definition for @stable. Please add them via 'helm repo add'");
    }

    #[test]
    fn addresses_are_the_same_with_and_without_a_slash_at_the_end() {
        assert!(is_same_url("http://h/charts", "http://h/charts/"));
        assert!(is_same_url("http://h", "http://h/"));
        assert!(!is_same_url("http://h/a", "http://h/b"));
    }
}
