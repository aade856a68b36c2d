//! A value within the executor: Go's `reflect.Value`, which knows whether it came out of an interface.

use std::borrow::Cow;

use crate::value::{ListType, MapType, Value};

/// A value with its static side: an element of a `map[string]interface {}` has type `interface {}`, which shows in
/// error texts and tells a nil interface from no value at all.
#[derive(Clone)]
pub(super) struct Operand {
    pub value: Value,
    pub interface: bool,
}

impl Operand {
    /// A value of its own type; `Value::Nil` is Go's invalid `reflect.Value`.
    pub fn plain(value: Value) -> Self {
        Self { value, interface: false }
    }

    /// A value of type `interface {}`.
    pub fn interface(value: Value) -> Self {
        Self { value, interface: true }
    }

    /// No value.
    pub fn invalid() -> Self {
        Self::plain(Value::Nil)
    }

    /// Whether this is Go's zero `reflect.Value`.
    pub fn is_invalid(&self) -> bool {
        !self.interface && self.value.is_nil()
    }

    /// Whether this is a nil in an interface.
    pub fn is_nil_interface(&self) -> bool {
        self.interface && self.value.is_nil()
    }

    /// Returns the static type's name.
    pub fn type_name(&self) -> Cow<'_, str> {
        if self.interface { Cow::Borrowed("interface {}") } else { self.value.type_name() }
    }

    /// Makes the operand of an element of a list of a type.
    pub fn element(list_type: ListType, value: Value) -> Self {
        Self { value, interface: list_type == ListType::Any }
    }

    /// Makes the operand of a map's element, the zero of the element type for none.
    pub fn entry(map_type: MapType, value: Option<Value>) -> Self {
        match map_type {
            MapType::Any | MapType::Values => Self::interface(value.unwrap_or_default()),
            MapType::Str => Self::plain(value.unwrap_or_else(|| Value::str(""))),
        }
    }
}

impl From<Value> for Operand {
    fn from(value: Value) -> Self {
        Self::plain(value)
    }
}
