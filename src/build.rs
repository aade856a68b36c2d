//! How the program is linked.

use std::env;

/// Links the program to stand at a fixed address on Linux, as Go's programs do. It then starts without the relocation of its
/// tables of pointers, which would take 3 MB of its file, write to 600 pages and take more than half of the time of a start.
/// A static program (musl) is linked so by `-C relocation-model=static`, since its start-up code differs.
#[expect(clippy::disallowed_methods, reason = "what Cargo tells of the target it tells by the environment")]
fn main() {
    println!("cargo:rerun-if-changed=src/build.rs");
    let has = |name: &str, value: &str| env::var(name).is_ok_and(|values| values.split(',').any(|one| one == value));
    let is_static = has("CARGO_CFG_TARGET_FEATURE", "crt-static");
    if has("CARGO_CFG_TARGET_OS", "linux") && has("CARGO_CFG_TARGET_ENV", "gnu") && !is_static {
        println!("cargo:rustc-link-arg-bin=bowline=-no-pie");
    }
}
