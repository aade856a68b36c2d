//! The rows that are not run here, and those whose outcome is ours and not Flux's.

use serde_json::{Map, Value, json};

use super::{Owner, Row};

const KUSTOMIZATION: &str = "is of the Kustomization controller: its own tests";
const SOURCES: &str = "is of the source controllers: their own tests";
const IMAGES: &str = "comes with the image controllers";

/// Groups as a whole.
const GROUPS: &[(&str, &str)] = &[];

/// Single rows of groups that are run.
const ROWS: &[(&str, &str)] = &[];

/// The rows that are listed by name because they are not run.
pub fn names() -> impl Iterator<Item = &'static str> {
    ROWS.iter().map(|(name, _)| *name)
}

/// Says why a row is not run here.
pub fn elsewhere(owner: Owner, name: &str, group: &str, input: &Map<String, Value>) -> Option<&'static str> {
    match owner {
        Owner::Environment => return Some(KUSTOMIZATION),
        Owner::Source if super::oci::is_run(group, input) => return None,
        Owner::Source => return Some(SOURCES),
        Owner::Image => return Some(IMAGES),
        Owner::Release => {}
    }
    let row = ROWS.iter().find(|(listed, _)| *listed == name);
    row.or_else(|| GROUPS.iter().find(|(listed, _)| *listed == group)).map(|(_, reason)| *reason)
}

/// Returns the expectation that takes the place of Flux's, and why.
pub fn ours(row: &Row) -> Option<(Map<String, Value>, &'static str)> {
    if let Some(expect) = left_pending(row) {
        return Some((
            expect,
            "a revision that was left pending keeps its place in the history, and what was known before it",
        ));
    }
    if let Some((expect, why)) = by_digest(row).or_else(|| by_gate(row)) {
        return Some((expect, why));
    }
    let (expect, why) = match row.name.as_str() {
        "loop/type of action uninstall" => (
            json!({ "type": null, "reported_name": null }),
            "an uninstall is no step among others: a deletion or another target runs it alone",
        ),
        "loop/before a release action" => {
            let message = "Running 'upgrade' action with timeout of 5m0s";
            let condition = |kind: &str, status: &str| json!({ "type": kind, "status": status, "reason": "Progressing", "message_contains": message });
            (
                json!({ "conditions": [condition("Reconciling", "True"), condition("Ready", "Unknown")],
                        "patch_status": "when it has run for a second" }),
                "a status that a short action's result would overwrite at once is not written",
            )
        }
        "verify/config without snapshot" => (
            json!({ "error": "found existing release in storage" }),
            "a release without a snapshot is upgraded, whatever its config",
        ),
        "controller/artifact download 404" => (
            json!({ "conditions": [{ "type": "Ready", "status": "False", "reason": "ArtifactFailed",
                                     "message_contains": "Source not ready: artifact not found" }],
                    "requeue": "backoff" }),
            "nothing waits for a clock: the source makes the artifact anew and starts the release",
        ),
        "delete/no deletion timestamp" => (
            json!({ "finalizer": "kept" }),
            "the one way to an uninstall for a deletion begins at the timestamp: there is no such error",
        ),
        _ => return None,
    };
    match expect {
        Value::Object(expect) => Some((expect, why)),
        _ => None,
    }
}

/// What a feature gate of Flux would change, and does not here: the spec's own fields ask for all of it.
fn by_gate(row: &Row) -> Option<(Map<String, Value>, &'static str)> {
    let is_on = |key: &str, gate: &str| row.input.get(key).and_then(Value::as_str) == Some(gate);
    if row.group == "dependencies" && is_on("feature_gate", "AdditiveCELDependencyCheck") {
        let is_open = row.input.get("deps").is_some_and(|deps| deps.to_string().contains(r#""readyExpr":"true""#));
        return (is_open && row.expect.contains_key("error")).then(|| {
            let why = "an expression always takes the place of the built-in check, and can ask for it too";
            (Map::from_iter([("ok".to_owned(), json!(true))]), why)
        });
    }
    if !is_on("gate", "UseHelm3Defaults") {
        return None;
    }
    let mut expect = row.expect.clone();
    for (key, of_helm_3, ours, field) in [
        ("strategy", json!("legacy"), json!("poller"), "waitStrategy"),
        ("strategy", json!("nohooks"), json!("combined"), "postRenderStrategy"),
        ("server_side", json!(false), json!(true), "serverSideApply"),
    ] {
        let is_install = row.input.get("action").is_none_or(|action| action == "install");
        let is_of_last = field == "serverSideApply" && !is_install;
        if !is_of_last && row.input.get(field).is_none_or(Value::is_null) && expect.get(key) == Some(&of_helm_3) {
            expect.insert(key.to_owned(), ours);
        }
    }
    (expect != row.expect).then_some((expect, "there is one set of defaults, Helm 4's; the spec asks for others"))
}

/// Which snapshots are compared with what is stored: ours, which have no apiVersion, and not Flux's, which have one.
fn by_digest(row: &Row) -> Option<(Map<String, Value>, &'static str)> {
    let snapshot = row.input.get("snapshot").filter(|_| row.group == "verify")?;
    let is_digest = |text: &str| text.strip_prefix("sha256:").is_some_and(|hex| hex.len() == 64);
    let error = |text: &str| Map::from_iter([("error".to_owned(), json!(text))]);
    let digest = snapshot.get("digest").and_then(Value::as_str).filter(|digest| *digest != "matches")?;
    match (snapshot.get("apiVersion")?.as_str()?, row.expect.contains_key("error")) {
        ("v2", true) => Some((
            Map::from_iter([("ok".to_owned(), json!(true))]),
            "the digests that Flux takes cannot be taken here: its snapshots are accepted",
        )),
        ("", false) => Some((
            error(if is_digest(digest) { "ErrReleaseNotObserved" } else { "ErrReleaseDigest" }),
            "our own snapshots have no apiVersion, so that Flux does not compare them; we do",
        )),
        _ => None,
    }
}

/// The history of a scenario that begins with a revision that a crash left pending: Flux does not know that one, and
/// forgets all of it.
fn left_pending(row: &Row) -> Option<Map<String, Value>> {
    let newest = row.input.get("releases")?.as_array()?.last()?.as_str()?;
    let (version, status) = newest.split_once(' ')?;
    if row.group != "scenario" || !status.starts_with("pending-") {
        return None;
    }
    let known = row.input.get("history").and_then(Value::as_array).cloned().unwrap_or_default();
    let [new] = row.expect.get("history")?.as_array()?.as_slice() else { return None };
    let mut history = vec![new.clone(), json!(format!("{version} (no action)"))];
    history.extend(known);
    let mut expect = row.expect.clone();
    expect.insert("history".into(), Value::Array(history));
    Some(expect)
}
