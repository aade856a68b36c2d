//! A case of the pack, and a render of it.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use helm::chart::Chart;
use helm::chart::capabilities::{Capabilities, KubeVersion};
use helm::chart::folder::Links;
use helm::chart::values;
use helm::functions::Env;
use helm::random::SystemRandom;
use helm::render::{Options, Rendered, push_source, render};
use serde_json::{Map, Value};

/// A row of `cases.jsonl`.
#[derive(serde::Deserialize)]
pub struct Case {
    pub id: String,
    pub kind: String,
    pub chart: String,
    #[serde(default)]
    pub values: Vec<String>,
    pub name: String,
    pub namespace: String,
    #[serde(default)]
    pub flags: Vec<String>,
    #[serde(default)]
    pub mask: Option<Vec<usize>>,
    #[serde(default)]
    pub sha256: String,
}

impl Case {
    /// Says whether every render gives the same bytes.
    pub fn is_stable(&self) -> bool {
        self.mask.as_ref().is_none_or(Vec::is_empty)
    }

    fn has(&self, flag: &str) -> bool {
        self.flags.iter().any(|known| known == flag)
    }

    fn arguments_of<'a>(&'a self, flag: &'a str) -> impl Iterator<Item = &'a String> {
        self.flags
            .iter()
            .zip(self.flags.iter().skip(1))
            .filter(move |(known, _)| *known == flag)
            .map(|(_, value)| value)
    }

    /// Reads the cases that render.
    pub fn read_all(path: &Path) -> Result<Vec<Self>, Box<dyn Error>> {
        let text = std::fs::read_to_string(path)?;
        let cases = text.lines().map(serde_json::from_str::<Self>).collect::<Result<Vec<_>, _>>()?;
        Ok(cases.into_iter().filter(|case| case.kind == "render").collect())
    }

    pub fn load(&self, folder: &Path) -> Result<Arc<Chart>, Box<dyn Error>> {
        Ok(Arc::new(Chart::load(&folder.join(&self.chart), &Links::Follow)?))
    }

    /// Reads and merges the values files.
    pub fn values(&self, folder: &Path) -> Result<Map<String, Value>, Box<dyn Error>> {
        let mut merged = Map::new();
        for path in &self.values {
            values::merge(&mut merged, values::load(&std::fs::read(folder.join(path))?)?);
        }
        Ok(merged)
    }

    pub fn render(
        &self,
        name: &str,
        chart: &Arc<Chart>,
        values: &Map<String, Value>,
    ) -> Result<Rendered, Box<dyn Error>> {
        let versions: Vec<String> = self.arguments_of("--api-versions").cloned().collect();
        let mut capabilities = Capabilities::default().with_api_versions(&versions);
        if let Some(version) = self.arguments_of("--kube-version").last() {
            capabilities.kube_version = KubeVersion::parse(version)?;
        }
        let options = Options {
            is_upgrade: self.has("--is-upgrade"),
            capabilities,
            ..Options::install(name, self.namespace.clone(), Env::at(jiff::Timestamp::now(), &SystemRandom))
        };
        render(chart, values, &options).map_err(|failure| format!("{}: {}", self.id, failure.error).into())
    }

    /// Returns what `helm template` prints of a render.
    pub fn text(&self, rendered: &Rendered) -> String {
        let mut text = String::new();
        if self.has("--include-crds") {
            for crd in &rendered.crds {
                push_source(&mut text, &crd.path, &crd.data.to_text());
            }
        }
        text.push_str(&rendered.manifest());
        text = format!("{}\n", text.trim());
        if !self.has("--no-hooks") {
            for hook in &rendered.hooks {
                push_source(&mut text, &hook.path, &hook.manifest);
            }
        }
        text
    }

    /// Returns the arguments of `template` for this case.
    pub fn arguments(&self) -> Vec<String> {
        let mut all: Vec<String> =
            ["template", &self.name, &self.chart, "--namespace", &self.namespace].map(String::from).to_vec();
        for path in &self.values {
            all.extend(["-f".to_string(), path.clone()]);
        }
        all.extend(self.flags.iter().cloned());
        all
    }
}
