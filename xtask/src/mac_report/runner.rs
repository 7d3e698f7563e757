//! Running the steps, one after another, and going on whatever one of them does.

use super::child;
use super::folder::Folder;
use super::options::Options;
use super::report::{Outcome, Run};
use super::steps::{STEPS, Step};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

/// Most bytes of a step's output: an issue takes 25 MB in all, packed.
const MOST_BYTES: usize = 4 << 20;

/// What has been run.
pub struct Runner<'a> {
    options: &'a Options,
    folder: &'a Folder,
    /// Names of what was asked for, with what that needs; all steps where it is empty.
    asked: BTreeSet<&'static str>,
    passed: BTreeMap<&'static str, bool>,
}

impl<'a> Runner<'a> {
    pub fn new(options: &'a Options, folder: &'a Folder) -> Self {
        Self {
            options,
            folder,
            asked: with_needs(&options.only),
            passed: BTreeMap::new(),
        }
    }

    /// Runs a step, or says why not.
    ///
    /// # Errors
    /// When its output cannot be written.
    pub fn run(&mut self, number: usize, step: &'static Step) -> io::Result<Run> {
        let output = format!("{number:02}-{}.txt", step.name);
        let began = Instant::now();
        let (limit, outcome) = match self.words(step) {
            Ok((words, limit)) => (limit, self.outcome(step, words, limit, &output)?),
            Err(reason) => (step.limit, Outcome::NotRun(reason)),
        };
        self.passed.insert(step.name, outcome.is_passed());
        Ok(Run {
            name: step.name,
            what: step.what,
            text: self
                .folder
                .report(&output)
                .exists()
                .then(|| self.text(&output))
                .transpose()?,
            output,
            outcome,
            seconds: began.elapsed().as_secs_f64(),
            limit,
        })
    }

    /// Words and deadline of a step.
    ///
    /// # Errors
    /// Why it is not run.
    fn words(&self, step: &Step) -> Result<(&'static str, Duration), String> {
        if !self.asked.is_empty() && !self.asked.contains(step.name) {
            return Err("not asked for".into());
        }
        let line = match self.options.dry_run {
            true => step.dry.ok_or("needs a Mac, or a download")?,
            false => (step.words, step.limit),
        };
        // A dry run leaves out what some of its steps need on a Mac.
        let is_here = |name: &&&str| !self.options.dry_run || self.is_dry(name);
        let missing = step
            .needs
            .iter()
            .filter(is_here)
            .find(|need| !self.has_passed(need));
        if let Some(name) = missing {
            return Err(format!("`{name}` did not pass"));
        }
        match step.unless.filter(|name| self.has_passed(name)) {
            Some(name) => Err(format!("`{name}` shows more")),
            None => Ok(line),
        }
    }

    fn is_dry(&self, name: &str) -> bool {
        STEPS
            .iter()
            .any(|step| step.name == name && step.dry.is_some())
    }

    fn has_passed(&self, name: &str) -> bool {
        self.passed.get(name).is_some_and(|passed| *passed)
    }

    fn outcome(
        &self,
        step: &Step,
        words: &str,
        limit: Duration,
        output: &str,
    ) -> io::Result<Outcome> {
        let words: Vec<String> = words
            .split_whitespace()
            .map(|word| self.filled(word))
            .collect();
        let mut command = match step.tool.command(&words, self.folder, self.options.dry_run) {
            Ok(command) => command,
            Err(reason) => return Ok(Outcome::NotRun(reason)),
        };
        command.envs(step.env.iter().copied());
        if self.options.dry_run {
            // What software Metal measures is not kept where a user's measurements are.
            command.env("XDG_CACHE_HOME", self.folder.work.join("cache"));
        }
        child::run(&mut command, limit, &self.folder.report(output)).map(Outcome::Ended)
    }

    /// A word with its paths and spaces.
    fn filled(&self, word: &str) -> String {
        let model = match self.options.dry_run {
            true => self
                .folder
                .work
                .join("quickstart/base")
                .display()
                .to_string(),
            false => self.options.model.clone(),
        };
        word.replace('+', " ")
            .replace("{report}", &self.folder.report("").display().to_string())
            .replace("{work}", &self.folder.work.display().to_string())
            .replace("{mlx}", &self.folder.mlx_python().display().to_string())
            .replace("{model}", &model)
    }

    /// A step's output, without the user's folders, which its file loses too.
    fn text(&self, output: &str) -> io::Result<String> {
        let path = self.folder.report(output);
        let bytes = std::fs::read(&path)?;
        let text = without_folders(&shortened(&bytes, MOST_BYTES), &self.folder.root);
        std::fs::write(&path, &text)?;
        Ok(text)
    }
}

/// Names in `only` with what they need, and what that needs.
fn with_needs(only: &[String]) -> BTreeSet<&'static str> {
    // Needs come before what needs them.
    let mut asked = BTreeSet::new();
    for step in STEPS.iter().rev() {
        if only.iter().any(|name| name == step.name) || asked.contains(step.name) {
            asked.insert(step.name);
            asked.extend(step.needs);
        }
    }
    asked
}

/// A text of at most about so many bytes: its beginning and its end.
pub fn shortened(bytes: &[u8], most: usize) -> String {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    if bytes.len() <= most {
        return text(bytes);
    }
    let (begin, end) = (&bytes[..most / 2], &bytes[bytes.len() - most / 2..]);
    let left_out = bytes.len() - begin.len() - end.len();
    format!(
        "{}\n... {left_out} bytes are left out ...\n{}",
        text(begin),
        text(end)
    )
}

/// A text in which the checkout is `.` and the user's home `~`.
pub fn without_folders(text: &str, root: &Path) -> String {
    let text = text.replace(&root.display().to_string(), ".");
    match std::env::var("HOME") {
        Ok(home) if home.len() > 1 => text.replace(&home, "~"),
        _ => text,
    }
}
