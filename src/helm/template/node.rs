//! The tree of a parsed template. Functions, literals and names are resolved, so the executor walks it as it is. Compiled
//! charts stay in memory, so it holds no spare capacity, no text twice and each name once.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use super::callee::Callee;
use super::limits::{RED_ZONE, STACK};
use crate::value::{Const, Str};

/// A node's number within its [`Source`]: what errors point at.
pub(super) type Site = u32;

/// The number of a variable's name within its [`Source`].
pub(super) type NameId = u32;

/// The offset of a byte in a [`Source`]. A chart's files and the texts of `tpl` are bounded far below 4 GiB.
pub(super) type Pos = u32;

/// The text that templates were parsed from, with the name that errors show.
#[derive(Debug)]
pub(super) struct Source {
    pub name: Str,
    pub text: Str,
}

/// One named template.
#[derive(Debug)]
pub(super) struct Template {
    pub name: Str,
    pub source: Arc<Source>,
    pub root: Box<[Node]>,
    /// Nothing but blank space: such a template never replaces another.
    pub empty: bool,
}

#[derive(Debug)]
pub(super) enum Node {
    /// Where the text is in the source.
    Text(Range<Pos>),
    Action {
        site: Site,
        pos: Pos,
        pipe: Pipe,
    },
    If(Box<Branch>),
    With(Box<Branch>),
    Range(Box<Branch>),
    Template(Box<TemplateCall>),
    Break,
    Continue,
}

/// An `if`, `with` or `range`.
#[derive(Debug)]
pub(super) struct Branch {
    pub pipe: Pipe,
    pub list: Box<[Node]>,
    pub else_list: Option<Box<[Node]>>,
}

#[derive(Debug)]
pub(super) struct TemplateCall {
    pub site: Site,
    pub pos: Pos,
    pub name: Str,
    pub pipe: Option<Pipe>,
}

#[derive(Debug)]
pub(super) struct Pipe {
    pub site: Site,
    pub pos: Pos,
    /// The variables are assigned, not declared.
    pub assign: bool,
    pub decl: Box<[Variable]>,
    pub commands: Box<[Command]>,
}

#[derive(Debug)]
pub(super) struct Command {
    pub site: Site,
    pub pos: Pos,
    /// At least one: what is called or read, then the arguments.
    pub args: Box<[Expr]>,
}

#[derive(Debug)]
pub(super) struct Variable {
    pub site: Site,
    pub pos: Pos,
    /// With the dollar sign.
    pub name: Str,
    pub id: NameId,
    pub fields: Box<[Str]>,
}

#[derive(Debug)]
pub(super) struct Number {
    pub site: Site,
    pub pos: Pos,
    pub text: Str,
    /// The value under each type that can hold it.
    pub int: Option<i64>,
    pub uint: Option<u64>,
    pub float: Option<f64>,
    pub complex: Option<(f64, f64)>,
    /// What it is where no type is asked for; `None` when it overflows an int.
    pub ideal: Option<Const>,
}

#[derive(Debug)]
pub(super) enum Expr {
    Dot {
        site: Site,
        pos: Pos,
    },
    Nil {
        site: Site,
        pos: Pos,
    },
    Bool {
        site: Site,
        pos: Pos,
        value: bool,
    },
    Number(Box<Number>),
    /// `quoted` is how it is written, unless that is the text between double quotes.
    String {
        site: Site,
        pos: Pos,
        quoted: Option<Str>,
        text: Str,
    },
    Field {
        site: Site,
        pos: Pos,
        fields: Box<[Str]>,
    },
    Variable(Variable),
    Function {
        site: Site,
        pos: Pos,
        callee: Callee,
    },
    Pipe(Box<Pipe>),
    Chain(Box<Chain>),
}

/// Fields of a term that is neither a field nor a variable.
#[derive(Debug)]
pub(super) struct Chain {
    pub site: Site,
    pub pos: Pos,
    pub node: Expr,
    pub fields: Box<[Str]>,
}

// Trees may nest as deep as the parser lets them, so all that recurses over them takes stack from the heap.

impl Drop for Branch {
    fn drop(&mut self) {
        let lists = (std::mem::take(&mut self.list), self.else_list.take());
        stacker::maybe_grow(RED_ZONE, STACK, || drop(lists));
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        let commands = std::mem::take(&mut self.commands);
        stacker::maybe_grow(RED_ZONE, STACK, || drop(commands));
    }
}

impl Expr {
    pub fn site(&self) -> Site {
        match self {
            Self::Dot { site, .. }
            | Self::Nil { site, .. }
            | Self::Bool { site, .. }
            | Self::String { site, .. }
            | Self::Field { site, .. }
            | Self::Function { site, .. } => *site,
            Self::Number(number) => number.site,
            Self::Variable(variable) => variable.site,
            Self::Pipe(pipe) => pipe.site,
            Self::Chain(chain) => chain.site,
        }
    }
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dot { .. } => f.write_str("."),
            Self::Nil { .. } => f.write_str("nil"),
            Self::Bool { value, .. } => write!(f, "{value}"),
            Self::Number(number) => write!(f, "{}", number.text),
            Self::String { quoted: Some(quoted), .. } => write!(f, "{quoted}"),
            Self::String { quoted: None, text, .. } => write!(f, "\"{text}\""),
            Self::Field { fields, .. } => write_fields(f, fields),
            Self::Variable(variable) => write!(f, "{variable}"),
            Self::Function { callee, .. } => f.write_str(callee.name()),
            Self::Pipe(pipe) => write!(f, "{pipe}"),
            Self::Chain(chain) => {
                write_operand(f, &chain.node)?;
                write_fields(f, &chain.fields)
            }
        }
    }
}

fn write_fields(f: &mut fmt::Formatter<'_>, fields: &[Str]) -> fmt::Result {
    fields.iter().try_for_each(|field| write!(f, ".{field}"))
}

/// Prints an operand: a pipeline within a command or chain has parentheses.
fn write_operand(f: &mut fmt::Formatter<'_>, expr: &Expr) -> fmt::Result {
    match expr {
        Expr::Pipe(pipe) => write!(f, "({pipe})"),
        other => write!(f, "{other}"),
    }
}

impl fmt::Display for Variable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name)?;
        write_fields(f, &self.fields)
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, arg) in self.args.iter().enumerate() {
            if at > 0 {
                f.write_str(" ")?;
            }
            write_operand(f, arg)?;
        }
        Ok(())
    }
}

impl fmt::Display for Pipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, variable) in self.decl.iter().enumerate() {
            write!(f, "{}{variable}", if at > 0 { ", " } else { "" })?;
        }
        if !self.decl.is_empty() {
            f.write_str(if self.assign { " = " } else { " := " })?;
        }
        stacker::maybe_grow(RED_ZONE, STACK, || {
            let mut commands = self.commands.iter().enumerate();
            commands.try_for_each(|(at, command)| write!(f, "{}{command}", if at > 0 { " | " } else { "" }))
        })
    }
}

impl fmt::Display for TemplateCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{{template {}", crate::value::quote::quoted(&self.name))?;
        if let Some(pipe) = &self.pipe {
            write!(f, " {pipe}")?;
        }
        f.write_str("}}")
    }
}

/// Finds a node by its number: its position and how Go prints it.
pub(super) fn find(nodes: &[Node], wanted: Site) -> Option<(Pos, String)> {
    stacker::maybe_grow(RED_ZONE, STACK, || nodes.iter().find_map(|node| find_in_node(node, wanted)))
}

fn find_in_node(node: &Node, wanted: Site) -> Option<(Pos, String)> {
    match node {
        Node::Text(_) | Node::Break | Node::Continue => None,
        Node::Action { site, pos, pipe } => {
            if *site == wanted {
                return Some((*pos, format!("{{{{{pipe}}}}}")));
            }
            find_in_pipe(pipe, wanted)
        }
        Node::If(branch) | Node::With(branch) | Node::Range(branch) => find_in_pipe(&branch.pipe, wanted)
            .or_else(|| find(&branch.list, wanted))
            .or_else(|| find(branch.else_list.as_deref().unwrap_or_default(), wanted)),
        Node::Template(call) => {
            if call.site == wanted {
                return Some((call.pos, call.to_string()));
            }
            call.pipe.as_ref().and_then(|pipe| find_in_pipe(pipe, wanted))
        }
    }
}

fn find_in_pipe(pipe: &Pipe, wanted: Site) -> Option<(Pos, String)> {
    if pipe.site == wanted {
        return Some((pipe.pos, pipe.to_string()));
    }
    let in_command = |command: &Command| {
        if command.site == wanted {
            return Some((command.pos, command.to_string()));
        }
        command.args.iter().find_map(|arg| find_in_expr(arg, wanted))
    };
    stacker::maybe_grow(RED_ZONE, STACK, || pipe.commands.iter().find_map(in_command))
}

fn find_in_expr(expr: &Expr, wanted: Site) -> Option<(Pos, String)> {
    let pos = match expr {
        Expr::Pipe(pipe) => return find_in_pipe(pipe, wanted),
        Expr::Chain(chain) if chain.site != wanted => return find_in_expr(&chain.node, wanted),
        _ if expr.site() != wanted => return None,
        Expr::Chain(chain) => chain.pos,
        Expr::Number(number) => number.pos,
        Expr::Variable(variable) => variable.pos,
        Expr::Dot { pos, .. }
        | Expr::Nil { pos, .. }
        | Expr::Bool { pos, .. }
        | Expr::String { pos, .. }
        | Expr::Field { pos, .. }
        | Expr::Function { pos, .. } => *pos,
    };
    Some((pos, expr.to_string()))
}
