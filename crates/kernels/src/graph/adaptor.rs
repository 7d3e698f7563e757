//! The only adaptor to candle's graph, whose own operations have three inputs at most and one output.
//!
//! Each output of a node is a chain of candle's nodes, of which the last holds its value and those below
//! hold none, but take up to three of the inputs each:
//!
//! ```text
//! x1 x2 x3 -> link, x4, x5 -> y1
//! x1 x2 x3 -> link, x4, x5 -> y2
//! ```
//!
//! candle walks in reverse, and hands the gradient of an output down its chain as it is: from it alone each
//! part computes the gradients of its inputs, which candle adds up over the outputs. So nothing is kept
//! between two steps of a walk, and any number of walks may go through a graph at once, or end inside of it.

use super::{Node, Value, pull_back};
use crate::Result;
use candle_core::backprop::GradStore;
use candle_core::{
    CpuStorage, CudaStorage, CustomOp1, CustomOp2, CustomOp3, Layout, MetalStorage,
    Result as CandleResult, Shape, Storage, Tensor,
};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// Inputs of one of candle's nodes at most.
const MOST: usize = 3;

/// `values`, the outputs of `node`, as tensors of the graph.
pub(crate) fn attach(node: &Arc<dyn Node>, values: Vec<Value>) -> Result<Vec<Tensor>> {
    let shared = Arc::new(Shared {
        node: node.clone(),
        outputs: OnceLock::new(),
    });
    let inputs = tracked(node.inputs());
    let outputs = values.into_iter().enumerate();
    let outputs = outputs.map(|(output, value)| shared.chain(output, value, &inputs));
    let outputs: Vec<Tensor> = outputs.collect::<CandleResult<_>>()?;
    // Detached, they do not hold the nodes that hold them.
    let detached = outputs.iter().map(Tensor::detach);
    let _ = shared.outputs.set(detached.collect());
    Ok(outputs)
}

/// The inputs that have gradients, each once.
fn tracked(inputs: &[Tensor]) -> Vec<Tensor> {
    let mut distinct: Vec<Tensor> = vec![];
    for input in inputs.iter().filter(|input| input.track_op()) {
        if distinct.iter().all(|other| other.id() != input.id()) {
            distinct.push(input.clone());
        }
    }
    distinct
}

/// A value in the shape and dtype of `value`, so that its gradients can pass. It is never read: there is one
/// element of it.
fn unread(value: &Value) -> CandleResult<Value> {
    let Value { storage, shape } = value;
    let element = Tensor::zeros((), storage.dtype(), &storage.device())?;
    let Value { storage, .. } = Value::copied(&element)?;
    Ok(Value::new(storage, shape.clone()))
}

/// State that the parts of one node share.
struct Shared {
    node: Arc<dyn Node>,
    outputs: OnceLock<Vec<Tensor>>,
}

impl Shared {
    /// `value`, the output of this number, above all inputs.
    fn chain(
        self: &Arc<Self>,
        output: usize,
        value: Value,
        inputs: &[Tensor],
    ) -> CandleResult<Tensor> {
        let (first, more) = inputs.split_at(inputs.len().min(MOST));
        let mut args = first.to_vec();
        for more in more.chunks(MOST - 1) {
            let link = self.place(output, unread(&value)?, &args)?;
            args = [&[link], more].concat();
        }
        self.place(output, value, &args)
    }

    /// `value` in the graph, above `args`.
    fn place(
        self: &Arc<Self>,
        output: usize,
        value: Value,
        args: &[Tensor],
    ) -> CandleResult<Tensor> {
        let part = Part {
            shared: self.clone(),
            value: Mutex::new(Some(value)),
            output,
        };
        match args {
            [a] => a.apply_op1(part),
            [a, b] => a.apply_op2(b, part),
            [a, b, c] => a.apply_op3(b, c, part),
            _ => candle_core::bail!("{} inputs at once", args.len()),
        }
    }

    /// Gradients of all inputs from that of one output.
    fn backward(&self, output: usize, gradient: &Tensor) -> Result<GradStore> {
        let outputs = self.outputs.get().map_or(&[][..], Vec::as_slice);
        let mut upstream = vec![None; outputs.len()];
        upstream[output] = Some(gradient.clone());
        let mut gradients = GradStore::default();
        pull_back(&*self.node, outputs, &upstream, &mut gradients)?;
        Ok(gradients)
    }
}

/// One of candle's nodes.
struct Part {
    shared: Arc<Shared>,
    /// Computed before, and handed over once.
    value: Mutex<Option<Value>>,
    /// Number of the output that it is a part of.
    output: usize,
}

impl Part {
    fn take(&self) -> CandleResult<(Storage, Shape)> {
        let value = self.value.lock();
        match value.unwrap_or_else(PoisonError::into_inner).take() {
            Some(Value { storage, shape }) => Ok((storage, shape)),
            None => {
                candle_core::bail!("{}: its value was asked for twice", self.shared.node.name())
            }
        }
    }

    /// The gradients of `args`. That of the link below, which is no input, is the gradient itself.
    fn backward<const N: usize>(
        &self,
        args: [&Tensor; N],
        gradient: &Tensor,
    ) -> CandleResult<[Tensor; N]> {
        let mut gradients = self.shared.backward(self.output, gradient)?;
        Ok(args.map(|arg| gradients.remove(arg).unwrap_or_else(|| gradient.clone())))
    }
}

/// The value of a [`Part`], which lies on this device.
macro_rules! handed_over {
    ($part:ident, $device:ident) => {
        match $part.take()? {
            (Storage::$device(storage), shape) => Ok((storage, shape)),
            _ => candle_core::bail!(
                "{}: its inputs lie on several devices",
                $part.shared.node.name()
            ),
        }
    };
}

macro_rules! custom_op {
    ($op:ident -> $gradients:ty: $($any:tt $arg:ident),*) => {
        impl $op for Part {
            fn name(&self) -> &'static str {
                self.shared.node.name()
            }

            fn cpu_fwd(
                &self,
                $($any: &CpuStorage, $any: &Layout),*
            ) -> CandleResult<(CpuStorage, Shape)> {
                handed_over!(self, Cpu)
            }

            fn cuda_fwd(
                &self,
                $($any: &CudaStorage, $any: &Layout),*
            ) -> CandleResult<(CudaStorage, Shape)> {
                handed_over!(self, Cuda)
            }

            fn metal_fwd(
                &self,
                $($any: &MetalStorage, $any: &Layout),*
            ) -> CandleResult<(MetalStorage, Shape)> {
                handed_over!(self, Metal)
            }

            fn bwd(
                &self,
                $($arg: &Tensor,)*
                _: &Tensor,
                gradient: &Tensor,
            ) -> CandleResult<$gradients> {
                let [$($arg),*] = self.backward([$($arg),*], gradient)?;
                Ok(($(Some($arg)),*))
            }
        }
    };
}

type Gradient = Option<Tensor>;

custom_op!(CustomOp1 -> Gradient: _ a);
custom_op!(CustomOp2 -> (Gradient, Gradient): _ a, _ b);
custom_op!(CustomOp3 -> (Gradient, Gradient, Gradient): _ a, _ b, _ c);
