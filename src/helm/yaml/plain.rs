//! The quick way through the plain kind of text that charts and manifests mostly are: block collections, comments,
//! scalars on one line, folded plain scalars and literal blocks. Whatever is not certainly that, and whatever is wrong,
//! is left to the parser, which is slower and knows all of YAML and its errors.

use std::borrow::Cow;

use memchr::{memchr, memchr2, memchr3};
use serde_json::{Map, Value};

use super::leaf::number;
use super::resolve::{Scalar, resolve};
use super::{Dialect, MAX_DEPTH};

/// How long a key may be, in bytes; the scanner counts characters.
const MAX_KEY: usize = 1024;

/// Reads a document by go-yaml v2's rules; none if it is not plain.
pub(super) fn read(text: &[u8]) -> Option<Value> {
    let text = checked(text)?;
    let mut reader = Reader { text, bytes: text.as_bytes(), at: 0, column: None, depth: 0 };
    reader.line(0)?;
    let column = reader.column?;
    let value = reader.collection(column)?;
    reader.column.is_none().then_some(value)
}

/// Takes a text of printable characters and line feeds, without any of Unicode's other line breaks and marks.
fn checked(text: &[u8]) -> Option<&str> {
    let odd =
        |b: u8| u8::from(b < b' ' && b != b'\n') | u8::from(b == 0x7F) | u8::from(b == 0xC2) | u8::from(b == 0xEF);
    if text.iter().fold(0, |found, &b| found | odd(b)) != 0 {
        return None;
    }
    let text = std::str::from_utf8(text).ok()?;
    let breaks = ["\u{2028}", "\u{2029}"];
    (text.is_ascii() || !breaks.iter().any(|mark| text.contains(mark))).then_some(text)
}

struct Reader<'a> {
    text: &'a str,
    bytes: &'a [u8],
    /// Where the content at hand starts.
    at: usize,
    /// Its column, none at the end of the text.
    column: Option<usize>,
    depth: usize,
}

impl<'a> Reader<'a> {
    fn byte(&self, at: usize) -> Option<u8> {
        self.bytes.get(at).copied()
    }

    /// Whether a word ends at `at`.
    fn ends(&self, at: usize) -> bool {
        matches!(self.byte(at), None | Some(b' ' | b'\n'))
    }

    /// The end of the line that `at` is in.
    fn line_end(&self, at: usize) -> usize {
        memchr(b'\n', &self.bytes[at..]).map_or(self.bytes.len(), |length| at + length)
    }

    fn skip_spaces(&self, at: usize) -> usize {
        at + self.bytes[at..].iter().take_while(|b| **b == b' ').count()
    }

    /// Goes to the first line from `start` on that holds more than a comment. None for a line that ends the document.
    fn line(&mut self, start: usize) -> Option<()> {
        let mut start = start.min(self.bytes.len());
        loop {
            let content = self.skip_spaces(start);
            match self.byte(content) {
                None => {
                    (self.at, self.column) = (self.bytes.len(), None);
                    return Some(());
                }
                Some(b'\n') => start = content + 1,
                Some(b'#') => start = (self.line_end(content) + 1).min(self.bytes.len()),
                Some(first) => {
                    (self.at, self.column) = (content, Some(content - start));
                    let ends = content == start && (first == b'%' || self.is_document_mark(content));
                    return (!ends).then_some(());
                }
            }
        }
    }

    fn is_document_mark(&self, at: usize) -> bool {
        matches!(self.bytes.get(at..at + 3), Some(b"---" | b"...")) && self.ends(at + 3)
    }

    /// Whether an item of a sequence starts at `at`.
    fn is_item(&self, at: usize) -> bool {
        self.byte(at) == Some(b'-') && self.ends(at + 1)
    }

    /// Reads the collection that starts here.
    fn collection(&mut self, column: usize) -> Option<Value> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return None;
        }
        let value = if self.is_item(self.at) { self.sequence(column)? } else { self.mapping(column)? };
        self.depth -= 1;
        // What is deeper now belongs to nothing.
        self.column.is_none_or(|found| found <= column).then_some(value)
    }

    fn sequence(&mut self, column: usize) -> Option<Value> {
        let mut items = Vec::new();
        while self.column == Some(column) && self.is_item(self.at) {
            let content = self.skip_spaces(self.at + 1);
            items.push(match self.byte(content) {
                None | Some(b'\n' | b'#') => self.below(content, column, false)?,
                Some(_) if self.is_item(content) || self.key_at(content).is_some() => {
                    let inner = column + content - self.at;
                    (self.at, self.column) = (content, Some(inner));
                    self.collection(inner)?
                }
                Some(first) => self.scalar(first, content, column)?,
            });
        }
        Some(Value::Array(items))
    }

    fn mapping(&mut self, column: usize) -> Option<Value> {
        let mut map = Map::new();
        while self.column == Some(column) {
            let (key, after) = self.key_at(self.at)?;
            let content = self.skip_spaces(after);
            let value = match self.byte(content) {
                None | Some(b'\n' | b'#') => self.below(content, column, true)?,
                Some(first) => self.scalar(first, content, column)?,
            };
            map.insert(key.into_owned(), value);
        }
        Some(Value::Object(map))
    }

    /// Reads what stands below a key or dash that has nothing beside it but, at `rest`, a comment.
    fn below(&mut self, rest: usize, column: usize, in_mapping: bool) -> Option<Value> {
        // A comment needs a blank in front.
        if self.byte(rest) == Some(b'#') && self.byte(rest - 1) != Some(b' ') {
            return None;
        }
        self.line(self.line_end(rest) + 1)?;
        match self.column {
            Some(found) if found > column => {
                if self.is_item(self.at) || self.key_at(self.at).is_some() {
                    self.collection(found)
                } else {
                    self.scalar(self.byte(self.at)?, self.at, column)
                }
            }
            Some(found) if found == column && in_mapping && self.is_item(self.at) => self.collection(column),
            _ => Some(Value::Null),
        }
    }

    /// Reads a key with its colon at `at`, none if there is none that is a text; gives what is behind the colon, too.
    fn key_at(&self, at: usize) -> Option<(Cow<'a, str>, usize)> {
        let first = self.byte(at)?;
        if matches!(first, b'"' | b'\'') {
            let (key, after) = self.quoted(first, at)?;
            let short = after - at <= MAX_KEY;
            return (short && self.byte(after) == Some(b':') && self.ends(after + 1)).then_some((key, after + 1));
        }
        if starts_no_plain(first) || matches!(first, b'-' | b'?' | b':') {
            return None;
        }
        let mut from = at;
        loop {
            let stop = from + memchr2(b':', b'\n', &self.bytes[from..])?;
            if self.bytes[stop] == b'\n' {
                return None;
            }
            if self.ends(stop + 1) {
                let key = self.text.get(at..stop)?.trim_end_matches(' ');
                let is_text = matches!(resolve(key.as_bytes(), Dialect::V2), Scalar::Str | Scalar::Timestamp);
                let good = is_text && key != "<<" && !key.contains(" #") && stop - at <= MAX_KEY;
                return good.then_some((key.into(), stop + 1));
            }
            from = stop + 1;
        }
    }

    /// Reads a quoted text on one line without escapes, and gives what is behind it.
    fn quoted(&self, quote: u8, at: usize) -> Option<(Cow<'a, str>, usize)> {
        let start = at + 1;
        let line = &self.bytes[start..self.line_end(start)];
        if quote == b'"' {
            let end = memchr2(b'"', b'\\', line)?;
            return (line[end] == b'"').then_some((self.text.get(start..start + end)?.into(), start + end + 1));
        }
        let mut end = memchr(b'\'', line)?;
        if line.get(end + 1) != Some(&b'\'') {
            return Some((self.text.get(start..start + end)?.into(), start + end + 1));
        }
        let mut text = String::new();
        let mut from = 0;
        while line.get(end + 1) == Some(&b'\'') {
            text.push_str(self.text.get(start + from..=start + end)?);
            from = end + 2;
            end = from + memchr(b'\'', &line[from..])?;
        }
        text.push_str(self.text.get(start + from..start + end)?);
        Some((text.into(), start + end + 1))
    }

    /// Reads a quoted text with escapes or on several lines, and gives what is behind it.
    fn folded(&self, quote: u8, at: usize) -> Option<(String, usize)> {
        let mut text = String::new();
        // What may not be cut as blanks in front of a line break.
        let mut kept = 0;
        let mut from = at + 1;
        loop {
            let rest = &self.bytes[from..];
            let length = if quote == b'"' { memchr3(b'"', b'\\', b'\n', rest)? } else { memchr2(b'\'', b'\n', rest)? };
            let stop = from + length;
            text.push_str(self.text.get(from..stop)?);
            from = stop + 1;
            match self.bytes[stop] {
                b'\n' => {
                    let trimmed = text[kept..].trim_end_matches(' ').len();
                    text.truncate(kept + trimmed);
                    let (content, breaks) = self.breaks(stop)?;
                    if breaks == 1 {
                        text.push(' ');
                    }
                    text.extend(std::iter::repeat_n('\n', breaks - 1));
                    (from, kept) = (content, text.len());
                }
                b'\\' => {
                    text.push(match self.byte(from)? {
                        b'n' => '\n',
                        b't' => '\t',
                        same @ (b'"' | b'\\') => char::from(same),
                        _ => return None,
                    });
                    (from, kept) = (from + 1, text.len());
                }
                _ if quote == b'\'' && self.byte(from) == Some(quote) => {
                    text.push('\'');
                    from += 1;
                }
                _ => return Some((text, from)),
            }
        }
    }

    /// Passes over line breaks and the blanks around them. Gives the next content of a quoted text, and how many there are.
    fn breaks(&self, at: usize) -> Option<(usize, usize)> {
        let (mut at, mut breaks) = (at, 0);
        loop {
            breaks += 1;
            let content = self.skip_spaces(at + 1);
            match self.byte(content)? {
                b'\n' => at = content,
                _ if content == at + 1 && self.is_document_mark(content) => return None,
                _ => return Some((content, breaks)),
            }
        }
    }

    /// Reads a scalar, or a flow collection on one line, inside a block at `column`, and goes on to the next line.
    fn scalar(&mut self, first: u8, at: usize, column: usize) -> Option<Value> {
        match first {
            b'"' | b'\'' => {
                let (text, after) = match self.quoted(first, at) {
                    Some((text, after)) => (text.into_owned(), after),
                    None => self.folded(first, at)?,
                };
                self.leave(after)?;
                Some(Value::String(text))
            }
            b'[' | b'{' => {
                let (value, after) = self.flow(at, 0)?;
                self.leave(after)?;
                Some(value)
            }
            b'|' => self.literal(at, column),
            b'-' | b'?' | b':' if self.ends(at + 1) => None,
            first if starts_no_plain(first) => None,
            _ => self.plain(at, column),
        }
    }

    /// Goes to the next line from `after`, where nothing but a comment may stand.
    fn leave(&mut self, after: usize) -> Option<()> {
        let rest = self.skip_spaces(after);
        match self.byte(rest) {
            None | Some(b'\n') => self.line(rest + 1),
            Some(b'#') if rest > after => self.line(self.line_end(rest) + 1),
            _ => None,
        }
    }

    fn plain(&mut self, at: usize, column: usize) -> Option<Value> {
        let (line, commented, end) = self.plain_line(at)?;
        let mut folded: Option<String> = None;
        let mut start = end + 1;
        if !commented {
            let mut blank_lines = 0;
            while start < self.bytes.len() {
                let content = self.skip_spaces(start);
                match self.byte(content) {
                    None | Some(b'#') => break,
                    Some(b'\n') => {
                        blank_lines += 1;
                        start = content + 1;
                    }
                    Some(_) if content - start <= column => break,
                    Some(_) => {
                        let (more, commented, end) = self.plain_line(content)?;
                        let text = folded.get_or_insert_with(|| line.to_owned());
                        if blank_lines == 0 {
                            text.push(' ');
                        }
                        text.extend(std::iter::repeat_n('\n', blank_lines));
                        text.push_str(more);
                        blank_lines = 0;
                        start = end + 1;
                        if commented {
                            break;
                        }
                    }
                }
            }
        }
        self.line(start)?;
        match folded {
            Some(text) => plain_value(&text),
            None => plain_value(line),
        }
    }

    /// The part of a plain scalar that is on this line, whether a comment follows, and the end of the line.
    fn plain_line(&self, at: usize) -> Option<(&'a str, bool, usize)> {
        let end = self.line_end(at);
        let mut from = at;
        while let Some(length) = memchr2(b':', b'#', &self.bytes[from..end]) {
            let stop = from + length;
            if self.bytes[stop] == b':' {
                if self.ends(stop + 1) {
                    return None;
                }
            } else if stop > at && self.bytes[stop - 1] == b' ' {
                return Some((self.text.get(at..stop)?.trim_end_matches(' '), true, end));
            }
            from = stop + 1;
        }
        Some((self.text.get(at..end)?.trim_end_matches(' '), false, end))
    }

    /// Reads a literal block whose indentation its first line tells.
    fn literal(&mut self, at: usize, column: usize) -> Option<Value> {
        let (keep, strip, rest) = match self.byte(at + 1) {
            Some(b'+') => (true, false, at + 2),
            Some(b'-') => (false, true, at + 2),
            _ => (false, false, at + 1),
        };
        let rest = self.skip_spaces(rest);
        if self.byte(rest) != Some(b'\n') {
            return None;
        }
        let mut start = rest + 1;
        let (mut breaks, mut widest) = (0, 0);
        let indent = loop {
            let content = self.skip_spaces(start);
            match self.byte(content)? {
                b'\n' => {
                    widest = widest.max(content - start);
                    breaks += 1;
                    start = content + 1;
                }
                _ => break content - start,
            }
        };
        if indent <= column || widest > indent {
            return None;
        }
        let mut text = String::new();
        while start < self.bytes.len() {
            let content = self.skip_spaces(start);
            let blank = matches!(self.byte(content), None | Some(b'\n'));
            if content - start < indent && !blank {
                break;
            }
            let end = if blank { content } else { self.line_end(content) };
            if blank && content - start <= indent {
                // A last line of blanks without a line break is none.
                breaks += usize::from(end < self.bytes.len());
            } else {
                text.extend(std::iter::repeat_n('\n', breaks));
                text.push_str(self.text.get(start + indent..end)?);
                breaks = usize::from(end < self.bytes.len());
            }
            start = end + 1;
        }
        let ending = if keep { breaks } else { usize::from(!strip && breaks > 0) };
        text.extend(std::iter::repeat_n('\n', ending));
        self.line(start)?;
        Some(Value::String(text))
    }

    /// Reads a flow collection on one line, and gives what is behind it.
    fn flow(&self, at: usize, depth: usize) -> Option<(Value, usize)> {
        if self.depth + depth >= MAX_DEPTH {
            return None;
        }
        let is_list = self.byte(at)? == b'[';
        let close = if is_list { b']' } else { b'}' };
        let (mut items, mut map) = (Vec::new(), Map::new());
        let mut at = self.skip_spaces(at + 1);
        if self.byte(at)? == close {
            return Some((if is_list { Value::Array(items) } else { Value::Object(map) }, at + 1));
        }
        loop {
            let mut key = None;
            if !is_list {
                let first = self.byte(at)?;
                let (text, after) = if matches!(first, b'"' | b'\'') {
                    self.quoted(first, at)?
                } else {
                    let (word, after) = self.flow_word(at)?;
                    let is_text = matches!(resolve(word.as_bytes(), Dialect::V2), Scalar::Str);
                    (is_text && self.byte(after + 1) == Some(b' ')).then_some((word.into(), after))?
                };
                if self.byte(after)? != b':' || after - at > MAX_KEY {
                    return None;
                }
                key = Some(text.into_owned());
                at = self.skip_spaces(after + 1);
            }
            let (value, after) = match self.byte(at)? {
                quote @ (b'"' | b'\'') => {
                    let (text, after) = self.quoted(quote, at)?;
                    (Value::String(text.into_owned()), after)
                }
                b'[' | b'{' => self.flow(at, depth + 1)?,
                _ => {
                    let (word, after) = self.flow_word(at)?;
                    (plain_value(word)?, after)
                }
            };
            match key {
                Some(key) => drop(map.insert(key, value)),
                None => items.push(value),
            }
            let after = self.skip_spaces(after);
            match self.byte(after)? {
                b',' => at = self.skip_spaces(after + 1),
                end if end == close => {
                    return Some((if is_list { Value::Array(items) } else { Value::Object(map) }, after + 1));
                }
                _ => return None,
            }
        }
    }

    /// A word in a flow collection that consists of characters without a meaning there.
    fn flow_word(&self, at: usize) -> Option<(&'a str, usize)> {
        let plain = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'/' | b'$' | b'(' | b')' | b'=');
        let length = self.bytes[at..].iter().take_while(|b| plain(b) || **b == b'-').count();
        let word = self.text.get(at..at + length)?;
        (length > 0 && !word.starts_with('-')).then_some((word, at + length))
    }
}

/// Whether no plain scalar starts with a character.
fn starts_no_plain(first: u8) -> bool {
    matches!(
        first,
        b',' | b'[' | b']' | b'{' | b'}' | b'#' | b'&' | b'*' | b'!' | b'|' | b'>' | b'\'' | b'"' | b'%' | b'@' | b'`'
    )
}

fn plain_value(text: &str) -> Option<Value> {
    Some(match resolve(text.as_bytes(), Dialect::V2) {
        Scalar::Null => Value::Null,
        Scalar::Bool(b) => Value::Bool(b),
        Scalar::Int(n) => n.into(),
        Scalar::Uint(n) => n.into(),
        Scalar::Float(n) => return number(n),
        Scalar::Timestamp | Scalar::Str => Value::String(text.to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::parse_slowly;

    #[test]
    fn what_is_plain_is_read_as_the_parser_reads_it() {
        for text in [
            "a: 1\n",
            "# c\n\na: x # c\nb:\n  c: [1, \"x\", {d: e}]\n  f: {}\n",
            "a:\n- b\n- c: d\n  e: f\n-\n- - g\n  - h\nk: null\n",
            "a:\n  - b\n\n  # c\n  - c\nd: ~\ne: yes\nf: 0x1F\ng: 1e3\nh: 2001-01-01\n",
            "a: 'it''s'\nb: \"x: y\" # c\n\"c\": d\n'e f': g\n",
            "a: b c\n  d\n\n  e\n f: g\n",
            "a: b c\n  d\n\n\n  e\nf: g\n",
            "a: b # c\nd: e#f\ng: h:i\n",
            "a: |\n  x\n   y\n\n  z\n\nb: |-\n  x\n\nc: |+\n  x\n\n\nd: e\n",
            "a: |\n\n  x\n  ",
            "a: |\n  x",
            "a: |\n  x\n    \n  \nb: c",
            "- a\n- |\n  b\n- c\n",
            "a: -1\nb: --c\nd: -e\n",
            "a:\n  b c\n  d\ne:\n- f\n-\n  g\n",
            "a: 'b  \n\n  c''d\n\n\n  '\ne: \"f\\n \n g\\t\n  \\\"h\\\\ \" # c\n",
            "a: b\na: c\n",
            "a:\n  b:\nc:\n",
            "  a: 1\n  b: 2\n",
            "a: {\"b\":\"c\", \"d\": [e-f, 1.5]}\n",
            "a: \u{e9} \u{1F600}\n",
        ] {
            let read = read(text.as_bytes());
            assert_eq!(read, parse_slowly(text.as_bytes()).ok(), "{text:?}");
        }
    }

    #[test]
    fn what_is_not_certainly_plain_is_left_to_the_parser() {
        for text in [
            "",
            "a",
            "a: b: c",
            "a:\n b: 1\n  c: 2",
            "a: &x 1",
            "a: *x",
            "a: !t b",
            "a: >\n  b",
            "a: \"\\x41\"",
            "a: \"b\\\n c\"",
            "<<: {}",
            "1: a",
            "a: .inf",
            "---\na: b",
            "a: b\n---\nc: d",
            "a: b\n...",
            "%YAML 1.1\n---\na: b",
            "? a\n: b",
            "a\t: b",
            "a: b\r\n",
            "a: [b,\n c]",
            "a: {b}",
            "a: [b: c]",
            "a:\n  b\n c: d",
            "a:#b",
            "a: |2\n   b",
            "a: |\nb: c",
            "a: |\n    \n  b",
            "- a\nb: c",
            "a: b\n- c",
            "a: \u{85}",
            "a: \u{2028}",
            "a: \u{7f}",
            "\u{feff}a: b",
            "a: b\n c: d",
        ] {
            assert_eq!(read(text.as_bytes()), None, "{text:?}");
        }
    }
}
