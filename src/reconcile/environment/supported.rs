//! Which fields of the spec this version acts on. A field that decides where, as whom or what is applied stops the
//! object while it is not acted on: going on without it would apply something else than was asked for.

use crate::api::Kustomization;

/// Names the first field that is set and not acted on.
pub fn unsupported(object: &Kustomization) -> Option<&'static str> {
    let spec = &object.spec;
    let fields = [
        ("spec.kubeConfig", spec.kube_config.is_some()),
        ("spec.decryption", spec.decryption.is_some()),
        ("spec.postBuild", spec.post_build.is_some()),
        ("spec.patches", !spec.patches.is_empty()),
        ("spec.images", !spec.images.is_empty()),
        ("spec.components", !spec.components.is_empty()),
        ("spec.namePrefix", spec.name_prefix.is_some()),
        ("spec.nameSuffix", spec.name_suffix.is_some()),
        ("spec.buildMetadata", !spec.build_metadata.is_empty()),
        ("spec.ignore", !spec.ignore.is_empty()),
    ];
    fields.into_iter().find_map(|(field, is_set)| is_set.then_some(field))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_that_decide_what_is_applied_stop_the_object() {
        let rows = [
            (json!({}), None),
            (
                json!({"targetNamespace": "t", "force": true, "wait": true, "commonMetadata": {"labels": {"a": "b"}}}),
                None,
            ),
            (json!({"kubeConfig": {"secretRef": {"name": "k"}}}), Some("spec.kubeConfig")),
            (json!({"serviceAccountName": "a"}), None),
            (json!({"decryption": {"provider": "sops"}}), Some("spec.decryption")),
            (json!({"postBuild": {"substitute": {"a": "b"}}}), Some("spec.postBuild")),
            (json!({"patches": [{"patch": "x"}]}), Some("spec.patches")),
            (json!({"images": [{"name": "x"}]}), Some("spec.images")),
            (json!({"components": ["x"]}), Some("spec.components")),
            (json!({"namePrefix": "x-"}), Some("spec.namePrefix")),
        ];
        for (spec, expected) in rows {
            let mut full =
                json!({"interval": "1m", "prune": true, "sourceRef": {"kind": "GitRepository", "name": "s"}});
            json_patch::merge(&mut full, &spec);
            let object = Kustomization::new("a", serde_json::from_value(full).expect("spec"));
            assert_eq!(unsupported(&object), expected, "{spec}");
        }
    }
}
