//! `bowline run` as a child process.

use std::{
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
    time::Duration,
};

use super::{Cluster, git::GitServer, process::Process};

/// The daemon, how it was started, and the process that is running.
pub struct Daemon {
    kubeconfig: PathBuf,
    args: Vec<String>,
    process: Option<Process>,
}

impl Daemon {
    /// A daemon that will work as Bowline's own user.
    pub fn on(cluster: &Cluster) -> Self {
        Self::with_kubeconfig(cluster.bowline_kubeconfig())
    }

    pub fn with_kubeconfig(kubeconfig: &Path) -> Self {
        let args = ["--metrics-addr=127.0.0.1:0", "--health-addr=127.0.0.1:0", "--storage-addr=127.0.0.1:0"];
        Self { kubeconfig: kubeconfig.to_owned(), args: args.map(str::to_owned).to_vec(), process: None }
    }

    /// Adds flags.
    pub fn args(mut self, args: &[&str]) -> Self {
        self.args.extend(args.iter().map(|&arg| arg.to_owned()));
        self
    }

    /// Reads an environment's folder from a Git server, with our CRDs put in place first.
    pub fn environment(self, git: &GitServer, environment: &str) -> Self {
        self.args(&["--install-crds", "--git-url", &git.url(), "--environment", environment])
    }

    /// Starts it, or starts it again.
    pub fn start(&mut self) {
        let mut command = Command::new(bowline());
        command.arg("run").args(&self.args).arg("--kubeconfig").arg(&self.kubeconfig);
        for name in ["KUBECONFIG", "ENVIRONMENT", "RUNTIME_NAMESPACE"] {
            command.env_remove(name);
        }
        self.process = Some(Process::start("bowline", &command));
    }

    /// Starts it and gives it away, for tests that start it once.
    pub fn started(mut self) -> Self {
        self.start();
        self
    }

    pub fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("the daemon has been started")
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.process().kill();
    }

    /// SIGTERM, and waits for the graceful end.
    pub async fn terminate(&mut self) -> ExitStatus {
        self.process().terminate(Duration::from_secs(40)).await
    }

    /// What it has logged since it was started last.
    pub fn log(&self) -> String {
        self.process.as_ref().map(Process::output).unwrap_or_default()
    }
}

/// The program as it was built with these tests; for the demo, which is no test, it lies one folder up.
fn bowline() -> PathBuf {
    option_env!("CARGO_BIN_EXE_bowline").map_or_else(
        || {
            let demo = std::env::current_exe().expect("this program has a path");
            demo.parent().and_then(Path::parent).expect("it is in a folder of the build's").join("bowline")
        },
        PathBuf::from,
    )
}
