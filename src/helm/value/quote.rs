//! Go's `strconv.Quote` and `Unquote`, and the character classes they need.

use crate::runes::ERROR as RUNE_ERROR;
pub use crate::runes::{decode as decode_rune, is_digit, is_letter, is_printable as is_print};

/// Counts characters as Go's `utf8.RuneCount`: each invalid byte is one.
pub fn rune_count(text: &[u8]) -> usize {
    let (mut at, mut count) = (0, 0);
    while at < text.len() {
        at += decode_rune(&text[at..]).1;
        count += 1;
    }
    count
}

/// Appends the text as a double-quoted Go literal; with `ascii` everything beyond ASCII is escaped.
pub fn quote(out: &mut Vec<u8>, text: &[u8], ascii: bool) {
    out.push(b'"');
    let mut at = 0;
    while at < text.len() {
        let (c, length) = decode_rune(&text[at..]);
        if c == RUNE_ERROR && length == 1 {
            out.extend_from_slice(format!("\\x{:02x}", text[at]).as_bytes());
        } else {
            escape(out, c, b'"', ascii);
        }
        at += length;
    }
    out.push(b'"');
}

/// Appends the character as a single-quoted Go literal; with `ascii` everything beyond ASCII is escaped.
pub fn quote_rune(out: &mut Vec<u8>, c: char, ascii: bool) {
    out.push(b'\'');
    escape(out, c, b'\'', ascii);
    out.push(b'\'');
}

/// Returns the text as a double-quoted Go literal.
pub fn quoted(text: &[u8]) -> String {
    let mut out = Vec::with_capacity(text.len() + 2);
    quote(&mut out, text, false);
    // The quoted form is always UTF-8.
    String::from_utf8_lossy(&out).into_owned()
}

fn escape(out: &mut Vec<u8>, c: char, quote: u8, ascii: bool) {
    if c == char::from(quote) || c == '\\' {
        out.push(b'\\');
        out.push(c as u8);
        return;
    }
    if is_print(c) && (c.is_ascii() || !ascii) {
        out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        return;
    }
    let text = match c {
        '\x07' => "\\a".into(),
        '\x08' => "\\b".into(),
        '\x0c' => "\\f".into(),
        '\n' => "\\n".into(),
        '\r' => "\\r".into(),
        '\t' => "\\t".into(),
        '\x0b' => "\\v".into(),
        '\0'..' ' | '\x7f' => format!("\\x{:02x}", u32::from(c)),
        '\x7e'..='\u{FFFF}' => format!("\\u{:04x}", u32::from(c)),
        _ => format!("\\U{:08x}", u32::from(c)),
    };
    out.extend_from_slice(text.as_bytes());
}

/// `strconv.CanBackquote`: whether the text can stand in back quotes unchanged.
pub fn can_backquote(text: &[u8]) -> bool {
    let mut at = 0;
    while at < text.len() {
        let (c, length) = decode_rune(&text[at..]);
        at += length;
        let fits = match length {
            1 => c != RUNE_ERROR && (c == '\t' || c >= ' ') && c != '`' && c != '\x7f',
            _ => c != '\u{FEFF}',
        };
        if !fits {
            return false;
        }
    }
    true
}

/// `strconv.Unquote` of a double-quoted or back-quoted literal; `None` is Go's "invalid syntax".
pub fn unquote(literal: &[u8]) -> Option<Vec<u8>> {
    let (&quote, rest) = literal.split_first()?;
    let (&end, body) = rest.split_last()?;
    if end != quote {
        return None;
    }
    match quote {
        b'`' => (!body.contains(&b'`')).then(|| body.iter().copied().filter(|b| *b != b'\r').collect()),
        b'"' => {
            if body.contains(&b'\n') {
                return None;
            }
            let mut out = Vec::with_capacity(body.len());
            let mut rest = body;
            while !rest.is_empty() {
                if rest[0] == b'"' {
                    return None;
                }
                let (unit, tail) = unquote_char(rest, b'"')?;
                match unit {
                    Unit::Byte(byte) => out.push(byte),
                    Unit::Char(c) => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
                }
                rest = tail;
            }
            Some(out)
        }
        _ => None,
    }
}

/// What one element of a quoted literal stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Byte(u8),
    Char(char),
}

/// `strconv.UnquoteChar`: the first element of a quoted text, and what follows it.
pub fn unquote_char(text: &[u8], quote: u8) -> Option<(Unit, &[u8])> {
    let &first = text.first()?;
    if first == quote {
        return None;
    }
    if first != b'\\' {
        let (c, length) = decode_rune(text);
        return Some((Unit::Char(c), &text[length..]));
    }
    let (&kind, rest) = text[1..].split_first()?;
    let simple = |byte| Some((Unit::Byte(byte), rest));
    match kind {
        b'a' => simple(0x07),
        b'b' => simple(0x08),
        b'f' => simple(0x0c),
        b'n' => simple(b'\n'),
        b'r' => simple(b'\r'),
        b't' => simple(b'\t'),
        b'v' => simple(0x0b),
        b'\\' => simple(b'\\'),
        b'\'' | b'"' => (kind == quote).then_some((Unit::Byte(kind), rest)),
        b'x' => number(rest, 2, 16).and_then(|(n, rest)| Some((Unit::Byte(u8::try_from(n).ok()?), rest))),
        b'u' => number(rest, 4, 16).and_then(|(n, rest)| Some((Unit::Char(char::from_u32(n)?), rest))),
        b'U' => number(rest, 8, 16).and_then(|(n, rest)| Some((Unit::Char(char::from_u32(n)?), rest))),
        b'0'..=b'7' => number(&text[1..], 3, 8).and_then(|(n, rest)| Some((Unit::Byte(u8::try_from(n).ok()?), rest))),
        _ => None,
    }
}

/// Reads exactly `digits` digits.
fn number(text: &[u8], digits: usize, radix: u32) -> Option<(u32, &[u8])> {
    let (head, rest) = text.split_at_checked(digits)?;
    let mut n: u32 = 0;
    for byte in head {
        n = n.checked_mul(radix)? + char::from(*byte).to_digit(radix)?;
    }
    Some((n, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoting_escapes_as_go_does() {
        for (text, want) in [
            (&b"a\"b\\"[..], r#""a\"b\\""#),
            (b"\x00\x07\n\x7f", r#""\x00\a\n\x7f""#),
            ("h\u{e9}\u{feff}\u{10ffff}".as_bytes(), "\"h\u{e9}\\ufeff\\U0010ffff\""),
            (b"\xff", r#""\xff""#),
        ] {
            assert_eq!(quoted(text), want);
        }
    }

    #[test]
    fn unquoting_takes_every_escape_and_no_other() {
        assert_eq!(unquote(br#""\t\x41\101\u00e9\"""#).as_deref(), Some("\tAA\u{e9}\"".as_bytes()));
        assert_eq!(unquote(b"`a\r\nb`").as_deref(), Some(&b"a\nb"[..]));
        for bad in [&br#""\q""#[..], br#""\'""#, br#""\400""#, br#""\ud800""#, b"\"a", b"\""] {
            assert_eq!(unquote(bad), None, "{}", String::from_utf8_lossy(bad));
        }
    }
}
