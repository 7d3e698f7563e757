use super::cache::KvCache;
use super::config::Config;
use super::layers::{Block, Embedding, Pass, RmsNorm};
use super::rope::Rope;
use super::{Error, Result};
use crate::lora::{Linear, LinearInfo, Mode};
use candle_core::{Device, Tensor};
use metal_candle_kernels::{AttentionMask, Weight, linear};

/// A decoder-only language model: embedding, blocks, norm and output head.
#[derive(Debug)]
pub struct Decoder {
    pub(super) embed_tokens: Embedding,
    pub(super) layers: Vec<Block>,
    pub(super) norm: RmsNorm,
    /// `None`: the head is the embedding.
    pub(super) lm_head: Option<Weight>,
    pub(super) rope: Rope,
    pub(super) limits: Limits,
}

/// What a model cannot go beyond.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    vocab_size: usize,
    max_tokens: usize,
}

impl From<&Config> for Limits {
    fn from(config: &Config) -> Self {
        Self {
            vocab_size: config.vocab_size,
            max_tokens: config.max_position_embeddings,
        }
    }
}

impl Decoder {
    /// Number of blocks.
    #[must_use]
    pub fn n_blocks(&self) -> usize {
        self.layers.len()
    }

    /// Longest sequence in tokens.
    #[must_use]
    pub fn max_tokens(&self) -> usize {
        self.limits.max_tokens
    }

    /// Number of tokens of the vocabulary.
    #[must_use]
    pub fn vocab_size(&self) -> usize {
        self.limits.vocab_size
    }

    /// Where the weights are.
    #[must_use]
    pub fn device(&self) -> &Device {
        self.embed_tokens.weight.device()
    }

    /// Token ids as a tensor `(rows, T)`.
    ///
    /// # Errors
    /// When an id is not in the vocabulary, or `ids` does not divide into `rows`.
    pub fn tokens(&self, ids: &[u32], rows: usize) -> Result<Tensor> {
        let vocab_size = self.limits.vocab_size;
        if let Some(&id) = ids.iter().find(|&&id| id as usize >= vocab_size) {
            return Err(Error::TokenOutOfRange { id, vocab_size });
        }
        Ok(Tensor::new(ids, self.device())?.reshape((rows, ()))?)
    }

    /// What the blocks share when `tokens` new tokens follow `start` earlier ones.
    ///
    /// # Errors
    /// When the sequence is over the model's limit.
    pub fn pass(&self, start: usize, tokens: usize, mode: Mode) -> Result<Pass> {
        let limit = self.limits.max_tokens;
        if start + tokens > limit {
            let tokens = start + tokens;
            return Err(Error::TooLong { tokens, limit });
        }
        Ok(Pass {
            positions: self.rope.positions(start, tokens, self.device())?,
            mask: AttentionMask {
                causal: true,
                ..AttentionMask::default()
            },
            mode,
        })
    }

    /// `(B, T)` token ids -> `(B, T, D)` float32.
    ///
    /// # Errors
    /// When memory runs out.
    pub fn embed(&self, tokens: &Tensor) -> Result<Tensor> {
        self.embed_tokens.forward(tokens)
    }

    /// Block `i`: `(B, T, D)` -> `(B, T, D)`.
    ///
    /// # Errors
    /// When memory runs out.
    pub fn block(&self, i: usize, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        self.layers[i].forward(x, pass, None)
    }

    /// The norm before the output head.
    ///
    /// # Errors
    /// When memory runs out.
    pub fn final_norm(&self, x: &Tensor) -> Result<Tensor> {
        self.norm.forward(x)
    }

    /// Weight of the output head, `(V, D)`; the embedding where they are tied.
    #[must_use]
    pub fn head(&self) -> &Weight {
        self.lm_head.as_ref().unwrap_or(&self.embed_tokens.weight)
    }

    /// Logits of every token, `(B, T)` -> `(B, T, V)` float32, without a cache.
    ///
    /// # Errors
    /// When the sequence is over the model's limit.
    pub fn forward(&self, tokens: &Tensor) -> Result<Tensor> {
        let pass = self.pass(0, tokens.dim(1)?, Mode::INFERENCE)?;
        let mut x = self.embed(tokens)?;
        for block in &self.layers {
            x = block.forward(&x, &pass, None)?;
        }
        Ok(linear(&self.final_norm(&x)?, self.head(), None)?)
    }

    /// Logits of the last token, `(B, T)` -> `(B, V)` float32, after the tokens in `cache`, to
    /// which the new ones are added.
    ///
    /// # Errors
    /// When the sequence is over the model's limit.
    pub fn decode(&self, tokens: &Tensor, cache: &mut KvCache) -> Result<Tensor> {
        let t = tokens.dim(1)?;
        let pass = self.pass(cache.len(), t, Mode::INFERENCE)?;
        let mut x = self.embed(tokens)?;
        for (i, block) in self.layers.iter().enumerate() {
            x = block.forward(&x, &pass, cache.block(i))?;
        }
        let last = self.final_norm(&x.narrow(1, t - 1, 1)?)?.squeeze(1)?;
        Ok(linear(&last, self.head(), None)?)
    }

    /// The linear layers of the blocks with their paths.
    pub fn linears(&self) -> impl Iterator<Item = (String, &Linear)> {
        self.layers.iter().enumerate().flat_map(|(i, block)| {
            let named = block.linears().into_iter();
            named.map(move |(name, layer)| (format!("model.layers.{i}.{name}"), layer))
        })
    }

    /// [`Self::linears`], to be changed.
    pub fn linears_mut(&mut self) -> Vec<(String, &mut Linear)> {
        let blocks = self.layers.iter_mut().enumerate();
        let layers = blocks.flat_map(|(i, block)| {
            let named = block.linears_mut().into_iter();
            named.map(move |(name, layer)| (format!("model.layers.{i}.{name}"), layer))
        });
        layers.collect()
    }

    /// The linear layers as a plan of adapters needs to know them.
    ///
    /// # Errors
    /// Never for a model that was loaded.
    pub fn linear_infos(&self) -> Result<Vec<LinearInfo>> {
        let blocks = self.layers.iter().enumerate();
        let infos = blocks.flat_map(|(i, block)| {
            let named = block.linears().into_iter();
            named.map(move |(name, layer)| {
                let (out_features, in_features) = layer.dims()?;
                Ok(LinearInfo {
                    path: format!("model.layers.{i}.{name}"),
                    block: i,
                    in_features,
                    out_features,
                })
            })
        });
        infos.collect()
    }

    /// Every dense weight of the base model with its name in a checkpoint, to be replaced.
    pub fn weights_mut(&mut self) -> Vec<(String, &mut Tensor)> {
        let embedding = self.embed_tokens.weight.tensor_mut();
        let embedding = embedding.map(|weight| ("model.embed_tokens.weight".to_string(), weight));
        let mut weights = Vec::from_iter(embedding);
        for (i, block) in self.layers.iter_mut().enumerate() {
            let named = block.weights_mut().into_iter();
            weights.extend(named.map(|(name, w)| (format!("model.layers.{i}.{name}"), w)));
        }
        weights.push(("model.norm.weight".into(), &mut self.norm.weight));
        let head = self.lm_head.as_mut().and_then(Weight::tensor_mut);
        weights.extend(head.map(|weight| ("lm_head.weight".into(), weight)));
        weights
    }

    /// Number of the base model's parameters.
    pub fn n_parameters(&mut self) -> usize {
        let numbers = |weight: &Weight| weight.dims().map_or(0, |(n, k)| n * k);
        let packed: usize = self.packed().map(|(_, weight)| numbers(weight)).sum();
        let dense = self.weights_mut();
        packed
            + dense
                .iter()
                .map(|(_, weight)| weight.elem_count())
                .sum::<usize>()
    }

    /// Every tensor of the base model with its name in a checkpoint, those of packed matrices too.
    pub fn tensors(&mut self) -> Vec<(String, Tensor)> {
        let packed = self.packed().flat_map(|(path, weight)| {
            let parts = weight.tensors().into_iter();
            parts.map(move |(name, part)| (format!("{path}.{name}"), part.clone()))
        });
        let packed: Vec<_> = packed.collect();
        let dense = self.weights_mut().into_iter();
        let dense = dense.map(|(name, weight)| (name, weight.clone()));
        dense.chain(packed).collect()
    }

    /// Every matrix of the base model with its path, to be replaced.
    pub fn matrices_mut(&mut self) -> Vec<(String, &mut Weight)> {
        let embedding = &mut self.embed_tokens.weight;
        let mut matrices = vec![("model.embed_tokens".to_string(), embedding)];
        for (i, block) in self.layers.iter_mut().enumerate() {
            let named = block.linears_mut().into_iter();
            matrices.extend(
                named.map(|(name, layer)| (format!("model.layers.{i}.{name}"), layer.weight_mut())),
            );
        }
        matrices.extend(self.lm_head.as_mut().map(|head| ("lm_head".into(), head)));
        matrices
    }

    /// The packed matrices of the base model with their paths.
    pub fn packed(&self) -> impl Iterator<Item = (String, &Weight)> {
        let embedding = [("model.embed_tokens".to_string(), &self.embed_tokens.weight)];
        let head = self.lm_head.iter().map(|head| ("lm_head".into(), head));
        let linears = self.linears().map(|(path, layer)| (path, layer.weight()));
        let all = embedding.into_iter().chain(linears).chain(head);
        all.filter(|(_, weight)| matches!(weight, Weight::Packed(_)))
    }

    /// Every dense weight of the base model with its name in a checkpoint, and the output head with
    /// its own name also where it is the embedding.
    pub fn named_weights(&mut self) -> Vec<(String, Tensor)> {
        let tied = self
            .lm_head
            .is_none()
            .then(|| self.head().tensor().cloned());
        let tied = tied.flatten();
        let weights = self.weights_mut().into_iter();
        let mut weights: Vec<_> = weights.map(|(name, w)| (name, w.clone())).collect();
        weights.extend(tied.map(|head| ("lm_head.weight".into(), head)));
        weights
    }
}
