//! Go's map with string keys: a handle on shared entries that change in place.

use std::cell::RefCell;
use std::rc::Rc;

use super::{Str, Value, release};

/// The Go type of a map. It belongs to the handle, since Go converts between named and unnamed map types freely.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapType {
    /// `map[string]interface {}`
    Any,
    /// `common.Values`, Helm's name for the same.
    Values,
    /// `map[string]string`
    Str,
}

impl MapType {
    /// Returns the type as `%T` prints it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Any => "map[string]interface {}",
            Self::Values => "common.Values",
            Self::Str => "map[string]string",
        }
    }
}

/// Entries sorted by key bytes.
type Entries = Vec<(Str, Value)>;

/// A handle on a map: clones share the entries. Iteration is in byte order of the keys, as Go's templates print and
/// range over maps.
#[derive(Clone)]
pub struct Map {
    /// `None` is Go's nil map, which can be read but not written.
    cell: Option<Rc<Cell>>,
    map_type: MapType,
}

/// The entries that the handles of a map share.
#[derive(Default)]
pub(super) struct Cell(RefCell<Entries>);

impl Cell {
    /// Takes all entries out, which also breaks cycles.
    pub(super) fn clear(&self) -> Vec<(Str, Value)> {
        self.0.take()
    }
}

impl Drop for Cell {
    fn drop(&mut self) {
        release::map(self.0.take());
    }
}

impl Map {
    pub fn new(map_type: MapType) -> Self {
        Self { cell: Some(Rc::default()), map_type }
    }

    /// Makes the nil map of a type.
    pub fn nil(map_type: MapType) -> Self {
        Self { cell: None, map_type }
    }

    /// Makes a map of the pairs; of equal keys the last wins.
    pub fn from_pairs(map_type: MapType, pairs: impl IntoIterator<Item = (Str, Value)>) -> Self {
        let mut entries: Entries = pairs.into_iter().collect();
        if !entries.is_sorted_by(|a, b| a.0 < b.0) {
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            entries.dedup_by(|later, earlier| {
                let equal = later.0 == earlier.0;
                if equal {
                    std::mem::swap(later, earlier);
                }
                equal
            });
        }
        Self { cell: Some(Rc::new(Cell(RefCell::new(entries)))), map_type }
    }

    pub fn is_nil(&self) -> bool {
        self.cell.is_none()
    }

    pub fn map_type(&self) -> MapType {
        self.map_type
    }

    /// Returns a handle on the same entries under another type.
    #[must_use]
    pub fn with_type(&self, map_type: MapType) -> Self {
        Self { cell: self.cell.clone(), map_type }
    }

    /// Tells whether both handles are on the same entries.
    pub fn same(&self, other: &Self) -> bool {
        match (&self.cell, &other.cell) {
            (Some(a), Some(b)) => Rc::ptr_eq(a, b),
            (None, None) => true,
            _ => false,
        }
    }

    pub fn len(&self) -> usize {
        self.cell.as_ref().map_or(0, |cell| cell.0.borrow().len())
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn get(&self, key: &[u8]) -> Option<Value> {
        let entries = self.cell.as_ref()?.0.borrow();
        position(&entries, key).ok().map(|at| entries[at].1.clone())
    }

    pub fn contains_key(&self, key: &[u8]) -> bool {
        self.cell.as_ref().is_some_and(|cell| position(&cell.0.borrow(), key).is_ok())
    }

    /// Sets a key. Returns false, and does nothing, on a nil map: Go panics there with "assignment to entry in nil map".
    #[must_use]
    pub fn insert(&self, key: Str, value: Value) -> bool {
        let Some(cell) = &self.cell else { return false };
        if matches!(value, Value::Map(_) | Value::List(_)) {
            release::note_written(cell);
        }
        let mut entries = cell.0.borrow_mut();
        // What is replaced is dropped after the borrow ends, since dropping may reach this map again.
        let replaced = match position(&entries, &key) {
            Ok(at) => Some(std::mem::replace(&mut entries[at].1, value)),
            Err(at) => {
                entries.insert(at, (key, value));
                None
            }
        };
        drop(entries);
        drop(replaced);
        true
    }

    pub fn remove(&self, key: &[u8]) -> Option<Value> {
        let mut entries = self.cell.as_ref()?.0.borrow_mut();
        position(&entries, key).ok().map(|at| entries.remove(at).1)
    }

    /// Returns the keys in byte order.
    pub fn keys(&self) -> Vec<Str> {
        self.cell.as_ref().map_or_else(Vec::new, |cell| cell.0.borrow().iter().map(|(key, _)| key.clone()).collect())
    }

    /// Returns the values in byte order of their keys.
    pub fn values(&self) -> Vec<Value> {
        self.cell
            .as_ref()
            .map_or_else(Vec::new, |cell| cell.0.borrow().iter().map(|(_, value)| value.clone()).collect())
    }

    /// Returns a copy of the entries in byte order of the keys, safe to walk while the map changes.
    pub fn entries(&self) -> Vec<(Str, Value)> {
        self.cell.as_ref().map_or_else(Vec::new, |cell| cell.0.borrow().clone())
    }

    /// Calls `read` with the entries in byte order without copying; `read` must not change this map.
    pub fn with_entries<T>(&self, read: impl FnOnce(&[(Str, Value)]) -> T) -> T {
        match &self.cell {
            Some(cell) => read(&cell.0.borrow()),
            None => read(&[]),
        }
    }

    /// Calls `visit` on each entry in byte order without copying; `visit` must not change this map.
    pub fn try_each<E>(&self, mut visit: impl FnMut(&Str, &Value) -> Result<(), E>) -> Result<(), E> {
        let Some(cell) = &self.cell else { return Ok(()) };
        cell.0.borrow().iter().try_for_each(|(key, value)| visit(key, value))
    }
}

fn position(entries: &[(Str, Value)], key: &[u8]) -> Result<usize, usize> {
    entries.binary_search_by(|(k, _)| k.as_bytes().cmp(key))
}
