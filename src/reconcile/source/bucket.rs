//! Bucket: accepted, and said to be not acted on.

use super::{DEFAULT_INTERVAL, Done, Obstacle, Sources, Stored, suspended};
use crate::api::bucket::BucketStatus;
use crate::api::{Artifact, Bucket, Condition};
use crate::reconcile::shell::{Next, Reconciled, Reconciler, Run};

/// The Bucket controller.
pub struct Buckets {
    pub sources: Sources,
}

impl Reconciled for Bucket {
    fn conditions(status: &mut BucketStatus) -> &mut Vec<Condition> {
        &mut status.conditions
    }

    fn handled_at(status: &mut BucketStatus) -> &mut Option<String> {
        &mut status.last_handled_reconcile_at
    }
}

impl Stored for Bucket {
    fn artifact(status: &mut BucketStatus) -> &mut Option<Artifact> {
        &mut status.artifact
    }

    fn observed_generation(status: &mut BucketStatus) -> &mut i64 {
        &mut status.observed_generation
    }
}

impl Reconciler for Buckets {
    type Kind = Bucket;
    const CONTROLLER: &'static str = "bucket";

    async fn reconcile(&self, run: &mut Run<Bucket>) -> Next {
        if run.object.metadata.deletion_timestamp.is_some() {
            // Another controller may have left its finalizer.
            return self.sources.delete(run).await;
        }
        if run.object.spec.suspend {
            return suspended(run);
        }
        let before = run.status.clone();
        let outcome: Result<Done, Obstacle> = Err(Obstacle::unsupported("kind Bucket"));
        self.sources.finish(run, &before, outcome, run.object.spec.interval.get_or(DEFAULT_INTERVAL))
    }
}
