//! Kernel objects that wait for their next use.

use std::collections::HashMap;
use std::hash::Hash;
use std::ops::Deref;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

/// Most idle objects. Sizes are baked into some, so that a program with ever new sizes would never
/// stop keeping; making one anew costs microseconds.
pub const MAX_IDLE: usize = 64;

type Idle<K, T> = HashMap<K, Vec<T>>;

/// Objects by what is baked into them, each in use by one thread at a time: it is taken out, and
/// put back when its [`Checkout`] goes.
#[derive(Debug)]
pub struct Pool<K, T> {
    idle: Mutex<Idle<K, T>>,
}

/// An object for the sole use of its holder.
#[derive(Debug)]
pub struct Checkout<'a, K: Copy + Eq + Hash, T> {
    pool: &'a Pool<K, T>,
    key: K,
    /// Empty only while it goes back.
    object: Vec<T>,
}

impl<K, T> Default for Pool<K, T> {
    fn default() -> Self {
        Self {
            idle: Mutex::default(),
        }
    }
}

impl<K: Copy + Eq + Hash, T> Pool<K, T> {
    /// An idle object with this key, or a new one.
    pub fn take(&self, key: K, make: impl FnOnce() -> T) -> Checkout<'_, K, T> {
        let idle = self.idle().get_mut(&key).and_then(Vec::pop);
        // Without the lock: what panics here leaves the pool as it was.
        let object = vec![idle.unwrap_or_else(make)];
        Checkout {
            pool: self,
            key,
            object,
        }
    }

    /// Number of objects that wait.
    pub fn idle_count(&self) -> usize {
        self.idle().values().map(Vec::len).sum()
    }

    fn put(&self, key: K, mut object: Vec<T>) {
        let mut idle = self.idle();
        let full = idle.values().map(Vec::len).sum::<usize>() >= MAX_IDLE;
        let old = if full {
            std::mem::take(&mut *idle)
        } else {
            Idle::new()
        };
        idle.entry(key).or_default().append(&mut object);
        drop(idle);
        drop(old);
    }

    fn idle(&self) -> MutexGuard<'_, Idle<K, T>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Copy + Eq + Hash, T> Deref for Checkout<'_, K, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.object[0]
    }
}

impl<K: Copy + Eq + Hash, T> Drop for Checkout<'_, K, T> {
    /// An object whose use ended in a panic is not used again.
    fn drop(&mut self) {
        if !thread::panicking() {
            self.pool.put(self.key, std::mem::take(&mut self.object));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    #[test]
    fn an_object_is_used_by_one_thread_at_a_time() {
        let (pool, made) = (Pool::<u32, AtomicUsize>::default(), AtomicUsize::new(0));
        let make = || {
            made.fetch_add(1, SeqCst);
            AtomicUsize::new(0)
        };
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..1000 {
                        let object = pool.take(1, make);
                        assert_eq!(object.fetch_add(1, SeqCst), 0, "somebody else has it");
                        thread::yield_now();
                        object.fetch_sub(1, SeqCst);
                    }
                });
            }
        });
        assert!((1..=4).contains(&made.load(SeqCst)), "{made:?}");
        assert_eq!(pool.idle_count(), made.load(SeqCst));
    }

    #[test]
    fn objects_come_back_by_their_key() {
        let pool = Pool::default();
        drop(pool.take(1, || "one"));
        assert_eq!(*pool.take(2, || "two"), "two");
        assert_eq!(*pool.take(1, || "new"), "one");
        let (first, second) = (pool.take(1, || "new"), pool.take(1, || "newer"));
        assert_eq!((*first, *second), ("one", "newer"));
    }

    #[test]
    fn what_a_panic_went_through_does_not_come_back() {
        let pool = Pool::default();
        let panics = |make: fn() -> &'static str| {
            let result = catch_unwind(AssertUnwindSafe(|| {
                let _object = pool.take(1, make);
                panic!("while it is used");
            }));
            assert!(result.is_err());
        };
        panics(|| "used");
        panics(|| panic!("while it is made"));
        assert_eq!(pool.idle_count(), 0);
        assert_eq!(*pool.take(1, || "new"), "new");
    }

    #[test]
    fn the_number_of_idle_objects_is_bounded() {
        let pool = Pool::default();
        for key in 0..1000 {
            drop(pool.take(key, || key));
            assert!(pool.idle_count() <= MAX_IDLE);
        }
        assert!(pool.idle_count() > 0);
    }
}
