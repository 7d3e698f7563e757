//! Fetching a model into the cache. It appears, by its reference, when all its files are there.

use super::cache;
use super::environment::Environment;
use super::files::{INDEX, OPTIONAL, REQUIRED, SINGLE, shards};
use super::transfer::Transfer;
use crate::error::{Error, Result};
use crate::terminal::Terminal;
use serde::Deserialize;
use std::path::{Component, Path, PathBuf};

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
        self.siblings.iter().any(|other| other.rfilename == file)
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
    let repo = cache::repo(environment, name);
    let folder = repo.pointer_path(&description.sha);
    let fetch = |file: &str| {
        let url = format!("{endpoint}/{name}/resolve/{}/{file}", description.sha);
        transfer.file(&url, file, &folder.join(file))
    };
    for file in small_files(name, &description)? {
        fetch(file)?;
    }
    if description.has(INDEX) {
        fetch(INDEX)?;
    }
    for file in weight_files(name, &description, &folder)? {
        fetch(&file)?;
    }
    let made = repo.create_ref(&description.sha);
    made.map_err(|source| transfer.cannot_write(&folder, &source))?;
    Ok(folder)
}

/// The commit becomes the name of a folder.
fn check_commit(url: &str, sha: &str) -> Result<()> {
    match !sha.is_empty() && sha.chars().all(|c| c.is_ascii_alphanumeric()) {
        true => Ok(()),
        false => Err(Error::failed(format!("{url}: not a commit: {sha:?}"))),
    }
}

fn small_files(name: &str, description: &Description) -> Result<Vec<&'static str>> {
    if let Some(missing) = REQUIRED.iter().find(|file| !description.has(file)) {
        return Err(Error::input(format!("{name} has no {missing} on the hub"))
            .with_advice("choose a model with Hugging Face's config.json and tokenizer.json"));
    }
    let optional = OPTIONAL.iter().filter(|file| description.has(file));
    Ok(REQUIRED.iter().chain(optional).copied().collect())
}

fn weight_files(name: &str, description: &Description, folder: &Path) -> Result<Vec<String>> {
    if !description.has(INDEX) {
        return match description.has(SINGLE) {
            true => Ok(vec![SINGLE.into()]),
            false => Err(
                Error::input(format!("{name} has no safetensors on the hub"))
                    .with_advice("choose a model whose weights are in model.safetensors"),
            ),
        };
    }
    let names = shards(&folder.join(INDEX))?;
    match names.iter().find(|name| !is_file_name(name)) {
        Some(name) => Err(Error::input(format!("{INDEX} names no file: {name:?}"))),
        None => Ok(names.into_iter().collect()),
    }
}

/// What comes from outside must not lead out of the folder.
fn is_file_name(name: &str) -> bool {
    let mut components = Path::new(name).components();
    let first = components.next();
    matches!(first, Some(Component::Normal(_))) && components.next().is_none()
}
