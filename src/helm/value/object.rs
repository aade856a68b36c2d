//! Values of Go's own types (structs, pointers, named types) that a template reaches by field and method.

use std::any::Any;

use super::{Kind, Str, Value};
use crate::functions::{Failure, Type};

/// The signature of a method; the executor checks arguments against it as it does for functions.
#[derive(Clone, Copy, Debug)]
pub struct Method {
    pub name: &'static str,
    pub params: &'static [Type],
    pub variadic: Option<Type>,
}

/// What a name means on an object.
pub enum Member {
    Field(Value),
    Method(Method),
    /// A method whose results text/template does not take, with what it says then.
    Refused(Method, &'static str),
}

/// A value of a Go type that is neither a basic type nor a plain slice or map. Methods that take none of the defaults
/// describe a struct without methods that prints its fields.
pub trait Object: Any {
    /// Returns the type as `%T` prints it, such as `*semver.Version`.
    fn type_name(&self) -> &str;

    fn kind(&self) -> Kind {
        Kind::Struct
    }

    /// Returns the fields of a struct in order, as printing shows them.
    fn fields(&self) -> Vec<(&'static str, Value)> {
        Vec::new()
    }

    /// Returns the fields of a struct in order, as JSON shows them.
    fn json_fields(&self) -> Vec<(&'static str, Value)> {
        self.fields()
    }

    /// Looks a name up: methods first, then fields.
    fn member(&self, name: &str) -> Option<Member> {
        self.fields().into_iter().find(|(field, _)| *field == name).map(|(_, value)| Member::Field(value))
    }

    /// Calls a method that [`Object::member`] named, with arguments that fit its signature.
    fn invoke(&self, method: &str, _args: &[Value]) -> Result<Value, Failure> {
        Err(Failure::message(format!("{} has no method {method}", self.type_name())))
    }

    /// Returns what `String()` or `Error()` gives if the type, as it is held here, has such a method.
    fn string(&self) -> Option<Str> {
        None
    }

    /// Returns what `String()` gives when only a pointer to the type has it: an action prints a struct inside an
    /// addressable value that way, a function that gets it as an argument does not.
    fn addressed_string(&self) -> Option<Str> {
        self.string()
    }

    /// Returns what `GoString()` gives, which `%#v` prints.
    fn go_string(&self) -> Option<String> {
        None
    }

    /// Returns the copy that a function gets as its argument, where it differs: methods of pointers are lost on it.
    fn as_argument(&self) -> Option<Value> {
        None
    }

    /// Returns what copying by reflection gives, where it differs: fields that are not exported are lost.
    fn deep_copy(&self) -> Option<Value> {
        None
    }

    /// Returns the plain value under a named type that is no struct (a duration's int64, a version set's list).
    fn underlying(&self) -> Option<Value> {
        None
    }

    /// Returns another value of the same type, when it is a named integer.
    fn with_integer(&self, _integer: i64) -> Option<Value> {
        None
    }

    /// Tells whether this is a nil pointer.
    fn is_nil(&self) -> bool {
        false
    }

    /// Returns the JSON form when it is not that of [`Object::underlying`] or [`Object::json_fields`].
    fn json(&self) -> Option<Result<serde_json::Value, String>> {
        None
    }

    /// Go's `==` and `reflect.DeepEqual` for two values of this type.
    fn equal(&self, other: &dyn Object) -> bool;
}
