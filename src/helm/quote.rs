//! How `%q` writes texts in Helm's messages.

use crate::value::quote::{quote_rune, quoted};

/// Writes a text in double quotes with Go's escapes.
pub fn quote(text: &str) -> String {
    quoted(text.as_bytes())
}

/// Writes a character in single quotes with Go's escapes.
pub fn quote_char(c: char) -> String {
    let mut out = Vec::new();
    quote_rune(&mut out, c, false);
    String::from_utf8_lossy(&out).into_owned()
}

/// Writes the characters of a text as Go writes a list of runes: `['a' 'b']`.
pub fn quote_chars(text: &str) -> String {
    format!("[{}]", text.chars().map(quote_char).collect::<Vec<_>>().join(" "))
}
