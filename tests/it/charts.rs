//! What the operator's chart says of itself, against its values and against the daemon.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
    process::Command,
};

use helm::yaml;
use serde_json::Value;

fn read(path: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("charts/bowline").join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Values that are documented as a whole, since others set them as a whole.
const WHOLE: [&str; 4] = ["nodeSelector", "podSecurityContext", "resources", "securityContext"];

fn defaults(value: &Value, path: &str, found: &mut BTreeMap<String, String>) {
    match value.as_object().filter(|fields| !fields.is_empty() && !WHOLE.contains(&path)) {
        None => {
            found.insert(path.to_owned(), value.to_string());
        }
        Some(fields) => {
            for (name, field) in fields {
                let here = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                defaults(field, &here, found);
            }
        }
    }
}

fn values() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    defaults(&yaml::parse_strict(read("values.yaml").as_bytes()).unwrap(), "", &mut found);
    found
}

#[test]
fn the_readme_names_every_value_with_its_default() {
    let documented: BTreeMap<String, String> = read("README.md")
        .lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .map(|row| {
            let (path, rest) = row.split_once('`').unwrap();
            let (_, default) = rest.strip_suffix("` |").unwrap().rsplit_once("| `").unwrap();
            (path.to_owned(), default.to_owned())
        })
        .collect();
    assert_eq!(documented, values());
}

#[test]
fn the_schema_knows_every_value_and_no_other() {
    fn properties(schema: &Value, path: &str, found: &mut BTreeSet<String>) {
        match schema["properties"].as_object() {
            None => {
                found.insert(path.to_owned());
            }
            Some(fields) => {
                assert_eq!(schema["additionalProperties"], false, "{path}");
                for (name, field) in fields {
                    properties(field, &if path.is_empty() { name.clone() } else { format!("{path}.{name}") }, found);
                }
            }
        }
    }
    let mut found = BTreeSet::new();
    properties(&serde_json::from_str(&read("values.schema.json")).unwrap(), "", &mut found);
    // Helm passes it to every chart.
    assert!(found.remove("global"));
    assert_eq!(found, values().into_keys().collect());
}

#[test]
fn every_argument_of_the_deployment_is_a_flag_of_the_daemon() {
    let deployment = read("templates/deployment.yaml");
    let given: BTreeSet<String> = deployment
        .split(|c: char| !(c.is_ascii_lowercase() || c == '-'))
        .filter(|word| word.starts_with("--") && word.len() > 2)
        .map(str::to_owned)
        .collect();
    let help = Command::new(env!("CARGO_BIN_EXE_bowline")).args(["run", "--help"]).output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let known: BTreeSet<String> = help
        .split_whitespace()
        .map(|word| word.split(['=', '[', ',']).next().unwrap_or_default().to_owned())
        .filter(|word| word.starts_with("--"))
        .collect();
    assert!(given.len() > 15, "{given:?}");
    let unknown: Vec<_> = given.difference(&known).collect();
    assert!(unknown.is_empty(), "{unknown:?} are not among {known:?}");
}
