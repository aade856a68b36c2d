//! The way from a chart and values to what a release consists of.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Map as JsonMap;

use crate::chart::capabilities::Capabilities;
use crate::chart::dependencies::Node;
use crate::chart::files::Files;
use crate::chart::metadata::{Dependency, Metadata, is_compatible};
use crate::chart::values::{Coalescer, TypeMismatch, shared, table};
use crate::chart::{Chart, File, capability_objects};
use crate::functions::Env;
use crate::hook::Hook;
use crate::manifest::{self, Manifest};
use crate::notice::{Level, Notice};
use crate::post_render::{self, PostRender};
use crate::schema;
use crate::template::{self, Program};
use crate::value::{List, ListType, Map, MapType, Str, Value};

/// How many sets of enabled dependencies of one chart stay compiled.
pub const MAX_PROGRAMS: usize = 16;

/// What a render depends on beside chart and values.
pub struct Options<'a> {
    /// The name of the release.
    pub name: String,
    pub namespace: String,
    pub revision: i64,
    /// An upgrade, not an installation.
    pub is_upgrade: bool,
    pub capabilities: Capabilities,
    /// Clock, randomness and cluster.
    pub env: Env<'a>,
    pub skip_schema_validation: bool,
    /// The notes of dependencies are kept beside those of the chart.
    pub dependency_notes: bool,
    /// Keeps the documents as they were parsed; without, the objects of manifests and hooks are null.
    pub objects: bool,
    /// Changes the rendered documents before they are sorted.
    pub post_render: Option<PostRender<'a>>,
}

impl<'a> Options<'a> {
    /// Returns the options of a first installation, as `helm template` has them without flags.
    pub fn install(name: impl Into<String>, namespace: impl Into<String>, env: Env<'a>) -> Self {
        Self {
            name: name.into(),
            namespace: namespace.into(),
            revision: 1,
            is_upgrade: false,
            capabilities: Capabilities::default(),
            env,
            skip_schema_validation: false,
            dependency_notes: false,
            objects: true,
            post_render: None,
        }
    }
}

/// A file of a `crds/` folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crd {
    /// The path with the charts that it is in.
    pub path: String,
    pub data: Str,
}

/// What a chart renders to.
pub struct Rendered {
    /// In the order of installation by kind; [`crate::hook::sort_for_run`] puts those of an event in their order.
    pub hooks: Vec<Hook>,
    /// In the order of installation.
    pub manifests: Vec<Manifest>,
    /// The files of `crds/`, of the chart first.
    pub crds: Vec<Crd>,
    pub notes: String,
    /// The chart as this release has it, for the record.
    pub node: Node,
    /// What Helm logs on the way.
    pub notices: Vec<Notice>,
}

impl Rendered {
    /// Returns the manifests as Helm records them.
    pub fn manifest(&self) -> String {
        let size = self.manifests.iter().map(|m| m.path.len() + m.text.len() + 16).sum();
        let mut out = String::with_capacity(size);
        for manifest in &self.manifests {
            push_source(&mut out, &manifest.path, &manifest.text);
        }
        out
    }
}

/// Appends a manifest with the comment that names its template.
pub fn push_source(out: &mut String, path: &str, text: &str) {
    for part in ["---\n# Source: ", path, "\n", text, "\n"] {
        out.push_str(part);
    }
}

/// Why a chart does not render; the texts are Helm's.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("chart dependencies processing failed: {0}")]
    Dependencies(#[source] TypeMismatch),
    #[error("{0}")]
    Values(#[source] TypeMismatch),
    #[error("values don't meet the specifications of the schema(s) in the following chart(s):\n{0}")]
    Schema(String),
    #[error("chart requires kubeVersion: {required} which is incompatible with Kubernetes {found}")]
    KubeVersion { required: String, found: String },
    #[error("{0}")]
    Template(#[source] template::Error),
    #[error("{0}")]
    PostRender(#[source] post_render::Error),
    #[error("{0}")]
    Manifest(#[source] manifest::Error),
}

/// A render that failed, with what Helm shows of it.
#[derive(Debug)]
pub struct Failure {
    pub error: Error,
    pub notices: Vec<Notice>,
    /// The rendered files when one of them is no manifest, for a look at what is wrong.
    pub files: BTreeMap<String, Vec<u8>>,
}

impl Failure {
    /// Says whether Helm has a release to show at this point, and so hints at `--debug`.
    pub fn has_release(&self) -> bool {
        matches!(self.error, Error::KubeVersion { .. } | Error::Template(_) | Error::PostRender(_) | Error::Manifest(_))
    }
}

/// Renders a chart. `values` are the user's; numbers from files are floats in them.
pub fn render(
    chart: &Arc<Chart>,
    values: &JsonMap<String, serde_json::Value>,
    options: &Options<'_>,
) -> Result<Rendered, Box<Failure>> {
    let mut notices = Vec::new();
    let mut files = BTreeMap::new();
    match render_noting(chart, values, options, &mut notices, &mut files) {
        Ok(rendered) => Ok(Rendered { notices, ..rendered }),
        Err(error) => Err(Box::new(Failure { error, notices, files })),
    }
}

fn render_noting(
    chart: &Arc<Chart>,
    values: &JsonMap<String, serde_json::Value>,
    options: &Options<'_>,
    notices: &mut Vec<Notice>,
    files: &mut BTreeMap<String, Vec<u8>>,
) -> Result<Rendered, Error> {
    let values = shared(values);
    let node = Node::resolve(chart, &values, notices).map_err(|error| {
        let message = "chart dependencies processing failed";
        notices.push(Notice::new(Level::Error, message).with("error", error.to_string()));
        Error::Dependencies(error)
    })?;
    Coalescer { notices, keep_nulls: false }.coalesce(&node, &values).map_err(Error::Values)?;
    if !options.skip_schema_validation {
        schema::validate(&node, &values, notices).map_err(Error::Schema)?;
    }
    let required = &chart.metadata().kube_version;
    let kube_version = &options.capabilities.kube_version;
    if !required.is_empty() && !is_compatible(required, kube_version.comparable()) {
        let found = kube_version.version.clone();
        return Err(Error::KubeVersion { required: required.clone(), found });
    }
    *files = execute(&node, &values, options).map_err(Error::Template)?;
    let notes = take_notes(files, chart.name(), options.dependency_notes);
    if let Some(post) = options.post_render {
        *files = post_render::run(files, post, notices).map_err(Error::PostRender)?;
    }
    let (hooks, manifests) = manifest::sort_files(files, options.objects, notices).map_err(Error::Manifest)?;
    let mut crds = Vec::new();
    collect_crds(&node, node.name(), &mut crds);
    Ok(Rendered { hooks, manifests, crds, notes, node, notices: Vec::new() })
}

/// Returns the definitions in the `crds/` folders of a chart and of the dependencies that the values enable. They are
/// applied before anything is rendered.
pub fn crds(chart: &Arc<Chart>, values: &JsonMap<String, serde_json::Value>) -> Result<Vec<Crd>, TypeMismatch> {
    let node = Node::resolve(chart, &shared(values), &mut Vec::new())?;
    let mut crds = Vec::new();
    collect_crds(&node, node.name(), &mut crds);
    Ok(crds)
}

/// Takes the notes out of the rendered files: those of the chart, and of its dependencies where they are asked for.
fn take_notes(files: &mut BTreeMap<String, Vec<u8>>, chart: &str, all: bool) -> String {
    let own = format!("{chart}/templates/NOTES.txt");
    let mut notes = String::new();
    files.retain(|path, text| {
        if !path.ends_with("NOTES.txt") {
            return true;
        }
        if all || *path == own {
            if !notes.is_empty() {
                notes.push('\n');
            }
            notes.push_str(&String::from_utf8_lossy(text));
        }
        false
    });
    notes
}

fn collect_crds(node: &Node, path: &str, crds: &mut Vec<Crd>) {
    let is_manifest = |name: &str| {
        let extension = name.rsplit('/').next().and_then(|base| base.rsplit_once('.')).map_or("", |(_, e)| e);
        ["yaml", "yml", "json"].iter().any(|known| extension.eq_ignore_ascii_case(known))
    };
    for file in node.chart().files() {
        if file.name.starts_with("crds/") && is_manifest(&file.name) {
            crds.push(Crd { path: format!("{path}/{}", file.name), data: file.data.clone() });
        }
    }
    for child in node.children() {
        collect_crds(child, &format!("{path}/charts/{}", child.name()), crds);
    }
}

/// The compiled templates of a chart, one program for each set of dependencies that releases enable.
#[derive(Default)]
pub struct Programs(Mutex<Vec<(ProgramKey, Arc<Program>)>>);

impl std::fmt::Debug for Programs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Programs")
    }
}

/// The paths of the charts that take part, with the address of each chart, which the root chart keeps alive.
type ProgramKey = Vec<(String, usize)>;

impl Programs {
    fn get(&self, key: ProgramKey, files: &Sources<'_>) -> Result<Arc<Program>, template::Error> {
        let mut programs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = programs.iter().position(|(known, _)| *known == key) {
            let found = programs.remove(at);
            let program = found.1.clone();
            programs.push(found);
            return Ok(program);
        }
        drop(programs);
        let sources: Vec<(&str, Str)> = files.in_order().map(|(path, file)| (path, file.file.data.clone())).collect();
        let program = Arc::new(Program::compile(&sources)?);
        programs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if programs.len() >= MAX_PROGRAMS {
            programs.remove(0);
        }
        programs.push((key, program.clone()));
        Ok(program)
    }
}

/// A template with what it sees.
struct Source<'n> {
    file: &'n File,
    scope: Map,
    base_path: String,
}

/// The templates of all charts that take part, by path.
#[derive(Default)]
struct Sources<'n> {
    files: BTreeMap<String, Source<'n>>,
    key: ProgramKey,
}

impl<'n> Sources<'n> {
    /// Helm's order: deeper paths first, then by name from the end.
    fn in_order(&self) -> impl Iterator<Item = (&str, &Source<'n>)> {
        let mut order: Vec<_> = self.files.iter().map(|(path, file)| (path.as_str(), file)).collect();
        order.sort_by(|(a, _), (b, _)| {
            let depth = |path: &str| memchr::memchr_iter(b'/', path.as_bytes()).count();
            depth(b).cmp(&depth(a)).then_with(|| b.cmp(a))
        });
        order.into_iter()
    }

    /// Adds the templates of a chart and of all that it depends on. Returns what the chart's templates see.
    fn add(
        &mut self,
        node: &'n Node,
        path: String,
        is_root: bool,
        values: Map,
        release: &Value,
        capabilities: &Value,
    ) -> Map {
        let chart = node.chart();
        let children = Map::new(MapType::Any);
        let scope = Map::from_pairs(
            MapType::Any,
            [
                ("Capabilities", capabilities.clone()),
                ("Chart", chart_value(&node.metadata(), is_root)),
                ("Files", Value::object(Files::new(chart))),
                ("Release", release.clone()),
                ("Subcharts", Value::Map(children.clone())),
                ("Values", Value::Map(values.with_type(MapType::Values))),
            ]
            .map(|(key, value)| (Str::from(key), value)),
        );
        for child in node.children() {
            let child_values = table(&scope, &format!("Values.{}", child.name()));
            let child_values = child_values.unwrap_or_else(|_| Map::new(MapType::Values));
            let child_path = format!("{path}/charts/{}", child.name());
            let seen = self.add(child, child_path, false, child_values, release, capabilities);
            // A fresh map is never nil.
            let _ = children.insert(child.name().into(), Value::Map(seen));
        }
        for file in chart.templates() {
            let partial = file.name.rsplit('/').next().is_some_and(|name| name.starts_with('_'));
            if partial || !chart.is_library() {
                let source = Source { file, scope: scope.clone(), base_path: format!("{path}/templates") };
                self.files.insert(format!("{path}/{}", file.name), source);
            }
        }
        self.key.push((path, Arc::as_ptr(chart) as usize));
        scope
    }
}

/// Compiles the templates, unless they are, and runs them.
fn execute(node: &Node, values: &Map, options: &Options<'_>) -> Result<BTreeMap<String, Vec<u8>>, template::Error> {
    let release = Value::map([
        ("IsInstall", Value::Bool(!options.is_upgrade)),
        ("IsUpgrade", Value::Bool(options.is_upgrade)),
        ("Name", Value::from(options.name.as_str())),
        ("Namespace", Value::from(options.namespace.as_str())),
        ("Revision", Value::Int(options.revision)),
        ("Service", Value::from("Helm")),
    ]);
    let capabilities = capability_objects::value(&options.capabilities);
    let mut sources = Sources::default();
    sources.add(node, node.name().to_string(), true, values.clone(), &release, &capabilities);
    let program = node.chart().programs().get(std::mem::take(&mut sources.key), &sources)?;
    let mut session = program.session(&options.env);
    let mut rendered = BTreeMap::new();
    for (path, source) in sources.in_order() {
        if path.rsplit('/').next().is_some_and(|name| name.starts_with('_')) {
            continue;
        }
        let template = [("BasePath", Value::from(source.base_path.as_str())), ("Name", Value::from(path))];
        let template = Map::from_pairs(MapType::Values, template.map(|(key, value)| (Str::from(key), value)));
        // A scope is never a nil map.
        let _ = source.scope.insert("Template".into(), Value::Map(template));
        let data = Value::Map(source.scope.with_type(MapType::Values));
        rendered.insert(path.to_string(), session.render(path, data)?);
    }
    Ok(rendered)
}

fn texts(items: &[String]) -> Value {
    Value::list(items.iter().map(|item| Value::from(item.as_str())).collect::<Vec<_>>())
}

/// Makes `.Chart`: a plain map with the names of Go's fields.
fn chart_value(metadata: &Metadata, is_root: bool) -> Value {
    let text = |s: &String| Value::from(s.as_str());
    let annotations = match &metadata.annotations {
        None => Map::nil(MapType::Str),
        Some(map) => Map::from_pairs(MapType::Str, map.iter().map(|(k, v)| (Str::from(k.as_str()), text(v)))),
    };
    let maintainers = metadata
        .maintainers
        .iter()
        .map(|m| Value::map([("Email", text(&m.email)), ("Name", text(&m.name)), ("URL", text(&m.url))]));
    let dependencies = metadata.dependencies.iter().flatten().map(dependency_value);
    Value::map([
        ("APIVersion", text(&metadata.api_version)),
        ("Annotations", Value::Map(annotations)),
        ("AppVersion", text(&metadata.app_version)),
        ("Condition", text(&metadata.condition)),
        ("Dependencies", Value::list(dependencies.collect::<Vec<_>>())),
        ("Deprecated", Value::Bool(metadata.deprecated)),
        ("Description", text(&metadata.description)),
        ("Home", text(&metadata.home)),
        ("Icon", text(&metadata.icon)),
        ("IsRoot", Value::Bool(is_root)),
        ("Keywords", texts(&metadata.keywords)),
        ("KubeVersion", text(&metadata.kube_version)),
        ("Maintainers", Value::list(maintainers.collect::<Vec<_>>())),
        ("Name", text(&metadata.name)),
        ("Sources", texts(&metadata.sources)),
        ("Tags", text(&metadata.tags)),
        ("Type", text(&metadata.chart_type)),
        ("Version", text(&metadata.version)),
    ])
}

fn dependency_value(dependency: &Dependency) -> Value {
    let text = |s: &String| Value::from(s.as_str());
    // Imports that were processed are `map[string]string`; the others are as the file has them.
    let import = |item: &serde_json::Value| match Value::from_json(item) {
        Value::Map(map) => Value::Map(map.with_type(MapType::Str)),
        other => other,
    };
    let imports: Vec<Value> = dependency.import_values.iter().map(import).collect();
    Value::map([
        ("Alias", text(&dependency.alias)),
        ("Condition", text(&dependency.condition)),
        ("Enabled", Value::Bool(dependency.enabled)),
        ("ImportValues", Value::List(List::new(ListType::Any, imports))),
        ("Name", text(&dependency.name)),
        ("Repository", text(&dependency.repository)),
        ("Tags", texts(&dependency.tags)),
        ("Version", text(&dependency.version)),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chart::archive::BufferedFile;
    use crate::random::SystemRandom;

    fn file(name: &str, text: &str) -> BufferedFile {
        BufferedFile { name: name.to_string(), modified: None, data: text.as_bytes().into() }
    }

    #[test]
    fn each_set_of_dependencies_is_compiled_once_and_only_so_many_are_kept() {
        let names = ["d0", "d1", "d2", "d3", "d4"];
        let dependencies = names.map(|name| format!("- {{name: {name}, version: 1.0.0, condition: {name}.on}}\n"));
        let metadata = format!("apiVersion: v2\nname: c\nversion: 1.0.0\ndependencies:\n{}", dependencies.concat());
        let mut files = Vec::new();
        for name in names {
            let own = format!("apiVersion: v2\nname: {name}\nversion: 1.0.0\n");
            files.push(file(&format!("charts/{name}/Chart.yaml"), &own));
            files.push(file(&format!("charts/{name}/templates/a.yaml"), "a: {{ .Chart.Name }}\n"));
        }
        files.push(file("Chart.yaml", &metadata));
        let chart = Arc::new(Chart::from_files(files).unwrap());
        let render = |set: usize| {
            let on = names
                .iter()
                .enumerate()
                .map(|(at, name)| ((*name).to_string(), serde_json::json!({"on": set >> at & 1 == 1})));
            let options = Options::install("rel", "ns", Env::at(jiff::Timestamp::UNIX_EPOCH, &SystemRandom));
            render(&chart, &on.collect(), &options).unwrap().manifests.len()
        };
        let kept = || {
            let programs = chart.programs().0.lock().unwrap();
            programs.iter().map(|(_, program)| Arc::as_ptr(program)).collect::<Vec<_>>()
        };
        assert_eq!((render(1), render(1), kept().len()), (1, 1, 1));
        let first = kept()[0];
        for set in 2..=MAX_PROGRAMS {
            assert_eq!(render(set), set.count_ones() as usize);
        }
        // The one that was used last stays, the one that was not used for longest goes.
        assert_eq!((render(1), render(MAX_PROGRAMS + 1), kept().len()), (1, 2, MAX_PROGRAMS));
        assert!(kept().contains(&first));
    }
}
