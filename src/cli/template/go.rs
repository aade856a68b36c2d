//! Values of flags as Go's flags read them, with its words for what is wrong.

use helm::functions::durations;
use helm::functions::strconv::{self, NumberError};
use helm::quote::quote;

/// Reads a boolean.
pub(super) fn parse_bool(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
        _ => Err(format!("strconv.ParseBool: parsing {}: invalid syntax", quote(text))),
    }
}

fn reason<T>(error: &NumberError<T>) -> &'static str {
    match error {
        NumberError::Syntax => "invalid syntax",
        NumberError::Range(_) => "value out of range",
    }
}

/// Keeps a text that is an integer, in any of Go's bases.
pub(super) fn check_int(text: &str) -> Result<String, String> {
    match strconv::parse_int(text.as_bytes(), 0) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(format!("strconv.ParseInt: parsing {}: {}", quote(text), reason(&error))),
    }
}

/// Keeps a text that is a number.
pub(super) fn check_float(text: &str) -> Result<String, String> {
    match strconv::parse_float(text.as_bytes()) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(format!("strconv.ParseFloat: parsing {}: {}", quote(text), reason(&error))),
    }
}

/// Keeps a text that is a duration.
pub(super) fn check_duration(text: &str) -> Result<String, String> {
    durations::parse(text.as_bytes()).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

/// Keeps a text that consists of `key=value`, separated by commas; a single value may hold commas.
pub(super) fn check_pairs(text: &str) -> Result<String, String> {
    let mut pairs = text.split(',');
    let wrong = match text.matches('=').count() {
        0 => Some(text),
        1 => None,
        _ => pairs.find(|pair| !pair.contains('=')),
    };
    wrong.map_or_else(|| Ok(text.to_owned()), |wrong| Err(format!("{wrong} must be formatted as key=value")))
}

/// Refuses every name of a post-renderer, since there are no plugins.
pub(super) fn check_post_renderer(name: &str) -> Result<String, String> {
    if name.is_empty() {
        return Ok(String::new());
    }
    Err(format!("plugin: {{Name:{name} Type:postrenderer/v1}} not found"))
}

/// Keeps the name of a way to wait.
pub(super) fn check_wait(text: &str) -> Result<String, String> {
    match text {
        "watcher" | "hookOnly" | "legacy" | "true" | "false" => Ok(text.to_owned()),
        _ => Err(format!("invalid wait input {}. Valid inputs are watcher, hookOnly, and legacy", quote(text))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_and_post_renderers_are_read_as_helm_reads_them() {
        let pairs = |text: &str| check_pairs(text).err();
        assert_eq!(pairs("a=b,c"), None);
        assert_eq!(pairs("a=b,c=d"), None);
        assert_eq!(pairs("a=b,c=d,e").as_deref(), Some("e must be formatted as key=value"));
        assert_eq!(pairs("").as_deref(), Some(" must be formatted as key=value"));
        assert_eq!(check_post_renderer(""), Ok(String::new()));
        let missing = "plugin: {Name:cat Type:postrenderer/v1} not found";
        assert_eq!(check_post_renderer("cat"), Err(missing.to_string()));
    }
}
