//! Fetching a model into the cache. It appears, by its reference, when all its files are there.

use super::cache;
use super::environment::Environment;
use super::files::{INDEX, REQUIRED, SINGLE, is_companion, is_file_name, other_kind, shards};
use super::transfer::{Transfer, Wanted};
use crate::error::{Error, Result};
use crate::terminal::Terminal;
use metal_candle::models::Config;
use serde::Deserialize;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Largest file that is not weights; the largest tokenizers have some tens of MB.
const MAX_SMALL_BYTES: u64 = 512 << 20;

/// Largest file of weights that the hub takes, and as much again.
const MAX_WEIGHTS_BYTES: u64 = 1 << 40;

/// A model as the hub describes it.
#[derive(Deserialize)]
struct Description {
    /// The commit that is the latest now: every file is fetched from it, whatever is pushed
    /// meanwhile.
    sha: String,
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
}

impl Description {
    fn has(&self, file: &str) -> bool {
        self.has_any(&|other| other == file)
    }

    fn has_any(&self, is_wanted: &dyn Fn(&str) -> bool) -> bool {
        self.siblings
            .iter()
            .any(|other| is_wanted(&other.rfilename))
    }
}

/// Downloads the model `name`; gives its folder.
///
/// # Errors
/// When there is no such model, no network, or no room.
pub fn download(environment: &Environment, name: &str, terminal: &Terminal) -> Result<PathBuf> {
    let transfer = Transfer::new(environment, name, terminal);
    let endpoint = &environment.endpoint;
    let url = format!("{endpoint}/api/models/{name}/revision/main");
    let description: Description = transfer.json(&url)?;
    check_commit(&url, &description.sha)?;
    check_kind(name, &description)?;
    let repo = cache::repo(environment, name);
    let folder = repo.pointer_path(&description.sha);
    let fetch = |file: &str, max_bytes: u64| {
        transfer.file(&Wanted {
            url: &format!("{endpoint}/{name}/resolve/{}/{file}", description.sha),
            name: file,
            path: &folder.join(file),
            max_bytes,
        })
    };
    for file in small_files(&description) {
        fetch(file, MAX_SMALL_BYTES)?;
    }
    // What is not built is known before gigabytes of it are fetched.
    Config::read(&folder)?;
    for file in weight_files(&description, &folder, |index| fetch(index, MAX_SMALL_BYTES))? {
        fetch(&file, MAX_WEIGHTS_BYTES)?;
    }
    let made = repo.create_ref(&description.sha);
    made.map_err(|source| transfer.cannot_write(&folder, &source))?;
    Ok(folder)
}

/// Checks a commit, which becomes the name of a folder.
///
/// # Errors
/// When it is none.
pub fn check_commit(url: &str, sha: &str) -> Result<()> {
    match is_file_name(sha) && sha.chars().all(|c| c.is_ascii_alphanumeric()) {
        true => Ok(()),
        false => Err(Error::failed(format!("{url}: not a commit: {sha:?}"))),
    }
}

/// Refuses what is no model before any of it is fetched, and says what it is.
fn check_kind(name: &str, description: &Description) -> Result<()> {
    if !description.has(SINGLE) && !description.has(INDEX) {
        let other = other_kind(|is_one| description.has_any(is_one));
        let (what, advice) = other.unwrap_or((
            "has no safetensors",
            "choose a model whose weights are in model.safetensors",
        ));
        return Err(Error::input(format!("{name} on the hub {what}")).with_advice(advice));
    }
    let Some(missing) = REQUIRED.iter().find(|file| !description.has(file)) else {
        return Ok(());
    };
    let advice = match description.has("tokenizer.model") {
        true => {
            "it has a tokenizer.model only: save it anew with the fast tokenizer of transformers"
        }
        false => "choose a model with Hugging Face's config.json and tokenizer.json",
    };
    Err(Error::input(format!("{name} has no {missing} on the hub")).with_advice(advice))
}

fn small_files(description: &Description) -> Vec<&str> {
    let names = description
        .siblings
        .iter()
        .map(|other| other.rfilename.as_str());
    let companions: BTreeSet<&str> = names.filter(|name| is_companion(name)).collect();
    REQUIRED.into_iter().chain(companions).collect()
}

/// Names of the weights' files; an index is fetched for them.
fn weight_files(
    description: &Description,
    folder: &Path,
    fetch: impl Fn(&str) -> Result<()>,
) -> Result<BTreeSet<String>> {
    if description.has(SINGLE) {
        return Ok([SINGLE.to_string()].into());
    }
    fetch(INDEX)?;
    shards(&folder.join(INDEX))
}
