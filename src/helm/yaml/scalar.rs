//! The scanner's scalars: plain, quoted and block, with their folding, chomping and indentation rules.

use std::borrow::Cow;

use super::chars::{break_width, hex_value, is_blank, is_hex, may_end_line, may_end_word, stops_plain, width};
use super::reader::count_chars;
use super::scanner::{Kind, Mark, Result, Scanner, Style, Token};

/// The text of a scalar: a slice of the source as long as it can be one.
struct Text<'a> {
    source: &'a [u8],
    from: usize,
    to: usize,
    owned: Option<Vec<u8>>,
}

impl<'a> Text<'a> {
    fn new(source: &'a [u8], at: usize) -> Self {
        Text { source, from: at, to: at, owned: None }
    }

    fn own(&mut self) -> &mut Vec<u8> {
        let borrowed = &self.source[self.from..self.to];
        self.owned.get_or_insert_with(|| borrowed.to_vec())
    }

    /// Adds a piece of the source.
    fn copy(&mut self, from: usize, to: usize) {
        if from == to {
            return;
        }
        if self.owned.is_none() && from == self.to {
            self.to = to;
        } else {
            let piece = &self.source[from..to];
            self.own().extend_from_slice(piece);
        }
    }

    fn push(&mut self, bytes: &[u8]) {
        self.own().extend_from_slice(bytes);
    }

    /// Adds what a run of line breaks folds to: one is a space, each further one stands for itself.
    fn fold(&mut self, breaks: &mut Breaks) {
        if breaks.first == b"\n" {
            if breaks.further.is_empty() {
                self.push(b" ");
            }
        } else {
            self.push(breaks.first);
        }
        self.push(&breaks.further);
        breaks.first = b"";
        breaks.further.clear();
    }

    fn finish(self) -> Cow<'a, [u8]> {
        match self.owned {
            Some(owned) => Cow::Owned(owned),
            None => Cow::Borrowed(&self.source[self.from..self.to]),
        }
    }
}

/// A run of line breaks.
#[derive(Default)]
struct Breaks {
    first: &'static [u8],
    further: Vec<u8>,
}

/// What a line break at the start of `text` counts as.
fn normal_break(text: &[u8]) -> &'static [u8] {
    match text {
        [b'\r' | b'\n' | 0xC2, ..] => b"\n",
        [0xE2, _, 0xA8, ..] => b"\xE2\x80\xA8",
        _ => b"\xE2\x80\xA9",
    }
}

/// How the end of a block scalar is cut.
#[derive(Clone, Copy, PartialEq)]
enum Chomp {
    Strip,
    Clip,
    Keep,
}

impl<'a> Scanner<'a> {
    /// Takes a line break, if there is one.
    fn take_break(&mut self) -> &'static [u8] {
        let rest = self.rest();
        if break_width(rest) == 0 {
            return b"";
        }
        let normal = normal_break(rest);
        self.skip_break();
        normal
    }

    pub(super) fn scan_plain_scalar(&mut self) -> Result<Token<'a>> {
        let start = self.mark;
        let mut end = start;
        let indent = self.indent + 1;
        let mut text = Text::new(self.reader.text, start.pos);
        let mut breaks = Breaks::default();
        let mut on_new_line = false;
        loop {
            self.ensure(4)?;
            if (self.mark.column == 0 && self.document_indicator().is_some()) || self.at(0) == b'#' {
                break;
            }
            while let Some(run) = self.plain_run() {
                if run == 0 {
                    break;
                }
                if on_new_line {
                    text.fold(&mut breaks);
                    on_new_line = false;
                    end = self.mark;
                }
                text.copy(end.pos, self.mark.pos + run);
                let piece = &self.reader.text[self.mark.pos..self.mark.pos + run];
                self.mark.column += count_chars(piece);
                self.mark.pos += run;
                end = self.mark;
                self.ensure(2)?;
            }
            if !is_blank(self.at(0)) && !self.break_at(0) {
                break;
            }
            self.ensure(1)?;
            while is_blank(self.at(0)) || self.break_at(0) {
                if is_blank(self.at(0)) {
                    if on_new_line && (self.mark.column as isize) < indent && self.at(0) == b'\t' {
                        return self.error_since(start, "found a tab character that violates indentation");
                    }
                    self.skip_ascii(1);
                } else {
                    self.ensure(2)?;
                    let normal = self.take_break();
                    if on_new_line {
                        breaks.further.extend_from_slice(normal);
                    } else {
                        breaks.first = normal;
                        on_new_line = true;
                    }
                }
                self.ensure(1)?;
            }
            if self.flow_level == 0 && (self.mark.column as isize) < indent {
                break;
            }
        }
        if on_new_line {
            self.simple_key_allowed = true;
        }
        Ok(Token { kind: Kind::Scalar { text: text.finish(), style: Style::Plain }, start, end })
    }

    /// Bytes of content of a plain scalar at the current place, none at a blank or the end, 0 at an indicator.
    #[inline]
    fn plain_run(&self) -> Option<usize> {
        let near_end = self.reader.checked.saturating_sub(1);
        let run = match self.reader.text.get(self.mark.pos..near_end) {
            Some(text) => text.iter().position(|&b| stops_plain(b)).unwrap_or(text.len()),
            None => 0,
        };
        if run > 0 {
            return Some(run);
        }
        match self.at(0) {
            b':' if self.blank_or_end_at(1) => Some(0),
            b',' | b'?' | b'[' | b']' | b'{' | b'}' if self.flow_level > 0 => Some(0),
            b if may_end_word(b) && self.blank_or_end_at(0) => None,
            b => Some(width(b)),
        }
    }

    pub(super) fn scan_quoted_scalar(&mut self, single: bool) -> Result<Token<'a>> {
        let start = self.mark;
        self.skip_ascii(1);
        let quote = if single { b'\'' } else { b'"' };
        let mut text = Text::new(self.reader.text, self.mark.pos);
        let mut breaks = Breaks::default();
        loop {
            self.ensure(4)?;
            if self.mark.column == 0 && self.document_indicator().is_some() {
                return self.error_since(start, "found unexpected document indicator");
            }
            if self.at(0) == 0 {
                return self.error_since(start, "found unexpected end of stream");
            }
            let mut on_new_line = false;
            while !self.blank_or_end_at(0) {
                let b = self.at(0);
                if single && b == quote && self.at(1) == quote {
                    text.push(b"'");
                    self.skip_ascii(2);
                } else if b == quote {
                    break;
                } else if !single && b == b'\\' && self.break_at(1) {
                    self.ensure(3)?;
                    self.skip_ascii(1);
                    self.skip_break();
                    on_new_line = true;
                    break;
                } else if !single && b == b'\\' {
                    self.scan_escape(start, &mut text)?;
                } else {
                    let run = self.quoted_run(quote);
                    text.copy(self.mark.pos, self.mark.pos + run);
                    self.mark.column += count_chars(&self.reader.text[self.mark.pos..self.mark.pos + run]);
                    self.mark.pos += run;
                }
                self.ensure(2)?;
            }
            self.ensure(1)?;
            if self.at(0) == quote {
                break;
            }
            let blanks = self.mark.pos;
            while is_blank(self.at(0)) || self.break_at(0) {
                if is_blank(self.at(0)) {
                    self.skip_ascii(1);
                } else {
                    self.ensure(2)?;
                    let normal = self.take_break();
                    if on_new_line {
                        breaks.further.extend_from_slice(normal);
                    } else {
                        breaks.first = normal;
                        on_new_line = true;
                    }
                }
                self.ensure(1)?;
            }
            if on_new_line {
                text.fold(&mut breaks);
            } else {
                text.copy(blanks, self.mark.pos);
            }
        }
        self.skip_ascii(1);
        let style = if single { Style::SingleQuoted } else { Style::DoubleQuoted };
        Ok(Token { kind: Kind::Scalar { text: text.finish(), style }, start, end: self.mark })
    }

    /// Bytes of content of a quoted scalar at the current place, at least one character.
    fn quoted_run(&self, quote: u8) -> usize {
        let near_end = self.reader.checked.saturating_sub(1);
        let run = match self.reader.text.get(self.mark.pos..near_end) {
            Some(text) => {
                let stops = |&b: &u8| b == quote || b == b'\\' || may_end_word(b);
                text.iter().position(stops).unwrap_or(text.len())
            }
            None => 0,
        };
        if run > 0 { run } else { width(self.at(0)).max(1) }
    }

    fn scan_escape(&mut self, start: Mark, text: &mut Text<'a>) -> Result<()> {
        let digits = match self.at(1) {
            b'x' => 2,
            b'u' => 4,
            b'U' => 8,
            code => {
                let plain: &[u8] = match code {
                    b'0' => b"\0",
                    b'a' => b"\x07",
                    b'b' => b"\x08",
                    b't' | b'\t' => b"\t",
                    b'n' => b"\n",
                    b'v' => b"\x0B",
                    b'f' => b"\x0C",
                    b'r' => b"\r",
                    b'e' => b"\x1B",
                    b' ' => b" ",
                    b'"' => b"\"",
                    b'\'' => b"'",
                    b'\\' => b"\\",
                    b'N' => b"\xC2\x85",
                    b'_' => b"\xC2\xA0",
                    b'L' => b"\xE2\x80\xA8",
                    b'P' => b"\xE2\x80\xA9",
                    _ => return self.error_since(start, "found unknown escape character"),
                };
                text.push(plain);
                self.skip_ascii(2);
                return Ok(());
            }
        };
        self.skip_ascii(2);
        self.ensure(digits)?;
        let mut code = 0_u32;
        for k in 0..digits {
            if !is_hex(self.at(k)) {
                return self.error_since(start, "did not find expected hexdecimal number");
            }
            code = (code << 4) | hex_value(self.at(k));
        }
        let Some(c) = char::from_u32(code) else {
            return self.error_since(start, "found invalid Unicode character escape code");
        };
        text.push(c.encode_utf8(&mut [0; 4]).as_bytes());
        self.skip_ascii(digits);
        Ok(())
    }

    pub(super) fn scan_block_scalar(&mut self, literal: bool) -> Result<Token<'a>> {
        let start = self.mark;
        self.skip_ascii(1);
        let (chomp, increment) = self.scan_block_header(start)?;
        let mut indent = match increment {
            0 => 0,
            n => self.indent.max(0) + n,
        };
        let mut text = Text::new(self.reader.text, self.mark.pos);
        let mut first: &[u8] = b"";
        let mut further = Vec::new();
        self.scan_block_breaks(&mut indent, &mut further, start)?;
        self.ensure(1)?;
        let mut after_blank = false;
        while self.mark.column as isize == indent && self.at(0) != 0 {
            let starts_blank = is_blank(self.at(0));
            if !literal && !after_blank && !starts_blank && first == b"\n" {
                if further.is_empty() {
                    text.push(b" ");
                }
            } else {
                text.push(first);
            }
            text.push(&further);
            further.clear();
            after_blank = starts_blank;
            self.copy_line(&mut text)?;
            self.ensure(2)?;
            first = self.take_break();
            self.scan_block_breaks(&mut indent, &mut further, start)?;
        }
        if chomp != Chomp::Strip {
            text.push(first);
        }
        if chomp == Chomp::Keep {
            text.push(&further);
        }
        let style = if literal { Style::Literal } else { Style::Folded };
        Ok(Token { kind: Kind::Scalar { text: text.finish(), style }, start, end: self.mark })
    }

    /// Takes the rest of a line.
    fn copy_line(&mut self, text: &mut Text<'a>) -> Result<()> {
        while !self.break_or_end_at(0) {
            let from = self.mark.pos.min(self.reader.checked);
            let checked = &self.reader.text[from..self.reader.checked];
            let run = match checked.iter().position(|&b| may_end_line(b)) {
                Some(0) => width(self.at(0)),
                Some(run) => run,
                None => checked.len(),
            };
            text.copy(self.mark.pos, self.mark.pos + run);
            self.mark.column += count_chars(&self.reader.text[self.mark.pos..self.mark.pos + run]);
            self.mark.pos += run;
            self.ensure(1)?;
        }
        Ok(())
    }

    /// Takes the indicators behind `|` or `>` and the rest of their line.
    fn scan_block_header(&mut self, start: Mark) -> Result<(Chomp, isize)> {
        self.ensure(1)?;
        let mut chomp = self.scan_chomp();
        if chomp.is_some() {
            self.ensure(1)?;
        }
        let mut increment = 0;
        if self.at(0).is_ascii_digit() {
            if self.at(0) == b'0' {
                return self.error_since(start, "found an indentation indicator equal to 0");
            }
            increment = isize::from(self.at(0) - b'0');
            self.skip();
            if chomp.is_none() {
                self.ensure(1)?;
                chomp = self.scan_chomp();
            }
        }
        self.skip_blanks()?;
        self.skip_comment()?;
        if !self.break_or_end_at(0) {
            return self.error_since(start, "did not find expected comment or line break");
        }
        if self.break_at(0) {
            self.ensure(2)?;
            self.skip_break();
        }
        Ok((chomp.unwrap_or(Chomp::Clip), increment))
    }

    fn scan_chomp(&mut self) -> Option<Chomp> {
        let chomp = match self.at(0) {
            b'+' => Chomp::Keep,
            b'-' => Chomp::Strip,
            _ => return None,
        };
        self.skip();
        Some(chomp)
    }

    /// Takes indentation and empty lines; finds out the indentation where it is not known yet.
    fn scan_block_breaks(&mut self, indent: &mut isize, breaks: &mut Vec<u8>, start: Mark) -> Result<()> {
        let mut widest = 0;
        loop {
            self.ensure(1)?;
            while (*indent == 0 || (self.mark.column as isize) < *indent) && self.at(0) == b' ' {
                self.skip_ascii(1);
                self.ensure(1)?;
            }
            widest = widest.max(self.mark.column as isize);
            if (*indent == 0 || (self.mark.column as isize) < *indent) && self.at(0) == b'\t' {
                return self.error_since(start, "found a tab character where an indentation space is expected");
            }
            if !self.break_at(0) {
                break;
            }
            self.ensure(2)?;
            breaks.extend_from_slice(self.take_break());
        }
        if *indent == 0 {
            *indent = widest.max(self.indent + 1).max(1);
        }
        Ok(())
    }
}
