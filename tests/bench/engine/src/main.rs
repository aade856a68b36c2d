//! Times the engine against Helm's own, in process and as programs, over the public charts of a case pack, and prints a table.
//!
//! `make bench-engine` calls it. Every time is the smallest of several rounds, so that other work on the machine does not
//! show; outputs that are the same in every render are compared with what Helm's program printed.

mod case;
mod measure;
mod releases;

use std::collections::HashMap;
use std::error::Error;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use case::Case;
use measure::{Row, Spent};

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
        [mode, cases, folder, rounds] => alone(mode, cases.as_ref(), folder.as_ref(), rounds),
        [cases, folder, rounds, helm_engine, process, helm, bowline] => rounds
            .parse()
            .map_err(Into::into)
            .and_then(|rounds| {
                compare(&Parts {
                    cases: cases.into(),
                    folder: folder.into(),
                    rounds,
                    helm_engine: helm_engine.clone(),
                    process: process.clone(),
                    helm: helm.clone(),
                    bowline: bowline.clone(),
                })
            }),
        _ => Err("usage: bench-engine CASES FOLDER ROUNDS HELM-ENGINE PROCESS HELM BOWLINE, or engine|one|many CASES FOLDER ROUNDS".into()),
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
fn alone(mode: &str, cases: &Path, folder: &Path, rounds: &str) -> Result<(), Box<dyn Error>> {
    let cases = Case::read_all(cases)?;
    match mode {
        "engine" => {
            for row in measure::engine(&cases, folder, rounds.parse()?)? {
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
    let rounds = parts.rounds.to_string();
    let theirs = rows(&output(Command::new(&parts.helm_engine).args([&file, &folder, &rounds]), "")?)?;
    let ours = rows(&output(Command::new(&ourselves).args(["engine", &file, &folder, &rounds]), "")?)?;
    check(&cases, &theirs, "Helm's engine")?;
    check(&cases, &ours, "bowline's engine")?;
    println!("{:44} {:>10} {:>10} {:>7}", "in process, seconds", "helm", "bowline", "ratio");
    let stable: Vec<&Case> = cases.iter().filter(|case| case.is_stable()).collect();
    let all: Vec<&Case> = cases.iter().collect();
    for (set, of) in [(&stable, "renders without masked lines"), (&all, "renders in all")] {
        let name = |what: &str| format!("{} {of}, {what}", set.len());
        let sum = |rows: &HashMap<String, Row>, part: fn(&Row) -> Spent| {
            let parts = set.iter().map(|case| part(&rows[&case.id]));
            parts.fold((0.0, 0.0), |sum, spent| (sum.0 + spent.wall as f64 / 1e9, sum.1 + spent.cpu as f64 / 1e9))
        };
        let line = |what: &str, theirs: (f64, f64), ours: (f64, f64)| {
            print_line(&name(&format!("{what}, wall")), theirs.0, ours.0);
            print_line(&name(&format!("{what}, CPU")), theirs.1, ours.1);
        };
        line("cold", sum(&theirs, |row| row.cold), sum(&ours, |row| row.cold));
        line("loaded", sum(&theirs, |row| row.warm), sum(&ours, |row| row.first));
        line("warm", sum(&theirs, |row| row.warm), sum(&ours, |row| row.warm));
    }
    processes(parts, &stable)?;
    for mode in ["one", "many"] {
        print!("{}", output(Command::new(&ourselves).args([mode, &file, &folder, &rounds]), "")?);
    }
    Ok(())
}

fn print_line(name: &str, theirs: f64, ours: f64) {
    println!("{name:44} {theirs:10.3} {ours:10.3} {:7.1}", theirs / ours);
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
    println!(
        "{:44} {:>10} {:>10} {:>7}",
        format!("as a process, {} renders", sample.len()),
        "helm",
        "bowline",
        "ratio"
    );
    let ms = |values: Vec<u64>| values.iter().sum::<u64>() as f64 / 1e6 / values.len() as f64;
    print_line("mean wall, ms", ms(column(0, |row| row.wall)), ms(column(1, |row| row.wall)));
    print_line("mean CPU, ms", ms(column(0, |row| row.cpu)), ms(column(1, |row| row.cpu)));
    let (theirs, ours) = (column(0, |row| row.peak), column(1, |row| row.peak));
    let mib = |kib: u64| kib as f64 / 1024.0;
    print_line("median peak memory, MiB", mib(theirs[theirs.len() / 2]), mib(ours[ours.len() / 2]));
    print_line("largest peak memory, MiB", mib(theirs[theirs.len() - 1]), mib(ours[ours.len() - 1]));
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

fn rows(text: &str) -> Result<HashMap<String, Row>, serde_json::Error> {
    let row = |line: &str| serde_json::from_str::<Row>(line).map(|row| (row.id.clone(), row));
    text.lines().map(row).collect()
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
