//! A kubeconfig that someone put in a Secret: what is taken from it, and what is refused.
//!
//! It names a server and credentials, and nothing that reaches into this process's own machine: no program is run for a
//! token, no file is read. Texts of errors name fields and never quote what they hold.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use helm::yaml;
use kube::{
    Config,
    config::{AuthInfo, Cluster, Context, KubeConfigOptions, Kubeconfig, NamedAuthInfo, NamedCluster, NamedContext},
};
use serde_json::Value;
use thiserror::Error;

/// The key that is read where a reference names none.
pub const DEFAULT_KEY: &str = "value";
/// The one that is read where the first is not there.
pub const DEFAULT_KEY_WITH_EXTENSION: &str = "value.yaml";
/// Addresses at which clouds tell a machine its credentials, beside those of the link-local range.
const METADATA_ADDRESSES: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)), IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254))];

/// What the daemon's flags allow a kubeconfig.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allowed {
    /// `--insecure-kubeconfig-tls`: leave out the check of the server's certificate where it asks for that.
    pub insecure_tls: bool,
}

/// Why a Secret holds no kubeconfig that could be used. The first two are Flux's texts.
#[derive(Debug, Error)]
pub enum Error {
    #[error("KubeConfig secret '{secret}' does not contain a '{key}' key with data")]
    MissingKey { secret: String, key: String },
    #[error(
        "KubeConfig secret '{0}' does not contain a '{DEFAULT_KEY}' or '{DEFAULT_KEY_WITH_EXTENSION}' key with data"
    )]
    MissingDefaultKeys(String),
    #[error("failed to load KubeConfig from secret '{secret}'")]
    Load { secret: String, source: Problem },
}

/// What is wrong with a kubeconfig.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Problem {
    #[error("it is not valid YAML (line {0})")]
    NotYaml(usize),
    #[error("it is not a kubeconfig: {0}")]
    NotKubeconfig(&'static str),
    #[error("its current-context is not set")]
    NoContext,
    #[error("{0} is not in it")]
    Missing(&'static str),
    #[error("{0} is not a text of the form that it has in a kubeconfig")]
    Malformed(&'static str),
    #[error(
        "users[].user.{0} is not supported: no program is run for credentials; use a token or a client certificate"
    )]
    Program(&'static str),
    #[error("{field} names a file, and no file is read for a kubeconfig of a Secret; put the data in {instead}")]
    File { field: &'static str, instead: &'static str },
    #[error("users[].user.{0} is not supported; set spec.serviceAccountName to act as somebody else")]
    Impersonation(&'static str),
    #[error("clusters[].cluster.proxy-url is not supported")]
    Proxy,
    #[error("the server's address is one that is not connected to: it is link-local, or a cloud's metadata service")]
    Address,
    #[error("its certificates or keys cannot be used")]
    Credentials,
}

/// Picks the kubeconfig out of a Secret's data: that of the key that is asked for, else of `value` or `value.yaml`.
pub fn pick<'d>(secret: &str, data: &'d BTreeMap<String, Vec<u8>>, key: Option<&str>) -> Result<&'d [u8], Error> {
    match key.filter(|key| !key.is_empty()) {
        Some(key) => {
            let missing = || Error::MissingKey { secret: secret.to_owned(), key: key.to_owned() };
            data.get(key).map(Vec::as_slice).ok_or_else(missing)
        }
        None => [DEFAULT_KEY, DEFAULT_KEY_WITH_EXTENSION]
            .iter()
            .find_map(|key| data.get(*key))
            .map(Vec::as_slice)
            .ok_or_else(|| Error::MissingDefaultKeys(secret.to_owned())),
    }
}

/// Tells whether nothing is to be connected to at an address, whoever asks.
pub fn is_forbidden_address(address: IpAddr) -> bool {
    let address = address.to_canonical();
    let reserved = match address {
        IpAddr::V4(v4) => v4.is_link_local() || v4.is_unspecified() || v4.is_multicast() || v4.is_broadcast(),
        IpAddr::V6(v6) => v6.is_unicast_link_local() || v6.is_unspecified() || v6.is_multicast(),
    };
    reserved || METADATA_ADDRESSES.contains(&address)
}

/// Reads a kubeconfig's current context.
pub async fn read(text: &[u8], allowed: Allowed) -> Result<Config, Problem> {
    let root = match yaml::parse(text) {
        Ok(Value::Object(root)) => Value::Object(root),
        Ok(_) => return Err(Problem::NotKubeconfig("its text is not a mapping")),
        Err(yaml::Error::Syntax { line, .. }) => return Err(Problem::NotYaml(line)),
        Err(_) => return Err(Problem::NotYaml(1)),
    };
    if root.get("kind").is_some_and(|kind| kind != "Config") {
        return Err(Problem::NotKubeconfig("its kind is not Config"));
    }
    let name = text_of(&root, "current-context", "current-context")?.ok_or(Problem::NoContext)?;
    let context = entry(&root, "contexts", "context", &name)?.ok_or(Problem::Missing("the current context"))?;
    let cluster_name = text_of(context, "cluster", "contexts[].context.cluster")?;
    let cluster_name = cluster_name.ok_or(Problem::Missing("the cluster of the current context"))?;
    let cluster = entry(&root, "clusters", "cluster", &cluster_name)?;
    let cluster = cluster_of(cluster.ok_or(Problem::Missing("the cluster of the current context"))?, allowed)?;
    let user = match text_of(context, "user", "contexts[].context.user")? {
        Some(user) => {
            let found = entry(&root, "users", "user", &user)?;
            user_of(found.ok_or(Problem::Missing("the user of the current context"))?)?
        }
        None => AuthInfo::default(),
    };
    config(cluster, user).await
}

/// Makes the configuration of a client. Errors about certificates do not quote them.
pub(super) async fn config(cluster: Cluster, user: AuthInfo) -> Result<Config, Problem> {
    let context = Context { cluster: "c".to_owned(), user: Some("u".to_owned()), ..Context::default() };
    let kubeconfig = Kubeconfig {
        clusters: vec![NamedCluster { name: "c".to_owned(), cluster: Some(cluster), ..NamedCluster::default() }],
        auth_infos: vec![NamedAuthInfo { name: "u".to_owned(), auth_info: Some(user), ..NamedAuthInfo::default() }],
        contexts: vec![NamedContext { name: "x".to_owned(), context: Some(context), ..NamedContext::default() }],
        current_context: Some("x".to_owned()),
        ..Kubeconfig::default()
    };
    // Whoever calls has checked all but the certificates, whose errors may quote them.
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
    let config = config.map_err(|_| Problem::Credentials)?;
    check_server(&config.cluster_url)?;
    Ok(config)
}

fn check_server(server: &http::Uri) -> Result<(), Problem> {
    let malformed = || Problem::Malformed("clusters[].cluster.server");
    if !matches!(server.scheme_str(), Some("https" | "http")) {
        return Err(malformed());
    }
    let host = server.host().filter(|host| !host.is_empty()).ok_or_else(malformed)?;
    let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    if literal.is_ok_and(is_forbidden_address) { Err(Problem::Address) } else { Ok(()) }
}

/// Finds an entry of one of the lists by its name.
fn entry<'r>(root: &'r Value, list: &str, part: &'static str, name: &str) -> Result<Option<&'r Value>, Problem> {
    let items = match root.get(list) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Array(items)) => items,
        Some(_) => return Err(Problem::NotKubeconfig("clusters, contexts and users are lists")),
    };
    let found = items.iter().find(|item| item.get("name").and_then(Value::as_str) == Some(name));
    Ok(found.and_then(|item| item.get(part)))
}

/// Reads a text; none where it is not given, or empty.
fn text_of(tree: &Value, key: &str, path: &'static str) -> Result<Option<String>, Problem> {
    match tree.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone()).filter(|text| !text.is_empty())),
        Some(_) => Err(Problem::Malformed(path)),
    }
}

/// Reads what is data in base64; none where it is not given, or empty.
fn data_of(tree: &Value, key: &str, path: &'static str) -> Result<Option<String>, Problem> {
    let text = text_of(tree, key, path)?;
    if text.as_ref().is_some_and(|text| BASE64_STANDARD.decode(text).is_err()) {
        return Err(Problem::Malformed(path));
    }
    Ok(text)
}

fn is_set(tree: &Value, key: &str) -> bool {
    match tree.get(key) {
        None | Some(Value::Null) => false,
        Some(Value::String(text)) => !text.is_empty(),
        Some(Value::Array(items)) => !items.is_empty(),
        Some(Value::Object(fields)) => !fields.is_empty(),
        Some(_) => true,
    }
}

fn cluster_of(tree: &Value, allowed: Allowed) -> Result<Cluster, Problem> {
    let server =
        text_of(tree, "server", "clusters[].cluster.server")?.ok_or(Problem::Missing("the cluster's server"))?;
    let data = data_of(tree, "certificate-authority-data", "clusters[].cluster.certificate-authority-data")?;
    if data.is_none() && is_set(tree, "certificate-authority") {
        let instead = "certificate-authority-data";
        return Err(Problem::File { field: "clusters[].cluster.certificate-authority", instead });
    }
    if is_set(tree, "proxy-url") {
        return Err(Problem::Proxy);
    }
    let asks_for_insecure = match tree.get("insecure-skip-tls-verify") {
        None | Some(Value::Null) => false,
        Some(Value::Bool(asks)) => *asks,
        Some(_) => return Err(Problem::Malformed("clusters[].cluster.insecure-skip-tls-verify")),
    };
    if server.parse::<http::Uri>().is_err() {
        return Err(Problem::Malformed("clusters[].cluster.server"));
    }
    Ok(Cluster {
        server: Some(server),
        certificate_authority_data: data,
        // As under Flux, the certificate is checked all the same unless the flag allows to leave that out.
        insecure_skip_tls_verify: Some(asks_for_insecure && allowed.insecure_tls),
        tls_server_name: text_of(tree, "tls-server-name", "clusters[].cluster.tls-server-name")?,
        ..Cluster::default()
    })
}

fn user_of(tree: &Value) -> Result<AuthInfo, Problem> {
    for program in ["exec", "auth-provider"] {
        if is_set(tree, program) {
            return Err(Problem::Program(program));
        }
    }
    for other in ["as", "as-uid", "as-groups", "as-user-extra"] {
        if is_set(tree, other) {
            return Err(Problem::Impersonation(other));
        }
    }
    let token = text_of(tree, "token", "users[].user.token")?;
    let certificate = data_of(tree, "client-certificate-data", "users[].user.client-certificate-data")?;
    let key = data_of(tree, "client-key-data", "users[].user.client-key-data")?;
    let files = [
        ("tokenFile", "users[].user.tokenFile", "token", token.is_some()),
        ("client-certificate", "users[].user.client-certificate", "client-certificate-data", certificate.is_some()),
        ("client-key", "users[].user.client-key", "client-key-data", key.is_some()),
    ];
    for (file, field, instead, is_given) in files {
        // Data wins over a file of the same, as everywhere; only a file alone would have to be read.
        if !is_given && is_set(tree, file) {
            return Err(Problem::File { field, instead });
        }
    }
    Ok(AuthInfo {
        username: text_of(tree, "username", "users[].user.username")?,
        password: text_of(tree, "password", "users[].user.password")?.map(Into::into),
        token: token.map(Into::into),
        client_certificate_data: certificate,
        client_key_data: key.map(Into::into),
        ..AuthInfo::default()
    })
}

#[cfg(test)]
#[path = "kubeconfig_tests.rs"]
mod tests;
