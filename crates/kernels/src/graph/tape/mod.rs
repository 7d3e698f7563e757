//! A list of the operations of a pass, and backward along it.
//!
//! candle's own backward adds the first gradient of every tensor to zeros: two more passes over
//! memory for every result, in threads of its own. Here the first gradient is taken as it is. The
//! graph that candle keeps is the same with and without a tape, and serves wherever an operation
//! that is not on the tape takes part: on another device, or of another crate.

use crate::Result;
use crate::graph::{Node, pull_back};
use candle_core::backprop::GradStore;
use candle_core::{Tensor, TensorId};
use std::cell::RefCell;
use std::collections::HashSet;
use std::sync::Arc;

#[cfg(test)]
mod tests;
mod upstream;
mod views;

pub use views::{cast, leaf, narrow, reshape, scale, transpose};

/// The operations of this crate that ran on tracked tensors, in their order.
#[derive(Debug, Default)]
pub struct Tape {
    entries: Vec<Entry>,
}

struct Entry {
    node: Arc<dyn Node>,
    outputs: Vec<Tensor>,
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
        let outputs = self.entries.iter().flat_map(|entry| &entry.outputs);
        let known: HashSet<TensorId> = outputs.map(Tensor::id).collect();
        let inputs = self.entries.iter().flat_map(|entry| entry.node.inputs());
        let mut tracked = inputs.chain([output]).filter(|input| input.track_op());
        tracked.all(|input| input.is_variable() || known.contains(&input.id()))
    }

    fn walk(&self, output: &Tensor, gradient: &Tensor) -> Result<GradStore> {
        let mut gradients = GradStore::default();
        gradients.insert(output, gradient.detach());
        for Entry { node, outputs } in self.entries.iter().rev() {
            let upstream: Vec<_> = outputs.iter().map(|y| gradients.remove(y)).collect();
            if upstream.iter().any(Option::is_some) {
                pull_back(&**node, outputs, &upstream, &mut gradients)?;
            }
        }
        Ok(gradients)
    }
}

/// Notes the operation that gave `outputs` on the current tape, where they are tracked.
pub(crate) fn note(outputs: &[Tensor], node: impl FnOnce() -> Arc<dyn Node>) {
    CURRENT.with_borrow_mut(|tape| match tape {
        Some(tape) if outputs.iter().any(Tensor::track_op) => tape.entries.push(Entry {
            node: node(),
            outputs: outputs.to_vec(),
        }),
        _ => {}
    });
}

/// `a + b`, with broadcasting; no gradient is computed for an operand that is not tracked.
///
/// # Errors
/// When the shapes do not broadcast.
pub fn add(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    crate::graph::elementwise::add(a, b)
}

/// `a * b`, with broadcasting; no gradient is computed for an operand that is not tracked.
///
/// # Errors
/// When the shapes do not broadcast.
pub fn mul(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    crate::graph::elementwise::mul(a, b)
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.node.name())
    }
}
