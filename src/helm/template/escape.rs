//! The escapers of Go's `html`, `js` and `urlquery`.

use crate::value::quote::{decode_rune, is_print};

pub(super) fn html_escape(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for byte in text {
        match byte {
            0 => out.extend_from_slice("\u{FFFD}".as_bytes()),
            b'"' => out.extend_from_slice(b"&#34;"),
            b'\'' => out.extend_from_slice(b"&#39;"),
            b'&' => out.extend_from_slice(b"&amp;"),
            b'<' => out.extend_from_slice(b"&lt;"),
            b'>' => out.extend_from_slice(b"&gt;"),
            other => out.push(*other),
        }
    }
    out
}

pub(super) fn js_escape(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        let (c, length) = decode_rune(&text[at..]);
        match c {
            '\\' => out.extend_from_slice(br"\\"),
            '\'' => out.extend_from_slice(br"\'"),
            '"' => out.extend_from_slice(br#"\""#),
            '<' | '>' | '&' | '=' | '\0'..' ' => out.extend_from_slice(format!("\\u{:04X}", u32::from(c)).as_bytes()),
            c if c.is_ascii() => out.push(text[at]),
            c if is_print(c) => out.extend_from_slice(&text[at..at + length]),
            c => out.extend_from_slice(format!("\\u{:04X}", u32::from(c)).as_bytes()),
        }
        at += length;
    }
    out
}

pub(super) fn query_escape(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for byte in text {
        match byte {
            b' ' => out.push(b'+'),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(*byte),
            other => out.extend_from_slice(format!("%{other:02X}").as_bytes()),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapers_write_go_s_forms() {
        assert_eq!(html_escape(b"<a b=\"'&\0>"), "&lt;a b=&#34;&#39;&amp;\u{FFFD}&gt;".as_bytes());
        assert_eq!(
            js_escape("'\"\\<=\u{1}\u{e9}\u{2028}".as_bytes()),
            "\\'\\\"\\\\\\u003C\\u003D\\u0001\u{e9}\\u2028".as_bytes()
        );
        assert_eq!(query_escape("a b/\u{e9}~".as_bytes()), b"a+b%2F%C3%A9~");
    }
}
