//! Numbers behind each other, of which no more is in memory than is said: the others are in a file without a name, which
//! ends with the process.

use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;

use crate::files;

/// Bytes of a number.
const WORD_BYTES: usize = size_of::<u32>();

/// Numbers that wait to be written once there is a file.
const CHUNK_WORDS: usize = 1 << 20;

/// Numbers that are added at the end and read anywhere.
#[derive(Debug)]
pub(super) struct Store {
    /// Most numbers in memory.
    limit: usize,
    spilled: Option<File>,
    /// Numbers in the file.
    n_spilled: u64,
    /// Numbers behind those of the file.
    recent: Vec<u32>,
    /// The first failure that nobody was told of.
    pub(super) failure: Option<files::Error>,
}

impl Store {
    /// No numbers, of which up to `bytes` are held in memory.
    pub(super) fn new(bytes: usize) -> Self {
        Self {
            limit: bytes / WORD_BYTES,
            spilled: None,
            n_spilled: 0,
            recent: Vec::new(),
            failure: None,
        }
    }

    /// Adds numbers; gives the place of the first.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(super) fn push(&mut self, words: &[u32]) -> Result<u64, files::Error> {
        let start = self.n_spilled + self.recent.len() as u64;
        self.recent.extend(words);
        if self.recent.len() > self.limit {
            self.spill().map_err(files::Error::at("write", &shown()))?;
        }
        Ok(start)
    }

    /// `n` numbers from the place `start` on, which were added together.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(super) fn read(&mut self, start: u64, n: usize) -> Result<Vec<u32>, files::Error> {
        match (start.checked_sub(self.n_spilled), &mut self.spilled) {
            (None, Some(file)) => read(file, start, n).map_err(files::Error::at("read", &shown())),
            (behind, _) => {
                let start = behind.unwrap_or(0) as usize;
                Ok(self.recent[start..start + n].to_vec())
            }
        }
    }

    /// Bytes that are held in memory.
    #[cfg(test)]
    pub(super) fn resident_bytes(&self) -> usize {
        self.recent.capacity() * WORD_BYTES
    }

    /// Loses what is in the file.
    #[cfg(test)]
    pub(super) fn lose(&mut self) {
        self.spilled.as_ref().unwrap().set_len(0).unwrap();
    }

    fn spill(&mut self) -> io::Result<()> {
        let file = match &mut self.spilled {
            Some(file) => file,
            none => none.insert(tempfile::tempfile_in(files::large_folder())?),
        };
        file.seek(SeekFrom::End(0))?;
        let mut writer = BufWriter::new(file);
        for word in &self.recent {
            writer.write_all(&word.to_le_bytes())?;
        }
        writer.flush()?;
        self.n_spilled += self.recent.len() as u64;
        self.recent = Vec::new();
        self.limit = self.limit.min(CHUNK_WORDS);
        Ok(())
    }
}

fn read(file: &mut File, start: u64, n: usize) -> io::Result<Vec<u32>> {
    let mut bytes = vec![0; n * WORD_BYTES];
    file.seek(SeekFrom::Start(start * WORD_BYTES as u64))?;
    file.read_exact(&mut bytes)?;
    let words = bytes.as_chunks().0.iter();
    Ok(words.map(|bytes| u32::from_le_bytes(*bytes)).collect())
}

/// Name of the file, which has none, in errors.
fn shown() -> PathBuf {
    files::large_folder().join("temporary file of tokens")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_over_the_limit_is_in_a_file() {
        let mut store = Store::new(100 * WORD_BYTES);
        let parts: Vec<Vec<u32>> = (0..200).map(|i| vec![i; i as usize % 17]).collect();
        let places: Vec<u64> = parts
            .iter()
            .map(|part| {
                let place = store.push(part).unwrap();
                // A vector that grows may double.
                assert!(store.resident_bytes() <= 2 * (100 + 17) * WORD_BYTES);
                place
            })
            .collect();
        assert!(store.n_spilled > 1000);
        for (part, place) in parts.iter().zip(places).rev() {
            assert_eq!(store.read(place, part.len()).unwrap(), *part);
        }
    }
}
