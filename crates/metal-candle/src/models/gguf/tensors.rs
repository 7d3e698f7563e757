use super::architecture::Architecture;
use super::change::{Change, unpaired};
use super::rope::FACTORS;
use crate::gguf::{self, DataType, GgufFile};
use crate::models::Result;
use candle_core::{Device, Tensor, WithDType};
use half::{bf16, f16};
use metal_candle_kernels::weight::gguf::BlockType;
use safetensors::Dtype;
use safetensors::tensor::TensorInfo;
use std::collections::BTreeMap;

/// Tensors of a file under the names of Hugging Face, laid out as there.
pub(in crate::models) struct Tensors {
    file: GgufFile,
    by_name: BTreeMap<String, Entry>,
}

struct Entry {
    /// Name in the file.
    stored: String,
    /// Form in which the tensor is given: of blocks, their bytes `(N, bytes of a row)`.
    info: TensorInfo,
    data_type: DataType,
    change: Change,
}

impl Tensors {
    /// Tensors of a model.
    ///
    /// # Errors
    /// When one is of a type that is not read.
    pub(in crate::models) fn new(file: GgufFile) -> Result<Self> {
        let architecture = Architecture::of(&file)?;
        let heads = ["attention.head_count", "attention.head_count_kv"];
        let [queries, keys] = heads.map(|key| {
            file.metadata()
                .size(&format!("{}.{key}", architecture.name))
        });
        let (queries, keys) = (queries?.unwrap_or(0) as usize, keys?);
        let keys = keys.map_or(queries, |keys| keys as usize);
        let mut by_name = BTreeMap::new();
        for (stored, info) in file.tensors().filter(|(name, _)| !FACTORS.contains(name)) {
            // One that is in no model keeps its name, and is told as unexpected.
            let name = architecture
                .hugging_face(stored)
                .unwrap_or_else(|| stored.into());
            let entry = Entry {
                stored: stored.into(),
                change: architecture.change(&name, queries, keys),
                info: described(&file, stored, info)?,
                data_type: info.data_type,
            };
            if by_name.contains_key(&name) {
                let reason = format!(
                    "{} is given twice, as {}",
                    gguf::shown(&name),
                    gguf::shown(stored)
                );
                return Err(gguf::Error::damaged(file.path(), reason).into());
            }
            by_name.insert(name, entry);
        }
        Ok(Self { file, by_name })
    }

    pub(in crate::models) fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(String::as_str)
    }

    /// Shape and dtype; of blocks, those of their bytes.
    pub(in crate::models) fn info(&self, name: &str) -> Option<&TensorInfo> {
        self.by_name.get(name).map(|entry| &entry.info)
    }

    /// Type of the blocks that a matrix consists of, where it does.
    pub(in crate::models) fn block(&self, name: &str) -> Option<BlockType> {
        match self.by_name.get(name)?.data_type {
            DataType::Blocks(block) => Some(block),
            _ => None,
        }
    }

    /// Copies a tensor to `device`, in the dtype of the file; of blocks, their bytes. `None` where it is not finite.
    pub(in crate::models) fn tensor(&self, name: &str, device: &Device) -> Result<Option<Tensor>> {
        let Some(entry) = self.by_name.get(name) else {
            return Ok(None);
        };
        match (entry.data_type, entry.change) {
            (DataType::F32, Change::PlusOne) => {
                let less_one = |bytes| f32::from_le_bytes(bytes) - 1.0;
                self.values(entry, less_one, f32::is_finite, device)
            }
            (DataType::F32, _) => self.values(entry, f32::from_le_bytes, f32::is_finite, device),
            (DataType::F16, _) => self.values(entry, f16::from_le_bytes, f16::is_finite, device),
            (DataType::Bf16, _) => self.values(entry, bf16::from_le_bytes, bf16::is_finite, device),
            (DataType::Blocks(block), _) => self.blocks(entry, block, device),
            (DataType::Other(_), _) => Ok(None),
        }
    }

    pub(in crate::models) fn check_unchanged(&self) -> Result<()> {
        Ok(self.file.check_unchanged()?)
    }

    fn values<T: WithDType, const N: usize>(
        &self,
        entry: &Entry,
        from_bytes: impl Fn([u8; N]) -> T,
        is_finite: impl Fn(T) -> bool,
        device: &Device,
    ) -> Result<Option<Tensor>> {
        let values = self.read(entry, entry.info.shape.iter().product(), from_bytes)?;
        match values.iter().all(|value| is_finite(*value)) {
            true => Ok(Some(Tensor::from_vec(
                values,
                entry.info.shape.as_slice(),
                device,
            )?)),
            false => Ok(None),
        }
    }

    fn blocks(&self, entry: &Entry, block: BlockType, device: &Device) -> Result<Option<Tensor>> {
        let bytes = self.read(entry, entry.info.shape.iter().product(), u8::from_le_bytes)?;
        if !bytes
            .chunks_exact(block.bytes())
            .all(|bytes| block.is_finite(bytes))
        {
            return Ok(None);
        }
        // No quantizer writes this: a copy has left a hole in the file.
        if bytes
            .chunks_exact(block.bytes())
            .all(|bytes| block.is_zero(bytes))
        {
            let reason = format!("all factors of {} are zero", entry.stored);
            return Err(gguf::Error::damaged(self.file.path(), reason).into());
        }
        Ok(Some(Tensor::from_vec(
            bytes,
            entry.info.shape.as_slice(),
            device,
        )?))
    }

    /// Values of a tensor, its rows as Hugging Face has them.
    fn read<T: Copy, const N: usize>(
        &self,
        entry: &Entry,
        count: usize,
        from_bytes: impl Fn([u8; N]) -> T,
    ) -> Result<Vec<T>> {
        let Some(info) = self.file.info(&entry.stored) else {
            return Ok(vec![]);
        };
        let values = self.file.values(info, count, from_bytes)?;
        let rows = entry.info.shape.first().copied().unwrap_or(0);
        match entry.change {
            Change::Paired(heads) if heads > 0 && rows > 0 && rows.is_multiple_of(2 * heads) => {
                Ok(unpaired(&values, rows / heads, values.len() / rows))
            }
            Change::Paired(heads) => {
                let reason = format!("{} has {rows} rows of {heads} heads", entry.stored);
                Err(gguf::Error::damaged(self.file.path(), reason).into())
            }
            _ => Ok(values),
        }
    }
}

/// The description of a tensor in the terms of a checkpoint.
fn described(file: &GgufFile, name: &str, info: &gguf::TensorInfo) -> Result<TensorInfo> {
    let mut shape = info.shape.clone();
    let dtype = match info.data_type {
        DataType::F32 => Dtype::F32,
        DataType::F16 => Dtype::F16,
        DataType::Bf16 => Dtype::BF16,
        DataType::Blocks(block) => {
            if let Some(width) = shape.last_mut() {
                *width = *width / block.numbers() * block.bytes();
            }
            Dtype::U8
        }
        DataType::Other(_) => return Err(not_read(file, name, info).into()),
    };
    Ok(TensorInfo {
        dtype,
        shape,
        data_offsets: (0, 0),
    })
}

fn not_read(file: &GgufFile, name: &str, info: &gguf::TensorInfo) -> gguf::Error {
    let blocks: Vec<_> = BlockType::all().map(BlockType::name).collect();
    let reason = format!("types that are: F32, F16, BF16, {}", blocks.join(", "));
    let what = format!("the type {} of {}", info.data_type, gguf::shown(name));
    gguf::Error::unsupported(file.path(), what, reason)
}
