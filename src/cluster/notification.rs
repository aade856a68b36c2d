//! Events on their way to a notification-controller, as Flux's controllers post them.

use std::time::Duration;

use http::StatusCode;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::events::{Note, Severity, seconds};

/// How long one attempt may take.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How often an event is posted again that could not be.
const RETRIES: u32 = 4;
/// The wait before the first of the retries; it doubles each time.
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// An address that events cannot be posted to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("no client for the notification-controller")]
    Client(#[source] reqwest::Error),
}

/// Posts events to one address.
pub struct Poster {
    http: reqwest::Client,
    address: Url,
    instance: String,
}

impl Poster {
    /// Makes a poster; `instance` is the host that events name.
    pub fn new(address: Url, instance: String) -> Result<Self, Error> {
        let http = reqwest::Client::builder().timeout(TIMEOUT).build().map_err(Error::Client)?;
        Ok(Self { http, address, instance })
    }

    /// Posts events one after another until the queue ends. Once cancelled, what waits is tried once more and no longer.
    pub(super) async fn run(self, mut queue: mpsc::Receiver<(Note, &'static str)>, cancel: CancellationToken) {
        while let Some((note, component)) = queue.recv().await {
            let body = body(&note, component, &self.instance, Timestamp::now()).to_string();
            self.post(&note.reason, &body, &cancel).await;
        }
    }

    async fn post(&self, reason: &str, body: &str, cancel: &CancellationToken) {
        let mut wait = FIRST_WAIT;
        for retries_left in (0..=RETRIES).rev() {
            let request = self.http.post(self.address.clone()).header("Content-Type", "application/json");
            let problem = match request.body(body.to_owned()).send().await {
                Ok(answer) if !is_passing(answer.status()) => return,
                Ok(answer) => answer.status().to_string(),
                Err(error) => crate::telemetry::chain(&error.without_url()).clone(),
            };
            if retries_left == 0 || cancel.is_cancelled() {
                tracing::warn!(reason, problem, "event not posted to the notification-controller");
                return;
            }
            tokio::select! {
                () = cancel.cancelled() => {}
                () = tokio::time::sleep(wait) => {}
            }
            wait *= 2;
        }
    }
}

/// Tells whether an answer is worth another try. Too many requests is how a notification-controller says that it has had
/// the event.
fn is_passing(status: StatusCode) -> bool {
    status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED
}

/// Writes Flux's Event.
fn body(note: &Note, component: &str, instance: &str, now: Timestamp) -> Value {
    let involved = &note.involved;
    let mut event = json!({
        "involvedObject": {
            "kind": involved.kind,
            "namespace": involved.namespace,
            "name": involved.name,
            "uid": involved.uid,
            "apiVersion": involved.api_version,
            "resourceVersion": involved.resource_version,
        },
        "severity": match note.severity {
            Severity::Warning => "error",
            Severity::Normal => "info",
            Severity::Trace => "trace",
        },
        "timestamp": seconds(now),
        "message": note.message,
        "reason": note.reason,
        "reportingController": component,
        "reportingInstance": instance,
    });
    if !note.annotations.is_empty() {
        event["metadata"] = json!(note.annotations);
    }
    event
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::cluster::events::Involved;

    #[test]
    fn an_event_is_written_as_flux_writes_it() {
        let note = Note {
            involved: Involved {
                api_version: "helm.toolkit.fluxcd.io/v2".into(),
                kind: "HelmRelease".into(),
                namespace: "apps".into(),
                name: "web".into(),
                uid: "u".into(),
                resource_version: "7".into(),
            },
            severity: Severity::Warning,
            reason: "InstallFailed".into(),
            message: "m".into(),
            annotations: BTreeMap::from([("helm.toolkit.fluxcd.io/revision".to_owned(), "1.0.0".to_owned())]),
        };
        let now = "2026-01-02T03:04:05.6Z".parse().unwrap();
        let expected = json!({
            "involvedObject": {"kind": "HelmRelease", "namespace": "apps", "name": "web", "uid": "u",
                "apiVersion": "helm.toolkit.fluxcd.io/v2", "resourceVersion": "7"},
            "severity": "error", "timestamp": "2026-01-02T03:04:05Z", "message": "m", "reason": "InstallFailed",
            "metadata": {"helm.toolkit.fluxcd.io/revision": "1.0.0"},
            "reportingController": "helm-controller", "reportingInstance": "host",
        });
        assert_eq!(body(&note, "helm-controller", "host", now), expected);
    }

    #[test]
    fn only_a_servers_own_failure_is_tried_again() {
        assert!(is_passing(StatusCode::BAD_GATEWAY));
        for answer in [StatusCode::ACCEPTED, StatusCode::TOO_MANY_REQUESTS, StatusCode::BAD_REQUEST] {
            assert!(!is_passing(answer), "{answer}");
        }
    }
}
