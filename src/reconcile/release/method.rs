//! Which way of applying an action uses, as Flux chooses it: what the spec asks for, else that of the release before.

use helm::release::ApplyMethod as Recorded;

use crate::{
    api::{HelmRelease, helm_release::ServerSideApplyMode},
    cluster::apply::ApplyMethod,
};

/// Returns the way of an install: server-side, if not asked otherwise.
pub fn of_install(object: &HelmRelease) -> ApplyMethod {
    match object.spec.install.as_ref().and_then(|install| install.server_side_apply) {
        Some(false) => ApplyMethod::ClientSide,
        Some(true) | None => ApplyMethod::ServerSide,
    }
}

/// Returns the way of an upgrade. `last` is what the newest revision's record says.
pub fn of_upgrade(object: &HelmRelease, last: Option<Recorded>) -> ApplyMethod {
    chosen(object.spec.upgrade.as_ref().and_then(|upgrade| upgrade.server_side_apply.as_ref()), last)
}

/// Returns the way of a rollback. `to` is what the record of the revision says that is gone back to.
pub fn of_rollback(object: &HelmRelease, to: Option<Recorded>) -> ApplyMethod {
    chosen(object.spec.rollback.as_ref().and_then(|rollback| rollback.server_side_apply.as_ref()), to)
}

fn chosen(mode: Option<&ServerSideApplyMode>, recorded: Option<Recorded>) -> ApplyMethod {
    match mode {
        Some(ServerSideApplyMode::Enabled) => ApplyMethod::ServerSide,
        Some(ServerSideApplyMode::Disabled) => ApplyMethod::ClientSide,
        Some(ServerSideApplyMode::Auto | ServerSideApplyMode::Unknown(_)) | None => of_record(recorded),
    }
}

/// Returns the way that a record says; one without it was applied client-side, as all of Helm 3's were.
pub fn of_record(recorded: Option<Recorded>) -> ApplyMethod {
    match recorded {
        Some(Recorded::ServerSide) => ApplyMethod::ServerSide,
        Some(Recorded::ClientSide) | None => ApplyMethod::ClientSide,
    }
}

/// Returns what a record says of a way.
pub fn recorded(method: ApplyMethod) -> Recorded {
    match method {
        ApplyMethod::ServerSide => Recorded::ServerSide,
        ApplyMethod::ClientSide => Recorded::ClientSide,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn object(spec: Value) -> HelmRelease {
        let mut full = json!({ "interval": "1m", "chartRef": { "kind": "HelmChart", "name": "c" } });
        json_patch::merge(&mut full, &spec);
        HelmRelease::new("r", serde_json::from_value(full).unwrap())
    }

    #[test]
    fn the_spec_decides_and_else_the_release_before() {
        use ApplyMethod::{ClientSide, ServerSide};
        assert_eq!(of_install(&object(json!({}))), ServerSide);
        assert_eq!(of_install(&object(json!({ "install": { "serverSideApply": false } }))), ClientSide);
        for (mode, recorded, expected) in [
            (None, None, ClientSide),
            (None, Some(Recorded::ServerSide), ServerSide),
            (Some("auto"), Some(Recorded::ClientSide), ClientSide),
            (Some("enabled"), Some(Recorded::ClientSide), ServerSide),
            (Some("disabled"), Some(Recorded::ServerSide), ClientSide),
        ] {
            let object =
                object(json!({ "upgrade": { "serverSideApply": mode }, "rollback": { "serverSideApply": mode } }));
            assert_eq!(of_upgrade(&object, recorded), expected, "{mode:?} {recorded:?}");
            assert_eq!(of_rollback(&object, recorded), expected, "{mode:?} {recorded:?}");
        }
    }
}
