//! What conditions, events and logs say of drift, in Flux's words. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::{
    cluster::{apply::Change, diff::Counts, object::ObjectId},
    reconcile::corrections::{CORRECTION_WINDOW, MAX_CORRECTIONS},
};

/// How one object compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// It is not there.
    Removed,
    Changed(Counts),
    /// It is left out of the comparison.
    Excluded,
    Unchanged,
}

/// Writes one line for each object that is not as it should be, or is left out.
pub fn lines<'a>(findings: impl IntoIterator<Item = (&'a ObjectId, Finding)>) -> String {
    let lines: Vec<String> = findings
        .into_iter()
        .filter_map(|(id, finding)| match finding {
            Finding::Removed => Some(format!("{id} removed")),
            Finding::Excluded => Some(format!("{id} excluded")),
            Finding::Changed(Counts { additions, changes, removals }) => {
                Some(format!("{id} changed ({additions} additions, {changes} changes, {removals} removals)"))
            }
            Finding::Unchanged => None,
        })
        .collect();
    lines.join("\n")
}

/// Counts the objects, for a log.
pub fn brief(findings: impl IntoIterator<Item = Finding>) -> String {
    let (mut removed, mut changed, mut excluded) = (0, 0, 0);
    for finding in findings {
        match finding {
            Finding::Removed => removed += 1,
            Finding::Changed(_) => changed += 1,
            Finding::Excluded => excluded += 1,
            Finding::Unchanged => {}
        }
    }
    format!("removed: {removed}, changed: {changed}, excluded: {excluded}")
}

/// Says that a release has drifted.
pub fn drifted(release: &str, lines: &str) -> String {
    format!("Cluster state of release {release} has drifted from the desired state:\n{lines}")
}

/// What a correction came to.
#[derive(Debug, Default)]
pub struct Corrected {
    pub changes: Vec<(ObjectId, Change)>,
    pub errors: Vec<String>,
}

/// Says what a correction came to; nothing where there was nothing to do.
pub fn corrected(release: &str, corrected: &Corrected) -> Option<String> {
    let changes: Vec<_> = corrected.changes.iter().map(|(id, change)| format!("{id} {change}")).collect();
    let changes = changes.join("\n");
    match (corrected.errors.is_empty(), changes.is_empty()) {
        (true, true) => None,
        (true, false) => Some(format!("Cluster state of release {release} has been corrected:\n{changes}")),
        (false, is_none) => {
            let partially = if is_none { "" } else { "partially " };
            let errors = corrected.errors.join("\n");
            let mut text = format!("Failed to {partially}correct cluster state of release {release}:\n{errors}");
            if !is_none {
                let _ = write!(text, "\n\nSuccessful corrections:\n{changes}");
            }
            Some(text)
        }
    }
}

/// Says who changes an object again and again, and what is done about it. `managers` are those of the changed fields,
/// the newest first; none where the object is deleted.
pub fn fight(id: &ObjectId, finding: Finding, managers: &[String]) -> String {
    let what = match (finding, managers) {
        (Finding::Removed, _) => "is deleted again and again".to_owned(),
        (_, []) => "is changed again and again".to_owned(),
        (_, managers) => {
            let names: Vec<_> = managers.iter().map(|name| format!("{name:?}")).collect();
            format!("is changed again and again by {}", names.join(", "))
        }
    };
    let window = CORRECTION_WINDOW.as_mins();
    format!(
        "{id} {what}: after {MAX_CORRECTIONS} corrections within {window} minutes it is left as it is until the next interval"
    )
}

/// Says which kinds are not watched.
pub fn unwatched(kinds: &BTreeMap<String, String>) -> Option<String> {
    if kinds.is_empty() {
        return None;
    }
    let names: Vec<_> = kinds.keys().map(String::as_str).collect();
    let reasons: BTreeSet<_> = kinds.values().map(String::as_str).collect();
    let reasons: Vec<_> = reasons.into_iter().collect();
    let (names, reasons) = (names.join(", "), reasons.join("; "));
    Some(format!("{names} cannot be watched and is compared at the interval: {reasons}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(kind: &str, namespace: &str, name: &str) -> ObjectId {
        ObjectId { group: String::new(), kind: kind.into(), namespace: namespace.into(), name: name.into() }
    }

    #[test]
    fn a_partial_correction_tells_both_parts() {
        let some = Corrected {
            changes: vec![(id("Secret", "n", "s"), Change::Created)],
            errors: vec!["Deployment/n/d patch failure: refused".to_owned()],
        };
        assert_eq!(
            corrected("n/r.v1", &some).unwrap(),
            "Failed to partially correct cluster state of release n/r.v1:\nDeployment/n/d patch failure: refused\n\n\
             Successful corrections:\nSecret/n/s created"
        );
        assert_eq!(corrected("n/r.v1", &Corrected::default()), None);
    }

    #[test]
    fn a_fight_names_the_other_side() {
        let changed = Finding::Changed(Counts::default());
        let of = id("Deployment", "n", "d");
        let text = fight(&of, changed, &["hpa".to_owned(), "x".to_owned()]);
        assert!(
            text.starts_with("Deployment/n/d is changed again and again by \"hpa\", \"x\": after 3 corr"),
            "{text}"
        );
        assert!(fight(&of, Finding::Removed, &[]).contains("is deleted again and again"));
    }

    #[test]
    fn kinds_that_are_not_watched_are_named_with_the_reason() {
        assert_eq!(unwatched(&BTreeMap::new()), None);
        let kinds = [("Widget".to_owned(), "forbidden".to_owned()), ("Gadget".to_owned(), "forbidden".to_owned())];
        let text = unwatched(&BTreeMap::from(kinds)).unwrap();
        assert_eq!(text, "Gadget, Widget cannot be watched and is compared at the interval: forbidden");
    }
}
