//! What a GPU does with committed work. Every queue has a thread of its own, so nothing orders two queues but fences,
//! events and waits of the host; the checker in [`order`] knows what these order, and reports what they do not.

mod execute;
pub(crate) mod fault;
mod known;
mod lane;
pub mod order;
mod pass;

pub use known::Known;
pub use lane::{Lane, drain};
pub use pass::{Access, Command, Failure, Op, Pass, Work};

use std::sync::{Mutex, MutexGuard};

/// A lock that a broken rule, which panics, does not poison for the tests after it.
pub fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}

/// An object that is handed from one thread to another.
pub struct Shared<T>(pub T);

// SAFETY: the software classes keep their state behind locks, and reference counts are atomic.
unsafe impl<T> Send for Shared<T> {}
unsafe impl<T> Sync for Shared<T> {}
