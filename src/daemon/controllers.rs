//! The controllers, the watches that feed them, and who hears of whose changes.

use std::sync::Arc;

use kube::Client;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::Config;
use crate::metrics::Metrics;

/// Why the controllers cannot run.
#[derive(Debug, thiserror::Error)]
pub enum Error {}

/// Runs all controllers until shutdown; running actions finish first.
pub async fn run(
    _config: &Config,
    _client: Client,
    _metrics: Arc<Metrics>,
    _ready: watch::Sender<bool>,
    shutdown: CancellationToken,
) -> Result<(), Error> {
    shutdown.cancelled().await;
    Ok(())
}
