//! `dependsOn[].readyExpr`: when a dependency is ready, as the object that depends on it says.

use serde::Serialize;

use crate::cluster::expressions::{Expression, ExpressionError};

/// The names of the objects that an expression sees.
const OWN: &str = "self";
const DEPENDENCY: &str = "dep";

/// Why an expression did not say whether a dependency is ready.
#[derive(Debug, thiserror::Error)]
pub enum ReadyExprError {
    #[error("failed to evaluate dependency {0}")]
    Invalid(String, #[source] ExpressionError),
    #[error(transparent)]
    Evaluate(ExpressionError),
    #[error("failed to convert {0} object to map")]
    Convert(&'static str, #[source] serde_json::Error),
}

impl ReadyExprError {
    /// Tells whether only another expression can help.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Invalid(..))
    }
}

/// Tells whether a dependency is ready by an expression over `self`, the object that depends on it, and `dep`.
pub fn is_ready(
    expression: &str,
    name: &str,
    own: &impl Serialize,
    dependency: &impl Serialize,
) -> Result<bool, ReadyExprError> {
    let compiled = Expression::compile(expression, &[OWN, DEPENDENCY]);
    let compiled = compiled.map_err(|error| ReadyExprError::Invalid(name.to_owned(), error))?;
    let own = serde_json::to_value(own).map_err(|error| ReadyExprError::Convert(OWN, error))?;
    let dependency = serde_json::to_value(dependency).map_err(|error| ReadyExprError::Convert(DEPENDENCY, error))?;
    compiled.is_true(&[(OWN, &own), (DEPENDENCY, &dependency)]).map_err(ReadyExprError::Evaluate)
}
