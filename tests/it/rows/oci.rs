//! Charts in registries: which version a release says, and what a source takes of its registry.

use bowline::{
    api::{OCIRepositorySpec, OCIRepositoryStatus},
    reconcile::{
        release::{ChartError, observe, version_with_digest},
        source::oci_repository,
    },
    source::oci::{Manifest, chart},
};
use helm::semver::Version;
use serde_json::{Map, Value, json};

use super::fields::{Fields, check, same};

const DIGEST: &str = "sha256:adebc5e3cbcd6a0918bd470f3a6c9855bfe95d506c74726bc0f2edb0aecb1f4e";

/// Tells whether a row of the group `controller` is about the version of a chart.
pub fn is_about_version(input: &Map<String, Value>) -> bool {
    ["oci_revision", "oci_tag", "revision"].iter().any(|key| input.contains_key(*key))
        && input.contains_key("chart_version")
}

/// Tells whether a row of the source controllers needs no registry and no cluster.
pub fn is_run(group: &str, input: &Map<String, Value>) -> bool {
    match group {
        "oci-ref" => input.contains_key("tags"),
        "oci-noop" => true,
        "chart-version" => input.contains_key("tags"),
        "oci-layer" => input.contains_key("mediaType") || input.contains_key("layers"),
        _ => false,
    }
}

pub fn version(_: &str, input: &mut Fields, expect: &mut Fields) -> Result<(), String> {
    let chart: String = input.need("chart_version")?;
    let revision = match (input.get::<String>("oci_revision")?, input.get::<String>("revision")?) {
        (Some(revision), None) | (None, Some(revision)) => revision,
        (None, None) => format!("{}@{DIGEST}", input.need::<String>("oci_tag")?),
        (Some(_), Some(_)) => return Err("two revisions".to_owned()),
    };
    let made = version_with_digest(&chart, &revision);
    if let Some(error) = expect.get::<String>("error")? {
        let text = made.err().unwrap_or_default();
        same("error", &text, &error)?;
        let obstacle = observe::unusable(&ChartError::Version(text.clone()));
        let conditions = json!([{ "type": "Ready", "status": "False", "reason": obstacle.reason }]);
        same("message", &obstacle.message, &text)?;
        return expect.holds("conditions", &conditions);
    }
    let made = made?;
    expect.holds("ok", &true)?;
    expect.holds("chart_version", &made)?;
    let digest = revision.rsplit('@').next().unwrap_or_default();
    expect.holds("status", &json!({ "lastAttemptedRevision": made, "lastAttemptedRevisionDigest": digest }))
}

fn spec(extra: &Value) -> Result<OCIRepositorySpec, String> {
    let mut spec = json!({ "url": "oci://registry.test/repo", "interval": "1m" });
    json_patch::merge(&mut spec, extra);
    serde_json::from_value(spec).map_err(|error| format!("spec: {error}"))
}

/// The tag or digest that a reference leads to.
pub fn reference(_: &str, input: &mut Fields, expect: &mut Fields) -> Result<(), String> {
    let tags: Vec<String> = input.need("tags")?;
    let reference: Option<Map<String, Value>> = input.given("ref")?;
    let media_type: Option<String> = input.get("layerSelector.mediaType")?;
    let mut wanted = Value::Object(reference.unwrap_or_default());
    // The pack writes a digest without its digits.
    let shown = wanted.get("digest").and_then(Value::as_str).map(ToOwned::to_owned);
    if shown.is_some() {
        wanted["digest"] = json!(DIGEST);
    }
    let spec = spec(&json!({ "ref": wanted, "layerSelector": { "mediaType": media_type } }))?;
    let chosen = oci_repository::choose(&spec, &tags);
    if let Some(error) = expect.get::<String>("error")? {
        let obstacle = chosen.err().ok_or("there is a reference")?;
        check(obstacle.message.contains(&error), || format!("error: is {:?}", obstacle.message))?;
        let conditions = json!([{ "type": obstacle.condition, "status": "True", "reason": obstacle.reason }]);
        return expect.holds("conditions", &conditions);
    }
    let chosen = chosen.map_err(|obstacle| obstacle.message)?;
    let is = match shown {
        Some(digest) => format!("repo@{digest}"),
        None => format!("repo:{}", chosen.as_str()),
    };
    match expect.need::<Value>("reference")? {
        Value::Array(either) => check(either.contains(&json!(is)), || format!("reference: is {is}")),
        one => same("reference", &json!(is), &one),
    }
}

/// Whether an artifact is pulled anew.
pub fn noop(_: &str, input: &mut Fields, expect: &mut Fields) -> Result<(), String> {
    let is_stored = matches!(input.get::<String>("status.revision")?.as_deref(), Some("same"))
        || input.has("status.observedIgnore")
        || input.has("status.observedLayerSelector");
    let operation = |text: Option<String>| text.map(|operation| json!({ "operation": operation }));
    let spec = spec(&json!({
        "ignore": input.get::<String>("spec.ignore")?,
        "layerSelector": operation(input.get("spec.layerSelector")?),
    }))?;
    let status = json!({
        "observedIgnore": input.get::<String>("status.observedIgnore")?,
        "observedLayerSelector": operation(input.get("status.observedLayerSelector")?),
    });
    let status: OCIRepositoryStatus = serde_json::from_value(status).map_err(|error| error.to_string())?;
    let pulls = !is_stored || oci_repository::config_changed(&spec, &status);
    expect.holds("pulls", &pulls)
}

/// The layer that is taken.
pub fn layer(_: &str, input: &mut Fields, expect: &mut Fields) -> Result<(), String> {
    const PRESENT: &str = "application/vnd.cncf.flux.content.v1.tar+gzip";
    let media_type: Option<String> = input.get("mediaType")?;
    let count: usize = input.get("layers")?.unwrap_or(2);
    let layers: Vec<Value> =
        (0..count).map(|at| json!({ "mediaType": PRESENT, "digest": format!("{at}"), "size": 1 })).collect();
    let manifest: Manifest = serde_json::from_value(json!({ "layers": layers })).map_err(|error| error.to_string())?;
    let found = manifest.layer(media_type.as_deref());
    if let Some(conditions) = expect.get::<Vec<Map<String, Value>>>("conditions")? {
        let text = found.err().ok_or("there is a layer")?;
        let part = conditions[0].get("message_contains").and_then(Value::as_str).unwrap_or_default();
        same("reason", conditions[0]["reason"].as_str().unwrap_or_default(), "OCIArtifactLayerOperationFailed")?;
        return check(text.contains(part), || format!("message: is {text:?}"));
    }
    same("digest", &found?.digest, &"0".to_owned())?;
    let words = if media_type.is_some() { "first with that media type" } else { "first" };
    expect.holds("layer", &words.to_owned())?;
    expect.holds("operation", &oci_repository::operation(&spec(&json!({}))?).as_str().to_owned())
}

/// The version of a chart that is chosen among the tags of its repository.
pub fn chart_version(_: &str, input: &mut Fields, expect: &mut Fields) -> Result<(), String> {
    let tags: Vec<String> = input.need("tags")?;
    let wanted: String = input.need("version")?;
    let mut versions: Vec<Version> =
        tags.iter().filter_map(|tag| Version::parse_strict(&tag.replace('_', "+")).ok()).collect();
    versions.sort_by(|a, b| b.cmp(a));
    let chosen = chart::choose(&versions, &wanted);
    match expect.get::<String>("error")? {
        Some(error) => same("error", &chosen.err().unwrap_or_default(), &error),
        None => expect.holds("tag", &chosen?),
    }
}
