//! `MTLFence`, `MTLEvent` and `MTLSharedEvent`: each carries what had finished when it was last updated or signaled.

use crate::gpu::{Known, lock, order};
use crate::object::make;
use objc2::rc::Retained;
use objc2::runtime::NSObject;
use objc2::{ClassType, DefinedClass, define_class};
use objc2_foundation::NSObjectProtocol;
use objc2_metal::{MTLEvent, MTLFence, MTLSharedEvent};
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
}

impl Updates {
    pub fn committed(&self) -> u64 {
        lock(&self.state).committed
    }

    pub fn commit(&self) {
        lock(&self.state).committed += 1;
    }

    /// The pass that updates it has ended, and these had finished then.
    pub fn update(&self, known: &Known) {
        let mut state = lock(&self.state);
        state.done += 1;
        state.known.extend(known);
        self.changed.notify_all();
    }

    /// What had finished when the first so many updates were done.
    pub fn wait(&self, updates: u64) -> Known {
        let mut state = lock(&self.state);
        while state.done < updates {
            state = self.changed.wait(state).unwrap_or_else(|e| e.into_inner());
        }
        state.known.clone()
    }
}

/// The value of an event, and what had finished when it was reached.
#[derive(Default)]
pub struct Signal {
    state: Mutex<(u64, Known)>,
    changed: Condvar,
}

impl Signal {
    pub fn set(&self, value: u64, done: &Known) {
        let mut state = lock(&self.state);
        state.0 = state.0.max(value);
        state.1.extend(done);
        self.changed.notify_all();
    }

    pub fn value(&self) -> u64 {
        lock(&self.state).0
    }

    /// What is known to have finished once `value` is reached; none if that takes longer than `limit`.
    pub fn wait(&self, value: u64, limit: Option<Duration>) -> Option<Known> {
        let end = limit.map(|l| Instant::now() + l);
        let mut state = lock(&self.state);
        while state.0 < value {
            if end.is_some_and(|e| Instant::now() >= e) {
                return None;
            }
            state =
                self.changed.wait_timeout(state, Duration::from_millis(10)).map_or_else(|e| e.into_inner().0, |r| r.0);
        }
        Some(state.1.clone())
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
