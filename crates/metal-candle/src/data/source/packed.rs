//! Files that were compressed: with gzip, or as Zstandard.

mod frames;

use std::fmt;
use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::MultiGzDecoder;

pub(super) use frames::Frames;

/// Rows of text become a tenth; a file that becomes this many times as large is none of them.
const MAX_RATIO: u64 = 200;

/// A small file may have any ratio.
const FREE_BYTES: u64 = 64 << 20;

/// Endings that packed files add to their names.
pub(super) const ENDINGS: [&str; 2] = [".gz", ".zst"];

/// Bytes that show how a file is packed.
pub(super) const HEAD_BYTES: u64 = 4;

/// Format of packed files.
#[derive(Clone, Copy)]
pub(super) enum Packing {
    Gzip,
    Zstandard,
}

impl Packing {
    /// Format of a file that begins with these bytes; `None` where it is not packed.
    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [0x1F, 0x8B, ..] => Some(Self::Gzip),
            [0x28, 0xB5, 0x2F, 0xFD, ..] => Some(Self::Zstandard),
            // A frame to be skipped, which parallel writers put in front.
            [0x50..=0x5F, 0x2A, 0x4D, 0x18, ..] => Some(Self::Zstandard),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstandard => "Zstandard",
        }
    }
}

/// Name of a file, in lower case, without the ending that packing added.
pub(super) fn without_ending(name: &str) -> &str {
    let stripped = ENDINGS.iter().find_map(|ending| name.strip_suffix(ending));
    stripped.unwrap_or(name)
}

/// Reader of contents of `n_bytes`, unpacked where they are packed.
///
/// # Errors
/// When they cannot be read.
pub(super) fn unpacking(
    mut contents: impl BufRead + 'static,
    n_bytes: u64,
) -> io::Result<Box<dyn BufRead>> {
    let Some(packing) = Packing::of(contents.fill_buf()?) else {
        return Ok(Box::new(contents));
    };
    let unpacked: Box<dyn Read> = match packing {
        Packing::Gzip => Box::new(MultiGzDecoder::new(contents)),
        Packing::Zstandard => Box::new(Frames::new(contents)),
    };
    Ok(Box::new(BufReader::new(Unpacked {
        packing,
        unpacked,
        n_bytes,
        n_read: 0,
    })))
}

/// Reader of what was packed, as far as any file of rows goes.
struct Unpacked {
    packing: Packing,
    unpacked: Box<dyn Read>,
    n_bytes: u64,
    n_read: u64,
}

impl Read for Unpacked {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let limit = FREE_BYTES.max(self.n_bytes.saturating_mul(MAX_RATIO));
        let read = self.unpacked.read(buffer);
        let n = read.map_err(|error| wrong(self.packing, error))?;
        self.n_read += n as u64;
        match self.n_read > limit {
            true => Err(io::Error::other(Reason(format!(
                "{} bytes of {} unpack to more than {limit} bytes",
                self.n_bytes,
                self.packing.name()
            )))),
            false => Ok(n),
        }
    }
}

fn wrong(packing: Packing, error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::Interrupted => error,
        kind => {
            let name = packing.name();
            let reason = format!("the {name} file is damaged or cut: {error}");
            io::Error::new(kind, Reason(reason))
        }
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
