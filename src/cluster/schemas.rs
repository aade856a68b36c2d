//! The OpenAPI schemas of what a cluster serves, one document a group version, read once and kept in a compact form.
//!
//! They are for looking at an object before it is sent: what they find wrong is a suspicion, since a document may be older
//! than the API server, and the server has the last word. So a document is read again only when it was wrong.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use kube::Client;
use serde::Deserialize;
use serde_json::Value;
use tokio::{sync::OnceCell, time::Instant};

use super::{lock, object, request};

/// How long a document is kept at least, however often it is wrong: some objects are taken that no schema allows.
const MIN_AGE: Duration = Duration::from_mins(10);

/// What a value may be: a set of these.
const TEXT: u8 = 1;
const INTEGER: u8 = 2;
const NUMBER: u8 = 4;
const BOOLEAN: u8 = 8;

/// A document, and when it was read.
type Reading = Arc<OnceCell<(Instant, Arc<Document>)>>;

/// The schemas of one cluster, shared by all who work on it.
#[derive(Default)]
pub struct Schemas {
    documents: Mutex<HashMap<String, Reading>>,
}

impl Schemas {
    /// Says what seems to be wrong with an object: its unknown fields, wrong types and missing fields, as far as its
    /// schema tells them. `None` where nothing does, or no schema can be had.
    pub async fn suspicion(&self, client: &Client, tree: &Value) -> Option<String> {
        let document = self.document(client, object::api_version(tree)?).await?;
        document.check(tree)
    }

    /// Forgets the document of a group version that was wrong about an object, unless it was read a short while ago.
    pub fn forget(&self, api_version: &str) {
        let mut documents = lock(&self.documents);
        let read = documents.get(api_version).and_then(|cell| cell.get()).map(|(read, _)| *read);
        if read.is_some_and(|read| read.elapsed() > MIN_AGE) {
            documents.remove(api_version);
        }
    }

    async fn document(&self, client: &Client, api_version: &str) -> Option<Arc<Document>> {
        let cell = {
            let mut documents = lock(&self.documents);
            let known = documents.get(api_version).and_then(|cell| cell.get());
            if known.is_some_and(|(read, document)| document.schemas.is_empty() && read.elapsed() > MIN_AGE) {
                documents.remove(api_version);
            }
            documents.entry(api_version.to_owned()).or_default().clone()
        };
        let read = cell.get_or_try_init(|| read(client, api_version)).await;
        read.inspect_err(|error| tracing::debug!(api_version, error, "schemas cannot be read"))
            .ok()
            .map(|(_, document)| document.clone())
    }
}

async fn read(client: &Client, api_version: &str) -> Result<(Instant, Arc<Document>), String> {
    let (group, version) = object::split_api_version(api_version);
    let (group, version) = (request::encode(group), request::encode(version));
    let path = if group.is_empty() {
        format!("/openapi/v3/api/{version}")
    } else {
        format!("/openapi/v3/apis/{group}/{version}")
    };
    let bytes = match request::read(client, &path).await {
        Ok(bytes) => bytes,
        // A definition that is new is published a little later, and an aggregated API server may publish nothing.
        Err(error) if request::is_not_found(&error) || request::is_forbidden(&error) => {
            return Ok((Instant::now(), Arc::default()));
        }
        Err(error) => return Err(request::message_of(&error)),
    };
    let parsed = tokio::task::spawn_blocking(move || Document::parse(&bytes));
    let parsed = parsed.await.map_err(|error| error.to_string())?;
    parsed.map(|document| (Instant::now(), Arc::new(document))).map_err(|error| error.to_string())
}

/// The schemas of one group version.
#[derive(Debug, Default)]
struct Document {
    schemas: HashMap<Box<str>, Schema>,
    kinds: HashMap<Box<str>, Box<str>>,
}

/// What is kept of a schema.
#[derive(Debug)]
enum Schema {
    Any,
    Named(Box<str>),
    Scalar { kinds: u8, values: Box<[Box<str>]> },
    List(Box<Schema>),
    Map(Box<Schema>),
    Fields { fields: HashMap<Box<str>, Schema>, required: Box<[Box<str>]>, is_open: bool },
}

#[derive(Deserialize)]
struct RawDocument {
    components: RawComponents,
}

#[derive(Deserialize)]
struct RawComponents {
    #[serde(default)]
    schemas: HashMap<Box<str>, Raw>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Raw {
    #[serde(rename = "type")]
    of: Option<Box<str>>,
    #[serde(rename = "$ref")]
    reference: Option<Box<str>>,
    #[serde(rename = "allOf")]
    all_of: Vec<Raw>,
    #[serde(rename = "oneOf")]
    one_of: Vec<Raw>,
    items: Option<Box<Raw>>,
    properties: HashMap<Box<str>, Raw>,
    #[serde(rename = "additionalProperties")]
    additional: Option<RawAdditional>,
    required: Vec<Box<str>>,
    #[serde(rename = "enum")]
    values: Vec<Value>,
    #[serde(rename = "x-kubernetes-int-or-string")]
    int_or_string: bool,
    #[serde(rename = "x-kubernetes-preserve-unknown-fields")]
    preserves_unknown: bool,
    #[serde(rename = "x-kubernetes-embedded-resource")]
    is_embedded: bool,
    #[serde(rename = "x-kubernetes-group-version-kind")]
    kinds: Vec<RawKind>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum RawAdditional {
    Allowed(bool),
    Of(Box<Raw>),
}

#[derive(Deserialize)]
struct RawKind {
    kind: Box<str>,
}

impl Raw {
    fn scalar(&self) -> u8 {
        match self.of.as_deref() {
            _ if self.int_or_string => INTEGER | TEXT,
            Some("string") => TEXT,
            Some("integer") => INTEGER,
            Some("number") => NUMBER | INTEGER,
            Some("boolean") => BOOLEAN,
            _ => self.one_of.iter().fold(0, |kinds, one| kinds | one.scalar()),
        }
    }

    fn compact(self) -> Schema {
        if let Some(reference) = self.reference {
            return Schema::Named(reference.rsplit('/').next().unwrap_or_default().into());
        }
        let kinds = self.scalar();
        if kinds != 0 {
            let texts: Option<Vec<Box<str>>> = self.values.iter().map(|value| value.as_str().map(Box::from)).collect();
            return Schema::Scalar { kinds, values: texts.unwrap_or_default().into() };
        }
        match self.of.as_deref() {
            Some("array") => Schema::List(Box::new(self.items.map_or(Schema::Any, |items| items.compact()))),
            Some("object") => {
                let is_open = self.preserves_unknown || self.is_embedded;
                match self.additional {
                    Some(RawAdditional::Of(of)) if self.properties.is_empty() => Schema::Map(Box::new(of.compact())),
                    Some(RawAdditional::Allowed(false)) | None if !self.properties.is_empty() => {
                        let fields = self.properties.into_iter().map(|(name, raw)| (name, raw.compact())).collect();
                        Schema::Fields { fields, required: self.required.into(), is_open }
                    }
                    _ => Schema::Any,
                }
            }
            // `allOf` with one reference is how a reference gets a description of its own.
            None => match <[Raw; 1]>::try_from(self.all_of) {
                Ok([one]) => one.compact(),
                Err(_) => Schema::Any,
            },
            Some(_) => Schema::Any,
        }
    }
}

impl Document {
    fn parse(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        let raw: RawDocument = serde_json::from_slice(bytes)?;
        let mut document = Self::default();
        for (name, raw) in raw.components.schemas {
            // A kind is one schema's alone; options such as DeleteOptions are of all groups and not of objects.
            if let [kind] = &raw.kinds[..] {
                document.kinds.insert(kind.kind.clone(), name.clone());
            }
            document.schemas.insert(name, raw.compact());
        }
        Ok(document)
    }

    fn check(&self, tree: &Value) -> Option<String> {
        let name = self.kinds.get(object::kind(tree)?)?;
        let mut path = String::new();
        self.value(tree, self.schemas.get(name)?, &mut path)
    }

    /// Returns the first thing that is wrong, named as the API server names it.
    fn value(&self, value: &Value, schema: &Schema, path: &mut String) -> Option<String> {
        match (schema, value) {
            (_, Value::Null) | (Schema::Any, _) => None,
            (Schema::Named(name), _) => self.schemas.get(name).and_then(|schema| self.value(value, schema, path)),
            (Schema::Scalar { kinds, values }, _) => {
                let of = match value {
                    Value::String(_) => TEXT,
                    Value::Number(number) if number.is_f64() => NUMBER,
                    Value::Number(_) => INTEGER,
                    Value::Bool(_) => BOOLEAN,
                    _ => 0,
                };
                let unknown = |text: &str| !values.is_empty() && values.iter().all(|known| &**known != text);
                if kinds & of == 0 {
                    Some(format!("{path}: the value is of another type"))
                } else if value.as_str().is_some_and(unknown) {
                    Some(format!("{path}: unsupported value"))
                } else {
                    None
                }
            }
            (Schema::List(of), Value::Array(items)) => {
                items.iter().enumerate().find_map(|(at, item)| self.at(&format!("[{at}]"), item, of, path))
            }
            (Schema::Map(of), Value::Object(entries)) => {
                entries.iter().find_map(|(key, value)| self.at(&format!(".{key}"), value, of, path))
            }
            (Schema::Fields { fields, required, is_open }, Value::Object(entries)) => {
                if let Some(missing) = required.iter().find(|name| !entries.contains_key(&***name)) {
                    return Some(format!("{path}.{missing}: required value"));
                }
                entries.iter().find_map(|(key, value)| match fields.get(key.as_str()) {
                    Some(schema) => self.at(&format!(".{key}"), value, schema, path),
                    None if *is_open => None,
                    None => Some(format!("{path}.{key}: field not declared in schema")),
                })
            }
            _ => Some(format!("{path}: the value is of another type")),
        }
    }

    fn at(&self, step: &str, value: &Value, schema: &Schema, path: &mut String) -> Option<String> {
        let length = path.len();
        path.push_str(step);
        let found = self.value(value, schema, path);
        path.truncate(length);
        found
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn document() -> Document {
        let reference =
            |name: &str| json!({ "allOf": [{ "$ref": format!("#/components/schemas/{name}") }], "default": {} });
        let schemas = json!({
            "v1.Widget": { "type": "object", "required": ["spec"],
                "x-kubernetes-group-version-kind": [{ "group": "x", "kind": "Widget", "version": "v1" }],
                "properties": { "apiVersion": { "type": "string" }, "kind": { "type": "string" },
                    "metadata": reference("Meta"), "spec": reference("Spec") } },
            "Meta": { "type": "object", "properties": { "name": { "type": "string" },
                "labels": { "type": "object", "additionalProperties": { "type": "string" } } } },
            "Spec": { "type": "object", "properties": {
                "size": { "type": "integer", "format": "int32" },
                "port": { "oneOf": [{ "type": "integer" }, { "type": "string" }], "format": "int-or-string" },
                "amount": { "x-kubernetes-int-or-string": true },
                "mode": { "type": "string", "enum": ["A", "B"] },
                "anything": { "type": "object", "x-kubernetes-preserve-unknown-fields": true },
                "open": { "type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": { "a": { "type": "string" } } },
                "again": { "type": "array", "items": { "$ref": "#/components/schemas/Spec" } } } }
        });
        let bytes = json!({ "components": { "schemas": schemas } }).to_string();
        Document::parse(bytes.as_bytes()).expect("document")
    }

    fn check(spec: &Value) -> Option<String> {
        let metadata = json!({ "name": "a", "labels": { "a.b/c": "d" } });
        document().check(&json!({ "apiVersion": "x/v1", "kind": "Widget", "metadata": metadata, "spec": spec }))
    }

    #[test]
    fn a_good_object_raises_no_suspicion() {
        for spec in [
            json!({}),
            json!({ "size": 1, "port": "http", "amount": "1Gi", "mode": "B", "anything": { "x": { "y": 1 } } }),
            json!({ "size": null, "port": 80, "open": { "a": "b", "more": 1 }, "again": [{ "again": [{ "size": 2 }] }] }),
        ] {
            assert_eq!(check(&spec), None, "{spec}");
        }
        assert_eq!(document().check(&json!({ "apiVersion": "x/v1", "kind": "Unknown", "spec": 1 })), None);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_path() {
        for (spec, expected) in [
            (json!({ "size": "two" }), ".spec.size: the value is of another type"),
            (json!({ "size": 1.5 }), ".spec.size: the value is of another type"),
            (json!({ "mode": "C" }), ".spec.mode: unsupported value"),
            (json!({ "other": 1 }), ".spec.other: field not declared in schema"),
            (json!({ "again": [{}, { "x": 1 }] }), ".spec.again[1].x: field not declared in schema"),
            (json!({ "again": {} }), ".spec.again: the value is of another type"),
            (json!([]), ".spec: the value is of another type"),
        ] {
            assert_eq!(check(&spec).as_deref(), Some(expected));
        }
        let without = document().check(&json!({ "apiVersion": "x/v1", "kind": "Widget" }));
        assert_eq!(without.as_deref(), Some(".spec: required value"));
    }
}
