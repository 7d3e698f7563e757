//! The part of a file before its tensors.

use super::cursor::{Cursor, Result};
use super::tensor::{DataType, TensorInfo, bytes_of};
use super::value::{Value, shown};
use super::{ALIGNMENT, MAGIC};
use indexmap::IndexMap;
use std::io::Read;

/// Most dimensions of a tensor (`GGML_MAX_DIMS`).
const MAX_DIMS: u32 = 4;

/// Largest alignment: that of a huge page.
const MAX_ALIGNMENT: u64 = 2 << 20;

/// Content of a file before its tensors.
pub(super) struct Header {
    pub(super) values: IndexMap<String, Value>,
    pub(super) tensors: IndexMap<String, TensorInfo>,
    /// Where tensor data begin, in bytes.
    pub(super) data_start: u64,
}

/// Reads and checks a header: the versions 2 and 3, which are alike on little-endian machines.
pub(super) fn read(from: impl Read, file_bytes: u64) -> Result<Header> {
    let mut cursor = Cursor::new(from, file_bytes);
    check_magic(&mut cursor)?;
    let (n_tensors, n_values) = (cursor.u64()?, cursor.u64()?);
    // A tensor has a name's length, dimensions, a type and an offset; a value a key's length, a type and a byte.
    cursor.expect("tensors", n_tensors, 8 + 4 + 4 + 8)?;
    cursor.expect("values", n_values, 8 + 4 + 1)?;
    let mut values = IndexMap::new();
    for _ in 0..n_values {
        let (key, kind) = (cursor.text()?, cursor.u32()?);
        let value = cursor
            .value(kind)
            .map_err(|reason| format!("{}: {reason}", shown(&key)))?;
        insert(&mut values, key, value)?;
    }
    let alignment = alignment(&values)?;
    let mut tensors = IndexMap::new();
    for _ in 0..n_tensors {
        let name = cursor.text()?;
        let info =
            info(&mut cursor, alignment).map_err(|reason| format!("{}: {reason}", shown(&name)))?;
        insert(&mut tensors, name, info)?;
    }
    let data_start = cursor.at().next_multiple_of(alignment);
    check_places(&tensors, file_bytes.saturating_sub(data_start))?;
    Ok(Header {
        values,
        tensors,
        data_start,
    })
}

fn check_magic<R: Read>(cursor: &mut Cursor<R>) -> Result<()> {
    let magic: [u8; 4] = cursor.bytes()?;
    if magic != MAGIC {
        return Err(format!(
            "it begins with {magic:?}, not with {MAGIC:?} (GGUF)"
        ));
    }
    match cursor.u32()? {
        2 | 3 => Ok(()),
        version if version & 0xffff == 0 => {
            Err("it is big-endian; little-endian files are read".into())
        }
        version => Err(format!("version {version}; the versions 2 and 3 are read")),
    }
}

/// Adds what a file may give once.
fn insert<T>(to: &mut IndexMap<String, T>, name: String, value: T) -> Result<()> {
    if to.contains_key(&name) {
        return Err(format!("{} is given twice", shown(&name)));
    }
    to.insert(name, value);
    Ok(())
}

fn alignment(values: &IndexMap<String, Value>) -> Result<u64> {
    match values.get("general.alignment") {
        None => Ok(ALIGNMENT),
        Some(Value::Unsigned(n @ 1..=MAX_ALIGNMENT)) if n.is_power_of_two() => Ok(*n),
        Some(other) => Err(format!(
            "general.alignment must be a power of two up to {MAX_ALIGNMENT}, got {other}"
        )),
    }
}

fn info<R: Read>(cursor: &mut Cursor<R>, alignment: u64) -> Result<TensorInfo> {
    let n_dims = cursor.u32()?;
    if n_dims > MAX_DIMS {
        return Err(format!(
            "{n_dims} dimensions, of which {MAX_DIMS} are the most"
        ));
    }
    let mut shape = vec![];
    for _ in 0..n_dims {
        let size = cursor.u64()?;
        let size = usize::try_from(size).map_err(|_| format!("a dimension of {size}"))?;
        shape.insert(0, size);
    }
    let (data_type, offset) = (DataType::from_id(cursor.u32()?), cursor.u64()?);
    if !offset.is_multiple_of(alignment) {
        return Err(format!(
            "it begins at byte {offset}, which is no multiple of {alignment}"
        ));
    }
    Ok(TensorInfo {
        bytes: bytes_of(&shape, data_type)?,
        shape,
        data_type,
        offset,
    })
}

/// Check that every tensor lies in the file, and no two in one place.
fn check_places(tensors: &IndexMap<String, TensorInfo>, data_bytes: u64) -> Result<()> {
    let mut in_order: Vec<_> = tensors.iter().collect();
    in_order.sort_by_key(|(_, info)| info.offset);
    let mut end = 0;
    for (name, info) in in_order {
        let name = shown(name);
        let (offset, bytes) = (info.offset, info.bytes);
        if offset < end {
            return Err(format!(
                "{name} begins at byte {offset}, before the end of another tensor"
            ));
        }
        end = offset.saturating_add(bytes as u64);
        if end > data_bytes {
            return Err(format!(
                "{name} has {bytes} bytes from {offset} on, and there are {data_bytes} of all tensors"
            ));
        }
    }
    Ok(())
}
