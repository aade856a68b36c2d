//! Regular expressions by RE2's rules. In Go the `must` twin returns the error that the other panics with.

use std::cell::RefCell;
use std::rc::Rc;

use regex::bytes::{Captures, Regex, RegexBuilder};

use super::arguments::{check_len, int, text};
use super::re2::{self, SyntaxError};
use super::{Failure, Function, Type};
use crate::quote::quote_back;
use crate::runes;
use crate::value::{List, ListType, Str, Value};

type Result<T = Value> = std::result::Result<T, Failure>;

/// How many bytes a compiled expression may take.
const MAX_COMPILED: usize = 64 << 20;
/// How long an expression may be, in bytes.
const MAX_EXPRESSION: usize = 1 << 20;
/// How many compiled expressions are kept; a chart uses few, over and over.
const KEPT: usize = 64;
/// How deep groups nest after translation, which adds some of its own.
const NEST_LIMIT: u32 = 8192;

const INT: Type = Type::Int;
const STR: Type = Type::String;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("regexMatch", &[STR, STR], |_, a| {
        Ok(compile(text(a, 0)).is_ok_and(|e| e.is_match(text(a, 1))).into())
    }),
    Function::new("mustRegexMatch", &[STR, STR], |_, a| Ok(must(a)?.is_match(text(a, 1)).into())),
    Function::new("regexFindAll", &[STR, STR, INT], |_, a| Ok(find_all(&*or_panic(a)?, a))),
    Function::new("mustRegexFindAll", &[STR, STR, INT], |_, a| Ok(find_all(&*must(a)?, a))),
    Function::new("regexFind", &[STR, STR], |_, a| Ok(find(&*or_panic(a)?, a))),
    Function::new("mustRegexFind", &[STR, STR], |_, a| Ok(find(&*must(a)?, a))),
    Function::new("regexReplaceAll", &[STR, STR, STR], |_, a| replace(&*or_panic(a)?, a, true)),
    Function::new("mustRegexReplaceAll", &[STR, STR, STR], |_, a| replace(&*must(a)?, a, true)),
    Function::new("regexReplaceAllLiteral", &[STR, STR, STR], |_, a| replace(&*or_panic(a)?, a, false)),
    Function::new("mustRegexReplaceAllLiteral", &[STR, STR, STR], |_, a| replace(&*must(a)?, a, false)),
    Function::new("regexSplit", &[STR, STR, INT], |_, a| Ok(split(&*or_panic(a)?, a))),
    Function::new("mustRegexSplit", &[STR, STR, INT], |_, a| Ok(split(&*must(a)?, a))),
    Function::new("regexQuoteMeta", &[STR], |_, a| Ok(quote_meta(text(a, 0)).into())),
];

/// A compiled expression with the names of its groups.
struct Expression {
    regex: Regex,
    names: Vec<String>,
}

thread_local! {
    static COMPILED: RefCell<Vec<(Vec<u8>, Rc<Expression>)>> = const { RefCell::new(Vec::new()) };
}

fn compile(expression: &[u8]) -> std::result::Result<Rc<Expression>, SyntaxError> {
    let known = COMPILED.with_borrow(|kept| kept.iter().find(|(text, _)| text == expression).map(|(_, e)| e.clone()));
    if let Some(known) = known {
        return Ok(known);
    }
    let too_large = || SyntaxError {
        what: "expression too large",
        expression: String::from_utf8_lossy(&expression[..expression.len().min(100)]).into_owned(),
    };
    if expression.len() > MAX_EXPRESSION {
        return Err(too_large());
    }
    let translated = re2::translate(expression)?;
    let regex = RegexBuilder::new(&translated.pattern).size_limit(MAX_COMPILED).nest_limit(NEST_LIMIT).build();
    let compiled = Rc::new(Expression { regex: regex.map_err(|_| too_large())?, names: translated.names });
    COMPILED.with_borrow_mut(|kept| {
        if kept.len() == KEPT {
            kept.remove(0);
        }
        kept.push((expression.to_vec(), compiled.clone()));
    });
    Ok(compiled)
}

fn must(a: &[Value]) -> Result<Rc<Expression>> {
    compile(text(a, 0)).map_err(|error| Failure::message(error.to_string()))
}

/// Compiles, or fails with the text that `regexp.MustCompile` panics with.
fn or_panic(a: &[Value]) -> Result<Rc<Expression>> {
    let expression = text(a, 0);
    compile(expression)
        .map_err(|error| Failure::message(format!("regexp: Compile({}): {error}", quote_back(expression))))
}

/// A text with each invalid byte replaced by U+FFFD, which is what RE2 matches in its place.
struct Subject<'t> {
    original: &'t [u8],
    replaced: Option<Vec<u8>>,
}

impl<'t> Subject<'t> {
    fn new(original: &'t [u8]) -> Self {
        let valid = std::str::from_utf8(original).is_ok();
        Self { original, replaced: (!valid).then(|| runes::map(original, |c| c)) }
    }

    fn text(&self) -> &[u8] {
        self.replaced.as_deref().unwrap_or(self.original)
    }

    /// Returns the part of the original text that a range of [`Subject::text`] stands for.
    fn part(&self, start: usize, end: usize) -> &'t [u8] {
        if self.replaced.is_none() {
            return &self.original[start..end];
        }
        &self.original[self.original_at(start)..self.original_at(end)]
    }

    fn original_at(&self, position: usize) -> usize {
        let (mut at, mut shown) = (0, 0);
        while shown < position {
            let (c, len) = runes::decode(&self.original[at..]);
            at += len;
            shown += c.len_utf8();
        }
        at
    }
}

impl Expression {
    fn is_match(&self, text: &[u8]) -> bool {
        let subject = Subject::new(text);
        self.next(subject.text(), 0).is_some()
    }

    /// Finds the next match that begins between characters, at `from` or later.
    fn next<'t>(&self, text: &'t [u8], from: usize) -> Option<Captures<'t>> {
        let mut from = from;
        loop {
            let captures = self.regex.captures_at(text, from)?;
            let start = captures.get(0)?.start();
            if text.get(start).is_none_or(|byte| byte & 0xc0 != 0x80) {
                return Some(captures);
            }
            // `\B` holds inside a character too, where RE2 never looks.
            from = start + 1;
        }
    }

    /// Calls `visit` on each match, as Go's `allMatches`: no empty one directly after another.
    fn each<'t>(&self, text: &'t [u8], mut visit: impl FnMut(&Captures<'t>) -> Result<bool>) -> Result<()> {
        let (mut at, mut last_end) = (0, None);
        while at <= text.len() {
            let Some(captures) = self.next(text, at) else { break };
            let Some(whole) = captures.get(0) else { break };
            let accepted = !whole.is_empty() || last_end != Some(whole.start());
            if accepted && !visit(&captures)? {
                break;
            }
            last_end = Some(whole.end());
            at = if whole.end() > at || !whole.is_empty() {
                whole.end()
            } else {
                at + runes::decode(&text[at..]).1.max(1)
            };
        }
        Ok(())
    }
}

/// Collects the ranges of at most `count` matches; a negative count is all.
fn ranges(expression: &Expression, text: &[u8], count: i64) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    if count == 0 {
        return found;
    }
    let all = expression.each(text, |captures| {
        found.extend(captures.get(0).map(|whole| (whole.start(), whole.end())));
        Ok(count < 0 || (found.len() as i64) < count)
    });
    debug_assert!(all.is_ok(), "collecting does not fail");
    found
}

fn find_all(expression: &Expression, a: &[Value]) -> Value {
    let subject = Subject::new(text(a, 1));
    let found = ranges(expression, subject.text(), int(a, 2));
    if found.is_empty() {
        return Value::List(List::nil(ListType::Str));
    }
    Value::strings(found.into_iter().map(|(start, end)| subject.part(start, end)))
}

fn find(expression: &Expression, a: &[Value]) -> Value {
    let subject = Subject::new(text(a, 1));
    let whole = expression.next(subject.text(), 0).and_then(|captures| captures.get(0));
    whole.map_or_else(|| "".into(), |whole| Value::str(subject.part(whole.start(), whole.end())))
}

fn replace(expression: &Expression, a: &[Value], expands: bool) -> Result {
    let (subject, replacement) = (Subject::new(text(a, 1)), text(a, 2));
    let whole_text = subject.text();
    let (mut out, mut copied, mut any) = (Vec::new(), 0, false);
    expression.each(whole_text, |captures| {
        let Some(whole) = captures.get(0) else { return Ok(true) };
        out.extend_from_slice(subject.part(copied, whole.start()));
        copied = whole.end();
        any = true;
        if expands {
            expand(&mut out, replacement, expression, |group| {
                captures.get(group).map(|part| subject.part(part.start(), part.end()))
            });
        } else {
            out.extend_from_slice(replacement);
        }
        check_len(out.len()).map(|()| true)
    })?;
    if !any {
        return Ok(a[1].clone());
    }
    out.extend_from_slice(subject.part(copied, whole_text.len()));
    Ok(out.into())
}

/// Appends a replacement with `$1`, `${name}` and `$$` filled in.
fn expand<'t>(out: &mut Vec<u8>, template: &[u8], expression: &Expression, group: impl Fn(usize) -> Option<&'t [u8]>) {
    let mut rest = template;
    while let Some(at) = rest.iter().position(|c| *c == b'$') {
        out.extend_from_slice(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix(b"$") {
            out.push(b'$');
            rest = after;
            continue;
        }
        let Some((name, after)) = group_name(rest) else {
            out.push(b'$');
            continue;
        };
        rest = after;
        let part = if let Some(number) = group_number(name) {
            group(number)
        } else {
            let named = |(_, known): &(usize, &String)| known.as_bytes() == name;
            expression.names.iter().enumerate().filter(named).find_map(|(number, _)| group(number))
        };
        out.extend_from_slice(part.unwrap_or_default());
    }
    out.extend_from_slice(rest);
}

/// Reads the name after a `$`: the longest run of letters, digits and `_`, or one in braces.
fn group_name(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let braced = text.first() == Some(&b'{');
    let body = &text[usize::from(braced)..];
    let mut len = 0;
    loop {
        let (c, size) = runes::decode(&body[len..]);
        if size == 0 || !(runes::is_letter(c) || runes::is_digit(c) || c == '_') {
            break;
        }
        len += size;
    }
    if len == 0 {
        return None;
    }
    let (name, rest) = body.split_at(len);
    if braced { rest.strip_prefix(b"}").map(|rest| (name, rest)) } else { Some((name, rest)) }
}

/// Reads a group's number; one that is too large is a group that is not there.
fn group_number(name: &[u8]) -> Option<usize> {
    if !name.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(name.iter().fold(0usize, |n, c| n.saturating_mul(10).saturating_add(usize::from(c - b'0'))))
}

fn split(expression: &Expression, a: &[Value]) -> Value {
    let (original, count) = (text(a, 1), int(a, 2));
    if count == 0 {
        return Value::List(List::nil(ListType::Str));
    }
    let subject = Subject::new(original);
    let whole = subject.text();
    // Of an empty text there is one empty part, unless the expression is empty too.
    if whole.is_empty() && !text(a, 0).is_empty() {
        return Value::strings([""]);
    }
    let (mut parts, mut begin, mut end): (Vec<Str>, _, _) = (Vec::new(), 0, 0);
    for (from, to) in ranges(expression, whole, count) {
        if count > 0 && parts.len() as i64 == count - 1 {
            break;
        }
        end = from;
        if to != 0 {
            parts.push(subject.part(begin, end).into());
        }
        begin = to;
    }
    if end != whole.len() {
        parts.push(subject.part(begin, whole.len()).into());
    }
    Value::strings(parts)
}

fn quote_meta(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for c in text {
        if br"\.+*?()|[]{}^$".contains(c) {
            out.push(b'\\');
        }
        out.push(*c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(expression: &str, text: &[u8]) -> Vec<(usize, usize)> {
        ranges(&compile(expression.as_bytes()).expect(expression), text, -1)
    }

    #[test]
    fn an_empty_match_follows_no_other() {
        assert_eq!(all("a*", b"baaab"), [(0, 0), (1, 4), (5, 5)]);
        assert_eq!(all("", "é".as_bytes()), [(0, 0), (2, 2)]);
        assert_eq!(all(r"\B", "é".as_bytes()), [(0, 0), (2, 2)]);
    }

    #[test]
    fn an_invalid_byte_is_one_character() {
        let subject = Subject::new(b"a\xffb");
        assert_eq!(subject.part(1, 4), b"\xff");
        assert_eq!(all("^a.b$", subject.text()), [(0, 5)]);
    }

    #[test]
    fn a_vast_expression_is_refused() {
        let error = compile(br"(\pL{1000}|\pN{1000}|\pS{1000})").err().expect("too large");
        assert_eq!(error.what, "expression too large");
        assert!(compile(&vec![b'a'; MAX_EXPRESSION + 1]).is_err());
    }
}
