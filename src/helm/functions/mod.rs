//! The functions of templates: sprig's and Helm's, one file a family.
//!
//! A function says its Go parameter types, and the executor checks and converts arguments as Go's text/template does
//! before it calls. So a function body only meets what Go would pass: a `String` parameter is a [`Value::Str`], a nil for
//! a map parameter is a map that is nil, and [`Type::Any`] may be anything.

mod addresses;
mod arguments;
mod cases;
mod cast;
mod certificate_reading;
mod certificates;
mod ciphers;
mod clock;
mod dates;
mod decimals;
mod defaults;
mod der;
mod dicts;
mod dsa;
pub mod durations;
mod encodings;
mod hashes;
mod json;
mod json_writing;
mod keys;
mod layout_parsing;
mod layouts;
mod lists;
mod merge;
mod network;
mod numbers;
mod passwords;
mod paths;
mod pem;
mod random;
pub mod re2;
mod reflection;
mod regexes;
pub mod strconv;
mod strings;
mod times;
mod toml;
pub(crate) mod urls;
mod versions;
mod wrapping;
mod yaml;

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::LazyLock;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::template::ExecError;
use crate::value::{ListType, MapType, Value};

/// A Go parameter type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// `interface {}`
    Any,
    Bool,
    Int,
    Int64,
    Uint32,
    Float64,
    String,
    /// `[]uint8`
    Bytes,
    List(ListType),
    Map(MapType),
    /// One of Go's own types, held as a [`Value::Obj`] with this type name.
    Object(&'static str),
}

impl Type {
    /// Returns the type as `reflect.Type` prints it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Any => "interface {}",
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Int64 => "int64",
            Self::Uint32 => "uint32",
            Self::Float64 => "float64",
            Self::String => "string",
            Self::Bytes => "[]uint8",
            Self::List(list) => list.name(),
            Self::Map(map) => map.name(),
            Self::Object(name) => name,
        }
    }
}

/// A function that templates can call by name.
pub struct Function {
    pub name: &'static str,
    /// The fixed parameters.
    pub params: &'static [Type],
    /// The element type of a last `...` parameter.
    pub variadic: Option<Type>,
    pub call: Body,
}

/// A function's body; the executor has checked the arguments.
type Body = fn(&mut Call<'_>, &[Value]) -> Result<Value, Failure>;

impl Function {
    /// Describes a function of fixed parameters.
    pub const fn new(name: &'static str, params: &'static [Type], call: Body) -> Self {
        Self { name, params, variadic: None, call }
    }

    /// Describes a function that takes any number of `rest` after its fixed parameters.
    pub const fn variadic(name: &'static str, params: &'static [Type], rest: Type, call: Body) -> Self {
        Self { name, params, variadic: Some(rest), call }
    }
}

/// What a function may use beside its arguments.
pub struct Call<'a> {
    pub env: &'a Env<'a>,
}

/// How many private keys, bcrypt hashes and derived passwords one render makes at most. Each takes up to a second.
pub const MAX_KEYS: u32 = 200;

impl Call<'_> {
    /// Counts a key or slow hash that is about to be made.
    fn count_key(&self) -> Result<(), Failure> {
        let made = self.env.keys_made.get();
        if made == MAX_KEYS {
            return Err(Failure::limit(format!("one render makes at most {MAX_KEYS} keys and password hashes")));
        }
        self.env.keys_made.set(made + 1);
        Ok(())
    }
}

/// Everything outside the chart that a render depends on.
pub struct Env<'a> {
    /// The time that `now` and certificates see.
    pub now: Timestamp,
    /// Go's local time zone, in which `date` prints.
    pub time_zone: TimeZone,
    pub random: &'a dyn Random,
    /// How many keys and slow hashes the render has made; a new render starts at 0, see [`MAX_KEYS`].
    pub keys_made: Cell<u32>,
    /// The cluster that `lookup` asks; `None` finds nothing, as `helm template` does.
    pub lookup: Option<&'a dyn Lookup>,
    /// What `getHostByName` asks; `None` answers with an empty string, as Helm does without `--enable-dns`.
    pub dns: Option<&'a dyn Resolve>,
}

impl<'a> Env<'a> {
    /// Returns an environment at a time, in UTC, in which no cluster is looked at and no name is resolved.
    pub fn at(now: Timestamp, random: &'a dyn Random) -> Self {
        Self { now, time_zone: TimeZone::UTC, random, keys_made: Cell::default(), lookup: None, dns: None }
    }
}

/// A source of random bytes.
pub trait Random {
    fn fill(&self, bytes: &mut [u8]);
}

/// The cluster's objects, read by Helm's `lookup`.
pub trait Lookup {
    /// Returns the object, or for an empty name the list; `None` when there is none. Errors carry the API's text.
    fn lookup(
        &self,
        api_version: &str,
        kind: &str,
        namespace: &str,
        name: &str,
    ) -> Result<Option<serde_json::Value>, String>;
}

/// The names that `getHostByName` resolves.
pub trait Resolve {
    /// Returns an address of the host, or an empty text.
    fn resolve(&self, host: &str) -> String;
}

/// Why a function failed: Go's error value, of which the text shows.
#[derive(Debug)]
pub enum Failure {
    /// An ordinary error with Go's text.
    Message(String),
    /// A bound of this engine that Go does not have.
    Limit(String),
    /// A text before the error that it wraps, as Go's `%w`.
    Wrap(String, Box<Failure>),
    /// An error of a template that the function executed; it keeps its own position.
    Exec(Box<ExecError>),
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Message(text) | Self::Limit(text) => f.write_str(text),
            Self::Wrap(text, inner) => write!(f, "{text}{inner}"),
            Self::Exec(error) => error.fmt(f),
        }
    }
}

impl Failure {
    pub fn message(text: impl Into<String>) -> Self {
        Self::Message(text.into())
    }

    pub fn limit(text: impl Into<String>) -> Self {
        Self::Limit(text.into())
    }
}

/// The families, each a table in a file of its own.
const FAMILIES: &[&[Function]] = &[
    certificates::FUNCTIONS,
    ciphers::FUNCTIONS,
    dates::FUNCTIONS,
    decimals::FUNCTIONS,
    defaults::FUNCTIONS,
    dicts::FUNCTIONS,
    encodings::FUNCTIONS,
    hashes::FUNCTIONS,
    json::FUNCTIONS,
    keys::FUNCTIONS,
    lists::FUNCTIONS,
    network::FUNCTIONS,
    numbers::FUNCTIONS,
    passwords::FUNCTIONS,
    paths::FUNCTIONS,
    random::FUNCTIONS,
    reflection::FUNCTIONS,
    regexes::FUNCTIONS,
    strings::FUNCTIONS,
    toml::FUNCTIONS,
    urls::FUNCTIONS,
    versions::FUNCTIONS,
    yaml::FUNCTIONS,
];

/// Finds a function of sprig's or Helm's own by its name.
pub fn find(name: &str) -> Option<&'static Function> {
    static TABLE: LazyLock<HashMap<&'static str, &'static Function>> =
        LazyLock::new(|| FAMILIES.iter().flat_map(|family| family.iter()).map(|f| (f.name, f)).collect());
    TABLE.get(name).copied()
}
