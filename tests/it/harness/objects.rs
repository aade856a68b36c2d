//! Objects of any kind: which they are, what they say, and waiting until they say it.

use std::time::Duration;

use futures::TryStreamExt as _;
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, GroupVersionKind},
    runtime::watcher::watch_object,
};
use serde_json::Value;
use tokio::time::{sleep, timeout};

/// A kind of object.
#[derive(Debug, Clone, Copy)]
pub struct Kind(pub &'static str, pub &'static str, pub &'static str);

pub const HELM_RELEASE: Kind = Kind("helm.toolkit.fluxcd.io", "v2", "HelmRelease");
pub const GIT_REPOSITORY: Kind = Kind("source.toolkit.fluxcd.io", "v1", "GitRepository");
pub const HELM_REPOSITORY: Kind = Kind("source.toolkit.fluxcd.io", "v1", "HelmRepository");
pub const HELM_CHART: Kind = Kind("source.toolkit.fluxcd.io", "v1", "HelmChart");
pub const OCI_REPOSITORY: Kind = Kind("source.toolkit.fluxcd.io", "v1", "OCIRepository");
pub const BUCKET: Kind = Kind("source.toolkit.fluxcd.io", "v1", "Bucket");
pub const KUSTOMIZATION: Kind = Kind("kustomize.toolkit.fluxcd.io", "v1", "Kustomization");
pub const DEPLOYMENT: Kind = Kind("apps", "v1", "Deployment");
pub const JOB: Kind = Kind("batch", "v1", "Job");
pub const POD: Kind = Kind("", "v1", "Pod");
pub const CONFIG_MAP: Kind = Kind("", "v1", "ConfigMap");
pub const SECRET: Kind = Kind("", "v1", "Secret");
pub const EVENT: Kind = Kind("", "v1", "Event");

impl Kind {
    fn resource(self) -> ApiResource {
        let Self(group, version, kind) = self;
        let kind = GroupVersionKind::gvk(group, version, kind);
        // The plurals of Flux's kinds are regular, but not all as kube guesses them.
        let plural = match kind.kind.as_str() {
            "HelmRepository" => "helmrepositories",
            "GitRepository" => "gitrepositories",
            "OCIRepository" => "ocirepositories",
            _ => return ApiResource::from_gvk(&kind),
        };
        ApiResource::from_gvk_with_plural(&kind, plural)
    }

    pub fn api(self, client: &Client, namespace: &str) -> Api<DynamicObject> {
        Api::namespaced_with(client.clone(), namespace, &self.resource())
    }

    /// Those of all namespaces.
    pub fn everywhere(self, client: &Client) -> Api<DynamicObject> {
        Api::all_with(client.clone(), &self.resource())
    }

    pub async fn get(self, client: &Client, namespace: &str, name: &str) -> Option<DynamicObject> {
        self.api(client, namespace).get_opt(name).await.expect("an object can be read")
    }

    /// Waits until the object is there and satisfies `holds`.
    pub async fn until(
        self,
        client: &Client,
        (namespace, name): (&str, &str),
        within: Duration,
        what: &str,
        holds: impl Fn(&DynamicObject) -> bool,
    ) -> DynamicObject {
        self.watch(client, (namespace, name), within, what, |object| object.is_some_and(&holds))
            .await
            .expect("the condition holds of an object")
    }

    /// Waits until the object is gone.
    pub async fn gone(self, client: &Client, (namespace, name): (&str, &str), within: Duration) {
        self.watch(client, (namespace, name), within, "be gone", |object| object.is_none()).await;
    }

    /// Waits until its Ready condition is `status` for the generation that it has, and the message satisfies `holds`.
    pub async fn ready(
        self,
        client: &Client,
        key: (&str, &str),
        within: Duration,
        (status, message): (&str, &str),
    ) -> DynamicObject {
        let what = format!("have Ready={status} with a message that holds {message:?}");
        self.until(client, key, within, &what, |object| {
            condition(object, "Ready").is_some_and(|ready| {
                ready.status == status
                    && ready.message.contains(message)
                    && ready.observed_generation == object.metadata.generation
            })
        })
        .await
    }

    async fn watch(
        self,
        client: &Client,
        (namespace, name): (&str, &str),
        within: Duration,
        what: &str,
        holds: impl Fn(Option<&DynamicObject>) -> bool,
    ) -> Option<DynamicObject> {
        let mut last = None;
        let mut failure = None;
        let waited = timeout(within, async {
            let mut changes = Box::pin(watch_object(self.api(client, namespace), name));
            loop {
                match changes.try_next().await {
                    Ok(object) => {
                        last = object.flatten();
                        if holds(last.as_ref()) {
                            return;
                        }
                    }
                    // The server may be away for the moment: the watch goes on by itself.
                    Err(error) => {
                        failure = Some(error);
                        sleep(Duration::from_millis(100)).await;
                    }
                }
            }
        })
        .await;
        assert!(
            waited.is_ok(),
            "{} {namespace}/{name} did not {what} within {within:?}; last seen: {}; last failure: {failure:?}",
            self.2,
            last.map_or_else(|| "nothing".to_owned(), |object| brief(&object)),
        );
        last
    }
}

/// A condition in an object's status.
#[derive(Debug, Clone)]
pub struct Condition {
    pub status: String,
    pub reason: String,
    pub message: String,
    pub observed_generation: Option<i64>,
}

/// The condition of that type, if the object has it.
pub fn condition(object: &DynamicObject, kind: &str) -> Option<Condition> {
    let conditions = object.data.pointer("/status/conditions")?.as_array()?;
    let condition = conditions.iter().find(|condition| condition["type"] == kind)?;
    let text = |field: &str| condition[field].as_str().unwrap_or_default().to_owned();
    Some(Condition {
        status: text("status"),
        reason: text("reason"),
        message: text("message"),
        observed_generation: condition["observedGeneration"].as_i64(),
    })
}

/// A value in an object, by JSON pointer.
pub fn field<'a>(object: &'a DynamicObject, pointer: &str) -> &'a Value {
    object.data.pointer(pointer).unwrap_or(&Value::Null)
}

fn brief(object: &DynamicObject) -> String {
    format!(
        "generation {:?}, resource version {:?}, status {}",
        object.metadata.generation,
        object.metadata.resource_version,
        field(object, "/status")
    )
}
