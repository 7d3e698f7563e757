use serde_json::Value;
use std::fs::File;
use std::io::{Read, Result, Seek, SeekFrom, Write};
use std::path::Path;

/// Sorts the entries in the header of a safetensors file, which the crate writes in the order of a hash map: another one in
/// every process.
pub(super) fn sort_entries(path: &Path) -> Result<()> {
    let mut file = File::options().read(true).write(true).open(path)?;
    let mut size = [0; 8];
    file.read_exact(&mut size)?;
    let mut header = vec![];
    let mut rest = (&file).take(u64::from_le_bytes(size));
    rest.read_to_end(&mut header)?;
    let mut fields: Value = serde_json::from_slice(&header)?;
    if let Some(Value::Object(entries)) = fields.get_mut("__metadata__") {
        entries.sort_keys();
    }
    let mut sorted = serde_json::to_vec(&fields)?;
    // The header is filled up with blanks.
    sorted.resize(header.len(), b' ');
    file.seek(SeekFrom::Start(8))?;
    file.write_all(&sorted)
}

#[cfg(test)]
mod tests {
    use crate::files::write_marked_tensors;
    use candle_core::{DType, Device, Tensor};

    #[test]
    fn entries_have_one_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tensors");
        let of = |n: usize| {
            let tensor = Tensor::ones((2, n), DType::F32, &Device::Cpu).unwrap();
            let mark = (0..4).map(|i| (format!("{i}"), "mark".to_string()));
            let tensors = vec![("b".into(), tensor.clone()), ("a".into(), tensor)];
            write_marked_tensors(&path, tensors, mark.rev().collect()).unwrap();
            std::fs::read(&path).unwrap()
        };
        let bytes = of(3);
        let text = String::from_utf8_lossy(&bytes[8..]).into_owned();
        let start =
            r#"{"__metadata__":{"0":"mark","1":"mark","2":"mark","3":"mark","format":"pt"},"#;
        assert!(text.starts_with(start), "{text}");
        assert!((0..8).all(|_| of(3) == bytes));
        let read = candle_core::safetensors::load(&path, &Device::Cpu).unwrap();
        assert_eq!(read["a"].to_vec2::<f32>().unwrap(), [[1.0; 3]; 2]);
    }
}
