//! Rows that are a whole reconcile, or an action of one: their state is set up on a control plane, the daemon sees the
//! object, and what its first run made of it is held against what the row expects.

mod charts;
mod hold;
mod played;
mod setup;
mod stage;
mod texts;

use futures::StreamExt as _;
use serde_json::{Map, Value};

use self::{played::Played, setup::Setup, stage::Stage};
use super::{Outcome, Row, fields::Fields, lists};

/// How many rows are played at one time.
const AT_ONCE: usize = 16;

/// Tells whether a row is played here.
pub fn is_whole(group: &str, input: &Map<String, Value>) -> bool {
    match group {
        // No API server fails to tell whether an account exists and answers all else.
        "delete" => input.get("serviceAccountName").and_then(Value::as_str) != Some("read error"),
        "scenario" | "controller" | "uninstall" | "crds" | "inventory" => true,
        "install" | "upgrade" | "rollback" | "uninstall-remediation" => true,
        "test" => !input.contains_key("hooks"),
        "unlock" => input.contains_key("storage_error") || is_pending(input),
        "next-action" | "verify" => input.contains_key("storage_error"),
        "chart-template" => input.contains_key("deletionTimestamp") || input.contains_key("status"),
        _ => false,
    }
}

/// Tells whether the newest release of a row is a pending one; a row that names no release means one that is.
fn is_pending(input: &Map<String, Value>) -> bool {
    match input.get("releases").and_then(Value::as_array) {
        None => true,
        Some(releases) => releases.last().and_then(Value::as_str).is_some_and(|release| release.contains("pending")),
    }
}

/// Holds that all keys were looked at.
fn fields_done(what: &str, fields: &Fields) -> Result<(), String> {
    let left: Vec<&String> = fields.left().collect();
    if left.is_empty() { Ok(()) } else { Err(format!("{what}: keys that are not known: {left:?}")) }
}

/// Plays rows side by side; the outcomes are in their order.
pub fn run(rows: &[Row]) -> Vec<Outcome> {
    if rows.is_empty() {
        return Vec::new();
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let stage = std::sync::Arc::new(Stage::set().await);
        let plays = rows.iter().cloned().map(|row| {
            let stage = stage.clone();
            async move {
                let played = tokio::spawn(async move { one(&stage, &row).await });
                played.await.unwrap_or_else(|panic| Outcome::Failed(panic.to_string()))
            }
        });
        futures::stream::iter(plays).buffered(AT_ONCE).collect().await
    })
}

async fn one(stage: &Stage, row: &Row) -> Outcome {
    let namespace = stage.namespace(setup::refused(&row.input)).await;
    let mut input = Fields::new(row.input.clone());
    let setup = Setup::read(&row.group, &mut input, &namespace).and_then(|setup| {
        fields_done("input", &input)?;
        Ok(setup)
    });
    let played = match setup {
        Ok(setup) => Played::play(stage, setup).await,
        Err(error) => return Outcome::Failed(error),
    };
    let played = match played {
        Ok(played) => played,
        Err(error) => return Outcome::Failed(error),
    };
    let held = played.hold(stage, &row.group, &row.expect).await;
    let Some((ours, why)) = lists::ours(row) else {
        return match held {
            Ok(()) => Outcome::Passed(Vec::new()),
            Err(error) => Outcome::Failed(format!("{error}\n{}", played.story())),
        };
    };
    if held.is_ok() {
        return Outcome::Failed("is as Flux has it, and on the list of those that are not".to_owned());
    }
    match played.hold(stage, &row.group, &ours).await {
        Ok(()) => Outcome::Ours(why),
        Err(error) => Outcome::Failed(format!("{error}\n{}", played.story())),
    }
}
