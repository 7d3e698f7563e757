//! Order in which mlx-lm 0.32.2 takes rows (`iterate_batches` and `train` in `mlx_lm/tuner/trainer.py`). Rows of a file in their
//! order make batches; those that do not fill the last one are left out. One generator of numpy draws the order of the
//! batches for each epoch and for each evaluation, when it comes to it. (mlx-lm sorts by the number of a row's keys, which
//! its comment calls a length; that the keys of all rows are as many is taken for granted here.)

mod mersenne;

use super::batch::Batch;
use super::examples::Examples;
use crate::layout::Arrangement;
use mersenne::Mersenne;
use std::num::NonZeroUsize;

/// Orders of a run.
#[derive(Clone, Copy, Debug)]
pub struct MlxOrder {
    /// Seed, of which mlx-lm takes no more than 32 bits.
    pub seed: u64,
    /// Batches of an epoch.
    pub n_train: usize,
    /// Batches of the rows that are evaluated; 0 where none are.
    pub n_valid: usize,
    /// Iterations between evaluations; 0 for none but the first and the last.
    pub evaluates_every: usize,
    /// Iterations of the run.
    pub iters: usize,
}

impl MlxOrder {
    /// Order of the evaluation number `index`, from 0.
    pub fn validation(self, index: usize) -> Vec<usize> {
        let mut draws = Draws::new(self);
        while draws.evaluations <= index && draws.iteration < self.iters {
            draws.next();
        }
        draws.validation
    }

    /// Number of the evaluation with which a run goes on after so many iterations: the last one before them.
    pub fn evaluation_after(self, iterations: usize) -> usize {
        iterations.checked_div(self.evaluates_every).unwrap_or(0)
    }

    fn evaluates_at(self, iteration: usize) -> bool {
        let every = self.evaluates_every;
        let is_due = every > 0 && iteration.is_multiple_of(every);
        self.n_valid > 0 && (iteration == 1 || is_due || iteration == self.iters)
    }
}

/// Generator that draws orders as a run comes to them.
#[derive(Clone, Debug)]
struct Draws {
    order: MlxOrder,
    random: Mersenne,
    /// Iterations begun.
    iteration: usize,
    /// Batches of this epoch.
    epoch: Vec<usize>,
    /// Evaluations until now, and the order of the last of them.
    evaluations: usize,
    validation: Vec<usize>,
}

impl Draws {
    fn new(order: MlxOrder) -> Self {
        Self {
            order,
            random: Mersenne::new(order.seed as u32),
            iteration: 0,
            epoch: vec![],
            evaluations: 0,
            validation: vec![],
        }
    }

    /// Batch of the next iteration.
    fn next(&mut self) -> Option<usize> {
        let n = self.order.n_train;
        let position = self.iteration.checked_rem(n)?;
        if position == 0 {
            self.epoch = self.random.permutation(n);
        }
        self.iteration += 1;
        if self.order.evaluates_at(self.iteration) {
            self.evaluations += 1;
            self.validation = self.random.permutation(self.order.n_valid);
        }
        self.epoch.get(position).copied()
    }
}

/// Order of `n` rows that numpy's generator draws first after `seed`.
#[must_use]
pub fn permutation(seed: u32, n: usize) -> Vec<usize> {
    Mersenne::new(seed).permutation(n)
}

/// Batches that `n` rows make: those that are filled, or one of all rows where there are fewer.
pub fn n_batches(n_rows: usize, batch_size: NonZeroUsize) -> usize {
    (n_rows / batch_size).max(usize::from(n_rows > 0))
}

/// The batch `index`; `None` where a row cannot be read again.
fn batch(
    examples: &Examples,
    batch_size: NonZeroUsize,
    arrangement: Arrangement,
    index: usize,
) -> Option<Batch> {
    let start = index * batch_size.get();
    let end = examples.len().min(start + batch_size.get());
    let rows = examples.draw(start..end)?;
    Some(Batch::new(arrangement, &rows))
}

/// Batches of an evaluation in `order`, or the first of them.
pub fn ordered(
    examples: &Examples,
    batch_size: NonZeroUsize,
    arrangement: Arrangement,
    order: &[usize],
    limit: Option<usize>,
) -> Vec<Batch> {
    let order = order.iter().take(limit.unwrap_or(order.len()));
    let batches = order.map_while(|index| batch(examples, batch_size, arrangement, *index));
    batches.collect()
}

/// Endless optimizer steps in mlx-lm's order, each as its micro-batches.
#[derive(Debug)]
pub struct MlxWindows<'a> {
    examples: &'a Examples,
    batch_size: NonZeroUsize,
    accumulation: NonZeroUsize,
    arrangement: Arrangement,
    draws: Draws,
}

impl<'a> MlxWindows<'a> {
    /// Steps of `accumulation` batches of `batch_size` examples.
    pub fn new(
        examples: &'a Examples,
        (batch_size, accumulation): (NonZeroUsize, NonZeroUsize),
        arrangement: Arrangement,
        order: MlxOrder,
    ) -> Self {
        Self {
            examples,
            batch_size,
            accumulation,
            arrangement,
            draws: Draws::new(order),
        }
    }

    /// Goes on where another run stood after `steps`.
    pub fn skip_steps(&mut self, steps: usize) {
        for _ in 0..steps.saturating_mul(self.accumulation.get()) {
            self.draws.next();
        }
    }
}

impl Iterator for MlxWindows<'_> {
    type Item = Vec<Batch>;

    fn next(&mut self) -> Option<Vec<Batch>> {
        let indices = (0..self.accumulation.get()).map(|_| self.draws.next());
        let indices: Option<Vec<usize>> = indices.collect();
        let batches = indices?
            .into_iter()
            .map(|index| batch(self.examples, self.batch_size, self.arrangement, index));
        batches.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_goes_on_with_the_order_of_the_evaluation_before() {
        let order = MlxOrder {
            seed: 3,
            n_train: 4,
            n_valid: 50,
            evaluates_every: 10,
            iters: 40,
        };
        let orders: Vec<_> = (0..4).map(|index| order.validation(index)).collect();
        assert!((1..4).all(|i| orders[i] != orders[i - 1]));
        for (done, expected) in [(0, 0), (9, 0), (10, 1), (25, 2), (30, 3)] {
            assert_eq!(order.evaluation_after(done), expected, "{done}");
        }
        let never = MlxOrder {
            evaluates_every: 0,
            ..order
        };
        assert_eq!(never.evaluation_after(30), 0);
    }
}
