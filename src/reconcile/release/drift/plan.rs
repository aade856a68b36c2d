//! Which objects of a release are compared with the cluster now. Pure.

use std::collections::BTreeSet;

use crate::{cluster::object::ObjectId, reconcile::environment::order};

/// What is known before a look.
#[derive(Clone, Copy, Debug)]
pub struct Sight<'a> {
    /// All objects were compared, or written by us, for this generation and revision.
    pub is_verified: bool,
    /// The process has started since, and nothing else tells of a change: there is no hurry.
    pub may_wait: bool,
    /// The release's turn has come in the check that follows on a start.
    pub is_turn: bool,
    /// Someone asked for a reconcile.
    pub is_requested: bool,
    /// The interval is over.
    pub is_due: bool,
    /// Objects that someone touched, or that could not be compared or put right.
    pub pending: &'a BTreeSet<ObjectId>,
    /// Of those, the ones that are left as they are until the interval.
    pub held: &'a BTreeSet<ObjectId>,
    /// Objects that no watch looks after.
    pub unwatched: &'a BTreeSet<ObjectId>,
}

/// The objects that are compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    All,
    These(BTreeSet<ObjectId>),
}

impl Scope {
    /// Tells whether an object is compared.
    pub fn holds(&self, id: &ObjectId) -> bool {
        match self {
            Self::All => true,
            Self::These(ids) => ids.contains(id),
        }
    }

    /// Tells whether nothing is compared.
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::These(ids) if ids.is_empty())
    }
}

/// What a look is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    pub scope: Scope,
    /// All objects are compared when the release's turn comes.
    pub is_postponed: bool,
}

/// Chooses what is compared.
pub fn plan(sight: &Sight) -> Plan {
    if sight.is_requested || sight.is_turn || !(sight.is_verified || sight.may_wait) {
        return Plan { scope: Scope::All, is_postponed: false };
    }
    let mut these = sight.pending.clone();
    if sight.is_due {
        these.extend(sight.unwatched.iter().cloned());
    } else {
        these.retain(|id| !sight.held.contains(id));
    }
    Plan { scope: Scope::These(these), is_postponed: !sight.is_verified }
}

/// Puts what is to be put right in the order in which that is done: what is missing first, namespaces before what they
/// hold. `of` says whether an object is missing, and which it is.
pub fn in_order<T>(items: &mut [T], of: impl Fn(&T) -> (bool, &ObjectId)) {
    items.sort_by(|a, b| {
        let ((a_missing, a), (b_missing, b)) = (of(a), of(b));
        b_missing.cmp(&a_missing).then_with(|| order::compare(a, b))
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(names: &[&str]) -> BTreeSet<ObjectId> {
        let id = |name: &&str| ObjectId {
            group: String::new(),
            kind: "ConfigMap".into(),
            namespace: "n".into(),
            name: (*name).to_owned(),
        };
        names.iter().map(id).collect()
    }

    #[test]
    fn only_what_was_touched_is_compared_once_all_was() {
        let (none, touched, held, unwatched) = (ids(&[]), ids(&["t", "h"]), ids(&["h"]), ids(&["u"]));
        let rest = Sight {
            is_verified: true,
            may_wait: true,
            is_turn: false,
            is_requested: false,
            is_due: false,
            pending: &none,
            held: &none,
            unwatched: &unwatched,
        };
        let these = |names: &[&str]| (Scope::These(ids(names)), false);
        let rows = [
            ("at rest", rest, these(&[])),
            ("touched", Sight { pending: &touched, held: &held, ..rest }, these(&["t"])),
            ("due", Sight { is_due: true, ..rest }, these(&["u"])),
            (
                "due and touched",
                Sight { is_due: true, pending: &touched, held: &held, ..rest },
                these(&["h", "t", "u"]),
            ),
            ("requested", Sight { is_requested: true, ..rest }, (Scope::All, false)),
            ("new", Sight { is_verified: false, may_wait: false, ..rest }, (Scope::All, false)),
            ("started", Sight { is_verified: false, ..rest }, (Scope::These(ids(&[])), true)),
            (
                "started and touched",
                Sight { is_verified: false, pending: &touched, ..rest },
                (Scope::These(touched.clone()), true),
            ),
            ("turn", Sight { is_verified: false, is_turn: true, ..rest }, (Scope::All, false)),
        ];
        for (name, sight, (scope, is_postponed)) in rows {
            assert_eq!(plan(&sight), Plan { scope, is_postponed }, "{name}");
        }
    }
}
