//! Writing: plain keys before tables, both sorted, tables indented by two under their parent.

use crate::functions::arguments::{ZERO_VALUE, check_len, elements};
use crate::functions::clock::{Time, Zone};
use crate::functions::times::Duration;
use crate::functions::{Failure, layouts};
use crate::value::{Kind, MAX_DEPTH, Str, Value, format_g};

type Result<T> = std::result::Result<T, Failure>;

/// The kinds of TOML values that the order and form of the output depend on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Nil, which is left out.
    Nothing,
    Plain,
    Array,
    Table,
    /// A list of tables only.
    Tables,
}

struct Emitter {
    out: Vec<u8>,
}

/// Writes a document, or a lone value as it stands in a document.
pub fn emit(value: &Value) -> Result<Vec<u8>> {
    if value.is_nil() {
        return Err(Failure::message(ZERO_VALUE));
    }
    // A table leaves a nil list out; by itself it is an empty one.
    if matches!(value, Value::List(list) if list.is_nil()) {
        return Ok(b"[]".to_vec());
    }
    let mut emitter = Emitter { out: Vec::new() };
    emitter.encode(&[], value)?;
    Ok(emitter.out)
}

fn fault<T>(text: &str) -> Result<T> {
    Err(Failure::message(text))
}

fn form(value: &Value, depth: usize) -> Result<Form> {
    if depth > MAX_DEPTH {
        return Err(Failure::limit(format!("a value nested deeper than {MAX_DEPTH} cannot be written as TOML")));
    }
    Ok(match value {
        Value::Nil => Form::Nothing,
        Value::Map(map) if map.is_nil() => Form::Nothing,
        Value::List(list) if list.is_nil() => Form::Nothing,
        Value::Map(_) => Form::Table,
        Value::List(_) | Value::Bytes(_) => array_form(value, depth)?,
        Value::Complex(..) => return fault("unsupported type: complex128"),
        Value::Obj(_) if is_text(value) => Form::Plain,
        Value::Obj(object) if is_table(object.kind()) => Form::Table,
        Value::Obj(object) if object.kind() == Kind::Slice => array_form(value, depth)?,
        _ => Form::Plain,
    })
}

/// Says whether a list is one of tables. A nil among its elements cannot be written.
fn array_form(value: &Value, depth: usize) -> Result<Form> {
    let items = elements(value).unwrap_or_default();
    let mut tables = !items.is_empty();
    for item in items.iter() {
        match form(item, depth + 1)? {
            Form::Nothing => return fault("toml: cannot encode array with nil element"),
            Form::Table => {}
            _ => tables = false,
        }
    }
    Ok(if tables { Form::Tables } else { Form::Array })
}

/// A named map, a struct, or a pointer to one.
fn is_table(kind: Kind) -> bool {
    matches!(kind, Kind::Map | Kind::Struct | Kind::Ptr)
}

/// Objects that write themselves as one text.
fn is_text(value: &Value) -> bool {
    match value {
        Value::Obj(object) => {
            value.downcast::<Time>().is_some()
                || value.downcast::<Duration>().is_some()
                || object.type_name().trim_start_matches('*') == "semver.Version"
        }
        _ => false,
    }
}

/// Returns the entries of a map or the fields of a struct.
fn entries(value: &Value) -> Vec<(Str, Value)> {
    match value {
        Value::Map(map) => map.entries(),
        Value::Obj(object) => {
            if let Some(Value::Map(map)) = object.underlying() {
                return map.entries();
            }
            let fields = object.fields().into_iter();
            let exported = fields.filter(|(name, _)| name.starts_with(|c: char| c.is_ascii_uppercase()));
            exported.map(|(name, field)| (name.into(), field)).collect()
        }
        _ => Vec::new(),
    }
}

fn is_bare(key: &[u8]) -> bool {
    !key.is_empty() && key.iter().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'_' | b'-'))
}

fn quoted(text: &[u8]) -> Vec<u8> {
    let mut out = vec![b'"'];
    for c in text {
        match c {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            8 => out.extend_from_slice(b"\\b"),
            b'\t' => out.extend_from_slice(b"\\t"),
            b'\n' => out.extend_from_slice(b"\\n"),
            12 => out.extend_from_slice(b"\\f"),
            b'\r' => out.extend_from_slice(b"\\r"),
            0..0x20 | 0x7f => out.extend_from_slice(format!("\\u{c:04x}").as_bytes()),
            _ => out.push(*c),
        }
    }
    out.push(b'"');
    out
}

fn key_text(key: &[u8]) -> Vec<u8> {
    if is_bare(key) {
        return key.to_vec();
    }
    quoted(key)
}

/// Writes a path of keys with dots.
pub(super) fn path_text(path: &[Str]) -> Vec<u8> {
    path.iter().map(|key| key_text(key)).collect::<Vec<_>>().join(&b'.')
}

impl Emitter {
    fn encode(&mut self, path: &[Str], value: &Value) -> Result<()> {
        check_len(self.out.len())?;
        match form(value, path.len())? {
            Form::Nothing => Ok(()),
            Form::Plain | Form::Array => self.key_value(path, value, false),
            Form::Tables => self.tables(path, value),
            Form::Table => {
                if path.len() == 1 {
                    self.newline();
                }
                if !path.is_empty() {
                    self.header(path, "[", "]");
                }
                self.table(path, value, false)
            }
        }
    }

    fn newline(&mut self) {
        if !self.out.is_empty() {
            self.out.push(b'\n');
        }
    }

    fn indent(&mut self, path: &[Str]) {
        let width = 2 * path.len().saturating_sub(1);
        self.out.resize(self.out.len() + width, b' ');
    }

    fn header(&mut self, path: &[Str], open: &str, close: &str) {
        self.indent(path);
        self.out.extend_from_slice(open.as_bytes());
        self.out.extend(path_text(path));
        self.out.extend_from_slice(close.as_bytes());
        self.newline();
    }

    fn tables(&mut self, path: &[Str], value: &Value) -> Result<()> {
        if path.is_empty() {
            return fault("toml: top-level values must be Go maps or structs");
        }
        for item in elements(value).unwrap_or_default().iter() {
            self.newline();
            self.header(path, "[[", "]]");
            self.table(path, item, false)?;
        }
        Ok(())
    }

    /// Writes what is in a table: plain keys, then sub-tables.
    fn table(&mut self, path: &[Str], value: &Value, inline: bool) -> Result<()> {
        let (mut plain, mut sub) = (Vec::new(), Vec::new());
        for (key, value) in entries(value) {
            let is_sub = matches!(form(&value, path.len())?, Form::Table | Form::Tables);
            if is_sub { sub.push((key, value)) } else { plain.push((key, value)) }
        }
        if inline {
            self.out.push(b'{');
        }
        let comma_after = !sub.is_empty();
        self.keys(path, &plain, inline, comma_after)?;
        self.keys(path, &sub, inline, false)?;
        if inline {
            self.out.push(b'}');
        }
        Ok(())
    }

    fn keys(&mut self, path: &[Str], keys: &[(Str, Value)], inline: bool, comma_after: bool) -> Result<()> {
        for (at, (key, value)) in keys.iter().enumerate() {
            if form(value, path.len())? == Form::Nothing {
                continue;
            }
            if !inline {
                self.encode(&[path, std::slice::from_ref(key)].concat(), value)?;
                continue;
            }
            self.key_value(std::slice::from_ref(key), value, true)?;
            // A nil at the end leaves the comma before it.
            if comma_after || at + 1 != keys.len() {
                self.out.extend_from_slice(b", ");
            }
        }
        Ok(())
    }

    fn key_value(&mut self, path: &[Str], value: &Value, inline: bool) -> Result<()> {
        let Some(key) = path.last() else { return self.element(value, 0) };
        self.indent(path);
        self.out.extend(key_text(key));
        self.out.extend_from_slice(b" = ");
        self.element(value, path.len())?;
        if !inline {
            self.newline();
        }
        Ok(())
    }

    fn element(&mut self, value: &Value, depth: usize) -> Result<()> {
        if depth > MAX_DEPTH {
            return Err(Failure::limit(format!("a value nested deeper than {MAX_DEPTH} cannot be written as TOML")));
        }
        check_len(self.out.len())?;
        match value {
            Value::Str(text) => self.out.extend(quoted(text)),
            Value::Float(number) => self.out.extend(float(*number)),
            Value::List(_) | Value::Bytes(_) => self.array(value, depth)?,
            Value::Map(_) => self.table(&[], value, true)?,
            Value::Obj(object) => {
                if let Some(time) = value.downcast::<Time>() {
                    self.out.extend(date(time));
                } else if is_text(value) {
                    self.out.extend(quoted(&object.string().unwrap_or_default()));
                } else if object.kind() == Kind::Slice {
                    self.array(value, depth)?;
                } else if is_table(object.kind()) {
                    self.table(&[], value, true)?;
                } else {
                    self.element(&object.underlying().unwrap_or_default(), depth + 1)?;
                }
            }
            Value::Nil => return fault("unexpected type: <nil>"),
            plain => self.out.extend_from_slice(&plain.to_text()?),
        }
        Ok(())
    }

    fn array(&mut self, value: &Value, depth: usize) -> Result<()> {
        self.out.push(b'[');
        for (at, item) in elements(value).unwrap_or_default().iter().enumerate() {
            if at > 0 {
                self.out.extend_from_slice(b", ");
            }
            self.element(item, depth + 1)?;
        }
        self.out.push(b']');
        Ok(())
    }
}

/// Writes a float, always with a point or an exponent.
fn float(number: f64) -> Vec<u8> {
    let negative = if number.is_sign_negative() { "-" } else { "" };
    if number.is_nan() {
        return format!("{negative}nan").into_bytes();
    }
    if number.is_infinite() {
        return format!("{negative}inf").into_bytes();
    }
    let mut out = Vec::new();
    format_g(&mut out, number);
    if !out.iter().any(|c| matches!(c, b'.' | b'e')) {
        out.extend_from_slice(b".0");
    }
    out
}

fn date(time: &Time) -> Vec<u8> {
    let layout = match &time.zone {
        Zone::Fixed { name, .. } if &**name == "datetime-local" => "2006-01-02T15:04:05.999999999",
        Zone::Fixed { name, .. } if &**name == "date-local" => "2006-01-02",
        Zone::Fixed { name, .. } if &**name == "time-local" => "15:04:05.999999999",
        _ => layouts::RFC3339_NANO,
    };
    layouts::format(time, layout.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_quoted_when_they_must_be() {
        assert_eq!(path_text(&["a".into(), "b.c".into(), "".into()]), br#"a."b.c"."""#);
    }

    #[test]
    fn floats_have_a_point() {
        for (number, want) in [(1.0, "1.0"), (1e6, "1e+06"), (-0.0, "-0.0"), (f64::NEG_INFINITY, "-inf")] {
            assert_eq!(float(number), want.as_bytes());
        }
    }
}
