//! The little language of `--set`, `--set-string`, `--set-json`, `--set-file` and `--set-literal`.
//!
//! `a.b[2].c=value,d={x,y}` in Helm 4's dialect, oddities included: an index that ends too early is
//! silently dropped, a type conflict has the text of Go's failed type assertion.

use std::iter::Peekable;
use std::str::Chars;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::quote::{quote, quote_chars};

/// The highest list index of a line (`MaxIndex` in Helm).
pub const MAX_INDEX: i64 = 65536;
/// The most dots of one name (`MaxNestedNameLevel` in Helm).
pub const MAX_NESTED_NAME_LEVEL: usize = 30;
/// The most names and indexes of one path; Helm has no such limit.
pub const MAX_PATH_DEPTH: usize = 256;
/// The most list places that one line may add; Helm has no such limit.
pub const MAX_ADDED_PLACES: usize = 1 << 20;

/// Why a line was refused; the text is Helm's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Error(String);

/// Reads a `--set` line into `dest`: booleans, null and whole numbers get their type.
pub fn parse_into(line: &str, dest: &mut Map<String, Value>) -> Result<(), Error> {
    Parser::new(line, Mode::Typed).parse(dest)
}

/// Reads a `--set-string` line into `dest`: every value is a string.
pub fn parse_into_string(line: &str, dest: &mut Map<String, Value>) -> Result<(), Error> {
    Parser::new(line, Mode::Text).parse(dest)
}

/// Reads a `--set-json` line of the form `key=JSON,...` into `dest`; every number becomes a float, as in Go.
pub fn parse_json(line: &str, dest: &mut Map<String, Value>) -> Result<(), Error> {
    Parser::new(line, Mode::Json).parse(dest)
}

/// Reads a `--set-literal` line into `dest`: all behind the first `=` is one string.
pub fn parse_literal_into(line: &str, dest: &mut Map<String, Value>) -> Result<(), Error> {
    Parser::new(line, Mode::Literal).parse(dest)
}

/// Reads a `--set-file` line into `dest`; `read` gives the content for a path, or the text of its error.
pub fn parse_into_file(
    line: &str,
    dest: &mut Map<String, Value>,
    read: &mut dyn FnMut(&str) -> Result<String, String>,
) -> Result<(), Error> {
    Parser::new(line, Mode::File(read)).parse(dest)
}

/// What becomes of the text behind the `=`.
enum Mode<'a> {
    Typed,
    Text,
    Json,
    Literal,
    File(&'a mut dyn FnMut(&str) -> Result<String, String>),
}

/// Why reading stopped: the end of the line is an outcome of its own, even inside a path.
enum Stop {
    End,
    Failed(String),
}

type Step<T = ()> = Result<T, Stop>;

fn fail<T>(text: String) -> Step<T> {
    Err(Stop::Failed(text))
}

struct Parser<'a> {
    rest: Peekable<Chars<'a>>,
    mode: Mode<'a>,
    places: usize,
}

impl<'a> Parser<'a> {
    fn new(line: &'a str, mode: Mode<'a>) -> Self {
        Self { rest: line.chars().peekable(), mode, places: 0 }
    }

    fn parse(mut self, dest: &mut Map<String, Value>) -> Result<(), Error> {
        loop {
            match self.key(dest, 0, 0) {
                Ok(()) => {}
                Err(Stop::End) => return Ok(()),
                Err(Stop::Failed(text)) => return Err(Error(text)),
            }
        }
    }

    /// Reads up to a stop character, which is returned beside the text; None is the end of the line.
    fn until(&mut self, stops: &[char]) -> (String, Option<char>) {
        let mut text = String::new();
        while let Some(c) = self.rest.next() {
            if stops.contains(&c) {
                return (text, Some(c));
            }
            if c != '\\' || matches!(self.mode, Mode::Literal) {
                text.push(c);
                continue;
            }
            match self.rest.next() {
                Some(escaped) => text.push(escaped),
                None => break,
            }
        }
        (text, None)
    }

    /// Reads one `path=value` into `data`. `level` counts dots as Helm does, `depth` all steps of the path.
    fn key(&mut self, data: &mut Map<String, Value>, level: usize, depth: usize) -> Step {
        let stops: &[char] = if matches!(self.mode, Mode::Literal) { &['=', '[', '.'] } else { &['=', '[', ',', '.'] };
        let (key, stop) = self.until(stops);
        match stop {
            None if key.is_empty() => Err(Stop::End),
            None => fail(format!("key {} has no value", quote(&key))),
            Some('[') => {
                let index = self.index()?;
                let mut list = take_list(data.get_mut(&key))?.unwrap_or_default();
                let outcome = self.item(&mut list, index, level, depth + 1);
                set(data, key, Value::Array(list));
                outcome
            }
            Some('=') => self.value(data, key),
            Some('.') => self.nested(data, key, level + 1, depth + 1),
            Some(_) => fail(format!("key {} has no value (cannot end with ,)", quote(&key))),
        }
    }

    fn nested(&mut self, data: &mut Map<String, Value>, key: String, level: usize, depth: usize) -> Step {
        if level > MAX_NESTED_NAME_LEVEL {
            return fail(format!(
                "value name nested level is greater than maximum supported nested level of {MAX_NESTED_NAME_LEVEL}"
            ));
        }
        check_depth(depth)?;
        let mut inner = match data.get_mut(&key) {
            None => Map::new(),
            Some(Value::Object(inner)) => std::mem::take(inner),
            Some(other) => return fail(conversion(other, "map[string]interface {}")),
        };
        let outcome = self.key(&mut inner, level, depth);
        if outcome.is_ok() && inner.is_empty() {
            return fail(format!("key map {} has no value", quote(&key)));
        }
        if !inner.is_empty() {
            set(data, key, Value::Object(inner));
        }
        outcome
    }

    fn value(&mut self, data: &mut Map<String, Value>, key: String) -> Step {
        match self.mode {
            Mode::Json => set(data, key, self.json()?),
            Mode::Literal => set(data, key, Value::String(self.until(&[]).0)),
            _ => match self.rest.peek() {
                None => {
                    set(data, key, Value::String(String::new()));
                    return Err(Stop::End);
                }
                Some('{') => set(data, key, self.list()?),
                Some(_) => {
                    let (text, _) = self.until(&[',']);
                    set(data, key, self.convert(text)?);
                }
            },
        }
        Ok(())
    }

    /// Reads what follows an index: a value, another index or a name.
    fn item(&mut self, list: &mut Vec<Value>, index: i64, level: usize, depth: usize) -> Step {
        if index < 0 {
            return fail(format!("negative {index} index not allowed"));
        }
        check_depth(depth)?;
        let (text, stop) = self.until(&['[', '.', '=']);
        if !text.is_empty() {
            return fail(format!("unexpected data at end of array index: {}", quote_chars(&text)));
        }
        let place = index as usize;
        let value = match stop {
            None => return Err(Stop::End),
            Some('=') => self.item_value()?,
            Some('[') => {
                let next = self.index()?;
                let mut inner = match list.get_mut(place) {
                    None | Some(Value::Null) => Vec::new(),
                    found => take_list(found)?.unwrap_or_default(),
                };
                self.item(&mut inner, next, level, depth + 1)?;
                Value::Array(inner)
            }
            Some(_) => {
                let Some(slot) = list.get_mut(place) else {
                    let mut inner = Map::new();
                    self.key(&mut inner, level, depth + 1)?;
                    return self.set_index(list, index, Value::Object(inner));
                };
                if !slot.is_object() {
                    *slot = Value::Object(Map::new());
                }
                return match slot {
                    Value::Object(inner) => self.key(inner, level, depth + 1),
                    _ => Ok(()),
                };
            }
        };
        self.set_index(list, index, value)
    }

    fn item_value(&mut self) -> Step<Value> {
        Ok(match self.mode {
            Mode::Json => self.json()?,
            Mode::Literal => Value::String(self.until(&[]).0),
            _ => match self.rest.peek() {
                None => Value::String(String::new()),
                Some('{') => self.list()?,
                Some(_) => {
                    let (text, _) = self.until(&[',']);
                    self.convert(text)?
                }
            },
        })
    }

    fn set_index(&mut self, list: &mut Vec<Value>, index: i64, value: Value) -> Step {
        if index > MAX_INDEX {
            return fail(format!("index of {index} is greater than maximum supported index of {MAX_INDEX}"));
        }
        let place = index as usize;
        if list.len() <= place {
            self.places += place + 1 - list.len();
            if self.places > MAX_ADDED_PLACES {
                return fail(format!("lists are longer than {MAX_ADDED_PLACES} places together"));
            }
            list.resize(place + 1, Value::Null);
        }
        list[place] = value;
        Ok(())
    }

    /// Reads the number up to a `]`. A line that ends before it is not an error.
    fn index(&mut self) -> Step<i64> {
        let (text, stop) = self.until(&[']']);
        if stop.is_none() {
            return Err(Stop::End);
        }
        text.parse().or_else(|error: std::num::ParseIntError| {
            use std::num::IntErrorKind::{NegOverflow, PosOverflow};
            let why = match error.kind() {
                PosOverflow | NegOverflow => "value out of range",
                _ => "invalid syntax",
            };
            fail(format!("error parsing index: strconv.Atoi: parsing {}: {why}", quote(&text)))
        })
    }

    /// Reads `{a,b}` and a comma behind it.
    fn list(&mut self) -> Step<Value> {
        self.rest.next();
        let mut list = Vec::new();
        loop {
            let (text, stop) = self.until(&[',', '}']);
            match stop {
                None => return fail("list must terminate with '}'".to_string()),
                Some('}') => {
                    self.rest.next_if_eq(&',');
                    list.push(self.convert(text)?);
                    return Ok(Value::Array(list));
                }
                Some(_) => list.push(self.convert(text)?),
            }
        }
    }

    fn convert(&mut self, text: String) -> Step<Value> {
        match &mut self.mode {
            Mode::Typed => Ok(typed(text)),
            Mode::File(read) => read(&text).map(Value::String).map_err(Stop::Failed),
            _ => Ok(Value::String(text)),
        }
    }

    /// Reads a JSON value and the blanks and comma behind it; none at all is null.
    fn json(&mut self) -> Step<Value> {
        if self.skip_blank() {
            return Ok(Value::Null);
        }
        let text: String = self.rest.clone().collect();
        let mut json = serde_json::Deserializer::from_str(&text);
        let value = Value::deserialize(&mut json).or_else(|error| fail(error.to_string()))?;
        let read = json.into_iter::<Value>().byte_offset();
        for _ in text[..read].chars() {
            self.rest.next();
        }
        self.skip_blank();
        Ok(crate::chart::values::floats(value))
    }

    /// Skips blanks and one comma; says whether the value ended there.
    fn skip_blank(&mut self) -> bool {
        while self.rest.next_if(|c| c.is_whitespace()).is_some() {}
        self.rest.next_if_eq(&',').is_some() || self.rest.peek().is_none()
    }
}

fn check_depth(depth: usize) -> Step {
    if depth > MAX_PATH_DEPTH {
        return fail(format!("a path has more than {MAX_PATH_DEPTH} names and indexes"));
    }
    Ok(())
}

/// Sets a key; an empty key sets nothing.
fn set(data: &mut Map<String, Value>, key: String, value: Value) {
    if !key.is_empty() {
        data.insert(key, value);
    }
}

/// Takes the list out of a place that must hold one.
fn take_list(found: Option<&mut Value>) -> Step<Option<Vec<Value>>> {
    match found {
        None => Ok(None),
        Some(Value::Array(list)) => Ok(Some(std::mem::take(list))),
        Some(other) => fail(conversion(other, "[]interface {}")),
    }
}

/// Go's text for a type assertion that fails, as Helm reports it.
fn conversion(value: &Value, wanted: &str) -> String {
    let found = match value {
        Value::Null => "nil",
        Value::Bool(_) => "bool",
        Value::Number(n) if n.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    };
    format!("unable to parse key: interface conversion: interface {{}} is {found}, not {wanted}")
}

/// Gives a text the type that `--set` sees in it: a number with a leading zero or a fraction stays a text.
fn typed(text: String) -> Value {
    if text.eq_ignore_ascii_case("true") {
        return Value::Bool(true);
    }
    if text.eq_ignore_ascii_case("false") {
        return Value::Bool(false);
    }
    if text.eq_ignore_ascii_case("null") {
        return Value::Null;
    }
    if text == "0" {
        return Value::from(0);
    }
    match text.parse::<i64>() {
        Ok(number) if !text.starts_with('0') => Value::from(number),
        _ => Value::String(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn set(line: &str) -> Value {
        into(json!({}), line)
    }

    fn into(mut dest: Value, line: &str) -> Value {
        match parse_into(line, dest.as_object_mut().unwrap()) {
            Ok(()) => dest,
            Err(error) => Value::String(error.to_string()),
        }
    }

    #[test]
    fn a_line_becomes_a_tree() {
        for (line, expected) in [
            ("a=1,b=true,c=null,d=x", json!({"a": 1, "b": true, "c": null, "d": "x"})),
            (
                "a=01,b=1.5,c=-7,d=0,e=99999999999999999999",
                json!({"a": "01", "b": "1.5", "c": -7, "d": 0, "e": "99999999999999999999"}),
            ),
            ("a.b.c=x", json!({"a": {"b": {"c": "x"}}})),
            ("a[1].b=x,a[0]=y", json!({"a": ["y", {"b": "x"}]})),
            ("a[1][0]=x", json!({"a": [null, ["x"]]})),
            ("a={},b={x,y},c=z", json!({"a": [""], "b": ["x", "y"], "c": "z"})),
            (r"a\.b=x\,y", json!({"a.b": "x,y"})),
            ("a=", json!({"a": ""})),
            ("a=,b=1", json!({"a": "", "b": 1})),
            ("", json!({})),
            ("=x", json!({})),
        ] {
            assert_eq!(set(line), expected, "{line}");
        }
    }

    #[test]
    fn a_path_that_ends_early_is_dropped_in_silence() {
        assert_eq!(set("a[0"), json!({}));
        assert_eq!(set("a[0]"), json!({"a": []}));
        assert_eq!(set("a[0].b="), json!({"a": []}));
    }

    #[test]
    fn a_refused_line_says_why_in_helms_words() {
        for (line, expected) in [
            ("a", "key \"a\" has no value"),
            ("a,b=1", "key \"a\" has no value (cannot end with ,)"),
            ("a.=1", "key map \"a\" has no value"),
            ("a[x]=1", "error parsing index: strconv.Atoi: parsing \"x\": invalid syntax"),
            ("a[-1]=1", "negative -1 index not allowed"),
            ("a[65537]=1", "index of 65537 is greater than maximum supported index of 65536"),
            ("a[0]bc=1", "unexpected data at end of array index: ['b' 'c']"),
            ("a={1,2", "list must terminate with '}'"),
            ("s.x=1", "unable to parse key: interface conversion: interface {} is string, not map[string]interface {}"),
            ("s[0]=1", "unable to parse key: interface conversion: interface {} is string, not []interface {}"),
            ("z[0]=1", "unable to parse key: interface conversion: interface {} is nil, not []interface {}"),
        ] {
            assert_eq!(into(json!({"s": "text", "z": null}), line), json!(expected), "{line}");
        }
    }

    #[test]
    fn paths_and_lists_are_bounded() {
        assert!(set(&format!("a{}=1", "[0]".repeat(MAX_PATH_DEPTH))).is_object());
        let deep = set(&format!("a{}=1", "[0]".repeat(MAX_PATH_DEPTH + 1)));
        assert_eq!(deep, json!("a path has more than 256 names and indexes"));
        let dots = set(&format!("a{}=1", ".b".repeat(MAX_NESTED_NAME_LEVEL + 1)));
        assert_eq!(dots, json!("value name nested level is greater than maximum supported nested level of 30"));
        let line: Vec<String> = (0..16).map(|i| format!("a{i}[65536]=x")).collect();
        assert_eq!(set(&line.join(",")), json!("lists are longer than 1048576 places together"));
    }

    #[test]
    fn json_values_are_read_one_by_one_and_numbers_are_floats() {
        let mut dest = Map::new();
        parse_json("a={\"x\":1},b[1]=[2,\"c,d\"] ,c=,d=1", &mut dest).unwrap();
        assert_eq!(Value::Object(dest), json!({"a": {"x": 1.0}, "b": [null, [2.0, "c,d"]], "c": null, "d": 1.0}));
        assert!(parse_json("a={x", &mut Map::new()).is_err());
    }

    #[test]
    fn a_literal_keeps_commas_and_backslashes() {
        let mut dest = Map::new();
        parse_literal_into(r"a.b[0]=x,y=\z", &mut dest).unwrap();
        assert_eq!(Value::Object(dest), json!({"a": {"b": [r"x,y=\z"]}}));
    }

    #[test]
    fn a_file_line_holds_what_the_reader_gives() {
        let mut read = |path: &str| if path == "p" { Ok("content".to_string()) } else { Err(format!("open {path}")) };
        let mut dest = Map::new();
        parse_into_file("a=p,b={p}", &mut dest, &mut read).unwrap();
        assert_eq!(Value::Object(dest), json!({"a": "content", "b": ["content"]}));
        assert_eq!(parse_into_file("a=q", &mut Map::new(), &mut read), Err(Error("open q".into())));
    }
}
