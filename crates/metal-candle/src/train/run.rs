//! A run that goes on: steps, reports, evaluations and saves.

use super::best::Watch;
use super::last_good::LastGood;
use super::optimizer::is_finite;
use super::preference::PairSums;
use super::step::StepResult;
use super::{
    Best, Ending, Error, Event, Network, Optimizer, Report, Result, Summary, Trainer, Validation,
};
use crate::data::Batch;
use crate::device::round;
use crate::process::peak_memory_bytes;
use std::path::Path;
use std::time::{Duration, Instant};

/// Result of one optimizer step.
struct Taken {
    loss_sum: f64,
    /// Divisor of that sum.
    weight: f64,
    tokens: usize,
    pairs: PairSums,
    grad_norm: f64,
    learning_rate: f64,
}

/// Sums since the last report.
#[derive(Default)]
struct Since {
    loss_sum: f64,
    weight: f64,
    tokens: usize,
    pairs: PairSums,
    steps: usize,
    time: Duration,
}

/// A run that goes on.
pub(super) struct Run<'a, N> {
    trainer: &'a Trainer<'a, N>,
    optimizer: &'a mut Optimizer,
    last_good: LastGood,
    watch: Watch,
    since: Since,
    /// Steps taken when it was saved last, or when it began.
    saved: usize,
    pub(super) summary: Summary,
    validation: Option<&'a dyn Fn() -> Vec<Batch>>,
    observe: &'a mut dyn FnMut(&Event) -> Result<()>,
    should_stop: &'a dyn Fn() -> bool,
}

impl<'a, N: Network> Run<'a, N> {
    pub(super) fn new(
        trainer: &'a Trainer<'a, N>,
        optimizer: &'a mut Optimizer,
        validation: Option<&'a dyn Fn() -> Vec<Batch>>,
        observe: &'a mut dyn FnMut(&Event) -> Result<()>,
        should_stop: &'a dyn Fn() -> bool,
    ) -> Result<Self> {
        let first = optimizer.steps();
        let earlier = trainer.saves.filter(|_| first > 0);
        let best = earlier.map(|saves| saves.folder.best()).transpose()?;
        Ok(Self {
            trainer,
            optimizer,
            last_good: LastGood::default(),
            watch: Watch::after(best.flatten()),
            since: Since::default(),
            saved: first,
            summary: Summary {
                ending: Ending::Finished,
                steps: first,
                planned_steps: first.saturating_add(trainer.options.iters),
                trained_tokens: 0,
                last_loss: f64::NAN,
                first_val_loss: None,
                last_val_loss: None,
                best: None,
                kept_step: first,
            },
            validation,
            observe,
            should_stop,
        })
    }

    pub(super) fn go(&mut self, batches: &mut dyn Iterator<Item = Vec<Batch>>) -> Result<()> {
        self.summary.first_val_loss = self.validate()?;
        for micro_batches in batches.take(self.trainer.options.iters) {
            let began = Instant::now();
            let taken = round(|| self.take_step(&micro_batches));
            let taken = taken.inspect_err(|error| self.keep(error))?;
            self.since.add(&taken, began.elapsed());
            self.summary.steps += 1;
            self.summary.trained_tokens += taken.tokens;
            self.summary.last_loss = taken.loss_sum / taken.weight;
            (self.observe)(&Event::Step {
                step: self.summary.steps,
                loss: self.summary.last_loss,
            })?;
            self.after_step(&taken)?;
            let is_over = self.summary.steps == self.summary.planned_steps;
            if !is_over && self.watch.is_enough(self.trainer.options.early_stopping) {
                self.summary.ending = Ending::StoppedEarly;
                return self.report(&taken);
            }
        }
        Ok(())
    }

    fn take_step(&mut self, micro_batches: &[Batch]) -> Result<Taken> {
        let trainer = self.trainer;
        let (options, parameters) = (trainer.options, trainer.parameters);
        let number = self.summary.steps + 1;
        let own = trainer.sums(number, micro_batches, self.should_stop)?;
        if self.last_good.is_empty() && own.tokens > 0 {
            own.gradients.audit(parameters)?;
        }
        let StepResult {
            loss_sum,
            tokens,
            pairs,
            gradients,
        } = match trainer.reduce {
            Some(reduce) => own.reduced(reduce, parameters)?,
            None => own,
        };
        let weight = match pairs.count() {
            0 => options.weighting.divisor(micro_batches.len(), tokens),
            n => n as f64,
        };
        let mean = 1.0 / weight;
        let norms = gradients.norms()?;
        trainer.check_finite(number, loss_sum, &norms, micro_batches)?;
        self.last_good.remember(number - 1, parameters)?;
        let grad_norm = norms.iter().map(|norm| norm * norm).sum::<f64>().sqrt() * mean;
        let learning_rate = options.schedule.learning_rate(number);
        let scale = mean * trainer.clip_factor(grad_norm);
        self.optimizer
            .step(parameters, &gradients, learning_rate, scale)?;
        Ok(Taken {
            loss_sum,
            weight,
            tokens,
            pairs,
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
            self.report(taken)?;
        }
        if due(number, options.steps_per_eval) || last {
            let validated = self.check_update().and_then(|()| self.validate());
            let val_loss = validated.inspect_err(|error| self.keep(error))?;
            self.see(val_loss);
        }
        let is_best = options.keep_best && self.watch.is_best(number);
        if due(number, options.save_every) || last || is_best {
            self.save()?;
        }
        match (self.should_stop)() && !last {
            true => Err(Error::Interrupted),
            false => Ok(()),
        }
    }

    /// Tells the means since the last report, if a step was taken since.
    fn report(&mut self, taken: &Taken) -> Result<()> {
        let since = std::mem::take(&mut self.since);
        if since.steps == 0 {
            return Ok(());
        }
        let report = since.report(taken, &self.summary);
        (self.observe)(&Event::Report(report))
    }

    /// Takes the validation loss after a step into account.
    fn see(&mut self, val_loss: Option<f64>) {
        let Some(val_loss) = val_loss else {
            return;
        };
        let (step, options) = (self.summary.steps, self.trainer.options);
        let threshold = options.early_stopping.map_or(0.0, |rule| rule.threshold);
        self.watch.see(Best { step, val_loss }, threshold);
        self.summary.last_val_loss = Some(val_loss);
        self.summary.best = self.watch.best;
    }

    /// Validation loss, where there are rows for it.
    fn validate(&mut self) -> Result<Option<f64>> {
        let Some(batches) = self.validation else {
            return Ok(None);
        };
        let (trainer, summary) = (self.trainer, &self.summary);
        let began = Instant::now();
        let limit = trainer.options.val_batches.unwrap_or(usize::MAX);
        let batches = batches().into_iter().take(limit);
        let adapters = trainer.parameters.adapters();
        let objective = trainer.options.objective;
        let evaluation =
            objective.evaluate(trainer.network, adapters, batches, self.should_stop)?;
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
            preference: evaluation.preference(),
            evaluation,
        }))?;
        Ok(Some(evaluation.loss()))
    }

    /// Saves the steps that are not saved yet.
    pub(super) fn save_rest(&mut self) -> Result<()> {
        match self.summary.steps > self.saved {
            true => self.save(),
            false => Ok(()),
        }
    }

    /// Saves what the steps came to, if it is of use: no step behind it would show that it is not.
    fn save(&mut self) -> Result<()> {
        let step = self.summary.steps;
        self.check_update().inspect_err(|error| self.keep(error))?;
        self.saved = step;
        let trainer = self.trainer;
        let Some(saves) = trainer.saves else {
            return Ok(());
        };
        let val_loss = self.watch.loss_after(step);
        saves.save((step, val_loss), trainer.parameters, self.optimizer)?;
        self.summary.kept_step = step;
        self.remove_oldest()?;
        let folder = saves.path().to_path_buf();
        (self.observe)(&Event::Saved { step, folder })
    }

    /// Removes checkpoints over the limit.
    fn remove_oldest(&self) -> Result<()> {
        let options = self.trainer.options;
        let (Some(saves), Some(limit)) = (self.trainer.saves, options.save_total_limit) else {
            return Ok(());
        };
        let best = self.watch.best.filter(|_| options.keep_best);
        let kept = best.into_iter().map(|best| best.step);
        let kept: Vec<usize> = kept.chain([self.summary.kept_step]).collect();
        saves.folder.remove_oldest(limit, &kept)
    }

    /// Makes the parameters of the lowest validation loss those of the folder. A run that was stopped goes on where it
    /// stands.
    pub(super) fn keep_best(&mut self) -> Result<()> {
        let (Some(saves), Some(best)) = (self.trainer.saves, self.watch.best) else {
            return Ok(());
        };
        let is_wanted = self.trainer.options.keep_best && self.summary.ending != Ending::Stopped;
        if is_wanted && best.step != self.summary.kept_step && saves.folder.go_back_to(best.step)? {
            self.summary.kept_step = best.step;
        }
        Ok(())
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

    /// Takes the parameters back to those that still gave a finite loss, and makes them the folder's.
    fn keep(&self, error: &Error) {
        let is_ruined = matches!(
            error,
            Error::NotFinite { .. } | Error::Ruined { .. } | Error::Validation { .. }
        );
        if !is_ruined {
            return;
        }
        match self.keep_last_good() {
            Ok(Some((step, folder))) => {
                tracing::warn!(
                    "the last good parameters, those after step {step}, are in {}",
                    folder.display()
                );
            }
            Ok(None) => {}
            Err(second) => tracing::error!("cannot keep the last good parameters: {second}"),
        }
    }

    /// The step that led to the last good parameters, and the folder that holds them.
    fn keep_last_good(&self) -> Result<Option<(usize, &Path)>> {
        let trainer = self.trainer;
        let step = self.last_good.restore(trainer.parameters)?;
        let (Some(step), Some(saves)) = (step, &trainer.saves) else {
            return Ok(None);
        };
        saves.go_back_to(step, trainer.parameters)?;
        Ok(Some((step, saves.path())))
    }
}

impl Since {
    fn add(&mut self, taken: &Taken, time: Duration) {
        self.loss_sum += taken.loss_sum;
        self.weight += taken.weight;
        self.tokens += taken.tokens;
        self.pairs = self.pairs.plus(&taken.pairs);
        self.steps += 1;
        self.time += time;
    }

    fn report(self, taken: &Taken, summary: &Summary) -> Report {
        let seconds = self.time.as_secs_f64();
        Report {
            step: summary.steps,
            train_loss: self.loss_sum / self.weight,
            learning_rate: taken.learning_rate,
            grad_norm: taken.grad_norm,
            steps_per_sec: self.steps as f64 / seconds,
            tokens_per_sec: self.tokens as f64 / seconds,
            trained_tokens: summary.trained_tokens,
            peak_memory_bytes: peak_memory_bytes(),
            preference: self.pairs.means(),
        }
    }
}

fn due(number: usize, every: usize) -> bool {
    every > 0 && number.is_multiple_of(every)
}
