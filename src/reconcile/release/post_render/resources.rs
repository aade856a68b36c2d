//! Documents as kustomize holds them: objects with an identity each, in an order.

use std::fmt;

use serde_json::Value;

use super::{references, schema::Schema};
use crate::cluster::object;

/// Marks an object that kustomize never hands over.
const LOCAL_CONFIG: &str = "config.kubernetes.io/local-config";
/// How many lists within lists are taken for their items.
const MAX_LISTS: usize = 10_000;

/// Why documents are no resources. The texts are kustomize's.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("missing Resource metadata")]
    NoObject,
    #[error("missing kind in object {0}")]
    NoKind(String),
    #[error("missing metadata.name in object {0}")]
    NoName(String),
    #[error("expected array in {0}/items, but found something else")]
    NoList(String),
    #[error("lists hold more than {MAX_LISTS} lists")]
    TooManyLists,
    #[error("may not add resource with an already registered id: {0}")]
    Double(Id),
    #[error("found multiple possible referrals: {0}")]
    Ambiguous(String),
}

/// Which object it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Id {
    pub group: String,
    pub version: String,
    pub kind: String,
    pub name: String,
    /// As the object has it; empty where it has none.
    pub namespace: String,
}

impl Id {
    /// Reads the identity of an object.
    pub fn of(tree: &Value) -> Self {
        let (group, version) = object::split_api_version(object::api_version(tree).unwrap_or_default());
        Self {
            group: group.to_owned(),
            version: version.to_owned(),
            kind: object::kind(tree).unwrap_or_default().to_owned(),
            name: object::name(tree).unwrap_or_default().to_owned(),
            namespace: object::namespace(tree).unwrap_or_default().to_owned(),
        }
    }

    /// Tells whether it is of a kind that has no namespaces.
    pub fn is_without_namespace(&self) -> bool {
        Schema::get().is_without_namespace(&object::join_api_version(&self.group, &self.version), &self.kind)
    }

    /// Returns the namespace that identities are compared by.
    pub fn effective_namespace(&self) -> &str {
        if self.is_without_namespace() {
            "_non_namespaceable_"
        } else if self.namespace.is_empty() {
            "default"
        } else {
            &self.namespace
        }
    }

    /// Tells whether it is the same object.
    pub fn is(&self, other: &Self) -> bool {
        (&self.group, &self.version, &self.kind, &self.name) == (&other.group, &other.version, &other.kind, &other.name)
            && self.effective_namespace() == other.effective_namespace()
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn or<'t>(text: &'t str, none: &'t str) -> &'t str {
            if text.is_empty() { none } else { text }
        }
        let (group, version) = (or(&self.group, "[noGrp]"), or(&self.version, "[noVer]"));
        let (kind, name) = (or(&self.kind, "[noKind]"), or(&self.name, "[noName]"));
        write!(f, "{kind}.{version}.{group}/{name}.{}", or(&self.namespace, "[noNs]"))
    }
}

/// An object, and who it was before patches.
#[derive(Clone, Debug)]
pub struct Resource {
    pub tree: Value,
    pub before: Vec<Id>,
}

impl Resource {
    /// Returns who it is now.
    pub fn id(&self) -> Id {
        Id::of(&self.tree)
    }

    /// Returns who it was at first.
    pub fn first_id(&self) -> Id {
        self.before.first().cloned().unwrap_or_else(|| self.id())
    }

    /// Tells whether it is the object, now or before.
    pub fn was(&self, id: &Id) -> bool {
        self.before.iter().any(|before| before.is(id)) || self.id().is(id)
    }
}

/// Checks documents and takes lists for their items.
pub fn validated(documents: Vec<Value>) -> Result<Vec<Value>, Error> {
    let mut objects = Vec::new();
    let mut left: std::collections::VecDeque<Value> = documents.into();
    let mut lists = 0;
    while let Some(document) = left.pop_front() {
        if document.is_null() || document.as_object().is_some_and(serde_json::Map::is_empty) {
            continue;
        }
        check(&document)?;
        let kind = object::kind(&document).unwrap_or_default();
        match document.get("items") {
            Some(items) if kind.ends_with("List") => {
                lists += 1;
                if lists > MAX_LISTS {
                    return Err(Error::TooManyLists);
                }
                match items {
                    Value::Array(items) => left.extend(items.iter().cloned()),
                    Value::Null => {}
                    _ => return Err(Error::NoList(kind.to_owned())),
                }
            }
            _ => objects.push(document),
        }
    }
    Ok(objects)
}

fn check(document: &Value) -> Result<(), Error> {
    if !document.is_object() {
        return Err(Error::NoObject);
    }
    let Some(kind) = object::kind(document) else { return Err(Error::NoKind(brief(document))) };
    if !kind.ends_with("List") && object::name(document).is_none() {
        return Err(Error::NoName(brief(document)));
    }
    Ok(())
}

/// Names an object in Go's form of its head, as far as that helps to find it.
fn brief(document: &Value) -> String {
    let text = |pointer: &str| document.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let (api_version, kind) = (text("/apiVersion"), text("/kind"));
    let (name, namespace) = (text("/metadata/name"), text("/metadata/namespace"));
    format!("{{{{{api_version} {kind}}} {{{{{name} {namespace}}} map[] map[]}}}}")
}

/// Makes resources of documents, each of which has an identity of its own.
pub fn resources(documents: Vec<Value>) -> Result<Vec<Resource>, Error> {
    let objects = validated(documents)?;
    unique(objects.into_iter().map(|tree| Resource { tree, before: Vec::new() }).collect())
}

/// Refuses two resources with one identity.
pub fn unique(resources: Vec<Resource>) -> Result<Vec<Resource>, Error> {
    let mut seen = std::collections::HashSet::new();
    for resource in &resources {
        let id = resource.id();
        let key = (id.group.clone(), id.version.clone(), id.kind.clone(), id.name.clone());
        if !seen.insert((key, id.effective_namespace().to_owned())) {
            return Err(Error::Double(id));
        }
    }
    Ok(resources)
}

/// Leaves out what is for kustomize alone.
pub fn finished(mut resources: Vec<Resource>) -> Result<Vec<Value>, Error> {
    references::update(&mut resources)?;
    let mut resources = unique(resources)?;
    let is_local = |tree: &Value| object::annotation(tree, LOCAL_CONFIG).is_some_and(|value| value != "false");
    resources.retain(|resource| !is_local(&resource.tree));
    Ok(resources.into_iter().map(|resource| resource.tree).collect())
}
