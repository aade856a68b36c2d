//! Where, and as whom, a release is applied: what is taken of a Secret, and what an uninstall does that cannot begin.

use std::collections::BTreeMap;

use bowline::{
    cluster::{
        accounts::Unusable,
        connection::ServiceAccount,
        kubeconfig::{self, Allowed},
    },
    reconcile::release::connect,
};
use serde_json::Value;

use super::fields::{Fields, check, same};

/// A kubeconfig that is good, which `…` stands for.
pub const GOOD: &str = "apiVersion: v1\nkind: Config\ncurrent-context: there\n\
    contexts: [{name: there, context: {cluster: c, user: u}}]\n\
    clusters: [{name: c, cluster: {server: 'https://127.0.0.1:1'}}]\nusers: [{name: u, user: {token: t}}]\n";

fn read(text: &[u8]) -> Result<(), kubeconfig::Problem> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(kubeconfig::read(text, Allowed::default())).map(|_| ())
}

pub fn kubeconfig(_: &str, input: &mut Fields, expect: &mut Fields) -> Result<(), String> {
    let secret: BTreeMap<String, String> = input.need("secret")?;
    // Each key's text is told apart by a comment.
    let text = |key: &String, value: &String| match value.as_str() {
        "…" => format!("{GOOD}# {key}\n"),
        other => other.to_owned(),
    };
    let data: BTreeMap<_, _> = secret.iter().map(|(key, value)| (key.clone(), text(key, value).into_bytes())).collect();
    let key: Option<String> = input.given("key")?;
    let found = kubeconfig::pick("default/kubeconfig", &data, key.as_deref());
    let found = found.map_err(|error| error.to_string()).and_then(|text| {
        read(text).map_err(|problem| problem.to_string())?;
        Ok(data.iter().find(|(_, data)| *data == text).map(|(key, _)| key.clone()).unwrap_or_default())
    });
    if let Some(uses) = expect.get::<String>("uses")? {
        same("uses", &found, &Ok(uses))?;
    }
    match (expect.get::<Value>("error")?, found) {
        (None | Some(Value::Null | Value::Bool(false)), Ok(_)) => Ok(()),
        (Some(Value::Bool(true)), Err(_)) => Ok(()),
        (Some(Value::String(part)), Err(error)) => check(error.contains(&part), || format!("error is {error:?}")),
        (expected, found) => Err(format!("error: expected {expected:?}, found {found:?}")),
    }
}

/// A deletion for which it cannot be told whether the account exists.
pub fn delete(_: &str, input: &mut Fields, expect: &mut Fields) -> Result<(), String> {
    same("serviceAccountName", input.need::<String>("serviceAccountName")?.as_str(), "read error")?;
    input.given::<Value>("deletionTimestamp")?;
    let account = ServiceAccount { namespace: "default".to_owned(), name: "account".to_owned() };
    let source = kube::Error::Api(kube::core::Status::failure("read error", "InternalError").with_code(500).boxed());
    let unconfirmed = Unusable::Unconfirmed { account, purpose: "uninstall release", source };
    let error = connect::Error::Account(unconfirmed);
    expect.holds("finalizer", &if error.is_gone() { "removed" } else { "kept" }.to_owned())?;
    expect.holds("helm", &"kept".to_owned())?;
    let obstacle = error.uninstall_obstacle();
    for condition in expect.get::<Vec<Value>>("conditions")?.unwrap_or_default() {
        same("type", condition["type"].as_str().unwrap_or_default(), "Ready")?;
        same("status", condition["status"].as_str().unwrap_or_default(), "False")?;
        same("reason", condition["reason"].as_str().unwrap_or_default(), obstacle.reason)?;
        let part = condition["message_contains"].as_str().unwrap_or_default();
        check(obstacle.message.contains(part), || format!("message is {:?}", obstacle.message))?;
    }
    Ok(())
}
