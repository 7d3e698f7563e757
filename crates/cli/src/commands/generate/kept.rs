//! `--prompt-cache-file`: a text that goes on behind a prompt that was read before.

use super::Args;
use crate::error::{Error, Result};
use metal_candle::models::PromptCache;
use std::path::Path;

/// The file, where one was given, and the model's name: its own, where no other was given.
///
/// # Errors
/// When the file cannot be read, or was made with another model or adapter than those given.
pub fn open(args: &Args) -> Result<(Option<PromptCache>, String)> {
    let Some(path) = &args.prompt_cache_file else {
        // The command line has one of both.
        return Ok((None, args.model.clone().unwrap_or_default()));
    };
    let file = PromptCache::read(path)?;
    let made_with = &file.info;
    let model = args
        .model
        .clone()
        .unwrap_or_else(|| made_with.model.clone());
    check(path, "model", &model, &made_with.model)?;
    if let Some(made_with) = &made_with.adapter {
        let adapter = adapter_name(args.adapter_path.as_deref());
        check(path, "adapter", &adapter, made_with)?;
    }
    if args.cache.max_kv_size.is_some() {
        tracing::warn!("--max-kv-size changes nothing: the file has its own bound, or none");
    }
    Ok((Some(file), model))
}

/// Name of an adapter as files have it: empty where there is none.
pub fn adapter_name(path: Option<&Path>) -> String {
    path.map_or_else(String::new, |path| path.display().to_string())
}

fn check(file: &Path, what: &str, given: &str, made_with: &str) -> Result<()> {
    match given == made_with || is_one_folder(given, made_with) {
        true => Ok(()),
        false => Err(Error::input(format!(
            "{}: made with {}, not with {}",
            file.display(),
            named(what, made_with),
            named(what, given)
        ))
        .with_advice("what a model makes of a prompt is of no use for another: give the same, or make another file with cache-prompt")),
    }
}

fn named(what: &str, name: &str) -> String {
    match name.is_empty() {
        true => format!("no {what}"),
        false => format!("{what} {name}"),
    }
}

fn is_one_folder(first: &str, second: &str) -> bool {
    let of = |name: &str| Path::new(name).canonicalize().ok();
    of(first).is_some() && of(first) == of(second)
}
