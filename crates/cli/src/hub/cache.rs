//! Models that are in the cache already.

use super::environment::Environment;
use super::files::{INDEX, REQUIRED, SINGLE, shards};
use super::whole::damage_in_cache;
use hf_hub::{Cache, CacheRepo, Repo};
use std::path::PathBuf;

/// State of a model in the cache.
pub enum Cached {
    /// Everything: its folder.
    Complete(PathBuf),
    /// A part; the text says what is missing.
    Missing(String),
}

/// The model's part of the cache.
pub fn repo(environment: &Environment, name: &str) -> CacheRepo {
    Cache::new(environment.cache.clone()).repo(Repo::model(name.into()))
}

/// Looks for the latest version of a model that was fetched, by whatever tool.
pub fn look(environment: &Environment, name: &str) -> Cached {
    let repo = repo(environment, name);
    let mut found = None;
    for file in REQUIRED {
        match whole(&repo, file) {
            Ok(path) => found = path.parent().map(PathBuf::from),
            Err(missing) => return Cached::Missing(missing),
        }
    }
    match (missing_weights(&repo), found) {
        (Some(missing), _) => Cached::Missing(missing),
        (None, Some(folder)) => Cached::Complete(folder),
        (None, None) => Cached::Missing("no folder".into()),
    }
}

/// A file that is there and not damaged; else what is wrong.
fn whole(repo: &CacheRepo, file: &str) -> Result<PathBuf, String> {
    let path = repo.get(file).ok_or(format!("no {file}"))?;
    match damage_in_cache(&path) {
        None => Ok(path),
        Some(damage) => Err(format!("{file}: {damage}")),
    }
}

/// What the first file of the weights that cannot be used lacks.
fn missing_weights(repo: &CacheRepo) -> Option<String> {
    let index = match repo.get(SINGLE) {
        Some(_) => None,
        None => repo.get(INDEX),
    };
    let Some(index) = index else {
        return whole(repo, SINGLE).err();
    };
    // An index that cannot be used names nothing: loading the model will say what is wrong.
    let names = shards(&index).unwrap_or_default();
    names.iter().find_map(|name| whole(repo, name).err())
}
