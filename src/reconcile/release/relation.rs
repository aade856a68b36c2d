//! Which releases something concerns: a record, a config, a release that others depend on.

use std::{collections::HashMap, hash::Hash};

use kube::runtime::reflector::ObjectRef;

use crate::api::HelmRelease;

/// Which releases something concerns, and what concerns a release. Both ways are kept, so that the change of one release
/// costs the same among thousands.
pub(super) struct Relation<K> {
    releases: HashMap<K, Vec<ObjectRef<HelmRelease>>>,
    keys: HashMap<ObjectRef<HelmRelease>, Vec<K>>,
}

impl<K> Default for Relation<K> {
    fn default() -> Self {
        Self { releases: HashMap::new(), keys: HashMap::new() }
    }
}

impl<K: Clone + Eq + Hash> Relation<K> {
    /// Says all that concerns a release.
    pub(super) fn set(&mut self, release: &ObjectRef<HelmRelease>, keys: Vec<K>) {
        if self.keys.get(release) == Some(&keys) {
            return;
        }
        let before = self.keys.remove(release).unwrap_or_default();
        for key in before.iter().filter(|key| !keys.contains(key)) {
            let Some(releases) = self.releases.get_mut(key) else { continue };
            releases.retain(|known| known != release);
            if releases.is_empty() {
                self.releases.remove(key);
            }
        }
        for key in keys.iter().filter(|key| !before.contains(key)) {
            let releases = self.releases.entry(key.clone()).or_default();
            // It may be named twice.
            if releases.last() != Some(release) {
                releases.push(release.clone());
            }
        }
        if !keys.is_empty() {
            self.keys.insert(release.clone(), keys);
        }
    }

    /// Returns the releases that something concerns.
    pub(super) fn of(&self, key: &K) -> Vec<ObjectRef<HelmRelease>> {
        self.releases.get(key).cloned().unwrap_or_default()
    }
}
