//! Helm's engine: chart, values and capabilities to manifests, hooks and notes.
