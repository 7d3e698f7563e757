//! Rows of one optimizer step, cut into micro-batches.

use super::batch::Batch;
use super::batches::{Batches, Cursor};
use super::error::Result;
use super::examples::Examples;
use crate::layout::Arrangement;
use std::num::NonZeroUsize;

/// Endless optimizer steps, each as its micro-batches.
///
/// The rows of a step are drawn first and cut afterwards: any split of the same number of rows
/// trains on the same rows. Where a row cannot be read again there are no more ([`Examples::check`]).
#[derive(Debug)]
pub struct Windows<'a> {
    batches: Batches<'a>,
    batch_size: NonZeroUsize,
    arrangement: Arrangement,
}

impl<'a> Windows<'a> {
    /// Steps of `accumulation` micro-batches of `batch_size` examples, laid out as `arrangement` says.
    pub fn new(
        examples: &'a Examples,
        batch_size: NonZeroUsize,
        accumulation: NonZeroUsize,
        arrangement: Arrangement,
        seed: u64,
    ) -> Self {
        let rows_per_step = batch_size.saturating_mul(accumulation);
        Self {
            batches: Batches::shuffled(examples, rows_per_step, seed),
            batch_size,
            arrangement,
        }
    }

    /// Goes on where another run with the same rows and settings stood after `steps`.
    ///
    /// # Errors
    /// Never.
    pub fn skip_steps(&mut self, steps: usize) -> Result<()> {
        let per_epoch = self.batches.n_batches().max(1);
        self.batches.seek(Cursor {
            epoch: (steps / per_epoch) as u64,
            position: steps % per_epoch,
        })
    }
}

impl Iterator for Windows<'_> {
    type Item = Vec<Batch>;

    fn next(&mut self) -> Option<Vec<Batch>> {
        let window = self.batches.next()?;
        let parts = window.chunks(self.batch_size.get());
        Some(
            parts
                .map(|part| Batch::new(self.arrangement, part))
                .collect(),
        )
    }
}

/// Some batches of a data set, `None` for all: without order, so that a few are no worse than
/// others, but the same at every call.
pub fn sample(
    examples: &Examples,
    batch_size: NonZeroUsize,
    arrangement: Arrangement,
    n_batches: Option<usize>,
) -> impl Iterator<Item = Batch> + use<'_> {
    let batches = Batches::shuffled(examples, batch_size, 0);
    let all = batches.n_batches();
    let n_batches = n_batches.unwrap_or(all).min(all);
    batches.laid_out(arrangement).take(n_batches)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Example;

    fn examples() -> Examples {
        let example = |line: usize| Example {
            tokens: (0..=line as u32).collect(),
            trained: (0..=line).map(|i| i > 0).collect(),
            line,
            pair: None,
        };
        (1..=11).map(example).collect()
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
        let examples = examples();
        let steps = |batch, accumulation| {
            Windows::new(&examples, n(batch), n(accumulation), Arrangement::Padded, 3)
                .take(4)
                .collect::<Vec<_>>()
        };
        let whole = steps(8, 1);
        for (batch, accumulation) in [(4, 2), (1, 8), (3, 3)] {
            let split = steps(batch, accumulation);
            if batch * accumulation == 8 {
                assert_eq!(lines(&split), lines(&whole));
            }
            assert!(split.iter().flatten().all(|part| part.lines.len() <= batch));
        }
    }

    #[test]
    fn skipped_steps_are_those_that_were_taken() {
        let examples = examples();
        let steps = || Windows::new(&examples, n(2), n(2), Arrangement::Packed, 3);
        let whole: Vec<_> = steps().take(9).collect();
        for done in 0..9 {
            let mut rest = steps();
            rest.skip_steps(done).unwrap();
            assert_eq!(rest.take(9 - done).collect::<Vec<_>>(), whole[done..]);
        }
    }

    #[test]
    fn parts_keep_every_target_and_are_as_wide_as_their_longest_row() {
        let examples = examples();
        for step in Windows::new(&examples, n(3), n(3), Arrangement::Padded, 0).take(2) {
            for batch in step {
                let longest = *batch.lines.iter().max().unwrap();
                assert_eq!(batch.layout.dims(), (batch.lines.len(), longest));
                assert_eq!(batch.trained_tokens, batch.lines.iter().sum::<usize>());
            }
        }
    }

    #[test]
    fn a_sample_is_at_most_everything() {
        let examples = examples();
        let n_rows = |n_batches| {
            sample(&examples, n(4), Arrangement::Padded, n_batches)
                .map(|b| b.lines.len())
                .sum::<usize>()
        };
        assert_eq!(n_rows(None), 11);
        assert_eq!(n_rows(Some(100)), 11);
        assert!(n_rows(Some(1)) <= 4);
        let two = || sample(&examples, n(4), Arrangement::Packed, Some(2));
        assert!(two().eq(two()));
    }
}
