use super::cache::{CacheForm, Form, KvCache, PromptCache, PromptCacheInfo};
use super::config::Config;
use super::layers::RmsNorm;
use super::layers::block::{Block, BlockCaches};
use super::layers::experts::EXPERTS;
use super::layers::rope::Rope;
use super::pass::Pass;
use super::{Error, Result};
use crate::layout::{Layout, Span};
use crate::lora::{Context, Embedding, HEAD, Linear};
use candle_core::{DType, Device, Tensor};
use metal_candle_kernels::tape::{cast, scale};
use metal_candle_kernels::{Weight, softcap, upload};
use std::path::Path;

/// A decoder-only language model: embedding, blocks, norm and output head.
#[derive(Debug)]
pub struct Decoder {
    pub(super) embed_tokens: Embedding,
    pub(super) embedding_scale: f64,
    pub(super) layers: Vec<Box<dyn Block>>,
    pub(super) norm: RmsNorm,
    /// `None`: the head is the embedding.
    pub(super) lm_head: Option<Linear>,
    pub(super) logit_scale: f64,
    pub(super) logit_cap: Option<f64>,
    pub(super) ropes: Vec<Rope>,
    pub(super) limits: Limits,
    pub(super) activations: DType,
}

/// Limits that a model cannot go beyond.
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

    /// Dtype of what blocks compute with, from the embedding to the last norm.
    #[must_use]
    pub fn activations(&self) -> DType {
        self.activations
    }

    /// Computes with activations of this dtype from now on, float32 where it was never said: keys and values are held in it too,
    /// and gradients of activations have it. Sums inside of operations, angles, logits, losses and adapters stay float32.
    pub fn set_activations(&mut self, dtype: DType) {
        self.activations = dtype;
    }

    /// Takes note of rows that the ends have got for further tokens.
    pub(super) fn set_vocab_size(&mut self, n_tokens: usize) {
        self.limits.vocab_size = n_tokens;
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
        let (rows, width) = layout.dims();
        Ok(upload(ids, ids.len(), self.device())?.reshape((rows, width))?)
    }

    /// What the blocks share in a pass over whole sequences; `context` says whose adapters they have.
    ///
    /// # Errors
    /// When a sequence is over the model's limit.
    pub fn pass(&self, layout: &Layout, context: &Context) -> Result<Pass> {
        self.check_length(layout)?;
        Pass::whole(layout, &self.ropes, context, self.device())
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
        KvCache::new(self.layers.iter().map(|block| block.window()), form)
    }

    /// A cache that goes on behind the tokens of a file.
    ///
    /// # Errors
    /// When the file's keys and values are not of the form of this model's, or keys of a prompt cannot be kept
    /// ([`Error::NotKept`]).
    pub fn read_cache(&self, file: &PromptCache) -> Result<KvCache> {
        self.check_kept()?;
        let blocks = self.layers.iter();
        let blocks: Vec<_> = blocks.map(|block| (block.window(), block.keys())).collect();
        let form = Form {
            blocks: &blocks,
            max_tokens: self.limits.max_tokens,
            dtype: self.activations,
        };
        file.cache(form, self.device())
    }

    /// Writes the keys and values of `cache` as a file that this model, and mlx-lm, goes on from; `info` tells what they were
    /// made with. What was there stays where that fails.
    ///
    /// # Errors
    /// When the cache is empty, keys of a prompt cannot be kept ([`Error::NotKept`]), or the file cannot be written.
    pub fn write_cache(&self, path: &Path, cache: &KvCache, info: &PromptCacheInfo) -> Result<()> {
        self.check_kept()?;
        PromptCache::write(path, cache, info)
    }

    fn check_kept(&self) -> Result<()> {
        let mut lengths = self.ropes.iter().filter_map(Rope::first_angles);
        match lengths.find(|tokens| *tokens < self.limits.max_tokens) {
            None => Ok(()),
            Some(tokens) => Err(Error::NotKept { tokens }),
        }
    }

    /// Tells a cache how many tokens its sequence has by now, those included that it does not hold yet.
    /// Where the rotary angles of a sequence of this length are others than those of the tokens that it
    /// holds, it forgets them: they have to be passed again.
    ///
    /// # Errors
    /// Those of [`KvCache::trim`] to 0, which has none.
    pub fn expect(&self, cache: &mut KvCache, n_tokens: usize) -> Result<()> {
        if self.outgrows(cache, n_tokens) {
            cache.trim(0)?;
        }
        cache.n_expected = n_tokens;
        Ok(())
    }

    fn outgrows(&self, cache: &KvCache, n_tokens: usize) -> bool {
        let mut ropes = self.ropes.iter();
        !cache.is_empty() && ropes.any(|rope| rope.differs(cache.n_expected, n_tokens))
    }

    /// Token ids, one for every place of `layout` -> `(B, T, D)`.
    ///
    /// # Errors
    /// When an id is not in the vocabulary, there are more or fewer ids than places, or memory runs
    /// out.
    pub fn embed(&self, ids: &[u32], layout: &Layout, context: &Context) -> Result<Tensor> {
        let tokens = self.tokens(ids, layout)?;
        let embedded = self.embed_tokens.forward(&tokens, context)?;
        let embedded = scaled(embedded, self.embedding_scale)?;
        Ok(cast(&embedded, self.activations)?)
    }

    /// Block `i`: `(B, T, D)` -> `(B, T, D)`.
    ///
    /// # Errors
    /// When memory runs out.
    pub fn block(&self, i: usize, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        self.layers[i].forward(x, pass, None)
    }

    /// Whether a layer is a part of an expert, which tokens may come to or not.
    #[must_use]
    pub fn may_rest(&self, path: &str) -> bool {
        path.split('.').any(|part| part == EXPERTS)
    }

    /// What the output head is multiplied by: the norm, and the factor of the logits.
    ///
    /// # Errors
    /// When memory runs out.
    pub fn final_norm(&self, x: &Tensor) -> Result<Tensor> {
        scaled(self.norm.forward(x)?, self.logit_scale)
    }

    /// Weight of the output head, `(V, D)`; the embedding where they are tied.
    #[must_use]
    pub fn head(&self) -> &Weight {
        match &self.lm_head {
            Some(head) => head.weight(),
            None => self.embed_tokens.weight(),
        }
    }

    /// The output head as a layer: that it may be the embedding makes no difference to adapters.
    #[must_use]
    pub fn head_layer(&self) -> Linear {
        Linear::new(HEAD, self.head().clone(), None)
    }

    /// Bound of the logits, `cap * tanh(logit / cap)`.
    #[must_use]
    pub fn logit_cap(&self) -> Option<f64> {
        self.logit_cap
    }

    /// Logits of what [`Self::final_norm`] gives: `(.., D)` -> `(.., V)` float32.
    ///
    /// # Errors
    /// When memory runs out.
    pub fn logits(&self, hidden: &Tensor, context: &Context) -> Result<Tensor> {
        let hidden = cast(hidden, DType::F32)?;
        let logits = self.head_layer().forward(&hidden, context)?;
        match self.logit_cap {
            Some(cap) => Ok(softcap(&logits, cap)?),
            None => Ok(logits),
        }
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
    /// When a token is not in the vocabulary, a sequence is over the model's limit or has outgrown its
    /// cache ([`Self::expect`]), or memory runs out: the caches are of no use then.
    pub fn decode(
        &self,
        ids: &[u32],
        layout: &Layout,
        context: &Context,
        caches: &mut [&mut KvCache],
        wanted: &[u32],
    ) -> Result<Tensor> {
        let x = self.advance(ids, layout, context, caches)?;
        let hidden = self.at(&x, wanted)?.squeeze(0)?;
        self.logits(&self.final_norm(&hidden)?, &context.at(wanted))
    }

    /// Hidden states in these places, `(1, n, D)`.
    fn at(&self, x: &Tensor, places: &[u32]) -> Result<Tensor> {
        if places.iter().copied().eq(0..x.dim(1)? as u32) {
            return Ok(x.clone());
        }
        let places = upload(places, places.len(), self.device())?;
        Ok(x.index_select(&places, 1)?)
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
        let lengths = self.lengths(layout, caches)?;
        let length = |span: Span| lengths[span.sequence];
        let pass = Pass::new(layout, (&self.ropes, &length), context, self.device())?;
        let mut x = self.embed(ids, layout, context)?;
        for (i, block) in self.layers.iter().enumerate() {
            let of_block: BlockCaches<'_> = caches.iter_mut().map(|c| c.block(i)).collect();
            x = block.forward(&x, &pass, Some(of_block))?;
        }
        Ok(x)
    }

    /// Numbers of tokens that the sequences of `caches` have, with those of `layout`.
    fn lengths(&self, layout: &Layout, caches: &mut [&mut KvCache]) -> Result<Vec<usize>> {
        for (_, span) in layout.spans() {
            let cache = &mut *caches[span.sequence];
            let tokens = cache.n_expected.max(span.end());
            if self.outgrows(cache, tokens) {
                let held = cache.len();
                return Err(Error::Outgrown { tokens, held });
            }
            cache.n_expected = tokens;
        }
        Ok(caches.iter().map(|cache| cache.n_expected).collect())
    }

    /// Gives the output head a weight of its own where it is the embedding.
    pub(super) fn untie(&mut self) {
        let head = self.head_layer();
        self.lm_head.get_or_insert(head);
    }
}

fn scaled(x: Tensor, factor: f64) -> Result<Tensor> {
    match factor == 1.0 {
        true => Ok(x),
        false => Ok(scale(&x, factor)?),
    }
}
