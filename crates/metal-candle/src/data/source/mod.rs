//! Rows from wherever they lie: files in several containers, a folder of them, or bytes that a program has read.

mod container;
mod document;
mod folder;
mod format;
mod held;
mod input;
mod later;
mod lines;
mod names;
mod packed;
mod parquet;
mod table;

use std::io::Read;
use std::path::{Path, PathBuf};

pub use folder::Files;
pub use format::FileFormat;

use super::error::{Error, Result, RowError};
use super::examples::MEMORY_BYTES;
use super::json::Json;
use super::row::RowKind;
use super::shape::{Keys, Shape};
use super::splits::Split;
use crate::files;
use input::Input;

/// Rows that a person names: a folder, a file, or bytes.
#[derive(Debug, Clone)]
pub struct Source {
    name: PathBuf,
    train: Vec<Input>,
    valid: Vec<Input>,
    test: Vec<Input>,
    /// One file may hold several splits, and without rows to watch the loss on some are held out.
    is_whole: bool,
    pub(super) keys: Keys,
    /// Bytes of tokens of a split that stay in memory.
    pub(super) memory_bytes: usize,
}

impl Source {
    /// Rows of the folder or file at `path`. Rows are not read yet, but for a pipe, which can be read once.
    ///
    /// # Errors
    /// When a folder cannot be listed, or it is unclear which of its files are meant; when a pipe cannot be read.
    pub fn at(path: &Path) -> Result<Self> {
        if path.is_dir() {
            return Self::of_files(path, &folder::list(path)?, false);
        }
        if files::is_there(path) && !path.is_file() {
            return Self::of_reader(path, files::open(path)?);
        }
        Ok(Self::of_input(Input {
            path: path.to_owned(),
            bytes: None,
        }))
    }

    /// Rows of what can be read once, all of it now; `name` is shown.
    ///
    /// # Errors
    /// When it cannot be read, or not be written where it is more than memory should hold.
    pub fn of_reader(name: impl Into<PathBuf>, reader: impl Read) -> Result<Self> {
        let path = name.into();
        let bytes = held::all(reader).map_err(files::Error::at("read", &path))?;
        Ok(Self::of_input(Input {
            path,
            bytes: Some(bytes),
        }))
    }

    /// Names of the files of rows in a folder, and in folders below it.
    ///
    /// # Errors
    /// When it cannot be listed.
    pub fn names(folder: &Path) -> Result<Vec<String>> {
        folder::list(folder)
    }

    /// Rows of files in a folder by their names in it. `is_published`: rows to train on alone are as good as one file.
    ///
    /// # Errors
    /// When it is unclear which files are meant.
    pub fn of_files(folder: &Path, names: &[String], is_published: bool) -> Result<Self> {
        let files = Files::choose(folder, names)?;
        for note in &files.notes {
            tracing::warn!("{}: {note}", folder.display());
        }
        let inputs = |names: &[String]| -> Vec<Input> {
            let paths = names.iter().map(|name| folder.join(name));
            paths.map(|path| Input { path, bytes: None }).collect()
        };
        Ok(Self {
            name: folder.to_owned(),
            train: inputs(&files.train),
            valid: inputs(&files.valid),
            test: inputs(&files.test),
            is_whole: (is_published && files.valid.is_empty()) || !files.are_named,
            keys: Keys::default(),
            memory_bytes: MEMORY_BYTES,
        })
    }

    fn of_input(input: Input) -> Self {
        Self {
            name: input.path.clone(),
            train: vec![input],
            valid: vec![],
            test: vec![],
            is_whole: true,
            keys: Keys::default(),
            memory_bytes: MEMORY_BYTES,
        }
    }

    /// Reads the columns that a person names.
    #[must_use]
    pub fn with_keys(mut self, keys: Keys) -> Self {
        self.keys = keys;
        self
    }

    /// Holds up to so many bytes of the tokens of a split in memory, in place of 64 MiB; what is more lies in a temporary
    /// file that ends with the process.
    #[must_use]
    pub fn with_memory(mut self, bytes: usize) -> Self {
        self.memory_bytes = bytes;
        self
    }

    /// Shows another name, that of what was downloaded.
    #[must_use]
    pub fn named(mut self, name: impl Into<PathBuf>) -> Self {
        self.name = name.into();
        self
    }

    /// Name of the folder or file.
    pub fn name(&self) -> &Path {
        &self.name
    }

    /// Kind of the rows to train on, by the first of them; `None` where that is none.
    pub fn kind(&self) -> Option<RowKind> {
        let mut first = self.records(Split::Train).ok()?.into_iter().next()?;
        let (value, _) = first.items.next()?.value.ok()?;
        let shape = Shape::of(value.as_object()?, &self.keys);
        shape.ok().map(|shape| shape.kind())
    }

    /// Whether some of the rows to train on are held out where there are no others.
    pub(super) fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// Records by split. Where data are one table, its file may hold several splits.
    ///
    /// # Errors
    /// When a file cannot be read or is no container of rows.
    pub(super) fn open(&self, wanted: &[Split]) -> Result<Opened> {
        let records = |split: Split| match wanted.contains(&split) {
            true => self.records(split),
            false => Ok(vec![]),
        };
        let mut opened = Opened {
            train: vec![],
            valid: records(Split::Valid)?,
            test: records(Split::Test)?,
        };
        if !self.is_whole {
            opened.train = records(Split::Train)?;
            return Ok(opened);
        }
        for input in &self.train {
            let contents = container::open(input)?;
            opened.valid.extend(contents.valid);
            opened.test.extend(contents.test);
            opened.train.push(contents.train);
        }
        Ok(opened)
    }

    /// Records of the files of one split.
    ///
    /// # Errors
    /// When a file cannot be read or is no container of rows.
    pub(super) fn records(&self, split: Split) -> Result<Vec<Records>> {
        let inputs = match split {
            Split::Train => &self.train,
            Split::Valid => &self.valid,
            Split::Test => &self.test,
        };
        let records = |input: &Input| {
            let contents = container::open(input)?;
            let has_splits = contents.valid.is_some() || contents.test.is_some();
            match has_splits && !self.is_whole {
                true => Err(unreadable(&input.path, SPLITS_OF_ITS_OWN)),
                false => Ok(contents.train),
            }
        };
        inputs.iter().map(records).collect()
    }
}

const SPLITS_OF_ITS_OWN: &str = "it holds lists of several splits beside files of others; \
                                 give this file alone, or a file for each split";

/// Records of a source by split.
pub(super) struct Opened {
    pub(super) train: Vec<Records>,
    pub(super) valid: Vec<Records>,
    pub(super) test: Vec<Records>,
}

/// Records of one file, by split where it has several.
pub(super) struct Contents {
    train: Records,
    valid: Option<Records>,
    test: Option<Records>,
}

/// Records of one file.
pub(super) struct Records {
    pub(super) path: PathBuf,
    pub(super) unit: Unit,
    pub(super) items: Box<dyn Iterator<Item = Record>>,
}

/// One record, not yet understood as a row.
pub(super) struct Record {
    /// Its place, from 1.
    pub(super) number: usize,
    /// The value, and the keys that stand more than once in an object.
    pub(super) value: std::result::Result<(Json, Vec<String>), RowError>,
}

/// Unit in which the places of records are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Unit {
    /// Lines of a text file.
    #[default]
    Line,
    /// Records.
    Row,
}

impl Unit {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Line => "line",
            Self::Row => "row",
        }
    }

    /// What stands between a path and a place in it.
    pub(super) fn before(self) -> &'static str {
        match self {
            Self::Line => ":",
            Self::Row => ", row ",
        }
    }
}

/// An error of a file as a whole.
fn unreadable(path: &Path, reason: impl ToString) -> Error {
    Error::Container {
        path: path.to_owned(),
        reason: reason.to_string(),
    }
}
