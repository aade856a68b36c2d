//! Reading JSON as Go's `encoding/json` of Go 1.27 does, with its error texts.

use crate::quote::quote_char;
use crate::runes;
use crate::value::{MAX_DEPTH, Str, Value};

/// A text that is not JSON, or not of the wanted type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    #[error("unexpected end of JSON input")]
    End,
    #[error("invalid character {0} {1}")]
    Character(String, String),
    #[error("invalid escape sequence `{0}` in string")]
    Escape(String),
    #[error("exceeded max depth")]
    Depth,
    #[error("json: cannot unmarshal {0} into Go value of type {1}")]
    Type(&'static str, &'static str),
    /// A number that no float64 holds; the second text says where.
    #[error("json: cannot unmarshal number {0} into {1} of type float64")]
    Number(String, String),
}

/// What was read, with the first number that was too large and became 0 or nil.
#[derive(Debug)]
pub struct Read {
    pub value: Value,
    pub fault: Option<JsonError>,
}

/// One step on the way to a value.
enum Step {
    Key(Str),
    Index(usize),
}

struct Reader<'t> {
    text: &'t [u8],
    pos: usize,
    path: Vec<Step>,
    fault: Option<JsonError>,
}

type Result<T> = std::result::Result<T, JsonError>;

/// Reads a whole text.
pub fn read(text: &[u8]) -> Result<Read> {
    let mut reader = Reader { text, pos: 0, path: Vec::new(), fault: None };
    reader.skip_space();
    let value = reader.value(0)?;
    reader.skip_space();
    match reader.peek() {
        None => Ok(Read { value, fault: reader.fault }),
        Some(_) => Err(reader.unexpected("after top-level value")),
    }
}

/// Returns JSON's name of a value's type.
pub fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Nil => "null",
        Value::Bool(_) => "bool",
        Value::Str(_) => "string",
        Value::List(_) => "array",
        Value::Map(_) => "object",
        _ => "number",
    }
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.pos).copied()
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.pos += 1;
        }
    }

    /// The error at the character at hand, or at the end.
    fn unexpected(&self, place: &str) -> JsonError {
        match runes::decode(&self.text[self.pos..]) {
            (_, 0) => JsonError::End,
            (runes::ERROR, 1) => JsonError::Character(format!("'\\x{:02x}'", self.text[self.pos]), place.to_owned()),
            (c, _) => JsonError::Character(quote_char(c), place.to_owned()),
        }
    }

    fn value(&mut self, depth: usize) -> Result<Value> {
        if depth > MAX_DEPTH {
            return Err(JsonError::Depth);
        }
        match self.peek() {
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'"') => self.string().map(Value::Str),
            Some(b't') => self.word("true", Value::Bool(true)),
            Some(b'f') => self.word("false", Value::Bool(false)),
            Some(b'n') => self.word("null", Value::Nil),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => Err(self.unexpected("looking for beginning of value")),
        }
    }

    fn word(&mut self, word: &str, value: Value) -> Result<Value> {
        for expected in word.bytes() {
            if self.peek() != Some(expected) {
                let expected = char::from(expected);
                return Err(self.unexpected(&format!("in literal {word} (expecting '{expected}')")));
            }
            self.pos += 1;
        }
        Ok(value)
    }

    fn object(&mut self, depth: usize) -> Result<Value> {
        let mut pairs = Vec::new();
        self.pos += 1;
        self.skip_space();
        if self.peek() == Some(b'}') {
            self.pos += 1;
            return Ok(Value::map::<Str>(pairs));
        }
        loop {
            self.skip_space();
            if self.peek() != Some(b'"') {
                return Err(self.unexpected("looking for beginning of object key string"));
            }
            let key = self.string()?;
            self.skip_space();
            if self.peek() != Some(b':') {
                return Err(self.unexpected("after object key"));
            }
            self.pos += 1;
            self.skip_space();
            self.path.push(Step::Key(key.clone()));
            pairs.push((key, self.value(depth + 1)?));
            self.path.pop();
            self.skip_space();
            match self.peek() {
                Some(b',') => self.pos += 1,
                Some(b'}') => break,
                _ => return Err(self.unexpected("after object key:value pair")),
            }
        }
        self.pos += 1;
        Ok(Value::map(pairs))
    }

    fn array(&mut self, depth: usize) -> Result<Value> {
        let mut items = Vec::new();
        self.pos += 1;
        self.skip_space();
        if self.peek() == Some(b']') {
            self.pos += 1;
            return Ok(Value::list(items));
        }
        loop {
            self.skip_space();
            self.path.push(Step::Index(items.len()));
            items.push(self.value(depth + 1)?);
            self.path.pop();
            self.skip_space();
            match self.peek() {
                Some(b',') => self.pos += 1,
                Some(b']') => break,
                _ => return Err(self.unexpected("after array element")),
            }
        }
        self.pos += 1;
        Ok(Value::list(items))
    }

    /// Passes over at least one digit.
    fn digits(&mut self) -> Result<()> {
        if !self.peek().is_some_and(|c| c.is_ascii_digit()) {
            return Err(self.unexpected("in numeric literal"));
        }
        while self.peek().is_some_and(|c| c.is_ascii_digit()) {
            self.pos += 1;
        }
        Ok(())
    }

    fn number(&mut self) -> Result<Value> {
        let start = self.pos;
        if self.peek() == Some(b'-') {
            self.pos += 1;
        }
        if self.peek() == Some(b'0') {
            self.pos += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.pos += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.pos += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.pos += 1;
            }
            self.digits()?;
        }
        let text = String::from_utf8_lossy(&self.text[start..self.pos]);
        let number: f64 = text.parse().unwrap_or(f64::NAN);
        if number.is_finite() {
            return Ok(Value::Float(number));
        }
        if self.fault.is_none() {
            self.fault = Some(JsonError::Number(text.into_owned(), self.place()));
        }
        Ok(Value::Float(0.0))
    }

    /// Names the place of a value as Go does.
    fn place(&self) -> String {
        let path: String = self
            .path
            .iter()
            .map(|step| match step {
                Step::Key(key) => format!(".{key}"),
                Step::Index(at) => format!(".{at}"),
            })
            .collect();
        match self.path.first() {
            None => "Go value".into(),
            Some(Step::Key(_)) => format!("Go struct field {path}"),
            Some(Step::Index(_)) => path,
        }
    }

    fn string(&mut self) -> Result<Str> {
        self.pos += 1;
        let start = self.pos;
        let plain = |c: &u8| *c != b'"' && *c != b'\\' && *c >= b' ';
        let len = self.text[start..].iter().take_while(|c| plain(c)).count();
        self.pos += len;
        let first = &self.text[start..self.pos];
        if self.peek() == Some(b'"') {
            self.pos += 1;
            return Ok(match std::str::from_utf8(first) {
                Ok(text) => text.into(),
                Err(_) => runes::map(first, |c| c).into(),
            });
        }
        let mut out: String = runes::chars(first).collect();
        loop {
            let (c, len) = runes::decode(&self.text[self.pos..]);
            match c {
                _ if len == 0 => return Err(JsonError::End),
                '"' => {
                    self.pos += 1;
                    return Ok(out.into());
                }
                '\\' => self.escape(&mut out)?,
                c if c < ' ' => return Err(self.unexpected("in string")),
                c => {
                    out.push(c);
                    self.pos += len;
                }
            }
        }
    }

    fn escape(&mut self, out: &mut String) -> Result<()> {
        let letter = self.text.get(self.pos + 1).ok_or(JsonError::End)?;
        let c = match letter {
            b'"' | b'\\' | b'/' => char::from(*letter),
            b'b' => '\x08',
            b'f' => '\x0c',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let unit = self.unit()?;
                let c = match unit {
                    0xd800..=0xdbff if self.text[self.pos..].starts_with(b"\\u") => self.second_half(unit)?,
                    unit => char::from_u32(unit),
                };
                out.push(c.unwrap_or(runes::ERROR));
                return Ok(());
            }
            _ => {
                let (_, len) = runes::decode(&self.text[self.pos + 1..]);
                let sequence = &self.text[self.pos..self.pos + 1 + len];
                return Err(JsonError::Escape(String::from_utf8_lossy(sequence).into_owned()));
            }
        };
        out.push(c);
        self.pos += 2;
        Ok(())
    }

    /// Reads `\uXXXX`.
    fn unit(&mut self) -> Result<u32> {
        let digits = &self.text[(self.pos + 2).min(self.text.len())..(self.pos + 6).min(self.text.len())];
        if !digits.iter().all(u8::is_ascii_hexdigit) {
            let sequence = &self.text[self.pos..self.pos + 2 + digits.len()];
            return Err(JsonError::Escape(String::from_utf8_lossy(sequence).into_owned()));
        }
        if digits.len() < 4 {
            return Err(JsonError::End);
        }
        self.pos += 6;
        Ok(digits.iter().fold(0, |n, c| n * 16 + char::from(*c).to_digit(16).unwrap_or(0)))
    }

    /// Joins a high surrogate with the low one that follows; what does not fit stays to be read on its own.
    fn second_half(&mut self, high: u32) -> Result<Option<char>> {
        let before = self.pos;
        let low = self.unit()?;
        if (0xdc00..=0xdfff).contains(&low) {
            return Ok(char::from_u32(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00)));
        }
        self.pos = before;
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_told_as_go_tells_them() {
        for (text, want) in [
            ("", "unexpected end of JSON input"),
            ("nulx", "invalid character 'x' in literal null (expecting 'l')"),
            ("01", "invalid character '1' after top-level value"),
            ("-x", "invalid character 'x' in numeric literal"),
            (r#""a\u12""#, r#"invalid escape sequence `\u12"` in string"#),
            (r#""\q""#, r"invalid escape sequence `\q` in string"),
            ("[1 2]", "invalid character '2' after array element"),
            ("{a:1}", "invalid character 'a' looking for beginning of object key string"),
            ("{\"a\" 1}", "invalid character '1' after object key"),
            ("\"\n\"", r"invalid character '\n' in string"),
            ("\u{feff}", r"invalid character '\ufeff' looking for beginning of value"),
        ] {
            assert_eq!(
                read(text.as_bytes()).map(|read| read.value).map_err(|e| e.to_string()).err().as_deref(),
                Some(want)
            );
        }
    }

    #[test]
    fn surrogates_are_joined_or_replaced() {
        let read = read(br#"["\ud83d\ude00","\ud800","\ud800\u0041"]"#).expect("JSON");
        let text = read.value.to_text().expect("printable");
        assert_eq!(text, "[\u{1f600} \u{fffd} \u{fffd}A]");
    }

    #[test]
    fn a_number_beyond_floats_is_zero_and_told() {
        let read = read(br#"{"a":[0,{"b":1e400}]}"#).expect("JSON");
        let fault = read.fault.expect("a fault").to_string();
        assert_eq!(fault, "json: cannot unmarshal number 1e400 into Go struct field .a.1.b of type float64");
    }

    #[test]
    fn depth_has_a_limit() {
        assert_eq!(read(&vec![b'['; 100_000]).map(|_| ()), Err(JsonError::Depth));
    }
}
