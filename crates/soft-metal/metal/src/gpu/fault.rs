//! Command buffers that fail because a test asks for it, as a GPU's may at any time.

use super::lock;
use std::sync::Mutex;

/// How many are committed before it, and what it fails with.
static NEXT: Mutex<Option<(usize, String)>> = Mutex::new(None);

/// The command buffer that is committed after `n` others from now on, on any queue, ends with the status of an error and
/// this description. Its commands are executed: a program must not need wrong results to see that they are.
pub fn fail_command_buffer(n: usize, description: &str) {
    *lock(&NEXT) = Some((n, description.into()));
}

/// Takes back what has not failed yet; whether there was something.
pub fn forget_failure() -> bool {
    lock(&NEXT).take().is_some()
}

/// The failure of a command buffer that is being committed.
pub(crate) fn at_commit() -> Option<String> {
    let mut next = lock(&NEXT);
    match &mut *next {
        Some((n, _)) if *n > 0 => {
            *n -= 1;
            None
        }
        _ => next.take().map(|(_, description)| description),
    }
}
