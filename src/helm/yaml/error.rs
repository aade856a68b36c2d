//! What can be wrong with a YAML text, in go-yaml's words.

use std::borrow::Cow;

/// Why a text could not be read, or a tree not be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The text breaks YAML's grammar or its decoding rules. The line is the one go-yaml names (counted from 1, for
    /// errors above the scanner one too small); 0 where it names none.
    #[error("yaml: {}{problem}", Place(*line))]
    Syntax {
        /// Line named in the text.
        line: usize,
        /// What is wrong there.
        problem: Cow<'static, str>,
    },
    /// The document is well-formed and some of its nodes are not allowed, one text a node.
    #[error("yaml: unmarshal errors:\n  {}", .0.join("\n  "))]
    Nodes(Vec<String>),
    /// A mapping key that JSON cannot hold.
    #[error("unsupported map key of type: {kind}, key: {key}, value: {value}")]
    Key {
        /// Go's name of the key's type.
        kind: &'static str,
        /// The key in Go's syntax.
        key: String,
        /// The key's value in Go's syntax.
        value: String,
    },
    /// A tree is too large to be written; go-yaml has no such limit.
    #[error("yaml: {0}")]
    Limit(String),
    /// A number that JSON cannot hold.
    #[error("json: unsupported value: {0}")]
    Number(&'static str),
    /// A value that JSON cannot hold, in the words of who found it.
    #[error("{0}")]
    Json(String),
}

impl Error {
    pub(super) fn unplaced(problem: impl Into<Cow<'static, str>>) -> Self {
        Error::Syntax { line: 0, problem: problem.into() }
    }

    pub(super) fn at(line: usize, problem: impl Into<Cow<'static, str>>) -> Self {
        Error::Syntax { line, problem: problem.into() }
    }
}

struct Place(usize);

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0 == 0 { Ok(()) } else { write!(f, "line {}: ", self.0) }
    }
}
