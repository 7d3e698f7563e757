use super::{Parameters, Result};
use crate::device::snapshot;
use candle_core::Tensor;

/// The parameters that the last finite loss and gradient were computed with. An update that
/// makes a model useless shows only one step later, and is taken back by this copy.
#[derive(Default)]
pub(super) struct LastGood {
    /// Optimizer steps that led to them.
    step: usize,
    copies: Vec<Tensor>,
}

impl LastGood {
    /// Whether no step has been good yet.
    pub(super) fn is_empty(&self) -> bool {
        self.copies.is_empty()
    }

    /// Keeps the parameters as they are after `step` optimizer steps.
    pub(super) fn remember(&mut self, step: usize, parameters: &Parameters) -> Result<()> {
        // Those before are of no more use, and all there is must not be held three times.
        self.copies.clear();
        let copies = parameters.as_slice().iter().map(|p| Ok(snapshot(&p.var)?));
        self.copies = copies.collect::<Result<_>>()?;
        self.step = step;
        Ok(())
    }

    /// Puts the values back; gives the step that led to them, `None` when there are none.
    pub(super) fn restore(&self, parameters: &Parameters) -> Result<Option<usize>> {
        for (copy, parameter) in self.copies.iter().zip(parameters.as_slice()) {
            parameter.var.set(copy)?;
        }
        Ok((!self.is_empty()).then_some(self.step))
    }
}
