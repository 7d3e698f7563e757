use crate::models::json::{INDEX_LIMIT_BYTES, read_object, shown, shown_name};
use crate::models::{Error, Result, recognise};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Component, Path};

const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

/// Names of the tensor files in `folder`. A single file is the checkpoint, whatever index lies
/// beside it, as in transformers.
///
/// # Errors
/// When there are none, or the index is malformed or names a file that is not there.
pub(in crate::models) fn file_names(folder: &Path) -> Result<Vec<String>> {
    let has_index = folder.join(INDEX).exists();
    if folder.join(SINGLE).exists() {
        if has_index {
            tell_foreign_index(folder);
        }
        return Ok(vec![SINGLE.into()]);
    }
    match has_index {
        true => shards(folder),
        false => Err(recognise::instead_of_weights(folder)),
    }
}

/// An index that lists the single file alone is its own.
fn tell_foreign_index(folder: &Path) {
    let listed = listed(&folder.join(INDEX)).unwrap_or_default();
    if listed.len() != 1 || !listed.contains(SINGLE) {
        let folder = folder.display();
        tracing::warn!("{folder}: {SINGLE} is read, {INDEX} and the files that it lists are not");
    }
}

fn shards(folder: &Path) -> Result<Vec<String>> {
    let path = folder.join(INDEX);
    let names = listed(&path)?;
    if let Some(outside) = names.iter().find(|name| !is_inside(name)) {
        let shard = shown_name(outside);
        return Err(Error::ShardOutside { path, shard });
    }
    let (there, missing): (Vec<_>, Vec<_>) = names
        .into_iter()
        .partition(|name| folder.join(name).exists());
    match missing.is_empty() {
        true => Ok(there),
        false => Err(Error::MissingShards {
            folder: folder.to_path_buf(),
            shards: missing.iter().map(|name| shown_name(name)).collect(),
        }),
    }
}

/// The files that an index lists; at least one.
fn listed(path: &Path) -> Result<BTreeSet<String>> {
    let index = read_object(path, INDEX_LIMIT_BYTES)?;
    let map = index.get("weight_map").unwrap_or(&Value::Null);
    let files = map.as_object().and_then(|map| {
        let files = map.values().map(|file| file.as_str().map(String::from));
        files.collect::<Option<BTreeSet<_>>>()
    });
    match files.filter(|files| !files.is_empty()) {
        Some(files) => Ok(files),
        None => Err(Error::Field {
            path: path.to_path_buf(),
            field: "weight_map".into(),
            expected: "an object of tensors and their files".into(),
            got: shown(map),
        }),
    }
}

/// What comes from outside must not lead out of the folder; links, as the hub's cache has them, may.
fn is_inside(name: &str) -> bool {
    let path = Path::new(name);
    let mut components = path.components();
    path.file_name().is_some() && components.all(|part| matches!(part, Component::Normal(_)))
}
