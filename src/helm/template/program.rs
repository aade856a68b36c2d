//! A chart's templates, compiled once and rendered many times.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::error::Error;
use super::exec::Executor;
use super::helm::{WARN_END, WARN_START};
use super::include::no_template;
use super::limits::{MAX_CACHED_BYTES, MAX_CACHED_TEXTS};
use super::node::Template;
use super::parse::{ParseError, Words, parse};
use crate::functions::{Env, Failure};
use crate::value::{Cycles, Str, Value};

/// The name of Helm's outermost template, which texts of `tpl` bear.
pub(super) const ROOT_NAME: &str = "gotpl";

/// What Go writes for no value, and Helm takes out of the output again.
const NO_VALUE: &[u8] = b"<no value>";

/// The compiled templates of a chart and its dependencies.
pub struct Program {
    templates: HashMap<Str, Arc<Template>>,
    /// The texts that `tpl` has parsed.
    texts: Mutex<Texts>,
}

#[derive(Default)]
struct Texts {
    parsed: HashMap<Str, Arc<[Arc<Template>]>>,
    bytes: usize,
}

impl Program {
    /// Compiles files in the order given, which is Helm's: deeper paths first, then reverse by name. A later file's
    /// definition replaces an earlier one's unless it is empty.
    pub fn compile<S: Clone + Into<Str>>(files: &[(&str, S)]) -> Result<Self, Error> {
        let mut templates: HashMap<Str, Arc<Template>> = HashMap::new();
        let mut words = Words::default();
        for (name, source) in files {
            for template in
                parse(&Str::from(*name), &source.clone().into(), &mut words).map_err(|e| Error::parse(&e))?
            {
                if !(template.empty && templates.contains_key(&template.name)) {
                    templates.insert(template.name.clone(), template);
                }
            }
        }
        Ok(Self { templates, texts: Mutex::default() })
    }

    /// Starts a render whose files share their data, their bounds and their randomness.
    pub fn session<'p>(&'p self, env: &'p Env<'p>) -> Session<'p> {
        Session { executor: Executor::new(self, env), _cycles: Cycles::watch() }
    }

    /// Renders one file in a session of its own.
    pub fn render(&self, name: &str, data: Value, env: &Env<'_>) -> Result<Vec<u8>, Error> {
        self.session(env).render(name, data)
    }

    /// Renders a text that is a template by itself. Errors have Go's own words.
    pub fn render_text(name: &str, text: &str, env: &Env<'_>) -> Result<Vec<u8>, String> {
        let mut templates = HashMap::new();
        let parsed = parse(&Str::from(name), &Str::from(text), &mut Words::default());
        for template in parsed.map_err(|error| error.to_string())? {
            templates.insert(template.name.clone(), template);
        }
        let program = Self { templates, texts: Mutex::default() };
        let mut session = program.session(env);
        let run = |executor: &mut Executor<'_>| match executor.program.template(name.as_bytes()) {
            Some(template) => executor.execute(&template, Value::Nil).map_err(Failure::Exec),
            None => Err(no_template(name.as_bytes())),
        };
        run(&mut session.executor)
            .map_err(|failure| failure.to_string().replace(WARN_START, "").replace(WARN_END, ""))?;
        Ok(std::mem::take(&mut session.executor.out))
    }

    pub(super) fn template(&self, name: &[u8]) -> Option<Arc<Template>> {
        self.templates.get(name).cloned()
    }

    /// Parses a text of `tpl`, or finds it parsed.
    pub(super) fn parse_text(&self, text: &Str) -> Result<Arc<[Arc<Template>]>, ParseError> {
        let mut texts = self.texts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(parsed) = texts.parsed.get(text) {
            return Ok(Arc::clone(parsed));
        }
        let parsed: Arc<[Arc<Template>]> = parse(&Str::from(ROOT_NAME), text, &mut Words::default())?.into();
        if texts.parsed.len() < MAX_CACHED_TEXTS && texts.bytes + text.len() <= MAX_CACHED_BYTES {
            texts.bytes += text.len();
            texts.parsed.insert(text.clone(), Arc::clone(&parsed));
        }
        Ok(parsed)
    }
}

/// One render of a chart: its files one after the other, in Helm's order, since templates may change shared maps. The maps
/// that they put maps into are emptied when the session ends, for they may hold themselves.
pub struct Session<'p> {
    pub(super) executor: Executor<'p>,
    _cycles: Cycles,
}

impl Session<'_> {
    /// Renders one file. The error is worded as Helm does.
    pub fn render(&mut self, name: &str, data: Value) -> Result<Vec<u8>, Error> {
        let executor = &mut self.executor;
        executor.out.clear();
        let failure = match executor.program.template(name.as_bytes()) {
            Some(template) => executor.execute(&template, data).err().map(Failure::Exec),
            None => Some(no_template(name.as_bytes())),
        };
        if let Some(failure) = failure {
            return Err(Error::render(name, &failure));
        }
        Ok(without_no_value(&executor.out).unwrap_or_else(|| executor.out.clone()))
    }
}

/// Returns the text without every `<no value>`, or `None` when there is none.
pub(super) fn without_no_value(text: &[u8]) -> Option<Vec<u8>> {
    let mut found = memchr::memmem::find_iter(text, NO_VALUE).peekable();
    found.peek()?;
    let mut out = Vec::with_capacity(text.len());
    let mut from = 0;
    for at in found {
        out.extend_from_slice(&text[from..at]);
        from = at + NO_VALUE.len();
    }
    out.extend_from_slice(&text[from..]);
    Some(out)
}
