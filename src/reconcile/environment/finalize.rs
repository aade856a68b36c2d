//! The end of a Kustomization: what becomes of the objects that it applied.

use std::collections::HashSet;

use super::{
    Environments, Times,
    act::{Gone, Pass},
    decide::{self, Farewell},
};
use crate::{
    api::{Kustomization, inventory::ResourceRef, reasons},
    cluster::{events::Severity, wait, watch::Owner},
    reconcile::shell::{Next, Run},
    telemetry::chain,
};

impl Environments {
    /// Does what the deletion policy says, then lets the object go.
    pub(super) async fn finalize(&self, run: &mut Run<Kustomization>, owner: &Owner) -> Next {
        let object = run.object.clone();
        let entries = run.status.inventory.clone().map(|inventory| inventory.entries).unwrap_or_default();
        let farewell = decide::farewell(&object);
        if farewell != Farewell::Leave
            && !entries.is_empty()
            && let Err(text) = self.prune_all(run, owner, &entries, farewell).await
        {
            tracing::error!("{text}");
            self.tell(&object, None, Severity::Warning, reasons::PRUNE_FAILED, &text);
            return Next::Retry;
        }
        self.owned.forget(owner);
        self.memory.forget(owner);
        match run.release().await {
            Ok(()) => Next::Change,
            Err(error) => {
                tracing::error!(error = %chain(&error), "finalizer not removed");
                Next::Retry
            }
        }
    }

    /// Deletes all that was applied. An error keeps the object; without the account that it was applied as nobody can
    /// delete it, and the object does not stay for that.
    async fn prune_all(
        &self,
        run: &Run<Kustomization>,
        owner: &Owner,
        entries: &[ResourceRef],
        farewell: Farewell,
    ) -> Result<(), String> {
        let object = &run.object;
        let stale = decide::stale(entries, &HashSet::new(), false);
        let connection = match self.connect(object, owner).await {
            Ok(connection) => connection,
            Err(error) if error.is_gone() => {
                let left: Vec<_> = stale.iter().map(|(id, _)| id.to_string()).collect();
                let text = format!("unable to prune objects: \n{}", left.join("\n"));
                tracing::error!(error = %chain(&error), "skipping pruning, failed to find account to impersonate");
                self.tell(object, None, Severity::Warning, reasons::PRUNE_FAILED, &text);
                return Ok(());
            }
            Err(error) => return Err(format!("pruning for deleted resource failed: {}", chain(&error))),
        };
        let pass = Pass {
            connection: &connection,
            owned: &self.owned,
            folded: &self.folded,
            object,
            owner,
            permit: run.permit().clone(),
            shutdown: run.shutdown().clone(),
        };
        let gone = pass.prune(stale).await;
        if let Some((_, error)) = gone.failed.values().next() {
            return Err(format!("pruning for deleted resource failed: {error}"));
        }
        let pruned: Vec<_> = gone.changes.iter().map(|(id, change)| format!("{id} {change}")).collect();
        self.tell(object, None, Severity::Normal, reasons::PROGRESSING, &pruned.join("\n"));
        if farewell == Farewell::DeleteAndWait {
            self.terminated(&pass, gone).await;
        }
        Ok(())
    }

    async fn terminated(&self, pass: &Pass<'_>, gone: Gone) {
        let timeout = Times::of(pass.object).timeout;
        let waiting = wait::gone(&pass.connection.client, gone.pending, timeout, &pass.shutdown);
        if let Err(error) = pass.permit.waiting(waiting).await {
            let text = "failed to wait for resources termination";
            tracing::error!(%error, "{text}");
            self.tell(pass.object, None, Severity::Warning, reasons::PRUNE_FAILED, text);
        }
    }
}
