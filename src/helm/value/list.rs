//! Go's slice: immutable here, since no template function writes into one but `sortAlpha`.

use std::cell::OnceCell;
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
pub struct List(Items);

#[derive(Clone)]
enum Items {
    Nil(ListType),
    Fixed(ListType, Rc<[Value]>),
    /// A `[]string`, which can be sorted.
    Strings(Rc<Strings>),
}

struct Strings {
    made: Box<[Value]>,
    /// The items in order, once `sortAlpha` has sorted them in place: every handle sees it, as all see Go's array.
    sorted: OnceCell<Box<[Value]>>,
}

impl List {
    pub fn new(list_type: ListType, items: impl Into<Rc<[Value]>>) -> Self {
        let items = items.into();
        if list_type == ListType::Str {
            return Self(Items::Strings(Rc::new(Strings { made: items.to_vec().into(), sorted: OnceCell::new() })));
        }
        Self(Items::Fixed(list_type, items))
    }

    /// Makes a `[]string`.
    pub fn strings(items: Vec<Value>) -> Self {
        Self(Items::Strings(Rc::new(Strings { made: items.into(), sorted: OnceCell::new() })))
    }

    /// Makes the nil slice of a type.
    pub fn nil(list_type: ListType) -> Self {
        Self(Items::Nil(list_type))
    }

    pub fn is_nil(&self) -> bool {
        matches!(self.0, Items::Nil(_))
    }

    pub fn list_type(&self) -> ListType {
        match &self.0 {
            Items::Nil(list_type) | Items::Fixed(list_type, _) => *list_type,
            Items::Strings(_) => ListType::Str,
        }
    }

    pub fn items(&self) -> &[Value] {
        match &self.0 {
            Items::Nil(_) => &[],
            Items::Fixed(_, items) => items,
            Items::Strings(strings) => strings.sorted.get().unwrap_or(&strings.made),
        }
    }

    /// Sorts a `[]string` for all who hold it.
    pub fn sort_in_place(&self) {
        if let Items::Strings(strings) = &self.0 {
            strings.sorted.get_or_init(|| {
                let mut sorted = strings.made.to_vec();
                sorted.sort_by(|a, b| a.as_str().cmp(&b.as_str()));
                sorted.into()
            });
        }
    }

    /// Tells whether nothing else holds the items.
    #[cfg(test)]
    pub(super) fn is_only_handle(&self) -> bool {
        matches!(&self.0, Items::Fixed(_, items) if Rc::strong_count(items) == 1)
    }

    /// Tells whether both are the same slice in memory.
    pub fn same(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Items::Fixed(_, a), Items::Fixed(_, b)) => Rc::ptr_eq(a, b),
            (Items::Strings(a), Items::Strings(b)) => Rc::ptr_eq(a, b),
            (Items::Nil(_), Items::Nil(_)) => true,
            _ => false,
        }
    }
}

impl Drop for List {
    fn drop(&mut self) {
        if let Items::Fixed(list_type @ (ListType::Any | ListType::Map), _) = self.0
            && let Items::Fixed(_, items) = std::mem::replace(&mut self.0, Items::Nil(list_type))
        {
            release::list(items, list_type);
        }
    }
}

impl Deref for List {
    type Target = [Value];

    fn deref(&self) -> &[Value] {
        self.items()
    }
}
