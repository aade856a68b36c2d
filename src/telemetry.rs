//! Logs: JSON or text, one span a reconcile, a level that can be changed at run time.

use std::error::Error;

use tracing_subscriber::{EnvFilter, Registry, layer::SubscriberExt, reload, util::SubscriberInitExt};

/// The encoding of log lines (Flux: `--log-encoding`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogEncoding {
    #[default]
    Json,
    /// Text lines.
    Console,
}

/// Changes the log's level while the process runs.
#[derive(Clone)]
pub struct LogLevel(reload::Handle<EnvFilter, Registry>);

/// A log level that cannot be understood.
#[derive(Debug, thiserror::Error)]
#[error("log level {level:?} is not understood: trace, debug, info, error, or a filter such as \"info,kube=debug\"")]
pub struct LevelError {
    level: String,
}

impl LogLevel {
    /// Sets the level: `trace`, `debug`, `info`, `warn`, `error`, or a filter in `tracing`'s form.
    pub fn set(&self, level: &str) -> Result<(), LevelError> {
        let bad = || LevelError { level: level.to_owned() };
        self.0.reload(filter(level)?).map_err(|_| bad())
    }
}

fn filter(level: &str) -> Result<EnvFilter, LevelError> {
    // Libraries speak only when they are asked by name: their information is not about releases.
    let directives = match level {
        "trace" | "debug" | "info" | "warn" | "error" => format!("warn,bowline={level}"),
        other => other.to_owned(),
    };
    EnvFilter::try_new(directives).map_err(|_| LevelError { level: level.to_owned() })
}

/// Installs the process's log on standard error.
pub fn install(level: &str, encoding: LogEncoding) -> Result<LogLevel, LevelError> {
    let (filter, handle) = reload::Layer::new(filter(level)?);
    let registry = tracing_subscriber::registry().with(filter);
    let format = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_target(false);
    match encoding {
        LogEncoding::Json => {
            registry.with(format.json().flatten_event(true).with_current_span(true).with_span_list(false)).init();
        }
        LogEncoding::Console => registry.with(format).init(),
    }
    Ok(LogLevel(handle))
}

/// Writes an error and all its causes on one line, each once.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = String::new();
    let mut cause = Some(error);
    while let Some(next) = cause {
        let answer = answer(next);
        cause = if answer.is_some() { None } else { next.source() };
        let part = answer.unwrap_or_else(|| next.to_string());
        if text.is_empty() {
            text = part;
        } else if !text.ends_with(&part) {
            text.push_str(": ");
            text.push_str(&part);
        }
    }
    text
}

/// Returns what the API server says, which kube prints along with the whole answer.
fn answer(error: &(dyn Error + 'static)) -> Option<String> {
    match error.downcast_ref::<kube::Error>()? {
        kube::Error::Api(status) if !status.message.is_empty() => Some(status.message.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("it was not applied: {}", reason(.0))]
    struct NotApplied(#[source] kube::Error);

    fn reason(error: &kube::Error) -> String {
        answer(error).unwrap_or_default()
    }

    #[test]
    fn an_answer_of_the_api_server_is_said_once_and_in_its_own_words() {
        let refused =
            || kube::Error::Api(Status::failure("namespaces \"a\" not found", "NotFound").with_code(404).boxed());
        assert_eq!(chain(&refused()), "namespaces \"a\" not found");
        assert_eq!(chain(&NotApplied(refused())), "it was not applied: namespaces \"a\" not found");
    }
}
