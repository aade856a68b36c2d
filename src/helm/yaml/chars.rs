//! The character classes of YAML's grammar, over bytes.

const BLANK: u8 = 1;
const BREAK: u8 = 2;
const WORD: u8 = 4;
const HEX: u8 = 8;
/// May be the first byte of a line break of two or three bytes (U+0085, U+2028, U+2029).
const MAYBE_BREAK: u8 = 16;
const END: u8 = 32;
const URI: u8 = 64;
/// Ends a run of characters that are nothing but content of a plain scalar.
const STOPS: u8 = 128;

static CLASS: [u8; 256] = {
    let mut table = [0; 256];
    let mut b = 0;
    while b < 256 {
        table[b] = match b as u8 {
            0 => END | STOPS,
            b' ' | b'\t' => BLANK | STOPS,
            b'\n' | b'\r' => BREAK | STOPS,
            b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F' => WORD | HEX | URI,
            b'g'..=b'z' | b'G'..=b'Z' | b'_' | b'-' => WORD | URI,
            b':' | b'?' | b',' | b'[' | b']' => URI | STOPS,
            b'{' | b'}' => STOPS,
            b';' | b'/' | b'@' | b'&' | b'=' | b'+' | b'$' | b'.' | b'!' | b'~' | b'*' | b'\'' | b'(' | b')' | b'%' => {
                URI
            }
            0xC2 | 0xE2 => MAYBE_BREAK | STOPS,
            0x80.. => STOPS,
            _ => 0,
        };
        b += 1;
    }
    table
};

#[inline]
fn is(b: u8, class: u8) -> bool {
    CLASS[usize::from(b)] & class != 0
}

#[inline]
pub(super) fn is_blank(b: u8) -> bool {
    is(b, BLANK)
}

/// Whether `b` is a letter, a digit, `_` or `-`.
#[inline]
pub(super) fn is_word(b: u8) -> bool {
    is(b, WORD)
}

#[inline]
pub(super) fn is_uri(b: u8) -> bool {
    is(b, URI)
}

#[inline]
pub(super) fn is_hex(b: u8) -> bool {
    is(b, HEX)
}

/// Whether `b` needs a look in the middle of a plain scalar; ASCII content characters do not.
#[inline]
pub(super) fn stops_plain(b: u8) -> bool {
    is(b, STOPS)
}

/// Whether `b` may start a line break, blank or the end: nothing else needs a look in quoted or block text.
#[inline]
pub(super) fn may_end_line(b: u8) -> bool {
    is(b, BREAK | MAYBE_BREAK | END)
}

/// Whether `b` may start a blank, a line break or the end.
#[inline]
pub(super) fn may_end_word(b: u8) -> bool {
    is(b, BLANK | BREAK | MAYBE_BREAK | END)
}

/// Bytes of the line break at the start of `text`, with CR LF as one; 0 if there is none.
#[inline]
pub(super) fn break_width(text: &[u8]) -> usize {
    match text {
        [b'\r', b'\n', ..] => 2,
        [b'\r' | b'\n', ..] => 1,
        [0xC2, 0x85, ..] => 2,
        [0xE2, 0x80, 0xA8 | 0xA9, ..] => 3,
        _ => 0,
    }
}

/// Bytes of the character that `first` starts, 0 if it starts none.
#[inline]
pub(super) fn width(first: u8) -> usize {
    match first {
        0x00..0x80 => 1,
        0xC0..0xE0 => 2,
        0xE0..0xF0 => 3,
        0xF0..0xF8 => 4,
        _ => 0,
    }
}

pub(super) fn hex_value(b: u8) -> u32 {
    char::from(b).to_digit(16).unwrap_or(0)
}
