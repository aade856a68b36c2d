//! What a render may use. Go has few of these bounds; a chart that meets one would run for minutes or end the process.

/// How many bytes one render may write, over all its files and what it includes.
pub const MAX_OUTPUT: usize = 256 << 20;

/// How many nodes and calls one render may execute.
pub const MAX_STEPS: u64 = 50_000_000;

/// How deep `{{template}}` may nest: Go's own bound.
pub const MAX_TEMPLATE_DEPTH: usize = 100_000;

/// How often one name may be included within itself: Helm's own bound.
pub const MAX_INCLUDES: usize = 1000;

/// How deep `tpl` may nest.
pub const MAX_TPL_DEPTH: usize = 500;

/// How many texts of `tpl`, and how many bytes of them, one program keeps parsed.
pub(super) const MAX_CACHED_TEXTS: usize = 4096;
pub(super) const MAX_CACHED_BYTES: usize = 4 << 20;

/// When less stack than this is left, [`STACK`] more is taken from the heap.
pub(super) const RED_ZONE: usize = 128 << 10;
pub(super) const STACK: usize = 4 << 20;
