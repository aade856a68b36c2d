//! What the process remembers of its Kustomizations between two runs. All of it can be lost: the next run then applies
//! everything once.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::decide::LastRun;
use crate::{
    cluster::{connection::Connection, watch::Owner},
    reconcile::corrections::Corrections,
};

/// What is remembered of one Kustomization.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// What the last run left behind.
    pub last: Option<LastRun>,
    /// How often objects were corrected lately.
    pub corrections: Corrections,
    /// The last failure that an event told of.
    pub told: Option<String>,
    /// The connection that the last run worked through. It lives as long as it is remembered here.
    pub connection: Option<Arc<Connection>>,
}

/// What is remembered of all of them.
#[derive(Debug, Default)]
pub struct Memory(Mutex<HashMap<Owner, Known>>);

impl Memory {
    fn lock(&self) -> MutexGuard<'_, HashMap<Owner, Known>> {
        // A panic elsewhere leaves a map that is still a map.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes or reads what is remembered of one.
    pub fn with<T>(&self, owner: &Owner, change: impl FnOnce(&mut Known) -> T) -> T {
        change(self.lock().entry(owner.clone()).or_default())
    }

    /// Forgets one.
    pub fn forget(&self, owner: &Owner) {
        self.lock().remove(owner);
    }
}
