use super::file_names;
use super::shard::Shard;
use crate::models::Result;
use crate::models::json::shown_name;
use crate::models::problems::Problems;
use candle_core::{DType, Device, Tensor};
use safetensors::tensor::TensorInfo;
use std::collections::BTreeMap;
use std::path::Path;

/// The safetensors files of a folder, single or sharded.
#[derive(Default)]
pub(super) struct Shards {
    shards: Vec<Shard>,
    /// Tensor name to the number of its shard.
    shard_of: BTreeMap<String, usize>,
}

impl Shards {
    /// Opens the files of a folder, and tells which tensors are in two of them.
    pub(super) fn open(folder: &Path) -> Result<(Self, Problems)> {
        let (mut all, mut twice) = (Self::default(), Problems::default());
        for file in file_names(folder)? {
            let shard = Shard::open(&folder.join(&file))?;
            let number = all.shards.len();
            for name in shard.metadata.offset_keys() {
                if all.shard_of.contains_key(&name) {
                    twice.push(format!("{} is in two files", shown_name(&name)));
                }
                all.shard_of.insert(name, number);
            }
            all.shards.push(shard);
        }
        Ok((all, twice))
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.shard_of.keys().map(String::as_str)
    }

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

    /// Check that nobody wrote to a file since it was opened.
    pub(super) fn check_unchanged(&self) -> Result<()> {
        self.shards.iter().try_for_each(Shard::check_unchanged)
    }

    pub(super) fn find(&self, name: &str) -> Option<(&Shard, &TensorInfo)> {
        let shard = &self.shards[*self.shard_of.get(name)?];
        Some((shard, shard.metadata.info(name)?))
    }
}
