//! The report in Markdown.

use super::child::End;
use super::folder::Folder;
use super::losses;
use super::options::Options;
use std::fmt::Write;
use std::time::Duration;

/// Lines of a failed step's output that the report repeats.
const LAST_LINES: usize = 30;

const DRY_TITLE: &str = "Dry run of the Mac report, on software Metal: no figure means anything";

/// What came of a step.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    Ended(End),
    /// Why it was not run.
    NotRun(String),
}

impl Outcome {
    pub fn is_passed(&self) -> bool {
        *self == Self::Ended(End::Passed)
    }

    pub fn is_failed(&self) -> bool {
        !self.is_passed() && !matches!(self, Self::NotRun(_))
    }
}

/// A step that was run, or was not.
pub struct Run {
    pub name: &'static str,
    pub what: &'static str,
    pub outcome: Outcome,
    pub seconds: f64,
    pub limit: Duration,
    /// Name of the file with its output.
    pub output: String,
    /// What is in that file; `None` where there is none.
    pub text: Option<String>,
}

impl Run {
    /// The outcome in words.
    pub fn line(&self) -> String {
        let (seconds, limit) = (self.seconds, self.limit.as_secs());
        match &self.outcome {
            Outcome::Ended(End::Passed) => format!("passed in {seconds:.1} s"),
            Outcome::Ended(End::Failed(why)) => format!("failed ({why}) after {seconds:.1} s"),
            Outcome::Ended(End::TimedOut { has_gone: true }) => {
                format!("hung: killed after {limit} s")
            }
            Outcome::Ended(End::TimedOut { has_gone: false }) => {
                format!("hung: killed after {limit} s, and is still there")
            }
            Outcome::NotRun(why) => format!("not run: {why}"),
        }
    }

    fn row(&self) -> String {
        let output = match &self.text {
            Some(_) => format!("[{0}]({0})", self.output),
            None => String::new(),
        };
        format!(
            "| {} | {} | {} | {output} |\n",
            self.name,
            self.what,
            self.line()
        )
    }

    fn last_lines(&self) -> String {
        let text = self.text.as_deref().unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        fenced(&lines[lines.len().saturating_sub(LAST_LINES)..].join("\n"))
    }
}

/// Steps so far.
#[derive(Default)]
pub struct Report {
    runs: Vec<Run>,
}

impl Report {
    pub fn add(&mut self, run: Run) {
        self.runs.push(run);
    }

    /// Whether the step of this name passed.
    pub fn has_passed(&self, name: &str) -> bool {
        let mut runs = self.runs.iter();
        runs.any(|run| run.name == name && run.outcome.is_passed())
    }

    pub fn has_failures(&self) -> bool {
        self.runs.iter().any(|run| run.outcome.is_failed())
    }

    /// How many passed, failed and were not run.
    pub fn count(&self) -> String {
        let n = |is: fn(&Outcome) -> bool| self.runs.iter().filter(|run| is(&run.outcome)).count();
        let (passed, failed) = (n(Outcome::is_passed), n(Outcome::is_failed));
        let not_run = self.runs.len() - passed - failed;
        format!("{passed} steps passed, {failed} failed, {not_run} were not run")
    }

    /// The whole page.
    pub fn text(&self, folder: &Folder, options: &Options) -> String {
        let (title, model) = match options.dry_run {
            true => (DRY_TITLE, String::new()),
            false => ("Mac report", format!(", model {}", options.model)),
        };
        let mut page = format!(
            "# {title}\n\nCommit {}{}. {}.\n\n",
            folder.commit,
            model,
            self.count()
        );
        page += "| step | what | result | output |\n|---|---|---|---|\n";
        page.extend(self.runs.iter().map(Run::row));
        if ["train-cpu", "train-metal"]
            .iter()
            .all(|name| self.has_passed(name))
        {
            page += &losses::section(&folder.work);
        }
        for run in self.runs.iter().filter(|run| run.outcome.is_failed()) {
            let _ = write!(
                page,
                "\n## {} {}\n{}",
                run.name,
                run.line(),
                run.last_lines()
            );
        }
        for run in self
            .runs
            .iter()
            .filter(|run| ["system", "doctor"].contains(&run.name))
        {
            let text = run.text.as_deref().unwrap_or_default();
            let _ = write!(page, "\n## {}\n{}", run.name, fenced(text.trim_end()));
        }
        page
    }
}

/// A block of text that nothing in it ends: four spaces before every line.
fn fenced(text: &str) -> String {
    let lines = text.lines().map(|line| format!("    {line}\n"));
    format!("\n{}", lines.collect::<String>())
}
