//! The process's own HTTP surface: health, readiness, metrics, and the log's level.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
    routing::{get, put},
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{metrics::Metrics, telemetry::LogLevel};

/// An address could not be listened on, or its server ended.
#[derive(Debug, thiserror::Error)]
#[error("cannot serve {what} at {address}")]
pub struct ServeError {
    what: &'static str,
    address: SocketAddr,
    #[source]
    source: std::io::Error,
}

/// Serves `/healthz` and `/readyz` (200 once the watches are in sync) until cancelled.
pub async fn health(
    address: SocketAddr,
    ready: watch::Receiver<bool>,
    cancel: CancellationToken,
) -> Result<(), ServeError> {
    let readyz = |State(ready): State<watch::Receiver<bool>>| async move {
        if *ready.borrow() { (StatusCode::OK, "ok") } else { (StatusCode::SERVICE_UNAVAILABLE, "watches not in sync") }
    };
    let router = Router::new().route("/healthz", get(async || "ok")).route("/readyz", get(readyz)).with_state(ready);
    serve("health", address, router, cancel).await
}

/// Serves `/metrics`, and `/debug/log-level` where `PUT` with a level as the body changes the log, until cancelled.
///
/// The level can be changed from this machine alone: the route answers only a loopback peer.
pub async fn metrics(
    address: SocketAddr,
    metrics: Arc<Metrics>,
    level: LogLevel,
    cancel: CancellationToken,
) -> Result<(), ServeError> {
    let router = Router::new()
        .route("/metrics", get(encoded))
        .with_state(metrics)
        .merge(Router::new().route("/debug/log-level", put(set_level)).with_state(level));
    serve("metrics", address, router, cancel).await
}

async fn encoded(State(metrics): State<Arc<Metrics>>) -> impl IntoResponse {
    match metrics.encode() {
        Ok(text) => ([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text)
            .into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn set_level(
    State(level): State<LogLevel>,
    axum::extract::ConnectInfo(peer): axum::extract::ConnectInfo<SocketAddr>,
    body: String,
) -> (StatusCode, String) {
    if !is_this_machine(peer) {
        return (StatusCode::FORBIDDEN, "only from this machine".to_owned());
    }
    match level.set(body.trim()) {
        Ok(()) => (StatusCode::OK, String::new()),
        Err(error) => (StatusCode::BAD_REQUEST, error.to_string()),
    }
}

/// Tells whether a peer is on this machine. A socket for both families shows an IPv4 peer as an IPv6 address.
fn is_this_machine(peer: SocketAddr) -> bool {
    peer.ip().to_canonical().is_loopback()
}

async fn serve(
    what: &'static str,
    address: SocketAddr,
    router: Router,
    cancel: CancellationToken,
) -> Result<(), ServeError> {
    let failed = |source| ServeError { what, address, source };
    let listener = tokio::net::TcpListener::bind(address).await.map_err(failed)?;
    tracing::info!(what, address = %listener.local_addr().map_err(failed)?, "serving");
    axum::serve(listener, router.into_make_service_with_connect_info::<SocketAddr>())
        .with_graceful_shutdown(cancel.cancelled_owned())
        .await
        .map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_may_change_the_logs_level() {
        for (peer, is_near) in [
            ("127.0.0.1:1", true),
            ("[::1]:1", true),
            ("[::ffff:127.0.0.1]:1", true),
            ("10.0.0.1:1", false),
            ("[::ffff:10.0.0.1]:1", false),
            ("[fe80::1]:1", false),
        ] {
            assert_eq!(peer.parse().map(is_this_machine), Ok(is_near), "{peer}");
        }
    }
}
