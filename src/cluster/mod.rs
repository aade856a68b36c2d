//! All that is done to a cluster.
//!
//! Objects are JSON trees. Every function takes the client it works with, which may be an impersonating one: a
//! [`connection::Connection`] is one cluster as one identity. What is shared ([`watch::OwnedObjects`]) belongs to one
//! cluster and to the daemon's own identity.

pub mod accounts;
pub mod apply;
pub mod client_side;
pub mod connection;
pub mod diff;
pub mod discovery;
pub mod events;
pub mod explain;
pub mod expressions;
pub mod follow;
pub mod inventory;
pub mod json_diff;
pub mod json_merge;
pub mod kubeconfig;
pub mod lease;
pub mod managed_fields;
pub mod notification;
pub mod object;
pub mod parameters;
pub mod prune;
pub mod redact;
pub mod remote;
pub mod request;
pub mod schemas;
pub mod selector;
pub mod shared_watch;
pub mod status;
pub mod status_legacy;
pub mod storage;
pub mod strategic_merge;
pub mod tokens;
pub mod wait;
pub mod watch;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks what is shared. A panic of another holder leaves maps that are still maps.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
