//! A compiled schema: nodes that refer to each other by index.

use std::collections::BTreeMap;

use regex::bytes::Regex;
use serde_json::{Number, Value};

use super::format::Format;

/// The index of a node.
pub type Id = usize;

/// The drafts, by the year or number that the library orders them by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Draft {
    D4,
    D6,
    D7,
    D2019,
    #[default]
    D2020,
}

/// Types as bits, so that a schema's list of them is one number.
pub mod types {
    pub const NULL: u8 = 1;
    pub const BOOLEAN: u8 = 2;
    pub const NUMBER: u8 = 4;
    pub const INTEGER: u8 = 8;
    pub const STRING: u8 = 16;
    pub const ARRAY: u8 = 32;
    pub const OBJECT: u8 = 64;

    const NAMES: [(u8, &str); 7] = [
        (NULL, "null"),
        (BOOLEAN, "boolean"),
        (NUMBER, "number"),
        (INTEGER, "integer"),
        (STRING, "string"),
        (ARRAY, "array"),
        (OBJECT, "object"),
    ];

    /// Returns the names of the types in a set, in the library's order.
    pub fn names(set: u8) -> Vec<&'static str> {
        NAMES.iter().filter(|(bit, _)| set & bit != 0).map(|(_, name)| *name).collect()
    }

    /// Returns the bit of a name, 0 for one that is no type.
    pub fn parse(name: &str) -> u8 {
        NAMES.iter().find(|(_, known)| *known == name).map_or(0, |(bit, _)| *bit)
    }

    /// Returns the type of a value; every number is a number.
    pub fn of(value: &serde_json::Value) -> u8 {
        use serde_json::Value as V;
        match value {
            V::Null => NULL,
            V::Bool(_) => BOOLEAN,
            V::Number(_) => NUMBER,
            V::String(_) => STRING,
            V::Array(_) => ARRAY,
            V::Object(_) => OBJECT,
        }
    }
}

/// What is allowed beside the named properties or items.
#[derive(Debug)]
pub enum Additional {
    Bool(bool),
    Schema(Id),
}

/// `dependencies` of one property.
#[derive(Debug)]
pub enum Dependency {
    Properties(Vec<String>),
    Schema(Id),
}

/// `items` before draft 2020-12.
#[derive(Debug)]
pub enum Items {
    All(Id),
    Each(Vec<Id>),
}

/// A schema at one place of a document.
#[derive(Debug, Default)]
pub struct Node {
    pub draft: Draft,
    /// The address of the document, and the place in it as a JSON pointer.
    pub url: String,
    pub ptr: String,
    /// The node of the resource that this one belongs to.
    pub resource: Id,
    pub dynamic_anchors: BTreeMap<String, Id>,
    pub boolean: Option<bool>,
    pub reference: Option<Id>,
    pub recursive_ref: Option<Id>,
    pub recursive_anchor: bool,
    /// The target and the anchor that the reference names.
    pub dynamic_ref: Option<(Id, String)>,
    pub dynamic_anchor: String,
    pub types: u8,
    pub constant: Option<Value>,
    pub enumeration: Option<Vec<Value>>,
    pub format: Option<Format>,
    pub not: Option<Id>,
    pub all_of: Vec<Id>,
    pub any_of: Vec<Id>,
    pub one_of: Vec<Id>,
    pub condition: Option<Id>,
    pub then: Option<Id>,
    pub otherwise: Option<Id>,
    pub max_properties: Option<i64>,
    pub min_properties: Option<i64>,
    pub required: Vec<String>,
    pub property_names: Option<Id>,
    pub properties: BTreeMap<String, Id>,
    pub pattern_properties: Vec<(Regex, Id)>,
    pub additional_properties: Option<Additional>,
    pub dependencies: BTreeMap<String, Dependency>,
    pub dependent_required: BTreeMap<String, Vec<String>>,
    pub dependent_schemas: BTreeMap<String, Id>,
    pub unevaluated_properties: Option<Id>,
    pub min_items: Option<i64>,
    pub max_items: Option<i64>,
    pub unique_items: bool,
    pub contains: Option<Id>,
    pub min_contains: Option<i64>,
    pub max_contains: Option<i64>,
    pub items: Option<Items>,
    pub additional_items: Option<Additional>,
    pub prefix_items: Vec<Id>,
    pub items_2020: Option<Id>,
    pub unevaluated_items: Option<Id>,
    pub min_length: Option<i64>,
    pub max_length: Option<i64>,
    pub pattern: Option<(Regex, String)>,
    pub maximum: Option<Number>,
    pub minimum: Option<Number>,
    pub exclusive_maximum: Option<Number>,
    pub exclusive_minimum: Option<Number>,
    pub multiple_of: Option<Number>,
}

impl Node {
    pub fn new(url: &str, ptr: &str) -> Self {
        Self { url: url.to_string(), ptr: ptr.to_string(), ..Self::default() }
    }

    /// Returns the address with the place in the document.
    pub fn location(&self) -> String {
        format!("{}#{}", self.url, super::document::encode_fragment(&self.ptr))
    }

    /// Every property is looked at, so none is left over for `unevaluatedProperties`.
    pub fn evaluates_all_properties(&self) -> bool {
        self.additional_properties.is_some()
    }

    /// Every item is looked at, so none is left over for `unevaluatedItems`.
    pub fn evaluates_all_items(&self) -> bool {
        if self.draft < Draft::D2020 {
            self.additional_items.is_some() || matches!(self.items, Some(Items::All(_)))
        } else {
            self.items_2020.is_some()
        }
    }

    /// How many items from the front are looked at.
    pub fn evaluated_items(&self) -> usize {
        match (&self.items, self.draft < Draft::D2020) {
            (Some(Items::Each(each)), true) => each.len(),
            (_, false) => self.prefix_items.len(),
            _ => 0,
        }
    }
}
