//! The rows that are not run here, and those whose outcome is ours and not Flux's.

use serde_json::{Map, Value, json};

use super::{Owner, Row};

const KUSTOMIZATION: &str = "is of the Kustomization controller: its own tests";
const SOURCES: &str = "is of the source controllers: their own tests";
const IMAGES: &str = "comes with the image controllers";

/// Groups as a whole.
const GROUPS: &[(&str, &str)] = &[];

/// Single rows of groups that are run.
const ROWS: &[(&str, &str)] = &[(
    "controller/a new event during the health wait cancels it (opt-in)",
    "comes with the end of a wait by a new revision",
)];

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
        "apply-method/post render strategy under old defaults" => (
            json!({ "strategy": "combined" }),
            "there is one set of defaults, Helm 4's; spec.postRenderStrategy asks for another",
        ),
        "wait-strategy/old defaults" => (
            json!({ "strategy": "poller" }),
            "there is one set of defaults, Helm 4's; spec.waitStrategy asks for the other",
        ),
        "dependencies/readyExpr true but AdditiveCELDependencyCheck and not ready" => (
            json!({ "ok": true }),
            "an expression always takes the place of the built-in check, and can ask for it too",
        ),
        "verify/snapshot v2 with wrong digest" => {
            (json!({ "ok": true }), "the digests that Flux takes cannot be taken here: its snapshots are accepted")
        }
        "verify/snapshot without apiVersion skips the digest" => (
            json!({ "error": "ErrReleaseNotObserved" }),
            "our own snapshots have no apiVersion, so that Flux does not compare them; we do",
        ),
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
