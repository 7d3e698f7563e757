//! Sums whose parts come from several threads and are added in one order.

use std::sync::{Condvar, Mutex, PoisonError};

/// A part of a gradient. Floating-point sums depend on their order, and no bit of a result may
/// depend on the number of threads.
pub(super) struct OrderedSum<'a> {
    state: Mutex<State<'a>>,
    added: Condvar,
}

struct State<'a> {
    next: usize,
    sum: &'a mut [f32],
}

impl<'a> OrderedSum<'a> {
    /// The task `first` adds first.
    pub(super) fn new(first: usize, sum: &'a mut [f32]) -> Self {
        Self {
            state: Mutex::new(State { next: first, sum }),
            added: Condvar::new(),
        }
    }

    /// Calls `add` for task `number` when those before it have added. Every number from the first on must
    /// come, and its task must begin before those that come after it, since they wait here.
    pub(super) fn add(&self, number: usize, add: impl FnOnce(&mut [f32])) {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let state = self.added.wait_while(state, |state| state.next != number);
        let mut state = state.unwrap_or_else(PoisonError::into_inner);
        add(state.sum);
        state.next += 1;
        self.added.notify_all();
    }
}
