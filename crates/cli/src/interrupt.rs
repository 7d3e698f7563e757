//! Ctrl-C, and the signals by which a batch system ends a process: the first asks a run to save
//! and stop, the second ends it at once.

use crate::error::{Error, Result};
use crate::terminal::Terminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What a shell reports of a process that SIGINT ended.
const KILLED: i32 = 130;

/// Whether a run was asked to stop.
#[derive(Clone, Debug, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Listens from now on.
    ///
    /// # Errors
    /// When the system refuses, or somebody listens already.
    pub fn listen(terminal: &Terminal) -> Result<Self> {
        let interrupt = Self::default();
        let (asked, terminal) = (interrupt.clone(), terminal.clone());
        let on_signal = move || {
            if asked.0.swap(true, Ordering::Relaxed) {
                std::process::exit(KILLED);
            }
            terminal.say(
                "Stopping after this step and saving; press Ctrl-C again to quit without saving.",
            );
        };
        ctrlc::set_handler(on_signal)
            .map_err(|source| Error::failed(format!("cannot listen for Ctrl-C: {source}")))?;
        Ok(interrupt)
    }

    /// Whether the run should stop.
    pub fn is_asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
