//! Fine-tuning from a model's folder and a folder of rows to an adapter or a checkpoint, as `metal-candle train`
//! does it: settings, the run's folder, what a run goes on from, and the run.

mod claim;
mod error;
mod eva;
mod memory;
mod order;
mod prepared;
mod rows;
mod samples;
mod saved;
mod settings;
mod subject;
mod trained;
mod verified;

pub use claim::FineTuning;
pub use error::{Error, Result};
pub use eva::EvaReport;
pub use memory::{Division, MemoryPlan};
pub use prepared::{Prepared, test};
pub use rows::RowSettings;
pub use samples::{Sample, Sampler};
pub use settings::Settings;
pub use subject::Subject;

use crate::train::{Event, Summary};
use candle_core::Device;
use std::path::Path;

/// Trains the model in the folder `base` on `device`, from the first step to the last; `observe` is told every
/// event.
///
/// # Errors
/// When something that was given cannot be used, or the run fails; what was saved before stays.
pub fn fine_tune(
    settings: Settings,
    base: &Path,
    device: &Device,
    mut observe: impl FnMut(&Event),
) -> Result<Summary> {
    let tuning = FineTuning::claim(settings)?;
    let splits = tuning.splits(base)?;
    let mut prepared = tuning.load(base, splits, device)?;
    prepared.train(&mut observe, &|| false)
}
