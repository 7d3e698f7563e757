use super::Result;
use crate::data::{Convention, Options, Source, Split, Splits, Tokenizer, longest_row};
use crate::language_model::{config_for, tokenizer_for};
use crate::layout::Arrangement;
use crate::models::Config;
use std::path::Path;

/// Rows of a run, and how much of them is used.
#[derive(Clone, Debug)]
pub struct RowSettings {
    /// Where they are.
    pub source: Source,
    /// Share of the rows to train on that is held out to watch the loss on, where there are no others; `None`: 5 % of data
    /// that are one table.
    pub valid_split: Option<f64>,
    /// Whether only what the assistant says, or the completion, is trained.
    pub mask_prompt: bool,
    /// Rule by which tokens are trained.
    pub convention: Convention,
    /// Longest row in tokens, longer ones are cut; `None`: 2048, or the model's limit.
    pub max_seq_length: Option<usize>,
    /// Arrangement of the rows of a batch.
    pub arrangement: Arrangement,
}

impl RowSettings {
    /// Reads splits with the tokenizer of the model in `base`, or that of an adapter of it that has its own.
    /// The rows to train on or to test have to be there, those to watch the loss on need not.
    ///
    /// # Errors
    /// When the folder of the model or a row cannot be used, or a row may be longer than the model takes.
    pub fn read(&self, base: &Path, adapter: Option<&Path>, wanted: &[Split]) -> Result<Splits> {
        let config = config_for(base, adapter)?;
        let tokenizer = tokenizer_for(base, adapter, &config)?;
        self.read_with(&tokenizer, &config, wanted)
    }

    /// [`Self::read`] with a tokenizer, for a model of this configuration.
    ///
    /// # Errors
    /// When a row cannot be used, or may be longer than the model takes.
    pub(super) fn read_with(
        &self,
        tokenizer: &Tokenizer,
        config: &Config,
        wanted: &[Split],
    ) -> Result<Splits> {
        let options = Options {
            max_seq_length: longest_row(self.max_seq_length, config.max_position_embeddings)?,
            mask_prompt: self.mask_prompt,
            convention: self.convention,
            vocab_size: Some(config.vocab_size),
        };
        let splits = Splits::load(&self.source, wanted, self.valid_split, tokenizer, &options)?;
        for split in wanted.iter().filter(|split| **split != Split::Valid) {
            splits.require(*split)?;
        }
        Ok(splits)
    }
}
