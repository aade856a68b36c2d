//! From nodes to data as sigs.k8s.io/yaml gives it: go-yaml v2's decoding, then the conversion to JSON.

use std::borrow::Cow;
use std::collections::BTreeSet;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};
use serde_json::{Map, Number, Value};

use super::error::Error;
use super::go_syntax::GoValue;
use super::parser::{Node, Shape, Tree};
use super::resolve::{Scalar, resolve, resolve_as};
use super::scanner::Result;
use super::{Dialect, MAX_DEPTH};
use crate::json::{float_text_32, replace_invalid};

/// How many bytes of text a document may gain by aliases; go-yaml counts nodes only.
pub const MAX_ALIASED_BYTES: usize = 64 << 20;

/// Below so many steps nearly all of them may come from aliases.
const ALIAS_RATIO_LOW: usize = 400_000;
/// From so many steps on a tenth of them may come from aliases.
const ALIAS_RATIO_HIGH: usize = 4_000_000;

const BINARY_TAG: &str = "tag:yaml.org,2002:binary";
const MERGE_TAG: &str = "tag:yaml.org,2002:merge";
const MERGE_PROBLEM: &str = "map merge requires map or sequence of maps as the value";

/// What stands for a number that JSON cannot hold until its place in the order of keys is known.
const NOT_A_NUMBER: [&str; 3] = ["\0NaN", "\0+Inf", "\0-Inf"];

/// Decodes a document.
pub(super) fn decode(tree: &Tree<'_>, strict: bool) -> Result<Value> {
    let mut decoder = Decoder {
        nodes: &tree.nodes,
        strict,
        problems: Vec::new(),
        steps: 1,
        aliased_steps: 0,
        aliased_bytes: 0,
        alias_depth: 0,
        depth: 0,
        open_aliases: Vec::new(),
        bad_key: None,
        odd_numbers: false,
    };
    let value = decoder.value(0)?;
    if !decoder.problems.is_empty() {
        return Err(Error::Nodes(decoder.problems));
    }
    if let Some(error) = decoder.bad_key {
        return Err(error);
    }
    match decoder.odd_numbers.then(|| first_odd_number(&value)).flatten() {
        Some(name) => Err(Error::Number(name)),
        None => Ok(value),
    }
}

/// The first number in JSON's order that JSON cannot hold.
fn first_odd_number(value: &Value) -> Option<&'static str> {
    match value {
        Value::String(s) => NOT_A_NUMBER.into_iter().find(|name| name == s).map(|name| &name[1..]),
        Value::Array(items) => items.iter().find_map(first_odd_number),
        Value::Object(map) => map.values().find_map(first_odd_number),
        _ => None,
    }
}

/// A key as Go compares it: by type and value.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum KeyId {
    Nil,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Float(u64),
    Str(Vec<u8>),
}

struct Decoder<'t, 'a> {
    nodes: &'t [Node<'a>],
    strict: bool,
    problems: Vec<String>,
    steps: usize,
    aliased_steps: usize,
    aliased_bytes: usize,
    alias_depth: usize,
    depth: usize,
    open_aliases: Vec<usize>,
    /// The first key that JSON cannot hold.
    bad_key: Option<Error>,
    odd_numbers: bool,
}

/// A mapping in the making; `seen` holds the keys in strict mode.
#[derive(Default)]
struct Target {
    map: Map<String, Value>,
    seen: BTreeSet<KeyId>,
}

impl Decoder<'_, '_> {
    /// Counts a step and refuses documents that are mostly aliases.
    fn step(&mut self) -> Result<()> {
        self.steps += 1;
        if self.alias_depth > 0 {
            self.aliased_steps += 1;
            let (steps, aliased) = (self.steps as f64, self.aliased_steps as f64);
            if self.aliased_steps > 100 && self.steps > 1000 && aliased / steps > allowed_alias_ratio(self.steps) {
                return Err(Error::unplaced("document contains excessive aliasing"));
            }
        }
        Ok(())
    }

    fn value(&mut self, at: usize) -> Result<Value> {
        self.step()?;
        match self.nodes[at].shape {
            Shape::Scalar(_) => self.scalar(at),
            Shape::Alias(target) => self.aliased(at, target, |decoder| decoder.value(target)),
            Shape::Sequence => {
                self.deeper()?;
                let mut items = Vec::new();
                let end = self.nodes[at].end;
                let mut item = at + 1;
                while item < end {
                    items.push(self.value(item)?);
                    item = self.nodes[item].end;
                }
                self.depth -= 1;
                Ok(Value::Array(items))
            }
            Shape::Mapping => {
                let mut target = Target::default();
                self.mapping(at, &mut target)?;
                Ok(Value::Object(target.map))
            }
        }
    }

    fn deeper(&mut self) -> Result<()> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(Error::unplaced(format!("exceeded max depth of {MAX_DEPTH}")));
        }
        Ok(())
    }

    /// Decodes what an alias stands for.
    fn aliased<T>(&mut self, at: usize, target: usize, decode: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.open_aliases.contains(&at) {
            let name = String::from_utf8_lossy(&self.nodes[at].text);
            return Err(Error::unplaced(format!("anchor '{name}' value contains itself")));
        }
        self.aliased_bytes += self.nodes[target].text.len();
        if self.aliased_bytes > MAX_ALIASED_BYTES {
            return Err(Error::unplaced("document contains excessive aliasing"));
        }
        self.open_aliases.push(at);
        self.alias_depth += 1;
        let decoded = decode(self)?;
        self.alias_depth -= 1;
        self.open_aliases.pop();
        Ok(decoded)
    }

    fn mapping(&mut self, at: usize, target: &mut Target) -> Result<()> {
        self.deeper()?;
        let end = self.nodes[at].end;
        let mut key = at + 1;
        while key < end {
            let value = self.nodes[key].end;
            if is_merge(&self.nodes[key]) {
                self.merge(value, target)?;
            } else {
                self.pair(key, value, target)?;
            }
            key = self.nodes[value].end;
        }
        self.depth -= 1;
        Ok(())
    }

    fn pair(&mut self, key: usize, value: usize, target: &mut Target) -> Result<()> {
        let (name, id) = self.key(key)?;
        let earlier_bad_key = self.bad_key.is_some();
        let decoded = self.value(value)?;
        if let Some(id) = id
            && !target.seen.insert(id)
        {
            let line = self.nodes[value].line + 1;
            let key = GoValue::of(self.nodes, key);
            self.problems.push(format!("line {line}: key {key} already set in map"));
        } else if let Some(name) = name {
            target.map.insert(name, decoded);
        } else if !earlier_bad_key {
            // The outer key is the one that Go meets first.
            let key = GoValue::of(self.nodes, key);
            let value = GoValue::of(self.nodes, value);
            self.bad_key = Some(Error::Key { kind: key.kind(), key: key.to_string(), value: value.to_string() });
        }
        Ok(())
    }

    /// A key's text, none if JSON cannot hold it, and in strict mode what tells it from others.
    fn key(&mut self, at: usize) -> Result<(Option<String>, Option<KeyId>)> {
        match self.nodes[at].shape {
            Shape::Scalar(_) => {
                self.step()?;
                let (scalar, bytes) = typed(&self.nodes[at])?;
                let (text, id) = key_text(scalar, bytes);
                Ok((text, id.filter(|_| self.strict)))
            }
            Shape::Alias(target) => {
                self.step()?;
                self.aliased(at, target, |decoder| decoder.key(target))
            }
            Shape::Sequence | Shape::Mapping => {
                // What is wrong within the key comes first.
                self.value(at)?;
                let key = GoValue::of(self.nodes, at);
                Err(Error::unplaced(format!("invalid map key: {key}")))
            }
        }
    }

    fn merge(&mut self, at: usize, target: &mut Target) -> Result<()> {
        match self.nodes[at].shape {
            Shape::Mapping | Shape::Alias(_) => self.merge_one(at, target),
            Shape::Sequence => {
                let end = self.nodes[at].end;
                let mut items = Vec::new();
                let mut item = at + 1;
                while item < end {
                    items.push(item);
                    item = self.nodes[item].end;
                }
                items.into_iter().rev().try_for_each(|item| self.merge_one(item, target))
            }
            Shape::Scalar(_) => Err(Error::unplaced(MERGE_PROBLEM)),
        }
    }

    fn merge_one(&mut self, at: usize, target: &mut Target) -> Result<()> {
        match self.nodes[at].shape {
            Shape::Mapping => {
                self.step()?;
                self.mapping(at, target)
            }
            Shape::Alias(aliased) if self.nodes[aliased].shape == Shape::Mapping => {
                self.step()?;
                self.aliased(at, aliased, |decoder| {
                    decoder.step()?;
                    decoder.mapping(aliased, target)
                })
            }
            _ => Err(Error::unplaced(MERGE_PROBLEM)),
        }
    }

    fn scalar(&mut self, at: usize) -> Result<Value> {
        let (scalar, bytes) = typed(&self.nodes[at])?;
        Ok(match scalar {
            Scalar::Null => Value::Null,
            Scalar::Bool(b) => Value::Bool(b),
            Scalar::Int(n) => Value::Number(n.into()),
            Scalar::Uint(n) => Value::Number(n.into()),
            Scalar::Float(n) => number(n).unwrap_or_else(|| {
                self.odd_numbers = true;
                let name = if n.is_nan() { 0 } else { 1 + usize::from(n < 0.0) };
                Value::String(NOT_A_NUMBER[name].into())
            }),
            Scalar::Timestamp | Scalar::Str => {
                if self.alias_depth > 0 {
                    self.aliased_bytes += bytes.len();
                    if self.aliased_bytes > MAX_ALIASED_BYTES {
                        return Err(Error::unplaced("document contains excessive aliasing"));
                    }
                }
                Value::String(replace_invalid(bytes.into_owned()))
            }
        })
    }
}

/// A scalar's type by tag and text, and its text.
pub(super) fn typed<'n>(node: &'n Node<'_>) -> Result<(Scalar, Cow<'n, [u8]>)> {
    let text = Cow::Borrowed(&*node.text);
    let Some(tag) = node.tag.as_deref() else {
        let scalar = if node.plain { resolve(&text, Dialect::V2) } else { Scalar::Str };
        return Ok((scalar, text));
    };
    let wanted = match tag.strip_prefix("tag:yaml.org,2002:") {
        Some("str") => return Ok((Scalar::Str, text)),
        Some(wanted @ ("bool" | "int" | "float" | "null" | "timestamp")) => wanted,
        _ if tag == BINARY_TAG => return decode_base64(&text).map(|bytes| (Scalar::Str, bytes.into())),
        _ => return Ok((Scalar::Str, text)),
    };
    let scalar = resolve_as(&text, Dialect::V2, wanted == "timestamp");
    match scalar {
        Scalar::Int(n) if wanted == "float" => Ok((Scalar::Float(n as f64), text)),
        _ if scalar.tag()[2..] == *wanted => Ok((scalar, text)),
        _ => {
            let shown = String::from_utf8_lossy(&text);
            Err(Error::unplaced(format!("cannot decode {} `{shown}` as a !!{wanted}", scalar.tag())))
        }
    }
}

/// Go's base64, which skips line breaks and does not look at the bits behind the last byte.
fn decode_base64(text: &[u8]) -> Result<Vec<u8>> {
    const ENGINE: GeneralPurpose =
        GeneralPurpose::new(&STANDARD, GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true));
    let text: Vec<u8> = text.iter().copied().filter(|b| !matches!(b, b'\r' | b'\n')).collect();
    ENGINE.decode(text).map_err(|_| Error::unplaced("!!binary value contains invalid base64 data"))
}

/// How a key is written in JSON, none where it cannot be, and its identity, none where it equals nothing.
fn key_text(scalar: Scalar, bytes: Cow<'_, [u8]>) -> (Option<String>, Option<KeyId>) {
    match scalar {
        Scalar::Null => (None, Some(KeyId::Nil)),
        Scalar::Uint(n) => (None, Some(KeyId::Uint(n))),
        Scalar::Bool(b) => (Some(b.to_string()), Some(KeyId::Bool(b))),
        Scalar::Int(n) => (Some(n.to_string()), Some(KeyId::Int(n))),
        Scalar::Float(n) => {
            // -0 equals 0, and what is not a number equals nothing.
            let id = (!n.is_nan()).then(|| KeyId::Float((n + 0.0).to_bits()));
            let text = match float_text_32(n).as_str() {
                "+Inf" => ".inf".into(),
                "-Inf" => "-.inf".into(),
                "NaN" => ".nan".into(),
                text => text.into(),
            };
            (Some(text), id)
        }
        Scalar::Timestamp | Scalar::Str => {
            let bytes = bytes.into_owned();
            (Some(replace_invalid(bytes.clone())), Some(KeyId::Str(bytes)))
        }
    }
}

/// A float as JSON's text gives it back: whole numbers become integers where they fit.
fn number(n: f64) -> Option<Value> {
    if n == n.trunc() && n.abs() < 1e21 && !(n == 0.0 && n.is_sign_negative()) {
        let text = crate::json::float_text(n);
        if let Ok(whole) = text.parse::<i64>() {
            return Some(whole.into());
        }
        if let Ok(whole) = text.parse::<u64>() {
            return Some(whole.into());
        }
    }
    Number::from_f64(n).map(Value::Number)
}

fn is_merge(node: &Node<'_>) -> bool {
    matches!(node.shape, Shape::Scalar(_))
        && &*node.text == b"<<"
        && (node.plain || node.tag.as_deref() == Some(MERGE_TAG))
}

fn allowed_alias_ratio(steps: usize) -> f64 {
    match steps {
        ..=ALIAS_RATIO_LOW => 0.99,
        ALIAS_RATIO_HIGH.. => 0.10,
        _ => 0.99 - 0.89 * ((steps - ALIAS_RATIO_LOW) as f64 / (ALIAS_RATIO_HIGH - ALIAS_RATIO_LOW) as f64),
    }
}
