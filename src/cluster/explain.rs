//! Says why a workload is not ready: what its pods and their containers report, the last lines of a failed container's
//! log, and the newest warnings about them. Whatever cannot be read is left out.

use std::time::Duration;

use http::{Method, Request, header};
use kube::Client;
use serde_json::Value;

use super::{
    follow::take_items,
    object,
    redact::redact,
    request::{encode, send},
};

/// Pods that are looked at.
const PODS: usize = 20;
/// Lines that are said about one workload.
const LINES: usize = 3;
/// Longest text taken from a container's message, a log line or an event.
const TEXT: usize = 300;
/// Lines of a log that are said.
const LOG_LINES: usize = 5;
/// Longest end of a log that is read, in bytes.
const LOG_BYTES: usize = 16 * 1024;
/// Warnings that are said about one workload.
const WARNINGS: usize = 3;
/// Warnings of a namespace that are looked at.
const EVENTS: usize = 500;
/// An explanation that takes longer than this is left out.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Returns what is known of why a workload is not ready: its pods, the worst first, the log of one that failed, and
/// warnings about it.
pub async fn explain(client: &Client, object: &Value) -> Vec<String> {
    let pods = within(pods_of(client, object)).await.unwrap_or_default();
    let mut lines = report(&pods);
    if let Some((pod, container, is_previous)) = pods.iter().find_map(failed_container) {
        let log = within(log_of(client, pod, container, is_previous)).await.unwrap_or_default();
        if !log.is_empty() {
            let name = object::name(pod).unwrap_or_default();
            lines.push(format!("last lines of container {container} in pod {name}:\n  {}", log.join("\n  ")));
        }
    }
    lines.extend(within(warnings_of(client, object, &pods)).await.unwrap_or_default());
    lines
}

async fn within<T>(answer: impl Future<Output = Option<T>>) -> Option<T> {
    tokio::time::timeout(TIMEOUT, answer).await.ok().flatten()
}

async fn list(client: &Client, uri: &str) -> Option<Vec<Value>> {
    let headers = [(header::ACCEPT, "application/json")];
    let mut reply = send(client, Method::GET, uri, &headers, Vec::new()).await.ok()?;
    Some(take_items(&mut reply.body))
}

async fn pods_of(client: &Client, workload: &Value) -> Option<Vec<Value>> {
    if object::kind(workload) == Some("Pod") {
        return Some(vec![workload.clone()]);
    }
    let (selector, namespace) = (selector(workload)?, object::namespace(workload)?);
    let uri = format!("/api/v1/namespaces/{}/pods?limit={PODS}&labelSelector={}", encode(namespace), encode(&selector));
    list(client, &uri).await
}

/// Returns a container that ended badly, and whether it has been started again since.
fn failed_container(pod: &Value) -> Option<(&Value, &str, bool)> {
    let lists = ["initContainerStatuses", "containerStatuses"];
    let statuses = lists.iter().filter_map(|list| pod["status"][list].as_array()).flatten();
    statuses.into_iter().find_map(|status| {
        let failed = |state: &str| status[state]["terminated"]["exitCode"].as_i64().is_some_and(|code| code != 0);
        let is_previous = !failed("state");
        (!is_previous || failed("lastState")).then(|| Some((pod, status["name"].as_str()?, is_previous)))?
    })
}

async fn log_of(client: &Client, pod: &Value, container: &str, is_previous: bool) -> Option<Vec<String>> {
    let (namespace, name) = (encode(object::namespace(pod)?), encode(object::name(pod)?));
    let query = format!("container={}&tailLines={LOG_LINES}&previous={is_previous}", encode(container));
    let uri = format!("/api/v1/namespaces/{namespace}/pods/{name}/log?{query}&limitBytes={LOG_BYTES}");
    let request = Request::get(uri).body(Vec::new()).ok()?;
    let text = client.request_text(request).await.ok()?;
    let lines: Vec<String> =
        text.lines().filter(|line| !line.trim().is_empty()).map(|line| clip(&redact(line))).collect();
    Some(lines[lines.len().saturating_sub(LOG_LINES)..].to_vec())
}

/// Returns the newest warnings about a workload, what it made (whose names begin with its own), and its pods.
async fn warnings_of(client: &Client, workload: &Value, pods: &[Value]) -> Option<Vec<String>> {
    let namespace = object::namespace(workload)?;
    let fields = encode("type=Warning");
    let uri = format!("/api/v1/namespaces/{}/events?limit={EVENTS}&fieldSelector={fields}", encode(namespace));
    Some(newest(list(client, &uri).await?, workload, pods))
}

fn newest(mut events: Vec<Value>, workload: &Value, pods: &[Value]) -> Vec<String> {
    let name = object::name(workload).unwrap_or_default();
    let made = format!("{name}-");
    events.retain(|event| {
        let involved = &event["involvedObject"];
        let (kind, of) = (involved["kind"].as_str(), involved["name"].as_str().unwrap_or_default());
        let is_own = kind == object::kind(workload) && of == name;
        let is_made = matches!(kind, Some("ReplicaSet" | "Job")) && of.starts_with(&made);
        is_own || is_made || (kind == Some("Pod") && pods.iter().any(|pod| object::name(pod) == Some(of)))
    });
    // Times are in one format, so that their text sorts as they do.
    let time = |event: &Value| {
        let given = ["lastTimestamp", "eventTime"].iter().find_map(|field| event[field].as_str());
        given.or(event["metadata"]["creationTimestamp"].as_str()).unwrap_or_default().to_owned()
    };
    events.sort_by_key(|event| std::cmp::Reverse(time(event)));
    let mut lines: Vec<String> = Vec::new();
    for event in &events {
        let involved = &event["involvedObject"];
        let (kind, of) = (involved["kind"].as_str().unwrap_or_default(), involved["name"].as_str().unwrap_or_default());
        let message = clip(&redact(event["message"].as_str().unwrap_or_default()));
        let line = format!("{kind}/{of} {}: {message}", event["reason"].as_str().unwrap_or("Warning"));
        if !lines.contains(&line) && lines.len() < WARNINGS {
            lines.push(line);
        }
    }
    lines
}

fn selector(workload: &Value) -> Option<String> {
    if !matches!(object::kind(workload)?, "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet" | "Job") {
        return None;
    }
    let labels = workload.pointer("/spec/selector/matchLabels")?.as_object()?;
    let pairs: Option<Vec<_>> = labels.iter().map(|(key, value)| Some(format!("{key}={}", value.as_str()?))).collect();
    pairs.map(|pairs| pairs.join(",")).filter(|text| !text.is_empty())
}

fn report(pods: &[Value]) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for pod in pods {
        for line in describe(pod) {
            if !lines.contains(&line) {
                lines.push(line);
            }
        }
    }
    lines.truncate(LINES);
    lines
}

fn describe(pod: &Value) -> Vec<String> {
    let name = object::name(pod).unwrap_or_default();
    let mut lines = Vec::new();
    for list in ["initContainerStatuses", "containerStatuses"] {
        let containers = pod["status"][list].as_array().map_or(&[][..], Vec::as_slice);
        lines.extend(containers.iter().filter_map(container).map(|text| format!("pod {name}: {text}")));
    }
    if lines.is_empty() {
        let conditions = pod["status"]["conditions"].as_array().map_or(&[][..], Vec::as_slice);
        let unscheduled = conditions.iter().find(|one| one["type"] == "PodScheduled" && one["status"] == "False");
        if let Some(condition) = unscheduled {
            lines.push(format!("pod {name}: {}", clip(condition["message"].as_str().unwrap_or("not scheduled"))));
        }
    }
    lines
}

fn container(status: &Value) -> Option<String> {
    let name = status["name"].as_str()?;
    if let Some(waiting) = status["state"].get("waiting") {
        let reason = waiting["reason"].as_str().unwrap_or("waiting");
        if matches!(reason, "ContainerCreating" | "PodInitializing") {
            return None;
        }
        let message = waiting["message"].as_str().map(|text| format!(": {}", clip(&redact(text)))).unwrap_or_default();
        let again = status["restartCount"].as_i64().filter(|count| *count > 0);
        let again = again.map(|count| format!(", restarted {count} times")).unwrap_or_default();
        let ended = exit(status).map(|(code, reason)| format!("; it exited with code {code} ({reason})"));
        let ended = ended.unwrap_or_default();
        return Some(format!("container {name} is waiting ({reason}){message}{again}{ended}"));
    }
    if let Some((code, reason)) = exit(status) {
        return Some(format!("container {name} exited with code {code} ({reason})"));
    }
    let is_unready = status["state"].get("running").is_some() && status["ready"] == false;
    is_unready.then(|| format!("container {name} is running and not ready"))
}

/// Returns how a container ended badly, now or before it was started again.
fn exit(status: &Value) -> Option<(i64, &str)> {
    let ended = status["state"].get("terminated").or_else(|| status["lastState"].get("terminated"))?;
    let code = ended["exitCode"].as_i64().filter(|code| *code != 0)?;
    Some((code, ended["reason"].as_str().unwrap_or("Error")))
}

fn clip(text: &str) -> String {
    let line = text.split('\n').next().unwrap_or_default();
    if line.chars().count() <= TEXT { line.to_owned() } else { line.chars().take(TEXT).chain(['…']).collect() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_waiting_container_gives_its_reason_and_message() {
        let pod = json!({"kind": "Pod", "metadata": {"name": "p"}, "status": {"containerStatuses": [
            {"name": "c", "state": {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling image \"x\"\nmore"}}},
            {"name": "d", "state": {"waiting": {"reason": "ContainerCreating"}}},
            {"name": "e", "state": {"running": {}}, "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}}]}});
        assert_eq!(
            describe(&pod),
            [
                "pod p: container c is waiting (ImagePullBackOff): Back-off pulling image \"x\"",
                "pod p: container e exited with code 137 (OOMKilled)"
            ]
        );
    }

    #[test]
    fn a_container_that_is_started_again_and_again_says_how_it_ended() {
        let pod = json!({"metadata": {"name": "p"}, "status": {"containerStatuses": [
            {"name": "c", "restartCount": 4, "state": {"waiting": {"reason": "CrashLoopBackOff"}},
             "lastState": {"terminated": {"exitCode": 2, "reason": "Error"}}},
            {"name": "d", "ready": false, "state": {"running": {}}}]}});
        assert_eq!(
            describe(&pod),
            [
                "pod p: container c is waiting (CrashLoopBackOff), restarted 4 times; it exited with code 2 (Error)",
                "pod p: container d is running and not ready"
            ]
        );
        assert_eq!(failed_container(&pod).map(|(_, name, is_previous)| (name, is_previous)), Some(("c", true)));
    }

    #[test]
    fn the_newest_warnings_about_a_workload_and_what_it_made_are_told() {
        let event = |kind: &str, name: &str, at: &str, message: &str| json!({"involvedObject": {"kind": kind, "name": name}, "reason": "R", "lastTimestamp": at, "message": message});
        let workload = json!({"kind": "Deployment", "metadata": {"name": "web", "namespace": "n"}});
        let pods = [json!({"metadata": {"name": "web-1-a"}})];
        let events = vec![
            event("Pod", "web-1-a", "2026-01-01T00:00:01Z", "oldest"),
            event("ReplicaSet", "web-1", "2026-01-01T00:00:04Z", "exceeded quota, token=abc"),
            event("Pod", "web-1-a", "2026-01-01T00:00:03Z", "Back-off"),
            event("Pod", "web-1-a", "2026-01-01T00:00:03Z", "Back-off"),
            event("Deployment", "web", "2026-01-01T00:00:02Z", "own"),
            event("Pod", "other", "2026-01-01T00:00:09Z", "of another"),
            event("Deployment", "web-2", "2026-01-01T00:00:09Z", "of another"),
        ];
        assert_eq!(
            newest(events, &workload, &pods),
            ["ReplicaSet/web-1 R: exceeded quota, token=*****", "Pod/web-1-a R: Back-off", "Deployment/web R: own"]
        );
    }

    #[test]
    fn a_pod_that_has_no_place_says_why() {
        let pod = json!({"metadata": {"name": "p"}, "status": {"conditions": [
            {"type": "PodScheduled", "status": "False", "message": "0/1 nodes are available"}]}});
        assert_eq!(describe(&pod), ["pod p: 0/1 nodes are available"]);
    }

    #[test]
    fn pods_are_found_by_the_workloads_own_selector() {
        let workload = json!({"kind": "Deployment", "spec": {"selector": {"matchLabels": {"a": "b", "c": "d"}}}});
        assert_eq!(selector(&workload).as_deref(), Some("a=b,c=d"));
        assert_eq!(selector(&json!({"kind": "Service", "spec": {"selector": {"a": "b"}}})), None);
    }
}
