//! An OCI registry: Debian's docker-registry.

use std::{fs, path::Path, process::Command, sync::Arc, time::Duration};

use tempfile::TempDir;

use super::{cluster::helm_offline, process::Process, programs::program, ssh::free_port};

/// Who may read a closed registry: user and password.
pub const READER: (&str, &str) = ("user", "hunter2");
const HTPASSWD: &str = "user:$2a$10$myJSytjVL53.Ppq/RZpZb.Yk1rbaALiQCdvnSWZnq1sycg6SUHHJ2\n";

/// A registry over plain HTTP.
pub struct Registry {
    dir: Arc<TempDir>,
    port: u16,
    _process: Process,
}

impl Registry {
    /// One that anyone can push to.
    pub async fn start() -> Self {
        Self::serve(Arc::new(tempfile::tempdir().expect("a folder can be made")), "").await
    }

    /// Another with the same content, which only the reader can read.
    pub async fn closed(&self) -> Self {
        let users = self.dir.path().join("htpasswd");
        fs::write(&users, HTPASSWD).expect("a file can be written");
        let auth = format!("auth: {{htpasswd: {{realm: registry, path: {}}}}}\n", users.display());
        Self::serve(self.dir.clone(), &auth).await
    }

    async fn serve(dir: Arc<TempDir>, auth: &str) -> Self {
        let port = free_port();
        let configuration = format!(
            "version: 0.1\nlog: {{level: info}}\nstorage: {{filesystem: {{rootdirectory: {}}}, delete: {{enabled: true}}}}\n\
             http: {{addr: '127.0.0.1:{port}'}}\n{auth}",
            dir.path().join("data").display()
        );
        let file = dir.path().join(format!("config-{port}.yml"));
        fs::write(&file, configuration).expect("a file can be written");
        let mut command = Command::new(program("docker-registry"));
        command.arg("serve").arg(file);
        let process = Process::start("docker-registry", &command);
        process.output_until(0, Duration::from_secs(10), "its port", |text| text.contains("listening on")).await;
        Self { dir, port, _process: process }
    }

    /// `127.0.0.1:PORT`.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
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
