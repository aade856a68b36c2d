//! The shell that every controller shares, and one folder a kind.
