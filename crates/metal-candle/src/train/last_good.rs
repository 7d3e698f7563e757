use super::{Parameters, Result};
use candle_core::Tensor;

/// The parameters that the last finite loss and gradient were computed with. An update that
/// makes a model useless shows only one step later, and is taken back by this copy.
#[derive(Default)]
pub(super) struct LastGood(Vec<Tensor>);

impl LastGood {
    /// Whether no step has been good yet.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn remember(&mut self, parameters: &Parameters) -> Result<()> {
        let copies = parameters
            .as_slice()
            .iter()
            .map(|p| Ok(p.var.copy()?.detach()));
        self.0 = copies.collect::<Result<_>>()?;
        Ok(())
    }

    /// Puts the values back; `false` when there are none.
    pub(super) fn restore(&self, parameters: &Parameters) -> Result<bool> {
        for (copy, parameter) in self.0.iter().zip(parameters.as_slice()) {
            parameter.var.set(copy)?;
        }
        Ok(!self.0.is_empty())
    }
}
