//! How much work an expression can be, told from its form alone.

use cel::common::ast::{EntryExpr, Expr, IdedExpr, LiteralValue, operators};

/// How an expression's work and what it builds grow with the size of what it looks at.
#[derive(Clone, Debug)]
pub struct Weight {
    /// Steps by how many loops they are in.
    steps: Vec<f64>,
    /// Whether texts are divided, so that a list can be as long as a text.
    divides: bool,
    /// How many times larger than its variables a text can get.
    growth: f64,
}

impl Weight {
    /// Weighs an expression.
    pub fn of(expression: &IdedExpr) -> Self {
        let mut weight = Self { steps: Vec::new(), divides: false, growth: 1.0 };
        weight.add(expression, 0, "");
        weight
    }

    /// Returns how many steps it can take where no collection has more elements and no text more bytes.
    pub fn steps(&self, elements: usize, text: usize) -> f64 {
        let longest = if self.divides { elements.max(text) } else { elements };
        let longest = longest.max(16) as f64 * self.growth;
        self.steps.iter().rev().fold(0.0, |inner, steps| steps + inner * longest)
    }

    /// Returns how many bytes it can build of variables with `bytes`.
    pub fn built(&self, bytes: usize) -> f64 {
        self.growth * bytes as f64
    }

    fn step(&mut self, depth: usize) {
        if self.steps.len() <= depth {
            self.steps.resize(depth + 1, 0.0);
        }
        self.steps[depth] += 1.0;
    }

    fn add(&mut self, expression: &IdedExpr, depth: usize, accumulator: &str) {
        self.step(depth);
        match &expression.expr {
            Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => {}
            Expr::Call(call) => {
                let appends =
                    matches!(call.args.first().map(|arg| &arg.expr), Some(Expr::Ident(name)) if name == accumulator);
                match call.func_name.as_str() {
                    operators::ADD if appends => {}
                    operators::ADD | "join" | "format" if depth == 0 => self.growth += 1.0,
                    operators::ADD | "join" | "format" => self.growth *= 2.0,
                    "replace" => self.growth *= replacement(call.args.get(1)),
                    "split" => self.divides = true,
                    _ => {}
                }
                call.target.iter().for_each(|target| self.add(target, depth, accumulator));
                call.args.iter().for_each(|arg| self.add(arg, depth, accumulator));
            }
            Expr::Comprehension(comprehension) => {
                self.add(&comprehension.iter_range, depth, accumulator);
                self.add(&comprehension.accu_init, depth, accumulator);
                self.add(&comprehension.loop_cond, depth + 1, &comprehension.accu_var);
                self.add(&comprehension.loop_step, depth + 1, &comprehension.accu_var);
                self.add(&comprehension.result, depth, &comprehension.accu_var);
            }
            Expr::List(list) => list.elements.iter().for_each(|element| self.add(element, depth, accumulator)),
            Expr::Select(select) => self.add(&select.operand, depth, accumulator),
            Expr::Map(map) => map.entries.iter().for_each(|entry| self.entry(&entry.expr, depth, accumulator)),
            Expr::Struct(of) => of.entries.iter().for_each(|entry| self.entry(&entry.expr, depth, accumulator)),
        }
    }

    fn entry(&mut self, entry: &EntryExpr, depth: usize, accumulator: &str) {
        match entry {
            EntryExpr::StructField(field) => self.add(&field.value, depth, accumulator),
            EntryExpr::MapEntry(entry) => {
                self.add(&entry.key, depth, accumulator);
                self.add(&entry.value, depth, accumulator);
            }
        }
    }
}

/// How much longer a text gets where each of its characters is replaced; what is not written out can be of any length.
fn replacement(with: Option<&IdedExpr>) -> f64 {
    match with.map(|with| &with.expr) {
        Some(Expr::Literal(LiteralValue::String(text))) => (text.inner().len() as f64).max(1.0),
        _ => f64::INFINITY,
    }
}
