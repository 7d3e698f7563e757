//! Rows from wherever they lie: files in several containers, a folder of them, or bytes that a program has read.

mod array;
mod container;
mod folder;
mod format;
mod gzip;
mod lines;
mod names;
mod parquet;
mod table;

use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use folder::Files;
pub use format::FileFormat;

use super::error::{Error, Result, RowError};
use super::json::Json;
use super::row::RowKind;
use super::shape::{Keys, Shape};
use super::splits::Split;
use crate::files;

/// Rows that a person names: a folder, a file, or bytes.
#[derive(Debug, Clone)]
pub struct Source {
    name: PathBuf,
    train: Vec<Part>,
    valid: Vec<Part>,
    test: Vec<Part>,
    /// One file may hold several splits, and without rows to watch the loss on some are held out.
    is_whole: bool,
    pub(super) keys: Keys,
}

/// A file, or bytes in its place.
#[derive(Debug, Clone)]
struct Part {
    path: PathBuf,
    bytes: Option<Arc<Vec<u8>>>,
}

impl Source {
    /// Rows of the folder or file at `path`. Rows are not read yet.
    ///
    /// # Errors
    /// When a folder cannot be listed, or it is unclear which of its files are meant.
    pub fn at(path: &Path) -> Result<Self> {
        match path.is_dir() {
            true => Self::of_files(path, &folder::list(path)?, false),
            false => Ok(Self::of_part(Part {
                path: path.to_owned(),
                bytes: None,
            })),
        }
    }

    /// Rows of a file's contents; `name` is shown.
    pub fn of_bytes(name: impl Into<PathBuf>, bytes: Vec<u8>) -> Self {
        Self::of_part(Part {
            path: name.into(),
            bytes: Some(Arc::new(bytes)),
        })
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
        let parts = |names: &[String]| -> Vec<Part> {
            let paths = names.iter().map(|name| folder.join(name));
            paths.map(|path| Part { path, bytes: None }).collect()
        };
        Ok(Self {
            name: folder.to_owned(),
            train: parts(&files.train),
            valid: parts(&files.valid),
            test: parts(&files.test),
            is_whole: (is_published && files.valid.is_empty()) || !files.are_named,
            keys: Keys::default(),
        })
    }

    fn of_part(part: Part) -> Self {
        Self {
            name: part.path.clone(),
            train: vec![part],
            valid: vec![],
            test: vec![],
            is_whole: true,
            keys: Keys::default(),
        }
    }

    /// Reads the columns that a person names.
    #[must_use]
    pub fn with_keys(mut self, keys: Keys) -> Self {
        self.keys = keys;
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
        for part in &self.train {
            let contents = part.open()?;
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
        let parts = match split {
            Split::Train => &self.train,
            Split::Valid => &self.valid,
            Split::Test => &self.test,
        };
        let records = |part: &Part| {
            let contents = part.open()?;
            let has_splits = contents.valid.is_some() || contents.test.is_some();
            match has_splits && !self.is_whole {
                true => Err(unreadable(&part.path, SPLITS_OF_ITS_OWN)),
                false => Ok(contents.train),
            }
        };
        parts.iter().map(records).collect()
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

impl Part {
    fn open(&self) -> Result<Contents> {
        let bytes = match &self.bytes {
            Some(bytes) => bytes.to_vec(),
            None => files::read_bytes(&self.path)?,
        };
        container::open(&self.path, bytes)
    }
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
