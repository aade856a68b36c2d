//! A Helm repository over HTTP: its index, and the packages that the index names.

use std::time::Duration;

use reqwest::Url;

use super::archive;
use super::http::{self, Access, Conditions, Credentials, Fetched, HttpError, Tls};
use super::index::{ChartVersion, Index, IndexError, MAX_INDEX};
use super::secret::{Redacted, SecretData};

/// The largest package.
pub const MAX_CHART: u64 = 10 << 20;

/// Why an address is not taken.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum RepositoryUrlError {
    /// It is no address.
    #[error("{0}")]
    Invalid(String),
    /// Nothing that is asked over HTTP.
    #[error("scheme \"{0}\" not supported")]
    Scheme(String),
}

/// Why a Secret is not enough.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum CredentialsError {
    /// Half of user and password.
    #[error("malformed basic auth - has '{has}' but missing '{missing}'")]
    Half {
        /// The key that is there.
        has: &'static str,
        /// The key that is not.
        missing: &'static str,
    },
    /// A value is not text.
    #[error("'{0}' is not UTF-8")]
    NotText(&'static str),
}

/// Why a package was not taken.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    /// The index names no address for it.
    #[error("chart '{0}' has no downloadable URLs")]
    NoUrl(String),
    /// The index names an address that is none.
    #[error("chart '{chart}' has an invalid URL")]
    Url {
        /// The chart.
        chart: String,
    },
    /// It was not sent.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// It is not what the index says.
    #[error("digest of chart '{chart}' is sha256:{actual}, and the index says '{expected}'")]
    Digest {
        /// The chart.
        chart: String,
        /// What came.
        actual: String,
        /// What should have come.
        expected: String,
    },
}

/// Why an index was not taken.
#[derive(Debug, thiserror::Error)]
pub enum IndexFetchError {
    /// It was not sent.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// It is no index.
    #[error(transparent)]
    Index(#[from] IndexError),
}

/// A repository as it is configured.
#[derive(Debug)]
pub struct Repository {
    url: Url,
    access: Access,
    timeout: Duration,
}

/// What is known of an index between two looks.
#[derive(Debug, Default, Clone)]
pub struct Validators {
    /// The `ETag` of what we have.
    pub etag: Option<String>,
    /// The `Last-Modified` of what we have.
    pub last_modified: Option<String>,
}

/// Reads the address of a repository over HTTP.
pub fn parse_url(text: &str) -> Result<Url, RepositoryUrlError> {
    let url = Url::parse(&normalise_url(text)).map_err(|error| RepositoryUrlError::Invalid(error.to_string()))?;
    match url.scheme() {
        "http" | "https" => Ok(url),
        other => Err(RepositoryUrlError::Scheme(other.to_owned())),
    }
}

/// Makes addresses that mean the same the same: one slash at the end, and none for OCI.
pub fn normalise_url(text: &str) -> String {
    if text.is_empty() {
        return String::new();
    }
    let (path, query) = match text.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (text, None),
    };
    let trimmed = path.trim_end_matches('/');
    let path = if text.starts_with("oci://") { trimmed.to_owned() } else { format!("{trimmed}/") };
    match query {
        Some(query) => format!("{path}?{query}"),
        None => path,
    }
}

/// Takes user and password from a Secret; both or none must be there.
pub fn credentials(secret: &SecretData) -> Result<Option<Credentials>, CredentialsError> {
    let text = |key: &'static str| match secret.get(key) {
        None => Ok(None),
        Some(bytes) => {
            std::str::from_utf8(bytes).map(|text| Some(text.to_owned())).map_err(|_| CredentialsError::NotText(key))
        }
    };
    match (text("username")?, text("password")?) {
        (Some(username), Some(password)) => {
            Ok(Some(Credentials::Basic { username, password: Redacted::new(password) }))
        }
        (Some(_), None) => Err(CredentialsError::Half { has: "username", missing: "password" }),
        (None, Some(_)) => Err(CredentialsError::Half { has: "password", missing: "username" }),
        (None, None) => Ok(None),
    }
}

impl Repository {
    /// Prepares access; `pass_credentials` sends credentials wherever the index points, as the user asked for.
    pub fn new(
        url: Url,
        credentials: Option<&Credentials>,
        tls: &Tls,
        pass_credentials: bool,
        timeout: Duration,
    ) -> Result<Self, HttpError> {
        let access = Access::new(&url, credentials, tls, pass_credentials)?;
        Ok(Self { url, access, timeout })
    }

    /// Reads the index; none when it has not changed.
    pub async fn index(&self, known: &Validators) -> Result<Option<(Index, Validators)>, IndexFetchError> {
        let mut url = self.url.clone();
        url.set_path(&format!("{}/index.yaml", self.url.path().trim_end_matches('/')));
        let conditions = Conditions { etag: known.etag.clone(), last_modified: known.last_modified.clone() };
        let Some(fetched) = self.access.get(&url, &conditions, MAX_INDEX, self.timeout).await? else {
            return Ok(None);
        };
        let Fetched { body, etag, last_modified } = fetched;
        let parsed = tokio::task::spawn_blocking(move || Index::read(&body)).await;
        let index = match parsed {
            Ok(index) => index?,
            Err(error) => return Err(IndexError::Syntax(error.to_string()).into()),
        };
        Ok(Some((index, Validators { etag, last_modified })))
    }

    /// Downloads a package and checks it against the index.
    pub async fn download(&self, chart: &ChartVersion) -> Result<Vec<u8>, DownloadError> {
        let reference = chart.urls.first().ok_or_else(|| DownloadError::NoUrl(chart.name.clone()))?;
        let url = self.resolve(reference).ok_or_else(|| DownloadError::Url { chart: chart.name.clone() })?;
        let fetched = self.access.get(&url, &Conditions::default(), MAX_CHART, self.timeout).await?;
        // Without conditions there is always a body.
        let body = fetched.map(|fetched| fetched.body).unwrap_or_default();
        if let Some(expected) = chart.digest.as_deref() {
            let digest = archive::digest(&body);
            let actual = digest.trim_start_matches("sha256:");
            let wanted = expected.trim_start_matches("sha256:");
            if !actual.eq_ignore_ascii_case(wanted) {
                let expected = expected.chars().filter(|c| !c.is_control()).collect();
                return Err(DownloadError::Digest { chart: chart.name.clone(), actual: actual.to_owned(), expected });
            }
        }
        Ok(body)
    }

    /// Resolves an address of the index; one that is relative keeps the repository's query, as Helm does.
    fn resolve(&self, reference: &str) -> Option<Url> {
        if let Ok(url) = Url::parse(reference) {
            return Some(url);
        }
        let mut url = self.url.join(reference).ok()?;
        url.set_query(self.url.query());
        Some(url)
    }

    /// Returns the address for messages.
    pub fn shown(&self) -> String {
        http::shown(&self.url)
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::http::{HeaderMap, StatusCode};
    use axum::routing::get;

    use super::*;

    async fn serve(router: Router) -> Url {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/charts", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        parse_url(&url).unwrap()
    }

    fn repository(url: &Url) -> Repository {
        let secret = [("username", "user"), ("password", "hunter2")].into_iter().collect();
        let credentials = credentials(&secret).unwrap();
        Repository::new(url.clone(), credentials.as_ref(), &Tls::default(), false, Duration::from_secs(5)).unwrap()
    }

    fn chart(url: &str, digest: Option<&str>) -> ChartVersion {
        ChartVersion {
            name: "app".into(),
            version: "1.0.0".into(),
            created: None,
            digest: digest.map(Into::into),
            urls: vec![url.into()],
        }
    }

    #[test]
    fn addresses_are_normalised_as_flux_does() {
        let table = [
            ("http://example.com/", "http://example.com/"),
            ("http://example.com//", "http://example.com/"),
            ("http://example.com", "http://example.com/"),
            ("oci://example.com/", "oci://example.com"),
            ("http://example.com/next%2Fpath", "http://example.com/next%2Fpath/"),
            ("http://example.com/next%2Fpath/", "http://example.com/next%2Fpath/"),
            ("http://example.com/x?a=b", "http://example.com/x/?a=b"),
            ("", ""),
        ];
        for (text, expected) in table {
            assert_eq!(normalise_url(text), expected);
        }
        assert_eq!(parse_url("ftp://example.com").unwrap_err().to_string(), "scheme \"ftp\" not supported");
        assert!(matches!(parse_url("a:b/c"), Err(RepositoryUrlError::Scheme(_) | RepositoryUrlError::Invalid(_))));
    }

    #[test]
    fn half_of_a_login_is_an_error() {
        let error = |pair: (&str, &str)| credentials(&[pair].into_iter().collect()).unwrap_err().to_string();
        assert_eq!(error(("username", "u")), "malformed basic auth - has 'username' but missing 'password'");
        assert_eq!(error(("password", "p")), "malformed basic auth - has 'password' but missing 'username'");
        assert_eq!(credentials(&SecretData::default()), Ok(None));
    }

    #[tokio::test]
    async fn an_index_is_read_once_and_then_asked_for_conditionally() {
        let index = get(|headers: HeaderMap| async move {
            if headers.get("authorization").is_none() {
                return (StatusCode::UNAUTHORIZED, [("etag", "")], "");
            }
            if headers.get("if-none-match").is_some() {
                (StatusCode::NOT_MODIFIED, [("etag", "\"1\"")], "")
            } else {
                let text = "apiVersion: v1\nentries:\n  app:\n  - {name: app, version: 1.0.0, urls: [app.tgz]}\n";
                (StatusCode::OK, [("etag", "\"1\"")], text)
            }
        });
        let url = serve(Router::new().route("/charts/index.yaml", index)).await;
        let (index, validators) = repository(&url).index(&Validators::default()).await.unwrap().unwrap();
        assert_eq!(index.find("app", "*").unwrap().version, "1.0.0");
        assert!(repository(&url).index(&validators).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn packages_are_found_beside_the_index_and_checked() {
        let router = Router::new()
            .route("/charts/app.tgz", get(|| async { "package" }))
            .route("/elsewhere.tgz", get(|| async { "package" }));
        let url = serve(router).await;
        let digest = archive::digest(b"package");
        let repository = repository(&url);
        for reference in ["app.tgz", url.join("/elsewhere.tgz").unwrap().as_str()] {
            let hex = digest.trim_start_matches("sha256:");
            for digest in [None, Some(hex), Some(digest.as_str())] {
                assert_eq!(repository.download(&chart(reference, digest)).await.unwrap(), b"package");
            }
        }
        let wrong = repository.download(&chart("app.tgz", Some("00"))).await;
        assert!(matches!(wrong, Err(DownloadError::Digest { .. })));
        let none = ChartVersion { urls: Vec::new(), ..chart("", None) };
        assert_eq!(repository.download(&none).await.unwrap_err().to_string(), "chart 'app' has no downloadable URLs");
    }

    #[tokio::test]
    async fn a_package_that_is_too_large_is_refused() {
        let router = Router::new().route("/charts/app.tgz", get(|| async { vec![0_u8; MAX_CHART as usize + 1] }));
        let url = serve(router).await;
        let error = repository(&url).download(&chart("app.tgz", None)).await.unwrap_err();
        assert!(matches!(error, DownloadError::Http(HttpError::TooLarge { .. })));
    }
}
