//! `MTLFence`, `MTLEvent` and `MTLSharedEvent`: each carries what had finished when it was last updated or signaled.

use crate::gpu::{Known, lock, order};
use crate::object::make;
use objc2::rc::Retained;
use objc2::runtime::NSObject;
use objc2::{ClassType, DefinedClass, define_class};
use objc2_foundation::NSObjectProtocol;
use objc2_metal::{MTLEvent, MTLFence, MTLSharedEvent};
use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

define_class!(
    #[unsafe(super(NSObject))]
    #[name = "SoftFence"]
    #[ivars = Updates]
    pub struct SoftFence;

    unsafe impl NSObjectProtocol for SoftFence {}
    unsafe impl MTLFence for SoftFence {}
);

impl SoftFence {
    pub fn new() -> Retained<Self> {
        make(Updates::default())
    }
}

/// The updates of a fence. A wait is for those that were committed before it, on whatever queue.
#[derive(Default)]
pub struct Updates {
    state: Mutex<Counts>,
    changed: Condvar,
}

#[derive(Default)]
struct Counts {
    committed: u64,
    done: u64,
    known: Known,
    /// By the number of updates that they are for.
    waits: BTreeMap<u64, Waits>,
}

/// Waits for the same updates, and what had finished when these were done: later updates tell them nothing.
#[derive(Default)]
struct Waits {
    left: usize,
    known: Option<Known>,
}

impl Updates {
    /// A wait is committed: the number of updates that it is for.
    pub fn commit_wait(&self) -> u64 {
        let mut state = lock(&self.state);
        let (updates, known) = (state.committed, (state.done == state.committed).then(|| state.known.clone()));
        let waits = state.waits.entry(updates).or_default();
        waits.left += 1;
        waits.known = waits.known.take().or(known);
        updates
    }

    pub fn commit_update(&self) {
        lock(&self.state).committed += 1;
    }

    /// The pass that updates it has ended, and these had finished then.
    pub fn update(&self, known: &Known) {
        let mut state = lock(&self.state);
        let Counts { done, known: all, waits, .. } = &mut *state;
        *done += 1;
        all.extend(known);
        if let Some(waits) = waits.get_mut(done) {
            waits.known = Some(all.clone());
        }
        self.changed.notify_all();
    }

    /// What had finished when the first so many updates were done. Once for every [`commit_wait`](Self::commit_wait).
    pub fn wait(&self, updates: u64) -> Known {
        let mut state = lock(&self.state);
        loop {
            let waits = state.waits.get_mut(&updates).expect("a committed wait");
            if let Some(known) = waits.known.clone() {
                waits.left -= 1;
                if waits.left == 0 {
                    state.waits.remove(&updates);
                }
                return known;
            }
            state = self.changed.wait(state).unwrap_or_else(|e| e.into_inner());
        }
    }
}

/// The value of an event, and what had finished when it was reached.
#[derive(Default)]
pub struct Signal {
    state: Mutex<Reached>,
    changed: Condvar,
}

#[derive(Default)]
struct Reached {
    value: u64,
    /// By value, of the last [`KEPT`] ones.
    known: BTreeMap<u64, Known>,
}

/// A wait for a value that was passed longer ago learns more than it does on a GPU.
const KEPT: usize = 64;

impl Reached {
    fn set(&mut self, value: u64, done: &Known) {
        let mut known = self.known.last_key_value().map(|(_, known)| known.clone()).unwrap_or_default();
        known.extend(done);
        self.value = self.value.max(value);
        self.known.insert(self.value, known);
        if self.known.len() > KEPT {
            self.known.pop_first();
        }
    }

    fn known(&self, value: u64) -> Known {
        self.known.range(value..).next().map(|(_, known)| known.clone()).unwrap_or_default()
    }
}

impl Signal {
    pub fn set(&self, value: u64, done: &Known) {
        lock(&self.state).set(value, done);
        self.changed.notify_all();
    }

    pub fn value(&self) -> u64 {
        lock(&self.state).value
    }

    /// What is known to have finished once `value` is reached; none if that takes longer than `limit`.
    pub fn wait(&self, value: u64, limit: Option<Duration>) -> Option<Known> {
        let end = limit.map(|l| Instant::now() + l);
        let mut state = lock(&self.state);
        while state.value < value {
            if end.is_some_and(|e| Instant::now() >= e) {
                return None;
            }
            state =
                self.changed.wait_timeout(state, Duration::from_millis(10)).map_or_else(|e| e.into_inner().0, |r| r.0);
        }
        Some(state.known(value))
    }
}

define_class!(
    #[unsafe(super(NSObject))]
    #[name = "SoftEvent"]
    #[ivars = Arc<Signal>]
    pub struct SoftEvent;

    unsafe impl NSObjectProtocol for SoftEvent {}
    unsafe impl MTLEvent for SoftEvent {}
);

impl SoftEvent {
    pub fn new() -> Retained<Self> {
        make(Arc::default())
    }
}

define_class!(
    #[unsafe(super(NSObject))]
    #[name = "SoftSharedEvent"]
    #[ivars = Arc<Signal>]
    pub struct SoftSharedEvent;

    unsafe impl NSObjectProtocol for SoftSharedEvent {}
    unsafe impl MTLEvent for SoftSharedEvent {}

    unsafe impl MTLSharedEvent for SoftSharedEvent {
        #[unsafe(method(signaledValue))]
        fn signaledValue(&self) -> u64 {
            self.ivars().value()
        }

        #[unsafe(method(setSignaledValue:))]
        fn setSignaledValue(&self, value: u64) {
            self.ivars().set(value, &order::host());
        }

        #[unsafe(method(waitUntilSignaledValue:timeoutMS:))]
        fn waitUntilSignaledValue_timeoutMS(&self, value: u64, milliseconds: u64) -> bool {
            match self.ivars().wait(value, Some(Duration::from_millis(milliseconds))) {
                Some(done) => {
                    order::host_learns(&done);
                    true
                }
                None => false,
            }
        }
    }
);

impl SoftSharedEvent {
    pub fn new() -> Retained<Self> {
        make(Arc::default())
    }
}

pub fn install() {
    SoftFence::class();
    SoftEvent::class();
    SoftSharedEvent::class();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pass(number: u64) -> Known {
        let mut known = Known::default();
        known.insert(number);
        known
    }

    #[test]
    fn a_wait_learns_nothing_of_updates_after_it() {
        let fence = Updates::default();
        fence.commit_update();
        let one = fence.commit_wait();
        fence.commit_update();
        fence.update(&pass(1));
        fence.update(&pass(2));
        let known = fence.wait(one);
        assert!(known.contains(1) && !known.contains(2));
        assert!(lock(&fence.state).waits.is_empty());
        let two = fence.commit_wait();
        assert!(fence.wait(two).contains(2), "its updates were done before it");
    }

    #[test]
    fn a_wait_for_a_value_learns_nothing_of_the_next_ones() {
        let signal = Signal::default();
        signal.set(1, &pass(1));
        signal.set(2, &pass(2));
        let [one, two] = [1, 2].map(|value| signal.wait(value, None).expect("reached"));
        assert!(one.contains(1) && !one.contains(2));
        assert!(two.contains(1) && two.contains(2));
    }
}
