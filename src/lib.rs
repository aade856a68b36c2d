//! Bowline: a GitOps reconciler with Flux's API and Helm's engine in one process.
//!
//! # The map
//! | room | what it holds | may use |
//! |---|---|---|
//! | [`cli`] | the command line, one file a subcommand: run, template, crds | everything |
//! | [`daemon`] | the composition root: client, stores, controllers, lease, admin servers, shutdown | everything but `cli` |
//! | [`admin`] | the process's own HTTP surface: health, readiness, metrics, the log's level | `metrics`, `telemetry` |
//! | [`reconcile`] | the shell that every controller shares, and one folder a kind: `release`, `environment`, `source` | `source`, `cluster`, `api`, `helm`, `metrics`, `telemetry` |
//! | [`source`] | from a reference to verified bytes: git, Helm repositories, registries, charts; the artifact store and its server | `api`, `helm`, `telemetry` |
//! | [`cluster`] | all that is done to a cluster: discovery, apply, health and wait, inventory, prune, release storage, events, watches, leases | `api`, `helm`, `telemetry` |
//! | [`api`] | wire types as users write them, conditions, reasons, references, durations, definitions | nobody |
//! | `helm` | Helm's engine, a crate of its own: chart + values + capabilities to manifests, hooks, notes | nobody |
//! | [`metrics`], [`telemetry`] | leaves: metrics under Flux's names; logs, their level, an error with its causes | nobody |
//!
//! `source` and `cluster` do not know each other. `helm`, `api` and every `decide.rs` are pure: synchronous,
//! no Kubernetes client, no tokio, no clock, no environment. `tests/it/layers.rs` reads the `use` lines and holds this;
//! Cargo holds it for `helm`.
//!
//! A reconcile goes the same way for each kind: `observe` reads everything, `decide` is a pure function of what was read,
//! `act` does one thing, `report` writes the status once.
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
