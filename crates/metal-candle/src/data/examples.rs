//! Examples of a split. Their tokens lie packed behind each other; of many of them a part is on disk, so that data may be
//! larger than memory.

mod packed;
mod store;
#[cfg(test)]
mod tests;

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::error::Result;
use super::example::Example;
use crate::files;
use packed::{packed, unpacked};
use store::Store;

/// Bytes of tokens that are held in memory where nothing is said: some sixteen million tokens.
pub(super) const MEMORY_BYTES: usize = 64 << 20;

/// Examples in an order, each of which is read when it is asked for.
#[derive(Debug, Clone)]
pub struct Examples {
    store: Arc<Mutex<Store>>,
    places: Vec<Place>,
}

type Read<T> = std::result::Result<T, files::Error>;

/// Place of an example, and how long it is.
#[derive(Debug, Clone, Copy)]
struct Place {
    start: u64,
    n_words: u32,
    longest: u32,
}

impl Default for Examples {
    fn default() -> Self {
        Self::within(MEMORY_BYTES)
    }
}

impl Examples {
    /// No examples, of whose tokens up to so many bytes are held in memory.
    pub(super) fn within(bytes: usize) -> Self {
        Self {
            store: Arc::new(Mutex::new(Store::new(bytes))),
            places: Vec::new(),
        }
    }

    /// Adds an example.
    ///
    /// # Errors
    /// When the file for what does not stay in memory cannot be written.
    pub fn push(&mut self, example: &Example) -> Result<()> {
        Ok(self.add(example)?)
    }

    /// Number of examples.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// The example `index`, which has to be there.
    ///
    /// # Errors
    /// When it cannot be read again.
    pub fn get(&self, index: usize) -> Result<Example> {
        Ok(self.read(index)?)
    }

    /// All examples.
    pub fn iter(&self) -> impl Iterator<Item = Result<Example>> {
        (0..self.len()).map(|index| self.get(index))
    }

    /// The first `n` examples, or all.
    ///
    /// # Errors
    /// When one cannot be read again.
    pub fn first(&self, n: usize) -> Result<Vec<Example>> {
        self.iter().take(n).collect()
    }

    /// Tells why an iterator over batches of these examples ended early: one of them could not be read again. Told once.
    ///
    /// # Errors
    /// That one.
    pub fn check(&self) -> Result<()> {
        match self.store().failure.take() {
            None => Ok(()),
            Some(failure) => Err(failure.into()),
        }
    }

    /// Number of tokens of the example `index`, of a pair of its longer sequence.
    pub(super) fn longest(&self, index: usize) -> usize {
        self.places[index].longest as usize
    }

    /// Some of the examples; `None` where one cannot be read again, which [`check`](Self::check) tells.
    pub(super) fn draw(&self, indices: impl IntoIterator<Item = usize>) -> Option<Vec<Example>> {
        let rows = indices.into_iter().map(|index| self.read(index));
        rows.collect::<Read<_>>()
            .map_err(|failure| self.keep(failure))
            .ok()
    }

    /// Examples that are chosen by their indices, in their order.
    pub(super) fn part(&self, is_chosen: impl Fn(usize) -> bool) -> Self {
        let places = self.places.iter().enumerate();
        let chosen = places.filter(|(index, _)| is_chosen(*index));
        Self {
            store: self.store.clone(),
            places: chosen.map(|(_, place)| *place).collect(),
        }
    }

    fn add(&mut self, example: &Example) -> Read<()> {
        let words = packed(example);
        let n_words = u32::try_from(words.len()).map_err(|_| too_long(&words))?;
        let start = self.store().push(&words)?;
        self.places.push(Place {
            start,
            n_words,
            longest: example.longest() as u32,
        });
        Ok(())
    }

    fn read(&self, index: usize) -> Read<Example> {
        let Place { start, n_words, .. } = self.places[index];
        let words = self.store().read(start, n_words as usize)?;
        Ok(unpacked(&words))
    }

    fn keep(&self, failure: files::Error) {
        self.store().failure.get_or_insert(failure);
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FromIterator<Example> for Examples {
    /// Examples that all stay in memory.
    fn from_iter<T: IntoIterator<Item = Example>>(examples: T) -> Self {
        let mut all = Self::within(usize::MAX);
        for example in examples {
            if let Err(failure) = all.add(&example) {
                all.keep(failure);
            }
        }
        all
    }
}

fn too_long(words: &[u32]) -> files::Error {
    let reason = format!("a row has {} tokens", words.len());
    files::Error::at("keep", Path::new("rows"))(io::Error::other(reason))
}
