//! What a value does wrong, and how that is printed.

use std::fmt::Write;

use serde_json::{Number, Value};

use super::number::{localized, localized_count};
use crate::quote::quote;

/// One thing that is wrong with a value, and what led to it.
#[derive(Debug)]
pub struct Failure {
    /// The path of the value.
    pub at: Vec<String>,
    pub kind: Kind,
    pub causes: Vec<Failure>,
}

/// The rule that a value breaks.
#[derive(Debug)]
pub enum Kind {
    /// The whole of a schema: the line that names it.
    Schema(String),
    /// Several failures of one schema.
    Group,
    /// Failures behind a reference; a single one is shown in its place.
    Reference,
    Not,
    AllOf,
    AnyOf,
    /// The two subschemas that match, or none.
    OneOf(Option<(usize, usize)>),
    FalseSchema,
    RefCycle {
        url: String,
        first: String,
        second: String,
    },
    Type {
        got: &'static str,
        want: Vec<&'static str>,
    },
    Enum(Vec<Value>),
    Const(Value),
    Format {
        got: String,
        want: String,
        why: String,
    },
    MinProperties(i64, i64),
    MaxProperties(i64, i64),
    MinItems(i64, i64),
    MaxItems(i64, i64),
    AdditionalItems(i64),
    Required(Vec<String>),
    /// The property that needs others, and those that are missing.
    DependentRequired(String, Vec<String>),
    AdditionalProperties(Vec<String>),
    PropertyNames(String),
    UniqueItems(usize, usize),
    Contains,
    MinContains {
        got: Vec<usize>,
        want: i64,
    },
    MaxContains {
        got: Vec<usize>,
        want: i64,
    },
    MinLength(i64, i64),
    MaxLength(i64, i64),
    Pattern {
        got: String,
        want: String,
    },
    /// A bound on numbers by its keyword: what there is and what is wanted.
    Bound(&'static str, Number, Number),
    /// The values need more work than [`super::validate::MAX_STEPS`] allows.
    TooMuch,
}

impl Failure {
    pub fn new(at: Vec<String>, kind: Kind) -> Self {
        Self { at, kind, causes: Vec::new() }
    }

    /// Writes the failure and its causes, one a line.
    pub fn text(&self) -> String {
        let mut out = String::new();
        self.write(0, &mut out);
        out
    }

    fn write(&self, indent: usize, out: &mut String) {
        let mut inner = indent;
        if !(matches!(self.kind, Kind::Reference) && self.causes.len() == 1) {
            if indent > 0 {
                out.push('\n');
                out.push_str(&"  ".repeat(indent - 1));
                out.push_str("- ");
            }
            inner += 1;
            if !matches!(self.kind, Kind::Schema(_)) {
                write!(out, "at {}: ", quoted(&pointer(&self.at))).expect("writing to a String cannot fail");
            }
            out.push_str(&self.kind.text());
        }
        self.causes.iter().for_each(|cause| cause.write(inner, out));
    }
}

/// Writes a path as a JSON pointer.
pub fn pointer(path: &[String]) -> String {
    path.iter().fold(String::new(), |out, part| out + "/" + &escape(part))
}

/// Escapes a part of a JSON pointer.
pub fn escape(part: &str) -> String {
    part.replace('~', "~0").replace('/', "~1")
}

/// Quotes a text as the library does: Go's escapes in single quotes.
fn quoted(text: &str) -> String {
    let double = quote(text);
    let inner = double[1..double.len() - 1].replace("\\\"", "\"").replace('\'', "\\'");
    format!("'{inner}'")
}

fn joined(names: &[String]) -> String {
    names.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(", ")
}

/// Writes a primitive value.
pub fn display(value: &Value) -> String {
    match value {
        Value::String(text) => quoted(text),
        Value::Null => "<nil>".to_string(),
        Value::Array(_) | Value::Object(_) => "value".to_string(),
        other => other.to_string(),
    }
}

fn is_primitive(value: &Value) -> bool {
    !matches!(value, Value::Array(_) | Value::Object(_))
}

fn matched(got: &[usize]) -> String {
    let places = got.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    format!("matched {} items at {places}", localized_count(got.len() as i64))
}

impl Kind {
    fn text(&self) -> String {
        let bound = |name: &str, got: &i64, want: &i64| {
            format!("{name}: got {}, want {}", localized_count(*got), localized_count(*want))
        };
        match self {
            Self::Schema(url) => format!("jsonschema validation failed with {}", quoted(url)),
            Self::Group | Self::Reference => "validation failed".to_string(),
            Self::Not => "'not' failed".to_string(),
            Self::AllOf => "'allOf' failed".to_string(),
            Self::AnyOf => "'anyOf' failed".to_string(),
            Self::OneOf(None) => "'oneOf' failed, none matched".to_string(),
            Self::OneOf(Some((a, b))) => format!("'oneOf' failed, subschemas {a}, {b} matched"),
            Self::FalseSchema => "false schema".to_string(),
            Self::RefCycle { url, first, second } => {
                format!("both {first} and {second} resolve to {} causing reference cycle", quote(url))
            }
            Self::Type { got, want } => format!("got {got}, want {}", want.join(" or ")),
            Self::Enum(want) if !want.iter().all(is_primitive) => "'enum' failed".to_string(),
            Self::Enum(want) => match want.as_slice() {
                [only] => format!("value must be {}", display(only)),
                _ => format!("value must be one of {}", want.iter().map(display).collect::<Vec<_>>().join(", ")),
            },
            Self::Const(want) if !is_primitive(want) => "'const' failed".to_string(),
            Self::Const(want) => format!("value must be {}", display(want)),
            Self::Format { got, want, why } => format!("{} is not valid {want}: {why}", quoted(got)),
            Self::MinProperties(got, want) => bound("minProperties", got, want),
            Self::MaxProperties(got, want) => bound("maxProperties", got, want),
            Self::MinItems(got, want) => bound("minItems", got, want),
            Self::MaxItems(got, want) => bound("maxItems", got, want),
            Self::AdditionalItems(count) => format!("last {} additionalItem(s) not allowed", localized_count(*count)),
            Self::Required(missing) => match missing.as_slice() {
                [only] => format!("missing property {}", quoted(only)),
                _ => format!("missing properties {}", joined(missing)),
            },
            Self::DependentRequired(property, missing) => {
                format!("properties {} required, if {} exists", joined(missing), quoted(property))
            }
            Self::AdditionalProperties(names) => format!("additional properties {} not allowed", joined(names)),
            Self::PropertyNames(name) => format!("invalid propertyName {}", quoted(name)),
            Self::UniqueItems(a, b) => {
                let (a, b) = (localized_count(*a as i64), localized_count(*b as i64));
                format!("items at {a} and {b} are equal")
            }
            Self::Contains => "no items match contains schema".to_string(),
            Self::MinContains { got, want } => {
                let want = localized_count(*want);
                let got = if got.is_empty() { "none matched".to_string() } else { matched(got) };
                format!("min {want} items required to match contains schema, but {got}")
            }
            Self::MaxContains { got, want } => {
                let want = localized_count(*want);
                format!("max {want} items required to match contains schema, but {}", matched(got))
            }
            Self::MinLength(got, want) => bound("minLength", got, want),
            Self::MaxLength(got, want) => bound("maxLength", got, want),
            Self::Pattern { got, want } => format!("{} does not match pattern {}", quoted(got), quoted(want)),
            Self::Bound(name, got, want) => format!("{name}: got {}, want {}", localized(got), localized(want)),
            Self::TooMuch => "the schema needs too many steps for these values".to_string(),
        }
    }
}
