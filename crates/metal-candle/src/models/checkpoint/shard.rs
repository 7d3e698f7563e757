use crate::files;
use crate::models::{Error, Result};
use candle_core::{Device, Tensor, WithDType};
use half::{bf16, f16};
use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Most bytes of a header, as in the safetensors crate.
const HEADER_LIMIT_BYTES: u64 = 100_000_000;

/// Bytes that are read at a time, few enough to stay in a cache of the processor.
const CHUNK_BYTES: usize = 256 << 10;

/// One safetensors file. It is read, not mapped: a file that becomes shorter meanwhile is an error,
/// where a map of it would end the program with a signal.
pub(super) struct Shard {
    path: PathBuf,
    file: File,
    state: State,
    /// Where tensor data begin, in bytes.
    data_start: u64,
    pub(super) metadata: Metadata,
}

/// State that shows that a file was written to.
#[derive(PartialEq)]
struct State {
    bytes: u64,
    modified: Option<SystemTime>,
}

impl State {
    fn of(file: &File) -> io::Result<Self> {
        let found = file.metadata()?;
        Ok(Self {
            bytes: found.len(),
            modified: found.modified().ok(),
        })
    }
}

impl Shard {
    /// Opens a file and reads its header, whose sizes must be those of the file.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let damaged = |reason: String| damaged(path, reason);
        let file = files::open(path)?;
        let state = State::of(&file).map_err(files::Error::at("read", path))?;
        let header = read_header(&file, state.bytes).map_err(damaged)?;
        let metadata: Metadata =
            serde_json::from_slice(&header).map_err(|error| damaged(error.to_string()))?;
        // The header follows its own length, which takes eight bytes.
        let data_start = 8 + header.len() as u64;
        let described = data_start + metadata.data_len() as u64;
        if described != state.bytes {
            let bytes = state.bytes;
            return Err(damaged(format!(
                "the header describes {described} bytes, the file has {bytes}"
            )));
        }
        Ok(Self {
            path: path.to_path_buf(),
            file,
            state,
            data_start,
            metadata,
        })
    }

    /// Copies a tensor to `device`, in the dtype of the file; `None` where it holds NaN or an
    /// infinity. The dtype must be a float of 16 or 32 bits, u32 or u8, or e8m0, which becomes float32.
    pub(super) fn tensor(&self, info: &TensorInfo, device: &Device) -> Result<Option<Tensor>> {
        let all = 0..info.shape.iter().product();
        match info.dtype {
            Dtype::F32 => self.finite(info, all, f32::from_le_bytes, f32::is_finite, device),
            Dtype::F16 => self.finite(info, all, f16::from_le_bytes, f16::is_finite, device),
            Dtype::BF16 => self.finite(info, all, bf16::from_le_bytes, bf16::is_finite, device),
            Dtype::U32 => self.finite(info, all, u32::from_le_bytes, |_| true, device),
            Dtype::U8 => self.finite(info, all, u8::from_le_bytes, |_| true, device),
            Dtype::F8_E8M0 => self.finite(info, all, power_of_two, f32::is_finite, device),
            other => Err(damaged(&self.path, format!("dtype {other:?}"))),
        }
    }

    /// Copies the bytes of a tensor of any dtype to `device`, `(bytes)`.
    pub(super) fn bytes(&self, info: &TensorInfo, device: &Device) -> Result<Tensor> {
        let count = info.data_offsets.1 - info.data_offsets.0;
        let bytes = self.values(info, 0..count, u8::from_le_bytes)?;
        Ok(Tensor::from_vec(bytes, count, device)?)
    }

    /// A run of a tensor's numbers as float32; of the dtypes that [`Self::tensor`] takes.
    pub(super) fn numbers(&self, info: &TensorInfo, run: Range<usize>) -> Result<Vec<f32>> {
        match info.dtype {
            Dtype::F32 => self.values(info, run, f32::from_le_bytes),
            Dtype::F16 => self.values(info, run, |bytes| f16::from_le_bytes(bytes).to_f32()),
            Dtype::BF16 => self.values(info, run, |bytes| bf16::from_le_bytes(bytes).to_f32()),
            other => Err(damaged(&self.path, format!("dtype {other:?}"))),
        }
    }

    /// Check that nobody wrote to the file since it was opened: what was read is of one checkpoint.
    pub(super) fn check_unchanged(&self) -> Result<()> {
        let now = State::of(&self.file).map_err(files::Error::at("read", &self.path))?;
        match now == self.state {
            true => Ok(()),
            false => Err(damaged(&self.path, CHANGED.into())),
        }
    }

    fn finite<T: WithDType, const N: usize>(
        &self,
        info: &TensorInfo,
        run: Range<usize>,
        from_bytes: impl Fn([u8; N]) -> T,
        is_finite: impl Fn(T) -> bool,
        device: &Device,
    ) -> Result<Option<Tensor>> {
        let values = self.values(info, run, from_bytes)?;
        // Whole chunks, without an end as soon as one is found: so it is done with vectors.
        let mut chunks = values.chunks(CHUNK_BYTES / N);
        match chunks.all(|chunk| chunk.iter().fold(true, |all, x| all & is_finite(*x))) {
            true => Ok(Some(Tensor::from_vec(
                values,
                info.shape.as_slice(),
                device,
            )?)),
            false => Ok(None),
        }
    }

    fn values<T, const N: usize>(
        &self,
        info: &TensorInfo,
        run: Range<usize>,
        from_bytes: impl Fn([u8; N]) -> T,
    ) -> Result<Vec<T>> {
        let start = self.data_start + (info.data_offsets.0 + run.start * N) as u64;
        read_values(&self.file, start, run.len(), from_bytes).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => damaged(&self.path, CHANGED.into()),
            _ => files::Error::at("read", &self.path)(error).into(),
        })
    }
}

/// The number of e8m0, `2^(byte - 127)`, of which 255 is NaN.
fn power_of_two([byte]: [u8; 1]) -> f32 {
    match byte {
        255 => f32::NAN,
        0 => f32::from_bits(1 << 22),
        byte => f32::from_bits(u32::from(byte) << 23),
    }
}

const CHANGED: &str = "the file was changed while it was read";

fn damaged(path: &Path, reason: String) -> Error {
    Error::Safetensors {
        path: path.to_path_buf(),
        reason,
    }
}

fn read_header(mut file: &File, file_bytes: u64) -> std::result::Result<Vec<u8>, String> {
    let mut length = [0; 8];
    let read = file.read_exact(&mut length);
    read.map_err(|_| format!("{file_bytes} bytes are too few for a header"))?;
    let length = u64::from_le_bytes(length);
    if length > HEADER_LIMIT_BYTES || length > file_bytes - 8 {
        return Err(format!(
            "a header of {length} bytes in a file of {file_bytes} bytes"
        ));
    }
    let mut header = vec![0; length as usize];
    let read = file.read_exact(&mut header);
    read.map_err(|error| error.to_string())?;
    Ok(header)
}

fn read_values<T, const N: usize>(
    mut file: &File,
    start: u64,
    count: usize,
    from_bytes: impl Fn([u8; N]) -> T,
) -> io::Result<Vec<T>> {
    let mut chunk = vec![0; CHUNK_BYTES.min(count * N)];
    let mut values = Vec::with_capacity(count);
    file.seek(SeekFrom::Start(start))?;
    while values.len() < count {
        let n = (count - values.len()).min(CHUNK_BYTES / N);
        let bytes = &mut chunk[..n * N];
        file.read_exact(bytes)?;
        values.extend(bytes.as_chunks().0.iter().map(|bytes| from_bytes(*bytes)));
    }
    Ok(values)
}
