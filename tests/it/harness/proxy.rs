//! A way to the API server that can be cut.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use tempfile::TempDir;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    runtime::Handle,
    sync::watch,
};

/// Passes bytes on to the API server of a kubeconfig.
pub struct Proxy {
    dir: TempDir,
    cuts: watch::Sender<u32>,
}

impl Proxy {
    /// Stands between the server and those who use [`Self::kubeconfig`].
    pub async fn to(kubeconfig: &Path) -> Self {
        let text = fs::read_to_string(kubeconfig).expect("the kubeconfig can be read");
        let server = text
            .split("https://")
            .nth(1)
            .and_then(|rest| rest.split('"').next())
            .expect("the kubeconfig names a server");
        let target: SocketAddr = server.parse().expect("the server is at an address");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("there is a free port");
        let address = listener.local_addr().expect("it has an address");
        let (cuts, cut) = watch::channel(0);
        Handle::current().spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let mut cut = cut.clone();
                cut.mark_unchanged();
                tokio::spawn(async move {
                    let Ok(mut server) = TcpStream::connect(target).await else { return };
                    tokio::select! {
                        _ = copy_bidirectional(&mut client, &mut server) => {}
                        _ = cut.changed() => {}
                    }
                });
            }
        });
        let dir = tempfile::tempdir().expect("a folder can be made");
        let through = text.replace(server, &address.to_string());
        fs::write(dir.path().join("kubeconfig"), through).expect("a file can be written");
        Self { dir, cuts }
    }

    pub fn kubeconfig(&self) -> PathBuf {
        self.dir.path().join("kubeconfig")
    }

    /// Ends every connection that is open now; new ones are let through.
    pub fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }
}
