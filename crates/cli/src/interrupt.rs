//! Ctrl-C, and the signals by which a batch system ends a process: the first asks a run to save
//! and stop, or a server to finish its answers, the second ends it at once. Where there is nothing to save, the first
//! does.

use crate::error::{Error, Result};
use crate::terminal::Terminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Exit status that a shell reports of a process that SIGINT ended.
const KILLED: i32 = 130;

/// Notice of a run that saves.
pub const SAVING: &str = "Stopping and saving; press Ctrl-C again to quit without saving.";

/// Signals that came.
#[derive(Clone, Debug, Default)]
pub struct Interrupt(Arc<Signals>);

#[derive(Debug, Default)]
struct Signals {
    /// Whether one came.
    came: AtomicBool,
    /// Whether a run is going on that will ask, and save.
    is_awaited: AtomicBool,
}

impl Interrupt {
    /// Listens from now on; a first signal is answered with `notice`.
    ///
    /// # Errors
    /// When the system refuses, or somebody listens already.
    pub fn listen(terminal: &Terminal, notice: &'static str) -> Result<Self> {
        let interrupt = Self::default();
        let (signals, terminal) = (interrupt.0.clone(), terminal.clone());
        let on_signal = move || {
            let is_second = signals.came.swap(true, Ordering::Relaxed);
            if is_second || !signals.is_awaited.load(Ordering::Relaxed) {
                std::process::exit(KILLED);
            }
            terminal.say(notice);
        };
        ctrlc::set_handler(on_signal).map_err(|source| {
            Error::failed(format!("cannot listen for Ctrl-C: {source}"))
                .with_advice("where a limit is set on the memory of this process, raise it")
        })?;
        Ok(interrupt)
    }

    /// Does `run`, which asks whether to stop, and saves.
    pub fn awaited_by<T>(&self, run: impl FnOnce() -> T) -> T {
        self.0.is_awaited.store(true, Ordering::Relaxed);
        let result = run();
        self.0.is_awaited.store(false, Ordering::Relaxed);
        result
    }

    /// Whether the run should stop.
    pub fn is_asked(&self) -> bool {
        self.0.came.load(Ordering::Relaxed)
    }
}
