//! Checks that only a GPU has, and the record of all of them.

use super::names;
use super::record::{self, Ends, Proof};
use crate::cache_folder;
use crate::error::{Error, Result};
use candle_core::MetalDevice;
use metal_candle_mps::apple::{self, Effort};
use metal_candle_mps::order::{Key, Strategy};
use std::path::PathBuf;

/// Place where the record of a GPU is kept, and what it has to hold for.
#[derive(Debug)]
pub struct Kept {
    /// The file.
    pub path: PathBuf,
    /// GPU, system and versions.
    pub key: Key,
}

impl Kept {
    /// Place of `device`'s record.
    ///
    /// # Errors
    /// When the system does not tell a folder for caches, or the GPU fails.
    pub fn of(device: &MetalDevice) -> Result<Self> {
        let key = apple::key(device, Strategy::Blocking).map_err(Error::failed)?;
        let path = cache_folder::file(&format!("checks-{}.json", key.architecture))?;
        Ok(Self { path, key })
    }

    /// What is known of the GPU.
    pub fn proof(&self) -> Proof {
        Proof::read(&self.path, &self.key, &names())
    }

    /// Adds checks that were made.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn add(&self, ends: Ends) -> Result<()> {
        Ok(record::add(&self.path, &self.key, ends)?)
    }
}

/// Tries whether MPS and candle keep their order by waiting, as they do where nothing was measured.
pub fn litmus(device: &MetalDevice) -> Result<()> {
    if !apple::caps(device).map_err(Error::failed)?.mps {
        return Ok(());
    }
    let litmus = apple::litmus(device, Strategy::Blocking, &effort()).map_err(Error::failed)?;
    let rounds = litmus.rounds;
    match rounds.passed() {
        true => Ok(()),
        false => Err(Error::failed(format!(
            "{} of {} rounds were wrong",
            rounds.failures, rounds.rounds
        ))),
    }
}

/// Effort of the test. On Metal in software a product of the usual size takes minutes.
fn effort() -> Effort {
    match cfg!(soft_metal) {
        true => Effort {
            rounds: 2,
            width: 8,
            ..Effort::default()
        },
        false => Effort::default(),
    }
}
