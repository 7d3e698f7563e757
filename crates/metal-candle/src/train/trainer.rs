use super::checkpoint::OPTIMIZER;
use super::last_good::LastGood;
use super::optimizer::is_finite;
use super::step::{StepResult, interruptible};
use super::{
    Error, Event, Gradients, Optimizer, Options, Output, Parameters, Report, Result, RunFolder,
    Validation, evaluate,
};
use crate::data::Batch;
use crate::device::round;
use crate::lora::Mode;
use crate::models::Decoder;
use crate::process::peak_memory_bytes;
use metal_candle_kernels::mix_seed;
use serde_json::Value;
use std::path::PathBuf;
use std::time::{Duration, Instant};

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
    pub folder: &'a RunFolder,
    /// What else the run was told, for `run.json`.
    pub settings: &'a Value,
    /// The data file, named in errors.
    pub data: PathBuf,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// All steps were taken.
    Finished,
    /// It was asked to stop; the steps that were taken are saved.
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
    /// event and may end the run with an error. `should_stop` is asked between two blocks: the step or
    /// evaluation that goes on then is given up, and what was trained until then is saved.
    ///
    /// # Errors
    /// When a setting is out of range, no gradient reaches a parameter, a loss, gradient or updated
    /// parameter is not finite, or a file cannot be written. What was saved before stays.
    pub fn run(
        &self,
        optimizer: &mut Optimizer,
        batches: &mut dyn Iterator<Item = Vec<Batch>>,
        validation: Option<&dyn Fn() -> Vec<Batch>>,
        observe: &mut dyn FnMut(&Event) -> Result<()>,
        should_stop: &dyn Fn() -> bool,
    ) -> Result<Summary> {
        self.options.check()?;
        let first = optimizer.steps();
        let mut run = Run {
            trainer: self,
            optimizer,
            last_good: LastGood::default(),
            since: Since::default(),
            saved: first,
            summary: Summary {
                ending: Ending::Finished,
                steps: first,
                planned_steps: first.saturating_add(self.options.iters),
                trained_tokens: 0,
                last_loss: f64::NAN,
            },
            validation,
            observe,
            should_stop,
        };
        match run.go(batches) {
            Err(Error::Interrupted) => run.summary.ending = Ending::Stopped,
            result => result?,
        }
        if run.summary.steps > run.saved {
            run.save()?;
        }
        Ok(run.summary)
    }

    /// Sums of losses and gradients over the micro-batches of one step.
    fn gradients(
        &self,
        number: usize,
        micro_batches: &[Batch],
        should_stop: &dyn Fn() -> bool,
    ) -> Result<StepResult> {
        let mut sum = StepResult {
            loss_sum: 0.0,
            gradients: Gradients::none(self.parameters),
        };
        for (i, batch) in micro_batches.iter().enumerate() {
            let seed = mix_seed(mix_seed(self.options.seed, number as u64), i as u64);
            let how = (Mode::training(seed), self.options.grad_checkpoint);
            let part = interruptible(self.decoder, self.parameters, batch, how, should_stop)?;
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
}

/// A run that goes on.
struct Run<'a> {
    trainer: &'a Trainer<'a>,
    optimizer: &'a mut Optimizer,
    last_good: LastGood,
    since: Since,
    /// Steps taken when it was saved last, or when it began.
    saved: usize,
    summary: Summary,
    validation: Option<&'a dyn Fn() -> Vec<Batch>>,
    observe: &'a mut dyn FnMut(&Event) -> Result<()>,
    should_stop: &'a dyn Fn() -> bool,
}

impl Run<'_> {
    fn go(&mut self, batches: &mut dyn Iterator<Item = Vec<Batch>>) -> Result<()> {
        self.validate()?;
        for micro_batches in batches.take(self.trainer.options.iters) {
            let began = Instant::now();
            let taken = round(|| self.take_step(&micro_batches));
            let taken = taken.inspect_err(|error| self.keep(error))?;
            self.since.add(&taken, began.elapsed());
            self.summary.steps += 1;
            self.summary.trained_tokens += taken.tokens;
            self.summary.last_loss = taken.loss_sum / taken.tokens as f64;
            (self.observe)(&Event::Step {
                step: self.summary.steps,
                loss: self.summary.last_loss,
            })?;
            self.after_step(&taken)?;
        }
        Ok(())
    }

    fn take_step(&mut self, micro_batches: &[Batch]) -> Result<Taken> {
        let trainer = self.trainer;
        let (options, parameters) = (trainer.options, trainer.parameters);
        let number = self.summary.steps + 1;
        let StepResult {
            loss_sum,
            gradients,
        } = trainer.gradients(number, micro_batches, self.should_stop)?;
        if self.last_good.is_empty() {
            gradients.audit(parameters)?;
        }
        let tokens: usize = micro_batches.iter().map(|batch| batch.trained_tokens).sum();
        let mean = 1.0 / tokens as f64;
        let norms = gradients.norms()?;
        trainer.check_finite(number, loss_sum, &norms, micro_batches)?;
        self.last_good.remember(number - 1, parameters)?;
        let grad_norm = norms.iter().map(|norm| norm * norm).sum::<f64>().sqrt() * mean;
        let learning_rate = options.schedule.learning_rate(number);
        let scale = mean * trainer.clip_factor(grad_norm);
        self.optimizer
            .step(parameters, &gradients, options, learning_rate, scale)?;
        Ok(Taken {
            loss_sum,
            tokens,
            grad_norm,
            learning_rate,
        })
    }

    fn after_step(&mut self, taken: &Taken) -> Result<()> {
        let options = self.trainer.options;
        let (number, last) = (
            self.summary.steps,
            self.summary.steps == self.summary.planned_steps,
        );
        if number.is_multiple_of(options.steps_per_report) || last {
            let report = std::mem::take(&mut self.since).report(taken, &self.summary);
            (self.observe)(&Event::Report(report))?;
        }
        if due(number, options.steps_per_eval) || last {
            let validated = self.check_update().and_then(|()| self.validate());
            validated.inspect_err(|error| self.keep(error))?;
        }
        if due(number, options.save_every) || last {
            self.save()?;
        }
        match (self.should_stop)() && !last {
            true => Err(Error::Interrupted),
            false => Ok(()),
        }
    }

    fn validate(&mut self) -> Result<()> {
        let Some(batches) = self.validation else {
            return Ok(());
        };
        let (trainer, summary) = (self.trainer, &self.summary);
        let began = Instant::now();
        let limit = trainer.options.val_batches.unwrap_or(usize::MAX);
        let batches = batches().into_iter().take(limit);
        let evaluation = evaluate(trainer.decoder, batches, self.should_stop)?;
        let seconds = began.elapsed().as_secs_f64();
        if !evaluation.loss().is_finite() {
            return Err(Error::Validation {
                step: summary.steps,
            });
        }
        (self.observe)(&Event::Validation(Validation {
            step: summary.steps,
            val_loss: evaluation.loss(),
            learning_rate: trainer.options.schedule.learning_rate(summary.steps.max(1)),
            tokens_per_sec: evaluation.tokens as f64 / seconds,
            trained_tokens: summary.trained_tokens,
            peak_memory_bytes: peak_memory_bytes(),
            seconds,
            evaluation,
        }))
    }

    /// Saves what the steps came to, if it is of use: no step behind it would show that it is not.
    fn save(&mut self) -> Result<()> {
        let step = self.summary.steps;
        self.check_update().inspect_err(|error| self.keep(error))?;
        let trainer = self.trainer;
        trainer.folder.save(step, trainer.settings, |folder| {
            trainer.output.save(folder, trainer.parameters)?;
            self.optimizer
                .save(&folder.join(OPTIMIZER), trainer.parameters)
        })?;
        self.saved = step;
        (self.observe)(&Event::Saved {
            step,
            folder: trainer.folder.path().to_path_buf(),
        })
    }

    fn check_update(&self) -> Result<()> {
        let (step, parameters) = (self.summary.steps, self.trainer.parameters);
        for parameter in parameters.as_slice() {
            if !is_finite(&parameter.var)? {
                let what = format!("parameter {}", parameter.name);
                return Err(Error::Ruined { step, what });
            }
        }
        match self.optimizer.not_finite(parameters)? {
            Some(what) => Err(Error::Ruined { step, what }),
            None => Ok(()),
        }
    }

    /// Takes the parameters back to those that still gave a finite loss, and makes them the folder's: from
    /// the checkpoint that was saved of them, or without an optimizer's state, which led on to here.
    fn keep(&self, error: &Error) {
        let is_ruined = matches!(
            error,
            Error::NotFinite { .. } | Error::Ruined { .. } | Error::Validation { .. }
        );
        if !is_ruined {
            return;
        }
        let folder = self.trainer.folder.path().display();
        match self.keep_last_good() {
            Ok(Some(step)) => {
                tracing::warn!(
                    "the last good parameters, those after step {step}, are in {folder}"
                );
            }
            Ok(None) => {}
            Err(second) => tracing::error!("cannot keep the last good parameters: {second}"),
        }
    }

    fn keep_last_good(&self) -> Result<Option<usize>> {
        let trainer = self.trainer;
        let Some(step) = self.last_good.restore(trainer.parameters)? else {
            return Ok(None);
        };
        if !trainer.folder.go_back_to(step)? {
            trainer.folder.save(step, trainer.settings, |folder| {
                trainer.output.save(folder, trainer.parameters)
            })?;
        }
        Ok(Some(step))
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
