//! Template snippets with what Helm 4 makes of them, run in process.
//!
//! A row of `tests/engine/vectors.jsonl` is a file `_x.tpl` of `tests/engine/vector_chart`, which the chart's `o.yaml`
//! includes. Run with `VECTORS_GROUP=text` to see only some groups, and `VECTORS_SHOW=n` to see more failures. Rows of
//! `tests/engine/generated/snippets.jsonl` are of the same form and were written at random by `tests/engine/oracle`;
//! `make differential` makes new ones in a folder that `ENGINE_ROWS` then names, and has differences judged by the program
//! that `HELM` names.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test says so by ending, and is steered from outside"
)]

mod program;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use helm::chart::Chart;
use helm::chart::archive::BufferedFile;
use helm::functions::{Env, Random};
use helm::render::{self, Options};

/// A fixed sequence of bytes.
#[derive(Default)]
struct Sequence(std::cell::Cell<u64>);

impl Random for Sequence {
    fn fill(&self, bytes: &mut [u8]) {
        for byte in bytes {
            let state = self.0.get().wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            self.0.set(state);
            *byte = (state >> 56) as u8;
        }
    }
}

#[derive(serde::Deserialize)]
struct Vector {
    #[serde(default)]
    id: String,
    #[serde(default)]
    group: String,
    /// What made a generated row, and when Helm rendered it.
    #[serde(default)]
    seed: i64,
    now: Option<String>,
    /// Why a generated row says nothing: Helm answers otherwise each time, or not at all.
    unstable: Option<String>,
    #[serde(default)]
    tpl: String,
    out: Option<String>,
    out_b64: Option<String>,
    err: Option<String>,
}

fn engine() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/engine")
}

/// The files of the vector chart.
fn chart_files(root: &Path, folder: &Path, files: &mut Vec<BufferedFile>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            chart_files(root, &path, files);
        } else {
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            files.push(BufferedFile { name, modified: None, data: std::fs::read(&path).unwrap().into() });
        }
    }
}

fn render(vector: &Vector, files: &[BufferedFile], later: i64) -> Result<Vec<u8>, String> {
    let mut files = files.to_vec();
    let data = vector.tpl.clone().into_bytes().into();
    files.push(BufferedFile { name: "templates/_x.tpl".into(), modified: None, data });
    let chart = Arc::new(Chart::from_files(files).unwrap());
    let now: jiff::Timestamp = vector.now.as_deref().unwrap_or("2026-11-24T06:00:00Z").parse().unwrap();
    let (now, random) = (now + jiff::SignedDuration::from_secs(later), Sequence::default());
    let options = Options::install("rel", "ns", Env::at(now, &random));
    let rendered = render::render(&chart, &serde_json::Map::new(), &options).map_err(|e| e.error.to_string())?;
    let text = rendered.manifests[0].text.strip_prefix("o:").unwrap().trim();
    Ok(base64::engine::general_purpose::STANDARD.decode(text).unwrap())
}

/// Compares what is rendered at the row's time, or a second later: `now` of a row is cut to seconds.
fn check(vector: &Vector, files: &[BufferedFile]) -> Result<(), (String, String)> {
    check_at(vector, files, 0).or_else(|texts| check_at(vector, files, 1).map_err(|_| texts))
}

fn check_at(vector: &Vector, files: &[BufferedFile], later: i64) -> Result<(), (String, String)> {
    let got = render(vector, files, later);
    match (&vector.err, got) {
        (Some(want), got) => {
            let want = want.strip_prefix("Error: ").unwrap_or(want).trim_end();
            let want = want.strip_suffix("Use --debug flag to render out invalid YAML").unwrap_or(want).trim_end();
            match got {
                Err(got) if got.trim_end() == want => Ok(()),
                Err(got) => Err((want.to_owned(), got)),
                Ok(got) => Err((want.to_owned(), format!("rendered {}", String::from_utf8_lossy(&got)))),
            }
        }
        (None, got) => {
            let want = match (&vector.out, &vector.out_b64) {
                (Some(text), _) => text.clone().into_bytes(),
                (None, Some(text)) => base64::engine::general_purpose::STANDARD.decode(text).unwrap(),
                (None, None) => Vec::new(),
            };
            match got {
                Ok(got) if got == want => Ok(()),
                Ok(got) => {
                    Err((String::from_utf8_lossy(&want).into_owned(), String::from_utf8_lossy(&got).into_owned()))
                }
                Err(got) => Err((String::from_utf8_lossy(&want).into_owned(), got)),
            }
        }
    }
}

/// Runs rows on all processors, and returns those that differ with what was wanted and what came.
fn failures<'v>(vectors: &'v [Vector], files: &[BufferedFile]) -> Vec<(&'v Vector, (String, String))> {
    let next = AtomicUsize::new(0);
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let work = || {
            let rows = std::iter::from_fn(|| vectors.get(next.fetch_add(1, Ordering::Relaxed)));
            rows.filter_map(|vector| check(vector, files).err().map(|texts| (vector, texts))).collect::<Vec<_>>()
        };
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    })
}

/// Asks Helm's own program about a snippet: its error's text, or the text before it is encoded.
fn ask_program(helm: &std::ffi::OsStr, tpl: &str, files: &[BufferedFile]) -> Result<Vec<u8>, String> {
    let chart = files.iter().map(|file| (file.name.as_str(), &*file.data));
    let text = program::template(helm, chart.chain([("templates/_x.tpl", tpl.as_bytes())]), &[])?;
    let encoded = text.split_once("o:").map_or("", |(_, encoded)| encoded).trim();
    Ok(base64::engine::general_purpose::STANDARD.decode(encoded).unwrap())
}

/// The files of the chart, but for what its .helmignore names.
fn vector_chart() -> Vec<BufferedFile> {
    let mut files = Vec::new();
    chart_files(&engine().join("vector_chart"), &engine().join("vector_chart"), &mut files);
    files.retain(|file| !file.name.starts_with("ignored/") && file.name != "files/x.bak");
    files
}

fn shown() -> usize {
    std::env::var("VECTORS_SHOW").ok().and_then(|n| n.parse().ok()).unwrap_or(20)
}

#[test]
fn generated_snippets_render_as_helm_does() {
    let folder = std::env::var_os("ENGINE_ROWS").map_or_else(|| engine().join("generated"), std::path::PathBuf::from);
    let text = std::fs::read_to_string(folder.join("snippets.jsonl")).unwrap();
    let mut vectors: Vec<Vector> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let all = vectors.len();
    vectors.retain(|vector| vector.unstable.is_none());
    let mut failures = failures(&vectors, &vector_chart());
    // Rows are made with the Go that is at hand. Helm's program, built with its own, has the last word.
    if let Some(helm) = std::env::var_os("HELM") {
        let files = vector_chart();
        let ours = |vector: &Vector| render(vector, &files, 0).map_err(|error| error.trim_end().to_owned());
        failures.retain(|(vector, _)| ask_program(&helm, &vector.tpl, &files) != ours(vector));
    }
    for (vector, (want, got)) in failures.iter().take(shown()) {
        println!("FAIL seed {} {:?}\n  want {want:?}\n  got  {got:?}", vector.seed, vector.tpl);
    }
    println!("{} of {all} rows compared, {} differ", vectors.len(), failures.len());
    assert!(!vectors.is_empty() && failures.is_empty());
}

#[test]
fn every_vector_renders_as_helm_does() {
    let text = std::fs::read_to_string(engine().join("vectors.jsonl")).unwrap();
    let only = std::env::var("VECTORS_GROUP").unwrap_or_default();
    let files = vector_chart();
    let vectors: Vec<Vector> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let vectors: Vec<Vector> = vectors.into_iter().filter(|v| v.group.contains(&only) || v.id == only).collect();
    let failures = failures(&vectors, &files);
    for (vector, (want, got)) in failures.iter().take(shown()) {
        println!("FAIL {} {:?}\n  want {want:?}\n  got  {got:?}", vector.id, vector.tpl);
    }
    let mut counts: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for vector in &vectors {
        counts.entry(&vector.group).or_default().0 += 1;
    }
    for (vector, _) in &failures {
        counts.entry(&vector.group).or_default().1 += 1;
    }
    for (group, (all, failed)) in &counts {
        println!("{:5} passed {failed:5} failed  {group}", all - failed);
    }
    assert_eq!(failures.len(), 0, "of {}", vectors.len());
}
