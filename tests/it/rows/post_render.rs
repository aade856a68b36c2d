//! Rows about what stands between a rendered chart and its release, and about how that is waited for.

use bowline::reconcile::release::{
    post_render::Chain,
    target::{self, WaitStrategy},
};
use helm::post_render::PostRenderer;
use serde_json::{Map, Value, json};

use super::fields::{Fields, check, object, same};

/// Makes the objects of a row: in words (`Pod without labels, Service with label a=b`), as YAML, or two that differ.
fn manifest(input: &mut Fields, image: Option<&str>) -> Result<Vec<Value>, String> {
    let words: Option<String> = input.get("manifest")?;
    let words = words.unwrap_or_else(|| "Pod without labels, Service with label existing=label".to_owned());
    if words.contains("apiVersion:") {
        let documents = helm::yaml::manifests(words.as_bytes()).into_iter().map(|document| document.value);
        return documents.collect::<Result<_, _>>().map_err(|error| error.to_string());
    }
    let mut objects = Vec::new();
    for part in words.split(", ") {
        let (kind, rest) = part.split_once(' ').ok_or_else(|| format!("'{part}' is not understood"))?;
        let mut metadata = json!({ "name": kind.to_lowercase() });
        if rest != "without labels" {
            let entry = rest.strip_prefix("with label ").and_then(|label| label.split_once('='));
            let (key, value) = entry.ok_or_else(|| format!("'{rest}' is not understood"))?;
            metadata["labels"] = json!({ key: value });
        }
        let mut made = json!({ "apiVersion": "v1", "kind": kind, "metadata": metadata });
        if let Some(image) = image.filter(|_| kind == "Pod") {
            made["spec"] = json!({ "containers": [{ "name": "main", "image": image }] });
        }
        objects.push(made);
    }
    Ok(objects)
}

/// What post-renderers make of objects.
pub fn post_render(_: &str, input: &mut Fields, expect: &mut Fields) -> Result<(), String> {
    let mut spec = json!({ "chartRef": { "kind": "OCIRepository", "name": "c" } });
    let mut kustomize = Map::new();
    for key in ["images", "patches"] {
        kustomize.extend(input.get::<Value>(&format!("kustomize.{key}"))?.map(|value| (key.to_owned(), value)));
    }
    if !kustomize.is_empty() {
        spec["postRenderers"] = json!([{ "kustomize": kustomize }]);
    }
    for (key, of) in [("postRenderers", "postRenderers"), ("commonMetadata", "commonMetadata")] {
        if let Some(value) = input.get::<Value>(key)? {
            spec[of] = value;
        }
    }
    for key in ["labels", "annotations"] {
        if let Some(value) = input.get::<Value>(key)? {
            spec["commonMetadata"][key] = value;
        }
    }
    let release: String = input.get("release")?.unwrap_or_else(|| "namespace/name".to_owned());
    let (namespace, name) = release.split_once('/').ok_or("a release is <namespace>/<name>")?;
    let image: Option<String> = input.get("image")?;
    let before = manifest(input, image.as_deref())?;
    let common = spec["commonMetadata"].clone();
    let rendered = Chain::of(&object(namespace, name, &spec)?).run(before.clone()).map_err(|error| error.to_string());
    if let Some(part) = expect.get::<String>("error")? {
        return check(rendered.as_ref().is_err_and(|error| error.contains(&part)), || format!("is {rendered:?}"));
    }
    let rendered = rendered?;
    let has = |field: &str, wanted: &Value| -> Result<(), String> {
        for tree in &rendered {
            for (key, value) in wanted.as_object().into_iter().flatten() {
                same(&format!("{field} {key}"), &tree["metadata"][field][key], value)?;
            }
        }
        Ok(())
    };
    if let Some(labels) = expect.get::<Value>("labels")? {
        has("labels", &labels)?;
    }
    if expect.get::<bool>("every_object")? == Some(true) {
        has("labels", &common["labels"])?;
        has("annotations", &common["annotations"])?;
        same("objects", &rendered.len(), &before.len())?;
    }
    let kept = |key: &str| {
        let held = |(before, after): (&Value, &Value)| {
            let before = &before["metadata"]["labels"][key];
            before.is_null() || *before == after["metadata"]["labels"][key]
        };
        check(before.iter().zip(&rendered).all(held), || format!("label {key} is not kept"))
    };
    for key in expect.get::<Vec<String>>("keeps")?.into_iter().flatten() {
        kept(&key)?;
    }
    match expect.get::<String>("existing_labels")?.as_deref() {
        None => {}
        Some("kept") => kept("existing")?,
        Some(other) => return Err(format!("existing_labels '{other}' is not understood")),
    }
    match expect.get::<Value>("annotations")? {
        None => {}
        Some(Value::String(words)) if words == "absent when none existed" => {
            let absent = |tree: &Value| tree["metadata"].get("annotations").is_none();
            check(rendered.iter().all(absent), || format!("annotations: {rendered:?}"))?;
        }
        Some(wanted) => has("annotations", &wanted)?,
    }
    let mut images =
        rendered.iter().filter_map(|tree| tree.pointer("/spec/containers/0/image")?.as_str().map(str::to_owned));
    expect.holds("image", &images.next_back().unwrap_or_default())
}

/// How an action waits for what it applied.
pub fn wait_strategy(_: &str, input: &mut Fields, expect: &mut Fields) -> Result<(), String> {
    let disable_wait = input.get::<bool>("disableWait")?.unwrap_or(false);
    let mut spec = json!({ "chartRef": { "kind": "OCIRepository", "name": "c" } });
    if let Some(name) = input.given::<String>("waitStrategy")? {
        spec["waitStrategy"] = json!({ "name": name });
    }
    // There is one set of defaults: Helm 4's.
    if let Some(gate) = input.get::<String>("gate")? {
        same("gate", gate.as_str(), "UseHelm3Defaults")?;
    }
    let strategy = match target::wait_strategy(&object("ns", "app", &spec)?, disable_wait) {
        WaitStrategy::HooksOnly => "hooks only",
        WaitStrategy::Poller => "poller",
        WaitStrategy::Legacy => "legacy",
    };
    expect.holds("strategy", &strategy.to_owned())
}
