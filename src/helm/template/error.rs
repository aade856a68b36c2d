//! Errors of templates: Go's chain of positions, and Helm's layout of it.

use crate::functions::Failure;

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

impl std::fmt::Display for ExecError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { location, template, context, message, source } = self;
        write!(f, "template: {location}: executing {template:?} at <{context}>: {message}")?;
        source.as_ref().map_or(Ok(()), |source| write!(f, "{source}"))
    }
}
