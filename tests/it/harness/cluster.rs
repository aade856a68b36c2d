//! A control plane, or the cluster that the environment names.

use std::{
    io::{BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, Client, Config,
    api::{ObjectMeta, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{
    audit::AuditLog,
    programs::{environment, must_run, program, run},
};

/// The cluster that a test works on.
pub struct Cluster {
    kubeconfig: PathBuf,
    /// Of the user whose requests are counted as Bowline's.
    bowline_kubeconfig: PathBuf,
    control_plane: Option<ControlPlane>,
    _permit: Option<OwnedSemaphorePermit>,
}

/// A control plane of our own. It ends when its standard input is closed, which the kernel does for us if need be.
struct ControlPlane {
    dir: PathBuf,
    child: Child,
    dialogue: Mutex<(ChildStdin, BufReader<ChildStdout>)>,
}

impl Cluster {
    /// The one cluster for tests that share: `$BOWLINE_TEST_KUBECONFIG`, or a control plane that ends with the process.
    ///
    /// A test keeps to namespaces that it makes, and runs no daemon that watches all of them.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Cluster> = OnceLock::new();
        SHARED.get_or_init(Self::named_or_new)
    }

    /// The cluster that `$BOWLINE_TEST_KUBECONFIG` names, or a new control plane.
    pub fn named_or_new() -> Self {
        let Some(path) = environment("BOWLINE_TEST_KUBECONFIG") else { return Self::start(&[], None) };
        let kubeconfig = PathBuf::from(path);
        Self { bowline_kubeconfig: kubeconfig.clone(), kubeconfig, control_plane: None, _permit: None }
    }

    /// A control plane for this test alone, which can be broken at will.
    ///
    /// It takes half a gigabyte of memory, so few run at once; the others wait here.
    pub async fn own() -> Self {
        Self::own_with(&[]).await
    }

    /// As [`Self::own`], with more flags for kube-apiserver.
    pub async fn own_with(api_server_args: &[&str]) -> Self {
        const AT_ONCE: usize = 2;
        static PERMITS: OnceLock<Arc<Semaphore>> = OnceLock::new();
        let permits = PERMITS.get_or_init(|| Arc::new(Semaphore::new(AT_ONCE))).clone();
        let permit = permits.acquire_owned().await.expect("the semaphore is never closed");
        Self::start(api_server_args, Some(permit))
    }

    fn start(api_server_args: &[&str], permit: Option<OwnedSemaphorePermit>) -> Self {
        let dir = tempfile::Builder::new().prefix("bowline-cluster-").tempdir().expect("a folder can be made").keep();
        let mut command = Command::new(program("control-plane"));
        command.arg("up").arg("--dir").arg(&dir).arg("--remove");
        for arg in api_server_args {
            command.args(["--apiserver-arg", arg]);
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the control plane can be started");
        let input = child.stdin.take().expect("it is piped");
        let mut replies = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut reply = String::new();
        replies.read_line(&mut reply).expect("its output can be read");
        if reply.trim() != "ready" {
            let mut said = String::new();
            let _ = child.stderr.take().expect("it is piped").read_to_string(&mut said);
            panic!("the control plane did not start: {said}");
        }
        Self {
            kubeconfig: dir.join("admin.kubeconfig"),
            bowline_kubeconfig: dir.join("bowline.kubeconfig"),
            control_plane: Some(ControlPlane { dir, child, dialogue: Mutex::new((input, replies)) }),
            _permit: permit,
        }
    }

    fn control_plane(&self) -> &ControlPlane {
        self.control_plane.as_ref().expect("this needs a control plane of our own: unset BOWLINE_TEST_KUBECONFIG")
    }

    /// `stop`, `start`, `restart`, `pause` or `resume` of a component, such as `restart kube-apiserver`.
    pub fn component(&self, command: &str) {
        let mut dialogue = self.control_plane().dialogue.lock().unwrap_or_else(PoisonError::into_inner);
        let (input, replies) = &mut *dialogue;
        writeln!(input, "{command}").expect("the control plane listens");
        let mut reply = String::new();
        replies.read_line(&mut reply).expect("the control plane answers");
        assert_eq!(reply.trim(), "ok", "{command}");
    }

    /// The process of the control plane itself; its components' are in `*.pid` beside the kubeconfig.
    pub fn pid(&self) -> u32 {
        self.control_plane().child.id()
    }

    pub fn audit_log(&self) -> AuditLog {
        AuditLog::at(self.control_plane().dir.join("audit.log"))
    }

    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// The kubeconfig of Bowline's own user.
    pub fn bowline_kubeconfig(&self) -> &Path {
        &self.bowline_kubeconfig
    }

    /// A client with all rights.
    pub async fn client(&self) -> Client {
        client(&self.kubeconfig).await
    }

    /// Makes a namespace with a name of its own, beginning with `prefix`.
    pub async fn namespace(&self, prefix: &str) -> String {
        let namespace = Namespace {
            metadata: ObjectMeta { generate_name: Some(format!("{prefix}-")), ..ObjectMeta::default() },
            ..Namespace::default()
        };
        let made = Api::<Namespace>::all(self.client().await)
            .create(&PostParams::default(), &namespace)
            .await
            .expect("a namespace can be made");
        made.metadata.name.expect("the server names it")
    }

    /// Runs kubectl, which must succeed, and returns what it prints.
    pub fn kubectl(&self, args: &[&str]) -> String {
        self.try_kubectl(args).unwrap_or_else(|said| panic!("kubectl {}: {said}", args.join(" ")))
    }

    /// Runs kubectl; what it says when it fails is the error.
    pub fn try_kubectl(&self, args: &[&str]) -> Result<String, String> {
        run(Command::new(program("kubectl")).arg("--kubeconfig").arg(&self.kubeconfig).args(args))
    }

    /// Applies manifests.
    pub fn apply(&self, manifests: &str) {
        let file = tempfile::NamedTempFile::new().expect("a file can be made");
        std::fs::write(file.path(), manifests).expect("a file can be written");
        let path = file.path().to_str().expect("the path is text");
        self.kubectl(&["apply", "--server-side", "--force-conflicts", "-f", path]);
    }

    /// Runs helm, which must succeed, and returns what it prints.
    pub fn helm(&self, args: &[&str]) -> String {
        self.try_helm(args).unwrap_or_else(|said| panic!("helm {}: {said}", args.join(" ")))
    }

    /// Runs helm; what it says when it fails is the error.
    pub fn try_helm(&self, args: &[&str]) -> Result<String, String> {
        run(Command::new(program("helm")).arg("--kubeconfig").arg(&self.kubeconfig).args(args))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let Some(mut control_plane) = self.control_plane.take() else { return };
        // It ends, and removes its files, when its input is closed.
        drop(control_plane.dialogue);
        let _ = control_plane.child.wait();
    }
}

/// A client for the first context of a kubeconfig.
pub async fn client(kubeconfig: &Path) -> Client {
    // A second call finds it installed.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let kubeconfig = Kubeconfig::read_from(kubeconfig).expect("the kubeconfig can be read");
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .expect("the kubeconfig is complete");
    config.read_timeout = Some(Duration::from_mins(5));
    Client::try_from(config).expect("a client can be made")
}

/// The helm program itself, for what needs no cluster.
pub fn helm_offline(args: &[&str]) -> String {
    must_run(Command::new(program("helm")).args(args))
}
