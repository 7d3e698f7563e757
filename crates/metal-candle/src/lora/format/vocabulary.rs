//! Tokens that a model got before an adapter of it was trained (transformers' `resize_token_embeddings`).

use super::check::tensor;
use super::names::{Key, Paths};
use super::{AdapterFile, Format};
use crate::lora::{EMBEDDING, Error, HEAD, LoraConfig};
use candle_core::Tensor;
use std::collections::BTreeMap;

/// Vocabulary of the model that an adapter is for.
#[derive(Clone, Debug)]
pub struct Vocabulary {
    /// Number of its tokens.
    pub n_tokens: usize,
    /// Rows of the tokens that are new, by the names of the weights, as far as the files hold them: PEFT's
    /// `save_embedding_layers`.
    pub new_rows: BTreeMap<String, Tensor>,
}

impl AdapterFile {
    /// Vocabulary that the adapter calls for, where it is larger than one of `n_tokens`.
    ///
    /// # Errors
    /// When tensors are damaged, or the rows of tokens are trained that lie beyond the new ones.
    pub fn grown(&self, n_tokens: usize) -> Result<Option<Vocabulary>, Error> {
        if self.format != Format::Peft {
            return Ok(None);
        }
        let (config, _) = self.settings.config(&[])?;
        let stored = self.weights_by_token()?;
        let rows = stored.values().map(|weight| weight.dims()[0]);
        let n_stored = rows.max().unwrap_or(0).max(n_tokens);
        let n = n_with_trained(&config, n_stored).map_err(|source| self.in_file(source))?;
        if n == n_tokens {
            return Ok(None);
        }
        let mut new_rows = BTreeMap::new();
        for (name, weight) in stored {
            let path = name.strip_suffix(".weight").unwrap_or(&name);
            // A weight that is trained as a whole begins as others do.
            if weight.dim(0)? == n && !config.is_saved(path) {
                let rows = weight.narrow(0, n_tokens, n - n_tokens)?;
                new_rows.insert(name, rows);
            }
        }
        let n_tokens = n;
        Ok(Some(Vocabulary { n_tokens, new_rows }))
    }

    /// Whole weights of the file that have a row for each token.
    fn weights_by_token(&self) -> Result<BTreeMap<String, Tensor>, Error> {
        let paths = Paths::new();
        let names = self.settings.names(&paths);
        let mut found = BTreeMap::new();
        for (key, view) in self.file.tensors()?.iter() {
            let name = match names.key(key) {
                Key::Base(name) if has_row_by_token(&name) => name,
                _ => continue,
            };
            if let (2, Some(weight)) = (view.shape().len(), tensor(&view)?) {
                found.insert(name, weight);
            }
        }
        Ok(found)
    }
}

fn has_row_by_token(weight: &str) -> bool {
    let path = weight.strip_suffix(".weight");
    path.is_some_and(|path| [EMBEDDING, HEAD].contains(&path))
}

/// Number of tokens where `n` have rows and those that are trained may lie behind, without a gap.
fn n_with_trained(config: &LoraConfig, n: usize) -> Result<usize, Error> {
    let mut needed = n;
    for (_, tokens) in &config.trainable_token_indices {
        let largest = tokens.iter().max().copied().unwrap_or(0);
        let n_new = tokens.iter().filter(|token| **token as usize >= n).count();
        if largest as usize >= n + n_new {
            return Err(Error::NoToken {
                id: largest,
                vocab_size: n + n_new,
            });
        }
        needed = needed.max(n + n_new);
    }
    Ok(needed)
}
