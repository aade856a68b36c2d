//! Charts: loading, dependencies, values and capabilities.
//!
//! A [`Chart`] never changes and is shared by `Arc`. What one release makes of it (dependencies that are switched off or
//! renamed, values that parents import) is in a [`dependencies::Node`] tree.

pub mod archive;
pub mod capabilities;
pub mod capability_objects;
pub mod decode;
pub mod dependencies;
pub mod files;
pub mod folder;
pub mod glob;
pub mod ignore;
pub mod links;
pub mod load;
pub mod metadata;
pub mod values;

use std::sync::{Arc, OnceLock};

use serde_json::{Map, Value};

use crate::notice::Notice;
use crate::render::Programs;
use crate::schema::Compiled;
use crate::value::Str;
pub use metadata::{Dependency, Lock, Maintainer, Metadata};

/// A file of a chart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// The path inside the chart, with slashes.
    pub name: String,
    /// Seconds since 1970, when the source tells.
    pub modified: Option<i64>,
    pub data: Str,
}

/// A chart as it was loaded.
#[derive(Debug)]
pub struct Chart {
    metadata: Metadata,
    lock: Option<Lock>,
    templates: Vec<File>,
    /// All that is neither metadata, values, schema nor template, `crds/` included.
    files: Vec<File>,
    values: Option<Map<String, Value>>,
    schema: Option<File>,
    /// When `Chart.yaml` was changed.
    modified: Option<i64>,
    dependencies: Vec<Arc<Chart>>,
    notices: Vec<Notice>,
    programs: Programs,
    compiled_schema: OnceLock<Option<Compiled>>,
}

impl Chart {
    /// Gives the chart another version than `Chart.yaml` says.
    #[must_use]
    pub fn with_version(mut self, version: String) -> Self {
        self.metadata.version = version;
        self
    }

    /// Returns what `Chart.yaml` says.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    pub fn name(&self) -> &str {
        &self.metadata.name
    }

    pub fn version(&self) -> &str {
        &self.metadata.version
    }

    pub fn app_version(&self) -> &str {
        &self.metadata.app_version
    }

    pub fn is_library(&self) -> bool {
        self.metadata.is_library()
    }

    pub fn is_deprecated(&self) -> bool {
        self.metadata.deprecated
    }

    /// Returns what `Chart.lock` says, when there is one.
    pub fn lock(&self) -> Option<&Lock> {
        self.lock.as_ref()
    }

    /// Returns the files under `templates/`.
    pub fn templates(&self) -> &[File] {
        &self.templates
    }

    /// Returns the files that templates see in `.Files`.
    pub fn files(&self) -> &[File] {
        &self.files
    }

    /// Returns the defaults of `values.yaml`; numbers are floats.
    pub fn values(&self) -> Option<&Map<String, Value>> {
        self.values.as_ref()
    }

    /// Makes the same chart with other defaults: an upgrade that reuses values takes the last release's in their place.
    #[must_use]
    pub fn with_values(&self, values: Map<String, Value>) -> Self {
        Self {
            metadata: self.metadata.clone(),
            lock: self.lock.clone(),
            templates: self.templates.clone(),
            files: self.files.clone(),
            values: Some(values),
            schema: self.schema.clone(),
            modified: self.modified,
            dependencies: self.dependencies.clone(),
            notices: self.notices.clone(),
            programs: Programs::default(),
            compiled_schema: OnceLock::new(),
        }
    }

    /// Returns `values.schema.json`.
    pub fn schema(&self) -> Option<&File> {
        self.schema.as_ref()
    }

    /// Returns when `Chart.yaml` was changed, in seconds since 1970.
    pub fn modified(&self) -> Option<i64> {
        self.modified
    }

    /// Returns the charts in `charts/`.
    pub fn dependencies(&self) -> &[Arc<Chart>] {
        &self.dependencies
    }

    /// Returns what Helm logs when it loads the chart.
    pub fn notices(&self) -> &[Notice] {
        &self.notices
    }

    pub(crate) fn programs(&self) -> &Programs {
        &self.programs
    }

    /// Returns the schema, compiled once.
    pub(crate) fn compiled_schema(&self) -> Option<&Compiled> {
        let compile = || self.schema.as_ref().map(|schema| Compiled::new(&schema.data));
        self.compiled_schema.get_or_init(compile).as_ref()
    }

    /// Names the dependencies of `Chart.yaml` that are not in `charts/`.
    pub fn missing_dependencies(&self) -> Vec<&str> {
        let present = |name: &str| self.dependencies.iter().any(|chart| chart.name() == name);
        self.metadata.dependencies.iter().flatten().map(|d| d.name.as_str()).filter(|name| !present(name)).collect()
    }
}
