//! What people see of a release's life: events that reach a notification-controller, outages, explanations.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::http::StatusCode;
use bowline::cluster::explain::explain;
use kube::{Client, Config};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::{
    harness::{
        http::{HttpServer, answer},
        objects::{HELM_RELEASE, condition},
    },
    site::{APPS, SOON, Site},
};

/// A notification-controller that fails once, and what it was told.
fn notification_controller() -> (HttpServer, Arc<Mutex<Vec<Value>>>) {
    let told: Arc<Mutex<Vec<Value>>> = Arc::default();
    let (events, failed) = (told.clone(), Arc::new(Mutex::new(false)));
    let server = HttpServer::start(move |call| {
        let (events, failed) = (events.clone(), failed.clone());
        async move {
            if !std::mem::replace(&mut *failed.lock().unwrap(), true) {
                return answer(StatusCode::SERVICE_UNAVAILABLE, "");
            }
            events.lock().unwrap().push(serde_json::from_slice(&call.body).expect("an event is JSON"));
            answer(StatusCode::ACCEPTED, "")
        }
    });
    (server, told)
}

#[tokio::test(flavor = "multi_thread")]
async fn events_reach_a_notification_controller_as_flux_posts_them() {
    let (server, told) = notification_controller();
    let mut site = Site::new("1h").await;
    site.daemon = site.daemon.args(&[&format!("--events-addr={}/", server.url())]);
    site.daemon.start();
    site.environment_is_ready().await;
    site.write_note("first", "one");
    let path = site.remote.work().join("staging/first.yaml");
    let manifest = std::fs::read_to_string(&path).unwrap();
    let annotated =
        manifest.replace("namespace: apps}", "namespace: apps, annotations: {event.toolkit.fluxcd.io/team: web}}");
    std::fs::write(&path, annotated).unwrap();
    site.push_and_ask("Add a release").await;
    site.note_says("first", "one", SOON).await;

    let until = Instant::now() + SOON;
    let event = loop {
        let found = told.lock().unwrap().iter().find(|event| event["reason"] == "InstallSucceeded").cloned();
        match found {
            Some(event) => break event,
            None if Instant::now() > until => panic!("no event: {:?}", told.lock().unwrap()),
            None => sleep(Duration::from_millis(100)).await,
        }
    };
    assert_eq!(event["severity"], "info");
    assert_eq!(event["reportingController"], "helm-controller");
    assert_eq!(event["message"], "Helm install succeeded for release apps/first.v1 with chart note@0.1.0");
    assert_eq!(event["involvedObject"]["kind"], "HelmRelease");
    assert_eq!(event["involvedObject"]["name"], "first");
    assert_eq!(event["metadata"]["helm.toolkit.fluxcd.io/revision"], "0.1.0");
    assert_eq!(event["metadata"]["event.toolkit.fluxcd.io/team"], "web");
    let reasons: Vec<Value> = told.lock().unwrap().iter().map(|event| event["reason"].clone()).collect();
    assert!(!reasons.contains(&json!("HelmChartCreated")), "a step on the way is for the cluster alone");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_is_gone_leaves_a_release_ready_and_another_condition_tells_of_it() {
    let mut site = Site::started("2s").await;
    site.write_note("first", "one");
    site.push_and_ask("Add a release").await;
    site.note_says("first", "one", SOON).await;
    // What was fetched is gone with the process, and cannot be fetched again.
    site.git.stop();
    site.daemon.kill();
    site.daemon.start();
    let told = |object: &kube::api::DynamicObject| condition(object, "FetchFailed").is_some_and(|c| c.status == "True");
    let release =
        HELM_RELEASE.until(&site.client, (APPS, "first"), Duration::from_mins(1), "tell of the outage", told).await;
    assert_eq!(condition(&release, "Ready").expect("it has a condition").status, "True");
    assert_eq!(site.history("first"), [(1, "deployed".to_owned())]);

    site.git.start_again();
    HELM_RELEASE.until(&site.client, (APPS, "first"), SOON, "be rid of the outage", |object| !told(object)).await;
    assert_eq!(site.history("first"), [(1, "deployed".to_owned())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_container_is_explained_by_its_log_and_by_warnings() {
    let pods = json!({"kind": "PodList", "apiVersion": "v1", "items": [{"metadata": {"name": "web-1", "namespace": "n"},
        "status": {"containerStatuses": [{"name": "main", "restartCount": 2,
            "state": {"waiting": {"reason": "CrashLoopBackOff"}},
            "lastState": {"terminated": {"exitCode": 1, "reason": "Error"}}}]}}]});
    let events = json!({"kind": "EventList", "apiVersion": "v1", "items": [{"reason": "BackOff", "message": "Back-off",
        "involvedObject": {"kind": "Pod", "name": "web-1"}, "lastTimestamp": "2026-01-01T00:00:00Z"}]});
    let server = HttpServer::start(move |call| {
        let path = call.uri.path().to_owned();
        let body = match path.as_str() {
            "/api/v1/namespaces/n/pods" => pods.to_string(),
            "/api/v1/namespaces/n/events" => events.to_string(),
            "/api/v1/namespaces/n/pods/web-1/log" => "starting\ncannot log in: password=hunter2\n".to_owned(),
            _ => panic!("{path}"),
        };
        async move { answer(StatusCode::OK, body) }
    });
    let client = Client::try_from(Config::new(server.url().parse().unwrap())).unwrap();
    let workload = json!({"kind": "Deployment", "metadata": {"name": "web", "namespace": "n"},
        "spec": {"selector": {"matchLabels": {"app": "web"}}}});
    assert_eq!(
        explain(&client, &workload).await,
        [
            "pod web-1: container main is waiting (CrashLoopBackOff), restarted 2 times; it exited with code 1 (Error)",
            "last lines of container main in pod web-1:\n  starting\n  cannot log in: password=*****",
            "Pod/web-1 BackOff: Back-off",
        ]
    );
    assert!(server.calls().iter().any(|call| call.contains("previous=true")), "{:?}", server.calls());
}
