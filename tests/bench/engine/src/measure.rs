//! Times of the engine in process.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use helm::chart::Chart;
use helm::chart::dependencies::Node;
use helm::chart::values::{self, Coalescer};
use helm::render::Rendered;
use helm::{manifest, schema};
use rustix::time::{ClockId, clock_gettime};
use sha2::{Digest, Sha256};

use crate::case::Case;

/// Nanoseconds that a step took.
#[derive(Clone, Copy, serde::Serialize, serde::Deserialize)]
pub struct Spent {
    pub wall: u64,
    pub cpu: u64,
}

impl Spent {
    fn keep(&mut self, other: Self) {
        self.wall = self.wall.min(other.wall);
        self.cpu = self.cpu.min(other.cpu);
    }
}

/// What a cold render consists of.
pub const PHASES: [&str; 7] = [
    "read and parse charts",
    "read values files",
    "compile templates",
    "resolve dependencies, coalesce values",
    "check schemas",
    "execute templates",
    "split, parse and sort manifests",
];

/// The smallest times of a case in several rounds.
#[derive(serde::Serialize, serde::Deserialize)]
pub struct Row {
    pub id: String,
    /// Read, parsed and rendered.
    pub cold: Spent,
    /// Rendered from a chart that is loaded: for Helm the only warm state, for us the first render, which compiles.
    #[serde(default = "never")]
    pub first: Spent,
    /// Rendered from a chart that is loaded and, by us, was rendered before.
    pub warm: Spent,
    /// Of what `helm template` prints.
    pub sha256: String,
    /// Our CPU nanoseconds of each of [`PHASES`].
    #[serde(default)]
    pub phases: Vec<u64>,
}

impl Row {
    /// Takes over what is smaller in another round.
    pub fn keep_smallest(&mut self, other: Self) {
        self.cold.keep(other.cold);
        self.first.keep(other.first);
        self.warm.keep(other.warm);
        for (phase, other) in self.phases.iter_mut().zip(other.phases) {
            *phase = (*phase).min(other);
        }
    }
}

fn never() -> Spent {
    Spent { wall: u64::MAX, cpu: u64::MAX }
}

/// Returns the CPU time of this process in nanoseconds.
fn cpu() -> u64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

pub fn timed<T>(work: impl FnOnce() -> Result<T, Box<dyn Error>>) -> Result<(T, Spent), Box<dyn Error>> {
    let (wall, used) = (Instant::now(), cpu());
    let made = work()?;
    let spent = Spent { cpu: cpu() - used, wall: wall.elapsed().as_nanos() as u64 };
    Ok((made, spent))
}

/// Renders every case.
pub fn engine(cases: &[Case], folder: &Path) -> Result<Vec<Row>, Box<dyn Error>> {
    cases.iter().map(|case| measure(case, folder)).collect()
}

fn measure(case: &Case, folder: &Path) -> Result<Row, Box<dyn Error>> {
    let ((text, chart), cold) = timed(|| {
        let chart = case.load(folder)?;
        let rendered = case.render(&case.name, &chart, &case.values(folder)?)?;
        Ok((case.text(&rendered), chart))
    })?;
    drop(chart);
    let (chart, load) = timed(|| case.load(folder))?;
    let (user, read) = timed(|| case.values(folder))?;
    let ((), first) = timed(|| render(case, &chart, &user).map(drop))?;
    let ((), warm) = timed(|| render(case, &chart, &user).map(drop))?;
    let (rendered, _) = render(case, &chart, &user)?;
    let [resolve, check, sort] = parts(&chart, &user, &rendered)?;
    let execute = warm.cpu.saturating_sub(resolve + check + sort);
    let phases = vec![load.cpu, read.cpu, first.cpu.saturating_sub(warm.cpu), resolve, check, execute, sort];
    Ok(Row { id: case.id.clone(), cold, first, warm, sha256: hex(&Sha256::digest(&text)), phases })
}

type Values = serde_json::Map<String, serde_json::Value>;

fn render(case: &Case, chart: &Arc<Chart>, user: &Values) -> Result<(Rendered, String), Box<dyn Error>> {
    let rendered = case.render(&case.name, chart, user)?;
    let text = case.text(&rendered);
    Ok((rendered, text))
}

/// Does by itself what a render does before and after it executes templates, and returns the CPU time of each part.
fn parts(chart: &Arc<Chart>, user: &Values, rendered: &Rendered) -> Result<[u64; 3], Box<dyn Error>> {
    let mut notices = Vec::new();
    let ((node, merged), resolve) = timed(|| {
        let merged = values::shared(user);
        let node = Node::resolve(chart, &merged, &mut notices)?;
        Coalescer { notices: &mut notices, keep_nulls: false }.coalesce(&node, &merged)?;
        Ok((node, merged))
    })?;
    let ((), check) = timed(|| Ok(schema::validate(&node, &merged, &mut notices)?))?;
    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let hooks = rendered.hooks.iter().map(|hook| (&hook.path, &hook.manifest));
    for (path, text) in hooks.chain(rendered.manifests.iter().map(|manifest| (&manifest.path, &manifest.text))) {
        let file = files.entry(path.clone()).or_default();
        file.extend_from_slice(b"---\n");
        file.extend_from_slice(text.as_bytes());
        file.push(b'\n');
    }
    let (_, sort) = timed(|| Ok(manifest::sort_files(&files, true, &mut notices)?))?;
    Ok([resolve.cpu, check.cpu, sort.cpu])
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
