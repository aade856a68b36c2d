//! The objects of a release on the cluster: resolved, marked as Helm marks them, told from others', deleted.

use std::sync::Arc;

use kube::Client;
use serde_json::Value;

use crate::cluster::{
    apply::{self, ApplyError, Deletion, Propagation, Target},
    discovery::Discovery,
    object::{self, ObjectId},
    wait::WaitTarget,
};

/// The label of every object that Helm manages.
const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "Helm");
/// The annotations that say which release an object belongs to.
const RELEASE_NAME: &str = "meta.helm.sh/release-name";
const RELEASE_NAMESPACE: &str = "meta.helm.sh/release-namespace";
/// The annotation that keeps an object when its release does not have it any more.
const RESOURCE_POLICY: &str = "helm.sh/resource-policy";

/// The release that objects belong to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    pub release: String,
    pub namespace: String,
}

impl Owner {
    /// Returns the release that a record is of.
    pub fn of(record: &helm::release::Release) -> Self {
        Self { release: record.name.clone(), namespace: record.namespace.clone() }
    }
}

/// An object and where it goes.
#[derive(Clone, Debug)]
pub struct Resource {
    pub target: Target,
    pub tree: Arc<Value>,
}

/// Resolves the objects of a manifest. An object without a namespace goes to the release's.
pub async fn resolve(
    discovery: &Discovery,
    trees: impl IntoIterator<Item = Value>,
    namespace: &str,
) -> Result<Vec<Resource>, ApplyError> {
    let mut resources = Vec::new();
    for mut tree in trees {
        if object::namespace(&tree).is_none_or(str::is_empty) {
            tree["metadata"]["namespace"] = Value::from(namespace);
        }
        let target = Target::of(discovery, &tree).await?;
        if target.id.namespace.is_empty()
            && let Some(metadata) = tree["metadata"].as_object_mut()
        {
            metadata.remove("namespace");
        }
        resources.push(Resource { target, tree: Arc::new(tree) });
    }
    Ok(resources)
}

/// Marks an object as its release's own.
pub fn marked(tree: &Value, owner: &Owner) -> Value {
    let mut tree = tree.clone();
    object::set_metadata_entry(&mut tree, "labels", MANAGED_BY.0, MANAGED_BY.1);
    object::set_metadata_entry(&mut tree, "annotations", RELEASE_NAME, &owner.release);
    object::set_metadata_entry(&mut tree, "annotations", RELEASE_NAMESPACE, &owner.namespace);
    tree
}

/// An object that exists and belongs to someone else.
#[derive(Debug, thiserror::Error)]
#[error(
    "{kind} \"{name}\" in namespace \"{namespace}\" exists and cannot be imported into the current release: \
     invalid ownership metadata; {problems}"
)]
pub struct ForeignObject {
    kind: String,
    name: String,
    namespace: String,
    problems: String,
}

/// Says why an existing object is not this release's, in Helm's words.
pub fn foreign(existing: &Value, id: &ObjectId, owner: &Owner) -> Option<ForeignObject> {
    let mut problems = Vec::new();
    let mut check = |what: &str, key: &str, found: Option<&str>, wanted: &str| match found {
        None => problems.push(format!("{what} validation error: missing key \"{key}\": must be set to \"{wanted}\"")),
        Some(found) if found != wanted => problems.push(format!(
            "{what} validation error: key \"{key}\" must equal \"{wanted}\": current value is \"{found}\""
        )),
        Some(_) => {}
    };
    check("label", MANAGED_BY.0, object::label(existing, MANAGED_BY.0), MANAGED_BY.1);
    check("annotation", RELEASE_NAME, object::annotation(existing, RELEASE_NAME), &owner.release);
    check("annotation", RELEASE_NAMESPACE, object::annotation(existing, RELEASE_NAMESPACE), &owner.namespace);
    (!problems.is_empty()).then(|| ForeignObject {
        kind: id.kind.clone(),
        name: id.name.clone(),
        namespace: id.namespace.clone(),
        problems: problems.join("; "),
    })
}

/// Tells whether an object asks to be kept when its release does not have it any more.
pub fn is_kept(tree: &Value) -> bool {
    object::annotation(tree, RESOURCE_POLICY).is_some_and(|policy| policy.trim().eq_ignore_ascii_case("keep"))
}

/// Deletes objects in their order; those that are gone are no error. All are tried; the errors are returned.
pub async fn delete_all(
    client: &Client,
    targets: &[Target],
    propagation: Propagation,
) -> (Vec<WaitTarget>, Vec<ApplyError>) {
    let (mut pending, mut errors) = (Vec::new(), Vec::new());
    for target in targets {
        match apply::delete(client, target, propagation, None).await {
            Ok(Deletion::Pending(tree)) => {
                pending.push(WaitTarget { target: target.clone(), known: Some(tree) });
            }
            Ok(Deletion::Absent | Deletion::Done) => {}
            Err(error) => errors.push(error),
        }
    }
    (pending, errors)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn owner() -> Owner {
        Owner { release: "ui".to_owned(), namespace: "web".to_owned() }
    }

    #[test]
    fn an_object_is_marked_as_its_releases_own_and_is_then_not_foreign() {
        let tree =
            json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "a", "labels": { "x": "y" } } });
        let marked = marked(&tree, &owner());
        assert_eq!(marked["metadata"]["labels"], json!({ "x": "y", "app.kubernetes.io/managed-by": "Helm" }));
        let id = ObjectId::of(&marked).unwrap_or_else(|| panic!("{marked}"));
        assert!(foreign(&marked, &id, &owner()).is_none());
        let error = foreign(&tree, &id, &owner()).map(|e| e.to_string()).unwrap_or_default();
        assert!(error.contains("missing key \"app.kubernetes.io/managed-by\": must be set to \"Helm\""), "{error}");
    }

    #[test]
    fn the_resource_policy_keeps_an_object() {
        let tree = |policy: &str| json!({ "metadata": { "annotations": { "helm.sh/resource-policy": policy } } });
        assert!(is_kept(&tree("keep")) && is_kept(&tree(" Keep ")));
        assert!(!is_kept(&tree("delete")) && !is_kept(&json!({})));
    }
}
