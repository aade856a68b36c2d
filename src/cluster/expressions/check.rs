//! What cel-go's type checker would say of an expression whose variables are maps: names that are not there, and an outcome
//! that is not a boolean.

use cel::{
    Program,
    common::ast::{CallExpr, EntryExpr, Expr, IdedExpr, LiteralValue, operators},
};

/// Functions that are called alone or on a value.
const FUNCTIONS: &[&str] = &[
    "bool",
    "bytes",
    "charAt",
    "contains",
    "double",
    "duration",
    "dyn",
    "endsWith",
    "format",
    "getDate",
    "getDayOfMonth",
    "getDayOfWeek",
    "getDayOfYear",
    "getFullYear",
    "getHours",
    "getMilliseconds",
    "getMinutes",
    "getMonth",
    "getSeconds",
    "hasValue",
    "indexOf",
    "int",
    "join",
    "lastIndexOf",
    "lowerAscii",
    "matches",
    "or",
    "orValue",
    "replace",
    "reverse",
    "size",
    "split",
    "startsWith",
    "string",
    "substring",
    "timestamp",
    "trim",
    "type",
    "uint",
    "upperAscii",
    "value",
];
/// Functions with a namespace of their own.
const NAMESPACED: &[&str] = &[
    "base64.decode",
    "base64.encode",
    "optional.none",
    "optional.of",
    "optional.ofNonZeroValue",
    "sets.contains",
    "sets.equivalent",
    "sets.intersects",
    "strings.quote",
];
/// Functions that say yes or no.
const BOOLEAN: &[&str] = &[
    "bool",
    "contains",
    "endsWith",
    "equivalent",
    "hasValue",
    "intersects",
    "matches",
    "startsWith",
    operators::EQUALS,
    operators::GREATER,
    operators::GREATER_EQUALS,
    operators::IN,
    operators::LESS,
    operators::LESS_EQUALS,
    operators::LOGICAL_AND,
    operators::LOGICAL_NOT,
    operators::LOGICAL_OR,
    operators::NOT_EQUALS,
    operators::NOT_STRICTLY_FALSE,
];
/// Operators that give what both of their sides are.
const ARITHMETIC: &[&str] =
    &[operators::ADD, operators::SUBSTRACT, operators::MULTIPLY, operators::DIVIDE, operators::MODULO];
/// Names of types, which are values too.
const TYPES: &[&str] =
    &["bool", "bytes", "double", "dyn", "int", "list", "map", "null_type", "string", "type", "uint", "google"];

/// Names what an expression refers to and is not there, as cel-go does.
pub fn references(program: &Program, text: &str, variables: &[&str]) -> Result<(), String> {
    let mut found = Vec::new();
    let mut scope: Vec<String> = variables.iter().map(|name| (*name).to_owned()).collect();
    collect(program.expression(), &mut scope, &mut found);
    if found.is_empty() {
        return Ok(());
    }
    let problem = |(id, name): &(u64, String)| {
        let start = program.source_info().offset_for(*id).map_or(0, |(start, _)| start as usize);
        let (line, column, source) = place(text, start);
        let dots = ".".repeat(column);
        format!(
            "ERROR: <input>:{line}:{}: undeclared reference to '{name}' (in container '')\n | {source}\n | {dots}^",
            column + 1
        )
    };
    Err(found.iter().map(problem).collect::<Vec<_>>().join("\n"))
}

/// Finds the line, the column from 0 and the line's text of an offset in characters.
fn place(text: &str, offset: usize) -> (usize, usize, &str) {
    let mut left = offset;
    let mut last = (1, 0, "");
    for (at, line) in text.split('\n').enumerate() {
        let length = line.chars().count();
        last = (at + 1, left.min(length), line);
        if left <= length {
            break;
        }
        left -= length + 1;
    }
    last
}

fn collect(expression: &IdedExpr, scope: &mut Vec<String>, found: &mut Vec<(u64, String)>) {
    match &expression.expr {
        Expr::Unspecified | Expr::Literal(_) => {}
        Expr::Ident(name) => {
            if !scope.contains(name) && !name.starts_with('@') && !TYPES.contains(&name.as_str()) {
                found.push((expression.id, name.clone()));
            }
        }
        Expr::Call(call) => collect_call(expression.id, call, scope, found),
        Expr::Comprehension(loops) => {
            collect(&loops.iter_range, scope, found);
            collect(&loops.accu_init, scope, found);
            let outer = scope.len();
            scope.extend([loops.iter_var.clone(), loops.accu_var.clone()]);
            scope.extend(loops.iter_var2.clone());
            for part in [&loops.loop_cond, &loops.loop_step, &loops.result] {
                collect(part, scope, found);
            }
            scope.truncate(outer);
        }
        Expr::List(list) => list.elements.iter().for_each(|element| collect(element, scope, found)),
        Expr::Select(select) => collect(&select.operand, scope, found),
        Expr::Map(map) => map.entries.iter().for_each(|entry| collect_entry(&entry.expr, scope, found)),
        Expr::Struct(of) => of.entries.iter().for_each(|entry| collect_entry(&entry.expr, scope, found)),
    }
}

fn collect_entry(entry: &EntryExpr, scope: &mut Vec<String>, found: &mut Vec<(u64, String)>) {
    match entry {
        EntryExpr::StructField(field) => collect(&field.value, scope, found),
        EntryExpr::MapEntry(entry) => {
            collect(&entry.key, scope, found);
            collect(&entry.value, scope, found);
        }
    }
}

fn collect_call(id: u64, call: &CallExpr, scope: &mut Vec<String>, found: &mut Vec<(u64, String)>) {
    let name = call.func_name.as_str();
    let namespaced = call.target.as_ref().and_then(|target| match &target.expr {
        Expr::Ident(namespace) => Some(format!("{namespace}.{name}")),
        _ => None,
    });
    let is_namespaced = namespaced.is_some_and(|name| NAMESPACED.contains(&name.as_str()));
    let is_operator = !name.starts_with(|c: char| c.is_ascii_alphabetic());
    if !(is_namespaced || is_operator || FUNCTIONS.contains(&name) || NAMESPACED.contains(&name)) {
        found.push((id, name.to_owned()));
    }
    if !is_namespaced {
        call.target.iter().for_each(|target| collect(target, scope, found));
    }
    call.args.iter().for_each(|arg| collect(arg, scope, found));
}

/// Returns the type of what an expression gives, `dyn` where only its evaluation tells.
pub fn output(expression: &IdedExpr) -> &'static str {
    match &expression.expr {
        Expr::Literal(literal) => match literal {
            LiteralValue::Boolean(_) => "bool",
            LiteralValue::Bytes(_) => "bytes",
            LiteralValue::Double(_) => "double",
            LiteralValue::Int(_) => "int",
            LiteralValue::Null => "null",
            LiteralValue::String(_) => "string",
            LiteralValue::UInt(_) => "uint",
        },
        Expr::Select(select) if select.test => "bool",
        Expr::List(_) => "list(dyn)",
        Expr::Map(_) => "map(dyn, dyn)",
        Expr::Call(call) if call.func_name == operators::CONDITIONAL => match call.args.as_slice() {
            [_, yes, no] if output(yes) == output(no) => output(yes),
            _ => "dyn",
        },
        Expr::Call(call) if BOOLEAN.contains(&call.func_name.as_str()) || is_set_check(call) => "bool",
        Expr::Call(call) if ARITHMETIC.contains(&call.func_name.as_str()) => match call.args.as_slice() {
            [left, right] if output(left) == output(right) => output(left),
            _ => "dyn",
        },
        Expr::Call(call) if matches!(call.func_name.as_str(), "size" | "indexOf" | "int") => "int",
        Expr::Call(call) if matches!(call.func_name.as_str(), "string" | "join" | "lowerAscii" | "trim") => "string",
        Expr::Comprehension(loops) => match &loops.result.expr {
            Expr::Ident(name) if *name == loops.accu_var => output(&loops.accu_init),
            _ => output(&loops.result),
        },
        Expr::Unspecified | Expr::Ident(_) | Expr::Select(_) | Expr::Call(_) | Expr::Struct(_) => "dyn",
    }
}

fn is_set_check(call: &CallExpr) -> bool {
    matches!(call.func_name.as_str(), "sets.contains" | "sets.equivalent" | "sets.intersects")
}
