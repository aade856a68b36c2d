//! TOML as BurntSushi/toml 1.6 writes and reads it, with its error texts.

mod emit;
mod lex;
mod parse;

use super::arguments::text;
use super::{Call, Failure, Function, Type};
use crate::value::Value;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("toToml", &[Type::Any], to_toml),
    Function::new("mustToToml", &[Type::Any], |_, a| Ok(emit::emit(&a[0])?.into())),
    Function::new("fromToml", &[Type::String], from_toml),
];

/// Writes a value; what cannot be written is told in place of it, but a nil fails.
fn to_toml(_: &mut Call<'_>, a: &[Value]) -> Result<Value, Failure> {
    match emit::emit(&a[0]) {
        Ok(text) => Ok(text.into()),
        Err(Failure::Message(error)) if !a[0].is_nil() => Ok(error.into()),
        Err(failure) => Err(failure),
    }
}

/// Reads a document; an error becomes the entry `Error`.
fn from_toml(call: &mut Call<'_>, a: &[Value]) -> Result<Value, Failure> {
    let parsed = parse::parse(text(a, 0), &call.env.time_zone);
    Ok(parsed.unwrap_or_else(|error| Value::map([("Error", error.into())])))
}
