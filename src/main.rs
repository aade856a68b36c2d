//! The program's entry: allocator, TLS provider, arguments, exit code; nothing else.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Fails only where a provider is installed already, which nobody did.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    bowline::cli::main()
}
