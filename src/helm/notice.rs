//! What Helm would log while it works: warnings and remarks that are no errors.

use std::fmt;

/// The weight of a notice, as Go's slog names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Debug,
    Info,
    Warn,
    Error,
}

/// A log line: a constant message, and what varies as attributes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    pub level: Level,
    pub message: String,
    pub attributes: Vec<(&'static str, String)>,
}

impl Notice {
    pub fn new(level: Level, message: impl Into<String>) -> Self {
        Self { level, message: message.into(), attributes: Vec::new() }
    }

    /// Adds an attribute.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.attributes.push((key, value.into()));
        self
    }
}

/// Writes the line as Helm prints it: slog's text form without the time.
impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = match self.level {
            Level::Debug => "DEBUG",
            Level::Info => "INFO",
            Level::Warn => "WARN",
            Level::Error => "ERROR",
        };
        write!(f, "level={level} msg={}", Text(&self.message))?;
        self.attributes.iter().try_for_each(|(key, value)| write!(f, " {key}={}", Text(value)))
    }
}

/// A text that is quoted where slog quotes it.
struct Text<'a>(&'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = |c: char| c > ' ' && c != '"' && c != '=' && c != '\x7f' && crate::value::quote::is_print(c);
        if !self.0.is_empty() && self.0.chars().all(plain) {
            f.write_str(self.0)
        } else {
            f.write_str(&crate::quote::quote(self.0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Level, Notice};

    #[test]
    fn a_notice_is_written_as_slog_does() {
        let notice = Notice::new(Level::Warn, "returned non-bool value").with("path", "a.enabled").with("chart", "");
        assert_eq!(notice.to_string(), r#"level=WARN msg="returned non-bool value" path=a.enabled chart="""#);
    }
}
