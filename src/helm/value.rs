//! Go's values, as templates see them: byte strings, `int` beside `int64`, shared maps that change in place.
//!
//! A [`Value`] is what Go's `reflect.Value` of an `interface{}` holds. Scalars and strings are cheap to clone, lists are
//! immutable slices, and a map is a handle: clones of it see each other's changes, as in Go. A render is single
//! threaded, so handles are `Rc`; what compiled programs keep between renders is [`Const`].

mod constant;
mod equal;
mod json;
mod list;
mod map;
mod number;
mod object;
mod print;
pub mod quote;
mod release;
mod text;
mod yaml;

use std::borrow::Cow;
use std::rc::Rc;

pub use constant::Const;
pub use json::MAX_JSON_NODES;
pub use list::{List, ListType};
pub use map::{Map, MapType};
pub use number::{FloatFormat, format_float, format_g, parse_float, parse_int, parse_uint};
pub use object::{Member, Method, Object};
pub use print::{MAX_DEPTH, MAX_TEXT};
pub use release::Cycles;
pub use text::Str;

/// A Go value. `Nil` is the untyped nil; a nil slice or map of a known type is a [`List`] or [`Map`] that is nil.
#[derive(Clone, Default)]
pub enum Value {
    #[default]
    Nil,
    Bool(bool),
    /// Go's `int`, 64 bits wide.
    Int(i64),
    Int64(i64),
    /// What indexing a string or a `[]byte` yields.
    Uint8(u8),
    Uint64(u64),
    Float(f64),
    /// Only literals such as `1i` make one.
    Complex(f64, f64),
    Str(Str),
    /// `[]byte`, which prints as a list of numbers and becomes base64 in JSON.
    Bytes(Str),
    List(List),
    Map(Map),
    Obj(Rc<dyn Object>),
}

/// `reflect.Kind`, for the kinds that templates can meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Invalid,
    Bool,
    Int,
    Int64,
    Uint8,
    Uint64,
    Float64,
    Complex128,
    String,
    Slice,
    Map,
    Struct,
    Ptr,
    Func,
}

impl Kind {
    /// Go's name of the kind, as sprig's `kindOf` prints it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Int64 => "int64",
            Self::Uint8 => "uint8",
            Self::Uint64 => "uint64",
            Self::Float64 => "float64",
            Self::Complex128 => "complex128",
            Self::String => "string",
            Self::Slice => "slice",
            Self::Map => "map",
            Self::Struct => "struct",
            Self::Ptr => "ptr",
            Self::Func => "func",
        }
    }
}

impl Value {
    /// Makes a string value.
    pub fn str(text: impl Into<Str>) -> Self {
        Self::Str(text.into())
    }

    /// Makes an `[]interface {}`.
    pub fn list(items: impl Into<Rc<[Value]>>) -> Self {
        Self::List(List::new(ListType::Any, items))
    }

    /// Makes a `[]string`.
    pub fn strings<S: Into<Str>>(items: impl IntoIterator<Item = S>) -> Self {
        Self::List(List::strings(items.into_iter().map(|s| Self::Str(s.into())).collect()))
    }

    /// Makes a `map[string]interface {}` of the pairs; of equal keys the last wins.
    pub fn map<K: Into<Str>>(pairs: impl IntoIterator<Item = (K, Value)>) -> Self {
        Self::Map(Map::from_pairs(MapType::Any, pairs.into_iter().map(|(k, v)| (k.into(), v))))
    }

    pub fn kind(&self) -> Kind {
        match self {
            Self::Nil => Kind::Invalid,
            Self::Bool(_) => Kind::Bool,
            Self::Int(_) => Kind::Int,
            Self::Int64(_) => Kind::Int64,
            Self::Uint8(_) => Kind::Uint8,
            Self::Uint64(_) => Kind::Uint64,
            Self::Float(_) => Kind::Float64,
            Self::Complex(..) => Kind::Complex128,
            Self::Str(_) => Kind::String,
            Self::Bytes(_) | Self::List(_) => Kind::Slice,
            Self::Map(_) => Kind::Map,
            Self::Obj(object) => object.kind(),
        }
    }

    /// Returns the type as `%T` prints it, `<nil>` for an untyped nil.
    pub fn type_name(&self) -> Cow<'_, str> {
        Cow::Borrowed(match self {
            Self::Nil => "<nil>",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Int64(_) => "int64",
            Self::Uint8(_) => "uint8",
            Self::Uint64(_) => "uint64",
            Self::Float(_) => "float64",
            Self::Complex(..) => "complex128",
            Self::Str(_) => "string",
            Self::Bytes(_) => "[]uint8",
            Self::List(list) => list.list_type().name(),
            Self::Map(map) => map.map_type().name(),
            Self::Obj(object) => return Cow::Borrowed(object.type_name()),
        })
    }

    /// Go templates' truth: not the zero of its type, not empty; a struct is always true.
    pub fn truth(&self) -> bool {
        match self {
            Self::Nil => false,
            Self::Bool(b) => *b,
            Self::Int(i) | Self::Int64(i) => *i != 0,
            Self::Uint8(u) => *u != 0,
            Self::Uint64(u) => *u != 0,
            Self::Float(f) => *f != 0.0,
            Self::Complex(re, im) => *re != 0.0 || *im != 0.0,
            Self::Str(s) | Self::Bytes(s) => !s.is_empty(),
            Self::List(list) => !list.is_empty(),
            Self::Map(map) => !map.is_empty(),
            Self::Obj(object) => match object.underlying() {
                Some(value) => value.truth(),
                None => !object.is_nil(),
            },
        }
    }

    pub fn is_nil(&self) -> bool {
        matches!(self, Self::Nil)
    }

    /// Returns the bytes of a string, `None` for any other type.
    pub fn as_str(&self) -> Option<&Str> {
        match self {
            Self::Str(s) => Some(s),
            _ => None,
        }
    }

    pub fn as_map(&self) -> Option<&Map> {
        match self {
            Self::Map(map) => Some(map),
            _ => None,
        }
    }

    pub fn as_list(&self) -> Option<&List> {
        match self {
            Self::List(list) => Some(list),
            _ => None,
        }
    }

    /// Views an object of type `T`, for functions that take one of Go's own types (`time.Time`, `*semver.Version`, ...).
    pub fn downcast<T: Object>(&self) -> Option<&T> {
        match self {
            Self::Obj(object) => (object.as_ref() as &dyn std::any::Any).downcast_ref::<T>(),
            _ => None,
        }
    }

    /// Makes an object value.
    pub fn object(object: impl Object) -> Self {
        Self::Obj(Rc::new(object))
    }
}

impl From<bool> for Value {
    fn from(b: bool) -> Self {
        Self::Bool(b)
    }
}

impl From<Str> for Value {
    fn from(s: Str) -> Self {
        Self::Str(s)
    }
}

impl From<&str> for Value {
    fn from(s: &str) -> Self {
        Self::Str(s.into())
    }
}

impl From<String> for Value {
    fn from(s: String) -> Self {
        Self::Str(s.into())
    }
}

impl From<Vec<u8>> for Value {
    fn from(s: Vec<u8>) -> Self {
        Self::Str(s.into())
    }
}

impl From<Map> for Value {
    fn from(map: Map) -> Self {
        Self::Map(map)
    }
}

impl From<List> for Value {
    fn from(list: List) -> Self {
        Self::List(list)
    }
}

impl std::fmt::Debug for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut out = Vec::new();
        let text = self.print(&mut out).map_or_else(|e| e.to_string(), |()| String::from_utf8_lossy(&out).into_owned());
        write!(f, "{}({text})", self.type_name())
    }
}
