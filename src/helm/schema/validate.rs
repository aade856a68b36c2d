//! Checks values against a compiled schema.
#![expect(clippy::result_large_err, reason = "a failure is built where it is found and moved up once")]

use std::cell::Cell;
use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::compile::Schema;
use super::failure::{Failure, Kind};
use super::node::{Additional, Dependency, Draft, Id, Items, Node, types};
use super::number;

/// How many schemas one check may apply; alternatives inside alternatives could take for ever.
pub const MAX_STEPS: u64 = 5_000_000;
/// How deep schemas may be applied inside each other.
pub const MAX_DEPTH: usize = 2_000;
/// When less stack than this is left, [`STACK`] more is taken from the heap.
const RED_ZONE: usize = 128 << 10;
const STACK: usize = 2 << 20;

impl Schema {
    /// Checks a value; the failure is that of the whole schema.
    pub fn check(&self, value: &Value) -> Result<(), Failure> {
        let Some(root) = self.nodes.first() else { return Ok(()) };
        let steps = Cell::new(0);
        check_root(self, 0, value, &steps).map_err(|causes| Failure {
            at: Vec::new(),
            kind: Kind::Schema(root.location()),
            causes,
        })
    }
}

/// Checks a value as if it were a document of its own.
fn check_root(schema: &Schema, id: Id, value: &Value, steps: &Cell<u64>) -> Result<(), Vec<Failure>> {
    let scope = Scope { id, keyword: "", value: 0, depth: 0, parent: None };
    let left = Unevaluated::of(&schema.nodes[id], value, false);
    let mut at = Vec::new();
    let mut check = Check { schema, value, at: &mut at, scope, left, failures: Vec::new(), quick: false, steps };
    match check.run() {
        Ok(_) => Ok(()),
        Err(Failure { kind: Kind::Group, causes, .. }) => Err(causes),
        Err(failure) => Err(vec![failure]),
    }
}

/// The schemas that led to the one being applied.
struct Scope<'s> {
    id: Id,
    /// The keyword of a jump, empty where the schema lies under its parent.
    keyword: &'static str,
    /// Counts values: scopes of one value have one number.
    value: usize,
    depth: usize,
    parent: Option<&'s Scope<'s>>,
}

impl Scope<'_> {
    fn find_cycle(&self) -> Option<&Scope<'_>> {
        let mut scope = self.parent;
        while let Some(found) = scope.filter(|scope| scope.value == self.value) {
            if found.id == self.id {
                return Some(found);
            }
            scope = found.parent;
        }
        None
    }

    /// Writes the keywords from the start to here.
    fn keywords(&self, nodes: &[Node]) -> String {
        let Some(parent) = self.parent else { return String::new() };
        let own = if self.keyword.is_empty() {
            let (own, outer) = (nodes[self.id].location(), nodes[parent.id].location());
            own.strip_prefix(&outer).unwrap_or_default().to_string()
        } else {
            format!("/{}", self.keyword)
        };
        parent.keywords(nodes) + &own
    }
}

/// What no schema has looked at yet, for the keywords that ask.
#[derive(Debug, Default)]
struct Unevaluated {
    properties: BTreeSet<String>,
    items: BTreeSet<usize>,
}

impl Unevaluated {
    fn of(node: &Node, value: &Value, asked: bool) -> Self {
        let mut left = Self::default();
        match value {
            Value::Object(map)
                if !node.evaluates_all_properties() && (asked || node.unevaluated_properties.is_some()) =>
            {
                left.properties = map.keys().cloned().collect();
            }
            Value::Array(list) if !node.evaluates_all_items() && (asked || node.unevaluated_items.is_some()) => {
                left.items = (node.evaluated_items()..list.len()).collect();
            }
            _ => {}
        }
        left
    }

    fn keep_only(&mut self, other: &Self) {
        self.properties.retain(|name| other.properties.contains(name));
        self.items.retain(|index| other.items.contains(index));
    }

    fn is_empty(&self) -> bool {
        self.properties.is_empty() && self.items.is_empty()
    }
}

/// One schema applied to one value.
struct Check<'c> {
    schema: &'c Schema,
    value: &'c Value,
    at: &'c mut Vec<String>,
    scope: Scope<'c>,
    left: Unevaluated,
    failures: Vec<Failure>,
    /// Only whether it holds is asked, not why not.
    quick: bool,
    steps: &'c Cell<u64>,
}

impl<'c> Check<'c> {
    fn node(&self) -> &'c Node {
        &self.schema.nodes[self.scope.id]
    }

    fn failure(&self, kind: Kind) -> Failure {
        let at = if self.quick { Vec::new() } else { self.at.clone() };
        Failure::new(at, kind)
    }

    fn fail(&mut self, kind: Kind) {
        let failure = self.failure(kind);
        self.failures.push(failure);
    }

    fn fail_for(&mut self, kind: Kind, causes: Vec<Failure>) {
        let failure = Failure { causes, ..self.failure(kind) };
        self.failures.push(failure);
    }

    fn note(&mut self, outcome: Result<(), Failure>) {
        self.failures.extend(outcome.err());
    }

    /// Says whether the outcome is known already.
    fn is_decided(&self) -> bool {
        self.quick && !self.failures.is_empty()
    }

    fn run(&mut self) -> Result<Unevaluated, Failure> {
        self.steps.set(self.steps.get() + 1);
        if self.steps.get() > MAX_STEPS || self.scope.depth > MAX_DEPTH {
            return Err(self.failure(Kind::TooMuch));
        }
        stacker::maybe_grow(RED_ZONE, STACK, || self.run_here())
    }

    fn run_here(&mut self) -> Result<Unevaluated, Failure> {
        let node = self.node();
        match node.boolean {
            Some(true) => return Ok(std::mem::take(&mut self.left)),
            Some(false) => return Err(self.failure(Kind::FalseSchema)),
            None => {}
        }
        if let Some(first) = self.scope.find_cycle() {
            let nodes = &self.schema.nodes;
            let (first, second) = (self.scope.keywords(nodes), first.keywords(nodes));
            return Err(self.failure(Kind::RefCycle { url: node.location(), first, second }));
        }
        self.check_value()?;
        if let Some(target) = node.reference {
            let outcome = self.check_reference(target, "$ref");
            if node.draft < Draft::D2019 {
                return outcome.map(|()| std::mem::take(&mut self.left));
            }
            self.note(outcome);
        }
        match self.value {
            Value::Object(map) => self.check_object(map),
            Value::Array(list) => self.check_array(list),
            Value::String(text) => self.check_string(text),
            Value::Number(number) => self.check_number(number),
            _ => {}
        }
        if !self.is_decided() {
            if node.draft >= Draft::D2019 {
                self.check_dynamic_references();
            }
            self.check_conditions();
            if node.draft >= Draft::D2019 {
                self.check_unevaluated();
            }
        }
        match self.failures.len() {
            0 => Ok(std::mem::take(&mut self.left)),
            1 => Err(self.failures.remove(0)),
            _ => {
                let causes = std::mem::take(&mut self.failures);
                Err(Failure { causes, ..self.failure(Kind::Group) })
            }
        }
    }

    /// Checks what ends the check at once: type, const, enum and format.
    fn check_value(&self) -> Result<(), Failure> {
        let node = self.node();
        let found = types::of(self.value);
        if node.types != 0 && node.types & found == 0 {
            let integer = matches!(self.value, Value::Number(n) if number::is_integer(n));
            if !(integer && node.types & types::INTEGER != 0) {
                let got = types::names(found)[0];
                return Err(self.failure(Kind::Type { got, want: types::names(node.types) }));
            }
        }
        if let Some(want) = &node.constant
            && !equal(self.value, want)
        {
            return Err(self.failure(Kind::Const(want.clone())));
        }
        if let Some(want) = &node.enumeration
            && !want.iter().any(|item| equal(self.value, item))
        {
            return Err(self.failure(Kind::Enum(want.clone())));
        }
        if let (Some(format), Value::String(text)) = (&node.format, self.value)
            && let Err(why) = format.check(text)
        {
            let (got, want) = (text.clone(), format.name().to_string());
            return Err(self.failure(Kind::Format { got, want, why }));
        }
        Ok(())
    }

    fn check_object(&mut self, object: &'c Map<String, Value>) {
        let node = self.node();
        let size = object.len() as i64;
        if let Some(min) = node.min_properties.filter(|min| size < *min) {
            self.fail(Kind::MinProperties(size, min));
        }
        if let Some(max) = node.max_properties.filter(|max| size > *max) {
            self.fail(Kind::MaxProperties(size, max));
        }
        let missing = |names: &[String]| -> Vec<String> {
            names.iter().filter(|name| !object.contains_key(*name)).cloned().collect()
        };
        let absent = missing(&node.required);
        if !absent.is_empty() {
            self.fail(Kind::Required(absent));
        }
        if self.is_decided() {
            return;
        }
        for (name, dependency) in node.dependencies.iter().filter(|(name, _)| object.contains_key(*name)) {
            match dependency {
                Dependency::Properties(names) => {
                    let absent = missing(names);
                    if !absent.is_empty() {
                        self.fail(Kind::DependentRequired(name.clone(), absent));
                    }
                }
                Dependency::Schema(id) => {
                    let outcome = self.check_self(*id, "", false);
                    self.note(outcome);
                }
            }
        }
        self.check_properties(object);
        if let Some(names) = node.property_names {
            self.check_property_names(object, names);
        }
        for (_, id) in node.dependent_schemas.iter().filter(|(name, _)| object.contains_key(*name)) {
            let outcome = self.check_self(*id, "", false);
            self.note(outcome);
        }
        for (name, names) in node.dependent_required.iter().filter(|(name, _)| object.contains_key(*name)) {
            let absent = missing(names);
            if !absent.is_empty() {
                self.fail(Kind::DependentRequired(name.clone(), absent));
            }
        }
    }

    fn check_properties(&mut self, object: &'c Map<String, Value>) {
        let node = self.node();
        let mut refused = Vec::new();
        for (name, value) in object {
            if self.is_decided() {
                return;
            }
            let mut evaluated = false;
            if let Some(id) = node.properties.get(name) {
                evaluated = true;
                self.check_inner(*id, value, name);
            }
            for (_, id) in node.pattern_properties.iter().filter(|(regex, _)| regex.is_match(name.as_bytes())) {
                evaluated = true;
                self.check_inner(*id, value, name);
            }
            match &node.additional_properties {
                Some(Additional::Bool(false)) if !evaluated => refused.push(name.clone()),
                Some(Additional::Schema(id)) if !evaluated => self.check_inner(*id, value, name),
                _ => {}
            }
            if evaluated || node.additional_properties.is_some() {
                self.left.properties.remove(name);
            }
        }
        if !refused.is_empty() {
            self.fail(Kind::AdditionalProperties(refused));
        }
    }

    fn check_property_names(&mut self, object: &'c Map<String, Value>, id: Id) {
        for name in object.keys() {
            let text = Value::String(name.clone());
            if let Err(causes) = check_root(self.schema, id, &text, self.steps) {
                self.fail_for(Kind::PropertyNames(name.clone()), causes);
            }
        }
    }

    fn check_array(&mut self, list: &'c [Value]) {
        let node = self.node();
        let size = list.len() as i64;
        if let Some(min) = node.min_items.filter(|min| size < *min) {
            self.fail(Kind::MinItems(size, min));
        }
        if let Some(max) = node.max_items.filter(|max| size > *max) {
            self.fail(Kind::MaxItems(size, max));
        }
        if node.unique_items
            && let Some((first, second)) = duplicates(list)
        {
            self.fail(Kind::UniqueItems(first, second));
        }
        if node.draft < Draft::D2020 {
            self.check_items(list);
        } else {
            for (i, (id, item)) in node.prefix_items.iter().zip(list).enumerate() {
                self.check_inner(*id, item, &i.to_string());
            }
            if let Some(id) = node.items_2020 {
                for (i, item) in list.iter().enumerate().skip(node.prefix_items.len()) {
                    self.check_inner(id, item, &i.to_string());
                }
            }
        }
        if let Some(id) = node.contains {
            self.check_contains(list, id);
        }
    }

    fn check_items(&mut self, list: &'c [Value]) {
        let node = self.node();
        let evaluated = match &node.items {
            Some(Items::All(id)) => {
                for (i, item) in list.iter().enumerate() {
                    self.check_inner(*id, item, &i.to_string());
                }
                list.len()
            }
            Some(Items::Each(each)) => {
                for (i, (id, item)) in each.iter().zip(list).enumerate() {
                    self.check_inner(*id, item, &i.to_string());
                }
                each.len().min(list.len())
            }
            None => 0,
        };
        match &node.additional_items {
            Some(Additional::Bool(false)) if evaluated != list.len() => {
                self.fail(Kind::AdditionalItems((list.len() - evaluated) as i64));
            }
            Some(Additional::Schema(id)) => {
                for (i, item) in list.iter().enumerate().skip(evaluated) {
                    self.check_inner(*id, item, &i.to_string());
                }
            }
            _ => {}
        }
    }

    fn check_contains(&mut self, list: &'c [Value], id: Id) {
        let node = self.node();
        let (mut failures, mut matched) = (Vec::new(), Vec::new());
        for (i, item) in list.iter().enumerate() {
            if let Err(failure) = self.check_at(id, item, &i.to_string()) {
                failures.push(failure);
                continue;
            }
            matched.push(i);
            if node.draft >= Draft::D2020 {
                self.left.items.remove(&i);
            }
        }
        let count = matched.len() as i64;
        match node.min_contains {
            Some(want) if count < want => self.fail_for(Kind::MinContains { got: matched.clone(), want }, failures),
            None if count == 0 => self.fail_for(Kind::Contains, failures),
            _ => {}
        }
        if let Some(want) = node.max_contains.filter(|want| count > *want) {
            self.fail(Kind::MaxContains { got: matched, want });
        }
    }

    fn check_string(&mut self, text: &str) {
        let node = self.node();
        let length = text.chars().count() as i64;
        if let Some(min) = node.min_length.filter(|min| length < *min) {
            self.fail(Kind::MinLength(length, min));
        }
        if let Some(max) = node.max_length.filter(|max| length > *max) {
            self.fail(Kind::MaxLength(length, max));
        }
        if let Some((regex, pattern)) = &node.pattern
            && !regex.is_match(text.as_bytes())
        {
            self.fail(Kind::Pattern { got: text.to_string(), want: pattern.clone() });
        }
    }

    fn check_number(&mut self, found: &serde_json::Number) {
        use std::cmp::Ordering::{Equal, Greater, Less};
        let node = self.node();
        for (name, bound, refused) in [
            ("minimum", &node.minimum, &[Less][..]),
            ("maximum", &node.maximum, &[Greater]),
            ("exclusiveMinimum", &node.exclusive_minimum, &[Less, Equal]),
            ("exclusiveMaximum", &node.exclusive_maximum, &[Greater, Equal]),
        ] {
            if let Some(bound) = bound
                && refused.contains(&number::compare(found, bound))
            {
                self.fail(Kind::Bound(name, found.clone(), bound.clone()));
            }
        }
        if let Some(of) = &node.multiple_of
            && !number::is_multiple(found, of)
        {
            self.fail(Kind::Bound("multipleOf", found.clone(), of.clone()));
        }
    }

    fn check_conditions(&mut self) {
        let node = self.node();
        if let Some(id) = node.not
            && self.check_self(id, "", true).is_ok()
        {
            self.fail(Kind::Not);
        }
        let mut failures = Vec::new();
        for id in &node.all_of {
            failures.extend(self.check_self(*id, "", false).err());
            if self.quick && !failures.is_empty() {
                break;
            }
        }
        if !failures.is_empty() {
            self.fail_for(Kind::AllOf, failures);
        }
        self.check_any_of(&node.any_of);
        self.check_one_of(&node.one_of);
        if let Some(id) = node.condition {
            let branch = if self.check_self(id, "", true).is_ok() { node.then } else { node.otherwise };
            if let Some(id) = branch {
                let outcome = self.check_self(id, "", false);
                self.note(outcome);
            }
        }
    }

    fn check_any_of(&mut self, alternatives: &[Id]) {
        let (mut matched, mut failures) = (alternatives.is_empty(), Vec::new());
        for id in alternatives {
            if let Err(failure) = self.check_self(*id, "", false) {
                failures.push(failure);
                continue;
            }
            matched = true;
            // What each alternative looks at matters as long as something is left over.
            if self.left.is_empty() {
                break;
            }
        }
        if !matched {
            self.fail_for(Kind::AnyOf, failures);
        }
    }

    fn check_one_of(&mut self, alternatives: &[Id]) {
        let (mut matched, mut failures) = (None, Vec::new());
        for (i, id) in alternatives.iter().enumerate() {
            match (self.check_self(*id, "", matched.is_some()), matched) {
                (Err(failure), None) => failures.push(failure),
                (Err(_), Some(_)) => {}
                (Ok(()), None) => matched = Some(i),
                (Ok(()), Some(first)) => {
                    self.fail(Kind::OneOf(Some((first, i))));
                    break;
                }
            }
        }
        if matched.is_none() && !alternatives.is_empty() {
            self.fail_for(Kind::OneOf(None), failures);
        }
    }

    fn check_unevaluated(&mut self) {
        let node = self.node();
        if let (Value::Object(map), Some(id)) = (self.value, node.unevaluated_properties) {
            for name in std::mem::take(&mut self.left.properties) {
                if let Some(value) = map.get(&name) {
                    self.check_inner(id, value, &name);
                }
            }
        }
        if let (Value::Array(list), Some(id)) = (self.value, node.unevaluated_items) {
            for i in std::mem::take(&mut self.left.items) {
                self.check_inner(id, &list[i], &i.to_string());
            }
        }
    }

    fn check_dynamic_references(&mut self) {
        let node = self.node();
        let nodes = &self.schema.nodes;
        if let Some(target) = node.recursive_ref {
            let target = if nodes[target].recursive_anchor {
                self.outermost(|scope| nodes[nodes[scope.id].resource].recursive_anchor.then_some(scope.id))
                    .unwrap_or(target)
            } else {
                target
            };
            let outcome = self.check_reference(target, "$recursiveRef");
            self.note(outcome);
        }
        if let Some((target, anchor)) = &node.dynamic_ref {
            let target = if !anchor.is_empty() && nodes[*target].dynamic_anchor == *anchor {
                self.outermost(|scope| nodes[nodes[scope.id].resource].dynamic_anchors.get(anchor).copied())
                    .unwrap_or(*target)
            } else {
                *target
            };
            let outcome = self.check_reference(target, "$dynamicRef");
            self.note(outcome);
        }
    }

    /// Finds the last answer on the way from here to the start.
    fn outermost(&self, ask: impl Fn(&Scope<'_>) -> Option<Id>) -> Option<Id> {
        let mut found = ask(&self.scope);
        let mut scope = self.scope.parent;
        while let Some(outer) = scope {
            found = ask(outer).or(found);
            scope = outer.parent;
        }
        found
    }

    fn check_reference(&mut self, target: Id, keyword: &'static str) -> Result<(), Failure> {
        self.check_self(target, keyword, false).map_err(|failure| {
            let causes = match failure {
                Failure { kind: Kind::Group, causes, .. } => causes,
                failure => vec![failure],
            };
            Failure { causes, ..self.failure(Kind::Reference) }
        })
    }

    /// Applies another schema to the same value.
    fn check_self(&mut self, id: Id, keyword: &'static str, quick: bool) -> Result<(), Failure> {
        let left = Unevaluated::of(&self.schema.nodes[id], self.value, !self.left.is_empty());
        let (value, depth) = (self.scope.value, self.scope.depth + 1);
        let left = Check {
            schema: self.schema,
            value: self.value,
            at: &mut *self.at,
            scope: Scope { id, keyword, value, depth, parent: Some(&self.scope) },
            left,
            failures: Vec::new(),
            quick: self.quick || quick,
            steps: self.steps,
        }
        .run()?;
        self.left.keep_only(&left);
        Ok(())
    }

    /// Applies a schema to a part of the value.
    fn check_at(&mut self, id: Id, value: &Value, part: &str) -> Result<(), Failure> {
        self.at.push(part.to_string());
        let outcome = Check {
            schema: self.schema,
            value,
            at: &mut *self.at,
            scope: Scope {
                id,
                keyword: "",
                value: self.scope.value + 1,
                depth: self.scope.depth + 1,
                parent: Some(&self.scope),
            },
            left: Unevaluated::of(&self.schema.nodes[id], value, false),
            failures: Vec::new(),
            quick: self.quick,
            steps: self.steps,
        }
        .run();
        self.at.pop();
        outcome.map(|_| ())
    }

    fn check_inner(&mut self, id: Id, value: &Value, part: &str) {
        let outcome = self.check_at(id, value, part);
        self.note(outcome);
    }
}

/// Compares by value: numbers as numbers, maps whatever their order.
fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => number::compare(a, b).is_eq(),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| equal(a, b)))
        }
        (a, b) => a == b,
    }
}

/// Finds two equal items, the second as early as possible.
fn duplicates(list: &[Value]) -> Option<(usize, usize)> {
    (1..list.len()).find_map(|i| (0..i).find(|j| equal(&list[i], &list[*j])).map(|j| (j, i)))
}
