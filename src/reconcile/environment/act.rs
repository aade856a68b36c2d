//! Applies objects in stages and deletes those that are not wanted any more.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use futures::{FutureExt, StreamExt, stream};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::{
    manifests::{Fault, Manifest},
    order::{self, Stage, rank, stage},
};
use crate::{
    api::{Kustomization, meta},
    cluster::{
        apply::{self, ApplyError, ApplyOptions, Change, Deletion, Propagation, Target},
        connection::Connection,
        managed_fields::{self, FoldedManager},
        object::{self, ObjectId, has_switch},
        prune::{PruneRules, Pruned, prune},
        request::ServedKind,
        status::JobRule,
        wait::{self, Ready, WaitOptions, WaitTarget},
        watch::{Lookup, OwnedObjects, Owner},
    },
    reconcile::shell::Permit,
};

/// Objects of one place in the order that are written side by side.
const SIDE_BY_SIDE: usize = 8;
/// How long definitions and classes may take to become ready (Flux: 60 s).
const STAGE_TIMEOUT: Duration = Duration::from_mins(1);
/// How long one object may take, its replacement included.
const OBJECT_TIMEOUT: Duration = Duration::from_mins(2);

/// An object that is as it should be now.
#[derive(Clone, Debug)]
pub struct Settled {
    /// Its kind as the cluster serves it.
    pub kind: Arc<ServedKind>,
    /// What was done.
    pub change: Change,
    /// Its tree as the API server returned it; none for what was skipped.
    pub live: Option<Value>,
}

/// An object that could not be applied.
#[derive(Debug)]
pub struct Refused {
    /// Who it is, as far as that is known.
    pub id: ObjectId,
    /// Where it comes from, and why.
    pub fault: Fault,
    /// Something else may mend it: a definition, a namespace, the API server's return.
    pub may_pass: bool,
}

/// What an apply came to.
#[derive(Debug, Default)]
pub struct Applied {
    /// What was done, in order.
    pub settled: Vec<(ObjectId, Settled)>,
    /// What could not be done.
    pub refused: Vec<Refused>,
    /// The API server cannot be reached: nothing more was tried.
    pub outage: Option<String>,
}

impl Applied {
    /// Lists what was done to each object.
    pub fn changes(&self) -> Vec<(ObjectId, Change)> {
        self.settled.iter().map(|(id, settled)| (id.clone(), settled.change)).collect()
    }
}

/// What a pass over the objects of one Kustomization needs.
pub struct Pass<'a> {
    /// The cluster, as whom everything is done.
    pub connection: &'a Connection,
    /// The watches over what was applied.
    pub owned: &'a OwnedObjects,
    /// Managers whose fields are taken over.
    pub folded: &'a [FoldedManager],
    /// The Kustomization.
    pub object: &'a Kustomization,
    /// The same, as the watches name it.
    pub owner: &'a Owner,
    /// The run's right to work.
    pub permit: Permit,
    /// The process ends.
    pub shutdown: CancellationToken,
}

impl Pass<'_> {
    /// Applies objects: definitions and classes first, then all else, each in order. What fails stops nothing else.
    pub async fn apply(&self, manifests: &[&Manifest]) -> Applied {
        let mut applied = Applied::default();
        for wanted in [Stage::Definitions, Stage::Classes, Stage::Rest] {
            let mut objects: Vec<_> =
                manifests.iter().copied().filter(|manifest| stage(&manifest.object) == wanted).collect();
            objects.sort_by(|a, b| order::compare(&a.id, &b.id));
            let before = applied.settled.len();
            for place in objects.chunk_by(|a, b| rank(&a.id.kind) == rank(&b.id.kind)) {
                self.apply_place(place, &mut applied).await;
                if applied.outage.is_some() || self.shutdown.is_cancelled() {
                    return applied;
                }
            }
            if wanted != Stage::Rest {
                self.stage_ready(wanted, manifests, before, &mut applied).await;
            }
        }
        applied
    }

    async fn apply_place(&self, manifests: &[&Manifest], applied: &mut Applied) {
        let mut writes = Vec::with_capacity(manifests.len());
        for manifest in manifests {
            let write = self.apply_one(manifest);
            writes.push(async move { (*manifest, tokio::time::timeout(OBJECT_TIMEOUT, write).await) }.boxed());
        }
        let mut results = stream::iter(writes).buffered(SIDE_BY_SIDE);
        while let Some((manifest, done)) = results.next().await {
            match done {
                Ok(Ok((id, settled))) => applied.settled.push((id, settled)),
                Ok(Err(error)) => {
                    if error.is_outage() {
                        applied.outage = Some(error.to_string());
                        return;
                    }
                    applied.refused.push(refused(manifest, &error));
                }
                Err(_) => {
                    let message = format!("{} apply failed: no answer within {OBJECT_TIMEOUT:?}", manifest.id);
                    let fault = Fault { place: manifest.place.clone(), message };
                    applied.refused.push(Refused { id: manifest.id.clone(), fault, may_pass: true });
                }
            }
        }
    }

    async fn apply_one(&self, manifest: &Manifest) -> Result<(ObjectId, Settled), ApplyError> {
        let target = Target::of(&self.connection.discovery, &manifest.object).await?;
        let before = if is_left_alone(&manifest.object) {
            Before::LeftAlone
        } else {
            self.before(&target, &manifest.object).await?
        };
        let settled = |change, live| (target.id.clone(), Settled { kind: target.kind.clone(), change, live });
        let fingerprint = match before {
            Before::LeftAlone => return Ok(settled(Change::Skipped, None)),
            Before::Absent => None,
            Before::There(fingerprint) => Some(fingerprint),
        };
        let options = ApplyOptions::kustomize(meta::KUSTOMIZE_FIELD_MANAGER);
        let mut object = manifest.object.clone();
        if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut)
            && !target.kind.namespaced
        {
            metadata.remove("namespace");
        }
        let done = match apply::apply(&self.connection.client, &target, &object, options, None).await {
            Err(error) if error.is_immutable() && fingerprint.is_some() && self.forces(&manifest.object) => {
                self.replace(&target, &object, options).await?
            }
            other => other?,
        };
        let own = managed_fields::fingerprint(&done.object, meta::KUSTOMIZE_FIELD_MANAGER);
        let change = match fingerprint {
            Some(known) if done.change != Change::Created && known == own => Change::Unchanged,
            Some(_) if done.change != Change::Created => Change::Configured,
            _ => Change::Created,
        };
        for warning in &done.warnings {
            tracing::warn!(object = %target.id, place = %manifest.place, warning, "the API server warned");
        }
        self.owned.expect(self.owner, &target.id, &done.object);
        Ok(settled(change, Some(done.object)))
    }

    /// Looks at the object in the cluster, from the watch where that knows it, and takes over what older tools own.
    async fn before(&self, target: &Target, wanted: &Value) -> Result<Before, ApplyError> {
        let if_not_present = has_switch(wanted, meta::KUSTOMIZE_SSA, "IfNotPresent");
        let merges = has_switch(wanted, meta::KUSTOMIZE_SSA, "Merge");
        if let Lookup::There(seen) = self.owned.look(&target.kind, &target.id) {
            let merges = merges || has_switch(&seen.switches, meta::KUSTOMIZE_SSA, "Merge");
            if is_left_alone(&seen.switches) || if_not_present {
                return Ok(Before::LeftAlone);
            }
            if !seen.needs_fold || merges {
                return Ok(Before::There(seen.fingerprint));
            }
        }
        let Some(live) = apply::get_metadata(&self.connection.client, target).await? else { return Ok(Before::Absent) };
        if is_left_alone(&live) || if_not_present {
            return Ok(Before::LeftAlone);
        }
        let own = managed_fields::fingerprint(&live, meta::KUSTOMIZE_FIELD_MANAGER);
        let merges = merges || has_switch(&live, meta::KUSTOMIZE_SSA, "Merge");
        if !merges && let Some(patch) = managed_fields::fold(&live, self.folded, meta::KUSTOMIZE_FIELD_MANAGER) {
            apply::json_patch(&self.connection.client, target, &patch, meta::KUSTOMIZE_FIELD_MANAGER).await?;
            // Whatever the entry was before, it is another one now.
            return Ok(Before::There(None));
        }
        Ok(Before::There(own))
    }

    fn forces(&self, wanted: &Value) -> bool {
        self.object.spec.force || has_switch(wanted, meta::KUSTOMIZE_FORCE, meta::ENABLED)
    }

    /// Deletes an object whose immutable field is to change, and applies it anew when it is gone.
    async fn replace(
        &self,
        target: &Target,
        object: &Value,
        options: ApplyOptions<'_>,
    ) -> Result<apply::Applied, ApplyError> {
        tracing::info!(object = %target.id, "immutable field changed: the object is made anew");
        let deletion = apply::delete(&self.connection.client, target, Propagation::Background, None).await?;
        if let Deletion::Pending(tree) = deletion {
            let waited = WaitTarget { target: target.clone(), known: Some(tree) };
            // What is still there when the time is up makes the apply fail again, and says why.
            let _ = self
                .permit
                .waiting(wait::gone(&self.connection.client, vec![waited], STAGE_TIMEOUT, &self.shutdown))
                .await;
        }
        apply::apply(&self.connection.client, target, object, options, None).await
    }

    /// Waits for what a stage applied, and for the kinds that its definitions bring.
    async fn stage_ready(&self, wanted: Stage, manifests: &[&Manifest], from: usize, applied: &mut Applied) {
        let stage: Vec<_> = applied.settled[from..].iter().filter(|(_, one)| one.live.is_some()).cloned().collect();
        let targets = stage
            .iter()
            .map(|(id, one)| WaitTarget {
                target: Target { kind: one.kind.clone(), id: id.clone() },
                known: one.live.clone(),
            })
            .collect();
        let options = WaitOptions {
            ready: Ready::Objects(JobRule::Started),
            timeout: STAGE_TIMEOUT,
            checks: Arc::default(),
            fail_fast: false,
            sharing: None,
        };
        if let Err(error) =
            self.permit.waiting(wait::ready(&self.connection.client, targets, &options, &self.shutdown)).await
        {
            for unready in error.unready() {
                let found =
                    manifests.iter().find(|one| one.id.name == unready.id.name && one.id.kind == unready.id.kind);
                if let Some(manifest) = found {
                    let message =
                        format!("{} status: '{}': {}", unready.id, unready.health.status, unready.health.message);
                    let fault = Fault { place: manifest.place.clone(), message };
                    applied.refused.push(Refused { id: unready.id.clone(), fault, may_pass: true });
                }
            }
        }
        let changed = |one: &Settled| matches!(one.change, Change::Created | Change::Configured);
        if wanted == Stage::Definitions
            && stage.iter().any(|(id, one)| id.kind == "CustomResourceDefinition" && changed(one))
        {
            self.kinds_appear(&stage, manifests).await;
        }
    }

    async fn kinds_appear(&self, stage: &[(ObjectId, Settled)], manifests: &[&Manifest]) {
        self.connection.discovery.invalidate();
        let defined: BTreeSet<(String, String)> = stage
            .iter()
            .filter_map(|(_, one)| {
                let live = one.live.as_ref()?;
                let text = |pointer: &str| Some(live.pointer(pointer)?.as_str()?.to_owned());
                Some((text("/spec/group")?, text("/spec/names/kind")?))
            })
            .collect();
        let used: BTreeSet<(&str, &str)> = manifests
            .iter()
            .filter(|manifest| defined.contains(&(manifest.id.group.clone(), manifest.id.kind.clone())))
            .filter_map(|manifest| Some((object::api_version(&manifest.object)?, manifest.id.kind.as_str())))
            .collect();
        for (api_version, kind) in used {
            // A kind that does not appear is named when its objects are applied.
            let _ = self.connection.discovery.appear(api_version, kind).await;
        }
    }

    /// Deletes stale objects in reverse order. Gives what was done, and what is to stay tracked with the reason.
    pub async fn prune(&self, stale: Vec<(ObjectId, String)>) -> Gone {
        let rules = prune_rules(self.object);
        let mut stale = stale;
        stale.sort_by(|(a, _), (b, _)| order::compare(b, a));
        let mut gone = Gone::default();
        for place in stale.chunk_by(|(a, _), (b, _)| rank(&a.kind) == rank(&b.kind)) {
            let mut deletes = Vec::with_capacity(place.len());
            for (id, version) in place {
                self.owned.forget_object(self.owner, id);
                deletes.push(prune(&self.connection.client, &self.connection.discovery, id, version, &rules).boxed());
            }
            let mut results = stream::iter(deletes).buffered(SIDE_BY_SIDE);
            while let Some(pruned) = results.next().await {
                match pruned {
                    Pruned::Deleted(id) => gone.changes.push((id, Change::Deleted)),
                    Pruned::Pending(target, tree) => {
                        gone.changes.push((target.id.clone(), Change::Deleted));
                        gone.pending.push(WaitTarget { target, known: Some(tree) });
                    }
                    Pruned::Kept(id) => gone.changes.push((id, Change::Skipped)),
                    Pruned::Failed(id, version, error) => {
                        gone.failed.insert(id, (version, error.to_string()));
                    }
                }
            }
        }
        gone
    }
}

/// What a prune came to.
#[derive(Debug, Default)]
pub struct Gone {
    /// What was done, in order.
    pub changes: Vec<(ObjectId, Change)>,
    /// What is marked for deletion and still there.
    pub pending: Vec<WaitTarget>,
    /// What could not be deleted: version and reason.
    pub failed: BTreeMap<ObjectId, (String, String)>,
}

enum Before {
    LeftAlone,
    Absent,
    There(Option<u64>),
}

/// Tells whether an object asks not to be touched, in the source or in the cluster.
fn is_left_alone(tree: &Value) -> bool {
    has_switch(tree, meta::KUSTOMIZE_RECONCILE, meta::DISABLED) || has_switch(tree, meta::KUSTOMIZE_SSA, "Ignore")
}

/// Returns which objects of a Kustomization may be deleted.
pub fn prune_rules(object: &Kustomization) -> PruneRules {
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let meta_of = &object.metadata;
    PruneRules {
        owned_by: vec![
            pair(meta::KUSTOMIZATION_NAME, meta_of.name.as_deref().unwrap_or_default()),
            pair(meta::KUSTOMIZATION_NAMESPACE, meta_of.namespace.as_deref().unwrap_or_default()),
        ],
        kept_by: vec![
            pair(meta::KUSTOMIZE_PRUNE, meta::DISABLED),
            pair(meta::KUSTOMIZE_RECONCILE, meta::DISABLED),
            pair(meta::KUSTOMIZE_SSA, "Ignore"),
        ],
    }
}

fn refused(manifest: &Manifest, error: &ApplyError) -> Refused {
    let id = match error {
        ApplyError::Kind { id, .. }
        | ApplyError::NamespaceMissing { id }
        | ApplyError::Patch { id, .. }
        | ApplyError::Refused { id, .. } => id,
        ApplyError::Incomplete => &manifest.id,
    };
    let mut message = error.to_string();
    let fields = error.fields();
    if error.is_immutable() && !fields.is_empty() && fields.iter().any(|field| !message.contains(*field)) {
        message.extend([" (", &fields.join(", "), ")"]);
    }
    Refused {
        id: id.clone(),
        fault: Fault { place: manifest.place.clone(), message },
        may_pass: matches!(error, ApplyError::Kind { .. })
            || error.status().is_some_and(|status| matches!(status.code, 404 | 409 | 429 | 502..)),
    }
}
