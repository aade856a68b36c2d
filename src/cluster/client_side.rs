//! Client-side apply, as Helm does it: an object that is missing is made; one that is there is read, compared with the
//! last manifest and the new one, and patched where the patch is not empty.

use http::{Method, header};
use kube::Client;
use serde_json::Value;

use super::{
    apply::{self, Applied, ApplyError, Change, Target},
    json_merge, object,
    request::{self, encode},
    strategic_merge::{rules::Type, three_way},
};

const JSON: &str = "application/json";
const STRATEGIC: &str = "application/strategic-merge-patch+json";
const MERGE: &str = "application/merge-patch+json";

/// What an object is merged against, when it is there.
#[derive(Clone, Copy, Debug)]
pub enum Base<'a> {
    /// The last manifest's object: what that had and the new one has not is taken away.
    Last(&'a Value),
    /// It is new in the manifest: what is there is kept beside what the manifest has. `live` tells whether a kind
    /// without merge rules is compared with what is there; Helm does so in an install alone.
    Taken {
        /// Whether what is there counts.
        live: bool,
    },
    /// It must not be there.
    None,
}

/// Applies an object. It is looked for first where the last manifest has it, and made first where it has not.
pub async fn apply(
    client: &Client,
    target: &Target,
    wanted: &Value,
    base: Base<'_>,
    manager: &str,
) -> Result<Applied, ApplyError> {
    let live = match base {
        Base::Last(_) => apply::get(client, target).await?,
        Base::None | Base::Taken { .. } => match create(client, target, wanted, manager).await {
            Err(error) if error.is_already_there() && matches!(base, Base::Taken { .. }) => {
                apply::get(client, target).await?
            }
            done => return done,
        },
    };
    match live {
        Some(live) => update(client, target, wanted, base, live, manager).await,
        None => create(client, target, wanted, manager).await,
    }
}

/// Replaces an object by another as a whole, or makes it where it is missing. Unknown fields are refused.
pub async fn replace(client: &Client, target: &Target, wanted: &Value, manager: &str) -> Result<Applied, ApplyError> {
    let Some(live) = apply::get_metadata(client, target).await? else {
        return create(client, target, wanted, manager).await;
    };
    let mut wanted = wanted.clone();
    if let Some(version) = object::resource_version(&live) {
        wanted["metadata"]["resourceVersion"] = Value::from(version);
    }
    let uri = format!("{}?fieldManager={}&fieldValidation=Strict", target.path(), encode(manager));
    let headers = [(header::CONTENT_TYPE, JSON)];
    let reply = request::send(client, Method::PUT, &uri, &headers, wanted.to_string().into_bytes())
        .await
        .map_err(target.refused("replace"))?;
    let same = object::resource_version(&reply.body) == object::resource_version(&live);
    let change = if same { Change::Unchanged } else { Change::Configured };
    Ok(Applied { change, object: reply.body, warnings: reply.warnings })
}

/// Makes an object that is not there.
pub async fn create(client: &Client, target: &Target, wanted: &Value, manager: &str) -> Result<Applied, ApplyError> {
    let uri = format!("{}?fieldManager={}", target.kind.collection(&target.id.namespace), encode(manager));
    post(client, target, wanted, &uri).await
}

/// Asks what would happen if an object were made, and writes nothing.
pub async fn probe(client: &Client, target: &Target, wanted: &Value, manager: &str) -> Result<Applied, ApplyError> {
    let collection = target.kind.collection(&target.id.namespace);
    post(client, target, wanted, &format!("{collection}?fieldManager={}&dryRun=All", encode(manager))).await
}

async fn post(client: &Client, target: &Target, wanted: &Value, uri: &str) -> Result<Applied, ApplyError> {
    let headers = [(header::CONTENT_TYPE, JSON)];
    let body = wanted.to_string().into_bytes();
    let mut tries = request::Tries::new();
    loop {
        match request::send(client, Method::POST, uri, &headers, body.clone()).await {
            Ok(reply) => return Ok(Applied { change: Change::Created, object: reply.body, warnings: reply.warnings }),
            Err(error) if request::is_conflict(&error) && tries.another().await => {}
            Err(error) => return Err(target.refused("create")(error)),
        }
    }
}

async fn update(
    client: &Client,
    target: &Target,
    wanted: &Value,
    base: Base<'_>,
    live: Value,
    manager: &str,
) -> Result<Applied, ApplyError> {
    let (patch, media) = patch(target, wanted, base, &live)?;
    if changes_nothing(&patch, media, &live) {
        return Ok(Applied { change: Change::Unchanged, object: live, warnings: Vec::new() });
    }
    let uri = format!("{}?fieldManager={}", target.path(), encode(manager));
    let headers = [(header::CONTENT_TYPE, media)];
    let reply = request::send(client, Method::PATCH, &uri, &headers, patch.to_string().into_bytes())
        .await
        .map_err(target.refused("patch"))?;
    let same = object::resource_version(&reply.body) == object::resource_version(&live);
    let change = if same { Change::Unchanged } else { Change::Configured };
    Ok(Applied { change, object: reply.body, warnings: reply.warnings })
}

/// Tells whether an object is as a patch would leave it. A JSON merge is made of two manifests alone, and so often sets
/// what is set; what a strategic merge sets differs.
fn changes_nothing(patch: &Value, media: &str, live: &Value) -> bool {
    if media == STRATEGIC {
        return patch.as_object().is_some_and(serde_json::Map::is_empty);
    }
    let mut merged = live.clone();
    json_patch::merge(&mut merged, patch);
    merged == *live
}

/// Makes the patch and says what kind of one it is.
fn patch(target: &Target, wanted: &Value, base: Base<'_>, live: &Value) -> Result<(Value, &'static str), ApplyError> {
    let last = match base {
        Base::Last(last) => last,
        Base::Taken { .. } | Base::None => wanted,
    };
    if let Some(of) = merged_type(&target.id) {
        let patch = three_way::patch(of, last, wanted, live)
            .map_err(|source| ApplyError::Patch { id: target.id.clone(), source })?;
        return Ok((patch, STRATEGIC));
    }
    let patch = if matches!(base, Base::Taken { live: true }) {
        json_merge::three_way(last, wanted, live)
    } else {
        json_merge::two_way(last, wanted)
    };
    Ok((patch, MERGE))
}

/// Returns the merge rules of a kind that Helm merges by them: Kubernetes' own, but for those of its aggregator.
fn merged_type(id: &object::ObjectId) -> Option<Type> {
    if id.group == "apiregistration.k8s.io" { None } else { Type::of_kind(&id.group, &id.kind) }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use kube::core::ApiResource;
    use serde_json::json;

    use super::*;
    use crate::cluster::request::ServedKind;

    fn target(group: &str, kind: &str) -> Target {
        let api_version = object::join_api_version(group, "v1");
        let api = ApiResource {
            group: group.into(),
            version: "v1".into(),
            api_version,
            kind: kind.into(),
            plural: format!("{}s", kind.to_lowercase()),
        };
        let id = object::ObjectId { group: group.into(), kind: kind.into(), namespace: "n".into(), name: "a".into() };
        Target { kind: Arc::new(ServedKind { api, namespaced: true, verbs: Vec::new() }), id }
    }

    #[test]
    fn custom_resources_are_merged_as_json_without_a_look_at_what_is_there() {
        let widget = target("example.com", "Widget");
        let (last, wanted) = (json!({ "spec": { "a": 1, "b": 1 } }), json!({ "spec": { "a": 1 } }));
        let live = json!({ "spec": { "a": 9, "b": 1 } });
        let made = |base| patch(&widget, &wanted, base, &live).expect("patch");
        assert_eq!(made(Base::Last(&last)), (json!({ "spec": { "b": null } }), MERGE));
        assert_eq!(made(Base::Taken { live: true }), (json!({ "spec": { "a": 1 } }), MERGE));
        assert_eq!(made(Base::Taken { live: false }), (json!({}), MERGE));
    }

    #[test]
    fn a_merge_that_sets_what_is_set_changes_nothing() {
        let live = json!({ "metadata": { "labels": { "a": "b" }, "uid": "u" }, "spec": { "size": 1 } });
        let label = |value: &str| json!({ "metadata": { "labels": { "a": value } } });
        assert!(changes_nothing(&label("b"), MERGE, &live));
        assert!(changes_nothing(&json!({ "spec": { "gone": null } }), MERGE, &live));
        assert!(!changes_nothing(&label("c"), MERGE, &live));
        assert!(!changes_nothing(&label("b"), STRATEGIC, &live) && changes_nothing(&json!({}), STRATEGIC, &live));
    }

    #[test]
    fn kubernetes_own_kinds_are_merged_by_their_rules() {
        let pod = json!({ "spec": { "hostAliases": [{ "ip": "1.1.1.1" }] } });
        let live = json!({ "spec": { "hostAliases": [{ "ip": "2.2.2.2" }] } });
        let (patch, media) = patch(&target("", "Pod"), &pod, Base::Taken { live: false }, &live).expect("patch");
        assert_eq!(media, STRATEGIC);
        assert_eq!(patch["spec"]["hostAliases"], json!([{ "ip": "1.1.1.1" }]));
        let service = target("apiregistration.k8s.io", "APIService");
        assert_eq!(super::patch(&service, &pod, Base::Last(&pod), &live).expect("patch"), (json!({}), MERGE));
    }
}
