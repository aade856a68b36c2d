//! From a schema's document to nodes.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock};

use regex::bytes::Regex;
use serde_json::{Map, Number, Value};

use super::document::{Root, decode_fragment, draft_document, encode_fragment, join, split};
use super::failure::escape;
use super::format::Format;
use super::node::{Additional, Dependency, Draft, Id, Items, Node, types};
use super::number::as_count;
use super::{URL, parse, unresolved};
use crate::functions::urls;
use crate::notice::Notice;
use crate::quote::quote;

/// The most schemas that one chart's schema may consist of.
pub const MAX_NODES: usize = 100_000;

/// A chart's schema, ready to check values, or what is wrong with it.
#[derive(Debug)]
pub struct Compiled {
    outcome: Result<Schema, String>,
    notices: Vec<Notice>,
}

/// A schema that values can be checked against.
#[derive(Debug)]
pub struct Schema {
    pub(super) nodes: Vec<Node>,
}

impl Compiled {
    /// Compiles the text of a `values.schema.json`.
    pub fn new(text: &[u8]) -> Self {
        let mut compiler = Compiler::new(false);
        let outcome = parse(text).and_then(|document| compiler.compile(URL, Arc::new(document)));
        Self { outcome, notices: compiler.notices }
    }

    /// Returns what was noted about the schema.
    pub fn notices(&self) -> &[Notice] {
        &self.notices
    }

    /// Checks values; the error has Helm's lines.
    pub fn check(&self, values: &Value) -> Result<(), String> {
        let schema = self.outcome.as_ref().map_err(Clone::clone)?;
        schema.check(values).map_err(|failure| {
            let text = failure.text();
            let head = format!("jsonschema validation failed with '{URL}#'\n");
            format!("{}\n", text.strip_prefix(&head).unwrap_or(&text))
        })
    }
}

/// The compiled schema of a draft, which every schema of the draft is checked against.
fn draft_schema(draft: Draft) -> &'static Schema {
    static SCHEMAS: [OnceLock<Schema>; 5] = [const { OnceLock::new() }; 5];
    let at = match draft {
        Draft::D4 => 0,
        Draft::D6 => 1,
        Draft::D7 => 2,
        Draft::D2019 => 3,
        Draft::D2020 => 4,
    };
    SCHEMAS[at].get_or_init(|| {
        let document = draft_document(draft.url());
        let compiled = document.and_then(|document| Compiler::new(true).compile(draft.url(), document).ok());
        compiled.unwrap_or(Schema { nodes: Vec::new() })
    })
}

struct Compiler {
    nodes: Vec<Node>,
    places: HashMap<(String, String), Id>,
    roots: HashMap<String, Root>,
    notices: Vec<Notice>,
    /// Formats are checked whatever the draft says, as in the drafts' own schemas.
    assert_format: bool,
}

type Object = Map<String, Value>;

impl Compiler {
    fn new(assert_format: bool) -> Self {
        let (nodes, places, roots) = (Vec::new(), HashMap::new(), HashMap::new());
        Self { nodes, places, roots, notices: Vec::new(), assert_format }
    }

    fn compile(&mut self, url: &str, document: Arc<Value>) -> Result<Schema, String> {
        self.add_root(url, document)?;
        self.enqueue(url, "");
        let mut at = 0;
        while at < self.nodes.len() {
            if at > MAX_NODES {
                return Err(format!("schema has more than {MAX_NODES} parts"));
            }
            self.compile_node(at)?;
            at += 1;
        }
        Ok(Schema { nodes: std::mem::take(&mut self.nodes) })
    }

    fn add_root(&mut self, url: &str, document: Arc<Value>) -> Result<(), String> {
        let mut unknown = Vec::new();
        let root = Root::read(url, document, &mut unknown)?;
        self.note(&unknown)?;
        check_against_draft(&root, "")?;
        self.roots.insert(url.to_string(), root);
        Ok(())
    }

    /// Notes the documents that are not loaded, where they are of a kind that Helm would load.
    fn note(&mut self, unknown: &[String]) -> Result<(), String> {
        for url in unknown {
            let shown = quote(url);
            // A document is looked for at the URL's path alone, whatever host is named; none is read.
            match urls::parse(url.as_bytes()) {
                Ok(parts) if parts.scheme == b"file" => {
                    let path = String::from_utf8_lossy(&parts.path);
                    return Err(format!("failing loading {shown}: open {path}: no such file or directory"));
                }
                Ok(parts) if matches!(parts.scheme.as_slice(), b"http" | b"https" | b"urn") => {}
                _ => return Err(format!("failing loading {shown}: no URLLoader registered for {shown}")),
            }
            let notice = unresolved(url);
            if !self.notices.contains(&notice) {
                self.notices.push(notice);
            }
        }
        Ok(())
    }

    fn enqueue(&mut self, url: &str, ptr: &str) -> Id {
        *self.places.entry((url.to_string(), ptr.to_string())).or_insert_with(|| {
            self.nodes.push(Node::new(url, ptr));
            self.nodes.len() - 1
        })
    }

    /// Makes sure that a document is there: one of the drafts' own, or one that accepts everything.
    fn ensure_root(&mut self, url: &str) -> Result<(), String> {
        if self.roots.contains_key(url) {
            return Ok(());
        }
        if let Some(document) = draft_document(url) {
            return self.add_root(url, document);
        }
        self.note(&[url.to_string()])?;
        self.add_root(url, Arc::new(Value::Bool(true)))
    }

    fn compile_node(&mut self, id: Id) -> Result<(), String> {
        let (url, ptr) = (self.nodes[id].url.clone(), self.nodes[id].ptr.clone());
        self.ensure_root(&url)?;
        self.ensure_subschema(&url, &ptr)?;
        let root = &self.roots[&url];
        let document = root.document.clone();
        let value = root.lookup(&document, &ptr)?;
        let resource = root.resource(&ptr).clone();
        let mut node = Node::new(&url, &ptr);
        node.draft = resource.draft;
        node.resource = self.enqueue(&url, &resource.ptr);
        if node.draft >= Draft::D2020 && ptr == resource.ptr {
            for anchor in &resource.dynamic_anchors {
                let target = self.enqueue(&url, &resource.anchors[anchor]);
                node.dynamic_anchors.insert(anchor.clone(), target);
            }
        }
        match value {
            Value::Bool(boolean) => node.boolean = Some(*boolean),
            Value::Object(object) if object.is_empty() => node.boolean = Some(true),
            Value::Object(object) => self.compile_object(object, &mut node, &resource.id)?,
            _ => {}
        }
        self.nodes[id] = node;
        Ok(())
    }

    fn ensure_subschema(&mut self, url: &str, ptr: &str) -> Result<(), String> {
        let Some(root) = self.roots.get(url).filter(|root| !root.is_processed(ptr)) else { return Ok(()) };
        let mut root = root.clone();
        let mut unknown = Vec::new();
        root.add(ptr, &mut unknown)?;
        check_against_draft(&root, ptr)?;
        self.note(&unknown)?;
        self.roots.insert(url.to_string(), root);
        Ok(())
    }

    fn compile_object(&mut self, object: &Object, node: &mut Node, base: &str) -> Result<(), String> {
        node.reference = self.reference(object, "$ref", node, base)?;
        if node.draft < Draft::D2019 && node.reference.is_some() {
            return Ok(());
        }
        self.applicators(object, node)?;
        assertions(object, node)?;
        if node.draft >= Draft::D2019 {
            self.compile_2019(object, node, base)?;
        }
        if node.draft >= Draft::D2020 {
            self.compile_2020(object, node, base)?;
        }
        if self.assert_format || node.draft < Draft::D2019 {
            node.format = text(object, "format").and_then(Format::find);
        }
        Ok(())
    }

    fn applicators(&mut self, object: &Object, node: &mut Node) -> Result<(), String> {
        node.all_of = self.each(object, "allOf", node);
        node.any_of = self.each(object, "anyOf", node);
        node.one_of = self.each(object, "oneOf", node);
        node.not = self.property(object, "not", node);
        if node.draft < Draft::D2020 {
            match object.get("items") {
                Some(Value::Array(_)) => {
                    node.items = Some(Items::Each(self.each(object, "items", node)));
                    node.additional_items = self.additional(object, "additionalItems", node);
                }
                Some(_) => node.items = self.property(object, "items", node).map(Items::All),
                None => {}
            }
        }
        node.properties = self.map(object, "properties", node);
        for (pattern, id) in self.map(object, "patternProperties", node) {
            let regex = compile_pattern(&pattern, node, "patternProperties")?;
            node.pattern_properties.push((regex, id));
        }
        node.additional_properties = self.additional(object, "additionalProperties", node);
        for (name, value) in object.get("dependencies").and_then(Value::as_object).into_iter().flatten() {
            let dependency = match value {
                Value::Array(list) => Dependency::Properties(texts(list)),
                _ => Dependency::Schema(self.at(node, &["dependencies", name])),
            };
            node.dependencies.insert(name.clone(), dependency);
        }
        if node.draft >= Draft::D6 {
            node.contains = self.property(object, "contains", node);
            node.property_names = self.property(object, "propertyNames", node);
        }
        if node.draft >= Draft::D7 {
            node.condition = self.property(object, "if", node);
            if node.condition.is_some() {
                node.then = self.property(object, "then", node);
                node.otherwise = self.property(object, "else", node);
            }
        }
        Ok(())
    }

    fn compile_2019(&mut self, object: &Object, node: &mut Node, base: &str) -> Result<(), String> {
        node.recursive_ref = self.reference(object, "$recursiveRef", node, base)?;
        node.recursive_anchor = object.get("$recursiveAnchor") == Some(&Value::Bool(true));
        if node.contains.is_some() {
            node.min_contains = count(object, "minContains");
            node.max_contains = count(object, "maxContains");
        }
        for (name, value) in object.get("dependentRequired").and_then(Value::as_object).into_iter().flatten() {
            if let Value::Array(list) = value {
                node.dependent_required.insert(name.clone(), texts(list));
            }
        }
        node.dependent_schemas = self.map(object, "dependentSchemas", node);
        node.unevaluated_items = self.property(object, "unevaluatedItems", node);
        node.unevaluated_properties = self.property(object, "unevaluatedProperties", node);
        Ok(())
    }

    fn compile_2020(&mut self, object: &Object, node: &mut Node, base: &str) -> Result<(), String> {
        if let Some(target) = self.reference(object, "$dynamicRef", node, base)? {
            let fragment = text(object, "$dynamicRef").map_or("", |reference| split(reference).1);
            let fragment = decode_fragment(fragment).unwrap_or_default();
            let anchor = if fragment.starts_with('/') { String::new() } else { fragment };
            node.dynamic_ref = Some((target, anchor));
        }
        node.dynamic_anchor = text(object, "$dynamicAnchor").unwrap_or_default().to_string();
        node.prefix_items = self.each(object, "prefixItems", node);
        node.items_2020 = self.property(object, "items", node);
        Ok(())
    }

    fn at(&mut self, node: &Node, path: &[&str]) -> Id {
        let ptr = path.iter().fold(node.ptr.clone(), |ptr, part| ptr + "/" + &escape(part));
        self.enqueue(&node.url, &ptr)
    }

    fn property(&mut self, object: &Object, name: &str, node: &Node) -> Option<Id> {
        object.contains_key(name).then(|| self.at(node, &[name]))
    }

    fn each(&mut self, object: &Object, name: &str, node: &Node) -> Vec<Id> {
        let count = object.get(name).and_then(Value::as_array).map_or(0, Vec::len);
        (0..count).map(|i| self.at(node, &[name, &i.to_string()])).collect()
    }

    fn map(&mut self, object: &Object, name: &str, node: &Node) -> BTreeMap<String, Id> {
        let map = object.get(name).and_then(Value::as_object);
        map.into_iter().flat_map(Map::keys).map(|key| (key.clone(), self.at(node, &[name, key]))).collect()
    }

    fn additional(&mut self, object: &Object, name: &str, node: &Node) -> Option<Additional> {
        match object.get(name)? {
            Value::Bool(allowed) => Some(Additional::Bool(*allowed)),
            _ => self.property(object, name, node).map(Additional::Schema),
        }
    }

    fn reference(&mut self, object: &Object, name: &str, node: &Node, base: &str) -> Result<Option<Id>, String> {
        let Some(reference) = text(object, name) else { return Ok(None) };
        let (url, fragment) = split(reference);
        let invalid = || format!("error in parsing {0}: invalid URL escape", quote(reference));
        let fragment = decode_fragment(fragment).ok_or_else(invalid)?;
        let url = join(base, url)?;
        if let Some(ptr) = self.roots[&node.url].resolve(&url, &fragment)? {
            return Ok(Some(self.enqueue(&node.url, &ptr)));
        }
        self.ensure_root(&url)?;
        // A document that is not loaded accepts everything, wherever the reference points in it.
        if self.roots[&url].document.is_boolean() {
            return Ok(Some(self.enqueue(&url, "")));
        }
        let ptr = self.roots[&url].resolve(&url, &fragment)?.unwrap_or_default();
        Ok(Some(self.enqueue(&url, &ptr)))
    }
}

/// Checks a schema against the schema of its draft; those of the drafts are taken as they are.
fn check_against_draft(root: &Root, ptr: &str) -> Result<(), String> {
    if root.url.starts_with("http://json-schema.org/") || root.url.starts_with("https://json-schema.org/") {
        return Ok(());
    }
    let value = root.lookup(&root.document, ptr)?;
    draft_schema(root.resource(ptr).draft).check(value).map_err(|failure| {
        let place = quote(&format!("{}#{}", root.url, encode_fragment(ptr)));
        format!("{place} is not valid against metaschema: {}", failure.text())
    })
}

fn assertions(object: &Object, node: &mut Node) -> Result<(), String> {
    node.types = match object.get("type") {
        Some(Value::String(name)) => types::parse(name),
        Some(Value::Array(list)) => texts(list).iter().fold(0, |set, name| set | types::parse(name)),
        _ => 0,
    };
    node.enumeration = object.get("enum").and_then(Value::as_array).cloned();
    if node.draft >= Draft::D6 {
        node.constant = object.get("const").cloned();
    }
    node.multiple_of = number(object, "multipleOf");
    (node.maximum, node.exclusive_maximum) = bounds(object, "maximum", "exclusiveMaximum");
    (node.minimum, node.exclusive_minimum) = bounds(object, "minimum", "exclusiveMinimum");
    node.min_length = count(object, "minLength");
    node.max_length = count(object, "maxLength");
    if let Some(pattern) = text(object, "pattern") {
        node.pattern = Some((compile_pattern(pattern, node, "pattern")?, pattern.to_string()));
    }
    node.min_items = count(object, "minItems");
    node.max_items = count(object, "maxItems");
    node.unique_items = object.get("uniqueItems") == Some(&Value::Bool(true));
    node.max_properties = count(object, "maxProperties");
    node.min_properties = count(object, "minProperties");
    node.required = object.get("required").and_then(Value::as_array).map_or_else(Vec::new, |list| texts(list));
    Ok(())
}

/// Reads a bound and its exclusive form, which in draft 4 is a flag beside it.
fn bounds(object: &Object, name: &str, exclusive: &str) -> (Option<Number>, Option<Number>) {
    let bound = number(object, name);
    if object.get(exclusive) == Some(&Value::Bool(true)) { (None, bound) } else { (bound, number(object, exclusive)) }
}

fn compile_pattern(pattern: &str, node: &Node, keyword: &str) -> Result<Regex, String> {
    super::format::regex(pattern).map_err(|error| {
        let place = format!("{}#{}/{keyword}", node.url, encode_fragment(&node.ptr));
        format!("invalid regex {} at {}: {error}", quote(pattern), quote(&place))
    })
}

fn text<'o>(object: &'o Object, name: &str) -> Option<&'o str> {
    object.get(name).and_then(Value::as_str)
}

fn number(object: &Object, name: &str) -> Option<Number> {
    match object.get(name) {
        Some(Value::Number(number)) => Some(number.clone()),
        _ => None,
    }
}

fn count(object: &Object, name: &str) -> Option<i64> {
    number(object, name).as_ref().and_then(as_count)
}

fn texts(list: &[Value]) -> Vec<String> {
    list.iter().filter_map(Value::as_str).map(str::to_string).collect()
}
