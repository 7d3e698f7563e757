use super::engine::PREFILL_TOKENS;
use super::sequence::check_prompt;
use crate::device::{finish, round};
use crate::layout::{Layout, Span};
use crate::lora::{AdapterSet, Context, Share};
use crate::models::{CacheForm, Decoder, KvCache, Result};
use std::sync::Arc;

/// Keys and values of a prompt, with the adapters of `set`; nothing is generated.
///
/// # Errors
/// When the prompt is empty, longer than the model's limit or has a token that the model lacks, or memory runs out.
pub fn read_prompt(
    decoder: &Decoder,
    prompt: &[u32],
    set: Option<Arc<AdapterSet>>,
    form: CacheForm,
) -> Result<KvCache> {
    check_prompt(decoder, prompt)?;
    decoder.room(prompt.len())?;
    let mut cache = decoder.cache(form);
    decoder.expect(&mut cache, prompt.len())?;
    for ids in parts(prompt, form) {
        round(|| read(decoder, ids, set.clone(), &mut cache))?;
        // So that nothing piles up on a GPU.
        finish(decoder.device())?;
    }
    Ok(cache)
}

/// What is passed at once. Under a bound the last token comes alone, as mlx-lm passes it: then it sees the kept tokens too.
fn parts(prompt: &[u32], form: CacheForm) -> impl Iterator<Item = &[u32]> {
    let n_alone = usize::from(matches!(form, CacheForm::Bounded(_)));
    let (first, alone) = prompt.split_at(prompt.len() - n_alone);
    first.chunks(PREFILL_TOKENS).chain(alone.chunks(1))
}

fn read(
    decoder: &Decoder,
    ids: &[u32],
    set: Option<Arc<AdapterSet>>,
    cache: &mut KvCache,
) -> Result<()> {
    let span = Span {
        sequence: 0,
        start: cache.len(),
        len: ids.len(),
    };
    let share = Share {
        n_tokens: ids.len(),
        set,
    };
    let (layout, context) = (Layout::ragged(vec![span]), Context::shared(vec![share]));
    decoder.advance(ids, &layout, &context, &mut [cache])?;
    Ok(())
}
