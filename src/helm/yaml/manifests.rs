//! The manifests of an environment's file, as kustomize reads them: the text is split at its separators, and the first
//! document of each part is read with go-yaml v3, which knows no `yes` and `no`, turns dates into timestamps, and
//! refuses keys that occur twice.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use super::Dialect;
use super::budget::Budget;
use super::error::Error;
use super::leaf::{MERGE_PROBLEM, MERGE_TAG, first_odd_number, number, odd_number, typed};
use super::parser::{Node, Parser, Shape, Tree};
use super::reader::to_utf8;
use super::resolve::{Scalar, Timestamp};
use super::scanner::{Result, Style};
use crate::json::replace_invalid;
use crate::quote::quote;

/// How many keys that occur twice are named.
const MAX_PROBLEMS: usize = 100;

/// One document of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// Its number within the file, from 1; empty documents count.
    pub number: usize,
    /// The line on which its content starts, from 1; for one that cannot be read, the line of the error where it is
    /// known, else the one where the document's part of the file starts.
    pub line: usize,
    /// What it holds. Lines in errors are those of the file.
    pub value: Result<Value>,
}

/// Reads the manifests of a file. Empty documents are left out; one that cannot be read does not hide the others.
pub fn manifests(text: &[u8]) -> Vec<Manifest> {
    let text = without_carriage_returns(text);
    let mut manifests = Vec::new();
    let mut line = 0;
    for (at, part) in split(&text).into_iter().enumerate() {
        let number = at + 1;
        match part {
            Ok(part) => {
                if let Some((line, value)) = read(part, line) {
                    manifests.push(Manifest { number, line, value });
                }
                line += part.split(|&b| b == b'\n').count();
            }
            Err(separator) => {
                let separator = String::from_utf8_lossy(separator.trim_ascii());
                let error = Error::at(line, format!("invalid document separator: {separator}"));
                manifests.push(Manifest { number, line, value: Err(error) });
            }
        }
    }
    manifests
}

fn without_carriage_returns(text: &[u8]) -> Vec<u8> {
    let behind = text.iter().skip(1).chain(&[0]);
    text.iter().zip(behind).filter(|(b, next)| (**b, **next) != (b'\r', b'\n')).map(|(b, _)| *b).collect()
}

/// Splits a text at lines that start with `---` and hold nothing else but a comment; others are given as errors, in
/// front of the part behind them. The first line separates nothing.
fn split(text: &[u8]) -> Vec<std::result::Result<&[u8], &[u8]>> {
    let mut parts = Vec::new();
    let (mut part, mut from) = (0, 0);
    while let Some(found) = find(&text[from..], b"\n---") {
        let start = from + found;
        let Some(length) = find(&text[start + 1..], b"\n") else { break };
        let end = start + 1 + length;
        let separator = &text[start + 1..end];
        // The line break in front of the separator belongs to the part before it.
        parts.push(Ok(&text[part..=start]));
        if !matches!(separator[3..].trim_ascii(), [] | [b'#', ..]) {
            parts.push(Err(separator));
        }
        part = end + 1;
        from = part;
    }
    parts.push(Ok(&text[part..]));
    parts
}

/// Whether a key is `<<` with the meaning of a merge.
fn is_merge(node: &Node<'_>) -> bool {
    let by_style = matches!(node.shape, Shape::Scalar(Style::Plain)) && matches!(node.tag.as_deref(), None | Some("!"));
    let by_tag = matches!(node.shape, Shape::Scalar(_)) && node.tag.as_deref() == Some(MERGE_TAG);
    &*node.text == b"<<" && (by_style || by_tag)
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|window| window == wanted)
}

/// Reads the first document of a part that starts behind `lines` lines; none if it is empty.
fn read(part: &[u8], lines: usize) -> Option<(usize, Result<Value>)> {
    let input = to_utf8(part);
    match Parser::new(&input, Dialect::V3).document() {
        Err(Error::Syntax { line, problem }) => {
            let (line, place) = if line == 0 { (0, lines + 1) } else { (line + lines, line + lines) };
            Some((place, Err(Error::Syntax { line, problem })))
        }
        Err(error) => Some((lines + 1, Err(error))),
        Ok(None) => None,
        Ok(Some(tree)) => {
            let line = tree.nodes.first().map_or(tree.line, |node| node.line) + lines + 1;
            match decode(&tree, lines) {
                Ok(Value::Null) => None,
                value => Some((line, value)),
            }
        }
    }
}

fn decode(tree: &Tree<'_>, lines: usize) -> Result<Value> {
    let mut decoder = Decoder {
        nodes: &tree.nodes,
        lines,
        problems: Vec::new(),
        budget: Budget::default(),
        odd_numbers: false,
        other_keys: Vec::new(),
    };
    let value = decoder.value(0)?;
    decoder.problems.append(&mut decoder.other_keys);
    if !decoder.problems.is_empty() {
        return Err(Error::Nodes(decoder.problems));
    }
    match decoder.odd_numbers.then(|| first_odd_number(&value)).flatten() {
        Some(name) => Err(Error::Number(name)),
        None => Ok(value),
    }
}

struct Decoder<'t, 'a> {
    nodes: &'t [Node<'a>],
    /// Lines of the file before the part.
    lines: usize,
    problems: Vec<String>,
    budget: Budget,
    odd_numbers: bool,
    /// Keys that are no texts: kustomize refuses them when it writes JSON.
    other_keys: Vec<String>,
}

impl Decoder<'_, '_> {
    fn line(&self, at: usize) -> usize {
        self.nodes[at].line + 1 + self.lines
    }

    fn children(&self, at: usize) -> Vec<usize> {
        let end = self.nodes[at].end;
        let inside = |child: usize| (child < end).then_some(child);
        std::iter::successors(inside(at + 1), |&child| inside(self.nodes[child].end)).collect()
    }

    fn aliased<T>(&mut self, at: usize, decode: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.budget.open_alias(self.nodes, at)?;
        let decoded = decode(self)?;
        self.budget.close_alias();
        Ok(decoded)
    }

    fn value(&mut self, at: usize) -> Result<Value> {
        self.budget.step()?;
        match self.nodes[at].shape {
            Shape::Scalar(_) => self.scalar(at),
            Shape::Alias(target) => self.aliased(at, |decoder| decoder.value(target)),
            Shape::Sequence => {
                self.budget.enter()?;
                let items = self.children(at).into_iter().map(|item| self.value(item)).collect::<Result<_>>()?;
                self.budget.leave();
                Ok(Value::Array(items))
            }
            Shape::Mapping => {
                let mut map = Map::new();
                self.mapping(at, &mut map, &mut None)?;
                Ok(Value::Object(map))
            }
        }
    }

    /// Decodes a mapping into `map`. `taken` holds the keys that a merged mapping must leave alone, none outside of
    /// merges.
    fn mapping(&mut self, at: usize, map: &mut Map<String, Value>, taken: &mut Option<HashSet<String>>) -> Result<()> {
        self.budget.enter()?;
        let children = self.children(at);
        let problems = self.problems.len();
        self.refuse_doubles(&children);
        if self.problems.len() > problems {
            self.budget.leave();
            return Ok(());
        }
        let mut merged = None;
        let mut names = HashSet::new();
        for pair in children.chunks_exact(2) {
            if is_merge(&self.nodes[pair[0]]) {
                merged = Some(pair[1]);
                continue;
            }
            let Some(name) = self.key(pair[0])? else { continue };
            if taken.as_mut().is_some_and(|taken| !taken.insert(name.clone())) {
                continue;
            }
            names.insert(name.clone());
            let value = self.value(pair[1])?;
            map.insert(name, value);
        }
        if let Some(merged) = merged {
            match taken {
                Some(_) => self.merge(merged, map, taken)?,
                None => self.merge(merged, map, &mut Some(names))?,
            }
        }
        self.budget.leave();
        Ok(())
    }

    /// Notes each key that was there before, in go-yaml's words.
    fn refuse_doubles(&mut self, children: &[usize]) {
        let mut first: HashMap<(std::mem::Discriminant<Shape>, &[u8]), Vec<usize>> = HashMap::new();
        let nodes = self.nodes;
        for pair in children.chunks_exact(2) {
            let node = &nodes[pair[0]];
            let shape = match node.shape {
                Shape::Scalar(_) => Shape::Scalar(Style::Plain),
                shape => shape,
            };
            first.entry((std::mem::discriminant(&shape), &*node.text)).or_default().push(pair[0]);
        }
        if first.len() * 2 == children.len() {
            return;
        }
        let mut doubles: Vec<(usize, usize)> = Vec::new();
        for same in first.into_values() {
            for (i, &earlier) in same.iter().enumerate() {
                doubles.extend(same[i + 1..].iter().map(|&later| (earlier, later)).take(MAX_PROBLEMS));
                if doubles.len() > MAX_PROBLEMS * MAX_PROBLEMS {
                    break;
                }
            }
        }
        doubles.sort_unstable();
        let room = MAX_PROBLEMS.saturating_sub(self.problems.len());
        for (earlier, later) in doubles.into_iter().take(room) {
            let key = quote(&String::from_utf8_lossy(&nodes[later].text));
            let (line, before) = (self.line(later), self.line(earlier));
            self.problems.push(format!("line {line}: mapping key {key} already defined at line {before}"));
        }
    }

    fn key(&mut self, at: usize) -> Result<Option<String>> {
        self.budget.step()?;
        match self.nodes[at].shape {
            Shape::Alias(target) => self.aliased(at, |decoder| decoder.key(target)),
            Shape::Scalar(_) => {
                let (scalar, bytes) = typed(&self.nodes[at], Dialect::V3)?;
                self.budget.text(bytes.len())?;
                let name = replace_invalid(bytes.into_owned());
                if scalar != Scalar::Str {
                    self.other_key(at, &format!("{} is not a text", quote(&name)));
                }
                Ok(Some(name))
            }
            Shape::Sequence | Shape::Mapping => {
                self.value(at)?;
                self.other_key(at, "is a mapping or a list");
                Ok(None)
            }
        }
    }

    fn other_key(&mut self, at: usize, problem: &str) {
        if self.other_keys.len() < MAX_PROBLEMS {
            self.other_keys.push(format!("line {}: mapping key {problem}", self.line(at)));
        }
    }

    fn merge(&mut self, at: usize, map: &mut Map<String, Value>, taken: &mut Option<HashSet<String>>) -> Result<()> {
        let items = match self.nodes[at].shape {
            Shape::Sequence => self.children(at),
            _ => vec![at],
        };
        for item in items {
            self.budget.step()?;
            match self.nodes[item].shape {
                Shape::Mapping => self.mapping(item, map, taken)?,
                Shape::Alias(target) if self.nodes[target].shape == Shape::Mapping => {
                    self.aliased(item, |decoder| {
                        decoder.budget.step()?;
                        decoder.mapping(target, map, taken)
                    })?;
                }
                _ => return Err(Error::unplaced(MERGE_PROBLEM)),
            }
        }
        Ok(())
    }

    fn scalar(&mut self, at: usize) -> Result<Value> {
        let (scalar, bytes) = typed(&self.nodes[at], Dialect::V3)?;
        Ok(match scalar {
            Scalar::Null => Value::Null,
            Scalar::Bool(b) => Value::Bool(b),
            Scalar::Int(n) => Value::Number(n.into()),
            Scalar::Uint(n) => Value::Number(n.into()),
            Scalar::Float(n) => number(n).unwrap_or_else(|| {
                self.odd_numbers = true;
                odd_number(n)
            }),
            Scalar::Timestamp => {
                let text = Timestamp::parse(&bytes).and_then(|timestamp| timestamp.json());
                let line = self.line(at);
                Value::String(text.ok_or_else(|| Error::at(line, "timezone hour outside of range [0,23]"))?)
            }
            Scalar::Str => {
                self.budget.text(bytes.len())?;
                Value::String(replace_invalid(bytes.into_owned()))
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read_all(text: &str) -> Vec<(usize, usize, std::result::Result<Value, String>)> {
        let manifests = manifests(text.as_bytes());
        manifests.into_iter().map(|m| (m.number, m.line, m.value.map_err(|e| e.to_string()))).collect()
    }

    #[test]
    fn documents_are_numbered_and_know_their_lines() {
        let text = "# head\n---\na: 1\n--- # next\n\nb: yes\n---\n---\nc: 2001-12-14\n";
        let expected = [
            (2, 3, Ok(json!({"a": 1}))),
            (3, 6, Ok(json!({"b": "yes"}))),
            (4, 9, Ok(json!({"c": "2001-12-14T00:00:00Z"}))),
        ];
        assert_eq!(read_all(text), expected);
    }

    #[test]
    fn a_broken_document_does_not_hide_the_others() {
        let text = "a: 1\n---\nb: c: d\n---\nc: 1\nc: 2\n---\nd: 4\n";
        let expected = [
            (1, 1, Ok(json!({"a": 1}))),
            (2, 3, Err("yaml: mapping values are not allowed in this context".to_owned())),
            (3, 5, Err("yaml: unmarshal errors:\n  line 6: mapping key \"c\" already defined at line 5".to_owned())),
            (4, 8, Ok(json!({"d": 4}))),
        ];
        assert_eq!(read_all(text), expected);
    }

    #[test]
    fn a_separator_with_content_is_named() {
        let found = read_all("a: 1\n--- b: 2\nc: 3\n");
        assert_eq!(found[1].2, Err("yaml: line 2: invalid document separator: --- b: 2".to_owned()));
    }

    #[test]
    fn keys_beside_a_merge_win_and_the_first_merged_mapping_counts() {
        let text = "x: &x {a: 1, b: 1}\ny: &y {b: 2, c: 2}\nz:\n  c: 3\n  <<: [*x, *y]\n";
        assert_eq!(read_all(text)[0].2.clone().unwrap()["z"], json!({"a": 1, "b": 1, "c": 3}));
    }

    #[test]
    fn keys_that_are_no_texts_are_refused() {
        let found = read_all("a:\n  1: b\n");
        assert_eq!(found[0].2, Err("yaml: unmarshal errors:\n  line 2: mapping key \"1\" is not a text".to_owned()));
    }
}
