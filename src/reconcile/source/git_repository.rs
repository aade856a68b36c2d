//! GitRepository: a Git reference, kept as an archive of its files.

use std::time::Duration;

use jiff::Timestamp;

use super::{DEFAULT_INTERVAL, Done, Obstacle, Sources, Stored, report, suspended};
use crate::api::git_repository::{GitProvider, GitRepositoryRef};
use crate::api::{Artifact, Condition, GitRepository, GitRepositorySpec, GitRepositoryStatus, reasons};
use crate::reconcile::shell::{Next, Reconciled, Reconciler, Run};
use crate::source::archive::Written;
use crate::source::git::reference::Reference;
use crate::source::git::url::GitUrl;
use crate::source::git::{Fetched, Git, GitCredentials, GitError, Outcome, Request, Step};
use crate::source::store::ArtifactStore;
use crate::telemetry::chain;

/// The time for a fetch when the object's cannot be read.
const DEFAULT_TIMEOUT: Duration = Duration::from_mins(1);
const KIND: &str = "GitRepository";
/// The key of a Secret for a GitHub App, which is no user and password.
const GITHUB_APP: &str = "githubAppID";

/// The GitRepository controller.
pub struct GitRepositories {
    pub sources: Sources,
    pub git: Git,
}

impl Reconciled for GitRepository {
    fn conditions(status: &mut GitRepositoryStatus) -> &mut Vec<Condition> {
        &mut status.conditions
    }

    fn handled_at(status: &mut GitRepositoryStatus) -> &mut Option<String> {
        &mut status.last_handled_reconcile_at
    }
}

impl Stored for GitRepository {
    fn artifact(status: &mut GitRepositoryStatus) -> &mut Option<Artifact> {
        &mut status.artifact
    }

    fn observed_generation(status: &mut GitRepositoryStatus) -> &mut i64 {
        &mut status.observed_generation
    }
}

impl Reconciler for GitRepositories {
    type Kind = GitRepository;
    const CONTROLLER: &'static str = "gitrepository";

    async fn reconcile(&self, run: &mut Run<GitRepository>) -> Next {
        if run.object.metadata.deletion_timestamp.is_some() {
            let url = run.object.spec.url.clone();
            self.sources.store.remove_repository(run.namespace(), run.name(), &url).await;
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

impl GitRepositories {
    async fn attempt(&self, run: &mut Run<GitRepository>) -> Result<Done, Obstacle> {
        let object = run.object.clone();
        let spec = &object.spec;
        check_supported(spec)?;
        self.sources.check_storage(run).await?;
        let url = GitUrl::parse(&spec.url)
            .map_err(|error| Obstacle::fetch(reasons::URL_INVALID, error.to_string()).stalled())?;
        let credentials = self.credentials(run.namespace(), spec, &url).await?;
        let store = &self.sources.store;
        let mut request = Request::new(
            &url,
            spec.reference.as_ref().map(reference).unwrap_or_default(),
            credentials,
            store.repository(run.namespace(), run.name(), &spec.url),
            store.scratch(),
        );
        request.timeout = spec.timeout.get_or(DEFAULT_TIMEOUT);
        request.ignore.clone_from(&spec.ignore);
        request.previous = previous(spec, &run.status);
        let output = request.output.clone();
        let outcome = self.sources.showing_progress(run, self.git.fetch(request)).await?;
        match outcome.map_err(obstacle)? {
            Outcome::Empty => Err(Obstacle::fetch("EmptyGitRepository", "git repository is empty")),
            Outcome::Unchanged { revision } => {
                let message = format!("stored artifact for commit '{revision}'");
                in_storage(run, &revision);
                Ok(Done { reason: reasons::NEW_ARTIFACT, message })
            }
            Outcome::Fetched(fetched) => self.keep(run, fetched, output).await,
        }
    }

    async fn keep(
        &self,
        run: &mut Run<GitRepository>,
        fetched: Fetched,
        file: std::path::PathBuf,
    ) -> Result<Done, Obstacle> {
        let path = ArtifactStore::path(KIND, run.namespace(), run.name(), &format!("{}.tar.gz", fetched.commit));
        let written = Written { digest: fetched.digest, size: fetched.size };
        let artifact =
            self.sources.store.adopt(&path, &fetched.revision, file, written, Timestamp::now()).await.map_err(
                |error| {
                    let message = format!("unable to archive artifact to storage: {}", chain(&error));
                    Obstacle::storage(reasons::ARCHIVE_OPERATION_FAILED, message)
                },
            )?;
        run.status.artifact = Some(artifact);
        run.status.observed_ignore.clone_from(&run.object.spec.ignore);
        // Of features that are not acted on, and that an earlier controller may have noted.
        run.status.included_artifacts.clear();
        run.status.observed_include.clear();
        run.status.observed_recurse_submodules = false;
        run.status.observed_sparse_checkout.clear();
        in_storage(run, &fetched.revision);
        Ok(Done { reason: reasons::NEW_ARTIFACT, message: format!("stored artifact for commit '{}'", fetched.subject) })
    }

    async fn credentials(
        &self,
        namespace: &str,
        spec: &GitRepositorySpec,
        url: &GitUrl,
    ) -> Result<GitCredentials, Obstacle> {
        let failed = |message: String| Obstacle::fetch(reasons::AUTHENTICATION_FAILED, message);
        let secret = match &spec.secret_ref {
            None => None,
            Some(reference) => {
                let name = &reference.name;
                let secret = self.sources.secrets.read(namespace, name).await;
                Some(secret.map_err(|error| failed(format!("failed to get secret '{namespace}/{name}': {error}")))?)
            }
        };
        if let (Some(secret), Some(reference)) = (&secret, &spec.secret_ref)
            && secret.has(GITHUB_APP)
        {
            let message = format!(
                "secretRef '{namespace}/{}' has github app data but provider is not set to github",
                reference.name
            );
            return Err(Obstacle::fetch(reasons::INVALID_PROVIDER_CONFIGURATION, message));
        }
        GitCredentials::new(url, secret.as_deref())
            .map_err(|error| failed(format!("failed to configure authentication options: {error}")))
    }
}

fn in_storage(run: &mut Run<GitRepository>, revision: &str) {
    let message = format!("stored artifact for revision '{revision}'");
    report(run, |report| report.in_storage(reasons::SUCCEEDED, message));
}

/// Refuses an object with a field that decides where, as whom or what is fetched and is not acted on.
fn check_supported(spec: &GitRepositorySpec) -> Result<(), Obstacle> {
    let is_generic = matches!(spec.provider, None | Some(GitProvider::Generic));
    let fields = [
        ("spec.verify", spec.verify.is_some()),
        ("spec.include", !spec.include.is_empty()),
        ("spec.recurseSubmodules", spec.recurse_submodules),
        ("spec.sparseCheckout", !spec.sparse_checkout.is_empty()),
        ("spec.provider", !is_generic),
        ("spec.serviceAccountName", spec.service_account_name.is_some()),
        ("spec.proxySecretRef", spec.proxy_secret_ref.is_some()),
    ];
    match fields.iter().find(|(_, is_set)| *is_set) {
        Some((field, _)) => Err(Obstacle::unsupported(field)),
        None => Ok(()),
    }
}

/// Returns the revision for which nothing need be fetched: that of the stored artifact, unless what is left out of it
/// has changed.
fn previous(spec: &GitRepositorySpec, status: &GitRepositoryStatus) -> Option<String> {
    let is_same = spec.ignore == status.observed_ignore
        && status.observed_include.is_empty()
        && !status.observed_recurse_submodules
        && status.observed_sparse_checkout.is_empty();
    status.artifact.as_ref().filter(|_| is_same).map(|artifact| artifact.revision.clone())
}

fn reference(spec: &GitRepositoryRef) -> Reference {
    let GitRepositoryRef { branch, commit, name, semver, tag } = spec.clone();
    Reference { branch, tag, semver, name, commit }
}

fn obstacle(error: GitError) -> Obstacle {
    let failed = |text: String| {
        let message = format!("failed to checkout and determine revision: {text}");
        Obstacle::fetch(reasons::GIT_OPERATION_FAILED, message)
    };
    match error {
        GitError::Failed(failure) => match failure.step {
            Step::Fetch => failed(failure.message),
            Step::Ignore => Obstacle::storage(reasons::SOURCE_IGNORE_ERROR, failure.message),
            Step::Archive => {
                let message = format!("unable to archive artifact to storage: {}", failure.message);
                Obstacle::storage(reasons::ARCHIVE_OPERATION_FAILED, message)
            }
        },
        GitError::Process(_) | GitError::Ended(_) | GitError::TimedOut { .. } => failed(chain(&error)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn spec(extra: serde_json::Value) -> GitRepositorySpec {
        let mut spec = json!({ "url": "https://example.com/x", "interval": "1m" });
        json_patch::merge(&mut spec, &extra);
        serde_json::from_value(spec).unwrap()
    }

    #[test]
    fn fields_that_are_not_acted_on_stall() {
        assert_eq!(check_supported(&spec(json!({ "provider": "generic" }))), Ok(()));
        let table = [
            (json!({ "verify": { "mode": "HEAD", "secretRef": { "name": "k" } } }), "spec.verify"),
            (json!({ "include": [{ "repository": { "name": "a" } }] }), "spec.include"),
            (json!({ "recurseSubmodules": true }), "spec.recurseSubmodules"),
            (json!({ "sparseCheckout": ["a"] }), "spec.sparseCheckout"),
            (json!({ "provider": "azure" }), "spec.provider"),
            (json!({ "provider": "a later one" }), "spec.provider"),
            (json!({ "proxySecretRef": { "name": "p" } }), "spec.proxySecretRef"),
        ];
        for (extra, field) in table {
            let obstacle = check_supported(&spec(extra)).unwrap_err();
            assert_eq!(obstacle, Obstacle::unsupported(field));
        }
    }

    #[test]
    fn a_changed_ignore_list_fetches_again() {
        let artifact = Artifact { revision: "main@sha1:abc".into(), ..Artifact::default() };
        let status = |ignore: Option<&str>| GitRepositoryStatus {
            artifact: Some(artifact.clone()),
            observed_ignore: ignore.map(Into::into),
            ..Default::default()
        };
        let plain = spec(json!({}));
        let with = spec(json!({ "ignore": "foo" }));
        assert_eq!(previous(&plain, &status(None)).as_deref(), Some("main@sha1:abc"));
        assert_eq!(previous(&with, &status(None)), None);
        assert_eq!(previous(&with, &status(Some("foo"))).as_deref(), Some("main@sha1:abc"));
        let sparse = GitRepositoryStatus { observed_sparse_checkout: vec!["a".into()], ..status(None) };
        assert_eq!(previous(&plain, &sparse), None, "the artifact holds only a part");
        assert_eq!(previous(&plain, &GitRepositoryStatus::default()), None);
    }
}
