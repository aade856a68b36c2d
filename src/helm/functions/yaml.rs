//! YAML, written and read by go-yaml's rules.

use std::cell::Cell;

use super::arguments::text;
use super::json::{error_entry, or_nothing, wrong_type};
use super::{Call, Failure, Function, Type, layouts};
use crate::functions::clock::Time;
use crate::functions::times::Duration;
use crate::value::{MapType, Object, Str, Value};
use crate::yaml::{self, Emit, Emitter};

type Result<T = Value> = std::result::Result<T, Failure>;

const ANY: Type = Type::Any;
const STR: Type = Type::String;

/// What stands before errors of the step to JSON.
const NOT_JSON: &str = "error marshaling into JSON: ";

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("toYaml", &[ANY], |_, a| or_nothing(to_yaml(&a[0]))),
    Function::new("mustToYaml", &[ANY], |_, a| Ok(to_yaml(&a[0])?.into())),
    Function::new("toYamlPretty", &[ANY], |_, a| to_yaml_pretty(&a[0])),
    Function::new("fromYaml", &[STR], from_yaml),
    Function::new("fromYamlArray", &[STR], from_yaml_array),
];

/// A value as the emitter sees it.
struct Node<'v> {
    value: &'v Value,
    /// Set when an object was met, which has a form of its own.
    object: &'v Cell<bool>,
    /// Whether times and bytes are written as go-yaml writes Go's own.
    go_types: bool,
}

impl Emit for Node<'_> {
    fn emit(&self, out: &mut Emitter<'_>) -> std::result::Result<(), yaml::Error> {
        match self.value {
            Value::Nil => out.null(),
            Value::Bool(b) => out.bool(*b),
            Value::Int(n) | Value::Int64(n) => out.int(*n),
            Value::Uint8(n) => out.uint(u64::from(*n)),
            Value::Uint64(n) => out.uint(*n),
            Value::Float(n) => out.float(*n),
            Value::Str(text) => out.text(text),
            Value::Bytes(bytes) if self.go_types => {
                let numbers: Vec<Value> = bytes.iter().map(|byte| Value::Uint8(*byte)).collect();
                let items: Vec<Node<'_>> = numbers.iter().map(|value| Node { value, ..*self }).collect();
                out.sequence(&items)
            }
            Value::Bytes(bytes) => out.bytes(bytes),
            // go-yaml writes a nil slice or map of Go's as an empty one.
            Value::List(list) if list.is_nil() && !self.go_types => out.null(),
            Value::List(list) => {
                let items: Vec<Node<'_>> = list.iter().map(|value| Node { value, ..*self }).collect();
                out.sequence(&items)
            }
            Value::Map(map) if map.is_nil() && !self.go_types => out.null(),
            Value::Map(map) => {
                let entries: Vec<(Str, Value)> = map.entries();
                let nodes: Vec<Node<'_>> = entries.iter().map(|(_, value)| Node { value, ..*self }).collect();
                out.mapping(entries.iter().zip(&nodes).map(|((key, _), node)| (key.as_bytes(), node)).collect())
            }
            Value::Obj(object) if self.go_types => self.object(object.as_ref(), out),
            Value::Complex(..) | Value::Obj(_) => {
                self.object.set(true);
                out.null()
            }
        }
    }
}

impl Node<'_> {
    /// Writes what go-yaml v3 does: a time, a text, the plain value of a named type, or the fields in lower case.
    fn object(&self, object: &dyn Object, out: &mut Emitter<'_>) -> std::result::Result<(), yaml::Error> {
        if let Some(time) = self.value.downcast::<Time>() {
            return out.plain(&layouts::format(time, layouts::RFC3339_NANO.as_bytes()));
        }
        // A duration has a form of its own; other named numbers are numbers, whatever they print as.
        if let Some(plain) = object.underlying().filter(|_| self.value.downcast::<Duration>().is_none()) {
            return Node { value: &plain, ..*self }.emit(out);
        }
        if let Some(text) = object.string() {
            return out.text(&text);
        }
        let is_exported = |name: &str| name.starts_with(|c: char| c.is_ascii_uppercase());
        let fields = object.fields().into_iter().filter(|(name, _)| is_exported(name));
        let fields: Vec<(String, Value)> = fields.map(|(name, field)| (name.to_ascii_lowercase(), field)).collect();
        let nodes: Vec<Node<'_>> = fields.iter().map(|(_, value)| Node { value, ..*self }).collect();
        out.fields(&fields.iter().zip(&nodes).map(|((name, _), node)| (name.as_bytes(), node)).collect::<Vec<_>>())
    }
}

/// Writes a value the way of sigs.k8s.io/yaml: through JSON.
fn to_yaml(value: &Value) -> Result<Vec<u8>> {
    let (object, mut out) = (Cell::new(false), Vec::new());
    let written = yaml::emit(&Node { value, object: &object, go_types: false }, 0, &mut out);
    if object.get() {
        out.clear();
        let tree = value.to_json().map_err(|failure| match failure {
            Failure::Message(text) => Failure::message(format!("{NOT_JSON}{text}")),
            other => other,
        })?;
        yaml::emit(&tree, 0, &mut out).map_err(failed)?;
        return Ok(out);
    }
    written.map_err(failed)?;
    Ok(out)
}

fn failed(error: yaml::Error) -> Failure {
    if let yaml::Error::Limit(_) = error {
        return Failure::limit(error.to_string());
    }
    let before = if matches!(error, yaml::Error::Number(_)) { NOT_JSON } else { "" };
    Failure::message(format!("{before}{error}"))
}

/// Writes a value the way of go-yaml v3, which knows Go's types. Where it returns an error the result is empty; where it
/// panics, the template fails.
fn to_yaml_pretty(value: &Value) -> Result {
    let (object, mut out) = (Cell::new(false), Vec::new());
    let written = yaml::emit_pretty(&Node { value, object: &object, go_types: true }, &mut out);
    if object.get() {
        return Err(Failure::message("cannot marshal type: complex128"));
    }
    or_nothing(written.map(|()| out).map_err(failed))
}

/// Reads the first document; an error becomes an entry or an element in place of a result.
fn read(a: &[Value]) -> std::result::Result<Value, String> {
    match yaml::parse(text(a, 0)) {
        Ok(tree) => Ok(Value::from_json(&tree)),
        Err(error) => Err(format!("error converting YAML to JSON: {error}")),
    }
}

fn wrong_kind(value: &Value, wanted: &'static str) -> String {
    format!("error unmarshaling JSON: while decoding JSON: {}", wrong_type(value, wanted))
}

fn from_yaml(_: &mut Call<'_>, a: &[Value]) -> Result {
    Ok(match read(a) {
        Ok(map @ Value::Map(_)) => map,
        Ok(Value::Nil) => Value::map::<Str>([]),
        Ok(other) => error_entry(None, &wrong_kind(&other, MapType::Any.name())),
        Err(error) => error_entry(None, &error),
    })
}

fn from_yaml_array(_: &mut Call<'_>, a: &[Value]) -> Result {
    let error = match read(a) {
        Ok(list @ Value::List(_)) => return Ok(list),
        Ok(Value::Nil) => return Ok(Value::list([])),
        Ok(other) => wrong_kind(&other, "[]interface {}"),
        Err(error) => error,
    };
    Ok(Value::list([Value::from(error)]))
}
