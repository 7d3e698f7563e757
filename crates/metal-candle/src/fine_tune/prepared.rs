use super::settings::differences;
use super::trained::Trained;
use super::{FineTuning, Result, RowSettings};
use crate::data::{Batch, Example, Split, Splits, Windows, sample};
use crate::lora::{AdapterSet, LoraConfig};
use crate::models::{Decoder, Model};
use crate::train::{
    Evaluation, Event, MetricsFile, Optimizer, Options, Output, Resume, Saves, Summary, Trainer,
    evaluate,
};
use serde_json::Value;
use std::num::NonZeroUsize;
use std::sync::Arc;

/// A fine-tuning that can begin.
#[derive(Debug)]
pub struct Prepared {
    tuning: FineTuning,
    model: Model,
    trained: Trained,
    splits: Splits,
    optimizer: Optimizer,
    /// Settings that are written beside every checkpoint.
    record: Value,
}

impl Prepared {
    pub(super) fn new(
        tuning: FineTuning,
        model: Model,
        trained: Trained,
        splits: Splits,
        optimizer: Optimizer,
    ) -> Self {
        Self {
            record: tuning.settings.record(&splits, &trained.output),
            tuning,
            model,
            trained,
            splits,
            optimizer,
        }
    }

    /// Optimizer steps taken, those of the run that this one goes on from included.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.optimizer.steps()
    }

    /// Number of values that are trained.
    #[must_use]
    pub fn n_values(&self) -> usize {
        self.trained.parameters.n_values()
    }

    /// Number of rows that are trained on.
    #[must_use]
    pub fn n_rows(&self) -> usize {
        let train = self.splits.train.as_ref();
        train.map_or(0, |train| train.examples.len())
    }

    /// Settings of the adapters; `None` where all weights are trained.
    #[must_use]
    pub fn adapter(&self) -> Option<&LoraConfig> {
        match &self.trained.output {
            Output::Adapter { config, .. } => Some(config),
            Output::Checkpoint { .. } => None,
        }
    }

    /// State that the run goes on from.
    #[must_use]
    pub fn resumed(&self) -> Option<&Resume> {
        self.tuning.resume.as_ref()
    }

    /// Settings that are others than those of the run that is gone on with, each as `name old -> new`.
    #[must_use]
    pub fn differences(&self) -> Vec<String> {
        let before = self.resumed().and_then(|resume| resume.settings.as_ref());
        match (before.and_then(Value::as_object), self.record.as_object()) {
            (Some(before), Some(now)) => differences(before, now),
            _ => vec![],
        }
    }

    /// Trains, and saves into the folder of the run. `observe` is told every event; `should_stop` is asked
    /// between two blocks: what was trained until then is saved.
    ///
    /// # Errors
    /// When the run fails; what was saved before stays.
    pub fn train(
        &mut self,
        observe: &mut dyn FnMut(&Event),
        should_stop: &dyn Fn() -> bool,
    ) -> Result<Summary> {
        self.tuning.folder.prepare()?;
        let options = self.tuning.settings.options_after(self.steps());
        let mut metrics = self.metrics()?;
        let mut observe = |event: &Event| {
            observe(event);
            metrics.write(event)
        };
        let train = self.splits.require(Split::Train)?;
        let mut steps = windows(&train.examples, &options, &self.tuning.settings.rows);
        steps.skip_steps(self.optimizer.steps())?;
        let batches = validation(&self.splits, &options, &self.tuning.settings.rows);
        let validation = batches.as_ref().map(|f| f as &dyn Fn() -> Vec<Batch>);
        let trainer = Trainer {
            network: &self.model.decoder,
            parameters: &self.trained.parameters,
            options: &options,
            saves: Some(Saves {
                output: &self.trained.output,
                folder: &self.tuning.folder,
                settings: &self.record,
            }),
            data: train.path.clone(),
            reduce: None,
        };
        let optimizer = &mut self.optimizer;
        Ok(trainer.run(optimizer, &mut steps, validation, &mut observe, should_stop)?)
    }

    fn metrics(&self) -> Result<MetricsFile> {
        let path = self.tuning.folder.metrics();
        Ok(match self.resumed() {
            Some(_) => MetricsFile::go_on(&path, self.steps())?,
            None => MetricsFile::create(&path)?,
        })
    }

    /// Loss on `test.jsonl` of what was trained, over `limit` batches or all.
    ///
    /// # Errors
    /// When the test rows were not read, or the device fails.
    pub fn test(&self, limit: Option<usize>) -> Result<Evaluation> {
        let settings = &self.tuning.settings;
        let adapters = self.trained.parameters.adapters();
        let size = settings.options.batch_size;
        let decoder = &self.model.decoder;
        test(
            decoder,
            adapters,
            &self.splits,
            &settings.rows,
            (size, limit),
        )
    }
}

/// Loss on `test.jsonl` of `decoder` with `adapters`, over batches of so many rows, and so many of them or all.
///
/// # Errors
/// When the test rows were not read, or the device fails.
pub fn test(
    decoder: &Decoder,
    adapters: Option<Arc<AdapterSet>>,
    splits: &Splits,
    rows: &RowSettings,
    (size, limit): (usize, Option<usize>),
) -> Result<Evaluation> {
    let examples = &splits.require(Split::Test)?.examples;
    let batches = sample(examples, at_least_one(size), rows.arrangement, limit);
    Ok(evaluate(decoder, adapters, batches, &|| false)?)
}

/// Batches of an evaluation during the run, made anew each time.
fn validation<'a>(
    splits: &'a Splits,
    options: &Options,
    rows: &RowSettings,
) -> Option<impl Fn() -> Vec<Batch> + use<'a>> {
    let (size, limit) = (at_least_one(options.batch_size), options.val_batches);
    let (valid, arrangement) = (splits.valid.as_ref(), rows.arrangement);
    valid.map(|valid| move || sample(&valid.examples, size, arrangement, limit))
}

/// Steps of a run from the first on.
fn windows<'a>(examples: &'a [Example], options: &Options, rows: &RowSettings) -> Windows<'a> {
    let size = at_least_one(options.batch_size);
    let accumulation = at_least_one(options.grad_accumulation_steps);
    Windows::new(examples, size, accumulation, rows.arrangement, options.seed)
}

/// A count that the trainer refuses where it is zero.
fn at_least_one(count: usize) -> NonZeroUsize {
    NonZeroUsize::new(count).unwrap_or(NonZeroUsize::MIN)
}
