//! Which way of applying an action uses, and what goes with it.

use std::time::Duration;

use bowline::{
    api::{Duration as Given, HelmRelease},
    cluster::apply::ApplyMethod,
    reconcile::release::{
        method, post_render,
        target::{self, ActionKind},
    },
};
use helm::{post_render::Strategy, release::ApplyMethod as Recorded};
use serde_json::{Map, Value, json};

use super::fields::{Fields, object, same};

fn kind(action: &str) -> Result<ActionKind, String> {
    Ok(match action {
        "install" => ActionKind::Install,
        "upgrade" => ActionKind::Upgrade,
        "rollback" => ActionKind::Rollback,
        "test" => ActionKind::Test,
        "uninstall" => ActionKind::Uninstall,
        other => return Err(format!("action '{other}' is not known")),
    })
}

/// Reads what a record says of its way; an empty text is none.
fn recorded(text: Option<String>) -> Result<Option<Recorded>, String> {
    let text = text.filter(|text| !text.is_empty());
    text.map(|text| serde_json::from_value(json!(text)).map_err(|error| error.to_string())).transpose()
}

/// Fields of the action's settings that a row may give.
const SETTINGS: [&str; 6] =
    ["serverSideApply", "disableTakeOwnership", "force", "timeout", "replace", "disableOpenAPIValidation"];

struct Asked {
    object: HelmRelease,
    action: String,
    method: ApplyMethod,
}

fn asked(input: &mut Fields) -> Result<Asked, String> {
    let action: String = input.get("action")?.unwrap_or_else(|| "install".to_owned());
    // The defaults of Helm 3 are asked for by the fields themselves: there is no gate that could change these.
    if let Some(gate) = input.given::<String>("gate")? {
        same("gate", gate.as_str(), "UseHelm3Defaults")?;
    }
    let mut settings = Map::new();
    for key in SETTINGS {
        if let Some(value) = input.given::<Value>(key)? {
            settings.insert(key.to_owned(), value);
        }
    }
    let mut spec: Value = input.given("spec")?.unwrap_or_else(|| json!({}));
    for (key, field) in [("spec.timeout", "timeout"), ("postRenderStrategy", "postRenderStrategy")] {
        if let Some(value) = input.given::<Value>(key)? {
            spec[field] = value;
        }
    }
    if !settings.is_empty() {
        spec[action.as_str()] = Value::Object(settings);
    }
    let object = object("ns", "app", &spec)?;
    let last = recorded(input.given("last_release.apply_method")?)?;
    let to = recorded(input.given("target.apply_method")?)?;
    let method = match kind(&action)? {
        ActionKind::Install => method::of_install(&object),
        ActionKind::Rollback => method::of_rollback(&object, to),
        _ => method::of_upgrade(&object, last),
    };
    Ok(Asked { object, action, method })
}

pub fn apply_method(_: &str, input: &mut Fields, expect: &mut Fields) -> Result<(), String> {
    let Asked { object, action, method } = asked(input)?;
    let strategy = match post_render::strategy(&object) {
        Strategy::Combined => "combined",
        Strategy::Separate => "separate",
        Strategy::NoHooks => "nohooks",
    };
    expect.holds("strategy", &strategy.to_owned())?;
    let spec = &object.spec;
    let server_side = method == ApplyMethod::ServerSide;
    expect.holds("server_side", &server_side)?;
    // A server-side apply is always forced, and then nothing is replaced.
    expect.holds("force_conflicts", &server_side)?;
    let force = match kind(&action)? {
        ActionKind::Upgrade => spec.upgrade.as_ref().is_some_and(|upgrade| upgrade.force),
        ActionKind::Rollback => spec.rollback.as_ref().is_some_and(|rollback| rollback.force),
        _ => false,
    };
    expect.holds("force_replace", &(force && !server_side))?;
    expect
        .holds("apply_method", &serde_json::to_value(method::recorded(method)).map_err(|error| error.to_string())?)?;
    let keeps_off = match kind(&action)? {
        ActionKind::Install => spec.install.as_ref().is_some_and(|install| install.disable_take_ownership),
        _ => spec.upgrade.as_ref().is_some_and(|upgrade| upgrade.disable_take_ownership),
    };
    expect.holds("take_ownership", &!keeps_off)?;
    let Some(text) = expect.get::<String>("timeout")? else { return Ok(()) };
    let expected = text.parse::<Given>().map_err(|error| error.to_string())?.get_or(Duration::ZERO);
    same("timeout", &target::timeout(&object, kind(&action)?), &expected)
}
