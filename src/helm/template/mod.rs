//! Go's text/template, as Helm uses it.

mod error;

pub use error::ExecError;
