//! A run as a table, one row for each step that was reported, evaluated or saved.

use metal_candle::train::{Report, Validation};

/// Row of one step, filled as its events come.
#[derive(Clone, Debug, Default)]
pub struct Row {
    step: usize,
    report: Option<Report>,
    val_loss: Option<f64>,
    peak_memory_bytes: Option<u64>,
    saved: bool,
}

/// Names of the columns.
pub const HEADER: &str =
    "    step  train loss    val loss        rate    tokens/s      memory  saved";

impl Row {
    /// The means of the steps since the last report.
    pub fn report(&mut self, report: &Report) {
        self.step = report.step;
        self.peak_memory_bytes = report.peak_memory_bytes;
        self.report = Some(report.clone());
    }

    /// The loss of an evaluation.
    pub fn validation(&mut self, validation: &Validation) {
        self.step = validation.step;
        self.peak_memory_bytes = validation.peak_memory_bytes;
        self.val_loss = Some(validation.val_loss);
    }

    /// Mark of a checkpoint that was written.
    pub fn saved(&mut self, step: usize) {
        self.step = step;
        self.saved = true;
    }

    /// The row as text; `None` where nothing happened at the step.
    pub fn line(&self) -> Option<String> {
        let report = self.report.as_ref();
        if report.is_none() && self.val_loss.is_none() && !self.saved {
            return None;
        }
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".into());
        let line = format!(
            "{:>8}{:>12}{:>12}{:>12}{:>12}{:>12}  {}",
            self.step,
            or_dash(report.map(|r| format!("{:.3}", r.train_loss))),
            or_dash(self.val_loss.map(|loss| format!("{loss:.3}"))),
            or_dash(report.map(|r| format!("{:.2e}", r.learning_rate))),
            or_dash(report.map(|r| format!("{:.0}", r.tokens_per_sec))),
            or_dash(
                self.peak_memory_bytes
                    .map(|b| format!("{:.2} GB", b as f64 / 1e9))
            ),
            if self.saved { "yes" } else { "" },
        );
        Some(line.trim_end().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        Report {
            step: 10,
            train_loss: 2.5,
            learning_rate: 1e-4,
            grad_norm: 0.5,
            gradient_noise_scale: None,
            steps_per_sec: 2.0,
            tokens_per_sec: 512.4,
            trained_tokens: 2562,
            peak_memory_bytes: Some(310_000_000),
            preference: None,
        }
    }

    #[test]
    fn columns_stand_below_their_names() {
        let mut row = Row::default();
        assert_eq!(row.line(), None);
        row.report(&report());
        let line = row.line().unwrap();
        let expected = "      10       2.500           -     1.00e-4         512     0.31 GB";
        assert_eq!(line, expected);
        row.saved(10);
        let line = row.line().unwrap();
        assert!(line.ends_with("yes") && line.starts_with(expected));
        for (name, value) in [
            ("train loss", "2.500"),
            ("rate", "1.00e-4"),
            ("memory", "0.31 GB"),
        ] {
            let end = |text: &str, part: &str| text.find(part).unwrap() + part.len();
            assert_eq!(end(HEADER, name), end(&line, value), "{name}");
        }
    }
}
