use super::tensor::{DataType, bytes_of};
use super::{ALIGNMENT, Error, MAGIC, Result};
use crate::files;
use std::io::{self, Write};
use std::path::Path;

/// Version that is written.
const VERSION: u32 = 3;

/// Source that a tensor is written from.
pub struct TensorSource<'a> {
    /// Its name.
    pub name: String,
    /// Sizes, the outermost first.
    pub shape: Vec<usize>,
    /// How the numbers are stored.
    pub data_type: DataType,
    /// Makes its bytes when they are written, so that one tensor is held at a time.
    pub bytes: Box<dyn FnOnce() -> io::Result<Vec<u8>> + 'a>,
}

/// Metadata and tensors of a file that is to be written.
#[derive(Default)]
pub struct Writer<'a> {
    /// Keys, types and values, as they are written.
    values: Vec<u8>,
    n_values: u64,
    tensors: Vec<TensorSource<'a>>,
}

impl<'a> Writer<'a> {
    /// Adds a whole number, as u32.
    pub fn u32(&mut self, key: &str, value: u32) {
        self.value(key, 4, &value.to_le_bytes());
    }

    /// Adds a number, as float32.
    pub fn f32(&mut self, key: &str, value: f32) {
        self.value(key, 6, &value.to_le_bytes());
    }

    /// Adds a truth value.
    pub fn flag(&mut self, key: &str, value: bool) {
        self.value(key, 7, &[value.into()]);
    }

    /// Adds a text.
    pub fn text(&mut self, key: &str, value: &str) {
        self.value(key, 8, &text(value));
    }

    /// Adds texts.
    pub fn texts<'t>(&mut self, key: &str, values: impl ExactSizeIterator<Item = &'t str>) {
        let n = values.len();
        self.array(key, 8, n, &values.flat_map(text).collect::<Vec<u8>>());
    }

    /// Adds whole numbers, as i32.
    pub fn i32s(&mut self, key: &str, values: &[i32]) {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes());
        self.array(key, 5, values.len(), &bytes.collect::<Vec<u8>>());
    }

    /// Adds numbers, as float32.
    pub fn f32s(&mut self, key: &str, values: &[f32]) {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes());
        self.array(key, 6, values.len(), &bytes.collect::<Vec<u8>>());
    }

    /// Adds a tensor.
    pub fn tensor(&mut self, tensor: TensorSource<'a>) {
        self.tensors.push(tensor);
    }

    /// Writes the file, whole or not at all.
    ///
    /// # Errors
    /// When a tensor's rows do not divide into its blocks, its bytes cannot be made, or the file cannot be written.
    pub fn write(self, path: &Path) -> Result<()> {
        let header = self
            .header()
            .map_err(|reason| Error::damaged(path, reason))?;
        files::write_whole(path, |file| {
            file.write_all(&header)?;
            pad(file, header.len())?;
            for tensor in self.tensors {
                let described = bytes_of(&tensor.shape, tensor.data_type);
                let bytes = (tensor.bytes)()?;
                if described != Ok(bytes.len()) {
                    let (name, n) = (tensor.name, bytes.len());
                    return Err(io::Error::other(format!(
                        "{name} has {n} bytes, expected {described:?}"
                    )));
                }
                file.write_all(&bytes)?;
                pad(file, bytes.len())?;
            }
            Ok(())
        })?;
        Ok(())
    }

    fn value(&mut self, key: &str, kind: u32, value: &[u8]) {
        self.n_values += 1;
        self.values.extend(text(key));
        self.values.extend(kind.to_le_bytes());
        self.values.extend(value);
    }

    fn array(&mut self, key: &str, kind: u32, n: usize, values: &[u8]) {
        let begin = [&kind.to_le_bytes()[..], &(n as u64).to_le_bytes()].concat();
        self.value(key, 9, &[&begin, values].concat());
    }

    /// Everything before the tensors' bytes.
    fn header(&self) -> std::result::Result<Vec<u8>, String> {
        let mut header = [&MAGIC[..], &VERSION.to_le_bytes()].concat();
        header.extend((self.tensors.len() as u64).to_le_bytes());
        header.extend(self.n_values.to_le_bytes());
        header.extend(&self.values);
        let mut offset = 0;
        for tensor in &self.tensors {
            let bytes = bytes_of(&tensor.shape, tensor.data_type);
            let bytes = bytes.map_err(|reason| format!("{}: {reason}", tensor.name))?;
            header.extend(text(&tensor.name));
            header.extend((tensor.shape.len() as u32).to_le_bytes());
            for size in tensor.shape.iter().rev() {
                header.extend((*size as u64).to_le_bytes());
            }
            header.extend(tensor.data_type.id().to_le_bytes());
            header.extend(u64::to_le_bytes(offset));
            offset += (bytes as u64).next_multiple_of(ALIGNMENT);
        }
        Ok(header)
    }
}

fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat()
}

/// Zeros up to where the next tensor begins.
fn pad(file: &mut dyn Write, written: usize) -> io::Result<()> {
    let alignment = ALIGNMENT as usize;
    file.write_all(&[0; ALIGNMENT as usize][..written.next_multiple_of(alignment) - written])
}
