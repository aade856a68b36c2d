//! Lists. Every function has a `must` twin; in Go one panics where the other returns an error, a template sees the same.

use std::collections::HashSet;

use super::arguments::{NIL_DEREFERENCE, int, list, slice};
use super::cast::to_int64;
use super::{Call, Failure, Function, Type};
use crate::value::{List, ListType, Str, Value};

type Result<T = Value> = std::result::Result<T, Failure>;

const ANY: Type = Type::Any;
const INT: Type = Type::Int;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::variadic("list", &[], ANY, |_, a| Ok(list(a.to_vec()))),
    Function::variadic("tuple", &[], ANY, |_, a| Ok(list(a.to_vec()))),
    Function::new("append", &[ANY, ANY], push),
    Function::new("push", &[ANY, ANY], push),
    Function::new("mustAppend", &[ANY, ANY], push),
    Function::new("mustPush", &[ANY, ANY], push),
    Function::new("prepend", &[ANY, ANY], prepend),
    Function::new("mustPrepend", &[ANY, ANY], prepend),
    Function::new("first", &[ANY], first),
    Function::new("mustFirst", &[ANY], first),
    Function::new("last", &[ANY], last),
    Function::new("mustLast", &[ANY], last),
    Function::new("rest", &[ANY], rest),
    Function::new("mustRest", &[ANY], rest),
    Function::new("initial", &[ANY], initial),
    Function::new("mustInitial", &[ANY], initial),
    Function::new("reverse", &[ANY], reverse),
    Function::new("mustReverse", &[ANY], reverse),
    Function::new("uniq", &[ANY], uniq),
    Function::new("mustUniq", &[ANY], uniq),
    Function::variadic("without", &[ANY], ANY, without),
    Function::variadic("mustWithout", &[ANY], ANY, without),
    Function::new("has", &[ANY, ANY], has),
    Function::new("mustHas", &[ANY, ANY], has),
    Function::new("compact", &[ANY], compact),
    Function::new("mustCompact", &[ANY], compact),
    Function::variadic("slice", &[ANY], ANY, cut),
    Function::variadic("mustSlice", &[ANY], ANY, cut),
    Function::variadic("concat", &[], ANY, concat),
    Function::new("chunk", &[INT, ANY], chunk),
    Function::new("mustChunk", &[INT, ANY], chunk),
];

fn nil_list() -> Value {
    Value::List(List::nil(ListType::Any))
}

fn push(_: &mut Call<'_>, a: &[Value]) -> Result {
    let mut items = slice(&a[0], "Cannot push on type")?.into_owned();
    items.push(a[1].clone());
    Ok(list(items))
}

fn prepend(_: &mut Call<'_>, a: &[Value]) -> Result {
    let mut items = vec![a[1].clone()];
    items.extend_from_slice(&slice(&a[0], "Cannot prepend on type")?);
    Ok(list(items))
}

fn first(_: &mut Call<'_>, a: &[Value]) -> Result {
    Ok(slice(&a[0], "Cannot find first on type")?.first().cloned().unwrap_or_default())
}

fn last(_: &mut Call<'_>, a: &[Value]) -> Result {
    Ok(slice(&a[0], "Cannot find last on type")?.last().cloned().unwrap_or_default())
}

fn rest(_: &mut Call<'_>, a: &[Value]) -> Result {
    let items = slice(&a[0], "Cannot find rest on type")?;
    Ok(items.split_first().map_or_else(nil_list, |(_, rest)| list(rest.to_vec())))
}

fn initial(_: &mut Call<'_>, a: &[Value]) -> Result {
    let items = slice(&a[0], "Cannot find initial on type")?;
    Ok(items.split_last().map_or_else(nil_list, |(_, rest)| list(rest.to_vec())))
}

fn reverse(_: &mut Call<'_>, a: &[Value]) -> Result {
    let mut items = slice(&a[0], "Cannot find reverse on type")?.into_owned();
    items.reverse();
    Ok(list(items))
}

/// The values met so far, texts in a set since lists are mostly of them.
#[derive(Default)]
struct Seen {
    texts: HashSet<Str>,
    others: Vec<Value>,
}

impl Seen {
    fn of(items: &[Value]) -> Self {
        let mut seen = Self::default();
        for item in items {
            seen.insert(item);
        }
        seen
    }

    fn contains(&self, value: &Value) -> bool {
        match value {
            Value::Str(text) => self.texts.contains(text),
            other => self.others.iter().any(|known| other.deep_equal(known)),
        }
    }

    /// Returns false if the value was there.
    fn insert(&mut self, value: &Value) -> bool {
        match value {
            Value::Str(text) => self.texts.insert(text.clone()),
            other if self.contains(other) => false,
            other => {
                self.others.push(other.clone());
                true
            }
        }
    }
}

fn uniq(_: &mut Call<'_>, a: &[Value]) -> Result {
    let items = slice(&a[0], "Cannot find uniq on type")?;
    let mut seen = Seen::default();
    Ok(list(items.iter().filter(|item| seen.insert(item)).cloned().collect()))
}

fn without(_: &mut Call<'_>, a: &[Value]) -> Result {
    let items = slice(&a[0], "Cannot find without on type")?;
    let omitted = Seen::of(&a[1..]);
    Ok(list(items.iter().filter(|item| !omitted.contains(item)).cloned().collect()))
}

fn has(_: &mut Call<'_>, a: &[Value]) -> Result {
    if a[1].is_nil() {
        return Ok(false.into());
    }
    let items = slice(&a[1], "Cannot find has on type")?;
    Ok(items.iter().any(|item| a[0].deep_equal(item)).into())
}

fn compact(_: &mut Call<'_>, a: &[Value]) -> Result {
    let items = slice(&a[0], "Cannot compact on type")?;
    Ok(list(items.iter().filter(|item| item.truth()).cloned().collect()))
}

fn cut(_: &mut Call<'_>, a: &[Value]) -> Result {
    let items = slice(&a[0], "list should be type of slice or array but")?;
    if items.is_empty() {
        return Ok(Value::Nil);
    }
    let start = a.get(1).map_or(0, to_int64);
    let end = a.get(2).map_or(items.len() as i64, to_int64);
    let range = usize::try_from(start).and_then(|start| usize::try_from(end).map(|end| start..end));
    let part = range.ok().and_then(|range| items.get(range));
    let part = part.ok_or_else(|| Failure::message("reflect.Value.Slice: slice index out of bounds"))?;
    Ok(match &a[0] {
        Value::List(whole) => Value::List(List::new(whole.list_type(), part)),
        Value::Bytes(whole) => Value::Bytes(whole[start as usize..end as usize].into()),
        _ => Value::List(List::new(ListType::Str, part)),
    })
}

fn concat(_: &mut Call<'_>, a: &[Value]) -> Result {
    let mut all = Vec::new();
    for part in a {
        if part.is_nil() {
            return Err(Failure::message(NIL_DEREFERENCE));
        }
        let items = super::arguments::elements(part)
            .ok_or_else(|| Failure::message(format!("Cannot concat type {} as list", part.kind().name())))?;
        all.extend_from_slice(&items);
    }
    Ok(if all.is_empty() { nil_list() } else { list(all) })
}

/// Splits into lists of `size`; the arithmetic is Go's, which for sizes of zero and less fails late or not at all.
fn chunk(_: &mut Call<'_>, a: &[Value]) -> Result {
    let too_long = || Failure::message("runtime error: makeslice: len out of range");
    let items = slice(&a[1], "Cannot chunk type")?;
    let (size, len) = (int(a, 0), items.len() as i64);
    let count = super::cast::truncated(((len - 1) as f64 / size as f64).floor() + 1.0);
    let count = usize::try_from(count).map_err(|_| too_long())?;
    let mut chunks = Vec::new();
    for at in 0..count {
        let mut taken = size;
        if at == count - 1 {
            taken = super::cast::truncated((len as f64 % size as f64).floor());
            if taken == 0 {
                taken = size;
            }
        }
        let taken = usize::try_from(taken).map_err(|_| too_long())?;
        let start = at * usize::try_from(size).unwrap_or(0);
        let part =
            items.get(start..start + taken).ok_or_else(|| Failure::message("reflect: slice index out of range"))?;
        chunks.push(list(part.to_vec()));
    }
    Ok(Value::List(List::new(ListType::Lists, chunks)))
}
