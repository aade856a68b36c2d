//! How often an object is put right before it is left to whoever changes it.

use std::collections::{BTreeSet, HashMap};

use jiff::{SignedDuration, Timestamp};

use crate::cluster::object::ObjectId;

/// Corrections of one object within [`CORRECTION_WINDOW`]; after that it is left until the interval.
pub const MAX_CORRECTIONS: usize = 3;
/// The time over which corrections are counted.
pub const CORRECTION_WINDOW: SignedDuration = SignedDuration::from_mins(5);

/// Counts corrections, so that two who fight over an object do not fight without end.
#[derive(Clone, Debug, Default)]
pub struct Corrections {
    times: HashMap<ObjectId, Vec<Timestamp>>,
    held: BTreeSet<ObjectId>,
}

/// Drifted objects, by what is done with them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Divided {
    /// They are corrected now.
    pub corrected: BTreeSet<ObjectId>,
    /// They have been corrected too often and are left until the interval.
    pub held: BTreeSet<ObjectId>,
}

impl Corrections {
    /// Divides drifted objects. At the interval those that were held are corrected too.
    pub fn divide(&mut self, drifted: impl IntoIterator<Item = ObjectId>, is_due: bool, now: Timestamp) -> Divided {
        let mut divided = Divided::default();
        let held = if is_due { std::mem::take(&mut self.held) } else { BTreeSet::new() };
        for id in drifted.into_iter().chain(held) {
            let times = self.times.entry(id.clone()).or_default();
            times.retain(|time| now.duration_since(*time) < CORRECTION_WINDOW);
            if times.len() < MAX_CORRECTIONS || is_due {
                times.push(now);
                divided.corrected.insert(id);
            } else {
                self.held.insert(id.clone());
                divided.held.insert(id);
            }
        }
        self.times.retain(|_, times| !times.is_empty());
        divided
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &str) -> ObjectId {
        ObjectId { group: String::new(), kind: "ConfigMap".into(), namespace: "n".into(), name: name.into() }
    }

    fn ids(names: &[&str]) -> BTreeSet<ObjectId> {
        names.iter().map(|name| id(name)).collect()
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).expect("in range")
    }

    #[test]
    fn an_object_is_corrected_three_times_in_five_minutes_and_then_at_the_interval() {
        let mut corrections = Corrections::default();
        for second in 0..3 {
            assert_eq!(corrections.divide([id("a")], false, at(second)).corrected, ids(&["a"]));
        }
        let held = corrections.divide([id("a"), id("b")], false, at(3));
        assert_eq!((held.corrected, held.held), (ids(&["b"]), ids(&["a"])));
        assert_eq!(corrections.divide([], false, at(10)), Divided::default());
        assert_eq!(corrections.divide([], true, at(60)).corrected, ids(&["a"]), "at the interval");
        assert_eq!(corrections.divide([id("a")], false, at(700)).corrected, ids(&["a"]), "five minutes later");
    }
}
