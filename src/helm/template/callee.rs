//! What a function name in a template stands for.

use std::fmt;

use super::builtins::{self, Reflect};
use super::helm;
use crate::functions::{self, Function};

/// A resolved function. Those that steer evaluation or execute templates are the executor's own.
#[derive(Clone, Copy)]
pub(super) enum Callee {
    And,
    Or,
    Call,
    Include,
    Tpl,
    /// One of Go's that sees arguments as `reflect.Value`.
    Reflect(&'static Reflect),
    Function(&'static Function),
}

impl Callee {
    /// Finds a function: Helm's and sprig's go before Go's own.
    pub fn find(name: &[u8]) -> Option<Self> {
        match name {
            b"and" => return Some(Self::And),
            b"or" => return Some(Self::Or),
            b"call" => return Some(Self::Call),
            b"include" => return Some(Self::Include),
            b"tpl" => return Some(Self::Tpl),
            _ => {}
        }
        let name = std::str::from_utf8(name).ok()?;
        let own = |table: &'static [Function]| table.iter().find(|function| function.name == name);
        own(helm::FUNCTIONS)
            .or_else(|| functions::find(name))
            .or_else(|| own(builtins::FUNCTIONS))
            .map(Self::Function)
            .or_else(|| builtins::REFLECT.iter().find(|function| function.name == name).map(Self::Reflect))
    }

    pub fn name(&self) -> &'static str {
        match self {
            Self::And => "and",
            Self::Or => "or",
            Self::Call => "call",
            Self::Include => "include",
            Self::Tpl => "tpl",
            Self::Reflect(function) => function.name,
            Self::Function(function) => function.name,
        }
    }
}

impl fmt::Debug for Callee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
