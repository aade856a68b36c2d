//! OCIRepository: an artifact of a registry, a layer of it kept as an archive.

use std::collections::BTreeMap;
use std::time::Duration;

use helm::functions::re2;
use helm::semver::{Constraints, Version};
use jiff::Timestamp;

use super::{DEFAULT_INTERVAL, Done, Obstacle, Sources, Stored, report, suspended};
use crate::api::oci_repository::{OCILayerOperation, OCIProvider};
use crate::api::{Artifact, Condition, OCIRepository, OCIRepositorySpec, OCIRepositoryStatus, reasons};
use crate::reconcile::shell::{Next, Reconciled, Reconciler, Run};
use crate::source::http::Tls;
use crate::source::oci::layer::{self, LAYER_LIMITS, LayerError};
use crate::source::oci::name::{DEFAULT_TAG, NameError};
use crate::source::oci::{Digest, DockerConfig, Manifest, Name, OciError, Reference, Repository, Transport, chart};
use crate::source::store::{ArtifactStore, StoreError};
use crate::source::version::three_part_version;
use crate::telemetry::chain;

const KIND: &str = "OCIRepository";
/// The link to the newest artifact.
const LINK: &str = "latest.tar.gz";
/// The time for an operation when the object's cannot be read.
const DEFAULT_TIMEOUT: Duration = Duration::from_mins(1);
/// The most bytes of annotations that the status takes over.
const MAX_ANNOTATIONS: usize = 64 << 10;
/// The annotations that an event tells of.
const ORIGIN: [&str; 2] = ["org.opencontainers.image.source", "org.opencontainers.image.revision"];

/// The OCIRepository controller.
pub struct OciRepositories {
    pub sources: Sources,
}

impl Reconciled for OCIRepository {
    fn conditions(status: &mut OCIRepositoryStatus) -> &mut Vec<Condition> {
        &mut status.conditions
    }

    fn handled_at(status: &mut OCIRepositoryStatus) -> &mut Option<String> {
        &mut status.last_handled_reconcile_at
    }
}

impl Stored for OCIRepository {
    fn artifact(status: &mut OCIRepositoryStatus) -> &mut Option<Artifact> {
        &mut status.artifact
    }

    fn observed_generation(status: &mut OCIRepositoryStatus) -> &mut i64 {
        &mut status.observed_generation
    }

    fn forget_artifact(status: &mut OCIRepositoryStatus) {
        status.artifact = None;
        status.url = None;
    }
}

impl Reconciler for OciRepositories {
    type Kind = OCIRepository;
    const CONTROLLER: &'static str = "ocirepository";

    async fn reconcile(&self, run: &mut Run<OCIRepository>) -> Next {
        if run.object.metadata.deletion_timestamp.is_some() {
            return self.sources.delete(run).await;
        }
        if let Err(error) = run.hold().await {
            tracing::error!(error = chain(&error), "finalizer not added");
            return Next::Retry;
        }
        if run.object.spec.suspend {
            return suspended(run);
        }
        let before = run.status.clone();
        let outcome = self.attempt(run).await;
        self.sources.finish(run, &before, outcome, run.object.spec.interval.get_or(DEFAULT_INTERVAL))
    }
}

/// An artifact that was pulled, as it is stored.
struct Pulled {
    manifest: Manifest,
    bytes: Vec<u8>,
}

impl OciRepositories {
    async fn attempt(&self, run: &mut Run<OCIRepository>) -> Result<Done, Obstacle> {
        let object = run.object.clone();
        let spec = &object.spec;
        check_supported(spec)?;
        self.sources.check_storage(run).await?;
        let name = parse_url(&spec.url).map_err(|error| {
            let message = format!("URL validation failed for '{}': {error}", spec.url);
            Obstacle::fetch(reasons::URL_INVALID, message).stalled()
        })?;
        let repository = self.repository(run.namespace(), spec, name).await?;
        let known = run.status.artifact.as_ref().filter(|_| !config_changed(spec, &run.status));
        let known = known.map(|artifact| artifact.revision.clone());
        let work = async {
            let reference = reference(spec, &repository).await?;
            let digest = repository.resolve(&reference).await.map_err(|error| no_digest(&error))?;
            let revision = match &reference {
                Reference::Tag(tag) => format!("{tag}@{digest}"),
                Reference::Digest(digest) => digest.to_string(),
            };
            if known.as_ref() == Some(&revision) {
                return Ok((revision, digest, None));
            }
            let pulled = pull(spec, &repository, &digest).await?;
            Ok((revision, digest, Some(pulled)))
        };
        let (revision, digest, pulled) = self.sources.showing_progress(run, work).await??;
        if let Some(pulled) = pulled {
            self.keep(run, &revision, &digest, pulled).await?;
        }
        let message = format!("stored artifact for digest '{revision}'");
        report(run, |report| report.in_storage(reasons::SUCCEEDED, message));
        Ok(Done { reason: reasons::NEW_ARTIFACT, message: told(&run.status, &revision, &spec.url) })
    }

    async fn keep(
        &self,
        run: &mut Run<OCIRepository>,
        revision: &str,
        digest: &Digest,
        pulled: Pulled,
    ) -> Result<(), Obstacle> {
        let path = ArtifactStore::path(KIND, run.namespace(), run.name(), &format!("{digest}.tar.gz"));
        let failed = |error: StoreError| {
            let message = format!("unable to archive artifact to storage: {}", chain(&error));
            Obstacle::storage(reasons::ARCHIVE_OPERATION_FAILED, message)
        };
        let store = &self.sources.store;
        let mut artifact = store.put(&path, revision, pulled.bytes, Timestamp::now()).await.map_err(failed)?;
        artifact.metadata = kept(pulled.manifest.annotations.unwrap_or_default());
        run.status.url = Some(store.link(&artifact, LINK).await.map_err(failed)?);
        run.status.artifact = Some(artifact);
        run.status.observed_ignore.clone_from(&run.object.spec.ignore);
        run.status.observed_layer_selector.clone_from(&run.object.spec.layer_selector);
        Ok(())
    }

    async fn repository(&self, namespace: &str, spec: &OCIRepositorySpec, name: Name) -> Result<Repository, Obstacle> {
        let failed = |message: String| Obstacle::fetch(reasons::AUTHENTICATION_FAILED, message);
        let no_transport = |text: String| failed(format!("failed to generate transport for '{}': {text}", spec.url));
        let config =
            self.logins(namespace, spec).await.map_err(|text| failed(format!("failed to get credential: {text}")))?;
        if config.is_none() && spec.provider != OCIProvider::Generic {
            return Err(Obstacle::unsupported("spec.provider"));
        }
        let login = config.and_then(|config| config.for_repository(&name).cloned());
        let tls = match spec.cert_secret_ref.as_ref().map(|reference| reference.name.as_str()) {
            None | Some("") => Tls::default(),
            Some(secret) => {
                let data = self.sources.secrets.read(namespace, secret).await;
                let data = data
                    .map_err(|error| no_transport(format!("failed to get secret '{namespace}/{secret}': {error}")))?;
                Tls::from_secret(&data)
            }
        };
        let transport = if spec.insecure { Transport::Insecure } else { Transport::Secure };
        Repository::new(name, transport, login, &tls, spec.timeout.get_or(DEFAULT_TIMEOUT))
            .map_err(|error| no_transport(chain(&error)))
    }

    /// Collects the logins of the Secret and of the `ServiceAccount`'s pull secrets; none when there is no such Secret.
    async fn logins(&self, namespace: &str, spec: &OCIRepositorySpec) -> Result<Option<DockerConfig>, String> {
        let mut names: Vec<String> = spec.secret_ref.iter().map(|reference| reference.name.clone()).collect();
        if let Some(account) = spec.service_account_name.as_deref().filter(|account| !account.is_empty()) {
            let secrets = self.sources.secrets.pull_secrets(namespace, account).await;
            names.extend(secrets.map_err(|error| error.to_string())?);
        }
        let mut logins: Option<DockerConfig> = None;
        for name in names {
            let data = self.sources.secrets.read(namespace, &name).await;
            let data = data.map_err(|error| format!("failed to get secret '{namespace}/{name}': {error}"))?;
            let config = DockerConfig::from_secret(&data);
            let config = config.map_err(|error| format!("failed to read secret '{namespace}/{name}': {error}"))?;
            logins.get_or_insert_default().extend(config.unwrap_or_default());
        }
        Ok(logins)
    }
}

/// Refuses an object with a field that decides where, as whom or what is fetched and is not acted on.
fn check_supported(spec: &OCIRepositorySpec) -> Result<(), Obstacle> {
    let fields = [
        ("spec.verify", spec.verify.is_some()),
        ("spec.proxySecretRef", spec.proxy_secret_ref.is_some()),
        ("spec.layerSelector.operation", matches!(operation(spec), OCILayerOperation::Unknown(_))),
    ];
    match fields.iter().find(|(_, is_set)| *is_set) {
        Some((field, _)) => Err(Obstacle::unsupported(field)),
        None => Ok(()),
    }
}

/// What is done with the layer.
pub fn operation(spec: &OCIRepositorySpec) -> OCILayerOperation {
    spec.layer_selector.as_ref().and_then(|selector| selector.operation.clone()).unwrap_or_default()
}

fn media_type(spec: &OCIRepositorySpec) -> Option<&str> {
    spec.layer_selector.as_ref()?.media_type.as_deref().filter(|media_type| !media_type.is_empty())
}

/// Tells whether the stored artifact was made otherwise than the spec asks for.
pub fn config_changed(spec: &OCIRepositorySpec, status: &OCIRepositoryStatus) -> bool {
    spec.ignore != status.observed_ignore || spec.layer_selector != status.observed_layer_selector
}

fn parse_url(url: &str) -> Result<Name, String> {
    let name = url.strip_prefix("oci://").ok_or("URL must be in format 'oci://<domain>/<org>/<repo>'")?;
    Name::parse(name).map_err(|error| error.to_string())
}

/// Says what is to be pulled; a range of versions is looked for among the repository's tags.
async fn reference(spec: &OCIRepositorySpec, repository: &Repository) -> Result<Reference, Obstacle> {
    let is_range =
        spec.reference.as_ref().is_some_and(|wanted| is_set(wanted.semver.as_ref()) && !is_set(wanted.digest.as_ref()));
    let tags = if is_range { repository.tags().await } else { Ok(Vec::new()) };
    choose(spec, &tags.map_err(|error| no_tag(spec, &chain(&error)))?)
}

/// Chooses what is pulled: a digest before a range of versions before a tag.
pub fn choose(spec: &OCIRepositorySpec, tags: &[String]) -> Result<Reference, Obstacle> {
    let wanted = spec.reference.clone().unwrap_or_default();
    let set = |text: Option<String>| text.filter(|text| !text.is_empty());
    let unusable = |error: NameError| no_digest(&error.into());
    if let Some(digest) = set(wanted.digest) {
        return Digest::parse(&digest).map(Reference::Digest).map_err(unusable);
    }
    let tag = match set(wanted.semver) {
        None => set(wanted.tag).unwrap_or_else(|| DEFAULT_TAG.to_owned()),
        Some(range) => newest(tags, &range, set(wanted.semver_filter).as_deref(), media_type(spec))
            .map_err(|text| no_tag(spec, &text))?,
    };
    Reference::tag(&tag).map_err(unusable)
}

fn is_set(text: Option<&String>) -> bool {
    text.is_some_and(|text| !text.is_empty())
}

fn no_tag(spec: &OCIRepositorySpec, text: &str) -> Obstacle {
    let message = format!("failed to determine the artifact tag for '{}': {text}", spec.url);
    Obstacle::fetch(reasons::READ_OPERATION_FAILED, message)
}

/// Chooses the tag with the highest version in a range. Of charts an underscore in a tag stands for a plus.
fn newest(tags: &[String], range: &str, filter: Option<&str>, media_type: Option<&str>) -> Result<String, String> {
    let filter = match filter {
        None => None,
        Some(filter) => {
            let translated = re2::translate(filter.as_bytes()).map_err(|error| error.to_string())?;
            Some(regex::bytes::Regex::new(&translated.pattern).map_err(|error| error.to_string())?)
        }
    };
    let constraints = Constraints::parse(range).map_err(|error| format!("semver '{range}' parse error: {error}"))?;
    let is_chart = media_type == Some(chart::LAYER_MEDIA_TYPE);
    let version = |tag: &str| three_part_version(&if is_chart { tag.replace('_', "+") } else { tag.to_owned() });
    let matching = tags.iter().filter(|tag| filter.as_ref().is_none_or(|filter| filter.is_match(tag.as_bytes())));
    let newest: Option<(Version, &String)> = matching
        .filter_map(|tag| version(tag).filter(|version| constraints.check(version)).map(|version| (version, tag)))
        .max_by(|(a, _), (b, _)| a.cmp(b));
    newest.map(|(_, tag)| tag.clone()).ok_or_else(|| format!("no match found for semver: {range}"))
}

fn no_digest(error: &OciError) -> Obstacle {
    let message = format!("failed to determine artifact digest: {}", chain(error));
    Obstacle::fetch(reasons::OCI_ARTIFACT_PULL_FAILED, message)
}

/// Pulls the artifact and makes of the selected layer what is stored.
async fn pull(spec: &OCIRepositorySpec, repository: &Repository, digest: &Digest) -> Result<Pulled, Obstacle> {
    let layer_failed = |message: String| Obstacle::fetch(reasons::OCI_ARTIFACT_LAYER_OPERATION_FAILED, message);
    let manifest = repository.image(&Reference::Digest(digest.clone())).await.map_err(|error| {
        let message = format!("failed to pull artifact from '{}': {}", spec.url, chain(&error));
        Obstacle::fetch(reasons::OCI_ARTIFACT_PULL_FAILED, message)
    })?;
    let layer = manifest.layer(media_type(spec)).map_err(layer_failed)?;
    let bytes = repository
        .blob(layer, LAYER_LIMITS.packed)
        .await
        .map_err(|error| layer_failed(format!("failed to extract the first layer from artifact: {}", chain(&error))))?;
    if operation(spec) == OCILayerOperation::Copy {
        return Ok(Pulled { manifest, bytes });
    }
    let ignore = spec.ignore.clone();
    let repacked = tokio::task::spawn_blocking(move || layer::repack(&bytes, ignore.as_deref())).await;
    let repacked = repacked.map_err(|error| layer_failed(error.to_string()))?;
    let (bytes, _) = repacked.map_err(|error| match &error {
        LayerError::Extract(_) => layer_failed(chain(&error)),
        LayerError::Ignore(_) => Obstacle::storage(reasons::SOURCE_IGNORE_ERROR, chain(&error)),
        LayerError::Archive(_) => Obstacle::storage(reasons::ARCHIVE_OPERATION_FAILED, chain(&error)),
    })?;
    Ok(Pulled { manifest, bytes })
}

/// Takes over a manifest's annotations, as far as they fit a status.
fn kept(annotations: BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut left = MAX_ANNOTATIONS;
    let fits = |(name, value): &(String, String)| {
        let rest = left.checked_sub(name.len() + value.len());
        left = rest.unwrap_or(left);
        rest.is_some()
    };
    annotations.into_iter().filter(fits).collect()
}

/// Says what is stored, and where its maker says that it comes from.
fn told(status: &OCIRepositoryStatus, revision: &str, url: &str) -> String {
    let stored = format!("stored artifact with revision '{revision}' from '{url}'");
    let metadata = status.artifact.as_ref().map(|artifact| &artifact.metadata);
    let [source, commit] = ORIGIN.map(|name| metadata.and_then(|metadata| metadata.get(name)));
    match (source, commit) {
        (Some(source), Some(commit)) if !source.is_empty() && !commit.is_empty() => {
            format!("{stored}, origin source '{source}', origin revision '{commit}'")
        }
        _ => stored,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const TAGS: [&str; 8] =
        ["6.1.4", "6.1.5-beta.1", "6.1.5-rc.1", "6.1.5", "6.1.6-rc.1", "6.1.6", "6.2.1_ref.1234567", "6.2.1"];

    fn spec(extra: serde_json::Value) -> OCIRepositorySpec {
        let mut spec = json!({ "url": "oci://ghcr.io/org/app", "interval": "1m" });
        json_patch::merge(&mut spec, &extra);
        serde_json::from_value(spec).unwrap()
    }

    #[test]
    fn the_highest_version_in_the_range_is_chosen() {
        let tags = TAGS.map(ToOwned::to_owned);
        let newest = |range, filter, media_type| newest(&tags, range, filter, media_type);
        assert_eq!(newest("~6.1.x", None, None).unwrap(), "6.1.6");
        assert_eq!(newest(">= 6.1.x-0", Some(".*-rc.*"), None).unwrap(), "6.1.6-rc.1");
        assert_eq!(newest(">= 6.2.0", None, None).unwrap(), "6.2.1");
        let chart = newest(">= 6.2.0", None, Some(chart::LAYER_MEDIA_TYPE)).unwrap();
        assert!(["6.2.1", "6.2.1_ref.1234567"].contains(&chart.as_str()), "{chart}");
        let none = newest(">= 6.1.x-0", Some(".*-alpha.*"), None).unwrap_err();
        assert_eq!(none, "no match found for semver: >= 6.1.x-0");
        assert!(newest("*", Some("["), None).unwrap_err().starts_with("error parsing regexp"));
        assert!(newest("what", None, None).unwrap_err().starts_with("semver 'what' parse error"));
    }

    #[test]
    fn fields_that_are_not_acted_on_stall() {
        assert_eq!(check_supported(&spec(json!({ "layerSelector": { "operation": "copy" } }))), Ok(()));
        for (extra, field) in [
            (json!({ "verify": { "provider": "cosign" } }), "spec.verify"),
            (json!({ "proxySecretRef": { "name": "p" } }), "spec.proxySecretRef"),
            (json!({ "layerSelector": { "operation": "melt" } }), "spec.layerSelector.operation"),
        ] {
            assert_eq!(check_supported(&spec(extra)), Err(Obstacle::unsupported(field)));
        }
    }

    #[test]
    fn a_changed_way_to_make_the_artifact_pulls_again() {
        let status = |extra| serde_json::from_value::<OCIRepositoryStatus>(extra).unwrap();
        let table = [
            (json!({}), json!({}), false),
            (json!({}), json!({ "observedIgnore": "aaa" }), true),
            (json!({ "ignore": "aaa" }), json!({ "observedIgnore": "aaa" }), false),
            (
                json!({ "layerSelector": { "operation": "copy" } }),
                json!({ "observedLayerSelector": { "operation": "copy" } }),
                false,
            ),
            (
                json!({ "layerSelector": { "operation": "extract" } }),
                json!({ "observedLayerSelector": { "operation": "copy" } }),
                true,
            ),
        ];
        for (extra, observed, expected) in table {
            assert_eq!(config_changed(&spec(extra.clone()), &status(observed)), expected, "{extra}");
        }
    }

    #[test]
    fn an_address_must_be_a_repository_of_a_registry() {
        assert!(parse_url("oci://ghcr.io/org/app").is_ok());
        assert_eq!(parse_url("registry.test/x/y").unwrap_err(), "URL must be in format 'oci://<domain>/<org>/<repo>'");
        assert_eq!(parse_url("oci://ghcr.io/x:1").unwrap_err(), "URL must not contain a tag; remove ':1'");
    }

    #[test]
    fn annotations_that_do_not_fit_are_left_out() {
        let annotations = [("a", 10), ("b", MAX_ANNOTATIONS), ("c", 10)];
        let annotations = annotations.map(|(name, size)| (name.to_owned(), "x".repeat(size)));
        assert_eq!(kept(annotations.into()).into_keys().collect::<Vec<_>>(), ["a", "c"]);
    }

    #[test]
    fn an_event_tells_of_the_origin() {
        let mut status = OCIRepositoryStatus { artifact: Some(Artifact::default()), ..Default::default() };
        assert_eq!(told(&status, "1@sha256:a", "oci://x"), "stored artifact with revision '1@sha256:a' from 'oci://x'");
        let metadata = ORIGIN.map(|name| (name.to_owned(), "o".to_owned()));
        status.artifact = Some(Artifact { metadata: metadata.into(), ..Artifact::default() });
        assert!(told(&status, "1", "u").ends_with(", origin source 'o', origin revision 'o'"));
    }
}
