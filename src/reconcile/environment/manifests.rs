//! From a folder's files to objects. Pure: what cannot be read is named and the rest goes on.

use std::{collections::HashMap, fmt};

use serde_json::Value;
use thiserror::Error;

use crate::cluster::object::{self, ObjectId};

/// Documents in one file.
pub const MAX_DOCUMENTS: usize = 5_000;
/// Objects in one folder: their inventory has to fit in a status.
pub const MAX_OBJECTS: usize = 15_000;
/// Bytes of one file.
pub const MAX_FILE: usize = 32 << 20;
/// How deep lists may hold lists.
const MAX_LIST_DEPTH: usize = 4;

/// Names of the files that ask for kustomize.
const KUSTOMIZATION_FILES: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];
/// Marks an object that kustomize never hands over.
const LOCAL_CONFIG: &str = "config.kubernetes.io/local-config";

/// Where an object or a fault is in the source.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Path of the file from the source's root.
    pub file: String,
    /// Number of the document in the file, from 1; 0 for the whole file.
    pub document: usize,
    /// Line at which the document begins, or of what cannot be read in it, from 1.
    pub line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.document {
            0 => f.write_str(&self.file),
            number => write!(f, "{}, document {number}, line {}", self.file, self.line),
        }
    }
}

/// An object and where it comes from.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// Where it comes from.
    pub place: Place,
    /// Who it is.
    pub id: ObjectId,
    /// Its tree.
    pub object: Value,
}

/// A part of the folder that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where.
    pub place: Place,
    /// Why.
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

/// What a folder holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Folder {
    /// Its objects, in the order of files and documents.
    pub manifests: Vec<Manifest>,
    /// What could not be read.
    pub faults: Vec<Fault>,
}

/// Why a folder was not read at all.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum FolderError {
    /// A file asks for kustomize.
    #[error("the kustomization file {0}")]
    Kustomization(String),
}

/// One document of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// Its number in the file, from 1; empty documents count.
    pub number: usize,
    /// Line at which it begins, or of what cannot be read in it, from 1.
    pub line: usize,
    /// Its tree, or why it could not be read.
    pub tree: Result<Value, String>,
}

/// Reads the objects of all YAML files. `parse` reads a file's documents.
pub fn read<'a>(
    files: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    parse: impl Fn(&[u8]) -> Vec<Document>,
) -> Result<Folder, FolderError> {
    let mut folder = Folder::default();
    let mut seen = HashMap::new();
    for (path, bytes) in files {
        let name = path.rsplit('/').next().unwrap_or(path);
        if KUSTOMIZATION_FILES.contains(&name) {
            return Err(FolderError::Kustomization(path.to_owned()));
        }
        let is_yaml = [".yaml", ".yml"].iter().any(|ending| name.ends_with(ending));
        if is_yaml {
            read_file(&mut folder, &mut seen, path, bytes, &parse);
        }
    }
    Ok(folder)
}

type SeenAt = HashMap<ObjectId, Place>;

fn read_file(
    folder: &mut Folder,
    seen: &mut SeenAt,
    path: &str,
    bytes: &[u8],
    parse: &impl Fn(&[u8]) -> Vec<Document>,
) {
    let whole = || Place { file: path.to_owned(), document: 0, line: 0 };
    if bytes.len() > MAX_FILE {
        let message = format!("the file has {} bytes, more than the {MAX_FILE} that are read", bytes.len());
        folder.faults.push(Fault { place: whole(), message });
        return;
    }
    let documents = parse(bytes);
    if documents.len() > MAX_DOCUMENTS {
        let message =
            format!("the file has {} documents, more than the {MAX_DOCUMENTS} that are read", documents.len());
        folder.faults.push(Fault { place: whole(), message });
        return;
    }
    for Document { number, line, tree } in documents {
        let place = Place { file: path.to_owned(), document: number, line };
        match tree {
            Ok(tree) => take(folder, seen, &place, tree, 0),
            Err(message) => {
                folder.faults.push(Fault { place, message: format!("failed to decode Kubernetes YAML: {message}") });
            }
        }
    }
}

fn take(folder: &mut Folder, seen: &mut SeenAt, place: &Place, tree: Value, depth: usize) {
    if tree.is_null() || tree.as_object().is_some_and(serde_json::Map::is_empty) {
        return;
    }
    match check(&tree, folder.manifests.len(), depth) {
        Ok(Some(items)) => {
            for item in items.clone() {
                take(folder, seen, place, item, depth + 1);
            }
        }
        Ok(None) if is_local(&tree) => {}
        Ok(None) => {
            // `check` found apiVersion, kind and name.
            let Some(id) = ObjectId::of(&tree) else { return };
            if let Some(first) = seen.get(&id) {
                let message = format!("{id} is already defined in {first}");
                folder.faults.push(Fault { place: place.clone(), message });
                return;
            }
            seen.insert(id.clone(), place.clone());
            folder.manifests.push(Manifest { place: place.clone(), id, object: tree });
        }
        Err(message) => folder.faults.push(Fault { place: place.clone(), message }),
    }
}

/// Returns the items of a list, nothing for an object, or why it is neither.
fn check(tree: &Value, objects: usize, depth: usize) -> Result<Option<&Vec<Value>>, String> {
    if !tree.is_object() {
        return Err("the document is no object".to_owned());
    }
    let (Some(api_version), Some(kind)) = (object::api_version(tree), object::kind(tree)) else {
        return Err("failed to decode Kubernetes apiVersion, kind and name: apiVersion or kind is missing".to_owned());
    };
    if api_version.starts_with("kustomize.config.k8s.io/") {
        return Err(format!("{kind} of {api_version} configures kustomize and cannot be applied"));
    }
    if let Some(items) = tree.get("items").and_then(Value::as_array).filter(|_| kind.ends_with("List")) {
        return if depth < MAX_LIST_DEPTH { Ok(Some(items)) } else { Err("lists hold lists too deep".to_owned()) };
    }
    if object::name(tree).is_none() {
        return Err(format!("failed to decode Kubernetes apiVersion, kind and name: {kind} has no metadata.name"));
    }
    if objects >= MAX_OBJECTS {
        return Err(format!("there are more than {MAX_OBJECTS} objects in the folder"));
    }
    Ok(None)
}

fn is_local(tree: &Value) -> bool {
    object::annotation(tree, LOCAL_CONFIG).is_some_and(|value| value != "false")
}

#[cfg(test)]
#[path = "manifests_tests.rs"]
mod tests;
