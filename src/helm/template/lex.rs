//! The lexer of Go's text/template: text, actions with trim markers, comments.

use std::borrow::Cow;

use super::node::Pos;
use crate::value::quote::{decode_rune, is_digit, is_letter, is_print, quoted};

/// The kinds of tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Error,
    Bool,
    /// A printable ASCII character, such as a comma.
    Char,
    CharConstant,
    Complex,
    Assign,
    Declare,
    Eof,
    /// An identifier that starts with a dot.
    Field,
    Identifier,
    LeftDelim,
    LeftParen,
    Number,
    Pipe,
    RawString,
    RightDelim,
    RightParen,
    Space,
    String,
    Text,
    Variable,
    Dot,
    Nil,
    Block,
    Break,
    Continue,
    Define,
    Else,
    End,
    If,
    Range,
    Template,
    With,
}

impl Kind {
    fn keyword(word: &[u8]) -> Option<Self> {
        Some(match word {
            b"block" => Self::Block,
            b"break" => Self::Break,
            b"continue" => Self::Continue,
            b"define" => Self::Define,
            b"else" => Self::Else,
            b"end" => Self::End,
            b"if" => Self::If,
            b"range" => Self::Range,
            b"nil" => Self::Nil,
            b"template" => Self::Template,
            b"with" => Self::With,
            _ => return None,
        })
    }

    fn is_keyword(self) -> bool {
        matches!(
            self,
            Self::Dot
                | Self::Nil
                | Self::Block
                | Self::Break
                | Self::Continue
                | Self::Define
                | Self::Else
                | Self::End
                | Self::If
                | Self::Range
                | Self::Template
                | Self::With
        )
    }
}

/// A token: its text is part of the input, or the message of an error.
#[derive(Clone, Debug)]
pub(super) struct Token<'a> {
    pub kind: Kind,
    /// Where it starts, in bytes.
    pub pos: Pos,
    pub text: Cow<'a, [u8]>,
    /// The line at its start, from 1.
    pub line: usize,
}

impl std::fmt::Display for Token<'_> {
    /// Prints the token as Go's parse errors show it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = String::from_utf8_lossy(&self.text);
        match self.kind {
            Kind::Eof => f.write_str("EOF"),
            Kind::Error => f.write_str(&text),
            kind if kind.is_keyword() => write!(f, "<{text}>"),
            _ if self.text.len() > 10 => {
                let (mut end, mut runes) = (0, 0);
                while end < self.text.len() && runes < 10 {
                    end += decode_rune(&self.text[end..]).1;
                    runes += 1;
                }
                write!(f, "{}...", quoted(&self.text[..end]))
            }
            _ => f.write_str(&quoted(&self.text)),
        }
    }
}

const LEFT: &[u8] = b"{{";
const RIGHT: &[u8] = b"}}";
/// A trim marker with the space beside it.
const TRIM: usize = 2;

/// What the lexer does next.
enum State {
    Text,
    LeftDelim,
    Comment,
    RightDelim,
    InsideAction,
}

pub(super) struct Lexer<'a> {
    input: &'a [u8],
    pos: usize,
    start: usize,
    at_eof: bool,
    paren_depth: usize,
    line: usize,
    start_line: usize,
    inside_action: bool,
}

type Emitted<'a> = Result<Token<'a>, State>;

impl<'a> Lexer<'a> {
    pub fn new(input: &'a [u8]) -> Self {
        Self { input, pos: 0, start: 0, at_eof: false, paren_depth: 0, line: 1, start_line: 1, inside_action: false }
    }

    /// Returns the next token; after an error or the end, only ends follow.
    pub fn next_token(&mut self) -> Token<'a> {
        let mut state = if self.inside_action { State::InsideAction } else { State::Text };
        loop {
            let emitted = match state {
                State::Text => self.lex_text(),
                State::LeftDelim => self.lex_left_delim(),
                State::Comment => self.lex_comment(),
                State::RightDelim => Ok(self.lex_right_delim()),
                State::InsideAction => self.lex_inside_action(),
            };
            match emitted {
                Ok(token) => return token,
                Err(next) => state = next,
            }
        }
    }

    fn rest(&self) -> &'a [u8] {
        &self.input[self.pos.min(self.input.len())..]
    }

    fn next(&mut self) -> Option<char> {
        let (c, width) = decode_rune(self.rest());
        if width == 0 {
            self.at_eof = true;
            return None;
        }
        self.pos += width;
        if c == '\n' {
            self.line += 1;
        }
        Some(c)
    }

    fn peek(&self) -> Option<char> {
        let (c, width) = decode_rune(self.rest());
        (width > 0).then_some(c)
    }

    /// Steps back over the character that `next` returned.
    fn backup(&mut self, c: Option<char>) {
        let Some(c) = c else { return };
        // A replaced byte has width 1, a real U+FFFD has 3.
        let width =
            if c == '\u{FFFD}' && !self.input[..self.pos].ends_with("\u{FFFD}".as_bytes()) { 1 } else { c.len_utf8() };
        self.pos -= width;
        if c == '\n' {
            self.line -= 1;
        }
    }

    fn emit(&mut self, kind: Kind) -> Token<'a> {
        let token = Token {
            kind,
            pos: self.start as Pos,
            text: Cow::Borrowed(&self.input[self.start..self.pos]),
            line: self.start_line,
        };
        self.start = self.pos;
        self.start_line = self.line;
        token
    }

    /// Skips what is pending, which `next` has not counted lines of.
    fn ignore(&mut self) {
        self.line += newlines(&self.input[self.start..self.pos]);
        self.start = self.pos;
        self.start_line = self.line;
    }

    fn accept(&mut self, valid: &[u8]) -> bool {
        let fits = self.rest().first().is_some_and(|byte| valid.contains(byte));
        self.pos += usize::from(fits);
        fits
    }

    fn accept_run(&mut self, valid: &[u8]) {
        while self.accept(valid) {}
    }

    fn error(&mut self, message: String) -> Token<'a> {
        let token = Token {
            kind: Kind::Error,
            pos: self.start as Pos,
            text: Cow::Owned(message.into_bytes()),
            line: self.start_line,
        };
        self.input = &[];
        self.pos = 0;
        self.start = 0;
        token
    }

    fn lex_text(&mut self) -> Emitted<'a> {
        let Some(at) = find(self.rest(), LEFT) else {
            self.pos = self.input.len();
            if self.pos > self.start {
                self.line += newlines(&self.input[self.start..self.pos]);
                return Ok(self.emit(Kind::Text));
            }
            let mut token = self.emit(Kind::Eof);
            token.text = Cow::Borrowed(b"EOF");
            return Ok(token);
        };
        if at > 0 {
            self.pos += at;
            let mut trim = 0;
            if has_left_trim(&self.input[self.pos + LEFT.len()..]) {
                let text = &self.input[self.start..self.pos];
                trim = text.iter().rev().take_while(|b| is_space(**b)).count();
            }
            self.pos -= trim;
            self.line += newlines(&self.input[self.start..self.pos]);
            let token = self.emit(Kind::Text);
            self.pos += trim;
            self.ignore();
            if !token.text.is_empty() {
                return Ok(token);
            }
        }
        Err(State::LeftDelim)
    }

    /// Tells whether a right delimiter is here, and whether it trims.
    fn at_right_delim(&self) -> (bool, bool) {
        let rest = self.rest();
        if has_right_trim(rest) && rest[TRIM..].starts_with(RIGHT) {
            return (true, true);
        }
        (rest.starts_with(RIGHT), false)
    }

    fn lex_left_delim(&mut self) -> Emitted<'a> {
        self.pos += LEFT.len();
        let after = if has_left_trim(self.rest()) { TRIM } else { 0 };
        if self.rest()[after..].starts_with(b"/*") {
            self.pos += after;
            self.ignore();
            return Err(State::Comment);
        }
        let token = self.emit(Kind::LeftDelim);
        self.inside_action = true;
        self.pos += after;
        self.ignore();
        self.paren_depth = 0;
        Ok(token)
    }

    fn lex_comment(&mut self) -> Emitted<'a> {
        self.pos += 2;
        let Some(at) = find(self.rest(), b"*/") else {
            return Ok(self.error("unclosed comment".into()));
        };
        self.pos += at + 2;
        let (delim, trim) = self.at_right_delim();
        if !delim {
            return Ok(self.error("comment ends before closing delimiter".into()));
        }
        self.line += newlines(&self.input[self.start..self.pos]);
        self.start = self.pos;
        self.start_line = self.line;
        if trim {
            self.pos += TRIM;
        }
        self.pos += RIGHT.len();
        if trim {
            self.pos += self.rest().iter().take_while(|b| is_space(**b)).count();
        }
        self.ignore();
        Err(State::Text)
    }

    fn lex_right_delim(&mut self) -> Token<'a> {
        let (_, trim) = self.at_right_delim();
        if trim {
            self.pos += TRIM;
            self.ignore();
        }
        self.pos += RIGHT.len();
        let token = self.emit(Kind::RightDelim);
        if trim {
            self.pos += self.rest().iter().take_while(|b| is_space(**b)).count();
            self.ignore();
        }
        self.inside_action = false;
        token
    }

    fn lex_inside_action(&mut self) -> Emitted<'a> {
        if self.at_right_delim().0 {
            if self.paren_depth == 0 {
                return Err(State::RightDelim);
            }
            return Ok(self.error("unclosed left paren".into()));
        }
        let Some(c) = self.next() else {
            return Ok(self.error("unclosed action".into()));
        };
        Ok(match c {
            ' ' | '\t' | '\r' | '\n' => {
                self.backup(Some(c));
                return self.lex_space();
            }
            '=' => self.emit(Kind::Assign),
            ':' => {
                if self.next() != Some('=') {
                    return Ok(self.error("expected :=".into()));
                }
                self.emit(Kind::Declare)
            }
            '|' => self.emit(Kind::Pipe),
            '"' => self.lex_quoted('"', Kind::String, "unterminated quoted string"),
            '`' => self.lex_raw_string(),
            '$' => self.lex_field_or_variable(Kind::Variable),
            '\'' => self.lex_quoted('\'', Kind::CharConstant, "unterminated character constant"),
            '.' if !self.rest().first().is_none_or(u8::is_ascii_digit) => self.lex_field_or_variable(Kind::Field),
            '.' | '+' | '-' | '0'..='9' => {
                self.backup(Some(c));
                self.lex_number()
            }
            c if is_alphanumeric(c) => {
                self.backup(Some(c));
                self.lex_identifier()
            }
            '(' => {
                self.paren_depth += 1;
                self.emit(Kind::LeftParen)
            }
            ')' => {
                if self.paren_depth == 0 {
                    return Ok(self.error("unexpected right paren".into()));
                }
                self.paren_depth -= 1;
                self.emit(Kind::RightParen)
            }
            c if c.is_ascii() && is_print(c) => self.emit(Kind::Char),
            c => self.error(format!("unrecognized character in action: {}", code_point(Some(c)))),
        })
    }

    fn lex_space(&mut self) -> Emitted<'a> {
        let mut spaces = 0;
        while self.peek().is_some_and(|c| matches!(c, ' ' | '\t' | '\r' | '\n')) {
            self.next();
            spaces += 1;
        }
        // The last space may belong to a trim marker.
        let last = &self.input[self.pos - 1..];
        if has_right_trim(last) && last[TRIM..].starts_with(RIGHT) {
            self.backup(Some(char::from(last[0])));
            if spaces == 1 {
                return Err(State::RightDelim);
            }
        }
        Ok(self.emit(Kind::Space))
    }

    fn lex_identifier(&mut self) -> Token<'a> {
        let c = self.skip_alphanumeric();
        let word = &self.input[self.start..self.pos];
        if !self.at_terminator() {
            return self.error(format!("bad character {}", code_point(c)));
        }
        if let Some(kind) = Kind::keyword(word) {
            return self.emit(kind);
        }
        self.emit(if matches!(word, b"true" | b"false") { Kind::Bool } else { Kind::Identifier })
    }

    fn lex_field_or_variable(&mut self, kind: Kind) -> Token<'a> {
        if self.at_terminator() {
            return self.emit(if kind == Kind::Variable { kind } else { Kind::Dot });
        }
        let c = self.skip_alphanumeric();
        if !self.at_terminator() {
            return self.error(format!("bad character {}", code_point(c)));
        }
        self.emit(kind)
    }

    /// Skips letters, digits and underscores; returns the character after them.
    fn skip_alphanumeric(&mut self) -> Option<char> {
        loop {
            let c = self.next();
            if !c.is_some_and(is_alphanumeric) {
                self.backup(c);
                return c;
            }
        }
    }

    /// Tells whether what comes next may follow an identifier.
    fn at_terminator(&self) -> bool {
        match self.peek() {
            None | Some(' ' | '\t' | '\r' | '\n' | '.' | ',' | '|' | ':' | ')' | '(') => true,
            Some(_) => self.rest().starts_with(RIGHT),
        }
    }

    fn lex_quoted(&mut self, quote: char, kind: Kind, unterminated: &str) -> Token<'a> {
        loop {
            let mut c = self.next();
            if c == Some('\\') {
                c = self.next();
                if !matches!(c, None | Some('\n')) {
                    continue;
                }
            }
            match c {
                None | Some('\n') => return self.error(unterminated.into()),
                Some(c) if c == quote => return self.emit(kind),
                Some(_) => {}
            }
        }
    }

    fn lex_raw_string(&mut self) -> Token<'a> {
        loop {
            match self.next() {
                None => return self.error("unterminated raw quoted string".into()),
                Some('`') => return self.emit(Kind::RawString),
                Some(_) => {}
            }
        }
    }

    fn lex_number(&mut self) -> Token<'a> {
        if !self.scan_number() {
            return self.bad_number();
        }
        if matches!(self.peek(), Some('+' | '-')) {
            if !self.scan_number() || self.input[self.pos - 1] != b'i' {
                return self.bad_number();
            }
            return self.emit(Kind::Complex);
        }
        self.emit(Kind::Number)
    }

    fn bad_number(&mut self) -> Token<'a> {
        let text = quoted(&self.input[self.start..self.pos]);
        self.error(format!("bad number syntax: {text}"))
    }

    fn scan_number(&mut self) -> bool {
        self.accept(b"+-");
        let mut digits: &[u8] = b"0123456789_";
        if self.accept(b"0") {
            if self.accept(b"xX") {
                digits = b"0123456789abcdefABCDEF_";
            } else if self.accept(b"oO") {
                digits = b"01234567_";
            } else if self.accept(b"bB") {
                digits = b"01_";
            }
        }
        self.accept_run(digits);
        if self.accept(b".") {
            self.accept_run(digits);
        }
        let exponent: &[u8] = match digits.len() {
            11 => b"eE",
            23 => b"pP",
            _ => b"",
        };
        if self.accept(exponent) {
            self.accept(b"+-");
            self.accept_run(b"0123456789_");
        }
        self.accept(b"i");
        if self.peek().is_some_and(is_alphanumeric) {
            self.next();
            return false;
        }
        true
    }
}

/// Prints a character as `%#U`; the end of the input is Go's -1.
fn code_point(c: Option<char>) -> String {
    match c {
        None => "U+FFFFFFFFFFFFFFFF".into(),
        Some(c) if is_print(c) => format!("U+{:04X} '{c}'", u32::from(c)),
        Some(c) => format!("U+{:04X}", u32::from(c)),
    }
}

fn is_alphanumeric(c: char) -> bool {
    c == '_' || is_letter(c) || is_digit(c)
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

fn has_left_trim(text: &[u8]) -> bool {
    matches!(text, [b'-', space, ..] if is_space(*space))
}

fn has_right_trim(text: &[u8]) -> bool {
    matches!(text, [space, b'-', ..] if is_space(*space))
}

fn newlines(text: &[u8]) -> usize {
    memchr::memchr_iter(b'\n', text).count()
}

fn find(text: &[u8], needle: &[u8]) -> Option<usize> {
    memchr::memmem::find(text, needle)
}
