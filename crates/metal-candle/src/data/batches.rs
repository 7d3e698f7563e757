//! The order in which rows are trained: shuffled, but with rows of like length together, so that
//! little is padding.

use std::num::NonZeroUsize;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::batch::Batch;
use super::error::{Error, Result};
use super::example::Example;
use super::examples::Examples;
use crate::layout::Arrangement;

/// Rows are sorted by length within this many batches: enough to pair like lengths, few enough that
/// what meets in a batch still changes from epoch to epoch.
const BATCHES_PER_BUCKET: usize = 8;

/// Place in the data where a run stands: what to save in order to go on later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Cursor {
    /// Whole passes over the data so far.
    pub epoch: u64,
    /// Batches of this epoch already taken.
    pub position: usize,
}

/// Rows of a data set in batches: endless and shuffled for training, or one sorted pass for
/// evaluation.
///
/// Every row is in exactly one batch of an epoch; the last batch may be smaller. The order depends
/// on the rows, the batch size and the seed alone. Where a row cannot be read again there are no more
/// ([`Examples::check`]).
#[derive(Debug, Clone)]
pub struct Batches<'a> {
    examples: &'a Examples,
    batch_size: NonZeroUsize,
    /// `None` for the one sorted pass.
    seed: Option<u64>,
    cursor: Cursor,
    order: EpochOrder,
}

/// Order of one epoch.
#[derive(Debug, Clone, Default)]
struct EpochOrder {
    /// All rows: neighbours are of one batch.
    rows: Vec<usize>,
    /// Batches, by their places among the rows.
    batches: Vec<usize>,
}

impl<'a> Batches<'a> {
    /// Endless batches, shuffled anew in each epoch.
    pub fn shuffled(examples: &'a Examples, batch_size: NonZeroUsize, seed: u64) -> Self {
        Self::new(examples, batch_size, Some(seed))
    }

    /// One pass over the data in the order of length.
    pub fn sequential(examples: &'a Examples, batch_size: NonZeroUsize) -> Self {
        Self::new(examples, batch_size, None)
    }

    fn new(examples: &'a Examples, batch_size: NonZeroUsize, seed: Option<u64>) -> Self {
        let mut batches = Self {
            examples,
            batch_size,
            seed,
            cursor: Cursor::default(),
            order: EpochOrder::default(),
        };
        batches.order = batches.order_of(0);
        batches
    }

    /// Batches in one epoch.
    pub fn n_batches(&self) -> usize {
        self.examples.len().div_ceil(self.batch_size.get())
    }

    /// The batches laid out.
    pub fn laid_out(self, arrangement: Arrangement) -> impl Iterator<Item = Batch> + use<'a> {
        self.map(move |rows| Batch::new(arrangement, &rows))
    }

    /// Where the next batch stands.
    pub fn cursor(&self) -> Cursor {
        self.cursor
    }

    /// Goes on where a run with the same rows, batch size and seed left off.
    ///
    /// # Errors
    /// [`Error::CursorOutOfRange`] when an epoch has fewer batches than the cursor says were taken.
    pub fn seek(&mut self, cursor: Cursor) -> Result<()> {
        let n_batches = self.n_batches();
        if cursor.position > n_batches {
            return Err(Error::CursorOutOfRange {
                position: cursor.position,
                n_batches,
            });
        }
        self.order = self.order_of(cursor.epoch);
        self.cursor = cursor;
        Ok(())
    }

    fn order_of(&self, epoch: u64) -> EpochOrder {
        let batch_size = self.batch_size.get();
        let length = |&row: &usize| self.examples.longest(row);
        let mut rows: Vec<usize> = (0..self.examples.len()).collect();
        let mut batches: Vec<usize> = (0..self.n_batches()).collect();
        let Some(seed) = self.seed else {
            rows.sort_by_key(length);
            return EpochOrder { rows, batches };
        };
        let mut generator = ChaCha8Rng::seed_from_u64(seed);
        generator.set_stream(epoch);
        shuffle(&mut rows, &mut generator);
        for bucket in rows.chunks_mut(batch_size.saturating_mul(BATCHES_PER_BUCKET)) {
            bucket.sort_by_key(length);
        }
        shuffle(&mut batches, &mut generator);
        EpochOrder { rows, batches }
    }
}

impl Iterator for Batches<'_> {
    type Item = Vec<Example>;

    /// The rows of the next batch. Ends behind a sequential pass, and at once when there are no
    /// rows.
    fn next(&mut self) -> Option<Vec<Example>> {
        if self.cursor.position >= self.order.batches.len() {
            if self.seed.is_none() || self.order.batches.is_empty() {
                return None;
            }
            self.cursor = Cursor {
                epoch: self.cursor.epoch + 1,
                position: 0,
            };
            self.order = self.order_of(self.cursor.epoch);
        }
        let batch = self.order.batches[self.cursor.position];
        let mut rows = self.order.rows.chunks(self.batch_size.get());
        let rows = self.examples.draw(rows.nth(batch)?.iter().copied())?;
        self.cursor.position += 1;
        Some(rows)
    }
}

/// Fisher-Yates. Written out because a saved position has to mean the same order with every later
/// release of `rand`.
fn shuffle<T>(items: &mut [T], generator: &mut ChaCha8Rng) {
    for i in (1..items.len()).rev() {
        // The high half of a 64 by 64 bit product: a number from 0 to i, its bias far below 1e-9
        // for any data set.
        let product = u128::from(generator.next_u64()) * (i as u128 + 1);
        items.swap(i, (product >> 64) as usize);
    }
}

#[cfg(test)]
mod tests;
