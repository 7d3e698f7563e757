use crate::files::{self, StableFile};
use crate::models::stacked::Stored;
use crate::models::{Error, Result};
use candle_core::{Device, Tensor, WithDType};
use half::{bf16, f16};
use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};
use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::path::Path;

/// Most bytes of a header, as in the safetensors crate.
const HEADER_LIMIT_BYTES: u64 = 100_000_000;

/// Numbers that are looked at without an end between, few enough to stay in a cache of the processor.
const CHUNK: usize = 64 << 10;

/// One safetensors file.
pub(in crate::models) struct Shard {
    file: StableFile,
    /// Where tensor data begin, in bytes.
    data_start: u64,
    pub(in crate::models) metadata: Metadata,
}

impl Shard {
    /// Opens a file and reads its header, whose sizes must be those of the file.
    pub(in crate::models) fn open(path: &Path) -> Result<Self> {
        let damaged = |reason: String| damaged(path, reason);
        let file = StableFile::open(path)?;
        let start = file.from_start().map_err(files::Error::at("read", path))?;
        let header = read_header(start, file.bytes()).map_err(damaged)?;
        let metadata: Metadata =
            serde_json::from_slice(&header).map_err(|error| damaged(error.to_string()))?;
        // The header follows its own length, which takes eight bytes.
        let data_start = 8 + header.len() as u64;
        let described = data_start + metadata.data_len() as u64;
        if described != file.bytes() {
            let bytes = file.bytes();
            return Err(damaged(format!(
                "the header describes {described} bytes, the file has {bytes}"
            )));
        }
        Ok(Self {
            file,
            data_start,
            metadata,
        })
    }

    /// Copies a tensor to `device`, in the dtype of the file; `None` where it holds NaN or an
    /// infinity. The dtype must be a float of 16 or 32 bits, u32 or u8, i32, which becomes the u32 of its bits, or e8m0,
    /// which becomes float32.
    pub(in crate::models) fn tensor(
        &self,
        info: &TensorInfo,
        device: &Device,
    ) -> Result<Option<Tensor>> {
        self.stored(&info.clone().into(), device)
    }

    /// [`Self::tensor`] of some of a tensor's numbers.
    pub(super) fn stored(&self, stored: &Stored, device: &Device) -> Result<Option<Tensor>> {
        match stored.info.dtype {
            Dtype::F32 => self.finite(stored, f32::from_le_bytes, f32::is_finite, device),
            Dtype::F16 => self.finite(stored, f16::from_le_bytes, f16::is_finite, device),
            Dtype::BF16 => self.finite(stored, bf16::from_le_bytes, bf16::is_finite, device),
            Dtype::U32 | Dtype::I32 => self.finite(stored, u32::from_le_bytes, |_| true, device),
            Dtype::U8 => self.finite(stored, u8::from_le_bytes, |_| true, device),
            Dtype::F8_E8M0 => self.finite(stored, power_of_two, f32::is_finite, device),
            other => Err(damaged(self.file.path(), format!("dtype {other:?}"))),
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
            other => Err(damaged(self.file.path(), format!("dtype {other:?}"))),
        }
    }

    /// Check that nobody wrote to the file since it was opened: what was read is of one checkpoint.
    pub(in crate::models) fn check_unchanged(&self) -> Result<()> {
        match self.file.is_unchanged()? {
            true => Ok(()),
            false => Err(damaged(self.file.path(), CHANGED.into())),
        }
    }

    fn finite<T: WithDType, const N: usize>(
        &self,
        Stored { info, picks }: &Stored,
        from_bytes: impl Fn([u8; N]) -> T,
        is_finite: impl Fn(T) -> bool,
        device: &Device,
    ) -> Result<Option<Tensor>> {
        let count = (info.data_offsets.1 - info.data_offsets.0) / N;
        let values = self.values(info, 0..count, from_bytes)?;
        let values = match picks {
            Some(picks) => picks.of(&values, &info.shape),
            None => values,
        };
        // Whole chunks, without an end as soon as one is found: so it is done with vectors.
        let mut chunks = values.chunks(CHUNK);
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
        let values = self.file.values(start, run.len(), from_bytes);
        values.map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => damaged(self.file.path(), CHANGED.into()),
            _ => files::Error::at("read", self.file.path())(error).into(),
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
