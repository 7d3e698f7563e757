use crate::layout::Layout;
use crate::lora::{Context, Linear};
use crate::models::{Decoder, Pass, Result};
use candle_core::{Device, Tensor};
use metal_candle_kernels::softcap;

/// A model that is trained block by block: a [`Decoder`], or one of the user's own.
///
/// What a step differentiates must be operations of `metal-candle-kernels` or candle, on tensors of
/// float32.
pub trait Network {
    /// Values that the blocks share in one pass.
    type Pass;

    /// Where the weights are.
    fn device(&self) -> &Device;

    /// Number of blocks.
    fn n_blocks(&self) -> usize;

    /// What the blocks share in a pass over whole sequences.
    ///
    /// # Errors
    /// When a sequence is over the model's limit.
    fn pass(&self, layout: &Layout, context: &Context) -> Result<Self::Pass>;

    /// Token ids, one for every place of `layout` -> `(B, T, D)`.
    ///
    /// # Errors
    /// When an id is not in the vocabulary.
    fn embed(&self, ids: &[u32], layout: &Layout, context: &Context) -> Result<Tensor>;

    /// Block `i`: `(B, T, D)` -> `(B, T, D)`.
    ///
    /// # Errors
    /// When memory runs out.
    fn block(&self, i: usize, x: &Tensor, pass: &Self::Pass) -> Result<Tensor>;

    /// Whether a layer has a part in the loss of some rows only, so that its adapter has no gradient of others.
    fn may_rest(&self, _path: &str) -> bool {
        false
    }

    /// What the output head is multiplied by: `(B, T, D)` -> `(B, T, D)`.
    ///
    /// # Errors
    /// When memory runs out.
    fn final_norm(&self, x: &Tensor) -> Result<Tensor>;

    /// The output head, `(V, D)`.
    fn head_layer(&self) -> Linear;

    /// Bound of the logits, `cap * tanh(logit / cap)`.
    fn logit_cap(&self) -> Option<f64> {
        None
    }

    /// Logits of what [`Self::final_norm`] gives: `(.., D)` -> `(.., V)`.
    ///
    /// # Errors
    /// When memory runs out.
    fn logits(&self, hidden: &Tensor, context: &Context) -> Result<Tensor> {
        let logits = self.head_layer().forward(hidden, context)?;
        match self.logit_cap() {
            Some(cap) => Ok(softcap(&logits, cap)?),
            None => Ok(logits),
        }
    }
}

impl Network for Decoder {
    type Pass = Pass;

    fn device(&self) -> &Device {
        self.device()
    }

    fn n_blocks(&self) -> usize {
        self.n_blocks()
    }

    fn pass(&self, layout: &Layout, context: &Context) -> Result<Pass> {
        self.pass(layout, context)
    }

    fn embed(&self, ids: &[u32], layout: &Layout, context: &Context) -> Result<Tensor> {
        self.embed(ids, layout, context)
    }

    fn block(&self, i: usize, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        self.block(i, x, pass)
    }

    fn may_rest(&self, path: &str) -> bool {
        self.may_rest(path)
    }

    fn final_norm(&self, x: &Tensor) -> Result<Tensor> {
        self.final_norm(x)
    }

    fn head_layer(&self) -> Linear {
        self.head_layer()
    }

    fn logit_cap(&self) -> Option<f64> {
        self.logit_cap()
    }

    fn logits(&self, hidden: &Tensor, context: &Context) -> Result<Tensor> {
        self.logits(hidden, context)
    }
}
