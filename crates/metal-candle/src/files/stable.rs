use super::{Error, open};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Bytes that are read at a time, few enough to stay in a cache of the processor.
const CHUNK_BYTES: usize = 256 << 10;

/// File of which parts are read, and that nobody may write to meanwhile. It is read, not mapped: a file
/// that becomes shorter is an error, where a map of it would end the program with a signal.
#[derive(Debug)]
pub struct StableFile {
    path: PathBuf,
    file: File,
    state: State,
}

/// State that shows that a file was written to.
#[derive(Debug, PartialEq)]
struct State {
    bytes: u64,
    modified: Option<SystemTime>,
}

impl State {
    fn of(file: &File) -> io::Result<Self> {
        let found = file.metadata()?;
        Ok(Self {
            bytes: found.len(),
            modified: found.modified().ok(),
        })
    }
}

impl StableFile {
    /// Opens a file.
    ///
    /// # Errors
    /// As [`open`].
    pub fn open(path: &Path) -> Result<Self, Error> {
        let file = open(path)?;
        Ok(Self {
            path: path.to_path_buf(),
            state: State::of(&file).map_err(Error::at("read", path))?,
            file,
        })
    }

    /// Where it lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Size in bytes when it was opened.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.state.bytes
    }

    /// Reader of the bytes from the first one on. There is one place to read at: only one reader at a time is of use.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn from_start(&self) -> io::Result<&File> {
        let mut file = &self.file;
        file.rewind()?;
        Ok(file)
    }

    /// Whether nobody wrote to it since it was opened: what was read is of one state.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn is_unchanged(&self) -> Result<bool, Error> {
        let now = State::of(&self.file).map_err(Error::at("read", &self.path))?;
        Ok(now == self.state)
    }

    /// `count` values of `N` bytes from the byte `start` on. The caller has compared them with the file's size.
    ///
    /// # Errors
    /// When the system refuses; `UnexpectedEof` when the file has become shorter.
    pub fn values<T, const N: usize>(
        &self,
        start: u64,
        count: usize,
        from_bytes: impl Fn([u8; N]) -> T,
    ) -> io::Result<Vec<T>> {
        let mut file = &self.file;
        let mut chunk = vec![0; CHUNK_BYTES.min(count * N)];
        let mut values = Vec::with_capacity(count);
        file.seek(SeekFrom::Start(start))?;
        while values.len() < count {
            let n = (count - values.len()).min(CHUNK_BYTES / N);
            let bytes = &mut chunk[..n * N];
            file.read_exact(bytes)?;
            values.extend(bytes.as_chunks().0.iter().map(|bytes| from_bytes(*bytes)));
        }
        Ok(values)
    }
}
