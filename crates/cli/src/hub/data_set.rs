//! Data sets of the hub: `OWNER/NAME`, or `hf://datasets/OWNER/NAME` with a folder or file behind it.

use super::download::check_commit;
use super::environment::Environment;
use super::files::is_file_name;
use super::transfer::{Transfer, Wanted};
use super::{is_plausible_id, offline};
use crate::error::{Error, Result};
use crate::terminal::Terminal;
use hf_hub::{Cache, CacheRepo, Repo};
use metal_candle::data::{Files, Source};
use serde::Deserialize;
use std::path::Path;

const SCHEME: &str = "hf://datasets/";

/// Largest file of rows.
const MAX_BYTES: u64 = 1 << 40;

/// The branch that people push to, and the one on which the hub keeps every data set as Parquet files.
const REVISIONS: [&str; 2] = ["main", "refs/convert/parquet"];

/// A data set, or a part of one.
struct Name<'a> {
    /// `OWNER/NAME`.
    id: &'a str,
    /// Beginning of the names of its files.
    prefix: &'a str,
}

impl<'a> Name<'a> {
    fn of(name: &'a str) -> Option<Self> {
        let path = name.strip_prefix(SCHEME).unwrap_or(name);
        let (id, prefix) = match path.match_indices('/').nth(1) {
            Some((at, _)) if path.len() < name.len() => (&path[..at], &path[at + 1..]),
            _ => (path.trim_end_matches('/'), ""),
        };
        let is_path = path.len() == name.len() && Files::is_rows(name);
        (is_plausible_id(id) && !is_path).then_some(Self { id, prefix })
    }
}

/// Whether `name` may be that of a data set of the hub.
pub fn is_one(name: &str) -> bool {
    Name::of(name).is_some()
}

/// A data set as the hub describes it.
#[derive(Deserialize)]
struct Description {
    sha: String,
    #[serde(default)]
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
}

/// Rows of the data set `name`, whose files are downloaded into the cache.
///
/// # Errors
/// When there is no such data set, it has no files of rows, or they cannot be downloaded.
pub fn find(environment: &Environment, name: &str, terminal: &Terminal) -> Result<Source> {
    let Some(wanted) = Name::of(name) else {
        return Err(
            Error::input(format!("--data {name}: not the name of a data set"))
                .with_advice("name it as OWNER/NAME, or hf://datasets/OWNER/NAME/FOLDER"),
        );
    };
    let cache = Cache::new(environment.cache.clone()).repo(Repo::dataset(wanted.id.into()));
    let source = match environment.is_offline {
        true => cached(environment, &wanted, &cache)?,
        false => download(environment, &wanted, &cache, terminal)?,
    };
    Ok(source.named(name))
}

/// The data set as it lies in the cache, by the revision that was fetched last.
fn cached(environment: &Environment, wanted: &Name<'_>, cache: &CacheRepo) -> Result<Source> {
    let repo = environment
        .cache
        .join(Repo::dataset(wanted.id.into()).folder_name());
    let commit = std::fs::read_to_string(repo.join("refs").join(REVISIONS[0]));
    let Ok(commit) = commit else {
        return Err(offline(environment, wanted.id, "no files of rows"));
    };
    let folder = cache.pointer_path(commit.trim());
    let mut names = Source::names(&folder)?;
    names.retain(|name| name.starts_with(wanted.prefix));
    Ok(Source::of_files(&folder, &names, true)?)
}

fn download(
    environment: &Environment,
    wanted: &Name<'_>,
    cache: &CacheRepo,
    terminal: &Terminal,
) -> Result<Source> {
    let (endpoint, id) = (&environment.endpoint, wanted.id);
    let transfer = Transfer::new(environment, id, terminal);
    let (mut sha, mut names) = (String::new(), vec![]);
    for revision in REVISIONS {
        let revision = revision.replace('/', "%2F");
        let url = format!("{endpoint}/api/datasets/{id}/revision/{revision}");
        let description: Description = match transfer.json(&url) {
            // A data set need not have been converted.
            Err(_) if !sha.is_empty() => break,
            described => described?,
        };
        check_commit(&url, &description.sha)?;
        names = files_of(&description, wanted.prefix);
        sha = description.sha;
        if !chosen(wanted, &names)?.train.is_empty() {
            break;
        }
    }
    let files = chosen(wanted, &names)?;
    if files.train.is_empty() {
        return Err(none(wanted));
    }
    let folder = cache.pointer_path(&sha);
    for name in files.all() {
        transfer.file(&Wanted {
            url: &format!("{endpoint}/datasets/{id}/resolve/{sha}/{name}"),
            name,
            path: &folder.join(name),
            max_bytes: MAX_BYTES,
        })?;
    }
    let made = cache.create_ref(&sha);
    made.map_err(|source| transfer.cannot_write(&folder, &source))?;
    let names: Vec<String> = files.all().cloned().collect();
    Ok(Source::of_files(&folder, &names, true)?)
}

/// Files of a data set that a name means; names that lead out of its folder are none.
fn files_of(description: &Description, prefix: &str) -> Vec<String> {
    let names = description.siblings.iter().map(|file| &file.rfilename);
    let is_wanted = |name: &&String| {
        name.starts_with(prefix) && Files::is_rows(name) && name.split('/').all(is_file_name)
    };
    names.filter(is_wanted).cloned().collect()
}

fn chosen(wanted: &Name<'_>, names: &[String]) -> Result<Files> {
    Ok(Files::choose(Path::new(wanted.id), names)?)
}

fn none(wanted: &Name<'_>) -> Error {
    let Name { id, prefix } = wanted;
    let place = match prefix.is_empty() {
        true => String::new(),
        false => format!(" below {prefix}"),
    };
    Error::input(format!("{id} on the hub has no rows to train on{place}")).with_advice(
        "choose a data set with files in JSONL, JSON, CSV, TSV or Parquet; one that is made by a script has to be saved \
         with datasets first",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_ids_with_a_part() {
        let of = |name| Name::of(name).map(|name| (name.id, name.prefix));
        assert_eq!(of("a/b"), Some(("a/b", "")));
        assert_eq!(of("hf://datasets/a/b"), Some(("a/b", "")));
        assert_eq!(of("hf://datasets/a/b/"), Some(("a/b", "")));
        assert_eq!(
            of("hf://datasets/a/b/main/train"),
            Some(("a/b", "main/train"))
        );
        for other in [
            "a/b/c",
            "data",
            "./data",
            "hf://datasets/a",
            "/a/b",
            "../a",
            "data/train.jsonl",
            "",
        ] {
            assert_eq!(of(other), None, "{other}");
        }
    }

    #[test]
    fn names_that_lead_elsewhere_are_left_out() {
        let names = [
            "data/train.parquet",
            "../train.jsonl",
            "/train.jsonl",
            "other/train.csv",
        ];
        let siblings = names.map(|name| Sibling {
            rfilename: name.into(),
        });
        let description = Description {
            sha: "0".into(),
            siblings: siblings.into(),
        };
        assert_eq!(files_of(&description, "data"), ["data/train.parquet"]);
        assert_eq!(files_of(&description, "").len(), 2);
    }
}
