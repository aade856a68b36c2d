//! How values become YAML.

use super::Value;
use crate::yaml::{Emit, Emitter, Error};

impl Emit for Value {
    fn emit(&self, out: &mut Emitter<'_>) -> Result<(), Error> {
        match self {
            Value::Nil => out.null(),
            Value::Bool(b) => out.bool(*b),
            Value::Int(n) | Value::Int64(n) => out.int(*n),
            Value::Uint8(n) => out.int(i64::from(*n)),
            Value::Uint64(n) => out.uint(*n),
            Value::Float(n) => out.float(*n),
            Value::Str(text) => out.text(text),
            Value::Bytes(bytes) => out.bytes(bytes),
            Value::List(list) if list.is_nil() => out.null(),
            Value::List(list) => out.sequence(list.iter()),
            Value::Map(map) if map.is_nil() => out.null(),
            Value::Map(map) => map.with_entries(|entries| {
                out.mapping(entries.iter().map(|(key, value)| (key.as_bytes(), value)).collect())
            }),
            Value::Complex(..) | Value::Obj(_) => match self.to_json() {
                Ok(json) => json.emit(out),
                Err(failure) => Err(Error::Json(failure.to_string())),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::emit;

    #[test]
    fn values_are_written_like_their_json() {
        let tree = Value::map([
            ("a10", Value::Float(1e6)),
            ("a2", Value::list(vec![Value::Nil, Value::Bytes(b"hi"[..].into()), Value::str(&b"\xff"[..])])),
            ("n", Value::Int(3)),
        ]);
        let mut out = Vec::new();
        emit(&tree, 0, &mut out).unwrap();
        assert_eq!(String::from_utf8_lossy(&out), "a2:\n- null\n- aGk=\n- \u{FFFD}\na10: 1000000\n\"n\": 3");
    }

    #[test]
    fn maps_that_multiply_and_maps_that_hold_themselves_are_bounded() {
        let mut tree = Value::str("x");
        for _ in 0..40 {
            tree = Value::map([("a", tree.clone()), ("b", tree)]);
        }
        let mut out = Vec::new();
        assert!(emit(&tree, 0, &mut out).is_err());
        let tree = Value::map([("a", Value::Nil)]);
        let Value::Map(map) = &tree else { unreachable!() };
        assert!(map.insert("a".into(), tree.clone()));
        assert!(emit(&tree, 0, &mut out).is_err());
        assert!(map.insert("a".into(), Value::Nil));
        assert!(out.is_empty());
    }
}
