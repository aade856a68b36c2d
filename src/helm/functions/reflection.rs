//! Types and kinds of values, by their Go names.

use super::arguments::text;
use super::{Function, Type};
use crate::value::Value;

const ANY: Type = Type::Any;
const STR: Type = Type::String;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("typeOf", &[ANY], |_, a| Ok(a[0].type_name().as_ref().into())),
    Function::new("typeIs", &[STR, ANY], |_, a| Ok((text(a, 0) == a[1].type_name().as_bytes()).into())),
    Function::new("typeIsLike", &[STR, ANY], |_, a| Ok(type_is_like(text(a, 0), &a[1]).into())),
    Function::new("kindOf", &[ANY], |_, a| Ok(a[0].kind().name().into())),
    Function::new("kindIs", &[STR, ANY], |_, a| Ok((text(a, 0) == a[1].kind().name().as_bytes()).into())),
    Function::new("deepEqual", &[ANY, ANY], |_, a| Ok(a[0].deep_equal(&a[1]).into())),
];

/// A pointer to the type will do.
fn type_is_like(name: &[u8], value: &Value) -> bool {
    let found = value.type_name();
    name == found.as_bytes() || found.strip_prefix('*').is_some_and(|pointee| name == pointee.as_bytes())
}
