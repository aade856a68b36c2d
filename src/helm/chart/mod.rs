//! Charts: loading, dependencies, values, schema and capabilities.

pub mod values;
