//! From a chart and values to a revision that is ready to be recorded and applied.

use std::sync::Arc;

use helm::{
    chart::{
        Chart,
        capabilities::{Capabilities, KubeVersion},
    },
    functions::{Env, Lookup},
    post_render::PostRender,
    random::SystemRandom,
    release::{Info, Release, Status as RecordStatus, record_chart},
    render::{Options, Rendered, render},
};
use jiff::Timestamp;
use kube::Client;
use serde_json::{Map, Value};
use tokio::runtime::Handle;

use super::{Error, Work, objects, objects::Resource};
use crate::{
    api::inventory::{ResourceInventory, ResourceRef},
    cluster::{
        apply::{self, ApplyMethod, Target},
        discovery::Discovery,
        inventory, object, request,
    },
    reconcile::release::{method, post_render},
};

/// A revision that was rendered.
pub struct Prepared {
    pub record: Release,
    pub resources: Vec<Resource>,
}

/// What a render is about.
pub struct Revision {
    pub release: String,
    pub namespace: String,
    /// The number that templates see, which is the record's but where an install replaces an older release.
    pub number: i64,
    pub method: ApplyMethod,
    pub is_upgrade: bool,
    pub skip_schema_validation: bool,
}

impl Work<'_> {
    /// Renders a chart as a revision, and resolves its objects.
    pub(super) async fn prepare(
        &self,
        chart: &Arc<Chart>,
        values: &Map<String, Value>,
        revision: Revision,
    ) -> Result<Prepared, Error> {
        let capabilities = self.capabilities().await?;
        let lookup = ClusterLookup {
            client: self.connection.client.clone(),
            discovery: self.connection.discovery.clone(),
            runtime: Handle::current(),
        };
        let (chain, strategy) = (post_render::Chain::of(&self.object), post_render::strategy(&self.object));
        let (chart, values, namespace) = (chart.clone(), values.clone(), revision.namespace.clone());
        let rendering = tokio::task::spawn_blocking(move || {
            let post = PostRender { renderer: &chain, strategy };
            let rendered = render_with(&chart, &values, &revision, capabilities, &lookup, post)?;
            let chart = record_chart(&rendered.node).map_err(Error::RecordChart)?;
            let trees: Vec<Value> = rendered.manifests.iter().map(|manifest| manifest.object.clone()).collect();
            Ok::<_, Error>((pending(&revision, values, rendered, chart), trees))
        });
        let (record, trees) = rendering.await.map_err(|_| Error::RenderEnded)??;
        let resources = objects::resolve(&self.connection.discovery, trees, &namespace).await.map_err(Error::Build)?;
        Ok(Prepared { record, resources })
    }

    async fn capabilities(&self) -> Result<Capabilities, Error> {
        let found = self.connection.discovery.capabilities().await.map_err(Error::Capabilities)?;
        Ok(Capabilities {
            kube_version: KubeVersion {
                version: found.git_version,
                normalized: String::new(),
                major: found.major,
                minor: found.minor,
            },
            api_versions: found.api_versions,
        })
    }

    /// Returns the objects that already exist and are not the release's, as an error with the first of them.
    pub(super) async fn check_ownership(
        &self,
        resources: &[Resource],
        owner: &objects::Owner,
        what: &'static str,
    ) -> Result<(), Error> {
        for resource in resources {
            let existing = apply::get_metadata(&self.connection.client, &resource.target).await;
            let existing = existing.map_err(Error::Existing)?;
            let foreign = existing.and_then(|existing| objects::foreign(&existing, &resource.target.id, owner));
            if let Some(foreign) = foreign {
                return Err(Error::Foreign(what, foreign));
            }
        }
        Ok(())
    }
}

/// Makes the inventory of a revision: its objects without hooks, and the chart's definitions.
pub fn inventory_of(resources: &[Resource], definitions: &[Value]) -> ResourceInventory {
    let objects =
        resources.iter().map(|resource| (resource.target.id.clone(), resource.target.kind.api.version.clone()));
    let definitions = definitions.iter().filter_map(|tree| {
        let (_, version) = object::split_api_version(object::api_version(tree)?);
        Some((object::ObjectId::of(tree)?, version.to_owned()))
    });
    let entries = objects.chain(definitions).map(|(id, v)| ResourceRef { id: inventory::format_id(&id), v }).collect();
    ResourceInventory { entries }
}

fn render_with(
    chart: &Arc<Chart>,
    values: &Map<String, Value>,
    revision: &Revision,
    capabilities: Capabilities,
    lookup: &ClusterLookup,
    post: PostRender<'_>,
) -> Result<Rendered, Error> {
    let options = Options {
        revision: revision.number,
        is_upgrade: revision.is_upgrade,
        capabilities,
        skip_schema_validation: revision.skip_schema_validation,
        post_render: Some(post),
        ..Options::install(
            revision.release.clone(),
            revision.namespace.clone(),
            Env { lookup: Some(lookup), ..Env::at(Timestamp::now(), &SystemRandom) },
        )
    };
    let values = helm::chart::values::floats(Value::Object(values.clone()));
    let values = values.as_object().cloned().unwrap_or_default();
    let rendered = render(chart, &values, &options).map_err(|failure| Error::Render(failure.error))?;
    for notice in &rendered.notices {
        tracing::debug!(detail = notice.message, "helm");
    }
    Ok(rendered)
}

fn pending(
    revision: &Revision,
    values: Map<String, Value>,
    rendered: Rendered,
    chart: Arc<serde_json::value::RawValue>,
) -> Release {
    let now = super::now();
    let manifest = rendered.manifest();
    let (status, description) = if revision.is_upgrade {
        (RecordStatus::PendingUpgrade, "Preparing upgrade")
    } else {
        (RecordStatus::PendingInstall, "Initial install underway")
    };
    Release {
        name: revision.release.clone(),
        info: Info {
            first_deployed: Some(now.clone()),
            last_deployed: Some(now),
            status,
            description: description.to_owned(),
            notes: rendered.notes,
            ..Info::default()
        },
        chart: Some(chart),
        config: Some(values).filter(|values| !values.is_empty()),
        manifest,
        hooks: rendered.hooks,
        version: revision.number,
        namespace: revision.namespace.clone(),
        apply_method: Some(method::recorded(revision.method)),
        labels: std::collections::BTreeMap::new(),
    }
}

/// Helm's `lookup`, answered by the cluster. Rendering is synchronous and on a thread of its own, so it may block.
struct ClusterLookup {
    client: Client,
    discovery: Arc<Discovery>,
    runtime: Handle,
}

impl Lookup for ClusterLookup {
    fn lookup(&self, api_version: &str, kind: &str, namespace: &str, name: &str) -> Result<Option<Value>, String> {
        self.runtime.block_on(async {
            // A kind that is not served has no objects, as under Helm.
            let Ok(served) = self.discovery.resolve(api_version, kind).await else { return Ok(None) };
            if name.is_empty() {
                let accept = [(http::header::ACCEPT, "application/json")];
                let uri = served.collection(namespace);
                let list = request::send(&self.client, http::Method::GET, &uri, &accept, Vec::new()).await;
                return list.map(|reply| Some(reply.body)).map_err(|error| request::message_of(&error));
            }
            let namespace = if served.namespaced { namespace } else { "" };
            let id = object::ObjectId {
                group: served.api.group.clone(),
                kind: kind.to_owned(),
                namespace: namespace.to_owned(),
                name: name.to_owned(),
            };
            apply::get(&self.client, &Target { kind: served, id }).await.map_err(|error| error.to_string())
        })
    }
}
