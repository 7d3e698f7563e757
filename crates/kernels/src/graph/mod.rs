//! Operations as nodes of a graph: any number of inputs and outputs, and typed state between forward
//! and backward.
//!
//! An operation is a value: what is frozen (weights, tables, masks, factors) is in its fields, what can
//! have a gradient are its inputs. A [`Kernel`] is how one device computes it. Where no input is
//! tracked nothing is kept. Otherwise the run is a node, which candle's graph ([`adaptor`]) and the
//! [`Tape`](crate::Tape) hold alike.

mod adaptor;
pub(crate) mod elementwise;
pub(crate) mod path;
pub mod tape;
#[cfg(test)]
mod tests;

pub(crate) use crate::value::Value;
pub(crate) use adaptor::attach;

use crate::{Error, Result};
use candle_core::Tensor;
use candle_core::backprop::GradStore;
use std::sync::Arc;

/// An operation: what is the same on every device.
pub(crate) trait Operation: Send + Sync + 'static {
    /// Its name in errors and logs.
    fn name(&self) -> &'static str;
}

/// Forward and backward of an operation with `N` inputs and `M` outputs, on one device.
pub(crate) trait Kernel<O: Operation, const N: usize, const M: usize>: 'static {
    /// Values that forward leaves for backward, besides inputs and outputs.
    type Saved: Send + Sync;

    /// The outputs. Which gradients will be asked for is seen by the inputs that are tracked.
    fn forward(op: &O, inputs: [&Tensor; N]) -> Result<([Value; M], Self::Saved)>;

    /// The gradients of the inputs from those of the outputs, of which one at least is there. One of
    /// an input that is not tracked need not be computed; `None` for one that is stands for zeros.
    fn backward(
        op: &O,
        saved: &Self::Saved,
        inputs: &[Tensor; N],
        outputs: &[Tensor; M],
        upstream: [Option<&Tensor>; M],
    ) -> Result<Gradients<N>>;

    /// Computes the outputs; in the graph, and on the tape, where an input is tracked.
    fn run(op: O, inputs: [&Tensor; N]) -> Result<[Tensor; M]>
    where
        Self: Sized,
    {
        let (values, saved) = Self::forward(&op, inputs)?;
        if !inputs.iter().any(|input| input.track_op()) {
            return Ok(values.map(Value::into_tensor));
        }
        let inputs = inputs.map(Tensor::clone);
        let node: Arc<dyn Node> = Arc::new(KernelNode::<O, Self, N, M> { op, saved, inputs });
        let outputs = attach(&node, values.into())?;
        tape::note(&outputs, || node);
        sized(outputs)
    }
}

/// A kernel with one output, whose gradient is there whenever backward runs.
pub(crate) trait Function<O: Operation, const N: usize>: 'static {
    /// Values that forward leaves for backward, besides inputs and output.
    type Saved: Send + Sync;

    /// The output.
    fn forward(op: &O, inputs: [&Tensor; N]) -> Result<(Value, Self::Saved)>;

    /// The gradients of the inputs from that of the output.
    fn backward(op: &O, saved: &Self::Saved, trace: Trace<'_, N>) -> Result<Gradients<N>>;
}

/// A gradient for every input, or `None` where it is not wanted or zero.
pub(crate) type Gradients<const N: usize> = [Option<Tensor>; N];

/// Tensors that a run of one output has left to backward.
pub(crate) struct Trace<'a, const N: usize> {
    pub(crate) inputs: &'a [Tensor; N],
    /// The output.
    pub(crate) y: &'a Tensor,
    /// Its gradient.
    pub(crate) dy: &'a Tensor,
}

impl<O: Operation, F: Function<O, N>, const N: usize> Kernel<O, N, 1> for F {
    type Saved = F::Saved;

    fn forward(op: &O, inputs: [&Tensor; N]) -> Result<([Value; 1], F::Saved)> {
        let (y, saved) = F::forward(op, inputs)?;
        Ok(([y], saved))
    }

    fn backward(
        op: &O,
        saved: &F::Saved,
        inputs: &[Tensor; N],
        [y]: &[Tensor; 1],
        [dy]: [Option<&Tensor>; 1],
    ) -> Result<Gradients<N>> {
        match dy {
            Some(dy) => F::backward(op, saved, Trace { inputs, y, dy }),
            None => Ok([const { None }; N]),
        }
    }
}

/// A run of any operation on tracked inputs.
pub(crate) trait Node: Send + Sync {
    /// Name of the operation.
    fn name(&self) -> &'static str;

    /// All inputs, tracked or not.
    fn inputs(&self) -> &[Tensor];

    /// Gradients of all inputs, as [`Kernel::backward`].
    fn backward(
        &self,
        outputs: &[Tensor],
        upstream: &[Option<Tensor>],
    ) -> Result<Vec<Option<Tensor>>>;
}

struct KernelNode<O: Operation, K: Kernel<O, N, M>, const N: usize, const M: usize> {
    op: O,
    saved: K::Saved,
    inputs: [Tensor; N],
}

impl<O: Operation, K: Kernel<O, N, M>, const N: usize, const M: usize> Node
    for KernelNode<O, K, N, M>
{
    fn name(&self) -> &'static str {
        self.op.name()
    }

    fn inputs(&self) -> &[Tensor] {
        &self.inputs
    }

    fn backward(
        &self,
        outputs: &[Tensor],
        upstream: &[Option<Tensor>],
    ) -> Result<Vec<Option<Tensor>>> {
        let upstream: Vec<_> = upstream.iter().map(Option::as_ref).collect();
        let (outputs, upstream) = (sized(outputs)?, sized(upstream)?);
        let Self { op, saved, inputs } = self;
        Ok(K::backward(op, saved, inputs, outputs, upstream)?.into())
    }
}

/// A list as an array, which it has the length of.
fn sized<L, A: TryFrom<L>>(list: L) -> Result<A> {
    let wrong = || candle_core::Error::msg("a node has another number of outputs").bt();
    list.try_into().map_err(|_| Error::Candle(wrong()))
}

/// Adds the gradients of all tracked inputs of `node` to `gradients`.
pub(crate) fn pull_back(
    node: &dyn Node,
    outputs: &[Tensor],
    upstream: &[Option<Tensor>],
    gradients: &mut GradStore,
) -> Result<()> {
    let computed = node.backward(outputs, upstream)?;
    for (input, gradient) in node.inputs().iter().zip(computed) {
        if input.track_op() {
            let gradient = match gradient {
                Some(gradient) => gradient,
                None => input.zeros_like()?,
            };
            collect(gradients, input, gradient)?;
        }
    }
    Ok(())
}

fn collect(gradients: &mut GradStore, input: &Tensor, gradient: Tensor) -> Result<()> {
    let sum = match gradients.remove(input) {
        Some(sum) => elementwise::add(&sum, &gradient)?,
        None => gradient,
    };
    gradients.insert(input, sum);
    Ok(())
}
