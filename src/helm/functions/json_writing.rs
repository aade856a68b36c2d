//! Writing values as `json.Marshal` does, without a tree between.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Failure;
use super::arguments::check_len;
use crate::json::{Escape, float_text, replace_invalid, to_indented_text, to_text, write_string};
use crate::value::{MAX_DEPTH, Value};

type Result<T> = std::result::Result<T, Failure>;

/// How the text is laid out and escaped.
#[derive(Clone, Copy)]
pub struct Layout {
    pub escape: Escape,
    /// Over several lines, indented by two.
    pub pretty: bool,
}

/// Writes a value, or tells with Go's words why it cannot be.
pub fn write(value: &Value, layout: Layout) -> Result<String> {
    let mut out = String::new();
    put(&mut out, value, layout, 0)?;
    Ok(out)
}

fn newline(out: &mut String, layout: Layout, depth: usize) {
    if layout.pretty {
        out.push('\n');
        out.extend(std::iter::repeat_n("  ", depth));
    }
}

fn put_text(out: &mut String, text: &[u8], layout: Layout) {
    match std::str::from_utf8(text) {
        Ok(text) => write_string(out, text, layout.escape),
        Err(_) => write_string(out, &replace_invalid(text.to_vec()), layout.escape),
    }
}

fn put(out: &mut String, value: &Value, layout: Layout, depth: usize) -> Result<()> {
    if depth > MAX_DEPTH {
        // Only a map that holds itself nests so deep.
        return Err(Failure::message(format!(
            "json: unsupported value: encountered a cycle via {}",
            value.type_name()
        )));
    }
    check_len(out.len())?;
    match value {
        Value::Nil => out.push_str("null"),
        Value::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
        Value::Int(n) | Value::Int64(n) => out.push_str(&n.to_string()),
        Value::Uint8(n) => out.push_str(&n.to_string()),
        Value::Uint64(n) => out.push_str(&n.to_string()),
        Value::Float(n) if n.is_finite() => out.push_str(&float_text(*n)),
        Value::Str(text) => put_text(out, text, layout),
        Value::Bytes(bytes) => put_text(out, STANDARD.encode(bytes).as_bytes(), layout),
        Value::List(list) if list.is_nil() => out.push_str("null"),
        Value::Map(map) if map.is_nil() => out.push_str("null"),
        Value::List(list) if list.is_empty() => out.push_str("[]"),
        Value::Map(map) if map.is_empty() => out.push_str("{}"),
        Value::List(list) => {
            out.push('[');
            for (at, item) in list.iter().enumerate() {
                out.push_str(if at > 0 { "," } else { "" });
                newline(out, layout, depth + 1);
                put(out, item, layout, depth + 1)?;
            }
            newline(out, layout, depth);
            out.push(']');
        }
        Value::Map(map) => {
            out.push('{');
            let mut first = true;
            map.try_each(|key, value| {
                out.push_str(if std::mem::take(&mut first) { "" } else { "," });
                newline(out, layout, depth + 1);
                put_text(out, key, layout);
                out.push_str(if layout.pretty { ": " } else { ":" });
                put(out, value, layout, depth + 1)
            })?;
            newline(out, layout, depth);
            out.push('}');
        }
        Value::Obj(object) if object.json().is_none() && object.underlying().is_none() && !object.is_nil() => {
            out.push('{');
            for (at, (name, field)) in object.json_fields().iter().enumerate() {
                out.push_str(if at > 0 { "," } else { "" });
                newline(out, layout, depth + 1);
                put_text(out, name.as_bytes(), layout);
                out.push_str(if layout.pretty { ": " } else { ":" });
                put(out, field, layout, depth + 1)?;
            }
            if !object.json_fields().is_empty() {
                newline(out, layout, depth);
            }
            out.push('}');
        }
        // Other objects say themselves what they are in JSON, and the rest says why it is nothing there.
        Value::Float(_) | Value::Complex(..) | Value::Obj(_) => {
            let tree = value.to_json()?;
            if layout.pretty {
                let text = to_indented_text(&tree, "  ", layout.escape);
                out.push_str(&text.replace('\n', &format!("\n{}", "  ".repeat(depth))));
            } else {
                out.push_str(&to_text(&tree, layout.escape));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_on_one_line_or_many() {
        let value = Value::map([("b", Value::list([Value::Int(1), Value::Nil])), ("a", Value::from("<é>"))]);
        let line = Layout { escape: Escape::Html, pretty: false };
        assert_eq!(write(&value, line).expect("JSON"), r#"{"a":"\u003cé\u003e","b":[1,null]}"#);
        let pretty = Layout { escape: Escape::Plain, pretty: true };
        assert_eq!(write(&value, pretty).expect("JSON"), "{\n  \"a\": \"<é>\",\n  \"b\": [\n    1,\n    null\n  ]\n}");
    }

    #[test]
    fn what_json_cannot_hold_is_told() {
        let line = Layout { escape: Escape::Html, pretty: false };
        let error = write(&Value::Float(f64::NAN), line).expect_err("NaN");
        assert_eq!(error.to_string(), "json: unsupported value: NaN");
    }
}
