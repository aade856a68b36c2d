//! Choosing between values by whether they are empty: false, 0, "", an empty list or dict, nil.

use super::{Failure, Function, Type};
use crate::value::Value;

type Result<T = Value> = std::result::Result<T, Failure>;

const ANY: Type = Type::Any;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::variadic("default", &[ANY], ANY, |_, a| Ok(default(a))),
    Function::new("empty", &[ANY], |_, a| Ok((!a[0].truth()).into())),
    Function::variadic("coalesce", &[], ANY, |_, a| Ok(a.iter().find(|v| v.truth()).cloned().unwrap_or_default())),
    Function::variadic("all", &[], ANY, |_, a| Ok(a.iter().all(Value::truth).into())),
    Function::variadic("any", &[], ANY, |_, a| Ok(a.iter().any(Value::truth).into())),
    Function::new("ternary", &[ANY, ANY, Type::Bool], |_, a| ternary(a)),
];

fn default(a: &[Value]) -> Value {
    a.get(1).filter(|given| given.truth()).unwrap_or(&a[0]).clone()
}

fn ternary(a: &[Value]) -> Result {
    Ok(a[usize::from(!a[2].truth())].clone())
}
