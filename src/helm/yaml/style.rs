//! The style in which go-yaml writes a text, and the writing of it.

use super::Dialect;
use super::chars::{break_width, is_blank, width};
use super::emit::Emitter;
use super::resolve::{Scalar, is_base60, resolve};

/// The style that an encoder asks for; what the text holds may forbid it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    Plain,
    DoubleQuoted,
    Literal,
}

/// The style that the encoder asks for.
pub(super) fn wish(text: &[u8], dialect: Dialect) -> Wish {
    if text.contains(&b'\n') {
        return Wish::Literal;
    }
    let first = text.first().copied().unwrap_or(0);
    let may_be_number = matches!(first, b'0'..=b'9' | b'+' | b'-');
    let is_text = resolve(text, dialect) == Scalar::Str
        && !(may_be_number && is_base60(text))
        && !(dialect == Dialect::V3 && matches!(resolve(text, Dialect::V2), Scalar::Bool(_)));
    if is_text { Wish::Plain } else { Wish::DoubleQuoted }
}

/// Whether a text holds a line break of any kind.
pub(super) fn is_multiline(text: &[u8]) -> bool {
    (0..text.len()).any(|at| break_width(&text[at..]) > 0)
}

/// What a text allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Allowed {
    plain: bool,
    single_quoted: bool,
    block: bool,
}

/// Finds out what a text allows outside of flow collections.
fn analyze(text: &[u8], tabs_in_blocks: bool) -> Allowed {
    if text.is_empty() {
        return Allowed { plain: true, single_quoted: true, block: false };
    }
    let mut indicators = text.starts_with(b"---") || text.starts_with(b"...");
    let (mut breaks, mut special, mut tabs) = (false, false, false);
    let (mut space_first, mut space_last, mut break_last) = (false, false, false);
    let (mut space_after_break, mut break_after_space) = (false, false);
    let (mut after_space, mut after_break, mut after_blank) = (false, false, true);
    let mut at = 0;
    while at < text.len() {
        let byte = text[at];
        let size = width(byte).max(1);
        let blank_follows = text.get(at + size).is_none_or(|&b| is_blank(b));
        indicators |= match byte {
            b'#' => after_blank,
            b',' | b'[' | b']' | b'{' | b'}' | b'&' | b'*' | b'!' | b'|' | b'>' | b'\'' | b'"' | b'%' | b'@' | b'`' => {
                at == 0
            }
            b'?' | b'-' => at == 0 && blank_follows,
            b':' => blank_follows,
            _ => false,
        };
        let is_break = break_width(&text[at..]) > 0;
        if byte == b'\t' && tabs_in_blocks {
            tabs = true;
        } else if !is_printable(&text[at..]) {
            special = true;
        }
        let last = at + size == text.len();
        if byte == b' ' {
            space_first |= at == 0;
            space_last |= last;
            space_after_break |= after_break;
        } else if is_break {
            breaks = true;
            break_last |= last;
            break_after_space |= after_space;
        }
        after_space = byte == b' ';
        after_break = is_break;
        after_blank = is_blank(byte) || is_break;
        at += size;
    }
    let whole = !(break_after_space || special);
    let quotable = whole && !space_after_break && !tabs;
    Allowed {
        plain: quotable && !(space_first || space_last || break_last || breaks || indicators),
        single_quoted: quotable,
        block: whole && !space_last,
    }
}

/// Whether go-yaml writes the character at the start of `text` as it is.
fn is_printable(text: &[u8]) -> bool {
    match text {
        [0x0A | 0x20..=0x7E, ..] => true,
        [0xC2, second, ..] => *second >= 0xA0,
        [0xC3..=0xEC, ..] => true,
        [0xED, second, ..] => *second < 0xA0,
        [0xEE, ..] => true,
        [0xEF, 0xBB, 0xBF, ..] => false,
        [0xEF, 0xBF, 0xBE | 0xBF, ..] => false,
        [0xEF, ..] => true,
        _ => false,
    }
}

/// Writes a text in the style nearest to the one asked for; a key stays on its line.
pub(super) fn write(out: &mut Emitter<'_>, text: &str, wish: Wish, key: bool) {
    let bytes = text.as_bytes();
    let allowed = analyze(bytes, out.tabs_in_blocks());
    match wish {
        Wish::Literal if allowed.block && !key => write_literal(out, bytes),
        Wish::Plain if allowed.plain && !(key && text.is_empty()) => write_plain(out, bytes, key),
        Wish::Plain if allowed.single_quoted => write_single_quoted(out, bytes, key),
        _ => write_double_quoted(out, text, key),
    }
}

/// Copies text without blanks that may be folded and without line breaks; the caller sees to the rest.
fn copy(out: &mut Emitter<'_>, text: &[u8]) {
    out.out.extend_from_slice(text);
    out.column += super::reader::count_chars(text);
}

fn write_plain(out: &mut Emitter<'_>, text: &[u8], key: bool) {
    out.separate();
    if key || out.column.saturating_add(text.len()) <= out.width() {
        copy(out, text);
    } else {
        // Plain text has no two blanks at its ends and no line breaks.
        write_folded(out, text, 0, text.len());
    }
    out.end_text(false);
    out.in_indentation = false;
}

/// Copies text, with a line break in place of each single blank behind the last column that lies in `from..to`.
fn write_folded(out: &mut Emitter<'_>, text: &[u8], from: usize, to: usize) {
    let mut after_space = false;
    let mut done = 0;
    for at in 0..text.len() {
        if text[at] != b' ' {
            after_space = false;
            continue;
        }
        copy(out, &text[done..at]);
        done = at;
        let single = !after_space && text.get(at + 1) != Some(&b' ');
        if single && out.column > out.width() && (from..to).contains(&at) {
            out.in_indentation = false;
            out.start_line();
            done = at + 1;
        }
        after_space = true;
    }
    copy(out, &text[done..]);
}

fn write_single_quoted(out: &mut Emitter<'_>, text: &[u8], key: bool) {
    out.indicator(b"'");
    let simple = !text.contains(&b'\'') && !is_multiline(text);
    if simple && (key || out.column.saturating_add(text.len()) <= out.width()) {
        copy(out, text);
    } else {
        write_single_quoted_text(out, text, key);
    }
    out.raw(b"'");
    out.end_text(false);
    out.in_indentation = false;
}

fn write_single_quoted_text(out: &mut Emitter<'_>, text: &[u8], key: bool) {
    let (mut after_space, mut after_break) = (false, false);
    let mut at = 0;
    while at < text.len() {
        let size = width(text[at]).max(1);
        if text[at] == b' ' {
            let single = !after_space && text.get(at + 1) != Some(&b' ');
            if !key && single && out.column > out.width() && at > 0 && at < text.len() - 1 {
                out.start_line();
            } else {
                out.raw(b" ");
            }
            after_space = true;
        } else if break_width(&text[at..]) > 0 {
            if !after_break && text[at] == b'\n' {
                out.line_break();
            }
            write_break(out, &text[at..at + size]);
            after_break = true;
        } else {
            if after_break {
                out.start_line();
            }
            if text[at] == b'\'' {
                out.raw(b"'");
            }
            copy(out, &text[at..at + size]);
            out.in_indentation = false;
            (after_space, after_break) = (false, false);
        }
        at += size;
    }
}

/// Writes a line break that is part of a text.
fn write_break(out: &mut Emitter<'_>, text: &[u8]) {
    if text == b"\n" {
        out.line_break();
    } else {
        out.out.extend_from_slice(text);
        out.column = 0;
    }
    out.in_indentation = true;
}

fn write_double_quoted(out: &mut Emitter<'_>, text: &str, key: bool) {
    out.indicator(b"\"");
    // go-yaml takes each character of a text that starts with a byte order mark for one.
    let escape_all = text.starts_with('\u{FEFF}');
    let bytes = text.as_bytes();
    let mut after_space = false;
    for (at, c) in text.char_indices() {
        let rest = &bytes[at..];
        if escape_all || matches!(c, '"' | '\\') || !is_printable(rest) || break_width(rest) > 0 {
            write_escape(out, c);
            after_space = false;
        } else if c == ' ' {
            if !key && !after_space && out.column > out.width() && at > 0 && at < bytes.len() - 1 {
                out.start_line();
                if rest.get(1) == Some(&b' ') {
                    out.raw(b"\\");
                }
            } else {
                out.raw(b" ");
            }
            after_space = true;
        } else {
            copy(out, &rest[..c.len_utf8()]);
            after_space = false;
        }
    }
    out.raw(b"\"");
    out.end_text(false);
    out.in_indentation = false;
}

fn write_escape(out: &mut Emitter<'_>, c: char) {
    let short = match c {
        '\0' => "\\0",
        '\x07' => "\\a",
        '\x08' => "\\b",
        '\t' => "\\t",
        '\n' => "\\n",
        '\x0B' => "\\v",
        '\x0C' => "\\f",
        '\r' => "\\r",
        '\x1B' => "\\e",
        '"' => "\\\"",
        '\\' => "\\\\",
        '\u{85}' => "\\N",
        '\u{A0}' => "\\_",
        '\u{2028}' => "\\L",
        '\u{2029}' => "\\P",
        _ => "",
    };
    let code = u32::from(c);
    match code {
        _ if !short.is_empty() => out.raw(short.as_bytes()),
        ..=0xFF => out.raw(format!("\\x{code:02X}").as_bytes()),
        0x100..=0xFFFF => out.raw(format!("\\u{code:04X}").as_bytes()),
        _ => out.raw(format!("\\U{code:08X}").as_bytes()),
    }
}

fn write_literal(out: &mut Emitter<'_>, text: &[u8]) {
    out.indicator(b"|");
    if text[0] == b' ' || break_width(text) > 0 {
        out.raw(b"2");
    }
    out.raw(chomp_hint(text));
    out.line_break();
    out.in_indentation = true;
    out.end_text(true);
    let mut after_break = true;
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        if break_width(rest) > 0 {
            let size = width(rest[0]);
            write_break(out, &rest[..size]);
            after_break = true;
            at += size;
        } else {
            if after_break {
                out.start_line();
            }
            let end = (1..rest.len()).find(|&i| break_width(&rest[i..]) > 0).unwrap_or(rest.len());
            copy(out, &rest[..end]);
            out.in_indentation = false;
            after_break = false;
            at += end;
        }
    }
}

/// How the end of a literal block is to be read.
fn chomp_hint(text: &[u8]) -> &'static [u8] {
    let last = |text: &[u8]| text.len() - text.iter().rposition(|b| b & 0xC0 != 0x80).unwrap_or(0);
    let before = text.len() - last(text);
    if break_width(&text[before..]) == 0 {
        b"-"
    } else if before == 0 || break_width(&text[before - last(&text[..before])..]) > 0 {
        b"+"
    } else {
        b""
    }
}
