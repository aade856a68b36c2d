//! Reading JSON with the error texts of Go 1.27's encoding/json, which templates can see.

use serde_json::{Map, Number, Value};

use super::replace_invalid;
use crate::quote::quote_char;
use crate::value::quote::quoted;

/// How deep arrays and objects may nest; Go stops at 10,000.
pub const MAX_DEPTH: usize = 250;

/// Why a text could not be read.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    /// The text is no JSON.
    #[error("{0}")]
    Syntax(String),
    /// The text holds another kind of value than the one asked for.
    #[error("json: cannot unmarshal {found} into Go value of type {wanted}")]
    Kind {
        /// What it holds.
        found: &'static str,
        /// Go's name of the type asked for.
        wanted: &'static str,
    },
    /// A number does not fit a float. Go reads the rest all the same, with 0 in its place.
    #[error("json: cannot unmarshal number {number} into {place} of type float64")]
    Range {
        /// The number's text.
        number: String,
        /// Where it stands, in Go's words.
        place: String,
        /// What was read.
        read: Value,
    },
}

/// Reads a text as any value.
pub fn parse(text: &[u8]) -> Result<Value, Error> {
    read(text, |_| Ok(()))
}

/// Reads a text as an object, or null.
pub fn parse_object(text: &[u8]) -> Result<Value, Error> {
    read(text, |value| expect(value, "map[string]interface {}", Value::is_object))
}

/// Reads a text as an array, or null.
pub fn parse_array(text: &[u8]) -> Result<Value, Error> {
    read(text, |value| expect(value, "[]interface {}", Value::is_array))
}

fn expect(value: &Value, wanted: &'static str, is: fn(&Value) -> bool) -> Result<(), Error> {
    let found = match value {
        value if value.is_null() || is(value) => return Ok(()),
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        _ => "object",
    };
    Err(Error::Kind { found, wanted })
}

fn read(text: &[u8], check: impl FnOnce(&Value) -> Result<(), Error>) -> Result<Value, Error> {
    let mut parser = Parser { text, at: 0, depth: 0, path: Vec::new(), too_large: None };
    let value = parser.value()?;
    parser.skip_blanks();
    if parser.at < text.len() {
        return parser.unexpected("after top-level value");
    }
    check(&value)?;
    match parser.too_large {
        Some((number, place)) => Err(Error::Range { number, place, read: value }),
        None => Ok(value),
    }
}

struct Parser<'a> {
    text: &'a [u8],
    at: usize,
    depth: usize,
    /// Keys and indices that lead to the present value.
    path: Vec<String>,
    /// The first number that no float can hold, and its place.
    too_large: Option<(String, String)>,
}

impl Parser<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn skip_blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    /// The next byte behind blanks.
    fn next(&mut self) -> Result<u8, Error> {
        self.skip_blanks();
        self.peek().map_or_else(ended, Ok)
    }

    /// The error for the character at the present place.
    fn unexpected<T>(&self, place: &str) -> Result<T, Error> {
        let rest = &self.text[self.at..];
        let first = rest.utf8_chunks().next().and_then(|chunk| chunk.valid().chars().next());
        let what = match (first, rest.first()) {
            (Some(c), _) => quote_char(c),
            (None, Some(byte)) => format!("'\\x{byte:02x}'"),
            (None, None) => return ended(),
        };
        Err(Error::Syntax(format!("invalid character {what} {place}")))
    }

    fn value(&mut self) -> Result<Value, Error> {
        match self.next()? {
            b'n' => self.literal("null", Value::Null),
            b't' => self.literal("true", Value::Bool(true)),
            b'f' => self.literal("false", Value::Bool(false)),
            b'"' => self.string().map(Value::String),
            b'-' | b'0'..=b'9' => self.number(),
            b'[' => self.nested(Self::array),
            b'{' => self.nested(Self::object),
            _ => self.unexpected("looking for beginning of value"),
        }
    }

    fn nested(&mut self, parse: fn(&mut Self) -> Result<Value, Error>) -> Result<Value, Error> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(Error::Syntax("exceeded max depth".into()));
        }
        self.at += 1;
        let value = parse(self)?;
        self.depth -= 1;
        Ok(value)
    }

    fn array(&mut self) -> Result<Value, Error> {
        let mut items = Vec::new();
        if self.next()? == b']' {
            self.at += 1;
            return Ok(Value::Array(items));
        }
        loop {
            self.path.push(items.len().to_string());
            items.push(self.value()?);
            self.path.pop();
            match self.next()? {
                b',' => self.at += 1,
                b']' => {
                    self.at += 1;
                    return Ok(Value::Array(items));
                }
                _ => return self.unexpected("after array element"),
            }
        }
    }

    fn object(&mut self) -> Result<Value, Error> {
        let mut map = Map::new();
        if self.next()? == b'}' {
            self.at += 1;
            return Ok(Value::Object(map));
        }
        loop {
            if self.next()? != b'"' {
                return self.unexpected("looking for beginning of object key string");
            }
            let key = self.string()?;
            if self.next()? != b':' {
                return self.unexpected("after object key");
            }
            self.at += 1;
            self.path.push(key.clone());
            let value = self.value()?;
            self.path.pop();
            map.insert(key, value);
            match self.next()? {
                b',' => self.at += 1,
                b'}' => {
                    self.at += 1;
                    return Ok(Value::Object(map));
                }
                _ => return self.unexpected("after object key:value pair"),
            }
        }
    }

    fn literal(&mut self, word: &str, value: Value) -> Result<Value, Error> {
        for wanted in word.bytes() {
            match self.peek() {
                Some(byte) if byte == wanted => self.at += 1,
                _ => return self.unexpected(&format!("in literal {word} (expecting '{}')", char::from(wanted))),
            }
        }
        Ok(value)
    }

    fn number(&mut self) -> Result<Value, Error> {
        let start = self.at;
        let mut whole = true;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            whole = false;
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            whole = false;
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        let text = String::from_utf8_lossy(&self.text[start..self.at]);
        if whole && text != "-0" {
            let whole = text.parse::<i64>().map(Value::from).or_else(|_| text.parse::<u64>().map(Value::from));
            if let Ok(whole) = whole {
                return Ok(whole);
            }
        }
        let float = text.parse::<f64>().ok().filter(|n| n.is_finite()).and_then(Number::from_f64);
        Ok(float.map_or_else(|| self.note_too_large(&text), Value::Number))
    }

    /// Notes a number that no float can hold, and gives what Go puts in its place.
    fn note_too_large(&mut self, number: &str) -> Value {
        if self.too_large.is_none() {
            let path = self.path.join(".");
            let index = path.rsplit('.').next().is_some_and(|l| !l.is_empty() && l.bytes().all(|b| b.is_ascii_digit()));
            let place = match (path.is_empty(), index) {
                (true, _) => "Go value".to_owned(),
                (_, true) => format!(".{path}"),
                _ => format!("Go struct field .{path}"),
            };
            self.too_large = Some((number.to_owned(), place));
        }
        Value::from(0)
    }

    fn digits(&mut self) -> Result<(), Error> {
        if !self.peek().is_some_and(|b| b.is_ascii_digit()) {
            return self.unexpected("in numeric literal");
        }
        while self.peek().is_some_and(|b| b.is_ascii_digit()) {
            self.at += 1;
        }
        Ok(())
    }

    fn string(&mut self) -> Result<String, Error> {
        self.at += 1;
        let mut bytes = Vec::new();
        loop {
            let rest = &self.text[self.at..];
            let run = rest.iter().position(|b| matches!(b, b'"' | b'\\' | ..b' ')).unwrap_or(rest.len());
            bytes.extend_from_slice(&rest[..run]);
            self.at += run;
            match self.peek() {
                None => return ended(),
                Some(b'"') => {
                    self.at += 1;
                    return Ok(replace_invalid(bytes));
                }
                Some(b'\\') => self.escape(&mut bytes)?,
                Some(_) => return self.unexpected("in string"),
            }
        }
    }

    fn escape(&mut self, bytes: &mut Vec<u8>) -> Result<(), Error> {
        let plain = match self.text.get(self.at + 1) {
            None => return ended(),
            Some(b'u') => {
                let c = match self.unicode_escape(self.at)? {
                    high @ 0xD800..0xDC00 => self.low_surrogate(high),
                    code => char::from_u32(code),
                };
                let c = c.unwrap_or(char::REPLACEMENT_CHARACTER);
                bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                self.at += 6;
                return Ok(());
            }
            Some(plain @ (b'"' | b'\\' | b'/')) => *plain,
            Some(b'b') => 0x08,
            Some(b'f') => 0x0C,
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            Some(_) => return invalid_escape(&self.text[self.at..self.at + 2]),
        };
        bytes.push(plain);
        self.at += 2;
        Ok(())
    }

    /// The code of the `\uXXXX` at `at`.
    fn unicode_escape(&self, at: usize) -> Result<u32, Error> {
        let escape = &self.text[at..self.text.len().min(at + 6)];
        let hex = escape.get(2..).unwrap_or(&[]);
        let good = escape.starts_with(b"\\u") && hex.iter().all(u8::is_ascii_hexdigit);
        match (good, hex.len()) {
            (true, 4) => Ok(hex.iter().fold(0, |code, &b| code * 16 + char::from(b).to_digit(16).unwrap_or(0))),
            (true, _) => ended(),
            (false, _) => invalid_escape(escape),
        }
    }

    /// Joins a high surrogate with the low one behind it, and steps over the former.
    fn low_surrogate(&mut self, high: u32) -> Option<char> {
        let low = self.unicode_escape(self.at + 6).ok().filter(|low| (0xDC00..0xE000).contains(low))?;
        self.at += 6;
        char::from_u32(0x1_0000 + ((high - 0xD800) << 10) + (low - 0xDC00))
    }
}

fn ended<T>() -> Result<T, Error> {
    Err(Error::Syntax("unexpected end of JSON input".into()))
}

fn invalid_escape<T>(escape: &[u8]) -> Result<T, Error> {
    let plain = |c: char| c != '`' && c != ' ' && (matches!(c, '\\' | '\'') || quote_char(c).chars().count() == 3);
    let shown = match std::str::from_utf8(escape) {
        Ok(text) if text.chars().all(plain) => format!("`{text}`"),
        _ => quoted(escape),
    };
    Err(Error::Syntax(format!("invalid escape sequence {shown} in string")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn errors_have_go_words() {
        for (text, expected) in [
            ("", "unexpected end of JSON input"),
            ("{a:1}", "invalid character 'a' looking for beginning of object key string"),
            ("[1}", "invalid character '}' after array element"),
            ("{\"a\":'b'}", r"invalid character '\'' looking for beginning of value"),
            ("tru]", "invalid character ']' in literal true (expecting 'e')"),
            ("1.e", "invalid character 'e' in numeric literal"),
            ("\"\n\"", r"invalid character '\n' in string"),
            ("\"\\x\"", r"invalid escape sequence `\x` in string"),
            ("{\"a\":{\"b\":[1,1e400]}}", "json: cannot unmarshal number 1e400 into .a.b.1 of type float64"),
            ("{\"a\":1e400}", "json: cannot unmarshal number 1e400 into Go struct field .a of type float64"),
        ] {
            assert_eq!(parse(text.as_bytes()).unwrap_err().to_string(), expected, "{text}");
        }
        let expected = "json: cannot unmarshal array into Go value of type map[string]interface {}";
        assert_eq!(parse_object(b"[1]").unwrap_err().to_string(), expected);
    }

    #[test]
    fn numbers_keep_their_kind() {
        assert_eq!(parse(b"[1,-1,18446744073709551615,1.5,1e2]").unwrap(), json!([1, -1, u64::MAX, 1.5, 100.0]));
        assert!(parse(b"-0").unwrap().as_f64().is_some_and(f64::is_sign_negative));
    }

    #[test]
    fn surrogates_are_joined_and_lone_ones_replaced() {
        assert_eq!(parse(br#""\ud83d\ude00\ud83d\u0041\ude00""#).unwrap(), "\u{1F600}\u{FFFD}A\u{FFFD}");
    }

    #[test]
    fn nesting_has_a_limit() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth)).into_bytes();
        assert!(parse(&nested(MAX_DEPTH)).is_ok());
        assert_eq!(parse(&nested(MAX_DEPTH + 1)), Err(Error::Syntax("exceeded max depth".into())));
    }
}
