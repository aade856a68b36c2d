//! `values.schema.json`: JSON Schema of every draft, with the messages that Helm prints.
//!
//! The rules and texts are those of santhosh-tekuri/jsonschema 6, which Helm 4 uses. Nothing is loaded from a network or a
//! disk: a reference to a document elsewhere accepts everything, and a notice says so. What Go's maps leave in random
//! order is in byte order here.

mod compile;
mod document;
mod failure;
mod format;
mod node;
mod number;
mod validate;

use serde_json::Value as Json;

use crate::chart::dependencies::Node;
use crate::notice::{Level, Notice};
use crate::value::{Map, Value};
pub use compile::Compiled;

/// The address under which Helm compiles a chart's schema.
const URL: &str = "file:///values.schema.json";

/// Checks the values of a chart, and those of each chart that it depends on, against their schemas. The error names all
/// that is wrong.
pub fn validate(node: &Node, values: &Map, notices: &mut Vec<Notice>) -> Result<(), String> {
    let mut text = String::new();
    collect(node, values, notices, &mut text);
    if text.is_empty() { Ok(()) } else { Err(text) }
}

fn collect(node: &Node, values: &Map, notices: &mut Vec<Notice>, text: &mut String) {
    if let Some(compiled) = node.chart().compiled_schema() {
        notices.push(Notice::new(Level::Debug, "chart name").with("chart-name", node.name()));
        notices.extend(compiled.notices().iter().cloned());
        let checked = match Value::Map(values.clone()).to_json() {
            Ok(values) => compiled.check(&values),
            Err(failure) => Err(failure.to_string()),
        };
        if let Err(error) = checked {
            text.push_str(node.name());
            text.push_str(":\n");
            text.push_str(&error);
        }
    }
    let count = node.children().len().to_string();
    let told = Notice::new(Level::Debug, "number of dependencies in the chart");
    notices.push(told.with("chart", node.name()).with("dependencies", count));
    for child in node.children() {
        match values.get(child.name().as_bytes()) {
            None | Some(Value::Nil) => {}
            Some(Value::Map(values)) => collect(child, &values, notices, text),
            Some(other) => {
                let found = other.type_name();
                text.push_str(child.name());
                text.push_str(":\ninvalid type for values: expected object (map), got ");
                text.push_str(&found);
                text.push('\n');
            }
        }
    }
}

/// Notes that a reference to another document was not followed.
fn unresolved(url: &str) -> Notice {
    if url.starts_with("urn:") {
        Notice::new(Level::Warn, "unresolved URN reference ignored; using permissive schema").with("urn", url)
    } else {
        Notice::new(Level::Warn, "schema in another document is not loaded; using permissive schema").with("url", url)
    }
}

/// Reads a schema's text with the errors of Go's streaming decoder, which words the end of a text in its own way.
fn parse(text: &[u8]) -> Result<Json, String> {
    crate::json::parse(text).map_err(|error| {
        let error = error.to_string();
        match error.as_str() {
            "unexpected end of JSON input" if text.trim_ascii().is_empty() => "EOF".to_string(),
            "unexpected end of JSON input" => "unexpected EOF".to_string(),
            other if other.ends_with("after top-level value") => "invalid character after top-level value".to_string(),
            _ => error,
        }
    })
}
