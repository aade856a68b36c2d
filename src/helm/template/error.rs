//! Errors of templates: Go's chain of positions, and Helm's layout of it.

use std::fmt;

use super::helm::{WARN_END, WARN_START};
use super::parse::ParseError;
use crate::functions::Failure;
use crate::value::quote::quoted;

/// An error while a template ran: Go's `template.ExecError`.
#[derive(Debug)]
pub struct ExecError {
    /// `file:line:column` of the node.
    pub location: String,
    /// The name of the template that ran.
    pub template: String,
    /// The node as Go prints it.
    pub context: String,
    /// What happened; the text of `source` follows it.
    pub message: String,
    /// The error of a function, which Go wraps.
    pub source: Option<Failure>,
}

impl fmt::Display for ExecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { location, template, context, message, source } = self;
        write!(f, "template: {location}: executing {} at <{context}>: {message}", quoted(template.as_bytes()))?;
        source.as_ref().map_or(Ok(()), |source| write!(f, "{source}"))
    }
}

/// Why a chart's templates could not be compiled or rendered, in Helm's words.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file that does not parse.
    #[error("{0}")]
    Parse(String),
    /// A file whose execution failed.
    #[error("{0}")]
    Render(String),
}

impl Error {
    /// Words a parse error as Helm does: the last part of Go's text.
    pub(super) fn parse(error: &ParseError) -> Self {
        let text = error.to_string();
        let mut parts = text.split(": ").skip(1);
        let location = parts.next().unwrap_or_default();
        let message = text.rsplit(": ").next().unwrap_or_default();
        Self::Parse(format!("parse error at ({location}): {message}"))
    }

    /// Words the failure of a file as Helm does.
    pub(super) fn render(file: &str, failure: &Failure) -> Self {
        let text = failure.to_string();
        if !matches!(failure, Failure::Exec(_)) {
            return Self::Render(text);
        }
        let mut parts = text.splitn(3, ": ").skip(1);
        let (Some(location), Some(rest)) = (parts.next(), parts.next()) else {
            return Self::Render(format!("execution error in ({file}): {text}"));
        };
        if let Some((_, after)) = rest.split_once(WARN_START)
            && let Some((message, _)) = after.rsplit_once(WARN_END)
        {
            return Self::Render(format!("execution error at ({location}): {message}"));
        }
        Self::Render(trace(failure).unwrap_or(text))
    }
}

/// One level of an error as Helm lays it out.
#[derive(PartialEq)]
struct Level {
    location: String,
    function: String,
    message: String,
}

/// Lays the chain out over lines, or returns `None` when a wrapped error does not read as a template's: Helm then prints
/// the text in one line.
fn trace(failure: &Failure) -> Option<String> {
    let mut levels: Vec<Level> = Vec::new();
    let mut current = Some(failure);
    while let Some(failure) = current {
        let level = level(&failure.to_string())?;
        if levels.last() != Some(&level) {
            levels.push(level);
        }
        current = match failure {
            Failure::Message(_) | Failure::Limit(_) => None,
            Failure::Wrap(_, inner) => Some(inner),
            Failure::Exec(error) => error.source.as_ref(),
        };
    }
    let mut out = String::new();
    for Level { location, function, message } in levels {
        for (text, end) in [(location, "\n  "), (function, "\n    "), (message, "\n")] {
            if !text.is_empty() {
                out.push_str(&text);
                out.push_str(end);
            }
        }
    }
    Some(out.trim().to_owned())
}

/// Takes Go's text of one level apart.
fn level(text: &str) -> Option<Level> {
    let rest = text.strip_prefix("template: ")?;
    if rest.starts_with("no template ") {
        return Some(Level { location: String::new(), function: String::new(), message: text.to_owned() });
    }
    executing(rest).or_else(|| simple(rest))
}

/// Reads `location: executing "name" at <context>: message`.
fn executing(rest: &str) -> Option<Level> {
    let (location, after) = rest.split_once(": executing ")?;
    let (function, after) = after.strip_prefix('"')?.split_once('"')?;
    let (context, message) = after.strip_prefix(" at <")?.split_once(">: ")?;
    Some(Level {
        location: location.to_owned(),
        function: format!("executing \"{function}\" at <{context}>:"),
        message: own_part(message),
    })
}

/// Reads `location: message`.
fn simple(rest: &str) -> Option<Level> {
    let (location, message) = rest.rsplit_once(": ")?;
    Some(Level { location: location.to_owned(), function: String::new(), message: own_part(message) })
}

/// Cuts the text of the wrapped error off.
fn own_part(message: &str) -> String {
    message.split(" template:").next().unwrap_or_default().to_owned()
}
