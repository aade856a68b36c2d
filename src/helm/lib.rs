//! Helm's engine: chart, values and capabilities to manifests, hooks and notes.

pub mod chart;
pub mod functions;
pub mod hook;
pub mod json;
pub mod manifest;
pub mod notice;
pub mod post_render;
pub mod quote;
pub mod random;
pub mod release;
pub mod release_name;
pub mod render;
pub mod runes;
pub mod schema;
pub mod semver;
pub mod strvals;
pub mod template;
pub mod value;
pub mod yaml;
