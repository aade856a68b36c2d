//! What is done to one object: server-side apply in one PATCH, reads, patches, deletes.

use http::{Method, header};
use kube::{Client, core::Status};
use serde_json::Value;
use thiserror::Error;

use super::{
    discovery::{Discovery, DiscoveryError},
    managed_fields,
    object::{self, ObjectId},
    request::{self, ServedKind, encode, message_of, status_of},
    strategic_merge::three_way,
};

/// Media type of a server-side apply; JSON is YAML.
const APPLY: &str = "application/apply-patch+yaml";
const JSON_PATCH: &str = "application/json-patch+json";
/// Asks for an object's metadata alone.
const PARTIAL: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";

/// Which way of applying a release uses; Helm's record says `ssa` or `csa`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApplyMethod {
    /// The API server merges, by field owners.
    ServerSide,
    /// Three-way strategic merge against the last manifest.
    ClientSide,
}

/// How an object is applied.
#[derive(Clone, Copy, Debug)]
pub struct ApplyOptions<'a> {
    /// Field manager: `helm-controller` or `kustomize-controller`.
    pub manager: &'a str,
    /// Take fields that others own.
    pub force: bool,
    /// Refuse unknown and duplicate fields, where the API server would drop them with a warning.
    pub strict: bool,
    /// Ask what would happen, and write nothing.
    pub dry_run: bool,
}

impl<'a> ApplyOptions<'a> {
    /// Returns what Helm 4 under Flux does: strict and forced.
    pub fn helm(manager: &'a str) -> Self {
        Self { manager, force: true, strict: true, dry_run: false }
    }

    /// Returns what Flux's kustomize-controller does: forced, unknown fields of custom resources dropped.
    pub fn kustomize(manager: &'a str) -> Self {
        Self { manager, force: true, strict: false, dry_run: false }
    }

    fn query(self) -> String {
        let mut query = format!("fieldManager={}", encode(self.manager));
        for (set, text) in
            [(self.force, "&force=true"), (self.strict, "&fieldValidation=Strict"), (self.dry_run, "&dryRun=All")]
        {
            if set {
                query.push_str(text);
            }
        }
        query
    }
}

/// What an apply did to an object. `Display` gives Flux's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Change {
    /// It was not there.
    Created,
    /// It was there and is different now.
    Configured,
    /// It was there and is as it was.
    Unchanged,
    /// It was left alone because it asks for that.
    Skipped,
    /// It was deleted.
    Deleted,
}

impl std::fmt::Display for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Change::Created => "created",
            Change::Configured => "configured",
            Change::Unchanged => "unchanged",
            Change::Skipped => "skipped",
            Change::Deleted => "deleted",
        })
    }
}

/// The result of an apply.
#[derive(Clone, Debug)]
pub struct Applied {
    /// What it did.
    pub change: Change,
    /// The object as it is in the cluster now.
    pub object: Value,
    /// What the API server warned of (deprecations, unknown fields).
    pub warnings: Vec<String>,
}

/// Why an object was not applied.
#[derive(Debug, Error)]
pub enum ApplyError {
    /// The tree is no object.
    #[error("failed to decode Kubernetes apiVersion, kind and name")]
    Incomplete,
    /// The object's kind could not be resolved.
    #[error("{id}: {}", discovery_message(.source))]
    Kind {
        /// Which object.
        id: ObjectId,
        /// The reason.
        source: DiscoveryError,
    },
    /// The object lives in a namespace and does not say in which.
    #[error("{id} namespace not specified")]
    NamespaceMissing {
        /// Which object.
        id: ObjectId,
    },
    /// The patch that client-side apply needs cannot be made.
    #[error("{id} patch failed: {source}")]
    Patch {
        /// Which object.
        id: ObjectId,
        /// The reason.
        source: three_way::Error,
    },
    /// The API server refused, or could not be reached.
    #[error("{}", refusal_text(.id, .action, .source))]
    Refused {
        /// Which object.
        id: ObjectId,
        /// What was tried: `apply`, `delete`, ...
        action: &'static str,
        /// The answer.
        source: kube::Error,
    },
}

fn discovery_message(error: &DiscoveryError) -> String {
    match error {
        DiscoveryError::Fetch(cause) => format!("{error}: {}", message_of(cause)),
        DiscoveryError::UnknownKind { .. } => error.to_string(),
    }
}

fn refusal_text(id: &ObjectId, action: &str, error: &kube::Error) -> String {
    let message = message_of(error);
    match status_of(error) {
        Some(status) if status.is_not_found() => format!("{id} not found: {message}"),
        Some(status) if !status.reason.is_empty() => format!("{id} {action} failed ({}): {message}", status.reason),
        _ => format!("{id} {action} failed: {message}"),
    }
}

impl ApplyError {
    /// Returns the API server's answer, when there was one.
    pub fn status(&self) -> Option<&Status> {
        match self {
            ApplyError::Refused { source, .. } => status_of(source),
            ApplyError::Kind { source: DiscoveryError::Fetch(error), .. } => status_of(error),
            ApplyError::Kind { .. }
            | ApplyError::Incomplete
            | ApplyError::NamespaceMissing { .. }
            | ApplyError::Patch { .. } => None,
        }
    }

    /// Tells whether the refusal may come from a field that cannot be changed, as Flux decides it: a conflict, an
    /// invalid object, or a message that says so.
    pub fn is_immutable(&self) -> bool {
        self.status().is_some_and(|status| {
            matches!(status.code, 409 | 422)
                || status.message.contains("is immutable")
                || status.message.contains("immutable field")
        })
    }

    /// Returns the paths of the fields that the API server named.
    pub fn fields(&self) -> Vec<&str> {
        let causes = self.status().and_then(|status| status.details.as_ref()).map(|details| details.causes.as_slice());
        causes.unwrap_or_default().iter().map(|cause| cause.field.as_str()).filter(|field| !field.is_empty()).collect()
    }

    /// Returns the paths of the fields that cannot be changed, where those are why the API server refused; empty for
    /// any other refusal. `.` stands for a refusal that names no field.
    pub fn immutable_fields(&self) -> Vec<&str> {
        /// What the API server and its validations say of a field that cannot be changed.
        const WORDS: [&str; 6] = [
            "immutable",
            "may not be changed",
            "may not change",
            "can not be changed",
            "cannot be changed",
            "updates to statefulset spec for fields other than",
        ];
        let says_so = |text: &str| WORDS.iter().any(|words| text.contains(words));
        let Some(status) = self.status().filter(|status| matches!(status.code, 400 | 403 | 422)) else {
            return Vec::new();
        };
        let causes = status.details.as_ref().map(|details| details.causes.as_slice()).unwrap_or_default();
        // Another thing that is wrong stays wrong in an object that is made anew.
        if !causes.is_empty() {
            let all = causes.iter().all(|cause| says_so(&cause.message));
            return if all { causes.iter().map(|cause| cause.field.as_str()).collect() } else { Vec::new() };
        }
        if says_so(&status.message) { vec!["."] } else { Vec::new() }
    }

    /// Tells whether the object itself was refused, as its schema or validation refuses it, whatever is in the cluster.
    pub fn is_invalid(&self) -> bool {
        self.immutable_fields().is_empty()
            && self.status().is_some_and(|status| match status.code {
                400 | 422 => true,
                // What server-side apply says of a type that does not fit.
                500 => status.message.contains("failed to create typed patch object"),
                _ => false,
            })
    }

    /// Tells whether the object was to be made and is there.
    pub fn is_already_there(&self) -> bool {
        self.status().is_some_and(|status| status.code == 409 && status.reason == "AlreadyExists")
    }

    /// Tells whether the cluster could not be asked at all, so that nothing is known about the object.
    pub fn is_outage(&self) -> bool {
        match self {
            ApplyError::Refused { source, .. } | ApplyError::Kind { source: DiscoveryError::Fetch(source), .. } => {
                status_of(source).is_none_or(|status| status.code > 500)
            }
            _ => false,
        }
    }
}

/// An object with its kind resolved and its place known.
#[derive(Clone, Debug)]
pub struct Target {
    /// The kind as the cluster serves it.
    pub kind: std::sync::Arc<ServedKind>,
    /// Who it is; the namespace is empty for objects of the cluster, whatever the manifest says.
    pub id: ObjectId,
}

impl Target {
    /// Resolves where an object goes.
    pub async fn of(discovery: &Discovery, tree: &Value) -> Result<Self, ApplyError> {
        let mut id = ObjectId::of(tree).ok_or(ApplyError::Incomplete)?;
        let api_version = object::api_version(tree).unwrap_or_default();
        let kind = match discovery.resolve(api_version, &id.kind).await {
            Ok(kind) => kind,
            Err(source) => return Err(ApplyError::Kind { id, source }),
        };
        if !kind.namespaced {
            id.namespace.clear();
        } else if id.namespace.is_empty() {
            return Err(ApplyError::NamespaceMissing { id });
        }
        Ok(Self { kind, id })
    }

    /// Resolves an object that is known by its id and perhaps an older version, as an inventory holds it.
    pub async fn of_id(discovery: &Discovery, id: &ObjectId, version: &str) -> Result<Self, ApplyError> {
        match discovery.resolve_any_version(&id.group, version, &id.kind).await {
            Ok(kind) => Ok(Self { kind, id: id.clone() }),
            Err(source) => Err(ApplyError::Kind { id: id.clone(), source }),
        }
    }

    pub(super) fn path(&self) -> String {
        self.kind.object(&self.id.namespace, &self.id.name)
    }

    pub(super) fn refused(&self, action: &'static str) -> impl FnOnce(kube::Error) -> ApplyError {
        let id = self.id.clone();
        move |source| ApplyError::Refused { id, action, source }
    }
}

/// Applies an object. `previous` is the resourceVersion that it is known to have had; without it the change is told
/// by the time in our managedFields entry, which is exact to a second.
pub async fn apply(
    client: &Client,
    target: &Target,
    object: &Value,
    options: ApplyOptions<'_>,
    previous: Option<&str>,
) -> Result<Applied, ApplyError> {
    let uri = format!("{}?{}", target.path(), options.query());
    let body = serde_json::to_vec(object).map_err(kube::Error::SerdeError).map_err(target.refused("apply"))?;
    let headers = [(header::CONTENT_TYPE, APPLY)];
    let mut tries = request::Tries::new();
    let reply = loop {
        match request::send(client, Method::PATCH, &uri, &headers, body.clone()).await {
            Err(error) if is_quota_conflict(&error) && tries.another().await => {}
            done => break done.map_err(target.refused("apply"))?,
        }
    };
    let unchanged = match previous {
        Some(version) => object::resource_version(&reply.body) == Some(version),
        None => !reply.written_now(managed_fields::last_change(&reply.body, options.manager)),
    };
    let change = match (reply.created, unchanged) {
        (true, _) => Change::Created,
        (false, true) => Change::Unchanged,
        (false, false) => Change::Configured,
    };
    Ok(Applied { change, object: reply.body, warnings: reply.warnings })
}

/// Tells whether a quota was counted up by another write at the same instant, which Helm tries again.
fn is_quota_conflict(error: &kube::Error) -> bool {
    request::is_conflict(error) && message_of(error).contains("Operation cannot be fulfilled on resourcequotas")
}

/// Reads an object; `None` when it is not there.
pub async fn get(client: &Client, target: &Target) -> Result<Option<Value>, ApplyError> {
    read(client, target, &[(header::ACCEPT, "application/json")]).await
}

/// Reads an object's metadata alone; `None` when it is not there.
pub async fn get_metadata(client: &Client, target: &Target) -> Result<Option<Value>, ApplyError> {
    read(client, target, &[(header::ACCEPT, PARTIAL)]).await
}

async fn read(
    client: &Client,
    target: &Target,
    headers: &[(header::HeaderName, &'static str)],
) -> Result<Option<Value>, ApplyError> {
    match request::send(client, Method::GET, &target.path(), headers, Vec::new()).await {
        Ok(reply) => Ok(Some(reply.body)),
        Err(error) if request::is_not_found(&error) => Ok(None),
        Err(error) => Err(target.refused("query")(error)),
    }
}

/// Patches an object with RFC 6902 operations and returns what came of it.
pub async fn json_patch(client: &Client, target: &Target, patch: &Value, manager: &str) -> Result<Value, ApplyError> {
    let uri = format!("{}?fieldManager={}", target.path(), encode(manager));
    let body = patch.to_string().into_bytes();
    request::send(client, Method::PATCH, &uri, &[(header::CONTENT_TYPE, JSON_PATCH)], body)
        .await
        .map(|reply| reply.body)
        .map_err(target.refused("patch"))
}

/// What becomes of an object's dependents when it is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    /// They are deleted afterwards.
    Background,
    /// They are deleted first.
    Foreground,
    /// They stay.
    Orphan,
}

impl Propagation {
    fn as_str(self) -> &'static str {
        match self {
            Propagation::Background => "Background",
            Propagation::Foreground => "Foreground",
            Propagation::Orphan => "Orphan",
        }
    }
}

/// What a delete came to.
#[derive(Clone, Debug)]
pub enum Deletion {
    /// There was nothing to delete.
    Absent,
    /// It is gone.
    Done,
    /// It is marked for deletion and stays until its finalizers or dependents are done; this is its tree.
    Pending(Value),
}

/// Deletes an object, if it is still the one with this uid where one is given.
pub async fn delete(
    client: &Client,
    target: &Target,
    propagation: Propagation,
    uid: Option<&str>,
) -> Result<Deletion, ApplyError> {
    let mut options = serde_json::json!({
        "apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": propagation.as_str(),
    });
    if let Some(uid) = uid {
        options["preconditions"] = serde_json::json!({ "uid": uid });
    }
    let headers = [(header::CONTENT_TYPE, "application/json")];
    match request::send(client, Method::DELETE, &target.path(), &headers, options.to_string().into_bytes()).await {
        Ok(reply) if object::is_terminating(&reply.body) => Ok(Deletion::Pending(reply.body)),
        Ok(_) => Ok(Deletion::Done),
        Err(error) if request::is_not_found(&error) => Ok(Deletion::Absent),
        Err(error) => Err(target.refused("delete")(error)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refused(code: u16, reason: &str, message: &str) -> ApplyError {
        let status = Status::failure(message, reason).with_code(code);
        let id = ObjectId { group: String::new(), kind: "Secret".into(), namespace: "n".into(), name: "s".into() };
        ApplyError::Refused { id, action: "apply", source: kube::Error::Api(status.boxed()) }
    }

    #[test]
    fn immutable_fields_are_told_as_flux_tells_them() {
        let rows = [
            (409, "Conflict", "x", true),
            (422, "Invalid", "x", true),
            (400, "BadRequest", "Value is immutable", true),
            (403, "Forbidden", "admission webhook: the IAMPolicyMember's spec is immutable", true),
            (400, "BadRequest", "immutable field", true),
            (400, "BadRequest", "is not immutable", false),
            (500, "InternalError", "x", false),
        ];
        for (code, reason, message, expected) in rows {
            assert_eq!(refused(code, reason, message).is_immutable(), expected, "{code} {message}");
        }
    }

    #[test]
    fn a_refusal_names_object_reason_and_message_once() {
        assert_eq!(
            refused(422, "Invalid", "data: field is immutable").to_string(),
            "Secret/n/s apply failed (Invalid): data: field is immutable"
        );
        assert_eq!(
            refused(404, "NotFound", "namespaces \"n\" not found").to_string(),
            "Secret/n/s not found: namespaces \"n\" not found"
        );
    }

    #[test]
    fn an_immutable_field_is_told_from_other_refusals() {
        let with = |causes: Value| {
            let details = serde_json::from_value(json!({ "causes": causes })).expect("details");
            let status = Status::failure("m", "Invalid").with_code(422).with_details(details);
            let id = ObjectId { group: String::new(), kind: "Service".into(), namespace: "n".into(), name: "s".into() };
            ApplyError::Refused { id, action: "apply", source: kube::Error::Api(status.boxed()) }
        };
        let selector = json!({ "field": "spec.selector", "message": "Invalid value: {}: field is immutable" });
        let other = json!({ "field": "spec.replicas", "message": "must be greater than or equal to 0" });
        assert_eq!(with(json!([selector])).immutable_fields(), ["spec.selector"]);
        assert!(with(json!([selector, other])).immutable_fields().is_empty());
        assert!(with(json!([other])).immutable_fields().is_empty());
        assert_eq!(
            refused(403, "Forbidden", "updates to statefulset spec for fields other than 'a'").immutable_fields(),
            ["."]
        );
        assert!(refused(409, "Conflict", "field is immutable").immutable_fields().is_empty());
    }

    #[test]
    fn the_fields_that_the_server_named_are_listed() {
        let details =
            json!({"causes": [{"field": "spec.selector", "message": "field is immutable"}, {"message": "no field"}]});
        let status = Status::failure("m", "Invalid")
            .with_code(422)
            .with_details(serde_json::from_value(details).expect("details"));
        let error = ApplyError::Refused {
            id: ObjectId { group: String::new(), kind: "Service".into(), namespace: "n".into(), name: "s".into() },
            action: "apply",
            source: kube::Error::Api(status.boxed()),
        };
        assert_eq!(error.fields(), ["spec.selector"]);
    }

    #[test]
    fn an_unreachable_server_is_an_outage_and_a_refusal_is_not() {
        assert!(refused(503, "ServiceUnavailable", "x").is_outage());
        assert!(!refused(500, "InternalError", "failed to create typed patch object").is_outage());
        assert!(!refused(403, "Forbidden", "x").is_outage());
    }

    #[test]
    fn the_query_says_what_is_asked() {
        assert_eq!(ApplyOptions::kustomize("a b").query(), "fieldManager=a%20b&force=true");
        let dry = ApplyOptions { dry_run: true, ..ApplyOptions::helm("helm-controller") };
        assert_eq!(dry.query(), "fieldManager=helm-controller&force=true&fieldValidation=Strict&dryRun=All");
    }
}
