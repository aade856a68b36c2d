//! What one release makes of a chart: dependencies that are switched off or renamed, values that parents import.

use std::collections::HashSet;
use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::metadata::{Dependency, is_compatible};
use super::values::{self, Coalescer, TypeMismatch, deep_copy, path_value, put, shared, show, table};
use super::{Chart, Metadata};
use crate::notice::{Level, Notice};
use crate::quote::quote;
use crate::value::{Map, MapType, Str, Value};

/// A chart in the tree of one release.
pub struct Node {
    chart: Arc<Chart>,
    /// The alias, where there is one.
    name: String,
    dependencies: Vec<Dependency>,
    /// The values after imports, where they differ from the chart's.
    imported: Option<Map>,
    children: Vec<Node>,
}

impl Node {
    /// Makes the tree of a chart for a user's values: Helm's `ProcessDependencies`.
    pub fn resolve(chart: &Arc<Chart>, user: &Map, notices: &mut Vec<Notice>) -> Result<Self, TypeMismatch> {
        let mut root = Self::whole(chart);
        root.enable(user, "", notices)?;
        root.import(notices)?;
        Ok(root)
    }

    /// The tree with all that is in `charts/`.
    fn whole(chart: &Arc<Chart>) -> Self {
        Self {
            chart: chart.clone(),
            name: chart.name().to_string(),
            dependencies: chart.metadata().dependencies.clone().unwrap_or_default(),
            imported: None,
            children: chart.dependencies().iter().map(Self::whole).collect(),
        }
    }

    pub fn chart(&self) -> &Arc<Chart> {
        &self.chart
    }

    /// Returns the alias of the chart, or its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the charts that are switched on.
    pub fn children(&self) -> &[Node] {
        &self.children
    }

    /// Makes a fresh copy of the chart's defaults.
    pub fn values(&self) -> Map {
        match (&self.imported, self.chart.values()) {
            (Some(map), _) => deep_copy(map),
            (None, Some(values)) => shared(values),
            (None, None) => Map::new(MapType::Any),
        }
    }

    /// Returns the metadata as Helm has it after processing: renamed, and without what is switched off.
    pub fn metadata(&self) -> Metadata {
        let mut metadata = self.chart.metadata().clone();
        metadata.name.clone_from(&self.name);
        metadata.dependencies = Some(self.dependencies.clone());
        metadata
    }

    /// Returns the dependencies of `Chart.yaml` that are switched on.
    pub fn dependencies(&self) -> &[Dependency] {
        &self.dependencies
    }

    /// Returns the values after imports, or the chart's own, for the release record.
    pub fn stored_values(&self) -> Option<Json> {
        match &self.imported {
            Some(map) => Value::Map(map.clone()).to_json().ok(),
            None => self.chart.values().cloned().map(Json::Object),
        }
    }

    /// Keeps the children that are asked for, under their aliases, and those that are switched on by the values.
    fn enable(&mut self, values: &Map, path: &str, notices: &mut Vec<Notice>) -> Result<(), TypeMismatch> {
        if self.chart.metadata().dependencies.is_none() {
            return Ok(());
        }
        self.pick_children();
        for dependency in &mut self.dependencies {
            if !dependency.alias.is_empty() {
                dependency.name.clone_from(&dependency.alias);
            }
            dependency.enabled = true;
        }
        let coalesced = deep_copy(values);
        Coalescer { notices, keep_nulls: false }.coalesce(self, &coalesced)?;
        apply_tags(&mut self.dependencies, &coalesced, notices);
        apply_conditions(&mut self.dependencies, &coalesced, path, notices);
        let off: HashSet<String> = self.dependencies.iter().filter(|d| !d.enabled).map(|d| d.name.clone()).collect();
        self.children.retain(|child| !off.contains(&child.name));
        self.dependencies.retain(|dependency| !off.contains(&dependency.name));
        for child in &mut self.children {
            let path = format!("{path}{}.", child.name);
            child.enable(&coalesced, &path, notices)?;
        }
        Ok(())
    }

    /// Puts the children that nothing asks for first, then one for each dependency.
    fn pick_children(&mut self) {
        let available = std::mem::take(&mut self.children);
        let wanted = |chart: &Chart, dependency: &Dependency| {
            chart.name() == dependency.name && is_compatible(&dependency.version, chart.version())
        };
        let mut picked = Vec::new();
        for dependency in &self.dependencies {
            if let Some(found) = available.iter().find(|node| wanted(&node.chart, dependency)) {
                let mut child = Self::whole(&found.chart);
                if !dependency.alias.is_empty() {
                    child.name.clone_from(&dependency.alias);
                }
                picked.push(child);
            }
        }
        let asked = |node: &Node| self.dependencies.iter().any(|dependency| wanted(&node.chart, dependency));
        self.children = available.into_iter().filter(|node| !asked(node)).chain(picked).collect();
    }

    /// Takes values of children into their parents, from the bottom up.
    fn import(&mut self, notices: &mut Vec<Notice>) -> Result<(), TypeMismatch> {
        for child in &mut self.children {
            child.import(notices)?;
        }
        if self.dependencies.is_empty() {
            return Ok(());
        }
        let values = Map::new(MapType::Any);
        Coalescer { notices, keep_nulls: true }.coalesce(self, &values)?;
        let imports = Map::new(MapType::Any);
        for dependency in &mut self.dependencies {
            let mut stored = Vec::new();
            for import in std::mem::take(&mut dependency.import_values) {
                let Some(import) = Import::read(&import) else { continue };
                stored.push(json!({"child": import.child, "parent": import.parent}));
                match table(&values, &format!("{}.{}", dependency.name, import.child)) {
                    Ok(found) => {
                        let nested = nest(&import.parent, found);
                        Coalescer { notices, keep_nulls: true }.tables(&imports, &nested, "", true);
                    }
                    Err(part) => notices.push(import.missing(&dependency.name, &part)),
                }
            }
            dependency.import_values = stored;
        }
        // Imports rank below the parent's values.
        let values = deep_copy(&values);
        Coalescer { notices, keep_nulls: true }.tables(&values, &imports, "", true);
        self.imported = Some(values);
        Ok(())
    }
}

/// An entry of `import-values`.
struct Import {
    child: String,
    parent: String,
    /// The entry was a bare name under `exports`.
    by_name: bool,
}

impl Import {
    fn read(entry: &Json) -> Option<Self> {
        let part = |value: Option<&Json>| value.map_or_else(|| "<nil>".to_string(), |v| show(&Value::from_json(v)));
        match entry {
            Json::String(name) => {
                Some(Self { child: format!("exports.{name}"), parent: ".".to_string(), by_name: true })
            }
            Json::Object(map) => {
                Some(Self { child: part(map.get("child")), parent: part(map.get("parent")), by_name: false })
            }
            _ => None,
        }
    }

    fn missing(&self, chart: &str, part: &str) -> Notice {
        let error = format!("{} is not a table", quote(part));
        if self.by_name {
            Notice::new(Level::Warn, "ImportValues missing table").with("error", error)
        } else {
            Notice::new(Level::Warn, "ImportValues missing table from chart").with("chart", chart).with("error", error)
        }
    }
}

/// Wraps a table into maps along a path with dots; `.` is the table itself.
fn nest(path: &str, table: Map) -> Map {
    if path == "." {
        return table;
    }
    path.split('.').rev().fold(table, |inner, part| {
        let outer = Map::new(MapType::Any);
        put(&outer, &Str::from(part), Value::Map(inner));
        outer
    })
}

/// A tag that is true switches on; otherwise one that is false switches off.
fn apply_tags(dependencies: &mut [Dependency], values: &Map, notices: &mut Vec<Notice>) {
    let Ok(tags) = values::table(values, "tags") else { return };
    for dependency in dependencies {
        let (mut has_true, mut has_false) = (false, false);
        for tag in &dependency.tags {
            match tags.get(tag.as_bytes()) {
                None => {}
                Some(Value::Bool(true)) => has_true = true,
                Some(Value::Bool(false)) => has_false = true,
                Some(_) => notices.push(
                    Notice::new(Level::Warn, "returned non-bool value")
                        .with("tag", tag)
                        .with("chart", &dependency.name),
                ),
            }
        }
        dependency.enabled = has_true || !has_false;
    }
}

/// The first path of a condition that holds a boolean decides, over the tags.
fn apply_conditions(dependencies: &mut [Dependency], values: &Map, path: &str, notices: &mut Vec<Notice>) {
    for dependency in dependencies {
        for condition in dependency.condition.trim().split(',').filter(|condition| !condition.is_empty()) {
            match path_value(values, &format!("{path}{condition}")) {
                None => {}
                Some(Value::Bool(enabled)) => {
                    dependency.enabled = enabled;
                    break;
                }
                Some(_) => notices.push(
                    Notice::new(Level::Warn, "returned non-bool value")
                        .with("path", condition)
                        .with("chart", &dependency.name),
                ),
            }
        }
    }
}
