//! Models that requests may name: the base, and adapters of it.

use crate::error::{Error, Result};
use metal_candle::data::Tokenizer;
use metal_candle::lora::AdapterSet;
use std::path::Path;
use std::sync::Arc;

/// Name of the model of a request that names none, as mlx-lm has it.
const DEFAULT: &str = "default_model";

/// A model that requests may name.
#[derive(Clone)]
pub struct Entry {
    /// Its name.
    pub id: String,
    /// Path of its adapter as it was given; `None` for the base.
    pub path: Option<String>,
    /// Its adapter.
    pub adapter: Option<Arc<AdapterSet>>,
    /// Its tokenizer, which may be the adapter's own.
    pub tokenizer: Arc<Tokenizer>,
}

/// All models of a server.
pub struct Catalogue {
    base: Entry,
    /// The adapter of requests that name no model, the first one if there is one, then those with names.
    adapters: Vec<Entry>,
    has_default: bool,
    /// Further names of the base.
    aliases: Vec<String>,
}

impl Catalogue {
    /// A catalogue of the base model alone; a folder may be called by its full path too.
    #[must_use]
    pub fn new(id: &str, tokenizer: Arc<Tokenizer>) -> Self {
        Self {
            base: Entry {
                id: id.into(),
                path: None,
                adapter: None,
                tokenizer,
            },
            adapters: vec![],
            has_default: false,
            aliases: full_path(id).into_iter().collect(),
        }
    }

    /// Serves the adapter at `path` under `name`; without one it is that of requests that name no model.
    ///
    /// # Errors
    /// When the name is taken.
    pub fn add(
        &mut self,
        name: Option<&str>,
        path: &str,
        adapter: Arc<AdapterSet>,
        tokenizer: Arc<Tokenizer>,
    ) -> std::result::Result<(), String> {
        let id = name.unwrap_or(DEFAULT);
        let is_reserved = name == Some(DEFAULT) || self.is_base(id);
        if is_reserved || self.adapters.iter().any(|entry| entry.id == id) {
            return Err(match name {
                Some(name) => format!("two models have the name {name:?}"),
                None => "two adapters have no name".into(),
            });
        }
        let entry = Entry {
            id: id.into(),
            path: Some(path.into()),
            adapter: Some(adapter),
            tokenizer,
        };
        match name {
            None => self.adapters.insert(0, entry),
            Some(_) => self.adapters.push(entry),
        }
        self.has_default |= name.is_none();
        Ok(())
    }

    /// Number of an entry, by the fields `model` and `adapters` of a request.
    pub(crate) fn find(&self, model: Option<&str>, adapters: Option<&str>) -> Result<usize> {
        let Some(path) = adapters else {
            return self.named(model.unwrap_or(DEFAULT));
        };
        let found = self.adapters.iter().position(|entry| has_path(entry, path));
        let paths = self
            .adapters
            .iter()
            .filter_map(|entry| entry.path.as_deref());
        let known: Vec<&str> = paths.collect();
        let found = found.ok_or_else(|| Error::no_model("adapters", path, &known))?;
        let own = &self.adapters[found].id;
        match model {
            Some(model) if model != DEFAULT && !self.is_base(model) && model != own => {
                let message = format!("model {model:?} is not the one that adapters {path:?} is");
                Err(Error::field("adapters", message))
            }
            _ => Ok(found + 1),
        }
    }

    fn named(&self, name: &str) -> Result<usize> {
        let found = self.adapters.iter().position(|entry| entry.id == name);
        match found {
            Some(found) => Ok(found + 1),
            None if name == DEFAULT || self.is_base(name) => Ok(0),
            None => {
                let known: Vec<&str> = self.entries().map(|entry| entry.id.as_str()).collect();
                Err(Error::no_model("model", name, &known))
            }
        }
    }

    fn is_base(&self, name: &str) -> bool {
        self.base.id == name || self.aliases.iter().any(|alias| alias == name)
    }

    /// The entry of a number.
    pub(crate) fn entry(&self, number: usize) -> &Entry {
        match number.checked_sub(1) {
            None => &self.base,
            Some(i) => &self.adapters[i],
        }
    }

    /// All entries, that of requests that name none first.
    pub(crate) fn entries(&self) -> impl Iterator<Item = &Entry> {
        let (first, named) = self.adapters.split_at(usize::from(self.has_default));
        first.iter().chain([&self.base]).chain(named)
    }

    /// Name of the base.
    pub(crate) fn base_id(&self) -> &str {
        &self.base.id
    }
}

/// Whether a request that says `path` means this entry; nobody's files are looked at for it.
fn has_path(entry: &Entry, path: &str) -> bool {
    let own = entry.path.as_deref();
    own == Some(path) || own.and_then(full_path).as_deref() == Some(path)
}

fn full_path(path: &str) -> Option<String> {
    let full = Path::new(path).canonicalize().ok()?;
    full.into_os_string().into_string().ok()
}
