//! The API server's audit log: who asked for what.

use std::{collections::BTreeSet, fs, path::PathBuf};

use serde::Deserialize;

/// The audit log of a control plane.
pub struct AuditLog {
    path: PathBuf,
}

/// One request, however many stages of it were logged.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    #[serde(rename = "auditID")]
    id: String,
    pub verb: String,
    #[serde(rename = "requestURI")]
    pub uri: String,
    pub user: User,
    /// Whom the user asked as, if not as itself.
    pub impersonated_user: Option<User>,
    #[serde(default)]
    pub user_agent: String,
    #[serde(default)]
    pub object_ref: ObjectReference,
    pub response_status: Option<ResponseStatus>,
    #[serde(rename = "requestReceivedTimestamp")]
    pub received: String,
}

#[derive(Debug, Clone, Deserialize)]
pub struct User {
    /// Empty where nobody was recognized.
    #[serde(default)]
    pub username: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ObjectReference {
    pub resource: String,
    pub subresource: String,
    pub namespace: String,
    pub name: String,
    pub api_group: String,
}

#[derive(Debug, Clone, Deserialize)]
pub struct ResponseStatus {
    #[serde(default)]
    pub code: u16,
}

impl Request {
    /// `verb resource`, with the subresource, as in `patch helmreleases/status`; the path where there is no resource.
    pub fn summary(&self) -> String {
        let ObjectReference { resource, subresource, .. } = &self.object_ref;
        match (resource.is_empty(), subresource.is_empty()) {
            (true, _) => format!("{} {}", self.verb, self.uri),
            (false, true) => format!("{} {resource}", self.verb),
            (false, false) => format!("{} {resource}/{subresource}", self.verb),
        }
    }

    pub fn is_write(&self) -> bool {
        matches!(self.verb.as_str(), "create" | "update" | "patch" | "delete" | "deletecollection")
    }
}

impl AuditLog {
    pub(super) fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// A mark in the log, for [`Self::requests_since`].
    pub fn now(&self) -> u64 {
        fs::metadata(&self.path).expect("the log is there").len()
    }

    /// The requests of a user (also those that it made as someone else) that were logged from a mark on.
    pub fn requests_since(&self, mark: u64, user: &str) -> Vec<Request> {
        let log = fs::read(&self.path).expect("the log can be read");
        let from = usize::try_from(mark).expect("the log is small");
        let mut seen = BTreeSet::new();
        // The last line may not be complete yet.
        let complete = log.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        log.get(from..complete)
            .unwrap_or_default()
            .split(|&byte| byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice::<Request>(line).expect("a line is a request"))
            .filter(|request| request.user.username == user && seen.insert(request.id.clone()))
            .collect()
    }
}
