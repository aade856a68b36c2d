//! The executor: walks a template's nodes and writes into one buffer.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use super::error::ExecError;
use super::limits::{MAX_OUTPUT, MAX_STEPS, MAX_TEMPLATE_DEPTH, RED_ZONE, STACK};
use super::node::{self, Branch, NameId, Node, Pipe, Site, Template, TemplateCall};
use super::operand::Operand;
use super::program::Program;
use crate::functions::{Env, Failure};
use crate::value::{Str, Value};

/// The result of a step: the error is a template's, with its position.
pub(super) type Exec<T> = Result<T, Box<ExecError>>;

/// How a list of nodes ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Flow {
    Next,
    Break,
    Continue,
}

/// The templates that a `tpl` sees beside those of its caller.
pub(super) struct Overlay {
    pub parent: Option<Rc<Overlay>>,
    pub templates: HashMap<Str, Arc<Template>>,
}

/// One render: the state that files and includes share.
pub(super) struct Executor<'p> {
    pub program: &'p Program,
    pub env: &'p Env<'p>,
    pub out: Vec<u8>,
    /// The node at hand, for errors. Go keeps the last one visited, and so the texts depend on it.
    pub at: Site,
    /// Go's stack of variables; the frame of the template at hand starts at `base`.
    vars: Vec<(NameId, Operand)>,
    base: usize,
    pub overlay: Option<Rc<Overlay>>,
    /// How often each name is being included.
    pub included: HashMap<Str, usize>,
    pub tpl_depth: usize,
    depth: usize,
    pub steps_left: u64,
    pub max_output: usize,
}

impl<'p> Executor<'p> {
    pub fn new(program: &'p Program, env: &'p Env<'p>) -> Self {
        Self {
            program,
            env,
            out: Vec::new(),
            at: 0,
            vars: Vec::new(),
            base: 0,
            overlay: None,
            included: HashMap::new(),
            tpl_depth: 0,
            depth: 0,
            steps_left: MAX_STEPS,
            max_output: MAX_OUTPUT,
        }
    }

    /// Finds a template by name, those of the enclosing `tpl` first.
    pub fn lookup(&self, name: &[u8]) -> Option<Arc<Template>> {
        let mut overlay = self.overlay.as_ref();
        while let Some(current) = overlay {
            if let Some(template) = current.templates.get(name) {
                return Some(Arc::clone(template));
            }
            overlay = current.parent.as_ref();
        }
        self.program.template(name)
    }

    /// Executes a template with its own variables, appending to the output.
    pub fn execute(&mut self, template: &Template, data: Value) -> Exec<()> {
        let depth = std::mem::take(&mut self.depth);
        let done = self.enter(template, &Operand::plain(data));
        self.depth = depth;
        done
    }

    fn enter(&mut self, template: &Template, dot: &Operand) -> Exec<()> {
        let (base, at) = (self.base, self.at);
        self.base = self.vars.len();
        self.vars.push((0, dot.clone()));
        stacker::maybe_grow(RED_ZONE, STACK, || self.walk(template, dot, &template.root))?;
        self.vars.truncate(self.base);
        (self.base, self.at) = (base, at);
        Ok(())
    }

    /// Makes an error at the node at hand.
    pub fn error<T>(&self, template: &Template, message: impl Into<String>) -> Exec<T> {
        Err(self.wrap(template, message.into(), None))
    }

    #[allow(clippy::unnecessary_box_returns, reason = "every step returns its error in a box")]
    pub fn wrap(&self, template: &Template, message: String, source: Option<Failure>) -> Box<ExecError> {
        let (pos, context) = node::find(&template.root, self.at).unwrap_or_default();
        let pos = (pos as usize).min(template.source.text.len());
        let before = &template.source.text[..pos];
        let line = 1 + memchr::memchr_iter(b'\n', before).count();
        let column = pos - memchr::memrchr(b'\n', before).map_or(0, |at| at + 1);
        Box::new(ExecError {
            location: format!("{}:{line}:{column}", template.source.name),
            template: template.name.to_string(),
            context,
            message,
            source,
        })
    }

    /// Turns a failure that needs a position into an error.
    pub fn located<T>(&self, template: &Template, result: Result<T, Failure>) -> Exec<T> {
        result.map_err(|failure| self.wrap(template, String::new(), Some(failure)))
    }

    /// Counts a step against the bound.
    pub fn step(&mut self, template: &Template) -> Exec<()> {
        match self.steps_left.checked_sub(1) {
            Some(left) => self.steps_left = left,
            None => return self.error(template, "exceeded the maximum number of steps"),
        }
        Ok(())
    }

    fn write(&mut self, template: &Template, text: &[u8]) -> Exec<()> {
        self.out.extend_from_slice(text);
        self.check_output(template)
    }

    fn check_output(&self, template: &Template) -> Exec<()> {
        if self.out.len() > self.max_output {
            return self.error(template, format!("exceeded the maximum output of {} bytes", self.max_output));
        }
        Ok(())
    }

    fn walk(&mut self, template: &Template, dot: &Operand, nodes: &[Node]) -> Exec<Flow> {
        for node in nodes {
            self.step(template)?;
            let flow = match node {
                Node::Text(range) => {
                    self.write(template, &template.source.text[range.start as usize..range.end as usize])?;
                    Flow::Next
                }
                Node::Action { site, pipe, .. } => {
                    let value = self.pipeline(template, dot, pipe)?;
                    if pipe.decl.is_empty() {
                        self.at = *site;
                        self.print(template, &value.value)?;
                    }
                    Flow::Next
                }
                Node::If(branch) => stacker::maybe_grow(RED_ZONE, STACK, || self.walk_if(template, dot, branch))?,
                Node::With(branch) => stacker::maybe_grow(RED_ZONE, STACK, || self.walk_with(template, dot, branch))?,
                Node::Range(branch) => {
                    let mark = self.vars.len();
                    let flow = stacker::maybe_grow(RED_ZONE, STACK, || self.walk_range(template, dot, branch))?;
                    self.vars.truncate(mark);
                    flow
                }
                Node::Template(call) => {
                    self.walk_template(template, dot, call)?;
                    Flow::Next
                }
                Node::Break => Flow::Break,
                Node::Continue => Flow::Continue,
            };
            if flow != Flow::Next {
                return Ok(flow);
            }
        }
        Ok(Flow::Next)
    }

    fn walk_if(&mut self, template: &Template, dot: &Operand, branch: &Branch) -> Exec<Flow> {
        let mark = self.vars.len();
        let truth = self.pipeline(template, dot, &branch.pipe)?.value.truth();
        let flow = match (&branch.else_list, truth) {
            (_, true) => self.walk(template, dot, &branch.list)?,
            (Some(list), false) => self.walk(template, dot, list)?,
            (None, false) => Flow::Next,
        };
        self.vars.truncate(mark);
        Ok(flow)
    }

    fn walk_with(&mut self, template: &Template, dot: &Operand, branch: &Branch) -> Exec<Flow> {
        let mark = self.vars.len();
        let value = self.pipeline(template, dot, &branch.pipe)?;
        let flow = match (&branch.else_list, value.value.truth()) {
            (_, true) => self.walk(template, &value, &branch.list)?,
            (Some(list), false) => self.walk(template, dot, list)?,
            (None, false) => Flow::Next,
        };
        self.vars.truncate(mark);
        Ok(flow)
    }

    fn walk_range(&mut self, template: &Template, dot: &Operand, branch: &Branch) -> Exec<Flow> {
        let value = self.pipeline(template, dot, &branch.pipe)?.value;
        let mut plain = value.clone();
        if let Value::Obj(object) = &value
            && let Some(underlying) = object.underlying()
        {
            plain = underlying;
        }
        let ran = match &plain {
            Value::Nil => false,
            Value::List(list) => {
                // One by one, since the body may sort the list.
                for index in 0..list.len() {
                    let item = Operand::element(list.list_type(), list[index].clone());
                    if self.iterate(template, branch, Operand::plain(Value::Int(index as i64)), item)? {
                        break;
                    }
                }
                !list.is_empty()
            }
            Value::Bytes(bytes) => {
                for (index, byte) in bytes.iter().enumerate() {
                    let index = Operand::plain(Value::Int(index as i64));
                    if self.iterate(template, branch, index, Operand::plain(Value::Uint8(*byte)))? {
                        break;
                    }
                }
                !bytes.is_empty()
            }
            Value::Map(map) => {
                // A copy, as Go's: the body may change the map.
                let entries = map.entries();
                let ran = !entries.is_empty();
                for (key, item) in entries {
                    // The elements of a named map have a type of their own.
                    let named = matches!(value, Value::Obj(_));
                    let item = if named { Operand::plain(item) } else { Operand::entry(map.map_type(), Some(item)) };
                    if self.iterate(template, branch, Operand::plain(Value::Str(key)), item)? {
                        break;
                    }
                }
                ran
            }
            Value::Int(_) | Value::Int64(_) | Value::Uint8(_) | Value::Uint64(_) => {
                self.range_integer(template, branch, &plain, &value)?
            }
            _ => {
                let mut text = Vec::new();
                let printed = value.print_pointee(&mut text);
                self.located(template, printed)?;
                let text = String::from_utf8_lossy(&text);
                return self.error(template, format!("range can't iterate over {text}"));
            }
        };
        if !ran && let Some(list) = &branch.else_list {
            // Both belong to an outer range, but Go catches a break here.
            let flow = self.walk(template, dot, list)?;
            return Ok(if flow == Flow::Break { Flow::Next } else { flow });
        }
        Ok(Flow::Next)
    }

    /// Counts from 0 up to an integer, in the integer's own type. `shown` is the value as errors print it.
    fn range_integer(&mut self, template: &Template, branch: &Branch, end: &Value, shown: &Value) -> Exec<bool> {
        if branch.pipe.decl.len() > 1 {
            let text = self.located(template, shown.to_text())?;
            return self.error(template, format!("can't use {text} to iterate over more than one variable"));
        }
        let (count, make): (u64, fn(u64) -> Value) = match end {
            Value::Int(i) => (u64::try_from(*i).unwrap_or(0), |i| Value::Int(i as i64)),
            Value::Int64(i) => (u64::try_from(*i).unwrap_or(0), |i| Value::Int64(i as i64)),
            Value::Uint8(u) => (u64::from(*u), |i| Value::Uint8(i as u8)),
            Value::Uint64(u) => (*u, Value::Uint64),
            _ => (0, Value::Uint64),
        };
        let named = |i: u64| match shown {
            Value::Obj(object) => object.with_integer(i as i64),
            _ => None,
        };
        for i in 0..count {
            let item = named(i).unwrap_or_else(|| make(i));
            if self.iterate(template, branch, Operand::invalid(), Operand::plain(item))? {
                break;
            }
        }
        Ok(count > 0)
    }

    /// Runs the body of a range once; tells whether it broke out.
    fn iterate(&mut self, template: &Template, branch: &Branch, index: Operand, item: Operand) -> Exec<bool> {
        self.step(template)?;
        let mark = self.vars.len();
        let decl = &branch.pipe.decl;
        match (&**decl, branch.pipe.assign) {
            ([], _) => {}
            ([only], true) => self.set_var(template, only.id, &only.name, item.clone())?,
            ([first, second, ..], true) => {
                self.set_var(template, first.id, &first.name, index)?;
                self.set_var(template, second.id, &second.name, item.clone())?;
            }
            ([_], false) => self.vars[mark - 1].1 = item.clone(),
            ([_, _, ..], false) => {
                self.vars[mark - 1].1 = item.clone();
                self.vars[mark - 2].1 = index;
            }
        }
        let flow = self.walk(template, &item, &branch.list)?;
        self.vars.truncate(mark);
        Ok(flow == Flow::Break)
    }

    fn walk_template(&mut self, template: &Template, dot: &Operand, call: &TemplateCall) -> Exec<()> {
        self.at = call.site;
        let Some(callee) = self.lookup(&call.name) else {
            let name = crate::value::quote::quoted(&call.name);
            return self.error(template, format!("template {name} not defined"));
        };
        if self.depth == MAX_TEMPLATE_DEPTH {
            return self.error(template, format!("exceeded maximum template depth ({MAX_TEMPLATE_DEPTH})"));
        }
        let data = match &call.pipe {
            Some(pipe) => self.pipeline(template, dot, pipe)?,
            None => Operand::invalid(),
        };
        self.depth += 1;
        self.enter(&callee, &data)?;
        self.depth -= 1;
        Ok(())
    }

    /// Appends a value as an action prints it.
    fn print(&mut self, template: &Template, value: &Value) -> Exec<()> {
        match value {
            Value::Nil => self.out.extend_from_slice(b"<no value>"),
            Value::Str(text) => self.out.extend_from_slice(text),
            Value::Obj(object) => {
                // An action prints what a pointer points at.
                let printed = match object.addressed_string() {
                    Some(text) => {
                        self.out.extend_from_slice(&text);
                        Ok(())
                    }
                    None => value.print_pointee(&mut self.out),
                };
                self.located(template, printed)?;
            }
            value => {
                let printed = value.print(&mut self.out);
                self.located(template, printed)?;
            }
        }
        self.check_output(template)
    }

    /// Returns the last declared variable of a name in the frame.
    pub fn var(&self, template: &Template, id: NameId, name: &Str) -> Exec<&Operand> {
        let frame = &self.vars[self.base..];
        match frame.iter().rev().find(|(var, _)| *var == id) {
            Some((_, value)) => Ok(value),
            None => self.error(template, format!("undefined variable: {name}")),
        }
    }

    /// Assigns to the last declared variable of a name in the frame.
    fn set_var(&mut self, template: &Template, id: NameId, name: &Str, value: Operand) -> Exec<()> {
        let base = self.base;
        match self.vars[base..].iter_mut().rev().find(|(var, _)| *var == id) {
            Some((_, var)) => {
                *var = value;
                Ok(())
            }
            None => self.error(template, format!("undefined variable: {name}")),
        }
    }

    /// Declares or assigns the variables of a pipeline.
    pub fn bind(&mut self, template: &Template, pipe: &Pipe, value: &Operand) -> Exec<()> {
        for variable in &pipe.decl {
            if pipe.assign {
                self.set_var(template, variable.id, &variable.name, value.clone())?;
            } else {
                self.vars.push((variable.id, value.clone()));
            }
        }
        Ok(())
    }
}
