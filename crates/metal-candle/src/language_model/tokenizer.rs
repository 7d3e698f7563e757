//! The tokenizer of a model, or of an adapter that has its own.

use super::Result;
use crate::data::{Tokenizer, has_tokenizer_files};
use crate::models::Config;
use std::path::Path;

/// Reads the tokenizer of the model in the folder `model`, or what lies beside an adapter of it instead:
/// trainers that add tokens or a chat template save them there.
///
/// # Errors
/// When its files are not what they should be.
pub fn tokenizer_for(model: &Path, adapter: Option<&Path>, config: &Config) -> Result<Tokenizer> {
    let Some(adapter) = adapter.and_then(own_tokenizer) else {
        return Ok(Tokenizer::from_folder(model)?);
    };
    let tokenizer = Tokenizer::from_adapter(adapter, model)?;
    let (n_ids, n_model) = (tokenizer.n_ids(), config.vocab_size);
    if n_ids > n_model {
        tracing::warn!(
            "the tokenizer in {} has ids up to {}, and the model has {n_model} tokens: those beyond cannot be used",
            adapter.display(),
            n_ids - 1
        );
    }
    Ok(tokenizer)
}

/// Folder of an adapter that has a tokenizer's files of its own. `adapter` is that folder or the tensor file
/// in it; a checkpoint of a run has those of the run's folder.
#[must_use]
pub fn own_tokenizer(adapter: &Path) -> Option<&Path> {
    let folder = match adapter.is_file() {
        true => adapter.parent()?,
        false => adapter,
    };
    let name = folder.file_name().and_then(|name| name.to_str());
    let of_run = folder
        .parent()
        .filter(|_| name.is_some_and(|n| n.starts_with("checkpoint-")));
    [Some(folder), of_run]
        .into_iter()
        .flatten()
        .find(|folder| has_tokenizer_files(folder))
}
