//! Go's runes: decoding bytes that may not be UTF-8, and what package unicode says of a character.
//!
//! Go maps case one character to one character; Rust's standard library maps to several where Unicode's full mapping does.

use unicode_general_category::{GeneralCategory as Category, get_general_category};

/// What Go decodes an invalid byte to.
pub const ERROR: char = char::REPLACEMENT_CHARACTER;

/// Decodes the first character: it and its length, or [`ERROR`] and 1 for a byte that is not UTF-8.
/// An empty text gives [`ERROR`] and 0.
pub fn decode(text: &[u8]) -> (char, usize) {
    let len = match text.first() {
        None => return (ERROR, 0),
        Some(byte) if byte.is_ascii() => return (char::from(*byte), 1),
        Some(0xc2..=0xdf) => 2,
        Some(0xe0..=0xef) => 3,
        Some(0xf0..=0xf4) => 4,
        Some(_) => return (ERROR, 1),
    };
    let decoded = text.get(..len).and_then(|bytes| std::str::from_utf8(bytes).ok()).and_then(|s| s.chars().next());
    decoded.map_or((ERROR, 1), |c| (c, len))
}

/// Walks over the characters of a text; invalid bytes are [`ERROR`].
pub fn chars(text: &[u8]) -> impl Iterator<Item = char> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (c, len) = decode(rest);
        rest = &rest[len..];
        (len > 0).then_some(c)
    })
}

/// Maps each character, as `strings.Map`; invalid bytes become U+FFFD.
pub fn map(text: &[u8], mapping: impl FnMut(char) -> char) -> Vec<u8> {
    chars(text).map(mapping).collect::<String>().into_bytes()
}

pub fn is_upper(c: char) -> bool {
    get_general_category(c) == Category::UppercaseLetter
}

pub fn is_lower(c: char) -> bool {
    get_general_category(c) == Category::LowercaseLetter
}

pub fn is_title(c: char) -> bool {
    get_general_category(c) == Category::TitlecaseLetter
}

pub fn is_letter(c: char) -> bool {
    use Category::{LowercaseLetter, ModifierLetter, OtherLetter, TitlecaseLetter, UppercaseLetter};
    matches!(
        get_general_category(c),
        UppercaseLetter | LowercaseLetter | TitlecaseLetter | ModifierLetter | OtherLetter
    )
}

pub fn is_digit(c: char) -> bool {
    get_general_category(c) == Category::DecimalNumber
}

pub fn is_number(c: char) -> bool {
    matches!(get_general_category(c), Category::DecimalNumber | Category::LetterNumber | Category::OtherNumber)
}

pub fn is_punct(c: char) -> bool {
    use Category::{
        ClosePunctuation, ConnectorPunctuation, DashPunctuation, FinalPunctuation, InitialPunctuation, OpenPunctuation,
        OtherPunctuation,
    };
    matches!(
        get_general_category(c),
        ClosePunctuation
            | ConnectorPunctuation
            | DashPunctuation
            | FinalPunctuation
            | InitialPunctuation
            | OpenPunctuation
            | OtherPunctuation
    )
}

pub fn is_space(c: char) -> bool {
    c.is_whitespace()
}

/// Says whether Go prints a character as it is: letters, marks, numbers, punctuation, symbols and the space.
pub fn is_printable(c: char) -> bool {
    use Category::{
        Control, Format, LineSeparator, ParagraphSeparator, PrivateUse, SpaceSeparator, Surrogate, Unassigned,
    };
    match c {
        ' '..='~' => true,
        _ => !matches!(
            get_general_category(c),
            Control
                | Format
                | LineSeparator
                | ParagraphSeparator
                | PrivateUse
                | SpaceSeparator
                | Surrogate
                | Unassigned
        ),
    }
}

pub fn to_lower(c: char) -> char {
    let mut mapped = c.to_lowercase();
    // Only U+0130 becomes two characters; alone it is an i.
    mapped.next().unwrap_or(c)
}

pub fn to_upper(c: char) -> char {
    let mut mapped = c.to_uppercase();
    match (mapped.next(), mapped.next()) {
        (Some(upper), None) => upper,
        _ => with_iota(c),
    }
}

/// Greek letters with a iota below have a capital of their own; what else expands in upper case stays as it is.
fn with_iota(c: char) -> char {
    match c {
        '\u{1f80}'..='\u{1f87}' | '\u{1f90}'..='\u{1f97}' | '\u{1fa0}'..='\u{1fa7}' => {
            char::from_u32(u32::from(c) + 8).unwrap_or(c)
        }
        '\u{1fb3}' | '\u{1fc3}' | '\u{1ff3}' => char::from_u32(u32::from(c) + 9).unwrap_or(c),
        _ => c,
    }
}

pub fn to_title(c: char) -> char {
    match c {
        // The ligatures DŽ, LJ, NJ, DZ have a form with only the first letter large.
        '\u{1c4}'..='\u{1c6}' => '\u{1c5}',
        '\u{1c7}'..='\u{1c9}' => '\u{1c8}',
        '\u{1ca}'..='\u{1cc}' => '\u{1cb}',
        '\u{1f1}'..='\u{1f3}' => '\u{1f2}',
        // Georgian is not capitalised.
        '\u{10d0}'..='\u{10fa}' | '\u{10fd}'..='\u{10ff}' => c,
        _ => to_upper(c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_bytes_decode_one_at_a_time() {
        let decoded: String = chars(b"a\xff\xe4\xb8\xe4\xb8\x96").collect();
        assert_eq!(decoded, "a\u{fffd}\u{fffd}\u{fffd}\u{4e16}");
        assert_eq!(decode(b""), (ERROR, 0));
    }

    #[test]
    fn case_maps_one_character_to_one() {
        for (c, upper) in [('ß', 'ß'), ('ŉ', 'ŉ'), ('ᾳ', 'ᾼ'), ('ǆ', 'Ǆ'), ('ÿ', 'Ÿ'), ('ﬁ', 'ﬁ')] {
            assert_eq!(to_upper(c), upper);
        }
        assert_eq!(to_lower('İ'), 'i');
        assert_eq!(to_title('ǆ'), 'ǅ');
    }

    #[test]
    fn circled_letters_are_no_letters() {
        assert!(!is_upper('Ⓐ') && !is_letter('Ⓐ'));
        assert!(is_upper('É') && is_lower('é') && is_title('ǅ'));
    }
}
