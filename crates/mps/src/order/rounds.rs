//! Rounds of work on devices, and moments in which no thread but one is in a round.

use std::cell::Cell;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

thread_local! {
    /// Rounds that this thread is in, one in another.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

/// Register of the threads that work. One value serves all devices.
#[derive(Debug, Default)]
pub struct Rounds {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Threads in a round.
    inside: usize,
    /// One of them is [`Rounds::alone`].
    alone: bool,
}

impl Rounds {
    /// No round.
    pub const fn new() -> Self {
        Self {
            state: Mutex::new(State {
                inside: 0,
                alone: false,
            }),
            changed: Condvar::new(),
        }
    }

    /// Runs `f` as a round, which does not begin while another thread is alone.
    pub fn round<T>(&self, f: impl FnOnce() -> T) -> T {
        let _inside = Inside::enter(self);
        f()
    }

    /// Runs `f` while no other thread is in a round; `None` where one is. It does not wait for
    /// that thread, which may itself wait for this one.
    pub fn alone<T>(&self, f: impl FnOnce() -> T) -> Option<T> {
        let own = usize::from(DEPTH.get() > 0);
        let mut state = self.state();
        if state.alone || state.inside > own {
            return None;
        }
        state.alone = true;
        drop(state);
        let _alone = Alone(self);
        Some(f())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Inside<'a>(&'a Rounds);

impl<'a> Inside<'a> {
    fn enter(rounds: &'a Rounds) -> Self {
        if DEPTH.get() == 0 {
            let state = rounds.state();
            let waited = rounds.changed.wait_while(state, |state| state.alone);
            waited.unwrap_or_else(PoisonError::into_inner).inside += 1;
        }
        DEPTH.set(DEPTH.get() + 1);
        Self(rounds)
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        DEPTH.set(DEPTH.get() - 1);
        if DEPTH.get() == 0 {
            self.0.state().inside -= 1;
        }
    }
}

struct Alone<'a>(&'a Rounds);

impl Drop for Alone<'_> {
    fn drop(&mut self) {
        self.0.state().alone = false;
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;
    use std::thread;
    use std::time::Duration;

    #[test]
    fn a_thread_is_alone_in_its_own_rounds_only() {
        let rounds = Rounds::new();
        assert_eq!(rounds.alone(|| 1), Some(1));
        let nested = rounds.round(|| rounds.round(|| rounds.alone(|| 2)));
        assert_eq!(nested, Some(2));
        let other = || thread::scope(|s| s.spawn(|| rounds.alone(|| 3)).join());
        assert_eq!(rounds.round(other).ok(), Some(None));
        assert_eq!(other().ok(), Some(Some(3)));
    }

    #[test]
    fn a_round_waits_for_the_one_that_is_alone() {
        let rounds = Rounds::new();
        let (sender, receiver) = channel();
        thread::scope(|s| {
            let order = rounds.alone(|| {
                s.spawn(|| rounds.round(|| sender.send("round")));
                receiver.recv_timeout(Duration::from_millis(50)).is_err()
            });
            assert_eq!(order, Some(true));
            assert_eq!(receiver.recv(), Ok("round"));
        });
    }
}
