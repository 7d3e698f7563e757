//! Models that are in the cache already.

use super::environment::Environment;
use super::files::{INDEX, REQUIRED, SINGLE, shards};
use hf_hub::{Cache, CacheRepo, Repo};
use std::path::PathBuf;

/// What the cache holds of a model.
pub enum Cached {
    /// Everything: its folder.
    Complete(PathBuf),
    /// Not everything: what is missing.
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
        match repo.get(file) {
            Some(path) => found = path.parent().map(PathBuf::from),
            None => return Cached::Missing(format!("no {file}")),
        }
    }
    match (missing_weights(&repo), found) {
        (Some(missing), _) => Cached::Missing(format!("no {missing}")),
        (None, Some(folder)) => Cached::Complete(folder),
        (None, None) => Cached::Missing("no folder".into()),
    }
}

/// The first file of the weights that is not there.
fn missing_weights(repo: &CacheRepo) -> Option<String> {
    let Some(index) = repo.get(INDEX) else {
        return repo.get(SINGLE).is_none().then(|| SINGLE.into());
    };
    // An index that cannot be read names nothing: loading the model will say what is wrong.
    let names = shards(&index).unwrap_or_default();
    names.into_iter().find(|name| repo.get(name).is_none())
}
