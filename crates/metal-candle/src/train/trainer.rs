use super::gradient_noise::MeanGradient;
use super::preference::PairSums;
use super::run::Run;
use super::step::{StepResult, interruptible};
use super::{
    Best, Error, Event, Gradients, Network, Optimizer, Options, Parameters, Reduce, Result, Saves,
};
use crate::data::Batch;
use crate::lora::Mode;
use crate::models::Decoder;
use metal_candle_kernels::mix_seed;
use std::path::PathBuf;

/// A run: what is trained, how, and where it is written.
#[derive(Debug)]
pub struct Trainer<'a, N = Decoder> {
    /// The model.
    pub network: &'a N,
    /// What is trained in it.
    pub parameters: &'a Parameters,
    /// Settings.
    pub options: &'a Options,
    /// Where it is saved; `None`: the parameters are all that a run leaves.
    pub saves: Option<Saves<'a>>,
    /// The data file, named in errors.
    pub data: PathBuf,
    /// Other workers that train the same; `None` where there are none.
    pub reduce: Option<&'a dyn Reduce>,
}

/// Batches of an evaluation, made as they are asked for.
pub type EvaluationBatches<'a> = Box<dyn Iterator<Item = Batch> + 'a>;

/// End of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// All steps were taken.
    Finished,
    /// Stopped on request; the steps that were taken are saved.
    Stopped,
    /// The validation loss went down no more ([`super::EarlyStopping`]).
    StoppedEarly,
}

/// Summary of a run.
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
    /// Rows of which the mean gradient has as much noise as signal ([`super::Report`]).
    pub gradient_noise_scale: Option<f64>,
    /// Validation loss before the first step of this run.
    pub first_val_loss: Option<f64>,
    /// Validation loss of the last evaluation after a step of this run.
    pub last_val_loss: Option<f64>,
    /// The lowest validation loss, that before the first step aside.
    pub best: Option<Best>,
    /// Steps that led to what the folder of the run holds.
    pub kept_step: usize,
}

impl<N: Network> Trainer<'_, N> {
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
    /// parameter is not finite, or a file cannot be written. What was saved before stays. When the validation loss is to
    /// be followed and there are no rows for it.
    pub fn run<'v>(
        &self,
        optimizer: &mut Optimizer,
        batches: &mut dyn Iterator<Item = Vec<Batch>>,
        validation: Option<&dyn Fn() -> EvaluationBatches<'v>>,
        observe: &mut dyn FnMut(&Event) -> Result<()>,
        should_stop: &dyn Fn() -> bool,
    ) -> Result<Summary> {
        self.options.check()?;
        self.options.objective.check(self.parameters)?;
        self.options
            .check_followed(validation.is_some(), self.saves.is_some())?;
        let mut run = Run::new(self, optimizer, validation, observe, should_stop)?;
        match run.go(batches) {
            Err(Error::Interrupted) => run.summary.ending = Ending::Stopped,
            result => result?,
        }
        run.save_rest()?;
        run.keep_best()?;
        Ok(run.summary)
    }

    /// Sums of losses and gradients over this worker's micro-batches of one step, and the mean gradient of the first of them
    /// where the step has several.
    pub(super) fn sums(
        &self,
        number: usize,
        micro_batches: &[Batch],
        should_stop: &dyn Fn() -> bool,
    ) -> Result<(StepResult, Option<MeanGradient>)> {
        let mut first = None;
        let mut sums = StepResult {
            loss_sum: 0.0,
            tokens: 0,
            pairs: PairSums::default(),
            gradients: Gradients::none(self.parameters),
        };
        let pairs = self.options.objective.of_step(micro_batches)?;
        let (rank, n) = self.reduce.map_or((0, 1), |r| (r.rank(), r.n_workers()));
        for (i, batch) in micro_batches.iter().enumerate().skip(rank).step_by(n) {
            let seed = mix_seed(mix_seed(self.options.seed, number as u64), i as u64);
            let recompute = self.options.grad_checkpoint;
            let mode = Mode::training(seed).with_neftune(self.options.neftune_noise_alpha);
            let how = (mode, recompute, pairs.as_ref());
            let part = interruptible(self.network, self.parameters, batch, how, should_stop)?;
            let factor = self.options.weighting.factor(part.tokens);
            if first.is_none() && micro_batches.len() > 1 {
                first = Some(self.mean_gradient(&part, batch.lines.len())?);
            }
            sums.loss_sum += part.loss_sum * factor;
            sums.tokens += part.tokens;
            sums.pairs = sums.pairs.plus(&part.pairs);
            sums.gradients.add(part.gradients.scaled(factor)?)?;
        }
        Ok((sums, first))
    }

    /// Mean gradient of a micro-batch; from a GPU its squares came with the loss.
    fn mean_gradient(&self, part: &StepResult, rows: usize) -> Result<MeanGradient> {
        let weighting = self.options.weighting;
        let factor = weighting.factor(part.tokens) / weighting.divisor(1, part.count());
        let norms = part.gradients.norms()?.into_iter();
        Ok(MeanGradient {
            rows,
            squared_norm: norms.map(|norm| (norm * factor).powi(2)).sum(),
        })
    }

    /// PyTorch's `clip_grad_norm_`.
    pub(super) fn clip_factor(&self, grad_norm: f64) -> f64 {
        match self.options.max_grad_norm {
            0.0 => 1.0,
            limit => (limit / (grad_norm + 1e-6)).min(1.0),
        }
    }

    pub(super) fn check_finite(
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
