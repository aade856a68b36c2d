//! The daemon's reader of a Helm repository's index, taken in as it is: as a dependency it would bring the whole daemon.
#![allow(dead_code, reason = "a target uses a part of each module")]

#[path = "../../../src/source/archive.rs"]
mod archive;
#[path = "../../../src/source/index.rs"]
pub mod index;
#[path = "../../../src/source/version.rs"]
mod version;
