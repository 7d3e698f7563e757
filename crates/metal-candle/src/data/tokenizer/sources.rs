//! Files that make a tokenizer: those of a model's folder or what its GGUF file describes, or of an adapter's folder
//! before them.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use serde_json::{Map, Value};

use crate::data::error::{Error, Result};
use crate::data::templates::Templates;
use crate::files;
use crate::gguf::{GgufFile, tokenizer::TokenizerFiles};

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

/// Places that a tokenizer is read from.
pub(super) struct Sources {
    /// Where `tokenizer.json` is.
    vocabulary: Place,
    /// Where `tokenizer_config.json`, `special_tokens_map.json` and `added_tokens.json` are: each
    /// completes the others, so they are never mixed.
    settings: Place,
    /// Places that may have chat templates, the first that has one counts.
    templates: Vec<Place>,
}

/// A folder, or a GGUF file with what it would have there.
#[derive(Clone)]
enum Place {
    Folder(PathBuf),
    Gguf(PathBuf, Rc<TokenizerFiles>),
}

impl Sources {
    /// # Errors
    /// When the model is a GGUF file that describes no tokenizer that is built.
    pub(super) fn of_model(path: &Path) -> Result<Self> {
        let place = Place::of(path)?;
        Ok(Self {
            vocabulary: place.clone(),
            settings: place.clone(),
            templates: vec![place],
        })
    }

    /// Files of `adapter` where it has them, those of `model` for the rest.
    ///
    /// # Errors
    /// As [`of_model`](Self::of_model).
    pub(super) fn of_adapter(adapter: &Path, model: &Path) -> Result<Self> {
        let (adapter, model) = (Place::Folder(adapter.to_owned()), Place::of(model)?);
        let with = |name: &str| match adapter.path().join(name).is_file() {
            true => adapter.clone(),
            false => model.clone(),
        };
        Ok(Self {
            vocabulary: with(TOKENIZER),
            settings: with(CONFIG),
            templates: vec![adapter.clone(), model.clone()],
        })
    }

    /// The folder or file of the vocabulary.
    pub(super) fn path(&self) -> &Path {
        self.vocabulary.path()
    }

    /// `tokenizer.json`, and the file that it is in.
    ///
    /// # Errors
    /// [`Error::OtherTokenizer`] and [`Error::NoTokenizer`] when it is not there.
    pub(super) fn tokenizer(&self) -> Result<(PathBuf, String)> {
        let folder = match &self.vocabulary {
            Place::Folder(folder) => folder,
            Place::Gguf(path, files) => return Ok((path.clone(), files.tokenizer.to_string())),
        };
        let path = folder.join(TOKENIZER);
        if files::is_there(&path) {
            let text = files::read_text(&path)?;
            return Ok((path, text));
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
        self.settings.object(name)
    }

    /// Chat templates of the first place that has any.
    pub(super) fn templates(&self) -> Result<Templates> {
        let mut templates = Templates::default();
        for place in &self.templates {
            let (path, config) = place.object(CONFIG)?;
            templates = Templates::read(place.path(), &path, &config)?;
            if !templates.is_empty() {
                break;
            }
        }
        Ok(templates)
    }
}

impl Place {
    fn of(path: &Path) -> Result<Self> {
        let path = path.to_owned();
        if !GgufFile::is_at(&path) {
            return Ok(Self::Folder(path));
        }
        let files = TokenizerFiles::read(GgufFile::open(&path)?.metadata())?;
        Ok(Self::Gguf(path, Rc::new(files)))
    }

    fn path(&self) -> &Path {
        match self {
            Self::Folder(path) | Self::Gguf(path, _) => path,
        }
    }

    /// Path and object of a file; empty when there is no such file.
    fn object(&self, name: &str) -> Result<(PathBuf, Map<String, Value>)> {
        match self {
            Self::Gguf(path, files) if name == CONFIG => Ok((path.clone(), files.config.clone())),
            Self::Gguf(path, _) => Ok((path.clone(), Map::new())),
            Self::Folder(folder) => {
                let path = folder.join(name);
                let object = read_object(&path)?;
                Ok((path, object))
            }
        }
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
