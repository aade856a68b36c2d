//! Names of objects within other objects, put right after a patch has renamed an object, as kustomize does it.

use std::sync::LazyLock;

use serde_json::Value;

use super::resources::{Error, Id, Resource};

/// Where a kind is named.
struct Reference {
    named: Kind,
    by: Kind,
    path: Vec<String>,
}

/// A kind; what is not said is any.
struct Kind {
    group: Option<String>,
    version: Option<String>,
    name: String,
}

impl Kind {
    fn selects(&self, id: &Id) -> bool {
        let is = |wanted: &Option<String>, found: &str| wanted.as_ref().is_none_or(|wanted| wanted == found);
        is(&self.group, &id.group) && is(&self.version, &id.version) && self.name == id.kind
    }
}

static REFERENCES: LazyLock<Vec<Reference>> = LazyLock::new(|| read(include_str!("references.txt")));

fn read(text: &str) -> Vec<Reference> {
    let kind = |words: &[&str]| {
        let given = |word: &str| (word != "-").then(|| word.to_owned());
        let [group, version, kind, ..] = words else { return None };
        Some(Kind { group: given(group), version: given(version), name: (*kind).to_owned() })
    };
    let mut named = Vec::new();
    let mut references = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let words: Vec<&str> = line.split_whitespace().collect();
        if !line.starts_with(' ') {
            named = words;
            continue;
        }
        if let (Some(named), Some(by), Some(path)) = (kind(&named), kind(&words), words.get(3)) {
            references.push(Reference { named, by, path: steps(path) });
        }
    }
    references
}

/// Splits a path at its slashes but for those behind a backslash.
fn steps(path: &str) -> Vec<String> {
    path.replace("\\/", "\0").split('/').map(|step| step.replace('\0', "/")).collect()
}

/// Puts the names right by which objects refer to those that patches have renamed.
pub fn update(resources: &mut [Resource]) -> Result<(), Error> {
    if resources.iter().all(|resource| resource.before.is_empty()) {
        return Ok(());
    }
    for at in 0..resources.len() {
        let first = resources[at].first_id();
        for reference in REFERENCES.iter().filter(|reference| reference.by.selects(&first)) {
            let mut tree = std::mem::take(&mut resources[at].tree);
            let referrer = Referrer {
                id: Id::of(&tree),
                role: role(&tree, reference),
                accounts_of: accounts_of(&tree),
                reference,
            };
            let updated = walk(&mut tree, &reference.path, &mut |node| referrer.set(node, (at, resources)));
            resources[at].tree = tree;
            updated?;
        }
    }
    Ok(())
}

/// Group and kind of the role that a binding is for, where that is what a reference is about.
fn role(tree: &Value, reference: &Reference) -> Option<(String, String)> {
    let is_role = reference.path.ends_with(&["roleRef".to_owned(), "name".to_owned()]);
    let text = |key: &str| tree["roleRef"][key].as_str().map(str::to_owned);
    if is_role { Some((text("apiGroup")?, text("kind")?)) } else { None }
}

/// Calls `set` for what a path leads to; lists on the way are taken item by item.
fn walk(node: &mut Value, path: &[String], set: &mut impl FnMut(&mut Value) -> Result<(), Error>) -> Result<(), Error> {
    match (node, path) {
        (Value::Array(items), [_, ..]) => items.iter_mut().try_for_each(|item| walk(item, path, set)),
        (Value::Object(fields), [first, rest @ ..]) => {
            fields.get_mut(first).map_or(Ok(()), |field| walk(field, rest, set))
        }
        (node, []) => set(node),
        _ => Ok(()),
    }
}

/// Returns the namespaces of the accounts that an object is a binding for.
fn accounts_of(tree: &Value) -> Vec<String> {
    let subjects = tree["subjects"].as_array().filter(|_| tree["kind"] == "RoleBinding");
    let accounts = subjects.into_iter().flatten().filter(|subject| subject["kind"] == "ServiceAccount");
    accounts.filter_map(|account| account["namespace"].as_str()).map(str::to_owned).collect()
}

/// An object that names others.
struct Referrer<'r> {
    id: Id,
    role: Option<(String, String)>,
    /// The namespaces of the accounts that a binding is for.
    accounts_of: Vec<String>,
    reference: &'r Reference,
}

impl Referrer<'_> {
    fn set(&self, node: &mut Value, of: (usize, &[Resource])) -> Result<(), Error> {
        match node {
            Value::Array(items) => items.iter_mut().try_for_each(|item| self.set_one(item, of)),
            node => self.set_one(node, of),
        }
    }

    fn set_one(&self, node: &mut Value, (own, resources): (usize, &[Resource])) -> Result<(), Error> {
        let others = resources.iter().enumerate().filter(|(at, _)| *at != own).map(|(_, other)| other);
        if let Value::String(name) = node {
            if let Some(found) = self.referral(name, others.collect(), |one, other| one.name == other.name)? {
                *name = found.name;
            }
            return Ok(());
        }
        let Some(fields) = node.as_object_mut() else { return Ok(()) };
        let Some(name) = fields.get("name").and_then(Value::as_str) else { return Ok(()) };
        let candidates = match fields.get("namespace").and_then(Value::as_str) {
            None => others.collect(),
            Some(namespace) => {
                let others: Vec<&Resource> = others.collect();
                let at_first: Vec<&Resource> = others
                    .iter()
                    .copied()
                    .filter(|other| other.first_id().effective_namespace() == namespace)
                    .collect();
                let now = |other: &&Resource| other.id().effective_namespace() == namespace;
                if at_first.is_empty() { others.into_iter().filter(now).collect() } else { at_first }
            }
        };
        let is_same = |one: &Id, other: &Id| one.name == other.name && one.namespace == other.namespace;
        if let Some(found) = self.referral(name, candidates, is_same)? {
            fields.insert("name".to_owned(), found.name.into());
            if !found.namespace.is_empty() {
                fields.insert("namespace".to_owned(), found.namespace.into());
            }
        }
        Ok(())
    }

    /// Finds the object that had a name before a patch; several are one only where they are the same now.
    fn referral(
        &self,
        name: &str,
        candidates: Vec<&Resource>,
        is_same: impl Fn(&Id, &Id) -> bool,
    ) -> Result<Option<Id>, Error> {
        let is_role = |id: &Id| self.role.as_ref().is_none_or(|(group, kind)| (&id.group, &id.kind) == (group, kind));
        let found: Vec<Id> = candidates
            .into_iter()
            .filter(|other| other.before.iter().any(|before| before.name == name))
            .filter(|other| other.before.iter().any(|before| self.reference.named.selects(before)))
            .filter(|other| other.before.iter().any(is_role))
            .map(Resource::id)
            .filter(|other| self.reaches(other))
            .collect();
        match found.split_first() {
            None => Ok(None),
            Some((first, rest)) if rest.iter().all(|other| is_same(first, other)) => Ok(Some(first.clone())),
            Some(_) => Err(Error::Ambiguous(found.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))),
        }
    }

    /// Tells whether the object may name the other one, by their namespaces. A binding names accounts of others.
    fn reaches(&self, other: &Id) -> bool {
        self.id.is_without_namespace()
            || other.is_without_namespace()
            || (other.kind == "ServiceAccount" && self.accounts_of.contains(&other.namespace))
            || self.id.effective_namespace() == other.effective_namespace()
    }
}
