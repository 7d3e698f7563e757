//! Backward by candle, from an output whose gradient is known.

use crate::Result;
use crate::graph::{Node, Value, attach};
use candle_core::backprop::GradStore;
use candle_core::{CpuStorage, Layout, Result as CandleResult, Shape, Storage, Tensor};
use std::sync::Arc;

/// Gradients of everything below `output`.
pub(super) fn backward(output: &Tensor, gradient: &Tensor) -> Result<GradStore> {
    if !output.track_op() {
        return Ok(GradStore::default());
    }
    let root: Arc<dyn Node> = Arc::new(Root {
        output: [output.clone()],
        gradient: gradient.detach(),
    });
    let mut gradients = GradStore::default();
    for root in attach(&root, vec![stand_in(output)?])? {
        gradients = root.backward()?;
    }
    Ok(gradients)
}

/// A scalar on the device of `like` that is never read; on a GPU, in memory that is there.
fn stand_in(like: &Tensor) -> CandleResult<Value> {
    let shape = Shape::from(());
    Ok(match &*like.storage_and_layout().0 {
        Storage::Cpu(_) => Value::cpu(CpuStorage::F32(vec![0.0]), shape),
        other => Value::new(other.try_clone(&Layout::contiguous(&shape))?, shape),
    })
}

/// The end of a graph: a scalar that hands a known gradient to its input.
struct Root {
    output: [Tensor; 1],
    gradient: Tensor,
}

impl Node for Root {
    fn name(&self) -> &'static str {
        "upstream"
    }

    fn inputs(&self) -> &[Tensor] {
        &self.output
    }

    fn backward(&self, _: &[Tensor], _: &[Option<Tensor>]) -> Result<Vec<Option<Tensor>>> {
        Ok(vec![Some(self.gradient.clone())])
    }
}
