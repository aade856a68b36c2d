//! Child processes that never outlive the tests, and whose output can be waited for.

use std::{
    io::Read,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{OnceLock, mpsc},
    thread,
    time::Duration,
};

use tokio::{sync::watch, time::timeout};

use super::programs::must_run;

/// A child process. It is killed when it is dropped, and by the kernel when the test process ends in any way.
pub struct Process {
    name: String,
    child: Child,
    output: watch::Receiver<String>,
}

impl Process {
    /// Starts a process, its two streams captured together.
    pub fn start(name: &str, command: &Command) -> Self {
        let (mut reader, writer) = std::io::pipe().expect("a pipe can be made");
        let mut wrapped = Command::new("setpriv");
        wrapped.args(["--pdeathsig", "KILL", "--"]).arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => wrapped.env(name, value),
                None => wrapped.env_remove(name),
            };
        }
        if let Some(dir) = command.get_current_dir() {
            wrapped.current_dir(dir);
        }
        wrapped.stdin(Stdio::null());
        wrapped.stdout(writer.try_clone().expect("a pipe can be cloned")).stderr(writer);
        let child =
            start_on_lasting_thread(wrapped).unwrap_or_else(|error| panic!("{name} cannot be started: {error}"));
        let (sender, output) = watch::channel(String::new());
        thread::spawn(move || {
            let mut buffer = [0; 16 * 1024];
            while let Ok(count @ 1..) = reader.read(&mut buffer) {
                let text = String::from_utf8_lossy(&buffer[..count]);
                sender.send_modify(|output| output.push_str(&text));
            }
        });
        Self { name: name.to_owned(), child, output }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// All that it has printed.
    pub fn output(&self) -> String {
        self.output.borrow().clone()
    }

    /// All that it has printed, as it grows.
    pub fn follow(&self) -> watch::Receiver<String> {
        self.output.clone()
    }

    /// Waits until what it printed from byte `from` on satisfies `holds`, and returns that.
    pub async fn output_until(
        &self,
        from: usize,
        within: Duration,
        what: &str,
        holds: impl Fn(&str) -> bool,
    ) -> String {
        let mut output = self.output.clone();
        let waited = timeout(within, output.wait_for(|text| holds(text.get(from..).unwrap_or_default()))).await;
        match waited {
            Ok(Ok(text)) => text[from..].to_owned(),
            Ok(Err(_)) => panic!("{} ended and did not print {what}: {}", self.name, self.output()),
            Err(elapsed) => {
                panic!("{} did not print {what} ({elapsed}) within {within:?}: {}", self.name, self.output())
            }
        }
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("a child can be waited for").is_none()
    }

    /// SIGKILL, and waits until it is gone.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// SIGTERM, and waits until it has ended by itself.
    pub async fn terminate(&mut self, within: Duration) -> ExitStatus {
        must_run(Command::new("kill").arg("-TERM").arg(self.pid().to_string()));
        self.ended(within).await
    }

    /// Waits until it has ended by itself.
    pub async fn ended(&mut self, within: Duration) -> ExitStatus {
        // The pipe closes with the process; the sender goes with the pipe.
        let mut output = self.output.clone();
        let closed = async { while output.changed().await.is_ok() {} };
        let has_ended = timeout(within, closed).await.is_ok();
        assert!(has_ended, "{} did not end within {within:?}: {}", self.name, self.output());
        self.child.wait().expect("a child can be waited for")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if thread::panicking() {
            eprintln!("--- what {} printed\n{}\n---", self.name, self.output());
        }
    }
}

/// Starts a child from a thread that lives as long as the test process.
///
/// The kernel sends a child its parent-death signal when the thread that started it ends, and tests' threads end early.
fn start_on_lasting_thread(command: Command) -> std::io::Result<Child> {
    type Order = (Command, mpsc::Sender<std::io::Result<Child>>);
    static STARTER: OnceLock<mpsc::Sender<Order>> = OnceLock::new();
    let starter = STARTER.get_or_init(|| {
        let (sender, orders) = mpsc::channel::<Order>();
        thread::spawn(move || {
            for (mut command, reply) in orders {
                let _ = reply.send(command.spawn());
            }
        });
        sender
    });
    let (reply, child) = mpsc::channel();
    starter.send((command, reply)).expect("the starter lives");
    child.recv().expect("the starter answers")
}
