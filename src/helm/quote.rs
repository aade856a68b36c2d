//! Go's `strconv.Quote`: how `%q` writes a text in Helm's messages.

use std::fmt::Write;

/// Writes a text in double quotes with Go's escapes.
pub fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    text.chars().for_each(|c| push_char(&mut out, c, '"'));
    out.push('"');
    out
}

/// Writes the characters of a text as Go's `%q` writes a list of runes: `['a' 'b']`.
pub fn quote_chars(text: &str) -> String {
    let mut out = String::from("[");
    for (i, c) in text.chars().enumerate() {
        out.push_str(if i == 0 { "'" } else { " '" });
        push_char(&mut out, c, '\'');
        out.push('\'');
    }
    out.push(']');
    out
}

fn push_char(out: &mut String, c: char, delimiter: char) {
    match c {
        c if c == delimiter => out.extend(['\\', c]),
        '\\' => out.push_str("\\\\"),
        '\x07' => out.push_str("\\a"),
        '\x08' => out.push_str("\\b"),
        '\x0c' => out.push_str("\\f"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\x0b' => out.push_str("\\v"),
        ' ' => out.push(' '),
        c if c < ' ' || c == '\x7f' => push_hex(out, 'x', 2, c),
        c if is_printable(c) => out.push(c),
        c if u32::from(c) < 0x10000 => push_hex(out, 'u', 4, c),
        c => push_hex(out, 'U', 8, c),
    }
}

fn push_hex(out: &mut String, letter: char, width: usize, c: char) {
    write!(out, "\\{letter}{:0width$x}", u32::from(c)).expect("writing to a String cannot fail");
}

/// Says whether Go prints the character as it is; space, control and format characters are escaped.
fn is_printable(c: char) -> bool {
    let n = u32::from(c);
    let format = matches!(n, 0xad | 0x600..=0x605 | 0x61c | 0x6dd | 0x70f | 0x180e | 0xfeff | 0xfff9..=0xfffb)
        || matches!(n, 0x200b..=0x200f | 0x202a..=0x202e | 0x2060..=0x206f | 0xe0000..=0xe0fff);
    let private = matches!(n, 0xe000..=0xf8ff | 0xf0000..=0x10_ffff);
    let separator = matches!(n, 0x2028 | 0x2029) || c.is_whitespace();
    !(c.is_control() || format || private || separator || n & 0xfffe == 0xfffe)
}

#[cfg(test)]
mod tests {
    use super::quote;

    #[test]
    fn control_and_invisible_characters_are_escaped() {
        for (text, expected) in [
            ("a b", r#""a b""#),
            ("q\"\\", r#""q\"\\""#),
            ("\n\t\x01\x7f", r#""\n\t\x01\x7f""#),
            ("é世", "\"é世\""),
            ("\u{a0}\u{feff}\u{10fffd}", r#""\u00a0\ufeff\U0010fffd""#),
        ] {
            assert_eq!(quote(text), expected);
        }
    }
}
