//! Helm's engine: chart, values and capabilities to manifests, hooks and notes.

pub mod chart;
pub mod functions;
pub mod json;
pub mod quote;
pub mod semver;
pub mod strvals;
pub mod template;
pub mod value;
pub mod yaml;
