//! Go's slice: immutable here, since no template function writes into one.

use std::ops::Deref;
use std::rc::Rc;

use super::{Value, release};

/// The Go type of a slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListType {
    /// `[]interface {}`
    Any,
    /// `[]string`
    Str,
    /// `[]int`
    Int,
    /// `[]map[string]interface {}`
    Map,
    /// `[][]interface {}`
    Lists,
}

impl ListType {
    /// Returns the type as `%T` prints it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Any => "[]interface {}",
            Self::Str => "[]string",
            Self::Int => "[]int",
            Self::Map => "[]map[string]interface {}",
            Self::Lists => "[][]interface {}",
        }
    }
}

/// A slice of one Go type; it may be nil, which prints as an empty one and is `null` in JSON.
#[derive(Clone)]
pub struct List {
    items: Option<Rc<[Value]>>,
    list_type: ListType,
}

impl List {
    pub fn new(list_type: ListType, items: impl Into<Rc<[Value]>>) -> Self {
        Self { items: Some(items.into()), list_type }
    }

    /// Makes the nil slice of a type.
    pub fn nil(list_type: ListType) -> Self {
        Self { items: None, list_type }
    }

    pub fn is_nil(&self) -> bool {
        self.items.is_none()
    }

    pub fn list_type(&self) -> ListType {
        self.list_type
    }

    pub fn items(&self) -> &[Value] {
        self.items.as_deref().unwrap_or_default()
    }

    /// Tells whether nothing else holds the items.
    #[cfg(test)]
    pub(super) fn is_only_handle(&self) -> bool {
        self.items.as_ref().is_some_and(|items| Rc::strong_count(items) == 1)
    }

    /// Tells whether both are the same slice in memory.
    pub fn same(&self, other: &Self) -> bool {
        match (&self.items, &other.items) {
            (Some(a), Some(b)) => Rc::ptr_eq(a, b),
            (None, None) => true,
            _ => false,
        }
    }
}

impl Drop for List {
    fn drop(&mut self) {
        if let Some(items) = self.items.take()
            && matches!(self.list_type, ListType::Any | ListType::Map)
        {
            release::list(items, self.list_type);
        }
    }
}

impl Deref for List {
    type Target = [Value];

    fn deref(&self) -> &[Value] {
        self.items()
    }
}
