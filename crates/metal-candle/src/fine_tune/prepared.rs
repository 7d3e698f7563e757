use super::order::{Order, at_least_one};
use super::settings::differences;
use super::trained::Trained;
use super::{EvaReport, FineTuning, Result, RowSettings};
use crate::data::{Split, Splits, sample};
use crate::lora::{AdapterSet, LoraConfig, layer_of};
use crate::models::{Decoder, Model, Segment};
use crate::train::{
    Evaluation, Event, MetricsFile, Objective, Optimizer, Options, Output, Parameters, Resume,
    Saves, Summary, Trainer,
};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
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
    /// Folder or file of the model.
    base: PathBuf,
}

impl Prepared {
    pub(super) fn new(
        tuning: FineTuning,
        model: Model,
        trained: Trained,
        splits: Splits,
        optimizer: Optimizer,
        base: &Path,
    ) -> Self {
        Self {
            base: base.to_path_buf(),
            record: record(&tuning, &splits, &trained.output),
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

    /// Size of what the optimizer keeps, in bytes.
    #[must_use]
    pub fn state_bytes(&self) -> usize {
        self.optimizer.state_bytes()
    }

    pub(super) fn set_options(&mut self, options: Options) {
        self.tuning.settings.options = options;
        self.record = record(&self.tuning, &self.splits, &self.trained.output);
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

    /// Number of layers that have adapters, or of weights that are trained.
    #[must_use]
    pub fn n_layers(&self) -> usize {
        let parameters = self.trained.parameters.as_slice().iter();
        let layers = parameters.map(|p| layer_of(&p.name).unwrap_or(&p.name));
        layers.collect::<BTreeSet<_>>().len()
    }

    /// First block in which something is trained; `None` where that is below or behind all of them.
    #[must_use]
    pub fn first_block(&self) -> Option<usize> {
        match self.trained.parameters.first_segment() {
            Segment::Block(first) => Some(first),
            Segment::Embedding | Segment::Head => None,
        }
    }

    /// Settings of the adapters; `None` where all weights are trained.
    #[must_use]
    pub fn adapter(&self) -> Option<&LoraConfig> {
        match &self.trained.output {
            Output::Adapter { config, .. } => Some(config.as_ref()),
            Output::Checkpoint { .. } => None,
        }
    }

    /// How the adapter's beginning was found in the rows; `None` where it began without them.
    #[must_use]
    pub fn eva(&self) -> Option<&EvaReport> {
        self.trained.eva.as_ref()
    }

    pub(super) fn tuning(&self) -> &FineTuning {
        &self.tuning
    }

    pub(super) fn parameters(&self) -> &Parameters {
        &self.trained.parameters
    }

    pub(super) fn output(&self) -> &Output {
        &self.trained.output
    }

    /// Folder of the run.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.tuning.folder.path()
    }

    /// The model that is trained.
    #[must_use]
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Rows of the run.
    #[must_use]
    pub fn splits(&self) -> &Splits {
        &self.splits
    }

    pub(super) fn base(&self) -> &Path {
        &self.base
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
    /// between two blocks: what was trained until then is saved. Afterwards the parameters are those in that folder.
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
        let order = Order {
            splits: &self.splits,
            rows: &self.tuning.settings.rows,
            options: &options,
            done: self.optimizer.steps(),
        };
        order.tell_left_out();
        let (mut steps, validation) = (order.steps()?, order.validation());
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
        let summary = trainer.run(
            optimizer,
            &mut steps,
            validation.as_deref(),
            &mut observe,
            should_stop,
        );
        // The reason why rows ended early is told before what came of it.
        self.splits.check()?;
        let summary = summary?;
        if summary.kept_step != summary.steps {
            self.take_saved()?;
        }
        Ok(summary)
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
            (size, limit, settings.options.objective),
        )
    }
}

fn record(tuning: &FineTuning, splits: &Splits, output: &Output) -> Value {
    let before = tuning.resume.as_ref().and_then(|r| r.settings.as_ref());
    tuning.settings.record(splits, output, before)
}

/// Loss on `test.jsonl` of `decoder` with `adapters`, over batches of so many rows, and so many of them or all, as the
/// objective has it.
///
/// # Errors
/// When the test rows were not read, or the device fails.
pub fn test(
    decoder: &Decoder,
    adapters: Option<Arc<AdapterSet>>,
    splits: &Splits,
    rows: &RowSettings,
    (size, limit, objective): (usize, Option<usize>, Objective),
) -> Result<Evaluation> {
    let examples = &splits.require(Split::Test)?.examples;
    let batches = sample(examples, at_least_one(size), rows.arrangement, limit);
    let evaluation = objective.evaluate(decoder, adapters, batches, &|| false);
    examples.check()?;
    Ok(evaluation?)
}
