//! Batches of a run: their order, ours or mlx-lm's.

use super::{Result, RowSettings};
use crate::data::mlx_order::{MlxOrder, MlxWindows, n_batches, ordered};
use crate::data::{Batch, Convention, Dataset, Split, Splits, Windows, sample};
use crate::train::{EvaluationBatches, Options};
use std::cell::Cell;
use std::num::NonZeroUsize;

/// Batches of a run that has taken `done` steps; `options` are those of the steps that come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Order<'a> {
    pub(super) splits: &'a Splits,
    pub(super) rows: &'a RowSettings,
    pub(super) options: &'a Options,
    pub(super) done: usize,
}

impl<'a> Order<'a> {
    /// Optimizer steps that come next, each as its micro-batches.
    pub(super) fn steps(self) -> Result<Box<dyn Iterator<Item = Vec<Batch>> + 'a>> {
        let train = self.splits.require(Split::Train)?;
        let (size, accumulation) = (self.batch_size(), self.accumulation());
        let arrangement = self.rows.arrangement;
        if self.is_mlx() {
            let how = (size, accumulation);
            let mut steps = MlxWindows::new(&train.examples, how, arrangement, self.mlx());
            steps.skip_steps(self.done);
            return Ok(Box::new(steps));
        }
        let seed = self.options.seed;
        let mut steps = Windows::new(&train.examples, size, accumulation, arrangement, seed);
        steps.skip_steps(self.done)?;
        Ok(Box::new(steps))
    }

    /// Batches of an evaluation, made anew each time.
    pub(super) fn validation(self) -> Option<Box<dyn Fn() -> EvaluationBatches<'a> + 'a>> {
        let valid = self.splits.valid.as_ref()?;
        let (size, limit) = (self.batch_size(), self.options.val_batches);
        let (examples, arrangement) = (&valid.examples, self.rows.arrangement);
        if !self.is_mlx() {
            let batches = move || sample(examples, size, arrangement, limit);
            return Some(Box::new(move || Box::new(batches())));
        }
        let order = self.mlx();
        let done = self.done.saturating_mul(self.accumulation().get());
        let evaluations = Cell::new(order.evaluation_after(done));
        Some(Box::new(move || {
            let index = evaluations.replace(evaluations.get() + 1);
            let order = order.validation(index);
            Box::new(ordered(examples, size, arrangement, &order, limit).into_iter())
        }))
    }

    /// Tells which rows no step has, where mlx-lm's rules hold.
    pub(super) fn tell_left_out(self) {
        let size = self.batch_size();
        let Some(train) = self.splits.train.as_ref().filter(|_| self.is_mlx()) else {
            return;
        };
        let n_rows = train.examples.len();
        let left = n_rows % size;
        if n_rows > size.get() && left > 0 {
            tracing::warn!(
                "{}: the last {left} of {n_rows} rows fill no batch of {size} and are left out, as mlx-lm does",
                train.path.display()
            );
        }
    }

    fn is_mlx(self) -> bool {
        self.rows.convention == Convention::MlxLm
    }

    fn mlx(self) -> MlxOrder {
        let n = |set: &Option<Dataset>| {
            let rows = set.as_ref().map_or(0, |set| set.examples.len());
            n_batches(rows, self.batch_size())
        };
        let per_step = self.accumulation().get();
        let steps = self.done.saturating_add(self.options.iters);
        MlxOrder {
            seed: self.options.seed,
            n_train: n(&self.splits.train),
            n_valid: n(&self.splits.valid),
            evaluates_every: self.options.steps_per_eval.saturating_mul(per_step),
            iters: steps.saturating_mul(per_step),
        }
    }

    fn batch_size(self) -> NonZeroUsize {
        at_least_one(self.options.batch_size)
    }

    fn accumulation(self) -> NonZeroUsize {
        at_least_one(self.options.grad_accumulation_steps)
    }
}

/// A count that the trainer refuses where it is zero.
pub(super) fn at_least_one(count: usize) -> NonZeroUsize {
    NonZeroUsize::new(count).unwrap_or(NonZeroUsize::MIN)
}
