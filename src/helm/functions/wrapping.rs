//! goutils' line wrapping and abbreviation, which count bytes.

use super::Failure;
use super::arguments::check_len;

/// Wraps at spaces so that lines have at most `width` bytes; a longer word is broken only if `break_words`.
pub fn wrap(text: &[u8], width: i64, newline: &[u8], break_words: bool) -> Result<Vec<u8>, Failure> {
    let newline = if newline.is_empty() { b"\n" } else { newline };
    let width = usize::try_from(width).unwrap_or(0).max(1);
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while text.len() - at > width {
        check_len(out.len())?;
        let rest = &text[at..];
        if rest[0] == b' ' {
            at += 1;
        } else if let Some(space) = rest[..=width].iter().rposition(|c| *c == b' ') {
            put_line(&mut out, &rest[..space], newline);
            at += space + 1;
        } else if break_words {
            put_line(&mut out, &rest[..width], newline);
            at += width;
        } else if let Some(space) = rest[width..].iter().position(|c| *c == b' ') {
            put_line(&mut out, &rest[..width + space], newline);
            at += width + space + 1;
        } else {
            out.extend_from_slice(rest);
            at = text.len();
        }
    }
    out.extend_from_slice(&text[at..]);
    Ok(out)
}

fn put_line(out: &mut Vec<u8>, line: &[u8], newline: &[u8]) {
    out.extend_from_slice(line);
    out.extend_from_slice(newline);
}

/// Shortens to `width` bytes with dots at the end, and at the front if `offset` leaves something out there.
pub fn abbreviate(text: &[u8], offset: i64, width: i64) -> Vec<u8> {
    const DOTS: &[u8] = b"...";
    let len = text.len() as i64;
    if text.is_empty() || width < 4 {
        return Vec::new();
    }
    if len <= width {
        return text.to_vec();
    }
    let mut offset = offset.min(len);
    if len - offset < width - 3 {
        offset = len - (width - 3);
    }
    let kept = (width - 3) as usize;
    if offset <= 4 {
        return [&text[..kept], DOTS].concat();
    }
    if width < 7 {
        return Vec::new();
    }
    if offset + width - 3 < len {
        return [DOTS, &abbreviate(&text[offset as usize..], 0, width - 3)].concat();
    }
    [DOTS, &text[text.len() - kept..]].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_at_spaces() {
        for (text, width, break_words, want) in [
            ("Hello World", 5, false, "Hello\nWorld"),
            ("Hello World", 1, false, "Hello\nWorld"),
            ("Helloworld", 4, true, "Hell\nowor\nld"),
            ("Helloworld", 4, false, "Helloworld"),
            ("a  b  c", 2, false, "a \nb \nc"),
            ("", 3, true, ""),
            ("abc", -1, true, "a\nb\nc"),
        ] {
            let wrapped = wrap(text.as_bytes(), width, b"", break_words).expect("short");
            assert_eq!(String::from_utf8_lossy(&wrapped), want);
        }
    }

    #[test]
    fn a_text_is_shortened_at_one_or_both_ends() {
        assert_eq!(abbreviate(b"hello world", 0, 5), b"he...");
        assert_eq!(abbreviate(b"1234 5678 9123", 5, 10), b"...5678...");
        assert_eq!(abbreviate(b"12345678901", 20, 9), b"...678901");
    }
}
