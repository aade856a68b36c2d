//! Whole charts with what Helm 4 makes of them: output and error texts, byte by byte.
//!
//! A row of `tests/engine/synthetic/cases.jsonl` is one call of `helm template`. The public charts are read from the case
//! packs that `BOWLINE_PACKS` names; run them with `--ignored`. `CASES=text` runs only cases whose id or chart holds it.
//! Rows of `tests/engine/generated/charts.jsonl` are charts that `tests/engine/oracle` wrote at random; `make differential`
//! makes new ones in a folder that `ENGINE_ROWS` then names.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]
#![allow(clippy::disallowed_methods, reason = "tests are configured by their environment")]

mod program;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use helm::chart::Chart;
use helm::chart::archive::BufferedFile;
use helm::chart::capabilities::{Capabilities, KubeVersion};
use helm::chart::folder::{Links, system_text};
use helm::chart::values;
use helm::functions::Env;
use helm::random::SystemRandom;
use helm::render::{Options, Rendered, push_source, render};
use helm::strvals;
use serde_json::{Map, Value};

#[derive(serde::Deserialize)]
struct Case {
    id: String,
    kind: String,
    #[serde(default)]
    dir: String,
    chart: String,
    #[serde(default)]
    values: Vec<String>,
    name: String,
    namespace: Option<String>,
    #[serde(default)]
    flags: Vec<String>,
    #[serde(default)]
    mask: Option<Vec<usize>>,
    #[serde(default)]
    expected: String,
    #[serde(default)]
    stderr: String,
    #[serde(default)]
    stderr_variants: Vec<String>,
    #[serde(default)]
    network: bool,
}

/// What the flags of a case ask for.
#[derive(Default)]
struct Flags {
    files: Vec<String>,
    sets: Vec<(String, String)>,
    api_versions: Vec<String>,
    kube_version: Option<String>,
    is_upgrade: bool,
    no_hooks: bool,
    include_crds: bool,
    skip_schema_validation: bool,
}

impl Flags {
    /// Reads the flags of a case; None when one of them is the command line's own affair.
    fn of(case: &Case) -> Option<Self> {
        let mut flags = Self { files: case.values.clone(), ..Self::default() };
        let mut rest = case.flags.iter();
        while let Some(flag) = rest.next() {
            match flag.as_str() {
                "-f" => flags.files.push(rest.next()?.clone()),
                "--set" | "--set-string" | "--set-json" | "--set-file" | "--set-literal" => {
                    flags.sets.push((flag[2..].to_string(), rest.next()?.clone()));
                }
                "-a" | "--api-versions" => {
                    let versions = rest.next()?.split(',').filter(|version| !version.is_empty());
                    flags.api_versions.extend(versions.map(str::to_string));
                }
                "--kube-version" => {
                    flags.kube_version = Some(rest.next()?.clone()).filter(|version| !version.is_empty());
                }
                "--is-upgrade" => flags.is_upgrade = true,
                "--no-hooks" => flags.no_hooks = true,
                "--include-crds" => flags.include_crds = true,
                "--skip-schema-validation" => flags.skip_schema_validation = true,
                _ => return None,
            }
        }
        Some(flags)
    }

    /// Merges files and `--set` lines in Helm's order.
    fn values(&self, folder: &Path) -> Result<Map<String, Value>, String> {
        let mut merged = Map::new();
        for path in self.files.iter().flat_map(|paths| paths.split(',')) {
            let read = values::load(&std::fs::read(folder.join(path)).unwrap()).map_err(|e| e.to_string())?;
            values::merge(&mut merged, read);
        }
        let mut read = |path: &str| {
            std::fs::read_to_string(folder.join(path)).map_err(|e| format!("open {path}: {}", system_text(&e)))
        };
        for wanted in ["set-json", "set", "set-string", "set-file", "set-literal"] {
            for (flag, line) in self.sets.iter().filter(|(flag, _)| flag == wanted) {
                let into = &mut merged;
                match flag.as_str() {
                    "set-json" if line.starts_with('{') => match serde_json::from_str(line) {
                        Ok(Value::Object(map)) => {
                            values::merge(into, map.into_iter().map(|(k, v)| (k, values::floats(v))).collect());
                            Ok(())
                        }
                        _ => return Err(format!("failed parsing --set-json data JSON: {line}")),
                    },
                    "set-json" => {
                        strvals::parse_json(line, into)
                            .map_err(|_| format!("failed parsing --set-json data {line}"))?;
                        Ok(())
                    }
                    "set" => strvals::parse_into(line, into),
                    "set-string" => strvals::parse_into_string(line, into),
                    "set-file" => strvals::parse_into_file(line, into, &mut read),
                    _ => strvals::parse_literal_into(line, into),
                }
                .map_err(|error| format!("failed parsing --{flag} data: {error}"))?;
            }
        }
        Ok(merged)
    }
}

/// A chart that was written at random, and what Helm made of it.
#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct Generated {
    seed: i64,
    /// Why the row says nothing: Helm answers otherwise each time, or not at all.
    unstable: Option<String>,
    files: HashMap<String, String>,
    values: Map<String, Value>,
    upgrade: bool,
    no_hooks: bool,
    skip_schema: bool,
    kube_version: Option<String>,
    api_versions: Vec<String>,
    now: String,
    out: String,
    notes: String,
    err: Option<String>,
}

impl Generated {
    fn chart(&self) -> Result<Arc<Chart>, String> {
        let mut files: Vec<BufferedFile> = self.files.iter().map(|(name, text)| buffered(name, text)).collect();
        files.sort_by(|a, b| a.name.cmp(&b.name));
        Chart::from_files(files).map(Arc::new).map_err(|error| error.to_string())
    }

    /// Tells whether the program that `HELM` names, if any, gives what came out here.
    fn program_agrees(&self, rendered: &Result<(String, String), String>) -> bool {
        let Some(helm) = std::env::var_os("HELM") else { return false };
        let values = serde_json::to_string(&self.values).unwrap();
        let mut arguments = vec!["--set-json".to_string(), values];
        arguments.extend(self.api_versions.iter().flat_map(|version| ["-a".to_string(), version.clone()]));
        arguments.extend(self.kube_version.iter().flat_map(|version| ["--kube-version".to_string(), version.clone()]));
        for (flag, set) in [
            ("--is-upgrade", self.upgrade),
            ("--no-hooks", self.no_hooks),
            ("--skip-schema-validation", self.skip_schema),
        ] {
            arguments.extend(set.then(|| flag.to_string()));
        }
        let files = self.files.iter().map(|(name, text)| (name.as_str(), text.as_bytes()));
        match (program::template(&helm, files, &arguments), rendered) {
            (Ok(text), Ok((ours, _))) => text == *ours,
            (Err(error), Err(ours)) => clean(&error) == clean(ours),
            _ => false,
        }
    }

    /// Renders the chart: what is printed, and the notes.
    fn render(&self) -> Result<(String, String), String> {
        let chart = installable(self.chart()?)?;
        let flags = Flags {
            api_versions: self.api_versions.clone(),
            kube_version: self.kube_version.clone(),
            is_upgrade: self.upgrade,
            no_hooks: self.no_hooks,
            skip_schema_validation: self.skip_schema,
            ..Flags::default()
        };
        let now = self.now.parse().unwrap();
        let values = self.values.iter().map(|(key, value)| (key.clone(), values::floats(value.clone()))).collect();
        let rendered = render_chart(&chart, &values, "rel", "ns", now, &flags)?;
        Ok((print(&rendered, &flags), rendered.notes.clone()))
    }
}

fn buffered(name: &str, text: &str) -> BufferedFile {
    BufferedFile { name: name.to_owned(), modified: None, data: text.as_bytes().into() }
}

/// Prints what was rendered as `helm template` does.
fn print(rendered: &Rendered, flags: &Flags) -> String {
    let mut text = String::new();
    if flags.include_crds {
        for crd in &rendered.crds {
            push_source(&mut text, &crd.path, &crd.data.to_text());
        }
    }
    text.push_str(&rendered.manifest());
    text = format!("{}\n", text.trim());
    if !flags.no_hooks {
        for hook in &rendered.hooks {
            push_source(&mut text, &hook.path, &hook.manifest);
        }
    }
    text
}

/// The charts that were loaded, so that cases of one chart share its compiled templates.
type Charts = HashMap<PathBuf, Result<Arc<Chart>, String>>;

/// Finds a chart in a folder and holds it to what `helm template` wants of one.
fn load(path: &Path) -> Result<Arc<Chart>, String> {
    let chart = Chart::load(path, &Links::Follow).map_err(|error| error.to_string())?;
    installable(Arc::new(chart))
}

fn installable(chart: Arc<Chart>) -> Result<Arc<Chart>, String> {
    match chart.missing_dependencies().as_slice() {
        _ if chart.is_library() => Err("library charts are not installable".to_string()),
        [] => Ok(chart),
        missing => Err(format!(
            "an error occurred while checking for chart dependencies. You may need to run 'helm dependency build' to fetch missing dependencies: found in Chart.yaml, but missing in charts/ directory: {}",
            missing.join(", ")
        )),
    }
}

fn run(case: &Case, flags: &Flags, folder: &Path, charts: &mut Charts) -> Result<String, String> {
    let values = flags.values(folder)?;
    let path = folder.join(&case.chart);
    let chart = charts.entry(path.clone()).or_insert_with(|| load(&path)).clone()?;
    let namespace = case.namespace.as_deref().unwrap_or("default");
    let rendered = render_chart(&chart, &values, &case.name, namespace, jiff::Timestamp::now(), flags)?;
    Ok(print(&rendered, flags))
}

fn render_chart(
    chart: &Arc<Chart>,
    values: &Map<String, Value>,
    name: &str,
    namespace: &str,
    now: jiff::Timestamp,
    flags: &Flags,
) -> Result<Rendered, String> {
    let mut capabilities = Capabilities::default().with_api_versions(&flags.api_versions);
    if let Some(version) = &flags.kube_version {
        let failed = |error| format!("invalid kube version '{version}': {error}");
        capabilities.kube_version = KubeVersion::parse(version).map_err(failed)?;
    }
    let options = Options {
        is_upgrade: flags.is_upgrade,
        capabilities,
        skip_schema_validation: flags.skip_schema_validation,
        ..Options::install(name, namespace, Env::at(now, &SystemRandom))
    };
    render(chart, values, &options).map_err(|failure| failure.error.to_string())
}

/// Takes away what is not the error's own text: log lines, the prefix and the hint at `--debug`.
fn clean(text: &str) -> String {
    let text = text.trim_end().trim_end_matches("Use --debug flag to render out invalid YAML");
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with("level=")).collect();
    let text = lines.join("\n");
    text.strip_prefix("Error: ").unwrap_or(&text).trim().to_string()
}

/// Blanks lines that differ from run to run.
fn masked(text: &str, mask: &[usize]) -> String {
    let mut lines: Vec<&str> = text.split('\n').collect();
    for line in mask {
        if let Some(line) = lines.get_mut(line - 1) {
            *line = "\0";
        }
    }
    lines.join("\n")
}

fn first_difference(want: &str, got: &str) -> String {
    let (mut want, mut got) = (want.split('\n'), got.split('\n'));
    for number in 1.. {
        let (a, b) = (want.next(), got.next());
        if a != b {
            return format!("line {number}\n    want {a:?}\n    got  {b:?}");
        }
        if a.is_none() {
            break;
        }
    }
    "equal lines".to_string()
}

/// Compares a case; the error is what differs.
fn check(case: &Case, flags: &Flags, folder: &Path, expected: &Path, charts: &mut Charts) -> Result<(), String> {
    let outcome = run(case, flags, folder, charts);
    if case.kind == "render" {
        let got = outcome.map_err(|error| format!("failed: {error}"))?;
        let want = std::fs::read(expected.join(&case.expected)).unwrap();
        let mask = case.mask.clone().unwrap_or_default();
        let (want, got) = (masked(&String::from_utf8_lossy(&want), &mask), masked(&got, &mask));
        return if want == got { Ok(()) } else { Err(first_difference(&want, &got)) };
    }
    let Err(got) = outcome else { return Err("rendered where an error was expected".to_string()) };
    let got = clean(&got.replace(&folder.display().to_string(), "{dir}"));
    let wants = if case.stderr_variants.is_empty() { vec![case.stderr.clone()] } else { case.stderr_variants.clone() };
    let wants: Vec<String> = wants.iter().map(|want| clean(want)).collect();
    let sorted = |text: &str| {
        let mut lines: Vec<String> = text.lines().map(str::to_string).collect();
        lines.sort();
        lines
    };
    let reordered = wants.len() > 1 && sorted(&wants[0]) == sorted(&got);
    if reordered || wants.contains(&got) { Ok(()) } else { Err(first_difference(&wants[0], &got)) }
}

fn cases(file: &Path) -> Vec<Case> {
    let wanted = std::env::var("CASES").unwrap_or_default();
    let text = std::fs::read_to_string(file).unwrap();
    let cases = text.lines().map(|line| serde_json::from_str::<Case>(line).unwrap());
    cases.filter(|case| case.id.contains(&wanted) || case.chart.contains(&wanted)).collect()
}

fn report(failures: &[String], passed: usize) {
    assert!(passed > 0, "no case ran");
    assert!(failures.is_empty(), "{passed} passed, {} failed\n{}", failures.len(), failures.join("\n"));
}

/// Cases that are the command line's: how it finds a chart and which names it takes.
const OF_THE_COMMAND_LINE: &[&str] = &["release-name-", "meta-missing-dir", "chart-tgz-broken"];

#[test]
fn synthetic_charts_render_to_helms_bytes() {
    let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/engine/synthetic").canonicalize().unwrap();
    let (mut failures, mut passed) = (Vec::new(), 0);
    for case in cases(&base.join("cases.jsonl")) {
        let skipped = OF_THE_COMMAND_LINE.iter().any(|prefix| case.id.starts_with(prefix));
        let Some(flags) = Flags::of(&case).filter(|_| !skipped) else { continue };
        let folder = base.join(&case.dir);
        match check(&case, &flags, &folder, &folder, &mut Charts::new()) {
            Ok(()) => passed += 1,
            Err(why) => failures.push(format!("{}: {why}", case.id)),
        }
    }
    report(&failures, passed);
}

#[test]
fn generated_charts_render_as_helm_does() {
    let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/engine/generated");
    let folder = std::env::var_os("ENGINE_ROWS").map_or(base, PathBuf::from);
    let text = std::fs::read_to_string(folder.join("charts.jsonl")).unwrap();
    let rows: Vec<Generated> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (mut failures, mut passed) = (Vec::new(), 0);
    for row in rows.iter().filter(|row| row.unstable.is_none()) {
        let rendered = row.render();
        let got = rendered.clone().map(|(text, notes)| format!("{text}NOTES {notes}")).map_err(|error| clean(&error));
        let want = match &row.err {
            Some(error) => Err(clean(error)),
            None => Ok(format!("{}NOTES {}", row.out, row.notes)),
        };
        match (want, got) {
            (want, got) if want == got => passed += 1,
            _ if row.program_agrees(&rendered) => passed += 1,
            (Ok(want), Ok(got)) | (Err(want), Err(got)) => {
                failures.push(format!("seed {}: {}", row.seed, first_difference(&want, &got)));
            }
            (want, got) => failures.push(format!("seed {}: want {want:?}\n    got {got:?}", row.seed)),
        }
    }
    report(&failures, passed);
}

#[test]
#[ignore = "needs BOWLINE_PACKS"]
fn public_charts_render_to_helms_bytes() {
    let packs = PathBuf::from(std::env::var_os("BOWLINE_PACKS").expect("BOWLINE_PACKS names the folder of the packs"));
    let pack = packs.join("helm-pack");
    let data = Path::new(env!("CARGO_TARGET_TMPDIR")).join("helm-pack");
    if !data.join("expected").exists() {
        std::fs::create_dir_all(&data).unwrap();
        for archive in ["charts.tar.zst", "expected.tar.zst"] {
            let unpacked =
                Command::new("tar").arg("-C").arg(&data).arg("--zstd").arg("-xf").arg(pack.join(archive)).status();
            assert!(unpacked.unwrap().success(), "{archive} is unpacked");
        }
    }
    let (mut failures, mut passed, mut charts) = (Vec::new(), 0, Charts::new());
    for case in cases(&pack.join("cases.jsonl")).iter().filter(|case| !case.network) {
        let Some(flags) = Flags::of(case) else { continue };
        match check(case, &flags, &data, &data, &mut charts) {
            Ok(()) => passed += 1,
            Err(why) => failures.push(format!("{} {}: {why}", case.id, case.chart)),
        }
    }
    report(&failures, passed);
}
