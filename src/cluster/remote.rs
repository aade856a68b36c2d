//! The client for a cluster that a kubeconfig of a Secret, or a ConfigMap's parameters, name: a server that may be
//! anything, so that what it sends is bounded in time and size, and that is not let near addresses at which no API server
//! is.

use std::{
    future::Future,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use http_body_util::{BodyExt, Empty, Limited, combinators::UnsyncBoxBody};
use hyper_util::{
    client::legacy::{
        self,
        connect::{HttpConnector, dns::Name},
    },
    rt::TokioExecutor,
};
use kube::{
    Client, Config,
    client::{Body, ConfigExt},
};
use tower::{BoxError, Service, ServiceBuilder};

use super::{
    kubeconfig::{Problem, is_forbidden_address},
    tokens::AccountTokens,
};

/// How long making a TCP connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an answer may take to begin, the connection with it; Flux's limit.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// Largest answer. A watch that has sent as much is begun again.
const MAX_ANSWER: usize = 64 * 1024 * 1024;

/// Makes a client, which shows an account's tokens where there are any. Nothing is sent yet.
pub fn client(mut config: Config, tokens: Option<Arc<AccountTokens>>) -> Result<Client, Problem> {
    let agent = concat!("bowline/", env!("CARGO_PKG_VERSION"));
    config.headers.push((header::USER_AGENT, HeaderValue::from_static(agent)));
    // An error in here is about certificates and keys, and may quote them.
    build(&config, tokens).map_err(|_| Problem::Credentials)
}

fn build(config: &Config, tokens: Option<Arc<AccountTokens>>) -> Result<Client, kube::Error> {
    let mut connector = HttpConnector::new_with_resolver(Resolver);
    connector.enforce_http(false);
    connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
    let connector = config.rustls_https_connector_with_connector(connector)?;
    let sender: legacy::Client<_, Body> = legacy::Builder::new(TokioExecutor::new()).build(connector);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .service(Bearer { service: sender, tokens });
    Ok(Client::new(Bounded { service, timeout: ANSWER_TIMEOUT }, "default"))
}

/// Shows the token of an account with each request, a new one in time.
#[derive(Clone)]
struct Bearer<S> {
    service: S,
    tokens: Option<Arc<AccountTokens>>,
}

impl<S> Service<Request<Body>> for Bearer<S>
where
    S: Service<Request<Body>> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.service.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let Some(tokens) = self.tokens.clone() else {
            let answer = self.service.call(request);
            return Box::pin(async move { answer.await.map_err(Into::into) });
        };
        // What was found ready is what is called.
        let next = self.service.clone();
        let mut service = std::mem::replace(&mut self.service, next);
        Box::pin(async move {
            request.headers_mut().insert(header::AUTHORIZATION, tokens.header().await?);
            service.call(request).await.map_err(Into::into)
        })
    }
}

/// Resolves names, and leaves out the addresses that are never connected to.
#[derive(Clone, Copy)]
struct Resolver;

impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, io::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), io::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let allowed: Vec<_> = found.filter(|address| !is_forbidden_address(address.ip())).collect();
            if allowed.is_empty() {
                return Err(io::Error::other(Problem::Address.to_string()));
            }
            Ok(allowed.into_iter())
        })
    }
}

/// Bounds answers.
struct Bounded<S> {
    service: S,
    timeout: Duration,
}

/// The server did not answer.
#[derive(Debug, thiserror::Error)]
#[error("no answer within {} s", .0.as_secs())]
struct NoAnswer(Duration);

type AnswerBody = UnsyncBoxBody<Bytes, BoxError>;
type Answer = Pin<Box<dyn Future<Output = Result<Response<AnswerBody>, BoxError>> + Send>>;

impl<S, B> Service<Request<Body>> for Bounded<S>
where
    S: Service<Request<Body>, Response = Response<B>, Error = BoxError>,
    S::Future: Send + 'static,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<AnswerBody>;
    type Error = BoxError;
    type Future = Answer;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Answer {
        let (answer, timeout) = (self.service.call(request), self.timeout);
        Box::pin(async move {
            let response = tokio::time::timeout(timeout, answer).await.map_err(|_| NoAnswer(timeout))??;
            Ok(bounded(response))
        })
    }
}

/// Limits an answer's size. A refusal that is not an API server's comes without its text: whoever wrote the kubeconfig
/// shall not read pages of other servers through a status.
fn bounded<B>(response: Response<B>) -> Response<AnswerBody>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let is_json = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().to_ascii_lowercase().starts_with(b"application/json"));
    let refused = response.status().is_client_error() || response.status().is_server_error();
    let (head, body) = response.into_parts();
    let body = if refused && !is_json {
        Empty::new().map_err(Into::into).boxed_unsync()
    } else {
        Limited::new(body, MAX_ANSWER).boxed_unsync()
    };
    Response::from_parts(head, body)
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;
    use crate::cluster::request::{message_of, send};

    async fn answered(status: &str, kind: &str, body: &str) -> Result<serde_json::Value, String> {
        let length = body.len();
        let answer = format!("HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n{body}");
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut read = [0; 4096];
            let count = stream.read(&mut read).await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8_lossy(&read[..count]).into_owned()
        });
        let client = client(Config::new(format!("http://{address}/prefix").parse().unwrap()), None).unwrap();
        let reply = send(&client, http::Method::GET, "/api/v1", &[], Vec::new()).await;
        let request = server.await.unwrap();
        assert!(request.starts_with("GET /prefix/api/v1 "), "{request}");
        reply.map(|reply| reply.body).map_err(|error| message_of(&error))
    }

    #[tokio::test]
    async fn an_api_servers_answers_are_read_and_other_servers_pages_are_not_shown() {
        let json = "application/json";
        assert_eq!(answered("200 OK", json, "{\"a\": 1}").await.unwrap(), serde_json::json!({ "a": 1 }));
        let refusal = answered("403 Forbidden", json, "{\"message\": \"no rights\", \"code\": 403}").await;
        assert_eq!(refusal.unwrap_err(), "no rights");
        let said = answered("404 Not Found", "text/html", "s3cret").await.unwrap_err();
        assert!(said.contains("404") && !said.contains("s3cret"), "{said}");
    }

    #[tokio::test]
    async fn a_server_that_says_nothing_is_given_up_on() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connect = async move {
            let mut connector = HttpConnector::new_with_resolver(Resolver);
            connector.enforce_http(false);
            let sender: legacy::Client<_, Body> = legacy::Builder::new(TokioExecutor::new()).build(connector);
            let service = ServiceBuilder::new().map_err(BoxError::from).service(sender);
            let mut bounded = Bounded { service, timeout: Duration::from_millis(50) };
            let request = Request::get(format!("http://{address}/")).body(Body::empty()).unwrap();
            bounded.call(request).await.map(|response| response.status()).unwrap_err().to_string()
        };
        let (said, _stream) = tokio::join!(connect, async { listener.accept().await.unwrap() });
        assert_eq!(said, "no answer within 0 s");
    }

    #[tokio::test]
    async fn a_name_is_resolved_to_addresses_that_may_be_connected_to() {
        let name = "localhost".parse::<Name>().unwrap();
        let addresses: Vec<_> = Resolver.call(name).await.unwrap().collect();
        assert!(addresses.iter().all(|address| address.ip().is_loopback()) && !addresses.is_empty());
    }
}
