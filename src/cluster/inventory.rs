//! Flux's inventory ids: `<namespace>_<name>_<group>_<kind>`.

use thiserror::Error;

use super::object::ObjectId;

/// Group of the kinds whose names may hold a colon, which an id writes as two underscores.
const RBAC_GROUP: &str = "rbac.authorization.k8s.io";
const RBAC_KINDS: [&str; 4] = ["Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"];

/// An id that does not hold four fields.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("unable to parse stored object metadata: {0}")]
pub struct InvalidId(String);

/// Writes the id that status.inventory uses.
pub fn format_id(id: &ObjectId) -> String {
    let rbac = id.group == RBAC_GROUP && RBAC_KINDS.contains(&id.kind.as_str());
    let name = if rbac { id.name.replace(':', "__") } else { id.name.clone() };
    format!("{}_{}_{}_{}", id.namespace, name, id.group, id.kind)
}

/// Reads an id of status.inventory.
pub fn parse_id(text: &str) -> Result<ObjectId, InvalidId> {
    let invalid = || InvalidId(text.to_owned());
    let (namespace, rest) = text.split_once('_').ok_or_else(invalid)?;
    let (rest, kind) = rest.rsplit_once('_').ok_or_else(invalid)?;
    let (name, group) = rest.rsplit_once('_').ok_or_else(invalid)?;
    Ok(ObjectId {
        group: group.to_owned(),
        kind: kind.to_owned(),
        namespace: namespace.to_owned(),
        name: name.replace("__", ":"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(group: &str, kind: &str, namespace: &str, name: &str) -> ObjectId {
        ObjectId { group: group.into(), kind: kind.into(), namespace: namespace.into(), name: name.into() }
    }

    #[test]
    fn ids_are_those_that_flux_writes() {
        let rows = [
            (id("apps", "Deployment", "ns", "app"), "ns_app_apps_Deployment"),
            (id("", "ConfigMap", "ns", "cfg"), "ns_cfg__ConfigMap"),
            (id(RBAC_GROUP, "ClusterRole", "", "r"), "_r_rbac.authorization.k8s.io_ClusterRole"),
            (id(RBAC_GROUP, "ClusterRole", "", "system:x"), "_system__x_rbac.authorization.k8s.io_ClusterRole"),
            (id(RBAC_GROUP, "RoleBinding", "n", "a:b:c"), "n_a__b__c_rbac.authorization.k8s.io_RoleBinding"),
        ];
        for (object, text) in rows {
            assert_eq!(format_id(&object), text);
            assert_eq!(parse_id(text).expect("valid"), object);
        }
    }

    #[test]
    fn an_id_with_too_few_fields_is_refused() {
        for text in ["", "a", "a_b", "a_b_c"] {
            assert_eq!(parse_id(text), Err(InvalidId(text.to_owned())), "{text}");
        }
    }
}
