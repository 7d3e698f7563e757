use super::attention::Attention;
use super::experts::FeedForward;
use super::norm::RmsNorm;
use super::{Visit, visit};
use crate::models::Result;
use crate::models::cache::Cache;
use crate::models::pass::Pass;
use candle_core::Tensor;
use metal_candle_kernels::tape::{add, scale};
use std::fmt::Debug;

/// Caches of one block, by the number of the sequence.
pub(in crate::models) type BlockCaches<'a> = Vec<&'a mut dyn Cache>;

/// One block of a decoder.
pub(in crate::models) trait Block: Visit + Debug + Send + Sync {
    /// `(B, T, D)` -> `(B, T, D)`; with caches, over the tokens before as well.
    fn forward(&self, x: &Tensor, pass: &Pass, caches: Option<BlockCaches<'_>>) -> Result<Tensor>;

    /// Number of tokens that a query sees, its own included; all before it where absent.
    fn window(&self) -> Option<usize>;

    /// Heads of keys and values, and their width.
    fn keys(&self) -> (usize, usize);
}

/// Attention and feed-forward layer, each a branch beside the hidden state:
/// `x + scale * after(layer(before(x)))`, with the norms that a family has.
#[derive(Debug)]
pub(in crate::models) struct TransformerBlock {
    pub(in crate::models) before_attention: Option<RmsNorm>,
    pub(in crate::models) attention: Attention,
    pub(in crate::models) after_attention: Option<RmsNorm>,
    pub(in crate::models) before_mlp: Option<RmsNorm>,
    pub(in crate::models) mlp: FeedForward,
    pub(in crate::models) after_mlp: Option<RmsNorm>,
    pub(in crate::models) branch_scale: f64,
}

visit!(TransformerBlock: before_attention, attention, after_attention, before_mlp, mlp, after_mlp);

impl Block for TransformerBlock {
    fn forward(&self, x: &Tensor, pass: &Pass, caches: Option<BlockCaches<'_>>) -> Result<Tensor> {
        let normed = norm(self.before_attention.as_ref(), x)?;
        let attended = self.attention.forward(&normed, pass, caches)?;
        let attended = self.branch(self.after_attention.as_ref(), &attended)?;
        let (x, normed) = match &self.before_mlp {
            Some(norm) => norm.forward_sum(x, &attended)?,
            None => {
                let sum = add(x, &attended)?;
                (sum.clone(), sum)
            }
        };
        if self.after_mlp.is_none() && self.branch_scale == 1.0 {
            return self.mlp.forward_onto(&x, &normed, &pass.context);
        }
        let fed = self.mlp.forward(&normed, &pass.context)?;
        Ok(add(&x, &self.branch(self.after_mlp.as_ref(), &fed)?)?)
    }

    fn window(&self) -> Option<usize> {
        self.attention.window()
    }

    fn keys(&self) -> (usize, usize) {
        self.attention.keys()
    }
}

impl TransformerBlock {
    fn branch(&self, after: Option<&RmsNorm>, x: &Tensor) -> Result<Tensor> {
        let x = norm(after, x)?;
        match self.branch_scale == 1.0 {
            true => Ok(x),
            false => Ok(scale(&x, self.branch_scale)?),
        }
    }
}

fn norm(norm: Option<&RmsNorm>, x: &Tensor) -> Result<Tensor> {
    match norm {
        Some(norm) => norm.forward(x),
        None => Ok(x.clone()),
    }
}
