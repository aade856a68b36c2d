//! Where the programs are that the tests run; `tests/cluster/setup.sh` puts them there and knows.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, PoisonError},
};

/// The root of the repository.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The path of a program.
///
/// # Panics
/// When it is not set up, with what to do about it.
pub fn program(name: &str) -> PathBuf {
    static FOUND: Mutex<BTreeMap<String, PathBuf>> = Mutex::new(BTreeMap::new());
    let mut found = FOUND.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(path) = found.get(name) {
        return path.clone();
    }
    let part = match name {
        "control-plane" => "control-plane",
        "helm" | "helm-3" | "kubectl" => "tools",
        _ => "servers",
    };
    let output = Command::new(repository().join("tests/cluster/setup.sh"))
        .args(["--check", part])
        .output()
        .expect("setup.sh can be run");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim());
    found.extend(String::from_utf8_lossy(&output.stdout).lines().filter_map(|line| {
        let (name, path) = line.split_once('=')?;
        Some((name.to_owned(), PathBuf::from(path)))
    }));
    found.get(name).unwrap_or_else(|| panic!("setup.sh does not know {name}")).clone()
}

/// Runs a command to its end and gives what it printed, or what it said when it failed.
pub fn run(command: &mut Command) -> Result<String, String> {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?} cannot be run: {error}"));
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)))
    }
}

/// Runs a command that must succeed.
pub fn must_run(command: &mut Command) -> String {
    run(command).unwrap_or_else(|said| panic!("{command:?} failed: {said}"))
}

/// A setting from the environment.
pub fn environment(name: &str) -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "tests are configured by their environment")]
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
