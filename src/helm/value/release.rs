//! The end of values: without recursion as deep as they nest, and without leaks when maps hold themselves.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use super::{List, ListType, Str, Value, map};

/// How deep dropping recurses before what is nested deeper waits in a queue.
const MAX_RECURSION: usize = 64;

thread_local! {
    static DEPTH: Cell<usize> = const { Cell::new(0) };
    static QUEUE: RefCell<Vec<Value>> = const { RefCell::new(Vec::new()) };
    /// The maps that got a map or list since the first [`Cycles`] began; `None` outside of any.
    static WRITTEN: RefCell<Option<Vec<Weak<map::Cell>>>> = const { RefCell::new(None) };
}

/// Drops the entries of a map.
pub(super) fn map(entries: Vec<(Str, Value)>) {
    if entries.iter().any(|(_, value)| matches!(value, Value::Map(_) | Value::List(_))) {
        nested(entries, |entries, queue| queue.extend(entries.into_iter().map(|(_, value)| value)));
    }
}

/// Drops a handle on a list's items.
pub(super) fn list(items: Rc<[Value]>, list_type: ListType) {
    if Rc::strong_count(&items) == 1 && items.iter().any(|item| matches!(item, Value::Map(_) | Value::List(_))) {
        nested(items, |items, queue| queue.push(Value::List(List::new(list_type, items))));
    }
}

/// Drops a container now, or puts what it holds into the queue that the outermost drop empties.
fn nested<T>(container: T, defer: impl FnOnce(T, &mut Vec<Value>)) {
    let depth = DEPTH.get();
    if depth >= MAX_RECURSION {
        // Threads that end have no queue any more; they drop as it comes.
        let mut container = Some(container);
        let _ = QUEUE.try_with(|queue| {
            if let (Ok(mut queue), Some(container)) = (queue.try_borrow_mut(), container.take()) {
                defer(container, &mut queue);
            }
        });
        return;
    }
    DEPTH.set(depth + 1);
    drop(container);
    if depth == 0 {
        while let Some(value) = QUEUE.with(|queue| queue.borrow_mut().pop()) {
            drop(value);
        }
    }
    DEPTH.set(depth);
}

/// Remembers a map that got a value which may lead back to it.
pub(super) fn note_written(cell: &Rc<map::Cell>) {
    WRITTEN.with(|written| {
        if let Some(written) = written.borrow_mut().as_mut() {
            written.push(Rc::downgrade(cell));
        }
    });
}

/// Breaks, when it ends, the cycles that maps came to form in its time: every map that got a map or list in it, and is
/// still alive, is emptied. So it must outlive all use of those maps. Begun within another, it leaves them to that one.
pub struct Cycles {
    outermost: bool,
}

impl Cycles {
    /// Begins to remember the maps that change on this thread.
    pub fn watch() -> Self {
        let outermost = WRITTEN.with(|written| {
            let mut written = written.borrow_mut();
            let outermost = written.is_none();
            written.get_or_insert_default();
            outermost
        });
        Self { outermost }
    }
}

impl Drop for Cycles {
    fn drop(&mut self) {
        if !self.outermost {
            return;
        }
        let written = WRITTEN.with(|written| written.borrow_mut().take());
        for cell in written.into_iter().flatten().filter_map(|cell| cell.upgrade()) {
            let entries = cell.clear();
            map(entries);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::{Map, MapType};

    #[test]
    fn values_nested_a_million_deep_end_without_recursion() {
        let mut map = Value::map([("x", Value::Nil)]);
        let mut list = Value::list([]);
        for _ in 0..1_000_000 {
            map = Value::map([("x", map)]);
            list = Value::list([list]);
        }
    }

    #[test]
    fn a_map_that_holds_itself_ends_with_the_watch() {
        let held = Value::list([Value::Nil]);
        let items = match &held {
            Value::List(list) => list.clone(),
            _ => unreachable!("it is a list"),
        };
        let watch = Cycles::watch();
        let map = Map::new(MapType::Any);
        assert!(map.insert("self".into(), Value::Map(map.clone())));
        assert!(map.insert("held".into(), held));
        drop(map);
        assert!(!items.is_only_handle());
        drop(watch);
        assert!(items.is_only_handle());
    }
}
