//! JSON as Go's encoding/json writes and reads it.

mod parse;

use std::fmt::Write;

use serde_json::Value;

pub use parse::{Error, MAX_DEPTH, parse, parse_array, parse_object};

/// Which characters are written as `\u` escapes, beyond those that JSON demands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Escape {
    /// `<`, `>` and `&` too, as Go does unless told otherwise.
    Html,
    /// Only U+2028 and U+2029.
    Plain,
}

/// The text of a float: shortest digits that read back the same, without an exponent between 1e-6 and 1e21.
pub fn float_text(n: f64) -> String {
    let (negative, digits, exponent) = shortest(n);
    let size = n.abs();
    if size != 0.0 && !(1e-6..1e21).contains(&size) {
        let text = exponential(negative, &digits, exponent);
        // e-09 is written e-9.
        match text.rfind("e-0") {
            Some(at) if at + 4 == text.len() => format!("{}{}", &text[..at + 2], &text[at + 3..]),
            _ => text,
        }
    } else {
        positional(negative, &digits, exponent)
    }
}

/// The text of a float in strconv's shortest format `g`: with an exponent below 1e-4 and from 1e6 on.
pub fn float_text_general(n: f64) -> String {
    special(n).unwrap_or_else(|| general(shortest(n)))
}

/// The text of a float rounded to 32 bits, as sigs.k8s.io/yaml writes floats that become keys and texts.
pub fn float_text_32(n: f64) -> String {
    let n = n as f32;
    special(f64::from(n)).unwrap_or_else(|| general(parts(zmij::Buffer::new().format_finite(n))))
}

fn special(n: f64) -> Option<String> {
    match n {
        f64::INFINITY => Some("+Inf".into()),
        f64::NEG_INFINITY => Some("-Inf".into()),
        n if n.is_nan() => Some("NaN".into()),
        _ => None,
    }
}

/// The fewest digits of a positive number that read back the same, and the exponent of the first. Of two equally near
/// texts it is the even one, as in Go; Rust's own formatting takes the larger.
pub fn shortest_digits(n: f64) -> (String, i32) {
    let (_, digits, exponent) = shortest(n);
    (digits, exponent)
}

/// Sign, digits and the exponent of the first digit.
type Parts = (bool, String, i32);

fn shortest(n: f64) -> Parts {
    parts(zmij::Buffer::new().format_finite(n))
}

fn parts(text: &str) -> Parts {
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let significant = digits.trim_start_matches('0');
    if significant.is_empty() {
        return (negative, "0".into(), 0);
    }
    let zeros = digits.len() - significant.len();
    let exponent = exponent.parse::<i32>().unwrap_or(0) + whole.len() as i32 - 1 - zeros as i32;
    (negative, significant.trim_end_matches('0').into(), exponent)
}

fn general((negative, digits, exponent): Parts) -> String {
    if (-4..6).contains(&exponent) {
        positional(negative, &digits, exponent)
    } else {
        exponential(negative, &digits, exponent)
    }
}

/// Digits with an exponent of at least two digits.
fn exponential(negative: bool, digits: &str, exponent: i32) -> String {
    let sign = if negative { "-" } else { "" };
    let (first, rest) = digits.split_at(1);
    let point = if rest.is_empty() { "" } else { "." };
    let exponent_sign = if exponent < 0 { '-' } else { '+' };
    format!("{sign}{first}{point}{rest}e{exponent_sign}{:02}", exponent.abs())
}

fn positional(negative: bool, digits: &str, exponent: i32) -> String {
    let sign = if negative { "-" } else { "" };
    if exponent < 0 {
        let zeros = "0".repeat((-exponent - 1) as usize);
        return format!("{sign}0.{zeros}{digits}");
    }
    let whole = exponent as usize + 1;
    if digits.len() <= whole {
        let zeros = "0".repeat(whole - digits.len());
        format!("{sign}{digits}{zeros}")
    } else {
        let (before, after) = digits.split_at(whole);
        format!("{sign}{before}.{after}")
    }
}

/// Makes a text of bytes, each one that is no UTF-8 replaced by U+FFFD.
pub fn replace_invalid(bytes: Vec<u8>) -> String {
    let bytes = match String::from_utf8(bytes) {
        Ok(text) => return text,
        Err(error) => error.into_bytes(),
    };
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
    text
}

/// Writes a tree on one line.
pub fn to_text(value: &Value, escape: Escape) -> String {
    let mut out = String::new();
    write_compact(&mut out, value, escape);
    out
}

/// Writes a tree over several lines, each level indented by `indent`.
pub fn to_indented_text(value: &Value, indent: &str, escape: Escape) -> String {
    let mut out = String::new();
    write_indented(&mut out, value, escape, indent, 0);
    out
}

fn write_compact(out: &mut String, value: &Value, escape: Escape) {
    match value {
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                out.push_str(if i > 0 { "," } else { "" });
                write_compact(out, item, escape);
            }
            out.push(']');
        }
        Value::Object(map) => {
            out.push('{');
            for (i, (key, item)) in map.iter().enumerate() {
                out.push_str(if i > 0 { "," } else { "" });
                write_string(out, key, escape);
                out.push(':');
                write_compact(out, item, escape);
            }
            out.push('}');
        }
        _ => write_leaf(out, value, escape),
    }
}

fn write_indented(out: &mut String, value: &Value, escape: Escape, indent: &str, depth: usize) {
    let line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.extend(std::iter::repeat_n(indent, depth));
    };
    match value {
        Value::Array(items) if !items.is_empty() => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                out.push_str(if i > 0 { "," } else { "" });
                line(out, depth + 1);
                write_indented(out, item, escape, indent, depth + 1);
            }
            line(out, depth);
            out.push(']');
        }
        Value::Object(map) if !map.is_empty() => {
            out.push('{');
            for (i, (key, item)) in map.iter().enumerate() {
                out.push_str(if i > 0 { "," } else { "" });
                line(out, depth + 1);
                write_string(out, key, escape);
                out.push_str(": ");
                write_indented(out, item, escape, indent, depth + 1);
            }
            line(out, depth);
            out.push('}');
        }
        _ => write_compact(out, value, escape),
    }
}

fn write_leaf(out: &mut String, value: &Value, escape: Escape) {
    match value {
        Value::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
        Value::String(text) => write_string(out, text, escape),
        Value::Number(n) => match n.as_f64() {
            Some(float) if n.is_f64() => out.push_str(&float_text(float)),
            _ => out.push_str(&n.to_string()),
        },
        _ => out.push_str("null"),
    }
}

/// Writes a text in quotes.
pub fn write_string(out: &mut String, text: &str, escape: Escape) {
    out.push('"');
    let mut done = 0;
    for (at, c) in text.char_indices() {
        let short = match c {
            '"' => "\\\"",
            '\\' => "\\\\",
            '\n' => "\\n",
            '\r' => "\\r",
            '\t' => "\\t",
            '\x08' => "\\b",
            '\x0C' => "\\f",
            '\0'..' ' | '\u{2028}' | '\u{2029}' => "",
            '<' | '>' | '&' if escape == Escape::Html => "",
            _ => continue,
        };
        out.push_str(&text[done..at]);
        done = at + c.len_utf8();
        if short.is_empty() {
            // Writing to a String does not fail.
            let _ = write!(out, "\\u{:04x}", u32::from(c));
        } else {
            out.push_str(short);
        }
    }
    out.push_str(&text[done..]);
    out.push('"');
}
