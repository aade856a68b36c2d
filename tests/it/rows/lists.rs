//! The rows that are not run here, and those whose outcome is ours and not Flux's.

use serde_json::{Map, Value, json};

const WHOLE: &str = "is a reconcile on a cluster: the tests of releases on a control plane";
const DRIFT: &str = "comes with drift detection";
const APPLY: &str = "comes with client-side apply";
const OCI: &str = "comes with chartRef to an OCIRepository";
const CEL: &str = "comes with CEL expressions";
const KUSTOMIZATION: &str = "is of the Kustomization controller: its own tests";
const SOURCES: &str = "is of the source controllers: their own tests";
const IMAGES: &str = "comes with the image controllers";

/// Groups as a whole.
const GROUPS: &[(&str, &str)] = &[
    ("scenario", WHOLE),
    ("controller", WHOLE),
    ("uninstall", WHOLE),
    ("unlock", WHOLE),
    ("delete", WHOLE),
    ("crds", WHOLE),
    ("inventory", WHOLE),
    ("drift-diff", DRIFT),
    ("drift-report", DRIFT),
    ("apply-method", APPLY),
    ("wait-strategy", "comes with spec.waitStrategy"),
    ("kubeconfig", "comes with spec.kubeConfig"),
    ("post-render", "comes with spec.postRenderers"),
    ("order", KUSTOMIZATION),
    ("stages", KUSTOMIZATION),
    ("apply", KUSTOMIZATION),
    ("immutable", KUSTOMIZATION),
    ("managers", KUSTOMIZATION),
    ("prune", KUSTOMIZATION),
    ("finalize", KUSTOMIZATION),
    ("health", KUSTOMIZATION),
    ("substitute", KUSTOMIZATION),
    ("ignore", KUSTOMIZATION),
    ("git-ref", SOURCES),
    ("git-noop", SOURCES),
    ("git-content-config", SOURCES),
    ("git-auth", SOURCES),
    ("git-artifact", SOURCES),
    ("git-verify", SOURCES),
    ("storage", SOURCES),
    ("archive", SOURCES),
    ("helm-index", SOURCES),
    ("helm-repository", SOURCES),
    ("url-normalise", SOURCES),
    ("chart-version", SOURCES),
    ("chart-name", SOURCES),
    ("chart-path", SOURCES),
    ("helm-chart", SOURCES),
    ("oci-ref", SOURCES),
    ("oci-layer", SOURCES),
    ("oci-noop", SOURCES),
    ("oci-auth", SOURCES),
    ("oci-verify", SOURCES),
    ("event", SOURCES),
    ("summary", SOURCES),
    ("secrets", SOURCES),
    ("semver", IMAGES),
    ("alphabetical", IMAGES),
    ("numerical", IMAGES),
    ("filter", IMAGES),
    ("policy", IMAGES),
    ("access", IMAGES),
    ("digest-reflection", IMAGES),
    ("scan", IMAGES),
    ("latest-tags", IMAGES),
    ("exclude", IMAGES),
    ("setter", IMAGES),
    ("commit", IMAGES),
    ("push-summary", IMAGES),
    ("checkout", IMAGES),
];

/// Single rows of groups that are run.
const ROWS: &[(&str, &str)] = &[
    ("test/no snapshot", WHOLE),
    ("install/chart with a disabled subchart that has crds", WHOLE),
    ("install/chart with an enabled subchart that has crds", WHOLE),
    ("rollback/no previous snapshot", WHOLE),
    ("rollback/previous snapshot of another release name", WHOLE),
    ("uninstall-remediation/no snapshot", WHOLE),
    ("uninstall-remediation/uninstalled another revision than the snapshot", WHOLE),
    ("next-action/failed upgrade, storage read error while checking the rollback target", WHOLE),
    ("verify/storage error", WHOLE),
    ("chart-template/other name in status removes the old and creates the new", WHOLE),
    ("chart-template/object being deleted removes the chart", WHOLE),
    ("chart-template/already gone is fine", WHOLE),
    ("message/release already gone", WHOLE),
    ("message/release already uninstalled", WHOLE),
    ("message/drift correction running", DRIFT),
    ("source-ready/OCIRepository new generation while Ready=True", OCI),
    ("source-ready/OCIRepository new generation while Ready=False", OCI),
    ("source-ready/OCIRepository stalled", OCI),
    ("dependencies/readyExpr true replaces the built-in check", CEL),
    ("dependencies/readyExpr false", CEL),
    ("dependencies/readyExpr true but AdditiveCELDependencyCheck and not ready", CEL),
];

/// The rows that are listed by name because they are not run.
pub fn names() -> impl Iterator<Item = &'static str> {
    ROWS.iter().map(|(name, _)| *name)
}

/// Says why a row is not run here. Other controllers have groups of the same names, which a key of a HelmRelease's tells
/// apart.
pub fn elsewhere(name: &str, group: &str, input: &Map<String, Value>) -> Option<&'static str> {
    match group {
        "message" if !input.contains_key("release") => return Some(IMAGES),
        "annotations" if !input.contains_key("status") => return Some(KUSTOMIZATION),
        _ => {}
    }
    let row = ROWS.iter().find(|(listed, _)| *listed == name);
    row.or_else(|| GROUPS.iter().find(|(listed, _)| *listed == group)).map(|(_, reason)| *reason)
}

/// Returns the expectation that takes the place of Flux's, and why.
pub fn ours(name: &str) -> Option<(Map<String, Value>, &'static str)> {
    let (expect, why) = match name {
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
        "chart-template/created when missing" => (
            json!({ "creates": "<hr-namespace>-<hr-name> in sourceRef namespace",
                    "status": { "helmChart": "<ns>/<name>" } }),
            "the log tells of a written HelmChart; an event would be one more write for each release",
        ),
        "chart-template/updated when the spec differs" => (
            json!({ "updates": true }),
            "the log tells of a written HelmChart; an event would be one more write for each release",
        ),
        _ => return None,
    };
    match expect {
        Value::Object(expect) => Some((expect, why)),
        _ => None,
    }
}
