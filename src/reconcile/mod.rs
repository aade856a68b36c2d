//! The shell that every controller shares, and one folder a kind.
//!
//! A controller is `observe -> decide -> act -> report`: `observe` reads, `decide` is a pure function on what was read,
//! `act` does one thing, `report` makes the status that the shell writes once on every way out.

pub mod backoff;
pub mod corrections;
pub mod environment;
pub mod expressions;
mod merge;
pub mod release;
pub mod shell;
pub mod source;
pub mod watched;
