//! Files that were compressed with gzip.

use std::io::Read;
use std::path::Path;

use flate2::read::MultiGzDecoder;

use super::unreadable;
use crate::data::error::Result;

/// Rows of text become a tenth; a file that becomes this many times as large is none of them.
const MAX_RATIO: u64 = 200;

/// A small file may have any ratio.
const FREE_BYTES: u64 = 64 << 20;

/// The contents of a file: unpacked where they are packed.
///
/// # Errors
/// When the file is damaged or cut, or unpacks to more than any file of rows would.
pub(super) fn unpacked(path: &Path, bytes: Vec<u8>) -> Result<Vec<u8>> {
    if !bytes.starts_with(b"\x1F\x8B") {
        return Ok(bytes);
    }
    let limit = FREE_BYTES.max(bytes.len() as u64 * MAX_RATIO);
    let mut contents = Vec::new();
    let read = MultiGzDecoder::new(&*bytes)
        .take(limit + 1)
        .read_to_end(&mut contents);
    match read {
        Err(error) => Err(unreadable(
            path,
            format!("the gzip file is damaged or cut: {error}"),
        )),
        Ok(n) if n as u64 > limit => {
            let reason = format!(
                "{} bytes of gzip unpack to more than {limit} bytes",
                bytes.len()
            );
            Err(unreadable(path, reason))
        }
        Ok(_) => Ok(contents),
    }
}
