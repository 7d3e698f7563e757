use super::{Array, DataType, GgufFile, TensorSource, Value, Writer};
use std::path::PathBuf;
use tempfile::TempDir;

fn written(add: impl FnOnce(&mut Writer<'_>)) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.gguf");
    let mut writer = Writer::default();
    add(&mut writer);
    writer.write(&path).unwrap();
    (folder, path)
}

fn tensor(name: &str, shape: &[usize], bytes: Vec<u8>) -> TensorSource<'static> {
    TensorSource {
        name: name.into(),
        shape: shape.to_vec(),
        data_type: DataType::F32,
        bytes: Box::new(move || Ok(bytes)),
    }
}

#[test]
fn values_and_tensors_come_back() {
    let (_folder, path) = written(|writer| {
        writer.u32("a.size", 7);
        writer.f32("a.eps", 1e-5);
        writer.flag("a.flag", true);
        writer.text("a.text", "é");
        writer.texts("a.texts", ["x", ""].into_iter());
        writer.i32s("a.ints", &[-1, 2]);
        writer.f32s("a.floats", &[0.5]);
        writer.tensor(tensor("first", &[1, 3], (0..12).collect()));
        writer.tensor(tensor("second", &[1], vec![1, 2, 3, 4]));
    });
    let file = GgufFile::open(&path).unwrap();
    let metadata = file.metadata();
    assert_eq!(metadata.size("a.size").unwrap(), Some(7));
    // As it was meant, not as float32 has it.
    assert_eq!(metadata.get("a.eps"), Some(&Value::Float(1e-5)));
    assert_eq!(metadata.flag("a.flag").unwrap(), Some(true));
    assert_eq!(metadata.text("a.text").unwrap(), Some("é"));
    assert_eq!(metadata.texts("a.texts").unwrap().unwrap(), ["x", ""]);
    assert_eq!(
        metadata.get("a.ints"),
        Some(&Value::Array(Array::Whole(vec![-1, 2])))
    );
    assert_eq!(metadata.floats("a.floats").unwrap().unwrap(), [0.5]);
    assert_eq!(metadata.size("absent").unwrap(), None);
    let error = metadata.size("a.text").unwrap_err().to_string();
    assert!(
        error.ends_with("a.text must be a whole number, got \"é\""),
        "{error}"
    );
    let info = file.info("first").unwrap();
    assert_eq!(
        (&info.shape[..], info.data_type),
        (&[1, 3][..], DataType::F32)
    );
    assert_eq!(file.bytes(info).unwrap(), (0..12).collect::<Vec<u8>>());
    assert_eq!(
        file.bytes(file.info("second").unwrap()).unwrap(),
        [1, 2, 3, 4]
    );
}

#[test]
fn what_a_file_says_is_compared_with_its_size() {
    let (_folder, path) = written(|writer| writer.tensor(tensor("t", &[2], vec![0; 8])));
    let bytes = std::fs::read(&path).unwrap();
    // Counts, the name's length, dimensions, size, type and offset of the one tensor.
    let cases = [
        (8, u64::MAX, "18446744073709551615 tensors"),
        (16, 1 << 40, "1099511627776 values"),
        (24, 1 << 33, "8589934592 bytes of a text"),
        (37, u64::MAX, "sizes"),
        (37, 9, "t has 36 bytes from 0 on"),
        (49, 1 << 20, "t has 8 bytes from 1048576 on"),
        (49, 4, "begins at byte 4"),
    ];
    for (at, number, expected) in cases {
        let mut damaged = bytes.clone();
        damaged[at..at + 8].copy_from_slice(&u64::to_le_bytes(number));
        std::fs::write(&path, damaged).unwrap();
        let error = GgufFile::open(&path).unwrap_err().to_string();
        assert!(
            error.contains("a.gguf: damaged") && error.contains(expected),
            "{at} {number}: {error}"
        );
    }
    // Behind the tensor there are only zeros.
    for n in 0..bytes.len() - 24 {
        std::fs::write(&path, &bytes[..n]).unwrap();
        assert!(GgufFile::open(&path).is_err(), "{n} bytes");
    }
    std::fs::write(&path, &bytes).unwrap();
    assert!(GgufFile::open(&path).is_ok());
}

#[test]
fn a_file_that_is_written_to_meanwhile_is_an_error() {
    let (_folder, path) = written(|writer| writer.tensor(tensor("t", &[2], vec![0; 8])));
    let file = GgufFile::open(&path).unwrap();
    assert!(file.check_unchanged().is_ok());
    std::fs::write(&path, "GGUF").unwrap();
    let error = file.bytes(file.info("t").unwrap()).unwrap_err().to_string();
    assert!(error.contains("changed while it was read"), "{error}");
    assert!(file.check_unchanged().is_err());
}
