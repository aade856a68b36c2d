//! Go's text/template, as Helm uses it: parsed into a resolved tree once, executed many times.
//!
//! `lex` and `parse` make the tree of `node`, in which `callee` has resolved functions and `number` literals. `exec` walks
//! it, `eval` evaluates pipelines and checks arguments against Go's types, `include` runs templates from templates. Errors
//! carry Go's chain of positions; `error` lays it out as Helm does.

mod builtins;
mod callee;
mod compare;
mod error;
mod escape;
mod eval;
mod exec;
mod helm;
mod include;
mod lex;
mod limits;
mod node;
mod number;
mod operand;
mod parse;
mod printf;
mod program;
#[cfg(test)]
mod tests;
mod values;

pub use error::{Error, ExecError};
pub use limits::{MAX_INCLUDES, MAX_OUTPUT, MAX_STEPS, MAX_TEMPLATE_DEPTH, MAX_TPL_DEPTH};
pub use printf::{sprint, sprintf};
pub use program::{Program, Session};
