//! A record of TFRecord files: length (u64), its masked checksum, data, and theirs; all little-endian.

use super::crc32c::masked;

/// `data` as a record.
pub fn framed(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    let parts: [&[u8]; 4] = [
        &length,
        &masked(&length).to_le_bytes(),
        data,
        &masked(data).to_le_bytes(),
    ];
    parts.concat()
}
