//! Data in Go's own syntax, as `%#v` prints it: go-yaml puts keys into its errors that way.

use std::cmp::Ordering;
use std::fmt;

use super::decode::typed;
use super::parser::{Node, Shape};
use super::resolve::Scalar;
use crate::json::float_text_general;
use crate::quote::quote;

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
        let inside = |child: usize| (child < node.end).then_some(child);
        let children = || std::iter::successors(inside(at + 1), |&child| inside(nodes[child].end));
        match node.shape {
            Shape::Alias(target) => GoValue::of(nodes, target),
            Shape::Sequence => GoValue::List(children().map(|child| GoValue::of(nodes, child)).collect()),
            Shape::Mapping => {
                let mut pairs: Vec<(GoValue, GoValue)> = Vec::new();
                let mut items = children();
                while let (Some(key), Some(value)) = (items.next(), items.next()) {
                    let key = GoValue::of(nodes, key);
                    pairs.retain(|(k, _)| *k != key);
                    pairs.push((key, GoValue::of(nodes, value)));
                }
                pairs.sort_by(|(a, _), (b, _)| a.order(b));
                GoValue::Map(pairs)
            }
            Shape::Scalar(_) => match typed(node) {
                Ok((Scalar::Null, _)) | Err(_) => GoValue::Nil,
                Ok((Scalar::Bool(b), _)) => GoValue::Bool(b),
                Ok((Scalar::Int(n), _)) => GoValue::Int(n),
                Ok((Scalar::Uint(n), _)) => GoValue::Uint(n),
                Ok((Scalar::Float(n), _)) => GoValue::Float(n),
                Ok((Scalar::Timestamp | Scalar::Str, text)) => GoValue::Str(text.into_owned()),
            },
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
            GoValue::Str(text) => f.write_str(&quote(&String::from_utf8_lossy(text))),
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
