//! Rooms of the engine against what Helm's own packages answered to the same questions.
//!
//! The rows in `tests/engine/*.jsonl` were made by `tests/engine/oracle`, which says how.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::path::Path;
use std::sync::Arc;

use helm::chart::Chart;
use helm::chart::archive::BufferedFile;
use helm::chart::dependencies::Node;
use helm::chart::ignore::Rules;
use helm::chart::values::{Coalescer, shared};
use helm::semver::{Constraints, Version};
use helm::strvals;
use helm::value::Value;
use serde_json::{Map, Value as Json};

/// Asks a room about each row of a file; `answer` gives what is to be compared with the row.
fn compare(file: &str, answer: impl Fn(&Json) -> Result<(), String>) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/engine").join(file);
    let text = std::fs::read_to_string(path).unwrap();
    let mut failures = Vec::new();
    for line in text.lines() {
        let row: Json = serde_json::from_str(line).unwrap();
        if let Err(why) = answer(&row) {
            failures.push(format!("{line}\n    {why}"));
        }
    }
    let rows = text.lines().count();
    assert!(rows > 0, "{file} has rows");
    let shown = failures.iter().take(20).cloned().collect::<Vec<_>>().join("\n");
    assert!(failures.is_empty(), "{} of {rows} rows differ\n{shown}", failures.len());
}

fn same<T: PartialEq + std::fmt::Debug>(want: &T, got: &T) -> Result<(), String> {
    if want == got { Ok(()) } else { Err(format!("want {want:?}\n    got  {got:?}")) }
}

/// Writes numbers in one way: Go's JSON has no fraction where there is none.
fn plain(value: Json) -> Json {
    helm::release::whole_numbers(value)
}

#[test]
fn set_lines_are_read_as_in_helm() {
    compare("strvals.jsonl", |row| {
        let mut got = row["dest"].as_object().unwrap().clone();
        let line = row["line"].as_str().unwrap();
        let outcome = match row["mode"].as_str().unwrap() {
            "set" => strvals::parse_into(line, &mut got),
            "set-string" => strvals::parse_into_string(line, &mut got),
            "set-json" => strvals::parse_json(line, &mut got),
            _ => strvals::parse_literal_into(line, &mut got),
        };
        match (row.get("err"), outcome) {
            // What is wrong with JSON is never shown.
            (Some(_), Err(_)) if row["mode"] == "set-json" => Ok(()),
            (Some(want), Err(got)) => same(want, &Json::String(got.to_string())),
            (Some(want), Ok(())) => Err(format!("want error {want}")),
            (None, Ok(())) => same(&plain(row["out"].clone()), &plain(Json::Object(got))),
            (None, Err(error)) => Err(format!("got error {error}")),
        }
    });
}

#[test]
fn constraints_hold_as_in_masterminds() {
    compare("semver.jsonl", |row| {
        let constraint = match Constraints::parse(row["constraint"].as_str().unwrap()) {
            Ok(constraint) => constraint,
            Err(error) => return same(&row["err"], &Json::String(error.to_string())),
        };
        same(&Json::Null, &row["err"])?;
        match Version::parse(row["version"].as_str().unwrap()) {
            Ok(version) => same(&row["ok"], &Json::Bool(constraint.check(&version))),
            Err(error) => same(&row["version_err"], &Json::String(error.to_string())),
        }
    });
}

#[test]
fn files_are_ignored_as_in_helm() {
    compare("ignore.jsonl", |row| match Rules::parse(row["rules"].as_str().unwrap()) {
        Ok(rules) => {
            same(&Json::Null, &row["err"])?;
            let (path, dir) = (row["path"].as_str().unwrap(), row["dir"].as_bool().unwrap());
            // Helm never asks about the folder itself.
            if path == "." { Ok(()) } else { same(&row["ignored"], &Json::Bool(rules.ignores(path, dir))) }
        }
        Err(error) => same(&row["err"], &Json::String(error.to_string())),
    });
}

/// Lays a described chart out as files.
fn files(chart: &Json, prefix: &str, out: &mut Vec<BufferedFile>) {
    let metadata = serde_json::json!({
        "apiVersion": "v2",
        "name": chart["name"],
        "version": chart["version"],
        "dependencies": chart["dependencies"],
    });
    for (name, content) in [("Chart.yaml", &metadata), ("values.yaml", &chart["values"])] {
        let data = serde_json::to_vec(content).unwrap().into();
        out.push(BufferedFile { name: format!("{prefix}{name}"), modified: None, data });
    }
    for child in chart["charts"].as_array().into_iter().flatten() {
        files(child, &format!("{prefix}charts/{}/", child["name"].as_str().unwrap()), out);
    }
}

#[test]
fn values_come_together_as_in_helm() {
    compare("values.jsonl", |row| {
        let mut laid_out = Vec::new();
        files(&row["chart"], "", &mut laid_out);
        let chart = Arc::new(Chart::from_files(laid_out).map_err(|error| error.to_string())?);
        let empty = Map::new();
        let values = shared(row["user"].as_object().unwrap_or(&empty));
        let mut notices = Vec::new();
        let outcome = Node::resolve(&chart, &values, &mut notices).and_then(|node| {
            Coalescer { notices: &mut notices, keep_nulls: false }.coalesce(&node, &values)?;
            Ok(Value::Map(values.clone()))
        });
        match (row.get("err"), outcome) {
            (Some(want), Err(got)) => same(want, &Json::String(got.to_string())),
            (Some(want), Ok(_)) => Err(format!("want error {want}")),
            (None, Ok(got)) => same(&plain(row["out"].clone()), &plain(got.to_json().unwrap())),
            (None, Err(error)) => Err(format!("got error {error}")),
        }
    });
}
