//! Reading and changing the conditions of a status.

use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Condition, jiff::Timestamp};

use super::meta;

/// The object is as its spec says.
pub const READY: &str = "Ready";
/// Work on the latest change is under way; only there while true.
pub const RECONCILING: &str = "Reconciling";
/// Nothing more is tried until something changes; only there while true.
pub const STALLED: &str = "Stalled";
/// The last install, upgrade or test attempt.
pub const RELEASED: &str = "Released";
/// The last test run.
pub const TEST_SUCCESS: &str = "TestSuccess";
/// The last rollback or uninstall that a failure caused.
pub const REMEDIATED: &str = "Remediated";
/// Objects of the release were changed by others.
pub const DRIFTED: &str = "Drifted";
/// The health of what a Kustomization applied.
pub const HEALTHY: &str = "Healthy";
/// The artifact is stored.
pub const ARTIFACT_IN_STORAGE: &str = "ArtifactInStorage";
/// The stored artifact is not that of the source any more; only there while true.
pub const ARTIFACT_OUTDATED: &str = "ArtifactOutdated";
/// The signature of the source was verified.
pub const SOURCE_VERIFIED: &str = "SourceVerified";
/// The source could not be fetched; only there while true.
pub const FETCH_FAILED: &str = "FetchFailed";
/// The artifact could not be built; only there while true.
pub const BUILD_FAILED: &str = "BuildFailed";
/// The artifact could not be stored; only there while true.
pub const STORAGE_OPERATION_FAILED: &str = "StorageOperationFailed";
/// An included repository has no artifact; only there while true.
pub const INCLUDE_UNAVAILABLE: &str = "IncludeUnavailable";

/// The longest message that the API takes, in bytes.
pub const MAX_MESSAGE_BYTES: usize = 32768;

/// The three values of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// It holds.
    True,
    /// It does not hold.
    False,
    /// It is not known.
    Unknown,
}

impl Status {
    /// The word as it stands on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

/// Makes a condition; a message that is too long for the API is cut.
pub fn new(
    kind: &str,
    status: Status,
    reason: &str,
    message: impl Into<String>,
    generation: Option<i64>,
    now: Timestamp,
) -> Condition {
    Condition {
        type_: kind.to_owned(),
        status: status.as_str().to_owned(),
        reason: reason.to_owned(),
        message: cut(message.into()),
        observed_generation: generation,
        last_transition_time: meta::time(now),
    }
}

/// Sets a condition in place of the one of its type, keeps the moment of the last transition unless the status changes,
/// and sorts as Flux does: Stalled, Reconciling, Ready, then the newest generation first, then by type.
///
/// Tells whether anything changed.
pub fn set(conditions: &mut Vec<Condition>, mut condition: Condition) -> bool {
    let changed = match conditions.iter_mut().find(|existing| existing.type_ == condition.type_) {
        None => {
            conditions.push(condition);
            true
        }
        Some(existing) => {
            if existing.status == condition.status {
                condition.last_transition_time = existing.last_transition_time.clone();
            }
            let changed = *existing != condition;
            *existing = condition;
            changed
        }
    };
    conditions.sort_by(|a, b| order(a).cmp(&order(b)));
    changed
}

/// Finds the condition of a type.
pub fn get<'a>(conditions: &'a [Condition], kind: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.type_ == kind)
}

/// Takes the condition of a type away and gives it back.
pub fn remove(conditions: &mut Vec<Condition>, kind: &str) -> Option<Condition> {
    let index = conditions.iter().position(|condition| condition.type_ == kind)?;
    Some(conditions.remove(index))
}

/// Tells whether the condition of a type is there and True.
pub fn is_true(conditions: &[Condition], kind: &str) -> bool {
    has_status(conditions, kind, Status::True)
}

/// Tells whether the condition of a type is there and False.
pub fn is_false(conditions: &[Condition], kind: &str) -> bool {
    has_status(conditions, kind, Status::False)
}

/// Tells whether the condition of a type is there with the given status.
pub fn has_status(conditions: &[Condition], kind: &str, status: Status) -> bool {
    get(conditions, kind).is_some_and(|condition| condition.status == status.as_str())
}

/// Tells whether the condition of a type is there with the given reason.
pub fn has_reason(conditions: &[Condition], kind: &str, reason: &str) -> bool {
    get(conditions, kind).is_some_and(|condition| condition.reason == reason)
}

fn order(condition: &Condition) -> (u8, i64, &str) {
    match condition.type_.as_str() {
        STALLED => (0, 0, ""),
        RECONCILING => (1, 0, ""),
        READY => (2, 0, ""),
        other => (3, condition.observed_generation.unwrap_or(0).saturating_neg(), other),
    }
}

fn cut(mut message: String) -> String {
    const END: &str = "...";
    if message.len() > MAX_MESSAGE_BYTES {
        message.truncate(message.floor_char_boundary(MAX_MESSAGE_BYTES - END.len()));
        message.push_str(END);
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn ready(status: Status, reason: &str, second: i64) -> Condition {
        new(READY, status, reason, "m", Some(1), at(second))
    }

    #[test]
    fn the_transition_time_moves_only_with_the_status() {
        let mut conditions = Vec::new();
        assert!(set(&mut conditions, ready(Status::False, "A", 10)));
        assert!(!set(&mut conditions, ready(Status::False, "A", 20)));
        assert!(set(&mut conditions, ready(Status::False, "B", 30)));
        assert_eq!(conditions[0].last_transition_time.0, at(10));
        assert_eq!(conditions[0].reason, "B");
        assert!(set(&mut conditions, ready(Status::True, "B", 40)));
        assert_eq!(conditions[0].last_transition_time.0, at(40));
        assert_eq!(conditions.len(), 1);
    }

    #[test]
    fn a_new_generation_is_a_change_that_keeps_the_transition_time() {
        let mut conditions = vec![ready(Status::True, "A", 10)];
        assert!(set(&mut conditions, new(READY, Status::True, "A", "m", Some(2), at(20))));
        assert_eq!(conditions[0].observed_generation, Some(2));
        assert_eq!(conditions[0].last_transition_time.0, at(10));
    }

    #[test]
    fn conditions_are_sorted_for_the_reader() {
        let mut conditions = Vec::new();
        for (kind, generation) in
            [(TEST_SUCCESS, 2), (READY, 1), (RELEASED, 2), (REMEDIATED, 3), (RECONCILING, 1), (STALLED, 1)]
        {
            set(&mut conditions, new(kind, Status::True, "R", "", Some(generation), at(1)));
        }
        let order: Vec<_> = conditions.iter().map(|condition| condition.type_.as_str()).collect();
        assert_eq!(order, [STALLED, RECONCILING, READY, REMEDIATED, RELEASED, TEST_SUCCESS]);
    }

    #[test]
    fn a_condition_is_found_and_removed_by_type() {
        let mut conditions = vec![ready(Status::True, "A", 1)];
        assert!(is_true(&conditions, READY) && !is_false(&conditions, READY));
        assert!(has_reason(&conditions, READY, "A"));
        assert!(remove(&mut conditions, STALLED).is_none());
        assert!(remove(&mut conditions, READY).is_some());
        assert!(get(&conditions, READY).is_none());
    }

    #[test]
    fn a_message_that_is_too_long_is_cut_at_a_character() {
        let long = "\u{e4}".repeat(MAX_MESSAGE_BYTES);
        let message = new(READY, Status::True, "A", long, None, at(1)).message;
        assert!(message.len() <= MAX_MESSAGE_BYTES && message.len() > MAX_MESSAGE_BYTES - 5);
        assert!(message.ends_with("\u{e4}..."));
    }

    #[test]
    fn a_transition_time_has_whole_seconds() {
        let now = Timestamp::new(5, 999_000_000).unwrap();
        assert_eq!(new(READY, Status::True, "A", "", None, now).last_transition_time.0, at(5));
    }
}
