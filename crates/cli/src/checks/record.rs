//! Record of the checks of a GPU: one file, which holds for one GPU, system and version of the program.

use crate::child::End;
use metal_candle::files;
use metal_candle_mps::order::Key;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

/// Ends of checks by their names.
pub type Ends = BTreeMap<String, End>;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    key: Key,
    checks: Ends,
}

/// Knowledge of whether a GPU computes rightly.
#[derive(Debug, PartialEq)]
pub enum Proof {
    /// Every check has passed.
    Passed,
    /// Nothing was checked.
    Unchecked,
    /// The record is of another GPU, system or version, which this names.
    Other(String),
    /// The record cannot be read, and why.
    Unreadable(String),
    /// Checks that did not pass.
    Failed(Vec<String>),
    /// Checks that have not been made yet; the others have passed.
    Partly(Vec<String>),
}

impl Proof {
    /// The proof that the file at `path` holds for `key`, if every one of `names` has to pass.
    pub fn read(path: &Path, key: &Key, names: &[&str]) -> Self {
        if !files::is_there(path) {
            return Self::Unchecked;
        }
        match read(path) {
            Err(reason) => Self::Unreadable(reason),
            Ok(record) if record.key != *key => Self::Other(told(&record.key, key)),
            Ok(record) => Self::of(&record.checks, names),
        }
    }

    fn of(checks: &Ends, names: &[&str]) -> Self {
        let (made, missing): (Vec<&str>, Vec<&str>) =
            names.iter().partition(|name| checks.contains_key(**name));
        let failed = made.into_iter().filter(|name| !checks[*name].is_passed());
        let failed: Vec<String> = failed.map(str::to_owned).collect();
        match (failed.is_empty(), missing.is_empty()) {
            (false, _) => Self::Failed(failed),
            (true, false) => Self::Partly(missing.into_iter().map(str::to_owned).collect()),
            (true, true) => Self::Passed,
        }
    }
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Passed => f.write_str("all checks passed"),
            Self::Unchecked => f.write_str("it was never checked"),
            Self::Other(other) => write!(f, "what was checked is {other}"),
            Self::Unreadable(reason) => f.write_str(reason),
            Self::Failed(names) => write!(f, "it did not pass {}", names.join(", ")),
            Self::Partly(names) => write!(f, "it was not checked with {}", names.join(", ")),
        }
    }
}

/// Adds `ends` to the file at `path`; those of another key go.
///
/// # Errors
/// When the file cannot be written. An older one stays then.
pub fn add(path: &Path, key: &Key, ends: Ends) -> Result<(), files::Error> {
    let older = read(path).ok().filter(|record| record.key == *key);
    let mut checks = older.map_or_else(Ends::new, |record| record.checks);
    checks.extend(ends);
    if let Some(folder) = path.parent() {
        files::make_folder(folder)?;
    }
    let key = key.clone();
    files::write_json(path, &Record { key, checks })
}

fn read(path: &Path) -> Result<Record, String> {
    let text = files::read_text(path).map_err(|error| error.to_string())?;
    serde_json::from_str(&text)
        .map_err(|error| format!("{} is no record of checks: {error}", path.display()))
}

/// The parts of `found` that differ from `here`.
fn told(found: &Key, here: &Key) -> String {
    let parts = [
        (&found.gpu, &here.gpu),
        (&found.architecture, &here.architecture),
        (&found.macos_build, &here.macos_build),
        (&found.crate_version, &here.crate_version),
        (&found.candle_version, &here.candle_version),
    ];
    let names = ["", "", "", "metal-candle ", "candle "];
    let differ = parts.iter().zip(names).filter(|((a, b), _)| a != b);
    let differ: Vec<String> = differ
        .map(|((found, here), name)| format!("{name}{found}, not {name}{here}"))
        .collect();
    match differ.is_empty() {
        true => "of another form".into(),
        false => differ.join("; "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use metal_candle_mps::order::Strategy;

    const NAMES: [&str; 2] = ["softmax", "training"];

    fn key() -> Key {
        Key::new("applegpu_g13g", "Apple M1", "24B83", Strategy::Blocking)
    }

    fn ends(ends: &[(&str, End)]) -> Ends {
        let ends = ends.iter();
        ends.map(|(name, end)| ((*name).to_owned(), end.clone()))
            .collect()
    }

    fn failed() -> End {
        End::Failed {
            reason: "1 instead of 2".into(),
        }
    }

    #[test]
    fn every_check_has_to_pass() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metal-candle/checks.json");
        let proof = || Proof::read(&path, &key(), &NAMES);
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(proof(), Proof::Unchecked);
        add(&path, &key(), ends(&[("softmax", failed())])).unwrap();
        assert_eq!(proof(), Proof::Failed(names(&["softmax"])));
        // One that is made again replaces its older end, and no other.
        add(&path, &key(), ends(&[("softmax", End::Passed)])).unwrap();
        assert_eq!(proof(), Proof::Partly(names(&["training"])));
        add(&path, &key(), ends(&[("training", failed())])).unwrap();
        assert_eq!(proof(), Proof::Failed(names(&["training"])));
        add(&path, &key(), ends(&[("training", End::Passed)])).unwrap();
        assert_eq!(proof(), Proof::Passed);
    }

    #[test]
    fn another_gpu_system_or_version_proves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checks.json");
        let all = || ends(&NAMES.map(|name| (name, End::Passed)));
        type Change = fn(&mut Key);
        let changes: [(Change, &str); 4] = [
            (|key| key.gpu = "Apple M2".into(), "Apple M2, not Apple M1"),
            (|key| key.macos_build = "24C1".into(), "24C1, not 24B83"),
            (
                |key| key.crate_version = "0.0.1".into(),
                concat!(
                    "metal-candle 0.0.1, not metal-candle ",
                    env!("CARGO_PKG_VERSION")
                ),
            ),
            (|key| key.schema = 0, "of another form"),
        ];
        for (change, told) in changes {
            let mut other = key();
            change(&mut other);
            add(&path, &other, all()).unwrap();
            assert_eq!(Proof::read(&path, &other, &NAMES), Proof::Passed);
            let proof = Proof::read(&path, &key(), &NAMES);
            assert_eq!(proof, Proof::Other(told.into()));
            // Nothing of it is taken over.
            add(&path, &key(), ends(&[("softmax", End::Passed)])).unwrap();
            let proof = Proof::read(&path, &key(), &NAMES);
            assert_eq!(proof, Proof::Partly(vec!["training".into()]));
        }
    }

    #[test]
    fn a_damaged_record_proves_nothing_and_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checks.json");
        for text in ["", "{}", "[1]", "\0"] {
            std::fs::write(&path, text).unwrap();
            let proof = Proof::read(&path, &key(), &NAMES);
            let told = proof.to_string();
            assert!(
                told.contains("checks.json is no record of checks"),
                "{told}"
            );
            assert!(matches!(proof, Proof::Unreadable(_)));
        }
        add(&path, &key(), ends(&NAMES.map(|name| (name, End::Passed)))).unwrap();
        assert_eq!(Proof::read(&path, &key(), &NAMES), Proof::Passed);
    }
}
