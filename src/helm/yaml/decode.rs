//! From nodes to data as sigs.k8s.io/yaml gives it: go-yaml v2's decoding, then the conversion to JSON.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde_json::{Map, Number, Value};

use super::Dialect;
use super::budget::Budget;
use super::error::Error;
use super::go_syntax::GoValue;
use super::leaf::{MERGE_PROBLEM, first_odd_number, is_merge, number, odd_number, typed};
use super::parser::{Node, Shape, Tree};
use super::resolve::Scalar;
use super::scanner::Result;
use crate::json::{float_text_32, replace_invalid};

/// What a caller wants beyond the data.
#[derive(Clone, Copy, Default)]
pub(super) struct Rules {
    /// Keys that occur twice in a mapping are refused.
    pub strict: bool,
    /// Floats stay floats where they are whole.
    pub floats: bool,
}

/// Decodes a document.
pub(super) fn decode(tree: &Tree<'_>, rules: Rules) -> Result<Value> {
    let Rules { strict, floats } = rules;
    let mut decoder = Decoder {
        nodes: &tree.nodes,
        strict,
        floats,
        problems: Vec::new(),
        budget: Budget::default(),
        bad_key: false,
        odd_numbers: false,
    };
    decoder.budget.step()?;
    let value = decoder.value(0)?;
    if !decoder.problems.is_empty() {
        return Err(Error::Nodes(decoder.problems));
    }
    if decoder.bad_key
        && let Some(error) = GoValue::of(&tree.nodes, 0).bad_key()
    {
        return Err(error);
    }
    match decoder.odd_numbers.then(|| first_odd_number(&value)).flatten() {
        Some(name) => Err(Error::Number(name)),
        None => Ok(value),
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
    floats: bool,
    problems: Vec<String>,
    budget: Budget,
    /// Whether there was a key that JSON cannot hold; a later value for the outer key may have taken it away.
    bad_key: bool,
    odd_numbers: bool,
}

/// A mapping in the making; `seen` holds the keys in strict mode.
#[derive(Default)]
struct Target {
    map: Map<String, Value>,
    seen: BTreeSet<KeyId>,
}

impl Decoder<'_, '_> {
    fn value(&mut self, at: usize) -> Result<Value> {
        self.budget.step()?;
        match self.nodes[at].shape {
            Shape::Scalar(_) => self.scalar(at),
            Shape::Alias(target) => self.aliased(at, |decoder| decoder.value(target)),
            Shape::Sequence => {
                self.budget.enter()?;
                let mut items = Vec::new();
                let end = self.nodes[at].end;
                let mut item = at + 1;
                while item < end {
                    items.push(self.value(item)?);
                    item = self.nodes[item].end;
                }
                self.budget.leave();
                Ok(Value::Array(items))
            }
            Shape::Mapping => {
                let mut target = Target::default();
                self.mapping(at, &mut target)?;
                Ok(Value::Object(target.map))
            }
        }
    }

    /// Decodes what an alias stands for.
    fn aliased<T>(&mut self, at: usize, decode: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.budget.open_alias(self.nodes, at)?;
        let decoded = decode(self)?;
        self.budget.close_alias();
        Ok(decoded)
    }

    fn mapping(&mut self, at: usize, target: &mut Target) -> Result<()> {
        self.budget.enter()?;
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
        self.budget.leave();
        Ok(())
    }

    fn pair(&mut self, key: usize, value: usize, target: &mut Target) -> Result<()> {
        let (name, id) = self.key(key)?;
        let decoded = self.value(value)?;
        if let Some(id) = id
            && !target.seen.insert(id)
        {
            let line = self.nodes[value].line + 1;
            let key = GoValue::of(self.nodes, key);
            self.problems.push(format!("line {line}: key {key} already set in map"));
        } else if let Some(name) = name {
            target.map.insert(name, decoded);
        } else {
            self.bad_key = true;
        }
        Ok(())
    }

    /// A key's text, none if JSON cannot hold it, and in strict mode what tells it from others.
    fn key(&mut self, at: usize) -> Result<(Option<String>, Option<KeyId>)> {
        match self.nodes[at].shape {
            Shape::Scalar(_) => {
                self.budget.step()?;
                let (scalar, bytes) = typed(&self.nodes[at], Dialect::V2)?;
                self.budget.text(bytes.len())?;
                let (text, id) = key_text(scalar, bytes);
                Ok((text, id.filter(|_| self.strict)))
            }
            Shape::Alias(target) => {
                self.budget.step()?;
                self.aliased(at, |decoder| decoder.key(target))
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
                self.budget.step()?;
                self.mapping(at, target)
            }
            Shape::Alias(aliased) if self.nodes[aliased].shape == Shape::Mapping => {
                self.budget.step()?;
                self.aliased(at, |decoder| {
                    decoder.budget.step()?;
                    decoder.mapping(aliased, target)
                })
            }
            _ => Err(Error::unplaced(MERGE_PROBLEM)),
        }
    }

    fn scalar(&mut self, at: usize) -> Result<Value> {
        let (scalar, bytes) = typed(&self.nodes[at], Dialect::V2)?;
        Ok(match scalar {
            Scalar::Null => Value::Null,
            Scalar::Bool(b) => Value::Bool(b),
            Scalar::Int(n) => Value::Number(n.into()),
            Scalar::Uint(n) => Value::Number(n.into()),
            Scalar::Float(n) if self.floats && n.is_finite() => Number::from_f64(n).map_or(Value::Null, Value::Number),
            Scalar::Float(n) => number(n).unwrap_or_else(|| {
                self.odd_numbers = true;
                odd_number(n)
            }),
            Scalar::Timestamp | Scalar::Str => {
                self.budget.text(bytes.len())?;
                Value::String(replace_invalid(bytes.into_owned()))
            }
        })
    }
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
