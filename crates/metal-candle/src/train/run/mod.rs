//! A run that goes on: steps, reports, evaluations and saves.

mod fallback;
mod report;
mod saves;
mod validation;

use super::best::Watch;
use super::gradient_noise::{GradientNoise, MeanGradient};
use super::last_good::LastGood;
use super::step::StepResult;
use super::{
    Ending, Error, EvaluationBatches, Event, Network, Optimizer, Result, Summary, Trainer,
};
use crate::data::Batch;
use crate::device::round;
use report::{Since, Taken};
use std::time::Instant;

/// A run that goes on.
pub(super) struct Run<'a, 'v, N> {
    trainer: &'a Trainer<'a, N>,
    optimizer: &'a mut Optimizer,
    last_good: LastGood,
    watch: Watch,
    noise: GradientNoise,
    since: Since,
    /// Steps taken when it was saved last, or when it began.
    saved: usize,
    pub(super) summary: Summary,
    validation: Option<&'a dyn Fn() -> EvaluationBatches<'v>>,
    observe: &'a mut dyn FnMut(&Event) -> Result<()>,
    should_stop: &'a dyn Fn() -> bool,
}

impl<'a, 'v, N: Network> Run<'a, 'v, N> {
    pub(super) fn new(
        trainer: &'a Trainer<'a, N>,
        optimizer: &'a mut Optimizer,
        validation: Option<&'a dyn Fn() -> EvaluationBatches<'v>>,
        observe: &'a mut dyn FnMut(&Event) -> Result<()>,
        should_stop: &'a dyn Fn() -> bool,
    ) -> Result<Self> {
        let first = optimizer.steps();
        let earlier = trainer.saves.filter(|_| first > 0);
        let watch = earlier.map(|saves| saves.folder.watch(first));
        Ok(Self {
            trainer,
            optimizer,
            last_good: LastGood::default(),
            watch: watch.transpose()?.unwrap_or_default(),
            noise: GradientNoise::default(),
            since: Since::default(),
            saved: first,
            summary: Summary {
                ending: Ending::Finished,
                steps: first,
                planned_steps: first.saturating_add(trainer.options.iters),
                trained_tokens: 0,
                last_loss: f64::NAN,
                gradient_noise_scale: None,
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
            self.summary.gradient_noise_scale = self.noise.scale();
            (self.observe)(&Event::Step {
                step: self.summary.steps,
                loss: self.summary.last_loss,
            })?;
            self.after_step(&taken)?;
            let is_over = self.summary.steps == self.summary.planned_steps;
            let is_seen = self.watch.stand(self.summary.steps).val_loss.is_some();
            if !is_over && is_seen && self.watch.is_enough(self.trainer.options.early_stopping) {
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
        let (own, first) = trainer.sums(number, micro_batches, self.should_stop)?;
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
        self.compare(first, micro_batches, grad_norm);
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

    /// Compares the gradient of the first micro-batch with that of the step.
    fn compare(&mut self, first: Option<MeanGradient>, micro_batches: &[Batch], grad_norm: f64) {
        let all = MeanGradient {
            rows: micro_batches.iter().map(|batch| batch.lines.len()).sum(),
            squared_norm: grad_norm * grad_norm,
        };
        if let Some(first) = first {
            self.noise.add(first, all);
        }
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
}

fn due(number: usize, every: usize) -> bool {
    every > 0 && number.is_multiple_of(every)
}
