//! The child process: limits first, then one request from standard input, one answer to standard output.

use std::io::{self, Read, Write};
use std::process::ExitCode;

use rustix::process::{Resource, Rlimit, Signal, set_parent_process_death_signal, setrlimit};

use super::{Failure, Request, Step, fetch};

/// Memory that the child may write to, in bytes. A pack that claims four billion objects ends here.
const MAX_MEMORY: u64 = 1 << 30;
/// Seconds of computing.
const MAX_CPU: u64 = 300;
/// The largest file that it may write.
const MAX_FILE: u64 = 2 << 30;
/// The longest request.
const MAX_REQUEST: u64 = 8 << 20;

/// Serves one request. To be called before anything else is started, threads above all.
pub fn main() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn serve() -> io::Result<()> {
    // Ends with the daemon, however that ends.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    for (resource, limit) in
        [(Resource::Data, MAX_MEMORY), (Resource::Cpu, MAX_CPU), (Resource::Fsize, MAX_FILE), (Resource::Core, 0)]
    {
        setrlimit(resource, Rlimit { current: Some(limit), maximum: Some(limit) })?;
    }
    let mut question = Vec::new();
    io::stdin().lock().take(MAX_REQUEST).read_to_end(&mut question)?;
    let request: Request = serde_json::from_slice(&question)?;
    let outcome = fetch::fetch_in_child(&request)
        .unwrap_or_else(|error| Err(Failure { step: Step::Fetch, message: format!("failed to prepare: {error}") }));
    let answer = serde_json::to_vec(&outcome)?;
    let mut stdout = io::stdout().lock();
    stdout.write_all(&answer)?;
    stdout.flush()
}
