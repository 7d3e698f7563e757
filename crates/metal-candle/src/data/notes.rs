//! Notes about the rows of a file: once each, with how many rows and where the first is.

use std::path::Path;

use indexmap::IndexMap;

use super::counted::{counted, rows};
use super::json::shortened;
use super::source::Unit;

/// Everything about rows that a person should know and that is no error.
#[derive(Debug, Clone, Default)]
pub(super) struct Notes {
    tallies: IndexMap<Note, Tally>,
    /// What the places of rows count.
    unit: Unit,
    /// Lines of rows of weight 0.
    pub(super) left_out: Vec<usize>,
    /// Lines of rows whose answer is empty.
    pub(super) unanswered: Vec<usize>,
}

/// Something worth telling about a row.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Note {
    /// A key of the row that nobody reads.
    UnreadKey(String),
    /// A key of a message that the chat template does not read.
    UnreadMessageKey(String),
    /// A key that stands twice.
    Duplicate(String),
    /// The text begins with what the tokenizer puts before it.
    Beginning,
    /// The text ends with what the tokenizer puts behind it.
    End,
    /// Function schemas, for which there is no place.
    UnreadTools,
    /// A prompt whose end reads otherwise where a completion follows.
    CutPrompt,
    /// Content in parts, which the template prints as it does any list.
    JoinedParts,
    /// A column of what the system says, beside messages that begin with something else that it says.
    SecondSystem(String),
}

#[derive(Debug, Clone, Copy)]
struct Tally {
    rows: usize,
    first: usize,
    last: usize,
}

impl Notes {
    /// No notes of a file whose rows are counted by `unit`.
    pub(super) fn of(unit: Unit) -> Self {
        Self {
            unit,
            ..Self::default()
        }
    }

    /// Counts a note about the row on `line`, at most once a row.
    pub(super) fn add(&mut self, note: Note, line: usize) {
        let tally = self.tallies.entry(note).or_insert(Tally {
            rows: 0,
            first: line,
            last: 0,
        });
        if tally.last != line {
            tally.rows += 1;
            tally.last = line;
        }
    }

    /// Logs a warning for each kind of note.
    pub(super) fn tell(&self, path: &Path) {
        for warning in self.warnings() {
            tracing::warn!("{}: {warning}", path.display());
        }
    }

    pub(super) fn warnings(&self) -> Vec<String> {
        let keys = [
            (
                self.keys(|note| match note {
                    Note::UnreadKey(key) => Some(key),
                    _ => None,
                }),
                "these keys of rows are not read",
            ),
            (
                self.keys(|note| match note {
                    Note::UnreadMessageKey(key) => Some(key),
                    _ => None,
                }),
                "the chat template does not read these keys of messages, so that nothing in them is trained",
            ),
            (
                self.keys(|note| match note {
                    Note::Duplicate(key) => Some(key),
                    _ => None,
                }),
                "keys that stand more than once in an object, of which the last one counts",
            ),
            (
                self.keys(|note| match note {
                    Note::SecondSystem(key) => Some(key),
                    _ => None,
                }),
                "the messages begin with a system message of their own, so that these columns are not read",
            ),
        ];
        let keys = keys
            .into_iter()
            .filter_map(|(keys, what)| Some(format!("{what}: {}", keys?)));
        keys.chain(self.sentences()).collect()
    }

    fn sentences(&self) -> Vec<String> {
        const HAVE: (&str, &str) = ("has", "have");
        let told = [
            (
                Note::Beginning,
                ("begins", "begin"),
                "with the beginning-of-sequence token (BOS) that the tokenizer adds, too; it is kept once",
            ),
            (
                Note::End,
                ("ends", "end"),
                "with the end-of-sequence token (EOS) that the tokenizer adds, too; it is kept once",
            ),
            (
                Note::UnreadTools,
                HAVE,
                "function schemas (tools), which are not read: there is no chat template with a place for them",
            ),
            (
                Note::CutPrompt,
                HAVE,
                "a prompt whose last tokens are others where a completion follows; these belong to the completions",
            ),
            (
                Note::JoinedParts,
                HAVE,
                "content in text parts, which the chat template does not read; the texts are joined",
            ),
        ];
        let told = told.iter().filter_map(|(note, verbs, what)| {
            let tally = self.tallies.get(note)?;
            let (rows, unit) = (rows(tally.rows, *verbs), self.unit.name());
            Some(format!(
                "{rows} {what} (the first on {unit} {})",
                tally.first
            ))
        });
        let lines = [
            (
                &self.left_out,
                ("of weight 0 is", "of weight 0 are"),
                "left out",
            ),
            (
                &self.unanswered,
                HAVE,
                "an empty answer, of which only the end is trained",
            ),
        ];
        let lines = lines.into_iter().filter(|(lines, ..)| !lines.is_empty());
        let lines = lines.map(|(lines, verbs, what)| {
            let (rows, unit) = (rows(lines.len(), verbs), self.unit.name());
            format!("{rows} {what}: {unit} {}", listed(lines))
        });
        told.chain(lines).collect()
    }

    fn keys(&self, key: impl Fn(&Note) -> Option<&String>) -> Option<String> {
        const SHOWN: usize = 20;
        let all: Vec<String> = self
            .tallies
            .iter()
            .filter_map(|(note, Tally { rows, first, .. })| {
                let key = shortened(key(note)?);
                let (rows, unit) = (counted(*rows), self.unit.name());
                Some(format!("\"{key}\" ({rows}, the first on {unit} {first})"))
            })
            .collect();
        let shown = all
            .iter()
            .take(SHOWN)
            .cloned()
            .collect::<Vec<_>>()
            .join(", ");
        match all.len() {
            0 => None,
            n if n > SHOWN => Some(format!("{shown} and {} more", n - SHOWN)),
            _ => Some(shown),
        }
    }
}

/// The first numbers, and how many more there are.
pub(super) fn listed(lines: &[usize]) -> String {
    const SHOWN: usize = 20;
    let shown: Vec<String> = lines.iter().take(SHOWN).map(usize::to_string).collect();
    let more = lines.len().saturating_sub(SHOWN);
    let tail = if more > 0 {
        format!(" and {more} more")
    } else {
        String::new()
    };
    shown.join(", ") + &tail
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_counted_once_a_row_and_told_with_its_first_line() {
        let mut notes = Notes::default();
        for line in [3, 3, 7] {
            notes.add(Note::UnreadKey("a\nb".to_owned()), line);
            notes.add(Note::Beginning, line);
        }
        notes.add(Note::UnreadKey("id".to_owned()), 7);
        notes.left_out = vec![4];
        notes.unanswered = vec![5, 6];
        assert_eq!(
            notes.warnings(),
            [
                "these keys of rows are not read: \"a\\nb\" (2 rows, the first on line 3), \"id\" (1 row, the first on line 7)",
                "2 rows begin with the beginning-of-sequence token (BOS) that the tokenizer adds, too; it is kept once (the first on line 3)",
                "1 row of weight 0 is left out: line 4",
                "2 rows have an empty answer, of which only the end is trained: line 5, 6",
            ]
        );
    }

    #[test]
    fn many_keys_and_lines_are_cut() {
        let mut notes = Notes::default();
        for i in 0..25 {
            notes.add(Note::Duplicate(format!("k{i}")), 1);
        }
        assert!(notes.warnings()[0].ends_with("and 5 more"));
        assert_eq!(listed(&[1, 2]), "1, 2");
        let many: Vec<usize> = (1..=25).collect();
        assert!(listed(&many).ends_with("19, 20 and 5 more"));
    }
}
