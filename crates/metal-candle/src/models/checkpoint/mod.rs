//! Tensors of a checkpoint: which files they are in, and their values.

mod index;
mod shard;
mod shards;
mod tied;

pub(super) use index::file_names;
pub(super) use shard::Shard;
pub(super) use tied::Agreement;

use super::problems::Problems;
use super::{Error, Result, gguf};
use crate::experts::Stacks;
use crate::gguf::GgufFile;
use candle_core::{DType, Device, Tensor};
use metal_candle_kernels::weight::gguf::BlockType;
use safetensors::tensor::TensorInfo;
use shards::Shards;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The tensor files of a checkpoint. Opening reads their headers only.
pub(super) struct Checkpoint {
    /// The folder, or the one file.
    pub(super) path: PathBuf,
    store: Store,
}

/// Store of the tensors.
enum Store {
    /// Files of safetensors.
    Shards(Shards),
    /// One GGUF file.
    Gguf(Box<gguf::Tensors>),
}

impl Checkpoint {
    /// Opens a folder of safetensors, whose experts may lie together as `stacks` says, or a GGUF file.
    pub(super) fn open(path: &Path, stacks: Stacks) -> Result<Self> {
        let checkpoint = |store| Self {
            path: path.to_path_buf(),
            store,
        };
        if GgufFile::is_at(path) {
            let tensors = gguf::Tensors::new(GgufFile::open(path)?)?;
            return Ok(checkpoint(Store::Gguf(Box::new(tensors))));
        }
        let (shards, twice) = Shards::open(path, stacks)?;
        let checkpoint = checkpoint(Store::Shards(shards));
        checkpoint.fail_with(twice)?;
        Ok(checkpoint)
    }

    /// The error that lists `problems`, if there are any.
    pub(super) fn fail_with(&self, problems: Problems) -> Result<()> {
        match problems.is_empty() {
            true => Ok(()),
            false => Err(Error::Tensors {
                path: self.path.clone(),
                problems,
            }),
        }
    }

    pub(super) fn names(&self) -> Box<dyn Iterator<Item = &str> + '_> {
        match &self.store {
            Store::Shards(shards) => Box::new(shards.names()),
            Store::Gguf(tensors) => Box::new(tensors.names()),
        }
    }

    /// Number of tensors.
    pub(super) fn len(&self) -> usize {
        self.names().count()
    }

    /// Number of blocks that tensors are named for.
    pub(super) fn n_blocks(&self) -> usize {
        let number = |name: &'_ str| {
            let (number, _) = name.strip_prefix("model.layers.")?.split_once('.')?;
            number.parse::<u64>().ok()
        };
        let numbers: BTreeSet<u64> = self.names().filter_map(number).collect();
        numbers.len()
    }

    /// Shape and dtype; `None` where there is no such tensor. A matrix in blocks is one of bytes.
    pub(super) fn info(&self, name: &str) -> Option<&TensorInfo> {
        match &self.store {
            Store::Shards(shards) => shards.info(name),
            Store::Gguf(tensors) => tensors.info(name),
        }
    }

    /// Whether it is a GGUF file.
    pub(super) fn is_gguf(&self) -> bool {
        matches!(self.store, Store::Gguf(_))
    }

    /// Type of the blocks that a matrix consists of, where it does.
    pub(super) fn block(&self, name: &str) -> Option<BlockType> {
        match &self.store {
            Store::Shards(_) => None,
            Store::Gguf(tensors) => tensors.block(name),
        }
    }

    /// Copies a tensor to `device`, in the dtype of the file; `None` where it is not finite.
    pub(super) fn tensor(&self, name: &str, device: &Device) -> Result<Option<Tensor>> {
        match &self.store {
            Store::Shards(shards) => shards.tensor(name, device),
            Store::Gguf(tensors) => tensors.tensor(name, device),
        }
    }

    /// How two tensors of one shape compare. A GGUF file has no copies of tensors.
    pub(super) fn agreement(&self, a: &str, b: &str) -> Result<Agreement> {
        match &self.store {
            Store::Shards(shards) => shards.agreement(a, b),
            Store::Gguf(_) => Ok(Agreement::Different),
        }
    }

    /// Copies the bytes of a tensor to `device`, u8 `(bytes)`; none of one that is not there. Only
    /// folders have tensors whose bytes are asked for.
    pub(super) fn bytes(&self, name: &str, device: &Device) -> Result<Tensor> {
        match &self.store {
            Store::Shards(shards) => shards.bytes(name, device),
            Store::Gguf(_) => Ok(Tensor::zeros(0, DType::U8, device)?),
        }
    }

    /// Check that what was read is of one checkpoint.
    pub(super) fn check_unchanged(&self) -> Result<()> {
        match &self.store {
            Store::Shards(shards) => shards.check_unchanged(),
            Store::Gguf(tensors) => tensors.check_unchanged(),
        }
    }
}
