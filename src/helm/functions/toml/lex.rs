//! Splitting a document into items, one or few at a time, so that the first error is the one that comes first.

use std::collections::VecDeque;

use crate::quote::quote_char;
use crate::runes::{self, is_letter};
use crate::value::quote::quoted as quote;

/// What a piece of the document is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Eof,
    Text,
    Str,
    EscapedStr,
    RawStr,
    MultilineStr,
    RawMultilineStr,
    Bool,
    Integer,
    Float,
    Datetime,
    Array,
    ArrayEnd,
    TableStart,
    TableEnd,
    ArrayTableStart,
    ArrayTableEnd,
    KeyStart,
    KeyEnd,
    CommentStart,
    InlineTableStart,
    InlineTableEnd,
}

/// A piece of the document and the line it ends in.
#[derive(Clone, Debug)]
pub struct Item<'t> {
    pub kind: Kind,
    pub text: &'t [u8],
    pub line: usize,
}

/// What cannot be read, and where.
#[derive(Clone, Debug)]
pub struct LexError {
    pub line: usize,
    pub message: String,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Top,
    TopEnd,
    TableStart,
    TableEnd,
    ArrayTableEnd,
    TableNameStart,
    TableNameEnd,
    BareName,
    QuotedName,
    KeyStart,
    KeyNameStart,
    KeyEnd,
    Value,
    ArrayValue,
    ArrayValueEnd,
    InlineValue,
    InlineValueEnd,
    Str,
    MultilineStr,
    RawStr,
    RawMultilineStr,
    NumberOrDate,
    BaseNumberOrDate,
    Datetime,
    Digits(Digits),
    Float,
    Comment,
}

/// The digits of an integer that has no other form any more.
#[derive(Clone, Copy, Debug)]
enum Digits {
    Decimal,
    Hex,
    Octal,
    Binary,
}

const EOF: char = '\0';

/// Reads items off a document.
pub struct Lexer<'t> {
    input: &'t [u8],
    start: usize,
    pos: usize,
    line: usize,
    at_eof: bool,
    /// Lengths of the last characters, to step back over.
    widths: Vec<usize>,
    escaped: bool,
    state: Option<State>,
    stack: Vec<State>,
    items: VecDeque<Result<Item<'t>, LexError>>,
}

fn is_blank(c: char) -> bool {
    c == ' ' || c == '\t'
}

fn is_newline(c: char) -> bool {
    c == '\n' || c == '\r'
}

fn is_bare(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '-'
}

fn or_eof(c: char) -> String {
    if c == EOF { "end of file".into() } else { format!("'{c}'") }
}

impl<'t> Lexer<'t> {
    pub fn new(input: &'t [u8]) -> Self {
        Self {
            input,
            start: 0,
            pos: 0,
            line: 1,
            at_eof: false,
            widths: Vec::new(),
            escaped: false,
            state: Some(State::Top),
            stack: Vec::new(),
            items: VecDeque::new(),
        }
    }

    /// Returns the next item; after the end there is only the end.
    pub fn next_item(&mut self) -> Result<Item<'t>, LexError> {
        loop {
            if let Some(item) = self.items.pop_front() {
                return item;
            }
            let Some(state) = self.state.take() else {
                return Ok(Item { kind: Kind::Eof, text: b"", line: self.line });
            };
            self.state = self.step(state);
        }
    }

    fn current(&self) -> &'t [u8] {
        &self.input[self.start.min(self.pos)..self.pos]
    }

    fn emit(&mut self, kind: Kind) {
        self.items.push_back(Ok(Item { kind, text: self.current(), line: self.line }));
        self.start = self.pos;
    }

    fn emit_and_pop(&mut self, kind: Kind) -> Option<State> {
        self.emit(kind);
        self.stack.pop()
    }

    fn fail(&mut self, message: String) -> Option<State> {
        // At the end the error belongs to the line before a last line break.
        let after_newline = self.at_eof && self.pos >= 1 && self.input[self.pos - 1] == b'\n';
        self.items.push_back(Err(LexError { line: self.line - usize::from(after_newline), message }));
        None
    }

    fn fail_on_line_before(&mut self, message: String) -> Option<State> {
        self.items.push_back(Err(LexError { line: self.line - 1, message }));
        None
    }

    fn next(&mut self) -> char {
        let Some(&byte) = self.input.get(self.pos) else {
            self.at_eof = true;
            return EOF;
        };
        if byte == b'\n' {
            self.line += 1;
        }
        let (c, width) = runes::decode(&self.input[self.pos..]);
        if c == runes::ERROR && width == 1 {
            self.items
                .push_back(Err(LexError { line: self.line, message: format!("invalid UTF-8 byte: 0x{byte:02x}") }));
        }
        let lone_return = c == '\r' && self.input.get(self.pos + 1) != Some(&b'\n');
        if (c.is_ascii_control() && !matches!(c, '\t' | '\r' | '\n')) || lone_return {
            let message = format!("TOML files cannot contain control characters: '0x{:02x}'", u32::from(c));
            self.items.push_back(Err(LexError { line: self.line, message }));
        }
        if self.widths.len() == 4 {
            self.widths.remove(0);
        }
        self.widths.push(width);
        self.pos += width;
        c
    }

    fn backup(&mut self) {
        if std::mem::take(&mut self.at_eof) {
            return;
        }
        self.pos -= self.widths.pop().unwrap_or(0);
        if self.input.get(self.pos) == Some(&b'\n') {
            self.line -= 1;
        }
    }

    fn accept(&mut self, wanted: char) -> bool {
        let found = self.next() == wanted;
        if !found {
            self.backup();
        }
        found
    }

    fn peek(&mut self) -> char {
        let c = self.next();
        self.backup();
        c
    }

    fn skip_blanks(&mut self) {
        while is_blank(self.next()) {}
        self.backup();
        self.start = self.pos;
    }

    fn ignore(&mut self) {
        self.start = self.pos;
    }

    fn ignore_and(&mut self, state: State) -> Option<State> {
        self.ignore();
        Some(state)
    }

    /// Begins a comment; after it `state` goes on.
    fn comment(&mut self, state: State) -> Option<State> {
        self.stack.push(state);
        self.ignore();
        self.emit(Kind::CommentStart);
        Some(State::Comment)
    }

    fn step(&mut self, state: State) -> Option<State> {
        match state {
            State::Top => self.top(),
            State::TopEnd => self.top_end(),
            State::TableStart => self.table_start(),
            State::TableEnd => {
                self.emit(Kind::TableEnd);
                Some(State::TopEnd)
            }
            State::ArrayTableEnd => match self.next() {
                ']' => {
                    self.emit(Kind::ArrayTableEnd);
                    Some(State::TopEnd)
                }
                c => {
                    let found = quote_char(c);
                    self.fail(format!("expected end of table array name delimiter ']', but got {found} instead"))
                }
            },
            State::TableNameStart => self.table_name_start(),
            State::TableNameEnd => self.table_name_end(),
            State::BareName => {
                while is_bare(self.next()) {}
                self.backup();
                self.emit_and_pop(Kind::Text)
            }
            State::QuotedName => {
                let delimiter = self.next();
                self.ignore();
                Some(if delimiter == '"' { State::Str } else { State::RawStr })
            }
            State::KeyStart => self.key_start(),
            State::KeyNameStart => self.key_name_start(),
            State::KeyEnd => self.key_end(),
            State::Value => self.value(),
            State::ArrayValue => self.array_value(),
            State::ArrayValueEnd => self.array_value_end(),
            State::InlineValue => self.inline_value(),
            State::InlineValueEnd => self.inline_value_end(),
            State::Str => self.string(),
            State::MultilineStr => self.multiline(),
            State::RawStr => self.raw_string(),
            State::RawMultilineStr => self.raw_multiline(),
            State::NumberOrDate => self.number_or_date(),
            State::BaseNumberOrDate => self.base_number_or_date(),
            State::Datetime => self.datetime(),
            State::Digits(digits) => self.digits(digits),
            State::Float => {
                while matches!(self.next(), '0'..='9' | '_' | '.' | '-' | '+' | 'e' | 'E') {}
                self.backup();
                self.emit_and_pop(Kind::Float)
            }
            State::Comment => {
                loop {
                    let c = self.next();
                    if is_newline(c) || c == EOF {
                        break;
                    }
                }
                self.backup();
                self.emit_and_pop(Kind::Text)
            }
        }
    }

    fn top(&mut self) -> Option<State> {
        match self.next() {
            c if is_blank(c) || is_newline(c) => self.ignore_and(State::Top),
            '#' => self.comment(State::Top),
            '[' => Some(State::TableStart),
            EOF => {
                if self.pos > self.start {
                    return self.fail("unexpected EOF".into());
                }
                self.emit(Kind::Eof);
                None
            }
            _ => {
                self.backup();
                self.stack.push(State::TopEnd);
                Some(State::KeyStart)
            }
        }
    }

    fn top_end(&mut self) -> Option<State> {
        loop {
            match self.next() {
                '#' => return self.comment(State::Top),
                c if is_blank(c) => {}
                c if is_newline(c) => return self.ignore_and(State::Top),
                EOF => {
                    self.emit(Kind::Eof);
                    return None;
                }
                c => {
                    return self.fail(format!(
                        "expected a top-level item to end with a newline, comment, or EOF, but got {} instead",
                        quote_char(c)
                    ));
                }
            }
        }
    }

    fn table_start(&mut self) -> Option<State> {
        if self.peek() == '[' {
            self.next();
            self.emit(Kind::ArrayTableStart);
            self.stack.push(State::ArrayTableEnd);
        } else {
            self.emit(Kind::TableStart);
            self.stack.push(State::TableEnd);
        }
        Some(State::TableNameStart)
    }

    fn table_name_start(&mut self) -> Option<State> {
        self.skip_blanks();
        match self.peek() {
            ']' | EOF => self.fail("unexpected end of table name (table names cannot be empty)".into()),
            '.' => self.fail("unexpected table separator (table names cannot be empty)".into()),
            c => {
                self.stack.push(State::TableNameEnd);
                Some(if matches!(c, '"' | '\'') { State::QuotedName } else { State::BareName })
            }
        }
    }

    fn table_name_end(&mut self) -> Option<State> {
        self.skip_blanks();
        match self.next() {
            '.' => self.ignore_and(State::TableNameStart),
            ']' => self.stack.pop(),
            c => {
                let found = quote_char(c);
                self.fail(format!("expected '.' or ']' to end table name, but got {found} instead"))
            }
        }
    }

    fn key_start(&mut self) -> Option<State> {
        self.skip_blanks();
        match self.peek() {
            '=' | EOF => self.fail("unexpected '=': key name appears blank".into()),
            '.' => self.fail("unexpected '.': keys cannot start with a '.'".into()),
            _ => {
                self.emit(Kind::KeyStart);
                Some(State::KeyNameStart)
            }
        }
    }

    fn key_name_start(&mut self) -> Option<State> {
        self.skip_blanks();
        match self.peek() {
            '=' | EOF => self.fail("unexpected '='".into()),
            '.' => self.fail("unexpected '.'".into()),
            c => {
                self.stack.push(State::KeyEnd);
                Some(if matches!(c, '"' | '\'') { State::QuotedName } else { State::BareName })
            }
        }
    }

    fn key_end(&mut self) -> Option<State> {
        self.skip_blanks();
        match self.next() {
            EOF => self.fail("unexpected EOF; expected key separator '='".into()),
            '.' => self.ignore_and(State::KeyNameStart),
            '=' => {
                self.emit(Kind::KeyEnd);
                self.ignore_and(State::Value)
            }
            c => {
                let message = format!("expected '.' or '=', but got {} instead", quote_char(c));
                if c == '\n' { self.fail_on_line_before(message) } else { self.fail(message) }
            }
        }
    }

    fn value(&mut self) -> Option<State> {
        let c = self.next();
        match c {
            _ if is_blank(c) => return self.ignore_and(State::Value),
            '0' => return Some(State::BaseNumberOrDate),
            '1'..='9' => return Some(State::NumberOrDate),
            '[' => {
                self.ignore();
                self.emit(Kind::Array);
                return Some(State::ArrayValue);
            }
            '{' => {
                self.ignore();
                self.emit(Kind::InlineTableStart);
                return Some(State::InlineValue);
            }
            '"' => return self.opened_string('"', State::Str, State::MultilineStr),
            '\'' => return self.opened_string('\'', State::RawStr, State::RawMultilineStr),
            '.' => return self.fail("floats must start with a digit, not '.'".into()),
            'i' | 'n' if (self.accept('n') && self.accept('f')) || (self.accept('a') && self.accept('n')) => {
                return self.emit_and_pop(Kind::Float);
            }
            '-' | '+' => return self.signed(),
            _ => {}
        }
        if is_letter(c) {
            self.backup();
            return self.boolean();
        }
        match c {
            EOF => self.fail("unexpected EOF; expected value".into()),
            '\n' => self.fail_on_line_before(format!("expected value but found {} instead", quote_char(c))),
            _ => self.fail(format!("expected value but found {} instead", quote_char(c))),
        }
    }

    fn opened_string(&mut self, delimiter: char, one_line: State, multiline: State) -> Option<State> {
        if self.accept(delimiter) {
            if self.accept(delimiter) {
                return self.ignore_and(multiline);
            }
            self.backup();
        }
        self.ignore_and(one_line)
    }

    fn boolean(&mut self) -> Option<State> {
        let from = self.pos;
        while is_letter(self.next()) {}
        self.backup();
        let word = &self.input[from..self.pos];
        if matches!(word, b"true" | b"false") {
            return self.emit_and_pop(Kind::Bool);
        }
        self.fail(format!("expected value but found {} instead", quote(word)))
    }

    fn array_value(&mut self) -> Option<State> {
        match self.next() {
            c if is_blank(c) || is_newline(c) => self.ignore_and(State::ArrayValue),
            '#' => self.comment(State::ArrayValue),
            ',' => self.fail("unexpected comma".into()),
            ']' => self.close(Kind::ArrayEnd),
            _ => {
                self.backup();
                self.stack.push(State::ArrayValueEnd);
                Some(State::Value)
            }
        }
    }

    fn close(&mut self, kind: Kind) -> Option<State> {
        self.ignore();
        self.emit_and_pop(kind)
    }

    fn array_value_end(&mut self) -> Option<State> {
        match self.next() {
            c if is_blank(c) || is_newline(c) => self.ignore_and(State::ArrayValueEnd),
            '#' => self.comment(State::ArrayValueEnd),
            ',' => self.ignore_and(State::ArrayValue),
            ']' => self.close(Kind::ArrayEnd),
            c => {
                let found = or_eof(c);
                self.fail(format!("expected a comma (',') or array terminator (']'), but got {found}"))
            }
        }
    }

    fn inline_value(&mut self) -> Option<State> {
        match self.next() {
            c if is_blank(c) || is_newline(c) => self.ignore_and(State::InlineValue),
            '#' => self.comment(State::InlineValue),
            ',' => self.fail("unexpected comma".into()),
            '}' => self.close(Kind::InlineTableEnd),
            _ => {
                self.backup();
                self.stack.push(State::InlineValueEnd);
                Some(State::KeyStart)
            }
        }
    }

    fn inline_value_end(&mut self) -> Option<State> {
        match self.next() {
            c if is_blank(c) || is_newline(c) => self.ignore_and(State::InlineValueEnd),
            '#' => self.comment(State::InlineValueEnd),
            ',' => {
                self.ignore();
                self.skip_blanks();
                Some(if self.peek() == '}' { State::InlineValueEnd } else { State::InlineValue })
            }
            '}' => self.close(Kind::InlineTableEnd),
            c => {
                let found = or_eof(c);
                self.fail(format!("expected a comma or an inline table terminator '}}', but got {found} instead"))
            }
        }
    }

    fn string(&mut self) -> Option<State> {
        loop {
            match self.next() {
                EOF => return self.fail("unexpected EOF; expected '\"'".into()),
                c if is_newline(c) => return self.fail_on_line_before("strings cannot contain newlines".into()),
                '\\' => self.escape()?,
                '"' => {
                    self.backup();
                    let kind = if std::mem::take(&mut self.escaped) { Kind::EscapedStr } else { Kind::Str };
                    self.emit(kind);
                    self.next();
                    self.ignore();
                    return self.stack.pop();
                }
                _ => {}
            }
        }
    }

    fn raw_string(&mut self) -> Option<State> {
        loop {
            match self.next() {
                EOF => return self.fail("unexpected EOF; expected \"'\"".into()),
                c if is_newline(c) => return self.fail_on_line_before("strings cannot contain newlines".into()),
                '\'' => {
                    self.backup();
                    self.emit(Kind::RawStr);
                    self.next();
                    self.ignore();
                    return self.stack.pop();
                }
                _ => {}
            }
        }
    }

    fn multiline(&mut self) -> Option<State> {
        loop {
            match self.next() {
                EOF => return self.fail("unexpected EOF; expected '\"\"\"'".into()),
                // A line break after a backslash is no escape.
                '\\' if !is_newline(self.next()) => {
                    self.backup();
                    self.escape()?;
                }
                '"' => {
                    if let Some(next) = self.closing('"', Kind::MultilineStr) {
                        return next;
                    }
                }
                _ => {}
            }
        }
    }

    fn raw_multiline(&mut self) -> Option<State> {
        loop {
            match self.next() {
                EOF => return self.fail("unexpected EOF; expected \"'''\"".into()),
                '\'' => {
                    if let Some(next) = self.closing('\'', Kind::RawMultilineStr) {
                        return next;
                    }
                }
                _ => {}
            }
        }
    }

    /// After one quote of a text in three: ends it if two more follow, of which up to two may belong to the text.
    #[allow(clippy::option_option, reason = "no end yet, and an end with or without a state after it")]
    fn closing(&mut self, delimiter: char, kind: Kind) -> Option<Option<State>> {
        if !self.accept(delimiter) {
            return None;
        }
        if !self.accept(delimiter) {
            self.backup();
            return None;
        }
        if self.peek() == delimiter {
            let five = [delimiter as u8; 5];
            let current = self.current();
            let escaped = delimiter == '"' && current.len() > 5 && current[current.len() - 6] == b'\\';
            if current.ends_with(&five) && !escaped {
                let six = if delimiter == '"' { "'\"\"\"\"\"\"'" } else { "\"''''''\"" };
                return Some(self.fail(format!("unexpected {six}")));
            }
            self.backup();
            self.backup();
            return None;
        }
        for _ in 0..3 {
            self.backup();
        }
        self.escaped = false;
        self.emit(kind);
        for _ in 0..3 {
            self.next();
        }
        self.ignore();
        Some(self.stack.pop())
    }

    /// Reads what follows a backslash; `None` is an error.
    fn escape(&mut self) -> Option<()> {
        self.escaped = true;
        let (digits, count, letter) = match self.next() {
            'e' | 'b' | 't' | 'n' | 'f' | 'r' | '"' | ' ' | '\t' | '\\' => return Some(()),
            'x' => (2, "two", 'x'),
            'u' => (4, "four", 'u'),
            'U' => (8, "eight", 'U'),
            c => {
                let message = format!("invalid escape in string '\\{c}'");
                let line = self.line - usize::from(self.at_eof);
                self.items.push_back(Err(LexError { line, message }));
                return None;
            }
        };
        for _ in 0..digits {
            if !self.next().is_ascii_hexdigit() {
                let found = quote(self.current());
                self.fail(format!("expected {count} hexadecimal digits after '\\{letter}', but got {found} instead"));
                return None;
            }
        }
        Some(())
    }

    fn number_or_date(&mut self) -> Option<State> {
        loop {
            match self.next() {
                '0'..='9' => {}
                '-' | ':' => return Some(State::Datetime),
                '_' => return Some(State::Digits(Digits::Decimal)),
                '.' | 'e' | 'E' => return Some(State::Float),
                _ => {
                    self.backup();
                    return self.emit_and_pop(Kind::Integer);
                }
            }
        }
    }

    /// After a leading zero: a base, or a number or date as any other.
    fn base_number_or_date(&mut self) -> Option<State> {
        let (name, digits) = match self.next() {
            '0'..='9' => return Some(State::NumberOrDate),
            '_' => return Some(State::Digits(Digits::Decimal)),
            '.' | 'e' | 'E' => return Some(State::Float),
            'b' => ("a binary", Digits::Binary),
            'o' => ("an octal", Digits::Octal),
            'x' => ("a hexadecimal", Digits::Hex),
            _ => {
                self.backup();
                return self.emit_and_pop(Kind::Integer);
            }
        };
        let c = self.peek();
        if !digits.has(c) {
            let read = String::from_utf8_lossy(self.current()).into_owned();
            self.fail(format!("not {name} number: '{read}{c}'"));
        }
        Some(State::Digits(digits))
    }

    fn datetime(&mut self) -> Option<State> {
        while matches!(self.next(), '0'..='9' | '-' | ':' | 'T' | 't' | ' ' | '.' | 'Z' | 'z' | '+') {}
        self.backup();
        let text = self.current().trim_ascii();
        self.items.push_back(Ok(Item { kind: Kind::Datetime, text, line: self.line }));
        self.start = self.pos;
        self.stack.pop()
    }

    fn digits(&mut self, digits: Digits) -> Option<State> {
        loop {
            let c = self.next();
            if digits.has(c) || c == '_' {
                continue;
            }
            if matches!(digits, Digits::Decimal) && matches!(c, '.' | 'e' | 'E') {
                return Some(State::Float);
            }
            self.backup();
            return self.emit_and_pop(Kind::Integer);
        }
    }

    fn signed(&mut self) -> Option<State> {
        let c = self.next();
        let shown = |lexer: &Self| String::from_utf8_lossy(lexer.current()).into_owned();
        match c {
            'i' | 'n' => {
                let rest = if c == 'i' { ['n', 'f'] } else { ['a', 'n'] };
                if rest.into_iter().all(|c| self.accept(c)) {
                    return self.emit_and_pop(Kind::Float);
                }
                let read = shown(self);
                self.fail(format!("invalid float: '{read}'"))
            }
            '0' => {
                let next = self.peek();
                if matches!(next, 'b' | 'o' | 'x') {
                    let read = shown(self);
                    return self.fail(format!("cannot use sign with non-decimal numbers: '{read}{next}'"));
                }
                Some(State::Digits(Digits::Decimal))
            }
            '.' => self.fail("floats must start with a digit, not '.'".into()),
            '1'..='9' => Some(State::Digits(Digits::Decimal)),
            c => self.fail(format!("expected a digit but got {}", quote_char(c))),
        }
    }
}

impl Digits {
    fn has(self, c: char) -> bool {
        match self {
            Self::Decimal => c.is_ascii_digit(),
            Self::Hex => c.is_ascii_hexdigit(),
            Self::Octal => ('0'..='7').contains(&c),
            Self::Binary => c == '0' || c == '1',
        }
    }
}
