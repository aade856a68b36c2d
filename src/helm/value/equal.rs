//! `reflect.DeepEqual`.

use super::{MAX_DEPTH, Value};

impl Value {
    /// Compares as `reflect.DeepEqual` does: types must be the same, a nil slice or map differs from an empty one.
    /// Below a nesting of [`MAX_DEPTH`], which only maps that hold themselves reach, values count as equal, as Go's
    /// guard against cycles has it.
    pub fn deep_equal(&self, other: &Self) -> bool {
        equal(self, other, 0)
    }
}

fn equal(a: &Value, b: &Value, depth: usize) -> bool {
    if depth > MAX_DEPTH {
        return true;
    }
    match (a, b) {
        (Value::Nil, Value::Nil) => true,
        (Value::Bool(a), Value::Bool(b)) => a == b,
        (Value::Int(a), Value::Int(b)) | (Value::Int64(a), Value::Int64(b)) => a == b,
        (Value::Uint8(a), Value::Uint8(b)) => a == b,
        (Value::Uint64(a), Value::Uint64(b)) => a == b,
        #[allow(clippy::float_cmp, reason = "Go compares floats with ==")]
        (Value::Float(a), Value::Float(b)) => a == b,
        #[allow(clippy::float_cmp, reason = "Go compares floats with ==")]
        (Value::Complex(a, b), Value::Complex(c, d)) => a == c && b == d,
        (Value::Str(a), Value::Str(b)) | (Value::Bytes(a), Value::Bytes(b)) => a == b,
        (Value::List(a), Value::List(b)) => {
            a.list_type() == b.list_type()
                && a.is_nil() == b.is_nil()
                && a.len() == b.len()
                && (a.same(b) || a.iter().zip(b.iter()).all(|(a, b)| equal(a, b, depth + 1)))
        }
        (Value::Map(a), Value::Map(b)) => {
            a.map_type() == b.map_type()
                && a.is_nil() == b.is_nil()
                && a.len() == b.len()
                && (a.same(b)
                    || a.entries()
                        .iter()
                        .zip(b.entries())
                        .all(|((ka, a), (kb, b))| *ka == kb && equal(a, &b, depth + 1)))
        }
        (Value::Obj(a), Value::Obj(b)) => a.type_name() == b.type_name() && a.equal(b.as_ref()),
        _ => false,
    }
}
