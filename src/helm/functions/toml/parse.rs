//! Reading: items become tables, with the rules on what may be defined again.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::rc::Rc;

use jiff::tz::TimeZone;

use super::emit::path_text;
use super::lex::{Item, Kind, LexError, Lexer};
use crate::functions::clock::{Time, Zone};
use crate::functions::layout_parsing;
use crate::functions::strconv::{NumberError, parse_float, parse_int};
use crate::runes;
use crate::value::quote::quoted as quote;
use crate::value::{List, ListType, Map, MapType, Str, Value};

/// How deep arrays and inline tables may nest.
const MAX_NESTING: usize = 256;

type Table = RefCell<BTreeMap<Str, Node>>;
type Path = Vec<Str>;
type Result<T> = std::result::Result<T, String>;

/// What a key holds while the document is read.
#[derive(Clone)]
enum Node {
    Value(Value),
    Table(Rc<Table>),
    Tables(Vec<Rc<Table>>),
}

impl Node {
    fn value(&self) -> Value {
        match self {
            Self::Value(value) => value.clone(),
            Self::Table(table) => table_value(table),
            Self::Tables(tables) => {
                let tables: Vec<Value> = tables.iter().map(|table| table_value(table)).collect();
                Value::List(List::new(ListType::Map, tables))
            }
        }
    }
}

fn table_value(table: &Table) -> Value {
    let pairs = table.borrow();
    let pairs = pairs.iter().map(|(key, node)| (key.clone(), node.value()));
    Value::Map(Map::from_pairs(MapType::Any, pairs))
}

struct Parser<'t> {
    lexer: Lexer<'t>,
    local: &'t TimeZone,
    root: Rc<Table>,
    /// The table that keys are put into.
    context: Path,
    current_key: Str,
    /// The line that errors of definitions name.
    line: usize,
    implicit: HashSet<Vec<u8>>,
    is_array: HashMap<Vec<u8>, bool>,
}

/// Reads a document into a `map[string]interface {}`; the error has the text of `BurntSushi/toml`.
pub fn parse(text: &[u8], local: &TimeZone) -> Result<Value> {
    let text = [&b"\xff\xfe"[..], b"\xfe\xff", b"\xef\xbb\xbf"]
        .into_iter()
        .find_map(|mark| text.strip_prefix(mark))
        .unwrap_or(text);
    if text.iter().take(6).any(|c| *c == 0) {
        return Err(
            "toml: line 1: files cannot contain NULL bytes; probably using UTF-16; TOML files must be UTF-8".into()
        );
    }
    let mut parser = Parser {
        lexer: Lexer::new(text),
        local,
        root: Rc::default(),
        context: Path::new(),
        current_key: Str::default(),
        line: 0,
        implicit: HashSet::new(),
        is_array: HashMap::new(),
    };
    loop {
        let item = parser.next()?;
        if item.kind == Kind::Eof {
            return Ok(table_value(&parser.root));
        }
        parser.top_level(&item)?;
    }
}

impl<'t> Parser<'t> {
    fn fail<T>(&self, line: usize, message: &str) -> Result<T> {
        let key = match (self.current_key.is_empty(), self.context.is_empty()) {
            (true, _) => path_text(&self.context),
            (false, true) => self.current_key.to_vec(),
            (false, false) => [&path_text(&self.context), b".".as_slice(), &self.current_key].concat(),
        };
        if key.is_empty() {
            return Err(format!("toml: line {line}: {message}"));
        }
        Err(format!("toml: line {line} (last key {}): {message}", quote(&key)))
    }

    fn fail_key<T>(&self, path: &[Str], message: &str) -> Result<T> {
        let path = path_text(path);
        self.fail(self.line, &format!("Key '{}' {message}", String::from_utf8_lossy(&path)))
    }

    fn next(&mut self) -> Result<Item<'t>> {
        match self.lexer.next_item() {
            Ok(item) => Ok(item),
            Err(LexError { line, message }) => self.fail(line, &message),
        }
    }

    fn next_position(&mut self) -> Result<Item<'t>> {
        let item = self.next()?;
        self.line = item.line;
        Ok(item)
    }

    fn top_level(&mut self, item: &Item<'t>) -> Result<()> {
        match item.kind {
            Kind::CommentStart => {
                self.next()?;
            }
            Kind::TableStart | Kind::ArrayTableStart => {
                let array = item.kind == Kind::ArrayTableStart;
                let key = self.key(if array { Kind::ArrayTableEnd } else { Kind::TableEnd })?;
                self.add_context(&key, array)?;
                self.set_type(None, false);
            }
            _ => {
                let outer = self.context.clone();
                self.entry(0)?;
                self.context = outer;
                self.current_key = Str::default();
            }
        }
        Ok(())
    }

    /// Reads a dotted key up to its end.
    fn key(&mut self, end: Kind) -> Result<Path> {
        let mut key = Path::new();
        let mut item = self.next_position()?;
        while item.kind != end && item.kind != Kind::Eof {
            key.push(match self.scalar(&item)? {
                Value::Str(text) => text,
                _ => item.text.into(),
            });
            item = self.next()?;
        }
        Ok(key)
    }

    /// Reads `key = value` into the current context and returns the key's parents and the value.
    fn entry(&mut self, depth: usize) -> Result<(Path, Node)> {
        let mut key = self.key(Kind::KeyEnd)?;
        self.current_key = key.pop().unwrap_or_default();
        for part in &key {
            let path = [self.context.as_slice(), std::slice::from_ref(part)].concat();
            self.implicit.insert(path_text(&path));
            self.add_context(&path, false)?;
        }
        let item = self.next()?;
        let node = self.value(&item, false, depth)?;
        let name = self.current_key.clone();
        let is_array = matches!(item.kind, Kind::Array);
        self.set_value(&name, node.clone())?;
        self.set_type(Some(&name), is_array);
        Ok((key, node))
    }

    fn set_type(&mut self, key: Option<&Str>, is_array: bool) {
        let path: Path = self.context.iter().chain(key).cloned().collect();
        self.is_array.insert(path_text(&path), is_array);
    }

    fn value(&mut self, item: &Item<'t>, in_array: bool, depth: usize) -> Result<Node> {
        if depth > MAX_NESTING {
            return self.fail(item.line, &format!("values nested deeper than {MAX_NESTING}"));
        }
        match item.kind {
            Kind::Array => self.array(depth),
            Kind::InlineTableStart => self.inline_table(in_array, depth),
            _ => self.scalar(item).map(Node::Value),
        }
    }

    fn scalar(&mut self, item: &Item<'t>) -> Result<Value> {
        Ok(match item.kind {
            Kind::EscapedStr => self.unescaped(item, item.text)?.into(),
            Kind::MultilineStr => {
                let text = without_escaped_newlines(without_first_newline(item.text));
                self.unescaped(item, &text)?.into()
            }
            Kind::RawMultilineStr => without_first_newline(item.text).to_vec().into(),
            Kind::Integer => self.integer(item)?,
            Kind::Float => self.float(item)?,
            Kind::Bool => (item.text == b"true").into(),
            Kind::Datetime => self.datetime(item)?,
            _ => item.text.to_vec().into(),
        })
    }

    fn integer(&self, item: &Item<'_>) -> Result<Value> {
        let text = item.text;
        if !underscores_are_right(text) {
            let message = format!("Invalid integer {}: underscores must be surrounded by digits", quote(text));
            return self.fail(item.line, &message);
        }
        if has_leading_zero(text) {
            return self.fail(item.line, &format!("Invalid integer {}: cannot have leading zeroes", quote(text)));
        }
        match parse_int(text, 0) {
            Ok(number) => Ok(Value::Int64(number)),
            Err(NumberError::Range(_)) => {
                self.fail(item.line, &format!("{} is out of range for int64", String::from_utf8_lossy(text)))
            }
            Err(NumberError::Syntax) => self.fail(item.line, &format!("Invalid integer {}", quote(text))),
        }
    }

    fn float(&self, item: &Item<'_>) -> Result<Value> {
        let text = item.text;
        let parts: Vec<&[u8]> =
            text.split(|c| matches!(c, b'.' | b'e' | b'E')).filter(|part| !part.is_empty()).collect();
        let what = if !parts.iter().all(|part| underscores_are_right(part)) {
            "underscores must be surrounded by digits"
        } else if parts.first().is_some_and(|part| has_leading_zero(part)) {
            "cannot have leading zeroes"
        } else if !text.split(|c| *c == b'.').skip(1).all(|after| after.first().is_some_and(u8::is_ascii_digit)) {
            "'.' must be followed by one or more digits"
        } else {
            ""
        };
        if !what.is_empty() {
            return self.fail(item.line, &format!("Invalid float {}: {what}", quote(text)));
        }
        let digits: Vec<u8> = text.iter().copied().filter(|c| *c != b'_').collect();
        match digits.as_slice() {
            b"+nan" => return Ok(Value::Float(f64::NAN)),
            b"-nan" => return Ok(Value::Float(-f64::NAN)),
            _ => {}
        }
        match parse_float(&digits) {
            Ok(number) => Ok(Value::Float(number)),
            Err(NumberError::Range(_)) => {
                self.fail(item.line, &format!("{} is out of range for float64", String::from_utf8_lossy(text)))
            }
            Err(NumberError::Syntax) => self.fail(item.line, &format!("Invalid float value: {}", quote(text))),
        }
    }

    fn datetime(&self, item: &Item<'_>) -> Result<Value> {
        const FORMS: [(&str, Option<&str>); 7] = [
            ("2006-01-02T15:04:05.999999999Z07:00", None),
            ("2006-01-02T15:04:05.999999999", Some("datetime-local")),
            ("2006-01-02", Some("date-local")),
            ("15:04:05.999999999", Some("time-local")),
            ("2006-01-02T15:04Z07:00", None),
            ("2006-01-02T15:04", Some("datetime-local")),
            ("15:04", Some("time-local")),
        ];
        let text: Vec<u8> = item
            .text
            .iter()
            .map(|c| match c {
                b'z' => b'Z',
                b't' | b' ' => b'T',
                other => *other,
            })
            .collect();
        for (layout, local_name) in FORMS {
            let zone = if local_name.is_some() { &TimeZone::UTC } else { self.local };
            let Ok(time) = layout_parsing::parse(layout.as_bytes(), &text, zone) else { continue };
            if lacks_a_zero(&text, layout.as_bytes()) {
                break;
            }
            let Some(name) = local_name else { return Ok(Value::object(time)) };
            let zone = Zone::Fixed { name: name.into(), offset: 0 };
            return Ok(Value::object(Time::from_unix(time.seconds, time.nanos, zone)));
        }
        self.fail(item.line, &format!("invalid datetime: {}", quote(&text)))
    }

    fn array(&mut self, depth: usize) -> Result<Node> {
        let key = self.current_key.clone();
        self.set_type((!key.is_empty()).then_some(&key), true);
        let mut items = Vec::new();
        loop {
            let item = self.next()?;
            match item.kind {
                Kind::ArrayEnd => break,
                Kind::CommentStart => {
                    self.next()?;
                }
                _ => items.push(self.value(&item, true, depth + 1)?.value()),
            }
        }
        Ok(Node::Value(Value::list(items)))
    }

    fn inline_table(&mut self, in_array: bool, depth: usize) -> Result<Node> {
        let table: Rc<Table> = Rc::default();
        let (outer, outer_key) = (self.context.clone(), self.current_key.clone());
        self.context.push(std::mem::take(&mut self.current_key));
        let path = self.context.clone();
        self.implicit.insert(path_text(&path));
        self.add_context(&path, in_array)?;
        loop {
            let item = self.next()?;
            match item.kind {
                Kind::InlineTableEnd => break,
                Kind::CommentStart => {
                    self.next()?;
                    continue;
                }
                _ => {}
            }
            let (parents, node) = self.entry(depth + 1)?;
            let mut inner = table.clone();
            for parent in parents {
                let next = if let Node::Table(next) =
                    inner.borrow_mut().entry(parent).or_insert_with(|| Node::Table(Rc::default()))
                {
                    next.clone()
                } else {
                    let path = path_text(&self.context);
                    return self.fail(self.line, &format!("{} is not a table", quote(&path)));
                };
                inner = next;
            }
            inner.borrow_mut().insert(self.current_key.clone(), node);
            self.context.clone_from(&path);
        }
        self.context = outer;
        self.current_key = outer_key;
        Ok(Node::Table(table))
    }

    /// Makes a table the one that keys go into, and its parents where they are missing.
    fn add_context(&mut self, key: &[Str], array: bool) -> Result<()> {
        let Some((name, parents)) = key.split_last() else { return Ok(()) };
        let mut table = self.root.clone();
        let mut path = Path::new();
        for parent in parents {
            path.push(parent.clone());
            if !table.borrow().contains_key(parent) {
                self.implicit.insert(path_text(&path));
                table.borrow_mut().insert(parent.clone(), Node::Table(Rc::default()));
            }
            let next = inside(&table, parent);
            let Some(next) = next else { return self.fail_key(&path, "was already created as a hash.") };
            table = next;
        }
        self.context.clone_from(&path);
        if array {
            let mut entries = table.borrow_mut();
            let node = entries.entry(name.clone()).or_insert_with(|| Node::Tables(Vec::new()));
            let Node::Tables(tables) = node else {
                drop(entries);
                return self.fail_key(key, "was already created and cannot be used as an array.");
            };
            tables.push(Rc::default());
        } else {
            self.set_value(name, Node::Table(Rc::default()))?;
        }
        self.context.push(name.clone());
        Ok(())
    }

    fn set_value(&mut self, key: &Str, node: Node) -> Result<()> {
        let mut table = self.root.clone();
        let mut path = Path::new();
        for part in self.context.clone() {
            path.push(part.clone());
            let Some(next) = inside(&table, &part) else {
                return self.fail_key(&path, "has already been defined.");
            };
            table = next;
        }
        path.push(key.clone());
        let full = path_text(&path);
        if table.borrow().contains_key(key) {
            let was_implicit = self.implicit.remove(&full);
            if !was_implicit {
                return self.fail_key(&path, "has already been defined.");
            }
            if self.is_array.get(&full) != Some(&true) {
                return Ok(());
            }
        }
        table.borrow_mut().insert(key.clone(), node);
        Ok(())
    }

    fn unescaped(&self, item: &Item<'_>, text: &[u8]) -> Result<Vec<u8>> {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while !rest.is_empty() {
            let (c, len) = runes::decode(rest);
            rest = &rest[len..];
            if c != '\\' {
                out.push(c);
                continue;
            }
            let letter = rest.first().copied().unwrap_or_default();
            let digits = match letter {
                b'x' => 2,
                b'u' => 4,
                b'U' => 8,
                _ => 0,
            };
            match letter {
                b' ' | b'\t' => {
                    return self.fail(item.line, &format!("invalid escape: '\\{}'", char::from(letter)));
                }
                b'b' => out.push('\x08'),
                b't' => out.push('\t'),
                b'n' => out.push('\n'),
                b'f' => out.push('\x0c'),
                b'r' => out.push('\r'),
                b'e' => out.push('\x1b'),
                b'x' | b'u' | b'U' => {
                    let hex = String::from_utf8_lossy(rest.get(1..=digits).unwrap_or_default()).into_owned();
                    let Some(c) = u32::from_str_radix(&hex, 16).ok().and_then(char::from_u32) else {
                        return self.fail(item.line, &format!("Escaped character '\\u{hex}' is not valid UTF-8."));
                    };
                    out.push(c);
                }
                other => out.push(char::from(other)),
            }
            rest = rest.get(1 + digits..).unwrap_or_default();
        }
        Ok(out.into_bytes())
    }
}

/// Goes into a table, of a list of tables into the last.
fn inside(table: &Table, key: &Str) -> Option<Rc<Table>> {
    match table.borrow().get(key) {
        Some(Node::Table(table)) => Some(table.clone()),
        Some(Node::Tables(tables)) => tables.last().cloned(),
        _ => None,
    }
}

fn without_first_newline(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"\n").or_else(|| text.strip_prefix(b"\r\n")).unwrap_or(text)
}

/// Drops a backslash at a line's end with all white space after it.
fn without_escaped_newlines(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.iter().position(|c| *c == b'\\') {
        out.extend_from_slice(&rest[..at]);
        let after = &rest[at + 1..];
        if after.first() == Some(&b'\\') {
            out.extend_from_slice(b"\\\\");
            rest = &after[1..];
            continue;
        }
        let blank = after.iter().take_while(|c| matches!(c, b' ' | b'\t' | b'\r' | b'\n')).count();
        if after[..blank].contains(&b'\n') {
            rest = &after[blank..];
        } else {
            out.push(b'\\');
            rest = after;
        }
    }
    out.extend_from_slice(rest);
    out
}

fn has_leading_zero(text: &[u8]) -> bool {
    match text {
        [b'0', b'b' | b'o' | b'x', ..] => false,
        [b'0', _, ..] => true,
        [b'-' | b'+', b'0', _, ..] => true,
        _ => false,
    }
}

/// Underscores stand after a digit, and the last character is one; a sign does not count.
fn underscores_are_right(text: &[u8]) -> bool {
    if matches!(text, b"nan" | b"+nan" | b"-nan" | b"inf" | b"-inf" | b"+inf") {
        return true;
    }
    let mut after_digit = false;
    for c in text {
        if *c == b'_' && !after_digit {
            return false;
        }
        after_digit = c.is_ascii_hexdigit();
    }
    after_digit
}

/// Go's layouts take "1:00" for "15:04"; TOML wants both digits.
fn lacks_a_zero(text: &[u8], layout: &[u8]) -> bool {
    let fixed = layout.iter().take_while(|c| !matches!(c, b'.' | b'Z'));
    fixed.enumerate().any(|(at, c)| !c.is_ascii_digit() && text.get(at) != Some(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> String {
        match parse(text.as_bytes(), &TimeZone::UTC) {
            Ok(value) => value.to_text().expect("printable").to_string(),
            Err(error) => error,
        }
    }

    #[test]
    fn documents_become_maps() {
        for (text, want) in [
            ("", "map[]"),
            ("a.b.c = 1\na.d = 2", "map[a:map[b:map[c:1] d:2]]"),
            ("[[d]]\ne = 1\n[[d]]\ne = 2\n[d.f]\ng=3", "map[d:[map[e:1] map[e:2 f:map[g:3]]]]"),
            ("a = \"\"\"\nx\\\n   y\"\"\"\nb = '''z'''", "map[a:xy b:z]"),
            ("a = [1, [2], {b = 3, c.d = 4}] # x", "map[a:[1 [2] map[b:3 c:map[d:4]]]]"),
            ("a = \"\\u0041\\x42\\n\"", "map[a:AB\n]"),
            ("a = {b = 1}\n[c]\nd = 2001-01-01", "map[a:map[b:1] c:map[d:2001-01-01 00:00:00 +0000 date-local]]"),
        ] {
            assert_eq!(read(text), want, "{text}");
        }
    }

    #[test]
    fn errors_name_line_and_key() {
        for (text, want) in [
            ("a = 1\na = 2", "toml: line 2 (last key \"a\"): Key 'a' has already been defined."),
            ("a = ", "toml: line 1 (last key \"a\"): unexpected EOF; expected value"),
            ("[a", "toml: line 1: expected '.' or ']' to end table name, but got '\\x00' instead"),
            ("a = 01", "toml: line 1 (last key \"a\"): Invalid integer \"01\": cannot have leading zeroes"),
            ("a = \"x", "toml: line 1 (last key \"a\"): unexpected EOF; expected '\"'"),
            ("[t]\n[t]", "toml: line 2: Key 't' has already been defined."),
        ] {
            assert_eq!(read(text), want, "{text}");
        }
    }

    #[test]
    fn nesting_has_a_limit() {
        let deep = format!("a = {}{}", "[".repeat(MAX_NESTING + 2), "]".repeat(MAX_NESTING + 2));
        assert!(read(&deep).contains("nested deeper"));
    }
}
