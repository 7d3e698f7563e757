//! Files of a prompt's keys and values, as `mlx_lm.cache_prompt` writes them (mlx-lm 0.32.2, `models/cache.py`,
//! `save_prompt_cache`): a safetensors file with tensors for every block, and in its header the model, the class of each
//! block's cache and which tensors stand for numbers.

mod block;
mod header;

pub use header::PromptCacheInfo;

use super::{Bound, Cache, CacheForm, Contiguous, Held, KvCache, Rotating};
use crate::files;
use crate::models::checkpoint::Shard;
use crate::models::{Error, Result};
use candle_core::{DType, Device, Tensor};
use std::path::{Path, PathBuf};

/// Keys and values of a prompt, as a file holds them.
#[derive(Debug)]
pub struct PromptCache {
    /// What they were made with.
    pub info: PromptCacheInfo,
    path: PathBuf,
    blocks: Vec<Held>,
}

/// Form of a model's keys and values.
#[derive(Clone, Copy, Debug)]
pub(in crate::models) struct Form<'a> {
    /// Number of tokens that a query of each block sees, all where absent; its heads of keys, and their width.
    pub(in crate::models) blocks: &'a [(Option<usize>, (usize, usize))],
    pub(in crate::models) max_tokens: usize,
    pub(in crate::models) dtype: DType,
}

/// Fault of a file, in words.
type Problem = String;

/// Something of a file, or what is wrong with it.
type Checked<T> = std::result::Result<T, Problem>;

impl PromptCache {
    /// Reads a file.
    ///
    /// # Errors
    /// When it is missing, damaged or holds caches of another kind than keys and values of all tokens or of the last ones,
    /// in floats or quantized.
    pub fn read(path: &Path) -> Result<Self> {
        let shard = Shard::open(path)?;
        let header = shard.metadata.metadata().as_ref();
        let (info, classes) = header::read(header).map_err(at(path))?;
        let classes = classes.iter().enumerate();
        let blocks = classes.map(|(i, class)| {
            let block = block::read(&shard, i, class);
            block.map_err(|problem| format!("block {i}: {problem}"))
        });
        let blocks = blocks.collect::<Checked<_>>().map_err(at(path))?;
        shard.check_unchanged()?;
        Ok(Self {
            info,
            path: path.to_path_buf(),
            blocks,
        })
    }

    /// Writes the keys and values of `cache` as a file, or leaves what was there.
    ///
    /// # Errors
    /// When the cache is empty, or the file cannot be written.
    pub(in crate::models) fn write(
        path: &Path,
        cache: &KvCache,
        info: &PromptCacheInfo,
    ) -> Result<()> {
        let blocks = cache.blocks.iter().map(|block| block.held());
        let blocks: Option<Vec<Held>> = blocks.collect::<Result<_>>()?;
        let blocks = blocks.ok_or(Error::EmptyPrompt)?;
        let (classes, tensors): (Vec<_>, Vec<_>) =
            blocks.iter().map(|held| block::write(held)).unzip();
        let (mut named, mut scalars) = (vec![], vec![]);
        for (i, tensors) in tensors.into_iter().enumerate() {
            for (j, tensor) in tensors?.into_iter().enumerate() {
                let name = format!("{i}.{j}");
                scalars.extend(tensor.dims().is_empty().then(|| name.clone()));
                named.push((name, tensor));
            }
        }
        let header = header::write(info, &classes, &scalars);
        Ok(files::write_headed_tensors(path, named, header)?)
    }

    /// Number of tokens.
    #[must_use]
    pub fn n_tokens(&self) -> usize {
        self.blocks.first().map_or(0, |held| held.n_tokens)
    }

    /// A cache that goes on behind them, on `device`.
    pub(in crate::models) fn cache(&self, form: Form<'_>, device: &Device) -> Result<KvCache> {
        self.check(form).map_err(at(&self.path))?;
        let mut cache = KvCache::new([], CacheForm::default());
        for (held, (window, _)) in self.blocks.iter().zip(form.blocks) {
            let bound = bound(held, *window, form.max_tokens);
            if let (None, Some(bound)) = (window, bound) {
                cache.form = CacheForm::Bounded(bound.tokens);
            }
            cache.blocks.push(behind(held, bound, form.dtype, device)?);
        }
        cache.n_expected = self.n_tokens();
        Ok(cache)
    }

    fn check(&self, form: Form<'_>) -> Checked<()> {
        let (n, of_model) = (self.blocks.len(), form.blocks.len());
        if n != of_model {
            return Err(format!(
                "caches of {n} blocks, and the model has {of_model}"
            ));
        }
        let (n_tokens, limit) = (self.n_tokens(), form.max_tokens);
        if n_tokens > limit {
            return Err(format!("{n_tokens} tokens, and the model takes {limit}"));
        }
        let blocks = self.blocks.iter().zip(form.blocks).enumerate();
        blocks.into_iter().try_for_each(|(i, (held, of_model))| {
            fits(held, n_tokens, *of_model).map_err(|problem| format!("block {i}: {problem}"))
        })
    }
}

/// A block's cache that goes on behind `held`.
fn behind(
    held: &Held,
    bound: Option<Bound>,
    dtype: DType,
    device: &Device,
) -> Result<Box<dyn Cache>> {
    let on_device = |tensor: &Tensor| tensor.to_device(device)?.to_dtype(dtype);
    let [keys, values] = &held.tokens;
    let tokens = [on_device(keys)?, on_device(values)?];
    Ok(match bound {
        None => Box::new(Contiguous::of(&tokens)?),
        Some(bound) => Box::new(Rotating::of(held.n_tokens, &tokens, bound)?),
    })
}

/// What a block's cache forgets: nothing, where the text ends before.
fn bound(held: &Held, window: Option<usize>, max_tokens: usize) -> Option<Bound> {
    let of_window = window.map(|tokens| Bound { tokens, keep: 0 });
    of_window.or(held.bound.filter(|bound| bound.tokens < max_tokens))
}

/// Checks that a block with this window and these heads can go on behind `held`.
fn fits(
    held: &Held,
    n_tokens: usize,
    (window, (heads, width)): (Option<usize>, (usize, usize)),
) -> Checked<()> {
    if held.n_tokens != n_tokens {
        return Err(format!(
            "{} tokens, the first block has {n_tokens}",
            held.n_tokens
        ));
    }
    for (name, tensor) in ["keys", "values"].into_iter().zip(&held.tokens) {
        let (_, g, _, d) = tensor.dims4().map_err(|error| error.to_string())?;
        if (g, d) != (heads, width) {
            return Err(format!(
                "{name} of {g} heads of {d} numbers, and the model has {heads} of {width}"
            ));
        }
    }
    match (held.bound, window) {
        (Some(Bound { tokens, keep }), Some(window)) if (tokens, keep) != (window, 0) => {
            Err(format!(
                "a cache of {tokens} tokens, the first {keep} among them, and the model has a window of {window}"
            ))
        }
        _ => Ok(()),
    }
}

fn at(path: &Path) -> impl Fn(Problem) -> Error + '_ {
    |problem| Error::PromptCache {
        path: path.to_path_buf(),
        problem,
    }
}
