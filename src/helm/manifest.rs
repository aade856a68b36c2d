//! From rendered files to manifests and hooks: splitting into documents, reading their heads, the order of kinds.

use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

use serde_json::Value;

use crate::chart::decode::{self, At};
use crate::hook::{self, Execution, HOOK_ANNOTATION, Hook};
use crate::notice::{Level, Notice};
use crate::yaml;

/// The annotation with which an object outlives its release.
pub const RESOURCE_POLICY_ANNOTATION: &str = "helm.sh/resource-policy";

/// The order in which kinds are installed; those that are not named come last, by name.
const INSTALL_ORDER: &[&str] = &[
    "PriorityClass",
    "Namespace",
    "NetworkPolicy",
    "ResourceQuota",
    "LimitRange",
    "PodSecurityPolicy",
    "PodDisruptionBudget",
    "ServiceAccount",
    "Secret",
    "SecretList",
    "ConfigMap",
    "StorageClass",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "CustomResourceDefinition",
    "ClusterRole",
    "ClusterRoleList",
    "ClusterRoleBinding",
    "ClusterRoleBindingList",
    "Role",
    "RoleList",
    "RoleBinding",
    "RoleBindingList",
    "Service",
    "DaemonSet",
    "Pod",
    "ReplicationController",
    "ReplicaSet",
    "Deployment",
    "HorizontalPodAutoscaler",
    "StatefulSet",
    "Job",
    "CronJob",
    "IngressClass",
    "Ingress",
    "APIService",
    "MutatingWebhookConfiguration",
    "ValidatingWebhookConfiguration",
];

/// The order in which kinds are removed.
const UNINSTALL_ORDER: &[&str] = &[
    "ValidatingWebhookConfiguration",
    "MutatingWebhookConfiguration",
    "APIService",
    "Ingress",
    "IngressClass",
    "Service",
    "CronJob",
    "Job",
    "StatefulSet",
    "HorizontalPodAutoscaler",
    "Deployment",
    "ReplicaSet",
    "ReplicationController",
    "Pod",
    "DaemonSet",
    "RoleBindingList",
    "RoleBinding",
    "RoleList",
    "Role",
    "ClusterRoleBindingList",
    "ClusterRoleBinding",
    "ClusterRoleList",
    "ClusterRole",
    "CustomResourceDefinition",
    "PersistentVolumeClaim",
    "PersistentVolume",
    "StorageClass",
    "ConfigMap",
    "SecretList",
    "Secret",
    "ServiceAccount",
    "PodDisruptionBudget",
    "PodSecurityPolicy",
    "LimitRange",
    "ResourceQuota",
    "NetworkPolicy",
    "Namespace",
    "PriorityClass",
];

/// A manifest that is part of the release.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// The template that it comes from.
    pub path: String,
    /// The YAML text, as it is printed and recorded.
    pub text: String,
    /// The parsed text: the object that is applied. Null for a document that holds nothing and where none are kept.
    pub object: Value,
    pub api_version: String,
    pub kind: String,
}

/// Why a manifest was refused.
#[derive(Debug, thiserror::Error)]
#[error("YAML parse error on {path}: {source}")]
pub struct Error {
    pub path: String,
    pub source: Cause,
}

/// What is wrong with a manifest.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    #[error("error converting YAML to JSON: {0}")]
    Yaml(#[source] yaml::Error),
    #[error("{0}")]
    Type(#[source] decode::Error),
    /// go-yaml refuses such a text before this is asked.
    #[error("error converting YAML to JSON: yaml: invalid leading UTF-8 octet")]
    Utf8,
}

/// Splits a text into YAML documents as Helm does: at `---` at the start of a line, whatever follows on it. White space in
/// front of each document is dropped, and so are those that are blank.
pub fn split(text: &[u8]) -> Vec<&[u8]> {
    let text = trim_start(text);
    let mut documents = Vec::new();
    let (mut start, mut line) = (0, 0);
    loop {
        if text[line..].starts_with(b"---") {
            documents.push(&text[start..line]);
            let blanks = text[line + 3..].iter().take_while(|b| matches!(b, b' ' | b'\t')).count();
            start = line + 3 + blanks;
        }
        match memchr::memchr(b'\n', &text[line..]) {
            Some(end) => line += end + 1,
            None => break,
        }
    }
    documents.push(&text[start..]);
    documents.into_iter().map(trim_start).filter(|document| !document.is_empty()).collect()
}

/// Takes Unicode's white space off the front.
fn trim_start(text: &[u8]) -> &[u8] {
    match text.first() {
        Some(b) if b.is_ascii() && !b.is_ascii_whitespace() && *b != 0x0b => text,
        _ => {
            let valid = match std::str::from_utf8(text) {
                Ok(valid) => valid,
                Err(error) => std::str::from_utf8(&text[..error.valid_up_to()]).unwrap_or_default(),
            };
            &text[valid.len() - valid.trim_start().len()..]
        }
    }
}

/// Sorts rendered files, by path, into hooks and manifests, each in the order of installation. The parsed documents are
/// dropped where `objects` are not asked for.
pub fn sort_files(
    files: &BTreeMap<String, Vec<u8>>,
    objects: bool,
    notices: &mut Vec<Notice>,
) -> Result<(Vec<Hook>, Vec<Manifest>), Error> {
    let (mut hooks, mut manifests) = (Vec::new(), Vec::new());
    for (path, text) in files {
        if path.rsplit('/').next().is_some_and(|name| name.starts_with('_')) {
            continue;
        }
        for document in split(text) {
            let failed = |source| Error { path: path.clone(), source };
            match read(path, document, objects).map_err(failed)? {
                Read::Manifest(manifest) => manifests.push(manifest),
                Read::Hook(hook) => hooks.push(hook),
                Read::UnknownHook(events) => {
                    notices.push(Notice::new(Level::Info, "skipping unknown hooks").with("hookTypes", events));
                }
            }
        }
    }
    sort_by_kind(&mut hooks, |hook| &hook.kind, INSTALL);
    sort_by_kind(&mut manifests, |manifest| &manifest.kind, INSTALL);
    Ok((hooks, manifests))
}

/// What a document is.
enum Read {
    Manifest(Manifest),
    Hook(Hook),
    /// A hook for an event that Helm does not know, which is dropped.
    UnknownHook(String),
}

fn read(path: &str, document: &[u8], keep: bool) -> Result<Read, Cause> {
    let object = yaml::parse(document).map_err(Cause::Yaml)?;
    let text = std::str::from_utf8(document).map_err(|_| Cause::Utf8)?.to_string();
    let head = Head::read(&object).map_err(Cause::Type)?;
    let object = if keep { object } else { Value::Null };
    let path = path.to_string();
    let Some(annotation) = head.annotations.get(HOOK_ANNOTATION) else {
        return Ok(Read::Manifest(Manifest { path, text, object, api_version: head.api_version, kind: head.kind }));
    };
    let Some(events) = hook::events(annotation) else { return Ok(Read::UnknownHook(annotation.clone())) };
    let mut hook = Hook {
        name: head.name,
        kind: head.kind,
        path,
        manifest: text,
        events,
        last_run: Execution::default(),
        weight: 0,
        delete_policies: Vec::new(),
        output_log_policies: Vec::new(),
        object,
    };
    hook.annotate(&head.annotations);
    Ok(Read::Hook(hook))
}

/// What Helm reads of every manifest.
#[derive(Default)]
struct Head {
    api_version: String,
    kind: String,
    name: String,
    annotations: BTreeMap<String, String>,
}

const METADATA_TYPE: &str =
    r#"struct { Name string "json:\"name\""; Annotations map[string]string "json:\"annotations\"" }"#;

impl Head {
    fn read(object: &Value) -> Result<Self, decode::Error> {
        let at = At::Root;
        let mut head = Self::default();
        for (key, value) in decode::object(object, &at, "util.SimpleHead")?.into_iter().flatten() {
            let Some(name) = decode::field(key, &["apiVersion", "kind", "metadata"]) else { continue };
            let at = &At::Field(&at, name);
            match name {
                "apiVersion" => head.api_version = decode::text(value, at)?,
                "kind" => head.kind = decode::text(value, at)?,
                _ => head.read_metadata(value, at)?,
            }
        }
        Ok(head)
    }

    fn read_metadata(&mut self, metadata: &Value, at: &At<'_>) -> Result<(), decode::Error> {
        for (key, value) in decode::object(metadata, at, METADATA_TYPE)?.into_iter().flatten() {
            let Some(name) = decode::field(key, &["name", "annotations"]) else { continue };
            let at = &At::Field(at, name);
            if name == "name" {
                self.name = decode::text(value, at)?;
            } else {
                self.annotations = decode::text_map(value, at)?;
            }
        }
        Ok(())
    }
}

/// An order of kinds.
#[derive(Clone, Copy)]
pub struct KindOrder(&'static LazyLock<HashMap<&'static str, usize>>);

static INSTALL_RANKS: LazyLock<HashMap<&'static str, usize>> = LazyLock::new(|| ranks(INSTALL_ORDER));
static UNINSTALL_RANKS: LazyLock<HashMap<&'static str, usize>> = LazyLock::new(|| ranks(UNINSTALL_ORDER));

/// The order of installation.
pub const INSTALL: KindOrder = KindOrder(&INSTALL_RANKS);
/// The order of removal.
pub const UNINSTALL: KindOrder = KindOrder(&UNINSTALL_RANKS);

fn ranks(order: &[&'static str]) -> HashMap<&'static str, usize> {
    order.iter().enumerate().map(|(rank, kind)| (*kind, rank)).collect()
}

/// Sorts by kind and leaves the order of equal kinds. Kinds that the order does not name come last, by name.
pub fn sort_by_kind<T>(items: &mut [T], kind: impl Fn(&T) -> &str, order: KindOrder) {
    items.sort_by(|a, b| {
        let (a, b) = (kind(a), kind(b));
        match (order.0.get(a), order.0.get(b)) {
            (Some(a), Some(b)) => a.cmp(b),
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (None, None) => a.cmp(b),
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_split_as_in_helm() {
        for (text, expected) in [
            ("a\n---\nb\n", vec!["a\n", "b\n"]),
            ("\n\n---\n---  \t\na\n--- # c\nb", vec!["a\n", "# c\nb"]),
            ("----\na", vec!["-\na"]),
            ("a ---\n --- b\n", vec!["a ---\n --- b\n"]),
            ("---a: 1\n---b: 2", vec!["a: 1\n", "b: 2"]),
            ("  \n\t", vec![]),
            ("a\r\n---\r\nb\r\n", vec!["a\r\n", "b\r\n"]),
            ("\u{a0}a", vec!["a"]),
        ] {
            let documents: Vec<_> = split(text.as_bytes()).iter().map(|d| std::str::from_utf8(d).unwrap()).collect();
            assert_eq!(documents, expected, "{text:?}");
        }
    }

    #[test]
    fn kinds_are_installed_in_order_and_unknown_ones_last_by_name() {
        let mut kinds = vec!["Zeta", "Deployment", "Alpha", "Namespace", "Service"];
        sort_by_kind(&mut kinds, |kind| kind, INSTALL);
        assert_eq!(kinds, ["Namespace", "Service", "Deployment", "Alpha", "Zeta"]);
        sort_by_kind(&mut kinds, |kind| kind, UNINSTALL);
        assert_eq!(kinds, ["Service", "Deployment", "Namespace", "Alpha", "Zeta"]);
    }

    fn sorted(text: &str) -> Result<(Vec<Hook>, Vec<Manifest>), String> {
        let files = BTreeMap::from([("p/templates/a.yaml".to_string(), text.as_bytes().to_vec())]);
        sort_files(&files, true, &mut Vec::new()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_hook_has_events_weight_and_policies() {
        let annotations = "helm.sh/hook: Pre-Install, test-success\n    helm.sh/hook-weight: 5\n    helm.sh/hook-delete-policy: hook-failed,Odd";
        let (hooks, manifests) =
            sorted(&format!("kind: Job\nmetadata:\n  name: j\n  annotations:\n    {annotations}\n")).unwrap();
        assert!(manifests.is_empty());
        let hook = &hooks[0];
        assert_eq!(hook.events, [hook::Event::PreInstall, hook::Event::Test]);
        assert_eq!((hook.name.as_str(), hook.weight), ("j", 5));
        assert_eq!(
            hook.delete_policies,
            [hook::DeletePolicy::HookFailed, hook::DeletePolicy::Other("odd".to_string())]
        );
    }

    #[test]
    fn parsed_documents_are_kept_where_they_are_asked_for() {
        let files = BTreeMap::from([("p/templates/a.yaml".to_string(), b"kind: A\napiVersion: v1\n".to_vec())]);
        for (objects, expected) in
            [(true, serde_json::json!({"kind": "A", "apiVersion": "v1"})), (false, serde_json::Value::Null)]
        {
            let (_, manifests) = sort_files(&files, objects, &mut Vec::new()).unwrap();
            assert_eq!((manifests[0].kind.as_str(), &manifests[0].object), ("A", &expected));
        }
    }

    #[test]
    fn a_refused_manifest_is_named() {
        for (text, expected) in [
            ("- a", "json: cannot unmarshal array into Go value of type util.SimpleHead"),
            ("kind: [a]", "json: cannot unmarshal array into Go struct field .kind of type string"),
            (
                "metadata: {annotations: {a: {}}}",
                "json: cannot unmarshal object into Go struct field .metadata.annotations.a of type string",
            ),
        ] {
            let prefix = "YAML parse error on p/templates/a.yaml: error unmarshaling JSON: while decoding JSON: ";
            assert_eq!(sorted(text).unwrap_err(), format!("{prefix}{expected}"));
        }
    }
}
