//! Which objects a kustomize selector means: regular expressions over group, version, kind, name and namespace, and
//! selectors on labels and annotations in kubectl's syntax.

use regex::{Regex, RegexBuilder};
use serde_json::Value;

use super::object;
use crate::api::kustomize::Selector;

/// The largest compiled form of one expression, in bytes; a larger one is refused.
const REGEX_LIMIT: usize = 1 << 20;

/// A selector that means nothing.
#[derive(Debug, thiserror::Error)]
pub enum SelectorError {
    #[error("invalid {field} regex")]
    Regex {
        field: &'static str,
        #[source]
        source: regex::Error,
    },
    #[error("invalid {field} selector: {text:?}")]
    Labels { field: &'static str, text: String },
}

/// A selector that is ready to be asked. Fields that are not given select all.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    group: Option<Regex>,
    version: Option<Regex>,
    kind: Option<Regex>,
    name: Option<Regex>,
    namespace: Option<Regex>,
    labels: Vec<Requirement>,
    annotations: Vec<Requirement>,
}

/// One part of a selector on labels.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Requirement {
    key: String,
    operator: Operator,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Operator {
    Exists,
    Absent,
    In(Vec<String>),
    NotIn(Vec<String>),
    Greater(i64),
    Less(i64),
}

impl Selection {
    /// Reads a selector.
    pub fn of(selector: &Selector) -> Result<Self, SelectorError> {
        Ok(Self {
            group: anchored("group", selector.group.as_deref())?,
            version: anchored("version", selector.version.as_deref())?,
            kind: anchored("kind", selector.kind.as_deref())?,
            name: anchored("name", selector.name.as_deref())?,
            namespace: anchored("namespace", selector.namespace.as_deref())?,
            labels: requirements("label", selector.label_selector.as_deref())?,
            annotations: requirements("annotation", selector.annotation_selector.as_deref())?,
        })
    }

    /// Tells whether an object is meant.
    pub fn selects(&self, tree: &Value) -> bool {
        let (group, version) = object::split_api_version(object::api_version(tree).unwrap_or_default());
        let fields = [
            (&self.group, group),
            (&self.version, version),
            (&self.kind, object::kind(tree).unwrap_or_default()),
            (&self.name, object::name(tree).unwrap_or_default()),
            (&self.namespace, object::namespace(tree).unwrap_or_default()),
        ];
        fields.iter().all(|(regex, text)| regex.as_ref().is_none_or(|regex| regex.is_match(text)))
            && self.labels.iter().all(|one| one.holds(&|key| object::label(tree, key)))
            && self.annotations.iter().all(|one| one.holds(&|key| object::annotation(tree, key)))
    }
}

fn anchored(field: &'static str, pattern: Option<&str>) -> Result<Option<Regex>, SelectorError> {
    let Some(pattern) = pattern.filter(|pattern| !pattern.is_empty()) else { return Ok(None) };
    let regex = RegexBuilder::new(&format!("^(?:{pattern})$")).size_limit(REGEX_LIMIT).build();
    regex.map(Some).map_err(|source| SelectorError::Regex { field, source })
}

impl Requirement {
    fn holds<'a>(&self, value: &impl Fn(&str) -> Option<&'a str>) -> bool {
        let found = value(&self.key);
        let number = || found.and_then(|found| found.parse::<i64>().ok());
        match &self.operator {
            Operator::Exists => found.is_some(),
            Operator::Absent => found.is_none(),
            Operator::In(values) => found.is_some_and(|found| values.iter().any(|value| value == found)),
            Operator::NotIn(values) => found.is_none_or(|found| values.iter().all(|value| value != found)),
            Operator::Greater(than) => number().is_some_and(|number| number > *than),
            Operator::Less(than) => number().is_some_and(|number| number < *than),
        }
    }
}

/// Reads a selector on labels: `a`, `!a`, `a=b`, `a==b`, `a!=b`, `a in (b, c)`, `a notin (b)`, `a>1`, `a<1`, and commas.
fn requirements(field: &'static str, text: Option<&str>) -> Result<Vec<Requirement>, SelectorError> {
    let Some(text) = text.filter(|text| !text.trim().is_empty()) else { return Ok(Vec::new()) };
    let wrong = || SelectorError::Labels { field, text: text.to_owned() };
    parts(text).ok_or_else(wrong)?.into_iter().map(|part| requirement(part).ok_or_else(wrong)).collect()
}

/// Divides at the commas outside of parentheses.
fn parts(text: &str) -> Option<Vec<&str>> {
    let (mut parts, mut from, mut is_inside) = (Vec::new(), 0, false);
    for (at, c) in text.char_indices() {
        match c {
            '(' if !is_inside => is_inside = true,
            ')' if is_inside => is_inside = false,
            '(' | ')' => return None,
            ',' if !is_inside => {
                parts.push(text[from..at].trim());
                from = at + 1;
            }
            _ => {}
        }
    }
    parts.push(text[from..].trim());
    (!is_inside).then_some(parts)
}

fn requirement(part: &str) -> Option<Requirement> {
    let is_key = |key: &str| {
        !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/'))
    };
    let made = |key: &str, operator| is_key(key).then(|| Requirement { key: key.to_owned(), operator });
    if let Some(listed) = part.strip_suffix(')') {
        let (head, values) = listed.split_once('(')?;
        let values = values.split(',').map(|value| value.trim().to_owned()).collect();
        let mut words = head.split_whitespace();
        return match (words.next(), words.next(), words.next()) {
            (Some(key), Some("in"), None) => made(key, Operator::In(values)),
            (Some(key), Some("notin"), None) => made(key, Operator::NotIn(values)),
            _ => None,
        };
    }
    if let Some((key, value)) = part.split_once("!=") {
        return made(key.trim(), Operator::NotIn(vec![value.trim().to_owned()]));
    }
    if let Some((key, value)) = part.split_once('=') {
        let value = value.strip_prefix('=').unwrap_or(value);
        return made(key.trim(), Operator::In(vec![value.trim().to_owned()]));
    }
    if let Some((key, value)) = part.split_once('>') {
        return made(key.trim(), Operator::Greater(value.trim().parse().ok()?));
    }
    if let Some((key, value)) = part.split_once('<') {
        return made(key.trim(), Operator::Less(value.trim().parse().ok()?));
    }
    match part.strip_prefix('!') {
        Some(key) => made(key.trim(), Operator::Absent),
        None => made(part, Operator::Exists),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;

    fn selects_labels(selector: &str, labels: &BTreeMap<String, String>) -> Result<bool, SelectorError> {
        let requirements = requirements("label", Some(selector))?;
        Ok(requirements.iter().all(|one| one.holds(&|key| labels.get(key).map(String::as_str))))
    }

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn selectors_on_labels_are_kubectls() {
        let of = labels(&[("app", "web"), ("tier", "3")]);
        let rows = [
            ("app", true),
            ("!app", false),
            ("!gone", true),
            ("app=web", true),
            ("app == web", true),
            ("app=api", false),
            ("app!=api", true),
            ("gone!=api", true),
            ("app in (api, web)", true),
            ("app notin (api,web)", false),
            ("gone notin (web)", true),
            ("tier>2", true),
            ("tier<2", false),
            ("app=web,tier=3", true),
            ("app in (web),!tier", false),
            ("", true),
        ];
        for (selector, expected) in rows {
            assert_eq!(selects_labels(selector, &of).unwrap(), expected, "{selector}");
        }
    }

    #[test]
    fn a_selector_that_means_nothing_is_refused() {
        for selector in ["a in b", "a in (b", "a)(", "=b", "a,,b", "a b", "a>b", "! "] {
            assert!(selects_labels(selector, &labels(&[])).is_err(), "{selector}");
        }
        let selector = Selector { name: Some("(".to_owned()), ..Selector::default() };
        assert_eq!(Selection::of(&selector).unwrap_err().to_string(), "invalid name regex");
    }

    #[test]
    fn expressions_are_held_against_the_whole_of_a_field() {
        let tree = json!({ "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": { "name": "web-1", "namespace": "shop", "labels": { "a": "b" }, "annotations": { "c": "d" } } });
        let some = |text: &str| Some(text.to_owned());
        let rows = [
            (Selector::default(), true),
            (Selector { name: some("web"), ..Selector::default() }, false),
            (Selector { name: some("web-.*"), kind: some("Deployment|StatefulSet"), ..Selector::default() }, true),
            (
                Selector { group: some("apps"), version: some("v1"), namespace: some("shop"), ..Selector::default() },
                true,
            ),
            (Selector { group: some("batch"), ..Selector::default() }, false),
            (Selector { label_selector: some("a=b"), annotation_selector: some("c"), ..Selector::default() }, true),
            (Selector { annotation_selector: some("c=x"), ..Selector::default() }, false),
        ];
        for (selector, expected) in rows {
            assert_eq!(Selection::of(&selector).unwrap().selects(&tree), expected, "{selector:?}");
        }
    }
}
