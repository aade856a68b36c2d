//! What a registry says when it refuses.

use std::fmt::Write as _;

use ::http::{Method, StatusCode};
use serde_json::Value;

/// The most bytes that are read of an error's body, and the most errors in it.
pub const MAX_ERROR: u64 = 8 << 10;
const MAX_DIAGNOSTICS: usize = 5;
/// How much of one error is shown.
const MAX_SHOWN: usize = 300;

/// A registry's refusal, with its own errors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What was tried.
    pub method: Method,
    /// Where, without query.
    pub url: String,
    /// The status.
    pub status: StatusCode,
    /// What the registry says, cut to what fits a message.
    pub errors: Vec<Diagnostic>,
    /// It asked for user and password, and we have none.
    pub lacks_login: bool,
}

/// One error of a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Its code, such as `MANIFEST_UNKNOWN`.
    pub code: String,
    /// Its message.
    pub message: String,
    /// Its detail, as Go prints it.
    pub detail: Option<String>,
}

/// Writes a refusal as Flux shows it.
impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { method, url, status, errors, lacks_login: _ } = self;
        write!(f, "{method} {url}: ")?;
        match errors.as_slice() {
            [] => {
                write!(f, "unexpected status code {status}")?;
                if *method == Method::HEAD {
                    f.write_str(" (HEAD responses have no body, use GET for details)")?;
                }
                Ok(())
            }
            [one] => one.fmt(f),
            several => {
                f.write_str("multiple errors returned: ")?;
                several.iter().enumerate().try_for_each(|(at, error)| {
                    if at > 0 {
                        f.write_str("; ")?;
                    }
                    error.fmt(f)
                })
            }
        }
    }
}

impl std::fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.code, self.message)?;
        self.detail.as_ref().map_or(Ok(()), |detail| write!(f, "; {detail}"))
    }
}

/// Reads the errors of a body; none when it has none.
pub fn diagnostics(body: &[u8]) -> Vec<Diagnostic> {
    let Ok(document) = serde_json::from_slice::<Value>(body) else { return Vec::new() };
    let errors = document.get("errors").and_then(Value::as_array).cloned().unwrap_or_default();
    errors
        .iter()
        .take(MAX_DIAGNOSTICS)
        .map(|error| {
            let text = |name: &str| shown(error.get(name).and_then(Value::as_str).unwrap_or_default());
            let detail = error.get("detail").filter(|detail| !detail.is_null()).map(|detail| shown(&as_go(detail)));
            Diagnostic { code: text("code"), message: text("message"), detail }
        })
        .collect()
}

/// Cuts what a server says to what can be shown.
fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(MAX_SHOWN).collect()
}

/// Writes a value as Go prints it.
fn as_go(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(as_go).collect();
            format!("[{}]", items.join(" "))
        }
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by_key(|(name, _)| name.as_str());
            let mut text = String::from("map[");
            for (at, (name, value)) in fields.into_iter().enumerate() {
                let _ = write!(text, "{}{name}:{}", if at > 0 { " " } else { "" }, as_go(value));
            }
            text + "]"
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_read_within_limits() {
        let one = r#"{"code": "A", "message": "b\u0007c", "detail": [{"x": null, "a": 1}]}"#;
        let read = diagnostics(format!(r#"{{"errors": [{one}]}}"#).as_bytes());
        assert_eq!(read[0].to_string(), "A: bc; [map[a:1 x:<nil>]]");
        assert_eq!(
            diagnostics(format!(r#"{{"errors": [{}]}}"#, vec![one; 20].join(",")).as_bytes()).len(),
            MAX_DIAGNOSTICS
        );
        let long = format!(r#"{{"errors": [{{"code": "A", "message": "{}"}}]}}"#, "x".repeat(1000));
        assert_eq!(diagnostics(long.as_bytes())[0].message.len(), MAX_SHOWN);
        assert!(diagnostics(b"<html>").is_empty());
    }

    #[test]
    fn a_refusal_says_what_was_tried() {
        let refusal = |method: Method, errors| Refusal {
            method,
            url: "http://r/v2/a".into(),
            status: StatusCode::NOT_FOUND,
            errors,
            lacks_login: false,
        };
        let error = |code: &str| Diagnostic { code: code.into(), message: "m".into(), detail: None };
        assert_eq!(refusal(Method::GET, vec![]).to_string(), "GET http://r/v2/a: unexpected status code 404 Not Found");
        let head = refusal(Method::HEAD, vec![]).to_string();
        assert!(head.ends_with("404 Not Found (HEAD responses have no body, use GET for details)"), "{head}");
        let two = refusal(Method::GET, vec![error("A"), error("B")]).to_string();
        assert_eq!(two, "GET http://r/v2/a: multiple errors returned: A: m; B: m");
    }
}
