//! The chart of a HelmChart: pulled from a repository as it is, or packaged from a folder of a source.
//!
//! A package is made anew only when values files replace the defaults, the version gets metadata, or the chart is a
//! folder. It is deterministic: the same files give the same bytes.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;

use flate2::Compression;
use flate2::write::GzEncoder;
use helm::chart::archive::BufferedFile;
use helm::chart::folder::Links;
use helm::chart::ignore::Rules;
use helm::chart::{Chart, Dependency};
use helm::semver::{Constraints, Version};
use helm::yaml;
use serde_json::{Map, Value};

use super::archive::{Files, clean_path};
use super::helm_repository::{DownloadError, Repository};
use super::index::{FindError, Index};
use super::oci;
use super::version::three_part_version;

const CHART_FILE: &str = "Chart.yaml";
const VALUES_FILE: &str = "values.yaml";
/// What a package starts with, as Helm writes it; the rest follows by name.
const LEADING: [&str; 4] = [CHART_FILE, "Chart.lock", VALUES_FILE, "values.schema.json"];
/// How deep values are merged.
const MAX_VALUES_DEPTH: usize = 200;

/// Why there is no chart. The texts start with Flux's summary of the reason.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The reference leads to no chart.
    #[error("invalid chart reference: {0}")]
    Reference(String),
    /// The chart did not come.
    #[error("chart pull error: failed to download chart for remote reference")]
    Download(#[source] DownloadError),
    /// The registry did not say which versions it has.
    #[error("chart pull error: failed to get chart version for remote reference: could not get tags for \"{chart}\"")]
    Tags {
        /// The chart.
        chart: String,
        /// What went wrong.
        #[source]
        source: oci::OciError,
    },
    /// The registry did not give the chart.
    #[error("chart pull error: failed to download chart for remote reference: failed to get '{reference}'")]
    PullOci {
        /// The chart with its version.
        reference: String,
        /// What went wrong.
        #[source]
        source: oci::chart::ChartError,
    },
    /// What came is no chart.
    #[error("chart pull error: {0}")]
    Pull(String),
    /// The version takes no metadata.
    #[error("chart metadata patch error: {0}")]
    Metadata(String),
    /// The values files cannot be merged.
    #[error("values files merge error: {0}")]
    Values(String),
    /// A dependency is not there.
    #[error("dependency build error: {0}")]
    Dependency(String),
    /// The chart cannot be packaged.
    #[error("chart package error: {0}")]
    Package(String),
}

/// What a HelmChart asks for beside the chart itself.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Files that replace `values.yaml`, merged in order.
    pub values_files: Vec<String>,
    /// Leave out files that are not there.
    pub ignore_missing: bool,
    /// Build metadata for the version.
    pub version_metadata: Option<String>,
    /// Name and version of the chart that is stored, for which nothing is built.
    pub stored: Option<(String, String)>,
}

/// A chart, built or found to be stored already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Build {
    /// The chart's name.
    pub name: String,
    /// The version, metadata included.
    pub version: String,
    /// The values files that were merged.
    pub values_files: Vec<String>,
    /// Made here, and not the bytes that a repository served.
    pub is_packaged: bool,
    /// The package; none when the stored one is right.
    pub bytes: Option<Vec<u8>>,
}

impl Build {
    /// Says what was done, in Flux's words.
    pub fn summary(&self) -> String {
        let action = if self.is_packaged { "packaged" } else { "pulled" };
        let chart = format!("{action} '{}' chart with version '{}'", self.name, self.version);
        if self.values_files.is_empty() {
            return chart;
        }
        format!("{chart} and merged values files [{}]", self.values_files.join(" "))
    }
}

impl Options {
    /// The values files that change anything: `values.yaml` alone is what the chart has anyway.
    fn effective_values_files(&self) -> &[String] {
        match self.values_files.as_slice() {
            [only] if clean_path(only).as_deref() == Some(VALUES_FILE) => &[],
            files => files,
        }
    }

    /// True when a package is made anew.
    fn is_packaged(&self) -> bool {
        !self.effective_values_files().is_empty() || self.version_metadata.is_some()
    }

    fn version(&self, version: &str) -> Result<String, BuildError> {
        let Some(metadata) = &self.version_metadata else { return Ok(version.to_owned()) };
        let failed = |text: &str, error: helm::semver::Error| BuildError::Metadata(format!("{text}: {error}"));
        let parsed = Version::parse(version)
            .map_err(|error| failed("failed to parse version from chart metadata as SemVer", error))?;
        let with = parsed
            .set_metadata(metadata)
            .map_err(|error| failed("failed to set SemVer metadata on chart version", error))?;
        Ok(with.to_string())
    }

    fn is_stored(&self, name: &str, version: &str) -> bool {
        self.stored
            .as_ref()
            .is_some_and(|(stored_name, stored_version)| stored_name == name && stored_version == version)
    }

    fn stored_build(&self, name: String, version: String, is_packaged: bool) -> Build {
        Build { name, version, values_files: self.effective_values_files().to_vec(), is_packaged, bytes: None }
    }
}

/// True when a HelmChart's values files change the chart, so that its version tells of the generation.
pub fn merges_values(values_files: &[String]) -> bool {
    let options = Options { values_files: values_files.to_vec(), ..Options::default() };
    !options.effective_values_files().is_empty()
}

/// Pulls a chart from a repository; its bytes stay as they are unless the options change the chart.
pub async fn pull(
    repository: &Repository,
    index: &Index,
    chart: &str,
    version: &str,
    options: &Options,
) -> Result<Build, BuildError> {
    check_name(chart)?;
    let found = index.find(chart, version).map_err(|error: FindError| {
        BuildError::Reference(format!("failed to get chart version for remote reference: {error}"))
    })?;
    let target = options.version(&found.version)?;
    if options.is_stored(&found.name, &target) {
        return Ok(options.stored_build(found.name.clone(), target, options.is_packaged()));
    }
    let bytes = repository.download(found).await.map_err(BuildError::Download)?;
    let named = Some(found.name.clone());
    from_package(bytes, found.name.clone(), named, target, options).await
}

/// Pulls a chart from a registry, in which each chart has a repository and each version a tag.
pub async fn pull_oci(
    repository: &oci::Repository,
    chart: &str,
    version: &str,
    options: &Options,
) -> Result<Build, BuildError> {
    let found = if three_part_version(version).is_some() {
        version.to_owned()
    } else {
        let failed = |source| BuildError::Tags { chart: chart.to_owned(), source };
        let versions = oci::chart::versions(repository).await.map_err(failed)?;
        let place = repository.name();
        if versions.is_empty() {
            let missing = format!("unable to locate any tags in provided repository: oci://{place}");
            let text = format!("could not get tags for \"{chart}\": {missing}");
            return Err(BuildError::Pull(format!("failed to get chart version for remote reference: {text}")));
        }
        oci::chart::choose(&versions, version)
            .map_err(|text| BuildError::Pull(format!("failed to get chart version for remote reference: {text}")))?
    };
    let target = options.version(&found)?;
    if options.is_stored(chart, &target) {
        return Ok(options.stored_build(chart.to_owned(), target, options.is_packaged()));
    }
    let failed = |source| BuildError::PullOci { reference: format!("oci://{}:{found}", repository.name()), source };
    let tag = oci::chart::tag(&found).map_err(|error| failed(oci::OciError::from(error).into()))?;
    let pulled = oci::chart::pull(repository, &tag).await.map_err(failed)?;
    from_package(pulled.bytes, chart.to_owned(), None, target, options).await
}

/// Takes a package as it is, or makes it anew where the options change it.
async fn from_package(
    bytes: Vec<u8>,
    name: String,
    named: Option<String>,
    version: String,
    options: &Options,
) -> Result<Build, BuildError> {
    let options = options.clone();
    let repackage = move || repackage(bytes, name, named.as_deref(), version, &options);
    tokio::task::spawn_blocking(repackage).await.map_err(|error| BuildError::Package(error.to_string()))?
}

fn repackage(
    bytes: Vec<u8>,
    name: String,
    named: Option<&str>,
    version: String,
    options: &Options,
) -> Result<Build, BuildError> {
    let loaded = Chart::from_archive(&bytes).map_err(|error| BuildError::Pull(error.to_string()))?;
    if named.is_some_and(|named| named != loaded.name()) {
        return Err(BuildError::Pull(format!("the package holds the chart '{}'", loaded.name())));
    }
    let is_packaged = options.is_packaged();
    if !is_packaged {
        return Ok(Build { name, version, values_files: Vec::new(), is_packaged, bytes: Some(bytes) });
    }
    let buffered = helm::chart::archive::read(&bytes).map_err(|error| BuildError::Package(error.to_string()))?;
    let mut files: BTreeMap<String, Vec<u8>> =
        buffered.into_iter().map(|file| (file.name, file.data.to_vec())).collect();
    let merged = merge(options, |path| files.get(path).map(Vec::as_slice))
        .map_err(|text| BuildError::Values(format!("failed to merge chart values: {text}")))?;
    finish(&mut files, &version, merged, options).map(|(values_files, bytes)| Build {
        name,
        version,
        values_files,
        is_packaged,
        bytes: Some(bytes),
    })
}

/// Packages a chart from a folder of a source, or takes an archive in it as it is.
pub fn package(source: &Files, path: &str, options: &Options) -> Result<Build, BuildError> {
    let reference = |text: String| BuildError::Reference(text);
    if path.starts_with('/') {
        return Err(reference("local chart reference path is expected to be relative".to_owned()));
    }
    let path = clean_path(path).ok_or_else(|| reference(format!("path '{path}' leaves the source")))?;
    if let Some(file) = source.get(&path) {
        return package_archive(source, file.bytes.to_vec(), options);
    }
    if !source.has_folder(&path) {
        return Err(reference(format!("no chart found at '{path}'")));
    }
    let mut files = chart_folder(source, &path).map_err(reference)?;
    let metadata = {
        let chart_yaml =
            files.get(CHART_FILE).ok_or_else(|| reference(format!("no {CHART_FILE} found at '{path}'")))?;
        let only = BTreeMap::from([(CHART_FILE.to_owned(), chart_yaml.clone())]);
        let chart = load(&only).map_err(reference)?;
        (chart.name().to_owned(), chart.version().to_owned())
    };
    let (name, version) = (metadata.0, options.version(&metadata.1)?);
    check_file_name(&name)?;
    if options.is_stored(&name, &version) {
        return Ok(options.stored_build(name, version, true));
    }
    let merged = merge(options, |path| source.get(path).map(|file| file.bytes)).map_err(BuildError::Values)?;
    add_dependencies(source, &path, &mut files)?;
    let (values_files, bytes) = finish(&mut files, &version, merged, options)?;
    Ok(Build { name, version, values_files, is_packaged: true, bytes: Some(bytes) })
}

fn package_archive(source: &Files, bytes: Vec<u8>, options: &Options) -> Result<Build, BuildError> {
    let chart = Chart::from_archive(&bytes).map_err(|error| BuildError::Reference(error.to_string()))?;
    let (name, version) = (chart.name().to_owned(), options.version(chart.version())?);
    check_file_name(&name)?;
    let is_packaged = options.is_packaged();
    if options.is_stored(&name, &version) {
        return Ok(options.stored_build(name, version, is_packaged));
    }
    if !is_packaged {
        return Ok(Build { name, version, values_files: Vec::new(), is_packaged, bytes: Some(bytes) });
    }
    let buffered = helm::chart::archive::read(&bytes).map_err(|error| BuildError::Package(error.to_string()))?;
    let mut files: BTreeMap<String, Vec<u8>> =
        buffered.into_iter().map(|file| (file.name, file.data.to_vec())).collect();
    let merged = merge(options, |path| source.get(path).map(|file| file.bytes)).map_err(BuildError::Values)?;
    let (values_files, bytes) = finish(&mut files, &version, merged, options)?;
    Ok(Build { name, version, values_files, is_packaged, bytes: Some(bytes) })
}

/// Refuses chart names that Flux refuses; a slash may be in them for repositories that are laid out so.
pub fn check_name(name: &str) -> Result<(), BuildError> {
    if name.is_empty() {
        return Err(BuildError::Reference("no name set for remote chart reference".to_owned()));
    }
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '/' | '.');
    let is_bad = !name.chars().all(plain)
        || name.starts_with(['/', '.'])
        || name.split('/').any(|part| part.starts_with('.'))
        || ["//", ".."].iter().any(|twice| name.contains(twice));
    if is_bad {
        return Err(BuildError::Reference(format!(
            "invalid chart name '{name}': a valid name must be lower case letters and numbers and MAY be separated with \
             dashes (-), slashes (/) or periods (.)"
        )));
    }
    Ok(())
}

/// Refuses a name that would not be one file's.
fn check_file_name(name: &str) -> Result<(), BuildError> {
    if name.starts_with('.') || name.contains(['/', '\\']) || name.chars().any(char::is_control) {
        return Err(BuildError::Reference(format!("invalid chart name {name:?}")));
    }
    Ok(())
}

/// Takes a chart's files out of a source, relative to the chart, without what its `.helmignore` leaves out.
fn chart_folder(source: &Files, path: &str) -> Result<BTreeMap<String, Vec<u8>>, String> {
    let prefix = if path.is_empty() { 0 } else { path.len() + 1 };
    let ignore = source.below(path).find(|file| &file.path[prefix..] == ".helmignore");
    let text = ignore.map(|file| String::from_utf8_lossy(file.bytes).into_owned()).unwrap_or_default();
    let rules = Rules::parse(&text).map_err(|error| format!("failed to read .helmignore: {error}"))?;
    let kept = source.below(path).filter(|file| {
        let name = &file.path[prefix..];
        let folders = name.match_indices('/').map(|(at, _)| &name[..at]);
        !folders.into_iter().any(|folder| rules.ignores(folder, true)) && !rules.ignores(name, false)
    });
    Ok(kept.map(|file| (file.path[prefix..].to_owned(), file.bytes.to_vec())).collect())
}

fn load(files: &BTreeMap<String, Vec<u8>>) -> Result<Chart, String> {
    let buffered = files.iter().map(|(name, data)| BufferedFile {
        name: name.clone(),
        modified: None,
        data: Arc::from(data.as_slice()),
    });
    Chart::from_files(buffered.collect()).map_err(|error| error.to_string())
}

/// Values, and the files that they are of.
type Merged = (Map<String, Value>, Vec<String>);

/// Merges the values files; none when there are none that change anything, else the values and which files they are of.
fn merge<'a>(options: &Options, read: impl Fn(&str) -> Option<&'a [u8]>) -> Result<Option<Merged>, String> {
    let wanted = options.effective_values_files();
    if wanted.is_empty() {
        return Ok(None);
    }
    let (mut merged, mut used) = (Map::new(), Vec::new());
    for path in wanted {
        let content = clean_path(path).and_then(|path| read(&path));
        let Some(content) = content else {
            if options.ignore_missing && clean_path(path).is_some() {
                continue;
            }
            return Err(format!("no values file found at path '{path}'"));
        };
        let failed = |text: String| format!("unmarshaling values from '{path}' failed: {text}");
        match yaml::parse(content).map_err(|error| failed(error.to_string()))? {
            Value::Object(values) => merge_maps(&mut merged, values, 0),
            Value::Null => {}
            _ => return Err(failed("it is no map".to_owned())),
        }
        used.push(path.clone());
    }
    Ok(Some((merged, used)))
}

/// Merges maps into maps and replaces everything else.
fn merge_maps(into: &mut Map<String, Value>, from: Map<String, Value>, depth: usize) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(Value::Object(old)), Value::Object(new)) if depth < MAX_VALUES_DEPTH => {
                merge_maps(old, new, depth + 1);
            }
            (_, value) => {
                into.insert(key, value);
            }
        }
    }
}

/// Fills `charts/` with the dependencies that `Chart.yaml` names and that are not there: folders and archives of the same
/// source.
fn add_dependencies(source: &Files, path: &str, files: &mut BTreeMap<String, Vec<u8>>) -> Result<(), BuildError> {
    let chart = load(files).map_err(BuildError::Package)?;
    let metadata = chart.metadata();
    let present: Vec<&str> = chart.dependencies().iter().map(|dependency| dependency.name()).collect();
    let wanted = metadata.dependencies.as_deref().unwrap_or_default();
    if present.len() == wanted.len() {
        return Ok(());
    }
    for dependency in wanted {
        let name = if dependency.alias.is_empty() { &dependency.name } else { &dependency.alias };
        if present.contains(&name.as_str()) || present.contains(&dependency.name.as_str()) {
            continue;
        }
        let added = local_dependency(source, path, dependency)
            .map_err(|text| BuildError::Dependency(format!("failed to add dependency '{name}': {text}")))?;
        for (file, bytes) in added {
            files.insert(format!("charts/{}/{file}", dependency.name), bytes);
        }
    }
    Ok(())
}

fn local_dependency(source: &Files, chart: &str, dependency: &Dependency) -> Result<BTreeMap<String, Vec<u8>>, String> {
    let repository = &dependency.repository;
    let Some(relative) = repository.strip_prefix("file://") else {
        return Err(format!("it is not in charts/, and resolving '{repository}' is not supported by this version"));
    };
    let target = climb(chart, relative).ok_or_else(|| format!("'{repository}' leaves the source"))?;
    let files = match source.get(&target) {
        Some(archive) => {
            let buffered = helm::chart::archive::read(archive.bytes).map_err(|error| error.to_string())?;
            buffered.into_iter().map(|file| (file.name, file.data.to_vec())).collect()
        }
        None if source.has_folder(&target) => chart_folder(source, &target)?,
        None => return Err(format!("no chart found at '{target}' (reference '{repository}')")),
    };
    let loaded = load(&files)?;
    if loaded.name() != dependency.name {
        return Err(format!("the chart at '{target}' is '{}'", loaded.name()));
    }
    let constraint = Constraints::parse(&dependency.version)
        .map_err(|error| format!("invalid version/constraint format '{}': {error}", dependency.version))?;
    let version = Version::parse(loaded.version()).map_err(|error| error.to_string())?;
    if !constraint.check(&version) {
        return Err(format!("can't get a valid version for constraint '{}'", dependency.version));
    }
    Ok(files)
}

/// Follows a relative path with `..` from a folder, but never out of the root.
fn climb(folder: &str, relative: &str) -> Option<String> {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in relative.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    clean_path(&parts.join("/"))
}

/// Gives the chart its version and its values, and packs it.
fn finish(
    files: &mut BTreeMap<String, Vec<u8>>,
    version: &str,
    merged: Option<Merged>,
    options: &Options,
) -> Result<(Vec<String>, Vec<u8>), BuildError> {
    let package = |text: String| BuildError::Package(text);
    if options.version_metadata.is_some() {
        let chart_yaml = files.get(CHART_FILE).ok_or_else(|| package(format!("no {CHART_FILE}")))?;
        let mut document = yaml::parse(chart_yaml).map_err(|error| package(error.to_string()))?;
        if let Value::Object(fields) = &mut document {
            fields.insert("version".to_owned(), Value::String(version.to_owned()));
        }
        files.insert(CHART_FILE.to_owned(), emit(&document).map_err(package)?);
    }
    let mut values_files = Vec::new();
    if let Some((values, used)) = merged {
        let text =
            if values.is_empty() { Vec::new() } else { emit(&Value::Object(values)).map_err(BuildError::Values)? };
        if files.get(VALUES_FILE) != Some(&text) {
            files.insert(VALUES_FILE.to_owned(), text);
            values_files = used;
        }
    }
    let chart = load(files).map_err(package)?;
    let bytes = pack(chart.name(), files).map_err(|error| package(error.to_string()))?;
    Ok((values_files, bytes))
}

fn emit(value: &Value) -> Result<Vec<u8>, String> {
    let mut text = Vec::new();
    yaml::emit(value, 0, &mut text).map_err(|error| error.to_string())?;
    text.push(b'\n');
    Ok(text)
}

/// Packs the chart of a folder on disk.
pub fn pack_folder(path: &std::path::Path) -> Result<Vec<u8>, String> {
    let (files, _) = helm::chart::folder::read(path, &Links::Follow).map_err(|error| error.to_string())?;
    let files = files.into_iter().map(|file| (file.name, file.data.to_vec())).collect();
    pack(load(&files)?.name(), &files).map_err(|error| error.to_string())
}

fn pack(name: &str, files: &BTreeMap<String, Vec<u8>>) -> std::io::Result<Vec<u8>> {
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    let leading = LEADING.iter().filter_map(|file| files.get_key_value(*file));
    let rest = files.iter().filter(|(file, _)| !LEADING.contains(&file.as_str()));
    for (file, bytes) in leading.chain(rest) {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Regular);
        header.set_mode(0o644);
        header.set_mtime(0);
        header.set_size(bytes.len() as u64);
        tar.append_data(&mut header, format!("{name}/{file}"), bytes.as_slice())?;
    }
    let mut gzip = tar.into_inner()?;
    gzip.flush()?;
    gzip.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::archive::{ARTIFACT_LIMITS, ArchiveWriter};

    const CHART: &str = "apiVersion: v2\nname: app\nversion: 0.1.0\n";

    fn source(files: &[(&str, &str)]) -> Files {
        let mut writer = ArchiveWriter::new(Vec::new()).unwrap();
        for (path, text) in files {
            writer.file(path, false, text.as_bytes()).unwrap();
        }
        Files::from_tar_gz(&writer.finish().unwrap().0, ARTIFACT_LIMITS).unwrap()
    }

    fn built(build: &Build) -> BTreeMap<String, String> {
        let files = helm::chart::archive::read(build.bytes.as_ref().unwrap()).unwrap();
        files.into_iter().map(|file| (file.name, String::from_utf8(file.data.to_vec()).unwrap())).collect()
    }

    fn error(outcome: Result<Build, BuildError>) -> String {
        outcome.unwrap_err().to_string()
    }

    #[test]
    fn a_folder_is_packaged_the_same_each_time() {
        let source = source(&[
            ("charts/app/.helmignore", "*.md\ndocs/\n"),
            ("charts/app/Chart.yaml", CHART),
            ("charts/app/README.md", "x"),
            ("charts/app/docs/x.txt", "x"),
            ("charts/app/templates/a.yaml", "a: 1"),
            ("charts/app/values.yaml", "v: 1\n"),
            ("other.yaml", ""),
        ]);
        let build = package(&source, "./charts/app/", &Options::default()).unwrap();
        assert_eq!(build.summary(), "packaged 'app' chart with version '0.1.0'");
        let files = built(&build);
        let names: Vec<&str> = files.keys().map(String::as_str).collect();
        assert_eq!(names, [".helmignore", "Chart.yaml", "templates/a.yaml", "values.yaml"]);
        assert_eq!(package(&source, "charts/app", &Options::default()).unwrap(), build);
        Chart::from_archive(build.bytes.as_ref().unwrap()).unwrap();
    }

    #[test]
    fn paths_that_lead_to_no_chart_are_named() {
        let source = source(&[("a/b.yaml", "x: 1")]);
        let of = |path: &str| error(package(&source, path, &Options::default()));
        assert!(of("/abs").contains("path is expected to be relative"));
        assert!(of("../x").contains("leaves the source"));
        assert!(of("gone").contains("no chart found at 'gone'"));
        assert!(of("a").contains("no Chart.yaml"));
        assert!(of("a/b.yaml").starts_with("invalid chart reference"));
    }

    #[test]
    fn values_files_are_merged_from_the_source_and_the_version_tells() {
        let source = source(&[
            ("app/Chart.yaml", CHART),
            ("app/values.yaml", "a: {b: 1, c: 2}\n"),
            ("override.yaml", "a: {b: 3}\nl: [1]\n"),
        ]);
        let options = Options {
            values_files: vec!["./app/values.yaml".into(), "override.yaml".into()],
            version_metadata: Some("0123456789ab.3".into()),
            ..Options::default()
        };
        let build = package(&source, "app", &options).unwrap();
        assert_eq!(build.version, "0.1.0+0123456789ab.3");
        assert_eq!(
            build.summary(),
            "packaged 'app' chart with version '0.1.0+0123456789ab.3' and merged values files [./app/values.yaml override.yaml]"
        );
        let files = built(&build);
        assert_eq!(files["values.yaml"], "a:\n  b: 3\n  c: 2\nl:\n- 1\n");
        assert!(files["Chart.yaml"].contains("version: 0.1.0+0123456789ab.3\n"));
    }

    #[test]
    fn missing_values_files_are_an_error_or_ignored() {
        let source = source(&[("app/Chart.yaml", CHART), ("app/values.yaml", "a: 1\n")]);
        let mut options = Options { values_files: vec!["gone.yaml".into()], ..Options::default() };
        let text = error(package(&source, "app", &options));
        assert_eq!(text, "values files merge error: no values file found at path 'gone.yaml'");
        options.ignore_missing = true;
        assert!(package(&source, "app", &options).is_ok());
        options.values_files = vec!["../gone.yaml".into()];
        assert!(error(package(&source, "app", &options)).starts_with("values files merge error"));
    }

    #[test]
    fn a_stored_chart_is_not_built_again() {
        let source = source(&[("app/Chart.yaml", CHART)]);
        let stored = Some(("app".to_owned(), "0.1.0".to_owned()));
        let build = package(&source, "app", &Options { stored, ..Options::default() }).unwrap();
        assert_eq!(build.bytes, None);
        let older = Some(("app".to_owned(), "0.0.9".to_owned()));
        assert!(package(&source, "app", &Options { stored: older, ..Options::default() }).unwrap().bytes.is_some());
    }

    #[test]
    fn dependencies_in_the_same_source_are_packed() {
        let chart = format!("{CHART}dependencies:\n- {{name: lib, version: 1.x, repository: file://../lib}}\n");
        let files = |version: &str| {
            source(&[
                ("charts/app/Chart.yaml", &chart),
                ("charts/lib/Chart.yaml", &format!("apiVersion: v2\nname: lib\nversion: {version}\n")),
                ("charts/lib/templates/_x.tpl", "x"),
            ])
        };
        let build = package(&files("1.2.3"), "charts/app", &Options::default()).unwrap();
        assert!(built(&build).contains_key("charts/lib/templates/_x.tpl"));
        let text = error(package(&files("2.0.0"), "charts/app", &Options::default()));
        assert!(text.contains("can't get a valid version for constraint '1.x'"), "{text}");
    }

    #[test]
    fn dependencies_that_are_not_there_are_named() {
        for (repository, expected) in [
            ("file://../../../etc", "leaves the source"),
            ("file://../gone", "no chart found at 'charts/gone'"),
            ("https://example.com/charts", "is not supported by this version"),
        ] {
            let chart = format!("{CHART}dependencies:\n- {{name: lib, version: 1.x, repository: '{repository}'}}\n");
            let text = error(package(&source(&[("charts/app/Chart.yaml", &chart)]), "charts/app", &Options::default()));
            assert!(text.starts_with("dependency build error: ") && text.contains(expected), "{text}");
        }
    }

    #[test]
    fn chart_names_are_checked_as_flux_does() {
        for name in ["chart", "a", "folder/chart", "valid.chart.name"] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        for name in ["", "iNvAlID-ChArT-NAmE!", "../valid-chart-name", "a//b", "a..b", "/a", "a/../b"] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }

    #[test]
    fn an_archive_in_the_source_is_taken_as_it_is() {
        let inner = package(&source(&[("app/Chart.yaml", CHART)]), "app", &Options::default()).unwrap();
        let bytes = inner.bytes.unwrap();
        let mut writer = ArchiveWriter::new(Vec::new()).unwrap();
        writer.file("app-0.1.0.tgz", false, &bytes).unwrap();
        let outer = Files::from_tar_gz(&writer.finish().unwrap().0, ARTIFACT_LIMITS).unwrap();
        let build = package(&outer, "app-0.1.0.tgz", &Options::default()).unwrap();
        assert_eq!((build.bytes, build.is_packaged), (Some(bytes), false));
    }
}
