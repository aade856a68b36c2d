//! Helm's engine: chart, values and capabilities to manifests, hooks and notes.

pub mod functions;
pub mod template;
pub mod value;
