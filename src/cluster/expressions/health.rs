//! `healthCheckExprs`: the health of custom resources told by expressions over their fields.

use std::collections::HashMap;

use serde_json::Value;

use super::{Expression, ExpressionError};
use crate::{
    api::meta::CustomHealthCheck,
    cluster::{
        object,
        status::{Health, Status},
    },
};

/// Why health checks cannot be used. The texts are Flux's.
#[derive(Debug, thiserror::Error)]
pub enum HealthCheckError {
    #[error("duplicate custom health check for GroupKind {kind} at healthchecks[{index}]")]
    Double { kind: String, index: usize },
    #[error("failed to create custom status evaluator for healthchecks[{0}]: expression Current not specified")]
    NoCurrent(usize),
    #[error(
        "failed to create custom status evaluator for healthchecks[{index}]: failed to parse the expression {name}"
    )]
    Expression {
        index: usize,
        name: &'static str,
        #[source]
        source: ExpressionError,
    },
}

/// Checks of objects by group and kind; without a kind for all kinds of a group.
#[derive(Debug, Default)]
pub struct HealthChecks(HashMap<(String, Option<String>), Check>);

#[derive(Debug)]
struct Check {
    current: Expression,
    failed: Option<Expression>,
    in_progress: Option<Expression>,
}

impl HealthChecks {
    /// Reads checks.
    pub fn of(given: &[CustomHealthCheck]) -> Result<Self, HealthCheckError> {
        let mut checks = HashMap::new();
        for (index, CustomHealthCheck { api_version, current, failed, in_progress, kind }) in given.iter().enumerate() {
            let (group, _) = object::split_api_version(api_version);
            let kind = kind.clone().filter(|kind| !kind.is_empty());
            let key = (group.to_owned(), kind.clone());
            if checks.contains_key(&key) {
                let kind = kind.unwrap_or_default();
                let kind = if group.is_empty() { kind } else { format!("{kind}.{group}") };
                return Err(HealthCheckError::Double { kind, index });
            }
            if current.is_empty() {
                return Err(HealthCheckError::NoCurrent(index));
            }
            let parse = |name, text: &str| {
                Expression::parse(text).map_err(|source| HealthCheckError::Expression { index, name, source })
            };
            let optional = |name, text: &Option<String>| {
                text.as_deref().filter(|text| !text.is_empty()).map(|text| parse(name, text)).transpose()
            };
            let check = Check {
                current: parse("Current", current)?,
                failed: optional("Failed", failed)?,
                in_progress: optional("InProgress", in_progress)?,
            };
            checks.insert(key, check);
        }
        Ok(Self(checks))
    }

    /// Returns the health of an object that a check is for.
    pub fn health(&self, tree: &Value) -> Option<Health> {
        if self.0.is_empty() {
            return None;
        }
        let (group, _) = object::split_api_version(object::api_version(tree).unwrap_or_default());
        let kind = object::kind(tree).map(str::to_owned);
        let check = self.0.get(&(group.to_owned(), kind)).or_else(|| self.0.get(&(group.to_owned(), None)))?;
        Some(check.health(tree))
    }
}

impl Check {
    fn health(&self, tree: &Value) -> Health {
        let says = |status, message: &str| Health {
            status,
            reason: if status == Status::Current { String::new() } else { "HealthCheckExpression".to_owned() },
            message: message.to_owned(),
        };
        let observed = tree.pointer("/status/observedGeneration").and_then(Value::as_i64);
        if let (Some(observed), Some(generation)) = (observed, object::generation(tree))
            && observed != generation
        {
            return says(Status::InProgress, "the newest generation is not observed yet");
        }
        let fields: Vec<(&str, &Value)> =
            tree.as_object().into_iter().flatten().map(|(name, value)| (name.as_str(), value)).collect();
        for (expression, status, message) in [
            (self.in_progress.as_ref(), Status::InProgress, "healthCheckExprs: inProgress is true"),
            (self.failed.as_ref(), Status::Failed, "healthCheckExprs: failed is true"),
            (Some(&self.current), Status::Current, "healthCheckExprs: current is true"),
        ] {
            match expression.map(|expression| expression.is_true(&fields)) {
                None | Some(Ok(false)) => {}
                Some(Ok(true)) => return says(status, message),
                Some(Err(error)) => return says(Status::Unknown, &error.to_string()),
            }
        }
        says(Status::InProgress, "healthCheckExprs: current is not true")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn checks(given: Value) -> Result<HealthChecks, String> {
        let given: Vec<CustomHealthCheck> = serde_json::from_value(given).unwrap();
        HealthChecks::of(&given).map_err(|error| crate::telemetry::chain(&error))
    }

    #[test]
    fn expressions_are_asked_in_flux_order() {
        let checks = checks(json!([{ "apiVersion": "example.com/v1", "kind": "Job",
            "inProgress": "status.phase == 'Running'", "failed": "status.phase == 'Bad' || status.both",
            "current": "status.phase == 'Done' || status.both" }]))
        .unwrap();
        let status = |status: Value, generation: i64| {
            let tree = json!({ "apiVersion": "example.com/v2", "kind": "Job", "metadata": { "generation": generation }, "status": status });
            checks.health(&tree).map(|health| health.status)
        };
        for (given, expected) in [
            (json!({ "phase": "Running", "both": true }), Status::InProgress),
            (json!({ "phase": "Bad", "both": false }), Status::Failed),
            (json!({ "phase": "x", "both": true }), Status::Failed),
            (json!({ "phase": "Done", "both": false }), Status::Current),
            (json!({ "phase": "x", "both": false }), Status::InProgress),
            (json!({ "both": false }), Status::Unknown),
            (json!({ "phase": "Done", "both": false, "observedGeneration": 1 }), Status::InProgress),
            (json!({ "phase": "Done", "both": false, "observedGeneration": "1" }), Status::Current),
        ] {
            assert_eq!(status(given.clone(), 2), Some(expected), "{given}");
        }
        assert!(checks.health(&json!({ "apiVersion": "other.com/v1", "kind": "Job" })).is_none());
    }

    #[test]
    fn a_check_without_a_kind_is_for_its_group() {
        let checks = checks(json!([{ "apiVersion": "example.com/v1", "current": "true" },
            { "apiVersion": "example.com/v1", "kind": "Odd", "current": "false" }]))
        .unwrap();
        let status =
            |kind: &str| checks.health(&json!({ "apiVersion": "example.com/v1", "kind": kind })).unwrap().status;
        assert_eq!((status("Any"), status("Odd")), (Status::Current, Status::InProgress));
    }

    #[test]
    fn what_cannot_be_checked_is_refused() {
        let one = |current: &str| json!({ "apiVersion": "example.com/v1", "kind": "K", "current": current });
        for (given, expected) in [
            (
                json!([one("true"), one("true")]),
                "duplicate custom health check for GroupKind K.example.com at healthchecks[1]",
            ),
            (
                json!([one("")]),
                "failed to create custom status evaluator for healthchecks[0]: expression Current not specified",
            ),
            (
                json!([one("(")]),
                "failed to create custom status evaluator for healthchecks[0]: failed to parse the expression Current: failed to parse the CEL expression '(': ERROR: <input>:1:2: Syntax error",
            ),
        ] {
            let error = checks(given).unwrap_err();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
