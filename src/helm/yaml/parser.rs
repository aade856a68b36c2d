//! From tokens to a tree of nodes, by libyaml's grammar.

use std::borrow::Cow;
use std::collections::HashMap;

use super::error::Error;
use super::reader::Input;
use super::scanner::{Kind, Mark, Result, Scanner, Style, Token};
use super::{Dialect, MAX_DEPTH};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Scalar(Style),
    Sequence,
    Mapping,
    /// Stands for the node at the index.
    Alias(usize),
}

#[derive(Debug)]
pub(super) struct Node<'a> {
    pub(super) shape: Shape,
    /// Line of the node's first token, from 0.
    pub(super) line: usize,
    /// Index of the first node behind this one and all it holds.
    pub(super) end: usize,
    /// Whether a scalar is plain, so that its text decides its type.
    pub(super) plain: bool,
    pub(super) tag: Option<Box<str>>,
    /// A scalar's text, an alias' name.
    pub(super) text: Cow<'a, [u8]>,
}

/// A node's anchor and tag.
type Properties<'a> = (Option<&'a [u8]>, Option<Box<str>>);

/// One document's nodes: each node is followed by what it holds, a mapping by keys and values in turn.
#[derive(Debug)]
pub(super) struct Tree<'a> {
    pub(super) nodes: Vec<Node<'a>>,
    /// Line of the document's first token, from 0.
    pub(super) line: usize,
}

const DEFAULT_TAGS: [(&[u8], &[u8]); 2] = [(b"!", b"!"), (b"!!", b"tag:yaml.org,2002:")];

pub(super) struct Parser<'a> {
    scanner: Scanner<'a>,
    dialect: Dialect,
    started: bool,
    tags: Vec<(Vec<u8>, Vec<u8>)>,
    anchors: HashMap<&'a [u8], usize>,
    nodes: Vec<Node<'a>>,
    depth: usize,
}

impl<'a> Parser<'a> {
    pub(super) fn new(input: &'a Input<'_>, dialect: Dialect) -> Self {
        Parser {
            scanner: Scanner::new(input, dialect),
            dialect,
            started: false,
            tags: Vec::new(),
            anchors: HashMap::new(),
            nodes: Vec::new(),
            depth: 0,
        }
    }

    /// An error at `place`, found while parsing what started at `context`; go-yaml counts both from 0.
    fn error<T>(&self, context: Option<Mark>, place: Mark, problem: &'static str) -> Result<T> {
        let context = context.map_or(0, |c| c.line);
        let line = match (self.dialect, context, place.line) {
            (Dialect::V2, context, 0) => context,
            (Dialect::V3, 0, line) | (Dialect::V2, _, line) => line,
            (Dialect::V3, context, _) => context,
        };
        Err(Error::at(line, problem))
    }

    fn take(&mut self) -> Option<Token<'a>> {
        self.scanner.take()
    }

    /// Takes the token that was seen and gives its place and that of the next.
    fn step(&mut self) -> Result<(Mark, &Token<'a>)> {
        let end = self.take().map_or(Mark::default(), |t| t.end);
        Ok((end, self.scanner.peek()?))
    }

    /// The next document, none at the end of the text.
    pub(super) fn document(&mut self) -> Result<Option<Tree<'a>>> {
        let first = !self.started;
        if first {
            self.scanner.peek()?;
            self.take();
            self.started = true;
        } else {
            while self.scanner.peek()?.kind == Kind::DocumentEnd {
                self.take();
            }
        }
        if self.dialect == Dialect::V2 {
            self.anchors.clear();
        }
        let Token { kind, start, .. } = self.scanner.peek()?;
        let start = *start;
        if *kind == Kind::StreamEnd {
            return Ok(None);
        }
        if first && !matches!(kind, Kind::Version { .. } | Kind::TagDirective { .. } | Kind::DocumentStart) {
            self.directives()?;
            self.node(true, false)?;
        } else {
            self.directives()?;
            let token = self.scanner.peek()?;
            if token.kind != Kind::DocumentStart {
                let place = token.start;
                return self.error(None, place, "did not find expected <document start>");
            }
            let (_, token) = self.step()?;
            let place = token.start;
            match token.kind {
                Kind::Version { .. }
                | Kind::TagDirective { .. }
                | Kind::DocumentStart
                | Kind::DocumentEnd
                | Kind::StreamEnd => self.empty(place),
                _ => self.node(true, false)?,
            }
        }
        if self.scanner.peek()?.kind == Kind::DocumentEnd {
            self.take();
        }
        self.tags.clear();
        Ok(Some(Tree { nodes: std::mem::take(&mut self.nodes), line: start.line }))
    }

    fn directives(&mut self) -> Result<()> {
        let mut version_seen = false;
        loop {
            let token = self.scanner.peek()?;
            let place = token.start;
            match &token.kind {
                Kind::Version { major, minor } => {
                    let known = (*major, *minor) == (1, 1);
                    if version_seen {
                        return self.error(None, place, "found duplicate %YAML directive");
                    }
                    if !known {
                        return self.error(None, place, "found incompatible YAML document");
                    }
                    version_seen = true;
                }
                Kind::TagDirective { handle, prefix } => {
                    if self.tags.iter().any(|(h, _)| h == handle) {
                        return self.error(None, place, "found duplicate %TAG directive");
                    }
                    self.tags.push((handle.clone(), prefix.clone()));
                }
                _ => break,
            }
            self.take();
        }
        for (handle, prefix) in DEFAULT_TAGS {
            if !self.tags.iter().any(|(h, _)| h == handle) {
                self.tags.push((handle.to_vec(), prefix.to_vec()));
            }
        }
        Ok(())
    }

    fn push(&mut self, shape: Shape, place: Mark) -> usize {
        let at = self.nodes.len();
        self.nodes.push(Node {
            shape,
            line: place.line,
            end: at + 1,
            plain: true,
            tag: None,
            text: Cow::Borrowed(b""),
        });
        at
    }

    /// A node that was left out.
    fn empty(&mut self, place: Mark) {
        self.push(Shape::Scalar(Style::Plain), place);
    }

    fn node(&mut self, block: bool, indentless: bool) -> Result<()> {
        let token = self.scanner.peek()?;
        let start = token.start;
        if let Kind::Alias(name) = token.kind {
            self.take();
            return self.alias(name, start);
        }
        let (anchor, tag) = self.properties(start)?;
        let token = self.scanner.peek()?;
        let place = token.start;
        let shape = match &token.kind {
            Kind::BlockEntry if indentless => Shape::Sequence,
            Kind::Scalar { style, .. } => Shape::Scalar(*style),
            Kind::FlowSequenceStart => Shape::Sequence,
            Kind::FlowMappingStart => Shape::Mapping,
            Kind::BlockSequenceStart if block => Shape::Sequence,
            Kind::BlockMappingStart if block => Shape::Mapping,
            _ if anchor.is_some() || tag.is_some() => {
                let at = self.push(Shape::Scalar(Style::Plain), start);
                self.nodes[at].plain = tag.is_none();
                self.nodes[at].tag = tag;
                self.anchor(anchor, at);
                return Ok(());
            }
            _ => return self.error(Some(start), place, "did not find expected node content"),
        };
        let at = self.push(shape, start);
        self.anchor(anchor, at);
        if let Shape::Scalar(style) = shape {
            let Some(Token { kind: Kind::Scalar { text, .. }, .. }) = self.take() else { return Ok(()) };
            let node = &mut self.nodes[at];
            node.plain = tag.as_deref().map_or(style == Style::Plain, |tag| tag == "!");
            node.text = text;
            node.tag = tag;
            return Ok(());
        }
        self.nodes[at].tag = tag;
        self.collection(at)
    }

    /// Parses what the collection at `at` holds; the next token starts it.
    fn collection(&mut self, at: usize) -> Result<()> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(Error::unplaced(format!("exceeded max depth of {MAX_DEPTH}")));
        }
        match self.scanner.peek()?.kind {
            Kind::BlockEntry => self.indentless_sequence()?,
            Kind::FlowSequenceStart => self.flow_sequence()?,
            Kind::FlowMappingStart => self.flow_mapping()?,
            Kind::BlockSequenceStart => self.block_sequence()?,
            _ => self.block_mapping()?,
        }
        self.depth -= 1;
        self.nodes[at].end = self.nodes.len();
        Ok(())
    }

    fn alias(&mut self, name: &'a [u8], place: Mark) -> Result<()> {
        let Some(&target) = self.anchors.get(name) else {
            let name = String::from_utf8_lossy(name);
            return Err(Error::unplaced(format!("unknown anchor '{name}' referenced")));
        };
        let at = self.push(Shape::Alias(target), place);
        self.nodes[at].text = Cow::Borrowed(name);
        Ok(())
    }

    fn anchor(&mut self, anchor: Option<&'a [u8]>, at: usize) {
        if let Some(name) = anchor {
            self.anchors.insert(name, at);
        }
    }

    /// Takes a node's anchor and tag, in either order.
    fn properties(&mut self, start: Mark) -> Result<Properties<'a>> {
        let (mut anchor, mut tag) = (None, None);
        let mut tag_place = start;
        loop {
            let token = self.scanner.peek()?;
            match &token.kind {
                Kind::Anchor(name) if anchor.is_none() => anchor = Some(*name),
                Kind::Tag { handle, suffix } if tag.is_none() => {
                    tag_place = token.start;
                    tag = Some((handle.clone(), suffix.clone()));
                }
                _ => break,
            }
            self.take();
        }
        let Some((handle, suffix)) = tag else { return Ok((anchor, None)) };
        let mut whole = Vec::new();
        if !handle.is_empty() {
            let prefix = self.tags.iter().find(|(h, _)| *h == handle).map(|(_, prefix)| prefix.as_slice());
            whole.extend_from_slice(prefix.unwrap_or(b""));
            if prefix.is_none() {
                return self.error(Some(start), tag_place, "found undefined tag handle");
            }
        }
        whole.extend_from_slice(&suffix);
        let tag = String::from_utf8_lossy(&whole).into_owned().into_boxed_str();
        Ok((anchor, (!tag.is_empty()).then_some(tag)))
    }

    fn block_sequence(&mut self) -> Result<()> {
        let context = self.take().map(|t| t.start);
        loop {
            let token = self.scanner.peek()?;
            match token.kind {
                Kind::BlockEntry => {
                    let (before, token) = self.step()?;
                    match token.kind {
                        Kind::BlockEntry | Kind::BlockEnd => self.empty(before),
                        _ => self.node(true, false)?,
                    }
                }
                Kind::BlockEnd => {
                    self.take();
                    return Ok(());
                }
                _ => {
                    let place = token.start;
                    return self.error(context, place, "did not find expected '-' indicator");
                }
            }
        }
    }

    fn indentless_sequence(&mut self) -> Result<()> {
        while self.scanner.peek()?.kind == Kind::BlockEntry {
            let (before, token) = self.step()?;
            match token.kind {
                Kind::BlockEntry | Kind::Key | Kind::Value | Kind::BlockEnd => self.empty(before),
                _ => self.node(true, false)?,
            }
        }
        Ok(())
    }

    fn block_mapping(&mut self) -> Result<()> {
        let context = self.take().map(|t| t.start);
        loop {
            let token = self.scanner.peek()?;
            match token.kind {
                Kind::Key => self.block_part()?,
                Kind::BlockEnd => {
                    self.take();
                    return Ok(());
                }
                _ => {
                    let place = token.start;
                    return self.error(context, place, "did not find expected key");
                }
            }
            let token = self.scanner.peek()?;
            let place = token.start;
            if token.kind == Kind::Value {
                self.block_part()?;
            } else {
                self.empty(place);
            }
        }
    }

    /// Takes `?` or `:` and the node behind it, if there is one.
    fn block_part(&mut self) -> Result<()> {
        let (before, token) = self.step()?;
        match token.kind {
            Kind::Key | Kind::Value | Kind::BlockEnd => self.empty(before),
            _ => return self.node(true, true),
        }
        Ok(())
    }

    fn flow_sequence(&mut self) -> Result<()> {
        let context = self.take().map(|t| t.start);
        let mut first = true;
        loop {
            let mut token = self.scanner.peek()?;
            if token.kind != Kind::FlowSequenceEnd && !first {
                if token.kind != Kind::FlowEntry {
                    let place = token.start;
                    return self.error(context, place, "did not find expected ',' or ']'");
                }
                token = self.step()?.1;
            }
            first = false;
            match token.kind {
                Kind::FlowSequenceEnd => {
                    self.take();
                    return Ok(());
                }
                Kind::Key => self.flow_pair()?,
                _ => self.node(false, false)?,
            }
        }
    }

    /// A mapping of one pair without braces.
    fn flow_pair(&mut self) -> Result<()> {
        let place = self.take().map_or(Mark::default(), |t| t.start);
        let at = self.push(Shape::Mapping, place);
        let token = self.scanner.peek()?;
        match token.kind {
            Kind::Value | Kind::FlowEntry | Kind::FlowSequenceEnd => {
                // libyaml drops the token here, so that `[? : a]` is an error.
                let place = token.end;
                self.take();
                self.empty(place);
            }
            _ => self.node(false, false)?,
        }
        self.flow_value(&Kind::FlowSequenceEnd)?;
        self.scanner.peek()?;
        self.nodes[at].end = self.nodes.len();
        Ok(())
    }

    fn flow_mapping(&mut self) -> Result<()> {
        let context = self.take().map(|t| t.start);
        let mut first = true;
        loop {
            let mut token = self.scanner.peek()?;
            if token.kind != Kind::FlowMappingEnd && !first {
                if token.kind != Kind::FlowEntry {
                    let place = token.start;
                    return self.error(context, place, "did not find expected ',' or '}'");
                }
                token = self.step()?.1;
            }
            first = false;
            match token.kind {
                Kind::FlowMappingEnd => {
                    self.take();
                    return Ok(());
                }
                Kind::Key => {
                    let (_, token) = self.step()?;
                    let place = token.start;
                    match token.kind {
                        Kind::Value | Kind::FlowEntry | Kind::FlowMappingEnd => self.empty(place),
                        _ => self.node(false, false)?,
                    }
                    self.flow_value(&Kind::FlowMappingEnd)?;
                }
                _ => {
                    self.node(false, false)?;
                    let place = self.scanner.peek()?.start;
                    self.empty(place);
                }
            }
        }
    }

    /// A value in a flow collection that `end` ends, with its `:`, if there is one.
    fn flow_value(&mut self, end: &Kind<'static>) -> Result<()> {
        let mut token = self.scanner.peek()?;
        if token.kind == Kind::Value {
            token = self.step()?.1;
            if token.kind != Kind::FlowEntry && token.kind != *end {
                return self.node(false, false);
            }
        }
        let place = token.start;
        self.empty(place);
        Ok(())
    }
}
