//! Tensors of a checkpoint folder, read through memory maps.
#![allow(unsafe_code)]

use super::{Error, Result};
use crate::files;
use candle_core::{DType, Device, Tensor};
use memmap2::Mmap;
use safetensors::SafeTensors;
use safetensors::tensor::{Metadata, TensorInfo};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The tensor files of a checkpoint, single or sharded.
pub(super) struct Checkpoint {
    pub(super) folder: PathBuf,
    shards: Vec<Shard>,
    /// Tensor name to the number of its shard.
    shard_of: BTreeMap<String, usize>,
}

struct Shard {
    map: Mmap,
    /// Where tensor data begin, in bytes.
    data_start: usize,
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

impl Checkpoint {
    pub(super) fn open(folder: &Path) -> Result<Self> {
        let names = shard_names(folder)?;
        let mut shards = vec![];
        let mut shard_of = BTreeMap::new();
        for name in names {
            let shard = Shard::open(&folder.join(name))?;
            let keys = shard.metadata.offset_keys();
            shard_of.extend(keys.into_iter().map(|key| (key, shards.len())));
            shards.push(shard);
        }
        Ok(Self {
            folder: folder.to_path_buf(),
            shards,
            shard_of,
        })
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.shard_of.keys().map(String::as_str)
    }

    /// Shape and dtype; `None` where there is no such tensor.
    pub(super) fn info(&self, name: &str) -> Option<&TensorInfo> {
        let shard = &self.shards[*self.shard_of.get(name)?];
        shard.metadata.info(name)
    }

    /// Copies a tensor to `device`, in the dtype of the file.
    pub(super) fn tensor(&self, name: &str, info: &TensorInfo, device: &Device) -> Result<Tensor> {
        let shard = &self.shards[self.shard_of.get(name).copied().unwrap_or(0)];
        let (start, end) = info.data_offsets;
        let bytes = &shard.map[shard.data_start + start..shard.data_start + end];
        let dtype = DType::try_from(info.dtype)?;
        Ok(Tensor::from_raw_buffer(bytes, dtype, &info.shape, device)?)
    }
}

impl Shard {
    fn open(path: &Path) -> Result<Self> {
        let file = files::open(path)?;
        // SAFETY: the map is only read. A file that another process shortens or rewrites meanwhile
        // would break this; checkpoints are replaced by renaming, which leaves the map intact.
        let map = unsafe { Mmap::map(&file) }.map_err(files::Error::at("map", path))?;
        let (header, metadata) =
            SafeTensors::read_metadata(&map).map_err(|e| Error::Safetensors {
                path: path.to_path_buf(),
                reason: e.to_string(),
            })?;
        // The header follows its own length, which takes eight bytes.
        let data_start = 8 + header;
        Ok(Self {
            map,
            data_start,
            metadata,
        })
    }
}

fn shard_names(folder: &Path) -> Result<Vec<String>> {
    let index_path = folder.join("model.safetensors.index.json");
    if !index_path.exists() {
        return match folder.join("model.safetensors").exists() {
            true => Ok(vec!["model.safetensors".into()]),
            false => Err(Error::NoCheckpoint {
                folder: folder.to_path_buf(),
            }),
        };
    }
    let text = files::read_text(&index_path)?;
    let index: Index = serde_json::from_str(&text).map_err(|source| Error::Json {
        path: index_path,
        source,
    })?;
    let names: BTreeSet<String> = index.weight_map.into_values().collect();
    let (there, shards): (Vec<_>, Vec<_>) = names
        .into_iter()
        .partition(|name| folder.join(name).exists());
    match shards.is_empty() {
        true => Ok(there),
        false => Err(Error::MissingShards {
            folder: folder.to_path_buf(),
            shards,
        }),
    }
}
