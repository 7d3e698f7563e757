//! Command buffers of ours that have not completed, and the first error among them.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Errors come while nobody looks; they are told at the next call, once.
#[derive(Debug, Default)]
pub struct Ledger {
    state: Mutex<State>,
    ended: Condvar,
}

#[derive(Debug, Default)]
struct State {
    in_flight: usize,
    error: Option<String>,
}

impl Ledger {
    /// A command buffer is about to be committed.
    pub fn begin(&self) {
        self.state().in_flight += 1;
    }

    /// A command buffer has completed, with an error or without.
    pub fn end(&self, error: Option<String>) {
        let mut state = self.state();
        state.in_flight = state.in_flight.saturating_sub(1);
        state.error = state.error.take().or(error);
        self.ended.notify_all();
    }

    /// The first error since the last call.
    pub fn take_error(&self) -> Option<String> {
        self.state().error.take()
    }

    /// Waits until every command buffer has completed.
    pub fn drain(&self) {
        let state = self.state();
        let all = self.ended.wait_while(state, |state| state.in_flight > 0);
        drop(all);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::thread;
    use std::time::Duration;

    #[test]
    fn the_first_error_is_told_once() {
        let ledger = Ledger::default();
        ledger.begin();
        ledger.begin();
        ledger.begin();
        assert_eq!(ledger.take_error(), None);
        ledger.end(None);
        ledger.end(Some("first".into()));
        ledger.end(Some("second".into()));
        assert_eq!(ledger.take_error().as_deref(), Some("first"));
        assert_eq!(ledger.take_error(), None);
    }

    #[test]
    fn draining_waits_for_the_last() {
        let ledger = Arc::new(Ledger::default());
        ledger.begin();
        let other = ledger.clone();
        let thread = thread::spawn(move || {
            thread::sleep(Duration::from_millis(20));
            other.end(Some("late".into()));
        });
        ledger.drain();
        assert_eq!(ledger.take_error().as_deref(), Some("late"));
        thread.join().expect("it does not panic");
    }
}
