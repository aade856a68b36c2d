//! kubectl's `JSONPath`, as far as cases use it: names, quoted names, indexes and `[*]`.

use serde_json::Value;

/// Returns what is at a path; what is null counts as absent.
pub fn values<'a>(document: &'a Value, path: &str) -> Vec<&'a Value> {
    let mut rest = path.trim().trim_start_matches('{').trim_end_matches('}');
    let mut found = vec![document];
    while !rest.is_empty() {
        let step;
        (step, rest) = next(rest).unwrap_or_else(|| panic!("path {path} is not understood from {rest:?} on"));
        found = found.into_iter().flat_map(|value| step.of(value)).collect();
    }
    found.retain(|value| !value.is_null());
    found
}

enum Step {
    Name(String),
    Index(usize),
    All,
}

impl Step {
    fn of<'a>(&self, value: &'a Value) -> Vec<&'a Value> {
        match (self, value) {
            (Self::Name(name), _) => value.get(name).into_iter().collect(),
            (Self::Index(index), _) => value.get(index).into_iter().collect(),
            (Self::All, Value::Array(items)) => items.iter().collect(),
            (Self::All, Value::Object(fields)) => fields.values().collect(),
            (Self::All, _) => Vec::new(),
        }
    }
}

fn next(path: &str) -> Option<(Step, &str)> {
    if let Some(rest) = path.strip_prefix("[*]") {
        return Some((Step::All, rest));
    }
    if let Some(rest) = path.strip_prefix("['") {
        let (name, rest) = rest.split_once("']")?;
        return Some((Step::Name(name.to_owned()), rest));
    }
    if let Some(rest) = path.strip_prefix('[') {
        let (index, rest) = rest.split_once(']')?;
        return Some((Step::Index(index.parse().ok()?), rest));
    }
    let rest = path.strip_prefix('.')?;
    let (mut name, mut chars) = (String::new(), rest.char_indices());
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => name.push(chars.next()?.1),
            '.' | '[' => return Some((Step::Name(name), &rest[at..])),
            _ => name.push(c),
        }
    }
    Some((Step::Name(name), ""))
}

/// Writes values as kubectl prints them.
pub fn text(values: &[&Value]) -> String {
    let one = |value: &&Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    values.iter().map(one).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_path_finds_what_kubectl_would() {
    let document = serde_json::json!({"a": {"b.c": [{"d": 1}, {"d": "x"}, {"d": null}]}});
    for path in ["{.a.b\\.c[*].d}", "{.a['b.c'][*].d}"] {
        assert_eq!(text(&values(&document, path)), "1 x");
    }
    assert_eq!(text(&values(&document, ".a.b\\.c[1].d")), "x");
    assert!(values(&document, "{.a.nothing[0]}").is_empty());
}
