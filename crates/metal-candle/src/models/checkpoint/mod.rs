//! Tensors of a checkpoint folder: which files they are in, and their values.

mod index;
mod shard;
mod tied;

pub(super) use index::file_names;
pub(super) use tied::Agreement;

use super::json::shown_name;
use super::problems::Problems;
use super::{Error, Result};
use candle_core::{DType, Device, Tensor};
use safetensors::tensor::TensorInfo;
use shard::Shard;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The tensor files of a checkpoint, single or sharded. Opening reads their headers only.
pub(super) struct Checkpoint {
    pub(super) folder: PathBuf,
    shards: Vec<Shard>,
    /// Tensor name to the number of its shard.
    shard_of: BTreeMap<String, usize>,
}

impl Checkpoint {
    pub(super) fn open(folder: &Path) -> Result<Self> {
        let mut checkpoint = Self {
            folder: folder.to_path_buf(),
            shards: vec![],
            shard_of: BTreeMap::new(),
        };
        let mut twice = Problems::default();
        for file in file_names(folder)? {
            let shard = Shard::open(&folder.join(&file))?;
            let number = checkpoint.shards.len();
            for name in shard.metadata.offset_keys() {
                if checkpoint.shard_of.contains_key(&name) {
                    twice.push(format!("{} is in two files", shown_name(&name)));
                }
                checkpoint.shard_of.insert(name, number);
            }
            checkpoint.shards.push(shard);
        }
        checkpoint.fail_with(twice)?;
        Ok(checkpoint)
    }

    /// The error that lists `problems`, if there are any.
    pub(super) fn fail_with(&self, problems: Problems) -> Result<()> {
        match problems.is_empty() {
            true => Ok(()),
            false => Err(Error::Tensors {
                folder: self.folder.clone(),
                problems,
            }),
        }
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.shard_of.keys().map(String::as_str)
    }

    /// Number of tensors.
    pub(super) fn len(&self) -> usize {
        self.shard_of.len()
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

    /// Shape and dtype; `None` where there is no such tensor.
    pub(super) fn info(&self, name: &str) -> Option<&TensorInfo> {
        self.find(name).map(|(_, info)| info)
    }

    /// Copies a tensor to `device`, in the dtype of the file; `None` where it is not finite.
    pub(super) fn tensor(&self, name: &str, device: &Device) -> Result<Option<Tensor>> {
        match self.find(name) {
            Some((shard, info)) => shard.tensor(info, device),
            None => Ok(None),
        }
    }

    /// Copies the bytes of a tensor to `device`, u8 `(bytes)`; none of one that is not there.
    pub(super) fn bytes(&self, name: &str, device: &Device) -> Result<Tensor> {
        match self.find(name) {
            Some((shard, info)) => shard.bytes(info, device),
            None => Ok(Tensor::zeros(0, DType::U8, device)?),
        }
    }

    /// Check that what was read is of one checkpoint.
    pub(super) fn check_unchanged(&self) -> Result<()> {
        self.shards.iter().try_for_each(Shard::check_unchanged)
    }

    fn find(&self, name: &str) -> Option<(&Shard, &TensorInfo)> {
        let shard = &self.shards[*self.shard_of.get(name)?];
        Some((shard, shard.metadata.info(name)?))
    }
}
