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

/// An expression over `self`, the object that depends on another, and `dep`, the one that it depends on.
pub struct ReadyExpr(Expression);

impl ReadyExpr {
    /// Reads what a reference to a dependency says, which is nothing where it is empty. An expression that cannot be used
    /// is found whether the dependency is there or not.
    pub fn of(text: Option<&str>, dependency: &str) -> Result<Option<Self>, ReadyExprError> {
        let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(None) };
        let compiled = Expression::compile(text, &[OWN, DEPENDENCY]);
        compiled
            .map(|compiled| Some(Self(compiled)))
            .map_err(|error| ReadyExprError::Invalid(dependency.to_owned(), error))
    }

    /// Tells whether a dependency is ready.
    pub fn holds(&self, own: &impl Serialize, dependency: &impl Serialize) -> Result<bool, ReadyExprError> {
        let own = serde_json::to_value(own).map_err(|error| ReadyExprError::Convert(OWN, error))?;
        let dependency =
            serde_json::to_value(dependency).map_err(|error| ReadyExprError::Convert(DEPENDENCY, error))?;
        self.0.is_true(&[(OWN, &own), (DEPENDENCY, &dependency)]).map_err(ReadyExprError::Evaluate)
    }
}
