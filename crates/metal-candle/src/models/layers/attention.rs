use super::block::BlockCaches;
use super::norm::{NormKind, RmsNorm};
use super::projections::{Names, Projections};
use super::rope::Positions;
use super::sinks::Sinks;
use super::visit;
use crate::layout::Layout;
use crate::lora::Linear;
use crate::models::cache::Piece;
use crate::models::config::fields::Fields;
use crate::models::pass::Pass;
use crate::models::scope::Scope;
use crate::models::{Error, Result};
use candle_core::Tensor;
use metal_candle_kernels::tape::{reshape, transpose};
use metal_candle_kernels::{
    AttentionMask, AttentionScores, CacheSlot, CachedSequence, RopePairs, attention,
    cached_attention, rope_append, rope_pair,
};

/// Numbers of heads, and their width.
#[derive(Clone, Copy, Debug)]
pub(in crate::models) struct Heads {
    pub(in crate::models) queries: usize,
    pub(in crate::models) key_values: usize,
    pub(in crate::models) width: usize,
}

/// Widest head: angles are computed for each pair of its numbers before any file is compared.
const WIDEST_HEAD: usize = 1 << 16;

impl Heads {
    /// Takes `num_attention_heads`, `num_key_value_heads` (as many where absent) and `head_dim` (the
    /// share of the hidden size where absent).
    pub(in crate::models) fn take(fields: &mut Fields<'_>, hidden_size: usize) -> Result<Self> {
        let queries = fields.size("num_attention_heads")?;
        let queries = fields.required("num_attention_heads", queries)?;
        let key_values = fields.size("num_key_value_heads")?.unwrap_or(queries);
        if queries % key_values != 0 {
            let expected = format!("a divisor of num_attention_heads = {queries}");
            return Err(fields.wrong("num_key_value_heads", expected, key_values));
        }
        let width = match fields.size("head_dim")? {
            Some(width) => width,
            None if hidden_size.is_multiple_of(queries) => hidden_size / queries,
            None => {
                let expected = format!("a divisor of hidden_size = {hidden_size}");
                return Err(fields.wrong("num_attention_heads", expected, queries));
            }
        };
        match width % 2 == 0 && width <= WIDEST_HEAD {
            true => Ok(Self {
                queries,
                key_values,
                width,
            }),
            false => Err(fields.wrong("head_dim", format!("even, at most {WIDEST_HEAD}"), width)),
        }
    }
}

/// Norms of queries and keys, before they are rotated.
#[derive(Clone, Copy, Debug)]
pub(in crate::models) enum QkNorm {
    None,
    /// Over each head.
    Heads(NormKind),
    /// Over all heads together.
    Whole(NormKind),
}

/// Kind of attention: how it is computed, and what it has.
#[derive(Clone, Copy, Debug)]
pub(in crate::models) struct AttentionKind {
    pub(in crate::models) heads: Heads,
    /// Biases on queries, keys and values.
    pub(in crate::models) qkv_bias: bool,
    /// A bias on the output projection.
    pub(in crate::models) o_bias: bool,
    /// One layer `qkv_proj` instead of three.
    pub(in crate::models) fused: bool,
    pub(in crate::models) qk_norm: QkNorm,
    /// A sink for each query head.
    pub(in crate::models) sinks: bool,
    pub(in crate::models) scores: AttentionScores<'static>,
    /// Number of tokens that a query sees, its own included; all before it where absent.
    pub(in crate::models) window: Option<usize>,
    /// Which of the model's rotary embeddings; `None` is no rotation.
    pub(in crate::models) rope: Option<usize>,
    pub(in crate::models) rope_pairs: RopePairs,
}

impl AttentionKind {
    /// Without biases, norms and window, the scale the root of the width, the first rotary embedding.
    pub(in crate::models) fn plain(heads: Heads) -> Self {
        Self {
            heads,
            qkv_bias: false,
            o_bias: false,
            fused: false,
            qk_norm: QkNorm::None,
            sinks: false,
            scores: AttentionScores::from(1.0 / (heads.width as f64).sqrt()),
            window: None,
            rope: Some(0),
            rope_pairs: RopePairs::Halves,
        }
    }
}

/// Self-attention with grouped queries.
#[derive(Debug)]
pub(in crate::models) struct Attention {
    qkv: Projections<3>,
    q_norm: Option<RmsNorm>,
    k_norm: Option<RmsNorm>,
    sinks: Option<Sinks>,
    o_proj: Linear,
    kind: AttentionKind,
}

visit!(Attention: qkv, q_norm, k_norm, sinks, o_proj);

const NAMES: Names<3> = Names {
    each: ["q_proj", "k_proj", "v_proj"],
    all: "qkv_proj",
};

impl Attention {
    /// Takes the layers from below `at`, of a model whose hidden state has width `d`.
    pub(in crate::models) fn load(at: &Scope<'_>, d: usize, kind: AttentionKind) -> Result<Self> {
        let heads = kind.heads;
        let (q, kv) = (heads.queries * heads.width, heads.key_values * heads.width);
        let norm = |name, whole| match kind.qk_norm {
            QkNorm::None => Ok(None),
            QkNorm::Heads(norm) => at.norm(name, heads.width, norm).map(Some),
            QkNorm::Whole(norm) => at.norm(name, whole, norm).map(Some),
        };
        Ok(Self {
            qkv: Projections::load(at, NAMES, (d, [q, kv, kv]), (kind.fused, kind.qkv_bias))?,
            q_norm: norm("q_norm", q)?,
            k_norm: norm("k_norm", kv)?,
            sinks: kind.sinks.then(|| at.sinks(heads.queries)).transpose()?,
            o_proj: at.linear("o_proj", (d, q), kind.o_bias)?,
            kind,
        })
    }

    /// Number of tokens that a query sees, its own included; all before it where absent.
    pub(super) fn window(&self) -> Option<usize> {
        self.kind.window
    }

    /// Heads of keys and values, and their width.
    pub(super) fn keys(&self) -> (usize, usize) {
        (self.kind.heads.key_values, self.kind.heads.width)
    }

    /// `(B, T, D)` -> `(B, T, D)`; with caches, over the tokens before as well.
    pub(super) fn forward(
        &self,
        x: &Tensor,
        pass: &Pass,
        caches: Option<BlockCaches<'_>>,
    ) -> Result<Tensor> {
        let (b, t, _) = x.dims3()?;
        let [q, k, v] = self.qkv.forward(x, &pass.context)?;
        let q = self.normed(&q, self.q_norm.as_ref())?;
        let k = self.normed(&k, self.k_norm.as_ref())?;
        let v = self.normed(&v, None)?;
        let y = match caches {
            Some(caches) => self.cached([&q, &k, &v], pass, caches)?,
            None => {
                let [q, k] = self.rotated([&q, &k], pass)?;
                attention(&q, &k, &v, &self.mask(pass), self.scores())?
            }
        };
        // (B, H, T, head_dim) -> (B, T, H * head_dim)
        let y = reshape(&transpose(&y, 1, 2)?, (b, t, ()))?;
        Ok(self.o_proj.forward(&y, &pass.context)?)
    }

    fn scores(&self) -> AttentionScores<'_> {
        AttentionScores {
            sinks: self.sinks.as_ref().map(Sinks::scores),
            ..self.kind.scores
        }
    }

    fn mask(&self, pass: &Pass) -> AttentionMask {
        AttentionMask {
            window: self.kind.window,
            ..pass.mask.clone()
        }
    }

    /// Attention of every span, which lie in one row, over what its sequence's cache holds.
    fn cached(
        &self,
        qkv: [&Tensor; 3],
        pass: &Pass,
        mut caches: BlockCaches<'_>,
    ) -> Result<Tensor> {
        let window = window_of(&caches)?;
        let in_place = caches.iter().all(|cache| cache.reserves());
        let (q, pieces) = match self.kind.rope {
            Some(kind) if in_place => {
                let positions = &pass.positions[kind];
                self.rotated_in_place(qkv, (positions, &pass.layout), &mut caches)?
            }
            _ => self.appended(qkv, pass, &mut caches)?,
        };
        let spans = pass.layout.spans().zip(pieces);
        let sequences = spans.map(|((_, span), pieces)| CachedSequence {
            queries: span.len,
            pieces,
        });
        let sequences: Vec<_> = sequences.collect();
        Ok(cached_attention(&q, &sequences, window, self.scores())?)
    }

    /// Rotated queries, and what every span sees, its new keys and values included.
    fn appended(
        &self,
        [q, k, v]: [&Tensor; 3],
        pass: &Pass,
        caches: &mut BlockCaches<'_>,
    ) -> Result<(Tensor, Vec<Vec<Piece>>)> {
        let [q, k] = self.rotated([q, k], pass)?;
        let pieces = pass.layout.spans().map(|(place, span)| {
            let [k, v] = [&k, v].map(|x| x.narrow(2, place, span.len));
            caches[span.sequence].append(&k?, &v?)
        });
        let pieces = pieces.collect::<Result<_>>()?;
        Ok((q, pieces))
    }

    /// [`Self::appended`], the new keys and values written to where they are held.
    fn rotated_in_place(
        &self,
        [q, k, v]: [&Tensor; 3],
        (Positions { cos, sin }, layout): (&Positions, &Layout),
        caches: &mut BlockCaches<'_>,
    ) -> Result<(Tensor, Vec<Vec<Piece>>)> {
        let reserved = layout.spans().map(|(_, span)| {
            let reserved = caches[span.sequence].reserve(k, span.len)?;
            Ok(reserved.map(|reserved| (span.len, reserved)))
        });
        let reserved = reserved.collect::<Result<Vec<_>>>()?;
        let slots = reserved.iter().flatten().map(|(tokens, of)| CacheSlot {
            tokens: *tokens,
            stored: of.stored.each_ref(),
            start: of.start,
        });
        let slots: Vec<_> = slots.collect();
        let q = rope_append([q, k, v], [cos, sin], self.kind.rope_pairs, &slots)?;
        let pieces = reserved.into_iter().flatten().map(|(_, of)| of.pieces);
        Ok((q, pieces.collect()))
    }

    /// `(B, T, H * head_dim)` -> `(B, H, T, head_dim)`.
    fn normed(&self, x: &Tensor, norm: Option<&RmsNorm>) -> Result<Tensor> {
        let (b, t, _) = x.dims3()?;
        let heads = |x: &Tensor| reshape(x, (b, t, (), self.kind.heads.width));
        let x = match (norm, self.kind.qk_norm) {
            (None, _) | (_, QkNorm::None) => heads(x)?,
            (Some(norm), QkNorm::Heads(_)) => norm.forward(&heads(x)?)?,
            (Some(norm), QkNorm::Whole(_)) => heads(&norm.forward(x)?)?,
        };
        Ok(transpose(&x, 1, 2)?)
    }

    fn rotated(&self, [q, k]: [&Tensor; 2], pass: &Pass) -> Result<[Tensor; 2]> {
        match self.kind.rope {
            Some(kind) => {
                let Positions { cos, sin } = &pass.positions[kind];
                Ok(rope_pair([q, k], [cos, sin], self.kind.rope_pairs)?)
            }
            None => Ok([q.clone(), k.clone()]),
        }
    }
}

/// Number of tokens that queries of all sequences see.
fn window_of(caches: &BlockCaches<'_>) -> Result<Option<usize>> {
    let mut windows = caches.iter().map(|cache| cache.window());
    let first = windows.next().flatten();
    match windows.find(|other| *other != first) {
        None => Ok(first),
        Some(other) => Err(Error::MixedCaches { first, other }),
    }
}
