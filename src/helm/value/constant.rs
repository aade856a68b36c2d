//! Immutable values that compiled programs keep and share between threads.

use super::{Str, Value};

/// A literal of a template, ready to be used as a [`Value`].
#[derive(Clone, Debug, PartialEq)]
pub enum Const {
    Bool(bool),
    Int(i64),
    Int64(i64),
    Float(f64),
    Complex(f64, f64),
    Str(Str),
}

impl Const {
    pub fn value(&self) -> Value {
        match self {
            Self::Bool(b) => Value::Bool(*b),
            Self::Int(i) => Value::Int(*i),
            Self::Int64(i) => Value::Int64(*i),
            Self::Float(f) => Value::Float(*f),
            Self::Complex(re, im) => Value::Complex(*re, *im),
            Self::Str(s) => Value::Str(s.clone()),
        }
    }
}
