//! Which fields of the spec this version acts on.
//!
//! A field that decides where, as whom or what is applied stops the object while it is not acted on: going on without it
//! would apply something else than was asked for.

use super::obstacle::Obstacle;
use crate::api::HelmRelease;

/// Refuses an object with a field that decides where, as whom or what is applied and is not acted on.
pub fn check(object: &HelmRelease) -> Result<(), Obstacle> {
    let spec = &object.spec;
    if spec.chart.as_ref().is_some_and(|chart| chart.spec.verify.is_some()) {
        return Err(Obstacle::unsupported("spec.chart.spec.verify"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{api::reasons, reconcile::release::obstacle::Class};

    fn object(spec: serde_json::Value) -> HelmRelease {
        let mut full = json!({ "interval": "1m", "chart": { "spec": { "chart": "./c",
            "sourceRef": { "kind": "GitRepository", "name": "g" } } } });
        json_patch::merge(&mut full, &spec);
        HelmRelease::new("r", serde_json::from_value(full).unwrap())
    }

    #[test]
    fn a_field_that_decides_where_as_whom_or_what_stops_the_object() {
        assert!(check(&object(json!({}))).is_ok());
        for source in ["secretRef", "configMapRef"] {
            let elsewhere = json!({ "kubeConfig": { source: { "name": "k" } }, "serviceAccountName": "sa" });
            assert!(check(&object(elsewhere)).is_ok());
        }
        let verified = json!({ "chart": { "spec": { "verify": { "provider": "cosign" } } } });
        let obstacle = check(&object(verified)).unwrap_err();
        assert_eq!((obstacle.reason, obstacle.class), (reasons::UNSUPPORTED_FIELD, Class::Terminal));
        assert!(obstacle.message.starts_with("spec.chart.spec.verify"), "{}", obstacle.message);
    }
}
