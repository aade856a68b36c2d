//! Strings: cutting, padding, quoting, splitting. Positions and lengths count bytes.

use super::arguments::{check_len, display, elements, int, string, text};
use super::cases::{join_words, lower, pascal, swap, title, untitle, upper};
use super::wrapping::{abbreviate, wrap};
use super::{Call, Failure, Function, Type};
use crate::runes::{decode, is_space};
use crate::value::quote::quoted as quote;
use crate::value::{ListType, Map, MapType, Str, Value};

type Result<T = Value> = std::result::Result<T, Failure>;

const ANY: Type = Type::Any;
const INT: Type = Type::Int;
const STR: Type = Type::String;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("hello", &[], |_, _| Ok("Hello!".into())),
    Function::new("abbrev", &[INT, STR], abbrev),
    Function::new("abbrevboth", &[INT, INT, STR], abbrev_both),
    Function::new("trunc", &[INT, STR], trunc),
    Function::new("trim", &[STR], |_, a| Ok(trim_space(text(a, 0)).to_vec().into())),
    Function::new("upper", &[STR], |_, a| Ok(upper(text(a, 0)).into())),
    Function::new("lower", &[STR], |_, a| Ok(lower(text(a, 0)).into())),
    Function::new("title", &[STR], |_, a| Ok(title(text(a, 0)).into())),
    Function::new("untitle", &[STR], |_, a| Ok(untitle(text(a, 0)).into())),
    Function::new("swapcase", &[STR], |_, a| Ok(swap(text(a, 0)).into())),
    Function::new("snakecase", &[STR], |_, a| Ok(join_words(text(a, 0), '_').into())),
    Function::new("kebabcase", &[STR], |_, a| Ok(join_words(text(a, 0), '-').into())),
    Function::new("camelcase", &[STR], |_, a| Ok(pascal(text(a, 0)).into())),
    Function::new("substr", &[INT, INT, STR], substr),
    Function::new("repeat", &[INT, STR], |_, a| Ok(repeat(text(a, 1), int(a, 0))?.into())),
    Function::new("trimall", &[STR, STR], trim_all),
    Function::new("trimAll", &[STR, STR], trim_all),
    Function::new("trimSuffix", &[STR, STR], trim_suffix),
    Function::new("trimPrefix", &[STR, STR], trim_prefix),
    Function::new("nospace", &[STR], |_, a| Ok(without_space(text(a, 0)).into())),
    Function::new("initials", &[STR], |_, a| Ok(initials(text(a, 0)).into())),
    Function::new("wrap", &[INT, STR], |_, a| Ok(wrap(text(a, 1), int(a, 0), b"", false)?.into())),
    Function::new("wrapWith", &[INT, STR, STR], |_, a| Ok(wrap(text(a, 2), int(a, 0), text(a, 1), true)?.into())),
    Function::new("contains", &[STR, STR], |_, a| Ok(find(text(a, 1), text(a, 0)).is_some().into())),
    Function::new("hasPrefix", &[STR, STR], |_, a| Ok(text(a, 1).starts_with(text(a, 0)).into())),
    Function::new("hasSuffix", &[STR, STR], |_, a| Ok(text(a, 1).ends_with(text(a, 0)).into())),
    Function::variadic("quote", &[], ANY, |_, a| quoted(a, |value| Ok(quote(&display(value)?).into()))),
    Function::variadic("squote", &[], ANY, |_, a| quoted(a, single_quoted)),
    Function::variadic("cat", &[], ANY, cat),
    Function::new("indent", &[INT, STR], |_, a| Ok(indent(b"", int(a, 0), text(a, 1))?.into())),
    Function::new("nindent", &[INT, STR], |_, a| Ok(indent(b"\n", int(a, 0), text(a, 1))?.into())),
    Function::new("replace", &[STR, STR, STR], |_, a| Ok(replace(text(a, 2), text(a, 0), text(a, 1))?.into())),
    Function::new("plural", &[STR, STR, INT], |_, a| Ok(string(a, usize::from(int(a, 2) != 1)).into())),
    Function::new("toString", &[ANY], |_, a| Ok(display(&a[0])?.into())),
    Function::new("toStrings", &[ANY], to_strings),
    Function::new("join", &[STR, ANY], join),
    Function::new("sortAlpha", &[ANY], sort_alpha),
    Function::new("split", &[STR, STR], |_, a| Ok(numbered(split(text(a, 1), text(a, 0), -1)))),
    Function::new("splitn", &[STR, INT, STR], |_, a| Ok(numbered(split(text(a, 2), text(a, 0), int(a, 1))))),
    Function::new("splitList", &[STR, STR], |_, a| Ok(Value::strings(split(text(a, 1), text(a, 0), -1)))),
];

fn abbrev(_: &mut Call<'_>, a: &[Value]) -> Result {
    if int(a, 0) < 4 {
        return Ok(a[1].clone());
    }
    Ok(abbreviate(text(a, 1), 0, int(a, 0)).into())
}

fn abbrev_both(_: &mut Call<'_>, a: &[Value]) -> Result {
    let (left, right) = (int(a, 0), int(a, 1));
    if right < 4 || (left > 0 && right < 7) {
        return Ok(a[2].clone());
    }
    Ok(abbreviate(text(a, 2), left, right).into())
}

/// Cuts to a length from the front, or for a negative one from the end.
fn trunc(_: &mut Call<'_>, a: &[Value]) -> Result {
    let (count, text) = (int(a, 0), text(a, 1));
    let len = text.len() as i64;
    let kept = if count < 0 && len.saturating_add(count) > 0 {
        &text[(len + count) as usize..]
    } else if count >= 0 && len > count {
        &text[..count as usize]
    } else {
        return Ok(a[1].clone());
    };
    Ok(kept.to_vec().into())
}

fn substr(_: &mut Call<'_>, a: &[Value]) -> Result {
    let (start, end, text) = (int(a, 0), int(a, 1), text(a, 2));
    let len = text.len() as i64;
    let out_of_range =
        |range: String| Err(Failure::message(format!("runtime error: slice bounds out of range {range}")));
    let (start, end) = match (start, end) {
        (i64::MIN..0, end) if end < 0 => return out_of_range(format!("[:{end}]")),
        (i64::MIN..0, end) if end > len => return out_of_range(format!("[:{end}] with length {len}")),
        (i64::MIN..0, end) => (0, end),
        (start, end) if end < 0 || end > len => {
            if start > len {
                return out_of_range(format!("[{start}:{len}]"));
            }
            (start, len)
        }
        (start, end) if start > end => return out_of_range(format!("[{start}:{end}]")),
        both => both,
    };
    Ok(text[start as usize..end as usize].to_vec().into())
}

fn repeat(text: &[u8], count: i64) -> Result<Vec<u8>> {
    let count = usize::try_from(count).map_err(|_| Failure::message("strings: negative Repeat count"))?;
    check_len(text.len().saturating_mul(count))?;
    Ok(text.repeat(count))
}

pub(super) fn trim_space(text: &[u8]) -> &[u8] {
    trim(text, is_space)
}

fn trim(text: &[u8], cut: impl Fn(char) -> bool) -> &[u8] {
    let mut text = text;
    loop {
        let (c, len) = decode(text);
        if len == 0 || !cut(c) {
            break;
        }
        text = &text[len..];
    }
    while let Some((c, len)) = last_char(text) {
        if !cut(c) {
            break;
        }
        text = &text[..text.len() - len];
    }
    text
}

/// Decodes the last character, as `utf8.DecodeLastRune`.
fn last_char(text: &[u8]) -> Option<(char, usize)> {
    let len = text.len();
    // A byte that ends a longer character decodes as an error when it is taken alone.
    let whole = (1..=len.min(4)).find_map(|size| {
        let (c, decoded) = decode(&text[len - size..]);
        (decoded == size && (size > 1 || c.is_ascii())).then_some((c, size))
    });
    whole.or((len > 0).then_some((crate::runes::ERROR, 1)))
}

fn trim_all(_: &mut Call<'_>, a: &[Value]) -> Result {
    let cut: Vec<char> = crate::runes::chars(text(a, 0)).collect();
    Ok(trim(text(a, 1), |c| cut.contains(&c)).to_vec().into())
}

fn trim_suffix(_: &mut Call<'_>, a: &[Value]) -> Result {
    Ok(text(a, 1).strip_suffix(text(a, 0)).map_or_else(|| a[1].clone(), |rest| rest.to_vec().into()))
}

fn trim_prefix(_: &mut Call<'_>, a: &[Value]) -> Result {
    Ok(text(a, 1).strip_prefix(text(a, 0)).map_or_else(|| a[1].clone(), |rest| rest.to_vec().into()))
}

/// Drops white space. goutils takes each byte for a character, which shows when anything was dropped.
fn without_space(text: &[u8]) -> Vec<u8> {
    let kept = || text.iter().map(|byte| char::from(*byte)).filter(|c| !is_space(*c));
    if kept().count() == text.len() { text.to_vec() } else { kept().collect::<String>().into_bytes() }
}

/// Takes the first byte of each word, for goutils a character.
fn initials(text: &[u8]) -> Vec<u8> {
    let mut after_space = true;
    let mut out = String::new();
    for c in text.iter().map(|byte| char::from(*byte)) {
        let space = is_space(c);
        if !space && after_space {
            out.push(c);
        }
        after_space = space;
    }
    out.into_bytes()
}

pub(super) fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    match part {
        [] => Some(0),
        [byte] => memchr::memchr(*byte, text),
        _ => memchr::memmem::find(text, part),
    }
}

fn quoted(args: &[Value], mut write: impl FnMut(&Value) -> Result<Str>) -> Result {
    let mut out: Vec<u8> = Vec::new();
    for (at, value) in args.iter().filter(|value| !value.is_nil()).enumerate() {
        if at > 0 {
            out.push(b' ');
        }
        out.extend_from_slice(&write(value)?);
    }
    Ok(out.into())
}

fn single_quoted(value: &Value) -> Result<Str> {
    Ok([b"'", value.to_text()?.as_bytes(), b"'"].concat().into())
}

fn cat(_: &mut Call<'_>, a: &[Value]) -> Result {
    quoted(a, Value::to_text)
}

/// Puts spaces before each line.
fn indent(before: &[u8], spaces: i64, text: &[u8]) -> Result<Vec<u8>> {
    let spaces = usize::try_from(spaces).map_err(|_| Failure::message("strings: negative Repeat count"))?;
    let lines = memchr::memchr_iter(b'\n', text).count() + 1;
    let len = spaces.saturating_mul(lines).saturating_add(text.len() + before.len());
    check_len(len)?;
    let mut out = Vec::with_capacity(len);
    out.extend_from_slice(before);
    for (at, line) in text.split(|c| *c == b'\n').enumerate() {
        if at > 0 {
            out.push(b'\n');
        }
        out.resize(out.len() + spaces, b' ');
        out.extend_from_slice(line);
    }
    Ok(out)
}

/// Replaces every occurrence; an empty `old` is before each character and at the end.
fn replace(text: &[u8], old: &[u8], new: &[u8]) -> Result<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    if old.is_empty() {
        loop {
            check_len(out.len())?;
            out.extend_from_slice(new);
            let (_, len) = decode(rest);
            if len == 0 {
                return Ok(out);
            }
            out.extend_from_slice(&rest[..len]);
            rest = &rest[len..];
        }
    }
    while let Some(at) = find(rest, old) {
        check_len(out.len())?;
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(new);
        rest = &rest[at + old.len()..];
    }
    out.extend_from_slice(rest);
    Ok(out)
}

/// Splits as `strings.SplitN`: all for a negative count, nothing for zero, into characters at an empty separator.
pub(super) fn split(text: &[u8], separator: &[u8], count: i64) -> Vec<Str> {
    let limit = if count < 0 { usize::MAX } else { count as usize };
    let mut parts: Vec<Str> = Vec::new();
    if limit == 0 {
        return parts;
    }
    let mut rest = text;
    while parts.len() + 1 < limit {
        let (len, skip) = if separator.is_empty() {
            let (_, len) = decode(rest);
            if len == rest.len() {
                break;
            }
            (len, 0)
        } else {
            match find(rest, separator) {
                Some(at) => (at, separator.len()),
                None => break,
            }
        };
        parts.push(rest[..len].into());
        rest = &rest[len + skip..];
    }
    if !(separator.is_empty() && rest.is_empty()) {
        parts.push(rest.into());
    }
    parts
}

/// Makes sprig's `map[string]string` of parts: `_0`, `_1`, ...
fn numbered(parts: Vec<Str>) -> Value {
    let pairs = parts.into_iter().enumerate().map(|(at, part)| (format!("_{at}").into(), part.into()));
    Value::Map(Map::from_pairs(MapType::Str, pairs))
}

/// Makes texts of a list's elements without its nils, or of one value.
fn texts(value: &Value) -> Result<Vec<Str>> {
    match elements(value) {
        Some(items) => items.iter().filter(|item| !item.is_nil()).map(display).collect(),
        None if value.is_nil() => Ok(Vec::new()),
        None => Ok(vec![display(value)?]),
    }
}

fn join(_: &mut Call<'_>, a: &[Value]) -> Result {
    let (separator, parts) = (text(a, 0), texts(&a[1])?);
    let len: usize = parts.iter().map(|part| part.len() + separator.len()).sum();
    check_len(len)?;
    Ok(parts.join(separator).into())
}

fn to_strings(_: &mut Call<'_>, a: &[Value]) -> Result {
    match &a[0] {
        Value::List(list) if list.list_type() == ListType::Str => Ok(a[0].clone()),
        other => Ok(Value::strings(texts(other)?)),
    }
}

fn sort_alpha(_: &mut Call<'_>, a: &[Value]) -> Result {
    if elements(&a[0]).is_none() {
        return Ok(Value::strings([display(&a[0])?]));
    }
    if let Value::List(list) = &a[0]
        && list.list_type() == ListType::Str
    {
        // Go sorts the very slice that it was given.
        list.sort_in_place();
        return Ok(a[0].clone());
    }
    let mut parts = texts(&a[0])?;
    parts.sort();
    Ok(Value::strings(parts))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splitting_follows_go() {
        let shown = |text: &str, separator: &str, count| {
            let parts = split(text.as_bytes(), separator.as_bytes(), count);
            parts.iter().map(ToString::to_string).collect::<Vec<_>>().join("|")
        };
        assert_eq!(shown("a,b,", ",", -1), "a|b|");
        assert_eq!(shown("a,b,c", ",", 2), "a|b,c");
        assert_eq!(shown("aé", "", -1), "a|é");
        assert_eq!(shown("abc", "", 2), "a|bc");
        assert_eq!(split(b"", b"", -1).len(), 0);
        assert_eq!(split(b"", b",", -1).len(), 1);
        assert_eq!(split(b"a", b",", 0).len(), 0);
    }

    #[test]
    fn a_long_result_is_refused() {
        assert!(matches!(repeat(b"0123456789", i64::MAX), Err(Failure::Limit(_))));
        assert!(matches!(indent(b"", 1 << 40, b"x"), Err(Failure::Limit(_))));
    }

    #[test]
    fn white_space_of_any_length_is_trimmed() {
        assert_eq!(trim_space("\u{a0}x\u{2003} ".as_bytes()), b"x");
        assert_eq!(trim_space(b" \xff "), b"\xff");
    }

    #[test]
    fn bytes_are_characters_to_goutils() {
        assert_eq!(without_space("é".as_bytes()), "é".as_bytes());
        assert_eq!(without_space("é x".as_bytes()), "Ã©x".as_bytes());
        assert_eq!(initials(b" First  try "), b"Ft");
    }
}
