use super::header::{self, Header};
use super::{Error, MAGIC, Metadata, Result, TensorInfo};
use crate::files::{self, StableFile};
use indexmap::IndexMap;
use std::io::{ErrorKind, Read};
use std::path::Path;

/// A GGUF file. Opening reads its header; tensors are read when they are asked for.
#[derive(Debug)]
pub struct GgufFile {
    file: StableFile,
    metadata: Metadata,
    tensors: IndexMap<String, TensorInfo>,
    /// Where tensor data begin, in bytes.
    data_start: u64,
}

impl GgufFile {
    /// Whether a file begins as a GGUF file does.
    #[must_use]
    pub fn is_at(path: &Path) -> bool {
        let begins = || {
            let mut magic = [0; 4];
            files::open(path)?
                .read_exact(&mut magic)
                .map_err(files::Error::at("read", path))?;
            Ok::<_, files::Error>(magic == MAGIC)
        };
        path.is_file() && begins().unwrap_or(false)
    }

    /// Opens a file and reads its header. What it says of sizes and places is compared with the file.
    ///
    /// # Errors
    /// When it cannot be read, or is damaged.
    pub fn open(path: &Path) -> Result<Self> {
        let file = StableFile::open(path)?;
        let start = file.from_start().map_err(files::Error::at("read", path))?;
        let Header {
            values,
            tensors,
            data_start,
        } = header::read(start, file.bytes()).map_err(|reason| Error::damaged(path, reason))?;
        Ok(Self {
            metadata: Metadata::new(path, values),
            file,
            tensors,
            data_start,
        })
    }

    /// Where it lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Its metadata.
    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// Names and descriptions of the tensors, in the file's order.
    pub fn tensors(&self) -> impl Iterator<Item = (&str, &TensorInfo)> {
        self.tensors
            .iter()
            .map(|(name, info)| (name.as_str(), info))
    }

    /// Description of a tensor.
    #[must_use]
    pub fn info(&self, name: &str) -> Option<&TensorInfo> {
        self.tensors.get(name)
    }

    /// Bytes of a tensor of this file.
    ///
    /// # Errors
    /// When the file cannot be read, or has become shorter.
    pub fn bytes(&self, info: &TensorInfo) -> Result<Vec<u8>> {
        self.values(info, info.bytes, u8::from_le_bytes)
    }

    /// Values of `N` bytes each, the first `count` of a tensor of this file.
    ///
    /// # Errors
    /// As [`Self::bytes`], and when the tensor has fewer.
    pub fn values<T, const N: usize>(
        &self,
        info: &TensorInfo,
        count: usize,
        from_bytes: impl Fn([u8; N]) -> T,
    ) -> Result<Vec<T>> {
        let path = self.path();
        if count.checked_mul(N).is_none_or(|bytes| bytes > info.bytes) {
            let bytes = info.bytes;
            return Err(Error::damaged(
                path,
                format!("{count} values of {N} bytes in {bytes} bytes"),
            ));
        }
        let values = self
            .file
            .values(self.data_start + info.offset, count, from_bytes);
        values.map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof => Error::damaged(path, CHANGED),
            _ => files::Error::at("read", path)(error).into(),
        })
    }

    /// Check that nobody wrote to the file since it was opened.
    ///
    /// # Errors
    /// When somebody did.
    pub fn check_unchanged(&self) -> Result<()> {
        match self.file.is_unchanged()? {
            true => Ok(()),
            false => Err(Error::damaged(self.path(), CHANGED)),
        }
    }
}

const CHANGED: &str = "the file was changed while it was read";
