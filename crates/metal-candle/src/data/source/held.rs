//! Contents that can be read once, held until the command ends: in memory, or in a file without a name.
#![allow(unsafe_code)]

use std::io::{self, Read, Write};

use bytes::Bytes;
use memmap2::Mmap;

use crate::files;

/// Bytes that are held in memory at most.
const MEMORY_BYTES: u64 = 64 << 20;

/// All that `reader` gives.
///
/// # Errors
/// When it cannot be read, or the file not be written.
pub(super) fn all(reader: impl Read) -> io::Result<Bytes> {
    within(MEMORY_BYTES, reader)
}

fn within(n_bytes: u64, mut reader: impl Read) -> io::Result<Bytes> {
    let mut head = vec![];
    reader.by_ref().take(n_bytes).read_to_end(&mut head)?;
    if (head.len() as u64) < n_bytes {
        return Ok(head.into());
    }
    let mut file = tempfile::tempfile_in(files::large_folder())?;
    file.write_all(&head)?;
    io::copy(&mut reader, &mut file)?;
    // SAFETY: the file has no name, so that nobody else can change or shorten it, and this handle ends here.
    let pages = unsafe { Mmap::map(&file) }?;
    Ok(Bytes::from_owner(pages))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_are_the_same_wherever_they_lie() {
        let contents: Vec<u8> = (0..1000_u32).map(|i| (i * 7) as u8).collect();
        for n_bytes in [0, 1, 999, 1000, 1001, MEMORY_BYTES] {
            let held = within(n_bytes, contents.as_slice()).unwrap();
            assert_eq!(held, contents, "{n_bytes} bytes in memory");
        }
        assert!(within(0, io::empty()).unwrap().is_empty());
    }
}
