//! Panics of libraries as errors, without their text on standard error.
//!
//! A file from outside may make a library panic. [`quietly`] gives the panic's message instead, and
//! nothing is printed: a hook, installed once, keeps silent for the thread that asked and hands
//! every other panic to the hook that was there before.

use std::any::Any;
use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Runs `f`; a panic on this thread becomes its message. What `f` had borrowed mutably is to be
/// thrown away then, since it may be half changed. A panic on another thread that `f` waits for is
/// caught where that thread is joined, but is printed.
///
/// # Errors
/// The panic's message.
pub(crate) fn quietly<T>(f: impl FnOnce() -> T) -> Result<T, String> {
    install_hook();
    let before = QUIET.replace(true);
    let result = panic::catch_unwind(AssertUnwindSafe(f));
    QUIET.set(before);
    result.map_err(|payload| message(&*payload))
}

fn install_hook() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let outer = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            // While a thread ends its variables are gone: then nobody asked for silence.
            if !QUIET.try_with(Cell::get).unwrap_or(false) {
                outer(info);
            }
        }));
    });
}

/// Text of a panic: `panic!` carries a `&str` or a `String`.
fn message(payload: &(dyn Any + Send)) -> String {
    if let Some(text) = payload.downcast_ref::<&str>() {
        return (*text).to_owned();
    }
    match payload.downcast_ref::<String>() {
        Some(text) => text.clone(),
        None => "a panic without a message".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::own_program;

    #[test]
    fn a_panic_becomes_its_message() {
        assert_eq!(quietly(|| 7), Ok(7));
        let none: &[u8] = &[];
        assert_eq!(quietly(|| panic!("static")), Err::<(), _>("static".into()));
        let index = quietly(|| none[std::hint::black_box(3)]).unwrap_err();
        assert!(index.contains("index is 3"), "{index}");
    }

    #[test]
    fn silence_ends_with_the_call_and_nests() {
        let nested = quietly(|| {
            let _ = quietly(|| panic!("inner"));
            QUIET.get()
        });
        assert_eq!((nested, QUIET.get()), (Ok(true), false));
    }

    /// Runs itself again in a child, whose standard error is looked at.
    #[test]
    fn only_the_asked_for_panic_is_silent() {
        if std::env::var_os("MC_TEST_PANICS").is_some() {
            let _ = quietly(|| panic!("silent words"));
            panic!("loud words");
        }
        let child = own_program::running("only_the_asked_for_panic_is_silent")
            .env("MC_TEST_PANICS", "1")
            .output()
            .unwrap();
        let err = String::from_utf8_lossy(&child.stderr);
        assert!(err.contains("loud words"), "{err}");
        assert!(!err.contains("silent words"), "{err}");
    }
}
