//! An HTTP server on loopback that can be stopped, started again at the same address, and asked what it was asked.

use std::{
    future::Future,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    http::{HeaderMap, Method, Request, Response, StatusCode, Uri, header},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use futures::future::BoxFuture;
use tokio::{net::TcpSocket, runtime::Runtime};

type Handler = Arc<dyn Fn(Call) -> BoxFuture<'static, Response<Body>> + Send + Sync>;

/// A server with a runtime of its own: when that goes, so do the connections.
pub struct HttpServer {
    address: SocketAddr,
    handler: Handler,
    calls: Arc<Mutex<Vec<String>>>,
    running: Option<Runtime>,
}

/// A request whose body has been read.
pub struct Call {
    pub method: Method,
    pub uri: Uri,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl HttpServer {
    /// Starts serving on a free port.
    pub fn start<F: Future<Output = Response<Body>> + Send + 'static>(
        handler: impl Fn(Call) -> F + Send + Sync + 'static,
    ) -> Self {
        let handler: Handler = Arc::new(move |call| Box::pin(handler(call)));
        let mut server =
            Self { address: SocketAddr::from(([127, 0, 0, 1], 0)), handler, calls: Arc::default(), running: None };
        server.start_again();
        server
    }

    /// Serves again, where it did before.
    pub fn start_again(&mut self) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime can be made");
        let (handler, calls) = (self.handler.clone(), self.calls.clone());
        let app = Router::new().fallback(move |request: Request<Body>| {
            let (handler, calls) = (handler.clone(), calls.clone());
            async move {
                let (parts, body) = request.into_parts();
                calls.lock().unwrap_or_else(PoisonError::into_inner).push(format!("{} {}", parts.method, parts.uri));
                match to_bytes(body, 1 << 28).await {
                    Ok(body) => {
                        handler(Call { method: parts.method, uri: parts.uri, headers: parts.headers, body }).await
                    }
                    Err(error) => answer(StatusCode::BAD_REQUEST, error.to_string()),
                }
            }
        });
        let wanted = self.address;
        // A runtime must not be entered on a thread that is in another one already.
        let (sender, bound) = std::sync::mpsc::channel();
        runtime.spawn(async move {
            let socket = TcpSocket::new_v4().expect("a socket can be made");
            socket.set_reuseaddr(true).expect("a socket can be set up");
            socket.bind(wanted).expect("the port is free");
            let listener = socket.listen(128).expect("a socket can listen");
            let _ = sender.send(listener.local_addr().expect("it has an address"));
            axum::serve(listener, app).await.expect("serving does not end");
        });
        self.address = bound.recv().expect("the server listens");
        self.running = Some(runtime);
    }

    /// Closes the port and every connection.
    pub fn stop(&mut self) {
        if let Some(runtime) = self.running.take() {
            runtime.shutdown_background();
        }
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Method and target of each request so far.
    pub fn calls(&self) -> Vec<String> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Call {
    pub fn header(&self, name: impl header::AsHeaderName) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Whether the credentials are `user` and `password`.
    pub fn is_authorized(&self, (user, password): (&str, &str)) -> bool {
        self.header(header::AUTHORIZATION) == format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
    }
}

pub fn answer(status: StatusCode, body: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response
}

/// 401, as a client needs it to send what it knows.
pub fn unauthorized() -> Response<Body> {
    let mut response = answer(StatusCode::UNAUTHORIZED, "credentials, please\n");
    response.headers_mut().insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Basic realm=\"test\""));
    response
}
