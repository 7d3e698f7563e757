use super::file_names;
use super::shard::Shard;
use crate::experts::Stacks;
use crate::models::Result;
use crate::models::json::shown_name;
use crate::models::problems::Problems;
use crate::models::stacked::{self, Stored};
use candle_core::{DType, Device, Tensor};
use safetensors::tensor::TensorInfo;
use std::collections::BTreeMap;
use std::path::Path;

/// The safetensors files of a folder, single or sharded.
#[derive(Default)]
pub(super) struct Shards {
    shards: Vec<Shard>,
    /// Tensors by name, with the numbers of their shards; of a stack, its parts.
    tensors: BTreeMap<String, (usize, Stored)>,
}

impl Shards {
    /// Opens the files of a folder, and tells which tensors are in two of them.
    pub(super) fn open(folder: &Path, stacks: Stacks) -> Result<(Self, Problems)> {
        let (mut all, mut twice) = (Self::default(), Problems::default());
        for file in file_names(folder)? {
            let shard = Shard::open(&folder.join(&file))?;
            let number = all.shards.len();
            for (name, stored) in parts(&shard, stacks) {
                let known = all.tensors.get(&name).map(|(other, _)| *other == number);
                if let Some(is_here) = known {
                    let places = if is_here {
                        "one file twice"
                    } else {
                        "two files"
                    };
                    twice.push(format!("{} is in {places}", shown_name(&name)));
                }
                all.tensors.insert(name, (number, stored));
            }
            all.shards.push(shard);
        }
        Ok((all, twice))
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    pub(super) fn info(&self, name: &str) -> Option<&TensorInfo> {
        self.find(name).map(|(_, stored)| &stored.info)
    }

    /// Copies a tensor to `device`, in the dtype of the file; `None` where it is not finite.
    pub(super) fn tensor(&self, name: &str, device: &Device) -> Result<Option<Tensor>> {
        match self.find(name) {
            Some((shard, stored)) => shard.stored(stored, device),
            None => Ok(None),
        }
    }

    /// Copies the bytes of a tensor to `device`, u8 `(bytes)`; none of one that is not there.
    pub(super) fn bytes(&self, name: &str, device: &Device) -> Result<Tensor> {
        match self.find(name) {
            Some((shard, stored)) => shard.bytes(&stored.info, device),
            None => Ok(Tensor::zeros(0, DType::U8, device)?),
        }
    }

    /// Check that nobody wrote to a file since it was opened.
    pub(super) fn check_unchanged(&self) -> Result<()> {
        self.shards.iter().try_for_each(Shard::check_unchanged)
    }

    pub(super) fn find(&self, name: &str) -> Option<(&Shard, &Stored)> {
        let (number, stored) = self.tensors.get(name)?;
        Some((&self.shards[*number], stored))
    }
}

/// Tensors of a file; those of experts each on its own.
fn parts(shard: &Shard, stacks: Stacks) -> Vec<(String, Stored)> {
    let mut all = vec![];
    for name in shard.metadata.offset_keys() {
        let Some(info) = shard.metadata.info(&name) else {
            continue;
        };
        let parts = stacked::parts(&name, info, stacks);
        match parts.is_empty() {
            true => all.push((name, info.clone().into())),
            false => all.extend(parts),
        }
    }
    all
}
