//! What keeps a source from being stored, and what the status and the next run make of it.

use crate::api::{conditions, reasons};

/// How a run ends that met an obstacle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Tried again after the backoff.
    Retry,
    /// Tried again when what it waits for changes.
    Wait,
    /// Nothing is tried until the object changes.
    Stalled,
    /// The process ends; the next one goes on.
    Interrupted,
}

/// What keeps a source from being stored. The last artifact stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obstacle {
    /// The condition that it makes True; none for what is only said by Ready.
    pub condition: Option<&'static str>,
    pub reason: &'static str,
    pub message: String,
    pub class: Class,
    /// Whether an event tells of it.
    pub is_told: bool,
}

impl Obstacle {
    /// The remote, or the way to it, failed.
    pub fn fetch(reason: &'static str, message: impl Into<String>) -> Self {
        Self::retry(conditions::FETCH_FAILED, reason, message)
    }

    /// The store failed.
    pub fn storage(reason: &'static str, message: impl Into<String>) -> Self {
        Self::retry(conditions::STORAGE_OPERATION_FAILED, reason, message)
    }

    /// Something failed that is tried again.
    pub fn retry(condition: &'static str, reason: &'static str, message: impl Into<String>) -> Self {
        Self { condition: Some(condition), reason, message: message.into(), class: Class::Retry, is_told: true }
    }

    /// Something is missing whose appearance is watched.
    pub fn wait(condition: &'static str, reason: &'static str, message: impl Into<String>) -> Self {
        Self { class: Class::Wait, is_told: false, ..Self::retry(condition, reason, message) }
    }

    /// A mistake that only a change of the object can mend.
    pub fn stalled(self) -> Self {
        Self { class: Class::Stalled, ..self }
    }

    /// A field that this version does not act on and that decides where, as whom or what is fetched.
    pub fn unsupported(field: &str) -> Self {
        let message =
            format!("{field} is not supported by this version; the stored artifact stays as it is until it is removed");
        Self { condition: None, reason: reasons::UNSUPPORTED_FIELD, message, class: Class::Stalled, is_told: true }
    }

    /// The process is asked to end.
    pub fn interrupted() -> Self {
        Self {
            condition: None,
            reason: reasons::PROGRESSING,
            message: "reconciliation was interrupted by the end of the controller".to_owned(),
            class: Class::Interrupted,
            is_told: false,
        }
    }
}
