//! Which fields of Kubernetes' own kinds are merged in which way: `x-kubernetes-patch-strategy` and
//! `x-kubernetes-patch-merge-key` as the API server publishes them, which come from the struct tags of its Go types.
//!
//! `rules.txt` holds them: first a line for each kind, `Kind.group = type`, then one for each type that has such a field
//! or leads to one, with those fields alone: `field=type@strategies/mergeKey/listMapKeys`. All versions of a kind have
//! the same rules. What is not named has the default: maps are merged, lists are replaced.

use std::{collections::HashMap, sync::LazyLock};

static RULES: LazyLock<Rules> = LazyLock::new(|| Rules::parse(include_str!("rules.txt")));

#[derive(Default)]
struct Rules {
    /// Type names by kind and group, `Deployment.apps`, and `Pod` in the core group.
    kinds: HashMap<&'static str, &'static str>,
    types: HashMap<&'static str, HashMap<&'static str, Field>>,
}

/// How one field is merged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Field {
    /// The list is merged with what is there (by [`Self::merge_key`], or as a set), where it would be replaced.
    pub merge: bool,
    /// The map is replaced, where it would be merged.
    pub replace: bool,
    /// Keys of the map, or of an item of the list, that the change does not name are taken away.
    pub retain_keys: bool,
    /// The field by which items of the list are told apart; `None` for lists of scalars.
    pub merge_key: Option<&'static str>,
    /// The fields by which server-side apply and kustomize tell the items apart, where that is not the merge key alone.
    pub list_map_keys: Vec<&'static str>,
    of: Option<&'static str>,
}

impl Field {
    /// Returns the rules within the field's value, or within one item where it is a list.
    pub fn inner(&self) -> Type {
        Type(self.of)
    }

    fn parse(text: &'static str) -> (&'static str, Self) {
        let (name, rule) = text.split_once('@').unwrap_or((text, ""));
        let (name, of) = name.split_once('=').map_or((name, None), |(name, of)| (name, Some(of)));
        let mut parts = rule.split('/');
        let strategies = parts.next().unwrap_or_default();
        let has = |strategy| strategies.split('+').any(|found| found == strategy);
        let field = Self {
            merge: has("merge"),
            replace: has("replace"),
            retain_keys: has("retainKeys"),
            merge_key: parts.next(),
            list_map_keys: parts.next().map(|keys| keys.split('+').collect()).unwrap_or_default(),
            of,
        };
        (name, field)
    }
}

/// A type of Kubernetes' API, as far as merging goes; the default one has no rules.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Type(Option<&'static str>);

impl Type {
    /// Returns the type of one of Kubernetes' own kinds; `None` for all others.
    pub fn of_kind(group: &str, kind: &str) -> Option<Self> {
        let found =
            if group.is_empty() { RULES.kinds.get(kind) } else { RULES.kinds.get(format!("{kind}.{group}").as_str()) };
        found.map(|name| Self(Some(name)))
    }

    /// Returns how a field is merged.
    pub fn field(self, name: &str) -> &'static Field {
        static DEFAULT: LazyLock<Field> = LazyLock::new(Field::default);
        let found = self.0.and_then(|of| RULES.types.get(of)).and_then(|fields| fields.get(name));
        found.unwrap_or_else(|| &*DEFAULT)
    }

    /// Returns how the field at the end of a path is merged; lists on the way are passed by their field's name alone.
    pub fn at(self, path: &[&str]) -> &'static Field {
        let (last, way) = path.split_last().unwrap_or((&"", &[]));
        way.iter().fold(self, |of, name| of.field(name).inner()).field(last)
    }
}

impl Rules {
    fn parse(text: &'static str) -> Self {
        let mut rules = Self::default();
        for line in text.lines() {
            if let Some((kind, of)) = line.split_once(" = ") {
                rules.kinds.insert(kind, of);
            } else if let Some((of, fields)) = line.split_once(": ") {
                rules.types.insert(of, fields.split(' ').map(Field::parse).collect());
            }
        }
        rules
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_merged_as_their_go_types_say() {
        let key = |group, kind, path: &[&str]| {
            let field = Type::of_kind(group, kind).expect(kind).at(path);
            (field.merge, field.retain_keys, field.replace, field.merge_key)
        };
        let containers = ["spec", "template", "spec", "containers"];
        assert_eq!(key("apps", "Deployment", &containers), (true, false, false, Some("name")));
        let env = [containers.as_slice(), &["env"]].concat();
        assert_eq!(key("apps", "StatefulSet", &env), (true, false, false, Some("name")));
        assert_eq!(key("", "Pod", &["spec", "volumes"]), (true, true, false, Some("name")));
        assert_eq!(key("apps", "Deployment", &["spec", "strategy"]), (false, true, false, None));
        assert_eq!(key("policy", "PodDisruptionBudget", &["spec", "selector"]), (false, false, true, None));
        assert_eq!(key("", "ConfigMap", &["metadata", "finalizers"]), (true, false, false, None));
        let tolerations = ["spec", "jobTemplate", "spec", "template", "spec", "tolerations"];
        assert_eq!(key("batch", "CronJob", &tolerations), (false, false, false, None));
    }

    #[test]
    fn the_keys_of_server_side_apply_are_there_where_they_differ() {
        let service = Type::of_kind("", "Service").expect("Service");
        assert_eq!(service.at(&["spec", "ports"]).list_map_keys, ["port", "protocol"]);
        assert!(service.at(&["metadata", "ownerReferences"]).list_map_keys.is_empty());
    }

    #[test]
    fn other_kinds_have_no_rules() {
        assert_eq!(Type::of_kind("example.com", "Deployment"), None);
        assert_eq!(Type::of_kind("", "Deployment"), None);
        assert_eq!(Type::of_kind("apps", "Pod.apps"), None);
    }

    #[test]
    fn every_type_that_is_named_is_there() {
        let named = RULES.types.values().flat_map(HashMap::values).filter_map(|field| field.of);
        for of in named.chain(RULES.kinds.values().copied()) {
            assert!(RULES.types.contains_key(of), "{of}");
        }
        assert!(RULES.kinds.len() > 60);
    }
}
