//! Says why a workload is not ready: what its pods and their containers report.

use std::time::Duration;

use http::{Method, header};
use kube::Client;
use serde_json::Value;

use super::{
    follow::take_items,
    object,
    request::{encode, send},
};

/// Pods that are looked at.
const PODS: usize = 20;
/// Lines that are said about one workload.
const LINES: usize = 3;
/// Longest text taken from a container's message.
const TEXT: usize = 300;
/// An explanation that takes longer than this is left out.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Returns what the pods of a workload report, the worst first; empty for other kinds, and where they may not be read.
pub async fn pods_of(client: &Client, workload: &Value) -> Vec<String> {
    if object::kind(workload) == Some("Pod") {
        return report(std::slice::from_ref(workload));
    }
    let (Some(selector), Some(namespace)) = (selector(workload), object::namespace(workload)) else {
        return Vec::new();
    };
    let uri = format!("/api/v1/namespaces/{}/pods?limit={PODS}&labelSelector={}", encode(namespace), encode(&selector));
    let listing = send(client, Method::GET, &uri, &[(header::ACCEPT, "application/json")], Vec::new());
    match tokio::time::timeout(TIMEOUT, listing).await {
        Ok(Ok(mut reply)) => report(&take_items(&mut reply.body)),
        Ok(Err(_)) | Err(_) => Vec::new(),
    }
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
        let message = waiting["message"].as_str().map(|text| format!(": {}", clip(text))).unwrap_or_default();
        return Some(format!("container {name} is waiting ({reason}){message}"));
    }
    let ended = status["state"].get("terminated").or_else(|| status["lastState"].get("terminated"))?;
    let code = ended["exitCode"].as_i64().filter(|code| *code != 0)?;
    Some(format!("container {name} exited with code {code} ({})", ended["reason"].as_str().unwrap_or("Error")))
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
