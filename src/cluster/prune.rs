//! Deletes objects that are no longer wanted, as long as they are still ours.

use kube::Client;
use serde_json::Value;

use super::{
    apply::{self, ApplyError, Deletion, Propagation, Target},
    discovery::{Discovery, DiscoveryError},
    object::{self, ObjectId},
};

/// Which objects may be deleted.
#[derive(Clone, Debug, Default)]
pub struct PruneRules {
    /// Labels that an object must carry.
    pub owned_by: Vec<(String, String)>,
    /// Labels or annotations that keep an object, letter case of the value aside.
    pub kept_by: Vec<(String, String)>,
}

impl PruneRules {
    /// Tells whether an object may be deleted.
    pub fn allow(&self, object: &Value) -> bool {
        self.owned_by.iter().all(|(key, value)| object::label(object, key) == Some(value))
            && !self.kept_by.iter().any(|(key, value)| object::has_switch(object, key, value))
    }
}

/// What became of one object.
#[derive(Debug)]
pub enum Pruned {
    /// It is gone, or was not there.
    Deleted(ObjectId),
    /// It is marked for deletion; its tree.
    Pending(Target, Value),
    /// It is not ours any more, or asks to be kept.
    Kept(ObjectId),
    /// It could not be deleted and is to be tried again.
    Failed(ObjectId, String, ApplyError),
}

/// Deletes one object of an inventory in the background. Its owner is looked at first, and the delete counts only for
/// the object that was looked at.
pub async fn prune(client: &Client, discovery: &Discovery, id: &ObjectId, version: &str, rules: &PruneRules) -> Pruned {
    let failed = |error| Pruned::Failed(id.clone(), version.to_owned(), error);
    let target = match Target::of_id(discovery, id, version).await {
        Ok(target) => target,
        // With its kind all objects are gone, unless the API server could not ask who serves the group.
        Err(ApplyError::Kind { source: DiscoveryError::UnknownKind { .. }, .. })
            if discovery.is_complete(&id.group).await =>
        {
            return Pruned::Deleted(id.clone());
        }
        Err(error) => return failed(error),
    };
    let live = match apply::get_metadata(client, &target).await {
        Ok(Some(live)) => live,
        Ok(None) => return Pruned::Deleted(id.clone()),
        Err(error) => return failed(error),
    };
    if !rules.allow(&live) {
        return Pruned::Kept(id.clone());
    }
    match apply::delete(client, &target, Propagation::Background, object::uid(&live)).await {
        Ok(Deletion::Pending(tree)) => Pruned::Pending(target, tree),
        Ok(Deletion::Done | Deletion::Absent) => Pruned::Deleted(id.clone()),
        Err(error) => failed(error),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_is_ours_and_does_not_ask_to_stay_may_go() {
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let rules = PruneRules { owned_by: vec![pair("x/name", "a")], kept_by: vec![pair("x/prune", "disabled")] };
        let rows = [
            (json!({"labels": {"x/name": "a"}}), true),
            (json!({"labels": {"x/name": "b"}}), false),
            (json!({}), false),
            (json!({"labels": {"x/name": "a"}, "annotations": {"x/prune": "Disabled"}}), false),
            (json!({"labels": {"x/name": "a", "x/prune": "disabled"}}), false),
            (json!({"labels": {"x/name": "a"}, "annotations": {"x/prune": "enabled"}}), true),
        ];
        for (metadata, expected) in rows {
            assert_eq!(rules.allow(&json!({ "metadata": metadata })), expected, "{metadata}");
        }
    }
}
