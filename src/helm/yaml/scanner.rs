//! From text to tokens, by libyaml's rules: where a token may start, which columns open and close blocks, and which
//! scalar turns out to be a key when its `:` comes.

use std::borrow::Cow;
use std::collections::VecDeque;

use super::chars::{break_width, is_blank, is_hex, is_uri, is_word, may_end_line, width};
use super::error::Error;
use super::reader::{BOM, Input, Reader, count_chars};
use super::{Dialect, chars};

/// How deep flow collections may nest, as in go-yaml.
pub(super) const MAX_FLOW_LEVEL: usize = 10_000;
/// How deep block collections may nest, as in go-yaml.
pub(super) const MAX_INDENTS: usize = 10_000;
/// How many characters a key without `?` may take up to its `:`.
const MAX_SIMPLE_KEY: usize = 1024;

/// A place in the text; lines and columns count from 0, columns in characters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) pos: usize,
    pub(super) line: usize,
    pub(super) column: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Plain,
    SingleQuoted,
    DoubleQuoted,
    Literal,
    Folded,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind<'a> {
    StreamStart,
    StreamEnd,
    Version { major: u8, minor: u8 },
    TagDirective { handle: Vec<u8>, prefix: Vec<u8> },
    DocumentStart,
    DocumentEnd,
    BlockSequenceStart,
    BlockMappingStart,
    BlockEnd,
    FlowSequenceStart,
    FlowSequenceEnd,
    FlowMappingStart,
    FlowMappingEnd,
    BlockEntry,
    FlowEntry,
    Key,
    Value,
    Alias(&'a [u8]),
    Anchor(&'a [u8]),
    Tag { handle: Vec<u8>, suffix: Vec<u8> },
    Scalar { text: Cow<'a, [u8]>, style: Style },
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Token<'a> {
    pub(super) kind: Kind<'a>,
    pub(super) start: Mark,
    pub(super) end: Mark,
}

/// A place where a key may have started, one for each flow level.
#[derive(Debug, Clone, Copy, Default)]
struct SimpleKey {
    possible: bool,
    required: bool,
    token: usize,
    mark: Mark,
}

pub(super) type Result<T> = std::result::Result<T, Error>;

pub(super) struct Scanner<'a> {
    pub(super) reader: Reader<'a>,
    pub(super) mark: Mark,
    dialect: Dialect,
    started: bool,
    pub(super) flow_level: usize,
    /// Column of the innermost block, -1 outside of all.
    pub(super) indent: isize,
    indents: Vec<isize>,
    pub(super) simple_key_allowed: bool,
    keys: Vec<SimpleKey>,
    /// Token numbers that may turn out to be keys, with their place in `keys`, ascending.
    keys_by_token: VecDeque<(usize, usize)>,
    queue: VecDeque<Token<'a>>,
    /// Number of tokens taken from the queue.
    taken: usize,
    /// Whether the head of the queue is final.
    available: bool,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(input: &'a Input<'_>, dialect: Dialect) -> Self {
        Scanner {
            reader: Reader::new(input),
            mark: Mark { pos: input.start, ..Mark::default() },
            dialect,
            started: false,
            flow_level: 0,
            indent: -1,
            indents: Vec::new(),
            simple_key_allowed: true,
            keys: vec![SimpleKey::default()],
            keys_by_token: VecDeque::new(),
            queue: VecDeque::new(),
            taken: 0,
            available: false,
        }
    }

    /// The next token, which stays in the queue.
    #[inline]
    pub(super) fn peek(&mut self) -> Result<&Token<'a>> {
        if !self.available {
            self.fetch_more()?;
        }
        Ok(&self.queue[0])
    }

    /// Takes the token that `peek` showed.
    #[inline]
    pub(super) fn take(&mut self) -> Option<Token<'a>> {
        self.available = false;
        self.taken += 1;
        self.queue.pop_front()
    }

    fn fetch_more(&mut self) -> Result<()> {
        let least = if self.dialect == Dialect::V3 { 2 } else { 0 };
        loop {
            if self.queue.len() > least {
                match self.key_of_head() {
                    None => break,
                    Some(key) if !self.key_is_valid(key)? => break,
                    Some(_) => {}
                }
            }
            self.fetch_next()?;
        }
        self.available = true;
        Ok(())
    }

    /// The simple key that the head of the queue may be.
    fn key_of_head(&mut self) -> Option<usize> {
        while let Some(&(token, key)) = self.keys_by_token.front() {
            if token == self.taken {
                return Some(key);
            }
            if token > self.taken {
                return None;
            }
            self.keys_by_token.pop_front();
        }
        None
    }

    fn forget_token(&mut self, token: usize) {
        if let Some(at) = self.keys_by_token.iter().rposition(|&(t, _)| t == token) {
            self.keys_by_token.remove(at);
        }
    }

    /// Makes `wanted` characters readable from the current place.
    #[inline]
    pub(super) fn ensure(&mut self, wanted: usize) -> Result<()> {
        if self.mark.pos + 4 * wanted > self.reader.checked { self.reader.fill(self.mark.pos, wanted) } else { Ok(()) }
    }

    #[inline]
    pub(super) fn at(&self, offset: usize) -> u8 {
        self.reader.at(self.mark.pos + offset)
    }

    #[inline]
    pub(super) fn rest(&self) -> &'a [u8] {
        self.reader.text.get(self.mark.pos..).unwrap_or(&[])
    }

    #[inline]
    pub(super) fn break_at(&self, offset: usize) -> bool {
        may_end_line(self.at(offset))
            && self.reader.text.get(self.mark.pos + offset..).is_some_and(|t| break_width(t) > 0)
    }

    #[inline]
    pub(super) fn break_or_end_at(&self, offset: usize) -> bool {
        self.at(offset) == 0 || self.break_at(offset)
    }

    #[inline]
    pub(super) fn blank_or_end_at(&self, offset: usize) -> bool {
        let b = self.at(offset);
        is_blank(b) || b == 0 || self.break_at(offset)
    }

    /// Steps over one character.
    #[inline]
    pub(super) fn skip(&mut self) {
        self.mark.pos += width(self.at(0)).max(1);
        self.mark.column += 1;
    }

    /// Steps over `bytes` ASCII characters.
    #[inline]
    pub(super) fn skip_ascii(&mut self, bytes: usize) {
        self.mark.pos += bytes;
        self.mark.column += bytes;
    }

    /// Steps over a line break, if there is one.
    #[inline]
    pub(super) fn skip_break(&mut self) {
        let width = break_width(self.rest());
        if width > 0 {
            self.mark.pos += width;
            self.mark.column = 0;
            self.mark.line += 1;
        }
    }

    pub(super) fn skip_blanks(&mut self) -> Result<()> {
        self.ensure(1)?;
        while is_blank(self.at(0)) {
            self.skip();
            self.ensure(1)?;
        }
        Ok(())
    }

    pub(super) fn skip_comment(&mut self) -> Result<()> {
        if self.at(0) != b'#' {
            return Ok(());
        }
        loop {
            let checked = &self.reader.text[self.mark.pos.min(self.reader.checked)..self.reader.checked];
            let run = checked.iter().position(|&b| may_end_line(b)).unwrap_or(checked.len());
            self.mark.column += count_chars(&checked[..run]);
            self.mark.pos += run;
            self.ensure(1)?;
            if self.break_or_end_at(0) {
                return Ok(());
            }
            self.skip();
            self.ensure(1)?;
        }
    }

    /// An error at the current place, found while scanning what started at `context`.
    pub(super) fn error_since<T>(&self, context: Mark, problem: impl Into<Cow<'static, str>>) -> Result<T> {
        // go-yaml counts the first line as none, and v2 the context's lines from 0.
        let line = match (self.dialect, context.line, self.mark.line) {
            (Dialect::V2, context, 0) => context,
            (Dialect::V3, 0, 0) => 0,
            (Dialect::V3, 0, problem) | (Dialect::V2, _, problem) => problem + 1,
            (Dialect::V3, context, _) => context + 1,
        };
        Err(Error::at(line, problem))
    }

    fn push(&mut self, kind: Kind<'a>, start: Mark) {
        self.queue.push_back(Token { kind, start, end: self.mark });
    }

    fn fetch_next(&mut self) -> Result<()> {
        self.ensure(1)?;
        if !self.started {
            self.started = true;
            self.push(Kind::StreamStart, self.mark);
            return Ok(());
        }
        self.skip_to_token()?;
        self.unroll(self.mark.column as isize);
        self.ensure(4)?;
        let first = self.at(0);
        if first == 0 {
            return self.fetch_stream_end();
        }
        if self.mark.column == 0 {
            if first == b'%' {
                return self.fetch_directive();
            }
            if let Some(kind) = self.document_indicator() {
                return self.fetch_document_indicator(kind);
            }
        }
        let in_flow = self.flow_level > 0;
        match first {
            b'[' => self.fetch_flow_start(Kind::FlowSequenceStart),
            b'{' => self.fetch_flow_start(Kind::FlowMappingStart),
            b']' => self.fetch_flow_end(Kind::FlowSequenceEnd),
            b'}' => self.fetch_flow_end(Kind::FlowMappingEnd),
            b',' => self.fetch_flow_entry(),
            b'-' if self.blank_or_end_at(1) => self.fetch_block_entry(),
            b'?' if in_flow || self.blank_or_end_at(1) => self.fetch_key(),
            b':' if in_flow || self.blank_or_end_at(1) => self.fetch_value(),
            b'*' | b'&' => self.fetch_anchor(first == b'&'),
            b'!' => self.fetch_tag(),
            b'|' | b'>' if !in_flow => self.fetch_block_scalar(first == b'|'),
            b'\'' | b'"' => self.fetch_quoted_scalar(first == b'\''),
            b'|' | b'>' | b'%' | b'@' | b'`' | b'#' | b'\t' => {
                self.error_since(self.mark, "found character that cannot start any token")
            }
            _ => self.fetch_plain_scalar(),
        }
    }

    /// `---` or `...` at the current place, followed by a blank.
    pub(super) fn document_indicator(&self) -> Option<Kind<'a>> {
        let kind = match self.rest() {
            [b'-', b'-', b'-', ..] => Kind::DocumentStart,
            [b'.', b'.', b'.', ..] => Kind::DocumentEnd,
            _ => return None,
        };
        self.blank_or_end_at(3).then_some(kind)
    }

    fn skip_to_token(&mut self) -> Result<()> {
        loop {
            self.ensure(1)?;
            if self.mark.column == 0
                && self.reader.text[self.reader.base.min(self.reader.text.len())..].starts_with(BOM)
            {
                self.skip();
                self.ensure(1)?;
            }
            let tabs = self.flow_level > 0 || !self.simple_key_allowed;
            loop {
                let b = self.at(0);
                if b != b' ' && !(tabs && b == b'\t') {
                    break;
                }
                self.skip_ascii(1);
                self.ensure(1)?;
            }
            self.skip_comment()?;
            if !self.break_at(0) {
                return Ok(());
            }
            self.ensure(2)?;
            self.skip_break();
            if self.flow_level == 0 {
                self.simple_key_allowed = true;
            }
        }
    }

    /// Whether a saved key is still possible; one that had to be a key and is not is an error.
    fn key_is_valid(&mut self, key: usize) -> Result<bool> {
        let Some(&SimpleKey { possible, required, mark, .. }) = self.keys.get(key) else { return Ok(false) };
        if !possible {
            return Ok(false);
        }
        let too_long = || {
            self.mark.pos - mark.pos > MAX_SIMPLE_KEY
                && count_chars(&self.reader.text[mark.pos..self.mark.pos.min(self.reader.text.len())]) > MAX_SIMPLE_KEY
        };
        if mark.line < self.mark.line || too_long() {
            if required {
                return self.error_since(mark, "could not find expected ':'");
            }
            self.keys[key].possible = false;
            return Ok(false);
        }
        Ok(true)
    }

    fn save_key(&mut self) -> Result<()> {
        if self.simple_key_allowed {
            let required = self.flow_level == 0 && self.indent == self.mark.column as isize;
            let token = self.taken + self.queue.len();
            self.remove_key()?;
            let last = self.keys.len() - 1;
            self.keys[last] = SimpleKey { possible: true, required, token, mark: self.mark };
            self.keys_by_token.push_back((token, last));
        }
        Ok(())
    }

    fn remove_key(&mut self) -> Result<()> {
        let last = self.keys.len() - 1;
        let SimpleKey { possible, required, token, mark } = self.keys[last];
        if possible {
            if required {
                return self.error_since(mark, "could not find expected ':'");
            }
            self.keys[last].possible = false;
            self.forget_token(token);
        }
        Ok(())
    }

    /// Opens a block at `column`; `number` is the token before which it starts, none for the end of the queue.
    fn roll(&mut self, column: usize, number: Option<usize>, kind: Kind<'a>, mark: Mark) -> Result<()> {
        let column = column as isize;
        if self.flow_level > 0 || self.indent >= column {
            return Ok(());
        }
        self.indents.push(self.indent);
        self.indent = column;
        if self.indents.len() > MAX_INDENTS {
            let context = self.keys[self.keys.len() - 1].mark;
            return self.error_since(context, format!("exceeded max depth of {MAX_INDENTS}"));
        }
        self.insert(number, Token { kind, start: mark, end: mark });
        Ok(())
    }

    /// Puts a token before the one numbered `number`, or last where that one is taken already.
    fn insert(&mut self, number: Option<usize>, token: Token<'a>) {
        match number.and_then(|n| n.checked_sub(self.taken)) {
            Some(at) if at < self.queue.len() => self.queue.insert(at, token),
            _ => self.queue.push_back(token),
        }
    }

    /// Closes the blocks that start right of `column`.
    #[inline]
    fn unroll(&mut self, column: isize) {
        if self.flow_level > 0 {
            return;
        }
        while self.indent > column {
            self.push(Kind::BlockEnd, self.mark);
            self.indent = self.indents.pop().unwrap_or(-1);
        }
    }

    fn fetch_stream_end(&mut self) -> Result<()> {
        if self.mark.column != 0 {
            self.mark.column = 0;
            self.mark.line += 1;
        }
        self.unroll(-1);
        self.remove_key()?;
        self.simple_key_allowed = false;
        self.push(Kind::StreamEnd, self.mark);
        Ok(())
    }

    fn fetch_directive(&mut self) -> Result<()> {
        self.unroll(-1);
        self.remove_key()?;
        self.simple_key_allowed = false;
        let start = self.mark;
        let kind = self.scan_directive()?;
        self.push(kind, start);
        Ok(())
    }

    fn fetch_document_indicator(&mut self, kind: Kind<'a>) -> Result<()> {
        self.unroll(-1);
        self.remove_key()?;
        self.simple_key_allowed = false;
        let start = self.mark;
        self.skip_ascii(3);
        self.push(kind, start);
        Ok(())
    }

    fn fetch_flow_start(&mut self, kind: Kind<'a>) -> Result<()> {
        self.save_key()?;
        let token = self.taken + self.queue.len();
        self.keys.push(SimpleKey { token, mark: self.mark, ..SimpleKey::default() });
        self.flow_level += 1;
        if self.flow_level > MAX_FLOW_LEVEL {
            return self.error_since(self.mark, format!("exceeded max depth of {MAX_FLOW_LEVEL}"));
        }
        self.simple_key_allowed = true;
        self.indicator(kind);
        Ok(())
    }

    fn fetch_flow_end(&mut self, kind: Kind<'a>) -> Result<()> {
        self.remove_key()?;
        if self.flow_level > 0 {
            self.flow_level -= 1;
            if let Some(key) = self.keys.pop() {
                self.forget_token(key.token);
            }
        }
        self.simple_key_allowed = false;
        self.indicator(kind);
        Ok(())
    }

    fn indicator(&mut self, kind: Kind<'a>) {
        let start = self.mark;
        self.skip();
        self.push(kind, start);
    }

    fn fetch_flow_entry(&mut self) -> Result<()> {
        self.remove_key()?;
        self.simple_key_allowed = true;
        self.indicator(Kind::FlowEntry);
        Ok(())
    }

    fn fetch_block_entry(&mut self) -> Result<()> {
        if self.flow_level == 0 {
            if !self.simple_key_allowed {
                return self.error_since(self.mark, "block sequence entries are not allowed in this context");
            }
            self.roll(self.mark.column, None, Kind::BlockSequenceStart, self.mark)?;
        }
        self.remove_key()?;
        self.simple_key_allowed = true;
        self.indicator(Kind::BlockEntry);
        Ok(())
    }

    fn fetch_key(&mut self) -> Result<()> {
        if self.flow_level == 0 {
            if !self.simple_key_allowed {
                return self.error_since(self.mark, "mapping keys are not allowed in this context");
            }
            self.roll(self.mark.column, None, Kind::BlockMappingStart, self.mark)?;
        }
        self.remove_key()?;
        self.simple_key_allowed = self.flow_level == 0;
        self.indicator(Kind::Key);
        Ok(())
    }

    fn fetch_value(&mut self) -> Result<()> {
        let last = self.keys.len() - 1;
        if self.key_is_valid(last)? {
            let SimpleKey { token, mark, .. } = self.keys[last];
            self.insert(Some(token), Token { kind: Kind::Key, start: mark, end: mark });
            self.roll(mark.column, Some(token), Kind::BlockMappingStart, mark)?;
            self.keys[last].possible = false;
            self.forget_token(token);
            self.simple_key_allowed = false;
        } else {
            if self.flow_level == 0 {
                if !self.simple_key_allowed {
                    return self.error_since(self.mark, "mapping values are not allowed in this context");
                }
                self.roll(self.mark.column, None, Kind::BlockMappingStart, self.mark)?;
            }
            self.simple_key_allowed = self.flow_level == 0;
        }
        self.indicator(Kind::Value);
        Ok(())
    }

    fn fetch_anchor(&mut self, anchor: bool) -> Result<()> {
        self.save_key()?;
        self.simple_key_allowed = false;
        let start = self.mark;
        self.skip();
        let name = self.scan_word()?;
        let ends =
            self.blank_or_end_at(0) || matches!(self.at(0), b'?' | b':' | b',' | b']' | b'}' | b'%' | b'@' | b'`');
        if name.is_empty() || !ends {
            return self.error_since(start, "did not find expected alphabetic or numeric character");
        }
        self.push(if anchor { Kind::Anchor(name) } else { Kind::Alias(name) }, start);
        Ok(())
    }

    /// Takes letters, digits, `_` and `-`.
    fn scan_word(&mut self) -> Result<&'a [u8]> {
        self.ensure(1)?;
        let from = self.mark.pos;
        while is_word(self.at(0)) {
            self.skip_ascii(1);
            self.ensure(1)?;
        }
        Ok(self.reader.text.get(from..self.mark.pos).unwrap_or(&[]))
    }

    fn fetch_tag(&mut self) -> Result<()> {
        self.save_key()?;
        self.simple_key_allowed = false;
        let start = self.mark;
        let kind = self.scan_tag()?;
        self.push(kind, start);
        Ok(())
    }

    fn scan_tag(&mut self) -> Result<Kind<'a>> {
        let start = self.mark;
        self.ensure(2)?;
        let (mut handle, mut suffix);
        if self.at(1) == b'<' {
            self.skip_ascii(2);
            handle = Vec::new();
            suffix = self.scan_tag_uri(&[], start)?;
            if self.at(0) != b'>' {
                return self.error_since(start, "did not find the expected '>'");
            }
            self.skip();
        } else {
            handle = self.scan_tag_handle(false, start)?;
            if handle.len() > 1 && handle.ends_with(b"!") {
                suffix = self.scan_tag_uri(&[], start)?;
            } else {
                suffix = self.scan_tag_uri(&handle, start)?;
                handle = b"!".to_vec();
                if suffix.is_empty() {
                    std::mem::swap(&mut handle, &mut suffix);
                }
            }
        }
        self.ensure(1)?;
        if !self.blank_or_end_at(0) {
            return self.error_since(start, "did not find expected whitespace or line break");
        }
        Ok(Kind::Tag { handle, suffix })
    }

    fn scan_tag_handle(&mut self, directive: bool, start: Mark) -> Result<Vec<u8>> {
        self.ensure(1)?;
        if self.at(0) != b'!' {
            return self.error_since(start, "did not find expected '!'");
        }
        self.skip();
        let mut handle = b"!".to_vec();
        handle.extend_from_slice(self.scan_word()?);
        if self.at(0) == b'!' {
            self.skip();
            handle.push(b'!');
        } else if directive && handle != b"!" {
            return self.error_since(start, "did not find expected '!'");
        }
        Ok(handle)
    }

    fn scan_tag_uri(&mut self, head: &[u8], start: Mark) -> Result<Vec<u8>> {
        let mut uri = head.get(1..).unwrap_or(&[]).to_vec();
        let mut found = !head.is_empty();
        self.ensure(1)?;
        while is_uri(self.at(0)) {
            if self.at(0) == b'%' {
                self.scan_uri_escape(start, &mut uri)?;
            } else {
                uri.push(self.at(0));
                self.skip_ascii(1);
            }
            self.ensure(1)?;
            found = true;
        }
        if !found {
            return self.error_since(start, "did not find expected tag URI");
        }
        Ok(uri)
    }

    /// Takes the `%xx` of one character.
    fn scan_uri_escape(&mut self, start: Mark, uri: &mut Vec<u8>) -> Result<()> {
        let mut left = None;
        while left != Some(0) {
            self.ensure(3)?;
            if !(self.at(0) == b'%' && is_hex(self.at(1)) && is_hex(self.at(2))) {
                return self.error_since(start, "did not find URI escaped octet");
            }
            let octet = (chars::hex_value(self.at(1)) * 16 + chars::hex_value(self.at(2))) as u8;
            left = match left {
                None => match width(octet) {
                    0 => return self.error_since(start, "found an incorrect leading UTF-8 octet"),
                    width => Some(width - 1),
                },
                Some(_) if octet & 0xC0 != 0x80 => {
                    return self.error_since(start, "found an incorrect trailing UTF-8 octet");
                }
                Some(left) => Some(left - 1),
            };
            uri.push(octet);
            self.skip_ascii(3);
        }
        Ok(())
    }

    fn scan_directive(&mut self) -> Result<Kind<'a>> {
        let start = self.mark;
        self.skip();
        let name = self.scan_word()?;
        if name.is_empty() {
            return self.error_since(start, "could not find expected directive name");
        }
        if !self.blank_or_end_at(0) {
            return self.error_since(start, "found unexpected non-alphabetical character");
        }
        let kind = match name {
            b"YAML" => self.scan_version(start)?,
            b"TAG" => self.scan_tag_directive(start)?,
            _ => return self.error_since(start, "found unknown directive name"),
        };
        self.skip_blanks()?;
        self.skip_comment()?;
        if !self.break_or_end_at(0) {
            return self.error_since(start, "did not find expected comment or line break");
        }
        if self.break_at(0) {
            self.ensure(2)?;
            self.skip_break();
        }
        Ok(kind)
    }

    fn scan_version(&mut self, start: Mark) -> Result<Kind<'a>> {
        self.skip_blanks()?;
        let major = self.scan_version_number(start)?;
        if self.at(0) != b'.' {
            return self.error_since(start, "did not find expected digit or '.' character");
        }
        self.skip();
        let minor = self.scan_version_number(start)?;
        Ok(Kind::Version { major, minor })
    }

    fn scan_version_number(&mut self, start: Mark) -> Result<u8> {
        self.ensure(1)?;
        let (mut value, mut length) = (0, 0);
        while self.at(0).is_ascii_digit() {
            length += 1;
            if length > 2 {
                return self.error_since(start, "found extremely long version number");
            }
            value = value * 10 + (self.at(0) - b'0');
            self.skip();
            self.ensure(1)?;
        }
        if length == 0 {
            return self.error_since(start, "did not find expected version number");
        }
        Ok(value)
    }

    fn scan_tag_directive(&mut self, start: Mark) -> Result<Kind<'a>> {
        self.skip_blanks()?;
        let handle = self.scan_tag_handle(true, start)?;
        self.ensure(1)?;
        if !is_blank(self.at(0)) {
            return self.error_since(start, "did not find expected whitespace");
        }
        self.skip_blanks()?;
        let prefix = self.scan_tag_uri(&[], start)?;
        self.ensure(1)?;
        if !self.blank_or_end_at(0) {
            return self.error_since(start, "did not find expected whitespace or line break");
        }
        Ok(Kind::TagDirective { handle, prefix })
    }

    fn fetch_block_scalar(&mut self, literal: bool) -> Result<()> {
        self.remove_key()?;
        self.simple_key_allowed = true;
        let token = self.scan_block_scalar(literal)?;
        self.queue.push_back(token);
        Ok(())
    }

    fn fetch_quoted_scalar(&mut self, single: bool) -> Result<()> {
        self.save_key()?;
        self.simple_key_allowed = false;
        let token = self.scan_quoted_scalar(single)?;
        self.queue.push_back(token);
        Ok(())
    }

    fn fetch_plain_scalar(&mut self) -> Result<()> {
        self.save_key()?;
        self.simple_key_allowed = false;
        let token = self.scan_plain_scalar()?;
        self.queue.push_back(token);
        Ok(())
    }
}
