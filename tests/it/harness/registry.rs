//! An OCI registry: Debian's docker-registry.

use std::{fs, path::Path, process::Command, time::Duration};

use tempfile::TempDir;

use super::{cluster::helm_offline, process::Process, programs::program, ssh::free_port};

/// A registry that anyone can push to, over plain HTTP.
pub struct Registry {
    _dir: TempDir,
    port: u16,
    _process: Process,
}

impl Registry {
    pub async fn start() -> Self {
        let dir = tempfile::tempdir().expect("a folder can be made");
        let port = free_port();
        let configuration = format!(
            "version: 0.1\nlog: {{level: info}}\nstorage: {{filesystem: {{rootdirectory: {}}}, delete: {{enabled: true}}}}\n\
             http: {{addr: '127.0.0.1:{port}'}}\n",
            dir.path().join("data").display()
        );
        let file = dir.path().join("config.yml");
        fs::write(&file, configuration).expect("a file can be written");
        let mut command = Command::new(program("docker-registry"));
        command.arg("serve").arg(file);
        let process = Process::start("docker-registry", &command);
        process.output_until(0, Duration::from_secs(10), "its port", |text| text.contains("listening on")).await;
        Self { _dir: dir, port, _process: process }
    }

    /// `oci://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("oci://127.0.0.1:{}", self.port)
    }

    /// Pushes a packaged chart to the repository `charts`.
    pub fn push(&self, package: &Path) {
        let package = package.to_str().expect("the path is text");
        helm_offline(&["push", package, &format!("{}/charts", self.url()), "--plain-http"]);
    }
}
