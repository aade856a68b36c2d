//! What the README says, against what is there.

use std::{collections::BTreeSet, fs, process::Command};

use crate::harness::programs::repository;

fn read(path: &str) -> String {
    fs::read_to_string(repository().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The words of a text that begin with `start`, up to what no name holds.
fn words<'a>(text: &'a str, start: &'a str) -> BTreeSet<&'a str> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || "-_.[]".contains(c);
    text.match_indices(start)
        .filter(|(at, _)| !text[..*at].ends_with(is_name))
        .map(|(at, _)| {
            let rest = &text[at + start.len()..];
            &rest[..rest.find(|c| !is_name(c)).unwrap_or(rest.len())]
        })
        .filter(|word| word.starts_with(|c: char| c.is_ascii_alphabetic()))
        .collect()
}

#[test]
fn every_field_that_is_not_acted_on_is_named() {
    let readme = read("README.md");
    for file in [
        "src/reconcile/release/supported.rs",
        "src/reconcile/environment/supported.rs",
        "src/reconcile/source/git_repository.rs",
        "src/reconcile/source/oci_repository.rs",
    ] {
        let source = read(file);
        let code = &source[..source.find("#[cfg(test)]").unwrap()];
        let fields = words(code, "\"spec.");
        assert!(!fields.is_empty(), "{file}");
        for field in fields {
            let named = field.strip_suffix(".serverSideApply").map_or(field, |_| "serverSideApply");
            assert!(readme.contains(&format!("`{named}`")), "README.md does not name {field} of {file}");
        }
    }
}

#[test]
fn every_flag_and_every_goal_is_there() {
    let readme = read("README.md");
    let run =
        &readme[readme.find("bowline run --kubeconfig").unwrap()..readme.find("## A releases repository").unwrap()];
    let help = Command::new(env!("CARGO_BIN_EXE_bowline")).args(["run", "--help"]).output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let flags = words(run, "--");
    // A flag that needs no value is shown as --flag[=<VALUE>].
    let known: BTreeSet<&str> = words(&help, "--").into_iter().filter_map(|word| word.split('[').next()).collect();
    assert!(flags.len() > 10, "{flags:?}");
    assert_eq!(flags.difference(&known).collect::<Vec<_>>(), Vec::<&&str>::new());

    let goals = words(&readme, "make ");
    assert!(goals.contains("demo") && goals.contains("test-fast"), "{goals:?}");
    let makefile = read("Makefile");
    for goal in goals {
        assert!(makefile.contains(&format!("\n{goal}:")), "make {goal}");
    }
}

#[test]
fn every_link_leads_somewhere() {
    let readme = read("README.md");
    let headings: BTreeSet<String> = readme
        .lines()
        .filter_map(|line| line.strip_prefix("## "))
        .map(|heading| {
            let kept = heading.chars().filter(|c| c.is_ascii_alphanumeric() || " -".contains(*c));
            kept.collect::<String>().to_lowercase().replace(' ', "-")
        })
        .collect();
    let links: Vec<&str> =
        readme.match_indices("](").filter_map(|(at, _)| readme[at + 2..].split_once(')')).map(|(to, _)| to).collect();
    assert!(links.len() > 8, "{links:?}");
    for link in links {
        match link.strip_prefix('#') {
            Some(heading) => assert!(headings.contains(heading), "{link} is not among {headings:?}"),
            None => assert!(repository().join(link).exists(), "{link}"),
        }
    }
}
