//! Drift put right: objects that are missing are made, those that differ are changed back. Helm's record stays as it is, and
//! nothing is waited for.

use serde_json::{Value, json};

use super::{Acted, Recording, Work};
use crate::{
    api::meta::HELM_FIELD_MANAGER,
    cluster::{
        apply::{self, ApplyError, ApplyOptions, Change},
        client_side,
        diff::{self, Difference},
        json_diff::Operation,
        object::{self, ObjectId},
    },
    reconcile::release::drift::{self, Correction, plan},
    telemetry::chain,
};

impl Work<'_> {
    /// Puts objects right.
    pub async fn correct(&self, corrections: &[Correction]) -> Acted {
        let mut acted = Acted::new(Recording::Kept, None);
        let mut ordered: Vec<&Correction> = corrections.iter().collect();
        plan::in_order(&mut ordered, |one| (one.difference == Difference::Missing, &one.resource.target.id));
        for correction in ordered {
            let id = &correction.resource.target.id;
            let Some(change) = drift::change(&correction.difference) else { continue };
            match self.correct_one(correction).await {
                Ok(written) => {
                    self.releases.drifts.corrected(&self.object, id, &written);
                    acted.corrected.changes.push((id.clone(), change));
                }
                Err(error) => {
                    let what = if change == Change::Created { "creation" } else { "patch" };
                    acted.corrected.errors.push(format!("{id} {what} failure: {}", told(id, &error)));
                }
            }
        }
        acted
    }

    /// An apply gives the fields back to our entry, where the operations alone would leave them to another one; it is no
    /// way where fields are to be left alone, or the client applies.
    async fn correct_one(&self, correction: &Correction) -> Result<Value, ApplyError> {
        let (client, target) = (&self.connection.client, &correction.resource.target);
        let operations = match (&correction.difference, correction.is_partial) {
            (Difference::Missing, true) => {
                let made = client_side::create(client, target, &correction.resource.tree, HELM_FIELD_MANAGER).await?;
                return Ok(made.object);
            }
            (Difference::Changed(operations), true) => operations,
            _ => {
                let options = ApplyOptions { strict: false, ..ApplyOptions::helm(HELM_FIELD_MANAGER) };
                let applied = apply::apply(client, target, &correction.resource.tree, options, None).await?;
                return Ok(applied.object);
            }
        };
        let mut patch: Vec<Value> = operations.iter().map(Operation::to_json).collect();
        if let Some(version) = correction.live.as_ref().and_then(object::resource_version) {
            // The operations are about the state that was compared.
            patch.push(json!({ "op": "replace", "path": "/metadata/resourceVersion", "value": version }));
        }
        apply::json_patch(client, target, &Value::Array(patch), HELM_FIELD_MANAGER).await
    }
}

/// Says why an object was refused, without the values that the API server quotes of a Secret.
pub fn told(id: &ObjectId, error: &ApplyError) -> String {
    let text = chain(error);
    if !diff::is_secret(id) {
        return text;
    }
    match error.status() {
        Some(status) => {
            let problem = text.rsplit(':').next().unwrap_or_default().trim();
            // What is not a plain sentence may be a value.
            if problem.contains(['"', '{', '[']) {
                format!("{id} was refused ({})", status.reason)
            } else {
                problem.to_owned()
            }
        }
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    #[test]
    fn a_refusal_of_a_secret_quotes_no_value() {
        let id =
            |kind: &str| ObjectId { group: String::new(), kind: kind.into(), namespace: "n".into(), name: "s".into() };
        let refused = |kind: &str, message: &str| {
            let source = kube::Error::Api(Status::failure(message, "Invalid").with_code(422).boxed());
            told(&id(kind), &ApplyError::Refused { id: id(kind), action: "patch", source })
        };
        let message = "Secret \"s\" is invalid: data: Forbidden: field is immutable when `immutable` is set";
        assert_eq!(refused("Secret", message), "field is immutable when `immutable` is set");
        let quoted = "Secret in version \"v1\" cannot be handled: json: hunter2 {\"x\":\"hunter2\"}";
        assert!(!refused("Secret", quoted).contains("hunter2"));
        assert!(refused("ConfigMap", message).contains("is invalid"));
    }
}
