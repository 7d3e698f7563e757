//! Checks that an adapter is what it is taken for: it is trained where it should be, it changes the output, merging
//! it changes nothing more, its mask says what is trained, and its file holds its numbers.
//!
//! A check is one file: a function that gives what it measured ([`Figures`]), from which comes whether that passes.
//! [`verify()`] runs all of them over what they share, as far as an [`Effort`] goes, and says what it left out.

mod check;
mod effort;
mod file;
mod gradients;
mod mask;
mod merge;
mod output;
mod pieces;
#[cfg(test)]
mod tests;

pub use check::{Check, Figures, Outcome};
pub use effort::Effort;
pub use file::{File, file};
pub use gradients::{Gradients, gradients};
pub use mask::{Mask, mask};
pub use merge::{Merge, fused, merge};
pub use output::{Output, output};

use crate::data::{Batch, Example, Tokenizer};
use crate::layout::Arrangement;
use crate::models::Model;
use crate::train::{Parameters, Result};
use candle_core::Tensor;
use serde::Serialize;
use std::path::Path;
use std::time::Instant;

/// A trained model, and what the checks are made with.
pub struct Subject<'a> {
    /// The model.
    pub model: &'a Model,
    /// Adapters of it, or its own weights.
    pub parameters: &'a Parameters,
    /// Rows whose tokens go through the model; without any, made-up tokens do.
    pub rows: &'a [Example],
    /// Rows whose mask is looked at.
    pub masked: &'a [Example],
    /// Maker of their text, to show what is trained.
    pub tokenizer: Option<&'a Tokenizer>,
    /// Place of the adapter or checkpoint, and how its tensors are read from there again.
    pub file: Option<Saved<'a>>,
}

/// Tensors by name, or why there are none.
pub type Read = std::result::Result<Vec<(String, Tensor)>, String>;

/// Parameters as they lie on disk.
pub struct Saved<'a> {
    /// Folder, or tensor file.
    pub path: &'a Path,
    /// Reads them again.
    pub read: &'a dyn Fn() -> Read,
}

/// All checks, and how long they took.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The checks in their order.
    pub checks: Vec<Check>,
    /// Duration.
    pub seconds: f64,
}

impl Report {
    /// Whether no check failed.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.failed().next().is_none()
    }

    /// Checks that failed.
    pub fn failed(&self) -> impl Iterator<Item = &Check> {
        let checks = self.checks.iter();
        checks.filter(|check| check.outcome == Outcome::Failed)
    }
}

/// Runs every check.
///
/// # Errors
/// When a computation fails: memory, the device, a row that is too long for the model.
pub fn verify(subject: &Subject<'_>, effort: &Effort) -> Result<Report> {
    let began = Instant::now();
    let checks = vec![
        of_gradients(subject, effort)?,
        of_output(subject, effort)?,
        of_merge(subject, effort)?,
        of_mask(subject, effort),
        of_file(subject, effort),
    ];
    Ok(Report {
        checks,
        seconds: began.elapsed().as_secs_f64(),
    })
}

fn of_gradients(subject: &Subject<'_>, effort: &Effort) -> Result<Check> {
    let decoder = &subject.model.decoder;
    let figures = gradients(decoder, subject.parameters, &batch(subject, effort)?)?;
    if figures.passed() || subject.rows.is_empty() {
        return Ok(figures.check());
    }
    // Rows that were learnt to the last bit have no gradient any more; other tokens have.
    let other = pieces::made_up(decoder, &trained_tokens(subject)?, effort);
    let others = gradients(decoder, subject.parameters, &other)?;
    Ok(match others.passed() {
        true => others.check(),
        false => figures.check(),
    })
}

fn of_output(subject: &Subject<'_>, effort: &Effort) -> Result<Check> {
    let Some(set) = subject.parameters.adapters() else {
        return Ok(Check::skipped(Output::NAME, NO_ADAPTER));
    };
    let batch = batch(subject, effort)?;
    Ok(output(&subject.model.decoder, set, &batch)?.check())
}

fn of_merge(subject: &Subject<'_>, effort: &Effort) -> Result<Check> {
    let Some(set) = subject.parameters.adapters() else {
        return Ok(Check::skipped(Merge::NAME, NO_ADAPTER));
    };
    let layers = merge::adapted(&subject.model.decoder, &set)?;
    Ok(merge(&set, &layers, effort.n_merged, fused)?.check())
}

fn of_mask(subject: &Subject<'_>, effort: &Effort) -> Check {
    if subject.masked.is_empty() {
        return Check::skipped(Mask::NAME, "no rows were given");
    }
    let rows = subject.masked.iter().take(effort.n_masked);
    let rows: Vec<Example> = rows.map(better).collect();
    let batch = Batch::new(Arrangement::Packed, &rows.iter().collect::<Vec<_>>());
    mask(&rows, &batch, subject.tokenizer).check()
}

fn of_file(subject: &Subject<'_>, effort: &Effort) -> Check {
    let n_values = subject.parameters.n_values();
    match &subject.file {
        None => Check::skipped(File::NAME, "it lies in memory only"),
        Some(_) if n_values > effort.n_read => Check::skipped(
            File::NAME,
            &format!("{n_values} values take longer than the other checks"),
        ),
        Some(saved) => file(saved, subject.parameters).check(),
    }
}

/// The row, of a pair the better completion.
fn better(row: &Example) -> Example {
    Example {
        pair: None,
        ..row.clone()
    }
}

const NO_ADAPTER: &str = "all weights are trained: there is no adapter to leave out";

/// First tokens of the rows, or made-up ones: a token alone has nothing to attend to, and none to tell of it.
fn batch(subject: &Subject<'_>, effort: &Effort) -> Result<Batch> {
    let batch = pieces::of_rows(subject.rows, effort);
    let tokens = trained_tokens(subject)?;
    Ok(match batch.layout.longest() {
        0 | 1 => pieces::made_up(&subject.model.decoder, &tokens, effort),
        _ => batch,
    })
}

/// Tokens whose rows are trained, and no others of their layers.
fn trained_tokens(subject: &Subject<'_>) -> Result<Vec<u32>> {
    let adapters = subject.parameters.adapters();
    Ok(adapters.map_or(Ok(vec![]), |set| set.tokens())?)
}
