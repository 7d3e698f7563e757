//! One micro-batch forward and backward, a block at a time.
//!
//! Every block starts from a detached input, so that the graph of one block is the unit: it is
//! kept until its turn in backward, or dropped and computed again (`recompute`), which costs a
//! forward pass and bounds memory by one block. Nothing is computed below the first block that
//! has a parameter.

use super::head::Head;
use super::neftune::noisy;
use super::preference::{self, PairOutcome, PairSums, StepPairs};
use super::{Error, Gradients, Network, Parameters, Result};
use crate::data::Batch;
use crate::device::{finish, read_back};
use crate::lora::Mode;
use crate::models::Segment;
use candle_core::backprop::GradStore;
use candle_core::{Device, Tensor};
use metal_candle_kernels::{Tape, tape, upload};

/// Sums over the tokens of a micro-batch, or of all those of a step.
#[derive(Debug)]
pub struct StepResult {
    /// Sum of the negative log-likelihoods of the targets, in nats.
    pub loss_sum: f64,
    /// Number of tokens that have a target.
    pub tokens: usize,
    /// Sums over pairs, where rows are pairs; `loss_sum` is then a sum over these.
    pub(super) pairs: PairSums,
    /// Gradient of that sum.
    pub gradients: Gradients,
}

impl StepResult {
    /// Number of tokens, or of pairs, that the loss is a mean over.
    #[must_use]
    pub fn count(&self) -> usize {
        match self.pairs.count() {
            0 => self.tokens,
            n => n,
        }
    }
}

/// A block between forward and backward.
struct Held {
    index: usize,
    /// `(B, T, D)`; tracked where the blocks below need a gradient.
    input: Tensor,
    /// `None`: to be computed again.
    output: Option<(Tensor, Tape)>,
}

/// Loss and gradients of `batch`. The loss is read back last: when this returns, a GPU has done it
/// all and keeps nothing of it ([`crate::device`]).
///
/// # Errors
/// When a token is out of range, the batch is too long for the model, memory runs out, or the device
/// failed at this or at what it was given before.
pub fn step(
    network: &impl Network,
    parameters: &Parameters,
    batch: &Batch,
    mode: Mode,
    recompute: bool,
) -> Result<StepResult> {
    interruptible(network, parameters, batch, (mode, recompute, None), &|| {
        false
    })
}

/// [`step`], given up between two blocks where `should_stop` says so.
///
/// # Errors
/// As [`step`]; [`Error::Interrupted`].
pub(super) fn interruptible(
    network: &impl Network,
    parameters: &Parameters,
    batch: &Batch,
    (mode, recompute, pairs): (Mode, bool, Option<&StepPairs>),
    should_stop: &dyn Fn() -> bool,
) -> Result<StepResult> {
    let reference = pairs.map(|pairs| pairs.reference(network, batch, should_stop));
    let reference = reference.transpose()?.flatten();
    let go_on = || match should_stop() {
        true => Err(Error::Interrupted),
        false => Ok(()),
    };
    let context = parameters.context(mode);
    let pass = network.pass(&batch.layout, &context)?;
    let embedded = network.embed(&batch.inputs, &batch.layout, &context)?;
    let embedded = noisy(embedded, &batch.layout, mode)?;
    let (held, top) = forward(network, parameters, &embedded, &pass, recompute, &go_on)?;
    let mut gradients = Gradients::none(parameters);
    let head = Head {
        network,
        context: &context,
        targets: &batch.targets,
    };
    let (loss, dtop) = match pairs {
        None => likelihood(&head, parameters, &top, &mut gradients)?,
        Some(pairs) => {
            let losses = (pairs, batch, reference.as_deref());
            let (outcome, dtop) =
                preference::head(&head, losses, parameters, &top, &mut gradients)?;
            (Loss::OfPairs(outcome), dtop)
        }
    };
    let dembedded = backward(
        network,
        parameters,
        held,
        dtop,
        &pass,
        &mut gradients,
        &go_on,
    )?;
    if let (Segment::Embedding, Some(gradient)) = (parameters.first_segment(), dembedded) {
        let mut store = Tape::default().backward(&embedded, &gradient)?;
        gradients.collect(parameters, &mut store)?;
    }
    gradients.rest(network, parameters)?;
    let (loss_sum, pairs) = loss.read(network.device(), &mut gradients)?;
    Ok(StepResult {
        loss_sum,
        tokens: batch.trained_tokens,
        pairs,
        gradients,
    })
}

/// Loss of a micro-batch whose backward pass was given to the device.
enum Loss {
    /// Scalar that was not read yet.
    OnDevice(Tensor),
    /// Losses that backward had to know.
    OfPairs(PairOutcome),
}

impl Loss {
    /// Sums of losses, when the device has done all.
    fn read(self, device: &Device, gradients: &mut Gradients) -> Result<(f64, PairSums)> {
        match self {
            Self::OnDevice(loss) => {
                let loss = read_back(device, || gradients.read_with(&loss.detach()))?;
                Ok((loss, PairSums::default()))
            }
            Self::OfPairs(outcome) => {
                finish(device)?;
                Ok((outcome.loss_sum, outcome.sums))
            }
        }
    }
}

/// Runs all blocks; holds those that backward will come back to.
fn forward<N: Network>(
    network: &N,
    parameters: &Parameters,
    embedded: &Tensor,
    pass: &N::Pass,
    recompute: bool,
    go_on: &dyn Fn() -> Result<()>,
) -> Result<(Vec<Held>, Tensor)> {
    let first = parameters.first_segment();
    let mut x = embedded.detach();
    let mut held = vec![];
    for index in 0..network.n_blocks() {
        go_on()?;
        let needed = Segment::Block(index) >= first;
        if Segment::Block(index) > first {
            x = tape::leaf(&x)?;
        }
        let output = Tape::record(|| network.block(index, &x, pass))?;
        let input = std::mem::replace(&mut x, output.0.detach());
        if needed {
            held.push(Held {
                index,
                input,
                output: (!recompute).then_some(output),
            });
        }
    }
    Ok((held, x))
}

/// Loss of the targets, and the gradient of the last block's output where a block needs it.
fn likelihood(
    head: &Head<'_, impl Network>,
    parameters: &Parameters,
    top: &Tensor,
    gradients: &mut Gradients,
) -> Result<(Loss, Option<Tensor>)> {
    let top = tracked_top(parameters, top)?;
    let normed = || head.normed(&top);
    let (loss, mut store) = match head.weight() {
        Some(weight) => {
            let (loss, tape) = Tape::record(|| head.loss_with(&normed()?, &weight))?;
            let one = upload(&[1f32], loss.shape(), loss.device())?;
            let store = tape.backward(&loss, &one)?;
            (loss, store)
        }
        None => {
            let (hidden, tape) = Tape::record(normed)?;
            let collect = |store: &mut GradStore| gradients.collect(parameters, store);
            let (loss, dhidden) = head.loss_and_gradient(&hidden.detach(), collect)?;
            (loss, tape.backward(&hidden, &dhidden)?)
        }
    };
    gradients.collect(parameters, &mut store)?;
    Ok((Loss::OnDevice(loss), store.remove(&top)))
}

/// Output of the last block, tracked where a block needs its gradient.
pub(super) fn tracked_top(parameters: &Parameters, top: &Tensor) -> Result<Tensor> {
    match parameters.first_segment() {
        Segment::Head => Ok(top.clone()),
        _ => Ok(tape::leaf(top)?),
    }
}

/// Walks the held blocks in reverse; gives the gradient of the first one's input.
fn backward<N: Network>(
    network: &N,
    parameters: &Parameters,
    mut held: Vec<Held>,
    mut gradient: Option<Tensor>,
    pass: &N::Pass,
    gradients: &mut Gradients,
    go_on: &dyn Fn() -> Result<()>,
) -> Result<Option<Tensor>> {
    while let Some(block) = held.pop() {
        go_on()?;
        let Some(upstream) = gradient else {
            return Ok(None);
        };
        let (output, tape) = match block.output {
            Some(output) => output,
            None => Tape::record(|| network.block(block.index, &block.input, pass))?,
        };
        let mut store = tape.backward(&output, &upstream)?;
        gradients.collect(parameters, &mut store)?;
        gradient = store.remove(&block.input);
    }
    Ok(gradient)
}
