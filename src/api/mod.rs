//! Wire types as users write them: Flux's groups and versions, conditions, references, durations.
