//! The two pattern languages of Helm: Go's `filepath.Match`, and gobwas/glob for `.Files.Glob`.

use std::iter::Peekable;
use std::str::Chars;

use regex::Regex;

/// A pattern that Go does not accept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("syntax error in pattern")]
pub struct BadPattern;

/// Go's `filepath.Match`: `*` and `?` stop at a slash, `[a-z]` and `[^a-z]` are classes, a backslash escapes.
///
/// A malformed pattern is only an error when matching gets there, as in Go.
pub fn path_match(pattern: &str, name: &str) -> Result<bool, BadPattern> {
    let (mut pattern, mut name) = (pattern, name);
    'chunks: while !pattern.is_empty() {
        let (star, chunk, rest) = scan_chunk(pattern);
        pattern = rest;
        if star && chunk.is_empty() {
            return Ok(!name.contains('/'));
        }
        let (after, ok) = match_chunk(chunk, name)?;
        if ok && (after.is_empty() || !pattern.is_empty()) {
            name = after;
            continue;
        }
        if star {
            for (i, c) in name.char_indices() {
                if c == '/' {
                    break;
                }
                let (after, ok) = match_chunk(chunk, &name[i + c.len_utf8()..])?;
                if ok && (after.is_empty() || !pattern.is_empty()) {
                    name = after;
                    continue 'chunks;
                }
            }
        }
        return Ok(false);
    }
    Ok(name.is_empty())
}

/// Splits off the stars and the text up to the next star.
fn scan_chunk(pattern: &str) -> (bool, &str, &str) {
    let body = pattern.trim_start_matches('*');
    let star = body.len() < pattern.len();
    let (mut in_range, mut escaped) = (false, false);
    for (i, b) in body.bytes().enumerate() {
        match b {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'[' => in_range = true,
            b']' => in_range = false,
            b'*' if !in_range => return (star, &body[..i], &body[i..]),
            _ => {}
        }
    }
    (star, body, "")
}

/// Matches a chunk without stars at the front of a text; the whole chunk is checked even after a mismatch.
fn match_chunk<'n>(chunk: &str, name: &'n str) -> Result<(&'n str, bool), BadPattern> {
    let (mut chunk, mut name, mut failed) = (chunk, name, false);
    while let Some(c) = chunk.chars().next() {
        failed |= name.is_empty();
        let first = if failed { None } else { name.chars().next() };
        match c {
            '[' => {
                let (rest, matched) = match_class(&chunk[1..], first)?;
                chunk = rest;
                failed |= !matched;
            }
            '?' => {
                chunk = &chunk[1..];
                failed |= first == Some('/');
            }
            _ => {
                if c == '\\' {
                    chunk = &chunk[1..];
                }
                let literal = chunk.chars().next().ok_or(BadPattern)?;
                chunk = &chunk[literal.len_utf8()..];
                failed |= first != Some(literal);
            }
        }
        if !failed {
            name = &name[first.map_or(0, char::len_utf8)..];
        }
    }
    Ok(if failed { ("", false) } else { (name, true) })
}

/// Matches the inside of `[...]`; returns what follows it.
fn match_class(class: &str, c: Option<char>) -> Result<(&str, bool), BadPattern> {
    let (negated, mut rest) = class.strip_prefix('^').map_or((false, class), |rest| (true, rest));
    let (mut matched, mut ranges) = (false, 0);
    loop {
        if ranges > 0 && rest.starts_with(']') {
            return Ok((&rest[1..], matched != negated));
        }
        let (low, after) = class_char(rest)?;
        let (high, after) = match after.strip_prefix('-') {
            Some(after) => class_char(after)?,
            None => (low, after),
        };
        rest = after;
        matched |= c.is_some_and(|c| low <= c && c <= high);
        ranges += 1;
    }
}

fn class_char(text: &str) -> Result<(char, &str), BadPattern> {
    let text = match text.chars().next() {
        None | Some('-' | ']') => return Err(BadPattern),
        Some('\\') => &text[1..],
        Some(_) => text,
    };
    let c = text.chars().next().ok_or(BadPattern)?;
    let rest = &text[c.len_utf8()..];
    if rest.is_empty() { Err(BadPattern) } else { Ok((c, rest)) }
}

/// The largest compiled pattern of `.Files.Glob`, in bytes.
const MAX_GLOB_SIZE: usize = 1 << 20;
/// How deep alternatives of `.Files.Glob` may nest.
const MAX_GLOB_DEPTH: usize = 32;

/// Compiles a pattern of gobwas/glob with the separator `/`: `*` stops at a slash and `**` does not, `{a,b}` are
/// alternatives, `[abc]`, `[a-z]` and `[!a-z]` classes. None is a pattern that it refuses.
pub fn compile(pattern: &str) -> Option<Regex> {
    let mut regex = String::from("^(?s:");
    translate(&mut pattern.chars().peekable(), 0, &mut regex)?;
    regex.push_str(")$");
    regex::RegexBuilder::new(&regex).size_limit(MAX_GLOB_SIZE).build().ok()
}

/// Translates up to the end, or to the `}` that closes the alternatives of a `depth` above 0.
fn translate(pattern: &mut Peekable<Chars<'_>>, depth: usize, out: &mut String) -> Option<()> {
    while let Some(c) = pattern.next() {
        match c {
            '*' if pattern.next_if_eq(&'*').is_some() => out.push_str(".*"),
            '*' => out.push_str("[^/]*"),
            '?' => out.push_str("[^/]"),
            '[' => class(pattern, out)?,
            '{' if depth == MAX_GLOB_DEPTH => return None,
            '{' => {
                out.push_str("(?:");
                translate(pattern, depth + 1, out)?;
                out.push(')');
            }
            ',' if depth > 0 => out.push('|'),
            '}' if depth > 0 => return Some(()),
            '\\' => push_literal(pattern.next()?, out),
            c => push_literal(c, out),
        }
    }
    (depth == 0).then_some(())
}

/// Translates the inside of `[...]`: one range, or a list of characters.
fn class(pattern: &mut Peekable<Chars<'_>>, out: &mut String) -> Option<()> {
    out.push_str(if pattern.next_if_eq(&'!').is_some() { "[^" } else { "[" });
    let first = pattern.next()?;
    if pattern.next_if_eq(&'-').is_some() {
        let last = pattern.next()?;
        if last < first || pattern.next()? != ']' {
            return None;
        }
        push_literal(first, out);
        out.push('-');
        push_literal(last, out);
    } else {
        let mut c = first;
        while c != ']' {
            push_literal(if c == '\\' { pattern.next()? } else { c }, out);
            c = pattern.next()?;
        }
        if first == ']' {
            return None;
        }
    }
    out.push(']');
    Some(())
}

fn push_literal(c: char, out: &mut String) {
    if c.is_ascii() && !c.is_ascii_alphanumeric() && !c.is_ascii_control() && c != ' ' {
        out.push('\\');
    }
    out.push(c);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_globs_match_as_in_gobwas() {
        for (pattern, name, expected) in [
            ("conf/*", "conf/a.txt", true),
            ("conf/*", "conf/d/a.txt", false),
            ("conf/**", "conf/d/a.txt", true),
            ("**.y{,a}ml", "x/y.yaml", true),
            ("**.y{,a}ml", "x/y.yml", true),
            ("?.txt", "/.txt", false),
            ("[!a]b", "cb", true),
            ("[a-c]b", "bb", true),
            ("[ab.]x", ".x", true),
            ("{a,b{c,d}}", "bd", true),
            (r"\*", "*", true),
            (r"\*", "a", false),
            ("a&&b~", "a&&b~", true),
            ("}", "}", true),
        ] {
            assert_eq!(compile(pattern).unwrap().is_match(name), expected, "{pattern} on {name}");
        }
        for refused in ["{a", "[a", "[]", "[c-a]", "[a-cd]"] {
            assert!(compile(refused).is_none(), "{refused}");
        }
        assert!(compile(&"{".repeat(MAX_GLOB_DEPTH + 1)).is_none());
        assert!(compile(&"a".repeat(1000)).is_some() && compile(&"[!a]".repeat(MAX_GLOB_SIZE / 100)).is_none());
    }

    #[test]
    fn path_patterns_match_as_in_go() {
        for (pattern, name, expected) in [
            ("abc", "abc", Ok(true)),
            ("*", "abc", Ok(true)),
            ("*c", "abc", Ok(true)),
            ("a*", "ab/c", Ok(false)),
            ("a*/b", "abc/b", Ok(true)),
            ("a*b*c*d*e*/f", "axbxcxdxe/f", Ok(true)),
            ("a*b?c*x", "abxbbxdbxebxczzx", Ok(true)),
            ("a*b?c*x", "abxbbxdbxebxczzy", Ok(false)),
            ("ab[c]", "abc", Ok(true)),
            ("ab[^e-g]", "abc", Ok(true)),
            ("ab[^b-d]", "abc", Ok(false)),
            ("a\\*b", "a*b", Ok(true)),
            ("a???b", "aé世x b", Ok(false)),
            ("[]a]", "]", Err(BadPattern)),
            ("[-]", "-", Err(BadPattern)),
            ("[a-b-c]", "a", Err(BadPattern)),
            ("[", "a", Err(BadPattern)),
            ("a[", "ab", Err(BadPattern)),
            ("*x", "xxx", Ok(true)),
            ("", "", Ok(true)),
        ] {
            assert_eq!(path_match(pattern, name), expected, "{pattern} on {name}");
        }
    }
}
