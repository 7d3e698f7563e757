//! The view that a person has of a run: a bar that moves where standard error is a terminal, otherwise
//! lines in mlx-lm's words.

use crate::terminal::Terminal;
use indicatif::ProgressBar;
use metal_candle::train::{Event, Report, Validation};
use std::path::Path;

const BAR: &str = "{bar:30} {pos}/{len} steps [{elapsed}<{eta}] {msg}";

/// Teller of the events of a run.
pub struct Reporter<'a> {
    terminal: &'a Terminal,
    bar: ProgressBar,
}

impl<'a> Reporter<'a> {
    /// A reporter for `n_steps` optimizer steps.
    pub fn new(terminal: &'a Terminal, n_steps: usize) -> Self {
        Self {
            terminal,
            bar: terminal.bar(n_steps, BAR),
        }
    }

    /// Tells an event.
    pub fn tell(&self, event: &Event) {
        match event {
            Event::Step { step, .. } => self.bar.set_position(*step as u64),
            Event::Report(report) => self.tell_report(report),
            Event::Validation(validation) => self.terminal.report(validation_line(validation)),
            Event::Saved { step, folder } => self.terminal.report(saved_line(*step, folder)),
        }
    }

    fn tell_report(&self, report: &Report) {
        let (loss, speed) = (report.train_loss, report.tokens_per_sec);
        let message = format!("loss {loss:.3}, {speed:.0} tokens/sec");
        self.bar.set_message(message);
        if !(self.terminal.shows_bars() && self.terminal.shows_results()) {
            self.terminal.report(report_line(report));
        }
    }
}

impl Drop for Reporter<'_> {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

fn report_line(report: &Report) -> String {
    format!(
        "Iter {}: Train loss {:.3}, Learning Rate {:.3e}, It/sec {:.3}, Tokens/sec {:.3}, Trained Tokens {}{}",
        report.step,
        report.train_loss,
        report.learning_rate,
        report.steps_per_sec,
        report.tokens_per_sec,
        report.trained_tokens,
        peak(report.peak_memory_bytes)
    )
}

fn validation_line(validation: &Validation) -> String {
    let Validation {
        step,
        val_loss,
        seconds,
        ..
    } = validation;
    format!("Iter {step}: Val loss {val_loss:.3}, Val took {seconds:.3}s")
}

fn saved_line(step: usize, folder: &Path) -> String {
    format!("Iter {step}: Saved weights to {}", folder.display())
}

fn peak(bytes: Option<u64>) -> String {
    bytes.map_or(String::new(), |bytes| {
        format!(", Peak mem {:.3} GB", bytes as f64 / 1e9)
    })
}
