//! What kustomize knows of Kubernetes' own kinds: which lists are merged by which keys, and which kinds have no namespace.
//!
//! The text is written by `tests/post_render/oracle` from the schema within kustomize (that of Kubernetes 1.21), which is
//! older than the API server's own and has other keys: ports of a container are told apart by protocol too.

use std::{
    collections::{HashMap, HashSet},
    sync::LazyLock,
};

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| Schema::read(include_str!("schema.txt")));

/// How the fields of kinds are merged.
#[derive(Default)]
pub struct Schema {
    definitions: HashMap<&'static str, HashMap<&'static str, Field>>,
    /// By `apiVersion kind`.
    kinds: HashMap<String, Field>,
    without_namespace: HashSet<String>,
}

/// What is known of a field.
#[derive(Debug, PartialEq, Eq)]
pub enum Field {
    /// A map with the fields of a definition.
    Map(&'static str),
    /// A list that is merged: by the keys of its elements, or without keys as a set of scalars.
    Merged { keys: Vec<&'static str>, element: Option<Box<Field>> },
}

impl Schema {
    /// Returns the schema of Kubernetes' own kinds.
    pub fn get() -> &'static Self {
        &SCHEMA
    }

    /// Returns what is known of a kind.
    pub fn kind(&self, api_version: &str, kind: &str) -> Option<&Field> {
        self.kinds.get(&format!("{api_version} {kind}"))
    }

    /// Tells whether objects of a kind are known to have no namespace.
    pub fn is_without_namespace(&self, api_version: &str, kind: &str) -> bool {
        self.without_namespace.contains(&format!("{api_version} {kind}"))
    }

    fn read(text: &'static str) -> Self {
        let mut schema = Self::default();
        for line in text.lines() {
            let mut words = line.split(' ');
            let Some(first) = words.next() else { continue };
            if line.contains('=') {
                let fields = words.filter_map(|word| word.split_once('=')).map(|(name, of)| (name, Field::read(of)));
                schema.definitions.insert(first, fields.collect());
            } else if let (Some(kind), Some(definition)) = (words.next(), words.next()) {
                let of = format!("{first} {kind}");
                if words.next() == Some("!") {
                    schema.without_namespace.insert(of.clone());
                }
                if definition != "-" {
                    schema.kinds.insert(of, Field::Map(definition));
                }
            }
        }
        schema
    }
}

impl Field {
    fn read(text: &'static str) -> Self {
        if let Some((keys, element)) = text.strip_prefix('[').and_then(|text| text.split_once(']')) {
            return Self::Merged {
                keys: keys.split(',').filter(|key| !key.is_empty()).collect(),
                element: (!element.is_empty()).then(|| Box::new(Self::Map(element))),
            };
        }
        Self::Map(text)
    }

    /// Returns what is known of a field within a map.
    pub fn field(&self, name: &str) -> Option<&'static Field> {
        match self {
            Self::Map(definition) => Schema::get().definitions.get(definition)?.get(name),
            Self::Merged { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_known_kinds_are_merged_by_their_keys() {
        let spec = Schema::get().kind("apps/v1", "Deployment").and_then(|kind| kind.field("spec")).unwrap();
        let pod = spec.field("template").and_then(|template| template.field("spec")).unwrap();
        let Some(Field::Merged { keys, element: Some(container) }) = pod.field("containers") else { panic!("{pod:?}") };
        assert_eq!(keys, &["name"]);
        let ports = container.field("ports");
        assert!(matches!(ports, Some(Field::Merged { keys, element: None }) if keys == &["containerPort", "protocol"]));
        assert!(pod.field("tolerations").is_none() && Schema::get().kind("example.com/v1", "Deployment").is_none());
    }

    #[test]
    fn kinds_of_the_cluster_are_known() {
        assert!(Schema::get().is_without_namespace("v1", "Namespace"));
        assert!(!Schema::get().is_without_namespace("v1", "Secret"));
        assert!(!Schema::get().is_without_namespace("example.com/v1", "Thing"));
    }
}
