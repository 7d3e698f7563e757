//! Rows up to where their last answer begins.

use std::ops::Range;

use super::dataset::{Options, row_error};
use super::error::{Result, RowError};
use super::example::Example;
use super::reader::Reader;
use super::source::{Record, Records, Source};
use super::splits::Split;
use super::tokenizer::Tokenizer;

/// Row of which the end is an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Line of the row in its file, counted from 1.
    pub line: usize,
    /// Words before the answer, as a person wrote them, without a chat template and what else stands before them; `None`
    /// where a row says nothing there.
    pub asked: Option<String>,
    /// Token ids up to where the answer begins.
    pub prompt: Vec<u32>,
    /// Token ids of the answer in the row: the last turn of the assistant, or the completion, or the better one of two.
    pub answer: Vec<u32>,
}

impl Question {
    /// The last answer of a row of which answers alone are trained; `None` where nothing comes before it.
    fn of(masked: &Example, asked: Option<&str>) -> Option<Self> {
        let Range { start, end } = last_run(&masked.trained)?;
        let answer = (start > 0).then(|| &masked.tokens[start..end])?;
        Some(Self {
            line: masked.line,
            asked: asked.map(str::to_owned),
            prompt: masked.tokens[..start].to_vec(),
            answer: answer.to_vec(),
        })
    }
}

/// Questions that `examples`, read from a file of `split` before, end with; each is read again to find where its answer
/// begins. What has no answer, or lies in another file of the split, is left out. Nothing is logged.
///
/// # Errors
/// When the file cannot be read, or its rows have no answers, as those of plain text.
pub fn questions(
    source: &Source,
    split: Split,
    examples: &[Example],
    tokenizer: &Tokenizer,
    options: &Options,
) -> Result<Vec<Question>> {
    let Some(records) = source.records(split)?.into_iter().next() else {
        return Ok(vec![]);
    };
    let Records { path, unit, items } = records;
    let mask = options.convention.mask(true);
    let mut reader = Reader::new(tokenizer, mask, &source.keys, (None, unit));
    let last = examples.iter().map(|example| example.line).max();
    let mut questions = vec![];
    for record in items.take_while(|record| Some(record.number) <= last) {
        let line = record.number;
        let question = question(&mut reader, record, examples);
        let question = question.map_err(|error| row_error(&path, (line, unit), error));
        questions.extend(question?);
    }
    Ok(questions)
}

fn question(
    reader: &mut Reader<'_>,
    record: Record,
    examples: &[Example],
) -> std::result::Result<Option<Question>, RowError> {
    let asked = examples.iter().find(|asked| asked.line == record.number);
    let Some(asked) = asked else {
        // The first row of a file says what all of them look like.
        return match reader.shape() {
            Some(_) => Ok(None),
            None => reader.first(record).map(|()| None),
        };
    };
    let (masked, row) = reader.read(record)?;
    let n = masked.tokens.len().min(asked.tokens.len());
    let is_same = masked.tokens[..n] == asked.tokens[..n];
    Ok(Question::of(&masked, row.asked()).filter(|question| is_same && question.prompt.len() < n))
}

/// Last neighbours that are all trained.
fn last_run(trained: &[bool]) -> Option<Range<usize>> {
    let end = trained.iter().rposition(|trained| *trained)? + 1;
    let before = trained[..end].iter().rposition(|trained| !trained);
    Some(before.map_or(0, |before| before + 1)..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example(trained: &[bool]) -> Example {
        Example {
            tokens: (10..10 + trained.len() as u32).collect(),
            trained: trained.to_vec(),
            line: 3,
            pair: None,
        }
    }

    #[test]
    fn the_last_answer_is_asked_for() {
        let row = example(&[false, true, false, false, true, true, false]);
        let question = Question::of(&row, Some("why")).unwrap();
        assert_eq!(question.line, 3);
        assert_eq!(question.asked.as_deref(), Some("why"));
        assert_eq!(question.prompt, [10, 11, 12, 13]);
        assert_eq!(question.answer, [14, 15]);
        assert_eq!(Question::of(&example(&[false, false]), None), None);
        assert_eq!(Question::of(&example(&[true, true]), None), None);
    }
}
