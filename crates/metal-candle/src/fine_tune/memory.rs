//! Memory of a run, told before its first step.

use super::order::Order;
use super::{Prepared, Result};
use crate::data::{Batch, Split};
use crate::train::memory::{Meter, peak_of_step};
use crate::train::{Options, Weighting};
use serde::{Deserialize, Serialize};

/// Steps that are looked at for the longest micro-batch.
const MOST_STEPS: usize = 10_000;

/// Bytes of what tensors hold at the peak of a run, by part, on the CPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryPlan {
    /// Weights of the model that are not trained, as they are stored.
    pub weights_bytes: usize,
    /// Values that are trained.
    pub trained_bytes: usize,
    /// What the optimizer keeps of them.
    pub optimizer_bytes: usize,
    /// Copy of the values that last gave a finite loss.
    pub last_good_bytes: usize,
    /// Gradients: those of a step, and beside them those of a micro-batch where a step has several.
    pub gradient_bytes: usize,
    /// What the longest micro-batch holds beyond its gradients: what blocks keep for backward, and the most that one
    /// operation, or the output head, takes.
    pub activation_bytes: usize,
    /// Places of that micro-batch, padding among them.
    pub places: usize,
}

impl MemoryPlan {
    /// Bytes of all parts.
    #[must_use]
    pub fn total_bytes(&self) -> usize {
        self.weights_bytes + self.trained_bytes + self.optimizer_bytes + self.run_bytes()
    }

    /// Bytes of what comes with the steps.
    #[must_use]
    pub fn run_bytes(&self) -> usize {
        self.last_good_bytes + self.gradient_bytes + self.activation_bytes
    }
}

/// Way to take the steps of a run: the same steps in less memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Division {
    /// Micro-batches in place of each.
    pub parts: usize,
    /// Whether blocks are computed again in backward.
    pub grad_checkpoint: bool,
}

impl Division {
    /// Settings of the same steps, divided.
    fn of(self, options: &Options) -> Options {
        Options {
            batch_size: options.batch_size / self.parts,
            grad_accumulation_steps: options.grad_accumulation_steps * self.parts,
            grad_checkpoint: self.grad_checkpoint,
            ..options.clone()
        }
    }
}

impl Prepared {
    /// Memory of the run if its steps are taken as `division` says. `None` where the model is not in the memory of the
    /// host, whose bytes `meter` counts.
    ///
    /// A few blocks of the longest micro-batch are run forward and backward for it, which changes nothing.
    ///
    /// # Errors
    /// As a step.
    pub fn memory(&self, division: Division, meter: &dyn Meter) -> Result<Option<MemoryPlan>> {
        if !self.model().decoder.device().is_cpu() {
            return Ok(None);
        }
        let options = division.of(&self.tuning().settings.options_after(self.steps()));
        let Some(batch) = self.longest(&options)? else {
            return Ok(None);
        };
        let how = (&options.objective, &batch, options.grad_checkpoint);
        let parameters = self.parameters();
        let step = peak_of_step(&self.model().decoder, parameters, how, meter)?;
        Ok(Some(self.plan(&options, &batch, step as usize)))
    }

    /// Size of the model, of what is trained in it and of what the optimizer keeps, in bytes.
    #[must_use]
    pub fn model_bytes(&self) -> usize {
        self.frozen_bytes() + 4 * self.n_values() + self.state_bytes()
    }

    /// Size of the weights that are not trained.
    fn frozen_bytes(&self) -> usize {
        let parts = self.model().decoder.parts().into_iter();
        let tensors = parts.flat_map(|(_, part)| part.tensors());
        let bytes = tensors.map(|(_, t)| t.elem_count() * t.dtype().size_in_bytes());
        let bytes: usize = bytes.sum();
        match self.adapter() {
            Some(_) => bytes,
            None => bytes.saturating_sub(4 * self.n_values()),
        }
    }

    fn plan(&self, options: &Options, batch: &Batch, step: usize) -> MemoryPlan {
        let trained_bytes = 4 * self.n_values();
        let values = self.parameters().as_slice().iter();
        let largest = values.map(|p| 4 * p.var.elem_count()).max().unwrap_or(0);
        let gradient_bytes = match options.grad_accumulation_steps {
            1 => trained_bytes,
            _ => 2 * trained_bytes,
        };
        // Between forward and backward of a step's only micro-batch there are no gradients yet; afterwards each is squared.
        let peak = (step + gradient_bytes - trained_bytes).max(gradient_bytes + largest);
        let (rows, width) = batch.layout.dims();
        MemoryPlan {
            weights_bytes: self.frozen_bytes(),
            trained_bytes,
            optimizer_bytes: self.state_bytes(),
            last_good_bytes: if options.iters > 1 { trained_bytes } else { 0 },
            gradient_bytes: gradient_bytes.min(peak),
            activation_bytes: peak.saturating_sub(gradient_bytes),
            places: rows * width,
        }
    }

    /// The micro-batch of the most places; `None` where there are no steps.
    fn longest(&self, options: &Options) -> Result<Option<Batch>> {
        self.splits().require(Split::Train)?;
        let order = Order {
            splits: self.splits(),
            rows: &self.tuning().settings.rows,
            options,
            done: self.steps(),
        };
        let steps = order.steps()?.take(options.iters.min(MOST_STEPS));
        let places = |batch: &Batch| {
            let (rows, width) = batch.layout.dims();
            rows * width
        };
        Ok(steps.flatten().max_by_key(places))
    }

    /// Ways to take the steps of the run in less memory, the fastest first: all splits of a batch into micro-batches, where
    /// these give the same steps, and then with blocks computed again.
    #[must_use]
    pub fn divisions(&self) -> Vec<Division> {
        let options = &self.tuning().settings.options;
        let size = match options.weighting {
            Weighting::Tokens => options.batch_size,
            Weighting::MicroBatches => 1,
        };
        let parts = (1..=size).filter(|parts| size.is_multiple_of(*parts));
        let parts: Vec<usize> = parts.collect();
        let again = match options.grad_checkpoint {
            true => &[true][..],
            false => &[false, true],
        };
        let ways = again.iter().flat_map(|grad_checkpoint| {
            parts.iter().map(|parts| Division {
                parts: *parts,
                grad_checkpoint: *grad_checkpoint,
            })
        });
        ways.collect()
    }

    /// Takes the steps of the run as `division` says.
    pub fn divide(&mut self, division: Division) {
        let options = division.of(&self.tuning().settings.options);
        self.set_options(options);
    }
}
