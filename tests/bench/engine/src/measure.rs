//! Times of the engine in process.

use std::error::Error;
use std::path::Path;
use std::time::Instant;

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
    pub const NEVER: Self = Self { wall: u64::MAX, cpu: u64::MAX };

    fn keep(&mut self, other: Self) {
        self.wall = self.wall.min(other.wall);
        self.cpu = self.cpu.min(other.cpu);
    }
}

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
}

fn never() -> Spent {
    Spent::NEVER
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

/// Renders every case in every round.
pub fn engine(cases: &[Case], folder: &Path, rounds: u32) -> Result<Vec<Row>, Box<dyn Error>> {
    let fresh = |case: &Case| Row {
        id: case.id.clone(),
        cold: Spent::NEVER,
        first: Spent::NEVER,
        warm: Spent::NEVER,
        sha256: String::new(),
    };
    let mut rows: Vec<Row> = cases.iter().map(fresh).collect();
    for _ in 0..rounds {
        for (case, row) in cases.iter().zip(&mut rows) {
            let ((text, chart), spent) = timed(|| {
                let chart = case.load(folder)?;
                let rendered = case.render(&case.name, &chart, &case.values(folder)?)?;
                Ok((case.text(&rendered), chart))
            })?;
            row.cold.keep(spent);
            row.sha256 = hex(&Sha256::digest(&text));
            drop(chart);
            let (chart, values) = (case.load(folder)?, case.values(folder)?);
            row.first.keep(timed(|| Ok(case.text(&case.render(&case.name, &chart, &values)?)))?.1);
            row.warm.keep(timed(|| Ok(case.text(&case.render(&case.name, &chart, &values)?)))?.1);
        }
    }
    Ok(rows)
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
