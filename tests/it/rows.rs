//! Rows of the case pack against the modules whose job they are, or a daemon on a control plane.
//!
//! `BOWLINE_FLUX_ROWS` names a folder of which every `*.jsonl` is run; without it the decisions and values of the pack in
//! `BOWLINE_PACKS` are; our own rows, `rows/more.jsonl`, always. A group or a key that no test knows fails: what is not
//! understood is not passed.

mod apply;
mod conditions;
mod config;
mod decisions;
mod drift;
mod fields;
mod history;
mod identity;
mod lists;
mod messages;
mod oci;
mod post_render;
mod report;
mod schema;
mod sources;
mod target;
mod whole;

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use serde_json::{Map, Value};

use self::fields::Fields;

/// One line of a file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    name: String,
    group: String,
    input: Map<String, Value>,
    expect: Map<String, Value>,
    basis: String,
    #[serde(default)]
    note: Option<String>,
    /// Whose row it is, which its file's name says.
    #[serde(skip)]
    owner: Owner,
}

/// The controllers whose files of rows there are; groups of two may have one name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Owner {
    #[default]
    Release,
    Environment,
    Source,
    Image,
}

impl Owner {
    fn of(file: &Path) -> Self {
        match file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default() {
            stem if stem.starts_with("apply") => Self::Environment,
            stem if stem.starts_with("source") => Self::Source,
            stem if stem.starts_with("image") => Self::Image,
            _ => Self::Release,
        }
    }
}

/// How a row ended.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    /// It holds but for the keys that are left to other tests.
    Passed(Vec<&'static str>),
    /// It holds as we want it, which is not as Flux has it.
    Ours(&'static str),
    /// Another test's job, or that of a feature to come.
    Elsewhere(&'static str),
    Failed(String),
}

type Family = fn(&str, &mut Fields, &mut Fields) -> Result<(), String>;

/// Returns what runs a group's rows.
fn family(group: &str) -> Option<Family> {
    Some(match group {
        "determine-state" => decisions::determine_state,
        "next-action" => decisions::next_action,
        "loop" => decisions::steps,
        "verify" => decisions::verify,
        "summarize" => report::summarize,
        "replace-condition" => report::replace_condition,
        "reset-failures" => report::reset_failures,
        "annotations" => report::annotations,
        "history" => history::history,
        "tested" => history::tested,
        "test" => history::test,
        "unlock" => decisions::unlock,
        "failure-policy" => target::failure_policy,
        "release-target-changed" => target::release_target_changed,
        "release-name" => target::release_name,
        "naming" => target::naming,
        "apply-method" => apply::apply_method,
        "source-ready" => sources::source_ready,
        "source-event" => sources::source_event,
        "dependencies" => sources::dependencies,
        "chart-template" => sources::chart_template,
        "controller" => oci::version,
        "oci-ref" => oci::reference,
        "oci-noop" => oci::noop,
        "oci-layer" => oci::layer,
        "chart-version" => oci::chart_version,
        "compose" => config::compose,
        "merge" => config::merge,
        "set-path" => config::set_path,
        "set-literal" => config::set_literal,
        "digest" | "encode" => config::digest,
        "digest-verify" => config::digest_verify,
        "message" => messages::message,
        "post-render" => post_render::post_render,
        "wait-strategy" => post_render::wait_strategy,
        "drift-diff" => drift::diff,
        "drift-report" => drift::report,
        "validation" => schema::validation,
        "kubeconfig" => identity::kubeconfig,
        "delete" => identity::delete,
        _ => return None,
    })
}

/// Runs a row against an expectation: every key of both sides must have been looked at. Says why keys of the expectation
/// are left to other tests.
fn hold(row: &Row, expect: &Map<String, Value>) -> Result<Vec<&'static str>, String> {
    let run = family(&row.group).ok_or_else(|| format!("group '{}' is not known", row.group))?;
    let (mut input, mut expect) = (Fields::new(row.input.clone()), Fields::new(expect.clone()));
    let words = row.name.split_once('/').map_or(row.name.as_str(), |(_, words)| words);
    run(words, &mut input, &mut expect)?;
    let unknown: Vec<&String> = input.left().chain(expect.left()).collect();
    if unknown.is_empty() { Ok(expect.reasons()) } else { Err(format!("keys that are not known: {unknown:?}")) }
}

/// Runs rows; the outcomes are in their order. Those that need a cluster are run side by side.
fn run_all(rows: &[Row]) -> Vec<Outcome> {
    let settled: Vec<Option<Outcome>> = rows.iter().map(settle).collect();
    let is_open = |(_, settled): &(&Row, &Option<Outcome>)| settled.is_none();
    let open: Vec<Row> = rows.iter().zip(&settled).filter(is_open).map(|(row, _)| row.clone()).collect();
    let mut played = whole::run(&open).into_iter();
    settled.into_iter().map(|settled| settled.unwrap_or_else(|| played.next().unwrap())).collect()
}

/// Runs a row that needs no cluster; none for one that does.
fn settle(row: &Row) -> Option<Outcome> {
    if !matches!(row.basis.as_str(), "test" | "code" | "measured") {
        return Some(Outcome::Failed(format!("basis '{}' is not known", row.basis)));
    }
    if let Some(reason) = lists::elsewhere(row.owner, &row.name, &row.group, &row.input) {
        return Some(Outcome::Elsewhere(reason));
    }
    let is_whole = whole::is_whole(&row.group, &row.input) && !oci::is_about_version(&row.input);
    (!is_whole).then(|| run(row))
}

fn run(row: &Row) -> Outcome {
    let held = hold(row, &row.expect);
    let Some((ours, why)) = lists::ours(row) else {
        return held.map_or_else(Outcome::Failed, Outcome::Passed);
    };
    if held.is_ok() {
        return Outcome::Failed("is as Flux has it, and on the list of those that are not".to_owned());
    }
    hold(row, &ours).map_or_else(Outcome::Failed, |_| Outcome::Ours(why))
}

fn rows(text: &str) -> Result<Vec<Row>, String> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines.map(|(at, line)| serde_json::from_str(line).map_err(|error| format!("line {}: {error}", at + 1))).collect()
}

/// Returns the files to run: our own, and those that the environment names.
fn files() -> Vec<PathBuf> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/rows/more.jsonl");
    named_files().into_iter().flatten().chain([own]).collect()
}

fn named_files() -> Option<Vec<PathBuf>> {
    if let Some(folder) = std::env::var_os("BOWLINE_FLUX_ROWS") {
        let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let paths = entries.map(|entry| entry.unwrap().path());
        let mut files: Vec<_> = paths.filter(|path| path.extension().is_some_and(|e| e == "jsonl")).collect();
        assert!(!files.is_empty(), "the folder has no *.jsonl");
        files.sort();
        return Some(files);
    }
    let pack = PathBuf::from(std::env::var_os("BOWLINE_PACKS")?).join("flux-pack");
    Some(["decisions.jsonl", "values-cases.jsonl"].map(|name| pack.join(name)).into())
}

/// Says on the terminal what a test's captured output would hide.
fn say(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}

#[test]
fn every_row_holds() {
    let files = files();
    if files.len() == 1 {
        say(
            "BOWLINE_FLUX_ROWS (a folder of rows) or BOWLINE_PACKS (the case packs) is not set: only our own rows run\n",
        );
    }
    let (mut passed, mut failed) = (0, String::new());
    let mut listed: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let mut all = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let owner = Owner::of(&file);
        let rows = rows(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        all.extend(rows.into_iter().map(|row| Row { owner, ..row }));
    }
    let mut failures = 0;
    for (row, outcome) in all.iter().zip(run_all(&all)) {
        match outcome {
            Outcome::Passed(left) => {
                passed += 1;
                for reason in left {
                    *listed.entry(("keys of rows that hold not looked at here", reason)).or_default() += 1;
                }
            }
            Outcome::Ours(why) => *listed.entry(("ours, not Flux's", why)).or_default() += 1,
            Outcome::Elsewhere(reason) => *listed.entry(("not run here", reason)).or_default() += 1,
            Outcome::Failed(error) => {
                failures += 1;
                let note = row.note.as_deref().unwrap_or_default();
                writeln!(failed, "{}: {error} {note}", row.name).unwrap();
            }
        }
    }
    let mut summary = format!("{passed} rows hold\n");
    for ((what, why), count) in listed {
        writeln!(summary, "{count} {what}: {why}").unwrap();
    }
    say(&summary);
    assert!(failed.is_empty(), "{failures} rows fail:\n{failed}");
}

#[test]
fn every_listed_row_is_in_the_pack() {
    let Some(packs) = std::env::var_os("BOWLINE_PACKS") else {
        say("ignored: BOWLINE_PACKS (the case packs) is needed\n");
        return;
    };
    let pack = PathBuf::from(packs).join("flux-pack");
    let texts = ["decisions.jsonl", "values-cases.jsonl"].map(|name| fs::read_to_string(pack.join(name)).unwrap());
    let names: Vec<String> = texts.iter().flat_map(|text| rows(text).unwrap()).map(|row| row.name).collect();
    let gone: Vec<&str> = lists::names().filter(|listed| !names.iter().any(|name| name == listed)).collect();
    assert!(gone.is_empty(), "{gone:?}");
}

#[test]
fn what_is_not_known_fails() {
    let failure = |line: &str| match rows(line).map(|rows| run_all(&rows).remove(0)) {
        Ok(Outcome::Failed(error)) | Err(error) => error,
        Ok(outcome) => panic!("{line}: {outcome:?}"),
    };
    let tested = |input: &str, expect: &str, rest: &str| {
        format!(r#"{{"name":"tested/x","group":"tested","input":{input},"expect":{expect},"basis":"test"{rest}}}"#)
    };
    let good = tested(r#"{"testHooks":null}"#, r#"{"tested":false}"#, "");
    assert_eq!(run_all(&rows(&good).unwrap()), [Outcome::Passed(Vec::new())]);
    for (line, part) in [
        (good.replace("false", "true"), "tested"),
        (good.replace(r#""group":"tested""#, r#""group":"other""#), "group 'other'"),
        (good.replace(r#""basis":"test""#, r#""basis":"guess""#), "basis 'guess'"),
        (tested(r#"{"testHooks":null,"more":1}"#, r#"{"tested":false}"#, ""), "more"),
        (tested(r#"{"testHooks":null}"#, r#"{"tested":false,"other":1}"#, ""), "other"),
        (tested(r#"{"testHooks":null}"#, r#"{"tested":false}"#, r#","extra":1"#), "extra"),
        (good.replace("null", r#"{"t":1}"#), "testHooks"),
    ] {
        assert!(failure(&line).contains(part), "{line}: {}", failure(&line));
    }
}
