//! The parts that decoders are made of.

use super::Result;
use super::cache::BlockCache;
use super::rope::Positions;
use crate::lora::{Linear, Mode};
use candle_core::Tensor;
use metal_candle_kernels::tape::{add, reshape, transpose};
use metal_candle_kernels::{
    Activation, AttentionMask, RopePairs, Weight, attention, glu, rms_norm, rms_norm_residual, rope,
};

/// Everything that is the same for all blocks of one forward pass.
#[derive(Debug)]
pub struct Pass {
    pub(super) positions: Positions,
    pub(super) mask: AttentionMask,
    pub(super) mode: Mode,
}

/// Token ids to vectors: `(V, D)`.
#[derive(Debug)]
pub(super) struct Embedding {
    pub(super) weight: Weight,
}

impl Embedding {
    /// `(B, T)` u32 -> `(B, T, D)` float32: activations are float32 whatever the weights are.
    pub(super) fn forward(&self, tokens: &Tensor) -> Result<Tensor> {
        Ok(self.weight.gather(tokens)?)
    }
}

/// Root-mean-square norm.
#[derive(Debug)]
pub(super) struct RmsNorm {
    pub(super) weight: Tensor,
    pub(super) eps: f64,
}

impl RmsNorm {
    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(rms_norm(x, &self.weight, self.eps)?)
    }
}

/// Self-attention with grouped queries, rotary positions and, in some families, normed heads.
#[derive(Debug)]
pub(super) struct Attention {
    pub(super) q_proj: Linear,
    pub(super) k_proj: Linear,
    pub(super) v_proj: Linear,
    pub(super) o_proj: Linear,
    pub(super) q_norm: Option<RmsNorm>,
    pub(super) k_norm: Option<RmsNorm>,
    pub(super) head_dim: usize,
}

impl Attention {
    /// `(B, T, D)` -> `(B, T, D)`; with a cache, over the tokens before as well.
    fn forward(&self, x: &Tensor, pass: &Pass, cache: Option<&mut BlockCache>) -> Result<Tensor> {
        let (b, t, _) = x.dims3()?;
        let q = self.heads(&self.q_proj, self.q_norm.as_ref(), x, pass.mode)?;
        let k = self.heads(&self.k_proj, self.k_norm.as_ref(), x, pass.mode)?;
        let v = self.heads(&self.v_proj, None, x, pass.mode)?;
        let (cos, sin) = (&pass.positions.cos, &pass.positions.sin);
        let q = rope(&q, cos, sin, RopePairs::Halves)?;
        let k = rope(&k, cos, sin, RopePairs::Halves)?;
        let (k, v) = match cache {
            Some(cache) => cache.append(&k, &v)?,
            None => (k, v),
        };
        let scale = 1.0 / (self.head_dim as f64).sqrt();
        let y = attention(&q, &k, &v, &pass.mask, scale)?;
        // (B, H, T, head_dim) -> (B, T, H * head_dim)
        let y = reshape(&transpose(&y, 1, 2)?, (b, t, ()))?;
        Ok(self.o_proj.forward(&y, pass.mode)?)
    }

    /// `(B, T, D)` -> `(B, H, T, head_dim)`.
    fn heads(
        &self,
        projection: &Linear,
        norm: Option<&RmsNorm>,
        x: &Tensor,
        mode: Mode,
    ) -> Result<Tensor> {
        let (b, t, _) = x.dims3()?;
        let heads = reshape(&projection.forward(x, mode)?, (b, t, (), self.head_dim))?;
        let heads = match norm {
            Some(norm) => norm.forward(&heads)?,
            None => heads,
        };
        Ok(transpose(&heads, 1, 2)?)
    }
}

/// The feed-forward layer: `down(silu(gate(x)) * up(x))`.
#[derive(Debug)]
pub(super) struct Mlp {
    pub(super) gate_proj: Linear,
    pub(super) up_proj: Linear,
    pub(super) down_proj: Linear,
}

impl Mlp {
    fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        let gate = self.gate_proj.forward(x, mode)?;
        let up = self.up_proj.forward(x, mode)?;
        Ok(self
            .down_proj
            .forward(&glu(&gate, &up, Activation::Silu)?, mode)?)
    }
}

/// One transformer block.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) input_layernorm: RmsNorm,
    pub(super) self_attn: Attention,
    pub(super) post_attention_layernorm: RmsNorm,
    pub(super) mlp: Mlp,
}

impl Block {
    /// `(B, T, D)` -> `(B, T, D)`.
    pub(super) fn forward(
        &self,
        x: &Tensor,
        pass: &Pass,
        cache: Option<&mut BlockCache>,
    ) -> Result<Tensor> {
        let normed = self.input_layernorm.forward(x)?;
        let attended = self.self_attn.forward(&normed, pass, cache)?;
        let RmsNorm { weight, eps } = &self.post_attention_layernorm;
        let (x, normed) = rms_norm_residual(x, &attended, weight, *eps)?;
        Ok(add(&x, &self.mlp.forward(&normed, pass.mode)?)?)
    }

    /// The linear layers with their names inside the block, in the order of the data.
    pub(super) fn linears(&self) -> [(&'static str, &Linear); 7] {
        [
            ("self_attn.q_proj", &self.self_attn.q_proj),
            ("self_attn.k_proj", &self.self_attn.k_proj),
            ("self_attn.v_proj", &self.self_attn.v_proj),
            ("self_attn.o_proj", &self.self_attn.o_proj),
            ("mlp.gate_proj", &self.mlp.gate_proj),
            ("mlp.up_proj", &self.mlp.up_proj),
            ("mlp.down_proj", &self.mlp.down_proj),
        ]
    }

    /// [`Self::linears`], to be changed.
    pub(super) fn linears_mut(&mut self) -> [(&'static str, &mut Linear); 7] {
        [
            ("self_attn.q_proj", &mut self.self_attn.q_proj),
            ("self_attn.k_proj", &mut self.self_attn.k_proj),
            ("self_attn.v_proj", &mut self.self_attn.v_proj),
            ("self_attn.o_proj", &mut self.self_attn.o_proj),
            ("mlp.gate_proj", &mut self.mlp.gate_proj),
            ("mlp.up_proj", &mut self.mlp.up_proj),
            ("mlp.down_proj", &mut self.mlp.down_proj),
        ]
    }

    /// Every weight with its name inside the block.
    pub(super) fn weights_mut(&mut self) -> Vec<(String, &mut Tensor)> {
        let Attention {
            q_proj,
            k_proj,
            v_proj,
            o_proj,
            q_norm,
            k_norm,
            ..
        } = &mut self.self_attn;
        let Mlp {
            gate_proj,
            up_proj,
            down_proj,
        } = &mut self.mlp;
        let linears = [
            ("self_attn.q_proj", q_proj),
            ("self_attn.k_proj", k_proj),
            ("self_attn.v_proj", v_proj),
            ("self_attn.o_proj", o_proj),
            ("mlp.gate_proj", gate_proj),
            ("mlp.up_proj", up_proj),
            ("mlp.down_proj", down_proj),
        ];
        let norms = [
            ("input_layernorm", Some(&mut self.input_layernorm)),
            ("self_attn.q_norm", q_norm.as_mut()),
            ("self_attn.k_norm", k_norm.as_mut()),
            (
                "post_attention_layernorm",
                Some(&mut self.post_attention_layernorm),
            ),
        ];
        let linears = linears.into_iter().flat_map(|(path, layer)| {
            let tensors = layer.tensors_mut();
            tensors.map(move |(name, tensor)| (format!("{path}.{name}"), tensor))
        });
        let norms = norms.into_iter().filter_map(|(path, norm)| {
            norm.map(|norm| (format!("{path}.weight"), &mut norm.weight))
        });
        linears.chain(norms).collect()
    }
}
