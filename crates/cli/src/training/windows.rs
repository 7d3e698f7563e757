//! Rows of one optimizer step, cut into micro-batches.

use crate::error::Result;
use metal_candle::data::{Batch, Batches, Cursor, Dataset, IGNORED};
use std::num::NonZeroUsize;

/// Endless optimizer steps, each as its micro-batches.
///
/// The rows of a step are drawn first and cut afterwards: any split of the same number of rows
/// trains on the same rows.
pub struct Windows<'a> {
    rows: Batches<'a>,
    batch_size: NonZeroUsize,
}

impl<'a> Windows<'a> {
    /// Steps of `accumulation` micro-batches of `batch_size` rows.
    pub fn new(
        dataset: &'a Dataset,
        batch_size: NonZeroUsize,
        accumulation: NonZeroUsize,
        seed: u64,
    ) -> Self {
        let rows_per_step = batch_size.saturating_mul(accumulation);
        Self {
            rows: Batches::shuffled(&dataset.examples, rows_per_step, seed),
            batch_size,
        }
    }

    /// Goes on where another run with the same rows and settings stood after `steps`.
    ///
    /// # Errors
    /// Never.
    pub fn skip_steps(&mut self, steps: usize) -> Result<()> {
        let per_epoch = self.rows.n_batches().max(1);
        Ok(self.rows.seek(Cursor {
            epoch: (steps / per_epoch) as u64,
            position: steps % per_epoch,
        })?)
    }
}

impl Iterator for Windows<'_> {
    type Item = Vec<Batch>;

    fn next(&mut self) -> Option<Vec<Batch>> {
        let window = self.rows.next()?;
        let starts = (0..window.n_rows).step_by(self.batch_size.get());
        Some(
            starts
                .map(|start| part(&window, start, self.batch_size.get()))
                .collect(),
        )
    }
}

/// Some batches of a data set, `None` for all: without order, so that a few are no worse than
/// others, but the same at every call.
pub fn sample(dataset: &Dataset, batch_size: NonZeroUsize, n_batches: Option<usize>) -> Vec<Batch> {
    let batches = Batches::shuffled(&dataset.examples, batch_size, 0);
    let all = batches.n_batches();
    batches.take(n_batches.unwrap_or(all).min(all)).collect()
}

/// At most `n_rows` rows from `start` on, without the columns behind their last target.
fn part(window: &Batch, start: usize, n_rows: usize) -> Batch {
    let end = window.n_rows.min(start + n_rows);
    let targets: Vec<&[i64]> = rows(&window.targets, window.n_tokens, start, end);
    let inputs: Vec<&[u32]> = rows(&window.inputs, window.n_tokens, start, end);
    let n_tokens = targets
        .iter()
        .map(|row| trained_length(row))
        .max()
        .unwrap_or(0);
    Batch {
        n_rows: end - start,
        n_tokens,
        inputs: inputs
            .iter()
            .flat_map(|row| &row[..n_tokens])
            .copied()
            .collect(),
        targets: targets
            .iter()
            .flat_map(|row| &row[..n_tokens])
            .copied()
            .collect(),
        lines: window.lines[start..end].to_vec(),
        trained_tokens: targets
            .iter()
            .flat_map(|row| row.iter())
            .filter(|&&t| t != IGNORED)
            .count(),
    }
}

fn rows<T>(values: &[T], n_tokens: usize, start: usize, end: usize) -> Vec<&[T]> {
    values[start * n_tokens..end * n_tokens]
        .chunks(n_tokens.max(1))
        .collect()
}

/// Columns up to the last target: what follows changes no loss, because attention is causal.
fn trained_length(targets: &[i64]) -> usize {
    targets
        .iter()
        .rposition(|&target| target != IGNORED)
        .map_or(0, |last| last + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use metal_candle::data::Example;

    fn dataset() -> Dataset {
        let example = |line: usize| Example {
            tokens: (0..=line as u32).collect(),
            trained: (0..=line).map(|i| i > 0).collect(),
            line,
        };
        Dataset {
            path: "rows.jsonl".into(),
            examples: (1..=11).map(example).collect(),
            truncated: 0,
            truncated_tokens: 0,
            untrainable: vec![],
        }
    }

    fn n(value: usize) -> NonZeroUsize {
        NonZeroUsize::new(value).unwrap()
    }

    fn lines(steps: &[Vec<Batch>]) -> Vec<Vec<usize>> {
        let of_step =
            |step: &Vec<Batch>| step.iter().flat_map(|batch| batch.lines.clone()).collect();
        steps.iter().map(of_step).collect()
    }

    #[test]
    fn any_split_of_a_step_has_the_same_rows() {
        let dataset = dataset();
        let steps = |batch, accumulation| {
            Windows::new(&dataset, n(batch), n(accumulation), 3)
                .take(4)
                .collect::<Vec<_>>()
        };
        let whole = steps(8, 1);
        for (batch, accumulation) in [(4, 2), (1, 8), (3, 3)] {
            let split = steps(batch, accumulation);
            if batch * accumulation == 8 {
                assert_eq!(lines(&split), lines(&whole));
            }
            assert!(split.iter().flatten().all(|part| part.n_rows <= batch));
        }
    }

    #[test]
    fn skipped_steps_are_those_that_were_taken() {
        let dataset = dataset();
        let steps = || Windows::new(&dataset, n(2), n(2), 3);
        let whole: Vec<_> = steps().take(9).collect();
        for done in 0..9 {
            let mut rest = steps();
            rest.skip_steps(done).unwrap();
            assert_eq!(rest.take(9 - done).collect::<Vec<_>>(), whole[done..]);
        }
    }

    #[test]
    fn parts_keep_every_target_and_drop_padding() {
        let dataset = dataset();
        for step in Windows::new(&dataset, n(3), n(3), 0).take(2) {
            for batch in step {
                let longest = batch.lines.iter().max().unwrap();
                assert_eq!(batch.n_tokens, *longest);
                assert_eq!(batch.inputs.len(), batch.n_rows * batch.n_tokens);
                assert_eq!(batch.trained_tokens, batch.lines.iter().sum::<usize>());
            }
        }
    }

    #[test]
    fn a_sample_is_at_most_everything() {
        let dataset = dataset();
        let n_rows = |n_batches| {
            sample(&dataset, n(4), n_batches)
                .iter()
                .map(|b| b.n_rows)
                .sum::<usize>()
        };
        assert_eq!(n_rows(None), 11);
        assert_eq!(n_rows(Some(100)), 11);
        assert!(n_rows(Some(1)) <= 4);
        assert_eq!(
            sample(&dataset, n(4), Some(2)),
            sample(&dataset, n(4), Some(2))
        );
    }
}
