//! `Chart.yaml`: its fields, Helm's checks of them, and how templates see them.

use std::collections::{BTreeMap, HashSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::decode::{self, At, Error as DecodeError};
use crate::quote::quote;
use crate::semver::{Constraints, Version};
use crate::value::quote::is_print;

/// The apiVersion of charts that name none, and keep their dependencies in `requirements.yaml`.
pub const API_VERSION_V1: &str = "v1";
/// The apiVersion of charts since Helm 3.
pub const API_VERSION_V2: &str = "v2";

/// A chart's metadata, in Helm's order of fields, which is how a release record keeps them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Metadata {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub home: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub version: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keywords: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub maintainers: Vec<Maintainer>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub icon: String,
    #[serde(rename = "apiVersion", skip_serializing_if = "String::is_empty")]
    pub api_version: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub condition: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub tags: String,
    #[serde(rename = "appVersion", skip_serializing_if = "String::is_empty")]
    pub app_version: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub deprecated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub annotations: Option<BTreeMap<String, String>>,
    #[serde(rename = "kubeVersion", skip_serializing_if = "String::is_empty")]
    pub kube_version: String,
    /// None where the file has no such field, which leaves the dependencies of dependencies as they are.
    #[serde(skip_serializing_if = "no_items")]
    pub dependencies: Option<Vec<Dependency>>,
    #[serde(rename = "type", skip_serializing_if = "String::is_empty")]
    pub chart_type: String,
}

#[expect(clippy::ref_option, reason = "serde gives the field by reference")]
fn no_items(dependencies: &Option<Vec<Dependency>>) -> bool {
    dependencies.as_ref().is_none_or(Vec::is_empty)
}

/// Someone who looks after a chart.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Maintainer {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub email: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub url: String,
}

/// A chart that another one needs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Dependency {
    pub name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub version: String,
    pub repository: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub condition: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub enabled: bool,
    #[serde(rename = "import-values", skip_serializing_if = "Vec::is_empty")]
    pub import_values: Vec<Value>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub alias: String,
}

/// `Chart.lock`: the exact versions that a range resolved to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Lock {
    /// RFC 3339, Go's zero time when the file has none.
    pub generated: String,
    pub digest: String,
    pub dependencies: Option<Vec<Dependency>>,
}

/// Go's zero `time.Time` in JSON.
pub const ZERO_TIME: &str = "0001-01-01T00:00:00Z";

/// Why a `Chart.yaml` is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("{0}")]
    Type(#[from] DecodeError),
    #[error("validation: {0}")]
    Invalid(String),
}

fn invalid<T>(text: impl Into<String>) -> Result<T, Error> {
    Err(Error::Invalid(text.into()))
}

const FIELDS: &[&str] = &[
    "name",
    "home",
    "sources",
    "version",
    "description",
    "keywords",
    "maintainers",
    "icon",
    "apiVersion",
    "condition",
    "tags",
    "appVersion",
    "deprecated",
    "annotations",
    "kubeVersion",
    "dependencies",
    "type",
];

/// Null items of lists, which Helm refuses when it checks the metadata and not when it reads them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NullItems {
    maintainers: bool,
    dependencies: bool,
}

impl Metadata {
    /// Reads the fields of a document over those that are there: `requirements.yaml` adds to `Chart.yaml`.
    pub fn read(&mut self, document: &Value, nulls: &mut NullItems) -> Result<(), DecodeError> {
        let at = At::Root;
        let Some(map) = decode::object(document, &at, "v2.Metadata")? else { return Ok(()) };
        for (key, value) in map {
            let Some(name) = decode::field(key, FIELDS) else { continue };
            if value.is_null() {
                continue;
            }
            self.read_field(name, value, &At::Field(&at, name), nulls)?;
        }
        Ok(())
    }

    fn read_field(&mut self, name: &str, value: &Value, at: &At<'_>, nulls: &mut NullItems) -> Result<(), DecodeError> {
        match name {
            "name" => self.name = decode::text(value, at)?,
            "home" => self.home = decode::text(value, at)?,
            "sources" => self.sources = decode::list(value, at, "[]string", decode::text)?,
            "version" => self.version = decode::text(value, at)?,
            "description" => self.description = decode::text(value, at)?,
            "keywords" => self.keywords = decode::list(value, at, "[]string", decode::text)?,
            "maintainers" => {
                let items = decode::list(value, at, "[]*v2.Maintainer", Maintainer::read)?;
                nulls.maintainers = items.iter().any(Option::is_none);
                self.maintainers = items.into_iter().flatten().collect();
            }
            "icon" => self.icon = decode::text(value, at)?,
            "apiVersion" => self.api_version = decode::text(value, at)?,
            "condition" => self.condition = decode::text(value, at)?,
            "tags" => self.tags = decode::text(value, at)?,
            "appVersion" => self.app_version = decode::text(value, at)?,
            "deprecated" => self.deprecated = decode::flag(value, at)?,
            "annotations" => self.annotations = Some(decode::text_map(value, at)?),
            "kubeVersion" => self.kube_version = decode::text(value, at)?,
            "dependencies" => {
                let items = decode::list(value, at, "[]*v2.Dependency", Dependency::read)?;
                nulls.dependencies = items.iter().any(Option::is_none);
                self.dependencies = Some(items.into_iter().flatten().collect());
            }
            _ => self.chart_type = decode::text(value, at)?,
        }
        Ok(())
    }

    /// Normalises white space in the texts and checks the fields as Helm does.
    pub fn validate(&mut self, nulls: &NullItems) -> Result<(), Error> {
        for text in [
            &mut self.name,
            &mut self.description,
            &mut self.home,
            &mut self.icon,
            &mut self.condition,
            &mut self.tags,
            &mut self.app_version,
            &mut self.kube_version,
        ] {
            sanitize(text);
        }
        self.sources.iter_mut().for_each(sanitize);
        self.keywords.iter_mut().for_each(sanitize);
        self.validate_identity()?;
        if nulls.maintainers {
            return invalid("maintainers must not contain empty or null nodes");
        }
        for maintainer in &mut self.maintainers {
            [&mut maintainer.name, &mut maintainer.email, &mut maintainer.url].into_iter().for_each(sanitize);
        }
        self.validate_dependencies(nulls)
    }

    fn validate_identity(&self) -> Result<(), Error> {
        if self.api_version.is_empty() {
            return invalid("chart.metadata.apiVersion is required");
        }
        if self.name.is_empty() {
            return invalid("chart.metadata.name is required");
        }
        if self.name == "." || self.name == ".." {
            return invalid(format!("chart.metadata.name {} is not allowed", quote(&self.name)));
        }
        // Helm asks that the name is its own base name.
        if self.name.contains('/') {
            return invalid(format!("chart.metadata.name {} is invalid", quote(&self.name)));
        }
        if self.version.is_empty() {
            return invalid("chart.metadata.version is required");
        }
        if Version::parse(&self.version).is_err() {
            return invalid(format!("chart.metadata.version {} is invalid", quote(&self.version)));
        }
        if !matches!(self.chart_type.as_str(), "" | "application" | "library") {
            return invalid("chart.metadata.type must be application or library");
        }
        Ok(())
    }

    fn validate_dependencies(&mut self, nulls: &NullItems) -> Result<(), Error> {
        if nulls.dependencies {
            return invalid("dependencies must not contain empty or null nodes");
        }
        let mut seen = HashSet::new();
        for dependency in self.dependencies.iter_mut().flatten() {
            dependency.sanitize();
            if !dependency.alias.is_empty() && !dependency.alias.bytes().all(is_alias_byte) {
                let name = quote(&dependency.name);
                return invalid(format!("dependency {name} has disallowed characters in the alias"));
            }
            let key = if dependency.alias.is_empty() { &dependency.name } else { &dependency.alias };
            if !seen.insert(key.clone()) {
                return invalid(format!("more than one dependency with name or alias {}", quote(key)));
            }
        }
        Ok(())
    }

    /// Says whether the chart only lends its templates to others.
    pub fn is_library(&self) -> bool {
        self.chart_type.eq_ignore_ascii_case("library")
    }
}

fn is_alias_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'_' || b == b'-'
}

impl Maintainer {
    fn read(value: &Value, at: &At<'_>) -> Result<Option<Self>, DecodeError> {
        let Some(map) = decode::object(value, at, "v2.Maintainer")? else { return Ok(None) };
        let mut maintainer = Self::default();
        for (key, value) in map {
            let Some(name) = decode::field(key, &["name", "email", "url"]) else { continue };
            let text = decode::text(value, &At::Field(at, name))?;
            match name {
                "name" => maintainer.name = text,
                "email" => maintainer.email = text,
                _ => maintainer.url = text,
            }
        }
        Ok(Some(maintainer))
    }
}

const DEPENDENCY_FIELDS: &[&str] =
    &["name", "version", "repository", "condition", "tags", "enabled", "import-values", "alias"];

impl Dependency {
    fn read(value: &Value, at: &At<'_>) -> Result<Option<Self>, DecodeError> {
        let Some(map) = decode::object(value, at, "v2.Dependency")? else { return Ok(None) };
        let mut dependency = Self::default();
        for (key, value) in map {
            let Some(name) = decode::field(key, DEPENDENCY_FIELDS) else { continue };
            if value.is_null() {
                continue;
            }
            let at = &At::Field(at, name);
            match name {
                "name" => dependency.name = decode::text(value, at)?,
                "version" => dependency.version = decode::text(value, at)?,
                "repository" => dependency.repository = decode::text(value, at)?,
                "condition" => dependency.condition = decode::text(value, at)?,
                "tags" => dependency.tags = decode::list(value, at, "[]string", decode::text)?,
                "enabled" => dependency.enabled = decode::flag(value, at)?,
                "import-values" => {
                    dependency.import_values = decode::list(value, at, "[]interface {}", |item, _| Ok(item.clone()))?;
                }
                _ => dependency.alias = decode::text(value, at)?,
            }
        }
        Ok(Some(dependency))
    }

    fn sanitize(&mut self) {
        let texts = [&mut self.name, &mut self.version, &mut self.repository, &mut self.condition];
        texts.into_iter().chain(&mut self.tags).for_each(sanitize);
    }

    /// Says whether a chart's version is in the range that is asked for; a range or version that cannot be read is not.
    pub fn accepts(&self, version: &str) -> bool {
        is_compatible(&self.version, version)
    }
}

/// Says whether a version satisfies a constraint; what cannot be read does not.
pub fn is_compatible(constraint: &str, version: &str) -> bool {
    match (Version::parse(version), Constraints::parse(constraint)) {
        (Ok(version), Ok(constraint)) => constraint.check(&version),
        _ => false,
    }
}

impl Lock {
    /// Reads a `Chart.lock` or `requirements.lock`.
    pub fn read(document: &Value) -> Result<Option<Self>, DecodeError> {
        let at = At::Root;
        let Some(map) = decode::object(document, &at, "v2.Lock")? else { return Ok(None) };
        let mut lock = Self { generated: ZERO_TIME.to_string(), digest: String::new(), dependencies: None };
        for (key, value) in map {
            let Some(name) = decode::field(key, &["generated", "digest", "dependencies"]) else { continue };
            if value.is_null() {
                continue;
            }
            let at = &At::Field(&at, name);
            match name {
                "generated" => lock.generated = read_time(value, at)?,
                "digest" => lock.digest = decode::text(value, at)?,
                _ => {
                    let items = decode::list(value, at, "[]*v2.Dependency", Dependency::read)?;
                    lock.dependencies = Some(items.into_iter().flatten().collect());
                }
            }
        }
        Ok(Some(lock))
    }
}

fn read_time(value: &Value, at: &At<'_>) -> Result<String, DecodeError> {
    let Value::String(text) = value else { return Err(at.mismatch(value, "time.Time")) };
    if text.parse::<jiff::Timestamp>().is_err() {
        let quoted = quote(text);
        return Err(DecodeError(format!(
            "parsing time {quoted} as \"2006-01-02T15:04:05Z07:00\": cannot parse {quoted} as \"2006\""
        )));
    }
    Ok(text.clone())
}

/// Makes every white space a blank and drops what cannot be printed.
fn sanitize(text: &mut String) {
    let clean = |c: char| c != ' ' && (c.is_whitespace() || !is_print(c));
    if text.contains(clean) {
        let kept = text.chars().filter(|c| c.is_whitespace() || is_print(*c));
        *text = kept.map(|c| if c.is_whitespace() { ' ' } else { c }).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn metadata(document: Value) -> Result<Metadata, Error> {
        let mut base = json!({"apiVersion": "v2", "name": "p", "version": "1.0.0"});
        base.as_object_mut().unwrap().extend(document.as_object().unwrap().clone());
        let (mut metadata, mut nulls) = (Metadata::default(), NullItems::default());
        metadata.read(&base, &mut nulls)?;
        metadata.validate(&nulls)?;
        Ok(metadata)
    }

    #[test]
    fn a_name_of_another_case_and_a_number_as_text_are_read() {
        let read = metadata(json!({"APPVERSION": 1.5, "home": true, "unknown": [1]})).unwrap();
        assert_eq!((read.app_version.as_str(), read.home.as_str()), ("1.5", "true"));
    }

    #[test]
    fn texts_are_made_printable() {
        let read = metadata(json!({"description": "a\tb\u{200b}c\u{a0}d"})).unwrap();
        assert_eq!(read.description, "a bc d");
    }

    #[test]
    fn a_refused_chart_says_why_in_helms_words() {
        for (document, expected) in [
            (json!({"name": ""}), "validation: chart.metadata.name is required"),
            (json!({"name": ".."}), "validation: chart.metadata.name \"..\" is not allowed"),
            (json!({"name": "a/b"}), "validation: chart.metadata.name \"a/b\" is invalid"),
            (json!({"version": "one"}), "validation: chart.metadata.version \"one\" is invalid"),
            (json!({"version": ""}), "validation: chart.metadata.version is required"),
            (json!({"type": "Library"}), "validation: chart.metadata.type must be application or library"),
            (json!({"maintainers": [null]}), "validation: maintainers must not contain empty or null nodes"),
            (json!({"dependencies": [null]}), "validation: dependencies must not contain empty or null nodes"),
            (
                json!({"dependencies": [{"name": "a", "alias": "a.b"}]}),
                "validation: dependency \"a\" has disallowed characters in the alias",
            ),
            (
                json!({"dependencies": [{"name": "a"}, {"name": "b", "alias": "a"}]}),
                "validation: more than one dependency with name or alias \"a\"",
            ),
            (
                json!({"dependencies": [{"name": "a", "tags": [["x"]]}]}),
                "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal array into .dependencies.0.tags.0 of type string",
            ),
        ] {
            assert_eq!(metadata(document).unwrap_err().to_string(), expected);
        }
    }
}
