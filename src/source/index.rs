//! A Helm repository's `index.yaml`: which versions of which charts there are.
//!
//! Of each version only what finds and checks its package is kept, so that an index of 50 MiB becomes a few. A chart's
//! entry is read on its own where the text allows it, and the text as a whole is only held in trees when it does not.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use helm::semver::{Constraints, Version};
use helm::yaml;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::archive;
use super::version::three_part_version;

/// The largest index.
pub const MAX_INDEX: u64 = 50 << 20;

/// Why a text is no index.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// There is nothing in it.
    #[error("empty index.yaml file")]
    Empty,
    /// It does not say which form it has.
    #[error("no API version specified")]
    NoApiVersion,
    /// It is neither YAML nor JSON.
    #[error("failed to read index.yaml: {0}")]
    Syntax(String),
    /// A part of it is not what it should be.
    #[error("failed to read index.yaml: {0} is not as expected")]
    Shape(String),
}

/// Why no version is found.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum FindError {
    /// The index does not have the chart.
    #[error("no chart name found")]
    NoChart,
    /// The chart has no usable version.
    #[error("no chart version found")]
    NoVersion,
    /// The range cannot be read.
    #[error("{0}")]
    Range(String),
    /// No version is in the range.
    #[error("no '{chart}' chart with version matching '{version}' found")]
    NoMatch {
        /// The chart.
        chart: String,
        /// The range.
        version: String,
    },
}

/// The index. Versions of a chart are sorted, the highest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Index {
    charts: BTreeMap<String, Vec<ChartVersion>>,
}

/// One version of a chart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChartVersion {
    /// The chart's name.
    pub name: String,
    /// The version as it is written.
    pub version: String,
    /// When the package was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<Timestamp>,
    /// The package's SHA-256 in hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Where the package is, absolute or relative to the repository. Only the first address is used.
    pub urls: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Stored {
    api_version: String,
    entries: BTreeMap<String, Vec<ChartVersion>>,
}

impl Index {
    /// Reads an index as a repository serves it. Versions that do not validate are left out, as Helm does.
    pub fn read(text: &[u8]) -> Result<Self, IndexError> {
        if text.is_empty() {
            return Err(IndexError::Empty);
        }
        if text.first() == Some(&b'{')
            && let Ok(document) = serde_json::from_slice::<Value>(text)
        {
            return Self::of_document(&document);
        }
        if let Some(index) = std::str::from_utf8(text).ok().and_then(Self::read_by_chart) {
            return Ok(index);
        }
        let document = yaml::parse_strict(text).map_err(|error| IndexError::Syntax(error.to_string()))?;
        Self::of_document(&document)
    }

    fn of_document(document: &Value) -> Result<Self, IndexError> {
        let Value::Object(fields) = document else { return Err(IndexError::Shape("the document".to_owned())) };
        if text_of(fields.get("apiVersion")).is_none_or(|version| version.is_empty()) {
            return Err(IndexError::NoApiVersion);
        }
        let mut index = Self::default();
        match fields.get("entries") {
            None | Some(Value::Null) => {}
            Some(Value::Object(entries)) => {
                for (name, versions) in entries {
                    index.add(name, versions)?;
                }
            }
            Some(_) => return Err(IndexError::Shape("entries".to_owned())),
        }
        Ok(index)
    }

    /// Reads block style, as `helm repo index` writes it, chart by chart. None when the text is not so simple, or does
    /// not read this way; whoever asks reads it as a whole then and says what is wrong.
    fn read_by_chart(text: &str) -> Option<Self> {
        let (head, entries, tail) = split(text)?;
        // Each by itself: a quoted text or a flow collection may begin in one and end in the other.
        let mut rest = serde_json::Map::new();
        for part in [head, tail] {
            match yaml::parse_strict(part.as_bytes()).ok()? {
                Value::Null => {}
                Value::Object(fields) => {
                    for (name, value) in fields {
                        if rest.insert(name, value).is_some() {
                            return None;
                        }
                    }
                }
                _ => return None,
            }
        }
        let version = text_of(rest.get("apiVersion"))?;
        if version.is_empty() || rest.contains_key("entries") {
            return None;
        }
        let mut index = Self::default();
        for entry in entries {
            let document = yaml::parse_strict(entry.as_bytes()).ok()?;
            let fields = document.as_object()?;
            let (name, versions) = fields.iter().next()?;
            if fields.len() != 1 || index.charts.contains_key(name) {
                return None;
            }
            index.add(name, versions).ok()?;
        }
        Some(index)
    }

    fn add(&mut self, name: &str, versions: &Value) -> Result<(), IndexError> {
        let versions = match versions {
            Value::Null => &[][..],
            Value::Array(versions) => versions,
            _ => return Err(IndexError::Shape(format!("the entry {name:?}"))),
        };
        let mut usable: Vec<(Version, ChartVersion)> = versions.iter().filter_map(usable).collect();
        usable.sort_by(|(a, left), (b, right)| b.cmp(a).then_with(|| right.version.cmp(&left.version)));
        self.charts.insert(name.to_owned(), usable.into_iter().map(|(_, version)| version).collect());
        Ok(())
    }

    /// Writes the index in a form that is the same for every order of the same versions. It is a valid index.
    pub fn write(&self) -> Vec<u8> {
        let stored = Stored { api_version: "v1".to_owned(), entries: self.charts.clone() };
        // Maps with text keys of plain data always serialise.
        serde_json::to_vec(&stored).unwrap_or_default()
    }

    /// Reads what [`Self::write`] wrote.
    pub fn read_written(bytes: &[u8]) -> Result<Self, IndexError> {
        let stored: Stored = serde_json::from_slice(bytes).map_err(|error| IndexError::Syntax(error.to_string()))?;
        Ok(Self { charts: stored.entries })
    }

    /// Returns the revision of an index that was written: its digest.
    pub fn revision(written: &[u8]) -> String {
        archive::digest(written)
    }

    /// The number of charts.
    pub fn len(&self) -> usize {
        self.charts.len()
    }

    /// True when there is no chart.
    pub fn is_empty(&self) -> bool {
        self.charts.is_empty()
    }

    /// Returns a chart's versions, the highest first; none when there is no such chart.
    pub fn versions(&self, chart: &str) -> Option<&[ChartVersion]> {
        self.charts.get(chart).map(Vec::as_slice)
    }

    /// Finds the version of a chart: one that is written exactly so, else the highest in the range; among equal ones (build
    /// metadata does not count) the one made last. Prereleases count only when the range names one.
    pub fn find(&self, chart: &str, version: &str) -> Result<&ChartVersion, FindError> {
        let versions = self.charts.get(chart).ok_or(FindError::NoChart)?;
        if versions.is_empty() {
            return Err(FindError::NoVersion);
        }
        if let Some(exact) = versions.iter().find(|candidate| candidate.version == version) {
            return Ok(exact);
        }
        let range = if version.is_empty() { "*" } else { version };
        let range = Constraints::parse(range).map_err(|error| FindError::Range(error.to_string()))?;
        let mut best: Option<(Version, &ChartVersion)> = None;
        for candidate in versions {
            let Some(parsed) = three_part_version(&candidate.version).filter(|parsed| range.check(parsed)) else {
                continue;
            };
            let is_better = best.as_ref().is_none_or(|(top, other)| match parsed.cmp(top) {
                Ordering::Less => false,
                Ordering::Equal => candidate.created > other.created,
                Ordering::Greater => true,
            });
            if is_better {
                best = Some((parsed, candidate));
            }
        }
        let no_match = || FindError::NoMatch { chart: chart.to_owned(), version: version.to_owned() };
        best.map(|(_, found)| found).ok_or_else(no_match)
    }
}

/// Takes what is kept of a version; none when Helm's validation would drop it.
fn usable(entry: &Value) -> Option<(Version, ChartVersion)> {
    let fields = entry.as_object()?;
    let name = text_of(fields.get("name")).filter(|name| is_chart_name(name))?;
    let version = text_of(fields.get("version"))?;
    let parsed = Version::parse(&version).ok()?;
    if !matches!(text_of(fields.get("type")).as_deref(), None | Some("" | "application" | "library")) {
        return None;
    }
    if let Some(Value::Array(dependencies)) = fields.get("dependencies")
        && !dependencies.iter().all(has_usable_alias)
    {
        return None;
    }
    let urls = match fields.get("urls") {
        Some(Value::Array(urls)) => urls.iter().take(1).filter_map(|url| text_of(Some(url))).collect(),
        _ => Vec::new(),
    };
    let created = text_of(fields.get("created")).and_then(|text| text.parse().ok());
    let digest = text_of(fields.get("digest")).filter(|digest| !digest.is_empty());
    Some((parsed, ChartVersion { name, version, created, digest, urls }))
}

/// True for a name that is one path component and can be shown.
fn is_chart_name(name: &str) -> bool {
    !name.is_empty()
        && !matches!(name, "." | "..")
        && !name.contains(['/', '\\'])
        && !name.chars().any(char::is_control)
}

fn has_usable_alias(dependency: &Value) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    dependency.is_object() && text_of(dependency.get("alias")).is_none_or(|alias| alias.chars().all(plain))
}

/// Returns a scalar as text, as Go's decoder does for text fields of YAML.
fn text_of(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Cuts an index in block style into what is before `entries`, one text a chart, and what comes after.
fn split(text: &str) -> Option<(&str, Vec<&str>, &str)> {
    let start = if text.starts_with("entries:\n") { 0 } else { text.find("\nentries:\n")? + 1 };
    let (head, body) = (&text[..start], &text[start + "entries:\n".len()..]);
    let mut entries = Vec::new();
    let (mut indent, mut open, mut at) = (None, None, 0);
    for line in body.split_inclusive('\n') {
        let content = line.trim_start_matches(' ');
        let is_blank = content.trim_end().is_empty() || content.starts_with('#');
        let depth = line.len() - content.len();
        if !is_blank {
            let indent = *indent.get_or_insert(depth);
            if depth < indent || indent == 0 {
                break;
            }
            if depth == indent
                && !content.starts_with('-')
                && let Some(open) = open.replace(at)
            {
                entries.push(&body[open..at]);
            }
        }
        at += line.len();
    }
    entries.push(&body[open?..at]);
    Some((head, entries, &body[at..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const INDEX: &str = "\
apiVersion: v1
entries:
  alpine:
  - created: 2016-10-06T16:23:20.499814565-06:00
    description: |
      Deploy a pod

      entries:
    digest: 99c76e403d752c84ead610644d4b1c2f2b453a74b921f422b9dcb8a7c8b559cd
    name: alpine
    urls:
    - https://example.com/alpine-1.0.0.tgz
    - https://mirror.example.com/alpine-1.0.0.tgz
    version: 1.0.0
  # a comment
  nginx:
    - name: nginx
      version: 0.1.0
      urls: [nginx-0.1.0.tgz]
    - name: nginx
      version: 0.2.0
      urls: [nginx-0.2.0.tgz]
generated: 2016-10-06T16:23:20.499029981-06:00
";

    fn with(versions: &[(&str, Option<i64>)]) -> Index {
        let entries: Vec<Value> = versions
            .iter()
            .map(|(version, created)| {
                let created = created.map(|second| Timestamp::from_second(second).unwrap().to_string());
                serde_json::json!({ "name": "chart", "version": version, "created": created, "urls": ["x"] })
            })
            .collect();
        let index = serde_json::json!({ "apiVersion": "v1", "entries": { "chart": entries } });
        Index::read(index.to_string().as_bytes()).unwrap()
    }

    fn found(index: &Index, version: &str) -> Result<String, String> {
        index.find("chart", version).map(|found| found.version.clone()).map_err(|error| error.to_string())
    }

    #[test]
    fn block_style_is_read_chart_by_chart_with_the_same_result() {
        let by_chart = Index::read_by_chart(INDEX).unwrap();
        let document = yaml::parse_strict(INDEX.as_bytes()).unwrap();
        assert_eq!(by_chart, Index::of_document(&document).unwrap());
        assert_eq!(by_chart.len(), 2);
        let alpine = by_chart.find("alpine", "").unwrap();
        assert_eq!(alpine.urls, ["https://example.com/alpine-1.0.0.tgz"]);
        assert!(alpine.digest.as_ref().unwrap().starts_with("99c76e"));
        assert_eq!(alpine.created.unwrap().as_second(), 1_475_792_600);
        assert_eq!(by_chart.find("nginx", "").unwrap().version, "0.2.0");
    }

    #[test]
    fn what_is_not_block_style_is_read_as_a_whole() {
        for text in [
            "{apiVersion: v1, entries: {chart: [{name: chart, version: 1.0.0}]}}",
            "apiVersion: v1\nentries:\n- no map\n",
            "apiVersion: v1\nentries:\n  chart: &a\n  - {name: chart, version: 1.0.0}\n  other: *a\n",
            "entries: {}\napiVersion: v1\n",
            "{apiVersion: v1, a: \"\nentries:\n  chart: []\nb: \"}",
        ] {
            assert!(Index::read_by_chart(text).is_none(), "{text}");
        }
        let aliased = "apiVersion: v1\nentries:\n  chart: &a\n  - {name: chart, version: 1.0.0}\n  other: *a\n";
        assert_eq!(Index::read(aliased.as_bytes()).unwrap().len(), 2);
        assert!(Index::read(b"apiVersion: v1\nentries:\n- no map\n").is_err());
        assert!(Index::read(b"apiVersion: v1\n").unwrap().is_empty());
    }

    #[test]
    fn what_is_no_index_is_refused() {
        let error = |text: &str| Index::read(text.as_bytes()).unwrap_err().to_string();
        assert_eq!(error(""), "empty index.yaml file");
        assert_eq!(error("entries: {}\n"), "no API version specified");
        assert_eq!(error("entries:\n  a: []\n"), "no API version specified");
        assert!(error("<html>").contains("failed to read index.yaml"));
        assert!(error("apiVersion: v1\nentries:\n  a: []\n  a: []\n").contains("failed to read"));
    }

    #[test]
    fn entries_that_do_not_validate_are_left_out() {
        let text = "\
apiVersion: v1
entries:
  chart:
  - {name: chart, version: 1.0.0, type: application}
  - {name: chart, version: invalid}
  - {name: ../chart, version: 1.0.1}
  - {name: \"ch\\u001b[31mart\", version: 1.0.2}
  - {version: 1.0.3}
  - {name: chart, version: 1.0.4, type: odd}
  - {name: chart, version: 1.0.5, dependencies: [{name: a, alias: a/b}]}
  - {name: chart, version: 1.0.6, dependencies: [{name: a}, {name: a}]}
  - null
";
        let index = Index::read(text.as_bytes()).unwrap();
        let versions: Vec<&str> = index.charts["chart"].iter().map(|version| version.version.as_str()).collect();
        assert_eq!(versions, ["1.0.6", "1.0.0"]);
    }

    #[test]
    fn the_revision_does_not_depend_on_the_order() {
        let one = with(&[("1.0.0", None), ("2.0.0", None), ("2.0.0+a", None)]);
        let two = with(&[("2.0.0+a", None), ("2.0.0", None), ("1.0.0", None)]);
        assert_eq!(Index::revision(&one.write()), Index::revision(&two.write()));
        assert_eq!(Index::read_written(&one.write()).unwrap(), one);
        assert_eq!(Index::read(&one.write()).unwrap(), one, "what is stored is an index itself");
        assert_ne!(one.write(), with(&[("1.0.0", None)]).write());
    }

    #[test]
    fn versions_are_resolved_as_flux_does() {
        let index = with(&[
            ("0.0.1", None),
            ("0.1.0", None),
            ("0.1.1", None),
            ("0.1.5+b.min.minute", Some(1000)),
            ("0.1.5+a.min.hour", Some(10)),
            ("0.1.5+c.now", Some(1060)),
            ("0.2.0", None),
            ("1.0.0", None),
            ("1.1.0-rc.1", None),
        ]);
        let table = [
            ("0.0.1", "0.0.1"),
            ("", "1.0.0"),
            ("*", "1.0.0"),
            ("<0.2.0", "0.1.5+c.now"),
            ("0.1.5+a.min.hour", "0.1.5+a.min.hour"),
            (">=1.0.0-0", "1.1.0-rc.1"),
            ("0.1.x", "0.1.5+c.now"),
        ];
        for (version, expected) in table {
            assert_eq!(found(&index, version).unwrap(), expected, "{version}");
        }
        assert_eq!(found(&index, ">2.0.0").unwrap_err(), "no 'chart' chart with version matching '>2.0.0' found");
        assert_eq!(index.find("other", ""), Err(FindError::NoChart));
        assert!(matches!(index.find("chart", "not a range"), Err(FindError::Range(_))));
        let prefixed = with(&[("v1.0.0", None), ("1.0.0", None)]);
        assert_eq!(found(&prefixed, "v1.0.0").unwrap(), "v1.0.0");
        assert_eq!(with(&[]).find("chart", ""), Err(FindError::NoVersion));
    }
}
