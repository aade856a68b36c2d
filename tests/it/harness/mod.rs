//! What the tests here stand on: control planes, servers that sources are read from, `bowline` as a child process, and ways
//! to wait for what a cluster becomes.
//!
//! Nothing is skipped: where a program is missing, the test that needs it fails and says how to get it.

pub mod audit;
pub mod cluster;
pub mod daemon;
pub mod faulty_proxy;
pub mod git;
pub mod helm_repository;
pub mod http;
pub mod objects;
pub mod process;
pub mod programs;
pub mod proxy;
pub mod registry;
pub mod ssh;
pub mod tls;

pub use cluster::Cluster;
