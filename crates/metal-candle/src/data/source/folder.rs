//! Files of a folder, or of a repository, by split.

use std::collections::BTreeMap;
use std::path::Path;

use super::names::{is_read, n_shards, split_of, split_of_word, stem, without_shard};
use crate::data::error::{Error, Result};
use crate::data::splits::Split;
use crate::files;

/// Folders below the one that is named in which files are looked for.
const DEPTH: usize = 2;

/// Files of each split, by their names in a folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Files {
    /// Rows to train on.
    pub train: Vec<String>,
    /// Rows to watch the loss on.
    pub valid: Vec<String>,
    /// Rows to report the loss on in the end.
    pub test: Vec<String>,
    /// Whether names say which split a file is; else there is one file, or one table in several.
    pub are_named: bool,
    /// Remarks on the choice that a person should know.
    pub notes: Vec<String>,
}

impl Files {
    /// Chooses among the `names` of files in `folder`, which is shown: `train.jsonl` and the like of mlx-lm first, then
    /// files of other containers with such a name; where there are none of either, those of whose names it is a part. A
    /// folder without any has one table.
    ///
    /// # Errors
    /// When several tables are candidates for one split.
    pub fn choose(folder: &Path, names: &[String]) -> Result<Self> {
        let mut files = Self {
            are_named: true,
            ..Self::default()
        };
        files.train = of_split(folder, names, Split::Train)?;
        files.valid = of_split(folder, names, Split::Valid)?;
        files.test = of_split(folder, names, Split::Test)?;
        if files.all().next().is_none() {
            let rows: Vec<&String> = names.iter().filter(|name| stem(name).is_some()).collect();
            files.train = only(folder, Split::Train, &rows)?;
            files.are_named = files.train.is_empty();
        }
        for (split, chosen) in [
            (Split::Train, &files.train),
            (Split::Valid, &files.valid),
            (Split::Test, &files.test),
        ] {
            let notes = [passed_over(split, chosen, names), missing_shards(chosen)];
            files.notes.extend(notes.into_iter().flatten());
        }
        Ok(files)
    }

    /// Whether a name is that of a file of rows that can be read.
    pub fn is_rows(name: &str) -> bool {
        is_read(name)
    }

    /// All files.
    pub fn all(&self) -> impl Iterator<Item = &String> {
        self.train.iter().chain(&self.valid).chain(&self.test)
    }
}

fn of_split(folder: &Path, names: &[String], split: Split) -> Result<Vec<String>> {
    let usual = format!("{split}.jsonl");
    if names.contains(&usual) {
        return Ok(vec![usual]);
    }
    let is_exact = |name: &&String| stem(name).and_then(split_of_word) == Some(split);
    let exact: Vec<&String> = names.iter().filter(is_exact).collect();
    let is_any = |name: &String| stem(name).and_then(split_of_word).is_some();
    if names.iter().any(is_any) {
        return only(folder, split, &exact);
    }
    let is_part = |name: &&String| stem(name).is_some_and(|stem| split_of(stem) == Some(split));
    let part: Vec<&String> = names.iter().filter(is_part).collect();
    only(folder, split, &part)
}

/// The files of the only table among `names`, in order.
fn only(folder: &Path, split: Split, names: &[&String]) -> Result<Vec<String>> {
    let mut tables: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let can_be_read = names.iter().any(|name| is_read(name));
    for name in names.iter().filter(|name| !can_be_read || is_read(name)) {
        tables
            .entry(without_shard(name))
            .or_default()
            .push((*name).clone());
    }
    match tables.len() {
        0 | 1 => {
            let mut files: Vec<String> = tables.into_values().flatten().collect();
            files.sort();
            Ok(files)
        }
        _ => Err(Error::ManyFiles {
            split,
            folder: folder.to_owned(),
            found: tables.into_keys().collect(),
        }),
    }
}

/// Tells of other files of a split beside `train.jsonl` and the like.
fn passed_over(split: Split, chosen: &[String], names: &[String]) -> Option<String> {
    let [usual] = chosen else {
        return None;
    };
    let is_other =
        |name: &&String| *name != usual && stem(name).and_then(split_of_word) == Some(split);
    let others: Vec<&str> = names.iter().filter(is_other).map(|name| &**name).collect();
    (!others.is_empty()).then(|| format!("{usual} is read, and not {}", others.join(", ")))
}

/// Tells of a table in several files of which some are not there.
fn missing_shards(chosen: &[String]) -> Option<String> {
    let first = chosen.first()?;
    let (n, there) = (n_shards(first)?, chosen.len());
    let missing = match n.saturating_sub(there) {
        0 => return None,
        1 => "1 is".to_owned(),
        missing => format!("{missing} are"),
    };
    Some(format!(
        "{first} is one of {n} files, and {missing} not there"
    ))
}

/// Names of the files of rows in a folder, those in folders below it with a slash between.
///
/// # Errors
/// When it cannot be listed.
pub(super) fn list(folder: &Path) -> Result<Vec<String>> {
    let mut names = vec![];
    add(folder, "", DEPTH, &mut names)?;
    names.sort();
    Ok(names)
}

/// Whatever has the name of a file of rows is one: reading it says what it is.
fn add(folder: &Path, prefix: &str, depth: usize, names: &mut Vec<String>) -> Result<()> {
    let wrong = |error| Error::File(files::Error::at("read", folder)(error));
    for entry in folder.read_dir().map_err(wrong)? {
        let entry = entry.map_err(wrong)?;
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        let path = format!("{prefix}{name}");
        match name.starts_with('.') {
            true => {}
            false if stem(&name).is_some() => names.push(path),
            false if depth > 0 && entry.path().is_dir() => {
                // A folder that may not be listed holds no rows that could be read.
                let _ = add(&entry.path(), &format!("{path}/"), depth - 1, names);
            }
            false => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose(names: &[&str]) -> Result<Files> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        Files::choose(Path::new("data"), &names)
    }

    #[test]
    fn files_are_chosen_by_name() {
        let files = choose(&["train.jsonl", "train_old.jsonl", "valid.jsonl", "dev.csv"]).unwrap();
        assert_eq!(
            (files.train, files.valid),
            (vec!["train.jsonl".into()], vec!["valid.jsonl".into()])
        );
        let files = choose(&[
            "data/train-00001-of-00002.parquet",
            "data/train-00000-of-00002.parquet",
            "data/test-00000-of-00001.parquet",
        ])
        .unwrap();
        let expected = [
            "data/train-00000-of-00002.parquet",
            "data/train-00001-of-00002.parquet",
        ];
        assert_eq!(files.train, expected);
        assert_eq!(files.test.len(), 1);
        let files = choose(&["train.csv", "dev_notes.json", "runs/test/metrics.jsonl"]).unwrap();
        assert!(files.valid.is_empty() && files.test.is_empty());
        let files = choose(&["data/train-00000-of-00003.parquet"]).unwrap();
        let expected = ["data/train-00000-of-00003.parquet is one of 3 files, and 2 are not there"];
        assert_eq!(files.notes, expected);
        let files = choose(&["train.json", "train.jsonl", "valid.jsonl"]).unwrap();
        assert_eq!(files.notes, ["train.jsonl is read, and not train.json"]);
        let files = choose(&["train.jsonl.bz2", "train.csv", "dev.json.xz"]).unwrap();
        assert_eq!(
            (files.train, files.valid),
            (vec!["train.csv".into()], vec!["dev.json.xz".into()])
        );
        let files = choose(&["alpaca.json"]).unwrap();
        assert_eq!(
            (files.train, files.are_named),
            (vec!["alpaca.json".into()], false)
        );
        assert!(choose(&["test.jsonl"]).unwrap().train.is_empty());
    }

    #[test]
    fn several_tables_are_an_error_that_names_them() {
        let error = choose(&["train.csv", "train.parquet"])
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("train.csv") && error.contains("train.parquet"),
            "{error}"
        );
        let sets = [
            "main/train-00000-of-00001.parquet",
            "socratic/train-00000-of-00001.parquet",
        ];
        let error = choose(&sets).unwrap_err().to_string();
        assert!(
            error.contains("main/train") && error.contains("socratic/train"),
            "{error}"
        );
        assert!(choose(&["a.jsonl", "b.jsonl"]).is_err());
    }
}
