//! Models that requests may name.

use super::Args;
use crate::error::{Error, Result};
use crate::loading;
use crate::terminal::Terminal;
use metal_candle::LanguageModel;
use metal_candle::data::Tokenizer;
use metal_candle::language_model::{own_tokenizer, tokenizer_for};
use metal_candle_serve::Catalogue;
use std::path::Path;
use std::sync::Arc;

/// An adapter as `--adapter-path` names it.
pub struct Named<'a> {
    /// Name that requests give; none for the one that answers unless they name another model.
    name: Option<&'a str>,
    path: &'a str,
}

impl<'a> Named<'a> {
    /// Reads `NAME=PATH` or `PATH`; what lies there under the whole text is a path.
    fn read(given: &'a str) -> Self {
        let split = given.split_once('=').filter(|_| !Path::new(given).exists());
        match split {
            Some((name, path)) => Self {
                name: Some(name),
                path,
            },
            None => Self {
                name: None,
                path: given,
            },
        }
    }
}

/// The adapters of the options.
pub fn named(args: &Args) -> Vec<Named<'_>> {
    let given = args.adapter_path.iter();
    given.map(|given| Named::read(given)).collect()
}

/// Loads the model, with rows for the tokens that the adapter without a name was trained with.
///
/// # Errors
/// When it cannot be read.
pub fn load(args: &Args, terminal: &Terminal) -> Result<LanguageModel> {
    let adapters = named(args);
    let unnamed = adapters.iter().find(|adapter| adapter.name.is_none());
    loading::load_for(
        (&args.model, unnamed.map(|adapter| Path::new(adapter.path))),
        args.weights,
        &args.device.open()?,
        terminal,
    )
}

/// Reads all adapters of `loaded`.
///
/// # Errors
/// When one of them cannot be read, belongs to another model, or has the name of another.
pub fn catalogue(args: &Args, loaded: &LanguageModel, terminal: &Terminal) -> Result<Catalogue> {
    let base = tokenizer(args, loaded, None)?;
    let mut catalogue = Catalogue::new(&args.model, base.clone());
    for Named { name, path } in named(args) {
        let adapter = loading::adapter(&loaded.model, &loaded.folder, Path::new(path))?;
        let tokenizer = match own_tokenizer(Path::new(path)) {
            Some(_) => tokenizer(args, loaded, Some(Path::new(path)))?,
            None => base.clone(),
        };
        if name.is_some() {
            loading::tell_tokenizer(Some(Path::new(path)), terminal);
        }
        let added = catalogue.add(name, path, adapter, tokenizer);
        added.map_err(|error| {
            Error::input(format!("--adapter-path: {error}"))
                .with_advice("give each but one its own name: --adapter-path NAME=PATH")
        })?;
    }
    Ok(catalogue)
}

/// The tokenizer of the model, or of an adapter of it, with the chat template that the options name.
fn tokenizer(
    args: &Args,
    loaded: &LanguageModel,
    adapter: Option<&Path>,
) -> Result<Arc<Tokenizer>> {
    let tokenizer = tokenizer_for(&loaded.folder, adapter, &loaded.model.config)?;
    let variables = args.chat_template_args.clone().unwrap_or_default();
    let tokenizer = tokenizer.with_template_config(variables);
    // mlx-lm's word for the tokenizer's own.
    let template = args.chat_template.as_deref();
    Ok(Arc::new(
        match template.filter(|template| !template.is_empty()) {
            None => tokenizer,
            Some(template) => tokenizer.with_chat_template(template)?,
        },
    ))
}
