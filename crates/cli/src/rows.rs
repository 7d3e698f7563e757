//! `--data`: a folder, a file, standard input, or a data set of the Hugging Face hub.

use crate::error::{Error, Result};
use crate::hub;
use crate::row_keys::RowKeys;
use crate::terminal::Terminal;
use metal_candle::data::{Convention, Dataset, Options, RowKind, Source, Split, longest_row};
use metal_candle::{LanguageModel, files};
use std::io::IsTerminal;
use std::path::Path;

/// Name of standard input.
const STDIN: &str = "-";

/// Finds the rows that `--data` names.
///
/// # Errors
/// When nothing of that name is there, or it cannot be downloaded or read.
pub fn find(path: &Path, keys: &RowKeys, terminal: &Terminal) -> Result<Source> {
    let source = match path.to_str() {
        Some(STDIN) => stdin(terminal)?,
        Some(name) if hub::is_data_set(name) && !files::is_there(path) => {
            hub::data_set(name, terminal)?
        }
        _ if files::is_there(path) => Source::at(path)?,
        _ => {
            return Err(Error::input(format!(
                "--data {}: this folder or file does not exist",
                path.display()
            ))
            .with_advice(
                "check the path; --data names a folder with train.jsonl, a file of rows, - for standard input, or a \
                 data set of the Hugging Face hub as OWNER/NAME",
            ));
        }
    };
    Ok(source.with_keys(keys.keys()))
}

/// So many rows, in words.
pub fn counted(n: usize) -> String {
    match n {
        1 => "1 row".to_owned(),
        n => format!("{n} rows"),
    }
}

/// Rows of one file, which a command looks at and does not train on.
pub struct OneFile<'a> {
    /// The file, as `--data` names it.
    pub path: &'a Path,
    /// Columns that were named.
    pub keys: &'a RowKeys,
    /// Tokens of a row at most; those of the model if `None`.
    pub max_seq_length: Option<usize>,
    /// Whether prompts have no loss.
    pub mask_prompt: bool,
    /// Whether rows may be pairs of a better and a worse answer.
    pub takes_pairs: bool,
}

impl OneFile<'_> {
    /// Reads the rows.
    ///
    /// # Errors
    /// When `--data` names a folder or nothing, or the rows cannot be used.
    pub fn read(&self, loaded: &LanguageModel, terminal: &Terminal) -> Result<Dataset> {
        let limit = loaded.model.config.max_position_embeddings;
        let longest = longest_row(self.max_seq_length, limit)?;
        self.read_within(longest, loaded, terminal)
    }

    /// Reads the rows, which may be longer than the model takes.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn read_whole(&self, loaded: &LanguageModel, terminal: &Terminal) -> Result<Dataset> {
        self.read_within(usize::MAX, loaded, terminal)
    }

    fn read_within(
        &self,
        longest: usize,
        loaded: &LanguageModel,
        terminal: &Terminal,
    ) -> Result<Dataset> {
        if self.path.is_dir() {
            let shown = self.path.display();
            return Err(Error::input(format!("--data {shown}: this is a folder"))
                .with_advice("name a file of rows in it"));
        }
        let source = find(self.path, self.keys, terminal)?;
        let config = &loaded.model.config;
        let are_pairs = self.takes_pairs && source.kind() == Some(RowKind::Preference);
        let options = Options {
            max_seq_length: longest,
            mask_prompt: self.mask_prompt,
            convention: match are_pairs {
                true => Convention::Pairs,
                false => Convention::Standard,
            },
            vocab_size: Some(config.vocab_size),
        };
        let (split, tokenizer) = (Split::Train, &loaded.tokenizer);
        Ok(Dataset::load_split(&source, split, tokenizer, &options)?)
    }
}

fn stdin(terminal: &Terminal) -> Result<Source> {
    let stdin = std::io::stdin().lock();
    if stdin.is_terminal() {
        terminal.say("Reading rows from standard input");
    }
    Ok(Source::of_reader("standard input", stdin)?)
}
