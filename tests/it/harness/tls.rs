//! TLS in front of an HTTP server, with a certificate of an authority that nobody knows.

use std::{net::SocketAddr, sync::Arc};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::{
    ServerConfig,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

/// Takes TLS connections and passes what they hold on.
pub struct TlsFront {
    address: SocketAddr,
    authority: String,
}

impl TlsFront {
    /// Stands in front of `target`, an `http://ADDRESS` URL, on a free port of 127.0.0.1.
    pub async fn to(target: &str) -> Self {
        let target: SocketAddr = target.trim_start_matches("http://").parse().expect("the server is at an address");
        let (authority, config) = certified();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("there is a free port");
        let address = listener.local_addr().expect("it has an address");
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let Ok(mut client) = acceptor.accept(client).await else { return };
                    let Ok(mut server) = TcpStream::connect(target).await else { return };
                    let _ = copy_bidirectional(&mut client, &mut server).await;
                });
            }
        });
        Self { address, authority }
    }

    /// `https://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// The authority's certificate, as PEM.
    pub fn authority(&self) -> &str {
        &self.authority
    }
}

/// An authority's certificate, and a server's with 127.0.0.1 for its name that it has signed.
pub(super) fn certified() -> (String, ServerConfig) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key can be made");
    let authority = params.self_signed(&key).expect("a certificate can be signed").pem();
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().expect("a key can be made");
    let server = CertificateParams::new(["127.0.0.1".to_owned()])
        .expect("an address is a name")
        .signed_by(&key, &issuer)
        .expect("a certificate can be signed");
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider knows TLS")
        .with_no_client_auth()
        .with_single_cert(vec![server.der().clone()], key)
        .expect("the key is the certificate's");
    (authority, config)
}
