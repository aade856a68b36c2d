//! The command line: one file a subcommand.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::source::git;

pub mod crds;
pub mod run;
pub mod template;

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
    /// Renders a chart's templates locally and displays the output, as `helm template` does.
    Template(Box<template::Args>),
}

/// Reads the arguments and runs the subcommand that they name.
pub fn main() -> ExitCode {
    let bowline = Bowline::try_parse().unwrap_or_else(|error| exit_for(&error));
    match bowline.command {
        Command::Crds(args) => crds::run(&args),
        Command::GitFetch => git::child::main(),
        Command::Run(args) => run::run(*args),
        Command::Template(args) => template::run(*args),
    }
}

/// Says what is wrong with the arguments and exits; for `template` in Helm's words.
fn exit_for(error: &clap::Error) -> ! {
    let arguments: Vec<String> = std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    if arguments.get(1).is_some_and(|name| name == "template")
        && let Some(text) = template::flag_error(error, &arguments)
    {
        eprintln!("Error: {text}");
        std::process::exit(1);
    }
    error.exit()
}
