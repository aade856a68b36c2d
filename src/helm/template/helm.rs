//! Helm's functions that belong to the engine: `required`, `fail`, `lookup`.

use crate::functions::{Call, Failure, Function, Type};
use crate::value::Value;

pub(super) const FUNCTIONS: &[Function] = &[
    Function { name: "required", params: &[Type::String, Type::Any], variadic: None, call: required },
    Function { name: "fail", params: &[Type::String], variadic: None, call: fail },
    Function {
        name: "lookup",
        params: &[Type::String, Type::String, Type::String, Type::String],
        variadic: None,
        call: lookup,
    },
];

/// Marks, in an error's text, the message that alone is shown.
pub(super) const WARN_START: &str = "HELM_ERR_START";
pub(super) const WARN_END: &str = "HELM_ERR_END";

fn warning(message: &Value) -> Result<Failure, Failure> {
    Ok(Failure::message(format!("{WARN_START}{}{WARN_END}", message.to_text()?)))
}

fn required(_: &mut Call<'_>, args: &[Value]) -> Result<Value, Failure> {
    match &args[1] {
        Value::Nil => Err(warning(&args[0])?),
        Value::Str(text) if text.is_empty() => Err(warning(&args[0])?),
        value => Ok(value.clone()),
    }
}

fn fail(_: &mut Call<'_>, args: &[Value]) -> Result<Value, Failure> {
    Err(warning(&args[0])?)
}

fn lookup(call: &mut Call<'_>, args: &[Value]) -> Result<Value, Failure> {
    let Some(cluster) = call.env.lookup else { return Ok(Value::map::<&str>([])) };
    let text = |at: usize| args[at].as_str().map(|s| s.to_text()).unwrap_or_default();
    match cluster.lookup(&text(0), &text(1), &text(2), &text(3)) {
        // What the API server sends keeps its integers, as client-go decodes them.
        Ok(Some(object)) => Ok(Value::from_values(&object)),
        Ok(None) => Ok(Value::map::<&str>([])),
        Err(message) => Err(Failure::message(message)),
    }
}
