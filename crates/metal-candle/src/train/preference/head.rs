use super::Result;
use super::batch::{PairOutcome, StepPairs};
use crate::data::Batch;
use crate::device::read_back;
use crate::train::head::Head;
use crate::train::step::tracked_top;
use crate::train::{Gradients, Network, Parameters};
use candle_core::Tensor;
use candle_core::backprop::GradStore;
use metal_candle_kernels::Tape;

/// Losses of the pairs of `batch` at the output head, and the gradient of the last block's output, `top`, where a block
/// needs it. `reference` are the losses of its places under the reference.
pub(in crate::train) fn head(
    head: &Head<'_, impl Network>,
    (pairs, batch, reference): (&StepPairs, &Batch, Option<&[f32]>),
    parameters: &Parameters,
    top: &Tensor,
    gradients: &mut Gradients,
) -> Result<(PairOutcome, Option<Tensor>)> {
    let top = tracked_top(parameters, top)?;
    let normed = || head.normed(&top);
    let outcome = |losses: &Tensor| -> Result<_> {
        let device = losses.device();
        let losses = read_back(device, || losses.detach().to_vec1::<f32>())?;
        let outcome = pairs.outcome(batch, &losses, reference);
        let dlosses = Tensor::new(&outcome.dlosses[..], device)?;
        Ok((outcome, dlosses))
    };
    let (outcome, mut store) = match head.weight() {
        Some(weight) => {
            let (losses, tape) = Tape::record(|| head.losses_with(&normed()?, &weight))?;
            let (outcome, dlosses) = outcome(&losses)?;
            (outcome, tape.backward(&losses, &dlosses)?)
        }
        None => {
            // Chunks of logits are computed twice: their gradients depend on the losses of all.
            let (hidden, tape) = Tape::record(normed)?;
            let (outcome, dlosses) = outcome(&head.losses(&hidden.detach())?)?;
            let collect = |store: &mut GradStore| gradients.collect(parameters, store);
            let dhidden = head.gradient(&hidden.detach(), &dlosses, collect)?;
            (outcome, tape.backward(&hidden, &dhidden)?)
        }
    };
    gradients.collect(parameters, &mut store)?;
    Ok((outcome, store.remove(&top)))
}
