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

/// Keeps a text that consists of `key=value`, separated by commas.
pub(super) fn check_pairs(text: &str) -> Result<String, String> {
    match text.split(',').find(|pair| !pair.contains('=')) {
        Some(pair) if !text.is_empty() => Err(format!("{pair} must be formatted as key=value")),
        _ => Ok(text.to_owned()),
    }
}

/// Keeps the name of a way to wait.
pub(super) fn check_wait(text: &str) -> Result<String, String> {
    match text {
        "watcher" | "hookOnly" | "legacy" | "true" | "false" => Ok(text.to_owned()),
        _ => Err(format!("invalid wait input {}. Valid inputs are watcher, hookOnly, and legacy", quote(text))),
    }
}
