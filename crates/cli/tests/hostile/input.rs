//! What is done to a valid model, adapter and data set, which commands then run, and what is right.

use serde_json::Value;
use std::ffi::OsString;
use std::path::Path;

pub const GENERATE: &str = "generate --model model -p hello --max-tokens 2";
pub const PERPLEXITY: &str = "perplexity --model model --data data/valid.jsonl --max-seq-length 48";
pub const INSPECT: &str = "inspect --model model";
pub const WITH_ADAPTER: &str =
    "generate --model model --adapter-path adapters -p hello --max-tokens 2";
pub const FUSE: &str = "fuse --model model --adapter-path adapters --save-path fused";
pub const VERIFY: &str =
    "verify --model model --adapter-path adapters --data data/valid.jsonl --max-seq-length 48";
pub const TRAIN: &str = "train --model model --data data --adapter-path out --iters 1 --batch-size 2 --rank 2 \
                         --max-seq-length 48 --val-batches 1 --learning-rate 1e-3";
pub const RESUME: &str = "train --model model --data data --adapter-path out --resume-adapter-file adapters --iters 1 \
                          --batch-size 2 --max-seq-length 48 --val-batches 1 --learning-rate 1e-3";

/// What must come of an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Exit code 1 or 2, and all of these words on standard error.
    Refused(&'static [&'static str]),
    /// Exit code 0.
    Accepted,
    /// Exit code 0, 1 or 2, and all of these words on standard error.
    Told(&'static [&'static str]),
    /// Exit code 0, 1 or 2.
    Any,
}

type Change = Box<dyn Fn(&Path)>;

/// One attack.
pub struct Input {
    pub name: String,
    pub commands: Vec<Vec<OsString>>,
    pub verdict: Verdict,
    changes: Vec<Change>,
}

impl Input {
    /// `command` in words with blanks between, on a folder that nothing was done to.
    pub fn new(name: impl Into<String>, command: &str) -> Self {
        Self {
            name: name.into(),
            commands: vec![words(command)],
            verdict: Verdict::Any,
            changes: vec![],
        }
    }

    pub fn named(mut self, name: &str) -> Self {
        self.name = name.to_owned();
        self
    }

    /// A further command, run after the others on the same folder.
    pub fn and(mut self, command: &str) -> Self {
        self.commands.push(words(command));
        self
    }

    /// One more word at the end of the last command.
    pub fn arg(mut self, word: impl Into<OsString>) -> Self {
        self.commands.last_mut().unwrap().push(word.into());
        self
    }

    pub fn refused(mut self, mentions: &'static [&'static str]) -> Self {
        self.verdict = Verdict::Refused(mentions);
        self
    }

    pub fn accepted(mut self) -> Self {
        self.verdict = Verdict::Accepted;
        self
    }

    pub fn told(mut self, mentions: &'static [&'static str]) -> Self {
        self.verdict = Verdict::Told(mentions);
        self
    }

    pub fn change(mut self, change: impl Fn(&Path) + 'static) -> Self {
        self.changes.push(Box::new(change));
        self
    }

    /// Replaces what a file holds.
    pub fn file(self, file: &'static str, content: impl Into<Vec<u8>>) -> Self {
        let content = content.into();
        self.change(move |folder| write(&folder.join(file), &content))
    }

    /// A change before all others.
    pub fn before(mut self, change: impl Fn(&Path) + 'static) -> Self {
        self.changes.insert(0, Box::new(change));
        self
    }

    /// Replaces what a file holds before anything else is done.
    pub fn first(self, file: &'static str, content: &'static str) -> Self {
        self.before(move |folder| write(&folder.join(file), content.as_bytes()))
    }

    /// Changes what a file holds.
    pub fn bytes(self, file: &'static str, change: impl Fn(Vec<u8>) -> Vec<u8> + 'static) -> Self {
        self.change(move |folder| {
            let path = folder.join(file);
            let old = std::fs::read(&path).unwrap_or_default();
            write(&path, &change(old));
        })
    }

    /// Puts `raw`, which need not be JSON, where `pointer` points in a JSON file.
    pub fn set(self, file: &'static str, pointer: &str, raw: impl Into<String>) -> Self {
        let (pointer, raw) = (pointer.to_owned(), raw.into());
        self.bytes(file, move |old| {
            let value = serde_json::from_slice(&old).unwrap_or_default();
            set(value, &pointer, &raw).into_bytes()
        })
    }

    pub fn prepare(&self, folder: &Path) {
        for change in &self.changes {
            change(folder);
        }
    }
}

fn words(command: &str) -> Vec<OsString> {
    command.split_whitespace().map(OsString::from).collect()
}

pub fn write(path: &Path, content: &[u8]) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, content).unwrap();
}

/// JSON text of `value` with `raw` where `pointer` points; a key that is not there is added.
pub fn set(mut value: Value, pointer: &str, raw: &str) -> String {
    const MARK: &str = "@raw@";
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    match value.pointer_mut(parent) {
        Some(Value::Object(fields)) => {
            fields.insert(key.to_owned(), MARK.into());
        }
        Some(Value::Array(items)) => items[key.parse::<usize>().unwrap()] = MARK.into(),
        _ => return raw.to_owned(),
    }
    value.to_string().replace(&format!("\"{MARK}\""), raw)
}
