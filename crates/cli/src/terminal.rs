//! The only place that writes to the terminal: results to standard output, everything else to
//! standard error. What comes from files, servers and models is made fit for it here.

mod text;

pub(crate) use text::escaped as spelled_out;

use crate::error::{Error, Result};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Most warnings that are remembered.
const WARNINGS: usize = 100;

/// Standard output and standard error, and the progress bars on the latter.
#[derive(Clone, Debug, Default)]
pub struct Terminal {
    bars: MultiProgress,
    is_quiet: Arc<AtomicBool>,
    warnings: Arc<Mutex<Vec<String>>>,
}

impl Terminal {
    /// From now on tells results, warnings and errors only.
    pub fn be_quiet(&self) {
        self.is_quiet.store(true, Ordering::Relaxed);
        self.bars.set_draw_target(ProgressDrawTarget::hidden());
    }

    fn is_quiet(&self) -> bool {
        self.is_quiet.load(Ordering::Relaxed)
    }

    /// Writes a part of the result: as it is, but with control characters spelled out where a person reads it.
    ///
    /// # Errors
    /// When standard output does not take it.
    pub fn print(&self, text: &str) -> Result<()> {
        match self.shows_results() {
            true => self.write_result(&text::escaped(text)),
            false => self.write_result(text),
        }
    }

    /// Writes `text` as [`Self::print`] does, between marks that are the program's own.
    ///
    /// # Errors
    /// When standard output does not take it.
    pub fn print_marked(&self, before: &str, text: &str, after: &str) -> Result<()> {
        self.write_result(before)?;
        self.print(text)?;
        self.write_result(after)
    }

    fn write_result(&self, text: &str) -> Result<()> {
        self.bars
            .suspend(|| {
                let mut out = io::stdout().lock();
                out.write_all(text.as_bytes())?;
                out.flush()
            })
            .map_err(Error::output)
    }

    /// Writes a line of the result.
    ///
    /// # Errors
    /// When standard output does not take it.
    pub fn print_line(&self, line: impl Display) -> Result<()> {
        self.print(&format!("{line}\n"))
    }

    /// Writes a line that reports on work in progress. A reader that goes away does not end the
    /// work.
    pub fn report(&self, line: impl Display) {
        if !self.is_quiet() {
            let _ = self.print_line(line);
        }
    }

    /// Writes the result as one JSON object.
    ///
    /// # Errors
    /// When standard output does not take it.
    pub fn print_json(&self, value: &impl Serialize) -> Result<()> {
        let text = serde_json::to_string(value).map_err(Error::failed)? + "\n";
        match self.shows_results() {
            true => self.write_result(&text::escaped_json(&text)),
            false => self.write_result(&text),
        }
    }

    /// Tells what goes on, on standard error. If nobody listens, that is all right.
    pub fn say(&self, line: impl Display) {
        if !self.is_quiet() {
            self.tell(line);
        }
    }

    fn tell(&self, line: impl Display) {
        self.write_notice(&format!("{line}\n"));
    }

    /// Tells why the command ends.
    pub fn error(&self, error: &Error) {
        if error.message().is_empty() {
            return;
        }
        self.tell(format_args!("error: {}", error.message()));
        if let Some(advice) = error.advice() {
            self.tell(format_args!("help: {advice}"));
        }
    }

    /// Writes to standard error between the progress bars, cut to what somebody would read.
    pub fn write_notice(&self, text: &str) {
        self.keep_warning(text);
        let text = text::escaped(text);
        let text = text::bounded(&text);
        // There is no other place to complain to.
        let _ = self
            .bars
            .suspend(|| io::stderr().lock().write_all(text.as_bytes()));
    }

    fn keep_warning(&self, text: &str) {
        let Some(warning) = text.strip_prefix("warning: ") else {
            return;
        };
        let mut warnings = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        if warnings.len() < WARNINGS {
            warnings.push(text::bounded(warning.trim_end()).into_owned());
        }
    }

    /// Warnings that were told so far, the first hundred of them.
    pub fn warnings(&self) -> Vec<String> {
        let warnings = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        warnings.clone()
    }

    /// Whether progress bars are seen.
    pub fn shows_bars(&self) -> bool {
        !self.bars.is_hidden()
    }

    /// Whether results are read by a person, at once.
    pub fn shows_results(&self) -> bool {
        io::stdout().is_terminal()
    }

    /// Whether results may be coloured; `NO_COLOR` is the agreed way to say no (no-color.org).
    pub fn has_colours(&self) -> bool {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        self.shows_results() && !refused
    }

    /// A bar that counts to `len`; it goes away when it is dropped or finished.
    pub fn bar(&self, len: usize, template: &str) -> ProgressBar {
        let bar = self.bars.add(ProgressBar::new(len as u64));
        let style = ProgressStyle::with_template(template);
        bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
    }
}
