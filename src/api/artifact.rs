//! What a source controller has stored.

use std::collections::BTreeMap;

use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema;

/// A stored snapshot of a source.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Artifact {
    /// The digest of the file, as `algorithm:hex`.
    #[schemars(regex(pattern = r"^[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[a-zA-Z0-9=_-]+$"))]
    pub digest: String,
    /// When the artifact was stored last.
    #[schemars(schema_with = "schema::time")]
    pub last_update_time: Time,
    /// Further facts about the artifact, such as the annotations of an OCI manifest.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    /// The path of the file below the root of the store.
    pub path: String,
    /// The revision of the source, in a form that a person can trace back to it.
    pub revision: String,
    /// The size of the file in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<i64>,
    /// Where the file is served over HTTP.
    pub url: String,
}

impl Artifact {
    /// Tells whether it holds the given revision.
    pub fn has_revision(&self, revision: &str) -> bool {
        self.revision == revision
    }

    /// Tells whether it has the given digest.
    pub fn has_digest(&self, digest: &str) -> bool {
        self.digest == digest
    }
}

impl Default for Artifact {
    fn default() -> Self {
        Self {
            digest: String::new(),
            last_update_time: Time(Timestamp::UNIX_EPOCH),
            metadata: BTreeMap::new(),
            path: String::new(),
            revision: String::new(),
            size: None,
            url: String::new(),
        }
    }
}
