use super::cache::{CacheForm, KvCache};
use super::config::Config;
use super::layers::{Block, BlockCaches, RmsNorm};
use super::pass::Pass;
use super::rope::Rope;
use super::{Error, Result};
use crate::layout::Layout;
use crate::lora::{Context, Embedding, Kind, LayerInfo, Linear};
use candle_core::{Device, Tensor};
use metal_candle_kernels::Weight;

const HEAD: &str = "lm_head";

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
        self.embed_tokens.weight().device()
    }

    /// Token ids as a tensor of the layout's dimensions, `(B, T)`.
    fn tokens(&self, ids: &[u32], layout: &Layout) -> Result<Tensor> {
        let vocab_size = self.limits.vocab_size;
        if let Some(&id) = ids.iter().find(|&&id| id as usize >= vocab_size) {
            return Err(Error::TokenOutOfRange { id, vocab_size });
        }
        Ok(Tensor::new(ids, self.device())?.reshape(layout.dims())?)
    }

    /// What the blocks share in a pass over whole sequences; `context` says whose adapters they have.
    ///
    /// # Errors
    /// When a sequence is over the model's limit.
    pub fn pass(&self, layout: &Layout, context: &Context) -> Result<Pass> {
        self.check_length(layout)?;
        Pass::whole(layout, &self.rope, context, self.device())
    }

    fn check_length(&self, layout: &Layout) -> Result<()> {
        let (tokens, limit) = (layout.longest(), self.limits.max_tokens);
        match tokens > limit {
            true => Err(Error::TooLong { tokens, limit }),
            false => Ok(()),
        }
    }

    /// Number of tokens that the model's limit leaves room for after a prompt. The last one needs no
    /// position: nothing comes after it.
    ///
    /// # Errors
    /// When the prompt is over the limit itself.
    pub fn room(&self, n_prompt_tokens: usize) -> Result<usize> {
        let (tokens, limit) = (n_prompt_tokens, self.limits.max_tokens);
        match limit.checked_sub(tokens) {
            Some(left) => Ok(left.saturating_add(1)),
            None => Err(Error::TooLong { tokens, limit }),
        }
    }

    /// An empty cache of one sequence.
    #[must_use]
    pub fn cache(&self, form: CacheForm) -> KvCache {
        KvCache::new(self.layers.iter().map(|_| None), form)
    }

    /// Token ids, one for every place of `layout` -> `(B, T, D)` float32.
    ///
    /// # Errors
    /// When an id is not in the vocabulary, there are more or fewer ids than places, or memory runs
    /// out.
    pub fn embed(&self, ids: &[u32], layout: &Layout, context: &Context) -> Result<Tensor> {
        let tokens = self.tokens(ids, layout)?;
        Ok(self.embed_tokens.forward(&tokens, context)?)
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
        self.lm_head.as_ref().unwrap_or(self.embed_tokens.weight())
    }

    /// The output head as a layer: that it may be the embedding makes no difference to adapters.
    #[must_use]
    pub fn head_layer(&self) -> Linear {
        Linear::new(HEAD, self.head().clone(), None)
    }

    /// Logits of hidden states behind the last norm: `(.., D)` -> `(.., V)` float32.
    ///
    /// # Errors
    /// When memory runs out.
    pub fn logits(&self, hidden: &Tensor, context: &Context) -> Result<Tensor> {
        Ok(self.head_layer().forward(hidden, context)?)
    }

    /// Logits of every place of `layout`, `(B, T, V)` float32, in a pass over whole sequences.
    ///
    /// # Errors
    /// Those of [`Self::pass`] and [`Self::embed`].
    pub fn forward(&self, ids: &[u32], layout: &Layout, context: &Context) -> Result<Tensor> {
        let pass = self.pass(layout, context)?;
        let mut x = self.embed(ids, layout, context)?;
        for block in &self.layers {
            x = block.forward(&x, &pass, None)?;
        }
        self.logits(&self.final_norm(&x)?, context)
    }

    /// Logits, `(n, V)` float32, of the tokens in the places `wanted`, of which there is one at
    /// least. The tokens of `layout`, which has one row, follow those in the caches of their
    /// sequences, and are added to them.
    ///
    /// # Errors
    /// When a token is not in the vocabulary, a sequence is over the model's limit, or memory runs
    /// out: the caches are of no use then.
    pub fn decode(
        &self,
        ids: &[u32],
        layout: &Layout,
        context: &Context,
        caches: &mut [&mut KvCache],
        wanted: &[u32],
    ) -> Result<Tensor> {
        let x = self.advance(ids, layout, context, caches)?;
        let places = Tensor::new(wanted, self.device())?;
        let hidden = x.index_select(&places, 1)?.squeeze(0)?;
        self.logits(&self.final_norm(&hidden)?, &context.at(wanted))
    }

    /// Hidden state behind the last block, `(1, T, D)`, as [`Self::decode`] does without logits.
    ///
    /// # Errors
    /// Those of [`Self::decode`].
    pub fn advance(
        &self,
        ids: &[u32],
        layout: &Layout,
        context: &Context,
        caches: &mut [&mut KvCache],
    ) -> Result<Tensor> {
        self.check_length(layout)?;
        let pass = Pass::cached(layout, &self.rope, context, self.device())?;
        let mut x = self.embed(ids, layout, context)?;
        for (i, block) in self.layers.iter().enumerate() {
            let of_block: BlockCaches<'_> = caches.iter_mut().map(|c| c.block(i)).collect();
            x = block.forward(&x, &pass, Some(of_block))?;
        }
        Ok(x)
    }

    /// The linear layers of the blocks.
    pub fn linears(&self) -> impl Iterator<Item = &Linear> {
        let blocks = self.layers.iter();
        blocks.flat_map(|block| block.linears().into_iter().map(|(_, layer)| layer))
    }

    /// [`Self::linears`], to be changed.
    pub fn linears_mut(&mut self) -> impl Iterator<Item = &mut Linear> {
        let blocks = self.layers.iter_mut();
        blocks.flat_map(|block| block.linears_mut().into_iter().map(|(_, layer)| layer))
    }

    /// The layers that can carry adapters, in the order of the data: the token embedding, the linear
    /// layers of the blocks and the output head.
    #[must_use]
    pub fn adaptable(&self) -> Vec<Linear> {
        let blocks = self.linears().cloned();
        let embedding = self.embed_tokens.layer().clone();
        let head = self.head_layer();
        std::iter::once(embedding)
            .chain(blocks)
            .chain([head])
            .collect()
    }

    /// [`Self::adaptable`] as a plan of adapters needs to know it.
    ///
    /// # Errors
    /// Never for a model that was loaded.
    pub fn layer_infos(&self) -> Result<Vec<LayerInfo>> {
        let info = |layer: &Linear, block| -> Result<LayerInfo> {
            let (out_features, in_features) = layer.dims()?;
            Ok(LayerInfo {
                path: layer.path().into(),
                kind: Kind::Linear,
                block,
                in_features,
                out_features,
            })
        };
        let (v, d) = self.embed_tokens.weight().dims()?;
        let embedding = LayerInfo {
            path: self.embed_tokens.layer().path().into(),
            kind: Kind::Embedding,
            block: None,
            in_features: v,
            out_features: d,
        };
        let blocks = self.layers.iter().enumerate().flat_map(|(i, block)| {
            let linears = block.linears().into_iter();
            linears.map(move |(_, layer)| info(layer, Some(i)))
        });
        let mut infos = vec![embedding];
        for layer in blocks.chain([info(&self.head_layer(), None)]) {
            infos.push(layer?);
        }
        Ok(infos)
    }

    /// Every dense weight of the base model with its name in a checkpoint, to be replaced.
    pub fn weights_mut(&mut self) -> Vec<(String, &mut Tensor)> {
        let embedding = self.embed_tokens.weight_mut().tensor_mut();
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
        let embedding = self.embed_tokens.weight_mut();
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

    /// Gives the output head a weight of its own where it is the embedding.
    pub(super) fn untie(&mut self) {
        let embedding = self.embed_tokens.weight();
        self.lm_head.get_or_insert_with(|| embedding.clone());
    }

    /// The packed matrices of the base model with their paths.
    pub fn packed(&self) -> impl Iterator<Item = (String, &Weight)> {
        let embedding = [("model.embed_tokens".to_string(), self.embed_tokens.weight())];
        let head = self.lm_head.iter().map(|head| ("lm_head".into(), head));
        let linears = self.linears();
        let linears = linears.map(|layer| (layer.path().to_string(), layer.weight()));
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
