//! HelmRepository: an index of charts, kept for the charts that use it.
//!
//! A repository of type `oci` is a static object: it has no index, and no status beyond the default.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;

use super::{DEFAULT_INTERVAL, Done, Obstacle, Sources, Stored, report, suspended};
use crate::api::helm_repository::HelmRepositoryType;
use crate::api::oci_repository::OCIProvider;
use crate::api::{Artifact, Condition, HelmRepository, HelmRepositorySpec, HelmRepositoryStatus, reasons};
use crate::reconcile::shell::{Next, Reconciled, Reconciler, Run};
use crate::reconcile::watched::lock;
use crate::source::helm_repository::{self, IndexFetchError, Repository, RepositoryUrlError, Validators};
use crate::source::http::{Credentials, HttpError, Tls};
use crate::source::index::Index;
use crate::source::oci::{self, DockerConfig, Login, Name, Transport};
use crate::source::secret::SecretData;
use crate::source::store::ArtifactStore;
use crate::telemetry::chain;

const KIND: &str = "HelmRepository";
/// The link to the newest index.
const LINK: &str = "index.yaml";
/// The time for a request when the object names none.
const DEFAULT_TIMEOUT: Duration = Duration::from_mins(1);

/// The HelmRepository controller.
pub struct HelmRepositories {
    pub sources: Sources,
    pub indexes: Arc<Indexes>,
}

/// The indexes in memory, each parsed once for all charts that use it. It can be lost: the store has the same.
#[derive(Default)]
pub struct Indexes(Mutex<HashMap<(String, String), Kept>>);

#[derive(Clone)]
struct Kept {
    digest: String,
    index: Arc<Index>,
    /// What the remote said of this index, and under which address.
    validators: Option<(String, Validators)>,
}

impl Indexes {
    /// Returns the index that an artifact of a repository holds.
    pub async fn load(
        &self,
        store: &ArtifactStore,
        namespace: &str,
        name: &str,
        artifact: &Artifact,
    ) -> Result<Arc<Index>, String> {
        let key = (namespace.to_owned(), name.to_owned());
        if let Some(kept) = lock(&self.0).get(&key).filter(|kept| kept.digest == artifact.digest) {
            return Ok(kept.index.clone());
        }
        let bytes = store.bytes(artifact).await.map_err(|error| chain(&error))?;
        let read = tokio::task::spawn_blocking(move || Index::read(&bytes)).await.map_err(|error| error.to_string())?;
        let index = Arc::new(read.map_err(|error| error.to_string())?);
        let kept = Kept { digest: artifact.digest.clone(), index: index.clone(), validators: None };
        lock(&self.0).insert(key, kept);
        Ok(index)
    }

    fn validators(&self, namespace: &str, name: &str, url: &str, artifact: Option<&Artifact>) -> Validators {
        let kept = lock(&self.0).get(&(namespace.to_owned(), name.to_owned())).cloned();
        match (kept, artifact) {
            (Some(Kept { digest, validators: Some((known, validators)), .. }), Some(artifact))
                if digest == artifact.digest && known == url =>
            {
                validators
            }
            _ => Validators::default(),
        }
    }

    fn keep(&self, namespace: &str, name: &str, kept: Kept) {
        lock(&self.0).insert((namespace.to_owned(), name.to_owned()), kept);
    }

    fn forget(&self, namespace: &str, name: &str) {
        lock(&self.0).remove(&(namespace.to_owned(), name.to_owned()));
    }
}

impl Reconciled for HelmRepository {
    fn conditions(status: &mut HelmRepositoryStatus) -> &mut Vec<Condition> {
        &mut status.conditions
    }

    fn handled_at(status: &mut HelmRepositoryStatus) -> &mut Option<String> {
        &mut status.last_handled_reconcile_at
    }
}

impl Stored for HelmRepository {
    fn artifact(status: &mut HelmRepositoryStatus) -> &mut Option<Artifact> {
        &mut status.artifact
    }

    fn observed_generation(status: &mut HelmRepositoryStatus) -> &mut i64 {
        &mut status.observed_generation
    }

    fn forget_artifact(status: &mut HelmRepositoryStatus) {
        status.artifact = None;
        status.url = None;
    }
}

impl Reconciler for HelmRepositories {
    type Kind = HelmRepository;
    const CONTROLLER: &'static str = "helmrepository";

    async fn reconcile(&self, run: &mut Run<HelmRepository>) -> Next {
        if run.object.metadata.deletion_timestamp.is_some() {
            self.indexes.forget(run.namespace(), run.name());
            return self.sources.delete(run).await;
        }
        if is_oci(&run.object.spec) {
            return self.leave_alone(run).await;
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
        let interval = run.object.spec.interval.as_ref().map_or(DEFAULT_INTERVAL, |i| i.get_or(DEFAULT_INTERVAL));
        self.sources.finish(run, &before, outcome, interval)
    }
}

/// True for a registry, which has no index.
pub fn is_oci(spec: &HelmRepositorySpec) -> bool {
    spec.kind == Some(HelmRepositoryType::Oci)
}

impl HelmRepositories {
    /// Takes away what the object had while it was of the other type.
    async fn leave_alone(&self, run: &mut Run<HelmRepository>) -> Next {
        if run.status.artifact.is_some() || !run.status.conditions.is_empty() {
            self.indexes.forget(run.namespace(), run.name());
            if let Err(error) = self.sources.store.remove_all(KIND, run.namespace(), run.name()).await {
                tracing::warn!(error = chain(&error), "artifacts not removed");
            }
            run.status = HelmRepositoryStatus { observed_generation: -1, ..HelmRepositoryStatus::default() };
        }
        Next::Change
    }

    async fn attempt(&self, run: &mut Run<HelmRepository>) -> Result<Done, Obstacle> {
        let object = run.object.clone();
        self.sources.check_storage(run).await?;
        let repository = repository(&self.sources, run.namespace(), &object.spec).await?;
        let url = repository.shown();
        let (namespace, name) = (run.namespace().to_owned(), run.name().to_owned());
        let known = self.indexes.validators(&namespace, &name, &url, run.status.artifact.as_ref());
        let fetched = self.sources.showing_progress(run, repository.index(&known)).await?;
        let revision = match fetched.map_err(obstacle)? {
            None => run.status.artifact.as_ref().map(|artifact| artifact.revision.clone()).unwrap_or_default(),
            Some((index, validators)) => self.keep(run, index, (url, validators)).await?,
        };
        let message = format!("stored artifact: revision '{revision}'");
        report(run, |report| report.in_storage(reasons::SUCCEEDED, message));
        let size = run.status.artifact.as_ref().and_then(|artifact| artifact.size).unwrap_or_default();
        let message = format!("stored fetched index of size {} from '{}'", human_size(size), object.spec.url);
        Ok(Done { reason: reasons::NEW_ARTIFACT, message })
    }

    async fn keep(
        &self,
        run: &mut Run<HelmRepository>,
        index: Index,
        validators: (String, Validators),
    ) -> Result<String, Obstacle> {
        let written = index.write();
        let revision = Index::revision(&written);
        let kept = Kept { digest: revision.clone(), index: Arc::new(index), validators: Some(validators) };
        let is_known = run.status.artifact.as_ref().is_some_and(|artifact| artifact.revision == revision);
        if !is_known {
            let hex = revision.trim_start_matches("sha256:");
            let path = ArtifactStore::path(KIND, run.namespace(), run.name(), &format!("index-{hex}.yaml"));
            let failed = |error: crate::source::store::StoreError| {
                let message = format!("unable to save artifact to storage: {}", chain(&error));
                Obstacle::storage(reasons::ARCHIVE_OPERATION_FAILED, message)
            };
            let store = &self.sources.store;
            let artifact = store.put(&path, &revision, written, Timestamp::now()).await.map_err(failed)?;
            run.status.url = Some(store.link(&artifact, LINK).await.map_err(failed)?);
            run.status.artifact = Some(artifact);
        }
        self.indexes.keep(run.namespace(), run.name(), kept);
        Ok(revision)
    }
}

/// Prepares access to the repository of an object.
pub async fn repository(sources: &Sources, namespace: &str, spec: &HelmRepositorySpec) -> Result<Repository, Obstacle> {
    let url = helm_repository::parse_url(&spec.url).map_err(|error| match error {
        RepositoryUrlError::Invalid(_) => {
            Obstacle::fetch(reasons::URL_INVALID, format!("invalid Helm repository URL: {error}")).stalled()
        }
        RepositoryUrlError::Scheme(ref scheme) if scheme == "oci" => {
            let message =
                "invalid Helm repository URL: 'oci' URL scheme cannot be used with 'default' HelmRepository type";
            Obstacle::fetch(reasons::URL_INVALID, message).stalled()
        }
        RepositoryUrlError::Scheme(_) => {
            Obstacle::fetch(reasons::FAILED, format!("failed to construct Helm client: {error}")).stalled()
        }
    })?;
    let access = access(sources, namespace, spec).await?;
    Repository::new(url, access.credentials.as_ref(), &access.tls, spec.pass_credentials, timeout(spec))
        .map_err(|error| refused(format!("failed to construct Helm client's TLS config: {error}")))
}

/// Prepares access to the repository of one chart in the registry of an object.
pub async fn oci_repository(
    sources: &Sources,
    namespace: &str,
    spec: &HelmRepositorySpec,
    chart: &str,
) -> Result<oci::Repository, Obstacle> {
    let no_client =
        |error: String| Obstacle::fetch(reasons::FAILED, format!("failed to construct Helm client: {error}")).stalled();
    if spec.secret_ref.is_none() && spec.provider != OCIProvider::Generic {
        return Err(Obstacle::unsupported("spec.provider of the HelmRepository"));
    }
    let url = helm_repository::normalise_url(&spec.url);
    let Some(place) = url.strip_prefix("oci://") else {
        return Err(no_client(format!("invalid OCI registry URL: {url}")));
    };
    let (host, path) = place.split_once('/').unwrap_or((place, ""));
    let path = format!("{path}/{chart}");
    let name = Name::new(host, path.trim_matches('/')).map_err(|error| no_client(error.to_string()))?;
    let access = access(sources, namespace, spec).await?;
    let login = match (&spec.secret_ref, &access.secret) {
        (Some(reference), Some(secret)) => login(host, &reference.name, secret, access.credentials.as_ref())
            .map_err(|text| refused(format!("failed to configure OCI registry authentication: {text}")))?,
        _ => None,
    };
    let transport = if spec.insecure { Transport::Plain } else { Transport::Tls };
    oci::Repository::new(name, transport, login, &access.tls, timeout(spec))
        .map_err(|error| refused(format!("failed to construct Helm client's TLS config: {error}")))
}

fn refused(message: String) -> Obstacle {
    Obstacle::fetch(reasons::AUTHENTICATION_FAILED, message)
}

fn timeout(spec: &HelmRepositorySpec) -> Duration {
    spec.timeout.as_ref().map_or(DEFAULT_TIMEOUT, |timeout| timeout.get_or(DEFAULT_TIMEOUT))
}

/// Finds the login for a registry in a Secret: of a Docker configuration that of the host, else user and password.
fn login(
    host: &str,
    secret_name: &str,
    secret: &SecretData,
    credentials: Option<&Credentials>,
) -> Result<Option<Login>, String> {
    let config = DockerConfig::from_secret(secret)
        .map_err(|error| format!("unable to load Docker config from Secret '{secret_name}': {error}"))?;
    if let Some(config) = config {
        let login = config.for_host(host).cloned();
        return match login {
            Some(login) => Ok(Some(login)),
            None => Err(format!("no auth config for '{host}' in the docker-registry Secret '{secret_name}'")),
        };
    }
    Ok(credentials.and_then(|credentials| match credentials {
        Credentials::Basic { username, password } => {
            Some(Login::Basic { username: username.clone(), password: password.clone() })
        }
        Credentials::Bearer(_) => None,
    }))
}

/// What the Secrets of an object say.
struct SecretAccess {
    tls: Tls,
    credentials: Option<Credentials>,
    secret: Option<Arc<SecretData>>,
}

/// Reads the Secrets that an object names.
async fn access(sources: &Sources, namespace: &str, spec: &HelmRepositorySpec) -> Result<SecretAccess, Obstacle> {
    let mut access = SecretAccess { tls: Tls::default(), credentials: None, secret: None };
    if let Some(reference) = &spec.cert_secret_ref {
        let name = &reference.name;
        let secret = sources.secrets.read(namespace, name).await;
        let secret = secret.map_err(|error| {
            refused(format!("failed to get TLS authentication secret '{namespace}/{name}': {error}"))
        })?;
        access.tls = Tls::from_secret(&secret);
    }
    if let Some(reference) = &spec.secret_ref {
        let name = &reference.name;
        let secret = sources.secrets.read(namespace, name).await;
        let secret = secret
            .map_err(|error| refused(format!("failed to get authentication secret '{namespace}/{name}': {error}")))?;
        access.credentials = helm_repository::credentials(&secret)
            .map_err(|error| refused(format!("failed to detect authentication methods: {error}")))?;
        if spec.cert_secret_ref.is_none() {
            access.tls = Tls::from_secret(&secret);
        }
        access.secret = Some(secret);
    }
    Ok(access)
}

fn obstacle(error: IndexFetchError) -> Obstacle {
    match error {
        IndexFetchError::Http(error) => {
            let is_denied = matches!(&error, HttpError::Status { status, .. } if matches!(status.as_u16(), 401 | 403));
            let reason = if is_denied { reasons::AUTHENTICATION_FAILED } else { reasons::INDEXATION_FAILED };
            let fetching = if matches!(error, HttpError::Status { .. }) { "failed to fetch " } else { "" };
            let message = format!(
                "failed to fetch Helm repository index: failed to cache index to temporary file: {fetching}{}",
                chain(&error)
            );
            Obstacle::fetch(reason, message)
        }
        IndexFetchError::Index(error) => {
            let message = format!("failed to load Helm repository from index YAML: {error}");
            Obstacle::fetch(reasons::INDEXATION_FAILED, message)
        }
    }
}

/// Writes a size as Flux's events do: `1.2 MB`.
fn human_size(bytes: i64) -> String {
    const UNITS: [&str; 4] = ["B", "kB", "MB", "GB"];
    let mut size = bytes as f64;
    let mut unit = 0;
    while size >= 1000.0 && unit + 1 < UNITS.len() {
        size /= 1000.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes}B") } else { format!("{size:.3}{}", UNITS[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::secret::Redacted;

    #[test]
    fn sizes_are_for_people() {
        assert_eq!(human_size(999), "999B");
        assert_eq!(human_size(1_234_567), "1.235MB");
    }

    #[test]
    fn a_login_is_found_for_the_registrys_host() {
        let found = |host: &str, data: &[(&str, &str)]| {
            let secret: SecretData = data.iter().copied().collect();
            let credentials = helm_repository::credentials(&secret).unwrap();
            login(host, "s", &secret, credentials.as_ref())
        };
        let basic = |user: &str| Login::Basic { username: user.into(), password: Redacted::new("p".into()) };
        let config = [(".dockerconfigjson", r#"{"auths": {"ghcr.io": {"username": "docker", "password": "p"}}}"#)];
        assert_eq!(found("ghcr.io", &config), Ok(Some(basic("docker"))));
        let other = "no auth config for 'quay.io' in the docker-registry Secret 's'";
        assert_eq!(found("quay.io", &config), Err(other.to_owned()));
        assert_eq!(found("quay.io", &[("username", "u"), ("password", "p")]), Ok(Some(basic("u"))));
        assert_eq!(found("quay.io", &[]), Ok(None));
        assert!(found("quay.io", &[(".dockerconfigjson", "hunter2")]).unwrap_err().starts_with("unable to load"));
    }

    #[test]
    fn an_index_is_asked_for_conditionally_only_while_it_is_the_stored_one() {
        let indexes = Indexes::default();
        let validators = Validators { etag: Some("e".into()), last_modified: None };
        let kept =
            Kept { digest: "sha256:a".into(), index: Arc::default(), validators: Some(("u".into(), validators)) };
        indexes.keep("ns", "name", kept);
        let artifact = |digest: &str| Artifact { digest: digest.into(), ..Artifact::default() };
        let etag = |url: &str, artifact: Option<&Artifact>| indexes.validators("ns", "name", url, artifact).etag;
        assert_eq!(etag("u", Some(&artifact("sha256:a"))).as_deref(), Some("e"));
        assert_eq!(etag("u", Some(&artifact("sha256:b"))), None);
        assert_eq!(etag("other", Some(&artifact("sha256:a"))), None);
        assert_eq!(etag("u", None), None, "the file is lost");
    }
}
