//! Go's own functions of text/template, but for those that steer evaluation.

use super::compare::{eq, le, lt, pointee_name};
use super::escape::{html_escape, js_escape, query_escape};
use super::operand::Operand;
use super::printf::{sprint, sprintf, sprintln};
use crate::functions::{Call, Failure, Function, Type};
use crate::value::{Kind, MapType, Str, Value};

/// A function whose parameters are Go's `reflect.Value`: it sees whether a value came out of an interface.
pub(super) struct Reflect {
    pub name: &'static str,
    /// How many parameters come before the variadic one.
    pub fixed: usize,
    pub variadic: bool,
    pub call: fn(&[Operand]) -> Result<Operand, Failure>,
}

pub(super) const REFLECT: &[Reflect] = &[
    Reflect { name: "eq", fixed: 1, variadic: true, call: |args| truth(eq(args)?) },
    Reflect { name: "ne", fixed: 2, variadic: false, call: |args| truth(!eq(args)?) },
    Reflect { name: "lt", fixed: 2, variadic: false, call: |args| truth(lt(&args[0].value, &args[1].value)?) },
    Reflect { name: "le", fixed: 2, variadic: false, call: |args| truth(le(&args[0].value, &args[1].value)?) },
    Reflect { name: "gt", fixed: 2, variadic: false, call: |args| truth(!le(&args[0].value, &args[1].value)?) },
    Reflect { name: "ge", fixed: 2, variadic: false, call: |args| truth(!lt(&args[0].value, &args[1].value)?) },
    Reflect { name: "not", fixed: 1, variadic: false, call: |args| truth(!args[0].value.truth()) },
    Reflect { name: "len", fixed: 1, variadic: false, call: |args| length(&args[0]) },
    Reflect { name: "index", fixed: 1, variadic: true, call: index },
];

pub(super) const FUNCTIONS: &[Function] = &[
    Function { name: "print", params: &[], variadic: Some(Type::Any), call: print },
    Function { name: "printf", params: &[Type::String], variadic: Some(Type::Any), call: printf },
    Function { name: "println", params: &[], variadic: Some(Type::Any), call: println },
    Function { name: "html", params: &[], variadic: Some(Type::Any), call: html },
    Function { name: "js", params: &[], variadic: Some(Type::Any), call: js },
    Function { name: "urlquery", params: &[], variadic: Some(Type::Any), call: urlquery },
];

fn truth(value: bool) -> Result<Operand, Failure> {
    Ok(Operand::plain(Value::Bool(value)))
}

/// What Go's reflect package panics with, which text/template turns into an error.
const TYPE_OF_ZERO: &str = "reflect: call of reflect.Value.Type on zero Value";

fn length(item: &Operand) -> Result<Operand, Failure> {
    if item.is_nil_interface() {
        return Err(Failure::message("len of nil pointer"));
    }
    let count = |value: &Value| match value {
        Value::Str(text) | Value::Bytes(text) => Some(text.len()),
        Value::List(list) => Some(list.len()),
        Value::Map(map) => Some(map.len()),
        _ => None,
    };
    let found = match &item.value {
        Value::Nil => return Err(Failure::message(TYPE_OF_ZERO)),
        Value::Obj(object) if object.is_nil() => return Err(Failure::message("len of nil pointer")),
        Value::Obj(object) => object.underlying().as_ref().and_then(count),
        value => count(value),
    };
    match found {
        Some(length) => Ok(Operand::plain(Value::Int(length as i64))),
        None => Err(Failure::message(format!("len of type {}", pointee_name(&item.value)))),
    }
}

fn index(args: &[Operand]) -> Result<Operand, Failure> {
    let mut item = Operand::plain(args[0].value.clone());
    if item.is_invalid() {
        return Err(Failure::message("index of untyped nil"));
    }
    for key in &args[1..] {
        if item.value.is_nil() {
            return Err(Failure::message("index of nil pointer"));
        }
        item = index_once(&item, &key.value)?;
    }
    Ok(item)
}

fn index_once(item: &Operand, key: &Value) -> Result<Operand, Failure> {
    match &item.value {
        Value::Str(text) => {
            let at = position(key, text.len(), "string")?;
            Ok(Operand::plain(Value::Uint8(text[at])))
        }
        Value::Bytes(bytes) => {
            let at = position(key, bytes.len(), "slice")?;
            Ok(Operand::plain(Value::Uint8(bytes[at])))
        }
        Value::List(list) => {
            let at = position(key, list.len(), "slice")?;
            Ok(Operand::element(list.list_type(), list[at].clone()))
        }
        Value::Map(map) => Ok(Operand::entry(map.map_type(), map.get(map_key(key)?))),
        Value::Obj(object) => match object.underlying() {
            Some(Value::Map(map)) if map.map_type() == MapType::Any => {
                Ok(Operand::plain(map.get(map_key(key)?).unwrap_or_else(|| Value::Bytes(Str::default()))))
            }
            Some(plain) if !matches!(plain, Value::Int(_) | Value::Int64(_)) => index_once(&Operand::plain(plain), key),
            _ => Err(cannot_index(&item.value)),
        },
        value => Err(cannot_index(value)),
    }
}

fn cannot_index(value: &Value) -> Failure {
    Failure::message(format!("can't index item of type {}", pointee_name(value)))
}

/// Checks a key for a map whose keys are strings.
fn map_key(key: &Value) -> Result<&Str, Failure> {
    match key {
        Value::Str(key) => Ok(key),
        Value::Nil => Err(Failure::message("value is nil; should be of type string")),
        other => Err(Failure::message(format!("value has type {}; should be string", other.type_name()))),
    }
}

/// Checks an index. Go lets the length itself pass its own check, and reflect refuses it.
fn position(index: &Value, length: usize, what: &str) -> Result<usize, Failure> {
    let at = match index {
        Value::Int(i) | Value::Int64(i) => *i,
        Value::Uint8(u) => i64::from(*u),
        Value::Uint64(u) => *u as i64,
        Value::Nil => return Err(Failure::message("cannot index slice/array with nil")),
        Value::Obj(object) if matches!(object.underlying(), Some(Value::Int(_) | Value::Int64(_))) => {
            return position(&object.underlying().unwrap_or_default(), length, what);
        }
        other => {
            return Err(Failure::message(format!("cannot index slice/array with type {}", other.type_name())));
        }
    };
    match usize::try_from(at) {
        Ok(at) if at < length => Ok(at),
        Ok(at) if at == length => Err(Failure::message(format!("reflect: {what} index out of range"))),
        _ => Err(Failure::message(format!("index out of range: {at}"))),
    }
}

fn print(_: &mut Call<'_>, args: &[Value]) -> Result<Value, Failure> {
    sprint(args).map(Value::Str)
}

fn printf(_: &mut Call<'_>, args: &[Value]) -> Result<Value, Failure> {
    match args {
        [Value::Str(format), rest @ ..] => sprintf(format, rest).map(Value::Str),
        _ => Err(Failure::message("printf needs a format")),
    }
}

fn println(_: &mut Call<'_>, args: &[Value]) -> Result<Value, Failure> {
    sprintln(args).map(Value::Str)
}

/// Prints the arguments of an escaper as actions print them, with a space between two that are no texts.
fn joined(args: &[Value]) -> Result<Str, Failure> {
    if let [Value::Str(text)] = args {
        return Ok(text.clone());
    }
    let mut out = Vec::new();
    let mut after_text = true;
    for arg in args {
        let is_text = arg.is_nil() || arg.kind() == Kind::String;
        if !is_text && !after_text {
            out.push(b' ');
        }
        after_text = is_text;
        match arg {
            Value::Nil => out.extend_from_slice(b"<no value>"),
            Value::Obj(object) => match object.addressed_string() {
                Some(text) => out.extend_from_slice(&text),
                None => arg.print_pointee(&mut out)?,
            },
            arg => arg.print(&mut out)?,
        }
    }
    Ok(out.into())
}

fn html(_: &mut Call<'_>, args: &[Value]) -> Result<Value, Failure> {
    Ok(html_escape(&joined(args)?).into())
}

fn js(_: &mut Call<'_>, args: &[Value]) -> Result<Value, Failure> {
    Ok(js_escape(&joined(args)?).into())
}

fn urlquery(_: &mut Call<'_>, args: &[Value]) -> Result<Value, Failure> {
    Ok(query_escape(&joined(args)?).into())
}
