//! Schema documents: their drafts, the identifiers and anchors in them, and addresses.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt::Write;
use std::sync::{Arc, LazyLock};

use serde_json::{Map, Value, json};

use super::failure::escape;
use super::node::Draft;
use crate::quote::quote;

/// A document and what is known of the places in it.
#[derive(Debug, Clone)]
pub struct Root {
    pub url: String,
    pub document: Arc<Value>,
    /// By place.
    resources: BTreeMap<String, Resource>,
    processed: HashSet<String>,
}

/// A part of a document with an address of its own.
#[derive(Debug, Clone)]
pub struct Resource {
    pub ptr: String,
    pub id: String,
    pub draft: Draft,
    pub anchors: BTreeMap<String, String>,
    pub dynamic_anchors: BTreeSet<String>,
}

/// Where in a draft's schemas other schemas are: a keyword, and what is under it.
const SUBSCHEMAS: &[(Draft, &str, Under)] = &[
    (Draft::D4, "definitions", Under::Each),
    (Draft::D4, "not", Under::Itself),
    (Draft::D4, "allOf", Under::Items),
    (Draft::D4, "anyOf", Under::Items),
    (Draft::D4, "oneOf", Under::Items),
    (Draft::D4, "properties", Under::Each),
    (Draft::D4, "additionalProperties", Under::Itself),
    (Draft::D4, "patternProperties", Under::Each),
    (Draft::D4, "items", Under::Itself),
    (Draft::D4, "items", Under::Items),
    (Draft::D4, "additionalItems", Under::Itself),
    (Draft::D4, "dependencies", Under::Each),
    (Draft::D6, "propertyNames", Under::Itself),
    (Draft::D6, "contains", Under::Itself),
    (Draft::D7, "if", Under::Itself),
    (Draft::D7, "then", Under::Itself),
    (Draft::D7, "else", Under::Itself),
    (Draft::D2019, "$defs", Under::Each),
    (Draft::D2019, "dependentSchemas", Under::Each),
    (Draft::D2019, "unevaluatedProperties", Under::Itself),
    (Draft::D2019, "unevaluatedItems", Under::Itself),
    (Draft::D2019, "contentSchema", Under::Itself),
    (Draft::D2020, "prefixItems", Under::Items),
];

#[derive(Clone, Copy)]
enum Under {
    /// The value is a schema.
    Itself,
    /// Each property is one.
    Each,
    /// Each item is one.
    Items,
}

impl Draft {
    /// Finds the draft of a `$schema`.
    fn of(schema: &str) -> Option<Self> {
        let (url, fragment) = split(schema);
        let url = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://")).unwrap_or(url);
        Some(match url {
            _ if !fragment.is_empty() => return None,
            "json-schema.org/schema" | "json-schema.org/draft/2020-12/schema" => Self::D2020,
            "json-schema.org/draft/2019-09/schema" => Self::D2019,
            "json-schema.org/draft-07/schema" => Self::D7,
            "json-schema.org/draft-06/schema" => Self::D6,
            "json-schema.org/draft-04/schema" => Self::D4,
            _ => return None,
        })
    }

    /// Returns the address of the draft's own schema.
    pub fn url(self) -> &'static str {
        match self {
            Self::D4 => "http://json-schema.org/draft-04/schema",
            Self::D6 => "http://json-schema.org/draft-06/schema",
            Self::D7 => "http://json-schema.org/draft-07/schema",
            Self::D2019 => "https://json-schema.org/draft/2019-09/schema",
            Self::D2020 => "https://json-schema.org/draft/2020-12/schema",
        }
    }

    fn id_keyword(self) -> &'static str {
        if self == Self::D4 { "id" } else { "$id" }
    }

    /// Returns the identifier of a schema without its fragment; beside a `$ref` old drafts have none.
    fn id(self, schema: &Map<String, Value>) -> &str {
        if self < Self::D2019 && schema.contains_key("$ref") {
            return "";
        }
        schema.get(self.id_keyword()).and_then(Value::as_str).map_or("", |id| split(id).0)
    }
}

/// A draft's document where Helm's library has an older edition, which asks for more.
type Edition = LazyLock<Arc<Value>>;

static DRAFT_4: Edition = LazyLock::new(|| {
    let text = json!({"type": "string"});
    let properties =
        [("enum", filled_array()), ("$ref", text), ("$schema", json!({"type": "string", "format": "uri"}))];
    older(&referencing::meta::DRAFT4, properties)
});
static DRAFT_6: Edition = LazyLock::new(|| {
    let any_names = json!({"type": "object", "additionalProperties": {"$ref": "#"}, "default": {}});
    let any = json!(true);
    older(&referencing::meta::DRAFT6, [("enum", filled_array()), ("patternProperties", any_names), ("examples", any)])
});
static DRAFT_7: Edition = LazyLock::new(|| older(&referencing::meta::DRAFT7, [("enum", filled_array())]));

fn filled_array() -> Value {
    json!({"type": "array", "items": {}, "minItems": 1, "uniqueItems": true})
}

fn older<const N: usize>(edition: &Value, properties: [(&str, Value); N]) -> Arc<Value> {
    let mut document = edition.clone();
    if let Some(known) = document.get_mut("properties").and_then(Value::as_object_mut) {
        known.extend(properties.map(|(name, schema)| (name.to_string(), schema)));
    }
    Arc::new(document)
}

/// Finds one of the drafts' own documents.
pub fn draft_document(url: &str) -> Option<Arc<Value>> {
    use referencing::meta;
    let path = url.strip_prefix("http://json-schema.org/").or_else(|| url.strip_prefix("https://json-schema.org/"))?;
    let document: &LazyLock<Arc<Value>> = match path {
        "draft-04/schema" => &DRAFT_4,
        "draft-06/schema" => &DRAFT_6,
        "draft-07/schema" => &DRAFT_7,
        "draft/2019-09/schema" => &meta::DRAFT201909,
        "draft/2019-09/meta/applicator" => &meta::DRAFT201909_APPLICATOR,
        "draft/2019-09/meta/content" => &meta::DRAFT201909_CONTENT,
        "draft/2019-09/meta/core" => &meta::DRAFT201909_CORE,
        "draft/2019-09/meta/format" => &meta::DRAFT201909_FORMAT,
        "draft/2019-09/meta/meta-data" => &meta::DRAFT201909_META_DATA,
        "draft/2019-09/meta/validation" => &meta::DRAFT201909_VALIDATION,
        "schema" | "draft/2020-12/schema" => &meta::DRAFT202012,
        "draft/2020-12/meta/core" => &meta::DRAFT202012_CORE,
        "draft/2020-12/meta/applicator" => &meta::DRAFT202012_APPLICATOR,
        "draft/2020-12/meta/unevaluated" => &meta::DRAFT202012_UNEVALUATED,
        "draft/2020-12/meta/validation" => &meta::DRAFT202012_VALIDATION,
        "draft/2020-12/meta/meta-data" => &meta::DRAFT202012_META_DATA,
        "draft/2020-12/meta/format-annotation" => &meta::DRAFT202012_FORMAT_ANNOTATION,
        "draft/2020-12/meta/content" => &meta::DRAFT202012_CONTENT,
        _ => return None,
    };
    Some(Arc::clone(document))
}

impl Root {
    /// Looks through a document. `unknown` hears of a `$schema` that is no draft's.
    pub fn read(url: &str, document: Arc<Value>, unknown: &mut Vec<String>) -> Result<Self, String> {
        let mut root = Self {
            url: url.to_string(),
            document: document.clone(),
            resources: BTreeMap::new(),
            processed: HashSet::new(),
        };
        root.collect(&document, url, "", Draft::D2020, unknown)?;
        Ok(root)
    }

    /// Says whether a place was found to hold a schema.
    pub fn is_processed(&self, ptr: &str) -> bool {
        self.processed.contains(ptr)
    }

    /// Looks through a place that only a reference makes a schema.
    pub fn add(&mut self, ptr: &str, unknown: &mut Vec<String>) -> Result<(), String> {
        let document = self.document.clone();
        let value = self.lookup(&document, ptr)?;
        let (base, draft) = {
            let resource = self.resource(ptr);
            (resource.id.clone(), resource.draft)
        };
        self.collect(value, &base, ptr, draft, unknown)
    }

    /// Finds a value by its place.
    pub fn lookup<'v>(&self, document: &'v Value, ptr: &str) -> Result<&'v Value, String> {
        let shown = || quote(&format!("{}#{}", self.url, encode_fragment(ptr)));
        let mut value = document;
        for part in ptr.split('/').skip(1) {
            let part = unescape(part).ok_or_else(|| format!("invalid json-pointer {}", shown()))?;
            let found = match value {
                Value::Object(map) => map.get(&part),
                Value::Array(list) => part.parse::<usize>().ok().and_then(|index| list.get(index)),
                _ => None,
            };
            value = found.ok_or_else(|| format!("json-pointer in {} not found", shown()))?;
        }
        Ok(value)
    }

    /// Finds the resource that a place belongs to.
    pub fn resource(&self, ptr: &str) -> &Resource {
        let mut ptr = ptr;
        loop {
            if let Some(resource) = self.resources.get(ptr) {
                return resource;
            }
            ptr = match ptr.rfind('/') {
                Some(slash) => &ptr[..slash],
                None => "",
            };
        }
    }

    /// Finds the place of a fragment of this document, None when the address is another document's.
    pub fn resolve(&self, url: &str, fragment: &str) -> Result<Option<String>, String> {
        let resource = if url == self.url {
            self.resources.get("")
        } else {
            self.resources.values().find(|resource| resource.id == url)
        };
        let Some(resource) = resource else { return Ok(None) };
        if fragment.is_empty() || fragment.starts_with('/') {
            return Ok(Some(format!("{}{fragment}", resource.ptr)));
        }
        resource.anchors.get(fragment).cloned().map(Some).ok_or_else(|| {
            let reference = format!("{}#{}", resource.id, encode_fragment(fragment));
            format!("anchor in {} not found in schema {}", quote(&reference), quote(&self.url))
        })
    }

    fn collect(
        &mut self,
        schema: &Value,
        base: &str,
        ptr: &str,
        fallback: Draft,
        unknown: &mut Vec<String>,
    ) -> Result<(), String> {
        if !self.processed.insert(ptr.to_string()) {
            return Ok(());
        }
        let Value::Object(object) = schema else {
            if ptr.is_empty() {
                self.resources.insert(String::new(), Resource::new(ptr, base, fallback));
            }
            return Ok(());
        };
        let mut draft = match object.get("$schema").and_then(Value::as_str) {
            Some(name) => self.draft(name, ptr, fallback, unknown)?,
            None => fallback,
        };
        if draft.id(object).is_empty() && !ptr.is_empty() {
            draft = fallback;
        }
        let id = draft.id(object);
        let base = if id.is_empty() {
            base.to_string()
        } else {
            let place = || quote(&format!("{}#{}", self.url, encode_fragment(ptr)));
            join(base, id).map_err(|_| format!("error in parsing id at {}", place()))?
        };
        if !id.is_empty() || ptr.is_empty() {
            match self.resources.values().find(|resource| resource.id == base) {
                Some(other) if other.ptr != ptr => {
                    let (id, url) = (quote(&base), quote(&self.url));
                    let (first, second) = (quote(&other.ptr), quote(ptr));
                    return Err(format!("duplicate id {id} in {url} at {first} and {second}"));
                }
                Some(_) => {}
                None => {
                    self.resources.insert(ptr.to_string(), Resource::new(ptr, &base, draft));
                }
            }
        }
        self.collect_anchors(object, &base, ptr)?;
        for (since, keyword, under) in SUBSCHEMAS {
            if let Some(value) = object.get(*keyword).filter(|_| draft >= *since) {
                self.collect_under(value, &base, &format!("{ptr}/{keyword}"), *under, unknown)?;
            }
        }
        Ok(())
    }

    fn collect_under(
        &mut self,
        value: &Value,
        base: &str,
        ptr: &str,
        under: Under,
        unknown: &mut Vec<String>,
    ) -> Result<(), String> {
        let draft = self.resources.values().find(|r| r.id == base).map_or(Draft::D2020, |r| r.draft);
        match (under, value) {
            (Under::Itself, value) => self.collect(value, base, ptr, draft, unknown),
            (Under::Each, Value::Object(map)) => map.iter().try_for_each(|(key, value)| {
                self.collect(value, base, &format!("{ptr}/{}", escape(key)), draft, unknown)
            }),
            (Under::Items, Value::Array(list)) => list
                .iter()
                .enumerate()
                .try_for_each(|(i, value)| self.collect(value, base, &format!("{ptr}/{i}"), draft, unknown)),
            _ => Ok(()),
        }
    }

    fn draft(&self, name: &str, ptr: &str, fallback: Draft, unknown: &mut Vec<String>) -> Result<Draft, String> {
        if let Some(draft) = Draft::of(name) {
            return Ok(draft);
        }
        let url = split(name).0;
        if ptr.is_empty() && url == self.url {
            return Err(format!("draft {} is not supported", quote(url)));
        }
        unknown.push(url.to_string());
        Ok(fallback)
    }

    fn collect_anchors(&mut self, schema: &Map<String, Value>, base: &str, ptr: &str) -> Result<(), String> {
        let url = self.url.clone();
        let Some(resource) = self.resources.values_mut().find(|resource| resource.id == base) else { return Ok(()) };
        let text = |keyword: &str| schema.get(keyword).and_then(Value::as_str);
        if resource.draft < Draft::D2019 {
            if !schema.contains_key("$ref")
                && let Some(id) = text(resource.draft.id_keyword())
            {
                let fragment = decode_fragment(split(id).1);
                let fragment = fragment.ok_or_else(|| {
                    format!("error in parsing anchor at {}", quote(&format!("{url}#{}", encode_fragment(ptr))))
                })?;
                if !fragment.is_empty() && !fragment.starts_with('/') {
                    resource.add_anchor(&url, &fragment, ptr)?;
                }
            }
            return Ok(());
        }
        if let Some(anchor) = text("$anchor") {
            resource.add_anchor(&url, anchor, ptr)?;
        }
        if resource.draft >= Draft::D2020
            && let Some(anchor) = text("$dynamicAnchor")
        {
            resource.add_anchor(&url, anchor, ptr)?;
            resource.dynamic_anchors.insert(anchor.to_string());
        }
        Ok(())
    }
}

impl Resource {
    fn new(ptr: &str, id: &str, draft: Draft) -> Self {
        let (ptr, id) = (ptr.to_string(), id.to_string());
        Self { ptr, id, draft, anchors: BTreeMap::new(), dynamic_anchors: BTreeSet::new() }
    }

    fn add_anchor(&mut self, url: &str, anchor: &str, ptr: &str) -> Result<(), String> {
        match self.anchors.get(anchor) {
            Some(other) if other != ptr => {
                let (anchor, url, first, second) = (quote(anchor), quote(url), quote(other), quote(ptr));
                Err(format!("duplicate anchor {anchor} in {url} at {first} and {second}"))
            }
            _ => {
                self.anchors.insert(anchor.to_string(), ptr.to_string());
                Ok(())
            }
        }
    }
}

/// Splits an address at its fragment.
pub fn split(url: &str) -> (&str, &str) {
    url.split_once('#').unwrap_or((url, ""))
}

/// Resolves a reference without a fragment against an address; the error is a percent sign that escapes nothing.
pub fn join(base: &str, reference: &str) -> Result<String, String> {
    if decode_fragment(reference).is_none() {
        return Err(format!("error in parsing {0}: parse {0}: invalid URL escape", quote(reference)));
    }
    if reference.is_empty() {
        return Ok(base.to_string());
    }
    let scheme = reference.split(':').next().unwrap_or("");
    let has_scheme = reference.contains(':')
        && scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
    if has_scheme {
        return Ok(reference.to_string());
    }
    let Some((scheme, rest)) = base.split_once("://") else { return Ok(base.to_string()) };
    let (host, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
    if let Some(other) = reference.strip_prefix("//") {
        return Ok(format!("{scheme}://{other}"));
    }
    let path = if reference.starts_with('/') {
        reference.to_string()
    } else {
        format!("{}/{reference}", path.rsplit_once('/').map_or("", |(folder, _)| folder))
    };
    Ok(format!("{scheme}://{host}{}", without_dots(&path)))
}

fn without_dots(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/').skip(1) {
        match part {
            "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

/// Takes percent escapes out; None for one that is malformed.
pub fn decode_fragment(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(b) = bytes.next() {
        if b != b'%' {
            out.push(b);
            continue;
        }
        let digit = |b: Option<u8>| char::from(b?).to_digit(16);
        out.push((digit(bytes.next())? * 16 + digit(bytes.next())?) as u8);
    }
    Some(String::from_utf8_lossy(&out).into_owned())
}

/// Escapes the parts of a place as Go's `url.PathEscape` does.
pub fn encode_fragment(ptr: &str) -> String {
    let mut out = String::new();
    for b in ptr.bytes() {
        if b.is_ascii_alphanumeric() || b"/-_.~$&+=:@".contains(&b) {
            out.push(char::from(b));
        } else {
            write!(out, "%{b:02X}").expect("writing to a String cannot fail");
        }
    }
    out
}

fn unescape(part: &str) -> Option<String> {
    let mut out = String::new();
    let mut chars = part.chars();
    while let Some(c) = chars.next() {
        out.push(match c {
            '~' => match chars.next()? {
                '0' => '~',
                '1' => '/',
                _ => return None,
            },
            c => c,
        });
    }
    Some(out)
}
