//! The parser of Go's text/template.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use smallvec::SmallVec;

use super::callee::Callee;
use super::lex::{Kind, Lexer, Token};
use super::limits::{RED_ZONE, STACK};
use super::node::{
    Branch, Chain, Command, Expr, NameId, Node, Pipe, Pos, Site, Source, Template, TemplateCall, Variable,
};
use super::number;
use crate::value::Str;
use crate::value::quote::unquote;

/// How deep parenthesised pipelines and blocks may nest.
pub(super) const MAX_NESTING: usize = 10_000;

/// A template that does not parse: Go's text, `template: name:line: message`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("template: {name}:{line}: {message}")]
pub struct ParseError {
    pub name: String,
    pub line: usize,
    pub message: String,
}

/// The names in templates: each is in memory once, however often it occurs.
#[derive(Default)]
pub(super) struct Words(HashSet<Str>);

impl Words {
    fn get(&mut self, text: &[u8]) -> Str {
        if let Some(known) = self.0.get(text) {
            return known.clone();
        }
        let word = Str::from(text);
        self.0.insert(word.clone());
        word
    }
}

/// Parses one file: the template of its own name last, those that it defines before it.
pub(super) fn parse(name: &Str, text: &Str, words: &mut Words) -> Result<Vec<Arc<Template>>, ParseError> {
    let source = Arc::new(Source { name: name.clone(), text: text.clone() });
    let mut parser = Parser {
        name,
        lexer: Lexer::new(text),
        words,
        tokens: [const { None }; 3],
        ahead: 0,
        sites: 0,
        names: HashMap::from([(Str::from("$"), 0)]),
        source,
        templates: Vec::new(),
        tree: Tree::default(),
    };
    let root = parser.file()?;
    parser.add(name.clone(), root)?;
    Ok(parser.templates)
}

/// What ends a list of nodes.
enum End {
    End,
    Else,
}

/// What is known while one template is parsed.
struct Tree {
    /// The variables in scope, by number of their names.
    vars: Vec<NameId>,
    /// The line of the delimiter that opened the action at hand.
    action_line: usize,
    range_depth: usize,
    nesting: usize,
}

impl Default for Tree {
    fn default() -> Self {
        Self { vars: vec![0], action_line: 0, range_depth: 0, nesting: 0 }
    }
}

struct Parser<'a> {
    name: &'a Str,
    lexer: Lexer<'a>,
    words: &'a mut Words,
    /// Go's three-token window; the zeroth decides the line of errors.
    tokens: [Option<Token<'a>>; 3],
    ahead: usize,
    sites: Site,
    names: HashMap<Str, NameId>,
    source: Arc<Source>,
    templates: Vec<Arc<Template>>,
    tree: Tree,
}

type Result<T, E = ParseError> = std::result::Result<T, E>;

impl<'a> Parser<'a> {
    fn next(&mut self) -> Token<'a> {
        if self.ahead > 0 {
            self.ahead -= 1;
        } else {
            self.tokens[0] = Some(self.lexer.next_token());
        }
        self.token(self.ahead)
    }

    fn token(&self, at: usize) -> Token<'a> {
        self.tokens[at].clone().unwrap_or(Token { kind: Kind::Eof, pos: 0, text: b"EOF".into(), line: 0 })
    }

    fn backup(&mut self) {
        self.ahead += 1;
    }

    fn backup2(&mut self, token: Token<'a>) {
        self.tokens[1] = Some(token);
        self.ahead = 2;
    }

    fn backup3(&mut self, first: Token<'a>, second: Token<'a>) {
        self.tokens[1] = Some(second);
        self.tokens[2] = Some(first);
        self.ahead = 3;
    }

    fn peek(&mut self) -> Token<'a> {
        if self.ahead > 0 {
            return self.token(self.ahead - 1);
        }
        self.ahead = 1;
        self.tokens[0] = Some(self.lexer.next_token());
        self.token(0)
    }

    fn next_non_space(&mut self) -> Token<'a> {
        loop {
            let token = self.next();
            if token.kind != Kind::Space {
                return token;
            }
        }
    }

    fn peek_non_space(&mut self) -> Token<'a> {
        let token = self.next_non_space();
        self.backup();
        token
    }

    fn error<T>(&self, message: impl Into<String>) -> Result<T> {
        let line = self.tokens[0].as_ref().map_or(0, |token| token.line);
        Err(ParseError { name: self.name.to_string(), line, message: message.into() })
    }

    fn unexpected<T>(&self, token: &Token<'a>, context: &str) -> Result<T> {
        if token.kind != Kind::Error {
            return self.error(format!("unexpected {token} in {context}"));
        }
        let started = self.tree.action_line;
        if started == 0 || started == token.line {
            return self.error(token.to_string());
        }
        // Go avoids "action in action".
        let in_action = if token.text.ends_with(b" action") { "" } else { " in action" };
        self.error(format!("{token}{in_action} started at {}:{started}", self.name))
    }

    fn expect(&mut self, kind: Kind, context: &str) -> Result<Token<'a>> {
        let token = self.next_non_space();
        if token.kind == kind { Ok(token) } else { self.unexpected(&token, context) }
    }

    fn site(&mut self) -> Site {
        self.sites += 1;
        self.sites
    }

    /// Counts a level of nesting; the caller takes it back.
    fn nest(&mut self) -> Result<()> {
        if self.tree.nesting >= MAX_NESTING {
            return self.error("max expression depth exceeded");
        }
        self.tree.nesting += 1;
        Ok(())
    }

    /// Registers a template, by Go's rules for two of one name in a file.
    fn add(&mut self, name: Str, root: Box<[Node]>) -> Result<()> {
        let empty = is_empty(&root, &self.source.text);
        if let Some(at) = self.templates.iter().position(|template| template.name == name) {
            if !self.templates[at].empty {
                if empty {
                    return Ok(());
                }
                let quoted = crate::value::quote::quoted(&name);
                return self.error(format!("template: multiple definition of template {quoted}"));
            }
            self.templates.remove(at);
        }
        self.templates.push(Arc::new(Template { name, source: Arc::clone(&self.source), root, empty }));
        Ok(())
    }

    /// Parses to the end of the file, definitions apart.
    fn file(&mut self) -> Result<Box<[Node]>> {
        let mut root = Vec::new();
        loop {
            let token = self.peek();
            match token.kind {
                Kind::Eof => return Ok(root.into()),
                Kind::LeftDelim => {
                    self.next();
                    if self.next_non_space().kind == Kind::Define {
                        self.definition()?;
                        continue;
                    }
                    self.backup2(token);
                }
                _ => {}
            }
            match self.text_or_action()? {
                Ok(node) => root.push(node),
                Err(end) => return self.error(format!("unexpected {}", end_text(&end))),
            }
        }
    }

    fn definition(&mut self) -> Result<()> {
        const CONTEXT: &str = "define clause";
        let outer = std::mem::take(&mut self.tree);
        let token = self.next_non_space();
        if !matches!(token.kind, Kind::String | Kind::RawString) {
            return self.unexpected(&token, CONTEXT);
        }
        let name = self.unquote(&token)?;
        self.expect(Kind::RightDelim, CONTEXT)?;
        let root = self.body(CONTEXT)?;
        self.add(name, root)?;
        self.tree = outer;
        Ok(())
    }

    /// Parses the body of a `define` or `block` with its `end`.
    fn body(&mut self, context: &str) -> Result<Box<[Node]>> {
        let (root, end) = self.item_list()?;
        match end {
            End::End => Ok(root),
            End::Else => self.error(format!("unexpected {} in {context}", end_text(&end))),
        }
    }

    fn unquote(&mut self, token: &Token<'a>) -> Result<Str> {
        match unquote(&token.text) {
            Some(text) => Ok(self.words.get(&text)),
            None => self.error("invalid syntax"),
        }
    }

    /// Parses nodes up to an `end` or `else`.
    fn item_list(&mut self) -> Result<(Box<[Node]>, End)> {
        self.nest()?;
        let mut nodes = Vec::new();
        while self.peek_non_space().kind != Kind::Eof {
            match stacker::maybe_grow(RED_ZONE, STACK, || self.text_or_action())? {
                Ok(node) => nodes.push(node),
                Err(end) => {
                    self.tree.nesting -= 1;
                    return Ok((nodes.into(), end));
                }
            }
        }
        self.error("unexpected EOF")
    }

    fn text_or_action(&mut self) -> Result<Result<Node, End>> {
        let token = self.next_non_space();
        match token.kind {
            Kind::Text => Ok(Ok(Node::Text(token.pos..token.pos + token.text.len() as Pos))),
            Kind::LeftDelim => {
                self.tree.action_line = token.line;
                let action = self.action();
                if action.is_ok() {
                    self.tree.action_line = 0;
                }
                action
            }
            _ => self.unexpected(&token, "input"),
        }
    }

    fn action(&mut self) -> Result<Result<Node, End>> {
        let token = self.next_non_space();
        Ok(Ok(match token.kind {
            Kind::Block => self.block()?,
            Kind::Break => self.loop_control("{{break}}", Node::Break)?,
            Kind::Continue => self.loop_control("{{continue}}", Node::Continue)?,
            Kind::Else => {
                if !matches!(self.peek_non_space().kind, Kind::If | Kind::With) {
                    self.expect(Kind::RightDelim, "else")?;
                }
                return Ok(Err(End::Else));
            }
            Kind::End => {
                self.expect(Kind::RightDelim, "end")?;
                return Ok(Err(End::End));
            }
            Kind::If => Node::If(self.branch("if")?),
            Kind::Range => Node::Range(self.branch("range")?),
            Kind::Template => self.template()?,
            Kind::With => Node::With(self.branch("with")?),
            _ => {
                self.backup();
                let pos = self.peek().pos;
                let pipe = self.pipeline("command", Kind::RightDelim)?;
                Node::Action { site: self.site(), pos, pipe }
            }
        }))
    }

    fn loop_control(&mut self, context: &str, node: Node) -> Result<Node> {
        let token = self.next_non_space();
        if token.kind != Kind::RightDelim {
            return self.unexpected(&token, context);
        }
        if self.tree.range_depth == 0 {
            return self.error(format!("{context} outside {{{{range}}}}"));
        }
        Ok(node)
    }

    fn branch(&mut self, context: &'static str) -> Result<Box<Branch>> {
        let vars = self.tree.vars.len();
        let pipe = self.pipeline(context, Kind::RightDelim)?;
        let in_range = usize::from(context == "range");
        self.tree.range_depth += in_range;
        let (list, end) = self.item_list()?;
        self.tree.range_depth -= in_range;
        let mut else_list = None;
        if matches!(end, End::Else) {
            let chained = matches!((context, self.peek().kind), ("if", Kind::If) | ("with", Kind::With));
            if chained {
                // `else if` is an if within the else that shares the end.
                self.next();
                self.nest()?;
                let branch = stacker::maybe_grow(RED_ZONE, STACK, || self.branch(context))?;
                self.tree.nesting -= 1;
                else_list = Some([if context == "if" { Node::If(branch) } else { Node::With(branch) }].into());
            } else {
                let (list, end) = self.item_list()?;
                if matches!(end, End::Else) {
                    return self.error(format!("expected end; found {}", end_text(&end)));
                }
                else_list = Some(list);
            }
        }
        self.tree.vars.truncate(vars);
        Ok(Box::new(Branch { pipe, list, else_list }))
    }

    fn template_name(&mut self, token: &Token<'a>, context: &str) -> Result<Str> {
        match token.kind {
            Kind::String | Kind::RawString => self.unquote(token),
            _ => self.unexpected(token, context),
        }
    }

    fn block(&mut self) -> Result<Node> {
        const CONTEXT: &str = "block clause";
        let token = self.next_non_space();
        let name = self.template_name(&token, CONTEXT)?;
        let pipe = self.pipeline(CONTEXT, Kind::RightDelim)?;
        let outer = std::mem::take(&mut self.tree);
        self.tree.nesting = outer.nesting;
        let root = self.body(CONTEXT)?;
        self.add(name.clone(), root)?;
        self.tree = outer;
        Ok(Node::Template(Box::new(TemplateCall { site: self.site(), pos: token.pos, name, pipe: Some(pipe) })))
    }

    fn template(&mut self) -> Result<Node> {
        const CONTEXT: &str = "template clause";
        let token = self.next_non_space();
        let name = self.template_name(&token, CONTEXT)?;
        let mut pipe = None;
        if self.next_non_space().kind != Kind::RightDelim {
            self.backup();
            pipe = Some(self.pipeline(CONTEXT, Kind::RightDelim)?);
        }
        Ok(Node::Template(Box::new(TemplateCall { site: self.site(), pos: token.pos, name, pipe })))
    }

    fn pipeline(&mut self, context: &str, end: Kind) -> Result<Pipe> {
        let pos = self.peek_non_space().pos;
        let site = self.site();
        let mut decl = Vec::new();
        let assign = self.declarations(&mut decl, context)?;
        let mut commands = SmallVec::<[Command; 2]>::new();
        loop {
            let token = self.next_non_space();
            if token.kind == end {
                self.check_pipeline(&commands, context)?;
                let commands = commands.into_boxed_slice();
                return Ok(Pipe { site, pos, assign, decl: decl.into(), commands });
            }
            match token.kind {
                Kind::Bool
                | Kind::CharConstant
                | Kind::Complex
                | Kind::Dot
                | Kind::Field
                | Kind::Identifier
                | Kind::Number
                | Kind::Nil
                | Kind::RawString
                | Kind::String
                | Kind::Variable
                | Kind::LeftParen => {
                    self.backup();
                    let command = self.command()?;
                    commands.push(command);
                }
                _ => return self.unexpected(&token, context),
            }
        }
    }

    /// Parses the variables of a pipeline; tells whether they are assigned, not declared.
    fn declarations(&mut self, decl: &mut Vec<Variable>, context: &str) -> Result<bool> {
        loop {
            let variable = self.peek_non_space();
            if variable.kind != Kind::Variable {
                return Ok(false);
            }
            self.next();
            // In `$x foo` the token after the space decides, so both may have to be pushed back.
            let after = self.peek();
            let next = self.peek_non_space();
            match next.kind {
                Kind::Assign | Kind::Declare => {
                    self.next_non_space();
                    self.declare(decl, &variable);
                    return Ok(next.kind == Kind::Assign);
                }
                Kind::Char if next.text.as_ref() == b"," => {
                    self.next_non_space();
                    self.declare(decl, &variable);
                    if context == "range" && decl.len() < 2 {
                        match self.peek_non_space().kind {
                            Kind::Variable | Kind::RightDelim | Kind::RightParen => continue,
                            _ => return self.error("range can only initialize variables"),
                        }
                    }
                    return self.error(format!("too many declarations in {context}"));
                }
                _ if after.kind == Kind::Space => self.backup3(variable, after),
                _ => self.backup2(variable),
            }
            return Ok(false);
        }
    }

    fn declare(&mut self, decl: &mut Vec<Variable>, token: &Token<'a>) {
        let variable = self.variable(token.pos, &token.text);
        self.tree.vars.push(variable.id);
        decl.push(variable);
    }

    fn check_pipeline(&self, commands: &[Command], context: &str) -> Result<()> {
        if commands.is_empty() {
            return self.error(format!("missing value for {context}"));
        }
        for (at, command) in commands.iter().enumerate().skip(1) {
            let literal = matches!(
                command.args[0],
                Expr::Bool { .. } | Expr::Dot { .. } | Expr::Nil { .. } | Expr::Number(_) | Expr::String { .. }
            );
            if literal {
                return self.error(format!("non executable command in pipeline stage {}", at + 1));
            }
        }
        Ok(())
    }

    fn command(&mut self) -> Result<Command> {
        let pos = self.peek_non_space().pos;
        let site = self.site();
        let mut args = SmallVec::<[Expr; 4]>::new();
        loop {
            self.peek_non_space();
            if let Some(operand) = self.operand()? {
                args.push(operand);
            }
            let token = self.next();
            match token.kind {
                Kind::Space => continue,
                Kind::RightDelim | Kind::RightParen => self.backup(),
                Kind::Pipe => {}
                _ => return self.unexpected(&token, "operand"),
            }
            break;
        }
        if args.is_empty() {
            return self.error("empty command");
        }
        Ok(Command { site, pos, args: args.into_boxed_slice() })
    }

    /// Parses a term with the fields after it; `None` when no term comes.
    fn operand(&mut self) -> Result<Option<Expr>> {
        let Some(node) = self.term()? else { return Ok(None) };
        let first = self.peek();
        if first.kind != Kind::Field {
            return Ok(Some(node));
        }
        let mut added = Vec::new();
        while self.peek().kind == Kind::Field {
            let token = self.next();
            added.push(self.words.get(&token.text[1..]));
        }
        let site = self.site();
        // Go gives the joined node the position of the first field that follows.
        let pos = first.pos;
        Ok(Some(match node {
            Expr::Field { fields, .. } => {
                let mut fields = fields.into_vec();
                fields.append(&mut added);
                Expr::Field { site, pos, fields: fields.into() }
            }
            Expr::Variable(variable) => Expr::Variable(Variable { site, pos, fields: added.into(), ..variable }),
            Expr::Bool { .. } | Expr::String { .. } | Expr::Number(_) | Expr::Nil { .. } | Expr::Dot { .. } => {
                let quoted = crate::value::quote::quoted(node.to_string().as_bytes());
                return self.error(format!("unexpected . after term {quoted}"));
            }
            node => Expr::Chain(Box::new(Chain { site, pos, node, fields: added.into() })),
        }))
    }

    fn term(&mut self) -> Result<Option<Expr>> {
        let token = self.next_non_space();
        let pos = token.pos;
        Ok(Some(match token.kind {
            Kind::Identifier => {
                let Some(callee) = Callee::find(&token.text) else {
                    let quoted = crate::value::quote::quoted(&token.text);
                    return self.error(format!("function {quoted} not defined"));
                };
                Expr::Function { site: self.site(), pos, callee }
            }
            Kind::Dot => Expr::Dot { site: self.site(), pos },
            Kind::Nil => Expr::Nil { site: self.site(), pos },
            Kind::Variable => {
                let variable = self.variable(pos, &token.text);
                if !self.tree.vars.contains(&variable.id) {
                    let quoted = crate::value::quote::quoted(&variable.name);
                    return self.error(format!("undefined variable {quoted}"));
                }
                Expr::Variable(variable)
            }
            Kind::Field => Expr::Field { site: self.site(), pos, fields: [self.words.get(&token.text[1..])].into() },
            Kind::Bool => Expr::Bool { site: self.site(), pos, value: token.text.as_ref() == b"true" },
            Kind::CharConstant | Kind::Complex | Kind::Number => {
                let site = self.site();
                match number::read(site, pos, &token.text, token.kind) {
                    Ok(number) => Expr::Number(Box::new(number)),
                    Err(message) => return self.error(message),
                }
            }
            Kind::LeftParen => {
                self.nest()?;
                let pipe =
                    stacker::maybe_grow(RED_ZONE, STACK, || self.pipeline("parenthesized pipeline", Kind::RightParen))?;
                self.tree.nesting -= 1;
                Expr::Pipe(Box::new(pipe))
            }
            Kind::String | Kind::RawString => {
                let text = self.unquote(&token)?;
                let plain = token.kind == Kind::String && token.text[1..token.text.len() - 1] == *text;
                let quoted = (!plain).then(|| Str::from(token.text.as_ref()));
                Expr::String { site: self.site(), pos, quoted, text }
            }
            _ => {
                self.backup();
                return Ok(None);
            }
        }))
    }

    /// Makes a variable of a token, whose text has the dollar sign and no fields.
    fn variable(&mut self, pos: Pos, text: &[u8]) -> Variable {
        let next = self.names.len() as NameId;
        let name = self.words.get(text);
        let id = *self.names.entry(name.clone()).or_insert(next);
        Variable { site: self.site(), pos, name, id, fields: Box::default() }
    }
}

fn end_text(end: &End) -> &'static str {
    match end {
        End::End => "{{end}}",
        End::Else => "{{else}}",
    }
}

/// Tells whether nothing but blank space is there.
fn is_empty(nodes: &[Node], source: &[u8]) -> bool {
    nodes.iter().all(|node| match node {
        Node::Text(range) => {
            String::from_utf8_lossy(&source[range.start as usize..range.end as usize]).trim().is_empty()
        }
        _ => false,
    })
}
