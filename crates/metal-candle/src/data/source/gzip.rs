//! Files that were compressed with gzip.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::MultiGzDecoder;

/// Rows of text become a tenth; a file that becomes this many times as large is none of them.
const MAX_RATIO: u64 = 200;

/// A small file may have any ratio.
const FREE_BYTES: u64 = 64 << 20;

/// Whether bytes begin as such a file.
pub(super) fn is_one(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\x1F\x8B")
}

/// Reader of contents of `n_bytes`, unpacked where they are packed.
///
/// # Errors
/// When they cannot be read.
pub(super) fn unpacking(
    mut contents: impl BufRead + 'static,
    n_bytes: u64,
) -> io::Result<Box<dyn BufRead>> {
    if !is_one(contents.fill_buf()?) {
        return Ok(Box::new(contents));
    }
    Ok(Box::new(BufReader::new(Unpacked {
        decoder: MultiGzDecoder::new(contents),
        n_bytes,
        n_read: 0,
    })))
}

/// Reader of what was packed, as far as any file of rows goes.
struct Unpacked<R> {
    decoder: MultiGzDecoder<R>,
    n_bytes: u64,
    n_read: u64,
}

impl<R: BufRead> Read for Unpacked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let limit = FREE_BYTES.max(self.n_bytes.saturating_mul(MAX_RATIO));
        let n = self.decoder.read(buffer).map_err(wrong)?;
        self.n_read += n as u64;
        match self.n_read > limit {
            true => Err(io::Error::other(Reason(format!(
                "{} bytes of gzip unpack to more than {limit} bytes",
                self.n_bytes
            )))),
            false => Ok(n),
        }
    }
}

fn wrong(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::Interrupted => error,
        kind => io::Error::new(
            kind,
            Reason(format!("the gzip file is damaged or cut: {error}")),
        ),
    }
}

/// Reason why contents cannot be unpacked.
#[derive(Debug)]
struct Reason(String);

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Reason {}

/// Fault of packed contents, where that is why they cannot be read.
pub(super) fn reason(error: &io::Error) -> Option<String> {
    let reason = error.get_ref()?.downcast_ref::<Reason>()?;
    Some(reason.to_string())
}
