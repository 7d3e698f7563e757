//! Contents of a file, read piece by piece: a file may be larger than memory.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::PathBuf;

use bytes::Bytes;

use super::{held, packed, unreadable};
use crate::data::error::{Error, Result};
use crate::data::json::Stream;
use crate::files;

/// Bytes that are read at a time.
const BUFFER_BYTES: usize = 256 << 10;

/// A file, or bytes in its place.
#[derive(Debug, Clone)]
pub(super) struct Input {
    pub(super) path: PathBuf,
    pub(super) bytes: Option<Bytes>,
}

/// Contents as they lie there.
pub(super) enum Raw {
    File(File),
    Bytes(Bytes),
}

impl Input {
    /// Opens the contents as they lie there.
    ///
    /// # Errors
    /// When there is no file that can be read.
    pub(super) fn raw(&self) -> Result<Raw> {
        Ok(match &self.bytes {
            Some(bytes) => Raw::Bytes(bytes.clone()),
            None => Raw::File(files::open(&self.path)?),
        })
    }

    /// Reader of the contents, unpacked where they are packed.
    ///
    /// # Errors
    /// When there is no file that can be read.
    pub(super) fn reader(&self) -> Result<Box<dyn BufRead>> {
        let raw = self.raw()?;
        let n_bytes = raw.n_bytes().map_err(|error| self.error(error))?;
        let contents = BufReader::with_capacity(BUFFER_BYTES, raw.into_reader());
        packed::unpacking(contents, n_bytes).map_err(|error| self.error(error))
    }

    /// Whether the contents are packed.
    ///
    /// # Errors
    /// When they cannot be read.
    pub(super) fn is_packed(&self) -> Result<bool> {
        let head = self.read(self.raw()?.into_reader().take(packed::HEAD_BYTES))?;
        Ok(packed::Packing::of(&head).is_some())
    }

    /// The first bytes of the contents, as many as there are up to `n`.
    ///
    /// # Errors
    /// When they cannot be read.
    pub(super) fn head(&self, n: u64) -> Result<Vec<u8>> {
        self.read(self.reader()?.take(n))
    }

    /// All of the contents, unpacked.
    ///
    /// # Errors
    /// When they cannot be read.
    pub(super) fn whole(&self) -> Result<Bytes> {
        held::all(self.reader()?).map_err(|error| self.error(error))
    }

    /// The contents as a JSON document.
    ///
    /// # Errors
    /// When they cannot be read.
    pub(super) fn json(&self) -> Result<Stream> {
        Stream::new(self.reader()?).map_err(|error| self.error(error))
    }

    fn read(&self, mut reader: impl Read) -> Result<Vec<u8>> {
        let mut bytes = vec![];
        let read = reader.read_to_end(&mut bytes);
        read.map_err(|error| self.error(error))?;
        Ok(bytes)
    }

    /// The error of contents that cannot be read.
    pub(super) fn error(&self, error: io::Error) -> Error {
        match packed::reason(&error) {
            Some(reason) => unreadable(&self.path, reason),
            None => files::Error::at("read", &self.path)(error).into(),
        }
    }
}

impl Raw {
    fn n_bytes(&self) -> io::Result<u64> {
        match self {
            Self::File(file) => Ok(file.metadata()?.len()),
            Self::Bytes(bytes) => Ok(bytes.len() as u64),
        }
    }

    fn into_reader(self) -> Box<dyn Read> {
        match self {
            Self::File(file) => Box::new(file),
            Self::Bytes(bytes) => Box::new(Cursor::new(bytes)),
        }
    }
}
