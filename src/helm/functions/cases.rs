//! Words and their case: snake, kebab and camel case as xstrings has them, titles as Go and goutils have them.

use crate::runes::{
    ERROR, chars, decode, is_digit, is_letter, is_lower, is_number, is_punct, is_space, is_title, is_upper, map,
    to_lower, to_title, to_upper,
};

/// What a run of characters is to xstrings.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Word {
    /// The end, or bytes that are not UTF-8.
    Invalid,
    Number,
    Upper,
    Alphabet,
    Connector,
    Punct,
    Other,
}

fn is_connector(c: char) -> bool {
    c == '-' || c == '_' || is_space(c)
}

/// A letter, but no Chinese character.
fn is_alphabet(c: char) -> bool {
    is_letter(c) && !matches!(c, '\u{3400}'..='\u{4d85}' | '\u{4e00}'..='\u{9fcc}' | '\u{20000}'..='\u{2b81d}')
}

/// Decodes the next character that is UTF-8 and the length up to its end; without one it is `previous` again.
fn next_valid(text: &[u8], previous: char) -> (char, usize) {
    let mut len = 0;
    while len < text.len() {
        let (c, size) = decode(&text[len..]);
        len += size;
        if c != ERROR {
            return (c, len);
        }
    }
    (previous, len)
}

/// Returns the length of the run at the start in which `holds`.
fn run(text: &[u8], first: char, holds: impl Fn(char) -> bool) -> usize {
    let (mut len, mut c) = (0, first);
    while len < text.len() {
        let (next, size) = next_valid(&text[len..], c);
        c = next;
        if !holds(c) {
            break;
        }
        len += size;
    }
    len
}

/// Splits the first word off.
fn next_word(text: &[u8]) -> (Word, &[u8], &[u8]) {
    if text.is_empty() {
        return (Word::Invalid, b"", b"");
    }
    let (first, size) = next_valid(text, ERROR);
    let rest = &text[size..];
    let lower = |c: char| is_alphabet(c) && !is_upper(c);
    let (word, len) = match first {
        ERROR => (Word::Invalid, 0),
        c if is_connector(c) => (Word::Connector, run(rest, c, is_connector)),
        c if is_punct(c) => (Word::Punct, run(rest, c, is_punct)),
        c if is_upper(c) => (Word::Upper, upper_run(rest, c)),
        c if is_alphabet(c) => (Word::Alphabet, run(rest, c, lower)),
        c if is_number(c) => (Word::Number, run(rest, c, is_number)),
        c => {
            let other = |c| !(is_connector(c) || is_alphabet(c) || is_number(c) || is_punct(c));
            (Word::Other, run(rest, c, other))
        }
    };
    let (word_text, rest) = text.split_at(size + len);
    (word, word_text, rest)
}

/// Measures what belongs to an upper case letter: more of them, or the small letters of its word.
fn upper_run(rest: &[u8], first: char) -> usize {
    if rest.is_empty() {
        return 0;
    }
    let (second, size) = next_valid(rest, first);
    if !is_upper(second) {
        let lower = |c: char| is_alphabet(c) && !is_upper(c);
        return if is_alphabet(second) { size + run(&rest[size..], second, lower) } else { 0 };
    }
    let (mut len, mut last_size, mut c) = (size, size, second);
    while len < rest.len() {
        let (next, size) = next_valid(&rest[len..], c);
        c = next;
        if !is_upper(c) {
            // The last capital begins the next word: "HTTPStatus" is "HTTP" and "Status".
            return if is_alphabet(c) { len - last_size } else { len };
        }
        last_size = size;
        len += size;
    }
    len
}

/// Joins the words of a text in lower case: `FirstName` to `first_name`, `HTTP20xOK` to `http_20x_ok`.
pub fn join_words(text: &[u8], connector: char) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 8);
    let mut buffer = [0; 4];
    let between = connector.encode_utf8(&mut buffer).as_bytes();
    let (mut kind, mut word, mut rest) = next_word(text);
    while !rest.is_empty() {
        if kind != Word::Connector {
            put_word(&mut out, kind, word, connector);
        }
        let (previous, last) = (kind, word);
        (kind, word, rest) = next_word(rest);
        match previous {
            Word::Number => {
                put_tail(&mut out, &mut kind, &mut word, &mut rest, connector);
                if !matches!(kind, Word::Invalid | Word::Punct | Word::Connector) {
                    out.extend_from_slice(between);
                }
            }
            Word::Connector => put_word(&mut out, previous, last, connector),
            Word::Punct => {}
            _ if kind != Word::Number => {
                if !matches!(kind, Word::Connector | Word::Punct) {
                    out.extend_from_slice(between);
                }
            }
            _ if rest.is_empty() => {}
            _ => {
                let number = word;
                (kind, word, rest) = next_word(rest);
                // A number belongs to the word before it ("bld4_floor"), unless small letters follow ("http_2xx").
                if kind == Word::Alphabet {
                    out.extend_from_slice(between);
                    put_word(&mut out, Word::Number, number, connector);
                    put_tail(&mut out, &mut kind, &mut word, &mut rest, connector);
                    if !matches!(kind, Word::Invalid | Word::Connector | Word::Punct) {
                        out.extend_from_slice(between);
                    }
                } else {
                    put_word(&mut out, Word::Number, number, connector);
                    if !matches!(kind, Word::Connector | Word::Punct) {
                        out.extend_from_slice(between);
                    }
                }
            }
        }
    }
    put_word(&mut out, kind, word, connector);
    out
}

/// Writes the small letters and numbers that follow a number.
fn put_tail<'t>(out: &mut Vec<u8>, kind: &mut Word, word: &mut &'t [u8], rest: &mut &'t [u8], connector: char) {
    while matches!(kind, Word::Alphabet | Word::Number) {
        put_word(out, *kind, word, connector);
        (*kind, *word, *rest) = next_word(rest);
    }
}

fn put_word(out: &mut Vec<u8>, kind: Word, word: &[u8], connector: char) {
    match kind {
        Word::Upper => out.extend(map(word, |c| if is_upper(c) { to_lower(c) } else { c })),
        Word::Connector => out.extend(map(word, |c| if is_connector(c) { connector } else { c })),
        _ => out.extend_from_slice(word),
    }
}

/// Joins the words with a capital each: `http_server` to `HttpServer`; leading connectors stay.
pub fn pascal(text: &[u8]) -> Vec<u8> {
    let all: Vec<char> = chars(text).collect();
    let lead = all.iter().take_while(|c| is_connector(**c)).count();
    let mut out: String = all[..lead].iter().collect();
    let Some(first) = all.get(lead) else {
        // Of connectors alone the last is written twice.
        out.extend(all.last());
        return out.into_bytes();
    };
    let (mut after_capital, mut current) = (is_upper(*first), to_upper(*first));
    for c in &all[lead + 1..] {
        let previous = std::mem::replace(&mut current, *c);
        if is_connector(current) && is_connector(previous) {
            out.push(previous);
        } else if is_connector(previous) {
            after_capital = is_upper(current);
            current = to_upper(current);
        } else {
            if after_capital {
                if is_upper(current) {
                    current = to_lower(current);
                } else {
                    after_capital = false;
                }
            }
            out.push(previous);
        }
    }
    out.push(current);
    out.into_bytes()
}

/// Capitalises words as `strings.Title`.
pub fn title(text: &[u8]) -> Vec<u8> {
    let mut previous = ' ';
    map(text, |c| {
        let start = separates(previous);
        previous = c;
        if start { to_title(c) } else { c }
    })
}

fn separates(c: char) -> bool {
    match c {
        'a'..='z' | 'A'..='Z' | '0'..='9' | '_' => false,
        '\0'..='\x7f' => true,
        _ => !is_letter(c) && !is_digit(c) && is_space(c),
    }
}

/// Makes the first letter of each word small.
pub fn untitle(text: &[u8]) -> Vec<u8> {
    let mut at_start = true;
    map(text, |c| {
        let start = std::mem::replace(&mut at_start, is_space(c));
        if start && !is_space(c) { to_lower(c) } else { c }
    })
}

/// Swaps case; the first letter of a word becomes a title letter.
pub fn swap(text: &[u8]) -> Vec<u8> {
    let mut after_space = true;
    map(text, |c| {
        if is_upper(c) || is_title(c) {
            after_space = false;
            to_lower(c)
        } else if is_lower(c) {
            if std::mem::take(&mut after_space) { to_title(c) } else { to_upper(c) }
        } else {
            after_space = is_space(c);
            c
        }
    })
}

/// Upper case as `strings.ToUpper`.
pub fn upper(text: &[u8]) -> Vec<u8> {
    if text.is_ascii() { text.to_ascii_uppercase() } else { map(text, to_upper) }
}

/// Lower case as `strings.ToLower`.
pub fn lower(text: &[u8]) -> Vec<u8> {
    if text.is_ascii() { text.to_ascii_lowercase() } else { map(text, to_lower) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_joined_in_lower_case() {
        for (text, want) in [
            ("FirstName", "first_name"),
            ("HTTPServer", "http_server"),
            ("NoHTTPS", "no_https"),
            ("GO_PATH", "go_path"),
            ("GO PATH", "go_path"),
            ("http2xx", "http_2xx"),
            ("HTTP20xOK", "http_20x_ok"),
            ("Duration2m3s", "duration_2m3s"),
            ("Bld4Floor3rd", "bld4_floor_3rd"),
            ("_a__B_", "_a__b_"),
            ("", ""),
        ] {
            assert_eq!(join_words(text.as_bytes(), '_'), want.as_bytes(), "{text}");
        }
    }

    #[test]
    fn words_are_joined_with_capitals() {
        for (text, want) in [
            ("some_words", "SomeWords"),
            ("_complex__case_", "_Complex_Case_"),
            ("GOLANG_IS_GREAT", "GolangIsGreat"),
            ("a", "A"),
            ("_", "__"),
            ("_a", "_A"),
        ] {
            assert_eq!(pascal(text.as_bytes()), want.as_bytes(), "{text}");
        }
    }

    #[test]
    fn titles_begin_after_separators() {
        assert_eq!(title("hello wörld-x_y don't".as_bytes()), "Hello Wörld-X_y Don'T".as_bytes());
        assert_eq!(untitle("Hello World".as_bytes()), b"hello world");
        assert_eq!(swap("This Is a TEST".as_bytes()), b"tHIS iS A test");
    }
}
