//! Values with a state of their own: what iterates once, cyclers, joiners.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use super::{Items, Value};

/// Items that can be taken once. They are computed when the stream is made: what fails in Python
/// only when it is reached fails here at once.
#[derive(Debug)]
pub(crate) struct Stream {
    items: Rc<Items>,
    taken: Cell<usize>,
    pub(super) depth: usize,
}

impl Stream {
    pub(in super::super) fn value(items: Rc<Items>) -> Value {
        let depth = Value::List(items.clone()).depth() + 1;
        let taken = Cell::new(0);
        Value::Stream(Rc::new(Self {
            items,
            taken,
            depth,
        }))
    }

    pub(in super::super) fn next(&self) -> Option<Value> {
        let item = self.items.values.get(self.taken.get()).cloned();
        self.taken
            .set(self.taken.get() + usize::from(item.is_some()));
        item
    }

    /// Takes all that is left.
    pub(in super::super) fn rest(&self) -> &[Value] {
        &self.items.values[self.taken.replace(self.items.values.len())..]
    }
}

/// `cycler(...)`.
#[derive(Debug)]
pub(crate) struct Cycler {
    items: Rc<Items>,
    at: Cell<usize>,
    pub(super) depth: usize,
}

impl Cycler {
    /// A value of at least one item.
    pub(in super::super) fn value(items: Rc<Items>) -> Value {
        let depth = Value::List(items.clone()).depth() + 1;
        let at = Cell::new(0);
        Value::Cycler(Rc::new(Self { items, at, depth }))
    }

    pub(in super::super) fn current(&self) -> Value {
        self.items.values[self.at.get()].clone()
    }

    pub(in super::super) fn next(&self) -> Value {
        let current = self.current();
        self.at.set((self.at.get() + 1) % self.items.values.len());
        current
    }

    pub(in super::super) fn reset(&self) {
        self.at.set(0);
    }
}

/// `joiner(sep)`: empty the first time, then the separator.
#[derive(Debug)]
pub(crate) struct Joiner {
    separator: Value,
    used: Cell<bool>,
}

impl Joiner {
    pub(in super::super) fn value(separator: Value) -> Value {
        let used = Cell::new(false);
        Value::Joiner(Rc::new(Self { separator, used }))
    }

    pub(in super::super) fn next(&self) -> Value {
        if self.used.replace(true) {
            return self.separator.clone();
        }
        Value::str(Arc::from(""))
    }
}
