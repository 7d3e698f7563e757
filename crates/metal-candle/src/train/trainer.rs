use super::last_good::LastGood;
use super::step::{StepResult, step};
use super::{
    Error, Evaluation, Event, Gradients, Optimizer, Options, Output, Parameters, Report, Result,
    Validation, evaluate,
};
use crate::data::Batch;
use crate::device::round;
use crate::files;
use crate::lora::Mode;
use crate::models::Decoder;
use crate::process::peak_memory_bytes;
use metal_candle_kernels::mix_seed;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The optimizer's state, beside what was trained.
const OPTIMIZER: &str = "optimizer.safetensors";

/// A run: what is trained, how, and where it is written.
#[derive(Debug)]
pub struct Trainer<'a> {
    /// The network.
    pub decoder: &'a Decoder,
    /// What is trained in it.
    pub parameters: &'a Parameters,
    /// Settings.
    pub options: &'a Options,
    /// What is written.
    pub output: &'a Output,
    /// Where it is written.
    pub folder: &'a Path,
    /// The data file, named in errors.
    pub data: PathBuf,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// All steps were taken.
    Finished,
    /// It was asked to stop; what was trained is saved.
    Stopped,
}

/// What a run came to.
#[derive(Clone, Copy, Debug)]
pub struct Summary {
    /// How it ended.
    pub ending: Ending,
    /// Steps taken, those of the runs that this one goes on from included.
    pub steps: usize,
    /// What `steps` is at the end of a run that is not stopped.
    pub planned_steps: usize,
    /// Tokens trained in this run.
    pub trained_tokens: usize,
    /// Mean loss of the last step, in nats per token.
    pub last_loss: f64,
}

/// What one optimizer step came to.
struct Taken {
    loss_sum: f64,
    tokens: usize,
    grad_norm: f64,
    learning_rate: f64,
}

/// Sums since the last report.
#[derive(Default)]
struct Since {
    loss_sum: f64,
    tokens: usize,
    steps: usize,
    time: Duration,
}

impl Trainer<'_> {
    /// Trains on `batches`, each the rows of one optimizer step as its micro-batches.
    ///
    /// Steps are counted from those that `optimizer` has taken: with its state, the parameters and
    /// the batches that come next, a run goes on to the bit where another ended.
    ///
    /// `validation` gives the batches of an evaluation anew each time. `observe` is told every
    /// event and may end the run with an error. `should_stop` is asked after every step.
    ///
    /// # Errors
    /// When a setting is out of range, no gradient reaches a parameter, a loss or gradient is not
    /// finite, or a file cannot be written. What was saved before stays.
    pub fn run(
        &self,
        optimizer: &mut Optimizer,
        batches: &mut dyn Iterator<Item = Vec<Batch>>,
        validation: Option<&dyn Fn() -> Vec<Batch>>,
        observe: &mut dyn FnMut(&Event) -> Result<()>,
        should_stop: &dyn Fn() -> bool,
    ) -> Result<Summary> {
        self.options.check()?;
        let mut since = Since::default();
        let mut summary = Summary {
            ending: Ending::Finished,
            steps: optimizer.steps(),
            planned_steps: optimizer.steps() + self.options.iters,
            trained_tokens: 0,
            last_loss: f64::NAN,
        };
        let mut last_good = LastGood::default();
        self.validate(validation, &summary, observe)?;
        for micro_batches in batches.take(self.options.iters) {
            let began = Instant::now();
            let number = summary.steps + 1;
            let taken = round(|| self.take_step(optimizer, &mut last_good, number, &micro_batches));
            let taken = taken.inspect_err(|error| self.keep(&last_good, error))?;
            since.add(&taken, began.elapsed());
            summary.steps = number;
            summary.trained_tokens += taken.tokens;
            summary.last_loss = taken.loss_sum / taken.tokens as f64;
            observe(&Event::Step {
                step: number,
                loss: summary.last_loss,
            })?;
            self.after_step(optimizer, &taken, &mut since, &summary, validation, observe)?;
            if should_stop() && number < summary.planned_steps {
                summary.ending = Ending::Stopped;
                break;
            }
        }
        self.save(optimizer, &summary, observe)?;
        Ok(summary)
    }

    fn take_step(
        &self,
        optimizer: &mut Optimizer,
        last_good: &mut LastGood,
        number: usize,
        micro_batches: &[Batch],
    ) -> Result<Taken> {
        let StepResult {
            loss_sum,
            gradients,
        } = self.gradients(number, micro_batches)?;
        if last_good.is_empty() {
            gradients.audit(self.parameters)?;
        }
        let tokens: usize = micro_batches.iter().map(|batch| batch.trained_tokens).sum();
        let mean = 1.0 / tokens as f64;
        let norms = gradients.norms()?;
        self.check_finite(number, loss_sum, &norms, micro_batches)?;
        last_good.remember(self.parameters)?;
        let grad_norm = norms.iter().map(|norm| norm * norm).sum::<f64>().sqrt() * mean;
        let learning_rate = self.options.schedule.learning_rate(number);
        let scale = mean * self.clip_factor(grad_norm);
        optimizer.step(
            self.parameters,
            &gradients,
            self.options,
            learning_rate,
            scale,
        )?;
        Ok(Taken {
            loss_sum,
            tokens,
            grad_norm,
            learning_rate,
        })
    }

    /// Sums of losses and gradients over the micro-batches of one step.
    fn gradients(&self, number: usize, micro_batches: &[Batch]) -> Result<StepResult> {
        let mut sum = StepResult {
            loss_sum: 0.0,
            gradients: Gradients::none(self.parameters),
        };
        for (i, batch) in micro_batches.iter().enumerate() {
            let seed = mix_seed(mix_seed(self.options.seed, number as u64), i as u64);
            let (mode, recompute) = (Mode::training(seed), self.options.grad_checkpoint);
            let part = step(self.decoder, self.parameters, batch, mode, recompute)?;
            sum.loss_sum += part.loss_sum;
            sum.gradients.add(part.gradients)?;
        }
        Ok(sum)
    }

    /// PyTorch's `clip_grad_norm_`.
    fn clip_factor(&self, grad_norm: f64) -> f64 {
        match self.options.max_grad_norm {
            0.0 => 1.0,
            limit => (limit / (grad_norm + 1e-6)).min(1.0),
        }
    }

    fn check_finite(
        &self,
        number: usize,
        loss_sum: f64,
        norms: &[f64],
        micro_batches: &[Batch],
    ) -> Result<()> {
        let names = self
            .parameters
            .as_slice()
            .iter()
            .map(|p| format!("gradient of {}", p.name));
        let gradients = norms.iter().copied().zip(names);
        let bad = std::iter::once((loss_sum, "loss".to_string()))
            .chain(gradients)
            .find(|(value, _)| !value.is_finite());
        match bad {
            None => Ok(()),
            Some((_, what)) => Err(Error::NotFinite {
                step: number,
                what,
                data: self.data.clone(),
                lines: micro_batches
                    .iter()
                    .flat_map(|batch| batch.lines.clone())
                    .collect(),
            }),
        }
    }

    fn after_step(
        &self,
        optimizer: &Optimizer,
        taken: &Taken,
        since: &mut Since,
        summary: &Summary,
        validation: Option<&dyn Fn() -> Vec<Batch>>,
        observe: &mut dyn FnMut(&Event) -> Result<()>,
    ) -> Result<()> {
        let (number, last) = (summary.steps, summary.steps == summary.planned_steps);
        if number.is_multiple_of(self.options.steps_per_report) || last {
            observe(&Event::Report(std::mem::take(since).report(taken, summary)))?;
        }
        if due(number, self.options.steps_per_eval) || last {
            self.validate(validation, summary, observe)?;
        }
        if due(number, self.options.save_every) && !last {
            let snapshot = self.folder.join(format!("checkpoint-{number}"));
            self.save_to(&snapshot, optimizer)?;
            self.save(optimizer, summary, observe)?;
        }
        Ok(())
    }

    fn validate(
        &self,
        validation: Option<&dyn Fn() -> Vec<Batch>>,
        summary: &Summary,
        observe: &mut dyn FnMut(&Event) -> Result<()>,
    ) -> Result<()> {
        let Some(batches) = validation else {
            return Ok(());
        };
        let began = Instant::now();
        let limit = self.options.val_batches.unwrap_or(usize::MAX);
        let evaluation: Evaluation = evaluate(self.decoder, batches().into_iter().take(limit))?;
        let seconds = began.elapsed().as_secs_f64();
        observe(&Event::Validation(Validation {
            step: summary.steps,
            val_loss: evaluation.loss(),
            learning_rate: self.options.schedule.learning_rate(summary.steps.max(1)),
            tokens_per_sec: evaluation.tokens as f64 / seconds,
            trained_tokens: summary.trained_tokens,
            peak_memory_bytes: peak_memory_bytes(),
            seconds,
            evaluation,
        }))
    }

    /// After a loss or gradient that is not finite, writes the parameters that still gave one.
    fn keep(&self, last_good: &LastGood, error: &Error) {
        if !matches!(error, Error::NotFinite { .. }) {
            return;
        }
        let kept = last_good.restore(self.parameters).and_then(|restored| {
            if restored {
                self.output.save(self.folder, self.parameters)?;
                // The state that led here, or that of an older adapter, must not be gone on with.
                files::remove(&self.folder.join(OPTIMIZER))?;
            }
            Ok(restored)
        });
        match kept {
            Ok(true) => tracing::warn!("the last good parameters are in {}", self.folder.display()),
            Ok(false) => {}
            Err(second) => tracing::error!("cannot keep the last good parameters: {second}"),
        }
    }

    fn save(
        &self,
        optimizer: &Optimizer,
        summary: &Summary,
        observe: &mut dyn FnMut(&Event) -> Result<()>,
    ) -> Result<()> {
        self.save_to(self.folder, optimizer)?;
        observe(&Event::Saved {
            step: summary.steps,
            folder: self.folder.to_path_buf(),
        })
    }
}

impl Trainer<'_> {
    fn save_to(&self, folder: &Path, optimizer: &Optimizer) -> Result<()> {
        self.output.save(folder, self.parameters)?;
        optimizer.save(&folder.join(OPTIMIZER), self.parameters)
    }
}

impl Since {
    fn add(&mut self, taken: &Taken, time: Duration) {
        self.loss_sum += taken.loss_sum;
        self.tokens += taken.tokens;
        self.steps += 1;
        self.time += time;
    }

    fn report(self, taken: &Taken, summary: &Summary) -> Report {
        let seconds = self.time.as_secs_f64();
        Report {
            step: summary.steps,
            train_loss: self.loss_sum / self.tokens as f64,
            learning_rate: taken.learning_rate,
            grad_norm: taken.grad_norm,
            steps_per_sec: self.steps as f64 / seconds,
            tokens_per_sec: self.tokens as f64 / seconds,
            trained_tokens: summary.trained_tokens,
            peak_memory_bytes: peak_memory_bytes(),
        }
    }
}

fn due(number: usize, every: usize) -> bool {
    every > 0 && number.is_multiple_of(every)
}
