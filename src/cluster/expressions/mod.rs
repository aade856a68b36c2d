//! CEL expressions over objects, in the environment that Flux gives them: the standard functions, the extensions for
//! strings, sets and encodings, and optional values.
//!
//! Expressions come from users. They are bounded before they are evaluated: by their length, by the steps that they can
//! take over the objects at hand, and by how much larger than these what they build can get.

mod check;
mod health;
mod weight;

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock},
};

use cel::{Context, Env, ExecutionError, Program, Value as CelValue, extensions, objects::Key};
use serde_json::Value;

pub use self::health::{HealthCheckError, HealthChecks};
use self::weight::Weight;

/// Bytes of one expression.
pub const MAX_EXPRESSION: usize = 4 << 10;
/// Steps that an expression may take.
pub const MAX_STEPS: f64 = 2e6;
/// Bytes that an expression may build.
pub const MAX_BUILT: f64 = 64e6;

static ENVIRONMENT: LazyLock<Arc<Env>> = LazyLock::new(|| {
    let mut env = Env::stdlib();
    for extension in [extensions::strings, extensions::encoders] {
        // The names of both are not among the standard ones; a test holds it.
        let _ = env.add_extension(extension);
    }
    Arc::new(env)
});

/// Why an expression has no outcome. The texts are Flux's.
#[derive(Debug, thiserror::Error)]
pub enum ExpressionError {
    #[error("failed to parse the CEL expression '{text}': {problems}")]
    Parse { text: String, problems: String },
    #[error("the CEL expression has {0} bytes, more than {MAX_EXPRESSION}")]
    TooLong(usize),
    #[error("CEL expression output type mismatch: expected bool, got {0}")]
    Type(&'static str),
    #[error("failed to evaluate the CEL expression '{text}': {problem}")]
    Evaluate { text: String, problem: String },
    #[error("failed to evaluate CEL expression as boolean: '{0}'")]
    NotBoolean(String),
    #[error("the CEL expression '{0}' would take too many steps over objects of this size")]
    TooManySteps(String),
    #[error("the CEL expression '{0}' could build too large a text over objects of this size")]
    TooLarge(String),
}

/// An expression that was read.
pub struct Expression {
    text: String,
    program: Program,
    weight: Weight,
}

impl std::fmt::Debug for Expression {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Expression").field(&self.text).finish()
    }
}

impl Expression {
    /// Reads an expression whose variables are not known.
    pub fn parse(text: &str) -> Result<Self, ExpressionError> {
        if text.len() > MAX_EXPRESSION {
            return Err(ExpressionError::TooLong(text.len()));
        }
        let program = ENVIRONMENT.compile(text).map_err(|errors| ExpressionError::Parse {
            text: text.to_owned(),
            // cel-go's form of a snippet.
            problems: errors.to_string().replace("\n| ", "\n | "),
        })?;
        let weight = Weight::of(program.expression());
        Ok(Self { text: text.to_owned(), program, weight })
    }

    /// Reads an expression that may use these variables alone and says yes or no.
    pub fn compile(text: &str, variables: &[&str]) -> Result<Self, ExpressionError> {
        let expression = Self::parse(text)?;
        check::references(&expression.program, text, variables)
            .map_err(|problems| ExpressionError::Parse { text: text.to_owned(), problems })?;
        match check::output(expression.program.expression()) {
            "bool" => Ok(expression),
            other => Err(ExpressionError::Type(other)),
        }
    }

    /// Evaluates the expression with its variables.
    pub fn is_true(&self, variables: &[(&str, &Value)]) -> Result<bool, ExpressionError> {
        let mut context = Context::with_env(ENVIRONMENT.clone());
        let mut size = Size::default();
        for (name, value) in variables {
            context.add_variable_from_value(*name, converted(value, &mut size));
        }
        if self.weight.built(size.bytes) > MAX_BUILT {
            return Err(ExpressionError::TooLarge(self.text.clone()));
        }
        if self.weight.steps(size.elements, size.text) > MAX_STEPS {
            return Err(ExpressionError::TooManySteps(self.text.clone()));
        }
        for (name, function) in SETS {
            // The standard functions do not have these names.
            let _ = context.add_function(name, function);
        }
        match self.program.execute(&context) {
            Ok(CelValue::Bool(is_true)) => Ok(is_true),
            Ok(_) => Err(ExpressionError::NotBoolean(self.text.clone())),
            Err(error) => Err(ExpressionError::Evaluate { text: self.text.clone(), problem: problem(&error) }),
        }
    }
}

/// Says what went wrong in cel-go's words where they are known.
fn problem(error: &ExecutionError) -> String {
    match error {
        ExecutionError::NoSuchKey(key) => format!("no such key: {key}"),
        ExecutionError::UndeclaredReference(name) => format!("no such attribute(s): {name}"),
        other => other.to_string(),
    }
}

/// How large the variables are.
#[derive(Default)]
struct Size {
    /// Elements of the largest collection.
    elements: usize,
    /// Bytes of the longest text.
    text: usize,
    bytes: usize,
}

/// Makes a CEL value; whole numbers are `int`.
fn converted(value: &Value, size: &mut Size) -> CelValue {
    size.bytes += 8;
    match value {
        Value::Null => CelValue::Null,
        Value::Bool(is_true) => CelValue::Bool(*is_true),
        Value::Number(number) => {
            number.as_i64().map_or_else(|| CelValue::Float(number.as_f64().unwrap_or(f64::NAN)), CelValue::Int)
        }
        Value::String(text) => {
            size.bytes += text.len();
            size.text = size.text.max(text.len());
            CelValue::String(Arc::new(text.clone()))
        }
        Value::Array(items) => {
            size.elements = size.elements.max(items.len());
            CelValue::List(Arc::new(items.iter().map(|item| converted(item, size)).collect()))
        }
        Value::Object(map) => {
            size.elements = size.elements.max(map.len());
            size.bytes += map.keys().map(String::len).sum::<usize>();
            let entries: HashMap<Key, CelValue> =
                map.iter().map(|(key, value)| (Key::from(key.as_str()), converted(value, size))).collect();
            CelValue::Map(cel::objects::Map { map: Arc::new(entries) })
        }
    }
}

type List = Arc<Vec<CelValue>>;

type SetTest = fn(List, List) -> bool;

/// cel-go's extension for sets.
const SETS: [(&str, SetTest); 3] = [
    ("sets.contains", |list, sublist| sublist.iter().all(|item| list.contains(item))),
    ("sets.intersects", |a, b| a.iter().any(|item| b.contains(item))),
    ("sets.equivalent", |a, b| a.iter().all(|item| b.contains(item)) && b.iter().all(|item| a.contains(item))),
];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ask(text: &str, dep: &Value) -> Result<bool, String> {
        let own = json!({ "metadata": { "name": "self" }, "spec": { "values": { "version": "1.2" } } });
        let expression = Expression::compile(text, &["self", "dep"]).map_err(|error| error.to_string())?;
        expression.is_true(&[("self", &own), ("dep", dep)]).map_err(|error| error.to_string())
    }

    #[test]
    fn the_functions_that_flux_gives_are_there() {
        let dep = json!({ "metadata": { "generation": 3, "name": "dep", "labels": { "a": "B" } },
            "spec": { "values": { "version": "1.2" }, "list": ["a", "b"] },
            "status": { "conditions": [{ "type": "Ready", "status": "True", "observedGeneration": 3 }], "ratio": 0.5 } });
        for (text, expected) in [
            ("true", true),
            ("self.spec.values.version == dep.spec.values.version", true),
            (
                "dep.status.conditions.filter(e, e.type == 'Ready').all(e, e.status == 'True' && e.observedGeneration == dep.metadata.generation)",
                true,
            ),
            ("dep.status.conditions.exists(e, e.type == 'Stalled')", false),
            ("has(dep.spec.list) && !has(dep.spec.other)", true),
            ("dep.metadata.generation > 2.5 && dep.status.ratio < 1", true),
            ("dep.metadata.labels.a.lowerAscii() == 'b' && 'x,y'.split(',')[1] == 'y'", true),
            ("['b', 'a'].join('-') == 'b-a' && 'abc'.substring(1) == 'bc' && 'a-b'.replace('-', '+') == 'a+b'", true),
            ("sets.contains(dep.spec.list, ['a']) && sets.equivalent(['a', 'b'], ['b', 'a', 'a'])", true),
            ("sets.intersects(dep.spec.list, ['c'])", false),
            ("base64.decode('aGk=') == b'hi'", true),
            ("dep.?status.?nothing.orValue('x') == 'x'", true),
            ("'a' in dep.spec.list ? dep.metadata.name.matches('^d.p$') : false", true),
            ("timestamp('2026-01-01T00:00:00Z') < timestamp('2026-01-02T00:00:00Z')", true),
        ] {
            assert_eq!(ask(text, &dep), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_right_is_refused_before_it_is_asked() {
        for (text, part) in [
            (
                "self.generation == deps.generation",
                "failed to parse the CEL expression 'self.generation == deps.generation': ERROR: <input>:1:20: undeclared reference to 'deps' (in container '')\n | self.generation == deps.generation\n | ...................^",
            ),
            ("(", "failed to parse the CEL expression '(': ERROR: <input>:1:2: Syntax error"),
            ("dep.status.ready", "CEL expression output type mismatch: expected bool, got dyn"),
            ("'text'", "CEL expression output type mismatch: expected bool, got string"),
            ("1 + 2 * 3", "CEL expression output type mismatch: expected bool, got int"),
            ("frobnicate(dep)", "undeclared reference to 'frobnicate' (in container '')"),
            (&"true && ".repeat(600), "the CEL expression has 4800 bytes, more than 4096"),
        ] {
            let error = ask(text, &json!({})).unwrap_err();
            assert!(error.starts_with(part) || error.contains(part) && part.starts_with("und"), "{text}: {error}");
        }
    }

    #[test]
    fn what_goes_wrong_is_said() {
        let dep = json!({ "status": {} });
        for (text, expected) in [
            ("dep.status.conditions.all(e, true)", "no such key: conditions"),
            ("dep.status == 1 || dep.nothing == 1", "no such key: nothing"),
        ] {
            assert_eq!(ask(text, &dep), Err(format!("failed to evaluate the CEL expression '{text}': {expected}")));
        }
        let expression = Expression::parse("status.text").unwrap();
        let status = json!({ "text": "x" });
        assert_eq!(
            expression.is_true(&[("status", &status)]).unwrap_err().to_string(),
            "failed to evaluate CEL expression as boolean: 'status.text'"
        );
        assert_eq!(
            expression.is_true(&[]).unwrap_err().to_string(),
            "failed to evaluate the CEL expression 'status.text': no such attribute(s): status"
        );
    }

    #[test]
    fn steps_and_sizes_are_bounded() {
        let many = json!({ "list": (0..2000).collect::<Vec<_>>() });
        let error = ask("dep.list.all(a, dep.list.all(b, a != b || a == b))", &many).unwrap_err();
        assert!(error.contains("too many steps"), "{error}");
        assert_eq!(ask("dep.list.all(a, a >= 0)", &many), Ok(true));
        let text = json!({ "text": "x".repeat(100_000) });
        let doubling = ".map(x, x + x)".repeat(20);
        let error = ask(&format!("[dep.text]{doubling}.size() == 1"), &text).unwrap_err();
        assert!(error.contains("too large a text"), "{error}");
        let error = ask("dep.text.replace('x', dep.text).size() == 1", &text).unwrap_err();
        assert!(error.contains("too large a text"), "{error}");
    }
}
