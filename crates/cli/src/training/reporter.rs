//! The view that a person has of a run: a bar that moves and a table where both streams are a terminal, otherwise
//! lines in mlx-lm's words.

use super::table::{HEADER, Row};
use crate::terminal::Terminal;
use indicatif::ProgressBar;
use metal_candle::train::{Event, PairMetrics, Report, Validation};
use std::cell::{Cell, RefCell};
use std::path::Path;

const BAR: &str = "{bar:24} {pos}/{len} steps [{elapsed}<{eta}] {msg}";

/// Teller of the events of a run.
pub struct Reporter<'a> {
    terminal: &'a Terminal,
    bar: ProgressBar,
    /// Means that the bar shows beside the loss of each step.
    last: RefCell<Option<Report>>,
    /// Row of the last step, until the next one begins.
    row: RefCell<Row>,
    has_header: Cell<bool>,
}

impl<'a> Reporter<'a> {
    /// A reporter for `n_steps` optimizer steps.
    pub fn new(terminal: &'a Terminal, n_steps: usize) -> Self {
        Self {
            terminal,
            bar: terminal.bar(n_steps, BAR),
            last: RefCell::default(),
            row: RefCell::default(),
            has_header: Cell::default(),
        }
    }

    /// Tells an event.
    pub fn tell(&self, event: &Event) {
        match event {
            Event::Step { step, loss } => {
                self.end_row();
                self.bar.set_position(*step as u64);
                self.show(*loss);
            }
            Event::Report(report) => {
                self.last.replace(Some(report.clone()));
                self.show(report.train_loss);
            }
            _ => {}
        }
        match self.terminal.shows_bars() && self.terminal.shows_results() {
            true => self.fill_row(event),
            false => self.tell_line(event),
        }
    }

    /// Shows a loss on the bar, and beside it the rest of the last report.
    fn show(&self, loss: f64) {
        let beside = self.last.borrow().as_ref().map(beside);
        let beside = beside.unwrap_or_default();
        self.bar.set_message(format!("loss {loss:.3}{beside}"));
    }

    fn fill_row(&self, event: &Event) {
        let mut row = self.row.borrow_mut();
        match event {
            Event::Step { .. } => {}
            Event::Report(report) => row.report(report),
            Event::Validation(validation) => row.validation(validation),
            Event::Saved { step, .. } => row.saved(*step),
        }
    }

    /// Shows the row of the last step.
    fn end_row(&self) {
        if let Some(line) = self.row.take().line() {
            if !self.has_header.replace(true) {
                self.terminal.report(HEADER);
            }
            self.terminal.report(line);
        }
    }

    fn tell_line(&self, event: &Event) {
        match event {
            Event::Step { .. } => {}
            Event::Report(report) => self.terminal.report(report_line(report)),
            Event::Validation(validation) => self.terminal.report(validation_line(validation)),
            Event::Saved { step, folder } => self.terminal.report(saved_line(*step, folder)),
        }
    }
}

impl Drop for Reporter<'_> {
    fn drop(&mut self) {
        self.end_row();
        self.bar.finish_and_clear();
    }
}

/// Text behind a loss.
fn beside(report: &Report) -> String {
    let Report {
        learning_rate,
        tokens_per_sec,
        ..
    } = report;
    let preferred = preferred(report.preference.as_ref()).to_lowercase();
    format!("{preferred}, rate {learning_rate:.2e}, {tokens_per_sec:.0} tokens/s")
}

fn report_line(report: &Report) -> String {
    format!(
        "Iter {}: Train loss {:.3}{}, Learning Rate {:.3e}, It/sec {:.3}, Tokens/sec {:.3}, Trained Tokens {}{}",
        report.step,
        report.train_loss,
        preferred(report.preference.as_ref()),
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
    let preferred = preferred(validation.preference.as_ref());
    format!("Iter {step}: Val loss {val_loss:.3}{preferred}, Val took {seconds:.3}s")
}

/// Means over pairs behind a loss, if rows are pairs.
pub fn preferred(means: Option<&PairMetrics>) -> String {
    means.map_or(String::new(), |means| {
        let (accuracy, margin) = (means.accuracy, means.margin);
        format!(", Reward accuracy {accuracy:.3}, Reward margin {margin:.3}")
    })
}

fn saved_line(step: usize, folder: &Path) -> String {
    format!("Iter {step}: Saved weights to {}", folder.display())
}

fn peak(bytes: Option<u64>) -> String {
    bytes.map_or(String::new(), |bytes| {
        format!(", Peak mem {:.3} GB", bytes as f64 / 1e9)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate_and_tokens_stay_beside_the_loss_of_every_step() {
        let terminal = Terminal::default();
        let reporter = Reporter::new(&terminal, 9);
        let report = Report {
            step: 2,
            train_loss: 3.25,
            learning_rate: 1e-4,
            grad_norm: 1.0,
            gradient_noise_scale: None,
            steps_per_sec: 2.0,
            tokens_per_sec: 120.4,
            trained_tokens: 480,
            peak_memory_bytes: None,
            preference: None,
        };
        let shown = |event: Event| {
            reporter.tell(&event);
            reporter.bar.message()
        };
        let step = |step, loss| Event::Step { step, loss };
        assert_eq!(shown(step(2, 3.5)), "loss 3.500");
        let said = "loss 3.250, rate 1.00e-4, 120 tokens/s";
        assert_eq!(shown(Event::Report(report)), said);
        let said = "loss 3.125, rate 1.00e-4, 120 tokens/s";
        assert_eq!(shown(step(3, 3.125)), said);
    }
}
