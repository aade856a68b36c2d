//! From scalar nodes to JSON's leaves: types by tag and text, base64, and the numbers that JSON can hold.

use std::borrow::Cow;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};
use serde_json::{Number, Value};

use super::Dialect;
use super::error::Error;
use super::parser::{Node, Shape};
use super::resolve::{Scalar, resolve, resolve_as};
use super::scanner::{Result, Style};
use crate::json::float_text;

const TAG_PREFIX: &str = "tag:yaml.org,2002:";
pub(super) const MERGE_TAG: &str = "tag:yaml.org,2002:merge";

/// What is said of a `<<` with anything but mappings.
pub(super) const MERGE_PROBLEM: &str = "map merge requires map or sequence of maps as the value";

/// What stands for a number that JSON cannot hold until its place in the order of keys is known.
const ODD_NUMBERS: [&str; 3] = ["\0NaN", "\0+Inf", "\0-Inf"];

/// A scalar's type by tag and text, and its text.
pub(super) fn typed<'n>(node: &'n Node<'_>, dialect: Dialect) -> Result<(Scalar, Cow<'n, [u8]>)> {
    let text = Cow::Borrowed(&*node.text);
    // In v3 the tag `!` says nothing.
    let tag = node.tag.as_deref().filter(|&tag| dialect == Dialect::V2 || tag != "!");
    let Some(tag) = tag else {
        let plain = matches!(node.shape, Shape::Scalar(Style::Plain));
        let merge = dialect == Dialect::V3 && &*text == b"<<";
        let scalar = if plain && !merge { resolve(&text, dialect) } else { Scalar::Str };
        return Ok((scalar, text));
    };
    let wanted = match tag.strip_prefix(TAG_PREFIX) {
        Some("str") => return Ok((Scalar::Str, text)),
        Some(wanted @ ("bool" | "int" | "float" | "null" | "timestamp")) => wanted,
        Some("binary") => return decode_base64(&text).map(|bytes| (Scalar::Str, bytes.into())),
        _ => return Ok((Scalar::Str, text)),
    };
    let scalar = resolve_as(&text, dialect, wanted == "timestamp");
    match scalar {
        Scalar::Int(n) if wanted == "float" => Ok((Scalar::Float(n as f64), text)),
        _ if scalar.tag()[2..] == *wanted => Ok((scalar, text)),
        _ => {
            let shown = String::from_utf8_lossy(&text);
            Err(Error::unplaced(format!("cannot decode {} `{shown}` as a !!{wanted}", scalar.tag())))
        }
    }
}

/// Go's base64, which skips line breaks and does not look at the bits behind the last byte.
fn decode_base64(text: &[u8]) -> Result<Vec<u8>> {
    const ENGINE: GeneralPurpose =
        GeneralPurpose::new(&STANDARD, GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true));
    let text: Vec<u8> = text.iter().copied().filter(|b| !matches!(b, b'\r' | b'\n')).collect();
    ENGINE.decode(text).map_err(|_| Error::unplaced("!!binary value contains invalid base64 data"))
}

/// A float as JSON's text gives it back: whole numbers become integers where they fit.
pub(super) fn number(n: f64) -> Option<Value> {
    if n.fract() == 0.0 && n.abs() < 1e21 && !(n == 0.0 && n.is_sign_negative()) {
        let text = float_text(n);
        if let Ok(whole) = text.parse::<i64>() {
            return Some(whole.into());
        }
        if let Ok(whole) = text.parse::<u64>() {
            return Some(whole.into());
        }
    }
    Number::from_f64(n).map(Value::Number)
}

/// What stands for a number that [`number`] has no form for.
pub(super) fn odd_number(n: f64) -> Value {
    let name = if n.is_nan() { 0 } else { 1 + usize::from(n < 0.0) };
    Value::String(ODD_NUMBERS[name].into())
}

/// The first number in JSON's order that JSON cannot hold.
pub(super) fn first_odd_number(value: &Value) -> Option<&'static str> {
    match value {
        Value::String(s) => ODD_NUMBERS.into_iter().find(|name| name == s).map(|name| &name[1..]),
        Value::Array(items) => items.iter().find_map(first_odd_number),
        Value::Object(map) => map.values().find_map(first_odd_number),
        _ => None,
    }
}

pub(super) fn is_merge(node: &Node<'_>) -> bool {
    matches!(node.shape, Shape::Scalar(_))
        && &*node.text == b"<<"
        && (node.plain || node.tag.as_deref() == Some(MERGE_TAG))
}
