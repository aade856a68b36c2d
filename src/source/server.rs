//! The artifacts over HTTP, as source-controller serves them: files by their path, and nothing else.

use ::http::{StatusCode, header};
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::io::ReaderStream;
use tokio_util::sync::CancellationToken;

use super::store::ArtifactStore;

/// Serves the store until cancelled; requests that are under way are finished.
pub async fn serve(listener: TcpListener, store: ArtifactStore, cancel: CancellationToken) -> std::io::Result<()> {
    axum::serve(listener, router(store)).with_graceful_shutdown(cancel.cancelled_owned()).await
}

fn router(store: ArtifactStore) -> Router {
    Router::new().route("/{*path}", get(file)).with_state(store)
}

async fn file(State(store): State<ArtifactStore>, Path(path): Path<String>) -> Response {
    let is_packed = std::path::Path::new(&path)
        .extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("gz") || extension.eq_ignore_ascii_case("tgz"));
    let kind = if is_packed { "application/gzip" } else { "text/plain; charset=utf-8" };
    let Ok(Some(local)) = tokio::task::spawn_blocking(move || store.served(&path)).await else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let opened = async {
        let file = tokio::fs::File::open(local).await?;
        let size = file.metadata().await?.len();
        std::io::Result::Ok((file, size))
    };
    match opened.await {
        Ok((file, size)) => {
            let headers = [(header::CONTENT_TYPE, kind.to_owned()), (header::CONTENT_LENGTH, size.to_string())];
            (headers, Body::from_stream(ReaderStream::new(file))).into_response()
        }
        // Collected between the look and the opening.
        Err(_) => StatusCode::NOT_FOUND.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    #[tokio::test]
    async fn files_and_links_are_served_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let store = ArtifactStore::open(folder.path(), "x").unwrap();
        let path = ArtifactStore::path("HelmChart", "ns", "app", "app-1.0.0.tgz");
        let artifact = store.put(&path, "1.0.0", b"chart".to_vec(), Timestamp::UNIX_EPOCH).await.unwrap();
        store.link(&artifact, "latest.tar.gz").await.unwrap();
        let outside = tempfile::NamedTempFile::new().unwrap();
        std::os::unix::fs::symlink(outside.path(), folder.path().join("helmchart/ns/app/evil")).unwrap();
        std::fs::write(folder.path().join(".scratch/secret"), "x").unwrap();

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let cancel = CancellationToken::new();
        let server = tokio::spawn(serve(listener, store, cancel.clone()));
        for path in ["helmchart/ns/app/app-1.0.0.tgz", "helmchart/ns/app/latest.tar.gz"] {
            let response = reqwest::get(format!("{base}/{path}")).await.unwrap();
            assert_eq!(response.headers()["content-length"], "5");
            assert_eq!(response.text().await.unwrap(), "chart");
        }
        let refused = ["helmchart/ns/app", "helmchart/ns/app/evil", ".scratch/secret", "%2e%2e/etc/passwd", "gone", ""];
        for path in refused {
            let response = reqwest::get(format!("{base}/{path}")).await.unwrap();
            assert_eq!(response.status(), 404, "{path}");
        }
        cancel.cancel();
        server.await.unwrap().unwrap();
    }
}
