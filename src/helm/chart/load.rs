//! From a chart's files to a [`Chart`].

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::archive::{self, BufferedFile};
use super::decode::{self, At};
use super::metadata::{self, API_VERSION_V1, API_VERSION_V2, Lock, Metadata, NullItems};
use super::{Chart, File, folder, ignore, values};
use crate::notice::{Level, Notice};
use crate::render::Programs;
use crate::yaml;

/// How deep charts may nest in each other; Helm has no such limit.
pub const MAX_CHART_DEPTH: usize = 32;

/// Why a chart could not be loaded; the texts are Helm's.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("unable to load chart archive: {0}")]
    Archive(#[source] archive::Error),
    /// An archive inside `charts/`.
    #[error("{0}")]
    InnerArchive(#[source] archive::Error),
    #[error("stream does not appear to be a valid chart file (details: gzip: invalid header)")]
    NoArchive,
    #[error("unable to detect chart version, no Chart.yaml found")]
    NoChartYaml,
    #[error("unsupported chart version")]
    UnsupportedVersion,
    /// apiVersion v3, which Helm loads and then refuses to install.
    #[error("invalid chart apiVersion")]
    Version3,
    #[error("cannot load {file}: {source}")]
    Document { file: &'static str, source: values::DocumentError },
    #[error("Chart.yaml file is missing")]
    MissingChartYaml,
    #[error("{0}")]
    Metadata(#[from] metadata::Error),
    #[error("error unpacking subchart tar in {chart}: expected {expected}, got {found}")]
    InnerName { chart: String, expected: String, found: String },
    #[error("error unpacking subchart {name} in {chart}: {source}")]
    Inner { name: String, chart: String, source: Box<Error> },
    #[error("charts are nested deeper than {MAX_CHART_DEPTH}")]
    TooDeep,
    #[error("{0}")]
    Ignore(#[from] ignore::Error),
    #[error("{0}")]
    Folder(#[from] folder::Error),
}

impl Chart {
    /// Loads a chart from the bytes of an archive.
    pub fn from_archive(bytes: &[u8]) -> Result<Self, Error> {
        let files = archive::read(bytes).map_err(|error| match error {
            archive::Error::Header => Error::NoArchive,
            error => Error::Archive(error),
        })?;
        let chart_yaml = files.iter().find(|file| file.name == "Chart.yaml").ok_or(Error::NoChartYaml)?;
        check_api_version(&chart_yaml.data)?;
        Self::from_files(files)
    }

    /// Makes a chart of its files.
    pub fn from_files(files: Vec<BufferedFile>) -> Result<Self, Error> {
        assemble(files, 0)
    }
}

/// Refuses a `Chart.yaml` of an apiVersion that Helm 4 does not install.
pub(super) fn check_api_version(chart_yaml: &[u8]) -> Result<(), Error> {
    let failed = |source| Error::Document { file: "Chart.yaml", source };
    let document = document(chart_yaml).map_err(failed)?;
    let at = At::Root;
    let type_failed = |source| failed(values::DocumentError::Type(source));
    let mut version = String::new();
    for (key, value) in decode::object(&document, &at, "loader.chartBase").map_err(type_failed)?.into_iter().flatten() {
        if decode::field(key, &["apiVersion"]).is_some() {
            version = decode::text(value, &At::Field(&at, "apiVersion")).map_err(type_failed)?;
        }
    }
    match version.as_str() {
        "" | API_VERSION_V1 | API_VERSION_V2 => Ok(()),
        "v3" => Err(Error::Version3),
        _ => Err(Error::UnsupportedVersion),
    }
}

fn document(data: &[u8]) -> Result<Value, values::DocumentError> {
    yaml::parse_with_floats(data).map_err(values::DocumentError::Yaml)
}

/// What is gathered while the files are sorted into a chart.
#[derive(Default)]
struct Parts {
    metadata: Option<Metadata>,
    nulls: NullItems,
    lock: Option<Lock>,
    templates: Vec<File>,
    files: Vec<File>,
    values: Option<serde_json::Map<String, Value>>,
    schema: Option<File>,
    modified: Option<i64>,
    inner: BTreeMap<String, Vec<BufferedFile>>,
    notices: Vec<Notice>,
}

fn assemble(files: Vec<BufferedFile>, depth: usize) -> Result<Chart, Error> {
    if depth > MAX_CHART_DEPTH {
        return Err(Error::TooDeep);
    }
    let mut parts = Parts::default();
    for file in files.iter().filter(|file| file.name == "Chart.yaml") {
        parts.read_metadata("Chart.yaml", &file.data)?;
        let metadata = parts.metadata.get_or_insert_default();
        if metadata.api_version.is_empty() {
            metadata.api_version = API_VERSION_V1.to_string();
        }
        parts.modified = file.modified;
    }
    for file in files {
        parts.sort_in(file)?;
    }
    let mut metadata = parts.metadata.ok_or(Error::MissingChartYaml)?;
    metadata.validate(&parts.nulls)?;
    let mut dependencies = Vec::new();
    for (name, files) in parts.inner {
        if name.starts_with(['_', '.']) {
            continue;
        }
        dependencies.push(Arc::new(inner_chart(&metadata.name, name, files, depth + 1)?));
    }
    parts.notices.extend(dependencies.iter().flat_map(|chart| chart.notices.iter().cloned()));
    Ok(Chart {
        metadata,
        lock: parts.lock,
        templates: parts.templates,
        files: parts.files,
        values: parts.values,
        schema: parts.schema,
        modified: parts.modified,
        dependencies,
        notices: parts.notices,
        programs: Programs::default(),
        compiled_schema: std::sync::OnceLock::new(),
    })
}

/// Loads a folder or an archive of `charts/`.
fn inner_chart(parent: &str, name: String, files: Vec<BufferedFile>, depth: usize) -> Result<Chart, Error> {
    let chart = parent.to_string();
    let loaded = if std::path::Path::new(&name).extension().is_some_and(|extension| extension == "tgz") {
        let file = &files[0];
        if file.name != name {
            return Err(Error::InnerName { chart, expected: name, found: file.name.clone() });
        }
        archive::read(&file.data).map_err(Error::InnerArchive).and_then(|files| assemble(files, depth))
    } else {
        // A loose file in charts/ has no chart's folder and is dropped.
        let inside = |mut file: BufferedFile| {
            file.name = file.name.split_once('/')?.1.to_string();
            Some(file)
        };
        assemble(files.into_iter().filter_map(inside).collect(), depth)
    };
    loaded.map_err(|source| Error::Inner { name, chart, source: Box::new(source) })
}

impl Parts {
    fn read_metadata(&mut self, file: &'static str, data: &[u8]) -> Result<(), Error> {
        let failed = |source| Error::Document { file, source };
        let document = document(data).map_err(failed)?;
        let metadata = self.metadata.get_or_insert_default();
        metadata.read(&document, &mut self.nulls).map_err(|source| failed(values::DocumentError::Type(source)))
    }

    fn read_lock(&mut self, file: &'static str, data: &[u8]) -> Result<(), Error> {
        let failed = |source| Error::Document { file, source };
        let document = document(data).map_err(failed)?;
        self.lock = Lock::read(&document).map_err(|source| failed(values::DocumentError::Type(source)))?;
        Ok(())
    }

    fn is_version_1(&mut self, notice: &str) -> bool {
        let version_1 = self.metadata.get_or_insert_default().api_version == API_VERSION_V1;
        if !version_1 {
            self.notices.push(Notice::new(Level::Info, notice));
        }
        version_1
    }

    fn sort_in(&mut self, file: BufferedFile) -> Result<(), Error> {
        match file.name.as_str() {
            "Chart.yaml" => {}
            "Chart.lock" => self.read_lock("Chart.lock", &file.data)?,
            "values.yaml" => {
                let read = values::load(&file.data);
                self.values = Some(read.map_err(|source| Error::Document { file: "values.yaml", source })?);
            }
            "values.schema.json" => self.schema = Some(keep(file)),
            "requirements.yaml" => {
                let version_1 = self.is_version_1(
                    "Warning: Dependencies are handled in Chart.yaml since apiVersion \"v2\". We recommend migrating dependencies to Chart.yaml.",
                );
                self.read_metadata("requirements.yaml", &file.data)?;
                if version_1 {
                    self.files.push(keep(file));
                }
            }
            "requirements.lock" => {
                self.read_lock("requirements.lock", &file.data)?;
                let version_1 = self.is_version_1(
                    "Warning: Dependency locking is handled in Chart.lock since apiVersion \"v2\". We recommend migrating to Chart.lock.",
                );
                if version_1 {
                    self.files.push(keep(file));
                }
            }
            name if name.starts_with("templates/") => self.templates.push(keep(file)),
            name => match name.strip_prefix("charts/") {
                Some(inner) if !has_extension(name, "prov") => {
                    let folder = inner.split('/').next().unwrap_or(inner).to_string();
                    let inner = BufferedFile { name: inner.to_string(), ..file };
                    self.inner.entry(folder).or_default().push(inner);
                }
                _ => self.files.push(keep(file)),
            },
        }
        Ok(())
    }
}

fn has_extension(name: &str, extension: &str) -> bool {
    name.rsplit('/').next().unwrap_or(name).rsplit_once('.').is_some_and(|(_, found)| found == extension)
}

fn keep(file: BufferedFile) -> File {
    File { name: file.name, modified: file.modified, data: file.data.into() }
}
