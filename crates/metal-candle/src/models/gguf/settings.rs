use super::architecture::Architecture;
use super::neutral;
use crate::gguf::{Error, GgufFile, Metadata, Result};
use std::cell::RefCell;
use std::collections::BTreeSet;

/// Settings of a model in a file's metadata, each below the architecture's name; takes account of every one.
pub(super) struct Settings<'a> {
    pub(super) file: &'a GgufFile,
    pub(super) architecture: &'static Architecture,
    taken: RefCell<BTreeSet<String>>,
}

impl<'a> Settings<'a> {
    pub(super) fn new(file: &'a GgufFile, architecture: &'static Architecture) -> Self {
        Self {
            file,
            architecture,
            taken: RefCell::default(),
        }
    }

    pub(super) fn metadata(&self) -> &'a Metadata {
        self.file.metadata()
    }

    /// The file's key of a setting, which is taken.
    pub(super) fn key(&self, name: &str) -> String {
        let key = format!("{}.{name}", self.architecture.name);
        self.taken.borrow_mut().insert(key.clone());
        key
    }

    pub(super) fn size(&self, name: &str) -> Result<Option<u64>> {
        self.metadata().size(&self.key(name))
    }

    pub(super) fn float(&self, name: &str) -> Result<Option<f64>> {
        self.metadata().float(&self.key(name))
    }

    pub(super) fn text(&self, name: &str) -> Result<Option<&'a str>> {
        self.metadata().text(&self.key(name))
    }

    /// A size that the file must have.
    pub(super) fn needed(&self, name: &str) -> Result<u64> {
        let size = self.size(name)?;
        self.metadata().required(&self.key(name), size)
    }

    /// Error that names a setting.
    pub(super) fn wrong(
        &self,
        name: &str,
        expected: impl Into<String>,
        got: impl ToString,
    ) -> Error {
        self.metadata().wrong(&self.key(name), expected, got)
    }

    /// Refuses what nobody took, unless it changes nothing.
    pub(super) fn finish(self) -> Result<()> {
        let (taken, below) = (
            self.taken.into_inner(),
            format!("{}.", self.architecture.name),
        );
        let mut unknown = self.file.metadata().iter().filter(|(key, value)| {
            let name = key.strip_prefix(&below);
            !taken.contains(*key) && name.is_some_and(|name| !neutral::is_neutral(name, value))
        });
        match unknown.next() {
            None => Ok(()),
            Some((key, value)) => {
                let what = format!("{key} = {value}");
                let reason = "it is not known, and may change the result";
                Err(Error::unsupported(self.file.path(), what, reason))
            }
        }
    }
}
