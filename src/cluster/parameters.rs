//! What a ConfigMap says of another cluster that is reached without a kubeconfig: its address, and the `ServiceAccount` of
//! the daemon's own cluster that it knows by its tokens (Flux's provider `generic`).
//!
//! Flux falls back to its own account where the ConfigMap names none. Whoever can write a ConfigMap could have the daemon's
//! tokens sent to a server of theirs, so that an account is needed here.

use std::collections::BTreeMap;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use kube::{
    Config,
    config::{AuthInfo, Cluster},
};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use super::{connection::ServiceAccount, kubeconfig};

/// The one provider that there is.
const GENERIC: &str = "generic";
/// Providers of Flux that log in to a cloud.
const CLOUDS: [&str; 3] = ["aws", "azure", "gcp"];

/// What is wrong with the parameters. Texts quote no more than a provider's name.
#[derive(Debug, Error)]
pub enum Problem {
    #[error("provider '{0}' is not supported by this version, only 'generic' is")]
    Cloud(String),
    #[error("provider is not set: 'generic' is needed")]
    NoProvider,
    #[error("provider is not one that there is: 'generic' is needed")]
    Provider,
    #[error("cluster address is required to create a REST config")]
    NoAddress,
    #[error("address is not one of an API server, such as https://host:6443")]
    Address,
    #[error("the Kubernetes API server address must use https scheme")]
    NotHttps,
    #[error("ca.crt is not a certificate in PEM")]
    Authority,
    #[error("serviceAccountName is not set, nor is --default-kubeconfig-service-account: an account is needed")]
    NoAccount,
    #[error(transparent)]
    Server(kubeconfig::Problem),
}

/// How a cluster is reached, and as whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameters {
    /// `https://<host>:<port>`.
    pub address: String,
    /// A certificate in PEM.
    pub authority: Option<String>,
    pub audiences: Vec<String>,
    pub account: ServiceAccount,
}

impl Parameters {
    /// Reads a ConfigMap's data. `default_account` is taken where it names none; both are of its namespace.
    pub fn read(
        namespace: &str,
        data: &BTreeMap<String, String>,
        default_account: Option<&str>,
    ) -> Result<Self, Problem> {
        let text = |key: &str| data.get(key).map(|text| text.trim()).filter(|text| !text.is_empty());
        match text("provider") {
            Some(GENERIC) => {}
            Some(cloud) if CLOUDS.contains(&cloud) => return Err(Problem::Cloud(cloud.to_owned())),
            Some(_) => return Err(Problem::Provider),
            None => return Err(Problem::NoProvider),
        }
        let given = text("address").ok_or(Problem::NoAddress)?;
        let address = address(given)?;
        let authority = text("ca.crt").map(str::to_owned);
        if authority.as_ref().is_some_and(|pem| !pem.contains("-----BEGIN CERTIFICATE-----")) {
            return Err(Problem::Authority);
        }
        let mut audiences: Vec<String> = text("audiences")
            .into_iter()
            .flat_map(str::lines)
            .map(|line| line.trim().to_owned())
            .filter(|line| !line.is_empty())
            .collect();
        if audiences.is_empty() {
            audiences.push(given.to_owned());
        }
        let name = text("serviceAccountName").or(default_account).ok_or(Problem::NoAccount)?;
        let account = ServiceAccount { namespace: namespace.to_owned(), name: name.to_owned() };
        Ok(Self { address, authority, audiences, account })
    }

    /// Returns what tells these parameters apart from all others, kubeconfigs included.
    pub fn digest(&self) -> String {
        let mut hash = Sha256::new();
        let parts = [self.address.as_str(), self.authority.as_deref().unwrap_or_default()];
        let account = [self.account.namespace.as_str(), self.account.name.as_str()];
        for part in parts.into_iter().chain(account).chain(self.audiences.iter().map(String::as_str)) {
            hash.update(part.len().to_be_bytes());
            hash.update(part);
        }
        format!("parameters:{}", BASE64_STANDARD.encode(hash.finalize()))
    }

    /// Makes the configuration of a client, without credentials.
    pub async fn config(&self) -> Result<Config, Problem> {
        let cluster = Cluster {
            server: Some(self.address.clone()),
            certificate_authority_data: self.authority.as_ref().map(|pem| BASE64_STANDARD.encode(pem)),
            ..Cluster::default()
        };
        kubeconfig::config(cluster, AuthInfo::default()).await.map_err(|problem| match problem {
            kubeconfig::Problem::Credentials => Problem::Authority,
            other => Problem::Server(other),
        })
    }
}

/// Writes an address as Flux does: `https://<host in lower case>:<port>`, whatever path it has.
fn address(given: &str) -> Result<String, Problem> {
    let full = if given.starts_with("http") { given.to_owned() } else { format!("https://{given}") };
    let url: url::Url = full.parse().map_err(|_| Problem::Address)?;
    if url.scheme() != "https" {
        return Err(Problem::NotHttps);
    }
    let host = url.host_str().filter(|host| !host.is_empty()).ok_or(Problem::Address)?;
    Ok(format!("https://{}:{}", host.to_lowercase(), url.port().unwrap_or(443)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(rows: &[(&str, &str)], default: Option<&str>) -> Result<Parameters, String> {
        let data = rows.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Parameters::read("apps", &data, default).map_err(|problem| problem.to_string())
    }

    #[test]
    fn the_address_is_the_audience_where_none_is_given() {
        let found = read(&[("provider", "generic"), ("address", "API.there:6443"), ("serviceAccountName", "a")], None);
        let account = ServiceAccount { namespace: "apps".to_owned(), name: "a".to_owned() };
        let expected = Parameters {
            address: "https://api.there:6443".to_owned(),
            authority: None,
            audiences: vec!["API.there:6443".to_owned()],
            account,
        };
        assert_eq!(found, Ok(expected));
        let listed = [("provider", "generic"), ("address", "https://x/p"), ("audiences", " one \n\ntwo\n")];
        let found = read(&listed, Some("flag")).unwrap();
        assert_eq!((found.address.as_str(), found.account.name.as_str()), ("https://x:443", "flag"));
        assert_eq!(found.audiences, ["one", "two"]);
    }

    #[test]
    fn what_cannot_be_connected_to_is_told() {
        let generic = ("provider", "generic");
        let good = ("address", "https://x");
        for (rows, part) in [
            (vec![good], "provider is not set"),
            (vec![("provider", "aws"), good], "provider 'aws' is not supported"),
            (vec![("provider", "other"), good], "not one that there is"),
            (vec![generic], "cluster address is required"),
            (vec![generic, ("address", "http://x")], "https scheme"),
            (vec![generic, ("address", "https://")], "not one of an API server"),
            (vec![generic, good], "an account is needed"),
            (vec![generic, good, ("ca.crt", "x"), ("serviceAccountName", "a")], "PEM"),
        ] {
            let problem = read(&rows, None).unwrap_err();
            assert!(problem.contains(part), "{rows:?}: {problem}");
        }
    }

    #[tokio::test]
    async fn addresses_at_which_no_api_server_is_are_not_connected_to() {
        let rows = [("provider", "generic"), ("address", "169.254.169.254"), ("serviceAccountName", "a")];
        let problem = read(&rows, None).unwrap().config().await.unwrap_err();
        assert!(problem.to_string().contains("link-local"), "{problem}");
    }

    #[test]
    fn parameters_that_differ_are_told_apart() {
        let of = |address: &str, account: &str| {
            let rows = [("provider", "generic"), ("address", address), ("serviceAccountName", account)];
            read(&rows, None).unwrap().digest()
        };
        assert_ne!(of("a", "b"), of("a", "c"));
        assert_ne!(of("a", "b"), of("c", "b"));
        assert_eq!(of("a", "b"), of("a", "b"));
    }
}
