//! How `%q` writes texts in Helm's messages.

use crate::value::quote::{can_backquote, quote_rune, quoted};

/// Writes a text in double quotes with Go's escapes.
pub fn quote(text: &str) -> String {
    quoted(text.as_bytes())
}

/// Writes a text in back quotes if it can stand there, else in double quotes.
pub fn quote_back(text: &[u8]) -> String {
    match std::str::from_utf8(text) {
        Ok(plain) if can_backquote(text) => format!("`{plain}`"),
        _ => quoted(text),
    }
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

/// Quotes as package time does: bytes beyond ASCII and control characters as `\x`.
pub fn quote_for_time(text: &[u8]) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for byte in text {
        match byte {
            b'"' | b'\\' => {
                out.push('\\');
                out.push(char::from(*byte));
            }
            b' '..=0x7f => out.push(char::from(*byte)),
            _ => out.extend(["\\x", &format!("{byte:02x}")]),
        }
    }
    out.push('"');
    out
}
