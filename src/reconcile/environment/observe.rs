//! What must be there before a run can begin: the fields are acted on, the source has an artifact, dependencies are
//! ready. All of it is read from watches.

use std::sync::Arc;

use super::{Environments, supported};
use crate::{
    api::{Artifact, Kustomization, conditions, kustomization::KustomizationSourceKind, reasons},
    cluster::{expressions::HealthChecks, object::ObjectId},
    reconcile::expressions::ReadyExpr,
    telemetry::chain,
};

/// What keeps a run from beginning. What is applied stays as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Blocked {
    /// It begins when what it waits for changes, which is watched.
    Until {
        /// Reason of Ready.
        reason: &'static str,
        /// Message of Ready.
        message: String,
    },
    /// Only a change of the object helps.
    Stalled {
        /// Reason of Ready and Stalled.
        reason: &'static str,
        /// Message of Ready and Stalled.
        message: String,
    },
}

impl Blocked {
    /// An expression of the spec that cannot be used.
    fn invalid_expression(error: &(dyn std::error::Error + 'static)) -> Self {
        let message = format!("Reconciliation failed terminally due to configuration error: {}", chain(error));
        Self::Stalled { reason: reasons::INVALID_CEL_EXPRESSION, message }
    }

    /// A field or file that is not acted on.
    pub fn unsupported(what: &str) -> Self {
        Self::Stalled {
            reason: reasons::UNSUPPORTED_FIELD,
            message: format!("{what} is not supported by this version; what is applied stays as it is"),
        }
    }
}

/// Returns the namespace of a Kustomization's source.
pub fn source_namespace(object: &Kustomization) -> &str {
    let own = object.metadata.namespace.as_deref().unwrap_or_default();
    object.spec.source_ref.namespace.as_deref().filter(|namespace| !namespace.is_empty()).unwrap_or(own)
}

impl Environments {
    /// Returns the artifact to apply, or what keeps the run from beginning.
    pub(super) fn prerequisites(&self, object: &Kustomization) -> Result<Artifact, Blocked> {
        if let Some(field) = supported::unsupported(object) {
            return Err(Blocked::unsupported(field));
        }
        HealthChecks::of(&object.spec.health_check_exprs).map_err(|error| Blocked::invalid_expression(&error))?;
        let artifact = self.artifact(object)?;
        self.dependencies(object, &artifact)?;
        Ok(artifact)
    }

    fn artifact(&self, object: &Kustomization) -> Result<Artifact, Blocked> {
        let reference = &object.spec.source_ref;
        let (namespace, name) = (source_namespace(object), &reference.name);
        if self.no_cross_namespace_refs && Some(namespace) != object.metadata.namespace.as_deref() {
            let kind = reference.kind.as_str();
            return Err(Blocked::Stalled {
                reason: reasons::ACCESS_DENIED,
                message: format!(
                    "can't access '{kind}/{namespace}/{name}', cross-namespace references have been blocked"
                ),
            });
        }
        if reference.kind != KustomizationSourceKind::GitRepository {
            return Err(Blocked::unsupported(&format!("spec.sourceRef.kind {}", reference.kind.as_str())));
        }
        let failed = |message: String| Blocked::Until { reason: reasons::ARTIFACT_FAILED, message };
        let Some(source) = self.git_repositories.find(namespace, name) else {
            return Err(failed(format!("gitrepositories.source.toolkit.fluxcd.io \"{name}\" not found")));
        };
        let artifact = source.status.as_ref().and_then(|status| status.artifact.clone());
        artifact.ok_or_else(|| failed("Source artifact not found, retrying when the source has one".to_owned()))
    }

    /// Checks dependencies as Flux does: there, up to date, ready, and of the same revision where the source is the
    /// same. An expression takes the place of all but the first.
    fn dependencies(&self, object: &Kustomization, artifact: &Artifact) -> Result<(), Blocked> {
        let own = object.metadata.namespace.as_deref().unwrap_or_default();
        for reference in &object.spec.depends_on {
            let namespace = reference.namespace.as_deref().filter(|namespace| !namespace.is_empty()).unwrap_or(own);
            let found = self.watched.find(namespace, &reference.name);
            let expression = ReadyExpr::of(reference.ready_expr.as_deref(), &reference.name);
            let expression = expression.map_err(|error| Blocked::invalid_expression(&error))?;
            let by_expression =
                expression.zip(found.as_deref()).map(|(expression, found)| expression.holds(object, found));
            let problem = match (by_expression, &found) {
                (_, None) => Some(format!(
                    "not found: kustomizations.kustomize.toolkit.fluxcd.io \"{}\" not found",
                    reference.name
                )),
                (Some(Ok(true)), _) => None,
                (Some(Ok(false)), _) => Some("is not ready according to readyExpr eval".to_owned()),
                (Some(Err(error)), _) => {
                    return Err(Blocked::Until { reason: reasons::DEPENDENCY_NOT_READY, message: chain(&error) });
                }
                (None, Some(dependency)) if !is_ready(dependency) => Some("is not ready".to_owned()),
                (None, Some(dependency)) if is_behind(dependency, object, artifact) => {
                    Some("revision is not up to date".to_owned())
                }
                (None, Some(_)) => None,
            };
            if let Some(problem) = problem {
                return Err(Blocked::Until {
                    reason: reasons::DEPENDENCY_NOT_READY,
                    message: format!("dependency '{namespace}/{}' {problem}", reference.name),
                });
            }
        }
        Ok(())
    }
}

/// Tells whether a dependency has reconciled its last change and is ready.
pub fn is_ready(dependency: &Arc<Kustomization>) -> bool {
    dependency.status.as_ref().is_some_and(|status| {
        Some(status.observed_generation) == dependency.metadata.generation
            && conditions::is_true(&status.conditions, conditions::READY)
    })
}

fn is_behind(dependency: &Kustomization, object: &Kustomization, artifact: &Artifact) -> bool {
    let (theirs, ours) = (&dependency.spec.source_ref, &object.spec.source_ref);
    let same = theirs.name == ours.name
        && theirs.kind == ours.kind
        && source_namespace(dependency) == source_namespace(object);
    let applied = dependency.status.as_ref().and_then(|status| status.last_applied_revision.as_deref());
    same && !applied.is_some_and(|revision| artifact.has_revision(revision))
}

/// Tells whether an object is the Kustomization itself, which cannot wait for its own health.
pub fn is_self(object: &Kustomization, id: &ObjectId) -> bool {
    id.kind == "Kustomization"
        && Some(&id.name) == object.metadata.name.as_ref()
        && Some(&id.namespace) == object.metadata.namespace.as_ref()
}
