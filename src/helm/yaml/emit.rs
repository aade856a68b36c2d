//! From data to text as go-yaml writes it, without an intermediate copy: whoever holds a tree tells the [`Emitter`] its
//! shape.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::error::Error;
use super::order::sort_natural;
use super::style::{self, Wish};
use super::{Dialect, MAX_DEPTH};
use crate::json::{Escape, float_text, float_text_general, replace_invalid, write_string};

/// Columns after which text is folded.
const WIDTH: usize = 80;
/// Columns of one level.
const INDENT: usize = 2;
/// Bytes up to which a key can do without `?`.
const MAX_SIMPLE_KEY: usize = 128;
/// Characters of JSON up to which go-yaml reads a key.
const MAX_JSON_KEY: usize = 1024;

/// How many bytes one tree may become; trees that hold one another repeatedly grow exponentially.
pub const MAX_EMITTED: usize = 64 << 20;

pub(super) type Result = std::result::Result<(), Error>;

/// A tree that can be written as YAML.
pub trait Emit {
    /// Calls the one method of `out` that says what this node is.
    fn emit(&self, out: &mut Emitter<'_>) -> Result;
}

impl Emit for Value {
    fn emit(&self, out: &mut Emitter<'_>) -> Result {
        match self {
            Value::Null => out.null(),
            Value::Bool(b) => out.bool(*b),
            Value::Number(n) => match (n.as_i64(), n.as_u64(), n.as_f64()) {
                (Some(n), _, _) => out.int(n),
                (_, Some(n), _) => out.uint(n),
                (_, _, n) => out.float(n.unwrap_or(f64::NAN)),
            },
            Value::String(text) => out.text(text.as_bytes()),
            Value::Array(items) => out.sequence(items),
            Value::Object(map) => out.mapping(map.iter().map(|(key, value)| (key.as_bytes(), value)).collect()),
        }
    }
}

/// The way data takes to its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Through JSON and back, then go-yaml v2: `toYaml`.
    Json,
    /// As `Json`, then read and written again by go-yaml v3, which keeps the style of each text and folds no line: what
    /// has been through kustomize and Helm.
    Restyled,
    /// go-yaml v2 with keys in byte order: the digest of values.
    Digest,
    /// go-yaml v3: `toYamlPretty`.
    Pretty,
}

/// Appends what `toYaml` gives: the YAML of a tree without its last line break. Each line but the first is indented by
/// `pad` spaces, as `nindent` does with the whole. On an error `out` stays as it was.
pub fn emit<T: Emit + ?Sized>(tree: &T, pad: usize, out: &mut Vec<u8>) -> Result {
    without_last_break(out, pad, |out| document(tree, Way::Json, pad, out))
}

/// Appends what `toYamlPretty` gives: lists within maps are indented, long lines stay whole.
pub fn emit_pretty<T: Emit + ?Sized>(tree: &T, out: &mut Vec<u8>) -> Result {
    without_last_break(out, 0, |out| document(tree, Way::Pretty, 0, out))
}

/// Appends what a post-rendered tree is recorded as, with its last line break: `toYaml`'s text with long lines whole.
pub fn emit_restyled<T: Emit + ?Sized>(tree: &T, out: &mut Vec<u8>) -> Result {
    let start = out.len();
    document(tree, Way::Restyled, 0, out).inspect_err(|_| out.truncate(start))
}

/// The text over which Flux takes the digest of a release's values: keys in byte order, all numbers as floats; empty for
/// values without an entry.
pub fn digest_text<T: Emit + ?Sized>(values: &T) -> std::result::Result<Vec<u8>, Error> {
    let mut out = Vec::new();
    document(values, Way::Digest, 0, &mut out)?;
    if out == b"{}\n" {
        out.clear();
    }
    Ok(out)
}

/// Takes away the last line break of what `write` appends, all of it on an error.
fn without_last_break(out: &mut Vec<u8>, pad: usize, write: impl FnOnce(&mut Vec<u8>) -> Result) -> Result {
    let start = out.len();
    let written = write(out);
    if written.is_err() {
        out.truncate(start);
    } else if let Some(whole) = out.strip_suffix(&vec![b' '; pad][..]).and_then(|whole| whole.strip_suffix(b"\n")) {
        out.truncate(whole.len());
    }
    written
}

fn document<T: Emit + ?Sized>(tree: &T, way: Way, pad: usize, out: &mut Vec<u8>) -> Result {
    let limit = out.len() + MAX_EMITTED;
    let mut emitter = Emitter {
        out,
        way,
        pad,
        column: 0,
        indent: None,
        place: Place::Root,
        limit,
        after_blank: true,
        in_indentation: true,
        depth: 0,
    };
    tree.emit(&mut emitter)?;
    emitter.indent = None;
    emitter.start_line();
    Ok(())
}

/// Where the next node stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Root,
    Item,
    /// A key that needs no `?`.
    Key,
    /// A value, or a key behind `?`.
    Value,
}

/// Writes one document.
pub struct Emitter<'o> {
    pub(super) out: &'o mut Vec<u8>,
    way: Way,
    pad: usize,
    /// Characters on the current line.
    pub(super) column: usize,
    /// Columns of the current level, none outside of all.
    indent: Option<usize>,
    place: Place,
    /// Bytes that `out` may hold at the end.
    limit: usize,
    /// Whether the last character was a blank that separates.
    after_blank: bool,
    /// Whether the line holds nothing but indentation and indicators.
    pub(super) in_indentation: bool,
    depth: usize,
}

impl Emitter<'_> {
    fn dialect(&self) -> Dialect {
        if self.way == Way::Pretty { Dialect::V3 } else { Dialect::V2 }
    }

    fn through_json(&self) -> bool {
        matches!(self.way, Way::Json | Way::Restyled)
    }

    /// Whether tabs may stand in literal blocks.
    pub(super) fn tabs_in_blocks(&self) -> bool {
        self.way == Way::Pretty
    }

    pub(super) fn width(&self) -> usize {
        if matches!(self.way, Way::Pretty | Way::Restyled) { usize::MAX } else { WIDTH }
    }

    /// Writes null.
    pub fn null(&mut self) -> Result {
        self.word("null");
        Ok(())
    }

    /// Writes a boolean.
    pub fn bool(&mut self, b: bool) -> Result {
        self.word(if b { "true" } else { "false" });
        Ok(())
    }

    /// Writes an integer.
    pub fn int(&mut self, n: i64) -> Result {
        if self.way == Way::Digest {
            return self.float(n as f64);
        }
        self.word(&n.to_string());
        Ok(())
    }

    /// Writes an integer.
    pub fn uint(&mut self, n: u64) -> Result {
        if self.way == Way::Digest {
            return self.float(n as f64);
        }
        self.word(&n.to_string());
        Ok(())
    }

    /// Writes a float; what JSON cannot hold is an error where data goes through JSON.
    pub fn float(&mut self, n: f64) -> Result {
        let text = match self.way {
            Way::Json | Way::Restyled if n.is_nan() => return Err(Error::Number("NaN")),
            Way::Json | Way::Restyled if n.is_infinite() => {
                return Err(Error::Number(if n > 0.0 { "+Inf" } else { "-Inf" }));
            }
            Way::Json | Way::Restyled => whole_in_json(n).unwrap_or_else(|| float_text_general(n)),
            Way::Digest => whole(n).unwrap_or_else(|| yaml_float(n)),
            Way::Pretty => yaml_float(n),
        };
        self.word(&text);
        Ok(())
    }

    /// Writes a text as it is, such as that of a time.
    pub fn plain(&mut self, text: &[u8]) -> Result {
        self.word(&String::from_utf8_lossy(text));
        Ok(())
    }

    /// Writes bytes as JSON does, in base64.
    pub fn bytes(&mut self, bytes: &[u8]) -> Result {
        self.text(STANDARD.encode(bytes).as_bytes())
    }

    /// Writes a text; bytes that are no UTF-8 are replaced.
    pub fn text(&mut self, text: &[u8]) -> Result {
        let text = match std::str::from_utf8(text) {
            Ok(text) => Cow::Borrowed(text),
            Err(_) => Cow::Owned(replace_invalid(text.to_vec())),
        };
        let text = if self.through_json() { through_json(text)? } else { text };
        let wish = style::wish(text.as_bytes(), self.dialect());
        self.scalar(&text, wish);
        Ok(())
    }

    /// Writes a list.
    pub fn sequence<'v, T: Emit + 'v>(&mut self, items: impl IntoIterator<Item = &'v T>) -> Result {
        let mut items = items.into_iter().peekable();
        if items.peek().is_none() {
            self.indicator(b"[");
            self.after_blank = true;
            self.indicator(b"]");
            return Ok(());
        }
        let indentless = self.way != Way::Pretty && self.place == Place::Value && !self.in_indentation;
        let outer = self.open(indentless)?;
        for item in items {
            self.start_line();
            let in_indentation = self.in_indentation;
            self.indicator(b"-");
            self.in_indentation = in_indentation;
            self.place = Place::Item;
            self.check_size()?;
            item.emit(self)?;
        }
        self.close(outer);
        Ok(())
    }

    /// Writes a map, its keys in go-yaml's order. The entries come in byte order of their keys.
    pub fn mapping<T: Emit>(&mut self, mut entries: Vec<(&[u8], &T)>) -> Result {
        if self.way != Way::Digest {
            sort_natural(&mut entries, self.dialect());
        }
        self.fields(&entries)
    }

    /// Writes the fields of a struct in the order in which they come.
    pub fn fields<T: Emit>(&mut self, entries: &[(&[u8], &T)]) -> Result {
        if entries.is_empty() {
            self.indicator(b"{");
            self.after_blank = true;
            self.indicator(b"}");
            return Ok(());
        }
        let outer = self.open(false)?;
        for (key, value) in entries {
            self.start_line();
            self.key(key)?;
            self.place = Place::Value;
            self.check_size()?;
            value.emit(self)?;
        }
        self.close(outer);
        Ok(())
    }

    fn check_size(&self) -> Result {
        if self.out.len() > self.limit {
            return Err(Error::Limit(format!("exceeded max size of {MAX_EMITTED}")));
        }
        Ok(())
    }

    /// Goes one level in and gives what `close` needs to come back.
    fn open(&mut self, indentless: bool) -> std::result::Result<Option<usize>, Error> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(Error::unplaced(format!("exceeded max depth of {MAX_DEPTH}")));
        }
        let outer = self.indent;
        self.indent = match outer {
            None => Some(0),
            Some(indent) => Some(if indentless { indent } else { indent + INDENT }),
        };
        Ok(outer)
    }

    fn close(&mut self, outer: Option<usize>) {
        self.depth -= 1;
        self.indent = outer;
    }

    /// Writes a key and its `:`.
    fn key(&mut self, key: &[u8]) -> Result {
        let key = match std::str::from_utf8(key) {
            Ok(key) => Cow::Borrowed(key),
            Err(_) => Cow::Owned(replace_invalid(key.to_vec())),
        };
        let key = if self.through_json() { key_through_json(key)? } else { key };
        let wish = style::wish(key.as_bytes(), self.dialect());
        if key.len() <= MAX_SIMPLE_KEY && !style::is_multiline(key.as_bytes()) {
            self.place = Place::Key;
            self.scalar(&key, wish);
            self.after_blank = true;
        } else {
            let in_indentation = self.in_indentation;
            self.indicator(b"?");
            self.in_indentation = in_indentation;
            self.place = Place::Value;
            self.scalar(&key, wish);
            self.start_line();
        }
        let in_indentation = self.in_indentation;
        self.indicator(b":");
        self.in_indentation = in_indentation;
        Ok(())
    }

    /// Writes a number or another word that stands for itself.
    fn word(&mut self, word: &str) {
        self.separate();
        self.out.extend_from_slice(word.as_bytes());
        self.column += word.len();
        self.after_blank = false;
        self.in_indentation = false;
    }

    fn scalar(&mut self, text: &str, wish: Wish) {
        let outer = self.indent;
        self.indent = Some(outer.map_or(INDENT, |indent| indent + INDENT));
        let key = self.place == Place::Key;
        style::write(self, text, wish, key);
        self.indent = outer;
    }

    /// Puts a blank before what comes next, where none is.
    pub(super) fn separate(&mut self) {
        if !self.after_blank {
            self.out.push(b' ');
            self.column += 1;
        }
    }

    pub(super) fn indicator(&mut self, indicator: &[u8]) {
        self.separate();
        self.raw(indicator);
        self.after_blank = false;
        self.in_indentation = false;
    }

    /// Marks the end of a scalar's text.
    pub(super) fn end_text(&mut self, after_blank: bool) {
        self.after_blank = after_blank;
    }

    /// Writes ASCII as it is.
    pub(super) fn raw(&mut self, text: &[u8]) {
        self.out.extend_from_slice(text);
        self.column += text.len();
    }

    pub(super) fn line_break(&mut self) {
        self.out.push(b'\n');
        self.out.resize(self.out.len() + self.pad, b' ');
        self.column = 0;
        if self.way == Way::Pretty {
            self.in_indentation = true;
        }
    }

    /// Goes to the current level's column, on a new line if the present one is not still empty.
    pub(super) fn start_line(&mut self) {
        let indent = self.indent.unwrap_or(0);
        if !self.in_indentation || self.column > indent || (self.column == indent && !self.after_blank) {
            self.line_break();
        }
        if self.column < indent {
            self.out.resize(self.out.len() + indent - self.column, b' ');
            self.column = indent;
        }
        self.after_blank = true;
        if self.way != Way::Pretty {
            self.in_indentation = true;
        }
    }
}

/// The text of a float that JSON writes without point and exponent and go-yaml reads back as an integer.
fn whole_in_json(n: f64) -> Option<String> {
    let text = float_text(n);
    if let Ok(whole) = text.parse::<i64>() {
        return Some(whole.to_string());
    }
    text.parse::<u64>().is_ok().then_some(text)
}

/// The text of a float that is an integer of 64 bits.
fn whole(n: f64) -> Option<String> {
    const TWO_63: f64 = 9_223_372_036_854_775_808.0;
    if n.fract() != 0.0 {
        None
    } else if (-TWO_63..TWO_63).contains(&n) {
        Some((n as i64).to_string())
    } else if (0.0..2.0 * TWO_63).contains(&n) {
        Some((n as u64).to_string())
    } else {
        None
    }
}

fn yaml_float(n: f64) -> String {
    match n {
        f64::INFINITY => ".inf".into(),
        f64::NEG_INFINITY => "-.inf".into(),
        n if n.is_nan() => ".nan".into(),
        n => float_text_general(n),
    }
}

/// What is left of a text after go-yaml has read it from JSON: some characters are refused, and U+0085 is a line break
/// that is folded with the blanks around it.
fn through_json(text: Cow<'_, str>) -> std::result::Result<Cow<'_, str>, Error> {
    if text.bytes().all(|b| b < 0x7F) {
        return Ok(text);
    }
    let mut breaks = false;
    for c in text.chars() {
        match c {
            '\u{85}' => breaks = true,
            '\x7F'..='\u{9F}' | '\u{FFFE}' | '\u{FFFF}' => {
                return Err(Error::unplaced("control characters are not allowed"));
            }
            _ => {}
        }
    }
    if !breaks {
        return Ok(text);
    }
    let mut folded = String::new();
    let mut rest = &*text;
    while let Some(at) = rest.find('\u{85}') {
        folded.push_str(rest[..at].trim_end_matches(' '));
        let after = rest[at..].trim_start_matches([' ', '\u{85}']);
        let run = &rest[at..rest.len() - after.len()];
        match run.matches('\u{85}').count() {
            1 => folded.push(' '),
            n => folded.extend(std::iter::repeat_n('\n', n - 1)),
        }
        let indicator = after.starts_with("---") || after.starts_with("...");
        if indicator && run.ends_with('\u{85}') && after[3..].starts_with([' ', '\u{85}']) {
            return Err(Error::unplaced("found unexpected document indicator"));
        }
        rest = after;
    }
    folded.push_str(rest);
    Ok(Cow::Owned(folded))
}

/// As [`through_json`], for a key, which has to be found on one line and not too far from its `:`.
fn key_through_json(key: Cow<'_, str>) -> std::result::Result<Cow<'_, str>, Error> {
    let too_long = key.len() * 6 + 2 > MAX_JSON_KEY && {
        let mut json = String::new();
        write_string(&mut json, &key, Escape::Html);
        json.chars().count() > MAX_JSON_KEY
    };
    if too_long || key.contains('\u{85}') {
        return Err(Error::unplaced("did not find expected ',' or '}'"));
    }
    through_json(key)
}
