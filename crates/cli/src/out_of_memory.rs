//! End of the program when the system gives no more memory. Nothing here may allocate, or wait for another
//! thread.
#![allow(unsafe_code)]

use std::fmt::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Longer than the message.
const CAPACITY_BYTES: usize = 512;

/// A text on the stack.
struct Line {
    bytes: [u8; CAPACITY_BYTES],
    len: usize,
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.len + text.len();
        let place = self.bytes.get_mut(self.len..end).ok_or(fmt::Error)?;
        place.copy_from_slice(text.as_bytes());
        self.len = end;
        Ok(())
    }
}

/// Tells that `bytes` more were asked for, and ends the process with exit code 1.
#[cold]
pub fn end(bytes: usize) -> ! {
    static IS_TOLD: AtomicBool = AtomicBool::new(false);
    if IS_TOLD.swap(true, Relaxed) {
        // Another thread is about to end the process.
        loop {
            std::hint::spin_loop();
        }
    }
    let message = message(bytes);
    end_with(&message.bytes[..message.len])
}

fn message(bytes: usize) -> Line {
    let mut line = Line {
        bytes: [0; CAPACITY_BYTES],
        len: 0,
    };
    // It fits.
    let _ = write!(
        line,
        "error: out of memory: {bytes} bytes more were asked for than the system gives\n\
         help: use a smaller --batch-size or --max-seq-length, --grad-checkpoint, or a smaller model\n"
    );
    line
}

#[cfg(unix)]
fn end_with(message: &[u8]) -> ! {
    // SAFETY: the bytes are valid for reading. `_exit` runs nothing that could ask for memory or take a lock.
    unsafe {
        libc::write(libc::STDERR_FILENO, message.as_ptr().cast(), message.len());
        libc::_exit(1)
    }
}

#[cfg(not(unix))]
fn end_with(message: &[u8]) -> ! {
    let _ = std::io::Write::write_all(&mut std::io::stderr(), message);
    std::process::exit(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_fits() {
        let line = message(usize::MAX);
        let text = std::str::from_utf8(&line.bytes[..line.len]).unwrap();
        assert!(
            text.contains("18446744073709551615 bytes more") && text.ends_with("model\n"),
            "{text}"
        );
    }
}
