//! `include` and `tpl`: functions that execute templates.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use super::exec::{Executor, Overlay};
use super::limits::{MAX_INCLUDES, MAX_TPL_DEPTH};
use super::node::Template;
use super::program::{ROOT_NAME, without_no_value};
use crate::functions::Failure;
use crate::value::quote::quoted;
use crate::value::{Str, Value};

impl Executor<'_> {
    /// Executes a template by name and returns what it writes.
    pub fn include(&mut self, name: &Value, data: Value) -> Result<Value, Failure> {
        let Value::Str(name) = name else { return Err(Failure::message("include needs a name")) };
        let count = self.included.entry(name.clone()).or_insert(0);
        if *count > MAX_INCLUDES {
            return Err(Failure::message(format!(
                "rendering template has a nested reference name: {name}: unable to execute template"
            )));
        }
        *count += 1;
        let text = match self.lookup(name) {
            Some(template) => self.capture(&template, data),
            None => Err(no_template(name)),
        };
        if let Some(count) = self.included.get_mut(name) {
            *count -= 1;
        }
        text.map(Value::Str)
    }

    /// Executes a template into a string of its own.
    fn capture(&mut self, template: &Template, data: Value) -> Result<Str, Failure> {
        let start = self.out.len();
        self.execute(template, data).map_err(Failure::Exec)?;
        let text = Str::from(&self.out[start..]);
        self.out.truncate(start);
        Ok(text)
    }

    /// Parses and executes a text as a template, which sees its own definitions beside those of the caller.
    pub fn tpl(&mut self, text: &Value, data: Value) -> Result<Value, Failure> {
        let Value::Str(text) = text else { return Err(Failure::message("tpl needs a text")) };
        if memchr::memmem::find(text, b"{{").is_none() {
            return Ok(Value::Str(without_no_value(text).map_or_else(|| text.clone(), Str::from)));
        }
        if self.tpl_depth >= MAX_TPL_DEPTH {
            return Err(Failure::limit(format!("exceeded the maximum tpl depth ({MAX_TPL_DEPTH})")));
        }
        let templates = self.program.parse_text(text).map_err(|error| {
            Failure::Wrap(
                format!("cannot parse template {}: ", quoted(text)),
                Box::new(Failure::Message(error.to_string())),
            )
        })?;
        // The text's own template comes last; it runs even when it is empty and so replaces none.
        let Some(main) = templates.last().cloned() else { return Ok(Value::str("")) };
        let mut own = HashMap::new();
        for template in templates.iter() {
            if !(template.empty && self.lookup(&template.name).is_some()) {
                own.insert(template.name.clone(), Arc::clone(template));
            }
        }
        let parent = self.overlay.clone();
        self.overlay = Some(Rc::new(Overlay { parent: parent.clone(), templates: own }));
        self.tpl_depth += 1;
        let written = self.capture(&main, data);
        self.tpl_depth -= 1;
        self.overlay = parent;
        match written {
            Ok(text) => Ok(Value::Str(without_no_value(&text).map_or(text, Str::from))),
            Err(failure) => Err(Failure::Wrap(
                format!("error during tpl function execution for {}: ", quoted(text)),
                Box::new(failure),
            )),
        }
    }
}

/// Words a missing template as Go does.
pub(super) fn no_template(name: &[u8]) -> Failure {
    Failure::message(format!("template: no template {} associated with template \"{ROOT_NAME}\"", quoted(name)))
}
