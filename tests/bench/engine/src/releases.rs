//! Many releases of few charts in one process, as the daemon has them.

use std::collections::HashSet;
use std::error::Error;
use std::path::Path;

use crate::case::Case;
use crate::measure::timed;

const RELEASES_OF_ONE: usize = 100;
const CHARTS: usize = 20;
const RELEASES: usize = 1000;

/// Returns this process's resident memory and its peak in MiB.
fn memory() -> Result<(f64, f64), Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let field = |name: &str| -> Result<f64, Box<dyn Error>> {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).ok_or("no such field")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0)
    };
    Ok((field("VmRSS:")?, field("VmHWM:")?))
}

/// Renders 100 releases of one chart and says what the first and the others took.
pub fn of_one_chart(cases: &[Case], folder: &Path, chart: &str) -> Result<(), Box<dyn Error>> {
    let case = cases.iter().find(|case| case.chart.ends_with(chart)).ok_or("no such chart")?;
    let values = case.values(folder)?;
    let (chart, load) = timed(|| case.load(folder))?;
    let mut times = Vec::new();
    for number in 0..RELEASES_OF_ONE {
        times.push(timed(|| case.render(&format!("rel-{number}"), &chart, &values))?.1.wall);
    }
    let first = times.remove(0);
    times.sort_unstable();
    let ms = |nanoseconds: u64| nanoseconds as f64 / 1e6;
    println!(
        "{RELEASES_OF_ONE} releases of {}: load {:.1} ms, first (compiles) {:.1} ms, each other {:.1} ms (median; at most {:.1}), {:.0} MiB at most",
        chart.name(),
        ms(load.wall),
        ms(first),
        ms(times[times.len() / 2]),
        ms(times[times.len() - 1]),
        memory()?.1
    );
    Ok(())
}

/// Renders 1,000 releases of 20 charts that stay loaded, and says what memory that takes.
pub fn of_many_charts(cases: &[Case], folder: &Path) -> Result<(), Box<dyn Error>> {
    let mut seen = HashSet::new();
    let unlike: Vec<&Case> = cases.iter().filter(|case| case.is_stable() && seen.insert(&case.chart)).collect();
    let picked: Vec<&Case> = unlike.iter().step_by(unlike.len() / CHARTS).take(CHARTS).copied().collect();
    let (start, _) = memory()?;
    let charts = picked.iter().map(|case| case.load(folder)).collect::<Result<Vec<_>, _>>()?;
    let (loaded, _) = memory()?;
    let ((), spent) = timed(|| {
        for number in 0..RELEASES {
            let case = picked[number % CHARTS];
            case.render(&format!("rel-{number}"), &charts[number % CHARTS], &case.values(folder)?)?;
        }
        Ok(())
    })?;
    let (after, peak) = memory()?;
    println!(
        "{RELEASES} releases of {CHARTS} charts: {:.2} s; {start:.0} MiB at the start, {loaded:.0} with the charts loaded, {after:.0} with them compiled, {peak:.0} at most",
        spent.wall as f64 / 1e9
    );
    Ok(())
}
