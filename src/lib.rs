//! Bowline: a GitOps reconciler with Flux's API and Helm's engine in one process.
//!
//! # The map
//! | room | what it holds | may use |
//! |---|---|---|
//! | `cli` | one file a subcommand | everything |
//! | `daemon` | the composition root: client, stores, controllers, lease, admin server, shutdown | everything |
//! | [`reconcile`] | the shell every controller shares, and one folder a kind | `source`, `cluster`, `api`, `helm` |
//! | [`source`] | from a reference to verified bytes, and the artifact store | `api`, `helm` |
//! | [`cluster`] | all that is done to a cluster | `api`, `helm` |
//! | [`api`] | wire types as users write them, conditions, references, durations, CRDs | nobody |
//! | `helm` | Helm's engine, a crate of its own: chart + values + capabilities to manifests | nobody |
//!
//! `source` and `cluster` do not know each other. `helm`, `api` and every `decide.rs` are pure: synchronous,
//! no Kubernetes client, no tokio, no clock, no environment. A test reads the `use` lines and holds this.
//!
//! The words are Kubernetes', Helm's and Flux's: release, revision, chart, values, hook, manifest, artifact,
//! source, inventory, drift, remediation, snapshot, prune, reconcile, suspend.

pub mod admin;
pub mod api;
pub mod cli;
pub mod cluster;
pub mod daemon;
pub mod metrics;
pub mod reconcile;
pub mod source;
pub mod telemetry;
