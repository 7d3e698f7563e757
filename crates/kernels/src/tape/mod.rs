//! A list of the operations of a pass, and backward along it.
//!
//! candle's own backward adds the first gradient of every tensor to zeros: two more passes over
//! memory for every result, in threads of its own. Here the first gradient is taken as it is. The
//! graph that candle keeps is the same with and without a tape, and serves wherever an operation
//! that is not on the tape takes part: on another device, or of another crate.

use crate::Result;
use crate::elementwise;
use candle_core::backprop::GradStore;
use candle_core::{CustomOp1, CustomOp2, CustomOp3, Result as CandleResult, Tensor, TensorId};
use std::cell::RefCell;
use std::collections::HashSet;
use std::sync::Arc;

mod record;
#[cfg(test)]
mod tests;
mod upstream;

pub(crate) use record::Record;
pub use record::{add, mul, narrow, reshape, scale, transpose};

/// The operations of this crate that ran on tracked tensors, in their order.
#[derive(Debug, Default)]
pub struct Tape {
    nodes: Vec<Node>,
}

struct Node {
    inputs: Vec<Tensor>,
    output: Tensor,
    op: Operation,
}

enum Operation {
    One(Arc<Box<dyn CustomOp1 + Send + Sync>>),
    Two(Arc<Box<dyn CustomOp2 + Send + Sync>>),
    Three(Arc<Box<dyn CustomOp3 + Send + Sync>>),
    Reshape,
    Transpose(usize, usize),
    /// Dimension and first element.
    Narrow(usize, usize),
    Scale(f64),
}

thread_local! {
    static CURRENT: RefCell<Option<Tape>> = const { RefCell::new(None) };
}

impl Tape {
    /// What `pass` gives, with the operations that it ran on this thread.
    ///
    /// A tape inside of a tape takes its operations for itself.
    ///
    /// # Errors
    /// Those of `pass`.
    pub fn record<T, E>(
        pass: impl FnOnce() -> std::result::Result<T, E>,
    ) -> std::result::Result<(T, Self), E> {
        let outer = CURRENT.replace(Some(Self::default()));
        let outcome = pass();
        let tape = CURRENT.replace(outer).unwrap_or_default();
        outcome.map(|outcome| (outcome, tape))
    }

    /// Gradients of the variables below `output`, whose own gradient is given.
    ///
    /// # Errors
    /// When an operation has no backward, or memory runs out.
    pub fn backward(&self, output: &Tensor, gradient: &Tensor) -> Result<GradStore> {
        match self.covers(output) {
            true => self.walk(output, gradient),
            false => upstream::backward(output, gradient),
        }
    }

    /// Whether every way from `output` to a variable is on the tape.
    fn covers(&self, output: &Tensor) -> bool {
        let known: HashSet<TensorId> = self.nodes.iter().map(|node| node.output.id()).collect();
        let inputs = self.nodes.iter().flat_map(|node| &node.inputs);
        let mut tracked = inputs.chain([output]).filter(|input| input.track_op());
        tracked.all(|input| input.is_variable() || known.contains(&input.id()))
    }

    fn walk(&self, output: &Tensor, gradient: &Tensor) -> Result<GradStore> {
        let mut gradients = GradStore::default();
        gradients.insert(output, gradient.detach());
        for node in self.nodes.iter().rev() {
            let Some(gradient) = gradients.remove(&node.output) else {
                continue;
            };
            for (input, gradient) in node.inputs.iter().zip(node.backward(&gradient)?) {
                if let (true, Some(gradient)) = (input.track_op(), gradient) {
                    collect(&mut gradients, input, gradient)?;
                }
            }
        }
        Ok(gradients)
    }
}

fn collect(gradients: &mut GradStore, input: &Tensor, gradient: Tensor) -> Result<()> {
    let sum = match gradients.remove(input) {
        Some(sum) => elementwise::add(&sum, &gradient)?,
        None => gradient,
    };
    gradients.insert(input, sum);
    Ok(())
}

impl Node {
    /// The gradients of the inputs, in their order.
    fn backward(&self, gradient: &Tensor) -> CandleResult<Vec<Option<Tensor>>> {
        Ok(match (&self.op, &self.inputs[..]) {
            (Operation::One(op), [x]) => vec![op.bwd(x, &self.output, gradient)?],
            (Operation::Two(op), [x, y]) => {
                let (dx, dy) = op.bwd(x, y, &self.output, gradient)?;
                vec![dx, dy]
            }
            (Operation::Three(op), [x, y, z]) => {
                let (dx, dy, dz) = op.bwd(x, y, z, &self.output, gradient)?;
                vec![dx, dy, dz]
            }
            (Operation::Reshape, [x]) => vec![Some(gradient.reshape(x.shape())?)],
            (&Operation::Transpose(a, b), [_]) => vec![Some(gradient.transpose(a, b)?)],
            (&Operation::Narrow(dim, start), [x]) => {
                let after = x.dim(dim)? - start - gradient.dim(dim)?;
                vec![Some(gradient.pad_with_zeros(dim, start, after)?)]
            }
            (&Operation::Scale(factor), [_]) => vec![Some(gradient.affine(factor, 0.0)?)],
            _ => candle_core::bail!("{self:?} does not have this many inputs"),
        })
    }
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match &self.op {
            Operation::One(op) => op.name(),
            Operation::Two(op) => op.name(),
            Operation::Three(op) => op.name(),
            Operation::Reshape => "reshape",
            Operation::Transpose(..) => "transpose",
            Operation::Narrow(..) => "narrow",
            Operation::Scale(_) => "scale",
        })
    }
}
