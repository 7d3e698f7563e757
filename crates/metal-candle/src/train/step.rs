//! One micro-batch forward and backward, a block at a time.
//!
//! Every block starts from a detached input, so that the graph of one block is the unit: it is
//! kept until its turn in backward, or dropped and computed again (`recompute`), which costs a
//! forward pass and bounds memory by one block. Nothing is computed below the first block that
//! has a parameter.

use super::{Gradients, Parameters, Result, Segment};
use crate::data::Batch;
use crate::lora::Mode;
use crate::models::{Decoder, Pass};
use candle_core::backprop::GradStore;
use candle_core::{
    CpuStorage, CudaStorage, CustomOp1, Layout, MetalStorage, Result as CandleResult, Shape,
    Tensor, Var, backend::BackendDevice, backend::BackendStorage,
};
use metal_candle_kernels::linear_cross_entropy;

/// What a micro-batch gives; divide by the number of trained tokens for means.
#[derive(Debug)]
pub struct StepResult {
    /// Sum of the negative log-likelihoods of the targets, in nats.
    pub loss_sum: f64,
    /// Gradient of that sum.
    pub gradients: Gradients,
}

/// A block between forward and backward.
struct Held {
    index: usize,
    /// `(B, T, D)`; tracked where the blocks below need a gradient.
    input: Tensor,
    /// `None`: to be computed again.
    output: Option<Tensor>,
}

/// Loss and gradients of `batch`.
///
/// # Errors
/// When a token is out of range, the batch is too long for the model, or memory runs out.
pub fn step(
    decoder: &Decoder,
    parameters: &Parameters,
    batch: &Batch,
    mode: Mode,
    recompute: bool,
) -> Result<StepResult> {
    let pass = decoder.pass(0, batch.n_tokens, mode)?;
    let tokens = decoder.tokens(&batch.inputs, batch.n_rows)?;
    let embedded = decoder.embed(&tokens)?;
    let (held, top) = forward(decoder, parameters, &embedded, &pass, recompute)?;
    let mut gradients = Gradients::none(parameters);
    let (loss, dtop) = head(decoder, parameters, &top, batch, &mut gradients)?;
    let dembedded = backward(decoder, parameters, held, dtop, &pass, &mut gradients)?;
    if let (Segment::Embedding, Some(gradient)) = (parameters.first_segment(), dembedded) {
        let mut store = backward_from(&embedded, gradient)?;
        gradients.collect(parameters, &mut store)?;
    }
    Ok(StepResult {
        loss_sum: f64::from(loss.to_scalar::<f32>()?),
        gradients,
    })
}

/// Runs all blocks; holds those that backward will come back to.
fn forward(
    decoder: &Decoder,
    parameters: &Parameters,
    embedded: &Tensor,
    pass: &Pass,
    recompute: bool,
) -> Result<(Vec<Held>, Tensor)> {
    let first = parameters.first_segment();
    let mut x = embedded.detach();
    let mut held = vec![];
    for index in 0..decoder.n_blocks() {
        let needed = Segment::Block(index) >= first;
        if Segment::Block(index) > first {
            x = Var::from_tensor(&x)?.into_inner();
        }
        let output = decoder.block(index, &x, pass)?;
        let input = std::mem::replace(&mut x, output.detach());
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

/// Loss, and the gradient of the last block's output where a block needs it.
fn head(
    decoder: &Decoder,
    parameters: &Parameters,
    top: &Tensor,
    batch: &Batch,
    gradients: &mut Gradients,
) -> Result<(Tensor, Option<Tensor>)> {
    let top = match parameters.first_segment() {
        Segment::Head => top.clone(),
        _ => Var::from_tensor(top)?.into_inner(),
    };
    let targets = Tensor::new(batch.targets.as_slice(), top.device())?;
    let hidden = decoder.final_norm(&top)?.flatten_to(1)?;
    let loss = linear_cross_entropy(&hidden, decoder.head(), &targets)?;
    let mut store = loss.backward()?;
    gradients.collect(parameters, &mut store)?;
    Ok((loss, store.remove(&top)))
}

/// Walks the held blocks in reverse; gives the gradient of the first one's input.
fn backward(
    decoder: &Decoder,
    parameters: &Parameters,
    mut held: Vec<Held>,
    mut gradient: Option<Tensor>,
    pass: &Pass,
    gradients: &mut Gradients,
) -> Result<Option<Tensor>> {
    while let Some(block) = held.pop() {
        let Some(upstream) = gradient else {
            return Ok(None);
        };
        let output = match block.output {
            Some(output) => output,
            None => decoder.block(block.index, &block.input, pass)?,
        };
        let mut store = backward_from(&output, upstream)?;
        gradients.collect(parameters, &mut store)?;
        gradient = store.remove(&block.input);
    }
    Ok(gradient)
}

/// Gradients of everything below `output`, of which the gradient is known.
///
/// # Errors
/// When an operation below has no gradient, or memory runs out.
pub fn backward_from(output: &Tensor, gradient: Tensor) -> CandleResult<GradStore> {
    output.apply_op1(Upstream { gradient })?.backward()
}

/// The end of a graph that hands a known gradient to its input.
struct Upstream {
    gradient: Tensor,
}

impl Upstream {
    /// A scalar to start from; its value is never read.
    fn root<S: BackendStorage>(&self, input: &S) -> CandleResult<(S, Shape)>
    where
        S::Device: BackendDevice<Storage = S>,
    {
        let shape = Shape::from(());
        Ok((input.device().zeros_impl(&shape, input.dtype())?, shape))
    }
}

impl CustomOp1 for Upstream {
    fn name(&self) -> &'static str {
        "upstream"
    }

    fn cpu_fwd(&self, s: &CpuStorage, _: &Layout) -> CandleResult<(CpuStorage, Shape)> {
        self.root(s)
    }

    fn cuda_fwd(&self, s: &CudaStorage, _: &Layout) -> CandleResult<(CudaStorage, Shape)> {
        self.root(s)
    }

    fn metal_fwd(&self, s: &MetalStorage, _: &Layout) -> CandleResult<(MetalStorage, Shape)> {
        self.root(s)
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, _: &Tensor) -> CandleResult<Option<Tensor>> {
        Ok(Some(self.gradient.clone()))
    }
}
