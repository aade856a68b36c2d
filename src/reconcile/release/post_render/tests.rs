//! Cases whose outcome Helm and kustomize themselves have recorded (`tests/post_render/oracle`).

use std::{collections::HashMap, sync::Arc};

use helm::{
    chart::{Chart, archive::BufferedFile},
    functions::Env,
    post_render::PostRender,
    random::SystemRandom,
    render::{Options, render},
};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Chain, strategy};
use crate::api::HelmRelease;

const CASES: &str = include_str!("../../../../tests/post_render/cases.jsonl");
const RECORDED: &str = include_str!("../../../../tests/post_render/recorded.jsonl");

/// Cases that fail as under Flux, with a text of our own: Go's names of types, its YAML of kustomize's own settings, or the
/// style of the text at fault have no place in it.
const OWN_TEXTS: &[&str] = &[
    "numbers and words of YAML 1.1",
    "not a map",
    "a key twice",
    "no name",
    "no kind",
    "an image that is a map",
    "merge: a map for a scalar",
    "merge: a list for a map",
    "merge: a target's expression is broken",
    "merge: a patch that is empty",
    "merge: a patch that is neither",
    "merge: without name",
];

#[derive(Deserialize)]
struct Case {
    name: String,
    files: HashMap<String, String>,
    spec: Map<String, Value>,
}

#[derive(Deserialize)]
struct Recorded {
    name: String,
    manifest: String,
    hooks: Vec<RecordedHook>,
    #[serde(default)]
    error: String,
}

#[derive(Debug, PartialEq, Deserialize)]
struct RecordedHook {
    path: String,
    manifest: String,
}

fn object(spec: &Map<String, Value>) -> HelmRelease {
    let mut full = json!({ "interval": "1m", "chartRef": { "kind": "OCIRepository", "name": "c" } });
    json_patch::merge(&mut full, &Value::Object(spec.clone()));
    let mut object = HelmRelease::new("app", serde_json::from_value(full).unwrap());
    object.metadata.namespace = Some("web".to_owned());
    object
}

fn rendered(case: &Case) -> Result<(String, Vec<RecordedHook>), String> {
    let file = |name: String, text: &str| BufferedFile { name, modified: None, data: text.as_bytes().into() };
    let mut files = vec![file("Chart.yaml".to_owned(), "apiVersion: v2\nname: c\nversion: 1.0.0\n")];
    files.extend(case.files.iter().map(|(name, text)| file(format!("templates/{name}"), text)));
    let chart = Arc::new(Chart::from_files(files).map_err(|error| error.to_string())?);
    let object = object(&case.spec);
    let chain = Chain::of(&object);
    let options = Options {
        post_render: Some(PostRender { renderer: &chain, strategy: strategy(&object) }),
        ..Options::install("app", "web", Env::at(Timestamp::UNIX_EPOCH, &SystemRandom))
    };
    let rendered = render(&chart, &Map::new(), &options).map_err(|failure| failure.error.to_string())?;
    let manifest = rendered.manifest();
    let hooks = rendered.hooks.into_iter().map(|hook| RecordedHook { path: hook.path, manifest: hook.manifest });
    let mut hooks: Vec<RecordedHook> = hooks.collect();
    hooks.sort_by(|a, b| a.path.cmp(&b.path));
    Ok((manifest, hooks))
}

#[test]
fn documents_are_post_rendered_as_helm_and_kustomize_do_it() {
    let recorded = RECORDED.lines().map(|line| serde_json::from_str::<Recorded>(line).unwrap());
    let mut wrong = Vec::new();
    for (case, recorded) in CASES.lines().zip(recorded) {
        let case: Case = serde_json::from_str(case).unwrap();
        assert_eq!(case.name, recorded.name);
        match rendered(&case) {
            Ok((manifest, hooks)) if recorded.error.is_empty() => {
                if manifest != recorded.manifest {
                    wrong.push(format!("{}:\n{manifest}\n--- not\n{}", case.name, recorded.manifest));
                }
                if hooks != recorded.hooks {
                    wrong.push(format!("{}: {hooks:#?}, not {:#?}", case.name, recorded.hooks));
                }
            }
            Ok((manifest, _)) => wrong.push(format!("{}:\n{manifest}\n--- not: {}", case.name, recorded.error)),
            Err(error) if recorded.error.is_empty() => wrong.push(format!("{}: {error}", case.name)),
            Err(error) => {
                if (error == recorded.error) == OWN_TEXTS.contains(&case.name.as_str()) {
                    wrong.push(format!("{}: {error}\n--- not: {}", case.name, recorded.error));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} cases:\n{}", wrong.len(), wrong.join("\n\n"));
}
