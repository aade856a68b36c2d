//! What keeps a release from being acted on, and what the status and the next run make of it.

use super::decide::StateError;
use crate::{api::reasons, telemetry::chain};

/// How a run ends that met an obstacle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Tried again after the backoff.
    Retry,
    /// Tried again when what it waits for changes.
    Wait,
    /// Nothing is tried until the object changes; the condition Stalled says so.
    Terminal,
}

/// What keeps a release from being acted on. What is installed stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obstacle {
    pub reason: &'static str,
    pub message: String,
    pub class: Class,
    /// Whether an event tells of it: not of what passes by itself.
    pub is_told: bool,
    /// What the event says, where that is not the condition's message.
    pub told_as: Option<String>,
    /// Whether something was refused, and not only out of reach.
    pub is_refusal: bool,
}

impl Obstacle {
    /// Reasons that are about what comes before the release's state is looked at.
    pub const PREREQUISITES: &[&str] = &[reasons::ARTIFACT_FAILED, reasons::SOURCE_NOT_READY, reasons::VALUES_ERROR];
    /// Reasons that may be only that something could not be read.
    pub const OUTAGES: &[&str] =
        &[reasons::ARTIFACT_FAILED, reasons::SOURCE_NOT_READY, reasons::VALUES_ERROR, reasons::STATE_ERROR];

    fn new(class: Class, reason: &'static str, message: String) -> Self {
        let is_told = class != Class::Wait;
        Self { reason, message, class, is_told, told_as: None, is_refusal: false }
    }

    /// An obstacle that passes by itself, or by a change that is watched.
    pub fn wait(reason: &'static str, message: impl Into<String>) -> Self {
        Self::new(Class::Wait, reason, message.into())
    }

    /// A failure that is tried again.
    pub fn retry(reason: &'static str, message: impl Into<String>) -> Self {
        Self::new(Class::Retry, reason, message.into())
    }

    /// A mistake that only a change of the object can mend.
    pub fn terminal(reason: &'static str, message: impl Into<String>) -> Self {
        Self::new(Class::Terminal, reason, message.into())
    }

    /// Tells whether it is only that something could not be read: the source or the values.
    pub fn is_outage(&self) -> bool {
        self.class != Class::Terminal && !self.is_refusal && Self::OUTAGES.contains(&self.reason)
    }

    /// Tells whether it is about what comes before the release's state is looked at.
    pub fn is_prerequisite(&self) -> bool {
        Self::PREREQUISITES.contains(&self.reason)
    }

    /// The release's state could not be told. The message is Flux's.
    pub fn undetermined(problem: impl std::fmt::Display) -> Self {
        Self::retry(reasons::STATE_ERROR, format!("Could not determine release state: {problem}"))
    }

    /// The release's state could not be read.
    pub fn unread(error: &(dyn std::error::Error + 'static)) -> Self {
        Self::undetermined(chain(error))
    }

    /// An expression of the spec that cannot be used.
    pub fn invalid_expression(error: &(dyn std::error::Error + 'static)) -> Self {
        let problem = chain(error);
        let message = format!("Reconciliation failed terminally due to configuration error: {problem}");
        Self { told_as: Some(problem), ..Self::terminal(reasons::INVALID_CEL_EXPRESSION, message) }
    }

    /// An expression that tells whether a dependency is ready, and cannot be used.
    pub fn invalid_ready_expression(error: &(dyn std::error::Error + 'static)) -> Self {
        let told_as = Some(format!("terminal error: {}", chain(error)));
        Self { told_as, ..Self::invalid_expression(error) }
    }

    /// A field that this version does not act on and that decides where, as whom or what is applied.
    pub fn unsupported(field: &str) -> Self {
        Self::terminal(
            reasons::UNSUPPORTED_FIELD,
            format!("{field} is not supported by this version; what is installed stays as it is until it is removed"),
        )
    }
}

impl From<StateError> for Obstacle {
    fn from(error: StateError) -> Self {
        Self::undetermined(format_args!(
            "{error}; something else changed the release: `helm rollback` to a good revision, or `helm uninstall`, brings \
             it to a state that is gone on from at once"
        ))
    }
}
