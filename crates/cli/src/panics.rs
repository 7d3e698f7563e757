//! Panics, which are bugs: told as an error with its advice. One that a caller catches, as around a library that panics
//! on a damaged file, is told by nobody.

use crate::error::{Error, Result};
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::sync::{Mutex, PoisonError};

/// The last panic, of whatever thread: rayon carries panics to the thread that waits.
static LAST: Mutex<Option<String>> = Mutex::new(None);

/// Remembers panics instead of writing them to standard error.
pub fn keep_quiet() {
    std::panic::set_hook(Box::new(|info| {
        let message = message(info);
        tracing::debug!("panic: {message}");
        *last() = Some(message);
    }));
}

/// Runs `work`; a panic that comes through is an error.
///
/// # Errors
/// Those of `work`, and panics.
pub fn told<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        let message = last().take().unwrap_or_default();
        Err(Error::failed(format!("internal error: {message}")).with_advice(
            "this is a bug of metal-candle: please report it, with the command and what it read",
        ))
    })
}

fn last() -> impl std::ops::DerefMut<Target = Option<String>> {
    LAST.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a panic says, and where.
fn message(info: &PanicHookInfo<'_>) -> String {
    let payload = info.payload();
    let literal = payload.downcast_ref::<&str>().copied();
    let formatted = payload.downcast_ref::<String>().map(String::as_str);
    let text = literal.or(formatted).unwrap_or("a panic without words");
    match info.location() {
        Some(at) => format!("{text} ({}:{})", at.file(), at.line()),
        None => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_with_its_place() {
        keep_quiet();
        let error = told::<()>(|| {
            let empty: [usize; 0] = [];
            rayon::join(
                || (),
                || std::hint::black_box(&empty[..])[std::hint::black_box(3)],
            );
            Ok(())
        });
        let error = error.err().unwrap();
        let message = error.message().to_string();
        assert!(
            message.starts_with("internal error: index out of bounds"),
            "{message}"
        );
        assert!(message.contains("panics.rs:"), "{message}");
        assert_eq!(error.exit(), crate::exit::Exit::Failed);
        let _ = std::panic::take_hook();
    }
}
