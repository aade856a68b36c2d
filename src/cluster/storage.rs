//! Helm's release records: Secrets of type `helm.sh/release.v1`, one a revision.
//!
//! What a record holds is the engine's matter; here it is bytes with a name, labels and a status.

use std::{collections::BTreeMap, fmt};

use base64::{Engine, prelude::BASE64_STANDARD};
use http::{Method, header};
use kube::Client;
use serde_json::{Value, json};
use thiserror::Error;

use super::{
    follow::take_items,
    managed_fields, object,
    request::{self, encode, is_not_found, message_of, send},
};

/// The Secret's type.
const TYPE: &str = "helm.sh/release.v1";
/// Largest content of a Secret that the API server takes.
pub const MAX_RECORD: usize = 1024 * 1024;
const JSON: &str = "application/json";
const METADATA_LIST: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
/// Labels that Helm itself writes; all others are the user's.
const SYSTEM_LABELS: [&str; 6] = ["name", "owner", "status", "version", "createdAt", "modifiedAt"];

/// A revision to be written.
pub struct Record<'a> {
    /// Name of the release.
    pub name: &'a str,
    /// Number of the revision, from 1.
    pub revision: u32,
    /// `deployed`, `pending-install`, ...
    pub status: &'a str,
    /// The user's labels; they never replace Helm's.
    pub labels: &'a BTreeMap<String, String>,
    /// The encoded release: base64 of gzip of JSON.
    pub payload: &'a [u8],
}

/// A revision as it is stored. Its payload is not printed: it holds values.
#[derive(Clone)]
pub struct StoredRecord {
    /// What the labels say of it.
    pub revision: StoredRevision,
    /// The encoded release: base64 of gzip of JSON.
    pub payload: Vec<u8>,
}

impl fmt::Debug for StoredRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredRecord").field("revision", &self.revision).finish_non_exhaustive()
    }
}

/// What the labels of a record tell without its payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRevision {
    /// Number of the revision.
    pub revision: u32,
    /// `deployed`, `superseded`, ...
    pub status: String,
    /// The user's labels.
    pub labels: BTreeMap<String, String>,
    /// The Secret's resourceVersion.
    pub resource_version: String,
    /// Field managers that wrote the record, which tells whose pending release it is.
    pub managers: Vec<String>,
}

/// Why a record could not be read or written.
#[derive(Debug, Error)]
pub enum StorageError {
    /// The record does not fit in a Secret.
    #[error(
        "release record {name}.v{revision} is {size} bytes, and a Secret holds at most {MAX_RECORD}: the chart with its values is too large to be stored"
    )]
    TooLarge {
        /// Name of the release.
        name: String,
        /// Number of the revision.
        revision: u32,
        /// Bytes of the encoded release.
        size: usize,
    },
    /// A revision of this number is there already: someone else has begun it.
    #[error("release: already exists: {0}")]
    Exists(String),
    /// A record has no payload that could be read.
    #[error("release record {0} is damaged")]
    Damaged(String),
    /// The API server refused, or could not be reached. The words are those of Helm's driver.
    #[error("{}: {}", failed_to(.action, .record), message_of(.source))]
    Request {
        /// `create`, `update`, ...
        action: &'static str,
        /// Name of the Secret.
        record: String,
        /// The answer.
        source: kube::Error,
    },
}

/// Says what failed as Helm's driver does; a deletion is told with what it was to delete.
fn failed_to(action: &str, record: &str) -> String {
    match action {
        "get" => format!("get: failed to get {record:?}"),
        "delete" => format!("failed to delete release record {record}"),
        action => format!("{action}: failed to {action}"),
    }
}

impl StorageError {
    /// Tells whether the API server did not answer at all.
    pub fn is_outage(&self) -> bool {
        matches!(self, Self::Request { source, .. } if request::status_of(source).is_none())
    }
}

/// Records of the releases in one namespace, read and written as one identity.
#[derive(Clone)]
pub struct ReleaseStorage {
    client: Client,
    namespace: String,
    manager: String,
}

/// Returns the name of a revision's Secret.
pub fn secret_name(release: &str, revision: u32) -> String {
    format!("sh.helm.release.v1.{release}.v{revision}")
}

impl ReleaseStorage {
    /// Makes a storage for a namespace; `manager` is the field manager that its writes carry.
    pub fn new(client: Client, namespace: impl Into<String>, manager: impl Into<String>) -> Self {
        Self { client, namespace: namespace.into(), manager: manager.into() }
    }

    fn collection(&self) -> String {
        format!("/api/v1/namespaces/{}/secrets", encode(&self.namespace))
    }

    fn path(&self, release: &str, revision: u32) -> String {
        format!("{}/{}", self.collection(), encode(&secret_name(release, revision)))
    }

    fn revisions(&self, release: &str) -> String {
        let selector = format!("name={release},owner=helm");
        format!("{}?labelSelector={}", self.collection(), encode(&selector))
    }

    /// Writes a new revision. `now` is a unix time in seconds, which Helm keeps as a label.
    pub async fn create(&self, record: &Record<'_>, now: i64) -> Result<StoredRevision, StorageError> {
        let name = secret_name(record.name, record.revision);
        let body = self.secret(record, "createdAt", now)?;
        let uri = format!("{}?fieldManager={}", self.collection(), encode(&self.manager));
        match send(&self.client, Method::POST, &uri, &[(header::CONTENT_TYPE, JSON)], body).await {
            Ok(reply) => read_revision(&reply.body).ok_or(StorageError::Damaged(name)),
            Err(kube::Error::Api(status)) if status.is_already_exists() => Err(StorageError::Exists(name)),
            Err(source) => Err(StorageError::Request { action: "create", record: name, source }),
        }
    }

    /// Writes a revision again, whatever it was before, as Helm does.
    pub async fn update(&self, record: &Record<'_>, now: i64) -> Result<StoredRevision, StorageError> {
        let name = secret_name(record.name, record.revision);
        let body = self.secret(record, "modifiedAt", now)?;
        let uri = format!("{}?fieldManager={}", self.path(record.name, record.revision), encode(&self.manager));
        match send(&self.client, Method::PUT, &uri, &[(header::CONTENT_TYPE, JSON)], body).await {
            Ok(reply) => read_revision(&reply.body).ok_or(StorageError::Damaged(name)),
            Err(source) => Err(StorageError::Request { action: "update", record: name, source }),
        }
    }

    /// Reads a revision by its number; `None` when it is not there.
    pub async fn get(&self, release: &str, revision: u32) -> Result<Option<StoredRecord>, StorageError> {
        let name = secret_name(release, revision);
        let uri = self.path(release, revision);
        match send(&self.client, Method::GET, &uri, &[(header::ACCEPT, JSON)], Vec::new()).await {
            Ok(reply) => read_record(&reply.body).map(Some).ok_or(StorageError::Damaged(name)),
            Err(error) if is_not_found(&error) => Ok(None),
            Err(source) => Err(StorageError::Request { action: "get", record: name, source }),
        }
    }

    /// Lists a release's revisions by their labels, oldest first, without payloads.
    pub async fn list(&self, release: &str) -> Result<Vec<StoredRevision>, StorageError> {
        let uri = self.revisions(release);
        let mut reply = send(&self.client, Method::GET, &uri, &[(header::ACCEPT, METADATA_LIST)], Vec::new())
            .await
            .map_err(|source| StorageError::Request { action: "list", record: release.to_owned(), source })?;
        let mut revisions: Vec<_> = take_items(&mut reply.body).iter().filter_map(read_revision).collect();
        revisions.sort_by_key(|one| one.revision);
        Ok(revisions)
    }

    /// Reads the newest revision; `None` when the release has none. Costs a list of metadata and one read: whoever knows
    /// the number from a watch uses [`ReleaseStorage::get`].
    pub async fn newest(&self, release: &str) -> Result<Option<StoredRecord>, StorageError> {
        match self.list(release).await?.last() {
            Some(newest) => self.get(release, newest.revision).await,
            None => Ok(None),
        }
    }

    /// Deletes all revisions of a release, and returns their numbers. That is one request where the identity may delete
    /// collections, else one for each.
    pub async fn delete_all(&self, release: &str) -> Result<Vec<u32>, StorageError> {
        let uri = self.revisions(release);
        match send(&self.client, Method::DELETE, &uri, &[(header::ACCEPT, METADATA_LIST)], Vec::new()).await {
            Ok(mut reply) => {
                Ok(take_items(&mut reply.body).iter().filter_map(read_revision).map(|one| one.revision).collect())
            }
            Err(kube::Error::Api(status)) if status.is_forbidden() => self.delete_each(release).await,
            Err(source) => Err(StorageError::Request { action: "delete", record: release.to_owned(), source }),
        }
    }

    async fn delete_each(&self, release: &str) -> Result<Vec<u32>, StorageError> {
        let revisions: Vec<_> = self.list(release).await?.iter().map(|one| one.revision).collect();
        for revision in &revisions {
            self.delete(release, *revision).await?;
        }
        Ok(revisions)
    }

    /// Deletes a revision; one that is not there counts as deleted.
    pub async fn delete(&self, release: &str, revision: u32) -> Result<(), StorageError> {
        let uri = self.path(release, revision);
        match send(&self.client, Method::DELETE, &uri, &[], Vec::new()).await {
            Ok(_) => Ok(()),
            Err(error) if request::is_not_found(&error) => Ok(()),
            Err(source) => {
                Err(StorageError::Request { action: "delete", record: secret_name(release, revision), source })
            }
        }
    }

    fn secret(&self, record: &Record<'_>, time_label: &str, now: i64) -> Result<Vec<u8>, StorageError> {
        if record.payload.len() > MAX_RECORD {
            return Err(StorageError::TooLarge {
                name: record.name.to_owned(),
                revision: record.revision,
                size: record.payload.len(),
            });
        }
        let mut labels = record.labels.clone();
        labels.retain(|key, _| !SYSTEM_LABELS.contains(&key.as_str()));
        for (key, value) in [
            ("name", record.name.to_owned()),
            ("owner", "helm".to_owned()),
            ("status", record.status.to_owned()),
            ("version", record.revision.to_string()),
            (time_label, now.to_string()),
        ] {
            labels.insert(key.to_owned(), value);
        }
        let secret = json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "type": TYPE,
            "metadata": {
                "name": secret_name(record.name, record.revision),
                "namespace": self.namespace,
                "labels": labels,
            },
            "data": { "release": BASE64_STANDARD.encode(record.payload) },
        });
        Ok(secret.to_string().into_bytes())
    }
}

fn read_revision(secret: &Value) -> Option<StoredRevision> {
    let labels = secret.pointer("/metadata/labels")?.as_object()?;
    let revision = labels.get("version")?.as_str()?.parse().ok()?;
    let status = labels.get("status")?.as_str()?.to_owned();
    let own = labels
        .iter()
        .filter(|(key, _)| !SYSTEM_LABELS.contains(&key.as_str()))
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect();
    Some(StoredRevision {
        revision,
        status,
        labels: own,
        resource_version: object::resource_version(secret)?.to_owned(),
        managers: managed_fields::managers(secret),
    })
}

fn read_record(secret: &Value) -> Option<StoredRecord> {
    let payload = BASE64_STANDARD.decode(secret.pointer("/data/release")?.as_str()?).ok()?;
    Some(StoredRecord { revision: read_revision(secret)?, payload })
}

/// Tells which revisions go when one more is to be kept within `max_history` (0 keeps all), as Helm does it before
/// it creates a revision: the oldest first, and never the newest that is deployed. `history` is sorted by revision.
pub fn to_prune(history: &[StoredRevision], max_history: u32) -> Vec<u32> {
    let Some(keep) = max_history.checked_sub(1) else { return Vec::new() };
    let excess = history.len().saturating_sub(keep as usize);
    let deployed = history.iter().rev().find(|one| one.status == "deployed").map(|one| one.revision);
    history.iter().map(|one| one.revision).filter(|revision| Some(*revision) != deployed).take(excess).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn revision(number: u32, status: &str) -> StoredRevision {
        StoredRevision {
            revision: number,
            status: status.to_owned(),
            labels: BTreeMap::new(),
            resource_version: "1".to_owned(),
            managers: Vec::new(),
        }
    }

    #[test]
    fn pruning_leaves_room_for_one_and_never_takes_the_deployed_one() {
        let history = [revision(1, "deployed"), revision(2, "failed"), revision(3, "failed"), revision(4, "failed")];
        let rows = [(0, vec![]), (5, vec![]), (4, vec![2]), (3, vec![2, 3]), (1, vec![2, 3, 4])];
        for (max, expected) in rows {
            assert_eq!(to_prune(&history, max), expected, "maxHistory {max}");
        }
        assert_eq!(to_prune(&[revision(1, "superseded"), revision(2, "deployed")], 2), [1]);
        assert_eq!(to_prune(&[], 1), Vec::<u32>::new());
    }

    fn storage_secret(labels: &BTreeMap<String, String>, payload: &[u8]) -> Result<Value, StorageError> {
        let service = tower_stub();
        let storage = ReleaseStorage::new(service, "ns", "helm-controller");
        let record = Record { name: "app", revision: 3, status: "deployed", labels, payload };
        storage.secret(&record, "createdAt", 1_700_000_000).map(|bytes| serde_json::from_slice(&bytes).expect("JSON"))
    }

    /// A client that is never asked.
    fn tower_stub() -> Client {
        let config = kube::Config::new("http://127.0.0.1:1".parse().expect("uri"));
        Client::try_from(config).expect("client")
    }

    #[tokio::test]
    async fn a_record_is_the_secret_that_helm_writes() {
        let labels = BTreeMap::from([("team".to_owned(), "a".to_owned()), ("owner".to_owned(), "me".to_owned())]);
        let secret = storage_secret(&labels, b"SDRz").expect("fits");
        assert_eq!(secret["metadata"]["name"], "sh.helm.release.v1.app.v3");
        assert_eq!(secret["type"], "helm.sh/release.v1");
        assert_eq!(
            secret["metadata"]["labels"],
            json!({"createdAt": "1700000000", "name": "app", "owner": "helm", "status": "deployed", "team": "a", "version": "3"})
        );
        assert_eq!(secret["data"]["release"], "U0RSeg==");
    }

    #[tokio::test]
    async fn a_record_that_is_too_large_is_refused_with_its_size() {
        let error = storage_secret(&BTreeMap::new(), &vec![b'a'; MAX_RECORD + 1]).expect_err("too large");
        assert!(error.to_string().contains("app.v3 is 1048577 bytes"), "{error}");
    }

    #[test]
    fn a_record_is_read_back_and_does_not_print_its_payload() {
        let secret = json!({"metadata": {"resourceVersion": "5", "labels": {"name": "app", "owner": "helm", "status": "failed", "version": "2", "x": "y"},
            "managedFields": [{"manager": "helm", "operation": "Update"}]}, "data": {"release": "U0RSeg=="}});
        let record = read_record(&secret).expect("complete");
        assert_eq!((record.revision.revision, record.revision.status.as_str()), (2, "failed"));
        assert_eq!(record.revision.labels, BTreeMap::from([("x".to_owned(), "y".to_owned())]));
        assert_eq!(record.revision.managers, ["helm"]);
        assert_eq!(record.payload, b"SDRz");
        assert!(!format!("{record:?}").contains("payload"));
    }
}
