//! A Helm repository over HTTP, its packages and its index made by the real helm.

use std::{
    fs,
    path::{Path, PathBuf},
};

use axum::http::StatusCode;
use tempfile::TempDir;

use super::{
    cluster::helm_offline,
    http::{HttpServer, answer, unauthorized},
};

/// A Helm repository.
pub struct HelmRepository {
    dir: TempDir,
    http: HttpServer,
}

impl HelmRepository {
    /// Serves an empty repository to everyone.
    pub fn start() -> Self {
        Self::start_for(None)
    }

    /// Serves it to those who know the user's name and the password.
    pub fn start_for(credentials: Option<(&str, &str)>) -> Self {
        let dir = tempfile::tempdir().expect("a folder can be made");
        let root = dir.path().to_owned();
        let credentials = credentials.map(|(user, password)| (user.to_owned(), password.to_owned()));
        let http = HttpServer::start(move |call| {
            let (root, credentials) = (root.clone(), credentials.clone());
            async move {
                if credentials.as_ref().is_some_and(|(user, password)| !call.is_authorized((user, password))) {
                    return unauthorized();
                }
                match fs::read(root.join(call.uri.path().trim_start_matches('/'))) {
                    Ok(content) => answer(StatusCode::OK, content),
                    Err(_) => answer(StatusCode::NOT_FOUND, "no such file\n"),
                }
            }
        });
        let repository = Self { dir, http };
        repository.index();
        repository
    }

    /// Packages a chart's folder as `version`, adds it, and returns the package's path.
    pub fn add(&self, chart: &Path, version: &str) -> PathBuf {
        self.package(chart, &["--version", version])
    }

    /// As [`Self::add`], with that version for the application too.
    pub fn add_with_app(&self, chart: &Path, version: &str) -> PathBuf {
        self.package(chart, &["--version", version, "--app-version", version])
    }

    fn package(&self, chart: &Path, versions: &[&str]) -> PathBuf {
        let said =
            helm_offline(&[&["package", text(chart), "--destination", text(self.dir.path())], versions].concat());
        self.index();
        let path = said.trim().rsplit(": ").next().expect("helm says where the package is");
        PathBuf::from(path)
    }

    fn index(&self) {
        helm_offline(&["repo", "index", text(self.dir.path()), "--url", &self.url()]);
    }

    /// The folder that is served.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub fn url(&self) -> String {
        self.http.url()
    }

    pub fn http(&mut self) -> &mut HttpServer {
        &mut self.http
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("the path is text")
}
