//! Data in Go's own syntax, as `%#v` prints it: go-yaml puts keys into its errors that way.

use std::cmp::Ordering;
use std::fmt;

use super::Dialect;
use super::error::Error;
use super::leaf::{is_merge, typed};
use super::parser::{Node, Shape};
use super::resolve::Scalar;
use crate::json::float_text_general;
use crate::value::quote::quoted;

/// A node as go-yaml v2 decodes it into an untyped place.
#[derive(Debug, PartialEq)]
pub(super) enum GoValue {
    Nil,
    Bool(bool),
    Float(f64),
    Int(i64),
    Str(Vec<u8>),
    Uint(u64),
    List(Vec<GoValue>),
    Map(Vec<(GoValue, GoValue)>),
}

impl GoValue {
    /// Reads a node that decodes without an error.
    pub(super) fn of(nodes: &[Node<'_>], at: usize) -> GoValue {
        let node = &nodes[at];
        match node.shape {
            Shape::Alias(target) => GoValue::of(nodes, target),
            Shape::Sequence => GoValue::List(children(nodes, at).map(|child| GoValue::of(nodes, child)).collect()),
            Shape::Mapping => {
                let mut pairs = Vec::new();
                collect_pairs(nodes, at, &mut pairs);
                // Of equal keys the last one counts.
                pairs.sort_by(|(a, _), (b, _)| a.order(b));
                pairs.reverse();
                pairs.dedup_by(|(later, _), (earlier, _)| later == earlier);
                pairs.reverse();
                GoValue::Map(pairs)
            }
            Shape::Scalar(_) => match typed(node, Dialect::V2) {
                Ok((Scalar::Null, _)) | Err(_) => GoValue::Nil,
                Ok((Scalar::Bool(b), _)) => GoValue::Bool(b),
                Ok((Scalar::Int(n), _)) => GoValue::Int(n),
                Ok((Scalar::Uint(n), _)) => GoValue::Uint(n),
                Ok((Scalar::Float(n), _)) => GoValue::Float(n),
                Ok((Scalar::Timestamp | Scalar::Str, text)) => GoValue::Str(text.into_owned()),
            },
        }
    }

    /// The first key that JSON cannot hold.
    pub(super) fn bad_key(&self) -> Option<Error> {
        match self {
            GoValue::List(items) => items.iter().find_map(GoValue::bad_key),
            GoValue::Map(pairs) => pairs.iter().find_map(|(key, value)| match key {
                GoValue::Nil | GoValue::Uint(_) => {
                    Some(Error::Key { kind: key.kind(), key: key.to_string(), value: value.to_string() })
                }
                _ => value.bad_key(),
            }),
            _ => None,
        }
    }

    /// The order of types when Go prints keys of several; it is the one that Go's linker happens to lay them out in.
    fn rank(&self) -> u8 {
        match self {
            GoValue::Nil => 0,
            GoValue::Str(_) => 1,
            GoValue::Uint(_) => 2,
            GoValue::Int(_) => 3,
            GoValue::Float(_) => 4,
            GoValue::Bool(_) => 5,
            GoValue::List(_) | GoValue::Map(_) => 6,
        }
    }

    fn order(&self, other: &GoValue) -> Ordering {
        match (self, other) {
            (GoValue::Bool(a), GoValue::Bool(b)) => a.cmp(b),
            (GoValue::Float(a), GoValue::Float(b)) => a.partial_cmp(b).unwrap_or(Ordering::Equal),
            (GoValue::Int(a), GoValue::Int(b)) => a.cmp(b),
            (GoValue::Str(a), GoValue::Str(b)) => a.cmp(b),
            (GoValue::Uint(a), GoValue::Uint(b)) => a.cmp(b),
            _ => self.rank().cmp(&other.rank()),
        }
    }

    /// Go's name of the type.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            GoValue::Nil => "%!s(<nil>)",
            GoValue::Bool(_) => "bool",
            GoValue::Float(_) => "float64",
            GoValue::Int(_) => "int",
            GoValue::Str(_) => "string",
            GoValue::Uint(_) => "uint64",
            GoValue::List(_) => "[]interface {}",
            GoValue::Map(_) => "map[interface {}]interface {}",
        }
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, nested: bool) -> fmt::Result {
        match self {
            GoValue::Nil if nested => f.write_str("interface {}(nil)"),
            GoValue::Nil => f.write_str("<nil>"),
            GoValue::Bool(b) => write!(f, "{b}"),
            GoValue::Float(n) => f.write_str(&float_text_general(*n)),
            GoValue::Int(n) => write!(f, "{n}"),
            GoValue::Uint(n) => write!(f, "{n:#x}"),
            GoValue::Str(text) => f.write_str(&quoted(text)),
            GoValue::List(items) => {
                f.write_str("[]interface {}{")?;
                for (i, item) in items.iter().enumerate() {
                    f.write_str(if i > 0 { ", " } else { "" })?;
                    item.write(f, true)?;
                }
                f.write_str("}")
            }
            GoValue::Map(pairs) => {
                f.write_str("map[interface {}]interface {}{")?;
                for (i, (key, value)) in pairs.iter().enumerate() {
                    f.write_str(if i > 0 { ", " } else { "" })?;
                    key.write(f, true)?;
                    f.write_str(":")?;
                    value.write(f, true)?;
                }
                f.write_str("}")
            }
        }
    }
}

impl fmt::Display for GoValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, false)
    }
}

/// The nodes that the node at `at` holds.
fn children<'n>(nodes: &'n [Node<'_>], at: usize) -> impl Iterator<Item = usize> + 'n {
    let inside = move |child: usize| (child < nodes[at].end).then_some(child);
    std::iter::successors(inside(at + 1), move |&child| inside(nodes[child].end))
}

/// Collects a mapping's pairs in the order in which they are set, those that it merges in included.
fn collect_pairs(nodes: &[Node<'_>], at: usize, pairs: &mut Vec<(GoValue, GoValue)>) {
    let mut items = children(nodes, at);
    while let (Some(key), Some(value)) = (items.next(), items.next()) {
        if !is_merge(&nodes[key]) {
            pairs.push((GoValue::of(nodes, key), GoValue::of(nodes, value)));
            continue;
        }
        let merged = match nodes[value].shape {
            Shape::Sequence => children(nodes, value).collect(),
            _ => vec![value],
        };
        for item in merged.into_iter().rev() {
            match nodes[item].shape {
                Shape::Alias(target) => collect_pairs(nodes, target, pairs),
                _ => collect_pairs(nodes, item, pairs),
            }
        }
    }
}
