//! Who may use whom, as the map in `src/lib.rs` has it, read from every path that the code names.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// What each room may use besides itself. `helm` is the engine's crate.
const MAY_USE: [(&str, &[&str]); 9] = [
    ("api", &[]),
    ("metrics", &[]),
    ("telemetry", &[]),
    ("admin", &["metrics", "telemetry"]),
    ("source", &["api", "helm", "telemetry"]),
    ("cluster", &["api", "helm", "telemetry"]),
    ("reconcile", &["api", "cluster", "helm", "metrics", "source", "telemetry"]),
    ("daemon", &["admin", "api", "cluster", "helm", "metrics", "reconcile", "source", "telemetry"]),
    ("cli", &["admin", "api", "cluster", "daemon", "helm", "metrics", "reconcile", "source", "telemetry"]),
];
/// What pure code has nothing to do with: clocks, the environment, the network, runtimes, clients.
const IMPURE: [&str; 12] = [
    "axum",
    "git2",
    "jiff::Timestamp::now",
    "jiff::Zoned::now",
    "kube",
    "reqwest",
    "std::env",
    "std::process",
    "std::time::Instant",
    "std::time::SystemTime",
    "std::thread",
    "tokio",
];
/// What else a decision and the wire types leave alone.
const FILES: [&str; 1] = ["std::fs"];
/// The parts of kube that wire types are made with.
const KINDS: [&str; 3] = ["kube::CustomResource", "kube::CustomResourceExt", "kube::KubeSchema"];

/// A source file without its tests.
struct Source {
    /// Below the crate's `src`.
    path: PathBuf,
    code: String,
}

fn sources(root: &str) -> Vec<Source> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(root);
    let mut files = Vec::new();
    walk(&root, &mut files);
    let mut tests = BTreeSet::new();
    let mut sources = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        for name in test_modules(&text) {
            tests.insert(file.with_file_name(format!("{name}.rs")));
        }
        sources.push((file, text));
    }
    sources
        .into_iter()
        .filter(|(file, _)| !tests.contains(file) && file.file_stem().is_some_and(|stem| stem != "tests"))
        .map(|(file, text)| Source { path: file.strip_prefix(&root).unwrap().to_owned(), code: code(&text) })
        .collect()
}

/// The files of modules that are only there in tests, `foo` for `foo.rs`.
fn test_modules(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut lines = text.lines().map(str::trim);
    while let Some(line) = lines.next() {
        if line != "#[cfg(test)]" {
            continue;
        }
        let mut path = None;
        for line in lines.by_ref() {
            if let Some(file) = line.strip_prefix("#[path = \"") {
                path = file.strip_suffix(".rs\"]").map(str::to_owned);
            } else if !line.starts_with("#[") {
                let name = line.trim_start_matches("pub ").strip_prefix("mod ").and_then(|rest| rest.strip_suffix(';'));
                found.extend(name.map(|name| path.unwrap_or_else(|| name.to_owned())));
                break;
            }
        }
    }
    found
}

/// Code without comments, and without the tests at its end.
fn code(text: &str) -> String {
    let end = text.find("#[cfg(test)]\nmod tests {").unwrap_or(text.len());
    text[..end].lines().map(|line| line.split_once("//").map_or(line, |(code, _)| code)).collect::<Vec<_>>().join("\n")
}

/// Every path that code names, those of `use` lines one by one.
fn paths(code: &str) -> BTreeSet<String> {
    fn expand(prefix: &str, tree: &str, found: &mut BTreeSet<String>) {
        let Some(open) = tree.find('{') else {
            found.insert(format!("{prefix}{}", tree.strip_suffix("::self").unwrap_or(tree)));
            return;
        };
        let prefix = format!("{prefix}{}", &tree[..open]);
        let (mut depth, mut start) = (0, open + 1);
        for (at, character) in tree.char_indices().skip_while(|(at, _)| *at <= open) {
            match character {
                '{' => depth += 1,
                ',' | '}' if depth == 0 => {
                    match &tree[start..at] {
                        "" => {}
                        "self" => {
                            found.insert(prefix.trim_end_matches("::").to_owned());
                        }
                        one => expand(&prefix, one, found),
                    }
                    start = at + 1;
                }
                '}' => depth -= 1,
                _ => {}
            }
        }
    }
    let mut found = BTreeSet::new();
    let mut rest = String::new();
    let mut open: Option<String> = None;
    for line in code.lines() {
        let trimmed = line.trim();
        let declaration = match trimmed.strip_prefix("pub") {
            Some(after) => after.trim_start_matches(|c: char| c != ' ').trim_start(),
            None => trimmed,
        };
        if open.is_none() && declaration.starts_with("use ") {
            open = Some(String::new());
        }
        let Some(statement) = &mut open else {
            rest.push_str(line);
            rest.push('\n');
            continue;
        };
        statement.push_str(if statement.is_empty() { &declaration[4..] } else { trimmed });
        if let Some(tree) = statement.strip_suffix(';') {
            let tree: Vec<&str> = tree.split(' ').filter(|word| !word.is_empty()).collect();
            // A new name, `a as b`, is left off with what follows the path.
            let tree = tree.join(" ").replace(" as ", "~").replace(' ', "");
            let plain: String = tree.split(',').map(renamed).collect::<Vec<_>>().join(",");
            expand("", &plain, &mut found);
            open = None;
        }
    }
    let is_path = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    found.extend(
        rest.split(|c| !is_path(c))
            .map(|word| word.trim_matches(':'))
            .filter(|word| word.contains("::"))
            .map(str::to_owned),
    );
    found
}

/// A path without the name that it is given: `a::B~C}` is `a::B}`.
fn renamed(path: &str) -> String {
    let Some((path, name)) = path.split_once('~') else { return path.to_owned() };
    format!("{path}{}", &name[name.find('}').unwrap_or(name.len())..])
}

/// Which room a path leads into, from a file of the crate.
fn room(path: &str, file: &Path) -> Option<String> {
    let mut segments = path.split("::").peekable();
    let mut module: Vec<_> = file.with_extension("").iter().map(|part| part.to_string_lossy().into_owned()).collect();
    if module.last().is_some_and(|last| last == "mod" || last == "lib") {
        module.pop();
    }
    match segments.next()? {
        "crate" => segments.next().map(str::to_owned),
        "helm" => Some("helm".to_owned()),
        "super" => {
            module.pop();
            while segments.next_if_eq(&"super").is_some() {
                module.pop();
            }
            module.first().cloned().or_else(|| segments.next().map(str::to_owned))
        }
        _ => None,
    }
}

fn is_below(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// The paths that lead out of pure code, those of functions whose type is brought in by `use` too.
fn impurities(code: &str, more: &[&str], allowed: &[&str]) -> Vec<String> {
    let found = paths(code);
    let is_impure = |path: &str| IMPURE.iter().chain(more).any(|impure| is_below(path, impure));
    let mut impure: Vec<String> =
        found.iter().filter(|path| is_impure(path) && !allowed.contains(&path.as_str())).cloned().collect();
    // `use std::time::{Duration, Instant}` is found as a path; `Timestamp::now()` after `use jiff::Timestamp` is not.
    impure.extend(found.into_iter().filter(|path| path.ends_with("Timestamp::now") || path.ends_with("Zoned::now")));
    impure.sort();
    impure.dedup();
    impure
}

#[test]
fn each_room_uses_only_what_the_map_allows() {
    let may_use: BTreeMap<&str, &[&str]> = MAY_USE.into_iter().collect();
    let mut wrong = Vec::new();
    let mut seen = BTreeSet::new();
    for source in sources("src").iter().filter(|source| !source.path.starts_with("helm")) {
        let own = source.path.iter().next().unwrap().to_string_lossy().trim_end_matches(".rs").to_owned();
        if ["build", "lib", "main"].contains(&own.as_str()) {
            continue;
        }
        let allowed = may_use.get(own.as_str()).unwrap_or_else(|| panic!("the map does not know {own}"));
        for path in paths(&source.code) {
            let Some(used) = room(&path, &source.path) else { continue };
            if used != own && !allowed.contains(&used.as_str()) {
                wrong.push(format!("{}: {path}", source.path.display()));
            }
        }
        seen.insert(own);
    }
    assert_eq!(seen, MAY_USE.map(|(room, _)| room.to_owned()).into());
    assert!(wrong.is_empty(), "these lead where the map in src/lib.rs forbids:\n{}", wrong.join("\n"));
}

#[test]
fn decisions_the_api_and_the_engine_are_pure() {
    let mut wrong = Vec::new();
    let mut decisions = 0;
    let mut judge = |source: &Source, found: Vec<String>| {
        wrong.extend(found.into_iter().map(|path| format!("{}: {path}", source.path.display())));
    };
    for source in sources("src").into_iter().filter(|source| !source.path.starts_with("helm/tests")) {
        if source.path.starts_with("helm") {
            // It reads charts from folders.
            judge(&source, impurities(&source.code, &[], &[]));
        } else if source.path.starts_with("api") {
            judge(&source, impurities(&source.code, &FILES, &KINDS));
        } else if source.path.ends_with("decide.rs") {
            decisions += 1;
            judge(&source, impurities(&source.code, &FILES, &[]));
        }
    }
    assert!(decisions >= 2, "the decisions of releases and of environments are found");
    assert!(wrong.is_empty(), "these are not pure:\n{}", wrong.join("\n"));
}

#[test]
fn a_path_is_found_wherever_it_is_named() {
    let code = code(
        "use std::{env, time::{Duration, Instant as Now}}; // use crate::cli;\n\
         pub(super) use crate::{\n    api::{self, Kind as K},\n    source::git::{Git, child},\n};\n\
         fn f() { super::super::cluster::apply(); let t: Option<helm::yaml::Error> = None; Timestamp::now() }\n\
         #[cfg(test)]\nmod tests {\n    use crate::cli;\n}\n",
    );
    let found = paths(&code);
    for path in [
        "std::env",
        "std::time::Duration",
        "std::time::Instant",
        "crate::api",
        "crate::api::Kind",
        "crate::source::git::Git",
        "crate::source::git::child",
        "super::super::cluster::apply",
        "helm::yaml::Error",
    ] {
        assert!(found.contains(path), "{path} is not among {found:?}");
    }
    assert!(!found.iter().any(|path| path.contains("cli")), "{found:?}");
    assert_eq!(room("super::super::cluster::apply", Path::new("source/git/mod.rs")).as_deref(), Some("cluster"));
    assert_eq!(room("super::super::x", Path::new("source/git/child.rs")).as_deref(), Some("source"));
    assert_eq!(impurities(&code, &[], &[]), ["Timestamp::now", "std::env", "std::time::Instant"]);
    assert_eq!(
        test_modules("#[cfg(test)]\n#[path = \"a_tests.rs\"]\nmod tests;\n#[cfg(test)]\nmod b;"),
        ["a_tests", "b"]
    );
}
