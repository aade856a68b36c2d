//! Times the engine against Helm's own, in process and as programs, over the public charts of a case pack, and prints a table.
//!
//! `make bench-engine` calls it. Every round measures Helm's engine and then ours; a time is the smallest of all rounds, so
//! that other work on the machine does not show. Outputs that are the same in every render are compared with what Helm's
//! program printed.

mod case;
mod measure;
mod releases;

use std::collections::HashMap;
use std::error::Error;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use case::Case;
use measure::{PHASES, Row, Spent};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Every so many stable cases is also run as a process.
const SAMPLE_STEP: usize = 12;
const PROCESS_ROUNDS: &str = "3";
const CHART_OF_MANY_RELEASES: &str = "/kube-prometheus-stack";

/// Where the parts of the benchmark are.
struct Parts {
    cases: PathBuf,
    folder: PathBuf,
    rounds: u32,
    helm_engine: String,
    process: String,
    helm: String,
    bowline: String,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.as_slice() {
        [mode, cases, folder] => alone(mode, cases.as_ref(), folder.as_ref()),
        [cases, folder, rounds, helm_engine, process, helm, bowline] => {
            rounds.parse().map_err(Into::into).and_then(|rounds| {
                compare(&Parts {
                    cases: cases.into(),
                    folder: folder.into(),
                    rounds,
                    helm_engine: helm_engine.clone(),
                    process: process.clone(),
                    helm: helm.clone(),
                    bowline: bowline.clone(),
                })
            })
        }
        _ => Err(
            "usage: bench-engine CASES FOLDER ROUNDS HELM-ENGINE PROCESS HELM BOWLINE, or engine|one|many CASES FOLDER"
                .into(),
        ),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-engine: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs one measurement, in a process that does nothing else.
fn alone(mode: &str, cases: &Path, folder: &Path) -> Result<(), Box<dyn Error>> {
    let cases = Case::read_all(cases)?;
    match mode {
        "engine" => {
            for row in measure::engine(&cases, folder)? {
                println!("{}", serde_json::to_string(&row)?);
            }
            Ok(())
        }
        "one" => releases::of_one_chart(&cases, folder, CHART_OF_MANY_RELEASES),
        "many" => releases::of_many_charts(&cases, folder),
        _ => Err(format!("{mode} is no measurement").into()),
    }
}

fn compare(parts: &Parts) -> Result<(), Box<dyn Error>> {
    let cases = Case::read_all(&parts.cases)?;
    let ourselves = std::env::current_exe()?.to_string_lossy().into_owned();
    let (file, folder) = (parts.cases.display().to_string(), parts.folder.display().to_string());
    let (mut theirs, mut ours) = (HashMap::new(), HashMap::new());
    for _ in 0..parts.rounds {
        keep_smallest(&mut theirs, &output(Command::new(&parts.helm_engine).args([&file, &folder, "1"]), "")?)?;
        keep_smallest(&mut ours, &output(Command::new(&ourselves).args(["engine", &file, &folder]), "")?)?;
    }
    check(&cases, &theirs, "Helm's engine")?;
    check(&cases, &ours, "bowline's engine")?;
    let stable: Vec<&Case> = cases.iter().filter(|case| case.is_stable()).collect();
    let masked: Vec<&Case> = cases.iter().filter(|case| !case.is_stable()).collect();
    print_head("in process, seconds");
    for (set, of, targets) in [
        (&stable, "renders without masked lines", [Some(4.0), None, Some(10.0)]),
        (&masked, "renders with masked lines", [None; 3]),
    ] {
        let sum = |rows: &HashMap<String, Row>, part: fn(&Row) -> Spent| {
            let parts = set.iter().map(|case| part(&rows[&case.id]));
            parts.fold((0.0, 0.0), |sum, spent| (sum.0 + spent.wall as f64 / 1e9, sum.1 + spent.cpu as f64 / 1e9))
        };
        let line = |what: &str, theirs: (f64, f64), ours: (f64, f64), target| {
            print_line(&format!("{what}, wall"), theirs.0, ours.0, target);
            print_line(&format!("{what}, CPU"), theirs.1, ours.1, target);
        };
        println!("{} {of}", set.len());
        line("  cold (read, parse, render)", sum(&theirs, |row| row.cold), sum(&ours, |row| row.cold), targets[0]);
        line("  loaded (compile, render)", sum(&theirs, |row| row.warm), sum(&ours, |row| row.first), targets[1]);
        line("  warm (render)", sum(&theirs, |row| row.warm), sum(&ours, |row| row.warm), targets[2]);
    }
    phases(&stable, &ours);
    processes(parts, &stable)?;
    for mode in ["one", "many"] {
        print!("{}", output(Command::new(&ourselves).args([mode, &file, &folder]), "")?);
    }
    Ok(())
}

fn print_head(of: &str) {
    println!("{of:44} {:>10} {:>10} {:>7} {:>7}", "helm", "bowline", "ratio", "target");
}

/// Prints a line of the table; the target is how many times more Helm should take.
fn print_line(name: &str, theirs: f64, ours: f64, target: Option<f64>) {
    let ratio = theirs / ours;
    let target = match target {
        None => String::new(),
        Some(target) if ratio >= target => format!("{target:7.0}"),
        Some(target) => format!("{target:7.0} missed"),
    };
    println!("{name:44} {theirs:10.3} {ours:10.3} {ratio:7.1} {target}");
}

/// Prints where our time goes.
fn phases(cases: &[&Case], rows: &HashMap<String, Row>) {
    println!("{:44} {:>10} {:>10}", "where the time goes, CPU", "seconds", "share");
    let sum = |part: usize| cases.iter().map(|case| rows[&case.id].phases[part] as f64 / 1e9).sum::<f64>();
    let seconds: Vec<f64> = (0..PHASES.len()).map(sum).collect();
    let all: f64 = seconds.iter().sum();
    for (name, seconds) in PHASES.iter().zip(&seconds) {
        println!("  {name:42} {seconds:10.3} {:9.0}%", seconds / all * 100.0);
    }
}

/// A row of the program that runs programs; `peak` is in KiB.
#[derive(serde::Deserialize)]
struct Process {
    wall: u64,
    cpu: u64,
    peak: u64,
}

/// Compares `helm template` with `bowline template`.
fn processes(parts: &Parts, stable: &[&Case]) -> Result<(), Box<dyn Error>> {
    let sample: Vec<&&Case> = stable.iter().step_by(SAMPLE_STEP).collect();
    let mut commands = String::new();
    for case in &sample {
        for program in [&parts.helm, &parts.bowline] {
            let mut command = vec![program.clone()];
            command.extend(case.arguments());
            commands.push_str(&serde_json::to_string(&command)?);
            commands.push('\n');
        }
    }
    let folder = parts.folder.display().to_string();
    let text = output(Command::new(&parts.process).args([&folder, PROCESS_ROUNDS]), &commands)?;
    let rows = text.lines().map(serde_json::from_str::<Process>).collect::<Result<Vec<_>, _>>()?;
    let column = |at: usize, part: fn(&Process) -> u64| {
        let mut values: Vec<u64> = rows.iter().skip(at).step_by(2).map(part).collect();
        values.sort_unstable();
        values
    };
    print_head(&format!("as a process, {} renders", sample.len()));
    let ms = |values: Vec<u64>| values.iter().sum::<u64>() as f64 / 1e6 / values.len() as f64;
    print_line("  wall, mean, ms", ms(column(0, |row| row.wall)), ms(column(1, |row| row.wall)), Some(8.0));
    print_line("  CPU, mean, ms", ms(column(0, |row| row.cpu)), ms(column(1, |row| row.cpu)), Some(8.0));
    let (theirs, ours) = (column(0, |row| row.peak), column(1, |row| row.peak));
    let mib = |kib: u64| kib as f64 / 1024.0;
    print_line("  peak memory, median, MiB", mib(theirs[theirs.len() / 2]), mib(ours[ours.len() / 2]), Some(3.0));
    print_line("  peak memory, largest, MiB", mib(theirs[theirs.len() - 1]), mib(ours[ours.len() - 1]), Some(3.0));
    Ok(())
}

/// Fails when outputs that are the same in every render are not those of Helm's program.
fn check(cases: &[Case], rows: &HashMap<String, Row>, whose: &str) -> Result<(), Box<dyn Error>> {
    let differs = |case: &&Case| case.is_stable() && rows.get(&case.id).is_none_or(|row| row.sha256 != case.sha256);
    let wrong: Vec<&str> = cases.iter().filter(differs).map(|case| case.id.as_str()).collect();
    if wrong.is_empty() {
        return Ok(());
    }
    Err(format!("{whose} gives another output in {} cases: {}", wrong.len(), wrong.join(" ")).into())
}

/// Takes the rows that a program printed, where they are smaller.
fn keep_smallest(known: &mut HashMap<String, Row>, text: &str) -> Result<(), serde_json::Error> {
    for line in text.lines() {
        let row: Row = serde_json::from_str(line)?;
        match known.get_mut(&row.id) {
            Some(known) => known.keep_smallest(row),
            None => drop(known.insert(row.id.clone(), row)),
        }
    }
    Ok(())
}

/// Runs a program and returns what it printed.
fn output(command: &mut Command, input: &str) -> Result<String, Box<dyn Error>> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        let input = input.to_string();
        // The child answers line by line, so that its pipe may fill before it has read all.
        std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    }
    let output = child.wait_with_output()?;
    if !output.status.success() {
        return Err(format!("{} failed", command.get_program().to_string_lossy()).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}
