//! What is written to the cluster before the controllers start.

use std::time::Duration;

use k8s_openapi::{
    api::core::v1::Namespace, apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{ListParams, Patch, PatchParams, PostParams},
    runtime::wait::{await_condition, conditions},
};
use serde_json::{Value, json};

use super::Environment;
use crate::{
    api::{self, GitRepository, Kustomization},
    cluster::lease,
};

/// The field manager of the objects that the daemon writes for its flags.
const FIELD_MANAGER: &str = "bowline";
/// The label of the pair that the daemon wrote for an environment.
const ENVIRONMENT_LABEL: (&str, &str) = ("app.kubernetes.io/managed-by", "bowline");
/// How long the API server may take to serve a definition that it has accepted.
const ESTABLISH_TIMEOUT: Duration = Duration::from_mins(1);
/// How often Flux's leases are read while its controllers are at work.
const FLUX_POLL: Duration = Duration::from_secs(5);

/// What could not be written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot make the namespace {name}")]
    Namespace {
        name: String,
        #[source]
        source: kube::Error,
    },
    #[error("cannot apply the definition {name}{}", stored_hint(source))]
    Definition {
        name: String,
        #[source]
        source: kube::Error,
    },
    #[error("the definition {name} is not served after {} s", ESTABLISH_TIMEOUT.as_secs())]
    Established { name: String },
    #[error("cannot write the {kind} {namespace}/{name} of the environment")]
    Environment {
        kind: &'static str,
        namespace: String,
        name: String,
        #[source]
        source: kube::Error,
    },
    #[error(transparent)]
    Lease(#[from] lease::Error),
}

/// A cluster that an older Flux wrote to may hold objects in versions that are not served any more.
fn stored_hint(error: &kube::Error) -> &'static str {
    match error {
        kube::Error::Api(status) if status.message.contains("storedVersions") => {
            " (objects are stored in a version that is gone; `flux migrate` rewrites them)"
        }
        _ => "",
    }
}

/// Makes the daemon's own namespace if it is missing.
pub async fn namespace(client: &Client, name: &str) -> Result<(), Error> {
    let api: Api<Namespace> = Api::all(client.clone());
    let failed = |source| Error::Namespace { name: name.to_owned(), source };
    if api.get_opt(name).await.map_err(failed)?.is_some() {
        return Ok(());
    }
    let namespace: Namespace = Namespace { metadata: metadata(name), ..Namespace::default() };
    match api.create(&PostParams::default(), &namespace).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(()),
        Err(source) => Err(failed(source)),
    }
}

fn metadata(name: &str) -> kube::core::ObjectMeta {
    kube::core::ObjectMeta { name: Some(name.to_owned()), ..Default::default() }
}

/// Applies our custom resource definitions over what is there (Flux's are adopted), and waits until they are served.
pub async fn crds(client: &Client) -> Result<(), Error> {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    let definitions = api::crds();
    let params = PatchParams::apply(FIELD_MANAGER).force();
    for definition in &definitions {
        let name = definition.name_any();
        api.patch(&name, &params, &Patch::Apply(definition))
            .await
            .map_err(|source| Error::Definition { name, source })?;
    }
    for definition in &definitions {
        let name = definition.name_any();
        let served = await_condition(api.clone(), &name, conditions::is_crd_established());
        match tokio::time::timeout(ESTABLISH_TIMEOUT, served).await {
            Ok(Ok(_)) => {}
            Ok(Err(_)) | Err(_) => return Err(Error::Established { name }),
        }
    }
    Ok(())
}

/// Waits while Flux's own controllers hold their leases: two managers of the same objects would fight.
pub async fn flux_has_ended(client: &Client, namespace: &str) -> Result<(), Error> {
    let mut said = Vec::new();
    loop {
        let live = lease::flux_at_work(client, namespace, jiff::Timestamp::now()).await?;
        if live.is_empty() {
            return Ok(());
        }
        if live != said {
            tracing::warn!(
                controllers = live.join(", "),
                namespace,
                "Flux's controllers are at work here; nothing is done until they are scaled to zero"
            );
            said = live;
        }
        tokio::time::sleep(FLUX_POLL).await;
    }
}

/// Writes the GitRepository and the Kustomization of the environment, both named after it. Pairs of other environments
/// that earlier flags wrote are left alone, since deleting one would prune what it applied; they are named in a warning.
pub async fn environment(client: &Client, namespace: &str, environment: &Environment) -> Result<(), Error> {
    let interval = api::Duration::from(environment.interval).to_string();
    let name = &environment.name;
    let mut git = json!({
        "url": environment.url,
        "ref": { "branch": environment.branch },
        "interval": interval,
    });
    if let Some(secret) = &environment.secret {
        git["secretRef"] = json!({ "name": secret });
    }
    let kustomization = json!({
        "sourceRef": { "kind": "GitRepository", "name": name },
        "path": format!("./{name}"),
        "prune": true,
        "interval": interval,
    });
    apply::<GitRepository>(client, namespace, name, git).await?;
    apply::<Kustomization>(client, namespace, name, kustomization).await?;
    warn_of_others(client, namespace, name).await
}

async fn apply<K>(client: &Client, namespace: &str, name: &str, spec: Value) -> Result<(), Error>
where
    K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned,
{
    let (key, value) = ENVIRONMENT_LABEL;
    let object = json!({
        "apiVersion": K::api_version(&()),
        "kind": K::kind(&()),
        "metadata": { "name": name, "namespace": namespace, "labels": { key: value } },
        "spec": spec,
    });
    let api: Api<K> = Api::namespaced(client.clone(), namespace);
    let params = PatchParams::apply(FIELD_MANAGER).force();
    api.patch(name, &params, &Patch::Apply(&object)).await.map(|_| ()).map_err(|source| Error::Environment {
        kind: if K::kind(&()) == "Kustomization" { "Kustomization" } else { "GitRepository" },
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        source,
    })
}

async fn warn_of_others(client: &Client, namespace: &str, name: &str) -> Result<(), Error> {
    let (key, value) = ENVIRONMENT_LABEL;
    let api: Api<Kustomization> = Api::namespaced(client.clone(), namespace);
    let list = api.list(&ListParams::default().labels(&format!("{key}={value}"))).await;
    let list = list.map_err(|source| Error::Environment {
        kind: "Kustomization",
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        source,
    })?;
    let others: Vec<_> = list.items.iter().map(ResourceExt::name_any).filter(|other| other != name).collect();
    if !others.is_empty() {
        tracing::warn!(
            environments = others.join(", "),
            namespace,
            "written for earlier flags and left alone: deleting such a Kustomization prunes what it applied"
        );
    }
    Ok(())
}
