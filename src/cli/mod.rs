//! The command line: one file a subcommand.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::source::git;

pub mod crds;
pub mod run;

/// A GitOps reconciler: Flux's API and Helm's engine in one process.
#[derive(Parser)]
#[command(name = "bowline", version, about, max_term_width = 120)]
struct Bowline {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Writes the custom resource definitions as YAML.
    Crds(crds::Args),
    /// Fetches one Git reference for the process that started it; nothing to run by hand.
    #[command(name = git::SUBCOMMAND, hide = true)]
    GitFetch,
    /// Watches a cluster and reconciles its sources, environments and Helm releases.
    Run(Box<run::Args>),
}

/// Reads the arguments and runs the subcommand that they name.
pub fn main() -> ExitCode {
    match Bowline::parse().command {
        Command::Crds(args) => crds::run(&args),
        Command::GitFetch => git::child::main(),
        Command::Run(args) => run::run(*args),
    }
}
