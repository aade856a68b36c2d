//! The program's entry: allocator, TLS provider, arguments, exit code; nothing else.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What is freed goes back to the system at once, and not only when something is allocated after a while: the daemon is at
/// rest for most of its life. `mi_option_purge_delay` of mimalloc.h.
const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;
// The option after it in that list, which has a name here.
const _: () = assert!(PURGE_DELAY + 1 == libmimalloc_sys::mi_option_use_numa_nodes);

fn main() -> ExitCode {
    // SAFETY: it stores a number in a table of options, and no other thread runs yet.
    #[expect(unsafe_code, reason = "the allocator's options are set by a C function")]
    unsafe {
        libmimalloc_sys::mi_option_set(PURGE_DELAY, 0);
    }
    // Fails only where a provider is installed already, which nobody did.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    bowline::cli::main()
}
