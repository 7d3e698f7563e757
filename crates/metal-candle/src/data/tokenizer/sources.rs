//! Files that make a tokenizer: those of a model's folder, or of an adapter's before them.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::data::error::{Error, Result};
use crate::data::templates::Templates;
use crate::files;

const TOKENIZER: &str = "tokenizer.json";
const CONFIG: &str = "tokenizer_config.json";

/// Vocabularies in formats that are not read. A folder may hold several; the first that is there is
/// named.
const OTHER_FORMATS: [&str; 8] = [
    "tokenizer.model",
    "tekken.json",
    "vocab.json",
    "vocab.txt",
    "tiktoken.model",
    "spiece.model",
    "sentencepiece.bpe.model",
    "merges.txt",
];

/// Folders that a tokenizer is read from.
pub(super) struct Sources {
    /// Folder of `tokenizer.json`.
    pub(super) vocabulary: PathBuf,
    /// Folder of `tokenizer_config.json`, `special_tokens_map.json` and `added_tokens.json`: each
    /// completes the others, so they are never mixed.
    settings: PathBuf,
    /// Folders that may have chat templates, the first that has one counts.
    templates: Vec<PathBuf>,
}

impl Sources {
    pub(super) fn of_model(folder: &Path) -> Self {
        Self {
            vocabulary: folder.to_owned(),
            settings: folder.to_owned(),
            templates: vec![folder.to_owned()],
        }
    }

    /// Files of `adapter` where it has them, those of `model` for the rest.
    pub(super) fn of_adapter(adapter: &Path, model: &Path) -> Self {
        let with = |name: &str| match adapter.join(name).is_file() {
            true => adapter.to_owned(),
            false => model.to_owned(),
        };
        Self {
            vocabulary: with(TOKENIZER),
            settings: with(CONFIG),
            templates: vec![adapter.to_owned(), model.to_owned()],
        }
    }

    /// The path of `tokenizer.json`.
    ///
    /// # Errors
    /// [`Error::OtherTokenizer`] and [`Error::NoTokenizer`] when it is not there.
    pub(super) fn tokenizer(&self) -> Result<PathBuf> {
        let folder = &self.vocabulary;
        let path = folder.join(TOKENIZER);
        if files::is_there(&path) {
            return Ok(path);
        }
        let there = OTHER_FORMATS
            .iter()
            .find(|name| folder.join(name).is_file());
        let found = there
            .map(|name| (*name).to_owned())
            .or_else(|| ranks(folder));
        let folder = folder.clone();
        Err(match found {
            Some(found) => Error::OtherTokenizer { folder, found },
            None => Error::NoTokenizer { folder },
        })
    }

    /// Path and object of `tokenizer_config.json`; empty when there is no such file.
    pub(super) fn config(&self) -> Result<(PathBuf, Map<String, Value>)> {
        self.object(CONFIG)
    }

    /// Path and object of a file beside `tokenizer_config.json`.
    pub(super) fn object(&self, name: &str) -> Result<(PathBuf, Map<String, Value>)> {
        let path = self.settings.join(name);
        let object = read_object(&path)?;
        Ok((path, object))
    }

    /// Chat templates of the first folder that has any.
    pub(super) fn templates(&self) -> Result<Templates> {
        let mut templates = Templates::default();
        for folder in &self.templates {
            let path = folder.join(CONFIG);
            templates = Templates::read(folder, &path, &read_object(&path)?)?;
            if !templates.is_empty() {
                break;
            }
        }
        Ok(templates)
    }
}

/// Whether `folder` has a tokenizer's files of its own, as trainers save them beside an adapter.
pub fn has_tokenizer_files(folder: &Path) -> bool {
    [TOKENIZER, CONFIG, "chat_template.jinja"]
        .iter()
        .any(|name| folder.join(name).is_file())
}

/// Name of a file of tiktoken's, e.g. `qwen.tiktoken`.
fn ranks(folder: &Path) -> Option<String> {
    let names = folder
        .read_dir()
        .ok()?
        .flatten()
        .map(|entry| entry.file_name());
    let mut names = names.filter_map(|name| name.into_string().ok());
    names.find(|name| name.ends_with(".tiktoken"))
}

/// The object in a JSON file; empty when there is no such file.
fn read_object(path: &Path) -> Result<Map<String, Value>> {
    if !files::is_there(path) {
        return Ok(Map::new());
    }
    serde_json::from_str(&files::read_text(path)?)
        .map_err(|error| Error::config(path, format!("expected a JSON object: {error}")))
}
