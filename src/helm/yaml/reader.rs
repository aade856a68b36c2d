//! The bytes a scanner may see: go-yaml reads its input in pieces of 512 bytes and checks each piece as a whole, so a
//! forbidden character is reported when its piece is needed, before anything else that is wrong in the same piece.

use std::borrow::Cow;

use super::error::Error;

/// Size of the pieces in which go-yaml reads and checks its input, in bytes.
const PIECE: usize = 512;

pub(super) const BOM: &[u8] = b"\xEF\xBB\xBF";

/// A text in UTF-8.
pub(super) struct Input<'a> {
    pub(super) text: Cow<'a, [u8]>,
    /// Where it starts, behind a byte order mark.
    pub(super) start: usize,
    /// What reading past the text gives.
    pub(super) at_end: Option<Error>,
}

/// Gives UTF-8 text for any of the encodings YAML knows.
pub(super) fn to_utf8(input: &[u8]) -> Input<'_> {
    let wide: fn([u8; 2]) -> u16 = match input {
        [0xFF, 0xFE, ..] => u16::from_le_bytes,
        [0xFE, 0xFF, ..] => u16::from_be_bytes,
        _ => {
            let start = if input.starts_with(BOM) { BOM.len() } else { 0 };
            return Input { text: Cow::Borrowed(input), start, at_end: None };
        }
    };
    let mut text = String::with_capacity(input.len());
    let mut units = input[2..].chunks(2).map(|pair| <[u8; 2]>::try_from(pair).map(wide));
    let problem = loop {
        let unit = match units.next() {
            None => break None,
            Some(Err(_)) => break Some("incomplete UTF-16 character"),
            Some(Ok(unit)) => unit,
        };
        let code = match unit & 0xFC00 {
            0xDC00 => break Some("unexpected low surrogate area"),
            0xD800 => match units.next() {
                Some(Ok(low)) if low & 0xFC00 == 0xDC00 => {
                    0x1_0000 + (u32::from(unit & 0x3FF) << 10) + u32::from(low & 0x3FF)
                }
                Some(Ok(_)) => break Some("expected low surrogate area"),
                _ => break Some("incomplete UTF-16 surrogate pair"),
            },
            _ => u32::from(unit),
        };
        match char::from_u32(code) {
            Some(c) => text.push(c),
            None => break Some("control characters are not allowed"),
        }
    };
    Input { text: Cow::Owned(text.into_bytes()), start: 0, at_end: problem.map(Error::unplaced) }
}

/// The checked part of a text, which grows piece by piece.
pub(super) struct Reader<'a> {
    /// The text whole, checked or not.
    pub(super) text: &'a [u8],
    /// End of the checked part.
    pub(super) checked: usize,
    /// End of the pieces read so far; a character cut by it waits for the next piece.
    read: usize,
    /// Where go-yaml's buffer starts; it looks for a byte order mark there and nowhere else.
    pub(super) base: usize,
    /// NUL characters that go-yaml has put behind the end of the text.
    nuls: usize,
    ended: bool,
    /// What reading past the text gives.
    at_end: Option<Error>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(input: &'a Input<'_>) -> Self {
        let Input { text, start, at_end } = input;
        // The byte order mark is part of the first piece.
        let read = if *start > 0 { text.len().min(PIECE) } else { 0 };
        Reader { text, checked: *start, read, base: *start, nuls: 0, ended: false, at_end: at_end.clone() }
    }

    /// The byte at `at`, NUL behind the end.
    #[inline]
    pub(super) fn at(&self, at: usize) -> u8 {
        self.text.get(at).copied().unwrap_or(0)
    }

    /// Makes `wanted` characters from `from` on readable, reading on where there are fewer.
    #[cold]
    pub(super) fn fill(&mut self, from: usize, wanted: usize) -> Result<(), Error> {
        let from = from.min(self.checked);
        let mut unread = count_chars(&self.text[from..self.checked]) + self.nuls;
        if unread >= wanted {
            return Ok(());
        }
        self.base = from;
        let mut first = true;
        while unread < wanted {
            if !first || self.checked == self.read {
                self.read_piece();
            }
            first = false;
            let start = self.checked;
            self.check()?;
            unread += count_chars(&self.text[start..self.checked]);
            if self.ended {
                if let Some(error) = &self.at_end {
                    return Err(error.clone());
                }
                self.nuls += 1;
                break;
            }
        }
        Ok(())
    }

    fn read_piece(&mut self) {
        if self.read == self.text.len() {
            self.ended = true;
        } else {
            self.read = self.text.len().min(self.checked + PIECE);
        }
    }

    /// Checks what was read and not yet checked.
    fn check(&mut self) -> Result<(), Error> {
        while self.checked < self.read {
            let rest = &self.text[self.checked..self.read];
            let plain = rest.iter().position(|&b| !PLAIN[usize::from(b)]).unwrap_or(rest.len());
            self.checked += plain;
            let rest = &rest[plain..];
            let Some(&first) = rest.first() else { break };
            let width = match first {
                0x00..0x80 => return Err(Error::unplaced("control characters are not allowed")),
                0xC0..0xE0 => 2,
                0xE0..0xF0 => 3,
                0xF0..0xF8 => 4,
                _ => return Err(Error::unplaced("invalid leading UTF-8 octet")),
            };
            if width > rest.len() {
                if self.ended {
                    return Err(Error::unplaced("incomplete UTF-8 octet sequence"));
                }
                break;
            }
            check_wide(&rest[..width])?;
            self.checked += width;
        }
        Ok(())
    }
}

/// Checks one character of two to four bytes.
fn check_wide(bytes: &[u8]) -> Result<(), Error> {
    let lead = u32::from(bytes[0]) & (0x7F >> bytes.len());
    let mut code = lead;
    for &byte in &bytes[1..] {
        if byte & 0xC0 != 0x80 {
            return Err(Error::unplaced("invalid trailing UTF-8 octet"));
        }
        code = (code << 6) | u32::from(byte & 0x3F);
    }
    let least = [0x80, 0x800, 0x1_0000][bytes.len() - 2];
    if code < least {
        return Err(Error::unplaced("invalid length of a UTF-8 sequence"));
    }
    match code {
        0xD800..=0xDFFF | 0x11_0000.. => Err(Error::unplaced("invalid Unicode character")),
        0x85 | 0xA0..=0xFFFD | 0x1_0000.. => Ok(()),
        _ => Err(Error::unplaced("control characters are not allowed")),
    }
}

pub(super) fn count_chars(text: &[u8]) -> usize {
    text.iter().filter(|&&b| b & 0xC0 != 0x80).count()
}

/// The ASCII characters that YAML allows.
static PLAIN: [bool; 256] = {
    let mut table = [false; 256];
    let mut b = 0x20;
    while b < 0x7F {
        table[b] = true;
        b += 1;
    }
    table[0x09] = true;
    table[0x0A] = true;
    table[0x0D] = true;
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_text_is_read_as_utf8() {
        let input = to_utf8(b"\xFF\xFEa\x00\x3D\xD8\x00\xDE");
        assert_eq!(&*input.text, "a\u{1F600}".as_bytes());
        assert_eq!(input.at_end, None);
    }

    #[test]
    fn a_lone_surrogate_is_an_error_behind_what_comes_before_it() {
        let input = to_utf8(b"\xFE\xFF\x00a\xD8\x00");
        assert_eq!(&*input.text, b"a");
        let error = input.at_end.map(|e| e.to_string());
        assert_eq!(error.as_deref(), Some("yaml: incomplete UTF-16 surrogate pair"));
    }

    #[test]
    fn a_piece_is_checked_as_a_whole() {
        let input = to_utf8(b"abc\x01");
        let error = Reader::new(&input).fill(0, 1).unwrap_err();
        assert_eq!(error.to_string(), "yaml: control characters are not allowed");
    }
}
