//! Evaluation of pipelines, commands, fields and calls.

use smallvec::SmallVec;

use super::callee::Callee;
use super::exec::{Exec, Executor};
use super::limits::{RED_ZONE, STACK};
use super::node::{Chain, Command, Expr, Number, Pipe, Site, Template, Variable};
use super::operand::Operand;
use super::values;
use crate::functions::{Call, Failure, Function, Type};
use crate::value::{Map, MapType, Member, Method, Object, Str, Value};

/// The arguments of a command as Go's evalCall sees them.
#[derive(Clone, Copy)]
struct Args<'t> {
    exprs: &'t [Expr],
    /// The result of the command before, which becomes the last argument.
    last: Option<&'t Operand>,
}

impl Args<'_> {
    const NONE: Self = Self { exprs: &[], last: None };

    fn is_empty(&self) -> bool {
        self.exprs.is_empty() && self.last.is_none()
    }
}

/// A function's parameters.
#[derive(Clone, Copy)]
struct Signature<'s> {
    name: &'s str,
    fixed: usize,
    variadic: bool,
}

impl Executor<'_> {
    /// Evaluates a pipeline and binds its variables.
    pub fn pipeline(&mut self, template: &Template, dot: &Operand, pipe: &Pipe) -> Exec<Operand> {
        self.at = pipe.site;
        let mut value: Option<Operand> = None;
        for command in &pipe.commands {
            let mut result = self.command(template, dot, command, value.as_ref())?;
            // Go digs the value out of an interface after each command.
            result.interface = false;
            value = Some(result);
        }
        let value = value.unwrap_or_else(Operand::invalid);
        if !pipe.decl.is_empty() {
            self.bind(template, pipe, &value)?;
        }
        Ok(value)
    }

    /// Evaluates a pipeline in parentheses, which may nest deep.
    fn nested(&mut self, template: &Template, dot: &Operand, pipe: &Pipe) -> Exec<Operand> {
        stacker::maybe_grow(RED_ZONE, STACK, || self.pipeline(template, dot, pipe))
    }

    fn command(
        &mut self,
        template: &Template,
        dot: &Operand,
        command: &Command,
        last: Option<&Operand>,
    ) -> Exec<Operand> {
        let first = &command.args[0];
        let args = Args { exprs: &command.args[1..], last };
        match first {
            Expr::Field { site, fields, .. } => {
                self.at = *site;
                return self.fields(template, dot, dot, fields, *site, args);
            }
            Expr::Chain(chain) => return self.chain(template, dot, chain, args),
            Expr::Function { site, callee, .. } => {
                self.at = *site;
                return self.call(template, dot, *callee, command.site, args);
            }
            Expr::Pipe(pipe) => {
                self.not_a_function(template, first, args)?;
                return self.nested(template, dot, pipe);
            }
            Expr::Variable(variable) => return self.variable(template, dot, variable, Some(first), args),
            _ => {}
        }
        self.at = first.site();
        self.not_a_function(template, first, args)?;
        match first {
            Expr::Dot { .. } => Ok(dot.clone()),
            Expr::Nil { .. } => self.error(template, "nil is not a command"),
            literal => self.literal(template, literal),
        }
    }

    fn not_a_function(&self, template: &Template, first: &Expr, args: Args<'_>) -> Exec<()> {
        if args.is_empty() {
            return Ok(());
        }
        // Go prints a pipeline in this place without its parentheses.
        self.error(template, format!("can't give argument to non-function {first}"))
    }

    /// Returns a literal in the type that its syntax gives it.
    fn literal(&mut self, template: &Template, literal: &Expr) -> Exec<Operand> {
        match literal {
            Expr::Bool { value, .. } => Ok(Operand::plain(Value::Bool(*value))),
            Expr::String { text, .. } => Ok(Operand::plain(Value::Str(text.clone()))),
            Expr::Number(number) => {
                self.at = number.site;
                match &number.ideal {
                    Some(value) => Ok(Operand::plain(value.value())),
                    None => self.error(template, format!("{} overflows int", number.text)),
                }
            }
            other => self.error(template, format!("can't handle assignment of {other} to empty interface argument")),
        }
    }

    fn variable(
        &mut self,
        template: &Template,
        dot: &Operand,
        variable: &Variable,
        first: Option<&Expr>,
        args: Args<'_>,
    ) -> Exec<Operand> {
        self.at = variable.site;
        let value = self.var(template, variable.id, &variable.name)?.clone();
        if variable.fields.is_empty() {
            if let Some(first) = first {
                self.not_a_function(template, first, args)?;
            }
            return Ok(value);
        }
        self.fields(template, dot, &value, &variable.fields, variable.site, args)
    }

    fn chain(&mut self, template: &Template, dot: &Operand, chain: &Chain, args: Args<'_>) -> Exec<Operand> {
        self.at = chain.site;
        if matches!(chain.node, Expr::Nil { .. }) {
            return self.error(template, format!("indirection through explicit nil in {}", Shown(chain)));
        }
        let receiver = self.operand(template, dot, &chain.node)?;
        self.fields(template, dot, &receiver, &chain.fields, chain.site, args)
    }

    /// Evaluates `.X.Y.Z` on a receiver; the last name gets the arguments.
    fn fields(
        &mut self,
        template: &Template,
        dot: &Operand,
        receiver: &Operand,
        fields: &[Str],
        site: Site,
        args: Args<'_>,
    ) -> Exec<Operand> {
        let Some((last, path)) = fields.split_last() else { return Ok(receiver.clone()) };
        let Some((first, path)) = path.split_first() else {
            return self.field(template, dot, receiver, last, site, args);
        };
        let mut value = self.field(template, dot, receiver, first, site, Args::NONE)?;
        for field in path {
            value = self.field(template, dot, &value, field, site, Args::NONE)?;
        }
        self.field(template, dot, &value, last, site, args)
    }

    fn field(
        &mut self,
        template: &Template,
        dot: &Operand,
        receiver: &Operand,
        name: &Str,
        site: Site,
        args: Args<'_>,
    ) -> Exec<Operand> {
        match &receiver.value {
            Value::Map(map) => {
                if map.map_type() == MapType::Values
                    && let Some(method) = values::method(name)
                {
                    return self.values_method(template, dot, map, method, site, args);
                }
                if !args.is_empty() {
                    return self.error(template, format!("{name} is not a method but has arguments"));
                }
                Ok(Operand::entry(map.map_type(), map.get(name)))
            }
            Value::Nil if receiver.interface => {
                self.error(template, format!("nil pointer evaluating interface {{}}.{name}"))
            }
            Value::Nil => Ok(Operand::invalid()),
            Value::Obj(object) => {
                let object = object.clone();
                self.member(template, dot, receiver, object.as_ref(), name, site, args)
            }
            _ => self.no_field(template, receiver, name),
        }
    }

    fn no_field<T>(&self, template: &Template, receiver: &Operand, name: &Str) -> Exec<T> {
        self.error(template, format!("can't evaluate field {name} in type {}", receiver.type_name()))
    }

    #[allow(clippy::too_many_arguments, reason = "Go's evalField takes the same")]
    fn member(
        &mut self,
        template: &Template,
        dot: &Operand,
        receiver: &Operand,
        object: &dyn Object,
        name: &Str,
        site: Site,
        args: Args<'_>,
    ) -> Exec<Operand> {
        match object.member(&name.to_text()) {
            Some(Member::Method(method)) => {
                let values = self.method_args(template, dot, &method, args)?;
                let result = object.invoke(method.name, &values);
                self.called(template, method.name, site, result).map(Operand::plain)
            }
            Some(Member::Refused(method, why)) => {
                self.method_args(template, dot, &method, args)?;
                self.error(template, why)
            }
            Some(Member::Field(_)) if !args.is_empty() => {
                self.error(template, format!("{name} has arguments but cannot be invoked as function"))
            }
            Some(Member::Field(value)) => Ok(Operand::plain(value)),
            None if object.is_nil() => {
                self.error(template, format!("nil pointer evaluating {}.{name}", receiver.type_name()))
            }
            None => self.no_field(template, receiver, name),
        }
    }

    fn values_method(
        &mut self,
        template: &Template,
        dot: &Operand,
        map: &Map,
        method: &'static Method,
        site: Site,
        args: Args<'_>,
    ) -> Exec<Operand> {
        let map = map.clone();
        let arguments = self.method_args(template, dot, method, args)?;
        let result = values::invoke(&map, method.name, &arguments);
        self.called(template, method.name, site, result).map(Operand::plain)
    }

    fn method_args(
        &mut self,
        template: &Template,
        dot: &Operand,
        method: &Method,
        args: Args<'_>,
    ) -> Exec<SmallVec<[Value; 4]>> {
        let signature =
            Signature { name: method.name, fixed: method.params.len(), variadic: method.variadic.is_some() };
        self.check_arity(template, signature, args)?;
        self.arguments(template, dot, method.params, method.variadic, args)
    }

    /// Words a function's failure as Go does, at the node of the call.
    fn called<T>(&mut self, template: &Template, name: &str, site: Site, result: Result<T, Failure>) -> Exec<T> {
        result.map_err(|failure| {
            self.at = site;
            self.wrap(template, format!("error calling {name}: "), Some(failure))
        })
    }

    fn check_arity(&self, template: &Template, signature: Signature<'_>, args: Args<'_>) -> Exec<()> {
        let Signature { name, fixed, variadic } = signature;
        let given = args.exprs.len() + usize::from(args.last.is_some());
        if variadic {
            if given < fixed {
                // Go counts the written arguments here, and all of them below.
                let got = args.exprs.len();
                return self
                    .error(template, format!("wrong number of args for {name}: want at least {fixed} got {got}"));
            }
        } else if given != fixed {
            return self.error(template, format!("wrong number of args for {name}: want {fixed} got {given}"));
        }
        Ok(())
    }

    /// Calls a function. `site` is where its own error points.
    fn call(
        &mut self,
        template: &Template,
        dot: &Operand,
        callee: Callee,
        site: Site,
        args: Args<'_>,
    ) -> Exec<Operand> {
        self.step(template)?;
        match callee {
            Callee::Function(function) => self.call_function(template, dot, function, site, args),
            Callee::And => self.short_circuit(template, dot, "and", false, args),
            Callee::Or => self.short_circuit(template, dot, "or", true, args),
            Callee::Reflect(function) => {
                let signature = Signature { name: function.name, fixed: function.fixed, variadic: function.variadic };
                self.check_arity(template, signature, args)?;
                let mut operands: SmallVec<[Operand; 4]> = SmallVec::new();
                for expr in args.exprs {
                    operands.push(self.operand(template, dot, expr)?);
                }
                operands.extend(args.last.cloned());
                self.called(template, function.name, site, (function.call)(&operands))
            }
            Callee::Call => self.call_builtin(template, dot, site, args),
            Callee::Include => {
                let values = self.own_args(template, dot, "include", args)?;
                let text = self.include(&values[0], values[1].clone());
                self.called(template, "include", site, text).map(Operand::plain)
            }
            Callee::Tpl => {
                let values = self.own_args(template, dot, "tpl", args)?;
                let text = self.tpl(&values[0], values[1].clone());
                self.called(template, "tpl", site, text).map(Operand::plain)
            }
        }
    }

    /// Evaluates the arguments of `include` and `tpl`: a string and anything.
    fn own_args(
        &mut self,
        template: &Template,
        dot: &Operand,
        name: &str,
        args: Args<'_>,
    ) -> Exec<SmallVec<[Value; 4]>> {
        self.check_arity(template, Signature { name, fixed: 2, variadic: false }, args)?;
        self.arguments(template, dot, &[Type::String, Type::Any], None, args)
    }

    fn call_function(
        &mut self,
        template: &Template,
        dot: &Operand,
        function: &'static Function,
        site: Site,
        args: Args<'_>,
    ) -> Exec<Operand> {
        let signature =
            Signature { name: function.name, fixed: function.params.len(), variadic: function.variadic.is_some() };
        self.check_arity(template, signature, args)?;
        let values = self.arguments(template, dot, function.params, function.variadic, args)?;
        let result = (function.call)(&mut Call { env: self.env }, &values);
        self.called(template, function.name, site, result).map(Operand::plain)
    }

    /// `and` and `or` evaluate only as many arguments as they need.
    fn short_circuit(
        &mut self,
        template: &Template,
        dot: &Operand,
        name: &str,
        stop: bool,
        args: Args<'_>,
    ) -> Exec<Operand> {
        self.check_arity(template, Signature { name, fixed: 1, variadic: true }, args)?;
        let mut value = Operand::invalid();
        for expr in args.exprs {
            value = self.operand(template, dot, expr)?;
            if value.value.truth() == stop {
                return Ok(value);
            }
        }
        Ok(args.last.cloned().unwrap_or(value))
    }

    /// Go's `call`: no template value is a function, so all it can do is to say so.
    fn call_builtin(&mut self, template: &Template, dot: &Operand, site: Site, args: Args<'_>) -> Exec<Operand> {
        self.check_arity(template, Signature { name: "call", fixed: 1, variadic: true }, args)?;
        let mut first = None;
        for expr in args.exprs {
            let operand = self.operand(template, dot, expr)?;
            first.get_or_insert((expr.to_string(), operand));
        }
        let (name, operand) = match (first, args.last) {
            (Some(first), _) => first,
            (None, last) => {
                let last = last.cloned().unwrap_or_else(Operand::invalid);
                let name = match &last.value {
                    Value::Str(text) => text.to_string(),
                    Value::Nil => "<invalid Value>".into(),
                    other => format!("<{} Value>", other.type_name()),
                };
                (name, last)
            }
        };
        let message = match &operand.value {
            Value::Nil => "call of nil".to_owned(),
            value => format!("non-function {name} of type {}", value.type_name()),
        };
        self.called(template, "call", site, Err(Failure::message(message)))
    }

    /// Evaluates arguments against parameter types.
    fn arguments(
        &mut self,
        template: &Template,
        dot: &Operand,
        params: &[Type],
        variadic: Option<Type>,
        args: Args<'_>,
    ) -> Exec<SmallVec<[Value; 4]>> {
        let mut values = SmallVec::new();
        let type_of = |at: usize| params.get(at).copied().or(variadic).unwrap_or(Type::Any);
        for (at, expr) in args.exprs.iter().enumerate() {
            values.push(self.argument(template, dot, type_of(at), expr)?);
        }
        if let Some(last) = args.last {
            values.push(self.validate(template, last.clone(), type_of(args.exprs.len()))?);
        }
        Ok(values)
    }

    /// Evaluates an argument for a parameter of type `reflect.Value`, or the receiver of a chain.
    fn operand(&mut self, template: &Template, dot: &Operand, expr: &Expr) -> Exec<Operand> {
        self.at = expr.site();
        match expr {
            Expr::Dot { .. } => Ok(dot.clone()),
            Expr::Nil { .. } => Ok(Operand::invalid()),
            Expr::Field { site, fields, .. } => self.fields(template, dot, dot, fields, *site, Args::NONE),
            Expr::Variable(variable) => self.variable(template, dot, variable, None, Args::NONE),
            Expr::Pipe(pipe) => self.nested(template, dot, pipe),
            Expr::Function { site, callee, .. } => self.call(template, dot, *callee, *site, Args::NONE),
            Expr::Chain(chain) => self.chain(template, dot, chain, Args::NONE),
            literal => self.literal(template, literal),
        }
    }

    /// Evaluates an argument for a parameter of a type; a literal adapts to it.
    fn argument(&mut self, template: &Template, dot: &Operand, wanted: Type, expr: &Expr) -> Exec<Value> {
        match expr {
            Expr::Nil { site, .. } => {
                self.at = *site;
                match nil_of(wanted) {
                    Some(nil) => Ok(nil),
                    None => self.error(template, format!("cannot assign nil to {}", wanted.name())),
                }
            }
            Expr::Bool { .. } | Expr::Number(_) | Expr::String { .. } => {
                self.at = expr.site();
                self.adapt(template, wanted, expr)
            }
            _ => {
                let operand = self.operand(template, dot, expr)?;
                self.validate(template, operand, wanted)
            }
        }
    }

    fn adapt(&mut self, template: &Template, wanted: Type, literal: &Expr) -> Exec<Value> {
        let expected = |this: &Self, what: &str| this.error(template, format!("expected {what}; found {literal}"));
        let number = |get: fn(&Number) -> Option<Value>| match literal {
            Expr::Number(number) => get(number),
            _ => None,
        };
        match wanted {
            Type::Any => self.literal(template, literal).map(|operand| operand.value),
            Type::Bool => match literal {
                Expr::Bool { value, .. } => Ok(Value::Bool(*value)),
                _ => expected(self, "bool"),
            },
            Type::String => match literal {
                Expr::String { text, .. } => Ok(Value::Str(text.clone())),
                _ => expected(self, "string"),
            },
            Type::Int => number(|n| n.int.map(Value::Int)).map_or_else(|| expected(self, "integer"), Ok),
            // Go's named integers adapt like an int64; their methods take one as such.
            Type::Int64 | Type::Object("time.Duration" | "time.Month") => {
                number(|n| n.int.map(Value::Int64)).map_or_else(|| expected(self, "integer"), Ok)
            }
            Type::Uint32 => {
                number(|n| n.uint.map(Value::Uint64)).map_or_else(|| expected(self, "unsigned integer"), Ok)
            }
            Type::Float64 => number(|n| n.float.map(Value::Float)).map_or_else(|| expected(self, "float"), Ok),
            Type::Bytes | Type::List(_) | Type::Map(_) | Type::Object(_) => {
                self.error(template, format!("can't handle {literal} for arg of type {}", wanted.name()))
            }
        }
    }

    /// Checks that a value can be assigned to a parameter type.
    fn validate(&self, template: &Template, operand: Operand, wanted: Type) -> Exec<Value> {
        let fits = match (&operand.value, wanted) {
            (_, Type::Any)
            | (Value::Bool(_), Type::Bool)
            | (Value::Int(_), Type::Int)
            | (Value::Int64(_), Type::Int64)
            | (Value::Float(_), Type::Float64)
            | (Value::Str(_), Type::String)
            | (Value::Bytes(_), Type::Bytes) => true,
            (Value::List(list), Type::List(wanted)) => list.list_type() == wanted,
            (Value::Map(map), Type::Map(wanted)) => {
                let assignable = match wanted {
                    MapType::Any | MapType::Values => map.map_type() != MapType::Str,
                    MapType::Str => map.map_type() == MapType::Str,
                };
                if assignable {
                    return Ok(Value::Map(map.with_type(wanted)));
                }
                false
            }
            (Value::Obj(object), Type::Object(wanted)) => {
                object.type_name() == wanted || object.type_name().strip_prefix('*') == Some(wanted)
            }
            _ => false,
        };
        if fits {
            return Ok(match &operand.value {
                Value::Obj(object) => object.as_argument().unwrap_or(operand.value),
                _ => operand.value,
            });
        }
        let wanted_name = wanted.name();
        if operand.is_invalid() {
            return match nil_of(wanted) {
                Some(nil) => Ok(nil),
                None => self.error(template, format!("invalid value; expected {wanted_name}")),
            };
        }
        let got = if operand.is_nil_interface() { operand.type_name() } else { operand.value.type_name() };
        self.error(template, format!("wrong type for value; expected {wanted_name}; got {got}"))
    }
}

/// Returns the nil of a type that has one.
fn nil_of(wanted: Type) -> Option<Value> {
    match wanted {
        Type::Any => Some(Value::Nil),
        Type::Bytes => Some(Value::Bytes(Str::default())),
        Type::List(list) => Some(Value::List(crate::value::List::nil(list))),
        Type::Map(map) => Some(Value::Map(Map::nil(map))),
        Type::Object(name) => name.starts_with('*').then_some(Value::Nil),
        Type::Bool | Type::Int | Type::Int64 | Type::Uint32 | Type::Float64 | Type::String => None,
    }
}

/// Prints a chain as Go does.
struct Shown<'c>(&'c Chain);

impl std::fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0.node)?;
        self.0.fields.iter().try_for_each(|field| write!(f, ".{field}"))
    }
}
