//! sshd for one user and one deploy key.

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use tempfile::TempDir;

use super::{
    git::GitRemote,
    process::Process,
    programs::{must_run, program},
};

/// An SSH server that accepts the key pair in its folder, and nothing else.
pub struct SshServer {
    dir: TempDir,
    port: u16,
    user: String,
    _process: Process,
}

impl SshServer {
    pub async fn start() -> Self {
        let dir = tempfile::tempdir().expect("a folder can be made");
        let path = |name: &str| dir.path().join(name);
        for name in ["host", "deploy"] {
            must_run(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(path(name)));
        }
        // Where sshd run by root drops its rights; the service's unit would make it.
        let _ = fs::create_dir_all("/run/sshd");
        let port = free_port();
        let configuration = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\nStrictModes no\n\
             UsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\n",
            path("host").display(),
            path("deploy.pub").display()
        );
        fs::write(path("sshd_config"), configuration).expect("a file can be written");
        let mut command = Command::new(program("sshd"));
        command.args(["-D", "-e", "-f"]).arg(path("sshd_config"));
        let process = Process::start("sshd", &command);
        process.output_until(0, Duration::from_secs(10), "its port", |text| text.contains("Server listening")).await;
        let user = must_run(Command::new("id").arg("-un")).trim().to_owned();
        Self { dir, port, user, _process: process }
    }

    /// The address of a remote's repository.
    pub fn url(&self, remote: &GitRemote) -> String {
        format!("ssh://{}@127.0.0.1:{}{}", self.user, self.port, remote.bare().display())
    }

    /// The deploy key, as `identity` has it in a Secret.
    pub fn identity(&self) -> String {
        self.read("deploy")
    }

    /// The host's line, as `known_hosts` has it in a Secret.
    pub fn known_hosts(&self) -> String {
        format!("[127.0.0.1]:{} {}", self.port, self.read("host.pub"))
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.dir.path().join(name)).expect("ssh-keygen wrote it")
    }

    pub fn identity_path(&self) -> PathBuf {
        Path::new(self.dir.path()).join("deploy")
    }
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    listener.local_addr().expect("it has an address").port()
}
