//! Many texts at once: one forward pass a step over the new tokens of all of them.

use super::sequence::{Request, Sequence, Step, Token};
use super::{FinishReason, SequenceId};
use crate::device::{read_back, round};
use crate::layout::{Layout, Span};
use crate::lora::{Context, Share};
use crate::models::{CacheForm, Decoder, KvCache, Result};
use candle_core::Tensor;
use metal_candle_kernels::{download, most_likely};
use std::collections::{BTreeMap, BTreeSet};

/// Prompt tokens of a step at most: enough for products at full speed, few enough that texts which
/// are being generated do not wait long for a new one's prompt.
pub(super) const PREFILL_TOKENS: usize = 2048;

/// Generator of the texts of any number of prompts of different lengths, each with its own sampler,
/// limits and ends, on token ids.
#[derive(Debug)]
pub struct Engine<'a> {
    decoder: &'a Decoder,
    form: CacheForm,
    prefill_tokens: usize,
    sequences: BTreeMap<SequenceId, Sequence>,
    next_id: u64,
}

/// Part of a sequence in a step.
struct Part {
    id: SequenceId,
    n_tokens: usize,
    /// Whether its next token is chosen: the model has then seen all of its tokens.
    chooses: bool,
}

impl<'a> Engine<'a> {
    /// An engine without texts.
    #[must_use]
    pub fn new(decoder: &'a Decoder) -> Self {
        Self {
            decoder,
            form: CacheForm::default(),
            prefill_tokens: PREFILL_TOKENS,
            sequences: BTreeMap::new(),
            next_id: 0,
        }
    }

    /// How keys and values of texts that are inserted from now on are held.
    #[must_use]
    pub fn with_cache(self, form: CacheForm) -> Self {
        Self { form, ..self }
    }

    /// At most so many prompt tokens a step, at least one; 2048 where nothing is said.
    #[must_use]
    pub fn with_prefill_tokens(self, n: usize) -> Self {
        let prefill_tokens = n.max(1);
        Self {
            prefill_tokens,
            ..self
        }
    }

    /// Takes up a text.
    ///
    /// # Errors
    /// When the prompt is empty, longer than the model's limit, or has a token that the model lacks.
    pub fn insert(&mut self, request: Request) -> Result<SequenceId> {
        self.insert_behind(self.decoder.cache(self.form), request)
    }

    /// Takes up a text that goes on behind the tokens of `cache`: penalties look back on its own tokens alone.
    ///
    /// # Errors
    /// Those of [`Self::insert`].
    pub fn insert_behind(&mut self, cache: KvCache, request: Request) -> Result<SequenceId> {
        let sequence = Sequence::new(self.decoder, request, cache)?;
        let id = SequenceId(self.next_id);
        self.next_id += 1;
        self.sequences.insert(id, sequence);
        Ok(id)
    }

    /// Gives a text up; whether it was there.
    pub fn remove(&mut self, id: SequenceId) -> bool {
        self.sequences.remove(&id).is_some()
    }

    /// Number of texts that are not finished.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sequences.len()
    }

    /// Whether all texts are finished.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sequences.is_empty()
    }

    /// One forward pass, and what it led to: a token or the end for each text whose prompt the model
    /// has seen. A finished text is removed, and so is one whose logits are not numbers, which is its
    /// own error and not that of the others.
    ///
    /// # Errors
    /// When memory runs out or the device failed: the texts of this step are removed.
    pub fn step(&mut self) -> Result<Vec<(SequenceId, Result<Step>)>> {
        let mut steps = self.reach_limits();
        for sequence in self.sequences.values_mut() {
            sequence.settle(self.decoder)?;
        }
        let parts = self.parts();
        let tokens = round(|| self.forward(&parts));
        if tokens.is_err() {
            self.sequences
                .retain(|id, _| parts.iter().all(|part| part.id != *id));
        }
        let choosing = parts.iter().filter(|part| part.chooses);
        for (part, token) in choosing.zip(tokens?) {
            let Some(sequence) = self.sequences.get_mut(&part.id) else {
                continue;
            };
            let step = sequence.take(token);
            if !matches!(step, Ok(Step::Token(_))) {
                self.remove(part.id);
            }
            steps.push((part.id, step));
        }
        Ok(steps)
    }

    /// Ends the texts that have come to a limit.
    fn reach_limits(&mut self) -> Vec<(SequenceId, Result<Step>)> {
        let reached = self.sequences.iter().filter_map(|(id, sequence)| {
            let reason = FinishReason::Length(sequence.limit()?);
            Some((*id, Ok(Step::Finished(reason))))
        });
        let reached: Vec<_> = reached.collect();
        for (id, _) in &reached {
            self.remove(*id);
        }
        reached
    }

    /// One token of each text that is being generated, and a share of prompts.
    fn parts(&self) -> Vec<Part> {
        let mut left = self.prefill_tokens;
        let parts = self.sequences.iter().filter_map(|(id, sequence)| {
            let n_pending = sequence.pending().len();
            let n_tokens = match (n_pending, sequence.cache.form()) {
                (1, _) => 1,
                // The last one alone, as mlx-lm passes it: then it sees the kept tokens too.
                (n, CacheForm::Bounded(_)) => left.min(n - 1),
                (n, _) => left.min(n),
            };
            left -= n_tokens.min(left);
            (n_tokens > 0).then_some(Part {
                id: *id,
                n_tokens,
                chooses: n_tokens == n_pending,
            })
        });
        parts.collect()
    }

    /// Token of every part that chooses; `None` where its logits are not numbers.
    fn forward(&mut self, parts: &[Part]) -> Result<Vec<Option<Token>>> {
        let (mut ids, mut spans, mut wanted) = (vec![], vec![], vec![]);
        let mut caches: Vec<&mut KvCache> = vec![];
        let mut adapters = vec![];
        // Parts are in the order of the sequences.
        let mut all = parts.iter().peekable();
        for (id, sequence) in &mut self.sequences {
            let Some(part) = all.next_if(|part| part.id == *id) else {
                continue;
            };
            ids.extend(&sequence.pending()[..part.n_tokens]);
            spans.push(Span {
                sequence: caches.len(),
                start: sequence.cache.len(),
                len: part.n_tokens,
            });
            adapters.push(Share {
                n_tokens: part.n_tokens,
                set: sequence.adapter.clone(),
            });
            wanted.extend(part.chooses.then(|| ids.len() as u32 - 1));
            caches.push(&mut sequence.cache);
        }
        if spans.is_empty() {
            return Ok(vec![]);
        }
        let (layout, context) = (Layout::ragged(spans), Context::shared(adapters));
        if wanted.is_empty() {
            self.decoder.advance(&ids, &layout, &context, &mut caches)?;
            return Ok(vec![]);
        }
        let decoder = self.decoder;
        let logits = decoder.decode(&ids, &layout, &context, &mut caches, &wanted)?;
        // Read back, so that nothing piles up on a GPU.
        Ok(read_back(logits.device(), || self.choose(parts, &logits))?)
    }

    /// The next tokens, from logits `(n, V)` of the parts that choose: on the device where all of them take the most likely
    /// ones.
    fn choose(
        &mut self,
        parts: &[Part],
        logits: &Tensor,
    ) -> candle_core::Result<Vec<Option<Token>>> {
        let choosing: BTreeSet<SequenceId> = parts
            .iter()
            .filter(|part| part.chooses)
            .map(|part| part.id)
            .collect();
        let sequences = self.sequences.iter_mut();
        let mut choosing: Vec<&mut Sequence> = sequences
            .filter(|(id, _)| choosing.contains(id))
            .map(|(_, sequence)| sequence)
            .collect();
        if choosing.iter().all(|sequence| sequence.is_greedy()) {
            let ids = most_likely(logits)?.into_iter();
            return Ok(ids.map(|id| id.map(Token::plain)).collect());
        }
        let (_, width) = logits.dims2()?;
        let logits = download::<f32>(logits)?;
        let rows = choosing.iter_mut().zip(logits.chunks(width));
        Ok(rows.map(|(sequence, row)| sequence.sampled(row)).collect())
    }
}

#[cfg(test)]
mod tests;
